//! `goldenpath init`: a scenario and a profile to begin with, and the schemas that an editor completes them by.
//!
//! They fit the embedded backend, so that they work before anything is changed in them. What is there is never overwritten.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;

use super::exit::Exit;
use super::{execute, schema};
use crate::document::context::listing;

/// What `init` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write to, which is made if need be
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// Writes the files, all or none of them.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let files = [
        ("first.yaml", include_str!("first.yaml").to_owned()),
        ("target.yaml", include_str!("target.yaml").to_owned()),
        ("scenario.schema.json", schema::text(schema::Format::Scenario)?),
        ("target.schema.json", schema::text(schema::Format::Target)?),
    ];
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
    write!(
        std::io::stdout().lock(),
        "{target}  how your backend is reached, logged into, asked and understood\n\
         {scenario}  who asks what, and what must hold\n\n\
         Change what differs in your backend; these say how far you are:\n\n  \
         goldenpath doctor {target}\n  \
         goldenpath run {scenario}\n\n\
         Until you have one, `goldenpath serve --port 8000` stands in for it.\n",
    )?;
    Ok(Exit::Pass)
}
