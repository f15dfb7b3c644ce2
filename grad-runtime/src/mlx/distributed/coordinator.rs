//! The part of rank 0: it brings the processes together, compares their collectives, and tells each what became of the others.

use std::io::{self, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::agreement::{Agreement, Verdict};
use super::message::{self, Departure, Reply, Request, VERSION};

/// How long a connection may take to say who it is, and a process to read what it is told.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the listener and the deadlines are looked at.
const TICK: Duration = Duration::from_millis(5);

/// What rank 0 asks of the processes.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub size: usize,
    pub check: bool,
    /// How long a process may wait for another with a collective.
    pub timeout: Duration,
    /// When all must have joined.
    pub deadline: Instant,
}

/// Starts the coordinator on a thread, which runs until all processes have left or this one ends.
pub fn start(listener: TcpListener, terms: Terms) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    thread::Builder::new().name("grad-distributed-coordinator".into()).spawn(move || {
        if let Some((members, requests)) = gather(listener, terms) {
            coordinate(members, &requests, terms);
        }
    })?;
    Ok(())
}

/// A process that has joined.
struct Member {
    stream: TcpStream,
    is_gone: bool,
}

impl Member {
    /// Sends a reply. A process that does not take it has lost its connection, which its reader notices.
    fn tell(&mut self, reply: &Reply) {
        let _ = message::send(&mut self.stream, reply);
    }
}

/// Sends a reply to all, and to rank 0 last: its process may end when it has it, and the coordinator with that.
fn tell_all<'a>(members: impl DoubleEndedIterator<Item = &'a mut Member>, reply: &Reply) {
    members.rev().for_each(|member| member.tell(reply));
}

/// What a connection brings: a request of a rank, or `None` at its end.
type Event = (usize, Option<Request>);

/// Accepts the processes until all have joined. Tells each if they cannot.
fn gather(listener: TcpListener, terms: Terms) -> Option<(Vec<Member>, Receiver<Event>)> {
    let (hello, hellos) = mpsc::channel();
    let (sender, receiver) = mpsc::channel();
    let mut members: Vec<Option<Member>> = (0..terms.size).map(|_| None).collect();
    let (mut problem, mut deadline) = (None, terms.deadline);
    while Instant::now() < deadline && members.iter().any(Option::is_none) {
        if let Ok((stream, _)) = listener.accept() {
            let (hello, sender) = (hello.clone(), sender.clone());
            thread::spawn(move || read_connection(stream, &hello, &sender));
        }
        while let Ok((joining, stream)) = hellos.try_recv() {
            let Some((rank, found)) = inspect(&joining, terms) else { continue };
            let mut member = Member { stream, is_gone: false };
            if members.get(rank).is_none_or(Option::is_some) {
                member.tell(&Reply::Refused(format!(
                    "rank {rank} has joined twice; give each process a rank of its own"
                )));
                continue;
            }
            members[rank] = Some(member);
            if problem.is_none() && found.is_some() {
                // The others are told, too, if they come soon.
                (problem, deadline) = (found, deadline.min(Instant::now() + PATIENCE));
            }
        }
        thread::sleep(TICK);
    }
    if problem.is_none() && members.iter().any(Option::is_none) {
        problem = Some(missing(&members));
    }
    // Its port is MLX's from now on.
    drop(listener);
    if let Some(problem) = problem {
        tell_all(members.iter_mut().flatten(), &Reply::Refused(problem));
        return None;
    }
    let mut members: Vec<Member> = members.into_iter().flatten().collect();
    tell_all(members.iter_mut(), &Reply::Start);
    Some((members, receiver))
}

