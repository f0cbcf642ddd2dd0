//! Two reports held against each other, and what `run`, `report` and `compare` make of reports on the command line.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use goldenpath::document::tree::Value;
use goldenpath::document::{Context, Node, Sources, read};
use goldenpath::report::{
    Incomparable, Page, Report, Trend, Word, compare, comparison_markdown, comparison_text, comparison_to_json,
    from_json, render, to_json,
};
use goldenpath::stats::Histogram;

use super::report::{PAGE, blocked, examples, failed, hostile, inconclusive, interrupted, passed};

// ---------------------------------------------------------------------------------------------------------------------
// What changed

/// The same report with other latencies of a segment: each times `factor`.
fn slower(report: &Report, name: &str, factor: u64) -> Report {
    let mut report = report.clone();
    let segment = report.segments.iter_mut().find(|segment| segment.name == name).expect("the segment was measured");
    let mut histogram = Histogram::new();
    for rank in 1..=segment.histogram.len() {
        histogram.record(segment.histogram.value_at_rank(rank).expect("there are so many") * factor);
    }
    segment.histogram = histogram;
    report
}

#[test]
fn a_report_is_the_same_as_itself() {
    let comparison = compare(&passed(), &passed()).unwrap();
    assert_eq!(comparison.trend, Trend::Same, "{}", comparison.sentence);
    assert!(comparison.warnings.is_empty(), "{:?}", comparison.warnings);
    assert!(!comparison.has_new_failures());
}

#[test]
fn a_report_is_worse_where_it_fails_anew() {
    let comparison = compare(&passed(), &failed()).unwrap();
    assert_eq!(comparison.trend, Trend::Worse);
    assert!(comparison.has_new_failures());
    let back = compare(&failed(), &passed()).unwrap();
    assert!(!back.has_new_failures());
    assert!(back.new_findings.is_empty() && !back.gone_findings.is_empty());
}

#[test]
fn known_failures_are_not_new_and_leaks_are_never_known() {
    let mut base = failed();
    let comparison = compare(&base, &base).unwrap();
    assert!(comparison.has_new_failures(), "a leak");
    base.findings.retain(|group| group.code != "GP201");
    base.claims.iter_mut().filter(|claim| claim.name == "isolation").for_each(|claim| claim.verdict = Word::Pass);
    let comparison = compare(&base, &base).unwrap();
    assert!(!comparison.has_new_failures(), "{}", comparison.sentence);
    assert!(!comparison.known_findings.is_empty());
}

#[test]
fn latencies_far_apart_are_worse_or_better() {
    let (fast, slow) = (passed(), slower(&passed(), "golden_path", 2));
    let worse = compare(&fast, &slow).unwrap();
    assert_eq!((worse.trend, worse.sentence.as_str()), (Trend::Worse, "golden_path p50"), "p95 needs more runs");
    let better = compare(&slow, &fast).unwrap();
    assert_eq!((better.trend, better.sentence.as_str()), (Trend::Better, "golden_path p50"));
}

#[test]
fn too_few_runs_are_unclear_and_never_the_same() {
    let comparison = compare(&inconclusive(), &inconclusive()).unwrap();
    assert_eq!(comparison.trend, Trend::Unclear);
    assert!(comparison.sentence.contains("too few runs"), "{}", comparison.sentence);
}

#[test]
fn what_was_not_measured_is_unclear_and_not_worse() {
    for unmeasured in [blocked(), interrupted()] {
        for (base, new) in [(passed(), unmeasured.clone()), (unmeasured, passed())] {
            let comparison = compare(&base, &new).unwrap();
            assert_eq!(comparison.trend, Trend::Unclear, "{}", comparison.sentence);
        }
    }
    let from_nothing = compare(&blocked(), &failed()).unwrap();
    assert_eq!(from_nothing.trend, Trend::Unclear, "{}", from_nothing.sentence);
}

