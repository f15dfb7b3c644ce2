//! How the arguments and outputs of operations cross. The table in `grad_mlx_sys`'s abi.rs has the type of each; one that
//! differs here does not compile.

use std::mem::ManuallyDrop;
use std::ptr;

use grad_mlx_sys as sys;

use super::FfiResult;
use super::handle::{Handle, array_slice, construct_list};
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
    /// The type of the parameter that says where the result is constructed.
    type Raw;

    /// Returns the result that a call to the shim constructs; false becomes the shim's message.
    ///
    /// # Safety
    ///
    /// If `call` returns true, it must have constructed the result where its argument says.
    unsafe fn construct(call: impl FnOnce(Self::Raw) -> bool) -> FfiResult<Self>;

    fn arrays(&self) -> Vec<Array>;
}

/// Returns the arrays as the handles that they are.
#[inline]
pub fn as_handles(arrays: &[Array]) -> &[Handle] {
    // SAFETY: an array has the layout of its one field, the handle.
    unsafe { std::slice::from_raw_parts(arrays.as_ptr().cast(), arrays.len()) }
}

/// Returns handles as the arrays that they become.
pub fn into_arrays(handles: Vec<Handle>) -> Vec<Array> {
    let mut handles = ManuallyDrop::new(handles);
    // SAFETY: the parts are those of a vector that is not used again, and an array has the layout of its one field, the handle.
    unsafe { Vec::from_raw_parts(handles.as_mut_ptr().cast(), handles.len(), handles.capacity()) }
}

/// Returns handles as arrays that belong to a trace, as [`Array::from_trace`] does.
pub fn as_traced(handles: &[Handle]) -> &[Array] {
    // SAFETY: an array has the layout of its one field, the handle.
    unsafe { std::slice::from_raw_parts(handles.as_ptr().cast(), handles.len()) }
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

            #[inline]
            fn convert(self) -> FfiResult<Self> {
                Ok(self)
            }

            #[inline]
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

    #[inline]
    fn convert(self) -> FfiResult<i32> {
        i32::try_from(self).map_err(|_| format!("axis {self} is out of bounds"))
    }

    #[inline]
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

    #[inline]
    fn convert(self) -> FfiResult<i32> {
        to_length(self)
    }

    #[inline]
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

    #[inline]
    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    #[inline]
    fn as_raw(converted: &Self) -> sys::Dtype {
        (*converted).into()
    }
}

impl Argument for Option<f32> {
    type Converted = Self;
    type Raw = *const f32;

    #[inline]
    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    #[inline]
    fn as_raw(converted: &Self) -> *const f32 {
        converted.as_ref().map_or(ptr::null(), ptr::from_ref)
    }
}

impl Argument for Option<usize> {
    type Converted = Option<i32>;
    type Raw = *const i32;

    #[inline]
    fn convert(self) -> FfiResult<Option<i32>> {
        self.map(to_length).transpose()
    }

    #[inline]
    fn as_raw(converted: &Option<i32>) -> *const i32 {
        converted.as_ref().map_or(ptr::null(), ptr::from_ref)
    }
}

impl Argument for Option<&[usize]> {
    type Converted = Option<IntArray>;
    type Raw = sys::IntSlice;

    #[inline]
    fn convert(self) -> FfiResult<Option<IntArray>> {
        self.map(to_lengths).transpose()
    }

    #[inline]
    fn as_raw(converted: &Option<IntArray>) -> sys::IntSlice {
        converted.as_ref().map_or(sys::IntSlice { data: ptr::null(), len: 0 }, |lengths| int_slice(lengths))
    }
}

impl Argument for &[usize] {
    type Converted = IntArray;
    type Raw = sys::IntSlice;

    #[inline]
    fn convert(self) -> FfiResult<IntArray> {
        to_lengths(self)
    }

    #[inline]
    fn as_raw(converted: &IntArray) -> sys::IntSlice {
        int_slice(converted)
    }

    fn describe(self, arguments: &mut Arguments) {
        arguments.lengths.push(self.to_vec());
    }
}

impl<'a> Argument for &'a [isize] {
    // The shim converts each of them, so that they need no place of their own here.
    type Converted = &'a [isize];
    type Raw = sys::AxisSlice;

