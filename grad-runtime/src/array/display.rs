//! `Display` of arrays: their elements as NumPy prints them.

use std::fmt::{self, Write as _};

use half::{bf16, f16};
use num_complex::Complex32;

use super::{Array, Sealed};
use crate::dtype::{Buffer, for_each_dtype};

/// An array with more elements is abbreviated.
const MOST_ELEMENTS: usize = 1000;
/// How many entries at each end of an axis an abbreviated array shows.
const EDGE: usize = 3;
/// A row that is longer continues on the next line.
const LINE: usize = 75;
const START: &str = "array(";

/// Writes the elements, the shape and the dtype.
pub(crate) fn display<A: Array>(array: &A, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let shape = array.shape();
    f.write_str(START)?;
    match Sealed::peek(array) {
        Ok(_) if array.size() == 0 => f.write_str("[]")?,
        Ok(buffer) => {
            let visible = Visible { is_abbreviated: array.size() > MOST_ELEMENTS, shape: &shape };
            let cells = cells(&buffer, &visible.indices(), f.precision());
            f.write_str(&visible.text(&mut cells.into_iter(), 0))?;
        }
        Err(error) => write!(f, "<{error}>")?,
    }
    write!(f, ", shape={shape:?}, dtype={})", array.dtype())
}

/// What is shown of an array.
struct Visible<'a> {
    is_abbreviated: bool,
    shape: &'a [usize],
}

impl Visible<'_> {
    /// Returns the entries of an axis that are shown; `None` stands for those that are not.
    fn entries(&self, axis: usize) -> Vec<Option<usize>> {
        let length = self.shape[axis];
        if !self.is_abbreviated || length <= 2 * EDGE {
            return (0..length).map(Some).collect();
        }
        (0..EDGE).map(Some).chain([None]).chain((length - EDGE..length).map(Some)).collect()
    }

    /// Returns where the elements that are shown are, in row-major order.
    fn indices(&self) -> Vec<usize> {
        (0..self.shape.len()).fold(vec![0], |starts, axis| {
            let entries: Vec<usize> = self.entries(axis).into_iter().flatten().collect();
            let length = self.shape[axis];
            starts.iter().flat_map(|start| entries.iter().map(move |entry| start * length + entry)).collect()
        })
    }

    /// Returns the text of the axes from `axis` on.
    fn text(&self, cells: &mut impl Iterator<Item = String>, axis: usize) -> String {
        let ndim = self.shape.len();
        if axis == ndim {
            return cells.next().unwrap_or_default();
        }
        let indent = " ".repeat(START.len() + axis + 1);
        let mut text = "[".to_owned();
        let mut column = indent.len();
        for (at, entry) in self.entries(axis).into_iter().enumerate() {
            let entry = if entry.is_some() { self.text(cells, axis + 1) } else { "...".to_owned() };
            let is_row = axis + 1 == ndim;
            // Room for the brackets that close.
            let wraps = column + entry.len() > LINE.saturating_sub(ndim);
            let newlines = if is_row { usize::from(wraps) } else { ndim - axis - 1 };
            if at > 0 && newlines > 0 {
                text.push(',');
                text.push_str(&"\n".repeat(newlines));
                text.push_str(&indent);
                column = indent.len();
            } else if at > 0 {
                text.push_str(", ");
            }
            column += entry.len() + 2;
            text.push_str(&entry);
        }
        text.push(']');
        text
    }
}

