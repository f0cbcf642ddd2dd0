//! `environments:` of a file: named parts that are laid over it. Which one is chosen is the caller's business.
//!
//! Maps merge, everything else replaces. What stands in a block is judged when it is laid over the file, by the same
//! decoder; here only what no block may hold is refused.

use serde_json::{Value as Json, json};

use crate::document::context::{closest, listing};
use crate::document::decode::Definitions;
use crate::document::diagnostic::{Diagnostic, quote};
use crate::document::merge::merge;
use crate::document::{Context, Decode, Node, Span, Value};

/// The blocks, as checked maps; their content is read from the tree.
#[derive(Debug, Clone)]
pub struct Environments;

/// The key of a file under which its blocks stand.
const KEY: &str = "environments";
/// What a block must not hold: the format of the file, and blocks.
const NOT_INSIDE: [&str; 2] = ["version", KEY];

impl Decode for Environments {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let Some(blocks) = node.entries() else {
            return cx.expected(node, "a map of named blocks");
        };
        let mut clean = true;
        for block in blocks {
            let Some(entries) = block.value.entries() else {
                let place = (block.key.text.as_str(), block.key.span);
                let _: Option<()> = cx.at_key(place.0, place.1, |cx| cx.expected(&block.value, "a part of this file"));
                clean = false;
                continue;
            };
            for entry in entries.iter().filter(|entry| NOT_INSIDE.contains(&entry.key.text.as_str())) {
                let title = format!("an environment cannot hold {}", quote(&entry.key.text));
                cx.report(Diagnostic::mistake(entry.key.span, title).label(format!("in `{KEY}.{}`", block.key.text)));
                clean = false;
            }
        }
        clean.then_some(Self)
    }

    /// A placeholder that [`with_parts`] fills once the whole format is known.
    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "object", "additionalProperties": { "$ref": PART } })
    }
}

/// The names of the blocks, in the order written.
pub fn names(tree: &Node) -> Vec<&str> {
    let blocks = tree.get(KEY).and_then(Node::entries).unwrap_or_default();
    blocks.iter().map(|block| block.key.text.as_str()).collect()
}

/// Lays the block `name` over the file. `at` is where the name was given. An unknown name is a mistake, and the file
/// stays as it is.
pub fn with_environment(tree: &mut Node, name: &str, at: Span, cx: &mut Context) {
    let block = tree.get(KEY).and_then(|blocks| blocks.get(name)).cloned();
    let Some(block) = block else {
        let known = names(tree);
        let mistake = Diagnostic::mistake(at, format!("there is no environment {}", quote(name)));
        cx.report(match known.as_slice() {
            [] => mistake.also(tree.span, "this file has no `environments`"),
            known => {
                let all = format!("there are {}", listing(known.iter().copied(), "and"));
                let all = if known.len() == 1 { format!("there is only `{}`", known[0]) } else { all };
                mistake.help(match closest(name, known.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`? {all}"),
                    None => all,
                })
            }
        });
        return;
    };
    // A block that is no map, or holds what it must not, is the decoder's to report.
    let mut block = block;
    if let Value::Map(entries) = &mut block.value {
        entries.retain(|entry| !NOT_INSIDE.contains(&entry.key.text.as_str()));
        merge(tree, block);
    }
}

const PART: &str = "#/$defs/Part";

/// Adds to a schema what a block may hold: every type of the format with nothing required, and without the keys that no
/// block may hold. `root` is the name of the type of the file.
pub fn with_parts(mut schema: Json, root: &str) -> Json {
    let Some(definitions) = schema.get("$defs").and_then(Json::as_object).cloned() else { return schema };
    for (name, definition) in definitions {
        let mut part = definition;
        loosen(&mut part);
        let mut part_name = format!("PartOf{name}");
        if name == root {
            part_name = "Part".to_owned();
            if let Some(properties) = part.get_mut("properties").and_then(Json::as_object_mut) {
                NOT_INSIDE.iter().for_each(|key| drop(properties.remove(*key)));
            }
        }
        schema["$defs"][part_name] = part;
    }
    let parts = schema["$defs"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let mut sorted: Vec<_> = parts.into_iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    schema["$defs"] = sorted.into_iter().collect();
    schema
}

/// Nothing is required, and references lead to other loosened types.
fn loosen(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            // `required` is also a key of the format; a list of names it is only in a schema.
            if object.get("required").is_some_and(Json::is_array) {
                object.remove("required");
            }
            object.remove("minProperties");
            if let Some(Json::String(target)) = object.get_mut("$ref") {
                *target = target.replace("#/$defs/", "#/$defs/PartOf");
            }
            object.values_mut().for_each(loosen);
        }
        Json::Array(items) => items.iter_mut().for_each(loosen),
        _ => {}
    }
}
