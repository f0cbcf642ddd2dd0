//! Reports as people and programs see them: executions told to the real judge, concluded, and rendered.
//!
//! The snapshots are the specification of the outputs; they are read in review like code.

use std::path::Path;
use std::sync::Arc;

use goldenpath::canary::Canary;
use goldenpath::check::{self, Conclusion, Judge};
use goldenpath::event::KindId;
use goldenpath::expect::{
    AnswerRules, AnswerSource, Asking, Asserted, Between, Budget, Claims, Compare, Condition, Dialect, Ends,
    Exceptions, Expectations, Grammar, IdRole, IdRule, IdSource, Known, Level, Matcher, Origin, RuleChange, ScriptStep,
    Segment, Signs, Statistic, Timeouts, Unique,
};
use goldenpath::identity::{Connection, ExecutionId, Iteration, UserNumber};
use goldenpath::report::{
    Clock, Context, Execution, Machine, Page, Report, Scenario, Session, Target, Tool, Wait, WhichClock, from_json,
    render, schema, to_json,
};
use goldenpath::rule::Rule;
use goldenpath::time::{Micros, Stamp};
use goldenpath::trace::{Content, Dial, Direction, Fact, Frame, NetFailure, Phase, StepOutcome};
use serde_json::{Value, json};

pub(super) const PAGE: Page<'static> =
    Page { width: 80, color: false, saved: Some("reports/20261120T093000Z-isolation-00c0ffee/report.json") };

const EXECUTION: ExecutionId = ExecutionId(0x00c0_ffee);

// ---------------------------------------------------------------------------------------------------------------------
// What people see

#[test]
fn a_pass_says_why_it_counts() {
    insta::assert_snapshot!(page(&passed(), 80));
}

#[test]
fn what_is_not_required_neither_fails_nor_hides() {
    insta::assert_snapshot!(page(&passed_with_a_remark(), 80));
}

