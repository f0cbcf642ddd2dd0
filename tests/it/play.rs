//! Plays a case before the judge: what its lines mean to the harness, and which findings each of them brings.
//!
//! It expects nothing; that is `trace_cases`'s.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldenpath::canary::Canary;
use goldenpath::check::{Conclusion, Judge, Judgement, Move, conclude};
use goldenpath::cli::load::{Loader, Overrides, Unset, Variables};
use goldenpath::expect::Expectations;
use goldenpath::finding::Finding;
use goldenpath::identity::{Connection, ExecutionId, Iteration, UserNumber};
use goldenpath::probe::{Door, Probe};
use goldenpath::target::NETRA;
use goldenpath::time::{Micros, Stamp};
use goldenpath::trace::{Content, Dial, Direction, Fact, Frame, NetFailure, Phase, StepOutcome};
use regex::Regex;
use serde_json::{Value, json};

use super::envelope::{Logical, Part, Wrap};
use super::notation::{self, Case, Received, Token, What, apart, yaml};

const EXECUTION: ExecutionId = ExecutionId(0x00c0_ffee);

/// What an agent answers unless a case says otherwise.
const ANSWER: &str = "Compute drives 60 % of the bill: stop the 3 idle nodes, which saves $120 a month.";

/// What is asked unless a case says otherwise.
const PROMPT: &str = "Which services drive our cloud bill, and what should we cut first? (ref ${canary})";

/// How often the harness looks for what came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Looks {
    /// Only where a deadline is due.
    Rarely,
    /// Several times between two lines.
    Often,
}

pub struct Judged {
    /// By line.
    pub findings: Vec<Vec<String>>,
    /// How many runs.
    pub asked: u64,
    pub judgement: Judgement,
    pub conclusion: Conclusion,
}

/// Plays `case` with its events in the envelope `wrap`.
pub fn judge(case: &Case, expect: &Arc<Expectations>, wrap: Wrap, looks: Looks) -> Judged {
    let group = |number: u32| case.groups.get(number as usize - 1).cloned();
    let users: Vec<User> = (1..=case.users).map(|number| User::new(number, group(number))).collect();
    let judge = Judge::new(Arc::clone(expect), EXECUTION);
    let mut stage = Stage { wrap, looks, judge, users, now: 0, looked: 0, place: String::new() };
    let (mut findings, mut known) = (Vec::new(), Vec::new());
    for line in &case.lines {
        stage.place = format!("{}:{}: {}", case.name, line.number, line.source);
        stage.play(line.user, &line.what);
        let all = shown(case, stage.judge.so_far());
        findings.push(apart(&known, &all).1);
        known = all;
    }
    let asked = stage.users.iter().map(|user| user.asked).sum();
    let judgement = stage.judge.finish();
    let conclusion = conclude(judgement.clone(), expect, false, None);
    let (explained, rest) = apart(&known, &shown(case, &conclusion.judgement));
    // The whole may explain what a line has shown.
    for finding in explained {
        let of = findings.iter_mut().rev().find_map(|of| Some((of.iter().position(|one| *one == finding)?, of)));
        of.map(|(index, of)| of.remove(index)).expect("it was shown by a line");
    }
    findings.last_mut().expect("an end").extend(rest);
    Judged { findings, asked, judgement, conclusion }
}

/// Every finding as the notation has it, in order of their codes.
fn shown(case: &Case, judgement: &Judgement) -> Vec<String> {
    let show = |finding: &Finding| {
        let of = finding.subject.user.filter(|_| case.users > 1).map(|user| format!("{user} ")).unwrap_or_default();
        format!("{of}{} {}", finding.deviation.rule(), finding.deviation.message())
    };
    judgement.findings.rules().flat_map(|(_, _, _, first)| first.iter().map(show).collect::<Vec<_>>()).collect()
}

/// One user of a case.
struct User {
    number: UserNumber,
    group: Option<String>,
    /// What the login called the user.
    id: String,
    iteration: u32,
    connection: u32,
    turn: u32,
    asked: u64,
    open: bool,
    /// At a door: which probe, and beside whom.
    door: Option<(Probe, Option<u32>)>,
}

impl User {
    fn new(number: u32, group: Option<String>) -> User {
        let id = format!("u-{number}");
        User {
            number: UserNumber(number),
            group,
            id,
            iteration: 0,
            connection: 0,
            turn: 0,
            asked: 0,
            open: false,
            door: None,
        }
    }

