//! From `load` and `users.count` as they are written to how much work there is, and what is wrong between their keys.

use super::defaults;
use super::format::{
    ClosedDef, CountDef, ExposureDef, LoadDef, OpenDef, Session, Spacing, StageDef, StopDef, StopOn, ThinkDef, UsersDef,
};
use super::load::{Ends, Exposure, Load, Open, SHORTEST_INTERVAL, Stage, Think, Work};
use crate::document::decode::Spanned;
use crate::document::diagnostic::Diagnostic;
use crate::document::{Context, Span};
use crate::expect::{Deadline, Origin};
use crate::rule::Concern;
use crate::time::Micros;

/// How many users; 1 where that is not known for a mistake that was told.
pub fn users(users: &UsersDef, load: Option<&LoadDef>) -> u32 {
    match users.count.value {
        CountDef::Number(count) => u32::try_from(count.get()).unwrap_or(u32::MAX),
        CountDef::Auto => {
            let open = load.and_then(|load| load.open.as_ref()).map(|written| open(&written.value));
            open.and_then(|open| open.takes.map(|takes| open.users_needed(takes))).unwrap_or(1)
        }
    }
}

/// What is written; without a word one iteration of each user.
pub fn load(written: Option<&LoadDef>, origin: impl Fn(Span) -> Origin) -> Load {
    let Some(written) = written else { return Load::default() };
    let deadline = |given: Spanned<Micros>| Deadline { after: given.value, origin: origin(given.span) };
    Load {
        work: match (&written.open, &written.closed) {
            (Some(written), _) => Work::Open(open(&written.value)),
            (None, Some(written)) => closed(&written.value),
            (None, None) => Load::default().work,
        },
        warm_up: written.warm_up.map_or(0, |many| u32::try_from(many.value.get()).unwrap_or(u32::MAX)),
        hold: written.hold.map_or(Micros::ZERO, |hold| hold.value),
        deadline: written.deadline.map(deadline),
        ends: written.stop.as_ref().map(|stop| ends(&stop.value)).unwrap_or_default(),
        intervals: written.intervals.map(|intervals| intervals.value),
        exposure: written.exposure.as_ref().map(|written| exposure(&written.value)).unwrap_or_default(),
    }
}

fn exposure(written: &ExposureDef) -> Exposure {
    let narrow = |given: u64| u32::try_from(given).unwrap_or(u32::MAX);
    Exposure {
        pairs: written.pairs.map_or(Micros::ZERO, |pairs| pairs.value),
        switch: written.switch.is_some_and(|switch| switch.value),
        reconnects: written.reconnects.map_or(0, |reconnects| narrow(reconnects.value.get())),
        further: written.sockets.map_or(0, |sockets| narrow(sockets.value.get() - 1)),
        send_after: written.send_after.as_ref().map(|times| times.value.0.clone()).unwrap_or_default(),
    }
}

/// How many users more connect and never ask: witnesses, and further connections of others.
pub fn listeners(users: &UsersDef, load: Option<&LoadDef>) -> u64 {
    let further = load.and_then(|load| load.exposure.as_ref()).map_or(0, |written| exposure(&written.value).further);
    let witnesses = users.witnesses.map_or(0, |witnesses| witnesses.value.get());
    witnesses + u64::from(self::users(users, load)) * u64::from(further)
}

fn ends(stop: &StopDef) -> Ends {
    Ends {
        on: stop.on.0.iter().map(|on| concern(*on)).collect(),
        findings: stop.findings.map(|findings| findings.get()),
        after: stop.after.map(|after| after.value),
    }
}

/// Where it is written how much of it there is.
pub fn amount(load: &LoadDef) -> Option<Span> {
    let closed = load.closed.as_ref().and_then(|closed| closed.value.iterations).map(|iterations| iterations.span);
    closed.or_else(|| load.open.as_ref().map(|open| open.span))
}

fn closed(written: &ClosedDef) -> Work {
    let narrow = |given: u64| u32::try_from(given).unwrap_or(u32::MAX);
    let iterations = written.iterations.map_or(defaults::ITERATIONS, |given| narrow(given.value.get()));
    let think = written.think_time.as_ref().map(think).unwrap_or_default();
    Work::Closed { iterations, think, together: written.together.map_or(defaults::TOGETHER, |together| together.value) }
}

