//! Takes out of printed text what differs from one execution to the next, so that the rest can be compared as a whole.

use std::path::Path;

use regex::Regex;

/// `text` without times, ids, seeds, ports and folders. Columns that are as wide as their figures lose their width.
pub fn redact(text: &str, place: &Path) -> String {
    let text = text.replace(&*place.to_string_lossy(), "<place>").replace(env!("CARGO_MANIFEST_DIR"), "<repository>");
    let mut text = text;
    for (pattern, by) in [
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<when>"),
        (r"\d{8}T\d{6}Z", "<when>"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
        (r"seed \d+", "seed <seed>"),
        (r"execution [0-9a-f]{8}", "execution <id>"),
        (r"-[0-9a-f]{8}/(report\.json|recording\.gpr)", "-<id>/$1"),
        (r"\d+(\.\d+)? (us|ms|s)\b", "<time>"),
        // Takes two lines where its figures are long.
        (r"(?m)^  harness  .*\n(?:            .*\n)*", "  harness   <figures>\n"),
        (r"(?m)^  up to <time> less is possible.*\n", ""),
    ] {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, by).into_owned();
    }
    let wide = Regex::new(r"(\S)  +").expect("a pattern");
    let line = |line: &str| match line.contains("<time>") || line.starts_with("  segment ") {
        true => wide.replace_all(line, "$1  ").into_owned(),
        false => line.to_owned(),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}
