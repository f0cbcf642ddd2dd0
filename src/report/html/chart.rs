//! Charts as SVG, drawn by a library: how latencies are distributed, and how they went over time.
//!
//! Colours are tokens that the page's style sheet replaces, so that one drawing serves light, dark and paper. Nothing but
//! numbers of ours is written into a chart.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::tree::Slice;
use crate::stats::Histogram;
use crate::time::Micros;

/// Pixels of a chart. It fits a telephone, and two or three of them fit a desk.
const SIZE: (u32, u32) = (340, 150);
/// Bars of a distribution.
const BARS: usize = 30;

/// The colours that `style.css` knows.
const AXIS: RGBColor = RGBColor(0, 0, 1);
const GRID: RGBColor = RGBColor(0, 0, 2);
const MAIN: RGBColor = RGBColor(0, 0, 3);
const MARK: RGBColor = RGBColor(0, 0, 4);
const PALE: RGBColor = RGBColor(0, 0, 5);

/// How many latencies lie where, on a logarithmic scale, with the median and the 95th percentile; `None` of fewer than two, which
/// lie nowhere but where the table says.
pub(super) fn distribution(histogram: &Histogram, p50_us: Option<u64>, p95_us: Option<u64>) -> Option<String> {
    if histogram.len() < 2 {
        return None;
    }
    let (low, high) = (histogram.min()?.max(1) as f64, histogram.max()?.max(1) as f64);
    // Equal values still need a scale to stand on.
    let pad = (0.3 - (high / low).log10()).max(0.1) / 2.0;
    let (from, to) = (low.log10() - pad, high.log10() + pad);
    let edge = |bar: usize| from + (to - from) * bar as f64 / BARS as f64;
    let mut below = 0;
    let bars: Vec<(f64, f64, u64)> = (0..BARS)
        .map(|bar| {
            let up_to = histogram.count_up_to(10_f64.powf(edge(bar + 1)) as u64);
            let count = up_to - below;
            below = up_to;
            (edge(bar), edge(bar + 1), count)
        })
        .collect();
    let most = bars.iter().map(|(.., count)| *count).max().unwrap_or_default().max(1);
    let ticks = ticks(10_f64.powf(from), 10_f64.powf(to)).into_iter().map(f64::log10).collect();
    let x = Scale::new(from..to, ticks, |us| Micros(10_f64.powf(*us).round() as u64).to_string());
    let y = Scale::new(0.0..most as f64 * 1.05, counts(most), |count| format!("{count:.0}"));
    draw(x, y, |chart| {
        let bars = bars.iter().filter(|(.., count)| *count > 0);
        chart.draw_series(
            bars.map(|(from, to, count)| Rectangle::new([(*from, 0.0), (*to, *count as f64)], MAIN.filled())),
        )?;
        for (name, at, side) in [("p50", p50_us, HPos::Right), ("p95", p95_us, HPos::Left)] {
            let Some(at) = at.map(|us| (us.max(1) as f64).log10()) else { continue };
            let top = most as f64 * 1.05;
            chart.draw_series(LineSeries::new([(at, 0.0), (at, top)], MARK.stroke_width(1)))?;
            let style = ("sans-serif", 13).into_font().color(&MARK).pos(Pos::new(side, VPos::Top));
            let shift = if matches!(side, HPos::Right) { -3 } else { 3 };
            chart.draw_series(std::iter::once(EmptyElement::at((at, top)) + Text::new(name, (shift, 0), style)))?;
        }
        Ok(())
    })
}

/// The median as a line, the 95th percentile as another where there is one, and the largest as dots, over the time at which
/// iterations began; `None` without a course to show.
pub(super) fn over_time(slices: &[Slice]) -> Option<String> {
    let [first, .., last] = slices else { return None };
    let (from, to) = (first.from_us as f64, (last.from_us + last.width_us) as f64);
    let most = slices.iter().map(|slice| slice.max_us).max()?.max(1) as f64;
    let time = |us: &f64| Micros(us.round() as u64).to_string();
    let x = Scale::new(from..to, even(from, to), time);
    let y = Scale::new(0.0..most * 1.08, even(0.0, most), time);
    let middle = |slice: &Slice| (slice.from_us + slice.width_us / 2) as f64;
    draw(x, y, |chart| {
        let dots = slices.iter().map(|slice| (middle(slice), slice.max_us as f64));
        chart.draw_series(dots.map(|dot| Circle::new(dot, 2, PALE.filled())))?;
        let tail = slices.iter().filter_map(|slice| Some((middle(slice), slice.p95_us? as f64)));
        chart.draw_series(LineSeries::new(tail, MARK.stroke_width(1)))?;
        let median = slices.iter().map(|slice| (middle(slice), slice.p50_us as f64));
        chart.draw_series(LineSeries::new(median, MAIN.stroke_width(2)))?;
        Ok(())
    })
}

/// Figures over time from nothing up to the largest, the first line thick; `None` without a course to show. Times are in
/// microseconds; `label` says a figure.
pub(super) fn lines(lines: &[Vec<(f64, f64)>], label: fn(&f64) -> String) -> Option<String> {
    let times = || lines.iter().flatten().map(|(at, _)| *at);
    let (from, to) = (times().reduce(f64::min)?, times().reduce(f64::max)?);
    if from >= to {
        return None;
    }
    let most = lines.iter().flatten().map(|(_, figure)| *figure).fold(1.0, f64::max);
    let x = Scale::new(from..to, even(from, to), |us| Micros(us.round() as u64).to_string());
    let y = Scale::new(0.0..most * 1.08, even(0.0, most), label);
    draw(x, y, |chart| {
        let styles = std::iter::once(MAIN.stroke_width(2)).chain(std::iter::repeat(MARK.stroke_width(1)));
        // The thick one is drawn last, above the others.
        for (line, style) in lines.iter().zip(styles).collect::<Vec<_>>().into_iter().rev() {
            chart.draw_series(LineSeries::new(line.iter().copied(), style))?;
        }
        Ok(())
    })
}

