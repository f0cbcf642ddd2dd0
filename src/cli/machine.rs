//! What a scenario needs of this machine, and what it has: files, ports, cores.
//!
//! Said before any traffic. Whether the machine kept up is measured while it goes on, and judged elsewhere.

use super::load::Loaded;
use super::unix;
use crate::document::values::grouped;
use crate::finding::counted;
use crate::scenario::defaults;
use crate::session::http::IDLE_CONNECTIONS;

/// Dials in flight on loopback. More than the target's backlog of connections not yet accepted (often 128) would be dropped by
/// the system and come back as outliers of a second.
pub const DIALS_IN_FLIGHT: usize = 100;
/// Files that the harness itself needs, beside sockets.
const FILES_BESIDE_SOCKETS: u64 = 64;
/// Files that are not left for users: the harness's own, logins and connects in flight, connections kept for requests.
pub const SPARE_FILES: u64 = FILES_BESIDE_SOCKETS + DIALS_IN_FLIGHT as u64 + IDLE_CONNECTIONS as u64;

/// What a scenario needs at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Connections at a time, each with a port of its own.
    pub sockets: u64,
    /// Files open at a time, sockets included; those of an embedded backend as well.
    pub files: u64,
    /// Connections to this machine itself that begin at once.
    pub dials: u64,
}

impl Needs {
    /// Each user has a WebSocket; beside them stand logins and connects in flight and connections kept for further requests.
    pub fn of(loaded: &Loaded, threads: u32) -> Needs {
        let in_flight = if loaded.target.loopback { DIALS_IN_FLIGHT as u64 } else { defaults::LOGINS_IN_FLIGHT.into() };
        let users = u64::from(loaded.scenario.users.count) + u64::from(loaded.scenario.listeners());
        let sockets = users + users.min(in_flight) + IDLE_CONNECTIONS as u64 * u64::from(threads);
        // An embedded backend has the other end of each.
        let ends = if loaded.target.starts_backend { 2 } else { 1 };
        let dials = if loaded.target.loopback { users.min(DIALS_IN_FLIGHT as u64) } else { 0 };
        Needs { sockets, files: sockets * ends + FILES_BESIDE_SOCKETS, dials }
    }
}

/// What this machine has; `None` where the system does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Files that this process may open.
    pub files: Option<u64>,
    /// Ports for connections to one address.
    pub ports: Option<u64>,
    /// Connections that may wait to be accepted here, which matters to targets on this machine.
    pub backlog: Option<u64>,
    /// Cores that this process may use.
    pub cores: Option<u64>,
}

impl Machine {
    /// This one. The limit of files is raised to what the system allows.
    pub fn here() -> Machine {
        Machine {
            files: unix::raise_open_files(),
            ports: unix::ports(),
            backlog: unix::backlog(),
            cores: std::thread::available_parallelism().ok().map(|cores| cores.get() as u64),
        }
    }

    /// Why what is needed cannot be done here.
    pub fn refuses(&self, needs: Needs) -> Option<String> {
        let Needs { sockets, files, .. } = needs;
        if let Some(limit) = self.files.filter(|limit| *limit < files) {
            return Some(format!(
                "up to {files} open files are needed, and this process may open {limit}; raise the limit (`ulimit -n \
                 {files}`), or use fewer users"
            ));
        }
        let ports = self.ports.filter(|ports| *ports < sockets)?;
        Some(format!(
            "up to {sockets} connections are needed, and this machine has {ports} ports for them (`sysctl \
             net.ipv4.ip_local_port_range`); widen the range, or use fewer users"
        ))
    }

    /// What is doubtful about doing it here on so many threads, each in a sentence.
    pub fn doubts(&self, needs: Needs, threads: u32) -> Vec<String> {
        let cores = self.cores.filter(|cores| u64::from(threads) > *cores).map(|cores| {
            let cores = counted(cores, "core");
            format!("{threads} threads share {cores}: they will wait for one another, and so will latencies")
        });
        let backlog = self.backlog.filter(|backlog| needs.dials > *backlog).map(|backlog| {
            format!(
                "up to {} users connect at once, and {} may wait here to be accepted (`sysctl net.core.somaxconn`): some \
                 will seem to take a second longer",
                needs.dials,
                counted(backlog, "connection"),
            )
        });
        cores.into_iter().chain(backlog).collect()
    }

    /// What is needed of what there is, in one line.
    pub fn line(&self, needs: Needs) -> String {
        let number = |number: u64| grouped(number.into());
        let ports = self.ports.map(|ports| format!(" on {} ports", number(ports))).unwrap_or_default();
        let of = self.files.map(|files| format!(" of {}", number(files))).unwrap_or_default();
        let mut parts = vec![
            format!("up to {} connections{ports}", number(needs.sockets)),
            format!("{}{of} files", number(needs.files)),
        ];
        parts.extend(self.backlog.map(|backlog| format!("a backlog of {}", number(backlog))));
        parts.extend(self.cores.map(|cores| counted(cores, "core")));
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs { sockets: 5_000, files: 10_064, dials: 100 };

    fn machine(files: u64, ports: u64) -> Machine {
        Machine { files: Some(files), ports: Some(ports), backlog: Some(4_096), cores: Some(2) }
    }

    #[test]
    fn what_a_machine_has_not_is_refused() {
        assert_eq!(machine(10_064, 5_000).refuses(NEEDS), None);
        let unknown = Machine { files: None, ports: None, backlog: None, cores: None };
        assert_eq!(unknown.refuses(NEEDS), None);
        let files = machine(10_063, 28_232).refuses(NEEDS).unwrap();
        assert!(files.contains("up to 10064 open files") && files.contains("may open 10063"), "{files}");
        let ports = machine(20_000, 4_999).refuses(NEEDS).unwrap();
        assert!(ports.contains("up to 5000 connections") && ports.contains("4999 ports"), "{ports}");
    }

    #[test]
    fn what_a_machine_hardly_has_is_doubtful() {
        let here = machine(20_000, 28_232);
        assert_eq!(here.doubts(NEEDS, 2), Vec::<String>::new());
        let crowded = here.doubts(NEEDS, 3);
        assert!(crowded.len() == 1 && crowded[0].starts_with("3 threads share 2 cores"), "{crowded:?}");
        let narrow = Machine { backlog: Some(99), ..here };
        let dropped = narrow.doubts(NEEDS, 1);
        assert!(dropped.len() == 1 && dropped[0].contains("99 connections may wait here"), "{dropped:?}");
        assert_eq!(narrow.doubts(Needs { dials: 0, ..NEEDS }, 1), Vec::<String>::new(), "the target is elsewhere");
    }

    #[test]
    fn needs_and_haves_are_said_in_one_line() {
        let line = machine(20_000, 28_232).line(NEEDS);
        assert_eq!(
            line,
            "up to 5,000 connections on 28,232 ports, 10,064 of 20,000 files, a backlog of 4,096, 2 cores"
        );
        let unknown = Machine { files: None, ports: None, backlog: None, cores: None };
        assert_eq!(unknown.line(NEEDS), "up to 5,000 connections, 10,064 files");
    }
}
