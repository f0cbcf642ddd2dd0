//! From the tree to typed values, declared once: struct, decoder and JSON Schema come from the same lines.
//!
//! A decoder reports every mistake it meets and goes on: `None` means "this value cannot be used, and why is already
//! said". Keys are never accepted and ignored. A key that belongs to the format but that this build cannot judge stands
//! under `not_yet`: using it is a mistake with advice, and neither the schema nor a suggestion mentions it.
//!
//! | macro | declares | written as |
//! |---|---|---|
//! | `record!` | a struct | a map with these keys |
//! | `words!` | an enum without data | one of these words |
//! | `one_of!` | an enum with data | a map with exactly one of these keys |
//! | `by_shape!` | an enum with data | text, a number, a list or a map, told apart by its kind |
//!
//! Rules between several keys are not its business: decode first, then look at the decoded value.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::context::{Context, advise, closest, listing};
use super::diagnostic::{Diagnostic, quote};
use super::source::Span;
use super::tree::{Entry, Node, Value};

/// A value a file can hold.
pub trait Decode: Sized {
    /// The value, or `None` after its mistakes were reported to `cx`.
    fn decode(node: &Node, cx: &mut Context) -> Option<Self>;

    /// What [`Decode::decode`] accepts, as JSON Schema (2020-12).
    fn schema(definitions: &mut Definitions) -> Json;
}

/// A decoded value with its place, for mistakes that show only later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T: Decode> Decode for Spanned<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let span = cx.place_of(node);
        T::decode(node, cx).map(|value| Self { value, span })
    }

    fn schema(definitions: &mut Definitions) -> Json {
        T::schema(definitions)
    }
}

/// Decodes a whole document.
pub fn decode<T: Decode>(root: &Node, cx: &mut Context) -> Option<T> {
    T::decode(root, cx)
}

/// The JSON Schema of a whole document; the same declarations give the same bytes.
pub fn schema<T: Decode>(title: &str) -> Json {
    let mut definitions = Definitions::default();
    let Json::Object(root) = T::schema(&mut definitions) else { unreachable!("schemas are objects") };
    let mut document = serde_json::Map::new();
    document.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    document.insert("title".to_owned(), json!(title));
    document.extend(root);
    document.insert("$defs".to_owned(), definitions.schemas.into_iter().collect());
    Json::Object(document)
}

/// The named types a schema refers to (`$defs`).
#[derive(Debug, Default)]
pub struct Definitions {
    schemas: BTreeMap<String, Json>,
    /// Which Rust type a name stands for, so that equal names of different modules stay apart.
    owners: BTreeMap<String, &'static str>,
}

impl Definitions {
    /// A reference to the type `name` of module `owner`, built by `build` the first time. A type may refer to itself.
    pub fn refer(&mut self, name: &str, owner: &'static str, build: impl FnOnce(&mut Self) -> Json) -> Json {
        let mut unique = name.to_owned();
        let mut next = 2;
        while self.owners.get(&unique).is_some_and(|known| *known != owner) {
            unique = format!("{name}{next}");
            next += 1;
        }
        if !self.owners.contains_key(&unique) {
            self.owners.insert(unique.clone(), owner);
            let built = build(self);
            self.schemas.insert(unique.clone(), built);
        }
        json!({ "$ref": format!("#/$defs/{unique}") })
    }
}

/// `schema` with a description, unless that is empty.
pub fn described(mut schema: Json, description: &str) -> Json {
    if let (Json::Object(object), false) = (&mut schema, description.is_empty()) {
        object.insert("description".to_owned(), json!(description));
    }
    schema
}

/// The lines of a doc comment as one description.
pub fn prose(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// A key of the format that this build cannot judge yet.
#[derive(Debug, Clone, Copy)]
pub struct NotYet {
    /// The key or word.
    pub key: &'static str,
    /// What it would do.
    pub would: &'static str,
    /// What to do instead.
    pub remedy: &'static str,
}

impl NotYet {
    /// Reports the use of `word` at `span` if it is one of `later`.
    fn refuse(later: &[NotYet], word: &str, span: Span, path: &str, cx: &mut Context) -> bool {
        let Some(found) = later.iter().find(|known| known.key == word) else {
            return false;
        };
        let mistake = Diagnostic::mistake(span, format!("`{path}` is not part of this build yet"));
        cx.report(mistake.note(format!("it would {}", found.would)).help(found.remedy));
        true
    }
}

/// The entries of a map while they are decoded into a record. What `record!` expands to uses it.
#[derive(Debug)]
pub struct Fields<'a> {
    node: &'a Node,
    entries: &'a [Entry],
    /// Keys that are missing because another one stands there, which was reported with the advice to rename it.
    misspelt: Vec<String>,
}

