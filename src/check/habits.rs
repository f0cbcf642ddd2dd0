//! Which members senders write, in the order in which each of them writes them: most frames repeat what came before, and what is
//! expected is known by one comparison.
//!
//! A guess and nothing more. Whatever was learned, what is recognised stands in the text as it was spelled before, so that habits
//! make reading quicker and change nothing of what is read.

use crate::expect::{KEYED, Key, Member};

/// How many spellings are known at once; of more the oldest make room.
const KEPT: usize = 255;

/// The members that came at the nodes of one trie, whoever sent them.
#[derive(Debug)]
pub struct Spellings {
    /// The first one stands for none.
    all: Vec<Spelling>,
    /// Where the one of a hash was last.
    of_hash: Vec<u8>,
    /// Which of them is overwritten next.
    oldest: usize,
}

/// A member as it is spelled with its quotes and its colon.
#[derive(Debug, Clone, Default)]
struct Spelling {
    /// Its first bytes, with zeros behind them, and which bits these are.
    first: u128,
    kept: u128,
    text: Box<[u8]>,
    /// The node that it is a member of.
    node: u16,
    /// What it is there, unless nobody asks for it.
    member: Option<Member>,
}

/// What one sender wrote behind each member and at the beginning of each, the last first.
#[derive(Debug, Clone, Default)]
pub struct Habit(Vec<[u8; TURNS]>);

/// How many members are expected at one point: events of different kinds go on differently.
const TURNS: usize = 4;

/// A place within an object, as far as a sender is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Point(usize);

/// A member that was recognised.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    which: u8,
    /// How many bytes it takes with its quotes and its colon.
    pub length: usize,
    /// What it is, unless nobody asks for it.
    pub member: Option<Member>,
}

impl Known {
    /// Behind it.
    pub fn behind(self) -> Point {
        Point(2 * usize::from(self.which))
    }

    /// At the beginning of the object that it holds.
    pub fn within(self) -> Point {
        Point(2 * usize::from(self.which) + 1)
    }
}

impl Point {
    /// At the beginning of a document.
    pub const BEGIN: Point = Point(1);
}

impl Default for Spellings {
    /// None is known.
    fn default() -> Spellings {
        Spellings { all: vec![Spelling::default()], of_hash: vec![0; HASHES], oldest: 1 }
    }
}

/// How many hashes of spellings there are.
const HASHES: usize = 1024;

impl Spellings {
    /// The member of `node` that begins at `at` of `text`, if `habit` has it at `point`.
    #[inline(always)]
    pub fn guess(&self, habit: &mut Habit, point: Point, node: u16, text: &[u8], at: usize) -> Option<Known> {
        let turns = habit.0.get_mut(point.0)?;
        let window = u128::from_le_bytes(*text.get(at..)?.first_chunk::<KEYED>()?);
        for turn in 0..TURNS {
            if let Some(known) = self.recognised(turns[turn], node, window, text, at) {
                turns[..=turn].rotate_right(1);
                return Some(known);
            }
        }
        None
    }

    #[inline(always)]
    fn recognised(&self, which: u8, node: u16, window: u128, text: &[u8], at: usize) -> Option<Known> {
        let spelling = self.all.get(usize::from(which))?;
        let length = spelling.text.len();
        let same = (window ^ spelling.first) & spelling.kept == 0 && spelling.node == node && which != 0;
        let all = || text.get(at..at + length).is_some_and(|all| *all == *spelling.text);
        (same && (length <= KEYED || all())).then_some(Known { which, length, member: spelling.member })
    }

    /// Lets `habit` have a member of `node` at `point` that is spelled `text`.
    pub fn learn(&mut self, habit: &mut Habit, point: Point, node: u16, text: &[u8], member: Option<Member>) -> Known {
        let (key, count) = (Key::of(text, 0, text.len()), self.of_hash.len());
        let hash = (key.mix(count) ^ usize::from(node)) % count;
        let known = &self.all[usize::from(self.of_hash[hash])];
        let which = if known.node == node && *known.text == *text && self.of_hash[hash] != 0 {
            self.of_hash[hash]
        } else {
            let (first, kept) = (key.first, Key::kept(text.len()));
            self.keep(Spelling { first, kept, text: text.into(), node, member })
        };
        self.of_hash[hash] = which;
        if habit.0.len() <= point.0 {
            habit.0.resize(point.0 + 1, [0; TURNS]);
        }
        let turns = &mut habit.0[point.0];
        turns.rotate_right(1);
        turns[0] = which;
        Known { which, length: text.len(), member }
    }

