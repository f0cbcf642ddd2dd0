//! Scenarios and profiles each for itself, and what a recording holds of them: for judging again.
//!
//! Nothing is asked of addresses, limits, variables or passwords here, for nothing will be sent.

use std::path::Path;

use super::{Change, Kind, Loader, kind_of};
use crate::document::diagnostic::Diagnostic;
use crate::document::merge::assign;
use crate::document::{Context, Node, Resolved, Span, read};
use crate::scenario;

impl Loader {
    /// The tree that a recording holds; `name` is what diagnostics call it.
    pub fn recorded(&mut self, name: &str, resolved: &Resolved, cx: &mut Context) -> Option<Node> {
        resolved.read(name, &mut self.sources, cx).map(|(_, tree)| tree)
    }

    /// The tree of a scenario's file without its target, and whether it has the chosen environment.
    pub fn scenario_alone(&mut self, path: &Path, cx: &mut Context) -> Option<(Node, bool)> {
        let tree = self.open(path, cx)?;
        match kind_of(&tree, cx)? {
            Kind::Scenario => Some(self.in_environment(tree, cx)),
            Kind::Profile => other(&tree, "this is a target profile, not a scenario", "--target", cx),
        }
    }

    /// The tree of a profile's file, or of the embedded one, and whether it has the chosen environment.
    pub fn profile_alone(&mut self, name: &str, cx: &mut Context) -> Option<(Node, bool)> {
        let tree = if name == "embedded" {
            let source = self.embedded();
            read(&self.sources, source, cx)?
        } else {
            self.open(Path::new(name), cx)?
        };
        match kind_of(&tree, cx)? {
            Kind::Profile => Some(self.in_environment(tree, cx)),
            Kind::Scenario => other(&tree, "this is a scenario, not a target profile", "--scenario", cx),
        }
    }

    /// Reports that `tree` does not have the chosen environment.
    pub fn miss_environment(&self, tree: &Node, cx: &mut Context) {
        if let Some(env) = &self.env {
            scenario::with_environment(&mut tree.clone(), &env.name, env.at, cx);
        }
    }

    /// Lays every `--set` over the tree of a scenario.
    pub fn set(&self, tree: &mut Node, cx: &mut Context) {
        for change in &self.changes {
            if let Change::Assign(source) = change {
                assign(tree, &self.sources, *source, cx);
            }
        }
    }

    fn in_environment(&self, mut tree: Node, cx: &mut Context) -> (Node, bool) {
        match &self.env {
            Some(env) if scenario::environment_names(&tree).contains(&env.name.as_str()) => {
                scenario::with_environment(&mut tree, &env.name, env.at, cx);
                (tree, true)
            }
            _ => (tree, false),
        }
    }
}

fn other<T>(tree: &Node, title: &str, flag: &str, cx: &mut Context) -> Option<T> {
    let begin = Span::new(tree.span.source, 0, 0);
    cx.report(Diagnostic::mistake(begin, title).help(format!("name it with `{flag}`")));
    None
}
