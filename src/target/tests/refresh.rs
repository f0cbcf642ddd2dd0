//! What `refresh` of a profile is compiled to, and what is wrong with one.

use super::*;

/// A profile that logs in, with this `refresh`.
fn with(refresh: &str) -> String {
    let login =
        "login: [{post: 'http://h/login', capture: {token: {secret: /a}, next: {secret: /r}, life: /life, x: /x}}]";
    let uses = "connect: {headers: {A: '${token}', B: '${x}', C: '${life}'}}";
    format!("refresh: {refresh}\n{login}\n{uses}")
}

const STEPS: &str = "steps: [{post: 'http://h/refresh', json: {t: '${next}'}, capture: {token: {secret: /a}, next: {secret: /r}, life: /l}}]";

fn refresh(keys: &str) -> Refresh {
    profile(&with_required(&with(&format!("{{{keys}, {STEPS}}}")))).refresh.expect("it refreshes")
}

#[test]
fn what_says_the_end_is_named_and_the_rest_has_defaults() {
    let usual = refresh("expires: jwt");
    // What the step itself brings is what refreshes.
    assert_eq!(usual.expires, Expires::Jwt("token".to_owned()));
    assert_eq!((usual.before, usual.reconnects), (Micros::from_secs(60), false));
    assert_eq!(usual.steps[0].captures.iter().filter(|capture| capture.needed).count(), 3);
    for (written, expires) in [
        ("jwt: next", Expires::Jwt("next".to_owned())),
        ("seconds: life", Expires::Seconds("life".to_owned())),
        ("unix_s: life", Expires::UnixS("life".to_owned())),
        ("unix_ms: life", Expires::UnixMs("life".to_owned())),
        ("iso: life", Expires::Iso("life".to_owned())),
        ("after: 10m", Expires::After(Micros::from_secs(600))),
    ] {
        assert_eq!(refresh(&format!("expires: {{{written}}}")).expires, expires);
    }
    let other = refresh("expires: jwt, before: 5s, socket: reconnect");
    assert_eq!((other.before, other.reconnects), (Micros::from_secs(5), true));
    assert!(!refresh("expires: jwt, socket: keep").reconnects);
    let all = profile(&with_required(&with(&format!("{{expires: jwt, {STEPS}}}"))));
    assert!(all.texts().iter().any(|text| filled(text) == "<next>"), "what it sends is known like all texts");
}

#[test]
fn a_refresh_that_cannot_go_on_by_itself_is_a_mistake() {
    let step = |more: &str| format!("{{expires: {{after: 9m}}, steps: [{{post: 'http://h/refresh'{more}}}]}}");
    let said = |refresh: &str, said: &[&str]| {
        // Places are held by the corpus of mistakes.
        let titles = titles(&with(refresh));
        let titles: Vec<&str> = titles.iter().filter_map(|title| Some(title.split_once(' ')?.1)).collect();
        assert_eq!(titles, said, "{refresh}");
    };
    said(
        "{expires: {after: 9m}, steps: []}",
        &["these are no steps -> write the request that refreshes a session, for example `- post: /auth/refresh`"],
    );
    said(
        "{expires: {after: 9m}, before: 0s, steps: [{post: 'http://h/'}]}",
        &["`before` is zero -> write a time above zero"],
    );
    said("{expires: {after: 0s}, steps: [{post: 'http://h/'}]}", &["`after` is zero -> write a time above zero"]);
    said(
        &step(", retry: {for: 2s}"),
        &["a refresh is never repeated -> remove `retry`: what it sends may be good for one use"],
    );
    said(
        "{expires: jwt, steps: [{post: 'http://h/', capture: {x: /x}}]}",
        &[
            "it is not clear which captured value is the token -> capture the token as a secret under `login` and under \
         `refresh.steps`, and name it: `expires: { jwt: token }`",
        ],
    );
    said(
        "{expires: {seconds: life}, steps: [{post: 'http://h/'}]}",
        &[
            "nothing under `refresh.steps` captures `life` -> both `login` and `refresh.steps` must capture what says when \
         the session ends",
        ],
    );
    said(
        "{expires: {jwt: tokn}, steps: [{post: 'http://h/', capture: {tokn: {secret: /a}}}]}",
        &["nothing under `login` captures `tokn` -> both `login` and `refresh.steps` must capture what says when the \
         session ends"],
    );
    // What came after the login may not have come yet, and what only it captures is nowhere else.
    let late = format!(
        "{}\nprepare: [{{get: 'http://h/p?q=${{mine}}', capture: {{room: /r}}}}]",
        step(", json: {r: '${room}'}, capture: {mine: /m}")
    );
    let said_late = titles(&with(&late));
    assert!(said_late.iter().any(|said| said.contains("`${room}` has no value here yet")), "{said_late:?}");
    assert!(said_late.iter().any(|said| said.contains("`${mine}` has no value here yet")), "{said_late:?}");
    // A secret is one in both places.
    let open = titles(&with("{expires: {jwt: token}, steps: [{post: 'http://h/', capture: {token: /a}}]}"));
    assert!(open.iter().any(|said| said.contains("`token` is a secret in one place only")), "{open:?}");
    check(&[(
        "refresh: {expires: {after: 9m}, steps: [{post: 'http://h/'}]}",
        &["1:10 there is no `login` whose session could be refreshed -> add `login`, or remove `refresh`"],
    )]);
}
