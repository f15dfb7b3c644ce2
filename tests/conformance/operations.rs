//! Every operation: its value in and out of a scope, its gradient recorded and not, and MLX against the CPU fallback.

use grad_runtime::{Array, Dtype, Result, enable_grad, no_grad};
use half::{bf16, f16};

use crate::{array, assert_close, elements};

/// Where an operand's elements lie. All differ, so that no maximum is a tie.
#[derive(Clone, Copy)]
enum Range {
    /// In ±[0.3, 1.8], both signs.
    Signed,
    /// In [0.3, 1.8].
    Positive,
}

use Range::{Positive, Signed};

/// Operands that are the same on every backend and every run. `salt` tells operands of one operation apart.
fn operand<A: Array>(range: Range, shape: &[usize], salt: usize) -> A {
    let size = shape.iter().product::<usize>();
    // A full-period walk over 0..97, which is prime.
    let element = |at: usize| {
        let step = u8::try_from((31 * (at + 7 * salt) + 11) % 97).expect("less than 97");
        let magnitude = 0.3 + 1.5 * f32::from(step) / 97.0;
        match range {
            Positive => magnitude,
            Signed if (at + salt).is_multiple_of(2) => magnitude,
            Signed => -magnitude,
        }
    };
    array(&(0..size).map(element).collect::<Vec<_>>(), shape)
}

/// A scalar that depends on each element of `output` differently.
fn weigh<A: Array>(output: &A) -> Result<A> {
    output.multiply(&operand(Positive, &output.shape(), 5))?.sum_all()
}

type Operation<A> = fn(&[A]) -> Result<A>;

/// The gradient of the weighed operation by central differences, all operands' elements in a row.
fn differences<A: Array>(operation: Operation<A>, operands: &[A]) -> Vec<f32> {
    const STEP: f32 = 1e-2;
    let mut gradient = Vec::new();
    for (at, operand) in operands.iter().enumerate() {
        let (middle, shape) = (elements(operand), operand.shape());
        for element in 0..middle.len() {
            let value_at = |offset: f32| {
                let mut moved = middle.clone();
                moved[element] += offset;
                let mut operands = operands.to_vec();
                operands[at] = array(&moved, &shape);
                weigh(&operation(&operands).unwrap()).unwrap().item::<f32>().unwrap()
            };
            gradient.push((value_at(STEP) - value_at(-STEP)) / (2.0 * STEP));
        }
    }
    gradient
}

fn gradient<A: Array>(function: impl FnOnce(&[A]) -> Result<A>, operands: &[A]) -> Vec<f32> {
    let gradients = A::grad(function, operands).unwrap();
    for (gradient, operand) in gradients.iter().zip(operands) {
        assert_eq!(gradient.shape(), operand.shape());
        assert_eq!(gradient.dtype(), operand.dtype());
    }
    gradients.iter().flat_map(elements).collect()
}

/// What laws 3 and 4 say of one operation.
fn obeys_the_law<A: Array>(operation: Operation<A>, operands: &[A]) {
    let outside = operation(operands).unwrap();
    let inside = no_grad!(operation(operands).unwrap());
    // The graph of a lazy backend ends in the operation itself, with nothing behind it.
    assert_eq!(format!("{inside:?}"), format!("{outside:?}"), "outside a transform a scope adds nothing");
    assert_eq!(elements(&inside), elements(&outside), "a scope changes no value");

    let scoped = |operands: &[A]| weigh(&no_grad!(operation(operands)?));
    let (value, gradients) = A::value_and_grad(scoped, operands).unwrap();
    let expected = weigh(&outside).unwrap().item::<f32>().unwrap();
    assert_close(&[value.item().unwrap()], &[expected], 1e-6);
    for gradient in &gradients {
        assert!(
            elements(gradient).iter().all(|&element| element == 0.0),
            "the operation is in a scope: {gradient:?}"
        );
    }
}

