//! Matchers and pointers as a profile writes them, and their way into `expect`.
//!
//! Everything that can be wrong with one is reported while it is decoded, so that compiling it cannot fail. What a matcher
//! decides (a greeting, an end, the success of a step) is the business of the key it stands under.

use serde_json::{Value as Json, json};

use crate::document::context::listing;
use crate::document::decode::{Decode, Definitions, Fields};
use crate::document::diagnostic::quote;
use crate::document::text::Text;
use crate::document::tree::{Entry, NumberValue, Value};
use crate::document::values::Pattern;
use crate::document::{Context, Diagnostic, Node, Span};
use crate::event::{Number, SlotId};
use crate::expect::{Condition, Matcher, Names, Test, Trie};

/// A JSON Pointer (RFC 6901): empty, or names each behind a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(String);

/// A matcher of frames: JSON Pointers, `event`, `text`, `prefix`, `not`, `any`.
#[derive(Debug, Clone)]
pub struct When(Vec<Clause>);

/// A matcher of the body of an HTTP answer: as [`When`] without `event` and `prefix`.
#[derive(Debug, Clone)]
pub struct BodyWhen(When);

/// A test of something that is a text and never anything else, as a header is.
#[derive(Debug, Clone)]
pub struct TextTest(pub(crate) Test);

/// A matcher that gives an event its name: as [`When`] without `event` and `${}`.
#[derive(Debug, Clone)]
pub struct NameWhen(When);

/// A text with `${}`, and as it was written, which names the value that it has for a user.
#[derive(Debug, Clone)]
pub struct Own {
    /// What is filled in.
    pub text: Text,
    /// As written.
    pub written: String,
}

#[derive(Debug, Clone)]
enum Clause {
    Event(Vec<String>),
    At(Pointer, Test<Own>),
    Text(Test<Own>),
    /// With the place where it was written.
    Prefix(Test<Own>, Span),
    Not(When),
    Any(Vec<When>),
}

/// What a matcher is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Frame,
    /// A frame that has no name yet.
    Unnamed,
    Body,
}

impl Pointer {
    /// The pointer's slot in `trie`. `whole` also keeps objects and lists that stand there, as text.
    pub(crate) fn intern(&self, trie: &mut Trie, whole: bool) -> SlotId {
        trie.intern(&self.0, whole).expect("checked when it was decoded")
    }
}

impl When {
    /// The matcher with its pointers in `trie` and its event names in `names`.
    pub(crate) fn compile(&self, trie: &mut Trie, names: &mut Names) -> Matcher {
        let conditions = self.0.iter().map(|clause| match clause {
            Clause::Event(kinds) => Condition::Event(kinds.iter().map(|kind| names.intern(kind)).collect()),
            Clause::At(pointer, test) => Condition::At(pointer.intern(trie, false), settled(test, trie)),
            Clause::Text(test) => Condition::Text(settled(test, trie)),
            Clause::Prefix(test, _) => Condition::At(trie.intern_before(), settled(test, trie)),
            Clause::Not(when) => Condition::Not(when.compile(trie, names)),
            Clause::Any(any) => Condition::Any(any.iter().map(|when| when.compile(trie, names)).collect()),
        });
        Matcher { all: conditions.collect() }
    }

    /// Where it asks for what stands before the document.
    pub(crate) fn prefixes(&self) -> Vec<Span> {
        let clauses = self.clauses().into_iter();
        clauses.filter_map(|clause| if let Clause::Prefix(_, span) = clause { Some(*span) } else { None }).collect()
    }

    /// Every text with `${}` in it.
    pub(crate) fn own(&self) -> Vec<Own> {
        let mut own = Vec::new();
        for clause in self.clauses() {
            if let Clause::At(_, test) | Clause::Text(test) | Clause::Prefix(test, _) = clause {
                test.map(&mut |found| own.push(found.clone()));
            }
        }
        own
    }

    /// Every clause that holds no others.
    fn clauses(&self) -> Vec<&Clause> {
        let clauses = self.0.iter().flat_map(|clause| match clause {
            Clause::Not(when) => when.clauses(),
            Clause::Any(any) => any.iter().flat_map(When::clauses).collect(),
            other => vec![other],
        });
        clauses.collect()
    }
}

