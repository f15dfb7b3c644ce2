//! The transforms that are running on this thread. Processes compare them before a collective.

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;

/// How far a transform is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its function is running.
    Function,
    /// Its function has returned, and the transform computes its own part.
    Derivatives,
}

/// A transform that is running.
#[derive(Debug, Clone, Copy)]
pub struct Transform {
    name: &'static str,
    place: Option<&'static Location<'static>>,
    phase: Phase,
}

thread_local! {
    static RUNNING: RefCell<Vec<Transform>> = const { RefCell::new(Vec::new()) };
}

/// Lives while a transform runs.
pub struct Running(());

impl Running {
    pub fn start(name: &'static str, place: Option<&'static Location<'static>>) -> Self {
        with_running(|running| running.push(Transform { name, place, phase: Phase::Function }));
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        with_running(Vec::pop);
    }
}

/// Notes that the function of the innermost transform has returned.
pub fn function_returned() {
    with_running(|running| {
        if let Some(innermost) = running.last_mut() {
            innermost.phase = Phase::Derivatives;
        }
    });
}

/// Returns the transforms that are running, innermost first.
pub fn transforms() -> Vec<Transform> {
    with_running(|running| running.iter().rev().copied().collect()).unwrap_or_default()
}

/// Accesses the list, unless this thread is ending and has destroyed it.
fn with_running<T>(edit: impl FnOnce(&mut Vec<Transform>) -> T) -> Option<T> {
    RUNNING.try_with(|running| edit(&mut running.borrow_mut())).ok()
}

impl Transform {
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// Displays the phase and the name: "the backward pass of grad".
impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match (self.phase, self.name) {
            (Phase::Function, _) => "the function of ",
            (Phase::Derivatives, "jvp") => "the forward derivative of ",
            (Phase::Derivatives, "vmap") => "",
            (Phase::Derivatives, _) => "the backward pass of ",
        };
        write!(f, "{part}{}", self.name)
    }
}

/// A transform with the place of its call, such as "the backward pass of grad at src/main.rs:7:5".
pub struct WithPlace(pub Transform);

impl fmt::Display for WithPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        self.0.place.iter().try_for_each(|place| write!(f, " at {place}"))
    }
}
