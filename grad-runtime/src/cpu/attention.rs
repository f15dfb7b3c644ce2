//! Scaled dot-product attention: the operation, its vjp and its kernel.
#![allow(clippy::inline_always, reason = "loops are compiled for several instruction sets, as rows.rs says")]

use candle_core::{DType, Device, Layout, Storage, Tensor, WithDType};
use half::{bf16, f16};
use pulp::{Simd, WithSimd};

use super::array::Array;
use super::operation::operation;
use super::rows::{self, Real, Start, not_on_the_cpu};
use super::tape::{VjpArgs, record};
use super::{elementwise, kernels, shapes};
use crate::array::docs::array_doc;
use crate::array::operands;
use crate::dtype::Dtype;
use crate::error::Result;

/// # Attention
impl Array {
    #[doc = array_doc!(scaled_dot_product_attention, "cpu")]
    #[track_caller]
    pub fn scaled_dot_product_attention(
        &self,
        keys: &Self,
        values: &Self,
        scale: f32,
        mask: Option<&Self>,
    ) -> Result<Self> {
        let given: Vec<&Self> = [self, keys, values].into_iter().chain(mask).collect();
        operation("scaled_dot_product_attention", &given, || {
            let dtype = operands::attention(
                [self.dims(), keys.dims(), values.dims()],
                [self.dtype(), keys.dtype(), values.dtype()],
                mask.map(|mask| (mask.dims(), mask.dtype())),
            )?;
            shapes::check(&[self.dims()[0], self.dims()[1], self.dims()[2], values.dims()[3]])?;
            let (queries, keys, values) = (self.astype(dtype)?, keys.astype(dtype)?, values.astype(dtype)?);
            let mask = match mask {
                Some(mask) if mask.dtype() == Dtype::Bool => Some(mask.clone()),
                Some(mask) => Some(mask.astype(dtype)?),
                None => None,
            };
            let tensor = attention(
                [&queries.tensor, &keys.tensor, &values.tensor],
                scale,
                mask.as_ref().map(|mask| &mask.tensor),
            )?;
            let operands: Vec<&Self> = [&queries, &keys, &values].into_iter().chain(&mask).collect();
            Ok(record(tensor, dtype, &operands, move |index, args| vjp(index, args, scale)))
        })
    }

    /// Repeats each head of keys or values for the heads of the queries that it serves.
    fn repeat_heads(&self, heads: usize) -> Result<Self> {
        let &[batch, own, tokens, features] = self.dims() else { unreachable!("keys and values have four axes") };
        if own == heads {
            return Ok(self.clone());
        }
        let groups = self.expand_dims(2)?.broadcast_to(&[batch, own, heads / own, tokens, features])?;
        groups.reshape(&[batch, heads, tokens, features])
    }

    /// Sums over the heads of the queries that each of `heads` serves.
    fn sum_heads(&self, heads: usize) -> Result<Self> {
        let &[batch, own, tokens, features] = self.dims() else { unreachable!("keys and values have four axes") };
        if own == heads {
            return Ok(self.clone());
        }
        self.reshape(&[batch, heads, own / heads, tokens, features])?.sum(&[2], false)
    }
}

/// Computes the cotangent of the queries, keys, values or mask. The weights are computed again, since they may take more memory
/// than all operands.
fn vjp(index: usize, args: &VjpArgs<'_>, scale: f32) -> Result<Array> {
    let [queries, keys, values, mask @ ..] = args.operands else { unreachable!("attention has three operands") };
    let mask = mask.first();
    let (heads, own_heads) = (queries.dims()[1], keys.dims()[1]);
    let keys = keys.repeat_heads(heads)?;
    let scores = queries.scaled(scale)?.matmul(&keys.swap_last_axes()?)?;
    let weights = match mask {
        Some(mask) if mask.dtype() == Dtype::Bool => mask.where_cond(&scores, &lowest(scores.dtype())?)?,
        Some(mask) => scores.add(mask)?,
        None => scores,
    }
    .softmax(-1)?;
    if index == 2 {
        return weights.swap_last_axes()?.matmul(args.cotangent)?.sum_heads(own_heads);
    }
    let product = weights.multiply(args.cotangent.matmul(&values.repeat_heads(heads)?.swap_last_axes()?)?)?;
    let slope = product.subtract(weights.multiply(product.sum(&[-1], true)?)?)?;
    match (index, mask) {
        (3, Some(mask)) => return slope.sum_to(mask.dims()),
        // Scores that were replaced have no slope, even where all of a row are.
        (_, Some(mask)) if mask.dtype() == Dtype::Bool => mask.where_cond(slope, 0.0)?,
        _ => slope,
    }
    .scaled(scale)
    .and_then(|slope| match index {
        0 => slope.matmul(&keys),
        _ => slope.swap_last_axes()?.matmul(queries)?.sum_heads(own_heads),
    })
}

