//! The layer both file formats (scenario, target profile) stand on: text in; typed values, or diagnostics, out.
//!
//! ```text
//! bytes -> Sources -> yaml::read -> Node -> merge -> decode (record!, words!, ...) -> typed values
//!                                     \________________ Context: every mistake ________/   |
//!                                                                    diagnostic::render  text: ${...}
//! ```
//!
//! It knows nothing of scenarios or targets, opens no file and reads no variable. Mistakes are values with places; they
//! are all collected before anything is refused.

pub mod context;
pub mod decode;
pub mod diagnostic;
pub mod merge;
pub mod source;
pub mod text;
pub mod tree;
pub mod values;
pub mod yaml;

pub use context::Context;
pub use decode::{Decode, Spanned};
pub use diagnostic::Diagnostic;
pub use source::{SourceId, Sources, Span};
pub use tree::{Node, Value};
pub use yaml::read;

#[cfg(test)]
mod testing;
