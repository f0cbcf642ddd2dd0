//! The rungs of a user: what the product's own user met and its judge said, told one by one.
//!
//! Everything here is read from what the judge was told (as a recording holds it) and from the report; nothing is judged anew.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};

use super::{Rung, carriers, quoted};
use crate::cli::load::{Loaded, Variables};
use crate::finding::counted;
use crate::identity::UserNumber;
use crate::report::{FindingGroup, Report};
use crate::rule::{Rule, Severity};
use crate::session::recorder::{Keep, Tapes};
use crate::target::{Profile, ScriptStep, Step};
use crate::trace::recording::{self, Kind, Line, Part, Reader};
use crate::trace::{Content, Dial, Direction, Fact, Observed, Phase, StepOutcome};

/// The rung of the upgrade to a WebSocket.
const UPGRADE: &str = "upgrade";
/// The rung of what happens on a fresh connection.
const GREETING: &str = "greeting";
/// The rung of a session that is refreshed, in the end, so that it makes good nothing of what the login gave. It is there where
/// the profile says how.
const REFRESH: &str = "refresh";
/// All other rungs of a user.
const RUNGS: [&str; 7] = ["ready", "login", "prepare", UPGRADE, "echo", GREETING, "ask"];
/// How many of them need no socket.
pub const BEFORE_SOCKET: usize = 3;

/// Frames that are shown at a broken rung: the last ones.
const FRAMES: usize = 6;
/// Of each line of the wire so many bytes are shown.
const LINE: usize = 400;

/// All rungs of a user.
pub fn all(profile: &Profile) -> Vec<&'static str> {
    RUNGS.into_iter().chain(profile.refresh.as_ref().map(|_| REFRESH)).collect()
}

/// Hears what the judge is told.
#[derive(Default)]
pub struct Heard {
    blocks: Arc<Mutex<Vec<u8>>>,
}

/// What one user met.
pub struct Visited {
    /// What the judge said of it.
    pub report: Report,
    /// In order; readiness first, which is nobody's.
    pub seen: Vec<(Option<UserNumber>, Observed<'static>)>,
}

impl Heard {
    /// Where to tell it.
    pub fn tapes(&self) -> Arc<Tapes> {
        let blocks = Arc::clone(&self.blocks);
        let append = move |block: &[u8]| blocks.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(block);
        Arc::new(Tapes::new(Keep::All, append))
    }

    /// Everything that was told, with the report that came of it.
    pub fn visited(self, report: Report) -> anyhow::Result<Visited> {
        let header = recording::encode(Kind::Header, b"{}").context("a recording cannot be begun")?;
        let mut bytes = [recording::preface().to_vec(), header].concat();
        bytes.extend_from_slice(&self.blocks.lock().unwrap_or_else(PoisonError::into_inner));
        let unreadable = |why: recording::Unreadable| anyhow!("what was just recorded {why}");
        let mut reader = Reader::open(bytes.as_slice()).map_err(unreadable)?;
        let mut seen = Vec::new();
        while let Some(part) = reader.next_part().map_err(unreadable)? {
            let Part::Tape(_, lines) = part else { continue };
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let Line::Entry(entry) = Line::read(line).map_err(|why| anyhow!("what was just recorded: {why}"))?
                else {
                    continue;
                };
                let observed = match entry.observed {
                    Observed::Frame(frame) => Observed::Frame(frame.into_owned()),
                    Observed::Fact(fact) => Observed::Fact(fact),
                    Observed::Quiet(until) => Observed::Quiet(until),
                };
                seen.push((entry.user, observed));
            }
        }
        Ok(Visited { report, seen })
    }
}

impl Visited {
    /// Who it was.
    pub fn user(&self, loaded: &Loaded, variables: &Variables) -> String {
        let number = loaded.scenario.users.first;
        let name = |name: &str| {
            let value = match name {
                "user.number" => number.to_string(),
                "user.index" => "0".to_owned(),
                other => variables.get(other.strip_prefix("env.")?)?.clone(),
            };
            Some(value.into())
        };
        let email = loaded.scenario.users.email.as_ref().and_then(|email| email.render(&name).ok());
        email.unwrap_or_else(|| format!("user {number}"))
    }

