//! What the keys of a scenario mean together: mistakes and doubts that no single key shows.
//!
//! Whether a plan is large enough for its claims takes statistics, which a scenario knows nothing of; the edge asks them.
//! Each check sees only the sections it needs and is silent where one of them could not be decoded: why is already said.

use super::budgets::{Figure, Limit, SegmentBudget};
use super::format::{
    AnswerDef, EchoDef, IsolationDef, LoadDef, PasswordDef, PlaceholdersDef, ReliabilityDef, RuleDef, RuleWeight,
    Session, TargetDef, TimeoutsDef, TurnDef, UsersDef,
};
use super::{Parts, defaults, format, grammar, names, personas, probes, work};
use crate::document::context::closest;
use crate::document::decode::Spanned;
use crate::document::diagnostic::{Diagnostic, quote};
use crate::document::text::Text;
use crate::document::values::Percent;
use crate::document::{Context, Span};
use crate::expect::{Level, Segment};
use crate::rule::{Concern, Rule};
use crate::time::Micros;

/// Reports everything that is wrong or doubtful between the keys.
pub fn check(parts: &Parts, cx: &mut Context) {
    if let Some(target) = &parts.target {
        check_target(target, cx);
    }
    work::check(parts.load.as_ref(), parts.users.as_ref(), cx);
    if let Some(users) = &parts.users {
        check_users(users, parts.load.as_ref(), cx);
    }
    check_turns(parts, cx);
    personas::check(parts, cx);
    grammar::spelled(parts.events.as_ref(), cx);
    if let Some(answer) = &parts.answer {
        check_answer(answer, cx);
    }
    if let (Some(isolation), Some(users)) = (&parts.isolation, &parts.users) {
        check_isolation(isolation, users, parts.load.as_ref(), cx);
    }
    if let Some(at_most) = parts.setup.as_ref().and_then(|setup| setup.at_most) {
        check_at_most(at_most, cx);
    }
    check_budgets(parts, cx);
    if let Some(reliability) = &parts.reliability {
        check_reliability(reliability, cx);
    }
    check_rules(parts, cx);
    check_known(parts, cx);
    check_doors(parts, cx);
    if let Some(timeouts) = &parts.timeouts {
        check_timeouts(timeouts, cx);
    }
}

