//! The claims about profiles, each by one small file. What the dialect of a profile makes of frames is tested beside the
//! decoder's other callers, in the integration tests.

mod refresh;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::document::diagnostic::Level;
use crate::document::testing::{node, plain};
use crate::document::text::HoleValue;
use crate::document::{Context, Diagnostic, Sources, read};
use crate::expect::{Compare, IdRole, IdSource, Unique};

/// What every profile must have, one key per line.
const REQUIRED: [&str; 4] = ["version: 1", "name: t", "socket: ws://h/ws", "ask: {send: {q: '${prompt}'}}"];

/// A profile that begins with the given lines and goes on with the required ones that are not among them.
fn with_required(text: &str) -> String {
    let given = |line: &&&str| line.split(':').next().is_some_and(|key| text.starts_with(key));
    let rest: Vec<&str> = REQUIRED.iter().filter(|line| !given(line)).copied().collect();
    format!("{text}\n{}\n", rest.join("\n"))
}

fn compiled(text: impl Into<Vec<u8>>) -> (Option<Profile>, Vec<Diagnostic>, Sources) {
    let mut sources = Sources::new();
    let mut cx = Context::new();
    let file = sources.add("t.yaml", text);
    let tree = read(&sources, file, &mut cx);
    let profile = tree.and_then(|tree| compile(&tree, Micros::from_secs(5), &mut cx));
    (profile, cx.finish(), sources)
}

/// The profile of a text without mistakes and warnings.
fn profile(text: &str) -> Profile {
    let (profile, diagnostics, sources) = compiled(text);
    assert_eq!(plain(&diagnostics, &sources), "");
    profile.expect("a profile")
}

fn titles(text: &str) -> Vec<String> {
    let (profile, diagnostics, sources) = compiled(with_required(text));
    let mistakes = diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Mistake);
    assert_eq!(profile.is_none(), mistakes, "{text}");
    let line = |d: &Diagnostic| {
        let (line, column) = sources.position(d.span);
        let help = d.help.as_ref().map(|help| format!(" -> {help}")).unwrap_or_default();
        format!("{line}:{column} {}{help}", d.title)
    };
    diagnostics.iter().map(line).collect()
}

/// Holds each text against its diagnostics.
fn check(cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        assert_eq!(titles(text), *expected, "{text}");
    }
}

/// Fills in every name with itself in brackets.
fn named<'a>(name: &str) -> Option<HoleValue<'a>> {
    Some(format!("<{name}>").into())
}

fn filled(text: &Text) -> String {
    text.render(&named).expect("every name has a value")
}

#[test]
fn the_committed_profile_is_complete_and_clean() {
    let netra = profile(NETRA);
    assert_eq!(netra.name, "netra");
    let none = |_: &str| None;
    assert_eq!(netra.socket.render(&none).as_deref(), Ok("ws://127.0.0.1:8000/ws"), "no variable must be set");
    let http = netra.http.as_ref().expect("an HTTP side");
    assert_eq!(http.base.render(&none).as_deref(), Ok("http://127.0.0.1:8000"));
    let steps = [&netra.ready, &netra.login, &netra.after, &netra.finally].into_iter().flatten();
    let names: Vec<&str> = steps.map(|step| step.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "GET /health/ready",
            "POST ${env.NETRA_AUTH:-}/auth/login",
            "GET /api/threads/${thread_id}/messages",
            "DELETE /api/threads/${thread_id}"
        ]
    );
    let login = netra.login[0].url.render(&none).expect("a default");
    assert_eq!(absolute("http://127.0.0.1:8000", &login), "http://127.0.0.1:8000/auth/login");
    let needed = netra.login[0].captures.iter().map(|capture| (&*capture.name, capture.secret, capture.needed));
    assert_eq!(
        needed.collect::<Vec<_>>(),
        [("token", true, true), ("user_id", false, true), ("refresh_token", true, false)]
    );
    assert!(!netra.ready[0].captures[0].needed, "a target may keep its version to itself");
    assert_eq!(netra.columns, []);
    assert!(netra.asks_with("run_id") && netra.asks_with("thread_id") && !netra.asks_with("token"));
}

#[test]
fn a_short_profile_has_defaults_for_the_rest() {
    let short = profile(&with_required(""));
    assert_eq!(short.limits, Limits::default());
    assert_eq!((short.limits.users, short.limits.runs, short.limits.duration), (50, 500, Micros::from_secs(900)));
    assert_eq!(short.limits.rate.to_string(), "5/s");
    assert_eq!((short.connect.echo, short.connect.max_frame), (Echo::Lenient, 1_048_576));
    assert!(short.http.is_none() && short.connect.script.is_empty() && short.replies.is_empty());
    let reads = short.reads;
    assert_eq!(reads.dialect.name_at.len(), 4);
    assert_eq!((reads.dialect.fields.agent.len(), reads.dialect.fields.event_id.len()), (9, 3));
    assert_eq!(reads.dialect.names.iter().collect::<Vec<_>>(), ["agent_error", "agent_completed", "agent_response"]);
    assert!(reads.ends.good.is_empty(), "every end of the grammar is good");
    assert_eq!((reads.ends.bad.len(), reads.failed.len(), reads.answers.len()), (1, 1, 1));
    assert_eq!((reads.signs.degraded.len(), reads.signs.replayed.len(), reads.signs.failed_tool.len()), (2, 1, 1));
    assert!(reads.dialect.json_string && reads.dialect.split.is_empty());
    let ids: Vec<_> = reads.ids.iter().map(|rule| (rule.role, &rule.source, rule.at.len())).collect();
    assert_eq!(ids, [(IdRole::Run, &IdSource::Learned, 3)]);
}