#[test]
fn exceptions_are_printed_with_their_reasons() {
    let report = excepted();
    let text = page(&report, 120);
    for line in [
        "  known     GP101 missing-event (#712, until 2026-12-31, at most 3): 2 findings at 2 users, tolerated\n",
        "  known     GP302 stalled (#88): not seen; remove it once it is solved\n",
        "  rule      GP204 malformed-identity is off here (1 finding), because: the field holds a session id until 3.2\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let told: Vec<&str> = report.findings.iter().map(|group| group.code.as_str()).collect();
    assert_eq!((told, report.verdict.exit_code), (vec![], 0), "{text}");
    assert_eq!(report.known[0].witnesses.len(), 2, "what is tolerated is still shown to programs");
}

#[test]
fn a_failure_shows_its_evidence_and_what_to_do() {
    insta::assert_snapshot!(page(&failed(), 80));
}

#[test]
fn a_narrow_page_loses_nothing_that_matters() {
    insta::assert_snapshot!(page(&failed(), 60));
}

#[test]
fn a_wide_page_is_used() {
    insta::assert_snapshot!(page(&failed(), 120));
}

#[test]
fn a_blocked_execution_says_that_nothing_was_tested() {
    insta::assert_snapshot!(page(&blocked(), 80));
}

#[test]
fn an_inconclusive_one_says_what_is_missing_and_how_to_get_it() {
    insta::assert_snapshot!(page(&inconclusive(), 80));
}

#[test]
fn an_interrupted_one_says_what_was_seen_until_then() {
    insta::assert_snapshot!(page(&interrupted(), 80));
}

#[test]
fn a_harness_that_broke_says_nothing_of_the_target() {
    let mut told = Told::new(expectations(2));
    told.good(1, 1);
    let mut conclusion = told.conclude(false);
    conclusion.outcome = check::Outcome::Broke;
    let report = Report::new(&conclusion, context(2, 1));
    assert_eq!(report.verdict.exit_code, 5);
    let text = page(&report, 80);
    assert!(text.starts_with("BROKE  the harness broke, so nothing is said of the target\n"), "{text}");
}

#[test]
fn the_embedded_backend_is_never_taken_for_the_readers_system() {
    let report = embedded();
    assert!(report.verdict.sentence.ends_with("(embedded backend: not your system)"), "{}", report.verdict.sentence);
    insta::assert_snapshot!(page(&report, 80));
}

#[test]
fn hostile_text_stays_text() {
    let report = hostile();
    let text = page(&report, 80);
    assert_harmless(&text);
    assert_harmless(&to_json(&report));
    insta::assert_snapshot!(text);
}

#[test]
fn colour_adds_nothing_but_colour() {
    for report in examples() {
        let colored = render(&report, &Page { color: true, ..PAGE });
        assert_eq!(without_colour(&colored), page(&report, 80));
    }
}

#[test]
fn no_line_is_wider_than_the_page() {
    for report in examples() {
        for width in [40, 60, 80, 120] {
            for line in page(&report, width).lines() {
                let columns = tabled::grid::util::string::get_string_width(line);
                assert!(columns <= width, "{columns} columns of {width}: {line}");
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What programs see

#[test]
fn the_document_is_the_tree() {
    insta::assert_snapshot!(to_json(&failed()));
}

#[test]
fn a_report_reads_back_as_written_and_renders_the_same() {
    for report in examples() {
        let read = from_json(&to_json(&report)).unwrap();
        assert_eq!(read, report);
        assert_eq!(page(&read, 80), page(&report, 80));
    }
}

#[test]
fn every_report_fits_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for report in examples() {
        let document: Value = serde_json::from_str(&to_json(&report)).unwrap();
        let mistakes: Vec<String> =
            validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(mistakes.is_empty(), "{mistakes:#?}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let good: Value = serde_json::from_str(&to_json(&failed())).unwrap();
    for (pointer, wrong) in [
        ("/version", json!(2)),
        ("/claims/0/verdict", json!("green")),
        ("/findings/0/code", json!("E1")),
        ("/segments/0/p50_us", json!(-1)),
        ("/execution/id", json!("latest")),
    ] {
        let mut document = good.clone();
        *document.pointer_mut(pointer).unwrap() = wrong;
        assert!(!validator.is_valid(&document), "{pointer}");
    }
    let mut document = good;
    document.as_object_mut().unwrap().shift_remove("notes");
    assert!(!validator.is_valid(&document), "a section is missing");
}

#[test]
fn every_field_of_the_schema_is_described() {
    fn undescribed(schema: &Value, at: &str, found: &mut Vec<String>) {
        let members = schema.as_object().into_iter().flatten();
        for (name, part) in members {
            if name == "properties" {
                for (field, description) in part.as_object().into_iter().flatten() {
                    if description.get("description").is_none() {
                        found.push(format!("{at}.{field}"));
                    }
                }
            }
            undescribed(part, &format!("{at}.{name}"), found);
        }
    }
    let mut found = Vec::new();
    undescribed(&schema(), "", &mut found);
    assert!(found.is_empty(), "{found:?}");
}

/// `GOLDENPATH_BLESS=1` writes the file instead.
#[test]
fn the_committed_schema_is_the_one_this_build_writes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json");
    let current = format!("{:#}\n", schema());
    if std::env::var_os("GOLDENPATH_BLESS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == current, "docs/report.schema.json has drifted; run the tests with GOLDENPATH_BLESS=1");
}

// ---------------------------------------------------------------------------------------------------------------------
// Examples

pub(super) fn examples() -> [Report; 9] {
    [
        passed(),
        passed_with_a_remark(),
        excepted(),
        failed(),
        blocked(),
        inconclusive(),
        interrupted(),
        embedded(),
        hostile(),
    ]
}

pub(super) fn passed() -> Report {
    let mut told = Told::new(expectations(40));
    for user in 1..=40 {
        for iteration in 1..=3 {
            told.good(user, iteration);
        }
    }
    let waits = vec![
        Wait { what: "quiet after the end".into(), times: 120, total_us: 120_000_000 },
        Wait { what: "common start".into(), times: 40, total_us: 1_400_000 },
    ];
    let notes = vec!["at most 1,024 files may be open here; 10,000 users would need more".to_owned()];
    Report::new(&told.conclude(false), Context { waits, notes, ..context(40, 3) })
}

pub(super) fn failed() -> Report {
    let mut expect = expectations(20);
    expect.budgets[2].limit = Micros::from_millis(20);
    let mut told = Told::new(expect);
    for user in 1..=20 {
        match user {
            2 => told.leak(user, 1),
            3 | 7 => told.without_tools(user),
            5 => told.stall(user),
            9 => told.unknown_user_id(user),
            _ => told.good(user, 1),
        }
    }
    told.leave_behind(4);
    Report::new(&told.conclude(false), context(20, 1))
}

/// What is not required went wrong, and nothing else.
pub(super) fn passed_with_a_remark() -> Report {
    let mut expect = expectations(20);
    expect.budgets[2].limit = Micros::from_millis(20);
    expect.claims.answer.required = false;
    expect.turns[0].min_chars = 200;
    let mut told = Told::new(expect);
    for user in 1..=20 {
        told.good(user, 1);
    }
    Report::new(&told.conclude(false), context(20, 1))
}

/// Two runs without tools and a foreign-looking id, all of which the scenario knows of.
fn excepted() -> Report {
    let mut expect = expectations(20);
    expect.budgets.clear();
    let origin = |line| Origin { file: "scenarios/isolation.yaml".into(), line };
    let known = |rule, issue: &str, line| Known {
        rule,
        matches: None,
        issue: issue.to_owned(),
        until: None,
        at_most: None,
        origin: origin(line),
    };
    let until = Some("2026-12-31".parse().unwrap());
    let missing = Known { until, at_most: Some(3), ..known(Rule::MissingEvent, "#712", 30) };
    let reason = Some("the field holds a session id until 3.2".to_owned());
    expect.claims.exceptions = Exceptions {
        known: vec![missing, known(Rule::Stalled, "#88", 31)],
        rules: vec![RuleChange { rule: Rule::MalformedIdentity, severity: None, reason, origin: origin(32) }],
    };
    let mut told = Told::new(expect);
    for user in 1..=20 {
        match user {
            3 | 7 => told.without_tools(user),
            9 => told.unknown_user_id(user),
            _ => told.good(user, 1),
        }
    }
    Report::new(&told.conclude(false), context(20, 1))
}

pub(super) fn blocked() -> Report {
    let mut told = Told::new(expectations(3));
    for user in 1..=3 {
        told.unreachable(user);
    }
    Report::new(&told.conclude(false), context(3, 1))
}

pub(super) fn inconclusive() -> Report {
    let mut told = Told::new(expectations(1));
    for iteration in 1..=5 {
        told.good(1, iteration);
    }
    Report::new(&told.conclude(false), context(1, 5))
}

pub(super) fn interrupted() -> Report {
    let mut told = Told::new(expectations(25));
    for user in 1..=24 {
        told.good(user, 1);
    }
    told.cut(25);
    let mut context = context(25, 10);
    context.scenario.first = 101;
    context.execution.interrupted = true;
    Report::new(&told.conclude(true), context)
}

fn embedded() -> Report {
    let mut told = Told::new(expectations(2));
    told.good(1, 1);
    told.good(2, 1);
    let mut context = context(2, 1);
    context.target = Target {
        name: "embedded".into(),
        profile: "embedded".into(),
        http: Some("http://127.0.0.1:40717".into()),
        socket: Some("ws://127.0.0.1:40717/ws".into()),
        embedded: true,
        build: None,
    };
    context.clock = Clock { kind: WhichClock::Read, statement: "arrivals are stamped when they are read".into() };
    Report::new(&told.conclude(false), context)
}

pub(super) fn hostile() -> Report {
    let mut told = Told::new(expectations(2));
    told.good(1, 1);
    told.hostile(2);
    let mut context = context(2, 1);
    context.target.build = Some("1.0\u{1b}]0;owned\u{7}\u{202e}".into());
    Report::new(&told.conclude(false), context)
}

pub(super) fn page(report: &Report, width: usize) -> String {
    render(
        report,
        &Page { width, color: false, saved: Some("reports/20261120T093000Z-isolation-00c0ffee/report.json") },
    )
}

pub(super) fn assert_harmless(text: &str) {
    let hostile =
        |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.contains(hostile), "{text:?}");
}

fn without_colour(text: &str) -> String {
    let pattern = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    pattern.replace_all(text, "").into_owned()
}

pub(super) fn context(users: u64, iterations: u64) -> Context {
    Context {
        tool: Tool { name: "goldenpath".into(), version: "0.1.0".into(), os: "linux".into(), arch: "x86_64".into() },
        execution: Execution {
            id: EXECUTION,
            seed: 7,
            began: "2026-11-20T09:30:00Z".into(),
            began_unix_us: 1_795_167_000_000_000,
            duration_us: 12_412_000,
            interrupted: false,
            threads: 1,
            command:
                "goldenpath run scenarios/isolation.yaml --target scenarios/targets/netra.yaml --users 20 --seed 7"
                    .into(),
        },
        scenario: Scenario {
            name: "isolation".into(),
            file: Some("scenarios/isolation.yaml".into()),
            tags: vec!["nightly".into()],
            users,
            first: 1,
            iterations: Some(iterations),
            session: Session::Fresh,
            only_users: Vec::new(),
        },
        target: Target {
            name: "netra".into(),
            profile: "scenarios/targets/netra.yaml".into(),
            http: Some("https://staging.example.com".into()),
            socket: Some("wss://staging.example.com/ws".into()),
            embedded: false,
            build: Some("2026.11.19-4f1c".into()),
        },
        machine: Machine {
            memory_max_bytes: Some(33_700_000),
            files_max: Some(52),
            files_limit: Some(20_000),
            cores: Some(2),
            over_time: Vec::new(),
        },
        clock: Clock { kind: WhichClock::Kernel, statement: "arrivals are stamped by the kernel".into() },
        waits: Vec::new(),
        notes: Vec::new(),
        recording: None,
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Executions, told to the judge

struct Told {
    expect: Arc<Expectations>,
    judge: Judge,
}

const CONNECTION: Connection = Connection(1);
const MS: u64 = 1_000;

impl Told {
    fn new(expect: Expectations) -> Told {
        let expect = Arc::new(expect);
        Told { judge: Judge::new(Arc::clone(&expect), EXECUTION), expect }
    }

    fn conclude(self, interrupted: bool) -> Conclusion {
        check::conclude(self.judge.finish(), &self.expect, interrupted, None)
    }

    fn fact(&mut self, user: u32, fact: Fact) {
        self.judge.fact(UserNumber(user), &fact);
    }

    fn received(&mut self, user: u32, at: u64, event: &Value) {
        self.told(user, at, Direction::Received, Content::Text(event.to_string().into()));
    }

    fn told(&mut self, user: u32, at: u64, direction: Direction, content: Content<'_>) {
        let (at, read_at, not_before) = (Stamp(at), Stamp(at + 30), Stamp(at.saturating_sub(40)));
        let frame = Frame { connection: CONNECTION, direction, at, read_at, not_before, content };
        self.judge.frame(UserNumber(user), &frame);
    }

    /// Logged in, connected, greeted and asked. Returns when the agent was asked.
    fn ask(&mut self, user: u32, iteration: u32) -> u64 {
        let t = u64::from(iteration - 1) * 1_000 * MS + u64::from(user) * 300;
        let at = |us: u64| Stamp(t + us);
        self.fact(
            user,
            Fact::Began { iteration: Iteration(iteration), scheduled: at(0), at: at(0), fresh: true, apart: false },
        );
        let login = u64::from(user % 7) * 900;
        self.fact(
            user,
            Fact::Step {
                phase: Phase::Login,
                name: "POST /auth/login".into(),
                sent: at(100),
                done: at(21_000 + login),
                outcome: StepOutcome::Good { status: 200 },
            },
        );
        self.fact(
            user,
            Fact::Captured { name: "user_id".into(), value: format!("u-{user:04}"), at: at(21_000 + login) },
        );
        let outcome = Dial::Upgraded { subprotocol: None, echo_fits: true, echo_strict: false };
        self.fact(user, Fact::Dialed { connection: CONNECTION, begun: at(28 * MS), done: at(31 * MS), outcome });
        self.received(user, t + 33 * MS, &json!({ "type": "connection_ready" }));
        let asked = t + 40 * MS;
        let mark = mark(user, iteration);
        let prompt = format!("Which services drive our bill? (ref {})", mark);
        self.fact(
            user,
            Fact::Asked {
                turn: 0,
                at: Stamp(asked),
                run: Some(run(user, iteration)),
                thread: None,
                prompt: prompt.clone(),
            },
        );
        let ask = json!({ "type": "start_agent", "prompt": prompt }).to_string();
        self.told(user, asked, Direction::Sent, Content::Text(ask.into()));
        asked
    }

    fn event(&mut self, user: u32, iteration: u32, at: u64, name: &str, more: Value) {
        let mut event = json!({ "type": name, "user_id": format!("u-{user:04}"), "run_id": run(user, iteration) });
        let more = more.as_object().cloned().unwrap_or_default();
        event.as_object_mut().unwrap().extend(more);
        self.received(user, at, &event);
    }

    fn good(&mut self, user: u32, iteration: u32) {
        let asked = self.ask(user, iteration);
        let slow = u64::from(user % 5) * 7 * MS;
        self.event(user, iteration, asked + 12 * MS + slow / 10, "agent_started", json!({ "agent": "triage" }));
        self.event(user, iteration, asked + 15 * MS + slow / 10, "agent_thinking", json!({}));
        self.event(user, iteration, asked + 80 * MS + slow, "tool_executing", json!({ "tool": "cost_report" }));
        self.event(user, iteration, asked + 140 * MS + slow, "tool_completed", json!({ "tool": "cost_report" }));
        self.completed(user, iteration, asked + 230 * MS + 2 * slow);
        self.end(user, asked + 2_000 * MS);
    }

    fn completed(&mut self, user: u32, iteration: u32, at: u64) {
        let mark = mark(user, iteration);
        let answer = format!("Compute drives 61 % of the bill; cut the idle nodes first. ref {}", mark);
        self.event(user, iteration, at, "agent_completed", json!({ "agent": "triage", "result": answer }));
    }

    fn end(&mut self, user: u32, at: u64) {
        self.judge.expire(UserNumber(user), Stamp(at));
        self.fact(user, Fact::Closed { connection: CONNECTION, at: Stamp(at) });
        self.fact(user, Fact::Ended { at: Stamp(at) });
    }

    /// A thought of user 1 comes to this user.
    fn leak(&mut self, user: u32, owner: u32) {
        let asked = self.ask(user, 1);
        self.event(user, 1, asked + 12 * MS, "agent_started", json!({ "agent": "triage" }));
        let mark = mark(owner, 1);
        let thought = format!("the user asks which services drive the bill and gives the reference {}", mark);
        self.event(user, 1, asked + 15_400, "agent_thinking", json!({ "message": thought }));
        self.event(user, 1, asked + 80 * MS, "tool_executing", json!({ "tool": "cost_report" }));
        self.event(user, 1, asked + 140 * MS, "tool_completed", json!({ "tool": "cost_report" }));
        self.completed(user, 1, asked + 230 * MS);
        self.end(user, asked + 2_000 * MS);
    }

    fn without_tools(&mut self, user: u32) {
        let asked = self.ask(user, 1);
        self.event(user, 1, asked + 12 * MS, "agent_started", json!({ "agent": "triage" }));
        self.event(user, 1, asked + 15 * MS, "agent_thinking", json!({}));
        self.event(user, 1, asked + 20 * MS, "token_usage", json!({ "tokens": 311 }));
        self.completed(user, 1, asked + 4_230 * MS);
        self.end(user, asked + 6_000 * MS);
    }

    fn stall(&mut self, user: u32) {
        let asked = self.ask(user, 1);
        self.event(user, 1, asked + 12 * MS, "agent_started", json!({ "agent": "triage" }));
        for thought in 0..10 {
            self.event(user, 1, asked + (15 + thought) * MS, "agent_thinking", json!({ "n": thought }));
        }
        self.event(user, 1, asked + 80 * MS, "tool_executing", json!({ "tool": "cost_report" }));
        self.end(user, asked + 40_000 * MS);
    }

    fn unknown_user_id(&mut self, user: u32) {
        let asked = self.ask(user, 1);
        let stray = json!({ "type": "notice", "user_id": "thread_17" });
        self.received(user, asked + 5 * MS, &stray);
        self.event(user, 1, asked + 12 * MS, "agent_started", json!({ "agent": "triage" }));
        self.event(user, 1, asked + 15 * MS, "agent_thinking", json!({}));
        self.event(user, 1, asked + 80 * MS, "tool_executing", json!({ "tool": "cost_report" }));
        self.event(user, 1, asked + 140 * MS, "tool_completed", json!({ "tool": "cost_report" }));
        self.completed(user, 1, asked + 230 * MS);
        self.end(user, asked + 2_000 * MS);
    }

    fn leave_behind(&mut self, user: u32) {
        let outcome = StepOutcome::Refused { status: 500, why: "status 204 was expected".into(), body: String::new() };
        let (sent, done) = (Stamp(2_100 * MS), Stamp(2_110 * MS));
        let name = "DELETE /api/threads/t-4".into();
        self.fact(user, Fact::Step { phase: Phase::Finally, name, sent, done, outcome });
    }

    fn unreachable(&mut self, user: u32) {
        self.fact(
            user,
            Fact::Began { iteration: Iteration(1), scheduled: Stamp(0), at: Stamp(0), fresh: true, apart: false },
        );
        let failure = NetFailure {
            doing: "connecting to staging.example.com:443".into(),
            error: "connection refused (os error 111)".into(),
            hung: false,
        };
        let outcome = StepOutcome::Failed(failure);
        let (sent, done) = (Stamp(10 * MS), Stamp(12 * MS));
        self.fact(user, Fact::Step { phase: Phase::Login, name: "POST /auth/login".into(), sent, done, outcome });
        self.fact(user, Fact::Ended { at: Stamp(13 * MS) });
    }

    fn cut(&mut self, user: u32) {
        let asked = self.ask(user, 1);
        self.event(user, 1, asked + 12 * MS, "agent_started", json!({ "agent": "triage" }));
        self.fact(user, Fact::Interrupted { at: Stamp(asked + 50 * MS) });
        self.fact(user, Fact::Ended { at: Stamp(asked + 60 * MS) });
    }

    fn hostile(&mut self, user: u32) {
        let asked = self.ask(user, 1);
        self.event(user, 1, asked + 12 * MS, "agent_started", json!({ "agent": "\u{1b}[2J" }));
        self.event(user, 1, asked + 13 * MS, "\u{1b}[32mPASS\u{1b}[0m\r\n\u{202e}tnega", json!({}));
        let raw = "\u{1b}]8;;http://example.com\u{7}click\u{1b}]8;;\u{7} \u{9b}31m not json \u{2066}日本語\u{2069}";
        self.told(user, asked + 14 * MS, Direction::Received, Content::Text(raw.into()));
        let reason = "bye\nVERDICT: PASS\u{200b}".into();
        self.told(user, asked + 20 * MS, Direction::Received, Content::Close { code: 1011, reason });
        self.fact(user, Fact::Ended { at: Stamp(asked + 30 * MS) });
    }
}

fn mark(user: u32, iteration: u32) -> String {
    Canary { execution: EXECUTION.0, user, iteration }.encode()
}

fn run(user: u32, iteration: u32) -> String {
    format!("run-{user:04}-{iteration}")
}

fn expectations(users: u32) -> Expectations {
    let mut dialect = Dialect::default();
    let mut slot = |pointer: &str| vec![dialect.trie.intern(pointer, false).unwrap()];
    let (name, user_id, run_id, tool, agent, result) =
        (slot("/type"), slot("/user_id"), slot("/run_id"), slot("/tool"), slot("/agent"), slot("/result"));
    dialect.name_at = name;
    (dialect.fields.tool, dialect.fields.agent) = (tool, agent);
    let grammar = Grammar::golden_path(|name| dialect.names.intern(name));
    let is = |kind: KindId| Matcher { all: vec![Condition::Event(vec![kind])] };
    let (ready, completed) = (dialect.names.intern("connection_ready"), dialect.names.intern("agent_completed"));
    let id = |name: &str, role, at, source| IdRule {
        name: name.into(),
        role,
        at,
        source,
        compare: Compare::Exact,
        unique: Unique::Target,
    };
    let asserted = || Asserted { required: true, origin: None };
    let budget = |segment, statistic, limit, required, line| Budget {
        segment,
        statistic,
        limit,
        level: Level::Fail,
        per: None,
        proven: false,
        required,
        origin: Origin { file: "scenarios/isolation.yaml".into(), line },
    };
    Expectations {
        dialect,
        script: vec![ScriptStep::Wait {
            when: is(ready),
            refused: vec![],
            within: Micros::from_secs(5),
            optional: false,
        }],
        heartbeats: vec![],
        asking: Asking::default(),
        grammar,
        ends: Ends { good: vec![is(completed)], bad: vec![] },
        failed: vec![],
        public: vec![],
        signs: Signs::default(),
        answers: vec![AnswerSource { when: is(completed), at: result, append: false }],
        personas: vec![],
        turns: vec![AnswerRules { min_chars: 20, ..AnswerRules::default() }],
        ids: vec![
            id("user", IdRole::User, user_id, IdSource::Captured("user_id".into())),
            id("run", IdRole::Run, run_id, IdSource::Chosen),
        ],
        budgets: vec![
            budget(Segment::FirstEvent, Statistic::Quantile(0.95), Micros::from_millis(50), true, 24),
            budget(Segment::GoldenPath, Statistic::Max, Micros::from_secs(2), true, 25),
            budget(Segment::Tool, Statistic::Mean, Micros::from_millis(100), false, 26),
        ],
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
            min_overlap: 0.9,
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
