//! Checkpointed functions, which run a second time, and custom functions with derivatives of the user's.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;
use std::slice::from_ref;

use grad_runtime::prelude::*;
use grad_runtime::{Result, enable_grad, inference_mode, mlx, no_grad};
use support::arrays::assert_close;

use crate::*;

/// Returns x² whose vjp is 100x and whose jvp is 1000x. Neither is 2x, so a value shows which derivative was used.
fn marked() -> F {
    let custom = mlx::custom_function(|x| Ok(vec![x[0].square()?]))
        .vjp(|primals, cotangents, _| Ok(vec![cotangents[0].multiply(&primals[0])?.multiply(&scalar(100.0))?]))
        .jvp(|primals, tangents| Ok(vec![tangents[0].multiply(&primals[0])?.multiply(&scalar(1000.0))?]));
    Rc::new(move |x| Ok(custom.call(from_ref(x))?.swap_remove(0)))
}

type OfSeveral = Rc<dyn Fn(&[A]) -> Result<Vec<A>>>;

/// Returns a function of x and c that is x · c · x, checkpointed or custom, without a jvp.
fn without_jvp(is_custom: bool) -> OfSeveral {
    let product = |x: &[A]| Ok(vec![x[0].multiply(&x[1])?.multiply(&x[0])?]);
    if is_custom {
        let custom = mlx::custom_function(product);
        Rc::new(move |x| custom.call(x))
    } else {
        let checkpoint = mlx::checkpoint(product);
        Rc::new(move |x| checkpoint.call(x))
    }
}

/// A jvp that is derived from the function, inside another transform: d/dc of ∂/∂x (x · c · x) · c = 2x · c² at x = c, which is 4c².
/// MLX differs: running the function again clears the outer transform's tracer flags.
#[test]
fn a_derived_jvp_in_another_transform() {
    for is_custom in [false, true] {
        for reads in [false, true] {
            let of = move || -> F {
                let f = without_jvp(is_custom);
                Rc::new(move |c| {
                    let x = no_grad!(c.multiply(&scalar(1.0))?);
                    let (_, tangents) = mlx::jvp(|x| f(&[x[0].clone(), c.clone()]), &[x], from_ref(c))?;
                    if reads {
                        tangents[0].to_vec::<f32>()?;
                    }
                    Ok(tangents[0].clone())
                })
            };
            for outer in [grad, vjp, jvp] {
                assert_values(move || outer(of()), [4, 16, 36]);
            }
        }
    }
}

/// The function runs again for a derived jvp, and evaluates an array that it captured from the transform around. MLX itself ends
/// the process: the array loses the primitive that the outer jvp is about to use.
#[test]
fn guarantee_16_a_captured_array_evaluated_for_a_derived_jvp() {
    let with_its_jvp: fn(F) -> F = |f| {
        let jvp = f.clone();
        let custom = mlx::custom_function(move |x| Ok(vec![f(&x[0])?])).jvp(move |primals, tangents| {
            jvp(&primals[0])?;
            Ok(vec![primals[0].multiply(&tangents[0])?.multiply(&scalar(2.0))?])
        });
        Rc::new(move |x| Ok(custom.call(from_ref(x))?.swap_remove(0)))
    };
    for wrap in [checkpoint as fn(F) -> F, custom, with_its_jvp] {
        for in_a_scope in [false, true] {
            // x² · 2x, where 2x is captured: 6x².
            let of = move || -> F {
                Rc::new(move |x| {
                    let captured = x.add(x)?;
                    let square = wrap(Rc::new({
                        let captured = captured.clone();
                        move |y| {
                            let made = if in_a_scope { no_grad!(captured.square()?) } else { captured.square()? };
                            made.eval()?;
                            y.square()
                        }
                    }));
                    square(x)?.multiply(&captured)
                })
            };
            assert_values(move || jvp(of()), [6, 24, 54]);
            assert_values(move || jvp(jvp(of())), [12, 24, 36]);
            assert_values(move || grad(jvp(of())), [12, 24, 36]);
        }
    }
}

