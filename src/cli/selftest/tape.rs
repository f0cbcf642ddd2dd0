//! Everything that a recording holds, told to judges once more with something changed on the way.
//!
//! What the harness did after the change is not taken as recorded: it waits as long as it would have waited live, comes later by
//! as much, and does not ask again after a run that ended badly. What the target would have done then is not made up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::check::decode;
use crate::check::{Judge, Judgement, Move};
use crate::event::{Kind, KindId};
use crate::expect::Expectations;
use crate::identity::{Connection, ExecutionId, UserNumber};
use crate::time::Micros;
use crate::trace::{Content, Dial, Direction, Entry, Fact, Frame, Observed, Phase};

/// What one judge was told, in that order.
pub type Tape = Vec<Entry<'static>>;

/// Where an entry stands: on which tape, and where on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Index of the tape.
    pub tape: usize,
    /// Index of the entry.
    pub index: usize,
}

/// What is to be different.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// What stands in the place of these entries; nothing, or several.
    pub instead: BTreeMap<At, Vec<Entry<'static>>>,
    /// From these entries on, their user's stream comes so much later.
    pub later: BTreeMap<At, Micros>,
}

impl Change {
    /// Both changes. Where they are about the same entry, the first counts.
    pub fn and(&mut self, other: Change) {
        for (at, entries) in other.instead {
            self.instead.entry(at).or_insert(entries);
        }
        for (at, by) in other.later {
            self.later.entry(at).or_insert(by);
        }
    }

    fn users(&self, tapes: &[Tape]) -> BTreeSet<UserNumber> {
        let new = self.instead.values().flatten().filter_map(|entry| entry.user);
        let old = self.instead.keys().chain(self.later.keys()).filter_map(|at| tapes[at.tape][at.index].user);
        new.chain(old).collect()
    }
}

/// A run as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Whose.
    pub user: UserNumber,
    /// As it was sent.
    pub prompt: String,
    /// What the judge took for its answer.
    pub answer: Option<String>,
    /// Where it came.
    pub connection: Connection,
    /// Frames that carry events of the grammar.
    pub frames: Vec<Seen>,
    /// The first entry of its user that is after it.
    pub over: At,
    /// Nothing is asked on its connection after it.
    pub last: bool,
}

/// A frame that carries events of the grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where it stands.
    pub at: At,
    /// Which events it carries.
    pub kinds: Vec<KindId>,
    /// As the target spells the first of them.
    pub spelled: String,
    /// The id of the first of them, and where it stands, where the profile knows of ids.
    pub id: Option<(String, String)>,
}

/// A connection while it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whose.
    pub user: UserNumber,
    /// Which.
    pub connection: Connection,
    /// From the entry that tells of it.
    pub from: At,
    /// To the entry that ends it.
    pub to: At,
}

/// What was recorded, as far as changes are made to it.
#[derive(Debug, Default)]
pub struct Scene {
    /// Runs, in the order in which they were over.
    pub runs: Vec<Run>,
    /// Connections that stood.
    pub standing: Vec<Standing>,
    groups: BTreeMap<UserNumber, String>,
    own: BTreeMap<UserNumber, BTreeMap<String, String>>,
    open: BTreeMap<UserNumber, Run>,
}

/// Judges tapes with a change. `watch` is shown every entry of them after it was told.
pub fn judged(
    tapes: &[Tape],
    change: &Change,
    expect: &Arc<Expectations>,
    execution: ExecutionId,
    watch: &mut dyn FnMut(At, &Entry<'static>, &Judge),
) -> Judgement {
    let bent = change.users(tapes);
    let mut whole = Judgement::default();
    for (tape, entries) in tapes.iter().enumerate() {
        let judge = Judge::new(Arc::clone(expect), execution);
        let mut telling = Telling { judge, bent: &bent, late: BTreeMap::new(), skipped: BTreeMap::new() };
        for (index, entry) in entries.iter().enumerate() {
            let at = At { tape, index };
            if let (Some(by), Some(user)) = (change.later.get(&at), entry.user) {
                *telling.late.entry(user).or_default() += *by;
            }
            match change.instead.get(&at) {
                Some(others) => others.iter().for_each(|other| telling.tell(other)),
                None => telling.tell(entry),
            }
            watch(at, entry, &telling.judge);
        }
        whole = whole.merge(telling.judge.finish());
    }
    whole
}

/// One judge that is told a tape on which something was changed.
struct Telling<'a> {
    judge: Judge,
    /// Whose streams were changed.
    bent: &'a BTreeSet<UserNumber>,
    /// By how much a user's stream comes later from here on.
    late: BTreeMap<UserNumber, Micros>,
    /// Users who would not have done what is recorded here, and whether their connection stands all the same.
    skipped: BTreeMap<UserNumber, bool>,
}

