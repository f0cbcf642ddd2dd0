//! goldenpath

pub mod stats;
