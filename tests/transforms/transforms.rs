//! The transforms, each taking an elementwise function and giving another, so that they nest in any order.

use std::rc::Rc;
use std::slice::from_ref;
use std::thread;

use grad_runtime::prelude::*;
use grad_runtime::{Error, Result, grad_mode, mlx, no_grad};

pub type A = mlx::Array;
pub type F = Rc<dyn Fn(&A) -> Result<A>>;

/// f′.
pub fn grad(f: F) -> F {
    Rc::new(move |x| Ok(A::grad(|x| f(&x[0])?.sum_all(), from_ref(x))?.swap_remove(0)))
}

/// f′, of the cotangent 1.
pub fn vjp(f: F) -> F {
    Rc::new(move |x| {
        Ok(mlx::vjp(|x| Ok::<_, Error>(vec![f(&x[0])?]), from_ref(x), &[ones_like(x)?])?.1.swap_remove(0))
    })
}

/// f′, of the tangent 1.
pub fn jvp(f: F) -> F {
    Rc::new(move |x| {
        Ok(mlx::jvp(|x| Ok::<_, Error>(vec![f(&x[0])?]), from_ref(x), &[ones_like(x)?])?.1.swap_remove(0))
    })
}

/// f, for each element by itself.
pub fn vmap(f: F) -> F {
    Rc::new(move |x| {
        let row = x.reshape(&[x.shape().iter().product()])?;
        let mapped = mlx::vmap(|x| Ok::<_, Error>(vec![f(&x[0])?]), &[row], &[Some(0)], &[0])?;
        mapped[0].reshape(&x.shape())
    })
}

/// f.
pub fn compile(f: F) -> F {
    let compiled = mlx::compile(move |x| Ok(vec![f(&x[0])?]));
    Rc::new(move |x| Ok(compiled.call(from_ref(x))?.swap_remove(0)))
}

/// f.
pub fn checkpoint(f: F) -> F {
    let checkpoint = mlx::checkpoint(move |x| Ok(vec![f(&x[0])?]));
    Rc::new(move |x| Ok(checkpoint.call(from_ref(x))?.swap_remove(0)))
}

/// f, with the derivatives that it has.
pub fn custom(f: F) -> F {
    let custom = mlx::custom_function(move |x| Ok(vec![f(&x[0])?]));
    Rc::new(move |x| Ok(custom.call(from_ref(x))?.swap_remove(0)))
}

/// x³.
pub fn cube() -> F {
    Rc::new(|x| x.square()?.multiply(x))
}

pub fn ones_like(x: &A) -> Result<A> {
    A::ones(&x.shape(), x.dtype())
}

pub fn scalar(value: f32) -> A {
    A::scalar(value).unwrap()
}

pub fn array(elements: &[f32]) -> A {
    A::from_slice(elements, &[elements.len()]).unwrap()
}

#[track_caller]
pub fn elements(array: &A) -> Vec<f32> {
    array.to_vec().unwrap()
}

/// Law 2: whatever happened, no scope is left open.
#[track_caller]
pub fn nothing_is_left_open() {
    assert_eq!((grad_mode(), Mlx.grad_mode()), (GradMode::Enabled, GradMode::Enabled), "a scope was left open");
}

/// A cell of a table: what the program gives at 1, 2 and 3. It is the same again, the same before and after a call in a
/// scope (law 6), and the same on a second thread, whatever scope this one stands in (law 1).
#[track_caller]
pub fn holds(program: impl Fn() -> F + Send + Sync + 'static, expected: [i16; 3]) {
    let program = Rc::new(program);
    let expected = expected.map(f32::from);
    let here = {
        let program = program.clone();
        move |first_in_a_scope: bool| {
            let f = program();
            let x = array(&[1.0, 2.0, 3.0]);
            if first_in_a_scope {
                assert!(no_grad!(f(&x)).unwrap().to_vec::<f32>().is_ok());
            }
            let once = f(&x).map(|found| elements(&found)).map_err(|error| error.to_string());
            let again = f(&x).map(|found| elements(&found)).map_err(|error| error.to_string());
            nothing_is_left_open();
            assert_eq!(once, again, "the second call differs from the first");
            once
        }
    };
    assert_eq!(here(false), Ok(expected.to_vec()));
    assert_eq!(here(true), Ok(expected.to_vec()), "called in a scope first");
    drop(here);
    let program = Rc::into_inner(program).expect("the only one left");
    let there = no_grad! {
        thread::spawn(move || {
            let x = array(&[1.0, 2.0, 3.0]);
            program()(&x).map(|found| elements(&found)).map_err(|error| error.to_string())
        })
        .join()
        .unwrap()
    };
    assert_eq!(there, Ok(expected.to_vec()), "on a second thread");
}
