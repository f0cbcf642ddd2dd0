//! From file names and overrides to a scenario with its target, ready to run.
//!
//! Precedence: flag, `GOLDENPATH_*` variable, environment block, file, default. Paths are relative to the file that names
//! them, those of flags and variables to the working directory. Whatever is wrong becomes a diagnostic where it was
//! written; flags and variables are texts with places like any other.
//!
//! Nothing here starts a backend or opens a connection.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{faults, reach};
use crate::backend::Spec;
use crate::document::context::{closest, listing};
use crate::document::diagnostic::{Diagnostic, Level, quote};
use crate::document::merge::{assign, set};
use crate::document::text::{Hole, HoleValue, Missing, Segment, Text};
use crate::document::tree::{Entry, Key, Number, Scalar, Value};
use crate::document::values::grouped;
use crate::document::yaml::MAX_BYTES;
use crate::document::{Context, Node, SourceId, Sources, Span, read};
use crate::expect::{AnswerRules, Arrivals, Expectations, Persona};
use crate::scenario::load::Open;
use crate::scenario::people::People;
use crate::scenario::{self, Answer, Password, ProfileRef, Scenario, TargetRef, defaults};
use crate::secret::Secret;
use crate::session::names;
use crate::target::{self, Money, Profile, ScriptStep};

/// The process's variables, read once.
pub type Variables = BTreeMap<String, String>;

/// What may be laid over a scenario from outside. Each but `--set` has a variable that the flag beats.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Overrides {
    /// Lay this environment block over the file [variable: GOLDENPATH_ENV]
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    /// Lay a value over the file, for example `timeouts.run=30s`; repeatable
    #[arg(long, value_name = "PATH.TO.KEY=VALUE")]
    pub set: Vec<String>,
    /// Use this target profile, or the embedded backend [variable: GOLDENPATH_TARGET]
    #[arg(long, value_name = "FILE|embedded")]
    pub target: Option<String>,
    /// Use this address in place of the profile's; the socket follows it [variable: GOLDENPATH_URL]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Let the embedded backend misbehave, for example `leak-copy:p=0.1`; repeatable
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<String>,
    /// Use this many users [variable: GOLDENPATH_USERS]
    #[arg(long, value_name = "N")]
    pub users: Option<String>,
}

/// What `run` takes beside scenarios.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunOptions {
    /// What is laid over each scenario.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Run only scenarios with one of these tags; repeatable [variable: GOLDENPATH_TAG, separated by commas]
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Repeat the random choices of this seed [variable: GOLDENPATH_SEED]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Write reports to exactly this folder [variable: GOLDENPATH_OUT]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Let probes knock that a target may lock accounts out for; on this machine they always do
    #[arg(long)]
    pub allow_lockout: bool,
}

impl RunOptions {
    /// With the variables of the flags that were not given.
    ///
    /// # Errors
    ///
    /// A variable whose value the flag would not take.
    pub fn with_variables(mut self, variables: &Variables) -> Result<Self, String> {
        if self.tag.is_empty() {
            let tags = variable(variables, "GOLDENPATH_TAG").unwrap_or_default();
            self.tag = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
        }
        if let (None, Some(seed)) = (self.seed, variable(variables, "GOLDENPATH_SEED")) {
            let parsed = seed.trim().parse();
            self.seed = Some(parsed.map_err(|_| format!("GOLDENPATH_SEED is not a whole number: {}", quote(seed)))?);
        }
        self.out = self.out.or_else(|| variable(variables, "GOLDENPATH_OUT").map(PathBuf::from));
        Ok(self)
    }

    /// Whether a scenario is among those to run.
    pub fn selects(&self, scenario: &Scenario) -> bool {
        self.tag.is_empty() || self.tag.iter().any(|tag| scenario.tags.contains(tag))
    }
}

/// The variables of this process; those that are not UTF-8 do not exist.
pub fn variables() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// What a `${env.X}` without value and default is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unset {
    /// Doubtful: the file may be right, and another machine may have the variable.
    Warn,
    /// A mistake: nothing can run.
    Refuse,
}

/// A scenario with its target, checked together.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The scenario's file as it was named.
    pub path: PathBuf,
    /// What it holds, overrides included, each value with its place.
    pub tree: Node,
    /// The scenario, overrides included.
    pub scenario: Scenario,
    /// Its target.
    pub target: LoadedTarget,
    /// The password of its users, if it has one.
    pub password: Option<PasswordValue>,
    /// The rows of its users, if they stand in a file.
    pub people: Option<People>,
    /// What is doubtful; never a mistake.
    pub warnings: Vec<Diagnostic>,
}

/// A target profile with the addresses that count.
#[derive(Debug, Clone)]
pub struct LoadedTarget {
    /// Its text, in the loader's sources.
    pub source: SourceId,
    /// What it holds, its environment included, each value with its place.
    pub tree: Node,
    /// The profile; addresses of the scenario or the command line are in it.
    pub profile: Profile,
    /// It is the embedded backend, in this process or in another one of this machine.
    pub embedded: bool,
    /// It is to be started in this process and has its addresses from there.
    pub starts_backend: bool,
    /// How the backend that is started misbehaves.
    pub faults: Vec<Spec>,
    /// Every address is on loopback; false if that cannot be said yet.
    pub loopback: bool,
}

/// A password that was followed to its place.
#[derive(Debug, Clone)]
pub enum PasswordValue {
    /// A text, filled in per user; for targets on loopback.
    Text(Text),
    /// One for all users.
    Secret(Secret),
}

