//! The target's own timestamps: whether they run backwards within one run.
//!
//! Evidence of its clocks and of nothing else. Times are compared only with others of the same spelling, for one run may mix
//! senders that write universal and naive local times, and only beyond what the spelling can resolve.

use crate::event::{Found, Number};
use crate::time::Micros;

/// The latest time seen of each spelling.
#[derive(Debug, Default)]
pub(super) struct Clock {
    latest: [Option<Time>; 4],
    /// Of the text that was read last.
    minute: Option<Minute>,
}

/// The minute in which a time lies, with all of its text but the seconds: the next time is mostly of the same minute, and need
/// not be read as a whole.
#[derive(Debug)]
struct Minute {
    /// `2025-09-07T10:00:`
    text: [u8; 17],
    /// `Z`, an offset, or nothing.
    zone: [u8; 6],
    spelling: Spelling,
    /// When it begins, as `Time::at`.
    at: i64,
}

/// The text of a time in parts.
struct Parts {
    /// As `Minute::text`.
    minute: [u8; 17],
    /// Seconds and their fraction, in microseconds.
    micros: i64,
    /// As `Time::resolution`.
    resolution: i64,
    /// As `Minute::zone`.
    zone: [u8; 6],
}

impl Parts {
    /// `None` of a text that is written otherwise.
    fn of(text: &str) -> Option<Parts> {
        let (minute, rest) = text.as_bytes().split_first_chunk::<17>()?;
        let (seconds, rest) = rest.split_first_chunk::<2>()?;
        let digits =
            rest.strip_prefix(b".").map_or(0, |fraction| fraction.iter().take_while(|d| d.is_ascii_digit()).count());
        let (fraction, written) = if digits == 0 { (&rest[..0], rest) } else { rest[1..].split_at(digits) };
        let marks = [minute[4], minute[7], minute[13], minute[16]] == *b"--::";
        let clean = matches!(written.first(), None | Some(b'Z' | b'z' | b'+' | b'-'));
        if !marks || !clean || digits > 6 || !seconds.iter().all(u8::is_ascii_digit) || seconds[0] > b'5' {
            return None;
        }
        let mut zone = [0; 6];
        zone.get_mut(..written.len())?.copy_from_slice(written);
        let number = |all: i64, digit: &u8| 10 * all + i64::from(digit - b'0');
        let resolution = 10_i64.pow(6 - digits as u32);
        let micros = seconds.iter().fold(0, number) * 1_000_000 + fraction.iter().fold(0, number) * resolution;
        Some(Parts { minute: *minute, micros, resolution, zone })
    }
}

/// A time as a target wrote it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Time {
    spelling: Spelling,
    /// Since 1970, in microseconds; of a naive time as if it were universal.
    at: i64,
    /// What the spelling can tell apart, in microseconds.
    resolution: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Spelling {
    Seconds,
    Millis,
    Zoned,
    Naive,
}

/// Numbers from here on are milliseconds: as seconds they would lie after the year 5000.
const MILLIS_FROM: f64 = 1e11;

impl Clock {
    /// By how much `found` lies before a time seen earlier, if it does.
    pub(super) fn backwards(&mut self, found: &Found<'_>) -> Option<Micros> {
        let time = self.read(found)?;
        let latest = self.latest[time.spelling as usize].get_or_insert(time);
        let back = latest.at - time.at;
        if back > latest.resolution.max(time.resolution) {
            return u64::try_from(back).ok().map(Micros);
        }
        if time.at > latest.at {
            *latest = time;
        }
        None
    }

    fn read(&mut self, found: &Found<'_>) -> Option<Time> {
        let parts = if let Found::Text(text) = found { Parts::of(text) } else { None };
        let Some(Parts { minute: text, micros, resolution, zone }) = parts else { return Time::read(found) };
        if let Some(minute) = self.minute.as_ref().filter(|minute| (minute.text, minute.zone) == (text, zone)) {
            return Some(Time { spelling: minute.spelling, at: minute.at + micros, resolution });
        }
        let time = Time::read(found)?;
        self.minute = Some(Minute { text, zone, spelling: time.spelling, at: time.at - micros });
        Some(time)
    }
}

