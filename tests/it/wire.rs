//! The third witness: hand-written conversations that the judge must accept and the embedded backend must reproduce.
//!
//! `tests/wire/README.md` describes the files; adding one adds a case. The client here speaks HTTP and WebSocket by hand on a
//! plain TCP stream, so that nothing of the session it is meant to check has a part in the proof.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use goldenpath::backend::{self, Delays, Envelope, Options, Script};
use goldenpath::canary::Canary;
use goldenpath::check::{ClaimKind, Conclusion, Judge, Move, Outcome, Verdict, conclude};
use goldenpath::cli::load::{Loader, Overrides, Unset, Variables};
use goldenpath::expect::Expectations;
use goldenpath::identity::{Connection, ExecutionId, Iteration, UserNumber};
use goldenpath::rule::{Concern, Severity};
use goldenpath::time::{Micros, Stamp};
use goldenpath::trace::{Content, Dial, Direction, Fact, Frame, Phase, StepOutcome};
use regex::Regex;
use serde_json::{Value, json};

/// The events that make a run a golden path.
const CRITICAL: [&str; 5] = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];

const EXECUTION: ExecutionId = ExecutionId(0x00c0_ffee);
const USER: UserNumber = UserNumber(1);

// ---------------------------------------------------------------------------------------------------------------------
// The claims

#[test]
fn the_judge_accepts_every_transcript() {
    for transcript in transcripts() {
        let lines: Vec<_> = transcript.lines.iter().collect();
        let conclusion = judged(&transcript, &expectations(transcript.turns), &lines, Fed::Whole);
        assert_eq!(failing(&conclusion), Vec::<String>::new(), "{transcript}");
        for concern in [Concern::Setup, Concern::Transport, Concern::Events, Concern::Answer] {
            let claim = conclusion.claims.iter().find(|claim| claim.kind == ClaimKind::About(concern));
            let claim = claim.unwrap_or_else(|| panic!("{transcript}: no claim about {concern:?}"));
            assert_eq!(claim.verdict, Verdict::Pass, "{transcript}: {} {}", claim.kind, claim.figures);
        }
        assert_eq!(conclusion.outcome, Outcome::Pass, "{transcript}");
        assert_eq!(conclusion.judgement.counts.runs_good, transcript.turns as u64, "{transcript}");
    }
}

#[test]
fn the_judge_accepts_no_transcript_that_lacks_a_critical_event_in_a_turn() {
    for transcript in transcripts() {
        let expect = expectations(transcript.turns);
        for turn in 1..=transcript.turns {
            for event in CRITICAL {
                let lacking = |line: &&Line| !(line.turn == turn && line.received() && line.kind() == event);
                let rest: Vec<_> = transcript.lines.iter().filter(lacking).collect();
                assert!(rest.len() < transcript.lines.len(), "{transcript}: turn {turn} has no {event}");
                let conclusion = judged(&transcript, &expect, &rest, Fed::UpToTheFailure);
                assert_eq!(conclusion.outcome, Outcome::Failed, "{transcript}: turn {turn} without {event}");
                assert!(!failing(&conclusion).is_empty(), "{transcript}: turn {turn} without {event}");
            }
        }
    }
}

#[test]
fn the_backend_reproduces_the_transcripts_that_are_marked() {
    let marked: Vec<_> = transcripts().into_iter().filter(|transcript| transcript.backend.is_some()).collect();
    assert!(marked.len() >= 3, "only {} transcripts are marked `backend: yes`", marked.len());
    for transcript in marked {
        reproduce(&transcript);
    }
}

