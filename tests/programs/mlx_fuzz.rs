//! Calls the operations of the list with random, mostly invalid arguments.
//!
//! It is a program, since a bug that it looks for may end the process. `mlx/operations/invalid_calls.rs` runs it. To see the calls
//! FIRST to LAST of one operation, run `mlx-fuzz OPERATION FIRST LAST SEED verbose`.
//!
//! The arguments of a call depend only on the seed, the operation and the number of the call.

use std::cell::{Cell, OnceCell};
use std::fmt::Debug;

use grad_runtime::mlx::{self, Array, FftNorm, Indexing, PadMode, ScanBound, ScanDirection, Side, Triangle};
use grad_runtime::{Dtype, Result, no_grad};
use support::random::Random;

/// The size up to which results are computed.
const SMALL: usize = 1 << 14;
/// The bytes that a call may allocate to compute a small result from small operands.
const MEMORY: usize = 1 << 28;

/// Values that the arguments of one call borrow.
struct Slots<T> {
    slots: [OnceCell<T>; 8],
    used: Cell<usize>,
}

impl<T> Slots<T> {
    fn new() -> Self {
        Self { slots: [const { OnceCell::new() }; 8], used: Cell::new(0) }
    }

    fn keep(&self, value: T) -> &T {
        let at = self.used.replace(self.used.get() + 1);
        self.slots[at].get_or_init(|| value)
    }
}

/// The dtypes and elements with which an operand may be valid.
#[derive(Clone, Copy, Default)]
enum Kind {
    #[default]
    Any,
    Float,
    /// Any number.
    Integer,
    /// Small numbers.
    Index,
    Mask,
}

/// Arguments that fit each other.
#[derive(Default)]
struct Fitting {
    arrays: Vec<(Vec<usize>, Kind)>,
    /// The shape and kind of each array in a list.
    list: (Vec<usize>, Kind),
    lengths: Vec<usize>,
    axes: Vec<isize>,
    counts: Vec<usize>,
}

/// The arguments of one call.
struct Call {
    random: Random,
    operation: &'static str,
    /// No argument of this call is invalid on purpose.
    calm: bool,
    fitting: Fitting,
    counted: Cell<usize>,
    arrays: Slots<Array>,
    lists: Slots<Vec<Array>>,
    lengths: Slots<Vec<usize>>,
    axes: Slots<Vec<isize>>,
    widths: Slots<Vec<(usize, usize)>>,
    texts: Slots<String>,
}

const DTYPES: [Dtype; 14] = [
    Dtype::Float32,
    Dtype::Float16,
    Dtype::BFloat16,
    Dtype::Float64,
    Dtype::Complex64,
    Dtype::Int8,
    Dtype::Int16,
    Dtype::Int32,
    Dtype::Int64,
    Dtype::UInt8,
    Dtype::UInt16,
    Dtype::UInt32,
    Dtype::UInt64,
    Dtype::Bool,
];

impl Call {
    fn new(operation: &'static str, number: u64, seed: u64) -> Self {
        let name =
            operation.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        let random = Random::new(name.wrapping_add(number.wrapping_mul(0x2545_f491_4f6c_dd1d)));
        let mut call = Self {
            random,
            operation,
            calm: false,
            fitting: Fitting::default(),
            counted: Cell::new(0),
            arrays: Slots::new(),
            lists: Slots::new(),
            lengths: Slots::new(),
            axes: Slots::new(),
            widths: Slots::new(),
            texts: Slots::new(),
        };
        call.calm = call.random.once_in(2);
        call.fitting = call.fitting();
        call
    }

