//! Dtypes and elements as they cross.

use grad_mlx_sys as sys;
use half::{bf16, f16};
use num_complex::Complex32;

use crate::dtype::{Dtype, for_each_dtype};

/// A type of elements that has the same layout in MLX.
///
/// # Safety
///
/// Every bit pattern that MLX writes for `DTYPE` must be a value of the type.
pub unsafe trait Plain: Copy + Default {
    /// The dtype of arrays with such elements.
    const DTYPE: Dtype;
}

macro_rules! dtypes {
    ($($(#[$doc:meta])* $dtype:ident $name:literal $element:ty = $number:literal;)*) => {
        const _: () = {$(
            assert!(Dtype::$dtype as i32 == sys::Dtype::$dtype as i32);
            assert!(size_of::<$element>() == sys::Dtype::$dtype.size());
        )*};

        impl From<Dtype> for sys::Dtype {
            #[inline]
            fn from(dtype: Dtype) -> Self {
                match dtype {
                    $(Dtype::$dtype => Self::$dtype,)*
                }
            }
        }

        impl From<sys::Dtype> for Dtype {
            #[inline]
            fn from(dtype: sys::Dtype) -> Self {
                match dtype {
                    $(sys::Dtype::$dtype => Self::$dtype,)*
                }
            }
        }

        $(
            // SAFETY: MLX's element type is the same, or has the same format: 16-bit floats, of which every bit pattern is a value,
            // and complex numbers, which are two floats. MLX writes bools as 0 and 1.
            unsafe impl Plain for $element {
                const DTYPE: Dtype = Dtype::$dtype;
            }
        )*
    };
}
for_each_dtype!(dtypes);