macro_rules! custom_derivatives {
    ($($(#[doc = $doc:literal])* $name:ident: $program:expr => $expected:tt;)*) => {$(
        $(#[doc = $doc])*
        #[test]
        fn $name() {
            assert_values(|| $program, $expected);
        }
    )*};
}

// x² at 1, 2 and 3, with 100x as vjp and 1000x as jvp.
custom_derivatives! {
    grad_takes_the_vjp: grad(marked()) => [100, 200, 300];
    vjp_takes_the_vjp: vjp(marked()) => [100, 200, 300];
    jvp_takes_the_jvp: jvp(marked()) => [1000, 2000, 3000];
    /// The derivative of the vjp's 100x.
    grad_of_grad: grad(grad(marked())) => [100, 100, 100];
    jvp_of_grad: jvp(grad(marked())) => [100, 100, 100];
    /// The derivative of the jvp's 1000x.
    grad_of_jvp: grad(jvp(marked())) => [1000, 1000, 1000];
    jvp_of_jvp: jvp(jvp(marked())) => [1000, 1000, 1000];
    vmap_of_grad: vmap(grad(marked())) => [100, 200, 300];
    vmap_of_jvp: vmap(jvp(marked())) => [1000, 2000, 3000];
    /// MLX differs: its `vmap` loses the custom derivatives and gives 2x. (JAX keeps `custom_vjp` under `vmap`.)
    grad_of_vmap: grad(vmap(marked())) => [100, 200, 300];
    jvp_of_vmap: jvp(vmap(marked())) => [1000, 2000, 3000];
    grad_of_grad_of_vmap: grad(grad(vmap(marked()))) => [100, 100, 100];
    grad_of_vmap_of_vmap: grad(vmap(vmap(marked()))) => [100, 200, 300];
    vmap_of_grad_of_vmap: vmap(grad(vmap(marked()))) => [100, 200, 300];
    grad_of_compile: grad(compile(marked())) => [100, 200, 300];
    compile_of_grad: compile(grad(marked())) => [100, 200, 300];
    grad_of_checkpoint: grad(checkpoint(marked())) => [100, 200, 300];
    /// Scopes inside, around and half-way: their results are constants, whatever the custom derivatives.
    in_a_scope: grad(scope(marked())) => [0, 0, 0];
    jvp_in_a_scope: jvp(scope(marked())) => [0, 0, 0];
    half_way: grad(times_x(scope(marked()))) => [1, 4, 9];
    jvp_half_way: jvp(times_x(scope(marked()))) => [1, 4, 9];
    half_way_in_vmap: grad(vmap(times_x(scope(marked())))) => [1, 4, 9];
    half_way_around_vmap: grad(times_x(scope(vmap(marked())))) => [1, 4, 9];
    outside: scope(grad(marked())) => [100, 200, 300];
    /// x · stop(100x).
    around_the_inner: grad(times_x(scope(grad(marked())))) => [100, 200, 300];
    /// A function whose whole body is a scope still has its custom derivatives, which define it.
    of_a_function_that_is_a_scope: {
        let f = mlx::custom_function(|x| Ok(vec![no_grad!(x[0].square()?)])).vjp(|_, cotangents, _| Ok(cotangents.to_vec()));
        grad(Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0))))
    } => [1, 1, 1];
    /// A scope half-way inside the vjp: the derivative of x · stop(x).
    a_scope_inside_the_vjp: {
        let f = mlx::custom_function(|x| Ok(vec![x[0].square()?]))
            .vjp(|primals, cotangents, _| Ok(vec![cotangents[0].multiply(&primals[0])?.multiply(&no_grad!(primals[0].abs()?))?]));
        grad(grad(Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0)))))
    } => [1, 2, 3];
    /// A vjp whose whole body is a scope: the gradient is right, and its own derivative is zero.
    a_vjp_that_is_a_scope: {
        let f = mlx::custom_function(|x| Ok(vec![x[0].square()?]))
            .vjp(|primals, cotangents, _| Ok(vec![no_grad!(cotangents[0].multiply(&primals[0])?)]));
        let gradient = grad(Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0))));
        grad(Rc::new(move |x| gradient(x)?.multiply(x)))
    } => [1, 2, 3];
    /// A function with a custom vjp only takes its jvp from the function itself, and the reverse.
    jvp_of_a_function_with_a_vjp: {
        let f = mlx::custom_function(|x| Ok(vec![x[0].square()?])).vjp(|_, cotangents, _| Ok(cotangents.to_vec()));
        jvp(Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0))))
    } => [2, 4, 6];
    vjp_of_a_function_with_a_jvp: {
        let f = mlx::custom_function(|x| Ok(vec![x[0].square()?])).jvp(|_, tangents| Ok(tangents.to_vec()));
        vjp(Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0))))
    } => [2, 4, 6];
}

