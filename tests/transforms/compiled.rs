//! Guarantee 6: a compiled function remembers nothing of the mode it was first traced in.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::slice::from_ref;

use grad_runtime::GradMode::{Enabled, Inference, NoGrad};
use grad_runtime::prelude::*;
use grad_runtime::{Error, Result, Scope, grad_mode, inference_mode, mlx, no_grad};

use crate::*;

/// A compiled function that records the modes it is traced in.
struct Counted {
    compiled: mlx::Compiled,
    seen: Rc<RefCell<Vec<(GradMode, GradMode)>>>,
}

fn counted(f: impl Fn(&A) -> Result<A> + 'static) -> Counted {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let compiled = mlx::compile({
        let seen = seen.clone();
        move |x| {
            seen.borrow_mut().push((Cpu.grad_mode(), Mlx.grad_mode()));
            Ok(vec![f(&x[0])?])
        }
    });
    Counted { compiled, seen }
}

impl Counted {
    fn call(&self, x: &A) -> Result<A> {
        Ok(self.compiled.call(from_ref(x))?.swap_remove(0))
    }

    fn item(&self, x: f32) -> f32 {
        self.call(&scalar(x)).unwrap().item().unwrap()
    }

    fn traces(&self) -> usize {
        self.seen.borrow().len()
    }
}

/// Returns 2x where gradients are recorded, and 3x where they are not.
fn by_mode(x: &A) -> Result<A> {
    x.multiply(&scalar(if is_grad_enabled() { 2.0 } else { 3.0 }))
}

#[test]
fn guarantee_6_it_is_traced_once_for_each_mode() {
    let f = counted(by_mode);
    for _ in 0..3 {
        assert_eq!(f.item(5.0), 10.0);
        assert_eq!(no_grad!(f.item(5.0)), 15.0);
        assert_eq!(inference_mode!(f.item(5.0)), 15.0);
    }
    assert_eq!(*f.seen.borrow(), [(Enabled, Enabled), (NoGrad, NoGrad), (Inference, Inference)]);
}

#[test]
fn guarantee_6_the_order_of_the_modes_does_not_matter() {
    let f = counted(by_mode);
    assert_eq!(no_grad!(f.item(5.0)), 15.0, "first traced in a scope");
    assert_eq!(f.item(5.0), 10.0);
    assert_eq!(f.traces(), 2);
}

/// Selective scopes make combinations of modes (guarantee 10), each with its own trace.
#[test]
fn guarantee_6_it_is_traced_once_for_each_selective_scope() {
    let f = counted(by_mode);
    for _ in 0..2 {
        assert_eq!(f.item(5.0), 10.0);
        // `is_grad_enabled()` reads the mode of the CPU.
        assert_eq!(no_grad! { <Mlx> f.item(5.0) }, 10.0);
        assert_eq!(no_grad! { <Cpu> f.item(5.0) }, 15.0);
        assert_eq!(
            {
                let _guard = Scope::InferenceMode(true).enter_for(&Mlx);
                f.item(5.0)
            },
            10.0
        );
    }
    assert_eq!(*f.seen.borrow(), [(Enabled, Enabled), (Enabled, NoGrad), (NoGrad, Enabled), (Enabled, Inference)]);
}

#[test]
fn guarantee_6_it_is_traced_once_for_each_shape_and_mode() {
    let f = counted(|x| x.square()?.sum_all());
    for _ in 0..2 {
        for (length, sum) in [(2, 2.0), (3, 3.0)] {
            let x = A::ones(&[length], Dtype::Float32).unwrap();
            assert_eq!(f.call(&x).unwrap().item::<f32>().unwrap(), sum);
            assert_eq!(no_grad!(f.call(&x)).unwrap().item::<f32>().unwrap(), sum);
        }
    }
    assert_eq!(f.traces(), 4);
}

#[test]
#[allow(unsafe_code, reason = "MLX does not check shapeless functions")]
fn guarantee_6_a_shapeless_function_is_traced_once_for_each_mode() {
    let traces = Rc::new(Cell::new(0));
    let f = mlx::compile({
        let traces = traces.clone();
        move |x| {
            traces.set(traces.get() + 1);
            Ok(vec![x[0].square()?.sum(&[0], false)?, no_grad!(x[0].exp()?.multiply(&x[0])?)])
        }
    });
    // SAFETY: the operations are the same for any length.
    let f = unsafe { f.shapeless() };
    for _ in 0..2 {
        for length in [2, 3, 5] {
            let x = A::zeros(&[length], Dtype::Float32).unwrap().add(&scalar(2.0)).unwrap();
            let sum = 4.0 * f32::from(u16::try_from(length).unwrap());
            for outputs in [f.call(from_ref(&x)).unwrap(), no_grad!(f.call(from_ref(&x)).unwrap())] {
                assert_eq!(outputs[0].item::<f32>().unwrap(), sum);
                assert_eq!(outputs[1].shape(), [length]);
            }
        }
    }
    assert_eq!(traces.get(), 2);
}

