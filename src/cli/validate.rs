//! `goldenpath validate`: every mistake of every file at once, without any traffic.

use std::io::Write;
use std::path::PathBuf;

use super::exit::Exit;
use super::load::{self, Loader, Overrides, Unset};
use super::show::{self, Counts};

/// What `validate` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenarios and target profiles
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Take a variable that is not set for a mistake
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    overrides: Overrides,
}

/// Shows what is wrong on stderr, and says on stdout of each file whether it can be used.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let unset = if args.strict { Unset::Refuse } else { Unset::Warn };
    let mut loader = Loader::new(&args.overrides, load::variables(), unset);
    let mut all = Vec::new();
    let mut lines = String::new();
    let mut exit = Exit::Pass;
    for file in &args.files {
        let found = loader.validate(file);
        let counts = Counts::of(&found);
        if counts.mistakes > 0 {
            exit = Exit::Usage;
        }
        lines.push_str(&format!("{}: {counts}\n", file.display()));
        all.extend(found);
    }
    show::to_stderr(&all, loader.sources())?;
    std::io::stdout().lock().write_all(lines.as_bytes())?;
    Ok(exit)
}