    fn run(&self) -> String {
        if self.asked <= 1 { format!("r-{}", self.number) } else { format!("r-{}.{}", self.number, self.asked) }
    }

    fn thread(&self) -> String {
        format!("t-{}", self.number)
    }

    fn mark(&self) -> String {
        Canary { execution: EXECUTION.0, user: self.number.0, iteration: self.iteration }.encode()
    }
}

/// A case as it is played before the judge; times are in milliseconds.
struct Stage {
    wrap: Wrap,
    looks: Looks,
    judge: Judge,
    users: Vec<User>,
    now: u64,
    /// When anybody looked last for what came.
    looked: u64,
    place: String,
}

/// Nothing that a profile waits for takes as long.
const FOR_EVER: u64 = 600_000;

/// How long after the line before each one happens.
const STEP: u64 = 10;

impl Stage {
    fn play(&mut self, user: Option<u32>, what: &What) {
        let numbers: Vec<usize> = match user {
            Some(number) => vec![number as usize - 1],
            None => (0..self.users.len()).collect(),
        };
        match what {
            What::Silence { ms, unread } => {
                self.now += ms;
                if !unread {
                    self.look();
                }
            }
            What::End => self.end(),
            What::Fact(words) => {
                let ready = [Token::Word("ready".to_owned())];
                let steps: Vec<Vec<Token>> = match &words[..] {
                    words if *words == ready => {
                        ["begins", "logs in", "upgraded", "greeted"].iter().map(|verb| verb_of(verb)).collect()
                    }
                    words => vec![words.to_vec()],
                };
                for step in steps {
                    self.tick();
                    numbers.iter().for_each(|index| self.fact(*index, &step));
                }
            }
            What::Received(Received::Run) => {
                for words in [
                    "agent_started triage",
                    "agent_thinking triage",
                    "tool_executing cost_lookup",
                    "tool_completed cost_lookup",
                    "agent_completed triage",
                ] {
                    self.tick();
                    numbers.iter().for_each(|index| self.event(*index, None, &verb_of(words)));
                }
            }
            What::Received(received) => {
                self.tick();
                numbers.iter().for_each(|index| match received {
                    Received::Text(text) => self.text(*index, text),
                    Received::Event { wrap, words } => self.event(*index, *wrap, words),
                    Received::Control(words) => self.control(*index, words),
                    Received::Run => {}
                });
            }
        }
    }

    fn tick(&mut self) {
        // Whatever was unread before is read with what comes now.
        self.now += STEP;
    }

    /// Everything that came up to now was read.
    fn look(&mut self) {
        if self.looks == Looks::Often {
            let room = self.now - self.looked;
            (0..7).for_each(|part| self.expire(self.looked + room * part / 7));
        }
        self.expire(self.now);
        self.looked = self.now;
    }

    fn expire(&mut self, until: u64) {
        self.users.iter().for_each(|user| self.judge.expire(user.number, stamp(until)));
    }

    fn tell(&mut self, index: usize, fact: &Fact) {
        self.judge.fact(self.users[index].number, fact);
        self.looked = self.now;
    }

    fn end(&mut self) {
        self.now += FOR_EVER;
        self.look();
        for index in 0..self.users.len() {
            let (open, connection) = (self.users[index].open, self.users[index].connection);
            if open && connection > 0 {
                self.tell(index, &Fact::Closed { connection: Connection(connection), at: stamp(self.now) });
            }
            if open {
                self.tell(index, &Fact::Ended { at: stamp(self.now) });
            }
        }
    }

    fn frame(&mut self, index: usize, direction: Direction, content: Content<'_>) {
        let (at, before) = (stamp(self.now), stamp(self.looked));
        let not_before = if direction == Direction::Received { before } else { at };
        let user = self.users[index].number;
        if self.looks == Looks::Often {
            [STEP, STEP / 2, 0].iter().for_each(|back| self.expire(self.looked.saturating_sub(*back)));
        }
        let connection = Connection(self.users[index].connection);
        self.judge.frame(user, &Frame { connection, direction, at, read_at: at, not_before, content });
        if direction == Direction::Received {
            self.looked = self.now;
            while matches!(self.judge.next_move(user), Move::Reply(_) | Move::Script(_)) {
                self.frame(index, Direction::Sent, Content::Text("{}".into()));
            }
        }
    }