/// The gradient of a shapeless function is that for the shapes of the call, with its scopes.
#[test]
#[allow(unsafe_code, reason = "MLX does not check shapeless functions")]
fn a_shapeless_function_is_differentiated() {
    let f = mlx::compile(|x| Ok(vec![x[0].square()?.multiply(&no_grad!(x[0].abs()?))?]));
    // SAFETY: as above.
    let f = unsafe { f.shapeless() };
    for elements_of_x in [vec![1.0, 2.0], vec![1.0, 2.0, 3.0]] {
        let x = array(&elements_of_x);
        f.call(from_ref(&x)).unwrap();
        no_grad!(f.call(from_ref(&x)).unwrap());
        let gradients = A::grad(|x| f.call(x)?[0].sum_all(), &[x]).unwrap();
        assert_eq!(elements(&gradients[0]), elements_of_x.iter().map(|x| 2.0 * x * x).collect::<Vec<_>>());
    }
}

/// d/dx (x · f(x)) at 3 with f(x) = x²: 27 where f is recorded, 9 where its result is a constant. (JAX gives the same with
/// `stop_gradient` around the call of a jitted function.)
mod traced_in_one_mode_and_called_in_another {
    use super::*;

    fn recorded(f: &Counted) -> f32 {
        A::grad(|x| x[0].multiply(&f.call(&x[0])?), &[scalar(3.0)]).unwrap()[0].item().unwrap()
    }

    fn constant(f: &Counted) -> f32 {
        A::grad(|x| x[0].multiply(&no_grad!(f.call(&x[0])?)), &[scalar(3.0)]).unwrap()[0].item().unwrap()
    }

    #[test]
    fn guarantee_6_traced_outside_a_scope_and_called_in_one() {
        let f = counted(A::square);
        assert_eq!(f.item(3.0), 9.0);
        assert_eq!(constant(&f), 9.0);
        assert_eq!(recorded(&f), 27.0);
    }

    #[test]
    fn guarantee_6_traced_in_a_scope_and_called_outside() {
        let f = counted(A::square);
        assert_eq!(no_grad!(f.item(3.0)), 9.0);
        assert_eq!(recorded(&f), 27.0);
        assert_eq!(constant(&f), 9.0);
    }

    #[test]
    fn guarantee_6_traced_in_inference_mode_and_called_outside() {
        let f = counted(A::square);
        assert_eq!(inference_mode!(f.item(3.0)), 9.0);
        assert_eq!(recorded(&f), 27.0);
        assert_eq!(f.item(3.0), 9.0);
    }

    #[test]
    fn guarantee_6_first_called_in_a_scope_inside_a_transform() {
        let f = counted(A::square);
        assert_eq!(constant(&f), 9.0);
        assert_eq!(recorded(&f), 27.0);
        assert_eq!((f.item(3.0), no_grad!(f.item(3.0))), (9.0, 9.0));
    }

    /// compile ∘ grad, first traced in a scope or outside: the gradient ignores the scope (guarantee 5).
    #[test]
    fn guarantee_6_a_compiled_gradient() {
        for scope_first in [true, false] {
            let f = counted(|x| grad(cube())(x));
            if scope_first {
                assert_eq!(no_grad!(f.item(3.0)), 27.0);
            }
            assert_eq!(f.item(3.0), 27.0);
            assert_eq!(no_grad!(f.item(3.0)), 27.0);
            // d/dx (x · 3x²) = 9x² = 81, and 27 with the gradient a constant.
            assert_eq!((recorded(&f), constant(&f)), (81.0, 27.0));
        }
    }
}

/// A compiled function captures an array of an outer transform. MLX differs: it compiles the array in as a constant, and the
/// gradient is silently zero. (JAX: `jit` closes over tracers.)
#[test]
fn a_captured_array_of_an_outer_transform() {
    let of = |scope: fn(A) -> A| {
        A::grad(
            |x| {
                let factor = scope(x[0].clone());
                let f = mlx::compile(move |y| Ok(vec![y[0].multiply(&factor)?.add(&scalar(1.0))?]));
                Ok::<_, Error>(f.call(&[scalar(2.0)])?.swap_remove(0))
            },
            &[scalar(3.0)],
        )
        .unwrap()[0]
            .item::<f32>()
            .unwrap()
    };
    assert_eq!(of(|x| x), 2.0);
    assert_eq!(of(|x| no_grad!(x.abs().unwrap())), 0.0);
}

