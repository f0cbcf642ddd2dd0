//! What is seen on stderr while an execution runs: one calm picture on a terminal, a line now and then in a log.
//!
//! It shows numbers it is given and measures nothing; what they mean for the verdict is the report's to say. A failing stderr
//! is ignored: progress is not worth an execution.

use std::collections::VecDeque;
use std::io::Write as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::finding::counted;
use crate::identity::UserNumber;
use crate::time::Micros;

/// How far an execution is. Where it is not said otherwise, numbers are sums from the beginning and never fall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Users that take part.
    pub users: u64,
    /// Sessions logged in: one per user, or per iteration with fresh sessions.
    pub logged_in: u64,
    /// Sockets upgraded.
    pub connected: u64,
    /// Runs in flight now: asked and not settled.
    pub asking: u64,
    /// Runs that ended or were given up.
    pub settled: u64,
    /// Iterations that are over.
    pub iterations_done: u64,
    /// Iterations planned; `None` where that is not known beforehand.
    pub iterations_total: Option<u64>,
    /// Findings so far, whatever they weigh.
    pub findings: u64,
    /// The 95th percentile of good runs so far; `None` with too few.
    pub p95: Option<Micros>,
    /// Who has waited longest for a run that is in flight, and for how long.
    pub longest: Option<(UserNumber, Micros)>,
    /// Since the execution began.
    pub elapsed: Micros,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// A picture on a terminal, drawn over in place.
    Picture {
        /// Whether to use ANSI colours.
        color: bool,
    },
    /// A line at each change of stage, and every five seconds.
    Lines,
    /// Nothing.
    Nothing,
}

/// What an execution is doing for most of its users. The order is that in which it passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Reaching,
    LoggingIn,
    Connecting,
    Asking,
    Ending,
}

/// Progress on stderr. Dropping it leaves the terminal as it was.
#[derive(Debug)]
pub struct Progress {
    how: How,
    stage: Stage,
    /// What was seen in the last seconds, for rates.
    seen: VecDeque<Snapshot>,
}

/// How many a second, of late.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Rates {
    logins: f64,
    connections: f64,
    iterations: f64,
}

#[derive(Debug)]
enum How {
    Picture { bar: ProgressBar, color: bool },
    Lines { last: Option<(Stage, Micros)> },
    Nothing,
}

/// Rates are those of so long: short enough to show a target that slows down, long enough to stay calm.
const OF_LATE: Micros = Micros::from_secs(5);
/// A run in flight is slow when it has taken so long, and several times as long as most.
const SLOW: Micros = Micros::from_secs(10);
const TIMES_AS_LONG: u64 = 4;

/// Between two lines of a log.
const HEARTBEAT: Micros = Micros::from_secs(5);

impl Show {
    /// `terminal`: stderr is one. `ci`: the variable `CI` is set to something other than `false` or nothing.
    pub fn choose(quiet: bool, terminal: bool, ci: bool, color: bool) -> Show {
        match () {
            () if quiet => Show::Nothing,
            () if terminal && !ci => Show::Picture { color },
            () => Show::Lines,
        }
    }
}

