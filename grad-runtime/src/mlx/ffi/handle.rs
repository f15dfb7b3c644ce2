//! Arrays of MLX, owned, and lists of them.

use std::alloc::{self, Layout};
use std::ffi::{CStr, c_void};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::{ptr, slice};

use grad_mlx_sys as sys;

use super::callbacks::{Failure, resume};
use super::dtype::Plain;
use super::integers::int_slice;
use super::{FfiResult, available, check, entered, loaded};
use crate::dtype::Dtype;
use crate::error::{Error, Result};

/// An owned array of MLX, stored in place. MLX ties arrays to the thread that traces and evaluates them, so a handle is neither
/// `Send` nor `Sync`.
///
/// It has the layout of MLX's array, so that a slice of handles is a list of arrays to the shim. Moves are moves of MLX's
/// array: [`sys::Array`] says why.
#[repr(transparent)]
pub struct Handle(sys::Array);

impl Drop for Handle {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the handle owns its array, so MLX is loaded, and this is its last use.
        unsafe { (loaded().free)(&raw mut self.0) }
    }
}

impl Clone for Handle {
    #[inline]
    fn clone(&self) -> Self {
        let mut place = MaybeUninit::uninit();
        // SAFETY: the array is alive, so MLX is loaded. The shim constructs the new one, which belongs to the new handle.
        unsafe {
            (loaded().clone)(place.as_mut_ptr(), self.as_raw());
            Self(place.assume_init())
        }
    }
}

impl Handle {
    /// Returns the array that a call to the shim constructs; false becomes the shim's message.
    ///
    /// # Safety
    ///
    /// If `call` returns true, it must have constructed an array at the place that it is given.
    #[inline]
    pub(super) unsafe fn construct(call: impl FnOnce(*mut sys::Array) -> bool) -> FfiResult {
        let mut place = MaybeUninit::<Self>::uninit();
        check(call(place.as_mut_ptr().cast()))?;
        // SAFETY: the call has succeeded, so by the caller's guarantee there is the array. A handle has the layout of one.
        Ok(unsafe { place.assume_init() })
    }

    #[inline]
    pub fn as_raw(&self) -> *const sys::Array {
        &raw const self.0
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
        let (data, shape) = (elements.as_ptr().cast(), int_slice(shape));
        // SAFETY: there is an element for each place in the shape, of the dtype's layout. The shim constructs the array.
        Ok(unsafe { Self::construct(|output| (api.from_data)(output, data, shape, T::DTYPE.into())) })
    }

    /// Creates an array of one value, that of a scalar.
    pub fn full(shape: &[i32], value: &Self) -> FfiResult {
        let api = entered()?;
        // SAFETY: the shape and the scalar are borrowed for the call. The shim constructs the array.
        unsafe { Self::construct(|output| (api.full)(output, int_slice(shape), value.as_raw())) }
    }

    pub fn shape(&self) -> &[i32] {
        // SAFETY: the array is alive, so MLX is loaded, and its shape lives unchanged as long as the array is borrowed. The
        // shape of a scalar may be a null pointer, which a slice may not have.
        unsafe {
            let api = loaded();
            match (api.ndim)(self.as_raw()) {
                0 => &[],
                ndim => slice::from_raw_parts((api.shape)(self.as_raw()), ndim),
            }
        }
    }

    pub fn dtype(&self) -> Dtype {
        // SAFETY: the array is alive, so MLX is loaded.
        let number = unsafe { (loaded().dtype)(self.as_raw()) };
        sys::Dtype::from_number(number).expect("the shim refuses arrays of other dtypes").into()
    }

    /// Returns MLX's name of the operation that will compute the elements, unless they are computed.
    pub fn operation(&self) -> Option<String> {
        // SAFETY: the array is alive, so MLX is loaded, and the name of its operation lives as long as the operation.
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
    pub fn to_vec<T: Plain>(&self) -> Evaluated<Vec<T>> {
        assert_eq!(self.dtype(), T::DTYPE, "the caller checks the dtype");
        let size: usize = self.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).product();
        let mut elements = Vec::new();
        elements.try_reserve_exact(size).map_err(|error| {
            Failure::Mlx(format!("there is no memory for the elements of the array, which may be a view: {error}"))
        })?;
        let api = entered().map_err(Failure::Mlx)?;
        elements.resize(size, T::default());
        // SAFETY: the array is alive, and the vector has the bytes. The shim writes as many, or fails.
        let ok = unsafe { (api.to_data)(self.as_raw(), elements.as_mut_ptr().cast(), size * size_of::<T>()) };
        resume(check(ok)).map(|()| elements)
    }

    pub fn eval(&self) -> Evaluated<()> {
        let api = entered().map_err(Failure::Mlx)?;
        // SAFETY: the array is alive, and stays on its thread. Evaluation changes what it refers to, which MLX
        // synchronizes.
        resume(check(unsafe { (api.eval)(self.as_raw()) }))
    }

    /// Returns a number that no other array has as long as this one, or a clone of it, is alive.
    pub fn id(&self) -> usize {
        // SAFETY: the array is alive, so MLX is loaded.
        unsafe { (loaded().id)(self.as_raw()) }
    }

