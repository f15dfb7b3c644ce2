//! Arrays that escape from a transformed function by side effect, functions that end by error or panic, and arrays of an outer
//! transform inside an inner one.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;
use std::slice::from_ref;
use std::sync::mpsc;

use grad_runtime::prelude::*;
use grad_runtime::{Result, Scope, inference_mode, no_grad};

use crate::*;

/// A place where a function stores an array besides returning it.
trait Place: 'static {
    fn new() -> Self;
    fn put(&self, array: A);
    fn take(&self) -> A;
}

struct Variable(RefCell<Option<A>>);
impl Place for Variable {
    fn new() -> Self {
        Self(RefCell::new(None))
    }
    fn put(&self, array: A) {
        *self.0.borrow_mut() = Some(array);
    }
    fn take(&self) -> A {
        self.0.borrow().clone().expect("stored before")
    }
}

struct Field {
    state: RefCell<State>,
}
#[derive(Default)]
struct State {
    history: Vec<A>,
}
impl Place for Field {
    fn new() -> Self {
        Self { state: RefCell::default() }
    }
    fn put(&self, array: A) {
        self.state.borrow_mut().history.push(array);
    }
    fn take(&self) -> A {
        self.state.borrow().history.last().expect("stored before").clone()
    }
}

struct Channel(mpsc::Sender<A>, mpsc::Receiver<A>);
impl Place for Channel {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self(sender, receiver)
    }
    fn put(&self, array: A) {
        self.0.send(array).expect("the receiver is alive");
    }
    fn take(&self) -> A {
        self.1.recv().expect("sent before")
    }
}

/// Returns x · y, where y = x² was computed in a scope and stored.
fn stored<P: Place>() -> F {
    let place = P::new();
    Rc::new(move |x| {
        no_grad!(place.put(x.square()?));
        x.multiply(&place.take())
    })
}

/// Returns x · y, where y = x² was computed in a scope in the function of an inner transform, and stored.
fn stored_by_an_inner<P: Place>(inner: fn(F) -> F) -> F {
    let place = Rc::new(P::new());
    Rc::new(move |x| {
        let f = inner(Rc::new({
            let (place, x) = (place.clone(), x.clone());
            move |y| {
                no_grad!(place.put(x.square()?));
                y.square()
            }
        }));
        f(&scalar(1.0))?;
        x.multiply(&place.take())
    })
}

macro_rules! side_effects {
    ($($name:ident: $place:ty;)*) => {$(
        /// Guarantee 3 for stored arrays: d/dx (x · stop(x²)) = x². (JAX calls it an escaped tracer only outside the transform.)
        mod $name {
            use super::*;

            #[test]
            fn under_each_transform() {
                for differentiate in [grad, vjp, jvp] {
                    assert_values(move || differentiate(stored::<$place>()), [1, 4, 9]);
                    assert_values(move || vmap(differentiate(stored::<$place>())), [1, 4, 9]);
                    assert_values(move || differentiate(vmap(stored::<$place>())), [1, 4, 9]);
                    assert_values(move || compile(differentiate(stored::<$place>())), [1, 4, 9]);
                    assert_values(move || differentiate(compile(stored::<$place>())), [1, 4, 9]);
                    assert_values(move || checkpoint(differentiate(stored::<$place>())), [1, 4, 9]);
                    assert_values(move || differentiate(checkpoint(stored::<$place>())), [1, 4, 9]);
                    assert_values(move || differentiate(custom(stored::<$place>())), [1, 4, 9]);
                    // x · stop(x²) again: the inner derivative is the constant itself.
                    assert_values(move || grad(times_x(differentiate(stored::<$place>()))), [1, 4, 9]);
                }
            }

            /// An inner transform clears MLX's tracer flags on the arrays that its function used. Arrays made in a scope are
            /// still constants.
            #[test]
            fn out_of_an_inner_transform() {
                for inner in [grad, vjp, jvp, checkpoint, custom] {
                    assert_values(move || grad(stored_by_an_inner::<$place>(inner)), [1, 4, 9]);
                    assert_values(move || jvp(stored_by_an_inner::<$place>(inner)), [1, 4, 9]);
                }
            }
        }
    )*};
}

side_effects! {
    a_captured_variable: Variable;
    a_struct_field: Field;
    a_channel: Channel;
}

/// After the transform, a stored array is a constant to later transforms, whether it was recorded or not.
#[test]
fn arrays_that_escape_from_grad_are_constants() {
    let kept: RefCell<Vec<A>> = RefCell::default();
    let of = |x: f32| {
        let gradients = A::grad(
            |x| {
                kept.borrow_mut().push(x[0].square()?);
                kept.borrow_mut().push(no_grad!(x[0].square()?));
                x[0].multiply(&kept.borrow()[0])
            },
            &[scalar(x)],
        );
        gradients.unwrap()[0].item::<f32>()
    };
    assert_eq!(of(3.0).unwrap(), 27.0);
    assert_eq!(kept.borrow().iter().map(Array::item).collect::<Result<Vec<f32>>>().unwrap(), [9.0, 9.0]);
    assert_eq!(of(2.0).unwrap(), 9.0, "the first square is that of the first run, a constant to the second");
}

