//! Gradients over structures: each type that implements `Params`, the derive macro, and guarantees 3 and 5.
#![expect(clippy::float_cmp, reason = "the numbers in these tests are exact")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::marker::PhantomData;
use std::rc::Rc;

use grad_runtime::params::{self, grad, value_and_grad, value_and_grad_with_aux};
use grad_runtime::prelude::*;
use grad_runtime::{Error, Params, Result, inference_mode, no_grad};
use support::arrays::{array, assert_close, elements};

use crate::on_every_backend;

#[derive(Debug, Params)]
struct Linear<A: Array> {
    weight: A,
    bias: Option<A>,
    scale: f32,
    r#type: String,
    #[params(skip)]
    calls: Rc<Cell<u32>>,
}

impl<A: Array> Linear<A> {
    /// Makes a layer whose weights all differ.
    fn new(inputs: usize, outputs: usize) -> Result<Self> {
        let spread = |count| (1_u8..).take(count).map(|at| (f32::from(at) * 2.7).sin()).collect::<Vec<_>>();
        Ok(Self {
            weight: A::from_slice(&spread(inputs * outputs), &[inputs, outputs])?,
            bias: Some(A::from_slice(&spread(outputs), &[outputs])?),
            scale: 1.0,
            r#type: "dense".to_owned(),
            calls: Rc::default(),
        })
    }

    fn forward(&self, x: &A) -> Result<A> {
        self.calls.set(self.calls.get() + 1);
        let y = x.matmul(&self.weight)?.multiply(&A::scalar(self.scale)?)?;
        self.bias.iter().try_fold(y, |y, bias| y.add(bias))
    }
}

