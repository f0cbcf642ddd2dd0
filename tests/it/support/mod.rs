//! What tests of the whole binary share: a folder of their own, the process under a watchdog, and servers written by hand.
//!
//! No expectations: what must be true stands in the tests.

pub mod har;
pub mod process;
pub mod redact;
pub mod relay;
pub mod report;
pub mod site;
pub mod stream;
