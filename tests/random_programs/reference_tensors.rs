//! The trait's operations on arrays of numbers with infinitesimal parts: what they compute, written as plainly as possible.
//!
//! Scopes play no part here.

use std::cmp::Ordering;

use grad_runtime::Dtype;

use crate::numbers::{Number, series};
use crate::program::Op;

/// The reason that there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The program is not one: the operands do not fit, or it does what backends leave undefined.
    Invalid,
    /// Rounding would decide.
    Rounding,
    /// A transform that differentiates was started in inference mode.
    InferenceMode,
    /// The program failed on purpose.
    Failed,
}

pub type Result<T, E = Stop> = std::result::Result<T, E>;

/// An array of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    /// In row-major order.
    pub elements: Vec<Number>,
    /// A bit for each function around, being mapped or compiled, that the elements depend on. Such elements cannot be read.
    pub traced: u8,
}

/// Larger numbers are not computed.
const LARGEST: f64 = 1e4;
/// The factor by which an error may exceed its estimate.
pub const SAFETY: f64 = 6.0;
/// The domain of `log`, `sqrt`, `divide` and `power` begins here: nearer to zero, their derivatives are too large.
const SMALLEST: f64 = 0.05;

/// Returns the error of an operation relative to its result: a few units in the last place.
fn unit(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::Float32 => 2.0_f64.powi(-22),
        Dtype::Float16 => 2.0_f64.powi(-10),
        Dtype::BFloat16 => 2.0_f64.powi(-7),
        _ => 0.0,
    }
}

/// Compares two numbers, unless they are too close.
fn compare(x: &Number, y: &Number) -> Result<Ordering> {
    let apart = (x.value() - y.value()).abs();
    if (!x.is_exact() || !y.is_exact()) && apart <= SAFETY * (x.error() + y.error()) {
        return Err(Stop::Rounding);
    }
    x.value().partial_cmp(&y.value()).ok_or(Stop::Rounding)
}

/// Compares two numbers of which one is chosen. Where they are equal, it makes no difference to constants.
fn choose(x: &Number, y: &Number) -> Result<Ordering> {
    let by_value = x.value().partial_cmp(&y.value()).ok_or(Stop::Rounding)?;
    if x.is_constant() && y.is_constant() {
        return Ok(by_value);
    }
    match compare(x, y)? {
        Ordering::Equal => Err(Stop::Rounding),
        order => Ok(order),
    }
}

/// Returns the larger or the smaller of two numbers.
fn extreme_of(x: &Number, y: &Number, wanted: Ordering) -> Result<Number> {
    let (chosen, other) = if choose(y, x)? == wanted { (y, x) } else { (x, y) };
    // Of two constants that are close, a backend may choose the other one.
    let apart = (x.value() - y.value()).abs();
    let close = apart <= SAFETY * (x.error() + y.error());
    Ok(if close { chosen.with_error_of(other) } else { chosen.clone() })
}

/// Checks that a number is in the domain of an operation with a pole at zero.
fn away_from_zero(x: f64) -> Result<()> {
    if x.abs() < SMALLEST { Err(Stop::Rounding) } else { Ok(()) }
}

fn ensure(condition: bool) -> Result<()> {
    if condition { Ok(()) } else { Err(Stop::Invalid) }
}

/// Returns every index into an array of this shape, in row-major order.
pub fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |prefixes, length| {
        let extended = |prefix: &Vec<usize>| {
            let prefix = prefix.clone();
            (0..*length).map(move |at| [&prefix[..], &[at]].concat())
        };
        prefixes.iter().flat_map(extended).collect()
    })
}

/// Returns where an element is in row-major order.
fn offset(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |offset, (length, at)| offset * length + at)
}

/// Returns the shape that both broadcast to.
pub fn broadcast(x: &[usize], y: &[usize]) -> Option<Vec<usize>> {
    let ndim = x.len().max(y.len());
    let length = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(ndim).map_or(1, |at| shape[at]);
    (0..ndim)
        .map(|axis| match (length(x, axis), length(y, axis)) {
            (1, other) | (other, 1) => Some(other),
            (one, other) => (one == other).then_some(one),
        })
        .collect()
}