impl Loaded {
    /// What must hold of this scenario on its target.
    pub fn expectations(&self) -> Expectations {
        expectations(&self.scenario, &self.target.profile)
    }
}

/// What must hold of `scenario` on a target of this `profile`.
pub fn expectations(scenario: &Scenario, profile: &Profile) -> Expectations {
    let reads = profile.reads.clone();
    let mut dialect = reads.dialect;
    let grammar = scenario.expect.grammar.compile(|name| dialect.names.intern(name));
    let public = scenario.expect.public.iter();
    let public = public.map(|when| when.compile(&mut dialect.trie, &mut dialect.names)).collect();
    let mut answer = |answer: &Answer| {
        let success = answer.success.as_ref().map(|when| when.compile(&mut dialect.trie, &mut dialect.names));
        AnswerRules { success, ..answer.rules.clone() }
    };
    let turns = scenario.expect.answers.iter().map(&mut answer).collect();
    let personas = scenario.personas.iter().map(|persona| Persona {
        name: persona.name.clone(),
        share: persona.share,
        turns: persona.answers.iter().map(&mut answer).collect(),
    });
    let personas = personas.collect();
    Expectations {
        dialect,
        script: reads.script,
        heartbeats: reads.heartbeats,
        asking: reads.asking,
        grammar,
        ends: reads.ends,
        failed: reads.failed,
        signs: reads.signs,
        public,
        answers: reads.answers,
        turns,
        personas,
        ids: reads.ids,
        budgets: scenario.expect.budgets.clone(),
        timeouts: scenario.timeouts,
        claims: scenario.expect.claims.clone(),
        warm_up: scenario.load.warm_up,
        fresh_sessions: scenario.fresh_sessions(),
        open: scenario.load.open().map(|open| Arrivals { dropped_at_most: open.dropped_at_most }),
        deadline: scenario.load.deadline.clone(),
    }
}

/// The same with so many users: alone nobody can meet another's; nothing is said of it, and the report says that.
pub fn among(mut expect: Expectations, participants: u32) -> Expectations {
    if participants < 2 {
        expect.claims.isolation = None;
    }
    expect
}

/// Reads files and holds their texts, each once, for all scenarios of one invocation.
#[derive(Debug)]
pub struct Loader {
    sources: Sources,
    variables: Variables,
    unset: Unset,
    env: Option<Chosen>,
    changes: Vec<Change>,
    files: BTreeMap<PathBuf, SourceId>,
    folders: BTreeMap<SourceId, PathBuf>,
}

/// A chosen environment, and where its name was given.
#[derive(Debug, Clone)]
struct Chosen {
    name: String,
    at: Span,
}

/// What a flag or variable changes, lowest precedence first.
#[derive(Debug, Clone)]
enum Change {
    /// One `--set`.
    Assign(SourceId),
    /// A value at a path.
    Put(&'static str, Node),
    /// An address for the target.
    Url(Node),
    /// Faults of the target.
    Faults(Node),
}

/// Which format a file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scenario,
    Profile,
}

impl Loader {
    /// A loader for one invocation.
    pub fn new(overrides: &Overrides, variables: Variables, unset: Unset) -> Self {
        let mut sources = Sources::new();
        // (text, where it is from)
        let mut given =
            |flag: &'static str, name: &'static str, value: &Option<String>| -> Option<(SourceId, String)> {
                let (from, text) = match value {
                    Some(text) => (flag, text.as_str()),
                    None => (name, variable(&variables, name)?),
                };
                Some((sources.add(from, text), text.to_owned()))
            };
        let env = given("--env", "GOLDENPATH_ENV", &overrides.env);
        let target = given("--target", "GOLDENPATH_TARGET", &overrides.target);
        let url = given("--url", "GOLDENPATH_URL", &overrides.url);
        let users = given("--users", "GOLDENPATH_USERS", &overrides.users);
        let text = |(source, text): (SourceId, String)| {
            Node::new(Span::new(source, 0, text.len()), Value::Text(Scalar::new(text)))
        };
        let number = |(source, text): (SourceId, String)| match Number::parse(text.trim()) {
            Some(number) => Node::new(Span::new(source, 0, text.len()), Value::Number(number)),
            None => Node::new(Span::new(source, 0, text.len()), Value::Text(Scalar::new(text))),
        };
        let mut changes: Vec<Change> =
            overrides.set.iter().map(|argument| Change::Assign(sources.add("--set", argument.as_str()))).collect();
        changes.extend(target.map(text).map(|node| Change::Put("target", node)));
        changes.extend(url.map(text).map(Change::Url));
        if !overrides.fault.is_empty() {
            let fault = |fault: &String| text((sources.add("--fault", fault.as_str()), fault.clone()));
            let faults: Vec<Node> = overrides.fault.iter().map(fault).collect();
            let span = faults[0].span;
            changes.push(Change::Faults(Node::new(span, Value::List(faults))));
        }
        changes.extend(users.map(number).map(|node| Change::Put("users.count", node)));
        let env = env.map(|(source, name)| Chosen { at: Span::new(source, 0, name.len()), name });
        Self { sources, variables, unset, env, changes, files: BTreeMap::new(), folders: BTreeMap::new() }
    }

