//! The derivatives of each operation: to second order equal to central differences, the same in forward mode and when mapped,
//! and in a scope zero.

use grad_runtime::mlx::ScanBound::{Exclusive, Inclusive};
use grad_runtime::mlx::ScanDirection::{Forward, Reverse};
use grad_runtime::mlx::{self, Array as Mlx, FftNorm, Indexing, PadMode, Triangle, fast, linalg, random};
use grad_runtime::{Array, Complex32, Dtype, Result};
use support::arrays::assert_close;
use support::derivatives::{assert_derivative, assert_forward_mode};
use support::gradients::Range::{Positive, Signed};
use support::gradients::{
    assert_constant_in_a_scope, central_differences, gradient, operand, operands, weighted_sum,
};
use support::mapped::{assert_mapped, assert_value_mapped};

use super::{NAMES, WITHOUT_OPERANDS, assert_same, scalar, vector};

type Operation = support::gradients::Operation<Mlx>;

/// Asserts that the gradient is that of central differences, and returns it.
fn assert_differentiated(operation: Operation, operands: &[Mlx]) -> Vec<f32> {
    let recorded = gradient(|x| weighted_sum(&operation(x)?), operands).unwrap();
    assert_close(&recorded, &central_differences(operation, operands), 2e-2);
    recorded
}

/// Makes a module of tests of each line. Operations under `[flat]` have gradient zero everywhere. MLX cannot differentiate those
/// under `[refused]`, which is an error.
macro_rules! gradients {
    ($(mod $section:ident {
        $($name:ident($($range:ident $shape:expr),+) $operation:expr;)*
        $([flat] $($flat:ident($($flat_range:ident $flat_shape:expr),+) $flat_operation:expr;)*)?
        $([refused] $($refused:ident($($refused_range:ident $refused_shape:expr),+) $refused_operation:expr;)*)?
    })*) => {
        mod tests {
            $(pub mod $section {
                use super::super::*;

                $(mod $name {
                    use super::*;
                    differentiated!([$(($range, &$shape)),+], $operation, |element| element != 0.0);
                })*
                $($(mod $flat {
                    use super::*;
                    differentiated!([$(($flat_range, &$flat_shape)),+], $flat_operation, |element| element == 0.0);
                })*)?
                $($(mod $refused {
                    use super::*;
                    refused!([$(($refused_range, &$refused_shape)),+], $refused_operation);
                })*)?
            })*
        }

        pub const TESTED: &[(&str, &str)] = &[$(
            $((stringify!($section), stringify!($name)),)*
            $($((stringify!($section), stringify!($flat)),)*)?
            $($((stringify!($section), stringify!($refused)),)*)?
        )*];
    };
}

macro_rules! differentiated {
    ($parts:expr, $operation:expr, $some:expr) => {
        const OPERATION: Operation = $operation;

        #[test]
        fn gradient() {
            let operands = operands::<Mlx>(&$parts);
            let recorded = assert_differentiated(OPERATION, &operands);
            assert!(recorded.into_iter().any($some));
            assert_constant_in_a_scope(OPERATION, &operands);
        }

        #[test]
        fn second_derivative() {
            assert_derivative(&OPERATION, 2, &operands(&$parts), 2e-2);
        }

        #[test]
        fn forward_mode() {
            assert_forward_mode(&OPERATION, &operands(&$parts));
        }

        #[test]
        fn mapped() {
            assert_mapped(&OPERATION, &operands(&$parts));
        }
    };
}

macro_rules! refused {
    ($parts:expr, $operation:expr) => {
        const OPERATION: Operation = $operation;

        #[test]
        fn gradient_is_refused() {
            let operands = operands::<Mlx>(&$parts);
            let derived = gradient(|x| weighted_sum(&OPERATION(x)?), &operands);
            assert!(derived.is_err(), "MLX differentiates this operation now: move its line up");
            assert_constant_in_a_scope(OPERATION, &operands);
        }

        #[test]
        fn mapped() {
            assert_value_mapped(&OPERATION, &operands(&$parts));
        }
    };
}