#[test]
fn outputs_may_be_inputs_or_captured_arrays() {
    let captured = scalar(7.0);
    let f = mlx::compile(move |x| Ok(vec![x[0].clone(), captured.clone(), x[0].square()?, x[0].clone()]));
    let values = |outputs: Vec<A>| outputs.iter().map(|output| output.item().unwrap()).collect::<Vec<f32>>();
    for x in [3.0, 4.0] {
        assert_eq!(values(f.call(&[scalar(x)]).unwrap()), [x, 7.0, x * x, x]);
        assert_eq!(values(no_grad!(f.call(&[scalar(x)]).unwrap())), [x, 7.0, x * x, x]);
    }
    // 100x plus an output: the input has derivative 1, the captured array 0, the square 6.
    let of = |output: usize, in_a_scope: bool| {
        let gradients = A::grad(
            |x| {
                let outputs = if in_a_scope { no_grad!(f.call(x)?) } else { f.call(x)? };
                outputs[output].add(&x[0].multiply(&scalar(100.0))?)
            },
            &[scalar(3.0)],
        );
        gradients.unwrap()[0].item::<f32>().unwrap()
    };
    assert_eq!([of(0, false), of(1, false), of(2, false)], [101.0, 100.0, 106.0]);
    // The input was made outside the scope and stays recorded. The square is made inside and is a constant.
    assert_eq!([of(0, true), of(1, true), of(2, true)], [101.0, 100.0, 100.0]);
}

/// A captured array that is still to be evaluated. MLX itself takes its graph for a part of the function, rewrites it, and ends
/// the process when the caller evaluates the array.
#[test]
fn guarantee_16_a_captured_array_that_is_not_evaluated() {
    for read_first in [true, false] {
        let v = scalar(1.0);
        let captured = v.multiply(&scalar(2.0)).unwrap().add(&v).unwrap();
        let f = mlx::compile({
            let captured = captured.clone();
            move |x| Ok(vec![captured.clone(), x[0].multiply(&captured)?])
        });
        let outputs = f.call(&[scalar(5.0)]).unwrap();
        if read_first {
            assert_eq!(captured.item::<f32>().unwrap(), 3.0);
        }
        assert_eq!([0, 1].map(|output| outputs[output].item::<f32>().unwrap()), [3.0, 15.0]);
        assert_eq!((captured.item::<f32>().unwrap(), v.item::<f32>().unwrap()), (3.0, 1.0));
        assert_eq!(f.call(&[scalar(6.0)]).unwrap()[1].item::<f32>().unwrap(), 18.0);
    }
}

/// An input from which the function has computed a captured array. MLX itself refuses ("uncaptured inputs").
#[test]
fn an_input_of_a_captured_array() {
    let x = scalar(3.0);
    let square = x.square().unwrap();
    let f = mlx::compile(move |x| Ok(vec![x[0].multiply(&square)?]));
    for _ in 0..2 {
        assert_eq!(f.call(from_ref(&x)).unwrap()[0].item::<f32>().unwrap(), 27.0);
    }
    assert_eq!(f.call(&[scalar(4.0)]).unwrap()[0].item::<f32>().unwrap(), 36.0);
}

#[test]
fn no_inputs_and_no_outputs() {
    let constant = mlx::compile(|_| Ok(vec![scalar(7.0).square()?]));
    assert_eq!(constant.call(&[]).unwrap()[0].item::<f32>().unwrap(), 49.0);
    assert_eq!(no_grad!(constant.call(&[]).unwrap())[0].item::<f32>().unwrap(), 49.0);
    let nothing = mlx::compile(|_| Ok(vec![]));
    assert_eq!(nothing.call(&[scalar(1.0)]).unwrap().len(), 0);
    assert_eq!(nothing.call(&[scalar(1.0)]).unwrap().len(), 0);
}

/// Arrays have no elements while the function is traced, so reading them is an error in each call.
#[test]
fn elements_read_while_tracing() {
    let f = counted(|x| {
        x.square()?.item::<f32>()?;
        Ok(x.clone())
    });
    for _ in 0..2 {
        let message = f.call(&scalar(3.0)).unwrap_err().to_string();
        assert!(message.starts_with("cannot item float32[]: an array has no elements while"), "{message}");
    }
    let gradients = A::grad(|x| f.call(&x[0]), &[scalar(3.0)]);
    assert_eq!(gradients.unwrap()[0].item::<f32>().unwrap(), 1.0, "inside a transform there are elements");
}