/// What is recorded is right: against central differences, and the same where a scope is lifted.
fn is_differentiated<A: Array>(operation: Operation<A>, operands: &[A]) {
    let recorded = gradient(|operands| weigh(&operation(operands)?), operands);
    assert_close(&recorded, &differences(operation, operands), 1e-2);
    assert!(recorded.iter().any(|&element| element != 0.0));
    let lifted = gradient(|operands| no_grad!(enable_grad!(weigh(&operation(operands)?))), operands);
    assert_eq!(lifted, recorded);
}

/// Each differentiable operation becomes three tests: the law and the gradient on each backend, and their agreement.
macro_rules! operations {
    ($($name:ident($($range:ident $shape:expr),+) $operation:expr;)*) => {$(
        mod $name {
            use super::*;

            fn operation<A: Array>() -> Operation<A> {
                $operation
            }

            fn operands<A: Array>() -> Vec<A> {
                let parts: &[(Range, &[usize])] = &[$(($range, &$shape)),+];
                parts.iter().enumerate().map(|(salt, (range, shape))| operand(*range, shape, salt)).collect()
            }

            #[cfg(feature = "cpu")]
            #[test]
            fn on_cpu() {
                obeys_the_law::<grad_runtime::cpu::Array>(operation(), &operands());
                is_differentiated::<grad_runtime::cpu::Array>(operation(), &operands());
            }

            #[cfg(feature = "mlx")]
            #[test]
            fn on_mlx() {
                obeys_the_law::<grad_runtime::mlx::Array>(operation(), &operands());
                is_differentiated::<grad_runtime::mlx::Array>(operation(), &operands());
            }

            #[cfg(all(feature = "cpu", feature = "mlx"))]
            #[test]
            fn agrees() {
                fn value_and_gradient<A: Array>() -> (Vec<usize>, Vec<f32>, Vec<f32>) {
                    let value = operation::<A>()(&operands()).unwrap();
                    let gradient = gradient(|operands: &[A]| weigh(&operation()(operands)?), &operands());
                    (value.shape(), elements(&value), gradient)
                }
                let (shape, value, gradient) = value_and_gradient::<grad_runtime::cpu::Array>();
                let (mlx_shape, mlx_value, mlx_gradient) = value_and_gradient::<grad_runtime::mlx::Array>();
                assert_eq!(mlx_shape, shape);
                assert_close(&mlx_value, &value, 2e-5);
                assert_close(&mlx_gradient, &gradient, 5e-5);
            }
        }
    )*};
}

