//! What a report tells beside its verdict: how it went over time, who got what of whom, what went on around a finding, what it
//! was worth, what test plans ask for.

use goldenpath::report::{Beside, Deliverable, Report, Within, Word};

use super::report::{blocked, examples, failed, hostile, inconclusive, interrupted, passed};

#[test]
fn a_leak_is_told_with_the_runs_of_both() {
    let report = failed();
    let leaks: Vec<(&str, u32, u32, u64)> =
        report.leaks.iter().map(|leak| (leak.code.as_str(), leak.owner.0, leak.user.0, leak.count)).collect();
    assert_eq!(leaks, [("GP201", 1, 2, 1)]);
    let witness = &report.findings[0].witnesses[0];
    assert_eq!((witness.owner.map(|owner| owner.0), witness.subject.user.map(|user| user.0)), (Some(1), Some(2)));
    let owner = &witness.beside[0];
    assert_eq!(owner.user.0, 1, "whose it was comes first");
    assert!(owner.marks.iter().any(|mark| mark.label == "agent_completed"), "{owner:?}");
    assert!(overlaps(owner, witness.at_us));
    assert!(passed().leaks.is_empty());
}

#[test]
fn what_went_on_beside_a_finding_overlaps_it_and_is_of_others() {
    for report in examples() {
        for group in &report.findings {
            for witness in &group.witnesses {
                assert!(witness.beside.len() <= 3);
                for run in &witness.beside {
                    let own = Some(run.user) == witness.subject.user;
                    assert!(!own || witness.marks.is_empty(), "its own events are its evidence: {witness:?}");
                    let last = witness.marks.last().map_or(witness.at_us, |mark| mark.at_us.max(witness.at_us));
                    assert!(own || last == 0 || run.asked_us <= last, "{witness:?}");
                }
            }
        }
    }
}

#[test]
fn a_silence_is_as_long_as_was_waited() {
    let report = failed();
    let stalled = report.findings.iter().find(|group| group.code == "GP302").expect("user 5 stalled");
    assert_eq!(stalled.witnesses[0].silence_us, Some(30_000_000));
    let others = report.findings.iter().filter(|group| group.code != "GP302").flat_map(|group| &group.witnesses);
    assert!(others.into_iter().all(|witness| witness.silence_us.is_none()));
}

#[test]
fn slices_of_time_hold_every_run() {
    for report in examples() {
        for segment in &report.segments {
            let slices = &segment.over_time;
            assert_eq!(slices.iter().map(|slice| slice.runs).sum::<u64>(), segment.runs, "{}", segment.name);
            assert_eq!(slices.iter().map(|slice| slice.max_us).max(), segment.max_us);
            assert!(slices.windows(2).all(|pair| pair[0].from_us + pair[0].width_us <= pair[1].from_us));
        }
    }
}

#[test]
fn an_execution_is_worth_what_users_got() {
    let report = failed();
    let value = &report.value;
    assert_eq!((value.runs, value.worthwhile), (20, 19), "user 5 got no answer");
    assert_eq!(
        (value.users, value.users_hurt),
        (20, 4),
        "users 2, 3, 5 and 7; the slowest of a budget is not hurt by it"
    );
    let golden = value.limits.iter().find(|row| row.name == "golden_path max").expect("a budget");
    let expected = Within {
        name: "golden_path max".into(),
        runs: 19,
        warn_us: None,
        within_warn: None,
        fail_us: Some(2_000_000),
        within_fail: Some(17),
        beyond: 2,
    };
    assert_eq!(golden, &expected);
    assert!(value.limits.iter().all(|row| !row.name.ends_with("mean")), "no single time breaks a mean");
    let fine = passed().value;
    assert_eq!((fine.worthwhile, fine.users_hurt, fine.iterations_hurt), (fine.runs, 0, 0));
}

#[test]
fn a_certification_is_never_better_than_its_claims_or_the_end() {
    let words = |report: &Report| -> Vec<Option<Word>> {
        let names: Vec<&str> = report.deliverables.iter().map(|part: &Deliverable| part.name.as_str()).collect();
        assert_eq!(names, DELIVERABLES);
        report.deliverables.iter().map(|part| part.verdict).collect()
    };
    let (pass, fail) = (Some(Word::Pass), Some(Word::Fail));
    assert_eq!(words(&passed()), [pass, pass, pass, pass, pass, None, None]);
    assert_eq!(words(&failed()), [fail, fail, fail, fail, pass, None, None]);
    let one_user = words(&inconclusive());
    assert_eq!(one_user[2], None, "isolation of one user is not certified");
    assert_eq!(words(&blocked())[1], Some(Word::Blocked));
    for word in words(&interrupted()).into_iter().flatten() {
        assert_ne!(word, Word::Pass, "what a signal ended certifies nothing");
    }
}

const DELIVERABLES: [&str; 7] = [
    "Test execution report",
    "Golden path certification",
    "Multi-user isolation certification",
    "Performance metrics",
    "Business value validation",
    "SSOT compliance",
    "Remediation plan",
];

#[test]
fn connections_that_ended_early_are_counted_by_how() {
    let ends = hostile().ends;
    assert_eq!(ends.keys().collect::<Vec<_>>(), ["closed 1011"], "{ends:?}");
    assert!(passed().ends.is_empty(), "what the harness closes is not told");
}

fn overlaps(run: &Beside, at_us: u64) -> bool {
    (run.asked_us..=run.over_us).contains(&at_us)
}