/// How long is paused.
pub fn think(written: &ThinkDef) -> Think {
    match written {
        ThinkDef::Fixed(time) => Think { from: time.value, to: time.value },
        ThinkDef::Drawn(range) => Think { from: range.from.value, to: range.to.value },
    }
}

/// Whether users walk the path more than once.
pub fn repeats(written: &LoadDef) -> bool {
    let closed = written.closed.as_ref().map(|written| closed(&written.value));
    written.open.is_some() || matches!(closed, Some(Work::Closed { iterations: 2.., .. }))
}

fn open(written: &OpenDef) -> Open {
    let mut stages: Vec<Stage> = Vec::new();
    if let (Some(rate), Some(lasts)) = (written.rate, written.lasts) {
        let rate = rate.value.per_second();
        stages.push(Stage { from: rate, to: rate, lasts: lasts.value });
    }
    for StageDef { lasts, rate, to } in written.stages.iter().flat_map(|stages| &stages.0).map(|stage| &stage.value) {
        let before = stages.last().map_or(0.0, |stage| stage.to);
        let (from, to) = match (rate, to) {
            (Some(rate), _) => (rate.value.per_second(), rate.value.per_second()),
            (None, to) => (before, to.map_or(before, |to| to.value.per_second())),
        };
        stages.push(Stage { from, to, lasts: lasts.value });
    }
    Open {
        stages,
        poisson: written.arrivals == Some(Spacing::Poisson),
        dropped_at_most: written.dropped_at_most.map_or(defaults::DROPPED_AT_MOST, |share| share.value.fraction()),
        takes: written.takes.map(|takes| takes.value),
    }
}

fn concern(on: StopOn) -> Concern {
    match on {
        StopOn::Setup => Concern::Setup,
        StopOn::Transport => Concern::Transport,
        StopOn::Events => Concern::Events,
        StopOn::Answer => Concern::Answer,
        StopOn::Isolation => Concern::Isolation,
    }
}

/// Reports what is wrong or doubtful about the load, and about users who are too few for it.
pub fn check(written: Option<&LoadDef>, users: Option<&UsersDef>, cx: &mut Context) {
    if let Some(load) = written {
        check_load(load, cx);
    }
    if let (Some(users), Some(exposure)) = (users, written.and_then(|load| load.exposure.as_ref())) {
        check_exposure(exposure, written, users, cx);
    }
    if let (Some(witnesses), Some(apart)) = (users.and_then(|users| users.witnesses), written.and_then(apart)) {
        let mistake = Diagnostic::mistake(witnesses.span, "witnesses connect before anybody asks");
        cx.report(mistake.also(apart, "who waits for nobody").help("remove `together` or `witnesses`"));
    }
    if let Some(users) = users {
        check_count(written.and_then(|load| load.open.as_ref()), users, cx);
    }
}

