//! How the arguments and outputs of operations cross. The table in `grad_mlx_sys`'s abi.rs has the type of each; one that
//! differs here does not compile.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr;

use grad_mlx_sys as sys;

use super::FfiResult;
use super::handle::{Handle, HandleList, array_slice};
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
    /// The memory where it is.
    type Place;

    fn new_place() -> Self::Place;

    fn as_raw(place: &mut Self::Place) -> Self::Raw;

    /// Borrows the arrays that the result consists of.
    ///
    /// # Safety
    ///
    /// The result must be constructed.
    unsafe fn arrays(place: &mut Self::Place) -> &mut [Array];

    /// Returns the result.
    ///
    /// # Safety
    ///
    /// It must be constructed.
    unsafe fn assume_init(place: Self::Place) -> Self;
}

/// Returns the arrays as the handles that they are.
#[inline]
pub fn as_handles(arrays: &[Array]) -> &[Handle] {
    // SAFETY: an array has the layout of its one field, the handle.
    unsafe { std::slice::from_raw_parts(arrays.as_ptr().cast(), arrays.len()) }
}

/// Returns handles as the arrays that they become.
#[inline]
fn into_arrays(handles: Vec<Handle>) -> Vec<Array> {
    let mut handles = ManuallyDrop::new(handles);
    // SAFETY: the parts are those of a vector that is not used again, and an array has the layout of its one field, the handle.
    unsafe { Vec::from_raw_parts(handles.as_mut_ptr().cast(), handles.len(), handles.capacity()) }
}

/// Returns handles as the arrays that they become.
fn as_arrays_mut(handles: &mut [Handle]) -> &mut [Array] {
    // SAFETY: an array has the layout of its one field, the handle.
    unsafe { std::slice::from_raw_parts_mut(handles.as_mut_ptr().cast(), handles.len()) }
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

#[cold]
fn wide_axis(axis: isize) -> String {
    format!("axis {axis} is out of bounds")
}

impl Argument for isize {
    type Converted = i32;
    type Raw = i32;

    #[inline]
    fn convert(self) -> FfiResult<i32> {
        i32::try_from(self).map_err(|_| wide_axis(self))
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
    type Place = MaybeUninit<Self>;

    #[inline]
    fn new_place() -> MaybeUninit<Self> {
        MaybeUninit::uninit()
    }

    #[inline]
    fn as_raw(place: &mut MaybeUninit<Self>) -> *mut sys::Array {
        place.as_mut_ptr().cast()
    }

    unsafe fn arrays(place: &mut MaybeUninit<Self>) -> &mut [Self] {
        // SAFETY: the caller guarantees it.
        std::slice::from_mut(unsafe { place.assume_init_mut() })
    }

    #[inline]
    unsafe fn assume_init(place: MaybeUninit<Self>) -> Self {
        // SAFETY: the caller guarantees it.
        unsafe { place.assume_init() }
    }
}

impl Output for Vec<Array> {
    type Raw = sys::ArrayVec;
    type Place = HandleList;

    #[inline]
    fn new_place() -> HandleList {
        HandleList::default()
    }

    #[inline]
    fn as_raw(place: &mut HandleList) -> sys::ArrayVec {
        place.as_raw()
    }

    unsafe fn arrays(place: &mut HandleList) -> &mut [Array] {
        // SAFETY: the caller guarantees it.
        as_arrays_mut(unsafe { place.assume_init_mut() })
    }

    #[inline]
    unsafe fn assume_init(place: HandleList) -> Self {
        // SAFETY: the caller guarantees it.
        into_arrays(unsafe { place.assume_init() })
    }
}

macro_rules! tuples {
    ($($count:literal: $tuple:ty = ($($name:ident),*);)*) => {$(
        impl Output for $tuple {
            type Raw = *mut sys::Array;
            type Place = MaybeUninit<[Array; $count]>;

            #[inline]
            fn new_place() -> MaybeUninit<[Array; $count]> {
                MaybeUninit::uninit()
            }

            #[inline]
            fn as_raw(place: &mut MaybeUninit<[Array; $count]>) -> *mut sys::Array {
                place.as_mut_ptr().cast()
            }

            unsafe fn arrays(place: &mut MaybeUninit<[Array; $count]>) -> &mut [Array] {
                // SAFETY: the caller guarantees it.
                unsafe { place.assume_init_mut() }
            }

            #[inline]
            unsafe fn assume_init(place: MaybeUninit<[Array; $count]>) -> Self {
                // SAFETY: the caller guarantees it.
                let [$($name),*] = unsafe { place.assume_init() };
                ($($name),*)
            }
        }
    )*};
}
tuples! {
    2: (Array, Array) = (first, second);
    3: (Array, Array, Array) = (first, second, third);
}
