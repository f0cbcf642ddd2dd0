//! Flags and variables that say which way leads to a target: addresses of names, and proxies.

use super::execute::quoted;
use super::load::Variables;
use crate::session::Net;
use crate::session::clock::Clock;
use crate::session::names::{Names, Pinned};
use crate::session::proxies::Proxies;
use crate::session::tls::Tls;

/// Which way leads to a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct WayArgs {
    /// Go to this address for a host and port, past name servers and proxies; repeatable
    #[arg(long, value_name = "HOST:PORT:ADDRESS")]
    resolve: Vec<Pinned>,
}

/// What flags and variables said of it.
#[derive(Debug, Clone, Default)]
pub struct Way {
    pinned: Vec<Pinned>,
    proxies: Proxies,
}

impl WayArgs {
    /// With the variables that name proxies, unless everything is on this machine, where none is asked.
    ///
    /// # Errors
    ///
    /// A variable that names no proxy.
    pub fn way(&self, variables: &Variables, loopback: bool) -> Result<Way, String> {
        let proxies = if loopback { Proxies::default() } else { Proxies::from_variables(variables)? };
        Ok(Way { pinned: self.resolve.clone(), proxies })
    }
}

impl Way {
    /// The network of one execution: nothing looked up, nothing used.
    pub fn net(&self, tls: &Tls) -> Net {
        let names = Names::pinned(&self.pinned);
        Net { names, proxies: self.proxies.unused(), ..Net::new(Clock::start(), tls.clone()) }
    }

    /// The flags again, as a POSIX shell reads them.
    pub fn words(&self) -> Vec<String> {
        self.pinned.iter().flat_map(|pinned| ["--resolve".to_owned(), quoted(&pinned.to_string())]).collect()
    }

    /// What a report says of the way that `net` has gone.
    pub fn notes(&self, net: &Net) -> Vec<String> {
        let pinned = self.pinned.iter().map(|pinned| format!("--resolve {pinned}: this address was not looked up"));
        let used = net.proxies.used().into_iter();
        pinned.chain(used.map(|(target, proxy)| format!("{target} was reached through the proxy {proxy}"))).collect()
    }
}
