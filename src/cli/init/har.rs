//! A browser's network export, read: HAR 1.2 with what Chrome writes of WebSockets (`_webSocketMessages`).
//!
//! Only what a proposal needs is kept. Exports differ and lack things: an entry that cannot be used is passed over and told, a
//! file that is no export is refused with the place, the cause and what to do. What anything means is `proposal`'s business.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use url::Url;

/// Larger exports are refused: read whole they take several times their size in memory.
const MAX_BYTES: u64 = 256 << 20;

/// How many entries that cannot be used are told one by one.
const MAX_FLAWS: usize = 5;

/// What was exported.
#[derive(Debug)]
pub struct Export {
    /// Requests, in the order in which they began.
    pub entries: Vec<Entry>,
    /// Entries that could not be used, in words.
    pub flaws: Vec<String>,
}

/// One request with its answer.
#[derive(Debug)]
pub struct Entry {
    /// Its place in the export, from 1.
    pub number: usize,
    /// When it began, in milliseconds since 1970.
    pub at: f64,
    /// When its answer was there.
    pub done: f64,
    /// In capitals.
    pub method: String,
    /// Where it went.
    pub url: Url,
    /// Its headers as sent, cookies left out.
    pub headers: Pairs,
    /// Its cookies; empty as well if the export is without them.
    pub cookies: Pairs,
    /// What it carried.
    pub body: Option<Body>,
    /// The status of the answer; 0 if there was none.
    pub status: u16,
    /// Headers of the answer, cookies left out.
    pub answer_headers: Pairs,
    /// Cookies that the answer set.
    pub set_cookies: Pairs,
    /// The answer's text.
    pub answer: Option<String>,
    /// What was said on the socket, if it is one.
    pub messages: Option<Vec<Message>>,
}

/// Names with values.
pub type Pairs = Vec<(String, String)>;

/// What a request carried.
#[derive(Debug)]
pub enum Body {
    /// A JSON document.
    Json(Json),
    /// Fields of an HTML form.
    Form(Pairs),
    /// Something else, with its media type.
    Text(String, String),
}

/// One message on a socket.
#[derive(Debug)]
pub struct Message {
    /// Its place among those of its socket, from 1.
    pub number: usize,
    /// By the client.
    pub sent: bool,
    /// In milliseconds since 1970.
    pub at: f64,
    /// It was a binary one.
    pub binary: bool,
    /// What it said; binary ones as far as they are UTF-8.
    pub text: String,
}

/// Why a file is no export, and what to do.
#[derive(Debug)]
pub struct Refused {
    /// Place and cause, as a fragment.
    pub cause: String,
    /// What to do.
    pub remedy: &'static str,
}

const EXPORT_AGAIN: &str = "in the browser's developer tools, under Network, save all as HAR and name that file";

fn refused<T>(cause: impl Into<String>, remedy: &'static str) -> Result<T, Refused> {
    Err(Refused { cause: cause.into(), remedy })
}

impl Entry {
    /// The first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// The body of the answer, if it is JSON.
    pub fn answer_json(&self) -> Option<Json> {
        serde_json::from_str(self.answer.as_deref()?).ok()
    }

    /// Method and path, as a comment names it: `entry 3, POST /login`.
    pub fn told(&self) -> String {
        format!("entry {}, {} {}", self.number, self.method, self.url.path())
    }
}

fn first<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Reads the file at `path`.
pub fn open(path: &Path) -> Result<Export, Refused> {
    let unreadable = |error: std::io::Error| Refused {
        cause: format!("cannot be read: {error}"),
        remedy: "name the file that the browser exported",
    };
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    if length > MAX_BYTES {
        return refused(
            format!("has {} MiB, more than the {} that are read", length >> 20, MAX_BYTES >> 20),
            "record again with only the login and one question, or without the contents of images and scripts",
        );
    }
    let mut bytes = Vec::new();
    // A pipe has no length to ask for.
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    read(&bytes)
}

