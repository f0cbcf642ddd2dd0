//! Steps of a profile against the hand-written site: forms, queries, cookies, redirects, headers, and what they capture.

use std::fs;

use crate::support::process::{Ended, Place};
use crate::support::report::Report;
use crate::support::site::{Served, Site, TOKEN, Talk, Upgrade, user_of};

/// A login as browsers do it: a form with the cookie's mark in it, a redirect, a session in a cookie.
const PROFILE: &str = r#"
version: 1
name: by cookie
http: { base: "http://127.0.0.1:1", headers: { X-Xsrf: "${xsrf}" } }
socket: "ws://127.0.0.1:1/ws"
login:
  - get: /login
    query: { next: "/chat?a=b&c", who: "${user.number}" }
    capture: { xsrf: { cookie: _xsrf } }
  - post: /login
    form: { email: "${user.email}", password: "${user.password}", _xsrf: "${xsrf}" }
    redirects: follow
    expect: { status: [200, 204], headers: { X-Trace: { matches: '^[0-9]+$' } }, when: { /signed_in: true } }
    capture:
      session: { secret: { cookie: session } }
      me: /user
      user_id: /user/id
      trace: { header: X-Trace }
prepare:
  - { post: /rooms, json: { owner: "${me}", trace: "${trace}" }, headers: { X-Session: "${session}" } }
connect:
  headers: { X-Xsrf: "${xsrf}" }
  script: [{ wait: { when: { event: connection_established } } }]
ask:
  send: { type: start_agent, payload: { user_request: "${prompt}", thread_id: "${thread_id}", run_id: "${run_id}" } }
"#;

const SCENARIO: &str = r#"
version: 1
name: steps
target: by-cookie.yaml
users: { count: 2, email: "qa${user.number}@example.com", password: { env: PASSWORD, on_loopback: golden-path } }
ask: { prompt: "Which services drive our cloud bill? (ref ${canary})" }
expect: { isolation: { required: false } } # runs of a site are so short that they need not overlap
timeouts: { quiet: 50ms }
"#;

/// The mark of the form, with what is easily lost on the way.
const XSRF: &str = "2|a+b|c/d==";

/// A site that lets in who brings the right form and the right cookies.
fn by_cookie() -> Site {
    with_rooms(|_| "{}".to_owned())
}