#[test]
fn the_comparison_tells_frames_apart() {
    let compare = |wanted: Value, got: Value| {
        let mut names = Names::new("user-0123456789", EXECUTION);
        names.next_turn();
        fits(&wanted, &got, &mut names)
    };
    for (wanted, got, fine) in [
        (json!({"a": 1}), json!({"a": 1, "b": 2}), true),
        (json!({"a": 1, "b": 2}), json!({"a": 1}), false),
        (json!({"a": 1}), json!({"a": 2}), false),
        (json!({"a": null}), json!({"a": null}), true),
        (json!({"a": [1, 2]}), json!({"a": [1, 2, 3]}), false),
        (json!({"a": {}}), json!({"a": {"b": 1}}), true),
        (json!({"a": "<text>"}), json!({"a": "x"}), true),
        (json!({"a": "<text>"}), json!({"a": ""}), false),
        (json!({"a": "<text>"}), json!({"a": 1}), false),
        (json!({"a": "<number>"}), json!({"a": 1.5}), true),
        (json!({"a": "<number>"}), json!({"a": "1.5"}), false),
        (json!({"a": "<time>"}), json!({"a": "2025-09-07T10:00:00.25Z"}), true),
        (json!({"a": "<time>"}), json!({"a": "soon"}), false),
        (json!({"a": "<user>"}), json!({"a": "user-0123456789"}), true),
        (json!({"a": "<user>"}), json!({"a": "user-9876543210"}), false),
        (json!({"a": "<user:8>..."}), json!({"a": "user-012..."}), true),
        (json!({"a": "<run>"}), json!({"a": "somebody else's"}), false),
        (json!({"a": "<id>", "b": "<id>"}), json!({"a": "x", "b": "y"}), true),
        (json!({"a": "<id>", "b": "<id>"}), json!({"a": "x", "b": "x"}), false),
        (json!({"a": "<id:c>", "b": "<id:c>"}), json!({"a": "x", "b": "x"}), true),
        (json!({"a": "<id:c>", "b": "<id:c>"}), json!({"a": "x", "b": "y"}), false),
        (json!({"a": "<id:c>", "b": "<id:d>"}), json!({"a": "x", "b": "x"}), false),
    ] {
        assert_eq!(compare(wanted.clone(), got.clone()).is_ok(), fine, "{wanted} {got}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Transcripts

struct Transcript {
    name: String,
    /// How the backend must be told to speak; `None` if the conversation is for the judge only.
    backend: Option<Options>,
    turns: u32,
    heartbeats: bool,
    lines: Vec<Line>,
}

struct Line {
    number: usize,
    direction: Direction,
    /// How many asks stand up to here, this line included.
    turn: u32,
    frame: Value,
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tests/wire/{}", self.name)
    }
}

impl Line {
    fn received(&self) -> bool {
        self.direction == Direction::Received
    }

    fn kind(&self) -> &str {
        self.frame["type"].as_str().unwrap_or_default()
    }

    fn asks(&self) -> bool {
        !self.received() && self.kind() == "start_agent"
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire")
}

fn transcripts() -> Vec<Transcript> {
    let entries = std::fs::read_dir(folder()).expect("tests/wire is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(!paths.is_empty(), "no transcripts");
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Transcript {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a UTF-8 name").to_owned();
    let text = std::fs::read_to_string(path).expect("a readable transcript");
    let (mut header, mut lines, mut turn) = (BTreeMap::new(), Vec::new(), 0);
    for (number, line) in (1..).zip(text.lines()) {
        let direction = match line.get(..2) {
            _ if line.is_empty() || line.starts_with('#') => continue,
            Some("< ") => Direction::Received,
            Some("> ") => Direction::Sent,
            _ => {
                let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{name}:{number}: {line}"));
                assert!(lines.is_empty(), "{name}:{number}: the header stands before the first frame");
                assert!(header.insert(key, value.trim()).is_none(), "{name}:{number}: {key} stands twice");
                continue;
            }
        };
        let frame = serde_json::from_str(&line[2..]).unwrap_or_else(|error| panic!("{name}:{number}: {error}"));
        let mut line = Line { number, direction, turn, frame };
        turn += u32::from(line.asks());
        line.turn = turn;
        lines.push(line);
    }
    let mut take = |key: &str, default: &str| header.remove(key).unwrap_or(default).to_owned();
    let number = |key: &str, text: String| -> u64 { text.parse().unwrap_or_else(|_| panic!("{name}: {key}: {text}")) };
    let turns = number("turns", take("turns", "1"));
    assert_eq!(u64::from(turn), turns, "{name}: `turns` and the asks differ");
    let heartbeat_ms = number("heartbeat_ms", take("heartbeat_ms", "0"));
    let tool_work = Duration::from_millis(number("tool_ms", take("tool_ms", "1")));
    let script = Script {
        thinking_steps: number("thinking", take("thinking", "1")) as usize,
        tools: take("tools", "cost_lookup").split(", ").map(str::to_owned).collect(),
        delays: Delays { tool_work, ..Delays::every(Duration::from_millis(1)) },
        ..Script::default()
    };
    let envelope = match take("envelope", "flat").as_str() {
        "flat" => Envelope::Flat,
        "data" => Envelope::Data,
        "payload" => Envelope::Payload,
        other => panic!("{name}: envelope: {other}"),
    };
    let options = Options { envelope, script, heartbeat: Duration::from_millis(heartbeat_ms), ..Options::default() };
    let backend = match take("backend", "").as_str() {
        "yes" => Some(options),
        "no" => None,
        other => panic!("{name}: backend: {other:?} is neither yes nor no"),
    };
    assert!(header.is_empty(), "{name}: unknown keys in the header: {header:?}");
    Transcript { name, backend, turns: turn, heartbeats: heartbeat_ms > 0, lines }
}

// ---------------------------------------------------------------------------------------------------------------------
// Before the judge

/// Whether the conversation must go on to its last line.
#[derive(PartialEq)]
enum Fed {
    Whole,
    /// A user whose run did not end well asks nothing more.
    UpToTheFailure,
}

/// The netra profile with as many turns as asked, and nothing claimed but what is claimed anyway.
fn expectations(turns: u32) -> Arc<Expectations> {
    let folder = tempfile::tempdir().expect("a folder");
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/targets/netra.yaml");
    let ask: Vec<_> = (0..turns).map(|_| json!({ "prompt": "Why? (ref ${canary})" })).collect();
    let scenario = json!({
        "version": 1, "name": "wire", "target": profile, "ask": ask,
        "users": { "count": 1, "email": "qa@example.com", "password": { "env": "UNSET", "on_loopback": "x" } },
    });
    let path = folder.path().join("wire.yaml");
    std::fs::write(&path, scenario.to_string()).expect("a file");
    let mut loader = Loader::new(&Overrides::default(), Variables::new(), Unset::Warn);
    let loaded = loader.load(&path).unwrap_or_else(|diagnostics| panic!("{diagnostics:?}"));
    Arc::new(loaded.expectations())
}

/// Feeds the lines 10 ms apart and concludes.
fn judged(transcript: &Transcript, expect: &Arc<Expectations>, lines: &[&Line], fed: Fed) -> Conclusion {
    let mut names = Names::new("user-0123456789", EXECUTION);
    let mut judge = Judge::new(Arc::clone(expect), EXECUTION);
    let mut now = Stamp::ZERO;
    let mut tick = || {
        now = now + Micros::from_millis(10);
        now
    };
    let tell = |judge: &mut Judge, fact: Fact| judge.fact(USER, &fact);
    let (began, logged_in, upgraded) = (tick(), tick(), tick());
    tell(&mut judge, Fact::Began { iteration: Iteration(1), scheduled: began, at: began, fresh: true, apart: false });
    let (name, outcome) = ("POST /auth/login".to_owned(), StepOutcome::Good { status: 200 });
    tell(&mut judge, Fact::Step { phase: Phase::Login, name, sent: began, done: logged_in, outcome });
    tell(&mut judge, Fact::Captured { name: "user_id".into(), value: names.user.clone(), at: logged_in });
    let outcome = Dial::Upgraded { subprotocol: Some("jwt-auth".into()), echo_fits: true, echo_strict: false };
    tell(&mut judge, Fact::Dialed { connection: Connection(1), begun: logged_in, done: upgraded, outcome });
    let mut before = upgraded;
    for line in lines {
        let at = tick();
        judge.expire(USER, before);
        if line.asks() {
            let may = judge.next_move(USER) == Move::Ask(line.turn - 1);
            if !may && fed == Fed::UpToTheFailure {
                break;
            }
            assert!(may, "{transcript}:{}: the user may not ask: {:?}", line.number, judge.next_move(USER));
            names.next_turn();
            let (run, thread) = (Some(names.run.clone()), Some(names.thread.clone()));
            tell(&mut judge, Fact::Asked { turn: line.turn - 1, at, run, thread, prompt: "why?".into() });
        }
        if line.kind() == "pong" && !line.received() {
            let due = judge.next_move(USER);
            assert!(matches!(due, Move::Reply(_)), "{transcript}:{}: no reply is due: {due:?}", line.number);
        }
        let text = filled(&line.frame, &mut names).to_string();
        let not_before = if line.received() { before } else { at };
        let (connection, content) = (Connection(1), Content::Text(text.into()));
        let frame = Frame { connection, direction: line.direction, at, read_at: at, not_before, content };
        judge.frame(USER, &frame);
        before = at;
    }
    // Longer than any timeout of the profile and any default.
    let end = before + Micros::from_secs(600);
    judge.expire(USER, end);
    judge.fact(USER, &Fact::Closed { connection: Connection(1), at: end });
    judge.fact(USER, &Fact::Ended { at: end });
    conclude(judge.finish(), expect, false, None)
}

/// The findings that fail a claim, a line each.
fn failing(conclusion: &Conclusion) -> Vec<String> {
    let rules = conclusion.judgement.findings.rules().filter(|(rule, ..)| rule.severity() == Severity::Failure);
    rules
        .flat_map(|(rule, _, _, findings)| {
            findings.iter().map(move |finding| format!("{} {}", rule.code(), finding.deviation.message()))
        })
        .collect()
}

// ---------------------------------------------------------------------------------------------------------------------
// Before the backend

fn reproduce(transcript: &Transcript) {
    let options = transcript.backend.clone().expect("a transcript for the backend");
    let backend = backend::start(options).expect("a backend");
    let mut client = Client::connect(backend.address());
    let mut names = Names::new(&client.user, EXECUTION);
    for line in &transcript.lines {
        if !line.received() {
            if line.asks() {
                names.next_turn();
            }
            client.send(&filled(&line.frame, &mut names).to_string());
            continue;
        }
        loop {
            let got = client.receive();
            let got: Value = serde_json::from_str(&got).expect("a frame of JSON");
            // Pings come by the clock, so there may be more of them than one line can say.
            if transcript.heartbeats && got["type"] == "ping" && line.kind() != "ping" {
                continue;
            }
            let differs = fits(&line.frame, &got, &mut names).err();
            assert_eq!(differs, None, "{transcript}:{}: {}\ngot {got}", line.number, line.frame);
            break;
        }
    }
    drop(client);
    backend.stop();
}

/// A WebSocket client as small as RFC 6455 allows: whole text frames, no extensions.
struct Client {
    stream: TcpStream,
    /// Read and not yet used.
    ahead: Vec<u8>,
    /// The user's id as the login told it.
    user: String,
}

impl Client {
    /// Logs in and upgrades.
    fn connect(address: SocketAddr) -> Client {
        let body = json!({ "email": "wire@example.com", "password": backend::DEFAULT_PASSWORD }).to_string();
        let mut login = dial(address);
        let length = body.len();
        write!(
            login,
            "POST /auth/login HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
        .expect("the login is written");
        let mut answer = String::new();
        login.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
        let bundle: Value = serde_json::from_str(body).expect("a token bundle");
        let token = bundle["access_token"].as_str().expect("a token");
        let user = bundle["user"]["id"].as_str().expect("a user id").to_owned();

        let mut stream = dial(address);
        // Key and answer are those of RFC 6455, section 1.3.
        write!(
            stream,
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: jwt-auth, jwt.{}\r\n\r\n",
            URL_SAFE_NO_PAD.encode(token)
        )
        .expect("the upgrade is written");
        let mut client = Client { stream, ahead: Vec::new(), user };
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(client.take(1));
        }
        let head = String::from_utf8(head).expect("a head of text").to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        for header in ["sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=", "sec-websocket-protocol: jwt-auth\r"] {
            assert!(head.contains(header), "{head}");
        }
        client
    }

    /// One text frame, masked as a client must (RFC 6455, section 5.3).
    fn send(&mut self, text: &str) {
        const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let mut frame = vec![0x81];
        match u16::try_from(text.len()) {
            Ok(length @ ..126) => frame.push(0x80 | length as u8),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => panic!("a transcript needs no frame of {} bytes", text.len()),
        }
        frame.extend(MASK);
        frame.extend(text.bytes().zip(MASK.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame).expect("a frame is written");
    }

    /// The next frame, which must be one whole text (RFC 6455, section 5.2).
    fn receive(&mut self) -> String {
        let head = self.take(2);
        assert_eq!(head[0], 0x81, "not a whole text frame");
        let length = match head[1] {
            126 => u16::from_be_bytes(self.take(2).try_into().expect("two bytes")).into(),
            127 => u64::from_be_bytes(self.take(8).try_into().expect("eight bytes")),
            length => length.into(),
        };
        assert!(length < 1 << 20, "a frame of {length} bytes, or one that is masked");
        String::from_utf8(self.take(length as usize)).expect("text")
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            let mut piece = [0; 4096];
            let read = self.stream.read(&mut piece).expect("more to read in time");
            assert!(read > 0, "the backend ended the connection");
            self.ahead.extend(&piece[..read]);
        }
        let rest = self.ahead.split_off(count);
        std::mem::replace(&mut self.ahead, rest)
    }
}

fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
    stream
}

// ---------------------------------------------------------------------------------------------------------------------
// Placeholders

/// What the placeholders of one conversation stand for.
struct Names {
    user: String,
    thread: String,
    run: String,
    canary: String,
    turn: u32,
    /// The values of named ids.
    named: BTreeMap<String, String>,
    /// All ids that stood anywhere.
    ids: BTreeSet<String>,
}

impl Names {
    fn new(user: &str, execution: ExecutionId) -> Names {
        Names {
            user: user.to_owned(),
            thread: "thread-7f3a91c2".to_owned(),
            run: String::new(),
            canary: Canary { execution: execution.0, user: USER.0, iteration: 1 }.encode(),
            turn: 0,
            named: BTreeMap::new(),
            ids: BTreeSet::new(),
        }
    }

    fn next_turn(&mut self) {
        self.turn += 1;
        self.run = format!("run-{}-5be2d804", self.turn);
    }

    /// What a placeholder stands for if that is known; `None` for those that leave it open.
    fn known(&self, placeholder: &str) -> Option<&str> {
        Some(match placeholder {
            "user" => &self.user,
            "user:8" => &self.user[..8],
            "thread" => &self.thread,
            "run" => &self.run,
            "canary" => &self.canary,
            other => self.named.get(other)?,
        })
    }

    /// An id that has not stood anywhere before.
    fn fresh(&mut self, id: &str) -> Result<(), String> {
        if self.ids.insert(id.to_owned()) { Ok(()) } else { Err(format!("the id {id} comes again")) }
    }
}

static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"<(user:8|user|thread|run|canary|id:[a-z]+|id|text|time|number)>").expect("a pattern")
});

/// The frame with every placeholder filled in by an invented value.
fn filled(frame: &Value, names: &mut Names) -> Value {
    match frame {
        Value::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), filled(value, names))).collect(),
        Value::Array(items) => items.iter().map(|item| filled(item, names)).collect(),
        Value::String(text) if text == "<number>" => json!(1_757_239_200.25),
        Value::String(text) => {
            let mut done = String::new();
            let mut from = 0;
            for hole in PLACEHOLDER.captures_iter(text) {
                let (whole, name) = (hole.get(0).expect("a match"), &hole[1]);
                done.push_str(&text[from..whole.start()]);
                from = whole.end();
                if let Some(known) = names.known(name) {
                    done.push_str(known);
                    continue;
                }
                match name {
                    "text" => done.push_str("Cut the idle nodes and save 1200 dollars a month."),
                    "time" => done.push_str("2025-09-07T10:00:01Z"),
                    _ => {
                        let id = format!("id-{:08x}", 0x9e37_79b9_u32.wrapping_mul(names.ids.len() as u32 + 1));
                        names.fresh(&id).expect("an id of our own making is new");
                        if name != "id" {
                            names.named.insert(name.to_owned(), id.clone());
                        }
                        done.push_str(&id);
                    }
                }
            }
            Value::String(done + &text[from..])
        }
        other => other.clone(),
    }
}

