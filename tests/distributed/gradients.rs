//! Gradients through collectives, compared with those of one process that computes the parts of all.

use grad_runtime::mlx::distributed::{self, Group};
use grad_runtime::mlx::{self, Array};
use grad_runtime::{Result, no_grad};
use support::rings::Ring;

use crate::{assert_all_succeed, join};

const SIZE: usize = 4;

/// What rank `rank` holds. Ranks 1 and 2 share the maximum of the first element.
fn part(rank: usize) -> Array {
    let first = [0.1_f32, 0.9, 0.9, 0.3][rank];
    Array::from_slice(&[first, rank as f32, 0.5 - rank as f32], &[3]).unwrap()
}

/// A loss that weighs its elements differently.
fn weigh(y: &Array) -> Result<Array> {
    let weights = Array::arange(1.0, y.size() as f64 + 1.0, 1.0, y.dtype())?.reshape(&y.shape())?;
    y.square()?.multiply(&weights)?.sum_all()
}

/// Compares the gradient of each process with the one of a process that has all parts, as does the tangent.
#[track_caller]
fn assert_derivatives(
    collective: impl Fn(&Array, &Group) -> Result<Array> + Copy,
    reference: impl Fn(&[Array]) -> Result<Array> + Copy,
) {
    assert_all_succeed(&Ring::new(SIZE).run(|rank| {
        let group = join();
        let all: Vec<Array> = (0..SIZE).map(part).collect();
        let expected = Array::grad(|parts| weigh(&reference(parts)?), &all).unwrap()[rank].to_vec::<f32>().unwrap();
        let loss = |x: &[Array]| weigh(&collective(&x[0], &group)?);
        let found = Array::grad(loss, &[part(rank)]).unwrap()[0].to_vec::<f32>().unwrap();
        assert_close(&found, &expected);

        let tangents: Vec<Array> = (0..SIZE).map(|rank| part(rank).cos().unwrap()).collect();
        let one = |parts: &[Array]| Ok::<_, grad_runtime::Error>(vec![weigh(&reference(parts)?)?]);
        let (_, expected) = mlx::jvp(one, &all, &tangents).unwrap();
        let many = |x: &[Array]| Ok::<_, grad_runtime::Error>(vec![loss(x)?]);
        let (_, found) = mlx::jvp(many, &[part(rank)], &[tangents[rank].clone()]).unwrap();
        assert_close(&[found[0].item::<f32>().unwrap()], &[expected[0].item::<f32>().unwrap()]);
    }));
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32]) {
    let is_close = |(found, expected): (&f32, &f32)| (found - expected).abs() <= 1e-4 * expected.abs().max(1.0);
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(is_close), "{found:?} {expected:?}");
}

#[test]
fn all_sum() {
    assert_derivatives(distributed::all_sum, |parts| mlx::stack(parts, 0)?.sum(&[0], false));
}

#[test]
fn all_max() {
    assert_derivatives(distributed::all_max, |parts| mlx::stack(parts, 0)?.max(&[0], false));
}

#[test]
fn all_min() {
    assert_derivatives(distributed::all_min, |parts| mlx::stack(parts, 0)?.min(&[0], false));
}

#[test]
fn all_gather() {
    assert_derivatives(distributed::all_gather, |parts| mlx::concatenate(parts, 0));
}

#[test]
fn send_has_no_gradient_and_what_is_received_is_a_constant() {
    assert_all_succeed(&Ring::new(2).run(|rank| {
        let group = join();
        let x = Array::scalar(3.0_f32).unwrap();
        let error =
            Array::grad(|x| distributed::send(&x[0], 1 - rank, &group), &[x.clone()]).unwrap_err().to_string();
        assert!(error.contains("`send` has no gradient"), "{error}");
        let received = distributed::recv_like(&x, 1 - rank, &group).unwrap();
        assert_eq!(received.item::<f32>().unwrap(), 3.0);
        // Inside a transform, in a scope: the value arrives, and nothing is differentiated.
        let gradients = Array::grad(
            |x| {
                no_grad!(distributed::send(&x[0], 1 - rank, &group)?);
                x[0].multiply(&distributed::recv_like(&x[0], 1 - rank, &group)?)
            },
            &[x],
        );
        assert_eq!(gradients.unwrap()[0].item::<f32>().unwrap(), 3.0);
    }));
}