    /// The texts that diagnostics and origins refer to.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Takes `text` for the file at `path`, whatever stands there.
    pub fn hold(&mut self, path: &Path, text: &str) {
        let source = self.sources.add(path.display().to_string(), text);
        self.files.insert(path.to_owned(), source);
        self.folders.insert(source, path.parent().map(Path::to_owned).unwrap_or_default());
    }

    /// Loads a scenario and its target.
    ///
    /// # Errors
    ///
    /// Everything that is wrong or doubtful, with at least one mistake.
    pub fn load(&mut self, path: &Path) -> Result<Loaded, Vec<Diagnostic>> {
        let mut cx = Context::new();
        let tree = self.open(path, &mut cx);
        let kind = tree.as_ref().and_then(|tree| kind_of(tree, &mut cx));
        let loaded = match (&tree, kind) {
            (Some(tree), Some(Kind::Scenario)) => self.scenario(path, tree, self.env.clone(), self.told(), &mut cx),
            (Some(tree), Some(Kind::Profile)) => {
                let mistake = Diagnostic::mistake(tree.span, "this is a target profile, not a scenario");
                cx.report(mistake.help("name a scenario here, and the profile with `--target`"));
                None
            }
            _ => None,
        };
        let mistakes = cx.has_mistakes();
        let diagnostics = cx.finish();
        match loaded {
            Some(loaded) if !mistakes => Ok(Loaded { warnings: diagnostics, ..loaded }),
            _ => Err(diagnostics),
        }
    }

    /// Everything that is wrong or doubtful in a scenario or profile. Without a chosen environment all of them are tried.
    pub fn validate(&mut self, path: &Path) -> Vec<Diagnostic> {
        let mut cx = Context::new();
        if let Some(tree) = self.open(path, &mut cx)
            && let Some(kind) = kind_of(&tree, &mut cx)
        {
            let env = self.env.clone();
            let told = self.told();
            self.judge(kind, path, &tree, env.clone(), told, &mut cx);
            if env.is_none() {
                let blocks = tree.get("environments").and_then(Node::entries).unwrap_or_default();
                for block in blocks.iter().filter(|block| block.value.entries().is_some()) {
                    let chosen = Chosen { name: block.key.text.clone(), at: block.key.span };
                    // Which variables another environment needs is told when it is chosen.
                    self.judge(kind, path, &tree, Some(chosen), None, &mut cx);
                }
            }
        }
        cx.finish()
    }

    fn judge(
        &mut self,
        kind: Kind,
        path: &Path,
        tree: &Node,
        env: Option<Chosen>,
        unset: Option<Level>,
        cx: &mut Context,
    ) {
        match kind {
            Kind::Scenario => drop(self.scenario(path, tree, env, unset, cx)),
            Kind::Profile => {
                let mut tree = tree.clone();
                if let Some(env) = &env {
                    scenario::with_environment(&mut tree, &env.name, env.at, cx);
                }
                self.bodies(&mut tree, cx);
                if let Some(level) = unset {
                    self.check_variables(&tree, level, cx);
                }
                if let Some(mut profile) = target::compile(&tree, defaults::GREETING, cx) {
                    self.attach(&mut profile, cx);
                }
            }
        }
    }

    fn told(&self) -> Option<Level> {
        Some(match self.unset {
            Unset::Warn => Level::Warning,
            Unset::Refuse => Level::Mistake,
        })
    }

    /// The scenario of a tree with its target. `unset` says what a variable without a value is, if anything.
    fn scenario(
        &mut self,
        path: &Path,
        file: &Node,
        env: Option<Chosen>,
        unset: Option<Level>,
        cx: &mut Context,
    ) -> Option<Loaded> {
        let mut tree = file.clone();
        let in_scenario = |env: &Chosen| scenario::environment_names(file).contains(&env.name.as_str());
        if let Some(env) = env.as_ref().filter(|env| in_scenario(env)) {
            scenario::with_environment(&mut tree, &env.name, env.at, cx);
        }
        for change in &self.changes {
            match change {
                Change::Assign(source) => assign(&mut tree, &self.sources, *source, cx),
                Change::Put(path, node) => set(&mut tree, path, node.clone(), node.span, cx),
                Change::Url(node) => redirect(&mut tree, node, cx),
                Change::Faults(node) => put_into_target(&mut tree, &["faults"], "faults", node, cx),
            }
        }
        self.conceal_passwords(&tree);
        if let Some(level) = unset {
            self.check_variables(&tree, level, cx);
        }
        let scenario = scenario::compile(&tree, &self.sources, cx);
        if let Some(scenario) = &scenario {
            reach::check(scenario, cx);
        }
        let greeting = scenario.as_ref().map_or(defaults::GREETING, |scenario| scenario.timeouts.greeting);

        let reference = scenario::target(&tree);
        let profile = reference.as_ref().and_then(|reference| self.open_profile(reference, cx));
        let Some((source, mut profile_tree)) = profile else {
            if let Some(env) = env.as_ref().filter(|env| !in_scenario(env)) {
                scenario::with_environment(&mut tree, &env.name, env.at, cx);
            }
            return None;
        };
        if let Some(env) = &env {
            let in_profile = scenario::environment_names(&profile_tree).contains(&env.name.as_str());
            match (in_profile, in_scenario(env)) {
                (true, _) => scenario::with_environment(&mut profile_tree, &env.name, env.at, cx),
                (false, true) => {}
                (false, false) => scenario::with_environment(&mut tree, &env.name, env.at, cx),
            }
        }
        self.bodies(&mut profile_tree, cx);
        if let Some(level) = unset {
            self.check_variables(&profile_tree, level, cx);
        }
        let profile = target::compile(&profile_tree, greeting, cx);
        let (scenario, reference) = (scenario?, reference?);
        let mut profile = profile?;
        self.attach(&mut profile, cx);
        let file = scenario.users.file.as_ref();
        let people = file.map(|file| self.people(file, &scenario, &profile, cx));
        // What a file holds that could not be read is not known.
        if !matches!(people, Some(None)) {
            check_user_names(&scenario, &profile, people.as_ref().and_then(Option::as_ref), cx);
        }
        check_greeting(&scenario, &profile, cx);
        self.readdress(&mut profile, &reference, cx);
        self.check_addresses(&profile, cx);
        probes::check(&scenario, &profile, cx);
        // With an address it is a backend that `serve` runs in another process.
        let embedded = reference.profile == ProfileRef::Embedded;
        let starts_backend = embedded && reference.http.is_none() && reference.socket.is_none();
        let loopback = if starts_backend { Some(true) } else { self.on_loopback(&profile) };
        if loopback == Some(false) {
            check_limits(&scenario, &profile, cx);
            check_rate(&scenario, &profile, cx);
        }
        check_cost(&scenario, &profile, cx);
        let faults = faults::read(&reference.faults, starts_backend, cx);
        let embedded = embedded && loopback != Some(false);
        let password = scenario.users.password.as_ref();
        let password = password.and_then(|password| self.password(password, embedded, loopback, unset, cx));
        let target = LoadedTarget {
            source,
            tree: profile_tree,
            profile,
            embedded,
            starts_backend,
            faults,
            loopback: loopback == Some(true),
        };
        Some(Loaded {
            path: path.to_owned(),
            tree,
            scenario,
            target,
            password,
            people: people.flatten(),
            warnings: Vec::new(),
        })
    }

