//! The tape: the record of how each array was computed, and the backward pass along it.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use candle_core::Tensor;

use super::array::Array;
use super::operation::{operation, record_output};
use crate::array::{require_loss, require_primals};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::explain::{self, Watched};
use grad_core::Scope;
use grad_core::{Backend, Cpu};

/// A transform. The arrays that depend on its primals are tracers until its function ends.
#[derive(Debug)]
struct Transform {
    is_running: AtomicBool,
}

/// The record of how an array was computed from operands.
pub(super) struct Node {
    /// Higher than that of any operand.
    id: u64,
    /// The transforms that were running on the operands.
    transforms: Vec<Arc<Transform>>,
    operands: Vec<Array>,
    output: Tensor,
    dtype: Dtype,
    vjp: Box<Vjp>,
}

/// Computes the cotangent of the operand of that index.
type Vjp = dyn Fn(usize, &VjpArgs<'_>) -> Result<Array> + Send + Sync;

/// The arrays that a vjp is computed from. It must use nothing but [`Array`] operations on them, so that it can be
/// differentiated again.
pub(super) struct VjpArgs<'a> {
    pub operands: &'a [Array],
    pub output: &'a Array,
    pub cotangent: &'a Array,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// Finishes the output of an operation: the single point where outputs are recorded or made constants.
///
/// An output that is computed while the grad mode is off is a constant; so is one that depends on no primal of a
/// running transform, and one that is not floating point. Nothing is kept for a constant.
pub(super) fn record(
    output: Tensor,
    dtype: Dtype,
    operands: &[&Array],
    vjp: impl Fn(usize, &VjpArgs<'_>) -> Result<Array> + Send + Sync + 'static,
) -> Array {
    let array = record_or_make_constant(Array::constant(output, dtype), operands, vjp);
    record_output("operation", operands, &array);
    array
}

fn record_or_make_constant(
    array: Array,
    operands: &[&Array],
    vjp: impl Fn(usize, &VjpArgs<'_>) -> Result<Array> + Send + Sync + 'static,
) -> Array {
    if operands.iter().all(|operand| operand.node.is_none()) || !Cpu.grad_mode().is_enabled() {
        return array;
    }
    let transforms = running_transforms(operands);
    if transforms.is_empty() || !array.dtype().is_inexact() {
        return array;
    }
    let operands = operands.iter().map(|operand| operand.without_stale_node()).collect();
    array.with_node(NEXT_ID.fetch_add(1, Ordering::Relaxed), transforms, operands, Box::new(vjp))
}

/// As [`record`], for an array that exists already: the output of an operation that changes nothing, or of a transform.
#[track_caller]
pub(super) fn finish_output(op: &'static str, array: &Array) -> Array {
    if Cpu.grad_mode().is_enabled() { array.without_stale_node() } else { array.constant_from(op) }
}

fn running_transforms(arrays: &[&Array]) -> Vec<Arc<Transform>> {
    let mut running: Vec<Arc<Transform>> = Vec::new();
    for transform in arrays.iter().filter_map(|array| array.node.as_ref()).flat_map(|node| &node.transforms) {
        let is_known = |known: &Arc<Transform>| Arc::ptr_eq(known, transform);
        if transform.is_running.load(Ordering::Relaxed) && !running.iter().any(is_known) {
            running.push(Arc::clone(transform));
        }
    }
    running
}

impl Array {
    /// Returns whether this array depends on a primal of a running transform.
    pub(super) fn is_tracer(&self) -> bool {
        let is_running = |transform: &Arc<Transform>| transform.is_running.load(Ordering::Relaxed);
        self.node.as_ref().is_some_and(|node| node.transforms.iter().any(is_running))
    }

    /// Returns the same values as a constant.
    pub(super) fn constant_copy(&self) -> Self {
        Self { node: None, ..self.clone() }
    }

    /// As [`constant_copy`](Self::constant_copy), with a tensor of its own, which tells it from this array while a record is made.
    pub(super) fn distinct_copy(&self) -> Self {
        let tensor = self.tensor.copy().unwrap_or_else(|_| self.tensor.clone());
        Self { tensor, ..self.constant_copy() }
    }

    /// As [`constant_copy`](Self::constant_copy), for the function `op` that was called to cut the gradient, or in a scope.
    #[track_caller]
    pub(super) fn constant_from(&self, op: &'static str) -> Self {
        if !explain::record::is_recording() {
            return self.constant_copy();
        }
        let constant = self.distinct_copy();
        record_output(op, &[self], &constant);
        constant
    }

    fn without_stale_node(&self) -> Self {
        if self.is_tracer() { self.clone() } else { self.constant_copy() }
    }

    /// Returns what tells this array from others.
    pub(super) fn explain_key(&self) -> explain::record::Key {
        match &self.node {
            Some(node) => explain::record::Key::Node(node.id),
            None => explain::record::Key::Tensor(self.tensor.id()),
        }
    }

    fn with_node(self, id: u64, transforms: Vec<Arc<Transform>>, operands: Vec<Self>, vjp: Box<Vjp>) -> Self {
        let output = self.tensor.clone();
        let node = Some(Arc::new(Node { id, transforms, operands, output, dtype: self.dtype, vjp }));
        Self { node, ..self }
    }
}

/// Ends its transform when dropped: on return, error and panic.
struct RunningGuard(Arc<Transform>);

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.0.is_running.store(false, Ordering::Relaxed);
    }
}

/// Computes value and gradients for the transform `op`.
#[track_caller]
pub(super) fn value_and_grad<F, E>(
    op: &'static str,
    function: F,
    primals: &[Array],
) -> Result<(Array, Vec<Array>), E>
where
    F: FnOnce(&[Array]) -> Result<Array, E>,
    E: From<Error>,
{
    require_primals(op, primals)?;
    let watched = Watched::start();
    let running = RunningGuard(Arc::new(Transform { is_running: AtomicBool::new(true) }));
    let first_leaf = NEXT_ID.fetch_add(primals.len() as u64, Ordering::Relaxed);
    let leaves: Vec<_> = (first_leaf..).zip(primals).map(|(id, primal)| leaf(id, primal, &running.0)).collect();
    if explain::record::is_recording() {
        explain::record::inputs(primals, &leaves, Location::caller());
    }

    let enabled = Scope::InferenceMode(false).enter_for(&Cpu);
    watched.called(primals, &leaves);
    let value = function(&leaves)?;
    require_loss(op, &value)?;
    watched.returned(&value);
    // The backward pass is recorded for the transforms further out alone.
    drop(running);
    let gradients =
        operation(op, &primals.iter().collect::<Vec<_>>(), || Ok(backward(&value, first_leaf, &leaves)?))?;
    drop(enabled);
    watched.finish(&gradients);
    // Not in a closure, whose calls have a place of their own.
    let mut outputs = Vec::with_capacity(gradients.len());
    for gradient in &gradients {
        outputs.push(finish_output(op, gradient));
    }
    Ok((finish_output(op, &value), outputs))
}

/// Returns the primal as the function sees it. The backward pass of this transform ends there, and that of the transforms
/// further out goes on.
fn leaf(id: u64, primal: &Array, transform: &Arc<Transform>) -> Array {
    let mut transforms = running_transforms(&[primal]);
    transforms.push(Arc::clone(transform));
    let operands = vec![primal.without_stale_node()];
    primal.constant_copy().with_node(id, transforms, operands, Box::new(|_, args| Ok(args.cotangent.clone())))
}

/// Computes the gradient of `value` with respect to each leaf.
///
/// Operands have lower ids than the arrays that were computed from them, so the highest id comes first. Nodes below the
/// first leaf belong to the transforms further out.
fn backward(value: &Array, first_leaf: u64, leaves: &[Array]) -> Result<Vec<Array>> {
    let mut gradients: Vec<Option<Array>> = vec![None; leaves.len()];
    let mut pending: BTreeMap<u64, (Arc<Node>, Array)> = BTreeMap::new();
    let one = Array::ones(&value.shape(), value.dtype())?;
    pending.extend(value.node.as_ref().map(|node| (node.id, (Arc::clone(node), one))));

    while let Some((id, (node, cotangent))) = pending.pop_last() {
        if id < first_leaf {
            break;
        }
        let leaf = usize::try_from(id - first_leaf).ok();
        if let Some(gradient) = leaf.and_then(|leaf| gradients.get_mut(leaf)) {
            *gradient = Some(cotangent);
            continue;
        }
        let output = Array { node: Some(Arc::clone(&node)), ..Array::constant(node.output.clone(), node.dtype) };
        let args = VjpArgs { operands: &node.operands, output: &output, cotangent: &cotangent };
        for (index, operand) in node.operands.iter().enumerate() {
            let Some(source) = operand.node.as_ref().filter(|source| source.id >= first_leaf) else {
                continue;
            };
            let cotangent = (node.vjp)(index, &args)?;
            debug_assert_eq!((cotangent.shape(), cotangent.dtype()), (operand.shape(), operand.dtype()));
            let cotangent = match pending.remove(&source.id) {
                Some((_, other)) => other.add(&cotangent)?,
                None => cotangent,
            };
            pending.insert(source.id, (Arc::clone(source), cotangent));
        }
    }
    gradients
        .into_iter()
        .zip(leaves)
        .map(|(gradient, leaf)| gradient.map_or_else(|| Array::zeros(&leaf.shape(), leaf.dtype()), Ok))
        .collect()
}

/// Drops a chain in a loop. The compiler's own drop would call itself once for each node and overflow the stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut dropping = mem::take(&mut self.operands);
        while let Some(array) = dropping.pop() {
            if let Some(mut node) = array.node.and_then(Arc::into_inner) {
                dropping.append(&mut node.operands);
            }
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Node {
    /// Returns whether no operand was itself recorded from others.
    pub(super) fn is_made_from_constants_and_leaves(&self) -> bool {
        self.operands
            .iter()
            .filter_map(|operand| operand.node.as_ref())
            .all(|node| node.operands.iter().all(|operand| operand.node.is_none()))
    }
}
