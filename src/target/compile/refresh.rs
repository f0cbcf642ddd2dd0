//! How a session is refreshed: which captured value says when it ends, and that what refreshes it goes on from there.

use super::super::format::refresh::{Expires as ExpiresDef, Refresh as RefreshDef, Renewed, Told};
use super::super::format::{self, File};
use super::super::names::Moment;
use super::super::{Expires, Refresh, Step};
use super::Compiler;
use crate::document::diagnostic::quote;
use crate::document::{Diagnostic, Span, Spanned};
use crate::time::Micros;

/// How long before its end a session is refreshed where the profile does not say.
const BEFORE: Micros = Micros::from_secs(60);

/// The steps of `refresh`, if there are any.
pub(super) fn steps(file: &File) -> &[Spanned<format::Step>] {
    file.refresh.as_ref().map_or(&[], |refresh| &refresh.value.steps.value)
}

impl Compiler<'_> {
    /// Compiled behind everything else, so that what its steps capture has a value in themselves alone, unless `login` captures it as
    /// well.
    pub(super) fn refresh(&mut self, refresh: Spanned<RefreshDef>, login: &[Step], has_base: bool) -> Option<Refresh> {
        let Spanned { value: refresh, span } = refresh;
        if login.is_empty() {
            let mistake = Diagnostic::mistake(span, "there is no `login` whose session could be refreshed");
            self.mistake(mistake.help("add `login`, or remove `refresh`"));
        }
        if refresh.steps.value.is_empty() {
            let mistake = Diagnostic::mistake(refresh.steps.span, "these are no steps");
            self.mistake(
                mistake.help("write the request that refreshes a session, for example `- post: /auth/refresh`"),
            );
        }
        for retry in refresh.steps.value.iter().filter_map(|step| step.value.retry.as_ref()) {
            let mistake = Diagnostic::mistake(retry.span, "a refresh is never repeated");
            self.mistake(mistake.help("remove `retry`: what it sends may be good for one use"));
        }
        let before = refresh.before.and_then(|before| self.above_zero(before, "before")).unwrap_or(BEFORE);
        let steps = self.steps(refresh.steps.value, Moment::Refresh, has_base);
        let expires = self.expires(refresh.expires, login, &steps)?;
        Some(Refresh { expires, before, steps, reconnects: refresh.socket == Some(Renewed::Reconnect) })
    }

    fn expires(&mut self, expires: Spanned<ExpiresDef>, login: &[Step], steps: &[Step]) -> Option<Expires> {
        let Spanned { value: expires, span } = expires;
        let told = match expires {
            ExpiresDef::Told(told) => told,
            ExpiresDef::Token(_) => Told::Jwt(Spanned { value: self.token(span, login, steps)?, span }),
        };
        let (name, make): (Spanned<String>, fn(String) -> Expires) = match told {
            Told::Jwt(name) => (name, Expires::Jwt),
            Told::Seconds(name) => (name, Expires::Seconds),
            Told::UnixS(name) => (name, Expires::UnixS),
            Told::UnixMs(name) => (name, Expires::UnixMs),
            Told::Iso(name) => (name, Expires::Iso),
            Told::After(after) => return self.above_zero(after, "after").map(Expires::After),
        };
        self.scope.need(&name.value);
        for (of, key) in [(login, "login"), (steps, "refresh.steps")] {
            if !captures(of, &name.value, false) && !of.is_empty() {
                let title = format!("nothing under `{key}` captures {}", quote(&name.value));
                let mistake = Diagnostic::mistake(name.span, title);
                self.mistake(
                    mistake.help("both `login` and `refresh.steps` must capture what says when the session ends"),
                );
                return None;
            }
        }
        Some(make(name.value))
    }

    /// The one secret that `expires: jwt` can mean. What a step of the refresh itself brings is what refreshes, if there is another.
    fn token(&mut self, span: Span, login: &[Step], steps: &[Step]) -> Option<String> {
        let secrets = login.iter().flat_map(|step| &step.captures).filter(|capture| capture.secret);
        let mut names: Vec<&str> = secrets.map(|capture| capture.name.as_str()).collect();
        names.retain(|name| captures(steps, name, true));
        names.sort_unstable();
        names.dedup();
        let brings = |name: &str| {
            let mut texts = steps.iter().flat_map(Step::texts);
            texts.any(|text| text.holes().any(|hole| hole.name == name))
        };
        if names.len() > 1 {
            names.retain(|name| !brings(name));
        }
        if let [only] = names[..] {
            return Some(only.to_owned());
        }
        if !self.clean {
            return None;
        }
        let mistake = Diagnostic::mistake(span, "it is not clear which captured value is the token");
        self.mistake(mistake.help(
            "capture the token as a secret under `login` and under `refresh.steps`, and name it: `expires: { jwt: token }`",
        ));
        None
    }
}

fn captures(steps: &[Step], name: &str, secret: bool) -> bool {
    let mut captures = steps.iter().flat_map(|step| &step.captures);
    captures.any(|capture| capture.name == name && (capture.secret || !secret))
}
