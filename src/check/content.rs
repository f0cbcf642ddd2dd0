//! Is the answer worth having?
//!
//! Judges the text of one answer by the rules of its turn, beside the prompt it was given to. It does not know where the
//! answer stood, nor what others were answered: for comparing across users it makes a `key`, and no more.
//!
//! Words are runs of letters, digits and signs of currencies, in lower case. Marks are not words, so texts
//! that differ only in marks are the same text.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::json;
use crate::canary::{self, Canary};
use crate::expect::AnswerRules;
use crate::finding::Deviation;

/// What is wrong with `answer`, given to `prompt`.
///
/// An answer that is missing, blank, or an object or list that holds nothing is one deviation, and so is a placeholder or an
/// echo: what else such an answer lacks is the same cause. One that is too short is one deviation; patterns are judged of any answer that is there.
///
/// `mark` is one that probably stands in them.
pub fn judge(
    rules: Option<&AnswerRules>,
    answer: Option<&str>,
    prompt: &str,
    mark: Option<canary::Known>,
) -> Vec<Deviation> {
    let answer = answer.map(str::trim).filter(|answer| !answer.is_empty());
    let Some(answer) = answer else { return vec![Deviation::EmptyAnswer] };
    let structure = structure(answer);
    let leaves = structure.as_ref().map(leaves);
    if leaves.as_ref().is_some_and(Vec::is_empty) {
        return vec![Deviation::EmptyAnswer];
    }
    let Some(rules) = rules else { return Vec::new() };
    if is_placeholder(&rules.placeholders, answer, leaves.as_deref()) {
        return vec![Deviation::PlaceholderAnswer { answer: answer.chars().take(80).collect() }];
    }
    if let Some(from) = rules.echo_from
        && let Some(share) = echo(prompt, answer, mark, from)
    {
        return vec![Deviation::EchoedAnswer { percent: (share * 100.0).round() as u64 }];
    }
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
    if rules.canary_echoed {
        let own: Vec<Canary> = marks(prompt, mark).collect();
        // A prompt without a mark asks for none; the scenario's own texts were checked for one.
        if !own.is_empty() && !marks(answer, mark).any(|mark| own.contains(&mark)) {
            deviations.push(Deviation::MarkNotEchoed);
        }
    }
    if rules.business_value {
        let lacks = lacking_value(prompt, answer);
        if !lacks.is_empty() {
            deviations.push(Deviation::NoBusinessValue { lacks });
        }
    }
    deviations
}

/// A hash of the words of `text`: the same for texts that differ only in marks, case, punctuation or space. Figures count,
/// for two bills may differ in nothing else.
pub fn key(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    words(text).hash(&mut hasher);
    hasher.finish()
}

/// Words of prompt and answer that are compared, from the beginning of each.
const WORDS_COMPARED: usize = 1_000;
/// A shorter prompt may well stand in a good answer as a whole.
const WORDS_TO_ECHO: usize = 5;
/// The share of the prompt's words that an echo repeats, in their order. Answers to a question of "this or that" repeat one
/// half of it.
const ECHOED_OF_PROMPT: f64 = 0.8;
/// A run of so many words of the prompt is a quotation of it.
const WORDS_QUOTED: usize = 4;

fn marks(text: &str, mark: Option<canary::Known>) -> impl Iterator<Item = Canary> {
    canary::find_in_knowing(text.as_bytes(), mark).filter_map(|found| found.canary.ok())
}

fn words(text: &str) -> Vec<String> {
    spelled(text).map(str::to_lowercase).collect()
}

/// The words as they are spelled.
fn spelled(text: &str) -> impl Iterator<Item = &str> {
    unmarked(text, None).flat_map(words_of)
}