    // -----------------------------------------------------------------------------------------------------------------
    // Files

    /// The tree of a file named on the command line.
    fn open(&mut self, path: &Path, cx: &mut Context) -> Option<Node> {
        let shown = path.display().to_string();
        let argument = self.sources.add("command line", shown.as_str());
        let source = self.read(path, Span::new(argument, 0, shown.len()), cx)?;
        read(&self.sources, source, cx)
    }

    /// The tree of the profile that a scenario refers to.
    fn open_profile(&mut self, reference: &TargetRef, cx: &mut Context) -> Option<(SourceId, Node)> {
        let source = match &reference.profile {
            ProfileRef::Embedded => self.embedded(),
            // What is no name of a file was reported with the scenario.
            ProfileRef::File(name) if name.trim().is_empty() || name.contains("${") || name.contains("://") => {
                return None;
            }
            ProfileRef::File(name) => {
                let path = self.beside(reference.span, name);
                self.read(&path, reference.span, cx)?
            }
        };
        let tree = read(&self.sources, source, cx)?;
        if kind_of(&tree, &mut Context::new()) == Some(Kind::Scenario) {
            let mistake = Diagnostic::mistake(reference.span, "this file is a scenario, not a target profile");
            cx.report(mistake.help("a profile has `socket`, `connect` and `events`"));
            return None;
        }
        Some((source, tree))
    }

    fn embedded(&mut self) -> SourceId {
        let key = PathBuf::new();
        if let Some(known) = self.files.get(&key) {
            return *known;
        }
        let source = self.sources.add("embedded", target::NETRA);
        self.files.insert(key, source);
        source
    }

    /// A path that was written at `place`.
    fn beside(&self, place: Span, name: &str) -> PathBuf {
        match self.folders.get(&place.source) {
            Some(folder) => folder.join(name).components().collect(),
            None => PathBuf::from(name),
        }
    }

    /// Reads a file once. What prevents it is reported at `place`, where the file was named.
    fn read(&mut self, path: &Path, place: Span, cx: &mut Context) -> Option<SourceId> {
        if let Some(known) = self.files.get(path) {
            return Some(*known);
        }
        let bytes = read_capped(path, place, near_missing, cx)?;
        let source = self.sources.add(path.display().to_string(), bytes);
        self.files.insert(path.to_owned(), source);
        self.folders.insert(source, path.parent().map(Path::to_owned).unwrap_or_default());
        Some(source)
    }

    // -----------------------------------------------------------------------------------------------------------------
    // Variables, addresses, passwords

    /// Reports every `${env.X}` of a tree that has neither a value nor a default. Blocks of environments are not looked
    /// at: the chosen one is part of the tree.
    fn check_variables(&self, tree: &Node, level: Level, cx: &mut Context) {
        let mut texts = Vec::new();
        collect_texts(tree, &mut texts);
        for hole in texts.iter().flat_map(Text::holes) {
            let Some(name) = hole.name.strip_prefix("env.") else { continue };
            if hole.default.is_none() && !self.variables.contains_key(name) {
                cx.report(not_set(name, hole.span, level).help(format!("set it, or write `${{env.{name}:-default}}`")));
            }
        }
    }

