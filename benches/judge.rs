//! What judging costs beside reading: the judge with the profile of `scenarios/targets/netra.yaml` and isolation on, and a bare
//! typed parse of the same frames. `docs/performance.md` says how the figures are read.
//!
//! Before criterion measures each of them, both are measured in turn many times, and the ratio of the fastest rounds is printed: on
//! a machine that others use, only figures of the same moment compare.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(missing_docs, reason = "criterion's macro makes a function")]

#[path = "../tests/it/support/stream.rs"]
mod stream;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group};
use goldenpath::check::Judge;
use goldenpath::expect::Expectations;
use goldenpath::trace::Entry;
use serde::Deserialize;

/// What a program reads of an event that knows every envelope beforehand, and judges nothing.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read, never used")]
struct Bare<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    user_id: Option<&'a str>,
    thread_id: Option<&'a str>,
    run_id: Option<&'a str>,
    tool_name: Option<&'a str>,
    #[serde(borrow)]
    data: Option<Inner<'a>>,
    #[serde(borrow)]
    payload: Option<Inner<'a>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read, never used")]
struct Inner<'a> {
    user_id: Option<&'a str>,
    thread_id: Option<&'a str>,
    run_id: Option<&'a str>,
    tool_name: Option<&'a str>,
}

const USERS: u32 = 10;
const RUNS: u32 = 10;

/// One round of each in turn, this often.
const ROUNDS: usize = 200;

fn judge(expect: &Arc<Expectations>, entries: &[Entry<'_>]) -> Judge {
    let mut judge = Judge::new(Arc::clone(expect), stream::EXECUTION);
    for entry in entries {
        judge.replay(entry);
    }
    judge
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

    let timed = |what: &mut dyn FnMut()| {
        let from = Instant::now();
        what();
        from.elapsed()
    };
    // The fastest round of each is the one that was disturbed least.
    let (mut judged, mut parsed) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        judged = judged.min(timed(&mut || drop(black_box(judge(&expect, &entries)))));
        parsed = parsed.min(timed(&mut || parse(black_box(&texts))));
    }
    let [judged, parsed] = [judged, parsed].map(|round| round.as_secs_f64() / texts.len() as f64);
    println!("{} frames of {} bytes on average", texts.len(), bytes / texts.len());
    println!("judge {:.0} ns, parse {:.0} ns per event: ratio {:.2}", judged * 1e9, parsed * 1e9, judged / parsed);
    println!("{:.2} million events judged per second and core", 1e-6 / judged);

    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Elements(texts.len() as u64));
    group.bench_function("judge", |bencher| bencher.iter(|| judge(&expect, &entries)));
    group.bench_function("parse", |bencher| bencher.iter(|| parse(black_box(&texts))));
    group.finish();
}

criterion_group!(benches, compare);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
}