    /// The user was let in and could ask.
    pub fn greeted(&self) -> bool {
        self.report.counts.users_ready > 0
    }

    /// The target would not let the user in for who it is, or seems to be: another carrier of the token may help.
    pub fn turned_away(&self) -> bool {
        let refused = Rule::GreetingRefused.code();
        self.report.findings.iter().any(|group| group.code == refused)
            || self
                .facts()
                .any(|fact| matches!(fact, Fact::Dialed { outcome: Dial::Refused { status: 400 | 401 | 403, .. }, .. }))
    }

    /// The rungs, each by itself; what is behind a broken one is not known to be not reached.
    pub fn rungs(&self, loaded: &Loaded) -> Vec<Rung> {
        let profile = &loaded.target.profile;
        let mut rungs = vec![
            self.steps("ready", Phase::Ready, &profile.ready),
            self.steps("login", Phase::Login, &profile.login),
            self.steps("prepare", Phase::Prepare, &profile.prepare),
        ];
        let (upgrade, echo) = self.upgrade(profile);
        rungs.extend([upgrade, echo]);
        let waits = profile.connect.script.iter().any(|step| matches!(step, ScriptStep::Wait(_)));
        rungs.push(self.greeting(waits));
        rungs.push(self.ask());
        rungs.extend(profile.refresh.as_ref().map(|refresh| self.steps(REFRESH, Phase::Refresh, &refresh.steps)));
        rungs
    }

    fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.seen.iter().filter_map(|(_, observed)| match observed {
            Observed::Fact(fact) => Some(fact),
            Observed::Frame(_) | Observed::Quiet(_) => None,
        })
    }

    fn steps(&self, rung: &str, phase: Phase, steps: &[Step]) -> Rung {
        if steps.is_empty() {
            return Rung::absent(rung, "the profile has no such step");
        }
        let mut done = Vec::new();
        for fact in self.facts() {
            let Fact::Step { phase: of, name, outcome, .. } = fact else { continue };
            if *of != phase {
                continue;
            }
            match outcome {
                StepOutcome::Good { status } => done.push(format!("{name} is answered {status}")),
                StepOutcome::Refused { status, why, body } => {
                    let (cause, remedy) = refused(phase, *status, why);
                    let mut wire = vec![format!("> {name}"), format!("< HTTP {status}")];
                    wire.extend((!body.is_empty()).then(|| format!("< {}", cut(body))));
                    return Rung::broken(rung, format!("{name} is answered {status}: {why}"), cause, remedy)
                        .with_wire(wire);
                }
                StepOutcome::Failed(failure) => {
                    let (cause, remedy) = (
                        "a target that went away or hangs, or an address of its own in this step",
                        "look at the target's log at this moment; correct the step's address in the profile",
                    );
                    return Rung::broken(rung, failure.to_string(), cause, remedy).with_wire(vec![format!("> {name}")]);
                }
            }
        }
        if done.len() < steps.len() {
            return Rung::not_reached(rung);
        }
        let taken = steps.iter().flat_map(|step| &step.captures).map(|capture| match capture.secret {
            true => format!("{} (secret)", capture.name),
            false => capture.name.clone(),
        });
        let taken: Vec<String> = taken.collect();
        let taken = if taken.is_empty() { String::new() } else { format!("; taken: {}", taken.join(", ")) };
        Rung::good(rung, done.join(", ") + &taken)
    }

    /// The upgrade, and what was made of the subprotocols that were offered.
    fn upgrade(&self, profile: &Profile) -> (Rung, Rung) {
        let offers = !profile.connect.subprotocols.is_empty();
        let dialed = self.facts().find_map(|fact| match fact {
            Fact::Dialed { outcome, .. } => Some(outcome),
            _ => None,
        });
        let echo_not_reached = Rung::not_reached("echo");
        match dialed {
            None => (Rung::not_reached(UPGRADE), echo_not_reached),
            Some(Dial::Upgraded { subprotocol, echo_fits, echo_strict }) => {
                let selected = subprotocol.as_ref().map_or_else(|| "none".to_owned(), |selected| quoted(selected));
                let echo = match (echo_fits, echo_strict, offers) {
                    (true, _, false) => Rung::absent("echo", "no subprotocol is offered, and none selected"),
                    (true, _, true) => Rung::good("echo", format!("{selected} is selected, which was offered")),
                    (false, false, _) => {
                        Rung::good("echo", format!("{selected} is selected; a browser would hang up, `echo: lenient` does not"))
                    }
                    (false, true, _) => Rung::broken(
                        "echo",
                        format!("{selected} of the subprotocols is selected"),
                        "a server that authenticates by subprotocol and selects none, or a proxy that strips the header \
                         Sec-WebSocket-Protocol",
                        "have the server select one that was offered (RFC 6455, section 4.2.2), or write `echo: lenient`",
                    )
                    .with_wire(vec!["< HTTP 101".to_owned()]),
                };
                let carried = match carriers::own(profile) {
                    carriers if carriers.is_empty() => String::new(),
                    carriers => format!("; the token is carried by {}", carriers.join(" and ")),
                };
                (Rung::good(UPGRADE, format!("the target speaks WebSocket{carried}")), echo)
            }
            Some(Dial::Refused { status, headers, body }) => {
                let (cause, remedy) = turned_away(*status);
                let mut wire = vec![format!("< HTTP {status}")];
                wire.extend(headers.lines().take(FRAMES).map(|line| format!("< {}", cut(line))));
                wire.extend((!body.is_empty()).then(|| format!("< {}", cut(body))));
                let said = format!("the upgrade is answered {status}");
                (Rung::broken(UPGRADE, said, cause, remedy).with_wire(wire), echo_not_reached)
            }
            Some(Dial::Invalid { why }) => {
                let (cause, remedy) = (
                    "something that is no WebSocket server, or a proxy that answers by itself",
                    "look at what listens at this address; correct `socket` in the profile",
                );
                (Rung::broken(UPGRADE, why.clone(), cause, remedy), echo_not_reached)
            }
            Some(Dial::Failed(failure)) => {
                let (cause, remedy) = match failure.hung {
                    true => (
                        "a load balancer in front of a container that is dead or starting",
                        "look at the target behind the load balancer",
                    ),
                    false => (
                        "a target or proxy that takes requests and no sockets",
                        "correct `socket` in the profile, or allow upgrades on the way",
                    ),
                };
                (Rung::broken(UPGRADE, failure.to_string(), cause, remedy), echo_not_reached)
            }
        }
    }

    fn greeting(&self, waits: bool) -> Rung {
        if self.greeted() {
            let said = match waits {
                true => "what the script waits for came",
                false => return Rung::absent(GREETING, "the profile waits for none"),
            };
            return Rung::good(GREETING, said);
        }
        match self.failing().next() {
            Some(group) => self.judged(GREETING, group),
            None => Rung::not_reached(GREETING),
        }
    }

    fn ask(&self) -> Rung {
        let asked = self.facts().any(|fact| matches!(fact, Fact::Asked { .. }));
        if !asked {
            return match self.greeted() {
                true => Rung::absent("ask", "nothing was asked, as --no-ask says"),
                false => Rung::not_reached("ask"),
            };
        }
        if let Some(group) = self.failing().next() {
            return self.judged("ask", group);
        }
        let counts = &self.report.counts;
        if counts.runs_good == 0 {
            return Rung::broken(
                "ask",
                "the run did not end well",
                "a run that was cut",
                "run it again, and look at the frames",
            )
            .with_wire(self.wire());
        }
        Rung::good("ask", format!("the run ended well, {} came", counted(counts.events, "event")))
    }

    /// Findings that say of a user's way, once it has a session, that it is broken.
    fn failing(&self) -> impl Iterator<Item = &FindingGroup> {
        let session = Rule::LoginRefused.code();
        let groups = self.report.findings.iter().filter(move |group| group.code != session);
        groups.filter(|group| group.severity == Severity::Failure && group.blamed)
    }

    fn judged(&self, rung: &str, group: &FindingGroup) -> Rung {
        let message = group.witnesses.first().map(|witness| witness.message.as_str()).unwrap_or_default();
        let remedy = format!("{}; more: goldenpath explain {}", group.advice, group.code);
        Rung::broken(rung, format!("{} {}: {message}", group.code, group.name), &group.causes, &remedy)
            .with_wire(self.wire())
    }

    /// The last frames, oldest first.
    fn wire(&self) -> Vec<String> {
        let frames = self.seen.iter().filter_map(|(_, observed)| match observed {
            Observed::Frame(frame) => Some(frame),
            _ => None,
        });
        let lines: Vec<String> = frames
            .map(|frame| {
                let side = if frame.direction == Direction::Sent { '>' } else { '<' };
                match &frame.content {
                    Content::Text(text) => format!("{side} {}", cut(text)),
                    Content::Binary(bytes) => format!("{side} {} of binary data", counted(bytes.len() as u64, "byte")),
                    Content::Ping => format!("{side} ping"),
                    Content::Pong => format!("{side} pong"),
                    Content::Close { code, reason } => format!("{side} close {code} {}", cut(reason)),
                    Content::Lost { error } => format!("{side} lost: {error}"),
                    Content::TooLarge { limit } => format!("{side} a frame of more than {limit} bytes"),
                    Content::Violation { why } => format!("{side} no WebSocket: {why}"),
                }
            })
            .collect();
        if lines.is_empty() {
            return vec!["nothing came".to_owned()];
        }
        lines[lines.len().saturating_sub(FRAMES)..].to_vec()
    }
}

