//! What only the system knows: when it received what a read returns, where it says so (Linux: `SO_TIMESTAMPNS`, socket(7)), and
//! how long a thread has been computing.
//!
//! The stamp of a read is that of the last segment in it, so what the read returns arrived then at the latest, however late
//! somebody came to read it. Elsewhere nothing is said, and the time of the read is all that is known.

use std::io;
use std::task::{Context, Poll};
use std::time::SystemTime;

use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use crate::time::Micros;

/// Whether reads can be stamped on this system.
pub const STAMPS: bool = cfg!(target_os = "linux");

/// Whose computing is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// This thread's.
    Thread,
    /// That of all threads of this process.
    Process,
}

/// How long it has been computing so far; `None` where the system does not say.
#[cfg(unix)]
pub fn computed(of: Of) -> Option<Micros> {
    use nix::time::{ClockId, clock_gettime};

    let clock = match of {
        Of::Thread => ClockId::CLOCK_THREAD_CPUTIME_ID,
        Of::Process => ClockId::CLOCK_PROCESS_CPUTIME_ID,
    };
    Some(Micros::from(std::time::Duration::from(clock_gettime(clock).ok()?)))
}

/// Not told on this system.
#[cfg(not(unix))]
pub fn computed(_: Of) -> Option<Micros> {
    None
}

/// Asks for stamps from now on; says whether they will come.
#[cfg(target_os = "linux")]
pub fn ask_for_stamps(tcp: &TcpStream) -> bool {
    use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};

    setsockopt(tcp, ReceiveTimestampns, &true).is_ok()
}

/// No stamps come here.
#[cfg(not(target_os = "linux"))]
pub fn ask_for_stamps(_: &TcpStream) -> bool {
    STAMPS
}

/// Reads what is there, with the time at which the last of it arrived; `None` for the end, and where the kernel had no stamp.
///
/// As tokio's own `poll_read` does, a read that came back short counts as having found the socket empty, which spares another
/// one that finds nothing.
#[cfg(target_os = "linux")]
pub fn poll_read(tcp: &TcpStream, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<Option<SystemTime>>> {
    use std::os::fd::AsRawFd;
    use std::task::ready;

    loop {
        ready!(tcp.poll_read_ready(cx))?;
        let mut read = None;
        let tried = tcp.try_io(tokio::io::Interest::READABLE, || {
            let room = buf.initialize_unfilled();
            let size = room.len();
            let (bytes, at) = receive(tcp.as_raw_fd(), room)?;
            read = Some((bytes, at));
            // In the runtime's own words: it forgets that the socket was ready, unless more has come since.
            if (1..size).contains(&bytes) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (read, tried) {
            (Some((bytes, at)), _) => {
                buf.advance(bytes);
                return Poll::Ready(Ok(at));
            }
            (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
            // Somebody else emptied it; ask to be woken.
            (None, _) => {}
        }
    }
}

/// Reads without a stamp.
#[cfg(not(target_os = "linux"))]
pub fn poll_read(tcp: &TcpStream, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<Option<SystemTime>>> {
    use std::task::ready;

    loop {
        ready!(tcp.poll_read_ready(cx))?;
        match tcp.try_read(buf.initialize_unfilled()) {
            Ok(bytes) => {
                buf.advance(bytes);
                return Poll::Ready(Ok(None));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

#[cfg(target_os = "linux")]
fn receive(socket: std::os::fd::RawFd, room: &mut [u8]) -> io::Result<(usize, Option<SystemTime>)> {
    use std::io::IoSliceMut;
    use std::time::{Duration, UNIX_EPOCH};

    use nix::errno::Errno;
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, cmsg_space, recvmsg};
    use nix::sys::time::TimeSpec;

    // Room for the one message that was asked for; what does not fit is cut, never written beyond.
    let mut control = [0; cmsg_space::<TimeSpec>()];
    loop {
        let mut parts = [IoSliceMut::new(room)];
        let message = match recvmsg::<()>(socket, &mut parts, Some(&mut control), MsgFlags::empty()) {
            Ok(message) => message,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let stamp = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
                _ => None,
            })
        });
        return Ok((message.bytes, stamp.filter(|stamp| !stamp.is_zero()).map(|stamp| UNIX_EPOCH + stamp)));
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    async fn read(tcp: &TcpStream, room: usize) -> (Vec<u8>, Option<SystemTime>) {
        let mut bytes = vec![0; room];
        let mut buf = ReadBuf::new(&mut bytes);
        let at = poll_fn(|cx| poll_read(tcp, cx, &mut buf)).await.unwrap();
        (buf.filled().to_vec(), at)
    }

    #[tokio::test]
    async fn everything_is_read_once_and_in_order_whatever_room_there_is() {
        let (near, mut far) = pair().await;
        ask_for_stamps(&near);
        let sent: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
        let writing = async {
            for part in sent.chunks(1_234) {
                far.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(far);
        };
        let reading = async {
            let mut all = Vec::new();
            loop {
                let (part, _) = read(&near, 100).await;
                if part.is_empty() {
                    return all;
                }
                all.extend(part);
            }
        };
        let ((), all) = tokio::join!(writing, reading);
        assert_eq!(all, sent);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_stamp_is_the_arrival_and_not_the_read() {
        let (near, mut far) = pair().await;
        assert!(ask_for_stamps(&near));
        // Stamping is switched on for the whole machine with its first socket, which takes the kernel a moment.
        for number in 0_u32.. {
            let before = SystemTime::now();
            far.write_all(b"x").await.unwrap();
            // On loopback it has arrived when the write returns.
            let written = SystemTime::now();
            let busy = written + std::time::Duration::from_millis(5);
            while SystemTime::now() < busy {
                std::hint::spin_loop();
            }
            let (_, at) = read(&near, 10).await;
            match at {
                Some(at) => return assert!(before <= at && at <= written, "{before:?} {at:?} {written:?}"),
                None => assert!(number < 1_000, "the kernel never stamps"),
            }
        }
    }
}
