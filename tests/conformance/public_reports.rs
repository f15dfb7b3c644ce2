//! Guarantee 14 on ten public reports of lost gradients, each rebuilt as a small program and explained in one run.

use grad_runtime::explain::{self, Cause, Gradient, Report};
use grad_runtime::{Array, Dtype, Params, Result, no_grad};
use support::arrays::array;

#[derive(Params)]
struct Layer<A: Array> {
    weight: A,
}

/// Two layers, as most of the reports have them.
#[derive(Params)]
struct Model<A: Array> {
    encoder: Layer<A>,
    head: Layer<A>,
}

fn model<A: Array>() -> Model<A> {
    Model {
        encoder: Layer { weight: array(&[0.5, -1.0, 2.0, 0.25], &[2, 2]) },
        head: Layer { weight: array(&[1.0, 0.5, -0.5, 2.0], &[2, 2]) },
    }
}

impl<A: Array> Layer<A> {
    fn forward(&self, x: &A) -> Result<A> {
        x.matmul(&self.weight)
    }
}

/// Three rows of input.
fn batch<A: Array>() -> A {
    array(&[1.0, 2.0, -1.0, 0.5, 3.0, -2.0], &[3, 2])
}

fn explain<A: Array>(loss: impl FnOnce(&Model<A>) -> Result<A>) -> Report {
    explain::gradients(loss, &model()).unwrap()
}

fn gradient<'a>(report: &'a Report, path: &str) -> &'a Gradient {
    let found = report.parameters().iter().find(|parameter| parameter.path == path);
    &found.unwrap_or_else(|| panic!("no parameter {path} in {report}")).gradient
}

#[track_caller]
fn assert_received(report: &Report, path: &str) {
    assert!(matches!(gradient(report, path), Gradient::Received(Some(norm)) if *norm > 0.0), "{report}");
}

/// Asserts that the line of a parameter says `text`.
#[track_caller]
fn assert_line(report: &Report, path: &str, text: &str) {
    let all = report.to_string();
    let line = all.lines().find(|line| line.trim_start().starts_with(&format!("{path} ")));
    let line = line.unwrap_or_else(|| panic!("no line of {path} in {report}"));
    assert!(line.contains(text), "{line}\ndoes not say\n{text}");
}

/// Asserts that the line of a parameter names an operation as its first cut, and the place of the call.
#[track_caller]
fn assert_cut(report: &Report, path: &str, operation: &str, line: u32) {
    assert_line(report, path, &format!("no gradient: cut by {operation} {}", at(line)));
    assert_line(report, path, "integers and bools have no gradient");
}

/// Returns the cause and the operation of the first cut.
#[track_caller]
fn first_cut<'a>(report: &'a Report, path: &str) -> (&'a Cause, &'static str) {
    let Gradient::Cut(cuts) = gradient(report, path) else { panic!("{path} is not cut in {report}") };
    (&cuts[0].cause, cuts[0].step.op)
}

/// Returns the place of an operation as a report shows it, up to the line.
fn at(line: u32) -> String {
    format!("at {}:{line}:", file!())
}

