//! What a frame costs by how many users are known: the ledger holds the identity of each, and a frame must not pay for them.
//!
//! Ten users ask among 10, 1,000 and 50,000 that have logged in. Before criterion measures them, all three are measured in turn
//! many times, and the fastest rounds are printed with their ratio to the smallest: only figures of the same moment compare.
//! What a user and an id take of memory is counted by the allocator and printed first; it does not depend on the machine.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(missing_docs, reason = "criterion's macro makes a function")]

#[path = "../tests/it/support/stream.rs"]
#[allow(dead_code, reason = "the other benchmark and the tests read more of it")]
mod stream;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use goldenpath::check::{Borne, Judge, Ledger, OPEN_KEPT, OpenId, Sighting};
use goldenpath::expect::{Expectations, IdRole};
use goldenpath::finding::{Evidence, Excerpt, Subject};
use goldenpath::identity::UserNumber;
use goldenpath::time::Stamp;
use goldenpath::trace::Entry;

/// Bytes that each of `count` takes of what `make` makes.
fn bytes_each<T>(count: u32, make: impl FnOnce() -> T) -> f64 {
    let mut made = None;
    let bytes = allocation_counter::measure(|| made = Some(make())).bytes_current;
    bytes as f64 / f64::from(count)
}

fn memory(expect: &Arc<Expectations>) {
    const USERS: u32 = 50_000;
    const OPEN: u32 = OPEN_KEPT as u32;
    let users = bytes_each(USERS, || knowing(expect, USERS));
    println!("{users:>6.0} bytes per user that is logged in and greeted");
    let owned = bytes_each(USERS, || {
        let mut ledger = Ledger::default();
        for n in 0..USERS {
            ledger.owners.insert(Ledger::key(IdRole::Run, &n.to_string()), UserNumber(n));
        }
        ledger
    });
    println!("{owned:>6.0} bytes per id whose owner is known");
    let open = bytes_each(OPEN, || {
        let mut ledger = Ledger::default();
        for n in 0..OPEN {
            let value = format!("3afe2dca-d584-47c0-a4fc-{n:012}");
            let excerpt = Excerpt::new(Stamp(1), "frame", &"x".repeat(Excerpt::LIMIT));
            let evidence = Evidence { marks: Vec::new(), excerpts: vec![excerpt] };
            let borne = Borne { hashes: [u64::from(n)].into(), ..Borne::default() };
            let sighting =
                Sighting { at: Stamp(1), subject: Subject::default(), evidence, frames: 1, own_known: true, borne };
            let (name, role, user) = ("run".to_owned(), IdRole::Run, UserNumber(1));
            ledger.add_open(OpenId { name, role, value, user }, sighting);
        }
        ledger
    });
    println!("{open:>6.0} bytes per id whose owner is not, with its evidence; {OPEN} are kept per thread");
}

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
    memory(&expect);

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