/// Reads the text of an export.
pub fn read(bytes: &[u8]) -> Result<Export, Refused> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return refused("is empty", EXPORT_AGAIN);
    }
    let tree: Json = match serde_json::from_slice(bytes) {
        Ok(tree) => tree,
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            return match error.is_eof() {
                true => refused(format!("ends too early ({place}): it was cut off"), EXPORT_AGAIN),
                false => refused(format!("is not JSON ({place}): {}", reason(&error)), EXPORT_AGAIN),
            };
        }
    };
    let Some(entries) = tree.pointer("/log/entries") else {
        return refused("is JSON, but no HAR: it has no `log.entries`", EXPORT_AGAIN);
    };
    let Some(entries) = entries.as_array() else {
        return refused("has a `log.entries` that is no list", EXPORT_AGAIN);
    };
    let mut export = Export { entries: Vec::new(), flaws: Vec::new() };
    let (mut last, mut unused) = (0.0, 0);
    for (number, entry) in (1..).zip(entries) {
        match read_entry(number, entry, last) {
            Ok(entry) => {
                last = entry.at;
                export.entries.push(entry);
            }
            Err(flaw) => {
                unused += 1;
                if unused <= MAX_FLAWS {
                    export.flaws.push(format!("entry {number} {flaw}, and was passed over"));
                }
            }
        }
    }
    if unused > MAX_FLAWS {
        export.flaws.push(format!("{} more entries were passed over", unused - MAX_FLAWS));
    }
    if export.entries.is_empty() {
        let cause = match export.flaws.first() {
            Some(flaw) => format!("has no entry that can be used: {flaw}"),
            None => "has no entries: nothing was recorded".to_owned(),
        };
        return refused(cause, "open the developer tools before you log in, and export after an answer came");
    }
    export.entries.sort_by(|a, b| a.at.total_cmp(&b.at));
    Ok(export)
}

/// What serde says, without its place.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn read_entry(number: usize, entry: &Json, last: f64) -> Result<Entry, String> {
    let request = entry.get("request").ok_or("has no `request`")?;
    let url = text(request, "url").ok_or("has no `request.url`")?;
    let url = Url::parse(url).map_err(|error| format!("has a `request.url` that is none ({error})"))?;
    let empty = Json::Null;
    let response = entry.get("response").unwrap_or(&empty);
    let at = text(entry, "startedDateTime").and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let at = at.map_or(last, |at| at.as_microsecond() as f64 / 1000.0);
    let done = at + entry.get("time").and_then(Json::as_f64).unwrap_or_default().max(0.0);
    let (mut headers, mut cookies) = (pairs(request, "headers"), pairs(request, "cookies"));
    // The header has values as they were sent; lists of cookies may be decoded.
    if let Some(sent) = first(&headers, "cookie") {
        cookies = sent.split("; ").filter_map(assignment).collect();
    }
    // HTTP/2 has names that begin with a colon.
    headers.retain(|(name, _)| !name.starts_with(':') && !name.eq_ignore_ascii_case("cookie"));
    let mut answer_headers = pairs(response, "headers");
    let set = answer_headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let lines = set.flat_map(|(_, value)| value.lines());
    let mut set_cookies: Pairs =
        lines.filter_map(|line| assignment(line.split(';').next().unwrap_or_default())).collect();
    if set_cookies.is_empty() {
        set_cookies = pairs(response, "cookies");
    }
    answer_headers.retain(|(name, _)| !name.eq_ignore_ascii_case("set-cookie"));
    let status = response.get("status").and_then(Json::as_u64).and_then(|status| u16::try_from(status).ok());
    let content = response.get("content").unwrap_or(&empty);
    let answer = text(content, "text").map(|body| match text(content, "encoding") {
        Some("base64") => decoded(body),
        _ => body.to_owned(),
    });
    let is_socket = entry.get("_webSocketMessages").is_some()
        || text(entry, "_resourceType") == Some("websocket")
        || matches!(url.scheme(), "ws" | "wss")
        || first(&headers, "upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    Ok(Entry {
        number,
        at,
        done,
        method: text(request, "method").unwrap_or("GET").to_uppercase(),
        url,
        cookies,
        body: body(request),
        headers,
        status: status.unwrap_or_default(),
        answer_headers,
        set_cookies,
        answer,
        messages: is_socket.then(|| messages(entry, at)),
    })
}

fn text<'a>(node: &'a Json, key: &str) -> Option<&'a str> {
    node.get(key)?.as_str()
}

/// A list of `{ name, value }`.
fn pairs(node: &Json, key: &str) -> Pairs {
    let list = node.get(key).and_then(Json::as_array).into_iter().flatten();
    list.filter_map(|pair| Some((text(pair, "name")?.to_owned(), text(pair, "value")?.to_owned()))).collect()
}

fn assignment(text: &str) -> Option<(String, String)> {
    let (name, value) = text.trim().split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}

fn body(request: &Json) -> Option<Body> {
    let data = request.get("postData")?;
    let kind = text(data, "mimeType").unwrap_or_default().to_owned();
    let written = text(data, "text").unwrap_or_default();
    if kind.contains("form-urlencoded") {
        // `params` are decoded by some browsers and not by others.
        let fields: Pairs = match written {
            "" => pairs(data, "params"),
            written => url::form_urlencoded::parse(written.as_bytes()).into_owned().collect(),
        };
        return Some(Body::Form(fields));
    }
    match serde_json::from_str(written) {
        Ok(json @ (Json::Object(_) | Json::Array(_))) => Some(Body::Json(json)),
        _ if written.is_empty() => None,
        _ => Some(Body::Text(kind, written.to_owned())),
    }
}

