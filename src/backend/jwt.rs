//! JSON Web Tokens signed with HS256 (RFC 7515, RFC 7519, RFC 7518 section 3.2): sign and verify, nothing else.
//!
//! It knows no users and keeps no state; the time comes from outside.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

pub(super) const ISSUER: &str = "goldenpath-backend";
pub(super) const AUDIENCE: &str = "goldenpath-clients";

/// How far in the future `iat` may lie, for clocks that differ.
const SKEW_S: u64 = 60;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    pub(super) email: String,
    pub(super) token_type: TokenType,
    pub(super) iss: String,
    pub(super) aud: String,
    /// Seconds since 1970, like `exp`.
    pub(super) iat: u64,
    pub(super) exp: u64,
    pub(super) jti: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TokenType {
    Access,
    Refresh,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no token was given")]
    Missing,
    #[error("the token is malformed")]
    Malformed,
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is from the future")]
    Future,
    #[error("the token was issued by or for somebody else")]
    Foreign,
    #[error("the token is of another type")]
    Type,
    #[error("the token was revoked or used before")]
    Spent,
}

impl Refusal {
    /// The code that clients see.
    pub(super) fn code(self) -> &'static str {
        match self {
            Refusal::Missing => "NO_TOKEN",
            Refusal::Malformed => "INVALID_FORMAT",
            Refusal::Expired => "TOKEN_EXPIRED",
            Refusal::Algorithm
            | Refusal::Signature
            | Refusal::Future
            | Refusal::Foreign
            | Refusal::Type
            | Refusal::Spent => "VALIDATION_FAILED",
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// Signs and verifies with one secret.
pub(super) struct Signer {
    secret: [u8; 32],
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(..)")
    }
}

impl Signer {
    pub(super) fn new(secret: [u8; 32]) -> Signer {
        Signer { secret }
    }

    pub(super) fn sign(&self, claims: &Claims) -> String {
        let body = serde_json::to_vec(claims).expect("claims are plain strings and numbers");
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#), URL_SAFE_NO_PAD.encode(body));
        let signature = URL_SAFE_NO_PAD.encode(self.digest(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The claims, if the token is ours, intact, current at `now` (seconds since 1970) and of type `expected`.
    pub(super) fn verify(&self, token: &str, expected: TokenType, now: u64) -> Result<Claims, Refusal> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, body) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        let header: Header = decode(header)?;
        if header.alg != "HS256" {
            return Err(Refusal::Algorithm);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refusal::Malformed)?;
        self.mac(signed.as_bytes()).verify_slice(&signature).map_err(|_| Refusal::Signature)?;
        let claims: Claims = decode(body)?;
        if claims.iss != ISSUER || claims.aud != AUDIENCE {
            return Err(Refusal::Foreign);
        }
        if claims.token_type != expected {
            return Err(Refusal::Type);
        }
        if claims.iat > now + SKEW_S {
            return Err(Refusal::Future);
        }
        // RFC 7519 section 4.1.4: not "on or after" the expiration time.
        if claims.exp <= now {
            return Err(Refusal::Expired);
        }
        Ok(claims)
    }

    /// A keyed digest, also good for what must not be kept in clear.
    pub(super) fn digest(&self, message: &[u8]) -> [u8; 32] {
        self.mac(message).finalize().into_bytes().into()
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(message);
        mac
    }
}

/// What a token says, believed without looking at its signature or its time.
pub(super) fn unverified(token: &str) -> Option<Claims> {
    decode(token.split('.').nth(1)?).ok()
}

/// Whether a token names somebody else than us as who it is for, believed as it stands.
pub(super) fn is_for_another(token: &str) -> bool {
    unverified(token).is_some_and(|claims| claims.aud != AUDIENCE)
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Refusal::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn claims() -> Claims {
        Claims {
            sub: "u-1".to_owned(),
            email: "a@example.com".to_owned(),
            token_type: TokenType::Access,
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: NOW,
            exp: NOW + 900,
            jti: "j-1".to_owned(),
        }
    }

    fn verdict(change: impl FnOnce(&mut Claims)) -> Result<Claims, Refusal> {
        let signer = Signer::new([7; 32]);
        let mut claims = claims();
        change(&mut claims);
        signer.verify(&signer.sign(&claims), TokenType::Access, NOW)
    }

    #[test]
    fn the_digest_is_hmac_sha256() {
        // RFC 4231, test case 2, has the key "Jefe"; HMAC pads a short key with zeros.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            super::super::hex(&Signer::new(key).digest(b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn what_was_signed_is_accepted_until_it_expires() {
        assert_eq!(verdict(|_| ()), Ok(claims()));
        assert_eq!(verdict(|claims| claims.exp = NOW), Err(Refusal::Expired));
        assert!(verdict(|claims| claims.exp = NOW + 1).is_ok());
    }

    #[test]
    fn another_issuer_audience_type_or_time_is_refused() {
        assert_eq!(verdict(|claims| claims.iss = "x".to_owned()), Err(Refusal::Foreign));
        assert_eq!(verdict(|claims| claims.aud = "x".to_owned()), Err(Refusal::Foreign));
        assert_eq!(verdict(|claims| claims.token_type = TokenType::Refresh), Err(Refusal::Type));
        assert_eq!(verdict(|claims| claims.iat = NOW + 61), Err(Refusal::Future));
    }

    #[test]
    fn algorithm_none_is_refused_with_and_without_signature() {
        let signer = Signer::new([7; 32]);
        let token = signer.sign(&claims());
        let body = token.split('.').nth(1).unwrap();
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        for signature in ["", token.rsplit('.').next().unwrap()] {
            let forged = format!("{header}.{body}.{signature}");
            assert_eq!(signer.verify(&forged, TokenType::Access, NOW), Err(Refusal::Algorithm));
        }
    }

    #[test]
    fn a_changed_body_or_another_secret_breaks_the_signature() {
        let signer = Signer::new([7; 32]);
        let token = signer.sign(&claims());
        assert_eq!(Signer::new([8; 32]).verify(&token, TokenType::Access, NOW), Err(Refusal::Signature));
        let mut parts: Vec<&str> = token.split('.').collect();
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Claims { sub: "u-2".to_owned(), ..claims() }).unwrap());
        parts[1] = &body;
        assert_eq!(signer.verify(&parts.join("."), TokenType::Access, NOW), Err(Refusal::Signature));
    }

    #[test]
    fn rubbish_is_malformed() {
        let signer = Signer::new([7; 32]);
        for token in ["", "a", "a.b", "a.b.c", "..", "e30.e30.e30"] {
            assert_eq!(signer.verify(token, TokenType::Access, NOW), Err(Refusal::Malformed), "{token}");
        }
    }
}
