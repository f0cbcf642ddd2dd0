//! Who is let in with which token, over HTTP and at the socket, and what a fault makes of that.
//!
//! Whether a token is right is decided in `auth`; where it stood is for routes and the upgrade to say.

use super::auth::{User, named_in};
use super::fault::{Chance, Fault, Spec};
use super::jwt::Refusal;
use super::{Backend, unix_seconds};

impl Backend {
    /// The user of a token.
    ///
    /// # Errors
    /// Why nobody is let in with it.
    pub(super) fn admit(&self, token: &str) -> Result<User, Refusal> {
        self.authority.admit(token, unix_seconds()).or_else(|refusal| self.open_door(refusal, token).ok_or(refusal))
    }

    /// Who comes in although the token is refused, by a fault. Without a token there is no text of one.
    pub(super) fn open_door(&self, refusal: Refusal, token: &str) -> Option<User> {
        let door = match refusal {
            Refusal::Missing => Fault::OpenDoorMissing,
            Refusal::Malformed => Fault::OpenDoorMalformed,
            Refusal::Expired => Fault::OpenDoorExpired,
            // A verifier that finds its key by the audience of a token knows none for another's.
            Refusal::Signature if self.is_for_another(token) => Fault::OpenDoorAudience,
            Refusal::Signature => Fault::OpenDoorForged,
            Refusal::Algorithm => Fault::OpenDoorUnsigned,
            Refusal::Foreign => Fault::OpenDoorAudience,
            Refusal::Spent => Fault::OpenDoorRevoked,
            Refusal::Future | Refusal::Type => return None,
        };
        let spec = self.faults.strike(door, &Chance::default())?;
        let user = match refusal {
            Refusal::Missing | Refusal::Malformed => {
                User { id: "demo-user-001".into(), email: "demo@example.com".into() }
            }
            _ => named_in(token)?,
        };
        self.struck(spec, Some(&user));
        Some(user)
    }

    /// The user of a refresh token, which is spent by that.
    ///
    /// # Errors
    /// Why no session is refreshed with it.
    pub(super) fn refresh(&self, token: &str, now: u64) -> Result<User, Refusal> {
        self.authority.refresh(token, now).or_else(|refusal| {
            let used = Some(refusal).filter(|refusal| *refusal == Refusal::Spent);
            let spec =
                used.and_then(|_| self.faults.strike(Fault::OpenDoorRefresh, &Chance::default())).ok_or(refusal)?;
            let user = named_in(token).ok_or(refusal)?;
            self.struck(spec, Some(&user));
            Ok(user)
        })
    }

    /// Whether a fault that is about being refused strikes now.
    pub(super) fn refuses_badly(&self, fault: Fault) -> Option<&Spec> {
        let spec = self.faults.strike(fault, &Chance::default())?;
        self.struck(spec, None);
        Some(spec)
    }

    fn is_for_another(&self, token: &str) -> bool {
        // Asked only where it matters, so that a plain forgery is one.
        self.faults.is_on(Fault::OpenDoorAudience) && super::jwt::is_for_another(token)
    }
}