/// Returns the smallest number of a floating point dtype: the score of a key that a query does not see.
fn lowest(dtype: Dtype) -> Result<Array> {
    let lowest = match dtype {
        Dtype::Float64 => f64::MIN,
        Dtype::Float16 => f16::MIN.to_f64(),
        Dtype::BFloat16 => bf16::MIN.to_f64(),
        _ => f32::MIN.into(),
    };
    Array::full(&[], lowest, dtype)
}

/// Computes the attention. A mask of bools is stored as `U8`.
fn attention(operands: [&Tensor; 3], scale: f32, mask: Option<&Tensor>) -> candle_core::Result<Tensor> {
    kernels::in_full_precision(operands[0], |queries| {
        let dtype = queries.dtype();
        let (keys, values) = (operands[1].to_dtype(dtype)?, operands[2].to_dtype(dtype)?);
        let as_stored =
            |mask: &Tensor| if mask.dtype() == DType::U8 { Ok(mask.clone()) } else { mask.to_dtype(dtype) };
        let mask = mask.map(as_stored).transpose()?;
        match dtype {
            DType::F64 => attend([queries, &keys, &values], scale.into(), mask.as_ref(), |x: f64| x.exp()),
            _ => attend([queries, &keys, &values], scale, mask.as_ref(), elementwise::exp_nonpositive),
        }
    })
}

/// The number of rows that are multiplied together. With as many columns as two registers hold, they fill the registers of AVX2, and
/// enough of AVX-512's to hide the latency of its additions.
const ROWS: usize = 6;

/// The number of multiplications from which on several threads compute.
const PARALLEL: usize = 1 << 19;

/// A tensor with four axes, each with any stride.
struct Heads<'a, T> {
    elements: &'a [T],
    strides: [usize; 4],
}

impl<'a, T: WithDType> Heads<'a, T> {
    fn new(storage: &'a Storage, layout: &Layout) -> candle_core::Result<Self> {
        let Storage::Cpu(storage) = storage else {
            return Err(not_on_the_cpu());
        };
        let strides = layout.stride().try_into().expect("attention has four axes");
        Ok(Self { elements: &storage.as_slice::<T>()?[layout.start_offset()..], strides })
    }

    /// Calls `f` with each element of `elements` and that at the same place of a row of this tensor.
    #[inline(always)]
    fn zip_row<U>(&self, [batch, head, row]: [usize; 3], elements: &mut [U], f: impl Fn(&mut U, T)) {
        let [of_batch, of_head, of_row, stride] = self.strides;
        let row = &self.elements[batch * of_batch + head * of_head + row * of_row..];
        if stride == 1 {
            elements.iter_mut().zip(row).for_each(|(element, x)| f(element, *x));
        } else {
            elements.iter_mut().enumerate().for_each(|(at, element)| f(element, row[at * stride]));
        }
    }
}

enum Mask<'a, T> {
    Shows(Heads<'a, u8>),
    Adds(Heads<'a, T>),
}

impl<T: Real> Mask<'_, T> {
    #[inline(always)]
    fn apply(&self, row: [usize; 3], scores: &mut [T]) {
        match self {
            Self::Shows(mask) => mask.zip_row(row, scores, |score, is_shown| {
                *score = if is_shown == 0 { T::min_value() } else { *score };
            }),
            Self::Adds(mask) => mask.zip_row(row, scores, |score, x| *score += x),
        }
    }
}

