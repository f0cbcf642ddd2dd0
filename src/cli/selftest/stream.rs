//! Faults of a stream: what a backend, or anything between it and its users, can do to events that were well when recorded.
//!
//! Each is a change to what was recorded of one run, made without regard to what a judge thinks of it. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value as Json;

use super::tape::{At, Change, Run, Scene, Seen, Standing, Tape, later, text_of};
use crate::event::KindId;
use crate::expect::{Expectations, Role};

use crate::time::Micros;
use crate::trace::{Content, Direction, Entry, Fact, Frame, Observed};

/// A fault of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamFault {
    /// What it is called.
    pub name: String,
    /// What it does to a run.
    pub does: String,
    /// The real failure it stands for.
    pub stands_for: &'static str,
    /// How users would notice.
    pub noticed: &'static str,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// Loses the frames with such an event.
    Lose(KindId),
    LoseAll,
    /// Loses everything after the first.
    Hush,
    Double(KindId),
    /// Swaps the first such frame with the next one.
    Swap(KindId, KindId),
    /// Sends the first such frame again after the last one.
    Again(KindId),
    Rename(KindId),
    Delay(KindId, Micros),
    Garble(KindId),
    Answer(Instead),
    /// Sends such frames to another user, and to their owner as well.
    Leak {
        of: Option<KindId>,
        copied: bool,
    },
    /// Ends the connection in the middle.
    Cut(Option<u16>),
    /// What the grammar allows is no fault, for this reason.
    Legal(&'static str),
}

/// What stands in place of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Instead {
    Nothing,
    Apology,
    Placeholder,
    Prompt,
    Others,
}