/// Returns the dtype that an operation on both computes in.
fn promote(x: Dtype, y: Dtype) -> Dtype {
    let rank = |dtype| match dtype {
        Dtype::Bool => 0,
        Dtype::UInt32 => 1,
        Dtype::Int32 => 2,
        Dtype::Int64 => 3,
        Dtype::Float16 => 4,
        Dtype::BFloat16 => 5,
        _ => 6,
    };
    let (low, high) = if rank(x) <= rank(y) { (x, y) } else { (y, x) };
    match (low, high) {
        (Dtype::UInt32, Dtype::Int32) => Dtype::Int64,
        (Dtype::Float16, Dtype::BFloat16) => Dtype::Float32,
        _ => high,
    }
}

impl Tensor {
    pub fn constant(shape: &[usize], dtype: Dtype, elements: &[f32]) -> Self {
        let elements = elements.iter().map(|element| Number::exact(f64::from(*element))).collect();
        Self { shape: shape.to_vec(), dtype, elements, traced: 0 }
    }

    fn float(&self) -> Result<&Self> {
        ensure(self.dtype.is_float())?;
        Ok(self)
    }

    pub fn map(&self, function: impl FnMut(&Number) -> Result<Number>) -> Result<Self> {
        let elements = self.elements.iter().map(function).collect::<Result<_>>()?;
        Ok(Self { elements, ..self.clone() })
    }

    /// Makes an array of elements of this one: for each index of the result, one of this.
    fn pick(&self, shape: &[usize], from: impl Fn(&[usize]) -> Vec<usize>) -> Self {
        let element = |index: &Vec<usize>| self.elements[offset(&self.shape, &from(index))].clone();
        Self { shape: shape.to_vec(), elements: indices(shape).iter().map(element).collect(), ..self.clone() }
    }

    fn broadcast_to(&self, shape: &[usize]) -> Result<Self> {
        ensure(broadcast(&self.shape, shape).as_deref() == Some(shape))?;
        let new = shape.len() - self.shape.len();
        Ok(self.pick(shape, |index| {
            self.shape.iter().zip(&index[new..]).map(|(length, at)| if *length == 1 { 0 } else { *at }).collect()
        }))
    }

    fn reshape(&self, shape: Vec<usize>) -> Result<Self> {
        ensure(shape.iter().product::<usize>() == self.elements.len())?;
        Ok(Self { shape, ..self.clone() })
    }

    /// Element `at` of an axis, which goes.
    pub fn entry(&self, axis: usize, at: usize) -> Self {
        let mut shape = self.shape.clone();
        shape.remove(axis);
        self.pick(&shape, |index| [&index[..axis], &[at], &index[axis..]].concat())
    }

    /// Arrays of one shape along a new axis.
    pub fn stack(arrays: &[Self], axis: usize) -> Result<Self> {
        let first = arrays.first().ok_or(Stop::Invalid)?;
        ensure(axis <= first.shape.len() && arrays.iter().all(|array| array.shape == first.shape))?;
        let mut shape = first.shape.clone();
        shape.insert(axis, arrays.len());
        let element = |index: &Vec<usize>| {
            let array = &arrays[index[axis]];
            let within = [&index[..axis], &index[axis + 1..]].concat();
            array.elements[offset(&array.shape, &within)].clone()
        };
        let elements = indices(&shape).iter().map(element).collect();
        let traced = arrays.iter().fold(0, |traced, array| traced | array.traced);
        Ok(Self { shape, dtype: first.dtype, elements, traced })
    }

    /// Combines pairs of elements, broadcast, in their common dtype.
    fn zip(&self, other: &Self, function: impl Fn(&Number, &Number) -> Result<Number>) -> Result<Self> {
        let shape = broadcast(&self.shape, &other.shape).ok_or(Stop::Invalid)?;
        let dtype = promote(self.dtype, other.dtype);
        let (x, y) = (self.convert(dtype)?.broadcast_to(&shape)?, other.convert(dtype)?.broadcast_to(&shape)?);
        let elements = x.elements.iter().zip(&y.elements).map(|(x, y)| function(x, y)).collect::<Result<_>>()?;
        Ok(Self { shape, dtype, elements, traced: self.traced | other.traced })
    }

    /// Combines pairs of elements of which at least one is a float.
    fn arithmetic(&self, other: &Self, function: impl Fn(&Number, &Number) -> Result<Number>) -> Result<Self> {
        ensure(self.dtype.is_float() || other.dtype.is_float())?;
        self.zip(other, function)
    }