    #[inline]
    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    #[inline]
    fn as_raw(converted: &Self) -> sys::AxisSlice {
        sys::AxisSlice { data: converted.as_ptr(), len: converted.len() }
    }

    fn describe(self, arguments: &mut Arguments) {
        arguments.axes.extend(self);
    }
}

impl Argument for &[(usize, usize)] {
    type Converted = IntArray;
    type Raw = sys::IntSlice;

    #[inline]
    fn convert(self) -> FfiResult<IntArray> {
        self.iter().flat_map(|&(before, after)| [to_length(before), to_length(after)]).collect()
    }

    #[inline]
    fn as_raw(converted: &IntArray) -> sys::IntSlice {
        int_slice(converted)
    }
}

impl Argument for (usize, usize) {
    type Converted = sys::IntPair;
    type Raw = sys::IntPair;

    #[inline]
    fn convert(self) -> FfiResult<sys::IntPair> {
        Ok(sys::IntPair { first: to_length(self.0)?, second: to_length(self.1)? })
    }

    #[inline]
    fn as_raw(converted: &sys::IntPair) -> sys::IntPair {
        *converted
    }
}

impl Argument for (usize, usize, usize) {
    type Converted = sys::IntTriple;
    type Raw = sys::IntTriple;

    #[inline]
    fn convert(self) -> FfiResult<sys::IntTriple> {
        Ok(sys::IntTriple { first: to_length(self.0)?, second: to_length(self.1)?, third: to_length(self.2)? })
    }

    #[inline]
    fn as_raw(converted: &sys::IntTriple) -> sys::IntTriple {
        *converted
    }
}

impl<'a> Argument for &'a str {
    type Converted = &'a str;
    type Raw = sys::Str;

    #[inline]
    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    #[inline]
    fn as_raw(converted: &Self) -> sys::Str {
        sys::Str { data: converted.as_ptr().cast(), len: converted.len() }
    }
}

impl<'a> Argument for &'a Array {
    type Converted = &'a Array;
    type Raw = *const sys::Array;

    #[inline]
    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    #[inline]
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

    #[inline]
    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    #[inline]
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

    #[inline]
    fn convert(self) -> FfiResult<Self> {
        Ok(self)
    }

    #[inline]
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

    #[inline]
    unsafe fn construct(call: impl FnOnce(*mut sys::Array) -> bool) -> FfiResult<Self> {
        // SAFETY: the caller guarantees it.
        unsafe { Handle::construct(call) }.and_then(Self::new)
    }

    fn arrays(&self) -> Vec<Array> {
        vec![self.clone()]
    }
}

impl Output for Vec<Array> {
    type Raw = sys::ArrayVec;

    #[inline]
    unsafe fn construct(call: impl FnOnce(sys::ArrayVec) -> bool) -> FfiResult<Self> {
        // SAFETY: the caller guarantees it.
        unsafe { construct_list(call) }.and_then(Array::new_all)
    }

    fn arrays(&self) -> Vec<Array> {
        self.clone()
    }
}

impl Output for (Array, Array) {
    type Raw = *mut sys::Array;

    #[inline]
    unsafe fn construct(call: impl FnOnce(*mut sys::Array) -> bool) -> FfiResult<Self> {
        // SAFETY: the caller guarantees it.
        let [first, second] = unsafe { Handle::construct_all(call) }?;
        Ok((Array::new(first)?, Array::new(second)?))
    }

    fn arrays(&self) -> Vec<Array> {
        vec![self.0.clone(), self.1.clone()]
    }
}

impl Output for (Array, Array, Array) {
    type Raw = *mut sys::Array;

    #[inline]
    unsafe fn construct(call: impl FnOnce(*mut sys::Array) -> bool) -> FfiResult<Self> {
        // SAFETY: the caller guarantees it.
        let [first, second, third] = unsafe { Handle::construct_all(call) }?;
        Ok((Array::new(first)?, Array::new(second)?, Array::new(third)?))
    }

    fn arrays(&self) -> Vec<Array> {
        vec![self.0.clone(), self.1.clone(), self.2.clone()]
    }
}
