//! How a profile says that a session goes on: until when it lives, and what is done before that.

use super::Step;
use crate::document::Spanned;
use crate::document::decode::{by_shape, one_of, record, words};
use crate::time::Micros;

record! {
    /// How a session is kept alive that ends by itself. What its steps capture takes the place of what `login` captured.
    pub struct Refresh {
        /// What says when the session ends.
        pub expires: Spanned<Expires> = required,
        /// How long before that it is refreshed. Default 60s; a session that lives less than twice as long is refreshed at half of
        /// its life.
        pub before: Option<Spanned<Micros>>,
        /// Steps that refresh it.
        pub steps: Spanned<Vec<Spanned<Step>>> = required,
        /// What becomes of the connection. Default keep.
        pub socket: Option<Renewed>,
    }
}

by_shape! {
    /// What says when a session ends.
    pub enum Expires {
        /// The token, whichever that is.
        Token(JwtWord) = text,
        /// A captured value, or nothing that the target says.
        Told(Told) = map,
    }
    expected "`jwt`, or a map that says which captured value tells the end and how"
}

words! {
    /// The token says it.
    pub enum JwtWord {
        /// the `exp` of the one secret that `login` captures and `steps` capture again, which is a JSON Web Token
        Jwt = "jwt",
    }
}

one_of! {
    /// Which captured value says when a session ends, and how. `login` and `steps` both capture it.
    pub enum Told {
        /// The `exp` of this JSON Web Token (RFC 7519, section 4.1.4). One without an `exp` never ends.
        Jwt(Spanned<String>) = "jwt",
        /// It is the number of seconds that are left, as `expires_in` (RFC 6749, section 5.1).
        Seconds(Spanned<String>) = "seconds",
        /// It is an instant in seconds since 1970.
        UnixS(Spanned<String>) = "unix_s",
        /// It is an instant in milliseconds since 1970.
        UnixMs(Spanned<String>) = "unix_ms",
        /// It is an instant as RFC 3339 writes it; without an offset it is taken for UTC.
        Iso(Spanned<String>) = "iso",
        /// The target does not say it: a session lives so long.
        After(Spanned<Micros>) = "after",
    }
}

words! {
    /// What becomes of a connection whose session was refreshed.
    pub enum Renewed {
        /// it stays: who came in stays in
        Keep = "keep",
        /// another one is opened in its place, with what was captured; never while a run is in flight
        Reconnect = "reconnect",
    }
}
