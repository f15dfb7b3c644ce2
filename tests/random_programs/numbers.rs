//! Numbers with infinitesimal parts, in float64: polynomials in tags of which each squares to zero.
//!
//! A transform that differentiates adds a unique tag to each element of its primals. The factor of that tag in a result
//! is the derivative of the result by the element; where transforms nest, products of tags carry the mixed derivatives. The
//! product of two tags of one transform is zero too: a transform takes one derivative.
//!
//! Each coefficient has an estimate of the rounding error that a backend makes in computing it.

/// The tags that are multiplied in a term. Byte `n` is for the transform that is the `n`th of those around: 0 is none of its
/// tags, and `i + 1` is its tag `i`.
type Tags = u64;

/// The largest depth of nested transforms that differentiate.
pub const LEVELS: usize = 8;

/// The largest number of tags of a transform.
pub const TAGS: usize = 255;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Term {
    tags: Tags,
    value: f64,
    error: f64,
}

/// A polynomial in tags.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    /// Sorted by tags, so the first is the term without: the value.
    terms: Vec<Term>,
}

/// Marks each byte that is not zero.
const fn nonzero_bytes(tags: Tags) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    (((tags & LOW) + LOW) | tags) & !LOW
}

/// Where the byte of a transform begins.
const fn byte(level: usize) -> usize {
    assert!(level < LEVELS, "transforms nest too deep");
    8 * level
}

const fn tag(level: usize, index: usize) -> Tags {
    assert!(index < TAGS, "a transform has too many primals");
    (index as u64 + 1) << byte(level)
}

const fn has_level(tags: Tags, level: usize) -> bool {
    (tags >> byte(level)) & 0xff != 0
}

impl Number {
    /// A constant without rounding error.
    pub fn exact(value: f64) -> Self {
        Self::with_error(value, 0.0)
    }

    fn with_error(value: f64, error: f64) -> Self {
        Self { terms: vec![Term { tags: 0, value, error }] }
    }

    /// Adds up terms of equal tags.
    fn collect(mut terms: Vec<Term>) -> Self {
        terms.push(Term { tags: 0, value: 0.0, error: 0.0 });
        terms.sort_unstable_by_key(|term| term.tags);
        terms.dedup_by(|next, sum| {
            let same = next.tags == sum.tags;
            if same {
                sum.value += next.value;
                sum.error += next.error;
            }
            same
        });
        terms.retain(|term| term.tags == 0 || term.value != 0.0 || term.error != 0.0);
        Self { terms }
    }

    pub fn value(&self) -> f64 {
        self.terms[0].value
    }

    pub fn error(&self) -> f64 {
        self.terms[0].error
    }

    pub fn is_constant(&self) -> bool {
        self.terms.len() == 1
    }

    pub fn is_exact(&self) -> bool {
        self.error() == 0.0
    }

    /// The largest magnitude among the coefficients.
    pub fn magnitude(&self) -> f64 {
        self.terms.iter().map(|term| term.value.abs()).fold(0.0, f64::max)
    }

    pub fn is_finite(&self) -> bool {
        self.terms.iter().all(|term| term.value.is_finite() && term.error.is_finite())
    }

    /// The transforms whose tags it has, the outermost first.
    pub fn levels(&self) -> impl Iterator<Item = usize> {
        (0..LEVELS).filter(|level| self.terms.iter().any(|term| has_level(term.tags, *level)))
    }

    /// The same number, known no better than both.
    pub fn with_error_of(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        sum.terms[0].error += other.error();
        sum
    }

    // Tags

    /// The value alone.
    pub fn constant(&self) -> Self {
        Self { terms: vec![self.terms[0]] }
    }

    /// Adds a tag of a transform.
    pub fn with_tag(&self, level: usize, index: usize) -> Self {
        self.with_tangent(level, index, &Self::exact(1.0))
    }

