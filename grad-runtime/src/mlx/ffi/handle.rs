//! Arrays of MLX, owned, and lists of them.

use std::ffi::CStr;
use std::ptr::NonNull;

use grad_mlx_sys as sys;

use super::dtype::Plain;
use super::integers::int_slice;
use super::{FfiResult, available, check, entered, last_error, loaded};
use crate::dtype::Dtype;
use crate::error::Result;

/// An owned array of MLX. MLX ties arrays to the thread that traces and evaluates them, so a handle is neither `Send` nor
/// `Sync`.
///
/// It has the layout of a pointer, so that a slice of handles is a list of arrays to the shim.
#[repr(transparent)]
pub struct Handle(NonNull<sys::Array>);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle owns its array, and this is its last use.
        unsafe { (loaded().free)(self.0.as_ptr()) }
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        // SAFETY: the array is alive, and the new one belongs to the new handle.
        unsafe { Self::from_raw((loaded().clone)(self.as_raw())) }
            .expect("copying a reference to an array fails only without memory")
    }
}

impl Handle {
    /// Takes ownership of an array from the shim; null becomes the shim's message.
    ///
    /// # Safety
    ///
    /// `raw` must be null or an array that no one else owns.
    pub(super) unsafe fn from_raw(raw: *mut sys::Array) -> FfiResult {
        NonNull::new(raw).map(Self).ok_or_else(last_error)
    }

    pub fn as_raw(&self) -> *const sys::Array {
        self.0.as_ptr()
    }

    /// Creates an array with a copy of `elements`.
    ///
    /// # Panics
    ///
    /// If `shape` has not as many elements.
    pub fn from_data<T: Plain>(elements: &[T], shape: &[i32]) -> Result<FfiResult> {
        let api = available()?;
        assert_eq!(
            shape.iter().map(|&length| i64::from(length)).product::<i64>(),
            i64::try_from(elements.len()).unwrap_or(-1),
            "the caller checks the shape"
        );
        // SAFETY: there is an element for each place in the shape, of the dtype's layout. The array is new.
        Ok(unsafe { Self::from_raw((api.from_data)(elements.as_ptr().cast(), int_slice(shape), T::DTYPE.into())) })
    }

    /// Creates an array of one value, that of a scalar.
    pub fn full(shape: &[i32], value: &Self) -> FfiResult {
        // SAFETY: the shape and the scalar are borrowed for the call. The array is new.
        unsafe { Self::from_raw((entered()?.full)(int_slice(shape), value.as_raw())) }
    }

    pub fn shape(&self) -> &[i32] {
        let api = loaded();
        // SAFETY: the array is alive, and its shape lives unchanged as long as the array is borrowed. The shape of a scalar
        // may be a null pointer, which a slice may not have.
        unsafe {
            match (api.ndim)(self.as_raw()) {
                0 => &[],
                ndim => std::slice::from_raw_parts((api.shape)(self.as_raw()), ndim),
            }
        }
    }

    pub fn dtype(&self) -> Dtype {
        // SAFETY: the array is alive.
        let number = unsafe { (loaded().dtype)(self.as_raw()) };
        sys::Dtype::from_number(number).expect("the shim refuses arrays of other dtypes").into()
    }

    /// Returns MLX's name of the operation that will compute the elements, unless they are computed.
    pub fn operation(&self) -> Option<String> {
        // SAFETY: the array is alive, and the name of its operation lives as long as the operation.
        unsafe {
            let name = (loaded().operation)(self.as_raw());
            (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
        }
    }

    /// Returns the elements in row-major order.
    ///
    /// # Panics
    ///
    /// If `T` is not the type of the elements.
    pub fn to_vec<T: Plain>(&self) -> FfiResult<Vec<T>> {
        assert_eq!(self.dtype(), T::DTYPE, "the caller checks the dtype");
        let size: usize = self.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).product();
        let mut elements = Vec::new();
        elements.try_reserve_exact(size).map_err(|error| {
            format!("there is no memory for the elements of the array, which may be a view: {error}")
        })?;
        elements.resize(size, T::default());
        // SAFETY: the array is alive, and the vector has the bytes. The shim writes as many, or fails.
        let ok =
            unsafe { (entered()?.to_data)(self.as_raw(), elements.as_mut_ptr().cast(), size * size_of::<T>()) };
        check(ok).map(|()| elements)
    }

