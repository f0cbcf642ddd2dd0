//! Tokens bent to what a target must refuse. A JSON Web Token (RFC 7519) is read and written back; others cannot be bent so.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value as Json};

use crate::probe::Probe;

/// A token as it is brought to a door.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bent {
    pub token: String,
    /// What was done to it.
    pub with: &'static str,
    /// Its signature does not fit what was changed, either.
    pub weak: bool,
}

/// The parts of a JSON Web Token.
struct Jwt {
    header: Map<String, Json>,
    claims: Map<String, Json>,
    signature: String,
}

/// How far in the past the end of an expired token lies, in seconds: beyond any allowance for clocks that differ.
const EXPIRED_S: u64 = 3_600;

/// What `probe` makes of `token` at `now_s` (seconds since 1970). `nonce` makes rubbish that nobody has seen.
///
/// # Errors
///
/// Why it cannot be done to this token.
pub(super) fn bend(token: &str, probe: Probe, now_s: u64, nonce: &str) -> Result<Bent, String> {
    let unfit = || "the token is no JSON Web Token".to_owned();
    let bent = |token: String, with, weak| Ok(Bent { token, with, weak });
    match probe {
        Probe::MalformedToken => bent(format!("malformed-{nonce}"), "a text that is no token", false),
        Probe::ExpiredToken => {
            let mut jwt = Jwt::read(token).ok_or_else(unfit)?;
            jwt.claims.insert("exp".to_owned(), (now_s - EXPIRED_S).into());
            if jwt.claims.contains_key("iat") {
                jwt.claims.insert("iat".to_owned(), (now_s - 2 * EXPIRED_S).into());
            }
            bent(jwt.write(), "a token with an `exp` an hour back, and a signature that does not fit any more", true)
        }
        Probe::ForgedToken => {
            let mut jwt = Jwt::read(token).ok_or_else(unfit)?;
            let bytes = URL_SAFE_NO_PAD.decode(&jwt.signature).map_err(|_| unfit())?;
            if bytes.is_empty() {
                return Err("the token has no signature".to_owned());
            }
            jwt.signature = URL_SAFE_NO_PAD.encode(bytes.iter().map(|byte| !byte).collect::<Vec<_>>());
            bent(jwt.rewritten(token), "a token with another signature", false)
        }
        Probe::UnsignedToken => {
            let mut jwt = Jwt::read(token).ok_or_else(unfit)?;
            jwt.header.insert("alg".to_owned(), "none".into());
            jwt.signature.clear();
            bent(jwt.write(), "a token with `alg: none` and no signature", false)
        }
        Probe::WrongAudience => {
            let mut jwt = Jwt::read(token).ok_or_else(unfit)?;
            jwt.claims.insert("aud".to_owned(), "somebody-else".into());
            bent(jwt.write(), "a token with another `aud`, and a signature that does not fit any more", true)
        }
        _ => bent(token.to_owned(), "the token as it is", false),
    }
}

/// From when to when a token lives, in seconds since 1970, as far as it says so (RFC 7519, sections 4.1.4 and 4.1.6).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub issued_s: Option<f64>,
    pub expires_s: Option<f64>,
}

/// The life of a JSON Web Token; `None` if it is none.
pub(super) fn span(token: &str) -> Option<Span> {
    let claims = Jwt::read(token)?.claims;
    let seconds = |name: &str| claims.get(name).and_then(Json::as_f64);
    Some(Span { issued_s: seconds("iat"), expires_s: seconds("exp") })
}

/// When a token's life ends, in seconds since 1970, if it says so.
pub(super) fn expires_s(token: &str) -> Option<u64> {
    Some(span(token)?.expires_s? as u64)
}

impl Jwt {
    fn read(token: &str) -> Option<Jwt> {
        let mut parts = token.split('.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let object = |part: &str| match serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?) {
            Ok(Json::Object(object)) => Some(object),
            _ => None,
        };
        let jwt = Jwt { header: object(header)?, claims: object(claims)?, signature: signature.to_owned() };
        (parts.next().is_none() && jwt.header.contains_key("alg")).then_some(jwt)
    }

    fn write(&self) -> String {
        let part = |object: &Map<String, Json>| URL_SAFE_NO_PAD.encode(Json::from(object.clone()).to_string());
        format!("{}.{}.{}", part(&self.header), part(&self.claims), self.signature)
    }

    /// With the signature of its own and everything else as it was written.
    fn rewritten(&self, token: &str) -> String {
        let signed = token.rsplit_once('.').map_or("", |(signed, _)| signed);
        format!("{signed}.{}", self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn token() -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let claims = r#"{"sub":"u-1","aud":"us","iat":1799999000,"exp":1799999900}"#;
        format!("{}.{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(claims), part("signature"))
    }

    fn bent(probe: Probe) -> (Json, Json, String) {
        let Bent { token, .. } = bend(&token(), probe, NOW_S, "0123").unwrap();
        let jwt = Jwt::read(&token).unwrap_or_else(|| panic!("{token} is no token"));
        (jwt.header.into(), jwt.claims.into(), jwt.signature)
    }

    #[test]
    fn each_probe_changes_what_it_is_about_and_nothing_else() {
        let (header, claims, signature) = bent(Probe::NoToken);
        assert_eq!(claims["sub"], "u-1");
        let (other, expired, same) = bent(Probe::ExpiredToken);
        assert_eq!((other, same), (header.clone(), signature.clone()));
        assert_eq!((&expired["exp"], &expired["iat"]), (&Json::from(NOW_S - 3_600), &Json::from(NOW_S - 7_200)));
        assert_eq!((&expired["sub"], &expired["aud"]), (&claims["sub"], &claims["aud"]));
        let (other, same, forged) = bent(Probe::ForgedToken);
        assert_eq!((other, same), (header.clone(), claims.clone()));
        assert!(forged != signature && forged.len() == signature.len(), "{forged}");
        let (unsigned, same, none) = bent(Probe::UnsignedToken);
        assert_eq!((&unsigned["alg"], &unsigned["typ"], &*none), (&"none".into(), &header["typ"], ""));
        assert_eq!(same, claims);
        let (_, foreign, _) = bent(Probe::WrongAudience);
        assert_eq!(foreign["aud"], "somebody-else");
        let malformed = bend(&token(), Probe::MalformedToken, NOW_S, "0123").unwrap().token;
        assert!(Jwt::read(&malformed).is_none());
    }

    #[test]
    fn what_is_no_json_web_token_is_not_bent() {
        for token in ["", "opaque", "a.b.c", "e30.e30", "e30.e30.e30", &format!("{}.more", token())] {
            assert!(bend(token, Probe::ExpiredToken, NOW_S, "0").is_err(), "{token}");
            assert!(bend(token, Probe::MalformedToken, NOW_S, "0").is_ok(), "{token}");
            assert_eq!(expires_s(token), None);
        }
        assert_eq!(expires_s(&token()), Some(1_799_999_900));
    }
}
