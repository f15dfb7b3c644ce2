//! Arrays that leave by side effect, functions that are left by error or panic, and transforms of arrays of others.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;
use std::slice::from_ref;
use std::sync::mpsc;

use grad_runtime::prelude::*;
use grad_runtime::{Error, Result, Scope, inference_mode, no_grad};

use crate::transforms::*;

/// Where a function may put an array beside what it returns.
trait Way: 'static {
    fn new() -> Self;
    fn put(&self, array: A);
    fn take(&self) -> A;
}

struct Variable(RefCell<Option<A>>);
impl Way for Variable {
    fn new() -> Self {
        Self(RefCell::new(None))
    }
    fn put(&self, array: A) {
        *self.0.borrow_mut() = Some(array);
    }
    fn take(&self) -> A {
        self.0.borrow().clone().expect("it was put there")
    }
}

struct Field {
    state: RefCell<State>,
}
#[derive(Default)]
struct State {
    history: Vec<A>,
}
impl Way for Field {
    fn new() -> Self {
        Self { state: RefCell::default() }
    }
    fn put(&self, array: A) {
        self.state.borrow_mut().history.push(array);
    }
    fn take(&self) -> A {
        self.state.borrow().history.last().expect("it was put there").clone()
    }
}

struct Channel(mpsc::Sender<A>, mpsc::Receiver<A>);
impl Way for Channel {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self(sender, receiver)
    }
    fn put(&self, array: A) {
        self.0.send(array).expect("the other end is here");
    }
    fn take(&self) -> A {
        self.1.recv().expect("it was sent")
    }
}

/// x · y, where y = x² was made in a scope and went another way than being returned.
fn beside<W: Way>() -> F {
    let way = W::new();
    Rc::new(move |x| {
        no_grad!(way.put(x.square()?));
        x.multiply(&way.take())
    })
}

/// x · y, where y = f(x)'s inner square, made in a scope in the function of an inner transform, left both.
fn out_of_an_inner<W: Way>(inner: fn(F) -> F) -> F {
    let way = Rc::new(W::new());
    Rc::new(move |x| {
        let f = inner(Rc::new({
            let (way, x) = (way.clone(), x.clone());
            move |y| {
                no_grad!(way.put(x.square()?));
                y.square()
            }
        }));
        f(&scalar(1.0))?;
        x.multiply(&way.take())
    })
}

macro_rules! side_effects {
    ($($name:ident: $way:ty;)*) => {$(
        /// Law 3, of arrays wherever they go: d/dx (x · stop(x²)) = x². (JAX would call this an escaped tracer only
        /// outside of the transform; inside, it is `stop_gradient`'s value like any other.)
        mod $name {
            use super::*;

            #[test]
            fn under_each_transform() {
                for differentiate in [grad, vjp, jvp] {
                    holds(move || differentiate(beside::<$way>()), [1, 4, 9]);
                    holds(move || vmap(differentiate(beside::<$way>())), [1, 4, 9]);
                    holds(move || differentiate(vmap(beside::<$way>())), [1, 4, 9]);
                    holds(move || compile(differentiate(beside::<$way>())), [1, 4, 9]);
                    holds(move || differentiate(compile(beside::<$way>())), [1, 4, 9]);
                    holds(move || checkpoint(differentiate(beside::<$way>())), [1, 4, 9]);
                    holds(move || differentiate(checkpoint(beside::<$way>())), [1, 4, 9]);
                    holds(move || differentiate(custom(beside::<$way>())), [1, 4, 9]);
                    // x · stop(x²) once more: the inner derivative is the constant itself.
                    holds(move || grad(times_x_of(differentiate(beside::<$way>()))), [1, 4, 9]);
                }
            }

            /// An inner transform clears MLX's marks on what its function touched; the scope's arrays are constants still.
            #[test]
            fn out_of_an_inner_transform() {
                for inner in [grad, vjp, jvp, checkpoint, custom] {
                    holds(move || grad(out_of_an_inner::<$way>(inner)), [1, 4, 9]);
                    holds(move || jvp(out_of_an_inner::<$way>(inner)), [1, 4, 9]);
                }
            }
        }
    )*};
}

/// x · f(x).
fn times_x_of(f: F) -> F {
    Rc::new(move |x| x.multiply(&f(x)?))
}

side_effects! {
    a_captured_variable: Variable;
    a_struct_field: Field;
    a_channel: Channel;
}

