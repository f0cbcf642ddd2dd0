//! Text that arrives in parts: marks that are divided between two of them, or among many.
//!
//! Which texts arrive so is the profile's to say (`append`). What stands in one frame as a whole was found there before.

use std::collections::VecDeque;

use super::owner::Marks;
use super::{Bench, Lane};
use crate::canary;
use crate::check::concern::ConcernId;
use crate::event::Extract;
use crate::expect::IdRole;
use crate::time::Stamp;

/// How many messages of a user may be open at once, with what the last of them ended in.
const OPEN: usize = 8;
/// How many bytes of a message are kept: one fewer than a mark has in its longest form, base 64 with its first and last
/// characters shared.
const KEPT: usize = canary::LENGTH.div_ceil(3) * 4 + 1;

/// The ends of messages that may go on, the latest last.
#[derive(Debug, Default)]
pub(super) struct OpenMessages(VecDeque<(String, String)>);

impl OpenMessages {
    /// What `message` ended in with `part` behind it, and where that begins. Its new end is kept.
    fn go_on(&mut self, message: &str, part: &str) -> (String, usize) {
        let known = self.0.iter().position(|(known, _)| known == message).and_then(|at| self.0.remove(at));
        let (name, mut text) = known.unwrap_or_else(|| (message.to_owned(), String::new()));
        let seam = text.len();
        text.push_str(part);
        let from = text.ceil_char_boundary(text.len().saturating_sub(KEPT));
        self.0.push_back((name, text[from..].to_owned()));
        while self.0.len() > OPEN {
            self.0.pop_front();
        }
        (text, seam)
    }
}

impl Lane {
    /// Marks that are divided between the text of this event and what its message ended in before.
    pub(super) fn divided(
        &mut self,
        bench: &mut Bench<'_>,
        at: Stamp,
        extract: &Extract<'_>,
        frame: &str,
        concern: ConcernId,
    ) -> Marks {
        let sources = &bench.expect.answers;
        let mut may = bench.concerns[concern].answers.iter();
        let source = may.find(|(index, when)| sources[*index].append && when.holds(extract, frame));
        let source = source.map(|(index, _)| &sources[*index]);
        let Some(part) = source.and_then(|source| extract.first_text(&source.at)) else {
            return Marks::default();
        };
        let fields = &bench.expect.dialect.fields;
        let runs = bench.expect.ids.iter().filter(|rule| rule.role == IdRole::Run);
        let run = runs.filter_map(|rule| extract.first_text(&rule.at)).next();
        // Messages of several agents and runs alternate.
        let names = [run, extract.first_text(&fields.agent), extract.first_text(&fields.call)];
        let message = names.map(|name| name.unwrap_or_default().into_owned()).join("\n");
        let (text, seam) = self.messages.go_on(&message, &part);
        let found = canary::find_in(text.as_bytes());
        let found = found.filter(|found| found.at < seam && found.at + found.len > seam);
        self.found(bench, at, "text in parts", &text, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_ended_in_goes_before_what_follows() {
        let mut open = OpenMessages::default();
        assert_eq!(open.go_on("a", "one "), ("one ".to_owned(), 0));
        assert_eq!(open.go_on("b", "uno "), ("uno ".to_owned(), 0));
        assert_eq!(open.go_on("a", "two"), ("one two".to_owned(), 4));
        let long = "é".repeat(KEPT);
        open.go_on("a", &long);
        let (text, seam) = open.go_on("a", "!");
        assert!(seam <= KEPT && seam + 2 > KEPT, "{seam}");
        assert_eq!(text.len(), seam + 1);
        (0..OPEN).for_each(|other| drop(open.go_on(&other.to_string(), "x")));
        assert_eq!(open.go_on("a", "!"), ("!".to_owned(), 0), "it was forgotten");
    }
}
