//! How a profile's frames are understood: names, parts, ids, ends, answers.

use super::Compiler;
use crate::document::diagnostic::quote;
use crate::document::text::{Hole, Segment, Text};
use crate::document::values::{OneOrMany, Table};
use crate::document::{Diagnostic, Span, Spanned};
use crate::event::SlotId;
use crate::expect::{
    AnswerSource, Compare, Condition, Dialect, Ends, Fields, Form, IdRole, IdRule, IdSource, Matcher, Signs, Split,
    Test, Trie, Unique,
};
use crate::matcher::{NameWhen, Pointer, When, not_yet};
use crate::target::format::{self, Behind, Decoding, Encoding, EventName, NameSource};
use crate::target::names::{Captured, Moment};

impl Compiler<'_> {
    /// The matcher with its places and names in `dialect`.
    pub(super) fn matcher(&mut self, when: &When, dialect: &mut Dialect) -> Matcher {
        self.check_prefixes(when.prefixes());
        for own in when.own() {
            self.tell(own.written, own.text);
        }
        when.compile(&mut dialect.trie, &mut dialect.names)
    }

    fn check_prefixes(&mut self, spans: Vec<Span>) {
        let misplaced = if self.prefixes { Vec::new() } else { spans };
        for span in misplaced {
            let mistake = Diagnostic::mistake(span, "no frame has a prefix");
            self.mistake(mistake.help("add `sse` or `prefixed` to `events.decode`"));
        }
    }

    /// Has the judge told what `text` is for a user.
    fn tell(&mut self, name: String, text: Text) {
        self.check(&text, Moment::Frame);
        if !self.own.iter().any(|(known, _)| *known == name) {
            self.own.push((name, text));
        }
    }

    pub(super) fn matchers(&mut self, given: &[When], dialect: &mut Dialect) -> Vec<Matcher> {
        given.iter().map(|when| self.matcher(when, dialect)).collect()
    }

    pub(super) fn fields(
        &mut self,
        dialect: &mut Dialect,
        name: Option<format::EventName>,
        fields: Option<format::EventFields>,
    ) {
        self.names(dialect, name);
        let trie = &mut dialect.trie;
        let fields = fields.unwrap_or_default();
        let mut places = |given: Option<OneOrMany<Pointer>>, default: &[&str]| match given {
            Some(pointers) => slots(&pointers.0, trie, false),
            None => enveloped(default, trie, false),
        };
        dialect.fields = Fields {
            agent: places(fields.agent, &["agent_name", "agent", "agent_id"]),
            tool: places(fields.tool, &["tool_name", "tool"]),
            call: places(fields.call, &["call_id", "tool_call_id"]),
            event_id: places(fields.event_id, &["event_id"]),
            time: places(fields.time, &["timestamp"]),
        };
    }

    /// What gives events their names.
    fn names(&mut self, dialect: &mut Dialect, name: Option<EventName>) {
        let default = |trie: &mut Trie| literal_slots(&["/type", "/event", "/event_name", "/event_type"], trie);
        match name {
            None => dialect.name_at = default(&mut dialect.trie),
            Some(EventName::At(pointer)) => dialect.name_at = slots(&[pointer], &mut dialect.trie, false),
            Some(EventName::Rules(rules)) => {
                self.rules(dialect, rules);
                dialect.name_at = default(&mut dialect.trie);
            }
            Some(EventName::Several(sources)) => {
                for source in sources.0 {
                    match source {
                        NameSource::At(pointer) => dialect.name_at.push(pointer.intern(&mut dialect.trie, false)),
                        NameSource::Rules(rules) => {
                            if let (false, Some((first, _))) = (dialect.name_at.is_empty(), rules.0.first()) {
                                let mistake = Diagnostic::mistake(first.span, "a place stands before this rule");
                                self.mistake(mistake.help("write rules first; they are tried before places"));
                            }
                            self.rules(dialect, rules);
                        }
                    }
                }
            }
        }
    }

    fn rules(&mut self, dialect: &mut Dialect, rules: Table<OneOrMany<NameWhen>>) {
        for (name, whens) in rules.0 {
            if name.value.trim().is_empty() {
                self.mistake(Diagnostic::mistake(name.span, "the name is empty").help("name the event"));
            }
            let kind = dialect.names.intern(&name.value);
            for when in whens.0 {
                self.check_prefixes(when.prefixes());
                dialect.rules.push((kind, when.compile(&mut dialect.trie)));
            }
        }
    }

    pub(super) fn spellings(
        &mut self,
        dialect: &mut Dialect,
        splits: &[format::Split],
        aliases: &Table<Spanned<String>>,
    ) {
        for split in splits {
            let by_name = split.by == format::SplitBy::Type;
            dialect.split.push(Split { at: split.at.intern(&mut dialect.trie, true), by_name });
        }
        for (alias, name) in &aliases.0 {
            let chained = aliases.0.iter().find(|(other, _)| other.value == name.value);
            if let Some((other, _)) = chained {
                let title = format!("{} is itself another name here", quote(&name.value));
                let mistake = Diagnostic::mistake(name.span, title).also(other.span, "of this event");
                self.mistake(mistake.help("write the event's own name, that of matchers and grammar"));
            }
            dialect.names.alias(&alias.value, &name.value);
        }
    }

    pub(super) fn encodings(&mut self, dialect: &mut Dialect, decode: Option<OneOrMany<Spanned<Encoding>>>) {
        let Some(OneOrMany(decode)) = decode else {
            dialect.json_string = true;
            return;
        };
        let mut named: Vec<(Decoding, Span)> = Vec::new();
        for Spanned { value, span } in decode {
            let word = match value {
                Encoding::Behind(Behind::Prefixed(pattern)) => {
                    dialect.forms.push(Form::Prefixed(Some(pattern.0)));
                    continue;
                }
                Encoding::Named(word) => word,
            };
            if let Some((_, other)) = named.iter().find(|(other, _)| *other == word) {
                let mistake = Diagnostic::mistake(span, format!("{} stands there twice", quote(word.as_str())));
                self.mistake(
                    mistake.also(*other, "here as well").help("the first that fits a frame counts; remove one"),
                );
            }
            named.push((word, span));
            match word {
                Decoding::Json => dialect.forms.push(Form::Json),
                Decoding::Sse => dialect.forms.push(Form::Sse),
                Decoding::Prefixed => dialect.forms.push(Form::Prefixed(None)),
                Decoding::JsonString => dialect.json_string = true,
                Decoding::Binary => dialect.binary = true,
            }
        }
        self.prefixes = dialect.forms.iter().any(|form| !matches!(form, Form::Json));
    }

    pub(super) fn id(&mut self, name: Spanned<String>, id: format::Id, trie: &mut Trie) -> Option<IdRule> {
        let role = match name.value.as_str() {
            "user" => IdRole::User,
            "thread" => IdRole::Thread,
            "run" => IdRole::Run,
            _ => IdRole::Other,
        };
        let source = match (id.is, id.source) {
            (Some(is), Some(source)) => {
                let mistake = Diagnostic::mistake(source.span, "`is` and `source` exclude each other");
                self.mistake(mistake.also(is.span, "the other stands here").help("a captured value needs no `source`"));
                return None;
            }
            (Some(is), None) => self.captured_source(&is)?,
            (None, Some(Spanned { value: format::Source::Chosen, span })) => self.chosen_source(role, span)?,
            // The target's own run ids tell runs apart; whose its other ids are nobody says.
            (None, _) if role == IdRole::Run => IdSource::Learned,
            (None, source) => {
                let span = source.map_or(name.span, |source| source.span);
                let remedy = "say whose it is with `is`, send it in `ask`, or remove it";
                let would = "hold ids that the target makes against who received them first";
                self.mistake(not_yet(span, "an id that the target makes", would, remedy));
                return None;
            }
        };
        let compare = match id.compare {
            format::Comparison::Exact => Compare::Exact,
            format::Comparison::Prefix => Compare::Prefix,
        };
        let unique = match id.unique {
            format::Uniqueness::Target => Unique::Target,
            format::Uniqueness::User => Unique::User,
        };
        Some(IdRule { name: name.value.into(), role, at: slots(&id.at.0, trie, false), source, compare, unique })
    }

    fn captured_source(&mut self, is: &Spanned<String>) -> Option<IdSource> {
        if is.value.starts_with("user.") {
            return self.column_source(is);
        }
        let name = quote(&is.value);
        let before = |captured: &&Captured| captured.name == is.value && captured.moment <= Moment::Ask;
        let Some(captured) = self.scope.captured().iter().find(before).cloned() else {
            let mut names: Vec<&str> = self.scope.captured().iter().map(|captured| captured.name.as_str()).collect();
            names.dedup();
            let help = match crate::document::context::closest(&is.value, names) {
                Some(meant) => format!("did you mean `{meant}`? it must be captured before or with the ask"),
                None => "capture it in `login`, `prepare`, a `wait` or `ask`, or write `user.COLUMN`".to_owned(),
            };
            self.mistake(Diagnostic::mistake(is.span, format!("nothing captures {name} before the run")).help(help));
            return None;
        };
        self.scope.need(&is.value);
        if captured.secret {
            let mistake = Diagnostic::mistake(is.span, format!("{name} is a secret, and ids stand in reports"));
            self.mistake(mistake.also(captured.span, "captured here").help("capture the id itself, without `secret`"));
            return None;
        }
        Some(IdSource::Captured(is.value.as_str().into()))
    }

    /// What is known of the user itself.
    fn column_source(&mut self, is: &Spanned<String>) -> Option<IdSource> {
        if is.value == "user.password" {
            let mistake = Diagnostic::mistake(is.span, "`user.password` is a secret, and ids stand in reports");
            self.mistake(mistake.help("write the column that holds the id"));
            return None;
        }
        let hole = Hole { name: is.value.clone(), default: None, filters: Vec::new(), span: is.span };
        self.tell(is.value.clone(), Text { segments: vec![Segment::Hole(hole)], span: is.span });
        Some(IdSource::Captured(is.value.as_str().into()))
    }

    fn chosen_source(&mut self, role: IdRole, span: Span) -> Option<IdSource> {
        let name = match role {
            IdRole::Thread => "thread_id",
            IdRole::Run => "run_id",
            IdRole::User | IdRole::Other => {
                let mistake = Diagnostic::mistake(span, "the harness chooses only the ids of `thread` and `run`");
                self.mistake(mistake.help("write `is` with a captured name"));
                return None;
            }
        };
        if !self.scope.is_used(name) {
            let mistake = Diagnostic::mistake(span, format!("nothing sends `${{{name}}}`"));
            self.mistake(mistake.help("send it in `ask`, or remove this line"));
            return None;
        }
        Some(IdSource::Chosen)
    }

    pub(super) fn default_ids(&mut self, trie: &mut Trie) -> Vec<IdRule> {
        let mut rules = Vec::new();
        let captured = |captured: &&Captured| captured.name == "user_id" && !captured.secret;
        let user = self.scope.captured().iter().find(captured).filter(|captured| captured.moment < Moment::Upgrade);
        let user = user.map(|_| IdSource::Captured("user_id".into()));
        if user.is_some() {
            self.scope.need("user_id");
        }
        let chosen = |name| self.scope.is_used(name).then_some(IdSource::Chosen);
        let sources = [
            ("user", IdRole::User, user),
            ("thread", IdRole::Thread, chosen("thread_id")),
            ("run", IdRole::Run, Some(chosen("run_id").unwrap_or(IdSource::Learned))),
        ];
        for (name, role, source) in sources {
            let Some(source) = source else { continue };
            let at = enveloped(&[&format!("{name}_id")], trie, false);
            rules.push(IdRule { name: name.into(), role, at, source, compare: Compare::Exact, unique: Unique::Target });
        }
        rules
    }

    pub(super) fn ends(&mut self, given: Option<format::Ends>, dialect: &mut Dialect) -> Ends {
        let (good, bad) = given.map_or((None, None), |ends| (ends.good, ends.bad));
        let good = good.map_or_else(Vec::new, |given| self.matchers(&given.0, dialect));
        let bad = match bad {
            Some(given) => self.matchers(&given.0, dialect),
            None => vec![event_matcher("agent_error", dialect)],
        };
        Ends { good, bad }
    }

    /// What events say of themselves; each list by default as common backends say it.
    pub(super) fn signs(
        &mut self,
        degraded: Option<Vec<When>>,
        replayed: Option<Vec<When>>,
        failed_tool: Option<Vec<When>>,
        dialect: &mut Dialect,
    ) -> Signs {
        let degraded = match degraded {
            Some(given) => self.matchers(&given, dialect),
            None => {
                let fallback = Test::Text("fallback_response".to_owned());
                let mut response = event_matcher("agent_response", dialect);
                response.all.push(anywhere(&[("type", fallback)], dialect));
                let none = Test::Not(Box::new(Test::Text("none".to_owned())));
                let level = Test::AllOf(vec![Test::Exists(true), none]);
                vec![response, Matcher { all: vec![anywhere(&[("degradation_level", level)], dialect)] }]
            }
        };
        let replayed = match replayed {
            Some(given) => self.matchers(&given, dialect),
            None => vec![Matcher { all: vec![anywhere(&[("recovered", Test::Bool(true))], dialect)] }],
        };
        let failed_tool = match failed_tool {
            Some(given) => self.matchers(&given, dialect),
            None => {
                let bad = Test::OneOf(["failed", "failure", "error"].map(|word| Test::Text(word.to_owned())).into());
                vec![Matcher { all: vec![anywhere(&[("success", Test::Bool(false)), ("status", bad)], dialect)] }]
            }
        };
        Signs { degraded, replayed, failed_tool }
    }

    pub(super) fn failed(&mut self, given: Option<&[When]>, dialect: &mut Dialect) -> Vec<Matcher> {
        if let Some(given) = given {
            return self.matchers(given, dialect);
        }
        let mut failed = event_matcher(COMPLETED, dialect);
        failed.all.push(anywhere(&[("success", Test::Bool(false))], dialect));
        vec![failed]
    }

    pub(super) fn answers(&mut self, given: Option<Vec<format::Answer>>, dialect: &mut Dialect) -> Vec<AnswerSource> {
        let Some(given) = given else {
            let when = event_matcher(COMPLETED, dialect);
            let at = enveloped(&["final_response", "result", "response", "message"], &mut dialect.trie, true);
            return vec![AnswerSource { when, at, append: false }];
        };
        let compile = |answer: format::Answer| AnswerSource {
            when: self.matcher(&answer.when, dialect),
            at: slots(&answer.at.0, &mut dialect.trie, true),
            append: answer.append.unwrap_or(false),
        };
        given.into_iter().map(compile).collect()
    }
}

