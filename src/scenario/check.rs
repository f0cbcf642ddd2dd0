//! What the keys of a scenario mean together: mistakes and doubts that no single key shows.
//!
//! Whether a plan is large enough for its claims takes statistics, which a scenario knows nothing of; the edge asks them.
//! Each check sees only the sections it needs and is silent where one of them could not be decoded: why is already said.

use super::budgets::{Figure, SegmentBudget};
use super::format::{
    AnswerDef, IsolationDef, PasswordDef, ReliabilityDef, Session, TargetDef, TimeoutsDef, TurnDef, UsersDef,
};
use super::{Parts, defaults, format, grammar, names};
use crate::document::Context;
use crate::document::decode::Spanned;
use crate::document::diagnostic::Diagnostic;
use crate::document::text::Text;
use crate::document::values::Percent;
use crate::expect::Segment;
use crate::time::Micros;

/// Reports everything that is wrong or doubtful between the keys.
pub fn check(parts: &Parts, cx: &mut Context) {
    if let Some(target) = &parts.target {
        check_target(target, cx);
    }
    if let Some(users) = &parts.users {
        check_users(users, cx);
    }
    check_turns(parts, cx);
    grammar::spelled(parts.events.as_ref(), cx);
    if let Some(answer) = &parts.answer {
        check_answer(answer, cx);
    }
    if let (Some(isolation), Some(users)) = (&parts.isolation, &parts.users) {
        check_isolation(isolation, users, cx);
    }
    if let Some(at_most) = parts.setup.as_ref().and_then(|setup| setup.at_most) {
        check_at_most(at_most, cx);
    }
    check_budgets(parts, cx);
    if let Some(reliability) = &parts.reliability {
        check_reliability(reliability, cx);
    }
    if let Some(timeouts) = &parts.timeouts {
        check_timeouts(timeouts, cx);
    }
}

fn check_target(target: &TargetDef, cx: &mut Context) {
    let name = match target {
        TargetDef::Named(name) => name,
        TargetDef::Inline(inline) => {
            for address in [&inline.http, &inline.socket].into_iter().flatten() {
                names::ADDRESS.check(address, cx);
            }
            &inline.profile
        }
    };
    if name.value.trim().is_empty() {
        let mistake = Diagnostic::mistake(name.span, "the target has no name");
        cx.report(mistake.help("write the file of a target profile, or `embedded`"));
    } else if name.value.starts_with("http://") || name.value.starts_with("https://") {
        let mistake = Diagnostic::mistake(name.span, "a target is a profile, not an address");
        let help =
            format!("name the profile and override its address: `{{ profile: FILE, http: \"{}\" }}`", name.value);
        cx.report(mistake.help(help));
    } else if name.value.contains("${") {
        let mistake = Diagnostic::mistake(name.span, "the name of a profile cannot hold `${...}`");
        cx.report(mistake.help("choose the profile in an environment block, or with `--target`"));
    }
}

fn check_users(users: &UsersDef, cx: &mut Context) {
    let count = users.count.value.get();
    if let Some(first) = users.first {
        let last = first.value.get() + count - 1;
        if last > format::MAX_USER_NUMBER {
            let title = format!("the last user would have the number {last}, above {}", format::MAX_USER_NUMBER);
            cx.report(Diagnostic::mistake(first.span, title).also(users.count.span, "users from there on"));
        }
    }
    if let Some(email) = &users.email {
        names::CREDENTIALS.check(email, cx);
        if count > 1 && !names::varies_by_user(email) {
            let title = format!("all {count} users would log in as the same one");
            let mistake = Diagnostic::mistake(email.span, title)
                .note("isolation cannot be judged among users who are one")
                .help("put the number in, for example `qa${user.number}@example.com`");
            cx.report(mistake);
        }
    }
    match &users.password {
        Some(PasswordDef::Written(password)) => check_password_text(password, cx),
        Some(PasswordDef::Reference(reference)) => {
            match (&reference.env, &reference.file) {
                (Some(_), None) | (None, Some(_)) => {}
                (Some(env), Some(file)) => {
                    let mistake = Diagnostic::mistake(file.span, "the password has two places").also(env.span, "here");
                    cx.report(mistake.help("keep `env` or `file`"));
                }
                (None, None) => {
                    let place = reference.on_loopback.as_ref().map_or(users.count.span, |text| text.span);
                    let mistake = Diagnostic::mistake(place, "`users.password` names no place");
                    cx.report(mistake.help("add `env: NAME` or `file: PATH`"));
                }
            }
            if let Some(env) = &reference.env {
                check_variable(env, cx);
            }
            if let Some(written) = &reference.on_loopback {
                check_password_text(written, cx);
                if let (None, Some(file)) = (&reference.env, &reference.file) {
                    let mistake = Diagnostic::mistake(written.span, "`on_loopback` stands in for a variable only");
                    cx.report(mistake.also(file.span, "but the password comes from a file").help("remove one of them"));
                }
            }
        }
        None => {}
    }
}

