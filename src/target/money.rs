//! Money as a profile writes it: an amount and the name of a currency, which are multiplied and compared and nothing else.

use std::fmt;

use serde_json::{Value as Json, json};

use crate::document::decode::{Decode, Definitions};
use crate::document::{Context, Node};

/// An amount of money. Currencies are names: what is not called the same cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// In millionths of the currency's unit.
    millionths: u128,
    /// Its name: `USD`, `credits`.
    currency: String,
}

/// What runs of a target cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// One run.
    pub per_run: Money,
    /// One execution may cost so much.
    pub at_most: Option<Money>,
}

impl Money {
    /// Reads `0.05 USD`: an amount with at most six decimals, and a name of letters.
    pub fn parse(text: &str) -> Option<Money> {
        let (amount, currency) = text.trim().split_once(char::is_whitespace)?;
        let currency = currency.trim();
        let (whole, decimals) = amount.split_once('.').unwrap_or((amount, "0"));
        let digits = |part: &str, most: usize| {
            !part.is_empty() && part.len() <= most && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let named = !currency.is_empty() && currency.chars().all(char::is_alphabetic);
        if !named || !digits(whole, 12) || !digits(decimals, 6) {
            return None;
        }
        let millionths = whole.parse::<u128>().ok()? * 1_000_000 + format!("{decimals:0<6}").parse::<u128>().ok()?;
        Some(Money { millionths, currency: currency.to_owned() })
    }

    /// So many times.
    pub fn times(&self, count: u64) -> Money {
        Money { millionths: self.millionths * u128::from(count), currency: self.currency.clone() }
    }

    /// Whether it is more than `other`; `None` if they are not of one currency.
    pub fn exceeds(&self, other: &Money) -> Option<bool> {
        (self.currency == other.currency).then_some(self.millionths > other.millionths)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.millionths / 1_000_000, self.millionths % 1_000_000);
        let decimals = format!("{rest:06}");
        // Two decimals at least, as money is written, and no more zeros than that.
        let kept = decimals.trim_end_matches('0').len().max(2);
        write!(f, "{whole}.{} {}", &decimals[..kept], self.currency)
    }
}

impl Decode for Money {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match node.text().and_then(Money::parse) {
            Some(money) => Some(money),
            None => cx.expected_with_help(
                node,
                "money",
                Some("write an amount and a currency, for example `0.05 USD`".to_owned()),
            ),
        }
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({
            "type": "string",
            "pattern": "^\\s*[0-9]{1,12}(\\.[0-9]{1,6})?\\s+\\p{L}+\\s*$",
            "examples": ["0.05 USD", "2 credits"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_multiplied_and_compared_exactly() {
        let money = |text: &str| Money::parse(text).unwrap_or_else(|| panic!("{text} is money"));
        for (text, shown) in [
            ("0.05 USD", "0.05 USD"),
            ("2 credits", "2.00 credits"),
            (" 1.250001  EUR ", "1.250001 EUR"),
            ("0.5 €x", ""),
        ] {
            assert_eq!(Money::parse(text).map(|money| money.to_string()).unwrap_or_default(), shown, "{text}");
        }
        for text in ["", "5", "USD", "-1 USD", "1. USD", "1.0000001 USD", "1,5 USD", "1e3 USD", "1 US D", "1 U$"] {
            assert_eq!(Money::parse(text), None, "{text}");
        }
        assert_eq!(money("0.1 USD").times(3).exceeds(&money("0.3 USD")), Some(false), "as no float would have it");
        assert_eq!(money("0.1 USD").times(4).exceeds(&money("0.3 USD")), Some(true));
        assert_eq!(money("0.1 USD").exceeds(&money("1 EUR")), None);
    }
}
