//! One set of reports in every format, and hostile text in none of them.
//!
//! The snapshots are the specification of the outputs; they are read in review like code. JUnit is held against the schema
//! that Jenkins and Surefire share, written down here as a table.

use goldenpath::report::{Report, SUMMARY_BYTES, annotations, junit, markdown, render, to_json};
use quick_junit::Report as Suites;

use super::report::{
    PAGE, blocked, examples, failed, hostile, inconclusive, interrupted, passed, passed_with_a_remark,
};

// ---------------------------------------------------------------------------------------------------------------------
// What they look like

#[test]
fn a_failure_as_markdown() {
    insta::assert_snapshot!(markdown(&failed(), SUMMARY_BYTES));
}

#[test]
fn a_pass_as_markdown() {
    insta::assert_snapshot!(markdown(&passed(), SUMMARY_BYTES));
}

#[test]
fn hostile_text_as_markdown() {
    insta::assert_snapshot!(markdown(&hostile(), SUMMARY_BYTES));
}

#[test]
fn a_failure_as_junit() {
    insta::assert_snapshot!(junit(&failed()));
}

#[test]
fn what_is_not_required_never_turns_a_pipeline_red() {
    insta::assert_snapshot!(junit(&passed_with_a_remark()));
}

#[test]
fn a_blocked_execution_as_junit() {
    insta::assert_snapshot!(junit(&blocked()));
}

#[test]
fn a_failure_as_annotations() {
    insta::assert_snapshot!(annotations(&failed()).join("\n"));
}

#[test]
fn a_blocked_execution_as_annotations() {
    insta::assert_snapshot!(annotations(&blocked()).join("\n"));
}

// ---------------------------------------------------------------------------------------------------------------------
// JUnit

