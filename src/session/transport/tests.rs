//! Sockets against a far end that says exactly these bytes.

use std::io;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wire::{Backlog, Stamping};
use super::*;
use crate::session::far_end::{FarEnd, frame, read_head, switching, text};
use crate::session::tls::Tls;

/// Longer than any test; nothing here waits for it to pass.
const LONG: Micros = Micros::from_secs(30);
const MAX_FRAME: u64 = 1024;

fn request(url: &str) -> DialRequest {
    DialRequest {
        url: url.parse().unwrap(),
        headers: Vec::new(),
        subprotocols: Vec::new(),
        echo: Echo::Lenient,
        timeout: LONG,
        max_frame: MAX_FRAME,
        connection: Connection(3),
    }
}

/// An open socket and its other end, which has already written `glued` in the same write as the answer.
async fn open(glued: &[u8]) -> (Box<Socket>, TcpStream) {
    let far_end = FarEnd::listen().await;
    let net = Net::for_tests();
    let request = request(&format!("ws://{}/ws", far_end.address));
    let (dialed, far) = tokio::join!(dial(&request, &net), far_end.accept_upgrade(glued));
    assert!(matches!(dialed.outcome, Dial::Upgraded { .. }), "{:?}", dialed.outcome);
    assert!(dialed.begun <= dialed.done);
    (dialed.socket.expect("an upgrade has a socket"), far)
}

/// The contents received until the connection ends.
async fn contents(socket: &mut Socket) -> Vec<Content<'static>> {
    let mut contents = Vec::new();
    loop {
        let received = socket.next().await;
        let content = received.frame(received.content()).into_owned().content;
        let ends = content.ends_connection();
        contents.push(content);
        if ends {
            return contents;
        }
    }
}

/// What is received when the other end writes these bytes and hangs up.
async fn contents_of(bytes: &[u8]) -> Vec<Content<'static>> {
    let (mut socket, mut far) = open(b"").await;
    far.write_all(bytes).await.unwrap();
    drop(far);
    let contents = contents(&mut socket).await;
    assert_eq!(socket.next_arrived().await, None, "nothing follows the end");
    contents
}

/// Returns when the kernel has something for this socket, without letting the runtime know.
fn arrived(socket: &mut Socket) {
    while matches!(socket.wire.tcp().is_empty(), Ok(true)) {
        std::thread::yield_now();
    }
}

fn said(text: &str) -> Content<'static> {
    Content::Text(text.to_owned().into())
}

#[test]
fn what_the_kernel_could_not_hold_came_later() {
    let stamp = |ms: u64| Stamp(ms * 1000);
    let mut backlog = Backlog { read: 0, marked_at: stamp(0), unread_from: 0, floor: stamp(0) };
    let mut pass = |ms, bytes| backlog.pass(stamp(ms), bytes, || 100).0 / 1000;
    // At 10 ms up to 100 bytes can have been there, so those from the 101st on came after it.
    assert_eq!((pass(10, 60), pass(20, 60), pass(30, 10)), (0, 0, 10));
    // At 30 ms 120 bytes were read, so those from the 221st on came after that.
    assert_eq!((pass(40, 80), pass(50, 20), pass(60, 1)), (10, 10, 30));
}

#[tokio::test]
async fn a_greeting_glued_to_the_upgrade_is_the_first_frame() {
    let (mut socket, _far) = open(&[text("ready"), text("more")].concat()).await;
    let first = socket.next_arrived().await.unwrap();
    assert_eq!(first.text(), Some("ready"));
    assert_eq!(first.connection, Connection(3));
    assert_eq!(socket.next_arrived().await.unwrap().text(), Some("more"));
    assert_eq!(socket.next_arrived().await, None);
}

#[tokio::test]
async fn each_kind_of_frame_is_what_it_is() {
    let bytes = [
        frame(0x01, b"frag"),
        frame(0x89, b"now"),
        frame(0x80, b"ments"),
        frame(0x82, &[1, 2]),
        frame(0x8a, b""),
        frame(0x88, &[&4001u16.to_be_bytes()[..], b"bye"].concat()),
        text("after the end"),
    ];
    let expected = [
        Content::Ping,
        said("fragments"),
        Content::Binary(vec![1, 2].into()),
        Content::Pong,
        Content::Close { code: 4001, reason: "bye".into() },
    ];
    assert_eq!(contents_of(&bytes.concat()).await, expected);
}

