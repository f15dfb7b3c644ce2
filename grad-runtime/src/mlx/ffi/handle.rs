//! `Handle`: an array of MLX, owned; and lists of them.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use super::arguments::{List, Numbers};
use super::{Made, RawArray, RawArrays, available, done, entered, last_error, loaded};
use crate::dtype::Dtype;
use crate::error::Result;

/// An array of MLX, owned. MLX ties arrays to the thread that traces and evaluates them, so this one stays there.
///
/// It is laid out as the pointer that it is, so that a slice of handles is a list of arrays to the shim.
#[repr(transparent)]
pub struct Handle(NonNull<RawArray>);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle owns its array and is gone after this.
        unsafe { (loaded().free)(self.0.as_ptr()) }
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        // SAFETY: the array is alive.
        Self::made(unsafe { (loaded().clone)(self.raw()) })
            .expect("copying a reference to an array fails only without memory")
    }
}

/// An element type that MLX reads as it lies in memory.
///
/// # Safety
///
/// Every bit pattern that MLX writes for the dtype numbered `DTYPE` in the shim must be a value of the type.
pub unsafe trait Plain: Copy + Default {
    const DTYPE: c_int;
}

macro_rules! plain {
    ($($element:ty => $dtype:ident),*) => {$(
        // SAFETY: the types are MLX's own; MLX writes bools as 0 and 1.
        unsafe impl Plain for $element {
            const DTYPE: c_int = Dtype::$dtype as c_int;
        }
    )*};
}
plain!(f32 => Float32, half::f16 => Float16, half::bf16 => BFloat16, i32 => Int32, u32 => UInt32, bool => Bool);

impl Handle {
    pub fn raw(&self) -> *const RawArray {
        self.0.as_ptr()
    }

    /// What the shim answered; from here on it is this side's.
    pub(super) fn made(raw: *mut RawArray) -> Made {
        NonNull::new(raw).map(Self).ok_or_else(last_error)
    }

    /// An array with a copy of `elements`, which must be as many as `shape` says.
    pub fn from_data<T: Plain>(elements: &[T], shape: &[i32]) -> Result<Made> {
        let api = available()?;
        assert_eq!(
            shape.iter().map(|&length| i64::from(length)).product::<i64>(),
            i64::try_from(elements.len()).unwrap_or(-1),
            "the caller checks the shape"
        );
        // SAFETY: the elements are as many as the shape says, and lie as the dtype has them.
        let raw = unsafe { (api.from_data)(elements.as_ptr().cast(), Numbers::lent(shape), T::DTYPE) };
        Ok(Self::made(raw))
    }

    pub fn full(shape: &[i32], value: f32, dtype: c_int) -> Result<Made> {
        let api = available()?;
        // SAFETY: the shape is lent for the call.
        Ok(Self::made(unsafe { (api.full)(Numbers::lent(shape), value, dtype) }))
    }

    pub fn shape(&self) -> &[i32] {
        let api = loaded();
        // SAFETY: the array is alive, and its shape lives and stays as long as the array is borrowed. A scalar's shape
        // may be a null pointer, which no slice may have.
        unsafe {
            match (api.ndim)(self.raw()) {
                0 => &[],
                ndim => std::slice::from_raw_parts((api.shape)(self.raw()), ndim),
            }
        }
    }

    pub fn dtype(&self) -> c_int {
        // SAFETY: the array is alive.
        unsafe { (loaded().dtype)(self.raw()) }
    }

    /// The operation that will compute the elements, by MLX's name, unless they are there.
    pub fn operation(&self) -> Option<String> {
        // SAFETY: the array is alive, and its operation's name lives as long as the operation.
        unsafe {
            let name = (loaded().operation)(self.raw());
            (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
        }
    }

    /// The elements, in row-major order; `T` must be the array's own type.
    pub fn to_vec<T: Plain>(&self) -> Made<Vec<T>> {
        assert_eq!(self.dtype(), T::DTYPE, "the caller checks the dtype");
        let size: usize = self.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).product();
        let mut elements = Vec::new();
        let room = elements.try_reserve_exact(size);
        room.map_err(|error| {
            format!("there is no memory for the elements of the array, which may be a view: {error}")
        })?;
        elements.resize(size, T::default());
        // SAFETY: there is room for the bytes, and MLX writes as many or fails.
        let ok = unsafe { (entered()?.to_data)(self.raw(), elements.as_mut_ptr().cast(), size * size_of::<T>()) };
        done(ok).map(|()| elements)
    }

    pub fn eval(&self) -> Made<()> {
        // SAFETY: the array is alive. Evaluation changes what it refers to, behind MLX's own synchronization.
        done(unsafe { (entered()?.eval)(self.0.as_ptr()) })
    }

    /// The same as a constant; see `into_constant`.
    pub fn constant(&self, in_transform: bool) -> Made {
        entered()?;
        self.clone().into_constant(in_transform)
    }

    /// This array, just made, as a constant to every transform: unchanged if none is tracing it. `in_transform` says that one of
    /// ours is running; MLX tells of others.
    pub fn into_constant(self, in_transform: bool) -> Made {
        // SAFETY: the array is alive, and this is its only handle.
        done(unsafe { (loaded().make_constant)(self.0.as_ptr(), in_transform) }).map(|()| self)
    }
}

/// Computes the elements of all arrays.
pub fn eval(arrays: &[Handle]) -> Result<Made<()>> {
    let api = available()?;
    // SAFETY: the arrays are alive, and lent for the call.
    Ok(done(unsafe { (api.eval_all)(List::lent(arrays), false) }))
}

/// Begins to compute the elements of all arrays.
pub fn async_eval(arrays: &[Handle]) -> Result<Made<()>> {
    let api = available()?;
    // SAFETY: as above.
    Ok(done(unsafe { (api.eval_all)(List::lent(arrays), true) }))
}

/// A list of arrays on the C++ side, owned.
pub(super) struct Handles(NonNull<RawArrays>);

impl Handles {
    /// What the shim answered; from here on it is this side's.
    pub fn made(raw: *mut RawArrays) -> Made<Self> {
        NonNull::new(raw).map(Self).ok_or_else(last_error)
    }

    pub fn to_vec(&self) -> Made<Vec<Handle>> {
        // SAFETY: the list is alive.
        unsafe { arrays_of(self.0.as_ptr()) }
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        // SAFETY: the list is owned, and gone after this.
        unsafe { (loaded().list_free)(self.0.as_ptr()) }
    }
}

/// The arrays of a list that belongs to the other side.
///
/// # Safety
///
/// The list must be alive.
pub(super) unsafe fn arrays_of(list: *const RawArrays) -> Made<Vec<Handle>> {
    let api = loaded();
    // SAFETY: the list is alive.
    let length = unsafe { (api.list_length)(list) };
    // SAFETY: the list is alive, and the index within it.
    (0..length).map(|at| Handle::made(unsafe { (api.list_get)(list, at) })).collect()
}

/// A list to give away, or null if there is no memory.
pub(super) fn give_away(arrays: &[Handle]) -> *mut RawArrays {
    // SAFETY: the arrays are alive, and lent for the call.
    unsafe { (loaded().list)(List::lent(arrays)) }
}
