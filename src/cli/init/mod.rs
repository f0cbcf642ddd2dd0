//! `goldenpath init`: a scenario and a profile to begin with, and the schemas that an editor completes them by.
//!
//! They fit the embedded backend, so that they work before anything is changed in them; with `--from` they are proposed from a
//! browser's network export instead. What is there is never overwritten.
//!
//! ```text
//! har        the export, read
//! frames     its frames, taken apart
//! naming     where events have their names
//! course     what was said on the socket, part by part
//! carried    values that were told and brought back
//! proposal   profile and scenario, with evidence
//! page       YAML with comments
//! ```

/// Regular expressions, each compiled when it is first asked.
macro_rules! patterns {
    ($($name:ident = $text:literal;)*) => {
        $(static $name: std::sync::LazyLock<regex::Regex> =
            std::sync::LazyLock::new(|| regex::Regex::new($text).expect("a pattern of ours"));)*
    };
}

mod carried;
mod course;
mod frames;
mod har;
mod naming;
mod page;
mod proposal;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::exit::Exit;
use super::{execute, schema};
use crate::document::context::listing;
use crate::report::wrap;

/// What `init` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write to, which is made if need be
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Propose them from a browser's network export, which holds the login and one question with its answer
    #[arg(long, value_name = "FILE.har")]
    from: Option<PathBuf>,
}

/// Writes the files, all or none of them.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut files = vec![
        ("first.yaml", include_str!("first.yaml").to_owned()),
        ("target.yaml", include_str!("target.yaml").to_owned()),
        ("scenario.schema.json", schema::text(schema::Format::Scenario)?),
        ("target.schema.json", schema::text(schema::Format::Target)?),
    ];
    let mut told = Vec::new();
    if let Some(export) = &args.from {
        let proposal = match propose(export) {
            Ok(proposal) => proposal,
            Err(refused) => {
                eprintln!("goldenpath: {} {}", export.display(), refused.cause);
                eprintln!("  help: {}", refused.remedy);
                return Ok(Exit::Usage);
            }
        };
        files[0].1 = proposal.scenario;
        files[1].1 = proposal.target;
        files.extend(proposal.users.map(|users| ("users.csv", users)));
        told = proposal.told;
    }
    let folder = &args.folder;
    let there: Vec<&str> = files.iter().map(|(name, _)| *name).filter(|name| folder.join(name).exists()).collect();
    if !there.is_empty() {
        let there = listing(there, "and");
        eprintln!("goldenpath: {} has {there}; nothing was written: name another folder", folder.display());
        return Ok(Exit::Usage);
    }
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make the folder {}", folder.display()))?;
    for (name, text) in &files {
        let path = folder.join(name);
        // Somebody may have made it meanwhile.
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("failed to write {}", path.display()))?;
    }
    let quoted = |name: &str| execute::quoted(&folder.join(name).display().to_string());
    let (scenario, target) = (quoted("first.yaml"), quoted("target.yaml"));
    let mut out = std::io::stdout().lock();
    for line in &told {
        writeln!(out, "{line}")?;
    }
    if !told.is_empty() {
        writeln!(out)?;
    }
    writeln!(
        out,
        "{target}  how your backend is reached, logged into, asked and understood\n\
         {scenario}  who asks what, and what must hold",
    )?;
    if files.len() > 4 {
        writeln!(out, "{}  what users bring along, to be filled in", quoted("users.csv"))?;
    }
    let advice = match told.is_empty() {
        true => "Change what differs in your backend; these say how far you are:",
        false => {
            "Comments say what each line is believed for, and TODO what could not be told. These say how far you are:"
        }
    };
    for line in wrap(advice, 80) {
        write!(out, "\n{line}")?;
    }
    write!(out, "\n\n  goldenpath doctor {target}\n  goldenpath run {scenario}\n")?;
    if told.is_empty() {
        write!(out, "\nUntil you have one, `goldenpath serve --port 8000` stands in for it.\n")?;
    }
    Ok(Exit::Pass)
}

/// A proposal from the export at `path`.
fn propose(path: &Path) -> Result<proposal::Proposal, har::Refused> {
    let export = har::open(path)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    proposal::propose(&export, &name)
}
