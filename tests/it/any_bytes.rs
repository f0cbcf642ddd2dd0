//! Whatever a profile says that the loader accepts, and whatever bytes come: frames are judged, and nothing panics.
//!
//! Profiles are made up of every part that decides how frames are read; frames are bytes, texts, and documents in every form
//! that a profile may ask for, cut anywhere.

use goldenpath::check::conclude;
use goldenpath::document::{Context, Sources, read};
use goldenpath::target::{Profile, compile};
use goldenpath::time::Micros;
use goldenpath::trace::Content;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::dialects::{expecting_by, judged_frames};

/// Places that lead to something in the documents below, to nothing, and to odd keys.
const PLACES: [&str; 12] =
    ["''", "/type", "/a", "/a/b", "/0", "/0/type", "/a/0/b", "/~0~1", "/é", "/data/run_id", "/list", "'/'"];

const NAMES: [&str; 5] = ["agent_started", "agent_completed", "tool_executing", "other", "'a b'"];

/// What is tested at a place.
const TESTS: [&str; 8] = [
    "x",
    "1",
    "[1, '1', true]",
    "{ exists: true }",
    "{ matches: '^[a-z]+$' }",
    "{ contains: a }",
    "{ not: x }",
    "null",
];

fn matcher(prefixes: bool) -> impl Strategy<Value = String> {
    let at = (select(&PLACES[..]), select(&TESTS[..])).prop_map(|(place, test)| format!("{place}: {test}"));
    let event = select(&NAMES[..]).prop_map(|name| format!("event: {name}"));
    let text = select(&TESTS[4..6]).prop_map(|test| format!("text: {test}"));
    let before =
        select(&TESTS[4..6]).prop_map(move |test| if prefixes { format!("prefix: {test}") } else { String::new() });
    let leaf =
        prop::collection::vec(prop_oneof![3 => at, 2 => event, 1 => text, 1 => before], 1..3).prop_map(|parts| {
            // A key stands once in a map.
            let mut parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            parts.sort_by_key(|part| part.split(": ").next().unwrap_or_default().to_owned());
            parts.dedup_by_key(|part| part.split(": ").next().unwrap_or_default().to_owned());
            if parts.is_empty() { "{ event: other }".to_owned() } else { format!("{{ {} }}", parts.join(", ")) }
        });
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| format!("{{ not: {inner} }}")),
            prop::collection::vec(inner, 1..3).prop_map(|any| format!("{{ any: [{}] }}", any.join(", "))),
        ]
    })
}

fn places() -> impl Strategy<Value = String> {
    prop::collection::vec(select(&PLACES[..]), 1..4).prop_map(|places| format!("[{}]", places.join(", ")))
}

/// The part `events` of a profile.
fn profile_text() -> impl Strategy<Value = String> {
    let words =
        vec!["json", "sse", "prefixed", "json_string", "binary", "{ prefixed: '[0-9]*' }", "{ prefixed: '(a|b+)?x' }"];
    let decode = subsequence(words, 1..5).prop_shuffle();
    decode.prop_flat_map(|decode| {
        let prefixes = decode.iter().any(|word| word.contains("prefixed") || *word == "sse");
        let split = prop::collection::vec((select(&PLACES[..]), select(&["own", "type"][..])), 0..3);
        let rules = prop::collection::vec((select(&NAMES[..]), matcher(false)), 0..3);
        let ids = (places(), select(&["exact", "prefix"][..]), select(&["target", "user"][..]));
        let matchers = prop::collection::vec(matcher(prefixes), 7);
        let parts = (split, rules, prop::collection::vec(places(), 4), ids, matchers, any::<bool>());
        (Just(decode), parts).prop_map(|(decode, (split, rules, places, ids, when, append))| {
            let split: Vec<String> = split.iter().map(|(at, by)| format!("{{ at: {at}, by: {by} }}")).collect();
            let rules: Vec<String> = rules
                .iter()
                .enumerate()
                .filter(|(_, (_, when))| !when.contains("event:"))
                .map(|(index, (name, when))| format!("{{ {}: {when} }}", name.replace("a b", &format!("a b{index}"))))
                .collect();
            let mut name = rules;
            name.push("/type".to_owned());
            name.push("/event/0".to_owned());
            let split = if split.is_empty() { String::new() } else { format!("  split: [{}]\n", split.join(", ")) };
            format!(
                "version: 1\nname: any\nsocket: ws://h\nask: {{ send: {{ text: '${{prompt}}', run: '${{run_id}}' }} }}\n\
                 heartbeats: [{{ when: {} }}]\nevents:\n  decode: [{}]\n{split}  name: [{}]\n  \
                 fields: {{ agent: {}, tool: {}, call: {} }}\n  \
                 ids: {{ run: {{ at: {}, source: chosen, compare: {}, unique: {} }} }}\n  \
                 ends: {{ good: {}, bad: {} }}\n  failed: [{}]\n  ignore: [{}]\n  \
                 answer: [{{ when: {}, at: {}, append: {append} }}]\n  degraded: [{}]\n",
                when[0], decode.join(", "), name.join(", "), places[0], places[1], places[2],
                ids.0, ids.1, ids.2, when[1], when[2], when[3], when[4], when[5], places[3], when[6],
            )
        })
    })
}

