//! One user's line to the target: what is heard on its connection and sent there, and that its judge learns of both.
//!
//! What was heard is handed on without secrets, in the order in which it arrived, and what the profile takes from frames is taken
//! here, before they are gone. What to do next is the judge's to say and `user`'s to do.

use std::borrow::Cow;
use std::collections::VecDeque;

use litemap::LiteMap;

use super::alarm::Alarm;
use super::steps::{Captured, json_of};
use super::transport::{Received, Socket};
use super::user::Bench;
use super::values::Values;
use crate::check::decode;
use crate::check::{Heard, Judge, Move};
use crate::document::text::Lookup;
use crate::engine::Stage;
use crate::event::Extract;
use crate::expect::{Matcher, Segment};
use crate::identity::{Connection, UserNumber};
use crate::secret::Scrubber;
use crate::target::{Capture, Message, Place, ScriptStep};
use crate::time::{Micros, Stamp};
use crate::trace::{Content, Direction, Fact, Frame, Observed};

/// How long to wait for the target to hang up after our good-bye.
pub(super) const GOOD_BYE: Micros = Micros::from_millis(500);

/// One user's connection and judge.
pub(super) struct Line<'a> {
    pub bench: &'a Bench<'a>,
    pub number: UserNumber,
    pub connection: Connection,
    pub socket: Option<Box<Socket>>,
    /// A frame that ends the connection was heard.
    pub dead: bool,
    /// The target did not take what was sent last.
    stuck: bool,
    /// What was taken from frames that the script waited for, to be adopted by the user.
    pub greeted: Vec<Captured>,
    /// What was taken from each frame that is to be answered.
    replies: VecDeque<Vec<Captured>>,
    /// What the judge was told of the user's own values: a few names.
    told: LiteMap<String, String>,
    /// Rings when silence means something.
    alarm: Alarm,
}