/// The end of a run that goes well, where a profile does not say.
const COMPLETED: &str = "agent_completed";

/// One of `tests` holds of its member at the root, in `data` or in `payload`.
fn anywhere(tests: &[(&str, Test)], dialect: &mut Dialect) -> Condition {
    let mut matchers = Vec::new();
    for (member, test) in tests {
        let places = enveloped(&[member], &mut dialect.trie, false);
        matchers.extend(places.into_iter().map(|slot| Matcher { all: vec![Condition::At(slot, test.clone())] }));
    }
    Condition::Any(matchers)
}

fn event_matcher(kind: &str, dialect: &mut Dialect) -> Matcher {
    Matcher { all: vec![Condition::Event(vec![dialect.names.intern(kind)])] }
}

pub(super) fn slots(pointers: &[Pointer], trie: &mut Trie, whole: bool) -> Vec<SlotId> {
    pointers.iter().map(|pointer| pointer.intern(trie, whole)).collect()
}

/// The slots of members at the root, in `data` and in `payload`: how the common envelopes wrap their fields.
fn enveloped(members: &[&str], trie: &mut Trie, whole: bool) -> Vec<SlotId> {
    let places = members.iter().flat_map(|member| ["", "/data", "/payload"].map(|object| format!("{object}/{member}")));
    places.map(|place| trie.intern(&place, whole).expect("a pointer")).collect()
}

fn literal_slots(pointers: &[&str], trie: &mut Trie) -> Vec<SlotId> {
    pointers.iter().map(|pointer| trie.intern(pointer, false).expect("a pointer")).collect()
}