    /// Returns arguments with which a call of the operation passes the first checks.
    #[allow(clippy::too_many_lines, reason = "it is a table")]
    fn fitting(&self) -> Fitting {
        use Kind::{Any, Float, Index, Integer, Mask};
        let some = || 1 + self.random.below(4);
        let (a, b, c, d) = (some(), some(), some(), some());
        let of = |arrays: &[(&[usize], Kind)]| Fitting {
            arrays: arrays.iter().map(|&(shape, kind)| (shape.to_vec(), kind)).collect(),
            ..Fitting::default()
        };
        match self.operation {
            "methods::conv1d" | "methods::conv_transpose1d" => of(&[(&[a, 5, b], Float), (&[c, 2, b], Float)]),
            "methods::conv2d" | "methods::conv_transpose2d" => {
                of(&[(&[a, 4, 5, b], Float), (&[c, 2, 3, b], Float)])
            }
            "methods::conv3d" | "methods::conv_transpose3d" => {
                of(&[(&[a, 3, 4, 5, b], Float), (&[c, 2, 1, 3, b], Float)])
            }
            "methods::conv_general" => {
                Fitting { lengths: vec![some(), some()], ..of(&[(&[a, 4, 5, b], Float), (&[c, 2, 3, b], Float)]) }
            }
            "shared::matmul" => of(&[(&[a, b, c], Float), (&[a, c, d], Float)]),
            "functions::einsum" => of(&[(&[b, c], Float), (&[c, d], Float)]),
            "methods::tensordot" => Fitting { axes: vec![1], ..of(&[(&[a, b, c], Float), (&[d, b], Float)]) },
            "methods::gather_mm" => of(&[(&[a, b, c], Float), (&[a, c, d], Float), (&[2], Index), (&[2], Index)]),
            "shared::addmm" => of(&[(&[b, d], Float), (&[b, c], Float), (&[c, d], Float)]),
            "methods::quantize" => {
                Fitting { counts: vec![64, self.random.of(&[1, 2, 3, 4, 5, 6, 8])], ..of(&[(&[a, 64], Float)]) }
            }
            "methods::dequantize" => {
                Fitting { counts: vec![64, 4], ..of(&[(&[a, 8], Integer), (&[a, 1], Float), (&[a, 1], Float)]) }
            }
            "methods::quantized_matmul" => Fitting {
                counts: vec![64, 4],
                ..of(&[(&[b, 64], Float), (&[a, 8], Integer), (&[a, 1], Float), (&[a, 1], Float)])
            },
            "methods::gather_qmm" => Fitting {
                counts: vec![64, 4],
                ..of(&[
                    (&[c, b, 64], Float),
                    (&[c, a, 8], Integer),
                    (&[c, a, 1], Float),
                    (&[c, a, 1], Float),
                    (&[2], Index),
                    (&[2], Index),
                ])
            },
            "fast::scaled_dot_product_attention" | "fast::causal_attention" => {
                of(&[(&[a, b, c, d], Float), (&[a, b, c, d], Float), (&[a, b, c, d], Float), (&[c, c], Any)])
            }
            "fast::rope" => Fitting { counts: vec![4, 1], ..of(&[(&[a, b, c, 4], Float), (&[2], Float)]) },
            "fast::layer_norm" | "fast::rms_norm" | "shared::layer_norm" => {
                of(&[(&[a, b, c], Float), (&[c], Float), (&[c], Float)])
            }
            "fast::cross_entropy" | "shared::cross_entropy" => of(&[(&[a, b, c], Float), (&[a, b], Index)]),
            "shared::reshape" => Fitting {
                axes: vec![(a * b).cast_signed(), self.random.of(&[-1, c.cast_signed()])],
                ..of(&[(&[a, b, c], Any)])
            },
            "shared::one_hot" => of(&[(&[a, b], Index)]),
            "shared::narrow" => Fitting { counts: vec![0, 1], ..of(&[(&[a, b], Any)]) },
            operation if operation.starts_with("fft::") => {
                Fitting { axes: vec![0, 1], lengths: vec![b, d], ..of(&[(&[a, b, c], Float)]) }
            }
            "methods::searchsorted" => of(&[(&[a], Float), (&[b, c], Float)]),
            "shared::take_along_axis" | "shared::take" => of(&[(&[a, b, c], Any), (&[a, b, c], Index)]),
            "methods::put_along_axis" | "methods::scatter_add_axis" => {
                of(&[(&[a, b, c], Any), (&[a, b, c], Index), (&[a, b, c], Any)])
            }
            "methods::gather" => Fitting {
                list: (vec![d], Index),
                lengths: vec![1, b, c],
                axes: vec![0],
                ..of(&[(&[a, b, c], Any)])
            },
            "methods::scatter"
            | "methods::scatter_add"
            | "methods::scatter_prod"
            | "methods::scatter_max"
            | "methods::scatter_min" => {
                let of = of(&[(&[a, b, c], Any), (&[d, 1, b, c], Any)]);
                Fitting { list: (vec![d], Index), axes: vec![0], ..of }
            }
            "methods::bitwise_and"
            | "methods::bitwise_or"
            | "methods::bitwise_xor"
            | "methods::bitwise_invert"
            | "methods::left_shift"
            | "methods::right_shift"
            | "methods::floor_divide"
            | "methods::remainder"
            | "methods::divmod" => of(&[(&[a, b, c], Integer), (&[c], Integer)]),
            "methods::slice_update" | "methods::slice_update_add" => of(&[(&[a, b], Any), (&[], Any)]),
            "methods::masked_scatter" => of(&[(&[a, b, c], Any), (&[a, b], Mask), (&[a * b, c], Any)]),
            "methods::pad" => of(&[(&[a, b, c], Any), (&[], Any)]),
            operation if operation.starts_with("linalg::") => match operation {
                "linalg::cross" => of(&[(&[a, 3], Float), (&[a, 3], Float)]),
                "linalg::norm" | "linalg::qr" | "linalg::svd" | "linalg::pinv" => of(&[(&[a, b, c], Float)]),
                _ => of(&[(&[a, b, b], Float), (&[a, b, c], Float)]),
            },
            "random::uniform" | "random::truncated_normal" | "random::randint" => {
                of(&[(&[], Any), (&[], Any), (&[2], Integer)])
            }
            "random::bernoulli" => of(&[(&[], Any), (&[2], Integer)]),
            "random::categorical" | "random::permutation" => of(&[(&[a, b], Any), (&[2], Integer)]),
            operation if operation.starts_with("random::") => of(&[(&[2], Integer)]),
            _ => {
                let shape = self.shape();
                let row: &[usize] = shape.last().map_or(&[], std::slice::from_ref);
                let second = match self.random.below(4) {
                    0 => row,
                    1 => &[],
                    _ => &shape,
                };
                Fitting { list: (shape.clone(), Any), ..of(&[(&shape, Any), (second, Any), (&shape, Any)]) }
            }
        }
    }