/// Returns arrays that were stored by the function of a transform that has ended.
fn leaked(transform: fn(F) -> F) -> Vec<A> {
    let kept: Rc<RefCell<Vec<A>>> = Rc::default();
    let f = transform(Rc::new({
        let kept = kept.clone();
        move |x| {
            kept.borrow_mut().push(x.clone());
            kept.borrow_mut().push(x.square()?);
            kept.borrow_mut().push(no_grad!(x.square()?));
            x.square()
        }
    }));
    assert_eq!(elements(&f(&array(&[1.0, 2.0, 3.0])).unwrap()), [1.0, 4.0, 9.0]);
    kept.take()
}

/// These arrays have no elements: every use is an error. (JAX: `UnexpectedTracerError`.)
#[test]
fn arrays_that_escape_from_vmap_and_compile() {
    for transform in [vmap, compile] {
        for array in leaked(transform) {
            for _ in 0..2 {
                let refused = |result: Result<()>| {
                    let message = result.unwrap_err().to_string();
                    assert!(message.contains("has no elements after the call"), "{message}");
                };
                refused(array.eval());
                refused(array.to_vec::<f32>().map(|_| ()));
                refused(array.square().unwrap().to_vec::<f32>().map(|_| ()));
                refused(no_grad!(array.square().unwrap().to_vec::<f32>().map(|_| ())));
                refused(mlx::eval(from_ref(&array)));
                refused(grad(cube())(&array).and_then(|gradient| gradient.eval()));
                refused(compile(cube())(&array).and_then(|value| value.eval()));
            }
            assert!(!format!("{array:?}").is_empty());
        }
    }
    assert_eq!(elements(&vmap(grad(cube()))(&array(&[1.0, 2.0, 3.0])).unwrap()), [3.0, 12.0, 27.0]);
}

/// Their use in the next run of the transform is an error too.
#[test]
fn arrays_that_escape_into_the_next_run() {
    for transform in [vmap, compile] {
        let stale = leaked(transform).swap_remove(1).sum_all().unwrap();
        let f = transform(Rc::new(move |x| x.multiply(&stale)));
        let message = f(&array(&[1.0, 2.0, 3.0])).and_then(|found| found.eval()).unwrap_err().to_string();
        assert!(message.contains("has no elements while") || message.contains("compile"), "{message}");
    }
}

/// Inside `vmap` and `compile`, arrays have no elements. Inside the other transforms they do, and reading them does not change
/// the gradient.
#[test]
fn a_function_that_reads_elements() {
    let reads: fn() -> F = || {
        Rc::new(|x| {
            let square = x.square()?;
            square.to_vec::<f32>()?;
            square.multiply(x)
        })
    };
    assert_values(move || grad(reads()), [3, 12, 27]);
    assert_values(move || vjp(reads()), [3, 12, 27]);
    assert_values(move || jvp(reads()), [3, 12, 27]);
    assert_values(move || grad(grad(reads())), [6, 12, 18]);
    assert_values(move || jvp(vjp(reads())), [6, 12, 18]);
    assert_values(move || checkpoint(reads()), [1, 8, 27]);
    assert_values(move || custom(reads()), [1, 8, 27]);
    assert_values(move || grad(checkpoint(reads())), [3, 12, 27]);
    assert_values(move || grad(custom(reads())), [3, 12, 27]);
    assert_values(move || grad(compile(reads())), [3, 12, 27]);
    let x = array(&[1.0, 2.0, 3.0]);
    for transform in
        [vmap, compile, |f| grad(vmap(f)), |f| vmap(grad(f)), |f| compile(grad(f)), |f| compile(vmap(f))]
    {
        for _ in 0..2 {
            let message = transform(reads())(&x).unwrap_err().to_string();
            assert!(message.contains("has no elements while"), "{message}");
            assert_no_scope_is_open();
        }
    }
}

