//! The notation of `tests/trace_cases`, which its README describes: reads a case, and writes the findings of one anew.
//!
//! It knows nothing of the judge. What a line means to the harness is `trace_cases`'s.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use goldenpath::document::{Context, Sources, read as read_yaml};
use regex::Regex;
use serde_json::{Value, json};

use super::envelope::{Part, Wrap};

/// One file.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    /// Why it is known to fail.
    pub pending: Option<String>,
    pub users: u32,
    /// The group of each user; nobody is in any if there is none.
    pub groups: Vec<String>,
    pub envelopes: Vec<Wrap>,
    /// The outcome that is expected, if it does not follow from the findings.
    pub verdict: Option<String>,
    /// Verdicts of single claims.
    pub claims: BTreeMap<String, String>,
    /// What stands in the scenario.
    pub scenario: Value,
    /// What stands in the profile, over that of netra.
    pub profile: Value,
    /// What stands above the first line, to the letter.
    head: String,
    pub lines: Vec<Line>,
}

/// One line, with the findings that it must show.
#[derive(Debug, Clone)]
pub struct Line {
    pub number: usize,
    /// The line without its findings.
    pub source: String,
    /// Comments and blank lines above it.
    above: String,
    /// Whom it concerns; `None`: everybody.
    pub user: Option<u32>,
    pub what: What,
    pub findings: Vec<String>,
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Nothing, for so many milliseconds; nobody may have looked.
    Silence { ms: u64, unread: bool },
    /// A frame arrives.
    Received(Received),
    /// The harness does something or is answered: a verb and its words.
    Fact(Vec<Token>),
    /// Nothing more comes.
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// As it stands there.
    Text(String),
    /// An event in the envelope that is tried, or in one of its own.
    Event { wrap: Option<Wrap>, words: Vec<Token> },
    /// A whole run.
    Run,
    /// A control signal, or the end of the connection.
    Control(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Word(String),
    Text(String),
    Pair(String, Value),
}

/// Findings behind or below a line: `! GP103 message`, with the user's number before the code where there are several.
static FINDING: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?:^|\s+)! ((?:\d+ )?GP\d{3}\b)").expect("a pattern"));

/// Lines up to this width have their findings on them.
const WIDTH: usize = 120;

/// Reads the case in a file.
///
/// # Panics
/// With the place, if it cannot be read.
pub fn read(path: &Path) -> Case {
    let name = path.file_stem().and_then(|name| name.to_str()).expect("a UTF-8 name").to_owned();
    parse(name, &std::fs::read_to_string(path).expect("a readable case"))
}

/// Reads a case from its text.
///
/// # Panics
/// As `read`.
pub fn parse(name: String, text: &str) -> Case {
    assert!(text.starts_with("# "), "{name}: the first line says what the case is about");
    let (head, body, first) = match text.split_once("\n---\n") {
        Some((head, body)) => (head, body, head.lines().count() + 2),
        None => ("", text, 1),
    };
    let mut header = yaml(&name, head);
    let mut take = |key: &str| header.as_object_mut().and_then(|header| header.shift_remove(key));
    let text_of =
        |value: Value| value.as_str().map(str::to_owned).unwrap_or_else(|| panic!("{name}: {value}: no text"));
    let envelopes = match take("envelopes") {
        None => vec![Wrap::A],
        Some(Value::String(all)) if all == "all" => Wrap::ALL.to_vec(),
        Some(Value::String(names)) => names.split_whitespace().map(|word| wrap(&name, word)).collect(),
        Some(other) => panic!("{name}: envelopes: {other}"),
    };
    let claims = take("claims").unwrap_or(json!({}));
    let claims = claims.as_object().expect("claims: a map").iter();
    let mut case = Case {
        pending: take("pending").map(text_of),
        groups: take("groups").map(|groups| serde_json::from_value(groups).expect("a list")).unwrap_or_default(),
        users: take("users").and_then(|users| users.as_u64()).unwrap_or(1) as u32,
        envelopes,
        verdict: take("verdict").map(text_of),
        claims: claims.map(|(claim, verdict)| (claim.clone(), text_of(verdict.clone()))).collect(),
        profile: take("profile").unwrap_or(json!({})),
        scenario: header,
        head: if head.is_empty() { String::new() } else { format!("{head}\n---\n") },
        lines: Vec::new(),
        name,
    };
    case.read_lines(body, first);
    if !case.lines.iter().any(|line| line.what == What::End) {
        let (source, above) = ("end".to_owned(), String::new());
        case.lines.push(Line { number: 0, source, above, user: None, what: What::End, findings: vec![] });
    }
    case
}

