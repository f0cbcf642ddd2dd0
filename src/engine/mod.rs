//! Many users at once: threads, turns, pace, and the way to stop.
//!
//! It executes what was planned without knowing what a user does: the iteration comes as a function. It opens no socket,
//! judges nothing and prints nothing.

#![expect(clippy::disallowed_methods, reason = "the engine owns pace and threads: it reads the clock and waits")]

mod gate;
mod interval;
mod limiter;
mod looks;
mod progress;
mod pulse;
mod shards;
mod stop;
mod together;
mod turns;

pub use gate::{Opened, Seat, start_gate};
pub use interval::{Fared, Interval, Marks};
pub use limiter::{Limiter, Pass};
pub use progress::{Counts, Progress, Stage};
pub use pulse::{Felt, Pulse};
pub use shards::{Hooks, ShardContext, ShardFailure, run_shards};
pub use stop::{Level, Stop};
pub use together::all_together;
pub use turns::{Desk, Turn, Turns};