    /// Returns whether a running transform traces this array.
    pub fn is_traced(&self) -> bool {
        // SAFETY: the array is alive, so MLX is loaded.
        unsafe { (loaded().is_traced)(self.as_raw()) }
    }

    /// Returns a copy as a constant; see [`make_constant`](Self::make_constant).
    pub fn to_constant(&self) -> FfiResult {
        entered()?;
        let mut constant = self.clone();
        constant.make_constant().map(|()| constant)
    }

    /// Makes this a constant to every transform; an array that no transform traces stays as it is.
    pub fn make_constant(&mut self) -> FfiResult<()> {
        // SAFETY: the array is alive, so MLX is loaded, and this handle's alone. The shim may put another one in its place.
        check(unsafe { (loaded().make_constant)(&raw mut self.0) })
    }
}

/// The result of an evaluation. It may end with the error of the collectives that it has to wait for.
pub type Evaluated<T> = FfiResult<T, Failure<Error>>;

/// Evaluates all arrays.
pub fn eval(arrays: &[Handle]) -> Result<Evaluated<()>> {
    let api = available()?;
    // SAFETY: the arrays are alive, and borrowed for the call.
    Ok(resume(check(unsafe { (api.eval_all)(array_slice(arrays), false) })))
}

/// Starts to evaluate all arrays.
pub fn async_eval(arrays: &[Handle]) -> Result<Evaluated<()>> {
    let api = available()?;
    // SAFETY: the arrays are alive, and borrowed for the call; MLX keeps references to what it computes.
    Ok(resume(check(unsafe { (api.eval_all)(array_slice(arrays), true) })))
}

/// A list that the shim fills.
#[derive(Default)]
pub struct HandleList(Vec<MaybeUninit<Handle>>);

impl HandleList {
    /// Returns the list as the shim takes it, which calls `reserve` at most once.
    #[inline]
    pub fn as_raw(&mut self) -> sys::ArrayVec {
        sys::ArrayVec { list: (&raw mut self.0).cast(), reserve }
    }

    /// Returns the arrays.
    ///
    /// # Safety
    ///
    /// The shim must have constructed them.
    #[inline]
    pub unsafe fn assume_init(self) -> Vec<Handle> {
        let mut list = ManuallyDrop::new(self.0);
        // SAFETY: the parts are those of a vector that is not used again. The caller guarantees that its elements, which have
        // the layout of handles, are constructed.
        unsafe { Vec::from_raw_parts(list.as_mut_ptr().cast(), list.len(), list.capacity()) }
    }

    /// Borrows the arrays.
    ///
    /// # Safety
    ///
    /// The shim must have constructed them.
    pub unsafe fn assume_init_mut(&mut self) -> &mut [Handle] {
        // SAFETY: the caller guarantees that the elements, which have the layout of handles, are constructed.
        unsafe { slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len()) }
    }
}

/// Returns the arrays that a call to the shim constructs in a list; false becomes the shim's message.
///
/// # Safety
///
/// If `call` returns true, it must have constructed the arrays.
pub(super) unsafe fn construct_list(call: impl FnOnce(sys::ArrayVec) -> bool) -> FfiResult<Vec<Handle>> {
    let mut list = HandleList::default();
    check(call(list.as_raw()))?;
    // SAFETY: the call has succeeded, so the caller guarantees it.
    Ok(unsafe { list.assume_init() })
}

/// Makes room in a list for the shim. It allocates the memory itself, since a vector that grows takes more instructions.
///
/// # Safety
///
/// `list` must be an empty `Vec<MaybeUninit<Handle>>` without memory, which nothing else uses during the call.
#[allow(clippy::cast_ptr_alignment, reason = "the layout that is allocated has the alignment")]
unsafe extern "C" fn reserve(list: *mut c_void, len: usize) -> *mut sys::Array {
    let first = match Layout::array::<sys::Array>(len) {
        Ok(layout) if layout.size() > 0 => {
            // SAFETY: the layout has a size.
            unsafe { alloc::alloc(layout) }.cast::<sys::Array>()
        }
        Ok(_) => ptr::dangling_mut(),
        Err(_) => ptr::null_mut(),
    };
    if !first.is_null() {
        let handles = ptr::slice_from_raw_parts_mut(first.cast::<MaybeUninit<Handle>>(), len);
        // SAFETY: there is memory for `len` handles, which have the layout of arrays and may be uninitialized. The caller
        // guarantees that the list is an empty vector, which needs no destructor.
        unsafe { list.cast::<Vec<MaybeUninit<Handle>>>().write(Box::from_raw(handles).into_vec()) };
    }
    first
}

/// Borrows the arrays of a list of the shim.
///
/// # Safety
///
/// The arrays must be alive, and nothing may change the list, for `'a`.
pub(super) unsafe fn borrow_list<'a>(arrays: sys::ArraySlice) -> &'a [Handle] {
    match arrays.len {
        0 => &[], // The pointer may be null, which a slice may not have.
        // SAFETY: the caller guarantees it, and a handle has the layout of an array.
        len => unsafe { slice::from_raw_parts(arrays.data.cast(), len) },
    }
}

/// Borrows arrays.
#[inline]
pub fn array_slice(arrays: &[Handle]) -> sys::ArraySlice {
    // A handle has the layout of an array.
    sys::ArraySlice { data: arrays.as_ptr().cast(), len: arrays.len() }
}
