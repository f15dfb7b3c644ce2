//! `+`, `-`, `*` and `/` of arrays: the methods of the [`Array`] trait under the names that Rust has for them.
//!
//! They call those methods and nothing else, so that they obey scopes and fail as those do.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::array::{Array, Dtype};
use crate::error::Result;

/// A number beside an array: of the array's dtype if that is a float, as float16 · 2.0 is float16 in MLX; beside an
/// integer or bool, float32, and so is the result.
fn number<A: Array>(value: f32, beside: &A) -> Result<A> {
    let dtype = Some(beside.dtype()).filter(|dtype| dtype.is_float()).unwrap_or(Dtype::Float32);
    A::full(&[], value, dtype)
}

/// One operator, for each pair of operands.
macro_rules! operator {
    ($operator:ident $name:ident $method:ident: $(|$x:ident: $left:ty, $y:ident: $right:ty| $array:ty {
        ($left_array:expr, $right_array:expr)
    })*) => {$(
        impl $operator<$right> for $left {
            type Output = Result<$array>;

            fn $name(self, right: $right) -> Result<$array> {
                let ($x, $y) = (self, right);
                Array::$method($left_array, $right_array)
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
            |x: &$array, y: f32| $array { (x, &number(y, x)?) }
            |x: $array, y: f32| $array { (&x, &number(y, &x)?) }
            |x: f32, y: &$array| $array { (&number(x, y)?, y) }
            |x: f32, y: $array| $array { (&number(x, &y)?, &y) }
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