    fn keep(&mut self, spelling: Spelling) -> u8 {
        let which = if self.all.len() <= KEPT { self.all.len() } else { self.oldest };
        if which == self.all.len() {
            self.all.push(spelling);
        } else {
            self.all[which] = spelling;
            self.oldest = if which == KEPT { 1 } else { which + 1 };
        }
        which as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_recognised_where_it_came_and_as_it_was_spelled() {
        let (mut spellings, mut habit) = (Spellings::default(), Habit::default());
        let long = br#""a_name_of_many_letters":1, and more"#;
        let first = spellings.learn(&mut habit, Point::BEGIN, 3, br#""type":"#, None);
        let second = spellings.learn(&mut habit, first.behind(), 3, &long[..25], None);
        let guess = |habit: &mut Habit, point, node, text: &[u8], at| {
            spellings.guess(habit, point, node, text, at).map(|known| known.length)
        };
        let text = br#"{"type":"ping","n":1}"#;
        assert_eq!(guess(&mut habit, Point::BEGIN, 3, text, 1), Some(7));
        assert_eq!(guess(&mut habit, Point::BEGIN, 4, text, 1), None, "of another node");
        assert_eq!(guess(&mut habit, first.within(), 3, text, 1), None, "at another point");
        assert_eq!(guess(&mut habit, Point::BEGIN, 3, br#"{"typed":"ping","n":1}"#, 1), None);
        assert_eq!(guess(&mut habit, Point::BEGIN, 3, br#"{"type" :"ping","n":1}"#, 1), None);
        assert_eq!(
            guess(&mut habit, Point::BEGIN, 3, br#"{"type":1}"#, 1),
            None,
            "too near the end to compare at once"
        );
        assert_eq!(guess(&mut habit, first.behind(), 3, long, 0), Some(25));
        assert_eq!(guess(&mut habit, first.behind(), 3, &br#""a_name_of_many_lettres":1, and more"#[..], 0), None);
        assert_eq!(guess(&mut habit, second.behind(), 3, long, 0), None, "nothing is known of what comes there");
    }

    #[test]
    fn the_last_few_are_expected_and_none_older() {
        let (mut spellings, mut habit) = (Spellings::default(), Habit::default());
        let texts = ["a", "b", "c", "d", "e"].map(|name| format!("\"{name}\":            "));
        for text in &texts {
            spellings.learn(&mut habit, Point::BEGIN, 0, &text.as_bytes()[..4], None);
        }
        let [oldest, others @ ..] = &texts;
        for (text, known) in others.iter().chain(others).map(|text| (text, true)).chain([(oldest, false)]) {
            let guess = spellings.guess(&mut habit, Point::BEGIN, 0, text.as_bytes(), 0);
            assert_eq!(guess.is_some(), known, "{text}");
        }
    }

    #[test]
    fn senders_without_habits_take_no_more_room() {
        let (mut spellings, mut habit) = (Spellings::default(), Habit::default());
        for n in 0..5_000 {
            let text = format!("\"{n}\":               ");
            let known = spellings.learn(&mut habit, Point::BEGIN, 0, &text.as_bytes()[..text.len() - 15], None);
            let guess = spellings.guess(&mut habit, Point::BEGIN, 0, text.as_bytes(), 0);
            assert_eq!(guess.map(|known| known.length), Some(known.length), "{text}");
            habit.0.resize(habit.0.len().max(known.within().0 + 1), [0; TURNS]);
        }
        assert_eq!((spellings.all.len(), habit.0.len() <= 2 * KEPT + 2), (KEPT + 1, true));
    }
}
