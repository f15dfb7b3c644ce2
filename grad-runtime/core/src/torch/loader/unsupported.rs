//! Systems on which the loader cannot be asked.

use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};

use crate::torch::word::Word;

pub const WHY_NOT: &str = "its switch can be found on Linux and macOS only; elsewhere, enter libtorch's \
                           `no_grad` beside the scope";

#[expect(clippy::unnecessary_wraps, reason = "on Linux there may be none")]
pub fn watch() -> Option<&'static Word> {
    static NEVER_LOADED: Word = Word::new(ptr::null_mut());
    Some(&NEVER_LOADED)
}

pub fn find<const N: usize>(_names: [&CStr; N]) -> Option<[NonNull<c_void>; N]> {
    None
}