/// All faults that are about what was recorded. `slowest`: the longest that a run took.
pub fn faults(scene: &Scene, expect: &Expectations, slowest: Micros) -> Vec<StreamFault> {
    let kinds = distinct(scene.runs.iter().flat_map(|run| &run.frames).flat_map(|seen| seen.kinds.iter().copied()));
    let name = |kind: KindId| expect.kind_name(kind);
    let repeats = |kind: KindId| {
        let mut symbols = expect.grammar.symbols.iter().filter(|symbol| symbol.kinds.contains(&kind));
        symbols.any(|symbol| symbol.role == Role::Step && symbol.max.is_none())
    };
    let mut all = Vec::new();
    let mut add = |name: String, does: String, stands_for, noticed, how| {
        all.push(StreamFault { name, does, stands_for, noticed, how });
    };
    for kind in kinds.iter().copied() {
        add(
            format!("lose-{}", name(kind)),
            format!("does not send `{}`", name(kind)),
            "an emitter that a change of the agent forgot",
            "a step that never shows, or a spinner that never ends",
            How::Lose(kind),
        );
    }
    add(
        "lose-all".to_owned(),
        "sends no event of a run".to_owned(),
        "a socket that the agent's events are not wired to",
        "a question without any reaction",
        How::LoseAll,
    );
    add(
        "hush".to_owned(),
        "sends nothing after the first event of a run".to_owned(),
        "an agent that died behind a queue",
        "a spinner that never ends",
        How::Hush,
    );
    let neighbours = scene.runs.iter().flat_map(|run| {
        let pairs = run.frames.windows(2).filter_map(|pair| Some((*pair[0].kinds.first()?, *pair[1].kinds.first()?)));
        pairs.filter(|(first, then)| first != then)
    });
    for (first, then) in distinct(neighbours) {
        add(
            format!("swap-{}-{}", name(first), name(then)),
            format!("sends `{}` before `{}`", name(then), name(first)),
            "two workers that deliver without an order",
            "steps that jump back",
            How::Swap(first, then),
        );
    }
    for kind in kinds.iter().copied() {
        add(
            format!("double-{}", name(kind)),
            format!("sends `{}` twice", name(kind)),
            "two managers that deliver the same event, or a retry without an id",
            "a step or an answer that shows twice",
            if repeats(kind) { How::Legal("it may come as often as it likes") } else { How::Double(kind) },
        );
    }
    for kind in kinds.iter().copied() {
        add(
            format!("rename-{}", name(kind)),
            format!("sends `{}` under another name", name(kind)),
            "a rename that the front end was not told of",
            "a step that never shows",
            How::Rename(kind),
        );
    }
    for kind in kinds.iter().copied() {
        add(
            format!("again-{}", name(kind)),
            format!("sends `{}` once more after the end", name(kind)),
            "a tool that goes on after its run is over",
            "a finished answer that begins to think again",
            How::Again(kind),
        );
    }
    let delay = Micros::from_secs(10).max(Micros(slowest.0.saturating_mul(3)));
    for kind in kinds.iter().copied() {
        add(
            format!("delay-{}", name(kind)),
            format!("sends `{}` {delay} late", name(kind)),
            "a queue that fills up",
            "a long wait",
            How::Delay(kind, delay),
        );
    }
    if let Some(kind) = kinds.get(kinds.len() / 2) {
        add(
            "garble".to_owned(),
            format!("sends only half of the text of `{}`", name(*kind)),
            "a buffer that is too small, or a text cut to a length",
            "a step that never shows",
            How::Garble(*kind),
        );
    }
    for (called, does, stands_for, noticed, instead) in [
        (
            "empty",
            "ends with an empty answer",
            "an agent whose tools returned nothing",
            "an empty bubble",
            Instead::Nothing,
        ),
        (
            "apology",
            "answers with an apology",
            "a fallback that hides an error",
            "an answer that says sorry",
            Instead::Apology,
        ),
        (
            "placeholder",
            "answers with a placeholder",
            "a stub or mock that is on in production",
            "an answer that says nothing",
            Instead::Placeholder,
        ),
        ("echo", "answers with the question", "a model that is not connected", "one's own words", Instead::Prompt),
        (
            "foreign",
            "answers with what another user was answered",
            "a cache without the user in its key",
            "an answer to another question",
            Instead::Others,
        ),
    ] {
        add(format!("answer-{called}"), does.to_owned(), stands_for, noticed, How::Answer(instead));
    }
    let last = kinds.last().copied();
    for (called, does, of, copied) in [
        ("misroute", "sends all events of a run to another user instead", None, false),
        ("misroute-end", "sends the end of a run to another user instead", last, false),
        ("copy", "sends all events of a run to another user as well", None, true),
        ("copy-end", "sends the end of a run to another user as well", last, true),
    ] {
        add(
            called.to_owned(),
            does.to_owned(),
            "a connection that is looked up by the wrong key",
            "somebody else's conversation",
            How::Leak { of, copied },
        );
    }
    for (called, does, code) in [
        ("cut", "loses the connection in the middle of a run".to_owned(), None),
        ("cut-1000", "closes the connection with 1000 in the middle of a run".to_owned(), Some(1000)),
        ("cut-1011", "closes the connection with 1011 in the middle of a run".to_owned(), Some(1011)),
    ] {
        add(
            called.to_owned(),
            does,
            "a deploy, or a proxy that does not like long connections",
            "an answer that stops in the middle",
            How::Cut(code),
        );
    }
    all
}

/// Each once, in the order in which they came first.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.fold(Vec::new(), |mut known, one| {
        if !known.contains(&one) {
            known.push(one);
        }
        known
    })
}

