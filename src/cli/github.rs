//! What GitHub's runner is told where one listens: annotations, the step's summary, the step's outputs.
//!
//! Nothing of it happens elsewhere. Annotations go to stderr, which the runner reads as it reads stdout, so that stdout keeps
//! holding nothing but the result.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::load::Variables;
use crate::report::{self, Comparison, Report, Word};

/// Bytes that the summary of a step may have: 1 MiB.
const SUMMARY: usize = 1024 * 1024;

/// A runner that listens.
#[derive(Debug)]
pub struct Runner {
    summary: Option<PathBuf>,
    output: Option<PathBuf>,
}

impl Runner {
    /// The runner that this process was started by, if it was.
    pub fn listening(variables: &Variables) -> Option<Runner> {
        let path = |name: &str| variables.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let listens = variables.get("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        listens.then(|| Runner { summary: path("GITHUB_STEP_SUMMARY"), output: path("GITHUB_OUTPUT") })
    }

    /// Annotates the step and adds to its summary.
    ///
    /// # Errors
    ///
    /// When the summary cannot be written.
    pub fn tell(&self, report: &Report, comparison: Option<&Comparison>) -> anyhow::Result<()> {
        for line in report::annotations(report) {
            eprintln!("{line}");
        }
        let Some(path) = &self.summary else { return Ok(()) };
        let used = fs::metadata(path).map_or(0, |summary| usize::try_from(summary.len()).unwrap_or(usize::MAX));
        let mut text = report::markdown(report, report::SUMMARY_BYTES);
        text.extend(comparison.map(|comparison| format!("\n{}", report::comparison_markdown(comparison))));
        // A summary over the limit is thrown away as a whole.
        if used.saturating_add(text.len() + 1) > SUMMARY {
            eprintln!("goldenpath: the step's summary is full; the report of {} is not in it", report.scenario.name);
            return Ok(());
        }
        append(path, &format!("{text}\n"))
    }

    /// Sets the outputs `verdict`, `exit_code` and `report`, the folder of the report.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn conclude(&self, verdict: Word, exit_code: u8, folder: &Path) -> anyhow::Result<()> {
        let Some(path) = &self.output else { return Ok(()) };
        let verdict = serde_json::to_value(verdict).ok().and_then(|word| word.as_str().map(str::to_owned));
        // A value that goes on in another line could set other outputs.
        let folder = folder.display().to_string().replace(['\n', '\r'], "?");
        let verdict = verdict.unwrap_or_default();
        append(path, &format!("verdict={verdict}\nexit_code={exit_code}\nreport={folder}\n"))
    }
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("failed to write {}", path.display()))
}
