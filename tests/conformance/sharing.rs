//! `Shared` and `params::share`: elements that several threads read at the same time.

use std::collections::BTreeMap;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use grad_runtime::prelude::*;
use grad_runtime::{Buffer, Error, Shared, bf16, f16, no_grad, params};
use support::arrays::{array, elements};

use crate::dtypes::dtypes;
use crate::on_every_backend;

const THREADS: usize = 8;

#[derive(Debug, Params)]
struct Mlp<A: Array> {
    layers: Vec<(A, Option<A>)>,
    scale: f32,
}

impl<A: Array> Mlp<A> {
    /// Makes layers between these widths, whose weights all differ.
    fn new(widths: &[usize], scale: f32) -> Result<Self> {
        let spread = |count| (1_u16..).take(count).map(|at| (f32::from(at) * 2.7).sin() / 4.0).collect::<Vec<_>>();
        let layer = |pair: &[usize]| {
            let weight = A::from_slice(&spread(pair[0] * pair[1]), &[pair[0], pair[1]])?;
            Ok((weight, Some(A::from_slice(&spread(pair[1]), &[pair[1]])?)))
        };
        Ok(Self { layers: widths.windows(2).map(layer).collect::<Result<_>>()?, scale })
    }

    fn zeros(widths: &[usize], scale: f32) -> Result<Self> {
        Self::new(widths, scale)?.try_map(|_, array| A::zeros(&array.shape(), array.dtype()))
    }

    fn forward(&self, x: &A) -> Result<A> {
        let scale = A::scalar(self.scale)?;
        self.layers.iter().try_fold(x.multiply(&scale)?, |x, (weight, bias)| {
            let y = x.matmul(weight)?;
            bias.iter().try_fold(y, |y, bias| y.add(bias))?.tanh()
        })
    }
}

const WIDTHS: [usize; 4] = [4, 16, 16, 3];

/// Returns the elements that an array has on a new thread.
fn on_another_thread<A: Array>(shared: Shared<A>) -> (Vec<usize>, Buffer<'static>) {
    thread::spawn(move || {
        let opened = shared.open().unwrap();
        (opened.shape(), opened.to_buffer().unwrap())
    })
    .join()
    .unwrap()
}

/// Returns arrays of every dtype, and of every layout that an array can have.
fn arrays<A: Array>() -> Result<Vec<(&'static str, A)>> {
    let grid: A = array(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]);
    let mut arrays = vec![
        ("a comparison", grid.greater(&A::scalar(3.5_f32)?)?),
        ("not computed yet", grid.exp()?.subtract(&grid)?),
        ("a scalar", A::scalar(2.5_f32)?),
        ("a scalar of half precision", A::scalar(f16::from_f32(0.5))?),
        ("a scalar of bfloat16", A::scalar(bf16::from_f32(0.5))?),
        ("a scalar of bool", A::scalar(true)?),
        ("transposed", grid.transpose(&[1, 0])?),
        ("a slice", grid.slice(&[1, 1], &[2, 3])?),
        ("a slice that is transposed", grid.slice(&[0, 1], &[2, 3])?.transpose(&[1, 0])?),
        ("broadcast", A::scalar(7.0_f32)?.broadcast_to(&[2, 2])?),
        ("broadcast rows", grid.slice(&[0, 0], &[1, 3])?.broadcast_to(&[4, 3])?),
        ("empty", A::zeros(&[0], Dtype::Int32)?),
        ("empty and transposed", A::zeros(&[0, 3], Dtype::Float32)?.transpose(&[1, 0])?),
        ("an empty slice", grid.slice(&[1, 2], &[1, 3])?),
        ("zeros", A::zeros(&[3, 5], Dtype::Float16)?),
    ];
    for dtype in dtypes::<A>() {
        arrays.push(("a dtype", grid.astype(dtype)?));
    }
    Ok(arrays)
}

