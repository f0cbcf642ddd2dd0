//! `goldenpath explain CODE`: a rule of the catalogue, in full.

use std::io::Write;

use super::exit::Exit;
use super::show;
use crate::rule::{Rule, Severity};

/// What `explain` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Code or name of a rule, for example GP104 or late-event; without it all rules are listed
    #[arg(value_name = "CODE")]
    rule: Option<String>,
}

/// Prints one rule, or a line for each.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut stdout = std::io::stdout().lock();
    let Some(wanted) = &args.rule else {
        for rule in Rule::ALL {
            writeln!(stdout, "{}  {:<22} {}", rule.code(), rule.name(), rule.meaning())?;
        }
        return Ok(Exit::Pass);
    };
    let same = |text: &str| text.eq_ignore_ascii_case(wanted);
    let Some(rule) = Rule::ALL.iter().find(|rule| same(rule.code()) || same(rule.name())) else {
        let known = Rule::ALL.iter().flat_map(|rule| [rule.code(), rule.name()]);
        let hint = crate::document::context::closest(wanted, known);
        let hint = hint.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        eprintln!("goldenpath: there is no rule {wanted}{hint}; `goldenpath explain` lists all");
        return Ok(Exit::Usage);
    };
    let weight = match rule.severity() {
        Severity::Failure => "fails its claim",
        Severity::Doubt => "makes its claim inconclusive",
        Severity::Note => "is reported and changes no verdict",
    };
    let width = show::width();
    writeln!(stdout, "{} {} ({weight})", rule.code(), rule.name())?;
    for (title, text) in [
        ("what it means", rule.meaning().to_owned()),
        ("usual causes", rule.causes().to_owned()),
        ("what to do", rule.advice().to_owned()),
    ] {
        writeln!(stdout, "\n{title}")?;
        for line in crate::report::wrap(&text, width.saturating_sub(2)) {
            writeln!(stdout, "  {line}")?;
        }
    }
    Ok(Exit::Pass)
}
