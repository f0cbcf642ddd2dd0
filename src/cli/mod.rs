//! The edge: what is typed, what is printed, files, variables, exit codes.
//!
//! ```text
//! mod        the command line, and one match over the commands
//! load       files and overrides -> a scenario with its target
//! reach      what a plan can show at best
//! run        scenarios one after the other
//! execute    one execution of one scenario
//! record     the file of a recording
//! resolved   what stands in it beside what was observed
//! init       files to begin with
//! judge      recordings judged again
//! replay     how: a recording opened, by what it is judged, one judge told a tape
//! choice     which scenarios, for whom, on how many threads
//! plan       what an execution would do
//! faults     which misbehaviour of the embedded backend is asked for
//! serve      the embedded backend by itself
//! doctor     where the way to a target ends, and why
//! explain    the catalogue of rules
//! validate   every mistake of every file
//! schema     the JSON Schemas of the formats
//! show       diagnostics on the terminal
//! selftest   every fault of the embedded backend on trial: is it caught, and called by its name
//! report     render a report again
//! compare    two reports against each other
//! github     what GitHub's runner is told
//! output     files that an execution leaves behind
//! watch      who watches while an execution goes on
//! sampled    what the process takes of its machine meanwhile
//! progress   how far it is, on stderr
//! intervals  what went on in each stretch of a soak
//! signals    who asks for the end
//! trust      whom to trust over TLS
//! way        which way leads to a target
//! unix       what only Unix systems offer
//! exit       exit codes
//! ```
//!
//! Results go to stdout, talk goes to stderr. Nothing here decides a verdict.

#![expect(clippy::disallowed_methods, reason = "the edge reads files, variables and arguments")]

pub mod exit;
pub mod load;
mod machine;
pub mod reach;
pub mod show;

mod choice;
mod compare;
mod doctor;
mod execute;
mod explain;
mod faults;
mod github;
mod init;
mod intervals;
mod judge;
mod output;
mod plan;
mod progress;
mod record;
mod replay;
mod report;
mod resolved;
mod run;
mod sampled;
mod schema;
mod selftest;
mod serve;
mod signals;
mod trust;
mod unix;
mod validate;
mod watch;
mod way;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Exit;

/// Drive simulated users against a chat backend and judge every frame that every user receives.
#[derive(Debug, Parser)]
#[command(name = "goldenpath", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    everything that was asked for holds
  1    a required claim failed
  2    usage, or a mistake in a file; there was no traffic
  3    blocked: the target could not be tested
  4    inconclusive: not enough was observed
  5    the harness broke
  130  interrupted";

#[derive(Debug, Subcommand)]
enum Command {
    /// Drive users, judge what they receive, report
    Run(Box<run::Args>),
    /// Show what a run would do, with every value and where it is from, and what each claim can reach; nothing is sent
    Plan(Box<plan::Args>),
    /// Run the embedded backend until it is interrupted
    Serve(serve::Args),
    /// Judge a recording again, without any traffic
    Judge(judge::Args),
    /// Let the embedded backend misbehave in every way it knows, and check that each is caught
    Selftest(selftest::Args),
    /// Render a report again
    Report(report::Args),
    /// Say what changed between two reports
    Compare(compare::Args),
    /// Send one user up the ladder to a target, and say where it breaks and why
    Doctor(Box<doctor::Args>),
    /// Write a commented scenario and profile to begin with; nothing is overwritten
    Init(init::Args),
    /// Explain a rule: what it means, what usually causes it, what to do
    Explain(explain::Args),
    /// Show every mistake in scenario and target files, without any traffic
    Validate(validate::Args),
    /// Print the JSON Schema of a file format
    Schema(schema::Args),
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not mistakes; what cannot be printed changes nothing.
            let usage = error.use_stderr();
            let _ = error.print();
            return if usage { Exit::Usage } else { Exit::Pass }.into();
        }
    };
    // A panic is the harness's fault and must not look like a verdict; its message is on stderr already.
    let exit = std::panic::catch_unwind(|| match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Plan(args) => plan::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Judge(args) => judge::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Schema(args) => schema::run(&args),
    });
    match exit {
        Ok(Ok(exit)) => exit.into(),
        // Whoever read our output has seen enough of it.
        Ok(Err(error)) if is_broken_pipe(&error) => Exit::Pass.into(),
        Ok(Err(error)) => {
            eprintln!("goldenpath: {error:#}");
            Exit::Broke.into()
        }
        Err(_) => Exit::Broke.into(),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_declared_without_contradiction() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
