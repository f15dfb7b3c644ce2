//! What a function captured is dropped when nothing needs it any more, on the thread that made it.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::slice::from_ref;
use std::sync::mpsc;
use std::thread;

use grad_runtime::{Result, mlx, no_grad};

use crate::transforms::*;

/// An elementwise square under a transform that keeps functions, each of which captures `token`.
type Make = fn(Rc<()>) -> F;

fn checkpointed(token: Rc<()>) -> F {
    let f = mlx::checkpoint(move |x| {
        let _ = &token;
        Ok(vec![x[0].square()?])
    });
    Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0)))
}

fn customized(token: Rc<()>) -> F {
    let (backward, forward) = (token.clone(), token.clone());
    let f = mlx::custom_function(move |x| {
        let _ = &token;
        Ok(vec![x[0].square()?])
    })
    .vjp(move |primals, cotangents, _| {
        let _ = &backward;
        Ok(vec![cotangents[0].multiply(&primals[0])?.multiply(&scalar(2.0))?])
    })
    .jvp(move |primals, tangents| {
        let _ = &forward;
        Ok(vec![tangents[0].multiply(&primals[0])?.multiply(&scalar(2.0))?])
    });
    Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0)))
}

fn compiled(token: Rc<()>) -> F {
    let f = mlx::compile(move |x| {
        let _ = &token;
        Ok(vec![x[0].square()?])
    });
    Rc::new(move |x| Ok(f.call(from_ref(x))?.swap_remove(0)))
}

fn compiled_checkpoint(token: Rc<()>) -> F {
    compile(checkpointed(token))
}

fn mapped_checkpoint(token: Rc<()>) -> F {
    vmap(checkpointed(token))
}

const MAKE: [Make; 5] = [checkpointed, customized, compiled, compiled_checkpoint, mapped_checkpoint];

/// Runs `f` in every way, and evaluates what it gives or leaves it unevaluated.
fn used(f: &F, evaluated: bool) -> Result<()> {
    let x = array(&[1.0, 2.0, 3.0]);
    let results = [
        f(&x)?,
        no_grad!(f(&x)?),
        grad(f.clone())(&x)?,
        jvp(f.clone())(&x)?,
        grad(grad(f.clone()))(&x)?,
        vmap(grad(f.clone()))(&x)?,
        grad(vmap(f.clone()))(&x)?,
        compile(grad(f.clone()))(&x)?,
        no_grad!(grad(f.clone())(&x)?),
    ];
    if evaluated {
        for result in &results {
            result.eval()?;
        }
        assert_eq!(elements(&results[2]), [2.0, 4.0, 6.0]);
    }
    Ok(())
}

#[test]
fn what_a_function_captured_is_dropped_with_its_graph() {
    for make in MAKE {
        for evaluated in [true, false] {
            let token = Rc::new(());
            let f = make(token.clone());
            used(&f, evaluated).unwrap();
            drop(f);
            assert_eq!(Rc::strong_count(&token), 1);
        }
    }
}

/// As long as an array waits to be computed from it, and no longer.
#[test]
fn a_graph_keeps_what_it_needs() {
    for make in [checkpointed, customized] {
        let token = Rc::new(());
        let output = make(token.clone())(&array(&[1.0, 2.0, 3.0])).unwrap();
        assert!(Rc::strong_count(&token) > 1, "the output's graph holds the function");
        drop(output);
        assert_eq!(Rc::strong_count(&token), 1);
    }
    for make in MAKE {
        // In a scope there is nothing to keep.
        let token = Rc::new(());
        let f = make(token.clone());
        let output = no_grad!(f(&array(&[1.0, 2.0, 3.0])).unwrap());
        drop(f);
        assert_eq!(Rc::strong_count(&token), 1);
        assert_eq!(elements(&output), [1.0, 4.0, 9.0]);
    }
}

