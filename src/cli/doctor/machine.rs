//! What this machine can drive and measure: what the system gives, and what the embedded backend's users cost here.
//!
//! The figures are of this machine at this moment, over loopback; a target elsewhere costs TLS and the network as well.

use std::path::Path;

use anyhow::anyhow;
use serde::Serialize;

use super::{Doctor, Rung, State};
use crate::cli::execute;
use crate::cli::load::Loader;
use crate::cli::machine::{Machine, SPARE_FILES};
use crate::cli::show;
use crate::document::values::grouped;
use crate::finding::counted;
use crate::report::{Report, WhichClock};
use crate::time::Micros;

/// A few users who ask often enough for the cost of a frame to show, beside which logins cost little.
const SCENARIO: &str = include_str!("scenario.yaml");

/// How much of a core a thread may need so that it still reads in time: beyond this, queues grow by themselves.
const BUSY: f64 = 0.7;
/// Timers of the runtime are exact to a millisecond; what is this late was kept from running.
const LATE: Micros = Micros::from_millis(10);
/// Connections that come at once, from which on a backlog may drop some (listen(2) gives 128 where nobody says more).
const BACKLOG: u64 = 128;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Findings {
    /// Each thing that limits what can be driven or measured.
    pub rungs: Vec<Rung>,
    /// How many frames a second one thread judges in time.
    pub frames_per_second: u64,
    /// How many users can be connected at once; null where the system sets no limit that is known.
    pub users: Option<u64>,
}

impl Doctor<'_> {
    /// Looks at this machine.
    pub(super) fn machine(&self, mut loader: Loader) -> anyhow::Result<Findings> {
        let path = Path::new("doctor");
        loader.hold(path, SCENARIO);
        let loaded = loader.load(path);
        let loaded = loaded.map_err(|mistakes| anyhow!("{}", show::to_text(&mistakes, loader.sources())))?;
        let options = Default::default();
        let report = execute::execute(&loaded, &self.invocation(&options, &loader, None))?.report;
        let here = Machine::here();
        let mut rungs = system(&here);
        let (judged, frames_per_second) = judged(&report)?;
        rungs.splice(0..0, instrument(&report));
        rungs.push(judged);
        let by_files = here.files.map(|files| files.saturating_sub(SPARE_FILES));
        let users = [by_files, here.ports].into_iter().flatten().min();
        Ok(Findings { rungs, frames_per_second, users })
    }
}

/// What the system gives.
fn system(here: &Machine) -> Vec<Rung> {
    let unknown = |rung: &str| Rung::absent(rung, "the system does not say");
    let number = |number: u64| grouped(number.into());
    let files = match here.files {
        None => unknown("files"),
        Some(files) if files < 1_024 + SPARE_FILES => Rung::doubtful(
            "files",
            format!("this process may open {}", number(files)),
            "raise the limit: ulimit -n 65536",
        ),
        Some(files) => Rung::good("files", format!("this process may open {}, one for each user", number(files))),
    };
    let ports = match here.ports {
        None => unknown("ports"),
        Some(ports) => Rung::good("ports", format!("{} for connections to one address", number(ports))),
    };
    let backlog = match here.backlog {
        None => unknown("backlog"),
        Some(backlog) if backlog < BACKLOG => Rung::doubtful(
            "backlog",
            format!("{} may wait to be accepted by a target on this machine", counted(backlog, "connection")),
            "raise it: sysctl net.core.somaxconn=4096",
        ),
        Some(backlog) => {
            Rung::good("backlog", format!("{} may wait to be accepted here", counted(backlog, "connection")))
        }
    };
    let cores = match here.cores {
        None => unknown("cores"),
        Some(1) => Rung::doubtful("cores", "1 core", "a target on this machine would compete with the harness for it"),
        Some(cores) => Rung::good("cores", format!("{}, each for one of --threads", counted(cores, "core"))),
    };
    vec![files, ports, backlog, cores]
}

/// How well it measured.
fn instrument(report: &Report) -> Vec<Rung> {
    let clock = match report.clock.kind {
        WhichClock::Kernel => Rung::good("clock", report.clock.statement.clone()),
        WhichClock::Read => Rung::doubtful(
            "clock",
            report.clock.statement.clone(),
            "latencies include the time until a busy harness reads; use Linux for load",
        ),
    };
    let latest = report.instrument.as_ref().map_or(Micros::ZERO, |instrument| Micros(instrument.timer_max_us));
    let said = format!("timers came up to {latest} late");
    let timer = match latest > LATE {
        true => Rung::doubtful("timer", said, "something else is busy on this machine; measure when it is not"),
        false => Rung::good("timer", said),
    };
    vec![clock, timer]
}

/// What a frame costs here, and how many a second a thread judges in time.
fn judged(report: &Report) -> anyhow::Result<(Rung, u64)> {
    let instrument = report.instrument.as_ref().ok_or_else(|| anyhow!("the harness did not measure itself"))?;
    let frames = report.counts.frames;
    anyhow::ensure!(
        report.counts.runs_good > 0,
        "no run of the embedded backend ended well: try `goldenpath selftest`"
    );
    if instrument.computing_us == 0 {
        return Ok((Rung::absent("load", "the system does not say how long a thread was computing"), 0));
    }
    let each = instrument.computing_us as f64 / frames.max(1) as f64;
    let a_second = (BUSY * 1e6 / each) as u64;
    let said = format!(
        "a frame costs {} of a core, logins and connections included ({} judged): a thread judges some {} a second \
         in time",
        Micros(each.ceil() as u64),
        counted(frames, "frame"),
        grouped(rounded(a_second).into()),
    );
    let rung = match cfg!(debug_assertions) {
        true => Rung::doubtful(
            "load",
            said,
            "this is a debug build, which takes several times as long: build with --release",
        ),
        false => Rung::new("load", State::Good, said),
    };
    Ok((rung, a_second))
}

/// To two digits: more would pass for knowledge.
pub fn rounded(number: u64) -> u64 {
    let unit = 10_u64.pow(number.max(1).ilog10().saturating_sub(1));
    number / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_lacks_is_doubtful_with_what_to_do() {
        let poor = Machine { files: Some(256), ports: Some(28_232), backlog: Some(16), cores: Some(1) };
        let doubtful = |here: &Machine| {
            let rungs = system(here).into_iter().filter(|rung| rung.state == State::Doubtful && rung.remedy.is_some());
            rungs.map(|rung| rung.rung).collect::<Vec<_>>()
        };
        assert_eq!(doubtful(&poor), ["files", "backlog", "cores"]);
        let fine = Machine { files: Some(20_000), ports: Some(28_232), backlog: Some(4_096), cores: Some(2) };
        assert_eq!(doubtful(&fine), Vec::<String>::new());
        let unknown = Machine { files: None, ports: None, backlog: None, cores: None };
        assert!(system(&unknown).iter().all(|rung| rung.state == State::Absent));
    }

    #[test]
    fn figures_have_two_digits() {
        assert_eq!([0, 7, 42, 999, 14_721].map(rounded), [0, 7, 42, 990, 14_000]);
    }
}
