//! What the agent says: advice on costs, made from the prompt alone.
//!
//! The same prompt in the same turn gives the same words; another prompt gives other figures. The prompt is never
//! quoted as a whole; a reference written `(ref XXXX)` in it is cited at the end, as agents do when asked to. No model
//! is called and nothing is looked up.

use serde_json::{Value, json};

use super::threads::Turn;

/// Words that say nothing about what an earlier prompt was about.
const EMPTY_WORDS: [&str; 14] = [
    "about", "could", "first", "please", "should", "their", "there", "these", "those", "what's", "where", "which",
    "would", "yours",
];

/// Words of each earlier prompt that the agent comes back to.
const RECALLED_WORDS: usize = 3;

struct Topic {
    /// Any of these in the prompt, in lower case, chooses the topic; the first topic that fits is taken.
    words: &'static [&'static str],
    name: &'static str,
    driver: &'static str,
    cut: &'static str,
    shift: &'static str,
    place: &'static str,
}

const TOPICS: [Topic; 6] = [
    Topic {
        words: &["llm", "token", "gpu", "model", "prompt", "inference"],
        name: "model inference",
        driver: "long prompts that repeat the same context",
        cut: "the duplicate context and the retries that nobody reads",
        shift: "the classification calls",
        place: "the small model",
    },
    Topic {
        words: &["storage", "backup", "bucket", "archive", "disk", "snapshot"],
        name: "storage",
        driver: "snapshots older than ninety days",
        cut: "the orphaned volumes",
        shift: "the cold objects",
        place: "the archive tier",
    },
    Topic {
        words: &["database", "postgres", "query", "sql", "index"],
        name: "databases",
        driver: "replicas that idle at night",
        cut: "the second read replica",
        shift: "the reporting queries",
        place: "the warehouse",
    },
    Topic {
        words: &["traffic", "egress", "network", "cdn", "bandwidth"],
        name: "network traffic",
        driver: "egress between regions",
        cut: "the cross-region log shipping",
        shift: "the static files",
        place: "the content network",
    },
    Topic {
        words: &["latency", "slow", "p95", "speed", "timeout"],
        name: "latency",
        driver: "machines kept large for peaks of a few minutes",
        cut: "the over-sized instances of the front line",
        shift: "the batch jobs",
        place: "the hours after midnight",
    },
    Topic {
        words: &[],
        name: "cloud services",
        driver: "compute that runs around the clock for office hours",
        cut: "the idle development machines",
        shift: "the nightly jobs",
        place: "spot instances",
    },
];

/// What the agent found out about one prompt. Money is in whole US dollars a month, shares in percent.
pub(super) struct Advice<'a> {
    topic: &'static Topic,
    reference: Option<&'a str>,
    total: u64,
    share: u64,
    cut_percent: u64,
    shift_percent: u64,
    steady: u64,
    weeks: u64,
}

impl<'a> Advice<'a> {
    /// Other values of `variation` give other figures for the same prompt.
    pub(super) fn on(prompt: &'a str, variation: u64) -> Advice<'a> {
        let mut noise = fnv1a(prompt.as_bytes()) ^ variation.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut pick = |from: u64, to: u64| {
            let picked = from + noise % (to - from + 1);
            noise = fnv1a(&noise.to_le_bytes());
            picked
        };
        Advice {
            topic: topic(prompt),
            reference: reference(prompt),
            total: pick(2_400, 96_000),
            share: pick(34, 68),
            cut_percent: pick(11, 24),
            shift_percent: pick(6, 14),
            steady: pick(52, 81),
            weeks: pick(3, 9),
        }
    }

    pub(super) fn thought(&self, step_number: usize) -> String {
        let Topic { name, driver, cut, shift, .. } = self.topic;
        match step_number % 3 {
            1 => format!("The question is about {name}; I look at the bills of the last 30 days before I advise."),
            2 => format!("The figures point at {driver}; I check whether {cut} can go without harm."),
            _ => format!("Next I compare what moving {shift} would save with what it would cost."),
        }
    }

    pub(super) fn parameters(&self) -> Value {
        json!({ "subject": self.topic.name, "days": 30 })
    }

    /// What a sub-agent reports to the agent.
    pub(super) fn finding(&self) -> String {
        let Topic { name, driver, .. } = self.topic;
        format!("Of ${} a month for {name}, {}% goes into {driver}.", dollars(self.total), self.share)
    }

    pub(super) fn results(&self) -> Value {
        json!({ "monthly_usd": self.total, "main_driver": self.topic.driver, "driver_percent": self.share })
    }

    /// The answer: at least 200 characters with sums of money, percentages and things to do.
    pub(super) fn text(&self, turn: &Turn) -> String {
        let Topic { name, driver, cut, shift, place, .. } = self.topic;
        let cut_usd = self.total * self.cut_percent / 100;
        let shift_usd = self.total * self.shift_percent / 100;
        let mut text = recall(turn);
        text.push_str(&format!(
            "You spend about ${} a month on {name}, and {}% of it goes into {driver}. First cut {cut}: that saves ${} a \
             month ({}%) at no risk. Then move {shift} to {place}, worth another ${} ({}%), and reserve capacity for the \
             steady {}% of the load. Together this brings the bill down to ${} a month within {} weeks.",
            dollars(self.total),
            self.share,
            dollars(cut_usd),
            self.cut_percent,
            dollars(shift_usd),
            self.shift_percent,
            self.steady,
            dollars(self.total - cut_usd - shift_usd),
            self.weeks,
        ));
        if let Some(reference) = self.reference {
            text.push_str(&format!(" Reference: {reference}"));
        }
        text
    }
}

/// What was asked before, in the first sentence of every later answer.
fn recall(turn: &Turn) -> String {
    if turn.earlier.is_empty() {
        return String::new();
    }
    let earlier: Vec<String> = turn
        .earlier
        .iter()
        .map(|prompt| {
            let mut details = notable_words(prompt).join(", ");
            if let Some(reference) = reference(prompt) {
                let gap = if details.is_empty() { "" } else { "; " };
                details.push_str(&format!("{gap}reference {reference}"));
            }
            let name = topic(prompt).name;
            if details.is_empty() { name.to_owned() } else { format!("{name} ({details})") }
        })
        .collect();
    format!("This is turn {} of our conversation; before, you asked about {}. ", turn.number, earlier.join(", then "))
}

fn topic(prompt: &str) -> &'static Topic {
    let prompt = prompt.to_lowercase();
    TOPICS
        .iter()
        .find(|topic| topic.words.iter().any(|word| prompt.contains(word)))
        .unwrap_or(&TOPICS[TOPICS.len() - 1])
}