#[test]
fn junit_is_what_the_common_schema_describes() {
    for report in examples().into_iter().chain([enormous()]) {
        let text = junit(&report);
        let wrong = against_schema(&text);
        assert!(wrong.is_empty(), "{wrong:#?}\n{text}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_junit() {
    let good = junit(&failed());
    for (from, to) in [
        ("<testcase name=", "<testcase title="),
        ("<failure ", "<failed "),
        (" tests=\"", " tests=\"x"),
        ("line=\"24\"", "line=\"0\""),
        ("</testsuites>", "<testcase name=\"x\"/></testsuites>"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(bad != good && !against_schema(&bad).is_empty(), "{from} -> {to} was accepted");
    }
}

#[test]
fn every_verdict_has_its_element() {
    let count = |report: &Report, what: &str| junit(report).matches(what).count();
    assert_eq!((count(&passed(), "<failure"), count(&passed(), "<error")), (0, 0));
    assert!(count(&failed(), "<failure") > 0);
    assert_eq!(count(&blocked(), "<failure"), 0);
    assert!(count(&blocked(), "type=\"blocked\"") > 0);
    assert!(count(&inconclusive(), "type=\"inconclusive\"") > 0);
    assert!(count(&interrupted(), "type=\"interrupted\"") > 0);
    for report in examples() {
        assert_eq!(count(&report, "<skipped"), 0, "nothing was switched off by name");
    }
    let alone = junit(&inconclusive());
    assert!(!alone.contains("<testcase name=\"isolation\""), "what is not claimed is absent");
}

#[test]
fn names_of_cases_do_not_depend_on_the_verdict() {
    let names = |report: &Report| -> Vec<String> {
        let suites = read_back(report);
        suites.test_suites[0].test_cases.iter().map(|case| case.name.as_str().to_owned()).collect()
    };
    assert_eq!(names(&passed()), names(&failed()));
    assert_eq!(names(&passed()), names(&blocked()));
}

#[test]
fn junit_reads_back() {
    for report in examples() {
        let suites = read_back(&report);
        assert_eq!(suites.test_suites.len(), 1);
        let red = suites.failures + suites.errors > 0;
        assert_eq!(red, report.verdict.exit_code != 0, "{}", report.verdict.sentence);
    }
}

fn read_back(report: &Report) -> Suites {
    // The common schema wants no zone, and the library that reads it here wants one.
    let text = junit(report).replace("T09:30:00\"", "T09:30:00Z\"");
    Suites::deserialize_from_str(&text).unwrap()
}

/// What is wrong with a document under the schema of Jenkins and Surefire: elements, their order, attributes and their types.
/// `file` and `line` are what GitLab and CircleCI read beside it.
fn against_schema(text: &str) -> Vec<String> {
    struct Element {
        name: &'static str,
        required: &'static [&'static str],
        optional: &'static [&'static str],
        /// In the order in which they may come.
        children: &'static [&'static str],
    }
    const SCHEMA: [Element; 9] = [
        Element {
            name: "testsuites",
            required: &[],
            optional: &["name", "time", "tests", "failures", "errors", "skipped", "disabled"],
            children: &["testsuite"],
        },
        Element {
            name: "testsuite",
            required: &["name", "tests"],
            optional: &["failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id", "package"],
            children: &["properties", "testcase", "system-out", "system-err"],
        },
        Element { name: "properties", required: &[], optional: &[], children: &["property"] },
        Element { name: "property", required: &["name", "value"], optional: &[], children: &[] },
        Element {
            name: "testcase",
            required: &["name"],
            optional: &["assertions", "time", "classname", "status", "file", "line"],
            children: &["skipped", "error", "failure", "system-out", "system-err"],
        },
        Element { name: "failure", required: &[], optional: &["type", "message"], children: &[] },
        Element { name: "error", required: &[], optional: &["type", "message"], children: &[] },
        Element { name: "system-out", required: &[], optional: &[], children: &[] },
        Element { name: "system-err", required: &[], optional: &[], children: &[] },
    ];
    let mut wrong = Vec::new();
    if !text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>") {
        wrong.push("no XML declaration".to_owned());
    }
    // XML 1.0, section 2.2.
    let legal =
        |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    wrong.extend(text.chars().filter(|c| !legal(*c)).map(|c| format!("{c:?} is no character of XML")));
    let tag = regex::Regex::new(r#"<(/?)([a-z-]+)((?:\s+[a-z]+="[^"<]*")*)\s*(/?)>|<[^?]"#).unwrap();
    let attribute = regex::Regex::new(r#"([a-z]+)="([^"]*)""#).unwrap();
    let entity = regex::Regex::new("&(amp|lt|gt|quot|apos|#[0-9]+|#x[0-9A-Fa-f]+);").unwrap();
    if entity.replace_all(text, "").contains('&') {
        wrong.push("a bare ampersand".to_owned());
    }
    // Open elements with the place in the order of children that was reached.
    let mut open: Vec<(&Element, usize)> = Vec::new();
    for found in tag.captures_iter(text) {
        let Some(name) = found.get(2).map(|name| name.as_str()) else {
            wrong.push(format!("no tag: {}", &found[0]));
            continue;
        };
        if &found[1] == "/" {
            match open.pop() {
                Some((element, _)) if element.name == name => {}
                _ => wrong.push(format!("</{name}> closes nothing")),
            }
            continue;
        }
        let Some(element) = SCHEMA.iter().find(|element| element.name == name) else {
            wrong.push(format!("<{name}> is not known"));
            continue;
        };
        match open.last_mut() {
            None if name == "testsuites" => {}
            None => wrong.push(format!("<{name}> is the root")),
            Some((parent, reached)) => match parent.children.iter().position(|child| *child == name) {
                Some(place) if place >= *reached => *reached = place,
                _ => wrong.push(format!("<{name}> stands in <{}>", parent.name)),
            },
        }
        let attributes: Vec<(&str, &str)> = attribute
            .captures_iter(found.get(3).map_or("", |all| all.as_str()))
            .map(|attribute| attribute.extract())
            .map(|(_, [name, value])| (name, value))
            .collect();
        for (key, value) in &attributes {
            if !element.required.contains(key) && !element.optional.contains(key) {
                wrong.push(format!("<{name}> has no {key}"));
            }
            let fits = match *key {
                "tests" | "failures" | "errors" | "skipped" | "assertions" => value.parse::<u64>().is_ok(),
                "line" => value.parse::<u32>().is_ok_and(|line| line > 0),
                "time" => value.parse::<f64>().is_ok(),
                "timestamp" => value.parse::<jiff::civil::DateTime>().is_ok() && value.len() == 19,
                _ => true,
            };
            if !fits {
                wrong.push(format!("{key}=\"{value}\""));
            }
        }
        for needed in element.required.iter().filter(|needed| attributes.iter().all(|(key, _)| key != *needed)) {
            wrong.push(format!("<{name}> lacks {needed}"));
        }
        if &found[4] != "/" {
            open.push((element, 0));
        }
    }
    wrong.extend(open.iter().map(|(element, _)| format!("<{}> is not closed", element.name)));
    wrong
}

// ---------------------------------------------------------------------------------------------------------------------
// Hostile text

/// Where a target's text may stand in a report, filled with the worst of each kind.
pub(super) fn enormous() -> Report {
    let worst = [
        "</code></details><script>alert(1)</script><img src=x onerror=alert(1)>",
        "| a | b |\n|---|---|\n# owned\n```\n~~~\n[click](javascript:alert(1)) ![x](http://example.com/x.png)",
        "@everyone #1 !2 http://example.com www.example.com a@example.com /close `` ` ``` **x** _y_ ~~z~~ :+1: $1 %2 &3",
        "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}desrever\u{2066}\u{200b}\0\u{1}\u{b}\u{fffe}\u{ffff}\r",
        "::error::owned\n::set-output name=x::y\n  ::stop-commands::x\n##[add-mask]x ##[error]y",
        "]]><!-- --><![CDATA[x]]>&lt;&#0;&bogus;\"'",
    ]
    .join(" ");
    let long = format!("{worst} {}", "::x ".repeat(2_600_000));
    let mut report = failed();
    let fill = |text: &mut String| *text = long.clone();
    fill(&mut report.verdict.sentence);
    fill(&mut report.verdict.why[0]);
    report.target.build = Some(worst.clone());
    report.scenario.file = Some(worst.clone());
    report.notes = vec![worst.clone(); 200];
    report.leftovers = vec![worst.clone(); 200];
    report.unknown_events = (0..300).map(|n| (format!("{n} {worst}"), n)).collect();
    for claim in &mut report.claims {
        claim.figures = worst.clone();
        claim.missing = Some(worst.clone());
    }
    for group in &mut report.findings {
        group.meaning = worst.clone();
        for witness in &mut group.witnesses {
            witness.message = worst.clone();
            witness.subject.run = Some(worst.clone());
            witness.marks.iter_mut().for_each(|mark| mark.label = worst.clone());
            witness.excerpts.iter_mut().for_each(|excerpt| excerpt.text = worst.clone());
        }
    }
    report.findings = report.findings.iter().cycle().take(200).cloned().collect();
    let first = &mut report.findings[0].witnesses[0];
    first.message = long.clone();
    first.marks[0].label = long.clone();
    first.excerpts[0].text = long.clone();
    report
}

pub(super) fn assert_inert(text: &str) {
    let acts = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}'..='\u{ffff}')
    };
    assert!(!text.contains(acts), "{:?}", text.find(acts).map(|at| &text[at..(at + 40).min(text.len())]));
}

