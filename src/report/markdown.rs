//! Markdown for a step summary and a pull request comment: what a reviewer reads, sized for where it is read.
//!
//! Markdown of our own is written here; every text that varies goes through `prose` or `code`, which leave nothing that
//! GitHub or GitLab act upon: no HTML, no links, no mentions, no references, no table cells, no quick actions. What does not
//! fit is left out from the end of the list of findings, and the page says how much.

use super::text::{bounded, is_hostile};
use super::tree::{Claim, FindingGroup, Origin, Report, Segment, Word, only_users};
use super::witness::{hunt, lines, sentence};
use crate::finding::counted;
use crate::rule::Severity;
use crate::time::Micros;

/// Bytes of a page that fits wherever it may be put. A comment on GitHub takes 65,536 characters, a step summary 1 MiB, a note
/// on GitLab 1,000,000 characters; the rest leaves room for a line of somebody else's around it.
pub const SUMMARY_BYTES: usize = 65_000;

/// Bytes of a text that are shown at most.
const LONGEST: usize = 1_000;
/// The same for the head, which is never cut.
const IN_THE_HEAD: usize = 150;
/// Findings, claims, segments and notes beyond so many are counted, so that a page stays one.
const ROWS: usize = 60;
/// Bytes kept for the words that say what was cut.
const FOR_THE_CUT: usize = 400;

/// The report as Markdown with a final newline, at most `room` bytes long. A room of less than 6,000 bytes counts as that.
pub fn markdown(report: &Report, room: usize) -> String {
    let mut page = Page { out: String::new(), room: room.max(6_000) - FOR_THE_CUT, cut: Vec::new() };
    page.add("the verdict", &head(report));
    page.add("the claims", &claims(report));
    page.add("the doors", &doors(report));
    let mut left_out = 0_u64;
    for (index, group) in report.findings.iter().enumerate() {
        let block = finding(report, group, index == 0);
        if left_out > 0 || index >= ROWS || !page.fits(&block) {
            left_out += 1;
        } else {
            page.out.push_str(&block);
        }
    }
    if left_out > 0 {
        page.cut.push(format!("the findings of {}", counted(left_out, "rule")));
    }
    page.add("the latencies", &latencies(&report.segments));
    page.add("what else was seen", &foot(report));
    if !page.cut.is_empty() {
        let cut = page.cut.join(", ");
        page.out.push_str(&format!("\n> Cut to fit: {cut}. All of it stands in `report.json`.\n"));
    }
    page.out
}

/// What fits so far, and what did not.
struct Page {
    out: String,
    room: usize,
    cut: Vec<String>,
}

impl Page {
    fn fits(&self, block: &str) -> bool {
        self.out.len() + block.len() <= self.room
    }

    fn add(&mut self, name: &str, block: &str) {
        if self.fits(block) {
            self.out.push_str(block);
        } else {
            self.cut.push(name.to_owned());
        }
    }
}

fn head(report: &Report) -> String {
    let (symbol, word) = look(report.verdict.outcome);
    let scenario = &report.scenario;
    let target = &report.target;
    let mut out =
        format!("## {symbol} {word}: {}\n\n{}\n\n", code(&scenario.name, LONGEST), prose(&report.verdict.sentence));
    let users = match scenario.only_users.is_empty() {
        true => counted(scenario.users, "user"),
        false => format!("only {} of {}", only_users(scenario), scenario.users),
    };
    let whom = match target.embedded {
        true => "the embedded backend: **not your system**".to_owned(),
        false => code(&target.name, IN_THE_HEAD),
    };
    let build = target.build.as_ref().map(|build| format!(", build {}", code(build, IN_THE_HEAD))).unwrap_or_default();
    let execution = &report.execution;
    out.push_str(&format!(
        "{users} against {whom}{build}; {}, took {}, execution `{}`, seed `{}`.\n",
        prose_within(&execution.began, IN_THE_HEAD),
        Micros(execution.duration_us),
        execution.id,
        execution.seed,
    ));
    let because = if report.verdict.outcome == Word::Pass { "It counts because" } else { "Seen" };
    out.push_str(&format!("{because}: {}.\n", prose_within(&report.verdict.why.join(", "), 2 * IN_THE_HEAD)));
    out
}

fn claims(report: &Report) -> String {
    let mut out = "\n| | claim | figures |\n|---|---|---|\n".to_owned();
    for claim in report.claims.iter().take(ROWS) {
        let (symbol, word) = look(claim.verdict);
        let not = if claim.required { "" } else { " (not required)" };
        let said = [Some(prose(&claim.figures)), claim.missing.as_deref().map(prose), origin(claim)];
        let said: Vec<String> = said.into_iter().flatten().collect();
        out.push_str(&format!("| {symbol} {word}{not} | {} | {} |\n", prose(&claim.name), said.join("<br>")));
    }
    let more = report.claims.len().saturating_sub(ROWS);
    if more > 0 {
        out.push_str(&format!("\n{more} more claims stand in `report.json`.\n"));
    }
    for sentence in report.unclaimed.iter().take(ROWS) {
        out.push_str(&format!("\nNot claimed: {}.\n", prose(sentence)));
    }
    out
}