    fn comparison(&self, other: &Self, wanted: Ordering) -> Result<Self> {
        let compared = self.zip(other, |x, y| Ok(Number::exact(f64::from(u8::from(compare(x, y)? == wanted)))))?;
        Ok(Self { dtype: Dtype::Bool, ..compared })
    }

    /// Combines the elements along `axes`.
    fn reduce(
        &self,
        axes: &[usize],
        keepdims: bool,
        function: impl Fn(&[Number]) -> Result<Number>,
    ) -> Result<Self> {
        ensure(axes.iter().all(|axis| *axis < self.shape.len()))?;
        let mut kept = self.shape.clone();
        for axis in axes {
            kept[*axis] = 1;
        }
        let group = |of: &Vec<usize>| {
            let belongs = |index: &Vec<usize>| {
                index.iter().zip(of).enumerate().all(|(axis, (at, wanted))| axes.contains(&axis) || at == wanted)
            };
            let members = indices(&self.shape).into_iter().filter(belongs);
            function(&members.map(|index| self.elements[offset(&self.shape, &index)].clone()).collect::<Vec<_>>())
        };
        let elements = indices(&kept).iter().map(group).collect::<Result<_>>()?;
        let left = (0..kept.len()).filter(|axis| keepdims || !axes.contains(axis)).map(|axis| kept[axis]);
        Ok(Self { shape: left.collect(), elements, ..self.clone() })
    }

    fn convert(&self, dtype: Dtype) -> Result<Self> {
        let converted = self.map(|x| match dtype {
            _ if dtype == self.dtype => Ok(x.clone()),
            Dtype::Bool => {
                Ok(Number::exact(f64::from(u8::from(compare(x, &Number::exact(0.0))? != Ordering::Equal))))
            }
            Dtype::Int32 | Dtype::UInt32 | Dtype::Int64 => {
                let nearest = Number::exact(x.value().round());
                if nearest.value() != 0.0 {
                    compare(x, &nearest)?;
                }
                // The conversion of a negative number is device-defined.
                ensure(dtype != Dtype::UInt32 || x.value() >= 0.0)?;
                Ok(Number::exact(x.value().trunc()))
            }
            _ if unit(dtype) > unit(self.dtype) && self.dtype.is_float() => Ok(x.clone().rounded(unit(dtype))),
            // The derivatives come back in this dtype.
            _ if self.dtype.is_float() => Ok(x.clone().with_rounded_derivatives(unit(self.dtype))),
            _ => Ok(x.clone()),
        })?;
        Ok(Self { dtype, ..converted })
    }

    fn softmax(&self, axis: usize) -> Result<Self> {
        ensure(axis < self.shape.len())?;
        let largest = self.reduce(&[axis], true, |x| Ok(Number::exact(largest_value(x))))?;
        let unit = unit(self.dtype);
        let raised = self.zip(&largest, |x, largest| Ok(x.subtract(largest).compose(unit, series::exp)))?;
        let sum = raised.reduce(&[axis], true, |x| Ok(sum(x)))?;
        raised.zip(&sum, |x, y| divide(unit, x, y))
    }

    fn matmul(&self, other: &Self) -> Result<Self> {
        let dtype = promote(self.float()?.dtype, other.float()?.dtype);
        ensure(!self.shape.is_empty() && !other.shape.is_empty())?;
        let (mut left, mut right) = (self.shape.clone(), other.shape.clone());
        if self.shape.len() == 1 {
            left.insert(0, 1);
        }
        if other.shape.len() == 1 {
            right.push(1);
        }
        let (rows, columns, inner) = (left[left.len() - 2], right[right.len() - 1], left[left.len() - 1]);
        ensure(right[right.len() - 2] == inner)?;
        let batch = broadcast(&left[..left.len() - 2], &right[..right.len() - 2]).ok_or(Stop::Invalid)?;
        let x = self.convert(dtype)?.reshape(left)?.broadcast_to(&[&batch[..], &[rows, inner]].concat())?;
        let y = other.convert(dtype)?.reshape(right)?.broadcast_to(&[&batch[..], &[inner, columns]].concat())?;
        let mut shape = [&batch[..], &[rows, columns]].concat();
        let element = |index: &Vec<usize>| {
            let (of, at) = index.split_at(batch.len());
            let product = |k| {
                let x = &x.elements[offset(&x.shape, &[of, &[at[0], k]].concat())];
                x.multiply(&y.elements[offset(&y.shape, &[of, &[k, at[1]]].concat())])
            };
            sum(&(0..inner).map(product).collect::<Vec<_>>())
        };
        let elements = indices(&shape).iter().map(element).collect();
        if other.shape.len() == 1 {
            shape.pop();
        }
        if self.shape.len() == 1 {
            shape.remove(batch.len());
        }
        Ok(Self { shape, dtype, elements, traced: self.traced | other.traced })
    }