impl<'a> Line<'a> {
    pub fn new(bench: &'a Bench<'a>, number: UserNumber) -> Line<'a> {
        Line {
            bench,
            number,
            connection: Connection(0),
            socket: None,
            dead: false,
            stuck: false,
            greeted: Vec::new(),
            replies: VecDeque::new(),
            // Its email and its id.
            told: LiteMap::with_capacity(2),
            alarm: Alarm::default(),
        }
    }

    /// The connection `socket` stands, or none does.
    pub fn connect(&mut self, socket: Option<Box<Socket>>) {
        self.dead = false;
        self.stuck = false;
        self.socket = socket;
        self.replies.clear();
    }

    /// Hears the next frame, or the judge's deadline if nothing comes before.
    pub async fn listen(&mut self) {
        let deadline = self.bench.judge.borrow().next_deadline(self.number);
        let clock = self.bench.net.clock;
        let silence = self.alarm.at(deadline.map(|deadline| clock.instant_of(deadline)));
        let Some(socket) = &mut self.socket else { return silence.await };
        let heard = tokio::select! {
            biased;
            received = socket.next() => Some(received),
            () = silence => None,
        };
        match heard {
            Some(received) => self.hear(&received),
            None => self.hush().await,
        }
    }

    /// A deadline has come: what arrived before goes first, then time may pass.
    async fn hush(&mut self) {
        let until = self.now();
        if self.catch_up(until).await {
            self.judged(&Observed::Quiet(until));
        }
    }

    /// Hears everything that arrived up to `until`, which is not later than now. Says whether nothing more was heard: a frame
    /// from after `until` lets that time pass by itself.
    pub async fn catch_up(&mut self, until: Stamp) -> bool {
        while let Some(socket) = &mut self.socket {
            let Some(received) = socket.next_arrived().await else { break };
            self.hear(&received);
            // A target that never stops speaking would be listened to for ever.
            if received.not_before >= until {
                return false;
            }
        }
        true
    }

    fn hear(&mut self, received: &Received) {
        self.bench.mission.progress.add(Stage::Frame, 1);
        let content = received.content();
        let mut taken = self.taken(&content);
        for captured in taken.iter().flat_map(|(_, captured)| captured) {
            self.bench.guard(captured, Some(self.number.0));
        }
        let scrubber = self.bench.scrubber();
        let content = match content {
            Content::Text(text) => Content::Text(scrub(&scrubber, text)),
            Content::Binary(bytes) => match std::str::from_utf8(&bytes).map(|text| scrubber.scrub(text)) {
                Ok(Cow::Owned(clean)) => Content::Binary(Cow::Owned(clean.into_bytes())),
                Ok(Cow::Borrowed(_)) | Err(_) => Content::Binary(bytes),
            },
            Content::Close { code, reason } => Content::Close { code, reason: scrub(&scrubber, reason) },
            Content::Lost { error } => Content::Lost { error: scrub(&scrubber, error) },
            Content::Violation { why } => Content::Violation { why: scrub(&scrubber, why) },
            other @ (Content::Ping | Content::Pong | Content::TooLarge { .. }) => other,
        };
        drop(scrubber);
        self.dead |= content.ends_connection();
        let frame = received.frame(content);
        self.judged(&Observed::Frame(frame));
        if self.bench.mission.profile.takes_from_frames() {
            let heard = self.bench.judge.borrow().heard(self.number);
            for heard in heard {
                // The first of the parts for which the judge may have meant it.
                let at = taken.iter().position(|(rule, _)| *rule == heard);
                let captured = at.map(|at| taken.remove(at).1).unwrap_or_default();
                match heard {
                    Heard::Awaited(_) => self.greeted.extend(captured),
                    Heard::Answered(_) => self.replies.push_back(captured),
                }
            }
        }
    }

    /// What the profile takes from a frame, for each rule that may hold of one of its events.
    fn taken(&self, content: &Content<'_>) -> Vec<(Heard, Vec<Captured>)> {
        let mission = self.bench.mission;
        let (profile, expect) = (&mission.profile, &mission.expect);
        let mut taken = Vec::new();
        if !profile.takes_from_frames() {
            return taken;
        }
        let text = match content {
            Content::Text(text) => &**text,
            Content::Binary(bytes) if expect.dialect.binary => std::str::from_utf8(bytes).unwrap_or_default(),
            _ => return taken,
        };
        let own = |name: &str| self.told.get(name).cloned();
        decode::each(&expect.dialect, text, &own, &mut |extract, text| {
            let mut take = |heard: Heard, when: &Matcher, captures: &[Capture]| {
                if when.holds(extract, text) {
                    taken.push((heard, captured(captures, extract)));
                }
            };
            for (index, (step, expected)) in profile.connect.script.iter().zip(&expect.script).enumerate() {
                if let (ScriptStep::Wait(captures), crate::expect::ScriptStep::Wait { when, .. }) = (step, expected) {
                    take(Heard::Awaited(index), when, captures);
                }
            }
            for (index, (reply, rule)) in profile.replies.iter().zip(&expect.heartbeats).enumerate() {
                if let Some(reply) = reply {
                    take(Heard::Answered(index), &rule.when, &reply.captures);
                }
            }
        });
        taken
    }

    /// Answers a frame.
    pub async fn reply(&mut self, rule: usize, values: &Values) {
        let captured = self.replies.pop_front().unwrap_or_default();
        let profile = &self.bench.mission.profile;
        if let Some(Some(reply)) = profile.replies.get(rule) {
            values.count_message();
            let mine = |name: &str| captured.iter().find(|captured| captured.name == name);
            let lookup = |name: &str| match mine(name) {
                Some(captured) => Some((&captured.value).into()),
                None => values.get(name),
            };
            let text = rendered(&reply.message, &lookup);
            // There may be thousands to answer; a target that takes no answer is waited for once.
            let patience = if self.stuck { Micros::ZERO } else { self.bench.mission.expect.timeouts.connect };
            self.write(self.now(), text, patience).await;
        }
    }

    /// Tells what the judge compares frames with, as far as it is known and new.
    pub fn tell_own(&mut self, values: &Values) {
        for (name, text) in &self.bench.mission.profile.own {
            let Ok(value) = text.render(&|name| values.get(name)) else { continue };
            self.tell_once(name, &value);
        }
    }

    /// Tells a value of the user's own, if it is new.
    pub fn tell_once(&mut self, name: &str, value: &str) {
        let scrubber = self.bench.scrubber();
        let value = scrubber.scrub(value);
        if self.told.get(name).is_none_or(|told| *told != value) {
            let value = value.into_owned();
            drop(scrubber);
            self.told.insert(name.to_owned(), value.clone());
            self.tell(Fact::Captured { name: name.to_owned(), value, at: self.now() });
        }
    }

    /// Writes a message. A write that fails is not told: the reading side will hear why.
    pub async fn send(&mut self, at: Stamp, text: String) {
        self.write(at, text, self.bench.mission.expect.timeouts.connect).await;
    }

    async fn write(&mut self, at: Stamp, text: String, patience: Micros) {
        self.sent(at, &text);
        // A target that does not take it must not keep a deadline from passing; what is not taken goes out with the next one.
        let deadline = self.bench.judge.borrow().next_deadline(self.number);
        let within = deadline.map_or(patience, |deadline| patience.min(deadline.since(at)));
        if let Some(socket) = &mut self.socket {
            self.stuck = socket.send_text(text, within).await.is_err_and(|failure| failure.hung);
        }
    }

    /// Tells what is being sent.
    fn sent(&self, at: Stamp, text: &str) {
        let frame = Frame {
            connection: self.connection,
            direction: Direction::Sent,
            at,
            read_at: at,
            not_before: at,
            content: Content::Text(self.bench.scrubber().scrub(text)),
        };
        self.judged(&Observed::Frame(frame));
    }

    /// Takes leave and closes the connection, if there is one.
    pub async fn hang_up(&mut self, values: &Values) {
        if self.socket.is_some() && !self.dead {
            for message in &self.bench.mission.profile.leave {
                values.count_message();
                // As with clean-up, what names something that never came to be is left out.
                if let Some(text) = filled(message, &|name| values.get(name)) {
                    self.send(self.now(), text).await;
                }
            }
        }
        if let Some(socket) = self.socket.take() {
            if !self.dead {
                self.tell(Fact::Closed { connection: socket.connection(), at: self.now() });
            }
            self.dead = false;
            Box::pin(socket.close(GOOD_BYE)).await;
        }
    }

    pub fn now(&self) -> Stamp {
        self.bench.net.clock.now()
    }

    pub fn next_move(&self) -> Move {
        self.bench.judge.borrow().next_move(self.number)
    }

    pub fn tell(&self, fact: Fact) {
        self.judged(&Observed::Fact(fact));
    }

    /// Lets the judge see something, whoever watches what came of it, and the recorder both.
    fn judged(&self, observed: &Observed<'_>) {
        let mut judge = self.bench.judge.borrow_mut();
        judge.observe(self.number, observed);
        let after = Watched::of(&judge);
        let before = self.bench.watched.replace(after);
        if after.findings > before.findings {
            self.bench.count_findings(&judge);
            self.bench.end_on_findings(&judge);
        }
        drop(judge);
        self.bench.record(Some(self.number), observed);
        let progress = &self.bench.mission.progress;
        progress.settled(self.number, after.runs - before.runs);
        // One thing shown ends one run at most.
        if after.good > before.good {
            progress.took(Micros(after.took_us - before.took_us));
        }
    }
}