#[tokio::test]
async fn pings_that_cannot_be_answered_hide_nothing_that_arrived() {
    let (mut socket, mut far) = open(b"").await;
    let ping = frame(0x89, b"");
    let bytes = [ping.clone(), ping.clone(), ping, text("last words"), frame(0x88, &1000u16.to_be_bytes())].concat();
    far.write_all(&bytes).await.unwrap();
    // The first pong meets a connection that is gone, the next ones a reset.
    drop(far);
    let close = Content::Close { code: 1000, reason: "".into() };
    let expected = [Content::Ping, Content::Ping, Content::Ping, said("last words"), close];
    assert_eq!(contents(&mut socket).await, expected);
}

#[tokio::test]
async fn a_send_to_a_target_that_is_gone_fails() {
    let (mut socket, far) = open(b"").await;
    far.set_zero_linger().unwrap();
    drop(far);
    arrived(&mut socket);
    let failure = socket.send_text("x".to_owned(), LONG).await.unwrap_err();
    assert!(!failure.hung, "{failure:?}");
    assert!(socket.next().await.content().ends_connection());
}

#[tokio::test]
async fn each_way_to_end_is_named() {
    let lost = |error: &'static str| Content::Lost { error: error.into() };
    let violation = |why: &'static str| Content::Violation { why: why.into() };
    for (bytes, end) in [
        (frame(0x88, b""), Content::Close { code: 1005, reason: "".into() }),
        (Vec::new(), lost("closed without a close frame")),
        (b"\x81\x0ahalf".to_vec(), lost("closed without a close frame")),
        (text(&"x".repeat(MAX_FRAME as usize + 1)), Content::TooLarge { limit: MAX_FRAME }),
        // The head alone says that it is too large.
        (b"\x81\x7f\x00\x00\x00\x0f\xff\xff\xff\xff".to_vec(), Content::TooLarge { limit: MAX_FRAME }),
        (frame(0x81, b"\xff\xfe"), violation("text that is not valid UTF-8")),
        (b"\x81\x82abcdxy".to_vec(), violation("received a masked frame from server")),
        (frame(0x80, b"x"), violation("continue frame but nothing to continue")),
        (frame(0xc1, b"x"), violation("reserved bits are non-zero")),
    ] {
        assert_eq!(contents_of(&bytes).await, [end]);
    }
    let whole = text(&"x".repeat(MAX_FRAME as usize));
    assert_eq!(contents_of(&whole).await[0], said(&"x".repeat(MAX_FRAME as usize)));
}

