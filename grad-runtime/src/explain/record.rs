//! The record of what a function computed, while an explanation is wanted: which array was made of which, and where a gradient
//! was cut.
//!
//! Each backend calls [`operation`] where it returns an array that it has computed, [`read`] where it returns elements, and
//! the others where a transform calls a function. None does anything unless a record is being made.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::panic::Location;

use grad_core::{OpenScope, cutting_scopes};

use crate::array::Array;
use crate::dtype::Dtype;

/// Tells the arrays of one backend apart, as long as they are alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A node of the CPU fallback's tape.
    #[cfg(feature = "cpu")]
    Node(u64),
    /// A constant of the CPU fallback.
    #[cfg(feature = "cpu")]
    Tensor(candle_core::TensorId),
    /// MLX's descriptor of an array.
    #[cfg(feature = "mlx")]
    Descriptor(usize),
}

/// The position of a node in the record.
pub type Index = usize;

/// Why no gradient passes a node.
#[derive(Debug, Clone)]
pub enum Cut {
    /// The scopes that were on, innermost first.
    Scopes { backend: &'static str, scopes: Vec<OpenScope> },
    /// `stop_gradient`, or `Detach`.
    Stopped,
    /// The result is of integers or bools.
    NotFloat,
    /// The elements were read.
    Read,
    /// A checkpointed or custom function, or one that is compiled, captured the array.
    Captured,
}

/// An array that was computed, or elements that were read.
#[derive(Debug)]
pub struct Node {
    pub op: &'static str,
    pub operands: Vec<Index>,
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    pub place: &'static Location<'static>,
    pub cut: Option<Cut>,
}

/// The origin of a node that no operation has computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A parameter as the function's argument has it.
    Argument(usize),
    /// The same parameter as the caller has it.
    Captured(usize),
}

#[derive(Debug, Default)]
pub struct Record {
    pub nodes: Vec<Node>,
    pub sources: Vec<(Index, Source)>,
    by_key: HashMap<Key, Index>,
    /// The functions that are running and cannot capture what is differentiated: the first node that is their own, and their inputs.
    closed: Vec<(Index, HashSet<Index>)>,
}

thread_local! {
    static IS_RECORDING: Cell<bool> = const { Cell::new(false) };
    static RECORD: RefCell<Option<Record>> = const { RefCell::new(None) };
}

/// Returns whether a record is being made on this thread.
#[inline]
pub fn is_recording() -> bool {
    IS_RECORDING.get()
}

/// A record that is being made. Dropping it ends it, and continues the one that was being made before.
pub struct Recording {
    outer: Option<Record>,
    was_recording: bool,
}

impl Recording {
    pub fn start() -> Self {
        Self { outer: RECORD.replace(Some(Record::default())), was_recording: IS_RECORDING.replace(true) }
    }

    /// Returns what has been recorded.
    pub fn finish(self) -> Record {
        let record = RECORD.take().expect("the record is there until this is dropped");
        drop(self);
        record
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORD.replace(self.outer.take());
        IS_RECORDING.set(self.was_recording);
    }
}

/// Ends the record, where the function that is explained has returned. Returns the node of its value, if that depends on a
/// parameter.
pub fn end<A: Array>(value: &A) -> Option<Index> {
    IS_RECORDING.set(false);
    with_record(|record| record.find(value)).flatten()
}

/// Pauses the record, while MLX calls functions again to derive them.
#[cfg(feature = "mlx")]
pub struct Paused(bool);

#[cfg(feature = "mlx")]
impl Paused {
    pub fn start() -> Self {
        Self(IS_RECORDING.replace(false))
    }
}

#[cfg(feature = "mlx")]
impl Drop for Paused {
    fn drop(&mut self) {
        IS_RECORDING.set(self.0);
    }
}

fn with_record<T>(edit: impl FnOnce(&mut Record) -> T) -> Option<T> {
    RECORD.with_borrow_mut(|record| record.as_mut().map(edit))
}