impl Telling<'_> {
    fn tell(&mut self, entry: &Entry<'static>) {
        let Some(user) = entry.user.filter(|user| self.bent.contains(user)) else { return self.judge.replay(entry) };
        if let Observed::Fact(fact) = &entry.observed {
            self.wait(user, fact);
        }
        if self.is_done(user, &entry.observed) {
            match self.late.get(&user) {
                Some(by) => self.judge.replay(&later(entry, *by)),
                None => self.judge.replay(entry),
            }
        }
    }

    /// What the harness does next it does when the judge has seen enough, so it waits here if it would have waited.
    fn wait(&mut self, user: UserNumber, next: &Fact) {
        let late = self.late.get(&user).copied().unwrap_or_default();
        let (mut waited, judge) = (next.at() + late, &mut self.judge);
        let waits = |next_move: Move| match next {
            Fact::Closed { .. } => matches!(next_move, Move::Listen | Move::Linger { .. }),
            Fact::Asked { .. } | Fact::Ended { .. } | Fact::Step { phase: Phase::After | Phase::Finally, .. } => {
                next_move == Move::Listen
            }
            _ => false,
        };
        while waits(judge.next_move(user))
            && let Some(deadline) = judge.next_deadline(user)
        {
            judge.expire(user, deadline);
            waited = waited.max(deadline);
        }
        if waited > next.at() {
            self.late.insert(user, waited.since(next.at()));
        }
    }

    /// Whether the harness would have done or met this.
    fn is_done(&mut self, user: UserNumber, observed: &Observed<'_>) -> bool {
        let bad = matches!(self.judge.next_move(user), Move::Settled { good: false } | Move::Linger { good: false });
        match observed {
            Observed::Fact(Fact::Asked { .. }) if bad => {
                self.skipped.entry(user).or_insert(true);
            }
            Observed::Fact(Fact::Dialed { .. }) if bad => {
                self.skipped.entry(user).or_insert(false);
            }
            Observed::Fact(Fact::Step { phase: Phase::After, .. }) if bad => return false,
            Observed::Fact(Fact::Closed { .. }) => return self.skipped.remove(&user).unwrap_or(true),
            Observed::Fact(Fact::Step { phase: Phase::Finally, .. }) => return true,
            Observed::Fact(Fact::Ended { .. } | Fact::Began { .. }) => {
                self.skipped.remove(&user);
            }
            _ => {}
        }
        !self.skipped.contains_key(&user)
    }
}