on_every_backend! {
    fn handles_are_send_sync_and_clone<A>() {
        fn check<T: Send + Sync + Clone + std::fmt::Debug + 'static>() {}
        check::<Shared<A>>();
        check::<params::SharedParams<A>>();
    }

    fn a_shared_array_has_the_same_elements_on_another_thread<A>() {
        for (name, array) in arrays::<A>().unwrap() {
            let shared = Shared::new(&array).unwrap();
            assert_eq!((shared.shape(), shared.dtype()), (array.shape(), array.dtype()), "{name}: {shared:?}");
            let (shape, buffer) = on_another_thread(shared.clone());
            assert_eq!((shape, buffer), (array.shape(), array.to_buffer().unwrap()), "{name}");
            // Operations read the layout of the view that was opened.
            let doubled = thread::spawn(move || {
                let opened = shared.open()?.astype(Dtype::Float32)?;
                opened.add(&opened)?.sum_all()?.item::<f32>()
            });
            let array = array.astype(Dtype::Float32).unwrap();
            let expected = array.add(&array).unwrap().sum_all().unwrap().item::<f32>().unwrap();
            assert_eq!(doubled.join().unwrap().unwrap(), expected, "{name}");
        }
    }

    fn an_opened_array_can_be_shared_and_opened_again<A>() {
        let mut shared = Shared::new(&array::<A>(&[1.0, 2.0], &[2])).unwrap();
        for _ in 0..5 {
            shared = thread::spawn(move || Shared::new(&shared.open().unwrap()).unwrap()).join().unwrap();
        }
        assert_eq!(elements(&shared.open().unwrap()), [1.0, 2.0]);
    }

    fn eight_threads_compute_with_one_model<A>() {
        let model = Mlp::<A>::new(&WIDTHS, 0.5).unwrap();
        let x = |at: u16| array::<A>(&[f32::from(at), 1.0, -1.0, 0.5], &[1, 4]);
        let expected: Vec<_> = (0..8).map(|at| elements(&model.forward(&x(at)).unwrap())).collect();
        let shared = params::share(&model).unwrap();
        drop(model); // The threads have the only handles.
        let workers = [(); THREADS].map(|()| {
            let shared = shared.clone();
            thread::spawn(move || {
                let model = shared.open(&Mlp::<A>::zeros(&WIDTHS, 0.5).unwrap()).unwrap();
                drop(shared);
                (0..8).map(|at| elements(&model.forward(&x(at)).unwrap())).collect::<Vec<_>>()
            })
        });
        drop(shared);
        for worker in workers {
            assert_eq!(worker.join().unwrap(), expected);
        }
    }

    /// Hogwild without the race: each thread trains from the shared weights, and no step changes what another thread has.
    fn training_on_one_thread_changes_the_elements_of_no_other<A>() {
        fn train<A: Array>(mut model: Mlp<A>, steps: usize) -> Result<Vec<Vec<f32>>> {
            let (x, rate): (A, A) = (array(&[0.5, -1.0, 1.5, 0.25], &[1, 4]), A::scalar(0.1_f32)?);
            for _ in 0..steps {
                let loss = |model: &Mlp<A>| model.forward(&x)?.square()?.mean_all();
                let gradients = params::grad(loss, &model)?;
                model = model.zip_with(&gradients, |weight, gradient| weight.subtract(&rate.multiply(gradient)?))?;
            }
            Ok(model.arrays().iter().map(elements).collect())
        }

        let model = Mlp::<A>::new(&WIDTHS, 1.0).unwrap();
        let before: Vec<_> = model.arrays().iter().map(elements).collect();
        let shared = params::share(&model).unwrap();
        let workers = [(); THREADS].map(|()| {
            let shared = shared.clone();
            thread::spawn(move || train(shared.open(&Mlp::<A>::zeros(&WIDTHS, 1.0)?)?, 10))
        });
        // This thread trains too, from the arrays that were shared.
        let trained = train(model, 10).unwrap();
        assert_ne!(trained, before);
        for worker in workers {
            assert_eq!(worker.join().unwrap().unwrap(), trained);
        }
        let after: Vec<_> = shared.open_named().unwrap().values().map(elements).collect();
        assert_eq!(after, before);
    }

    /// A loader thread fills batches ahead of the thread that trains.
    fn a_loader_thread_hands_batches_to_a_training_thread<A>() {
        type Batch<A> = (Shared<A>, Shared<A>);
        let (sender, batches) = sync_channel::<Batch<A>>(2);
        let loader = thread::spawn(move || {
            for at in 0..200_u16 {
                let x: Vec<f32> = (0..4).map(|row| f32::from((at * 7 + row * 3) % 11) / 10.0).collect();
                let x: A = array(&x, &[4, 1]);
                // The line 2x + 1.
                let y = x.multiply(&A::scalar(2.0_f32)?)?.add(&A::scalar(1.0_f32)?)?;
                if sender.send((Shared::new(&x)?, Shared::new(&y)?)).is_err() {
                    break;
                }
            }
            Ok::<_, Error>(())
        });
        let rate = A::scalar(0.2_f32).unwrap();
        let mut line: (A, A) = (A::zeros(&[1, 1], Dtype::Float32).unwrap(), A::zeros(&[1], Dtype::Float32).unwrap());
        for (x, y) in batches {
            let (x, y) = (x.open().unwrap(), y.open().unwrap());
            let loss = |(weight, bias): &(A, A)| x.matmul(weight)?.add(bias)?.subtract(&y)?.square()?.mean_all();
            let gradients = params::grad(loss, &line).unwrap();
            line = line
                .zip_with(&gradients, |weight, gradient| {
                    let next = weight.subtract(&rate.multiply(gradient)?)?;
                    next.eval().map(|()| next)
                })
                .unwrap();
        }
        loader.join().unwrap().unwrap();
        let (weight, bias) = (elements(&line.0)[0], elements(&line.1)[0]);
        assert!((weight - 2.0).abs() < 1e-2 && (bias - 1.0).abs() < 1e-2, "{weight} {bias}");
    }

    fn a_thread_may_end_right_after_it_shared<A>() {
        let (sender, receiver) = channel();
        let makers = [0_u16, 1, 2, 3].map(|at| {
            let sender = sender.clone();
            thread::spawn(move || {
                let x: A = array(&[f32::from(at); 1000], &[1000]);
                sender.send((at, Shared::new(&x.square().unwrap()).unwrap())).unwrap();
            })
        });
        for maker in makers {
            maker.join().unwrap();
        }
        drop(sender);
        for (at, shared) in receiver {
            assert_eq!(elements(&shared.open().unwrap()), [f32::from(at * at); 1000]);
        }
    }

    fn a_traced_array_is_refused<A>() {
        let x = A::scalar(3.0_f32).unwrap();
        let gradients = A::grad(
            |x| {
                let error = Shared::new(&x[0]).unwrap_err().to_string();
                assert_eq!(
                    error,
                    "cannot share float32[]: a running transform traces the array, and what is shared is a constant; share it \
                     in a no-grad scope, or share the result of `stop_gradient`"
                );
                let error = params::share(&(x[0].square()?, 1)).unwrap_err().to_string();
                assert!(error.starts_with("cannot share float32[]: a running transform traces `0`, and"), "{error}");
                let shared = Shared::new(&x[0].stop_gradient()?)?;
                assert_eq!(on_another_thread(shared).1, Buffer::Float32(vec![3.0].into()));
                x[0].square()
            },
            &[x],
        )
        .unwrap();
        assert_eq!(elements(&gradients[0]), [6.0]);
    }

    fn guarantee_3_what_is_shared_in_a_scope_is_a_constant<A>() {
        let x = A::scalar(3.0_f32).unwrap();
        let gradients = A::grad(
            |x| {
                let shared = no_grad! { Shared::new(&x[0].square()?)? };
                // The array that is opened is a constant, also outside the scope.
                let nine = shared.open()?;
                assert!(!nine.is_traced());
                nine.multiply(&x[0])
            },
            &[x],
        )
        .unwrap();
        assert_eq!(elements(&gradients[0]), [9.0]);
    }

    fn an_opened_array_is_differentiated_as_any_other<A>() {
        let shared = Shared::new(&array::<A>(&[1.0, 2.0], &[2])).unwrap();
        let gradient = thread::spawn(move || {
            let x = shared.open().unwrap();
            let gradients = A::grad(|x| x[0].square()?.sum_all(), &[x]).unwrap();
            elements(&gradients[0])
        });
        assert_eq!(gradient.join().unwrap(), [2.0, 4.0]);
    }

    fn a_template_gives_structure_and_other_values<A>() {
        let shared = params::share(&Mlp::<A>::new(&WIDTHS, 1.0).unwrap()).unwrap();
        let template = Mlp::<A>::zeros(&WIDTHS, 3.0).unwrap();
        let opened = shared.open(&template).unwrap();
        assert_eq!(opened.scale, 3.0);
        assert_eq!(elements(&opened.layers[0].0), elements(&shared.named()["layers.0.0"].open().unwrap()));
        // The dtypes are those that were shared.
        let half = template.try_map(|_, array| array.astype(Dtype::Float16)).unwrap();
        assert_eq!(shared.open(&half).unwrap().layers[0].0.dtype(), Dtype::Float32);
        assert_eq!(shared.open_named().unwrap().len(), 6);
    }

    fn a_template_of_another_structure_is_refused<A>() {
        let model = Mlp::<A>::new(&WIDTHS, 1.0).unwrap();
        let shared = params::share(&model).unwrap();
        let refused = |template: &Mlp<A>| shared.open(template).unwrap_err().to_string();

        let mut shallow = Mlp::<A>::new(&WIDTHS, 1.0).unwrap();
        shallow.layers.pop();
        assert_eq!(
            refused(&shallow),
            "cannot open: `layers.2.0`, `layers.2.1` are shared and not in the template; pass a template of the structure that \
             was shared"
        );
        let mut mixed = Mlp::<A>::new(&[4, 16, 16, 3, 1], 1.0).unwrap();
        mixed.layers[1].1 = None;
        assert_eq!(
            refused(&mixed),
            "cannot open: `layers.1.1` is shared and not in the template, and `layers.3.0`, `layers.3.1` are in the template and \
             not shared; pass a template of the structure that was shared"
        );
        let wide = Mlp::<A>::new(&[4, 16, 16, 5], 1.0).unwrap();
        assert_eq!(
            refused(&wide),
            "cannot open float32[16, 5]: `layers.2.0` has shape [16, 5] in the template and [16, 3] in what is shared; pass a \
             template of the shapes that were shared"
        );
        let many = Mlp::<A>::new(&[4; 8], 1.0).unwrap();
        let error = params::share(&vec![A::scalar(1.0_f32).unwrap()]).unwrap().open(&many.layers).unwrap_err().to_string();
        assert!(error.contains("`0.0`, `0.1`, `1.0`, `1.1` and 10 more are in the template"), "{error}");
    }

    fn two_arrays_of_one_path_are_refused<A>() {
        #[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
        struct Key(u8);
        impl std::fmt::Display for Key {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("key")
            }
        }
        let one = A::scalar(1.0_f32).unwrap();
        let error = params::share(&BTreeMap::from([(Key(0), one.clone()), (Key(1), one)])).unwrap_err();
        assert_eq!(error.to_string(), "cannot share: two arrays have the path `key`; give each a path of its own");
    }
}
