//! The one integration-test binary; what it tests stands in its modules.

#![allow(clippy::disallowed_methods, reason = "tests stand at the edge: they read files and start processes")]

mod browser;
mod compare;
mod corpus;
mod course;
mod dialects;
mod docs;
mod formats;
mod hostile;
mod pages;
mod report;
mod run;
mod support;
mod tidy;
mod values;
mod wire;
