//! The connection of a process to rank 0, and what it has heard of the others.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io::BufReader;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use grad_core::{Backend as _, Mlx, WatchGuard, cutting_scopes, watch_scopes};
use grad_mlx_sys::Collective;

use super::coordinator::{self, Terms};
use super::cuts;
use super::environment::{Invalid, Placement};
use super::message::{self, Call, Context, Departure, Reply, Request, VERSION};
use super::{ErrorKind, Failure};
use crate::error::{Error, Operand, Result};
use crate::mlx::ffi::Handle;
use crate::mlx::ffi::distributed::Hooks;
use crate::mlx::running::{self, WithPlace};

/// How long an evaluation may go on after a process has gone: what that process has done its part of completes in it.
const GRACE: Duration = Duration::from_secs(1);

/// How much longer a process waits than rank 0 does, which knows more to tell.
const MARGIN: Duration = Duration::from_secs(1);

/// How often a connection is tried.
const RETRY: Duration = Duration::from_millis(20);

/// Messages of rank 0, as the reading thread has received them.
#[derive(Debug, Default)]
struct Received {
    all_ready: bool,
    agreed: HashSet<u64>,
    failure: Option<Failure>,
    /// Which processes have left, how, and when this one heard of it.
    gone: Vec<(usize, Departure, Instant)>,
}

impl Received {
    /// Returns the failure for a process that has gone, if a communication needs it: one with `peer`, or else with all.
    fn lost(&self, peer: Option<usize>) -> Option<Failure> {
        // What a process has sent before it left arrives.
        let needs = |departure: &Departure| departure.completed.is_none() || peer.is_none();
        let (rank, departure, _) = self.gone.iter().find(|(_, departure, _)| needs(departure))?;
        Some(gone(*rank, departure))
    }
}

#[derive(Debug, Default)]
struct Shared {
    received: Mutex<Received>,
    changed: Condvar,
    /// Set once a process has gone or something has failed.
    has_failure: AtomicBool,
}

impl Shared {
    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, is_failure: bool, update: impl FnOnce(&mut Received)) {
        update(&mut self.received());
        if is_failure {
            self.has_failure.store(true, Ordering::Release);
        }
        self.changed.notify_all();
    }

    fn fail(&self, kind: ErrorKind, reason: String) {
        self.update(true, |received| _ = received.failure.get_or_insert(Failure { kind, reason }));
    }
}

/// A group that is known to this process.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// A number that is the same on all members.
    pub number: u64,
    pub members: usize,
}

/// The connection of this process.
#[derive(Debug)]
pub struct Session {
    rank: usize,
    timeout: Duration,
    is_checked: bool,
    shared: Arc<Shared>,
    stream: RefCell<TcpStream>,
    /// The number of the next message about a collective.
    ticket: Cell<u64>,
    /// How many collectives of all processes were issued.
    issued: Cell<u64>,
    /// The destinations and sources of what is in flight.
    peers: RefCell<Vec<usize>>,
    groups: RefCell<HashMap<usize, Known>>,
    /// Records where scopes are entered, if collectives are checked.
    _watch: Option<WatchGuard>,
}

/// Joins the other processes, and returns when all have.
pub fn join(
    placement: &Placement,
    is_checked: bool,
    timeout: Duration,
    init_timeout: Duration,
) -> Result<Session, Invalid> {
    let deadline = Instant::now() + init_timeout;
    let problem = check_ports(placement);
    if placement.rank == 0 {
        let listener = listen(&placement.control)?;
        let terms = Terms { size: placement.size, check: is_checked, timeout, deadline };
        coordinator::start(listener, terms)
            .map_err(|source| Invalid { reason: "a thread cannot be started".into(), source: Some(source) })?;
    }
    let hello = Request::Hello {
        version: VERSION,
        rank: placement.rank,
        size: placement.size,
        check: is_checked,
        problem: problem.as_ref().map(|invalid| match &invalid.source {
            Some(source) => format!("{}: {source}", invalid.reason),
            None => invalid.reason.clone(),
        }),
    };
    let joined = greet(placement, &hello, deadline + MARGIN);
    if let Some(problem) = problem {
        return Err(problem);
    }
    let (stream, reader) = joined?;
    let shared = Arc::new(Shared::default());
    let heard = Arc::clone(&shared);
    let reads = thread::Builder::new().name("grad-distributed".into()).spawn(move || listen_to(reader, &heard));
    reads.map_err(|source| Invalid { reason: "a thread cannot be started".into(), source: Some(source) })?;
    Ok(Session {
        rank: placement.rank,
        timeout,
        is_checked,
        shared,
        stream: RefCell::new(stream),
        ticket: Cell::new(0),
        issued: Cell::new(0),
        peers: RefCell::default(),
        groups: RefCell::default(),
        _watch: is_checked.then(watch_scopes),
    })
}

