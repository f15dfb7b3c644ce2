//! Guarantee 14: why each parameter without a gradient has none.

use grad_runtime::explain::{self, Cause, Gradient, Report};
use grad_runtime::{Array, Dtype, Error, Result, carry, no_grad};
use support::arrays::{array, elements};

type Model<A> = (A, A);

fn model<A: Array>() -> Model<A> {
    (array(&[1.0, -2.0, 3.0], &[3]), array(&[0.5, 0.25, 2.0], &[3]))
}

/// Explains a function of two parameters.
fn explain<A: Array>(function: impl FnOnce(&Model<A>) -> Result<A>) -> Report {
    let report = explain::gradients(function, &model()).unwrap();
    assert_eq!(report.parameters().len(), 2);
    assert_eq!(report.parameters()[1].path, "1");
    report
}

fn first(report: &Report) -> &Gradient {
    &report.parameters()[0].gradient
}

#[track_caller]
fn assert_second_receives(report: &Report) {
    assert!(matches!(report.parameters()[1].gradient, Gradient::Received(Some(norm)) if norm > 0.0), "{report}");
    assert_eq!(report.missing().count(), 1, "{report}");
}

crate::on_every_backend! {
    fn guarantee_14_gradients_that_exist<A>() {
        let report = explain::<A>(|(a, b)| a.multiply(b)?.sum_all());
        assert!(report.require_all().is_ok());
        let norm = 14.0_f32.sqrt();
        assert!(matches!(report.parameters()[1].gradient, Gradient::Received(Some(found)) if (found - norm).abs() < 1e-5));
        // It exists, and is zero, infinite or NaN.
        let report = explain::<A>(|(a, b)| a.multiply(&a.zeros_of()?)?.add(b)?.sum_all());
        assert!(matches!(first(&report), Gradient::Received(Some(norm)) if *norm == 0.0), "{report}");
        let report = explain::<A>(|(a, b)| a.subtract(a)?.sqrt()?.add(b)?.sum_all());
        assert!(matches!(first(&report), Gradient::Received(Some(norm)) if !norm.is_finite()), "{report}");
    }

    fn guarantee_14_a_scope<A>() {
        let report = explain::<A>(|(a, b)| {
            let square = no_grad!(a.square()?.exp()?);
            square.multiply(b)?.sum_all()
        });
        assert_second_receives(&report);
        let Gradient::Cut(cuts) = first(&report) else { panic!("{report}") };
        assert_eq!(cuts.len(), 1, "{report}");
        assert!(matches!(&cuts[0].cause, Cause::Scopes { scopes, .. } if scopes.len() == 1));
        assert_eq!((cuts[0].step.op, &cuts[0].step.shape[..], cuts[0].step.dtype), ("square", &[3][..], Dtype::Float32));
        assert!(report.to_string().contains("no gradient: cut by no_grad at "), "{report}");
    }

    fn guarantee_14_stop_gradient_and_detach<A>() {
        let report = explain::<A>(|(a, b)| a.stop_gradient()?.multiply(b)?.sum_all());
        assert_second_receives(&report);
        assert!(report.to_string().contains("cut by stop_gradient at tests/conformance/explanations.rs:"), "{report}");
        let report = explain::<A>(|(a, b)| a.square()?.detached().multiply(b)?.sum_all());
        assert_second_receives(&report);
        assert!(report.to_string().contains("cut by detach at "), "{report}");
    }

    fn guarantee_14_operations_without_a_gradient<A>() {
        let report = explain::<A>(|(a, b)| a.greater(&A::scalar(0.0_f32)?)?.where_cond(b, &b.exp()?)?.sum_all());
        assert_second_receives(&report);
        assert!(report.to_string().contains("cut by greater -> bool[3] at "), "{report}");
        let report = explain::<A>(|(a, b)| b.take(&a.argmax(0, true)?, 0)?.sum_all());
        assert_second_receives(&report);
        assert!(report.to_string().contains("cut by argmax -> uint32[1] at "), "{report}");
        let report = explain::<A>(|(a, b)| a.astype(Dtype::Int32)?.multiply(b)?.sum_all());
        assert_second_receives(&report);
        assert!(report.to_string().contains("cut by astype -> int32[3] at "), "{report}");
    }

    fn guarantee_14_elements_that_are_read<A>() {
        let report = explain::<A>(|(a, b)| b.multiply(&A::scalar(a.sum_all()?.item::<f32>()?)?)?.sum_all());
        assert_second_receives(&report);
        assert!(matches!(first(&report), Gradient::Read(steps) if steps.len() == 1), "{report}");
        assert!(report.to_string().contains("only its elements were read, at tests/conformance/explanations.rs:"), "{report}");
    }

    fn guarantee_14_captured_unused_and_dropped<A>() {
        let captured = model::<A>();
        let report = explain::gradients(|(_, b): &Model<A>| captured.0.multiply(b)?.sum_all(), &captured).unwrap();
        assert_second_receives(&report);
        assert!(matches!(first(&report), Gradient::Captured), "{report}");
        let report = explain::<A>(|(_, b)| b.sum_all());
        assert_second_receives(&report);
        assert!(matches!(first(&report), Gradient::Unused), "{report}");
        let report = explain::<A>(|(a, b)| a.exp().and_then(|_| b.sum_all()));
        assert_second_receives(&report);
        assert!(matches!(first(&report), Gradient::Dropped(step) if step.op == "exp"), "{report}");
    }

    fn guarantee_14_transforms<A>() {
        // An inner gradient, whose value depends on both.
        let report = explain::<A>(|(a, b)| {
            A::grad(|x| x[0].multiply(b)?.square()?.sum_all(), std::slice::from_ref(a))?[0].sum_all()
        });
        assert!(report.require_all().is_ok(), "{report}");
        // A transform that was started in a scope.
        let report = explain::<A>(|(a, b)| {
            let gradients = no_grad!(A::grad(|x| x[0].square()?.sum_all(), std::slice::from_ref(a))?);
            gradients[0].multiply(b)?.sum_all()
        });
        assert_second_receives(&report);
        assert!(report.to_string().contains("(grad -> float32[3])"), "{report}");
    }

    /// Each operation is recorded at the place of its call.
    fn guarantee_14_places_of_operations<A>() {
        type Operation<A> = fn(&A, &A) -> Result<A>;
        let (line, operations): (u32, [Operation<A>; 48]) = (line!(), [
            |a, _| a.abs(), |a, _| a.negative(), |a, _| a.exp(), |a, _| a.log(), |a, _| a.sqrt(), |a, _| a.square(),
            |a, _| a.sin(), |a, _| a.cos(), |a, _| a.tanh(), |a, _| a.erf(), |a, _| a.sigmoid(), |a, _| a.relu(),
            |a, _| a.gelu(), |a, b| a.add(b), |a, b| a.subtract(b), |a, b| a.multiply(b), |a, b| a.divide(b),
            |a, b| a.maximum(b), |a, b| a.minimum(b), |a, b| a.power(b), |a, b| a.equal(b), |a, b| a.greater(b),
            |a, b| a.less(b), |a, b| A::where_cond(&a.greater(b)?, a, b), |a, _| a.sum(&[0], false), |a, _| a.sum_all(),
            |a, _| a.mean(&[0], true), |a, _| a.mean_all(), |a, _| a.max(&[0], false), |a, _| a.min(&[0], false),
            |a, _| a.logsumexp(&[0], false), |a, _| a.argmax(0, false), |a, b| a.matmul(b), |a, _| a.softmax(0),
            |a, b| a.layer_norm(b, b, 1e-5), |a, _| a.reshape(&[3, 1]), |a, _| a.transpose(&[0]), |a, _| a.expand_dims(0),
            |a, _| a.reshape(&[1, 3])?.squeeze(0), |a, _| a.broadcast_to(&[2, 3]), |a, b| A::concatenate(&[a.clone(), b.clone()], 0),
            |a, _| a.slice(&[1], &[2]), |a, _| a.take(&A::from_slice(&[0_u32], &[1])?, 0), |a, _| a.astype(Dtype::Float16),
            |a, b| a.addmm(&b.expand_dims(1)?, &b.expand_dims(0)?, 1.0, 1.0),
            |a, b| a.reshape(&[1, 1, 3, 1])?.scaled_dot_product_attention(&b.reshape(&[1, 1, 3, 1])?, &b.reshape(&[1, 1, 3, 1])?, 1.0, None),
            |a, _| a.stop_gradient(), |a, b| Ok(A::grad(|x| x[0].multiply(b)?.sum_all(), std::slice::from_ref(a))?.remove(0)),
        ]);
        for (index, operation) in operations.into_iter().enumerate() {
            let report = explain::<A>(|(a, b)| {
                operation(a, b)?;
                b.sum_all()
            });
            let Gradient::Dropped(step) = first(&report) else { panic!("operation {index}: {report}") };
            let lines = line..line + 18;
            assert!(step.place.file() == file!() && lines.contains(&step.place.line()), "operation {index}: {report}");
        }
    }

    fn guarantee_14_several_cuts<A>() {
        let report = explain::<A>(|(a, b)| {
            let stopped = a.stop_gradient()?;
            let square = no_grad!(stopped.square()?);
            square.multiply(b)?.sum_all()
        });
        assert_second_receives(&report);
        let Gradient::Cut(cuts) = first(&report) else { panic!("{report}") };
        assert!(matches!(cuts[0].cause, Cause::Stopped), "{report}");
        assert!(matches!(cuts[1].cause, Cause::Scopes { .. }), "{report}");
        assert_eq!(cuts.len(), 2);
    }

    fn guarantee_14_required_gradients<A>() {
        let report = explain::<A>(|(_, b)| b.sum_all());
        let error = report.require_all().unwrap_err();
        assert!(matches!(error, Error::MissingGradients(_)));
        let text = error.to_string();
        assert!(text.starts_with("cannot differentiate with respect to every parameter: 2 parameters: 1"), "{text}");
        assert!(text.ends_with("remove the cuts, or mark these parameters `#[params(frozen)]`"), "{text}");
    }

    /// Modes that were carried are told by the place that they come from.
    fn guarantee_14_a_carried_scope<A>() {
        let report = explain::<A>(|(a, b)| {
            let square = no_grad!(carry(|| a.square()));
            square()?.multiply(b)?.sum_all()
        });
        assert_second_receives(&report);
        let expected = "cut by modes carried from tests/conformance/explanations.rs:";
        assert!(report.to_string().contains(expected), "{report}");
        let thread = format!(" to thread `{}` (square -> float32[3])", std::thread::current().name().unwrap());
        assert!(report.to_string().contains(&thread), "{report}");
    }

    fn guarantee_14_a_constant_value<A>() {
        let report = explain::<A>(|(a, b)| no_grad!(a.multiply(b)?.sum_all()));
        assert_eq!(report.missing().count(), 2);
        assert_eq!(report.to_string().matches("cut by no_grad at ").count(), 2, "{report}");
    }

    fn guarantee_14_colours<A>() {
        let report = explain::<A>(|(_, b)| b.sum_all());
        assert!(!report.to_string().contains('\x1b'));
        let coloured = format!("{report:#}");
        assert!(coloured.contains("\x1b[31mno gradient: the function does not use it\x1b[0m"), "{coloured}");
        assert!(coloured.contains("\x1b[32mreceives a gradient"), "{coloured}");
    }

    fn guarantee_14_strict<A>() {
        let constant = |x: &[A]| no_grad!(x[0].square()?).sum_all();
        let x: A = array(&[3.0], &[1]);
        assert_eq!(elements(&A::grad(constant, std::slice::from_ref(&x)).unwrap()[0]), [0.0]);
        let refused = explain::strict(|| A::grad(constant, std::slice::from_ref(&x))).unwrap_err();
        assert!(refused.to_string().contains("the value depends on no primal, so every gradient is zero"), "{refused}");
        let recorded = explain::strict(|| A::grad(|x| x[0].square()?.sum_all(), std::slice::from_ref(&x)));
        assert_eq!(elements(&recorded.unwrap()[0]), [6.0]);
        assert!(A::grad(constant, &[x]).is_ok(), "it ends with the function");
    }

    fn guarantee_14_undifferentiated_arrays<A>() {
        let mut line = 0;
        let report = explain::<A>(|(a, b)| {
            for _ in 0..3 {
                (line, _) = (line!(), a.multiply(b)?);
            }
            no_grad!(a.exp()?);
            a.multiply(b)?.sum_all()
        });
        let [undifferentiated] = report.undifferentiated() else { panic!("{report}") };
        assert_eq!((undifferentiated.op, undifferentiated.arrays, undifferentiated.bytes, undifferentiated.place.line()), ("multiply", 3, 36, line));
        assert!(report.to_string().contains("recorded, and never differentiated:\n  multiply at "), "{report}");
    }

    /// The record ends with the explanation, also where the function fails.
    fn guarantee_14_failures<A>() {
        let failed = explain::gradients(|(a, _): &Model<A>| a.reshape(&[7]), &model::<A>());
        assert!(failed.unwrap_err().to_string().starts_with("cannot reshape"));
        assert_eq!(elements(&A::grad(|x| x[0].square()?.sum_all(), &[array(&[3.0], &[1])]).unwrap()[0]), [6.0]);
    }
}