impl Progress {
    /// Shows nothing until it is told something.
    pub fn new(show: Show) -> Progress {
        let how = match show {
            Show::Nothing => How::Nothing,
            Show::Lines => How::Lines { last: None },
            Show::Picture { color } => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
                // Every change of a bar may draw it; one message for all of it is never half old and half new.
                bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is a constant"));
                How::Picture { bar, color }
            }
        };
        Progress { how, stage: Stage::Reaching, seen: VecDeque::new() }
    }

    /// Says something that is to stay, above what is drawn over.
    pub fn say(&self, text: &str) {
        match &self.how {
            How::Nothing => {}
            How::Picture { bar, .. } => bar.suspend(|| write_line(text)),
            How::Lines { .. } => write_line(text),
        }
    }

    /// Shows how far it is now. Meant to be called a few times a second.
    pub fn update(&mut self, snapshot: &Snapshot) {
        // Users go back and forth from iteration to iteration; the execution as a whole goes on.
        self.stage = self.stage.max(Stage::of(snapshot));
        self.seen.push_back(*snapshot);
        while self.seen.get(1).is_some_and(|second| snapshot.elapsed - second.elapsed >= OF_LATE) {
            self.seen.pop_front();
        }
        let rates = self.seen.front().map(|first| Rates::between(first, snapshot)).unwrap_or_default();
        match &mut self.how {
            How::Nothing => {}
            How::Picture { bar, color } => bar.set_message(picture(snapshot, rates, *color)),
            How::Lines { last } => {
                if due(*last, self.stage, snapshot.elapsed) {
                    *last = Some((self.stage, snapshot.elapsed));
                    write_line(&line(self.stage, snapshot, rates));
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let How::Picture { bar, .. } = &self.how {
            bar.finish_and_clear();
        }
    }
}

impl Stage {
    fn of(snapshot: &Snapshot) -> Stage {
        match snapshot {
            Snapshot { iterations_total: Some(total), iterations_done, .. } if iterations_done >= total => {
                Stage::Ending
            }
            snapshot if snapshot.asking > 0 || snapshot.settled > 0 => Stage::Asking,
            snapshot if snapshot.connected > 0 => Stage::Connecting,
            snapshot if snapshot.logged_in > 0 => Stage::LoggingIn,
            _ => Stage::Reaching,
        }
    }

    /// At most ten columns.
    fn name(self) -> &'static str {
        match self {
            Stage::Reaching => "reaching",
            Stage::LoggingIn => "logging in",
            Stage::Connecting => "connecting",
            Stage::Asking => "asking",
            Stage::Ending => "ending",
        }
    }
}

fn due(last: Option<(Stage, Micros)>, stage: Stage, elapsed: Micros) -> bool {
    last.is_none_or(|(before, at)| before != stage || elapsed - at >= HEARTBEAT)
}

fn write_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

impl Rates {
    fn between(first: &Snapshot, now: &Snapshot) -> Rates {
        let seconds = (now.elapsed - first.elapsed).0 as f64 / 1e6;
        let rate = |before: u64, after: u64| match seconds > 0.0 {
            true => after.saturating_sub(before) as f64 / seconds,
            false => 0.0,
        };
        Rates {
            logins: rate(first.logged_in, now.logged_in),
            connections: rate(first.connected, now.connected),
            iterations: rate(first.iterations_done, now.iterations_done),
        }
    }
}

/// One line for a log.
fn line(stage: Stage, snapshot: &Snapshot, rates: Rates) -> String {
    let Snapshot { users, logged_in, connected, asking, settled, findings, .. } = *snapshot;
    let p95 = snapshot.p95.map(|p95| format!("; p95 {p95}")).unwrap_or_default();
    let slow = slow(snapshot).map(|slow| format!("; {slow}")).unwrap_or_default();
    format!(
        "{:>6}  {:<10}  {}{}; {}: {}, {}, {asking} asking, {settled} settled; {}{p95}{slow}",
        clock(snapshot.elapsed),
        stage.name(),
        iterations(snapshot),
        if rates.iterations > 0.0 { format!(", {}", rate(rates.iterations).trim_start()) } else { String::new() },
        counted(users, "user"),
        counted(logged_in, "login"),
        counted(connected, "connection"),
        counted(findings, "finding"),
    )
}

/// A bar per stage and a line of what else there is, redrawn in place. Every number has the width of the largest it can become,
/// and there are always as many lines, so that nothing jumps.
fn picture(snapshot: &Snapshot, rates: Rates, color: bool) -> String {
    let Snapshot { users, logged_in, connected, asking, findings, iterations_done, iterations_total, .. } = *snapshot;
    let width = digits(users.max(iterations_total.unwrap_or_default())).max(6);
    let row = |name: &str, done: u64, total: Option<u64>, rate_now: f64| {
        let (bar, of) = match total {
            Some(total) => (bar(done, total, color), format!("{done:>width$}/{total:<width$}")),
            None => (" ".repeat(BAR as usize + 2), format!("{done:>width$} {:width$}", "")),
        };
        format!("  {name:<11} {bar}{of} {}", rate(rate_now))
    };
    let p95 = snapshot.p95.map_or("-".to_owned(), |p95| p95.to_string());
    let found = paint(&counted(findings, "finding"), "1;31", color && findings > 0);
    let mut last = format!(
        "  {:<11} {asking:>asking_width$} asking, p95 {p95:<8} {found}",
        clock(snapshot.elapsed),
        asking_width = digits(users)
    );
    if let Some(slow) = slow(snapshot) {
        last.push_str(&format!(", {}", paint(&slow, "33", color)));
    }
    [
        row("logins", logged_in, Some(users), rates.logins),
        row("connections", connected, Some(users), rates.connections),
        row("iterations", iterations_done, iterations_total, rates.iterations),
        last,
    ]
    .join("\n")
}

/// Who waits for a run that is slow.
fn slow(snapshot: &Snapshot) -> Option<String> {
    let (user, waited) = snapshot.longest?;
    let usual = snapshot.p95.map_or(0, |p95| p95.0.saturating_mul(TIMES_AS_LONG));
    let seconds = waited.0 / 1_000_000;
    (waited >= SLOW && waited.0 >= usual).then(|| format!("user {user} waits {seconds} s"))
}

/// Columns of the bar.
const BAR: u64 = 28;

fn bar(done: u64, total: u64, color: bool) -> String {
    let filled = (done.min(total) * BAR).checked_div(total).unwrap_or_default();
    let (full, rest) = ("━".repeat(filled as usize), "─".repeat((BAR - filled) as usize));
    format!("{}{}  ", paint(&full, "32", color), paint(&rest, "2", color))
}

/// ECMA-48, select graphic rendition.
fn paint(text: &str, codes: &str, color: bool) -> String {
    if color { format!("\u{1b}[{codes}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Eight columns, blank where nothing moves: `  12.5/s`, `   340/s`.
fn rate(per_second: f64) -> String {
    match per_second {
        none if none < 0.05 => " ".repeat(8),
        few if few < 99.95 => format!("{few:>6.1}/s"),
        many => format!("{many:>6.0}/s"),
    }
}

fn iterations(snapshot: &Snapshot) -> String {
    match snapshot.iterations_total {
        Some(total) => format!("{:>width$}/{total} iterations", snapshot.iterations_done, width = digits(total)),
        None => format!("{:>6} iterations", snapshot.iterations_done),
    }
}

fn digits(number: u64) -> usize {
    number.to_string().len()
}

/// Minutes and seconds: `0:07`, `12:40`, `90:00`.
pub fn clock(elapsed: Micros) -> String {
    let seconds = elapsed.0 / 1_000_000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: Snapshot = Snapshot {
        users: 50,
        logged_in: 0,
        connected: 0,
        asking: 0,
        settled: 0,
        iterations_done: 0,
        iterations_total: Some(150),
        findings: 0,
        p95: None,
        longest: None,
        elapsed: Micros::ZERO,
    };
    const ASKING: Snapshot = Snapshot {
        logged_in: 60,
        connected: 58,
        asking: 23,
        settled: 35,
        iterations_done: 34,
        findings: 1,
        elapsed: Micros::from_secs(67),
        ..BEGUN
    };

    #[test]
    fn a_pipeline_gets_lines_and_quiet_gets_nothing() {
        assert_eq!(Show::choose(false, true, false, true), Show::Picture { color: true });
        assert_eq!(Show::choose(false, true, true, true), Show::Lines);
        assert_eq!(Show::choose(false, false, false, false), Show::Lines);
        assert_eq!(Show::choose(true, true, false, true), Show::Nothing);
    }

    #[test]
    fn the_stage_is_what_most_is_done_about() {
        for (snapshot, stage) in [
            (BEGUN, Stage::Reaching),
            (Snapshot { logged_in: 3, ..BEGUN }, Stage::LoggingIn),
            (Snapshot { logged_in: 50, connected: 1, ..BEGUN }, Stage::Connecting),
            (Snapshot { logged_in: 50, connected: 50, asking: 1, ..BEGUN }, Stage::Asking),
            (ASKING, Stage::Asking),
            (Snapshot { iterations_done: 150, ..ASKING }, Stage::Ending),
            (Snapshot { asking: 0, ..ASKING }, Stage::Asking),
            (Snapshot { iterations_total: None, ..ASKING }, Stage::Asking),
            (Snapshot::default(), Stage::Reaching),
        ] {
            assert_eq!(Stage::of(&snapshot), stage, "{snapshot:?}");
        }
    }

    #[test]
    fn the_stage_never_goes_back() {
        let mut progress = Progress::new(Show::Nothing);
        progress.update(&ASKING);
        progress.update(&BEGUN);
        assert_eq!(progress.stage, Stage::Asking);
    }

    #[test]
    fn a_log_gets_a_line_per_stage_and_every_five_seconds() {
        let at = |stage, secs| Some((stage, Micros::from_secs(secs)));
        for (last, stage, secs, due) in [
            (None, Stage::Reaching, 0, true),
            (at(Stage::Asking, 10), Stage::Asking, 14, false),
            (at(Stage::Asking, 10), Stage::Asking, 15, true),
            (at(Stage::Asking, 10), Stage::Ending, 10, true),
        ] {
            assert_eq!(super::due(last, stage, Micros::from_secs(secs)), due, "{last:?} {stage:?} {secs}");
        }
    }

    const RATES: Rates = Rates { logins: 0.0, connections: 0.0, iterations: 3.26 };
    const SLOWLY: Snapshot = Snapshot {
        p95: Some(Micros::from_millis(1_240)),
        longest: Some((UserNumber(17), Micros::from_secs(34))),
        ..ASKING
    };

    #[test]
    fn lines_say_everything_in_words() {
        assert_eq!(
            line(Stage::Asking, &SLOWLY, RATES),
            "  1:07  asking       34/150 iterations, 3.3/s; 50 users: 60 logins, 58 connections, 23 asking, 35 settled; \
             1 finding; p95 1.24 s; user 17 waits 34 s"
        );
        assert_eq!(
            line(Stage::Reaching, &Snapshot { users: 1, iterations_total: None, ..BEGUN }, Rates::default()),
            "  0:00  reaching         0 iterations; 1 user: 0 logins, 0 connections, 0 asking, 0 settled; 0 findings"
        );
    }

    #[test]
    fn a_run_is_slow_when_it_takes_long_and_longer_than_others() {
        let waits = |secs, p95| Snapshot { longest: Some((UserNumber(17), Micros::from_secs(secs))), p95, ..ASKING };
        for (snapshot, slow) in [
            (waits(9, None), false),
            (waits(10, None), true),
            (waits(10, Some(Micros::from_secs(1))), true),
            (waits(35, Some(Micros::from_secs(9))), false),
            (waits(36, Some(Micros::from_secs(9))), true),
            (ASKING, false),
        ] {
            assert_eq!(super::slow(&snapshot).is_some(), slow, "{snapshot:?}");
        }
    }

    #[test]
    fn rates_are_those_of_late() {
        let mut progress = Progress::new(Show::Nothing);
        for secs in 0..=20 {
            // Ten a second at first, one a second then.
            let done = if secs <= 10 { secs * 10 } else { 100 + secs - 10 };
            progress.update(&Snapshot { iterations_done: done, elapsed: Micros::from_secs(secs), ..ASKING });
        }
        let (first, last) = (progress.seen.front().unwrap(), progress.seen.back().unwrap());
        assert_eq!(Rates::between(first, last).iterations, 1.0);
        assert!(progress.seen.len() <= 6, "{}", progress.seen.len());
        assert_eq!(Rates::between(last, last), Rates::default());
    }

    #[test]
    fn the_picture_keeps_its_places() {
        assert_eq!(
            picture(&SLOWLY, RATES, false).lines().collect::<Vec<_>>(),
            [
                "  logins      ━━━━━━━━━━━━━━━━━━━━━━━━━━━━      60/50             ",
                "  connections ━━━━━━━━━━━━━━━━━━━━━━━━━━━━      58/50             ",
                "  iterations  ━━━━━━──────────────────────      34/150       3.3/s",
                "  1:07        23 asking, p95 1.24 s   1 finding, user 17 waits 34 s",
            ]
        );
        let most = Snapshot { users: 50_000, iterations_total: Some(5_000_000), findings: 99_999, ..SLOWLY };
        let rates = Rates { logins: 12.3, connections: 99_999.0, iterations: 0.06 };
        let widths = |snapshot: &Snapshot, rates| -> Vec<usize> {
            picture(snapshot, rates, false).lines().take(3).map(|line| line.chars().count()).collect()
        };
        for snapshot in [most, Snapshot { iterations_total: None, ..most }, Snapshot::default(), BEGUN] {
            let text = picture(&snapshot, rates, false);
            assert_eq!(text.lines().count(), 4, "{text}");
            for line in text.lines() {
                assert!(line.chars().count() < 80, "{line}");
            }
            let later = Snapshot { logged_in: snapshot.users, iterations_done: 4_999, ..snapshot };
            assert_eq!(widths(&snapshot, rates), widths(&later, Rates::default()));
        }
    }

    #[test]
    fn the_bar_is_full_when_all_is_done() {
        for (done, total, filled) in [(0, 150, 0), (75, 150, 14), (150, 150, 28), (151, 150, 28), (0, 0, 0)] {
            assert_eq!(bar(done, total, false).matches('━').count(), filled, "{done} of {total}");
        }
    }

    #[test]
    fn colour_is_the_callers_choice() {
        assert!(!picture(&ASKING, RATES, false).contains('\u{1b}'));
        assert!(picture(&ASKING, RATES, true).contains("\u{1b}[1;31m1 finding\u{1b}[0m"));
        assert!(!picture(&Snapshot { findings: 0, ..ASKING }, RATES, true).contains("1;31"));
    }
}
