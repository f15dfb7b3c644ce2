//! Loops over contiguous elements, compiled for several instruction sets and run on several threads.
//!
//! [`pulp`] compiles a loop for AVX2 and AVX-512 too, and chooses when it runs. Products and sums are never contracted, so the
//! results are the same on each. Functions that a loop calls must be inlined into it to be compiled with it.
#![allow(clippy::inline_always, reason = "a function that is not inlined is compiled for baseline x86-64")]

use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Result, Storage, Tensor, WithDType};
use num_traits::Float;
use rayon::prelude::*;

/// A floating point type that kernels compute in.
pub(super) trait Real: WithDType + Float {}
impl Real for f32 {}
impl Real for f64 {}

/// The number of elements that are worth another thread, which takes some 10 µs to wake, where a loop adds and multiplies.
pub(super) const BLOCK_OF_SUMS: usize = 1 << 17;

/// As [`BLOCK_OF_SUMS`], where a loop computes a transcendental function of each element.
pub(super) const BLOCK_OF_FUNCTIONS: usize = 1 << 15;

/// Runs `kernel`, compiled for the instruction sets that this CPU has.
#[inline(always)]
pub(super) fn vectorized<R>(kernel: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(kernel)
}

/// Returns the elements of a contiguous tensor.
pub(super) fn contiguous<'a, T: WithDType>(storage: &'a Storage, layout: &Layout) -> Result<&'a [T]> {
    let Storage::Cpu(storage) = storage else {
        return Err(not_on_the_cpu());
    };
    elements(storage, layout)
}

fn elements<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    Ok(&storage.as_slice::<T>()?[layout.start_offset()..][..layout.shape().elem_count()])
}

pub(super) fn not_on_the_cpu() -> candle_core::Error {
    candle_core::Error::Msg("the elements are not on the CPU".into())
}

/// Calls `kernel` on blocks of `results`, with the index of the first element of each.
#[inline(always)]
fn in_blocks<T: Send>(results: &mut [T], block: usize, kernel: impl Fn(usize, &mut [T]) + Sync) {
    if results.len() <= block {
        vectorized(
            #[inline(always)]
            || kernel(0, results),
        );
    } else {
        results.par_chunks_mut(block).enumerate().for_each(|(index, results)| {
            vectorized(
                #[inline(always)]
                || kernel(index * block, results),
            );
        });
    }
}

/// Returns the length of a block of whole rows, of about `length` elements.
fn whole_rows(length: usize, row: usize) -> usize {
    (length / row).max(1) * row
}

/// Calls `kernel` on blocks of whole rows of a tensor, with a slice of the same length for the results.
#[inline(always)]
pub(super) fn map_rows<T: Real>(
    x: &Tensor,
    row: usize,
    block: usize,
    kernel: impl Fn(&[T], &mut [T]) + Sync,
) -> Result<Tensor> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    let elements = contiguous::<T>(&storage, layout)?;
    let mut results = vec![T::zero(); elements.len()];
    in_blocks(
        &mut results,
        whole_rows(block, row),
        #[inline(always)]
        |at, results| kernel(&elements[at..][..results.len()], results),
    );
    Tensor::from_vec(results, x.shape(), &Device::Cpu)
}

/// Computes `f` of each pair of elements of contiguous tensors of the same shape.
#[inline(always)]
pub(super) fn zip_elements<T: Real>(x: &Tensor, y: &Tensor, f: impl Fn(T, T) -> T + Sync) -> Result<Tensor> {
    let ((x_storage, x_layout), (y_storage, y_layout)) = (x.storage_and_layout(), y.storage_and_layout());
    let (xs, ys) = (contiguous::<T>(&x_storage, x_layout)?, contiguous::<T>(&y_storage, y_layout)?);
    let mut results = vec![T::zero(); xs.len()];
    in_blocks(
        &mut results,
        BLOCK_OF_SUMS,
        #[inline(always)]
        |at, results| {
            for ((result, x), y) in results.iter_mut().zip(&xs[at..]).zip(&ys[at..]) {
                *result = f(*x, *y);
            }
        },
    );
    Tensor::from_vec(results, x.shape(), &Device::Cpu)
}

/// Replaces each element `x` by `alpha * x + beta * c`, where the contiguous `c` has the same shape or is a row.
pub(super) struct ScaleAndAdd {
    pub alpha: f32,
    pub beta: f32,
}

impl ScaleAndAdd {
    fn compute<T: Real>(&self, xs: &mut [T], cs: &[T], row: usize) {
        let [alpha, beta] = [self.alpha, self.beta].map(|factor| T::from(factor).unwrap_or_else(T::nan));
        in_blocks(
            xs,
            whole_rows(BLOCK_OF_SUMS, row),
            #[inline(always)]
            |at, xs| {
                for (index, xs) in xs.chunks_exact_mut(row).enumerate() {
                    let cs = if cs.len() == row { cs } else { &cs[at + index * row..][..row] };
                    for (x, c) in xs.iter_mut().zip(cs) {
                        *x = alpha * *x + beta * *c;
                    }
                }
            },
        );
    }
}

impl InplaceOp2 for ScaleAndAdd {
    fn name(&self) -> &'static str {
        "scale_and_add"
    }

    fn cpu_fwd(&self, xs: &mut CpuStorage, layout: &Layout, cs: &CpuStorage, c_layout: &Layout) -> Result<()> {
        let row = layout.dims().last().copied().unwrap_or(1);
        let range = layout.start_offset()..layout.start_offset() + layout.shape().elem_count();
        match xs {
            CpuStorage::F32(xs) => self.compute(&mut xs[range], elements(cs, c_layout)?, row),
            CpuStorage::F64(xs) => self.compute(&mut xs[range], elements(cs, c_layout)?, row),
            _ => unreachable!("half precision is computed in float32"),
        }
        Ok(())
    }
}
