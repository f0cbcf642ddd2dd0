//! The HTTP routes: login and its relatives, threads, tickets, health.
//!
//! Statuses and JSON shapes are decided here; who may do what is decided in `auth` and `threads`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::auth::User;
use super::fault::{Chance, Fault, Strikes};
use super::journal::Outcome;
use super::jwt::Refusal;
use super::threads::Page;
use super::{Backend, unix_seconds, upgrade};

/// Largest HTTP body, in bytes.
const LARGEST_BODY: usize = 64 << 10;

/// Messages or threads on a page that asks for no number.
const PAGE_LIMIT: usize = 50;

/// Messages or threads that one page may have.
const LARGEST_PAGE: usize = 100;

/// Life of a ticket that asks for none, and the lives that may be asked for, in seconds.
const TICKET_TTL_S: u64 = 300;
const TICKET_TTL_RANGE_S: std::ops::RangeInclusive<u64> = 30..=3600;

type Reply = Result<Json<Value>, Problem>;
type Shared = State<Arc<Backend>>;

pub(super) fn router(backend: Arc<Backend>) -> Router {
    Router::new()
        .route("/auth/register", post(register))
        .route("/auth/login", post(login))
        .route("/auth/refresh", post(refresh))
        .route("/auth/logout", post(logout))
        .route("/health", get(health))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/api/threads", get(list_threads).post(create_thread))
        .route("/api/threads/{id}", get(show_thread).delete(delete_thread))
        .route("/api/threads/{id}/messages", get(list_messages))
        .route("/websocket/ticket", post(ticket))
        .route("/api/websocket/ticket", post(ticket))
        .route("/ws", get(upgrade::upgrade))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "Not Found") })
        .method_not_allowed_fallback(|| async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(backend)
}

/// A refusal over HTTP: a status and `{"detail": ...}`.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    body: Value,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: &str) -> Problem {
        Problem { status, body: json!({ "detail": detail }) }
    }

    /// 422 in the words of the field that is at fault.
    fn field(name: &str, message: &str) -> Problem {
        let detail = json!([{ "loc": ["body", name], "msg": message, "type": "value_error" }]);
        Problem { status: StatusCode::UNPROCESSABLE_ENTITY, body: json!({ "detail": detail }) }
    }

    fn no_thread() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "Thread not found")
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let body = json!({ "detail": refusal.to_string(), "error_code": refusal.code() });
        Problem { status: StatusCode::UNAUTHORIZED, body }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let challenge = (self.status == StatusCode::UNAUTHORIZED).then_some([(WWW_AUTHENTICATE, "Bearer")]);
        (self.status, challenge, Json(self.body)).into_response()
    }
}

/// The token of the `Authorization` header.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let value = headers.get(AUTHORIZATION).ok_or(Refusal::Missing)?.to_str().map_err(|_| Refusal::Malformed)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Refusal::Malformed),
    }
}

fn caller(backend: &Backend, headers: &HeaderMap) -> Result<User, Problem> {
    Ok(backend.admit(bearer(headers)?)?)
}

async fn register(State(backend): Shared, body: Bytes) -> Reply {
    let body = object(&body)?;
    let (email, password) = (email(&body)?, text(&body, "password")?);
    let name = body.get("name").and_then(Value::as_str).map(str::to_owned);
    let Some(user) = backend.authority.register(email, password, name) else {
        return Err(Problem::new(StatusCode::CONFLICT, "An account with this email already exists"));
    };
    Ok(Json(bundle_with_user(&backend, &user)))
}

async fn login(State(backend): Shared, body: Bytes) -> Response {
    if backend.faults.any() {
        return login_badly(&backend, &body).await;
    }
    logged_in(&backend, &body).into_response()
}

