//! What makes the answer to one turn a good one.
//!
//! Plain data; how an answer is held against it is `check`.

use regex::Regex;

use super::Matcher;

/// What makes an answer good.
#[derive(Debug, Clone)]
pub struct AnswerRules {
    /// Characters (Unicode scalar values) at least; 0 asks nothing, yet an empty answer is still none.
    pub min_chars: u32,
    /// Patterns that must all occur.
    pub all_of: Vec<Regex>,
    /// Patterns of which one must occur, if there are any.
    pub any_of: Vec<Regex>,
    /// Patterns that must not occur.
    pub none_of: Vec<Regex>,
    /// Texts that stand in for an answer, compared with the whole of it, without case and punctuation. None asks nothing.
    pub placeholders: Vec<String>,
    /// The share of an answer's words, above 0 and up to 1, from which on a quoted prompt makes it an echo; `None` asks nothing.
    pub echo_from: Option<f64>,
    /// The mark of the prompt must stand in the answer.
    pub canary_echoed: bool,
    /// No two prompts that differ beyond their marks may have the same answer.
    pub distinct: bool,
    /// Must hold of the event that ends the run; where several must come, of the last of one kind of them.
    pub success: Option<Matcher>,
    /// It must name a figure, money and something to do, in words that are not the prompt's.
    pub business_value: bool,
}

impl AnswerRules {
    /// What stands in for an answer in systems that were seen to do so, and what programs print for nothing.
    pub const PLACEHOLDERS: [&str; 24] = [
        "agent completed",
        "agent is processing",
        "agent is processing your request",
        "completed successfully",
        "lorem ipsum",
        "mock response",
        "no response",
        "no response generated",
        "not implemented",
        "null",
        "object object",
        "ok",
        "okay",
        "placeholder",
        "processing",
        "processing request",
        "processing your request",
        "request processed",
        "request processed successfully",
        "task completed",
        "task completed successfully",
        "tbd",
        "todo",
        "undefined",
    ];

    /// From this share of quoted words on an answer says nothing of its own: `Agent response for: ` before a prompt of twelve
    /// words leaves 80 %.
    pub const ECHO_FROM: f64 = 0.8;
}

impl Default for AnswerRules {
    /// An answer that is one: neither a placeholder nor the prompt quoted back.
    fn default() -> AnswerRules {
        AnswerRules {
            min_chars: 0,
            all_of: Vec::new(),
            any_of: Vec::new(),
            none_of: Vec::new(),
            placeholders: AnswerRules::PLACEHOLDERS.map(str::to_owned).to_vec(),
            echo_from: Some(AnswerRules::ECHO_FROM),
            canary_echoed: false,
            distinct: false,
            success: None,
            business_value: false,
        }
    }
}
