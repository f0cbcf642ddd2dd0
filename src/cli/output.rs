//! Files that an execution leaves behind: complete or not there, and for their owner's eyes only.
//!
//! Which folder, which files, which one is the latest, which are old enough to go. What stands in them is `report`'s.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::unix;
use crate::report::{self, Comparison, Report};

/// Where reports go unless told otherwise.
const REPORTS: &str = "reports";
/// What points at the latest of them.
const LATEST: &str = "latest";

/// The file that everything else is rendered from.
pub const REPORT: &str = "report.json";

/// The folder of an execution of `scenario` that was told no other: `reports/<UTC time>-<name>-<execution>`.
pub fn default_folder(scenario: &str, execution: &report::Execution) -> PathBuf {
    let stamp: String = execution.began.chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    Path::new(REPORTS).join(format!("{stamp}Z-{scenario}-{}", execution.id))
}

/// Writes every file of a report into `folder`, which is made if need be.
///
/// # Errors
///
/// When the folder or a file cannot be written; what stood there before is unchanged, and no half of a file is left.
pub fn save(folder: &Path, report: &Report, comparison: Option<&Comparison>) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make the folder {}", folder.display()))?;
    let files = [
        (REPORT, report::to_json(report)),
        ("summary.md", report::markdown(report, report::SUMMARY_BYTES)),
        ("junit.xml", report::junit(report)),
    ];
    // The disk takes its time, and so do pages.
    let (texts, pages) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| write(folder, &files));
        let mut pages = vec![("report.html", report::html(report))];
        if let Some(comparison) = comparison {
            pages.push(("compare.json", report::comparison_to_json(comparison)));
            pages.push(("compare.html", report::comparison_html(comparison)));
            pages.push(("compare.md", report::comparison_markdown(comparison)));
        }
        let written = write(folder, &pages);
        (writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), written)
    });
    texts.and(pages)
}

/// Writes these files, each that there is room for.
fn write(folder: &Path, files: &[(&str, String)]) -> anyhow::Result<()> {
    let written = files.iter().map(|(name, text)| Part::write(folder.join(name), text.as_bytes()));
    // All of them before the disk is waited for, which then takes them at once.
    let parts: Vec<anyhow::Result<Part>> = written.collect();
    parts.into_iter().map(|part| part.and_then(Part::keep)).fold(Ok(()), anyhow::Result::and)
}

/// Makes `reports/latest` lead to `folder`, which stands beside it.
///
/// # Errors
///
/// When it cannot be written, or something else of that name is there.
pub fn point_latest_to(folder: &Path) -> anyhow::Result<()> {
    let name = folder.file_name().unwrap_or_default();
    let latest = folder.with_file_name(LATEST);
    unix::point(&latest, Path::new(name)).with_context(|| format!("failed to write {}", latest.display()))
}

/// Deletes the oldest folders with default names beyond `keep`, those of `ours` never.
///
/// # Errors
///
/// When a folder cannot be read or deleted.
pub fn delete_oldest(keep: usize, ours: &[PathBuf]) -> anyhow::Result<()> {
    let mut named: Vec<String> = fs::read_dir(REPORTS)
        .with_context(|| format!("failed to list {REPORTS}"))?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            // The type is the entry's own: what a link leads to is not ours to delete.
            let folder = entry.file_type().ok()?.is_dir();
            entry.file_name().into_string().ok().filter(|name| folder && has_default_name(name))
        })
        .collect();
    // Names begin with the time.
    named.sort_unstable();
    let beyond = named.len().saturating_sub(keep);
    for name in &named[..beyond] {
        let path = Path::new(REPORTS).join(name);
        if !ours.contains(&path) {
            fs::remove_dir_all(&path).with_context(|| format!("failed to delete {}", path.display()))?;
        }
    }
    Ok(())
}

/// The file of a report that is named by it or by its folder.
pub fn file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(REPORT) } else { path.to_path_buf() }
}

/// Reads a report from its file, or from the folder it stands in.
///
/// # Errors
///
/// When there is none, or it is no report that this build can read.
pub fn read(path: &Path) -> anyhow::Result<Report> {
    let file = file(path);
    let text = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    report::from_json(&text).with_context(|| format!("failed to read {}", file.display()))
}

/// `20261120T093000Z-name-00c0ffee`.
fn has_default_name(name: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let stamp = |text: &str| match text.split_once('T') {
        Some((date, time)) => digits(date, 8) && time.strip_suffix('Z').is_some_and(|time| digits(time, 6)),
        None => false,
    };
    let id = |text: &str| text.parse::<crate::identity::ExecutionId>().is_ok();
    let parts = name.split_once('-').and_then(|(began, rest)| Some((began, rest.rsplit_once('-')?)));
    parts.is_some_and(|(began, (name, execution))| stamp(began) && !name.is_empty() && id(execution))
}

/// A file under a temporary name beside its own, so that nobody ever reads half of it. It is deleted unless it is kept.
struct Part {
    file: File,
    part: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl Part {
    /// Writes `bytes`, which are to stand at `path`.
    fn write(path: PathBuf, bytes: &[u8]) -> anyhow::Result<Part> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        unix::private(&mut options);
        let failed = || format!("failed to write {}", path.display());
        let file = options.open(&part).with_context(failed)?;
        let mut part = Part { file, part, path: path.clone(), kept: false };
        part.file.write_all(bytes).with_context(failed)?;
        Ok(part)
    }

    /// Waits until the disk has it and gives it its name.
    fn keep(mut self) -> anyhow::Result<()> {
        let kept = self.file.sync_all().and_then(|()| fs::rename(&self.part, &self.path));
        self.kept = kept.is_ok();
        kept.with_context(|| format!("failed to write {}", self.path.display()))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            // What went wrong was told; this would only be the second error.
            let _ = fs::remove_file(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_were_made_here_are_default_names() {
        for name in ["20261120T093000Z-smoke-00c0ffee", "20261120T093000Z-two-parts-00c0ffee"] {
            assert!(has_default_name(name), "{name}");
        }
        for name in [
            "latest",
            "README.md",
            "smoke",
            "20261120T093000Z-smoke",
            "20261120T093000Z--00c0ffee",
            "20261120T093000-smoke-00c0ffee",
            "20261120T093000Z-smoke-00c0ffee-mine",
            "my-20261120T093000Z-smoke-00c0ffee",
        ] {
            assert!(!has_default_name(name), "{name}");
        }
    }
}