/// Operations of arrays without a gradient: their results are integers or bools, or depend on no array of floats.
const WITHOUT_GRADIENT: &[(&str, &str)] = &[
    ("methods", "not_equal"),
    ("methods", "greater_equal"),
    ("methods", "less_equal"),
    ("methods", "array_equal"),
    ("methods", "isclose"),
    ("methods", "allclose"),
    ("methods", "isnan"),
    ("methods", "isinf"),
    ("methods", "isfinite"),
    ("methods", "isposinf"),
    ("methods", "isneginf"),
    ("methods", "logical_not"),
    ("methods", "logical_and"),
    ("methods", "logical_or"),
    ("methods", "logical_xor"),
    ("methods", "bitwise_and"),
    ("methods", "bitwise_or"),
    ("methods", "bitwise_xor"),
    ("methods", "bitwise_invert"),
    ("methods", "left_shift"),
    ("methods", "right_shift"),
    ("methods", "all"),
    ("methods", "any"),
    ("methods", "count_nonzero"),
    ("methods", "argmin"),
    ("methods", "argsort"),
    ("methods", "argpartition"),
    ("methods", "searchsorted"),
    ("random", "split"),
    ("random", "bits"),
    ("random", "normal"),
    ("random", "laplace"),
    ("random", "gumbel"),
    ("random", "randint"),
    ("random", "bernoulli"),
    ("random", "categorical"),
];

#[test]
fn every_operation_has_a_gradient_or_none() {
    let known = |name| [TESTED, WITHOUT_GRADIENT, WITHOUT_OPERANDS].iter().any(|list| list.contains(name));
    let missing: Vec<_> =
        NAMES.iter().filter(|(section, _)| *section != "shared").filter(|name| !known(*name)).collect();
    assert!(
        missing.is_empty(),
        "{missing:?} are in ops.rs and not tested: add each to `gradients!` or to `WITHOUT_GRADIENT`"
    );
}

fn half(x: &Mlx) -> Result<Mlx> {
    x.multiply(&scalar(0.5_f32))
}

/// Returns a symmetric positive definite matrix, x · xᵀ + 1.
fn definite(x: &Mlx) -> Result<Mlx> {
    x.matmul(&x.swapaxes(-1, -2)?)?.add(&mlx::eye(2, 2, 0, Dtype::Float32)?)
}

/// Joins all results in one vector.
fn together(all: &[Mlx]) -> Result<Mlx> {
    let flat: Result<Vec<_>> = all.iter().map(|each| each.flatten(0, -1)).collect();
    Array::concatenate(&flat?, 0)
}

/// Returns the parts of a matrix that is quantized to four bits.
fn packed() -> Result<(Mlx, Mlx, Mlx)> {
    operand::<Mlx>(Signed, &[2, 64], 3).quantize(64, 4)
}

/// The gradient with respect to complex numbers is `∂/∂re + i ∂/∂im`, so that a step against it makes the value smaller.
#[test]
fn gradients_with_respect_to_complex_numbers() {
    let z = vector([Complex32::new(3.0, 4.0), Complex32::new(-1.0, 0.5)]);
    let gradient =
        |function: fn(&[Mlx]) -> Result<Mlx>| Mlx::grad(function, std::slice::from_ref(&z)).unwrap().swap_remove(0);
    // |z|² has the gradient 2z; Re(z²) = re² - im² has 2re - 2im·i; |z| has z / |z|.
    assert_same(&gradient(|z| z[0].abs()?.square()?.sum_all()), &z.multiply(2).unwrap());
    assert_same(&gradient(|z| z[0].square()?.real()?.sum_all()), &z.conjugate().unwrap().multiply(2).unwrap());
    assert_same(&gradient(|z| z[0].abs()?.sum_all()), &z.divide(&z.abs().unwrap()).unwrap());
    // The energy of a spectrum is that of the signal (Parseval).
    let energy = gradient(|z| mlx::fft::fft(&z[0], None, 0, FftNorm::Ortho)?.abs()?.square()?.sum_all());
    assert_same(&energy, &z.multiply(2).unwrap());
    let value = |z: &Mlx| z.abs().unwrap().square().unwrap().sum_all().unwrap().item::<f32>().unwrap();
    let step = z.subtract(energy.multiply(0.125).unwrap()).unwrap();
    assert!(value(&step) < value(&z));
    // A complex value is no loss.
    let refused = Mlx::grad(|z| z[0].sum_all(), std::slice::from_ref(&z)).unwrap_err().to_string();
    assert!(refused.contains("not a floating point scalar"), "{refused}");
}