/// Two primals, one mapped along the last axis and one not mapped, whose cotangent is summed.
#[test]
fn a_vjp_under_vmap_with_axes() {
    let f =
        mlx::custom_function(|x| Ok(vec![x[0].multiply(&x[1])?.sum_all()?])).vjp(|primals, cotangents, outputs| {
            assert_eq!((primals[0].shape(), primals[1].shape()), (vec![2], vec![2]));
            assert_eq!((cotangents[0].shape(), outputs[0].shape()), (vec![], vec![]));
            Ok(vec![
                cotangents[0].multiply(&primals[1])?.multiply(&scalar(10.0))?,
                cotangents[0].multiply(&primals[0])?,
            ])
        });
    let rows = A::from_slice(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]).unwrap();
    let shared = array(&[7.0, 8.0]);
    let loss = |x: &[A]| mlx::vmap(|x| f.call(x), x, &[Some(1), None], &[0])?[0].sum_all();
    let (value, gradients) = A::value_and_grad(loss, &[rows, shared]).unwrap();
    assert_eq!(value.item::<f32>().unwrap(), 7.0 * 6.0 + 8.0 * 15.0);
    assert_eq!(
        (gradients[0].shape(), elements(&gradients[0])),
        (vec![2, 3], vec![70.0, 70.0, 70.0, 80.0, 80.0, 80.0])
    );
    assert_eq!(elements(&gradients[1]), [6.0, 15.0]);
}

/// A custom jvp gets zeros as the tangent of a primal that is constant.
#[test]
fn the_tangent_of_a_constant_is_zero() {
    let f = mlx::custom_function(|x| Ok(vec![x[0].multiply(&x[1])?]))
        .jvp(|_, tangents| Ok(vec![tangents[0].add(&tangents[1].multiply(&scalar(10.0))?)?]));
    let of = |f: fn(&mlx::CustomFunction, &A, &A) -> Result<Vec<A>>, custom: &mlx::CustomFunction| {
        let result = mlx::jvp(|x| f(custom, &x[0], &scalar(5.0)), &[scalar(3.0)], &[scalar(1.0)]);
        result.unwrap().1[0].item::<f32>()
    };
    assert_eq!(of(|f, x, y| f.call(&[x.clone(), y.clone()]), &f).unwrap(), 1.0);
    assert_eq!(of(|f, x, y| f.call(&[y.clone(), x.clone()]), &f).unwrap(), 10.0);
    assert_eq!(of(|f, x, _| f.call(&[x.clone(), x.clone()]), &f).unwrap(), 11.0);
    assert_eq!(
        of(|f, x, _| f.call(&[no_grad!(x.abs()?), x.clone()]), &f).unwrap(),
        10.0,
        "a constant does not move"
    );
}

/// A derivative that fails.
type Fail = fn() -> Result<Vec<A>>;

fn by_error() -> Result<Vec<A>> {
    no_grad! { Err(MINE) }
}
fn by_panic() -> Result<Vec<A>> {
    let _guard = inference_mode(true);
    panic_any(Payload(42))
}

