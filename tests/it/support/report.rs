//! Reads `report.json` as its readers do: as a document that must fit the committed schema.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

use super::process::{Ended, Place};

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let text = fs::read_to_string(super::process::shipped("docs/report.schema.json")).expect("a committed schema");
    jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema")
});

/// Judges the recording in `folder` again, by what `more` names.
pub fn judged(folder: &Path, more: &[&str]) -> Ended {
    let path = folder.to_string_lossy();
    Place::new().run(&[&["judge", &path, "--format", "json"], more].concat())
}

/// One report that fits the schema.
#[derive(Debug)]
pub struct Report(pub Value);

impl Report {
    /// The report in `folder`, which holds nothing but its formats, the recording, and what was summed up, for its owner's eyes
    /// only. Judged again from the recording, it is the same.
    #[track_caller]
    pub fn in_folder(folder: &Path) -> Report {
        let mut names: Vec<_> =
            fs::read_dir(folder).expect("a folder").map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let reports: Vec<_> = names.iter().filter(|name| *name != "intervals.jsonl").collect();
        assert_eq!(reports, ["junit.xml", "recording.gpr", "report.html", "report.json", "summary.md"]);
        #[cfg(unix)]
        for name in names {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let report = Report::parse(&fs::read_to_string(folder.join("report.json")).unwrap());
        let again = judged(folder, &[]).exits(report.0["verdict"]["exit_code"].as_i64().expect("a code") as i32);
        let again = Report::parse(&again.stdout);
        assert_eq!(again.0["judged"]["complete"], true);
        assert_eq!(again.of_the_judge(), report.of_the_judge());
        report
    }

    /// Everything but where it was recorded and that it was judged again, byte by byte.
    pub fn of_the_judge(&self) -> String {
        let mut value = self.0.clone();
        let members = value.as_object_mut().expect("a report");
        members.retain(|key, _| key != "recording" && key != "judged");
        format!("{value:#}")
    }

    pub fn parse(text: &str) -> Report {
        Report::of(serde_json::from_str(text).expect("one JSON document"))
    }

    pub fn of(value: Value) -> Report {
        let mistakes: Vec<String> =
            SCHEMA.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(mistakes.is_empty(), "{mistakes:#?}\n{value:#}");
        Report(value)
    }

    pub fn outcome(&self) -> &str {
        self.0["verdict"]["outcome"].as_str().expect("a word")
    }

    pub fn count(&self, name: &str) -> u64 {
        self.0["counts"][name].as_u64().unwrap_or_else(|| panic!("no count {name}"))
    }

    /// How often each event came, known and unknown.
    pub fn events(&self) -> BTreeMap<String, u64> {
        let maps = ["events", "unknown_events"].map(|key| self.0[key].as_object().expect("a map"));
        maps.into_iter().flatten().map(|(name, count)| (name.clone(), count.as_u64().expect("a count"))).collect()
    }

    /// Code and count of all findings that are no notes, by code.
    pub fn failures(&self) -> Vec<(&str, u64)> {
        let groups = self.0["findings"].as_array().expect("a list").iter();
        let failures = groups.filter(|group| group["severity"] != "note");
        let mut all: Vec<_> = failures
            .map(|group| (group["code"].as_str().expect("a code"), group["count"].as_u64().expect("a count")))
            .collect();
        all.sort_unstable();
        all
    }

    /// The findings of one rule.
    pub fn finding(&self, code: &str) -> &Value {
        let groups = self.0["findings"].as_array().expect("a list");
        groups.iter().find(|group| group["code"] == code).unwrap_or_else(|| panic!("no {code} in {:#}", self.0))
    }

    /// The first witness of one rule as text, excerpts included.
    pub fn witness(&self, code: &str) -> String {
        self.finding(code)["witnesses"][0].to_string()
    }

    /// The verdict of one claim; none if it is not claimed.
    pub fn claim(&self, name: &str) -> Option<&str> {
        let claims = self.0["claims"].as_array().expect("a list");
        let claim = claims.iter().find(|claim| claim["name"] == name)?;
        claim["verdict"].as_str()
    }
}
