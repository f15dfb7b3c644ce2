//! Other attributes on an annotated function and in it.
#![expect(clippy::mixed_attributes_style)]

use std::panic::Location;

use grad_runtime::GradMode::{self, Enabled, Inference, NoGrad};
use grad_runtime::grad_mode;
use grad_runtime::prelude::*;

use crate::common::{awaited, restored};

#[test]
fn inlining_and_lints() {
    #[no_grad]
    #[inline]
    fn inlined() -> GradMode {
        grad_mode()
    }
    #[inline(always)]
    #[expect(clippy::inline_always)]
    #[no_grad]
    fn always() -> GradMode {
        grad_mode()
    }
    #[cold]
    #[inline(never)]
    #[no_grad]
    fn never() -> GradMode {
        grad_mode()
    }
    #[no_grad]
    #[must_use = "the mode is all there is"]
    #[deprecated = "an example"]
    fn deprecated() -> GradMode {
        grad_mode()
    }
    #[inline]
    #[no_grad]
    async fn resumed() -> GradMode {
        grad_mode()
    }

    assert_eq!([inlined(), always(), never()], [NoGrad; 3]);
    #[expect(deprecated)]
    let mode = restored(deprecated());
    assert_eq!(mode, NoGrad);
    assert_eq!(awaited(resumed()), NoGrad);
}

/// `Location::caller` is the location of the call with our attribute above `track_caller` or below, and that of the body in it.
#[test]
fn locations() {
    #[no_grad]
    #[track_caller]
    fn before() -> (&'static Location<'static>, GradMode) {
        (Location::caller(), grad_mode())
    }
    #[track_caller]
    #[no_grad]
    fn after(value: Option<i32>) -> (i32, &'static Location<'static>) {
        (value.unwrap_or(2), Location::caller())
    }
    #[track_caller]
    #[set_grad_enabled(Location::caller().line() == 0)]
    fn in_a_condition() -> GradMode {
        grad_mode()
    }
    #[no_grad]
    #[track_caller]
    fn early_exit(value: Option<i32>) -> Option<&'static Location<'static>> {
        value?;
        Some(Location::caller())
    }
    #[no_grad]
    #[track_caller]
    fn deferred() -> Box<dyn Iterator<Item = &'static Location<'static>>> {
        Box::new(std::iter::once(Location::caller()))
    }
    #[no_grad]
    fn plain() -> (u32, &'static Location<'static>) {
        (line!(), caller())
    }
    #[no_grad]
    async fn resumed() -> (u32, &'static Location<'static>) {
        (line!(), caller())
    }
    #[track_caller]
    fn caller() -> &'static Location<'static> {
        Location::caller()
    }

    let ((location, mode), line) = (restored(before()), line!());
    assert_eq!((location.line(), location.file(), mode), (line, file!(), NoGrad));
    let ((value, location), line) = (after(None), line!());
    assert_eq!((value, location.line(), location.file()), (2, line, file!()));
    let (location, line) = (early_exit(Some(1)).unwrap(), line!());
    assert_eq!((location.line(), early_exit(None)), (line, None));
    let (mut locations, line) = (deferred(), line!());
    assert_eq!(locations.next().map(Location::line), Some(line));
    assert_eq!(in_a_condition(), NoGrad);
    for (line, location) in [restored(plain()), awaited(resumed())] {
        assert_eq!((location.line(), location.file()), (line, file!()));
    }
}

#[test]
#[no_grad]
fn test_before() {
    assert_eq!(grad_mode(), NoGrad);
}

#[inference_mode]
#[test]
fn test_after() -> Result<(), std::num::ParseIntError> {
    assert_eq!((grad_mode(), "1".parse::<u8>()?), (Inference, 1));
    Ok(())
}

#[test]
#[should_panic(expected = "in NoGrad")]
#[no_grad]
fn test_that_panics() {
    panic!("in {:?}", grad_mode());
}

