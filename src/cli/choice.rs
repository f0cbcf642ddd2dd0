//! Which scenarios a command is about, for whom and on how many threads: what `run` and `plan` are told alike.
//!
//! Everything that can be wrong in any of the files is said here, before the first packet.

use std::path::PathBuf;

use super::load::{self, Loaded, Loader, RunOptions, Unset, Variables};
use super::show;
use crate::identity::UserNumber;

/// What is typed of it.
#[derive(Debug, Clone, clap::Args)]
pub struct Choice {
    /// Scenario files
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<PathBuf>,
    #[command(flatten)]
    options: RunOptions,
    /// Threads that users are divided among
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
    /// Let only these users of the plan take part, by their numbers
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    only_users: Vec<u32>,
}

/// What is chosen by it.
pub struct Chosen {
    /// The process's variables.
    pub variables: Variables,
    /// Overrides, seed and folder.
    pub options: RunOptions,
    /// Who has read the files.
    pub loader: Loader,
    /// The scenarios that were named and selected; at least one.
    pub scenarios: Vec<Loaded>,
    /// Threads to divide users among.
    pub threads: u32,
    /// The users that take part where it is not all of them, sorted.
    pub only: Vec<UserNumber>,
}

impl Choice {
    /// Loads what is named and keeps what is selected; `None` after it was told what is wrong. `command` is the one that was
    /// typed, as examples have it.
    pub fn load(&self, command: &str) -> anyhow::Result<Option<Chosen>> {
        let told = |mistake: String| {
            eprintln!("goldenpath: {mistake}");
            Ok(None)
        };
        let variables = load::variables();
        let options = match self.options.clone().with_variables(&variables) {
            Ok(options) => options,
            Err(mistake) => return told(mistake),
        };
        if self.scenarios.is_empty() {
            return told(format!(
                "no scenario is named; name a file, for example: goldenpath {command} scenarios/smoke.yaml"
            ));
        }
        let mut loader = Loader::new(&options.overrides, variables.clone(), Unset::Refuse);
        let Some(mut scenarios) = self.load_all(&mut loader)? else { return Ok(None) };
        let mut tags: Vec<String> = scenarios.iter().flat_map(|loaded| loaded.scenario.tags.clone()).collect();
        scenarios.retain(|loaded| options.selects(&loaded.scenario));
        if scenarios.is_empty() {
            tags.sort_unstable();
            tags.dedup();
            let known =
                if tags.is_empty() { "none has a tag".to_owned() } else { format!("they have: {}", tags.join(", ")) };
            return told(format!("no scenario has the tag {}; {known}", options.tag.join(" or ")));
        }
        let only = match self.only_users(&scenarios) {
            Ok(only) => only,
            Err(mistake) => return told(mistake),
        };
        Ok(Some(Chosen { variables, options, loader, scenarios, threads: self.threads, only }))
    }

    /// Loads every scenario and shows what is wrong or doubtful in any of them; nothing when something is wrong.
    fn load_all(&self, loader: &mut Loader) -> anyhow::Result<Option<Vec<Loaded>>> {
        let mut diagnostics = Vec::new();
        let mut all = Vec::new();
        for path in &self.scenarios {
            match loader.load(path) {
                Ok(mut loaded) => {
                    diagnostics.append(&mut loaded.warnings);
                    all.push(loaded);
                }
                Err(mut mistakes) => diagnostics.append(&mut mistakes),
            }
        }
        show::to_stderr(&diagnostics, loader.sources())?;
        Ok((all.len() == self.scenarios.len()).then_some(all))
    }

    /// The users that take part, sorted. Each must be one of every plan.
    fn only_users(&self, scenarios: &[Loaded]) -> Result<Vec<UserNumber>, String> {
        let mut only: Vec<UserNumber> = self.only_users.iter().copied().map(UserNumber).collect();
        only.sort_unstable();
        only.dedup();
        for loaded in scenarios {
            let users = &loaded.scenario.users;
            let planned = |user: &UserNumber| user.0.checked_sub(users.first).is_some_and(|index| index < users.count);
            if let Some(stranger) = only.iter().find(|user| !planned(user)) {
                let last = users.first.saturating_add(users.count.saturating_sub(1));
                let path = loaded.path.display();
                return Err(format!("--only-users: {path} has no user {stranger}; it has {} to {last}", users.first));
            }
        }
        Ok(only)
    }
}
