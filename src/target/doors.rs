//! What of a profile probes need: how a token gets to the socket, what names threads and runs, what reads a thread.

use super::{Ask, Profile, ScriptStep, Step, values};
use crate::document::text::Text;
use crate::expect::{IdRole, IdSource};
use crate::probe::Probe;

impl Profile {
    /// Why this target cannot be probed so, as far as its profile tells; `None` if it can.
    pub fn unfit(&self, probe: Probe) -> Option<&'static str> {
        // Cookies carry what no text of the profile names.
        let token = !self.tokens().is_empty() || !self.login.is_empty();
        let origin = self.connect.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("origin"));
        let (fits, why) = match probe {
            Probe::RefreshedTwice if self.refresh.is_none() => (false, "the profile has no `refresh`"),
            Probe::RefreshedTwice => {
                (!self.used_up().is_empty(), "the profile's `refresh` takes nothing of what it sends anew")
            }
            Probe::LoggedOutToken if token => (!self.logout.is_empty(), "the profile has no `logout`"),
            Probe::ForeignThread => (self.sends(IdRole::Thread), "nothing that the profile sends names a thread"),
            Probe::ForeignRun => (self.sends(IdRole::Run), "nothing that the profile sends names a run"),
            Probe::ForeignHistory => {
                (self.history().is_some(), "no step under `after` reads a thread and says what must stand in it")
            }
            Probe::NoOrigin | Probe::ForeignOrigin => (origin, "the profile sends no `connect.origin`"),
            _ => (token, "the profile carries no token to the socket"),
        };
        (!fits).then_some(why)
    }

    /// Why a probe is left out, if it is: it cannot be expressed, or not `may_lock` and targets may lock an account out for it.
    pub fn spares(&self, probe: Probe, may_lock: bool) -> Option<&'static str> {
        let locks = probe.may_lock() && !may_lock;
        self.unfit(probe).or(locks.then_some("it may lock the account out; --allow-lockout lets it knock"))
    }

    /// The names of what opens the socket: secrets that are captured before, and columns of users, in what is sent there.
    pub fn tokens(&self) -> Vec<String> {
        self.tokens_in(&self.opening())
    }

    /// The names of what opens a thread over HTTP; none where no step reads one.
    pub fn tokens_of_history(&self) -> Vec<String> {
        let Some(step) = self.history() else { return Vec::new() };
        let common = self.http.iter().flat_map(|http| values(&http.headers));
        let texts: Vec<&Text> = step.texts().into_iter().chain(common).collect();
        self.tokens_in(&texts)
    }

    /// The names of secrets that are captured before the connection is made.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let captures = self.login.iter().chain(&self.prepare).flat_map(|step| &step.captures);
        captures.filter(|capture| capture.secret).map(|capture| capture.name.as_str())
    }

    fn tokens_in(&self, texts: &[&Text]) -> Vec<String> {
        let secrets: Vec<&str> = self.secrets().collect();
        let of_user =
            |name: &str| name.starts_with("user.") && !["user.index", "user.number", "user.email"].contains(&name);
        let mut names: Vec<String> = Vec::new();
        for text in texts {
            let holes = text.holes().map(|hole| &hole.name);
            names.extend(holes.filter(|name| secrets.contains(&name.as_str()) || of_user(name)).cloned());
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The names of what a refresh sends and takes anew, and so may use up.
    pub fn used_up(&self) -> Vec<String> {
        let steps = self.refreshing();
        let captured = steps.iter().flat_map(|step| &step.captures).map(|capture| &capture.name);
        let sends = |name: &&String| steps.iter().any(|step| names_any(&step.texts(), std::slice::from_ref(*name)));
        let mut names: Vec<String> = captured.filter(sends).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The names under which the ids of this role are sent.
    pub fn names_of(&self, role: IdRole) -> Vec<String> {
        let rules = self.reads.ids.iter().filter(|rule| rule.role == role);
        let names = rules.filter_map(|rule| match (&rule.source, role) {
            (IdSource::Captured(name), _) => Some(name.to_string()),
            (IdSource::Chosen, IdRole::Thread) => Some("thread_id".to_owned()),
            (IdSource::Chosen, IdRole::Run) => Some("run_id".to_owned()),
            (IdSource::Chosen | IdSource::Learned, _) => None,
        });
        names.collect()
    }

    /// The step that reads what a thread holds, and tells it from an answer that holds nothing.
    pub fn history(&self) -> Option<&Step> {
        let threads = self.names_of(IdRole::Thread);
        let names = |step: &Step| names_any(&step.texts(), &threads);
        let tells = |step: &Step| step.expect.when.is_some() || !step.expect.holds.is_empty();
        self.after.iter().find(|step| names(step) && tells(step))
    }

    /// A user who is let in is greeted, so that it need not ask to know.
    pub fn greets(&self) -> bool {
        let must =
            |step: &crate::expect::ScriptStep| matches!(step, crate::expect::ScriptStep::Wait { optional: false, .. });
        self.reads.script.iter().any(must)
    }

    /// Runs that one probe costs at most, `turns` being those of an iteration: that of the other user, and where being let in
    /// shows in a run its own and the control's.
    pub fn runs_of(&self, probe: Probe, turns: u64) -> u64 {
        let asks = probe.asks() || probe.connects() && !self.greets();
        if asks { 2 * turns + 1 } else { turns }
    }

    fn sends(&self, role: IdRole) -> bool {
        let names = self.names_of(role);
        let asked = match &self.ask {
            Ask::Send(message) => message.texts(),
            Ask::Step(step) => step.texts(),
        };
        names_any(&asked, &names) || names_any(&self.opening(), &names)
    }

    /// What is sent until the user may ask.
    fn opening(&self) -> Vec<&Text> {
        let mut texts: Vec<&Text> = self.connect.subprotocols.iter().collect();
        texts.extend(values(&self.connect.headers).chain(values(&self.connect.query)));
        for step in &self.connect.script {
            if let ScriptStep::Send(message) = step {
                texts.extend(message.texts());
            }
        }
        texts
    }
}

fn names_any(texts: &[&Text], names: &[String]) -> bool {
    texts.iter().any(|text| text.holes().any(|hole| names.contains(&hole.name)))
}