#[test]
fn a_function_that_fails_when_it_is_first_traced() {
    let first = Rc::new(Cell::new(true));
    let f = counted({
        let first = first.clone();
        move |x| {
            if first.replace(false) {
                return no_grad! { Err(Error::InferenceMode { transform: "a test" }) };
            }
            x.square()
        }
    });
    assert!(matches!(f.call(&scalar(3.0)).unwrap_err(), Error::InferenceMode { transform: "a test" }));
    assert_no_scope_is_open();
    for _ in 0..2 {
        assert_eq!(f.item(3.0), 9.0);
        assert_eq!(no_grad!(f.item(3.0)), 9.0);
    }
    assert_eq!(f.traces(), 3);
}

#[test]
fn a_function_that_panics_when_it_is_first_traced() {
    let first = Rc::new(Cell::new(true));
    let f = counted({
        let first = first.clone();
        move |x| {
            let _guard = no_grad();
            assert!(!first.replace(false), "the first time");
            x.square()
        }
    });
    let panicked = catch_unwind(AssertUnwindSafe(|| f.call(&scalar(3.0))));
    assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"the first time"));
    assert_no_scope_is_open();
    assert_eq!((f.item(3.0), f.item(3.0)), (9.0, 9.0));
    assert_eq!(f.traces(), 2);
}

/// n! by a function that calls itself with arrays of other shapes. MLX itself crashes: a nested trace moves the cache entry that
/// the outer one is about to fill.
#[test]
fn guarantee_16_a_function_that_calls_itself_with_other_shapes() {
    let itself: Rc<RefCell<Option<mlx::Compiled>>> = Rc::default();
    let factorial = mlx::compile({
        let itself = Rc::downgrade(&itself);
        move |x| {
            let n = x[0].shape()[0];
            let sum = x[0].sum_all()?; // n
            if n == 1 {
                return Ok(vec![sum]);
            }
            let itself = itself.upgrade().expect("alive during the call");
            let smaller = A::ones(&[n - 1], Dtype::Float32)?;
            let rest = itself.borrow().as_ref().expect("stored before the call").call(&[smaller])?;
            Ok(vec![sum.multiply(&rest[0])?])
        }
    });
    *itself.borrow_mut() = Some(factorial);
    let f = itself.borrow();
    let f = f.as_ref().unwrap();
    for _ in 0..2 {
        for (n, expected) in [(1, 1.0), (10, 3_628_800.0), (4, 24.0), (11, 39_916_800.0)] {
            let ones = A::ones(&[n], Dtype::Float32).unwrap();
            assert_eq!(f.call(from_ref(&ones)).unwrap()[0].item::<f32>().unwrap(), expected);
            assert_eq!(no_grad!(f.call(from_ref(&ones)).unwrap())[0].item::<f32>().unwrap(), expected);
        }
    }
}

/// A function that calls itself with a captured array of the same shape, twice nested. MLX itself refuses.
#[test]
fn a_function_that_calls_itself_with_an_array_that_it_captured() {
    let itself: Rc<RefCell<Option<mlx::Compiled>>> = Rc::default();
    let depth = Rc::new(Cell::new(0));
    let f = mlx::compile({
        let (itself, depth, two) = (Rc::downgrade(&itself), depth.clone(), scalar(2.0));
        move |x| {
            depth.set(depth.get() + 1);
            if depth.get() == 3 {
                return Ok(vec![x[0].clone()]);
            }
            let itself = itself.upgrade().expect("alive during the call");
            let inner = itself.borrow().as_ref().expect("stored before the call").call(from_ref(&two))?;
            Ok(vec![x[0].multiply(&inner[0])?])
        }
    });
    *itself.borrow_mut() = Some(f);
    let f = itself.borrow();
    for _ in 0..2 {
        assert_eq!(f.as_ref().unwrap().call(&[scalar(3.0)]).unwrap()[0].item::<f32>().unwrap(), 12.0);
    }
    assert_eq!(depth.get(), 3);
}

#[test]
fn a_compiled_function_that_calls_another() {
    let inner = Rc::new(counted(|x| x.square()?.add(&scalar(1.0))));
    let outer = counted({
        let inner = inner.clone();
        move |x| inner.call(x)?.multiply(&inner.call(&scalar(2.0))?)
    });
    for _ in 0..2 {
        assert_eq!((outer.item(3.0), no_grad!(outer.item(3.0))), (50.0, 50.0));
        assert_eq!(inner.item(3.0), 10.0);
    }
    let gradients = A::grad(|x| outer.call(&x[0]), &[scalar(3.0)]).unwrap();
    assert_eq!(gradients[0].item::<f32>().unwrap(), 30.0);
}

