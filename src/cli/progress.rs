//! What is seen on stderr while an execution runs: one calm picture on a terminal, a line now and then in a log.
//!
//! It shows numbers it is given and measures nothing; what they mean for the verdict is the report's to say. A failing stderr
//! is ignored: progress is not worth an execution.

use std::io::Write as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::finding::counted;
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
}

#[derive(Debug)]
enum How {
    Picture { bar: ProgressBar, color: bool },
    Lines { last: Option<(Stage, Micros)> },
    Nothing,
}

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
        Progress { how, stage: Stage::Reaching }
    }

    /// Shows how far it is now. Meant to be called a few times a second.
    pub fn update(&mut self, snapshot: &Snapshot) {
        // Users go back and forth from iteration to iteration; the execution as a whole goes on.
        self.stage = self.stage.max(Stage::of(snapshot));
        match &mut self.how {
            How::Nothing => {}
            How::Picture { bar, color } => bar.set_message(picture(self.stage, snapshot, *color)),
            How::Lines { last } => {
                if due(*last, self.stage, snapshot.elapsed) {
                    *last = Some((self.stage, snapshot.elapsed));
                    write_line(&line(self.stage, snapshot));
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

/// One line for a log.
fn line(stage: Stage, snapshot: &Snapshot) -> String {
    let Snapshot { users, logged_in, connected, asking, settled, findings, .. } = *snapshot;
    format!(
        "{:>6}  {:<10}  {}; {}: {}, {}, {asking} asking, {settled} settled; {}",
        clock(snapshot.elapsed),
        stage.name(),
        iterations(snapshot),
        counted(users, "user"),
        counted(logged_in, "login"),
        counted(connected, "connection"),
        counted(findings, "finding"),
    )
}

/// Two lines, redrawn in place. Every number has the width of the largest it can become, so that nothing jumps.
fn picture(stage: Stage, snapshot: &Snapshot, color: bool) -> String {
    let bar = snapshot.iterations_total.map(|total| bar(snapshot.iterations_done, total, color)).unwrap_or_default();
    let (iterations, clock) = (iterations(snapshot), clock(snapshot.elapsed));
    format!("  {:<10}  {bar}{iterations}  {clock:>6}\n  {}", stage.name(), users(snapshot, color))
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

fn users(snapshot: &Snapshot, color: bool) -> String {
    let Snapshot { users, logged_in, connected, asking, findings, iterations_total, .. } = *snapshot;
    let (most, width) = (digits(users.max(iterations_total.unwrap_or_default())), digits(users));
    let findings = paint(&counted(findings, "finding"), "1;31", color && findings > 0);
    format!(
        "{users} users: {logged_in:>most$} logins, {connected:>most$} connections, {asking:>width$} asking; {findings}"
    )
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
fn clock(elapsed: Micros) -> String {
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

    #[test]
    fn lines_say_everything_in_words() {
        assert_eq!(
            line(Stage::Asking, &ASKING),
            "  1:07  asking       34/150 iterations; 50 users: 60 logins, 58 connections, 23 asking, 35 settled; 1 finding"
        );
        assert_eq!(
            line(Stage::Reaching, &Snapshot { users: 1, iterations_total: None, ..BEGUN }),
            "  0:00  reaching         0 iterations; 1 user: 0 logins, 0 connections, 0 asking, 0 settled; 0 findings"
        );
    }

    #[test]
    fn numbers_keep_their_place() {
        let before = users(&Snapshot { asking: 9, findings: 0, ..ASKING }, false);
        let after = users(&Snapshot { asking: 10, findings: 0, ..ASKING }, false);
        assert_eq!(before.len(), after.len());
        assert_eq!(after, "50 users:  60 logins,  58 connections, 10 asking; 0 findings");
        assert_eq!(iterations(&BEGUN).len(), iterations(&ASKING).len());
    }

    #[test]
    fn the_picture_is_two_lines_of_eighty_columns() {
        let text = picture(Stage::Asking, &ASKING, false);
        assert_eq!(
            text,
            "  asking      ━━━━━━──────────────────────   34/150 iterations    1:07\n  \
             50 users:  60 logins,  58 connections, 23 asking; 1 finding"
        );
        let most = Snapshot { users: 5_000, iterations_total: Some(50_000), ..ASKING };
        for snapshot in [most, Snapshot { iterations_total: None, ..most }, Snapshot::default()] {
            for line in picture(Stage::Connecting, &snapshot, false).lines() {
                assert!(line.chars().count() < 80, "{line}");
            }
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
        assert!(!picture(Stage::Asking, &ASKING, false).contains('\u{1b}'));
        assert!(picture(Stage::Asking, &ASKING, true).contains("\u{1b}[1;31m1 finding\u{1b}[0m"));
        assert!(!picture(Stage::Asking, &Snapshot { findings: 0, ..ASKING }, true).contains("1;31"));
    }
}
