//! Operations under `vmap`: those without a gradient, and those whose indices, masks or keys are mapped. The others are in
//! `operation_gradients`.

use grad_runtime::mlx::{Array as Mlx, Side, fast, random};
use grad_runtime::{Dtype, Result};
use support::gradients::Range::{Positive, Signed};
use support::gradients::operands;
use support::mapped::assert_mapped;

use super::{NAMES, WITHOUT_OPERANDS, operation_gradients, scalar};

type Operation = support::gradients::Operation<Mlx>;

/// Makes a test of each line.
macro_rules! mapped {
    ($(mod $section:ident {$(
        $name:ident($($range:ident $shape:expr),+) $operation:expr;
    )*})*) => {
        mod tests {
            $(mod $section {
                use super::super::*;

                $(#[test]
                fn $name() {
                    let operation: Operation = $operation;
                    assert_mapped(&operation, &operands::<Mlx>(&[$(($range, &$shape)),+]));
                })*
            })*
        }

        const TESTED: &[(&str, &str)] = &[$($((stringify!($section), stringify!($name)),)*)*];
    };
}

#[test]
fn every_operation_is_mapped() {
    let lists = [TESTED, operation_gradients::TESTED, WITHOUT_OPERANDS];
    let missing: Vec<_> = NAMES
        .iter()
        .filter(|(section, _)| *section != "shared")
        .filter(|name| !lists.iter().any(|list| list.contains(name)))
        .collect();
    assert!(missing.is_empty(), "{missing:?} are in ops.rs and not tested: add each to `mapped!`");
}

/// Returns indices below `length` that depend on floats.
fn indices(x: &Mlx, length: i32) -> Result<Mlx> {
    x.abs()?.multiply(&scalar(1000.0_f32))?.astype(Dtype::Int32)?.remainder(&scalar(length))
}

/// Returns bools that depend on floats.
fn mask(x: &Mlx) -> Result<Mlx> {
    x.greater(&scalar(0.0_f32))
}

/// Returns integers that depend on floats.
fn integers(x: &Mlx) -> Result<Mlx> {
    indices(x, 6)
}

/// Returns the parts of a matrix, quantized to four bits, that depends on floats.
fn quantized(x: &Mlx) -> Result<(Mlx, Mlx, Mlx)> {
    x.tile(&[1, 32])?.quantize(64, 4)
}

fn key(x: &Mlx) -> Result<Mlx> {
    indices(x, 1000)?.astype(Dtype::UInt32)
}

