//! Profiles held against frames: what the dialect of a profile makes of what targets send.
//!
//! The frames of `netra.yaml` are those its dossier lists, with invented values; each envelope once, then whole runs of
//! them before the judge. How a frame is decoded and a run judged is tested where that is done.

use std::sync::Arc;

use goldenpath::check::decode;
use goldenpath::check::{Judge, Judgement};
use goldenpath::document::diagnostic::{Style, render};
use goldenpath::document::text::HoleValue;
use goldenpath::document::{Context, Sources, read};
use goldenpath::event::{Envelope, Extract, Found, Kind, Number};
use goldenpath::expect::{
    AnswerRules, Asserted, Between, Claims, Expectations, Grammar, Matcher, ScriptStep, Spelled, Timeouts,
};
use goldenpath::identity::{Connection, ExecutionId, Iteration, UserNumber};
use goldenpath::rule::Severity;
use goldenpath::target::{Capture, Message, NETRA, Place, Profile, Step, compile};
use goldenpath::time::{Micros, Stamp};
use goldenpath::trace::{Content, Dial, Direction, Fact, Frame, Phase, StepOutcome};

fn profile(text: &str) -> Profile {
    let mut sources = Sources::new();
    let mut cx = Context::new();
    let file = sources.add("t.yaml", text);
    let tree = read(&sources, file, &mut cx).expect("a tree");
    let profile = compile(&tree, Micros::from_secs(5), &mut cx);
    assert_eq!(render(&cx.finish(), &sources, Style::Plain, 100), "");
    profile.expect("a profile")
}

/// A profile that does nothing but answer to frames that a matcher holds of.
fn matching(when: &str) -> Profile {
    profile(&format!(
        "version: 1\nname: t\nsocket: ws://h\nask: {{send: '${{prompt}}'}}\nheartbeats:\n- when: {when}\n"
    ))
}

fn netra() -> Profile {
    profile(NETRA)
}

fn event<'a>(profile: &Profile, text: &'a str) -> Extract<'a> {
    decode::event(&profile.reads.dialect, text).expect("JSON")
}

fn any(matchers: &[Matcher], extract: &Extract<'_>, text: &str) -> bool {
    matchers.iter().any(|matcher| matcher.holds(extract, text))
}

/// Everything a frame says, in a line.
fn said(profile: &Profile, text: &str) -> String {
    let extract = event(profile, text);
    let reads = &profile.reads;
    let mut said = vec![extract.name.clone().unwrap_or_default().into_owned()];
    let fields = &reads.dialect.fields;
    for (label, places) in
        [("agent", &fields.agent), ("tool", &fields.tool), ("call", &fields.call), ("id", &fields.event_id)]
    {
        said.extend(extract.first_text(places).map(|value| format!("{label}={value}")));
    }
    for rule in &reads.ids {
        said.extend(extract.first_text(&rule.at).map(|value| format!("{}={value}", rule.name)));
    }
    let source = reads.answers.iter().find(|source| source.when.holds(&extract, text));
    said.extend(source.and_then(|source| extract.first_text(&source.at)).map(|answer| format!("answer={answer}")));
    for (label, matchers) in [("good", &reads.ends.good), ("bad", &reads.ends.bad), ("failed", &reads.failed)] {
        said.extend(any(matchers, &extract, text).then(|| label.to_owned()));
    }
    said.join(" ")
}

