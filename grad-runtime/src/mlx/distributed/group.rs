//! Groups of processes, and how this process joins one.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::environment::{self, Invalid, Placement};
use super::session::{self, Known, Session};
use super::{Backend, Check, ErrorKind, Failure, cuts, setup_error};
use crate::error::{Error, Result};
use crate::mlx::device::Device;
use crate::mlx::ffi::distributed as ffi;

/// Switches the check of collectives on or off: `1` or `0`.
pub const CHECK: &str = "GRAD_DISTRIBUTED_CHECK";

/// Sets how long a process may wait for the others with a collective, in seconds.
pub const TIMEOUT: &str = "GRAD_DISTRIBUTED_TIMEOUT";

/// How [`init_with`](super::init_with) connects the processes.
///
/// ```
/// use std::time::Duration;
///
/// use grad_runtime::mlx::distributed::{self, Check, InitOptions};
///
/// let options = InitOptions { check: Check::On, timeout: Some(Duration::from_secs(60)), ..InitOptions::default() };
/// // No variables name other processes, so this one is alone.
/// assert_eq!(distributed::init_with(&options)?.size(), 1);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitOptions {
    /// The backend that communicates. Default: [`Backend::Any`].
    pub backend: Backend,
    /// Whether it is an error if no variables name other processes. Otherwise the group is of this process alone. Default: `false`.
    pub strict: bool,
    /// Whether collectives are compared before they begin.
    pub check: Check,
    /// How long a process waits for the others with a collective. Default: the seconds in `GRAD_DISTRIBUTED_TIMEOUT`, or else 300.
    pub timeout: Option<Duration>,
    /// How long a process waits for the others to join. Default: 60 s.
    pub init_timeout: Duration,
    /// `ip:port` of rank 0, for the control connections. Default: `GRAD_DISTRIBUTED_ADDRESS`; or else the address that rank 0 has for
    /// MLX, which is free until MLX connects.
    pub address: Option<String>,
}

impl Default for InitOptions {
    fn default() -> Self {
        Self {
            backend: Backend::Any,
            strict: false,
            check: Check::Default,
            timeout: None,
            init_timeout: Duration::from_secs(60),
            address: None,
        }
    }
}

impl InitOptions {
    fn is_checked(&self) -> Result<bool, String> {
        match self.check {
            Check::On => return Ok(true),
            Check::Off => return Ok(false),
            Check::Default => {}
        }
        match std::env::var(CHECK).ok().as_deref().map(str::trim) {
            None | Some("") => Ok(cfg!(debug_assertions)),
            Some("1" | "on" | "true") => Ok(true),
            Some("0" | "off" | "false") => Ok(false),
            Some(other) => Err(format!("{CHECK} is `{other}`; set it to 1 or 0")),
        }
    }

    fn limit(&self) -> Result<Duration, String> {
        const DEFAULT: Duration = Duration::from_secs(300);
        let text = match (self.timeout, std::env::var(TIMEOUT)) {
            (Some(timeout), _) => return Ok(timeout),
            (None, Err(_)) => return Ok(DEFAULT),
            (None, Ok(text)) => text,
        };
        let seconds = text.trim().parse().ok();
        let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        timeout.ok_or_else(|| format!("{TIMEOUT} is `{text}`; set it to a number of seconds"))
    }
}

/// The connections of this process. Dropping it tells the others that it has left.
pub(super) struct World {
    installed: ffi::Installed<Session>,
    backend: Backend,
    raw: Rc<ffi::Group>,
    rank: usize,
    size: usize,
}

thread_local! {
    static WORLD: RefCell<Weak<World>> = const { RefCell::new(Weak::new()) };
}

/// Set once MLX has connected, or tried to: it keeps its connections as long as the process lives.
static IS_STARTED: AtomicBool = AtomicBool::new(false);

impl World {
    pub(super) fn session(&self) -> &Session {
        self.installed.hooks()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.session().failure().is_none() && !thread::panicking() {
            // The others need this process for what it has issued. It waits within the timeout, and what fails is the last news.
            let _ = ffi::wait_for_collectives();
        }
        if self.session().failure().is_none() {
            self.session().leave(thread::panicking());
        }
        cuts::set_noting(false);
    }
}

/// Returns the error that has ended this thread's group.
pub fn failure() -> Option<Error> {
    let world = WORLD.try_with(|world| world.borrow().upgrade()).ok()??;
    Some(world.session().failure()?.into_error("compute what depends on a collective"))
}

/// Processes that communicate, of which this is one.
///
/// A group belongs to the thread that called [`init`](super::init). When its last clone is dropped, this process waits for the
/// collectives that it has issued, and leaves: the others get an error if they issue more.
///
/// ```
/// use grad_runtime::mlx::{Array, distributed};
///
/// let group = distributed::init(false, distributed::Backend::Any)?;
/// println!("process {} of {}", group.rank(), group.size());
/// let sum = distributed::all_sum(&Array::scalar(1.0_f32)?, &group)?;
/// assert_eq!(sum.item::<f32>()?, group.size() as f32);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Group {
    rank: usize,
    size: usize,
    /// `None` for a process that is alone.
    members: Option<Members>,
}

