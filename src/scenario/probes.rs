//! Probes as a scenario writes them: which knock, and what counts as being refused.
//!
//! Whether a profile can express a probe is asked where both are known.

use crate::document::context::Context;
use crate::document::decode::{self, Decode, Definitions, by_shape, record, words};
use crate::document::diagnostic::Diagnostic;
use crate::document::tree::Node;
use crate::document::values::{CloseCodes, Codes, OneOrMany, Status};
use crate::document::{Span, Spanned};
use crate::expect::{Asserted, DoorRule, Doors, Misplaced, Refusals};
use crate::probe::Probe;
use crate::time::Micros;

by_shape! {
    /// What knocks at doors that must stay shut, after the load and apart from it.
    pub enum ProbesDef {
        /// All that the profile can express, but `misplaced-token`.
        Every(Every) = text,
        /// These.
        Listed(Vec<ProbeItem>) = list,
    }
    expected "`all`, or a list of probes"
}

words! {
    /// Every probe.
    pub enum Every {
        /// all that the profile can express; those it cannot are told. `misplaced-token` is not among them: where tokens may
        /// stand is for each target to say
        All = "all",
    }
}

by_shape! {
    /// One probe.
    pub enum ProbeItem {
        /// By its name.
        Named(Spanned<Probe>) = text,
        /// With what is particular about it.
        Spelled(Box<ProbeDef>) = map,
    }
    expected "the name of a probe, or a map with `probe`"
}

record! {
    /// One probe and what is particular about it.
    pub struct ProbeDef {
        /// Which.
        pub probe: Spanned<Probe> = required,
        /// What counts as being refused, in place of what `expect.doors` says.
        pub refused: Option<RefusedDef>,
        /// How long nothing must come for silence to count, in place of what `expect.doors` says.
        pub within: Option<Spanned<Micros>>,
        /// Of `misplaced-token`: where the token stands. Default: in the query, or in a header if it belongs into the query.
        pub place as "in": Option<Spanned<PlaceName>>,
        /// Of `expired-token`: for how long the end of a real token's life may be waited for. A token that lives longer, and any
        /// without this key, is bent to an earlier end, so that its signature does not fit any more.
        pub wait: Option<Spanned<Micros>>,
    }
}

words! {
    /// Where a token stands that does not belong there.
    pub enum PlaceName {
        /// in the query, as `token`
        Query = "query",
        /// in the header `Authorization`
        Header = "header",
        /// in a cookie called `token`
        Cookie = "cookie",
    }
}

record! {
    /// What counts as being refused. Frames by which the profile says that a user or an ask is refused always do.
    pub struct RefusedDef {
        /// HTTP statuses. Default: 400, 401, 403 and 422; where another user's thread or run is named 400, 403, 404, 409, 422.
        pub status: Option<OneOrMany<Status>>,
        /// Close codes. Default: 1008 and 4000-4999.
        pub close: Option<OneOrMany<CloseCodes>>,
        /// Nothing comes. Default: true.
        pub silence: Option<bool>,
    }
}

record! {
    /// Doors that must stay shut; asked for as soon as there are `probes`.
    pub struct DoorsDef {
        /// What counts as being refused, of every probe.
        pub refused: Option<RefusedDef>,
        /// How long nothing must come for silence to count. Default: `timeouts.greeting`, of probes that ask
        /// `timeouts.first_event`.
        pub within: Option<Spanned<Micros>>,
        /// `false` reports and never changes the exit code.
        pub required: Option<bool>,
    }
}

impl Decode for Probe {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let names = Probe::ALL.map(Probe::name);
        decode::word(node, &names, &[], cx).map(|found| Probe::ALL[found])
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.refer("Probe", "probe::Probe", |_| {
            let lines: Vec<_> =
                Probe::ALL.iter().map(|probe| format!("`{probe}`: somebody {}", probe.comes())).collect();
            let schema = serde_json::json!({ "type": "string", "enum": Probe::ALL.map(Probe::name) });
            decode::described(schema, &format!("Who comes and must not get in.\n{}", lines.join("\n")))
        })
    }
}

impl ProbesDef {
    /// The probes as they were written, each with its place; of `all` there is none.
    fn listed(&self) -> Vec<(Spanned<Probe>, Option<&ProbeDef>)> {
        let Self::Listed(items) = self else { return Vec::new() };
        let spelled = |item| match item {
            &ProbeItem::Named(probe) => (probe, None),
            ProbeItem::Spelled(spelled) => (spelled.probe, Some(&**spelled)),
        };
        items.iter().map(spelled).collect()
    }

    /// Where each probe was written that was named.
    pub fn places(&self) -> Vec<Spanned<Probe>> {
        self.listed().into_iter().map(|(probe, _)| probe).collect()
    }
}

