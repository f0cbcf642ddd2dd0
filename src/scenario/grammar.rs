//! From `expect.events` to a grammar: presets, what is added to them, and grammars of the user's own.
//!
//! Explains what no run could ever satisfy and what asks nothing. What the events mean to a run is `expect::Grammar`'s.

use super::format::{EventCount, EventsClaim, EventsDef, GrammarName, OrderName, PairDef};
use crate::document::context::closest;
use crate::document::diagnostic::{Diagnostic, quote};
use crate::document::values::Whole;
use crate::document::{Context, Span, Spanned};
use crate::expect::{Before, Role, Spelled, SpelledSymbol, comes_first};

/// The grammar that is asked for; golden-path where nothing is. Mistakes go to `cx`.
pub fn spelled(events: Option<&EventsDef>, cx: &mut Context) -> Spelled {
    match events {
        None => Spelled::golden_path(),
        Some(EventsDef::Named(name)) => preset(*name),
        Some(EventsDef::Claimed(claim)) => {
            let mut writer = Writer { grammar: Spelled::golden_path(), places: Vec::new(), cx };
            writer.claim(&claim.value, claim.span);
            writer.grammar
        }
    }
}

fn preset(name: GrammarName) -> Spelled {
    match name {
        GrammarName::GoldenPath => Spelled::golden_path(),
        GrammarName::ToolsOptional => Spelled::tools_optional(),
        GrammarName::Supervisor => Spelled::supervisor(),
        GrammarName::AgUi => Spelled::ag_ui(),
    }
}

struct Writer<'c> {
    grammar: Spelled,
    /// Where each symbol was written; `None` for those of a preset.
    places: Vec<Option<Span>>,
    cx: &'c mut Context,
}

