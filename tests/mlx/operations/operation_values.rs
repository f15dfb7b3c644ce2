//! The values of each operation. Operations of section `shared` are tested in `conformance/shared_operations.rs`.
#![allow(clippy::approx_constant, reason = "the numbers are results")]

use grad_runtime::Dtype::{BFloat16, Bool, Float16, Float32, Int32, UInt32};
use grad_runtime::mlx::ScanBound::{Exclusive, Inclusive};
use grad_runtime::mlx::ScanDirection::{Forward, Reverse};
use grad_runtime::mlx::{
    self, Array as Mlx, FftNorm, Indexing, PadMode, Side, Triangle, fast, fft, linalg, random,
};
use grad_runtime::{Complex32, Dtype, Result};
use half::f16;

use super::{NAMES, assert_same, floats, scalar, v, vector};

/// The results of an operation, one or several.
trait Outputs {
    fn arrays(self) -> Vec<Mlx>;
}

impl Outputs for Mlx {
    fn arrays(self) -> Vec<Mlx> {
        vec![self]
    }
}

impl<const N: usize> Outputs for [Mlx; N] {
    fn arrays(self) -> Vec<Mlx> {
        self.into()
    }
}

impl Outputs for Vec<Mlx> {
    fn arrays(self) -> Vec<Mlx> {
        self
    }
}

impl Outputs for (Mlx, Mlx) {
    fn arrays(self) -> Vec<Mlx> {
        vec![self.0, self.1]
    }
}

impl<T: Outputs> Outputs for Result<T> {
    fn arrays(self) -> Vec<Mlx> {
        self.unwrap().arrays()
    }
}

#[track_caller]
fn same(found: impl Outputs, expected: impl Outputs) {
    let (found, expected) = (found.arrays(), expected.arrays());
    assert_eq!(found.len(), expected.len(), "number of results");
    for (found, expected) in found.iter().zip(&expected) {
        assert_same(found, expected);
    }
}

/// Makes a test of each line, named after the operation, and the list of tested operations.
macro_rules! values {
    ($(mod $section:ident {$($name:ident: $($found:expr => $expected:expr),+;)*})*) => {
        mod tests {
            $(pub mod $section {
            use super::super::*;

            $(#[test]
            fn $name() {
                fn check() -> Result<()> {
                    $(same($found, $expected);)+
                    Ok(())
                }
                check().unwrap();
            })*
            })*
        }

        const TESTED: &[(&str, &str)] = &[$($((stringify!($section), stringify!($name)),)*)*];
    };
}

#[test]
fn every_operation_has_a_test() {
    let missing: Vec<_> =
        NAMES.iter().filter(|(section, _)| *section != "shared").filter(|name| !TESTED.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} are in ops.rs and have no test: add a line to `values!`");
}

fn matrix() -> Mlx {
    floats(&[2, 2], [1.0, 2.0, 3.0, 4.0])
}

/// Returns a symmetric positive definite matrix.
fn definite() -> Mlx {
    floats(&[2, 2], [4.0, 2.0, 2.0, 3.0])
}

fn transposed(a: &Mlx) -> Result<Mlx> {
    a.swapaxes(-1, -2)
}

fn unit() -> Mlx {
    floats(&[2, 2], [1.0, 0.0, 0.0, 1.0])
}

/// Returns integers from 0 to 3, which 2 bits hold exactly.
fn coarse(rows: usize) -> Mlx {
    let elements: Vec<f32> = [0.0, 3.0, 1.0, 2.0].into_iter().cycle().take(64 * rows).collect();
    Mlx::from_slice(&elements, &[rows, 64]).unwrap()
}

/// Returns mean, standard deviation, minimum and maximum, to one decimal place.
fn statistics(draws: Result<Mlx>) -> Result<Mlx> {
    let draws = draws?.astype(Float32)?;
    assert_eq!(draws.size(), 10_000);
    let figures = [draws.mean_all()?, draws.std(&[0], false, 0)?, draws.min(&[0], false)?, draws.max(&[0], false)?];
    mlx::stack(&figures, 0)?.round(1)
}

/// Returns mean and standard deviation, to one decimal place.
fn spread(draws: Result<Mlx>) -> Result<Mlx> {
    statistics(draws)?.slice(&[0], &[2])
}

fn a_key() -> Mlx {
    random::key(11).unwrap()
}

/// Returns whether draws are equal with the same key, and with different keys.
fn depends_on_its_key(draw: impl Fn(&Mlx) -> Result<Mlx>) -> Result<Mlx> {
    let other = random::key(12)?;
    mlx::stack(
        &[
            draw(&a_key())?.array_equal(&draw(&a_key())?, false)?,
            draw(&a_key())?.array_equal(&draw(&other)?, false)?,
        ],
        0,
    )
}

const ONLY_ON_IT: [bool; 2] = [true, false];