    fn lookup<'s>(&'s self, name: &str) -> Option<HoleValue<'s>> {
        Some(self.variables.get(name.strip_prefix("env.")?)?.as_str().into())
    }

    fn with_variables(&self, text: &Text) -> Result<String, Missing> {
        text.render(&|name| self.lookup(name))
    }

    /// Takes passwords that stand in a text out of what diagnostics show of it. References stay.
    fn conceal_passwords(&mut self, tree: &Node) {
        let blocks = tree.get("environments").and_then(Node::entries).unwrap_or_default();
        for part in std::iter::once(tree).chain(blocks.iter().map(|block| &block.value)) {
            let Some(password) = part.get("users").and_then(|users| users.get("password")) else { continue };
            let named = password.get("env").filter(|name| !name.text().is_some_and(scenario::is_variable));
            for node in std::iter::once(password).chain(named) {
                if node.text().is_some_and(|text| !text.contains("${")) || matches!(node.value, Value::Number(_)) {
                    self.sources.conceal(node.span);
                }
            }
        }
    }

    /// Puts the addresses of the scenario in place of the profile's.
    fn readdress(&self, profile: &mut Profile, reference: &TargetRef, cx: &mut Context) {
        if let Some(http) = &reference.http {
            // A variable without a value is reported on its own.
            if let Ok(address) = self.with_variables(http) {
                match self.socket_behind(&address, &profile.socket) {
                    Ok(segments) if reference.socket.is_none() => profile.socket = Text { segments, span: http.span },
                    Ok(_) => {}
                    Err(why) => {
                        let mistake = Diagnostic::mistake(http.span, why);
                        cx.report(mistake.help("write scheme, host and perhaps port: `https://chat.example.com`"));
                    }
                }
            }
            if let Some(own) = &mut profile.http {
                own.base = http.clone();
            }
        }
        if let Some(socket) = &reference.socket {
            profile.socket = socket.clone();
        }
    }

    /// Reports addresses with a user or password in them: addresses are printed, and reports are passed on.
    fn check_addresses(&self, profile: &Profile, cx: &mut Context) {
        let base = profile.http.as_ref().map(|http| &http.base);
        let mut told = Vec::new();
        for text in base.into_iter().chain([&profile.socket]) {
            let address = self.with_variables(text).ok().and_then(|address| url::Url::parse(&address).ok());
            let named = address.is_some_and(|address| !address.username().is_empty() || address.password().is_some());
            // The socket may stand where the base does.
            if named && !told.contains(&text.span) {
                told.push(text.span);
                let mistake = Diagnostic::mistake(text.span, "this address holds a user or a password");
                cx.report(mistake.help("send it as a header: `http.headers.Authorization`, with a variable"));
            }
        }
    }

    /// The profile's socket at another address: scheme and authority from `http`, path and query as they were.
    fn socket_behind(&self, http: &str, socket: &Text) -> Result<Vec<Segment>, String> {
        let address = url::Url::parse(http).ok().filter(url::Url::has_host);
        let scheme = match address.as_ref().map(url::Url::scheme) {
            Some("http") => "ws",
            Some("https") => "wss",
            _ => return Err(format!("{} is not an HTTP address", quote(http))),
        };
        let authority = address.as_ref().map(url::Url::authority).unwrap_or_default();
        let mut segments = vec![Segment::Literal(format!("{scheme}://{authority}"))];
        let mut written = socket.segments.iter();
        let mut head = String::new();
        for segment in written.by_ref() {
            match segment {
                Segment::Literal(text) => head.push_str(text),
                Segment::Hole(hole) => head.push_str(&self.value_of(hole).unwrap_or_default()),
            }
            let path =
                head.split_once("://").and_then(|(_, rest)| rest.find(['/', '?']).map(|at| rest[at..].to_owned()));
            if let Some(path) = path {
                segments.push(Segment::Literal(path));
                segments.extend(written.cloned());
                return Ok(segments);
            }
        }
        Ok(segments)
    }

    /// The value of a hole that needs nothing but variables.
    fn value_of(&self, hole: &Hole) -> Option<String> {
        let alone = Text { segments: vec![Segment::Hole(hole.clone())], span: hole.span };
        self.with_variables(&alone).ok()
    }

    /// Whether every address of the profile is on loopback; `None` where a variable is missing.
    fn on_loopback(&self, profile: &Profile) -> Option<bool> {
        let base = profile.http.as_ref().map(|http| self.with_variables(&http.base));
        let base = base.transpose().ok()?;
        let fill = |name: &str| match name {
            _ if name.starts_with("env.") => self.lookup(name),
            "target.http" => base.clone().map(HoleValue::from),
            // In a path or query it does not matter, in a host it must not pass for loopback.
            _ => Some("x".into()),
        };
        let steps =
            [&profile.ready, &profile.login, &profile.logout, &profile.prepare, &profile.after, &profile.finally];
        let urls = steps.into_iter().flatten().chain(profile.refreshing()).map(|step| &step.url);
        let mut addresses = vec![profile.socket.render(&fill).ok()?];
        addresses.extend(base.clone());
        for url in urls {
            let address = url.render(&fill).ok()?;
            if target::is_full(&address) {
                addresses.push(address);
            }
        }
        Some(addresses.iter().all(|address| is_loopback(address)))
    }

    /// Reads the files that steps of the profile send.
    fn attach(&self, profile: &mut Profile, cx: &mut Context) {
        for file in profile.files() {
            let path = self.beside(file.path.span, &file.path.value);
            if let Some(bytes) = read_capped(&path, file.path.span, near_missing, cx) {
                file.bytes = bytes.into();
            }
        }
    }

    /// Follows a password to its place. `loopback` is `None` where that is not known.
    fn password(
        &self,
        password: &Password,
        embedded: bool,
        loopback: Option<bool>,
        unset: Option<Level>,
        cx: &mut Context,
    ) -> Option<PasswordValue> {
        match password {
            Password::Written(text) => {
                if let (Some(false), Some(mistake)) = (loopback, password.off_loopback()) {
                    cx.report(mistake);
                }
                Some(PasswordValue::Text(text.clone()))
            }
            // The embedded backend does not know what another target's users have.
            Password::Variable { on_loopback: Some(text), .. } if embedded => Some(PasswordValue::Text(text.clone())),
            Password::Variable { name, on_loopback } => {
                if let Some(value) = variable(&self.variables, &name.value) {
                    return Some(PasswordValue::Secret(Secret::new(value)));
                }
                let passed_over = match (on_loopback, loopback) {
                    (Some(text), Some(true) | None) => return Some(PasswordValue::Text(text.clone())),
                    (Some(text), Some(false)) => Some(text.span),
                    (None, _) => None,
                };
                let mut diagnostic = not_set(&name.value, name.span, unset?);
                if let Some(span) = passed_over {
                    diagnostic = diagnostic.also(span, "not used: the target is not on loopback");
                }
                cx.report(diagnostic.help(format!("set `{}` to the users' password", name.value)));
                None
            }
            Password::File(file) => {
                let path = self.beside(file.span, &file.value);
                let bytes = read_capped(&path, file.span, |_| None, cx)?;
                let Ok(text) = String::from_utf8(bytes) else {
                    cx.report(Diagnostic::mistake(file.span, "the password in this file is not UTF-8"));
                    return None;
                };
                password_line(&text, file.span, "this file is empty: it should hold the password", cx)
            }
            // A file that is only looked at starts no programs.
            Password::Command { .. } if unset != Some(Level::Mistake) => None,
            Password::Command { words, place } => {
                let text = printed(words, *place, cx)?;
                password_line(&text, *place, "this program printed nothing: it should print the password", cx)
            }
        }
    }
}

