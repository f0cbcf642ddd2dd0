//! `expect.budgets`: limits on figures of segments, with keys such as `p95` that a fixed list cannot hold.

use serde_json::{Value as Json, json};

use crate::document::decode::{Definitions, Fields, Spanned, decode_entry, described, object_schema, record};
use crate::document::diagnostic::{Diagnostic, quote};
use crate::document::{Context, Decode, Node, Span, Value};
use crate::expect::{Level, Segment, Statistic};
use crate::time::Micros;

/// The limits of all segments, in the order written.
#[derive(Debug, Clone)]
pub struct Budgets(pub Vec<SegmentBudget>);

/// The limits of one segment.
#[derive(Debug, Clone)]
pub struct SegmentBudget {
    /// What is limited.
    pub segment: Segment,
    /// Where the segment was named.
    pub span: Span,
    /// The limits.
    pub limits: Vec<Limit>,
    /// The length of windows that are judged each by itself.
    pub per: Option<Spanned<Micros>>,
    /// The bounds of the quantiles must be within their limits, too; with the place of the key.
    pub proven: Option<(bool, Span)>,
    /// Counts for the exit code.
    pub required: Option<bool>,
}

/// One limit.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// What is limited.
    pub figure: Figure,
    /// The largest allowed value; of `min` the smallest.
    pub limit: Micros,
    /// What it means to break it.
    pub level: Level,
    /// Where the figure was named.
    pub span: Span,
}

/// A figure, exactly as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// A quantile in thousandths of a percent, 1 to 99,999.
    Quantile(u32),
    /// `mean`.
    Mean,
    /// `max`.
    Max,
    /// `min`.
    Min,
}

/// A hundred percent in thousandths of a percent.
pub const WHOLE: u32 = 100_000;

/// Those that messages advertise.
const FIGURES: [&str; 8] = ["p50", "p90", "p95", "p99", "p99.9", "mean", "max", "min"];

/// What one figure is limited to.
#[derive(Debug, Clone)]
enum Levels {
    Fail(Micros),
    Both(LevelsDef),
}

record! {
    /// A limit, and a level before it.
    pub struct LevelsDef {
        /// Broken, it is reported, and never changes the exit code.
        pub warn: Option<Micros>,
        /// Broken, the claim fails.
        pub fail: Option<Micros>,
    }
}

impl Decode for Levels {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match &node.value {
            Value::Map(_) => LevelsDef::decode(node, cx).map(Self::Both),
            _ => Micros::decode(node, cx).map(Self::Fail),
        }
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [Micros::schema(definitions), LevelsDef::schema(definitions)] })
    }
}

impl Figure {
    /// Reads a key. `None` if it is no figure; an error says why it cannot be judged.
    pub fn parse(key: &str) -> Option<Result<Self, &'static str>> {
        match key {
            "mean" => return Some(Ok(Self::Mean)),
            "max" => return Some(Ok(Self::Max)),
            "min" => return Some(Ok(Self::Min)),
            _ => {}
        }
        let number = key.strip_prefix('p')?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        if fraction.len() > 3 {
            return Some(Err("quantiles have at most three decimals"));
        }
        let thousandths = whole.parse::<u64>().ok()? * 1_000 + format!("{fraction:0<3}").parse::<u64>().ok()?;
        Some(match u32::try_from(thousandths) {
            Ok(exact) if (1..WHOLE).contains(&exact) => Ok(Self::Quantile(exact)),
            _ => Err("a quantile lies above p0 and below p100"),
        })
    }

    /// As the judge knows it.
    pub fn statistic(self) -> Statistic {
        match self {
            Self::Quantile(thousandths) => Statistic::Quantile(f64::from(thousandths) / f64::from(WHOLE)),
            Self::Mean => Statistic::Mean,
            Self::Max => Statistic::Max,
            Self::Min => Statistic::Min,
        }
    }
}

impl Decode for Budgets {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let names = Segment::ALL.map(Segment::name);
        let (_, clean) = Fields::open(node, &names, &[], cx)?;
        let mut decoded: Vec<Option<SegmentBudget>> = Vec::new();
        for (at, entry) in node.entries().unwrap_or_default().iter().enumerate() {
            let earlier = &node.entries().unwrap_or_default()[..at];
            let Some(segment) = Segment::ALL.into_iter().find(|segment| segment.name() == entry.key.text) else {
                continue;
            };
            // The first of duplicate keys counts; the reader reports the others.
            if earlier.iter().all(|other| other.key.text != entry.key.text) {
                let decode = |cx: &mut Context| SegmentBudget::decode(segment, entry.key.span, &entry.value, cx);
                decoded.push(cx.at_key(&entry.key.text, entry.key.span, decode));
            }
        }
        let budgets: Option<Vec<_>> = decoded.into_iter().collect();
        budgets.filter(|_| clean).map(Self)
    }

    fn schema(definitions: &mut Definitions) -> Json {
        let limits = definitions.refer("SegmentBudget", concat!(module_path!(), "::SegmentBudget"), |definitions| {
            let limit = Levels::schema(definitions);
            let properties = vec![
                ("p50", described(limit.clone(), "Half of all took no longer. Any `pNN` or `pNN.N` is a quantile.")),
                ("p90", limit.clone()),
                ("p95", limit.clone()),
                ("p99", limit.clone()),
                ("p99.9", limit.clone()),
                ("mean", described(limit.clone(), "The arithmetic mean.")),
                ("max", described(limit.clone(), "The largest; needs no minimum of runs.")),
                ("min", described(limit.clone(), "The smallest: what is faster was no real work.")),
                ("per", described(Micros::schema(definitions), "Judge each window of this length by itself.")),
                ("proven", described(bool::schema(definitions), "The bounds of the quantiles must be within, too.")),
                ("required", described(bool::schema(definitions), "`false` reports and never changes the exit code.")),
            ];
            let mut schema = object_schema(properties, Vec::new(), "Limits on one segment.");
            schema["patternProperties"] = json!({ "^p(0|[1-9][0-9]?)(\\.[0-9]{1,3})?$": limit });
            schema["minProperties"] = json!(1);
            schema
        });
        let properties = Segment::ALL.map(|segment| (segment.name(), described(limits.clone(), meaning(segment))));
        object_schema(properties.to_vec(), Vec::new(), "Limits on the time between two milestones.")
    }
}

