//! Judging the common case takes no memory per event: what is counted here are allocations, not time.

use goldenpath::check::Judge;
use goldenpath::trace::Entry;

use super::support::stream::{self, ENVELOPES, Sender};

/// A judge that has heard the beginning of a run in one of the envelopes, and that run's sender.
fn begun(user: u32) -> (Judge, Sender) {
    let mut sender = Sender::new(user);
    let mut judge = Judge::new(stream::expectations(), stream::EXECUTION);
    let mut told: Vec<Entry<'static>> = sender.begin();
    told.extend(sender.ask(1));
    told.extend((0..64).map(|step| sender.thought("supervisor", step)));
    told.extend((0..16).flat_map(|number| sender.tool("supervisor", "cost_lookup", number)));
    told.iter().for_each(|entry| judge.replay(entry));
    (judge, sender)
}

fn allocations(judge: &mut Judge, told: &[Entry<'static>]) -> u64 {
    allocation_counter::measure(|| told.iter().for_each(|entry| judge.replay(entry))).count_total
}

#[test]
fn the_stream_that_is_measured_is_legal() {
    let entries = stream::entries(ENVELOPES.len() as u32, 2);
    let mut judge = Judge::new(stream::expectations(), stream::EXECUTION);
    entries.iter().for_each(|entry| judge.replay(entry));
    let judged = judge.finish();
    assert_eq!(judged.findings.total(), 0, "{:?}", judged.findings.rules().next());
    assert_eq!((judged.counts.runs, judged.counts.runs_good), (10, 10));
    assert_eq!(judged.counts.texts, stream::texts(&entries).count() as u64);
    assert_eq!(judged.counts.identities_dropped + judged.counts.ids_dropped, 0);
}

#[test]
fn thoughts_allocate_nothing_in_any_envelope() {
    for user in 1..=ENVELOPES.len() as u32 {
        let (mut judge, mut sender) = begun(user);
        // The fourth kind of thought holds escapes, in a place that nobody asks for.
        let told: Vec<_> = (0..256).map(|step| sender.thought("supervisor", step)).collect();
        let before = judge.so_far().counts.events;
        let allocations = allocations(&mut judge, &told);
        assert_eq!(judge.so_far().counts.events - before, 256);
        // The set of the ids of events seen doubles now and then.
        assert!(allocations <= 3, "{:?}: {allocations} allocations for 256 events", sender.envelope);
    }
}

#[test]
fn a_tool_call_and_its_result_allocate_nothing() {
    for user in 1..=ENVELOPES.len() as u32 {
        let (mut judge, mut sender) = begun(user);
        let told: Vec<_> = (16..144).flat_map(|number| sender.tool("supervisor", "cost_lookup", number)).collect();
        let allocations = allocations(&mut judge, &told);
        // Sets, lists and histograms grow now and then.
        assert!(allocations <= 16, "{:?}: {allocations} allocations for 128 calls", sender.envelope);
    }
}