    /// Returns the number of axes of the first operand.
    fn ndim(&self) -> usize {
        self.fitting.arrays.first().map_or(0, |(shape, _)| shape.len())
    }

    fn shape(&self) -> Vec<usize> {
        // Sometimes long enough for vectorized kernels.
        let length =
            || if self.random.once_in(40) { 70 } else { self.random.of(&[1, 2, 2, 3, 3, 4, 5, 1, 2, 3, 0]) };
        (0..self.random.below(5)).map(|_| length()).collect()
    }

    /// Returns true once in `times` calls, unless the call is calm.
    fn wild(&self, times: usize) -> bool {
        !self.calm && self.random.once_in(times)
    }

    /// Returns an operand, which usually fits.
    fn operand(&self, fitting: Option<&(Vec<usize>, Kind)>) -> Array {
        let random = &self.random;
        let (mut shape, kind) = match fitting {
            Some(fitting) if !self.wild(5) => fitting.clone(),
            _ => (self.shape(), Kind::Any),
        };
        if self.wild(8) && !shape.is_empty() {
            let axis = random.below(shape.len());
            shape[axis] = random.of(&[0, 1, 2, 3, 5, 7]);
        }
        self.array(&shape, kind)
    }

    fn array(&self, shape: &[usize], kind: Kind) -> Array {
        let random = &self.random;
        let dtype = match kind {
            _ if self.wild(6) => random.of(&DTYPES),
            Kind::Mask => Dtype::Bool,
            Kind::Float if random.once_in(4) => random.of(&DTYPES[..4]),
            Kind::Integer | Kind::Index => {
                random.of(&[Dtype::Int32, Dtype::UInt32, Dtype::UInt32, Dtype::Int64, Dtype::UInt8])
            }
            Kind::Any if random.once_in(2) => random.of(&DTYPES),
            _ => Dtype::Float32,
        };
        let size = shape.iter().product();
        // Operands with small elements pass more checks.
        let wild = self.wild(3) || matches!(kind, Kind::Integer | Kind::Any) && random.once_in(4);
        let array = match dtype {
            Dtype::Int32 => {
                let mild = [0, 1, 2, 1, 0, 3, -1];
                let any = [0, 1, -1, 2, 5, 31, 32, -33, i32::MAX, i32::MIN, 1 << 30, 65_536];
                let element = |_| if wild { random.of(&any) } else { random.of(&mild) };
                Array::from_slice(&(0..size).map(element).collect::<Vec<i32>>(), shape)
            }
            Dtype::UInt32 => {
                let mild = [0, 1, 2, 1, 0, 3];
                let any = [0, 1, 2, 5, 31, 32, 33, u32::MAX, 1 << 31, 1 << 30, 65_536];
                let element = |_| if wild { random.of(&any) } else { random.of(&mild) };
                Array::from_slice(&(0..size).map(element).collect::<Vec<u32>>(), shape)
            }
            Dtype::Bool => Array::from_slice(&(0..size).map(|_| random.once_in(2)).collect::<Vec<_>>(), shape),
            integer if integer.is_integer() => {
                let mild = [0, 1, 2, 1, 0, 3];
                let any = [0, 1, -1, 2, 63, 64, -65, 127, -128, 255, 65_535, i64::MAX, i64::MIN, 1 << 62, 1 << 32];
                let element = |_| if wild { random.of(&any) } else { random.of(&mild) };
                Array::from_slice(&(0..size).map(element).collect::<Vec<i64>>(), shape)
                    .and_then(|x| x.astype(integer))
            }
            dtype => {
                let mild = [0.5, 1.0, -1.0, 2.0, 0.0, 3.5, -0.25, 1.5];
                let any = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -1e20, 1e-30, -0.0, 1e10, 65_504.0];
                let element = |_| if wild { random.of(&any) } else { random.of(&mild) };
                Array::from_slice(&(0..size).map(element).collect::<Vec<f32>>(), shape)
                    .and_then(|x| x.astype(dtype))
            }
        };
        let array = array.expect("a small array");
        match random.below(6) {
            // A view whose rows are not contiguous.
            0 if shape.len() > 1 => {
                let reversed: Vec<isize> = (0..shape.len().cast_signed()).rev().collect();
                array.transpose(&reversed).and_then(|x| x.add(&x)).and_then(|x| x.transpose(&reversed))
            }
            1 => array.reshape(shape), // not computed yet
            _ => array.eval().map(|()| array),
        }
        .expect("a view of a small array")
    }
}