/// Returns what keeps MLX from listening at the addresses of this process.
fn check_ports(placement: &Placement) -> Option<Invalid> {
    let others = placement.listens_at.iter().filter(|&address| *address != placement.control);
    others.map(|address| listen(address)).find_map(Result::err)
}

fn listen(address: &str) -> Result<TcpListener, Invalid> {
    TcpListener::bind(address).map_err(|source| Invalid {
        reason: format!(
            "this process cannot listen at {address}; give it a free port, and an address of the machine that it runs on"
        ),
        source: Some(source),
    })
}

/// Connects to rank 0 and waits until all have joined.
fn greet(
    placement: &Placement,
    hello: &Request,
    deadline: Instant,
) -> Result<(TcpStream, BufReader<TcpStream>), Invalid> {
    let address = &placement.control;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!(
                "rank 0 does not answer at {address}; start it, and check that this machine reaches the address"
            )
            .into());
        }
        match try_to_greet(address, hello, left) {
            Ok((Some(Reply::Start), stream, reader)) => return Ok((stream, reader)),
            Ok((Some(Reply::Refused(reason)), ..)) => return Err(reason.into()),
            // Nothing listens there yet, or another program does.
            _ => thread::sleep(RETRY.min(left)),
        }
    }
}

type Greeted = (Option<Reply>, TcpStream, BufReader<TcpStream>);

fn try_to_greet(address: &str, hello: &Request, limit: Duration) -> std::io::Result<Greeted> {
    let found = address.to_socket_addrs()?.find(std::net::SocketAddr::is_ipv4);
    let found = found.ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&found, limit)?;
    stream.set_nodelay(true)?;
    // What does not go out by then is lost, as if the connection were.
    stream.set_write_timeout(Some(MARGIN))?;
    message::send(&mut stream, hello)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    stream.set_read_timeout(Some(limit))?;
    let reply = message::receive(&mut reader)?;
    stream.set_read_timeout(None)?;
    Ok((reply, stream, reader))
}

/// Reads what rank 0 sends, until it ends.
fn listen_to(mut reader: BufReader<TcpStream>, shared: &Shared) {
    while let Ok(Some(reply)) = message::receive(&mut reader) {
        match reply {
            Reply::AllReady => shared.update(false, |received| received.all_ready = true),
            Reply::Agreed { ticket } => shared.update(false, |received| _ = received.agreed.insert(ticket)),
            Reply::Disagreement(report) => shared.fail(ErrorKind::Disagreement, report),
            Reply::Expired(report) => shared.fail(ErrorKind::Timeout, report),
            Reply::Gone { rank, departure } => {
                shared.update(true, |received| received.gone.push((rank, departure, Instant::now())));
            }
            Reply::Start | Reply::Refused(_) => {}
        }
    }
    let reason = "its process has ended, or the connection to it is lost".into();
    let departure = Departure { completed: None, reason };
    shared.update(true, |received| {
        if !received.gone.iter().any(|(rank, ..)| *rank == 0) {
            received.gone.push((0, departure, Instant::now()));
        }
    });
}

impl Session {
    pub fn is_checked(&self) -> bool {
        self.is_checked
    }