/// How many words there are, counted up to `most`; `mark` is one that probably stands among them.
fn count(text: &str, mark: Option<canary::Known>, most: usize) -> usize {
    unmarked(text, mark).fold(0, |count, part| {
        let left = most - count;
        if !part.is_ascii() {
            return count + words_of(part).take(left).count();
        }
        let mut within = false;
        let begins = part.bytes().filter(|byte| {
            let word = byte.is_ascii_alphanumeric() || *byte == b'$';
            !std::mem::replace(&mut within, word) && word
        });
        count + begins.take(left).count()
    })
}

/// What stands between marks.
fn unmarked(text: &str, mark: Option<canary::Known>) -> impl Iterator<Item = &str> {
    // Marks are ASCII, so they begin and end between characters.
    let marks = canary::find_in_knowing(text.as_bytes(), mark).map(|found| (found.at, found.at + found.len));
    let mut from = 0;
    marks.chain([(text.len(), text.len())]).map(move |(at, end)| &text[std::mem::replace(&mut from, end)..at])
}

fn words_of(part: &str) -> impl Iterator<Item = &str> {
    part.split(|c: char| !c.is_alphanumeric() && !CURRENCIES.contains(&c)).filter(|word| !word.is_empty())
}

/// The object or list that `answer` is, if it is one.
fn structure(answer: &str) -> Option<serde_json::Value> {
    answer.starts_with(['{', '[']).then(|| serde_json::from_str(&json::whole_characters(answer)).ok()).flatten()
}

/// Whether the whole of `answer` is a placeholder: by its words, or as an object or list that holds nothing else.
fn is_placeholder(placeholders: &[String], answer: &str, leaves: Option<&[&serde_json::Value]>) -> bool {
    match leaves {
        None => is_placeholder_text(placeholders, answer),
        Some([serde_json::Value::String(only)]) => is_placeholder_text(placeholders, only),
        Some(_) => false,
    }
}

fn is_placeholder_text(placeholders: &[String], answer: &str) -> bool {
    // The longest is a few words; nothing long is compared word by word.
    let longest = placeholders.iter().map(String::len).max().unwrap_or_default();
    if answer.len() > longest + 64 {
        return false;
    }
    let answer = words(answer);
    placeholders.iter().any(|placeholder| words(placeholder) == answer)
}

/// Values within `value` that say something: neither null nor blank.
fn leaves(value: &serde_json::Value) -> Vec<&serde_json::Value> {
    let mut leaves = Vec::new();
    collect_leaves(value, &mut leaves);
    leaves
}

fn collect_leaves<'v>(value: &'v serde_json::Value, leaves: &mut Vec<&'v serde_json::Value>) {
    match value {
        serde_json::Value::Null => {}
        serde_json::Value::String(text) if text.trim().is_empty() => {}
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_leaves(item, leaves)),
        serde_json::Value::Object(members) => members.values().for_each(|member| collect_leaves(member, leaves)),
        value => leaves.push(value),
    }
}

/// The share of the answer's words that repeat the prompt in its order, if it is at least `from` and they are most of the
/// prompt. The words repeated are the longest common subsequence, so a changed or dropped word hides no echo.
fn echo(prompt: &str, answer: &str, mark: Option<canary::Known>, from: f64) -> Option<f64> {
    let asked = count(prompt, mark, usize::MAX);
    // With more words than this the rest is an answer, whatever stands before it; this keeps the comparison short, too.
    let most = (asked as f64 / from) as usize + 1;
    let answered = count(answer, mark, most + 1);
    if asked < WORDS_TO_ECHO || asked as f64 / (answered as f64) < from {
        return None;
    }
    let (prompt, answer) = (words(prompt), words(answer));
    let prompt = &prompt[..prompt.len().min(WORDS_COMPARED)];
    let answer = &answer[..answer.len().min(WORDS_COMPARED)];
    let repeated = longest_common(prompt, answer) as f64;
    let share = repeated / answer.len() as f64;
    (share >= from && repeated / prompt.len() as f64 >= ECHOED_OF_PROMPT).then_some(share)
}

