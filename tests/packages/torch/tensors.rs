//! Scopes on libtorch's tensors, beside the scopes of tch.

#[macro_use]
extern crate grad_runtime;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Waker};

use grad_runtime::prelude::*;
use grad_runtime::{GradGuard, Scope, carry, inference_mode, installed, no_grad, thread};
use tch::{Device, Kind, Tensor};

use GradMode::{Enabled, NoGrad};

/// Returns a weight of value 3.
fn weight() -> Tensor {
    Tensor::full(&[1], 3.0, (Kind::Float, Device::Cpu)).set_requires_grad(true)
}

/// Returns whether libtorch records on this thread, by an operation on a weight.
fn records() -> bool {
    (weight() * 2.0).requires_grad()
}

fn gradient(weight: &Tensor) -> f64 {
    f64::from(weight.grad())
}

#[test]
fn guarantee_10_results_in_a_scope_require_no_gradient() {
    #[no_grad]
    fn annotated(weight: &Tensor) -> Tensor {
        weight * 2.0
    }
    let weight = weight();
    assert!((&weight * 2.0).requires_grad());
    assert!(!annotated(&weight).requires_grad());
    assert!(!no_grad!(&weight * 2.0).requires_grad());
    {
        let _guard = no_grad();
        assert!(!(&weight * 2.0).requires_grad());
        assert!(enable_grad!(&weight * 2.0).requires_grad());
        assert!(!set_grad_enabled!(false, { &weight * 2.0 }).requires_grad());
    }
    assert!((&weight * 2.0).requires_grad());
    assert!(weight.requires_grad(), "a scope does not change a leaf");
    assert!(installed().any(|backend| backend.name() == "torch"), "the first scope installs it");
    assert_eq!(Torch::check_available(), Ok(()));
}

#[test]
fn guarantee_10_a_selective_scope() {
    let weight = weight();
    let result = no_grad! { <Torch>
        assert!(is_grad_enabled());
        &weight * 2.0
    };
    assert!(!result.requires_grad());
    let result = no_grad! { <Cpu> &weight * 2.0 };
    assert!(result.requires_grad());
}

/// `w·no_grad(w²)` has the derivative w², since the target is a constant. Without the scope it is 3w².
#[test]
fn guarantee_3_backward_through_a_scope() {
    let fixed = weight();
    let target = no_grad!(&fixed * &fixed);
    let loss = (&fixed * target).sum(Kind::Float);
    loss.backward();
    assert_eq!((f64::from(&loss), gradient(&fixed)), (27.0, 9.0));

    let free = weight();
    let target = &free * &free;
    (&free * target).sum(Kind::Float).backward();
    assert_eq!(gradient(&free), 27.0);
}

/// A loss recorded by `enable_grad` in a scope, and a backward pass in that scope.
#[test]
fn guarantee_2_backward_inside_of_scopes() {
    let weight = weight();
    let _evaluating = no_grad();
    let loss = enable_grad!((&weight * &weight).sum(Kind::Float));
    loss.backward();
    assert_eq!(gradient(&weight), 6.0);
    assert!(!records());
}

#[test]
fn guarantee_7_inference_mode_is_no_grad_here() {
    let weight = weight();
    {
        let _serving = inference_mode(true);
        assert_eq!(Torch.grad_mode(), NoGrad);
        assert!(!(&weight * 2.0).requires_grad());
        assert!(!enable_grad!(&weight * 2.0).requires_grad());
        assert!(inference_mode!(false, { &weight * 2.0 }).requires_grad());
    }
    // Results are ordinary tensors, which later recorded operations may use.
    let served = inference_mode!(&weight * 2.0);
    (&weight * served).sum(Kind::Float).backward();
    assert_eq!(gradient(&weight), 6.0);
}

