//! The memory of a forward pass over candle's tensors, by its depth and by what is detached (guarantee 4).
//!
//! `cargo test -p grad-tests --test memory -- --nocapture` prints the figures.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Linear, Module};
use grad_runtime::prelude::*;
use grad_runtime::{cpu, no_grad};

/// Counts every allocation of the process.
#[global_allocator]
static HEAP: dhat::Alloc = dhat::Alloc;

/// The shape of the input and of each layer's result, 1 MiB.
const SHAPE: [usize; 2] = [4096, 64];
const ACTIVATION: usize = SHAPE[0] * SHAPE[1] * size_of::<f32>();

fn layer(weight: &Tensor, x: &Tensor) -> candle_core::Result<Tensor> {
    Linear::new(weight.clone(), None).forward(x)
}

type Pass = fn(&[Tensor], &Tensor) -> candle_core::Result<Tensor>;

fn recorded(weights: &[Tensor], x: &Tensor) -> candle_core::Result<Tensor> {
    weights.iter().try_fold(x.clone(), |x, weight| layer(weight, &x))
}

fn in_a_scope(weights: &[Tensor], x: &Tensor) -> candle_core::Result<Tensor> {
    no_grad! { recorded(weights, x) }
}

#[no_grad(detach)]
fn result_detached(weights: &[Tensor], x: &Tensor) -> candle_core::Result<Tensor> {
    recorded(weights, x)
}

fn layers_detached(weights: &[Tensor], x: &Tensor) -> candle_core::Result<Tensor> {
    weights.iter().try_fold(x.clone(), |x, weight| no_grad!(detach { layer(weight, &x) }))
}

#[no_grad(detach(weights))]
fn weights_detached(weights: &[Tensor], x: &Tensor) -> candle_core::Result<Tensor> {
    recorded(weights, x)
}

/// The same pass over this crate's arrays.
fn of_arrays(weight: &cpu::Array, x: &cpu::Array, depth: usize) -> Result<cpu::Array> {
    (0..depth).try_fold(x.clone(), |x, _| x.matmul(weight))
}

/// The memory of a pass beyond its input and its weights, in bytes.
struct Memory {
    /// The maximum during the pass.
    peak: usize,
    /// The memory after the pass, its result included.
    held: usize,
}

fn measured<T, E>(pass: impl FnOnce() -> Result<T, E>) -> Result<Memory, E> {
    let _profiler = dhat::Profiler::builder().testing().build();
    let _result = pass()?;
    let heap = dhat::HeapStats::get();
    Ok(Memory { peak: heap.max_bytes, held: heap.curr_bytes })
}

/// Measures a pass over a number of layers that share a weight.
fn of_candle(pass: Pass) -> impl Fn(usize) -> Memory {
    move |depth| {
        let weight = Var::zeros((SHAPE[1], SHAPE[1]), DType::F32, &Device::Cpu).unwrap();
        let weights = vec![weight.as_tensor().clone(); depth];
        let x = Tensor::ones(&SHAPE, DType::F32, &Device::Cpu).unwrap();
        measured(|| pass(&weights, &x)).unwrap()
    }
}

/// The same in a transform, in which `cpu::Array` records.
fn in_a_transform(pass: fn(&cpu::Array, &cpu::Array, usize) -> Result<cpu::Array>) -> impl Fn(usize) -> Memory {
    move |depth| {
        let weight = cpu::Array::zeros(&[SHAPE[1]; 2], Dtype::Float32).unwrap();
        let x = cpu::Array::ones(&SHAPE, Dtype::Float32).unwrap();
        let mut memory = None;
        let loss = |weights: &[cpu::Array]| {
            memory = Some(measured(|| pass(&weights[0], &x, depth))?);
            weights[0].sum_all()
        };
        cpu::Array::grad(loss, &[weight]).unwrap();
        memory.unwrap()
    }
}

/// Asserts by how many activations 180 additional layers raise the maximum, and the memory after the pass.
fn assert_growth(name: &str, pass: impl Fn(usize) -> Memory, peak: usize, held: usize) {
    let [at_20, at_200] = [20, 200].map(pass);
    for (what, at_20, at_200, expected) in
        [("maximum", at_20.peak, at_200.peak, peak), ("after the pass", at_20.held, at_200.held, held)]
    {
        println!("{name}, {what}: {at_20} bytes at 20 layers, {at_200} at 200");
        // The nodes of the graph and the handles take less than one activation.
        let grown = at_200.saturating_sub(at_20);
        assert!(grown.abs_diff(expected * ACTIVATION) < ACTIVATION / 2, "{name}, {what}: {grown} bytes more");
        assert!(expected > 0 || at_200 < 3 * ACTIVATION, "{name}, {what}: {at_200} bytes");
    }
}

/// One test, since the heap is that of the whole process.
#[test]
fn guarantee_4_memory_grows_with_depth_only_where_recorded_results_are_held() {
    // Kernels keep scratch memory for each thread. So there is one thread, and its first passes are not counted.
    let thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    thread.install(|| {
        of_candle(recorded)(1);
        in_a_transform(of_arrays)(1);

        assert_growth("recorded", of_candle(recorded), 180, 180);
        assert_growth("in a scope that detaches nothing", of_candle(in_a_scope), 180, 180);
        assert_growth("the result detached", of_candle(result_detached), 180, 0);
        assert_growth("each layer's result detached", of_candle(layers_detached), 0, 0);
        assert_growth("the weights detached", of_candle(weights_detached), 0, 0);

        assert_growth("cpu::Array, recorded", in_a_transform(of_arrays), 180, 180);
        let in_a_scope = |weight: &_, x: &_, depth| no_grad! { of_arrays(weight, x, depth) };
        assert_growth("cpu::Array in a scope", in_a_transform(in_a_scope), 0, 0);
    });
}