/// Returns the texts of elements, which all have the same width.
fn cells(buffer: &Buffer<'_>, indices: &[usize], precision: Option<usize>) -> Vec<String> {
    macro_rules! cells {
        ($($(#[$doc:meta])* $dtype:ident $name:literal $element:ty = $number:literal;)*) => {
            match buffer {
                $(Buffer::$dtype(elements) => {
                    let shown: Vec<$element> = indices.iter().map(|&index| elements[index]).collect();
                    <$element as Cell>::cells(&shown, precision)
                })*
            }
        };
    }
    for_each_dtype!(cells)
}

/// Elements as text.
trait Cell: Sized {
    fn cells(elements: &[Self], precision: Option<usize>) -> Vec<String>;
}

macro_rules! exact {
    ($($element:ty)*) => {$(
        impl Cell for $element {
            fn cells(elements: &[Self], _precision: Option<usize>) -> Vec<String> {
                aligned(elements.iter().map(ToString::to_string).collect())
            }
        }
    )*};
}
exact! { bool i8 i16 i32 i64 u8 u16 u32 u64 }

macro_rules! floats {
    ($($element:ty: $large:literal, $from:expr;)*) => {$(
        impl Cell for $element {
            #[allow(clippy::float_cmp, reason = "whether a text reads as exactly this number")]
            fn cells(elements: &[Self], precision: Option<usize>) -> Vec<String> {
                let from: fn(f64) -> Self = $from;
                let numbers: Vec<f64> = elements.iter().map(|element| f64::from(*element)).collect();
                let reads_as = |text: &str, number| text.parse::<f64>().is_ok_and(|read| f64::from(from(read)) == number);
                format_floats(&numbers, $large, &reads_as, precision)
            }
        }
    )*};
}
floats! {
    f32: 1e6, narrowed;
    f64: 1e8, |number| number;
    f16: 1e3, f16::from_f64;
    bf16: 1e6, bf16::from_f64;
}

#[allow(clippy::cast_possible_truncation, reason = "to the nearest")]
fn narrowed(number: f64) -> f32 {
    number as f32
}

impl Cell for Complex32 {
    fn cells(elements: &[Self], precision: Option<usize>) -> Vec<String> {
        let parts = |part: fn(&Self) -> f32| f32::cells(&elements.iter().map(part).collect::<Vec<_>>(), precision);
        let signed = |text: String| {
            let sign = if text.trim_start().starts_with('-') { "" } else { "+" };
            format!("{sign}{}", text.trim_start())
        };
        let imaginary = aligned(parts(|z| z.im).into_iter().map(signed).collect());
        let join = |(real, imaginary): (String, String)| {
            let digits = imaginary.trim_end();
            format!("{real}{digits}j{}", &imaginary[digits.len()..])
        };
        parts(|z| z.re).into_iter().zip(imaginary).map(join).collect()
    }
}

/// Pads texts on the left to the same width.
fn aligned(texts: Vec<String>) -> Vec<String> {
    let width = texts.iter().map(String::len).max().unwrap_or(0);
    texts.into_iter().map(|text| format!("{text:>width$}")).collect()
}

/// Returns whether a text reads as a number of the elements' type again.
type ReadsAs<'a> = &'a dyn Fn(&str, f64) -> bool;

/// Formats floats as NumPy does: with the fewest digits that tell each from its neighbours, at most 8 of them after the point, points
/// below each other, and all in scientific notation if they are `large`, small, or of very different sizes.
fn format_floats(numbers: &[f64], large: f64, reads_as: ReadsAs<'_>, precision: Option<usize>) -> Vec<String> {
    let most_digits = precision.unwrap_or(8);
    let sizes = || numbers.iter().map(|number| number.abs()).filter(|size| *size > 0.0 && size.is_finite());
    let (least, largest) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
    let is_scientific = largest >= large || largest > 0.0 && (least < 1e-4 || largest / least > 1000.0);
    let texts: Vec<Option<(String, String)>> = numbers
        .iter()
        .map(|&number| {
            number.is_finite().then(|| {
                let shortest = shortest(number, reads_as);
                if is_scientific {
                    scientific(number, shortest, most_digits)
                } else {
                    positional(number, shortest, most_digits)
                }
            })
        })
        .collect();
    if is_scientific {
        let digits = texts.iter().flatten().map(|(mantissa, _)| fraction_of(mantissa).len()).max().unwrap_or(0);
        let padded = |(mantissa, exponent): (String, String)| {
            let missing = digits - fraction_of(&mantissa).len();
            format!("{mantissa}{}{exponent}", "0".repeat(missing))
        };
        let texts = numbers.iter().zip(texts).map(|(number, text)| text.map_or_else(|| special(*number), padded));
        return aligned(texts.collect());
    }
    let digits = texts.iter().flatten().map(|(text, _)| fraction_of(text).len()).max().unwrap_or(0);
    let padded = |(text, _): (String, String)| {
        let missing = digits - fraction_of(&text).len();
        format!("{text}{}", " ".repeat(missing))
    };
    let texts = numbers.iter().zip(texts).map(|(number, text)| text.map_or_else(|| special(*number), padded));
    aligned(texts.collect())
}

fn special(number: f64) -> String {
    if number.is_nan() {
        "nan".to_owned()
    } else if number > 0.0 {
        "inf".to_owned()
    } else {
        "-inf".to_owned()
    }
}

/// Returns the digits after the point.
fn fraction_of(text: &str) -> &str {
    text.split_once('.').map_or("", |(_, fraction)| fraction)
}

/// Returns the fewest digits after the first that read as the number, in scientific notation.
fn shortest(number: f64, reads_as: ReadsAs<'_>) -> usize {
    const MOST: usize = 17;
    (0..MOST).find(|digits| reads_as(&format!("{number:.digits$e}"), number)).unwrap_or(MOST)
}

/// Returns mantissa and exponent.
fn scientific(number: f64, shortest: usize, most_digits: usize) -> (String, String) {
    let digits = shortest.min(most_digits);
    let text = format!("{number:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if mantissa.contains('.') { "" } else { "." };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    (format!("{mantissa}{point}"), format!("e{sign}{:02}", exponent.unsigned_abs()))
}

/// Returns the number with a point, without zeros behind its digits.
fn positional(number: f64, shortest: usize, most_digits: usize) -> (String, String) {
    // With the digits that are needed, wherever the point is.
    let exact = format!("{number:.shortest$e}");
    let rounded: f64 = exact.parse().unwrap_or(number);
    let mut text = String::new();
    let _ = write!(text, "{rounded:.most_digits$}");
    let trimmed = if text.contains('.') { text.trim_end_matches('0') } else { &text };
    let point = if trimmed.contains('.') { "" } else { "." };
    (format!("{trimmed}{point}"), String::new())
}
