//! `goldenpath plan`, and `run --dry-run`: what an execution would do, every value with where it is from, and what each claim
//! can reach.

use std::fmt::Write;
use std::io::Write as _;

use super::choice::{Choice, Chosen};
use super::execute;
use super::exit::Exit;
use super::intervals::INTERVALS;
use super::load::probes::{self, Knocking};
use super::load::{Loaded, Loader, RunOptions, bill};
use super::machine::{Machine, Needs};
use super::reach;
use crate::check::Planned;
use crate::document::tree::Value;
use crate::document::{Node, Sources};
use crate::expect::{ReliabilityOf, Segment, Statistic};
use crate::finding::counted;
use crate::identity::{ExecutionId, UserNumber};
use crate::report::escape;
use crate::scenario::load::{Ends, Exposure, Load, Stage, Think, Work};
use crate::scenario::{Scenario, defaults};
use crate::stats;
use crate::time::Micros;

/// What `plan` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    choice: Choice,
}

/// Prints the plan of every scenario that is named and selected.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let Some(chosen) = args.choice.load("plan")? else { return Ok(Exit::Usage) };
    print(&chosen)?;
    Ok(Exit::Pass)
}

/// One plan after the other, on stdout.
pub fn print(chosen: &Chosen) -> std::io::Result<()> {
    let Chosen { loader, options, scenarios, threads, only, .. } = chosen;
    let mut stdout = std::io::stdout().lock();
    for (nth, loaded) in scenarios.iter().enumerate() {
        let apart = if nth > 0 { "\n" } else { "" };
        write!(stdout, "{apart}{}", describe(loaded, loader, options, *threads, only))?;
    }
    Ok(())
}

