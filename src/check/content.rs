//! Is the answer worth having?
//!
//! Judges the text of one answer by the rules of its turn. It does not know where the answer stood, nor what was asked.

use crate::expect::AnswerRules;
use crate::finding::Deviation;

/// What is wrong with `answer`. An answer that is missing or blank is one deviation, and so is one that is too short; patterns
/// are judged of any answer that is there.
pub fn judge(rules: Option<&AnswerRules>, answer: Option<&str>) -> Vec<Deviation> {
    let answer = answer.map(str::trim).filter(|answer| !answer.is_empty());
    let Some(answer) = answer else { return vec![Deviation::EmptyAnswer] };
    let Some(rules) = rules else { return Vec::new() };
    let mut deviations = Vec::new();
    let chars = answer.chars().count() as u64;
    let min = u64::from(rules.min_chars);
    if chars < min {
        deviations.push(Deviation::ShortAnswer { chars, min });
    }
    for pattern in rules.all_of.iter().filter(|pattern| !pattern.is_match(answer)) {
        deviations.push(Deviation::PatternMissing { patterns: vec![pattern.to_string()] });
    }
    if !rules.any_of.is_empty() && !rules.any_of.iter().any(|pattern| pattern.is_match(answer)) {
        let patterns = rules.any_of.iter().map(|pattern| pattern.to_string()).collect();
        deviations.push(Deviation::PatternMissing { patterns });
    }
    for pattern in &rules.none_of {
        if let Some(hit) = pattern.find(answer) {
            let (pattern, matched) = (pattern.to_string(), hit.as_str().to_owned());
            deviations.push(Deviation::PatternForbidden { pattern, matched });
        }
    }
    deviations
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[test]
    fn each_rule_fires_and_stays_silent() {
        let patterns = |patterns: &[&str]| patterns.iter().map(|p| Regex::new(p).unwrap()).collect::<Vec<_>>();
        let rules = AnswerRules {
            min_chars: 10,
            all_of: patterns(&[r"\d"]),
            any_of: patterns(&["cut", "move"]),
            none_of: patterns(&["(?i)as an ai"]),
        };
        let judge = |answer: &str| -> Vec<String> {
            super::judge(Some(&rules), Some(answer)).iter().map(Deviation::message).collect()
        };
        assert!(judge("cut 30 % of the idle nodes").is_empty());
        assert_eq!(judge("cut 30 %"), ["the answer has 8 characters; at least 10 were asked"]);
        assert_eq!(judge("cut the idle nodes"), [r"the answer does not match \d"]);
        assert_eq!(judge("drop 30 % of the nodes"), ["the answer matches none of cut, move"]);
        assert_eq!(
            judge("As an AI I would cut 3 nodes"),
            [r#"the answer holds "As an AI", which (?i)as an ai forbids"#]
        );
    }

    #[test]
    fn no_answer_is_one_deviation() {
        for answer in [None, Some(""), Some(" \n")] {
            assert_eq!(judge(None, answer), [Deviation::EmptyAnswer], "{answer:?}");
        }
        assert!(judge(None, Some("yes")).is_empty());
    }
}