/// A function that is dropped during its call, before its result is evaluated.
#[test]
fn a_function_that_is_dropped_while_it_is_called() {
    let stored: Rc<RefCell<Option<Rc<mlx::Compiled>>>> = Rc::default();
    let f = Rc::new(mlx::compile({
        let stored = stored.clone();
        move |x| {
            drop(stored.take());
            Ok(vec![x[0].square()?.add(&x[0])?])
        }
    }));
    *stored.borrow_mut() = Some(f.clone());
    let outputs = f.call(&[scalar(3.0)]).unwrap();
    assert!(stored.borrow().is_none());
    drop(f);
    assert_eq!(outputs[0].item::<f32>().unwrap(), 12.0);
}

/// MLX differs: once an inner transform has used the argument, a compiled function does not notice an outer `vmap` or `grad`, and
/// its result can be neither mapped nor differentiated.
#[test]
fn a_compiled_function_after_an_inner_transform_of_its_argument() {
    let compiled = Rc::new(counted(|x| x.square()?.multiply(x)?.add(&scalar(1.0))));
    let f: F = Rc::new({
        let compiled = compiled.clone();
        move |x| {
            let inner = A::grad(|y| y[0].multiply(x)?.sum_all(), &[scalar(2.0)])?;
            compiled.call(x)?.add(&inner[0].multiply(&scalar(0.0))?)
        }
    });
    let x = array(&[1.0, 2.0, 3.0]);
    assert_eq!(elements(&vmap(f.clone())(&x).unwrap()), [2.0, 9.0, 28.0]);
    assert_eq!(elements(&grad(f.clone())(&x).unwrap()), [3.0, 12.0, 27.0]);
    assert_eq!(elements(&compile(f.clone())(&x).unwrap()), [2.0, 9.0, 28.0]);
    assert_eq!(elements(&vmap(grad(f))(&x).unwrap()), [3.0, 12.0, 27.0]);
}

/// An input that the function also captures.
#[test]
fn an_input_that_is_also_captured() {
    let x = scalar(3.0);
    let captured = x.clone();
    let f = mlx::compile(move |y| Ok(vec![captured.multiply(&y[0])?]));
    for _ in 0..2 {
        assert_eq!(f.call(from_ref(&x)).unwrap()[0].item::<f32>().unwrap(), 9.0);
    }
    // Inside a transform the function is called directly.
    let gradients = A::grad(|y| Ok::<_, Error>(f.call(y)?.swap_remove(0)), from_ref(&x)).unwrap();
    assert_eq!(gradients[0].item::<f32>().unwrap(), 3.0);
    assert_eq!(f.call(&[scalar(4.0)]).unwrap()[0].item::<f32>().unwrap(), 12.0);
    assert_eq!(grad_mode(), Enabled);
}

/// MLX writes a number into the kernel that it compiles where the graph broadcasts it, and there is one kernel, in a scope too.
#[test]
fn numbers_are_parts_of_the_kernel() {
    let f = mlx::compile(|x| Ok(vec![x[0].multiply(0.5)?.add(1)?]));
    let x = [array(&[1.0, 2.0])];
    for outputs in [f.call(&x).unwrap(), no_grad!(f.call(&x)).unwrap()] {
        assert_eq!(
            format!("{outputs:?}"),
            "[mlx::Array(float32[2], CompiledBroadcastMultiplyBroadcastAdd to be evaluated)]"
        );
        assert_eq!(elements(&outputs[0]), [1.5, 2.0]);
    }
}

/// Where it is captured, even if the number is not computed yet, or is an input of the call.
#[test]
fn captured_numbers_that_are_broadcast() {
    let two = A::scalar(1.0_f32).unwrap().add(1).unwrap();
    let twos = two.broadcast_to(&[2]).unwrap();
    let f = mlx::compile({
        let twos = twos.clone();
        move |x| Ok(vec![x[0].multiply(&twos)?, twos.clone(), twos.add(1)?])
    });
    for x in [array(&[1.0, 2.0]), two, A::scalar(3.0_f32).unwrap()] {
        let outputs = f.call(std::slice::from_ref(&x)).unwrap();
        assert_eq!(elements(&outputs[0]), elements(&x.multiply(&twos).unwrap()));
        assert_eq!(outputs[1..].iter().map(elements).collect::<Vec<_>>(), [[2.0; 2], [3.0; 2]]);
    }
    assert_eq!(elements(&twos), [2.0, 2.0]);
}
