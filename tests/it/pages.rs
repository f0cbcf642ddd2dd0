//! Reports as pages for a browser, read as text: what stands on them, what can never stand on them, how large they grow.
//!
//! How a browser takes them is tried in `browser`.

use std::sync::LazyLock;

use goldenpath::identity::UserNumber;
use goldenpath::report::{Leak, PAGE_BYTES, Report, Witness, compare, comparison_html, from_json, html, to_json};

use super::formats::{assert_inert, enormous};
use super::report::{blocked, examples, failed, hostile, inconclusive, passed};

// ---------------------------------------------------------------------------------------------------------------------
// What they look like

#[test]
fn a_failure_as_a_page() {
    insta::assert_snapshot!(words(&html(&failed())));
}

#[test]
fn hostile_text_as_a_page() {
    insta::assert_snapshot!(words(&html(&hostile())));
}

#[test]
fn a_comparison_as_a_page() {
    insta::assert_snapshot!(words(&comparison_html(&compare(&passed(), &failed()).unwrap())));
}

#[test]
fn the_sections_stand_in_the_order_in_which_they_are_read() {
    for report in examples() {
        let page = html(&report);
        let places: Vec<usize> = SECTIONS.iter().map(|id| find(&page, &format!("id=\"{id}\""))).collect();
        assert!(places.is_sorted(), "{places:?}");
        for id in SECTIONS.iter().filter(|id| !["verdict", "filter"].contains(id)) {
            assert!(page.contains(&format!("href=\"#{id}\"")), "no way leads to {id}");
        }
    }
}

const SECTIONS: [&str; 11] = [
    "verdict",
    "claims",
    "filter",
    "do",
    "latency",
    "lanes",
    "matrix",
    "census",
    "instrument",
    "environment",
    "deliverables",
];

#[test]
fn every_claim_finding_and_advice_stands_on_the_page() {
    for report in [passed(), failed(), blocked(), inconclusive()] {
        let text = text(&html(&report));
        let claims =
            report.claims.iter().flat_map(|claim| [Some(&claim.name), Some(&claim.figures), claim.missing.as_ref()]);
        let groups = report.findings.iter();
        let groups = groups.flat_map(|group| [&group.code, &group.meaning, &group.causes, &group.advice].map(Some));
        let known = [&report.verdict.sentence, &report.execution.command, &report.clock.statement].map(Some);
        for expected in claims.chain(groups).chain(known).flatten() {
            assert!(text.contains(&expected.replace('`', "")), "{expected:?} is missing in\n{text}");
        }
    }
}

#[test]
fn users_around_a_finding_share_a_clock() {
    let page = html(&failed());
    let lanes = &page[find(&page, "id=\"lanes\"")..find(&page, "id=\"census\"")];
    // Users 3 and 7 lack the same events at the same time; user 5 hears nothing for long.
    let drawing = &lanes[find(lanes, "id=\"lanes-GP101\"")..find(lanes, "id=\"lanes-GP302\"")];
    for lane in ["user 3, iteration 1", "user 7, iteration 1", "tool_", "data-tip=\"0  asked\""] {
        assert!(drawing.contains(lane), "{lane} is missing in\n{drawing}");
    }
    assert_eq!(drawing.matches("</figure>").count(), 1, "one drawing for both");
    let stalled = &lanes[find(lanes, "id=\"lanes-GP302\"")..];
    assert!(stalled.contains("nothing came for 30 s"), "{stalled}");
    assert!(text(&html(&passed())).contains("so there is nothing to draw"));
}

// ---------------------------------------------------------------------------------------------------------------------
// What never stands on them

#[test]
fn a_page_loads_nothing_and_runs_nothing_but_its_own_script() {
    for page in pages() {
        let tags = tags(page);
        let count = |name: &str| tags.iter().filter(|tag| tag.name == name && !tag.closes).count();
        let scripts = usize::from(page.contains("id=\"filter\""));
        assert_eq!((count("script"), count("style"), count("meta")), (scripts, 1, 4));
        for tag in &tags {
            assert!(KNOWN.contains(&tag.name.as_str()), "<{}> is none of ours", tag.name);
            for (name, value) in &tag.attributes {
                let loads = ["src", "srcset", "srcdoc", "action", "formaction", "data", "poster", "background"];
                assert!(!loads.contains(&name.as_str()) && !name.starts_with("on") && name != "style", "{tag:?}");
                assert!(name != "href" || value.starts_with('#'), "{tag:?}");
                assert!(!value.contains("url("), "{tag:?}");
            }
        }
        let policy = page.split_once("Content-Security-Policy\" content=\"").expect("a policy").1;
        assert!(policy.starts_with("default-src &#x27;none&#x27;;"), "{}", &policy[..60]);
    }
}

