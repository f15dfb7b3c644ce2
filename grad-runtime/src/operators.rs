//! The operators `+`, `-`, `*` and `/` of arrays, which call the methods of the [`Array`](crate::Array) trait and so obey scopes and
//! fail as these do.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::array::IntoOperand;
use crate::error::Result;

/// The operators of references to arrays, as one bound for generic code. Both array types have them.
///
/// The right operand is an array, a reference to one, or a number. A function with this bound calls an operation either by its
/// operator or as `Array::add(x, y)`: `x.add(y)` could mean both, and does not compile.
///
/// ```
/// use grad_runtime::{Array, Operators, Result};
///
/// fn lerp<A: Array>(from: &A, to: &A, weight: f32) -> Result<A>
/// where
///     for<'a> &'a A: Operators<A>,
/// {
///     &(from * (1.0 - weight))? + (to * weight)?
/// }
/// # #[cfg(feature = "cpu")] {
/// # use grad_runtime::cpu;
/// let (from, to) = (cpu::Array::scalar(2.0_f32)?, cpu::Array::scalar(4.0_f32)?);
/// assert_eq!(lerp(&from, &to, 0.25)?.item::<f32>()?, 2.5);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub trait Operators<A>:
    OperatorsWith<Self, A>
    + OperatorsWith<A, A>
    + OperatorsWith<f32, A>
    + OperatorsWith<i32, A>
    + Neg<Output = Result<A>>
{
}

impl<A, T> Operators<A> for T where
    T: OperatorsWith<T, A>
        + OperatorsWith<A, A>
        + OperatorsWith<f32, A>
        + OperatorsWith<i32, A>
        + Neg<Output = Result<A>>
{
}

/// The operators with such an operand on the right.
pub trait OperatorsWith<R, A>:
    Sized
    + Add<R, Output = Result<A>>
    + Sub<R, Output = Result<A>>
    + Mul<R, Output = Result<A>>
    + Div<R, Output = Result<A>>
{
}

impl<T, R, A> OperatorsWith<R, A> for T where
    T: Add<R, Output = Result<A>>
        + Sub<R, Output = Result<A>>
        + Mul<R, Output = Result<A>>
        + Div<R, Output = Result<A>>
{
}

/// Implements one operator for each pair of operands.
macro_rules! operator {
    ($operator:ident $name:ident $method:ident: $(|$x:ident: $left:ty, $y:ident: $right:ty| $array:ty { $result:expr })*) => {$(
        impl $operator<$right> for $left {
            type Output = Result<$array>;

            #[track_caller]
            fn $name(self, right: $right) -> Result<$array> {
                let ($x, $y) = (self, right);
                $result
            }
        }
    )*};
}

macro_rules! operators {
    ($array:ty: $($operator:ident $name:ident $method:ident;)*) => {
        $(
            operator! {
                $operator $name $method:
                |x: &$array, y: &$array| $array { <$array>::$method(x, y) }
                |x: &$array, y: $array| $array { <$array>::$method(x, y) }
                |x: $array, y: &$array| $array { <$array>::$method(&x, y) }
                |x: $array, y: $array| $array { <$array>::$method(&x, y) }
            }
            operators! { @numbers $array: $operator $name $method: f32 i32 }
        )*

        impl Neg for &$array {
            type Output = Result<$array>;

            #[track_caller]
            fn neg(self) -> Result<$array> {
                self.negative()
            }
        }

        impl Neg for $array {
            type Output = Result<$array>;

            #[track_caller]
            fn neg(self) -> Result<$array> {
                self.negative()
            }
        }
    };
    (@numbers $array:ty: $operator:ident $name:ident $method:ident: $($number:ty)*) => {
        $(operator! {
            $operator $name $method:
            |x: &$array, y: $number| $array { <$array>::$method(x, y) }
            |x: $array, y: $number| $array { <$array>::$method(&x, y) }
            |x: $number, y: &$array| $array { <$array>::$method(&*IntoOperand::<$array>::into_operand(x, stringify!($method), || y.dtype())?, y) }
            |x: $number, y: $array| $array { <$array>::$method(&*IntoOperand::<$array>::into_operand(x, stringify!($method), || y.dtype())?, y) }
        })*
    };
}

#[cfg(feature = "cpu")]
operators! { crate::cpu::Array: Add add add; Sub sub subtract; Mul mul multiply; Div div divide; }
#[cfg(feature = "mlx")]
operators! { crate::mlx::Array: Add add add; Sub sub subtract; Mul mul multiply; Div div divide; }
