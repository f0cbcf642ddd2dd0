//! What is wrong with a user's file, and how it is shown.
//!
//! A [`Diagnostic`] says what, where and what to do about it. It never concerns the target (that is a finding) nor a
//! failure of the harness (that is an error). Rendering is a pure function of the diagnostics and the texts; counting,
//! exit codes and the closing line are the caller's.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level as Severity, Origin, Renderer, Snippet};

use super::source::{Sources, Span};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The file cannot be used.
    Mistake,
    /// The file can be used, but probably does not mean what its author thinks.
    Warning,
}

/// One thing the user wrote wrong, with its place and advice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// What is wrong: a fragment without a period.
    pub title: String,
    /// Where.
    pub span: Span,
    /// Said at the caret; empty for none.
    pub label: String,
    /// Further facts, one `note:` line each.
    pub notes: Vec<String>,
    /// What to do, as a `help:` line.
    pub help: Option<String>,
    /// Other places that belong to it, each with a label.
    pub secondary: Vec<(Span, String)>,
}

impl Diagnostic {
    /// Something that makes the file unusable.
    pub fn mistake(span: Span, title: impl Into<String>) -> Self {
        Self::new(Level::Mistake, span, title)
    }

    /// Something doubtful.
    pub fn warning(span: Span, title: impl Into<String>) -> Self {
        Self::new(Level::Warning, span, title)
    }

    fn new(level: Level, span: Span, title: impl Into<String>) -> Self {
        let title = title.into();
        Self { level, title, span, label: String::new(), notes: Vec::new(), help: None, secondary: Vec::new() }
    }

    /// With words at the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With a further fact.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With another place that belongs to it.
    pub fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.secondary.push((span, label.into()));
        self
    }
}

/// How a rendering is decorated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text only.
    Plain,
    /// Colours as ANSI escapes.
    Ansi,
}

/// The diagnostics in the order of the texts and of places in them, each once.
///
/// The same value reached through two YAML aliases is judged twice but wrong once.
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| (a.span, a.level, &a.title).cmp(&(b.span, b.level, &b.title)));
    diagnostics.dedup_by(|a, b| (a.span, a.level, &a.title) == (b.span, b.level, &b.title));
}

/// Shows diagnostics with file, line, column, source line, caret and advice, in the order of [`sort`], separated by
/// empty lines; empty for none, and only counted beyond a hundred. `width` is the width of the terminal in columns.
///
/// Control characters of the file and of messages are made visible and never reach the terminal.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, style: Style, width: usize) -> String {
    let mut sorted = diagnostics.to_vec();
    sort(&mut sorted);
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Ansi => Renderer::styled(),
    }
    .term_width(width);
    let mut out = String::new();
    for diagnostic in sorted.iter().take(MOST_SHOWN) {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&render_one(diagnostic, sources, &renderer, width));
        out.push('\n');
    }
    if let Some(more @ 1..) = sorted.len().checked_sub(MOST_SHOWN) {
        out.push_str(&format!("\n... and {more} more\n"));
    }
    out
}

/// More diagnostics than this are counted instead of shown: nobody reads them, and a hostile file can hold thousands.
const MOST_SHOWN: usize = 100;
/// Places of one diagnostic that are at most this many lines apart are shown in one excerpt.
const NEAR_LINES: usize = 20;
/// Lines longer than this, in bytes, are cut around the place: JSON written by a program is one line.
const LONG_EXCERPT: usize = 4_000;
/// How many bytes of a cut line are kept on each side of the place.
const AROUND: usize = 200;

