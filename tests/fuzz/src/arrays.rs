//! Random array programs, with scopes and transforms, against the reference in float64.

use grad_runtime::{cpu, mlx};
use support::random::Random;

use crate::check::{self, Verdict};
use crate::generate;
use crate::reference::Mistake;
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

/// Returns the mistakes in the reference that none of `programs` shows on the CPU fallback, of those that a program can show there.
#[must_use]
pub fn unnoticed_mistakes(programs: &[Vec<u8>]) -> Vec<String> {
    unnoticed::<cpu::Array>(programs)
}

/// Returns the mistakes that none of `programs` shows on MLX, as [`unnoticed_mistakes`].
#[must_use]
pub fn mlx_unnoticed_mistakes(programs: &[Vec<u8>]) -> Vec<String> {
    unnoticed::<mlx::Array>(programs)
}

fn unnoticed<A: Transforms>(programs: &[Vec<u8>]) -> Vec<String> {
    let shows = |mistake, bytes: &[u8]| {
        let program = generate::program(&Random::from_choices(bytes), A::ENGINE);
        matches!(check::check::<A>(&program, Some(mistake)), Verdict::Differs(_))
    };
    let of_engine = Mistake::ALL.into_iter().filter(|mistake| mistake.shows_on(A::ENGINE));
    let unnoticed = of_engine.filter(|mistake| !programs.iter().any(|bytes| shows(*mistake, bytes)));
    unnoticed.map(|mistake| format!("{mistake:?}")).collect()
}
