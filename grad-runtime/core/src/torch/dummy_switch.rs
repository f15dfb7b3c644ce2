//! A stub of libtorch's switch, where the feature `torch` is off: it is never found.

#[inline]
pub fn is_enabled() -> bool {
    true
}

#[inline]
pub fn set_enabled(_enabled: bool) {}

#[inline]
pub fn find() -> bool {
    false
}
