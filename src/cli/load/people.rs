//! Users from a file: read once, before any traffic, and held against what scenario and profile ask of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Loader, read_up_to};
use crate::cli::resolved::names_secret;
use crate::document::diagnostic::{Diagnostic, quote};
use crate::document::text::Hole;
use crate::document::{Context, Spanned};
use crate::identity::UserNumber;
use crate::scenario::people::{GROUP, People, text};
use crate::scenario::{Scenario, names};
use crate::target::Profile;

/// The largest file of users: a few hundred thousand rows.
const MOST_BYTES: usize = 64 << 20;

/// The columns that prompts ask for, where they have no default.
pub(super) fn prompt_columns(scenario: &Scenario) -> impl Iterator<Item = (&str, &Hole)> {
    let holes = scenario.prompts().flat_map(|prompt| prompt.holes()).filter(|hole| hole.default.is_none());
    holes.filter_map(|hole| Some((names::column(&hole.name)?, hole)))
}

impl Loader {
    /// The rows behind `users.file`; `None` after a mistake.
    pub(super) fn people(
        &self,
        file: &Spanned<String>,
        scenario: &Scenario,
        profile: &Profile,
        cx: &mut Context,
    ) -> Option<People> {
        let users = &scenario.users;
        let path = self.beside(file.span, &file.value);
        let bytes = read_up_to(MOST_BYTES, &path, file.span, super::near_missing, cx)?;
        let listed = |name: &str| users.secret.iter().any(|secret| secret.value == name);
        let columns = (!users.columns.is_empty()).then_some(users.columns.as_slice());
        let people = match People::read(&bytes, columns, |name| listed(name) || names_secret(name)) {
            Ok(people) => people,
            Err(why) => {
                let shown = quote(&file.value);
                cx.report(Diagnostic::mistake(file.span, format!("{shown} {why}")));
                return None;
            }
        };
        let last = users.first as usize + (users.count + users.witnesses) as usize - 1;
        if people.len() < last {
            let title = format!("{last} users are asked for, and the file has {}", people.len());
            let mistake = Diagnostic::mistake(file.span, title).also(scenario.written.users, "as many users");
            cx.report(mistake.note("user 1 is its first row").help("add rows, or plan fewer users"));
            return None;
        }
        let has = |column: &str| people.columns().any(|name| name == column);
        for secret in users.secret.iter().filter(|secret| !has(&secret.value)) {
            let title = format!("the file has no column {}", quote(&secret.value));
            cx.report(Diagnostic::mistake(secret.span, title).also(file.span, "this file"));
        }
        for (key, written) in [
            ("email", users.email.as_ref().map(|text| text.span)),
            ("password", users.password.as_ref().map(|_| scenario.written.users)),
        ] {
            if let (Some(span), true) = (written, has(key)) {
                let mistake = Diagnostic::mistake(span, format!("the users have two columns `{key}`"));
                cx.report(mistake.also(file.span, "the file has one").help(format!("remove `users.{key}`")));
            }
        }
        for prompt in scenario.prompts() {
            let asked = prompt.holes().filter_map(|hole| Some((names::column(&hole.name)?, hole)));
            for (column, hole) in asked.filter(|(column, _)| listed(column) || names_secret(column)) {
                let mistake = Diagnostic::mistake(hole.span, format!("the column {} is secret", quote(column)));
                cx.report(mistake.help("prompts are recorded and shown; remove it"));
            }
        }
        let mut needed: Vec<&str> = profile.columns.iter().map(|(name, _)| name.as_str()).collect();
        needed.extend(prompt_columns(scenario).map(|(column, _)| column));
        needed.extend(["email", "password"]);
        let (mut owners, mut groups) = (BTreeMap::new(), BTreeSet::new());
        if let (Some(span), false) = (scenario.written.groups, has(GROUP)) {
            let mistake = Diagnostic::mistake(file.span, format!("the file has no column {}", quote(GROUP)));
            cx.report(mistake.also(span, "this asks for it").help("give users that share their data one group"));
            return None;
        }
        for row in users.first as usize..=last {
            let values: BTreeMap<&str, _> =
                people.of(UserNumber(row as u32)).map(|(name, value, _)| (name, value)).collect();
            if let Some(column) = needed.iter().find(|column| has(column) && !values.contains_key(*column)) {
                let title = format!("row {row} of the file has no {}", quote(column));
                cx.report(Diagnostic::mistake(file.span, title).help("give every user a value"));
                return None;
            }
            // Who logs in by an email is who has it; without one whole rows tell users apart.
            let identity = values.get("email").map_or_else(|| format!("{values:?}"), |email| email.to_string());
            let group = scenario.written.groups.and_then(|_| values.get(GROUP)).map(|group| text(group));
            // Who is in no group is alone.
            groups.insert(group.clone().ok_or(row));
            if let Some((other, beside)) = owners.insert(identity, (row, group.clone()))
                && (group.is_none() || group != beside)
            {
                let title = format!("rows {other} and {row} of the file are the same user");
                let mistake = Diagnostic::mistake(file.span, title);
                cx.report(
                    mistake.note("isolation cannot be judged among users who are one").help("remove one of them"),
                );
                return None;
            }
        }
        if let (Some(span), 1, 2..) = (scenario.written.groups, groups.len(), scenario.users.count) {
            let mistake = Diagnostic::mistake(span, "all users are in one group");
            cx.report(mistake.also(file.span, "in this file").note("isolation cannot be judged within one group"));
            return None;
        }
        Some(people)
    }
}
