//! One user over the network: the clock, HTTP requests, the socket.
//!
//! What is read here is stamped here and handed on unjudged: whether an answer is good, late or somebody else's is
//! `check`'s to say. Several users at once, their threads and their pace are `engine`'s.

#![expect(clippy::disallowed_methods, reason = "the session is where the clock, the network and waiting are")]

pub mod clock;
mod cookies;
mod failure;
#[cfg(test)]
mod far_end;
pub mod http;
mod line;
pub mod recorder;
mod steps;
pub mod tls;
pub mod transport;
mod upgrade;
pub mod user;
pub mod values;

use clock::Clock;
use tls::Tls;

/// What every connection of an execution shares. Cheap to clone; each thread has its own clone.
#[derive(Debug, Clone)]
pub struct Net {
    /// The execution's clock.
    pub clock: Clock,
    /// Whom to trust.
    pub tls: Tls,
}

#[cfg(test)]
impl Net {
    fn for_tests() -> Net {
        Net { clock: Clock::start(), tls: Tls::only(Vec::new()) }
    }
}