/// Runs a program in which a function fails, and returns its result, its error or the payload of its panic.
fn outcome(program: impl Fn() -> Result<A>) -> Result<String, Payload> {
    let ended = catch_unwind(AssertUnwindSafe(|| program().and_then(|found| found.to_vec::<f32>())));
    assert_no_scope_is_open();
    // The next transform is not affected.
    assert_eq!(elements(&grad(grad(cube()))(&array(&[1.0, 2.0, 3.0])).unwrap()), [6.0, 12.0, 18.0]);
    match ended {
        Ok(result) => Ok(result.map_or_else(|error| error.to_string(), |values| format!("{values:?}"))),
        Err(payload) => Err(*payload.downcast::<Payload>().expect("the payload of the function")),
    }
}

type Transform = fn(F) -> F;

/// Returns the outcomes of a derivative of `f` under each transform.
fn outcomes_of(f: &F, x: &A, differentiate: Transform) -> Vec<Result<String, Payload>> {
    let ways: [fn(F, Transform) -> F; 9] = [
        |f, d| d(f),
        |f, d| grad(d(f)),
        |f, d| jvp(d(f)),
        |f, d| vmap(d(f)),
        |f, d| compile(d(f)),
        |f, d| checkpoint(d(f)),
        |f, d| custom(d(f)),
        |f, d| scope(d(f)),
        |f, d| d(compile(f)),
    ];
    ways.map(|way| outcome(|| way(f.clone(), differentiate)(x))).into()
}

fn failing_vjp(fail: Fail) -> F {
    let f = mlx::custom_function(|x| Ok(vec![x[0].square()?])).vjp(move |_, _, _| fail());
    Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0)))
}

fn failing_jvp(fail: Fail) -> F {
    let f = mlx::custom_function(|x| Ok(vec![x[0].square()?])).jvp(move |_, _| fail());
    Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0)))
}

#[test]
fn a_derivative_that_returns_an_error() {
    let x = array(&[1.0, 2.0, 3.0]);
    let error = || Ok(MINE.to_string());
    assert!(outcomes_of(&failing_vjp(by_error), &x, grad).iter().all(|found| *found == error()));
    assert!(outcomes_of(&failing_vjp(by_error), &x, vjp).iter().all(|found| *found == error()));
    assert!(outcomes_of(&failing_jvp(by_error), &x, jvp).iter().all(|found| *found == error()));
}

#[test]
fn a_derivative_that_panics() {
    let x = array(&[1.0, 2.0, 3.0]);
    assert!(outcomes_of(&failing_vjp(by_panic), &x, grad).iter().all(|found| *found == Err(Payload(42))));
    assert!(outcomes_of(&failing_vjp(by_panic), &x, vjp).iter().all(|found| *found == Err(Payload(42))));
    assert!(outcomes_of(&failing_jvp(by_panic), &x, jvp).iter().all(|found| *found == Err(Payload(42))));
}

#[test]
fn a_derivative_of_wrong_number_or_shape() {
    let x = array(&[1.0, 2.0, 3.0]);
    let wrong: [Fail; 4] = [
        || Ok(vec![]),
        || Ok(vec![scalar(1.0), scalar(1.0)]),
        || Ok(vec![array(&[1.0, 1.0])]),
        || Ok(vec![A::ones(&[3, 1], Dtype::Float32)?]),
    ];
    for fail in wrong {
        for (f, differentiate, word) in
            [(failing_vjp(fail), grad as fn(F) -> F, "cotangent"), (failing_jvp(fail), jvp, "tangent")]
        {
            for found in outcomes_of(&f, &x, differentiate) {
                let message = found.unwrap();
                assert!(
                    message.starts_with("cannot ") && message.contains(" float32[") && message.contains(word),
                    "{message}"
                );
            }
        }
    }
}