/// The password that `text` is, but for a line break at its end.
fn password_line(text: &str, place: Span, empty: &str, cx: &mut Context) -> Option<PasswordValue> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        cx.report(Diagnostic::mistake(place, empty));
        return None;
    }
    Some(PasswordValue::Secret(Secret::new(text)))
}

/// What a program prints. It is started without a shell, and what it says on stderr is the user's to see.
fn printed(words: &[String], place: Span, cx: &mut Context) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    let shown = quote(program);
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdin(std::process::Stdio::null()).stderr(std::process::Stdio::inherit());
    let mistake = match command.output() {
        Err(error) => Diagnostic::mistake(place, format!("{shown} cannot be started: {}", plainly(&error))),
        Ok(output) if !output.status.success() => {
            let mistake = Diagnostic::mistake(place, format!("{shown} failed: {}", output.status));
            mistake.help("try it on the command line; it is started without a shell")
        }
        Ok(output) => match String::from_utf8(output.stdout) {
            Ok(text) => return Some(text),
            Err(_) => Diagnostic::mistake(place, format!("what {shown} prints is not UTF-8")),
        },
    };
    cx.report(mistake);
    None
}

/// A variable that is set to something: CI systems often set empty ones.
fn variable<'v>(variables: &'v Variables, name: &str) -> Option<&'v str> {
    variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

fn not_set(name: &str, place: Span, level: Level) -> Diagnostic {
    let title = format!("the variable `{name}` is not set");
    match level {
        Level::Mistake => Diagnostic::mistake(place, title),
        Level::Warning => Diagnostic::warning(place, title),
    }
}

/// Tells the formats apart by keys that only one of them has. Neither and both are mistakes.
fn kind_of(tree: &Node, cx: &mut Context) -> Option<Kind> {
    const SCENARIO: [&str; 3] = ["users", "target", "load"];
    const PROFILE: [&str; 5] = ["socket", "login", "connect", "http", "heartbeats"];
    let Some(entries) = tree.entries() else {
        return cx.expected_with_help(
            tree,
            "a scenario or a target profile",
            Some("both are maps and begin with `version: 1`".to_owned()),
        );
    };
    let find = |keys: &[&str]| entries.iter().find(|entry| keys.contains(&entry.key.text.as_str()));
    match (find(&SCENARIO), find(&PROFILE)) {
        (Some(_), None) => Some(Kind::Scenario),
        (None, Some(_)) => Some(Kind::Profile),
        (Some(scenario), Some(profile)) => {
            let title = "this file has keys of a scenario and of a target profile";
            let mistake = Diagnostic::mistake(profile.key.span, title)
                .label("of a profile")
                .also(scenario.key.span, "of a scenario")
                .help("keep the target in a file of its own and name it: `target: targets/mine.yaml`");
            cx.report(mistake);
            None
        }
        (None, None) => {
            let mistake = Diagnostic::mistake(tree.span, "this is neither a scenario nor a target profile")
                .note("a scenario has `target`, `users` and `ask`")
                .note("a target profile has `socket`, `connect` and `events`");
            cx.report(mistake.help("`goldenpath schema scenario` prints what a scenario can hold"));
            None
        }
    }
}

/// Gives the target of a tree another address; a socket of its own would lead elsewhere.
fn redirect(tree: &mut Node, url: &Node, cx: &mut Context) {
    put_into_target(tree, &["http", "socket"], "http", url, cx);
}

