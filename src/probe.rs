//! Probes: doors of a target that must stay shut, each by the way in which somebody comes who must not get in.
//!
//! Names only. How a probe is carried out is `session`'s, what is a refusal of it is `expect`'s.

use serde::{Deserialize, Serialize};

/// One way to knock at a door that must stay shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// Without any token.
    NoToken,
    /// With a text that is no token.
    MalformedToken,
    /// With a token whose time is over.
    ExpiredToken,
    /// With a token whose signature is not the target's.
    ForgedToken,
    /// With a token that says it needs no signature (`alg: none`).
    UnsignedToken,
    /// With a token that was issued for another service.
    WrongAudience,
    /// With the right token at a place where none belongs.
    MisplacedToken,
    /// With a token that was logged out.
    LoggedOutToken,
    /// With a refresh token that was used before.
    RefreshedTwice,
    /// With the own token, asking on another user's thread.
    ForeignThread,
    /// With the own token, asking with the id of another user's run.
    ForeignRun,
    /// With the own token, reading another user's thread over HTTP.
    ForeignHistory,
    /// Without the `Origin` that a browser sends.
    NoOrigin,
    /// With the `Origin` of another site.
    ForeignOrigin,
}

/// Where it knocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// Where sockets are opened, and asks are taken.
    Socket,
    /// Where a thread is read over HTTP, or a session is refreshed.
    Http,
}

impl Probe {
    /// All of them, in the order in which they knock: the most harmless first.
    pub const ALL: [Probe; 14] = [
        Probe::NoToken,
        Probe::MalformedToken,
        Probe::ExpiredToken,
        Probe::ForgedToken,
        Probe::UnsignedToken,
        Probe::WrongAudience,
        Probe::MisplacedToken,
        Probe::LoggedOutToken,
        Probe::RefreshedTwice,
        Probe::ForeignThread,
        Probe::ForeignRun,
        Probe::ForeignHistory,
        Probe::NoOrigin,
        Probe::ForeignOrigin,
    ];

    /// Its name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Probe::NoToken => "no-token",
            Probe::MalformedToken => "malformed-token",
            Probe::ExpiredToken => "expired-token",
            Probe::ForgedToken => "forged-token",
            Probe::UnsignedToken => "unsigned-token",
            Probe::WrongAudience => "wrong-audience",
            Probe::MisplacedToken => "misplaced-token",
            Probe::LoggedOutToken => "logged-out-token",
            Probe::RefreshedTwice => "refreshed-twice",
            Probe::ForeignThread => "foreign-thread",
            Probe::ForeignRun => "foreign-run",
            Probe::ForeignHistory => "foreign-history",
            Probe::NoOrigin => "no-origin",
            Probe::ForeignOrigin => "foreign-origin",
        }
    }

    /// Who comes, in a sentence that begins "it let in somebody".
    pub fn comes(self) -> &'static str {
        match self {
            Probe::NoToken => "without a token",
            Probe::MalformedToken => "with a text that is no token",
            Probe::ExpiredToken => "with an expired token",
            Probe::ForgedToken => "with a token whose signature is wrong",
            Probe::UnsignedToken => "with a token that claims to need no signature (alg: none)",
            Probe::WrongAudience => "with a token for another service",
            Probe::MisplacedToken => "with the token at a wrong place",
            Probe::LoggedOutToken => "with a token that was logged out",
            Probe::RefreshedTwice => "with a refresh token that was used before",
            Probe::ForeignThread => "who asked on another user's thread",
            Probe::ForeignRun => "who asked with the id of another user's run",
            Probe::ForeignHistory => "who read another user's thread",
            Probe::NoOrigin => "without an Origin",
            Probe::ForeignOrigin => "from the Origin of another site",
        }
    }

    /// It names something of another user.
    pub fn of_another(self) -> bool {
        matches!(self, Probe::ForeignThread | Probe::ForeignRun | Probe::ForeignHistory)
    }

    /// It comes to the socket; the others to HTTP alone.
    pub fn connects(self) -> bool {
        !matches!(self, Probe::ForeignHistory | Probe::RefreshedTwice)
    }

    /// It asks the agent; the others only connect, read or refresh.
    pub fn asks(self) -> bool {
        matches!(self, Probe::ForeignThread | Probe::ForeignRun)
    }

    /// It brings a token that is wrong in itself, to whichever door.
    pub fn is_of_token(self) -> bool {
        matches!(
            self,
            Probe::NoToken
                | Probe::MalformedToken
                | Probe::ExpiredToken
                | Probe::ForgedToken
                | Probe::UnsignedToken
                | Probe::WrongAudience
        )
    }

    /// It looks like an attack on the account that the token names, for which targets may lock it.
    pub fn may_lock(self) -> bool {
        matches!(self, Probe::ForgedToken | Probe::UnsignedToken | Probe::WrongAudience)
    }
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probe_is_listed_once_and_is_called_the_same_everywhere() {
        assert!(Probe::ALL.is_sorted_by(|a, b| a < b), "{:?}", Probe::ALL);
        for probe in Probe::ALL {
            assert_eq!(serde_json::to_value(probe).unwrap(), probe.name());
            assert!(probe.comes().len() > 10, "{probe}");
        }
    }
}
