//! MLX's own grad mode, for an MLX that has one.
//!
//! MLX 0.32 has none. Where the headers that the shim was compiled with declare `mlx::core::is_grad_enabled()` and
//! `set_grad_enabled(bool)` for the calling thread, this backend is installed when MLX is loaded. Universal scopes then switch
//! MLX's mode too, as do selective ones for [`Mlx`](crate::Mlx), and restore the mode that they found.

use grad_core::__private::install_native_switch_of_mlx;
use grad_core::{Backend, GradMode};
use grad_mlx_sys::Api;

struct NativeSwitch {
    is_enabled: unsafe extern "C" fn() -> bool,
    set_enabled: unsafe extern "C" fn(bool),
}

impl Backend for NativeSwitch {
    fn name(&self) -> &'static str {
        "mlx-switch"
    }

    fn grad_mode(&self) -> GradMode {
        // SAFETY: the function takes no arguments.
        if unsafe { (self.is_enabled)() } { GradMode::Enabled } else { GradMode::NoGrad }
    }

    fn set_grad_mode(&self, mode: GradMode) {
        // SAFETY: the flag is passed by value.
        unsafe { (self.set_enabled)(mode.is_enabled()) };
    }
}

/// Installs the backend, from the next scope on.
pub fn install(api: &Api) {
    let switch = NativeSwitch { is_enabled: api.is_grad_enabled, set_enabled: api.set_grad_enabled };
    install_native_switch_of_mlx(Box::leak(Box::new(switch)));
}