/// The test with each text of the user's own at its slot.
fn settled(test: &Test<Own>, trie: &mut Trie) -> Test {
    test.map(&mut |own| trie.intern_own(&own.written))
}

impl NameWhen {
    /// The matcher with its pointers in `trie`.
    pub(crate) fn compile(&self, trie: &mut Trie) -> Matcher {
        self.0.compile(trie, &mut Names::default())
    }

    /// See [`When::prefixes`].
    pub(crate) fn prefixes(&self) -> Vec<Span> {
        self.0.prefixes()
    }
}

impl BodyWhen {
    /// The matcher with its pointers in `trie`.
    pub(crate) fn compile(&self, trie: &mut Trie) -> Matcher {
        self.0.compile(trie, &mut Names::default())
    }

    /// See [`When::own`].
    pub(crate) fn own(&self) -> Vec<Own> {
        self.0.own()
    }
}

/// A part of the format that this build cannot judge, in the words of the decoder. `what` is shown as it is.
pub(crate) fn not_yet(span: Span, what: &str, would: &str, remedy: &str) -> Diagnostic {
    let mistake = Diagnostic::mistake(span, format!("{what} is not part of this build yet"));
    mistake.note(format!("it would {would}")).help(remedy)
}

impl Decode for Pointer {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = String::decode(node, cx)?;
        match pointer_problem(&text) {
            None => Some(Self(text)),
            Some((title, help)) => {
                let mistake = cx.mistake(node, title).help(help);
                cx.report(mistake);
                None
            }
        }
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "string", "pattern": "^(/([^~/]|~[01])*)*$", "examples": ["/data/user_id"] })
    }
}

/// What is wrong with a text as a pointer, and how it is written.
fn pointer_problem(text: &str) -> Option<(String, String)> {
    if text.contains("${") {
        return Some(("a pointer cannot hold `${...}`".to_owned(), "write the place itself".to_owned()));
    }
    if Trie::default().intern(text, false).is_some() {
        return None;
    }
    let title = format!("{} is not a JSON Pointer", quote(text));
    if text.starts_with('/') {
        return Some((title, "inside a name, `~` is written `~0` and `/` is written `~1`".to_owned()));
    }
    // `type`, `data.result`, `$.data[0].id`: what other tools call a path.
    let inner = text.trim_start_matches('$').trim_start_matches('.').replace(['.', '['], "/").replace(']', "");
    Some((title, format!("write {}", quote(&format!("/{inner}")))))
}

impl Decode for When {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        decode_when(node, Subject::Frame, cx)
    }

    fn schema(definitions: &mut Definitions) -> Json {
        schema_of("FrameMatcher", Subject::Frame, definitions)
    }
}

impl Decode for BodyWhen {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        decode_when(node, Subject::Body, cx).map(Self)
    }

    fn schema(definitions: &mut Definitions) -> Json {
        schema_of("BodyMatcher", Subject::Body, definitions)
    }
}

impl Decode for NameWhen {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        decode_when(node, Subject::Unnamed, cx).map(Self)
    }

    fn schema(definitions: &mut Definitions) -> Json {
        schema_of("NameMatcher", Subject::Unnamed, definitions)
    }
}

impl Decode for TextTest {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let test = decode_test(node, &TEXT_OPERATORS, cx)?;
        fixed(&test, cx).then(|| Self(test.map(&mut |_| SlotId(0))))
    }

    fn schema(definitions: &mut Definitions) -> Json {
        test_schema("TextTest", &TEXT_OPERATORS, definitions)
    }
}

