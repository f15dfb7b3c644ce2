//! MLX's own grad mode, for an MLX that has one.
//!
//! MLX 0.32 has none. Where the headers that the shim was compiled with declare `mlx::core::is_grad_enabled()` and
//! `set_grad_enabled(bool)` for the calling thread, this backend is installed when MLX is loaded. Universal scopes then switch
//! MLX's mode too, as do selective ones on [`Mlx`](crate::Mlx), and restore the mode that they found.

use super::ffi;
use grad_core::__private::install_native_switch_of_mlx;
use grad_core::Backend;
use grad_core::GradMode;

struct Switch;

impl Backend for Switch {
    fn name(&self) -> &'static str {
        "mlx-switch"
    }

    fn grad_mode(&self) -> GradMode {
        if ffi::is_grad_enabled() { GradMode::Enabled } else { GradMode::NoGrad }
    }

    fn set_grad_mode(&self, mode: GradMode) {
        ffi::set_grad_enabled(mode.is_enabled());
    }
}

/// Installs the backend, from the next scope on.
pub fn install() {
    install_native_switch_of_mlx(&Switch);
}