/// What a group of several processes has.
#[derive(Clone)]
pub(super) struct Members {
    pub(super) world: Rc<World>,
    pub(super) raw: Rc<ffi::Group>,
    /// How often it was split.
    splits: Rc<Cell<u64>>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("rank", &self.rank)
            .field("size", &self.size)
            .field("backend", &self.backend())
            .finish_non_exhaustive()
    }
}

impl Group {
    /// Returns a group of this process alone, in which each collective returns its argument: code for many processes runs on one.
    ///
    /// ```
    /// use grad_runtime::mlx::{Array, distributed};
    ///
    /// let alone = distributed::Group::alone();
    /// assert_eq!((alone.rank(), alone.size()), (0, 1));
    /// assert_eq!(distributed::all_sum(&Array::scalar(3)?, &alone)?.item::<i32>()?, 3);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn alone() -> Self {
        Self { rank: 0, size: 1, members: None }
    }

    fn of_world(world: Rc<World>) -> Self {
        let (rank, size, raw) = (world.rank, world.size, Rc::clone(&world.raw));
        Self { rank, size, members: Some(Members { world, raw, splits: Rc::default() }) }
    }

    pub(super) fn members(&self) -> Option<&Members> {
        self.members.as_ref()
    }

    /// Returns the rank of this process: 0 for the first.
    ///
    /// See [`Group`] for an example.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Returns the number of processes.
    ///
    /// See [`Group`] for an example.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the backend that communicates; `None` for a process that is alone.
    ///
    /// ```
    /// use grad_runtime::mlx::distributed::{self, Backend};
    ///
    /// assert_eq!(distributed::init(false, Backend::Ring)?.backend(), None); // No variables name other processes.
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn backend(&self) -> Option<Backend> {
        self.members.as_ref().map(|members| members.world.backend)
    }

    /// Returns whether collectives are compared before they begin.
    ///
    /// ```
    /// use grad_runtime::mlx::distributed::{self, Backend};
    ///
    /// assert!(!distributed::init(false, Backend::Any)?.is_checked()); // A process that is alone has none to compare with.
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.members.as_ref().is_some_and(|members| members.world.session().is_checked())
    }

    /// Divides the group: the processes that give the same `color` become a group. Their ranks in it follow `key`, and the present
    /// ones where it is equal or `None`.
    ///
    /// # Errors
    ///
    /// [`Error::Distributed`] if the group is of one process, or its backend is the ring, which cannot be split.
    ///
    /// ```
    /// use grad_runtime::mlx::distributed::{self, Backend};
    ///
    /// let alone = distributed::init(false, Backend::Any)?;
    /// let error = alone.split(0, None).unwrap_err();
    /// assert_eq!(error.to_string(), "cannot split: the group is of one process");
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn split(&self, color: u32, key: Option<u32>) -> Result<Self> {
        const OP: &str = "split";
        let refuse = |reason: &str| setup_error(OP, reason.to_owned().into());
        let Some(Members { world, raw, splits }) = &self.members else {
            return Err(refuse("the group is of one process"));
        };
        if world.backend == Backend::Ring {
            return Err(refuse("the ring has no groups within groups; use MPI or NCCL"));
        }
        let to_int = |number: u32| i32::try_from(number).map_err(|_| refuse("colors and keys are less than 2^31"));
        let (color, key) = (to_int(color)?, key.map_or(Ok(-1), to_int)?);
        let session = world.session();
        let known = session.group(raw.id()).unwrap_or(Known { number: 0, members: self.size });
        session.agree(known, OP, format!("{} processes", self.size), None)?;
        let group = raw.split(color, key).map_err(|reason| setup_error(OP, reason.into()))?;
        splits.set(splits.get() + 1);
        let number = number_of_part(known.number, splits.get(), color);
        session.add_group(group.id(), Known { number, members: group.size() });
        let (rank, size) = (group.rank(), group.size());
        let members = Members { world: Rc::clone(world), raw: Rc::new(group), splits: Rc::default() };
        Ok(Self { rank, size, members: (size > 1).then_some(members) })
    }
}

/// Returns a number for a part of a group, which is the same on all its members, and with near certainty no other's.
fn number_of_part(parent: u64, split: u64, color: i32) -> u64 {
    // FNV-1a.
    let bytes = [parent, split, u64::from(color.unsigned_abs())].map(u64::to_le_bytes);
    let hash = bytes.as_flattened().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.max(1)
}

const INIT: &str = "init";

