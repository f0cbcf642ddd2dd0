//! goldenpath
