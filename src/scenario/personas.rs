//! Personas: shares of the users that behave otherwise, from what is written to what they do, and what is wrong with it.
//!
//! Who is one is `plan`'s to draw. A persona asks as many turns as everybody else and connects like everybody else, so that
//! what a plan can show does not hang on the draw.

use super::format::{AnswerDef, AskDef, PersonaDef};
use super::load::Think;
use super::{Answer, Parts, Turn, answers, turn, work};
use crate::document::Context;
use crate::document::diagnostic::{Diagnostic, quote};

/// A share of the users that behaves otherwise.
#[derive(Debug, Clone)]
pub struct Persona {
    /// What reports call it.
    pub name: String,
    /// The share of all users, above 0 and below 1.
    pub share: f64,
    /// What they ask, as many turns as the scenario has.
    pub turns: Vec<Turn>,
    /// What good answers to that are, one entry per turn.
    pub answers: Vec<Answer>,
    /// How long they pause between two iterations; `None`: like everybody else.
    pub think: Option<Think>,
    /// They ask something else than everybody else.
    pub asks_otherwise: bool,
}

/// With fewer users expected than this nobody may be one: of 20 plans more than one has none (e^-3 is 5 %).
const FEW: f64 = 3.0;

pub(super) fn build(written: &PersonaDef, ask: &AskDef, answer: Option<&AnswerDef>) -> Persona {
    let asked = written.ask.as_ref().map_or(ask, |own| &own.value).turns();
    // Connections are made as the scenario's turns say.
    let turns = ask.turns().iter().zip(asked).map(|(usual, own)| Turn { prompt: own.prompt.clone(), ..turn(usual) });
    Persona {
        name: written.name.value.0.clone(),
        share: written.share.value.fraction(),
        turns: turns.collect(),
        answers: answers(asked, answer),
        think: written.think_time.as_ref().map(|think| work::think(&think.value)),
        asks_otherwise: written.ask.is_some(),
    }
}

/// Reports what is wrong or doubtful about personas.
pub(super) fn check(parts: &Parts, cx: &mut Context) {
    let personas: Vec<&PersonaDef> = parts.personas.iter().map(|persona| &persona.value).collect();
    let mut sum = 0;
    for (at, persona) in personas.iter().enumerate() {
        let name = &persona.name;
        if let Some(other) = personas[..at].iter().find(|other| other.name.value == name.value) {
            let mistake = Diagnostic::mistake(name.span, format!("there are two personas {}", quote(&name.value.0)));
            cx.report(mistake.also(other.name.span, "here as well").help("give one of them another name"));
        }
        let share = persona.share;
        let whole = sum < ALL;
        sum += share.value.millionths();
        if share.value.millionths() == 0 {
            let mistake = Diagnostic::mistake(share.span, "0% of the users are nobody");
            cx.report(mistake.help("write the share you want, or remove the persona"));
        } else if sum >= ALL && whole {
            let mistake = Diagnostic::mistake(share.span, "with this persona nobody is left who asks what `ask` says");
            cx.report(mistake.help("keep all shares together below 100%; what most users ask belongs into `ask`"));
        }
        check_one(persona, parts, cx);
    }
}

/// 100 %, in millionths of a percent.
const ALL: u64 = 100_000_000;

fn check_one(persona: &PersonaDef, parts: &Parts, cx: &mut Context) {
    let PersonaDef { name, share, ask, think_time } = persona;
    if ask.is_none() && think_time.is_none() {
        let mistake = Diagnostic::mistake(name.span, "this persona does nothing otherwise");
        cx.report(mistake.help("give it an `ask` or a `think_time`"));
    }
    let usual = parts.turns();
    if let Some(ask) = ask {
        let turns = ask.value.turns();
        if turns.len() != usual.len() && !usual.is_empty() {
            let title = format!("a persona asks as many turns as everybody else: {}, not {}", usual.len(), turns.len());
            let mistake = Diagnostic::mistake(ask.span, title);
            cx.report(mistake.help("what has another number of turns is another scenario"));
        }
        for reconnect in turns.iter().filter_map(|turn| turn.reconnect) {
            let mistake = Diagnostic::mistake(reconnect.span, "a persona connects as everybody else does");
            cx.report(mistake.help("write `reconnect` at the turn of the scenario's `ask`"));
        }
    }
    let load = parts.load.as_ref();
    if let Some(think) = think_time {
        work::check_think(&think.value, cx);
        if let Some(open) = load.and_then(|load| load.open.as_ref()) {
            let mistake = Diagnostic::mistake(think.span, "users of an open load begin by the clock, and do not pause");
            cx.report(mistake.also(open.span, "this load").help("write `closed`, or remove `think_time`"));
        } else if load.is_none_or(|load| !work::repeats(load)) {
            let mistake = Diagnostic::mistake(think.span, "with one iteration there is nothing to pause between");
            cx.report(mistake.help("raise `load.closed.iterations`, or remove `think_time`"));
        }
    }
    if let Some(users) = &parts.users {
        let count = work::users(users, load);
        let expected = share.value.fraction() * f64::from(count);
        if share.value.millionths() > 0 && expected < FEW {
            let title = format!("{} of {count} users may be nobody", share.value);
            let warning = Diagnostic::warning(share.span, title).also(users.count.span, "users");
            cx.report(warning.note("who is one is drawn for each user by itself").help("raise the share or the users"));
        }
    }
}
