//! The messages of control connections: one line of JSON each.

use std::io::{self, BufRead, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Changes when the messages do.
pub const VERSION: u32 = 1;

/// The most bytes that a message has. More come from a program that is none of the group.
const LIMIT: u64 = 1 << 20;

/// What a process sends to rank 0.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// The process wants to join.
    Hello {
        version: u32,
        rank: usize,
        size: usize,
        check: bool,
        /// Why it cannot.
        problem: Option<String>,
    },
    /// MLX has connected the process to its peers.
    Ready,
    /// The process is about to issue a collective.
    Issue { ticket: u64, call: Call },
    /// The process issues no more collectives.
    Leave(Departure),
}

/// What rank 0 sends to a process.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// All processes have joined: MLX may connect them.
    Start,
    /// The group does not come together.
    Refused(String),
    /// All processes are ready.
    AllReady,
    /// The collective of this ticket may begin.
    Agreed { ticket: u64 },
    /// The processes disagree.
    Disagreement(String),
    /// A process did not issue its collective in time.
    Expired(String),
    /// A process has left.
    Gone { rank: usize, departure: Departure },
}

/// How a process left.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Departure {
    /// How many collectives it has completed; `None` if it left in the middle.
    pub completed: Option<u64>,
    pub reason: String,
}

/// A collective that a process is about to issue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// The group, by a number that is the same on all its members.
    pub group: u64,
    /// How many processes the group has.
    pub members: usize,
    /// The function.
    pub name: String,
    /// Dtype and shape.
    pub operand: String,
    /// The destination or the source.
    pub peer: Option<usize>,
    pub mode: String,
    /// The transforms around it, innermost first.
    pub transforms: Vec<String>,
    pub context: Context,
}

/// Where a collective is issued, for an error; not compared.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Context {
    pub place: Option<String>,
    /// The scopes that switch recording off.
    pub scopes: Vec<String>,
    /// The transforms with the places of their calls.
    pub transforms: Vec<String>,
    /// The scopes and operations that have cut gradients in the transforms before it.
    pub cuts: Vec<String>,
}

/// Sends a message.
pub fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Receives a message; `None` at the end of the connection.
pub fn receive<M: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<M>> {
    let mut line = Vec::new();
    let mut from = io::Read::take(from, LIMIT);
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}