fn decode_when(node: &Node, subject: Subject, cx: &mut Context) -> Option<When> {
    let example = match subject {
        Subject::Frame => "`{ event: ping }`",
        Subject::Unnamed => "`{ /type: message }`",
        Subject::Body => "`{ /status: ready }`",
    };
    let Some(entries) = node.entries() else {
        return cx.expected_with_help(node, "a matcher", Some(format!("write a map of conditions such as {example}")));
    };
    if entries.is_empty() {
        let help = format!("it would hold of everything; write a condition such as {example}");
        let mistake = cx.mistake(node, "the matcher is empty").help(help);
        cx.report(mistake);
        return None;
    }
    let clause = |entry: &Entry, cx: &mut Context| {
        let key = &entry.key;
        cx.at_key(&key.text, key.span, |cx| decode_clause(entry, subject, cx))
    };
    let clauses: Vec<Option<Clause>> = entries.iter().map(|entry| clause(entry, cx)).collect();
    let when = clauses.into_iter().collect::<Option<_>>().map(When)?;
    let mut clean = true;
    for clause in when.0.iter().filter(|_| subject == Subject::Unnamed) {
        // What a rule names is known before anything of the user is looked at.
        if let Clause::At(_, test) | Clause::Text(test) | Clause::Prefix(test, _) = clause {
            clean &= fixed(test, cx);
        }
    }
    clean.then_some(when)
}

/// Whether a test has no text that differs from user to user; reports those that it has.
fn fixed(test: &Test<Own>, cx: &mut Context) -> bool {
    let mut fixed = true;
    test.map(&mut |own| {
        fixed = false;
        let span = own.text.holes().next().map_or(own.text.span, |hole| hole.span);
        let mistake = Diagnostic::mistake(span, "a value that differs from user to user cannot stand here");
        cx.report(mistake.help("write the value itself, or `$${` for the two characters"));
    });
    fixed
}

fn decode_clause(entry: &Entry, subject: Subject, cx: &mut Context) -> Option<Clause> {
    let (key, node) = (&entry.key, &entry.value);
    match key.text.as_str() {
        "event" if subject == Subject::Body => {
            let mistake = Diagnostic::mistake(key.span, "the answer to a request is no event");
            cx.report(mistake.help("write the place and its value, for example `/status: ready`"));
            None
        }
        "event" if subject == Subject::Unnamed => {
            let mistake = Diagnostic::mistake(key.span, "an event has no name before a rule gives it one");
            cx.report(mistake.help("write the place of its name and the value there, for example `/type: message`"));
            None
        }
        "event" => decode_kinds(node, cx).map(Clause::Event),
        "text" => decode_test(node, &TEXT_OPERATORS, cx).map(Clause::Text),
        "not" => decode_when(node, subject, cx).map(Clause::Not),
        "any" => decode_alternatives(node, subject, cx).map(Clause::Any),
        "prefix" if subject == Subject::Body => {
            let mistake = Diagnostic::mistake(key.span, "nothing stands before the answer to a request");
            cx.report(mistake.help("write `text: { matches: '^...' }` for what the body begins with"));
            None
        }
        "prefix" => decode_test(node, &TEXT_OPERATORS, cx).map(|test| Clause::Prefix(test, key.span)),
        pointer if pointer.starts_with('/') || pointer.is_empty() => {
            let problem = pointer_problem(pointer);
            if let Some((title, help)) = &problem {
                cx.report(Diagnostic::mistake(key.span, title).help(help));
            }
            let test = decode_test(node, &OPERATORS, cx)?;
            problem.is_none().then(|| Clause::At(Pointer(key.text.clone()), test))
        }
        other => {
            let (_, help) = pointer_problem(other).unwrap_or_default();
            let keys: &[&str] = match subject {
                Subject::Frame => &["event", "text", "prefix", "not", "any"],
                Subject::Unnamed => &["text", "prefix", "not", "any"],
                Subject::Body => &["text", "not", "any"],
            };
            let mistake = Diagnostic::mistake(key.span, format!("the key {} is not known here", quote(other)));
            let keys = listing(keys.iter().copied(), "and");
            cx.report(mistake.help(format!("{help} for a place; the other keys of a matcher are {keys}")));
            None
        }
    }
}

fn decode_kinds(node: &Node, cx: &mut Context) -> Option<Vec<String>> {
    let kinds = match &node.value {
        Value::List(items) if !items.is_empty() => {
            let kinds: Vec<_> =
                items.iter().enumerate().map(|(at, item)| cx.at_index(at, |cx| decode_literal(item, cx))).collect();
            kinds.into_iter().collect::<Option<Vec<_>>>()?
        }
        Value::List(_) => return empty_list(node, cx),
        Value::Map(_) => {
            let help = "to test a name otherwise, test its place, for example `/type: { matches: '^agent_' }`";
            return cx.expected_with_help(node, "the name of an event or a list of names", Some(help.to_owned()));
        }
        _ => vec![decode_literal(node, cx)?],
    };
    Some(kinds)
}