mapped! {
    mod methods {
        not_equal(Signed [2, 3], Signed [3]) |x| integers(&x[0])?.not_equal(&integers(&x[1])?);
        greater_equal(Signed [2, 3], Signed [3]) |x| x[0].greater_equal(&x[1]);
        less_equal(Signed [2, 3], Signed [3]) |x| x[0].less_equal(&x[1]);
        array_equal(Signed [3], Signed [3]) |x| integers(&x[0])?.array_equal(&integers(&x[1])?, false);
        isclose(Signed [2, 3], Signed [3]) |x| x[0].isclose(&x[1], 0.1, 0.5, false);
        allclose(Signed [2, 3], Signed [3]) |x| x[0].allclose(&x[1], 1.0, 2.0, false);
        isnan(Signed [2, 3]) |x| x[0].log()?.isnan();
        isinf(Signed [2, 3]) |x| x[0].divide(&mask(&x[0])?.astype(Dtype::Float32)?)?.isinf();
        isfinite(Signed [2, 3]) |x| x[0].log()?.isfinite();
        isposinf(Signed [2, 3]) |x| x[0].divide(&x[0].zeros_like()?)?.isposinf();
        isneginf(Signed [2, 3]) |x| x[0].divide(&x[0].zeros_like()?)?.isneginf();
        logical_not(Signed [2, 3]) |x| mask(&x[0])?.logical_not();
        logical_and(Signed [2, 3], Signed [3]) |x| mask(&x[0])?.logical_and(&mask(&x[1])?);
        logical_or(Signed [2, 3], Signed [3]) |x| mask(&x[0])?.logical_or(&mask(&x[1])?);
        logical_xor(Signed [2, 3], Signed [3]) |x| mask(&x[0])?.logical_xor(&mask(&x[1])?);
        bitwise_and(Signed [2, 3], Signed [3]) |x| integers(&x[0])?.bitwise_and(&integers(&x[1])?);
        bitwise_or(Signed [2, 3], Signed [3]) |x| integers(&x[0])?.bitwise_or(&integers(&x[1])?);
        bitwise_xor(Signed [2, 3], Signed [3]) |x| integers(&x[0])?.bitwise_xor(&integers(&x[1])?);
        bitwise_invert(Signed [2, 3]) |x| integers(&x[0])?.bitwise_invert();
        left_shift(Signed [2, 3], Signed [3]) |x| integers(&x[0])?.left_shift(&integers(&x[1])?);
        right_shift(Signed [2, 3], Signed [3]) |x| integers(&x[0])?.right_shift(&integers(&x[1])?);
        all(Signed [2, 3]) |x| mask(&x[0])?.all(&[1], false);
        any(Signed [2, 3]) |x| mask(&x[0])?.any(&[1], true);
        count_nonzero(Signed [2, 3]) |x| mask(&x[0])?.count_nonzero(&[0], false);
        argmax(Signed [2, 3]) |x| x[0].argmax(1, false);
        argmin(Signed [2, 3]) |x| x[0].argmin(0, true);
        argsort(Signed [2, 3]) |x| x[0].argsort(1);
        argpartition(Signed [5]) |x| x[0].argpartition(2, 0)?.slice(&[2], &[3]);
        searchsorted(Signed [3], Signed [2]) |x| x[0].sort(0)?.searchsorted(&x[1], Side::Left);

        clip(Signed [2, 3], Signed [3], Positive [2, 1]) |x| {
            x[0].clip(&x[1].subtract(2.0)?, &x[2])
        };
        where_cond(Signed [2, 3], Signed [3], Signed [2, 1]) |x| mask(&x[0])?.where_cond(&x[1], &x[2]);
        take(Signed [4, 2], Signed [3]) |x| x[0].take(&indices(&x[1], 4)?, 0);
        take_of_a_later_axis(Signed [2, 4], Signed [2, 2]) |x| x[0].take(&indices(&x[1], 4)?, 1);
        take_along_axis(Signed [2, 3], Signed [2, 2]) |x| x[0].take_along_axis(&indices(&x[1], 3)?, 1);
        put_along_axis(Signed [3], Signed [1], Signed [1]) |x| x[0].put_along_axis(&indices(&x[1], 3)?, &x[2], 0);
        scatter_add_axis(Signed [3], Signed [2], Signed [2]) |x| x[0].scatter_add_axis(&indices(&x[1], 3)?, &x[2], 0);
        gather(Signed [3, 2], Signed [2]) |x| x[0].gather(&[indices(&x[1], 3)?], &[0], &[1, 2]);
        gather_over_two_axes(Signed [3, 2], Signed [2], Signed [1]) |x| {
            x[0].gather(&[indices(&x[1], 3)?, indices(&x[2], 2)?], &[0, 1], &[1, 1])
        };
        scatter(Signed [3, 2], Signed [1], Signed [1, 1, 2]) |x| x[0].scatter(&[indices(&x[1], 3)?], &x[2], &[0]);
        scatter_add(Signed [3, 2], Signed [2], Signed [2, 1, 2]) |x| {
            x[0].scatter_add(&[indices(&x[1], 3)?], &x[2], &[0])
        };
        scatter_max(Signed [3, 2], Signed [1], Signed [1, 1, 2]) |x| {
            x[0].scatter_max(&[indices(&x[1], 3)?], &x[2], &[0])
        };
        scatter_min(Signed [3, 2], Signed [1], Signed [1, 1, 2]) |x| {
            x[0].scatter_min(&[indices(&x[1], 3)?], &x[2], &[0])
        };
        masked_scatter(Signed [3], Signed [3], Signed [3]) |x| x[0].masked_scatter(&mask(&x[1])?, &x[2]);
        gather_mm(Signed [2, 2, 3], Signed [2, 3, 2], Signed [2]) |x| {
            x[0].gather_mm(&x[1], None, Some(&indices(&x[2], 2)?.astype(Dtype::UInt32)?))
        };
        quantized_matmul(Signed [1, 64], Signed [2, 2]) |x| {
            let (weights, scales, biases) = quantized(&x[1])?;
            x[0].quantized_matmul(&weights.stop_gradient()?, &scales.stop_gradient()?, &biases.stop_gradient()?, true, 64, 4)
        };
    }

    mod random {
        split(Signed [2]) |x| random::split(&key(&x[0])?, 2);
        bits(Signed [2]) |x| random::bits(&[3], &key(&x[0])?);
        uniform(Signed [2], Positive [3]) |x| {
            random::uniform(&scalar(0.0_f32), &x[1], &[3], Dtype::Float32, &key(&x[0])?)
        };
        normal(Signed [2]) |x| random::normal(&[3], Dtype::Float32, 0.0, 1.0, &key(&x[0])?);
        laplace(Signed [2]) |x| random::laplace(&[3], Dtype::Float32, 0.0, 1.0, &key(&x[0])?);
        gumbel(Signed [2]) |x| random::gumbel(&[3], Dtype::Float32, &key(&x[0])?);
        randint(Signed [2]) |x| random::randint(&scalar(0), &scalar(100), &[3], Dtype::Int32, &key(&x[0])?);
        bernoulli(Signed [2], Positive [3]) |x| {
            random::bernoulli(&x[1].multiply(&scalar(0.5_f32))?, &[3], &key(&x[0])?)
        };
        categorical(Signed [2], Signed [4, 3]) |x| random::categorical(&x[1], -1, 2, &key(&x[0])?);
        truncated_normal(Signed [2]) |x| {
            random::truncated_normal(&scalar(-1.0_f32), &scalar(1.0_f32), &[3], Dtype::Float32, &key(&x[0])?)
        };
    }

    mod fast {
        cross_entropy(Signed [2, 3], Signed [2]) |x| fast::cross_entropy(&x[0], &indices(&x[1], 3)?);
        scaled_dot_product_attention(Signed [1, 2, 3, 2], Signed [1, 1, 3, 3]) |x| {
            fast::scaled_dot_product_attention(&x[0], &x[0], &x[0], 0.7, Some(&mask(&x[1])?))
        };
    }
}
