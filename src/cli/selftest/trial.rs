//! One fault on trial: the embedded backend misbehaves over real loopback sockets, the product's own `run` judges it.
//!
//! Nothing is retried. What was to be seen of it is the table's business.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::table::Row;
use crate::backend::journal::Outcome;
use crate::backend::{self, Delays, Envelope, Options, Script, Spec};
use crate::cli::execute::{self, Invocation};
use crate::cli::load::{Loader, Overrides, RunOptions, Unset, Variables};
use crate::cli::record::Record;
use crate::cli::show;
use crate::cli::signals::Signals;
use crate::cli::trust::TrustArgs;
use crate::cli::way::Way;
use crate::report::Word;
use crate::session::tls::Tls;

/// The scenario of all trials: a few users who ask twice at the same moment, each time on a new connection.
const SCENARIO: &str = include_str!("scenario.yaml");

/// What is tried.
#[derive(Debug, Clone)]
pub struct Trial<'a> {
    /// The misbehaviour, or healthy variant, and what the scenario asks.
    pub row: &'a Row,
    /// How events are wrapped.
    pub envelope: Envelope,
    /// From which the draws of faults come.
    pub seed: u64,
    /// By which all times are multiplied, for a slow machine.
    pub pace: u32,
    /// How many users ask, if not as many as the scenario says.
    pub users: Option<u32>,
}

/// What was seen.
#[derive(Debug)]
pub struct Observed {
    /// How it ended.
    pub outcome: Word,
    /// How many findings of each rule, and whether a claim was lost over them.
    pub findings: BTreeMap<String, Found>,
    /// How often each fault struck, as the backend's journal says.
    pub struck: BTreeMap<String, u64>,
    /// Messages that the backend handed to its sockets, as its journal says.
    pub sent: u64,
    /// Text messages that the harness received.
    pub received: u64,
}

/// Findings of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// A required claim failed over them.
    pub blamed: bool,
}

impl Trial<'_> {
    /// How long the fault takes where it is about time, if that is worth waiting for: at most until patience has ended.
    pub fn longest(&self) -> Duration {
        if self.row.waits { Duration::ZERO } else { self.row.spec.by * self.pace }
    }

    /// Tries it.
    ///
    /// # Errors
    ///
    /// The backend or the harness broke, which says nothing of the fault.
    pub fn execute(&self) -> anyhow::Result<Observed> {
        let Trial { row, pace, .. } = *self;
        let delay = Duration::from_millis(if row.slow { 200 } else { 8 }) * pace;
        let mut set = times(row.waits, pace);
        set.extend(row.asks.clone());
        set.extend(self.users.map(|users| format!("users.count={users}")));
        let overrides = Overrides { set, ..Overrides::default() };
        let play =
            Play { held: Some(SCENARIO), path: Path::new("selftest.yaml"), overrides, variables: Variables::new() };
        let mut backend = misbehaving(Some(row.fault(pace)), delay);
        backend.script.sub_agents.clone_from(&row.sub_agents);
        play.against(Options { envelope: self.envelope, seed: self.seed, ..backend })
    }
}

/// A backend that keeps a journal and misbehaves in one way, or in none.
pub fn misbehaving(fault: Option<Spec>, delay: Duration) -> Options {
    Options {
        script: Script { delays: Delays::every(delay), ..Script::default() },
        journal: true,
        faults: fault.into_iter().collect(),
        ..Options::default()
    }
}

/// What is laid over a scenario so that nobody waits longer than it takes to tell: patience, short only where something is not
/// going to come, and quiet time.
pub fn times(waits: bool, pace: u32) -> Vec<String> {
    let patience = u64::from(pace) * if waits { 600 } else { 30_000 };
    let quiet = u64::from(pace) * 100;
    let times = ["stall", "first_event", "greeting", "connect"].map(|name| format!("timeouts.{name}={patience}ms"));
    times.into_iter().chain([format!("timeouts.quiet={quiet}ms")]).collect()
}

/// Users of a scenario, to be let loose on a backend.
pub struct Play<'a> {
    /// The scenario's text, where it is not in a file.
    pub held: Option<&'static str>,
    /// The scenario's file.
    pub path: &'a Path,
    /// What is laid over it; the address is the backend's.
    pub overrides: Overrides,
    /// The process's variables.
    pub variables: Variables,
}

impl Play<'_> {
    /// Lets them loose.
    ///
    /// # Errors
    ///
    /// The scenario is wrong, or the backend or the harness broke.
    pub fn against(self, backend: Options) -> anyhow::Result<Observed> {
        let seed = backend.seed;
        let backend = backend::start(backend).context("failed to start the embedded backend")?;
        let options = RunOptions {
            overrides: Overrides { url: Some(backend.http_url()), ..self.overrides },
            seed: Some(seed),
            ..RunOptions::default()
        };
        let variables = self.variables;
        let mut loader = Loader::new(&options.overrides, variables.clone(), Unset::Refuse);
        if let Some(text) = self.held {
            loader.hold(self.path, text);
        }
        let loaded = loader.load(self.path);
        let loaded = loaded.map_err(|mistakes| anyhow::anyhow!("{}", show::to_text(&mistakes, loader.sources())))?;
        let invocation = Invocation {
            options: &options,
            sources: loader.sources(),
            variables: &variables,
            threads: 1,
            only: &[],
            execution: None,
            quiet: true,
            every: None,
            signals: &Signals::default(),
            tls: &Tls::system(),
            trust: &TrustArgs::default(),
            way: &Way::default(),
            record: Record::None,
            visit: None,
            folder: &|_, _| PathBuf::new(),
        };
        let report = execute::execute(&loaded, &invocation)?.report;
        // Not from an orderly stop, which runs that never end would hold up.
        let journal = backend.journal();
        let sent = journal.iter().filter(|entry| entry.connection.is_some() && entry.outcome == Outcome::Sent).count();
        let mut struck = BTreeMap::new();
        for entry in journal.iter().filter(|entry| entry.kind == "fault") {
            let note: serde_json::Value = serde_json::from_str(&entry.text).context("the journal is no JSON")?;
            *struck.entry(note["fault"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        let findings = report.findings.iter().map(|group| {
            let found = Found { count: group.count, blamed: group.blamed };
            (group.code.clone(), found)
        });
        Ok(Observed {
            outcome: report.verdict.outcome,
            findings: findings.collect(),
            struck,
            sent: sent as u64,
            received: report.counts.texts,
        })
    }
}