/// Returns the rank of a process that joins, and what keeps the group from coming together; `None` for another program.
fn inspect(joining: &Request, terms: Terms) -> Option<(usize, Option<String>)> {
    let Request::Hello { version, rank, size, check, problem } = joining else { return None };
    let on = |check: bool| if check { "on" } else { "off" };
    let problem = if let Some(problem) = problem {
        Some(format!("rank {rank} cannot join: {problem}"))
    } else if *version != VERSION {
        Some(format!("rank {rank} has another version of grad-runtime; build all processes from one lock file"))
    } else if *size != terms.size {
        Some(format!("rank {rank} counts {size} processes and rank 0 {}; give them the same variables", terms.size))
    } else if *check != terms.check {
        Some(format!(
            "rank {rank} has the check of collectives {} and rank 0 has it {}; set GRAD_DISTRIBUTED_CHECK to the same on \
             all processes",
            on(*check),
            on(terms.check)
        ))
    } else {
        None
    };
    Some((*rank, problem))
}

fn missing(members: &[Option<Member>]) -> String {
    let missing: Vec<String> =
        (0..members.len()).filter(|&rank| members[rank].is_none()).map(|rank| rank.to_string()).collect();
    format!(
        "rank {} of {} did not join in time; start every process, or allow more time with `init_timeout`",
        missing.join(", "),
        members.len()
    )
}

/// Reads what a process sends, from its greeting on.
fn read_connection(stream: TcpStream, hello: &Sender<(Request, TcpStream)>, events: &Sender<Event>) {
    let _ = stream.set_nodelay(true);
    let _ = (stream.set_read_timeout(Some(PATIENCE)), stream.set_write_timeout(Some(PATIENCE)));
    let Ok(writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    let Ok(Some(greeting @ Request::Hello { rank, .. })) = message::receive(&mut reader) else { return };
    if reader.get_ref().set_read_timeout(None).is_err() || hello.send((greeting, writer)).is_err() {
        return;
    }
    while let Ok(Some(request)) = message::receive(&mut reader) {
        if events.send((rank, Some(request))).is_err() {
            return;
        }
    }
    let _ = events.send((rank, None));
}

/// Answers the requests of the processes until all have left.
fn coordinate(mut members: Vec<Member>, requests: &Receiver<Event>, terms: Terms) {
    let mut agreement = Agreement::new(terms.size);
    let mut ready = 0;
    while !members.iter().all(|member| member.is_gone) {
        let (rank, request) = match requests.recv_timeout(TICK.saturating_mul(10)) {
            Ok(event) => event,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(verdict) = agreement.expire(terms.timeout, Instant::now()) {
                    announce(&mut members, verdict);
                }
                continue;
            }
        };
        match request {
            Some(Request::Ready) => {
                ready += 1;
                if ready == terms.size {
                    tell_all(members.iter_mut(), &Reply::AllReady);
                }
            }
            Some(Request::Issue { ticket, call }) => {
                for verdict in agreement.issue(rank, ticket, call, Instant::now()) {
                    announce(&mut members, verdict);
                }
            }
            Some(Request::Leave(departure)) => leave(&mut members, &mut agreement, rank, departure),
            None => {
                let reason = "its process has ended, or its connection is lost".into();
                leave(&mut members, &mut agreement, rank, Departure { completed: None, reason });
            }
            Some(Request::Hello { .. }) => {}
        }
    }
}

fn announce(members: &mut [Member], verdict: Verdict) {
    match verdict {
        Verdict::Agreed { rank, ticket } => members[rank].tell(&Reply::Agreed { ticket }),
        Verdict::Disagreement(report) => tell_all(members.iter_mut(), &Reply::Disagreement(report)),
        Verdict::Expired(report) => tell_all(members.iter_mut(), &Reply::Expired(report)),
    }
}

/// Tells the others that a process has left. The end of its connection follows, and is no news.
fn leave(members: &mut [Member], agreement: &mut Agreement, rank: usize, departure: Departure) {
    if !std::mem::replace(&mut members[rank].is_gone, true) {
        tell_all(members.iter_mut(), &Reply::Gone { rank, departure });
        for verdict in agreement.leave(rank) {
            announce(members, verdict);
        }
    }
}
