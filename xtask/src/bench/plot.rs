//! The plot: a panel for each suite with a bar for each runner, and a line where pytest is.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::rows::{Measured, Row, seconds};

const WIDTH: u32 = 860;
const BAR: u32 = 22;
const MARGIN: u32 = 70;
/// Longer bars are cut off here; each has its time beside it.
const LIMIT: f64 = 1.6;
const RIGHT: RGBColor = RGBColor(0x2b, 0x7a, 0x9b);
const OWN: RGBColor = RGBColor(0xd0, 0x6a, 0x1b);
const WRONG: RGBColor = RGBColor(0xbb, 0xbb, 0xbb);

/// Draws suites that were measured.
///
/// # Errors
/// If a text can't be drawn.
pub fn svg(suites: &[&Measured]) -> Result<String> {
    let heights: Vec<u32> = suites
        .iter()
        .map(|suite| u32::try_from(bars(suite).len()).map(|bars| bars * BAR + MARGIN))
        .collect::<Result<_, _>>()?;
    let mut text = String::new();
    {
        let size = (WIDTH, heights.iter().sum::<u32>().max(1));
        let mut area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE).map_err(drawing)?;
        for (suite, height) in suites.iter().zip(heights) {
            let (upper, lower) = area.split_vertically(height);
            panel(suite, &upper)?;
            area = lower;
        }
        area.present().map_err(drawing)?;
    }
    Ok(text)
}

fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("can't draw: {error}")
}

/// The rows that have a time, with it and with its share of pytest's.
fn bars(suite: &Measured) -> Vec<(&Row, f64, f64)> {
    let pytest = suite.pytest().unwrap_or(1.0);
    let rows = suite.rows.iter();
    rows.filter_map(|row| row.wall().map(|wall| (row, wall, wall / pytest)))
        .collect()
}

fn panel<'a>(
    suite: &Measured,
    area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
) -> Result<()> {
    let bars = bars(suite);
    let count = i32::try_from(bars.len())?;
    let style = |horizontal, vertical| {
        ("sans-serif", 16)
            .into_font()
            .color(&BLACK)
            .pos(Pos::new(horizontal, vertical))
    };
    let mut chart = ChartBuilder::on(area)
        .caption(
            format!("{}: wall time, pytest = 1", suite.name),
            ("sans-serif", 20),
        )
        .margin_right(20)
        .x_label_area_size(26)
        .y_label_area_size(240)
        .build_cartesian_2d(0.0..LIMIT, 0.0..f64::from(count))
        .map_err(drawing)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .y_labels(0)
        .x_labels(8)
        .label_style(("sans-serif", 15))
        .x_label_formatter(&|value| format!("{value:.1}"))
        .draw()
        .map_err(drawing)?;
    for (number, (row, _, share)) in (0..count).zip(&bars) {
        let middle = f64::from(count - number) - 0.5;
        let colour = match row {
            row if !row.is_right() => WRONG,
            row if row.peer == super::peers::Peer::Dx => OWN,
            _ => RIGHT,
        };
        let corners = [(0.0, middle - 0.36), (share.min(LIMIT), middle + 0.36)];
        chart
            .draw_series([Rectangle::new(corners, colour.filled())])
            .map_err(drawing)?;
    }
    chart
        .draw_series([PathElement::new(
            vec![(1.0, 0.0), (1.0, f64::from(count))],
            BLACK.stroke_width(1),
        )])
        .map_err(drawing)?;
    for (number, (row, wall, share)) in (0..count).zip(&bars) {
        let middle = f64::from(count - number) - 0.5;
        let end = share.min(LIMIT);
        let (left, height) = chart.backend_coord(&(0.0, middle));
        let (right, _) = chart.backend_coord(&(end, middle));
        let cut = if *share > LIMIT { " →" } else { "" };
        let wrong = if row.is_right() {
            ""
        } else {
            ", wrong outcomes"
        };
        let label = format!("{} s{wrong}{cut}", seconds(*wall));
        // A label that doesn't fit beside its bar is written into it.
        let (place, side) = if end > LIMIT * 0.72 {
            let ink = if row.is_right() { &WHITE } else { &BLACK };
            (right - 5, style(HPos::Right, VPos::Center).color(ink))
        } else {
            (right + 5, style(HPos::Left, VPos::Center))
        };
        let (dx, dy) = area.get_pixel_range();
        let at = |x: i32| (x - dx.start, height - dy.start);
        area.draw(&Text::new(label, at(place), side))
            .map_err(drawing)?;
        let name = style(HPos::Right, VPos::Center);
        area.draw(&Text::new(row.heading.clone(), at(left - 6), name))
            .map_err(drawing)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::example;
    use super::*;

    #[test]
    fn bars_have_names_and_times_and_wrong_ones_say_so() {
        let (one, two) = (example("trivial"), example("typical"));
        let drawn = svg(&[&one, &two]).unwrap();
        for text in [
            "trivial: wall time",
            "typical: wall time",
            "tiderace",
            "0.250 s, wrong outcomes",
        ] {
            assert!(drawn.contains(text), "{text} is missing");
        }
        assert!(!drawn.contains("karva"), "nothing was measured of it");
    }
}
