//! The report for a person: verdict, claims, figures, findings with their evidence, what to do next.
//!
//! Everything is said in words, so that nothing is lost without colour or in a log. All text goes through one sheet, which
//! escapes it and keeps it within the width; whoever adds a section cannot forget either.

use std::borrow::Cow;
use std::ops::Range;

use tabled::builder::Builder;
use tabled::settings::object::{Columns, Object, Rows};
use tabled::settings::{Alignment, Padding, Style};

use super::doors::Door;
use super::personas;
use super::recorded::Judged;
use super::text::{bounded, clip, columns, escape, wrap};
use super::tree::{
    ChangedRule, Claim, Excerpt, Execution, FindingGroup, KnownIssue, KnownState, Mark, Report, Segment, Witness, Word,
    only_users,
};
use super::witness::{Lane, SideBySide, hunt, sentence, side_by_side};
use crate::finding::counted;
use crate::rule::Severity;
use crate::time::Micros;

/// What a report is rendered on.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Columns; no line is wider. Less than 40 counts as 40.
    pub width: usize,
    /// Whether to use ANSI colours. Without them nothing is lost but colour.
    pub color: bool,
    /// Where the report was written, for the last line.
    pub saved: Option<&'a str>,
}

/// The report as text, with a final newline.
pub fn render(report: &Report, page: &Page<'_>) -> String {
    let mut sheet = Sheet::new(page);
    head(&mut sheet, report);
    claims(&mut sheet, report);
    doors(&mut sheet, &report.doors);
    segments(&mut sheet, &report.segments);
    for (index, group) in report.findings.iter().enumerate() {
        finding(&mut sheet, group);
        // One way to hunt is enough; the first finding weighs most.
        if let Some(hunt) = hunt(report, group).filter(|_| index == 0 && group.blamed) {
            sheet.command("  hunt   ", &hunt);
        }
    }
    leaks(&mut sheet, report);
    foot(&mut sheet, report, page.saved);
    sheet.into_text()
}

/// Rows of the leak matrix that are shown.
const LEAKS: usize = 8;
/// Rows of a time line that are shown: the first, and so many of the last.
const LAST_ROWS: usize = 7;
/// Lines of an excerpt that are shown: all of it, unless escaping made it long.
const EXCERPT_LINES: usize = 9;
/// Witnesses of a rule of which at least a sentence is shown.
const WITNESSES: usize = 4;
/// Excerpts of a witness that are shown.
const EXCERPTS: usize = 2;
/// Bytes of a text that are shown at most, before it is escaped.
const LONGEST: usize = 4_000;
/// Columns of a cell of a table at most.
const CELL: usize = 40;
/// Unknown events and leftovers that are listed.
const LISTED: usize = 6;

fn head(sheet: &mut Sheet, report: &Report) {
    verdict(sheet, report);
    sheet.blank();
    let scenario = &report.scenario;
    let file = scenario.file.as_ref().map(|file| format!(" ({file})")).unwrap_or_default();
    let users = counted(scenario.users, "user");
    let load = match scenario.iterations {
        Some(1) => users,
        Some(iterations) => format!("{users} x {iterations} iterations"),
        None => format!("{users}, open load"),
    };
    let first = if scenario.first > 1 { format!(", first user {}", scenario.first) } else { String::new() };
    sheet.field("scenario", &format!("{}{file}, {load}{first}", scenario.name), Ink::Plain);
    if !scenario.only_users.is_empty() {
        sheet.field("only", &format!("{} of them, as told by --only-users", only_users(scenario)), Ink::Open);
    }
    let target = &report.target;
    let at = target.http.as_ref().or(target.socket.as_ref()).map(|url| format!(" at {url}")).unwrap_or_default();
    let build = target.build.as_ref().map(|build| format!(", build {build}")).unwrap_or_default();
    if target.embedded {
        sheet.field("target", &format!("embedded backend{at}: not your system"), Ink::Open);
    } else {
        sheet.field("target", &format!("{}{at}{build}", target.name), Ink::Plain);
    }
    let Execution { id, seed, began, duration_us, .. } = &report.execution;
    let took = Micros(*duration_us);
    sheet.field("began", &format!("{began}, took {took}, execution {id}, seed {seed}"), Ink::Plain);
}

