//! Element types: their names at run time, their Rust types, and buffers of elements.

use std::borrow::Cow;
use std::fmt;

use half::{bf16, f16};

/// The type of an array's elements.
///
/// ```
/// use grad_runtime::Dtype;
///
/// assert_eq!(Dtype::BFloat16.to_string(), "bfloat16");
/// assert!(Dtype::BFloat16.is_float() && !Dtype::UInt32.is_float());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
// The numbers are explicit because they cross to MLX.
pub enum Dtype {
    /// 32-bit floating point.
    Float32 = 0,
    /// 16-bit floating point, IEEE 754 binary16.
    Float16 = 1,
    /// 16-bit floating point with the range of float32.
    BFloat16 = 2,
    /// 32-bit signed integer.
    Int32 = 3,
    /// 32-bit unsigned integer.
    UInt32 = 4,
    /// `true` or `false`.
    Bool = 5,
}

impl Dtype {
    /// Returns whether arrays of this dtype have gradients.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float16 | Self::BFloat16)
    }

    /// Returns the size of an element in bytes.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::Float32 | Self::Int32 | Self::UInt32 => 4,
            Self::Float16 | Self::BFloat16 => 2,
            Self::Bool => 1,
        }
    }
}

/// Writes the name that MLX and NumPy use, such as `float32`.
impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::BFloat16 => "bfloat16",
            Self::Int32 => "int32",
            Self::UInt32 => "uint32",
            Self::Bool => "bool",
        })
    }
}

/// Elements that are copied into or out of an array, in row-major order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is named after its dtype")]
pub enum Buffer<'a> {
    Float32(Cow<'a, [f32]>),
    Float16(Cow<'a, [f16]>),
    BFloat16(Cow<'a, [bf16]>),
    Int32(Cow<'a, [i32]>),
    UInt32(Cow<'a, [u32]>),
    Bool(Cow<'a, [bool]>),
}

impl Buffer<'_> {
    /// Returns the dtype of the elements.
    #[must_use]
    pub const fn dtype(&self) -> Dtype {
        match self {
            Self::Float32(_) => Dtype::Float32,
            Self::Float16(_) => Dtype::Float16,
            Self::BFloat16(_) => Dtype::BFloat16,
            Self::Int32(_) => Dtype::Int32,
            Self::UInt32(_) => Dtype::UInt32,
            Self::Bool(_) => Dtype::Bool,
        }
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Float32(data) => data.len(),
            Self::Float16(data) => data.len(),
            Self::BFloat16(data) => data.len(),
            Self::Int32(data) => data.len(),
            Self::UInt32(data) => data.len(),
            Self::Bool(data) => data.len(),
        }
    }

    /// Returns whether the buffer has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A Rust type that can be an array's element: `f32`, [`struct@f16`], [`bf16`], `i32`, `u32` or `bool`.
///
/// This trait is sealed: only this crate implements it.
///
/// ```
/// use grad_runtime::{Buffer, Dtype, Element};
///
/// assert_eq!(u32::DTYPE, Dtype::UInt32);
/// let buffer = u32::buffer(&[1, 2]);
/// assert_eq!((buffer.dtype(), buffer.len()), (Dtype::UInt32, 2));
/// assert_eq!(i32::elements(buffer.clone()), None);
/// assert_eq!(u32::elements(buffer), Some(vec![1, 2]));
/// ```
pub trait Element: Copy + sealed::Sealed + 'static {
    /// The dtype of arrays with such elements.
    const DTYPE: Dtype;

    /// Borrows the elements as a buffer.
    fn buffer(elements: &[Self]) -> Buffer<'_>;

    /// Returns the elements if the buffer holds this type.
    fn elements(buffer: Buffer<'_>) -> Option<Vec<Self>>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($element:ty => $dtype:ident),*) => {$(
        impl sealed::Sealed for $element {}
        impl Element for $element {
            const DTYPE: Dtype = Dtype::$dtype;

            fn buffer(elements: &[Self]) -> Buffer<'_> {
                Buffer::$dtype(Cow::Borrowed(elements))
            }

            fn elements(buffer: Buffer<'_>) -> Option<Vec<Self>> {
                match buffer {
                    Buffer::$dtype(data) => Some(data.into_owned()),
                    _ => None,
                }
            }
        }
    )*};
}
elements!(f32 => Float32, f16 => Float16, bf16 => BFloat16, i32 => Int32, u32 => UInt32, bool => Bool);
