//! The implementation of the `Array` trait by a type's own methods.

/// Implements [`Array`] for a type that has all its methods itself.
macro_rules! forward_to_inherent {
    ($array:ty) => {
        // A method that the type lacks would call itself.
        #[deny(unconditional_recursion)]
        impl $crate::array::Array for $array {
            #[track_caller]
            fn from_slice<T: $crate::dtype::Element>(elements: &[T], shape: &[usize]) -> $crate::Result<Self> {
                Self::from_slice(elements, shape)
            }

            #[track_caller]
            fn full<T: $crate::dtype::Element>(
                shape: &[usize],
                value: T,
                dtype: $crate::dtype::Dtype,
            ) -> $crate::Result<Self> {
                Self::full(shape, value, dtype)
            }

            #[track_caller]
            fn scalar<T: $crate::dtype::Element>(value: T) -> $crate::Result<Self> {
                Self::scalar(value)
            }

            #[track_caller]
            fn to_vec<T: $crate::dtype::Element>(&self) -> $crate::Result<Vec<T>> {
                Self::to_vec(self)
            }

            #[track_caller]
            fn item<T: $crate::dtype::Element>(&self) -> $crate::Result<T> {
                Self::item(self)
            }

            #[track_caller]
            fn value_and_grad<F, E>(function: F, primals: &[Self]) -> $crate::Result<(Self, Vec<Self>), E>
            where
                F: FnOnce(&[Self]) -> $crate::Result<Self, E>,
                E: From<$crate::Error>,
            {
                Self::value_and_grad(function, primals)
            }

            #[track_caller]
            fn grad<F, E>(function: F, primals: &[Self]) -> $crate::Result<Vec<Self>, E>
            where
                F: FnOnce(&[Self]) -> $crate::Result<Self, E>,
                E: From<$crate::Error>,
            {
                Self::grad(function, primals)
            }

            #[track_caller]
            fn reshape<L: $crate::array::Length>(&self, shape: &[L]) -> $crate::Result<Self> {
                Self::reshape(self, shape)
            }

            #[track_caller]
            fn split(&self, parts: usize, axis: isize) -> $crate::Result<Vec<Self>> {
                Self::split(self, parts, axis)
            }

            fn shape(&self) -> Vec<usize> {
                Self::shape(self)
            }

            fn ndim(&self) -> usize {
                Self::ndim(self)
            }

            fn size(&self) -> usize {
                Self::size(self)
            }

            fn dtype(&self) -> $crate::dtype::Dtype {
                Self::dtype(self)
            }

            fn is_traced(&self) -> bool {
                Self::is_traced(self)
            }

            #[track_caller]
            fn to_buffer(&self) -> $crate::Result<$crate::dtype::Buffer<'static>> {
                Self::to_buffer(self)
            }

            fn eval(&self) -> $crate::Result<()> {
                Self::eval(self)
            }

            fn backend() -> &'static dyn $crate::Backend {
                Self::backend()
            }

            $crate::array::forward_to_inherent! { @functions
                from_buffer(buffer: $crate::dtype::Buffer<'_>, shape: &[usize]);
                zeros(shape: &[usize], dtype: $crate::dtype::Dtype);
                ones(shape: &[usize], dtype: $crate::dtype::Dtype);
                arange(start: f64, stop: f64, step: f64, dtype: $crate::dtype::Dtype);
                eye(n: usize, m: usize, k: i32, dtype: $crate::dtype::Dtype);
                stack(arrays: &[Self], axis: isize);
                concatenate(arrays: &[Self], axis: isize);
            }
            $crate::array::forward_to_inherent! { @methods
                abs();
                negative();
                exp();
                log();
                sqrt();
                square();
                sin();
                cos();
                tanh();
                erf();
                sigmoid();
                relu();
                gelu();
                add(other: impl $crate::array::IntoOperand<Self>);
                subtract(other: impl $crate::array::IntoOperand<Self>);
                multiply(other: impl $crate::array::IntoOperand<Self>);
                divide(other: impl $crate::array::IntoOperand<Self>);
                maximum(other: impl $crate::array::IntoOperand<Self>);
                minimum(other: impl $crate::array::IntoOperand<Self>);
                power(other: impl $crate::array::IntoOperand<Self>);
                equal(other: impl $crate::array::IntoOperand<Self>);
                greater(other: impl $crate::array::IntoOperand<Self>);
                less(other: impl $crate::array::IntoOperand<Self>);
                where_cond(
                    on_true: impl $crate::array::IntoOperand<Self>,
                    on_false: impl $crate::array::IntoOperand<Self>
                );
                sum(axes: &[isize], keepdims: bool);
                sum_all();
                mean(axes: &[isize], keepdims: bool);
                mean_all();
                max(axes: &[isize], keepdims: bool);
                min(axes: &[isize], keepdims: bool);
                logsumexp(axes: &[isize], keepdims: bool);
                argmax(axis: isize, keepdims: bool);
                matmul(other: &Self);
                addmm(a: &Self, b: &Self, alpha: f32, beta: f32);
                softmax(axis: isize);
                layer_norm(weight: &Self, bias: &Self, eps: f32);
                transpose(axes: &[isize]);
                expand_dims(axis: isize);
                squeeze(axis: isize);
                broadcast_to(shape: &[usize]);
                slice(start: &[usize], stop: &[usize]);
                take(indices: &Self, axis: isize);
                astype(dtype: $crate::dtype::Dtype);
                sign();
                floor();
                ceil();
                reciprocal();
                rsqrt();
                expm1();
                log1p();
                silu();
                clip(min: impl $crate::array::IntoOperand<Self>, max: impl $crate::array::IntoOperand<Self>);
                not_equal(other: impl $crate::array::IntoOperand<Self>);
                greater_equal(other: impl $crate::array::IntoOperand<Self>);
                less_equal(other: impl $crate::array::IntoOperand<Self>);
                logical_and(other: impl $crate::array::IntoOperand<Self>);
                logical_or(other: impl $crate::array::IntoOperand<Self>);
                logical_not();
                isnan();
                argmin(axis: isize, keepdims: bool);
                var(axes: &[isize], keepdims: bool, ddof: usize);
                std(axes: &[isize], keepdims: bool, ddof: usize);
                all(axes: &[isize], keepdims: bool);
                any(axes: &[isize], keepdims: bool);
                log_softmax(axis: isize);
                cross_entropy(targets: &Self);
                scaled_dot_product_attention(keys: &Self, values: &Self, scale: f32, mask: Option<&Self>);
                narrow(axis: isize, start: usize, length: usize);
                flatten(start_axis: isize, end_axis: isize);
                swapaxes(axis1: isize, axis2: isize);
                contiguous();
                prepacked();
                take_along_axis(indices: &Self, axis: isize);
                one_hot(classes: usize, dtype: $crate::dtype::Dtype);
                tril(k: i32);
                triu(k: i32);
                stop_gradient();
            }
        }
    };
    (@functions $($name:ident($($argument:ident: $type:ty),*);)*) => {
        $(#[track_caller]
        fn $name($($argument: $type),*) -> $crate::Result<Self> {
            Self::$name($($argument),*)
        })*
    };
    (@methods $($name:ident($($argument:ident: $type:ty),*);)*) => {
        $(#[track_caller]
        fn $name(&self $(, $argument: $type)*) -> $crate::Result<Self> {
            Self::$name(self $(, $argument)*)
        })*
    };
}
pub(crate) use forward_to_inherent;
