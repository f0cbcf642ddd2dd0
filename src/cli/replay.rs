//! Recordings opened, and judged once more without any traffic: by what, and in which order.
//!
//! The same judge is told the same things in the same order, so a complete recording yields the judgement that was made live.
//! What is said of it is for commands to decide.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::execute;
use super::load::{self, Loader};
use super::record::RECORDING;
use super::resolved::{End, Header};
use super::show;
use crate::check::{Judge, Judgement};
use crate::document::tree::{Entry as Member, Value};
use crate::document::{Context, Node};
use crate::expect::Expectations;
use crate::identity::{ExecutionId, UserNumber};
use crate::report::Report;
use crate::scenario::{self, Scenario, defaults};
use crate::target;
use crate::time::Stamp;
use crate::trace::recording::{Line, Part, Reader, Tail};
use crate::trace::{Entry, Fact, Observed};

/// A recording whose header was read.
pub struct Recorded {
    /// Where it stands.
    pub file: PathBuf,
    /// How many bytes it has.
    pub size: u64,
    /// What was to be done.
    pub header: Header,
    reader: Reader<BufReader<File>>,
}

impl Recorded {
    /// Opens the recording at `path`, or in that folder.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub fn open(path: &Path) -> Result<Recorded, String> {
        let file = if path.is_dir() { path.join(RECORDING) } else { path.to_path_buf() };
        let size = std::fs::metadata(&file).map(|metadata| metadata.len()).unwrap_or_default();
        let opened = File::open(&file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!("there is no recording; name a `{RECORDING}`, or a folder that `run --record` wrote into")
            }
            _ => error.to_string(),
        })?;
        let mut reader = Reader::open(BufReader::new(opened)).map_err(|error| error.to_string())?;
        let Some(Part::Header(header)) = reader.next_part().map_err(|error| error.to_string())? else {
            return Err("there is no header".to_owned());
        };
        let header: Header = serde_json::from_slice(&header).map_err(|error| {
            format!("the header is not one that this build can read ({error}); use the build that wrote it")
        })?;
        Ok(Recorded { file, size, header, reader })
    }

    /// Judges what was recorded, by `expect`.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn replay(&mut self, expect: &Arc<Expectations>) -> Result<Replayed, String> {
        let mut replayed = replay(&mut self.reader, expect, self.header.circumstances.execution.id)?;
        // What is left out is counted at the end; without one, the size tells whether something can have been.
        replayed.partial = replayed.left_out > 0
            || replayed.live.is_none() && self.header.everything_up_to.is_some_and(|most| self.size >= most);
        Ok(replayed)
    }

    /// Everything that was recorded, in memory.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn everything(&mut self) -> Result<Everything, String> {
        let (mut tapes, mut left_out) = (BTreeMap::<u32, Vec<_>>::new(), 0_u64);
        let (live, _) = read(&mut self.reader, &mut |tape, line| match line {
            Line::Entry(entry) => tapes.entry(tape).or_default().push(entry.into_owned()),
            Line::LeftOut { entries, .. } => left_out = left_out.saturating_add(entries),
        })?;
        Ok(Everything { tapes: tapes.into_values().collect(), live, left_out })
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// By what

/// What is named in place of what was recorded.
#[derive(Debug, Clone, Copy)]
pub struct Anew<'a> {
    /// Judge by this scenario.
    pub scenario: Option<&'a Path>,
    /// Read frames by this profile.
    pub target: Option<&'a str>,
    /// An environment of either.
    pub env: Option<&'a str>,
    /// Laid over the scenario; the loader knows it as well.
    pub set: &'a [String],
}

/// What a recording is judged by.
pub struct Measure {
    /// What must hold.
    pub expect: Arc<Expectations>,
    /// What was named in place of what was recorded.
    pub anew: Vec<String>,
}

impl Measure {
    /// What was recorded, or what is named in its place.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub fn of(header: &Header, named: Anew<'_>, loader: &mut Loader) -> Result<Measure, String> {
        let mut cx = Context::new();
        let compiled = compile(header, named, loader, &mut cx);
        let mistakes = cx.has_mistakes();
        let diagnostics = cx.finish();
        let Some(expect) = compiled.filter(|_| !mistakes) else {
            return Err(show::to_text(&diagnostics, loader.sources()));
        };
        let mut anew = Vec::new();
        anew.extend(named.scenario.map(|path| format!("--scenario {}", path.display())));
        anew.extend(named.target.map(|name| format!("--target {name}")));
        anew.extend(named.env.map(|name| format!("--env {name}")));
        anew.extend(named.set.iter().map(|set| format!("--set {}", execute::without_password(set))));
        Ok(Measure { expect: Arc::new(load::among(expect, header.participants)), anew })
    }
}