#[test]
fn hostile_text_moves_no_cursor_in_any_format() {
    for report in [hostile(), enormous()] {
        assert_inert(&render(&report, &PAGE));
        assert_inert(&markdown(&report, SUMMARY_BYTES));
        assert_inert(&junit(&report));
        assert_inert(&annotations(&report).join("\n"));
        assert_inert(&to_json(&report));
    }
}

#[test]
fn hostile_text_commands_no_runner() {
    let commands = |text: &str| -> Vec<String> {
        let acts = |line: &&str| line.trim_start().starts_with("::") || line.contains("##[");
        text.lines().filter(acts).map(str::to_owned).collect()
    };
    let report = enormous();
    assert_eq!(commands(&render(&report, &PAGE)), [""; 0]);
    for width in [40, 60, 120, 300] {
        assert_eq!(commands(&render(&report, &goldenpath::report::Page { width, ..PAGE })), [""; 0]);
    }
    let lines = annotations(&report);
    for line in &lines {
        let command = line.split(' ').next().unwrap();
        assert!(["::error", "::warning", "::notice"].contains(&command), "{line}");
        assert!(!line.contains(['\n', '\r']), "{line}");
    }
    for level in ["::error", "::warning", "::notice"] {
        assert!(lines.iter().filter(|line| line.starts_with(level)).count() <= 10, "the runner shows ten");
    }
}

