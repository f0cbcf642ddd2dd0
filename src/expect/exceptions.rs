//! What a scenario allows itself: known issues, and rules that weigh other than usual.
//!
//! Every exception is written down with its reason and printed by every report. There is no clock here: which day it is comes
//! from whoever concludes.

use std::fmt;
use std::str::FromStr;

use regex::Regex;

use super::Origin;
use crate::finding::Deviation;
use crate::rule::{Rule, Severity};

/// Known issues and changed rules.
#[derive(Debug, Clone, Default)]
pub struct Exceptions {
    /// Findings that are reported and do not fail, first match first.
    pub known: Vec<Known>,
    /// Rules that weigh other than usual, each at most once.
    pub rules: Vec<RuleChange>,
}

/// A known issue: its findings are reported and do not fail, until a day and up to a number.
#[derive(Debug, Clone)]
pub struct Known {
    /// The rule of its findings.
    pub rule: Rule,
    /// What their sentence must match, if not every finding of the rule is meant.
    pub matches: Option<Regex>,
    /// Where it is being worked on: an address or a number.
    pub issue: String,
    /// The last day on which it is tolerated (UTC).
    pub until: Option<Date>,
    /// The number of findings above which all of them fail.
    pub at_most: Option<u64>,
    /// Where it was written.
    pub origin: Origin,
}

/// A rule that weighs other than usual.
#[derive(Debug, Clone)]
pub struct RuleChange {
    /// Which.
    pub rule: Rule,
    /// How much its findings weigh; `None`: the rule is off.
    pub severity: Option<Severity>,
    /// Why; always there for a rule that is off.
    pub reason: Option<String>,
    /// Where it was written.
    pub origin: Origin,
}

/// A day of the Gregorian calendar, years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Exceptions {
    /// How much a finding of `rule` weighs; `None` if the rule is off.
    pub fn severity(&self, rule: Rule) -> Option<Severity> {
        let change = self.rules.iter().find(|change| change.rule == rule);
        change.map_or(Some(rule.severity()), |change| change.severity)
    }

    /// The index of the known issue that `deviation` is.
    pub fn known(&self, deviation: &Deviation) -> Option<usize> {
        let rule = deviation.rule();
        self.known.iter().position(|known| {
            let fits = |pattern: &Regex| pattern.is_match(&deviation.message());
            known.rule == rule && known.matches.as_ref().is_none_or(fits)
        })
    }
}

impl Date {
    /// The day, if there is such a one.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Date> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return None,
        };
        ((1..=9999).contains(&year) && (1..=days).contains(&day)).then_some(Date { year, month, day })
    }
}

impl fmt::Display for Date {
    /// `2026-11-20`, as RFC 3339 has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:04}-{:02}-{:02}", self.year, self.month, self.day))
    }
}

impl FromStr for Date {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Date, Self::Err> {
        const SHAPE: &str = "a day is written as `2026-11-20`";
        let shaped = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shaped {
            return Err(SHAPE);
        }
        let number = |range: std::ops::Range<usize>| text[range].parse().map_err(|_| SHAPE);
        let (year, month, day): (u16, u16, u16) = (number(0..4)?, number(5..7)?, number(8..10)?);
        Date::new(year, month as u8, day as u8).ok_or("there is no such day")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_read_back_as_written_and_compare_by_time() {
        for text in ["2026-11-20", "2024-02-29", "2000-02-29", "0001-01-01"] {
            assert_eq!(text.parse::<Date>().map(|date| date.to_string()).as_deref(), Ok(text));
        }
        for wrong in
            ["2026-11-31", "2026-02-29", "1900-02-29", "2026-13-01", "2026-00-10", "2026-1-1", "20.11.2026", ""]
        {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
        assert!(Date::new(2026, 11, 20) < Date::new(2026, 12, 1));
    }
}
