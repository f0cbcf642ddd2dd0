//! The layer both file formats (scenario, target profile) stand on: text in; typed values, or diagnostics, out.
//!
//! ```text
//! bytes -> Sources -> yaml::read -> Node -> merge -> decode (record!, words!, ...) -> typed values
//!                                     \________________ Context: every mistake ________/   |
//!                                                                    diagnostic::render  text: ${...}
//! ```
//!
//! It knows nothing of scenarios or targets, opens no file and reads no variable. Mistakes are values with places; they
//! are all collected before anything is refused.

pub mod context;
pub mod decode;
pub mod diagnostic;
pub mod merge;
pub mod resolved;
pub mod source;
pub mod text;
pub mod tree;
pub mod values;
pub mod yaml;

pub use context::Context;
pub use decode::{Decode, Spanned};
pub use diagnostic::Diagnostic;
pub use resolved::Resolved;
pub use source::{SourceId, Sources, Span};
pub use tree::{Node, Value};
pub use yaml::read;

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::decode::{decode, one_of, record};
    use super::diagnostic::{Style, render};
    use super::merge::{assign, merge};
    use super::text::Text;
    use super::values::{Rate, Whole};
    use super::{Context, Node, Sources, Spanned, read};

    record! {
        /// What users do.
        struct Scenario {
            /// How many users.
            users: Spanned<Whole<1, 1_000_000>> = required,
            load: Option<Load>,
            prompt: Text = required,
            environments: Option<Node>,
        }
        not_yet { "probes" => ("watch the target between runs", "remove it") }
    }
    record! { struct Open { rate: Rate = required } }
    one_of! { enum Load { Open(Open) = "open" } }

    #[test]
    fn a_file_its_environment_and_a_flag_become_one_scenario() {
        let mut sources = Sources::new();
        let mut cx = Context::new();
        let yaml = "users: 5\nload: {open: {rate: 5/s}}\nprompt: 'why? ${canary}'\n\
                    environments: {staging: {load: {open: {rate: 9/m}}}}\n";
        let file = sources.add("scenarios/isolation.yaml", yaml);
        let flag = sources.add("--set", "users=200");

        let mut tree = read(&sources, file, &mut cx).expect("a tree");
        let staging = tree.get("environments").and_then(|blocks| blocks.get("staging")).cloned();
        merge(&mut tree, staging.expect("a block"));
        assign(&mut tree, &sources, flag, &mut cx);
        let scenario: Scenario = decode(&tree, &mut cx).expect("a scenario");
        scenario.prompt.check_names(&["prompt", "canary"], &["env."], &mut cx);

        let usable = !cx.has_mistakes();
        assert_eq!(render(&cx.finish(), &sources, Style::Plain, 100), "");
        assert!(usable && scenario.environments.is_some());
        assert_eq!((scenario.users.value.get(), scenario.users.span.source), (200, flag));
        let rate = scenario.load.map(|Load::Open(open)| open.rate.to_string());
        assert_eq!(rate.as_deref(), Some("9/m"));
        let prompt = scenario.prompt.render(&|name| (name == "canary").then(|| "k7".into()));
        assert_eq!(prompt.as_deref(), Ok("why? k7"));
    }
}