    /// Adds a tag of a transform, multiplied by `tangent`.
    pub fn with_tangent(&self, level: usize, index: usize, tangent: &Self) -> Self {
        let tag = tag(level, index);
        let tagged = tangent.terms.iter().map(|term| Term { tags: term.tags | tag, ..*term });
        Self::collect(self.terms.iter().copied().chain(tagged).collect())
    }

    /// Returns the factor of a tag of a transform.
    pub fn coefficient(&self, level: usize, index: usize) -> Self {
        let tag = tag(level, index);
        let of_tag = self.terms.iter().filter(|term| (term.tags >> byte(level)) & 0xff == tag >> byte(level));
        Self::collect(of_tag.map(|term| Term { tags: term.tags ^ tag, ..*term }).collect())
    }

    /// The terms without tags of a transform.
    pub fn without_level(&self, level: usize) -> Self {
        let mut terms = self.terms.clone();
        terms.retain(|term| !has_level(term.tags, level));
        Self { terms }
    }

    /// The terms with tags of a transform.
    pub fn only_level(&self, level: usize) -> Self {
        Self::collect(self.terms.iter().filter(|term| has_level(term.tags, level)).copied().collect())
    }

    // Arithmetic

    pub fn add(&self, other: &Self) -> Self {
        Self::collect([&self.terms[..], &other.terms].concat())
    }

    pub fn subtract(&self, other: &Self) -> Self {
        self.add(&other.scale(-1.0))
    }

    /// Multiplies by a number without rounding error.
    pub fn scale(&self, factor: f64) -> Self {
        let scaled =
            |term: &Term| Term { tags: term.tags, value: factor * term.value, error: factor.abs() * term.error };
        Self { terms: self.terms.iter().map(scaled).collect() }
    }

    pub fn multiply(&self, other: &Self) -> Self {
        let mut terms = Vec::with_capacity(self.terms.len() * other.terms.len());
        for x in &self.terms {
            for y in &other.terms {
                if nonzero_bytes(x.tags) & nonzero_bytes(y.tags) == 0 {
                    let error = x.value.abs() * y.error + x.error * y.value.abs() + x.error * y.error;
                    terms.push(Term { tags: x.tags | y.tags, value: x.value * y.value, error });
                }
            }
        }
        Self::collect(terms)
    }

    /// Adds the error of rounding each coefficient once, where one unit in the last place of 1 is `unit`.
    pub fn rounded(mut self, unit: f64) -> Self {
        for term in &mut self.terms {
            term.error += unit * term.value.abs().max(1.0);
        }
        self
    }

    /// Adds the error of rounding each coefficient of a tag.
    pub fn with_rounded_derivatives(self, unit: f64) -> Self {
        let value = self.terms[0];
        let mut rounded = self.rounded(unit);
        rounded.terms[0] = value;
        rounded
    }

    /// Applies a function whose Taylor series at a value is `series(value, order)`, up to that order. Its derivatives are
    /// computed with the error of [`Number::rounded`].
    pub fn compose(&self, unit: f64, series: impl FnOnce(f64, usize) -> Vec<f64>) -> Self {
        let used = self.terms.iter().fold(0, |used, term| used | nonzero_bytes(term.tags));
        let order = used.count_ones() as usize;
        // One more, since the error of a coefficient is that of the value times the next one.
        let series = series(self.value(), order + 1);
        let coefficient = |k: usize| {
            #[allow(clippy::cast_precision_loss, reason = "at most the number of levels")]
            let slope = series[k + 1].abs() * (k + 1) as f64;
            Self::with_error(series[k], slope * self.error()).rounded(unit)
        };
        let infinitesimal = Self::collect(self.terms[1..].to_vec());
        (0..order).rev().fold(coefficient(order), |sum, k| sum.multiply(&infinitesimal).add(&coefficient(k)))
    }
}