#[test]
fn left_out_ids_follow_what_is_captured_and_sent() {
    let text =
        "login: [{get: 'http://h/me', capture: {user_id: /id}}]\nask: {send: {q: '${prompt}', run: '${run_id}'}}";
    let profile = profile(&with_required(text).replace("\nask: {send: {q: '${prompt}'}}\n", "\n"));
    let sources: Vec<_> = profile.reads.ids.iter().map(|rule| (&*rule.name, &rule.source)).collect();
    let captured = IdSource::Captured("user_id".into());
    assert_eq!(sources, [("user", &captured), ("run", &IdSource::Chosen)]);
    assert!(profile.login[0].captures[0].needed);
}

#[test]
fn ids_are_compared_as_written() {
    let text = "prepare: [{get: 'http://h/', capture: {room: /id}}]\nevents: {ids: {room: {at: [/a, /b], is: room, \
                compare: prefix}, run: {at: /r, unique: user}, thread: {at: /t, is: room}}}";
    let rules = profile(&with_required(text)).reads.ids;
    let rules: Vec<_> = rules.iter().map(|rule| (rule.role, rule.at.len(), rule.compare, rule.unique)).collect();
    assert_eq!(
        rules,
        [
            (IdRole::Other, 2, Compare::Prefix, Unique::Target),
            (IdRole::Run, 1, Compare::Exact, Unique::User),
            (IdRole::Thread, 1, Compare::Exact, Unique::Target),
        ]
    );
}

#[test]
fn a_step_says_what_to_send_and_what_to_expect() {
    let text = "http: {base: 'http://h', headers: {Authorization: 'Bearer ${token}'}}\n\
                login:\n- post: '/login?u=${user.number}'\n  headers: {X-Request-Id: '${uuid}'}\n  \
                json: {email: '${user.email}', index: '${user.index}', team: '${user.team}', n: 5}\n  timeout: 3s\n  \
                retry: {every: 1s, for: 5s}\n  expect: {status: [200, 300-302], when: {/ok: true, text: {contains: ok}}}\n  \
                capture: {token: {secret: [/a, /b]}, note: /n}\n\
                - {delete: 'https://other/${note:-x}', retry: {for: 1s}}\n";
    let profile = profile(&with_required(text));
    let [login, delete] = &profile.login[..] else { panic!("two steps") };
    assert_eq!((login.name.as_str(), login.method), ("POST /login?u=${user.number}", Method::Post));
    assert_eq!((filled(&login.url), filled(&login.headers[0].1)), ("/login?u=<user.number>".into(), "<uuid>".into()));
    let Some(Body::Json(body)) = &login.body else { panic!("a JSON body") };
    let body = body.render(&|name| (name == "user.index").then_some(HoleValue::Number(7)).or(named(name)));
    let expected = json!({ "email": "<user.email>", "index": 7, "team": "<user.team>", "n": 5 });
    assert_eq!(body, Ok(expected.to_string()));
    assert_eq!(login.timeout, Some(Micros::from_secs(3)));
    assert_eq!(login.retry, Some(Retry { every: Micros::from_secs(1), limit: Micros::from_secs(5) }));
    assert_eq!(login.expect.status, [200..=200, 300..=302]);
    assert_eq!(login.expect.when.as_ref().map(|when| when.all.len()), Some(2));
    assert_eq!(login.trie.slots(), 4);
    let captures: Vec<_> = login
        .captures
        .iter()
        .map(|capture| {
            (&*capture.name, capture.secret, capture.needed, matches!(&capture.at, Place::Body(at) if !at.is_empty()))
        })
        .collect();
    assert_eq!(
        captures,
        [("token", true, true, true), ("note", false, false, true)],
        "a default makes a value dispensable"
    );
    assert_eq!(delete.retry, Some(Retry { every: Micros::from_millis(200), limit: Micros::from_secs(1) }));
    assert_eq!(delete.expect.status, [200..=299]);
    assert_eq!(profile.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["team"]);
    assert_eq!(profile.texts().len(), 10);
}

#[test]
fn a_step_sends_forms_and_queries_and_captures_beside_the_body() {
    let text = "http: {base: 'http://h', redirects: follow}\n\
                login:\n- get: /login\n  capture: {xsrf: {cookie: _xsrf}, trace: {header: X-Trace}}\n\
                - post: /login\n  query: {next: '/a?b', t: '${trace}'}\n  form: {user: '${user.email}', _xsrf: '${xsrf}'}\n  \
                redirects: stop\n  expect: {headers: {Location: {matches: '^/home'}}}\n  \
                capture: {session: {secret: {cookie: sid}}, csrf: {secret: {header: X-CSRF}}, all: {secret: ''}}\n\
                prepare: [{post: /a, json: {s: '${session}', c: '${csrf}', all: '${all}'}}]\n";
    let profile = profile(&with_required(text));
    let [first, second] = &profile.login[..] else { panic!("two steps") };
    assert_eq!((first.follows, second.follows, profile.prepare[0].follows), (true, false, true));
    let captures = |step: &Step| -> Vec<_> {
        step.captures.iter().map(|capture| (capture.name.clone(), capture.secret, capture.at.clone())).collect()
    };
    let (cookie, header) = (|name: &str| Place::Cookie(name.to_owned()), |name: &str| Place::Header(name.to_owned()));
    assert_eq!(captures(first), [("xsrf".into(), false, cookie("_xsrf")), ("trace".into(), false, header("x-trace"))]);
    let [session, csrf, all] = &captures(second)[..] else { panic!("three captures") };
    assert_eq!(*session, ("session".into(), true, cookie("sid")));
    assert_eq!(*csrf, ("csrf".into(), true, header("x-csrf")));
    assert!(all.1 && matches!(all.2, Place::Body(_)));
    let Some(Body::Form(form)) = &second.body else { panic!("a form") };
    let pairs = |pairs: &[(String, Text)]| -> Vec<String> {
        pairs.iter().map(|(name, text)| format!("{name}={}", filled(text))).collect()
    };
    assert_eq!(pairs(form), ["user=<user.email>", "_xsrf=<xsrf>"]);
    assert_eq!(pairs(&second.query), ["next=/a?b", "t=<trace>"]);
    assert_eq!(second.expect.headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["location"]);
    assert_eq!(second.texts().len(), 5, "each text is known to whoever looks for names");
}

