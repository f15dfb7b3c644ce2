//! Programs for one backend: its `Array` beside the prelude, without the `Array` trait.

/// The same program for each backend.
macro_rules! on_a_backend {
    ($module:ident, $feature:literal, $backend:ident) => {
        #[cfg(feature = $feature)]
        mod $module {
            use grad_runtime::no_grad;
            use grad_runtime::prelude::*;
            use grad_runtime::$backend::Array;

            #[derive(Params)]
            struct Linear {
                weight: Array,
                bias: Array,
            }

            impl Linear {
                fn forward(&self, x: &Array) -> Result<Array> {
                    x.matmul(&self.weight)?.add(&self.bias)?.relu()
                }
            }

            #[derive(Detach)]
            struct Output {
                hidden: Array,
            }

            #[no_grad]
            fn target(model: &Linear, x: &Array) -> Result<Output> {
                Ok(Output { hidden: model.forward(x)? })
            }

            #[test]
            fn the_methods_need_no_trait() {
                let model = Linear {
                    weight: Array::ones(&[2, 1], Dtype::Float32).unwrap(),
                    bias: Array::zeros(&[1], Dtype::Float32).unwrap(),
                };
                let x = Array::from_slice(&[1.0_f32, 2.0], &[1, 2]).unwrap();
                let (loss, gradients) = grad_runtime::params::value_and_grad(
                    |model: &Linear| model.forward(&x)?.multiply(&target(model, &x)?.hidden)?.sum_all(),
                    &model,
                )
                .unwrap();
                assert_eq!(loss.item::<f32>().unwrap(), 9.0);
                assert_eq!(gradients.weight.to_vec::<f32>().unwrap(), [3.0, 6.0]);
                assert!(model.named().keys().eq(["bias", "weight"]));

                let gradients = Array::grad(|x| x[0].multiply(&no_grad!(x[0].square()?))?.sum_all(), &[x]);
                assert_eq!(gradients.unwrap()[0].to_vec::<f32>().unwrap(), [1.0, 4.0]);
                assert!(Array::backend().grad_mode().is_enabled());
            }

            /// The prelude's traits have no methods that hide those of std.
            #[test]
            fn methods_of_std_stay() {
                assert_eq!(String::from("a b").replace(' ', "-"), "a-b");
                assert_eq!(Some(1).replace(2), Some(1));
                let cell = std::cell::Cell::new(1);
                assert_eq!((cell.replace(2), cell.get()), (1, 2));
            }
        }
    };
}
on_a_backend! { on_cpu, "cpu", cpu }
on_a_backend! { on_mlx, "mlx", mlx }
