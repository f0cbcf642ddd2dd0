//! Diagnostics on the terminal: width and colour are the terminal's, the picture is `document::diagnostic`'s.

use std::io::{IsTerminal, Write};

use crate::document::Sources;
use crate::document::diagnostic::{self, Diagnostic, Level, Style};

/// How many mistakes and warnings, each place once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Of mistakes.
    pub mistakes: usize,
    /// Of warnings.
    pub warnings: usize,
}

impl Counts {
    /// Counts what would be shown.
    pub fn of(diagnostics: &[Diagnostic]) -> Self {
        let mut once = diagnostics.to_vec();
        diagnostic::sort(&mut once);
        let mistakes = once.iter().filter(|diagnostic| diagnostic.level == Level::Mistake).count();
        Self { mistakes, warnings: once.len() - mistakes }
    }
}

impl std::fmt::Display for Counts {
    /// `ok`, `3 mistakes, 1 warning`, `ok, 1 warning`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        match self.mistakes {
            0 => f.write_str("ok")?,
            n => write!(f, "{n} mistake{}", plural(n))?,
        }
        match self.warnings {
            0 => Ok(()),
            n => write!(f, ", {n} warning{}", plural(n)),
        }
    }
}

/// Writes diagnostics to stderr, in colour if that is a terminal and nobody objects.
///
/// # Errors
///
/// When stderr cannot be written.
pub fn to_stderr(diagnostics: &[Diagnostic], sources: &Sources) -> std::io::Result<()> {
    std::io::stderr().lock().write_all(to_text(diagnostics, sources).as_bytes())
}

/// Diagnostics as `to_stderr` prints them.
pub fn to_text(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let style = if color(std::io::stderr().is_terminal()) { Style::Ansi } else { Style::Plain };
    diagnostic::render(diagnostics, sources, style, width())
}

/// Whether to write colours to a stream that is a terminal or not: nobody objects (no-color.org), and it is no log.
pub fn color(terminal: bool) -> bool {
    terminal && !is_set("NO_COLOR") && !is_ci()
}

/// Whether this runs in a pipeline, as the usual variable says.
pub fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// Columns to write: what the variable COLUMNS says, else what the terminal has, else what fits all.
pub fn width() -> usize {
    const USUAL: usize = 80;
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let measured = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    told.or_else(measured).filter(|columns| (40..=400).contains(columns)).unwrap_or(USUAL)
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_as_a_sentence() {
        for (mistakes, warnings, text) in
            [(0, 0, "ok"), (0, 1, "ok, 1 warning"), (1, 0, "1 mistake"), (3, 2, "3 mistakes, 2 warnings")]
        {
            assert_eq!(Counts { mistakes, warnings }.to_string(), text);
        }
    }
}