#[tokio::test]
async fn after_the_end_nothing_is_read_and_select_goes_on() {
    let (mut socket, mut far) = open(b"").await;
    far.write_all(&text(&"x".repeat(MAX_FRAME as usize + 1))).await.unwrap();
    assert_eq!(socket.next().await.content(), Content::TooLarge { limit: MAX_FRAME });
    tokio::select! {
        biased;
        received = socket.next() => panic!("{received:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(socket.next_arrived().await, None);
    socket.close(LONG).await;
}

#[tokio::test]
async fn a_ping_is_answered_though_nothing_is_sent() {
    let (mut socket, mut far) = open(&frame(0x89, b"beat")).await;
    assert_eq!(socket.next().await.content(), Content::Ping);
    let mut pong = [0; 10];
    tokio::select! {
        received = socket.next() => panic!("{received:?}"),
        read = far.read_exact(&mut pong) => { read.unwrap(); }
    }
    // A masked pong with the same four bytes.
    assert_eq!(pong[..2], [0x8a, 0x84]);
    let payload: Vec<u8> = (0..4).map(|i| pong[6 + i] ^ pong[2 + i]).collect();
    assert_eq!(payload, b"beat");
}

#[tokio::test]
async fn dropping_a_wait_loses_nothing() {
    let (mut socket, mut far) = open(b"").await;
    let message = text("whole");
    let (one, two) = message.split_at(4);
    far.write_all(one).await.unwrap();
    // It reads the first half, is dropped, and the second half completes it.
    assert_eq!(socket.next_arrived().await, None);
    far.write_all(two).await.unwrap();
    assert_eq!(socket.next().await.text(), Some("whole"));
}

#[tokio::test]
async fn what_the_kernel_holds_is_not_overlooked() {
    let (mut socket, mut far) = open(b"").await;
    assert_eq!(socket.next_arrived().await, None);
    for round in 0..100 {
        let message = format!("message {round}");
        far.try_write(&text(&message)).unwrap();
        arrived(&mut socket);
        let received = socket.next_arrived().await;
        assert_eq!(received.as_ref().and_then(Received::text), Some(message.as_str()));
        assert_eq!(socket.next_arrived().await, None);
    }
    far.shutdown().await.unwrap();
    arrived(&mut socket);
    let end = socket.next_arrived().await.unwrap();
    assert!(end.content().ends_connection(), "{end:?}");
    assert_eq!(socket.next_arrived().await, None);
}

#[tokio::test]
async fn stamps_enclose_the_arrival_and_never_go_back() {
    let (mut socket, mut far) = open(&text("first")).await;
    let clock = socket.clock;
    let mut last = socket.next().await;
    for round in 0..50 {
        assert_eq!(socket.next_arrived().await, None);
        let before = clock.now();
        // Longer than the read buffer, so that one message takes several reads.
        far.write_all(&text(&"x".repeat(round * 20))).await.unwrap();
        far.write_all(&text("second in the same read")).await.unwrap();
        for _ in 0..2 {
            let received = socket.next().await;
            assert!(received.not_before <= received.at && received.at <= received.read_at, "{received:?}");
            assert!(received.read_at >= before && received.read_at <= clock.now());
            assert!(received.at >= last.at && received.not_before >= last.not_before, "{last:?} {received:?}");
            last = received;
        }
    }
}

/// Whether what was written before `written`, and has waited since, is told as having arrived by then. The kernel needs a
/// moment until it stamps, so not every time.
#[cfg(target_os = "linux")]
async fn arrives_when_written(socket: &mut Socket, written: Stamp) -> bool {
    let waited = Micros::from_millis(5);
    while socket.clock.now().since(written) < waited {
        std::hint::spin_loop();
    }
    let received = socket.next().await;
    assert!(received.read_at.since(written) >= waited);
    assert!(received.not_before <= received.at && received.at <= received.read_at, "{received:?}");
    // The clocks are read one after the other.
    received.at <= written + Micros(200)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_busy_reader_does_not_make_a_frame_late() {
    let (mut socket, mut far) = open(b"").await;
    for attempt in 0.. {
        far.write_all(&text("x")).await.unwrap();
        let written = socket.clock.now();
        if arrives_when_written(&mut socket, written).await {
            return;
        }
        assert!(attempt < 200, "what waits is told as late");
    }
}

#[test]
fn a_stamp_that_cannot_be_is_not_believed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut socket, _far) = open(b"").await;
        let clock = socket.clock;
        let tcp = socket.wire.tcp();
        let unstamped = |tcp: &Stamping| tcp.unstamped.load(Ordering::Relaxed);
        let before = unstamped(tcp);
        let now = clock.now() + Micros::from_secs(100);
        let ago = |ms| Some(SystemTime::now() - Micros::from_millis(ms).to_std());
        // Within a few microseconds, which pass between making a stamp and reading it.
        let near = |at: Stamp, expected: Stamp| expected.since(at) < Micros::from_millis(50) && at <= expected;
        assert!(near(tcp.arrived(ago(200), Stamp::ZERO, now), now - Micros::from_millis(200)));
        // A look that was a moment too early is not contradicted.
        assert_eq!(tcp.arrived(ago(1_002), now - Micros::from_secs(1), now), now - Micros::from_secs(1));
        assert_eq!(unstamped(tcp), before);
        assert_eq!(tcp.arrived(ago(5_000), now - Micros::from_secs(1), now), now);
        assert_eq!(tcp.arrived(Some(SystemTime::now() + Micros::from_secs(9).to_std()), Stamp::ZERO, now), now);
        assert_eq!(tcp.arrived(None, Stamp::ZERO, now), now);
        let told = if tcp.stamped { 3 } else { 0 };
        assert_eq!(unstamped(tcp), before + told);
    });
}