values! {
    mod methods {
        real: vector([Complex32::new(3.0, 4.0)]).real() => v([3.0]), v([2.0]).real() => v([2.0]);
        imag: vector([Complex32::new(3.0, 4.0)]).imag() => v([4.0]), v([2.0]).imag() => v([0.0]);
        conjugate: vector([Complex32::new(3.0, 4.0)]).conjugate() => vector([Complex32::new(3.0, -4.0)]), v([2.0]).conjugate() => v([2.0]);
        sign: v([-2.0, 0.0, 3.0]).sign() => v([-1.0, 0.0, 1.0]), vector([-7, 0]).sign() => vector([-1, 0]);
        floor: v([-1.5, 1.5]).floor() => v([-2.0, 1.0]);
        ceil: v([-1.5, 1.5]).ceil() => v([-1.0, 2.0]);
        trunc: v([-1.5, 1.5]).trunc() => v([-1.0, 1.0]);
        round:
            v([0.5, 1.5, -2.6]).round(0) => v([0.0, 2.0, -3.0]),
            v([0.126]).round(2) => v([0.13]),
            vector([24]).round(-1) => vector([20]);
        reciprocal: v([4.0, -0.5]).reciprocal() => v([0.25, -2.0]);
        rsqrt: v([4.0, 0.25]).rsqrt() => v([0.5, 2.0]);
        expm1: v([0.0, 1.0]).expm1() => v([0.0, 1.718_282]);
        log2: v([8.0, 0.5]).log2() => v([3.0, -1.0]);
        log10: v([1000.0]).log10() => v([3.0]);
        log1p: v([0.0, 1.718_282]).log1p() => v([0.0, 1.0]);
        logaddexp: v([1.0, 1000.0]).logaddexp(&v([2.0, 1000.0])) => v([2.313_262, 1_000.693_1]);
        tan: v([1.0]).tan() => v([1.557_408]);
        arcsin: v([0.5]).arcsin() => v([0.523_599]);
        arccos: v([0.5]).arccos() => v([1.047_198]);
        arctan: v([1.0]).arctan() => v([0.785_398]);
        arctan2: v([1.0, -1.0]).arctan2(&v([-1.0, 0.0])) => v([2.356_194, -1.570_796]);
        sinh: v([1.0]).sinh() => v([1.175_201]);
        cosh: v([1.0]).cosh() => v([1.543_081]);
        arcsinh: v([1.0]).arcsinh() => v([0.881_374]);
        arccosh: v([2.0]).arccosh() => v([1.316_958]);
        arctanh: v([0.5]).arctanh() => v([0.549_306]);
        degrees: v([3.141_592_7]).degrees() => v([180.0]);
        radians: v([180.0]).radians() => v([3.141_592_7]);
        erfinv: v([0.5, 0.0]).erfinv() => v([0.476_936, 0.0]);
        silu: v([1.0, 0.0]).silu() => v([0.731_059, 0.0]);
        clip: v([-2.0, 0.5, 2.0]).clip(-1.0, 1.0) => v([-1.0, 0.5, 1.0]),
            v([-2.0, 2.0]).clip(-9, &v([-3.0, 3.0])) => v([-3.0, 2.0]);
        nan_to_num: v([f32::NAN, f32::INFINITY, 1.0]).nan_to_num(5.0, Some(6.0), None) => v([5.0, 6.0, 1.0]),
            v([f32::NEG_INFINITY]).nan_to_num(0.0, None, None) => v([f32::MIN]);
        floor_divide: v([-7.0, 7.0]).floor_divide(&scalar(2.0_f32)) => v([-4.0, 3.0]),
            vector([-7, 7, i32::MIN, 5]).floor_divide(&vector([2, -2, -1, -1])) =>
                vector([-4, -4, i32::MIN, -5]);
        remainder: v([-7.0, 7.0]).remainder(&v([2.0, -2.0])) => v([1.0, -1.0]),
            vector([-7, 7, i32::MIN, 5]).remainder(&vector([2, -2, -1, -1])) => vector([1, -1, 0, 0]);
        divmod: v([-7.0, 7.0]).divmod(&v([2.0, -2.0])) => [v([-4.0, -4.0]), v([1.0, -1.0])],
            vector([7_u32, 8]).divmod(&scalar(4_u32)) => [vector([1_u32, 2]), vector([3_u32, 0])];

        not_equal: v([1.0, 2.0]).not_equal(&v([2.0, 2.0])) => vector([true, false]);
        greater_equal: v([1.0, 2.0, 3.0]).greater_equal(&scalar(2.0_f32)) => vector([false, true, true]);
        less_equal: v([1.0, 2.0, 3.0]).less_equal(&scalar(2.0_f32)) => vector([true, true, false]);
        array_equal: v([1.0, f32::NAN]).array_equal(&v([1.0, f32::NAN]), false) => scalar(false),
            v([1.0, f32::NAN]).array_equal(&v([1.0, f32::NAN]), true) => scalar(true),
            v([1.0]).array_equal(&v([1.0, 1.0]), false) => scalar(false);
        isclose: v([1.0, 1.0]).isclose(&v([1.05, 1.2]), 0.0, 0.1, false) => vector([true, false]),
            v([f32::NAN, 100.0]).isclose(&v([f32::NAN, 101.0]), 0.01, 0.0, true) => vector([true, true]);
        allclose: v([1.0, 1.0]).allclose(&v([1.05, 1.2]), 0.0, 0.1, false) => scalar(false);
        isnan: v([f32::NAN, f32::INFINITY, 0.0]).isnan() => vector([true, false, false]);
        isinf: v([f32::NAN, f32::NEG_INFINITY, 0.0]).isinf() => vector([false, true, false]);
        isfinite: v([f32::NAN, f32::INFINITY, 0.0]).isfinite() => vector([false, false, true]);
        isposinf: v([f32::NEG_INFINITY, f32::INFINITY]).isposinf() => vector([false, true]);
        isneginf: v([f32::NEG_INFINITY, f32::INFINITY]).isneginf() => vector([true, false]);
        logical_not: v([0.0, 2.0]).logical_not() => vector([true, false]);
        logical_and:
            vector([true, true, false]).logical_and(&v([1.0, 0.0, 1.0])) => vector([true, false, false]);
        logical_or: vector([true, false, false]).logical_or(&v([0.0, 0.0, 2.0])) => vector([true, false, true]);
        logical_xor:
            vector([true, true, false]).logical_xor(&v([1.0, 0.0, 2.0])) => vector([false, true, true]);
        bitwise_and: vector([6, -1]).bitwise_and(&vector([3, 5])) => vector([2, 5]);
        bitwise_or: vector([6_u32, 1]).bitwise_or(&scalar(3_u32)) => vector([7_u32, 3]);
        bitwise_xor: vector([true, false]).bitwise_xor(&scalar(true)) => vector([false, true]);
        bitwise_invert: vector([0, 5]).bitwise_invert() => vector([-1, -6]);
        left_shift: vector([1, 3]).left_shift(&vector([4, 1])) => vector([16, 6]);
        right_shift: vector([16, -8]).right_shift(&vector([4, 1])) => vector([1, -4]);

        all:
            matrix().all(&[1], false) => vector([true, true]),
            v([1.0, 0.0]).all(&[0], true) => vector([false]);
        any: floats(&[2, 2], [0.0, 0.0, 3.0, 0.0]).any(&[1], false) => vector([false, true]);
        count_nonzero: floats(&[2, 2], [0.0, 0.0, 3.0, 4.0]).count_nonzero(&[1], false) => vector([0, 2]);
        prod:
            matrix().prod(&[0], false) => v([3.0, 8.0]),
            Mlx::zeros(&[2, 0], Float32).unwrap().prod(&[1], false) => v([1.0, 1.0]);
        var:
            v([1.0, 2.0, 4.0]).var(&[0], false, 0) => scalar(1.555_555_6_f32),
            v([1.0, 2.0, 4.0]).var(&[0], true, 1) => v([2.333_333_3]);
        std:
            v([1.0, 2.0, 4.0]).std(&[0], false, 0) => scalar(1.247_219_1_f32),
            v([1.0, 3.0]).std(&[0], false, 1) => scalar(1.414_213_5_f32);
        median:
            v([4.0, 1.0, 3.0, 2.0]).median(&[0], false) => scalar(2.5_f32),
            v([3.0, 1.0, 9.0]).median(&[0], true) => v([3.0]);
        argmin:
            v([2.0, 1.0, 1.0]).argmin(0, false) => scalar(1_u32),
            matrix().argmin(1, true) => vector([0_u32, 0]).reshape(&[2, 1]);
        cumsum:
            v([1.0, 2.0, 3.0]).cumsum(0, Forward, Inclusive) => v([1.0, 3.0, 6.0]),
            v([1.0, 2.0, 3.0]).cumsum(0, Reverse, Exclusive) => v([5.0, 3.0, 0.0]);
        cumprod:
            v([2.0, 3.0, 4.0]).cumprod(0, Forward, Inclusive) => v([2.0, 6.0, 24.0]),
            v([2.0, 3.0, 4.0]).cumprod(-1, Forward, Exclusive) => v([1.0, 2.0, 6.0]);
        cummax: v([1.0, 3.0, 2.0]).cummax(0, Forward, Inclusive) => v([1.0, 3.0, 3.0]),
            v([1.0, 3.0, 2.0]).cummax(0, Forward, Exclusive) => v([f32::NEG_INFINITY, 1.0, 3.0]),
            v([1.0, f32::NAN, 2.0]).cummax(0, Forward, Inclusive) => v([1.0, f32::NAN, f32::NAN]),
            vector([1, 3, 2]).cummax(0, Reverse, Inclusive) => vector([3, 3, 2]);
        cummin:
            v([3.0, 1.0, 2.0]).cummin(0, Forward, Inclusive) => v([3.0, 1.0, 1.0]),
            v([3.0, f32::NAN, 2.0]).cummin(0, Reverse, Inclusive) => v([f32::NAN, f32::NAN, 2.0]);
        logcumsumexp: v([1.0, 2.0, 3.0]).logcumsumexp(0, Forward, Inclusive) => v([1.0, 2.313_262, 3.407_606]);
        diff:
            v([1.0, 4.0, 9.0, 16.0]).diff(1, 0) => v([3.0, 5.0, 7.0]),
            v([1.0, 4.0, 9.0, 16.0]).diff(2, -1) => v([2.0, 2.0]);

        sort: v([3.0, 1.0, 2.0]).sort(0) => v([1.0, 2.0, 3.0]);
        argsort: v([3.0, 1.0, 2.0]).argsort(0) => vector([1_u32, 2, 0]);
        partition: v([3.0, 1.0, 2.0]).partition(1, 0)?.slice(&[1], &[2]) => v([2.0]);
        argpartition: v([3.0, 1.0, 2.0]).argpartition(1, 0)?.slice(&[1], &[2]) => vector([2_u32]);
        topk: v([1.0, 5.0, 3.0, 9.0]).topk(2, 0)?.sort(0) => v([5.0, 9.0]);
        searchsorted:
            v([1.0, 2.0, 2.0, 3.0]).searchsorted(&v([2.0, 0.0, 9.0]), Side::Left) => vector([1_u32, 0, 4]),
            v([1.0, 2.0, 2.0, 3.0]).searchsorted(&v([2.0, 0.0, 9.0]), Side::Right) => vector([3_u32, 0, 4]);

        flatten:
            floats(&[1, 2, 2], [1.0, 2.0, 3.0, 4.0]).flatten(1, -1) => floats(&[1, 4], [1.0, 2.0, 3.0, 4.0]);
        unflatten: v([1.0, 2.0, 3.0, 4.0]).unflatten(0, &[2, 2]) => matrix();
        swapaxes: matrix().swapaxes(0, 1) => floats(&[2, 2], [1.0, 3.0, 2.0, 4.0]);
        contiguous: matrix().swapaxes(0, 1)?.contiguous() => floats(&[2, 2], [1.0, 3.0, 2.0, 4.0]);
        moveaxis:
            floats(&[1, 2, 2], [1.0, 2.0, 3.0, 4.0]).moveaxis(0, -1) => floats(&[2, 2, 1], [1.0, 2.0, 3.0, 4.0]);
        flip:
            matrix().flip(&[1]) => floats(&[2, 2], [2.0, 1.0, 4.0, 3.0]),
            matrix().flip(&[0, 1]) => floats(&[2, 2], [4.0, 3.0, 2.0, 1.0]);
        roll:
            v([1.0, 2.0, 3.0]).roll(1, &[0]) => v([3.0, 1.0, 2.0]),
            v([1.0, 2.0, 3.0]).roll(-1, &[0]) => v([2.0, 3.0, 1.0]);
        repeat: v([1.0, 2.0]).repeat(2, 0) => v([1.0, 1.0, 2.0, 2.0]);
        tile:
            v([1.0, 2.0]).tile(&[2]) => v([1.0, 2.0, 1.0, 2.0]),
            v([1.0]).tile(&[2, 2]) => floats(&[2, 2], [1.0; 4]);
        pad:
            v([1.0, 2.0]).pad(&[(1, 2)], 9.0, PadMode::Constant) => v([9.0, 1.0, 2.0, 9.0, 9.0]),
            v([1.0, 2.0]).pad(&[(1, 2)], 0.0, PadMode::Edge) => v([1.0, 1.0, 2.0, 2.0, 2.0]),
            v([1.0, 2.0, 3.0]).pad(&[(2, 0)], 0.0, PadMode::Reflect) => v([3.0, 2.0, 1.0, 2.0, 3.0]),
            v([1.0, 2.0]).pad(&[(0, 2)], 0.0, PadMode::Symmetric) => v([1.0, 2.0, 2.0, 1.0]),
            vector([1]).pad(&[(0, 1)], f64::from(i32::MAX), PadMode::Constant) => vector([1, i32::MAX]),
            vector([1_u32]).pad(&[(0, 1)], -0.5, PadMode::Constant) => vector([1, 0_u32]),
            vector([1]).pad(&[(0, 1)], f64::NAN, PadMode::Edge) => vector([1, 1]);
        split: v([1.0, 2.0, 3.0, 4.0]).split(2, 0) => [v([1.0, 2.0]), v([3.0, 4.0])];
        split_at: v([1.0, 2.0, 3.0, 4.0]).split_at(&[1, 3], 0) => [v([1.0]), v([2.0, 3.0]), v([4.0])];
        unstack: matrix().unstack(1) => [v([1.0, 3.0]), v([2.0, 4.0])];
        slice_strided: v([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).slice_strided(&[1], &[6], &[2]) => v([1.0, 3.0, 5.0]);
        slice_update:
            matrix().slice_update(&scalar(9.0_f32), &[0, 1], &[2, 2]) => floats(&[2, 2], [1.0, 9.0, 3.0, 9.0]);
        slice_update_add:
            matrix().slice_update_add(&v([10.0, 20.0]), &[1, 0], &[2, 2]) =>
                floats(&[2, 2], [1.0, 2.0, 13.0, 24.0]);
        take_along_axis:
            matrix().take_along_axis(&vector([1_u32, 0, 0, 0]).reshape(&[2, 2])?, 1) =>
                floats(&[2, 2], [2.0, 1.0, 3.0, 3.0]);
        put_along_axis: v([1.0, 2.0, 3.0]).put_along_axis(&vector([2]), &v([9.0]), 0) => v([1.0, 2.0, 9.0]);
        scatter_add_axis:
            v([1.0, 2.0, 3.0]).scatter_add_axis(&vector([2, 2]), &v([9.0, 1.0]), 0) => v([1.0, 2.0, 13.0]);
        gather:
            matrix().gather(&[vector([1_u32, 0])], &[0], &[1, 2]) => floats(&[2, 1, 2], [3.0, 4.0, 1.0, 2.0]),
            matrix().gather(&[vector([1]), vector([0])], &[0, 1], &[1, 1]) => floats(&[1, 1, 1], [3.0]);
        scatter:
            matrix().scatter(&[vector([1])], &floats(&[1, 1, 2], [10.0, 1.0]), &[0]) =>
                floats(&[2, 2], [1.0, 2.0, 10.0, 1.0]);
        scatter_add:
            matrix().scatter_add(&[vector([1, 1])], &floats(&[2, 1, 2], [10.0, 1.0, 5.0, 0.0]), &[0]) =>
                floats(&[2, 2], [1.0, 2.0, 18.0, 5.0]);
        scatter_prod:
            matrix().scatter_prod(&[vector([1])], &floats(&[1, 1, 2], [10.0, 2.0]), &[0]) =>
                floats(&[2, 2], [1.0, 2.0, 30.0, 8.0]);
        scatter_max:
            matrix().scatter_max(&[vector([1])], &floats(&[1, 1, 2], [10.0, 1.0]), &[0]) =>
                floats(&[2, 2], [1.0, 2.0, 10.0, 4.0]);
        scatter_min:
            matrix().scatter_min(&[vector([1])], &floats(&[1, 1, 2], [10.0, 1.0]), &[0]) =>
                floats(&[2, 2], [1.0, 2.0, 3.0, 1.0]);
        masked_scatter:
            v([1.0, 2.0, 3.0]).masked_scatter(&vector([true, false, true]), &v([7.0, 8.0])) => v([7.0, 2.0, 8.0]),
            matrix().masked_scatter(&vector([false, true]), &floats(&[1, 2], [7.0, 8.0])) =>
                floats(&[2, 2], [1.0, 2.0, 7.0, 8.0]),
            // A mask that is not computed yet.
            v([1.0, 2.0]).masked_scatter(&v([1.0, 1.0]).greater(&v([0.0, 0.0]))?, &v([7.0])) => v([7.0, 0.0]);
        tril:
            matrix().tril(0) => floats(&[2, 2], [1.0, 0.0, 3.0, 4.0]),
            matrix().tril(i32::MAX) => matrix(),
            matrix().tril(i32::MIN) => floats(&[2, 2], [0.0; 4]);
        triu:
            matrix().triu(1) => floats(&[2, 2], [0.0, 2.0, 0.0, 0.0]),
            matrix().triu(i32::MAX) => floats(&[2, 2], [0.0; 4]),
            matrix().triu(i32::MIN) => matrix();
        diag:
            v([1.0, 2.0]).diag(0) => floats(&[2, 2], [1.0, 0.0, 0.0, 2.0]),
            matrix().diag(1) => v([2.0]),
            matrix().diag(-1) => v([3.0]);
        diagonal: matrix().diagonal(0, 0, 1) => v([1.0, 4.0]), matrix().diagonal(i32::MIN, 0, 1) => v([]);
        trace:
            matrix().trace(0, 0, 1) => scalar(5.0_f32),
            matrix().trace(1, 0, 1) => scalar(2.0_f32),
            matrix().trace(7, 0, 1) => scalar(0.0_f32);
        zeros_like: vector([1, 2]).zeros_like() => vector([0, 0]);
        ones_like: vector([0_u32]).ones_like() => vector([1_u32]);

        outer: v([1.0, 2.0]).outer(&v([3.0, 4.0, 5.0])) => floats(&[2, 3], [3.0, 4.0, 5.0, 6.0, 8.0, 10.0]);
        inner: v([1.0, 2.0]).inner(&v([3.0, 4.0])) => scalar(11.0_f32);
        vecdot: matrix().vecdot(&matrix(), -1) => v([5.0, 25.0]);
        tensordot:
            matrix().tensordot(&matrix(), &[0, 1], &[0, 1]) => scalar(30.0_f32),
            matrix().tensordot(&v([1.0, 10.0]), &[1], &[0]) => v([21.0, 43.0]);
        kron: v([1.0, 2.0]).kron(&v([1.0, 10.0])) => v([1.0, 10.0, 2.0, 20.0]);
        conv1d:
            floats(&[1, 3, 1], [1.0, 2.0, 3.0]).conv1d(&floats(&[1, 2, 1], [1.0, 10.0]), 1, 0, 1, 1) =>
                floats(&[1, 2, 1], [21.0, 32.0]),
            floats(&[1, 3, 1], [1.0, 2.0, 3.0]).conv1d(&floats(&[1, 2, 1], [1.0, 10.0]), 1, 0, 2, 1) =>
                floats(&[1, 1, 1], [31.0]),
            // Two groups: each channel has one weight.
            floats(&[1, 1, 2], [1.0, 2.0]).conv1d(&floats(&[2, 1, 1], [3.0, 4.0]), 1, 0, 1, 2) =>
                floats(&[1, 1, 2], [3.0, 8.0]);
        conv2d: square().conv2d(&kernel(), (1, 1), (0, 0), (1, 1), 1) => floats(&[1, 1, 1, 1], [4321.0]),
            square().conv2d(&kernel(), (2, 2), (1, 1), (1, 1), 1) =>
                floats(&[1, 2, 2, 1], [1000.0, 200.0, 30.0, 4.0]);
        conv3d:
            square().expand_dims(1)?.conv3d(&kernel().expand_dims(1)?, (1, 1, 1), (0, 0, 0), (1, 1, 1), 1) =>
                floats(&[1, 1, 1, 1, 1], [4321.0]);
        conv_transpose1d:
            floats(&[1, 2, 1], [1.0, 2.0]).conv_transpose1d(&floats(&[1, 2, 1], [1.0, 10.0]), 1, 0, 1, 0, 1) =>
                floats(&[1, 3, 1], [1.0, 12.0, 20.0]),
            floats(&[1, 2, 1], [1.0, 2.0]).conv_transpose1d(&floats(&[1, 2, 1], [1.0, 10.0]), 2, 0, 1, 1, 1) =>
                floats(&[1, 5, 1], [1.0, 10.0, 2.0, 20.0, 0.0]),
            // Padding that the kernel does not reach.
            floats(&[1, 3, 1], [1.0, 2.0, 3.0]).conv_transpose1d(&floats(&[1, 1, 1], [1.0]), 2, 1, 1, 0, 1) =>
                floats(&[1, 3, 1], [0.0, 2.0, 0.0]);
        conv_transpose2d:
            floats(&[1, 1, 1, 1], [2.0]).conv_transpose2d(&kernel(), (1, 1), (0, 0), (1, 1), (0, 0), 1) =>
                floats(&[1, 2, 2, 1], [2.0, 20.0, 200.0, 2000.0]);
        conv_transpose3d:
            floats(&[1, 1, 1, 1, 1], [2.0]).conv_transpose3d(&kernel()
                .expand_dims(1)?, (1, 1, 1), (0, 0, 0), (1, 1, 1), (0, 0, 0), 1) =>
                floats(&[1, 1, 2, 2, 1], [2.0, 20.0, 200.0, 2000.0]);
        conv_general:
            floats(&[1, 3, 1], [1.0, 2.0, 3.0])
                .conv_general(&floats(&[1, 2, 1], [1.0, 10.0]), &[1], &[1], &[0], &[1], &[1], 1, true) =>
                floats(&[1, 3, 1], [1.0, 12.0, 23.0]),
            floats(&[1, 2, 1], [1.0, 2.0])
                .conv_general(&floats(&[1, 2, 1], [1.0, 10.0]), &[1], &[0], &[0], &[1], &[2], 1, false) =>
                floats(&[1, 2, 1], [1.0, 20.0]);
        gather_mm:
            two_rows().gather_mm(&two_columns(), None, Some(&vector([1_u32, 0]))) =>
                floats(&[2, 1, 1], [2100.0, 43.0]),
            two_rows().gather_mm(&two_columns(), Some(&vector([1, 1, 0])), Some(&vector([0]))) =>
                floats(&[3, 1, 1], [43.0, 43.0, 21.0]);
        quantize:
            {
                let (packed, scales, biases) = coarse(1).quantize(64, 2)?;
                packed.dequantize(&scales, &biases, 64, 2)
            } => coarse(1),
            coarse(2).quantize(32, 4)
                .map(|(packed, scales, biases)| [packed.shape(), scales.shape(), biases.shape()].concat())
                .map(|shapes| Mlx::from_slice(&shapes.iter().map(|&length| u32::try_from(length).unwrap())
                .collect::<Vec<_>>(), &[6]).unwrap()) =>
                vector([2_u32, 8, 2, 2, 2, 2]);
        dequantize:
            {
                let x = mlx::linspace(-1.0, 1.0, 64, Float32)?.reshape(&[1, 64])?;
                let (packed, scales, biases) = x.quantize(64, 8)?;
                packed.dequantize(&scales, &biases, 64, 8)?.allclose(&x, 0.0, 0.5 * 2.0 / 255.0 + 1e-4, false)
            } => scalar(true);
        quantized_matmul:
            {
                let (packed, scales, biases) = coarse(2).quantize(64, 2)?;
                Mlx::ones(&[1, 64], Float32)?.quantized_matmul(&packed, &scales, &biases, true, 64, 2)
            } => floats(&[1, 2], [96.0, 96.0]),
            {
                let (packed, scales, biases) = coarse(2).quantize(64, 2)?;
                floats(&[1, 2], [1.0, 10.0]).quantized_matmul(&packed, &scales, &biases, false, 64, 2)?
                    .slice(&[0, 0], &[1, 4])
            } => floats(&[1, 4], [0.0, 33.0, 11.0, 22.0]);
        gather_qmm:
            {
                let experts = mlx::stack(&[coarse(1), coarse(1).multiply(&scalar(2.0_f32))?], 0)?;
                let (packed, scales, biases) = experts.quantize(64, 2)?;
                Mlx::ones(&[2, 1, 64], Float32)?
                    .gather_qmm(&packed, &scales, &biases, None, Some(&vector([1_u32, 0])), true, 64, 2)
            } => floats(&[2, 1, 1], [192.0, 96.0]);
        hadamard_transform:
            v([1.0, 2.0, 3.0, 4.0]).hadamard_transform(Some(1.0)) => v([10.0, -2.0, -4.0, 0.0]),
            v([1.0, 2.0, 3.0, 4.0]).hadamard_transform(None) => v([5.0, -1.0, -2.0, 0.0]);
    }

    mod functions {
        hanning: mlx::hanning(4) => v([0.0, 0.75, 0.75, 0.0]), mlx::hanning(1) => v([1.0]);
        hamming: mlx::hamming(4) => v([0.08, 0.77, 0.77, 0.08]);
        blackman: mlx::blackman(4) => v([0.0, 0.63, 0.63, 0.0]);
        bartlett: mlx::bartlett(4) => v([0.0, 0.666_666_7, 0.666_666_7, 0.0]);
        arange:
            mlx::arange(0.0, 1.0, 0.3, Float32) => v([0.0, 0.3, 0.6, 0.9]),
            mlx::arange(5.0, 0.0, -2.0, Int32) => vector([5, 3, 1]);
        linspace:
            mlx::linspace(0.0, 1.0, 5, Float32) => v([0.0, 0.25, 0.5, 0.75, 1.0]),
            mlx::linspace(0.0, 1.0, 2, Float16) => vector([f16::ZERO, f16::ONE]);
        eye:
            mlx::eye(2, 3, 1, Int32) => vector([0, 1, 0, 0, 0, 1]).reshape(&[2, 3]),
            mlx::eye(1, 1, i32::MIN, Float32) => floats(&[1, 1], [0.0]);
        identity: mlx::identity(2, Float32) => unit();
        tri:
            mlx::tri(2, 3, 0, Float32) => floats(&[2, 3], [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]),
            mlx::tri(1, 2, i32::MAX, Bool) => vector([true, true]).reshape(&[1, 2]);
        stack: mlx::stack(&[v([1.0, 2.0]), v([3.0, 4.0])], 1) => floats(&[2, 2], [1.0, 3.0, 2.0, 4.0]);
        meshgrid:
            mlx::meshgrid(&[v([1.0, 2.0]), v([3.0])], false, Indexing::Xy) =>
                [floats(&[1, 2], [1.0, 2.0]), floats(&[1, 2], [3.0, 3.0])],
            mlx::meshgrid(&[v([1.0, 2.0]), v([3.0])], true, Indexing::Ij) =>
                [floats(&[2, 1], [1.0, 2.0]), floats(&[1, 1], [3.0])];
        broadcast_arrays:
            mlx::broadcast_arrays(&[v([1.0, 2.0]), scalar(3.0_f32)]) => [v([1.0, 2.0]), v([3.0, 3.0])];
        einsum:
            mlx::einsum("ij,jk->ik", &[matrix(), matrix()]) => floats(&[2, 2], [7.0, 10.0, 15.0, 22.0]),
            mlx::einsum("ij->ji", &[matrix()]) => transposed(&matrix());
    }

    mod random {
        key: random::key(7) => vector([0_u32, 7]), random::key(1 << 32) => vector([1_u32, 0]);
        split:
            {
                let keys = random::split(&a_key(), 2)?;
                assert_eq!((keys.shape(), keys.dtype()), (vec![2, 2], UInt32));
                keys.slice(&[0, 0], &[1, 2])?.array_equal(&keys.slice(&[1, 0], &[2, 2])?, false)
            } => scalar(false),
            depends_on_its_key(|key| random::split(key, 3)) => vector(ONLY_ON_IT);
        bits: // Those of the keys that `split` makes.
            random::bits(&[3, 2], &a_key())?.array_equal(&random::split(&a_key(), 3)?, false) => scalar(true),
            depends_on_its_key(|key| random::bits(&[3], key)) => vector(ONLY_ON_IT);
        uniform:
            statistics(random::uniform(&scalar(2.0_f32), &scalar(4.0_f32), &[10_000], Float32, &a_key())) =>
                v([3.0, 0.6, 2.0, 4.0]),
            depends_on_its_key(|key| random::uniform(&scalar(0.0_f32), &v([1.0, 2.0]), &[3, 2], BFloat16, key)) =>
                vector(ONLY_ON_IT);
        normal:
            spread(random::normal(&[10_000], Float32, 2.0, 3.0, &a_key())) => v([2.0, 3.0]),
            spread(random::normal(&[10_000], Float16, 0.0, 1.0, &a_key())) => v([0.0, 1.0]),
            depends_on_its_key(|key| random::normal(&[3], Float32, 0.0, 1.0, key)) => vector(ONLY_ON_IT);
        truncated_normal:
            statistics(random::truncated_normal(
                &scalar(-1.0_f32), &scalar(1.0_f32), &[10_000], Float32, &a_key()
            )) =>
                v([0.0, 0.5, -1.0, 1.0]),
            depends_on_its_key(|key| {
                random::truncated_normal(&scalar(0.0_f32), &scalar(1.0_f32), &[3], Float32, key)
            }) =>
                vector(ONLY_ON_IT);
        laplace: spread(random::laplace(&[10_000], Float32, 1.0, 2.0, &a_key())) => v([1.0, 2.8]), // √2 · scale
            depends_on_its_key(|key| random::laplace(&[3], Float32, 0.0, 1.0, key)) => vector(ONLY_ON_IT);
        gumbel:
            spread(random::gumbel(&[10_000], Float32, &a_key())) => v([0.6, 1.3]), // Euler's constant, π / √6
            depends_on_its_key(|key| random::gumbel(&[3], Float32, key)) => vector(ONLY_ON_IT);
        randint:
            statistics(random::randint(&scalar(0), &scalar(10), &[10_000], Int32, &a_key())) =>
                v([4.5, 2.9, 0.0, 9.0]),
            depends_on_its_key(|key| random::randint(&scalar(0), &scalar(1000), &[3], UInt32, key)) =>
                vector(ONLY_ON_IT);
        bernoulli: spread(random::bernoulli(&scalar(0.2_f32), &[10_000], &a_key())) => v([0.2, 0.4]),
            depends_on_its_key(|key| random::bernoulli(&scalar(0.5_f32), &[64], key)) => vector(ONLY_ON_IT);
        categorical:
            statistics(random::categorical(&v([0.0, f32::NEG_INFINITY, 0.0]), 0, 10_000, &a_key())) =>
                v([1.0, 1.0, 0.0, 2.0]),
            random::categorical(&floats(&[2, 2, 1], [0.0, -1e9, -1e9, 0.0]), 1, 3, &a_key()) =>
                vector([0_u32, 0, 0, 1, 1, 1]).reshape(&[2, 1, 3]),
            depends_on_its_key(|key| random::categorical(&Mlx::zeros(&[100], Float32)?, 0, 5, key)) =>
                vector(ONLY_ON_IT);
        permutation: random::permutation(&v([1.0, 2.0, 3.0]), 0, &a_key())?.sort(0) => v([1.0, 2.0, 3.0]),
            random::permutation(&matrix(), 1, &a_key())?.sum(&[1], false) => v([3.0, 7.0]),
            depends_on_its_key(|key| random::permutation(&mlx::arange(0.0, 50.0, 1.0, Int32)?, 0, key)) =>
                vector(ONLY_ON_IT);
    }

    mod fft {
        fft:
            fft::fft(&v([1.0, 2.0, 3.0, 4.0]), None, 0, FftNorm::Backward) => vector([Complex32::new(10.0, 0.0), Complex32::new(-2.0, 2.0), Complex32::new(-2.0, -0.0), Complex32::new(-2.0, -2.0)]),
            fft::fft(&v([1.0, 2.0, 3.0]), Some(2), 0, FftNorm::Ortho)?.real() => v([2.121_320_3, -0.707_106_8]),
            fft::fft(&v([1.0, 2.0]), Some(4), 0, FftNorm::Forward)?.imag() => v([0.0, -0.5, 0.0, 0.5]);
        ifft: fft::ifft(&vector([Complex32::new(10.0, 0.0), Complex32::new(-2.0, 2.0), Complex32::new(-2.0, -0.0), Complex32::new(-2.0, -2.0)]), None, 0, FftNorm::Backward)?.real() => v([1.0, 2.0, 3.0, 4.0]);
        rfft: fft::rfft(&v([1.0, 2.0, 3.0, 4.0]), None, 0, FftNorm::Backward) => vector([Complex32::new(10.0, 0.0), Complex32::new(-2.0, 2.0), Complex32::new(-2.0, -0.0)]);
        irfft:
            fft::irfft(&vector([Complex32::new(10.0, 0.0), Complex32::new(-2.0, 2.0), Complex32::new(-2.0, -0.0)]), None, 0, FftNorm::Backward) => v([1.0, 2.0, 3.0, 4.0]),
            fft::irfft(&fft::rfft(&v([1.0, 2.0, 3.0]), None, 0, FftNorm::Ortho)?, Some(3), 0, FftNorm::Ortho) => v([1.0, 2.0, 3.0]);
        fft2: fft::fft2(&matrix(), None, &[0, 1], FftNorm::Backward)?.real() => floats(&[2, 2], [10.0, -2.0, -4.0, 0.0]);
        ifft2: fft::ifft2(&floats(&[2, 2], [10.0, -2.0, -4.0, 0.0]), None, &[0, 1], FftNorm::Backward)?.real() => matrix();
        rfft2: fft::rfft2(&matrix(), None, &[0, 1], FftNorm::Backward)?.real() => floats(&[2, 2], [10.0, -2.0, -4.0, 0.0]);
        irfft2: fft::irfft2(&floats(&[2, 2], [10.0, -2.0, -4.0, 0.0]), None, &[0, 1], FftNorm::Backward) => matrix();
        fftn: fft::fftn(&matrix(), None, &[1], FftNorm::Backward)?.real() => floats(&[2, 2], [3.0, -1.0, 7.0, -1.0]);
        ifftn: fft::ifftn(&floats(&[2, 2], [3.0, -1.0, 7.0, -1.0]), None, &[-1], FftNorm::Backward)?.real() => matrix();
        rfftn: fft::rfftn(&matrix(), Some(&[4]), &[0], FftNorm::Backward)?.real() => floats(&[3, 2], [4.0, 6.0, 1.0, 2.0, -2.0, -2.0]);
        irfftn: fft::irfftn(&fft::rfftn(&matrix(), None, &[0, 1], FftNorm::Backward)?, Some(&[2, 2]), &[0, 1], FftNorm::Backward) => matrix();
        fftfreq: fft::fftfreq(5, 0.1) => v([0.0, 2.0, 4.0, -4.0, -2.0]);
        rfftfreq: fft::rfftfreq(5, 0.1) => v([0.0, 2.0, 4.0]);
        fftshift: fft::fftshift(&vector([0, 1, 2, -2, -1]), &[0]) => vector([-2, -1, 0, 1, 2]);
        ifftshift: fft::ifftshift(&vector([-2, -1, 0, 1, 2]), &[-1]) => vector([0, 1, 2, -2, -1]);
    }

    mod linalg {
        norm:
            linalg::norm(&v([3.0, 4.0]), &[0], false) => scalar(5.0_f32),
            linalg::norm(&floats(&[2, 2], [1.0, 1.0, 1.0, 1.0]), &[0, 1], true) => floats(&[1, 1], [2.0]);
        qr:
            {
                let (q, r) = linalg::qr(&matrix())?;
                same(q.swapaxes(0, 1)?.matmul(&q), unit());
                same(r.tril(-1), floats(&[2, 2], [0.0; 4]));
                q.matmul(&r)
            } => matrix();
        svd:
            {
                let (u, s, vt) = linalg::svd(&matrix())?;
                same(s.clone(), v([5.464_986, 0.365_966]));
                u.multiply(&s)?.matmul(&vt)
            } => matrix();
        inv: linalg::inv(&matrix()) => floats(&[2, 2], [-2.0, 1.0, 1.5, -0.5]);
        pinv: linalg::pinv(&floats(&[2, 1], [3.0, 4.0])) => floats(&[1, 2], [0.12, 0.16]);
        tri_inv:
            linalg::tri_inv(&floats(&[2, 2], [2.0, 0.0, 1.0, 4.0]), Triangle::Lower) =>
                floats(&[2, 2], [0.5, 0.0, -0.125, 0.25]);
        cholesky:
            linalg::cholesky(&definite(), Triangle::Lower) => floats(&[2, 2], [2.0, 0.0, 1.0, 1.414_213_5]),
            linalg::cholesky(&definite(), Triangle::Upper) => floats(&[2, 2], [2.0, 1.0, 0.0, 1.414_213_5]);
        cholesky_inv:
            linalg::cholesky_inv(&linalg::cholesky(&definite(), Triangle::Lower)?, Triangle::Lower)?.matmul(&definite()) => unit();
        eig:
            {
                let (values, vectors) = linalg::eig(&definite())?;
                same(values.real()?.sort(0), v([1.438_447, 5.561_553]));
                let found = definite().astype(Dtype::Complex64)?.matmul(&vectors)?.subtract(&vectors.multiply(&values)?)?;
                found.abs()?.less(1e-5)?.all(&[0, 1], false)
            } => scalar(true);
        eigvals:
            // A rotation by a right angle.
            linalg::eigvals(&floats(&[2, 2], [0.0, -1.0, 1.0, 0.0]))?.imag()?.sort(0) => v([-1.0, 1.0]);
        lu_factor: linalg::lu_factor(&matrix()) => (floats(&[2, 2], [3.0, 4.0, 0.333_333_3, 0.666_666_7]), vector([1_u32, 1]));
        lu:
            {
                let (rows, l, u) = linalg::lu(&matrix())?;
                same(rows, vector([1_u32, 0]));
                same(l.clone(), floats(&[2, 2], [1.0, 0.0, 0.333_333_3, 1.0]));
                l.matmul(&u)
            } => floats(&[2, 2], [3.0, 4.0, 1.0, 2.0]);
        det: linalg::det(&matrix()) => scalar(-2.0_f32);
        slogdet: linalg::slogdet(&matrix()) => [scalar(-1.0_f32), scalar(0.693_147_2_f32)];
        solve: linalg::solve(&matrix(), &v([5.0, 11.0])) => v([1.0, 2.0]);
        solve_triangular:
            linalg::solve_triangular(&floats(&[2, 2], [2.0, 1.0, 0.0, 4.0]), &floats(&[2, 1], [4.0, 8.0]), Triangle::Upper) =>
                floats(&[2, 1], [1.0, 2.0]);
        eigh:
            {
                let (values, vectors) = linalg::eigh(&definite())?;
                same(values.clone(), v([1.438_447, 5.561_553]));
                vectors.multiply(&values)?.matmul(&vectors.swapaxes(0, 1)?)
            } => definite();
        eigvalsh: linalg::eigvalsh(&definite()) => v([1.438_447, 5.561_553]);
        cross: linalg::cross(&v([1.0, 0.0, 0.0]), &v([0.0, 1.0, 0.0]), 0) => v([0.0, 0.0, 1.0]);
    }

    mod fast {
        rms_norm:
            fast::rms_norm(&floats(&[1, 2], [3.0, 4.0]), Some(&v([1.0, 2.0])), 0.0) =>
                floats(&[1, 2], [0.848_528, 2.262_742]),
            fast::rms_norm(&matrix(), None, 1e-5) =>
                matrix().multiply(&matrix().square()?.mean(&[-1], true)?.add(&scalar(1e-5_f32))?.rsqrt()?);
        layer_norm:
            fast::layer_norm(&floats(&[1, 2], [1.0, 3.0]), Some(&v([1.0, 2.0])), Some(&v([0.0, 1.0])), 0.0) =>
                floats(&[1, 2], [-1.0, 3.0]),
            fast::layer_norm(&matrix(), None, None, 1e-5) =>
                matrix().layer_norm(&v([1.0, 1.0]), &v([0.0, 0.0]), 1e-5);
        rope:
            fast::rope(&floats(&[1, 1, 1, 2], [1.0, 0.0]), 2, true, Some(10_000.0), 1.0, 1, None) =>
                floats(&[1, 1, 1, 2], [0.540_302, 0.841_471]),
            // Halves instead of neighbours, two positions, given frequencies: the angle is position / freqs.
            fast::rope(&floats(&[1, 1, 2, 2], [1.0, 0.0, 1.0, 0.0]), 2, false, None, 1.0, 0, Some(&v([0.5]))) =>
                floats(&[1, 1, 2, 2], [1.0, 0.0, -0.416_147, 0.909_297]);
        scaled_dot_product_attention:
            attention([0.0, 0.0], 1.0, None) => heads([2.0, 2.0]),
            attention([1.0, 2.0], 1.0, Some(&vector([true, false, false, true]).reshape(&[2, 2])?)) =>
                heads([1.0, 3.0]),
            attention([1.0, 2.0], 0.5, None) =>
                heads([1.0, 2.0]).matmul(&transposed(&heads([0.5, 1.0]))?)?.softmax(-1)?.matmul(&heads([1.0, 3.0]));
        causal_attention:
            fast::causal_attention(&heads([0.0, 0.0]), &heads([1.0, 2.0]), &heads([1.0, 3.0]), 1.0) =>
                heads([1.0, 2.0]);
        cross_entropy:
            fast::cross_entropy(&floats(&[2, 2], [1.0, 2.0, 3.0, 4.0]), &vector([0_u32, 1])) =>
                v([1.313_262, 0.313_262]);
    }
}

/// Returns an image of two rows.
fn square() -> Mlx {
    floats(&[1, 2, 2, 1], [1.0, 2.0, 3.0, 4.0])
}

fn kernel() -> Mlx {
    floats(&[1, 2, 2, 1], [1.0, 10.0, 100.0, 1000.0])
}

fn two_rows() -> Mlx {
    floats(&[2, 1, 2], [1.0, 2.0, 3.0, 4.0])
}

fn two_columns() -> Mlx {
    floats(&[2, 2, 1], [1.0, 10.0, 100.0, 1000.0])
}

/// Returns keys or values of one head, two positions and one feature.
fn heads(elements: [f32; 2]) -> Mlx {
    floats(&[1, 1, 2, 1], elements)
}

/// Returns the attention for keys 1 and 2 with values 1 and 3.
fn attention(queries: [f32; 2], scale: f32, mask: Option<&Mlx>) -> Result<Mlx> {
    fast::scaled_dot_product_attention(&heads(queries), &heads([1.0, 2.0]), &heads([1.0, 3.0]), scale, mask)
}
