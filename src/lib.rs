//! goldenpath

pub mod canary;
pub mod stats;
