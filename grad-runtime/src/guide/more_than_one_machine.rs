//! Describes how a program trains on several processes, what scopes mean there, and what does not scale.
//!
//! # A loop for one process, and for many
//!
//! Data-parallel training gives each process a copy of the model and a part of every batch. Two calls keep the copies equal:
//! [`broadcast`](crate::params::broadcast) before the first step, and [`average_gradients`](crate::params::average_gradients) in each.
//!
//! ```
//! use grad_runtime::mlx::{Array, distributed};
//! use grad_runtime::optim::{AdamW, AdamWOptions};
//! use grad_runtime::{Result, params};
//!
//! fn loss(weight: &Array, x: &Array) -> Result<Array> {
//!     x.multiply(weight)?.subtract(1.0)?.square()?.mean_all()
//! }
//!
//! let group = distributed::init(false, distributed::Backend::Any)?;
//! let mut weight = params::broadcast(&Array::scalar(0.0_f32)?, &group)?; // 1
//! let mut optimizer = AdamW::new(&weight, AdamWOptions { lr: 0.1, ..AdamWOptions::default() })?;
//! for step in 0..100 {
//!     // The part of the batch that belongs to this process.
//!     let x = Array::scalar(0.5 + ((step + group.rank()) % 2) as f32)?;
//!     let (_, gradient) = params::value_and_grad(|weight: &Array| loss(weight, &x), &weight)?;
//!     let gradient = params::average_gradients(&gradient, &group)?; // 2
//!     optimizer.step(&mut weight, &gradient)?;
//!     params::eval(&(weight.clone(), optimizer.clone()))?;
//! }
//! assert!((weight.item::<f32>()? - 0.8).abs() < 0.3);
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! Without variables that name other processes, the group is of one process, and the program is what it was. `N` processes with a batch of
//! `B` train the weights of one process with a batch of `N·B`, up to the rounding of sums in another order: the example
//! `data-parallel` asserts it (`cargo run --release -p training --bin data-parallel -- --launch 2 --verify`). This holds if the loss is a
//! mean over the batch, the parts are of equal length, and nothing else couples the examples of a batch, as a batch norm does.
//!
//! # What to set
//!
//! On each machine, start one process for each rank with these variables, or let `mlx.launch` of Python MLX do it:
//!
//! | | ring | NCCL |
//! | --- | --- | --- |
//! | for | TCP, any device | GPUs of NVIDIA |
//! | MLX from | any wheel, as `mlx-cpu` | the wheel `mlx-cuda-13` |
//! | the rank | `MLX_RANK=0` | `MLX_RANK=0` |
//! | the others | `MLX_HOSTFILE=hosts.json`, with `[["10.0.0.1:5000"], ["10.0.0.2:5000"]]` | `NCCL_HOST_IP=10.0.0.1`, `NCCL_PORT=5000`, `MLX_WORLD_SIZE=2` |
//! | the card | | `CUDA_VISIBLE_DEVICES=0`: one card for each process |
//!
//! Several addresses for one rank of a ring are several connections, over which MLX divides large messages. Ports must be free, and not
//! blocked by a firewall. Rank 0 also accepts a control connection from each process, at its own first address or at
//! `NCCL_HOST_IP:NCCL_PORT`, before MLX uses that port; `GRAD_DISTRIBUTED_ADDRESS=10.0.0.1:6000` moves it.
//!
//! | | |
//! | --- | --- |
//! | `GRAD_DISTRIBUTED_CHECK=1` | compares collectives before they begin, in release builds too; `0` does not, in debug builds either |
//! | `GRAD_DISTRIBUTED_TIMEOUT=300` | how many seconds a process waits for the others with a collective |
//!
//! None of the connections is encrypted or authenticated. Use a private network.
//!
//! # What scopes mean there
//!
//! A scope belongs to its thread, so also to its process. Processes do not tell each other their modes, and nothing travels with a
//! collective: an array that arrives is made in the mode of the process that receives it. In a no-grad scope it is a constant.
//!
//! What matters is that all processes open the same scopes around collectives, and in front of them. A scope that only one of them opens
//! cuts a gradient there, and skips each collective of the backward pass behind the cut. Without a comparison, the next collective of
//! this process is paired with the one that it skipped. MLX then adds arrays that have nothing to do with each other, and reports no
//! error; or, if no collective follows, the other process waits forever.
//!
//! With the check on, this is an error of every process:
//!
//! ```text
//! cannot all_sum: the processes are about to do different things:
//!   rank 0: all_sum of float32[] at src/train.rs:31:13, outside of transforms, in mode enabled; gradients were cut before by no_grad at src/train.rs:25:28
//!   rank 1: all_sum of float32[] at src/layer.rs:12:61, in the function of the vjp at src/train.rs:25:48, in the backward pass of grad at src/train.rs:23:17, in mode enabled
//! issue the same collectives, in the same scopes and transforms, on every process
//! ```
//!
//! So a branch on the rank may do what it likes, such as writing a checkpoint or a line of progress, as long as it contains no collective.
//! An evaluation on rank 0 alone is fine if the others wait no longer than the timeout with their next collective.
//!
//! The check takes a message to rank 0 and back for each collective. On a virtual machine with two cores, which other work shared, an
//! `all_sum` of one number over a ring of two processes took 60 µs without it and 152 µs with it: the median of 2,000, in the median of
//! 7 runs. `cargo bench -p grad-tests --bench collectives` prints these times. In a release build the check is off unless you ask for it,
//! and nothing is sent.
//!
//! # What does not scale, and why
//!
//! - **The gradients of a large model over a slow network.** Each step sends about twice the bytes of the gradients, whatever the number of
//!   processes. all-MiniLM-L6-v2 has 91 MB of them: more than 1.4 s a step over 1 Gbit/s. A head of 384 × 8 has 12 kB.
//! - **Small batches.** The time of a step that is not computation stays: latency of the collectives, about a round trip for each
//!   process of a ring. If the batch of a process is small, this is most of the step.
//! - **The same epochs with more processes.** The batch grows with the number of processes, so there are fewer steps in an epoch. Learning rates
//!   must follow, and beyond some batch they do not help.
//! - **Processes of different speeds.** Every step takes as long as its slowest process.
//! - **More processes than cores.** The threads of MLX's ring do not sleep while they wait: each takes a core. On one machine with a CPU,
//!   one process with all cores is faster than several.
//! - **GPUs over the ring.** It copies through the memory of the CPU. Use NCCL.
//!
//! # What else there is to know
//!
//! - A collective starts when it is called, and what it depends on is evaluated then. Inside the function of a transform it is complete when
//!   it returns, which ends the overlap of a GPU with the program.
//! - A group belongs to the thread that called [`init`](crate::mlx::distributed::init).
//! - A compiled function cannot communicate. Compile the loss and its gradient, and average outside.
//! - MLX connects a process once. After an error of the group, save what you have, end the process, and start all of them again from the
//!   checkpoint.
//! - A ring needs up to a second to connect, sometimes two: MLX waits so long after an attempt that came too early.
//! - The ring is tested with 2 and 4 processes of one machine. MPI could not be tested, nor a network of several machines.