impl Time {
    fn read(found: &Found<'_>) -> Option<Time> {
        match found {
            Found::Number(number) => {
                let value = number.as_f64();
                let whole = matches!(number, Number::Unsigned(_) | Number::Signed(_));
                let (spelling, unit) =
                    if value < MILLIS_FROM { (Spelling::Seconds, 1e6) } else { (Spelling::Millis, 1e3) };
                let resolution = if whole { unit as i64 } else { 1_000 };
                (value > 0.0).then_some(Time { spelling, at: (value * unit) as i64, resolution })
            }
            Found::Text(text) => {
                let digits = text
                    .split_once('.')
                    .map_or(0, |(_, fraction)| fraction.bytes().take_while(u8::is_ascii_digit).count());
                let resolution = 10_i64.pow(6 - u32::try_from(digits.min(6)).unwrap_or(6));
                let zoned = text.parse::<jiff::Timestamp>().map(|time| (Spelling::Zoned, time.as_microsecond()));
                let (spelling, at) = zoned.ok().or_else(|| {
                    let naive: jiff::civil::DateTime = text.parse().ok()?;
                    let time = naive.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
                    Some((Spelling::Naive, time.timestamp().as_microsecond()))
                })?;
                Some(Time { spelling, at, resolution })
            }
            Found::Absent | Found::Null | Found::Bool(_) | Found::Composite { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Found<'_> {
        Found::Text(text.into())
    }

    fn back(times: &[Found<'_>]) -> Vec<u64> {
        let mut clock = Clock::default();
        times.iter().filter_map(|time| clock.backwards(time)).map(|by| by.0).collect()
    }

    #[test]
    fn every_spelling_is_read() {
        let at = |found: &Found<'_>| Time::read(found).map(|time| (time.spelling, time.at));
        let instant = 1_757_239_201_250_000;
        assert_eq!(at(&Found::Number(Number::Float(1_757_239_201.25))), Some((Spelling::Seconds, instant)));
        assert_eq!(at(&Found::Number(Number::Unsigned(1_757_239_201_250))), Some((Spelling::Millis, instant)));
        assert_eq!(at(&text("2025-09-07T10:00:01.250Z")), Some((Spelling::Zoned, instant)));
        assert_eq!(at(&text("2025-09-07T12:00:01.25+02:00")), Some((Spelling::Zoned, instant)));
        assert_eq!(at(&text("2025-09-07T10:00:01.250000")), Some((Spelling::Naive, instant)));
        assert_eq!(at(&text("soon")), None);
    }

    #[test]
    fn times_of_one_minute_are_read_as_each_alone() {
        let mut clock = Clock::default();
        for minute in
            ["2025-09-07T10:00:", "2025-09-07T10:01:", "2025-09-07 10:01:", "2025-13-07T10:01:", "-002025-09-07T10:"]
        {
            for seconds in
                ["00", "01", "59", "60", "1", "0a", "07.5", "07.50", "07.123456", "07.1234567", "07.", "07:30"]
            {
                for zone in ["", "Z", "z", "+02:00", "-0530", "Q", "+02:00:01", "[UTC]"] {
                    let written = format!("{minute}{seconds}{zone}");
                    assert_eq!(clock.read(&text(&written)), Time::read(&text(&written)), "{written}");
                }
            }
        }
    }

    #[test]
    fn only_a_step_back_beyond_the_resolution_counts() {
        assert_eq!(back(&[text("2025-09-07T10:00:02Z"), text("2025-09-07T10:00:01.9Z")]), [0; 0]);
        assert_eq!(back(&[text("2025-09-07T10:00:05.0Z"), text("2025-09-07T10:00:01.0Z")]), [4_000_000]);
        // A naive local time beside a universal one is another clock.
        assert_eq!(back(&[text("2025-09-07T12:00:02"), text("2025-09-07T10:00:01Z")]), [0; 0]);
        assert_eq!(
            back(&[Found::Number(Number::Float(9.5)), Found::Null, Found::Number(Number::Float(9.25))]),
            [250_000]
        );
    }
}
