//! What must come of every fault, as it was written by hand: read from the table that the tests read as well.
//!
//! The table knows names of faults, envelopes and rules. What a trial made of them is not known here.

use clap::ValueEnum;

use crate::backend::{Envelope, Spec, Strikes};

/// The table, as it stands with the tests.
const TABLE: &str = include_str!("../../../tests/detection.txt");

/// What must come of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Findings of these rules and of no others, and no pass.
    Caught(Vec<String>),
    /// Findings of these rules and of no others, as notes, and a pass.
    Noted(Vec<String>),
    /// Findings of these rules and of no others, and no pass; or none, and a pass: by chance, for this reason.
    Perhaps(Vec<String>, String),
    /// No finding, and a pass: it is legal.
    Legal,
    /// No finding, and a pass: it cannot be noticed, for this reason.
    Unseen(String),
}

/// A line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// The fault with its settings.
    pub spec: Spec,
    /// The envelopes it is tried in.
    pub envelopes: Vec<Envelope>,
    /// The agents that do the work; none if the agent itself does it.
    pub sub_agents: Vec<String>,
    /// What the scenario asks beside what it asks of all, as `--set` takes it.
    pub asks: Vec<String>,
    /// What must come of it.
    pub expected: Expected,
    /// Codes that may be found beside those, by chance.
    pub beside: Vec<String>,
    /// It shows in something that does not come, so that patience must be short for it.
    pub waits: bool,
    /// A healthy run takes a second, so that a quick one shows on a busy machine as well.
    pub slow: bool,
}

impl Row {
    /// The codes that must be found.
    pub fn codes(&self) -> &[String] {
        match &self.expected {
            Expected::Caught(codes) | Expected::Noted(codes) | Expected::Perhaps(codes, _) => codes,
            Expected::Legal | Expected::Unseen(_) => &[],
        }
    }

    /// The fault with its time multiplied by `pace`, but for the life of a token, which somebody waits for as long as the row says.
    pub fn fault(&self, pace: u32) -> Spec {
        let pace = if self.spec.fault.strikes() == Strikes::Door { 1 } else { pace };
        Spec { by: self.spec.by * pace, ..self.spec.clone() }
    }

    /// Whether it is a misbehaviour that must be caught.
    pub fn must_be_caught(&self) -> bool {
        matches!(self.expected, Expected::Caught(_))
    }

    /// The fault as the table writes it, and its envelopes where a row is about some of them.
    pub fn name(&self) -> String {
        let all = envelopes_of(self.spec.fault.strikes());
        let (own, others): (Vec<_>, Vec<_>) = all.iter().partition(|envelope| self.envelopes.contains(envelope));
        let names = |envelopes: &[&Envelope]| {
            envelopes.iter().map(|envelope| name_of(**envelope)).collect::<Vec<_>>().join(", ")
        };
        let mut name = self.spec.to_string();
        match () {
            () if others.is_empty() => {}
            () if others.len() < own.len() => name += &format!(" not in {}", names(&others)),
            () => name += &format!(" in {}", names(&own)),
        }
        if !self.sub_agents.is_empty() {
            name += &format!(" of {}", self.sub_agents.join(","));
        }
        self.asks.iter().for_each(|ask| name += &format!(" with {ask}"));
        name
    }
}

/// What an envelope is called on the command line.
pub fn name_of(envelope: Envelope) -> String {
    envelope.to_possible_value().expect("no envelope is hidden").get_name().to_owned()
}

/// The rows, in the order of the table. Envelopes that a row names for itself are left out of the row for all.
///
/// # Errors
///
/// The first line that cannot be read, with its number and why.
pub fn rows() -> Result<Vec<Row>, String> {
    read(TABLE)
}

fn read(table: &str) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = Vec::new();
    for (index, line) in table.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let row = read_row(line).map_err(|why| format!("line {}: {why}: {line}", index + 1))?;
        rows.push(row);
    }
    // A row that names its envelopes speaks for them alone.
    let whole = |row: &Row| row.envelopes.len() == envelopes_of(row.spec.fault.strikes()).len();
    let some: Vec<Row> = rows.iter().filter(|row| !whole(row)).cloned().collect();
    for row in rows.iter_mut().filter(|row| whole(row)) {
        let same =
            |other: &&Row| (&other.spec, &other.asks, &other.sub_agents) == (&row.spec, &row.asks, &row.sub_agents);
        let taken: Vec<Envelope> = some.iter().filter(same).flat_map(|row| row.envelopes.clone()).collect();
        row.envelopes.retain(|envelope| !taken.contains(envelope));
    }
    Ok(rows)
}

