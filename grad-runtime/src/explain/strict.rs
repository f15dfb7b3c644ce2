//! Values that depend on no primal as errors.

use std::cell::Cell;

thread_local! {
    static IS_STRICT: Cell<bool> = const { Cell::new(false) };
}

/// Calls `function`, and makes it an error there to differentiate a value that depends on no primal.
///
/// Without it, the gradient of such a value is zero, as in JAX. Only whether the value depends on a primal counts; a gradient may
/// still be missing for some of the primals, which [`gradients`](super::gradients) reports.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Array, cpu, explain, no_grad};
///
/// let x = cpu::Array::scalar(2.0_f32)?;
/// let loss = |x: &[cpu::Array]| no_grad!(x[0].square());
/// assert_eq!(cpu::Array::grad(loss, &[x.clone()])?[0].item::<f32>()?, 0.0);
/// let error = explain::strict(|| cpu::Array::grad(loss, &[x])).unwrap_err();
/// assert!(error.to_string().contains("the value depends on no primal"));
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Panics
///
/// If `function` panics, with its payload.
pub fn strict<T>(function: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IS_STRICT.set(self.0);
        }
    }
    let _restore = Restore(IS_STRICT.replace(true));
    function()
}

pub(crate) fn is_strict() -> bool {
    IS_STRICT.get()
}