const KNOWN: [&str; 52] = [
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "h1",
    "h2",
    "h3",
    "h4",
    "section",
    "strong",
    "p",
    "code",
    "ul",
    "li",
    "nav",
    "a",
    "main",
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "span",
    "article",
    "dl",
    "dt",
    "dd",
    "details",
    "summary",
    "pre",
    "figure",
    "figcaption",
    "svg",
    "line",
    "text",
    "g",
    "rect",
    "circle",
    "polyline",
    "polygon",
    "path",
    "b",
    "br",
    "script",
    "select",
    "label",
    "option",
];

#[test]
fn every_tag_is_closed_where_it_was_opened() {
    for page in pages() {
        let mut open: Vec<String> = Vec::new();
        for tag in tags(page) {
            if tag.closes {
                assert_eq!(open.pop().as_deref(), Some(tag.name.as_str()));
            } else if !tag.closed && !["meta", "br"].contains(&tag.name.as_str()) {
                open.push(tag.name);
            }
        }
        assert_eq!(open, [""; 0]);
    }
}

#[test]
fn hostile_text_is_inert_on_a_page() {
    for page in pages() {
        assert_inert(page);
        let outside = without_our_own(page);
        for acting in ["<script>alert", "<img", "javascript:alert(1)\"", "<!-- ", "<![CDATA["] {
            assert!(!outside.contains(acting), "{acting}");
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// How large they grow

#[test]
fn a_page_stays_small_and_says_what_was_cut() {
    for page in pages() {
        assert!(page.len() <= PAGE_BYTES, "{} bytes", page.len());
    }
    let page = html(&enormous());
    let said = text(&page);
    assert!(
        said.contains("Cut to keep this page small: ") && said.contains(" rules with findings"),
        "{}",
        &said[..2_000]
    );
    for report in examples() {
        let page = html(&report);
        assert!(page.len() < 300_000, "{} bytes", page.len());
        assert!(!page.contains("Cut to keep"), "nothing of it is long");
    }
}

#[test]
fn a_report_of_an_earlier_version_is_still_a_page() {
    let mut document: serde_json::Value = serde_json::from_str(&to_json(&failed())).unwrap();
    let fields = document.as_object_mut().unwrap();
    for field in ["leaks", "ends", "value", "deliverables", "known", "rules"] {
        fields.shift_remove(field).expect("a field of this version");
    }
    for group in fields["findings"].as_array_mut().unwrap() {
        for witness in group["witnesses"].as_array_mut().unwrap() {
            for field in ["owner", "silence_us", "cut", "beside"] {
                witness.as_object_mut().unwrap().shift_remove(field).expect("a field of this version");
            }
        }
    }
    let page = html(&from_json(&document.to_string()).unwrap());
    let said = text(&page);
    assert!(said.contains("This report tells none") && said.contains("the mark of user 1"), "{said}");
}

#[test]
fn the_same_report_is_the_same_page() {
    assert_eq!(html(&failed()), html(&failed()));
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading pages

/// Every kind of page, of all examples and of the worst.
fn pages() -> &'static [String] {
    static PAGES: LazyLock<Vec<String>> = LazyLock::new(all_pages);
    &PAGES
}

fn all_pages() -> Vec<String> {
    let reports: Vec<_> = examples().into_iter().chain([enormous(), crowded()]).collect();
    let pairs = [(passed(), failed()), (failed(), passed()), (passed(), enormous()), (enormous(), hostile())];
    let comparisons = pairs.iter().map(|(base, new)| comparison_html(&compare(base, new).expect("of one scenario")));
    reports.iter().map(html).chain(comparisons).collect()
}

/// Many users under open load, of whom some took part, each with something of another's, at different times.
fn crowded() -> Report {
    let mut report = failed();
    report.scenario.iterations = None;
    report.scenario.only_users = (1..=40).map(UserNumber).collect();
    let leak = report.leaks[0].clone();
    report.leaks =
        (1..=40).map(|n| Leak { owner: UserNumber(n), user: UserNumber(n % 40 + 1), ..leak.clone() }).collect();
    let group = &mut report.findings[0];
    let later = |witness: &Witness, by: u64| {
        let mut witness = witness.clone();
        witness.at_us += by;
        let marks = witness.marks.iter_mut().chain(witness.beside.iter_mut().flat_map(|run| &mut run.marks));
        marks.for_each(|mark| mark.at_us += by);
        witness.excerpts.iter_mut().for_each(|excerpt| excerpt.at_us += by);
        for run in &mut witness.beside {
            (run.asked_us, run.over_us) = (run.asked_us + by, run.over_us + by);
        }
        witness
    };
    group.witnesses = (0..5).map(|n| later(&group.witnesses[0], n * 60_000_000)).collect();
    let stalled = report.findings.iter_mut().find(|group| group.code == "GP302").expect("user 5 stalled");
    let witness = stalled.witnesses[0].clone();
    stalled.witnesses = (0..5)
        .map(|n| {
            let mut witness = witness.clone();
            witness.subject.user = Some(UserNumber(100 + n));
            witness.beside.iter_mut().for_each(|run| run.user.0 += 200 + 10 * n);
            witness
        })
        .collect();
    report
}

#[test]
fn what_is_not_drawn_is_said() {
    let page = html(&crowded());
    let said = text(&page);
    for expected in [
        "2 more of GP201 stand in report.json",
        "more users stand in report.json",
        "Iterations begin by plan",
        "only 40 users of 20",
        "the mark of user 1",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
    assert!(!page.contains("class=\"matrix\""), "so many users are rows");
    assert_eq!(page.matches("<tr data-rule=\"GP201\"").count(), 40);
}

#[derive(Debug)]
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
    closes: bool,
    closed: bool,
}

/// The tags of a page, as a browser finds them: our script and style hold none.
fn tags(page: &str) -> Vec<Tag> {
    let page = without_our_own(page);
    let tag = regex::Regex::new(r#"<(/?)([a-zA-Z0-9]+)((?:\s+[a-zA-Z0-9:-]+(?:="[^"]*")?)*)\s*(/?)>"#).unwrap();
    let attribute = regex::Regex::new(r#"([a-zA-Z0-9:-]+)(?:="([^"]*)")?"#).unwrap();
    let found: Vec<Tag> = tag
        .captures_iter(&page)
        .map(|found| Tag {
            name: found[2].to_ascii_lowercase(),
            attributes: attribute
                .captures_iter(&found[3])
                .map(|pair| (pair[1].to_owned(), pair.get(2).map_or("", |value| value.as_str()).to_owned()))
                .collect(),
            closes: &found[1] == "/",
            closed: &found[4] == "/",
        })
        .collect();
    // The document type is no tag; every other bracket belongs to one.
    assert_eq!(page.matches('<').count(), found.len() + 1, "a bracket that begins no tag");
    found
}

/// The page without the inside of its style and script.
fn without_our_own(page: &str) -> String {
    let mut out = page.to_owned();
    for (from, to) in [("<style>", "</style>"), ("<script>", "</script>")] {
        if let Some(begin) = out.find(from) {
            let end = out.rfind(to).expect("it ends");
            out.replace_range(begin + from.len()..end, "");
        }
    }
    out
}

/// What people read of a page, a line per element, drawings left out.
fn words(page: &str) -> String {
    let page = without_our_own(page);
    let page = regex::Regex::new(r"(?s)<svg width.*?</svg>").unwrap().replace_all(&page, "<chart>").into_owned();
    let page = regex::Regex::new("sha256-[^&]*").unwrap().replace_all(&page, "sha256-...").into_owned();
    let blank = regex::Regex::new(r"\n\s*\n+").unwrap();
    blank.replace_all(&page, "\n").into_owned()
}

fn text(page: &str) -> String {
    let page = without_our_own(page);
    let text = regex::Regex::new("<[^>]*>").unwrap().replace_all(&page, "").into_owned();
    ["lt <", "gt >", "quot \"", "#x27 '", "#x2f /", "amp &"].iter().fold(text, |text, pair| {
        let (name, character) = pair.split_once(' ').expect("a pair");
        text.replace(&format!("&{name};"), character)
    })
}

fn find(text: &str, what: &str) -> usize {
    text.find(what).unwrap_or_else(|| panic!("{what} is not in\n{text}"))
}
