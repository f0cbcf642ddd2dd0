//! The judge held to its claims: legal streams are silent, each single mutation has exactly the finding it names, judging
//! again changes nothing, and merging is associative.

use std::sync::Arc;

use proptest::prelude::*;
use regex::Regex;

use super::*;
use crate::canary::Canary;
use crate::expect::*;
use crate::identity::{Connection, Iteration};
use crate::rule::{Rule, Severity};
use crate::time::Micros;
use crate::trace::{Content, Dial, Direction};

const EXECUTION: ExecutionId = ExecutionId(0x00c0_ffee);

/// A profile by hand: greeting, heartbeats, ids and answer as a small backend has them, in three envelopes.
pub(super) fn expectations(users: u32) -> Expectations {
    let mut dialect = Dialect::default();
    let mut places = |pointers: &[&str]| -> Vec<_> {
        pointers.iter().map(|pointer| dialect.trie.intern(pointer, pointer.contains("final")).unwrap()).collect()
    };
    let name_at = places(&["/type"]);
    let everywhere = |name: &str| [format!("/{name}"), format!("/data/{name}"), format!("/payload/{name}")];
    let mut field = |name: &str| {
        let all = everywhere(name);
        places(&[&all[0], &all[1], &all[2]])
    };
    let fields = Fields {
        agent: field("agent_name"),
        tool: field("tool_name"),
        call: field("call_id"),
        event_id: field("event_id"),
        time: field("timestamp"),
    };
    let (user, thread, run) = (field("user_id"), field("thread_id"), field("run_id"));
    let (answer, success) = (field("final_response"), field("success"));
    let (degraded, recovered) = (field("degradation_level"), field("recovered"));
    (dialect.name_at, dialect.fields) = (name_at, fields);
    let mut event = |names: &[&str]| {
        let kinds = names.iter().map(|name| dialect.names.intern(name)).collect();
        Matcher { all: vec![Condition::Event(kinds)] }
    };
    let script = vec![ScriptStep::Wait {
        when: event(&["connection_ready"]),
        refused: vec![event(&["authentication_error"])],
        within: Micros::from_secs(5),
        optional: false,
    }];
    let heartbeats = vec![
        Heartbeat { when: event(&["ping"]), answered: true, means: Means::Beat },
        Heartbeat { when: event(&["pong", "ack"]), answered: false, means: Means::Beat },
    ];
    let completed = event(&["agent_completed"]);
    let ends = Ends { good: vec![completed.clone()], bad: vec![event(&["agent_error"])] };
    let failed = success.iter().map(|slot| {
        let mut matcher = completed.clone();
        matcher.all.push(Condition::At(*slot, Test::Bool(false)));
        matcher
    });
    let failed = failed.collect();
    let grammar = Grammar::golden_path(|name| dialect.names.intern(name));
    let id = |name: &str, role, at, source| IdRule {
        name: name.into(),
        role,
        at,
        source,
        compare: Compare::Exact,
        unique: Unique::Target,
    };
    let asserted = || Asserted { required: true, origin: None };
    Expectations {
        dialect,
        script,
        heartbeats,
        asking: Asking::default(),
        grammar,
        ends,
        failed,
        public: vec![],
        signs: Signs {
            degraded: at_any(&degraded, &Test::Exists(true)),
            replayed: at_any(&recovered, &Test::Bool(true)),
            failed_tool: at_any(&success, &Test::Bool(false)),
        },
        answers: vec![AnswerSource { when: completed, at: answer, append: false }],
        personas: vec![],
        turns: vec![AnswerRules { min_chars: 10, all_of: vec![Regex::new(r"\d").unwrap()], ..Default::default() }],
        ids: vec![
            id("user", IdRole::User, user, IdSource::Captured("user_id".into())),
            id("thread", IdRole::Thread, thread, IdSource::Chosen),
            id("run", IdRole::Run, run, IdSource::Chosen),
        ],
        budgets: vec![],
        timeouts: Timeouts {
            connect: Micros::from_secs(10),
            greeting: Micros::from_secs(5),
            first_event: Micros::from_secs(30),
            stall: Micros::from_secs(30),
            run: Micros::from_secs(120),
            quiet: Micros::from_secs(1),
            drain: Micros::from_secs(5),
        },
        claims: Claims {
            setup: asserted(),
            setup_at_most: 0.0,
            transport: asserted(),
            events: asserted(),
            answer: asserted(),
            uniform_envelope: None,
            doors: None,
            isolation: (users > 1).then(asserted),
            between: Between::Users,
            min_overlap: 0.0,
            min_attributed: 0.0,
            leaks_under: None,
            reliability: None,
            exceptions: Exceptions::default(),
        },
        warm_up: 0,
        fresh_sessions: true,
        open: None,
        deadline: None,
    }
}

fn at_any(slots: &[crate::event::SlotId], test: &Test) -> Vec<Matcher> {
    slots.iter().map(|slot| Matcher { all: vec![Condition::At(*slot, test.clone())] }).collect()
}

/// What one user observes, at written times in milliseconds.
#[derive(Debug, Clone)]
struct Stream {
    user: UserNumber,
    entries: Vec<Observed<'static>>,
}

impl Stream {
    /// Logged in at 10, upgraded at 20, greeted at 30, asked at 100.
    fn asked(user: u32) -> Stream {
        let mut stream = Stream::greeted(user);
        stream.ask(100);
        stream
    }

