//! The rungs below a target's own words: name, TCP, proxy, TLS, HTTP, and what its clock says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use url::{Host, Url};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{CLOCK, Rung};
use crate::cli::execute::shared;
use crate::cli::load::Variables;
use crate::finding::counted;
use crate::session::Net;
use crate::session::http::{Http, HttpAnswer, HttpRequest, Method};
use crate::session::tls::Roots;
use crate::session::transport::climb::{Climb, climb};
use crate::target::Profile;
use crate::time::Micros;

/// How far clocks may be apart. Tokens are commonly refused when they seem to come from more than a minute ahead.
const APART: Micros = Micros::from_secs(60);

/// Where a target is.
pub struct Addresses {
    http: Option<Url>,
    socket: Option<Url>,
}

/// The addresses of a profile, as far as they are the same for everybody.
pub fn addresses(profile: &Profile, variables: &Variables) -> Addresses {
    let http = shared(profile, variables).http;
    // What a user captures stands in paths and queries, which do not matter here.
    let fill = |name: &str| match name {
        "target.http" => Some(http.as_str().into()),
        _ => match name.strip_prefix("env.") {
            Some(name) => variables.get(name).map(|value| value.as_str().into()),
            None => Some("x".into()),
        },
    };
    let socket = profile.socket.render(&fill).ok().and_then(|socket| Url::parse(&socket).ok());
    Addresses { http: Url::parse(&http).ok(), socket }
}

impl Addresses {
    /// Scheme, host and port of each.
    pub fn shown(&self) -> Vec<String> {
        let shown = |url: &Url| url[..url::Position::AfterPort].to_owned();
        self.http.iter().chain(&self.socket).map(shown).collect()
    }

    /// The socket is reached the same way.
    fn one_way(&self) -> bool {
        let way = |url: &Url| {
            let secure = matches!(url.scheme(), "https" | "wss");
            (secure, url.host_str().map(str::to_owned), url.port_or_known_default())
        };
        match (&self.http, &self.socket) {
            (Some(http), Some(socket)) => way(http) == way(socket),
            _ => false,
        }
    }
}

/// With which word the rungs of the socket's own way begin.
const SOCKET: &str = "socket ";

/// Where among the rungs those of the socket's own way begin.
pub fn begin_of_socket(rungs: &[Rung]) -> usize {
    rungs.iter().position(|rung| rung.rung.starts_with(SOCKET)).unwrap_or(rungs.len())
}

/// Everything up to what the target says, and the socket's own way behind it if it has one.
pub async fn rungs(addresses: &Addresses, net: &Net, patience: Micros) -> Vec<Rung> {
    let mut rungs = Vec::new();
    if let Some(url) = addresses.http.as_ref().or(addresses.socket.as_ref()) {
        rungs.extend(way(url, &climb(url, net, patience).await, ""));
        if !rungs.iter().any(Rung::is_broken) {
            rungs.extend(said(url, addresses.http.is_some(), net, patience).await);
        } else {
            rungs.extend(["http", CLOCK].map(Rung::not_reached));
        }
    }
    if let (Some(url), Some(_), false) = (&addresses.socket, &addresses.http, addresses.one_way()) {
        rungs.extend(way(url, &climb(url, net, patience).await, SOCKET));
    }
    rungs
}