/// Reports what is wrong between probes, doors and users.
pub(super) fn check(
    probes: Option<&ProbesDef>,
    doors: Option<&DoorsDef>,
    users: Option<(u64, Span)>,
    written: Option<Span>,
    cx: &mut Context,
) {
    if let (Some(_), None, Some(place)) = (doors, probes, written) {
        let mistake = Diagnostic::mistake(place, "nothing knocks at the doors");
        cx.report(mistake.help("add `probes: all`, or remove `doors`"));
    }
    let Some(probes) = probes else { return };
    if let (Some((1, place)), Some(at)) = (users, written) {
        let mistake = Diagnostic::mistake(at, "probes take two users: one knocks while the other's run goes on");
        cx.report(mistake.also(place, "users").help("plan two users at least"));
    }
    let listed = probes.listed();
    if let (ProbesDef::Listed(_), [], Some(place)) = (probes, &listed[..], written) {
        let mistake = Diagnostic::mistake(place, "this list names no probe");
        cx.report(mistake.help("name one, write `all`, or remove `probes`"));
    }
    for (at, (probe, spelled)) in listed.iter().enumerate() {
        if let Some((other, _)) = listed[..at].iter().find(|(other, _)| other.value == probe.value) {
            let mistake = Diagnostic::mistake(probe.span, format!("`{}` stands here twice", probe.value));
            cx.report(mistake.also(other.span, "here as well").help("remove one of them"));
        }
        let Some(spelled) = spelled else { continue };
        let mut only = |key: &str, of: Probe, given: Option<Span>| {
            if let (Some(place), true) = (given, probe.value != of) {
                let mistake = Diagnostic::mistake(place, format!("`{key}` is about `{of}`"));
                cx.report(mistake.also(probe.span, "this is another probe").help("remove it"));
            }
        };
        only("in", Probe::MisplacedToken, spelled.place.map(|place| place.span));
        only("wait", Probe::ExpiredToken, spelled.wait.map(|wait| wait.span));
    }
}

/// What is asserted of doors; `None` without probes.
pub(super) fn doors(probes: Option<&ProbesDef>, doors: Option<&DoorsDef>, asserted: Asserted) -> Option<Doors> {
    let probes = probes?;
    let rule = |probe: Probe, named: bool, spelled: Option<&ProbeDef>| DoorRule {
        probe,
        named,
        refusals: {
            let all = doors.and_then(|doors| doors.refused.as_ref());
            refusals(probe, &[spelled.and_then(|spelled| spelled.refused.as_ref()), all])
        },
        within: spelled.and_then(|spelled| spelled.within).or(doors.and_then(|doors| doors.within)).map(|w| w.value),
        place: spelled.and_then(|spelled| spelled.place).map(|place| match place.value {
            PlaceName::Query => Misplaced::Query,
            PlaceName::Header => Misplaced::Header,
            PlaceName::Cookie => Misplaced::Cookie,
        }),
        wait: spelled.and_then(|spelled| spelled.wait).map_or(Micros::ZERO, |wait| wait.value),
    };
    let mut probes: Vec<_> = match probes {
        ProbesDef::Every(Every::All) => {
            let all = Probe::ALL.into_iter().filter(|probe| *probe != Probe::MisplacedToken);
            all.map(|probe| rule(probe, false, None)).collect()
        }
        ProbesDef::Listed(_) => {
            probes.listed().into_iter().map(|(probe, spelled)| rule(probe.value, true, spelled)).collect()
        }
    };
    probes.sort_by_key(|rule| rule.probe);
    Some(Doors { asserted, probes })
}

/// What counts as a refusal: of each kind what the first says that says something.
fn refusals(probe: Probe, said: &[Option<&RefusedDef>]) -> Refusals {
    fn first<T>(said: &[Option<&RefusedDef>], of: impl Fn(&RefusedDef) -> Option<T>) -> Option<T> {
        said.iter().flatten().find_map(|said| of(said))
    }
    fn ranges<const MIN: u16, const MAX: u16>(codes: &[Codes<MIN, MAX>]) -> Vec<std::ops::RangeInclusive<u16>> {
        codes.iter().map(|codes| codes.from..=codes.to).collect()
    }
    let usual = Refusals::usual(probe);
    Refusals {
        status: first(said, |said| said.status.as_ref().map(|codes| ranges(&codes.0))).unwrap_or(usual.status),
        close: first(said, |said| said.close.as_ref().map(|codes| ranges(&codes.0))).unwrap_or(usual.close),
        silence: first(said, |said| said.silence).unwrap_or(usual.silence),
    }
}