/// A type of argument, and how a value is chosen.
trait Argument<'a> {
    fn any(call: &'a Call) -> Self;
}

impl<'a> Argument<'a> for &'a Array {
    fn any(call: &'a Call) -> Self {
        call.arrays.keep(call.operand(call.fitting.arrays.get(call.arrays.used.get())))
    }
}

impl<'a> Argument<'a> for Option<&'a Array> {
    fn any(call: &'a Call) -> Self {
        if call.random.once_in(3) {
            call.arrays.used.set(call.arrays.used.get() + 1);
            return None;
        }
        Some(<&Array>::any(call))
    }
}

impl<'a> Argument<'a> for &'a [Array] {
    fn any(call: &'a Call) -> Self {
        let count = if call.calm { call.random.of(&[1, 1, 2]) } else { call.random.below(4) };
        let each = |at| match call.fitting.arrays.get(at) {
            // Operands that differ from each other.
            Some(fitting) if matches!(call.operation, "functions::einsum") => call.operand(Some(fitting)),
            _ => call.operand(Some(&call.fitting.list)),
        };
        call.lists.keep((0..count).map(each).collect())
    }
}

impl Argument<'_> for bool {
    fn any(call: &Call) -> Self {
        call.random.once_in(2)
    }
}

impl Argument<'_> for i32 {
    fn any(call: &Call) -> Self {
        let wild = [i32::MIN, i32::MAX, -100, 1 << 30, i32::MIN + 1, -7];
        if call.wild(3) { call.random.of(&wild) } else { call.random.of(&[0, 1, -1, 2, -2, 3]) }
    }
}

impl Argument<'_> for u64 {
    fn any(call: &Call) -> Self {
        call.random.bits()
    }
}

impl Argument<'_> for f32 {
    fn any(call: &Call) -> Self {
        let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -1.0, 1e-30, 0.0];
        if call.wild(2) { call.random.of(&wild) } else { call.random.of(&[1.0, 0.5, 1e-5, 2.0, 10_000.0]) }
    }
}

impl Argument<'_> for Option<f32> {
    fn any(call: &Call) -> Self {
        call.random.once_in(2).then(|| f32::any(call))
    }
}

