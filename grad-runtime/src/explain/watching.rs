//! Reports without being asked for each: [`watch`], and `GRAD_EXPLAIN=1` in the environment.

use std::cell::{Cell, RefCell};
use std::env;
use std::marker::PhantomData;
use std::mem;
use std::panic::Location;
use std::sync::OnceLock;

use grad_core::{WatchGuard, watch_scopes};

use super::record::{self, Index, Recording};
use super::{Report, describe};
use crate::array::Array;

thread_local! {
    static WATCHES: Cell<usize> = const { Cell::new(0) };
    static IS_WATCHED_BY_ENVIRONMENT: Cell<bool> = const { Cell::new(false) };
    /// The paths of the parameters of the next transform, where they have paths.
    static PATHS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
    /// The missing gradients of the last report that was printed.
    static LAST_PRINTED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Watches this thread's transforms; see [`watch`].
#[must_use = "watching ends when this is dropped"]
pub struct Watch {
    _places: WatchGuard,
    _not_send: PhantomData<*const ()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHES.set(WATCHES.get() - 1);
    }
}

/// Prints a [`Report`] to standard error for each transform on this thread that leaves a parameter without a gradient, until the
/// returned value is dropped. A report is not printed if the same is missing for the same reasons as in the one before.
///
/// The environment variable `GRAD_EXPLAIN=1` does the same for a program that is not changed, on each thread from its first
/// transform on; a scope that was entered before that has no place in the report.
///
/// Transforms are `value_and_grad` and `grad` of arrays and of structures of arrays.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Array, cpu, explain, no_grad};
///
/// let _watch = explain::watch();
/// let x = cpu::Array::scalar(2.0_f32)?;
/// // Prints: 1 parameter: 0 receive a gradient, 1 does not …
/// let gradients = cpu::Array::grad(|x| no_grad!(x[0].square()), &[x])?;
/// assert_eq!(gradients[0].item::<f32>()?, 0.0);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn watch() -> Watch {
    WATCHES.set(WATCHES.get() + 1);
    Watch { _places: watch_scopes(), _not_send: PhantomData }
}

fn is_watching() -> bool {
    static BY_ENVIRONMENT: OnceLock<bool> = OnceLock::new();
    if WATCHES.get() > 0 {
        return true;
    }
    let wanted = *BY_ENVIRONMENT.get_or_init(|| env::var_os("GRAD_EXPLAIN").is_some_and(|value| value == "1"));
    if wanted && !IS_WATCHED_BY_ENVIRONMENT.replace(true) {
        mem::forget(watch_scopes());
    }
    wanted
}

/// Sets the paths of the parameters of the transform that starts next.
pub(crate) fn set_paths(paths: impl FnOnce() -> Vec<String>) {
    if is_watching() && !record::is_recording() {
        PATHS.set(Some(paths()));
    }
}

/// A transform that is watched, if it is.
pub(crate) struct Watched(Option<Inner>);

struct Inner {
    recording: Recording,
    paths: Option<Vec<String>>,
    place: &'static Location<'static>,
    value: Cell<Option<Index>>,
}

impl Watched {
    #[track_caller]
    pub(crate) fn start() -> Self {
        let place = Location::caller();
        let is_watched = is_watching() && !record::is_recording();
        Self(is_watched.then(|| Inner {
            recording: Recording::start(),
            paths: PATHS.take(),
            place,
            value: Cell::new(None),
        }))
    }

    /// Notes the parameters as the function sees them.
    pub(crate) fn called<A: Array>(&self, primals: &[A], seen: &[A]) {
        if let Some(inner) = &self.0 {
            record::parameters(primals, seen, inner.place);
        }
    }

    pub(crate) fn returned<A: Array>(&self, value: &A) {
        if let Some(inner) = &self.0 {
            inner.value.set(record::end(value));
        }
    }

    /// Prints the report, if a gradient is missing.
    pub(crate) fn finish<A: Array>(self, gradients: &[A]) {
        let Some(inner) = self.0 else { return };
        let record = inner.recording.finish();
        let paths = inner.paths.filter(|paths| paths.len() == gradients.len());
        let paths = paths.unwrap_or_else(|| (0..gradients.len()).map(|index| index.to_string()).collect());
        let described = paths.into_iter().zip(gradients).map(|(path, gradient)| describe(path, gradient));
        let report = Report::new(&record, inner.value.get(), described.collect());
        let missing = report.missing().map(|parameter| format!("{}: {}\n", parameter.path, parameter.gradient));
        let missing = format!("{}\n{}", inner.place, missing.collect::<String>());
        if report.missing().next().is_some() && LAST_PRINTED.replace(missing.clone()) != missing {
            eprintln!("at {}: {report}", inner.place);
        }
    }
}
