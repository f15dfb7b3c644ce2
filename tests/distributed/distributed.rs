//! Processes that compute together, over MLX's ring on this machine.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "ranks and the numbers made of them are small"
)]
#![allow(clippy::float_cmp, reason = "the values are exact")]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "a slice of arrays is what a user writes")]

mod agreement;
mod collectives;
mod failures;
mod gradients;
mod training;

use grad_runtime::mlx::distributed::{self, Backend, Group};
use grad_runtime::{Error, Result};
use support::rings::Outcome;

/// Joins the ring.
#[track_caller]
fn join() -> Group {
    distributed::init(true, Backend::Ring).unwrap()
}

#[track_caller]
fn assert_all_succeed(outcomes: &[Outcome]) {
    for outcome in outcomes {
        assert!(outcome.status.success(), "{}\n{}\n{}", outcome.status, outcome.output, outcome.errors);
    }
}

/// Returns the kind and the text of an error of [`distributed`].
#[track_caller]
fn failure<T: std::fmt::Debug>(result: Result<T>) -> (distributed::ErrorKind, String) {
    match result.unwrap_err() {
        error @ Error::Distributed { kind, .. } => (kind, error.to_string()),
        other => panic!("{other}"),
    }
}
