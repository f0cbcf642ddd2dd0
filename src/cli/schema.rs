//! `goldenpath schema`: the JSON Schema of a file format, as the committed files hold it.

use std::io::Write;

use clap::ValueEnum;

use super::exit::Exit;
use crate::{report, scenario, target};

/// What `schema` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which format
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// What users do and what must hold
    Scenario,
    /// How a target is reached, asked and understood
    Target,
    /// What an execution has shown: report.json
    Report,
}

/// Prints a schema, indented and with a line break at its end.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    std::io::stdout().lock().write_all(text(args.format)?.as_bytes())?;
    Ok(Exit::Pass)
}

/// A schema as its file holds it.
pub fn text(format: Format) -> anyhow::Result<String> {
    let schema = match format {
        Format::Scenario => scenario::schema(),
        Format::Target => target::schema(),
        Format::Report => report::schema(),
    };
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}
