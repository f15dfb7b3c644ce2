//! libtorch: its own switch, found in the running process.
//!
//! Nothing here is needed to build: what is looked for are two functions that libtorch exports, in whatever has been
//! loaded into the process so far. `switch` keeps them and knows when to look, `loader` asks the dynamic loader.

#[cfg(feature = "torch")]
#[allow(unsafe_code, reason = "this asks the dynamic loader")]
mod loader;
#[cfg(feature = "torch")]
#[allow(unsafe_code, reason = "this calls libtorch")]
pub(crate) mod switch;

use crate::backend::Backend;
use crate::error::{Result, Unavailable};
use crate::mode::GradMode;

/// libtorch, in whatever brought it into the process: the `tch` crate, C++, or Python's `import torch`.
///
/// libtorch has a switch of its own, `c10::GradMode`, for each thread. It is what Python's `torch.no_grad()` and tch's
/// `no_grad` turn, and what decides whether a result requires a gradient. With the feature `torch`, on Linux and macOS,
/// this backend finds that switch in the running process. It links nothing and loads nothing. The first universal scope
/// after libtorch is there installs it, whether libtorch came with the program or was loaded later; a scope that was
/// entered before does not reach it. Our scopes save the mode that they find and put it back, so that they nest with
/// libtorch's own in any order.
///
/// ```
/// use grad_runtime::{Backend, GradMode, Torch, no_grad};
///
/// let guard = no_grad();
/// if Torch::available().is_ok() {
///     assert_eq!(Torch.grad_mode(), GradMode::NoGrad);
/// }
/// drop(guard);
/// assert_eq!(Torch.grad_mode(), GradMode::Enabled);
/// ```
///
/// Without libtorch there is nothing to switch: `grad_mode` says [`GradMode::Enabled`], `set_grad_mode` does nothing, and
/// a selective scope, `no_grad! { <Torch> … }`, is harmless. Installing it by hand with [`install`](crate::install) is
/// possible before a scope has done so, and is never needed.
///
/// # Inference mode
///
/// Our inference mode is libtorch's `no_grad`. It records nothing and `enable_grad` does not lift it, as everywhere. What
/// is lost of `torch.inference_mode()`: results are ordinary tensors and not inference tensors, so that their version
/// counters and view tracking go on and cost what they cost, and nothing keeps a result from being used in a recorded
/// computation later. `c10::InferenceMode` cannot be turned from the outside: it is a C++ object that lives as long as its
/// scope. Inside of libtorch's own inference mode our scopes turn `c10::GradMode` and nothing else: results stay
/// inference tensors.
///
/// # Side effects
///
/// Functions that were found must stay where they are, so the library that has them is never unloaded. And to notice
/// libraries that come later at no cost, scopes on Linux watch the end of the loader's list of them: the library that was
/// loaded last when a universal scope looks is never unloaded either. A program that unloads and reloads plugins should
/// enter one universal scope before it loads the first, and it pins none if it enters no scope while its newest library
/// is a plugin; or do without the feature.
///
/// A look takes the loader's lock, as `dlopen` does: where an initializer of a library waits for another thread, that
/// thread must not be the first to enter a scope.
///
/// # What is not found
///
/// A libtorch that is linked statically into a program, which does not export its functions. Of several libtorchs in one
/// process, one is found: the one whose symbols are global, or else the one that was loaded first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torch;

impl Torch {
    /// Whether libtorch's switch is in this process now; if not, the error says why: built without the feature `torch`,
    /// not Linux or macOS, or libtorch is not loaded.
    ///
    /// Scopes need none of this: without libtorch, they are still scopes.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::Error::Unavailable).
    ///
    /// ```
    /// use grad_runtime::Torch;
    ///
    /// match Torch::available() {
    ///     Ok(()) => println!("scopes switch libtorch too"),
    ///     Err(why) => println!("{why}"),
    /// }
    /// ```
    pub fn available() -> Result<()> {
        #[cfg(feature = "torch")]
        let found = switch::find().map(drop).ok_or(loader::WHY_NOT);
        #[cfg(not(feature = "torch"))]
        let found = Err("this program was built without the feature `torch` of grad-runtime");
        found.map_err(|why| Unavailable { backend: "torch", reason: why.into() }.into())
    }
}

impl Backend for Torch {
    fn name(&self) -> &'static str {
        "torch"
    }

    fn grad_mode(&self) -> GradMode {
        #[cfg(feature = "torch")]
        if switch::find().is_some_and(|switch| !switch.is_enabled()) {
            return GradMode::NoGrad;
        }
        GradMode::Enabled
    }

    #[cfg_attr(not(feature = "torch"), allow(unused_variables))]
    fn set_grad_mode(&self, mode: GradMode) {
        #[cfg(feature = "torch")]
        if let Some(switch) = switch::find() {
            switch.set_enabled(mode.is_enabled());
        }
    }
}