operations! {
    abs(Signed [2, 3]) |x| x[0].abs();
    negative(Signed [2, 3]) |x| x[0].negative();
    exp(Signed [2, 3]) |x| x[0].exp();
    log(Positive [2, 3]) |x| x[0].log();
    sqrt(Positive [2, 3]) |x| x[0].sqrt();
    square(Signed [2, 3]) |x| x[0].square();
    sin(Signed [2, 3]) |x| x[0].sin();
    cos(Signed [2, 3]) |x| x[0].cos();
    tanh(Signed [2, 3]) |x| x[0].tanh();
    erf(Signed [2, 3]) |x| x[0].erf();
    sigmoid(Signed [2, 3]) |x| x[0].sigmoid();
    relu(Signed [2, 3]) |x| x[0].relu();
    gelu(Signed [2, 3]) |x| x[0].gelu();

    add(Signed [2, 3], Signed [2, 3]) |x| x[0].add(&x[1]);
    add_to_a_row(Signed [2, 3], Signed [3]) |x| x[0].add(&x[1]);
    add_column_and_row(Signed [2, 1], Signed [1, 3]) |x| x[0].add(&x[1]);
    subtract(Signed [2, 3], Signed [2, 1]) |x| x[0].subtract(&x[1]);
    multiply(Signed [2, 3], Signed [2, 3]) |x| x[0].multiply(&x[1]);
    multiply_by_a_scalar(Signed [2, 3], Signed []) |x| x[0].multiply(&x[1]);
    multiply_by_itself(Signed [4]) |x| x[0].multiply(&x[0]);
    divide(Signed [2, 3], Positive [3]) |x| x[0].divide(&x[1]);
    maximum(Signed [2, 3], Signed [2, 3]) |x| x[0].maximum(&x[1]);
    minimum(Signed [2, 3], Signed [3]) |x| x[0].minimum(&x[1]);
    power(Positive [2, 3], Signed [2, 3]) |x| x[0].power(&x[1]);
    power_of_a_row(Positive [2, 3], Positive [3]) |x| x[0].power(&x[1]);
    where_cond(Signed [2, 3], Signed [3]) |x| x[0].greater(&x[1])?.where_cond(&x[0].square()?, &x[1]);

    sum_of_an_axis(Signed [2, 3, 2]) |x| x[0].sum(&[1], false);
    sum_of_axes_kept(Signed [2, 3, 2]) |x| x[0].sum(&[0, -1], true);
    sum_of_no_axes(Signed [2, 3]) |x| x[0].sum(&[], false);
    sum_all(Signed [2, 3]) |x| x[0].sum_all();
    mean(Signed [2, 3, 2]) |x| x[0].mean(&[-2], false);
    mean_of_axes_kept(Signed [2, 3, 2]) |x| x[0].mean(&[1, 2], true);
    mean_all(Signed [2, 3]) |x| x[0].mean_all();
    max(Signed [2, 5]) |x| x[0].max(&[1], false);
    max_of_axes(Signed [2, 3, 2]) |x| x[0].max(&[0, 2], true);
    min(Signed [2, 5]) |x| x[0].min(&[-1], true);
    logsumexp(Signed [2, 5]) |x| x[0].logsumexp(&[1], false);
    logsumexp_kept(Signed [2, 5]) |x| x[0].logsumexp(&[0], true);
    softmax(Signed [2, 5]) |x| x[0].softmax(-1);
    softmax_of_the_first_axis(Signed [3, 2]) |x| x[0].softmax(0);

    matmul(Signed [2, 3], Signed [3, 4]) |x| x[0].matmul(&x[1]);
    matmul_of_batches(Signed [2, 2, 3], Signed [2, 3, 2]) |x| x[0].matmul(&x[1]);
    matmul_of_a_batch_and_a_matrix(Signed [2, 2, 3], Signed [3, 2]) |x| x[0].matmul(&x[1]);
    matmul_broadcast(Signed [2, 1, 2, 3], Signed [2, 3, 2]) |x| x[0].matmul(&x[1]);
    matmul_of_vectors(Signed [3], Signed [3]) |x| x[0].matmul(&x[1]);
    matmul_of_a_matrix_and_a_vector(Signed [2, 3], Signed [3]) |x| x[0].matmul(&x[1]);
    matmul_of_a_vector_and_a_matrix(Signed [3], Signed [3, 2]) |x| x[0].matmul(&x[1]);
    matmul_of_transposed(Signed [3, 2], Signed [4, 3]) |x| x[0].transpose(&[1, 0])?.matmul(&x[1].transpose(&[1, 0])?);
    layer_norm(Signed [2, 5], Positive [5], Signed [5]) |x| x[0].layer_norm(&x[1], &x[2], 1e-5);
    layer_norm_of_a_batch(Signed [2, 2, 4], Positive [4], Signed [4]) |x| x[0].layer_norm(&x[1], &x[2], 1e-5);

    reshape(Signed [2, 6]) |x| x[0].reshape(&[3, 2, 2]);
    reshape_to_a_scalar(Signed [1, 1]) |x| x[0].reshape(&[]);
    transpose(Signed [2, 3, 4]) |x| x[0].transpose(&[2, 0, -2]);
    expand_dims(Signed [2, 3]) |x| x[0].expand_dims(1);
    expand_dims_at_the_end(Signed [2, 3]) |x| x[0].expand_dims(-1);
    squeeze(Signed [2, 1, 3]) |x| x[0].squeeze(1);
    broadcast_to(Signed [3, 1]) |x| x[0].broadcast_to(&[2, 3, 4]);
    concatenate(Signed [2, 3], Signed [2, 1]) |x| Array::concatenate(x, 1);
    concatenate_twice_the_same(Signed [2, 2]) |x| Array::concatenate(&[x[0].clone(), x[0].clone()], 0);
    slice(Signed [3, 4]) |x| x[0].slice(&[1, 0], &[3, 3]);
    slice_of_everything(Signed [2, 3]) |x| x[0].slice(&[0, 0], &[2, 3]);
    take(Signed [4, 2]) |x| x[0].take(&Array::from_slice(&[3_u32, 0, 3], &[3])?, 0);
    take_a_matrix_of_indices(Signed [2, 4]) |x| x[0].take(&Array::from_slice(&[3_i32, 0, 1, 1], &[2, 2])?, -1);

    // What changes nothing is an operation all the same, and in a scope its result is a constant.
    astype_the_same(Signed [2, 3]) |x| x[0].astype(Dtype::Float32);
    reshape_to_the_same(Signed [2, 3]) |x| x[0].reshape(&[2, 3]);
    broadcast_to_the_same(Signed [2, 3]) |x| x[0].broadcast_to(&[2, 3]);
    transpose_nothing(Signed [2, 3]) |x| x[0].transpose(&[0, 1]);
    concatenate_one(Signed [2, 3]) |x| Array::concatenate(x, 0);
    mean_of_no_axes(Signed [2, 3]) |x| x[0].mean(&[], true);
    max_of_no_axes(Signed [2, 3]) |x| x[0].max(&[], false);
}