/// The same, whose rooms are answered with what `rooms` makes of the request's body.
fn with_rooms(rooms: impl Fn(&str) -> String + Send + Sync + 'static) -> Site {
    Site::new().upgrade(Upgrade::AcceptNoSubprotocol).answers(move |head, body| {
        let xsrf = format!("_xsrf={XSRF}");
        let json = |body: String| Some((200, "X-Trace: 4711\r\n".to_owned(), body));
        let brings = |line: &str| head.lines().any(|known| known.eq_ignore_ascii_case(line));
        let path = head.split([' ', '?']).nth(1).unwrap_or_default();
        Some(match (head.split(' ').next()?, path) {
            ("GET", "/login") => (200, format!("Set-Cookie: {xsrf}; Path=/; SameSite=Lax\r\n"), "<form>".to_owned()),
            ("POST", "/login") => {
                let fields: Vec<_> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
                let [(_, email), (_, password), (_, mark)] = &fields[..] else { return Some(refused("a form")) };
                let form = brings("content-type: application/x-www-form-urlencoded");
                let marked = mark == XSRF && brings(&format!("cookie: {xsrf}")) && brings(&format!("x-xsrf: {XSRF}"));
                if !form || !marked || password != "golden-path" {
                    return Some(refused("the form"));
                }
                let session = format!("Set-Cookie: session=\"2|{TOKEN}{email}\"; HttpOnly; Path=/\r\n");
                (302, format!("{session}Location: /start/./in?as={email}\r\n"), String::new())
            }
            ("GET", "/start/in") => {
                let email = head.split(['=', ' ']).nth(2).unwrap_or_default();
                if !brings(&format!("cookie: _xsrf={XSRF}; session=\"2|{TOKEN}{email}\"")) {
                    return Some(refused("cookies"));
                }
                return json(format!(r#"{{"signed_in": true, "user": {{"id": "{}", "n": 7}}}}"#, user_of(email)));
            }
            ("POST", "/rooms") => (200, String::new(), rooms(body)),
            _ => return None,
        })
    })
}

fn refused(what: &str) -> (u16, String, String) {
    (403, String::new(), format!(r#"{{"wrong": "{what}"}}"#))
}

fn run(site: &Served, profile: &str) -> (Place, Ended) {
    let place = Place::new();
    place.write("by-cookie.yaml", profile);
    place.write("steps.yaml", SCENARIO);
    let ended = place.run(&["run", "steps.yaml", "--url", &site.url(), "-q", "--out", "out"]);
    (place, ended)
}

#[test]
fn a_login_by_form_cookie_and_redirect_leads_to_the_socket() {
    let site = by_cookie().serve();
    let (place, ended) = run(&site, PROFILE);
    ended.exits(0);
    assert_eq!(Report::in_folder(&place.path().join("out")).failures(), []);
    let requests = site.requests();
    let of = |start: &str| -> Vec<&String> { requests.iter().filter(|request| request.starts_with(start)).collect() };
    let forms = of("GET /login?next=%2Fchat%3Fa%3Db%26c&who=1 ");
    assert_eq!(forms.len(), 1, "{requests:#?}");
    assert!(!forms[0].to_lowercase().contains("\r\ncookie:"), "a new session brings none: {}", forms[0]);
    // Types are kept, whole objects too, and text stays text.
    let rooms = of("POST /rooms ");
    let owner = format!(r#"{{"owner":{{"id":"{}","n":7}},"trace":"4711"}}"#, user_of("qa1@example.com"));
    assert!(rooms.iter().any(|room| room.ends_with(&owner)), "{rooms:#?}");
    let session = format!("session=\"2|{TOKEN}qa1@example.com\"");
    assert!(
        rooms
            .iter()
            .any(|room| room.to_lowercase().contains(&format!("x-{}", session.replace('=', ": ")).to_lowercase()))
    );
    let upgrades = of("GET /ws ");
    assert_eq!(upgrades.len(), 2);
    let cookies = format!("Cookie: _xsrf={XSRF}; {session}\r\n");
    assert!(upgrades.iter().any(|upgrade| upgrade.contains(&cookies)), "{upgrades:#?}");
}

#[test]
fn an_answer_that_names_another_user_and_not_its_own_is_a_leak_unless_it_is_meant_for_everybody() {
    let [one, two] = ["qa1@example.com", "qa2@example.com"].map(user_of);
    let crossed = move |body: &str| {
        let whose = if body.contains(&one) { &two } else { &one };
        format!(r#"{{"owner": "{whose}"}}"#)
    };
    let shown = |site: Site, profile: &str| {
        let (place, ended) = run(&site.serve(), profile);
        ended.exits(0);
        Report::in_folder(&place.path().join("out"))
    };
    let report = shown(with_rooms(crossed.clone()), PROFILE);
    assert_eq!(report.failures(), [("GP202", 2)]);
    let told = report.witness("GP202");
    assert!(told.contains("came to this user in 1 frame; content only"), "{told}");
    let public = PROFILE.replace("- { post: /rooms,", "- { public: true, post: /rooms,");
    assert_eq!(shown(with_rooms(crossed), &public).failures(), []);
    // Emails tell users apart as ids do, and a list names its reader as well.
    let by_email = |body: &str| {
        let whose = if body.contains(&user_of("qa1@example.com")) { 2 } else { 1 };
        format!(r#"{{"owner": "qa{whose}@example.com"}}"#)
    };
    assert_eq!(shown(with_rooms(by_email), PROFILE).failures(), [("GP202", 2)]);
    let list = |_: &str| r#"["qa1@example.com", "qa2@example.com", "qa3@example.com"]"#.to_owned();
    assert_eq!(shown(with_rooms(list), PROFILE).failures(), []);
}

#[test]
fn a_part_of_a_text_is_captured_by_a_pattern() {
    let page = r#"<form><input name="mark" value="m-4711"><input name="mark" value="m-4712"></form>"#;
    let site = Site::new().upgrade(Upgrade::AcceptNoSubprotocol).answers(move |head, body| {
        let lines = "Set-Cookie: sid=s-1.part-of-it; Path=/\r\nX-Next: /in?code=c-99&state=1\r\n".to_owned();
        match head.split(' ').nth(1)? {
            "/form" => Some((200, lines, page.to_owned())),
            "/rooms" => Some((200, String::new(), body.to_owned())),
            _ => None,
        }
    });
    let profile = r#"
version: 1
name: by parts
http: { base: "http://127.0.0.1:1" }
socket: "ws://127.0.0.1:1/ws"
login:
  - post: /auth/login
    json: { email: "${user.email}", password: "${user.password}" }
    capture: { token: { secret: /access_token } }
prepare:
  - get: /form
    capture:
      mark: { matches: 'name="mark" value="([^"]*)"' }
      code: { matches: { header: X-Next, pattern: 'code=([^&]*)&state=(?<state>[0-9])' } }
      part: { secret: { matches: { cookie: sid, pattern: '[^.]+$' } } }
      none: { matches: 'nothing like this' }
  - { post: /rooms, json: { mark: "${mark}", code: "${code}", part: "${part}", none: "${none:-no}" } }
connect:
  subprotocols: [jwt-auth, "jwt.${token | base64url}"]
  script: [{ wait: { when: { event: connection_established } } }]
ask:
  send: { type: start_agent, payload: { user_request: "${prompt}", thread_id: "${thread_id}", run_id: "${run_id}" } }
"#;
    let site = site.serve();
    let (place, ended) = run(&site, profile);
    ended.exits(0);
    let requests = site.requests();
    let rooms = requests.iter().find(|request| request.starts_with("POST /rooms")).expect("a room");
    assert!(
        rooms.ends_with(r#"{"mark":"m-4711","code":"1","part":"part-of-it","none":"no"}"#),
        "the first group, a group with a name, the whole match, and none: {rooms}"
    );
    let report = fs::read_to_string(place.path().join("out/report.json")).expect("a report");
    assert!(!report.contains("part-of-it"), "a secret of a part is one as well");
    // What is needed must be there.
    let (place, ended) = run(&site, &profile.replace("${none:-no}", "${none}"));
    ended.exits(3);
    let report = Report::in_folder(&place.path().join("out"));
    let told = report.finding("GP404").to_string();
    assert!(told.contains("nothing in the body matches the pattern of none"), "{told}");
}

#[test]
fn json_from_files_goes_out_with_what_is_put_into_it() {
    let site = Site::new().upgrade(Upgrade::AcceptNoSubprotocol).answers(move |head, _| {
        (head.starts_with("POST /rooms") || head.starts_with("PATCH /rooms/1 "))
            .then(|| (200, String::new(), "{}".to_owned()))
    });
    let site = site.serve();
    let profile = r#"
version: 1
name: by files
http: { base: "http://127.0.0.1:1" }
socket: "ws://127.0.0.1:1/ws"
login:
  - post: /auth/login
    json: { email: "${user.email}", password: "${user.password}" }
    capture: { token: { secret: /access_token }, user_id: /user/id }
prepare:
  - { patch: /rooms/1, json: {} }
  - post: /rooms
    json:
      room: { file: json/room.json, set: { /owner/id: "${user_id}", /tags/-: { new: 1 }, /tags/0: "x~y", /a~1b: null } }
      as: { file: json/room.json, set: { "": whole } }
connect:
  subprotocols: [jwt-auth, "jwt.${token | base64url}"]
  script: [{ wait: { when: { event: connection_established } } }]
ask: { send: { file: json/ask.json } }
"#;
    let place = Place::new();
    fs::create_dir(place.path().join("json")).expect("a folder");
    place.write("json/room.json", r#"{"owner": {"email": "${user.email}"}, "tags": ["old"]}"#);
    let payload = r#"{"user_request": "${prompt}", "thread_id": "${thread_id}", "run_id": "${run_id}"}"#;
    place.write("json/ask.json", &format!(r#"{{"type": "start_agent", "payload": {payload}}}"#));
    place.write("by-cookie.yaml", profile);
    place.write("steps.yaml", SCENARIO);
    place.run(&["run", "steps.yaml", "--url", &site.url(), "-q", "--out", "out", "--record", "all"]).exits(0);
    let requests = site.requests();
    let mut rooms: Vec<&str> = requests
        .iter()
        .filter(|request| request.starts_with("POST /rooms"))
        .map(|request| request.lines().last().unwrap_or_default())
        .collect();
    rooms.sort_unstable();
    let owner = r#"{"email":"qa1@example.com","id":"user-4f1c-qa1"}"#;
    let room = format!(r#"{{"room":{{"owner":{owner},"tags":["x~y",{{"new":1}}],"a/b":null}},"as":"whole"}}"#);
    assert_eq!(rooms[0], room);
    // A recording holds what the files held.
    fs::remove_dir_all(place.path().join("json")).expect("the folder");
    place.run(&["judge", "out/recording.gpr"]).exits(0);
}

#[test]
fn what_runs_cost_is_told_before_and_after() {
    let site = by_cookie().serve();
    let place = Place::new();
    let limits = "\nlimits: { cost_per_run: 0.05 USD, cost: 0.1 USD }\n";
    place.write("by-cookie.yaml", &format!("{PROFILE}{limits}"));
    place.write("steps.yaml", SCENARIO);
    let ended = place.run(&["run", "steps.yaml", "--url", &site.url(), "--dry-run"]).exits(0);
    assert!(ended.stdout.contains("cost       2 runs at 0.05 USD: 0.10 USD; at most 0.10 USD\n"), "{}", ended.stdout);
    place.run(&["run", "steps.yaml", "--url", &site.url(), "-q", "--out", "out"]).exits(0);
    let report = fs::read_to_string(place.path().join("out/report.json")).expect("a report");
    assert!(report.contains("2 runs at 0.05 USD cost 0.10 USD"), "{report}");
    let before = site.connections();
    let ended = place.run(&["run", "steps.yaml", "--url", &site.url(), "--users", "3"]).exits(2);
    assert!(ended.stderr.contains("3 runs cost 0.15 USD, and one execution may cost 0.10 USD"), "{}", ended.stderr);
    assert_eq!(site.connections(), before, "nothing was sent");
}

#[test]
fn a_captured_cookie_is_a_secret_in_what_is_kept() {
    let leaks = |talk: &mut Talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        let thought = format!("the session is \"2|{TOKEN}{}\"", talk.email);
        talk.event("agent_started", &ask, serde_json::json!({ "thought": thought }))?;
        talk.json(&serde_json::json!({ "type": "agent_error", "run_id": ask.run, "error": thought }))
    };
    let (place, ended) = run(&by_cookie().talking(leaks).serve(), PROFILE);
    ended.exits(1);
    let shown = place.run(&["report", "out", "--format", "json"]);
    assert!(shown.stdout.contains("«secret:session:"), "{}", shown.stdout);
    let report = fs::read_to_string(place.path().join("out/report.json")).unwrap();
    assert!(!report.contains(TOKEN), "{report}");
}

#[test]
fn what_a_step_expects_of_an_answer_is_held_against_it() {
    let cases = [
        ("redirects: follow", "redirects: stop", "HTTP 302"),
        ("matches: '^[0-9]+$'", "matches: '^[a-f]+$'", "the header x-trace is not the expected one"),
        ("X-Trace: { matches: '^[0-9]+$' }", "X-Other: a", "the answer has no header x-other"),
        (
            "trace: { header: X-Trace }",
            "trace: { header: X-Other }",
            "the answer has no header x-other, which holds trace",
        ),
        ("xsrf: { cookie: _xsrf }", "xsrf: { cookie: csrf }", "the user has no cookie csrf, which holds xsrf"),
        ("form: {", "json: {", "the status is not the expected one"),
        ("status: [200, 204]", "status: [201, 204]", "the status is not the expected one"),
    ];
    for (right, wrong, expected) in cases {
        assert!(PROFILE.contains(right), "{right}");
        let (place, ended) = run(&by_cookie().serve(), &PROFILE.replace(right, wrong));
        ended.exits(3);
        let report = Report::in_folder(&place.path().join("out"));
        assert!(report.witness("GP403").contains(expected), "{wrong}: {}", report.witness("GP403"));
    }
}

#[test]
fn a_redirect_leaves_headers_and_bodies_of_the_profile_at_home() {
    for (status, followed) in [(303, true), (307, false)] {
        let elsewhere = Site::new().serve();
        let away = elsewhere.url();
        let home = Site::new().answers(move |head, _| {
            let start = (200, format!("Set-Cookie: _xsrf={XSRF}; Path=/login\r\n"), String::new());
            Some(match head.split(' ').next()? {
                "GET" => start,
                _ => (status, format!("Location: {away}/start/in\r\n"), String::new()),
            })
        });
        let (_, ended) = run(&home.serve(), PROFILE);
        ended.exits(3);
        let requests = elsewhere.requests();
        let asked: Vec<&String> = requests.iter().filter(|request| request.contains(" /start/in")).collect();
        assert_eq!(!asked.is_empty(), followed, "{status}: {requests:?}");
        for asked in asked {
            let lower = asked.to_lowercase();
            // Only 307 and 308 would keep the body, and they are not gone after.
            assert!(lower.starts_with("get ") && !lower.contains("golden-path"), "{asked}");
            assert!(!lower.contains("x-xsrf") && !lower.contains("cookie:"), "{asked}");
            assert!(lower.contains("user-agent: goldenpath/"), "{asked}");
        }
    }
}

#[test]
fn a_redirect_in_a_circle_is_left() {
    let circle = Site::new().answers(|head, _| {
        let path = head.split([' ', '?']).nth(1).unwrap_or_default();
        (path == "/login").then(|| match head.starts_with("POST") {
            false => (200, format!("Set-Cookie: _xsrf={XSRF}\r\n"), String::new()),
            true => (308, "Location: /login\r\n".to_owned(), String::new()),
        })
    });
    let site = circle.serve();
    let (place, ended) = run(&site, PROFILE);
    ended.exits(3);
    let report = Report::in_folder(&place.path().join("out"));
    assert!(report.witness("GP403").contains("redirected more than 20 times"), "{}", report.witness("GP403"));
    let posts = site.requests().iter().filter(|request| request.starts_with("POST /login")).count();
    assert_eq!(posts, 2 * 21, "each user asks once and goes on twenty times");
}

/// Nobody logs in: users come with their tokens.
const READY_MADE: &str = r#"
version: 1
name: ready-made
http: { base: "http://127.0.0.1:1" }
socket: "ws://127.0.0.1:1/ws"
connect:
  subprotocols: [jwt-auth, "jwt.${user.token | base64url}"]
  query: { team: "${user.team}" }
  script: [{ wait: { when: { event: connection_established } } }]
ask:
  send: { type: start_agent, payload: { user_request: "${prompt}", thread_id: "${thread_id}", run_id: "${run_id}" } }
"#;

#[test]
fn users_of_a_file_bring_their_own_tokens_and_columns() {
    let site = Site::new().talking(|talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        talk.work(&ask)?;
        let name = talk.email.split('@').next().unwrap_or_default().to_owned();
        let leak = format!("your token is {TOKEN}{}, your pin pin-of-{name}-4711", talk.email);
        talk.event("agent_error", &ask, serde_json::json!({ "error": leak }))
    });
    let site = site.serve();
    let place = Place::new();
    place.write("by-cookie.yaml", READY_MADE);
    let row = |name: &str, team: u32| {
        format!("{{\"token\": \"{TOKEN}{name}@x\", \"team\": {team}, \"pin\": \"pin-of-{name}-4711\"}}\n")
    };
    place.write("users.jsonl", &[row("ann", 1), row("bob", 2), row("cid", 3)].concat());
    let written = SCENARIO.lines().find(|line| line.starts_with("users:")).expect("users");
    place.write(
        "steps.yaml",
        &SCENARIO.replace(written, "users: { count: 2, first: 2, file: users.jsonl, secret: [pin] }"),
    );
    place.run(&["run", "steps.yaml", "--url", &site.url(), "-q", "--out", "out"]).exits(1);
    let requests = site.requests();
    let mut asked: Vec<_> = requests.iter().filter_map(|request| request.lines().next()).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["GET /ws?team=2 HTTP/1.1", "GET /ws?team=3 HTTP/1.1"], "user 2 is the second row");
    let report = fs::read_to_string(place.path().join("out/report.json")).unwrap();
    assert!(report.contains("«secret:token:2»") && !report.contains(TOKEN), "{report}");
    assert!(report.contains("«secret:pin:2»") && !report.contains("pin-of-"), "{report}");
}

#[test]
fn users_of_a_file_log_in_with_their_own_emails() {
    let place = Place::new();
    let written = SCENARIO.lines().find(|line| line.starts_with("users:")).expect("users");
    let scenario = SCENARIO.replace(written, "users: { count: 2, file: users.csv }");
    place.write("steps.yaml", &scenario.replace("by-cookie.yaml", "embedded"));
    place.write("users.csv", "password,email\ngolden-path,ann@example.com\ngolden-path,\"bob@example.com\"\n");
    place.run(&["run", "steps.yaml", "-q", "--out", "out"]).exits(0);
    let report = Report::in_folder(&place.path().join("out"));
    assert_eq!((report.failures(), report.count("runs_good")), (vec![], 2));
    let refused = place.run(&["run", "steps.yaml", "--users", "3", "-q", "--out", "more"]).exits(2);
    assert!(refused.stderr.contains("3 users are asked for, and the file has 2"), "{}", refused.stderr);
}

/// Every kind of body, a good-bye, and a cookie that only the handshake sets.
const BODIES: &str = r#"
version: 1
name: bodies
http: { base: "http://127.0.0.1:1" }
socket: "ws://127.0.0.1:1/ws"
prepare:
  - { put: /note, body: "of ${user.number}: ${user.note}" }
  - { put: /note.csv, body: "a,b", headers: { Content-Type: text/csv } }
  - { post: /picture, file: picture.bin, headers: { Content-Type: image/png } }
  - { delete: /nothing }
connect:
  script: [{ wait: { when: { event: connection_established } } }]
ask:
  send: { type: start_agent, payload: { user_request: "${prompt}", thread_id: "${thread_id}", run_id: "${run_id}" } }
leave:
  - { send: { type: bye, who: "${user.number}" } }
  - { send_text: "bye" }
after:
  - { get: /history, expect: { when: { text: { contains: "you are ${user.note}" } } } }
events: { ids: { run: { at: /run_id, source: chosen }, user: { at: /user_id, is: user.id } } }
"#;

#[test]
fn bodies_go_out_as_written_and_the_handshakes_cookie_comes_back() {
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let hearing = std::sync::Arc::clone(&heard);
    let site = Site::new().upgrade(Upgrade::AcceptWith("Set-Cookie: sticky=\"a|b\"; Path=/\r\n"));
    let site = site.answers(|head, body| {
        let plain = |text: &str| Some((200, "Content-Type: text/plain\r\n".to_owned(), text.to_owned()));
        let is = |line: &str| head.lines().any(|known| known.eq_ignore_ascii_case(line));
        let good = match head.split(' ').nth(1)? {
            "/note" => body.starts_with("of ") && is("content-type: text/plain; charset=utf-8"),
            "/note.csv" => body == "a,b" && is("content-type: text/csv"),
            "/picture" => body == "not \u{1F5BC} a picture" && is("content-type: image/png"),
            "/nothing" => body.is_empty(),
            "/history" => is("cookie: sticky=\"a|b\""),
            _ => return None,
        };
        if good { plain("you are Ann or you are Bob") } else { Some(refused(head)) }
    });
    let site = site.talking(move |talk| {
        talk.user.clear();
        talk.greet()?;
        let ask = talk.ask()?;
        talk.user = if ask.prompt.contains("Ann") { "u-ann" } else { "u-bob" }.to_owned();
        talk.answer(&ask)?;
        while let Some(text) = talk.hear()? {
            hearing.lock().unwrap().push(text);
        }
        Ok(())
    });
    let site = site.serve();
    let place = Place::new();
    place.write("by-cookie.yaml", BODIES);
    place.write("picture.bin", "not \u{1F5BC} a picture");
    let filler: String = (3..50_000).map(|n| format!("u-{n},Nobody number {n}\n")).collect();
    place.write("users.csv", &format!("u-ann,Ann\nu-bob,Bob\n{filler}"));
    assert!(filler.len() > 1 << 20, "larger than a file of other kinds may be");
    let written = SCENARIO.lines().find(|line| line.starts_with("users:")).expect("users");
    let users = "users: { count: 2, file: users.csv, columns: [id, note] }";
    let scenario = SCENARIO.replace(written, users).replace("Which", "I am ${user.note}. Which");
    place.write("steps.yaml", &scenario);
    place.run(&["run", "steps.yaml", "--url", &site.url(), "-q", "--out", "out"]).exits(0);
    let report = Report::in_folder(&place.path().join("out"));
    assert_eq!((report.failures(), report.count("runs_good")), (vec![], 2));
    let mut farewells = heard.lock().unwrap().clone();
    farewells.sort();
    assert_eq!(farewells, ["bye", "bye", r#"{"type":"bye","who":1}"#, r#"{"type":"bye","who":2}"#]);
}

#[test]
fn a_password_may_come_from_a_program() {
    let scenario = |command: &str| {
        let password = "{ env: PASSWORD, on_loopback: golden-path }";
        assert!(SCENARIO.contains(password));
        SCENARIO.replace(password, &format!("{{ command: {command} }}")).replace("by-cookie.yaml", "embedded")
    };
    let place = Place::new();
    place.write("steps.yaml", &scenario("[/bin/echo, golden-path]"));
    place.run(&["run", "steps.yaml", "-q", "--out", "out"]).exits(0);
    place.write("steps.yaml", &scenario("[/bin/sh, -c, 'exit 3']"));
    place.run(&["validate", "steps.yaml"]).exits(0);
    for (command, told) in [
        ("[/bin/sh, -c, 'exit 3']", "`/bin/sh` failed: exit status: 3"),
        ("/bin/true", "this program printed nothing: it should print the password"),
        ("/nowhere/at-all", "`/nowhere/at-all` cannot be started"),
    ] {
        place.write("steps.yaml", &scenario(command));
        let ended = place.run(&["run", "steps.yaml", "-q", "--out", "more"]).exits(2);
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
}
