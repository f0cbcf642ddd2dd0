//! The one integration-test binary; what it tests stands in its modules.

#![allow(clippy::disallowed_methods, reason = "tests stand at the edge: they read files and start processes")]

mod corpus;
mod dialects;
mod docs;
mod report;
mod tidy;
mod wire;