#[test]
fn readiness_is_tried_twice_a_second() {
    let profile = profile(&with_required("ready: [{get: 'http://h/', within: 60s}]"));
    assert_eq!(profile.ready[0].retry, Some(Retry { every: Micros::from_millis(500), limit: Micros::from_secs(60) }));
}

#[test]
fn the_script_and_the_heartbeats_keep_their_order() {
    let text = "connect:\n  subprotocols: [a, 'jwt.${env.T | base64url}']\n  headers: {X-A: '1'}\n  query: {t: '${env.T}'}\n  \
                origin: http://web\n  echo: strict\n  max_frame: 2048\n  script:\n  - wait: {when: {event: hi}}\n  \
                - send: {n: '${counter}'}\n  - send_text: 'go ${counter}'\n  \
                - wait: {when: {event: go}, within: 2s, refused: {event: no}}\n\
                heartbeats:\n- {when: {event: ack}}\n- {when: {event: ping}, reply: {event: pong, id: '${nonce}'}}\n";
    let Profile { connect, reads, replies, .. } = profile(&with_required(text));
    assert_eq!(connect.subprotocols.iter().map(filled).collect::<Vec<_>>(), ["a", "jwt.PGVudi5UPg"]);
    let pairs = |pairs: &[(String, Text)]| -> Vec<String> {
        pairs.iter().map(|(name, text)| format!("{name}={}", filled(text))).collect()
    };
    assert_eq!(pairs(&connect.headers), ["X-A=1", "Origin=http://web"]);
    assert_eq!(pairs(&connect.query), ["t=<env.T>"]);
    assert_eq!((connect.echo, connect.max_frame), (Echo::Strict, 2048));
    let [
        ScriptStep::Wait(_),
        ScriptStep::Send(Message::Json(send)),
        ScriptStep::Send(Message::Text(text)),
        ScriptStep::Wait(_),
    ] = &connect.script[..]
    else {
        panic!("{:?}", connect.script)
    };
    assert_eq!(
        (send.render(&named), filled(text)),
        (Ok(json!({ "n": "<counter>" }).to_string()), "go <counter>".into())
    );
    let waits: Vec<_> = reads
        .script
        .iter()
        .map(|step| match step {
            crate::expect::ScriptStep::Wait { refused, within, .. } => Some((refused.len(), *within)),
            crate::expect::ScriptStep::Send => None,
        })
        .collect();
    assert_eq!(waits, [Some((0, Micros::from_secs(5))), None, None, Some((1, Micros::from_secs(2)))]);
    let answered: Vec<bool> = reads.heartbeats.iter().map(|heartbeat| heartbeat.answered).collect();
    assert_eq!((answered, replies.iter().map(Option::is_some).collect()), (vec![false, true], vec![false, true]));
}

#[test]
fn limits_can_be_raised_one_by_one() {
    let limits = profile(&with_required("limits: {users: 200, rate: 90/m}")).limits;
    assert_eq!((limits.users, limits.rate.to_string(), limits.runs), (200, "90/m".to_owned(), 500));
}

#[test]
fn a_path_goes_below_the_base_and_a_url_stands_alone() {
    for (base, url, expected) in [
        ("http://h", "/a", "http://h/a"),
        ("http://h/", "/a", "http://h/a"),
        ("http://h/base/", "a?b=1", "http://h/base/a?b=1"),
        ("http://h", "HTTPS://x/a", "HTTPS://x/a"),
        ("http://h", "/http://x", "http://h/http://x"),
    ] {
        assert_eq!(absolute(base, url), expected);
    }
}

#[test]
fn environments_are_laid_over_by_the_caller_and_checked_here() {
    let text = with_required("limits: {users: 5}\nenvironments: {big: {limits: {users: 9}}}");
    assert_eq!(profile(&text).limits.users, 5);
}

#[test]
fn a_header_stays_on_one_line() {
    check(&[(
        "connect: {headers: {a: \"x\\ny\"}}",
        &["1:24 a header cannot hold line breaks or control characters -> write the value on one line"],
    )]);
}

