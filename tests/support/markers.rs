//! Marker traits that a type implements or does not.

/// Returns whether a type implements a marker trait: the inherent constant exists only if it does, and takes precedence if so.
#[macro_export]
macro_rules! implements {
    ($type:ty: $marker:ident) => {{
        #[allow(dead_code, reason = "unused where the type implements the marker")]
        trait Otherwise {
            const ANSWER: bool = false;
        }
        impl<T: ?Sized> Otherwise for T {}
        struct Type<T: ?Sized>(::std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "unused where the type does not implement the marker")]
        impl<T: ?Sized + $marker> Type<T> {
            const ANSWER: bool = true;
        }
        Type::<$type>::ANSWER
    }};
}