/// One axis: what it spans, and where it is labelled how.
struct Scale {
    range: RangedCoordf64,
    ticks: Vec<f64>,
    label: fn(&f64) -> String,
}

impl Scale {
    fn new(range: Range<f64>, ticks: Vec<f64>, label: fn(&f64) -> String) -> Scale {
        Scale { range: range.into(), ticks, label }
    }
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.range.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.range()
    }
}

type Canvas<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Scale, Scale>>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Axes with what `fill` draws between them. Drawing into memory fails only where the library cannot lay something out; then
/// there is no chart, and the table beside it says the same.
fn draw(x: Scale, y: Scale, fill: impl FnOnce(&mut Canvas<'_, '_>) -> Drawn) -> Option<String> {
    let mut svg = String::new();
    let drawn = || -> Drawn {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let (x_label, y_label) = (x.label, y.label);
        let mut chart = ChartBuilder::on(&root)
            .margin(4)
            .margin_right(16)
            .x_label_area_size(20)
            .y_label_area_size(48)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(GRID)
            .label_style(("sans-serif", 13).into_font().color(&AXIS))
            .x_label_formatter(&x_label)
            .y_label_formatter(&y_label)
            .draw()?;
        fill(&mut chart)?;
        root.present()?;
        Ok(())
    };
    drawn().ok()?;
    Some(svg)
}

/// Three to six round values from `low` to `high`, for a logarithmic scale.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    if high / low < 8.0 {
        return even(low, high);
    }
    let decades = || low.log10().floor() as i32..=high.log10().ceil() as i32;
    let of = |steps: &[f64]| -> Vec<f64> {
        let all = decades().flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
        all.filter(|tick| (low..=high).contains(tick)).collect()
    };
    let sets = [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]].map(of);
    let fits = sets.iter().find(|ticks| ticks.len() <= 6).or(sets.last()).cloned().unwrap_or_default();
    let every = fits.len().div_ceil(6).max(1);
    fits.into_iter().step_by(every).collect()
}

/// Two to five round values from `low` to `high`, for a linear scale.
fn even(low: f64, high: f64) -> Vec<f64> {
    let rough = ((high - low) / 4.0).max(f64::MIN_POSITIVE);
    let decade = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    (first..first + 6).map(|n| n as f64 * step).filter(|tick| *tick <= high).collect()
}

/// A few whole numbers up to `most`.
fn counts(most: u64) -> Vec<f64> {
    match most {
        0..=3 => (0..=most).map(|count| count as f64).collect(),
        most => even(0.0, most as f64).into_iter().filter(|count| count.fract() == 0.0).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_has_a_few_round_values_within_it() {
        for (low, high) in [(1.0, 8.0), (900.0, 1_100.0), (50.0, 4_000_000.0), (3.0, 9e9), (1e6, 1.9e6)] {
            let ticks = ticks(low, high);
            assert!((2..=7).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
            assert!(ticks.iter().all(|tick| (low..=high).contains(tick)), "{low} to {high}: {ticks:?}");
        }
        assert_eq!(counts(2), [0.0, 1.0, 2.0]);
        assert_eq!(counts(10), [0.0, 5.0, 10.0]);
    }

    #[test]
    fn a_course_needs_two_points() {
        let slice = |n: u64| Slice {
            from_us: n * 100_000,
            width_us: 100_000,
            runs: 30,
            p50_us: 1_000 * n,
            p95_us: (n > 1).then_some(5_000),
            max_us: 9_000,
        };
        assert_eq!(over_time(&[]), None);
        assert_eq!(over_time(&[slice(1)]), None);
        let svg = over_time(&[slice(1), slice(2), slice(9)]).expect("a chart");
        assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
        assert_eq!(svg.matches("stroke=\"#000003\"").count(), 1, "the median: {svg}");
        assert_eq!(svg.matches("stroke=\"#000004\"").count(), 1, "the tail: {svg}");
    }

    #[test]
    fn lines_need_two_times_and_the_first_is_thick() {
        let label: fn(&f64) -> String = |figure| format!("{figure:.0}");
        assert_eq!(lines(&[], label), None);
        assert_eq!(lines(&[vec![(5.0, 1.0)], vec![(5.0, 2.0)]], label), None);
        let svg = lines(&[vec![(0.0, 0.0), (1e6, 0.0)], vec![(0.0, 3.0), (1e6, 90.0)]], label).expect("a chart");
        let strokes = |color: &str, width| svg.matches(&format!("stroke=\"{color}\" stroke-width=\"{width}\"")).count();
        assert_eq!((strokes("#000003", 2), strokes("#000004", 1)), (1, 1), "{svg}");
    }

    #[test]
    fn every_latency_stands_in_a_bar() {
        let mut histogram = Histogram::new();
        assert_eq!(distribution(&histogram, None, None), None);
        histogram.record(0);
        assert_eq!(distribution(&histogram, Some(0), None), None);
        for us in [5, 5, 5, 70_000] {
            histogram.record(us);
        }
        let svg = distribution(&histogram, Some(5), Some(70_000)).expect("a chart");
        // The background of the plot is no bar.
        assert_eq!(svg.matches("fill=\"#000003\"").count(), 3, "{svg}");
        assert!(svg.contains("p50") && svg.contains("p95"), "{svg}");
    }
}
