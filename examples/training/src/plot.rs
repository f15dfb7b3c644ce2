//! Draws line charts and confusion matrices as SVG.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use grad_examples::printable::Printable;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Colours that people with any colour vision tell apart (Okabe and Ito).
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];
const GREY: RGBColor = RGBColor(90, 90, 90);
const PALE: RGBColor = RGBColor(225, 225, 225);
const FONT: &str = "sans-serif";
const PANEL: (u32, u32) = (480, 340);

/// One line of a chart.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its name in the legend; empty to leave it out.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Whether it is thin and pale, as the background of another.
    pub faint: bool,
    /// Whether each point has a dot.
    pub dots: bool,
}

/// Axes with lines.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The title.
    pub title: String,
    /// The label of the horizontal axis, with its unit.
    pub x: String,
    /// The label of the vertical axis, with its unit.
    pub y: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// The range of the vertical axis; by default that of the lines.
    pub range: Option<(f64, f64)>,
    /// A vertical line, and what it marks.
    pub mark: Option<(f64, String)>,
}

/// Writes charts side by side.
///
/// # Errors
///
/// If the file cannot be written.
pub fn charts(path: &Path, charts: &[Chart]) -> Result<()> {
    let mut svg = String::new();
    {
        let width = PANEL.0 * u32::try_from(charts.len())?;
        let root = SVGBackend::with_string(&mut svg, (width, PANEL.1)).into_drawing_area();
        let draw = || -> Result<(), DrawingError> {
            root.fill(&WHITE)?;
            for (area, chart) in root.split_evenly((1, charts.len())).iter().zip(charts) {
                draw_chart(area, chart)?;
            }
            root.present()
        };
        draw().map_err(|error| anyhow!("cannot draw {}: {error}", shown(path)))?;
    }
    write(path, &svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type DrawingError = DrawingAreaErrorKind<std::io::Error>;

fn draw_chart(area: &Area<'_>, chart: &Chart) -> Result<(), DrawingError> {
    let points =
        || chart.lines.iter().flat_map(|line| &line.points).filter(|(x, y)| x.is_finite() && y.is_finite());
    let (left, right) = bounds(points().map(|&(x, _)| x));
    let (low, high) = chart.range.unwrap_or_else(|| {
        let (low, high) = bounds(points().map(|&(_, y)| y));
        // Losses and returns are compared with 0.
        (if low > 0.0 { 0.0 } else { low }, high + 0.05 * (high - low))
    });
    // The horizontal axis counts or measures: below eight units, a tick for each whole number.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 2 and 9")]
    let x_labels = (right - left).clamp(1.0, 8.0) as usize + 1;
    let mut context = ChartBuilder::on(area)
        .margin(12)
        .margin_right(22)
        .caption(&chart.title, (FONT, 17))
        .x_label_area_size(44)
        .y_label_area_size(58)
        .build_cartesian_2d(left..right, low..high)?;
    context
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(PALE)
        .axis_style(GREY)
        .x_labels(x_labels)
        .y_labels(7)
        .x_label_formatter(&|x| number(*x))
        .y_label_formatter(&|y| number(*y))
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .x_desc(&chart.x)
        .y_desc(&chart.y)
        .draw()?;
    if let Some((x, name)) = &chart.mark {
        let style = TextStyle::from((FONT, 12)).color(&GREY);
        // The text is on the side where there is more space for it.
        let (side, gap) = if *x > f64::midpoint(left, right) { (HPos::Right, -5) } else { (HPos::Left, 5) };
        context.draw_series(DashedLineSeries::new([(*x, low), (*x, high)], 4, 4, GREY.into()))?;
        context.draw_series([EmptyElement::at((*x, low))
            + Text::new(name.clone(), (gap, -6), style.pos(Pos::new(side, VPos::Bottom)))])?;
    }
    for (line, colour) in chart.lines.iter().zip(COLOURS.iter().cycle()) {
        let (colour, width) = if line.faint { (colour.mix(0.3), 1) } else { (colour.mix(1.0), 2) };
        let style = colour.stroke_width(width);
        let drawn = context.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
        if !line.name.is_empty() {
            drawn.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        if line.dots {
            context.draw_series(line.points.iter().map(|&point| Circle::new(point, 3, colour.filled())))?;
        }
    }
    if chart.lines.iter().any(|line| !line.name.is_empty()) {
        let position = emptiest_corner(&chart.lines, (left, right), (low, high));
        context
            .configure_series_labels()
            .position(position)
            .margin(10)
            .legend_area_size(24)
            .background_style(WHITE.mix(0.85))
            .border_style(PALE)
            .label_font((FONT, 13))
            .draw()?;
    }
    Ok(())
}

/// Returns the corner for a legend that hides the fewest points.
fn emptiest_corner(lines: &[Line], (left, right): (f64, f64), (low, high): (f64, f64)) -> SeriesLabelPosition {
    // A legend covers about this fraction of the width and of the height.
    const COVERED: (f64, f64) = (0.4, 0.3);
    let points = || lines.iter().flat_map(|line| &line.points);
    let hidden = |at_right: bool, at_top: bool| {
        let inside = points().filter(|(x, y)| {
            let (x, y) = ((x - left) / (right - left), (y - low) / (high - low));
            (if at_right { 1.0 - x } else { x }) < COVERED.0 && (if at_top { 1.0 - y } else { y }) < COVERED.1
        });
        inside.count()
    };
    let corners = [
        (hidden(true, true), SeriesLabelPosition::UpperRight),
        (hidden(false, true), SeriesLabelPosition::UpperLeft),
        (hidden(true, false), SeriesLabelPosition::LowerRight),
        (hidden(false, false), SeriesLabelPosition::LowerLeft),
    ];
    let best = corners.into_iter().min_by_key(|(hidden, _)| *hidden);
    best.map_or(SeriesLabelPosition::UpperRight, |(_, corner)| corner)
}

/// Returns the least and the greatest number, apart by more than nothing.
fn bounds(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    match (low.is_finite(), low < high) {
        (false, _) => (0.0, 1.0),
        (true, false) => (low - 0.5, low + 0.5),
        (true, true) => (low, high),
    }
}

/// Formats the number at a tick, without zeros at its end.
fn number(number: f64) -> String {
    let text = format!("{number:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Writes a confusion matrix: a row for each class, with the numbers of its examples by predicted class.
///
/// # Errors
///
/// If the file cannot be written.
pub fn confusion(path: &Path, title: &str, classes: &[String], counts: &[Vec<usize>]) -> Result<()> {
    let mut svg = String::new();
    {
        const CELL: i32 = 46;
        let names = classes.iter().map(|name| shortened(name)).collect::<Vec<_>>();
        let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let (label, width) = (i32::try_from(longest)? * 7 + 8, CELL * i32::try_from(classes.len())?);
        let (left, top) = (label + 28, 44);
        let size = (u32::try_from(left + width + 16)?, u32::try_from(top + width + label + 28)?);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let text = |size: i32| TextStyle::from((FONT, size)).color(&BLACK);
        let centre = Pos::new(HPos::Center, VPos::Center);
        let draw = || -> Result<(), DrawingError> {
            root.fill(&WHITE)?;
            root.draw_text(title, &text(17).pos(Pos::new(HPos::Center, VPos::Top)), (left + width / 2, 14))?;
            let (mut y, bottom) = (top, top + width);
            for (name, row) in names.iter().zip(counts) {
                let total = row.iter().sum::<usize>().max(1);
                let mut x = left;
                for &count in row {
                    #[expect(clippy::cast_precision_loss, reason = "the numbers of examples are small")]
                    let share = count as f64 / total as f64;
                    root.draw(&Rectangle::new([(x, y), (x + CELL, y + CELL)], COLOURS[0].mix(share).filled()))?;
                    root.draw(&Rectangle::new([(x, y), (x + CELL, y + CELL)], PALE))?;
                    let colour = if share > 0.5 { WHITE } else { BLACK };
                    if count > 0 {
                        let style = text(14).color(&colour).pos(centre);
                        root.draw_text(&count.to_string(), &style, (x + CELL / 2, y + CELL / 2))?;
                    }
                    x += CELL;
                }
                let style = text(13).pos(Pos::new(HPos::Right, VPos::Center));
                root.draw_text(name, &style, (left - 8, y + CELL / 2))?;
                // The name of a column is turned: it reads downwards, from below the matrix.
                let turned = TextStyle::from((FONT, 13).into_font().transform(FontTransform::Rotate90));
                let x = left + (y - top) + CELL / 2;
                root.draw_text(
                    name,
                    &turned.color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center)),
                    (x, bottom + 8),
                )?;
                y += CELL;
            }
            let turned = TextStyle::from((FONT, 14).into_font().transform(FontTransform::Rotate270)).color(&GREY);
            root.draw_text("true class", &turned.pos(centre), (14, top + width / 2))?;
            let style = text(14).color(&GREY).pos(centre);
            root.draw_text("predicted class", &style, (left + width / 2, bottom + label + 12))?;
            root.present()
        };
        draw().map_err(|error| anyhow!("cannot draw {}: {error}", shown(path)))?;
    }
    write(path, &svg)
}

/// Returns the end of a name that is too long for a label.
#[must_use]
pub fn shortened(name: &str) -> String {
    const LONGEST: usize = 24;
    match name.chars().count() {
        ..=LONGEST => name.to_owned(),
        length => "…".chars().chain(name.chars().skip(length + 1 - LONGEST)).collect(),
    }
}

fn shown(path: &Path) -> String {
    Printable(&path.display().to_string()).to_string()
}

fn write(path: &Path, svg: &str) -> Result<()> {
    fs::write(path, svg).with_context(|| format!("cannot write {}", shown(path)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Chart, Line, charts, confusion, number, shortened};

    fn line(points: &[(f64, f64)]) -> Line {
        Line { name: "a <line> & more".into(), points: points.to_vec(), faint: false, dots: true }
    }

    #[test]
    fn charts_of_any_points_are_drawn_and_their_text_is_escaped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chart.svg");
        for points in [&[][..], &[(1.0, 0.5)], &[(1.0, f64::NAN), (2.0, f64::INFINITY)], &[(1.0, 3.0), (2.0, -3.0)]]
        {
            let lines = vec![line(points)];
            let mark = Some((1.0, "here".to_owned()));
            let chart = Chart { title: "t".into(), x: "x".into(), y: "y".into(), lines, range: None, mark };
            charts(&path, &[chart.clone(), chart]).unwrap();
            let svg = fs::read_to_string(&path).unwrap();
            assert!(svg.contains("a &lt;line&gt; &amp; more") && svg.ends_with("</svg>\n"), "{svg}");
        }
        let error = charts(&folder.path().join("missing\n/chart.svg"), &[]).unwrap_err();
        assert!(format!("{error:#}").contains(r"missing\n/chart.svg"), "{error:#}");
    }

    #[test]
    fn a_confusion_matrix_has_the_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("confusion.svg");
        let classes = ["first".to_owned(), "a class with a name that is far too long".to_owned()];
        confusion(&path, "counts", &classes, &[vec![81, 19], vec![0, 0]]).unwrap();
        let svg = fs::read_to_string(&path).unwrap();
        for text in ["81", "19", "first", "…me that is far too long"] {
            assert!(svg.contains(&format!("\n{text}\n")), "{text}: {svg}");
        }
    }

    #[test]
    fn ticks_and_names_are_short() {
        assert_eq!([0.5, 20.0, -0.0001, 1.25].map(number), ["0.5", "20", "0", "1.25"]);
        assert_eq!(shortened("src"), "src");
    }
}
