//! What became of faults that somebody's own scenario met: noticed, unnoticed and what helps, or not to be told; for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cli::execute::quoted;
use crate::cli::exit::Exit;
use crate::report::wrap;

/// What is laid over a scenario, as on the command line.
pub fn as_options(set: &[String]) -> String {
    let options: Vec<String> = set.iter().map(|set| format!("--set {}", quoted(set))).collect();
    options.join(" ")
}

/// What became of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The verdict was no pass, over these rules.
    Noticed(Vec<String>),
    /// It passed where it struck once; where it struck everywhere it did not, over these rules.
    Everywhere(Vec<String>),
    /// It passed; what was added for it to be noticed, as on the command line, and the rules then.
    Unnoticed(Option<(String, Vec<String>)>),
    /// Nothing can be said.
    Untold(String),
}

/// A fault, as it is told.
#[derive(Debug, Clone)]
pub struct Tried {
    /// What it is called.
    pub name: String,
    /// What the backend does.
    pub does: String,
    /// The real failure it stands for.
    pub stands_for: &'static str,
    /// How users would notice.
    pub noticed: &'static str,
    /// What became of it.
    pub fate: Fate,
}

/// What became of all faults.
#[derive(Debug)]
pub struct Fates {
    /// Whose eyes were tried: a scenario, for the beginning of a sentence.
    pub whose: String,
    /// What was tried, after `notices 3 of 5 `.
    pub what: String,
    /// In the order of a catalogue.
    pub tried: Vec<Tried>,
    /// What was not even tried, and why.
    pub untried: Vec<(String, String)>,
}

impl Fates {
    /// Exit code of a command that tried all of it.
    pub fn exit(&self) -> Exit {
        let any = |wanted: fn(&Fate) -> bool| self.tried.iter().any(|tried| wanted(&tried.fate));
        match () {
            () if any(|fate| matches!(fate, Fate::Unnoticed(_))) => Exit::Failed,
            // Where nothing was tried, nothing was noticed.
            () if self.tried.is_empty() || any(|fate| matches!(fate, Fate::Untold(_))) => Exit::Inconclusive,
            () => Exit::Pass,
        }
    }

    /// All of it, on lines of `width` columns.
    pub fn text(&self, width: usize) -> String {
        let mut page = Lines { out: String::new(), width };
        let noticed = |tried: &&Tried| matches!(tried.fate, Fate::Noticed(_) | Fate::Everywhere(_));
        let count = self.tried.iter().filter(noticed).count();
        page.paragraph(0, &format!("{} notices {count} of {} {}", self.whose, self.tried.len(), self.what));
        self.unnoticed(&mut page);
        let by_rules = |wanted: &dyn Fn(&Fate) -> Option<&Vec<String>>| {
            let mut by_rules: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for tried in &self.tried {
                if let Some(codes) = wanted(&tried.fate) {
                    by_rules.entry(codes.join(" ")).or_default().push(&tried.name);
                }
            }
            by_rules
        };
        page.list("It notices", &by_rules(&|fate| if let Fate::Noticed(codes) = fate { Some(codes) } else { None }));
        let everywhere = by_rules(&|fate| if let Fate::Everywhere(codes) = fate { Some(codes) } else { None });
        page.list("It notices only what happens to every run, not to one of them", &everywhere);
        let untold = self.tried.iter().filter_map(|tried| match &tried.fate {
            Fate::Untold(why) => Some((&tried.name, why)),
            _ => None,
        });
        let not_tried: Vec<_> = untold.chain(self.untried.iter().map(|(name, why)| (name, why))).collect();
        if !not_tried.is_empty() {
            page.out.push_str("\nNot tried\n");
        }
        not_tried.into_iter().for_each(|(name, why)| page.paragraph(2, &format!("{name}: {why}")));
        page.out
    }

    fn unnoticed(&self, page: &mut Lines) {
        let mut by_addition: BTreeMap<Option<&str>, Vec<(&Tried, &[String])>> = BTreeMap::new();
        for tried in &self.tried {
            let Fate::Unnoticed(helped) = &tried.fate else { continue };
            let (addition, codes) =
                helped.as_ref().map_or((None, &[][..]), |(with, codes)| (Some(&**with), &codes[..]));
            by_addition.entry(addition).or_default().push((tried, codes));
        }
        for (addition, all) in by_addition {
            let head = match addition {
                Some(addition) => {
                    format!("It would pass, but would not with {addition}, although the backend")
                }
                None => "It would pass, and nothing that was tried helps, although the backend".to_owned(),
            };
            page.out.push('\n');
            page.paragraph(0, &head);
            for (index, (tried, codes)) in all.iter().enumerate() {
                let by = if codes.is_empty() { String::new() } else { format!(", {} then", codes.join(" ")) };
                page.paragraph(2, &format!("{} ({}{by})", tried.does, tried.name));
                // Once for those that are alike.
                let in_life = |tried: &Tried| (tried.stands_for, tried.noticed);
                if all.get(index + 1).is_none_or(|(next, _)| in_life(next) != in_life(tried)) {
                    page.paragraph(6, &format!("in life: {}; users see: {}", tried.stands_for, tried.noticed));
                }
            }
        }
    }
}

struct Lines {
    out: String,
    width: usize,
}

impl Lines {
    fn paragraph(&mut self, indent: usize, text: &str) {
        for line in wrap(text, self.width.saturating_sub(indent)) {
            writeln!(self.out, "{}{line}", " ".repeat(indent)).ok();
        }
    }

    fn list(&mut self, head: &str, by_rules: &BTreeMap<String, Vec<&str>>) {
        if !by_rules.is_empty() {
            self.out.push('\n');
            self.paragraph(0, head);
        }
        for (codes, names) in by_rules {
            let by = if codes.is_empty() { "by what was missing".to_owned() } else { format!("by {codes}") };
            self.paragraph(2, &format!("{by}: {}", names.join(", ")));
        }
    }
}
