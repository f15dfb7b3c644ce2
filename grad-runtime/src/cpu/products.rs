//! Products of matrices by the `gemm` crate, into memory that nothing else has written before.
//!
//! The result is cut into parts, each of which one thread computes from the first to the last element. So a thread finds in its cache
//! what it adds to, and no thread waits for another before the end.
#![allow(unsafe_code, reason = "gemm takes pointers")]
#![allow(clippy::inline_always, reason = "loops are compiled for several instruction sets, as rows.rs says")]

use std::mem::MaybeUninit;
use std::ops::Range;
use std::slice;

use candle_core::{D, DType, Device, Layout, Result, Storage, Tensor, WithDType};
use gemm::Parallelism;
use rayon::prelude::*;

use super::kernels::in_full_precision;
use super::rows::{self, Real, not_on_the_cpu};

/// The number of multiplications that are worth another thread.
const MULTIPLICATIONS: usize = 1 << 21;

/// The fewest rows of a part: with fewer, threads would read the right matrix more often than it pays.
const ROWS: usize = 192;

/// The columns of a part are a multiple of it: that many fill the registers of gemm's kernels.
const COLUMNS: usize = 64;

/// The most columns that gemm computes without copying the left matrix first, which is not worth it for few rows.
const STRIP: usize = 128;

/// The most rows for which gemm computes without copying the right matrix first.
const ROWS_WITHOUT_COPY: usize = 48;

/// Multiplies matrices, or batches of matrices whose leading axes are the same. Half precision is accumulated in float32.
pub(super) fn matmul(x: &Tensor, y: Right<'_>) -> Result<Tensor> {
    in_full_precision(x, |x| match x.dtype() {
        DType::F64 => multiply::<f64>(x, y, None),
        _ => multiply::<f32>(x, y, None),
    })
}

/// Computes `beta * c + alpha * (a @ b)` of two matrices and of a matrix or a row.
pub(super) fn addmm(c: &Tensor, a: &Tensor, b: Right<'_>, alpha: f32, beta: f32) -> Result<Tensor> {
    in_full_precision(a, |a| {
        let c = c.to_dtype(a.dtype())?.contiguous()?;
        match a.dtype() {
            DType::F64 => multiply::<f64>(a, b, Some((&c, alpha.into(), beta.into()))),
            _ => multiply::<f32>(a, b, Some((&c, alpha, beta))),
        }
    })
}

/// The right operand of a product.
#[derive(Clone, Copy)]
pub(super) struct Right<'a> {
    pub tensor: &'a Tensor,
    /// The same matrix in the order in which gemm's kernels read it.
    pub panels: Option<&'a Tensor>,
}

/// Copies a matrix to panels of [`COLUMNS`] columns, of which the last may be narrower. Each panel is contiguous, row after row. gemm
/// copies its operands to such panels in each product, which takes a fifth of the time if there are few rows on the left.
///
/// Returns `None` unless it is a matrix of floating point numbers with at least [`COLUMNS`] columns: narrower ones gain nothing.
pub(super) fn panels(matrix: &Tensor) -> Result<Option<Tensor>> {
    let columns = match matrix.dims() {
        [rows, columns] if *rows > 0 && *columns >= COLUMNS && matrix.dtype().is_float() => *columns,
        _ => return Ok(None),
    };
    let matrix = if matrix.dtype() == DType::F64 { matrix.clone() } else { matrix.to_dtype(DType::F32)? };
    let panels = (0..columns)
        .step_by(COLUMNS)
        .map(|column| matrix.narrow(1, column, COLUMNS.min(columns - column))?.flatten_all())
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(Tensor::cat(&panels, 0)?))
}

