//! The cookies of one user (RFC 6265), for requests and for the handshake.
//!
//! Values go back as they came, with their quotes. No list of public suffixes is asked: a target that sets cookies for a
//! whole top-level domain gets them back.

use std::cell::RefCell;
use std::cmp::Reverse;

use cookie_store::CookieStore;
use url::Url;

/// The cookies that a user has, by the addresses they are for.
#[derive(Debug, Default, Clone)]
pub(super) struct Jar(RefCell<CookieStore>);

impl Jar {
    /// A new session has none.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// Keeps what an answer from `url` sets; a socket's address counts as that of the same host over HTTP. A cookie that is not
    /// one, or not for this host, is left aside, as browsers do.
    pub fn keep(&self, url: &Url, headers: &[(String, String)]) {
        let mut lines = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).peekable();
        if lines.peek().is_some() {
            let (mut store, url) = (self.0.borrow_mut(), over_http(url));
            lines.for_each(|(_, line)| drop(store.parse(line, &url)));
        }
    }

    /// The value of the header `Cookie` in a request to `url`; `None` without any. A socket's address counts as that of the
    /// same host over HTTP.
    pub fn header(&self, url: &Url) -> Option<String> {
        let store = self.0.borrow();
        store.iter_any().next()?;
        let url = over_http(url);
        let mut cookies = store.matches(&url);
        // RFC 6265, section 5.4: longer paths first. The rest is for sameness only.
        cookies.sort_by_key(|cookie| (Reverse(cookie.path.len()), cookie.name().to_owned()));
        let pairs: Vec<_> = cookies.iter().map(|cookie| format!("{}={}", cookie.name(), cookie.value())).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The value of the cookie `name` for the host of `url`, whatever its path. Of several the one with the longest path.
    pub fn value(&self, name: &str, url: &Url) -> Option<String> {
        let store = self.0.borrow();
        let named = store.iter_unexpired().filter(|cookie| cookie.name() == name && cookie.domain.matches(url));
        named.max_by_key(|cookie| cookie.path.len()).map(|cookie| cookie.value().to_owned())
    }
}

/// The address over HTTP that a socket's address stands for, where cookies are concerned.
fn over_http(url: &Url) -> Url {
    let mut url = url.clone();
    let scheme = match url.scheme() {
        "ws" => "http",
        "wss" => "https",
        _ => return url,
    };
    let _ = url.set_scheme(scheme);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn jar(from: &str, lines: &[&str]) -> Jar {
        let jar = Jar::default();
        let headers: Vec<_> = lines.iter().map(|line| ("set-cookie".to_owned(), (*line).to_owned())).collect();
        jar.keep(&url(from), &headers);
        jar
    }

    #[test]
    fn values_go_back_as_they_came() {
        let lines = [r#"session="2|1:0|10:17|a=b""#, "_xsrf=2|ab|cd; Path=/; SameSite=Lax", "pct=%7B%22a%22%3A1%7D"];
        let jar = jar("http://127.0.0.1:8000/login", &lines);
        let expected = r#"_xsrf=2|ab|cd; pct=%7B%22a%22%3A1%7D; session="2|1:0|10:17|a=b""#;
        assert_eq!(jar.header(&url("http://127.0.0.1:8000/api")).as_deref(), Some(expected));
        assert_eq!(jar.header(&url("ws://127.0.0.1:9000/ws")).as_deref(), Some(expected), "ports do not part cookies");
        assert_eq!(jar.value("_xsrf", &url("http://127.0.0.1:8000/")).as_deref(), Some("2|ab|cd"));
        jar.clear();
        assert_eq!(jar.header(&url("http://127.0.0.1:8000/api")), None);
    }

    #[test]
    fn a_cookie_goes_where_it_belongs_and_nowhere_else() {
        let lines =
            ["near=1", "far=2; Domain=example.com; Path=/api", "safe=3; Secure", "foreign=4; Domain=example.org"];
        let jar = jar("https://chat.example.com/", &lines);
        let sent = |to: &str| jar.header(&url(to)).unwrap_or_default();
        assert_eq!(sent("https://chat.example.com/api/x"), "far=2; near=1; safe=3");
        assert_eq!(sent("wss://chat.example.com/api"), "far=2; near=1; safe=3");
        assert_eq!(sent("http://chat.example.com/"), "near=1", "the secure one stays at home");
        assert_eq!(sent("https://api.example.com/api"), "far=2");
        assert_eq!(sent("https://example.org/"), "");
        assert_eq!(jar.value("far", &url("https://chat.example.com/")).as_deref(), Some("2"), "whatever its path");
        assert_eq!(jar.value("near", &url("https://example.com/")), None);
    }

    #[test]
    fn a_target_takes_cookies_back() {
        let jar =
            jar("http://127.0.0.1/", &["a=1", "b=2", "c=3; Max-Age=0", "b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]);
        assert_eq!(jar.header(&url("http://127.0.0.1/")).as_deref(), Some("a=1"));
        assert_eq!(jar.value("b", &url("http://127.0.0.1/")), None);
    }
}