impl StreamFault {
    /// The change that it makes to `run`.
    ///
    /// # Errors
    ///
    /// Why there is no occasion for it.
    pub fn strike(&self, tapes: &[Tape], scene: &Scene, run: &Run) -> Result<Change, &'static str> {
        let of = |seen: &At| &tapes[seen.tape][seen.index];
        let with = |kind: KindId| run.frames.iter().filter(move |seen| seen.kinds.contains(&kind));
        let first = |kind: KindId| with(kind).next().ok_or("no run has such an event");
        let gone = |frames: &mut dyn Iterator<Item = &Seen>| Change {
            instead: frames.map(|seen| (seen.at, Vec::new())).collect(),
            ..Change::default()
        };
        let instead =
            |at: At, entries: Vec<Entry<'static>>| Change { instead: [(at, entries)].into(), ..Change::default() };
        Ok(match self.how {
            How::Lose(kind) => {
                first(kind)?;
                gone(&mut with(kind))
            }
            How::LoseAll => gone(&mut run.frames.iter()),
            How::Hush => gone(&mut run.frames.iter().skip(1)),
            How::Double(kind) => {
                let seen = first(kind)?;
                instead(seen.at, vec![of(&seen.at).clone(), another(tapes, seen)])
            }
            How::Swap(kind, then) => {
                let pairs = run.frames.windows(2);
                let mut wanted =
                    pairs.filter(|pair| pair[0].kinds.first() == Some(&kind) && pair[1].kinds.first() == Some(&then));
                let pair = wanted.next().ok_or("in no run do they follow one another")?;
                let (a, b) = (of(&pair[0].at), of(&pair[1].at));
                let mut change = instead(pair[0].at, vec![with_text(a, text_of(b).unwrap_or_default().to_owned())]);
                change.and(instead(pair[1].at, vec![with_text(b, text_of(a).unwrap_or_default().to_owned())]));
                change
            }
            How::Again(kind) => {
                let (seen, end) = (first(kind)?, run.frames.last().ok_or("no run has events")?);
                if seen.at == end.at {
                    return Err("nothing comes after it");
                }
                let again = with_text(of(&end.at), text_of(&another(tapes, seen)).unwrap_or_default().to_owned());
                instead(end.at, vec![of(&end.at).clone(), later(&again, Micros::from_millis(1))])
            }
            How::Rename(kind) => {
                let seen = first(kind)?;
                let text = text_of(of(&seen.at)).unwrap_or_default();
                if seen.spelled.is_empty() || !text.contains(&seen.spelled) {
                    return Err("no name of it stands in its frames");
                }
                let renamed = text.replace(&seen.spelled, &format!("{}_v2", seen.spelled));
                instead(seen.at, vec![with_text(of(&seen.at), renamed)])
            }
            How::Delay(kind, by) => Change { later: [(first(kind)?.at, by)].into(), ..Change::default() },
            How::Garble(kind) => {
                let seen = first(kind)?;
                let text = text_of(of(&seen.at)).unwrap_or_default();
                let half = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
                instead(seen.at, vec![with_text(of(&seen.at), text[..half].to_owned())])
            }
            How::Answer(by) => answered(tapes, scene, run, by)?,
            How::Leak { of: kind, copied } => {
                let frames: Vec<&Seen> = match kind {
                    Some(kind) => with(kind).collect(),
                    None => run.frames.iter().collect(),
                };
                leaked(tapes, scene, run, &frames, copied)?
            }
            How::Cut(code) => cut(tapes, run, code)?,
            How::Legal(why) => return Err(why),
        })
    }
}

/// The frames of `run` at another user, and at their owner only if they are `copied`.
fn leaked(tapes: &[Tape], scene: &Scene, run: &Run, frames: &[&Seen], copied: bool) -> Result<Change, &'static str> {
    let mut change = Change::default();
    let mut receiver: Option<Standing> = None;
    for seen in frames {
        let found =
            scene.elsewhere(tapes, run, seen).filter(|(standing, _)| receiver.is_none_or(|one| one == *standing));
        let Some((standing, at)) = found else { continue };
        receiver = Some(standing);
        let entry = &tapes[seen.at.tape][seen.at.index];
        let mut there = entry.clone();
        there.user = Some(standing.user);
        if let Observed::Frame(frame) = &mut there.observed {
            frame.connection = standing.connection;
        }
        if at == seen.at {
            let own = if copied { vec![entry.clone(), there] } else { vec![there] };
            change.instead.insert(at, own);
        } else {
            // Before what stands there, and behind what came there before it.
            let there_already = change.instead.entry(at).or_insert_with(|| vec![tapes[at.tape][at.index].clone()]);
            there_already.insert(there_already.len() - 1, there);
            if !copied {
                change.instead.insert(seen.at, Vec::new());
            }
        }
    }
    if receiver.is_none() {
        return Err("at no run's events was another user connected");
    }
    Ok(change)
}