/// Operations without a gradient: values, which both backends must give exactly.
mod without_gradient {
    use super::*;

    crate::on_every_backend! {
        fn comparisons<A>() {
            let (x, y): (A, A) = (array(&[1.0, 2.0, 3.0], &[3]), array(&[2.0], &[1]));
            assert_eq!(x.equal(&y).unwrap().to_vec::<bool>().unwrap(), [false, true, false]);
            assert_eq!(x.greater(&y).unwrap().to_vec::<bool>().unwrap(), [false, false, true]);
            assert_eq!(x.less(&y).unwrap().to_vec::<bool>().unwrap(), [true, false, false]);
        }

        fn argmax<A>() {
            let x: A = array(&[1.0, 5.0, 5.0, 9.0, 0.0, 9.0], &[2, 3]);
            let indices = x.argmax(-1, false).unwrap();
            assert_eq!((indices.shape(), indices.dtype()), (vec![2], Dtype::UInt32));
            assert_eq!(indices.to_vec::<u32>().unwrap(), [1, 0], "the first of equals");
            assert_eq!(x.argmax(0, true).unwrap().to_vec::<u32>().unwrap(), [1, 0, 1]);
        }

        /// Comparisons inside a function that is differentiated are constants, and in the way of nobody.
        fn comparisons_inside_a_transform<A>() {
            let x: A = array(&[-1.0, 2.0], &[2]);
            let gradients = A::grad(
                |x| {
                    let mask = x[0].greater(&A::scalar(0.0_f32)?)?.astype(Dtype::Float32)?;
                    x[0].multiply(&mask)?.sum_all()
                },
                &[x],
            );
            assert_eq!(elements(&gradients.unwrap()[0]), [0.0, 1.0]);
        }

        fn stop_gradient<A>() {
            let x: A = array(&[3.0], &[]);
            let (value, gradients) =
                A::value_and_grad(|x| x[0].multiply(&x[0].stop_gradient()?), &[x]).unwrap();
            assert_eq!((value.item::<f32>().unwrap(), gradients[0].item::<f32>().unwrap()), (9.0, 3.0));
        }

        fn constructors<A>() {
            assert_eq!(A::zeros(&[2], Dtype::Float32).unwrap().to_vec::<f32>().unwrap(), [0.0; 2]);
            assert_eq!(A::ones(&[2], Dtype::Int32).unwrap().to_vec::<i32>().unwrap(), [1; 2]);
            assert_eq!(A::full(&[2], 7.0, Dtype::UInt32).unwrap().to_vec::<u32>().unwrap(), [7; 2]);
            assert!(A::full(&[], 1.0, Dtype::Bool).unwrap().item::<bool>().unwrap());
            assert_eq!(A::scalar(f16::from_f32(0.5)).unwrap().item::<f16>().unwrap(), f16::from_f32(0.5));
            assert_eq!(A::scalar(bf16::from_f32(0.5)).unwrap().item::<bf16>().unwrap(), bf16::from_f32(0.5));
            let empty = A::zeros(&[0, 3], Dtype::Float32).unwrap();
            assert_eq!((empty.shape(), empty.size(), empty.to_vec::<f32>().unwrap().len()), (vec![0, 3], 0, 0));
        }

        /// Elements come out in row-major order, whatever views they went through.
        fn elements_of_views<A>() {
            let x: A = array(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]);
            assert_eq!(elements(&x.transpose(&[1, 0]).unwrap()), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
            assert_eq!(elements(&x.slice(&[0, 1], &[2, 3]).unwrap()), [2.0, 3.0, 5.0, 6.0]);
            assert_eq!(elements(&A::scalar(2.0_f32).unwrap().broadcast_to(&[3]).unwrap()), [2.0; 3]);
        }

        fn conversions<A>() {
            let dtypes =
                [Dtype::Float32, Dtype::Float16, Dtype::BFloat16, Dtype::Int32, Dtype::UInt32, Dtype::Bool];
            for from in dtypes {
                for to in dtypes {
                    let ones = A::ones(&[2], from).unwrap().astype(to).unwrap();
                    assert_eq!(ones.dtype(), to);
                    assert_eq!(elements(&ones), [1.0; 2], "{from} to {to}");
                }
            }
            let x: A = array(&[-1.5, 0.0, 2.75], &[3]);
            assert_eq!(x.astype(Dtype::Int32).unwrap().to_vec::<i32>().unwrap(), [-1, 0, 2]);
            assert_eq!(x.astype(Dtype::Bool).unwrap().to_vec::<bool>().unwrap(), [true, false, true]);
        }

        /// The dtype of a result depends on the operands' as MLX has it.
        fn promotion<A>() {
            use Dtype::{BFloat16, Bool, Float16, Float32, Int32, UInt32};
            for (left, right, expected) in [
                (Float32, Float32, Float32),
                (Float16, Float32, Float32),
                (Float16, Float16, Float16),
                (BFloat16, BFloat16, BFloat16),
                (BFloat16, Float16, Float32),
                (Int32, Float16, Float16),
                (Int32, Float32, Float32),
                (Bool, Int32, Int32),
                (Bool, UInt32, UInt32),
                (Int32, Int32, Int32),
            ] {
                let (x, y) = (A::ones(&[2], left).unwrap(), A::ones(&[2], right).unwrap());
                let sum = x.add(&y).unwrap();
                assert_eq!((sum.dtype(), elements(&sum)), (expected, vec![2.0; 2]), "{left} + {right}");
                assert_eq!(y.add(&x).unwrap().dtype(), expected);
                assert!(x.equal(&y).unwrap().to_vec::<bool>().unwrap()[0], "{left} == {right}");
            }
            let three = A::full(&[], 3.0, Int32).unwrap();
            let two = A::full(&[], 2.0, Int32).unwrap();
            assert_eq!(three.divide(&two).unwrap().item::<f32>().unwrap(), 1.5, "a quotient of integers is float32");
            assert_eq!(three.exp().unwrap().dtype(), Float32);
            assert_eq!(A::ones(&[4], Bool).unwrap().sum_all().unwrap().item::<i32>().unwrap(), 4);
            assert_eq!(A::full(&[4], 2.0, Int32).unwrap().mean_all().unwrap().item::<f32>().unwrap(), 2.0);
        }

        /// Gradients have the primal's dtype.
        fn half_precision_gradients<A>() {
            for dtype in [Dtype::Float16, Dtype::BFloat16] {
                let x = A::full(&[2], 3.0, dtype).unwrap();
                let gradients = A::grad(|x| x[0].square()?.sum_all(), &[x]).unwrap();
                assert_eq!(gradients[0].dtype(), dtype);
                assert_eq!(elements(&gradients[0]), [6.0; 2]);
            }
        }
    }
}