fn compile(header: &Header, named: Anew<'_>, loader: &mut Loader, cx: &mut Context) -> Option<Expectations> {
    let recorded = loader.recorded("the recorded scenario", &header.scenario, cx);
    let profile = loader.recorded("the recorded profile", &header.profile, cx);
    let (recorded, mut profile) = (recorded?, profile?);
    let judged_by = named.scenario.map(|path| loader.scenario_alone(path, cx));
    let read_by = named.target.map(|name| loader.profile_alone(name, cx));
    let (judged_by, read_by) = (all_or_none(judged_by)?, all_or_none(read_by)?);
    let trees = [&judged_by, &read_by].map(Option::as_ref);
    if named.env.is_some() && !trees.iter().flatten().any(|(_, knows)| *knows) {
        trees.iter().flatten().for_each(|(tree, _)| loader.miss_environment(tree, cx));
        return None;
    }
    let mut scenario = match judged_by {
        Some((mut tree, _)) => {
            // Who did what how often was done already.
            ["users", "load", "target"].into_iter().for_each(|key| put(&mut tree, &recorded, key));
            tree
        }
        None => recorded,
    };
    loader.set(&mut scenario, cx);
    let scenario: Scenario = scenario::compile(&scenario, loader.sources(), cx)?;
    if let Some((tree, _)) = &read_by {
        // What is wrong with it is told as of any profile.
        target::compile(tree, defaults::GREETING, cx)?;
        ["name", "events"].into_iter().for_each(|key| put(&mut profile, tree, key));
    }
    let profile = target::compile(&profile, scenario.timeouts.greeting, cx)?;
    Some(load::expectations(&scenario, &profile))
}

/// `None` if something was named and is not there.
fn all_or_none<T>(named: Option<Option<T>>) -> Option<Option<T>> {
    match named {
        None => Some(None),
        Some(tree) => tree.map(Some),
    }
}