fn check_load(load: &LoadDef, cx: &mut Context) {
    if let (Some(closed), Some(open)) = (&load.closed, &load.open) {
        let mistake =
            Diagnostic::mistake(open.span, "`closed` and `open` exclude each other").also(closed.span, "closed");
        cx.report(mistake.help("keep one of them; two scenarios can be run one after the other"));
    }
    if let (Some(hold), Some(_)) = (load.hold, &load.open) {
        let mistake = Diagnostic::mistake(hold.span, "users of an open load connect when they arrive, so none is held");
        cx.report(mistake.help("write `closed` to hold connections, or remove `hold`"));
    }
    if let (Some(warm_up), Some(_)) = (load.warm_up, &load.open) {
        let mistake =
            Diagnostic::mistake(warm_up.span, "users of an open load come by the clock, so none comes before");
        cx.report(mistake.help("write `closed`, run a scenario of its own before this one, or remove `warm_up`"));
    }
    if let (Some(warm_up), Some(exposure)) = (load.warm_up, &load.exposure) {
        let mistake = Diagnostic::mistake(warm_up.span, "how users meet is for all of their iterations");
        cx.report(mistake.also(exposure.span, "how they meet").help("remove one of the two"));
    }
    if let (Some(apart), Some(other)) = (apart(load), load.exposure.as_ref()) {
        let mistake = Diagnostic::mistake(apart, "how users meet is said already");
        cx.report(mistake.also(other.span, "here").help("remove `together` or `exposure`"));
    }
    if let (Some(apart), Some(hold)) = (apart(load), load.hold) {
        cx.report(not_held(hold.span, apart).help("remove `together` or `hold`"));
    }
    for (time, what) in [(load.hold, "a hold"), (load.deadline, "a deadline")] {
        if let Some(time) = time.filter(|time| time.value == Micros::ZERO) {
            let mistake = Diagnostic::mistake(time.span, format!("{what} of no time means nothing"));
            cx.report(mistake.help("write for example `30s`, or remove the key"));
        }
    }
    if let (Some(hold), Some(deadline)) = (load.hold, load.deadline)
        && hold.value >= deadline.value
    {
        let mistake = Diagnostic::mistake(deadline.span, "the deadline passes before anybody asks");
        cx.report(mistake.also(hold.span, "held so long").help("raise `deadline`, or shorten `hold`"));
    }
    if let Some(stop) = &load.stop
        && ends(&stop.value) == Ends::default()
    {
        let mistake = Diagnostic::mistake(stop.span, "`stop` names nothing that would end the work");
        cx.report(mistake.help("write for example `stop: { on: isolation }`"));
    }
    let after = load.stop.as_ref().and_then(|stop| stop.value.after);
    if let Some(after) = after.filter(|after| after.value == Micros::ZERO) {
        cx.report(Diagnostic::mistake(after.span, "nothing would begin").help("write for example `after: 2h`"));
    }
    if let Some(intervals) = load.intervals.filter(|intervals| intervals.value < SHORTEST_INTERVAL) {
        let mistake = Diagnostic::mistake(intervals.span, "what went on is not summed up so often");
        cx.report(mistake.help(format!("write {SHORTEST_INTERVAL} or more, for example `intervals: 5m`")));
    }
    if let Some(think) = load.closed.as_ref().and_then(|closed| closed.value.think_time.as_ref()) {
        check_think(think, cx);
    }
    if let Some(open) = &load.open {
        check_open(open, cx);
    }
}

/// Where it is written that users wait for nobody.
fn apart(load: &LoadDef) -> Option<Span> {
    let together = load.closed.as_ref()?.value.together?;
    (!together.value).then_some(together.span)
}

fn not_held(hold: Span, because: Span) -> Diagnostic {
    let mistake = Diagnostic::mistake(hold, "nobody is held who asks without having waited for the others");
    mistake.also(because, "because of this")
}

/// Reports a pause that cannot be drawn.
pub fn check_think(think: &ThinkDef, cx: &mut Context) {
    if let ThinkDef::Drawn(range) = think
        && range.from.value > range.to.value
    {
        let mistake = Diagnostic::mistake(range.from.span, "the shortest pause is longer than the longest");
        cx.report(mistake.also(range.to.span, "the longest").help("swap them"));
    }
}

fn check_open(written: &Spanned<OpenDef>, cx: &mut Context) {
    let open = &written.value;
    match (&open.stages, open.rate, open.lasts) {
        (None, Some(_), Some(_)) => {}
        (Some(_), None, None) => {}
        (Some(_), rate, lasts) => {
            let place = rate.map(|rate| rate.span).or(lasts.map(|lasts| lasts.span)).unwrap_or(written.span);
            let mistake = Diagnostic::mistake(place, "`stages` say rates and times themselves");
            cx.report(mistake.help("keep `stages`, or `rate` and `for`"));
        }
        (None, _, _) => {
            let mistake = Diagnostic::mistake(written.span, "it is not said how many users begin for how long");
            cx.report(mistake.help("write for example `open: { rate: 5/s, for: 10m }`"));
        }
    }
    for stage in open.stages.iter().flat_map(|stages| &stages.0) {
        if stage.value.rate.is_some() == stage.value.to.is_some() {
            let mistake = Diagnostic::mistake(stage.span, "a stage has either a steady `rate` or a rate it goes `to`");
            cx.report(mistake.help("write for example `{ for: 1m, rate: 5/s }` or `{ for: 1m, to: 20/s }`"));
        }
    }
    let stages = open.stages.iter().flat_map(|stages| &stages.0).map(|stage| stage.value.lasts);
    for lasts in stages.chain(open.lasts).filter(|lasts| lasts.value == Micros::ZERO) {
        cx.report(Diagnostic::mistake(lasts.span, "no time at all").help("write for example `for: 10m`"));
    }
    if let Some(takes) = open.takes.filter(|takes| takes.value == Micros::ZERO) {
        cx.report(
            Diagnostic::mistake(takes.span, "no iteration takes no time")
                .help("write what one takes, with its quiet time"),
        );
    }
    if let Some(share) = open.dropped_at_most.filter(|share| share.value.fraction() == 1.0) {
        let mistake = Diagnostic::mistake(share.span, "with 100% nobody needs to begin at all");
        cx.report(mistake.help("write the largest share you would accept"));
    }
    if self::open(open).arrivals() < 1.0 && !cx.has_mistakes() {
        let mistake = Diagnostic::mistake(written.span, "in that time nobody begins");
        cx.report(mistake.help("raise the rate or the time"));
    }
}

