//! Events and ids that came on the socket, and what the profile makes of each: what somebody needs who writes a profile.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::visit::Visited;
use crate::check::decode;
use crate::event::{Envelope, Extract, Kind, Slots};
use crate::expect::{Expectations, IdRole, IdSource, Matcher, Means, ScriptStep};
use crate::trace::{Content, Direction, Fact, Observed};

/// Values of one id that are told.
const VALUES: usize = 3;

/// A kind of event that came.
#[derive(Debug, Serialize)]
pub struct Event {
    /// Its name, as the target spells it.
    pub event: String,
    /// How often.
    pub times: u64,
    /// Where the name and the event's parts stood.
    pub envelope: String,
    /// What it is to the profile and the grammar.
    pub meaning: String,
}

/// An id that the profile looks for.
#[derive(Debug, Serialize)]
pub struct Id {
    /// As the profile calls it.
    pub id: String,
    /// In how many events it stood.
    pub times: u64,
    /// The first different values.
    pub values: Vec<String>,
    /// Whose they are.
    pub meaning: String,
}

/// Everything that was received, in words.
pub fn seen(expect: &Expectations, visited: &Visited) -> (Vec<Event>, Vec<Id>) {
    let mut own: BTreeMap<String, String> = BTreeMap::new();
    let mut chosen: BTreeMap<IdRole, String> = BTreeMap::new();
    let mut order = Vec::new();
    let mut events: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    let mut ids: Vec<(u64, BTreeSet<String>)> = expect.ids.iter().map(|_| (0, BTreeSet::new())).collect();
    for (_, observed) in &visited.seen {
        let frame = match observed {
            Observed::Fact(Fact::Captured { name, value, .. }) => {
                own.insert(name.clone(), value.clone());
                continue;
            }
            Observed::Fact(Fact::Asked { run, thread, .. }) => {
                let both = [(IdRole::Run, run), (IdRole::Thread, thread)];
                chosen.extend(both.into_iter().filter_map(|(role, value)| Some((role, value.clone()?))));
                continue;
            }
            Observed::Frame(frame) if frame.direction == Direction::Received => frame,
            _ => continue,
        };
        let text = match &frame.content {
            Content::Text(text) => text.to_string(),
            Content::Binary(bytes) if expect.dialect.binary => String::from_utf8_lossy(bytes).into_owned(),
            Content::Binary(_) => {
                count(&mut events, &mut order, ("binary data".to_owned(), String::new(), "not read".to_owned()));
                continue;
            }
            _ => continue,
        };
        let mut read = false;
        decode::each(&expect.dialect, &text, &|name| own.get(name).cloned(), &mut |extract, raw| {
            read = true;
            let name = extract.name.as_ref().map_or_else(|| "(no name)".to_owned(), |name| name.to_string());
            let envelope = match extract.kind {
                Kind::Unnamed => String::new(),
                Kind::Known(_) | Kind::Unknown => expect.dialect.spell(extract.envelope),
            };
            count(&mut events, &mut order, (name, envelope, meaning(expect, extract, raw).to_owned()));
            for (rule, (times, values)) in expect.ids.iter().zip(&mut ids) {
                if let Some(value) = extract.first(&rule.at).and_then(|found| found.as_text()) {
                    *times += 1;
                    values.insert(value.into_owned());
                }
            }
        });
        if !read {
            count(&mut events, &mut order, ("(text)".to_owned(), String::new(), of_text(expect, &text).to_owned()));
        }
    }
    let told = order.into_iter().map(|key| {
        let times = events.get(&key).copied().unwrap_or_default();
        let (event, envelope, meaning) = key;
        Event { event, times, envelope, meaning }
    });
    let ids = expect.ids.iter().zip(ids).map(|(rule, (times, values))| {
        let wanted = match &rule.source {
            IdSource::Captured(name) => own.get(&**name).cloned(),
            IdSource::Chosen => chosen.get(&rule.role).cloned(),
            IdSource::Learned => None,
        };
        let meaning = match (times, &rule.source, wanted) {
            (0, ..) => "came in no event: look where it stands, or remove the rule".to_owned(),
            (_, IdSource::Learned, _) => "made by the target".to_owned(),
            (_, _, None) => "the user's own is not known".to_owned(),
            (_, _, Some(wanted)) if values.iter().all(|value| *value == wanted) => "the user's own".to_owned(),
            (_, _, Some(wanted)) => format!("not always the user's own, {wanted}"),
        };
        Id { id: rule.name.to_string(), times, values: values.into_iter().take(VALUES).collect(), meaning }
    });
    let told: Vec<Event> = told.collect();
    // Without an event nothing is known of ids.
    let ids = if told.is_empty() { Vec::new() } else { ids.collect() };
    (told, ids)
}

type Row = (String, String, String);

fn count(events: &mut BTreeMap<Row, u64>, order: &mut Vec<Row>, row: Row) {
    if !events.contains_key(&row) {
        order.push(row.clone());
    }
    *events.entry(row).or_default() += 1;
}

/// What a text is that is no event: matchers may know it by its words.
fn of_text(expect: &Expectations, text: &str) -> &'static str {
    let mut slots = Slots::default();
    slots.reset(expect.dialect.trie.slots());
    let extract = Extract { kind: Kind::Unnamed, name: None, envelope: Envelope::default(), slots };
    match meaning(expect, &extract, text) {
        UNNAMED => "cannot be read as `events.decode` says",
        known => known,
    }
}

/// Of an event that nothing names.
const UNNAMED: &str = "no name where the profile looks";

/// What an event is to whoever reads it.
fn meaning(expect: &Expectations, extract: &Extract<'_>, text: &str) -> &'static str {
    let holds = |when: &Matcher| when.holds(extract, text);
    let waits = expect.script.iter().filter_map(|step| match step {
        ScriptStep::Wait { when, refused, .. } => Some((when, refused)),
        ScriptStep::Send => None,
    });
    let waits: Vec<_> = waits.collect();
    if waits.iter().any(|(_, refused)| refused.iter().any(holds)) || expect.asking.refused.iter().any(holds) {
        return "a refusal";
    }
    if waits.iter().any(|(when, _)| holds(when)) {
        return "what the script waits for";
    }
    if let Some(beat) = expect.heartbeats.iter().find(|beat| holds(&beat.when)) {
        return match (beat.means, beat.answered) {
            (Means::Question, _) => "a question of the agent, answered",
            (Means::Acknowledgement, _) => "the acknowledgement of an ask",
            (Means::Ignored, _) => "ignored",
            (Means::Beat, true) => "a heartbeat, answered",
            (Means::Beat, false) => "a heartbeat",
        };
    }
    if expect.ends.bad.iter().any(holds) {
        return "a bad end";
    }
    if expect.ends.good.iter().any(holds) {
        return "a good end";
    }
    match extract.kind {
        Kind::Known(kind) if expect.grammar.symbol_of(kind).is_some() => "part of a run",
        Kind::Known(_) => "known to the profile",
        Kind::Unknown => "nothing mentions it",
        Kind::Unnamed => UNNAMED,
    }
}
