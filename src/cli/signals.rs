//! SIGINT and SIGTERM: the first stops what has not begun and lets the rest end, the second ends the rest, the third kills.
//!
//! Signals only raise the level of a `Stop`; what a level means is the session's. The report is written all the same.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use super::exit::Exit;
use super::unix::EndRequests;
use crate::engine::{Level, Stop};
use crate::time::Micros;

/// What is told to stop, and whether a signal did it.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// Raised by signals, and by whoever else ends an execution.
    pub stop: Stop,
    signalled: Arc<AtomicBool>,
}

impl Signals {
    /// Catches signals from now on, on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the system does not let signals be caught, or the thread cannot be started.
    pub fn catch() -> anyhow::Result<Signals> {
        let signals = Signals::default();
        let caught = signals.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("failed to catch signals")?;
        let requests = {
            // Before the thread starts: a signal that comes now already belongs to the execution.
            let _inside = runtime.enter();
            EndRequests::listen().context("failed to catch signals")?
        };
        let thread = std::thread::Builder::new().name("signals".to_owned());
        thread.spawn(move || runtime.block_on(caught.wait(requests))).context("failed to catch signals")?;
        Ok(signals)
    }

    /// A signal asked for the end.
    pub fn signalled(&self) -> bool {
        self.signalled.load(Ordering::Acquire)
    }

    async fn wait(self, mut requests: EndRequests) {
        let mut last_warning = false;
        loop {
            requests.next().await;
            if last_warning {
                process::exit(Exit::Interrupted.code().into());
            }
            self.signalled.store(true, Ordering::Release);
            match self.stop.raise() {
                Level::Drain => eprintln!("\ninterrupted: runs in flight may end; once more to end them now"),
                Level::Run | Level::Cut => {
                    last_warning = true;
                    eprintln!("\ninterrupted: writing the report; once more to quit without it");
                }
            }
        }
    }
}

/// After `length` what is in flight is ended. Called once a stop began.
pub fn end_drain_after(stop: &Stop, length: Micros) {
    let stop = stop.clone();
    std::thread::spawn(move || {
        std::thread::sleep(length.to_std());
        stop.raise_to(Level::Cut);
    });
}