/// `text` between backticks for use in a message: control characters escaped, long text cut.
pub fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{}`", escape(&shown))
}

fn render_one(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer, width: usize) -> String {
    let severity = match diagnostic.level {
        Level::Mistake => Severity::ERROR.with_name("mistake"),
        Level::Warning => Severity::WARNING,
    };
    let mut near = vec![(diagnostic.span, diagnostic.label.as_str(), AnnotationKind::Primary)];
    let mut far = Vec::new();
    for (span, label) in &diagnostic.secondary {
        let together = span.source == diagnostic.span.source && {
            let source = sources.get(span.source);
            let (one, other) = (source.line_of(span.start as usize), source.line_of(diagnostic.span.start as usize));
            one.abs_diff(other) <= NEAR_LINES && source.lines(one.min(other)..=one.max(other)).len() <= LONG_EXCERPT
        };
        let place = (*span, label.as_str(), AnnotationKind::Context);
        if together { near.push(place) } else { far.push(place) }
    }
    let group = Group::with_title(severity.primary_title(escape(&diagnostic.title)));
    let mut group = excerpt(group, &near, sources);
    for place in far.chunks(1) {
        group = excerpt(group, place, sources);
    }
    for note in &diagnostic.notes {
        group = group.element(Severity::NOTE.message(wrap(&escape(note), width)));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Severity::HELP.message(wrap(&escape(help), width)));
    }
    renderer.render(&[group])
}

/// The group with the lines that hold the given places, which are all in one text. Only these lines are handed to the
/// renderer, and of a very long line only the surroundings: its cost follows the text it is given.
fn excerpt<'a>(group: Group<'a>, places: &[(Span, &str, AnnotationKind)], sources: &Sources) -> Group<'a> {
    let source = sources.get(places[0].0.source);
    let text = source.text();
    let ranges: Vec<Range<usize>> = places.iter().map(|(span, _, _)| first_line(text, *span)).collect();
    let first = ranges.iter().map(|range| range.start).min().unwrap_or(0);
    let last = ranges.iter().map(|range| range.end).max().unwrap_or(0);
    let line = source.line_of(first);
    let line_start = source.line_start(line);
    let line_end = text[last..].find('\n').map_or(text.len(), |at| last + at);
    let cut = line_end - line_start > LONG_EXCERPT && places.len() == 1;
    let (from, to) = match cut {
        true => (
            text.ceil_char_boundary(line_start.max(first.saturating_sub(AROUND))),
            text.floor_char_boundary(line_end.min(last + AROUND)),
        ),
        false => (line_start, line_end),
    };
    let annotations = ranges.iter().zip(places).map(|(range, (_, label, kind))| {
        let annotation = kind.span(range.start - from..range.end - from);
        if label.is_empty() { annotation } else { annotation.label(escape(label)) }
    });
    let snippet = Snippet::source(visible(&text[from..to])).line_start(line).annotations(annotations);
    let name = escape(source.name());
    if cut {
        // The renderer would count the column from where the line was cut.
        let (line, column) = sources.position(places[0].0);
        group.element(Origin::path(name).line(line).char_column(column)).element(snippet)
    } else {
        group.element(snippet.path(name))
    }
}

/// The beginning of a span on its first line: a caret under a whole map or list helps nobody.
fn first_line(text: &str, span: Span) -> Range<usize> {
    let start = text.floor_char_boundary(span.start as usize);
    let end = text.ceil_char_boundary((span.end as usize).min(text.len())).max(start);
    let line = text[start..end].split(['\n', '\r']).next().unwrap_or_default();
    start..text.floor_char_boundary(start + line.trim_end().len().min(AROUND))
}

/// A message on one line, with everything invisible or able to steer a terminal escaped.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if steers_terminal(c) || c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

/// `text` in lines that fit beside `   = help: ` into `width` columns, broken at spaces that do not stand between
/// backticks.
fn wrap(text: &str, width: usize) -> String {
    const BESIDE: usize = 14;
    let fits = width.saturating_sub(BESIDE).max(40);
    let mut quoted = false;
    let words = text.split(|c: char| {
        quoted ^= c == '`';
        c == ' ' && !quoted
    });
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for word in words {
        let length = word.chars().count();
        if column > 0 {
            let breaks = column + 1 + length > fits;
            out.push(if breaks { '\n' } else { ' ' });
            column = if breaks { 0 } else { column + 1 };
        }
        out.push_str(word);
        column += length;
    }
    out
}

/// A line of the file with what annotate-snippets leaves alone replaced, byte for byte as long as before so that carets
/// stay in place. (It shows the C0 controls as their pictures by itself.)
fn visible(text: &str) -> String {
    let replace = |c: char| match c.len_utf8() {
        _ if !(steers_terminal(c) || ('\u{80}'..='\u{9f}').contains(&c)) => c,
        2 => '·',
        3 => '\u{fffd}',
        _ => c,
    };
    text.chars().map(replace).collect()
}

