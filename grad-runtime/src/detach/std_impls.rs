//! `Detach` for the types of std, and for half-precision numbers.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::Detach;

/// Implements `Detach` for types without a graph.
macro_rules! impl_without_graph {
    ($($type:ty)*) => {$(
        impl Detach for $type {
            #[inline]
            fn detach_in_place(&mut self) {}
        }
    )*};
}
impl_without_graph! {
    () bool char f32 f64 i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize
    str String &str Rc<str> Arc<str> OsStr OsString Path PathBuf std::time::Duration
}
#[cfg(any(feature = "cpu", feature = "mlx"))]
impl_without_graph! { half::f16 half::bf16 }

impl<T> Detach for PhantomData<T>
where
    T: ?Sized,
{
    #[inline]
    fn detach_in_place(&mut self) {}
}

/// Implements `Detach` for a tuple, and for every shorter one.
macro_rules! impl_for_tuples {
    ($first:ident $($rest:ident)*) => {
        impl<$first, $($rest),*> Detach for ($first, $($rest,)*)
        where
            $first: Detach,
            $($rest: Detach,)*
        {
            #[expect(non_snake_case, reason = "each value is named after its type parameter")]
            #[inline]
            fn detach_in_place(&mut self) {
                let ($first, $($rest,)*) = self;
                $first.detach_in_place();
                $($rest.detach_in_place();)*
            }
        }
        impl_for_tuples! { $($rest)* }
    };
    () => {};
}
impl_for_tuples! { A B C D E F G H I J K L }

/// Implements `Detach` for collections, which detach each of their values.
macro_rules! impl_for_collections {
    ($([$($generics:tt)*] $type:ty, |$this:ident| $values:expr;)*) => {$(
        impl<$($generics)*> Detach for $type
        where
            T: Detach,
        {
            #[inline]
            fn detach_in_place(&mut self) {
                let $this = self;
                for value in $values {
                    value.detach_in_place();
                }
            }
        }
    )*};
}
impl_for_collections! {
    [T] [T], |slice| slice;
    [T, const N: usize] [T; N], |array| array;
    [T] Vec<T>, |vec| vec;
    [T] VecDeque<T>, |queue| queue;
    [T] Option<T>, |option| option.iter_mut();
    [T, E] Result<T, E>, |result| result.iter_mut();
    [K, T, S] HashMap<K, T, S>, |map| map.values_mut();
    [K, T] BTreeMap<K, T>, |map| map.values_mut();
}

/// Implements `Detach` for pointers, which detach the value that they point to.
macro_rules! impl_for_pointers {
    ($([$($bounds:tt)*] $pointer:ty, |$this:ident| $value:expr;)*) => {$(
        impl<T> Detach for $pointer
        where
            T: Detach + $($bounds)*,
        {
            #[inline]
            fn detach_in_place(&mut self) {
                let $this = self;
                $value.detach_in_place();
            }
        }
    )*};
}
impl_for_pointers! {
    [?Sized] Box<T>, |pointer| **pointer;
    [?Sized] &mut T, |pointer| **pointer;
    [Clone] Rc<T>, |pointer| Rc::make_mut(pointer);
    [Clone] Arc<T>, |pointer| Arc::make_mut(pointer);
}

impl<T> Detach for Cow<'_, T>
where
    T: ToOwned<Owned: Detach> + ?Sized,
{
    #[inline]
    fn detach_in_place(&mut self) {
        self.to_mut().detach_in_place();
    }
}