#[test]
fn every_envelope_of_netra_is_understood() {
    let netra = netra();
    for (text, expected) in [
        // A: flat.
        (
            r#"{"type":"tool_executing","timestamp":1757239201.25,"event_id":"e-9","user_id":"u-1","thread_id":"t1","run_id":"r1","agent_name":"data","tool_name":"cost_lookup","parameters":{"days":30}}"#,
            "tool_executing agent=data tool=cost_lookup id=e-9 user=u-1 thread=t1 run=r1",
        ),
        (
            r#"{"type":"agent_completed","timestamp":1757239204.0,"event_id":"e-12","user_id":"u-1","thread_id":"t1","run_id":"r1","agent_name":"supervisor","final_response":"cut it","result":{},"summary":"s","duration_ms":3100,"success":true}"#,
            "agent_completed agent=supervisor id=e-12 user=u-1 thread=t1 run=r1 answer=cut it good",
        ),
        // B: ids at the root, the rest in `data`.
        (
            r#"{"type":"tool_completed","run_id":"r1","user_id":"u-1","agent_name":"data","timestamp":"2025-09-07T10:00:01+00:00","data":{"tool_name":"cost_lookup","result":{"usd":12},"execution_time_ms":340,"status":"completed","message":"m"}}"#,
            "tool_completed agent=data tool=cost_lookup user=u-1 run=r1",
        ),
        (
            r#"{"type":"agent_completed","run_id":"r1","user_id":"u-1","agent_name":"data","data":{"result":{"usd":12},"status":"completed","message":"m"}}"#,
            r#"agent_completed agent=data user=u-1 run=r1 answer={"usd":12} good"#,
        ),
        // C: flat, with nulls.
        (
            r#"{"timestamp":"2025-09-07T10:00:01Z","critical":true,"attempt":null,"type":"agent_thinking","agent_name":null,"reasoning":"hm","user_id":"u-1","thread_id":"t1","run_id":"r1","request_id":"q1","metadata":{"user_tier":"free"}}"#,
            "agent_thinking user=u-1 thread=t1 run=r1",
        ),
        // D: all in `payload`; the last completion has the response object itself there.
        (
            r#"{"type":"agent_thinking","payload":{"agent_name":"data","run_id":"r1","timestamp":1757239201.1,"thought":"hm","step_number":1,"total_steps":3}}"#,
            "agent_thinking agent=data run=r1",
        ),
        (
            r#"{"type":"agent_completed","payload":{"agent_name":"supervisor","run_id":"r1","duration_ms":3100,"result":{"text":"cut it"}}}"#,
            r#"agent_completed agent=supervisor run=r1 answer={"text":"cut it"} good"#,
        ),
        (
            r#"{"type":"agent_completed","payload":{"advice":["cut it"],"usd":12}}"#,
            r#"agent_completed answer={"advice":["cut it"],"usd":12} good"#,
        ),
        (
            r#"{"type":"agent_completed","payload":{"agent_name":"supervisor","run_id":"r1","duration_ms":3100}}"#,
            "agent_completed agent=supervisor run=r1 good",
        ),
        // E: all in `data`.
        (
            r#"{"type":"agent_thinking","data":{"agent_name":"data","message":"m","user_id":"u-1","thread_id":"t1","run_id":"r1","timestamp":"t","event_id":"e-3"}}"#,
            "agent_thinking agent=data id=e-3 user=u-1 thread=t1 run=r1",
        ),
        (
            r#"{"type":"agent_completed","data":{"event_id":"e-1","user_id":"u-1","thread_id":"t1","run_id":"r1","agent_name":"advisor","final_response":"cut it","success":true}}"#,
            "agent_completed agent=advisor id=e-1 user=u-1 thread=t1 run=r1 answer=cut it good",
        ),
        // F: the name twice, no run.
        (
            r#"{"type":"agent_started","event":"agent_started","agent_name":"ChatAgent","user_id":"u-1","thread_id":"t1","timestamp":1757239200.9,"message":"m"}"#,
            "agent_started agent=ChatAgent user=u-1 thread=t1",
        ),
        // G: the demo, whose answer is a message.
        (
            r#"{"type":"agent_completed","timestamp":"2025-09-07T10:00:04.100000","agent":"Supervisor","run_id":"r1","message":"final text"}"#,
            "agent_completed agent=Supervisor run=r1 answer=final text good",
        ),
        // H: other keys for the name.
        (r#"{"event_name":"agent_started","user_id":"u-1"}"#, "agent_started user=u-1"),
        (r#"{"event":"agent_thinking","agent_id":"a1","message":"m","timestamp":"t"}"#, "agent_thinking agent=a1"),
        (r#"{"event_type":"agent_started","payload":{"user_id":"u-1"}}"#, "agent_started user=u-1"),
        // I: the generic wrapper.
        (
            r#"{"type":"agent_started","data":{"run_id":"r1"},"timestamp":1.0,"server_id":null,"correlation_id":null}"#,
            "agent_started run=r1",
        ),
        // J: short names in `data`.
        (
            r#"{"type":"tool_executing","data":{"agent":"data","tool":"cost_lookup"}}"#,
            "tool_executing agent=data tool=cost_lookup",
        ),
        // The embedded backend pairs tools by an id.
        (
            r#"{"type":"tool_executing","payload":{"timestamp":1.5,"event_id":"e-1","user_id":"u-1","thread_id":"t-1","run_id":"r-1","agent_name":"advisor","tool_name":"cost_lookup","call_id":"c-1","parameters":{}}}"#,
            "tool_executing agent=advisor tool=cost_lookup call=c-1 id=e-1 user=u-1 thread=t-1 run=r-1",
        ),
    ] {
        assert_eq!(said(&netra, text), expected, "{text}");
    }
}

#[test]
fn failure_dressed_as_success_is_failure_and_a_failed_tool_is_not() {
    let netra = netra();
    for (text, expected) in [
        (r#"{"type":"agent_completed","success":false}"#, "agent_completed failed"),
        (r#"{"type":"agent_completed","data":{"status":"failed"}}"#, "agent_completed failed"),
        (r#"{"type":"agent_completed","payload":{"run_id":"r","success":false}}"#, "agent_completed run=r failed"),
        (
            r#"{"type":"agent_completed","result":{"supervisor_result":"x","status":"error"}}"#,
            r#"agent_completed answer={"supervisor_result":"x","status":"error"} failed"#,
        ),
        (
            r#"{"type":"agent_completed","payload":{"supervisor_result":"failed","error":"x"}}"#,
            r#"agent_completed answer={"supervisor_result":"failed","error":"x"} failed"#,
        ),
        (r#"{"type":"agent_completed","status":"completed","final_response":"a"}"#, "agent_completed answer=a good"),
        (r#"{"type":"tool_completed","success":false,"tool_name":"x"}"#, "tool_completed tool=x"),
        (r#"{"type":"tool_completed","data":{"status":"error","tool":"x"}}"#, "tool_completed tool=x"),
        (r#"{"type":"agent_error","error":"x"}"#, "agent_error bad"),
        (r#"{"type":"agent_failed"}"#, "agent_failed bad"),
        (r#"{"type":"agent_death","data":{"death_cause":"x"}}"#, "agent_death bad"),
        (r#"{"type":"agent_stopped","reason":"stopped by the user","run_id":"r"}"#, "agent_stopped run=r bad"),
        (r#"{"type":"error","message":"x"}"#, "error bad"),
        (r#"{"type":"error_message","error_code":"VALIDATION_ERROR","error_message":"x"}"#, "error_message bad"),
        (r#"{"type":"agent_response","data":{"content":"x","type":"fallback_response"}}"#, "agent_response"),
    ] {
        assert_eq!(said(&netra, text), expected, "{text}");
    }
}

#[test]
fn every_greeting_of_netra_ends_the_wait_and_every_refusal_refuses() {
    let netra = netra();
    let [ScriptStep::Wait { when, refused, within, .. }] = &netra.reads.script[..] else { panic!("one wait") };
    assert_eq!(*within, Micros::from_secs(5), "the caller's default");
    for (text, greets, refuses) in [
        (
            r#"{"type":"system_message","data":{"event":"connection_established","connection_id":"ws_1","user_id":"u-1","connection_ready":true},"timestamp":1.1}"#,
            true,
            false,
        ),
        (
            r#"{"type":"connection_established","data":{"mode":"main","user_id":"abcd1234...","golden_path_events":["agent_started"]},"timestamp":1.1}"#,
            true,
            false,
        ),
        (r#"{"type":"connection_ready","user_id":"u-1"}"#, true, false),
        (r#"{"type":"connection_established","connection_id":"demo-1","message":"m"}"#, true, false),
        (r#"{"type":"connection_established","payload":{"connection_id":"c1","timestamp":1757239200}}"#, true, false),
        (r#"{"type":"connection_established","data":{"session_id":"s1","user_id":"u-1"}}"#, true, false),
        (r#"{"type":"system_message","data":{"event":"handler_degraded_mode"}}"#, false, false),
        (r#"{"type":"authentication_success","event":"auth_success","user_id":"u-1"}"#, false, false),
        (r#"{"type":"ping","data":{"timestamp":1}}"#, false, false),
        (
            r#"{"type":"authentication_error","event":"auth_failed","error":"x","error_code":"VALIDATION_FAILED"}"#,
            false,
            true,
        ),
        (r#"{"type":"error_message","error_code":"TOKEN_EXPIRED","error_message":"x"}"#, false, true),
        (r#"{"type":"error_message","error_code":"FORMAT_ERROR","error_message":"x"}"#, false, false),
        (r#"{"type":"connection_error","message":"x"}"#, false, true),
    ] {
        let extract = event(&netra, text);
        assert_eq!((when.holds(&extract, text), any(refused, &extract, text)), (greets, refuses), "{text}");
    }
}

#[test]
fn heartbeats_are_answered_and_events_are_none() {
    let netra = netra();
    let reply = |text: &str| -> Option<String> {
        let extract = event(&netra, text);
        let index = netra.reads.heartbeats.iter().position(|rule| rule.when.holds(&extract, text))?;
        let now = |name: &str| (name == "now.ms").then_some(HoleValue::Number(1_757_239_200_000));
        let reply = netra.replies[index].as_ref().map(|reply| match &reply.message {
            Message::Json(json) => json.render(&now).expect("a value").to_string(),
            Message::Text(text) => text.render(&now).expect("a value"),
        });
        assert_eq!(netra.reads.heartbeats[index].answered, reply.is_some());
        Some(reply.unwrap_or_default())
    };
    let answer = |kind: &str| Some(format!(r#"{{"type":"{kind}","timestamp":1757239200000}}"#));
    assert_eq!(reply(r#"{"type":"ping","data":{"timestamp":1}}"#), answer("pong"));
    assert_eq!(reply(r#"{"type":"heartbeat","data":{"stats":{}}}"#), answer("heartbeat_ack"));
    for silent in [
        r#"{"type":"pong","data":{"timestamp":1,"user_id":"u-1"},"timestamp":1}"#,
        r#"{"type":"heartbeat_ack","timestamp":1}"#,
        r#"{"type":"ack","received_type":"foo","user_id":"u-1","status":"acknowledged"}"#,
        r#"{"type":"system_message","data":{"event":"connection_recovery"}}"#,
        r#"{"type":"connection_ready","user_id":"u-1"}"#,
        r#"{"type":"authentication_success","event":"auth_success","user_id":"u-1"}"#,
        r#"{"type":"thread_updated","payload":{}}"#,
        r#"{"type":"server_shutdown","drain_timeout":5}"#,
    ] {
        assert_eq!(reply(silent).as_deref(), Some(""), "{silent}");
    }
    for progress in
        ["agent_started", "agent_thinking", "agent_update", "tool_executing", "stream_chunk", "agent_completed"]
    {
        assert_eq!(reply(&format!(r#"{{"type":"{progress}"}}"#)), None, "{progress}");
    }
}

#[test]
fn a_matcher_holds_of_what_it_says() {
    let holds = |when: &str, text: &str| {
        let profile = matching(when);
        profile.reads.heartbeats[0].when.holds(&event(&profile, text), text)
    };
    for (when, yes, no) in [
        ("{event: ping}", r#"{"type":"ping"}"#, r#"{"type":"pong"}"#),
        ("{event: [ping, pong]}", r#"{"event":"pong"}"#, r#"{"type":"ack","event":"pong"}"#),
        ("{/n: 1}", r#"{"n":1.0}"#, r#"{"n":"1"}"#),
        ("{/n: '1'}", r#"{"n":"1"}"#, r#"{"n":1}"#),
        ("{/b: true}", r#"{"b":true}"#, r#"{"b":"true"}"#),
        ("{/n: null}", r#"{"n":null}"#, r#"{"n":0}"#),
        ("{/n: null}", "{}", r#"{"n":false}"#),
        ("{/n: [1, a, ~]}", r#"{"n":"a"}"#, r#"{"n":2}"#),
        ("{/n: {equals: -2}}", r#"{"n":-2}"#, r#"{"n":2}"#),
        ("{/n: {matches: '^a.$'}}", r#"{"n":"ab"}"#, r#"{"n":"abc"}"#),
        ("{/n: {matches: '^1'}}", r#"{"n":12}"#, r#"{"n":null}"#),
        ("{/n: {contains: b}}", r#"{"n":"abc"}"#, r#"{"n":"xyz"}"#),
        ("{/n: {exists: true}}", r#"{"n":false}"#, r#"{"n":null}"#),
        ("{/n: {exists: false}}", r#"{"n":null}"#, r#"{"n":{}}"#),
        ("{/n: {not: [1, 2]}}", r#"{"n":3}"#, r#"{"n":2}"#),
        ("{/n: {exists: true, not: a}}", r#"{"n":"b"}"#, "{}"),
        ("{/n: [a, {matches: '^b'}]}", r#"{"n":"bb"}"#, r#"{"n":"cb"}"#),
        ("{/list/1/id: x}", r#"{"list":[0,{"id":"x"}]}"#, r#"{"list":[{"id":"x"}]}"#),
        ("{/a~1b/m~0n: 1}", r#"{"a/b":{"m~n":1}}"#, r#"{"a":{"b":1}}"#),
        ("{text: {contains: '$${x}'}}", r#"{"n":"${x}"}"#, r#"{"n":"$x"}"#),
        ("{text: '{}'}", "{}", "{} "),
        ("{text: {not: {matches: secret}}}", "{}", r#"{"n":"secret"}"#),
        ("{event: a, /n: 1}", r#"{"type":"a","n":1}"#, r#"{"type":"a","n":2}"#),
        ("{not: {event: a, /n: 1}}", r#"{"type":"a","n":2}"#, r#"{"type":"a","n":1}"#),
        ("{any: [{event: a}, {/n: 1}]}", r#"{"type":"b","n":1}"#, r#"{"type":"b","n":2}"#),
    ] {
        assert!(holds(when, yes), "{when} {yes}");
        assert!(!holds(when, no), "{when} {no}");
    }
}

/// The answer to a step, as far as the step looks.
fn body<'a>(step: &Step, text: &'a str) -> Extract<'a> {
    let slots = decode::read(&step.trie, text).expect("JSON").slots;
    Extract { kind: Kind::Unnamed, name: None, envelope: Envelope::default(), slots }
}

#[test]
fn the_answer_to_a_step_is_judged_and_its_captures_keep_their_types() {
    let netra = netra();
    let login = &netra.login[0];
    let bundle = r#"{"access_token":"a.b.c","expires_in":900,"user":{"id":7,"email":"a@example.com"}}"#;
    let good =
        |step: &Step, text: &str| step.expect.when.as_ref().is_some_and(|when| when.holds(&body(step, text), text));
    assert!(good(login, bundle) && good(login, r#"{"token":"t"}"#));
    assert!(!good(login, r#"{"error":"Invalid credentials"}"#) && !good(login, r#"{"access_token":null}"#));
    let answer = body(login, bundle);
    let place = |capture: &'_ Capture| match &capture.at {
        Place::Body(at) => answer.first(at),
        elsewhere => panic!("{elsewhere:?}"),
    };
    let found: Vec<_> = login.captures.iter().map(place).collect();
    assert_eq!(found, [Some(&Found::Text("a.b.c".into())), Some(&Found::Number(Number::Unsigned(7))), None]);

    let stored = |text: &str| good(&netra.after[0], text);
    assert!(stored(r#"{"messages":[{"role":"user"},{"role":"assistant"}],"total":2}"#));
    assert!(!stored(r#"{"messages":[{"role":"user"}],"total":1}"#));
}

#[test]
fn another_backends_spelling_is_a_matter_of_its_profile() {
    let kernel = profile(
        "version: 1\nname: kernel\nsocket: wss://kernel.example/api/channels\n\
         ask: {send: {msg_type: execute_request, content: {code: '${prompt}'}, header: {msg_id: '${run_id}'}}}\n\
         events:\n  name: /msg_type\n  fields: {agent: /header/session, call: /parent_header/msg_id}\n  \
         ids: {run: {at: /parent_header/msg_id, source: chosen}}\n  \
         ends:\n    good: {event: status, /content/execution_state: idle}\n    \
         bad: [{event: execute_reply, /content/status: [error, aborted]}]\n  failed: []\n  \
         answer: [{when: {event: execute_result}, at: /content/data/text~1plain}]\n",
    );
    for (text, expected) in [
        (
            r#"{"msg_type":"execute_result","parent_header":{"msg_id":"m1"},"content":{"data":{"text/plain":"4"}}}"#,
            "execute_result call=m1 run=m1 answer=4",
        ),
        (
            r#"{"msg_type":"status","parent_header":{"msg_id":"m1"},"content":{"execution_state":"idle"}}"#,
            "status call=m1 run=m1 good",
        ),
        (r#"{"msg_type":"status","content":{"execution_state":"busy"}}"#, "status"),
        (r#"{"msg_type":"execute_reply","content":{"status":"error"}}"#, "execute_reply bad"),
    ] {
        assert_eq!(said(&kernel, text), expected, "{text}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Whole runs

/// What the judge expects of one user of netra.
fn expectations() -> Expectations {
    let reads = netra().reads;
    let mut dialect = reads.dialect;
    let grammar = Grammar::golden_path(|name| dialect.names.intern(name));
    let asserted = || Asserted { required: true, origin: None };
    Expectations {
        dialect,
        script: reads.script,
        heartbeats: reads.heartbeats,
        asking: reads.asking,
        personas: vec![],
        grammar,
        ends: reads.ends,
        failed: reads.failed,
        public: vec![],
        signs: reads.signs,
        answers: reads.answers,
        turns: vec![AnswerRules { min_chars: 5, ..AnswerRules::default() }],
        ids: reads.ids,
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
            isolation: None,
            between: Between::Users,
            min_overlap: 0.0,
            min_attributed: 0.0,
            leaks_under: None,
            reliability: None,
            exceptions: Default::default(),
        },
        warm_up: 0,
        fresh_sessions: true,
        open: None,
        deadline: None,
    }
}

/// Judges one iteration of user 1 whose connection receives `frames`, one every 10 ms; the ask is sent behind the greeting.
fn judged(frames: &[&str]) -> Judgement {
    judged_by(expectations(), frames)
}

fn judged_by(expect: Expectations, frames: &[&str]) -> Judgement {
    judged_frames(expect, frames.iter().map(|text| Content::Text((*text).into())).collect())
}

/// Judges one iteration of user 1 whose connection receives `frames` behind a greeting.
pub fn judged_frames(expect: Expectations, frames: Vec<Content<'_>>) -> Judgement {
    let user = UserNumber(1);
    let mut judge = Judge::new(Arc::new(expect), ExecutionId(1));
    let ms = |at: u64| Stamp(at * 1_000);
    let outcome = StepOutcome::Good { status: 200 };
    let name = "POST /auth/login".to_owned();
    for fact in [
        Fact::Began { iteration: Iteration(1), scheduled: ms(0), at: ms(0), fresh: true, apart: false },
        Fact::Step { phase: Phase::Login, name, sent: ms(0), done: ms(10), outcome },
        Fact::Captured { name: "user_id".to_owned(), value: "u-1".to_owned(), at: ms(10) },
        Fact::Dialed {
            connection: Connection(1),
            begun: ms(10),
            done: ms(20),
            outcome: Dial::Upgraded { subprotocol: None, echo_fits: false, echo_strict: false },
        },
    ] {
        judge.fact(user, &fact);
    }
    fn frame(at: u64, direction: Direction, content: Content<'_>) -> Frame<'_> {
        let ms = |at: u64| Stamp(at * 1_000);
        Frame { connection: Connection(1), direction, at: ms(at), read_at: ms(at), not_before: ms(at - 5), content }
    }
    let greeting = r#"{"type":"connection_established","data":{"user_id":"u-1"}}"#;
    judge.frame(user, &frame(30, Direction::Received, Content::Text(greeting.into())));
    let (run, thread) = (Some("r1".to_owned()), Some("t1".to_owned()));
    judge.fact(user, &Fact::Asked { turn: 0, at: ms(40), run, thread, prompt: "why?".to_owned() });
    judge.frame(user, &frame(40, Direction::Sent, Content::Text(r#"{"type":"start_agent"}"#.into())));
    let mut at = 50;
    for content in frames {
        judge.frame(user, &frame(at, Direction::Received, content));
        at += 10;
    }
    judge.expire(user, ms(at + 60_000));
    judge.fact(user, &Fact::Closed { connection: Connection(1), at: ms(at + 60_000) });
    judge.fact(user, &Fact::Ended { at: ms(at + 60_000) });
    judge.finish()
}

/// The codes of the findings of a judged iteration without its notes, and how many runs ended well.
fn verdict(frames: &[&str]) -> (Vec<String>, u64) {
    let judgement = judged(frames);
    let rules = judgement.findings.rules().map(|(rule, ..)| rule).filter(|rule| rule.severity() != Severity::Note);
    (rules.map(|rule| rule.to_string()).collect(), judgement.counts.runs_good)
}

/// The codes of the notes on a judged iteration.
fn notes(frames: &[&str]) -> Vec<String> {
    let judgement = judged(frames);
    let rules = judgement.findings.rules().map(|(rule, ..)| rule).filter(|rule| rule.severity() == Severity::Note);
    rules.map(|rule| rule.to_string()).collect()
}

/// The five events as an envelope wraps them.
fn run(wrap: impl Fn(&str, &str) -> String) -> Vec<String> {
    [
        ("agent_started", ""),
        ("agent_thinking", r#","thought":"hm""#),
        ("tool_executing", r#","tool_name":"cost_lookup""#),
        ("tool_completed", r#","tool_name":"cost_lookup","success":false"#),
        ("agent_completed", r#","final_response":"cut 3 nodes","success":true"#),
    ]
    .map(|(kind, fields)| {
        wrap(kind, &format!(r#""user_id":"u-1","thread_id":"t1","run_id":"r1","agent_name":"a"{fields}"#))
    })
    .to_vec()
}

fn texts(frames: &[String]) -> Vec<&str> {
    frames.iter().map(String::as_str).collect()
}

#[test]
fn a_run_in_any_envelope_is_a_good_run() {
    let flat = run(|kind, fields| format!(r#"{{"type":"{kind}",{fields}}}"#));
    let data = run(|kind, fields| format!(r#"{{"type":"{kind}","data":{{{fields}}}}}"#));
    let payload = run(|kind, fields| format!(r#"{{"type":"{kind}","payload":{{{fields}}}}}"#));
    let other_key = run(|kind, fields| format!(r#"{{"event_name":"{kind}",{fields}}}"#));
    for frames in [&flat, &data, &payload, &other_key] {
        assert_eq!(verdict(&texts(frames)), (vec![], 1), "{frames:?}");
        assert_eq!(notes(&texts(frames)), ["GP115"], "a tool that failed in a good run is a note");
    }
    // One run of several producers, with a heartbeat and an acknowledgement between.
    let mixed = [
        r#"{"type":"ack","received_type":"start_agent","user_id":"u-1","status":"acknowledged"}"#,
        &flat[0],
        &payload[1],
        r#"{"type":"heartbeat","data":{"connection_id":"c","timestamp":1}}"#,
        &data[2],
        &data[3],
        &flat[1],
        &payload[4],
    ];
    assert_eq!(verdict(&mixed), (vec![], 1));
}

#[test]
fn a_run_that_fails_is_told_apart_from_one_that_never_came() {
    let flat = run(|kind, fields| format!(r#"{{"type":"{kind}",{fields}}}"#));
    let mut failed = texts(&flat);
    failed[4] =
        r#"{"type":"agent_completed","agent_name":"a","run_id":"r1","status":"failed","final_response":"sorry"}"#;
    assert_eq!(verdict(&failed), (vec!["GP502".to_owned()], 0), "completed with a failure inside");
    failed[4] = r#"{"type":"agent_error","agent_name":"a","run_id":"r1","error":"x"}"#;
    assert_eq!(verdict(&failed), (vec!["GP106".to_owned()], 0), "a failed run");
    let refused = [r#"{"type":"error_message","error_code":"VALIDATION_ERROR","error_message":"x"}"#];
    assert_eq!(verdict(&refused), (vec!["GP106".to_owned()], 0), "an ask answered by an error");
    let acknowledged = [r#"{"type":"ack","received_type":"start_agent"}"#, r#"{"type":"ping","data":{}}"#];
    assert_eq!(verdict(&acknowledged), (vec!["GP301".to_owned()], 0), "acknowledged and never started");
}

#[test]
fn a_run_of_three_producers_is_a_good_run() {
    let frames = [
        r#"{"type":"agent_started","payload":{"thread_id":"t1","run_id":"r1"}}"#,
        r#"{"type":"agent_started","run_id":"r1","user_id":"u-1","agent_name":"data","timestamp":"t","data":{"status":"started"}}"#,
        r#"{"timestamp":"t","critical":true,"attempt":null,"type":"agent_thinking","reasoning":"hm","user_id":"t1","thread_id":"t1","run_id":"r1","request_id":"q1"}"#,
        r#"{"type":"tool_executing","run_id":"r1","user_id":"u-1","agent_name":"data","data":{"tool_name":"cost_lookup"}}"#,
        r#"{"type":"tool_completed","run_id":"r1","user_id":"u-1","agent_name":"data","data":{"tool_name":"cost_lookup","result":{"usd":12},"status":"completed"}}"#,
        r#"{"timestamp":"t","critical":true,"attempt":null,"type":"agent_completed","result":{"usd":12},"user_id":"t1","thread_id":"t1","run_id":"r1","request_id":"q1"}"#,
        r#"{"type":"agent_completed","payload":{"advice":"cut 3 nodes"}}"#,
    ];
    assert_eq!(verdict(&frames), (vec![], 1));
}

#[test]
fn a_batch_is_read_and_never_out_of_order_within_itself() {
    let batch = |events: &str| {
        format!(
            r#"{{"type":"event_batch","user_id":"u-1","run_id":"r1","batch_id":"b1","events":{{{events}}},"batch_size":4}}"#
        )
    };
    let whole = batch(
        r#""agent_completed":[{"agent_name":"a","final_response":"cut 3 nodes"}],"tool_completed":[{"tool_name":"x"}],
           "tool_executing":[{"tool_name":"x"}],"agent_thinking":[{},{}],"agent_started":[{"agent_name":"a"}]"#,
    );
    let judgement = judged(&[&whole]);
    assert_eq!((judgement.counts.events, judgement.counts.runs_good, judgement.findings.total()), (6, 1, 0));
    assert!(!judgement.unknown.contains_key("agent_thinking"), "{:?}", judgement.unknown);
    // What is missing in a batch is missing, and what comes too late by frames is out of order.
    let lacking =
        batch(r#""agent_completed":[{"agent_name":"a","final_response":"cut 3 nodes"}],"agent_thinking":[{}]"#);
    let started = r#"{"type":"agent_started","run_id":"r1","agent_name":"a"}"#;
    assert_eq!(verdict(&[started, &lacking]), (vec!["GP101".to_owned()], 1));
    let tool = batch(r#""tool_executing":[{"tool_name":"x"}],"tool_completed":[{"tool_name":"x"}]"#);
    let thinking = r#"{"type":"agent_thinking","run_id":"r1"}"#;
    let completed = r#"{"type":"agent_completed","run_id":"r1","agent_name":"a","final_response":"cut 3 nodes"}"#;
    assert_eq!(verdict(&[started, &tool, thinking, completed]), (vec!["GP102".to_owned()], 1));
}

#[test]
fn json_in_a_text_is_read_and_noted() {
    let data = run(|kind, fields| format!(r#"{{"type":"{kind}","data":{{{fields}}}}}"#));
    let quoted = |text: &str| serde_json::Value::String(text.to_owned()).to_string();
    let whole: Vec<String> = data.iter().map(|frame| quoted(frame)).collect();
    let member = run(|kind, fields| format!(r#"{{"type":"{kind}","data":{}}}"#, quoted(&format!("{{{fields}}}"))));
    for frames in [&whole, &member] {
        assert_eq!(verdict(&texts(frames)), (vec![], 1), "{frames:?}");
        assert_eq!(notes(&texts(frames)), ["GP115", "GP117"], "{frames:?}");
        assert_eq!(judged(&texts(frames)).findings.count(goldenpath::rule::Rule::EncodedTwice), 5);
    }
}

/// What is judged of frames by a small profile with these lines under `events`: rules without notes, good runs, and how many
/// frames and records were none that it reads.
fn decoded(events: &str, frames: &[&str]) -> (Vec<String>, u64, u64) {
    let text = format!(
        "version: 1\nname: t\nsocket: ws://h\nask: {{send: '${{prompt}}'}}\nheartbeats: [{{when: {{text: '2'}}}}]\nevents:\n{events}"
    );
    let judgement = judged_by(expecting(&text), frames);
    let rules = judgement.findings.rules().map(|(rule, ..)| rule).filter(|rule| rule.severity() != Severity::Note);
    (rules.map(|rule| rule.to_string()).collect(), judgement.counts.runs_good, judgement.counts.unread)
}

/// What `profile` asks of a run of the five events.
fn expecting(text: &str) -> Expectations {
    expecting_by(profile(text))
}

/// As `expecting`, of a profile that is compiled already.
pub fn expecting_by(profile: Profile) -> Expectations {
    let mut expect = expectations();
    let reads = profile.reads;
    (expect.dialect, expect.answers, expect.ids, expect.ends) = (reads.dialect, reads.answers, reads.ids, reads.ends);
    (expect.failed, expect.signs) = (reads.failed, reads.signs);
    (expect.script, expect.heartbeats, expect.asking) = (reads.script, reads.heartbeats, reads.asking);
    expect.grammar = Grammar::golden_path(|name| expect.dialect.names.intern(name));
    expect
}

fn failed(rules: &[&str], good: u64, unread: u64) -> (Vec<String>, u64, u64) {
    (rules.iter().map(|rule| rule.to_string()).collect(), good, unread)
}

#[test]
fn one_socket_may_mix_documents_records_and_prefixes() {
    let flat = run(|kind, fields| format!(r#"{{"type":"{kind}",{fields}}}"#));
    let bare = run(|_, fields| format!("{{{fields}}}"));
    let records = format!("event: agent_thinking\ndata: {}\n\nid: 7\ndata: {}\n\n", bare[1], flat[2]);
    let behind = format!("42/chat,{}", flat[3]);
    let mixed = [&*flat[0], ": keep-alive\n\n", &records, &behind, &flat[4]];
    assert_eq!(decoded("  decode: [json, sse, prefixed]\n", &mixed), (vec![], 1, 0));
    // Each form is read only where the profile names it, and what is none of them is counted and fails.
    assert_eq!(decoded("  decode: [json, sse]\n", &mixed), failed(&["GP411"], 1, 1));
    assert_eq!(decoded("  decode: json\n", &mixed), failed(&["GP411"], 1, 3));
    let nothing = [&*flat[0], &flat[1], "hello", &flat[2], "data: {\n\n", &flat[3], &flat[4]];
    assert_eq!(decoded("  decode: [json, sse, prefixed]\n", &nothing), failed(&["GP411"], 1, 2));
}

#[test]
fn a_prefix_by_a_pattern_may_stand_alone_and_decides() {
    let flat = run(|kind, fields| format!(r#"{{"type":"{kind}",{fields}}}"#));
    let frames = |prefix: &str| -> Vec<String> {
        let mut frames: Vec<String> = flat.iter().map(|frame| format!("{prefix}{frame}")).collect();
        frames.insert(2, "2".to_owned());
        frames
    };
    let events = |failed: &str| format!("  decode: [{{ prefixed: '[0-9]' }}, json]\n  failed: [{failed}]\n");
    let fine = frames("4");
    assert_eq!(decoded(&events("{ prefix: '5' }"), &texts(&fine)), (vec![], 1, 0));
    for failing in ["{ prefix: '5' }", "{ event: agent_completed, prefix: { not: '4' } }", "{ prefix: ['6', '5'] }"] {
        assert_eq!(decoded(&events(failing), &texts(&frames("5"))), failed(&["GP502"], 0, 0), "{failing}");
    }
}

#[test]
fn a_list_is_taken_apart_only_where_the_profile_says_so() {
    let flat = run(|kind, fields| format!(r#"{{"type":"{kind}",{fields}}}"#));
    let list = format!("[{}]", flat.join(","));
    let nested = format!(r#"{{"events":{list}}}"#);
    assert_eq!(decoded("  split: [{ at: /events }, { at: '' }]\n", &[&list]), (vec![], 1, 0));
    assert_eq!(decoded("  split: [{ at: '' }, { at: /events }]\n", &[&nested]), (vec![], 1, 0));
    for frame in [&list, &nested] {
        assert_eq!(decoded("  decode: json\n", &[frame]), failed(&["GP301"], 0, 0), "{frame}");
    }
}

#[test]
fn json_in_binary_frames_is_read_where_the_profile_says_so() {
    let flat = run(|kind, fields| format!(r#"{{"type":"{kind}",{fields}}}"#));
    let binary: Vec<Content<'_>> = flat.iter().map(|frame| Content::Binary(frame.as_bytes().into())).collect();
    let judged = |decode: &str, frames: Vec<Content<'_>>| {
        let text = format!(
            "version: 1\nname: t\nsocket: ws://h\nask: {{send: '${{prompt}}'}}\nevents: {{decode: {decode}}}\n"
        );
        let judgement = judged_frames(expecting(&text), frames);
        (judgement.findings.rules().map(|(rule, ..)| rule.to_string()).collect::<Vec<_>>(), judgement.counts)
    };
    let (rules, counts) = judged("[json, binary]", binary.clone());
    assert_eq!(
        (rules, counts.runs_good, counts.texts),
        (vec!["GP115".to_owned()], 1, 6),
        "with the greeting; a failed tool is noted"
    );
    let (rules, counts) = judged("json", binary);
    assert_eq!((rules, counts.runs_good, counts.unread), (vec!["GP301".to_owned(), "GP411".to_owned()], 0, 5));
    let (rules, _) = judged("[json, binary]", vec![Content::Binary(vec![0xff, 0xfe].into())]);
    assert_eq!(rules, ["GP301", "GP411"]);
}

#[test]
fn a_fallback_is_told_from_silence_and_from_a_run() {
    let fallback =
        r#"{"type":"agent_response","data":{"content":"x","type":"fallback_response","degradation_level":"moderate"}}"#;
    let degraded = judged(&[fallback]);
    let told: Vec<_> = degraded.findings.rules().map(|(_, _, _, first)| first[0].deviation.message()).collect();
    assert_eq!(told, ["agent_response came in place of a run: the target is degraded"]);
    let flat = run(|kind, fields| format!(r#"{{"type":"{kind}",{fields}}}"#));
    let mut beside = texts(&flat);
    beside.insert(2, fallback);
    assert_eq!(verdict(&beside), (vec!["GP109".to_owned()], 1));
    let plain = r#"{"type":"agent_response","data":{"content":"Agent response for: why?","real_llm_used":false}}"#;
    assert_eq!(verdict(&[plain]), (vec!["GP301".to_owned()], 0), "an answer without a run is no run");
}

#[test]
fn the_census_tells_which_sender_spoke() {
    let flat = run(|kind, fields| format!(r#"{{"type":"{kind}",{fields}}}"#));
    let data = run(|kind, fields| format!(r#"{{"event_name":"{kind}","data":{{{fields}}}}}"#));
    let frames = [&flat[0], &data[1], &flat[1], &flat[2], &flat[3], &flat[4]].map(String::as_str);
    let mut expect = expectations();
    let conclusion = |expect: &Expectations| goldenpath::check::conclude(judged(&frames), expect, false, None);
    let rows: Vec<_> = conclusion(&expect).census.into_iter().map(|row| (row.event, row.envelope, row.count)).collect();
    let row = |event: &str, envelope: &str| (event.to_owned(), envelope.to_owned(), 1);
    assert_eq!(rows.len(), 6);
    assert!(rows.contains(&row("agent_thinking", "/event_name in data")), "{rows:?}");
    assert!(rows.contains(&row("agent_thinking", "/type")), "{rows:?}");
    let uniform = |conclusion: &goldenpath::check::Conclusion| {
        let claim = conclusion.claims.iter().find(|claim| claim.kind.to_string() == "uniform envelope");
        claim.map(|claim| claim.verdict)
    };
    assert_eq!(uniform(&conclusion(&expect)), None, "not claimed unless asked for");
    expect.claims.uniform_envelope = Some(Asserted { required: true, origin: None });
    let asked = conclusion(&expect);
    assert_eq!(uniform(&asked), Some(goldenpath::check::Verdict::Fail));
    let rule = goldenpath::rule::Rule::MixedEnvelopes;
    let told: Vec<_> = asked.judgement.findings.rules().filter(|(found, ..)| *found == rule).collect();
    let message = told[0].3[0].deviation.message();
    assert_eq!(message, "agent_thinking came in 2 envelopes: /event_name in data (1) and /type (1)");
}

/// A profile of the Agent-User Interaction protocol over a socket: an answer in parts, steps that are named and messages that
/// are numbered, a list of events in one frame, and one event under another name.
const AG_UI: &str = "version: 1
name: ag-ui
socket: ws://h
ask: {send: {messages: [{role: user, content: '${prompt}'}], runId: '${run_id}'}}
events:
  name: /type
  split: {at: /events}
  aliases: {RUN_COMPLETED: RUN_FINISHED}
  fields: {tool: [/toolCallName, /stepName], call: [/toolCallId, /messageId]}
  ids: {run: {at: /runId, source: chosen}}
  answer: [{when: {event: TEXT_MESSAGE_CONTENT}, at: /delta, append: true}]
";

#[test]
fn another_protocol_is_a_profile_and_a_grammar() {
    let reads = profile(AG_UI).reads;
    let mut expect = expectations();
    (expect.dialect, expect.answers, expect.ids, expect.ends) = (reads.dialect, reads.answers, reads.ids, reads.ends);
    (expect.failed, expect.signs) = (reads.failed, reads.signs);
    (expect.script, expect.heartbeats) = (vec![], vec![]);
    expect.grammar = Spelled::ag_ui().compile(|name| expect.dialect.names.intern(name));
    let frames = [
        r#"{"type":"RUN_STARTED","runId":"r1"}"#,
        r#"{"events":[{"type":"STEP_STARTED","stepName":"a"},{"type":"TEXT_MESSAGE_START","messageId":"m"}]}"#,
        r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"cut "}"#,
        r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"3 nodes"}"#,
        r#"{"type":"TEXT_MESSAGE_END","messageId":"m"}"#,
        r#"{"type":"STEP_FINISHED","stepName":"a"}"#,
        r#"{"type":"RUN_COMPLETED","runId":"r1"}"#,
    ];
    expect.turns[0].min_chars = 11;
    let told = |frames: &[&str]| -> Vec<String> {
        let judgement = judged_by(expect.clone(), frames);
        let findings = judgement.findings.rules().flat_map(|(_, _, _, first)| first.to_vec());
        findings.map(|finding| finding.deviation.message()).collect()
    };
    assert_eq!(told(&frames), [""; 0]);
    let mut cut = frames.to_vec();
    cut.remove(3);
    cut.remove(3);
    let expected = ["m never had its TEXT_MESSAGE_END", "the answer has 3 characters; at least 11 were asked"];
    assert_eq!(told(&cut), expected, "the only message");
    cut.insert(3, r#"{"type":"TEXT_MESSAGE_START","messageId":"n"}"#);
    cut.insert(4, r#"{"type":"TEXT_MESSAGE_END","messageId":"n"}"#);
    assert_eq!(told(&cut), expected, "one of two");
}
