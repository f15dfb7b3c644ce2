//! The CPU fallback: the [`Array`](crate::Array) trait on candle's CPU kernels, where there is no MLX.
//!
//! candle stores the elements and computes forward; its own autograd is never used. Gradients come from a small
//! reverse-mode tape, whose vjps are made of the same operations and so differentiate again, to any order.
//!
//! Names, broadcasting, dtype promotion and gradients at ties and kinks are MLX's. An array holds one of
//!
//! | [`Dtype`](crate::Dtype) | candle's | with another one it becomes |
//! |---|---|---|
//! | `Bool` | `U8`, 0 or 1 | the other |
//! | `UInt32` | `U32` | the other; with `Int32` an error, for want of int64 |
//! | `Int32` | `I32` | the other, if that is a float |
//! | `Float16` | `F16` | `Float32` with `BFloat16` or `Float32` |
//! | `BFloat16` | `BF16` | `Float32` with `Float16` or `Float32` |
//! | `Float32` | `F32` | `Float32` |
//!
//! Functions of real numbers (`exp`, `divide`, `mean`, `softmax`, …) take integers and bools as `Float32`. Half
//! precision is rounded once for each operation, from `Float32`. Integers wrap around. An array has at most 8 axes.
//!
//! ```
//! use grad_runtime::{Array, cpu};
//!
//! let x = cpu::Array::from_slice(&[1.0_f32, 2.0, 3.0], &[3])?;
//! let gradients = cpu::Array::grad(|primals| primals[0].square()?.sum_all(), &[x])?;
//! assert_eq!(gradients[0].to_vec::<f32>()?, [2.0, 4.0, 6.0]);
//! # Ok::<(), grad_runtime::Error>(())
//! ```

mod array;
mod elementwise;
mod kernels;
mod shapes;
mod tape;
#[cfg(test)]
mod tests;

pub use array::Array;
