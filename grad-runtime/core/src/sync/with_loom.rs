//! The types of loom, with the interface of std's as far as this crate uses it.

use std::cell::{Cell, RefCell};

pub use loom::sync::{Mutex, atomic};

use atomic::{AtomicBool, Ordering};

/// Defines statics that threads share.
macro_rules! shared {
    () => {};
    ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr; $($rest:tt)*) => {
        loom::lazy_static!($(#[$attribute])* static ref $name: $type = $value;);
        $crate::sync::shared!($($rest)*);
    };
    ($(#[$attribute:meta])* pub static $name:ident: $type:ty = $value:expr; $($rest:tt)*) => {
        loom::lazy_static!($(#[$attribute])* pub static ref $name: $type = $value;);
        $crate::sync::shared!($($rest)*);
    };
}

/// Defines a function that would be const with std.
#[cfg(feature = "torch")]
macro_rules! const_fn {
    ($visibility:vis fn $($rest:tt)*) => { $visibility fn $($rest)* };
}

macro_rules! loom_thread_local {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;)*) => {$(
        $(#[$attribute])*
        static $name: $crate::sync::LocalKey<$type> = {
            loom::thread_local!(static KEY: $type = $value);
            $crate::sync::LocalKey(&KEY)
        };
    )*};
}

#[cfg(feature = "torch")]
pub(crate) use const_fn;
pub(crate) use {loom_thread_local as thread_local, shared};

/// loom has none. This one stores its value in std's, and says through atomics of loom whether it is there: with the memory orders
/// that std documents, a thread that gets the value sees what the thread saw that set it.
pub struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    is_set: AtomicBool,
    setting: Mutex<()>,
}

impl<T> OnceLock<T> {
    pub fn new() -> Self {
        Self { value: std::sync::OnceLock::new(), is_set: AtomicBool::new(false), setting: Mutex::new(()) }
    }

    pub fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) { self.value.get() } else { None }
    }

    pub fn set(&self, value: T) -> Result<(), T> {
        let _setting = self.setting.lock().unwrap();
        self.value.set(value)?;
        self.is_set.store(true, Ordering::Release);
        Ok(())
    }

    #[cfg(feature = "torch")]
    pub fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        if self.get().is_none() {
            let _ = self.set(init());
        }
        self.get().expect("it is set")
    }
}

/// A thread-local of loom.
pub struct LocalKey<T: 'static>(pub &'static loom::thread::LocalKey<T>);

impl<T: 'static> LocalKey<T> {
    pub fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        self.0.with(f)
    }
}

impl<T: Copy + 'static> LocalKey<Cell<T>> {
    pub fn get(&self) -> T {
        self.with(Cell::get)
    }

    pub fn set(&self, value: T) {
        self.with(|cell| cell.set(value));
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    pub fn with_borrow<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| f(&cell.borrow()))
    }

    pub fn with_borrow_mut<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| f(&mut cell.borrow_mut()))
    }
}
