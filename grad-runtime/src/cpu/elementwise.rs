//! Functions of a float32 that the compiler vectorizes: they have no branches, tables or calls, and need no instruction
//! beyond baseline x86-64.
//!
//! The coefficients are those of Chebyshev interpolants, `cheb2poly(chebinterpolate(f, degree))` of
//! `numpy.polynomial.chebyshev` in float64, shifted from [-1, 1] to the interval given, and rounded to float32. The error
//! functions `f` were those of `scipy.special`. The approximation errors were measured against float64; the tests assert
//! them.
#![allow(clippy::inline_always, reason = "loops are compiled for several instruction sets, as rows.rs says")]

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// `erf(√t) / √t` for t in [0, 1].
#[allow(clippy::approx_constant, reason = "it is not quite 2 / √π, which keeps the error at 1 small")]
const ERF_NEAR: [f32; 6] =
    [1.128_379_1, -0.376_123_43, 0.112_803_17, -0.026_715_055, 0.004_921_762, -0.000_564_806];

/// The fourth root of `1 - erf(x)` for x in [1, 4]: it needs half the degree of `erf` for the same precision.
const ERFC_FAR: [f32; 11] = [
    0.998_328_75,
    -0.272_516_7,
    -0.143_801_69,
    0.052_073_81,
    -0.017_120_14,
    0.022_582_607,
    -0.012_900_62,
    0.003_646_238_2,
    -0.000_568_593_5,
    4.750_130_8e-5,
    -1.677_247_4e-6,
];

/// `(exp(r) - 1 - r) / r²` for r in [-ln 2 / 2, ln 2 / 2].
const EXP: [f32; 5] = [0.5, 0.166_665_78, 0.041_666_556, 0.008_363_173, 0.001_392_617_6];

/// `(ln(1 + r) - r + r² / 2) / r³` for r in [√½ - 1, √2 - 1].
const LN: [f32; 9] = [
    0.333_333_3,
    -0.249_999_97,
    0.200_007_16,
    -0.166_678_03,
    0.142_490_58,
    -0.124_256_87,
    0.116_854_2,
    -0.114_797_34,
    0.069_716_12,
];

/// `erfinv(x) / x` as a function of `-ln(1 - x²) - 2.5`, for that in [-2.5, 2.5].
const ERFINV_NEAR: [f32; 10] = [
    1.501_409_4,
    0.246_640_28,
    -0.004_177_393,
    -0.001_252_726_4,
    0.000_218_349_39,
    -4.972_42e-6,
    -3.463_985_2e-6,
    4.681_313_6e-7,
    2.333_596_8e-8,
    -8.931_926e-9,
];

/// `erfinv(x) / x` as a function of `√(-ln(1 - x²)) - 3`, for that in [√5 - 3, 1].
const ERFINV_FAR: [f32; 9] = [
    2.832_977,
    1.001_674_7,
    0.009_437_25,
    -0.007_629_365_7,
    0.005_751_115_7,
    -0.003_650_71,
    0.001_320_366_2,
    7.973_404e-5,
    -0.000_176_285_93,
];

/// ln 2 in two parts: multiples of the first by an exponent are exact.
const LN_2: [f32; 2] = [0.693_359_4, -0.000_212_194_44];

#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    coefficients.iter().rev().copied().reduce(|sum, coefficient| sum * x + coefficient).unwrap_or_default()
}

/// Computes the error function, with an absolute error of at most 1.4e-7 and a relative one of at most 1.8e-7.
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    let size = x.abs();
    let near = x * polynomial(&ERF_NEAR, x * x);
    // In float32 the function is 1 from 3.92 on. A comparison, since `min` costs more to handle NaN.
    let root = polynomial(&ERFC_FAR, if size < 4.0 { size } else { 4.0 });
    let square = root * root;
    let far = (1.0 - square * square).copysign(x);
    // NaN compares false, so it takes the near branch and stays NaN.
    if size >= 1.0 { far } else { near }
}

/// Computes `x · Φ(x)`, where Φ is the distribution function of the normal distribution.
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    (erf(x * FRAC_1_SQRT_2) + 1.0) * 0.5 * x
}

/// Computes `exp(x)` for `x` of at most zero, with an error of at most 1.1 units in the last place. A result below the normal
/// numbers is zero.
#[inline(always)]
pub(super) fn exp_nonpositive(x: f32) -> f32 {
    /// Adding it to a small number leaves the rounded integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³
    /// The logarithm of the smallest normal number, 2⁻¹²⁶.
    const LOG_SMALLEST: f32 = -87.336_54;

    // exp(x) = 2ⁿ · exp(r)
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    let exp = (1.0 + (r + r * r * polynomial(&EXP, r))) * power;
    if x < LOG_SMALLEST { 0.0 } else { exp }
}

/// Computes `ln(x)` for `x` of zero, normal or infinite, with an error of at most 1 unit in the last place.
#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "an exponent")]
pub(super) fn ln(x: f32) -> f32 {
    // x = 2ⁿ · (1 + r)
    let n = x.to_bits().wrapping_sub(FRAC_1_SQRT_2.to_bits()).cast_signed() >> 23;
    let r = f32::from_bits(x.to_bits().wrapping_sub(n.cast_unsigned() << 23)) - 1.0;
    let n = n as f32;
    let ln = r * r * (r * polynomial(&LN, r) - 0.5) + n * LN_2[1] + r + n * LN_2[0];
    let ln = if x == f32::INFINITY { x } else { ln };
    if x == 0.0 { f32::NEG_INFINITY } else { ln }
}

/// Computes `ln(1 + x)` for `x` from -1 to 1, with a relative error of at most 3 units in the last place.
#[inline(always)]
pub(super) fn ln_1p(x: f32) -> f32 {
    // The quotient corrects for the rounding of the sum.
    let sum = 1.0 + x;
    let rounded = sum - 1.0;
    if rounded == 0.0 { x } else { ln(sum) * (x / rounded) }
}

/// Computes the inverse error function for `x` from -1 to 1, with an error of at most 3 units in the last place.
#[inline(always)]
pub(super) fn erfinv(x: f32) -> f32 {
    let size = x.abs();
    // 1 - x², whose factors lose nothing where x is near 1.
    let w = -ln((1.0 - size) * (1.0 + size));
    let near = polynomial(&ERFINV_NEAR, w - 2.5);
    let far = polynomial(&ERFINV_FAR, w.sqrt() - 3.0);
    let erfinv = x * if w < 5.0 { near } else { far };
    if size >= 1.0 { f32::INFINITY.copysign(x) } else { erfinv }
}
