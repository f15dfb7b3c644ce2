//! Edge cases: empty arrays, invalid axes, guards that outlive their function, and long graphs.

use std::cell::RefCell;
use std::rc::Rc;
use std::slice::from_ref;
use std::thread;

use grad_runtime::prelude::*;
use grad_runtime::{Error, Result, grad_mode, mlx, no_grad};

use crate::*;

#[test]
fn arrays_without_elements() {
    let empty = A::zeros(&[0], Dtype::Float32).unwrap();
    for transform in [grad, vjp, jvp, compile, checkpoint, custom] {
        for f in [cube(), Rc::new(|x: &A| no_grad!(x.square())) as F] {
            assert_eq!(elements(&transform(f.clone())(&empty).unwrap()), [0.0; 0]);
            assert_eq!(elements(&no_grad!(transform(f)(&empty).unwrap())), [0.0; 0]);
        }
    }
    // MLX's reductions may read strides that an array mapped over an empty axis does not have.
    let refused = vmap(cube())(&empty).unwrap_err().to_string();
    assert!(refused.ends_with("axis 0 is empty, so there is nothing to map over"), "{refused}");
}

#[test]
fn invalid_axes_of_vmap() {
    let (two, three) = (A::zeros(&[2, 4], Dtype::Float32).unwrap(), A::zeros(&[3, 4], Dtype::Float32).unwrap());
    let of = |inputs: &[A], in_axes: &[Option<isize>], out_axes: &[isize]| {
        let refused = mlx::vmap(|x| Ok::<_, Error>(vec![x[0].square()?]), inputs, in_axes, out_axes);
        assert_no_scope_is_open();
        refused.unwrap_err().to_string()
    };
    let fine = [two.clone()];
    assert!(of(&fine, &[Some(2)], &[0]).contains("axis 2 is out of bounds for an input of 2 axes"));
    assert!(of(&fine, &[Some(-3)], &[0]).contains("axis -3 is out of bounds for an input of 2 axes"));
    assert!(of(&fine, &[None], &[0]).contains("no input has an axis to map over; give one"));
    assert!(of(&fine, &[Some(0), Some(0)], &[0]).contains("there are 1 inputs and 2 in_axes; give one for each"));
    assert!(
        of(&fine, &[Some(0)], &[])
            .contains("the function returned 1 arrays, and there are 0 out_axes; give one for each")
    );
    assert!(
        of(&fine, &[Some(0)], &[0, 0])
            .contains("the function returned 1 arrays, and there are 2 out_axes; give one for each")
    );
    for axis in [2, -3, isize::MAX, isize::MIN] {
        assert!(of(&fine, &[Some(0)], &[axis]).contains("axis"));
    }
    assert!(
        of(&[two, three], &[Some(0), Some(0)], &[0])
            .contains("the mapped axes have lengths 2 and 3; they must be equal")
    );
    assert!(of(&[scalar(1.0)], &[Some(0)], &[0]).contains("axis 0 is out of bounds for an input of 0 axes"));
}

/// A guard that outlives the function it was entered in counts until it is dropped.
#[test]
fn guarantee_2_a_guard_that_outlives_its_function() {
    for transform in [grad, vjp, jvp, vmap, compile, checkpoint, custom] {
        let kept: Rc<RefCell<Option<grad_runtime::GradGuard>>> = Rc::default();
        let guard = kept.clone();
        let f = transform(Rc::new(move |x| {
            let square = x.square()?;
            *guard.borrow_mut() = Some(no_grad());
            square.multiply(x)
        }));
        let x = array(&[1.0, 2.0, 3.0]);
        let found = f(&x).unwrap();
        assert_eq!(
            (grad_mode(), Mlx.grad_mode()),
            (GradMode::NoGrad, GradMode::NoGrad),
            "the guard is still alive"
        );
        drop(kept.take());
        assert_no_scope_is_open();
        assert!(found.to_vec::<f32>().is_ok());
        assert_eq!(elements(&grad(cube())(&x).unwrap()), [3.0, 12.0, 27.0]);
    }
}

