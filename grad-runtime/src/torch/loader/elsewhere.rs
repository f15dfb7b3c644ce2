//! Systems whose loader nobody has taught us to ask.

use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};

use crate::torch::switch::Word;

pub const WHY_NOT: &str = "its switch is looked for on Linux and macOS only";

#[expect(clippy::unnecessary_wraps, reason = "on Linux there may be none")]
pub fn watch() -> Option<&'static Word> {
    static NOTHING_COMES: Word = Word::new(ptr::null_mut());
    Some(&NOTHING_COMES)
}

pub fn find<const N: usize>(_names: [&CStr; N]) -> Option<[NonNull<c_void>; N]> {
    None
}