/// Returns complex numbers, given their real and imaginary parts.
fn complex(x: &[Mlx]) -> Result<Mlx> {
    x[0].astype(Dtype::Complex64)?.add(&x[1].multiply(Complex32::new(0.0, 1.0))?)
}

/// Returns a real function of complex numbers in which each part counts by itself.
fn energy(z: &Mlx) -> Result<Mlx> {
    z.real()?.square()?.add(&z.imag()?.square()?.multiply(0.75)?)?.add(&z.real()?.multiply(&z.imag()?)?)
}

gradients! {
    mod methods {
        reciprocal(Positive [2, 3]) |x| x[0].reciprocal();
        rsqrt(Positive [2, 3]) |x| x[0].rsqrt();
        expm1(Signed [2, 3]) |x| x[0].expm1();
        log2(Positive [2, 3]) |x| x[0].log2();
        log10(Positive [2, 3]) |x| x[0].log10();
        log1p(Positive [2, 3]) |x| x[0].log1p();
        logaddexp(Signed [2, 3], Signed [3]) |x| x[0].logaddexp(&x[1]);
        tan(Signed [3]) |x| half(&x[0])?.tan();
        arcsin(Signed [3]) |x| half(&x[0])?.arcsin();
        arccos(Signed [3]) |x| half(&x[0])?.arccos();
        arctan(Signed [2, 3]) |x| x[0].arctan();
        arctan2(Signed [2, 3], Positive [3]) |x| x[0].arctan2(&x[1]);
        sinh(Signed [2, 3]) |x| x[0].sinh();
        cosh(Signed [2, 3]) |x| x[0].cosh();
        arcsinh(Signed [2, 3]) |x| x[0].arcsinh();
        arccosh(Positive [2, 3]) |x| x[0].add(&scalar(1.0_f32))?.arccosh();
        arctanh(Signed [3]) |x| half(&x[0])?.arctanh();
        degrees(Signed [2, 3]) |x| x[0].degrees();
        radians(Signed [2, 3]) |x| x[0].radians();
        real(Signed [3], Signed [3]) |x| complex(x)?.multiply(Complex32::new(0.5, -2.0))?.real()?.square();
        imag(Signed [3], Signed [3]) |x| complex(x)?.multiply(Complex32::new(0.5, -2.0))?.imag()?.square();
        conjugate(Signed [3], Signed [3]) |x| energy(&complex(x)?.conjugate()?.multiply(&complex(x)?)?);
        functions_of_complex_numbers(Signed [3], Signed [3]) |x| energy(&complex(x)?.exp()?.divide(&complex(x)?.add(3)?)?);
        sign_of_complex_numbers(Signed [3], Signed [3]) |x| energy(&complex(x)?.sign()?);
        magnitude_of_complex_numbers(Signed [3], Signed [3]) |x| complex(x)?.abs();
        matmul_of_complex_numbers(Signed [2, 2], Signed [2, 2]) |x| energy(&complex(x)?.matmul(&complex(x)?)?);
        erfinv(Signed [3]) |x| half(&x[0])?.erfinv();
        silu(Signed [2, 3]) |x| x[0].silu();
        clip(Signed [2, 3]) |x| x[0].clip(-1.0, 1.0);
        nan_to_num(Signed [2, 3]) |x| x[0].nan_to_num(0.0, None, None);
        remainder(Signed [2, 3], Positive [3]) |x| x[0].remainder(&x[1]);
        divmod(Signed [2, 3], Positive [3]) |x| x[0].divmod(&x[1]).map(|(_, remainder)| remainder);

        prod(Signed [2, 3]) |x| x[0].prod(&[1], false);
        var(Signed [2, 3]) |x| x[0].var(&[1], false, 1);
        std(Signed [2, 3]) |x| x[0].std(&[0], true, 0);
        median(Signed [2, 4]) |x| x[0].median(&[1], false);
        cumsum(Signed [2, 3]) |x| x[0].cumsum(1, Reverse, Exclusive);
        cumprod(Signed [2, 3]) |x| x[0].cumprod(1, Forward, Inclusive);
        cummax(Signed [2, 5]) |x| x[0].cummax(1, Forward, Inclusive);
        cummin(Signed [2, 5]) |x| x[0].cummin(1, Reverse, Inclusive);
        logcumsumexp(Signed [2, 3]) |x| x[0].logcumsumexp(1, Forward, Inclusive);
        diff(Signed [2, 4]) |x| x[0].diff(2, 1);

        sort(Signed [2, 5]) |x| x[0].sort(1);
        partition(Signed [5]) |x| x[0].partition(2, 0)?.slice(&[2], &[3]);
        topk(Signed [5]) |x| x[0].topk(2, 0)?.sort(0);

        flatten(Signed [2, 3]) |x| x[0].flatten(0, 1);
        unflatten(Signed [6]) |x| x[0].unflatten(0, &[2, 3]);
        swapaxes(Signed [2, 3]) |x| x[0].swapaxes(0, 1);
        contiguous(Signed [2, 3]) |x| x[0].swapaxes(0, 1)?.contiguous();
        moveaxis(Signed [2, 3, 2]) |x| x[0].moveaxis(0, 2);
        flip(Signed [2, 3]) |x| x[0].flip(&[1]);
        roll(Signed [2, 3]) |x| x[0].roll(1, &[1]);
        repeat(Signed [2, 3]) |x| x[0].repeat(2, 1);
        tile(Signed [2, 3]) |x| x[0].tile(&[2, 1]);
        pad(Signed [2, 3]) |x| together(&[
            x[0].pad(&[(1, 0), (0, 2)], 3.0, PadMode::Constant)?,
            x[0].pad(&[(1, 0), (0, 2)], 0.0, PadMode::Edge)?,
        ]);
        split(Signed [4, 2]) |x| together(&x[0].split(2, 0)?);
        split_at(Signed [4, 2]) |x| together(&x[0].split_at(&[1], 0)?);
        unstack(Signed [2, 3]) |x| together(&x[0].unstack(1)?);
        slice_strided(Signed [5]) |x| x[0].slice_strided(&[0], &[5], &[2]);
        slice_update(Signed [2, 3], Signed [2]) |x| x[0].slice_update(&x[1].expand_dims(1)?, &[0, 1], &[2, 2]);
        slice_update_add(Signed [2, 3], Signed [2, 1]) |x| x[0].slice_update_add(&x[1], &[0, 1], &[2, 2]);
        take_along_axis(Signed [3]) |x| x[0].take_along_axis(&vector([2, 2, 0]), 0);
        put_along_axis(Signed [3], Signed [2]) |x| x[0].put_along_axis(&vector([2, 0]), &x[1], 0);
        scatter_add_axis(Signed [3], Signed [2]) |x| x[0].scatter_add_axis(&vector([2, 2]), &x[1], 0);
        gather(Signed [3, 2]) |x| x[0].gather(&[vector([2, 0, 2])], &[0], &[1, 2]);
        scatter(Signed [3, 2], Signed [2, 1, 2]) |x| x[0].scatter(&[vector([2, 0])], &x[1], &[0]);
        scatter_add(Signed [3, 2], Signed [2, 1, 2]) |x| x[0].scatter_add(&[vector([2, 2])], &x[1], &[0]);
        scatter_max(Signed [3, 2], Signed [2, 1, 2]) |x| x[0].scatter_max(&[vector([2, 0])], &x[1], &[0]);
        scatter_min(Signed [3, 2], Signed [2, 1, 2]) |x| x[0].scatter_min(&[vector([2, 0])], &x[1], &[0]);
        masked_scatter(Signed [3], Signed [2]) |x| x[0].masked_scatter(&vector([true, false, true]), &x[1]);
        tril(Signed [3, 3]) |x| x[0].tril(0);
        triu(Signed [3, 3]) |x| x[0].triu(1);
        diag(Signed [3]) |x| x[0].diag(1);
        diagonal(Signed [3, 3]) |x| x[0].diagonal(1, 0, 1);
        trace(Signed [3, 3]) |x| x[0].trace(0, 0, 1);

        outer(Signed [2], Signed [3]) |x| x[0].outer(&x[1]);
        inner(Signed [2, 3], Signed [3]) |x| x[0].inner(&x[1]);
        vecdot(Signed [2, 3], Signed [2, 3]) |x| x[0].vecdot(&x[1], -1);
        tensordot(Signed [2, 3], Signed [3, 2]) |x| x[0].tensordot(&x[1], &[1], &[0]);
        kron(Signed [2], Signed [3]) |x| x[0].kron(&x[1]);
        conv1d(Signed [1, 5, 2], Signed [3, 2, 2]) |x| together(&[
            x[0].conv1d(&x[1], 2, 1, 1, 1)?,
            x[0].conv1d(&x[1], 7, 1, 1, 1)?,
            x[0].conv1d(&x[1], (1 << 31) - 1, 0, 1, 1)?, // one product, whatever the stride
        ]);
        conv2d(Signed [1, 3, 4, 2], Signed [2, 2, 2, 1]) |x| x[0].conv2d(&x[1], (1, 2), (1, 0), (1, 1), 2);
        conv3d(Signed [1, 2, 3, 2, 1], Signed [1, 2, 2, 1, 1]) |x| {
            x[0].conv3d(&x[1], (1, 1, 1), (0, 0, 0), (1, 1, 1), 1)
        };
        conv_transpose1d(Signed [1, 3, 1], Signed [2, 2, 1]) |x| x[0].conv_transpose1d(&x[1], 2, 0, 1, 0, 1);
        conv_transpose2d(Signed [1, 2, 2, 1], Signed [2, 2, 2, 1]) |x| {
            x[0].conv_transpose2d(&x[1], (2, 1), (0, 0), (1, 1), (1, 0), 1)
        };
        conv_transpose3d(Signed [1, 1, 2, 2, 1], Signed [1, 1, 2, 2, 1]) |x| {
            x[0].conv_transpose3d(&x[1], (1, 1, 1), (0, 0, 0), (1, 1, 1), (0, 0, 0), 1)
        };
        conv_general(Signed [1, 4, 1], Signed [2, 2, 1]) |x| {
            together(&[
                x[0].conv_general(&x[1], &[1], &[1], &[0], &[1], &[2], 1, true)?,
                x[0].conv_general(&x[1], &[2], &[3], &[4], &[2], &[3], 1, false)?,
            ])
        };
        gather_mm(Signed [2, 2, 3], Signed [2, 3, 2]) |x| x[0].gather_mm(&x[1], None, Some(&vector([1_u32, 1])));
        // The weights are whole numbers; the scales move with the largest and smallest of each group.
        quantize(Signed [1, 64]) |x| x[0].quantize(64, 8).map(|(_, scales, _)| scales);
        dequantize(Signed [2, 1], Signed [2, 1]) |x| packed()?.0.dequantize(&x[0], &x[1], 64, 4);
        quantized_matmul(Signed [1, 64]) |x| {
            let (weights, scales, biases) = packed()?;
            x[0].quantized_matmul(&weights, &scales, &biases, true, 64, 4)
        };
        gather_qmm(Signed [1, 1, 64]) |x| {
            let (weights, scales, biases) = packed()?;
            let [weights, scales, biases] = [weights, scales, biases].map(|part| part.expand_dims(0).unwrap());
            x[0].gather_qmm(&weights, &scales, &biases, None, Some(&vector([0_u32])), true, 64, 4)
        };
        hadamard_transform(Signed [2, 4]) |x| x[0].hadamard_transform(None);

        [flat]
        sign(Signed [2, 3]) |x| x[0].sign();
        floor(Signed [2, 3]) |x| x[0].floor();
        ceil(Signed [2, 3]) |x| x[0].ceil();
        trunc(Signed [2, 3]) |x| x[0].trunc();
        round(Signed [2, 3]) |x| x[0].round(0);
        floor_divide(Signed [2, 3], Positive [3]) |x| x[0].floor_divide(&x[1]);
        zeros_like(Signed [2, 3]) |x| x[0].zeros_like();
        ones_like(Signed [2, 3]) |x| x[0].ones_like();

        [refused]
        scatter_prod(Signed [3, 2], Signed [2, 1, 2]) |x| x[0].scatter_prod(&[vector([2, 0])], &x[1], &[0]);
    }

    mod functions {
        stack(Signed [2, 3], Signed [2, 3]) |x| mlx::stack(x, 1);
        meshgrid(Signed [2], Signed [3]) |x| together(&mlx::meshgrid(x, false, Indexing::Xy)?);
        broadcast_arrays(Signed [2, 3], Signed [3]) |x| together(&mlx::broadcast_arrays(x)?);
        einsum(Signed [2, 3], Signed [3, 2]) |x| mlx::einsum("ij,jk->ik", x);
    }

    mod random {
        uniform(Signed [], Positive [3]) |x| random::uniform(&x[0], &x[1], &[3], Dtype::Float32, &random::key(1)?);
        permutation(Signed [4]) |x| random::permutation(&x[0], 0, &random::key(1)?);
        truncated_normal(Signed [], Positive [3]) |x| {
            let lower = x[0].subtract(&scalar(2.0_f32))?;
            random::truncated_normal(&lower, &x[1], &[3], Dtype::Float32, &random::key(1)?)
        };
    }

    mod linalg {
        norm(Signed [2, 3]) |x| linalg::norm(&x[0], &[1], false);
        cross(Signed [2, 3], Signed [2, 3]) |x| linalg::cross(&x[0], &x[1], -1);
        det(Signed [2, 2]) |x| linalg::det(&x[0]);
        slogdet(Signed [2, 2]) |x| linalg::slogdet(&definite(&x[0])?).map(|(_, log)| log);

        [refused]
        inv(Signed [2, 2]) |x| linalg::inv(&definite(&x[0])?);
        tri_inv(Positive [2, 2]) |x| linalg::tri_inv(&x[0].tril(0)?, Triangle::Lower);
        solve(Signed [2, 2], Signed [2]) |x| linalg::solve(&definite(&x[0])?, &x[1]);
        solve_triangular(Positive [2, 2], Signed [2, 1]) |x| linalg::solve_triangular(&x[0].triu(0)?, &x[1], Triangle::Upper);
        pinv(Signed [2, 2]) |x| linalg::pinv(&definite(&x[0])?);
        cholesky(Signed [2, 2]) |x| linalg::cholesky(&definite(&x[0])?, Triangle::Lower);
        cholesky_inv(Positive [2, 2]) |x| linalg::cholesky_inv(&x[0].tril(0)?, Triangle::Lower);
        qr(Signed [2, 2]) |x| linalg::qr(&x[0]).map(|(_, r)| r);
        svd(Signed [2, 2]) |x| linalg::svd(&x[0]).map(|(_, s, _)| s);
        lu(Signed [2, 2]) |x| linalg::lu(&x[0]).map(|(_, _, u)| u);
        eigh(Signed [2, 2]) |x| linalg::eigh(&definite(&x[0])?).map(|(values, _)| values);
        eigvalsh(Signed [2, 2]) |x| linalg::eigvalsh(&definite(&x[0])?);
        eig(Signed [2, 2]) |x| linalg::eig(&x[0])?.0.abs();
        eigvals(Signed [2, 2]) |x| linalg::eigvals(&x[0])?.abs();
        lu_factor(Signed [2, 2]) |x| linalg::lu_factor(&x[0]).map(|(lu, _)| lu);
    }

    mod fft {
        fft(Signed [2, 3], Signed [2, 3]) |x| energy(&mlx::fft::fft(&complex(x)?, None, -1, FftNorm::Backward)?);
        ifft(Signed [2, 3], Signed [2, 3]) |x| energy(&mlx::fft::ifft(&complex(x)?, Some(4), 0, FftNorm::Ortho)?);
        rfft(Signed [2, 5]) |x| energy(&mlx::fft::rfft(&x[0], None, -1, FftNorm::Forward)?);
        irfft(Signed [2, 3], Signed [2, 3]) |x| mlx::fft::irfft(&complex(x)?, Some(5), -1, FftNorm::Backward)?.square();
        fft2(Signed [2, 3], Signed [2, 3]) |x| energy(&mlx::fft::fft2(&complex(x)?, None, &[0, 1], FftNorm::Backward)?);
        ifft2(Signed [2, 3], Signed [2, 3]) |x| energy(&mlx::fft::ifft2(&complex(x)?, Some(&[3, 2]), &[0, 1], FftNorm::Backward)?);
        rfft2(Signed [2, 4]) |x| energy(&mlx::fft::rfft2(&x[0], None, &[0, 1], FftNorm::Ortho)?);
        irfft2(Signed [2, 3], Signed [2, 3]) |x| mlx::fft::irfft2(&complex(x)?, Some(&[2, 5]), &[0, 1], FftNorm::Backward)?.square();
        fftn(Signed [2, 3, 2], Signed [2, 3, 2]) |x| energy(&mlx::fft::fftn(&complex(x)?, None, &[0, 2], FftNorm::Backward)?);
        ifftn(Signed [2, 3], Signed [2, 3]) |x| energy(&mlx::fft::ifftn(&complex(x)?, None, &[1], FftNorm::Forward)?);
        rfftn(Signed [2, 3, 2]) |x| energy(&mlx::fft::rfftn(&x[0], None, &[2, 1], FftNorm::Backward)?);
        irfftn(Signed [2, 3], Signed [2, 3]) |x| mlx::fft::irfftn(&complex(x)?, None, &[0, 1], FftNorm::Backward)?.square();
        fftshift(Signed [2, 5]) |x| mlx::fft::fftshift(&x[0], &[-1]);
        ifftshift(Signed [3, 2]) |x| mlx::fft::ifftshift(&x[0], &[0, 1]);
    }

    mod fast {
        rms_norm(Signed [2, 4], Positive [4]) |x| fast::rms_norm(&x[0], Some(&x[1]), 1e-5);
        layer_norm(Signed [2, 4], Positive [4], Signed [4]) |x| {
            fast::layer_norm(&x[0], Some(&x[1]), Some(&x[2]), 1e-5)
        };
        rope(Signed [1, 1, 2, 4]) |x| fast::rope(&x[0], 4, false, Some(100.0), 1.0, 1, None);
        scaled_dot_product_attention(Signed [1, 2, 3, 2], Signed [1, 2, 3, 2], Signed [1, 2, 3, 2]) |x| {
            fast::scaled_dot_product_attention(&x[0], &x[1], &x[2], 0.7, None)
        };
        causal_attention(Signed [1, 2, 3, 2], Signed [1, 2, 3, 2], Signed [1, 2, 3, 2]) |x| {
            fast::causal_attention(&x[0], &x[1], &x[2], 0.7)
        };
        cross_entropy(Signed [2, 3]) |x| fast::cross_entropy(&x[0], &vector([2_u32, 0]));
    }
}