/// Whether `got` has all that `wanted` shows; what is different otherwise.
fn fits(wanted: &Value, got: &Value, names: &mut Names) -> Result<(), String> {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            for (key, value) in wanted {
                let there = got.get(key).ok_or_else(|| format!("no {key}"))?;
                fits(value, there, names).map_err(|why| format!("{key}: {why}"))?;
            }
            Ok(())
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            wanted.iter().zip(got).try_for_each(|(wanted, got)| fits(wanted, got, names))
        }
        (Value::String(wanted), Value::Number(_)) if wanted == "<number>" => Ok(()),
        (Value::String(wanted), Value::String(got)) if wanted != "<number>" => fits_text(wanted, got, names),
        (wanted, got) if wanted == got => Ok(()),
        (wanted, got) => Err(format!("{got} where {wanted} belongs")),
    }
}

fn fits_text(wanted: &str, got: &str, names: &mut Names) -> Result<(), String> {
    let (mut pattern, mut from, mut open) = (String::from("(?s)^"), 0, Vec::new());
    for hole in PLACEHOLDER.captures_iter(wanted) {
        let (whole, name) = (hole.get(0).expect("a match"), &hole[1]);
        pattern.push_str(&regex::escape(&wanted[from..whole.start()]));
        from = whole.end();
        match (names.known(name), name) {
            (Some(known), _) => pattern.push_str(&regex::escape(known)),
            (None, "text") => pattern.push_str(".+"),
            (None, "time") => pattern.push_str(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"),
            (None, name) => {
                pattern.push_str(&format!("(?<i{}>.+)", open.len()));
                open.push(name.to_owned());
            }
        }
    }
    pattern.push_str(&regex::escape(&wanted[from..]));
    pattern.push('$');
    let pattern = Regex::new(&pattern).expect("a pattern");
    let found = pattern.captures(got).ok_or_else(|| format!("{got:?} where {wanted:?} belongs"))?;
    for (index, name) in open.into_iter().enumerate() {
        let id = &found[format!("i{index}").as_str()];
        names.fresh(id)?;
        if name != "id" {
            names.named.insert(name, id.to_owned());
        }
    }
    Ok(())
}
