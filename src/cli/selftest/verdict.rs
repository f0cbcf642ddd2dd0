//! What trials say of a row of the table: caught, missed, misnamed, raised without cause.
//!
//! Pure: trials are told as they end, in any order.

use std::collections::BTreeMap;

use super::table::{Expected, Row, name_of};
use super::trial::{Observed, Trial};
use crate::report::Word;
use crate::stats::lower_bound;

/// What a trial says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// What was expected, and nothing else.
    AsExpected,
    /// Nothing was found, or it passed.
    Missed,
    /// It failed over something else.
    Misnamed,
    /// What was expected, and findings without a cause.
    Sprayed,
    /// The fault never struck, so that nothing was tried.
    Idle,
    /// The machine was too busy to tell the fault from its own lateness.
    Starved,
    /// The harness or the backend broke.
    Broke(String),
}

/// What a trial of `row` says. `late`: the machine was late by more than such a trial bears.
pub fn judge(row: &Row, observed: &anyhow::Result<Observed>, late: bool) -> Said {
    let observed = match observed {
        Ok(observed) => observed,
        Err(error) => return Said::Broke(format!("{error:#}")),
    };
    let told: Vec<&String> = observed.findings.keys().filter(|code| !row.beside.contains(code)).collect();
    let passed = observed.outcome == Word::Pass;
    let expected: Vec<&String> = row.codes().iter().collect();
    let blamed = observed.findings.values().any(|found| found.blamed);
    let nothing = told.is_empty() && passed;
    let fits = match row.expected {
        Expected::Caught(_) | Expected::Perhaps(..) => !passed,
        Expected::Noted(_) | Expected::Legal | Expected::Unseen(_) => passed && !blamed,
    };
    let idle = !matches!(row.expected, Expected::Unseen(_)) && !observed.struck.contains_key(row.spec.fault.name());
    if told == expected && fits || nothing && matches!(row.expected, Expected::Perhaps(..)) {
        return if idle { Said::Idle } else { Said::AsExpected };
    }
    if idle && told.is_empty() {
        return Said::Idle;
    }
    if late {
        return Said::Starved;
    }
    if told.is_empty() {
        return if row.must_be_caught() || !expected.is_empty() { Said::Missed } else { Said::Sprayed };
    }
    if expected.iter().all(|code| told.contains(code)) { Said::Sprayed } else { Said::Misnamed }
}

/// All trials of a row.
#[derive(Debug, Clone)]
pub struct Tally {
    /// The row.
    pub row: Row,
    /// How many trials said something of it: all but those that were starved.
    pub tried: u64,
    /// How many saw what was expected, and nothing else.
    pub as_expected: u64,
    /// How many of them the judge said something of.
    pub found: u64,
    /// Messages that the backend sent.
    pub sent: u64,
    /// Messages that the harness received.
    pub received: u64,
    /// How many were starved.
    pub starved: u64,
    /// Findings of rules that the table does not name, by rule.
    pub without_cause: BTreeMap<String, u64>,
    /// What was not as expected, with the trial it was seen in; in the order of trials.
    pub wrong: Vec<Wrong>,
}

/// A trial that did not end as the table says.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// How.
    pub said: Said,
    /// The rules that were found.
    pub told: Vec<String>,
    /// How it ended.
    pub outcome: Option<Word>,
    /// The envelope.
    pub envelope: String,
    /// The seed.
    pub seed: u64,
}

impl Tally {
    /// Nothing tried yet.
    pub fn new(row: Row) -> Tally {
        Tally {
            row,
            tried: 0,
            as_expected: 0,
            found: 0,
            sent: 0,
            received: 0,
            starved: 0,
            without_cause: BTreeMap::new(),
            wrong: Vec::new(),
        }
    }

    /// Counts a trial.
    pub fn add(&mut self, trial: &Trial<'_>, observed: &anyhow::Result<Observed>, late: bool) {
        let said = judge(&self.row, observed, late);
        if said == Said::Starved {
            self.starved += 1;
            return;
        }
        self.tried += 1;
        if let Ok(observed) = observed {
            self.found += u64::from(!observed.findings.is_empty());
            self.sent += observed.sent;
            self.received += observed.received;
        }
        if said == Said::AsExpected {
            self.as_expected += 1;
            return;
        }
        let findings = observed.as_ref().map(|observed| observed.findings.clone()).unwrap_or_default();
        for (code, found) in
            findings.iter().filter(|(code, _)| !self.row.codes().contains(code) && !self.row.beside.contains(code))
        {
            *self.without_cause.entry(code.clone()).or_default() += found.count;
        }
        self.wrong.push(Wrong {
            said,
            told: findings.into_keys().collect(),
            outcome: observed.as_ref().ok().map(|observed| observed.outcome),
            envelope: name_of(trial.envelope),
            seed: trial.seed,
        });
    }

    /// Brings what went wrong into an order that does not depend on who ended first.
    pub fn sort(&mut self) {
        self.wrong.sort_by(|a, b| (&a.envelope, a.seed).cmp(&(&b.envelope, b.seed)));
    }

    /// The share of trials that ended as expected, and the share that is shown by so many (one-sided, exact, 95 %).
    pub fn rate(&self) -> Option<(f64, f64)> {
        let share = self.as_expected as f64 / self.tried as f64;
        (self.tried > 0).then(|| (share, lower_bound(self.as_expected, self.tried, 0.95)))
    }

    /// Something is wrong with the judge, the backend or the table.
    pub fn failed(&self) -> bool {
        !self.wrong.is_empty()
    }