fn read_row(line: &str) -> Result<Row, String> {
    let (fault, rest) = line.split_once(char::is_whitespace).ok_or("nothing is said of it")?;
    let spec: Spec = fault.parse().map_err(|error| format!("{error}"))?;
    let mut rest = rest.trim_start();
    let (mut envelopes, mut sub_agents, mut asks) = (envelopes_of(spec.fault.strikes()), Vec::new(), Vec::new());
    while let Some((word @ ("in" | "of" | "with"), more)) = rest.split_once(' ') {
        let (value, more) = more.split_once(char::is_whitespace).ok_or("nothing is said of it")?;
        match word {
            "with" => asks.push(value.to_owned()),
            "of" => sub_agents = value.split(',').map(str::to_owned).collect(),
            _ => {
                let read = |name: &str| Envelope::from_str(name, false).map_err(|_| format!("no envelope `{name}`"));
                envelopes = value.split(',').map(read).collect::<Result<Vec<_>, _>>()?;
            }
        }
        rest = more.trim_start();
    }
    let (rest, slow) = rest.strip_suffix(", slow").map_or((rest, false), |rest| (rest, true));
    let (said, waits) = rest.strip_suffix(", waits").map_or((rest, false), |said| (said, true));
    let (said, beside) = match (word_of(said), said.split_once(" perhaps ")) {
        ("caught", Some((said, beside))) => (said, beside),
        _ => (said, ""),
    };
    let (word, more) = said.split_once(' ').unwrap_or((said, ""));
    let codes_of = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let codes = || codes_of(more);
    let expected = match word {
        "caught" if !more.is_empty() => Expected::Caught(codes()),
        "noted" if !more.is_empty() => Expected::Noted(codes()),
        "perhaps" if more.contains(": ") => {
            let (codes, why) = more.split_once(": ").unwrap_or_default();
            Expected::Perhaps(codes_of(codes), why.to_owned())
        }
        "legal" if more.is_empty() => Expected::Legal,
        "unseen:" if !more.is_empty() => Expected::Unseen(more.to_owned()),
        _ => return Err("it is neither caught, perhaps, noted, legal nor unseen".to_owned()),
    };
    let beside = codes_of(beside);
    Ok(Row { spec, envelopes, sub_agents, asks, expected, beside, waits, slow })
}

fn word_of(said: &str) -> &str {
    said.split(' ').next().unwrap_or_default()
}

/// The envelopes in which such faults make sense: how events are wrapped changes nothing before there are any.
pub fn envelopes_of(strikes: Strikes) -> Vec<Envelope> {
    match strikes {
        Strikes::Run => Envelope::value_variants().to_vec(),
        _ => vec![Envelope::Flat],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::backend::Fault;
    use crate::rule::Rule;

    /// Rules that no fault of the backend exercises, and why.
    const BY_NO_FAULT: &[(Rule, &str)] = &[
        (Rule::ArrivalsDropped, "it is about the load that was planned"),
        (Rule::HarnessLate, "it is about the harness"),
        (Rule::AskRefused, "the profile names no refusals of an ask: an error frame ends the run"),
        (Rule::ForeignExecution, "it takes two executions against one backend"),
        (Rule::NotReady, "the profile gives a minute, and a selftest has none"),
        (Rule::StepFailed, "the profile has no step but the login before the connection"),
        (Rule::SubprotocolMismatch, "the profile is lenient about the subprotocol, as browsers are"),
    ];

    #[test]
    fn every_fault_has_a_row_for_every_envelope_and_no_row_names_what_is_not() {
        let rows = rows().unwrap();
        for fault in Fault::ALL {
            let tried: BTreeSet<String> = rows
                .iter()
                .filter(|row| row.spec.fault == *fault)
                .flat_map(|row| row.envelopes.iter().map(|envelope| name_of(*envelope)))
                .collect();
            assert_eq!(tried.len(), envelopes_of(fault.strikes()).len(), "{}: {tried:?}", fault.name());
        }
        for row in &rows {
            for code in row.codes() {
                assert!(Rule::ALL.iter().any(|rule| rule.code() == code), "{}: {code}", row.name());
            }
            assert!(!row.envelopes.is_empty(), "{}", row.spec);
        }
    }

    #[test]
    fn every_rule_is_exercised_or_said_not_to_be() {
        let rows = rows().unwrap();
        for rule in Rule::ALL {
            let exercised = rows.iter().any(|row| row.codes().iter().any(|code| code == rule.code()));
            let excepted = BY_NO_FAULT.iter().any(|(other, _)| other == rule);
            assert_ne!(exercised, excepted, "{} {}", rule.code(), rule.name());
        }
    }

    #[test]
    fn a_row_that_names_envelopes_speaks_for_them_alone() {
        let rows = read("cut  caught GP414\n# a word\n\ncut  in demo,flat noted GP113, waits\n").unwrap();
        let [most, some] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(most.name(), "cut not in flat, demo");
        assert_eq!((most.expected.clone(), most.waits), (Expected::Caught(vec!["GP414".to_owned()]), false));
        assert_eq!(some.name(), "cut in flat, demo");
        assert_eq!((some.expected.clone(), some.waits), (Expected::Noted(vec!["GP113".to_owned()]), true));
        let of = "sub-agents-lost in flat of data,report with expect.events=supervisor caught GP101";
        let [of] = &read(of).unwrap()[..] else { panic!() };
        assert_eq!(of.sub_agents, ["data", "report"]);
        assert!(of.name().ends_with(" of data,report with expect.events=supervisor"), "{}", of.name());
        let [row] = &read("evict  perhaps GP413 GP414: it depends").unwrap()[..] else { panic!() };
        let codes = vec!["GP413".to_owned(), "GP414".to_owned()];
        assert_eq!(row.expected, Expected::Perhaps(codes, "it depends".to_owned()));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for (line, why) in [
            ("cut", "line 1: nothing is said of it: cut"),
            ("cutt caught GP414", "there is no fault `cutt`"),
            ("cut caught", "neither caught, perhaps, noted, legal nor unseen"),
            ("cut legal GP414", "neither caught, perhaps, noted, legal nor unseen"),
            ("cut perhaps GP414", "neither caught, perhaps, noted, legal nor unseen"),
            ("cut in demos legal", "no envelope `demos`"),
            ("cut in demo", "nothing is said of it"),
        ] {
            let told = read(line).unwrap_err();
            assert!(told.contains(why), "{line}: {told}");
        }
    }
}