/// Explanations store nothing in arrays.
#[test]
fn guarantee_14_arrays_have_the_size_of_what_they_refer_to() {
    #[cfg(feature = "mlx")]
    assert_eq!(size_of::<grad_runtime::mlx::Array>(), 2 * size_of::<usize>(), "MLX's shared pointer");
    #[cfg(feature = "cpu")]
    assert_eq!(size_of::<grad_runtime::cpu::Array>(), 4 * size_of::<usize>(), "two tensors, a dtype and a node");
}

/// A program that is not changed, with `GRAD_EXPLAIN=1`: the report of its three steps is printed once.
#[cfg(feature = "cpu")]
#[test]
fn guarantee_14_an_unchanged_program() {
    use std::process::Command;

    let explained = |value: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_training-step")).env("GRAD_EXPLAIN", value).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(explained("0"), "");
    let text = explained("1");
    assert!(
        text.starts_with("at tests/programs/training_step.rs:20:25: 2 parameters: 1 receives a gradient"),
        "{text}"
    );
    assert!(text.contains("encoder  float32[2]  no gradient: cut by no_grad at "), "{text}");
    assert_eq!(text.matches("encoder").count(), 1, "{text}");
}

trait ZerosOf: Array {
    fn zeros_of(&self) -> Result<Self> {
        Self::zeros(&self.shape(), self.dtype())
    }
}
impl<A: Array> ZerosOf for A {}
