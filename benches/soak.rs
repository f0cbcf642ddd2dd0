//! Whether the memory of a soak is flat: the product's own `run` with an ordinary scenario, against the embedded backend in a
//! process of its own, over two million frames and more; a table of what the harness held in each stretch of it.
//!
//! Takes some minutes, and at most nine. `docs/performance.md` has the figures and how they are read.

#![allow(clippy::disallowed_methods, reason = "a benchmark starts processes and reads what they leave behind")]

#[path = "support/backend.rs"]
mod backend;

use std::fs;
use std::process::Command;

use serde_json::Value;

use backend::Backend;

/// Frames that are to be received: five for each run.
const FRAMES: u64 = 2_000_000;
const USERS: u64 = 200;
const PER_RUN: u64 = 5;
/// Of the frames so many are received before memory counts: all users are logged in, and what is bounded is filled.
const WARM: u64 = FRAMES / 2;
/// What a run may leave behind, in bytes: three quarters above what was measured. More is a leak, for whatever is kept of runs is
/// bounded.
const PER_RUN_BYTES: f64 = 32.0;

fn main() {
    let goldenpath = env!("CARGO_BIN_EXE_goldenpath");
    let folder = tempfile::tempdir().expect("a folder");
    let options = ["serve", "--delay", "0ms", "--token-lifetime", "1h"];
    let backend = Backend::start(Command::new(goldenpath).args(options));
    let url = format!("http://{}", backend.address);
    let iterations = FRAMES.div_ceil(PER_RUN * USERS) + 1;
    let scenario = format!(
        r#"
version: 1
name: soak
target: embedded
users:
  count: {USERS}
  session: keep
  email: "qa${{user.number}}@example.com"
  password: {{ env: PASSWORD, on_loopback: golden-path }}
load: {{ closed: {{ iterations: {iterations} }}, intervals: 10s, stop: {{ after: 9m }} }}
ask: {{ prompt: "Which services drive our cloud bill? (ref ${{canary}})" }}
expect: {{ budgets: {{ run: {{ max: 60s }} }} }}
"#
    );
    fs::write(folder.path().join("soak.yaml"), scenario).expect("a file");
    let ended = Command::new(goldenpath)
        .args(["run", "soak.yaml", "--quiet", "--out", "out", "--seed", "1", "--url", &url])
        .current_dir(folder.path())
        .output()
        .expect("the harness starts");
    print!("{}", String::from_utf8_lossy(&ended.stdout));
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    let summed = fs::read_to_string(folder.path().join("out/intervals.jsonl")).expect("summaries");
    table(summed.lines().map(|line| serde_json::from_str(line).expect("an object")));
}

/// Prints what was held in each stretch, and fails unless that was flat.
fn table(stretches: impl Iterator<Item = Value>) {
    println!(
        "\n{:>8} {:>11} {:>10} {:>6} {:>9} {:>12}",
        "seconds", "frames", "memory", "files", "run p99", "% of a core"
    );
    let (mut frames, mut held) = (0, Vec::new());
    for stretch in stretches {
        let of = |field: &str| stretch[field].as_u64().unwrap_or_default();
        frames += of("frames");
        held.push((frames, of("memory_bytes")));
        println!(
            "{:>8.0} {frames:>11} {:>7.1} MB {:>6} {:>6.0} ms {:>12.0}",
            of("to_us") as f64 / 1e6,
            of("memory_bytes") as f64 / 1e6,
            of("files"),
            of("run_p99_us") as f64 / 1e3,
            of("process_us") as f64 * 100.0 / (of("to_us") - of("from_us")).max(1) as f64,
        );
    }
    assert!(frames >= FRAMES, "the soak was over after {frames} frames");
    let warm = held.iter().find(|(frames, _)| *frames >= WARM).expect("it became warm");
    let last = held.last().expect("there were stretches");
    let runs = (last.0 - warm.0).max(1) as f64 / PER_RUN as f64;
    let growth = (last.1 as f64 - warm.1 as f64) / runs;
    println!("\n{growth:.0} bytes more for each run beyond the first {} frames", warm.0);
    assert!(growth < PER_RUN_BYTES, "memory grows with every run");
}