fn check_exposure(written: &Spanned<ExposureDef>, load: Option<&LoadDef>, users: &UsersDef, cx: &mut Context) {
    let exposure = &written.value;
    let ExposureDef { pairs, switch, reconnects, sockets, send_after } = exposure;
    if pairs.is_none() && switch.is_none() && reconnects.is_none() && sockets.is_none() && send_after.is_none() {
        let mistake = Diagnostic::mistake(written.span, "`exposure` says nothing of how users meet");
        return cx.report(mistake.help("write for example `exposure: { pairs: 200ms }`, or remove it"));
    }
    if let Some(open) = load.and_then(|load| load.open.as_ref()) {
        let mistake = Diagnostic::mistake(written.span, "users of an open load begin by the clock, each by itself");
        return cx.report(mistake.also(open.span, "this load").help("write `closed`, or remove `exposure`"));
    }
    let switch = exposure.switch.filter(|switch| switch.value).map(|switch| switch.span);
    let early = exposure.send_after.as_ref().map(|times| times.span);
    let again = exposure.reconnects.map(|reconnects| reconnects.span);
    if let (Some(place), Some(keep)) =
        (switch.or(early).or(again), users.session.filter(|session| session.value == Session::Keep))
    {
        let mistake = Diagnostic::mistake(place, "this is about new connections, and users connect only once");
        cx.report(mistake.also(keep.span, "sessions are kept").help("write `session: fresh`, or remove it"));
    }
    if let (Some(switch), Some(other)) = (switch, early.or(exposure.pairs.map(|pairs| pairs.span))) {
        let mistake = Diagnostic::mistake(other, "users who take turns connect when the other has hung up");
        cx.report(
            mistake.also(switch, "`switch`").help("remove one of them; two scenarios can be run one after the other"),
        );
    }
    if let (Some(early), Some(hold)) = (switch.or(early), load.and_then(|load| load.hold)) {
        cx.report(not_held(hold.span, early).help("remove one of them"));
    }
    if let (Some(switch), count @ 1..4) = (switch, self::users(users, load)) {
        let title = format!("of {count} users who take turns no two can have a run at once");
        let mistake = Diagnostic::mistake(switch, title).also(users.count.span, "users");
        cx.report(mistake.help("use four users at least, or remove `switch`"));
    }
    if let Some(pairs) = exposure.pairs.filter(|pairs| pairs.value == Micros::ZERO) {
        let mistake = Diagnostic::mistake(pairs.span, "pairs that begin at once are no pairs");
        cx.report(mistake.help("write for example `pairs: 200ms`, or remove the key"));
    }
}

fn check_count(written: Option<&Spanned<OpenDef>>, users: &UsersDef, cx: &mut Context) {
    let place = users.count.span;
    let known = written.map(|written| (self::open(&written.value), written.span));
    match (users.count.value, known) {
        (CountDef::Auto, None) => {
            let mistake = Diagnostic::mistake(place, "how many users are needed follows from an open load only");
            cx.report(mistake.help("write a number, or `load: { open: ... }`"));
        }
        (CountDef::Auto, Some((Open { takes: None, .. }, load))) => {
            let mistake =
                Diagnostic::mistake(place, "how many users are needed follows from how long an iteration takes");
            cx.report(mistake.also(load, "the load").help("say it there: `takes: 8s`, quiet time included"));
        }
        (CountDef::Number(count), Some((open, load))) => {
            let Some(needed) = open.takes.map(|takes| open.users_needed(takes)) else { return };
            if count.get() < needed.into() {
                let title =
                    format!("{} users are too few for this load: about {needed} are busy at its peak", count.get());
                let warning = Diagnostic::warning(place, title).also(load, "rate and `takes`");
                cx.report(warning.note("arrivals that find no free user are dropped").help("write `count: auto`"));
            }
        }
        (CountDef::Number(_) | CountDef::Auto, _) => {}
    }
}
