//! Files that an execution leaves behind: complete or not there, and for their owner's eyes only.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::unix;
use crate::report::{self, Report};

/// Writes `report.json` into `folder`, which is made if need be, and returns its path.
///
/// # Errors
///
/// When the folder or file cannot be written; what stood there before is unchanged.
pub fn save(folder: &Path, report: &Report) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make the folder {}", folder.display()))?;
    let path = folder.join("report.json");
    write(&path, report::to_json(report).as_bytes()).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}

/// Writes to a temporary name beside `path` and renames it, so that nobody ever reads half a file.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    unix::private(&mut options);
    let written = options.open(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let done = written.and_then(|()| fs::rename(&part, path));
    if done.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&part);
    }
    done
}
