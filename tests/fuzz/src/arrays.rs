//! Random array programs, with scopes and transforms, against the reference in float64.

use grad_runtime::{cpu, mlx};
use support::random::Random;

use crate::check::{self, Verdict};
use crate::generate;
use crate::run::Transforms;

/// Runs the program that `bytes` spell on the CPU fallback.
///
/// # Panics
///
/// If it differs from the reference. The message has the smallest program found that does.
pub fn arrays(bytes: &[u8]) {
    agrees::<cpu::Array>(bytes);
}

/// Runs the program that `bytes` spell on MLX, as [`arrays`].
///
/// # Panics
///
/// If it differs from the reference.
pub fn mlx_arrays(bytes: &[u8]) {
    agrees::<mlx::Array>(bytes);
}

fn agrees<A: Transforms>(bytes: &[u8]) {
    let program = generate::program(&Random::from_choices(bytes), A::ENGINE);
    if let Verdict::Differs(difference) = check::check::<A>(&program, None) {
        panic!("{}", check::explained::<A>(program, &difference));
    }
}
