//! Describes when MLX computes, what its lazy graphs and compiled functions cost, what `vmap` maps, and how threads share arrays.
//!
//! # Evaluate state that is updated in a loop
//!
//! MLX is lazy: an operation adds a node to a graph, and [`eval`](crate::mlx::eval()) or reading the elements computes it. A node
//! keeps its operands until it is computed. So an array that is updated from itself and never evaluated, such as an average of
//! weights or a counter, keeps every update since the start. A scope does not change that: it makes arrays constants for
//! transforms, and computes nothing. After 50,000 updates of one number by an exponential moving average the process holds, beyond
//! what it held before:
//!
//! | | in no scope | in `no_grad` |
//! | --- | --- | --- |
//! | never evaluated | 125.6 MB | 125.6 MB |
//! | evaluated after every 1000 updates | 3.0 MB | 3.0 MB |
//! | evaluated after each update | 0.0 MB | 0.0 MB |
//!
//! `cargo run -p grad-tests --bin mlx-lazy` prints these numbers on Linux. They were measured with MLX 0.32.4 on the CPU.
//!
//! Evaluate what a step leaves behind, once per step and all of it in one call:
//!
//! ```
//! use grad_runtime::mlx::{self, Array};
//! use grad_runtime::{Dtype, no_grad};
//!
//! let weights = [Array::ones(&[2, 2], Dtype::Float32)?, Array::ones(&[2], Dtype::Float32)?];
//! let mut averages = [Array::zeros(&[2, 2], Dtype::Float32)?, Array::zeros(&[2], Dtype::Float32)?];
//! for _ in 0..100 {
//!     no_grad! {
//!         for (average, weight) in averages.iter_mut().zip(&weights) {
//!             *average = ((&*average * 0.9)? + (weight * 0.1)?)?;
//!         }
//!     }
//!     mlx::eval(&averages)?; // Without it, the graphs of all 100 steps stay alive.
//! }
//! assert!((averages[1].to_vec::<f32>()?[0] - 1.0).abs() < 1e-3);
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! # The first call of a compiled function
//!
//! [`compile`](crate::mlx::compile()) does nothing by itself. A call with new shapes or dtypes, or in another grad mode, traces the
//! function: it runs the Rust code, and MLX simplifies and fuses the operations. On the CPU of Linux, MLX then builds each fused
//! kernel that it does not have yet with `g++`, and keeps it in the folder for temporary files. Where there is no `g++` it fuses
//! nothing, and the compiled function is as fast as the function itself.
//!
//! For a matrix product of 64 × 64 elements and four elementwise operations, with the evaluation of the result:
//!
//! | | time |
//! | --- | --- |
//! | the function itself | 0.12 ms |
//! | compiled, first call, with an empty folder for temporary files | 648 ms |
//! | compiled, first call, in a later process | 3.8 ms |
//! | compiled, first call with another shape, or in another mode | 0.15 to 0.37 ms |
//! | compiled, later calls | 0.08 ms |
//!
//! `TMPDIR=$(mktemp -d) cargo run --release -p grad-tests --bin mlx-first-call` prints these times, and without `TMPDIR` those of
//! a later process. They were measured on 2 cores of an x86-64 virtual machine and vary between runs by half.
//!
//! So compile a function once, keep it, and call it once before you measure or serve. A new `compile` of the same code is traced
//! again:
//!
//! ```
//! use grad_runtime::Dtype;
//! use grad_runtime::mlx::{self, Array};
//!
//! let step = mlx::compile(|x| Ok(vec![x[0].matmul(&x[1])?.tanh()?]));
//! let inputs = [Array::ones(&[4, 8], Dtype::Float32)?, Array::ones(&[8, 2], Dtype::Float32)?];
//! mlx::eval(&step.call(&inputs)?)?; // Traces the function and builds its kernels, for these shapes and in this mode.
//! let output = step.call(&inputs)?;
//! assert_eq!(output[0].shape(), [4, 2]);
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! # What `vmap` maps
//!
//! [`vmap`](crate::mlx::vmap) maps every operation, over each axis of each operand, and its derivatives; the result is that of calls
//! for each entry, stacked. MLX maps most operations at once. These are performed for each entry instead, so they are no faster than
//! in a loop: the matrix products by indices ([`gather_mm`](crate::mlx::Array::gather_mm) and
//! [`gather_qmm`](crate::mlx::Array::gather_qmm)), [`quantized_matmul`](crate::mlx::Array::quantized_matmul),
//! [`searchsorted`](crate::mlx::Array::searchsorted), [`qr`](crate::mlx::linalg::qr), [`lu`](crate::mlx::linalg::lu), and
//! convolutions whose weight is mapped.
//!
//! Code that needs elements cannot be mapped: reading an array that is mapped, or a choice in Rust that depends on it. A
//! [`checkpoint`](crate::mlx::checkpoint) or a [`custom_function`](crate::mlx::custom_function) cannot capture an array that is
//! mapped around it; make it an input.
//!
//! # One model on several threads
//!
//! An array stays on its thread, and its elements need not: [`params::share`](crate::params::share) returns a handle to those of a
//! model that any thread opens, and [`Shared`](crate::Shared) to those of one array. Nothing is copied, so 8 threads hold the memory
//! of one model. A thread opens the model into a template of the same structure. Its arrays may be `zeros`, which MLX never computes.
//!
//! On an NVIDIA GPU, MLX can record kernels as CUDA graphs, but MLX 0.32.4 may end the process if it does so while another thread
//! computes or ends. So the first use of MLX sets the environment variable `MLX_USE_CUDA_GRAPHS` to `0`, unless it has a value;
//! processes that this one starts inherit it. Set it yourself before the program starts if C code on other threads may read the
//! environment at that moment, or to `1` if you want graphs and one thread computes.
//!
//! Without graphs, large arrays take more memory, since more of them exist at once. To use less, set `MLX_MAX_OPS_PER_BUFFER` to
//! a small number.
//!
//! ```
//! use std::sync::mpsc::channel;
//! use std::thread;
//!
//! use grad_runtime::mlx::Array;
//! use grad_runtime::{Dtype, Result, no_grad, params};
//!
//! /// Weight and bias.
//! type Model = (Array, Array);
//!
//! fn zeros() -> Result<Model> {
//!     Ok((Array::zeros(&[2, 1], Dtype::Float32)?, Array::zeros(&[1], Dtype::Float32)?))
//! }
//!
//! let model: Model = (Array::from_slice(&[1.0_f32, 10.0], &[2, 1])?, Array::ones(&[1], Dtype::Float32)?);
//! let shared = params::share(&model)?;
//! let (answers, received) = channel();
//! let workers = [1.0_f32, 2.0, 3.0].map(|request| {
//!     let (shared, answers) = (shared.clone(), answers.clone());
//!     thread::spawn(move || {
//!         let (weight, bias) = shared.open(&zeros()?)?;
//!         let x = Array::from_slice(&[request, request], &[1, 2])?;
//!         let answer = no_grad! { x.matmul(&weight)?.add(&bias)?.item::<f32>()? };
//!         answers.send(answer).expect("the receiver lives until the threads have ended");
//!         Ok::<_, grad_runtime::Error>(())
//!     })
//! });
//! workers.into_iter().try_for_each(|worker| worker.join().unwrap())?;
//! drop(answers);
//! let mut answers: Vec<f32> = received.iter().collect();
//! answers.sort_by(f32::total_cmp);
//! assert_eq!(answers, [12.0, 23.0, 34.0]);
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! A step of an optimizer makes new arrays, so a thread that trains changes nothing for the threads that hold the weights of before.
//! It shares the new weights, and the others open those. In the same way, a thread that loads data shares each batch, sends the
//! handle over a channel, and the thread that trains opens it.
//!
//! Sharing evaluates. While a transform traces an array, it is an error in a place that records, since no gradient reaches another
//! thread: share the array in a no-grad scope. On an NVIDIA GPU sharing waits for the operations of its thread, and moves the buffer
//! to unified memory, so share once and open often.
