//! Guarantee 14: the places of scopes that attributes, block macros and carried modes enter are lines of the user's code.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use grad_runtime::attr::no_grad;
use grad_runtime::{Carry, carry, open_scopes, watch_scopes};

/// Returns the file and line of each open scope.
fn places() -> Vec<(String, u32)> {
    let place = |scope: &grad_runtime::OpenScope| {
        let place = scope.place().unwrap();
        (place.file().to_owned(), place.line())
    };
    open_scopes().iter().map(place).collect()
}

fn here(line: u32) -> Vec<(String, u32)> {
    vec![(file!().to_owned(), line)]
}

const FUNCTION: u32 = line!() + 1;
#[no_grad]
fn function() -> Vec<(String, u32)> {
    places()
}

const ASYNC: u32 = line!() + 1;
#[no_grad]
async fn async_function() -> Vec<(String, u32)> {
    places()
}

const ITERATOR: u32 = line!() + 1;
#[no_grad]
fn iterator() -> impl Iterator<Item = Vec<(String, u32)>> {
    std::iter::once_with(places)
}

const CLOSURE: u32 = line!() + 1;
#[no_grad]
fn closure() -> impl Fn() -> Vec<(String, u32)> {
    || places()
}

struct Service;

const BLOCK: u32 = line!() + 1;
#[no_grad]
impl Service {
    fn method() -> Vec<(String, u32)> {
        places()
    }
}

macro_rules! generated {
    ($name:ident) => {
        #[no_grad]
        fn $name() -> Vec<(String, u32)> {
            places()
        }
    };
}
generated!(of_a_macro);

fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for nothing"),
    }
}

#[test]
fn guarantee_14_places_of_attributes() {
    let _watch = watch_scopes();
    assert_eq!(function(), here(FUNCTION));
    assert_eq!(run(async_function()), here(ASYNC));
    assert_eq!(iterator().next().unwrap(), here(ITERATOR));
    assert_eq!(closure()(), here(CLOSURE));
    assert_eq!(Service::method(), here(BLOCK));
    assert_eq!(of_a_macro()[0].0, file!());
}

#[test]
fn guarantee_14_places_of_blocks() {
    let _watch = watch_scopes();
    assert_eq!(grad_runtime::no_grad!(places()), here(line!()));
    let later = grad_runtime::no_grad!(|| places());
    assert_eq!(later(), here(line!() - 1));
}

/// Modes that were carried are told by the line that took them along.
#[test]
fn guarantee_14_places_of_carried_modes() {
    let origins =
        || open_scopes().iter().map(|scope| scope.carried_from().unwrap().to_string()).collect::<Vec<_>>();
    let at = |line: u32, column: u32| vec![format!("{}:{line}:{column}", file!())];
    let _watch = watch_scopes();
    let guard = grad_runtime::no_grad();
    let (carried, line) = (carry(origins), line!());
    let iterator = std::iter::once_with(origins).in_current_grad_mode();
    let thread = grad_runtime::thread::spawn(move || (open_scopes().len(), watch_scopes()).0);
    drop(guard);
    assert_eq!(carried(), at(line, 28));
    assert_eq!({ iterator }.next().unwrap(), at(line + 1, 50));
    assert_eq!(thread.join().unwrap(), 1);
}