fn multiply<T: Real>(x: &Tensor, right: Right<'_>, added: Option<(&Tensor, T, T)>) -> Result<Tensor> {
    let (rows, length) = (x.dims()[x.rank() - 2], x.dim(D::Minus1)?);
    let columns = right.tensor.dim(D::Minus1)?;
    let mut shape = x.dims().to_vec();
    shape[x.rank() - 1] = columns;
    // A product of one row reads each element once, in any layout.
    let panels = right.panels.filter(|_| rows > 1);
    let y = match panels {
        Some(panels) => panels.clone(),
        None => right.tensor.to_dtype(T::DTYPE)?,
    };
    let ((x, x_layout), (y, y_layout)) = (x.storage_and_layout(), y.storage_and_layout());
    let added = added.map(|(c, alpha, beta)| (c.storage_and_layout(), alpha, beta));
    let added = match &added {
        Some(((c, layout), alpha, beta)) => Some(Added {
            elements: rows::contiguous(c, layout)?,
            row_stride: if layout.dims().len() == 1 { 0 } else { columns },
            factors: [*alpha, *beta],
        }),
        None => None,
    };
    let product = Product {
        left: Matrices::new(&x, x_layout)?,
        right: match panels {
            Some(_) => RightMatrices::Panels(rows::contiguous(&y, y_layout)?),
            None => RightMatrices::Strided(Matrices::new(&y, y_layout)?),
        },
        added,
        size: [rows, columns, length],
    };
    Tensor::from_vec(product.compute(), shape, &Device::Cpu)
}

/// A matrix, or a batch of matrices.
struct Matrices<'a, T> {
    elements: &'a [T],
    /// Where each matrix begins.
    starts: Vec<usize>,
    /// The distances of rows and of columns.
    strides: [usize; 2],
}

impl<'a, T: WithDType> Matrices<'a, T> {
    fn new(storage: &'a Storage, layout: &Layout) -> Result<Self> {
        let Storage::Cpu(storage) = storage else {
            return Err(not_on_the_cpu());
        };
        let (batch, strides) = layout.stride().split_last_chunk().expect("two axes or more");
        let mut starts = vec![layout.start_offset()];
        for (stride, length) in batch.iter().zip(layout.dims()) {
            starts = starts.iter().flat_map(|start| (0..*length).map(move |at| start + at * stride)).collect();
        }
        Ok(Self { elements: storage.as_slice()?, starts, strides: *strides })
    }

    /// Returns a pointer to the element at `row` and `column` of a matrix, the first of as many rows and columns as given.
    fn at(&self, matrix: usize, [row, column]: [usize; 2], [rows, columns]: [usize; 2]) -> *const T {
        let [of_row, of_column] = self.strides;
        let first = self.starts[matrix] + row * of_row + column * of_column;
        // Empty matrices have no first element, and gemm does not look for it.
        if rows > 0 && columns > 0 {
            let last = first + (rows - 1) * of_row + (columns - 1) * of_column;
            assert!(last < self.elements.len(), "a matrix ends outside its storage");
        }
        self.elements.as_ptr().wrapping_add(first)
    }
}

enum RightMatrices<'a, T> {
    Strided(Matrices<'a, T>),
    /// One matrix, as [`panels`] lays it out.
    Panels(&'a [T]),
}

/// What is added to a product: a matrix, or a row if `row_stride` is 0.
struct Added<'a, T> {
    elements: &'a [T],
    row_stride: usize,
    /// Of the product and of this.
    factors: [T; 2],
}

struct Product<'a, T> {
    left: Matrices<'a, T>,
    right: RightMatrices<'a, T>,
    added: Option<Added<'a, T>>,
    /// The numbers of rows and columns of a result, and the length of its sums.
    size: [usize; 3],
}

/// Some rows and columns of one matrix of the result.
struct Part {
    matrix: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<T: Real> Product<'_, T> {
    fn compute(&self) -> Vec<T> {
        let [rows, columns, length] = self.size;
        let batch = self.left.starts.len();
        let elements = batch * rows * columns;
        let mut results = Vec::with_capacity(elements);
        let target = Target(results.as_mut_ptr());
        if elements.saturating_mul(length) < 2 * MULTIPLICATIONS {
            (0..batch)
                .for_each(|matrix| self.compute_part(Part { matrix, rows: 0..rows, columns: 0..columns }, &target));
        } else {
            let parts = self.parts(batch, rayon::current_num_threads()).collect::<Vec<_>>();
            parts.into_par_iter().with_max_len(1).for_each(|part| self.compute_part(part, &target));
        }
        // SAFETY: it has the capacity, and the parts are all of the results.
        unsafe { results.set_len(elements) };
        results
    }