impl Record {
    fn push(&mut self, node: Node) -> Index {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Returns the node of an array, as a running function sees it.
    fn node_of<A: Array>(&mut self, array: &A, place: &'static Location<'static>) -> Option<Index> {
        let found = *self.by_key.get(&array.key())?;
        let is_captured = self.closed.last().is_some_and(|(own, inputs)| found < *own && !inputs.contains(&found));
        if !is_captured || self.nodes[found].cut.is_some() {
            return Some(found);
        }
        let node = describe(array, "capture", vec![found], place, Some(Cut::Captured));
        Some(self.push(node))
    }

    fn nodes_of<A: Array>(&mut self, arrays: &[A], place: &'static Location<'static>) -> Vec<Index> {
        arrays.iter().filter_map(|array| self.node_of(array, place)).collect()
    }

    fn name<A: Array>(&mut self, array: &A, index: Index) {
        self.by_key.insert(array.key(), index);
    }

    fn find<A: Array>(&self, array: &A) -> Option<Index> {
        self.by_key.get(&array.key()).copied()
    }
}

fn describe<A: Array>(
    array: &A,
    op: &'static str,
    operands: Vec<Index>,
    place: &'static Location<'static>,
    cut: Option<Cut>,
) -> Node {
    Node { op, operands, shape: array.shape(), dtype: array.dtype(), place, cut }
}

fn cut_of<A: Array>(op: &str, output: &A) -> Option<Cut> {
    let backend = A::backend();
    if !backend.grad_mode().is_enabled() {
        return Some(Cut::Scopes { backend: backend.name(), scopes: cutting_scopes(backend) });
    }
    match op {
        "stop_gradient" | "detach" => Some(Cut::Stopped),
        _ if !output.dtype().is_inexact() => Some(Cut::NotFloat),
        _ => None,
    }
}

/// Records arrays that an operation, or a transform, has made of others.
#[cold]
pub fn operation<A: Array>(op: &'static str, operands: &[A], outputs: &[A], place: &'static Location<'static>) {
    with_record(|record| {
        let operands = record.nodes_of(operands, place);
        for output in outputs {
            if operands.is_empty() {
                // It may have the key of an array that is gone.
                record.by_key.remove(&output.key());
                continue;
            }
            let node = describe(output, op, operands.clone(), place, cut_of(op, output));
            let index = record.push(node);
            record.name(output, index);
        }
    });
}

/// Records an array of given elements.
#[cfg(feature = "mlx")]
#[cold]
pub fn creation<A: Array>(array: &A) {
    with_record(|record| record.by_key.remove(&array.key()));
}

/// Records that elements of an array were read.
#[cold]
pub fn read<A: Array>(array: &A, place: &'static Location<'static>) {
    with_record(|record| {
        if let Some(index) = record.node_of(array, place) {
            let node = describe(array, "read", vec![index], place, Some(Cut::Read));
            record.push(node);
        }
    });
}

/// Records the parameters: as the caller has them, and as the function's argument has them.
pub fn parameters<A: Array>(callers: &[A], arguments: &[A], place: &'static Location<'static>) {
    with_record(|record| {
        for (at, caller) in callers.iter().enumerate() {
            let index = record.push(describe(caller, "parameter", Vec::new(), place, None));
            record.sources.push((index, Source::Captured(at)));
            record.name(caller, index);
        }
        for (at, argument) in arguments.iter().enumerate() {
            let index = record.push(describe(argument, "parameter", Vec::new(), place, None));
            record.sources.push((index, Source::Argument(at)));
            record.name(argument, index);
        }
    });
}

/// Records the inputs that a function is called with for those that its transform was given.
#[cold]
pub fn inputs<A: Array>(given: &[A], seen: &[A], place: &'static Location<'static>) {
    with_record(|record| {
        for (given, seen) in given.iter().zip(seen) {
            match record.node_of(given, place) {
                Some(index) => record.name(seen, index),
                None => {
                    record.by_key.remove(&seen.key());
                }
            }
        }
    });
}

/// A function that is running, to which what it captures is a constant.
#[cfg(feature = "mlx")]
pub struct Closed(());

#[cfg(feature = "mlx")]
impl Closed {
    #[cold]
    pub fn enter<A: Array>(inputs: &[A]) -> Self {
        with_record(|record| {
            let own = record.nodes.len();
            let inputs = inputs.iter().filter_map(|input| record.find(input)).collect();
            record.closed.push((own, inputs));
        });
        Self(())
    }
}

#[cfg(feature = "mlx")]
impl Drop for Closed {
    fn drop(&mut self) {
        with_record(|record| record.closed.pop());
    }
}