/// The text of a message. Which names have a value here was checked before any traffic.
pub(super) fn rendered<'l>(message: &Message, lookup: &Lookup<'l>) -> String {
    filled(message, lookup).unwrap_or_default()
}

/// The text of a message; `None` while a name in it has no value.
fn filled<'l>(message: &Message, lookup: &Lookup<'l>) -> Option<String> {
    match message {
        Message::Json(json) => json.render(lookup).ok(),
        Message::Text(text) => text.render(lookup).ok(),
    }
}

/// What `captures` find in an event.
fn captured(captures: &[Capture], extract: &Extract<'_>) -> Vec<Captured> {
    let taken = captures.iter().filter_map(|Capture { name, secret, at, .. }| match at {
        Place::Body(at) => {
            let value = extract.first(at).and_then(json_of)?;
            Some(Captured { name: name.clone(), value, secret: *secret })
        }
        // A frame has neither.
        Place::Header(_) | Place::Cookie(_) | Place::Part(..) => None,
    });
    taken.collect()
}

/// What a judge has seen that is looked at while it goes on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watched {
    findings: u64,
    runs: u64,
    /// Runs that ended well, and how long they took together.
    good: u64,
    took_us: u64,
}

impl Watched {
    fn of(judge: &Judge) -> Watched {
        let seen = judge.so_far();
        let good = seen.segments.get(Segment::Run).map(|latencies| (latencies.latest.len(), latencies.latest.sum()));
        let (good, took_us) = good.unwrap_or_default();
        Watched {
            findings: seen.findings.total() + seen.ledger.marks.len() as u64,
            runs: seen.counts.runs,
            good,
            took_us,
        }
    }
}

/// Without secrets, and without a copy where there are none.
fn scrub<'t>(scrubber: &Scrubber, text: Cow<'t, str>) -> Cow<'t, str> {
    match text {
        Cow::Borrowed(text) => scrubber.scrub(text),
        Cow::Owned(text) => Cow::Owned(scrubber.scrub(&text).into_owned()),
    }
}
