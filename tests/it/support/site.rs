//! A chat backend written out by hand, byte by byte, whose every answer a test can replace by a wrong one.
//!
//! It uses nothing of the harness and nothing of the embedded backend, so that it is a witness of its own. It speaks just as
//! much HTTP and WebSocket (RFC 9112, RFC 6455) as one client at a time per connection needs, with a thread for each.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// How long a whole good run takes, so that those of users who ask together overlap, as real ones do.
const THOUGHT: Duration = Duration::from_millis(40);

/// How long a server thread waits for a client that neither speaks nor leaves; no test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pace of a server; nobody waits for it in hope.
fn pause(time: Duration) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(time);
}

type Reply = dyn Fn(&str) -> (u16, String) + Send + Sync;
/// An answer with header lines, each ended by CR LF; nothing for a path that somebody else answers.
type Answer = dyn Fn(&str, &str) -> Option<(u16, String, String)> + Send + Sync;
type Talking = dyn Fn(&mut Talk) -> io::Result<()> + Send + Sync;

/// What a site answers; the default is a small backend that works.
pub struct Site {
    ready: Box<Reply>,
    login: Box<Reply>,
    answers: Box<Answer>,
    upgrade: Upgrade,
    talking: Box<Talking>,
    hangs: Option<&'static str>,
}

/// What a request for a WebSocket is answered.
pub enum Upgrade {
    Accept,
    /// Without selecting one of the subprotocols that were offered.
    AcceptNoSubprotocol,
    /// Without a subprotocol and with these header lines, each ended by CR LF.
    AcceptWith(&'static str),
    /// With an accept key that belongs to no request.
    AcceptAnother,
    /// With this status and JSON body, as a proxy or the target's middleware would.
    Refuse(u16, &'static str),
    /// 403, with everything that was sent.
    Echo,
    /// These bytes, and the connection stays.
    Raw(&'static [u8]),
    /// Header after header without an end, slowly.
    Drip,
    /// Nothing, and the connection stays.
    Nothing,
}

impl Site {
    /// A backend that greets every user and answers one question well.
    pub fn new() -> Site {
        Site {
            ready: Box::new(|_| (200, json!({"status": "ready", "version": "by hand"}).to_string())),
            login: Box::new(|email| (200, login(email, &user_of(email)))),
            answers: Box::new(|_, _| None),
            upgrade: Upgrade::Accept,
            hangs: None,
            talking: Box::new(|talk| {
                talk.greet()?;
                let ask = talk.ask()?;
                talk.answer(&ask)
            }),
        }
    }

    pub fn ready(self, reply: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Site {
        Site { ready: Box::new(reply), ..self }
    }

    /// `reply` is given the email, and the whole body of the request if there is none.
    pub fn login(self, reply: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Site {
        Site { login: Box::new(reply), ..self }
    }

    /// `answer` is given the head of a request and its body, before any other of these is asked.
    pub fn answers(self, answer: impl Fn(&str, &str) -> Option<(u16, String, String)> + Send + Sync + 'static) -> Site {
        Site { answers: Box::new(answer), ..self }
    }

    pub fn upgrade(self, upgrade: Upgrade) -> Site {
        Site { upgrade, ..self }
    }

    /// Requests with this method are read and never answered.
    pub fn hangs(self, method: &'static str) -> Site {
        Site { hangs: Some(method), ..self }
    }

    /// What happens on a socket that was accepted; after it the server listens until the client leaves.
    pub fn talking(self, talking: impl Fn(&mut Talk) -> io::Result<()> + Send + Sync + 'static) -> Site {
        Site { talking: Box::new(talking), ..self }
    }

    /// Starts to serve on a port that the system picks.
    pub fn serve(self) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let (site, own) = (Arc::new(self), Arc::clone(&shared));
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if own.over.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                own.connections.fetch_add(1, Ordering::AcqRel);
                let (site, shared) = (Arc::clone(&site), Arc::clone(&own));
                // A client that leaves early is the client's right.
                thread::spawn(move || drop(site.attend(stream, &shared)));
            }
        });
        Served { address, shared, accepting: Some(accepting) }
    }

    fn attend(&self, stream: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let request = Request::read(&mut reader)?;
        let call = shared.call(&request);
        if self.hangs.is_some_and(|method| request.head.starts_with(method)) {
            return listen_to_the_end(reader);
        }
        if let Some((status, lines, body)) = (self.answers)(&request.head, &request.body) {
            shared.answered(call, status, &lines, &body);
            return respond(stream, status, &lines, &body);
        }
        let (status, body) = match request.path.as_str() {
            "/health/ready" => (self.ready)(""),
            "/auth/login" => {
                let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
                (self.login)(body["email"].as_str().unwrap_or(&request.body))
            }
            // Whoever holds a token may go on with it.
            "/auth/refresh" => {
                let token = request.header("authorization").and_then(|bearer| bearer.strip_prefix("Bearer "));
                (200, json!({"access_token": token}).to_string())
            }
            _ if request.header("upgrade").is_some() => return self.upgraded(stream, reader, &request, call, shared),
            path if path.starts_with("/api/threads/") => (200, json!({"messages": ["asked", "answered"]}).to_string()),
            path => (404, json!({"no": path}).to_string()),
        };
        // What a redirection answers is where it leads, what too many requests are answered is when to come again.
        let lines = match status {
            300..400 => format!("Location: {body}\r\n"),
            429 => format!("Retry-After: {body}\r\n"),
            _ => String::new(),
        };
        shared.answered(call, status, &lines, &body);
        respond(stream, status, &lines, &body)
    }

    fn upgraded(
        &self,
        mut stream: TcpStream,
        reader: BufReader<TcpStream>,
        request: &Request,
        call: usize,
        shared: &Arc<Shared>,
    ) -> io::Result<()> {
        let key = request.header("sec-websocket-key").unwrap_or_default();
        let key = match &self.upgrade {
            Upgrade::Accept | Upgrade::AcceptNoSubprotocol | Upgrade::AcceptWith(_) => key,
            Upgrade::AcceptAnother => "dGhlIHNhbXBsZSBub25jZQ==",
            Upgrade::Refuse(status, body) => return respond(stream, *status, "", body),
            Upgrade::Echo => return respond(stream, 403, "", &request.head),
            Upgrade::Raw(bytes) => {
                stream.write_all(bytes)?;
                return listen_to_the_end(reader);
            }
            Upgrade::Drip => return drip(stream, reader),
            Upgrade::Nothing => return listen_to_the_end(reader),
        };
        // The algorithm of RFC 6455, section 4.2.2, is tungstenite's here and the harness's own there.
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        let selected = match &self.upgrade {
            Upgrade::AcceptNoSubprotocol => "",
            Upgrade::AcceptWith(lines) => lines,
            _ => "Sec-WebSocket-Protocol: jwt-auth\r\n",
        };
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{selected}\r\n"
        )?;
        let token = request.token().or_else(|| request.session());
        let email = token.and_then(|token| token.strip_prefix(TOKEN).map(str::to_owned)).unwrap_or_default();
        let head = request.head.clone();
        shared.answered(call, 101, selected, "");
        let mut talk = Talk {
            head,
            stream,
            reader,
            user: user_of(&email),
            email,
            call,
            kept: VecDeque::new(),
            shared: Arc::clone(shared),
        };
        (self.talking)(&mut talk)?;
        while talk.hear()?.is_some() {}
        Ok(())
    }
}