    /// Adds a group that collectives may be issued on.
    pub fn add_group(&self, id: usize, known: Known) {
        self.groups.borrow_mut().insert(id, known);
    }

    /// Returns a group that was added.
    pub fn group(&self, id: usize) -> Option<Known> {
        self.groups.borrow().get(&id).copied()
    }

    /// Tells rank 0 that MLX has connected this process, and waits for the others.
    pub fn wait_until_all_are_ready(&self, limit: Duration) -> Result<(), Failure> {
        self.send(&Request::Ready);
        self.wait_for(
            limit,
            None,
            |received| received.all_ready,
            || format!("not every process connected to its neighbours within {:.1} s", limit.as_secs_f64()),
        )
    }

    /// Returns the failure that this process has heard of while it does nothing, if there is one.
    pub fn failure_so_far(&self) -> Option<Failure> {
        self.lost(None)
    }

    /// Returns why a communication with this process, or with all, cannot succeed.
    fn lost(&self, peer: Option<usize>) -> Option<Failure> {
        if !self.shared.has_failure.load(Ordering::Acquire) {
            return None;
        }
        let received = self.shared.received();
        received.failure.clone().or_else(|| received.lost(peer))
    }

    /// Returns the failure that has ended the group.
    pub fn failure(&self) -> Option<Failure> {
        self.shared.received().failure.clone()
    }

    /// Ends the group for this process, and tells the others.
    pub fn fail(&self, kind: ErrorKind, reason: String) -> Failure {
        self.shared.fail(kind, reason.clone());
        self.send(&Request::Leave(Departure { completed: None, reason: format!("it failed: {reason}") }));
        self.failure().unwrap_or(Failure { kind, reason })
    }

    /// Tells the others that this process issues no more collectives.
    pub fn leave(&self, is_panicking: bool) {
        let departure = if is_panicking {
            Departure { completed: None, reason: "it panicked".into() }
        } else {
            Departure { completed: Some(self.issued.get()), reason: "it has dropped its group".into() }
        };
        self.send(&Request::Leave(departure));
    }

    /// Sends a request. If the connection is lost, the thread that reads notices.
    fn send(&self, request: &Request) {
        let _ = message::send(&mut *self.stream.borrow_mut(), request);
    }