fn decode_alternatives(node: &Node, subject: Subject, cx: &mut Context) -> Option<Vec<When>> {
    let items = match &node.value {
        Value::List(items) if !items.is_empty() => items,
        Value::List(_) => return empty_list(node, cx),
        _ => return cx.expected(node, "a list of matchers"),
    };
    let any: Vec<_> =
        items.iter().enumerate().map(|(at, item)| cx.at_index(at, |cx| decode_when(item, subject, cx))).collect();
    any.into_iter().collect()
}

/// The operators of a test, and those of them that say something about a text that is always there.
const OPERATORS: [&str; 5] = ["equals", "matches", "contains", "exists", "not"];
const TEXT_OPERATORS: [&str; 4] = ["equals", "matches", "contains", "not"];

/// A scalar (equal with its type), a list (one of), or a map of operators that must all hold.
fn decode_test(node: &Node, operators: &[&str], cx: &mut Context) -> Option<Test<Own>> {
    match &node.value {
        Value::Map(entries) => {
            let (_, clean) = Fields::open(node, operators, &[], cx)?;
            if entries.is_empty() {
                let choice = listing(operators.iter().copied(), "or");
                let mistake = cx.mistake(node, "the test is empty").help(format!("write a value, or one of {choice}"));
                cx.report(mistake);
                return None;
            }
            let known = entries.iter().filter(|entry| operators.contains(&entry.key.text.as_str()));
            let decode = |entry: &Entry, cx: &mut Context| {
                cx.at_key(&entry.key.text, entry.key.span, |cx| {
                    decode_operator(&entry.key.text, &entry.value, operators, cx)
                })
            };
            let tests: Vec<Option<Test<Own>>> = known.map(|entry| decode(entry, cx)).collect();
            let mut tests = tests.into_iter().collect::<Option<Vec<_>>>().filter(|_| clean)?;
            if tests.len() == 1 { tests.pop() } else { Some(Test::AllOf(tests)) }
        }
        Value::List(items) => {
            if items.is_empty() {
                return empty_list(node, cx);
            }
            let decode = |(at, item): (usize, &Node), cx: &mut Context| {
                cx.at_index(at, |cx| match &item.value {
                    Value::List(_) => cx.expected(item, "a value or a map of operators"),
                    _ => decode_test(item, operators, cx),
                })
            };
            let tests: Vec<Option<Test<Own>>> = items.iter().enumerate().map(|item| decode(item, cx)).collect();
            tests.into_iter().collect::<Option<_>>().map(Test::OneOf)
        }
        _ => decode_scalar(node, operators, cx),
    }
}

fn decode_operator(name: &str, node: &Node, operators: &[&str], cx: &mut Context) -> Option<Test<Own>> {
    match name {
        "equals" => match &node.value {
            Value::List(_) | Value::Map(_) => {
                let help = "lists and maps are compared by the places in them";
                cx.expected_with_help(node, "text, a number, true, false or null", Some(help.to_owned()))
            }
            _ => decode_scalar(node, operators, cx),
        },
        "matches" => {
            let pattern = decode_literal(node, cx)?;
            Pattern::compile(&pattern, node, cx).map(|pattern| Test::Matches(pattern.0))
        }
        "contains" => decode_text(node, cx).map(|text| match text {
            Ok(literal) => Test::Contains(literal),
            Err(own) => Test::ContainsOwn(own),
        }),
        "exists" => bool::decode(node, cx).map(Test::Exists),
        _ => decode_test(node, operators, cx).map(|test| Test::Not(Box::new(test))),
    }
}

