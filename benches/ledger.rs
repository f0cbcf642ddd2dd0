//! What a frame costs by how many users are known: the ledger holds the identity of each, and a frame must not pay for them.
//!
//! Ten users ask among 10, 1,000 and 50,000 that have logged in. Before criterion measures them, all three are measured in turn
//! many times, and the fastest rounds are printed with their ratio to the smallest: only figures of the same moment compare.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(missing_docs, reason = "criterion's macro makes a function")]

#[path = "../tests/it/support/stream.rs"]
#[allow(dead_code, reason = "the other benchmark and the tests read more of it")]
mod stream;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use goldenpath::check::Judge;
use goldenpath::expect::Expectations;
use goldenpath::trace::Entry;

const KNOWN: [u32; 3] = [10, 1_000, 50_000];

/// How many of them ask, and how often.
const ASKING: u32 = 10;
const RUNS: u32 = 10;

/// One round of each in turn, this often.
const ROUNDS: usize = 20;

/// A judge that was told of the logins and greetings of all users but those who ask.
fn knowing(expect: &Arc<Expectations>, users: u32) -> Judge {
    let mut judge = Judge::new(Arc::clone(expect), stream::EXECUTION);
    for user in ASKING + 1..=users {
        stream::Sender::new(user).begin().iter().for_each(|entry| judge.replay(entry));
    }
    judge
}

fn told(mut judge: Judge, entries: &[Entry<'_>]) -> Judge {
    entries.iter().for_each(|entry| judge.replay(entry));
    judge
}

fn compare(criterion: &mut Criterion) {
    let expect = stream::expectations();
    let entries = stream::entries(ASKING, RUNS);
    let frames = stream::texts(&entries).count();

    let mut fastest = [Duration::MAX; KNOWN.len()];
    for _ in 0..ROUNDS {
        for (known, fastest) in KNOWN.iter().zip(&mut fastest) {
            let judge = knowing(&expect, *known);
            let from = Instant::now();
            let judge = told(judge, black_box(&entries));
            *fastest = from.elapsed().min(*fastest);
            let judged = judge.finish();
            assert_eq!(judged.findings.total(), 0, "the stream is legal: {:?}", judged.findings.rules().next());
            assert_eq!(judged.ledger.identities.len(), *known as usize);
        }
    }
    for (known, time) in KNOWN.iter().zip(fastest) {
        let (ns, ratio) = (time.as_secs_f64() * 1e9 / frames as f64, time.as_secs_f64() / fastest[0].as_secs_f64());
        println!("{known:>6} users known: {ns:.0} ns per frame, {ratio:.2} of the smallest");
    }

    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(frames as u64)).sample_size(10);
    for known in KNOWN {
        group.bench_function(format!("{known} users known"), |bencher| {
            let judge = || knowing(&expect, known);
            bencher.iter_batched(judge, |judge| told(judge, &entries), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, compare);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
}
