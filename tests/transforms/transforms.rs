//! Guarantees 3 to 6 for each of MLX's transforms and for their nestings.
//!
//! [`nestings`] and [`scope_kinds`] are tables: a row is a program, a column a place for the scope, and each cell a test of its
//! own name with the expected value. The other modules test what a table cannot show: several outputs, functions that fail,
//! arrays that escape by side effect, and lifetimes.
//!
//! The functions here make the transforms composable: each maps an elementwise function to another.
#![allow(clippy::float_cmp, reason = "small whole numbers are exact")]

mod captured_values;
mod compiled;
mod custom_derivatives;
mod edges;
mod escaping_arrays;
mod explanations;
mod nestings;
mod outputs;
mod scope_kinds;
mod structures;

use std::rc::Rc;
use std::slice::from_ref;
use std::sync::Arc;
use std::thread;

use grad_runtime::prelude::*;
use grad_runtime::{Error, Result, grad_mode, mlx};
use support::arrays::elements;

type A = mlx::Array;
type F = Rc<dyn Fn(&A) -> Result<A>>;

/// Returns f′, by `grad`.
fn grad(f: F) -> F {
    Rc::new(move |x| Ok(A::grad(|x| f(&x[0])?.sum_all(), from_ref(x))?.swap_remove(0)))
}

/// Returns f′, by `vjp` with cotangent 1.
fn vjp(f: F) -> F {
    Rc::new(move |x| {
        Ok(mlx::vjp(|x| Ok::<_, Error>(vec![f(&x[0])?]), from_ref(x), &[ones_like(x)?])?.1.swap_remove(0))
    })
}

/// Returns f′, by `jvp` with tangent 1.
fn jvp(f: F) -> F {
    Rc::new(move |x| {
        Ok(mlx::jvp(|x| Ok::<_, Error>(vec![f(&x[0])?]), from_ref(x), &[ones_like(x)?])?.1.swap_remove(0))
    })
}

/// Returns f, applied to each element by `vmap`.
fn vmap(f: F) -> F {
    Rc::new(move |x| {
        let row = x.reshape(&[-1])?;
        let mapped = mlx::vmap(|x| Ok::<_, Error>(vec![f(&x[0])?]), &[row], &[Some(0)], &[0])?;
        mapped[0].reshape(&x.shape())
    })
}

/// Returns f, compiled.
fn compile(f: F) -> F {
    let compiled = mlx::compile(move |x| Ok(vec![f(&x[0])?]));
    Rc::new(move |x| Ok(compiled.call(from_ref(x))?.swap_remove(0)))
}

/// Returns f, checkpointed.
fn checkpoint(f: F) -> F {
    let checkpoint = mlx::checkpoint(move |x| Ok(vec![f(&x[0])?]));
    Rc::new(move |x| Ok(checkpoint.call(from_ref(x))?.swap_remove(0)))
}

/// Returns f as a custom function, whose derivatives are those of f.
fn custom(f: F) -> F {
    let custom = mlx::custom_function(move |x| Ok(vec![f(&x[0])?]));
    Rc::new(move |x| Ok(custom.call(from_ref(x))?.swap_remove(0)))
}

/// Returns x³.
fn cube() -> F {
    Rc::new(|x| x.square()?.multiply(x))
}

/// Returns f in a scope. `f` may be a transformed function.
fn scope(f: F) -> F {
    Rc::new(move |x| grad_runtime::no_grad!(f(x)))
}

/// Returns x · f(x).
fn times_x(f: F) -> F {
    Rc::new(move |x| x.multiply(&f(x)?))
}

fn ones_like(x: &A) -> Result<A> {
    A::ones(&x.shape(), x.dtype())
}

fn scalar(value: f32) -> A {
    A::scalar(value).unwrap()
}

fn array(elements: &[f32]) -> A {
    A::from_slice(elements, &[elements.len()]).unwrap()
}

/// Asserts that no scope is open (guarantee 2).
#[track_caller]
fn assert_no_scope_is_open() {
    assert_eq!((grad_mode(), Mlx.grad_mode()), (GradMode::Enabled, GradMode::Enabled), "a scope was left open");
}

/// An error and a panic payload that a function under test ends with.
const MINE: Error = Error::InferenceMode { transform: "a test" };

#[derive(Debug, PartialEq)]
struct Payload(u32);

/// Asserts the value of a program at 1, 2 and 3: in two calls in a row, before and after a call in a scope (guarantee 6), and on
/// a second thread, whatever the mode of this one (guarantee 1).
#[track_caller]
fn assert_values(program: impl Fn() -> F + Send + Sync + 'static, expected: [i16; 3]) {
    // One function for all programs, since hundreds of tests call this.
    assert_values_of(Arc::new(program), expected.map(f32::from).into());
}

#[track_caller]
fn assert_values_of(program: Arc<dyn Fn() -> F + Send + Sync>, expected: Vec<f32>) {
    fn call(f: &F) -> Result<Vec<f32>, String> {
        f(&array(&[1.0, 2.0, 3.0])).map(|found| elements(&found)).map_err(|error| error.to_string())
    }
    let expected = Ok(expected);
    for first_in_a_scope in [false, true] {
        let f = program();
        if first_in_a_scope {
            assert!(grad_runtime::no_grad!(call(&f)).is_ok());
        }
        let [first, second] = [call(&f), call(&f)];
        assert_no_scope_is_open();
        assert_eq!(first, second, "the second call differs from the first");
        assert_eq!(first, expected, "called in a scope before: {first_in_a_scope}");
    }
    let elsewhere = grad_runtime::no_grad! { thread::spawn(move || call(&program())).join().unwrap() };
    assert_eq!(elsewhere, expected, "on a second thread");
}
