//! Element types: their names at run time, their Rust types, and buffers of elements.

use std::borrow::Cow;
use std::fmt;

use half::{bf16, f16};
use num_complex::Complex32;

/// Calls a macro with each dtype: its description, its name here and in MLX, the Rust type of its elements, and the number that crosses
/// to MLX.
macro_rules! for_each_dtype {
    ($with:ident) => {
        $with! {
            /// 32-bit floating point.
            Float32 "float32" f32 = 0;
            /// 16-bit floating point, IEEE 754 binary16.
            Float16 "float16" f16 = 1;
            /// 16-bit floating point with the range of float32.
            BFloat16 "bfloat16" bf16 = 2;
            /// 32-bit signed integer.
            Int32 "int32" i32 = 3;
            /// 32-bit unsigned integer.
            UInt32 "uint32" u32 = 4;
            /// `true` or `false`.
            Bool "bool" bool = 5;
            /// 8-bit signed integer.
            Int8 "int8" i8 = 6;
            /// 16-bit signed integer.
            Int16 "int16" i16 = 7;
            /// 64-bit signed integer, the usual type of token ids.
            Int64 "int64" i64 = 8;
            /// 8-bit unsigned integer, the usual type of an image's channels.
            UInt8 "uint8" u8 = 9;
            /// 16-bit unsigned integer.
            UInt16 "uint16" u16 = 10;
            /// 64-bit unsigned integer.
            UInt64 "uint64" u64 = 11;
            /// 64-bit floating point. MLX computes it on the CPU only, and `exp`, `sin`, `cos`, `erf` and what is made of them only to
            /// float32's precision.
            Float64 "float64" f64 = 12;
            /// A complex number of two float32.
            Complex64 "complex64" Complex32 = 13;
        }
    };
}
pub(crate) use for_each_dtype;

macro_rules! dtypes {
    ($($(#[$doc:meta])* $dtype:ident $name:literal $element:ty = $number:literal;)*) => {
        /// The type of an array's elements: all that MLX has. The CPU fallback has those that candle stores, and gives an error
        /// for int8, uint16, uint64 and complex64.
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
            $($(#[$doc])* $dtype = $number,)*
        }

        impl Dtype {
            /// All dtypes.
            ///
            /// ```
            /// let floats = grad_runtime::Dtype::ALL.iter().filter(|dtype| dtype.is_float());
            /// assert_eq!(floats.count(), 4);
            /// ```
            pub const ALL: &[Self] = &[$(Self::$dtype),*];

            /// Returns the size of an element in bytes.
            ///
            /// ```
            /// assert_eq!(grad_runtime::Dtype::Int64.size(), 8);
            /// ```
            #[must_use]
            pub const fn size(self) -> usize {
                match self {
                    $(Self::$dtype => size_of::<$element>(),)*
                }
            }
        }

        /// Writes the name that MLX and NumPy use, such as `float32`.
        impl fmt::Display for Dtype {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$dtype => $name,)*
                })
            }
        }

        /// Elements that are copied into or out of an array, in row-major order.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "each variant is named after its dtype")]
        pub enum Buffer<'a> {
            $($dtype(Cow<'a, [$element]>),)*
        }

        impl Buffer<'_> {
            /// Returns the dtype of the elements.
            #[must_use]
            pub const fn dtype(&self) -> Dtype {
                match self {
                    $(Self::$dtype(_) => Dtype::$dtype,)*
                }
            }

            /// Returns the number of elements.
            #[must_use]
            pub fn len(&self) -> usize {
                match self {
                    $(Self::$dtype(elements) => elements.len(),)*
                }
            }

            /// Returns whether the buffer has no elements.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }

        impl Number {
            /// Returns the number as the only element of a buffer of `dtype`.
            pub(crate) fn to_buffer(self, dtype: Dtype) -> Buffer<'static> {
                match dtype {
                    $(Dtype::$dtype => Buffer::$dtype(Cow::Owned(vec![<$element>::from_number(self)])),)*
                }
            }
        }

        $(
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
        )*
    };
}
for_each_dtype!(dtypes);

