//! `Display` of arrays: their elements as NumPy prints them.

use std::fmt;

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
/// How many digits a float has after the point, at most, if the format has no precision.
const MOST_DIGITS: usize = 8;
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
            return cells.next().expect("there is a cell for each entry that is shown");
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
    ($($element:ty: $large:literal, $round:expr;)*) => {$(
        impl Cell for $element {
            fn cells(elements: &[Self], precision: Option<usize>) -> Vec<String> {
                let numbers: Vec<f64> = elements.iter().map(|element| f64::from(*element)).collect();
                Floats { numbers: &numbers, round: $round, most_digits: precision.unwrap_or(MOST_DIGITS) }.cells($large)
            }
        }
    )*};
}
floats! {
    f32: 1e6, round_to_f32;
    f64: 1e8, |number| number;
    f16: 1e3, |number| f16::from_f64(number).to_f64();
    bf16: 1e6, |number| bf16::from_f64(number).to_f64();
}

#[allow(clippy::cast_possible_truncation, reason = "it rounds")]
fn round_to_f32(number: f64) -> f64 {
    f64::from(number as f32)
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

/// Floats that are printed together, as NumPy does: with the fewest digits that tell each from its neighbours in its dtype, and points
/// below each other.
struct Floats<'a> {
    numbers: &'a [f64],
    /// Rounds a number to the dtype.
    round: fn(f64) -> f64,
    /// How many digits there are after the point, at most.
    most_digits: usize,
}

impl Floats<'_> {
    /// Returns the texts of the numbers: in scientific notation if one is `large` or small, or if their sizes are very different.
    fn cells(&self, large: f64) -> Vec<String> {
        let sizes = || self.finite().map(f64::abs).filter(|size| *size > 0.0);
        let (least, largest) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
        // NumPy compares in the dtype, where 1e-4 may be another number.
        let has_range = least < (self.round)(1e-4) || (self.round)(largest / least) > 1000.0;
        if largest >= large || largest > 0.0 && has_range { self.scientific() } else { self.positional() }
    }

    fn finite(&self) -> impl Iterator<Item = f64> {
        self.numbers.iter().copied().filter(|number| number.is_finite())
    }

    /// Returns texts with mantissas of the same length. They have digits of the value, not zeros, beyond those that it needs.
    fn scientific(&self) -> Vec<String> {
        let mantissa_digits = |number| {
            let digits = self.shortest(number).0.min(self.most_digits);
            fraction_length(&trimmed(&split_exponent(&format!("{number:.digits$e}")).0))
        };
        let digits = self.finite().map(mantissa_digits).max().unwrap_or(0);
        let parts = |number| split_exponent(&format!("{number:.digits$e}"));
        let width = |number| parts(number).1.unsigned_abs().to_string().len();
        let exponent_width = self.finite().map(width).fold(2, usize::max);
        self.texts(|number| {
            let (mantissa, exponent) = parts(number);
            let point = if digits == 0 { "." } else { "" };
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}{point}e{sign}{:0exponent_width$}", exponent.unsigned_abs())
        })
    }

    /// Returns texts with spaces behind their digits.
    fn positional(&self) -> Vec<String> {
        let text = |number| {
            let (digits, exponent) = self.shortest(number);
            let digits = digits.saturating_add_signed(-exponent).min(self.most_digits);
            trimmed(&format!("{number:.digits$}"))
        };
        let width = self.finite().map(|number| fraction_length(&text(number))).max().unwrap_or(0);
        self.texts(|number| {
            let text = text(number);
            format!("{text}{}", " ".repeat(width - fraction_length(&text)))
        })
    }

    /// Returns the texts of all numbers, those of the finite ones by `text`.
    fn texts(&self, text: impl Fn(f64) -> String) -> Vec<String> {
        let text = |&number: &f64| match number {
            f64::INFINITY => "inf".to_owned(),
            f64::NEG_INFINITY => "-inf".to_owned(),
            _ if number.is_nan() => "nan".to_owned(),
            _ => text(number),
        };
        aligned(self.numbers.iter().map(text).collect())
    }

    /// Returns the fewest digits after the first that read as the number again, and its exponent when rounded to these.
    ///
    /// They round the number to the nearest. Of a power of two, which has neighbours at unequal distances, NumPy may find fewer
    /// digits, which round it up.
    fn shortest(&self, number: f64) -> (usize, isize) {
        /// So many tell every float64 from its neighbours.
        const ENOUGH: usize = 16;
        let reads_as_number = |digits: &usize| {
            let read = format!("{number:.digits$e}").parse().map(self.round);
            read.is_ok_and(|read| read.total_cmp(&number).is_eq())
        };
        let digits = (0..ENOUGH).find(reads_as_number).unwrap_or(ENOUGH);
        (digits, split_exponent(&format!("{number:.digits$e}")).1)
    }
}

/// Returns mantissa and exponent of a number in scientific notation.
fn split_exponent(text: &str) -> (String, isize) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    (mantissa.to_owned(), exponent.parse().unwrap_or(0))
}

/// Returns the text of a number with a point, and without zeros at its end.
fn trimmed(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').to_owned() } else { format!("{text}.") }
}

/// Returns how many digits are after the point.
fn fraction_length(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}
