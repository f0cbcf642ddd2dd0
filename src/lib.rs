//! goldenpath

pub mod canary;
pub mod secret;
pub mod stats;
