//! Dtypes and elements as they cross.

use grad_mlx_sys as sys;
use half::{bf16, f16};

use crate::dtype::Dtype;

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
    ($($dtype:ident: $element:ty;)*) => {
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
            // SAFETY: MLX's element type is the same, or for 16-bit floats, of which every bit pattern is a value, has the
            // same format. MLX writes bools as 0 and 1.
            unsafe impl Plain for $element {
                const DTYPE: Dtype = Dtype::$dtype;
            }
        )*
    };
}
dtypes! {
    Float32: f32;
    Float16: f16;
    BFloat16: bf16;
    Int32: i32;
    UInt32: u32;
    Bool: bool;
}
