//! Computation on several processes, of one machine or many, by MLX's own engine.
//!
//! Each process runs the same program on its part of the data. [`init`] connects them, and a collective such as [`all_sum`] combines
//! their arrays. Training needs two more lines: [`params::broadcast`](crate::params::broadcast) once, and
//! [`params::average_gradients`](crate::params::average_gradients) in each step.
//!
//! ```
//! use grad_runtime::mlx::{Array, distributed};
//! use grad_runtime::params;
//!
//! let group = distributed::init(false, distributed::Backend::Any)?; // Of one process, where no variables name others.
//! let weight = params::broadcast(&Array::scalar(2.0_f32)?, &group)?;
//! let x = Array::scalar(3.0 + group.rank() as f32)?; // The data of this process.
//! let gradient = params::grad(|weight: &Array| weight.multiply(&x), &weight)?;
//! let gradient = params::average_gradients(&gradient, &group)?;
//! assert_eq!(gradient.item::<f32>()?, 3.0);
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! The guide [More than one machine](crate::guide::more_than_one_machine) says how processes are started, and what does not scale.
//!
//! # Backends
//!
//! | | variables | notes |
//! | --- | --- | --- |
//! | [`Ring`](Backend::Ring) | `MLX_RANK`, and `MLX_HOSTFILE`: a JSON file such as `[["10.0.0.1:5000"], ["10.0.0.2:5000"]]` | TCP. No `sum_scatter`, no `split`; `send` to neighbours |
//! | [`Nccl`](Backend::Nccl) | `NCCL_HOST_IP`, `NCCL_PORT`, `MLX_RANK`, `MLX_WORLD_SIZE` | GPUs of NVIDIA. No `send` |
//! | [`Mpi`](Backend::Mpi) | those of `mpirun`, and `GRAD_DISTRIBUTED_ADDRESS` | where an MPI library is installed. No `sum_scatter` |
//!
//! # Order
//!
//! MLX is lazy. Left to itself it runs two collectives that do not depend on each other in an order that may differ from process to
//! process, and pairs the wrong ones. Here a collective starts when it is called, and they complete in the order of the calls. What it
//! depends on is evaluated then. Inside the function of a transform it is complete when it returns. An evaluation waits for the
//! collectives that were issued before it.
//!
//! # Scopes that agree
//!
//! A process that stopped a gradient, while the others did not, skips the collectives of the backward pass; its next collective would
//! be paired with one of those. If [`check`](InitOptions::check) is on, processes compare each collective before it begins: the function,
//! shape and dtype, the grad mode, and the transforms around it. If they differ, each process gets an [`ErrorKind::Disagreement`] that
//! says what each was doing, in which scope, at which line, and which scopes have cut gradients before. The check is on
//! by default in debug builds, and takes a message to rank 0 and back for each collective; it is off in release builds, where it costs
//! nothing. `GRAD_DISTRIBUTED_CHECK` sets it for a run.
//!
//! # Gradients
//!
//! The values behind a collective are equal on all processes, and so is a loss that is computed from them: it is *one* loss. A process
//! that differentiates it gets the derivative of this one loss with respect to its own arrays. This is the convention of MLX.
//!
//! | | reverse mode | forward mode |
//! | --- | --- | --- |
//! | [`all_sum`] | the cotangent, unchanged | the sum of the tangents |
//! | [`all_max`], [`all_min`] | the cotangent where this process holds the element, divided by how many do | the mean tangent of those that do |
//! | [`all_gather`] | this process's part | the tangents, gathered |
//! | [`sum_scatter`] | the cotangents of all parts, gathered | the sum of the tangents, scattered |
//! | [`send`] | an error | an error |
//! | [`recv`] | a constant | a constant |
//!
//! Two things follow. An array that all processes hold a copy of, such as a weight, gets the derivative with respect to this copy: the
//! derivative with respect to the weight is the sum over the processes. And where a process uses the value behind a collective for a
//! loss *of its own*, as in a batch norm over all processes, the other losses depend on its arrays, too, which the cotangent does not
//! say: sum it with a [`custom_function`](crate::mlx::custom_function) whose `vjp` calls [`all_sum`].
//!
//! Under [`vmap`](crate::mlx::vmap) a collective is issued once for all entries. A compiled function cannot communicate.
//!
//! # Errors
//!
//! No call waits without a limit. Beside the errors of operations, each function of this module, and each evaluation that waits for a
//! collective, may return [`Error::Distributed`]:
//!
//! | [`ErrorKind`] | when | within |
//! | --- | --- | --- |
//! | `Setup` | variables are missing or wrong, a port is in use, processes differ in their settings, or one does not come | [`init_timeout`](InitOptions::init_timeout) and 2 s |
//! | `Disagreement` | the collectives of the processes differ, if they are checked | at once |
//! | `PeerLost` | a process has returned, failed, panicked or been killed | 3 s |
//! | `Timeout` | a process takes part too late, or the collective takes too long | [`timeout`](InitOptions::timeout) and 3 s |
//!
//! The group has ended then: later collectives return the same error, and the others are told. Arrays that were computed before stay
//! valid, so a program can save them; what depends on the collective that failed cannot be evaluated. MLX connects a process once, so to go
//! on, start the processes again.
//!
//! Each process has a control connection to rank 0 for this, at the address that rank 0 has for MLX or at
//! `GRAD_DISTRIBUTED_ADDRESS`. It is neither encrypted nor authenticated, and neither are MLX's connections: use a private network.
//!
//! On the ring, MLX stops waiting when its sockets are shut down. With NCCL and MPI nothing stops it: the process gets the error, and
//! the work that it abandons stays on the device. Where the main thread has abandoned work, the process ends with status 1 when `main`
//! returns, whatever that returns, since what runs at its end would wait; another thread that has waits when it ends. NCCL ends the
//! process itself where it fails to connect.