    fn greeted(user: u32) -> Stream {
        let mut stream = Stream::upgraded(user);
        stream.text(30, format!(r#"{{"type":"connection_ready","user_id":"u-{user}"}}"#));
        stream
    }

    fn upgraded(user: u32) -> Stream {
        let mut stream = Stream { user: UserNumber(user), entries: Vec::new() };
        stream.fact(Fact::Began { iteration: Iteration(1), scheduled: ms(0), at: ms(0), fresh: true, apart: false });
        let outcome = StepOutcome::Good { status: 200 };
        let name = "POST /auth/login".to_owned();
        stream.fact(Fact::Step { phase: Phase::Login, name, sent: ms(0), done: ms(10), outcome });
        stream.fact(Fact::Captured { name: "user_id".into(), value: format!("u-{user}"), at: ms(10) });
        let outcome = Dial::Upgraded { subprotocol: None, echo_fits: true, echo_strict: false };
        stream.fact(Fact::Dialed { connection: Connection(1), begun: ms(10), done: ms(20), outcome });
        stream
    }

    fn fact(&mut self, fact: Fact) {
        self.entries.push(Observed::Fact(fact));
    }

    fn ask(&mut self, at: u64) {
        let (run, thread) = (Some(format!("r-{}", self.user)), Some(format!("t-{}", self.user)));
        self.fact(Fact::Asked { turn: 0, at: ms(at), run, thread, prompt: "why?".into() });
        self.content(at, Direction::Sent, Content::Text("{}".into()));
    }

    fn text(&mut self, at: u64, text: impl Into<String>) {
        self.content(at, Direction::Received, Content::Text(text.into().into()));
    }

    fn content(&mut self, at: u64, direction: Direction, content: Content<'static>) {
        let stamp = ms(at);
        let not_before = Stamp(stamp.0.saturating_sub(50));
        let (connection, read_at) = (Connection(1), stamp);
        self.entries.push(Observed::Frame(Frame { connection, direction, at: stamp, read_at, not_before, content }));
    }

    /// Nothing more comes, and the harness waits as long as it takes.
    fn ends(mut self, at: u64) -> Stream {
        self.entries.push(Observed::Quiet(ms(at)));
        self.fact(Fact::Closed { connection: Connection(1), at: ms(at) });
        self.fact(Fact::Ended { at: ms(at) });
        self
    }

    /// The events of a legal run from 110 on, 10 ms apart.
    fn run(mut self, events: &[String]) -> Stream {
        for (index, event) in events.iter().enumerate() {
            self.text(110 + 10 * index as u64, event.clone());
        }
        self
    }
}

fn ms(at: u64) -> Stamp {
    Stamp(at * 1_000)
}

/// What is made of `streams`, whether or not users leave as soon as nothing more comes of them.
fn judge(expect: &Arc<Expectations>, streams: &[Stream]) -> Judgement {
    let judgement = judged(expect, streams, false);
    assert_eq!(judged(expect, streams, true), judgement);
    judgement
}

fn judged(expect: &Arc<Expectations>, streams: &[Stream], leaving: bool) -> Judgement {
    let mut judge = Judge::new(expect.clone(), EXECUTION);
    // Users are observed side by side: entry by entry in order of time, each user's in its own order.
    let mut next = vec![0; streams.len()];
    loop {
        let due = |index: &usize| streams[*index].entries.get(next[*index]).map(Observed::at);
        let waiting = (0..streams.len()).filter(|index| due(index).is_some());
        let Some(first) = waiting.min_by_key(|index| due(index)) else { return judge.finish() };
        let stream = &streams[first];
        judge.replay(&Entry { user: Some(stream.user), observed: stream.entries[next[first]].clone() });
        next[first] += 1;
        if leaving && next[first] == stream.entries.len() {
            judge.leave(stream.user);
        }
    }
}

fn concluded(streams: &[Stream]) -> Conclusion {
    let expect = Arc::new(expectations(streams.len() as u32));
    conclude(judge(&expect, streams), &expect, false, None)
}

/// `CODE message` of every finding, in order of their codes.
fn findings(conclusion: &Conclusion) -> Vec<String> {
    let rules = conclusion.judgement.findings.rules();
    rules
        .flat_map(|(rule, _, _, first)| first.iter().map(move |f| format!("{rule} {}", f.deviation.message())))
        .collect()
}

#[track_caller]
fn expect_findings(streams: &[Stream], expected: &[&str]) -> Conclusion {
    let conclusion = concluded(streams);
    assert_eq!(findings(&conclusion), expected);
    conclusion
}

fn claim(conclusion: &Conclusion, name: &str) -> Verdict {
    conclusion.claims.iter().find(|claim| claim.kind.to_string() == name).expect("a claim of that name").verdict
}

/// An event of user `user`'s run, in envelope 0 (flat), 1 (`data`) or 2 (`payload`).
fn event(envelope: usize, user: u32, kind: &str, more: &str) -> String {
    let ids = format!(r#""user_id":"u-{user}","thread_id":"t-{user}","run_id":"r-{user}""#);
    match envelope {
        0 => format!(r#"{{"type":"{kind}",{ids}{more}}}"#),
        1 => format!(r#"{{"type":"{kind}","data":{{{ids}{more}}}}}"#),
        _ => format!(r#"{{"type":"{kind}","payload":{{{ids}{more}}}}}"#),
    }
}

/// A legal run with `thoughts` before the tools, `tools` pairs, and a thought in each pair.
fn legal(envelope: usize, user: u32, thoughts: usize, tools: usize, call_ids: bool) -> Vec<String> {
    let e = |kind: &str, more: &str| event(envelope, user, kind, more);
    let mut events = vec![e("agent_started", r#","agent_name":"triage""#)];
    events.extend((0..thoughts).map(|n| e("agent_thinking", &format!(r#","event_id":"e-{n}""#))));
    for tool in 0..tools {
        let call = if call_ids { format!(r#","call_id":"c-{tool}""#) } else { String::new() };
        let more = format!(r#","tool_name":"cost_{tool}"{call}"#);
        events.push(e("tool_executing", &more));
        events.push(e("agent_thinking", ""));
        events.push(e("tool_completed", &more));
    }
    events.push(e("agent_completed", r#","agent_name":"triage","final_response":"cut 30 % of the idle nodes""#));
    events
}

fn simple(user: u32) -> Vec<String> {
    legal(0, user, 1, 1, true)
}

#[test]
fn a_legal_run_passes_and_says_why_it_counts() {
    let conclusion = expect_findings(&[Stream::asked(1).run(&simple(1)).ends(2_000)], &[]);
    assert_eq!(conclusion.outcome, Outcome::Pass);
    assert_eq!(conclusion.unclaimed, ["isolation is not claimed with a single user"]);
    assert_eq!(conclusion.why, ["1 user", "1 run", "7 frames", "100 % attributed", "0 own marks seen"]);
    let figures: Vec<_> = conclusion.figures.iter().map(|f| (f.segment.name(), f.max.unwrap().0 / 1_000)).collect();
    assert_eq!(
        figures,
        [
            ("login", 10),
            ("connect", 10),
            ("greeting", 10),
            ("first_event", 10),
            ("silence", 10),
            ("tool", 20),
            ("run", 60),
            ("golden_path", 90)
        ]
    );
}

#[test]
fn nothing_observed_is_never_a_pass() {
    let conclusion = concluded(&[]);
    assert_eq!(conclusion.outcome, Outcome::Inconclusive);
    assert!(conclusion.claims.iter().all(|claim| claim.verdict == Verdict::Inconclusive));
    let unasked = concluded(&[Stream::greeted(1).ends(2_000)]);
    assert_eq!((claim(&unasked, "events"), unasked.outcome), (Verdict::Inconclusive, Outcome::Inconclusive));
}

#[test]
fn silence_after_the_ask_is_named_by_what_came() {
    expect_findings(&[Stream::asked(1).ends(60_000)], &["GP301 nothing came within 30 s of the ask"]);
    let mut acknowledged = Stream::asked(1);
    acknowledged.text(110, r#"{"type":"ack"}"#);
    expect_findings(
        &[acknowledged.ends(60_000)],
        &["GP301 no event came within 30 s of the ask; the last frame was ack"],
    );
}

#[test]
fn a_stall_ignores_heartbeats() {
    let mut stream = Stream::asked(1).run(&simple(1)[..3]);
    for second in 1..40 {
        stream.text(130 + second * 1_000, r#"{"type":"ping"}"#);
    }
    let conclusion = expect_findings(
        &[stream.ends(60_000)],
        &["GP302 nothing came for 30 s after tool_executing; missing: tool_completed and agent_completed"],
    );
    assert_eq!(conclusion.outcome, Outcome::Failed);
}

#[test]
fn a_frame_that_straddles_a_deadline_does_not_let_it_fire() {
    let events = simple(1);
    let late = |not_before: u64| {
        let mut stream = Stream::asked(1).run(&events[..1]);
        // The last progress was at 110, so the stall would be at 30,110.
        let (at, direction) = (ms(30_200), Direction::Received);
        let content = Content::Text(events[1].clone().into());
        let not_before = ms(not_before);
        let frame = Frame { connection: Connection(1), direction, at, read_at: at, not_before, content };
        stream.entries.push(Observed::Frame(frame));
        for (index, event) in events[2..].iter().enumerate() {
            stream.text(30_300 + index as u64, event.clone());
        }
        findings(&concluded(&[stream.ends(40_000)]))
    };
    assert_eq!(late(30_000), [""; 0]);
    assert_eq!(late(30_150).len(), 1, "the gap was longer than the limit whenever the frame arrived");
}

#[test]
fn a_run_without_end_is_too_long_however_lively() {
    let mut stream = Stream::asked(1).run(&simple(1)[..2]);
    for second in 1..130 {
        stream.text(130 + second * 1_000, event(0, 1, "agent_thinking", ""));
    }
    expect_findings(&[stream.ends(200_000)], &["GP303 the run was not over after 2 min; last came agent_thinking"]);
}

#[test]
fn a_bad_end_is_one_finding_with_its_explanation() {
    let mut stream = Stream::asked(1).run(&simple(1)[..3]);
    stream.text(200, event(0, 1, "agent_error", ""));
    stream.text(210, event(0, 1, "agent_completed", r#","success":false"#));
    let both = "GP106 the run ended with agent_error, and agent_completed came after it all the same";
    expect_findings(&[stream.ends(5_000)], &[both]);
}

#[test]
fn a_run_that_failed_before_its_first_event_takes_late_ones_calmly() {
    let mut stream = Stream::asked(1);
    stream.text(110, event(0, 1, "agent_error", ""));
    stream.text(120, event(0, 1, "agent_started", ""));
    expect_findings(&[stream.ends(5_000)], &["GP106 the run ended with agent_error"]);
}

#[test]
fn completed_with_failure_inside_is_not_an_answer() {
    let mut stream = Stream::asked(1).run(&simple(1)[..5]);
    stream.text(200, event(0, 1, "agent_completed", r#","agent_name":"triage","success":false"#));
    expect_findings(&[stream.ends(5_000)], &["GP502 agent_completed says that the run failed"]);
}

#[test]
fn answers_are_judged() {
    let with = |answer: &str| {
        let mut events = simple(1);
        events.pop();
        let more = format!(r#","agent_name":"triage"{answer}"#);
        events.push(event(0, 1, "agent_completed", &more));
        findings(&concluded(&[Stream::asked(1).run(&events).ends(5_000)]))
    };
    assert_eq!(with(r#","final_response":"""#), ["GP501 the run ended well and carried no answer"]);
    assert_eq!(with(""), ["GP501 the run ended well and carried no answer"]);
    assert_eq!(with(r#","final_response":null"#), ["GP501 the run ended well and carried no answer"]);
    assert_eq!(with(r#","final_response":"1 idea""#), ["GP503 the answer has 6 characters; at least 10 were asked"]);
    assert_eq!(with(r#","final_response":{"usd":12,"why":"x"}"#), [""; 0], "an object is an answer");
}

/// A user who asked `prompt` and got `answer`.
fn answered(user: u32, prompt: &str, answer: &str) -> Stream {
    let mut stream = Stream::asked(user);
    for observed in &mut stream.entries {
        if let Observed::Fact(Fact::Asked { prompt: asked, .. }) = observed {
            prompt.clone_into(asked);
        }
    }
    let mut events = simple(user);
    events.pop();
    let more = format!(r#","agent_name":"triage","final_response":"{answer}""#);
    events.push(event(0, user, "agent_completed", &more));
    stream.run(&events).ends(5_000)
}

#[test]
fn one_answer_to_different_prompts_is_found_across_shards() {
    let mark = |user| Canary { execution: EXECUTION.0, user, iteration: 1 }.encode();
    let found = |streams: &[Stream], distinct: bool| {
        let mut expect = expectations(streams.len() as u32);
        expect.turns[0].distinct = distinct;
        let expect = Arc::new(expect);
        let whole = judge(&expect, streams);
        let parts = streams.iter().map(|stream| judge(&expect, std::slice::from_ref(stream)));
        let merged = parts.fold(Judgement::default(), |all, part| part.merge(all));
        assert_eq!(whole, merged, "who judged whom does not matter");
        findings(&conclude(merged, &expect, false, None))
    };
    let (cut, drop) = ("cut 30 % of the idle nodes", "drop 12 volumes of shop B");
    let two = [answered(1, "shop A?", cut), answered(2, "shop B?", cut)];
    assert_eq!(found(&two, true), ["GP513 2 answers to 2 different prompts are the same: users 1, 2"]);
    assert_eq!(found(&two, false), [""; 0], "only where asked");
    let differ = [answered(1, "shop A?", cut), answered(2, "shop B?", drop)];
    assert_eq!(found(&differ, true), [""; 0]);
    let ask = |user| answered(user, &format!("shop A? (ref {})", mark(user)), cut);
    assert_eq!(found(&[ask(1), ask(2)], true), [""; 0], "prompts that differ only in marks are one");
    let none = [answered(1, "shop A?", "TODO"), answered(2, "shop B?", "TODO")];
    assert_eq!(found(&none, true).len(), 2, "a placeholder is its own finding: {:?}", found(&none, true));
}

/// One user with a late event, one with two, judged with these exceptions on this day.
fn excepted(exceptions: Exceptions, reliability: Option<f64>, today: Option<&str>) -> Conclusion {
    let mut expect = expectations(1);
    expect.claims.exceptions = exceptions;
    let origin = Origin { file: "s.yaml".into(), line: 3 };
    let (of, confidence) = (ReliabilityOf::GoldenPath, 0.95);
    expect.claims.reliability =
        reliability.map(|at_least| Reliability { of, at_least, confidence, required: true, origin });
    let streams = [1_usize, 2].map(|late| {
        let mut stream = Stream::asked(late as u32).run(&simple(late as u32));
        for (at, kind) in [(400, "agent_thinking"), (500, "agent_started")].into_iter().take(late) {
            stream.text(at, event(0, late as u32, kind, ""));
        }
        stream.ends(5_000)
    });
    let expect = Arc::new(expect);
    let apart = judge(&expect, &streams[..1]).merge(judge(&expect, &streams[1..]));
    assert_eq!(apart, judge(&expect, &streams));
    conclude(apart, &expect, false, today.map(|day| day.parse().unwrap()))
}

fn known_late(matches: Option<&str>) -> Known {
    Known {
        rule: Rule::LateEvent,
        matches: matches.map(|pattern| Regex::new(pattern).unwrap()),
        issue: "#712".into(),
        until: Some("2026-12-31".parse().unwrap()),
        at_most: Some(3),
        origin: Origin { file: "s.yaml".into(), line: 9 },
    }
}

#[test]
fn a_known_issue_is_reported_and_does_not_fail_until_its_day_or_number() {
    let judged = |known: Known, today: Option<&str>| {
        let conclusion = excepted(Exceptions { known: vec![known], rules: vec![] }, None, today);
        let [issue] = &conclusion.known[..] else { panic!("one issue") };
        (issue.state, issue.count, issue.users, findings(&conclusion).len(), conclusion.outcome)
    };
    let known = || known_late(None);
    for today in [None, Some("2026-11-20"), Some("2026-12-31")] {
        assert_eq!(judged(known(), today), (KnownState::Tolerated, 3, 2, 0, Outcome::Pass), "{today:?}");
    }
    assert_eq!(judged(known(), Some("2027-01-01")), (KnownState::Expired, 3, 2, 3, Outcome::Failed));
    let few = Known { at_most: Some(2), ..known() };
    assert_eq!(judged(few, None), (KnownState::Exceeded, 3, 2, 3, Outcome::Failed));
    let of_other = known_late(Some("^agent_thinking came"));
    assert_eq!(judged(of_other, None), (KnownState::Tolerated, 2, 2, 1, Outcome::Failed), "one is not known");
    let unseen = Known { rule: Rule::Stalled, ..known() };
    assert_eq!(judged(unseen, Some("2027-01-01")), (KnownState::Unseen, 0, 0, 3, Outcome::Failed));
}

#[test]
fn iterations_that_only_known_issues_failed_are_not_failed() {
    let failed = |today| {
        let exceptions = Exceptions { known: vec![known_late(None)], rules: vec![] };
        excepted(exceptions, Some(0.1), Some(today)).judgement.counts.iterations_failed
    };
    assert_eq!((failed("2026-11-20"), failed("2027-01-01")), (0, 2));
}

#[test]
fn a_rule_weighs_what_the_scenario_says() {
    let with = |rule, severity| {
        let (reason, origin) = (Some("not used here".to_owned()), Origin { file: "s.yaml".into(), line: 9 });
        let rules = vec![RuleChange { rule, severity, reason, origin }];
        excepted(Exceptions { known: vec![], rules }, None, None)
    };
    let noted = with(Rule::LateEvent, Some(Severity::Note));
    assert_eq!((noted.outcome, findings(&noted).len(), noted.rules[0].count), (Outcome::Pass, 3, 3));
    let off = with(Rule::LateEvent, None);
    assert_eq!((off.outcome, off.rules[0].severity, off.rules[0].count), (Outcome::Pass, None, 3));
    assert_eq!(with(Rule::Stalled, Some(Severity::Note)).outcome, Outcome::Failed, "another rule changes nothing");
}

#[test]
fn a_note_can_be_made_a_failure() {
    let mut expect = expectations(2);
    let (reason, origin) = (None, Origin { file: "s.yaml".into(), line: 9 });
    let (rule, severity) = (Rule::MalformedIdentity, Some(Severity::Failure));
    expect.claims.exceptions.rules = vec![RuleChange { rule, severity, reason, origin }];
    let mut streams = pair();
    streams[0].text(400, r#"{"type":"agent_update","user_id":"t-17"}"#);
    let expect = Arc::new(expect);
    let conclusion = conclude(judge(&expect, &ended(streams)), &expect, false, None);
    assert_eq!((claim(&conclusion, "isolation"), conclusion.outcome), (Verdict::Fail, Outcome::Failed));
}

#[test]
fn an_iteration_belongs_to_the_window_in_which_it_began() {
    let mut expect = expectations(2);
    let (statistic, limit, per) = (Statistic::Max, Micros::from_secs(1), Some(Micros::from_secs(10)));
    let origin = Origin { file: "s.yaml".into(), line: 7 };
    let (segment, level) = (Segment::Run, Level::Fail);
    let budget = Budget { segment, statistic, limit, level, per, proven: false, required: true, origin };
    let mean = Budget { statistic: Statistic::Mean, ..budget.clone() };
    expect.budgets = vec![budget, mean];
    let expect = Arc::new(expect);
    let mut streams = pair();
    if let Some(Observed::Fact(Fact::Began { at, .. })) = streams[1].entries.first_mut() {
        *at = ms(10_000);
    }
    let streams = ended(streams);
    let whole = judge(&expect, &streams);
    let found: Vec<_> = whole.windows.iter().map(|(w, values)| (w.segment, w.index, values.latest.len())).collect();
    assert_eq!(found, [(Segment::Run, 0, 1), (Segment::Run, 1, 1)], "once, however many budgets ask");
    assert_eq!(judge(&expect, &streams[..1]).merge(judge(&expect, &streams[1..])), whole);
    let claims = conclude(whole, &expect, false, None).claims;
    assert!(claims.iter().any(|claim| claim.figures.starts_with("2 windows within, 0 not")), "{claims:?}");
}

#[test]
fn each_turn_is_compared_with_its_own_prompt() {
    let mut expect = expectations(1);
    expect.turns = vec![AnswerRules::default(), AnswerRules::default()];
    let expect = Arc::new(expect);
    let prompts = ["which services drive our bill this month", "and what should we cut first of all"];
    let told = |answers: [&str; 2]| {
        let mut stream = Stream::greeted(1);
        for (turn, answer) in answers.into_iter().enumerate() {
            let at = 100 + 1_000 * turn as u64;
            let (run, prompt) = (Some(format!("r-{turn}")), prompts[turn].to_owned());
            stream.fact(Fact::Asked { turn: turn as u32, at: ms(at), run, thread: None, prompt });
            stream.content(at, Direction::Sent, Content::Text("{}".into()));
            let mut events = simple(1);
            let more = format!(r#","agent_name":"triage","final_response":"{answer}""#);
            *events.last_mut().unwrap() = event(0, 1, "agent_completed", &more);
            for (index, event) in events.into_iter().enumerate() {
                stream
                    .text(at + 10 * (index as u64 + 1), event.replace("r-1", &format!("r-{turn}")).replace("t-1", "t"));
            }
        }
        findings(&conclude(judge(&expect, &[stream.ends(9_000)]), &expect, false, None))
    };
    assert_eq!(told([prompts[1], prompts[0]]), [""; 0]);
    let echo = "GP511 the answer is the prompt quoted back: 100 % of its words";
    assert_eq!(told(["compute", prompts[1]]), [echo]);
}

#[test]
fn a_persona_has_answers_of_its_own_and_is_counted() {
    let mut expect = expectations(2);
    let rules = AnswerRules { min_chars: 1_000, ..AnswerRules::default() };
    expect.personas = vec![
        Persona { name: "absent".to_owned(), share: 0.1, turns: vec![] },
        Persona { name: "wordy".to_owned(), share: 0.2, turns: vec![rules] },
    ];
    let expect = Arc::new(expect);
    let stream = |user, persona: Option<&str>| {
        let mut stream = Stream::asked(user);
        if let Some(persona) = persona {
            stream.fact(Fact::Plays { persona: persona.to_owned(), at: ms(50) });
        }
        stream.run(&simple(user)).ends(9_000)
    };
    let streams = ended([stream(1, Some("wordy")), stream(2, None)]);
    let concluded = conclude(judge(&expect, &streams), &expect, false, None);
    let found = findings(&concluded);
    assert!(found.len() == 1 && found[0].contains("1000"), "{found:?}");
    let personas: Vec<_> = concluded.personas.iter().map(|p| (p.name.as_str(), p.users, p.iterations)).collect();
    assert_eq!(personas, [("absent", 0, 0), ("wordy", 1, 1)]);
    let merged = judge(&expect, &streams[..1]).merge(judge(&expect, &streams[1..]));
    assert_eq!(conclude(merged, &expect, false, None).personas, concluded.personas);
}

#[test]
fn ends_of_the_connection_are_told_apart() {
    let cut = |content: Content<'static>| {
        let mut stream = Stream::asked(1).run(&simple(1)[..3]);
        stream.content(200, Direction::Received, content);
        findings(&concluded(&[stream.ends(60_000)]))
    };
    let missing = "missing: tool_completed and agent_completed";
    assert_eq!(
        cut(Content::Close { code: 1000, reason: "main cleanup".into() }),
        [format!("GP413 the target closed with 1000 \"main cleanup\" before the run was over; {missing}")]
    );
    assert_eq!(
        cut(Content::Lost { error: "connection reset".into() }),
        [format!("GP414 the connection ended without a close frame (connection reset); {missing}")]
    );
    assert_eq!(cut(Content::TooLarge { limit: 1_024 }), ["GP412 a frame is larger than 1024 bytes"]);
    assert_eq!(cut(Content::Violation { why: "invalid UTF-8".into() }), ["GP415 invalid UTF-8"]);
}

#[test]
fn a_close_right_after_the_end_is_the_targets_right() {
    let mut stream = Stream::asked(1).run(&simple(1));
    stream.content(300, Direction::Received, Content::Close { code: 1000, reason: "".into() });
    assert_eq!(expect_findings(&[stream.ends(2_000)], &[]).outcome, Outcome::Pass);
}

#[test]
fn refusals_of_every_user_block() {
    let refuse = |content: fn() -> Content<'static>| {
        let mut stream = Stream::upgraded(1);
        stream.content(40, Direction::Received, content());
        concluded(&[stream.ends(60_000)])
    };
    for (conclusion, message) in [
        (concluded(&[Stream::upgraded(1).ends(60_000)]), "GP408 no frame came within 5 s of the upgrade"),
        (
            refuse(|| Content::Text(r#"{"type":"hello"}"#.into())),
            "GP408 1 frame came within 5 s, and none was the greeting",
        ),
        (
            refuse(|| Content::Text(r#"{"type":"authentication_error"}"#.into())),
            "GP407 refused after the upgrade by authentication_error",
        ),
        (
            refuse(|| Content::Close { code: 1008, reason: "no".into() }),
            "GP407 refused after the upgrade by close 1008 \"no\"",
        ),
    ] {
        assert_eq!(findings(&conclusion), [message]);
        assert_eq!((conclusion.outcome, claim(&conclusion, "setup")), (Outcome::Blocked, Verdict::Blocked));
        assert_eq!(claim(&conclusion, "events"), Verdict::Inconclusive);
    }
}

#[test]
fn a_refusal_of_one_user_fails_setup_unless_allowed() {
    let streams = [Stream::asked(1).run(&simple(1)).ends(2_000), Stream::upgraded(2).ends(60_000)];
    let mut expect = expectations(1);
    let verdicts = |expect: &Expectations| {
        let expect = Arc::new(expect.clone());
        let conclusion = conclude(judge(&expect, &streams), &expect, false, None);
        (claim(&conclusion, "setup"), conclusion.outcome)
    };
    assert_eq!(verdicts(&expect), (Verdict::Fail, Outcome::Failed));
    expect.claims.setup_at_most = 0.5;
    assert_eq!(verdicts(&expect), (Verdict::Pass, Outcome::Pass));
    expect.claims.setup_at_most = 0.4;
    expect.claims.setup.required = false;
    assert_eq!(verdicts(&expect), (Verdict::Fail, Outcome::Pass), "not required never fails");
}

#[test]
fn a_signal_interrupts_without_missing_events() {
    let mut stream = Stream::asked(1).run(&simple(1)[..2]);
    stream.fact(Fact::Interrupted { at: ms(200) });
    let expect = Arc::new(expectations(1));
    let conclusion = conclude(judge(&expect, &[stream.ends(60_000)]), &expect, true, None);
    assert_eq!((findings(&conclusion), conclusion.outcome), (vec![], Outcome::Interrupted));
    assert_eq!(conclusion.judgement.counts.iterations_interrupted, 1);
}

/// Two users whose runs overlap.
fn pair() -> [Stream; 2] {
    [1, 2].map(|user| Stream::asked(user).run(&simple(user)))
}

fn ended(streams: [Stream; 2]) -> [Stream; 2] {
    streams.map(|stream| stream.ends(5_000))
}

#[test]
fn isolation_passes_on_overlap_and_attribution() {
    let conclusion = expect_findings(&ended(pair()), &[]);
    assert_eq!((claim(&conclusion, "isolation"), conclusion.power.crowd.share), (Verdict::Pass, 1.0));
    let mut alone = pair();
    alone[1] = Stream::greeted(2);
    alone[1].ask(3_000);
    for (index, event) in simple(2).into_iter().enumerate() {
        alone[1].text(3_100 + index as u64, event);
    }
    let conclusion = expect_findings(&ended(alone), &[]);
    assert_eq!(claim(&conclusion, "isolation"), Verdict::Inconclusive, "no overlap proves nothing");
}

#[test]
fn a_foreign_mark_is_a_leak_by_content_alone() {
    let mark = |execution, user| Canary { execution, user, iteration: 1 }.encode();
    let with = |mark: String| {
        let mut streams = pair();
        streams[0].text(400, event(0, 1, "agent_update", &format!(r#","text":"see {mark}!""#)));
        concluded(&ended(streams))
    };
    let leak = with(mark(EXECUTION.0, 2));
    let how = "content only: what it stood in was this user's";
    assert_eq!(findings(&leak), [format!("GP201 the mark of user 2 (iteration 1) came to this user; {how}")]);
    assert_eq!((claim(&leak, "isolation"), leak.outcome), (Verdict::Fail, Outcome::Failed));
    let own = with(mark(EXECUTION.0, 1));
    assert_eq!((findings(&own), own.outcome, own.judgement.counts.canaries), (vec![], Outcome::Pass, 1));
    let elsewhere = with(mark(7, 2));
    assert_eq!(findings(&elsewhere), ["GP205 a mark of another execution (its user 2) came to this user"]);
    assert_eq!((claim(&elsewhere, "isolation"), elsewhere.outcome), (Verdict::Inconclusive, Outcome::Inconclusive));
}

#[test]
fn another_known_users_id_is_a_leak_and_nobodys_is_not() {
    let with = |id: &str| {
        let mut streams = pair();
        streams[0].text(400, format!(r#"{{"type":"agent_update","user_id":"{id}"}}"#));
        concluded(&ended(streams))
    };
    let leak = with("u-2");
    let told = "GP202 the user id u-2 of user 2 came to this user in 1 frame; whether user 2 got it is not known";
    assert_eq!(findings(&leak), [told]);
    assert_eq!(leak.outcome, Outcome::Failed);
    let nobody = with("t-17");
    assert_eq!(findings(&nobody), ["GP204 the user id t-17 in 1 frame is no known user's"]);
    assert_eq!(nobody.outcome, Outcome::Pass, "a malformed id accuses nobody");
    // Truncated for display, and a longer id with the same beginning.
    assert_eq!(findings(&with("u-1...")), [""; 0]);
    assert_eq!(findings(&with("u-10")), ["GP204 the user id u-10 in 1 frame is no known user's"]);
}

#[test]
fn a_misrouted_run_does_not_spray_findings() {
    let mut streams = pair();
    for (index, event) in simple(2).into_iter().enumerate() {
        streams[0].text(115 + 10 * index as u64, event);
    }
    streams[0].entries.sort_by_key(Observed::at);
    let conclusion = concluded(&ended(streams));
    let rules: Vec<_> = conclusion.judgement.findings.rules().map(|(rule, ..)| rule).collect();
    assert_eq!(rules, [Rule::ForeignIdentity]);
}

#[test]
fn one_identity_for_two_users_is_a_collapse() {
    let mut streams = pair();
    for stream in &mut streams {
        for observed in &mut stream.entries {
            match observed {
                Observed::Fact(Fact::Captured { value, .. }) => "dev".clone_into(value),
                Observed::Frame(Frame { content: Content::Text(text), .. }) => {
                    *text = text.replace("u-1", "dev").replace("u-2", "dev").into();
                }
                _ => {}
            }
        }
    }
    expect_findings(&ended(streams), &["GP203 2 users are all dev to the target: 1, 2"]);
}

#[test]
fn late_and_unasked_events_are_told_apart() {
    let late = |at| {
        let mut stream = Stream::asked(1).run(&simple(1));
        stream.text(at, event(0, 1, "agent_thinking", ""));
        findings(&concluded(&[stream.ends(5_000)]))
    };
    assert_eq!(late(500), ["GP104 agent_thinking came 340 ms after the run was over"]);
    assert_eq!(late(3_000), ["GP104 agent_thinking came 2.84 s after the run was over"], "after the quiet time, too");
    let mut unasked = Stream::greeted(1);
    for event in simple(1) {
        unasked.text(50, event.replace("r-1", "r-9"));
    }
    expect_findings(&[unasked.ends(5_000)], &["GP107 agent_started came although no run was in flight"]);
}

#[test]
fn strange_names_make_events_inconclusive() {
    let mut stream = Stream::asked(1);
    for kind in ["RunStarted", "RunFinished"] {
        stream.text(200, format!(r#"{{"type":"{kind}"}}"#));
    }
    let conclusion = concluded(&[stream.ends(60_000)]);
    assert_eq!((claim(&conclusion, "events"), conclusion.outcome), (Verdict::Inconclusive, Outcome::Inconclusive));
    let missing = conclusion.claims.iter().find_map(|claim| claim.missing.clone().filter(|m| m.contains("RunStarted")));
    assert!(missing.is_some_and(|missing| missing.contains("RunFinished")));
}

#[test]
fn garbage_is_malformed_and_no_further_finding() {
    let mut events = simple(1);
    events[1] = r#"{"type":"agent_think"#.to_owned();
    let findings = findings(&concluded(&[Stream::asked(1).run(&events).ends(5_000)]));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].starts_with("GP411 a frame is not JSON: "), "{findings:?}");
}

#[test]
fn the_moves_lead_a_user_along_the_golden_path() {
    let expect = Arc::new(expectations(1));
    let mut judge = Judge::new(expect, EXECUTION);
    let stream = Stream::asked(1).run(&simple(1));
    let mut moves = Vec::new();
    for observed in &stream.entries {
        judge.replay(&Entry { user: Some(stream.user), observed: observed.clone() });
        let next = judge.next_move(stream.user);
        if moves.last() != Some(&next) {
            moves.push(next);
        }
    }
    assert_eq!(moves, [Move::Listen, Move::Ask(0), Move::Listen, Move::Linger { good: true }]);
    assert_eq!(judge.next_deadline(stream.user), Some(ms(1_160)));
    judge.expire(stream.user, ms(1_159));
    assert_eq!(judge.next_move(stream.user), Move::Linger { good: true });
    judge.expire(stream.user, ms(1_160));
    assert_eq!(judge.next_move(stream.user), Move::Settled { good: true });
}

#[test]
fn heartbeats_are_answered_once_each() {
    let mut judge = Judge::new(Arc::new(expectations(1)), EXECUTION);
    let mut stream = Stream::asked(1);
    stream.text(110, r#"{"type":"ping"}"#);
    for observed in &stream.entries {
        judge.replay(&Entry { user: Some(stream.user), observed: observed.clone() });
    }
    assert_eq!(judge.next_move(stream.user), Move::Reply(0));
    let mut sent = Stream { user: stream.user, entries: vec![] };
    sent.content(111, Direction::Sent, Content::Text(r#"{"type":"pong"}"#.into()));
    judge.replay(&Entry { user: Some(stream.user), observed: sent.entries.remove(0) });
    assert_eq!(judge.next_move(stream.user), Move::Listen);
}

/// One change to a legal run, and the finding it must have: by rule, or none for changes that are legal, too.
fn mutate(events: &mut Vec<String>, which: usize, at: usize) -> Option<Rule> {
    let kind = |event: &str| event.split('"').nth(3).unwrap_or_default().to_owned();
    let count = |events: &[String], name: &str| events.iter().filter(|event| kind(event) == name).count();
    let index = at % events.len();
    let name = kind(&events[index]);
    match which {
        // Drop one event.
        0 => {
            let last_of_kind = count(events, &name) == 1;
            events.remove(index);
            match name.as_str() {
                "agent_completed" => Some(Rule::Stalled),
                "tool_executing" | "tool_completed" if !last_of_kind => Some(Rule::UnpairedTool),
                // Without the thought before the first tool, the one inside the pair is the first.
                "agent_thinking" if !last_of_kind => {
                    let first = events.iter().position(|event| kind(event) == "agent_thinking");
                    let call = events.iter().position(|event| kind(event) == "tool_executing");
                    (first > call).then_some(Rule::OutOfOrder)
                }
                _ => Some(Rule::MissingEvent),
            }
        }
        // Repeat one event at once.
        1 => {
            let event = events[index].clone();
            let recognised = name != "agent_thinking" || event.contains("event_id");
            let recognised = recognised && (!name.starts_with("tool") || event.contains("call_id"));
            let event_id = event.contains("event_id");
            events.insert(index, event);
            match name.as_str() {
                // Its own event id makes the repetition a retry that can be told.
                _ if event_id => Some(Rule::RedeliveredEvent),
                _ if recognised => Some(Rule::DuplicateEvent),
                "agent_thinking" => None,
                _ => Some(Rule::UnpairedTool),
            }
        }
        // Repeat an early event after the end.
        2 => {
            events.push(events[index].replace("e-", "f-").replace("c-", "d-").replace("triage", "other"));
            Some(Rule::LateEvent)
        }
        // Send the completion before the last event that is not it.
        3 => {
            let last = events.len() - 1;
            events.swap(last - 1, last);
            Some(Rule::LateEvent)
        }
        // Send the first thought before the start.
        4 => {
            events.swap(0, 1);
            Some(Rule::OutOfOrder)
        }
        // Send a result before its call.
        5 => {
            let call = events.iter().position(|event| kind(event) == "tool_executing").expect("a tool");
            events.swap(call, call + 2);
            Some(Rule::OutOfOrder)
        }
        // Send the first call before the first thought.
        6 => {
            let thought = events.iter().position(|event| kind(event) == "agent_thinking").expect("a thought");
            let call = events.iter().position(|event| kind(event) == "tool_executing").expect("a tool");
            let call = events.remove(call);
            events.insert(thought, call);
            Some(Rule::OutOfOrder)
        }
        // Garble one event in the middle.
        7 => {
            let index = 1 + at % (events.len() - 2);
            events[index].truncate(12);
            Some(Rule::MalformedFrame)
        }
        // Another known user's id.
        _ => {
            events[index] = events[index].replace("u-1", "u-2");
            Some(Rule::ForeignIdentity)
        }
    }
}

fn rules_of(judgement: &Judgement) -> Vec<Rule> {
    judgement.findings.rules().map(|(rule, ..)| rule).collect()
}

fn arbitrary_observed() -> impl Strategy<Value = Observed<'static>> {
    let at = 0_u64..200_000;
    let text = prop_oneof![
        Just(r#"{"type":"connection_ready"}"#.to_owned()),
        Just(r#"{"type":"ping"}"#.to_owned()),
        Just(r#"{"type":"agent_error","run_id":"r-1"}"#.to_owned()),
        (0_usize..3, 1_u32..3, 0_usize..7).prop_map(|(envelope, user, index)| {
            let mut events = legal(envelope, user, 2, 1, index % 2 == 0);
            events.swap_remove(index)
        }),
        ".{0,40}",
    ];
    let content = prop_oneof![
        8 => text.prop_map(|text| Content::Text(text.into())),
        1 => Just(Content::Binary(vec![1, 2].into())),
        1 => Just(Content::Ping),
        1 => Just(Content::Close { code: 1011, reason: "x".into() }),
        1 => Just(Content::Lost { error: "reset".into() }),
    ];
    let frame = (at.clone(), 0_u64..2_000, any::<bool>(), content).prop_map(|(at, width, received, content)| {
        let direction = if received { Direction::Received } else { Direction::Sent };
        let not_before = ms(at.saturating_sub(width));
        let frame = Frame { connection: Connection(1), direction, at: ms(at), read_at: ms(at), not_before, content };
        Observed::Frame(frame)
    });
    let fact = (at.clone(), 0..8_u32).prop_map(|(at, which)| {
        let stream = Stream::asked(1);
        let mut facts = stream.entries.into_iter().filter(|observed| matches!(observed, Observed::Fact(_)));
        Observed::Fact(match which {
            0 => Fact::Closed { connection: Connection(1), at: ms(at) },
            1 => Fact::Interrupted { at: ms(at) },
            2 => Fact::Ended { at: ms(at) },
            n => match facts.nth(n as usize - 3) {
                Some(Observed::Fact(fact)) => fact,
                _ => Fact::Ended { at: ms(at) },
            },
        })
    });
    prop_oneof![4 => frame, 2 => fact, 1 => at.prop_map(|at| Observed::Quiet(ms(at)))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_legal_stream_has_no_finding(
        envelope in 0_usize..3, thoughts in 1_usize..4, tools in 1_usize..4, ids in any::<bool>(),
    ) {
        let events = legal(envelope, 1, thoughts, tools, ids);
        let conclusion = concluded(&[Stream::asked(1).run(&events).ends(5_000)]);
        prop_assert_eq!(findings(&conclusion), Vec::<String>::new());
        prop_assert_eq!(conclusion.outcome, Outcome::Pass);
    }

    #[test]
    fn each_single_mutation_has_exactly_the_finding_it_names(
        envelope in 0_usize..3, thoughts in 1_usize..4, tools in 1_usize..4, ids in any::<bool>(),
        which in 0_usize..9, at in 0_usize..40,
    ) {
        let mut events = legal(envelope, 1, thoughts, tools, ids);
        let expected = mutate(&mut events, which, at);
        let other = Stream::asked(2).run(&simple(2)).ends(60_000);
        let expect = Arc::new(expectations(2));
        let judgement = judge(&expect, &[Stream::asked(1).run(&events).ends(60_000), other]);
        let conclusion = conclude(judgement, &expect, false, None);
        prop_assert_eq!(
            rules_of(&conclusion.judgement), expected.into_iter().collect::<Vec<_>>(),
            "mutation {} at {}: {:?}\n{:#?}", which, at, findings(&conclusion), events
        );
        let notes = expected.is_none_or(|rule| rule.severity() == Severity::Note);
        prop_assert_eq!(conclusion.outcome == Outcome::Pass, notes);
    }

    #[test]
    fn any_observations_are_judged_without_panic_and_twice_alike(
        entries in proptest::collection::vec(arbitrary_observed(), 0..60),
    ) {
        let expect = Arc::new(expectations(1));
        let stream = [Stream { user: UserNumber(1), entries }];
        let once = judge(&expect, &stream);
        prop_assert_eq!(&once, &judge(&expect, &stream));
        let concluded = conclude(once, &expect, false, None);
        prop_assert!(concluded.outcome != Outcome::Pass || concluded.judgement.counts.runs_good > 0);
    }

    /// A deadline fires at its own time: calls to `expire` between frames, as many as the reads were split into, change
    /// nothing as long as they promise what is true.
    #[test]
    fn live_equals_replay_in_any_split_of_reads(
        thoughts in 1_usize..4, which in 0_usize..8, at in 0_usize..40, slow in 0_usize..8,
        gap in prop_oneof![Just(40_u64), Just(20_000), Just(40_000), Just(130_000)],
        wakes in proptest::collection::vec(0.0_f64..1.0, 0..20),
    ) {
        let mut events = legal(0, 1, thoughts, 2, true);
        mutate(&mut events, which, at);
        let mut stream = Stream::asked(1);
        let mut now = 110;
        for (index, event) in events.into_iter().enumerate() {
            now += if index == slow { gap } else { 10 };
            stream.text(now, event);
        }
        let whole = stream.clone().ends(400_000);
        let mut split = Stream { user: stream.user, entries: Vec::new() };
        let mut before = Stamp::ZERO;
        for observed in whole.entries.clone() {
            if let Observed::Frame(frame) = &observed {
                let room = frame.not_before.since(before).0 as f64;
                let mut times: Vec<_> = wakes.iter().map(|share| before + Micros((room * share) as u64)).collect();
                times.sort();
                split.entries.extend(times.into_iter().map(Observed::Quiet));
                before = frame.at;
            }
            split.entries.push(observed);
        }
        let expect = Arc::new(expectations(1));
        prop_assert_eq!(judge(&expect, &[whole]), judge(&expect, &[split]));
    }

    #[test]
    fn merging_is_associative_and_commutative(
        streams in proptest::collection::vec(proptest::collection::vec(arbitrary_observed(), 0..30), 3),
    ) {
        let expect = Arc::new(expectations(3));
        let streams: Vec<_> = streams
            .into_iter()
            .enumerate()
            .map(|(index, entries)| Stream { user: UserNumber(index as u32 + 1), entries })
            .collect();
        let part = |index: usize| judge(&expect, &streams[index..=index]);
        let left = part(0).merge(part(1)).merge(part(2));
        let right = part(0).merge(part(1).merge(part(2)));
        prop_assert_eq!(&left, &right);
        prop_assert_eq!(&left, &part(2).merge(part(0)).merge(part(1)));
        prop_assert_eq!(&left, &Judgement::default().merge(left.clone()));
    }

    #[test]
    fn shards_judge_as_one_thread_does(
        mutations in proptest::collection::vec((0_usize..9, 0_usize..40), 4),
    ) {
        let expect = Arc::new(expectations(4));
        let streams: Vec<_> = mutations
            .into_iter()
            .enumerate()
            .map(|(index, (which, at))| {
                let user = index as u32 + 1;
                let mut events = legal(0, user, 2, 2, true);
                if which < 8 {
                    mutate(&mut events, which, at);
                }
                Stream::asked(user).run(&events).ends(60_000)
            })
            .collect();
        let (left, right) = streams.split_at(2);
        let apart = conclude(judge(&expect, left).merge(judge(&expect, right)), &expect, false, None);
        prop_assert_eq!(conclude(judge(&expect, &streams), &expect, false, None), apart);
    }
}

/// The findings of one user's run of `events`, 10 ms apart, by `expect`.
fn findings_by(expect: &Expectations, events: &[String]) -> Vec<String> {
    let expect = Arc::new(expect.clone());
    findings(&conclude(judge(&expect, &[Stream::asked(1).run(events).ends(60_000)]), &expect, false, None))
}

/// The expectations of one user with another grammar.
fn with_grammar(spelled: &Spelled) -> Expectations {
    let mut expect = expectations(1);
    expect.grammar = spelled.compile(|name| expect.dialect.names.intern(name));
    expect.ends.good = vec![];
    expect
}

fn insert(mut events: Vec<String>, at: usize, event: String) -> Vec<String> {
    events.insert(at, event);
    events
}

#[test]
fn a_retry_with_its_event_id_is_a_note_and_any_other_repetition_a_finding() {
    let start = |id: &str| event(0, 1, "agent_started", &format!(r#","agent_name":"triage"{id}"#));
    let with = |first: &str, second: &str| {
        let mut events = simple(1);
        events[0] = start(first);
        let conclusion = concluded(&[Stream::asked(1).run(&insert(events, 1, start(second))).ends(5_000)]);
        (findings(&conclusion), conclusion.outcome)
    };
    let note = "GP113 agent_started of event e-1 was delivered again".to_owned();
    assert_eq!(with(r#","event_id":"e-1""#, r#","event_id":"e-1""#), (vec![note], Outcome::Pass));
    let twice = || vec!["GP103 agent_started of triage came twice".to_owned()];
    assert_eq!(with(r#","event_id":"e-1""#, r#","event_id":"e-2""#), (twice(), Outcome::Failed));
    assert_eq!(with(r#","event_id":"e-1""#, ""), (twice(), Outcome::Failed));
    assert_eq!(with("", ""), (twice(), Outcome::Failed));
}

#[test]
fn a_replay_is_a_note_wherever_it_comes() {
    let replayed = |kind: &str| event(0, 1, kind, r#","agent_name":"triage","recovered":true"#);
    for (kind, at) in [("agent_started", 3), ("agent_thinking", 0), ("agent_started", 5), ("agent_thinking", 5)] {
        let events = insert(simple(1), at, replayed(kind));
        let conclusion = concluded(&[Stream::asked(1).run(&events).ends(5_000)]);
        assert_eq!(findings(&conclusion), [format!("GP114 {kind} was replayed")], "{kind} at {at}");
        assert_eq!(conclusion.outcome, Outcome::Pass);
    }
    let mut unasked = Stream::greeted(1);
    unasked.text(50, event(0, 1, "agent_started", r#","recovered":true"#).replace("r-1", "r-9"));
    expect_findings(&[unasked.ends(5_000)], &["GP114 agent_started was replayed"]);
    // What was lost and comes by a replay is there, in whatever order.
    let mut lost = simple(1);
    lost[..3].rotate_left(1);
    lost[2] = replayed("agent_started");
    assert_eq!(findings_by(&expectations(1), &lost), ["GP114 agent_started was replayed"]);
}

#[test]
fn a_failed_tool_in_a_good_run_is_a_note() {
    let mut events = simple(1);
    let call = r#","tool_name":"cost_0","call_id":"c-0""#;
    events[4] = event(0, 1, "tool_completed", &format!(r#"{call},"success":false"#));
    assert_eq!(findings_by(&expectations(1), &events), ["GP115 the tool cost_0 failed"]);
    events[4] = event(0, 1, "tool_completed", &format!(r#"{call},"success":true"#));
    assert_eq!(findings_by(&expectations(1), &events), [""; 0]);
}

#[test]
fn a_clock_that_runs_backwards_is_noted_once() {
    let timed = |times: [&str; 6]| {
        let stamp = |(event, time): (String, &str)| event.replacen('{', &format!(r#"{{"timestamp":{time},"#), 1);
        let events: Vec<_> = simple(1).into_iter().zip(times).map(stamp).collect();
        findings_by(&expectations(1), &events)
    };
    let noted = "GP116 the time in tool_executing lies 2 s before that of an earlier event";
    assert_eq!(timed(["10.5", "12.5", "10.5", "10.6", "10.7", "10.8"]), [noted]);
    assert_eq!(timed(["10.5", "10.6", "10.6", "10.7", "10.8", "10.9"]), [""; 0]);
    // Two senders, of which one writes local time without a zone.
    let (naive, zoned) = (r#""2025-09-07T12:00:00.1""#, r#""2025-09-07T10:00:00Z""#);
    assert_eq!(timed([zoned, naive, zoned, naive, "null", zoned]), [""; 0]);
}

#[test]
fn a_burst_at_the_end_is_told_from_a_slow_start_and_from_late_reads() {
    let run = |start: u64, gap: u64, not_before: Option<u64>| {
        let mut stream = Stream::asked(1);
        for (index, event) in simple(1).into_iter().enumerate() {
            let at = start + gap * index as u64;
            stream.text(at, event);
            if let (Some(Observed::Frame(frame)), Some(not_before)) = (stream.entries.last_mut(), not_before) {
                frame.not_before = ms(not_before);
            }
        }
        findings(&concluded(&[stream.ends(60_000)]))
    };
    let burst = "GP112 nothing came for 7.9 s, then all of 6 events within 10.1 ms";
    assert_eq!(run(8_000, 2, None), [burst]);
    assert_eq!(run(8_000, 200, None), [""; 0], "a slow start");
    assert_eq!(run(500, 2, None), [""; 0], "a fast run");
    assert_eq!(run(8_000, 2, Some(1_000)), [""; 0], "nobody looked for seven seconds");
}

#[test]
fn strangers_are_named_where_something_is_missing() {
    let mut events = simple(1);
    events[1] = event(0, 1, "reasoning", "");
    events[3] = event(0, 1, "reasoning", "");
    let missing = "GP101 the run ended without agent_thinking; reasoning came, which nothing mentions";
    assert_eq!(findings_by(&expectations(1), &events), [missing]);
}

#[test]
fn other_manners_of_spelling_are_suggested() {
    let mut stream = Stream::asked(1);
    for kind in ["agentStarted", "agentCompleted", "token"] {
        stream.text(200, format!(r#"{{"type":"{kind}"}}"#));
    }
    let conclusion = concluded(&[stream.ends(60_000)]);
    let missing = conclusion.claims.iter().find_map(|claim| claim.missing.clone()).unwrap_or_default();
    let advice = "events: { aliases: { agentCompleted: agent_completed, agentStarted: agent_started } }";
    assert!(missing.contains(advice), "{missing}");
    let mut expect = expectations(1);
    for name in ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"] {
        let (head, tail) = name.split_once('_').unwrap();
        let alias = format!("{head}{}{}", tail[..1].to_uppercase(), &tail[1..]);
        expect.dialect.names.alias(&alias, name);
    }
    let renamed: Vec<_> = simple(1).iter().map(|event| event.replace("agent_started", "agentStarted")).collect();
    assert_eq!(findings_by(&expect, &renamed), [""; 0]);
    let expect = Arc::new(expect);
    let conclusion = conclude(judge(&expect, &[Stream::asked(1).run(&renamed).ends(5_000)]), &expect, false, None);
    assert!(conclusion.census.iter().any(|row| row.envelope == "/type as agentStarted"), "{:?}", conclusion.census);
}

/// The events of three senders of one run (a bridge, an emitter that knows no agent and puts the thread where the user belongs,
/// a message service that wraps everything), with the agent named as given.
fn three_senders(bridge: &str, emitter: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
    let named = |name: &str| if name.is_empty() { String::new() } else { format!(r#","agent_name":"{name}""#) };
    let thinking = r#"{"type":"agent_thinking","critical":true,"attempt":null,"agent_name":null,"user_id":"t-1","thread_id":"t-1","run_id":"r-1","request_id":"q"}"#;
    let starts = vec![
        r#"{"type":"agent_started","payload":{"thread_id":"t-1","run_id":"r-1"}}"#.to_owned(),
        format!(r#"{{"type":"agent_started","run_id":"r-1","user_id":"u-1"{},"data":{{"x":1}}}}"#, named(bridge)),
    ];
    let middle = vec![
        thinking.to_owned(),
        r#"{"type":"tool_executing","run_id":"r-1","user_id":"u-1","data":{"tool_name":"cost"}}"#.to_owned(),
        thinking.to_owned(),
        r#"{"type":"tool_completed","run_id":"r-1","user_id":"u-1","data":{"tool_name":"cost"}}"#.to_owned(),
    ];
    let answer = r#""final_response":"cut 30 % of the idle nodes""#;
    let ends = vec![
        format!(
            r#"{{"type":"agent_completed","user_id":"t-1","thread_id":"t-1","run_id":"r-1",{answer}{}}}"#,
            named(emitter)
        ),
        format!(r#"{{"type":"agent_completed","payload":{{{answer}}}}}"#),
    ];
    (starts, middle, ends)
}

#[test]
fn three_senders_of_one_run_are_one_run_in_every_order() {
    for (bridge, emitter) in
        [("", ""), ("data", ""), ("", "data"), ("data", "data"), ("data_agent", "DataAgent"), ("supervisor", "chief")]
    {
        for order in 0..8 {
            let (mut starts, middle, mut ends) = three_senders(bridge, emitter);
            if order & 1 != 0 {
                starts.reverse();
            }
            if order & 2 != 0 {
                ends.reverse();
            }
            let mut events = starts;
            events.extend(middle);
            if order & 4 != 0 {
                // The second sender starts to speak while the first is at work.
                let second = events.remove(1);
                events.insert(3, second);
            }
            events.extend(ends);
            let conclusion = concluded(&[Stream::asked(1).run(&events).ends(60_000)]);
            let told = findings(&conclusion);
            let note = "GP204 the user id t-1 in 3 frames is no known user's";
            assert_eq!(told, [note], "{bridge:?} {emitter:?} {order}");
            assert_eq!((conclusion.outcome, conclusion.judgement.counts.runs_good), (Outcome::Pass, 1));
        }
    }
}

#[test]
fn the_end_told_by_another_sender_is_not_late() {
    let end = |envelope, agent: &str| {
        let more = format!(r#","agent_name":"{agent}","final_response":"cut 30 % of the idle nodes""#);
        event(envelope, 1, "agent_completed", &more)
    };
    let after = |echo: String| {
        let mut events = simple(1);
        events.push(echo);
        findings_by(&expectations(1), &events)
    };
    assert_eq!(after(end(2, "supervisor")), [""; 0]);
    assert_eq!(after(end(0, "supervisor")).len(), 1, "the same sender ends another agent after the end");
    // A sub-agent whose end is told twice does not end its parent.
    let mut nested = simple(1);
    nested.insert(1, event(0, 1, "agent_started", r#","agent_name":"sub""#));
    nested.insert(5, event(0, 1, "agent_completed", r#","agent_name":"sub","final_response":"draft 1""#));
    nested.insert(6, event(1, 1, "agent_completed", r#","agent_name":"sub","final_response":"draft 1""#));
    assert_eq!(findings_by(&expectations(1), &nested), [""; 0]);
}

#[test]
fn tools_are_optional_where_the_grammar_says_so() {
    let expect = with_grammar(&Spelled::tools_optional());
    let without: Vec<_> = simple(1).into_iter().filter(|event| !event.contains("tool_")).collect();
    assert_eq!(findings_by(&expect, &without), [""; 0]);
    assert_eq!(findings_by(&expect, &simple(1)), [""; 0]);
    let missing = "GP101 the run ended without tool_executing and tool_completed";
    assert_eq!(findings_by(&expectations(1), &without), [missing]);
}

#[test]
fn a_supervisor_has_agents_under_it() {
    let mut spelled = Spelled::supervisor();
    let few = |count| format!("GP110 an agent of its own name came {count}; at least 2 were asked");
    assert_eq!(findings_by(&with_grammar(&spelled), &simple(1)), [few("1 time")]);
    let agent = |kind: &str, name: &str| {
        event(0, 1, kind, &format!(r#","agent_name":"{name}","final_response":"cut 30 % of the idle nodes""#))
    };
    let mut nested = simple(1);
    nested.insert(1, agent("agent_started", "data"));
    nested.insert(6, agent("agent_completed", "data"));
    assert_eq!(findings_by(&with_grammar(&spelled), &nested), [""; 0]);
    spelled.min_agents = 3;
    assert_eq!(findings_by(&with_grammar(&spelled), &nested).len(), 1);
    // One agent that two senders spell differently is one agent.
    let mut same = simple(1);
    same.insert(1, event(1, 1, "agent_started", r#","agent_name":"Triage""#));
    same.push(event(1, 1, "agent_completed", r#","agent_name":"Triage","final_response":"cut 30 % of it all""#));
    assert_eq!(findings_by(&with_grammar(&Spelled::supervisor()), &same), [few("1 time")]);
}

/// A grammar of a user's own: two ends, counted steps, alternatives, something forbidden.
fn own_grammar() -> Spelled {
    let symbol = |names: &[&str], role, min, max| SpelledSymbol {
        names: names.iter().map(|name| name.to_string()).collect(),
        role,
        pair: 0,
        min,
        max,
    };
    Spelled {
        name: "own".to_owned(),
        symbols: vec![
            symbol(&["begun"], Role::Start, 1, None),
            symbol(&["heard", "read"], Role::Step, 2, Some(3)),
            symbol(&["call", "ask"], Role::Call, 1, Some(2)),
            symbol(&["reply"], Role::Result, 1, Some(2)),
            symbol(&["spoken"], Role::End, 1, None),
            symbol(&["done"], Role::End, 1, None),
        ],
        before: vec![Before { first: 1, then: 2 }],
        forbidden: vec!["sorry".to_owned()],
        bad: vec!["broke".to_owned()],
        free: false,
        min_agents: 0,
    }
}

fn own_run(words: &str) -> Vec<String> {
    words.split_whitespace().map(|kind| event(0, 1, kind, "")).collect()
}

#[test]
fn grammars_of_ones_own_are_judged() {
    let mut expect = with_grammar(&own_grammar());
    expect.answers.clear();
    let missing = "GP101 the run ended without call or ask and reply";
    for (words, expected) in [
        ("begun heard heard call reply spoken done", &[][..]),
        ("begun read heard ask reply done spoken", &[]),
        ("begun heard read read spoken done", &[missing]),
        ("begun heard call reply spoken done", &["GP110 heard or read came 1 time; at least 2 were asked"]),
        (
            "begun heard heard heard heard call reply heard spoken done",
            &["GP110 heard or read came at least 4 times; at most 3 may"],
        ),
        ("begun heard heard call reply sorry sorry spoken done", &["GP111 sorry came, which is forbidden"]),
        (
            "begun heard heard call reply broke spoken",
            &["GP106 the run ended with broke, and spoken came after it all the same"],
        ),
        ("begun call heard heard reply spoken done", &["GP102 call or ask came before heard or read"]),
        ("begun heard heard call reply spoken", &["GP302 nothing came for 30 s after spoken; missing: done"]),
    ] {
        assert_eq!(findings_by(&expect, &own_run(words)), expected, "{words}");
    }
    expect.grammar.free = true;
    for words in ["spoken reply done call heard begun heard", "heard done call heard spoken reply begun"] {
        assert_eq!(findings_by(&expect, &own_run(words)), [""; 0], "{words}");
    }
    assert_eq!(findings_by(&expect, &own_run("heard spoken heard done begun")), [missing]);
}

#[test]
fn an_ag_ui_run_is_judged_by_its_pairs() {
    let mut expect = with_grammar(&Spelled::ag_ui());
    expect.answers.clear();
    let ui = |words: &str| -> Vec<String> {
        let event = |word: &str| {
            let (kind, id) = word.split_once(':').unwrap_or((word, ""));
            let more = match kind {
                _ if id.is_empty() => String::new(),
                "STEP_STARTED" | "STEP_FINISHED" => format!(r#","tool_name":"{id}""#),
                _ => format!(r#","call_id":"{id}""#),
            };
            event(0, 1, kind, &more)
        };
        words.split_whitespace().map(event).collect()
    };
    let message = "TEXT_MESSAGE_START:m TEXT_MESSAGE_CONTENT:m TEXT_MESSAGE_CONTENT:m TEXT_MESSAGE_END:m";
    let tool = "TOOL_CALL_START:t TOOL_CALL_ARGS:t TOOL_CALL_END:t TOOL_CALL_RESULT:t";
    for (words, expected) in [
        (
            format!(
                "RUN_STARTED STEP_STARTED:a {tool} STEP_FINISHED:a STEP_STARTED:a {message} STEP_FINISHED:a RUN_FINISHED"
            ),
            &[][..],
        ),
        ("RUN_STARTED STATE_SNAPSHOT RUN_FINISHED".to_owned(), &[]),
        (
            "RUN_STARTED TOOL_CALL_START:t TOOL_CALL_END:t TOOL_CALL_START:u RUN_FINISHED".to_owned(),
            &["GP105 tool u was called and never completed"],
        ),
        (format!("{message} RUN_STARTED RUN_FINISHED"), &["GP102 TEXT_MESSAGE_START came before RUN_STARTED"]),
        (format!("RUN_STARTED {message} RUN_ERROR"), &["GP106 the run ended with RUN_ERROR"]),
        (
            format!("RUN_STARTED RUN_FINISHED {message}"),
            // One for each event: all of them are lost to the user.
            &[
                "GP104 TEXT_MESSAGE_START came 10 ms after the run was over",
                "GP104 TEXT_MESSAGE_CONTENT came 20 ms after the run was over",
                "GP104 TEXT_MESSAGE_CONTENT came 30 ms after the run was over",
                "GP104 TEXT_MESSAGE_END came 40 ms after the run was over",
            ],
        ),
    ] {
        assert_eq!(findings_by(&expect, &ui(&words)), expected, "{words}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Runs of a grammar of one's own: whatever it allows is silent, and each single mutation has its finding.
    #[test]
    fn own_grammars_allow_what_they_say_and_nothing_else(
        steps in 2_usize..4, pairs in 1_usize..3, swapped in any::<bool>(), late_step in any::<bool>(), which in 0_usize..8,
    ) {
        let mut expect = with_grammar(&own_grammar());
        expect.answers.clear();
        let mut words = vec!["begun", "read"];
        let spread = usize::from(late_step);
        words.extend(std::iter::repeat_n("heard", steps - 1 - spread));
        for pair in 0..pairs {
            words.push(if pair == 0 { "call" } else { "ask" });
            if pair == 0 && late_step {
                words.push("heard");
            }
            words.push("reply");
        }
        words.extend(if swapped { ["done", "spoken"] } else { ["spoken", "done"] });
        let last = words.len() - 1;
        prop_assert_eq!(findings_by(&expect, &own_run(&words.join(" "))), Vec::<String>::new());
        let reply = words.iter().position(|word| *word == "reply").unwrap();
        let expected = match which {
            0 => {
                words.remove(0);
                Rule::MissingEvent
            }
            1 => {
                words.remove(last);
                Rule::Stalled
            }
            2 => {
                words.insert(reply, "sorry");
                Rule::ForbiddenEvent
            }
            3 => {
                words.splice(reply..reply, std::iter::repeat_n("heard", 4 - steps));
                Rule::WrongCount
            }
            4 => {
                words.remove(reply);
                if pairs == 1 { Rule::MissingEvent } else { Rule::UnpairedTool }
            }
            5 => {
                words.swap(0, 1);
                Rule::OutOfOrder
            }
            6 => {
                words.insert(last, "broke");
                Rule::FailedRun
            }
            _ => {
                words.push("reply");
                Rule::LateEvent
            }
        };
        let expect = Arc::new(expect);
        let stream = Stream::asked(1).run(&own_run(&words.join(" "))).ends(60_000);
        let judgement = judge(&expect, &[stream]);
        prop_assert_eq!(rules_of(&judgement), vec![expected], "{}", words.join(" "));
    }

    /// A batch by type says nothing about order, so shuffling what stands in it changes nothing.
    #[test]
    fn the_order_within_a_batch_means_nothing(seed in 0_usize..720, cut in 1_usize..6) {
        let mut expect = expectations(1);
        let at = expect.dialect.trie.intern("/events", true).unwrap();
        expect.dialect.split = vec![Split { at, by_name: true }];
        let events = simple(1);
        let (single, batched) = events.split_at(cut);
        let kind = |event: &str| event.split('"').nth(3).unwrap_or_default().to_owned();
        let mut members: Vec<(String, Vec<String>)> = Vec::new();
        let mut order: Vec<&String> = batched.iter().collect();
        let mut rest = seed;
        for index in 0..order.len() {
            let left = order.len() - index;
            order.swap(index, index + rest % left);
            rest /= left;
        }
        for event in order {
            match members.iter_mut().find(|(name, _)| *name == kind(event)) {
                Some((_, list)) => list.push(event.clone()),
                None => members.push((kind(event), vec![event.clone()])),
            }
        }
        let members: Vec<_> = members.iter().map(|(name, list)| format!(r#""{name}":[{}]"#, list.join(","))).collect();
        let mut frames = single.to_vec();
        frames.push(format!(r#"{{"type":"event_batch","events":{{{}}}}}"#, members.join(",")));
        prop_assert_eq!(findings_by(&expect, &frames), Vec::<String>::new());
    }
}

#[test]
fn response_counts_from_when_the_iteration_was_meant_to_begin() {
    let late = |late_ms: u64| {
        let mut stream = Stream::asked(1).run(&legal(0, 1, 1, 1, true));
        for entry in &mut stream.entries {
            if let Observed::Fact(Fact::Began { scheduled, at, .. }) = entry {
                (*scheduled, *at) = (ms(0), ms(late_ms));
            }
        }
        stream.ends(60_000)
    };
    let measured = |open: bool| {
        let open = open.then_some(crate::expect::Arrivals { dropped_at_most: 0.0 });
        let expect = Arc::new(Expectations { open, ..expectations(1) });
        let judgement = judge(&expect, &[late(7)]);
        let max = |segment| judgement.segments.get(segment).and_then(|latencies| latencies.latest.max());
        (max(Segment::Response), max(Segment::Run), judgement.counts.arrivals)
    };
    let (response, run, arrivals) = measured(true);
    // Asked at 100 ms, which belongs to the response; the run itself is the service time beside it.
    assert_eq!((response, arrivals), (run.map(|run| run + 100_000), 1));
    assert_eq!(measured(false), (None, run, 0));
}

#[test]
fn an_execution_that_only_warmed_up_is_no_pass() {
    let streams = pair();
    for (warm_up, outcome, runs) in [(0, Outcome::Pass, 2), (1, Outcome::Inconclusive, 0)] {
        let expect = Arc::new(Expectations { warm_up, ..expectations(2) });
        let conclusion = conclude(judge(&expect, &streams), &expect, false, None);
        assert_eq!((conclusion.outcome, conclusion.judgement.counts.runs), (outcome, runs));
        assert_eq!(conclusion.judgement.counts.users_ready, 2, "they were set up");
    }
}

#[test]
fn a_refresh_that_fails_is_a_set_up_that_failed_wherever_it_stands_and_no_run_is_lost_for_it() {
    let refresh = |at: u64, outcome: StepOutcome| {
        let (phase, name) = (Phase::Refresh, "POST /auth/refresh".to_owned());
        Fact::Step { phase, name, sent: ms(at), done: ms(at + 5), outcome }
    };
    let refused = || StepOutcome::Refused { status: 401, why: "it was used".to_owned(), body: String::new() };
    let told = "GP403 POST /auth/refresh: it was used (HTTP 401)";
    // While nothing is asked yet nothing will be; a run in flight goes on; between iterations only the session is over.
    for (at, events, runs_good, iterations_failed) in [(40, 0, 0, 1), (105, 6, 1, 1), (3_000, 6, 1, 0)] {
        let mut stream = if at == 40 { Stream::greeted(1) } else { Stream::asked(1) };
        if at < 3_000 {
            stream.fact(refresh(at, refused()));
        }
        let mut stream = stream.run(&simple(1)[..events]).ends(2_000);
        if at == 3_000 {
            stream.fact(refresh(at, refused()));
        }
        let conclusion = concluded(&[stream]);
        assert_eq!(findings(&conclusion), [told], "{at}");
        let counts = &conclusion.judgement.counts;
        assert_eq!((counts.runs_good, counts.iterations_failed), (runs_good, iterations_failed), "{at}");
        assert_eq!((counts.setups, counts.setups_failed), (2, 1), "{at}");
        assert_eq!(claim(&conclusion, "setup"), Verdict::Fail, "{at}");
    }
    let mut good = Stream::asked(1);
    good.fact(refresh(105, StepOutcome::Good { status: 200 }));
    let conclusion = expect_findings(&[good.run(&simple(1)).ends(2_000)], &[]);
    assert_eq!((conclusion.outcome, conclusion.judgement.counts.setups), (Outcome::Pass, 1));
}