    fn layer_norm(&self, weight: &Self, bias: &Self) -> Result<Self> {
        let length = *self.float()?.shape.last().ok_or(Stop::Invalid)?;
        ensure(weight.float()?.shape == [length] && bias.float()?.shape == [length])?;
        let last = self.shape.len() - 1;
        let centered = self.zip(&self.reduce(&[last], true, |x| Ok(mean(x)))?, |x, mean| Ok(x.subtract(mean)))?;
        let variance = centered.reduce(&[last], true, |x| {
            Ok(mean(&x.iter().map(|x| x.multiply(x)).collect::<Vec<_>>()).add(&Number::exact(f64::from(EPSILON))))
        })?;
        let unit = unit(self.dtype);
        let deviation = variance.map(|x| square_root(unit, x))?;
        let normal = centered.zip(&deviation, |x, y| divide(unit, x, y))?;
        normal.zip(weight, |x, y| Ok(x.multiply(y)))?.zip(bias, |x, y| Ok(x.add(y)))
    }

    /// Applies an operation.
    #[allow(clippy::too_many_lines, reason = "an operation a line")]
    pub fn apply(op: &Op, operands: &[&Self]) -> Result<Self> {
        ensure(operands.len() == arity(op).unwrap_or(operands.len()))?;
        let x = *operands.first().ok_or(Stop::Invalid)?;
        let y = *operands.get(1).unwrap_or(&x);
        let unit = unit(promote(x.dtype, y.dtype));
        let smooth = |series: fn(f64, usize) -> Vec<f64>| x.float()?.map(|x| Ok(x.compose(unit, series)));
        let zero = Number::exact(0.0);
        let result = match op {
            Op::Abs => x.float()?.map(|x| Ok(if choose(x, &zero)?.is_lt() { x.scale(-1.0) } else { x.clone() })),
            Op::Negative => x.float()?.map(|x| Ok(x.scale(-1.0))),
            Op::Exp => smooth(series::exp),
            Op::Log => x.float()?.map(|x| logarithm(unit, x)),
            Op::Sqrt => x.float()?.map(|x| square_root(unit, x)),
            Op::Square => x.float()?.map(|x| Ok(x.multiply(x))),
            Op::Sin => smooth(series::sin),
            Op::Cos => smooth(series::cos),
            Op::Tanh => smooth(series::tanh),
            Op::Erf => smooth(series::erf),
            Op::Sigmoid => smooth(series::sigmoid),
            Op::Gelu => smooth(series::gelu),
            Op::Relu => x.float()?.map(|x| Ok(if choose(x, &zero)?.is_gt() { x.clone() } else { zero.clone() })),
            Op::StopGradient | Op::Detach => x.map(|x| Ok(x.constant())),
            Op::Add => x.arithmetic(y, |x, y| Ok(x.add(y))),
            Op::Subtract => x.arithmetic(y, |x, y| Ok(x.subtract(y))),
            Op::Multiply => x.arithmetic(y, |x, y| Ok(x.multiply(y))),
            Op::Divide => x.arithmetic(y, |x, y| divide(unit, x, y)),
            Op::Maximum => x.arithmetic(y, |x, y| extreme_of(x, y, Ordering::Greater)),
            Op::Minimum => x.arithmetic(y, |x, y| extreme_of(x, y, Ordering::Less)),
            Op::Power => x.arithmetic(y, |x, y| Ok(logarithm(unit, x)?.multiply(y).compose(unit, series::exp))),
            Op::Equal => x.comparison(y, Ordering::Equal),
            Op::Greater => x.comparison(y, Ordering::Greater),
            Op::Less => x.comparison(y, Ordering::Less),
            Op::Where => select(x, y, operands[2]),
            Op::Sum { axes, keepdims } => x.float()?.reduce(axes, *keepdims, |x| Ok(sum(x))),
            Op::Mean { axes, keepdims } => x.float()?.reduce(axes, *keepdims, |x| Ok(mean(x))),
            Op::Max { axes, keepdims } => x.float()?.reduce(axes, *keepdims, |x| extreme(x, Ordering::Greater)),
            Op::Min { axes, keepdims } => x.float()?.reduce(axes, *keepdims, |x| extreme(x, Ordering::Less)),
            Op::LogSumExp { axes, keepdims } => x.float()?.reduce(axes, *keepdims, |x| {
                let largest = Number::exact(largest_value(x));
                let raised: Vec<_> = x.iter().map(|x| x.subtract(&largest).compose(unit, series::exp)).collect();
                Ok(logarithm(unit, &sum(&raised))?.add(&largest))
            }),
            Op::ArgMax { axis, keepdims } => x.float()?.reduce(&[*axis], *keepdims, position_of_largest),
            Op::Softmax { axis } => x.float()?.softmax(*axis),
            Op::Matmul => x.matmul(y),
            Op::LayerNorm => x.layer_norm(y, operands[2]),
            Op::Reshape(shape) => x.reshape(shape.clone()),
            Op::Transpose(axes) => x.transpose(axes),
            Op::ExpandDims(axis) => {
                ensure(*axis <= x.shape.len())?;
                x.reshape([&x.shape[..*axis], &[1], &x.shape[*axis..]].concat())
            }
            Op::Squeeze(axis) => {
                ensure(x.shape.get(*axis) == Some(&1))?;
                x.reshape([&x.shape[..*axis], &x.shape[*axis + 1..]].concat())
            }
            Op::BroadcastTo(shape) => x.broadcast_to(shape),
            Op::Concatenate { axis } => concatenate(operands, *axis),
            Op::Slice { start, stop } => x.slice(start, stop),
            Op::Take { axis } => x.take(y, *axis),
            Op::Astype(dtype) => x.convert(*dtype),
        }?;
        let dtype = match op {
            Op::ArgMax { .. } => Dtype::UInt32,
            _ => result.dtype,
        };
        let result = if rounds(op) { result.map(|x| Ok(x.clone().rounded(unit)))? } else { result };
        let computable = |x: &Number| x.is_finite() && x.magnitude() <= LARGEST;
        if !result.elements.iter().all(computable) {
            return Err(Stop::Rounding);
        }
        Ok(Self { dtype, ..result })
    }