/// The connection of `run` at an end in its middle.
fn cut(tapes: &[Tape], run: &Run, code: Option<u16>) -> Result<Change, &'static str> {
    if !run.last {
        return Err("its connection is used again");
    }
    let middle = run.frames.get(run.frames.len() / 2).ok_or("no run has events")?;
    let mut end = tapes[middle.at.tape][middle.at.index].clone();
    let Observed::Frame(frame) = &mut end.observed else { return Err("no run has events") };
    frame.content = match code {
        Some(code) => Content::Close { code, reason: Cow::Borrowed("") },
        None => Content::Lost { error: Cow::Borrowed("connection reset by peer") },
    };
    let mut change = Change { instead: [(middle.at, vec![end])].into(), ..Change::default() };
    let after = tapes[middle.at.tape].iter().enumerate().skip(middle.at.index + 1);
    for (index, entry) in after.filter(|(_, entry)| entry.user == Some(run.user)) {
        let on_it = match &entry.observed {
            Observed::Frame(Frame { connection, .. }) | Observed::Fact(Fact::Closed { connection, .. }) => {
                *connection == run.connection
            }
            _ => false,
        };
        if on_it {
            change.instead.insert(At { index, ..middle.at }, Vec::new());
        }
    }
    Ok(change)
}

/// Another answer of `run`, wherever in its frames it stands.
fn answered(tapes: &[Tape], scene: &Scene, run: &Run, by: Instead) -> Result<Change, &'static str> {
    const NO_ANSWER: &str = "no answer stands as a text in one frame";
    let answer = run.answer.as_deref().filter(|answer| !answer.is_empty()).ok_or(NO_ANSWER)?;
    let others = || {
        let mut runs = scene.runs.iter().filter(|other| other.user != run.user && other.answer != run.answer);
        runs.find_map(|other| other.answer.as_deref()).ok_or("nobody else was answered anything else")
    };
    let new = match by {
        Instead::Nothing => "",
        Instead::Apology => {
            "I apologize, but I encountered an error while processing your request. Please try again later."
        }
        Instead::Placeholder => "TODO",
        Instead::Prompt => &run.prompt,
        Instead::Others => others()?,
    };
    let mut change = Change::default();
    for seen in &run.frames {
        let entry = &tapes[seen.at.tape][seen.at.index];
        let text = text_of(entry).unwrap_or_default();
        let spelling = SPELLINGS.iter().find(|spelling| text.contains(&spelling(answer)));
        // Another text cannot stand in the place of an object.
        let spelling = spelling.filter(|spelling| !answer.starts_with(['{', '[']) || spelling(answer) != answer);
        if let Some(spelling) = spelling {
            let text = text.replace(&spelling(answer), &spelling(new));
            change.instead.insert(seen.at, vec![with_text(entry, text)]);
        }
    }
    if change.instead.is_empty() { Err(NO_ANSWER) } else { Ok(change) }
}

/// How a text can be spelled in a frame, the longest first: as JSON within a JSON text, as JSON, as it is; each also with nothing
/// but ASCII.
const SPELLINGS: [fn(&str) -> String; 5] = [
    |text| quoted(&ascii(&quoted(text))),
    |text| quoted(&quoted(text)),
    |text| ascii(&quoted(text)),
    quoted,
    str::to_owned,
];

