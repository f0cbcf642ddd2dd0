//! The claims about profiles, each by one small file.

use super::*;
use crate::document::testing::plain;
use crate::document::{Context, Diagnostic, Sources, read};

fn compiled(text: &str) -> (Option<Profile>, Vec<Diagnostic>, Sources) {
    let mut sources = Sources::new();
    let mut cx = Context::new();
    let file = sources.add("t.yaml", text);
    let tree = read(&sources, file, &mut cx);
    let profile = tree.and_then(|tree| compile(&tree, Micros::from_secs(5), &mut cx));
    (profile, cx.finish(), sources)
}

fn profile(text: &str) -> Profile {
    let (profile, diagnostics, sources) = compiled(text);
    assert_eq!(plain(&diagnostics, &sources), "");
    profile.expect("a profile")
}

#[test]
fn the_committed_profile_is_clean() {
    let profile = profile(NETRA);
    assert_eq!(profile.name, "netra");
}
