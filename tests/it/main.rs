//! The one integration-test binary; what it tests stands in its modules.

#![allow(clippy::disallowed_methods, reason = "tests stand at the edge: they read files and start processes")]

mod allocations;
mod compare;
mod corpus;
mod dialects;
mod docs;
mod formats;
mod hostile;
mod report;
mod run;
mod support;
mod tidy;
mod values;
mod wire;