/// A map of YAML; an empty one if there is none.
pub fn yaml(name: &str, text: &str) -> Value {
    let mut sources = Sources::new();
    let id = sources.add(name, text);
    let read = read_yaml(&sources, id, &mut Context::new()).map(|tree| tree.to_json());
    read.filter(Value::is_object).unwrap_or(json!({}))
}

fn wrap(name: &str, word: &str) -> Wrap {
    let known = Wrap::ALL.into_iter().find(|wrap| wrap.to_string() == word);
    known.unwrap_or_else(|| panic!("{name}: there is no envelope {word:?}"))
}

impl Case {
    fn read_lines(&mut self, body: &str, first: usize) {
        let mut above = String::new();
        for (number, line) in (first..).zip(body.lines()) {
            if line.is_empty() || line.starts_with('#') {
                above = format!("{above}{line}\n");
                continue;
            }
            let at = FINDING.find(line).map_or(line.len(), |found| found.start());
            let (source, findings) = (line[..at].trim(), found_in(&line[at..]));
            if source.is_empty() {
                self.lines.last_mut().expect("a line above the finding").findings.extend(findings);
                continue;
            }
            let place = format!("{}:{number}", self.name);
            let (user, rest) = match source.split_once(' ') {
                Some(("*", rest)) => (None, rest.trim()),
                Some((number, rest)) if number.parse::<u32>().is_ok() => (number.parse().ok(), rest.trim()),
                _ => (Some(1), source),
            };
            let what = self.what(&place, rest);
            let above = std::mem::take(&mut above);
            self.lines.push(Line { number, source: source.to_owned(), above, user, what, findings });
        }
        assert!(above.is_empty(), "{}: nothing stands below its last comment", self.name);
    }

    fn what(&self, place: &str, text: &str) -> What {
        if let Some(rest) = text.strip_prefix("... ") {
            let (time, unread) = rest.strip_suffix(" unread").map_or((rest, false), |time| (time, true));
            return What::Silence { ms: millis(place, time), unread };
        }
        let Some(rest) = text.strip_prefix("< ") else {
            let words = tokens(place, text);
            return if words == [Token::Word("end".to_owned())] { What::End } else { What::Fact(words) };
        };
        if rest.starts_with(['{', '[', '"']) {
            return What::Received(Received::Text(rest.to_owned()));
        }
        if let Some(rest) = rest.strip_prefix("text ") {
            return What::Received(Received::Text(rest.to_owned()));
        }
        let (wrap, rest) = match rest.split_once(": ") {
            Some((word, rest)) if word.len() == 1 => (Some(wrap(place, word)), rest),
            _ => (None, rest),
        };
        let words = tokens(place, rest);
        const CONTROLS: [&str; 7] = ["close", "lost", "binary", "PING", "PONG", "too-large", "violation"];
        What::Received(match &words[0] {
            Token::Word(word) if word == "run" => Received::Run,
            Token::Word(word) if CONTROLS.contains(&&**word) => Received::Control(words),
            _ => Received::Event { wrap, words },
        })
    }

    /// The file's text with these findings, by line.
    pub fn with_findings(&self, findings: &[Vec<String>]) -> String {
        let mut text = self.head.clone();
        for (line, findings) in self.lines.iter().zip(findings) {
            if line.number == 0 && findings.is_empty() {
                continue;
            }
            text = format!("{text}{}{}", line.above, line.source);
            let joined: String = findings.iter().map(|finding| format!("  ! {finding}")).collect();
            if line.source.len() + joined.len() <= WIDTH {
                text = format!("{text}{joined}\n");
            } else {
                text.push('\n');
                findings.iter().for_each(|finding| text = format!("{text}    ! {finding}\n"));
            }
        }
        text
    }
}

/// The findings in the rest of a line, each from its code to the next.
fn found_in(rest: &str) -> Vec<String> {
    let starts: Vec<usize> = FINDING.captures_iter(rest).map(|hit| hit.get(1).expect("a code").start()).collect();
    let ends = FINDING.find_iter(rest).skip(1).map(|next| next.start()).chain([rest.len()]);
    starts.iter().zip(ends).map(|(start, end)| rest[*start..end].trim().to_owned()).collect()
}

/// `300ms`, `8s`, `2min` in milliseconds.
pub fn millis(place: &str, text: &str) -> u64 {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor = match &text[unit..] {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        other => panic!("{place}: {other:?} is neither ms, s nor min"),
    };
    text[..unit].parse::<u64>().unwrap_or_else(|_| panic!("{place}: {text:?} is no time")) * factor
}