/// The plan of `loaded` as text, sections apart by blank lines.
fn describe(loaded: &Loaded, loader: &Loader, options: &RunOptions, threads: u32, only: &[UserNumber]) -> String {
    let scenario = &loaded.scenario;
    let planned = reach::planned(scenario);
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        let _ = writeln!(out, "{name:<10} {}", escape(&text));
    };
    let users = &scenario.users;
    let last = users.first.saturating_add(users.count.saturating_sub(1));
    line("scenario", format!("{} ({})", scenario.name, loaded.path.display()));
    line("target", target(loaded, loader));
    line(
        "plan",
        format!(
            "{} ({} to {last}), {}, {}, on {}",
            counted(planned.users, "user"),
            users.first,
            counted(planned.setups, "login"),
            counted(planned.runs, "run"),
            counted(threads.into(), "thread"),
        ),
    );
    if users.witnesses > 0 {
        let (from, to) = (last.saturating_add(1), last.saturating_add(users.witnesses));
        let numbers = if from == to { from.to_string() } else { format!("{from} to {to}") };
        line("witnesses", format!("{} ({numbers}) to listen and never ask", counted(users.witnesses.into(), "user")));
    }
    if !only.is_empty() {
        let numbers: Vec<String> = only.iter().map(UserNumber::to_string).collect();
        line("only", format!("{} of them take part: {}", counted(only.len() as u64, "user"), numbers.join(", ")));
    }
    line("seed", options.seed.map_or_else(|| "new each time".to_owned(), |seed| seed.to_string()));
    let numbers = || if only.is_empty() { scenario.numbers().collect() } else { only.to_vec() };
    let drawn = options.seed.filter(|_| !scenario.personas.is_empty()).map(|seed| {
        let plan = execute::plan(scenario, seed, ExecutionId(0), threads, only);
        numbers().into_iter().filter_map(|user| plan.persona(user)).collect::<Vec<_>>()
    });
    for (which, persona) in scenario.personas.iter().enumerate() {
        let count = match &drawn {
            Some(drawn) => counted(drawn.iter().filter(|drawn| **drawn == which).count() as u64, "user"),
            None => format!("about {}", counted((persona.share * numbers().len() as f64).round() as u64, "user")),
        };
        let asks = persona.asks_otherwise.then(|| "another prompt".to_owned());
        let pauses = persona.think.map(|think| format!("{} of thinking", pause(think)));
        let otherwise: Vec<String> = asks.into_iter().chain(pauses).collect();
        let share = significant(persona.share * 100.0);
        line("persona", format!("{}: {share}% of users, {count}; {}", persona.name, otherwise.join(", ")));
    }
    load(&scenario.load).into_iter().for_each(|(name, text)| line(name, text));
    let knocking = probes::knocking(scenario, &loaded.target.profile, loaded.target.loopback || options.allow_lockout);
    if scenario.expect.claims.doors.is_some() {
        let names: Vec<&str> = knocking.knock.iter().map(|probe| probe.name()).collect();
        let cost = format!("{}, at most {} more", counted(names.len() as u64, "probe"), counted(knocking.runs, "run"));
        line("probes", format!("{cost}: {}", names.join(", ")));
        knocking.spared.iter().for_each(|(probe, why)| line("spared", format!("{probe}: {why}")));
    }
    if let Some((runs, total)) = bill(scenario, &loaded.target.profile) {
        let cost = loaded.target.profile.cost.as_ref();
        let at_most = cost.and_then(|cost| cost.at_most.as_ref()).map(|most| format!("; at most {most}"));
        let each = cost.map(|cost| format!(" at {}", cost.per_run)).unwrap_or_default();
        line("cost", format!("{}{each}: {total}{}", counted(runs, "run"), at_most.unwrap_or_default()));
    }
    line("machine", Machine::here().line(Needs::of(loaded, threads)));
    let doubts = Machine::here().doubts(Needs::of(loaded, threads), threads);
    doubts.into_iter().for_each(|doubt| line("doubtful", doubt));
    line("refused", execute::refusal(loaded, threads).unwrap_or_else(|| "no: it may be run".to_owned()));

    out.push_str("\nclaims\n");
    let claims = claims(scenario, &planned, &knocking);
    let widest = claims.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, reach) in &claims {
        let _ = writeln!(out, "  {name:<widest$}  {reach}");
    }

    out.push_str("\nvalues\n");
    let mut values = Vec::new();
    flatten(&loaded.tree, String::new(), loader.sources(), &mut values);
    for default in defaults::table() {
        let given = |path: &str| path == default.name || path.starts_with(&format!("{}.", default.name));
        if default.name.contains('.') && !values.iter().any(|value| given(&value.path)) {
            values.push(Origin { path: default.name.to_owned(), text: default.value, from: "default".to_owned() });
        }
    }
    values.sort_by(|a, b| a.path.cmp(&b.path));
    list(&mut out, &values);

    let _ = writeln!(out, "\ntarget values ({})", loader.sources().get(loaded.target.source).name());
    let mut values = Vec::new();
    flatten(&loaded.target.tree, String::new(), loader.sources(), &mut values);
    list(&mut out, &values);
    out
}

