//! Programs with scopes and transforms inside each other, and the values that the guarantees imply.
//!
//! The expected values follow the documented behaviour of `stop_gradient` in JAX and MLX, and of `no_grad` inside and outside
//! `torch.func.grad`.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use grad_runtime::prelude::*;
use grad_runtime::{Error, Result, Scope, enable_grad, grad_mode, inference_mode, no_grad, set_grad_enabled};

use support::arrays::{array, assert_close, elements};
use support::polling::{poll, suspend};

use crate::on_every_backend;

/// Returns the value and the derivative of `x · f(x)` at 3.
fn product_rule<A: Array>(f: impl FnOnce(&A) -> Result<A>) -> (f32, f32) {
    let x = A::scalar(3.0_f32).unwrap();
    let (value, gradients) = A::value_and_grad(|x| x[0].multiply(&f(&x[0])?), &[x]).unwrap();
    (value.item().unwrap(), gradients[0].item().unwrap())
}

/// Value and derivative for `f(x) = x²`, where it is recorded and where it is a constant.
const RECORDED: (f32, f32) = (27.0, 27.0);
const CONSTANT: (f32, f32) = (27.0, 9.0);

#[no_grad]
fn square_annotated<A: Array>(x: &A) -> Result<A> {
    x.square()
}

/// Records its operations, and returns a constant.
#[enable_grad(detach)]
fn detached_result<A: Array>(x: &A) -> A {
    x.clone()
}

#[enable_grad(detach(args))]
fn square_of_a_constant<A: Array>(x: &A) -> Result<A> {
    x.square()
}

#[enable_grad]
fn square_enabled<A: Array>(x: &A) -> Result<A> {
    x.square()
}

#[inference_mode]
fn square_for_inference<A: Array>(x: &A) -> Result<A> {
    x.square()
}

#[set_grad_enabled(training)]
fn square_if<A: Array>(x: &A, training: bool) -> Result<A> {
    x.square()
}

#[no_grad]
async fn square_later<A: Array>(x: &A) -> Result<A> {
    suspend().await;
    x.square()
}

/// Returns x³, without a scope.
fn cube<A: Array>(x: &A) -> Result<A> {
    x.multiply(x)?.multiply(x)
}

/// Returns f′(x) for a scalar function, by a transform in the mode of the call.
fn derivative<A: Array>(f: impl FnOnce(&A) -> Result<A>, x: &A) -> Result<A> {
    Ok(A::grad(|x| f(&x[0]), std::slice::from_ref(x))?.swap_remove(0))
}

