//! Loops over contiguous elements, compiled for several instruction sets and run on several threads.
//!
//! [`pulp`] compiles a loop for AVX2 and AVX-512 too, and chooses when it runs. Products and sums are never contracted, so the
//! results are the same on each. Functions that a loop calls must be inlined into it to be compiled with it.
#![allow(unsafe_code, reason = "results are written into memory that is not initialized")]
#![allow(clippy::inline_always, reason = "a function that is not inlined is compiled for baseline x86-64")]

use std::mem::MaybeUninit;
use std::ptr;

use candle_core::{Device, Layout, Result, Storage, Tensor, WithDType};
use num_traits::Float;
use rayon::prelude::*;

/// A floating point type that kernels compute in.
pub(super) trait Real: WithDType + Float {}
impl Real for f32 {}
impl Real for f64 {}

/// The number of elements that are worth another thread, which takes some 10 µs to wake, where a loop adds and multiplies.
const BLOCK_OF_SUMS: usize = 1 << 17;

/// As [`BLOCK_OF_SUMS`], where a loop computes a transcendental function of each element, or passes over it several times.
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
    Ok(&storage.as_slice::<T>()?[layout.start_offset()..][..layout.shape().elem_count()])
}

pub(super) fn not_on_the_cpu() -> candle_core::Error {
    candle_core::Error::Msg("the elements are not on the CPU".into())
}

/// What the elements of a result are before a kernel computes them in place.
pub(super) enum Start<'a, T> {
    Zeros,
    From(&'a [T]),
}

/// Makes a vector of parts with the given lengths: writes the start of each, and calls `kernel` on it with the index of the part and that
/// of its first element. `together` is the number of parts that are worth another thread.
///
/// So a thread finds in its cache what it computes from, and the pages of a new vector are touched by all threads.
#[inline(always)]
pub(super) fn compute_parts<T: Real>(
    lengths: &[usize],
    start: &Start<'_, T>,
    together: usize,
    kernel: impl Fn(usize, usize, &mut [T]) + Sync,
) -> Vec<T> {
    let total = lengths.iter().sum();
    let mut results = Vec::with_capacity(total);
    let mut rest = &mut results.spare_capacity_mut()[..total];
    let mut done = 0;
    let groups = lengths.chunks(together).enumerate().map(|(group, lengths)| {
        let at = done;
        done += lengths.iter().sum::<usize>();
        let slots = rest.split_off_mut(..done - at).expect("the lengths add up to the total");
        (group * together, lengths, at, slots)
    });
    let compute = |(first, lengths, mut at, mut slots): (_, &[usize], _, &mut [MaybeUninit<T>])| {
        for (part, length) in (first..).zip(lengths) {
            let slots = slots.split_off_mut(..*length).expect("the lengths add up to that of the group");
            vectorized(
                #[inline(always)]
                || {
                    match start {
                        Start::Zeros => slots.iter_mut().for_each(|slot| _ = slot.write(T::zero())),
                        Start::From(xs) => {
                            let xs = &xs[at..][..slots.len()];
                            slots.iter_mut().zip(xs).for_each(|(slot, x)| _ = slot.write(*x));
                        }
                    }
                    // SAFETY: each slot was written above.
                    let part_of_results = unsafe { &mut *(ptr::from_mut(slots) as *mut [T]) };
                    kernel(part, at, part_of_results);
                },
            );
            at += length;
        }
    };
    if lengths.len() <= together {
        groups.for_each(compute);
    } else {
        groups.collect::<Vec<_>>().into_par_iter().for_each(compute);
    }
    // SAFETY: the parts are all of it, and each was written.
    unsafe { results.set_len(total) };
    results
}

/// The number of elements that are copied and then computed, small enough for the first-level cache.
const IN_CACHE: usize = 1 << 12;

/// Calls `kernel` on successive rows of a copy of `xs`, with the index of the first element. `block` elements are worth another thread.
#[inline(always)]
fn compute_copy<T: Real>(xs: &[T], row: usize, block: usize, kernel: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    let length = (IN_CACHE / row).max(1) * row;
    let mut lengths = vec![length; xs.len() / length];
    lengths.extend(Some(xs.len() % length).filter(|rest| *rest > 0));
    compute_parts(
        &lengths,
        &Start::From(xs),
        (block / length).max(1),
        #[inline(always)]
        |_, at, results| kernel(at, results),
    )
}

/// Calls `kernel` on successive rows of a copy of a tensor, which it replaces. `block` elements are worth another thread.
#[inline(always)]
pub(super) fn map_rows<T: Real>(
    x: &Tensor,
    row: usize,
    block: usize,
    kernel: impl Fn(&mut [T]) + Sync,
) -> Result<Tensor> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    let results = compute_copy(
        contiguous::<T>(&storage, layout)?,
        row,
        block,
        #[inline(always)]
        |_, results| kernel(results),
    );
    Tensor::from_vec(results, x.shape(), &Device::Cpu)
}

/// Computes `f` of each pair of elements of contiguous tensors of the same shape.
#[inline(always)]
pub(super) fn zip_elements<T: Real>(x: &Tensor, y: &Tensor, f: impl Fn(T, T) -> T + Sync) -> Result<Tensor> {
    let ((x_storage, x_layout), (y_storage, y_layout)) = (x.storage_and_layout(), y.storage_and_layout());
    let ys = contiguous::<T>(&y_storage, y_layout)?;
    let results = compute_copy(
        contiguous::<T>(&x_storage, x_layout)?,
        1,
        BLOCK_OF_SUMS,
        #[inline(always)]
        |at, results| {
            for (result, y) in results.iter_mut().zip(&ys[at..]) {
                *result = f(*result, *y);
            }
        },
    );
    Tensor::from_vec(results, x.shape(), &Device::Cpu)
}