/// When users begin, how long that goes on, and what ends it early.
fn load(load: &Load) -> Vec<(&'static str, String)> {
    let mut begin = Vec::new();
    let mut least = load.hold;
    match &load.work {
        Work::Closed { iterations, think, together } => {
            begin.push(format!("{} of each user, as soon as it is done", counted((*iterations).into(), "iteration")));
            if think.to > Micros::ZERO {
                begin.push(format!("after {} of thinking", pause(*think)));
            }
            if !together {
                begin.push("the first as soon as it is greeted, whatever others do".to_owned());
            }
            if load.warm_up > 0 {
                let before = counted(load.warm_up.into(), "iteration");
                begin.push(format!("behind {before} to warm up, not judged"));
            }
            least += Micros(think.from.0.saturating_mul((iterations - 1 + load.warm_up).into()));
        }
        Work::Open(open) => {
            let gaps = if open.poisson { "by chance" } else { "evenly spaced" };
            begin.push(format!("{} by the clock, {gaps}", counted(open.arrivals().round() as u64, "arrival")));
            begin.extend(open.stages.iter().map(|Stage { from, to, lasts }| match from == to {
                true => format!("{}/s for {lasts}", significant(*from)),
                false => format!("{}/s to {}/s within {lasts}", significant(*from), significant(*to)),
            }));
            least += open.lasts();
        }
    }
    if load.hold > Micros::ZERO {
        begin.push(format!("held connected for {} before the first", load.hold));
    }
    let Exposure { pairs, switch, reconnects, further, send_after } = &load.exposure;
    let mut exposed = Vec::new();
    if *pairs > Micros::ZERO {
        exposed.push(format!("by twos, {pairs} after one another"));
    }
    if *switch {
        exposed.push("of each pair one is connected at a time, the one right when the other has hung up".to_owned());
    }
    if *reconnects > 0 {
        exposed.push(format!("each connects and hangs up {} before it asks", counted((*reconnects).into(), "time")));
    }
    if *further > 0 {
        let further = counted((*further).into(), "further connection");
        exposed.push(format!("{further} of each user, with its login, to listen"));
    }
    if !send_after.is_empty() {
        let times: Vec<String> = send_after.iter().map(Micros::to_string).collect();
        exposed.push(format!("asks {} after the upgrade, greeted or not", times.join(", ")));
    }
    let mut all = vec![("begin", begin.join("; "))];
    if !exposed.is_empty() {
        all.push(("exposed", exposed.join("; ")));
    }
    // What the target adds is known only where somebody said so.
    let mut lasts = match (least, load.open().and_then(|open| open.takes)) {
        (Micros::ZERO, _) => "as long as the target takes".to_owned(),
        (least, None) => format!("{least}, and what the target takes"),
        (least, Some(takes)) => format!("about {}, if an iteration takes {takes}", least + takes),
    };
    if let Some(deadline) = &load.deadline {
        lasts.push_str(&format!("; cut after {}", deadline.after));
    }
    all.push(("lasts", lasts));
    all.extend(load.intervals.map(|every| ("summed up", format!("every {every}, on stderr and in {INTERVALS}"))));
    let Ends { on, findings, after } = &load.ends;
    let mut ends: Vec<String> = on.iter().map(|concern| format!("a finding about {}", concern.name())).collect();
    ends.extend(findings.map(|findings| counted(findings, "finding")));
    ends.extend(after.map(|after| after.to_string()));
    if !ends.is_empty() {
        all.push(("ended by", ends.join(", ")));
    }
    all
}

fn pause(Think { from, to }: Think) -> String {
    if from == to { to.to_string() } else { format!("{from} to {to}") }
}

fn target(loaded: &Loaded, loader: &Loader) -> String {
    let profile = &loaded.target.profile;
    let file = loader.sources().get(loaded.target.source).name();
    let place = match (loaded.target.embedded, loaded.target.starts_backend) {
        (true, true) => "embedded backend, started in this process: not your system",
        (true, false) => "embedded backend: not your system",
        (false, _) if loaded.target.loopback => "on this machine",
        (false, _) => "not on this machine: its limits hold",
    };
    let faults: Vec<String> = loaded.target.faults.iter().map(ToString::to_string).collect();
    let faults = if faults.is_empty() { String::new() } else { format!("; with faults: {}", faults.join(", ")) };
    format!("{} ({file}); {place}{faults}", profile.name)
}

