//! goldenpath: a black-box harness for chat backends that stream events over WebSockets.

pub mod backend;
pub mod canary;
pub mod check;
pub mod cli;
pub mod document;
pub mod engine;
pub mod event;
pub mod expect;
pub mod finding;
pub mod identity;
pub mod plan;
pub mod report;
pub mod rule;
pub mod scenario;
pub mod secret;
pub mod session;
pub mod stats;
pub mod target;
pub mod time;
pub mod trace;
