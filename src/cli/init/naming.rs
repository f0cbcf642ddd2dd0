//! What gives the events of an export their names: the places that look like it, and rules where one name means several
//! things.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value as Json;

use super::frames::{Document, Form, key, leaves};

/// Where names stand.
#[derive(Debug, Default)]
pub struct Naming {
    /// Rules for one name that stands for several things.
    pub rules: Vec<Rule>,
    /// Places, of which the first that is there counts.
    pub places: Vec<String>,
    /// In how many of the documents that came each place held a name.
    pub held: BTreeMap<String, usize>,
}

/// A name that a document has where all of this stands in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The name.
    pub name: String,
    /// Places with what must stand there.
    pub when: Vec<(String, Json)>,
}

/// An identifier, and no id: few digits.
static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z][A-Za-z_.:/-]*[0-9]{0,2}[A-Za-z_.:/-]*$").expect("a pattern of ours"));

/// Keys that hold names, with how sure that is.
const KEYS: [(&str, u32); 24] = [
    ("type", 100),
    ("event", 96),
    ("event_name", 94),
    ("event_type", 94),
    ("eventType", 94),
    ("msg_type", 92),
    ("messageType", 92),
    ("kind", 85),
    ("op", 80),
    ("action", 78),
    ("method", 76),
    ("cmd", 74),
    ("command", 72),
    ("t", 70),
    ("name", 55),
    ("topic", 50),
    ("phase", 48),
    ("subtype", 46),
    ("state", 45),
    ("execution_state", 45),
    ("status", 44),
    ("stage", 42),
    ("channel", 30),
    ("source", 20),
];

impl Naming {
    /// Finds the places of names in what came.
    pub fn find(documents: &[&Document]) -> Naming {
        let mut naming = Naming::default();
        // A record's line names it already.
        let mut open: Vec<&Document> = documents
            .iter()
            .copied()
            .filter(|d| d.form != Form::Plain && !(d.form == Form::Sse && d.mark.is_some()))
            .collect();
        while let Some(place) = best_place(&open, 4.max(open.len() / 10)).or_else(|| best_place(&open, 1)) {
            let (named, rest): (Vec<_>, Vec<_>) =
                open.iter().partition(|document| named_at(document, &place).is_some());
            naming.held.insert(place.clone(), named.len());
            // Where most have one name, what stands deeper may tell them apart.
            if let Some(deeper) = deeper_place(&named, &place) {
                let held = named.iter().filter(|document| named_at(document, &deeper).is_some()).count();
                naming.held.insert(deeper.clone(), held);
                naming.places.push(deeper);
            }
            naming.places.push(place);
            open = rest;
        }
        naming
    }

    /// The name of a document.
    pub fn name(&self, document: &Document) -> Option<String> {
        let holds = |rule: &&Rule| rule.when.iter().all(|(at, value)| document.value.pointer(at) == Some(value));
        if let Some(rule) = self.rules.iter().find(holds) {
            return Some(rule.name.clone());
        }
        let at_place = self.places.iter().find_map(|place| document.value.pointer(place)?.as_str().map(str::to_owned));
        at_place.or_else(|| document.mark.clone().filter(|_| document.form == Form::Sse))
    }

    /// Tells apart the documents that are all called `name`, if a place in them does: of each value one name.
    pub fn divide(&mut self, name: &str, documents: &[&Document]) -> bool {
        let called: Vec<&Document> =
            documents.iter().copied().filter(|document| self.name(document).as_deref() == Some(name)).collect();
        let Some(place) = self.places.iter().find(|place| called.iter().all(|d| named_at(d, place) == Some(name)))
        else {
            return false;
        };
        let Some(by) = deeper_place_among(&called, place) else { return false };
        let values: BTreeSet<&str> = called.iter().filter_map(|document| named_at(document, &by)).collect();
        let rules = values.into_iter().map(|value| Rule {
            name: format!("{name}_{value}"),
            when: vec![(place.clone(), Json::from(name)), (by.clone(), Json::from(value))],
        });
        self.rules.extend(rules);
        true
    }
}

/// The text at a place of a document, if it may be a name.
fn named_at<'a>(document: &&'a Document, place: &str) -> Option<&'a str> {
    document.value.pointer(place)?.as_str().filter(|text| text.len() <= 60 && NAME.is_match(text))
}

/// The place that holds most of the names, of at least so many documents.
fn best_place(documents: &[&Document], at_least: usize) -> Option<String> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for document in documents {
        for (place, _) in leaves(&document.value) {
            if worth(&place) > 0 && named_at(document, &place).is_some() {
                *places.entry(place).or_default() += 1;
            }
        }
    }
    places.retain(|_, times| *times >= at_least.min(documents.len()));
    let weight = |(place, times): &(String, usize)| worth(place) as usize * *times;
    places.into_iter().rev().max_by_key(weight).map(|(place, _)| place)
}

/// How likely it is that names stand at a place.
fn worth(place: &str) -> u32 {
    let key = key(place);
    let known = KEYS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&key)).map_or(0, |(_, worth)| *worth);
    // `["chat", { ... }]`, as Socket.IO has it.
    let known = if place == "/0" { 90 } else { known };
    let depth = place.matches('/').count() as u32;
    known.saturating_sub(6 * depth.saturating_sub(1))
}

/// A place below that tells apart documents most of which have the same name.
fn deeper_place(documents: &[&Document], place: &str) -> Option<String> {
    let mut names: BTreeMap<&str, Vec<&Document>> = BTreeMap::new();
    for document in documents {
        names.entry(named_at(document, place)?).or_default().push(document);
    }
    let (_, most) = names.into_iter().max_by_key(|(_, called)| called.len())?;
    if most.len() < 3 || most.len() * 5 < documents.len() * 2 {
        return None;
    }
    let deeper = deeper_place_among(&most, place)?;
    (worth(&deeper) >= 60).then_some(deeper)
}

/// Another place that holds a name in all of these, and not the same in all.
fn deeper_place_among(documents: &[&Document], place: &str) -> Option<String> {
    let first = documents.first()?;
    let candidates = leaves(&first.value).into_iter().map(|(candidate, _)| candidate);
    let tells_apart = |candidate: &String| {
        let values: Option<BTreeSet<&str>> = documents.iter().map(|document| named_at(document, candidate)).collect();
        candidate != place && worth(candidate) > 0 && values.is_some_and(|values| values.len() >= 2)
    };
    candidates.filter(tells_apart).max_by_key(|candidate| worth(candidate))
}