#[test]
fn nothing_outside_of_code_acts_in_markdown() {
    for report in [hostile(), enormous()] {
        let text = markdown(&report, SUMMARY_BYTES);
        let outside = without_code(&text);
        for acting in [
            "@",
            "http:",
            "https:",
            "www.",
            "javascript",
            "<script",
            "<img",
            "</",
            "<!--",
            "![",
            "](",
            "**x",
            "~~",
            ":+1:",
            "#1 ",
        ] {
            assert!(!outside.contains(acting), "{acting} stands outside of code:\n{outside}");
        }
        for line in outside.lines() {
            assert!(!line.starts_with('/'), "a quick action: {line}");
            assert!(!line.starts_with("# "), "a heading of somebody else's: {line}");
        }
    }
}

/// Markdown without its code, read as CommonMark does: fenced blocks by their fences, spans by runs of backticks.
fn without_code(text: &str) -> String {
    let mut out = String::new();
    let mut fence: Option<usize> = None;
    let runs = regex::Regex::new("`+").unwrap();
    for line in text.lines() {
        let run = line.bytes().take_while(|byte| *byte == b'`').count();
        match fence {
            Some(opened) if run >= opened && line.trim_end().len() == run => fence = None,
            Some(_) => {}
            None if run >= 3 && !line[run..].contains('`') => fence = Some(run),
            None => {
                let mut rest = line;
                while let Some(at) = rest.find('`') {
                    out.push_str(&rest[..at]);
                    let run = rest[at..].bytes().take_while(|byte| *byte == b'`').count();
                    let body = &rest[at + run..];
                    let closing = runs.find_iter(body).find(|found| found.len() == run);
                    let closing = closing.unwrap_or_else(|| panic!("code is not closed: {line}"));
                    rest = &body[closing.end()..];
                }
                out.push_str(rest);
                out.push('\n');
            }
        }
    }
    assert_eq!(fence, None, "a block of code is not closed");
    out
}

#[test]
fn tables_keep_their_columns() {
    for report in [failed(), hostile(), enormous()] {
        let text = markdown(&report, SUMMARY_BYTES);
        let mut columns = None;
        for line in text.lines() {
            let bars = line.matches('|').count();
            if !line.starts_with('|') {
                columns = None;
            } else {
                assert_eq!(*columns.get_or_insert(bars), bars, "{line}");
            }
        }
    }
}

#[test]
fn reports_stay_small_whatever_a_target_sends() {
    let report = enormous();
    assert!(render(&report, &PAGE).len() < 4_000_000);
    assert!(junit(&report).len() < 20_000_000);
    assert!(annotations(&report).join("\n").len() < 200_000);
}

#[test]
fn markdown_fits_where_it_is_put_and_says_what_was_cut() {
    // A comment on GitHub takes 65,536 characters.
    const { assert!(SUMMARY_BYTES < 65_536) };
    for report in examples().into_iter().chain([enormous()]) {
        for room in [6_000, 10_000, SUMMARY_BYTES] {
            let text = markdown(&report, room);
            assert!(text.len() <= room, "{} of {room}", text.len());
            assert!(text.starts_with("## "), "the verdict is never cut");
        }
    }
    let mut many = failed();
    many.findings = many.findings.iter().cycle().take(50).cloned().collect();
    let cut = markdown(&many, 10_000);
    assert!(cut.contains("> Cut to fit: the findings of "), "{cut}");
    assert!(!markdown(&failed(), SUMMARY_BYTES).contains("Cut to fit"));
}