    /// Cuts the results into some parts for each thread, or, where there are few rows, into columns for each.
    fn parts(&self, batch: usize, threads: usize) -> impl Iterator<Item = Part> {
        let [rows, columns, length] = self.size;
        let wanted = (4 * threads).div_ceil(batch);
        let height = rows.div_ceil(wanted.min(rows / ROWS).max(1)).max(1);
        let in_rows = rows.div_ceil(height);
        let most = (columns * rows).saturating_mul(length) / MULTIPLICATIONS;
        // Panels are not copied, so more and narrower parts cost nothing and balance the threads.
        let parts = if matches!(self.right, RightMatrices::Panels(_)) { wanted } else { threads };
        let in_columns = if in_rows * batch >= threads { 1 } else { (parts / in_rows).min(most).max(1) };
        let width = columns.div_ceil(in_columns).next_multiple_of(COLUMNS);
        (0..batch).flat_map(move |matrix| {
            (0..rows).step_by(height).flat_map(move |row| {
                (0..columns).step_by(width).map(move |column| Part {
                    matrix,
                    rows: row..rows.min(row + height),
                    columns: column..columns.min(column + width),
                })
            })
        })
    }

    /// Writes each element of a part of the results.
    fn compute_part(&self, part: Part, target: &Target<T>) {
        let Part { matrix, rows, columns } = part;
        // What one call of gemm computes.
        let [height, width] = match self.right {
            RightMatrices::Panels(_) => [ROWS_WITHOUT_COPY, COLUMNS],
            RightMatrices::Strided(_) if rows.len() < ROWS => [rows.len(), STRIP],
            RightMatrices::Strided(_) => [rows.len(), columns.len()],
        };
        for column in columns.clone().step_by(width.max(1)) {
            for row in rows.clone().step_by(height.max(1)) {
                let rows = row..rows.end.min(row + height);
                let columns = column..columns.end.min(column + width);
                self.multiply_into(&Part { matrix, rows, columns }, target);
            }
        }
    }

    /// Writes a product, or what is added and then the product to it.
    fn multiply_into(&self, part: &Part, target: &Target<T>) {
        let [all_rows, all_columns, length] = self.size;
        let Part { matrix, rows, columns } = part;
        // SAFETY: the part lies within the capacity of the results.
        let first = unsafe { target.0.add((matrix * all_rows + rows.start) * all_columns + columns.start) };
        if let Some(Added { elements, row_stride, factors: [_, beta] }) = &self.added {
            for row in 0..rows.len() {
                let added = &elements[(rows.start + row) * row_stride..][columns.clone()];
                // SAFETY: the row lies within the capacity of the results, and is no other thread's.
                let results =
                    unsafe { slice::from_raw_parts_mut(first.add(row * all_columns).cast(), columns.len()) };
                rows::vectorized(
                    #[inline(always)]
                    || write_scaled(added, *beta, results),
                );
            }
        }
        let left = self.left.at(*matrix, [rows.start, 0], [rows.len(), length]);
        let (right, right_strides) = match &self.right {
            RightMatrices::Strided(matrices) => {
                (matrices.at(*matrix, [0, columns.start], [length, columns.len()]), matrices.strides)
            }
            RightMatrices::Panels(panels) => {
                let panel = &panels[columns.start * length..][..columns.len() * length];
                (panel.as_ptr(), [columns.len(), 1])
            }
        };
        let [[left_row, left_column], [right_row, right_column]] =
            [self.left.strides, right_strides].map(|strides| strides.map(usize::cast_signed));
        // SAFETY: `at` and the slice of panels have checked that the operands lie within their storage. The rows and columns lie within the
        // capacity of the results and are no other thread's; they are read only if something is added, which has been written before.
        unsafe {
            gemm::gemm(
                rows.len(),
                columns.len(),
                length,
                first,
                1,
                all_columns.cast_signed(),
                self.added.is_some(),
                left,
                left_column,
                left_row,
                right,
                right_column,
                right_row,
                T::one(),
                self.added.as_ref().map_or(T::one(), |added| added.factors[0]),
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}

/// Where the results are written.
struct Target<T>(*mut T);

// SAFETY: threads write to different parts.
unsafe impl<T: Send> Sync for Target<T> {}

/// Writes `factor` times each element to `results`.
#[inline(always)]
fn write_scaled<T: Real>(elements: &[T], factor: T, results: &mut [MaybeUninit<T>]) {
    for (result, x) in results.iter_mut().zip(elements) {
        result.write(factor * *x);
    }
}