/// A gradient has the dtype of its primal, whatever the vjp returns.
#[test]
fn a_derivative_of_another_dtype() {
    let f = mlx::custom_function(|x| Ok(vec![x[0].square()?]))
        .vjp(|_, cotangents, _| Ok(vec![cotangents[0].astype(Dtype::Float16)?]));
    let gradient = derivative(|x| Ok(f.call(from_ref(x))?.swap_remove(0))).unwrap();
    assert_eq!((gradient.dtype(), gradient.item::<f32>().unwrap()), (Dtype::Float32, 1.0));
}

/// A custom derivative may read elements where there are some, and is still differentiated by outer transforms.
#[test]
fn a_derivative_that_reads_elements() {
    let reads = || -> F {
        let f = mlx::custom_function(|x| Ok(vec![x[0].square()?]))
            .vjp(|primals, cotangents, outputs| {
                let twice = primals[0].add(&primals[0])?;
                for array in [&primals[0], &cotangents[0], &outputs[0], &twice] {
                    array.to_vec::<f32>()?;
                }
                Ok(vec![cotangents[0].multiply(&twice)?])
            })
            .jvp(|primals, tangents| {
                let twice = primals[0].add(&primals[0])?;
                for array in [&primals[0], &tangents[0], &twice] {
                    array.to_vec::<f32>()?;
                }
                Ok(vec![tangents[0].multiply(&twice)?])
            });
        Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0)))
    };
    assert_values(move || grad(reads()), [2, 4, 6]);
    assert_values(move || jvp(reads()), [2, 4, 6]);
    assert_values(move || grad(grad(times_x(reads()))), [6, 12, 18]);
    assert_values(move || grad(jvp(times_x(reads()))), [6, 12, 18]);
    assert_values(move || jvp(grad(times_x(reads()))), [6, 12, 18]);
    assert_values(move || grad(grad(grad(times_x(reads())))), [6, 6, 6]);
    for transform in [vmap, compile] {
        let message = transform(grad(reads()))(&array(&[1.0, 2.0])).unwrap_err().to_string();
        assert!(message.contains("has no elements while"), "{message}");
    }
}

/// A derivative that fails does not matter where it is not used.
#[test]
fn a_failing_derivative_that_is_not_used() {
    let x = array(&[1.0, 2.0, 3.0]);
    assert_eq!(elements(&failing_vjp(by_panic)(&x).unwrap()), [1.0, 4.0, 9.0]);
    assert_eq!(elements(&vmap(failing_vjp(by_panic))(&x).unwrap()), [1.0, 4.0, 9.0]);
    assert_eq!(elements(&jvp(failing_vjp(by_panic))(&x).unwrap()), [2.0, 4.0, 6.0]);
    assert_eq!(elements(&grad(times_x(scope(failing_vjp(by_panic))))(&x).unwrap()), [1.0, 4.0, 9.0]);
}

/// A function that returns a list of arrays.
type Listed = Rc<dyn Fn(&A) -> Result<Vec<A>>>;

/// Returns a function that succeeds in its first call and fails in the second, which a checkpoint makes.
fn failing_second_call(then: fn(&A) -> Result<Vec<A>>, transform: fn(Listed) -> F) -> F {
    Rc::new(move |x| {
        let calls = Cell::new(0);
        let f = transform(Rc::new(move |x: &A| {
            calls.set(calls.get() + 1);
            if calls.get() == 1 { Ok(vec![x.square()?]) } else { then(x) }
        }));
        f(x)
    })
}

fn checkpointed(f: Listed) -> F {
    let f = mlx::checkpoint(move |x| f(&x[0]));
    Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0)))
}

fn customized(f: Listed) -> F {
    let f = mlx::custom_function(move |x| f(&x[0]));
    Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0)))
}

