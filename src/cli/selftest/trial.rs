//! One fault on trial: the embedded backend misbehaves over real loopback sockets, the product's own `run` judges it.
//!
//! Nothing is retried. What was to be seen of it is the table's business.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::backend::journal::Outcome;
use crate::backend::{self, Delays, Envelope, Options, Script, Spec};
use crate::cli::execute::{self, Invocation};
use crate::cli::load::{Loader, Overrides, RunOptions, Unset, Variables};
use crate::cli::record::Record;
use crate::cli::signals::Signals;
use crate::cli::trust::TrustArgs;
use crate::report::Word;
use crate::session::tls::Tls;

/// The scenario of all trials: a few users who ask twice at the same moment, each time on a new connection.
const SCENARIO: &str = include_str!("scenario.yaml");

/// What is tried.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The misbehaviour, or healthy variant.
    pub fault: Spec,
    /// What the scenario asks beside what it asks of all.
    pub asks: Vec<String>,
    /// How events are wrapped.
    pub envelope: Envelope,
    /// From which the draws of faults come.
    pub seed: u64,
    /// Something is not going to come, so that patience is short.
    pub waits: bool,
    /// A healthy run takes a second.
    pub slow: bool,
    /// By which all times are multiplied, for a slow machine.
    pub pace: u32,
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

impl Trial {
    /// How long the fault takes where it is about time, if that is worth waiting for: at most until patience has ended.
    pub fn longest(&self) -> Duration {
        if self.waits { Duration::ZERO } else { self.by() }
    }

    fn by(&self) -> Duration {
        self.fault.by * self.pace
    }

    /// Tries it.
    ///
    /// # Errors
    ///
    /// The backend or the harness broke, which says nothing of the fault.
    pub fn execute(&self) -> anyhow::Result<Observed> {
        let step = Duration::from_millis(if self.slow { 200 } else { 8 }) * self.pace;
        let backend = backend::start(Options {
            envelope: self.envelope,
            script: Script { delays: Delays::every(step), ..Script::default() },
            journal: true,
            faults: vec![Spec { by: self.by(), ..self.fault.clone() }],
            seed: self.seed,
            ..Options::default()
        })
        .context("failed to start the embedded backend")?;
        let patience = u64::from(self.pace) * if self.waits { 600 } else { 30_000 };
        let quiet = u64::from(self.pace) * 100;
        let times = ["stall", "first_event", "greeting", "connect"].map(|name| format!("timeouts.{name}={patience}ms"));
        let set = times.into_iter().chain([format!("timeouts.quiet={quiet}ms")]).chain(self.asks.clone()).collect();
        let options = RunOptions {
            overrides: Overrides { url: Some(backend.http_url()), set, ..Overrides::default() },
            seed: Some(self.seed),
            ..RunOptions::default()
        };
        let variables = Variables::new();
        let mut loader = Loader::new(&options.overrides, variables.clone(), Unset::Refuse);
        let path = Path::new("selftest.yaml");
        loader.hold(path, SCENARIO);
        let loaded = loader.load(path).map_err(|mistakes| anyhow::anyhow!("the scenario is wrong: {mistakes:?}"))?;
        let invocation = Invocation {
            options: &options,
            sources: loader.sources(),
            variables: &variables,
            threads: 1,
            only: &[],
            execution: None,
            quiet: true,
            signals: &Signals::default(),
            tls: &Tls::system(),
            trust: &TrustArgs::default(),
            record: Record::None,
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