impl<'a> Fields<'a> {
    /// The fields of `node`. Reports a node that is not a map, keys that are not in `allowed`, and those in `later`.
    pub fn open(node: &'a Node, allowed: &[&str], later: &[NotYet], cx: &mut Context) -> Option<(Self, bool)> {
        let Some(entries) = node.entries() else {
            let keys = listing(allowed.iter().copied(), "and");
            return cx.expected_with_help(node, "a map", Some(format!("its keys are {keys}")));
        };
        let mut clean = true;
        let mut misspelt = Vec::new();
        for entry in entries {
            let right = known(entry, allowed, later, cx);
            if !right {
                misspelt.extend(closest(&entry.key.text, allowed.iter().copied()).map(str::to_owned));
            }
            clean &= right;
        }
        Some((Self { node, entries, misspelt }, clean))
    }

    /// A key that must stand.
    pub fn required<T: Decode>(&self, key: &'static str, cx: &mut Context) -> Option<T> {
        let Some(entry) = self.find(key) else {
            if self.misspelt.iter().any(|meant| meant == key) {
                return None;
            }
            let place = cx.key_span().unwrap_or_else(|| cx.place_of(self.node));
            let mistake = Diagnostic::mistake(place, format!("`{}` is missing", cx.path_of(key)));
            cx.report(mistake.help(format!("add `{key}: ...` here")));
            return None;
        };
        decode_entry(entry, cx)
    }

    /// A key that may be absent.
    pub fn optional<T: Decode>(&self, key: &'static str, cx: &mut Context) -> Option<Option<T>> {
        match self.find(key) {
            Some(entry) => decode_entry(entry, cx).map(Some),
            None => Some(None),
        }
    }

    fn find(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key.text == key)
    }
}

/// The only entry of a map in which exactly one of `allowed` must stand. What `one_of!` expands to uses it.
pub fn only_entry<'a>(
    node: &'a Node,
    allowed: &[&'static str],
    later: &[NotYet],
    cx: &mut Context,
) -> Option<(&'static str, &'a Entry)> {
    let choice = match allowed {
        [only] => format!("`{only}`"),
        _ => format!("one of {}", listing(allowed.iter().copied(), "or")),
    };
    let Some(entries) = node.entries() else {
        return cx.expected(node, &format!("a map with {choice}"));
    };
    let mut clean = true;
    let mut chosen: Vec<(&'static str, &Entry)> = Vec::new();
    for entry in entries {
        match allowed.iter().find(|key| **key == entry.key.text) {
            // Duplicates of one key are the reader's to report.
            Some(key) if chosen.iter().any(|(other, _)| other == key) => {}
            Some(key) => chosen.push((*key, entry)),
            None => clean &= known(entry, allowed, later, cx),
        }
    }
    match chosen[..] {
        [one] => clean.then_some(one),
        [] if !clean => None,
        [] => {
            let mistake = cx.mistake(node, format!("{choice} is missing"));
            cx.report(mistake);
            None
        }
        [(first, entry), (second, other), ..] => {
            let mistake = Diagnostic::mistake(other.key.span, format!("`{first}` and `{second}` exclude each other"))
                .also(entry.key.span, "the other stands here")
                .help(format!("keep exactly {choice}"));
            cx.report(mistake);
            None
        }
    }
}

/// The word among `allowed` that a node holds, as its index. What `words!` expands to uses it.
pub fn word(node: &Node, allowed: &[&str], later: &[NotYet], cx: &mut Context) -> Option<usize> {
    let Some(text) = node.text() else {
        return cx.expected(node, &format!("one of {}", listing(allowed.iter().copied(), "or")));
    };
    let found = allowed.iter().position(|word| *word == text);
    if found.is_none() && !NotYet::refuse(later, text, node.span, &format!("{}: {text}", cx.path()), cx) {
        let mistake = cx.mistake(node, format!("{} is not known here", quote(text)));
        cx.report(mistake.help(advise(text, allowed)));
    }
    found
}

/// Decodes the value of an entry, one key deeper.
pub fn decode_entry<T: Decode>(entry: &Entry, cx: &mut Context) -> Option<T> {
    cx.at_key(&entry.key.text, entry.key.span, |cx| T::decode(&entry.value, cx))
}

/// The schema of a map with the given properties. What `record!` and `one_of!` expand to uses it.
pub fn object_schema(properties: Vec<(&str, Json)>, required: Vec<&str>, description: &str) -> Json {
    let properties: serde_json::Map<String, Json> =
        properties.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect();
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    described(object, description)
}

/// The kind of a node as `by_shape!` names it.
pub fn shape_of(node: &Node) -> &'static str {
    match node.value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Text(_) => "text",
        Value::List(_) => "list",
        Value::Map(_) => "map",
    }
}

