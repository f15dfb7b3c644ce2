//! Several outputs, some of them constants: each output gets its own cotangent and tangent.

use std::rc::Rc;

use grad_runtime::prelude::*;
use grad_runtime::{Error, Result, mlx, no_grad};

use crate::*;

/// Returns x², recorded.
fn recorded(x: &A) -> Result<A> {
    x.square()
}

/// Returns x³, computed in a scope.
fn constant(x: &A) -> Result<A> {
    no_grad!(x.square()?.multiply(x))
}

/// Returns 5x, recorded.
fn other(x: &A) -> Result<A> {
    x.multiply(&scalar(5.0))
}

type Part = fn(&A) -> Result<A>;

fn all_of(parts: &'static [Part]) -> impl Fn(&[A]) -> Result<Vec<A>> + 'static {
    |x| parts.iter().map(|part| part(&x[0])).collect()
}

type Function = fn(&A) -> Result<Vec<A>>;

/// MLX differs: of an array that a mapped function returns twice, it moves the axis twice.
#[test]
fn an_array_that_is_two_outputs_of_a_mapped_function() {
    let x = A::from_slice(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]).unwrap();
    let functions: [Function; 4] = [
        |x| Ok(vec![x.clone(), x.clone()]),
        |x| x.square().map(|square| vec![square.clone(), square]),
        |x| mlx::checkpoint(|x| x[0].square().map(|square| vec![square.clone(), square])).call(from_ref(x)),
        |x| mlx::custom_function(|x| x[0].square().map(|square| vec![square.clone(), square])).call(from_ref(x)),
    ];
    for function in functions {
        for out_axes in [[0, 0], [0, 1], [1, 0], [1, 1]] {
            let found = mlx::vmap(|x| function(&x[0]), from_ref(&x), &[Some(1)], &out_axes).unwrap();
            let one = function(&x).unwrap().swap_remove(0); // in the layout of out axis 1
            for (found, axis) in found.iter().zip(out_axes) {
                let expected = if axis == 1 { one.clone() } else { one.transpose(&[1, 0]).unwrap() };
                assert_eq!((found.shape(), elements(found)), (expected.shape(), elements(&expected)));
            }
        }
    }
}

const COTANGENTS: [f32; 3] = [1.0, 10.0, 100.0];

/// Returns 1·o₀ + 10·o₁ + 100·o₂.
fn weighted(outputs: &[A]) -> Result<A> {
    let mut sum = scalar(0.0);
    for (output, weight) in outputs.iter().zip(COTANGENTS) {
        sum = sum.add(&output.multiply(&scalar(weight))?)?;
    }
    Ok(sum)
}

fn by_vjp(f: impl Fn(&[A]) -> Result<Vec<A>>) -> f32 {
    let outputs = f(&[scalar(3.0)]).unwrap().len();
    let cotangents: Vec<A> = COTANGENTS[..outputs].iter().map(|&cotangent| scalar(cotangent)).collect();
    mlx::vjp(f, &[scalar(3.0)], &cotangents).unwrap().1[0].item().unwrap()
}

fn by_grad(f: impl Fn(&[A]) -> Result<Vec<A>>) -> f32 {
    A::grad(|x| weighted(&f(x)?), &[scalar(3.0)]).unwrap()[0].item().unwrap()
}

fn by_jvp(f: impl Fn(&[A]) -> Result<Vec<A>>) -> Vec<f32> {
    let (_, tangents) = mlx::jvp(f, &[scalar(3.0)], &[scalar(1.0)]).unwrap();
    tangents.iter().map(|tangent| tangent.item().unwrap()).collect()
}

