//! Training programs over the `Array` trait, each on MLX and on the CPU fallback, compared with PyTorch where they compute numbers.
//!
//! `reference.py` writes the numbers of PyTorch to `reference.json`.
#![cfg(any(feature = "cpu", feature = "mlx"))]

mod guarantees;
mod models;
mod optimizers;
mod programs;
mod reference;
mod service;
