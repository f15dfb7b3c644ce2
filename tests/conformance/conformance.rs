//! Programs over the `Array` trait, each run as one test on MLX and one on the CPU fallback.
//!
//! [`shared_operations`] lists every operation of the trait, [`scoped_programs`] combines scopes and transforms. With feature `mlx`
//! the tests fail where MLX cannot be loaded. They are never skipped.
#![cfg(any(feature = "cpu", feature = "mlx"))]
#![allow(clippy::float_cmp, reason = "small whole numbers are exact")]

mod boxed_layers;
mod checkpoints;
mod display;
mod dtypes;
#[cfg(all(feature = "cpu", feature = "mlx"))]
mod dtypes_and_shapes;
mod error_messages;
mod explanations;
mod half_precision;
mod invalid_operands;
mod long_graphs;
mod nondifferentiable;
mod operators;
mod params;
mod planted_cuts;
mod public_reports;
mod random_numbers;
mod roles;
mod safetensors;
mod scoped_programs;
mod shared_operations;
mod sharing;

use support::on_every_backend;