fn verdict(sheet: &mut Sheet, report: &Report) {
    let (_, word, ink) = look(report.verdict.outcome);
    sheet.hang(&[(ink.bold(), word), (Ink::Plain, "  ")], &report.verdict.sentence, Ink::Bold);
}

/// Symbol, word and colour of a verdict.
fn look(word: Word) -> (&'static str, &'static str, Ink) {
    match word {
        Word::Pass => ("✓", "PASS", Ink::Good),
        Word::Fail => ("✗", "FAIL", Ink::Bad),
        Word::Blocked => ("⊘", "BLOCKED", Ink::Open),
        Word::Inconclusive => ("?", "INCONCLUSIVE", Ink::Open),
        Word::Interrupted => ("!", "INTERRUPTED", Ink::Open),
        Word::Broke => ("!", "BROKE", Ink::Bad),
    }
}

/// What of whom came to whom, how and how often.
fn leaks(sheet: &mut Sheet, report: &Report) {
    if report.leaks.is_empty() {
        return;
    }
    sheet.blank();
    for (index, leak) in report.leaks.iter().take(LEAKS).enumerate() {
        let class = leak.class.map(|class| format!(" {class}")).unwrap_or_default();
        let row = format!("of user {} to user {}: {} x {}{class}", leak.owner, leak.user, leak.count, leak.code);
        sheet.field(if index == 0 { "leaks" } else { "" }, &row, Ink::Plain);
    }
    if let Some(more @ 1..) = report.leaks.len().checked_sub(LEAKS) {
        sheet.field("", &format!("and {more} more in the report"), Ink::Plain);
    }
}

fn claims(sheet: &mut Sheet, report: &Report) {
    sheet.blank();
    let longest = report.claims.iter().map(|claim| columns(&shown(&claim.name))).max().unwrap_or_default();
    let name_width = longest.min(sheet.width / 3);
    // Where nothing could be tested there is one cause, and nothing to be said of each claim.
    let untested = |claim: &&Claim| report.verdict.outcome == Word::Blocked && claim.verdict == Word::Inconclusive;
    for claim in report.claims.iter().filter(|claim| !untested(claim)) {
        self::claim(sheet, claim, name_width);
    }
    let names: Vec<&str> = report.claims.iter().filter(untested).map(|claim| claim.name.as_str()).collect();
    if !names.is_empty() {
        let (symbol, word, ink) = look(Word::Inconclusive);
        sheet.hang(
            &[(Ink::Plain, "  "), (ink, symbol), (Ink::Plain, " ")],
            &format!("{word}: {}", names.join(", ")),
            ink,
        );
    }
    for sentence in &report.unclaimed {
        sheet.hang(&[(Ink::Faint, "  - ")], sentence, Ink::Faint);
    }
}

fn claim(sheet: &mut Sheet, claim: &Claim, name_width: usize) {
    let (symbol, word, ink) = look(claim.verdict);
    let ink = if ink == Ink::Bad && !claim.required { Ink::Open } else { ink };
    let name = clip(&shown(&claim.name), name_width);
    let padding = " ".repeat(name_width - columns(&name) + 2);
    let lead = [(Ink::Plain, "  "), (ink, symbol), (Ink::Plain, " "), (Ink::Plain, name.as_str())];
    let mut text = if claim.verdict == Word::Pass { String::new() } else { format!("{word}: ") };
    text.push_str(&claim.figures);
    if !claim.required {
        text.push_str(" (not required)");
    }
    let indent = sheet.hang(&[&lead[..], &[(Ink::Plain, padding.as_str())]].concat(), &text, ink.for_text());
    let indent = " ".repeat(indent);
    if let Some(missing) = &claim.missing {
        sheet.hang(&[(Ink::Plain, &indent)], missing, Ink::Plain);
    }
    if let Some(origin) = claim.origin.as_ref().filter(|_| claim.verdict != Word::Pass) {
        sheet.hang(&[(Ink::Plain, &indent)], &format!("{}:{}", origin.file, origin.line), Ink::Faint);
    }
}

