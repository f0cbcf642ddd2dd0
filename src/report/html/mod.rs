//! The report as one page: for whoever has to find the cause.
//!
//! | file | what for |
//! |---|---|
//! | `mod.rs` | the only way onto a page: templates, escaping, the bound on its size |
//! | `view.rs` | what the page shows, as texts and lists of bounded length |
//! | `comparison.rs` | the same of a comparison |
//! | `chart.rs` | latencies and lines over time as drawings |
//! | `courses.rs` | runs in flight, and how the instrument fared |
//! | `lanes.rs` | users around a finding on a common clock |
//! | `page.html`, `compare.html`, `head.html`, `style.css`, `script.js` | how they look, and filters |
//!
//! A page is one file that loads nothing and works with scripts off; its policy forbids everything but its own style and
//! script. Every text is escaped by the formatter, template or not, so whoever adds a section cannot forget it. What does not
//! fit is left out and the page says what.

mod chart;
mod comparison;
mod courses;
mod lanes;
mod view;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, HtmlEscape, UndefinedBehavior};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::compare::Comparison;
use super::text::bounded;
use super::tree::Report;
use crate::time::Micros;

/// Bytes of a page at most: what a viewer of a pipeline's artifacts still opens at once.
pub const PAGE_BYTES: usize = 5_000_000;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const HEAD: &str = include_str!("head.html");
const PAGE: &str = include_str!("page.html");
const COMPARE: &str = include_str!("compare.html");

/// How much a page shows of what may be long.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Rules whose findings are shown.
    findings: usize,
    /// Witnesses of each.
    witnesses: usize,
    /// Rows of any other list.
    rows: usize,
    /// Bytes of a text.
    text: usize,
}

/// From all that people read to what always fits.
const LIMITS: [Limits; 3] = [
    Limits { findings: 100, witnesses: 5, rows: 500, text: 4_000 },
    Limits { findings: 60, witnesses: 3, rows: 200, text: 1_000 },
    Limits { findings: 30, witnesses: 1, rows: 60, text: 300 },
];

/// The report as one HTML page, at most [`PAGE_BYTES`] long.
pub fn html(report: &Report) -> String {
    fitting(|limits| render(PAGE, limits, view::page(report, limits)))
}

/// The comparison as one HTML page, at most [`PAGE_BYTES`] long.
pub fn comparison_html(comparison: &Comparison) -> String {
    fitting(|limits| render(COMPARE, limits, comparison::page(comparison, limits)))
}

fn fitting(render: impl Fn(Limits) -> String) -> String {
    let mut pages = LIMITS.into_iter().map(render);
    let least = LIMITS.len() - 1;
    pages.by_ref().take(least).find(|page| page.len() <= PAGE_BYTES).or_else(|| pages.next()).expect("there are limits")
}

fn render(template: &str, limits: Limits, view: impl Serialize) -> String {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(move |out, _, value| {
        let text = match value.kind() {
            // Only drawings, the style and the script are marked as safe, here in Rust.
            _ if value.is_safe() => return Ok(out.write_str(value.as_str().unwrap_or_default())?),
            ValueKind::None => return Ok(()),
            _ => value.to_string(),
        };
        Ok(out.write_str(&HtmlEscape(&bounded(&text, limits.text)).to_string())?)
    });
    // Nothing that a template says may pass for one of ours.
    environment.remove_filter("safe");
    environment.add_filter("time", |us: u64| Micros(us).to_string());
    environment.add_filter("prose", move |text: &str| Value::from_safe_string(prose(text, limits.text)));
    let safe = |text: &str| Value::from_safe_string(text.to_owned());
    let view = Value::from(Serde(view));
    let render = |template: &str, context: Value| {
        let page = environment.render_str(template, context);
        page.expect("the templates are part of this build and are tried on every kind of report")
    };
    let head = render(HEAD, minijinja::context! { style => safe(STYLE), policy => policy(), ..view.clone() });
    render(template, minijinja::context! { head => safe(&head), script => safe(SCRIPT), ..view })
}

/// A sentence of ours, in which backticks mark what is typed; unpaired ones are somebody else's and stay.
fn prose(text: &str, limit: usize) -> String {
    let text = bounded(text, limit);
    let pieces: Vec<&str> = match text.matches('`').count().is_multiple_of(2) {
        true => text.split('`').collect(),
        false => vec![&*text],
    };
    let pieces = pieces.iter().enumerate().map(|(index, piece)| match index % 2 {
        0 => HtmlEscape(piece).to_string(),
        _ => format!("<code>{}</code>", HtmlEscape(piece)),
    });
    pieces.collect()
}

/// The page's content security policy: its own style and script by their digests, and nothing else.
fn policy() -> String {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'",
        digest(STYLE),
        digest(SCRIPT)
    )
}