fn check_doors(parts: &Parts, cx: &mut Context) {
    let users = parts.users.as_ref().map(|users| (work::users(users, parts.load.as_ref()).into(), users.count.span));
    let (probes, doors) = (parts.probes.as_ref(), parts.doors.as_ref());
    let written = probes.map(|probes| probes.span).or(doors.map(|doors| doors.span));
    probes::check(probes.map(|probes| &probes.value), doors.map(|doors| &doors.value), users, written, cx);
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

fn check_users(users: &UsersDef, load: Option<&LoadDef>, cx: &mut Context) {
    let count = u64::from(work::users(users, load));
    if let Some(first) = users.first {
        let last = first.value.get() + count + work::listeners(users, load) - 1;
        if last > format::MAX_USER_NUMBER {
            let title = format!("the last user would have the number {last}, above {}", format::MAX_USER_NUMBER);
            cx.report(Diagnostic::mistake(first.span, title).also(users.count.span, "users from there on"));
        }
    }
    if let (Some(witnesses), 1) = (users.witnesses, count) {
        let mistake = Diagnostic::mistake(witnesses.span, "isolation cannot be judged with a single user who asks");
        cx.report(mistake.also(users.count.span, "one user").help("raise `users.count`, or remove `witnesses`"));
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
    if let (Some(secret), None) = (users.secret.0.first(), &users.file) {
        let mistake = Diagnostic::mistake(secret.span, "there is no file that could have this column");
        cx.report(mistake.help("add `users.file`, or remove `users.secret`"));
    }
    let columns = &users.columns.0;
    if let (Some(column), None) = (columns.first(), &users.file) {
        let mistake = Diagnostic::mistake(column.span, "there is no file whose column this could be");
        cx.report(mistake.help("add `users.file`, or remove `users.columns`"));
    }
    for (at, column) in columns.iter().enumerate() {
        if let Some(other) = columns[..at].iter().find(|other| other.value == column.value) {
            let mistake = Diagnostic::mistake(column.span, format!("there are two columns {}", quote(&column.value)));
            cx.report(mistake.also(other.span, "here as well").help("give one of them another name"));
        }
    }
    match &users.password {
        Some(PasswordDef::Written(password)) => check_password_text(password, cx),
        Some(PasswordDef::Reference(reference)) => {
            let env = reference.env.as_ref().map(|env| env.span);
            let file = reference.file.as_ref().map(|file| file.span);
            let command = reference.command.as_ref().map(|command| command.span);
            let places: Vec<_> = [env, file, command].into_iter().flatten().collect();
            match places[..] {
                [_] => {}
                [one, other, ..] => {
                    let mistake = Diagnostic::mistake(other, "the password has two places").also(one, "here");
                    cx.report(mistake.help("keep one of `env`, `file` and `command`"));
                }
                [] => {
                    let place = reference.on_loopback.as_ref().map_or(users.count.span, |text| text.span);
                    let mistake = Diagnostic::mistake(place, "`users.password` names no place");
                    cx.report(mistake.help("add `env: NAME`, `file: PATH` or `command: [PROGRAM]`"));
                }
            }
            if let Some(env) = &reference.env {
                check_variable(env, cx);
            }
            if let Some(written) = &reference.on_loopback {
                check_password_text(written, cx);
                if let (None, Some(other)) = (env, file.or(command)) {
                    let mistake = Diagnostic::mistake(written.span, "`on_loopback` stands in for a variable only");
                    cx.report(mistake.also(other, "but the password comes from here").help("remove one of them"));
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
    if let Some(reconnect) = parts.turns().first().and_then(|turn| turn.reconnect).filter(|reconnect| reconnect.value) {
        let mistake = Diagnostic::mistake(reconnect.span, "the first turn has no connection to hang up");
        cx.report(
            mistake.help("write `reconnect` at a later turn, for example a second one that comes back to the first"),
        );
    }
    for turn in parts.all_turns() {
        check_prompt(turn, users, parts.load.as_ref(), cx);
        if let Some(answer) = &turn.rules() {
            check_answer(answer, cx);
            check_mark(answer, turn, cx);
            if let Some(required) = answer.required {
                let mistake = Diagnostic::mistake(required.span, "`required` belongs to the claim, not to one turn");
                cx.report(mistake.help("write it under `expect.answer`"));
            }
        } else if let Some(answer) = &parts.answer {
            check_mark(answer, turn, cx);
        }
    }
    check_distinct(parts, cx);
}

/// A mark that was never planted cannot come back.
fn check_mark(answer: &AnswerDef, turn: &TurnDef, cx: &mut Context) {
    let all_known = turn.prompt.holes().all(|hole| names::PROMPT_OF_FILE.has(&hole.name));
    if let Some(canary) = answer.canary
        && all_known
        && !names::uses(&turn.prompt, "canary")
    {
        let mistake = Diagnostic::mistake(canary.span, "the answer is to carry a mark that the prompt does not have");
        cx.report(mistake.also(turn.prompt.span, "the prompt").help("end the prompt with ` (ref ${canary})`"));
    }
}

/// Answers to one and the same prompt may be the same.
fn check_distinct(parts: &Parts, cx: &mut Context) {
    let mut compared = Vec::new();
    let mut demanded = None;
    for turn in parts.all_turns() {
        let rules = turn.rules();
        let asked = rules.as_ref().or(parts.answer.as_ref()).and_then(|answer| answer.distinct);
        if let Some(asked) = asked.filter(|asked| asked.value) {
            demanded = Some(asked.span);
            compared.push(&turn.prompt);
        }
    }
    let (Some(place), [only]) = (demanded, &compared[..]) else { return };
    if only.holes().all(|hole| hole.name == "canary") {
        let mistake =
            Diagnostic::mistake(place, "all prompts are the same but for their canary, so no answers must differ")
                .also(only.span, "the only prompt")
                .help("put something into the prompt that differs, for example `${user.number}`, or remove `distinct`");
        cx.report(mistake);
    }
}

fn check_prompt(turn: &TurnDef, users: Option<&UsersDef>, load: Option<&LoadDef>, cx: &mut Context) {
    let prompt = &turn.prompt;
    let of_file = users.is_some_and(|users| users.file.is_some());
    let names = if of_file { names::PROMPT_OF_FILE } else { names::PROMPT };
    names.check(prompt, cx);
    if let Some(hole) = prompt.holes().find(|hole| of_file && hole.name == "user.password") {
        let mistake = Diagnostic::mistake(hole.span, "a prompt cannot hold the password");
        cx.report(mistake.help("prompts are recorded and shown; remove it"));
    }
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
    let all_known = prompt.holes().all(|hole| names.has(&hole.name));
    if work::users(users, load) > 1 && all_known && !names::uses(prompt, "canary") {
        let warning = Diagnostic::warning(prompt.span, "the prompt carries no canary")
            .note("foreign text in an answer cannot be traced; isolation rests on ids alone")
            .help("end the prompt with ` (ref ${canary})`");
        cx.report(warning);
    }
    if users.email.is_none()
        && users.file.is_none()
        && let Some(hole) = prompt.holes().find(|hole| hole.name == "user.email" && hole.default.is_none())
    {
        let mistake = Diagnostic::mistake(hole.span, "`${user.email}` has no value: the users have no email");
        cx.report(mistake.help("add `users.email`, or use `${user.number}`"));
    }
}

fn check_answer(answer: &AnswerDef, cx: &mut Context) {
    if let Some(PlaceholdersDef::Own(texts)) = &answer.no_placeholder {
        for text in texts.0.iter().filter(|text| !text.value.contains(char::is_alphanumeric)) {
            let mistake = Diagnostic::mistake(text.span, "a placeholder is compared by its words, and this has none");
            cx.report(mistake.help("remove it: an answer without any word is empty"));
        }
    }
    if let Some(EchoDef::From(share)) = &answer.not_echo
        && share.value.fraction() == 0.0
    {
        let mistake = Diagnostic::mistake(share.span, "from 0% on every answer would be an echo");
        cx.report(mistake.help("write for example `60%`, or `false`"));
    }
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

fn check_isolation(isolation: &IsolationDef, users: &UsersDef, load: Option<&LoadDef>, cx: &mut Context) {
    if let (Some(place), None) = (isolation.groups(), &users.file) {
        let mistake = Diagnostic::mistake(place, "nobody is in any group");
        let help = "name a `users.file` with a column `group`, or write `between: users`";
        cx.report(mistake.also(users.count.span, "these users").help(help));
    }
    if let Some(share) = isolation.leaks_under.filter(|share| [0.0, 1.0].contains(&share.value.fraction())) {
        let mistake = Diagnostic::mistake(share.span, "no number of runs shows this, or any does");
        cx.report(mistake.help("write a share above 0% and below 100%"));
    }
    let required = isolation.required.filter(|required| required.value);
    let shares = [isolation.min_overlap, isolation.min_attributed, isolation.leaks_under];
    let asked = shares.into_iter().flatten().next().map(|share| share.span);
    let asked = asked.or(required.map(|required| required.span));
    let (Some(place), 1) = (asked, work::users(users, load)) else { return };
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
        let open = parts.load.as_ref().is_some_and(|load| load.open.is_some());
        if budget.segment == Segment::Response && !open {
            let mistake =
                Diagnostic::mistake(budget.span, "`response` is measured from scheduled arrivals, and there are none");
            cx.report(mistake.help("write `load: { open: ... }`, or limit `golden_path` or `run`"));
        }
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
        let same = budget.limits[..at].iter().find(|o| o.figure == limit.figure && o.level == limit.level);
        if let Some(first) = same {
            let mistake = Diagnostic::mistake(limit.span, "this figure already has a limit");
            cx.report(mistake.also(first.span, "first here").help("remove one of them"));
        }
        if limit.limit == Micros::ZERO && limit.figure == Figure::Min {
            let mistake = Diagnostic::mistake(limit.span, "a floor of no time asks nothing");
            cx.report(mistake.help("write the shortest time that real work takes"));
        } else if limit.limit == Micros::ZERO {
            let mistake = Diagnostic::mistake(limit.span, "a limit of no time is never kept");
            cx.report(mistake.help("write the longest time you would accept"));
        }
    }
    check_order(budget, cx);
    check_levels(budget, cx);
    if let Some(per) = budget.per.filter(|per| per.value < Micros::from_secs(1)) {
        let mistake = Diagnostic::mistake(per.span, "a window lasts a second at least");
        cx.report(mistake.help("write for example `per: 5m`"));
    }
    let quantile = budget.limits.iter().any(|limit| matches!(limit.figure, Figure::Quantile(_)));
    if let (Some((true, place)), false) = (budget.proven, quantile) {
        let mistake = Diagnostic::mistake(place, "`proven` needs a quantile: a maximum or mean has no bound to prove");
        cx.report(mistake.help("limit for example `p95`, or remove `proven`"));
    }
}

/// A higher figure with a tighter limit makes the lower one's limit idle.
fn check_order(budget: &SegmentBudget, cx: &mut Context) {
    let rises =
        |limit: &&Limit| limit.level == Level::Fail && matches!(limit.figure, Figure::Quantile(_) | Figure::Max);
    let mut rising: Vec<_> = budget.limits.iter().filter(rises).collect();
    rising.sort_by_key(|limit| limit.figure);
    for pair in rising.windows(2) {
        let [lower, higher] = pair else { continue };
        if lower.figure < higher.figure && lower.limit > higher.limit {
            let title = format!("this limit is never reached: `{}` has a tighter one", higher.figure.statistic());
            cx.report(Diagnostic::warning(lower.span, title).also(higher.span, "the tighter limit"));
        }
    }
}

/// A warning comes before the limit, and a floor below every limit.
fn check_levels(budget: &SegmentBudget, cx: &mut Context) {
    for pair in budget.limits.windows(2) {
        let [hard, soft] = pair else { continue };
        if hard.figure != soft.figure || (hard.level, soft.level) != (Level::Fail, Level::Warn) {
            continue;
        }
        let (idle, advice) = match hard.figure {
            Figure::Min => (soft.limit <= hard.limit, "write a `warn` above `fail`"),
            Figure::Quantile(_) | Figure::Mean | Figure::Max => {
                (soft.limit >= hard.limit, "write a `warn` below `fail`")
            }
        };
        if idle {
            let mistake = Diagnostic::mistake(soft.span, "this warning would never come before the failure");
            cx.report(mistake.help(advice));
        }
    }
    let hard = |limit: &&Limit| limit.level == Level::Fail;
    let floor = budget.limits.iter().filter(hard).find(|limit| limit.figure == Figure::Min);
    let ceiling = budget.limits.iter().filter(hard).find(|limit| limit.figure == Figure::Max);
    if let (Some(floor), Some(ceiling)) = (floor, ceiling)
        && floor.limit > ceiling.limit
    {
        let mistake = Diagnostic::mistake(floor.span, "no time is above this floor and below the limit");
        cx.report(mistake.also(ceiling.span, "the limit").help("lower the floor, or raise the limit"));
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

fn check_rules(parts: &Parts, cx: &mut Context) {
    let mut seen: Vec<(Rule, Span)> = Vec::new();
    for (name, change) in parts.rules.iter().flat_map(|rules| &rules.0) {
        let (weight, reason, accept_leak) = change.parts();
        let Some(rule) = check_rule(name, accept_leak, weight.value != RuleWeight::Failure, cx) else { continue };
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == rule) {
            let mistake = Diagnostic::mistake(name.span, format!("{rule} has a weight already"));
            cx.report(mistake.also(*first, "first here").help("remove one of them"));
        }
        seen.push((rule, name.span));
        if weight.value == RuleWeight::Off && reason.is_none() {
            let mistake = Diagnostic::mistake(weight.span, "a rule is switched off only with a reason");
            cx.report(mistake.help(format!("write `{}: {{ weight: off, reason: \"why\" }}`", name.value)));
        }
        if let Some(reason) = reason.filter(|reason| reason.value.trim().is_empty()) {
            cx.report(Diagnostic::mistake(reason.span, "the reason is empty").help("say why; every report prints it"));
        }
        if rule == Rule::OverWarning && weight.value == RuleWeight::Failure {
            let mistake = Diagnostic::mistake(weight.span, "a warning cannot fail");
            cx.report(mistake.help("write the level as `fail` in the budget"));
        }
    }
}

fn check_known(parts: &Parts, cx: &mut Context) {
    for known in parts.known.iter().flatten() {
        let Some(rule) = check_rule(&known.rule, known.accept_leak, true, cx) else { continue };
        if known.issue.value.trim().is_empty() {
            let mistake = Diagnostic::mistake(known.issue.span, "the issue is empty");
            cx.report(mistake.help("write its address or number; every report prints it"));
        }
        let off = |change: &RuleDef| change.parts().0.value == RuleWeight::Off;
        let mut rules = parts.rules.iter().flat_map(|rules| &rules.0);
        if let Some((name, _)) = rules.find(|(name, change)| names::rule(&name.value) == Some(rule) && off(change)) {
            let mistake =
                Diagnostic::mistake(known.rule.span, "this rule is off, so none of its findings can be known");
            cx.report(mistake.also(name.span, "switched off here").help("remove one of them"));
        }
    }
}

/// The rule of that name, if there is one that may be weakened here.
fn check_rule(
    name: &Spanned<String>,
    accept_leak: Option<Spanned<bool>>,
    weaker: bool,
    cx: &mut Context,
) -> Option<Rule> {
    let Some(rule) = names::rule(&name.value) else {
        let known = Rule::ALL.iter().flat_map(|rule| [rule.code(), rule.name()]);
        let near = closest(&name.value, known).map(|near| format!("did you mean `{near}`? "));
        let mistake = Diagnostic::mistake(name.span, format!("there is no rule {}", quote(&name.value)));
        cx.report(mistake.help(format!("{}`goldenpath explain` lists all", near.unwrap_or_default())));
        return None;
    };
    let leaks = rule.concern() == Concern::Isolation;
    if leaks && weaker && !accept_leak.is_some_and(|accepted| accepted.value) {
        let mistake =
            Diagnostic::mistake(name.span, format!("{rule} is about isolation, where nothing is let pass quietly"));
        cx.report(mistake.help("if a leak may really pass, write `accept_leak: true` beside it"));
    }
    if let Some(accepted) = accept_leak.filter(|_| !leaks) {
        let mistake = Diagnostic::mistake(accepted.span, format!("{rule} is not about isolation"));
        cx.report(mistake.help("remove `accept_leak`"));
    }
    Some(rule)
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