    fn transpose(&self, axes: &[usize]) -> Result<Self> {
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        ensure(sorted.into_iter().eq(0..self.shape.len()))?;
        let shape: Vec<_> = axes.iter().map(|axis| self.shape[*axis]).collect();
        Ok(self.pick(&shape, |index| {
            let mut from = vec![0; index.len()];
            axes.iter().zip(index).for_each(|(axis, at)| from[*axis] = *at);
            from
        }))
    }

    fn slice(&self, start: &[usize], stop: &[usize]) -> Result<Self> {
        ensure(start.len() == self.shape.len() && stop.len() == self.shape.len())?;
        let fits = |axis: usize| start[axis] < stop[axis] && stop[axis] <= self.shape[axis];
        ensure((0..self.shape.len()).all(fits))?;
        let shape: Vec<_> = start.iter().zip(stop).map(|(start, stop)| stop - start).collect();
        Ok(self.pick(&shape, |index| index.iter().zip(start).map(|(at, start)| at + start).collect()))
    }

    fn take(&self, at: &Self, axis: usize) -> Result<Self> {
        ensure(axis < self.shape.len() && matches!(at.dtype, Dtype::UInt32 | Dtype::Int32))?;
        #[allow(clippy::cast_precision_loss, clippy::float_cmp, reason = "an axis is short, and an index is exact")]
        let position = |x: &Number| (0..self.shape[axis]).find(|position| *position as f64 == x.value());
        let positions = at.elements.iter().map(position).collect::<Option<Vec<_>>>().ok_or(Stop::Invalid)?;
        let shape = [&self.shape[..axis], &at.shape, &self.shape[axis + 1..]].concat();
        let taken = self.pick(&shape, |index| {
            let (before, rest) = index.split_at(axis);
            let (within, after) = rest.split_at(at.shape.len());
            [before, &[positions[offset(&at.shape, within)]], after].concat()
        });
        Ok(Self { traced: taken.traced | at.traced, ..taken })
    }
}

/// The constant of `layer_norm` that keeps it from dividing by zero.
pub const EPSILON: f32 = 1e-5;