impl Argument<'_> for f64 {
    fn any(call: &Call) -> Self {
        let wild =
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -1e300, 1e-300, 0.0, 1e9, 3e9, -3e9, 5e18, 1e19];
        if call.wild(2) { call.random.of(&wild) } else { call.random.of(&[0.0, 1.0, 5.0, -1.0, 0.5, 7.25, 10.0]) }
    }
}

impl Argument<'_> for usize {
    fn any(call: &Call) -> Self {
        let wild = [100, 1 << 16, (1 << 30) - 1, (1 << 31) - 1, 1 << 31, 1 << 32, usize::MAX, 1 << 62];
        let usual = [1, 1, 1, 1, 0, 2, 2, 3, 4, 5, 7, 8, 32, 64];
        let at = call.counted.replace(call.counted.get() + 1);
        match call.fitting.counts.get(at) {
            _ if call.wild(5) => call.random.of(&wild),
            Some(&count) if !call.wild(4) => count,
            _ if call.calm => call.random.of(&[1, 1, 1, 1, 2, 0]),
            _ => call.random.of(&usual),
        }
    }
}

impl Argument<'_> for Option<usize> {
    fn any(call: &Call) -> Self {
        call.random.once_in(2).then(|| usize::any(call))
    }
}

impl<'a> Argument<'a> for Option<&'a [usize]> {
    fn any(call: &'a Call) -> Self {
        call.random.once_in(2).then(|| <&[usize]>::any(call))
    }
}

impl Argument<'_> for isize {
    fn any(call: &Call) -> Self {
        let wild = [isize::MIN, isize::MAX, 1 << 31, -(1 << 31), (1 << 31) - 1, 1 << 32, 1000];
        let near = || call.random.below(13).cast_signed() - 6;
        match call.random.below(8) {
            0 if !call.calm => call.random.of(&wild),
            1..4 if !call.calm => near(),
            _ => call.random.of(&[0, -1, 1, 0, -1, 2, -2]),
        }
    }
}

impl Argument<'_> for Dtype {
    fn any(call: &Call) -> Self {
        if call.random.once_in(2) { Self::Float32 } else { call.random.of(&DTYPES) }
    }
}

impl<'a> Argument<'a> for &'a [usize] {
    fn any(call: &'a Call) -> Self {
        let random = &call.random;
        if !call.fitting.lengths.is_empty() && !call.wild(3) {
            let rest = call.lengths.used.get();
            // Lists of one call, such as paddings, differ.
            let lengths =
                call.fitting.lengths.iter().map(|&length| if rest == 0 { length } else { random.below(3) });
            return call.lengths.keep(lengths.collect());
        }
        let first = call.fitting.arrays.first().map(|(shape, _)| shape.clone()).unwrap_or_default();
        let lengths = match random.below(6) {
            0 if !call.calm => (0..random.below(5)).map(|_| usize::any(call)).collect(),
            1 => call.shape(),
            // Starts, stops and sizes within the first operand.
            2 | 3 => first.iter().map(|&length| random.below(length + 1)).collect(),
            4 => first,
            _ => vec![1; first.len()],
        };
        call.lengths.keep(lengths)
    }
}

impl<'a> Argument<'a> for &'a [isize] {
    fn any(call: &'a Call) -> Self {
        let count: usize = call.random.of(&[0, 1, 1, 1, 2, 2, 3, 4]);
        if !call.fitting.axes.is_empty() && !call.wild(3) {
            return call.axes.keep(call.fitting.axes.clone());
        }
        let axes = match call.random.below(4) {
            0 => (0..call.ndim().cast_signed()).rev().collect(),
            1 => (0..count.cast_signed()).collect(),
            _ => (0..count).map(|_| isize::any(call)).collect(),
        };
        call.axes.keep(axes)
    }
}

impl<'a> Argument<'a> for &'a [(usize, usize)] {
    fn any(call: &'a Call) -> Self {
        let count = if call.wild(3) { call.random.below(6) } else { call.ndim() };
        call.widths.keep((0..count).map(|_| <(usize, usize)>::any(call)).collect())
    }
}

impl Argument<'_> for (usize, usize) {
    fn any(call: &Call) -> Self {
        (usize::any(call), usize::any(call))
    }
}

