//! `Params` for the types of std.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use super::{Params, Path, Replace, Visit};
use crate::array::{Array, Dtype};
use crate::error::Result;

macro_rules! without_arrays {
    ($($type:ty)*) => {$(
        impl<A: Array> Params<A> for $type {
            #[inline]
            fn visit(&self, _path: &Path<'_>, _visit: &mut Visit<'_, A>) {}

            #[inline]
            fn replace<E>(&self, _path: &Path<'_>, _replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
                Ok(Clone::clone(self))
            }
        }
    )*};
}
without_arrays! {
    () bool char f32 f64 half::f16 half::bf16 i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize
    &str String PathBuf Duration Dtype
}

impl<A: Array, T: ?Sized> Params<A> for PhantomData<T> {
    #[inline]
    fn visit(&self, _path: &Path<'_>, _visit: &mut Visit<'_, A>) {}

    #[inline]
    fn replace<E>(&self, _path: &Path<'_>, _replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        Ok(Self)
    }
}

macro_rules! of_tuples {
    ($first:ident $($rest:ident)*) => {
        impl<Z, $first, $($rest),*> Params<Z> for ($first, $($rest,)*)
        where
            Z: Array,
            $first: Params<Z>,
            $($rest: Params<Z>,)*
        {
            #[expect(non_snake_case, reason = "each value has the name of its type")]
            fn visit(&self, path: &Path<'_>, visit: &mut Visit<'_, Z>) {
                let ($first, $($rest,)*) = self;
                let mut at = 0..;
                $first.visit(&path.then(&next(&mut at)), visit);
                $($rest.visit(&path.then(&next(&mut at)), visit);)*
            }

            #[expect(non_snake_case, reason = "each value has the name of its type")]
            fn replace<Error>(&self, path: &Path<'_>, replace: &mut Replace<'_, Z, Error>) -> Result<Self, Error> {
                let ($first, $($rest,)*) = self;
                let mut at = 0..;
                Ok((
                    $first.replace(&path.then(&next(&mut at)), replace)?,
                    $($rest.replace(&path.then(&next(&mut at)), replace)?,)*
                ))
            }
        }
        of_tuples! { $($rest)* }
    };
    () => {};
}
of_tuples! { A B C D E F G H I J K L }

fn next(places: &mut std::ops::RangeFrom<u32>) -> u32 {
    places.next().expect("a tuple is short")
}

impl<A: Array, P: Params<A>> Params<A> for Vec<P> {
    fn visit(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        for (at, value) in self.iter().enumerate() {
            value.visit(&path.then(&at), visit);
        }
    }

    fn replace<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        self.iter().enumerate().map(|(at, value)| value.replace(&path.then(&at), replace)).collect()
    }
}

impl<A: Array, P: Params<A>, const N: usize> Params<A> for [P; N] {
    fn visit(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        for (at, value) in self.iter().enumerate() {
            value.visit(&path.then(&at), visit);
        }
    }

    fn replace<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        let replaced = self.iter().enumerate().map(|(at, value)| value.replace(&path.then(&at), replace));
        let replaced: Vec<P> = replaced.collect::<Result<_, E>>()?;
        Ok(replaced.try_into().unwrap_or_else(|_| unreachable!("one value for each")))
    }
}

impl<A: Array, P: Params<A>> Params<A> for Option<P> {
    fn visit(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        if let Some(value) = self {
            value.visit(path, visit);
        }
    }

    fn replace<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        self.as_ref().map(|value| value.replace(path, replace)).transpose()
    }
}

impl<A: Array, P: Params<A>> Params<A> for Box<P> {
    fn visit(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        (**self).visit(path, visit);
    }

    fn replace<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        (**self).replace(path, replace).map(Self::new)
    }
}

impl<A, K, P> Params<A> for BTreeMap<K, P>
where
    A: Array,
    K: Clone + Display + Ord,
    P: Params<A>,
{
    fn visit(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        for (key, value) in self {
            value.visit(&path.then(key), visit);
        }
    }

    fn replace<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        self.iter().map(|(key, value)| Ok((key.clone(), value.replace(&path.then(key), replace)?))).collect()
    }
}

/// In the order of the keys: that of the map differs from one to the next.
impl<A, K, P, S> Params<A> for HashMap<K, P, S>
where
    A: Array,
    K: Clone + Display + Hash + Ord,
    P: Params<A>,
    S: BuildHasher + Clone,
{
    fn visit(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        for (key, value) in in_order(self) {
            value.visit(&path.then(key), visit);
        }
    }

    fn replace<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        let mut replaced = Self::with_capacity_and_hasher(self.len(), self.hasher().clone());
        for (key, value) in in_order(self) {
            replaced.insert(key.clone(), value.replace(&path.then(key), replace)?);
        }
        Ok(replaced)
    }
}

fn in_order<K: Ord, P, S>(map: &HashMap<K, P, S>) -> impl Iterator<Item = (&K, &P)> {
    map.iter().collect::<BTreeMap<_, _>>().into_iter()
}