fn known(entry: &Entry, allowed: &[&str], later: &[NotYet], cx: &mut Context) -> bool {
    let key = entry.key.text.as_str();
    if allowed.contains(&key) {
        return true;
    }
    let path = cx.path_of(key);
    if !NotYet::refuse(later, key, entry.key.span, &path, cx) {
        let mistake = Diagnostic::mistake(entry.key.span, format!("the key {} is not known here", quote(key)));
        let mistake = match cx.path() {
            path if path.is_empty() => mistake,
            path => mistake.label(format!("in `{path}`")),
        };
        cx.report(mistake.help(advise(key, allowed)));
    }
    false
}

/// Declares a struct that is written as a map: the struct, its decoder and its schema.
///
/// ```text
/// record! {
///     /// Who logs in.
///     pub struct Users {
///         /// How many simulated users.
///         pub count: Spanned<Whole<1, 1_000_000>> = required,
///         /// The first number.
///         pub first: Option<u64>,
///         /// How often.
///         pub repeat: u64 = default(1),
///         /// A key that is no Rust name.
///         pub kind as "type": Option<String>,
///     }
///     not_yet {
///         "probes" => ("watch the target between runs", "remove the key"),
///     }
/// }
/// ```
///
/// A field without `= ...` is an `Option`. Doc comments become descriptions in the schema.
#[allow(unused_macros, reason = "each format uses the ones it needs")]
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $field_vis:vis $field:ident $(as $key:literal)? : $type:ty $(= $kind:ident $(($default:expr))?)?
            ),* $(,)?
        }
        $(not_yet { $($later:literal => ($would:literal, $remedy:literal)),* $(,)? })?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        $vis struct $name {
            $($(#[doc = $field_doc])* $field_vis $field: $type,)*
        }

        impl $crate::document::decode::Decode for $name {
            fn decode(
                node: &$crate::document::tree::Node,
                cx: &mut $crate::document::context::Context,
            ) -> Option<Self> {
                const ALLOWED: &[&str] = &[$($crate::document::decode::record!(@key $field $($key)?)),*];
                const LATER: &[$crate::document::decode::NotYet] = &[$($(
                    $crate::document::decode::NotYet { key: $later, would: $would, remedy: $remedy }
                ),*)?];
                let (fields, clean) = $crate::document::decode::Fields::open(node, ALLOWED, LATER, cx)?;
                $(let $field = $crate::document::decode::record!(
                    @decode fields, cx, $crate::document::decode::record!(@key $field $($key)?), $($kind $(($default))?)?
                );)*
                let decoded = Self { $($field: $field?),* };
                clean.then_some(decoded)
            }

            fn schema(definitions: &mut $crate::document::decode::Definitions) -> serde_json::Value {
                const OWNER: &str = concat!(module_path!(), "::", stringify!($name));
                definitions.refer(stringify!($name), OWNER, |definitions| {
                    let properties = vec![$((
                        $crate::document::decode::record!(@key $field $($key)?),
                        $crate::document::decode::described(
                            <$type as $crate::document::decode::Decode>::schema(definitions),
                            &$crate::document::decode::prose(&[$($field_doc),*]),
                        ),
                    )),*];
                    let required = [$(
                        $crate::document::decode::record!(@required
                            $crate::document::decode::record!(@key $field $($key)?), $($kind)?)
                    ),*];
                    let required = required.into_iter().flatten().collect();
                    let description = $crate::document::decode::prose(&[$($doc),*]);
                    $crate::document::decode::object_schema(properties, required, &description)
                })
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@decode $fields:ident, $cx:ident, $key:expr, required) => { $fields.required($key, $cx) };
    (@decode $fields:ident, $cx:ident, $key:expr, default($default:expr)) => {
        $fields.optional($key, $cx).map(|given| given.unwrap_or_else(|| $default))
    };
    (@decode $fields:ident, $cx:ident, $key:expr,) => { $fields.optional($key, $cx) };
    (@required $key:expr, required) => { Some($key) };
    (@required $key:expr, $($kind:ident)?) => { None::<&str> };
}

/// Declares an enum that is written as one of some words.
///
/// ```text
/// words! {
///     /// When users log in.
///     pub enum Session {
///         /// each iteration
///         Fresh = "fresh",
///         /// once per user
///         Keep = "keep",
///     }
///     not_yet { "pool" => ("share sessions", "use `keep`") }
/// }
/// ```
#[allow(unused_macros, reason = "each format uses the ones it needs")]
macro_rules! words {
    (
        $(#[doc = $doc:literal])*
        $vis:vis enum $name:ident { $($(#[doc = $variant_doc:literal])* $variant:ident = $word:literal),* $(,)? }
        $(not_yet { $($later:literal => ($would:literal, $remedy:literal)),* $(,)? })?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        $vis enum $name { $($(#[doc = $variant_doc])* $variant,)* }

        impl $name {
            /// The word as files hold it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl $crate::document::decode::Decode for $name {
            fn decode(
                node: &$crate::document::tree::Node,
                cx: &mut $crate::document::context::Context,
            ) -> Option<Self> {
                const LATER: &[$crate::document::decode::NotYet] = &[$($(
                    $crate::document::decode::NotYet { key: $later, would: $would, remedy: $remedy }
                ),*)?];
                let found = $crate::document::decode::word(node, &[$($word),*], LATER, cx)?;
                Some([$(Self::$variant),*][found])
            }

            fn schema(definitions: &mut $crate::document::decode::Definitions) -> serde_json::Value {
                const OWNER: &str = concat!(module_path!(), "::", stringify!($name));
                definitions.refer(stringify!($name), OWNER, |_| {
                    let mut lines = vec![$crate::document::decode::prose(&[$($doc),*])];
                    lines.extend([$(($word, $crate::document::decode::prose(&[$($variant_doc),*]))),*]
                        .into_iter()
                        .filter(|(_, meaning)| !meaning.is_empty())
                        .map(|(word, meaning)| format!("`{word}`: {meaning}")));
                    let schema = serde_json::json!({ "type": "string", "enum": [$($word),*] });
                    $crate::document::decode::described(schema, lines.join("\n").trim())
                })
            }
        }
    };
}

/// Declares an enum that is written as a map with exactly one of some keys.
///
/// ```text
/// one_of! {
///     /// How much work there is.
///     pub enum Load {
///         /// Each user repeats.
///         Closed(Closed) = "closed",
///         /// Users arrive by the clock.
///         Open(Open) = "open",
///     }
/// }
/// ```
#[allow(unused_macros, reason = "each format uses the ones it needs")]
macro_rules! one_of {
    (
        $(#[doc = $doc:literal])*
        $vis:vis enum $name:ident { $($(#[doc = $variant_doc:literal])* $variant:ident($type:ty) = $key:literal),* $(,)? }
        $(not_yet { $($later:literal => ($would:literal, $remedy:literal)),* $(,)? })?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        $vis enum $name { $($(#[doc = $variant_doc])* $variant($type),)* }

        impl $crate::document::decode::Decode for $name {
            fn decode(
                node: &$crate::document::tree::Node,
                cx: &mut $crate::document::context::Context,
            ) -> Option<Self> {
                const LATER: &[$crate::document::decode::NotYet] = &[$($(
                    $crate::document::decode::NotYet { key: $later, would: $would, remedy: $remedy }
                ),*)?];
                let (key, entry) = $crate::document::decode::only_entry(node, &[$($key),*], LATER, cx)?;
                match key {
                    $($key => $crate::document::decode::decode_entry(entry, cx).map(Self::$variant),)*
                    _ => unreachable!("only_entry returns one of the keys it was given"),
                }
            }

            fn schema(definitions: &mut $crate::document::decode::Definitions) -> serde_json::Value {
                const OWNER: &str = concat!(module_path!(), "::", stringify!($name));
                definitions.refer(stringify!($name), OWNER, |definitions| {
                    let choices = [$($crate::document::decode::object_schema(
                        vec![($key, <$type as $crate::document::decode::Decode>::schema(definitions))],
                        vec![$key],
                        &$crate::document::decode::prose(&[$($variant_doc),*]),
                    )),*];
                    let description = $crate::document::decode::prose(&[$($doc),*]);
                    $crate::document::decode::described(serde_json::json!({ "oneOf": choices }), &description)
                })
            }
        }
    };
}

/// Declares an enum whose variants are told apart by the kind of value: `null`, `bool`, `number`, `text`, `list`, `map`.
///
/// ```text
/// by_shape! {
///     /// Where the target is.
///     pub enum Target {
///         /// A profile file, or `embedded`.
///         Named(Spanned<String>) = text,
///         /// Written in place.
///         Inline(Inline) = map,
///     }
///     expected "a file name or a map"
/// }
/// ```
#[allow(unused_macros, reason = "each format uses the ones it needs")]
macro_rules! by_shape {
    (
        $(#[doc = $doc:literal])*
        $vis:vis enum $name:ident { $($(#[doc = $variant_doc:literal])* $variant:ident($type:ty) = $shape:ident),* $(,)? }
        expected $expected:literal
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        $vis enum $name { $($(#[doc = $variant_doc])* $variant($type),)* }

        impl $crate::document::decode::Decode for $name {
            fn decode(
                node: &$crate::document::tree::Node,
                cx: &mut $crate::document::context::Context,
            ) -> Option<Self> {
                let shape = $crate::document::decode::shape_of(node);
                $(if shape == stringify!($shape) {
                    return <$type as $crate::document::decode::Decode>::decode(node, cx).map(Self::$variant);
                })*
                cx.expected(node, $expected)
            }

            fn schema(definitions: &mut $crate::document::decode::Definitions) -> serde_json::Value {
                const OWNER: &str = concat!(module_path!(), "::", stringify!($name));
                definitions.refer(stringify!($name), OWNER, |definitions| {
                    let choices = [$($crate::document::decode::described(
                        <$type as $crate::document::decode::Decode>::schema(definitions),
                        &$crate::document::decode::prose(&[$($variant_doc),*]),
                    )),*];
                    let description = $crate::document::decode::prose(&[$($doc),*]);
                    $crate::document::decode::described(serde_json::json!({ "anyOf": choices }), &description)
                })
            }
        }
    };
}

#[allow(unused_imports, reason = "each format uses the ones it needs")]
pub(crate) use {by_shape, one_of, record, words};

#[cfg(test)]
mod tests {
    use super::super::testing::{decoded, titles, value};
    use super::super::values::{OneOrMany, Percent, Whole};
    use super::*;
    use crate::time::Micros;

    record! {
        /// What users do
        /// and what must hold.
        struct Scenario {
            /// Format version.
            version: Whole<1, 1> = required,
            /// Who logs in.
            users: Users = required,
            load: Option<Load>,
            target: Option<Target>,
            tags: OneOrMany<String> = default(OneOrMany(vec!["none".to_owned()])),
            budgets: Option<Budget>,
            follow as "then": Option<Box<Scenario>>,
        }
        not_yet {
            "probes" => ("watch the target between runs", "remove it"),
        }
    }
    record! {
        /// Simulated users.
        struct Users {
            /// How many.
            count: Spanned<Whole<1, 1_000_000>> = required,
            first: Option<u32>,
            session: Session = default(Session::Fresh),
        }
    }
    words! {
        /// When users log in.
        enum Session {
            /// each iteration
            Fresh = "fresh",
            /// once per user
            Keep = "keep",
        }
        not_yet { "pool" => ("share sessions", "use `keep`") }
    }
    record! { struct Closed { iterations: u32 = required } }
    record! { struct Budget { p95: Option<Micros>, min: Option<Percent> } }
    one_of! {
        enum Load { Closed(Closed) = "closed", Open(Closed) = "open" }
        not_yet { "replay" => ("repeat a recording", "use `open`") }
    }
    by_shape! {
        enum Target { Name(String) = text, Inline(Budget) = map }
        expected "a file name or a map"
    }

    #[test]
    fn a_good_file_becomes_its_struct() {
        let text = "version: 1\nusers: {count: 5, session: keep}\nload: {open: {iterations: 3}}\ntags: [a, b]\n\
                    target: x.yaml\nbudgets: {p95: 2s}\nthen: {version: 1, users: {count: 1}, target: {min: 90%}}\n";
        let scenario: Scenario = value(text);
        assert_eq!(scenario.version.get(), 1);
        assert_eq!(scenario.users.count.value.get(), 5);
        assert_eq!(&text[scenario.users.count.span.start as usize..][..1], "5");
        assert_eq!((scenario.users.first, scenario.users.session.as_str()), (None, "keep"));
        let iterations = match scenario.load {
            Some(Load::Closed(load)) => ("closed", load.iterations),
            Some(Load::Open(load)) => ("open", load.iterations),
            None => ("none", 0),
        };
        assert_eq!(iterations, ("open", 3));
        assert!(matches!(scenario.target, Some(Target::Name(name)) if name == "x.yaml"));
        assert_eq!(scenario.tags.0, ["a", "b"]);
        assert_eq!(scenario.budgets.and_then(|budget| budget.p95), Some(Micros(2_000_000)));
        let follow = scenario.follow.expect("a second scenario");
        assert_eq!(follow.tags.0, ["none"]);
        assert!(matches!(follow.target, Some(Target::Inline(Budget { min: Some(_), .. }))));
    }

    #[test]
    fn every_mistake_of_a_file_is_reported_in_one_pass() {
        let text = "version: 2\nuser:\n  count: 5\nusers:\n  first: -1\n  sesion: fresh\n  session: fersh\n\
                    load: {closed: {iterations: '5'}, open: {}}\ntarget: [a]\ntags: 5\n\
                    budgets: {p95: 2, min: 90}\nthen:\n";
        assert_eq!(
            titles::<Scenario>(text),
            [
                "1:10 expected the number 1, found `2`",
                "2:1 the key `user` is not known here -> did you mean `users`? allowed are `version`, `users`, `load`, \
                 `target`, `tags`, `budgets` and `then`",
                "4:1 `users.count` is missing -> add `count: ...` here",
                "5:10 expected a whole number from 0 to 4,294,967,295, found `-1`",
                "6:3 the key `sesion` is not known here -> did you mean `session`? allowed are `count`, `first` and \
                 `session`",
                "7:12 `fersh` is not known here -> did you mean `fresh`? allowed are `fresh` and `keep`",
                "8:35 `closed` and `open` exclude each other -> keep exactly one of `closed` or `open`",
                "9:9 expected a file name or a map, found a list",
                "10:7 expected text, found a number -> put it in quotes: \"5\"",
                "11:16 expected a duration such as `2s`, found a number -> write `2s` for seconds",
                "11:24 expected a percentage such as `90%`, found a number -> write `90%`",
                "12:1 expected a map, found nothing -> its keys are `version`, `users`, `load`, `target`, `tags`, \
                 `budgets` and `then`",
            ]
        );
    }

    #[test]
    fn a_misspelt_key_is_not_missing_as_well() {
        let told = titles::<Users>("cuont: 5\n");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("1:1 the key `cuont` is not known here -> did you mean `count`?"), "{told:?}");
    }

    #[test]
    fn what_is_not_judged_yet_is_refused_and_never_suggested() {
        let text = "version: 1\nusers: {count: 1, session: pool}\nload: {replay: 1}\nprobe: 1\nprobes: 1\n";
        let (value, shown) = decoded::<Scenario>(text);
        assert!(value.is_none());
        insta::assert_snapshot!(shown, @r#"
        mistake: `users.session: pool` is not part of this build yet
         --> t.yaml:2:28
          |
        2 | users: {count: 1, session: pool}
          |                            ^^^^
          |
          = note: it would share sessions
          = help: use `keep`

        mistake: `load.replay` is not part of this build yet
         --> t.yaml:3:8
          |
        3 | load: {replay: 1}
          |        ^^^^^^
          |
          = note: it would repeat a recording
          = help: use `open`

        mistake: the key `probe` is not known here
         --> t.yaml:4:1
          |
        4 | probe: 1
          | ^^^^^
          |
          = help: allowed are `version`, `users`, `load`, `target`, `tags`, `budgets` and `then`

        mistake: `probes` is not part of this build yet
         --> t.yaml:5:1
          |
        5 | probes: 1
          | ^^^^^^
          |
          = note: it would watch the target between runs
          = help: remove it
        "#);
        assert!(!schema::<Scenario>("t").to_string().contains("probes"));
    }

    #[test]
    fn no_key_and_two_keys_are_both_wrong_where_one_must_stand() {
        let start = "version: 1\nusers: {count: 1}\nload: ";
        assert_eq!(titles::<Scenario>(&format!("{start}{{}}")), ["3:7 one of `closed` or `open` is missing"]);
        let both = format!("{start}{{open: {{iterations: 1}}, closed: {{iterations: 1}}}}");
        let advice = "keep exactly one of `closed` or `open`";
        assert_eq!(titles::<Scenario>(&both), [format!("3:31 `open` and `closed` exclude each other -> {advice}")]);
        let unknown = format!("{start}{{opne: {{iterations: 1}}}}");
        let advice = "did you mean `open`? allowed are `closed` and `open`";
        assert_eq!(titles::<Scenario>(&unknown), [format!("3:8 the key `opne` is not known here -> {advice}")]);
    }

    #[test]
    fn a_duplicate_key_is_reported_once_and_the_first_counts() {
        let shown = titles::<Closed>("iterations: 1\niterations: text\n");
        assert_eq!(shown, ["2:1 the key `iterations` stands twice -> remove one of them"]);
    }

    #[test]
    fn a_value_reached_by_two_aliases_is_wrong_once() {
        let text = "version: 1\nusers: &u {count: none}\nthen: {version: 1, users: *u}\n";
        assert_eq!(titles::<Scenario>(text), ["2:19 expected a whole number from 1 to 1,000,000, found text"]);
    }

    #[test]
    fn the_schema_accepts_what_the_decoder_accepts() {
        let schema = schema::<Scenario>("scenario");
        jsonschema::meta::validate(&schema).expect("a valid schema");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        for text in [
            "{version: 1, users: {count: 5}}",
            "{version: 1, users: {count: 5, session: keep}, load: {open: {iterations: 3}}, tags: [a], target: x}",
            "{version: 1, users: {count: 1}, budgets: {p95: 1m 30s, min: 99.95%}, target: {min: 1%}, tags: a}",
            "{version: 1, users: {count: 1}, then: {version: 1, users: {count: 1}}}",
            "{version: 2, users: {count: 1}}",
            "{version: 1}",
            "{version: 1, users: {count: 0}}",
            "{version: 1, users: {count: 1, session: pool}}",
            "{version: 1, users: {count: 1}, load: {open: {iterations: 3}, closed: {iterations: 3}}}",
            "{version: 1, users: {count: 1}, load: {}}",
            "{version: 1, users: {count: 1}, probes: 1}",
            "{version: 1, users: {count: 1}, tags: []}",
            "{version: 1, users: {count: 1}, budgets: {p95: 2}}",
            "{version: 1, users: {count: 1}, budgets: {p95: 2 days}}",
            "{version: 1, users: {count: 1}, then: {version: 1}}",
        ] {
            let json = super::super::testing::node(text).to_json();
            assert_eq!(validator.is_valid(&json), decoded::<Scenario>(text).0.is_some(), "{text}");
        }
    }

    #[test]
    fn the_schema_carries_the_doc_comments() {
        let schema = schema::<Scenario>("scenario");
        let at = |pointer: &str| schema.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        assert_eq!(at("/$ref"), "#/$defs/Scenario");
        assert_eq!(at("/$defs/Scenario/description"), "What users do and what must hold.");
        assert_eq!(at("/$defs/Scenario/properties/users/description"), "Who logs in.");
        assert_eq!(
            at("/$defs/Session/description"),
            "When users log in.\n`fresh`: each iteration\n`keep`: once per user"
        );
    }

    #[test]
    fn equal_names_of_different_modules_stay_apart() {
        let mut definitions = Definitions::default();
        let first = definitions.refer("Ask", "a::Ask", |_| json!({}));
        let second = definitions.refer("Ask", "b::Ask", |_| json!({}));
        assert_eq!((&first["$ref"], &second["$ref"]), (&json!("#/$defs/Ask"), &json!("#/$defs/Ask2")));
        assert_eq!(definitions.refer("Ask", "b::Ask", |_| unreachable!("known")), second);
    }
}