/// Taylor series: the coefficients of `t⁰` to `t^order` of `f(x + t)`.
#[allow(clippy::cast_precision_loss, reason = "the orders are small")]
pub mod series {
    use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, FRAC_PI_2, TAU};

    /// Solves `y′ = f(y)` where `next` gives coefficient `k` of `f(y)` from the coefficients `0..=k` of `y`.
    fn solve(start: f64, order: usize, next: impl Fn(&[f64], usize) -> f64) -> Vec<f64> {
        let mut series = vec![start];
        for k in 0..order {
            series.push(next(&series, k) / (k + 1) as f64);
        }
        series
    }

    /// Coefficient `k` of `y²`.
    fn square_of(y: &[f64], k: usize) -> f64 {
        (0..=k).map(|i| y[i] * y[k - i]).sum()
    }

    pub fn exp(x: f64, order: usize) -> Vec<f64> {
        solve(x.exp(), order, |y, k| y[k])
    }

    pub fn log(x: f64, order: usize) -> Vec<f64> {
        let slope = reciprocal(x, order);
        solve(x.ln(), order, |_, k| slope[k])
    }

    pub fn reciprocal(x: f64, order: usize) -> Vec<f64> {
        (0..=order).map(|k| (-1.0_f64).powi(i32::try_from(k).unwrap_or(0)) / x.powf(k as f64 + 1.0)).collect()
    }

    pub fn sqrt(x: f64, order: usize) -> Vec<f64> {
        let mut series = vec![x.sqrt()];
        for k in 0..order {
            series.push(series[k] * (0.5 - k as f64) / ((k + 1) as f64 * x));
        }
        series
    }

    pub fn sin(x: f64, order: usize) -> Vec<f64> {
        let cycle = [x.sin(), x.cos(), -x.sin(), -x.cos()];
        (0..=order).map(|k| cycle[k % 4] / (1..=k).map(|i| i as f64).product::<f64>()).collect()
    }

    pub fn cos(x: f64, order: usize) -> Vec<f64> {
        sin(x + FRAC_PI_2, order)
    }

    pub fn tanh(x: f64, order: usize) -> Vec<f64> {
        solve(x.tanh(), order, |y, k| f64::from(u8::from(k == 0)) - square_of(y, k))
    }

    pub fn sigmoid(x: f64, order: usize) -> Vec<f64> {
        solve(1.0 / (1.0 + (-x).exp()), order, |y, k| y[k] - square_of(y, k))
    }

    /// `exp(-scale · x²)`, whose derivative is `-2 · scale · x` times itself.
    fn gaussian(scale: f64, x: f64, order: usize) -> Vec<f64> {
        solve((-scale * x * x).exp(), order, |y, k| {
            let before = if k == 0 { 0.0 } else { y[k - 1] };
            -2.0 * scale * (x * y[k] + before)
        })
    }

    /// `2/√π · exp(-x²) · Σ 2ⁿ x²ⁿ⁺¹ / (1 · 3 · … · (2n + 1))`: all terms have one sign.
    fn erf_of(x: f64) -> f64 {
        if x.abs() > 6.0 {
            return x.signum();
        }
        let mut term = x;
        let mut sum = 0.0_f64;
        let mut n = 0.0;
        while term.abs() > 1e-18 * sum.abs() {
            sum += term;
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
        }
        FRAC_2_SQRT_PI * (-x * x).exp() * sum
    }

    pub fn erf(x: f64, order: usize) -> Vec<f64> {
        let slope = gaussian(1.0, x, order);
        solve(erf_of(x), order, |_, k| FRAC_2_SQRT_PI * slope[k])
    }

    /// `x · Φ(x)`, where the derivative of Φ is the normal density.
    pub fn gelu(x: f64, order: usize) -> Vec<f64> {
        let density = gaussian(0.5, x, order);
        let share = f64::midpoint(1.0, erf_of(x * FRAC_1_SQRT_2));
        let phi = solve(share, order, |_, k| density[k] / TAU.sqrt());
        (0..=order).map(|k| x * phi[k] + if k == 0 { 0.0 } else { phi[k - 1] }).collect()
    }
}
