//! Guarantee 15: processes compare their collectives, and what is around them.

use std::time::{Duration, Instant};

use grad_runtime::mlx::distributed::{self, ErrorKind, Group};
use grad_runtime::mlx::{self, Array, CustomFunction};
use grad_runtime::{Error, enable_grad, inference_mode, no_grad};
use support::rings::{Outcome, Ring, report};

use crate::{assert_all_succeed, failure, join};

/// Asserts that each process has reported the same error, and returns it.
#[track_caller]
fn same_report(outcomes: &[Outcome]) -> &str {
    assert_all_succeed(outcomes);
    let (first, others) = outcomes.split_first().expect("there are processes");
    for other in others {
        assert_eq!(
            first.reported("error").split_once(": ").unwrap().1,
            other.reported("error").split_once(": ").unwrap().1
        );
    }
    first.reported("error")
}

fn checked(size: usize) -> Ring {
    Ring::new(size).variable("GRAD_DISTRIBUTED_CHECK", "1")
}

/// The identity, whose backward pass sums the cotangents: a layer of which each process holds a part begins so.
fn sum_of_cotangents(group: &Group) -> CustomFunction {
    let group = group.clone();
    mlx::custom_function(|x| Ok(x.to_vec()))
        .vjp(move |_, cotangents, _| Ok(vec![distributed::all_sum(&cotangents[0], &group)?]))
}

/// The case of the issue: MLX adds 100 of one process to a cotangent of the other, without an error.
#[test]
fn guarantee_15_a_collective_that_a_scope_skips_is_an_error_on_every_process() {
    for size in [2, 4] {
        let outcomes = checked(size).run(|rank| {
            let group = join();
            let layer = sum_of_cotangents(&group);
            let x = Array::scalar(3.0_f32).unwrap();
            let step = || {
                Array::grad(
                    |x| {
                        if rank == 0 {
                            no_grad! { layer.call(x)?[0].square() }
                        } else {
                            layer.call(x)?[0].square()
                        }
                    },
                    &[x.clone()],
                )?;
                distributed::all_sum(&Array::scalar(100.0_f32)?, &group)?.item::<f32>()
            };
            let (kind, text) = failure(step());
            assert_eq!(kind, ErrorKind::Disagreement);
            report("error", text);
        });
        if !outcomes.is_empty() {
            let text = same_report(&outcomes);
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines[0].ends_with("the processes are about to do different things:"), "{text}");
            assert!(lines[1].starts_with("  rank 0: all_sum of float32[] at "), "{text}");
            assert!(
                lines[1].contains("agreement.rs:") && lines[1].contains(", outside of transforms, in mode enabled"),
                "{text}"
            );
            assert!(lines[1].contains("; gradients were cut before by no_grad at "), "{text}");
            for (rank, line) in lines.iter().enumerate().take(size + 1).skip(2) {
                assert!(line.starts_with(&format!("  rank {}: all_sum of float32[] at ", rank - 1)), "{text}");
                assert!(
                    line.contains(", in the function of the vjp at ")
                        && line.contains(", in the backward pass of grad at "),
                    "{text}"
                );
            }
            assert!(lines[size + 1].starts_with("issue the same collectives"), "{text}");
        }
    }
}

/// The other case of the issue: no further collective follows, and the other process would wait for ever.
#[test]
fn guarantee_15_a_process_that_returns_early_is_an_error_of_the_others() {
    for check in [0, 1] {
        let outcomes = Ring::new(2).variable("GRAD_DISTRIBUTED_CHECK", check.to_string()).run(|rank| {
            let group = join();
            let layer = sum_of_cotangents(&group);
            let x = Array::scalar(3.0_f32).unwrap();
            let start = Instant::now();
            let result = Array::grad(
                |x| {
                    if rank == 0 {
                        no_grad! { layer.call(x)?[0].square() }
                    } else {
                        layer.call(x)?[0].square()
                    }
                },
                &[x],
            );
            let result = result.and_then(|gradients| gradients[0].item::<f32>());
            if rank == 0 {
                assert_eq!(result.unwrap(), 0.0);
            } else {
                let (kind, text) = failure(result);
                assert_eq!(kind, ErrorKind::PeerLost);
                assert!(text.contains("rank 0 has left after 0 collectives: it has dropped its group"), "{text}");
                assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
            }
        });
        assert_all_succeed(&outcomes);
    }
}