/// `take` checks indices that are computed and clamps indices that are not, so it never reads out of bounds.
#[test]
fn guarantee_16_indices_inside_a_transform() {
    // MLX refuses to differentiate with respect to an index, even where the gradient is zero; in a scope it need not.
    let taken: F = Rc::new(|x| {
        let beyond = no_grad!(x.sum_all()?.astype(Dtype::Int32)?.add(&A::full(&[], 99.0, Dtype::Int32)?)?);
        x.square()?.add(&array(&[1.0, 2.0]).take(&beyond, 0)?)
    });
    let x = array(&[1.0, 2.0, 3.0]);
    for transform in [vmap, compile, checkpoint, custom] {
        assert_eq!(elements(&transform(taken.clone())(&x).unwrap()), [3.0, 6.0, 11.0]);
    }
    for differentiate in [grad, vjp, jvp, |f| grad(vmap(f)), |f| vmap(grad(f)), |f| compile(grad(f))] {
        assert_eq!(elements(&differentiate(taken.clone())(&x).unwrap()), [2.0, 4.0, 6.0]);
    }
}

/// MLX refuses to evaluate traced arrays in the background, and its error is passed on.
#[test]
fn async_eval_inside_a_transform() {
    let f: F = Rc::new(|x| {
        let square = x.square()?;
        mlx::async_eval(from_ref(&square))?;
        Ok(square)
    });
    for transform in [grad, vjp, jvp, vmap, compile] {
        let message = transform(f.clone())(&array(&[1.0, 2.0])).unwrap_err().to_string();
        assert!(message.contains("has no elements while"), "{message}");
        assert_no_scope_is_open();
    }
    assert_eq!(elements(&checkpoint(f)(&array(&[1.0, 2.0])).unwrap()), [1.0, 4.0]);
}

/// MLX differs: an inner transform clears the tracer flags of the arrays that it used. Reading the elements of such an array then
/// detaches it from the outer transform, and its gradient is silently zero.
#[test]
fn elements_read_after_an_inner_transform() {
    fn reads_after(inner: fn(F) -> F) -> F {
        Rc::new(move |x| {
            let square = x.square()?;
            let used = square.clone();
            inner(Rc::new(move |y| y.multiply(&used)))(&scalar(2.0).broadcast_to(&x.shape().clone())?)?;
            square.to_vec::<f32>()?;
            square.multiply(x)
        })
    }
    /// Returns (x²)′ · x, after reading the inner transform's result (x²)′ = 2x.
    fn reads_the_result(inner: fn(F) -> F) -> F {
        Rc::new(move |x| {
            let derivative = inner(Rc::new(A::square))(x)?;
            derivative.to_vec::<f32>()?;
            derivative.multiply(x)
        })
    }
    for inner in [grad, vjp, jvp] {
        for outer in [grad, vjp, jvp] {
            assert_values(move || outer(reads_the_result(inner)), [4, 8, 12]);
        }
    }
    for inner in [grad, vjp, jvp, checkpoint, custom, |f| grad(grad(f)), |f| jvp(vjp(f))] {
        for outer in [grad, vjp, jvp] {
            assert_values(move || outer(reads_after(inner)), [3, 12, 27]);
            assert_values(move || outer(checkpoint(reads_after(inner))), [3, 12, 27]);
        }
        assert_values(move || grad(grad(reads_after(inner))), [6, 12, 18]);
        assert_values(move || grad(grad(checkpoint(reads_after(inner)))), [6, 12, 18]);
        assert_values(move || grad(jvp(custom(reads_after(inner)))), [6, 12, 18]);
        assert_values(move || jvp(grad(custom(reads_after(inner)))), [6, 12, 18]);
    }
    // Nor does an inner transform that fails clear the flags.
    let failing: F = Rc::new(|x| {
        let square = x.square()?;
        let failed = A::grad(|y| square.multiply(&y[0]), from_ref(x)); // not a scalar
        assert!(failed.is_err() || x.shape().is_empty());
        square.to_vec::<f32>()?;
        square.multiply(x)
    });
    assert_eq!(elements(&grad(failing)(&array(&[1.0, 2.0, 3.0])).unwrap()), [3.0, 12.0, 27.0]);
}

/// MLX differs: an inner transform clears the tracer flags of its primals. Evaluating an array that was made of them, and is not
/// among its outputs, then detaches it from the outer transform.
#[test]
fn elements_read_of_an_array_that_escaped_from_an_inner_transform() {
    fn reads_escaped(inner: fn(F) -> F, fails: bool) -> F {
        Rc::new(move |x| {
            let escaped = Rc::new(RefCell::new(None));
            let function: F = Rc::new({
                let escaped = escaped.clone();
                move |y| {
                    *escaped.borrow_mut() = Some(y.square()?);
                    if fails { Err(MINE) } else { ones_like(y) }
                }
            });
            assert_eq!(inner(function)(x).is_err(), fails);
            let square = escaped.borrow_mut().take().expect("stored before");
            square.to_vec::<f32>()?;
            square.multiply(&square)
        })
    }
    for inner in [grad, vjp, jvp, |f| grad(grad(f)), |f| jvp(vjp(f))] {
        for outer in [grad, vjp, jvp] {
            for fails in [false, true] {
                assert_values(move || outer(reads_escaped(inner, fails)), [4, 32, 108]);
                assert_values(move || outer(grad(reads_escaped(inner, fails))), [12, 48, 108]);
            }
        }
    }
}

