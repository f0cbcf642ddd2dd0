//! Who may come in: accounts, token bundles, refreshes, tickets.
//!
//! Accounts live as long as the process. HTTP status codes are not its business, and neither is where a token stood.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::jwt::{self, AUDIENCE, Claims, ISSUER, Refusal, Signer, TokenType};
use super::{hex, lock, random_bytes};

/// The password that lets any email in under [`Accounts::default`].
pub const DEFAULT_PASSWORD: &str = "golden-path";

/// Life of a refresh token.
const REFRESH_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Spent token ids and tickets are swept when this many have gathered, and again whenever their number has doubled.
const SWEEP_FROM: usize = 1024;

/// Who may log in. Whoever registers over HTTP may as well, with the password given there.
#[derive(Clone, PartialEq, Eq)]
pub enum Accounts {
    /// Any email not registered otherwise, with this one password; the account is made at the first login.
    Shared {
        /// The password of them all.
        password: String,
    },
    /// Only these.
    Fixed(Vec<Credentials>),
}

impl Default for Accounts {
    fn default() -> Accounts {
        Accounts::Shared { password: DEFAULT_PASSWORD.to_owned() }
    }
}

/// Passwords do not belong into logs.
impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Accounts::Shared { .. } => f.write_str("Shared"),
            Accounts::Fixed(accounts) => write!(f, "Fixed({} accounts)", accounts.len()),
        }
    }
}

/// An account known from the start.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Compared exactly, upper and lower case included.
    pub email: String,
    /// In clear; only a keyed digest is kept.
    pub password: String,
}

/// A user as tokens name one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) id: Arc<str>,
    pub(super) email: Arc<str>,
}

/// A single-use or repeatable pass for the socket, in place of a token.
#[derive(Debug, Clone)]
struct Ticket {
    user: User,
    expires: Instant,
    single_use: bool,
}

#[derive(Debug)]
struct Account {
    digest: [u8; 32],
    name: Option<String>,
}

#[derive(Debug)]
pub(super) struct Authority {
    policy: Accounts,
    lifetime_s: u64,
    signer: Signer,
    accounts: Mutex<HashMap<String, Account>>,
    /// Ids of tokens that are no longer accepted, with the time they would have expired anyway.
    spent: Mutex<Swept<u64>>,
    tickets: Mutex<Swept<Ticket>>,
}

impl Authority {
    pub(super) fn new(policy: Accounts, token_lifetime: Duration, secret: [u8; 32]) -> Authority {
        let authority = Authority {
            policy,
            lifetime_s: token_lifetime.as_secs(),
            signer: Signer::new(secret),
            accounts: Mutex::default(),
            spent: Mutex::new(Swept::new()),
            tickets: Mutex::new(Swept::new()),
        };
        if let Accounts::Fixed(known) = &authority.policy {
            for Credentials { email, password } in known {
                authority.register(email, password, None);
            }
        }
        authority
    }

    /// Makes an account; `None` if the email has one.
    pub(super) fn register(&self, email: &str, password: &str, name: Option<String>) -> Option<User> {
        let digest = self.digest(email, password);
        let mut accounts = lock(&self.accounts);
        if accounts.contains_key(email) {
            return None;
        }
        accounts.insert(email.to_owned(), Account { digest, name });
        Some(user(email))
    }

    /// The user, if email and password fit.
    pub(super) fn login(&self, email: &str, password: &str) -> Option<User> {
        let digest = self.digest(email, password);
        let mut accounts = lock(&self.accounts);
        match (accounts.get(email), &self.policy) {
            (Some(account), _) if account.digest == digest => {}
            (None, Accounts::Shared { password: shared }) if password == shared => {
                accounts.insert(email.to_owned(), Account { digest, name: None });
            }
            _ => return None,
        }
        Some(user(email))
    }

    /// Who an email is, whether it has logged in or not.
    pub(super) fn account(&self, email: &str) -> User {
        user(email)
    }

    /// An access token that expired a minute ago.
    pub(super) fn stale(&self, user: Option<&User>, now: u64) -> Value {
        let then = now.saturating_sub(self.lifetime_s + 60);
        user.map_or(Value::Null, |user| self.bundle(user, then)["access_token"].clone())
    }

    /// Fresh tokens, as the login replies with. The time is in seconds since 1970.
    pub(super) fn bundle(&self, user: &User, now: u64) -> Value {
        let sign = |token_type, lifetime_s| {
            self.signer.sign(&Claims {
                sub: user.id.to_string(),
                email: user.email.to_string(),
                token_type,
                iss: ISSUER.to_owned(),
                aud: AUDIENCE.to_owned(),
                iat: now,
                exp: now.saturating_add(lifetime_s),
                jti: secret_id(""),
            })
        };
        json!({
            "access_token": sign(TokenType::Access, self.lifetime_s),
            "refresh_token": sign(TokenType::Refresh, REFRESH_LIFETIME.as_secs()),
            "token_type": "Bearer",
            "expires_in": self.lifetime_s,
        })
    }