/// What every token begins with; the rest is the email it was made for. Its length is a multiple of three, so that its
/// base64 is the beginning of every token's base64.
pub const TOKEN: &str = "eyJhbGciOiI.by-hand-.";

/// The answer to a login of `email` as `user`.
pub fn login(email: &str, user: &str) -> String {
    json!({"access_token": format!("{TOKEN}{email}"), "user": {"id": user}}).to_string()
}

/// The id of the user with this email.
pub fn user_of(email: &str) -> String {
    format!("user-4f1c-{}", email.split('@').next().unwrap_or_default())
}

/// A site that serves until it is dropped.
pub struct Served {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Served {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// Waits until this many requests began with `text`.
    pub fn wait_for(&self, text: &str, times: usize) {
        let board = self.shared.board.lock().unwrap();
        let short =
            |board: &mut Board| board.requests.iter().filter(|request| request.starts_with(text)).count() < times;
        let (board, waited) = self.shared.changed.wait_timeout_while(board, PATIENCE, short).unwrap();
        assert!(!waited.timed_out(), "{text} never came {times} times: {:#?}", board.requests);
    }

    /// Every request in the order of arrival: head, line feed, body.
    pub fn requests(&self) -> Vec<String> {
        self.shared.board.lock().unwrap().requests.clone()
    }