fn check_password_text(password: &Text, cx: &mut Context) {
    names::CREDENTIALS.check(password, cx);
    if password.as_literal() == Some("") {
        let mistake = Diagnostic::mistake(password.span, "the password is empty");
        cx.report(mistake.help("write a reference, for example `{ env: QA_PASSWORD }`"));
    }
}

fn check_variable(name: &Spanned<String>, cx: &mut Context) {
    let written = name.value.as_str();
    if is_variable(written) {
        return;
    }
    let mistake = Diagnostic::mistake(name.span, "this is not the name of a variable");
    let bare = written.trim_start_matches("${").trim_start_matches("env.").trim_start_matches('$');
    let bare = bare.trim_end_matches('}');
    cx.report(if is_variable(bare) {
        mistake.help(format!("write the bare name: `{{ env: {bare} }}`"))
    } else {
        mistake.help("names of variables are letters, digits and `_`; the value does not belong here")
    });
}

/// Whether a text can be the name of a variable (POSIX.1-2017, section 8.1, with lower case).
pub fn is_variable(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn check_turns(parts: &Parts, cx: &mut Context) {
    let users = parts.users.as_ref();
    for turn in parts.turns() {
        check_prompt(turn, users, cx);
        if let Some(answer) = &turn.answer {
            check_answer(answer, cx);
            if let Some(required) = answer.required {
                let mistake = Diagnostic::mistake(required.span, "`required` belongs to the claim, not to one turn");
                cx.report(mistake.help("write it under `expect.answer`"));
            }
        }
    }
}

fn check_prompt(turn: &TurnDef, users: Option<&UsersDef>, cx: &mut Context) {
    let prompt = &turn.prompt;
    names::PROMPT.check(prompt, cx);
    if prompt.as_literal().is_some_and(|text| text.trim().is_empty()) {
        let mistake = Diagnostic::mistake(prompt.span, "the prompt is empty");
        return cx.report(mistake.help("write a question that the agent answers with its tools"));
    }
    let literals = prompt.segments.iter().filter_map(|segment| match segment {
        crate::document::text::Segment::Literal(text) => Some(text.to_lowercase()),
        crate::document::text::Segment::Hole(_) => None,
    });
    if literals.into_iter().any(|text| text.contains("test")) {
        let warning = Diagnostic::warning(prompt.span, "the prompt contains \"test\"")
            .note("real backends answer such prompts with a canned text, also \"latest\" and \"contest\"")
            .help("ask what a customer would ask");
        cx.report(warning);
    }
    let Some(users) = users else { return };
    // An unknown name may be a misspelt canary.
    let all_known = prompt.holes().all(|hole| names::PROMPT.has(&hole.name));
    if users.count.value.get() > 1 && all_known && !names::uses(prompt, "canary") {
        let warning = Diagnostic::warning(prompt.span, "the prompt carries no canary")
            .note("foreign text in an answer cannot be traced; isolation rests on ids alone")
            .help("end the prompt with ` (ref ${canary})`");
        cx.report(warning);
    }
    if users.email.is_none()
        && let Some(hole) = prompt.holes().find(|hole| hole.name == "user.email" && hole.default.is_none())
    {
        let mistake = Diagnostic::mistake(hole.span, "`${user.email}` has no value: the users have no email");
        cx.report(mistake.help("add `users.email`, or use `${user.number}`"));
    }
}

fn check_answer(answer: &AnswerDef, cx: &mut Context) {
    for pattern in answer.all_of.0.iter().chain(&answer.any_of.0) {
        if pattern.value.0.is_match("") {
            let mistake = Diagnostic::mistake(pattern.span, "this pattern matches every answer, so it asks nothing");
            cx.report(mistake.note("it matches an empty text").help("demand at least one character: `+` for `*`"));
        }
    }
    for pattern in &answer.none_of.0 {
        // Matches nothing and something alike: anchored patterns such as `^$` do not.
        if pattern.value.0.is_match("") && pattern.value.0.is_match("\u{10fffd}") {
            let mistake = Diagnostic::mistake(pattern.span, "this pattern matches every answer, so none would be good");
            cx.report(mistake.note("it matches an empty text").help("demand at least one character: `+` for `*`"));
        }
    }
}

fn check_isolation(isolation: &IsolationDef, users: &UsersDef, cx: &mut Context) {
    let required = isolation.required.filter(|required| required.value);
    let asked = isolation.min_overlap.map(|share| share.span).or(required.map(|required| required.span));
    let (Some(place), 1) = (asked, users.count.value.get()) else { return };
    let mistake = Diagnostic::mistake(place, "isolation cannot be judged with a single user")
        .also(users.count.span, "one user")
        .help("raise `users.count`, or remove `expect.isolation`");
    cx.report(mistake);
}

fn check_at_most(at_most: Spanned<Percent>, cx: &mut Context) {
    if at_most.value.fraction() == 1.0 {
        let mistake = Diagnostic::mistake(at_most.span, "with 100% no user needs to get ready");
        cx.report(mistake.help("write the largest share you would accept, or `required: false`"));
    }
}

fn check_budgets(parts: &Parts, cx: &mut Context) {
    for budget in parts.budgets.iter().flat_map(|budgets| &budgets.0) {
        check_budget(budget, cx);
        if let Some(users) = &parts.users {
            check_segment_exists(budget, users, cx);
        }
    }
}

fn check_budget(budget: &SegmentBudget, cx: &mut Context) {
    let name = budget.segment.name();
    if budget.limits.is_empty() {
        let mistake = Diagnostic::mistake(budget.span, format!("the budget of `{name}` has no limit"));
        return cx.report(mistake.help(format!("write for example `{name}: {{ p95: 2s }}` or `{{ max: 10s }}`")));
    }
    for (at, limit) in budget.limits.iter().enumerate() {
        let same = budget.limits[..at].iter().find(|other| other.figure == limit.figure);
        if let Some(first) = same {
            let mistake = Diagnostic::mistake(limit.span, "this figure already has a limit");
            cx.report(mistake.also(first.span, "first here").help("remove one of them"));
        }
        if limit.limit == Micros::ZERO {
            let mistake = Diagnostic::mistake(limit.span, "a limit of no time is never kept");
            cx.report(mistake.help("write the longest time you would accept"));
        }
    }
    check_order(budget, cx);
    let quantile = budget.limits.iter().any(|limit| matches!(limit.figure, Figure::Quantile(_)));
    if let (Some((true, place)), false) = (budget.proven, quantile) {
        let mistake = Diagnostic::mistake(place, "`proven` needs a quantile: a maximum or mean has no bound to prove");
        cx.report(mistake.help("limit for example `p95`, or remove `proven`"));
    }
}

/// A higher figure with a tighter limit makes the lower one's limit idle.
fn check_order(budget: &SegmentBudget, cx: &mut Context) {
    let mut rising: Vec<_> = budget.limits.iter().filter(|limit| limit.figure != Figure::Mean).collect();
    rising.sort_by_key(|limit| limit.figure);
    for pair in rising.windows(2) {
        let [lower, higher] = pair else { continue };
        if lower.figure < higher.figure && lower.limit > higher.limit {
            let title = format!("this limit is never reached: `{}` has a tighter one", higher.figure.statistic());
            cx.report(Diagnostic::warning(lower.span, title).also(higher.span, "the tighter limit"));
        }
    }
}

fn check_segment_exists(budget: &SegmentBudget, users: &UsersDef, cx: &mut Context) {
    let Some(session) = users.session.filter(|session| session.value == Session::Keep) else { return };
    if budget.segment == Segment::GoldenPath {
        let mistake = Diagnostic::mistake(budget.span, "`golden_path` is not measured with kept sessions")
            .also(session.span, "users log in once, so only their first iteration would have one")
            .help("limit `run` instead, or write `session: fresh`");
        cx.report(mistake);
    }
}

fn check_reliability(reliability: &ReliabilityDef, cx: &mut Context) {
    let at_least = reliability.at_least;
    let share = at_least.value.fraction();
    if share == 1.0 {
        let mistake = Diagnostic::mistake(at_least.span, "no number of runs can show 100%")
            .note("100 clean runs show 97%, 2,995 show 99.9%, each with 95% confidence")
            .help("write the share you need, or remove `reliability`: without it no iteration may fail");
        return cx.report(mistake);
    }
    if share == 0.0 {
        let mistake = Diagnostic::mistake(at_least.span, "0% asks nothing");
        return cx.report(mistake.help("write the share you need, for example `99%`"));
    }
    let confidence = reliability.confidence.map_or(defaults::CONFIDENCE, |given| given.value.fraction());
    if let Some(given) = reliability.confidence
        && !(confidence > 0.5 && confidence < 1.0)
    {
        let mistake = Diagnostic::mistake(given.span, "a confidence lies above 50% and below 100%");
        cx.report(mistake.help("95% is usual"));
    }
}

fn check_timeouts(timeouts: &TimeoutsDef, cx: &mut Context) {
    let waits = [timeouts.connect, timeouts.greeting, timeouts.first_event, timeouts.stall, timeouts.run];
    for wait in waits.into_iter().flatten().filter(|wait| wait.value == Micros::ZERO) {
        let mistake = Diagnostic::mistake(wait.span, "a timeout of no time is over before it begins");
        cx.report(mistake.help("write the longest time you would wait"));
    }
    let run = timeouts.run.map_or(defaults::RUN, |run| run.value);
    for part in [timeouts.first_event, timeouts.stall].into_iter().flatten() {
        if part.value > run && run > Micros::ZERO {
            let warning = Diagnostic::warning(part.span, format!("this is never reached: a run ends after {run}"));
            cx.report(match timeouts.run {
                Some(run) => warning.also(run.span, "the limit of a run"),
                None => warning.help("raise `timeouts.run` as well"),
            });
        }
    }
}
