//! How the types in the list of operations cross to the shim: the layouts are those of shim/base.h.

use std::ffi::c_int;

use smallvec::SmallVec;

use super::handle::{Handle, Handles};
use super::{Made, RawArray, RawArrays};
use crate::dtype::Dtype;
use crate::error::Operand;
use crate::mlx::Array;

/// The type of an operation's argument.
pub trait Argument: Copy {
    /// The argument in MLX's own terms, to lend to the shim.
    type Lent;
    /// What crosses.
    type Raw;

    /// MLX counts in 32 bits; a number that does not fit is refused.
    fn lend(self) -> Made<Self::Lent>;

    /// Valid as long as `lent` stays where it is.
    fn raw(lent: &Self::Lent) -> Self::Raw;

    /// Adds the shapes and dtypes of arrays among the arguments, for an error's message.
    fn describe(self, _operands: &mut Vec<Operand>) {}
}

/// What an operation returns.
pub trait Output: Sized {
    /// What crosses.
    type Raw;

    /// What the shim answered; null is a failure.
    fn made(raw: Self::Raw) -> Made<Self>;
}

/// Integers on loan.
#[repr(C)]
pub struct Numbers {
    data: *const i32,
    count: usize,
}

impl Numbers {
    pub fn lent(numbers: &[i32]) -> Self {
        Self { data: numbers.as_ptr(), count: numbers.len() }
    }
}

/// Arrays on loan.
#[repr(C)]
pub struct List {
    data: *const *const RawArray,
    count: usize,
}

impl List {
    pub fn lent(arrays: &[Handle]) -> Self {
        // A handle is laid out as its pointer.
        Self { data: arrays.as_ptr().cast(), count: arrays.len() }
    }
}

/// The arrays as the handles that they are.
pub fn handles(arrays: &[Array]) -> &[Handle] {
    // SAFETY: an array is laid out as its one field, the handle.
    unsafe { std::slice::from_raw_parts(arrays.as_ptr().cast(), arrays.len()) }
}

/// Text on loan.
#[repr(C)]
pub struct Text {
    data: *const u8,
    size: usize,
}

/// A few integers by value: `Pair` and `Triple` there.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Few<const N: usize>([i32; N]);

fn length(length: usize) -> Made<i32> {
    i32::try_from(length).map_err(|_| format!("{length} is more than MLX counts to"))
}

/// The lengths of an array's axes, whose product MLX computes unchecked.
pub fn lengths(shape: &[usize]) -> Made<SmallVec<[i32; 8]>> {
    let size = shape.iter().try_fold(1_u64, |size, &length| size.checked_mul(u64::try_from(length).ok()?));
    let lengths = shape.iter().map(|&each| length(each)).collect::<Made<_>>()?;
    match size {
        Some(size) if size <= 1 << 48 => Ok(lengths),
        _ => Err(format!("an array of shape {shape:?} is too large")),
    }
}

macro_rules! as_they_are {
    ($($type:ty),*) => {$(
        impl Argument for $type {
            type Lent = Self;
            type Raw = Self;

            fn lend(self) -> Made<Self> {
                Ok(self)
            }

            fn raw(lent: &Self) -> Self {
                *lent
            }
        }
    )*};
}
as_they_are!(bool, i32, u64, f32, f64);

impl<'a> Argument for &'a Array {
    type Lent = &'a Array;
    type Raw = *const RawArray;

    fn lend(self) -> Made<Self> {
        Ok(self)
    }

    fn raw(lent: &Self) -> *const RawArray {
        lent.handle().raw()
    }

    fn describe(self, operands: &mut Vec<Operand>) {
        operands.push(Operand { shape: self.shape(), dtype: self.dtype() });
    }
}

impl<'a> Argument for Option<&'a Array> {
    type Lent = Option<&'a Array>;
    type Raw = *const RawArray;

    fn lend(self) -> Made<Self> {
        Ok(self)
    }

    fn raw(lent: &Self) -> *const RawArray {
        lent.map_or(std::ptr::null(), |array| array.handle().raw())
    }

    fn describe(self, operands: &mut Vec<Operand>) {
        operands.extend(self.map(|array| Operand { shape: array.shape(), dtype: array.dtype() }));
    }
}

impl<'a> Argument for &'a [Array] {
    type Lent = &'a [Array];
    type Raw = List;

    fn lend(self) -> Made<Self> {
        Ok(self)
    }

    fn raw(lent: &Self) -> List {
        List::lent(handles(lent))
    }