impl Argument<'_> for (usize, usize, usize) {
    fn any(call: &Call) -> Self {
        (usize::any(call), usize::any(call), usize::any(call))
    }
}

macro_rules! enums {
    ($($name:ident: $($variant:ident),*;)*) => {$(
        impl Argument<'_> for $name {
            fn any(call: &Call) -> Self {
                call.random.of(&[$($name::$variant),*])
            }
        }
    )*};
}
enums! {
    PadMode: Constant, Edge, Reflect, Symmetric;
    Side: Left, Right;
    Indexing: Xy, Ij;
    ScanDirection: Forward, Reverse;
    ScanBound: Inclusive, Exclusive;
    Triangle: Lower, Upper;
    FftNorm: Backward, Ortho, Forward;
}

impl<'a> Argument<'a> for &'a str {
    fn any(call: &'a Call) -> Self {
        const LETTERS: [char; 14] = ['i', 'j', 'k', 'a', 'b', ',', ',', '-', '>', '.', ' ', '\0', 'ß', 'Z'];
        const TEXTS: [&str; 26] = [
            "same",
            "valid",
            "full",
            "",
            "\0",
            "ij\0",
            "é",
            "IJ",
            "ij,jk->ik",
            "ij,jk",
            "ii->i",
            "ii",
            "bij,bjk->bik",
            "...i,...i->...",
            "->",
            ",",
            "ij->",
            "i,j->ij",
            "ij->jiz",
            "ijk,ikl->ijl",
            "abc,acd->abd",
            "iii->i",
            "i,i,i->i",
            "ij,ij->",
            "i,->i",
            "...->...",
        ];
        if call.calm || call.random.once_in(2) {
            return call.random.of(&TEXTS);
        }
        if call.random.once_in(2) {
            let letters = (0..call.random.below(12)).map(|_| call.random.of(&LETTERS)).collect();
            return call.texts.keep(letters);
        }
        call.random.of(&TEXTS)
    }
}

/// The results of an operation, one or several.
trait Output {
    fn all(self) -> Vec<Array>;
}

impl Output for Array {
    fn all(self) -> Vec<Array> {
        vec![self]
    }
}

impl Output for Vec<Array> {
    fn all(self) -> Vec<Array> {
        self
    }
}

impl Output for (Array, Array) {
    fn all(self) -> Vec<Array> {
        vec![self.0, self.1]
    }
}

impl Output for (Array, Array, Array) {
    fn all(self) -> Vec<Array> {
        vec![self.0, self.1, self.2]
    }
}

/// Prints an argument and the elements of its arrays.
fn print_argument(value: &dyn Debug, arrays: &[&Array]) {
    eprintln!("    {value:?}");
    for array in arrays {
        eprintln!("      {:?}", array.to_buffer());
    }
}

/// The outcomes of the calls of one operation.
#[derive(Default)]
struct Tally {
    succeeded: usize,
    refused: usize,
    /// Calls that returned results whose evaluation failed.
    failed_later: usize,
    transformed: usize,
}

impl Tally {
    /// Counts a call, after computing its results where they are small.
    fn count<T: Output>(&mut self, result: Result<T>, verbose: bool) {
        match result {
            Err(error) => {
                if verbose {
                    eprintln!("  {error}");
                }
                // MLX's messages begin with the name of a C++ function in brackets.
                let message = error.to_string();
                let is_name = |rest: &str| rest.starts_with(|first: char| first.is_ascii_alphabetic());
                assert!(message.starts_with("cannot ") && !message.split('[').skip(1).any(is_name), "{message}");
                self.refused += 1;
            }
            Ok(output) => {
                let all = output.all();
                let mut computed = Ok(());
                for array in &all {
                    if verbose {
                        eprintln!("  returned {array:?}");
                    }
                    if array.size() <= SMALL {
                        computed = computed.and(array.to_buffer().map(|_| ()));
                    }
                }
                match computed {
                    Ok(()) => self.succeeded += 1,
                    Err(error) => {
                        if verbose {
                            eprintln!("  not computed: {error}");
                        }
                        self.failed_later += 1;
                    }
                }
            }
        }
    }
}

/// Returns the sum of all small results.
fn loss(results: Vec<Array>) -> Result<Array> {
    let mut sum = Array::zeros(&[], Dtype::Float32)?;
    for array in results {
        if array.size() <= SMALL {
            sum = sum.add(&array.astype(Dtype::Float32)?.sum_all()?)?;
        }
    }
    Ok(sum)
}

