//! Reports as pages in a real browser: nothing is loaded, nothing complains, filters work, a telephone is wide enough.
//!
//! Chromium is driven by its command line: a probe is put into the page, whose policy is widened by the probe's digest and
//! nothing else, and what it saw is read from the document. Without Chromium the tests say that they were skipped; with
//! `GOLDENPATH_REQUIRE_CHROMIUM=1` they fail. `scripts/install-chromium` installs it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldenpath::report::{compare, comparison_html, html};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::formats::enormous;
use super::report::{failed, hostile, passed};
use crate::support::process::{Place, Process};

#[test]
fn a_page_complains_of_nothing_and_loads_nothing() {
    let Some(chromium) = Chromium::find("a_page_complains_of_nothing_and_loads_nothing") else { return };
    for page in pages() {
        let seen = chromium.probe(&page, WIDE, "");
        assert_eq!(seen["violations"], json!([]), "what its policy forbids was tried");
        assert_eq!(seen["errors"], json!([]));
        assert_eq!(seen["loaded"], json!([]));
        assert!(seen["drawn"].as_u64() > Some(0), "{seen}");
        assert_eq!(chromium.console(&page), [""; 0]);
    }
}

#[test]
fn a_browser_tells_what_a_page_must_not_do() {
    let Some(chromium) = Chromium::find("a_browser_tells_what_a_page_must_not_do") else { return };
    let page = html(&passed()).replacen("<main>", "<main><img src=\"http://127.0.0.1:9/x.png\"><p onclick=\"x\">", 1);
    let seen = chromium.probe(&page, WIDE, "document.querySelector('p[onclick]').click()");
    let forbidden = seen["violations"].to_string();
    assert!(forbidden.contains("img-src") && forbidden.contains("script-src-attr"), "{seen}");
    assert!(!chromium.console(&page).is_empty());
}

#[test]
fn filters_show_what_fits_and_a_mark_shows_its_frame() {
    let Some(chromium) = Chromium::find("filters_show_what_fits_and_a_mark_shows_its_frame") else { return };
    let script = r##"
        const visible = selector => [...document.querySelectorAll(selector)].filter(it => !it.hidden);
        const choose = (name, value) => {
            const list = document.querySelector(`#filter select[name=${name}]`);
            list.value = value;
            list.dispatchEvent(new Event("change"));
            return {
                findings: visible("article[data-rule]").map(it => it.id),
                drawings: visible("figure[data-rule]").map(it => it.dataset.rule),
                witnesses: visible("article:not([hidden]) .witness").map(it => it.dataset.user),
            };
        };
        seen.options = [...document.querySelectorAll("#filter select")].map(it => [it.name, it.options.length]);
        seen.rule = choose("rule", "GP101");
        seen.user = choose("user", "7");
        seen.other = choose("user", "5");
        choose("user", "");
        choose("rule", "");
        seen.run = choose("run", "run-0002-1");
        seen.all = choose("run", "");
        const mark = document.querySelector("[data-frame*=user_id]");
        mark.dispatchEvent(new MouseEvent("mouseenter"));
        seen.frame = document.getElementById("frame").textContent;
        seen.shown = !document.getElementById("frame").hidden;
        mark.dispatchEvent(new MouseEvent("mouseleave"));
        seen.gone = document.getElementById("frame").hidden;
    "##;
    let seen = chromium.probe(&html(&failed()), WIDE, script);
    assert_eq!(seen["options"], json!([["rule", 6], ["user", 9], ["run", 6]]), "{seen}");
    assert_eq!(seen["rule"]["findings"], json!(["GP101"]));
    assert_eq!(seen["rule"]["drawings"], json!(["GP101"]));
    assert_eq!(seen["rule"]["witnesses"], json!(["3", "7"]));
    assert_eq!(seen["user"]["witnesses"], json!(["7"]));
    assert_eq!(seen["other"]["findings"], json!([]), "user 5 has no finding of that rule");
    assert_eq!(seen["run"]["findings"], json!(["GP201"]));
    assert_eq!(seen["all"]["findings"].as_array().map(Vec::len), Some(failed().findings.len()));
    assert!(seen["frame"].as_str().is_some_and(|text| text.contains("\"user_id\"")), "{seen}");
    assert_eq!((&seen["shown"], &seen["gone"]), (&json!(true), &json!(true)));
}

#[test]
fn a_page_fits_a_telephone() {
    let Some(chromium) = Chromium::find("a_page_fits_a_telephone") else { return };
    for page in pages() {
        let seen = chromium.probe(&page, TELEPHONE, "");
        assert_eq!(seen["inside"], 400, "{seen}");
        assert_eq!(seen["wide"], 400, "something is wider than the page: {}", seen["wider"]);
    }
}

#[test]
fn a_page_is_whole_without_scripts() {
    let Some(chromium) = Chromium::find("a_page_is_whole_without_scripts") else { return };
    // Its own script is forbidden by what it says itself; the probe's is the only one that runs.
    let page = html(&failed());
    let (before, own) = page.split_once("script-src ").expect("a policy");
    let page =
        format!("{before}script-src {}", own.split_once("\">").map(|(_, rest)| format!("\">{rest}")).expect("its end"));
    let script = r##"
        seen.filter = document.getElementById("filter").checkVisibility();
        seen.text = document.body.innerText;
        seen.titles = [...document.querySelectorAll("svg title")].map(it => it.textContent);
    "##;
    let seen = chromium.probe(&page, WIDE, script);
    assert_eq!(seen["violations"], json!(["script-src-elem inline"]), "the page's script ran");
    assert_eq!(seen["filter"], false, "filters that could do nothing are not offered");
    let (text, titles) = (seen["text"].as_str().expect("a text"), seen["titles"].to_string());
    for expected in ["FAIL", "Another user's mark", "GP302", "golden_path", "seed"] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    assert!(titles.contains("nothing came for 30 s") && titles.contains("user_id"), "{titles}");
}

