//! goldenpath (the map is written when the house stands)
pub mod engine;
pub mod event;
pub mod expect;
pub mod finding;
pub mod identity;
pub mod rule;
pub mod session;
pub mod time;
pub mod trace;