    /// Blocks until `is_there` returns true, a process has gone or something has failed.
    fn wait_for(
        &self,
        limit: Duration,
        peer: Option<usize>,
        is_there: impl Fn(&Received) -> bool,
        expired: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + limit;
        let mut received = self.shared.received();
        loop {
            if is_there(&received) {
                return Ok(());
            }
            if let Some(failure) = &received.failure {
                return Err(failure.clone());
            }
            if let Some(failure) = received.lost(peer) {
                drop(received);
                return Err(self.fail(failure.kind, failure.reason));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(received);
                return Err(self.fail(ErrorKind::Timeout, expired()));
            }
            received = self.shared.changed.wait_timeout(received, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until all members of a group are about to do the same, if collectives are checked.
    pub fn agree(&self, known: Known, name: &'static str, operand: String, peer: Option<usize>) -> Result<()> {
        // The ranks of a part of the processes are others.
        let is_compared = peer.is_none() || known.number == 0;
        let peer = peer.filter(|_| is_compared);
        if let Some(failure) = self.lost(peer) {
            return Err(self.fail(failure.kind, failure.reason).into_error(name));
        }
        let ticket = self.ticket.get();
        self.ticket.set(ticket + 1);
        match peer {
            Some(peer) => self.peers.borrow_mut().push(peer),
            None if known.number == 0 => self.issued.set(self.issued.get() + 1),
            None => {}
        }
        if !self.is_checked || !is_compared {
            return Ok(());
        }
        self.send(&Request::Issue { ticket, call: describe(known, name, operand, peer) });
        if name == name_of(Collective::Send) {
            return Ok(());
        }
        let limit = self.timeout + MARGIN;
        let agreed = self.wait_for(
            limit,
            peer,
            |received| received.agreed.contains(&ticket),
            || format!("rank 0 did not answer rank {} within {:.1} s", self.rank, limit.as_secs_f64()),
        );
        self.shared.received().agreed.remove(&ticket);
        agreed.map_err(|failure| failure.into_error(name))
    }
}

/// Describes what this process is about to do, and what is around it.
fn describe(known: Known, name: &'static str, operand: String, peer: Option<usize>) -> Call {
    let transforms = running::transforms();
    let cuts = cuts::notes(!transforms.is_empty());
    let scopes = cutting_scopes(&Mlx).iter().map(ToString::to_string).collect();
    Call {
        group: known.number,
        members: known.members,
        name: name.into(),
        operand,
        peer,
        mode: Mlx.grad_mode().to_string(),
        transforms: transforms.iter().map(ToString::to_string).collect(),
        context: Context {
            place: cuts::place().map(ToString::to_string),
            scopes,
            transforms: transforms.into_iter().map(|transform| WithPlace(transform).to_string()).collect(),
            cuts,
        },
    }
}

/// Returns the failure for a process that has gone.
fn gone(rank: usize, departure: &Departure) -> Failure {
    let reason = match departure.completed {
        Some(completed) => format!(
            "rank {rank} has left after {completed} collectives: {}; issue the same collectives on every process",
            departure.reason
        ),
        None => format!("rank {rank} has left: {}", departure.reason),
    };
    Failure { kind: ErrorKind::PeerLost, reason }
}

/// Returns the name of the function that issues a collective.
pub fn name_of(collective: Collective) -> &'static str {
    match collective {
        Collective::AllSum => "all_sum",
        Collective::AllMax => "all_max",
        Collective::AllMin => "all_min",
        Collective::AllGather => "all_gather",
        Collective::SumScatter => "sum_scatter",
        Collective::Send => "send",
        Collective::Recv => "recv",
    }
}

impl Hooks for Session {
    fn issue(&self, group: usize, collective: Collective, operand: &Handle, peer: Option<usize>) -> Result<()> {
        let known = self.group(group).unwrap_or(Known { number: 0, members: 0 });
        let shape = operand.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect();
        let operand = Operand { shape, dtype: operand.dtype() };
        self.agree(known, name_of(collective), operand.to_string(), peer)
    }

    fn poll(&self, elapsed: Duration) -> Result<()> {
        const OP: &str = "wait for a collective";
        if elapsed > self.timeout {
            let reason = format!(
                "it did not complete within {:.1} s; issue the same collectives on every process, or allow more time with \
                 `timeout`",
                self.timeout.as_secs_f64()
            );
            return Err(self.fail(ErrorKind::Timeout, reason).into_error(OP));
        }
        if !self.shared.has_failure.load(Ordering::Acquire) {
            return Ok(());
        }
        let received = self.shared.received();
        if let Some(failure) = &received.failure {
            return Err(failure.clone().into_error(OP));
        }
        let lost = received.gone.iter().find(|(rank, departure, since)| {
            let is_behind = departure.completed.is_none_or(|completed| completed < self.issued.get());
            (is_behind || self.peers.borrow().contains(rank)) && since.elapsed() > GRACE
        });
        let Some(failure) = lost.map(|(rank, departure, _)| gone(*rank, departure)) else { return Ok(()) };
        drop(received);
        Err(self.fail(failure.kind, failure.reason).into_error(OP))
    }

    fn complete(&self) {
        self.peers.borrow_mut().clear();
    }

    fn explain(&self, reason: &str) -> Error {
        const OP: &str = "complete a collective";
        // That a process has ended may show in MLX's sockets first.
        let start = Instant::now();
        while start.elapsed() < GRACE {
            if let Some(failure) = self.failure_so_far() {
                return self.fail(failure.kind, failure.reason).into_error(OP);
            }
            thread::sleep(RETRY);
        }
        self.fail(ErrorKind::PeerLost, format!("MLX reports: {reason}")).into_error(OP)
    }
}