    fn text(&mut self, index: usize, text: &str) {
        let text = self.filled(index, text);
        self.frame(index, Direction::Received, Content::Text(text.into()));
    }

    /// `${user}`, `${run}`, `${thread}`, `${canary}` of the receiver, or of the user whose number follows; in another form
    /// if that follows.
    fn filled(&self, index: usize, text: &str) -> String {
        static HOLE: LazyLock<Regex> = LazyLock::new(|| {
            let pattern =
                r"\$\{(user|run|thread|canary)(?: (\d+|elsewhere))?(?: (base64|capitals|escaped|first|rest))?\}";
            Regex::new(pattern).expect("a pattern")
        });
        let fill = |hole: &regex::Captures<'_>| {
            let other = hole.get(2).map(|number| number.as_str());
            if other == Some("elsewhere") {
                return Canary { execution: 7, user: 1, iteration: 1 }.encode();
            }
            let user = other.map_or(index, |number| number.parse::<usize>().expect("digits") - 1);
            let user = &self.users[user];
            let value = match &hole[1] {
                "user" => user.id.clone(),
                "run" => user.run(),
                "thread" => user.thread(),
                _ => user.mark(),
            };
            match hole.get(3).map(|form| form.as_str()) {
                Some("escaped") => value.bytes().map(|byte| format!("\\u{byte:04x}")).collect(),
                Some("first") => value[..20].to_owned(),
                Some("rest") => value[20..].to_owned(),
                Some("base64") => STANDARD.encode(format!("(ref {value})")),
                Some(_) => value.to_uppercase(),
                None => value,
            }
        };
        HOLE.replace_all(text, fill).into_owned()
    }

    fn event(&mut self, index: usize, wrap: Option<Wrap>, words: &[Token]) {
        let (kind, given, more) = notation::event(words);
        let user = &self.users[index];
        let id = format!("e-{}-{}", self.now, user.number);
        let mut usual = BTreeMap::from([
            (Part::EventId, json!(id)),
            (Part::User, json!(user.id)),
            (Part::Thread, json!(user.thread())),
            (Part::Run, json!(user.run())),
        ]);
        if kind == "agent_completed" {
            usual.insert(Part::Answer, json!(ANSWER));
        }
        let event = Logical { kind, given, usual, more, at_ms: self.now };
        let text = wrap.unwrap_or(self.wrap).render(&event).unwrap_or_else(|why| panic!("{}: {why}", self.place));
        self.text(index, &text);
    }

    fn control(&mut self, index: usize, words: &[Token]) {
        use Token::{Text, Word};
        let number = |word: &str| -> u64 { word.parse().unwrap_or_else(|_| panic!("{}: {word}", self.place)) };
        let word = |token: &Token| match token {
            Word(word) => word.clone(),
            other => panic!("{}: {other:?}", self.place),
        };
        let content = match (word(&words[0]).as_str(), &words[1..]) {
            ("close", [Word(code)]) => Content::Close { code: number(code) as u16, reason: "".into() },
            ("close", [Word(code), Text(reason)]) => {
                Content::Close { code: number(code) as u16, reason: self.filled(index, reason).into() }
            }
            ("lost", [Text(error)]) => Content::Lost { error: error.clone().into() },
            ("violation", [Text(why)]) => Content::Violation { why: why.clone().into() },
            ("too-large", [Word(limit)]) => Content::TooLarge { limit: number(limit) },
            ("binary", [Text(bytes)]) => Content::Binary(self.filled(index, bytes).into_bytes().into()),
            ("PING", []) => Content::Ping,
            ("PONG", []) => Content::Pong,
            _ => panic!("{}: no such frame", self.place),
        };
        self.frame(index, Direction::Received, content);
    }

    fn fact(&mut self, index: usize, words: &[Token]) {
        let at = stamp(self.now);
        let spoken: Vec<&str> = words
            .iter()
            .filter_map(|word| match word {
                Token::Word(word) => Some(word.as_str()),
                _ => None,
            })
            .collect();
        let said = words.iter().find_map(|word| match word {
            Token::Text(text) => Some(text.clone()),
            _ => None,
        });
        let body = self.filled(index, &said.clone().unwrap_or_default());
        let failure = |hung| NetFailure { doing: "connecting to netra".to_owned(), error: body.clone(), hung };
        let status = |word: &str| -> u16 { word.parse().unwrap_or_else(|_| panic!("{}: {word}", self.place)) };
        let refused = |code: &str| {
            let (status, why) = (status(code), "200 was expected".to_owned());
            StepOutcome::Refused { status, why, body: body.clone() }
        };
        let step = |phase, name: &str, outcome| {
            let sent = Stamp(at.0 - STEP * 1_000);
            Fact::Step { phase, name: name.to_owned(), sent, done: at, outcome }
        };
        let dial = |begun, outcome| Fact::Dialed { connection: Connection(1), begun, done: at, outcome };
        let before = Stamp(at.0 - STEP * 1_000);
        let (login, good) = ("POST /auth/login", StepOutcome::Good { status: 200 });
        let fact = match spoken[..] {
            ["begins"] | ["begins", "again" | "apart"] => {
                if let Some(group) = self.users[index].group.clone() {
                    self.tell(index, &Fact::Grouped { group, at });
                }
                let user = &mut self.users[index];
                user.iteration += 1;
                (user.open, user.turn) = (true, 0);
                Fact::Began {
                    iteration: Iteration(user.iteration),
                    scheduled: at,
                    at,
                    fresh: spoken.get(1) != Some(&"again"),
                    apart: spoken.get(1) == Some(&"apart"),
                }
            }
            ["listens"] => Fact::Listens { of: None, at },
            ["listens", "for", other] => {
                Fact::Listens { of: Some(UserNumber(other.parse().expect("a number of a user"))), at }
            }
            ["logs", "in"] => return self.logged_in(index, None, &step(Phase::Login, login, good)),
            ["logs", "in", "as", id] => return self.logged_in(index, Some(id), &step(Phase::Login, login, good)),
            ["login", "refused", code] => step(Phase::Login, login, refused(code)),
            ["login", "unanswered"] => step(Phase::Login, login, StepOutcome::Failed(failure(false))),
            ["prepare", "refused", code] => step(Phase::Prepare, "POST /websocket/ticket", refused(code)),
            ["history", "refused", code] => step(Phase::After, "GET /messages", refused(code)),
            ["history", "good"] => {
                self.tell(index, &step(Phase::After, "GET /messages", good));
                if body.is_empty() {
                    return;
                }
                Fact::Marked { name: "GET /messages".to_owned(), marks: vec![body], at }
            }
            ["history", "names"] => {
                self.tell(index, &step(Phase::After, "GET /messages", good));
                let words = body.split_whitespace().map(str::to_owned).collect();
                Fact::Named { name: "GET /messages".to_owned(), words, at }
            }
            ["ready", "names"] => {
                let words = body.split_whitespace().map(str::to_owned).collect();
                let fact = Fact::Named { name: "GET /health/ready".to_owned(), words, at };
                return self.judge.for_all(&fact);
            }
            ["cleanup", "refused", code] => step(Phase::Finally, "DELETE /thread", refused(code)),
            ["unready", code] => return self.judge.for_all(&step(Phase::Ready, "GET /health/ready", refused(code))),
            ["arrival", "dropped"] => return self.judge.for_all(&Fact::Dropped { scheduled: before, at }),
            ["harness", "late", time] => {
                let late = Micros::from_millis(notation::millis(&self.place, time));
                let (lasted, cpu) = (Micros::from_secs(1), None);
                return self.judge.for_all(&Fact::Pulse { at, lasted, late, latest: late, cpu });
            }
            ["upgraded"] => {
                let subprotocol = Some("jwt-auth".to_owned());
                self.dialed(index, dial(before, Dial::Upgraded { subprotocol, echo_fits: true, echo_strict: true }))
            }
            ["upgraded", "unoffered"] => {
                let subprotocol = Some("bearer".to_owned());
                self.dialed(index, dial(before, Dial::Upgraded { subprotocol, echo_fits: false, echo_strict: false }))
            }
            ["upgraded", "unselected"] | ["upgraded", "unselected", "strictly"] => {
                let echo_strict = spoken.len() == 3;
                self.dialed(index, dial(before, Dial::Upgraded { subprotocol: None, echo_fits: false, echo_strict }))
            }
            ["upgrade", "refused", code] => {
                let (status, headers) = (status(code), String::new());
                dial(before, Dial::Refused { status, headers, body: body.clone() })
            }
            ["upgrade", "refused", code, "head"] => {
                let (status, headers) = (status(code), body.replace("; ", "\r\n"));
                dial(before, Dial::Refused { status, headers, body: String::new() })
            }
            ["upgrade", "invalid"] => dial(before, Dial::Invalid { why: body.clone() }),
            ["upgrade", "hangs", time] => {
                self.now += notation::millis(&self.place, time);
                let fact = dial(at, Dial::Failed(failure(true)));
                let Fact::Dialed { connection, begun, outcome, .. } = fact else { return };
                Fact::Dialed { connection, begun, done: stamp(self.now), outcome }
            }
            ["upgrade", "unanswered"] => dial(before, Dial::Failed(failure(false))),
            ["knocks", probe, ref beside @ ..] => self.knocks(index, probe, beside),
            ["leaves"] => {
                self.users[index].door = None;
                Fact::Left { at }
            }
            ["spares", probe] => Fact::Spared { probe: self.probe(probe), why: body, at },
            ["reads", "marks"] => Fact::Marked { name: "GET /messages".to_owned(), marks: vec![body], at },
            ["reads", "good"] => step(Phase::Probe, "GET /messages", good),
            ["reads", "refused", code] => step(Phase::Probe, "GET /messages", refused(code)),
            ["greeted"] => return self.text(index, r#"{"type":"connection_ready","user_id":"${user}"}"#),
            ["asks"] => return self.asks(index, said.as_deref().unwrap_or(PROMPT), false),
            ["asks", "early"] => return self.asks(index, said.as_deref().unwrap_or(PROMPT), true),
            ["closes"] => Fact::Closed { connection: Connection(self.users[index].connection), at },
            ["interrupted"] => Fact::Interrupted { at },
            ["ends"] => {
                self.users[index].open = false;
                Fact::Ended { at }
            }
            _ => panic!("{}: nothing that a user does", self.place),
        };
        self.tell(index, &fact);
    }

    fn logged_in(&mut self, index: usize, id: Option<&str>, step: &Fact) {
        if let Some(id) = id {
            self.users[index].id = id.to_owned();
        }
        self.tell(index, step);
        let value = self.users[index].id.clone();
        self.tell(index, &Fact::Captured { name: "user_id".to_owned(), value, at: stamp(self.now) });
    }

    fn dialed(&mut self, index: usize, fact: Fact) -> Fact {
        let user = &mut self.users[index];
        user.connection += 1;
        match fact {
            Fact::Dialed { begun, done, outcome, .. } => {
                Fact::Dialed { connection: Connection(user.connection), begun, done, outcome }
            }
            other => other,
        }
    }

    fn probe(&self, name: &str) -> Probe {
        let found = Probe::ALL.into_iter().find(|probe| probe.name() == name);
        found.unwrap_or_else(|| panic!("{}: there is no probe {name}", self.place))
    }

    /// Goes to a door: `beside 1` while the run of user 1 goes on; `rightly` as the control; both as a control that is what the
    /// user `beside` does.
    fn knocks(&mut self, index: usize, probe: &str, how: &[&str]) -> Fact {
        let probe = self.probe(probe);
        let over_http = how.contains(&"over-http");
        let how: Vec<&str> = how.iter().copied().filter(|word| *word != "over-http").collect();
        let (beside, control) = match how[..] {
            [] => (None, false),
            ["rightly"] => (None, true),
            ["beside", user] => (user.parse().ok(), false),
            ["rightly", "beside", user] => (user.parse().ok(), true),
            _ => panic!("{}: nobody knocks so", self.place),
        };
        self.users[index].door = Some((probe, beside));
        let iteration = |number: u32| Iteration(self.users[number as usize - 1].iteration);
        let brought = match (probe, beside) {
            (Probe::ForeignThread | Probe::ForeignHistory, Some(number)) => vec![format!("t-{number}")],
            (Probe::ForeignRun, Some(number)) => vec![self.users[number as usize - 1].run()],
            _ => vec![],
        };
        let beside = beside.map(|number| (UserNumber(number), iteration(number)));
        let (with, at) = (probe.comes().to_owned(), stamp(self.now));
        let door = if over_http || probe == Probe::ForeignHistory { Door::Http } else { Door::Socket };
        Fact::Knocked { probe, door, control, with, brought, weak: false, beside, at }
    }

    fn asks_at_door(&mut self, index: usize, (probe, beside): (Probe, Option<u32>)) {
        let user = &self.users[index];
        let due = self.judge.next_move(user.number);
        assert_eq!(due, Move::Ask(0), "{}: the user may not ask at this door", self.place);
        let other = beside.map(|number| &self.users[number as usize - 1]);
        let run = other.filter(|_| probe == Probe::ForeignRun).map_or(format!("r-{}.door", user.number), User::run);
        let thread = other.filter(|_| probe == Probe::ForeignThread).unwrap_or(user).thread();
        let (run, thread, prompt) = (Some(run), Some(thread), self.filled(index, PROMPT));
        self.tell(index, &Fact::Asked { turn: 0, at: stamp(self.now), run, thread, prompt });
        self.frame(index, Direction::Sent, Content::Text("{}".into()));
    }

    fn asks(&mut self, index: usize, prompt: &str, early: bool) {
        if let Some(door) = self.users[index].door {
            return self.asks_at_door(index, door);
        }
        let user = &mut self.users[index];
        let turn = user.turn;
        user.turn += 1;
        user.asked += 1;
        let (run, thread) = (Some(user.run()), Some(user.thread()));
        let due = self.judge.next_move(user.number);
        let waits = if early { Move::Listen } else { Move::Ask(turn) };
        assert_eq!(due, waits, "{}: the user may not ask now", self.place);
        let prompt = self.filled(index, prompt);
        self.tell(index, &Fact::Asked { turn, at: stamp(self.now), run, thread, prompt });
        self.frame(index, Direction::Sent, Content::Text("{}".into()));
    }
}