fn doors(report: &Report) -> String {
    if report.doors.is_empty() {
        return String::new();
    }
    let mut out = "\n| | door | seen | expected | with all that is right | another's run meanwhile |\n\
                   |---|---|---|---|---|---|\n"
        .to_owned();
    for door in report.doors.iter().take(ROWS) {
        let mark = door.verdict.map_or_else(
            || "➖ spared".to_owned(),
            |word| {
                let (symbol, word) = look(word);
                format!("{symbol} {word}")
            },
        );
        let seen = [Some(prose(&door.line())), door.missing.as_deref().filter(|_| door.verdict.is_some()).map(prose)];
        let seen: Vec<String> = seen.into_iter().flatten().collect();
        out.push_str(&format!(
            "| {mark} | {} | {} | {} | {} | {} |\n",
            prose(&door.name()),
            seen.join("<br>"),
            prose(&door.expected),
            prose(&door.control),
            prose(&door.beside)
        ));
    }
    out
}

fn origin(claim: &Claim) -> Option<String> {
    let Origin { file, line } = claim.origin.as_ref().filter(|_| claim.verdict != Word::Pass)?;
    Some(code(&format!("{file}:{line}"), LONGEST))
}

fn finding(report: &Report, group: &FindingGroup, first: bool) -> String {
    let (symbol, weight) = match group.severity {
        Severity::Failure if group.blamed => ("❌", ""),
        Severity::Failure => ("⚠️", ", failing no required claim"),
        Severity::Doubt => ("❔", ", in doubt"),
        Severity::Note => ("ℹ️", ", a note"),
    };
    let at = if group.users == 0 { String::new() } else { format!(" at {}", counted(group.users, "user")) };
    let mut out = format!(
        "\n### {symbol} {} {}: {}{at}{weight}\n\n{}\n\n",
        prose(&group.code),
        prose(&group.name),
        counted(group.count, "finding"),
        prose(&group.meaning),
    );
    if let Some(witness) = group.witnesses.first() {
        out.push_str(&fenced(&lines(witness)));
    }
    let mut told: Vec<&str> = group.witnesses.first().map(|witness| witness.message.as_str()).into_iter().collect();
    for witness in group.witnesses.iter().skip(1) {
        if !told.contains(&witness.message.as_str()) {
            out.push_str(&format!("- {}\n", code(&sentence(witness), LONGEST)));
            told.push(&witness.message);
        }
    }
    out.push_str(&format!("\n**Cause:** {}. **Do:** {}.\n", prose(&group.causes), prose(&group.advice)));
    if let Some(hunt) = hunt(report, group).filter(|_| first && group.blamed) {
        out.push_str(&format!("\n{}", fenced(&[hunt])));
    }
    out
}

fn latencies(segments: &[Segment]) -> String {
    if segments.is_empty() {
        return String::new();
    }
    let figure = |us: Option<u64>| us.map_or("-".to_owned(), |us| Micros(us).to_string());
    let mut out = "\n| segment | runs | p50 | p95 | p99 | max |\n|---|---:|---:|---:|---:|---:|\n".to_owned();
    for segment in segments.iter().take(ROWS) {
        let [p50, p95, p99, max] = [segment.p50_us, segment.p95_us, segment.p99_us, segment.max_us].map(figure);
        let (name, runs) = (prose(&segment.name), segment.runs);
        out.push_str(&format!("| {name} | {runs} | {p50} | {p95} | {p99} | {max} |\n"));
    }
    out
}

fn foot(report: &Report) -> String {
    let mut out = String::new();
    let mut list = |title: &str, items: Vec<String>| {
        if !items.is_empty() {
            let more = items.len().saturating_sub(ROWS);
            let more = if more > 0 { format!(", {more} more") } else { String::new() };
            let shown = items.into_iter().take(ROWS).collect::<Vec<_>>().join(", ");
            out.push_str(&format!("\n{title}: {shown}{more}.\n"));
        }
    };
    let unknown = report.unknown_events.iter();
    let unknown = unknown.map(|(name, count)| format!("{} ({count})", code(name, 100)));
    list("Events that nothing mentions", unknown.collect());
    list("Left behind on the target", report.leftovers.iter().map(|text| code(text, LONGEST)).collect());
    for note in report.notes.iter().take(ROWS) {
        list("Note", vec![prose(note)]);
    }
    out.push_str(&format!("\nRepeat it:\n\n{}", fenced(std::slice::from_ref(&report.execution.command))));
    if let Some(recording) = &report.recording {
        out.push_str(&format!("\nJudge it again:\n\n{}", fenced(std::slice::from_ref(&recording.command))));
    }
    out
}