impl SegmentBudget {
    fn decode(segment: Segment, span: Span, node: &Node, cx: &mut Context) -> Option<Self> {
        let entries = node.entries().unwrap_or_default();
        // Figures are judged below, so that quantiles that nobody listed are allowed without being advertised.
        let mut others = node.clone();
        if let Value::Map(entries) = &mut others.value {
            entries.retain(|entry| Figure::parse(&entry.key.text).is_none());
        }
        let allowed: Vec<&str> = FIGURES.into_iter().chain(["per", "proven", "required"]).collect();
        let (fields, mut clean) = Fields::open(&others, &allowed, &[], cx)?;

        let mut limits: Vec<Limit> = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for entry in entries {
            let (key, place) = (entry.key.text.as_str(), entry.key.span);
            let Some(figure) = Figure::parse(key).filter(|_| !seen.contains(&key)) else {
                continue;
            };
            seen.push(key);
            match (figure, decode_entry::<Levels>(entry, cx)) {
                (Err(why), _) => {
                    let mistake = Diagnostic::mistake(place, format!("{} is not a quantile", quote(key)));
                    cx.report(mistake.note(why).help("for the largest value of all write `max`"));
                    clean = false;
                }
                (Ok(figure), Some(Levels::Fail(limit))) => {
                    limits.push(Limit { figure, limit, level: Level::Fail, span: place });
                }
                (Ok(figure), Some(Levels::Both(levels))) => {
                    if levels.warn.is_none() && levels.fail.is_none() {
                        let mistake = Diagnostic::mistake(place, format!("{} has no limit", quote(key)));
                        cx.report(mistake.help("write for example `{ warn: 1s, fail: 2s }`"));
                        clean = false;
                    }
                    // The hard limit first, so that a warning knows whether it adds anything.
                    let both = [(levels.fail, Level::Fail), (levels.warn, Level::Warn)];
                    let given = both.into_iter().filter_map(|(limit, level)| Some((limit?, level)));
                    limits.extend(given.map(|(limit, level)| Limit { figure, limit, level, span: place }));
                }
                (Ok(_), None) => clean = false,
            }
        }
        let proven: Option<bool> = fields.optional("proven", cx)?;
        let required = fields.optional("required", cx)?;
        let per = fields.optional("per", cx)?;
        let proven_at = entries.iter().find(|entry| entry.key.text == "proven").map(|entry| entry.key.span);
        let proven = proven.zip(proven_at);
        clean.then_some(Self { segment, span, limits, per, proven, required })
    }
}

fn meaning(segment: Segment) -> &'static str {
    match segment {
        Segment::Login => "Login sent to logged in.",
        Segment::Connect => "TCP connect begun to upgraded.",
        Segment::Greeting => "Upgraded to greeted.",
        Segment::FirstEvent => "Asked to the first event of the run.",
        Segment::Silence => "The largest gap between two signs of progress; heartbeats do not count.",
        Segment::Tool => "A tool's call to its result.",
        Segment::Run => "Asked to good end.",
        Segment::Response => "Under open load: scheduled arrival to good end, waits for a late harness included.",
        Segment::GoldenPath => "Login sent to good end; only with `session: fresh`.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_read_exactly() {
        for (key, exact) in [("p50", 50_000), ("p95", 95_000), ("p95.0", 95_000), ("p99.9", 99_900), ("p0.001", 1)] {
            assert_eq!(Figure::parse(key), Some(Ok(Figure::Quantile(exact))), "{key}");
        }
        assert_eq!(Figure::Quantile(99_900).statistic(), Statistic::Quantile(0.999));
    }

    #[test]
    fn what_cannot_be_judged_is_no_quantile() {
        for key in ["p0", "p100", "p100.0", "p999999999", "p99.9999"] {
            assert!(matches!(Figure::parse(key), Some(Err(_))), "{key}");
        }
        for key in ["p", "95", "px", "p9x", "p.9", "p9.", "P95", "floor", "p-5"] {
            assert_eq!(Figure::parse(key), None, "{key}");
        }
    }
}
