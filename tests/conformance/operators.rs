//! Operators: each is the method of its name, with operands owned and borrowed, and beside a number.

use grad_runtime::{Dtype, Error, Result, no_grad};

use crate::{array, elements};

type Function<A> = fn(&A) -> Result<A>;

/// Each pair of operands, whose results must be those of `method`.
macro_rules! check {
    ($operator:tt $method:ident on $array:ty) => {{
        let (x, y): ($array, $array) = (array(&[1.0, -2.0, 3.5, 0.25], &[2, 2]), array(&[4.0, 0.5], &[2]));
        let expected = elements(&x.$method(&y).unwrap());
        let found = [&x $operator &y, x.clone() $operator &y, &x $operator y.clone(), x.clone() $operator y.clone()];
        assert_eq!(found.map(|found| elements(&found.unwrap())), [(); 4].map(|()| expected.clone()));
        let number = <$array>::scalar(1.5_f32).unwrap();
        let expected = elements(&x.$method(&number).unwrap());
        assert_eq!([&x $operator 1.5, x.clone() $operator 1.5].map(|found| elements(&found.unwrap())), [expected.clone(), expected]);
        let expected = elements(&number.$method(&x).unwrap());
        assert_eq!([1.5 $operator &x, 1.5 $operator x.clone()].map(|found| elements(&found.unwrap())), [expected.clone(), expected]);

        // x · (x ∘ 2) and x · (2 ∘ x), where what is in parentheses is constant if it is made in a scope.
        let slope = |f: Function<$array>| {
            let gradient = <$array>::grad(|x| x[0].multiply(&f(&x[0])?), &[<$array>::scalar(4.0_f32).unwrap()]);
            gradient.unwrap()[0].item::<f32>().unwrap()
        };
        let value = |f: Function<$array>| f(&<$array>::scalar(4.0_f32).unwrap()).unwrap().item::<f32>().unwrap();
        let pairs: [[Function<$array>; 3]; 3] = [
            [|x| x $operator x, |x| no_grad!(x $operator x), |x| x.$method(x)],
            [|x| x $operator 2.0, |x| no_grad!(x $operator 2.0), |x| x.$method(&<$array>::scalar(2.0_f32)?)],
            [|x| 2.0 $operator x, |x| no_grad!(2.0 $operator x), |x| <$array>::scalar(2.0_f32)?.$method(x)],
        ];
        for [operator, in_a_scope, method] in pairs {
            assert_eq!(slope(operator), slope(method));
            assert_eq!(slope(in_a_scope), value(method), "a constant");
        }
        let refused = (&x $operator array::<$array>(&[1.0; 3], &[3])).unwrap_err();
        assert!(matches!(refused, Error::Operation { op: stringify!($method), .. }), "{refused}");
    }};
}

macro_rules! on_a_backend {
    ($module:ident, $feature:literal, $array:ty) => {
        #[cfg(feature = $feature)]
        mod $module {
            #![expect(clippy::float_cmp, reason = "both sides are computed in the same way")]

            use super::*;

            #[test]
            fn law_3_each_operator_is_its_method() {
                check!(+ add on $array);
                check!(- subtract on $array);
                check!(* multiply on $array);
                check!(/ divide on $array);
            }

            #[test]
            fn law_3_the_sign() {
                let x: $array = array(&[1.0, -2.0], &[2]);
                assert_eq!(elements(&(-&x).unwrap()), [-1.0, 2.0]);
                assert_eq!(elements(&(-x.clone()).unwrap()), [-1.0, 2.0]);
                let slopes = <$array>::grad(|x| (-&x[0])?.multiply(&no_grad!((-&x[0])?))?.sum_all(), &[x]);
                assert_eq!(elements(&slopes.unwrap()[0]), [1.0, -2.0]);
            }

            #[test]
            fn a_number_takes_the_dtype_of_a_float_array() {
                let x: $array = array(&[1.0, 3.0], &[2]);
                for dtype in [Dtype::Float32, Dtype::Float16, Dtype::BFloat16] {
                    let half = (x.astype(dtype).unwrap() * 0.5).unwrap();
                    assert_eq!((half.dtype(), elements(&half)), (dtype, vec![0.5, 1.5]));
                    assert_eq!((1.0 - half).unwrap().dtype(), dtype);
                }
                for dtype in [Dtype::Int32, Dtype::UInt32] {
                    let half = (x.astype(dtype).unwrap() * 0.5).unwrap();
                    assert_eq!((half.dtype(), elements(&half)), (Dtype::Float32, vec![0.5, 1.5]));
                }
                let half = (0.5 * x.astype(Dtype::Bool).unwrap()).unwrap();
                assert_eq!((half.dtype(), elements(&half)), (Dtype::Float32, vec![0.5, 0.5]));
            }
        }
    };
}
on_a_backend! { on_cpu, "cpu", grad_runtime::cpu::Array }
on_a_backend! { on_mlx, "mlx", grad_runtime::mlx::Array }