#[tokio::test]
async fn a_socket_found_empty_bounds_the_next_arrival_from_below() {
    let (mut socket, mut far) = open(b"").await;
    let before = socket.clock.now();
    assert_eq!(socket.next_arrived().await, None);
    far.write_all(&text("x")).await.unwrap();
    assert!(socket.next().await.not_before >= before);
}

#[test]
fn a_long_sleep_of_the_loop_is_a_long_gap_between_frames() {
    use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
    use std::sync::{Arc, Mutex};

    use crate::session::clock;

    const SLEEP: Micros = Micros::from_millis(5);
    let told = Arc::new(Mutex::new(None::<Sender<bool>>));
    let tell = |told: &Mutex<Option<Sender<bool>>>, parked| {
        let _ = told.lock().unwrap().as_ref().map(|told| told.send(parked));
    };
    let (parks, wakes) = (Arc::clone(&told), Arc::clone(&told));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || {
            clock::parking();
            tell(&parks, true);
        })
        .on_thread_unpark(move || {
            clock::woken();
            tell(&wakes, false);
        })
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut socket, far) = open(&text("first")).await;
        let mut far = far.into_std().unwrap();
        let mut last = socket.next().await;
        // A thread that sleeps for too long, or comes back late from it, was starved, and nothing is known of such a sleep.
        let (longest, late) = (Micros::from_millis(25), Micros::from_millis(1));
        for number in 0_u32.. {
            let (parks, asleep) = channel();
            *told.lock().unwrap() = Some(parks);
            // Writes once the reader has been asleep for a while, however long it takes to get there.
            let writer = std::thread::spawn(move || {
                let mut sleeps = false;
                loop {
                    match asleep.recv_timeout(SLEEP.to_std()) {
                        Ok(parked) => sleeps = parked,
                        Err(RecvTimeoutError::Timeout) if !sleeps => {}
                        Err(_) => break,
                    }
                }
                io::Write::write_all(&mut far, &text("next")).unwrap();
                far
            });
            let next = socket.next().await;
            far = writer.join().unwrap();
            if next.read_at.since(last.read_at) < longest && next.read_at.since(next.at) < late {
                let gap = next.not_before.since(last.at);
                return assert!(gap >= SLEEP - Micros::from_millis(1), "{gap}");
            }
            assert!(number < 1_000, "the thread is starved all the time");
            last = next;
        }
    });
}

#[tokio::test]
async fn a_text_is_sent_whole_and_masked() {
    let (mut socket, mut far) = open(b"").await;
    socket.send_text("hello".to_owned(), LONG).await.unwrap();
    let mut bytes = [0; 11];
    far.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes[..2], [0x81, 0x85]);
    let payload: Vec<u8> = (0..5).map(|i| bytes[6 + i] ^ bytes[2 + i % 4]).collect();
    assert_eq!(payload, b"hello");
}

#[tokio::test]
async fn a_target_that_does_not_take_what_is_sent_hangs() {
    let (mut socket, _far) = open(b"").await;
    // More than the system's buffers of both ends hold. With the clock paused only timers are left to wait for.
    tokio::time::pause();
    let failure = socket.send_text("x".repeat(64 << 20), LONG).await.unwrap_err();
    assert!(failure.hung, "{failure:?}");
    assert!(failure.doing.starts_with("sending 67108864 bytes to 127.0.0.1:"), "{failure:?}");
}

#[tokio::test]
async fn the_targets_last_words_can_be_read_after_a_failed_send() {
    let (mut socket, mut far) = open(b"").await;
    far.write_all(&frame(0x88, &[&4008u16.to_be_bytes()[..], b"slow"].concat())).await.unwrap();
    assert_eq!(socket.next().await.content(), Content::Close { code: 4008, reason: "slow".into() });
    let failure = socket.send_text("x".to_owned(), LONG).await.unwrap_err();
    assert_eq!((failure.error.as_str(), failure.hung), ("the connection is closed", false));
}

