//! libtorch: its own switch, found in the running process.
//!
//! Nothing here is needed to build: the switch is two functions that libtorch exports, looked up in the libraries that are
//! loaded. `switch` keeps them and knows when to look, `loader` asks the dynamic loader.

#[cfg(all(feature = "torch", not(all(test, any(loom, miri)))))]
#[allow(unsafe_code, reason = "it asks the dynamic loader")]
mod loader;
#[cfg(all(feature = "torch", test, any(loom, miri)))]
#[path = "loader/model.rs"]
pub(crate) mod loader;
#[cfg_attr(feature = "torch", allow(unsafe_code, reason = "it calls libtorch"))]
#[cfg_attr(not(feature = "torch"), path = "dummy_switch.rs")]
pub(crate) mod switch;
#[cfg(feature = "torch")]
#[allow(unsafe_code, reason = "it reads through a pointer to a static word")]
pub(crate) mod word;

use crate::backend::Backend;
use crate::error::Unavailable;
use crate::mode::GradMode;
use crate::thread_state::Slot;

/// libtorch, however it came into the process: by the `tch` crate, by C++, or by Python's `import torch`.
///
/// libtorch has a switch of its own, `c10::GradMode`, for each thread. Python's `torch.no_grad()` and tch's `no_grad` turn it, and
/// it decides whether a result requires a gradient. With the feature `torch`, on Linux and macOS, this backend finds that switch
/// in the running process. It links nothing and loads nothing. The first universal scope after libtorch was loaded installs it,
/// whether libtorch came with the program or later; a scope that was entered before does not reach it. Scopes save the mode that
/// they find and restore it, so they nest with libtorch's own in any order.
///
/// ```
/// use grad_core::{Backend, GradMode, Torch, no_grad};
///
/// let guard = no_grad();
/// if Torch::check_available().is_ok() {
///     assert_eq!(Torch.grad_mode(), GradMode::NoGrad);
/// }
/// drop(guard);
/// assert_eq!(Torch.grad_mode(), GradMode::Enabled);
/// ```
///
/// Without libtorch there is nothing to switch: `grad_mode` returns [`GradMode::Enabled`], `set_grad_mode` does nothing, and
/// a selective scope, `no_grad! { <Torch> … }`, is harmless. [`install`](crate::install) works before a scope has installed it,
/// and is never needed.
///
/// # Inference mode
///
/// Our inference mode is libtorch's `no_grad`. It disables recording and `enable_grad` does not lift it, as everywhere. It lacks
/// two properties of `torch.inference_mode()`: results are ordinary tensors and not inference tensors, so their version counters
/// and view tracking continue at their cost, and a result may be used in a recorded computation later. `c10::InferenceMode` cannot
/// be turned from the outside: it is a C++ object that lives as long as its scope. Inside libtorch's own inference mode, our scopes
/// turn `c10::GradMode` and nothing else: results stay inference tensors.
///
/// # Side effects
///
/// The library in which the functions were found is never unloaded. And to detect later libraries at no cost, scopes on Linux
/// watch the end of the loader's list of libraries: the library that was loaded last when a universal scope probes is never
/// unloaded either. A program that unloads and reloads plugins should enter one universal scope before it loads the first plugin
/// and none while its newest library is a plugin, or leave out the feature.
///
/// A probe takes the loader's lock, as `dlopen` does: if an initializer of a library waits for another thread, that thread must
/// not be the first to enter a scope.
///
/// # Limits
///
/// A libtorch that is linked statically into a program which does not export its functions is not found. Of several libtorchs in
/// one process, one is found: the one whose symbols are global, or else the one that was loaded first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torch;

impl Torch {
    /// Checks that libtorch's switch is in this process now.
    ///
    /// Scopes do not need it: without libtorch, they are still scopes.
    ///
    /// ```
    /// use grad_core::Torch;
    ///
    /// match Torch::check_available() {
    ///     Ok(()) => println!("scopes switch libtorch too"),
    ///     Err(error) => println!("{error}"),
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Unavailable`], with the reason: built without the feature `torch`, not Linux or macOS, or libtorch is not loaded.
    pub fn check_available() -> Result<(), Unavailable> {
        #[cfg(feature = "torch")]
        let found = if switch::find() { Ok(()) } else { Err(loader::WHY_NOT) };
        #[cfg(not(feature = "torch"))]
        let found = Err("this program was built without the feature `torch` of grad-runtime; enable it");
        found.map_err(|reason| Unavailable { backend: "torch", reason: reason.into() })
    }
}

impl Backend for Torch {
    fn name(&self) -> &'static str {
        "torch"
    }

    fn grad_mode(&self) -> GradMode {
        if !switch::find() || switch::is_enabled() { GradMode::Enabled } else { GradMode::NoGrad }
    }

    fn set_grad_mode(&self, mode: GradMode) {
        if switch::find() {
            switch::set_enabled(mode.is_enabled());
        }
    }

    fn slot(&self) -> Option<Slot> {
        Some(Slot::Torch)
    }
}