/// Scopes of this crate and of tch, four deep, in every order.
#[test]
fn guarantee_11_scopes_nest_with_those_of_tch_in_any_order() {
    const KINDS: usize = 7;

    fn inside(kind: usize, f: impl FnOnce()) -> bool {
        let held = |guard: GradGuard, f: &dyn Fn()| {
            f();
            drop(guard);
        };
        let f = std::cell::Cell::new(Some(f));
        let f = &|| (f.take().unwrap())();
        match kind {
            0 => held(no_grad(), f),
            1 => held(Scope::EnableGrad.enter(), f),
            2 => held(Scope::NoGrad.enter_for(&Torch), f),
            3 => held(Scope::EnableGrad.enter_for(&Torch), f),
            4 => tch::no_grad(f),
            5 => tch::with_grad(f),
            _ => {
                let _theirs = tch::no_grad_guard();
                f();
            }
        }
        [1, 3, 5].contains(&kind)
    }

    fn nest(depth: usize) -> usize {
        let (found, mut nestings) = (records(), 0);
        for kind in 0..KINDS {
            let mut seen = None;
            let enabled = inside(kind, || {
                let first = records();
                nestings += 1 + if depth > 1 { nest(depth - 1) } else { 0 };
                seen = Some((first, records()));
            });
            assert_eq!(seen, Some((enabled, enabled)), "inside {kind}");
            assert_eq!(records(), found, "after {kind}");
        }
        nestings
    }
    assert_eq!(nest(4), 7 + 7_usize.pow(2) + 7_usize.pow(3) + 7_usize.pow(4));
    assert!(records());
    tch::no_grad(|| assert_eq!(nest(2), 56));
    assert!(records());
}

/// `tch::no_grad` leaves gradients off when its closure panics. A scope of ours restores them, also around it.
#[test]
fn guarantee_2_panics() {
    let unwound = catch_unwind(|| no_grad! { std::hint::black_box(()); panic!("in our scope") });
    assert!(unwound.is_err());
    assert!(records());

    let unwound = catch_unwind(|| tch::no_grad(|| panic!("in tch's")));
    assert!(unwound.is_err());
    assert!(!records(), "tch 0.10 restores only where its closure returns");
    tch::with_grad(|| assert!(records()));
    Torch.set_grad_mode(Enabled);

    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _ours = Scope::EnableGrad.enter();
        tch::no_grad(|| panic!("in tch's scope, in ours"));
    }));
    assert!(unwound.is_err());
    assert!(records());
}

#[test]
fn guarantee_1_threads() {
    let _guard = no_grad();
    assert!(std::thread::spawn(records).join().unwrap(), "libtorch's switch belongs to its thread, as scopes do");
    assert!(!thread::spawn(records).join().unwrap());
    assert!(!std::thread::spawn(carry(records)).join().unwrap());
    assert!(!records());
}

#[no_grad]
async fn evaluate(rounds: usize) -> bool {
    let weight = weight();
    let mut recorded = false;
    for _ in 0..rounds {
        recorded |= (&weight * 2.0).requires_grad();
        tokio::task::yield_now().await;
    }
    recorded
}

async fn train(rounds: usize) -> bool {
    let weight = weight();
    let mut recorded = true;
    for _ in 0..rounds {
        recorded &= (&weight * 2.0).requires_grad();
        tokio::task::yield_now().await;
    }
    recorded
}

/// Tasks in the scope and tasks without a scope, interleaved on the same threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_8_async_tasks() {
    let tasks: Vec<_> = (0..16).map(|_| (tokio::spawn(evaluate(200)), tokio::spawn(train(200)))).collect();
    for (evaluation, training) in tasks {
        assert!(!evaluation.await.unwrap(), "nothing is recorded in an annotated async fn");
        assert!(training.await.unwrap(), "other tasks record");
    }
    assert!(records());
}

#[test]
fn guarantee_8_a_future_that_is_dropped_half_way() {
    let mut future = Box::pin(evaluate(2));
    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    assert!(records());
    drop(future);
    assert!(records());
}
