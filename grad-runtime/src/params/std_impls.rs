//! `Params` for types of the standard library.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::hash::{BuildHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use super::{Params, Path, Replace, Visit};
use crate::array::Array;
use crate::dtype::Dtype;
use crate::error::Result;

macro_rules! impl_without_arrays {
    ($($type:ty: |$value:ident| $hashed:expr;)*) => {$(
        impl<A: Array> Params<A> for $type {
            #[inline]
            fn visit_arrays(&self, _path: &Path<'_>, _visit: &mut Visit<'_, A>) {}

            #[inline]
            fn replace_arrays<E>(&self, _path: &Path<'_>, _replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
                Ok(Clone::clone(self))
            }

            fn hash_values(&self, mut hasher: &mut dyn Hasher) {
                let $value = self;
                $hashed.hash(&mut hasher);
            }
        }
    )*};
    ($($type:ty)*) => {
        impl_without_arrays! { $($type: |value| value;)* }
    };
}
impl_without_arrays! {
    () bool char i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize &str String PathBuf Duration Dtype
}
impl_without_arrays! {
    f32: |value| value.to_bits();
    f64: |value| value.to_bits();
    half::f16: |value| value.to_bits();
    half::bf16: |value| value.to_bits();
    num_complex::Complex32: |value| (value.re.to_bits(), value.im.to_bits());
}

impl<A: Array, T: ?Sized> Params<A> for PhantomData<T> {
    #[inline]
    fn visit_arrays(&self, _path: &Path<'_>, _visit: &mut Visit<'_, A>) {}

    #[inline]
    fn replace_arrays<E>(&self, _path: &Path<'_>, _replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        Ok(Self)
    }
}

macro_rules! impl_for_tuples {
    ($first:ident $($rest:ident)*) => {
        impl<Z, $first, $($rest),*> Params<Z> for ($first, $($rest,)*)
        where
            Z: Array,
            $first: Params<Z>,
            $($rest: Params<Z>,)*
        {
            #[expect(non_snake_case, reason = "each value is named after its type")]
            fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, Z>) {
                let ($first, $($rest,)*) = self;
                let mut indices = 0..;
                $first.visit_arrays(&path.then(&next(&mut indices)), visit);
                $($rest.visit_arrays(&path.then(&next(&mut indices)), visit);)*
            }

            #[expect(non_snake_case, reason = "each value is named after its type")]
            fn replace_arrays<Error>(&self, path: &Path<'_>, replace: &mut Replace<'_, Z, Error>) -> Result<Self, Error> {
                let ($first, $($rest,)*) = self;
                let mut indices = 0..;
                Ok((
                    $first.replace_arrays(&path.then(&next(&mut indices)), replace)?,
                    $($rest.replace_arrays(&path.then(&next(&mut indices)), replace)?,)*
                ))
            }

            #[expect(non_snake_case, reason = "each value is named after its type")]
            fn hash_values(&self, hasher: &mut dyn Hasher) {
                let ($first, $($rest,)*) = self;
                $first.hash_values(hasher);
                $($rest.hash_values(hasher);)*
            }
        }
        impl_for_tuples! { $($rest)* }
    };
    () => {};
}
impl_for_tuples! { A B C D E F G H I J K L }

fn next(indices: &mut std::ops::RangeFrom<u32>) -> u32 {
    indices.next().expect("a tuple is short")
}

impl<A: Array, P: Params<A>> Params<A> for Vec<P> {
    fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        for (index, value) in self.iter().enumerate() {
            value.visit_arrays(&path.then(&index), visit);
        }
    }

    fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        self.iter().enumerate().map(|(index, value)| value.replace_arrays(&path.then(&index), replace)).collect()
    }

    fn hash_values(&self, hasher: &mut dyn Hasher) {
        hasher.write_usize(self.len());
        for value in self {
            value.hash_values(hasher);
        }
    }
}

impl<A: Array, P: Params<A>, const N: usize> Params<A> for [P; N] {
    fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        for (index, value) in self.iter().enumerate() {
            value.visit_arrays(&path.then(&index), visit);
        }
    }

    fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        let replaced =
            self.iter().enumerate().map(|(index, value)| value.replace_arrays(&path.then(&index), replace));
        let replaced: Vec<P> = replaced.collect::<Result<_, E>>()?;
        Ok(replaced.try_into().unwrap_or_else(|_| unreachable!("there is one value for each")))
    }

    fn hash_values(&self, hasher: &mut dyn Hasher) {
        hasher.write_usize(self.len());
        for value in self {
            value.hash_values(hasher);
        }
    }
}

impl<A: Array, P: Params<A>> Params<A> for Option<P> {
    fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        if let Some(value) = self {
            value.visit_arrays(path, visit);
        }
    }

    fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        self.as_ref().map(|value| value.replace_arrays(path, replace)).transpose()
    }

    fn hash_values(&self, hasher: &mut dyn Hasher) {
        hasher.write_u8(self.is_some().into());
        if let Some(value) = self {
            value.hash_values(hasher);
        }
    }
}

impl<A: Array, P: Params<A>> Params<A> for Box<P> {
    fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        (**self).visit_arrays(path, visit);
    }

    fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        (**self).replace_arrays(path, replace).map(Self::new)
    }

    fn hash_values(&self, hasher: &mut dyn Hasher) {
        (**self).hash_values(hasher);
    }
}

impl<A, K, P> Params<A> for BTreeMap<K, P>
where
    A: Array,
    K: Clone + Display + Ord,
    P: Params<A>,
{
    fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        for (key, value) in self {
            value.visit_arrays(&path.then(key), visit);
        }
    }

    fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        self.iter().map(|(key, value)| Ok((key.clone(), value.replace_arrays(&path.then(key), replace)?))).collect()
    }

    fn hash_values(&self, hasher: &mut dyn Hasher) {
        for (key, value) in self {
            hasher.write(key.to_string().as_bytes());
            value.hash_values(hasher);
        }
    }
}

/// Visits the values in the order of their keys, since the order of a `HashMap` differs from one map to the next.
impl<A, K, P, S> Params<A> for HashMap<K, P, S>
where
    A: Array,
    K: Clone + Display + Hash + Ord,
    P: Params<A>,
    S: BuildHasher + Clone,
{
    fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        for (key, value) in sorted(self) {
            value.visit_arrays(&path.then(key), visit);
        }
    }

    fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        let mut replaced = Self::with_capacity_and_hasher(self.len(), self.hasher().clone());
        for (key, value) in sorted(self) {
            replaced.insert(key.clone(), value.replace_arrays(&path.then(key), replace)?);
        }
        Ok(replaced)
    }

    fn hash_values(&self, hasher: &mut dyn Hasher) {
        for (key, value) in sorted(self) {
            hasher.write(key.to_string().as_bytes());
            value.hash_values(hasher);
        }
    }
}

fn sorted<K: Ord, P, S>(map: &HashMap<K, P, S>) -> impl Iterator<Item = (&K, &P)> {
    map.iter().collect::<BTreeMap<_, _>>().into_iter()
}