/// A login as the faults say that strike it.
async fn login_badly(backend: &Backend, body: &[u8]) -> Response {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let address = parsed["email"].as_str();
    let user = address.map(|email| backend.authority.account(email));
    let chance = Chance { email: address, ..Chance::default() };
    let mut reply = None;
    for spec in backend.faults.strike_all(Strikes::Login, &chance) {
        backend.struck(spec, user.as_ref());
        match spec.fault {
            Fault::LoginError => reply = Some(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")),
            Fault::LoginRefused => reply = Some(Problem::new(StatusCode::UNAUTHORIZED, "Invalid credentials")),
            Fault::LoginInside => {
                reply = Some(Problem { status: StatusCode::OK, body: json!({ "error": "database is unavailable" }) });
            }
            Fault::LoginLimited => {
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
                return ([(RETRY_AFTER, "1")], problem).into_response();
            }
            Fault::LoginSlow => tokio::time::sleep(spec.by).await,
            Fault::LoginHang => {
                return backend.never().await;
            }
            Fault::TokenExpired | Fault::TokenForeign | Fault::IdentityCollapse => {
                let Ok(Json(mut bundle)) = logged_in(backend, body) else { continue };
                let collapsed = User { id: "demo-user-001".into(), email: address.unwrap_or_default().into() };
                match spec.fault {
                    Fault::IdentityCollapse => bundle = bundle_with_user(backend, &collapsed),
                    // As a service would sign it that has another secret.
                    Fault::TokenForeign => bundle["access_token"] = forged(&bundle["access_token"]),
                    _ => bundle["access_token"] = backend.authority.stale(user.as_ref(), unix_seconds()),
                }
                return Json(bundle).into_response();
            }
            other => unreachable!("{other:?} does not strike a login"),
        }
    }
    match reply {
        Some(problem) => problem.into_response(),
        None => logged_in(backend, body).into_response(),
    }
}

/// The token with its signature reversed.
fn forged(token: &Value) -> Value {
    let token = token.as_str().unwrap_or_default();
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    format!("{signed}.{}", signature.chars().rev().collect::<String>()).into()
}

fn logged_in(backend: &Backend, body: &[u8]) -> Reply {
    let body = object(body)?;
    let (email, password) = (email(&body)?, text(&body, "password")?);
    let user = backend.authority.login(email, password);
    if let Some(journal) = &backend.journal {
        let kind = if user.is_some() { "login" } else { "login_refused" };
        let user_id = user.as_ref().map(|user| Arc::clone(&user.id));
        let pending = journal.begin(None, user_id, None, kind, json!({ "email": email }).to_string().into());
        journal.settle(pending, Outcome::Sent);
    }
    let Some(user) = user else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "Invalid credentials"));
    };
    Ok(Json(bundle_with_user(backend, &user)))
}

async fn refresh(State(backend): Shared, body: Bytes) -> Reply {
    let body = object(&body)?;
    let token = ["refresh_token", "refreshToken", "token"].iter().find_map(|name| body.get(name)?.as_str());
    let token = token.ok_or_else(|| Problem::field("refresh_token", "Field required"))?;
    let now = unix_seconds();
    let user = backend.refresh(token, now);
    if let Some(journal) = &backend.journal {
        let kind = if user.is_ok() { "refresh" } else { "refresh_refused" };
        let user_id = user.as_ref().ok().map(|user| Arc::clone(&user.id));
        journal.settle(journal.begin(None, user_id, None, kind, "{}".into()), Outcome::Sent);
    }
    Ok(Json(backend.authority.bundle(&user?, now)))
}

/// Always succeeds, as logging out of nothing is no mistake.
async fn logout(State(backend): Shared, headers: HeaderMap) -> Json<Value> {
    if let Ok(token) = bearer(&headers) {
        backend.authority.logout(token, unix_seconds());
    }
    Json(json!({ "status": "success", "message": "Logged out" }))
}

async fn health(State(backend): Shared) -> Json<Value> {
    Json(json!({ "status": "healthy", "service": "goldenpath-backend", "version": backend.options.version }))
}

async fn live() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

async fn ready(State(backend): Shared) -> Response {
    if let Some(spec) = backend.faults.strike(Fault::NotReady, &Chance::default()) {
        backend.struck(spec, None);
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "starting").into_response();
    }
    let (code, status) =
        if backend.is_serving() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "draining") };
    (code, Json(json!({ "status": status, "version": backend.options.version }))).into_response()
}

async fn create_thread(State(backend): Shared, headers: HeaderMap, body: Bytes) -> Reply {
    let user = caller(&backend, &headers)?;
    let body = if body.is_empty() { json!({}) } else { object(&body)? };
    let title = match body.get("title") {
        None | Some(Value::Null) => None,
        Some(Value::String(title)) => Some(title.clone()),
        Some(_) => return Err(Problem::field("title", "Input should be a string")),
    };
    let metadata = match body.get("metadata") {
        None | Some(Value::Null) => json!({}),
        Some(metadata @ Value::Object(_)) => metadata.clone(),
        Some(_) => return Err(Problem::field("metadata", "Input should be an object")),
    };
    Ok(Json(backend.threads.create(backend.ids.next("thread_").into(), &user.id, title, metadata)))
}

async fn list_threads(State(backend): Shared, headers: HeaderMap, query: Query<Vec<(String, String)>>) -> Reply {
    let user = caller(&backend, &headers)?;
    Ok(Json(backend.threads.list(&user.id, page(&query)?)))
}

async fn show_thread(State(backend): Shared, headers: HeaderMap, Path(id): Path<String>) -> Reply {
    let user = caller(&backend, &headers)?;
    backend.threads.describe(&id, &user.id).map(Json).ok_or_else(Problem::no_thread)
}

async fn delete_thread(State(backend): Shared, headers: HeaderMap, Path(id): Path<String>) -> Reply {
    let user = caller(&backend, &headers)?;
    if !backend.threads.delete(&id, &user.id) {
        return Err(Problem::no_thread());
    }
    Ok(Json(json!({ "id": id, "object": "thread.deleted", "deleted": true })))
}