pub(super) fn init_with(options: &InitOptions) -> Result<Group> {
    let refuse = |reason: String| setup_error(INIT, reason.into());
    let has_nccl = ffi::has_communication(Backend::Nccl.name())?;
    let get = |name: &str| std::env::var(name).ok();
    let found = environment::placement(options.backend, has_nccl, options.address.as_deref(), &get)
        .map_err(|invalid| setup_error(INIT, invalid))?;
    let Some(placement) = found else {
        if options.strict {
            return Err(refuse(format!(
                "no variables name other processes{}; set MLX_RANK and MLX_HOSTFILE for the ring, or NCCL_HOST_IP, \
                 NCCL_PORT, MLX_RANK and MLX_WORLD_SIZE for NCCL, or start the processes with `mlx.launch` or `mpirun`",
                if options.backend == Backend::Any { String::new() } else { format!(" for {}", options.backend) }
            )));
        }
        return Ok(Group::alone());
    };
    if placement.size == 1 {
        return Ok(Group::alone());
    }
    if let Some(world) = WORLD.with_borrow(Weak::upgrade) {
        return Ok(Group::of_world(world));
    }
    let (is_checked, timeout) = (options.is_checked().map_err(refuse)?, options.limit().map_err(refuse)?);
    if !ffi::has_communication(placement.backend.name())? {
        return Err(refuse(format!("this MLX has no {} backend, or does not find its library", placement.backend)));
    }
    if IS_STARTED.load(Ordering::Acquire) {
        return Err(refuse(
            "this process has left its group, or has it on another thread; MLX connects a process once, so keep the group"
                .into(),
        ));
    }
    let start = Instant::now();
    let session = session::join(&placement, is_checked, timeout, options.init_timeout)
        .map_err(|invalid| setup_error(INIT, invalid))?;
    IS_STARTED.store(true, Ordering::Release);
    // At least a second, in which MLX connects if all are there.
    let left = || options.init_timeout.saturating_sub(start.elapsed()).max(Duration::from_secs(1));
    let raw = connect(&placement, &session, left())
        .and_then(|raw| session.wait_until_all_are_ready(left()).map(|()| raw))
        .map_err(|failure| failure.into_error(INIT))?;
    session.add_group(raw.id(), Known { number: 0, members: placement.size });
    let device = if placement.backend == Backend::Nccl { Device::Gpu } else { Device::Cpu };
    let installed = ffi::Installed::new(session, device.into()).map_err(refuse)?;
    cuts::set_noting(is_checked);
    let Placement { backend, rank, size, .. } = placement;
    let world = Rc::new(World { installed, backend, raw: Rc::new(raw), rank, size });
    WORLD.set(Rc::downgrade(&world));
    Ok(Group::of_world(world))
}

/// Lets MLX connect this process. MLX waits without a limit, so a thread of its own calls it: one that does not return stays
/// blocked until the process ends.
fn connect(placement: &Placement, session: &Session, limit: Duration) -> Result<ffi::Group, Failure> {
    /// MLX waits a second after an attempt that fails, so the process that connects first lets the others listen.
    const HEAD_START: Duration = Duration::from_millis(30);
    let (sender, receiver) = mpsc::channel();
    let (name, ports) = (placement.backend.name(), placement.ports.clone());
    let connects_first = placement.backend == Backend::Ring && placement.rank + 1 == placement.size;
    let spawned = thread::Builder::new().name("grad-distributed-init".into()).spawn(move || {
        if connects_first {
            thread::sleep(HEAD_START);
        }
        let _ = sender.send(ffi::init_group(name, &ports));
    });
    if let Err(error) = spawned {
        return Err(session.fail(ErrorKind::Setup, format!("a thread cannot be started: {error}")));
    }
    let deadline = Instant::now() + limit;
    loop {
        match receiver.recv_timeout(Duration::from_millis(5)) {
            Ok(Ok(group)) if (group.rank(), group.size()) == (placement.rank, placement.size) => return Ok(group),
            Ok(Ok(group)) => {
                let reason = format!(
                    "MLX has rank {} of {} and the variables say rank {} of {}",
                    group.rank(),
                    group.size(),
                    placement.rank,
                    placement.size
                );
                return Err(session.fail(ErrorKind::Setup, reason));
            }
            Ok(Err(reason)) => return Err(session.fail(ErrorKind::Setup, reason)),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(session.fail(ErrorKind::Setup, "MLX did not connect".into()));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if let Some(failure) = session.failure_so_far() {
            return Err(session.fail(failure.kind, failure.reason));
        }
        if Instant::now() >= deadline {
            let reason = "MLX did not connect to the neighbours in time; check that the machines reach each other's addresses";
            return Err(session.fail(ErrorKind::Timeout, reason.into()));
        }
    }
}

impl Invalid {
    pub(super) fn into_error(self, op: &'static str) -> Error {
        Error::Distributed { op, kind: ErrorKind::Setup, reason: self.reason, source: self.source }
    }
}
