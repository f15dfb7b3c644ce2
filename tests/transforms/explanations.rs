//! Guarantee 14 under MLX's transforms.

use grad_runtime::explain::{self, Gradient, Report};
use grad_runtime::mlx::{self, Array as A};
use grad_runtime::{Error, Result, no_grad};
use support::arrays::array;

fn explain(function: impl FnOnce(&[A]) -> Result<A>) -> Report {
    let parameters = vec![array::<A>(&[1.0, 2.0], &[2]), array::<A>(&[0.5, 3.0], &[2])];
    explain::gradients(|parameters: &Vec<A>| function(parameters), &parameters).unwrap()
}

#[track_caller]
fn assert_received(report: &Report, received: [bool; 2]) {
    let found = report.parameters().iter().map(|parameter| matches!(parameter.gradient, Gradient::Received(_)));
    assert!(found.eq(received), "{report}");
}

#[test]
fn guarantee_14_mapped_functions() {
    let report = explain(|p| {
        let rows = |x: &[A]| Ok::<_, Error>(vec![x[0].multiply(&no_grad!(x[1].square()?))?]);
        mlx::vmap(rows, p, &[Some(0), Some(0)], &[0])?[0].sum_all()
    });
    assert_received(&report, [true, false]);
    assert!(report.to_string().contains("(square -> float32[])"), "{report}");
}

/// Inside a function that is mapped, where gradients have no elements, and where watching must not fail.
#[test]
fn guarantee_14_explanations_inside_of_vmap() {
    let rows = array::<A>(&[1.0, 2.0], &[2]);
    let loss = |x: &[A]| x[0].multiply(&no_grad!(x[1].square()?));
    let of_row = |x: &[A]| -> Result<Vec<A>> {
        let report = explain::gradients(|x: &Vec<A>| loss(x), &x.to_vec())?;
        assert_received(&report, [true, false]);
        assert!(report.to_string().contains("receives a gradient\n"), "{report}");
        let _watch = explain::watch();
        A::grad(loss, x)
    };
    let found = mlx::vmap(of_row, &[rows.clone(), rows], &[Some(0), Some(0)], &[0, 0]).unwrap();
    assert_eq!(found[0].to_vec::<f32>().unwrap(), [1.0, 4.0]);
}

#[test]
fn guarantee_14_compiled_functions() {
    let product = mlx::compile(|x| Ok(vec![x[0].multiply(&no_grad!(x[1].square()?))?]));
    let report = explain(|p| product.call(p)?[0].sum_all());
    assert_received(&report, [true, false]);
}

#[test]
fn guarantee_14_checkpointed_functions() {
    let product = mlx::checkpoint(|x| Ok(vec![x[0].multiply(&no_grad!(x[1].square()?))?]));
    let report = explain(|p| product.call(p)?[0].sum_all());
    assert_received(&report, [true, false]);
    // What the function captures is a constant.
    let report = explain(|p| {
        let captured = p[1].clone();
        mlx::checkpoint(move |x| Ok(vec![x[0].multiply(&captured)?])).call(&p[..1])?[0].sum_all()
    });
    assert_received(&report, [true, false]);
    assert!(report.to_string().contains("captures the array; make it an input"), "{report}");
}

#[test]
fn guarantee_14_custom_functions() {
    let rounded = || mlx::custom_function(|x| Ok(vec![no_grad!(x[0].multiply(&x[1])?)]));
    let report = explain(|p| rounded().call(p)?[0].sum_all());
    assert_received(&report, [false, false]);
    // A vjp of its own does not depend on what the function does.
    let straight = rounded().vjp(|_, cotangents, _| Ok(vec![cotangents[0].clone(), cotangents[0].clone()]));
    let report = explain(|p| straight.call(p)?[0].sum_all());
    assert_received(&report, [true, true]);
}

#[test]
fn guarantee_14_forward_mode_and_vjp() {
    let square = |x: &[A]| Ok::<_, Error>(vec![x[0].square()?]);
    let report = explain(|p| {
        let (values, tangents) = mlx::jvp(square, &p[..1], &p[1..])?;
        values[0].add(&tangents[0])?.sum_all()
    });
    assert_received(&report, [true, true]);
    let report = explain(|p| {
        let (_, cotangents) = mlx::vjp(square, &p[..1], &p[1..])?;
        cotangents[0].sum_all()
    });
    assert_received(&report, [true, true]);
}