/// Makes `key` of the map `to` what it is in `from`.
fn put(to: &mut Node, from: &Node, key: &str) {
    let (Value::Map(members), Some(others)) = (&mut to.value, from.entries()) else { return };
    let other: Option<&Member> = others.iter().find(|member| member.key.text == key);
    match (members.iter_mut().find(|member| member.key.text == key), other) {
        (Some(member), Some(other)) => *member = other.clone(),
        (None, Some(other)) => members.push(other.clone()),
        (_, None) => members.retain(|member| member.key.text != key),
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Once more

/// What a recording shows.
pub struct Replayed {
    /// What was judged.
    pub judgement: Judgement,
    /// The report that was made live; none if the execution did not come so far.
    pub live: Option<Report>,
    /// Where the last block is torn.
    pub torn: Option<u64>,
    /// So many entries are missing.
    pub left_out: u64,
    /// Not every user is there.
    pub partial: bool,
    /// The latest stamp.
    pub last: Stamp,
}

fn replay<R: std::io::Read>(
    reader: &mut Reader<R>,
    expect: &Arc<Expectations>,
    execution: ExecutionId,
) -> Result<Replayed, String> {
    let mut judges: BTreeMap<u32, Replay> = BTreeMap::new();
    let (mut left_out, mut last) = (0_u64, Stamp::ZERO);
    let (live, torn) = read(reader, &mut |tape, line| {
        let judge = judges
            .entry(tape)
            .or_insert_with(|| Replay { judge: Judge::new(Arc::clone(expect), execution), open: BTreeMap::new() });
        match line {
            Line::Entry(entry) => last = last.max(judge.tell(&entry)),
            Line::LeftOut { user, entries } => {
                left_out = left_out.saturating_add(entries);
                judge.skip(user);
            }
        }
    })?;
    let parts = judges.into_values().map(|replay| replay.judge.finish());
    let judgement = parts.fold(Judgement::default(), Judgement::merge);
    Ok(Replayed { judgement, live, torn, left_out, partial: left_out > 0, last })
}

/// Everything that a recording holds.
pub struct Everything {
    /// Per judge, what it was told.
    pub tapes: Vec<Vec<Entry<'static>>>,
    /// The report that was made live; none if the execution did not come so far.
    pub live: Option<Report>,
    /// So many entries are missing.
    pub left_out: u64,
}

/// Shows every line of a recording with its tape. Returns the report that was made live, if the execution came so far, and where
/// the last block is torn, if it is.
fn read<R: std::io::Read>(
    reader: &mut Reader<R>,
    show: &mut dyn FnMut(u32, Line<'_>),
) -> Result<(Option<Report>, Option<u64>), String> {
    let mut live = None;
    let mut nth = 0_u64;
    while let Some(part) = reader.next_part().map_err(|error| error.to_string())? {
        nth += 1;
        match part {
            Part::Header(_) => {}
            Part::Tape(head, lines) => {
                for text in lines.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
                    let line = Line::read(text)
                        .map_err(|why| format!("block {nth} holds a line that this build cannot read ({why})"))?;
                    show(head.tape, line);
                }
            }
            Part::End(end) => {
                let end: End = serde_json::from_slice(&end)
                    .map_err(|error| format!("the end is not one that this build can read ({error})"))?;
                live = Some(end.report);
            }
        }
    }
    let torn = match reader.tail() {
        Some(Tail::Torn { at }) => Some(at),
        Some(Tail::Ended | Tail::Open) | None => None,
    };
    Ok((live, torn))
}

/// One judge that is told a tape.
struct Replay {
    judge: Judge,
    /// Users in the middle of an iteration: until when they were heard, and whether the rest of it is missing.
    open: BTreeMap<UserNumber, Open>,
}

struct Open {
    last: Stamp,
    missing: bool,
}

impl Replay {
    /// Returns when it was.
    fn tell(&mut self, entry: &Entry<'_>) -> Stamp {
        let at = entry.observed.at();
        if let Some(user) = entry.user {
            match &entry.observed {
                Observed::Fact(Fact::Began { .. }) => drop(self.open.insert(user, Open { last: at, missing: false })),
                Observed::Fact(Fact::Ended { .. }) if !self.open.get(&user).is_some_and(|open| open.missing) => {
                    self.open.remove(&user);
                }
                _ => {}
            }
            if let Some(open) = self.open.get_mut(&user) {
                open.last = open.last.max(at);
                if open.missing {
                    return at;
                }
            }
        }
        self.judge.replay(entry);
        at
    }

    /// Entries of a user are missing here. An iteration that is in flight cannot be judged any further.
    fn skip(&mut self, user: UserNumber) {
        let Some(open) = self.open.get_mut(&user) else { return };
        if !std::mem::replace(&mut open.missing, true) {
            self.judge.fact(user, &Fact::Interrupted { at: open.last });
            self.judge.fact(user, &Fact::Ended { at: open.last });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::super::load::{Overrides, Unset, Variables};
    use super::*;
    use crate::check::conclude;
    use crate::trace::recording::tests::{line, write_line};
    use crate::trace::recording::{Head, Kind, encode, preface, write_head};

    static EXPECT: LazyLock<Arc<Expectations>> = LazyLock::new(|| {
        let mut loader = Loader::new(&Overrides::default(), Variables::new(), Unset::Warn);
        Arc::new(loader.load(Path::new("scenarios/smoke.yaml")).expect("a scenario").expectations())
    });

    /// A recording of anything that a tape can hold, in any order.
    fn recording(tapes: &[Vec<Line<'static>>]) -> Vec<u8> {
        let mut bytes = preface();
        bytes.extend(encode(Kind::Header, b"{}").expect("a block"));
        for (tape, lines) in tapes.iter().enumerate() {
            let mut content = Vec::new();
            write_head(&mut content, Head { tape: tape as u32, sequence: 0 });
            lines.iter().for_each(|line| write_line(&mut content, line));
            bytes.extend(encode(Kind::Tape, &content).expect("a block"));
        }
        bytes
    }

    /// The same lines, but of few users, so that they meet.
    fn crowded(line: Line<'static>) -> Line<'static> {
        let few = |user: UserNumber| UserNumber(user.0 % 3);
        match line {
            Line::Entry(Entry { user, observed }) => Line::Entry(Entry { user: user.map(few), observed }),
            Line::LeftOut { user, entries } => Line::LeftOut { user: few(user), entries },
        }
    }

    proptest! {
        #[test]
        fn whatever_a_recording_tells_is_judged_without_a_panic(
            tapes in prop::collection::vec(prop::collection::vec(line().prop_map(crowded), 0..40), 0..3),
        ) {
            let expect = Arc::clone(&EXPECT);
            let bytes = recording(&tapes);
            let mut reader = Reader::open(&bytes[..]).expect("a recording");
            let Ok(Replayed { judgement, left_out, live, .. }) = replay(&mut reader, &expect, ExecutionId(7)) else {
                return Err(TestCaseError::fail("it can be read"));
            };
            let told = tapes.iter().flatten().map(|line| if let Line::LeftOut { entries, .. } = line { *entries } else { 0 });
            prop_assert_eq!(left_out, told.fold(0, u64::saturating_add));
            prop_assert!(live.is_none());
            conclude(judgement, &expect, true, None);
        }
    }
}