fn doors(sheet: &mut Sheet, doors: &[Door]) {
    if doors.is_empty() {
        return;
    }
    sheet.blank();
    let name_width = doors.iter().map(|door| columns(&shown(&door.name()))).max().unwrap_or_default();
    for door in doors {
        let (symbol, _, ink) = door.verdict.map_or(("-", "", Ink::Faint), look);
        let name = door.name();
        let name = shown(&name);
        let padding = " ".repeat(name_width - columns(&name) + 2);
        let lead = [(Ink::Plain, "  "), (ink, symbol), (Ink::Plain, " "), (Ink::Plain, &*name), (Ink::Plain, &padding)];
        let indent = " ".repeat(sheet.hang(&lead, &door.line(), ink.for_text()));
        if !door.knocked() {
            continue;
        }
        let open = door.missing.as_ref().filter(|_| door.verdict == Some(Word::Inconclusive));
        if let Some(missing) = open {
            sheet.hang(&[(Ink::Plain, &indent)], missing, Ink::Plain);
        }
        if matches!(door.verdict, Some(Word::Fail | Word::Inconclusive)) {
            sheet.hang(&[(Ink::Plain, &indent)], &format!("expected {}", door.expected), Ink::Faint);
        }
    }
}

fn segments(sheet: &mut Sheet, segments: &[Segment]) {
    if segments.is_empty() {
        return;
    }
    sheet.blank();
    let figure = |us: Option<u64>| us.map_or("-".to_owned(), |us| Micros(us).to_string());
    let with_p99 = segments.iter().any(|segment| segment.p99_us.is_some());
    let row = |name: &str, runs: String, [p50, p95, p99, max]: [String; 4]| {
        let mut row = vec![name.to_owned(), runs, p50, p95, p99, max];
        if !with_p99 {
            row.remove(4);
        }
        row
    };
    let mut rows = vec![row("segment", "runs".into(), ["p50", "p95", "p99", "max"].map(str::to_owned))];
    for segment in segments {
        let figures = [segment.p50_us, segment.p95_us, segment.p99_us, segment.max_us].map(figure);
        rows.push(row(&segment.name, segment.runs.to_string(), figures));
    }
    sheet.table(rows.into_iter(), 1..6);
    if segments.iter().any(|segment| segment.p95_us.is_none() || (with_p99 && segment.p99_us.is_none())) {
        sheet.hang(&[(Ink::Plain, "  ")], "- too few runs: p95 needs 20, p99 needs 100", Ink::Faint);
    }
    // Below a hundredth of what is usual it is of no interest.
    let unsure = segments.iter();
    let unsure =
        unsure.filter(|segment| segment.uncertainty_us.saturating_mul(100) > segment.p50_us.unwrap_or_default());
    if let Some(most) = unsure.map(|segment| segment.uncertainty_us).max() {
        let text = format!("up to {} less is possible: arrivals are known only up to a read", Micros(most));
        sheet.hang(&[(Ink::Plain, "  ")], &text, Ink::Faint);
    }
}