    /// Nothing can be said of it.
    pub fn unsettled(&self) -> bool {
        !self.failed() && self.starved > 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::super::trial::Found;
    use super::*;

    fn row(expected: Expected) -> Row {
        let row = table::rows().unwrap().into_iter().find(|row| row.spec.fault.name() == "cut").unwrap();
        Row { expected, ..row }
    }

    fn observed(codes: &[&str], outcome: Word, struck: bool) -> anyhow::Result<Observed> {
        let found = Found { count: 2, blamed: outcome == Word::Fail };
        Ok(Observed {
            outcome,
            findings: codes.iter().map(|code| ((*code).to_owned(), found)).collect(),
            struck: struck.then(|| ("cut".to_owned(), 1)).into_iter().collect(),
            sent: 3,
            received: 2,
        })
    }

    #[test]
    fn only_what_was_expected_and_struck_is_as_expected() {
        let codes = || vec!["GP414".to_owned()];
        let caught = || Expected::Caught(codes());
        let perhaps = || Expected::Perhaps(codes(), "by chance".to_owned());
        use Said::{AsExpected, Idle, Misnamed, Missed, Sprayed, Starved};
        for (expected, told, outcome, struck, late, said) in [
            (caught(), &["GP414"][..], Word::Fail, true, false, AsExpected),
            (caught(), &["GP414"], Word::Fail, true, true, AsExpected),
            (caught(), &["GP414"], Word::Fail, false, false, Idle),
            (caught(), &[], Word::Pass, false, false, Idle),
            (caught(), &["GP414"], Word::Pass, true, false, Sprayed),
            (caught(), &[], Word::Pass, true, false, Missed),
            (caught(), &[], Word::Pass, true, true, Starved),
            (caught(), &["GP302"], Word::Fail, true, false, Misnamed),
            (caught(), &["GP302", "GP414"], Word::Fail, true, false, Sprayed),
            (caught(), &["GP302", "GP414"], Word::Fail, true, true, Starved),
            (Expected::Noted(codes()), &["GP414"], Word::Pass, true, false, AsExpected),
            (Expected::Noted(codes()), &["GP414"], Word::Fail, true, false, Sprayed),
            (Expected::Noted(codes()), &[], Word::Pass, true, false, Missed),
            (Expected::Legal, &[], Word::Pass, true, false, AsExpected),
            (Expected::Legal, &[], Word::Inconclusive, true, false, Sprayed),
            (Expected::Legal, &["GP414"], Word::Fail, true, false, Sprayed),
            (Expected::Unseen("nobody looks".to_owned()), &[], Word::Pass, false, false, AsExpected),
            (Expected::Unseen("nobody looks".to_owned()), &["GP414"], Word::Fail, true, false, Sprayed),
            (perhaps(), &[], Word::Pass, true, false, AsExpected),
            (perhaps(), &["GP414"], Word::Fail, true, false, AsExpected),
            (perhaps(), &["GP302"], Word::Fail, true, false, Misnamed),
        ] {
            let case = format!("{expected:?} {told:?} {outcome:?} {struck} {late}");
            assert_eq!(judge(&row(expected), &observed(told, outcome, struck), late), said, "{case}");
        }
        let broke = Err(anyhow::anyhow!("no port"));
        assert_eq!(judge(&row(caught()), &broke, false), Said::Broke("no port".to_owned()));
    }

    #[test]
    fn a_tally_counts_what_was_tried_and_names_what_had_no_cause() {
        let row = row(Expected::Caught(vec!["GP414".to_owned()]));
        let mut tally = Tally::new(row.clone());
        let trial = |seed| Trial { row: &row, envelope: crate::backend::Envelope::Flat, seed, pace: 1, users: None };
        let trials: Vec<Trial<'_>> = (1..=4).map(trial).collect();
        tally.add(&trials[3], &observed(&["GP414", "GP302"], Word::Fail, true), false);
        tally.add(&trials[1], &observed(&[], Word::Pass, true), true);
        assert!(tally.failed() && !tally.unsettled());
        tally.add(&trials[0], &observed(&[], Word::Pass, true), false);
        tally.add(&trials[2], &observed(&["GP414"], Word::Fail, true), false);
        tally.sort();
        assert_eq!((tally.tried, tally.as_expected, tally.found, tally.starved), (3, 1, 2, 1));
        assert_eq!((tally.sent, tally.received), (9, 6));
        assert_eq!(tally.without_cause, BTreeMap::from([("GP302".to_owned(), 2)]));
        let wrong: Vec<_> = tally.wrong.iter().map(|wrong| (wrong.seed, wrong.said.clone())).collect();
        assert_eq!(wrong, [(1, Said::Missed), (4, Said::Sprayed)]);
        let (share, bound) = tally.rate().unwrap();
        // One of three: P(X >= 1) = 1 - (1 - p)^3 = 0.05 at p = 1 - 0.95^(1/3).
        assert!(
            (share - 1.0 / 3.0).abs() < 1e-12 && (bound - (1.0 - 0.95_f64.powf(1.0 / 3.0))).abs() < 1e-9,
            "{bound}"
        );
    }

    #[test]
    fn a_row_that_only_told_nothing_is_unsettled() {
        let row = row(Expected::Legal);
        let mut tally = Tally::new(row.clone());
        assert_eq!(tally.rate(), None);
        let trial = Trial { row: &row, envelope: crate::backend::Envelope::Flat, seed: 1, pace: 1, users: None };
        tally.add(&trial, &observed(&["GP302"], Word::Fail, true), true);
        assert!(tally.unsettled() && !tally.failed());
    }
}