macro_rules! outputs {
    ($($(#[doc = $doc:literal])* $name:ident: [$($part:expr),*] => $cotangent:literal, $tangents:tt;)*) => {$(
        $(#[doc = $doc])*
        mod $name {
            use super::*;

            const PARTS: &[Part] = &[$($part),*];

            #[test]
            fn vjp() {
                assert_eq!(by_vjp(all_of(PARTS)), $cotangent);
                assert_eq!(by_grad(all_of(PARTS)), $cotangent);
            }
            #[test]
            fn jvp() {
                assert_eq!(by_jvp(all_of(PARTS)), $tangents);
            }
            #[test]
            fn of_checkpoint() {
                let f = mlx::checkpoint(all_of(PARTS));
                assert_eq!((by_vjp(|x| f.call(x)), by_grad(|x| f.call(x))), ($cotangent, $cotangent));
                assert_eq!(by_jvp(|x| f.call(x)), $tangents);
            }
            #[test]
            fn of_a_custom_function_with_derived_derivatives() {
                let f = mlx::custom_function(all_of(PARTS));
                assert_eq!((by_vjp(|x| f.call(x)), by_grad(|x| f.call(x))), ($cotangent, $cotangent));
                assert_eq!(by_jvp(|x| f.call(x)), $tangents);
            }
            #[test]
            fn of_compile() {
                let f = mlx::compile(all_of(PARTS));
                assert_eq!((by_vjp(|x| f.call(x)), by_grad(|x| f.call(x))), ($cotangent, $cotangent));
                assert_eq!(by_jvp(|x| f.call(x)), $tangents);
                let compiled = mlx::compile(|x| Ok(mlx::vjp(all_of(PARTS), x, &COTANGENTS[..PARTS.len()].iter().map(|&c| scalar(c)).collect::<Vec<_>>())?.1));
                assert_eq!(compiled.call(&[scalar(3.0)]).unwrap()[0].item::<f32>().unwrap(), $cotangent);
            }
            #[test]
            fn of_vmap() {
                let f = |x: &[A]| mlx::vmap(all_of(PARTS), &[x[0].reshape(&[1])?], &[Some(0)], &[0; PARTS.len()]);
                let f = |x: &[A]| -> Result<Vec<A>> { f(x)?.iter().map(|output| output.reshape::<usize>(&[])).collect() };
                assert_eq!((by_vjp(f), by_grad(f)), ($cotangent, $cotangent));
                assert_eq!(by_jvp(f), $tangents);
            }
            /// x · stop(vjp), whose derivative is the vjp.
            #[test]
            fn of_vjp_in_a_scope() {
                let in_a_scope: F = Rc::new(|x| {
                    let cotangents: Vec<A> = COTANGENTS[..PARTS.len()].iter().map(|&c| scalar(c)).collect();
                    let (_, mut found) = no_grad!(mlx::vjp(all_of(PARTS), std::slice::from_ref(x), &cotangents)?);
                    x.multiply(&found.swap_remove(0))
                });
                assert_eq!(grad(in_a_scope)(&scalar(3.0)).unwrap().item::<f32>().unwrap(), $cotangent);
            }
        }
    )*};
}

// At 3, x² has derivative 6, 5x has 5, and a constant has 0. The cotangents are 1, 10 and 100. MLX differs: its vjp and its
// checkpoint skip stopped outputs, and give their cotangents to the outputs after them.
outputs! {
    one_recorded: [recorded] => 6.0, [6.0];
    one_constant: [constant] => 0.0, [0.0];
    a_constant_first: [constant, recorded] => 60.0, [0.0, 6.0];
    a_constant_last: [recorded, constant] => 6.0, [6.0, 0.0];
    a_constant_between: [recorded, constant, other] => 506.0, [6.0, 0.0, 5.0];
    two_constants_first: [constant, constant, recorded] => 600.0, [0.0, 0.0, 6.0];
    all_constants: [constant, constant] => 0.0, [0.0, 0.0];
    no_constants: [recorded, other] => 56.0, [6.0, 5.0];
    /// An output that is not the result of an operation.
    a_captured_array_first: [|_| Ok(scalar(8.0)), recorded] => 60.0, [0.0, 6.0];
    the_primal_itself: [|x| Ok(x.clone()), constant, recorded] => 601.0, [1.0, 0.0, 6.0];
    /// An operation on a constant: in MLX an output like others, since only the output itself may be stopped.
    a_constant_and_more: [|x| constant(x)?.multiply(&scalar(2.0)), recorded] => 60.0, [0.0, 6.0];
    a_constant_times_the_primal: [|x| constant(x)?.multiply(x), constant] => 27.0, [27.0, 0.0];
    /// An explicit `stop_gradient`.
    a_stopped_first: [|x| x.square()?.stop_gradient(), recorded] => 60.0, [0.0, 6.0];
}

/// An array that is returned twice gets both cotangents, as in JAX. MLX differs: it takes only the first.
#[test]
fn the_same_array_twice() {
    let twice = |x: &[A]| {
        let square = x[0].square()?;
        Ok(vec![square.clone(), constant(&x[0])?, square])
    };
    assert_eq!((by_vjp(twice), by_grad(twice)), (606.0, 606.0));
    assert_eq!(by_jvp(twice), [6.0, 0.0, 6.0]);
    let checkpoint = mlx::checkpoint(twice);
    assert_eq!((by_vjp(|x| checkpoint.call(x)), by_grad(|x| checkpoint.call(x))), (606.0, 606.0));
    let custom = mlx::custom_function(twice);
    assert_eq!((by_vjp(|x| custom.call(x)), by_grad(|x| custom.call(x))), (606.0, 606.0));
}

#[test]
fn the_primal_itself_twice() {
    let twice = |x: &[A]| Ok(vec![x[0].clone(), x[0].clone()]);
    assert_eq!((by_vjp(twice), by_grad(twice)), (11.0, 11.0));
    assert_eq!(by_jvp(twice), [1.0, 1.0]);
}

/// Two primals, one used only in a scope.
#[test]
fn primals_that_are_used_in_a_scope_only() {
    let elements = |scalars: &[A]| scalars.iter().map(Array::item).collect::<Result<Vec<f32>>>().unwrap();
    let f = |x: &[A]| Ok::<_, Error>(vec![no_grad!(x[0].square()?), x[0].multiply(&no_grad!(x[1].abs()?))?]);
    let (outputs, cotangents) = mlx::vjp(f, &[scalar(3.0), scalar(4.0)], &[scalar(7.0), scalar(1.0)]).unwrap();
    assert_eq!(elements(&outputs), [9.0, 12.0]);
    assert_eq!(elements(&cotangents), [4.0, 0.0]);
    let (_, tangents) = mlx::jvp(f, &[scalar(3.0), scalar(4.0)], &[scalar(1.0), scalar(1.0)]).unwrap();
    assert_eq!(elements(&tangents), [0.0, 4.0]);
}

#[test]
fn no_outputs() {
    let none = |_: &[A]| Ok::<_, Error>(vec![]);
    let (outputs, cotangents) = mlx::vjp(none, &[scalar(3.0)], &[]).unwrap();
    assert_eq!((outputs.len(), cotangents[0].item::<f32>().unwrap()), (0, 0.0));
    let (outputs, tangents) = mlx::jvp(none, &[scalar(3.0)], &[scalar(1.0)]).unwrap();
    assert_eq!((outputs.len(), tangents.len()), (0, 0));
    assert_eq!(mlx::vmap(none, &[array(&[1.0, 2.0])], &[Some(0)], &[]).unwrap().len(), 0);
    let refused = |result: Result<Vec<A>>| result.unwrap_err().to_string();
    assert_eq!(
        refused(mlx::checkpoint(none).call(&[scalar(3.0)])),
        "cannot checkpoint float32[]: the function returned no arrays; return one or more"
    );
    assert_eq!(
        refused(mlx::custom_function(none).call(&[scalar(3.0)])),
        "cannot custom_function float32[]: the function returned no arrays; return one or more"
    );
}

#[test]
fn no_inputs() {
    let seven = |_: &[A]| Ok::<_, Error>(vec![scalar(7.0)]);
    let message = |result: Result<_>| result.map(|_: (Vec<A>, Vec<A>)| ()).unwrap_err().to_string();
    assert!(message(mlx::vjp(seven, &[], &[scalar(1.0)])).starts_with("cannot vjp: "));
    assert!(message(mlx::jvp(seven, &[], &[])).starts_with("cannot jvp: "));
    let mapped = mlx::vmap(seven, &[], &[], &[0]).unwrap_err().to_string();
    assert_eq!(mapped, "cannot vmap: no input has an axis to map over; give one");
    assert_eq!(mlx::checkpoint(seven).call(&[]).unwrap()[0].item::<f32>().unwrap(), 7.0);
    assert_eq!(mlx::custom_function(seven).call(&[]).unwrap()[0].item::<f32>().unwrap(), 7.0);
}

/// Cotangents and tangents of wrong number or shape are errors.
#[test]
fn invalid_cotangents_and_tangents() {
    let two = |x: &[A]| Ok::<_, Error>(vec![x[0].square()?, no_grad!(x[0].abs()?)]);
    let x = [scalar(3.0)];
    for cotangents in [vec![], vec![scalar(1.0)], vec![scalar(1.0); 3], vec![scalar(1.0), array(&[1.0])]] {
        let message = mlx::vjp(two, &x, &cotangents).unwrap_err().to_string();
        assert!(message.starts_with("cannot vjp float32[]: ") && message.contains("cotangent"), "{message}");
    }
    for tangents in [vec![], vec![scalar(1.0); 2], vec![array(&[1.0])]] {
        let message = mlx::jvp(two, &x, &tangents).unwrap_err().to_string();
        assert!(message.starts_with("cannot jvp float32[]: ") && message.contains("tangent"), "{message}");
    }
    assert_no_scope_is_open();
}

/// An output that does not depend on the mapped input is repeated for each element. (JAX: `out_axes=0` broadcasts.)
#[test]
fn vmap_of_a_constant() {
    let rows = [array(&[1.0, 2.0, 3.0])];
    let f = |x: &[A]| {
        let pair = array(&[4.0, 5.0]);
        Ok::<_, Error>(vec![pair.clone(), pair.clone(), no_grad!(x[0].multiply(&pair)?)])
    };
    for mapped in [
        mlx::vmap(f, &rows, &[Some(0)], &[0, 1, -1]).unwrap(),
        no_grad!(mlx::vmap(f, &rows, &[Some(0)], &[0, 1, -1]).unwrap()),
    ] {
        assert_eq!(mapped.iter().map(Array::shape).collect::<Vec<_>>(), [[3, 2], [2, 3], [2, 3]]);
        assert_eq!(elements(&mapped[0]), [4.0, 5.0, 4.0, 5.0, 4.0, 5.0]);
        assert_eq!(elements(&mapped[1]), [4.0, 4.0, 4.0, 5.0, 5.0, 5.0]);
        assert_eq!(elements(&mapped[2]), [4.0, 8.0, 12.0, 5.0, 10.0, 15.0]);
    }
}