async fn list_messages(
    State(backend): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
    query: Query<Vec<(String, String)>>,
) -> Reply {
    let user = caller(&backend, &headers)?;
    let (page, chance) = (page(&query)?, Chance { email: Some(&user.email), ..Chance::default() });
    let mut reader = Arc::clone(&user.id);
    if let Some(spec) = backend.faults.strike(Fault::OpenDoorHistory, &chance)
        && let Some(owner) = backend.threads.owner(&id).filter(|owner| *owner != user.id)
    {
        backend.struck(spec, Some(&user));
        reader = owner;
    }
    if let Some(spec) = backend.faults.strike(Fault::ErrorTells, &chance) {
        backend.struck(spec, Some(&user));
        let request = format!("failed to serve a request with headers {headers:?}");
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, &request));
    }
    let mut messages = backend.threads.messages(&id, &reader, page).ok_or_else(Problem::no_thread)?;
    if let Some(spec) = backend.faults.strike(Fault::HistoryLost, &chance) {
        backend.struck(spec, Some(&user));
        messages["messages"] = json!([]);
        messages["total"] = 0.into();
    }
    Ok(Json(messages))
}

async fn ticket(State(backend): Shared, headers: HeaderMap, body: Bytes) -> Reply {
    let user = caller(&backend, &headers)?;
    let body = if body.is_empty() { json!({}) } else { object(&body)? };
    let ttl_s = match body.get("ttl_seconds") {
        None | Some(Value::Null) => TICKET_TTL_S,
        Some(ttl) => ttl
            .as_u64()
            .filter(|ttl_s| TICKET_TTL_RANGE_S.contains(ttl_s))
            .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "ttl_seconds must be between 30 and 3600"))?,
    };
    let single_use = body.get("single_use").and_then(Value::as_bool).unwrap_or(true);
    let ticket = backend.authority.issue_ticket(user, Duration::from_secs(ttl_s), single_use, Instant::now());
    let created_at = unix_seconds() as f64;
    Ok(Json(json!({
        "ticket_id": ticket, "created_at": created_at, "expires_at": created_at + ttl_s as f64, "ttl_seconds": ttl_s,
        "single_use": single_use, "websocket_url": format!("ws://{}/ws?ticket={ticket}", backend.reachable()),
    })))
}

fn bundle_with_user(backend: &Backend, user: &User) -> Value {
    let mut bundle = backend.authority.bundle(user, unix_seconds());
    bundle["user"] = backend.authority.profile(user);
    bundle
}

fn object(body: &[u8]) -> Result<Value, Problem> {
    match serde_json::from_slice(body) {
        Ok(object @ Value::Object(_)) => Ok(object),
        _ => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the body must be a JSON object")),
    }
}

fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, Problem> {
    match body.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(Value::String(_)) => Err(Problem::field(name, "Field must not be empty")),
        Some(_) => Err(Problem::field(name, "Input should be a string")),
        None => Err(Problem::field(name, "Field required")),
    }
}

fn email(body: &Value) -> Result<&str, Problem> {
    let email = text(body, "email")?;
    match email.split_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !email.contains(char::is_whitespace) => {
            Ok(email)
        }
        _ => Err(Problem::field("email", "Input should be an email address")),
    }
}

fn page(query: &[(String, String)]) -> Result<Page, Problem> {
    let number = |name: &str, default: usize| match query.iter().find(|(key, _)| key == name) {
        None => Ok(default),
        Some((_, value)) => value.parse().map_err(|_| Problem::field(name, "Input should be a whole number")),
    };
    let (limit, offset) = (number("limit", PAGE_LIMIT)?, number("offset", 0)?);
    if limit == 0 || limit > LARGEST_PAGE {
        return Err(Problem::field("limit", "Input should be between 1 and 100"));
    }
    Ok(Page { limit, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_is_found_whatever_the_case_of_its_scheme() {
        let headers = |value: &'static str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(bearer(&headers("Bearer a.b")), Ok("a.b"));
        assert_eq!(bearer(&headers("bearer a.b")), Ok("a.b"));
        assert_eq!(bearer(&headers("Basic a.b")), Err(Refusal::Malformed));
        assert_eq!(bearer(&HeaderMap::new()), Err(Refusal::Missing));
    }

    #[test]
    fn a_page_has_1_to_100_entries() {
        let ask = |limit: &str| page(&[("limit".to_owned(), limit.to_owned())]).map(|page| page.limit).ok();
        assert_eq!([ask("1"), ask("100"), ask("0"), ask("101"), ask("x")], [Some(1), Some(100), None, None, None]);
        assert_eq!(page(&[]).unwrap(), Page { limit: 50, offset: 0 });
    }

    #[test]
    fn an_email_needs_two_sides() {
        for (text, fine) in [("a@b", true), ("a", false), ("@b", false), ("a@", false), ("a b@c", false)] {
            assert_eq!(email(&json!({ "email": text })).is_ok(), fine, "{text}");
        }
    }
}
