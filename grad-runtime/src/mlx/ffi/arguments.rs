//! How the arguments and outputs of operations cross. The table in `grad_mlx_sys`'s abi.rs has the type of each; one that
//! differs here does not compile.

use std::ptr;

use grad_mlx_sys as sys;

use super::FfiResult;
use super::handle::{Handle, array_slice, from_raw_list};
use super::integers::{IntArray, int_slice, to_length, to_lengths};
use super::refusals::Arguments;
use crate::dtype::Dtype;
use crate::error::Operand;
use crate::mlx::Array;

/// The type of an operation's argument.
pub trait Argument: Copy {
    /// The argument as MLX takes it.
    type Converted;
    /// The type that crosses.
    type Raw;

    /// Converts the argument. MLX counts in 32 bits, so a number that does not fit is an error.
    fn convert(self) -> FfiResult<Self::Converted>;

    /// Returns the value that crosses. It may point into `converted`.
    fn as_raw(converted: &Self::Converted) -> Self::Raw;

    /// Adds what the reason of an error may depend on: shapes, dtypes, axes and lengths.
    fn describe(self, _arguments: &mut Arguments) {}

    /// Returns the arrays among the argument.
    fn arrays(self) -> Vec<Array> {
        Vec::new()
    }
}

/// The type that an operation returns.
pub trait Output: Sized {
    /// The type that crosses.
    type Raw;

    /// Takes ownership of an array or list from the shim; null becomes the shim's message.
    ///
    /// # Safety
    ///
    /// `raw` must be null or an array or a list that no one else owns.
    unsafe fn from_raw(raw: Self::Raw) -> FfiResult<Self>;

    fn arrays(&self) -> Vec<Array>;
}

/// Returns the arrays as the handles that they are.
pub fn as_handles(arrays: &[Array]) -> &[Handle] {
    // SAFETY: an array has the layout of its one field, the handle.
    unsafe { std::slice::from_raw_parts(arrays.as_ptr().cast(), arrays.len()) }
}

fn describe(array: &Array) -> Operand {
    Operand { shape: array.shape(), dtype: array.dtype() }
}

/// Arguments that cross as they are.
macro_rules! unchanged {
    ($($type:ty),*) => {$(
        impl Argument for $type {
            type Converted = Self;
            type Raw = Self;

            fn convert(self) -> FfiResult<Self> {
                Ok(self)
            }

            fn as_raw(converted: &Self) -> Self {
                *converted
            }
        }
    )*};
}
unchanged!(bool, i32, u64, f32, f64);
unchanged!(sys::PadMode, sys::Side, sys::Indexing, sys::ScanDirection, sys::ScanBound, sys::Triangle, sys::FftNorm);

impl Argument for isize {
    type Converted = i32;
    type Raw = i32;

    fn convert(self) -> FfiResult<i32> {
        i32::try_from(self).map_err(|_| format!("axis {self} is out of bounds"))
    }

    fn as_raw(converted: &i32) -> i32 {
        *converted
    }

    fn describe(self, arguments: &mut Arguments) {
        arguments.axes.push(self);
    }
}

impl Argument for usize {
    type Converted = i32;
    type Raw = i32;

    fn convert(self) -> FfiResult<i32> {
        to_length(self)
    }

    fn as_raw(converted: &i32) -> i32 {
        *converted
    }

    fn describe(self, arguments: &mut Arguments) {
        arguments.counts.push(self);
    }
}

impl Argument for Dtype {
    type Converted = Self;
    type Raw = sys::Dtype;

    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    fn as_raw(converted: &Self) -> sys::Dtype {
        (*converted).into()
    }
}

impl Argument for Option<f32> {
    type Converted = Self;
    type Raw = *const f32;

    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    fn as_raw(converted: &Self) -> *const f32 {
        converted.as_ref().map_or(ptr::null(), ptr::from_ref)
    }
}

impl Argument for Option<usize> {
    type Converted = Option<i32>;
    type Raw = *const i32;

    fn convert(self) -> FfiResult<Option<i32>> {
        self.map(to_length).transpose()
    }

    fn as_raw(converted: &Option<i32>) -> *const i32 {
        converted.as_ref().map_or(ptr::null(), ptr::from_ref)
    }
}

impl Argument for Option<&[usize]> {
    type Converted = Option<IntArray>;
    type Raw = sys::IntSlice;

    fn convert(self) -> FfiResult<Option<IntArray>> {
        self.map(to_lengths).transpose()
    }

    fn as_raw(converted: &Option<IntArray>) -> sys::IntSlice {
        converted.as_ref().map_or(sys::IntSlice { data: ptr::null(), len: 0 }, |lengths| int_slice(lengths))
    }
}

impl Argument for &[usize] {
    type Converted = IntArray;
    type Raw = sys::IntSlice;

    fn convert(self) -> FfiResult<IntArray> {
        to_lengths(self)
    }

    fn as_raw(converted: &IntArray) -> sys::IntSlice {
        int_slice(converted)
    }

    fn describe(self, arguments: &mut Arguments) {
        arguments.lengths.push(self.to_vec());
    }
}

impl Argument for &[isize] {
    type Converted = IntArray;
    type Raw = sys::IntSlice;

    fn convert(self) -> FfiResult<IntArray> {
        self.iter().map(|axis| axis.convert()).collect()
    }