#[test]
fn guarantee_3_a_collective_in_a_scope_is_a_constant() {
    assert_all_succeed(&Ring::new(2).run(|_| {
        let group = join();
        let x = Array::scalar(3.0_f32).unwrap();
        // x · stop(2x)
        let loss = |x: &[Array]| no_grad! { distributed::all_sum(&x[0], &group)? }.multiply(&x[0]);
        assert_eq!(Array::grad(loss, &[x.clone()]).unwrap()[0].item::<f32>().unwrap(), 6.0);
        let second = Array::grad(
            |x| {
                Ok::<_, grad_runtime::Error>(
                    Array::grad(|x| distributed::all_sum(&x[0].square()?, &group)?.multiply(&x[0]), x)?.remove(0),
                )
            },
            &[x],
        );
        // The gradient is the sum s of all x², and x · 2x. Its own gradient is 2x, by the own part of s, and 4x.
        assert_eq!(second.unwrap()[0].item::<f32>().unwrap(), 18.0);
    }));
}

#[test]
fn checkpoints_and_custom_functions_communicate() {
    assert_all_succeed(&Ring::new(2).run(|rank| {
        let group = join();
        let x = Array::scalar(1.0 + rank as f32).unwrap();
        let layer = mlx::checkpoint({
            let group = group.clone();
            move |x| Ok(vec![distributed::all_sum(&x[0].square()?, &group)?.square()?])
        });
        // (1 + 4)², derived by x: 2 · 5 · 2x.
        let loss = |x: &[Array]| Ok::<_, grad_runtime::Error>(layer.call(x)?.remove(0));
        let (value, gradient) = Array::value_and_grad(loss, &[x.clone()]).unwrap();
        assert_eq!(value.item::<f32>().unwrap(), 25.0);
        assert_eq!(gradient[0].item::<f32>().unwrap(), 20.0 * (1.0 + rank as f32));

        // A sum whose cotangents are summed: each process has a loss of its own.
        let sum = mlx::custom_function({
            let group = group.clone();
            move |x| Ok(vec![distributed::all_sum(&x[0], &group)?])
        })
        .vjp({
            let group = group.clone();
            move |_, cotangents, _| Ok(vec![distributed::all_sum(&cotangents[0], &group)?])
        });
        let scale = Array::scalar(10.0 * (1.0 + rank as f32)).unwrap();
        let loss = |x: &[Array]| sum.call(x)?[0].multiply(&scale);
        assert_eq!(Array::grad(loss, &[x]).unwrap()[0].item::<f32>().unwrap(), 30.0);
    }));
}

#[test]
fn mapped_collectives_are_issued_once() {
    assert_all_succeed(&Ring::new(2).run(|rank| {
        let group = join();
        let first = 1.0 + 10.0 * rank as f32;
        let rows = Array::from_slice(&[first, first + 1.0, first + 2.0, first + 3.0], &[2, 2]).unwrap();
        for axis in [0, 1] {
            let map = |collective: fn(&Array, &Group) -> Result<Array>| {
                mlx::vmap(
                    |row| Ok::<_, grad_runtime::Error>(vec![collective(&row[0], &group)?]),
                    &[rows.clone()],
                    &[Some(axis)],
                    &[0],
                )
                .unwrap()
                .remove(0)
            };
            let all: Vec<Array> = (0..2)
                .map(|rank| {
                    Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2]).unwrap().add(10.0 * rank as f32).unwrap()
                })
                .map(|rows| if axis == 0 { rows } else { rows.transpose(&[1, 0]).unwrap() })
                .collect();
            let expected = all[0].add(&all[1]).unwrap().to_vec::<f32>().unwrap();
            assert_eq!(map(distributed::all_sum).to_vec::<f32>().unwrap(), expected);
            let expected = mlx::concatenate(&all, 1).unwrap();
            let gathered = map(distributed::all_gather);
            assert_eq!(gathered.shape(), [2, 4]);
            assert_eq!(gathered.to_vec::<f32>().unwrap(), expected.to_vec::<f32>().unwrap());
        }
        // Scalars are gathered to an axis of their own.
        let gathered = mlx::vmap(
            |x| Ok::<_, grad_runtime::Error>(vec![distributed::all_gather(&x[0], &group)?]),
            &[Array::from_slice(&[first, first + 1.0, first + 2.0], &[3]).unwrap()],
            &[Some(0)],
            &[0],
        );
        let expected = [1.0_f32, 11.0, 2.0, 12.0, 3.0, 13.0];
        assert_eq!(gathered.unwrap()[0].to_vec::<f32>().unwrap(), expected);
        // A gradient for each row, through a collective.
        let gradients = mlx::vmap(
            |row| Array::grad(|x| distributed::all_max(&x[0].square()?, &group)?.sum_all(), row),
            &[rows.clone()],
            &[Some(0)],
            &[0],
        );
        let expected = if rank == 0 { vec![0.0; 4] } else { rows.multiply(2.0).unwrap().to_vec::<f32>().unwrap() };
        assert_eq!(gradients.unwrap()[0].to_vec::<f32>().unwrap(), expected);
    }));
}
