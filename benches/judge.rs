//! What judging costs beside reading: the judge with the profile of `scenarios/targets/netra.yaml` and isolation on, and a bare
//! typed parse of the same frames. `docs/performance.md` says how the figures are read.
//!
//! Before criterion measures each of them, both are measured in turn many times, and the ratio of the fastest rounds is printed: on
//! a machine that others use, only figures of the same moment compare.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(missing_docs, reason = "criterion's macro makes a function")]

#[path = "../tests/it/support/stream.rs"]
mod stream;

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group};
use goldenpath::check::{Judge, decode};
use goldenpath::expect::Expectations;
use goldenpath::trace::{Direction, Entry, Observed};
use serde::Deserialize;

/// What a program reads of an event that knows every envelope beforehand, and judges nothing.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read, never used")]
struct Bare<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    user_id: Option<Text<'a>>,
    #[serde(borrow)]
    thread_id: Option<Text<'a>>,
    #[serde(borrow)]
    run_id: Option<Text<'a>>,
    #[serde(borrow)]
    tool_name: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Inner<'a>>,
    #[serde(borrow)]
    payload: Option<Inner<'a>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read, never used")]
struct Inner<'a> {
    #[serde(borrow)]
    user_id: Option<Text<'a>>,
    #[serde(borrow)]
    thread_id: Option<Text<'a>>,
    #[serde(borrow)]
    run_id: Option<Text<'a>>,
    #[serde(borrow)]
    tool_name: Option<Text<'a>>,
}

/// Borrowed, unless it holds escapes: `&str` would refuse those, which any JSON writer may send. (Within an `Option`
/// serde borrows no `Cow`, but it does borrow this.)
#[derive(Debug, Deserialize)]
#[serde(transparent)]
#[expect(dead_code, reason = "read, never used")]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

const USERS: u32 = 10;
const RUNS: u32 = 20;

/// One round of each in turn, this often.
const ROUNDS: usize = 200;

fn judge(expect: &Arc<Expectations>, entries: &[Entry<'_>]) -> Judge {
    let mut judge = Judge::new(Arc::clone(expect), stream::EXECUTION);
    for entry in entries {
        judge.replay(entry);
    }
    judge
}

/// How long the same takes: of it what goes into frames, and what into anything else, to the last byte that is freed.
fn timed(expect: &Arc<Expectations>, stretches: &[&[Entry<'_>]]) -> (Duration, Duration) {
    let begin = Instant::now();
    let mut judge = Judge::new(Arc::clone(expect), stream::EXECUTION);
    let mut from = Instant::now();
    let (mut frames, mut rest) = (Duration::ZERO, from - begin);
    for stretch in stretches {
        stretch.iter().for_each(|entry| judge.replay(entry));
        let now = Instant::now();
        *(if is_frame(&stretch[0]) { &mut frames } else { &mut rest }) += now - from;
        from = now;
    }
    drop(black_box(judge));
    (frames, rest + from.elapsed())
}

/// A frame that was received: an event, where none of them is a control frame. All else is told once or a few times per run.
fn is_frame(entry: &Entry<'_>) -> bool {
    matches!(&entry.observed, Observed::Frame(frame) if frame.direction == Direction::Received)
}

/// Reads each frame along the places of the dialect, and judges nothing.
fn decode(expect: &Expectations, texts: &[&str]) {
    for text in texts {
        black_box(decode::event(&expect.dialect, text).expect("a frame can be read"));
    }
}

fn parse(texts: &[&str]) {
    for text in texts {
        black_box(serde_json::from_str::<Bare<'_>>(text).expect("a frame is JSON"));
    }
}

fn compare(criterion: &mut Criterion) {
    let expect = stream::expectations();
    let entries = stream::entries(USERS, RUNS);
    let texts: Vec<&str> = stream::texts(&entries).collect();
    let bytes: usize = texts.iter().map(|text| text.len()).sum();

    // What is measured is a judge at work, not one that stopped to listen.
    let judged = judge(&expect, &entries).finish();
    assert_eq!(judged.findings.total(), 0, "the stream is legal: {:?}", judged.findings.rules().next());
    assert_eq!(judged.counts.runs_good, u64::from(USERS * RUNS));
    assert_eq!(judged.counts.texts, texts.len() as u64);

    // The fastest round of each is the one that was disturbed least. The clock is read twice per run, no more.
    let stretches: Vec<_> = entries.chunk_by(|a, b| is_frame(a) == is_frame(b)).collect();
    let (mut frames, mut rest, mut parsed) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let (of_frames, of_rest) = timed(&expect, black_box(&stretches));
        (frames, rest) = (frames.min(of_frames), rest.min(of_rest));
        let from = Instant::now();
        parse(black_box(&texts));
        parsed = parsed.min(from.elapsed());
    }
    let per_event = |round: Duration| round.as_secs_f64() * 1e9 / texts.len() as f64;
    let [judged, parsed, all] = [frames, parsed, frames + rest].map(per_event);
    let per_run = rest.as_secs_f64() * 1e6 / f64::from(USERS * RUNS);
    println!("{} frames of {} bytes on average, {} runs", texts.len(), bytes / texts.len(), USERS * RUNS);
    println!("judge {judged:.0} ns, parse {parsed:.0} ns per event: ratio {:.2}", judged / parsed);
    println!(
        "set-up, ask and conclusion {per_run:.1} us per run; with them {all:.0} ns per event: ratio {:.2}",
        all / parsed
    );
    println!("{:.2} million events judged per second and core", 1e3 / all);

    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Elements(texts.len() as u64));
    group.bench_function("judge", |bencher| bencher.iter(|| judge(&expect, &entries)));
    group.bench_function("decode", |bencher| bencher.iter(|| decode(&expect, &texts)));
    group.bench_function("parse", |bencher| bencher.iter(|| parse(black_box(&texts))));
    group.finish();
}

criterion_group!(benches, compare);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
}
