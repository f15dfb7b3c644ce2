//! The operators `+`, `-`, `*` and `/` of arrays, which call the methods of the [`Array`] trait and so obey scopes and fail
//! as these do.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::array::Array;
use crate::dtype::Dtype;
use crate::error::Result;

/// Returns a number as an operand of `op` beside `array`: of the dtype of the array if that is floating point, else float32.
/// The result has the same dtype, as in MLX.
fn scalar_operand<A: Array>(op: &'static str, value: f32, array: &A) -> Result<A> {
    let dtype = Some(array.dtype()).filter(|dtype| dtype.is_float()).unwrap_or(Dtype::Float32);
    A::full(&[], value, dtype).map_err(|error| error.with_op(op))
}

/// Implements one operator for each pair of operands.
macro_rules! operator {
    ($operator:ident $name:ident $method:ident: $(|$x:ident: $left:ty, $y:ident: $right:ty| $array:ty {
        ($left_array:expr, $right_array:expr)
    })*) => {$(
        impl $operator<$right> for $left {
            type Output = Result<$array>;

            fn $name(self, right: $right) -> Result<$array> {
                let ($x, $y) = (self, right);
                <$array>::$method($left_array, $right_array)
            }
        }
    )*};
}

macro_rules! operators {
    ($array:ty: $($operator:ident $name:ident $method:ident;)*) => {
        $(operator! {
            $operator $name $method:
            |x: &$array, y: &$array| $array { (x, y) }
            |x: &$array, y: $array| $array { (x, &y) }
            |x: $array, y: &$array| $array { (&x, y) }
            |x: $array, y: $array| $array { (&x, &y) }
            |x: &$array, y: f32| $array { (x, &scalar_operand(stringify!($method), y, x)?) }
            |x: $array, y: f32| $array { (&x, &scalar_operand(stringify!($method), y, &x)?) }
            |x: f32, y: &$array| $array { (&scalar_operand(stringify!($method), x, y)?, y) }
            |x: f32, y: $array| $array { (&scalar_operand(stringify!($method), x, &y)?, &y) }
        })*

        impl Neg for &$array {
            type Output = Result<$array>;

            fn neg(self) -> Result<$array> {
                self.negative()
            }
        }

        impl Neg for $array {
            type Output = Result<$array>;

            fn neg(self) -> Result<$array> {
                self.negative()
            }
        }
    };
}

#[cfg(feature = "cpu")]
operators! { crate::cpu::Array: Add add add; Sub sub subtract; Mul mul multiply; Div div divide; }
#[cfg(feature = "mlx")]
operators! { crate::mlx::Array: Add add add; Sub sub subtract; Mul mul multiply; Div div divide; }
