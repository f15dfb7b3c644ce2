//! Elements for other threads: MLX's part of [`Shared`](crate::Shared).

use super::array::Array;
use super::ffi::{self, SharedHandle};
use super::{evaluation_error, operation_error};
use crate::array::refused;
use crate::error::{Operand, Result};

/// Computes the elements of all arrays, in one pass over their graph, and returns them.
pub(super) fn share_all(arrays: &[Array]) -> Result<Vec<SharedHandle>> {
    ffi::share(ffi::as_handles(arrays))?
        .map_err(|failure| evaluation_error(failure, |reason| operation_error("share", arrays, reason)))
}

pub(super) fn open(shared: &SharedHandle) -> Result<Array> {
    let array = shared.open().and_then(Array::new).map_err(|reason| refused::<Array>("open", &[], reason))?;
    array.record_creation();
    Ok(array)
}

pub(super) fn describe(shared: &SharedHandle) -> Operand {
    let shape = shared.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect();
    Operand { shape, dtype: shared.dtype() }
}