    fn as_raw(converted: &IntArray) -> sys::IntSlice {
        int_slice(converted)
    }

    fn describe(self, arguments: &mut Arguments) {
        arguments.axes.extend(self);
    }
}

impl Argument for &[(usize, usize)] {
    type Converted = IntArray;
    type Raw = sys::IntSlice;

    fn convert(self) -> FfiResult<IntArray> {
        self.iter().flat_map(|&(before, after)| [to_length(before), to_length(after)]).collect()
    }

    fn as_raw(converted: &IntArray) -> sys::IntSlice {
        int_slice(converted)
    }
}

impl Argument for (usize, usize) {
    type Converted = sys::IntPair;
    type Raw = sys::IntPair;

    fn convert(self) -> FfiResult<sys::IntPair> {
        Ok(sys::IntPair { first: to_length(self.0)?, second: to_length(self.1)? })
    }

    fn as_raw(converted: &sys::IntPair) -> sys::IntPair {
        *converted
    }
}

impl Argument for (usize, usize, usize) {
    type Converted = sys::IntTriple;
    type Raw = sys::IntTriple;

    fn convert(self) -> FfiResult<sys::IntTriple> {
        Ok(sys::IntTriple { first: to_length(self.0)?, second: to_length(self.1)?, third: to_length(self.2)? })
    }

    fn as_raw(converted: &sys::IntTriple) -> sys::IntTriple {
        *converted
    }
}

impl<'a> Argument for &'a str {
    type Converted = &'a str;
    type Raw = sys::Str;

    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    fn as_raw(converted: &Self) -> sys::Str {
        sys::Str { data: converted.as_ptr().cast(), len: converted.len() }
    }
}

impl<'a> Argument for &'a Array {
    type Converted = &'a Array;
    type Raw = *const sys::Array;

    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    fn as_raw(converted: &Self) -> *const sys::Array {
        converted.handle().as_raw()
    }

    fn describe(self, arguments: &mut Arguments) {
        arguments.operands.push(describe(self));
    }

    fn arrays(self) -> Vec<Array> {
        vec![self.clone()]
    }
}

impl<'a> Argument for Option<&'a Array> {
    type Converted = Option<&'a Array>;
    type Raw = *const sys::Array;

    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    fn as_raw(converted: &Self) -> *const sys::Array {
        converted.map_or(ptr::null(), |array| array.handle().as_raw())
    }

    fn describe(self, arguments: &mut Arguments) {
        arguments.operands.extend(self.map(describe));
    }

    fn arrays(self) -> Vec<Array> {
        self.cloned().into_iter().collect()
    }
}

impl<'a> Argument for &'a [Array] {
    type Converted = &'a [Array];
    type Raw = sys::ArraySlice;

    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    fn as_raw(converted: &Self) -> sys::ArraySlice {
        array_slice(as_handles(converted))
    }

    fn describe(self, arguments: &mut Arguments) {
        arguments.operands.extend(self.iter().map(describe));
    }

    fn arrays(self) -> Vec<Array> {
        self.to_vec()
    }
}

impl Output for Array {
    type Raw = *mut sys::Array;

    unsafe fn from_raw(raw: *mut sys::Array) -> FfiResult<Self> {
        // SAFETY: the caller guarantees it.
        unsafe { Handle::from_raw(raw) }.and_then(Self::new)
    }

    fn arrays(&self) -> Vec<Array> {
        vec![self.clone()]
    }
}

impl Output for Vec<Array> {
    type Raw = *mut sys::Arrays;

    unsafe fn from_raw(raw: *mut sys::Arrays) -> FfiResult<Self> {
        // SAFETY: the caller guarantees it.
        unsafe { from_raw_list(raw) }?.into_iter().map(Array::new).collect()
    }

    fn arrays(&self) -> Vec<Array> {
        self.clone()
    }
}

/// Takes the arrays out of a list of known length.
///
/// # Safety
///
/// As of [`Output::from_raw`].
unsafe fn from_raw_array<const N: usize>(raw: *mut sys::Arrays) -> FfiResult<[Array; N]> {
    // SAFETY: the caller guarantees it.
    let arrays = unsafe { <Vec<Array>>::from_raw(raw) }?;
    arrays.try_into().map_err(|arrays: Vec<Array>| format!("MLX returned {} arrays, not {N}", arrays.len()))
}

impl Output for (Array, Array) {
    type Raw = *mut sys::Arrays;

    unsafe fn from_raw(raw: *mut sys::Arrays) -> FfiResult<Self> {
        // SAFETY: the caller guarantees it.
        unsafe { from_raw_array(raw) }.map(|[first, second]| (first, second))
    }

    fn arrays(&self) -> Vec<Array> {
        vec![self.0.clone(), self.1.clone()]
    }
}

impl Output for (Array, Array, Array) {
    type Raw = *mut sys::Arrays;

    unsafe fn from_raw(raw: *mut sys::Arrays) -> FfiResult<Self> {
        // SAFETY: the caller guarantees it.
        unsafe { from_raw_array(raw) }.map(|[first, second, third]| (first, second, third))
    }

    fn arrays(&self) -> Vec<Array> {
        vec![self.0.clone(), self.1.clone(), self.2.clone()]
    }
}