/// Symbol and word of a verdict.
pub(super) fn look(word: Word) -> (&'static str, &'static str) {
    match word {
        Word::Pass => ("✅", "pass"),
        Word::Fail => ("❌", "**fail**"),
        Word::Blocked => ("⛔", "**blocked**"),
        Word::Inconclusive => ("❔", "**inconclusive**"),
        Word::Interrupted => ("✋", "**interrupted**"),
        Word::Broke => ("💥", "**broke**"),
    }
}

/// A sentence whose words are plain, and code where they are not. Nothing but letters, digits and quiet punctuation stands
/// outside of code, where no platform looks for mentions, links, references, markup or HTML.
pub(super) fn prose(text: &str) -> String {
    prose_within(text, LONGEST)
}

fn prose_within(text: &str, limit: usize) -> String {
    let text = bounded(text, limit);
    // Sentences of ours mark what is typed with backticks; unpaired ones are somebody else's.
    let marked = text.matches('`').count().is_multiple_of(2);
    let parts: Vec<&str> = if marked { text.split('`').collect() } else { vec![&*text] };
    let mut out = String::new();
    let mut put = |piece: &str| {
        // Two fences without a blank between them would be one.
        if piece.starts_with('`') && out.ends_with('`') {
            out.push(' ');
        }
        out.push_str(piece);
        out.is_empty()
    };
    let mut first = true;
    for (index, part) in parts.iter().enumerate() {
        if index % 2 == 1 {
            first = put(&code(part, LONGEST));
            continue;
        }
        for (place, word) in part.split(' ').enumerate() {
            if place > 0 && !first {
                put(" ");
            }
            if !word.is_empty() {
                first = put(&if plain(word, first) { word.to_owned() } else { code(word, LONGEST) });
            }
        }
    }
    out
}

/// Whether a word is text and nothing else. The first could begin a list, a rule or a heading of a line.
fn plain(word: &str, first: bool) -> bool {
    let quiet = |c: char| c.is_ascii_alphanumeric() || ",;()'\"./?%=-".contains(c) || (!c.is_ascii() && !is_hostile(c));
    let body = word.strip_suffix([':', ',', ';']).unwrap_or(word);
    let body = body.strip_suffix(':').unwrap_or(body);
    let mut chars = body.chars();
    let (begins, then) = (chars.next(), chars.next());
    // `/close` is a command and `%3` a milestone of GitLab; `www.` is a link without a colon.
    let acts = begins.is_some_and(|c| "/%".contains(c)) && then.is_some_and(|c| c.is_alphanumeric() || c == '"')
        || body.starts_with("--")
        || body.starts_with("==")
        || body.to_ascii_lowercase().contains("www.");
    let lists = first && !begins.is_some_and(char::is_alphabetic) && body.ends_with(['.', ')', '-', '=']);
    body.chars().all(quiet) && !acts && !lists
}

/// Inline code: a fence longer than any in the text (CommonMark 0.31, section 6.1). A bar would end a table's cell even in
/// code, so it is spelt out.
pub(super) fn code(text: &str, limit: usize) -> String {
    let text = bounded(text, limit).replace('|', "\\u{7c}");
    if text.trim().is_empty() {
        return "(nothing)".to_owned();
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A block of code, each line escaped by itself.
pub(super) fn fenced(lines: &[String]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| bounded(line, LONGEST)).collect();
    let longest = lines.iter().map(|line| longest_run(line)).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", lines.join("\n"))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_act_become_code() {
        for word in [
            "@everyone",
            "#12",
            "!3",
            "~bug",
            "%1",
            "/close",
            "https://example.com",
            "www.example.com",
            "a@b.example",
            "<b>",
            "&lt;",
            "*bold*",
            "_it_",
            "[x](y)",
            "a|b",
            "$7",
            ":smile:",
            "mailto:a",
            "-",
            "1.",
            "---",
            "#",
        ] {
            let out = prose(word);
            assert!(out == "-" || out.starts_with('`'), "{word}: {out}");
        }
        assert_eq!(
            prose("p95 is 2.1 s, at most 3 % of 20 runs: fine (95 %)"),
            "p95 is 2.1 s, at most 3 % of 20 runs: fine (95 %)"
        );
        assert_eq!(prose("raise `within` of the `ready` step"), "raise `within` of the `ready` step");
        assert_eq!(prose("a `b c`#1 `"), "a `` `b `` ``c`#1`` `` ` ``");
        assert_eq!(prose("a `b c`#1"), "a `b c` `#1`");
        assert_eq!(prose("see scenarios/a_b.yaml:24 there"), "see `scenarios/a_b.yaml:24` there");
    }

    #[test]
    fn code_cannot_be_left_from_inside() {
        assert_eq!(code("a`b", 100), "``a`b``");
        assert_eq!(code("`", 100), "`` ` ``");
        assert_eq!(code("a|b\n", 100), "`a\\u{7c}b\\n`");
        assert_eq!(fenced(&["```".to_owned()]), "````text\n```\n````\n");
    }
}