/// A function inside `vmap` captures a mapped array. `compile` calls the function directly there. `checkpoint` and
/// `custom_function` call it again later, when the array has no elements, and refuse. (JAX's `checkpoint` works.)
#[test]
fn captured_mapped_arrays() {
    fn of(wrap: fn(F) -> F, argument: fn(&A) -> A) -> Result<Vec<f32>> {
        let f: F = Rc::new(move |x| {
            let captured = x.clone();
            wrap(Rc::new(move |y| y.multiply(&captured)))(&argument(x))
        });
        let found = vmap(f)(&array(&[1.0, 2.0, 3.0])).and_then(|found| found.to_vec());
        assert_no_scope_is_open();
        found
    }
    assert_eq!(of(compile, |_| scalar(2.0)).unwrap(), [2.0, 4.0, 6.0]);
    assert_eq!(of(compile, A::clone).unwrap(), [1.0, 4.0, 9.0]);
    for wrap in [checkpoint, custom] {
        for argument in [|_: &A| scalar(2.0), A::clone] {
            let message = of(wrap, argument).unwrap_err().to_string();
            assert!(message.contains("captured an array that is mapped: make it an input"), "{message}");
        }
    }
}

/// A graph may be long: nothing recurses over it, in a thread of 2 MiB of stack.
#[test]
fn guarantee_16_long_graphs() {
    let long: fn() -> F = || {
        Rc::new(|x| {
            let one = scalar(1.0);
            (0..40_000).try_fold(x.clone(), |y, _| y.multiply(&one))?.multiply(x)
        })
    };
    let all: [fn(F) -> F; 6] = [grad, vjp, jvp, vmap, |f| grad(checkpoint(f)), |f| grad(custom(f))];
    for transform in all {
        transform(long())(&array(&[1.0, 2.0])).unwrap().to_vec::<f32>().unwrap();
    }
    assert_eq!(elements(&grad(grad(long()))(&array(&[1.0, 2.0])).unwrap()), [2.0, 2.0]);
}

/// MLX's compiler recurses over a graph. It is not called where the stack is too small for that.
#[test]
fn guarantee_16_compiling_a_long_chain() {
    // Too long for a stack of 8 MiB: the C library may use one of a thread that has ended.
    const CHAIN: usize = 40_000;
    let small = thread::Builder::new().stack_size(2 << 20);
    let outcome = small.spawn(|| {
        let long = compile(Rc::new(|x| (0..CHAIN).try_fold(x.clone(), |y, _| y.sin())));
        let refused = long(&scalar(1.0)).unwrap_err().to_string();
        assert_no_scope_is_open();
        let short = compile(Rc::new(|x| (0..7000).try_fold(x.clone(), |y, _| y.abs())));
        assert_eq!(elements(&short(&scalar(-1.0)).unwrap()), [1.0]);
        refused
    });
    let refused = outcome.unwrap().join().unwrap();
    assert!(refused.contains(&format!("the function is a chain of {CHAIN} operations")), "{refused}");
    assert!(refused.contains("compile parts of it, or run it on a thread with a larger stack"), "{refused}");
}

/// Each checkpoint calls its function twice for each of its own calls, so six levels are many calls.
#[test]
fn checkpoints_in_checkpoints() {
    let mut f = cube();
    for _ in 0..6 {
        f = checkpoint(f);
    }
    assert_values(move || grad((0..6).fold(cube(), |f, _| checkpoint(f))), [3, 12, 27]);
    assert_eq!(elements(&vmap(grad(f.clone()))(&array(&[1.0, 2.0, 3.0])).unwrap()), [3.0, 12.0, 27.0]);
    assert_eq!(elements(&grad(vmap(f))(&array(&[1.0, 2.0, 3.0])).unwrap()), [3.0, 12.0, 27.0]);
}

/// The gradient for each row with respect to shared weights, with a target computed in a scope.
#[test]
fn gradients_per_example() -> Result<()> {
    let weights = array(&[1.0, 2.0]);
    let rows = A::from_slice(&[1.0_f32, 0.0, 0.0, 1.0, 1.0, 1.0], &[3, 2])?;
    // (w·x) · stop(w·x): the gradient is (w·x) x.
    let loss = |w: &A, x: &A| -> Result<A> {
        let product = w.multiply(x)?.sum_all()?;
        product.multiply(&no_grad!(product.abs()?))
    };
    let per_example = |given: &[A]| A::grad(|w| loss(&w[0], &given[1]), from_ref(&given[0]));
    let mapped = mlx::vmap(per_example, &[weights, rows], &[None, Some(0)], &[0])?;
    assert_eq!(mapped[0].shape(), [3, 2]);
    assert_eq!(elements(&mapped[0]), [1.0, 0.0, 0.0, 2.0, 3.0, 3.0]);
    Ok(())
}