/// What leaves a gradient's function is a value there after; it was a constant to the transform when it was made in a
/// scope, and is no part of the next one either way.
#[test]
fn arrays_that_leave_a_gradient_are_values() {
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

/// The arrays that `transform`'s function had, after it is over.
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

/// They have no elements, and never will: an error whatever is done with them, and no crash. (JAX: an
/// `UnexpectedTracerError`.)
#[test]
fn arrays_that_leave_vmap_and_compile() {
    for transform in [vmap, compile] {
        for array in leaked(transform) {
            for _ in 0..2 {
                let refused = |result: Result<()>| {
                    let message = result.unwrap_err().to_string();
                    assert!(message.contains("[eval]"), "{message}");
                };
                refused(array.eval());
                refused(array.to_vec::<f32>().map(|_| ()));
                refused(array.square().unwrap().to_vec::<f32>().map(|_| ()));
                refused(no_grad!(array.square().unwrap().to_vec::<f32>().map(|_| ())));
                refused(grad_runtime::mlx::eval(from_ref(&array)));
                refused(grad(cube())(&array).and_then(|gradient| gradient.eval()));
                refused(compile(cube())(&array).and_then(|value| value.eval()));
            }
            assert!(!format!("{array:?}").is_empty());
        }
    }
    assert_eq!(elements(&vmap(grad(cube()))(&array(&[1.0, 2.0, 3.0])).unwrap()), [3.0, 12.0, 27.0]);
}

/// Used by the next call of the transform: an error as well.
#[test]
fn arrays_that_leave_one_run_and_enter_the_next() {
    for transform in [vmap, compile] {
        let stale = leaked(transform).swap_remove(1).sum_all().unwrap();
        let f = transform(Rc::new(move |x| x.multiply(&stale)));
        let message = f(&array(&[1.0, 2.0, 3.0])).and_then(|found| found.eval()).unwrap_err().to_string();
        assert!(message.contains("eval") || message.contains("compile"), "{message}");
    }
}

/// Inside `vmap` and `compile` there are no elements to look at; inside the others there are, and the array that was
/// looked at is differentiated all the same.
#[test]
fn a_function_that_looks_at_elements() {
    let looks: fn() -> F = || {
        Rc::new(|x| {
            let square = x.square()?;
            square.to_vec::<f32>()?;
            square.multiply(x)
        })
    };
    holds(move || grad(looks()), [3, 12, 27]);
    holds(move || vjp(looks()), [3, 12, 27]);
    holds(move || jvp(looks()), [3, 12, 27]);
    holds(move || grad(grad(looks())), [6, 12, 18]);
    holds(move || jvp(vjp(looks())), [6, 12, 18]);
    holds(move || checkpoint(looks()), [1, 8, 27]);
    holds(move || custom(looks()), [1, 8, 27]);
    holds(move || grad(checkpoint(looks())), [3, 12, 27]);
    holds(move || grad(custom(looks())), [3, 12, 27]);
    holds(move || grad(compile(looks())), [3, 12, 27]);
    let x = array(&[1.0, 2.0, 3.0]);
    for transform in
        [vmap, compile, |f| grad(vmap(f)), |f| vmap(grad(f)), |f| compile(grad(f)), |f| compile(vmap(f))]
    {
        for _ in 0..2 {
            let message = transform(looks())(&x).unwrap_err().to_string();
            assert!(message.contains("[eval]"), "{message}");
            nothing_is_left_open();
        }
    }
}

/// `take` looks at its indices where they are there, and clamps them where they are not: nowhere out of bounds.
#[test]
fn indices_inside_of_a_transform() {
    // MLX does not differentiate by an index, not even to say that it is zero: a scope says that it is none.
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

/// MLX refuses to evaluate in the background what a transform traces; so do we, with its words.
#[test]
fn evaluation_in_the_background_inside_of_a_transform() {
    let f: F = Rc::new(|x| {
        let square = x.square()?;
        grad_runtime::mlx::async_eval(from_ref(&square))?;
        Ok(square)
    });
    for transform in [grad, vjp, jvp, vmap, compile] {
        let message = transform(f.clone())(&array(&[1.0, 2.0])).unwrap_err().to_string();
        assert!(message.contains("[async_eval]") || message.contains("[eval]"), "{message}");
        nothing_is_left_open();
    }
    assert_eq!(elements(&checkpoint(f)(&array(&[1.0, 2.0])).unwrap()), [1.0, 4.0]);
}

/// MLX differs: an inner transform makes it forget that the outer one traces what it touched, so that a look at such an
/// array takes it out of the outer transform's graph, and its gradient is silently zero.
#[test]
fn a_look_at_elements_after_an_inner_transform() {
    fn looks_after(inner: fn(F) -> F) -> F {
        Rc::new(move |x| {
            let square = x.square()?;
            let used = square.clone();
            inner(Rc::new(move |y| y.multiply(&used)))(&scalar(2.0).broadcast_to(&x.shape().clone())?)?;
            square.to_vec::<f32>()?;
            square.multiply(x)
        })
    }
    /// The inner transform's own result, looked at: (x²)′ · x, where the inner derivative is 2x.
    fn looks_at_the_result(inner: fn(F) -> F) -> F {
        Rc::new(move |x| {
            let derivative = inner(Rc::new(A::square))(x)?;
            derivative.to_vec::<f32>()?;
            derivative.multiply(x)
        })
    }
    for inner in [grad, vjp, jvp] {
        for outer in [grad, vjp, jvp] {
            holds(move || outer(looks_at_the_result(inner)), [4, 8, 12]);
        }
    }
    for inner in [grad, vjp, jvp, checkpoint, custom, |f| grad(grad(f)), |f| jvp(vjp(f))] {
        for outer in [grad, vjp, jvp] {
            holds(move || outer(looks_after(inner)), [3, 12, 27]);
            holds(move || outer(checkpoint(looks_after(inner))), [3, 12, 27]);
        }
        holds(move || grad(grad(looks_after(inner))), [6, 12, 18]);
        holds(move || grad(grad(checkpoint(looks_after(inner)))), [6, 12, 18]);
        holds(move || grad(jvp(custom(looks_after(inner)))), [6, 12, 18]);
        holds(move || jvp(grad(custom(looks_after(inner)))), [6, 12, 18]);
    }
    // An inner transform that fails half-way must not make it forget either.
    let failing: F = Rc::new(|x| {
        let square = x.square()?;
        let failed = A::grad(|y| square.multiply(&y[0]), from_ref(x)); // not a scalar
        assert!(failed.is_err() || x.shape().is_empty());
        square.to_vec::<f32>()?;
        square.multiply(x)
    });
    assert_eq!(elements(&grad(failing)(&array(&[1.0, 2.0, 3.0])).unwrap()), [3.0, 12.0, 27.0]);
}

/// An outer primal used inside of an inner transform: d/dx of d/dy (x²·y) = x², and of the same with x² in a scope.
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
            holds(move || outer(of(inner, false)), [2, 4, 6]);
            holds(move || outer(of(inner, true)), [0, 0, 0]);
            holds(move || compile(outer(of(inner, false))), [2, 4, 6]);
            holds(move || vmap(outer(of(inner, false))), [2, 4, 6]);
            holds(move || vmap(outer(of(inner, true))), [0, 0, 0]);
        }
    }
}