/// The length of the longest common subsequence (Wagner and Fischer 1974), in one row of memory.
fn longest_common(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for word in a {
        let mut diagonal = 0;
        for (index, other) in b.iter().enumerate() {
            let above = row[index + 1];
            row[index + 1] = if word == other { diagonal + 1 } else { above.max(row[index]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

const CURRENCIES: [char; 5] = ['$', '€', '£', '¥', '₹'];

/// Words of money, beside the signs of currencies.
const MONEY: [&str; 28] = [
    "bill", "bills", "budget", "budgets", "cent", "cents", "cost", "costs", "dollar", "dollars", "eur", "euro",
    "euros", "expense", "expenses", "gbp", "invoice", "pay", "price", "prices", "pricing", "revenue", "save", "saves",
    "saving", "savings", "spend", "usd",
];

/// Beginnings of words for something to do; at most four letters may follow, as in `reduc-tion` and `cut-ting`.
const ACTIONS: [&str; 39] = [
    "archiv",
    "automat",
    "buy",
    "cach",
    "cancel",
    "compress",
    "consolidat",
    "cut",
    "deactivat",
    "delet",
    "disabl",
    "downgrad",
    "downsiz",
    "drop",
    "eliminat",
    "enabl",
    "limit",
    "lower",
    "merg",
    "migrat",
    "move",
    "moving",
    "negotiat",
    "optimis",
    "optimiz",
    "pool",
    "reduc",
    "remov",
    "replac",
    "reserv",
    "resiz",
    "rightsiz",
    "schedul",
    "shift",
    "shut",
    "stop",
    "switch",
    "terminat",
    "upgrad",
];

/// What of a figure, money and something to do the answer does not name in words of its own. Quotations of the prompt are left
/// out, so that a prompt about costs quoted back has no value.
fn lacking_value(prompt: &str, answer: &str) -> Vec<String> {
    let asked = words(prompt);
    let answered = words(answer);
    let quotable: HashSet<&[String]> = asked.windows(WORDS_QUOTED).collect();
    let mut own = vec![true; answered.len()];
    for (at, run) in answered.windows(WORDS_QUOTED).enumerate() {
        if quotable.contains(run) {
            own[at..at + WORDS_QUOTED].fill(false);
        }
    }
    let own: Vec<&str> = answered.iter().zip(own).filter(|(_, own)| *own).map(|(word, _)| word.as_str()).collect();
    let acts = |word: &str| ACTIONS.iter().any(|stem| word.starts_with(stem) && word.len() <= stem.len() + 4);
    let money = |word: &str| MONEY.contains(&word) || word.contains(CURRENCIES);
    let named = [
        ("figure", own.iter().any(|word| word.bytes().any(|byte| byte.is_ascii_digit()))),
        ("money", own.iter().any(|word| money(word))),
        ("action", own.iter().any(|word| acts(word))),
    ];
    named.iter().filter(|(_, named)| !named).map(|(what, _)| (*what).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    const PROMPT: &str = "Which services drive our cloud bill, and what should we cut first?";

    fn judged(rules: &AnswerRules, answer: &str, prompt: &str) -> Vec<String> {
        judge(Some(rules), Some(answer), prompt, None).iter().map(Deviation::message).collect()
    }

    fn mark(user: u32) -> String {
        Canary { execution: 7, user, iteration: 1 }.encode()
    }

    #[test]
    fn each_rule_fires_and_stays_silent() {
        let patterns = |patterns: &[&str]| patterns.iter().map(|p| Regex::new(p).unwrap()).collect::<Vec<_>>();
        let rules = AnswerRules {
            min_chars: 10,
            all_of: patterns(&[r"\d"]),
            any_of: patterns(&["cut", "move"]),
            none_of: patterns(&["(?i)as an ai"]),
            ..AnswerRules::default()
        };
        let judge = |answer: &str| judged(&rules, answer, PROMPT);
        assert!(judge("cut 30 % of the idle nodes").is_empty());
        assert_eq!(judge("cut 30 %"), ["the answer has 8 characters; at least 10 were asked"]);
        assert_eq!(judge("cut the idle nodes"), [r"the answer does not match \d"]);
        assert_eq!(judge("drop 30 % of the nodes"), ["the answer matches none of cut, move"]);
        assert_eq!(
            judge("As an AI I would cut 3 nodes"),
            [r#"the answer holds "As an AI", which (?i)as an ai forbids"#]
        );
    }

    proptest::proptest! {
        #[test]
        fn as_many_words_are_counted_as_there_are(text in "([a-z]{0,3}|[ ,.$€é1-]|\\PC){0,30}", marked: bool, most in 0_usize..20) {
            let text = if marked { format!("{text} {}{text}", mark(3)) } else { text };
            proptest::prop_assert_eq!(count(&text, None, most), spelled(&text).take(most).count());
        }
    }

    #[test]
    fn no_answer_is_one_deviation() {
        let none = AnswerRules { placeholders: vec![], ..AnswerRules::default() };
        for answer in ["", " \n", "{}", "[]", r#" [{}, null, ""] "#, r#"{"result":{"text":" "},"error":null}"#] {
            for rules in [None, Some(&none), Some(&AnswerRules::default())] {
                assert_eq!(judge(rules, Some(answer), PROMPT, None), [Deviation::EmptyAnswer], "{answer:?}");
            }
        }
        assert_eq!(judge(None, None, PROMPT, None), [Deviation::EmptyAnswer]);
        assert!(judge(None, Some("yes"), PROMPT, None).is_empty());
    }

    #[test]
    fn what_stands_in_for_an_answer_is_one_only_as_a_whole() {
        let rules = AnswerRules { min_chars: 500, ..AnswerRules::default() };
        for answer in [
            "ok",
            "OK.",
            "Task completed",
            "Agent is processing...",
            "**Processing request**",
            "TODO",
            r#"{"result":"Task completed"}"#,
            r#"["Task completed"]"#,
        ] {
            let deviations = judge(Some(&rules), Some(answer), PROMPT, None);
            assert!(matches!(deviations[..], [Deviation::PlaceholderAnswer { .. }]), "{answer}: {deviations:?}");
        }
        let plain = AnswerRules::default();
        for answer in [
            "Done",
            "No",
            "42",
            "Task completed: the three idle nodes are gone.",
            "The processing of your request took 3 s; the bill is $40.",
            r#"{"approved":false}"#,
            r#"{"result":"ok","usd":12}"#,
            "{not json}",
        ] {
            assert_eq!(judged(&plain, answer, PROMPT), [""; 0], "{answer}");
        }
        let own = AnswerRules { placeholders: vec!["I am on it!".into()], ..AnswerRules::default() };
        assert_eq!(judged(&own, "i am on it", PROMPT), [r#"the answer "i am on it" stands in for one"#]);
        assert_eq!(judged(&own, "ok", PROMPT), [""; 0], "an own list replaces the usual one");
        let none = AnswerRules { placeholders: vec![], ..AnswerRules::default() };
        assert_eq!(judged(&none, "Task completed", PROMPT), [""; 0]);
    }

    #[test]
    fn the_prompt_quoted_back_with_little_else_is_an_echo() {
        let rules = AnswerRules::default();
        let with_mark = |user: u32| format!("{PROMPT} (ref {})", mark(user));
        for (answer, percent) in [
            (with_mark(1), 100),
            (with_mark(2), 100),
            (format!("Agent response for: {PROMPT}"), 80),
            ("which services drive the cloud bill and what should we cut first".to_owned(), 92),
        ] {
            let message = format!("the answer is the prompt quoted back: {percent} % of its words");
            assert_eq!(judged(&rules, &answer, &with_mark(1)), [message], "{answer}");
        }
        let useful = format!("You asked: {PROMPT} Compute drives 60 % of it: cut the idle development machines first.");
        for (prompt, answer) in [
            (PROMPT, useful.as_str()),
            // An answer to "this or that" repeats a part of the question.
            ("Is the bill mostly compute or storage?", "The bill is mostly compute."),
            ("Which of Kestrel, Merlin and Hobby is cheapest?", "Merlin"),
            // A prompt of a few words may stand in an answer as a whole.
            ("List all regions", "List all regions"),
            ("Remember the code word: kestrel 4711", "I will remember the code word kestrel 4711 for you."),
        ] {
            assert_eq!(judged(&rules, answer, prompt), [""; 0], "{answer}");
        }
        let strict = AnswerRules { echo_from: Some(0.4), ..AnswerRules::default() };
        assert_eq!(judged(&strict, &useful, PROMPT).len(), 1, "the share is the scenario's to say");
        let off = AnswerRules { echo_from: None, ..AnswerRules::default() };
        assert_eq!(judged(&off, PROMPT, PROMPT), [""; 0]);
    }

    #[test]
    fn a_huge_prompt_is_compared_in_part() {
        let huge = "what drives the bill ".repeat(50_000);
        assert_eq!(judged(&AnswerRules::default(), &huge, &huge).len(), 1);
    }

    #[test]
    fn the_own_mark_must_come_back_where_asked() {
        let rules = AnswerRules { canary_echoed: true, ..AnswerRules::default() };
        let prompt = format!("{PROMPT} (ref {})", mark(1));
        let cited = |user: u32| format!("Cut the idle nodes. Reference: {}", mark(user));
        assert_eq!(judged(&rules, &cited(1), &prompt), [""; 0]);
        let without = ["the answer does not carry the mark of its prompt"];
        assert_eq!(judged(&rules, "Cut the idle nodes.", &prompt), without);
        assert_eq!(judged(&rules, &cited(2), &prompt), without, "another user's mark is not one's own");
        assert_eq!(judged(&rules, "Cut the idle nodes.", PROMPT), [""; 0], "no mark was planted");
    }

    #[test]
    fn texts_that_differ_only_in_marks_and_form_have_one_key() {
        let prompt = |user: u32| format!("{PROMPT} (ref {})", mark(user));
        assert_eq!(key(&prompt(1)), key(&prompt(2)));
        assert_eq!(key("Cut  the NODES!"), key("cut the nodes"));
        assert_ne!(key("It costs $43"), key("It costs $51"), "figures count");
    }

    #[test]
    fn business_value_is_a_figure_money_and_an_action_beyond_the_prompt() {
        let rules = AnswerRules { business_value: true, ..AnswerRules::default() };
        let asked = "How do we reduce the $4,300 cost of storage by 20 percent?";
        for answer in [
            "You spend $4,000 a month on snapshots; delete those older than 90 days.",
            "Moving cold data to the archive tier saves 12 percent.",
            &format!("{asked} Consolidation of 3 replicas would bring it below 900 EUR."),
        ] {
            assert_eq!(judged(&rules, answer, asked), [""; 0], "{answer}");
        }
        for (answer, lacks) in [
            ("I have considered your question in depth and will come back to you.", "no figure, no money, no action"),
            ("Your costs are 12 % higher than last month.", "no action"),
            ("Consolidate the 3 replicas.", "no money"),
            (
                // Keyword scores would pass this: all of it is the prompt's.
                "Thank you for your message. How do we reduce the $4,300 cost of storage by 20 percent? We will look \
                 into this and come back to you with an analysis of the matter as soon as that is possible.",
                "no figure, no money, no action",
            ),
        ] {
            let message = format!("beside the prompt's words the answer names {lacks}");
            assert_eq!(judged(&rules, answer, asked), [message], "{answer}");
        }
    }
}