#[tokio::test]
async fn closing_says_good_bye_and_waits_for_the_target() {
    let (socket, mut far) = open(b"").await;
    let served = async {
        let mut close = [0; 8];
        far.read_exact(&mut close).await.unwrap();
        assert_eq!(close[..2], [0x88, 0x82]);
        assert_eq!([close[6] ^ close[2], close[7] ^ close[3]], 1000u16.to_be_bytes());
        far.write_all(&[text("too late"), frame(0x88, &1000u16.to_be_bytes())].concat()).await.unwrap();
        drop(far);
    };
    tokio::join!(socket.close(LONG), served);
}

#[tokio::test]
async fn closing_ends_though_the_target_does_not_hang_up() {
    let (socket, _far) = open(b"").await;
    tokio::time::pause();
    socket.close(LONG).await;
}

#[tokio::test]
async fn a_good_bye_of_the_target_is_answered() {
    let (mut socket, mut far) = open(&frame(0x88, &1001u16.to_be_bytes())).await;
    assert_eq!(socket.next().await.content(), Content::Close { code: 1001, reason: "".into() });
    let served = async {
        let mut close = [0; 8];
        far.read_exact(&mut close).await.unwrap();
        assert_eq!(close[0], 0x88);
        drop(far);
    };
    tokio::join!(socket.close(LONG), served);
}

#[tokio::test]
async fn nobody_listening_is_a_failure_with_the_systems_word() {
    let address = FarEnd::listen().await.address;
    let dialed = dial(&request(&format!("ws://{address}/ws")), &Net::for_tests()).await;
    let Dial::Failed(failure) = dialed.outcome else { panic!("{:?}", dialed.outcome) };
    assert_eq!(failure.doing, format!("connecting to {address}"));
    assert!(failure.error.starts_with("connection refused"), "{failure:?}");
    assert!(!failure.hung && dialed.socket.is_none());
}

#[tokio::test]
async fn a_name_is_looked_up_and_each_address_tried() {
    let far_end = FarEnd::listen().await;
    let request = request(&format!("ws://localhost:{}/", far_end.address.port()));
    let net = Net::for_tests();
    let (dialed, _far) = tokio::join!(dial(&request, &net), far_end.accept_upgrade(b""));
    assert!(dialed.socket.is_some(), "{:?}", dialed.outcome);
}

#[tokio::test]
async fn a_target_that_accepts_and_never_answers_hangs() {
    let far_end = FarEnd::listen().await;
    let request = request(&format!("ws://{}/", far_end.address));
    let net = Net::for_tests();
    let served = async {
        let mut stream = far_end.accept().await;
        read_head(&mut stream).await;
        // Only timers are left to wait for.
        tokio::time::pause();
        std::future::pending::<()>().await;
    };
    let dialed = tokio::select! { dialed = dial(&request, &net) => dialed, () = served => unreachable!() };
    let Dial::Failed(failure) = dialed.outcome else { panic!("{:?}", dialed.outcome) };
    assert!(failure.hung, "{failure:?}");
    assert_eq!(dialed.done.since(dialed.begun).0 / 1_000_000, 30);
}

#[tokio::test]
async fn an_address_that_is_no_websocket_is_refused_without_its_secrets() {
    let dialed = dial(&request("http://user:pass@127.0.0.1:1/?token=x"), &Net::for_tests()).await;
    let Dial::Failed(failure) = dialed.outcome else { panic!("{:?}", dialed.outcome) };
    assert_eq!(failure.doing, "connecting to http://127.0.0.1");
}

mod over_tls {
    use std::sync::Arc;

