//! The tape: what an array remembers of how it was made, and the walk back along it.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use candle_core::Tensor;

use super::array::Array;
use crate::array::{Array as _, require_loss, require_primals};
use crate::error::{Error, Result};
use grad_core::Scope;
use grad_core::{Backend, Cpu};

/// A running transform. Its arrays are tracers until it ends.
#[derive(Debug)]
struct Root {
    active: AtomicBool,
}

/// How an array was made from its inputs.
pub(super) struct Node {
    /// Higher than that of any input.
    id: u64,
    /// The transforms that were running on the inputs.
    roots: Vec<Arc<Root>>,
    inputs: Vec<Array>,
    output: Tensor,
    vjp: Box<Vjp>,
}

/// The cotangent of input number `usize`.
type Vjp = dyn Fn(usize, &Step<'_>) -> Result<Array> + Send + Sync;

/// What a vjp is made of. It must use nothing but [`Array`] operations on these, so that it differentiates again.
pub(super) struct Step<'a> {
    pub inputs: &'a [Array],
    pub output: &'a Array,
    pub cotangent: &'a Array,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// The one place where operations hand their result out.
///
/// A result made while the grad mode is off is a constant; so is one that depends on no primal of a running transform,
/// and one that is not of a float dtype. Nothing is kept for a constant.
pub(super) fn record(
    tensor: Tensor,
    inputs: &[&Array],
    vjp: impl Fn(usize, &Step<'_>) -> Result<Array> + Send + Sync + 'static,
) -> Array {
    if inputs.iter().all(|input| input.node.is_none()) || !Cpu.grad_mode().is_enabled() {
        return Array::constant(tensor);
    }
    let roots = active_roots(inputs);
    let array = Array::constant(tensor);
    if roots.is_empty() || !array.dtype().is_float() {
        return array;
    }
    let inputs = inputs.iter().map(|input| input.without_stale_node()).collect();
    array.made_by(NEXT_ID.fetch_add(1, Ordering::Relaxed), roots, inputs, Box::new(vjp))
}

/// The same rule for an array that is handed on as it is: the result of an operation that has nothing to do, or of a
/// transform.
pub(super) fn hand_out(array: &Array) -> Array {
    if Cpu.grad_mode().is_enabled() { array.without_stale_node() } else { array.detached() }
}

fn active_roots(arrays: &[&Array]) -> Vec<Arc<Root>> {
    let mut roots: Vec<Arc<Root>> = Vec::new();
    for root in arrays.iter().filter_map(|array| array.node.as_ref()).flat_map(|node| &node.roots) {
        if root.active.load(Ordering::Relaxed) && !roots.iter().any(|known| Arc::ptr_eq(known, root)) {
            roots.push(Arc::clone(root));
        }
    }
    roots
}

impl Array {
    /// Whether this array depends on a primal of a running transform.
    pub(super) fn is_tracer(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.roots.iter().any(|root| root.active.load(Ordering::Relaxed)))
    }

    /// The same values, a constant.
    pub(super) fn detached(&self) -> Self {
        Self::constant(self.tensor.clone())
    }

    fn without_stale_node(&self) -> Self {
        if self.is_tracer() { self.clone() } else { self.detached() }
    }

    fn made_by(self, id: u64, roots: Vec<Arc<Root>>, inputs: Vec<Self>, vjp: Box<Vjp>) -> Self {
        let output = self.tensor.clone();
        let node = Some(Arc::new(Node { id, roots, inputs, output, vjp }));
        Self { node, ..self }
    }
}

/// Ends its transform when dropped: on return, error and panic.
struct Running(Arc<Root>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.active.store(false, Ordering::Relaxed);
    }
}

pub(super) fn value_and_grad<F, E>(function: F, primals: &[Array]) -> Result<(Array, Vec<Array>), E>
where
    F: FnOnce(&[Array]) -> Result<Array, E>,
    E: From<Error>,
{
    const OP: &str = "value_and_grad";
    require_primals(OP, primals)?;
    let running = Running(Arc::new(Root { active: AtomicBool::new(true) }));
    let first_leaf = NEXT_ID.fetch_add(primals.len() as u64, Ordering::Relaxed);
    let leaves: Vec<_> = (first_leaf..).zip(primals).map(|(id, primal)| leaf(id, primal, &running.0)).collect();

    let enabled = Scope::InferenceMode(false).enter_for(&Cpu);
    let value = function(&leaves)?;
    require_loss(OP, &value)?;
    // The walk back need not be recorded for this transform, only for those around it.
    drop(running);
    let gradients = walk_back(&value, first_leaf, &leaves)?;
    drop(enabled);
    Ok((hand_out(&value), gradients.iter().map(hand_out).collect()))
}

/// The primal as the function sees it; in it the walk back of this transform ends, and that of those around goes on.
fn leaf(id: u64, primal: &Array, root: &Arc<Root>) -> Array {
    let mut roots = active_roots(&[primal]);
    roots.push(Arc::clone(root));
    let inputs = vec![primal.without_stale_node()];
    primal.detached().made_by(id, roots, inputs, Box::new(|_, step| Ok(step.cotangent.clone())))
}

/// The gradient of `value` by each leaf. Inputs have lower ids than what was made from them, so the highest id comes
/// first; below the first leaf begin the transforms around this one.
fn walk_back(value: &Array, first_leaf: u64, leaves: &[Array]) -> Result<Vec<Array>> {
    let mut gradients: Vec<Option<Array>> = vec![None; leaves.len()];
    let mut pending: BTreeMap<u64, (Arc<Node>, Array)> = BTreeMap::new();
    let one = Array::full(&value.shape(), 1.0, value.dtype())?;
    pending.extend(value.node.as_ref().map(|node| (node.id, (Arc::clone(node), one))));

    while let Some((id, (node, cotangent))) = pending.pop_last() {
        if id < first_leaf {
            break;
        }
        if let Some(gradient) = usize::try_from(id - first_leaf).ok().and_then(|at| gradients.get_mut(at)) {
            *gradient = Some(cotangent);
            continue;
        }
        let output = Array { tensor: node.output.clone(), node: Some(Arc::clone(&node)) };
        let step = Step { inputs: &node.inputs, output: &output, cotangent: &cotangent };
        for (at, input) in node.inputs.iter().enumerate() {
            let Some(maker) = input.node.as_ref().filter(|maker| maker.id >= first_leaf) else {
                continue;
            };
            let cotangent = (node.vjp)(at, &step)?;
            debug_assert_eq!((cotangent.shape(), cotangent.dtype()), (input.shape(), input.dtype()));
            let cotangent = match pending.remove(&maker.id) {
                Some((_, other)) => other.add(&cotangent)?,
                None => cotangent,
            };
            pending.insert(maker.id, (Arc::clone(maker), cotangent));
        }
    }
    gradients
        .into_iter()
        .zip(leaves)
        .map(|(gradient, leaf)| gradient.map_or_else(|| Array::zeros(&leaf.shape(), leaf.dtype()), Ok))
        .collect()
}

/// A loop, where the compiler's own drop would call itself once for each node of a chain and overflow the stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut dropping = mem::take(&mut self.inputs);
        while let Some(array) = dropping.pop() {
            if let Some(mut node) = array.node.and_then(Arc::into_inner) {
                dropping.append(&mut node.inputs);
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
    /// Whether no input was itself recorded from others.
    pub(super) fn is_made_from_constants_and_leaves(&self) -> bool {
        self.inputs
            .iter()
            .filter_map(|input| input.node.as_ref())
            .all(|node| node.inputs.iter().all(|input| input.node.is_none()))
    }
}
