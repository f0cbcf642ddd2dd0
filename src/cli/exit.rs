//! How the process ends: every exit code, in one place.

use std::process::ExitCode;

use crate::report::Word;

/// Why the process ended. Over several scenarios the one that stands first in the list of [`Exit::worse`] wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Everything that was asked for holds.
    Pass,
    /// A required claim failed: the target misbehaved.
    Failed,
    /// A mistake on the command line, in a scenario or in a profile; there was no traffic.
    Usage,
    /// The target could not be tested: no user got ready.
    Blocked,
    /// A required claim could not be settled: not enough was observed.
    Inconclusive,
    /// The harness itself broke; nothing is known of the target.
    Broke,
    /// A signal ended it; what was observed until then was judged and reported.
    Interrupted,
}

impl Exit {
    /// The exit code of the process. 130 is 128 plus the number of SIGINT, as shells report it.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Pass => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Blocked => 3,
            Exit::Inconclusive => 4,
            Exit::Broke => 5,
            Exit::Interrupted => 130,
        }
    }

    /// The exit of two scenarios together: broke, then interrupted, failed, blocked, inconclusive, pass. A usage mistake
    /// comes before any traffic, so it beats all but a broken harness.
    pub fn worse(self, other: Exit) -> Exit {
        const ORDER: [Exit; 7] =
            [Exit::Broke, Exit::Usage, Exit::Interrupted, Exit::Failed, Exit::Blocked, Exit::Inconclusive, Exit::Pass];
        ORDER.into_iter().find(|exit| [self, other].contains(exit)).unwrap_or(Exit::Pass)
    }
}

impl From<Word> for Exit {
    fn from(outcome: Word) -> Exit {
        match outcome {
            Word::Pass => Exit::Pass,
            Word::Fail => Exit::Failed,
            Word::Blocked => Exit::Blocked,
            Word::Inconclusive => Exit::Inconclusive,
            Word::Interrupted => Exit::Interrupted,
            Word::Broke => Exit::Broke,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_of_two_does_not_depend_on_their_order() {
        let all =
            [Exit::Pass, Exit::Failed, Exit::Usage, Exit::Blocked, Exit::Inconclusive, Exit::Broke, Exit::Interrupted];
        for one in all {
            assert_eq!((one.worse(one), one.worse(Exit::Pass)), (one, one));
            for other in all {
                assert_eq!(one.worse(other), other.worse(one));
            }
        }
        assert_eq!(Exit::Failed.worse(Exit::Interrupted).code(), 130);
        assert_eq!(Exit::Inconclusive.worse(Exit::Blocked).code(), 3);
        assert_eq!(Exit::Broke.worse(Exit::Failed).code(), 5);
    }
}