on_every_backend! {
    /// Each intermediate array has the same graph and the same elements, in a scope and outside.
    fn guarantee_4_outside_a_transform_a_scope_adds_nothing<A>() {
        let x = array::<A>(&[0.5, -1.0, 1.5, 2.0], &[2, 2]);
        let program = || -> Result<Vec<A>> {
            let product = x.matmul(&x)?;
            let shifted = product.add(&x)?;
            let reduced = shifted.gelu()?.sum(&[0], true)?;
            let taken = reduced.reshape(&[2])?.softmax(0)?;
            Ok(vec![product, shifted, reduced, taken])
        };
        let (outside, inside) = (program().unwrap(), no_grad!(program()).unwrap());
        assert_eq!(format!("{inside:?}"), format!("{outside:?}"));
        assert_eq!(format!("{:?}", inference_mode!(program()).unwrap()), format!("{outside:?}"));
        for (inside, outside) in inside.iter().zip(&outside) {
            assert_eq!(elements(inside), elements(outside));
        }
    }

    fn without_a_scope_everything_is_recorded<A>() {
        assert_eq!(product_rule::<A>(Array::square), RECORDED);
    }

    fn guarantee_3_detached_results<A>() {
        assert_eq!(product_rule::<A>(|x| enable_grad!(detach { x.square() })), CONSTANT);
        assert_eq!(product_rule::<A>(|x| Ok(detached_result(&x.square()?))), CONSTANT);
        assert_eq!(product_rule::<A>(|x| Ok(x.square()?.detached())), CONSTANT);
        // Outside a transform nothing is added, and the values are the same.
        assert_eq!(A::scalar(2.0_f32).unwrap().square().unwrap().detached().item::<f32>().unwrap(), 4.0);
    }

    fn guarantee_3_detached_arguments<A>() {
        assert_eq!(product_rule::<A>(square_of_a_constant), CONSTANT);
    }

    fn guarantee_3_a_block<A>() {
        assert_eq!(product_rule::<A>(|x| no_grad!(x.square())), CONSTANT);
    }

    fn guarantee_3_a_guard<A>() {
        assert_eq!(product_rule::<A>(|x| { let _guard = no_grad(); x.square() }), CONSTANT);
    }

    fn guarantee_3_an_annotated_function<A>() {
        assert_eq!(product_rule::<A>(square_annotated), CONSTANT);
    }

    fn guarantee_3_a_block_with_a_question_mark<A>() {
        assert_eq!(product_rule::<A>(|x| Ok(no_grad!(x.square()?))), CONSTANT);
    }

    fn guarantee_3_inference_mode<A>() {
        assert_eq!(product_rule::<A>(|x| inference_mode!(x.square())), CONSTANT);
        assert_eq!(product_rule::<A>(square_for_inference), CONSTANT);
    }

    fn guarantee_3_set_grad_enabled<A>() {
        assert_eq!(product_rule::<A>(|x| set_grad_enabled!(false, { x.square() })), CONSTANT);
        assert_eq!(product_rule::<A>(|x| set_grad_enabled!(true, { x.square() })), RECORDED);
        assert_eq!(product_rule::<A>(|x| square_if(x, false)), CONSTANT);
        assert_eq!(product_rule::<A>(|x| square_if(x, true)), RECORDED);
    }

    fn guarantee_3_an_async_function_polled_inside_a_transform<A>() {
        let polled = |x: &A| {
            let mut future = pin!(square_later(x));
            assert!(poll(future.as_mut()).is_pending());
            assert!(is_grad_enabled(), "between polls the mode is the caller's");
            match poll(future) {
                Poll::Ready(square) => square,
                Poll::Pending => unreachable!("it suspends once"),
            }
        };
        assert_eq!(product_rule::<A>(polled), CONSTANT);
    }

    fn guarantee_7_enable_grad_lifts_no_grad<A>() {
        assert_eq!(product_rule::<A>(|x| no_grad!(enable_grad!(x.square()))), RECORDED);
        assert_eq!(product_rule::<A>(|x| no_grad!(square_enabled(x))), RECORDED);
        assert_eq!(product_rule::<A>(|x| enable_grad!(no_grad!(x.square()))), CONSTANT);
    }

    fn guarantee_7_enable_grad_does_not_lift_inference_mode<A>() {
        assert_eq!(product_rule::<A>(|x| inference_mode!(enable_grad!(x.square()))), CONSTANT);
        assert_eq!(product_rule::<A>(|x| inference_mode!(inference_mode!(false, { x.square() }))), RECORDED);
    }

    fn guarantee_2_the_innermost_guard_alive_decides<A>() {
        let out_of_order = |x: &A| {
            let outer = no_grad();
            let inner = enable_grad();
            drop(outer);
            let square = x.square();
            drop(inner);
            square
        };
        assert_eq!(product_rule::<A>(out_of_order), RECORDED);
    }

    fn guarantee_10_a_selective_scope<A>() {
        assert_eq!(product_rule::<A>(|x| { let _own = Scope::NoGrad.enter_for(A::backend()); x.square() }), CONSTANT);
        let other: &'static dyn Backend = if A::backend().name() == "cpu" { &Mlx } else { &Cpu };
        assert_eq!(product_rule::<A>(|x| { let _other = Scope::NoGrad.enter_for(other); x.square() }), RECORDED);
    }

    fn guarantee_10_a_selective_block<A>() {
        let both = |x: &A| no_grad! { <Mlx> no_grad! { <Cpu> x.square() } };
        assert_eq!(product_rule::<A>(both), CONSTANT);
    }

    fn guarantee_1_the_scope_of_another_thread_does_not_count<A>() {
        let beside_a_scope = |x: &A| {
            std::thread::scope(|threads| {
                let (entered, wait) = std::sync::mpsc::channel();
                let (done, wait_done) = std::sync::mpsc::channel::<()>();
                threads.spawn(move || {
                    let _guard = no_grad();
                    entered.send(()).unwrap();
                    let _ = wait_done.recv();
                });
                wait.recv().unwrap();
                let square = x.square();
                drop(done);
                square
            })
        };
        assert_eq!(product_rule::<A>(beside_a_scope), RECORDED);
    }

    /// A scope in the middle of a chain: its result is a constant, later operations are recorded.
    fn guarantee_3_half_way<A>() {
        let x = A::scalar(2.0_f32).unwrap();
        let gradients = A::grad(|x| {
            let a = x[0].square()?; // 4
            let b = no_grad!(a.multiply(&x[0])?); // 8, a constant
            b.multiply(&x[0])?.add(&a) // 8x + x²: 8 + 2x = 12
        }, &[x]).unwrap();
        assert_eq!(gradients[0].item::<f32>().unwrap(), 12.0);
    }

    fn guarantee_3_an_array_that_escapes_by_side_effect<A>() {
        let kept = RefCell::new(None);
        let x = A::scalar(3.0_f32).unwrap();
        let gradients = A::grad(|x| {
            no_grad!(*kept.borrow_mut() = Some(x[0].square()?));
            let square = kept.borrow().clone().expect("stored above");
            square.multiply(&x[0])
        }, &[x]).unwrap();
        assert_eq!(gradients[0].item::<f32>().unwrap(), 9.0);
        assert_eq!(kept.into_inner().unwrap().item::<f32>().unwrap(), 9.0);
    }

    fn guarantee_3_arrays_made_before_the_transform_are_constants<A>() {
        let x = A::scalar(3.0_f32).unwrap();
        let square = x.square().unwrap();
        let gradients = A::grad(|x| x[0].multiply(&square), &[x]).unwrap();
        assert_eq!(gradients[0].item::<f32>().unwrap(), 9.0);
    }

    fn guarantee_5_a_transform_in_a_scope_starts_enabled<A>() {
        let (modes, gradient) = no_grad! {
            let mut modes = Vec::new();
            let gradient = derivative(|x: &A| {
                modes.push((grad_mode(), A::backend().grad_mode(), is_grad_enabled()));
                cube(x)
            }, &A::scalar(2.0_f32).unwrap()).unwrap();
            modes.push((grad_mode(), A::backend().grad_mode(), is_grad_enabled()));
            (modes, gradient)
        };
        assert_eq!(modes, [
            (GradMode::Enabled, GradMode::Enabled, true),
            (GradMode::NoGrad, GradMode::NoGrad, false),
        ]);
        assert_eq!(gradient.item::<f32>().unwrap(), 12.0);
    }

    fn guarantee_5_inner_scopes_count<A>() {
        no_grad!(assert_eq!(product_rule::<A>(|x| no_grad!(x.square())), CONSTANT));
        no_grad!(assert_eq!(product_rule::<A>(Array::square), RECORDED));
    }

    fn guarantee_5_the_result_of_a_transform_in_a_scope_is_a_constant<A>() {
        // d/dx (x · g(x)), where g = (x³)′ = 3x² = 12 is computed in a scope, is 12.
        let x = A::scalar(2.0_f32).unwrap();
        let gradients = A::grad(|x| x[0].multiply(&no_grad!(derivative(cube, &x[0])?)), std::slice::from_ref(&x));
        assert_eq!(gradients.unwrap()[0].item::<f32>().unwrap(), 12.0);
        // The same of the value that value_and_grad returns.
        let gradients = A::grad(|x| {
            let (value, _) = no_grad!(A::value_and_grad(|x| cube(&x[0]), x)?);
            x[0].multiply(&value)
        }, &[x]);
        assert_eq!(gradients.unwrap()[0].item::<f32>().unwrap(), 8.0);
    }

    fn guarantee_5_without_a_scope_the_result_is_differentiated<A>() {
        // d/dx (x · 3x²) = 9x² = 36.
        let x = A::scalar(2.0_f32).unwrap();
        let gradients = A::grad(|x| x[0].multiply(&derivative(cube, &x[0])?), &[x]);
        assert_eq!(gradients.unwrap()[0].item::<f32>().unwrap(), 36.0);
    }

    fn guarantee_5_a_transform_in_inference_mode_is_an_error<A>() {
        let x = A::scalar(2.0_f32).unwrap();
        let refused = inference_mode!(derivative(cube, &x));
        assert!(matches!(refused.unwrap_err(), Error::InferenceMode { transform: "grad" }));
        let refused = inference_mode!(enable_grad!(derivative(cube, &x)));
        assert!(matches!(refused.unwrap_err(), Error::InferenceMode { transform: "grad" }));
        let lifted = inference_mode!(inference_mode!(false, { derivative(cube, &x) }));
        assert_eq!(lifted.unwrap().item::<f32>().unwrap(), 12.0);
    }

    fn higher_derivatives<A>() {
        // x⁴ at 2: 32, 48, 48, 24.
        fn fourth_power<A: Array>(x: &A) -> Result<A> {
            x.square()?.square()
        }
        let x = A::scalar(2.0_f32).unwrap();
        let second = |x: &A| derivative(fourth_power, x);
        let third = |x: &A| derivative(second, x);
        let fourth = |x: &A| derivative(third, x);
        assert_eq!(second(&x).unwrap().item::<f32>().unwrap(), 32.0);
        assert_eq!(third(&x).unwrap().item::<f32>().unwrap(), 48.0);
        assert_eq!(fourth(&x).unwrap().item::<f32>().unwrap(), 48.0);
        assert_eq!(derivative(fourth, &x).unwrap().item::<f32>().unwrap(), 24.0);
    }

    /// Scopes at each level of grad of grad.
    fn guarantee_3_scopes_in_nested_transforms<A>() {
        let x = A::scalar(2.0_f32).unwrap();
        // Inside: c = x² is a constant to both levels, so (x·c)′ = c and its derivative is 0.
        let inner = derivative(|x: &A| derivative(|x| x.multiply(&no_grad!(x.square()?)), x), &x);
        assert_eq!(inner.unwrap().item::<f32>().unwrap(), 0.0);
        // Between the levels: the inner transform is recorded, what is done with its result is not.
        let between = derivative(|x: &A| no_grad!(derivative(cube, x)?.square()), &x);
        assert_eq!(between.unwrap().item::<f32>().unwrap(), 0.0);
        // Around both: nothing changes.
        let around = no_grad!(derivative(|x: &A| derivative(cube, x), &x));
        assert_eq!(around.unwrap().item::<f32>().unwrap(), 12.0);
    }

    /// The inner function captures the outer primal, recorded and in a scope.
    fn guarantee_3_an_outer_primal_inside_an_inner_transform<A>() {
        // d/dx [d/dy (x² y) at y = 5] = 2x = 6; with x² in a scope, 0.
        let x = A::scalar(3.0_f32).unwrap();
        let y = A::scalar(5.0_f32).unwrap();
        let recorded = derivative(|x: &A| derivative(|y| x.square()?.multiply(y), &y), &x);
        assert_eq!(recorded.unwrap().item::<f32>().unwrap(), 6.0);
        let constant = derivative(|x: &A| derivative(|y| no_grad!(x.square()?).multiply(y), &y), &x);
        assert_eq!(constant.unwrap().item::<f32>().unwrap(), 0.0);
    }

    /// An inner transform that uses the outer primal must not hide from scopes that the primal is traced.
    fn guarantee_3_a_scope_after_an_inner_transform_that_used_the_outer_primal<A>() {
        let after_an_inner_transform = |x: &A| {
            let inner = derivative(|y| x.multiply(y), &A::scalar(5.0_f32)?)?;
            assert_eq!(inner.item::<f32>().unwrap(), 3.0);
            no_grad!(x.square())
        };
        assert_eq!(product_rule::<A>(after_an_inner_transform), CONSTANT);
        let of_its_value = |x: &A| {
            let (value, _) = A::value_and_grad(|y| y[0].multiply(x), std::slice::from_ref(x))?;
            no_grad!(value.reshape::<usize>(&[]))
        };
        assert_eq!(product_rule::<A>(of_its_value), CONSTANT);
    }

    fn several_primals<A>() {
        let (x, y, unused) = (array::<A>(&[1.0, 2.0], &[2]), array::<A>(&[3.0, 4.0], &[2]), array::<A>(&[5.0], &[1]));
        let (value, gradients) = A::value_and_grad(|p| {
            p[0].multiply(&p[1])?.add(&no_grad!(p[1].square()?))?.sum_all()
        }, &[x, y, unused]).unwrap();
        assert_eq!(value.item::<f32>().unwrap(), 36.0);
        assert_eq!(elements(&gradients[0]), [3.0, 4.0]);
        assert_eq!(elements(&gradients[1]), [1.0, 2.0]);
        assert_eq!(elements(&gradients[2]), [0.0], "the value does not depend on it");
    }

    fn a_loss_that_is_the_primal_itself<A>() {
        let x = A::scalar(3.0_f32).unwrap();
        let (value, gradients) = A::value_and_grad(|x| Ok::<_, Error>(x[0].clone()), &[x]).unwrap();
        assert_eq!((value.item::<f32>().unwrap(), gradients[0].item::<f32>().unwrap()), (3.0, 1.0));
    }

    fn a_loss_that_is_a_constant<A>() {
        let x = A::scalar(3.0_f32).unwrap();
        let (value, gradients) = A::value_and_grad(|_| A::scalar(7.0_f32), &[x]).unwrap();
        assert_eq!((value.item::<f32>().unwrap(), gradients[0].item::<f32>().unwrap()), (7.0, 0.0));
    }

    fn guarantee_2_an_error_inside_a_scope_inside_a_transform<A>() {
        #[derive(Debug, PartialEq)]
        enum Failure { Mine, Array }
        impl From<Error> for Failure {
            fn from(_: Error) -> Self { Self::Array }
        }
        let x = A::scalar(3.0_f32).unwrap();
        let fail = |kind: fn() -> Failure| {
            A::value_and_grad(|x| {
                no_grad! {
                    x[0].square()?;
                    Err(kind())
                }
            }, std::slice::from_ref(&x)).unwrap_err()
        };
        assert_eq!(fail(|| Failure::Mine), Failure::Mine, "the error of the function is returned unchanged");
        assert_eq!(grad_mode(), GradMode::Enabled);
        assert_eq!(A::backend().grad_mode(), GradMode::Enabled);
        assert_eq!(product_rule::<A>(Array::square), RECORDED, "the next transform is not affected");
    }

    fn guarantee_2_a_panic_inside_a_scope_inside_a_transform<A>() {
        struct Payload(u32);
        let x = A::scalar(3.0_f32).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            no_grad!(A::value_and_grad(|x| -> Result<A> {
                inference_mode! {
                    x[0].square()?;
                    std::panic::panic_any(Payload(42));
                }
            }, &[x]))
        }));
        let payload = panicked.expect_err("a panic").downcast::<Payload>().expect("the payload of the function");
        assert_eq!(payload.0, 42);
        assert_eq!((grad_mode(), A::backend().grad_mode()), (GradMode::Enabled, GradMode::Enabled));
        assert_eq!(product_rule::<A>(Array::square), RECORDED, "the next transform is not affected");
    }

    /// A guard that outlives its function counts until it is dropped, and does not disturb the transform.
    fn guarantee_2_a_guard_that_outlives_the_transform<A>() {
        let kept = RefCell::new(None);
        let x = A::scalar(3.0_f32).unwrap();
        let gradient = derivative(|x: &A| {
            *kept.borrow_mut() = Some(no_grad());
            x.square()
        }, &x).unwrap();
        assert_eq!(gradient.item::<f32>().unwrap(), 0.0);
        assert_eq!(grad_mode(), GradMode::NoGrad, "the guard is still alive");
        drop(kept);
        assert_eq!(grad_mode(), GradMode::Enabled);
    }

    /// Two layers with tanh, trained on the mean squared error against half of their own output, as a constant.
    fn training_against_a_constant_target<A>() {
        fn forward<A: Array>(weights: &[A], x: &A) -> Result<A> {
            x.matmul(&weights[0])?.tanh()?.matmul(&weights[1])
        }
        let x: A = array(&[0.5, -1.0, 1.5, 0.25, -0.75, 1.0], &[3, 2]);
        let mut weights: Vec<A> = vec![
            array(&[0.1, -0.2, 0.3, 0.4, -0.5, 0.6], &[2, 3]),
            array(&[0.7, -0.8, 0.9], &[3, 1]),
        ];
        let rate = A::scalar(0.1_f32).unwrap();
        let (mut losses, mut last_gradient) = (Vec::new(), Vec::new());
        for _ in 0..50 {
            let (loss, gradients) = A::value_and_grad(|weights| {
                // The target depends on the weights, but no gradient flows through it.
                let target = no_grad!(forward(weights, &x)?.multiply(&A::scalar(0.5_f32)?)?);
                forward(weights, &x)?.subtract(&target)?.square()?.mean_all()
            }, &weights).unwrap();
            losses.push(loss.item::<f32>().unwrap());
            last_gradient = elements(&gradients[1]);
            weights = weights.iter().zip(&gradients)
                .map(|(weight, gradient)| no_grad!(weight.subtract(&rate.multiply(gradient).unwrap()).unwrap()))
                .collect();
        }
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
        assert!(last_gradient.iter().all(|&element| element != 0.0));
        // The first loss by hand: the mean of (y − y/2)².
        let h: Vec<f32> = elements(&x.matmul(&array(&[0.1, -0.2, 0.3, 0.4, -0.5, 0.6], &[2, 3])).unwrap().tanh().unwrap());
        let y: Vec<f32> = h.chunks(3).map(|row| row[0] * 0.7 - row[1] * 0.8 + row[2] * 0.9).collect();
        assert_close(&[losses[0]], &[y.iter().map(|y| y * y / 4.0).sum::<f32>() / 3.0], 1e-5);
    }

    /// State that is stored across transforms is a constant to the next one.
    fn state_stored_across_transforms_is_constant<A>() {
        let x = A::scalar(1.5_f32).unwrap();
        let state = RefCell::new(A::scalar(1.0_f32).unwrap());
        for step in 0..20 {
            let before = state.borrow().item::<f32>().unwrap();
            let gradient = derivative(|x: &A| {
                let next = state.borrow().multiply(x)?;
                *state.borrow_mut() = next.clone();
                Ok(next)
            }, &x).unwrap();
            assert_close(&[gradient.item().unwrap()], &[before], 1e-5);
            assert_close(&[before], &[1.5_f32.powi(step)], 1e-5);
        }
    }

    fn a_long_loop_in_a_scope<A>() {
        let mut x = A::scalar(0.0_f32).unwrap();
        let one = A::scalar(1.0_f32).unwrap();
        no_grad! {
            for _ in 0..1000 {
                x = x.add(&one).unwrap();
            }
        }
        assert_eq!(x.item::<f32>().unwrap(), 1000.0);
    }
}