/// Calls the operation under a transform of its arrays.
fn transformed(
    tally: &mut Tally,
    number: u64,
    primals: &[Array],
    operation: &dyn Fn(&[Array]) -> Result<Vec<Array>>,
    verbose: bool,
) {
    if primals.is_empty() {
        return;
    }
    tally.transformed += 1;
    let result = match number % 4 {
        0 => Array::grad(|x| loss(operation(x)?), primals),
        1 => Array::grad(|x| loss(no_grad!(operation(x)?)), primals),
        2 => {
            let axes: Vec<_> = primals.iter().map(|x| (x.ndim() > 0).then_some(0)).collect();
            mlx::vmap(|x| Ok(vec![loss(operation(x)?)?]), primals, &axes, &[0])
        }
        _ => {
            let tangents: Result<Vec<_>> = primals.iter().map(Array::ones_like).collect();
            let tangents = tangents.expect("small arrays");
            mlx::jvp(|x| Ok(vec![loss(operation(x)?)?]), primals, &tangents).map(|(_, tangents)| tangents)
        }
    };
    match result {
        Err(error) if verbose => eprintln!("  transformed: {error}"),
        Err(_) => {}
        Ok(derived) => {
            for array in derived {
                let computed = array.to_buffer();
                if verbose {
                    eprintln!("  derived {computed:?}");
                }
            }
        }
    }
}

/// An argument of a transformed operation. The transform traces arrays: all of them where `every` is set, otherwise those of
/// float dtypes, which alone are differentiable. Other arguments are passed on.
trait Traced<'a>: Argument<'a> + Copy {
    type With<'b>
    where
        'a: 'b;

    fn primals(self, _every: bool, _all: &mut Vec<Array>) {}

    /// Returns the argument, with its arrays replaced by those of `x` from `at` on.
    fn traced<'b>(self, every: bool, x: &'b [Array], at: &mut usize) -> Self::With<'b>
    where
        'a: 'b;
}

macro_rules! not_traced {
    ($($type:ty),*) => {$(
        impl<'a> Traced<'a> for $type {
            type With<'b> = Self where 'a: 'b;

            fn traced<'b>(self, _every: bool, _x: &'b [Array], _at: &mut usize) -> Self where 'a: 'b {
                self
            }
        }
    )*};
}
not_traced!(bool, i32, u64, f32, f64, Option<f32>, usize, isize, Dtype, (usize, usize), (usize, usize, usize));
not_traced!(PadMode, Side, Indexing, ScanDirection, ScanBound, Triangle, FftNorm, Option<usize>);
not_traced!(Option<&'a [usize]>, &'a [usize], &'a [isize], &'a [(usize, usize)], &'a str);

impl<'a> Traced<'a> for &'a [Array] {
    type With<'b>
        = &'b [Array]
    where
        'a: 'b;

    fn primals(self, every: bool, all: &mut Vec<Array>) {
        if every || self.iter().all(|array| array.dtype().is_inexact()) {
            all.extend_from_slice(self);
        }
    }

    fn traced<'b>(self, every: bool, x: &'b [Array], at: &mut usize) -> &'b [Array]
    where
        'a: 'b,
    {
        if every || self.iter().all(|array| array.dtype().is_inexact()) {
            *at += self.len();
            &x[*at - self.len()..*at]
        } else {
            self
        }
    }
}

impl<'a> Traced<'a> for &'a Array {
    type With<'b>
        = &'b Array
    where
        'a: 'b;

    fn primals(self, every: bool, all: &mut Vec<Array>) {
        std::slice::from_ref(self).primals(every, all);
    }

    fn traced<'b>(self, every: bool, x: &'b [Array], at: &mut usize) -> &'b Array
    where
        'a: 'b,
    {
        &std::slice::from_ref(self).traced(every, x, at)[0]
    }
}

impl<'a> Traced<'a> for Option<&'a Array> {
    type With<'b>
        = Option<&'b Array>
    where
        'a: 'b;

    fn primals(self, every: bool, all: &mut Vec<Array>) {
        if let Some(array) = self {
            array.primals(every, all);
        }
    }

    fn traced<'b>(self, every: bool, x: &'b [Array], at: &mut usize) -> Option<&'b Array>
    where
        'a: 'b,
    {
        self.map(|array| array.traced(every, x, at))
    }
}

