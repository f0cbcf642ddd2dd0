//! Many users at once: threads, pace, the way to stop, and how late we were.
//!
//! It executes what was planned without knowing what a user does: the iteration comes as a function. It opens no socket,
//! judges nothing and prints nothing.

mod gate;
mod lateness;
mod limiter;
mod progress;
mod shards;
mod stop;

pub use gate::{Opened, Seat, start_gate};
pub use lateness::Lateness;
pub use limiter::{Limiter, Pass};
pub use progress::{Counts, Progress, Stage};
pub use shards::{Hooks, ShardContext, ShardFailure, run_shards};
pub use stop::{Level, Stop};
