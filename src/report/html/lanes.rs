//! Swim lanes: the users around a finding on a common clock, as places on a drawing.
//!
//! Horizontal places are shares of the width, so that a lane fills a desk or a telephone and its letters stay legible; the
//! template draws them. What happened is the report's; nothing is found here.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::tree::{FindingGroup, Mark, Witness};
use crate::time::Micros;

/// Pixels from lane to lane.
const LANE: usize = 58;
/// Pixels above the first lane.
const HEAD: usize = 14;
/// Letters closer than this share of the width would lie on one another.
const APART: f64 = 0.03;
/// Drawings of one rule at most, and lanes of one drawing.
const DRAWINGS: usize = 3;
const LANES: usize = 10;

/// Some users around a finding.
#[derive(Debug, Default, Serialize)]
pub(super) struct Drawing {
    pub(super) height: usize,
    /// When the clock of this drawing is zero, since the execution began.
    pub(super) from: String,
    pub(super) ticks: Vec<Tick>,
    pub(super) lanes: Vec<Lane>,
    pub(super) arrows: Vec<Arrow>,
    /// What the letters stand for.
    pub(super) legend: Vec<(String, String)>,
    pub(super) cut: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Tick {
    x: String,
    label: String,
    /// Where the label stands to its place: `start`, `middle`, `end`.
    anchor: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Lane {
    title: String,
    /// It is there for company.
    company: bool,
    user: Option<u32>,
    run: Option<String>,
    y: usize,
    /// From the first to the last known event.
    span: Option<(String, String)>,
    silences: Vec<Silence>,
    marks: Vec<Place>,
}

#[derive(Debug, Serialize)]
pub(super) struct Silence {
    from: String,
    to: String,
    tip: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Place {
    x: String,
    /// Empty where it would lie on another.
    letter: String,
    /// `event`, `cut` or `found`.
    kind: &'static str,
    tip: String,
    frame: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Arrow {
    x: String,
    from: usize,
    to: usize,
    /// Just before the head.
    neck: usize,
    tip: String,
}

/// Drawings of the witnesses of a rule; those that overlap in time share one. Says how many were left out.
pub(super) fn drawings(group: &FindingGroup, witnesses: &[&Witness]) -> (Vec<Drawing>, usize) {
    let mut timed: Vec<((u64, u64), &Witness)> =
        witnesses.iter().filter_map(|witness| Some((window(witness)?, *witness))).collect();
    timed.sort_by_key(|((from, to), witness)| (*from, *to, witness.subject.clone()));
    let mut clusters: Vec<((u64, u64), Vec<&Witness>)> = Vec::new();
    for ((from, to), witness) in timed {
        match clusters.last_mut() {
            Some(((_, end), cluster)) if from <= *end => {
                *end = to.max(*end);
                cluster.push(witness);
            }
            _ => clusters.push(((from, to), vec![witness])),
        }
    }
    let more = clusters.len().saturating_sub(DRAWINGS);
    (clusters.iter().take(DRAWINGS).map(|(window, cluster)| draw(group, *window, cluster)).collect(), more)
}

/// From the first to the last moment that a witness speaks of; `None` for what has no time.
fn window(witness: &Witness) -> Option<(u64, u64)> {
    let marks = witness.marks.iter().map(|mark| mark.at_us);
    let excerpts = witness.excerpts.iter().map(|excerpt| excerpt.at_us);
    let silence = witness.silence_us.map(|silence| witness.at_us.saturating_sub(silence));
    // A run that is told beside its own finding is what the finding is about; that of an owner began what came of it.
    let own = witness.beside.iter().filter(|run| Some(run.user) == witness.subject.user);
    let own = own.flat_map(|run| [run.asked_us, run.over_us]);
    let theirs = witness.beside.iter().filter(|run| Some(run.user) == witness.owner).map(|run| run.asked_us);
    let excerpts = excerpts.filter(|at| *at > 0);
    let times =
        marks.chain(own).chain(theirs).chain(excerpts).chain(silence).chain(Some(witness.at_us).filter(|at| *at > 0));
    let (from, to) = times.fold((u64::MAX, 0), |(from, to), at| (from.min(at), to.max(at)));
    witness.subject.user.filter(|_| from <= to)?;
    Some((from, to))
}

/// One lane while it is being filled: marks with their frames, by time.
#[derive(Default)]
struct Filling<'w> {
    run: Option<&'w str>,
    marks: BTreeMap<(u64, &'w str), &'w str>,
    /// What was found, and what was cut.
    found: Vec<(u64, &'static str, String, &'w str)>,
    silences: Vec<(u64, u64)>,
    /// A finding is about it; otherwise it is there for company.
    subject: bool,
    /// Something of it came to another.
    owner: bool,
}

impl<'w> Filling<'w> {
    fn fill(&mut self, marks: &'w [Mark]) {
        for mark in marks {
            self.marks.entry((mark.at_us, &mark.label)).or_default();
        }
    }
}

fn draw(group: &FindingGroup, (from, to): (u64, u64), witnesses: &[&Witness]) -> Drawing {
    let mut lanes: BTreeMap<(u32, u32), Filling<'_>> = BTreeMap::new();
    let mut leaks = Vec::new();
    for witness in witnesses {
        let subject = &witness.subject;
        let key = (subject.user.map_or(0, |user| user.0), subject.iteration.map_or(0, |iteration| iteration.0));
        let lane = lanes.entry(key).or_default();
        lane.run = lane.run.or(subject.run.as_deref());
        lane.subject = true;
        lane.fill(&witness.marks);
        let mut frame = "";
        for excerpt in &witness.excerpts {
            frame = &excerpt.text;
            for ((at, _), text) in lane.marks.range_mut((excerpt.at_us, "")..) {
                if *at == excerpt.at_us {
                    *text = &excerpt.text;
                }
            }
        }
        lane.silences.extend(witness.silence_us.map(|silence| (witness.at_us.saturating_sub(silence), witness.at_us)));
        let (kind, what) = match &witness.cut {
            Some(cut) => ("cut", cut.clone()),
            None => ("found", group.name.clone()),
        };
        // What only the whole execution shows has no time of its own.
        if witness.at_us > 0 {
            lane.found.push((witness.at_us, kind, format!("{what}: {}", witness.message), frame));
        }
        for run in &witness.beside {
            let lane = lanes.entry((run.user.0, run.iteration.0)).or_default();
            lane.fill(&run.marks);
        }
        if let Some(owner) = witness.owner {
            let run = witness.beside.iter().find(|run| run.user == owner);
            let theirs = (owner.0, run.map_or(0, |run| run.iteration.0));
            lanes.entry(theirs).or_default().owner = true;
            leaks.push((witness.at_us, theirs, key, &witness.message));
        }
    }
    let cut = lanes.len().saturating_sub(LANES);
    // Whom it is about, and whose it was; then company.
    let company = |key: &(u32, u32)| !lanes[key].subject && !lanes[key].owner;
    let mut keys: Vec<(u32, u32)> = lanes.keys().copied().collect();
    keys.sort_by_key(|key| (company(key), *key));
    keys.truncate(LANES);
    let clock = Clock { from, to: to.max(from + 1) };
    let mut legend = Legend::default();
    let lanes: Vec<Lane> =
        keys.iter().enumerate().map(|(index, key)| lane(index, *key, &lanes[key], &clock, &mut legend)).collect();
    let row = |key: &(u32, u32)| keys.iter().position(|known| known == key).map(line);
    let arrows = leaks.iter().filter_map(|(at, theirs, to, message)| {
        let (from, to) = (row(theirs)?, row(to)?);
        let neck = if from < to { to - 9 } else { to + 9 };
        Some(Arrow { x: clock.place(*at), from, to, neck, tip: format!("{}: {message}", clock.time(*at)) })
    });
    Drawing {
        height: HEAD + lanes.len() * LANE + 22,
        from: Micros(from).to_string(),
        ticks: clock.ticks(),
        arrows: arrows.collect(),
        lanes,
        legend: legend.rows,
        cut,
    }
}

fn line(index: usize) -> usize {
    HEAD + index * LANE + 34
}

fn lane(index: usize, key: (u32, u32), filling: &Filling<'_>, clock: &Clock, legend: &mut Legend) -> Lane {
    let (user, iteration) = key;
    let mut title = format!("user {user}");
    if iteration > 0 {
        title.push_str(&format!(", iteration {iteration}"));
    }
    if filling.marks.is_empty() && filling.found.is_empty() {
        title.push_str(" (no run of it is known at that time)");
    } else if filling.owner {
        title.push_str(" (whose it was)");
    } else if !filling.subject {
        title.push_str(" (meanwhile)");
    }
    let ends = filling.marks.keys().next().zip(filling.marks.keys().next_back());
    let span = ends.map(|((first, _), (last, _))| (clock.place(*first), clock.place(*last)));
    let mut last = f64::NEG_INFINITY;
    let mut marks: Vec<Place> = filling
        .marks
        .iter()
        .filter(|((at, _), _)| clock.shows(*at))
        .map(|((at, label), frame)| {
            let share = clock.share(*at);
            let apart = share - last >= APART;
            if apart {
                last = share;
            }
            let letter = legend.letter(label);
            Place {
                x: clock.place(*at),
                letter: if apart { letter } else { String::new() },
                kind: "event",
                tip: format!("{}  {label}", clock.time(*at)),
                frame: (*frame).to_owned(),
            }
        })
        .collect();
    marks.extend(filling.found.iter().map(|(at, kind, what, frame)| Place {
        x: clock.place(*at),
        letter: String::new(),
        kind,
        tip: format!("{}  {what}", clock.time(*at)),
        frame: (*frame).to_owned(),
    }));
    let silences = filling.silences.iter().map(|(from, to)| Silence {
        from: clock.place(*from),
        to: clock.width(*from, *to),
        tip: format!("nothing came for {}", Micros(to - from)),
    });
    Lane {
        title,
        company: !filling.subject && !filling.owner,
        user: Some(user),
        run: filling.run.map(str::to_owned),
        y: line(index),
        span,
        silences: silences.collect(),
        marks,
    }
}

/// The common clock of a drawing.
struct Clock {
    from: u64,
    to: u64,
}

impl Clock {
    fn shows(&self, at: u64) -> bool {
        (self.from..=self.to).contains(&at)
    }

    /// From 0 to 1; what lies outside stands at the edge.
    fn share(&self, at: u64) -> f64 {
        (at.clamp(self.from, self.to) - self.from) as f64 / (self.to - self.from) as f64
    }

    /// A little room is left on both sides for what is drawn around a place.
    fn place(&self, at: u64) -> String {
        format!("{:.2}%", 2.0 + 96.0 * self.share(at))
    }

    fn width(&self, from: u64, to: u64) -> String {
        format!("{:.2}%", 96.0 * (self.share(to) - self.share(from)))
    }

    fn time(&self, at: u64) -> String {
        match at.checked_sub(self.from) {
            Some(0) => "0".to_owned(),
            Some(since) => format!("+{}", Micros(since)),
            None => format!("-{}", Micros(self.from - at)),
        }
    }

    /// The beginning, the end, and the quarters between them.
    fn ticks(&self) -> Vec<Tick> {
        let quarter = |n: u64| self.from + (self.to - self.from) * n / 4;
        let anchor = |n| match n {
            0 => "start",
            4 => "end",
            _ => "middle",
        };
        (0..=4).map(|n| Tick { x: self.place(quarter(n)), label: self.time(quarter(n)), anchor: anchor(n) }).collect()
    }
}

/// One letter for each event, in the order in which they are met.
#[derive(Default)]
struct Legend {
    rows: Vec<(String, String)>,
}

impl Legend {
    fn letter(&mut self, label: &str) -> String {
        if let Some((letter, _)) = self.rows.iter().find(|(_, known)| known == label) {
            return letter.clone();
        }
        let next = ('A'..='Z').chain('a'..='z').nth(self.rows.len());
        let Some(letter) = next.map(String::from) else { return "*".to_owned() };
        self.rows.push((letter.clone(), label.to_owned()));
        letter
    }
}