/// A document such as backends send, with what is odd in it.
fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| if value.is_finite() { value.to_string() } else { "1e999".to_owned() }),
        ".{0,12}".prop_map(|text| serde_json::Value::from(text).to_string()),
        select(
            &["\"agent_started\"", "\"agent_completed\"", "\"{\\\"type\\\":\\\"other\\\"}\"", "\"\\ud800\"", "-0"][..]
        )
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = select(&["type", "event", "a", "b", "data", "run_id", "list", "~/", "é", ""][..]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(","))),
            prop::collection::vec((key, inner), 0..4).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// What may come in a frame.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let wrapped = (document(), document(), 0..6_u8).prop_map(|(one, other, form)| match form {
        0 => format!("42/chat,{one}"),
        1 => format!("event: token\ndata: {one}\n\n: hi\nid: 1\ndata: {other}\n\n"),
        2 => serde_json::Value::from(one).to_string(),
        3 => format!("data: {one}\ndata: {other}"),
        4 => format!("{one}{other}"),
        _ => one,
    });
    let cut = (wrapped, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(text, at, whole)| {
        let end = if whole { text.len() } else { at.index(text.len() + 1) };
        text.into_bytes()[..end].to_vec()
    });
    prop_oneof![4 => cut, 1 => prop::collection::vec(any::<u8>(), 0..40), 1 => ".{0,40}".prop_map(String::into_bytes)]
}

/// The profile, if the loader accepts it.
fn accepted(text: &str) -> Option<Profile> {
    let mut sources = Sources::new();
    let mut cx = Context::new();
    let file = sources.add("any.yaml", text);
    let tree = read(&sources, file, &mut cx)?;
    compile(&tree, Micros::from_secs(5), &mut cx)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_profile_that_validates_panics_on_any_bytes(
        text in profile_text(),
        frames in prop::collection::vec((frame(), any::<bool>()), 1..8),
    ) {
        let profile = accepted(&text);
        prop_assume!(profile.is_some());
        let expect = expecting_by(profile.expect("assumed"));
        let frames: Vec<Content<'_>> = frames
            .iter()
            .map(|(bytes, binary)| match std::str::from_utf8(bytes) {
                Ok(text) if !binary => Content::Text(text.into()),
                _ => Content::Binary(bytes.as_slice().into()),
            })
            .collect();
        let count = frames.len() as u64;
        let judgement = judged_frames(expect.clone(), frames);
        // With the greeting; what the client sent is none.
        prop_assert_eq!(judgement.counts.frames, count + 1);
        conclude(judgement, &expect, false, None);
    }
}

#[test]
fn most_of_the_profiles_are_accepted() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let texts: Vec<String> =
        (0..200).map(|_| profile_text().new_tree(&mut runner).expect("a text").current()).collect();
    let refused: Vec<&String> = texts.iter().filter(|text| accepted(text).is_none()).collect();
    assert!(refused.len() < 100, "{} of 200 are refused, for example:\n{}", refused.len(), refused[0]);
}