/// Characters that are not controls for Unicode, yet reorder or break the line they stand in.
fn steers_terminal(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> (Sources, Diagnostic) {
        let mut sources = Sources::new();
        let file = sources.add("dir/t.yaml", "users:\n  count: 5\n  count: 6\n");
        let other = sources.add("--set", "users.count=x");
        let diagnostic = Diagnostic::mistake(Span::new(file, 20, 25), "the key `count` stands twice")
            .label("again here")
            .also(Span::new(file, 9, 14), "first here")
            .also(Span::new(other, 0, 11), "and set here")
            .note("the first counts")
            .help("remove one of them");
        (sources, diagnostic)
    }

    #[test]
    fn a_diagnostic_shows_places_caret_and_advice() {
        let (sources, diagnostic) = sources();
        insta::assert_snapshot!(render(&[diagnostic], &sources, Style::Plain, 100), @r#"
        mistake: the key `count` stands twice
         --> dir/t.yaml:3:3
          |
        2 |   count: 5
          |   ----- first here
        3 |   count: 6
          |   ^^^^^ again here
          |
         ::: --set:1:1
          |
        1 | users.count=x
          | ----------- and set here
          |
          = note: the first counts
          = help: remove one of them
        "#);
    }

    #[test]
    fn order_follows_the_files_and_repetitions_are_dropped() {
        let (sources, late) = sources();
        let early = Diagnostic::warning(Span::new(late.span.source, 0, 5), "first");
        let shown = render(&[late.clone(), early.clone(), late.clone()], &sources, Style::Plain, 100);
        assert_eq!(shown, render(&[early.clone(), late.clone()], &sources, Style::Plain, 100));
        assert!(shown.starts_with("warning: first\n"), "{shown}");
    }

    #[test]
    fn colour_is_only_there_on_request() {
        let (sources, diagnostic) = sources();
        let list = [diagnostic];
        assert!(!render(&list, &sources, Style::Plain, 100).contains('\u{1b}'));
        assert!(render(&list, &sources, Style::Ansi, 100).contains('\u{1b}'));
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let hostile: String = (0..0x3000).filter_map(char::from_u32).filter(|c| *c != '\n').collect();
        let hostile = format!("{hostile}\u{feff}\u{e0001}");
        let mut sources = Sources::new();
        let id = sources.add(hostile.clone(), hostile.clone());
        let span = Span::new(id, 40, 41);
        let diagnostic = Diagnostic::mistake(span, &hostile)
            .label(&hostile)
            .note(&hostile)
            .help(quote(&hostile))
            .also(Span::new(id, 45, 46), &hostile);
        let shown = render(&[diagnostic], &sources, Style::Plain, 100_000);
        let steering = |c: char| c != '\n' && (c.is_control() || steers_terminal(c));
        assert_eq!(shown.chars().find(|c| steering(*c)), None);
    }

    #[test]
    fn far_places_of_one_file_get_excerpts_of_their_own() {
        let mut sources = Sources::new();
        let id = sources.add("t.yaml", format!("a: 1\n{}a: 2\n", "#\n".repeat(500)));
        let end = sources.get(id).text().len();
        let far = Diagnostic::mistake(Span::new(id, end - 5, end - 4), "twice").also(Span::new(id, 0, 1), "first");
        insta::assert_snapshot!(render(&[far], &sources, Style::Plain, 100), @r#"
        mistake: twice
           --> t.yaml:502:1
            |
        502 | a: 2
            | ^
            |
           ::: t.yaml:1:1
            |
          1 | a: 1
            | - first
        "#);
    }

    #[test]
    fn what_nobody_would_read_is_counted() {
        let mut sources = Sources::new();
        let id = sources.add("t.yaml", "a\n".repeat(500));
        let many: Vec<Diagnostic> =
            (0..150).map(|at| Diagnostic::mistake(Span::new(id, at * 2, at * 2), "bad")).collect();
        let shown = render(&many, &sources, Style::Plain, 100);
        assert_eq!(shown.matches("mistake: ").count(), 100);
        assert!(shown.ends_with("\n... and 50 more\n"));
    }

    #[test]
    fn a_very_long_line_is_cut_around_the_place_and_keeps_its_column() {
        let mut sources = Sources::new();
        let id = sources.add("t.json", "é".repeat(500_000));
        let far = Diagnostic::mistake(Span::new(id, 400_000, 900_000), "bad").also(Span::new(id, 0, 2), "first");
        let shown = render(&[far], &sources, Style::Plain, 100);
        assert!(shown.contains("--> t.json:1:200001\n") && shown.contains("t.json:1:1\n"), "{shown}");
        assert!(shown.len() < 4_000, "{shown}");
    }

    #[test]
    fn long_advice_is_broken_at_spaces_and_stays_aligned() {
        let mut sources = Sources::new();
        let id = sources.add("t.yaml", "a: 1\n");
        let help = "allowed are `version`, `name`, `tags`, `target`, `users`, `load`, `ask` and `expect`";
        let mistake = Diagnostic::mistake(Span::new(id, 0, 1), "bad").help(help);
        insta::assert_snapshot!(render(&[mistake], &sources, Style::Plain, 60), @r"
        mistake: bad
         --> t.yaml:1:1
          |
        1 | a: 1
          | ^
          |
          = help: allowed are `version`, `name`, `tags`,
                  `target`, `users`, `load`, `ask` and `expect`
        ");
    }

    #[test]
    fn any_span_can_be_shown() {
        let mut sources = Sources::new();
        let id = sources.add("t.yaml", "ü: [\r\n  1\r\n]\n");
        for start in 0..20 {
            for end in start..20 {
                let list = [Diagnostic::mistake(Span::new(id, start, end), "bad").label("here")];
                assert!(render(&list, &sources, Style::Plain, 40).contains("--> t.yaml:"));
            }
        }
    }
}