    /// Everything that was said, request by request, as a browser's export has it.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.board.lock().unwrap().calls.clone()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    connections: AtomicUsize,
    board: Mutex<Board>,
    changed: Condvar,
}

#[derive(Default)]
struct Board {
    requests: Vec<String>,
    calls: Vec<Call>,
    /// Grows with everything that is said.
    ticks: u64,
    /// What was asked last, by user id.
    asks: BTreeMap<String, Ask>,
}

/// One request and what was answered, the frames of its socket included. Times are numbers that grow.
#[derive(Debug, Clone, Default)]
pub struct Call {
    pub head: String,
    pub body: String,
    pub begun: u64,
    pub done: u64,
    pub status: u16,
    /// Header lines of the answer, each ended by CR LF.
    pub lines: String,
    pub answer: String,
    /// Sent by the client or not, when, and the payload of text frames.
    pub frames: Vec<(bool, u64, String)>,
}

impl Shared {
    /// Notes a request; what is answered is told by its number.
    fn call(&self, request: &Request) -> usize {
        let mut call = 0;
        self.note(|board| {
            board.requests.push(format!("{}\n{}", request.head, request.body));
            board.ticks += 1;
            call = board.calls.len();
            let (head, body, begun) = (request.head.clone(), request.body.clone(), board.ticks);
            board.calls.push(Call { head, body, begun, done: begun, ..Call::default() });
        });
        call
    }

    fn answered(&self, call: usize, status: u16, lines: &str, body: &str) {
        self.note(|board| {
            board.ticks += 1;
            let (done, lines, answer) = (board.ticks, lines.to_owned(), body.to_owned());
            let call = &mut board.calls[call];
            *call = Call { done, status, lines, answer, ..std::mem::take(call) };
        });
    }

    fn said(&self, call: usize, sent: bool, text: &str) {
        self.note(|board| {
            board.ticks += 1;
            board.calls[call].frames.push((sent, board.ticks, text.to_owned()));
        });
    }

    fn note(&self, change: impl FnOnce(&mut Board)) {
        change(&mut self.board.lock().unwrap());
        self.changed.notify_all();
    }
}

/// A question as it came over the socket.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    pub prompt: String,
    pub thread: String,
    pub run: String,
}

/// One WebSocket, from the server's side.
pub struct Talk {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    /// The request for the socket.
    pub head: String,
    /// Who logged in, by the token.
    pub email: String,
    /// The id of that user.
    pub user: String,
    /// The number of that request.
    call: usize,
    /// What came while something else was waited for.
    kept: VecDeque<String>,
    shared: Arc<Shared>,
}

impl Talk {
    pub fn greet(&mut self) -> io::Result<()> {
        let greeting = json!({"type": "connection_established", "user_id": self.user});
        self.json(&greeting)
    }

