//! Models whose layers are of different types: `Vec<Box<dyn Layer<A>>>` as a structure of arrays.

use std::fmt::Debug;

use grad_runtime::optim::{Sgd, SgdOptions};
use grad_runtime::{Array, Dtype, Params, Result, params};
use support::arrays::{array, elements};

use crate::on_every_backend;

/// With what a trait can have: a raw name, a supertrait, a constant parameter, a where clause, a method with a body, documentation.
#[params::object]
trait r#Layer<A: Array, const N: usize>: Debug
where
    A: Clone,
{
    fn forward(&self, x: &A) -> Result<A>;

    fn twice(&self, x: &A) -> Result<A> {
        self.forward(&self.forward(x)?)
    }
}

#[derive(Params, Debug)]
struct Scale<A: Array> {
    weight: A,
    #[params(frozen)]
    offset: A,
}

impl<A: Array> Layer<A, 2> for Scale<A> {
    fn forward(&self, x: &A) -> Result<A> {
        x.multiply(&self.weight)?.add(&self.offset)
    }
}

#[derive(Params, Debug)]
struct Relu;

impl<A: Array> Layer<A, 2> for Relu {
    fn forward(&self, x: &A) -> Result<A> {
        x.relu()
    }
}

#[derive(Params, Debug)]
struct Model<A: Array> {
    layers: Vec<Box<dyn Layer<A, 2>>>,
    last: Option<Box<dyn Layer<A, 2>>>,
}

impl<A: Array> Model<A> {
    fn new() -> Self {
        let scale = |weight: f32| Box::new(Scale { weight: array(&[weight], &[1]), offset: array(&[0.5], &[1]) });
        Self { layers: vec![scale(2.0), Box::new(Relu), scale(3.0)], last: Some(scale(4.0)) }
    }

    fn forward(&self, x: &A) -> Result<A> {
        let x = self.layers.iter().try_fold(x.clone(), |x, layer| layer.forward(&x))?;
        self.last.iter().try_fold(x, |x, layer| layer.forward(&x))
    }
}

on_every_backend! {
    fn boxed_layers_have_paths_and_gradients<A>() {
        let mut model = Model::<A>::new();
        let names: Vec<_> = model.named().into_keys().collect();
        let expected = ["last.offset", "last.weight", "layers.0.offset", "layers.0.weight", "layers.2.offset", "layers.2.weight"];
        assert_eq!(names, expected);
        let x: A = array(&[1.0], &[1]);
        let loss = |model: &Model<A>| model.forward(&x)?.sum_all();
        let gradients = params::grad(loss, &model).unwrap();
        let named = gradients.named();
        // ((2x + 0.5) · 3 + 0.5) · 4 + 0.5
        let found = ["layers.0.weight", "layers.2.weight", "last.weight", "last.offset"].map(|name| elements(&named[name])[0]);
        assert_eq!(found, [12.0, 10.0, 8.0, 0.0]);

        let mut optimizer = Sgd::new(&model, SgdOptions { lr: 0.125, ..SgdOptions::default() }).unwrap();
        optimizer.step(&mut model, &gradients).unwrap();
        assert_eq!(elements(&model.named()["layers.0.weight"]), [0.5]);
        assert_eq!(elements(&model.layers[0].twice(&x).unwrap()), [1.0]);
    }

    fn the_first_error_comes_back<A>() {
        let model = Model::<A>::new();
        let mut visited = 0;
        let error = model.try_map(|path, array| {
            visited += 1;
            if path.to_string() == "layers.2.weight" { Err(format!("no {path}")) } else { Ok(array.clone()) }
        });
        assert_eq!((error.map(|_| ()).unwrap_err(), visited), ("no layers.2.weight".to_owned(), 3));
        let half = model.try_map(|_, array| array.astype(Dtype::Float16)).unwrap();
        assert!(half.arrays().iter().all(|array| array.dtype() == Dtype::Float16));
        assert!(model.zip_with(&Model { layers: Vec::new(), last: None }, |x, _| Ok::<_, grad_runtime::Error>(x.clone())).is_err());
    }
}