fn finding(sheet: &mut Sheet, group: &FindingGroup) {
    let (symbol, weight, ink) = match group.severity {
        Severity::Failure if group.blamed => ("✗", "", Ink::Bad),
        Severity::Failure => ("✗", ", failing no required claim", Ink::Open),
        Severity::Doubt => ("?", ", in doubt", Ink::Open),
        Severity::Note => ("-", ", a note", Ink::Faint),
    };
    sheet.blank();
    let at = if group.users == 0 { String::new() } else { format!(" at {}", counted(group.users, "user")) };
    let count = format!("{}{at}{weight}", counted(group.count, "finding"));
    let lead = [(ink, symbol), (Ink::Plain, " "), (ink.bold(), group.code.as_str()), (Ink::Plain, " ")];
    sheet.hang(&lead, &format!("{}: {count}", group.name), Ink::Bold);
    sheet.hang(&[(Ink::Plain, "  ")], &group.meaning, Ink::Plain);
    let mut told: Vec<&str> = Vec::new();
    for witness in group.witnesses.iter().take(WITNESSES) {
        // The first with its evidence, then only those that say something else.
        if told.contains(&witness.message.as_str()) {
            continue;
        }
        self::witness(sheet, witness, told.is_empty());
        told.push(&witness.message);
    }
    let rest = group.count.saturating_sub(told.len() as u64);
    if rest > 0 {
        sheet.line(&format!("  and {rest} more in the report"), Ink::Faint);
    }
    sheet.hang(&[(Ink::Faint, "  cause  ")], &group.causes, Ink::Plain);
    sheet.hang(&[(Ink::Faint, "  do     ")], &group.advice, Ink::Plain);
}

fn witness(sheet: &mut Sheet, witness: &Witness, with_evidence: bool) {
    sheet.hang(&[(Ink::Plain, "  ")], &sentence(witness), Ink::Plain);
    if with_evidence {
        let pair = side_by_side(witness);
        if let Some(pair) = &pair {
            lanes(sheet, pair);
        }
        // What stands side by side is not told again.
        let marks = if pair.is_some() { &[] } else { witness.marks.as_slice() };
        evidence(sheet, Lane::of(&witness.marks), marks, &witness.excerpts);
    }
}

/// The time lines of two users in two columns, and an arrow where something came from the one to the other.
fn lanes(sheet: &mut Sheet, pair: &SideBySide) {
    let SideBySide { heads, rows, came } = pair;
    let time_width = rows.iter().map(|(time, _)| time.len()).chain([came.len()]).max().unwrap_or_default();
    let lefts = rows.iter().map(|(_, [left, _])| left).chain([&heads[0]]).map(|left| columns(&shown(left)));
    let width = lefts.max().unwrap_or_default().min(sheet.width.saturating_sub(time_width + 8) / 2);
    let mut row = |time: &str, left: &str, right: &str, ink: Ink| {
        let left = clip(&shown(left), width);
        let lead = format!("    {time:>time_width$}  {left}{}  ", " ".repeat(width - columns(&left)));
        sheet.clipped(&[(ink, &lead)], right, ink);
    };
    row("", &heads[0], &heads[1], Ink::Faint);
    for (time, [left, right]) in rows {
        row(time, left, right, Ink::Plain);
    }
    row(came, &format!("{}>", "-".repeat(width.saturating_sub(1))), "it came here", Ink::Bad);
}

/// A time line and the texts beside it. Times count from the ask, or from the first event that is known when the ask lies
/// too far back; without a run there are none.
fn evidence(sheet: &mut Sheet, lane: Lane, marks: &[Mark], excerpts: &[Excerpt]) {
    let mut rows = lane.rows(marks);
    let skipped = rows.len().saturating_sub(1 + LAST_ROWS);
    if skipped > 1 {
        rows.splice(1..=skipped, [("...".to_owned(), format!("{skipped} more"))]);
    }
    let shown: Vec<(String, &Excerpt)> =
        excerpts.iter().take(EXCERPTS).map(|excerpt| (lane.time(excerpt.at_us), excerpt)).collect();
    let times = rows.iter().map(|(time, _)| time).chain(shown.iter().map(|(time, _)| time));
    let time_width = times.map(String::len).max().unwrap_or_default();
    let lead = |time: &str| if lane.timeless() { "    ".to_owned() } else { format!("    {time:>time_width$}  ") };
    for (time, label) in &rows {
        sheet.clipped(&[(Ink::Faint, &lead(time))], label, Ink::Plain);
    }
    for (time, excerpt) in shown {
        self::excerpt(sheet, &lead(&time), excerpt);
    }
}