/// Returns the number of operands of an operation, where it is fixed.
fn arity(op: &Op) -> Option<usize> {
    Some(match op {
        Op::Add
        | Op::Subtract
        | Op::Multiply
        | Op::Divide
        | Op::Maximum
        | Op::Minimum
        | Op::Power
        | Op::Equal
        | Op::Greater
        | Op::Less
        | Op::Matmul
        | Op::Take { .. } => 2,
        Op::Where | Op::LayerNorm => 3,
        Op::Concatenate { .. } => return None,
        _ => 1,
    })
}

/// Returns whether an operation computes new numbers, and does not only choose among those of its operands.
fn rounds(op: &Op) -> bool {
    !matches!(
        op,
        Op::Abs
            | Op::Negative
            | Op::Relu
            | Op::StopGradient
            | Op::Detach
            | Op::Maximum
            | Op::Minimum
            | Op::Equal
            | Op::Greater
            | Op::Less
            | Op::Where
            | Op::Max { .. }
            | Op::Min { .. }
            | Op::ArgMax { .. }
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::ExpandDims(_)
            | Op::Squeeze(_)
            | Op::BroadcastTo(_)
            | Op::Concatenate { .. }
            | Op::Slice { .. }
            | Op::Take { .. }
            | Op::Astype(_)
    )
}

fn sum(x: &[Number]) -> Number {
    x.iter().fold(Number::exact(0.0), |sum, x| sum.add(x))
}

#[allow(clippy::cast_precision_loss, reason = "axes are short")]
fn mean(x: &[Number]) -> Number {
    sum(x).scale(1.0 / x.len() as f64)
}

fn logarithm(unit: f64, x: &Number) -> Result<Number> {
    away_from_zero(x.value().max(0.0))?;
    Ok(x.compose(unit, series::log))
}

fn square_root(unit: f64, x: &Number) -> Result<Number> {
    away_from_zero(x.value().max(0.0))?;
    Ok(x.compose(unit, series::sqrt))
}

fn divide(unit: f64, x: &Number, y: &Number) -> Result<Number> {
    away_from_zero(y.value())?;
    Ok(x.multiply(&y.compose(unit, series::reciprocal)))
}

fn largest_value(x: &[Number]) -> f64 {
    x.iter().map(Number::value).fold(f64::NEG_INFINITY, f64::max)
}

/// The largest or the smallest of several.
fn extreme(x: &[Number], wanted: Ordering) -> Result<Number> {
    let (first, others) = x.split_first().ok_or(Stop::Invalid)?;
    others.iter().try_fold(first.clone(), |best, x| extreme_of(&best, x, wanted))
}

/// The index of the largest, the first of equals.
#[allow(clippy::cast_precision_loss, reason = "axes are short")]
fn position_of_largest(x: &[Number]) -> Result<Number> {
    let mut best = 0;
    for at in 1..x.len() {
        if compare(&x[at], &x[best])?.is_gt() {
            best = at;
        }
    }
    Ok(Number::exact(best as f64))
}

fn select(condition: &Tensor, on_true: &Tensor, on_false: &Tensor) -> Result<Tensor> {
    ensure(condition.dtype == Dtype::Bool)?;
    let values = on_true.zip(on_false, |x, _| Ok(x.clone()))?;
    let shape = broadcast(&values.shape, &condition.shape).ok_or(Stop::Invalid)?;
    let condition = condition.broadcast_to(&shape)?;
    let (x, y) = (on_true.convert(values.dtype)?.broadcast_to(&shape)?, on_false.convert(values.dtype)?);
    let y = y.broadcast_to(&shape)?;
    let pairs = x.elements.iter().zip(&y.elements);
    let elements = condition.elements.iter().zip(pairs).map(|(c, (x, y))| if c.value() == 0.0 { y } else { x });
    Ok(Tensor {
        elements: elements.cloned().collect(),
        shape,
        dtype: values.dtype,
        traced: values.traced | condition.traced,
    })
}

fn concatenate(arrays: &[&Tensor], axis: usize) -> Result<Tensor> {
    let mut dtype = arrays[0].dtype;
    for array in arrays {
        ensure(array.shape.len() == arrays[0].shape.len() && axis < array.shape.len())?;
        dtype = promote(dtype, array.dtype);
    }
    let mut entries = Vec::new();
    for array in arrays {
        let array = array.convert(dtype)?;
        entries.extend((0..array.shape[axis]).map(|at| array.entry(axis, at)));
    }
    Tensor::stack(&entries, axis)
}
