//! What scenarios become, and what is wrong between their keys.

use super::load::{Think, Work};
use super::*;
use crate::document::diagnostic::{Level, Style, render};
use crate::document::{Sources, read};
use crate::expect::{Role, Segment};
use crate::time::Micros;

const SMALL: &str = "\
version: 1
name: small
target: embedded
users: { count: 5, email: 'qa${user.number}@example.com', password: { env: QA_PASSWORD } }
ask: { prompt: 'Which services drive our bill? (ref ${canary})' }
";

fn open(text: &str) -> (Option<Scenario>, Sources, Vec<Diagnostic>) {
    let mut sources = Sources::new();
    let mut cx = Context::new();
    let id = sources.add("t.yaml", text);
    let tree = read(&sources, id, &mut cx).expect("a tree");
    let scenario = compile(&tree, &sources, &mut cx);
    (scenario, sources, cx.finish())
}

fn good(text: &str) -> Scenario {
    let (scenario, sources, diagnostics) = open(text);
    assert_eq!(render(&diagnostics, &sources, Style::Plain, 100), "");
    scenario.expect("a scenario")
}

/// Level, line and title of every diagnostic.
fn told(text: &str) -> Vec<String> {
    let (scenario, sources, diagnostics) = open(text);
    let mistakes = diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Mistake);
    assert_eq!(scenario.is_none(), mistakes, "a scenario comes out exactly if there was no mistake");
    let level = |level| if level == Level::Mistake { "" } else { "warning " };
    let line = |d: &Diagnostic| format!("{}{} {}", level(d.level), sources.position(d.span).0, d.title);
    diagnostics.iter().map(line).collect()
}

#[test]
fn a_small_scenario_gets_every_default() {
    let scenario = good(SMALL);
    assert_eq!((scenario.name.as_str(), scenario.tags.len()), ("small", 0));
    assert_eq!(scenario.target.profile, ProfileRef::Embedded);
    assert_eq!((scenario.users.count, scenario.users.first), (5, 1));
    assert_eq!(scenario.load.work, Work::Closed { iterations: 1, think: Think::default(), together: true });
    assert_eq!((scenario.load.hold, &scenario.load.deadline), (Micros::ZERO, &None));
    assert!(scenario.fresh_sessions());
    assert_eq!(scenario.timeouts.run, Micros::from_secs(120));
    assert_eq!(scenario.timeouts.quiet, Micros::from_secs(1));
    let claims = &scenario.expect.claims;
    assert!(claims.setup.required && claims.events.required && claims.answer.required && claims.transport.required);
    assert_eq!(claims.isolation, Some(Asserted { required: true, origin: None }));
    assert_eq!((claims.min_overlap, claims.setup_at_most), (0.5, 0.0));
    assert_eq!(scenario.expect.answers.len(), 1);
    assert!(scenario.expect.budgets.is_empty() && claims.reliability.is_none());
}

#[test]
fn everything_that_is_written_arrives() {
    let text = "\
version: 1
name: full
tags: [nightly, slow]
target: { profile: targets/x.yaml, http: '${env.BASE:-http://127.0.0.1:1}' }
users: { count: 50, first: 101, email: 'qa${user.number | pad(3)}@example.com', password: { file: pw }, session: fresh }
load: { closed: { iterations: 20 } }
ask:
  - prompt: first (ref ${canary})
  - prompt: second (ref ${canary})
    answer: { min_chars: 7 }
expect:
  events: { grammar: golden-path, required: false }
  answer: { min_chars: 80, all_of: '\\d', none_of: [sorry, '(?i)placeholder'], required: false }
  isolation: { min_overlap: 90% }
  setup: { at_most: 1% }
  transport: { required: false }
  budgets:
    first_event: { p95: 2s, p99.9: 3s }
    golden_path: { max: 10s, required: false }
    run: { p95: 1s, max: 2s, proven: true }
  reliability: { at_least: 99%, confidence: 90% }
timeouts: { run: 60s, quiet: 0s }
";
    let scenario = good(text);
    assert_eq!(scenario.tags, ["nightly", "slow"]);
    assert_eq!(scenario.target.profile, ProfileRef::File("targets/x.yaml".to_owned()));
    assert!(scenario.target.http.is_some() && scenario.target.socket.is_none());
    assert_eq!(scenario.numbers().map(|number| number.0).collect::<Vec<_>>()[49], 150);
    assert_eq!((scenario.iterations(), scenario.runs()), (1_000, 2_000));
    let answers = &scenario.expect.answers;
    assert_eq!((answers[0].rules.min_chars, answers[1].rules.min_chars, answers[1].rules.none_of.len()), (80, 7, 0));
    assert_eq!(answers[0].rules.none_of.len(), 2);
    let claims = &scenario.expect.claims;
    assert!(!claims.events.required && !claims.answer.required && !claims.transport.required && claims.setup.required);
    assert_eq!(claims.isolation.as_ref().and_then(|claim| claim.origin.as_ref()).map(|origin| origin.line), Some(14));
    assert_eq!((claims.min_overlap, claims.setup_at_most), (0.9, 0.01));
    let reliability = claims.reliability.as_ref().expect("a claim");
    assert_eq!((reliability.at_least, reliability.confidence, reliability.origin.line), (0.99, 0.9, 21));
    let told: Vec<String> = scenario
        .expect
        .budgets
        .iter()
        .map(|b| format!("{} {} {} {} {} {}", b.origin.line, b.segment, b.statistic, b.limit, b.proven, b.required))
        .collect();
    assert_eq!(
        told,
        [
            "18 first_event p95 2 s false true",
            "18 first_event p99.9 3 s false true",
            "19 golden_path max 10 s false false",
            "20 run p95 1 s true true",
            "20 run max 2 s false true",
        ]
    );
    assert_eq!(&*scenario.expect.budgets[0].origin.file, "t.yaml");
    assert_eq!(scenario.timeouts.run, Micros::from_secs(60));
    assert_eq!((scenario.timeouts.quiet, scenario.timeouts.stall), (Micros::ZERO, Micros::from_secs(30)));
}