#[test]
fn a_second_call_that_fails() {
    let x = array(&[1.0, 2.0, 3.0]);
    for transform in [checkpointed, customized] {
        for differentiate in [grad, vjp, jvp] {
            for found in outcomes_of(&failing_second_call(|_| by_error(), transform), &x, differentiate) {
                assert_eq!(found, Ok(MINE.to_string()));
            }
            for found in outcomes_of(&failing_second_call(|_| by_panic(), transform), &x, differentiate) {
                assert_eq!(found, Err(Payload(42)));
            }
        }
        for differentiate in [grad, vjp] {
            for then in [
                (|_| Ok(vec![])) as fn(&A) -> Result<Vec<A>>,
                |x| Ok(vec![x.clone(), x.clone()]),
                |_| Ok(vec![array(&[1.0, 1.0])]),
            ] {
                for found in outcomes_of(&failing_second_call(then, transform), &x, differentiate) {
                    let message = found.unwrap();
                    assert!(message.contains("the function must return arrays of the same shapes"), "{message}");
                }
            }
        }
    }
}

/// Returns the modes that a checkpointed function sees in each of its calls.
fn modes_of_calls(run: impl FnOnce(&mlx::Checkpoint) -> Result<A>) -> Vec<(GradMode, GradMode)> {
    let seen = Rc::new(RefCell::new(vec![]));
    let f = mlx::checkpoint({
        let seen = seen.clone();
        move |x| {
            seen.borrow_mut().push((Cpu.grad_mode(), Mlx.grad_mode()));
            Ok(vec![x[0].square()?])
        }
    });
    assert_eq!(run(&f).unwrap().item::<f32>().unwrap(), 6.0);
    assert_no_scope_is_open();
    seen.take()
}

fn derivative(f: impl Fn(&A) -> Result<A>) -> Result<A> {
    Ok(A::grad(|x| f(&x[0]), &[scalar(3.0)])?.swap_remove(0))
}

const ENABLED: (GradMode, GradMode) = (GradMode::Enabled, GradMode::Enabled);

#[test]
fn the_second_call_sees_the_modes_of_the_first() {
    let of = |f: &mlx::Checkpoint, x: &A| Ok(f.call(from_ref(x))?.swap_remove(0));
    // The gradient is taken in another mode than that of the call.
    assert_eq!(modes_of_calls(|f| derivative(|x| of(f, x))), [ENABLED; 2]);
    assert_eq!(modes_of_calls(|f| no_grad!(derivative(|x| of(f, x)))), [ENABLED; 2]);
    assert_eq!(modes_of_calls(|f| derivative(|x| no_grad!(enable_grad!(of(f, x))))), [ENABLED; 2]);
    let for_the_cpu = [(GradMode::NoGrad, GradMode::Enabled); 2];
    assert_eq!(modes_of_calls(|f| derivative(|x| no_grad! { <Cpu> of(f, x) })), for_the_cpu);
    assert_eq!(modes_of_calls(|f| no_grad!(derivative(|x| no_grad! { <Cpu> of(f, x) }))), for_the_cpu);
    let for_inference = [(GradMode::Inference, GradMode::Enabled); 2];
    assert_eq!(modes_of_calls(|f| derivative(|x| inference_mode! { <Cpu> of(f, x) })), for_inference);
    // In a scope nothing is stored, so the function is not called again: x² + stop(x²).
    let once = modes_of_calls(|f| derivative(|x| x.square()?.add(&no_grad!(of(f, x))?)));
    assert_eq!(once, [(GradMode::NoGrad, GradMode::NoGrad)]);
}

/// A guard that the function around the checkpoint leaves open does not count in the second call.
#[test]
fn the_second_call_does_not_see_a_later_guard() {
    let kept = RefCell::new(None);
    let seen = modes_of_calls(|f| {
        let derived = derivative(|x| {
            let output = f.call(from_ref(x))?.swap_remove(0);
            *kept.borrow_mut() = Some(no_grad());
            Ok(output)
        });
        drop(kept.take());
        derived
    });
    assert_eq!(seen, [ENABLED; 2]);
}

