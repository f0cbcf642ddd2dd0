//! One user over the network: the clock, HTTP requests, the socket.
//!
//! What is read here is stamped here and handed on unjudged: whether an answer is good, late or somebody else's is
//! `check`'s to say. Several users at once, their threads and their pace are `engine`'s.

#![expect(clippy::disallowed_methods, reason = "the session is where the clock, the network and waiting are")]

mod alarm;
pub mod clock;
mod cookies;
mod exchange;
pub mod exposed;
mod failure;
#[cfg(test)]
mod far_end;
pub mod http;
pub mod kernel;
mod line;
pub mod names;
pub mod probe;
pub mod proxies;
pub mod recorder;
mod renewal;
mod steps;
pub mod tls;
mod token;
pub mod transport;
mod upgrade;
pub mod urls;
pub mod user;
pub mod values;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use clock::Clock;
use names::Names;
use proxies::{Proxies, Proxy};
use tls::Tls;
use url::Url;

/// What every connection of an execution shares. Cheap to clone; each thread has its own clone.
#[derive(Debug, Clone)]
pub struct Net {
    /// The execution's clock.
    pub clock: Clock,
    /// Whom to trust.
    pub tls: Tls,
    /// What is known of names.
    pub names: Names,
    /// Through which proxies.
    pub proxies: Proxies,
    /// How many reads had no stamp of the kernel's, or none that can be.
    pub unstamped: Arc<AtomicU64>,
}

impl Net {
    /// With nothing done yet.
    pub fn new(clock: Clock, tls: Tls) -> Net {
        Net { clock, tls, names: Names::default(), proxies: Proxies::default(), unstamped: Arc::default() }
    }

    /// The proxy that leads to `url`. Where somebody says which address it has, that is gone to: a flag beats a variable.
    fn proxy_to(&self, url: &Url) -> Option<Proxy> {
        if self.names.pin(url).is_some() { None } else { self.proxies.to(url) }
    }
}

#[cfg(test)]
impl Net {
    fn for_tests() -> Net {
        Net::new(Clock::start(), Tls::only(Vec::new()))
    }
}