/// Puts `value` under `key` of the target, which becomes a map if it was a name, in place of the keys `replaced`.
fn put_into_target(tree: &mut Node, replaced: &[&str], key: &str, value: &Node, cx: &mut Context) {
    let span = value.span;
    let mut entries = match tree.get("target").cloned().map(|target| (target.span, target.value)) {
        Some((_, Value::Map(entries))) => entries,
        Some((span, value)) => {
            vec![Entry { key: Key { text: "profile".to_owned(), span }, value: Node::new(span, value) }]
        }
        None => return,
    };
    entries.retain(|entry| !replaced.contains(&entry.key.text.as_str()));
    entries.push(Entry { key: Key { text: key.to_owned(), span }, value: value.clone() });
    set(tree, "target", Node::new(span, Value::Map(entries)), span, cx);
}

/// Names of users that the profile needs and the scenario does not give.
fn check_user_names(scenario: &Scenario, profile: &Profile, people: Option<&People>, cx: &mut Context) {
    let users = scenario.written.users;
    let has = |column: &str| people.is_some_and(|people| people.columns().any(|name| name == column));
    let mut texts = profile.texts();
    if people.is_some() {
        texts.extend(scenario.prompts());
    }
    for (name, key, given) in [
        ("user.email", "email", scenario.users.email.is_some() || has("email")),
        ("user.password", "password", scenario.users.password.is_some() || has("password")),
    ] {
        let mut holes = texts.iter().flat_map(|text| text.holes());
        let asked = holes.find(|hole| hole.name == name && hole.default.is_none());
        if let (Some(hole), false) = (asked, given) {
            let mistake = Diagnostic::mistake(users, format!("the users have no {key}"));
            cx.report(mistake.also(hole.span, "this asks for it").help(format!("add `users.{key}`")));
        }
    }
    let of_profile = profile.columns.iter().map(|(column, place)| (column.as_str(), *place));
    let of_prompts = people::prompt_columns(scenario).map(|(column, hole)| (column, hole.span));
    for (column, place) in of_profile.chain(of_prompts).filter(|(column, _)| !has(column)) {
        let mistake = Diagnostic::mistake(place, format!("the users have no {}", quote(column)));
        let known = people.into_iter().flat_map(People::columns);
        let help = match closest(column, known) {
            Some(meant) => format!("did you mean `${{user.{meant}}}`?"),
            None => "give them a `file` with this column".to_owned(),
        };
        cx.report(mistake.also(users, "these users").help(help));
    }
}

/// Who does not wait for the greeting knows nothing that it says.
fn check_greeting(scenario: &Scenario, profile: &Profile, cx: &mut Context) {
    let Some(place) = scenario.written.send_after else { return };
    let waits = profile.connect.script.iter().filter_map(|step| match step {
        ScriptStep::Wait(taken) => Some(taken),
        ScriptStep::Send(_) => None,
    });
    if let Some(taken) = waits.flatten().next() {
        let title = format!("users do not wait for the greeting, and the profile takes {} from it", quote(&taken.name));
        let mistake = Diagnostic::mistake(place, title);
        cx.report(mistake.help("remove `send_after`: with this target nobody can ask before the greeting"));
    }
    if profile.connect.script.is_empty() {
        let mistake =
            Diagnostic::mistake(place, "the profile waits for no greeting, so that every ask is an early one");
        cx.report(mistake.help("remove `send_after`, or let the profile wait for what the target greets with"));
    }
}

/// What a target that is not on this machine may be loaded with is for its profile to say, and for nobody else.
fn check_limits(scenario: &Scenario, profile: &Profile, cx: &mut Context) {
    let limits = &profile.limits;
    let runs = scenario.runs() + scenario.runs_to_warm_up() + probes::knocking(scenario, profile, true).runs;
    for (key, planned, allowed) in [
        ("users", u64::from(scenario.users.count) + u64::from(scenario.listeners()), limits.users),
        ("runs", runs, limits.runs),
    ] {
        if planned > allowed {
            let (planned, allowed) = (grouped(planned.into()), grouped(allowed.into()));
            let title = format!("{planned} {key} are more than the {allowed} that `{}` may get", profile.name);
            let mut mistake = Diagnostic::mistake(scenario.written.users, title);
            if let (Some(iterations), "runs") = (scenario.written.iterations, key) {
                mistake = mistake.also(iterations, "iterations of each");
            }
            if let (Some(probes), "runs") = (scenario.written.probes, key) {
                mistake = mistake.also(probes, "beside which these knock");
            }
            let help = format!("plan fewer, or raise `limits.{key}` in the profile if the target is meant to carry it");
            cx.report(mistake.note("the target is not on loopback").help(help));
        }
    }
}

/// No more than an execution may cost, wherever the target is.
fn check_cost(scenario: &Scenario, profile: &Profile, cx: &mut Context) {
    let Some((bill, at_most)) =
        bill(scenario, profile).zip(profile.cost.as_ref().and_then(|cost| cost.at_most.as_ref()))
    else {
        return;
    };
    let (runs, total) = bill;
    if total.exceeds(at_most) == Some(true) {
        let title = format!("{} runs cost {total}, and one execution may cost {at_most}", grouped(runs.into()));
        let mut mistake = Diagnostic::mistake(scenario.written.users, title);
        if let Some(iterations) = scenario.written.iterations {
            mistake = mistake.also(iterations, "iterations of each");
        }
        cx.report(mistake.help("plan fewer, or raise `limits.cost` in the profile if it is meant to be spent"));
    }
}