struct Attention<'a, T> {
    queries: Heads<'a, T>,
    keys: Heads<'a, T>,
    values: Heads<'a, T>,
    mask: Option<Mask<'a, T>>,
    scale: T,
    /// The number of heads of the queries, and how many of them share one of the keys and values.
    heads: usize,
    sharing: usize,
    /// The number of keys, and the numbers of features of a key and of a value.
    tokens: usize,
    key_features: usize,
    value_features: usize,
}

impl<T: Real> Attention<'_, T> {
    /// Computes the attention of successive queries of a text. The results, zeros before, have the axes queries, heads and features.
    #[inline(always)]
    fn compute_queries<const COLUMNS: usize>(
        &self,
        batch: usize,
        first: usize,
        results: &mut [T],
        exp: &impl Fn(T) -> T,
        mul_add: impl Fn(T, T, T) -> T + Copy,
    ) {
        let &Self { heads, sharing, tokens, key_features, value_features, .. } = self;
        let count = results.len() / (heads * value_features);
        let (key_width, value_width) = (tokens.next_multiple_of(COLUMNS), value_features.next_multiple_of(COLUMNS));
        // Copies of one head, padded with zeros to whole columns.
        let mut keys = vec![T::zero(); key_features * key_width];
        let mut values = vec![T::zero(); tokens * value_width];
        let mut key = vec![T::zero(); key_features];
        let mut queries = vec![T::zero(); ROWS * key_features];
        let mut weights = vec![T::zero(); ROWS * key_width];
        for head in 0..heads {
            if head % sharing == 0 {
                for token in 0..tokens {
                    let row = [batch, head / sharing, token];
                    self.keys.zip_row(row, &mut key, |key, x| *key = x);
                    keys.iter_mut().skip(token).step_by(key_width).zip(&key).for_each(|(copy, x)| *copy = *x);
                    let copy = &mut values[token * value_width..][..value_features];
                    self.values.zip_row(row, copy, |copy, x| *copy = x);
                }
            }
            for start in (0..count).step_by(ROWS) {
                let rows = ROWS.min(count - start);
                for row in 0..rows {
                    let query = &mut queries[row * key_features..][..key_features];
                    self.queries
                        .zip_row([batch, head, first + start + row], query, |query, x| *query = x * self.scale);
                }
                for column in (0..key_width).step_by(COLUMNS) {
                    let size = [key_features, key_features, key_width];
                    let scores = multiply::<T, COLUMNS>([&queries, &keys], size, column, mul_add);
                    for (row, scores) in scores.iter().enumerate() {
                        weights[row * key_width + column..][..COLUMNS].copy_from_slice(scores);
                    }
                }
                let mut sums = [T::one(); ROWS];
                for (row, sum) in sums.iter_mut().enumerate().take(rows) {
                    let scores = &mut weights[row * key_width..][..tokens];
                    if let Some(mask) = &self.mask {
                        mask.apply([batch, head, first + start + row], scores);
                    }
                    *sum = kernels::exponentials_of_row(scores, exp);
                }
                for column in (0..value_width).step_by(COLUMNS) {
                    let size = [tokens, key_width, value_width];
                    let attended = multiply::<T, COLUMNS>([&weights, &values], size, column, mul_add);
                    let columns = COLUMNS.min(value_features - column);
                    for (row, (attended, sum)) in attended.iter().zip(sums).take(rows).enumerate() {
                        let at = ((start + row) * heads + head) * value_features + column;
                        let results = &mut results[at..][..columns];
                        results.iter_mut().zip(attended).for_each(|(result, x)| *result = *x / sum);
                    }
                }
            }
        }
    }
}