#[test]
fn one_user_has_no_isolation_to_claim() {
    let scenario = good(&SMALL.replace("count: 5", "count: 1"));
    assert_eq!(scenario.expect.claims.isolation, None);
    let text = format!("{}expect: {{ isolation: {{ min_overlap: 90% }} }}\n", SMALL.replace("count: 5", "count: 1"));
    assert_eq!(told(&text), ["6 isolation cannot be judged with a single user"]);
}

#[test]
fn users_who_would_be_one_are_refused() {
    assert_eq!(told(&SMALL.replace("${user.number}", "")), ["4 all 5 users would log in as the same one"]);
    assert_eq!(told(&SMALL.replace("${user.number}", "${user.index}")), Vec::<String>::new());
}

#[test]
fn reliability_that_no_execution_can_show_is_refused() {
    let with = |rule: &str| format!("{SMALL}expect: {{ reliability: {{ {rule} }} }}\n");
    assert_eq!(told(&with("at_least: 100%")), ["6 no number of runs can show 100%"]);
    assert_eq!(told(&with("at_least: 0%")), ["6 0% asks nothing"]);
    assert_eq!(told(&with("at_least: 90%, confidence: 40%")), ["6 a confidence lies above 50% and below 100%"]);
    assert_eq!(told(&with("at_least: 50%")), Vec::<String>::new());
}

#[test]
fn a_mistake_in_one_section_does_not_hide_those_between_others() {
    let text =
        SMALL.replace("target: embedded", "target: [a]").replace("${user.number}", "").replace(" (ref ${canary})", "");
    assert_eq!(
        told(&text),
        [
            "3 expected a file name, `embedded` or a map, found a list",
            "4 all 5 users would log in as the same one",
            "warning 5 the prompt carries no canary",
        ]
    );
}