    /// What the login says about the user beside the tokens.
    pub(super) fn profile(&self, user: &User) -> Value {
        let mut profile = json!({ "id": &*user.id, "email": &*user.email });
        if let Some(name) = lock(&self.accounts).get(&*user.email).and_then(|account| account.name.clone()) {
            profile["name"] = name.into();
        }
        profile
    }

    /// The user of a refresh token, which is spent by that.
    pub(super) fn refresh(&self, token: &str, now: u64) -> Result<User, Refusal> {
        let claims = self.signer.verify(token, TokenType::Refresh, now)?;
        if !self.spend(&claims, now) {
            return Err(Refusal::Spent);
        }
        Ok(named(&claims))
    }

    /// The user of an access token.
    pub(super) fn admit(&self, token: &str, now: u64) -> Result<User, Refusal> {
        let claims = self.signer.verify(token, TokenType::Access, now)?;
        if lock(&self.spent).entries.contains_key(&claims.jti) {
            return Err(Refusal::Spent);
        }
        Ok(named(&claims))
    }

    /// Revokes an access token; one that would not be accepted anyway is left alone.
    pub(super) fn logout(&self, token: &str, now: u64) {
        if let Ok(claims) = self.signer.verify(token, TokenType::Access, now) {
            self.spend(&claims, now);
        }
    }

    /// A ticket for the socket, good for `ttl` from now.
    pub(super) fn issue_ticket(&self, user: User, ttl: Duration, single_use: bool, now: Instant) -> String {
        let id = secret_id("tk_");
        let ticket = Ticket { user, expires: now + ttl, single_use };
        lock(&self.tickets).insert(id.clone(), ticket, |ticket| ticket.expires > now);
        id
    }

    /// The user of a ticket, which is spent by that if it is good for one use.
    pub(super) fn redeem(&self, id: &str, now: Instant) -> Result<User, Refusal> {
        let mut tickets = lock(&self.tickets);
        let ticket = tickets.entries.get(id).cloned().ok_or(Refusal::Spent)?;
        if ticket.expires <= now {
            tickets.entries.remove(id);
            return Err(Refusal::Expired);
        }
        if ticket.single_use {
            tickets.entries.remove(id);
        }
        Ok(ticket.user)
    }

    /// False if it was spent before.
    fn spend(&self, claims: &Claims, now: u64) -> bool {
        lock(&self.spent).insert(claims.jti.clone(), claims.exp, |exp| *exp > now)
    }

    fn digest(&self, email: &str, password: &str) -> [u8; 32] {
        self.signer.digest(format!("{email}\0{password}").as_bytes())
    }
}

/// A map whose dead entries are thrown out now and then, so that it does not grow with time.
#[derive(Debug)]
struct Swept<T> {
    entries: HashMap<String, T>,
    sweep_at: usize,
}

impl<T> Swept<T> {
    fn new() -> Swept<T> {
        Swept { entries: HashMap::new(), sweep_at: SWEEP_FROM }
    }

    /// False if the key was there.
    fn insert(&mut self, key: String, value: T, alive: impl Fn(&T) -> bool) -> bool {
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|_, value| alive(value));
            self.sweep_at = (2 * self.entries.len()).max(SWEEP_FROM);
        }
        self.entries.insert(key, value).is_none()
    }
}

/// The user that a token names, whoever signed it and whenever; for doors that are open by a fault.
pub(super) fn named_in(token: &str) -> Option<User> {
    jwt::unverified(token).as_ref().map(named)
}

fn user(email: &str) -> User {
    User { id: user_id(email).into(), email: email.into() }
}

fn named(claims: &Claims) -> User {
    User { id: claims.sub.as_str().into(), email: claims.email.as_str().into() }
}

/// The same for an email on every start, so that a client may know it again; a hash, so that it tells nothing.
fn user_id(email: &str) -> String {
    let digest = Sha256::new().chain_update("goldenpath backend user:").chain_update(email).finalize();
    format!("u-{}", hex(&digest[..10]))
}

