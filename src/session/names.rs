//! The addresses of names, looked up once per execution for everybody, so that a slow or limited name server is not measured
//! as the target.
//!
//! Addresses none of which answers are forgotten: a target that moves is found again. What somebody pinned is not looked up and
//! not forgotten.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::lookup_host;
use tokio::sync::OnceCell;
use url::{Host, Url};

/// What one name leads to, once it is known.
type Found = Arc<OnceCell<Vec<IpAddr>>>;

/// What is known of names. Clones know the same.
#[derive(Debug, Clone, Default)]
pub struct Names {
    known: Arc<Mutex<BTreeMap<String, Found>>>,
    pinned: Arc<[Pinned]>,
}

/// An address that somebody says a host has at a port, as curl's `--resolve` takes it: `HOST:PORT:ADDRESS[,ADDRESS]...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// Nothing known but what is `pinned`; of two for the same host and port the last counts.
    pub fn pinned(pinned: &[Pinned]) -> Names {
        Names { known: Arc::default(), pinned: pinned.into() }
    }

    /// What was said of the host and port of `url`.
    pub(super) fn pin(&self, url: &Url) -> Option<&Pinned> {
        if self.pinned.is_empty() {
            return None;
        }
        let (Some(Host::Domain(name)), Some(port)) = (url.host(), url.port_or_known_default()) else { return None };
        self.pinned.iter().rev().find(|pinned| pinned.host == name && pinned.port == port)
    }

    /// The addresses of `name`, looked up by the first who asks while the others wait.
    ///
    /// # Errors
    ///
    /// The system's words; whoever asks next tries again.
    pub async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = self.found(name);
        let looking = || async {
            let found: Vec<IpAddr> = lookup_host((name, 0)).await?.map(|address| address.ip()).collect();
            match found.is_empty() {
                false => Ok(found),
                true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            }
        };
        found.get_or_try_init(looking).await.cloned()
    }

    /// No address of `name` answers any more.
    pub fn forget(&self, name: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn found(&self, name: &str) -> Found {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(name.to_owned()).or_default())
    }
}

impl Pinned {
    /// Where it is to be found.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.iter().map(|address| SocketAddr::new(*address, self.port)).collect()
    }
}

impl FromStr for Pinned {
    type Err = String;

    fn from_str(text: &str) -> Result<Pinned, String> {
        const WANTED: &str = "write HOST:PORT:ADDRESS, for example chat.example.com:443:10.0.0.5";
        let mut parts = text.splitn(3, ':');
        let (Some(host), Some(port), Some(addresses)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(WANTED.to_owned());
        };
        let port = port.parse().map_err(|_| format!("`{port}` is no port; {WANTED}"))?;
        let Ok(Host::Domain(host)) = Host::parse(host) else { return Err(format!("`{host}` is no name; {WANTED}")) };
        let address = |text: &str| {
            let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            bare.parse().map_err(|_| format!("`{text}` is no address; {WANTED}"))
        };
        let addresses = addresses.split(',').map(address).collect::<Result<Vec<IpAddr>, String>>()?;
        // What is not on loopback is asked gently, and must not pass for what is.
        if is_loopback(&Host::Domain(host.as_str())) && !addresses.iter().all(IpAddr::is_loopback) {
            return Err(format!("`{host}` is always this machine"));
        }
        Ok(Pinned { host, port, addresses })
    }
}

/// As it is written.
impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(IpAddr::to_string).collect();
        write!(f, "{}:{}:{}", self.host, self.port, addresses.join(","))
    }
}

/// Whether a host is this machine by what it is called.
pub fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        // RFC 6761, section 6.3: names under `localhost` are loopback.
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_known_is_not_asked_again_until_it_is_forgotten() {
        let names = Names::default();
        let planted = vec![IpAddr::from([192, 0, 2, 1])];
        names.found("localhost").set(planted.clone()).expect("nothing is known yet");
        let same = names.clone();
        assert_eq!(same.look_up("localhost").await.expect("it is known"), planted);
        same.forget("localhost");
        let looked_up = names.look_up("localhost").await.expect("it is always there");
        assert!(looked_up.iter().all(IpAddr::is_loopback), "{looked_up:?}");
    }

    #[tokio::test]
    async fn a_name_that_is_not_found_is_tried_again() {
        let names = Names::default();
        // Not a name at all, so no server is asked.
        assert!(names.look_up("no name\0").await.is_err());
        assert!(names.found("no name\0").get().is_none());
    }

    #[test]
    fn what_is_pinned_is_pinned_at_its_port_only() {
        let pin = |text: &str| text.parse::<Pinned>();
        let all = ["chat.example.com:443:10.0.0.1", "CHAT.example.com:443:10.0.0.2,[::1],fe80::1", "other:80:10.0.0.3"];
        let names = Names::pinned(&all.map(|text| pin(text).expect("pinned")));
        let at = |url: &str| names.pin(&url.parse().expect("a URL")).map(ToString::to_string);
        assert_eq!(at("wss://chat.example.com/ws").as_deref(), Some("chat.example.com:443:10.0.0.2,::1,fe80::1"));
        assert_eq!(at("https://chat.example.com:443/").as_deref(), at("wss://chat.example.com/ws").as_deref());
        assert_eq!(at("ws://chat.example.com/ws"), None);
        assert_eq!(at("http://other/").as_deref(), Some("other:80:10.0.0.3"));
        assert_eq!(Names::default().pin(&"http://other/".parse().expect("a URL")), None);
        for wrong in ["", "host", "host:80", "host:port:10.0.0.1", "host:80:", "host:80:name", "10.0.0.1:80:10.0.0.2"] {
            assert!(pin(wrong).expect_err(wrong).contains("write HOST:PORT:ADDRESS"), "{wrong}");
        }
        assert!(pin("localhost:80:10.0.0.1").expect_err("elsewhere").contains("always this machine"));
        assert!(pin("localhost:80:127.0.0.2").is_ok());
    }
}