/// MLX computes on a thread of its own, which may be the last to hold a graph.
#[test]
fn what_a_function_captured_is_dropped_after_evaluation_elsewhere() {
    let token = Rc::new(());
    let x = array(&[1.0; 64]);
    for make in [checkpointed, customized] {
        for _ in 0..500 {
            let output = make(token.clone())(&x).unwrap().exp().unwrap();
            mlx::async_eval(from_ref(&output)).unwrap();
            drop(output);
        }
    }
    // What MLX's thread gave up is dropped by this one, the next time it comes by.
    scalar(0.0).square().unwrap().eval().unwrap();
    assert_eq!(Rc::strong_count(&token), 1);
}

/// Nothing is kept of a transform that failed.
#[test]
fn what_a_function_captured_is_dropped_after_a_failure() {
    for make in MAKE {
        let token = Rc::new(());
        let f = make(token.clone());
        let x = array(&[1.0, 2.0, 3.0]);
        for differentiate in [grad, vjp, jvp, vmap, compile] {
            let failing: F = Rc::new({
                let f = f.clone();
                move |x| f(x)?.reshape(&[7])
            });
            assert!(differentiate(failing)(&x).is_err());
        }
        drop(f);
        assert_eq!(Rc::strong_count(&token), 1);
    }
}

/// Tells where it was dropped.
struct Told {
    by: mpsc::Sender<thread::ThreadId>,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.by.send(thread::current().id()).unwrap();
    }
}

/// Functions, arrays and graphs that outlive all else on their thread: whichever goes first, MLX's part of the thread or
/// the user's, they go without a crash, and on their thread.
#[test]
fn everything_is_dropped_when_the_thread_ends() {
    struct Kept {
        _arrays: Vec<A>,
        _functions: Vec<F>,
        _told: Rc<Told>,
    }
    thread_local!(static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) });

    for mlx_first in [true, false] {
        let (by, told) = mpsc::channel();
        let ended = thread::spawn(move || {
            if mlx_first {
                scalar(1.0).square().unwrap().eval().unwrap();
            } else {
                KEPT.with_borrow(|kept| assert!(kept.is_none()));
            }
            let token = Rc::new(Told { by });
            let keep = |f: F| -> F {
                let token = token.clone();
                Rc::new(move |x| {
                    let _ = &token;
                    f(x)
                })
            };
            let functions: Vec<F> = vec![
                checkpoint(keep(cube())),
                custom(keep(cube())),
                compile(keep(cube())),
                compile(grad(checkpoint(keep(cube())))),
                vmap(compile(keep(cube()))),
            ];
            let x = array(&[1.0, 2.0, 3.0]);
            let mut arrays = vec![];
            for f in &functions {
                arrays.push(f(&x).unwrap());
                arrays.push(no_grad!(f(&x).unwrap()));
                arrays.push(grad(f.clone())(&x).unwrap());
                arrays[0].eval().unwrap();
            }
            // One that stays unevaluated, and the arrays of a transform that is not over.
            let leaked: Rc<RefCell<Vec<A>>> = Rc::default();
            let sink = leaked.clone();
            let f = functions[0].clone();
            grad(Rc::new(move |x| {
                sink.borrow_mut().push(f(x)?);
                x.square()
            }))(&x)
            .unwrap();
            arrays.extend(leaked.take());
            KEPT.set(Some(Kept { _arrays: arrays, _functions: functions, _told: token }));
            thread::current().id()
        })
        .join()
        .unwrap();
        assert_eq!(told.recv(), Ok(ended), "dropped, by its own thread");
    }
}

/// A function is kept once for each mode, not once for each call.
#[test]
fn a_compiled_function_is_kept_once_for_each_mode() {
    let token = Rc::new(());
    let weak: Weak<()> = Rc::downgrade(&token);
    let calls = Rc::new(Cell::new(0));
    let f = mlx::compile({
        let calls = calls.clone();
        move |x| {
            let _ = &token;
            calls.set(calls.get() + 1);
            Ok(vec![x[0].square()?])
        }
    });
    for _ in 0..20 {
        f.call(&[scalar(3.0)]).unwrap();
        no_grad!(f.call(&[scalar(3.0)]).unwrap());
    }
    assert_eq!((calls.get(), weak.strong_count()), (2, 1));
    drop(f);
    assert_eq!(weak.strong_count(), 0);
}