#[test]
fn more_failing_iterations_are_worse_only_if_luck_does_not_explain_them() {
    let with = |failures| {
        let mut report = passed();
        report.counts.iterations_failed = failures;
        report
    };
    assert_eq!(compare(&with(0), &with(2)).unwrap().trend, Trend::Same);
    assert_eq!(compare(&with(0), &with(20)).unwrap().trend, Trend::Worse);
    assert_eq!(compare(&with(20), &with(0)).unwrap().trend, Trend::Better);
}

#[test]
fn events_that_come_or_stay_away_are_named() {
    let mut new = passed();
    new.events.remove("agent_thinking");
    new.unknown_events.insert("token_usage".into(), 3);
    let comparison = compare(&passed(), &new).unwrap();
    assert_eq!(comparison.new_events, ["token_usage"]);
    assert_eq!(comparison.lost_events, ["agent_thinking"]);
    assert_eq!(comparison.trend, Trend::Same);
}

#[test]
fn envelopes_and_ends_that_come_or_stay_away_are_named() {
    let mut new = passed();
    let first = new.census[0].clone();
    new.census[0].envelope = "/event_name".into();
    new.ends.insert("closed 1011".into(), 2);
    let comparison = compare(&passed(), &new).unwrap();
    assert_eq!(comparison.new_envelopes, [format!("{}: /event_name", first.event)]);
    assert_eq!(comparison.lost_envelopes, [format!("{}: {}", first.event, first.envelope)]);
    assert_eq!((comparison.new_ends, comparison.lost_ends), (vec!["closed 1011".to_owned()], vec![]));
    assert_eq!(comparison.trend, Trend::Same);
    new.census.retain(|row| row.event != first.event);
    let gone = compare(&passed(), &new).unwrap();
    assert_eq!(gone.lost_envelopes, [""; 0], "an event that stays away is told as such");
}

#[test]
fn other_scenarios_and_the_embedded_backend_are_refused() {
    let mut other = passed();
    other.scenario.name = "load".into();
    assert!(matches!(compare(&passed(), &other), Err(Incomparable::Scenario { .. })));
    let mut embedded = passed();
    embedded.target.embedded = true;
    assert_eq!(compare(&passed(), &embedded), Err(Incomparable::Embedded));
}

#[test]
fn circumstances_that_move_figures_are_warned_of() {
    let mut new = passed();
    new.scenario.users = 80;
    new.target.http = Some("https://prod.example.com".into());
    let comparison = compare(&passed(), &new).unwrap();
    let text = comparison.warnings.join("; ");
    assert!(text.contains("users differ: 40 users before, 80 users now") && text.contains("targets differ"), "{text}");
}

#[test]
fn a_comparison_as_text() {
    insta::assert_snapshot!(comparison_text(&compare(&passed(), &failed()).unwrap(), &PAGE));
}

#[test]
fn a_comparison_as_markdown() {
    let slow = slower(&passed(), "golden_path", 2);
    insta::assert_snapshot!(comparison_markdown(&compare(&slow, &passed()).unwrap()));
}

