//! Scaled dot-product attention: the operation, its vjp and its kernel.

use candle_core::{DType, Tensor};
use half::{bf16, f16};

use super::array::Array;
use super::kernels;
use super::operation::operation;
use super::shapes;
use super::tape::{VjpArgs, record};
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
                mask.as_ref().map(|mask| (&mask.tensor, mask.dtype() == Dtype::Bool)),
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

/// Computes the attention. The mask comes with whether it is one of bools.
fn attention(
    [queries, keys, values]: [&Tensor; 3],
    scale: f32,
    mask: Option<(&Tensor, bool)>,
) -> candle_core::Result<Tensor> {
    kernels::in_full_precision(queries, |queries| {
        let dtype = queries.dtype();
        let (keys, values) = (keys.to_dtype(dtype)?, values.to_dtype(dtype)?);
        let (batch, heads, _, _) = queries.dims4()?;
        let (_, own, tokens, _) = keys.dims4()?;
        let repeat = |x: &Tensor| {
            let features = x.dim(3)?;
            let groups = x.unsqueeze(2)?.broadcast_as((batch, own, heads / own, tokens, features))?;
            groups.reshape((batch, heads, tokens, features))
        };
        let scores = kernels::matmul(&queries.affine(scale.into(), 0.0)?, &repeat(&keys)?.transpose(2, 3)?)?;
        let scores = match mask {
            None => scores,
            Some((mask, false)) => scores.broadcast_add(&mask.to_dtype(dtype)?)?,
            Some((mask, true)) => {
                let lowest = if dtype == DType::F64 { f64::MIN } else { f32::MIN.into() };
                let hidden = Tensor::full(lowest, (), scores.device())?.to_dtype(dtype)?;
                mask.broadcast_as(scores.shape())?.where_cond(&scores, &hidden.broadcast_as(scores.shape())?)?
            }
        };
        kernels::matmul(&kernels::softmax(&scores)?, &repeat(&values)?)
    })
}