fn excerpt(sheet: &mut Sheet, lead: &str, excerpt: &Excerpt) {
    let lead = format!("{lead}{}: ", clip(&shown(&excerpt.label), sheet.width / 3));
    let indent = " ".repeat(columns(&lead));
    let text = shown(&excerpt.text);
    let lines = wrap(&text, sheet.width - indent.len());
    for (index, line) in lines.iter().take(EXCERPT_LINES).enumerate() {
        sheet.clipped(&[(Ink::Faint, if index == 0 { &lead } else { &indent })], line, Ink::Faint);
    }
    if lines.len() > EXCERPT_LINES {
        sheet.clipped(&[(Ink::Plain, &indent)], "...", Ink::Faint);
    }
}

fn foot(sheet: &mut Sheet, report: &Report, saved: Option<&str>) {
    sheet.blank();
    if !report.findings.is_empty() {
        // The head has scrolled away by now.
        verdict(sheet, report);
    }
    let passed = report.verdict.outcome == Word::Pass;
    sheet.field(if passed { "because" } else { "seen" }, &report.verdict.why.join(", "), Ink::Plain);
    for known in &report.known {
        let (text, ink) = known_issue(known);
        sheet.field("known", &text, ink);
    }
    for rule in &report.rules {
        sheet.field("rule", &changed_rule(rule), Ink::Open);
    }
    if !report.unknown_events.is_empty() {
        let names: Vec<String> =
            report.unknown_events.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        sheet.field("unknown", &format!("events that nothing mentions: {}", listed(&names, ", ")), Ink::Plain);
    }
    let mixed: Vec<String> = report
        .census
        .chunk_by(|a, b| a.event == b.event)
        .filter(|rows| rows.len() > 1)
        .map(|rows| format!("{} in {}", rows[0].event, rows.len()))
        .collect();
    if !mixed.is_empty() {
        sheet.field("mixed", &format!("events in several envelopes: {}", listed(&mixed, ", ")), Ink::Plain);
    }
    if let Some(line) = personas::line(&report.personas) {
        sheet.field("personas", &line, Ink::Plain);
    }
    if let Some(instrument) = &report.instrument {
        let ink = if instrument.overloaded { Ink::Open } else { Ink::Plain };
        sheet.field("harness", &instrument.line(), ink);
    }
    if !report.waits.is_empty() {
        let waits =
            report.waits.iter().map(|wait| format!("{} {} x, {}", wait.what, wait.times, Micros(wait.total_us)));
        let waits: Vec<String> = waits.collect();
        sheet.field("waited", &format!("{} (in no figure)", waits.join("; ")), Ink::Plain);
    }
    if !report.leftovers.is_empty() {
        let text = format!("behind on the target ({}): {}", report.leftovers.len(), listed(&report.leftovers, "; "));
        sheet.field("left", &text, Ink::Open);
    }
    for note in &report.notes {
        sheet.field("note", note, Ink::Plain);
    }
    if let Some(next) = &report.verdict.next {
        sheet.field("next", next, Ink::Bold);
    }
    if let Some(judged) = &report.judged {
        sheet.field("judged", &judged_from(judged), Ink::Plain);
    }
    sheet.command(&labelled("repeat"), &report.execution.command);
    if let Some(recording) = &report.recording {
        sheet.command(&labelled("again"), &recording.command);
        if recording.left_out > 0 {
            let left_out = counted(recording.left_out, "observation");
            sheet.field("", &format!("only what failed is recorded; {left_out} left out"), Ink::Plain);
        }
    }
    if let Some(saved) = saved {
        sheet.field("report", saved, Ink::Plain);
    }
}

fn judged_from(judged: &Judged) -> String {
    let mut text = format!("from {}", judged.file);
    if !judged.anew.is_empty() {
        text.push_str(&format!(", with {}", judged.anew.join(" and ")));
    }
    let whole = judged.repeated.is_empty() && judged.unknown.is_empty();
    let parts = [("judged again", &judged.recomputed), ("repeated", &judged.repeated), ("unknown", &judged.unknown)];
    for (what, claims) in parts.into_iter().filter(|(_, claims)| !whole && !claims.is_empty()) {
        text.push_str(&format!("; {what}: {}", claims.join(", ")));
    }
    text
}