/// Words, quoted texts, and `key=value` with a JSON value or a bare word.
fn tokens(place: &str, text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (token, used) = token(place, rest);
        tokens.push(token);
        rest = rest[used..].trim_start();
    }
    assert!(!tokens.is_empty(), "{place}: nothing stands there");
    tokens
}

fn token(place: &str, rest: &str) -> (Token, usize) {
    let json = |text: &str| {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let value = values.next().and_then(Result::ok).unwrap_or_else(|| panic!("{place}: {text} is no JSON value"));
        (value, values.byte_offset())
    };
    if rest.starts_with('"') {
        let (value, used) = json(rest);
        return (Token::Text(value.as_str().expect("a text").to_owned()), used);
    }
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    match rest[..end].split_once('=') {
        Some((key, value)) if value.starts_with(['"', '{', '[']) => {
            let (value, used) = json(&rest[key.len() + 1..]);
            (Token::Pair(key.to_owned(), value), key.len() + 1 + used)
        }
        Some((key, value)) => {
            let value = match value {
                "true" | "false" | "null" => json(value).0,
                word => word.parse::<u64>().map_or_else(|_| json!(word), |number| json!(number)),
            };
            (Token::Pair(key.to_owned(), value), end)
        }
        None => (Token::Word(rest[..end].to_owned()), end),
    }
}

/// What the words of an event say: its kind, what a case gives of its parts, and further members.
pub type Words = (String, BTreeMap<Part, Option<Value>>, Vec<(String, Value)>);

/// Reads the words of an event: its kind, then its agent or tool, then pairs; a text is what it says.
pub fn event(words: &[Token]) -> Words {
    let Some(Token::Word(kind)) = words.first() else { panic!("{words:?}: an event begins with its name") };
    let (mut given, mut more) = (BTreeMap::new(), Vec::new());
    let named = if kind.starts_with("tool") { Part::Tool } else { Part::Agent };
    let said = if kind == "agent_completed" { Part::Answer } else { Part::Text };
    for word in &words[1..] {
        match word {
            Token::Word(name) => drop(given.insert(named, (name != "-").then(|| json!(name)))),
            Token::Text(text) => drop(given.insert(said, Some(json!(text)))),
            Token::Pair(key, value) => {
                let part = match key.as_str() {
                    "agent" => Part::Agent,
                    "tool" => Part::Tool,
                    "call" => Part::Call,
                    "id" => Part::EventId,
                    "user" => Part::User,
                    "thread" => Part::Thread,
                    "run" => Part::Run,
                    "time" => Part::Time,
                    "answer" => Part::Answer,
                    _ => {
                        more.push((key.clone(), value.clone()));
                        continue;
                    }
                };
                given.insert(part, (*value != json!("-")).then(|| value.clone()));
            }
        }
    }
    (kind.clone(), given, more)
}

/// What is expected and not found, and the reverse. A finding that is only a code stands for any of that code.
pub fn apart(expected: &[String], found: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut lacking, mut more) = (Vec::new(), found.to_vec());
    for wanted in expected {
        let fits = |finding: &String| {
            finding == wanted || (code(wanted) == tail(wanted) && finding.starts_with(&format!("{wanted} ")))
        };
        match more.iter().position(fits) {
            Some(index) => drop(more.remove(index)),
            None => lacking.push(wanted.clone()),
        }
    }
    (lacking, more)
}

/// A finding without the number of its user.
fn tail(finding: &str) -> &str {
    finding.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start()
}

/// The code of a finding.
pub fn code(finding: &(impl AsRef<str> + ?Sized)) -> &str {
    tail(finding.as_ref()).split(' ').next().unwrap_or_default()
}

#[test]
fn a_difference_is_told_finding_by_finding() {
    let told = |expected: &[&str], found: &[&str]| {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        apart(&owned(expected), &owned(found))
    };
    let none = || (Vec::<String>::new(), Vec::<String>::new());
    assert_eq!(told(&["GP101 a", "2 GP102"], &["2 GP102 b", "GP101 a"]), none());
    assert_eq!(told(&["GP101"], &[]), (vec!["GP101".to_owned()], vec![]));
    assert_eq!(told(&["GP101 a"], &["GP101 b"]), (vec!["GP101 a".to_owned()], vec!["GP101 b".to_owned()]));
    assert_eq!(told(&["GP101"], &["GP101 a", "GP101 a"]), (vec![], vec!["GP101 a".to_owned()]));
    assert_eq!(told(&["2 GP101"], &["1 GP101 a"]), (vec!["2 GP101".to_owned()], vec!["1 GP101 a".to_owned()]));
}