/// An outer primal captured by an inner transform: d/dx of d/dy (x²·y), with x² recorded and with x² in a scope.
#[test]
fn captured_arrays_of_an_outer_transform() {
    fn of(inner: fn(F) -> F, in_a_scope: bool) -> F {
        Rc::new(move |x| {
            let captured = x.clone();
            inner(Rc::new(move |y| {
                let square = if in_a_scope { no_grad!(captured.square()?) } else { captured.square()? };
                square.multiply(y)
            }))(&ones_like(x)?)
        })
    }
    for outer in [grad, vjp, jvp] {
        for inner in [grad, vjp, jvp, compile] {
            assert_values(move || outer(of(inner, false)), [2, 4, 6]);
            assert_values(move || outer(of(inner, true)), [0, 0, 0]);
            assert_values(move || compile(outer(of(inner, false))), [2, 4, 6]);
            assert_values(move || vmap(outer(of(inner, false))), [2, 4, 6]);
            assert_values(move || vmap(outer(of(inner, true))), [0, 0, 0]);
        }
    }
}

macro_rules! early_exits {
    ($($name:ident: $transform:expr;)*) => {$(
        /// Guarantee 2 under a transform: scopes that the function entered are left by error and by panic, the payload passes
        /// through, and neither the caller's mode nor the next run is affected.
        mod $name {
            use super::*;

            fn ends(around: Option<Scope>) {
                let transform: fn(F) -> F = $transform;
                let x = array(&[1.0, 2.0, 3.0]);
                let before = around.map(Scope::enter);
                let modes = (Cpu.grad_mode(), Mlx.grad_mode());
                let by_error = transform(Rc::new(|x| {
                    let _guard = no_grad();
                    x.square()?;
                    no_grad! { Err(MINE) }
                }));
                assert_eq!(by_error(&x).unwrap_err().to_string(), MINE.to_string());
                assert_eq!((Cpu.grad_mode(), Mlx.grad_mode()), modes);
                let by_panic = transform(Rc::new(|x| {
                    let _guard = no_grad();
                    inference_mode! {
                        x.square()?;
                        panic_any(Payload(42))
                    }
                }));
                let payload = catch_unwind(AssertUnwindSafe(|| by_panic(&x))).unwrap_err();
                assert_eq!(*payload.downcast::<Payload>().unwrap(), Payload(42));
                assert_eq!((Cpu.grad_mode(), Mlx.grad_mode()), modes);
                drop(before);
                assert_no_scope_is_open();
                assert_eq!(elements(&grad(transform(cube()))(&x).unwrap()), elements(&grad(transform(cube()))(&x).unwrap()));
                assert_eq!(elements(&grad(cube())(&x).unwrap()), [3.0, 12.0, 27.0]);
            }

            #[test]
            fn outside_a_scope() {
                ends(None);
            }
            #[test]
            fn in_a_scope() {
                ends(Some(Scope::NoGrad));
                ends(Some(Scope::EnableGrad));
            }
            #[test]
            fn in_a_selective_scope() {
                let _guard = Scope::NoGrad.enter_for(&Cpu);
                let transform: fn(F) -> F = $transform;
                let by_error = transform(Rc::new(|_| no_grad! { Err(MINE) }));
                assert_eq!(by_error(&array(&[1.0])).unwrap_err().to_string(), MINE.to_string());
                assert_eq!((Cpu.grad_mode(), Mlx.grad_mode()), (GradMode::NoGrad, GradMode::Enabled));
            }
            #[test]
            fn on_a_second_thread() {
                let _guard = no_grad();
                std::thread::spawn(|| ends(None)).join().unwrap();
            }
        }
    )*};
}

early_exits! {
    out_of_grad: grad;
    out_of_vjp: vjp;
    out_of_jvp: jvp;
    out_of_vmap: vmap;
    out_of_compile: compile;
    out_of_checkpoint: checkpoint;
    out_of_custom: custom;
    out_of_grad_of_grad: |f| grad(grad(f));
    out_of_grad_of_vmap: |f| grad(vmap(f));
    out_of_vmap_of_grad: |f| vmap(grad(f));
    out_of_grad_of_compile: |f| grad(compile(f));
    out_of_compile_of_grad: |f| compile(grad(f));
    out_of_grad_of_checkpoint: |f| grad(checkpoint(f));
    out_of_jvp_of_vjp: |f| jvp(vjp(f));
    out_of_vmap_of_compile_of_custom: |f| vmap(compile(custom(f)));
}