#[test]
fn the_place_of_a_mistake_is_shown_with_what_it_collides_with() {
    let text = "login:\n- {get: 'http://h/${token}'}\n- {post: 'http://h/login', capture: {token: /token}}";
    let (_, diagnostics, sources) = compiled(with_required(text));
    insta::assert_snapshot!(plain(&diagnostics, &sources), @r"
    mistake: `${token}` has no value here yet
     --> t.yaml:2:19
      |
    2 | - {get: 'http://h/${token}'}
      |                   ^^^^^^^^
    3 | - {post: 'http://h/login', capture: {token: /token}}
      |                                      ----- captured here
      |
      = help: it comes with the answer to `POST http://h/login`
    ");
}

#[test]
fn the_schema_accepts_what_the_decoder_accepts() {
    let schema = schema();
    jsonschema::meta::validate(&schema).expect("a valid schema");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&node(NETRA).to_json()));
    for text in [
        "",
        "nam: x",
        "version: 2",
        "refresh: {}",
        "login: [{post: 'http://h/'}]\nrefresh: {expires: {after: 10m}, before: 5s, socket: keep, steps: [{post: 'http://h/'}]}",
        "refresh: {expires: {jwt: a, iso: b}, steps: [{post: 'http://h/'}]}",
        "refresh: {expires: exp, socket: close, steps: {post: 'http://h/'}}",
        "limits: {users: 0}",
        "login: [{get: 'http://h/', expect: {status: [200, 300-302]}}]",
        "login: [{get: 'http://h/', expect: {status: [abc]}}]",
        "login: [{get: 'http://h/${a:-}', expect: {when: {event: x}}}]",
        "ready: [{get: 'http://h/', capture: {a: /a, b: [/b, ''], c: {secret: /c}}}]",
        "ready: [{get: 'http://h/', capture: {a: a}}]",
        "ready: [{get: 'http://h/', capture: {a: [~]}}]",
        "heartbeats: [{when: {event: [a, b], /a: 1, /b: [x, ~, {matches: y}], /c: {exists: true, not: [1]}, '': {}}}]",
        "heartbeats: [{when: {event: [a, b], /a: 1, /b: [x, ~, {matches: y}], /c: {exists: true, not: [1]}}}]",
        "heartbeats: [{when: {}}]",
        "heartbeats: [{when: {not: {any: [{text: x}, {text: {contains: y}}]}}, reply: [1]}]",
        "heartbeats: [{when: {text: 5}}]",
        "heartbeats: [{when: {text: {exists: true}}}]",
        "heartbeats: [{when: {any: []}}]",
        "heartbeats: [{when: {/a: {equals: []}}}]",
        "heartbeats: [{when: {a: 1}}]",
        "connect: {script: [{wait: {when: {event: a}}, send: 1}]}",
        "connect: {script: [{wait: {when: {event: a}}}, {send: 1}, {send_text: x}], echo: strict, kind: websocket}",
        "events: {name: /a, ends: {good: {event: a}, bad: [{event: b}]}, failed: [], answer: [{when: {event: a}, at: ''}]}",
        "events: {name: {a: {/b: c}}}",
        "events: {decode: sse}",
    ] {
        let text = with_required(text);
        let accepted = compiled(text.as_str()).0.is_some();
        assert_eq!(validator.is_valid(&node(&text).to_json()), accepted, "{text}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_profile_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = compiled(bytes);
    }

    #[test]
    fn any_damage_to_a_profile_is_reported_without_panic(
        damages in proptest::collection::vec((0..NETRA.len(), "([$]\\{|\\}|[\\[\\]{},:/~\"'&*-]|[a-z]{0,3}|\n| |0|é)"), 1..4),
        lines in proptest::collection::vec(0_usize..200, 0..3),
    ) {
        let mut text = NETRA.to_owned();
        for (at, damage) in damages {
            let at = text.floor_char_boundary(at.min(text.len()));
            text.insert_str(at, &damage);
        }
        let kept = text.lines().enumerate().filter(|(at, _)| !lines.contains(at)).map(|(_, line)| format!("{line}\n"));
        let (profile, diagnostics, sources) = compiled(kept.collect::<String>());
        let shown = plain(&diagnostics, &sources);
        prop_assert!(profile.is_some() || !shown.is_empty());
    }
}