    /// The application's own ping; waits for its answer.
    pub fn ping(&mut self) -> io::Result<()> {
        self.json(&json!({"type": "ping"}))?;
        while let Some(text) = self.hear()? {
            let message: Value = serde_json::from_str(&text)?;
            if message["type"] == "pong" {
                return Ok(());
            }
            // A question may come first.
            self.kept.push_back(text);
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// Waits for the question.
    pub fn ask(&mut self) -> io::Result<Ask> {
        while let Some(text) = self.kept.pop_front().map_or_else(|| self.hear(), |kept| Ok(Some(kept)))? {
            let message: Value = serde_json::from_str(&text)?;
            if message["type"] != "start_agent" {
                continue;
            }
            let field = |name: &str| message["payload"][name].as_str().unwrap_or_default().to_owned();
            let ask = Ask { prompt: field("user_request"), thread: field("thread_id"), run: field("run_id") };
            let user = self.user.clone();
            self.shared.note(|board| drop(board.asks.insert(user, ask.clone())));
            return Ok(ask);
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// Waits until this many users have asked, and returns what they asked, by user id.
    pub fn together(&self, users: usize) -> BTreeMap<String, Ask> {
        let board = self.shared.board.lock().unwrap();
        let waiting = self.shared.changed.wait_timeout_while(board, PATIENCE, |board| board.asks.len() < users);
        waiting.unwrap().0.asks.clone()
    }

    /// One event of a run, with more fields.
    pub fn event(&mut self, name: &str, ask: &Ask, more: Value) -> io::Result<()> {
        let mut event = json!({
            "type": name, "run_id": ask.run, "thread_id": ask.thread, "user_id": self.user, "agent_name": "supervisor",
        });
        let fields = event.as_object_mut().expect("a map");
        fields.extend(more.as_object().cloned().unwrap_or_default());
        self.json(&event)
    }

    /// Everything of a good run before its end.
    pub fn work(&mut self, ask: &Ask) -> io::Result<()> {
        self.event("agent_started", ask, json!({}))?;
        self.event("agent_thinking", ask, json!({"thought": "which services are they?"}))?;
        self.event("tool_executing", ask, json!({"tool_name": "cost_lookup"}))?;
        self.event("tool_completed", ask, json!({"tool_name": "cost_lookup"}))
    }

    /// Takes as long as a thought.
    pub fn think(&self) {
        pause(THOUGHT);
    }

    /// A whole good run.
    pub fn answer(&mut self, ask: &Ask) -> io::Result<()> {
        self.work(ask)?;
        self.think();
        self.complete(ask)
    }

    /// The good end of a run; the answer repeats the question, so that its mark comes back.
    pub fn complete(&mut self, ask: &Ask) -> io::Result<()> {
        let answer = format!("Compute is 61 % of it; cut idle machines first. You asked: {}", ask.prompt);
        self.event("agent_completed", ask, json!({"final_response": answer}))
    }

    pub fn json(&mut self, value: &Value) -> io::Result<()> {
        self.frame(0x81, value.to_string().as_bytes())
    }

    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.frame(0x81, text.as_bytes())
    }

    pub fn frame(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        if let (0x81, Ok(text)) = (first, std::str::from_utf8(payload)) {
            self.shared.said(self.call, false, text);
        }
        self.raw(&framed(first, payload))
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub fn close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        self.frame(0x88, &[&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// Ends the TCP connection without a word.
    pub fn hang_up(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Both)
    }

    /// The next text of the client; nothing once it has left. A close is answered, as RFC 6455, section 5.5.1, asks.
    pub fn hear(&mut self) -> io::Result<Option<String>> {
        loop {
            let mut head = [0; 2];
            match self.reader.read_exact(&mut head) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                read => read?,
            }
            let length = match head[1] & 0x7f {
                126 => self.number::<2>()?,
                127 => self.number::<8>()?,
                short => short.into(),
            };
            let mut mask = [0; 4];
            self.reader.read_exact(&mut mask)?;
            let mut payload = vec![0; length];
            self.reader.read_exact(&mut payload)?;
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            match head[0] & 0x0f {
                0x1 => {
                    let text = String::from_utf8(payload).map_err(io::Error::other)?;
                    self.shared.said(self.call, true, &text);
                    return Ok(Some(text));
                }
                0x8 => {
                    // The client may have gone already.
                    let _ = self.frame(0x88, &payload);
                    return Ok(None);
                }
                _ => {}
            }
        }
    }

    fn number<const N: usize>(&mut self) -> io::Result<usize> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
}

/// A request, read whole.
struct Request {
    head: String,
    path: String,
    body: String,
}

impl Request {
    fn read(reader: &mut impl BufRead) -> io::Result<Request> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let path = head.split_whitespace().nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default().to_owned();
        let mut request = Request { head, path, body: String::new() };
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        request.body = String::from_utf8_lossy(&body).into_owned();
        Ok(request)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The token in the offered subprotocol `jwt.TOKEN`.
    fn token(&self) -> Option<String> {
        let offered = self.header("sec-websocket-protocol")?.split(',').map(str::trim);
        let token = offered.filter_map(|offer| offer.strip_prefix("jwt.")).next()?;
        let bytes = URL_SAFE_NO_PAD.decode(token).or_else(|_| URL_SAFE.decode(token)).ok()?;
        String::from_utf8(bytes).ok()
    }

    /// The token in the cookie `session="2|TOKEN"`, quotes and all.
    fn session(&self) -> Option<String> {
        let mut cookies = self.header("cookie")?.split("; ");
        let value = cookies.find_map(|cookie| cookie.strip_prefix("session=\"2|"))?;
        value.strip_suffix('"').map(str::to_owned)
    }
}

/// An unmasked frame (RFC 6455, section 5.2): `first` holds the final bit and the opcode.
pub fn framed(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(length as u8),
        length @ 126..65_536 => {
            frame.push(126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

fn respond(mut stream: TcpStream, status: u16, lines: &str, body: &str) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status} Said So\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{lines}Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A byte whenever a short while passed in which the client did not leave.
fn drip(mut stream: TcpStream, mut reader: BufReader<TcpStream>) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    for byte in b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x')) {
        stream.write_all(&[*byte])?;
        match reader.read(&mut [0]) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            _ => break,
        }
    }
    Ok(())
}

fn listen_to_the_end(mut reader: BufReader<TcpStream>) -> io::Result<()> {
    io::copy(&mut reader, &mut io::sink()).map(drop)
}