/// Every claim with what the plan can show of it at best.
fn claims(scenario: &Scenario, planned: &Planned, knocking: &Knocking) -> Vec<(String, String)> {
    let expected = &scenario.expect.claims;
    let clean = |trials: u64| {
        let bound = stats::upper_bound(0, trials, stats::CONFIDENCE) * 100.0;
        format!("without a failure shows under {} % of {}", significant(bound), counted(trials, "run"))
    };
    let required = |required: bool| if required { "" } else { " (not required)" };
    let mut all = vec![
        ("setup".to_owned(), counted(planned.setups, "set-up") + required(expected.setup.required)),
        (
            "transport".to_owned(),
            counted(planned.setups + planned.reconnects, "connection") + required(expected.transport.required),
        ),
        ("events".to_owned(), clean(planned.runs) + required(expected.events.required)),
        ("answer".to_owned(), counted(planned.runs, "answer") + required(expected.answer.required)),
    ];
    all.push(match &expected.isolation {
        Some(asserted) => {
            let overlap = format!("{}% of users must overlap; ", significant(expected.min_overlap * 100.0));
            ("isolation".to_owned(), overlap + &clean(planned.runs) + required(asserted.required))
        }
        None => ("isolation".to_owned(), "not claimed with a single user".to_owned()),
    });
    if let Some(doors) = &expected.doors {
        let text = format!("{} of {} asked for", knocking.knock.len(), counted(doors.probes.len() as u64, "probe"));
        all.push(("doors".to_owned(), text + required(doors.asserted.required)));
    }
    for budget in &scenario.expect.budgets {
        let passes = planned.passes(budget.segment);
        let needed = match budget.statistic {
            Statistic::Quantile(q) => {
                let prove = if budget.proven { stats::runs_to_prove(q, stats::CONFIDENCE) } else { 0 };
                stats::minimum_runs(q).max(prove)
            }
            Statistic::Mean | Statistic::Max | Statistic::Min => 1,
        };
        let name = budget.name().to_string();
        let bound = if budget.statistic == Statistic::Min { "at least" } else { "at most" };
        let each = if budget.per.is_some() { " in each window" } else { "" };
        let text = format!("{bound} {}; {passes} planned, {needed} needed{each}", budget.limit);
        all.push((name, text + required(budget.required)));
    }
    if let Some(reliability) = &expected.reliability {
        let trials = match reliability.of {
            ReliabilityOf::GoldenPath => planned.iterations,
            ReliabilityOf::Connection => planned.passes(Segment::Connect),
        };
        let needed = stats::trials_needed_clean(reliability.at_least, reliability.confidence);
        let text =
            format!("at least {} %; {trials} planned, {needed} needed", significant(reliability.at_least * 100.0));
        all.push(("reliability".to_owned(), text + required(reliability.required)));
    }
    all
}

/// Up to four digits, without zeros that say nothing.
fn significant(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A value of a file, flag or variable, or a default.
struct Origin {
    path: String,
    text: String,
    from: String,
}

/// Every leaf of a tree but other environments, with the place it is from.
fn flatten(node: &Node, path: String, sources: &Sources, all: &mut Vec<Origin>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match &node.value {
        Value::Map(entries) => {
            for entry in entries.iter().filter(|entry| !(path.is_empty() && entry.key.text == "environments")) {
                flatten(&entry.value, below(&entry.key.text), sources, all);
            }
        }
        Value::List(items) if items.iter().any(|item| matches!(item.value, Value::Map(_) | Value::List(_))) => {
            for (index, item) in items.iter().enumerate() {
                flatten(item, below(&index.to_string()), sources, all);
            }
        }
        _ => {
            let secret = path.ends_with("password") || path.ends_with("on_loopback");
            let text = if secret { "(hidden)".to_owned() } else { node.to_json().to_string() };
            let source = sources.get(node.span.source).name();
            // Flags and variables have one line; files have many.
            let from = match source.starts_with("--") || source.starts_with("GOLDENPATH_") {
                true => source.to_owned(),
                false => format!("{source}:{}", sources.position(node.span).0),
            };
            all.push(Origin { path, text, from });
        }
    }
}

fn list(out: &mut String, values: &[Origin]) {
    const WIDEST: usize = 40;
    let width = |text: &str| text.chars().count().min(WIDEST);
    let names = values.iter().map(|value| width(&value.path)).max().unwrap_or_default();
    for value in values {
        let _ = writeln!(out, "  {:<names$}  {}  ({})", value.path, escape(&value.text), value.from);
    }
}