/// What stands in the last `(ref ...)` of a prompt: one word of at most 128 characters.
fn reference(prompt: &str) -> Option<&str> {
    let (_, rest) = prompt.rsplit_once("(ref ")?;
    let reference = rest.split_once(')')?.0.trim();
    let plausible =
        !reference.is_empty() && reference.chars().count() <= 128 && !reference.contains(char::is_whitespace);
    plausible.then_some(reference)
}

fn notable_words(prompt: &str) -> Vec<&str> {
    let spoken = prompt.rsplit_once("(ref ").map_or(prompt, |(before, _)| before);
    spoken
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| word.chars().count() >= 5 && !EMPTY_WORDS.contains(&word.to_lowercase().as_str()))
        .take(RECALLED_WORDS)
        .collect()
}

/// With thousands separators: 12,345.
fn dollars(amount: u64) -> String {
    let digits = amount.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// FNV-1a, 64 bit (Fowler, Noll, Vo): spreads prompts over figures; no more is asked of it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str = "Which services drive our cloud bill, and what should we cut first? (ref gp7x9k)";

    fn first() -> Turn {
        Turn { number: 1, earlier: vec![] }
    }

    fn answer(prompt: &str) -> String {
        Advice::on(prompt, 0).text(&first())
    }

    #[test]
    fn an_answer_has_substance_and_cites_the_reference_at_its_end() {
        for prompt in [PROMPT, "", "Is storage too dear?", "Why is the database slow?", "llm egress p95"] {
            let text = answer(prompt);
            assert!(text.chars().count() >= 200, "{text}");
            assert!(text.contains('$') && text.contains('%'), "{text}");
            assert!(["cut", "move", "reserve"].iter().all(|action| text.contains(action)), "{text}");
        }
        assert!(answer(PROMPT).ends_with(" Reference: gp7x9k"));
        assert!(!answer("Cut the bill").contains("Reference"));
    }

    #[test]
    fn an_answer_depends_on_the_prompt_alone() {
        assert_eq!(answer(PROMPT), answer(PROMPT));
        assert_ne!(answer("Cut the bill of shop A"), answer("Cut the bill of shop B"));
        assert_ne!(Advice::on(PROMPT, 1).text(&first()), answer(PROMPT));
    }

    #[test]
    fn an_answer_never_quotes_the_prompt() {
        assert!(!answer(PROMPT).contains(PROMPT));
        assert!(!answer(PROMPT).contains("Which services"));
    }

    #[test]
    fn a_later_answer_recalls_turn_topics_words_and_references() {
        let earlier =
            vec!["Our storage budget is Kestrel, 4200 dollars (ref one1)".to_owned(), "And egress?".to_owned()];
        let text = Advice::on("What next? (ref two2)", 0).text(&Turn { number: 3, earlier });
        assert!(
            text.starts_with(
                "This is turn 3 of our conversation; before, you asked about storage (storage, budget, Kestrel; \
                 reference one1), then network traffic (egress). "
            ),
            "{text}"
        );
        assert!(text.ends_with(" Reference: two2"));
    }

    #[test]
    fn only_a_single_word_in_parentheses_is_a_reference() {
        assert_eq!(reference("a (ref x) b (ref y-1)"), Some("y-1"));
        assert_eq!(reference("a (ref  z )"), Some("z"));
        for prompt in ["", "(ref)", "(ref )", "(ref a b)", "(ref open", "ref x"] {
            assert_eq!(reference(prompt), None, "{prompt}");
        }
    }

    #[test]
    fn sums_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 96_000, 1_234_567].map(dollars), ["0", "999", "1,000", "96,000", "1,234,567"]);
    }
}