crate::on_every_backend! {
    /// The first of two modules is not trained, since its output passes through an argmax:
    /// <https://github.com/pytorch/pytorch/issues/1339>.
    fn guarantee_14_argmax_between_two_modules<A>() {
        let one_hot = array::<A>(&[1.0, 0.0, 0.0, 1.0], &[2, 2]);
        let line = line!() + 3;
        let report = explain::<A>(|model| {
            let scores = model.encoder.forward(&batch())?;
            let classes = scores.argmax(1, false)?;
            model.head.forward(&one_hot.take(&classes, 0)?)?.square()?.mean_all()
        });
        assert!(matches!(first_cut(&report, "encoder.weight"), (Cause::NotFloat, "argmax")), "{report}");
        assert_cut(&report, "encoder.weight", "argmax -> uint32[3]", line);
        assert_received(&report, "head.weight");
    }

    /// A loss counts wrong classes, and every gradient is zero: <https://github.com/google-deepmind/dm-haiku/issues/442>.
    fn guarantee_14_argmax_in_a_loss<A>() {
        let labels = A::from_slice(&[0_u32, 1, 0], &[3]).unwrap();
        let line = line!() + 3;
        let report = explain::<A>(|model| {
            let logits = model.head.forward(&model.encoder.forward(&batch())?.relu()?)?;
            let classes = logits.argmax(1, false)?;
            A::scalar(1.0_f32)?.subtract(&classes.equal(&labels)?.astype(Dtype::Float32)?.mean_all()?)
        });
        for path in ["encoder.weight", "head.weight"] {
            assert!(matches!(first_cut(&report, path), (Cause::NotFloat, "argmax")), "{report}");
            assert_cut(&report, path, "argmax -> uint32[3]", line);
        }
        assert!(report.require_all().is_err());
    }

    /// The loss compares drawn classes with a target, so the probabilities that they were drawn from are not trained:
    /// <https://github.com/jax-ml/jax/issues/17556>. The argmax of logits with Gumbel noise draws a class.
    fn guarantee_14_classes_that_are_drawn<A>() {
        let noise = array::<A>(&[0.3, -0.2, 1.1, 0.4, -0.6, 0.9], &[3, 2]);
        let target = array::<A>(&[0.0, 0.0, 0.0], &[3]);
        let line = line!() + 3;
        let report = explain::<A>(|model| {
            let probabilities = model.encoder.forward(&batch())?.softmax(1)?;
            let drawn = probabilities.log()?.add(&noise)?.argmax(1, false)?;
            drawn.subtract(&target)?.square()?.mean_all()
        });
        assert!(matches!(first_cut(&report, "encoder.weight"), (Cause::NotFloat, "argmax")), "{report}");
        assert_cut(&report, "encoder.weight", "argmax -> uint32[3]", line);
        assert!(matches!(gradient(&report, "head.weight"), Gradient::Unused), "{report}");
        assert_line(&report, "head.weight", "no gradient: the function does not use it");
    }

    /// A penalty for predictions that contradict a hierarchy is computed in a loop into a new array:
    /// <https://github.com/Ugenteraan/Deep_Hierarchical_Classification/issues/6>.
    fn guarantee_14_a_new_array_of_predictions<A>() {
        let line = line!() + 3;
        let report = explain::<A>(|model| {
            let predictions = model.encoder.forward(&batch())?;
            let rows = predictions.to_vec::<f32>()?;
            let penalties: Vec<f32> = rows.chunks(2).map(|row| if row[0] > row[1] { 0.0 } else { 1.0 }).collect();
            let classification = model.head.forward(&batch())?.square()?.mean_all()?;
            classification.add(&A::from_slice(&penalties, &[3])?.sum_all()?)
        });
        let Gradient::Read(reads) = gradient(&report, "encoder.weight") else { panic!("{report}") };
        assert_eq!((reads.len(), reads[0].place.line()), (1, line), "{report}");
        assert_line(&report, "encoder.weight", &format!("no gradient: only its elements were read, {}", at(line)));
        assert_received(&report, "head.weight");
    }

    /// The part of a loss that penalizes the size of a mask adds nothing to the gradient, since the mask is a comparison:
    /// <https://github.com/cwmok/DIRAC/issues/13>.
    fn guarantee_14_a_mask_by_comparison<A>() {
        let threshold = A::scalar(0.5_f32).unwrap();
        let line = line!() + 3;
        let report = explain::<A>(|model| {
            let difference = model.encoder.forward(&batch())?.abs()?;
            let mask = difference.greater(&threshold)?;
            let similarity = model.head.forward(&batch())?.square()?.mean_all()?;
            similarity.add(&mask.astype(Dtype::Float32)?.mean_all()?)
        });
        assert!(matches!(first_cut(&report, "encoder.weight"), (Cause::NotFloat, "greater")), "{report}");
        assert_cut(&report, "encoder.weight", "greater -> bool[3, 2]", line);
        assert_received(&report, "head.weight");
    }

    /// A helper encodes texts under `no_grad` and is called in training too, so only the encoder of images is trained:
    /// <https://github.com/APPFL/APPFL/pull/398>.
    fn guarantee_14_no_grad_in_a_helper<A>() {
        fn encode_text<A: Array>(encoder: &Layer<A>, text: &A) -> Result<A> {
            no_grad!(encoder.forward(text)?.tanh())
        }

        let report = explain::<A>(|model| {
            let text = encode_text(&model.encoder, &batch())?;
            let image = model.head.forward(&batch())?;
            image.multiply(&text)?.sum(&[1], false)?.square()?.mean_all()
        });
        let Gradient::Cut(cuts) = gradient(&report, "encoder.weight") else { panic!("{report}") };
        assert!(matches!(&cuts[..], [cut] if matches!(cut.cause, Cause::Scopes { .. })), "{report}");
        assert_eq!((cuts[0].step.op, cuts[0].step.place.file()), ("matmul", file!()), "{report}");
        assert_line(&report, "encoder.weight", "no gradient: cut by no_grad at ");
        assert_line(&report, "encoder.weight", "(matmul -> float32[3, 2])");
        assert_received(&report, "head.weight");
    }

    /// Training on several devices stops at parameters without a gradient and does not name them. They are not used, or what is
    /// made of them is not: <https://github.com/pytorch/pytorch/issues/57776>.
    fn guarantee_14_parameters_without_a_part_in_the_loss<A>() {
        let unused = Layer { weight: array::<A>(&[1.0, 2.0], &[2]) };
        let model = (model::<A>(), unused);
        let line = line!() + 3;
        let report = explain::gradients(|(model, _): &(Model<A>, Layer<A>)| {
            let features = model.encoder.forward(&batch())?;
            model.head.forward(&features)?.softmax(1)?;
            features.square()?.mean_all()
        }, &model).unwrap();
        assert_received(&report, "0.encoder.weight");
        let Gradient::Dropped(step) = gradient(&report, "0.head.weight") else { panic!("{report}") };
        assert_eq!((step.op, step.place.line()), ("softmax", line), "{report}");
        let text = "no gradient: the value does not depend on what was made of it (softmax -> float32[3, 2], ";
        assert_line(&report, "0.head.weight", &format!("{text}{}", at(line)));
        assert!(matches!(gradient(&report, "1.weight"), Gradient::Unused), "{report}");
        assert_line(&report, "1.weight", "no gradient: the function does not use it");
    }

    /// A loss for a generator is computed of detached images, so it does not train the generator:
    /// <https://github.com/samet-akcay/skip-ganomaly/issues/5>.
    fn guarantee_14_a_loss_of_detached_images<A>() {
        let line = line!() + 3;
        let report = explain::<A>(|generator_and_features| {
            let Model { encoder: generator, head: features } = generator_and_features;
            let fake = generator.forward(&batch())?.detached();
            features.forward(&fake)?.subtract(&features.forward(&batch())?)?.square()?.mean_all()
        });
        assert!(matches!(first_cut(&report, "encoder.weight"), (Cause::Stopped, "detach")), "{report}");
        assert_line(&report, "encoder.weight", &format!("no gradient: cut by detach {}", at(line)));
        assert_received(&report, "head.weight");
    }

    /// A penalty of the critic's slope does not train the critic, since the slope is a constant:
    /// <https://github.com/igul222/improved_wgan_training/issues/18>. Here a transform is differentiable, unless it runs in a scope.
    fn guarantee_14_a_penalty_of_a_gradient<A>() {
        let penalty = |critic: &Model<A>, slope: &A| -> Result<A> {
            let length = slope.square()?.sum(&[1], false)?.sqrt()?.subtract(&A::scalar(1.0_f32)?)?;
            length.square()?.mean_all()?.add(&critic.head.forward(&batch())?.mean_all()?)
        };
        let critic = |critic: &Model<A>, x: &A| critic.head.forward(&critic.encoder.forward(x)?.tanh()?)?.sum_all();
        let line = line!() + 2;
        let report = explain::<A>(|model| {
            let slopes = no_grad! { A::grad(|x| critic(model, &x[0]), &[batch()])? };
            penalty(model, &slopes[0])
        });
        let Gradient::Cut(cuts) = gradient(&report, "encoder.weight") else { panic!("{report}") };
        assert!(matches!(cuts[0].cause, Cause::Scopes { .. }), "{report}");
        assert_eq!((cuts[0].step.op, cuts[0].step.place.line()), ("grad", line), "{report}");
        assert_line(&report, "encoder.weight", "no gradient: cut by no_grad at ");
        assert_line(&report, "encoder.weight", "(grad -> float32[3, 2])");
        assert_received(&report, "head.weight");
        // Without the scope the penalty trains both.
        let report = explain::<A>(|model| penalty(model, &A::grad(|x| critic(model, &x[0]), &[batch()])?[0]));
        assert!(report.require_all().is_ok(), "{report}");
    }

    /// A loss of rounded predictions has no gradient: <https://github.com/keras-team/keras/issues/4175>.
    fn guarantee_14_rounded_predictions<A>() {
        let half = A::scalar(0.5_f32).unwrap();
        let line = line!() + 3;
        let report = explain::<A>(|model| {
            let predictions = model.encoder.forward(&batch())?.sigmoid()?;
            let rounded = predictions.add(&half)?.astype(Dtype::Int32)?;
            let errors = model.head.forward(&batch())?.subtract(&rounded)?;
            errors.square()?.mean_all()
        });
        assert!(matches!(first_cut(&report, "encoder.weight"), (Cause::NotFloat, "astype")), "{report}");
        assert_cut(&report, "encoder.weight", "astype -> int32[3, 2]", line);
        assert_received(&report, "head.weight");
    }
}