/// How many runs are planned at most, and what they cost, if the profile says what one does.
pub fn bill(scenario: &Scenario, profile: &Profile) -> Option<(u64, Money)> {
    let runs = scenario.runs() + probes::knocking(scenario, profile, true).runs;
    Some((runs, profile.cost.as_ref()?.per_run.times(runs)))
}

/// No faster than the target may be asked, at any time.
fn check_rate(scenario: &Scenario, profile: &Profile, cx: &mut Context) {
    let (peak, allowed) = (scenario.load.open().map_or(0.0, Open::peak), profile.limits.rate);
    if let Some(place) = scenario.written.iterations.filter(|_| peak > allowed.per_second()) {
        let title = format!("{peak}/s at the peak is more than the {allowed} that `{}` may get", profile.name);
        let help = "plan less, or raise `limits.rate` in the profile if the target is meant to carry it";
        cx.report(Diagnostic::mistake(place, title).note("the target is not on loopback").help(help));
    }
}

/// Every text of a tree that compiles; `environments` are left out.
fn collect_texts(node: &Node, texts: &mut Vec<Text>) {
    match &node.value {
        Value::Text(scalar) if scalar.text.contains("${") => {
            texts.extend(Text::compile(scalar, node.span, &mut Context::new()));
        }
        Value::List(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        Value::Map(entries) => {
            let inside = entries.iter().filter(|entry| entry.key.text != "environments");
            inside.for_each(|entry| collect_texts(&entry.value, texts));
        }
        _ => {}
    }
}

/// Whether an address leads to this machine.
fn is_loopback(address: &str) -> bool {
    url::Url::parse(address).ok().as_ref().and_then(url::Url::host).is_some_and(|host| names::is_loopback(&host))
}

/// The bytes of a file that may be read: one that exists, is no folder and not larger than a file may be. `advice` is
/// for one that does not exist.
fn read_capped(
    path: &Path,
    place: Span,
    advice: impl Fn(&Path) -> Option<String>,
    cx: &mut Context,
) -> Option<Vec<u8>> {
    read_up_to(MAX_BYTES, path, place, advice, cx)
}

/// As `read_capped`, up to `most` bytes, a number of MiB.
fn read_up_to(
    most: usize,
    path: &Path,
    place: Span,
    advice: impl Fn(&Path) -> Option<String>,
    cx: &mut Context,
) -> Option<Vec<u8>> {
    let refuse = |cx: &mut Context, title: String, help: Option<String>| {
        let mut mistake = Diagnostic::mistake(place, title);
        mistake.help = help;
        cx.report(mistake);
    };
    let shown = quote(&path.display().to_string());
    let size = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let help = files_in(path).map(|files| format!("name a file in it: {files}"));
            refuse(cx, format!("{shown} is a folder"), help);
            return None;
        }
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            refuse(cx, format!("there is no file {shown}"), advice(path));
            return None;
        }
        Err(error) => {
            refuse(cx, format!("{shown} cannot be read: {}", plainly(&error)), None);
            return None;
        }
    };
    let too_large = |cx: &mut Context| {
        let help = (most == MAX_BYTES).then(|| "keep long lists of prompts in files of their own".to_owned());
        refuse(cx, format!("{shown} is larger than {} MiB", most >> 20), help);
    };
    if size > most as u64 {
        too_large(cx);
        return None;
    }
    // A pipe has no size beforehand, and a file may grow meanwhile.
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => refuse(cx, format!("{shown} cannot be read: {}", plainly(&error)), None),
        Ok(_) if bytes.len() > most => too_large(cx),
        Ok(_) => return Some(bytes),
    }
    None
}

/// Advice for a file that is not there: a file of the same folder that was probably meant, or what there is.
fn near_missing(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Some(format!("there is no folder {} either", quote(&folder.display().to_string())));
    }
    let wanted = path.file_name()?.to_str()?;
    let names = names_in(folder.unwrap_or(Path::new(".")));
    let same_stem = names.iter().find(|name| Path::new(name).file_stem().is_some_and(|stem| stem == wanted));
    let meant = same_stem.map(String::as_str).or_else(|| closest(wanted, names.iter().map(String::as_str)));
    match meant {
        Some(meant) => {
            let whole = folder.map_or_else(|| PathBuf::from(meant), |folder| folder.join(meant));
            Some(format!("did you mean {}?", quote(&whole.display().to_string())))
        }
        None => files_in(folder.unwrap_or(Path::new("."))).map(|files| format!("this folder has {files}")),
    }
}

/// The files of a folder that could be meant, for a message; `None` if there are none.
fn files_in(folder: &Path) -> Option<String> {
    const MOST: usize = 6;
    let names = names_in(folder);
    let shown = listing(names.iter().take(MOST).map(String::as_str), "and");
    match names.len() {
        0 => None,
        n if n > MOST => Some(format!("{n} files of this kind")),
        _ => Some(shown),
    }
}

/// YAML and JSON files of a folder, sorted; schemas are not meant by anybody.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let ours = |name: &String| {
        let known = [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending));
        known && !name.ends_with(".schema.json") && !name.starts_with('.')
    };
    let mut names: Vec<String> = names.filter(ours).collect();
    names.sort_unstable();
    names
}

/// An I/O error without the number that only this system knows.
fn plainly(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "you may not read it".to_owned(),
        kind => kind.to_string(),
    }
}

mod again;
mod bodies;
mod people;
pub mod probes;
#[cfg(test)]
mod tests;