/// The rungs of one way.
fn way(url: &Url, climb: &Climb, begin: &str) -> Vec<Rung> {
    let name = |rung: &str| format!("{begin}{rung}");
    let error = || climb.failure.as_ref().map(|failure| failure.error.clone()).unwrap_or_default();
    let doing = || climb.failure.as_ref().map(|failure| failure.to_string()).unwrap_or_default();
    let mut rungs = Vec::new();
    let found: Vec<String> = climb.addresses.iter().map(|address| address.ip().to_string()).collect();
    let target = &climb.target;
    rungs.push(match (&climb.proxy, url.host()) {
        _ if found.is_empty() => Rung::broken(
            &name("name"),
            doing(),
            "a name that is misspelled, or known in another network only",
            "correct the address in the profile, connect to that network, or say where the name leads: --resolve \
             HOST:PORT:ADDRESS",
        ),
        (Some(proxy), _) => Rung::absent(&name("name"), format!("{target} is looked up by the proxy {proxy}")),
        (None, Some(Host::Domain(host))) => Rung::good(&name("name"), format!("{host} is {}", found.join(", "))),
        (None, _) => Rung::absent(&name("name"), format!("{} is an address already", found.join(", "))),
    });
    let whose = climb.proxy.as_ref().map(|proxy| format!(", the proxy {proxy},")).unwrap_or_default();
    rungs.push(match climb.tcp {
        Some(address) => Rung::good(&name("tcp"), format!("{address}{whose} takes connections")),
        None if error().contains("refused") => Rung::broken(
            &name("tcp"),
            doing(),
            "nothing listens at this port: the target does not run, or has another port",
            "start the target, or correct the address in the profile",
        ),
        None => Rung::broken(
            &name("tcp"),
            doing(),
            "a firewall between here and there, or an address where no machine is",
            "try from another network, and ask who runs the firewall",
        ),
    });
    rungs.push(match &climb.proxy {
        None => Rung::absent(&name("proxy"), "none is asked"),
        Some(proxy) if climb.led => Rung::good(&name("proxy"), format!("{proxy} leads to {target}")),
        // Requests without TLS need no way through it.
        Some(proxy) if url.scheme() == "http" => Rung::absent(&name("proxy"), format!("{proxy} is handed each request")),
        Some(_) => Rung::broken(
            &name("proxy"),
            doing(),
            "a proxy that wants a password, is not meant for this target, or cannot reach it either",
            "write user and password into the variable (HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT), or name the target in \
             NO_PROXY",
        ),
    });
    let tls = name("tls");
    rungs.push(match (&climb.agreed, climb.roots) {
        _ if !climb.secure => Rung::absent(&tls, format!("not asked for: {}", url.scheme())),
        (Some(version), roots) => {
            let own = climb.shown.first().map(certificate).unwrap_or_default();
            let roots = match roots {
                Some(Roots::Unchecked) | None => "--insecure: NOT CHECKED".to_owned(),
                Some(roots) => format!("checked against {roots}"),
            };
            let shown = counted(climb.shown.len() as u64, "certificate");
            let version = version.replace("TLSv1_", "TLS 1.");
            Rung::good(&tls, format!("{version}, {shown}: {own}; {roots}"))
        }
        (None, roots) => {
            let (cause, remedy) = distrust(&error());
            let shown = climb.shown.iter().map(|shown| format!("< certificate {}", certificate(shown))).collect();
            let against = roots.map(|roots| format!("; checked against {roots}")).unwrap_or_default();
            Rung::broken(&tls, doing() + &against, cause, remedy).with_wire(shown)
        }
    });
    rungs
}

/// Why TLS was not agreed on, and what to do.
fn distrust(error: &str) -> (&'static str, &'static str) {
    let has = |words: &str| error.contains(words);
    if has("UnknownIssuer") {
        let cause = "a certificate that signs itself, or that is signed by an authority of your own";
        return (cause, "trust that authority: --cacert FILE, with its certificate as PEM");
    }
    if has("not valid for name") || has("NotValidForName") {
        let cause = "a certificate for another name";
        return (cause, "use a name that the certificate holds, or have it made for this one");
    }
    if has("expired") || has("Expired") {
        return (
            "a certificate that was not renewed, or a wrong clock here",
            "renew it; compare the clock of this machine",
        );
    }
    if has("not valid yet") || has("NotValidYet") {
        return ("a clock that is behind, here, or a certificate of tomorrow", "compare the clock of this machine");
    }
    if has("CertificateRequired") || has("HandshakeFailure") || has("BadCertificate") {
        let cause = "a target that asks who comes, or that shares no version of TLS with this build";
        return (cause, "show it a certificate: --cert FILE --key FILE");
    }
    ("no TLS at this port, or something in between that ends it", "ask for http and ws there, or correct the port")
}