fn messages(entry: &Json, at: f64) -> Vec<Message> {
    let list = entry.get("_webSocketMessages").and_then(Json::as_array).into_iter().flatten();
    let mut last = at;
    let mut messages = Vec::new();
    for (number, message) in (1..).zip(list) {
        // Control frames (RFC 6455, section 11.8: 8 and above) are the browser's business.
        let opcode = message.get("opcode").and_then(Json::as_u64).unwrap_or(1);
        let (1 | 2, Some(data)) = (opcode, text(message, "data")) else { continue };
        last = message.get("time").and_then(Json::as_f64).map_or(last, |seconds| seconds * 1000.0);
        let binary = opcode == 2;
        messages.push(Message {
            number,
            sent: text(message, "type") == Some("send"),
            at: last,
            binary,
            text: if binary { decoded(data) } else { data.to_owned() },
        });
    }
    messages
}

fn decoded(base64: &str) -> String {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(text: &[u8]) -> String {
        read(text).expect_err("refused").cause
    }

    #[test]
    fn what_is_no_export_is_refused_with_its_place() {
        for (text, expected) in [
            (&b""[..], "is empty"),
            (b" \n", "is empty"),
            (b"hello", "is not JSON (line 1, column 1): expected value"),
            (b"{\"log\": {\n\"entries\": [", "ends too early (line 2, column 12): it was cut off"),
            (b"{}", "is JSON, but no HAR: it has no `log.entries`"),
            (b"[1]", "is JSON, but no HAR: it has no `log.entries`"),
            (b"{\"log\":{\"entries\":{}}}", "has a `log.entries` that is no list"),
            (b"{\"log\":{\"entries\":[]}}", "has no entries: nothing was recorded"),
            (
                b"{\"log\":{\"entries\":[{}]}}",
                "has no entry that can be used: entry 1 has no `request`, and was passed over",
            ),
        ] {
            assert_eq!(cause(text), expected, "{}", String::from_utf8_lossy(text));
        }
        assert!(cause(&b"[".repeat(10_000)).contains("recursion limit"), "{}", cause(&b"[".repeat(10_000)));
    }

    #[test]
    fn an_entry_that_lacks_something_is_read_or_told() {
        let text = r#"{"log":{"entries":[
            {"request":{}}, {"request":{"url":"not one"}}, 7,
            {"request":{"url":"http://h/a"},"response":{"status":"odd","headers":[{"name":"x"}]}},
            {"request":{"url":"ws://h/ws"},"_webSocketMessages":[{"type":"send"},{"data":"x","opcode":8},{"data":"y"}]}
        ]}}"#;
        let with_mark = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        let export = read(&with_mark).expect("an export");
        assert_eq!(
            export.flaws,
            [
                "entry 1 has no `request.url`, and was passed over",
                "entry 2 has a `request.url` that is none (relative URL without a base), and was passed over",
                "entry 3 has no `request`, and was passed over",
            ]
        );
        let [plain, socket] = &export.entries[..] else { panic!("two entries") };
        assert_eq!((plain.number, plain.method.as_str(), plain.status), (4, "GET", 0));
        let messages = socket.messages.as_ref().expect("a socket");
        assert_eq!(messages.iter().map(|m| (m.number, m.sent, m.text.as_str())).collect::<Vec<_>>(), [(3, false, "y")]);
    }

    #[test]
    fn cookies_and_bodies_are_read_as_they_were_sent() {
        let text = r#"{"log":{"entries":[{"startedDateTime":"2026-01-02T03:04:05.678Z","time":5,
            "request":{"method":"post","url":"http://h/login","headers":[{"name":"Cookie","value":"a=\"1=2\"; b=3"}],
                "postData":{"mimeType":"application/x-www-form-urlencoded","text":"u=a%40b&p=x+y"}},
            "response":{"status":302,"headers":[{"name":"Set-Cookie","value":"s=1|2; Path=/\nt=3"}],
                "content":{"text":"aGk=","encoding":"base64"}}}]}}"#;
        let export = read(text.as_bytes()).expect("an export");
        let entry = &export.entries[0];
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(entry.cookies, [pair("a", "\"1=2\""), pair("b", "3")]);
        assert_eq!(entry.set_cookies, [pair("s", "1|2"), pair("t", "3")]);
        assert_eq!((entry.done - entry.at, entry.answer.as_deref()), (5.0, Some("hi")));
        assert!(matches!(&entry.body, Some(Body::Form(fields)) if *fields == [pair("u", "a@b"), pair("p", "x y")]));
    }
}