fn verb_of(words: &str) -> Vec<Token> {
    words.split(' ').map(|word| Token::Word(word.to_owned())).collect()
}

fn stamp(ms: u64) -> Stamp {
    Stamp::ZERO + Micros::from_millis(ms)
}

// ---------------------------------------------------------------------------------------------------------------------
// Expectations

/// The scenario and profile of a case, compiled as the binary compiles files; each once.
pub fn expectations(case: &Case) -> Arc<Expectations> {
    static KNOWN: LazyLock<Mutex<BTreeMap<String, Arc<Expectations>>>> = LazyLock::new(Mutex::default);
    let key = format!("{} {:?} {} {}", case.users, case.groups, case.scenario, case.profile);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(known.entry(key).or_insert_with(|| Arc::new(compiled(case))))
}

fn compiled(case: &Case) -> Expectations {
    let folder = tempfile::tempdir().expect("a folder");
    let (profile, path) = (folder.path().join("netra.yaml"), folder.path().join("case.yaml"));
    let mut netra = yaml("netra.yaml", NETRA);
    overlay(&mut netra, &case.profile);
    let mut scenario = json!({
        "version": 1, "name": "case", "target": profile, "ask": { "prompt": PROMPT },
        "users": {
            "count": case.users, "email": "qa${user.number}@example.com",
            "password": { "env": "UNSET", "on_loopback": "x" },
        },
    });
    if !case.groups.is_empty() {
        // Those of one group may be one user.
        let rows: String = case.groups.iter().map(|group| format!("{group}@example.com,x,{group}\n")).collect();
        std::fs::write(folder.path().join("users.csv"), format!("email,password,group\n{rows}")).expect("a file");
        scenario["users"] = json!({ "count": case.users, "file": "users.csv" });
        scenario["expect"] = json!({ "isolation": { "between": "groups" } });
    }
    overlay(&mut scenario, &case.scenario);
    std::fs::write(&profile, netra.to_string()).expect("a file");
    std::fs::write(&path, scenario.to_string()).expect("a file");
    let mut loader = Loader::new(&Overrides::default(), Variables::new(), Unset::Warn);
    let loaded = loader.load(&path).unwrap_or_else(|mistakes| {
        let told: Vec<String> = mistakes.iter().map(|mistake| format!("{mistake:?}")).collect();
        panic!("{}: {}", case.name, told.join("\n"))
    });
    loaded.expectations()
}

/// Maps merge, everything else is replaced.
fn overlay(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                overlay(under.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}
