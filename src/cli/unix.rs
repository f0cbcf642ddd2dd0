//! What only Unix systems offer; the one file that asks for the platform.
//!
//! Elsewhere the same functions say that it is unknown.

/// Raises the number of files this process may open to the most the system allows it, and returns that number. Each socket is
/// a file. `None` where it is unknown.
#[cfg(unix)]
pub fn raise_open_files() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // macOS refuses an unlimited number; the soft limit is what counts then.
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return Some(hard);
    }
    Some(soft)
}

/// Raises the number of files this process may open. Unknown on this system.
#[cfg(not(unix))]
pub fn raise_open_files() -> Option<u64> {
    None
}

/// The most memory this process held so far, in bytes. `None` where it is unknown.
pub fn memory_max() -> Option<u64> {
    // Not from getrusage(2), which counts what the process was before it became this program as well.
    memory("VmHWM:")
}

/// The memory this process holds now, in bytes. `None` where it is unknown.
pub fn memory_now() -> Option<u64> {
    memory("VmRSS:")
}

#[cfg(target_os = "linux")]
fn memory(row: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(row))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
}

/// Unknown on this system.
#[cfg(not(target_os = "linux"))]
fn memory(_: &str) -> Option<u64> {
    None
}

/// How many ports this system gives to connections to one address. `None` where it is unknown.
#[cfg(target_os = "linux")]
pub fn ports() -> Option<u64> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = range.split_whitespace().filter_map(|end| end.parse::<u64>().ok());
    let (first, last) = (ends.next()?, ends.next()?);
    Some((last + 1).saturating_sub(first))
}

/// Unknown on this system.
#[cfg(not(target_os = "linux"))]
pub fn ports() -> Option<u64> {
    None
}

/// How many connections may wait here to be accepted. `None` where it is unknown.
#[cfg(target_os = "linux")]
pub fn backlog() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok()
}

/// Unknown on this system.
#[cfg(not(target_os = "linux"))]
pub fn backlog() -> Option<u64> {
    None
}

/// How many files this process has open now. `None` where it is unknown.
#[cfg(unix)]
pub fn open_files() -> Option<u64> {
    // The folder is open itself meanwhile.
    std::fs::read_dir("/dev/fd").ok().map(|files| files.count() as u64).map(|files| files.saturating_sub(1))
}

/// Unknown on this system.
#[cfg(not(unix))]
pub fn open_files() -> Option<u64> {
    None
}

/// Only the owner may read what is written: reports and journals hold what users were answered.
#[cfg(unix)]
pub fn private(options: &mut std::fs::OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;

    options.mode(0o600);
}

/// Files belong to whoever the system says.
#[cfg(not(unix))]
pub fn private(_: &mut std::fs::OpenOptions) {}

/// Makes `at` lead to `to`, a name relative to its folder: a symbolic link, replaced at once where there was one.
///
/// # Errors
///
/// When it cannot be made, or something that is no link stands there.
#[cfg(unix)]
pub fn point(at: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    if std::fs::symlink_metadata(at).is_ok_and(|there| !there.is_symlink()) {
        return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, "something that is no link is there"));
    }
    let part = at.with_extension(format!("{}.part", std::process::id()));
    std::os::unix::fs::symlink(to, &part)?;
    let done = std::fs::rename(&part, at);
    if done.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&part);
    }
    done
}

/// Writes the name `to` into the file `at`: links need rights here that not everybody has.
///
/// # Errors
///
/// When it cannot be written.
#[cfg(not(unix))]
pub fn point(at: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    std::fs::write(at, format!("{}\n", to.display()))
}

/// Hears when somebody asks this process to end: Ctrl-C, or SIGTERM as CI systems and containers send it. From its making on
/// such signals do not end the process by themselves, and none is missed between two calls.
#[cfg(unix)]
pub struct EndRequests {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl EndRequests {
    /// Listens from now on. To be called inside a runtime.
    ///
    /// # Errors
    ///
    /// When the system does not let signals be caught.
    pub fn listen() -> std::io::Result<EndRequests> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(EndRequests { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Resolves at the next request.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Hears when somebody asks this process to end: Ctrl-C.
#[cfg(not(unix))]
pub struct EndRequests {}

#[cfg(not(unix))]
impl EndRequests {
    /// Listens from the first `next` on.
    ///
    /// # Errors
    ///
    /// None here.
    pub fn listen() -> std::io::Result<EndRequests> {
        Ok(EndRequests {})
    }

    /// Resolves at the next request; never, where it cannot be heard.
    pub async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn raising_twice_changes_nothing() {
        let first = raise_open_files();
        assert!(first.is_some_and(|limit| limit > 0));
        assert_eq!(raise_open_files(), first);
    }

    #[test]
    fn what_is_held_and_open_is_known() {
        assert!(memory_max() > Some(1_000_000) || !cfg!(target_os = "linux"));
        let before = open_files().expect("a number");
        let files: Vec<_> = (0..200).map(|_| std::fs::File::open("/dev/null").expect("it is always there")).collect();
        // Other tests of this process open and close files meanwhile.
        assert!(open_files().expect("a number") > before + 100, "{before}");
        drop(files);
    }
}