#[derive(Debug, Params)]
enum Layer<A>
where
    A: Array,
{
    Linear(Linear<A>),
    Scale { by: A, note: &'static str },
    Tanh,
}

#[derive(Debug, Params)]
struct Model<A: Array> {
    layers: Vec<Layer<A>>,
    temperature: (A, u8),
}

impl<A: Array> Model<A> {
    fn new() -> Result<Self> {
        let by = A::scalar(1.0_f32)?;
        let layers = vec![
            Layer::Linear(Linear::new(2, 8)?),
            Layer::Tanh,
            Layer::Linear(Linear::new(8, 1)?),
            Layer::Scale { by, note: "last" },
        ];
        Ok(Self { layers, temperature: (A::scalar(1.0_f32)?, 1) })
    }

    fn forward(&self, x: &A) -> Result<A> {
        let x = x.multiply(&self.temperature.0)?;
        self.layers.iter().try_fold(x, |x, layer| match layer {
            Layer::Linear(linear) => linear.forward(&x),
            Layer::Scale { by, .. } => x.multiply(by),
            Layer::Tanh => x.tanh(),
        })
    }
}

/// A generic container.
#[derive(Clone, Debug, Params, PartialEq)]
struct Pair<T, const N: usize = 1>(T, [T; N]);

/// A recursive type.
#[derive(Params)]
enum Tree<A> {
    Leaf(A),
    Node(Box<Tree<A>>, Box<Self>),
}

/// A type in a crate where the dependency has another name.
#[derive(Params)]
#[params(crate = crate::params::renamed)]
struct Renamed<A: Array>(A);

mod renamed {
    pub use grad_runtime::*;
}

trait Family {
    type Array: Array;
}

struct Of<A>(PhantomData<A>);

impl<A: Array> Family for Of<A> {
    type Array = A;
}

/// A type with bounds of every kind, and with a parameter that only a skipped field uses.
#[derive(Params)]
struct Bounded<'a, F: Family, A: Array + 'a, G> {
    by_family: Vec<F::Array>,
    by_array: A,
    #[params(skip)]
    activation: G,
    #[params(skip)]
    name: &'a str,
    family: PhantomData<F>,
}

#[derive(Params)]
struct Empty;

#[derive(Params)]
enum Never {}

/// An error of the user's.
#[derive(Debug)]
enum Mine {
    Own(u8),
    Theirs(Error),
}

impl From<Error> for Mine {
    fn from(error: Error) -> Self {
        Self::Theirs(error)
    }
}

fn number<A: Array>(value: f32) -> A {
    A::scalar(value).unwrap()
}

/// Returns the names of the arrays in order, and their elements.
fn contents<A: Array, P: Params<A>>(params: &P) -> (Vec<String>, Vec<f32>) {
    let mut names = Vec::new();
    params
        .try_map(|path, array| {
            names.push(path.to_string());
            Ok::<_, Error>(array.clone())
        })
        .unwrap();
    (names, params.arrays().iter().flat_map(elements).collect())
}

/// Visits and replaces the arrays of `params`, which are the numbers from 1 on, and checks their names.
#[track_caller]
fn check<A: Array, P: Params<A>>(params: &P, names: &[&str]) -> P {
    let numbers = |from: u8| (from..).take(names.len()).map(f32::from).collect::<Vec<_>>();
    let expected: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(contents(params), (expected.clone(), numbers(1)));
    assert!(params.named().keys().eq(&expected.iter().cloned().collect::<BTreeSet<_>>()));
    let more = params.try_map(|_, array| array.add(1.0)).unwrap();
    assert_eq!(contents(&more), (expected, numbers(2)));
    let product = params.zip_with(&more, |x, y| x.multiply(y)).unwrap();
    assert!(contents(&product).1.into_iter().eq(numbers(1).into_iter().map(|number| number * (number + 1.0))));
    more
}

on_every_backend! {
    fn guarantee_6_a_compiled_function_follows_the_mode_of_each_call<A>() {
        let square = params::compile(|x: &A| x.square());
        let x = number::<A>(3.0);
        // Inside a transform: what a call in a scope returns is a constant, also after calls outside.
        let loss = |x: &A| square.call(x)?.multiply(no_grad! { square.call(x)? });
        for _ in 0..2 {
            let (value, gradient) = value_and_grad(loss, &x).unwrap();
            assert_eq!((value.item::<f32>().unwrap(), gradient.item::<f32>().unwrap()), (81.0, 54.0));
            assert_eq!(no_grad! { square.call(&x).unwrap() }.item::<f32>().unwrap(), 9.0);
            assert_eq!(square.call(&x).unwrap().item::<f32>().unwrap(), 9.0);
        }
    }

    fn a_compiled_function_takes_structures_of_other_shapes_and_values<A>() {
        let scaled = params::compile(|(xs, factor): &(Vec<A>, i32)| {
            xs.iter().map(|x| x.multiply(*factor)).collect::<Result<Vec<A>>>()
        });
        for (lengths, factor) in [(&[2, 3][..], 2), (&[2, 3], 5), (&[4], 2), (&[], 2)] {
            let xs = lengths.iter().map(|&length| A::ones(&[length], Dtype::Float32)).collect::<Result<Vec<_>>>();
            let results = scaled.call(&(xs.unwrap(), factor)).unwrap();
            params::async_eval(&results).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let expected = lengths.iter().map(|&length| vec![factor as f32; length]).collect::<Vec<_>>();
            assert_eq!(results.iter().map(elements).collect::<Vec<_>>(), expected);
        }
        let refused = params::compile(|x: &A| x.reshape(&[7])).call(&number::<A>(1.0)).unwrap_err();
        assert!(refused.to_string().contains("reshape"), "{refused}");
    }

    fn a_nested_model_learns_xor<A>() {
        let x: A = array(&[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], &[4, 2]);
        let y: A = array(&[0.0, 1.0, 1.0, 0.0], &[4, 1]);
        let rate = number::<A>(0.1);
        let mut model = Model::<A>::new().unwrap();
        let mut loss = f32::INFINITY;
        for _ in 0..500 {
            let error = |model: &Model<A>| model.forward(&x)?.subtract(&y)?.square()?.mean_all();
            let (value, gradients) = value_and_grad(error, &model).unwrap();
            loss = value.item().unwrap();
            model = model.zip_with(&gradients, |weight, slope| weight.subtract(&slope.multiply(&rate)?)).unwrap();
            model.arrays().iter().try_for_each(A::eval).unwrap();
        }
        assert!(loss < 1e-3, "{loss}");
        assert_close(&elements(&model.forward(&x).unwrap()), &[0.0, 1.0, 1.0, 0.0], 0.1);
        let names = [
            "layers.0.bias", "layers.0.weight", "layers.2.bias", "layers.2.weight", "layers.3.by", "temperature.0",
        ];
        assert!(model.named().into_keys().eq(names));
    }

    fn other_fields_are_the_same_in_the_gradients<A>() {
        let model = Model::<A>::new().unwrap();
        let gradients = grad(|model: &Model<A>| model.forward(&array(&[1.0, 2.0], &[1, 2]))?.sum_all(), &model).unwrap();
        let [Layer::Linear(linear), Layer::Tanh, Layer::Linear(_), Layer::Scale { note, .. }] = &gradients.layers[..] else {
            panic!("{gradients:?}")
        };
        assert_eq!((linear.scale, &*linear.r#type, *note, gradients.temperature.1), (1.0, "dense", "last", 1));
        assert_eq!(linear.calls.get(), 1, "a skipped field is cloned, and an `Rc` is shared");
        let shapes = |model: &Model<A>| model.arrays().iter().map(A::shape).collect::<Vec<_>>();
        assert_eq!(shapes(&gradients), shapes(&model));
    }

    fn gradients_are_those_of_a_slice_of_arrays<A>() {
        let (x, y): (A, A) = (array(&[1.0, 2.0], &[2]), array(&[3.0, 4.0], &[2]));
        let by_slice = A::grad(|primals| primals[0].multiply(&primals[1])?.square()?.sum_all(), &[x.clone(), y.clone()]).unwrap();
        let (by_x, by_y) = grad(|(x, y)| x.multiply(y)?.square()?.sum_all(), &(x, y)).unwrap();
        assert_eq!([elements(&by_x), elements(&by_y)], [elements(&by_slice[0]), elements(&by_slice[1])]);
    }

    fn with_respect_to_single_arguments<A>() {
        let (w, x) = (number::<A>(3.0), number::<A>(2.0));
        let f = |w: &A, x: &A| w.square()?.multiply(x);
        assert_eq!(grad(|w| f(w, &x), &w).unwrap().item::<f32>().unwrap(), 12.0);
        assert_eq!(grad(|x| f(&w, x), &x).unwrap().item::<f32>().unwrap(), 9.0);
        let (by_w, by_x) = grad(|(w, x)| f(w, x), &(w.clone(), x.clone())).unwrap();
        assert_eq!((by_w.item::<f32>().unwrap(), by_x.item::<f32>().unwrap()), (12.0, 9.0));
        // Parameters that the value does not depend on have gradient zero.
        let (_, by_x) = grad(|(w, _)| w.square(), &(w, x)).unwrap();
        assert_eq!(by_x.item::<f32>().unwrap(), 0.0);
    }

    /// The Hessian of x³y² at (2, 3): [6xy², 6x²y; 6x²y, 2x³].
    fn second_derivatives_by_a_tuple<A>() {
        let f = |(x, y): &(A, A)| x.square()?.multiply(x)?.multiply(&y.square()?);
        let point = (number::<A>(2.0), number::<A>(3.0));
        let (xx, xy) = grad(|point| Ok::<_, Error>(grad(f, point)?.0), &point).unwrap();
        let (yx, yy) = grad(|point| Ok::<_, Error>(grad(f, point)?.1), &point).unwrap();
        let hessian = [xx, xy, yx, yy].map(|entry| entry.item::<f32>().unwrap());
        assert_close(&hessian, &[108.0, 72.0, 72.0, 16.0], 1e-5);
    }

    fn guarantee_3_a_scope_inside<A>() {
        let params = (number::<A>(3.0), [number::<A>(2.0)]);
        // x · stop(x²) · y: x² y and x³.
        let (by_x, [by_y]) = grad(|(x, [y])| x.multiply(&no_grad!(x.square()?))?.multiply(y), &params).unwrap();
        assert_eq!((by_x.item::<f32>().unwrap(), by_y.item::<f32>().unwrap()), (18.0, 27.0));
    }

    fn guarantee_5_a_transform_in_a_scope_starts_enabled<A>() {
        let mode = RefCell::new(None);
        let by_x = no_grad! {
            grad(|x: &A| { *mode.borrow_mut() = Some(A::backend().grad_mode()); x.square() }, &number(3.0)).unwrap()
        };
        assert_eq!((by_x.item::<f32>().unwrap(), mode.take()), (6.0, Some(GradMode::Enabled)));
        let refused = inference_mode!(grad(|x: &A| x.square(), &number(3.0)));
        assert!(matches!(refused.unwrap_err(), Error::InferenceMode { transform: "grad" }));
    }

    /// Value, auxiliary output and gradient, x³, x² and 3x² at 2, as constants to an outer transform and recorded.
    fn guarantee_5_results_inside_an_outer_transform<A>() {
        let inner = |x: &A| value_and_grad_with_aux(
            |x: &A| Ok::<_, Error>((x.square()?.multiply(x)?, (x.square()?, "beside", vec![Some(x.negative()?)]))),
            x,
        );
        let x = number::<A>(2.0);
        let ((value, (square, beside, more)), gradient) = inner(&x).unwrap();
        assert_eq!(([value, square, gradient].map(|array| array.item::<f32>().unwrap()), beside), ([8.0, 4.0, 12.0], "beside"));
        assert_eq!(more[0].as_ref().unwrap().item::<f32>().unwrap(), -2.0);

        let outer = |part: &dyn Fn(&A) -> Result<A>| grad(|x: &A| x.multiply(&part(x)?), &x).unwrap().item::<f32>().unwrap();
        // d/dx x·g(x) = g + x g′.
        assert_eq!(outer(&|x| Ok(inner(x)?.0.0)), 32.0);
        assert_eq!(outer(&|x| Ok(inner(x)?.0.1.0)), 12.0);
        assert_eq!(outer(&|x| Ok(inner(x)?.0.1.2.remove(0).unwrap())), -4.0);
        assert_eq!(outer(&|x| Ok(inner(x)?.1)), 36.0);
        // In a scope, g is a constant.
        assert_eq!(outer(&|x| Ok(no_grad!(inner(x)?).0.0)), 8.0);
        assert_eq!(outer(&|x| Ok(no_grad!(inner(x)?).0.1.0)), 4.0);
        assert_eq!(outer(&|x| Ok(no_grad!(inner(x)?).0.1.2.remove(0).unwrap())), -2.0);
        assert_eq!(outer(&|x| Ok(no_grad!(inner(x)?).1)), 12.0);
        // The same for an auxiliary output that depends on the outer array only.
        let captured = |x: &A| value_and_grad_with_aux(|y: &A| Ok::<_, Error>((y.square()?, x.square()?)), &number(1.0));
        assert_eq!(outer(&|x| Ok(captured(x)?.0.1)), 12.0);
        assert_eq!(outer(&|x| Ok(no_grad!(captured(x)?).0.1)), 4.0);
    }

    fn an_auxiliary_output_without_a_gradient<A>() {
        let x: A = array(&[1.0, 3.0, 2.0], &[3]);
        let ((_, (best, count)), _) = value_and_grad_with_aux(
            |x: &A| Ok::<_, Error>((x.sum_all()?, (x.argmax(0, false)?, x.size()))),
            &x,
        ).unwrap();
        assert_eq!((best.item::<u32>().unwrap(), count), (1, 3));
    }

    fn types_of_std<A>() {
        let [a, b, c] = [1.0, 2.0, 3.0].map(number::<A>);
        check(&a, &[""]);
        check(&(a.clone(),), &["0"]);
        check(&(1_u8, a.clone(), "text", (b.clone(), [c.clone()])), &["1", "3.0", "3.1.0"]);
        check(&vec![vec![a.clone()], vec![], vec![b.clone(), c.clone()]], &["0.0", "2.0", "2.1"]);
        check(&[Some(a.clone()), None, Some(b.clone())], &["0", "2"]);
        check(&Box::new((Box::new(a.clone()), b.clone())), &["0", "1"]);
        let keys = [(10, c.clone()), (2, b.clone()), (1, a.clone())];
        check(&BTreeMap::from(keys.clone()), &["1", "2", "10"]);
        check(&HashMap::from(keys), &["1", "2", "10"]);
        let layers = HashMap::from([("b".to_owned(), vec![b.clone(), c.clone()]), ("a".to_owned(), vec![a.clone()])]);
        check(&layers, &["a.0", "b.0", "b.1"]);
        let nothing = ((), true, 'c', 1.5_f64, String::from("s"), PhantomData::<str>, Dtype::Bool, None::<A>, [1_i64; 2]);
        assert_eq!(check::<A, _>(&nothing, &[]).3, 1.5);
        let mut numbers = (1_u8..=12).map(|at| number::<A>(f32::from(at)));
        let mut n = || numbers.next().unwrap();
        let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
        check(&(n(), n(), n(), n(), n(), n(), n(), n(), n(), n(), n(), n()), &names);
    }

    /// Two maps may iterate in different orders.
    fn hash_maps_are_zipped_by_key<A>() {
        let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let map = |keys: &mut dyn Iterator<Item = &'static str>| {
            keys.map(|key| (key, number::<A>(f32::from(key.as_bytes()[0])))).collect::<HashMap<_, _>>()
        };
        let (one, other) = (map(&mut keys.into_iter()), map(&mut keys.into_iter().rev()));
        let difference = one.zip_with(&other, |x, y| x.subtract(y)).unwrap();
        assert!(difference.values().all(|zero| zero.item::<f32>().unwrap() == 0.0));
    }

    fn derived_for_generic_types<A>() {
        let [a, b, c, d] = [1.0, 2.0, 3.0, 4.0].map(number::<A>);
        check(&Pair::<_, 2>(a.clone(), [b.clone(), c.clone()]), &["0", "1.0", "1.1"]);
        check(&Pair(Pair(a.clone(), [b.clone()]), [Pair(c.clone(), [d.clone()])]), &["0.0", "0.1.0", "1.0.0", "1.0.1.0"]);
        let replaced: Pair<u8> = check::<A, _>(&Pair(1, [2]), &[]);
        assert_eq!(replaced, Pair(1, [2]));
        let leaf = |array| Box::new(Tree::Leaf(array));
        check(&Tree::Node(leaf(a.clone()), Box::new(Tree::Node(leaf(b.clone()), leaf(c.clone())))), &["0", "1.0", "1.1"]);

        let bounded = Bounded::<Of<A>, A, fn(f32) -> f32> {
            by_family: vec![a, b],
            by_array: c,
            activation: f32::abs,
            name: "bounded",
            family: PhantomData,
        };
        let more = check(&bounded, &["by_family.0", "by_family.1", "by_array"]);
        assert_eq!(((more.activation)(-1.0), more.name), (1.0, "bounded"));
        let _ = more.family;
        check(&Renamed(number::<A>(1.0)), &[""]);
        check::<A, _>(&Empty, &[]);
        check::<A, _>(&None::<Never>, &[]);
    }

    fn a_structure_without_arrays_has_no_gradient<A>() {
        let refused = value_and_grad(|_: &(u8, Vec<A>)| A::scalar(1.0_f32), &(1, vec![]));
        let expected = "cannot value_and_grad: there are no primals; pass at least one array";
        assert_eq!(refused.map(|_| ()).unwrap_err().to_string(), expected);
    }

    fn an_array_without_a_gradient_is_named<A>() {
        let ids = A::from_slice(&[1_u32, 2], &[2]).unwrap();
        let model = HashMap::from([("weight", vec![number::<A>(1.0)]), ("table", vec![number(1.0), ids.clone()])]);
        let message = |refused: Result<()>| refused.unwrap_err().to_string();
        let advice = "is not floating point and has no gradient; convert it with `astype`, mark its field \
                      `#[params(buffer)]` or `#[params(skip)]`, or let the function capture it";
        assert_eq!(
            message(grad(|model: &HashMap<_, Vec<A>>| model["weight"][0].square(), &model).map(|_| ())),
            format!("cannot grad uint32[2]: `table.1` {advice}")
        );
        assert_eq!(
            message(grad(|ids: &A| ids.sum_all(), &ids).map(|_| ())),
            format!("cannot grad uint32[2]: the array {advice}")
        );
    }

    fn structures_that_differ_are_not_zipped<A>() {
        let [a, b] = [1.0, 2.0].map(number::<A>);
        let message = |refused: Result<Vec<Option<A>>>| refused.unwrap_err().to_string();
        let (full, gap) = (vec![Some(a.clone()), Some(b.clone())], vec![None, Some(b)]);
        assert_eq!(
            message(full.zip_with(&gap, |x, y| x.add(y))),
            "cannot zip_with: the structures differ: the next is `0` on the left and `1` on the right; both must hold the same arrays"
        );
        assert_eq!(
            message(full.zip_with(&vec![Some(a.clone())], |x, y| x.add(y))),
            "cannot zip_with: the structures differ: the next is `1` on the left and no array on the right; both must hold the same arrays"
        );
        assert_eq!(
            message(vec![Some(a)].zip_with(&full, |x, y| x.add(y))),
            "cannot zip_with: the structures differ: the next is no array on the left and `1` on the right; both must hold the same arrays"
        );
    }

    fn errors_of_the_function_are_returned<A>() {
        let x = number::<A>(1.0);
        assert!(matches!(grad(|_: &A| Err::<A, _>(Mine::Own(1)), &x).unwrap_err(), Mine::Own(1)));
        let aux = value_and_grad_with_aux(|_: &A| Err::<(A, A), _>(Mine::Own(2)), &x);
        assert!(matches!(aux.unwrap_err(), Mine::Own(2)));
        assert!(matches!(grad(|x: &A| Ok::<_, Mine>(x.reshape(&[1])?), &x).unwrap_err(), Mine::Theirs(Error::Operation { op: "grad", .. })));
        let mut seen = 0;
        let stopped = vec![x.clone(), x.clone(), x].try_map(|_, array| { seen += 1; if seen == 2 { Err(seen) } else { Ok(array.clone()) } });
        assert_eq!(stopped.unwrap_err(), 2);
    }
}

/// Types with arrays of one backend, without a type parameter.
macro_rules! of_one_backend {
    ($feature:literal $array:ty, $test:ident) => {
        #[cfg(feature = $feature)]
        #[test]
        fn $test() {
            #[derive(Params)]
            struct Inner {
                weight: $array,
                name: &'static str,
            }
            #[derive(Params)]
            pub struct Outer {
                inner: Vec<Inner>,
                bias: $array,
            }
            let inner = |weight| Inner { weight: number(weight), name: "inner" };
            let outer = Outer { inner: vec![inner(1.0), inner(2.0)], bias: number(3.0) };
            let more = check(&outer, &["inner.0.weight", "inner.1.weight", "bias"]);
            assert_eq!(more.inner[1].name, "inner");
            let gradients = grad(|outer| outer.bias.multiply(&outer.inner[1].weight), &outer).unwrap();
            assert_eq!(contents(&gradients).1, [0.0, 3.0, 2.0]);
        }
    };
}
of_one_backend! { "cpu" grad_runtime::cpu::Array, arrays_of_the_cpu }
of_one_backend! { "mlx" grad_runtime::mlx::Array, arrays_of_mlx }
