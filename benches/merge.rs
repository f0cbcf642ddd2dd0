//! What it costs at the end of an execution to join what its threads judged, and what becomes of the cost with more of them.
//!
//! The same execution is judged whole and in parts, as threads divide its users; before anything is measured the parts must
//! join to the whole.

#![allow(missing_docs, reason = "criterion's macro makes a function")]

#[path = "../tests/it/support/stream.rs"]
#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod stream;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group};
use goldenpath::check::{Judge, Judgement};
use goldenpath::expect::Expectations;
use goldenpath::stats::Histogram;
use goldenpath::trace::Entry;

const USERS: u32 = 100;
const RUNS: u32 = 10;
/// Threads among which users are divided.
const PARTS: [u32; 3] = [2, 8, 32];

/// What each of so many threads judges of its users, dealt out in turn.
fn parts(expect: &Arc<Expectations>, entries: &[Entry<'_>], parts: u32) -> Vec<Judgement> {
    let mut judges: Vec<_> = (0..parts).map(|_| Judge::new(Arc::clone(expect), stream::EXECUTION)).collect();
    for entry in entries {
        let part = entry.user.map_or(0, |user| user.0 % parts);
        judges[part as usize].replay(entry);
    }
    judges.into_iter().map(Judge::finish).collect()
}

fn joined(parts: Vec<Judgement>) -> Judgement {
    parts.into_iter().fold(Judgement::default(), Judgement::merge)
}

fn merge(criterion: &mut Criterion) {
    let expect = stream::expectations();
    let entries = stream::entries(USERS, RUNS);
    let whole = joined(parts(&expect, &entries, 1));
    assert_eq!(whole.counts.runs_good, u64::from(USERS * RUNS));

    let mut group = criterion.benchmark_group("merge");
    for count in PARTS {
        let judged = parts(&expect, &entries, count);
        assert!(joined(judged.clone()) == whole, "{count} parts are the whole");
        group.bench_function(format!("{USERS} users, {RUNS} runs each, of {count} threads"), |bencher| {
            bencher.iter_batched(|| judged.clone(), |parts| black_box(joined(parts)), BatchSize::LargeInput);
        });
    }
    let mut spread = Histogram::new();
    (0..100_000_u64).for_each(|n| spread.record(n * n % 9_999_991));
    group.bench_function("two histograms of 100,000 values", |bencher| {
        let merge = |mut mine: Histogram| {
            mine.merge(black_box(&spread));
            mine
        };
        bencher.iter_batched(|| spread.clone(), merge, BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, merge);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
}