/// An object that is dropped before the gradient is taken: MLX keeps the function alive.
#[test]
fn dropped_before_the_gradient_is_taken() {
    let alive = Rc::new(());
    let count = Rc::downgrade(&alive);
    for make in [
        (|alive: Rc<()>, x: &A| {
            mlx::checkpoint(move |x| {
                let _ = &alive;
                Ok(vec![x[0].square()?])
            })
            .call(from_ref(x))
        }) as fn(Rc<()>, &A) -> Result<Vec<A>>,
        |alive, x| {
            mlx::custom_function(move |x| {
                let _ = &alive;
                Ok(vec![x[0].square()?])
            })
            .call(from_ref(x))
        },
        |alive, x| {
            mlx::custom_function(|x| Ok(vec![x[0].square()?]))
                .vjp(move |p, c, _| {
                    let _ = &alive;
                    Ok(vec![c[0].multiply(&p[0])?.multiply(&scalar(2.0))?])
                })
                .call(from_ref(x))
        },
        |alive, x| {
            mlx::compile(move |x| {
                let _ = &alive;
                Ok(vec![x[0].square()?])
            })
            .call(from_ref(x))
        },
    ] {
        let found = derivative(|x| Ok(make(alive.clone(), x)?.swap_remove(0))).unwrap();
        assert_eq!(found.item::<f32>().unwrap(), 6.0);
    }
    drop(alive);
    assert!(count.upgrade().is_none());
}

/// An outer transform's array is a constant to a checkpointed or custom function that captures it. MLX does the same; JAX's
/// `checkpoint` gives 6, and its `custom_vjp` refuses.
#[test]
fn a_captured_array_of_an_outer_transform() {
    for transform in [checkpoint, custom] {
        let found = derivative(|x| {
            let captured = x.clone();
            transform(Rc::new(move |y| y.multiply(&captured)))(x)
        });
        assert_eq!(found.unwrap().item::<f32>().unwrap(), 3.0);
    }
}

/// An array that a checkpointed or custom function captures is a constant to a transform further out too, when an inner one has
/// derived the function: d/dx of d/dy (x · y), which is x.
#[test]
fn captured_arrays_are_constants_further_out() {
    let with_its_vjp: fn(&A) -> F = |captured| {
        let (value, slope) = (captured.clone(), captured.clone());
        let custom = mlx::custom_function(move |y| Ok(vec![y[0].multiply(&value)?]))
            .vjp(move |_, cotangents, _| Ok(vec![cotangents[0].multiply(&slope)?]));
        Rc::new(move |y| Ok(custom.call(from_ref(y))?.swap_remove(0)))
    };
    let product: fn(&A) -> F = |captured| {
        let captured = captured.clone();
        Rc::new(move |y| y.multiply(&captured))
    };
    for inner in [grad as fn(F) -> F, vjp, jvp] {
        for wrap in [checkpoint as fn(F) -> F, custom] {
            let slope: F = Rc::new(move |x| inner(wrap(product(x)))(x));
            assert_eq!(elements(&grad(slope)(&scalar(3.0)).unwrap()), [0.0]);
        }
        // Without a wrapper the captured array is one more variable.
        let slope: F = Rc::new(move |x| inner(product(x))(x));
        assert_eq!(elements(&grad(slope)(&scalar(3.0)).unwrap()), [1.0]);
    }
    let slope: F = Rc::new(move |x| grad(with_its_vjp(x))(x));
    assert_eq!(elements(&grad(slope)(&scalar(3.0)).unwrap()), [0.0]);
}

/// When a function is called again for its jvp, an evaluated array may depend on one that becomes a constant.
#[test]
fn guarantee_16_gradients_evaluated_for_a_derived_jvp() {
    for wrap in [checkpoint as fn(F) -> F, custom] {
        let inner: F = Rc::new(|x| {
            let gradients = A::grad(|y| y[0].gelu()?.square()?.sum_all(), from_ref(x))?;
            gradients[0].eval()?;
            gradients[0].multiply(x)
        });
        let found = jvp(wrap(inner.clone()))(&scalar(0.5)).unwrap();
        assert_close(&elements(&found), &elements(&jvp(inner)(&scalar(0.5)).unwrap()), 1e-5);
    }
}
