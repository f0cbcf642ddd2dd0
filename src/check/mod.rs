//! THE JUDGE.
mod automaton;
pub mod decode;