    use rustls::ServerConfig;
    use rustls::crypto::ring;
    use rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A listener with a certificate for `localhost`, and a client that trusts it.
    async fn listen() -> (FarEnd, TlsAcceptor, Net) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let net = Net { tls: Tls::only(vec![made.cert.der().clone()]), ..Net::for_tests() };
        (FarEnd::listen().await, TlsAcceptor::from(Arc::new(config)), net)
    }

    #[tokio::test]
    async fn messages_are_stamped_and_none_is_overlooked() {
        let (far_end, acceptor, net) = listen().await;
        let request = request(&format!("wss://localhost:{}/ws", far_end.address.port()));
        let accepted = async {
            let mut tls = acceptor.accept(far_end.accept().await).await.unwrap();
            let head = read_head(&mut tls).await;
            tls.write_all(&[switching(&head, "").as_bytes(), &text("glued")].concat()).await.unwrap();
            tls.flush().await.unwrap();
            tls
        };
        let (dialed, mut far) = tokio::join!(dial(&request, &net), accepted);
        let mut socket = dialed.socket.expect("upgraded");
        assert_eq!(socket.next().await.text(), Some("glued"));
        for round in 0..20 {
            let message = format!("message {round}");
            far.write_all(&[text(&message), text("and another")].concat()).await.unwrap();
            far.flush().await.unwrap();
            arrived(&mut socket);
            let received = socket.next_arrived().await.expect("it has arrived");
            assert_eq!(received.text(), Some(message.as_str()));
            assert!(received.not_before <= received.at && received.at <= received.read_at);
            assert_eq!(socket.next_arrived().await.expect("so has this").text(), Some("and another"));
            assert_eq!(socket.next_arrived().await, None);
        }
        #[cfg(target_os = "linux")]
        for attempt in 0.. {
            far.write_all(&text("x")).await.unwrap();
            far.flush().await.unwrap();
            let written = socket.clock.now();
            if super::arrives_when_written(&mut socket, written).await {
                return;
            }
            assert!(attempt < 200, "what waits is told as late");
        }
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_trusted_is_said_to_be() {
        let (far_end, acceptor, _) = listen().await;
        let request = request(&format!("wss://localhost:{}/ws", far_end.address.port()));
        let net = Net::for_tests();
        let accepted = async { acceptor.accept(far_end.accept().await).await.is_err() };
        let (dialed, refused) = tokio::join!(dial(&request, &net), accepted);
        assert!(refused);
        let Dial::Failed(failure) = dialed.outcome else { panic!("{:?}", dialed.outcome) };
        assert!(failure.doing.starts_with("agreeing on TLS with localhost:"), "{failure:?}");
        assert!(failure.error.contains("certificate"), "{failure:?}");
    }

    mod requests {
        use super::*;
        use crate::session::far_end::settle;
        use crate::session::http::{Http, HttpRequest, Method};

        fn get(far_end: &FarEnd) -> HttpRequest {
            let url = format!("https://localhost:{}/", far_end.address.port()).parse().unwrap();
            HttpRequest { method: Method::GET, url, headers: Vec::new(), body: None, timeout: LONG }
        }

        #[tokio::test]
        async fn the_same_roots_serve_on_one_connection_that_ends_with_a_good_bye() {
            let (far_end, acceptor, net) = listen().await;
            let (http, request) = (Http::new(&net, LONG), get(&far_end));
            let served = async {
                let mut tls = acceptor.accept(far_end.accept().await).await.unwrap();
                for _ in 0..2 {
                    read_head(&mut tls).await;
                    tls.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
                    tls.flush().await.unwrap();
                }
                tls
            };
            let asked = async {
                let first = http.send(&request).await;
                settle().await;
                [first, http.send(&request).await]
            };
            let (answers, mut far) = tokio::join!(asked, served);
            assert_eq!(answers.map(|answer| answer.unwrap().status), [204, 204]);
            // Only timers are left to wait for.
            tokio::time::pause();
            // Without a good-bye it is an error.
            assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
        }

        #[tokio::test]
        async fn a_target_that_does_not_agree_in_time_has_not_been_asked() {
            let (far_end, _, net) = listen().await;
            let within = Micros::from_secs(5);
            let (http, request) = (Http::new(&net, within), get(&far_end));
            let silent = async {
                let _held = far_end.accept().await;
                tokio::time::pause();
                std::future::pending::<()>().await;
            };
            let answer = tokio::select! { answer = http.send(&request) => answer, () = silent => unreachable!() };
            let failure = answer.unwrap_err();
            assert!(failure.doing.starts_with("agreeing on TLS with localhost:"), "{failure:?}");
            assert_eq!((failure.error.as_str(), failure.hung), ("nothing within 5 s", false));
        }
    }
}