/// The same, so much later.
pub fn later(entry: &Entry<'static>, by: Micros) -> Entry<'static> {
    let mut entry = entry.clone();
    match &mut entry.observed {
        Observed::Frame(Frame { at, read_at, not_before, .. }) => {
            [at, read_at, not_before].into_iter().for_each(|stamp| *stamp = *stamp + by);
        }
        Observed::Quiet(until) => *until = *until + by,
        Observed::Fact(fact) => fact.delay(by),
    }
    entry
}

/// The text of a frame that was received.
pub fn text_of<'e>(entry: &'e Entry<'static>) -> Option<&'e str> {
    match &entry.observed {
        Observed::Frame(Frame { direction: Direction::Received, content: Content::Text(text), .. }) => Some(text),
        Observed::Frame(Frame { direction: Direction::Received, content: Content::Binary(bytes), .. }) => {
            std::str::from_utf8(bytes).ok()
        }
        _ => None,
    }
}

impl Scene {
    /// Looks at the tapes as they are, and judges them.
    pub fn of(tapes: &[Tape], expect: &Arc<Expectations>, execution: ExecutionId) -> (Scene, Judgement) {
        let mut scene = Scene::default();
        let judgement = judged(tapes, &Change::default(), expect, execution, &mut |at, entry, judge| {
            scene.watch(at, entry, judge, expect);
        });
        let asked_later = |run: &Run, others: &[Run]| {
            others.iter().any(|other| {
                (other.user, other.connection, other.over.tape) == (run.user, run.connection, run.over.tape)
                    && other.over.index > run.over.index
            })
        };
        let last: Vec<bool> = scene.runs.iter().map(|run| !asked_later(run, &scene.runs)).collect();
        scene.runs.iter_mut().zip(last).for_each(|(run, last)| run.last = last);
        (scene, judgement)
    }

    fn watch(&mut self, at: At, entry: &Entry<'static>, judge: &Judge, expect: &Expectations) {
        let Some(user) = entry.user else { return };
        match &entry.observed {
            Observed::Fact(fact) => {
                match fact {
                    Fact::Captured { name, value, .. } => {
                        self.own.entry(user).or_default().insert(name.clone(), value.clone());
                        return;
                    }
                    Fact::Grouped { group, .. } => {
                        self.groups.insert(user, group.clone());
                        return;
                    }
                    Fact::Marked { .. } | Fact::Named { .. } | Fact::Step { phase: Phase::Ask, .. } => return,
                    Fact::Dialed { connection, outcome: Dial::Upgraded { .. }, .. } => {
                        let standing = Standing { user, connection: *connection, from: at, to: at };
                        self.standing.push(standing);
                    }
                    _ => {}
                }
                if let Some(mut run) = self.open.remove(&user) {
                    (run.over, run.answer) = (at, judge.last_answer(user).map(str::to_owned));
                    self.runs.push(run);
                }
                if let Fact::Asked { prompt, .. } = fact
                    && let Some(standing) = self.standing.iter().rev().find(|standing| standing.user == user)
                {
                    let (prompt, connection) = (prompt.clone(), standing.connection);
                    let run = Run { user, prompt, answer: None, connection, frames: vec![], over: at, last: true };
                    self.open.insert(user, run);
                }
            }
            Observed::Frame(_) => {
                let own = self.own.entry(user).or_default();
                if let (Some(run), Some(text)) = (self.open.get_mut(&user), text_of(entry)) {
                    run.frames
                        .extend(seen(expect, text, &|name| own.get(name).cloned()).map(|seen| Seen { at, ..seen }));
                }
            }
            Observed::Quiet(_) => {}
        }
        if let Some(standing) = self.standing.iter_mut().rev().find(|standing| standing.user == user) {
            standing.to = at;
        }
    }

    /// Where another user than that of `run` is connected while `seen` comes, and where that stands on his tape.
    pub fn elsewhere(&self, tapes: &[Tape], run: &Run, seen: &Seen) -> Option<(Standing, At)> {
        let group = |user: UserNumber| self.groups.get(&user);
        let when = tapes[seen.at.tape][seen.at.index].observed.at();
        let others = self.standing.iter().filter(|standing| {
            let apart = standing.user != run.user
                && (group(standing.user).is_none() || group(standing.user) != group(run.user));
            apart && standing.from.tape == standing.to.tape
        });
        others
            .filter_map(|standing| {
                let At { tape, index: from } = standing.from;
                let then = |at: usize| tapes[tape][at].observed.at() >= when;
                let index = if tape == seen.at.tape {
                    seen.at.index
                } else {
                    (from..standing.to.index).find(|at| then(*at))?
                };
                (from < index && index < standing.to.index).then_some((*standing, At { tape, index }))
            })
            .next()
    }
}

/// The frame that holds `text`, wherever it stands, if it carries events of the grammar.
fn seen(expect: &Expectations, text: &str, own: &dyn Fn(&str) -> Option<String>) -> Option<Seen> {
    let mut seen: Option<Seen> = None;
    decode::each(&expect.dialect, text, own, &mut |extract, _| {
        let Kind::Known(kind) = extract.kind else { return };
        if expect.grammar.symbols.iter().any(|symbol| symbol.kinds.contains(&kind)) {
            let first = seen.get_or_insert_with(|| Seen {
                at: At { tape: 0, index: 0 },
                kinds: Vec::new(),
                spelled: extract.name.as_deref().unwrap_or_default().to_owned(),
                id: expect.dialect.fields.event_id.iter().find_map(|slot| {
                    let id = extract.at(*slot).as_text()?.into_owned();
                    Some((id, expect.dialect.trie.pointer_of(*slot)?))
                }),
            });
            first.kinds.push(kind);
        }
    });
    seen
}
