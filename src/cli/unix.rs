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
