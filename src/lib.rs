//! goldenpath: a black-box harness for chat backends whose answers stream as events over WebSockets.
//!
//! It logs simulated users in over HTTP, opens their WebSockets, asks the agent, and judges every frame that every user
//! receives: complete and in order, isolated, in time, with an answer worth having. The binary is a thin wrapper around
//! [`cli::main`]; the stable things are the file formats, the report and the exit codes, not this API.
//!
//! # The map
//!
//! Arrows point down only; `tests/it/tidy.rs` holds every `use` against its table, `docs/architecture.md` explains it.
//!
//! ```text
//! vocabulary   time identity canary secret event rule probe finding
//!
//! document     YAML into one tree with places; diagnostics; ${...} in texts
//! stats        histograms, exact bounds for proportions and quantiles
//! expect       compiled expectations: dialect, grammar, ids, budgets; plain data
//! trace        frames and facts: what was observed
//! matcher      matchers and pointers as files write them
//! scenario     what users do and what must hold
//! target       how a backend is reached, logged into, asked and understood
//! plan         all that is decided beforehand, from a seed
//! check        THE JUDGE: automaton, lanes, ledger, conclusion; pure
//! report       the versioned report tree, and its renderers
//! engine       many users at once: threads, pace, stopping
//! session      one user over the network: clock, HTTP, socket
//! backend      ISLAND: the embedded target; uses nothing of ours
//! cli          the edge: commands, files, variables, terminal, exit codes
//! ```
//!
//! # The words
//!
//! | word | means |
//! |---|---|
//! | target | the system under test; a *target profile* describes its addresses, login and dialect |
//! | scenario | what users do and what must hold: one YAML file |
//! | execution | one invocation of the harness over a scenario (not "run": the target has runs) |
//! | run, thread | the agent's run and conversation, `run_id` and `thread_id`: the target's own words |
//! | virtual user | a simulated user with credentials |
//! | iteration | one pass of one user along the golden path |
//! | turn | one ask of an iteration, and the run that answers it |
//! | session, connection | logged-in state; one WebSocket from upgrade to close |
//! | frame | one complete WebSocket message or control signal, stamped on arrival |
//! | event | what a frame carries once decoded |
//! | dialect | how one backend spells event names, identities, tool names, answers |
//! | milestone, segment | a named point of an iteration; the time between two of them |
//! | canary | an unguessable mark in a user's prompt, so that foreign text can be traced to its owner |
//! | recording | frames and facts of an execution, stamped and free of secrets, that can be judged again |
//! | finding | one judged deviation: rule, subject, the smallest evidence |
//! | claim | something asserted of an execution; it gets the verdict |
//! | probe, door | one way to come who must be refused; what it knocks at, which must stay shut |
//! | environment | a named block (`staging`) of a profile or scenario; the process's are *variables* |
//!
//! Three kinds of bad news never turn into one another: a *finding* (the target misbehaved; data), a *diagnostic* (the user's
//! file is wrong; all of them at once, with their places), an *error* (the harness broke).
//!
//! # One golden path
//!
//! What a live execution does, without the network: expectations come from a scenario and its profile, a judge is told what
//! two users did and received, and the whole is concluded.
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use goldenpath::check::{Judge, Move, Outcome, conclude};
//! use goldenpath::cli::load::{Loader, Overrides, Unset, Variables};
//! use goldenpath::identity::{Connection, ExecutionId, Iteration, UserNumber};
//! use goldenpath::time::{Micros, Stamp};
//! use goldenpath::trace::{Content, Dial, Direction, Fact, Frame, Phase, StepOutcome};
//!
//! let mut loader = Loader::new(&Overrides::default(), Variables::new(), Unset::Warn);
//! let loaded = loader.load(Path::new("scenarios/smoke.yaml")).expect("a scenario without mistakes");
//! let expect = Arc::new(loaded.expectations());
//! let mut judge = Judge::new(Arc::clone(&expect), ExecutionId(7));
//!
//! let ms = |ms| Stamp::ZERO + Micros::from_millis(ms);
//! for user in [UserNumber(1), UserNumber(2)] {
//!     let name = "POST /auth/login".to_owned();
//!     let outcome = StepOutcome::Good { status: 200 };
//!     let upgraded = Dial::Upgraded { subprotocol: None, echo_fits: true, echo_strict: false };
//!     for fact in [
//!         Fact::Began { iteration: Iteration(1), scheduled: ms(0), at: ms(0), fresh: true, apart: false },
//!         Fact::Step { phase: Phase::Login, name, sent: ms(0), done: ms(5), outcome },
//!         Fact::Captured { name: "user_id".to_owned(), value: format!("user-{user}"), at: ms(5) },
//!         Fact::Dialed { connection: Connection(1), begun: ms(5), done: ms(10), outcome: upgraded },
//!     ] {
//!         judge.fact(user, &fact);
//!     }
//!     let run = format!("run-of-{user}");
//!     let mut receive = |judge: &mut Judge, at: u64, kind: &str, more: &str| {
//!         let text = format!(r#"{{"type":"{kind}","user_id":"user-{user}","run_id":"{run}"{more}}}"#);
//!         let content = Content::Text(text.into());
//!         let (connection, direction) = (Connection(1), Direction::Received);
//!         let frame = Frame { connection, direction, at: ms(at), read_at: ms(at), not_before: ms(at), content };
//!         judge.frame(user, &frame);
//!     };
//!     receive(&mut judge, 12, "connection_ready", "");
//!     assert_eq!(judge.next_move(user), Move::Ask(0));
//!     let (run, thread) = (Some(run.clone()), None);
//!     judge.fact(user, &Fact::Asked { turn: 0, at: ms(20), run, thread, prompt: "What costs most?".to_owned() });
//!     receive(&mut judge, 25, "agent_started", "");
//!     receive(&mut judge, 40, "agent_thinking", "");
//!     receive(&mut judge, 55, "tool_executing", r#","tool_name":"costs""#);
//!     receive(&mut judge, 85, "tool_completed", r#","tool_name":"costs""#);
//!     receive(&mut judge, 99, "agent_completed", r#","final_response":"Compute: 1200 dollars a month.""#);
//!     // Nothing more came for a long while, so nothing is late.
//!     judge.expire(user, ms(60_000));
//!     assert_eq!(judge.next_move(user), Move::Settled { good: true });
//!     judge.fact(user, &Fact::Ended { at: ms(60_000) });
//! }
//!
//! let conclusion = conclude(judge.finish(), &expect, false, None);
//! assert_eq!(conclusion.outcome, Outcome::Pass, "{:?}", conclusion.claims);
//!
//! // Nothing observed is never a pass.
//! let nothing = Judge::new(Arc::clone(&expect), ExecutionId(7)).finish();
//! assert_eq!(conclude(nothing, &expect, false, None).outcome, Outcome::Inconclusive);
//! ```
//!
//! # What is deliberately absent
//!
//! - automatic retries anywhere: a failure is evidence
//! - a clock, sockets, tasks or randomness below `session` and `engine`; time is an argument
//! - anything that judge and backend share
//! - a special case for one backend: what differs is a line in its profile
//! - accepted and ignored keys: what this build cannot judge it refuses
//! - averaged percentiles, and passing because nothing was seen

pub mod backend;
pub mod canary;
pub mod check;
pub mod cli;
pub mod document;
pub mod engine;
pub mod event;
pub mod expect;
pub mod finding;
pub mod identity;
pub mod matcher;
pub mod plan;
pub mod probe;
pub mod report;
pub mod rule;
pub mod scenario;
pub mod secret;
pub mod session;
pub mod stats;
pub mod target;
pub mod time;
pub mod trace;