    fn describe(self, operands: &mut Vec<Operand>) {
        operands.extend(self.iter().map(|array| Operand { shape: array.shape(), dtype: array.dtype() }));
    }
}

impl Argument for isize {
    type Lent = i32;
    type Raw = i32;

    fn lend(self) -> Made<i32> {
        i32::try_from(self).map_err(|_| format!("there is no axis {self}"))
    }

    fn raw(lent: &i32) -> i32 {
        *lent
    }
}

impl Argument for usize {
    type Lent = i32;
    type Raw = i32;

    fn lend(self) -> Made<i32> {
        length(self)
    }

    fn raw(lent: &i32) -> i32 {
        *lent
    }
}

impl Argument for Dtype {
    type Lent = Self;
    type Raw = c_int;

    fn lend(self) -> Made<Self> {
        Ok(self)
    }

    fn raw(lent: &Self) -> c_int {
        *lent as c_int
    }
}

impl Argument for Option<f32> {
    type Lent = Self;
    type Raw = *const f32;

    fn lend(self) -> Made<Self> {
        Ok(self)
    }

    fn raw(lent: &Self) -> *const f32 {
        lent.as_ref().map_or(std::ptr::null(), std::ptr::from_ref)
    }
}

impl Argument for &[usize] {
    type Lent = SmallVec<[i32; 8]>;
    type Raw = Numbers;

    fn lend(self) -> Made<Self::Lent> {
        lengths(self)
    }

    fn raw(lent: &Self::Lent) -> Numbers {
        Numbers::lent(lent)
    }
}

impl Argument for &[isize] {
    type Lent = SmallVec<[i32; 8]>;
    type Raw = Numbers;

    fn lend(self) -> Made<Self::Lent> {
        self.iter().map(|axis| axis.lend()).collect()
    }

    fn raw(lent: &Self::Lent) -> Numbers {
        Numbers::lent(lent)
    }
}

impl Argument for &[(usize, usize)] {
    type Lent = SmallVec<[i32; 8]>;
    type Raw = Numbers;

    fn lend(self) -> Made<Self::Lent> {
        self.iter().flat_map(|&(before, after)| [length(before), length(after)]).collect()
    }

    fn raw(lent: &Self::Lent) -> Numbers {
        Numbers::lent(lent)
    }
}

impl Argument for (usize, usize) {
    type Lent = Few<2>;
    type Raw = Few<2>;

    fn lend(self) -> Made<Few<2>> {
        Ok(Few([length(self.0)?, length(self.1)?]))
    }

    fn raw(lent: &Few<2>) -> Few<2> {
        *lent
    }
}

impl Argument for (usize, usize, usize) {
    type Lent = Few<3>;
    type Raw = Few<3>;

    fn lend(self) -> Made<Few<3>> {
        Ok(Few([length(self.0)?, length(self.1)?, length(self.2)?]))
    }

    fn raw(lent: &Few<3>) -> Few<3> {
        *lent
    }
}

impl<'a> Argument for &'a str {
    type Lent = &'a str;
    type Raw = Text;

    fn lend(self) -> Made<Self> {
        Ok(self)
    }

    fn raw(lent: &Self) -> Text {
        Text { data: lent.as_ptr(), size: lent.len() }
    }
}

impl Output for Array {
    type Raw = *mut RawArray;

    fn made(raw: *mut RawArray) -> Made<Self> {
        Handle::made(raw).and_then(Self::new)
    }
}

impl Output for Vec<Array> {
    type Raw = *mut RawArrays;

    fn made(raw: *mut RawArrays) -> Made<Self> {
        Handles::made(raw)?.to_vec()?.into_iter().map(Array::new).collect()
    }
}

/// As many arrays as the operation always makes.
fn exactly<const N: usize>(raw: *mut RawArrays) -> Made<[Array; N]> {
    let arrays = <Vec<Array>>::made(raw)?;
    arrays.try_into().map_err(|arrays: Vec<Array>| format!("MLX made {} arrays, not {N}", arrays.len()))
}

impl Output for (Array, Array) {
    type Raw = *mut RawArrays;

    fn made(raw: *mut RawArrays) -> Made<Self> {
        exactly(raw).map(|[first, second]| (first, second))
    }
}

impl Output for (Array, Array, Array) {
    type Raw = *mut RawArrays;

    fn made(raw: *mut RawArrays) -> Made<Self> {
        exactly(raw).map(|[first, second, third]| (first, second, third))
    }
}