fn known_issue(known: &KnownIssue) -> (String, Ink) {
    let until = known.until.as_ref().map(|until| format!(", until {until}")).unwrap_or_default();
    let at_most = known.at_most.map(|most| format!(", at most {most}")).unwrap_or_default();
    let found = format!("{} at {}", counted(known.count, "finding"), counted(known.users, "user"));
    let (state, ink) = match known.state {
        KnownState::Unseen => ("not seen; remove it once it is solved".to_owned(), Ink::Plain),
        KnownState::Tolerated => (format!("{found}, tolerated"), Ink::Open),
        KnownState::Expired => (format!("{found}, no longer tolerated: the day is over"), Ink::Bad),
        KnownState::Exceeded => (format!("{found}, not tolerated: more than declared"), Ink::Bad),
    };
    (format!("{} {} ({}{until}{at_most}): {state}", known.code, known.name, known.issue), ink)
}

fn changed_rule(rule: &ChangedRule) -> String {
    let weight = match rule.severity {
        None => "off",
        Some(Severity::Failure) => "a failure",
        Some(Severity::Doubt) => "a doubt",
        Some(Severity::Note) => "only a note",
    };
    let reason = rule.reason.as_ref().map(|reason| format!(", because: {reason}")).unwrap_or_default();
    format!("{} {} is {weight} here ({}){reason}", rule.code, rule.name, counted(rule.count, "finding"))
}

fn listed(items: &[String], separator: &str) -> String {
    let more = items.len().saturating_sub(LISTED);
    let mut text = items.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(separator);
    if more > 0 {
        text.push_str(&format!("{separator}{more} more"));
    }
    text
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Bold,
    Faint,
    Good,
    Bad,
    Open,
    BoldGood,
    BoldBad,
    BoldOpen,
}

impl Ink {
    pub(super) fn bold(self) -> Ink {
        match self {
            Ink::Good => Ink::BoldGood,
            Ink::Bad => Ink::BoldBad,
            Ink::Open => Ink::BoldOpen,
            _ => Ink::Bold,
        }
    }

    /// What passed is told by its symbol; colour on all of its text would only draw the eye from what did not.
    fn for_text(self) -> Ink {
        if self == Ink::Good { Ink::Plain } else { self }
    }

    /// ECMA-48, select graphic rendition.
    fn codes(self) -> &'static str {
        match self {
            Ink::Plain => "",
            Ink::Bold => "1",
            Ink::Faint => "2",
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Open => "33",
            Ink::BoldGood => "1;32",
            Ink::BoldBad => "1;31",
            Ink::BoldOpen => "1;33",
        }
    }
}

/// `text` escaped and of a length that a page can hold. `##[` begins a command of GitHub's runner wherever it stands in a line
/// of a log, so that it is spelt out.
fn shown(text: &str) -> String {
    bounded(text, LONGEST).replace("##[", "##\\u{5b}")
}

/// A line that begins with `::` is a command to GitHub's runner, blanks before it or not; wrapping could put a target's text
/// there.
fn inert(line: &str, width: usize) -> Cow<'_, str> {
    match line.trim_start().strip_prefix("::") {
        Some(rest) => Cow::Owned(clip(&format!("\\u{{3a}}:{rest}"), width)),
        None => Cow::Borrowed(line),
    }
}

/// What ends a line of a command that goes on.
const CONTINUED: &str = " \\";

fn labelled(label: &str) -> String {
    format!("  {label:<8}  ")
}

/// The only way onto the page: escapes every text and keeps every line within the width.
pub(super) struct Sheet {
    out: String,
    width: usize,
    color: bool,
}

impl Sheet {
    pub(super) fn new(page: &Page<'_>) -> Sheet {
        Sheet { out: String::new(), width: page.width.max(40), color: page.color }
    }

    pub(super) fn into_text(self) -> String {
        self.out
    }

