//! Elements that several threads read at the same time. The shim's sharing.h says why MLX allows that.

use std::sync::Arc;

use super::callbacks::resume;
use super::handle::{Evaluated, Handle, array_slice, construct_list};
use super::{FfiResult, available, entered};
use crate::dtype::Dtype;
use crate::error::Result;

/// The elements of an evaluated array, for any thread. Cloning copies a reference.
#[derive(Clone)]
pub struct SharedHandle(Arc<Descriptor>);

/// A descriptor that the shim's `share` returned. It is not passed to MLX, and neither is a clone of it.
struct Descriptor(Handle);

// SAFETY: the descriptor is complete and never changes, and freeing it touches only the buffer's reference count, which is
// atomic, and the allocator, which locks.
unsafe impl Send for Descriptor {}
// SAFETY: as above. The functions that take a reference to it only read.
unsafe impl Sync for Descriptor {}

/// Evaluates arrays and returns the elements of each.
pub fn share(arrays: &[Handle]) -> Result<Evaluated<Vec<SharedHandle>>> {
    let api = available()?;
    // SAFETY: the arrays are alive, and borrowed for the call. The shim constructs the list.
    let shared = resume(unsafe { construct_list(|outputs| (api.share)(outputs, array_slice(arrays))) });
    // The shim has moved the arrays here, so that the handle is the only one to refer to its descriptor.
    Ok(shared.map(|shared| shared.into_iter().map(|handle| SharedHandle(Arc::new(Descriptor(handle)))).collect()))
}

impl SharedHandle {
    /// Returns an array of this thread with the same elements.
    pub fn open(&self) -> FfiResult {
        let api = entered()?;
        // SAFETY: the array is alive, and came from the shim's `share`. The shim constructs the one that is returned.
        unsafe { Handle::construct(|output| (api.open)(output, self.0.0.as_raw())) }
    }

    pub fn shape(&self) -> &[i32] {
        self.0.0.shape()
    }

    pub fn dtype(&self) -> Dtype {
        self.0.0.dtype()
    }
}