/// Whose a certificate is, by whom and until when; each is the certificate's own word.
fn certificate(shown: &CertificateDer<'_>) -> String {
    let Ok((_, certificate)) = X509Certificate::from_der(shown) else { return "that cannot be read".to_owned() };
    let day = |seconds: i64| {
        let day = jiff::Timestamp::from_second(seconds).map(|at| at.strftime("%Y-%m-%d").to_string());
        day.unwrap_or_else(|_| "?".to_owned())
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    let names: Vec<String> = names.take(4).collect();
    let names = if names.is_empty() { String::new() } else { format!(" for {}", names.join(", ")) };
    let (subject, issuer) = (certificate.subject().to_string(), certificate.issuer().to_string());
    let issuer = if issuer == subject { "itself".to_owned() } else { issuer };
    let validity = certificate.validity();
    let (from, to) = (day(validity.not_before.timestamp()), day(validity.not_after.timestamp()));
    format!("{subject}{names}, by {issuer}, {from} to {to}")
}

/// One request without a user: whether HTTP is spoken, and what the target's clock says.
async fn said(url: &Url, needed: bool, net: &Net, patience: Micros) -> Vec<Rung> {
    let mut url = url.clone();
    if !needed {
        // Only a socket is known; its server answers a plain request as well, or need not.
        let plain = if url.scheme() == "wss" { "https" } else { "http" };
        let _ = url.set_scheme(plain);
        url.set_query(None);
        url.set_path("/");
    }
    let request =
        HttpRequest { method: Method::GET, url: url.clone(), headers: Vec::new(), body: None, timeout: patience };
    let begun = net.clock.now();
    let answer = match Http::new(net, patience).send(&request).await {
        Ok(answer) => answer,
        Err(_) if !needed => {
            return vec![Rung::absent("http", "no step needs it"), Rung::absent(CLOCK, "the target does not say")];
        }
        Err(failure) => {
            let wire = vec![format!("> GET {}", url.path())];
            let broken = Rung::broken(
                "http",
                failure.to_string(),
                "something that is no web server, or one that hangs behind a load balancer",
                "look at what listens at this address",
            );
            return vec![broken.with_wire(wire), Rung::not_reached(CLOCK)];
        }
    };
    let by = answer.by.as_ref().map(|proxy| format!(", through the proxy {proxy}")).unwrap_or_default();
    let spoken = Rung::good("http", format!("GET {} is answered {}{by}", url.path(), answer.status));
    // When the answer was made lies between the two.
    let (earliest, latest) = (net.clock.wall(begun), net.clock.wall(answer.done));
    vec![spoken, clock(&answer, earliest, latest)]
}

fn clock(answer: &HttpAnswer, earliest_us: u64, latest_us: u64) -> Rung {
    let header = |name: &str| answer.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let Some(date) = header("date") else { return Rung::absent(CLOCK, "the target does not say what time it is") };
    let Ok(told) = httpdate::parse_http_date(date) else {
        return Rung::absent(CLOCK, format!("the target's `Date` is none: {}", super::quoted(date)));
    };
    // RFC 9111, section 5.1: so many seconds ago, if it comes from a cache.
    let age = header("age").and_then(|age| age.trim().parse().ok()).map_or(Duration::ZERO, Duration::from_secs);
    let told = Micros::from(told.checked_add(age).and_then(since_epoch).unwrap_or_default());
    // The header knows seconds only.
    let second = Micros::from_secs(1);
    let (behind, ahead) =
        (Micros(earliest_us.saturating_sub((told + second).0)), Micros(told.0.saturating_sub(latest_us)));
    let apart = behind.max(ahead);
    if apart <= Micros::ZERO {
        return Rung::good(CLOCK, "the target's is the same to the second");
    }
    let side = if ahead > behind { "ahead of" } else { "behind" };
    let said = format!("the target's is {apart} {side} this machine's");
    if apart <= APART {
        return Rung::good(CLOCK, said);
    }
    Rung::broken(
        CLOCK,
        said,
        "a machine, there or here, that does not ask a time server",
        "set the clock that is wrong; until then tokens seem to be expired, or not valid yet",
    )
    .with_wire(vec![format!("< Date: {date}")])
}

fn since_epoch(at: SystemTime) -> Option<Duration> {
    at.duration_since(UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::time::Stamp;
    use crate::trace::NetFailure;

    fn answer(headers: &[(&str, &str)]) -> HttpAnswer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (body, by) = (Vec::new(), None);
        HttpAnswer { status: 200, headers, body, truncated: false, by, sent: Stamp::ZERO, done: Stamp::ZERO }
    }

    /// The rungs of a way that ends with this failure, past what is filled in by `past`.
    fn ended(url: &str, error: &str, past: impl FnOnce(&mut Climb)) -> Vec<Rung> {
        let url: Url = url.parse().unwrap();
        let failure = NetFailure { doing: "doing something".to_owned(), error: error.to_owned(), hung: false };
        let mut climb = Climb {
            target: "far.example:443".to_owned(),
            addresses: Vec::new(),
            tcp: None,
            proxy: None,
            led: false,
            secure: url.scheme() == "https",
            shown: Vec::new(),
            agreed: None,
            roots: None,
            failure: (!error.is_empty()).then_some(failure),
        };
        past(&mut climb);
        way(&url, &climb, "")
    }

    #[test]
    fn the_first_step_that_failed_is_the_broken_rung() {
        let address = || "192.0.2.1:443".parse().unwrap();
        let first =
            |rungs: Vec<Rung>| rungs.into_iter().find(Rung::is_broken).map(|rung| (rung.rung, rung.cause.unwrap()));
        let url = "https://far.example";
        let (rung, cause) = first(ended(url, "no such name", |_| {})).unwrap();
        assert!(rung == "name" && cause.contains("misspelled"), "{rung}: {cause}");
        let (rung, cause) =
            first(ended(url, "nothing within 10 s", |climb| climb.addresses = vec![address()])).unwrap();
        assert!(rung == "tcp" && cause.contains("firewall"), "{rung}: {cause}");
        let tcp = |climb: &mut Climb| (climb.addresses, climb.tcp) = (vec![address()], Some(address()));
        let (rung, cause) = first(ended(url, "certificate expired: x", tcp)).unwrap();
        assert!(rung == "tls" && cause.contains("renewed"), "{rung}: {cause}");
        let by = |climb: &mut Climb| {
            tcp(climb);
            climb.proxy = Some("proxy:3128".to_owned());
        };
        let (rung, cause) = first(ended(url, "the proxy answered 403", by)).unwrap();
        assert!(rung == "proxy" && cause.contains("not meant for this target"), "{rung}: {cause}");
        // Requests without TLS are handed to the proxy; whether it leads anywhere is not asked.
        assert_eq!(first(ended("http://far.example", "the proxy answered 403", by)), None);
        assert_eq!(first(ended("http://far.example", "", tcp)), None);
    }

    #[test]
    fn clocks_are_apart_by_what_the_header_cannot_explain() {
        // 784111777 s, the example of RFC 9110, section 5.6.7.
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let at = |seconds: u64| seconds * 1_000_000;
        for (headers, earliest, latest, state, said) in [
            (vec![date], at(784_111_777), at(784_111_777), State::Good, "the target's is the same to the second"),
            (vec![date], at(784_111_770), at(784_111_790), State::Good, "the target's is the same to the second"),
            (vec![date], at(784_111_807), at(784_111_807), State::Good, "the target's is 29 s behind this machine's"),
            (vec![date], at(784_115_378), at(784_115_378), State::Broken, "behind this machine's"),
            (vec![date, ("age", "3600")], at(784_115_378), at(784_115_378), State::Good, "same to the second"),
            (vec![date], at(784_108_177), at(784_108_177), State::Broken, "ahead of this machine's"),
            (vec![("date", "yesterday")], 0, 0, State::Absent, "is none"),
            (vec![], 0, 0, State::Absent, "does not say"),
        ] {
            let rung = clock(&answer(&headers), earliest, latest);
            assert_eq!(rung.state, state, "{rung:?}");
            assert!(rung.said.contains(said), "{rung:?}");
        }
    }
}
