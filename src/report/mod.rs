//! Reports: one versioned tree of what an execution has shown, and one small renderer per format.
//!
//! | file | what for |
//! |---|---|
//! | `tree.rs` | Report v1, made from a conclusion and from what the judge does not know |
//! | `instrument.rs` | its part about the harness itself |
//! | `recorded.rs` | its parts about recordings |
//! | `terminal.rs` | for a person at a terminal or in a pipeline's log |
//! | `json.rs` | for programs, with its JSON Schema |
//! | `junit.rs` | for pipelines: a case per claim |
//! | `markdown.rs` | for a step summary and a pull request |
//! | `html/` | one page for whoever looks for the cause |
//! | `github.rs` | annotations for GitHub's runner |
//! | `personas.rs` | its part about users who behaved otherwise |
//! | `power.rs` | its part about what could have been seen of a leak |
//! | `around.rs` | what happened around a finding, as part of the tree |
//! | `deliverables.rs` | what test plans ask for, as part of the tree |
//! | `doors.rs` | what probes met, as part of the tree |
//! | `witness.rs` | what several of them say of a finding in the same words |
//! | `compare/` | what changed from one report to the next |
//! | `text.rs` | hostile text made harmless, widths, wrapping |
//!
//! Renderers read the tree and nothing else, so a report that was read back renders as it did the first time. Nothing here
//! decides: verdicts are `check`'s. The tree holds texts of the target as they came (free of secrets); every renderer
//! escapes them. Nothing is written anywhere; files and streams are the caller's.

mod around;
mod compare;
mod deliverables;
mod doors;
mod github;
mod html;
mod instrument;
mod json;
mod junit;
mod markdown;
mod personas;
mod power;
mod recorded;
mod terminal;
mod text;
mod tree;
mod witness;

pub use around::Beside;
pub use compare::{
    Comparison, Incomparable, Side, Trend, compare, comparison_markdown, comparison_text, comparison_to_json,
};
pub use deliverables::{Deliverable, Value, Within};
pub use doors::Door;
pub use github::annotations;
pub use html::{PAGE_BYTES, comparison_html, html};
pub use instrument::{Fared, Instrument, Machine, Taken};
pub use json::{Unreadable, all_to_json, from_json, schema, to_json};
pub use junit::junit;
pub use markdown::{SUMMARY_BYTES, markdown};
pub use personas::Persona;
pub use power::{InFlight, Power};
pub use recorded::{Judged, Recording};
pub use terminal::{Page, render};
pub use text::{escape, wrap};
pub use tree::{
    ChangedRule, Claim, Clock, Context, Excerpt, Execution, FindingGroup, KnownIssue, KnownState, Leak, Mark, Origin,
    Report, Scenario, Segment, Session, Slice, Slowest, Target, Tool, VERSION, Verdict, Wait, WhichClock, Witness,
    Word,
};
