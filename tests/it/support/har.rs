//! What a site was sent, as a browser would have exported it (HAR 1.2, and `_webSocketMessages` as Chrome writes them).
//!
//! Written from how browsers export, with nothing of the harness; there is more in it than anybody needs, as in real exports.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::{Value, json};

use super::site::{Call, Served};

/// What is exported.
#[derive(Debug, Clone, Copy, Default)]
pub struct Export {
    /// Without cookies and authorization headers.
    pub sanitised: bool,
    /// Without the messages of sockets.
    pub silent: bool,
    /// Frames of the server are binary.
    pub binary: bool,
}

/// The export of everything that a site was sent.
pub fn of(site: &Served, export: Export) -> String {
    let address = site.address().to_string();
    let mut entries: Vec<Value> = vec![asset(&address, "/app.js"), preflight(&address)];
    entries.extend(site.calls().iter().map(|call| entry(&address, call, export)));
    entries.push(asset(&address, "/favicon.ico"));
    let har = json!({"log": {
        "version": "1.2", "creator": {"name": "WebInspector", "version": "537.36"}, "pages": [], "entries": entries,
    }});
    // A person types no marks.
    let mark = Regex::new(r"( |\+)\(ref gp0zl1[0-9a-z]{29}\)").expect("a pattern");
    mark.replace_all(&har.to_string(), "").into_owned()
}

/// The time of a tick.
fn stamp(tick: u64) -> String {
    format!("2026-01-02T03:{:02}:{:02}.{:03}Z", 4 + tick / 60_000, tick / 1000 % 60, tick % 1000)
}

fn asset(address: &str, path: &str) -> Value {
    json!({
        "startedDateTime": stamp(0), "time": 3.1, "_resourceType": "script",
        "request": {"method": "GET", "url": format!("http://{address}{path}"), "headers": [], "cookies": []},
        "response": {"status": 200, "headers": [], "cookies": [], "content": {"mimeType": "text/javascript", "text": "1"}},
    })
}

fn preflight(address: &str) -> Value {
    json!({
        "startedDateTime": stamp(0), "time": 0.4,
        "request": {"method": "OPTIONS", "url": format!("http://{address}/"), "headers": []},
        "response": {"status": 204, "headers": [], "content": {}},
    })
}

fn entry(address: &str, call: &Call, export: Export) -> Value {
    let mut words = call.head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let socket = call.status == 101;
    let scheme = if socket { "ws" } else { "http" };
    let mut headers = lines(&call.head);
    let hidden = ["cookie", "authorization"];
    headers.retain(|(name, _)| !export.sanitised || !hidden.contains(&name.to_lowercase().as_str()));
    headers.push(("User-Agent".to_owned(), "Mozilla/5.0".to_owned()));
    headers.push(("sec-ch-ua-platform".to_owned(), "\"Linux\"".to_owned()));
    let kind = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, kind)| kind.clone());
    let mut answer = lines(&format!("\r\n{}", call.lines));
    answer.retain(|(name, _)| !export.sanitised || !name.eq_ignore_ascii_case("set-cookie"));
    let mut entry = json!({
        "startedDateTime": stamp(call.begun),
        "time": call.done - call.begun,
        "request": {
            "method": method, "url": format!("{scheme}://{address}{path}"), "httpVersion": "HTTP/1.1",
            "headers": named(&headers), "queryString": [], "cookies": [],
        },
        "response": {
            "status": call.status, "statusText": "", "headers": named(&answer), "cookies": [],
            "content": {"size": call.answer.len(), "mimeType": "application/json", "text": call.answer},
            "redirectURL": "",
        },
    });
    if !call.body.is_empty() {
        entry["request"]["postData"] = json!({"mimeType": kind.unwrap_or_default(), "text": call.body});
    }
    if socket {
        entry["_resourceType"] = json!("websocket");
    }
    if socket && !export.silent {
        let frames = call.frames.iter().map(|(sent, tick, text)| {
            let kind = if *sent { "send" } else { "receive" };
            let binary = export.binary && !sent;
            let data = if binary { STANDARD.encode(text) } else { text.clone() };
            let opcode = if binary { 2 } else { 1 };
            // 2026-01-02T03:04:00Z, in seconds.
            json!({"type": kind, "time": 1_767_323_040.0 + *tick as f64 / 1000.0, "opcode": opcode, "data": data})
        });
        entry["_webSocketMessages"] = frames.collect();
    }
    entry
}

/// Header lines behind the first line.
fn lines(head: &str) -> Vec<(String, String)> {
    let pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn named(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}
