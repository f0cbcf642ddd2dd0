//! The texts a user handed in, and places inside them.
//!
//! A place is a [`Span`]: which text, and which bytes of it. Everything read from a file keeps its span, so that a
//! mistake found much later can still be shown where it was written. Nothing here opens a file: callers pass bytes.

/// Which text: an index into [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(u32);

/// A range of bytes in one text. Always on character boundaries when made by this layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text this is a place in.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte; equal to `start` for a place between two characters.
    pub end: u32,
}

impl Span {
    /// A place from byte offsets. Texts are at most a few MiB, so offsets fit; larger ones saturate.
    pub fn new(source: SourceId, start: usize, end: usize) -> Self {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { source, start: clamp(start), end: clamp(end.max(start)) }
    }

    /// True for a place between two characters.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// From the start of `self` to the end of `other`, which stands in the same text.
    pub fn to(self, other: Span) -> Span {
        debug_assert_eq!(self.source, other.source);
        Span { end: other.end.max(self.start), ..self }
    }
}

/// All texts of one invocation: scenario files, target profiles, `--set` arguments.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    texts: Vec<Source>,
}

/// One text with the name the user knows it by.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    text: String,
    /// The offset of the first byte of every line.
    line_starts: Vec<usize>,
    not_utf8_at: Option<usize>,
    /// For a text that was put together from others: from which byte on what came from which line of which, sorted.
    origins: Vec<(u32, String, u32)>,
}

impl Sources {
    /// No texts yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a text in. `name` is shown in diagnostics: a path as the user typed it, or `--set`.
    ///
    /// Bytes that are not UTF-8 are replaced for display and remembered; [`read`](super::read) reports them.
    pub fn add(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> SourceId {
        let id = SourceId(u32::try_from(self.texts.len()).expect("fewer than 2^32 sources"));
        let (text, not_utf8_at) = match String::from_utf8(bytes.into()) {
            Ok(text) => (text, None),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(valid))
            }
        };
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.texts.push(Source { name: name.into(), text, line_starts, not_utf8_at, origins: Vec::new() });
        id
    }

    /// Takes in a text that was put together from others. `origins`, sorted: from which byte on what came from which line of
    /// which.
    pub(super) fn add_resolved(&mut self, name: &str, text: &str, origins: Vec<(u32, String, u32)>) -> SourceId {
        let id = self.add(name, text);
        self.texts[id.0 as usize].origins = origins;
        id
    }

    /// The text and line (from 1) in which the start of `span` was first written.
    pub fn origin(&self, span: Span) -> (&str, usize) {
        let source = self.get(span.source);
        let before = source.origins.partition_point(|(start, ..)| *start <= span.start);
        match before.checked_sub(1).map(|index| &source.origins[index]) {
            Some((_, name, line)) => (name, *line as usize),
            None => (source.name(), self.position(span).0),
        }
    }

    /// The text behind an id that [`Sources::add`] of this value returned.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.texts[id.0 as usize]
    }

    /// Shows what stands at a place as stars from now on: a password that was written where it does not belong.
    pub fn conceal(&mut self, span: Span) {
        let text = &mut self.texts[span.source.0 as usize].text;
        let start = text.floor_char_boundary(span.start as usize);
        let end = text.ceil_char_boundary((span.end as usize).min(text.len())).max(start);
        let stars: String = text[start..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { '*' }).collect();
        text.replace_range(start..end, &stars);
    }

    /// Line and column of the start of `span`, both from 1; columns count characters.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let source = self.get(span.source);
        let start = source.text.floor_char_boundary(span.start as usize);
        let line = source.line_of(start);
        (line, source.text[source.line_start(line)..start].chars().count() + 1)
    }
}

impl Source {
    /// The name as the user typed it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text; what was not UTF-8 stands as U+FFFD.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first byte that is not UTF-8, if any.
    pub fn not_utf8_at(&self) -> Option<usize> {
        self.not_utf8_at
    }

    /// The line (from 1) that holds a byte offset.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// The offset of the first byte of a line (from 1).
    pub(super) fn line_start(&self, line: usize) -> usize {
        self.line_starts[line - 1]
    }

    /// The text of some lines (from 1).
    pub(super) fn lines(&self, lines: std::ops::RangeInclusive<usize>) -> &str {
        let end = self.line_starts.get(*lines.end()).copied().unwrap_or(self.text.len());
        &self.text[self.line_start(*lines.start())..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_concealed_is_gone_and_all_else_keeps_its_place() {
        let mut sources = Sources::new();
        let id = sources.add("t.yaml", "a: sécret\nb: 1\n");
        let after = Span::new(id, 11, 12);
        let before = sources.position(after);
        sources.conceal(Span::new(id, 3, 10));
        assert_eq!(sources.get(id).text(), "a: *******\nb: 1\n");
        assert_eq!((sources.position(after), before), ((2, 1), (2, 1)));
        sources.conceal(Span::new(id, 8, 900));
        assert_eq!(sources.get(id).text(), "a: *******\n****\n");
    }
}
