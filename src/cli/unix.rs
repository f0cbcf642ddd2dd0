//! What only Unix systems offer; the one file that asks for the platform.
//!
//! Elsewhere the same functions say that it is unknown.

/// Raises the number of files this process may open to the most the system allows it, and returns that number. Each socket is
/// a file. `None` where it is unknown.
#[cfg(unix)]
pub fn raise_open_files() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // macOS refuses an unlimited number; the soft limit is what counts then.
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return Some(hard);
    }
    Some(soft)
}

/// Raises the number of files this process may open. Unknown on this system.
#[cfg(not(unix))]
pub fn raise_open_files() -> Option<u64> {
    None
}

/// Only the owner may read what is written: reports and journals hold what users were answered.
#[cfg(unix)]
pub fn private(options: &mut std::fs::OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;

    options.mode(0o600);
}

/// Files belong to whoever the system says.
#[cfg(not(unix))]
pub fn private(_: &mut std::fs::OpenOptions) {}

/// Resolves when somebody asks this process to end: Ctrl-C, or SIGTERM as CI systems and containers send it.
///
/// # Errors
///
/// When the system does not let signals be caught.
#[cfg(unix)]
pub async fn asked_to_end() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Resolves when somebody asks this process to end: Ctrl-C.
///
/// # Errors
///
/// When the system does not let signals be caught.
#[cfg(not(unix))]
pub async fn asked_to_end() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn raising_twice_changes_nothing() {
        let first = raise_open_files();
        assert!(first.is_some_and(|limit| limit > 0));
        assert_eq!(raise_open_files(), first);
    }
}