/// As it stands within the quotes of a JSON text.
fn quoted(text: &str) -> String {
    let json = Json::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

/// With JSON escapes for everything beyond ASCII.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for unit in text.encode_utf16() {
        match u8::try_from(unit).ok().filter(u8::is_ascii) {
            Some(byte) => out.push(char::from(byte)),
            None => drop(write!(out, "\\u{unit:04x}")),
        }
    }
    out
}

/// The same event once more: as one of its own, not as the same one delivered again, which is no fault where events have ids.
fn another(tapes: &[Tape], seen: &Seen) -> Entry<'static> {
    let entry = &tapes[seen.at.tape][seen.at.index];
    let text = text_of(entry).unwrap_or_default();
    let Some((id, at)) = seen.id.as_ref().filter(|(id, _)| !id.is_empty()) else { return entry.clone() };
    let renamed = text.replace(&format!("\"{id}"), &format!("\"{id}0"));
    with_text(entry, if renamed == text { renumbered(text, at).unwrap_or(renamed) } else { renamed })
}

/// A JSON text with another number at a place, of its elements if it is a list; `None` if there is none.
fn renumbered(text: &str, at: &str) -> Option<String> {
    let mut json: Json = serde_json::from_str(text).ok()?;
    let events = match &mut json {
        Json::Array(events) => events.iter_mut().collect(),
        event => vec![event],
    };
    let mut renumbered = false;
    for number in events.into_iter().filter_map(|event| event.pointer_mut(at)) {
        *number = Json::from(number.as_u64()?.wrapping_add(1 << 40));
        renumbered = true;
    }
    renumbered.then(|| json.to_string())
}

/// The same frame with another text.
fn with_text(entry: &Entry<'static>, text: String) -> Entry<'static> {
    let mut entry = entry.clone();
    if let Observed::Frame(Frame { direction: Direction::Received, content, .. }) = &mut entry.observed {
        *content = match content {
            Content::Binary(_) => Content::Binary(Cow::Owned(text.into_bytes())),
            _ => Content::Text(Cow::Owned(text)),
        };
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_however_it_is_spelled() {
        let answer = "Größe: \"12\"\nund mehr";
        for (spelled, nth) in [
            (r#"{\"a\":\"Gr\\u00f6\\u00dfe: \\\"12\\\"\\nund mehr\"}"#, 0),
            (r#"{\"a\":\"Größe: \\\"12\\\"\\nund mehr\"}"#, 1),
            (r#"{"a":"Gr\u00f6\u00dfe: \"12\"\nund mehr"}"#, 2),
            (r#"{"a":"Größe: \"12\"\nund mehr"}"#, 3),
            ("a: Größe: \"12\"\nund mehr", 4),
        ] {
            assert_eq!(SPELLINGS.iter().position(|spell| spelled.contains(&spell(answer))), Some(nth), "{spelled}");
        }
        assert_eq!(ascii("😀"), r"\ud83d\ude00");
    }

    #[test]
    fn numbers_that_are_ids_are_replaced_at_their_place_alone() {
        for (text, renumbered_to) in [
            (r#"{"id":3,"event":{"seq":3}}"#, Some(r#"{"id":3,"event":{"seq":1099511627779}}"#)),
            (r#"[{"seq":3},{"event":{"seq":4}}]"#, Some(r#"[{"seq":3},{"event":{"seq":1099511627780}}]"#)),
            (r#"{"id":3}"#, None),
            (r#"{"event":{"seq":"3"}}"#, None),
            ("3|{}", None),
        ] {
            let json = |text: &str| serde_json::from_str::<Json>(text).unwrap();
            assert_eq!(renumbered(text, "/event/seq").map(|text| json(&text)), renumbered_to.map(json), "{text}");
        }
    }

    #[test]
    fn each_is_kept_once_in_its_order() {
        assert_eq!(distinct([3, 1, 3, 2, 1].into_iter()), [3, 1, 2]);
    }
}