#[test]
fn addresses_and_limits_are_checked() {
    check(&[
        (
            "ready: [{get: /x}]",
            &["1:15 there is no `http.base` for this path -> add `http: { base: ... }`, or write the full URL"],
        ),
        (
            "http: {base: 127.0.0.1:8000}",
            &[
                "1:14 the address begins with neither `http://` nor `https://` -> write for example `http://127.0.0.1:8000`",
            ],
        ),
        (
            r#"http: {base: "ws://h"}"#,
            &["1:14 the address begins with neither `http://` nor `https://` -> write for example `http://h`"],
        ),
        (r#"http: {base: "${token}"}"#, &["1:15 `${token}` is not known here -> names here are `env.NAME`"]),
        (
            "http: {base: \"http://h\", headers: {\"a b\": x, Content-Length: \"5\"}}",
            &[
                "1:36 `a b` is not the name of a header -> write letters, digits, `-` and `_`",
                "1:46 the header `Content-Length` is not free -> remove it; it follows from the body",
            ],
        ),
        (
            "limits: {users: 0, rate: 5, duration: 15}",
            &[
                "1:17 expected a whole number from 1 to 1,000,000, found `0`",
                "1:26 expected a rate such as `5/s`, found a number -> write `5/s`",
                "1:39 expected a duration such as `2s`, found a number -> write `15s` for seconds",
            ],
        ),
        (
            "socket: http://h/ws",
            &["1:9 the address begins with neither `ws://` nor `wss://` -> write for example `ws://h/ws`"],
        ),
        (
            r#"socket: "${target.socket}""#,
            &[
                "1:10 `${target.socket}` has no value here -> it has one in `connect.script`, `ask`, `after` and `finally`",
            ],
        ),
        ("version: 2", &["1:10 expected the number 1, found `2`"]),
        (
            "nam: x",
            &[
                "1:1 the key `nam` is not known here -> did you mean `name`? allowed are `version`, `name`, `http`, `socket`, `limits`, `ready`, `login`, `logout`, `refresh`, `prepare`, `connect`, `heartbeats`, `replies`, `ask`, `leave`, `events`, `after`, `finally` and `environments`",
            ],
        ),
        (
            r#"environments: {staging: {socket: "http://h"}, prod: {limits: {users: 0}}}"#,
            &[
                "1:34 the address begins with neither `ws://` nor `wss://` -> write for example `ws://h`",
                "1:70 expected a whole number from 1 to 1,000,000, found `0`",
            ],
        ),
        (
            "environments: {staging: {environments: {a: {}}}}",
            &["1:26 an environment cannot hold further environments -> write them beside each other"],
        ),
        (
            "environments: {staging: 5}",
            &[
                "1:25 expected a map, found a number -> its keys are `version`, `name`, `http`, `socket`, `limits`, `ready`, `login`, `logout`, `refresh`, `prepare`, `connect`, `heartbeats`, `replies`, `ask`, `leave`, `events`, `after`, `finally` and `environments`",
            ],
        ),
        ("name: ' '", &["1:7 the name is empty -> reports show it; name the target"]),
        ("name: 5", &["1:7 expected text, found a number -> put it in quotes: \"5\""]),
    ]);
}

#[test]
fn a_step_is_one_request_with_sound_conditions() {
    check(&[
        (
            "ready: [{expect: {status: 200}}]",
            &["1:9 the step has no method -> write `get`, `post`, `put`, `patch` or `delete` with a path"],
        ),
        (
            r#"ready: [{get: "http://h/a", post: "http://h/b"}]"#,
            &["1:35 `get` and `post` exclude each other -> a step is one request; write two steps"],
        ),
        (
            "ready: [{get: x}]",
            &["1:15 this is neither a path nor a full URL -> write `/x`, or begin with `http://` or `https://`"],
        ),
        (
            r#"ready: [{get: "http://h/x", within: 1s, retry: {for: 1s}}]"#,
            &["1:48 `within` and `retry` exclude each other -> `within` alone tries every 500ms"],
        ),
        (
            r#"login: [{get: "http://h/x", within: 1s}]"#,
            &["1:37 `within` is for steps of `ready` -> write `retry: { every: 200ms, for: 2s }`"],
        ),
        (
            r#"login: [{get: "http://h/x", retry: {every: 0s, for: 1s}, timeout: 0s}]"#,
            &["1:44 `every` is zero -> write a time above zero", "1:67 `timeout` is zero -> write a time above zero"],
        ),
        (
            r#"login: [{get: "http://h/x", retry: {every: 1s}}]"#,
            &["1:29 `login[0].retry.for` is missing -> add `for: ...` here"],
        ),
        (
            r#"login: [{get: "http://h/x", expect: {status: [200, 299-200, 99, abc, 1.5]}}]"#,
            &[
                "1:52 `299-200` is no HTTP status and no range of them -> write for example `200` or `200-299`, from 100 to 599",
                "1:61 `99` is no HTTP status and no range of them -> write for example `200` or `200-299`, from 100 to 599",
                "1:65 `abc` is no HTTP status and no range of them -> write for example `200` or `200-299`, from 100 to 599",
                "1:70 `1.5` is no HTTP status and no range of them -> write for example `200` or `200-299`, from 100 to 599",
            ],
        ),
        (
            r#"login: [{get: "http://h/x", expect: {when: {event: x}}}]"#,
            &[
                "1:45 the answer to a request is no event -> write the place and its value, for example `/status: ready`",
            ],
        ),
        (
            r#"login: [{get: "http://h/x", expect: {when: {}}}]"#,
            &[
                "1:44 the matcher is empty -> it would hold of everything; write a condition such as `{ /status: ready }`",
            ],
        ),
    ]);
}

#[test]
fn captures_are_named_placed_and_used() {
    check(&[
        (
            r#"login: [{get: "http://h/x", capture: {token: token}}]"#,
            &["1:46 `token` is not a JSON Pointer -> write `/token`"],
        ),
        (
            r#"login: [{get: "http://h/x", capture: {prompt: /p, "a b": /q}}]"#,
            &[
                "1:39 `prompt` is the harness's own name -> give the captured value another name",
                "1:51 `a b` is not a name -> names of captured values are letters, digits, `_` and `-`",
            ],
        ),
        (
            r#"login: [{get: "http://h/x", capture: {a: /a}}]"#,
            &["1:39 nothing uses `a` -> remove it, or use it in a text or as `is` of an id"],
        ),
        (
            r#"login: [{get: "http://h/x", capture: {a: /a}}, {get: "http://h/${a}", capture: {a: /b}}]"#,
            &["1:81 `a` is captured twice -> the later value replaces the earlier one; give one of them another name"],
        ),
        (
            r#"login: [{get: "http://h/x", capture: {a: /a}}, {get: "http://h/${a}", capture: {a: {secret: /b}}}]"#,
            &["1:81 `a` is a secret in one place only -> write `{ secret: [...] }` in both"],
        ),
        (
            "login: [{get: \"http://h/x\", capture: {uid: {secret: /a}}}]\nevents: {ids: {user: {at: /u, is: uid}}}",
            &["2:35 `uid` is a secret, and ids stand in reports -> capture the id itself, without `secret`"],
        ),
        (
            "login: [{get: \"http://h/x\", capture: {user_id: /a}}]\nevents: {ids: {user: {at: /u, is: userid}, run: {at: /r, is: user_id, source: learned}}}",
            &[
                "2:35 nothing captures `userid` before the run -> did you mean `user_id`? it must be captured before or with the ask",
                "2:79 `is` and `source` exclude each other -> a captured value needs no `source`",
            ],
        ),
    ]);
}

#[test]
fn names_have_a_value_where_they_are_used() {
    check(&[
        (
            r#"login: [{get: "http://h/${tokn}", capture: {token: /a}}, {get: "http://h/${token}"}, {get: "http://h/${tokn}"}]"#,
            &[
                "1:25 `${tokn}` is not known here -> names here are `env.NAME`, `target.http`, `user.index`, `user.number`, `user.email`, `user.password`, `user.COLUMN`, `uuid`, `nonce`, `now.ms` and `now.iso`",
                "1:102 `${tokn}` is not known here -> did you mean `${token}`? names here are `env.NAME`, `target.http`, `user.index`, `user.number`, `user.email`, `user.password`, `user.COLUMN`, `uuid`, `nonce`, `now.ms`, `now.iso` and `token`",
            ],
        ),
        (
            r#"login: [{get: "http://h/${token}", capture: {token: /a}}]"#,
            &["1:25 `${token}` has no value here yet -> it comes with the answer to `GET http://h/${token}`"],
        ),
        (
            r#"login: [{get: "http://h/${prompt}"}]"#,
            &["1:25 `${prompt}` has no value here -> it has one in `ask`, `after` and `finally`"],
        ),
        (
            r#"ready: [{get: "http://h/${user.email}"}]"#,
            &[
                "1:25 `${user.email}` has no value here -> it has one in `http.headers`, `login`, `prepare`, `connect`, `connect.script`, `ask`, `after`, `finally` and `refresh.steps`",
            ],
        ),
        (
            r#"login: [{get: "http://h/${user.emial}"}]"#,
            &["1:25 `${user.emial}` is taken for a column of the scenario's users -> did you mean `${user.email}`?"],
        ),
        (
            r#"heartbeats: [{when: {event: ping}, reply: {t: "${now.us}"}}]"#,
            &[
                "1:48 `${now.us}` is not known here -> did you mean `${now.ms}`? names here are `env.NAME`, `target.http`, `target.socket`, `user.index`, `user.number`, `user.email`, `user.password`, `user.COLUMN`, `uuid`, `nonce`, `now.ms`, `now.iso` and `counter`",
            ],
        ),
    ]);
}

#[test]
fn the_connection_is_what_a_client_may_offer() {
    check(&[
        (
            r#"connect: {subprotocols: ["a,b"], headers: {Sec-WebSocket-Protocol: x}}"#,
            &[
                "1:26 this is not a subprotocol -> write a name without spaces, commas and quotes; several as a list",
                "1:44 the header `Sec-WebSocket-Protocol` is not free -> write the list under `connect.subprotocols`",
            ],
        ),
        ("connect: {max_frame: 1000}", &["1:22 expected a whole number from 1,024 to 67,108,864, found `1000`"]),
        ("connect: {echo: none}", &["1:17 `none` is not known here -> allowed are `strict` and `lenient`"]),
        (
            "connect: {script: [{wait: {when: {type: hello}, within: 0s}}]}",
            &[
                "1:35 the key `type` is not known here -> write `/type` for a place; the other keys of a matcher are `event`, `text`, `prefix`, `not` and `any`",
            ],
        ),
        (
            r#"connect: {script: [{sned: {a: b}}, {send: {a: "${run_id}"}}]}"#,
            &[
                "1:21 the key `sned` is not known here -> did you mean `send`? allowed are `wait`, `send` and `send_text`",
            ],
        ),
    ]);
}

#[test]
fn matchers_say_what_is_wrong_with_them() {
    check(&[
        (
            "heartbeats: [{when: {event: {matches: x}}}]",
            &[
                "1:29 expected the name of an event or a list of names, found a map -> to test a name otherwise, test its place, for example `/type: { matches: '^agent_' }`",
            ],
        ),
        (
            "heartbeats: [{when: {event: []}}]",
            &["1:29 the list is empty -> write at least one value, or remove the key"],
        ),
        (r#"heartbeats: [{when: {/a: {matches: "a("}}}]"#, &["1:36 `a(` is not a regular expression: unclosed group"]),
        (
            "heartbeats: [{when: {/a: {matchs: a}, /b: {}, /c: [], /d: [[1]], /e: {equals: {}}}}]",
            &[
                "1:27 the key `matchs` is not known here -> did you mean `matches`? allowed are `equals`, `matches`, `contains`, `exists` and `not`",
                "1:43 the test is empty -> write a value, or one of `equals`, `matches`, `contains`, `exists` or `not`",
                "1:51 the list is empty -> write at least one value, or remove the key",
                "1:60 expected a value or a map of operators, found a list",
                "1:79 expected text, a number, true, false or null, found a map -> lists and maps are compared by the places in them",
            ],
        ),
        (
            r#"heartbeats: [{when: {/a: "${token}"}}]"#,
            &[
                "1:27 `${token}` is not known here -> names here are `env.NAME`, `user.index`, `user.number`, `user.email`, `user.password`, `user.COLUMN`, `thread_id`, `run_id`, `prompt` and `canary`",
            ],
        ),
        (
            r#"heartbeats: [{when: {/a: {matches: "${user.email}"}, /b: ["${now.ms}"]}}]"#,
            &[
                "1:37 a value that differs from user to user cannot stand here -> write the value itself, or `$${` for the two characters",
            ],
        ),
        (
            "heartbeats: [{when: {/a~2: 1, prefix: x, text: 5, any: [], not: [a]}}]",
            &[
                "1:22 `/a~2` is not a JSON Pointer -> inside a name, `~` is written `~0` and `/` is written `~1`",
                "1:48 expected text, found a number -> put it in quotes: \"5\"",
                "1:56 the list is empty -> write at least one value, or remove the key",
                "1:65 expected a matcher, found a list -> write a map of conditions such as `{ event: ping }`",
            ],
        ),
        (
            "heartbeats: [{when: {/a: , text: {exists: true}}}]",
            &[
                "1:22 expected a value, found nothing -> write a value, `null`, or `{ exists: true }`",
                "1:35 the key `exists` is not known here -> allowed are `equals`, `matches`, `contains` and `not`",
            ],
        ),
        (r#"heartbeats: [{when: {"/${b}": 1}}]"#, &["1:22 a pointer cannot hold `${...}` -> write the place itself"]),
    ]);
}

#[test]
fn rules_that_give_names_look_at_places_alone() {
    check(&[
        (
            "events: {name: {call: [{/type: message, event: call}, {/a: '${user.email}'}], '': {/b: 1}, none: []}}",
            &[
                "1:41 an event has no name before a rule gives it one -> write the place of its name and the value there, for example `/type: message`",
                "1:61 a value that differs from user to user cannot stand here -> write the value itself, or `$${` for the two characters",
                "1:98 the list is empty -> write at least one value, or remove the key",
            ],
        ),
        (
            "events: {name: [/type, {call: {/b: 1}}]}",
            &["1:25 a place stands before this rule -> write rules first; they are tried before places"],
        ),
        ("events: {name: {'': {/b: 1}}}", &["1:17 the name is empty -> name the event"]),
        ("events: {name: 7}", &["1:16 expected a JSON Pointer, a map of rules, or a list of them, found a number"]),
        (
            "events: {name: {a: {prefix: x}}}",
            &["1:21 no frame has a prefix -> add `sse` or `prefixed` to `events.decode`"],
        ),
    ]);
}

#[test]
fn an_ask_is_one_message_or_one_request() {
    check(&[
        (
            "ask: {}",
            &[
                "1:6 the ask says neither what to send nor where -> write `send: ...`, `send_text: ...`, or a method such as `post: /runs`",
            ],
        ),
        (
            "ask: {send: '${prompt}', send_text: '${prompt}'}",
            &["1:37 `send` and `send_text` exclude each other -> a question is one message"],
        ),
        (
            "ask: {send_text: hello}",
            &["1:18 the ask does not send `${prompt}` -> put it where the target reads the user's text"],
        ),
        (
            "ask: {post: 'http://h/'}",
            &["1:6 the ask does not send `${prompt}` -> put it where the target reads the user's text"],
        ),
        (
            "ask: {post: 'http://h/', json: '${prompt}', retry: {for: 1s}, within: 1s}",
            &[
                "1:52 an ask is never repeated -> remove `retry`: a question that fails is evidence",
                "1:71 `within` is for steps of `ready` -> write `retry: { every: 200ms, for: 2s }`",
            ],
        ),
        (
            "login: [{get: 'http://h/', refused: {event: x}}]",
            &["1:37 `refused` is for the step under `ask` -> say with `expect` when this step succeeded"],
        ),
        (
            "ask: {send: '${prompt}', accepted: {event: x}, refuse: {event: y}}",
            &[
                "1:48 the key `refuse` is not known here -> did you mean `refused`? allowed are `send`, `send_text`, `accepted` and `refused`",
            ],
        ),
    ]);
}

#[test]
fn what_is_taken_from_frames_is_used_where_it_is_known() {
    check(&[
        (
            "connect: {script: [{send: '${room}'}, {wait: {when: {event: a}, capture: {room: /r}}}]}",
            &[
                "1:28 `${room}` has no value here yet -> it comes with a frame that the script waits for; before that it needs a default: `${room:-}`",
            ],
        ),
        (
            "connect: {script: [{wait: {when: {event: a}, capture: {room: /r}}}]}\nheartbeats: [{when: {event: b}, reply: '${room}'}]",
            &[
                "2:41 `${room}` has no value here yet -> it comes with a frame that the script waits for; before that it needs a default: `${room:-}`",
            ],
        ),
        (
            "connect: {script: [{wait: {when: {event: a}, capture: {room: /r}}}]}\nheartbeats: [{when: {event: b}, reply: '${room:-}'}]",
            &[],
        ),
        (
            "connect: {script: [{wait: {when: {event: a}, capture: {room: /r}}}]}\nreplies: [{when: {event: b}, reply: '${room}'}]",
            &[],
        ),
        (
            "heartbeats: [{when: {event: a}, reply: '${call}', capture: {call: /c, more: /m}}, {when: {event: b}, reply: '${call}'}]",
            &[
                "1:71 the answer does not use `more` -> remove it, or use it in the answer",
                "1:110 `${call}` is not known here -> names here are `env.NAME`, `target.http`, `target.socket`, `user.index`, `user.number`, `user.email`, `user.password`, `user.COLUMN`, `uuid`, `nonce`, `now.ms`, `now.iso` and `counter`",
            ],
        ),
        (
            "replies: [{when: {event: a}}, {when: {event: b}, reply: 1, reply_text: x}]",
            &[
                "1:11 this reply says nothing -> write `reply` or `reply_text`; what is not answered needs no rule here",
                "1:72 `reply` and `reply_text` exclude each other -> a frame has one answer",
            ],
        ),
        (
            "connect: {script: [{wait: {when: {event: a}, capture: {'a b': /r, token: {header: x}}}}]}",
            &["1:75 the key `header` is not known here -> only `secret` is allowed here"],
        ),
        (
            "ask: {post: 'http://h/${run}', json: '${prompt}', capture: {run: /id}}",
            &[
                "1:23 `${run}` has no value here yet -> it comes with the answer to `POST http://h/${run}`; before that it needs a default: `${run:-}`",
            ],
        ),
        (
            "events: {ids: {user: {at: /u, is: user.password}}}",
            &["1:35 `user.password` is a secret, and ids stand in reports -> write the column that holds the id"],
        ),
    ]);
}

#[test]
fn what_an_ask_captures_has_a_value_in_the_next() {
    let text = "ask: {post: 'http://h/', json: {q: '${prompt}', on: '${room:-}'}, capture: {room: /room, run: /run}}\n\
                events: {ids: {run: {at: /r, is: run}, user: {at: /u, is: user.id}}, failed: [{/who: {not: 'of ${user.email}'}}]}";
    let text = with_required(text).replace("\nask: {send: {q: '${prompt}'}}\n", "\n");
    let Profile { ask: Ask::Step(ask), reads, own, columns, .. } = profile(&text) else { panic!("a request") };
    assert!(reads.asking.by_request);
    let needed: Vec<_> = ask.captures.iter().map(|capture| (&*capture.name, capture.needed)).collect();
    assert_eq!(needed, [("room", false), ("run", true)]);
    assert_eq!(own.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["user.id", "of ${user.email}"]);
    assert_eq!(columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["id"]);
}

#[test]
fn events_name_places_that_can_be_read() {
    check(&[
        (
            "events: {ids: {user: {at: /u, is: user_id}}}",
            &[
                "1:35 nothing captures `user_id` before the run -> capture it in `login`, `prepare`, a `wait` or `ask`, or write `user.COLUMN`",
            ],
        ),
        (
            "events: {ids: {run: {at: /r, source: chosen}}}",
            &["1:38 nothing sends `${run_id}` -> send it in `ask`, or remove this line"],
        ),
        (
            "events: {ids: {user: {at: /u, source: chosen}}}",
            &["1:39 the harness chooses only the ids of `thread` and `run` -> write `is` with a captured name"],
        ),
        (
            "events: {ends: {good: {}, bad: []}}",
            &[
                "1:23 the matcher is empty -> it would hold of everything; write a condition such as `{ event: ping }`",
                "1:32 the list is empty -> write at least one value, or remove the key",
            ],
        ),
        ("events: {answer: [{at: /a}]}", &["1:19 `events.answer[0].when` is missing -> add `when: ...` here"]),
        (
            "ask: {send: {q: hi}}",
            &["1:13 the ask does not send `${prompt}` -> put it where the target reads the user's text"],
        ),
        ("events: {fields: {tool: []}}", &["1:25 the list is empty -> write at least one value, or remove the key"]),
    ]);
}

#[test]
fn what_this_build_cannot_do_is_refused_with_a_remedy() {
    check(&[
        (
            r#"login: [{get: "http://h/x", capture: {id: {secret: [$.data.token]}, token: {secret: [/data/token], expires: jwt}}}]"#,
            &[
                "1:53 `$.data.token` is not a JSON Pointer -> write `/data/token`",
                "1:100 the key `expires` is not known here -> allowed are `secret`, `header`, `cookie` and `matches`",
            ],
        ),
        ("connect: {kind: sse}", &["1:17 `connect.kind: sse` is not part of this build yet -> use `websocket`"]),
        (
            "events: {decode: [json, sse], split: /events}",
            &["1:38 expected a map, found text -> its keys are `at` and `by`"],
        ),
        (
            "events: {name: type, fields: {agent: data.agent, text: /t}}",
            &[
                "1:16 `type` is not a JSON Pointer -> write `/type`",
                "1:38 `data.agent` is not a JSON Pointer -> write `/data/agent`",
                "1:50 `events.fields.text` is not part of this build yet -> remove it; the answer's places stand under `events.answer`",
            ],
        ),
        (
            "let: {a: b}",
            &["1:1 `let` is not part of this build yet -> use `${uuid}`, `${nonce}` or `${counter}` in their place"],
        ),
        (
            "redact: [/a]",
            &["1:1 `redact` is not part of this build yet -> remove it; what steps capture as `secret` is kept out"],
        ),
        ("probes: []", &["1:1 `probes` is not part of this build yet -> remove it"]),
        (
            "leave: [{send: 1}, {wait: {when: {event: a}}}]",
            &["1:21 the key `wait` is not known here -> allowed are `send` and `send_text`"],
        ),
        (
            "login: [{post: 'http://h/x', body: a, form: {a: b}}]",
            &["1:36 `form` and `body` exclude each other -> a request has one body"],
        ),
        (
            r#"connect: {compression: true, origin: "${nope}", query: {t: "${nope}"}}"#,
            &["1:11 `connect.compression` is not part of this build yet -> remove it"],
        ),
    ]);
}