    /// Rows below one another, the first of them a heading; columns of numbers stand to the right.
    pub(super) fn table(&mut self, rows: impl Iterator<Item = Vec<String>>, numbers: Range<usize>) {
        let mut table = Builder::default();
        let mut width = 0;
        for row in rows {
            width = width.max(row.len());
            table.push_record(row.iter().map(|cell| clip(&shown(cell), CELL)));
        }
        let mut table = table.build();
        table.with(Style::empty()).with(Padding::new(2, 0, 0, 0));
        table.modify(Columns::new(numbers.start..numbers.end.min(width)).intersect(Rows::new(0..)), Alignment::right());
        for (index, line) in table.to_string().lines().enumerate() {
            self.line(line, if index == 0 { Ink::Faint } else { Ink::Plain });
        }
    }

    pub(super) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// A label of the head or foot and its text.
    pub(super) fn field(&mut self, label: &str, text: &str, ink: Ink) {
        self.hang(&[(Ink::Faint, &labelled(label))], text, ink);
    }

    /// A command line behind its lead. One that takes several lines is continued as a shell reads it, so that it can be copied.
    fn command(&mut self, lead: &str, command: &str) {
        let room = self.width - columns(lead) - CONTINUED.len();
        let command = bounded(command, LONGEST);
        let divisible = !command.contains(['\'', '"', '\\']) && command.split(' ').all(|word| columns(word) <= room);
        if !divisible {
            self.hang(&[(Ink::Faint, lead)], &command, Ink::Plain);
            return;
        }
        let lines = wrap(&command, room);
        let under = " ".repeat(columns(lead));
        for (index, line) in lines.iter().enumerate() {
            let end = if index + 1 < lines.len() { CONTINUED } else { "" };
            let lead = if index == 0 { lead } else { &under };
            self.clipped(&[(Ink::Faint, lead)], &format!("{line}{end}"), Ink::Plain);
        }
    }

    /// `lead`, and `text` wrapped beside it. Returns the column at which the text stands.
    pub(super) fn hang(&mut self, lead: &[(Ink, &str)], text: &str, ink: Ink) -> usize {
        let indent: usize = lead.iter().map(|(_, part)| columns(&escape(part))).sum();
        // A lead that leaves no room stands on a line of its own.
        let beside = indent <= self.width / 2;
        let column = if beside { indent } else { 4 };
        self.lead(lead);
        if !beside {
            self.end_line();
        }
        for (index, line) in wrap(&shown(text), self.width - column).iter().enumerate() {
            if index > 0 || !beside {
                self.out.extend(std::iter::repeat_n(' ', column));
            }
            self.paint(&inert(line, self.width - column), ink);
            self.end_line();
        }
        column
    }

    /// `lead` and `text` on one line, cut where it does not fit.
    fn clipped(&mut self, lead: &[(Ink, &str)], text: &str, ink: Ink) {
        let taken: usize = lead.iter().map(|(_, part)| columns(&escape(part))).sum();
        self.lead(lead);
        let room = self.width.saturating_sub(taken);
        self.paint(&inert(&clip(&shown(text), room), room), ink);
        self.end_line();
    }

    fn line(&mut self, text: &str, ink: Ink) {
        self.clipped(&[], text, ink);
    }

    fn lead(&mut self, lead: &[(Ink, &str)]) {
        let mut room = self.width;
        for (ink, part) in lead {
            let part = clip(&escape(part), room);
            room -= columns(&part);
            self.paint(&part, *ink);
        }
    }

    fn paint(&mut self, text: &str, ink: Ink) {
        let codes = ink.codes();
        if self.color && !codes.is_empty() && !text.trim().is_empty() {
            self.out.push_str(&format!("\u{1b}[{codes}m{text}\u{1b}[0m"));
        } else {
            self.out.push_str(text);
        }
    }

    fn end_line(&mut self) {
        let kept = self.out.trim_end_matches(' ').len();
        self.out.truncate(kept);
        self.out.push('\n');
    }
}
