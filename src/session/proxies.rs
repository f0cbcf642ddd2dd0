//! Which proxy leads where, by the variables that everybody uses; the same for HTTP and sockets.
//!
//! `http_proxy` is for `http` and `ws`, `https_proxy` for `https` and `wss`, `all_proxy` for both where they are silent, each in
//! small or capital letters; what `no_proxy` names, and this machine itself, is reached directly. Asking a proxy is
//! `transport`'s and `http`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hyper_util::client::proxy::matcher::Matcher;
use url::{Host, Position, Url};

use super::names::is_loopback;

/// How many ways are remembered: a target may redirect to more hosts than anybody wants to read.
const USED_KEPT: usize = 16;

/// The proxies of an execution. Clones remember the same use.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    rules: Option<Arc<Matcher>>,
    /// Where a proxy led, and which.
    used: Arc<Mutex<BTreeSet<(String, String)>>>,
}

/// A proxy to be asked. Its text is host and port, never the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    host: Host,
    port: u16,
    /// What a `Proxy-Authorization` header holds.
    pub(super) authorization: Option<String>,
}

impl Proxies {
    /// As the process's variables say.
    ///
    /// # Errors
    ///
    /// A variable that names no HTTP proxy. What it holds is not repeated: it may be a password.
    pub fn from_variables(variables: &BTreeMap<String, String>) -> Result<Proxies, String> {
        // curl prefers small letters; an empty variable is none.
        let of = |name: &str| {
            let names = [name.to_owned(), name.to_uppercase()];
            let mut set = names.into_iter().filter_map(|name| variables.get(&name).map(|value| (name, value.trim())));
            set.find(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.to_owned()))
        };
        let checked = |name: &str| match of(name) {
            Some((name, value)) => is_proxy(&value).map(|()| value).map_err(|why| format!("{name} {why}")),
            None => Ok(String::new()),
        };
        let (http, https, all) = (checked("http_proxy")?, checked("https_proxy")?, checked("all_proxy")?);
        if [&http, &https, &all].iter().all(|value| value.is_empty()) {
            return Ok(Proxies::default());
        }
        let no = of("no_proxy").map(|(_, value)| value).unwrap_or_default();
        let rules = Matcher::builder().http(http).https(https).all(all).no(no).build();
        Ok(Proxies { rules: Some(Arc::new(rules)), used: Arc::default() })
    }

    /// The same, not used yet.
    pub fn unused(&self) -> Proxies {
        Proxies { rules: self.rules.clone(), used: Arc::default() }
    }

    /// The proxy that leads to `url`, if one is to be asked, which is remembered.
    pub(super) fn to(&self, url: &Url) -> Option<Proxy> {
        let rules = self.rules.as_ref()?;
        if is_loopback(&url.host()?) {
            return None;
        }
        let scheme = match url.scheme() {
            "ws" => "http",
            "wss" => "https",
            other => other,
        };
        let asked = format!("{scheme}://{}/", &url[Position::BeforeHost..Position::AfterPort]);
        let found = rules.intercept(&asked.parse().ok()?)?;
        let host = Host::parse(found.uri().host()?).ok()?;
        let port = found.uri().port_u16().unwrap_or(80);
        let authorization = found.basic_auth().and_then(|value| value.to_str().ok()).map(str::to_owned);
        let proxy = Proxy { host, port, authorization };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() < USED_KEPT {
            used.insert((with_port(url), proxy.to_string()));
        }
        Some(proxy)
    }

    /// What was reached through which proxy so far, each as host and port; sorted.
    pub fn used(&self) -> Vec<(String, String)> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Proxy {
    /// Its host and port.
    pub(super) fn address(&self) -> (Host<&str>, u16) {
        let host = match &self.host {
            Host::Domain(name) => Host::Domain(name.as_str()),
            Host::Ipv4(address) => Host::Ipv4(*address),
            Host::Ipv6(address) => Host::Ipv6(*address),
        };
        (host, self.port)
    }

    /// What the proxy's refusal means.
    pub(super) fn refusal(&self, status: u16, target: &str) -> String {
        match status {
            407 => "the proxy answered 407: it wants a user and a password, or others than these".to_owned(),
            502..=504 => format!("the proxy answered {status}: it does not reach {target}"),
            _ => format!("the proxy answered {status}: it does not lead to {target}"),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Host and port, also where the port is the scheme's own.
pub(super) fn with_port(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// Whether `value` names a proxy that can be asked: host and perhaps port, user and password, as `http` or without a scheme.
fn is_proxy(value: &str) -> Result<(), &'static str> {
    const WANTED: &str = "does not name a proxy; write http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT";
    let whole = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let url = Url::parse(&whole).map_err(|_| WANTED)?;
    match url.scheme() {
        "http" if url.has_host() && value.parse::<hyper::Uri>().is_ok() => Ok(()),
        "https" => Err("names a proxy that is asked over TLS, which this build does not do; write http://HOST:PORT"),
        "socks4" | "socks4a" | "socks5" | "socks5h" => {
            Err("names a SOCKS proxy, which this build does not speak; write http://HOST:PORT")
        }
        _ => Err(WANTED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Proxies::from_variables(&variables.collect())
    }

    fn to(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.to(&url.parse().unwrap()).map(|proxy| proxy.to_string())
    }

    #[test]
    fn each_scheme_has_its_variable_and_this_machine_has_none() {
        let set = proxies(&[("HTTP_PROXY", "http://plain:3128"), ("https_proxy", "secure:3129")]).unwrap();
        for (url, by) in [
            ("http://chat.example.com/", Some("plain:3128")),
            ("ws://chat.example.com:8000/ws", Some("plain:3128")),
            ("https://chat.example.com/", Some("secure:3129")),
            ("wss://chat.example.com/ws", Some("secure:3129")),
            ("http://localhost:8000/", None),
            ("ws://api.localhost/", None),
            ("ws://127.0.0.7:8000/", None),
            ("wss://[::1]/", None),
        ] {
            assert_eq!(to(&set, url).as_deref(), by, "{url}");
        }
        let used = |target: &str, proxy: &str| (target.to_owned(), proxy.to_owned());
        let expected = [
            used("chat.example.com:443", "secure:3129"),
            used("chat.example.com:80", "plain:3128"),
            used("chat.example.com:8000", "plain:3128"),
        ];
        assert_eq!(set.used(), expected);
        assert_eq!(set.unused().used(), []);
    }

    #[test]
    fn all_is_for_what_has_no_variable_of_its_own_and_no_wins() {
        let set = [("all_proxy", "all:1"), ("http_proxy", "small:2"), ("HTTP_PROXY", "large:3")];
        let no = ("NO_PROXY", "internal.example.com, .test,10.0.0.0/8");
        let set = proxies(&[&set[..], &[no]].concat()).unwrap();
        for (url, by) in [
            ("wss://chat.example.com/", Some("all:1")),
            ("ws://chat.example.com/", Some("small:2")),
            ("ws://internal.example.com/", None),
            ("ws://a.internal.example.com/", None),
            ("ws://notinternal.example.com/", Some("small:2")),
            ("wss://chat.test/", None),
            ("ws://10.1.2.3:80/", None),
            ("ws://11.1.2.3:80/", Some("small:2")),
        ] {
            assert_eq!(to(&set, url).as_deref(), by, "{url}");
        }
        assert_eq!(to(&proxies(&[("NO_PROXY", "*"), ("ALL_PROXY", "x:1")]).unwrap(), "ws://a.example/"), None);
        assert_eq!(to(&proxies(&[("HTTP_PROXY", "")]).unwrap(), "ws://a.example/"), None);
    }

    #[test]
    fn a_password_is_sent_and_not_said() {
        let set = proxies(&[("HTTPS_PROXY", "http://me:p%40ss@proxy:3128")]).unwrap();
        let proxy = set.to(&"wss://chat.example.com".parse().unwrap()).unwrap();
        assert_eq!(proxy.to_string(), "proxy:3128");
        // me:p@ss
        assert_eq!(proxy.authorization.as_deref(), Some("Basic bWU6cEBzcw=="));
        let open = proxies(&[("ALL_PROXY", "proxy")]).unwrap().to(&"ws://a.example".parse().unwrap());
        assert_eq!(open.unwrap().to_string(), "proxy:80");
        for value in ["socks5://secret@x:1", "https://secret@x:1", "secret:secret:secret", "ftp://secret", "http://"] {
            let why = proxies(&[("ALL_PROXY", value)]).unwrap_err();
            assert!(why.starts_with("ALL_PROXY ") && !why.contains("secret"), "{why}");
        }
    }
}