#[no_grad]
#[tokio::test]
async fn tokio_test_before() {
    tokio::task::yield_now().await;
    assert_eq!(grad_mode(), NoGrad);
    assert_eq!(tokio::spawn(async { grad_mode() }).await.unwrap(), Enabled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[no_grad]
async fn tokio_test_after() -> Result<(), tokio::task::JoinError> {
    tokio::task::yield_now().await;
    assert_eq!(grad_mode(), NoGrad);
    assert_eq!(tokio::spawn(async { grad_mode() }).await?, Enabled);
    Ok(())
}

#[test]
fn tokio_main() {
    #[no_grad]
    #[tokio::main]
    async fn before() -> (GradMode, GradMode) {
        let spawned = tokio::spawn(async { grad_mode() }).await.unwrap();
        (grad_mode(), spawned)
    }
    // The attribute above is expanded first and sees an async fn, so other tasks of the thread are not in the scope.
    #[no_grad]
    #[tokio::main(flavor = "current_thread")]
    async fn on_one_thread() -> (GradMode, GradMode) {
        let spawned = tokio::spawn(async { grad_mode() }).await.unwrap();
        (grad_mode(), spawned)
    }
    #[tokio::main]
    #[set_grad_enabled(on)]
    async fn after(on: bool) -> Result<GradMode, tokio::task::JoinError> {
        tokio::spawn(async {}).await?;
        Ok(grad_mode())
    }

    assert_eq!(restored(before()), (NoGrad, Enabled));
    assert_eq!(restored(on_one_thread()), (NoGrad, Enabled));
    assert_eq!((restored(after(true)).unwrap(), restored(after(false)).unwrap()), (Enabled, NoGrad));
}

/// Docs before.
#[no_grad]
/// Docs after.
/** Docs in a block. */
#[doc = "Docs as an attribute."]
fn documented() -> GradMode {
    //! Docs inside.
    /*! Docs inside, in a block. */
    /// Docs of an item.
    const MODE: fn() -> GradMode = grad_mode;
    MODE()
}

#[no_grad]
fn with_inner_attributes(n: u8) -> (u8, GradMode) {
    #![allow(unused_variables, clippy::let_and_return)]
    #![expect(non_snake_case)]
    //! Docs inside, after attributes.
    let unused = 1;
    let RESULT = (n, grad_mode());
    RESULT
}

#[no_grad]
async fn async_with_inner_attributes(n: u8) -> (u8, GradMode) {
    //! Docs inside.
    #![allow(unused_variables)]
    let unused = 1;
    (n, grad_mode())
}

#[test]
fn docs_and_inner_attributes() {
    assert_eq!(restored(documented()), NoGrad);
    assert_eq!(restored(with_inner_attributes(1)), (1, NoGrad));
    assert_eq!(awaited(async_with_inner_attributes(1)), (1, NoGrad));
}

#[test]
fn conditional_compilation() {
    #[no_grad]
    fn arguments(
        #[cfg(not(test))] missing: NoSuchType,
        #[cfg(test)] there: i32,
        #[allow(unused_variables)] unused: i32,
        #[cfg_attr(test, expect(unused_mut))] mut other: i32,
    ) -> (i32, GradMode) {
        (there + other, grad_mode())
    }
    #[no_grad]
    async fn async_arguments(#[cfg(not(test))] missing: NoSuchType, #[cfg(test)] there: i32) -> (i32, GradMode) {
        (there, grad_mode())
    }
    #[cfg(not(test))]
    #[no_grad]
    fn one_of_two() -> NoSuchType {
        no_such_function()
    }
    #[no_grad]
    #[cfg(test)]
    fn one_of_two() -> GradMode {
        #[cfg(not(test))]
        return no_such_function();
        #[cfg(test)]
        return grad_mode();
    }
    #[cfg_attr(test, grad_runtime::attr::no_grad)]
    fn when_it_holds() -> GradMode {
        grad_mode()
    }
    #[cfg_attr(not(test), grad_runtime::attr::no_grad)]
    fn when_it_does_not() -> GradMode {
        grad_mode()
    }

    assert_eq!(restored(arguments(1, 2, 3)), (4, NoGrad));
    assert_eq!(awaited(async_arguments(1)), (1, NoGrad));
    assert_eq!(restored(one_of_two()), NoGrad);
    assert_eq!((when_it_holds(), when_it_does_not()), (NoGrad, Enabled));
}