mod agreement;
mod collectives;
mod coordinator;
mod cuts;
mod environment;
mod group;
mod message;
mod session;

use std::fmt;

pub use collectives::{all_gather, all_max, all_min, all_sum, recv, recv_like, send, sum_scatter};
pub(super) use cuts::{note_cut, note_operation, notes_cuts};
pub(super) use group::failure;
pub use group::{Group, InitOptions};

use crate::error::{Error, Result};
use environment::Invalid;

/// What carries the messages between processes.
///
/// ```
/// use grad_runtime::mlx::distributed::{self, Backend};
///
/// assert!(distributed::is_available(Backend::Ring)?);
/// assert_eq!(Backend::Nccl.to_string(), "nccl");
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Backend {
    /// The one that the variables are set for: NCCL, the ring or MPI.
    #[default]
    Any,
    /// Connections between neighbours, over TCP.
    Ring,
    /// An installed MPI library.
    Mpi,
    /// NVIDIA's library for its GPUs, in the wheel of MLX for CUDA.
    Nccl,
}

impl Backend {
    /// Returns MLX's name.
    fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Ring => "ring",
            Self::Mpi => "mpi",
            Self::Nccl => "nccl",
        }
    }
}

/// Displays MLX's name.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether processes compare their collectives before they begin. It must be the same on all of them.
///
/// See [`InitOptions`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Check {
    /// As `GRAD_DISTRIBUTED_CHECK` says, `1` or `0`; without it, on in debug builds.
    #[default]
    Default,
    /// They do.
    On,
    /// They do not.
    Off,
}

/// What kind of failure an [`Error::Distributed`] is.
///
/// ```
/// use grad_runtime::Error;
/// use grad_runtime::mlx::distributed::{self, Backend, ErrorKind};
///
/// let error = distributed::init(true, Backend::Ring).unwrap_err();
/// assert!(matches!(error, Error::Distributed { kind: ErrorKind::Setup, .. }));
/// assert!(error.to_string().starts_with("cannot init: no variables name other processes for ring; set MLX_RANK"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The processes cannot connect.
    Setup,
    /// The processes are about to do different things.
    Disagreement,
    /// A process has left.
    PeerLost,
    /// A process did not take part in time.
    Timeout,
}

/// Why a group has ended.
#[derive(Debug, Clone)]
struct Failure {
    kind: ErrorKind,
    reason: String,
}

impl Failure {
    fn into_error(self, op: &'static str) -> Error {
        Error::Distributed { op, kind: self.kind, reason: self.reason, source: None }
    }
}

fn setup_error(op: &'static str, invalid: Invalid) -> Error {
    invalid.into_error(op)
}

/// Returns whether this MLX has a backend; for [`Backend::Any`], any of them.
///
/// # Errors
///
/// [`Error::Unavailable`] if MLX cannot be loaded.
///
/// ```
/// use grad_runtime::mlx::distributed::{self, Backend};
///
/// assert!(distributed::is_available(Backend::Any)?);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn is_available(backend: Backend) -> Result<bool> {
    super::ffi::distributed::has_communication(backend.name())
}

/// Connects this process to the others that its variables name, and returns the group of them all. Later calls on this thread
/// return the same group.
///
/// Without such variables the group is of this process alone; if `strict` is set, that is an error.
///
/// # Errors
///
/// [`Error::Distributed`] if the processes cannot connect; [`Error::Unavailable`] if MLX cannot be loaded.
///
/// ```
/// use grad_runtime::mlx::distributed::{self, Backend};
///
/// let group = distributed::init(false, Backend::Any)?;
/// assert_eq!((group.rank(), group.size()), (0, 1));
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn init(strict: bool, backend: Backend) -> Result<Group> {
    init_with(&InitOptions { backend, strict, ..InitOptions::default() })
}

/// Does what [`init`] does, by options.
///
/// # Errors
///
/// As [`init`].
///
/// ```
/// use grad_runtime::mlx::distributed::{self, Check, InitOptions};
///
/// let group = distributed::init_with(&InitOptions { check: Check::On, ..InitOptions::default() })?;
/// assert_eq!(group.size(), 1); // No variables name other processes.
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn init_with(options: &InitOptions) -> Result<Group> {
    group::init_with(options)
}
