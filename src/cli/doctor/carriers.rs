//! Other ways to hand over the token at the upgrade, each tried alone: a load balancer may strip the one that the profile uses.
//!
//! A user goes with each and leaves without asking. A target that shuts everybody out after a few refusals would take these for
//! an attack, so they are only tried where the profile's own way fails, or where somebody asks for it.

use serde::Serialize;

use super::State;
use super::visit::Visited;
use crate::document::text::{Filter, Hole, Segment, Text};
use crate::target::{Profile, ScriptStep};

/// A way that was tried.
#[derive(Debug, Serialize)]
pub struct Tried {
    /// What it is called.
    carrier: &'static str,
    state: State,
    said: String,
    /// As the profile writes it, under `connect`.
    written: &'static str,
}

impl Tried {
    /// Its parts, for a page.
    pub fn told(&self) -> (&'static str, State, &str, &'static str) {
        (self.carrier, self.state, &self.said, self.written)
    }
}

/// A way to hand over a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Header,
    Subprotocol,
    Query,
}

impl Carrier {
    const ALL: [Carrier; 3] = [Carrier::Header, Carrier::Subprotocol, Carrier::Query];

    fn name(self) -> &'static str {
        match self {
            Carrier::Header => "header",
            Carrier::Subprotocol => "subprotocol",
            Carrier::Query => "query",
        }
    }

    /// With the most usual name of a token.
    fn written(self) -> &'static str {
        match self {
            Carrier::Header => r#"headers: { Authorization: "Bearer ${token}" }"#,
            Carrier::Subprotocol => r#"subprotocols: [jwt-auth, "jwt.${token | base64url}"]"#,
            Carrier::Query => r#"query: { token: "${token}" }"#,
        }
    }

    /// The profile with this carrier alone.
    fn alone(self, profile: &Profile, token: &Hole) -> Profile {
        let mut profile = profile.clone();
        let carries = |text: &Text| text.holes().any(|hole| hole.name == token.name);
        let connect = &mut profile.connect;
        connect.headers.retain(|(_, text)| !carries(text));
        connect.query.retain(|(_, text)| !carries(text));
        if connect.subprotocols.iter().any(carries) {
            // Their company is offered for the token's sake.
            connect.subprotocols.clear();
        }
        let text = |begin: &str, filters: Vec<Filter>| {
            let hole = Segment::Hole(Hole { filters, ..token.clone() });
            Text { segments: vec![Segment::Literal(begin.to_owned()), hole], span: token.span }
        };
        match self {
            Carrier::Header => connect.headers.push(("Authorization".to_owned(), text("Bearer ", Vec::new()))),
            Carrier::Subprotocol => {
                connect.subprotocols =
                    vec![Text::literal("jwt-auth", token.span), text("jwt.", vec![Filter::Base64Url])];
            }
            Carrier::Query => connect.query.push(("token".to_owned(), text("", Vec::new()))),
        }
        profile
    }
}

/// Tries each carrier that the profile does not use as its only one. Without a token that is handed over at the upgrade there is
/// nothing to try.
pub fn try_each(
    profile: &Profile,
    mut visit: impl FnMut(Profile) -> anyhow::Result<Visited>,
) -> anyhow::Result<Vec<Tried>> {
    let Some(token) = token(profile) else { return Ok(Vec::new()) };
    let own = used(profile, &token.name);
    let mut tried = Vec::new();
    for carrier in Carrier::ALL.into_iter().filter(|carrier| own != [*carrier]) {
        let visited = visit(carrier.alone(profile, &token))?;
        let (state, said) = match visited.greeted() {
            true => (State::Good, "the target lets the user in".to_owned()),
            false => {
                let message = visited.report.findings.first().and_then(|group| group.witnesses.first());
                let said = message.map(|witness| witness.message.clone());
                (State::Broken, said.unwrap_or_else(|| "the user was not let in".to_owned()))
            }
        };
        tried.push(Tried { carrier: carrier.name(), state, said, written: carrier.written() });
    }
    Ok(tried)
}

/// What the profile's own carriers are called.
pub fn own(profile: &Profile) -> Vec<&'static str> {
    let carriers = token(profile).map(|token| used(profile, &token.name)).unwrap_or_default();
    carriers.into_iter().map(Carrier::name).collect()
}

/// The secret that is handed over at the upgrade.
fn token(profile: &Profile) -> Option<Hole> {
    let secrets: Vec<&str> = [&profile.login, &profile.prepare]
        .into_iter()
        .flatten()
        .flat_map(|step| &step.captures)
        .filter(|capture| capture.secret)
        .map(|capture| capture.name.as_str())
        .collect();
    let column = |name: &str| profile.columns.iter().any(|(column, _)| name.strip_prefix("user.") == Some(column));
    let connect = &profile.connect;
    let headers = connect.headers.iter().chain(&connect.query).map(|(_, text)| text);
    let mut holes = connect.subprotocols.iter().chain(headers).flat_map(Text::holes);
    let found = holes.find(|hole| secrets.contains(&hole.name.as_str()) || column(&hole.name));
    // A first message is no carrier of the upgrade, and says by itself what is wrong with it.
    let by_message = connect.script.iter().any(|step| match step {
        ScriptStep::Send(message) => {
            message.texts().iter().any(|text| text.holes().any(|hole| secrets.contains(&hole.name.as_str())))
        }
        ScriptStep::Wait(_) => false,
    });
    found.filter(|_| !by_message).map(|hole| Hole { filters: Vec::new(), ..hole.clone() })
}

/// The carriers that the profile uses.
fn used(profile: &Profile, token: &str) -> Vec<Carrier> {
    let carries = |text: &Text| text.holes().any(|hole| hole.name == token);
    let connect = &profile.connect;
    let uses = |carrier: &Carrier| match carrier {
        Carrier::Header => connect.headers.iter().any(|(_, text)| carries(text)),
        Carrier::Subprotocol => connect.subprotocols.iter().any(carries),
        Carrier::Query => connect.query.iter().any(|(_, text)| carries(text)),
    };
    Carrier::ALL.into_iter().filter(uses).collect()
}