impl Writer<'_> {
    fn claim(&mut self, claim: &EventsClaim, span: Span) {
        let steps = claim.steps.iter().flat_map(|steps| &steps.0);
        let first_own = claim.start.as_ref().map(|start| start.span);
        let first_own = first_own.or_else(|| steps.clone().next().map(|(name, _)| name.span));
        let first_own = first_own.or_else(|| claim.pairs.0.first().map(|pair| pair.call.span));
        let first_own = first_own.or_else(|| claim.end.0.first().map(|end| end.span));
        match (&claim.grammar, first_own) {
            (Some(name), Some(own)) => {
                let title = format!("`grammar: {}` says already which events a run has", name.value.as_str());
                let help = "remove `grammar` for one of your own; only `optional`, `forbidden`, `bad_end`, `before`, \
                            `order` and `min_agents` add to a named one";
                return self.mistake(Diagnostic::mistake(own, title).also(name.span, "named here").help(help));
            }
            (Some(name), None) => self.grammar = preset(name.value),
            (None, None) => {}
            (None, Some(_)) => self.own(claim, span),
        }
        self.places.resize(self.grammar.symbols.len(), None);
        for name in &claim.optional.0 {
            self.symbol(name, Role::Step, 0, (0, None));
        }
        for name in &claim.bad_end.0 {
            let names = self.names(name);
            self.grammar.bad.extend(names);
        }
        self.forbid(claim, first_own.is_some());
        if let Some(min) = claim.min_agents {
            self.grammar.min_agents = narrow(min.value);
            let start = self.grammar.symbols.iter().any(|symbol| symbol.role == Role::Start);
            if !start {
                let mistake = Diagnostic::mistake(min.span, "agents are counted by their `start`, and there is none");
                self.mistake(mistake.help("add `start`, or remove `min_agents`"));
            }
        }
        self.order(claim);
        self.asks_something(claim, span);
    }

    /// A grammar of the user's own.
    fn own(&mut self, claim: &EventsClaim, span: Span) {
        let empty = Spelled {
            name: "of its own".to_owned(),
            symbols: Vec::new(),
            before: Vec::new(),
            ..Spelled::golden_path()
        };
        self.grammar = empty;
        if let Some(start) = &claim.start {
            self.symbol(start, Role::Start, 0, (1, None));
        }
        for (name, EventCount { min, max }) in claim.steps.iter().flat_map(|steps| &steps.0) {
            let count = self.count(*min, *max);
            self.symbol(name, Role::Step, 0, count);
        }
        for (index, PairDef { call, result, min, max }) in claim.pairs.0.iter().enumerate() {
            let count = self.count(*min, *max);
            let pair = u8::try_from(index).unwrap_or(u8::MAX);
            self.symbol(call, Role::Call, pair, count);
            self.symbol(result, Role::Result, pair, count);
        }
        for end in &claim.end.0 {
            self.symbol(end, Role::End, 0, (1, None));
        }
        if claim.end.0.is_empty() {
            let mistake = Diagnostic::mistake(span, "the grammar has no `end`, so no run would ever be over");
            self.mistake(mistake.help("add the event that comes last: `end: agent_completed`"));
        }
    }

    fn count(
        &mut self,
        min: Option<Spanned<Whole<0, 1_000_000>>>,
        max: Option<Spanned<Whole<0, 1_000_000>>>,
    ) -> (u32, Option<u32>) {
        let least = min.map_or(1, |min| narrow(min.value));
        let most = max.map(|max| narrow(max.value));
        if let (Some(most), Some(written)) = (most, max)
            && most < least
        {
            let title = format!("no run has at least {least} and at most {most} of them");
            let mut mistake = Diagnostic::mistake(written.span, title);
            if let Some(min) = min {
                mistake = mistake.also(min.span, "at least");
            }
            let help = if most == 0 { "name it under `forbidden`" } else { "raise `max`, or lower `min`" };
            self.mistake(mistake.help(help));
        }
        (least, most)
    }

    /// Adds an event.
    fn symbol(&mut self, written: &Spanned<String>, role: Role, pair: u8, (min, max): (u32, Option<u32>)) {
        let names = self.names(written);
        for name in &names {
            let Some(known) = self.grammar.find(name) else { continue };
            let mistake =
                Diagnostic::mistake(written.span, format!("{} already has a part in this grammar", quote(name)));
            let mistake = match self.places.get(known).copied().flatten() {
                Some(place) => mistake.also(place, "here"),
                None => mistake.note(format!("the grammar {} has it", self.grammar.name)),
            };
            return self.mistake(mistake.help("name each event once"));
        }
        self.grammar.symbols.push(SpelledSymbol { names, role, pair, min, max });
        self.places.push(Some(written.span));
    }

    /// The names of `a | b`.
    fn names(&mut self, written: &Spanned<String>) -> Vec<String> {
        let names: Vec<String> = written.value.split('|').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            let mistake = Diagnostic::mistake(written.span, "the name of an event is empty");
            self.mistake(mistake.help("write for example `tool_executing`, or `tool_executing | tool_started`"));
        }
        names
    }

    fn forbid(&mut self, claim: &EventsClaim, own: bool) {
        for written in &claim.forbidden.0 {
            for name in self.names(written) {
                let symbol = self.grammar.find(&name).map(|index| (index, self.grammar.symbols[index].min));
                if let Some((index, min)) = symbol.filter(|(_, min)| *min > 0 || own) {
                    let what = if min > 0 { "required" } else { "allowed" };
                    let title = format!("{} is both {what} and forbidden", quote(&name));
                    let mistake = Diagnostic::mistake(written.span, title);
                    let mistake = match self.places.get(index).copied().flatten() {
                        Some(place) => mistake.also(place, format!("{what} here")),
                        None => mistake.note(format!("the grammar {} requires it", self.grammar.name)),
                    };
                    self.mistake(mistake.help("remove one of them"));
                }
                self.grammar.forbidden.push(name);
            }
        }
    }

    fn order(&mut self, claim: &EventsClaim) {
        self.grammar.free = claim.order.as_ref().is_some_and(|order| order.value == OrderName::Free);
        for chain in &claim.before {
            if let (true, Some(order)) = (self.grammar.free, &claim.order) {
                let mistake = Diagnostic::mistake(chain.span, "`before` asks for an order where none counts");
                self.mistake(mistake.also(order.span, "here").help("remove one of them"));
                return;
            }
            if chain.value.len() < 2 {
                let mistake = Diagnostic::mistake(chain.span, "an order takes two events at least");
                self.mistake(mistake.help("write for example `before: [[agent_thinking, tool_executing]]`"));
            }
            for pair in chain.value.windows(2) {
                let (Some(first), Some(then)) = (self.known(&pair[0]), self.known(&pair[1])) else { continue };
                if self.comes_before(then, first) || first == then {
                    let title = format!("{} cannot come before {}", quote(&pair[0].value), quote(&pair[1].value));
                    let mistake = Diagnostic::mistake(pair[0].span.to(pair[1].span), title);
                    self.mistake(
                        mistake.note("it must come after it by what stands before").help("remove one of the two"),
                    );
                    continue;
                }
                self.grammar.before.push(Before { first, then });
            }
        }
        if self.grammar.free {
            self.grammar.before.clear();
        }
    }

    fn known(&mut self, name: &Spanned<String>) -> Option<usize> {
        let found = self.grammar.find(&name.value);
        if found.is_none() {
            let names = self.grammar.symbols.iter().flat_map(|symbol| &symbol.names).map(String::as_str);
            let help = match closest(&name.value, names) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "name it under `steps` or `optional` first".to_owned(),
            };
            let title = format!("{} has no part in this grammar", quote(&name.value));
            self.mistake(Diagnostic::mistake(name.span, title).help(help));
        }
        found
    }

    /// Whether `first` must come before `then` by what is known so far: roles, pairs, and orders written.
    fn comes_before(&self, first: usize, then: usize) -> bool {
        let symbols = &self.grammar.symbols;
        let direct = |first: usize, then: usize| {
            let (a, b) = (&symbols[first], &symbols[then]);
            comes_first((a.role, a.pair), (b.role, b.pair)) || self.grammar.before.contains(&Before { first, then })
        };
        let mut reached = vec![first];
        let mut next = 0;
        while let Some(at) = reached.get(next).copied() {
            next += 1;
            let beyond: Vec<usize> = (0..symbols.len()).filter(|to| direct(at, *to) && !reached.contains(to)).collect();
            reached.extend(beyond);
        }
        first != then && reached.contains(&then)
    }

    /// A grammar that any run with an end satisfies would always be green.
    fn asks_something(&mut self, claim: &EventsClaim, span: Span) {
        let asks = |symbol: &SpelledSymbol| symbol.min > 0 && symbol.role != Role::End;
        let idle = !self.grammar.symbols.iter().any(asks) && self.grammar.forbidden.is_empty();
        if idle && !claim.end.0.is_empty() {
            let mistake = Diagnostic::mistake(span, "this grammar asks nothing of a run but that it ends");
            self.mistake(mistake.help("name what must come: `start`, `steps` or `pairs` with a `min` above 0"));
        }
    }

    fn mistake(&mut self, diagnostic: Diagnostic) {
        self.cx.report(diagnostic);
    }
}

fn narrow<const MIN: u64, const MAX: u64>(number: Whole<MIN, MAX>) -> u32 {
    u32::try_from(number.get()).unwrap_or(u32::MAX)
}
