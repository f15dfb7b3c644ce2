//! Random programs on every backend, against an independent reference.
//!
//! A program is made of the operations that backends share, every form of scope, reads in the middle, functions that fail, and
//! transforms inside each other, on one thread or several. What it must compute is worked out from the guarantees alone, by an
//! interpreter in float64 that has no graph and no tape: see [`reference`]. Programs that rounding would decide are passed over.
//! A program that a backend gets wrong is shrunk, and printed with the seed that makes it.
//!
//! `GRAD_RANDOM_PROGRAMS=100000` runs as many on both backends together, `GRAD_RANDOM_SEED=7` begins with another seed,
//! and `GRAD_RANDOM_SHOW=1` prints each program before it runs, for one that ends the process.

mod census;
mod check;
mod finite_differences;
mod generate;
mod mode_model;
mod numbers;
mod program;
mod reference;
mod reference_tensors;
mod run;
mod shrink;

use std::env;
use std::fmt::Display;
use std::str::FromStr;

use check::{Verdict, check};
use program::Program;
use reference::Mistake;
use run::Transforms;
use support::random::Random;

/// The number of programs that a run of the tests checks, on both backends together.
const PROGRAMS: u64 = 2000;
/// The percentage of these that is for MLX, which has more transforms.
const FOR_MLX: u64 = 75;

/// Reads a number from the environment.
fn setting(name: &str, otherwise: u64) -> u64 {
    fn parse<T: FromStr<Err: Display>>(name: &str, text: &str) -> T {
        text.parse().unwrap_or_else(|error| panic!("{name} is {text:?}: {error}"))
    }
    env::var(name).map_or(otherwise, |text| parse(name, &text))
}

/// Checks programs one after the other, from a seed on, until `programs` of them were run. Returns the first that differs.
fn first_difference<A: Transforms>(programs: u64, mistake: Option<Mistake>) -> Option<(u64, Program, String)> {
    let first = setting("GRAD_RANDOM_SEED", 0);
    let (mut run, mut seed) = (0, first);
    while run < programs {
        let program = generate::program(&Random::new(seed), A::ENGINE);
        if env::var_os("GRAD_RANDOM_SHOW").is_some() {
            eprintln!("seed {seed}:\n{program}");
        }
        match check::<A>(&program, mistake) {
            Verdict::Agrees => run += 1,
            Verdict::Differs(difference) => return Some((seed, program, difference)),
            Verdict::PassedOver(_) => {}
        }
        seed += 1;
    }
    None
}

/// Checks random programs, and shrinks the first that a backend gets wrong.
fn agree<A: Transforms>(percent: u64) {
    let programs = setting("GRAD_RANDOM_PROGRAMS", PROGRAMS) * percent / 100;
    let Some((seed, program, difference)) = first_difference::<A>(programs.max(1), None) else { return };
    panic!(
        "{}\nTo see it again: GRAD_RANDOM_SEED={seed} GRAD_RANDOM_PROGRAMS=1",
        check::explained::<A>(program, &difference)
    );
}

/// Checks that each mistake in the reference is noticed.
fn notice_mistakes<A: Transforms>(percent: u64) {
    for mistake in Mistake::ALL.into_iter().filter(|mistake| mistake.shows_on(A::ENGINE)) {
        let found = first_difference::<A>(PROGRAMS * percent / 100, Some(mistake));
        assert!(found.is_some(), "no program shows {mistake:?}");
    }
}

mod on_the_cpu {
    use grad_runtime::cpu::Array;

    use super::*;

    #[test]
    fn programs_agree_with_the_reference() {
        agree::<Array>(100 - FOR_MLX);
    }

    #[test]
    fn mistakes_in_the_reference_are_noticed() {
        notice_mistakes::<Array>(100 - FOR_MLX);
    }
}

mod on_mlx {
    use grad_runtime::mlx::Array;

    use super::*;

    #[test]
    fn programs_agree_with_the_reference() {
        agree::<Array>(FOR_MLX);
    }

    #[test]
    fn mistakes_in_the_reference_are_noticed() {
        notice_mistakes::<Array>(FOR_MLX);
    }
}
