//! JSON from files: `{ file: PATH, set: { POINTER: value } }` in place of any JSON value that a profile sends.
//!
//! It is put into the tree before anything else looks at it, so that texts in the file are filled in and held against the
//! names like any others, and a recording holds what was sent. What a file holds is not searched for further files.

use crate::cli::load::Loader;
use crate::document::diagnostic::{Diagnostic, quote};
use crate::document::tree::{Entry, Key, Value};
use crate::document::{Context, Node, Span, read};

/// The keys of a profile under which JSON stands.
const HOLD_JSON: [&str; 3] = ["json", "send", "reply"];

impl Loader {
    /// Puts what files hold into the tree of a profile. What cannot be read is told, and stays as it was written.
    pub(super) fn bodies(&mut self, tree: &mut Node, cx: &mut Context) {
        match &mut tree.value {
            Value::Map(entries) => {
                for entry in entries {
                    match HOLD_JSON.contains(&entry.key.text.as_str()) {
                        true => self.filled(&mut entry.value, cx),
                        false => self.bodies(&mut entry.value, cx),
                    }
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| self.bodies(item, cx)),
            _ => {}
        }
    }

    /// The JSON value with that of files in place of references.
    fn filled(&mut self, value: &mut Node, cx: &mut Context) {
        if let Some((path, place)) = reference(value) {
            let set = value.get("set").cloned();
            if let Some(mut body) = self.body(&path, place, cx)
                && put_all(&mut body, set.as_ref(), cx)
            {
                *value = body;
            }
            return;
        }
        match &mut value.value {
            Value::Map(entries) => entries.iter_mut().for_each(|entry| self.filled(&mut entry.value, cx)),
            Value::List(items) => items.iter_mut().for_each(|item| self.filled(item, cx)),
            _ => {}
        }
    }

    fn body(&mut self, path: &str, place: Span, cx: &mut Context) -> Option<Node> {
        let path = self.beside(place, path);
        let source = self.read(&path, place, cx)?;
        read(&self.sources, source, cx)
    }
}

/// The file that a value is read from, with its place.
fn reference(value: &Node) -> Option<(String, Span)> {
    let only = |entry: &Entry| ["file", "set"].contains(&entry.key.text.as_str());
    let file = value.get("file").filter(|_| value.entries().is_some_and(|entries| entries.iter().all(only)))?;
    Some((file.text()?.to_owned(), file.span))
}

/// Puts values to their places; false after a mistake.
fn put_all(body: &mut Node, set: Option<&Node>, cx: &mut Context) -> bool {
    let Some(set) = set else { return true };
    let Some(entries) = set.entries() else {
        let mistake = Diagnostic::mistake(set.span, format!("expected a map of places, found {}", set.kind()));
        cx.report(mistake.help("write JSON Pointers with values, for example `{ /user/name: \"${user.email}\" }`"));
        return false;
    };
    let mut good = true;
    for Entry { key, value } in entries {
        if let Err((title, help)) = put(body, key, value) {
            cx.report(Diagnostic::mistake(key.span, title).help(help));
            good = false;
        }
    }
    good
}

/// Puts a value where a JSON Pointer (RFC 6901) says: over what stands there, as a new member, or behind a list's last.
fn put(body: &mut Node, key: &Key, value: &Node) -> Result<(), (String, &'static str)> {
    let pointer = key.text.as_str();
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err((format!("{} is not a JSON Pointer", quote(pointer)), "begin it with `/`"));
    }
    let mut node = body;
    let mut parts = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let nowhere = || (format!("{} leads nowhere in the file", quote(pointer)), "name a place that is there");
        node = match &mut node.value {
            Value::Map(entries) => match entries.iter().position(|entry| entry.key.text == part) {
                Some(found) => &mut entries[found].value,
                None if last => {
                    entries.push(Entry { key: Key { text: part, span: key.span }, value: value.clone() });
                    return Ok(());
                }
                None => return Err(nowhere()),
            },
            Value::List(items) if last && part == "-" => {
                items.push(value.clone());
                return Ok(());
            }
            Value::List(items) => {
                part.parse().ok().and_then(|index: usize| items.get_mut(index)).ok_or_else(nowhere)?
            }
            _ => return Err(nowhere()),
        };
    }
    *node = value.clone();
    Ok(())
}
