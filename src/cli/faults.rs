//! Faults of the embedded backend as users write them: read with their places, and listed.
//!
//! What they do is the backend's business.

use crate::backend::{Fault, Spec, SpecError, Strikes};
use crate::document::diagnostic::Diagnostic;
use crate::document::{Context, Spanned};

/// The faults of a scenario, and whatever is wrong with them. `starts_backend`: the target is one that this process starts.
pub fn read(written: &[Spanned<String>], starts_backend: bool, cx: &mut Context) -> Vec<Spec> {
    if let (Some(first), false) = (written.first(), starts_backend) {
        let mistake = Diagnostic::mistake(first.span, "only the embedded backend has faults, when `run` starts it");
        cx.report(
            mistake.help("use the target `embedded` without an address, or pass `--fault` to `goldenpath serve`"),
        );
    }
    let mut specs = Vec::new();
    for Spanned { value, span } in written {
        match value.parse::<Spec>() {
            Ok(spec) => specs.push(spec),
            Err(error) => cx.report(mistake(&error, *span)),
        }
    }
    specs
}

fn mistake(error: &SpecError, span: crate::document::Span) -> Diagnostic {
    match error {
        SpecError::Unknown { name, near } => {
            let list = "`goldenpath serve --list-faults` lists them";
            let help = near.map_or_else(|| list.to_owned(), |near| format!("did you mean `{near}`? {list}"));
            Diagnostic::mistake(span, format!("there is no fault `{name}`")).help(help)
        }
        SpecError::Setting(setting) => Diagnostic::mistake(span, format!("faults have no setting `{setting}`"))
            .help("they have p, victim, overlap, after, connection, turn, first, by, code, limit"),
        SpecError::Idle { setting, fault } => {
            Diagnostic::mistake(span, format!("`{fault}` would never strike with `{setting}`"))
                .help("it is about what is not known yet at that point; `goldenpath serve --list-faults` says where faults strike")
        }
        SpecError::Value { setting, value, must } => {
            Diagnostic::mistake(span, format!("`{setting}={value}` cannot be read")).help(format!("write {must}"))
        }
    }
}

/// The catalogue, for a terminal.
pub fn list() -> String {
    let mut out = String::new();
    let mut headed = None;
    for fault in Fault::ALL {
        let heading = heading(*fault);
        if headed != Some(heading) {
            out.push_str(&format!("{}{heading}\n", if headed.is_some() { "\n" } else { "" }));
            headed = Some(heading);
        }
        out.push_str(&format!("  {}\n", fault.name()));
        for (what, text) in [("does", fault.does()), ("as", fault.stands_for()), ("seen", fault.noticed())] {
            out.push_str(&format!("      {what:<5} {text}\n"));
        }
    }
    out.push_str(SETTINGS);
    out
}

const SETTINGS: &str = "
Settings follow the name: leak-copy:p=0.02,overlap
  p=0.02         the share of the chances at which it strikes (1)
  victim=EMAIL   only this user
  overlap        only while a run of another user is in flight; for faults of a run
  after=N        only after so many runs; for faults of a run
  connection=N   only on a user's n-th connection, from 1; not for faults before it
  turn=N         only on a connection's n-th request, from 1; for faults of requests and runs
  first=N        only the first n times
  by=TIME        how long, such as 500ms or 2s (1s)
  code=N         the close code
  limit=N        how many (2)
";

/// Where in the golden path a fault strikes, in words.
pub fn heading(fault: Fault) -> &'static str {
    if fault.is_variant() {
        return "healthy variants, which must not alarm anybody";
    }
    match fault.strikes() {
        Strikes::Ready => "when it is asked whether it is ready",
        Strikes::Login => "at a login",
        Strikes::History => "when messages are read",
        Strikes::Door => "when a token must be refused",
        Strikes::Upgrade => "at an upgrade",
        Strikes::Connection => "when a connection begins",
        Strikes::Request => "when a run is asked for",
        Strikes::Run => "in a run",
    }
}
