//! From an HTTP request to a WebSocket (RFC 6455 section 4.2): the checks, where the token may stand, the reply.
//!
//! A bad token is refused here with a status and a reason, before there is a socket. A request without any token goes
//! on: its first message must bring one, which is `socket`'s business. No extension is ever negotiated.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::header::{
    AUTHORIZATION, CONNECTION, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::agent::Ending;
use super::auth::User;
use super::fault::{Chance, Fault, Strikes};
use super::jwt::Refusal;
use super::routes::{Problem, bearer};
use super::{Backend, socket};

/// A message may exceed our limit by this before it ends the connection instead of being answered.
const LARGEST_READ_BYTES: usize = 1 << 20;

/// Frames that wait for a socket; more than one frame never does, and the largest one is a fault's.
const LARGEST_WRITE_BYTES: usize = 4 << 20;

/// Where a token was found.
#[derive(Debug, PartialEq, Eq)]
enum Carrier {
    Token(String),
    Ticket(String),
    /// None: the first message must bring the token.
    Nothing,
}

/// What is said while nobody may connect.
const BREAKER: &str = "too many failed authentications";

/// The handler of `/ws`.
pub(super) async fn upgrade(State(backend): State<Arc<Backend>>, mut request: Request) -> Response {
    let (mut accept, mut protocol, user) = match welcome(&backend, request.headers(), request.uri()) {
        Ok(welcome) => welcome,
        Err(problem) => {
            if backend.refuses_badly(Fault::RefusalDisturbs).is_some() {
                let ending = Ending::Close { code: 1008, reason: "authentication is suspended" };
                backend.delivery.evict(0, ending).await;
            }
            return problem.into_response();
        }
    };
    let chance = Chance { email: user.as_ref().map(|user| &*user.email), ..Chance::default() };
    if backend.faults.is_tripped(Instant::now()) {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, BREAKER).into_response();
    }
    let mut named = None;
    for spec in backend.faults.strike_all(Strikes::Upgrade, &chance) {
        if spec.fault == Fault::LeakUpgrade {
            named = user.as_ref().and_then(|user| backend.faults.came_after(&user.id));
            if named.is_none() {
                continue;
            }
        }
        backend.struck(spec, user.as_ref());
        match spec.fault {
            Fault::UpgradeForbidden => {
                return Problem::new(StatusCode::FORBIDDEN, "Forbidden").into_response();
            }
            Fault::UpgradeUnavailable => {
                return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no healthy upstream").into_response();
            }
            Fault::UpgradeBreaker => {
                backend.faults.trip(Instant::now() + spec.by);
                return Problem::new(StatusCode::SERVICE_UNAVAILABLE, BREAKER).into_response();
            }
            Fault::UpgradeHang => {
                return backend.never().await;
            }
            Fault::UpgradeSlow => tokio::time::sleep(spec.by).await,
            Fault::UpgradeWrongKey => accept = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            Fault::NoSubprotocol => protocol = None,
            Fault::LeakUpgrade => {}
            Fault::OtherSubprotocol => protocol = Some(HeaderValue::from_static("graphql-ws")),
            other => unreachable!("{other:?} does not strike an upgrade"),
        }
    }
    let pending = hyper::upgrade::on(&mut request);
    let open = Open::new(Arc::clone(&backend));
    tokio::spawn(async move {
        let _open = open;
        // A client that went away during the handshake is nobody's problem.
        let Ok(upgraded) = pending.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
            unreachable!("we serve plain TCP and nothing else")
        };
        let limits = &backend.options.limits;
        let config = WebSocketConfig::default()
            .read_buffer_size(4 << 10)
            .write_buffer_size(0)
            .max_write_buffer_size(LARGEST_WRITE_BYTES)
            .max_message_size(Some(limits.message_bytes.saturating_add(LARGEST_READ_BYTES)))
            .max_frame_size(Some(limits.message_bytes.saturating_add(LARGEST_READ_BYTES)));
        let read_ahead = parts.read_buf.to_vec();
        let stream = parts.io.into_inner();
        let websocket = WebSocketStream::from_partially_read(stream, read_ahead, Role::Server, Some(config)).await;
        socket::converse(backend, websocket, user).await;
    });

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    if let Some(named) = named.and_then(|id| HeaderValue::from_str(&id).ok()) {
        headers.insert(HeaderName::from_static("x-user-id"), named);
    }
    response
}

/// Counts a connection as open until it is dropped.
struct Open {
    backend: Arc<Backend>,
}

impl Open {
    fn new(backend: Arc<Backend>) -> Open {
        backend.open.send_modify(|count| *count += 1);
        Open { backend }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.backend.open.send_modify(|count| *count -= 1);
    }
}

type Welcome = (HeaderValue, Option<HeaderValue>, Option<User>);

/// The accept key, the protocol to echo and the user (none: still to come), or why not.
fn welcome(backend: &Backend, headers: &HeaderMap, uri: &Uri) -> Result<Welcome, Problem> {
    let key = handshake_key(headers)?;
    if !backend.is_serving() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "server is shutting down"));
    }
    if !is_known(headers, &backend.options.origins) && backend.refuses_badly(Fault::OpenDoorOrigin).is_none() {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Origin not allowed"));
    }
    let offered = offered_protocols(headers);
    let user = match carrier(headers, &offered, uri).map_err(Problem::from)? {
        Carrier::Token(token) => Some(backend.admit(&token).map_err(|refusal| {
            let tells = backend.refuses_badly(Fault::RefusalTells).is_some();
            if tells { Problem::new(StatusCode::UNAUTHORIZED, &format!("{refusal}: {token}")) } else { refusal.into() }
        })?),
        Carrier::Ticket(ticket) => Some(backend.authority.redeem(&ticket, Instant::now())?),
        Carrier::Nothing => backend.open_door(Refusal::Missing, ""),
    };
    let header =
        |text: &str| HeaderValue::from_str(text).map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "malformed header"));
    Ok((header(&derive_accept_key(key.as_bytes()))?, echo(&offered).map(header).transpose()?, user))
}