fn decode_scalar(node: &Node, operators: &[&str], cx: &mut Context) -> Option<Test<Own>> {
    let text = |cx: &mut Context| {
        decode_text(node, cx).map(|text| match text {
            Ok(literal) => Test::Text(literal),
            Err(own) => Test::Own(own),
        })
    };
    // Where existence is no question, the subject is a text and never anything else.
    if !operators.contains(&"exists") {
        return text(cx);
    }
    match &node.value {
        Value::Null if node.span.is_empty() => {
            let help = "write a value, `null`, or `{ exists: true }`";
            cx.expected_with_help(node, "a value", Some(help.to_owned()))
        }
        Value::Null => Some(Test::IsNull),
        Value::Bool(value) => Some(Test::Bool(*value)),
        Value::Number(number) => Some(Test::Number(match number.value {
            NumberValue::Unsigned(value) => Number::Unsigned(value),
            NumberValue::Negative(value) => Number::Signed(value),
            NumberValue::Float(value) => Number::Float(value),
        })),
        _ => text(cx),
    }
}

fn empty_list<T>(node: &Node, cx: &mut Context) -> Option<T> {
    let mistake = cx.mistake(node, "the list is empty").help("write at least one value, or remove the key");
    cx.report(mistake);
    None
}

/// A text, or (`Err`) one that differs from user to user.
fn decode_text(node: &Node, cx: &mut Context) -> Option<Result<String, Own>> {
    let text = Text::decode(node, cx)?;
    Some(match text.as_literal() {
        Some(literal) => Ok(literal.to_owned()),
        None => Err(Own { text, written: node.text().unwrap_or_default().to_owned() }),
    })
}

/// A text without holes.
fn decode_literal(node: &Node, cx: &mut Context) -> Option<String> {
    match decode_text(node, cx)? {
        Ok(literal) => Some(literal),
        Err(own) => {
            fixed(&Test::Own(own), cx);
            None
        }
    }
}

fn schema_of(name: &str, subject: Subject, definitions: &mut Definitions) -> Json {
    let owner = match subject {
        Subject::Frame => concat!(module_path!(), "::When"),
        Subject::Unnamed => concat!(module_path!(), "::NameWhen"),
        Subject::Body => concat!(module_path!(), "::BodyWhen"),
    };
    definitions.refer(name, owner, |definitions| {
        let test = test_schema("ValueTest", &OPERATORS, definitions);
        let text = test_schema("TextTest", &TEXT_OPERATORS, definitions);
        let again = json!({ "$ref": format!("#/$defs/{name}") });
        let mut properties = json!({
            "text": text,
            "not": again.clone(),
            "any": { "type": "array", "items": again, "minItems": 1 },
        });
        if subject == Subject::Frame {
            let kind = json!({ "type": "string" });
            properties["event"] = json!({ "anyOf": [kind.clone(), { "type": "array", "items": kind, "minItems": 1 }] });
        }
        if subject != Subject::Body {
            properties["prefix"] = test_schema("TextTest", &TEXT_OPERATORS, definitions);
        }
        json!({
            "type": "object",
            "description": "Conditions that must all hold: JSON Pointers with what must stand there, and the keys below.",
            "properties": properties,
            "patternProperties": { "^(/([^~/]|~[01])*)*$": test },
            "additionalProperties": false,
            "minProperties": 1,
        })
    })
}

fn test_schema(name: &'static str, operators: &[&str], definitions: &mut Definitions) -> Json {
    let owner =
        if name == "ValueTest" { concat!(module_path!(), "::Test") } else { concat!(module_path!(), "::TextTest") };
    definitions.refer(name, owner, |_| {
        let again = json!({ "$ref": format!("#/$defs/{name}") });
        let may_be_absent = operators.contains(&"exists");
        let scalar = match may_be_absent {
            true => json!({ "type": ["string", "number", "boolean", "null"] }),
            false => json!({ "type": "string" }),
        };
        let mut properties = json!({
            "equals": scalar.clone(),
            "matches": { "type": "string", "format": "regex" },
            "contains": { "type": "string" },
            "not": again,
        });
        if may_be_absent {
            properties["exists"] =
                json!({ "type": "boolean", "description": "Present and not null; or (false) absent or null." });
        }
        let operators = json!({
            "type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1,
        });
        let one = json!({ "anyOf": [scalar, operators] });
        let list = json!({ "type": "array", "items": one.clone(), "minItems": 1 });
        json!({
            "description": "A value is equal with its type, a list is one of, a map holds operators that must all hold.",
            "anyOf": [one["anyOf"][0], one["anyOf"][1], list],
        })
    })
}
