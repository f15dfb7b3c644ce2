//! Helpers that several test targets share.

#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod arrays;
pub mod backends;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod derivatives;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod gradients;
#[cfg(feature = "mlx")]
pub mod mapped;
pub mod markers;
pub mod memory;
pub mod polling;
pub mod processes;
pub mod random;
pub mod rings;

/// Makes a test of each generic function for each backend.
#[macro_export]
macro_rules! on_every_backend {
    ($($(#[doc = $doc:literal])* fn $name:ident<$array:ident>() $body:block)*) => {
        $($(#[doc = $doc])* fn $name<$array: grad_runtime::Array>() $body)*

        #[cfg(feature = "cpu")]
        mod on_cpu {
            $(#[test]
            fn $name() {
                super::$name::<grad_runtime::cpu::Array>();
            })*
        }

        #[cfg(feature = "mlx")]
        mod on_mlx {
            $(#[test]
            fn $name() {
                super::$name::<grad_runtime::mlx::Array>();
            })*
        }
    };
}