/// Whether a page of one of these origins asks, where there are any.
fn is_known(headers: &HeaderMap, origins: &[String]) -> bool {
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    origins.is_empty() || origin.is_some_and(|origin| origins.iter().any(|known| known == origin))
}

fn handshake_key(headers: &HeaderMap) -> Result<&str, Problem> {
    let names = |name: HeaderName, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
    };
    if !names(UPGRADE, "websocket") || !names(CONNECTION, "upgrade") {
        return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket endpoint"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "WebSocket version 13 is required"));
    }
    headers
        .get(SEC_WEBSOCKET_KEY)
        .and_then(|key| key.to_str().ok())
        .filter(|key| STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16))
        .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing or malformed"))
}

fn offered_protocols(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|protocol| !protocol.is_empty())
        .collect()
}

/// Header before subprotocol before query: the order in which proxies are least likely to have meddled.
fn carrier(headers: &HeaderMap, offered: &[&str], uri: &Uri) -> Result<Carrier, Refusal> {
    if headers.contains_key(AUTHORIZATION) {
        return Ok(Carrier::Token(bearer(headers)?.to_owned()));
    }
    if let Some(token) = offered.iter().find_map(|protocol| protocol_token(protocol)) {
        return Ok(Carrier::Token(token?));
    }
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| Refusal::Malformed)?;
    for (name, value) in query {
        match name.as_str() {
            "token" | "jwt" | "auth_token" | "access_token" => return Ok(Carrier::Token(value)),
            "ticket" | "auth_ticket" | "ticket_id" => return Ok(Carrier::Ticket(value)),
            _ => {}
        }
    }
    Ok(Carrier::Nothing)
}

/// The token in a subprotocol, if that is what it is for. `jwt.` may be followed by the token itself, which has dots,
/// or by its base64url form, which has none.
fn protocol_token(protocol: &str) -> Option<Result<String, Refusal>> {
    if let Some(token) = protocol.strip_prefix("jwt-auth.").or_else(|| protocol.strip_prefix("bearer.")) {
        return Some(Ok(token.to_owned()));
    }
    let token = protocol.strip_prefix("jwt.")?;
    if token.contains('.') {
        return Some(Ok(token.to_owned()));
    }
    let decoded =
        URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Some(decoded.ok_or(Refusal::Malformed))
}

/// The subprotocol selected: the plain name if it was offered beside the token, else the token's own. RFC 6455 section
/// 4.2.2 allows nothing that was not offered.
fn echo<'a>(offered: &[&'a str]) -> Option<&'a str> {
    let plain = offered.iter().find(|protocol| ["jwt-auth", "bearer"].contains(protocol));
    plain.or_else(|| offered.iter().find(|protocol| protocol_token(protocol).is_some())).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(protocols: &str) -> HeaderMap {
        HeaderMap::from_iter([(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(protocols).unwrap())])
    }

    #[test]
    fn a_token_is_found_in_every_subprotocol_form_and_only_an_offered_one_is_echoed() {
        for (protocols, token, echoed) in [
            ("jwt-auth, jwt.YS5iLmM", "a.b.c", "jwt-auth"),
            ("jwt.YS5iLmM, jwt-auth", "a.b.c", "jwt-auth"),
            ("jwt.a.b.c", "a.b.c", "jwt.a.b.c"),
            ("chat, bearer, bearer.a.b.c", "a.b.c", "bearer"),
            ("jwt-auth.a.b.c", "a.b.c", "jwt-auth.a.b.c"),
        ] {
            let headers = headers(protocols);
            let offered = offered_protocols(&headers);
            let found = carrier(&headers, &offered, &Uri::from_static("/ws")).unwrap();
            assert_eq!(found, Carrier::Token(token.to_owned()), "{protocols}");
            assert_eq!(echo(&offered), Some(echoed), "{protocols}");
        }
        assert_eq!(echo(&["chat"]), None);
    }

    #[test]
    fn a_query_carries_tokens_and_tickets_and_a_header_goes_before_it() {
        let none = HeaderMap::new();
        let find = |headers: &HeaderMap, uri: &'static str| carrier(headers, &[], &Uri::from_static(uri));
        assert_eq!(find(&none, "/ws?token=a.b.c"), Ok(Carrier::Token("a.b.c".to_owned())));
        assert_eq!(find(&none, "/ws?x=1&ticket=tk_1"), Ok(Carrier::Ticket("tk_1".to_owned())));
        assert_eq!(find(&none, "/ws?x=1"), Ok(Carrier::Nothing));
        let header = |value| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
        assert_eq!(find(&header("Bearer h"), "/ws?token=a.b.c"), Ok(Carrier::Token("h".to_owned())));
        assert_eq!(find(&header("Basic h"), "/ws?token=a.b.c"), Err(Refusal::Malformed));
    }
}
