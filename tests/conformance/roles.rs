//! Roles: which arrays of a structure are trained, and what happens to the others.

use grad_runtime::optim::{AdamW, AdamWOptions};
use grad_runtime::params::{self, Frozen, Path, Role};
use grad_runtime::{Array, Dtype, Params, Result, explain};
use support::arrays::elements;

use crate::on_every_backend;

#[derive(Params, Clone)]
struct Layer<A: Array> {
    weight: A,
    #[params(buffer)]
    mean: A,
    #[params(buffer)]
    count: A,
}

#[derive(Params, Clone)]
struct Model<A: Array> {
    #[params(frozen)]
    encoder: Layer<A>,
    head: Vec<Layer<A>>,
}

fn layer<A: Array>(weight: f32) -> Layer<A> {
    Layer {
        weight: A::scalar(weight).unwrap(),
        mean: A::scalar(weight / 2.0).unwrap(),
        count: A::scalar(3_i64).unwrap(),
    }
}

fn model<A: Array>() -> Model<A> {
    Model { encoder: layer(2.0), head: vec![layer(3.0), layer(5.0)] }
}

/// Depends on all arrays that are floating point.
fn product<A: Array>(model: &Model<A>) -> Result<A> {
    let layers = [&model.encoder, &model.head[0], &model.head[1]];
    layers.into_iter().try_fold(A::scalar(1.0_f32)?, |product, layer| {
        product.multiply(&layer.weight)?.multiply(&layer.mean)?.multiply(&layer.count.astype(Dtype::Float32)?)
    })
}

fn roles<A: Array>(params: &impl Params<A>) -> Vec<(String, Role)> {
    let mut roles = Vec::new();
    params.visit_arrays(&Path::root(), &mut |path, _| roles.push((path.to_string(), path.role())));
    roles
}

fn numbers<A: Array>(params: &impl Params<A>) -> Vec<(String, f32)> {
    params.named().iter().map(|(path, array)| (path.clone(), elements(array)[0])).collect()
}

on_every_backend! {
    fn paths_have_roles<A>() {
        let expected = [
            ("encoder.weight", Role::Frozen),
            ("encoder.mean", Role::Buffer),
            ("encoder.count", Role::Buffer),
            ("head.0.weight", Role::Parameter),
            ("head.0.mean", Role::Buffer),
            ("head.0.count", Role::Buffer),
        ];
        let found = roles(&model::<A>());
        assert_eq!(found[..6], expected.map(|(path, role)| (path.to_owned(), role)));
    }

    fn trained_arrays_have_gradients_and_others_zeros<A>() {
        let model = model::<A>();
        let gradients = params::grad(product, &model).unwrap();
        for (path, gradient) in numbers(&gradients) {
            let is_trained = path.starts_with("head") && path.ends_with("weight");
            assert_eq!(gradient != 0.0, is_trained, "{path}");
        }
        // The structure, shapes and dtypes are those of the model.
        let same = model.try_map_with([&gradients], |path, array, [gradient]| {
            assert_eq!((array.shape(), array.dtype()), (gradient.shape(), gradient.dtype()), "{path}");
            Ok::<_, grad_runtime::Error>(array.clone())
        });
        assert!(same.is_ok());
        // To the function, what is not trained is a constant.
        params::grad(
            |model: &Model<A>| {
                assert!(model.head[0].weight.is_traced());
                assert!(!model.encoder.weight.is_traced() && !model.head[0].mean.is_traced());
                product(model)
            },
            &model,
        )
        .unwrap();
        // Also where a transform further out differentiates it.
        let outer = A::grad(
            |x| {
                let mut model = model.clone();
                model.encoder.weight = x[0].clone();
                params::grad(product, &model)?.head[0].weight.multiply(&x[0])
            },
            &[A::scalar(2.0_f32).unwrap()],
        );
        let gradient = params::grad(product, &model).unwrap().head[0].weight.item::<f32>().unwrap();
        assert_eq!(elements(&outer.unwrap()[0]), [gradient], "the encoder is a constant inside");
    }

    fn everything_is_saved_and_cast<A>() {
        let half = model::<A>()
            .try_map(|_, array| if array.dtype().is_float() { array.astype(Dtype::Float16) } else { Ok(array.clone()) })
            .unwrap();
        assert_eq!((half.encoder.weight.dtype(), half.head[1].mean.dtype()), (Dtype::Float16, Dtype::Float16));
        assert_eq!(half.named().len(), 9);
    }

    fn optimizers_leave_the_others_alone<A>() {
        let mut trained = model::<A>();
        let options = AdamWOptions { lr: 0.1, weight_decay: 0.5, ..AdamWOptions::default() };
        let mut optimizer = AdamW::new(&trained, options).unwrap();
        for _ in 0..3 {
            let gradients = params::grad(product, &trained).unwrap();
            optimizer.step(&mut trained, &gradients).unwrap();
        }
        for ((path, before), (_, after)) in numbers(&model::<A>()).into_iter().zip(numbers(&trained)) {
            let is_trained = path.starts_with("head") && path.ends_with("weight");
            assert_eq!(before != after, is_trained, "{path}");
        }
        assert!(optimizer.named().keys().all(|name| !name.contains("encoder") && !name.contains("mean")));
        assert!(roles(&optimizer).iter().all(|(_, role)| *role == Role::Buffer));
    }

    fn explanations_tell_of_trained_arrays_alone<A>() {
        let report = explain::gradients(product, &model::<A>()).unwrap();
        let paths: Vec<_> = report.parameters().iter().map(|parameter| parameter.path.clone()).collect();
        assert_eq!(paths, ["head.0.weight", "head.1.weight"]);
        assert!(report.to_string().starts_with("2 parameters: 2 receive a gradient"), "{report}");
    }

    fn frozen_at_run_time<A>() {
        let frozen = Frozen::new(model::<A>(), |path| path.to_string().starts_with("head.0"));
        let gradients = params::grad(|model: &Frozen<Model<A>>| product(model), &frozen).unwrap();
        for (path, gradient) in numbers(&gradients) {
            assert_eq!(gradient != 0.0, path == "head.1.weight", "{path}");
        }
        assert_eq!(roles(&frozen).iter().filter(|(_, role)| *role == Role::Frozen).count(), 2, "buffers stay buffers");
        // Inside of another structure, paths are longer, and both choices count.
        let nested = (frozen.clone(), Frozen::new(frozen, |path| path.to_string() == "1.head.1.weight"));
        let trained: Vec<_> = roles(&nested).into_iter().filter(|(_, role)| *role == Role::Parameter).collect();
        let paths: Vec<_> = trained.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["0.head.0.weight", "0.head.1.weight", "1.head.0.weight"]);
        assert_eq!(nested.0.into_inner().head.len(), 2);
    }

    fn nothing_to_train<A>() {
        let frozen = Frozen::new(A::scalar(1.0_f32).unwrap(), |_| true);
        let error = params::grad(|x: &Frozen<A>| x.square(), &frozen).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "cannot grad: every array is frozen or a buffer, so there is nothing to differentiate; make one trainable, or call the function \
             itself");
    }
}