// ---------------------------------------------------------------------------------------------------------------------
// The browser

fn pages() -> [String; 4] {
    let comparison = compare(&passed(), &failed()).expect("of one scenario");
    [html(&failed()), html(&hostile()), html(&enormous()), comparison_html(&comparison)]
}

const WIDE: u32 = 1_100;
const TELEPHONE: u32 = 400;

struct Chromium {
    program: PathBuf,
}

impl Chromium {
    /// The browser of this machine; `None`, and a word of it, where there is none.
    fn find(test: &str) -> Option<Chromium> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let found = std::env::split_paths(&path)
            .flat_map(|folder| names.map(|name| folder.join(name)))
            .find(|program| program.is_file());
        if let Some(program) = found {
            return Some(Chromium { program });
        }
        let required = std::env::var_os("GOLDENPATH_REQUIRE_CHROMIUM").is_some_and(|value| value == "1");
        assert!(!required, "there is no Chromium here; scripts/install-chromium installs it");
        // Not by the macro, whose output is kept back where a test passes.
        let _ = writeln!(std::io::stderr(), "skipped: {test} (no Chromium; see scripts/install-chromium)");
        None
    }

    /// What a probe sees of `page` in a frame of this width. `script` is run when the page's own has, and may add to `seen`.
    fn probe(&self, page: &str, width: u32, script: &str) -> Value {
        let probe = PROBE.replace("/* more */", script);
        let digest = STANDARD.encode(Sha256::digest(&probe));
        let allowed = page.replacen("script-src ", &format!("script-src &#x27;sha256-{digest}&#x27; "), 1);
        let probed = allowed.replacen("<title>", &format!("<script>{probe}</script><title>"), 1);
        assert!(allowed != page && probed != allowed, "the probe found no place");
        let place = Place::new();
        place.write("page.html", &probed);
        place.write("frame.html", &FRAME.replace("WIDTH", &width.to_string()));
        let options = ["--dump-dom", "--window-size=1200,900", "--virtual-time-budget=20000"];
        let dom = self.run(&place, &options, "frame.html").stdout;
        let seen = dom.split_once("<pre id=\"seen\">").and_then(|(_, rest)| rest.split_once("</pre>"));
        let seen = seen.unwrap_or_else(|| panic!("the probe said nothing:\n{dom}")).0;
        let seen = seen.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        serde_json::from_str(&seen).unwrap_or_else(|error| panic!("{error}: {seen}"))
    }

    /// What the page, as it is, writes to the console.
    fn console(&self, page: &str) -> Vec<String> {
        let place = Place::new();
        place.write("page.html", page);
        let ended = self.run(&place, &["--dump-dom", "--enable-logging=stderr"], "page.html");
        ended.stderr.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect()
    }

    fn run(&self, place: &Place, options: &[&str], file: &str) -> Said {
        let mut command = Command::new(&self.program);
        let url = format!("file://{}", place.path().join(file).display());
        let profile = format!("--user-data-dir={}", place.path().join("profile").display());
        command.args(OPTIONS).args(options).arg(profile).arg(url).current_dir(place.path());
        command.env_clear().env("HOME", place.path()).env("PATH", folder_of(&self.program));
        let ended = Process::start(command).end().exits(0);
        Said { stdout: ended.stdout, stderr: ended.stderr }
    }
}

struct Said {
    stdout: String,
    stderr: String,
}

fn folder_of(program: &Path) -> String {
    format!("{}:/usr/bin:/bin", program.parent().unwrap_or(Path::new("/usr/bin")).display())
}

/// Its sandbox needs what containers do not give; what it opens here is ours. Names resolve to nothing, should anything ask.
const OPTIONS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
];

/// Chromium's own windows are 500 pixels wide at least; a frame is as wide as it is told. Files are strangers to one another, so
/// that the page sends what it saw.
const FRAME: &str = r#"<!doctype html><pre id="seen"></pre><iframe src="page.html" width="WIDTH" height="800" style="border:0"></iframe>
<script>addEventListener("message", event => { document.getElementById("seen").textContent = event.data; });</script>"#;

/// Listens before anything else does, and tells when everything has run.
const PROBE: &str = r#"
const seen = { violations: [], errors: [], loaded: [] };
addEventListener("securitypolicyviolation", event => seen.violations.push(event.violatedDirective + " " + event.blockedURI));
addEventListener("error", event => seen.errors.push(String(event.message)));
addEventListener("load", () => {
    try {
        /* more */
    } catch (error) {
        seen.errors.push(String(error));
    }
    seen.loaded = performance.getEntriesByType("resource").map(entry => entry.name);
    seen.inside = innerWidth;
    seen.wide = document.documentElement.scrollWidth;
    seen.wider = [...document.querySelectorAll("body *")].filter(it => it.getBoundingClientRect().right > innerWidth + 1 &&
        !it.closest(".wide") && !it.closest("svg")).slice(0, 5).map(it => it.outerHTML.slice(0, 120));
    seen.drawn = document.querySelectorAll("svg").length;
    // Violations are told in tasks of their own, which come before this one.
    setTimeout(() => parent.postMessage(JSON.stringify(seen), "*"), 0);
});
"#;