    pub fn eval(&self) -> FfiResult<()> {
        // SAFETY: the array is alive, and stays on its thread. Evaluation changes what it refers to, which MLX
        // synchronizes.
        check(unsafe { (entered()?.eval)(self.0.as_ptr()) })
    }

    /// Returns a number that no other array has as long as this one, or a clone of it, is alive.
    pub fn id(&self) -> usize {
        // SAFETY: the array is alive.
        unsafe { (loaded().id)(self.0.as_ptr()) }
    }

    /// Returns whether a running transform traces this array.
    pub fn is_traced(&self) -> bool {
        // SAFETY: the array is alive.
        unsafe { (loaded().is_traced)(self.0.as_ptr()) }
    }

    /// Returns a copy as a constant; see [`into_constant`](Self::into_constant).
    pub fn to_constant(&self) -> FfiResult {
        entered()?;
        self.clone().into_constant()
    }

    /// Makes this a constant to every transform; an array that no transform traces stays as it is.
    pub fn into_constant(self) -> FfiResult {
        // SAFETY: the array is alive, and no other handle refers to this descriptor of it.
        check(unsafe { (loaded().make_constant)(self.0.as_ptr()) }).map(|()| self)
    }
}

/// Evaluates all arrays.
pub fn eval(arrays: &[Handle]) -> Result<FfiResult<()>> {
    let api = available()?;
    // SAFETY: the arrays are alive, and borrowed for the call.
    Ok(check(unsafe { (api.eval_all)(array_slice(arrays), false) }))
}

/// Starts to evaluate all arrays.
pub fn async_eval(arrays: &[Handle]) -> Result<FfiResult<()>> {
    let api = available()?;
    // SAFETY: the arrays are alive, and borrowed for the call; MLX keeps references to what it computes.
    Ok(check(unsafe { (api.eval_all)(array_slice(arrays), true) }))
}

/// Takes the arrays out of a list that the shim returned; null becomes the shim's message.
///
/// # Safety
///
/// `raw` must be null or a list that no one else owns.
pub(super) unsafe fn from_raw_list(raw: *mut sys::Arrays) -> FfiResult<Vec<Handle>> {
    struct Owned(NonNull<sys::Arrays>);

    impl Drop for Owned {
        fn drop(&mut self) {
            // SAFETY: the list is owned, and this is its last use.
            unsafe { (loaded().arrays_free)(self.0.as_ptr()) }
        }
    }

    let list = NonNull::new(raw).map(Owned).ok_or_else(last_error)?;
    // SAFETY: the list is alive.
    unsafe { copy_list(list.0.as_ptr()) }
}

/// Returns handles to the arrays of a borrowed list.
///
/// # Safety
///
/// The list must be alive.
pub(super) unsafe fn copy_list(list: *const sys::Arrays) -> FfiResult<Vec<Handle>> {
    let api = loaded();
    // SAFETY: the caller guarantees that the list is alive.
    let length = unsafe { (api.arrays_len)(list) };
    // SAFETY: the list is alive, and the index within it. Each array is new.
    (0..length).map(|index| unsafe { Handle::from_raw((api.arrays_get)(list, index)) }).collect()
}

/// Returns a list that the shim will own, or null if there is no memory.
pub(super) fn to_raw_list(arrays: &[Handle]) -> *mut sys::Arrays {
    // SAFETY: the arrays are alive, and borrowed for the call, which copies the references.
    unsafe { (loaded().arrays_new)(array_slice(arrays)) }
}

/// Borrows arrays.
pub fn array_slice(arrays: &[Handle]) -> sys::ArraySlice {
    // A handle has the layout of a pointer.
    sys::ArraySlice { data: arrays.as_ptr().cast(), len: arrays.len() }
}