impl Dtype {
    /// Returns whether the elements are real floating point numbers.
    ///
    /// ```
    /// use grad_runtime::Dtype;
    ///
    /// assert!(Dtype::BFloat16.is_float() && !Dtype::Int32.is_float());
    /// ```
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::Float16 | Self::BFloat16 | Self::Float32 | Self::Float64)
    }

    /// Returns whether arrays of this dtype have gradients: those of floating point and complex numbers have. NumPy and MLX call
    /// these dtypes inexact.
    ///
    /// ```
    /// use grad_runtime::Dtype;
    ///
    /// assert!(Dtype::Complex64.is_inexact() && !Dtype::Complex64.is_float());
    /// ```
    #[must_use]
    pub const fn is_inexact(self) -> bool {
        self.is_float() || matches!(self, Self::Complex64)
    }

    /// Returns whether the elements are integers. Bools are not.
    ///
    /// ```
    /// use grad_runtime::Dtype;
    ///
    /// assert!(Dtype::UInt8.is_integer() && !Dtype::Bool.is_integer());
    /// ```
    #[must_use]
    pub const fn is_integer(self) -> bool {
        !self.is_inexact() && !matches!(self, Self::Bool)
    }

    /// Returns whether the elements are integers with a sign.
    const fn is_signed_integer(self) -> bool {
        matches!(self, Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64)
    }

    /// Returns the dtype that an operation on operands of both dtypes is computed in, by MLX's rules.
    ///
    /// A bool becomes the other dtype, an integer beside an inexact dtype that dtype. Of two integers or two floats it is the smallest
    /// dtype that holds both, with two exceptions: `uint64` with a signed integer is float32, and `float64` with complex64
    /// complex64.
    ///
    /// ```
    /// use grad_runtime::Dtype;
    ///
    /// assert_eq!(Dtype::UInt8.promote(Dtype::Int8), Dtype::Int16);
    /// assert_eq!(Dtype::Float16.promote(Dtype::BFloat16), Dtype::Float32);
    /// assert_eq!(Dtype::Int64.promote(Dtype::BFloat16), Dtype::BFloat16);
    /// ```
    #[must_use]
    pub fn promote(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            (Self::Bool, dtype) | (dtype, Self::Bool) => dtype,
            (Self::Complex64, _) | (_, Self::Complex64) => Self::Complex64,
            _ if self.is_float() && other.is_float() => {
                if self == Self::Float64 || other == Self::Float64 {
                    Self::Float64
                } else {
                    Self::Float32
                }
            }
            _ if self.is_float() => self,
            _ if other.is_float() => other,
            _ if self.is_signed_integer() == other.is_signed_integer() => {
                if self.size() > other.size() {
                    self
                } else {
                    other
                }
            }
            _ => {
                let (signed, unsigned) = if self.is_signed_integer() { (self, other) } else { (other, self) };
                match unsigned.size() {
                    size if size < signed.size() => signed,
                    1 => Self::Int16,
                    2 => Self::Int32,
                    4 => Self::Int64,
                    _ => Self::Float32,
                }
            }
        }
    }
}

/// A Rust type that can be an array's element: `f32`, `f64`, [`struct@f16`], [`bf16`], [`Complex32`], `bool`, and the integers of
/// 8 to 64 bits.
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
pub trait Element: Copy + Convert + 'static {
    /// The dtype of arrays with such elements.
    const DTYPE: Dtype;

    /// Borrows the elements as a buffer.
    fn buffer(elements: &[Self]) -> Buffer<'_>;

    /// Returns the elements if the buffer holds this type.
    fn elements(buffer: Buffer<'_>) -> Option<Vec<Self>>;
}

/// A number of any element type, without loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Bool(bool),
    Integer(i128),
    Float(f64),
    Complex(Complex32),
}

/// Seals [`Element`], since it is not exported, and converts elements to numbers and back.
pub trait Convert {
    #[doc(hidden)]
    fn to_number(self) -> Number;

    /// Converts as Rust's `as` does: integers wrap around, and floats outside of an integer's range become its bounds. A bool is
    /// whether the number is not zero; a real number is the real part.
    #[doc(hidden)]
    fn from_number(number: Number) -> Self;
}

macro_rules! convert_integers {
    ($($integer:ty)*) => {$(
        impl Convert for $integer {
            fn to_number(self) -> Number {
                Number::Integer(self.into())
            }

            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as documented")]
            fn from_number(number: Number) -> Self {
                match number {
                    Number::Bool(value) => value.into(),
                    Number::Integer(value) => value as Self,
                    Number::Float(value) => value as Self,
                    Number::Complex(value) => value.re as Self,
                }
            }
        }
    )*};
}
convert_integers! { i8 i16 i32 i64 u8 u16 u32 u64 }

macro_rules! convert_floats {
    ($($float:ty: $from:expr;)*) => {$(
        impl Convert for $float {
            fn to_number(self) -> Number {
                Number::Float(self.into())
            }

            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "as documented")]
            fn from_number(number: Number) -> Self {
                let from: fn(f64) -> Self = $from;
                match number {
                    Number::Bool(value) => from(value.into()),
                    Number::Integer(value) => from(value as f64),
                    Number::Float(value) => from(value),
                    Number::Complex(value) => from(value.re.into()),
                }
            }
        }
    )*};
}
convert_floats! {
    f32: |value| value as f32;
    f64: |value| value;
    f16: f16::from_f64;
    bf16: bf16::from_f64;
}

impl Convert for bool {
    fn to_number(self) -> Number {
        Number::Bool(self)
    }

    fn from_number(number: Number) -> Self {
        match number {
            Number::Bool(value) => value,
            Number::Integer(value) => value != 0,
            Number::Float(value) => value != 0.0,
            Number::Complex(value) => value != Complex32::ZERO,
        }
    }
}

impl Convert for Complex32 {
    fn to_number(self) -> Number {
        Number::Complex(self)
    }

    fn from_number(number: Number) -> Self {
        match number {
            Number::Complex(value) => value,
            real => f32::from_number(real).into(),
        }
    }
}