/// Multiplies rows of the left matrix with columns of the right one, from `column` on. `length` is that of the sums; the widths
/// are those of the rows in memory.
#[inline(always)]
fn multiply<T: Real, const COLUMNS: usize>(
    [left, right]: [&[T]; 2],
    [length, left_width, right_width]: [usize; 3],
    column: usize,
    mul_add: impl Fn(T, T, T) -> T,
) -> [[T; COLUMNS]; ROWS] {
    let mut sums = [[T::zero(); COLUMNS]; ROWS];
    let left: [&[T]; ROWS] = std::array::from_fn(|row| &left[row * left_width..][..length]);
    for (at, right) in right.chunks_exact(right_width).enumerate() {
        let (right, _) = right[column..].split_first_chunk::<COLUMNS>().expect("rows are padded to whole columns");
        for (sums, left) in sums.iter_mut().zip(left) {
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = mul_add(left[at], *right, *sum);
            }
        }
    }
    sums
}

/// The attention of some queries, compiled for several instruction sets.
struct Queries<'a, T, F> {
    attention: &'a Attention<'a, T>,
    batch: usize,
    first: usize,
    results: &'a mut [T],
    exp: &'a F,
}

impl<T: Real, F: Fn(T) -> T> WithSimd for Queries<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { attention, batch, first, results, exp } = self;
        // A product is contracted with the sum where that is one instruction, and elsewhere not, where it is a call.
        match (S::IS_SCALAR, S::F32_LANES) {
            (true, _) => attention.compute_queries::<16>(batch, first, results, exp, |x, y, sum| x * y + sum),
            (false, ..16) => attention.compute_queries::<16>(batch, first, results, exp, T::mul_add),
            (false, _) => attention.compute_queries::<32>(batch, first, results, exp, T::mul_add),
        }
    }
}

fn attend<T: Real>(
    [queries, keys, values]: [&Tensor; 3],
    scale: T,
    mask: Option<&Tensor>,
    exp: impl Fn(T) -> T + Sync,
) -> candle_core::Result<Tensor> {
    let (batch, heads, count, key_features) = queries.dims4()?;
    let (_, own_heads, tokens, value_features) = values.dims4()?;
    let shape = (batch, count, heads, value_features);
    let query = heads * value_features;
    let results = if batch * count * query == 0 || tokens == 0 {
        vec![T::zero(); batch * count * query]
    } else {
        let mask = mask.map(|mask| mask.broadcast_as((batch, heads, count, tokens))).transpose()?;
        let mask = mask.as_ref().map(Tensor::storage_and_layout);
        let [(queries, q_layout), (keys, k_layout), (values, v_layout)] =
            [queries, keys, values].map(Tensor::storage_and_layout);
        let attention = Attention {
            queries: Heads::new(&queries, q_layout)?,
            keys: Heads::new(&keys, k_layout)?,
            values: Heads::new(&values, v_layout)?,
            mask: match &mask {
                Some((mask, layout)) if mask.dtype() == DType::U8 => Some(Mask::Shows(Heads::new(mask, layout)?)),
                Some((mask, layout)) => Some(Mask::Adds(Heads::new(mask, layout)?)),
                None => None,
            },
            scale,
            heads,
            sharing: heads / own_heads,
            tokens,
            key_features,
            value_features,
        };
        // Each part copies the keys and values of its text, so there are no more parts than keep all threads busy.
        let threads = rayon::current_num_threads();
        let in_parallel = batch * heads * count * tokens * (key_features + value_features) >= PARALLEL;
        let wanted = if in_parallel && batch < 4 * threads && batch % threads > 0 { threads } else { 1 };
        let length = count.div_ceil(wanted).next_multiple_of(ROWS).min(count);
        let in_text = count.div_ceil(length);
        let lengths: Vec<_> =
            (0..batch * in_text).map(|part| length.min(count - part % in_text * length) * query).collect();
        rows::compute_parts(
            &lengths,
            &Start::Zeros,
            if in_parallel { 1 } else { lengths.len() },
            |part, _, results| {
                let (batch, first) = (part / in_text, part % in_text * length);
                pulp::Arch::new().dispatch(Queries { attention: &attention, batch, first, results, exp: &exp });
            },
        )
    };
    // The features of all heads of a token lie side by side, as the next product takes them.
    Tensor::from_vec(results, shape, &Device::Cpu)?.transpose(1, 2)
}