#[test]
fn a_comparison_is_one_document_and_harmless() {
    let comparison = compare(&passed(), &hostile()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&comparison_to_json(&comparison)).unwrap();
    assert_eq!(document["trend"], "worse");
    for text in [comparison_text(&comparison, &PAGE), comparison_markdown(&comparison), comparison_to_json(&comparison)]
    {
        super::report::assert_harmless(&text);
    }
    for line in comparison_text(&comparison, &PAGE).lines() {
        assert!(tabled::grid::util::string::get_string_width(line) <= PAGE.width, "{line}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// On the command line

/// A folder with the scenarios of this repository.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("scenarios/targets")).expect("a folder");
    for name in ["scenarios/smoke.yaml", "scenarios/isolation.yaml", "scenarios/targets/netra.yaml"] {
        fs::copy(root().join(name), folder.path().join(name)).expect("a copy");
    }
    folder
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The binary in a folder, without any variable of whoever runs the tests.
fn goldenpath(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goldenpath"));
    command.current_dir(folder).env_clear().args(words);
    command
}

fn run(folder: &Path, words: &[&str]) -> (i32, String, String) {
    told(goldenpath(folder, words).output().expect("the binary runs"))
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("no signal ended it"), text(output.stdout), text(output.stderr))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a UTF-8 name")).collect();
    names.sort();
    names
}

fn report_in(folder: &Path) -> Report {
    from_json(&fs::read_to_string(folder.join("report.json")).expect("a report")).expect("a report")
}

#[test]
fn a_run_leaves_every_file_and_the_latest_leads_to_it() {
    let place = workplace();
    let (code, out, _) = run(place.path(), &["run", "scenarios/smoke.yaml", "--quiet"]);
    assert_eq!(code, 0, "{out}");
    let latest = place.path().join("reports/latest");
    let all = ["junit.xml", "recording.gpr", "report.html", "report.json", "summary.md"];
    assert_eq!(names(&latest), all, "and nothing half written");
    assert_eq!(report_in(&latest).verdict.outcome, Word::Pass);
    // Rendered again it is the same to the byte.
    let again = |format: &str| run(place.path(), &["report", "reports/latest", "--format", format]).1;
    assert_eq!(again("junit"), fs::read_to_string(latest.join("junit.xml")).unwrap());
    assert_eq!(again("markdown"), fs::read_to_string(latest.join("summary.md")).unwrap());
    assert_eq!(again("html"), fs::read_to_string(latest.join("report.html")).unwrap());
    assert_eq!(again("json"), fs::read_to_string(latest.join("report.json")).unwrap());
    let without_path =
        |text: &str| text.lines().filter(|line| !line.starts_with("  report ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_path(&again("text")), without_path(&out));
    let report = report_in(&latest);
    assert_eq!(again("text"), render(&report, &Page { saved: Some("reports/latest/report.json"), ..PAGE }));
}

#[test]
fn keeping_deletes_the_oldest_of_its_own_and_nothing_else() {
    let place = workplace();
    let reports = place.path().join("reports");
    for name in ["20200101T000000Z-smoke-00000001", "20210101T000000Z-smoke-00000002", "mine", "20200101T000000Z-smoke"]
    {
        fs::create_dir_all(reports.join(name)).unwrap();
    }
    let words = ["run", "scenarios/smoke.yaml", "--quiet", "--keep", "2"];
    let (code, _, err) = run(place.path(), &words);
    assert_eq!((code, err.as_str()), (0, ""));
    let left = names(&reports);
    assert_eq!(left.len(), 5, "{left:?}");
    for name in ["20210101T000000Z-smoke-00000002", "mine", "20200101T000000Z-smoke", "latest"] {
        assert!(left.iter().any(|left| left == name), "{name} is gone: {left:?}");
    }
    let (code, _, err) = run(place.path(), &["run", "scenarios/smoke.yaml", "--keep", "2", "--out", "here"]);
    assert_eq!(code, 2, "{err}");
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_beside_the_verdict() {
    let place = workplace();
    fs::write(place.path().join("taken"), "a file").unwrap();
    let (code, out, err) = run(place.path(), &["run", "scenarios/smoke.yaml", "--quiet", "--out", "taken"]);
    assert_eq!(code, 5);
    assert!(out.starts_with("PASS  ") && !out.contains("  report "), "{out}");
    assert!(err.contains("failed to make the folder taken"), "{err}");
    // A file that cannot be replaced leaves no half behind.
    fs::create_dir_all(place.path().join("half/summary.md")).unwrap();
    let (code, out, err) = run(place.path(), &["run", "scenarios/smoke.yaml", "--quiet", "--out", "half"]);
    assert_eq!(code, 5);
    assert!(out.starts_with("PASS  ") && err.contains("failed to write half/summary.md"), "{out}{err}");
    assert!(names(&place.path().join("half")).iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn users_can_be_driven_alone_and_the_verdict_says_so() {
    let place = workplace();
    let words = ["run", "scenarios/smoke.yaml", "--quiet", "--out", "few", "--seed", "7", "--only-users"];
    let (_, out, err) = run(place.path(), &[&words[..], &["4,2"]].concat());
    assert!(out.contains("(only users 2 and 4 of 5)"), "{out}{err}");
    let report = report_in(&place.path().join("few"));
    assert_eq!((report.scenario.users, report.counts.users, report.counts.runs), (5, 2, 2));
    assert!(report.execution.command.contains("--only-users 2,4 "), "{}", report.execution.command);
    let (_, out, _) = run(place.path(), &[&words[..], &["3"]].concat());
    assert!(out.contains("isolation is not claimed with a single user"), "{out}");
    let (_, out, _) = run(place.path(), &[&words[..], &["2,4", "--dry-run"]].concat());
    assert!(out.contains("\nonly       2 users of them take part: 2, 4\n"), "{out}");
    let (code, _, err) = run(place.path(), &[&words[..], &["3,6"]].concat());
    assert_eq!(code, 2);
    assert!(err.contains("has no user 6; it has 1 to 5"), "{err}");
}

/// A limit that nobody can keep, and runs so long that no lateness of a busy machine explains them.
const OVER_A_MILLISECOND: [&str; 4] = ["--set", "expect.budgets.run.max=1ms", "--fault", "slow-tool:by=2s"];

#[test]
fn repetitions_have_a_report_each_and_a_line_that_sums_up() {
    let place = workplace();
    let (code, out, _) =
        run(place.path(), &["run", "scenarios/smoke.yaml", "--quiet", "--out", "r", "--repeat", "3", "--until-fail"]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(out.lines().last(), Some("smoke: passed 3 of 3 times"));
    assert_eq!(names(&place.path().join("r")), ["1", "2", "3"]);
    let ids: Vec<_> = (1..=3).map(|nth| report_in(&place.path().join(format!("r/{nth}"))).execution.id).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    // The first failure is the last execution.
    let never = [&OVER_A_MILLISECOND[..], &["--repeat", "3", "--until-fail"]].concat();
    let (code, out, _) =
        run(place.path(), &[&["run", "scenarios/smoke.yaml", "--quiet", "--out", "n"][..], &never].concat());
    assert_eq!(code, 1, "{out}");
    assert_eq!(out.lines().last(), Some("smoke: failed at 1 of 3; passed 0 of 1 executed"));
    assert_eq!(names(&place.path().join("n")), ["1"]);
}

#[test]
fn a_baseline_gates_on_what_is_new() {
    let place = workplace();
    let base = |words: &[&str]| {
        let all = ["run", "scenarios/smoke.yaml", "--quiet", "--out", "base"];
        run(place.path(), &[&all[..], words].concat())
    };
    let never = OVER_A_MILLISECOND;
    let against = |words: &[&str]| {
        let all = ["run", "scenarios/smoke.yaml", "--quiet", "--out", "new", "--baseline", "base"];
        run(place.path(), &[&all[..], words].concat())
    };
    assert_eq!(base(&never).0, 1);
    let (code, out, _) = against(&[&never[..], &["--fail-on", "new"]].concat());
    assert_eq!(code, 0, "what failed before is forgiven: {out}");
    assert_eq!(against(&never).0, 1, "but not unasked");
    assert_eq!(base(&[]).0, 0);
    let (code, out, _) = against(&[&never[..], &["--fail-on", "new"]].concat());
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("\nWORSE  new: GP304 over-budget"), "{out}");
    assert!(names(&place.path().join("new")).contains(&"compare.md".to_owned()));
    for format in ["json", "html"] {
        let (code, out, _) = run(place.path(), &["compare", "base", "new/report.json", "--format", format]);
        assert_eq!(code, 1);
        assert_eq!(out, fs::read_to_string(place.path().join(format!("new/compare.{format}"))).unwrap());
    }
}

#[test]
fn what_cannot_be_compared_is_refused_before_any_traffic() {
    let place = workplace();
    let write = |name: &str, report: &Report| fs::write(place.path().join(name), to_json(report)).unwrap();
    write("isolation.json", &passed());
    write("broken.json", &passed());
    fs::write(place.path().join("broken.json"), "{}").unwrap();
    for base in ["isolation.json", "broken.json", "missing.json"] {
        let (code, out, err) = run(place.path(), &["run", "scenarios/smoke.yaml", "--baseline", base]);
        assert_eq!((code, out.as_str()), (2, ""), "{base}: {err}");
        assert!(!place.path().join("reports").exists());
    }
    let mut other = passed();
    other.scenario.name = "load".into();
    write("load.json", &other);
    let (code, _, err) = run(place.path(), &["compare", "isolation.json", "load.json"]);
    assert_eq!(code, 2);
    assert!(err.contains("compare two executions of one scenario"), "{err}");
}

#[test]
fn every_example_renders_from_its_file_as_it_did() {
    let place = workplace();
    for (index, report) in examples().iter().enumerate() {
        let file = format!("{index}.json");
        fs::write(place.path().join(&file), to_json(report)).unwrap();
        let (code, out, _) = run(place.path(), &["report", &file]);
        assert_eq!((code, out), (0, render(report, &Page { saved: Some(&file), ..PAGE })));
    }
}

#[test]
fn github_is_told_only_where_it_listens() {
    let place = workplace();
    let (summary, output) = (place.path().join("summary"), place.path().join("output"));
    let words = [&["run", "scenarios/smoke.yaml", "--quiet", "--out", "g"][..], &OVER_A_MILLISECOND].concat();
    let step = |actions: &str| {
        let mut command = goldenpath(place.path(), &words);
        command.env("GITHUB_ACTIONS", actions).env("GITHUB_STEP_SUMMARY", &summary).env("GITHUB_OUTPUT", &output);
        told(command.output().expect("the binary runs"))
    };
    let (_, _, err) = step("false");
    assert!(!summary.exists() && !output.exists() && !err.contains("::"), "{err}");
    let (code, out, err) = step("true");
    assert_eq!(code, 1);
    assert!(err.contains("::error file=scenarios/smoke.yaml,line="), "{err}");
    assert!(!out.contains("::error"), "stdout holds the result only");
    assert!(fs::read_to_string(&summary).unwrap().starts_with("## ❌ **fail**: `smoke`\n"));
    assert_eq!(fs::read_to_string(&output).unwrap(), "verdict=fail\nexit_code=1\nreport=g\n");
    // What is there is kept, and a full summary is left as it is.
    fs::write(&summary, "x".repeat(1024 * 1024)).unwrap();
    let (_, _, err) = step("true");
    assert!(err.contains("the step's summary is full"), "{err}");
    assert_eq!(fs::metadata(&summary).unwrap().len(), 1024 * 1024);
}

// ---------------------------------------------------------------------------------------------------------------------
// Recipes

/// The recipes of `docs/ci.md` in a language.
fn recipes(language: &str) -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/ci.md")).expect("the page is there");
    let block = regex::Regex::new(&format!("(?ms)^```{language}\n(.*?)^```$")).unwrap();
    block.captures_iter(&page).map(|found| found[1].to_owned()).collect()
}

#[test]
fn recipes_are_what_their_platforms_read() {
    let [github, gitlab] = recipes("yaml").try_into().expect("two recipes");
    let tree = document(&github);
    only(&tree, &["name", "on", "concurrency", "permissions", "jobs"]);
    only(at(&tree, &["concurrency"]), &["group", "cancel-in-progress"]);
    let job = at(&tree, &["jobs", "golden-path"]);
    only(job, &["runs-on", "timeout-minutes", "steps"]);
    let Value::List(steps) = &at(job, &["steps"]).value else { panic!("steps are a list") };
    for step in steps {
        only(step, &["name", "id", "if", "env", "run", "uses", "with"]);
        assert_eq!(keys(step).iter().filter(|key| ["run", "uses"].contains(&key.as_str())).count(), 1);
    }
    let tree = document(&gitlab);
    let job = at(&tree, &["golden-path"]);
    let known =
        ["stage", "image", "resource_group", "interruptible", "timeout", "script", "allow_failure", "artifacts"];
    only(job, &known);
    only(at(job, &["artifacts"]), &["when", "paths", "reports"]);
    at(job, &["artifacts", "reports", "junit"]);
    let help = run(&root(), &["run", "--help"]).1;
    let flag = regex::Regex::new("--[a-z-]+").unwrap();
    for recipe in [&github, &gitlab, &recipes("sh")[0]] {
        let command = recipe.lines().find(|line| line.contains("goldenpath run")).expect("a command");
        assert!(command.contains("exec goldenpath run "), "signals must arrive: {command}");
        for flag in flag.find_iter(command) {
            assert!(help.contains(flag.as_str()), "there is no {}", flag.as_str());
        }
    }
}

#[test]
fn the_shell_recipe_runs_and_signals_arrive() {
    let [recipe] = recipes("sh").try_into().expect("one recipe");
    let place = workplace();
    let script = place.path().join("golden-path.sh");
    fs::write(&script, recipe).unwrap();
    let folder = Path::new(env!("CARGO_BIN_EXE_goldenpath")).parent().unwrap();
    let path = std::env::join_paths(
        [folder.to_path_buf()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let command = |words: &[&str]| {
        let mut command = Command::new("sh");
        command.arg(&script).args(words).current_dir(place.path()).env_clear();
        command.env("PATH", path.as_ref().unwrap()).env("TMPDIR", place.path());
        command
    };
    let (code, out, err) = told(command(&["--quiet"]).output().expect("a shell"));
    assert_eq!(code, 0, "{out}{err}");
    let all = ["junit.xml", "recording.gpr", "report.html", "report.json", "summary.md"];
    assert_eq!(names(&place.path().join("reports/ci")), all);

    // Enough iterations that none of them is the last when the signal comes.
    let mut long = command(&["--set", "load.closed.iterations=5000"]);
    let mut child = long.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a shell");
    let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("asking  ") {
        line.clear();
        assert!(stderr.read_line(&mut line).expect("stderr is open") > 0, "it ended before it asked");
    }
    let killed = Command::new("sh").args(["-c", &format!("kill -TERM {}", child.id())]).status();
    assert!(killed.expect("a shell").success());
    std::io::copy(&mut stderr, &mut std::io::sink()).expect("stderr is open");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert_eq!(report_in(&place.path().join("reports/ci")).verdict.outcome, Word::Interrupted);
}

fn document(text: &str) -> Node {
    let mut sources = Sources::new();
    let mut cx = Context::new();
    let id = sources.add("recipe.yaml", text.to_owned());
    let tree = read(&sources, id, &mut cx);
    let mistakes: Vec<String> = cx.finish().into_iter().map(|diagnostic| diagnostic.title).collect();
    assert!(mistakes.is_empty(), "{mistakes:?}\n{text}");
    tree.expect("a document")
}

fn keys(node: &Node) -> Vec<String> {
    let Value::Map(entries) = &node.value else { panic!("a map is wanted") };
    entries.iter().map(|entry| entry.key.text.to_string()).collect()
}

fn only(node: &Node, known: &[&str]) {
    for key in keys(node) {
        assert!(known.contains(&key.as_str()), "{key} is not known");
    }
}

fn at<'a>(node: &'a Node, path: &[&str]) -> &'a Node {
    path.iter().fold(node, |node, key| {
        let Value::Map(entries) = &node.value else { panic!("a map is wanted at {key}") };
        let entry = entries.iter().find(|entry| entry.key.text == *key);
        &entry.unwrap_or_else(|| panic!("{key} is missing")).value
    })
}