struct Run {
    first: u64,
    last: u64,
    seed: u64,
    verbose: bool,
}

macro_rules! one_operation {
    ($path:expr, $name:expr, ($($argument:ident: $type:ty),*), $run:expr) => {{
        let Run { first, last, seed, verbose } = *$run;
        let mut tally = Tally::default();
        for number in first..last {
            // A line for each call, flushed at once, tells the parent process which call was the last.
            println!("{} {number}", $name);
            let call = Call::new($name, number, seed);
            $(let $argument = <$type as Argument>::any(&call);)*
            if verbose {
                eprintln!("{} {number}", $name);
                $(
                    let mut arrays = Vec::new();
                    $argument.primals(true, &mut arrays);
                    print_argument(&$argument, &arrays.iter().collect::<Vec<_>>());
                )*
            }
            mlx::reset_peak_memory().expect("MLX is loaded");
            tally.count($path($($argument),*), verbose);
            if number % 3 == 0 {
                let every = number / 3 % 4 == 2;
                #[allow(unused_mut, reason = "not all operations take arrays")]
                let mut operands = Vec::new();
                $($argument.primals(every, &mut operands);)*
                transformed(
                    &mut tally,
                    number / 3,
                    &operands,
                    &|x: &[Array]| {
                        #[allow(unused_mut, unused_variables, reason = "not all operations take arrays")]
                        let mut at = 0;
                        Ok($path($($argument.traced(every, x, &mut at)),*)?.all())
                    },
                    verbose,
                );
            }
            let peak = mlx::peak_memory().expect("MLX is loaded");
            assert!(peak < MEMORY, "call {number} of {} took {peak} bytes", $name);
        }
        eprintln!(
            "{}: {} succeeded, {} were refused, {} failed when computed, {} were transformed",
            $name, tally.succeeded, tally.refused, tally.failed_later, tally.transformed
        );
    }};
}

macro_rules! path {
    ($kind:ident $section:ident $name:ident shared $($flag:ident)*) => {
        <Array as grad_runtime::Array>::$name
    };
    (methods $section:ident $name:ident $($flag:ident)*) => {
        Array::$name
    };
    (functions $section:ident $name:ident $($flag:ident)*) => {
        mlx::$name
    };
    (module $section:ident $name:ident $($flag:ident)*) => {
        mlx::$section::$name
    };
}

/// The name of an operation, with its place: `shared` by both backends, one of the `methods` or `functions`, or in a module.
macro_rules! full_name {
    ($kind:ident $section:ident $name:ident shared $($flag:ident)*) => {
        concat!("shared::", stringify!($name))
    };
    (module $section:ident $name:ident $($flag:ident)*) => {
        concat!(stringify!($section), "::", stringify!($name))
    };
    ($kind:ident $section:ident $name:ident $($flag:ident)*) => {
        concat!(stringify!($kind), "::", stringify!($name))
    };
}

macro_rules! by_name {
    ($($(#[$about:meta])* $kind:ident $section:ident {$(
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty $(, $flag:ident)*;
    )*})*) => {
        const NAMES: &[&str] = &[$($(full_name!($kind $section $name $($flag)*),)*)*];

        fn run(operation: &str, run: &Run) {
            $(mod $section {
                use super::*;
                $(pub fn $name(run: &Run) {
                    one_operation!(
                        path!($kind $section $name $($flag)*),
                        full_name!($kind $section $name $($flag)*),
                        ($($argument: $type),*),
                        run
                    );
                })*
            })*
            match operation {
                $($(full_name!($kind $section $name $($flag)*) => $section::$name(run),)*)*
                _ => panic!("there is no operation {operation}: name it with its section"),
            }
        }
    };
}

grad_mlx_sys::for_each_op!(by_name);

fn main() {
    let mut words = std::env::args().skip(1);
    let Some(operation) = words.next() else {
        for name in NAMES {
            println!("{name}");
        }
        return;
    };
    let mut number = |default| words.next().map_or(default, |word| word.parse().expect("a number"));
    let (first, last, seed) = (number(0), number(100), number(1));
    let verbose = words.next().is_some();
    run(&operation, &Run { first, last, seed, verbose });
    println!("{operation} done");
}