fn secret_id(prefix: &str) -> String {
    let bytes: [u8; 16] = random_bytes().expect("the system gave randomness at the start");
    format!("{prefix}{}", hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn authority(policy: Accounts) -> Authority {
        Authority::new(policy, Duration::from_secs(900), [1; 32])
    }

    fn token(authority: &Authority, user: &User, field: &str) -> String {
        authority.bundle(user, NOW)[field].as_str().unwrap().to_owned()
    }

    #[test]
    fn any_email_logs_in_with_the_shared_password_only() {
        let authority = authority(Accounts::default());
        let a = authority.login("a@example.com", DEFAULT_PASSWORD).unwrap();
        let b = authority.login("b@example.com", DEFAULT_PASSWORD).unwrap();
        assert_ne!(a.id, b.id);
        assert_eq!(authority.login("a@example.com", DEFAULT_PASSWORD).unwrap(), a);
        assert_eq!(authority.login("a@example.com", "wrong"), None);
        assert_eq!(authority.login("c@example.com", ""), None);
    }

    #[test]
    fn a_registered_account_has_its_own_password() {
        let authority = authority(Accounts::default());
        let a = authority.register("a@example.com", "mine", Some("Ann".to_owned())).unwrap();
        assert_eq!(authority.register("a@example.com", "mine", None), None);
        assert_eq!(authority.login("a@example.com", DEFAULT_PASSWORD), None);
        assert_eq!(authority.login("a@example.com", "mine").unwrap(), a);
        assert_eq!(authority.profile(&a), json!({"id": &*a.id, "email": "a@example.com", "name": "Ann"}));
    }

    #[test]
    fn fixed_accounts_let_nobody_else_in() {
        let known = Credentials { email: "a@example.com".to_owned(), password: "x".to_owned() };
        let authority = authority(Accounts::Fixed(vec![known]));
        assert!(authority.login("a@example.com", "x").is_some());
        assert!(authority.login("b@example.com", "x").is_none());
        assert!(authority.login("b@example.com", DEFAULT_PASSWORD).is_none());
    }

    #[test]
    fn the_user_id_is_the_same_on_every_start() {
        assert_eq!(user_id("a@example.com"), user_id("a@example.com"));
        assert_eq!(user_id("a@example.com").len(), 22);
        assert_ne!(user_id("u1@a.example"), user_id("u1@b.example"));
    }

    #[test]
    fn a_refresh_token_works_once_and_is_no_access_token() {
        let authority = authority(Accounts::default());
        let user = user("a@example.com");
        let refresh = token(&authority, &user, "refresh_token");
        assert_eq!(authority.admit(&refresh, NOW), Err(Refusal::Type));
        assert_eq!(authority.refresh(&refresh, NOW), Ok(user.clone()));
        assert_eq!(authority.refresh(&refresh, NOW), Err(Refusal::Spent));
        let access = token(&authority, &user, "access_token");
        assert_eq!(authority.refresh(&access, NOW), Err(Refusal::Type));
    }

    #[test]
    fn logout_revokes_that_token_and_no_other() {
        let authority = authority(Accounts::default());
        let user = user("a@example.com");
        let (first, second) = (token(&authority, &user, "access_token"), token(&authority, &user, "access_token"));
        authority.logout(&first, NOW);
        assert_eq!(authority.admit(&first, NOW), Err(Refusal::Spent));
        assert_eq!(authority.admit(&second, NOW), Ok(user));
        assert_eq!(authority.admit(&second, NOW + 900), Err(Refusal::Expired));
    }

    #[test]
    fn a_ticket_dies_by_use_or_by_age() {
        let authority = authority(Accounts::default());
        let user = user("a@example.com");
        let now = Instant::now();
        let ttl = Duration::from_secs(30);
        let single = authority.issue_ticket(user.clone(), ttl, true, now);
        assert_eq!(authority.redeem(&single, now), Ok(user.clone()));
        assert_eq!(authority.redeem(&single, now), Err(Refusal::Spent));
        let repeatable = authority.issue_ticket(user.clone(), ttl, false, now);
        assert_eq!(authority.redeem(&repeatable, now), Ok(user.clone()));
        assert_eq!(authority.redeem(&repeatable, now), Ok(user));
        assert_eq!(authority.redeem(&repeatable, now + ttl), Err(Refusal::Expired));
        assert_eq!(authority.redeem("tk_unknown", now), Err(Refusal::Spent));
    }

    #[test]
    fn spent_entries_are_swept_when_they_would_have_expired() {
        let mut swept = Swept::new();
        for index in 0..SWEEP_FROM {
            assert!(swept.insert(index.to_string(), index, |_| true));
        }
        assert!(swept.insert("new".to_owned(), SWEEP_FROM, |value| value % 2 == 0));
        assert_eq!(swept.entries.len(), SWEEP_FROM / 2 + 1);
        assert!(!swept.insert("0".to_owned(), 0, |_| true));
    }
}
