//! What was observed: frames, facts, and recordings of both.
//!
//! The waist of the program. `session` makes these, `check` judges them one at a time, a recording holds them, and judging a
//! recording feeds the same values to the same machine. Nothing here decides anything, and nothing here does I/O.

mod fact;
mod frame;
pub mod recording;

pub use fact::{Dial, Fact, NetFailure, Phase, StepOutcome};
pub use frame::{Content, Direction, Frame};
pub use recording::{Entry, Observed};