/// All that is compared, beside one that agrees.
#[test]
fn guarantee_15_function_shape_dtype_and_mode_are_compared() {
    type Case = (fn(usize, &Group) -> grad_runtime::Result<Array>, [&'static str; 2]);
    let cases: [Case; 5] = [
        (
            |rank, group| {
                let x = Array::scalar(1.0_f32)?;
                if rank == 0 { distributed::all_max(&x, group) } else { distributed::all_sum(&x, group) }
            },
            ["all_max of float32[] at ", "all_sum of float32[] at "],
        ),
        (
            |rank, group| distributed::all_sum(&Array::from_slice(&vec![1.0_f32; 1 + rank], &[1 + rank])?, group),
            ["all_sum of float32[1] at ", "all_sum of float32[2] at "],
        ),
        (
            |rank, group| {
                let x = if rank == 0 { Array::scalar(1)? } else { Array::scalar(1.0_f32)? };
                distributed::all_sum(&x, group)
            },
            ["all_sum of int32[] at ", "all_sum of float32[] at "],
        ),
        (
            |rank, group| {
                let _inference = (rank == 0).then(|| inference_mode(true));
                let _scope = (rank == 1).then(|| (no_grad(), enable_grad()));
                distributed::all_sum(&Array::scalar(1.0_f32)?, group)
            },
            [", in mode inference_mode by inference_mode at ", ", in mode enabled"],
        ),
        (
            |rank, group| {
                let x = Array::scalar(1.0_f32)?;
                if rank == 0 {
                    return distributed::all_sum(&x, group);
                }
                Ok(mlx::jvp(|x| Ok::<_, Error>(vec![distributed::all_sum(&x[0], group)?]), &[x.clone()], &[x])?
                    .0
                    .remove(0))
            },
            [", outside of transforms", ", in the function of jvp at "],
        ),
    ];
    for (case, expected) in cases {
        let outcomes = checked(2).run(|rank| {
            let group = join();
            assert_eq!(distributed::all_sum(&Array::scalar(1).unwrap(), &group).unwrap().item::<i32>().unwrap(), 2);
            let (kind, text) = failure(case(rank, &group).and_then(|x| x.eval().map(|()| x)));
            assert_eq!(kind, ErrorKind::Disagreement);
            // The group has ended: what follows is the same error, at once.
            let (kind, again) = failure(distributed::all_sum(&Array::scalar(1).unwrap(), &group));
            assert_eq!(kind, ErrorKind::Disagreement);
            assert_eq!(again.split_once(": ").unwrap().1, text.split_once(": ").unwrap().1);
            report("error", text);
        });
        if !outcomes.is_empty() {
            let text = same_report(&outcomes);
            let lines: Vec<&str> = text.lines().collect();
            for (rank, expected) in expected.iter().enumerate() {
                assert!(
                    lines[1 + rank].starts_with(&format!("  rank {rank}: ")) && lines[1 + rank].contains(expected),
                    "{text}"
                );
            }
        }
    }
}

/// `all_max` issues an `all_sum` in the backward pass.
#[test]
fn guarantee_15_collectives_of_derivatives_are_compared() {
    let outcomes = checked(2).run(|rank| {
        let group = join();
        let step = || {
            Array::grad(
                |x| {
                    let x = if rank == 1 { x[0].stop_gradient()? } else { x[0].clone() };
                    distributed::all_max(&x, &group)?.square()
                },
                &[Array::scalar(3.0_f32)?],
            )?;
            distributed::all_sum(&Array::scalar(100.0_f32)?, &group)?.item::<f32>()
        };
        report("error", failure(step()).1);
    });
    if !outcomes.is_empty() {
        let text = same_report(&outcomes);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("  rank 0: all_sum of float32[], in the backward pass of grad at "), "{text}");
        assert!(lines[2].contains("; gradients were cut before by stop_gradient at "), "{text}");
    }
}

#[test]
fn what_is_received_is_compared_with_what_was_sent() {
    let outcomes = checked(2).run(|rank| {
        let group = join();
        let x = Array::scalar(1.0_f32).unwrap();
        let result = if rank == 0 {
            distributed::send(&x, 1, &group).unwrap();
            distributed::all_sum(&x, &group)
        } else {
            distributed::recv(&[2], x.dtype(), 0, &group)
        };
        let (kind, text) = failure(result);
        assert_eq!(kind, ErrorKind::Disagreement);
        assert!(
            text.contains("what is received is not what was sent:\n  rank 0: send of float32[] to rank 1 at "),
            "{text}"
        );
        assert!(text.contains("\n  rank 1: recv of float32[2] from rank 0 at "), "{text}");
    });
    assert_all_succeed(&outcomes);
}

/// A program in which all agree runs as it does without the check.
#[test]
fn agreeing_processes_do_not_notice_the_check() {
    for check in [0, 1] {
        let outcomes = Ring::new(4).variable("GRAD_DISTRIBUTED_CHECK", check.to_string()).run(|rank| {
            let group = join();
            assert_eq!(group.is_checked(), check == 1);
            let x = Array::scalar(1.0 + rank as f32).unwrap();
            for _ in 0..10 {
                let loss =
                    |x: &[Array]| distributed::all_max(&no_grad! { x[0].square()? }.multiply(&x[0])?, &group);
                let (value, gradient) = Array::value_and_grad(loss, &[x.clone()]).unwrap();
                assert_eq!(value.item::<f32>().unwrap(), 64.0);
                assert_eq!(gradient[0].item::<f32>().unwrap(), if rank == 3 { 16.0 } else { 0.0 });
                let mean = no_grad!(distributed::all_sum(&gradient[0], &group)).unwrap();
                assert_eq!(mean.item::<f32>().unwrap(), 16.0);
            }
        });
        assert_all_succeed(&outcomes);
    }
}
