//! The CPU fallback: arrays on candle's CPU kernels, where there is no MLX.
//!
//! candle stores the elements and computes the forward pass; its own autograd is never used. Gradients come from a
//! reverse-mode tape. Its vjps consist of the same operations, so gradients can be differentiated again, to any order.
//!
//! Names, broadcasting, dtype promotion and gradients at ties and kinks are those of MLX. These are the dtypes:
//!
//! | [`Dtype`](crate::Dtype) | dtype in candle | result with another dtype |
//! |---|---|---|
//! | `Bool` | `U8`, 0 or 1 | the other |
//! | `UInt8` | `U8` | the other; `Int16` and wider as they are |
//! | `Int16` | `I16` | `Int32` and wider as they are; `Int64` with `UInt32`; a float |
//! | `UInt32` | `U32` | `Int64` with a signed integer; a float |
//! | `Int32` | `I32` | `Int64` with `UInt32` or `Int64`; a float |
//! | `Int64` | `I64` | itself, or the float |
//! | `Float16` | `F16` | `Float32` with `BFloat16` or `Float32` |
//! | `BFloat16` | `BF16` | `Float32` with `Float16` or `Float32` |
//! | `Float32` | `F32` | `Float64` with that |
//! | `Float64` | `F64` | `Float64` |
//!
//! candle has no int8, uint16, uint64 and complex64: to make such an array is an error. [`Dtype::promote`](crate::Dtype::promote) has
//! the rules for all dtypes.
//!
//! Floating point functions (`exp`, `divide`, `mean`, `softmax`, …) convert integers and bools to `Float32`. Half precision
//! is computed in `Float32` and rounded once for each operation. Integers wrap around. An array has at most 8 axes.
//!
//! Large operations compute on rayon's pool. A thread outside the pool sleeps until they are done; small models run faster inside
//! `rayon::scope`, on a thread of the pool, which computes with the others. An allocator that keeps freed memory, such as mimalloc,
//! saves page faults. A thread of the pool that waits may run another job meanwhile, in the mode that it is in: give a job its own mode
//! with [`carry`](crate::carry()).
//!
//! ```
//! use grad_runtime::cpu::Array;
//!
//! let x = Array::from_slice(&[1.0_f32, 2.0, 3.0], &[3])?;
//! let gradients = Array::grad(|primals| primals[0].square()?.sum_all(), &[x])?;
//! assert_eq!(gradients[0].to_vec::<f32>()?, [2.0, 4.0, 6.0]);
//! # Ok::<(), grad_runtime::Error>(())
//! ```

mod array;
mod attention;
mod comparison;
mod creation;
mod elementwise;
mod generator;
mod indexing;
mod kernels;
mod operation;
mod products;
mod reductions;
mod rows;
mod shapes;
mod tape;
#[cfg(test)]
mod tests;

pub use array::Array;