#[test]
fn an_environment_is_laid_over_the_file_and_an_unknown_one_is_a_mistake() {
    let text = format!("{SMALL}environments: {{ staging: {{ users: {{ count: 200 }} }}, prod: {{ name: p }} }}\n");
    let mut sources = Sources::new();
    let mut cx = Context::new();
    let id = sources.add("t.yaml", text);
    let flag = sources.add("--env", "stagin");
    let mut tree = read(&sources, id, &mut cx).expect("a tree");
    assert_eq!(environment_names(&tree), ["staging", "prod"]);
    let at = Span::new(flag, 0, 6);
    with_environment(&mut tree, "stagin", at, &mut cx);
    with_environment(&mut tree, "staging", at, &mut cx);
    let scenario = compile(&tree, &sources, &mut cx);
    let diagnostics = cx.finish();
    insta::assert_snapshot!(render(&diagnostics, &sources, Style::Plain, 80), @r"
    mistake: there is no environment `stagin`
     --> --env:1:1
      |
    1 | stagin
      | ^^^^^^
      |
      = help: did you mean `staging`? there are `staging` and `prod`
    ");
    assert_eq!(diagnostics.len(), 1);
    let mut cx = Context::new();
    let scenario = scenario.or_else(|| compile(&tree, &sources, &mut cx)).expect("a scenario");
    assert_eq!((scenario.users.count, scenario.users.first), (200, 1));
}

#[test]
fn a_written_password_is_refused_off_loopback_only() {
    let written = good(&SMALL.replace("{ env: QA_PASSWORD }", "secret-of-all"));
    let password = written.users.password.expect("a password");
    assert!(password.off_loopback().is_some_and(|mistake| mistake.title.contains("stands in the file")));
    for reference in ["{ env: QA_PASSWORD, on_loopback: x }", "{ file: pw.txt }", "'${env.QA_PASSWORD}'"] {
        let scenario = good(&SMALL.replace("{ env: QA_PASSWORD }", reference));
        assert!(scenario.users.password.expect("a password").off_loopback().is_none(), "{reference}");
    }
}

#[test]
fn the_schema_knows_every_section_and_loosens_it_inside_environments() {
    let schema = schema();
    jsonschema::meta::validate(&schema).expect("a valid schema");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for (addition, good) in [
        ("", true),
        ("environments: { a: { users: { first: 7 } } }", true),
        ("environments: { a: { expect: { reliability: { required: false } } } }", true),
        ("environments: { a: { user: {} } }", false),
        ("environments: { a: { users: { first: x } } }", false),
        ("environments: { a: { version: 1 } }", false),
        ("environments: { a: { environments: {} } }", false),
        ("environments: { a: 5 }", false),
        ("expect: { budgets: { run: { p97.5: 2s } } }", true),
        ("expect: { budgets: { run: { q97: 2s } } }", false),
        ("expect: { budgets: { ruin: { p97: 2s } } }", false),
    ] {
        let (tree, text) = (Sources::new(), format!("{SMALL}{addition}\n"));
        let (mut sources, mut cx) = (tree, Context::new());
        let id = sources.add("t.yaml", text.as_str());
        let node = read(&sources, id, &mut cx).expect("a tree");
        assert_eq!(validator.is_valid(&node.to_json()), good, "{addition}");
    }
}

#[test]
fn every_segment_can_have_a_budget() {
    for segment in Segment::ALL.into_iter().filter(|segment| *segment != Segment::Response) {
        let scenario = good(&format!("{SMALL}expect: {{ budgets: {{ {segment}: {{ max: 1s }} }} }}\n"));
        assert_eq!(scenario.expect.budgets[0].segment, segment);
    }
}

#[test]
fn grammars_are_presets_presets_with_more_or_ones_own() {
    let grammar = |events: &str| good(&format!("{SMALL}expect: {{ events: {events} }}\n")).expect.grammar;
    assert_eq!(grammar("golden-path-tools-optional"), Spelled::tools_optional());
    assert_eq!(grammar("{ grammar: supervisor, min_agents: 3 }").min_agents, 3);
    let more =
        grammar("{ optional: token_usage, forbidden: [agent_fallback], before: [[tool_completed, token_usage]] }");
    assert_eq!(
        (more.name.as_str(), more.symbols.len(), more.forbidden.len(), more.before.len()),
        ("golden-path", 6, 1, 2)
    );
    let own = grammar(
        "{ start: begun, steps: { heard: { max: 3 }, seen: { min: 0 } }, pairs: [{ call: call | ask, result: reply }], \
         end: [spoken, done], bad_end: broke, before: [[heard, call]], order: strict }",
    );
    let told: Vec<_> = own.symbols.iter().map(|s| (s.names.join("|"), s.role, s.min, s.max)).collect();
    let expected = [
        ("begun", Role::Start, 1, None),
        ("heard", Role::Step, 1, Some(3)),
        ("seen", Role::Step, 0, None),
        ("call|ask", Role::Call, 1, None),
        ("reply", Role::Result, 1, None),
        ("spoken", Role::End, 1, None),
        ("done", Role::End, 1, None),
    ];
    assert_eq!(told, expected.map(|(names, role, min, max)| (names.to_owned(), role, min, max)));
    assert_eq!((own.before.len(), own.free, &own.bad[..]), (1, false, &["broke".to_owned()][..]));
    assert!(grammar("{ order: free }").free && grammar("{ order: free }").before.is_empty());
}

#[test]
fn one_envelope_is_claimed_only_where_it_is_asked_for() {
    let claim = |written: &str| good(&format!("{SMALL}expect: {{ {written} }}\n")).expect.claims.uniform_envelope;
    assert_eq!(claim("uniform_envelope: false"), None);
    assert!(claim("uniform_envelope: true").is_some_and(|claim| claim.required && claim.origin.is_some()));
    assert!(claim("uniform_envelope: { required: false }").is_some_and(|claim| !claim.required));
    assert_eq!(claim("transport: { required: true }"), None);
}
