//! What was found, for a person: a line per rung, and at the broken one everything that helps.
//!
//! Nothing is lost without colour. Texts of the target are escaped.

use super::{Findings, Rung, State, machine};
use crate::document::values::grouped;
use crate::report::{escape, wrap};

/// Where a rung's text begins.
const TEXT: usize = 16;

/// The page.
pub fn text(findings: &Findings, width: usize, color: bool) -> String {
    let mut out = String::new();
    let addresses = findings.addresses.join(" and ");
    let own = if findings.embedded { " (embedded backend: not your system)" } else { "" };
    field(&mut out, "target", &format!("{} ({}) at {addresses}{own}", findings.target, findings.profile), width);
    field(&mut out, "user", &findings.user, width);
    out.push('\n');
    for rung in &findings.rungs {
        self::rung(&mut out, rung, width, color);
    }
    if !findings.carriers.is_empty() {
        out.push_str("\nother ways to hand over the token, each tried alone\n");
        for tried in &findings.carriers {
            let (carrier, state, said, written) = tried.told();
            line(&mut out, state, carrier, said, width, color);
            if state == State::Good {
                more(&mut out, "", &format!("connect: {{ {written} }}"), width);
            }
        }
    }
    if !findings.carriers.is_empty() && findings.carriers.iter().all(|tried| tried.told().1 == State::Broken) {
        hang(&mut out, "  ", "none of them: it is the token that is not accepted, not the way it is carried", width);
    }
    if !findings.events.is_empty() {
        out.push_str("\nwhat came, and what the profile makes of it\n");
        let widest = findings.events.iter().map(|event| event.event.chars().count()).max().unwrap_or(0).min(28);
        for event in &findings.events {
            let place = if event.envelope.is_empty() { String::new() } else { format!(" ({})", event.envelope) };
            let begin = format!("  {:<widest$} {:>4} x  ", escape(&event.event), event.times);
            hang(&mut out, &begin, &format!("{}{place}", event.meaning), width);
        }
    }
    if !findings.ids.is_empty() {
        out.push_str("\nids\n");
        let widest = findings.ids.iter().map(|id| id.id.chars().count()).max().unwrap_or(0);
        for id in &findings.ids {
            let values = if id.values.is_empty() { String::new() } else { format!(": {}", id.values.join(", ")) };
            let begin = format!("  {:<widest$} {:>4} x  ", escape(&id.id), id.times);
            hang(&mut out, &begin, &format!("{}{values}", id.meaning), width);
        }
    }
    let broken: Vec<&str> =
        findings.rungs.iter().filter(|rung| rung.is_broken()).map(|rung| rung.rung.as_str()).collect();
    out.push('\n');
    let sum = match broken.as_slice() {
        [] => "every rung holds".to_owned(),
        broken => format!("broken: {}", broken.join(", ")),
    };
    out + &sum + "\n"
}

/// What was found of this machine.
pub fn of_machine(findings: &machine::Findings, width: usize, color: bool) -> String {
    let mut out = String::new();
    field(&mut out, "machine", "this one, with the embedded backend over loopback", width);
    out.push('\n');
    for rung in &findings.rungs {
        self::rung(&mut out, rung, width, color);
    }
    out.push('\n');
    let users = findings.users.map(|users| format!("{} users at once, ", grouped(users.into()))).unwrap_or_default();
    let frames = grouped(machine::rounded(findings.frames_per_second).into());
    let sum = format!("up to {users}some {frames} frames a second on each thread; leave room for what else runs here");
    hang(&mut out, "", &sum, width);
    out
}

fn rung(out: &mut String, rung: &Rung, width: usize, color: bool) {
    line(out, rung.state, &rung.rung, &rung.said, width, color);
    for wire in &rung.wire {
        more(out, "", wire, width);
    }
    for (name, text) in [("cause", &rung.cause), ("remedy", &rung.remedy)] {
        if let Some(text) = text {
            more(out, name, text, width);
        }
    }
}

fn line(out: &mut String, state: State, name: &str, said: &str, width: usize, color: bool) {
    let (sign, code) = match state {
        State::Good => ("✓", "32"),
        State::Broken => ("✗", "1;31"),
        State::Doubtful => ("!", "33"),
        State::Absent => ("-", "2"),
        State::NotReached => ("·", "2"),
    };
    let painted = if color { format!("\u{1b}[{code}m{sign}\u{1b}[0m") } else { sign.to_owned() };
    let lines = wrap(&escape(said), width.saturating_sub(TEXT));
    for (index, text) in lines.iter().enumerate() {
        let begin = if index == 0 { format!("  {painted} {name:<12}") } else { " ".repeat(TEXT) };
        out.push_str(&format!("{begin}{text}\n"));
    }
}

fn more(out: &mut String, name: &str, text: &str, width: usize) {
    hang(out, &format!("    {name:<12}"), text, width);
}

fn field(out: &mut String, name: &str, text: &str, width: usize) {
    hang(out, &format!("{name:<8}"), text, width);
}

/// A text behind a beginning, continued below itself.
fn hang(out: &mut String, begin: &str, text: &str, width: usize) {
    let indent = begin.chars().count();
    for (index, line) in wrap(&escape(text), width.saturating_sub(indent)).iter().enumerate() {
        let begin = if index == 0 { begin.to_owned() } else { " ".repeat(indent) };
        out.push_str(&format!("{begin}{line}\n"));
    }
}