#[derive(Debug, PartialEq)]
struct Payload(&'static str);

const MINE: Error = Error::InferenceMode { transform: "a test" };

macro_rules! ways_out {
    ($($name:ident: $transform:expr;)*) => {$(
        /// Law 2 under a transform: a scope that its function entered is left by error and by panic, the payload passes
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
                        panic_any(Payload("mine"))
                    }
                }));
                let payload = catch_unwind(AssertUnwindSafe(|| by_panic(&x))).unwrap_err();
                assert_eq!(*payload.downcast::<Payload>().unwrap(), Payload("mine"));
                assert_eq!((Cpu.grad_mode(), Mlx.grad_mode()), modes);
                drop(before);
                nothing_is_left_open();
                assert_eq!(elements(&grad(transform(cube()))(&x).unwrap()), elements(&grad(transform(cube()))(&x).unwrap()));
                assert_eq!(elements(&grad(cube())(&x).unwrap()), [3.0, 12.0, 27.0]);
            }

            #[test]
            fn outside_of_a_scope() {
                ends(None);
            }
            #[test]
            fn in_a_scope() {
                ends(Some(Scope::NoGrad));
                ends(Some(Scope::EnableGrad));
            }
            #[test]
            fn in_a_selective_scope() {
                let _guard = Scope::NoGrad.enter_on(&Cpu);
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

ways_out! {
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