/// The beginning of a text, and how long all of it is.
fn cut(text: &str) -> String {
    match text.floor_char_boundary(LINE) {
        end if end < text.len() => format!("{} ... ({} bytes)", &text[..end], text.len()),
        _ => text.to_owned(),
    }
}

/// Why a step is refused with this status, and what to do.
fn refused(phase: Phase, status: u16, why: &str) -> (&'static str, &'static str) {
    match (status, phase) {
        (401 | 403, Phase::Login) => (
            "a password that is wrong, a user that does not exist, or one that may not log in",
            "check the user's email and password, and how the `login` step of the profile sends them",
        ),
        (401 | 403, Phase::Refresh) => (
            "a refresh token that is missing, was used before, or is not accepted for what it is",
            "check how `refresh.steps` send what `login` captured, and that they capture its successor",
        ),
        (401 | 403, _) => (
            "a token that is missing or not accepted",
            "check the header that carries the token (`http.headers`) and what `login` takes it from",
        ),
        (404 | 405 | 501, _) => (
            "a path or method that this target does not have",
            "correct the path of the step in the profile, and `http.base`, which it is appended to",
        ),
        (400 | 415 | 422, _) => (
            "a body that the target does not understand: other names of fields, a form in place of JSON",
            "compare the step's `json` or `form` with what a browser sends",
        ),
        (429, _) => ("a limit on requests", "wait, or ask for a user who is not limited"),
        (300..=399, _) => (
            "a redirect: to a login page, or to https",
            "write the address that it leads to, or `redirects: follow`, or expect this status",
        ),
        (500..=599, _) => (
            "a target that is still starting or broken, or whose dependency is",
            "look at the target's log at this moment",
        ),
        _ if why.contains("body") => (
            "an answer of another form than the profile expects, or a failure that is answered as a success",
            "compare the body that came with the step's `expect.when` and `capture`",
        ),
        _ => (
            "an answer that the profile does not expect",
            "compare the answer that came with the step's `expect` in the profile",
        ),
    }
}

/// Why an upgrade is refused with this status, and what to do.
fn turned_away(status: u16) -> (&'static str, &'static str) {
    match status {
        401 | 403 => (
            "a token that does not arrive (a load balancer or proxy strips its carrier), or that this service does not accept (its \
             secret is another one)",
            "carry the token in another way, see below; compare the secrets of the services",
        ),
        404 | 405 => ("a path where no socket is", "correct the path of `socket` in the profile"),
        400 | 426 => (
            "a proxy that does not pass upgrades on, or a path that is no socket",
            "have it pass `Upgrade` and `Connection` on; correct `socket` in the profile",
        ),
        300..=399 => ("a redirect, which sockets do not follow", "write the address that it leads to"),
        502..=504 => {
            ("a load balancer whose target is dead or still starting", "look at the target behind the load balancer")
        }
        _ => ("a target that lets nobody in now", "look at the body that came, and at the target's log"),
    }
}
