//! Who and what an observation belongs to: users, iterations, connections, the execution itself.
//!
//! These are the harness's own names. What the *target* calls its users, threads and runs is text in `event`, never a
//! type here, so that the two cannot be confused.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A virtual user, by the number that makes up its credentials (`first` + index; 1 to 16,777,215).
///
/// Numbers stay the same when users are divided among threads or machines, so that findings of shards merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct UserNumber(pub u32);

/// One pass of a user along the golden path, counted from 1 per user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Iteration(pub u32);

/// One WebSocket of a user from upgrade to close, counted from 1 per user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Connection(pub u32);

/// One invocation of the harness, new each time, printed as eight hexadecimal digits.
///
/// Canaries, run ids and thread ids are made from it and the seed, so that a persistent target meets no old ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionId(pub u32);

impl fmt::Display for UserNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Iteration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl std::str::FromStr for ExecutionId {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<ExecutionId, Self::Err> {
        const SHAPE: &str = "an execution id has eight hexadecimal digits";
        if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(SHAPE);
        }
        u32::from_str_radix(text, 16).map(ExecutionId).map_err(|_| SHAPE)
    }
}

impl Serialize for ExecutionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExecutionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<ExecutionId, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for ExecutionId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ExecutionId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{8}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_id_reads_back_as_printed() {
        let id = ExecutionId(0x00c0_ffee);
        assert_eq!(id.to_string(), "00c0ffee");
        assert_eq!("00c0ffee".parse(), Ok(id));
        for wrong in ["c0ffee", "+0c0ffee", "00c0ffeg", "00c0ffee0"] {
            assert!(wrong.parse::<ExecutionId>().is_err(), "{wrong} was accepted");
        }
    }
}
