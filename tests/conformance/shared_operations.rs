//! Every operation of the `Array` trait: its values and gradients in a scope and outside, and the agreement of MLX with the CPU
//! fallback.

use grad_runtime::{Array, Dtype, enable_grad, no_grad};
use half::{bf16, f16};
use support::arrays::{array, assert_close, elements};
use support::derivatives::assert_derivative;
#[cfg(feature = "mlx")]
use support::derivatives::assert_forward_mode;
use support::gradients::Range::{self, Positive, Signed};
use support::gradients::{
    Operation, assert_constant_in_a_scope, central_differences, gradient, operands, weighted_sum,
};
#[cfg(feature = "mlx")]
use support::mapped::assert_mapped;

/// Asserts guarantees 3 and 4, and that the derivatives to third order are those of central differences; the gradient also where
/// `enable_grad` lifts a scope.
fn assert_guarantees_and_gradient<A: Array>(operation: Operation<A>, parts: &[(Range, &[usize])]) {
    let operands = &operands(parts)[..];
    assert_constant_in_a_scope(operation, operands);
    let recorded = gradient(|operands| weighted_sum(&operation(operands)?), operands).unwrap();
    assert_close(&recorded, &central_differences(operation, operands), 1e-2);
    assert!(recorded.iter().any(|&element| element != 0.0));
    let lifted = gradient(|operands| no_grad!(enable_grad!(weighted_sum(&operation(operands)?))), operands);
    assert_eq!(lifted.unwrap(), recorded);
    for order in [2, 3] {
        assert_derivative(&operation, order, operands, 3e-2);
    }
}

/// Asserts that both backends give the same value and gradient.
#[cfg(all(feature = "cpu", feature = "mlx"))]
fn assert_agreement(
    on_cpu: Operation<grad_runtime::cpu::Array>,
    on_mlx: Operation<grad_runtime::mlx::Array>,
    parts: &[(Range, &[usize])],
) {
    fn value_and_gradient<A: Array>(
        operation: Operation<A>,
        parts: &[(Range, &[usize])],
    ) -> (Vec<usize>, Vec<f32>, Vec<f32>) {
        let operands = operands(parts);
        let value = operation(&operands).unwrap();
        let gradient = gradient(|operands| weighted_sum(&operation(operands)?), &operands).unwrap();
        (value.shape(), elements(&value), gradient)
    }
    let (shape, value, gradient) = value_and_gradient(on_cpu, parts);
    let (mlx_shape, mlx_value, mlx_gradient) = value_and_gradient(on_mlx, parts);
    assert_eq!(mlx_shape, shape);
    assert_close(&mlx_value, &value, 2e-5);
    assert_close(&mlx_gradient, &gradient, 5e-5);
}

/// Makes tests of each differentiable operation: guarantees and derivatives on each backend, and their agreement; on MLX also
/// forward mode and `vmap`.
macro_rules! operations {
    ($($name:ident($($range:ident $shape:expr),+) $operation:expr;)*) => {$(
        mod $name {
            use super::*;

            const PARTS: &[(Range, &[usize])] = &[$(($range, &$shape)),+];

            fn operation<A: Array>() -> Operation<A> {
                $operation
            }

            #[cfg(feature = "cpu")]
            #[test]
            fn on_cpu() {
                assert_guarantees_and_gradient(operation::<grad_runtime::cpu::Array>(), PARTS);
            }

            #[cfg(feature = "mlx")]
            #[test]
            fn on_mlx() {
                assert_guarantees_and_gradient(operation::<grad_runtime::mlx::Array>(), PARTS);
            }

            #[cfg(feature = "mlx")]
            #[test]
            fn in_forward_mode() {
                assert_forward_mode(&operation(), &operands(PARTS));
            }

            #[cfg(feature = "mlx")]
            #[test]
            fn mapped() {
                assert_mapped(&operation(), &operands(PARTS));
            }

            #[cfg(all(feature = "cpu", feature = "mlx"))]
            #[test]
            fn agrees() {
                assert_agreement(operation(), operation(), PARTS);
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
    addmm(Signed [2, 4], Signed [2, 3], Signed [3, 4]) |x| x[0].addmm(&x[1], &x[2], 2.0, 0.5);
    addmm_of_a_row(Signed [4], Signed [2, 3], Signed [3, 4]) |x| x[0].addmm(&x[1], &x[2], 1.0, 1.0);
    addmm_of_a_scalar(Signed [], Signed [2, 3], Signed [3, 2]) |x| x[0].addmm(&x[1], &x[2], -1.0, 2.0);
    addmm_of_a_column(Signed [2, 1], Signed [2, 3], Signed [3, 2]) |x| x[0].addmm(&x[1], &x[2], 1.0, 2.0);
    addmm_of_a_batch_and_a_matrix(Signed [2, 1, 2], Signed [2, 2, 3], Signed [3, 2]) |x| x[0].addmm(&x[1], &x[2], 0.5, 1.0);
    addmm_of_batches(Signed [2, 2], Signed [2, 2, 3], Signed [2, 3, 2]) |x| x[0].addmm(&x[1], &x[2], 0.5, 2.0);
    addmm_of_a_matrix_and_a_vector(Signed [2], Signed [2, 3], Signed [3]) |x| x[0].addmm(&x[1], &x[2], 1.0, 3.0);
    addmm_of_a_vector_and_a_matrix(Signed [2], Signed [3], Signed [3, 2]) |x| x[0].addmm(&x[1], &x[2], 1.0, 3.0);
    addmm_of_transposed(Signed [4], Signed [3, 2], Signed [4, 3]) |x| {
        x[0].addmm(&x[1].transpose(&[1, 0])?, &x[2].transpose(&[1, 0])?, 1.0, 1.0)
    };
    layer_norm(Signed [2, 5], Positive [5], Signed [5]) |x| x[0].layer_norm(&x[1], &x[2], 1e-5);
    layer_norm_of_a_batch(Signed [2, 2, 4], Positive [4], Signed [4]) |x| x[0].layer_norm(&x[1], &x[2], 1e-5);
    attention(Signed [1, 2, 3, 2], Signed [1, 2, 3, 2], Signed [1, 2, 3, 2]) |x| {
        x[0].scaled_dot_product_attention(&x[1], &x[2], 0.7, None)
    };
    attention_of_fewer_queries(Signed [2, 1, 1, 3], Signed [2, 1, 4, 3], Signed [2, 1, 4, 2]) |x| {
        x[0].scaled_dot_product_attention(&x[1], &x[2], 1.0, None)
    };
    attention_of_grouped_heads(Signed [1, 4, 2, 2], Signed [1, 2, 3, 2], Signed [1, 2, 3, 2]) |x| {
        x[0].scaled_dot_product_attention(&x[1], &x[2], -0.5, None)
    };
    attention_with_a_mask(Signed [1, 2, 2, 2], Signed [1, 2, 3, 2], Signed [1, 2, 3, 2], Signed [2, 1, 3]) |x| {
        x[0].scaled_dot_product_attention(&x[1], &x[2], 0.7, Some(&x[3]))
    };
    attention_of_grouped_heads_with_a_mask(
        Signed [1, 4, 2, 1], Signed [1, 2, 3, 1], Signed [1, 2, 3, 1], Signed [4, 2, 3]
    ) |x| x[0].scaled_dot_product_attention(&x[1], &x[2], 0.7, Some(&x[3]));
    attention_with_a_mask_of_bools(Signed [1, 2, 2, 2], Signed [1, 2, 3, 2], Signed [1, 2, 3, 2]) |x| {
        let mask = Array::from_slice(&[true, false, true, false, true, true], &[1, 1, 2, 3])?;
        x[0].scaled_dot_product_attention(&x[1], &x[2], 0.7, Some(&mask))
    };
    attention_that_hides_all_keys(Signed [1, 2, 2, 2], Signed [1, 2, 3, 2], Signed [1, 2, 3, 2]) |x| {
        let mask = Array::from_slice(&[false, true], &[2, 1])?;
        x[0].scaled_dot_product_attention(&x[1], &x[2], 0.7, Some(&mask))
    };
    attention_of_transposed(Signed [1, 3, 2, 2], Signed [1, 3, 2, 2], Signed [1, 2, 2, 3]) |x| {
        let (queries, keys) = (x[0].transpose(&[0, 2, 1, 3])?, x[1].transpose(&[0, 2, 1, 3])?);
        queries.scaled_dot_product_attention(&keys, &x[2].swapaxes(2, 3)?, 0.7, None)
    };

    reshape(Signed [2, 6]) |x| x[0].reshape(&[3, 2, 2]);
    reshape_to_a_scalar(Signed [1, 1]) |x| x[0].reshape::<usize>(&[]);
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

    reciprocal(Positive [2, 3]) |x| x[0].reciprocal();
    rsqrt(Positive [2, 3]) |x| x[0].rsqrt();
    expm1(Signed [2, 3]) |x| x[0].expm1();
    log1p(Positive [2, 3]) |x| x[0].log1p();
    silu(Signed [2, 3]) |x| x[0].silu();
    clip(Signed [2, 3], Signed [3]) |x| x[0].clip(&x[1].subtract(0.5)?, &x[1].add(1)?);
    clip_to_numbers(Signed [2, 3]) |x| x[0].clip(-1.0, 1.0);
    var(Signed [2, 3]) |x| x[0].var(&[1], false, 0);
    var_of_a_sample(Signed [2, 3]) |x| x[0].var(&[0, 1], true, 1);
    standard_deviation(Signed [2, 3]) |x| x[0].std(&[1], true, 1);
    log_softmax(Signed [2, 3]) |x| x[0].log_softmax(-1);
    log_softmax_over_the_first_axis(Signed [2, 3]) |x| x[0].log_softmax(0);
    cross_entropy(Signed [2, 3]) |x| x[0].cross_entropy(&Array::from_slice(&[2_i64, 0], &[2])?);
    cross_entropy_of_a_batch(Signed [2, 2, 3]) |x| x[0].cross_entropy(&Array::from_slice(&[2_u8, 0, 1, 1], &[2, 2])?);
    narrow(Signed [3, 4]) |x| x[0].narrow(1, 1, 2);
    split(Signed [3, 4]) |x| x[0].split(2, 1)?[1].multiply(&x[0].split(2, 1)?[0]);
    stack(Signed [2, 3], Signed [2, 3]) |x| Array::stack(x, 1);
    flatten(Signed [2, 3, 2]) |x| x[0].flatten(1, -1);
    swapaxes(Signed [2, 3, 4]) |x| x[0].swapaxes(0, -1);
    contiguous(Signed [2, 3, 4]) |x| x[0].transpose(&[1, 2, 0])?.contiguous();
    prepacked(Signed [64, 2]) |x| x[0].swapaxes(0, 1)?.prepacked();
    prepacked_array_of_three_axes(Signed [2, 3, 4]) |x| x[0].transpose(&[1, 2, 0])?.prepacked();
    product_of_a_prepacked_matrix(Signed [2, 1], Signed [64, 1]) |x| x[0].matmul(&x[1].swapaxes(0, 1)?.prepacked()?);
    addmm_of_a_prepacked_matrix(Signed [1], Signed [2, 1], Signed [65, 1]) |x| x[0].addmm(&x[1], &x[2].swapaxes(0, 1)?.prepacked()?, 0.5, 2.0);
    take_along_axis(Signed [2, 4]) |x| x[0].take_along_axis(&Array::from_slice(&[3_i64, 0, 0, 1, 1, 1], &[2, 3])?, 1);
    take_along_axis_of_a_broadcast_index(Signed [3, 2]) |x| x[0].take_along_axis(&Array::from_slice(&[2, 0], &[2, 1])?, 0);
    take_along_axis_of_a_broadcast_array(Signed [2, 1]) |x| x[0].take_along_axis(&Array::from_slice(&[1, 0, 1], &[1, 3])?, 0);
    tril(Signed [2, 3, 3]) |x| x[0].tril(-1);
    triu(Signed [3, 2]) |x| x[0].triu(0);
    reshape_by_minus_one(Signed [2, 6]) |x| x[0].reshape(&[-1, 3]);
    scalars(Positive [2, 3]) |x| x[0].multiply(0.5)?.add(1)?.power(2)?.divide(3.0)?.maximum(0.2);
    scalar_in_where_cond(Signed [2, 3]) |x| x[0].greater(0)?.where_cond(&x[0], 0.5);
    take_by_wide_indices(Signed [4, 2]) |x| x[0].take(&Array::from_slice(&[3_i64, 0, 3], &[3])?, 0);
    take_by_narrow_indices(Signed [4, 2]) |x| x[0].take(&Array::from_slice(&[3_u8, 0, 3], &[3])?, 0);

    // Operations that change nothing. In a scope, their result is a constant too.
    astype_the_same(Signed [2, 3]) |x| x[0].astype(Dtype::Float32);
    reshape_to_the_same(Signed [2, 3]) |x| x[0].reshape(&[2, 3]);
    broadcast_to_the_same(Signed [2, 3]) |x| x[0].broadcast_to(&[2, 3]);
    transpose_nothing(Signed [2, 3]) |x| x[0].transpose(&[0, 1]);
    concatenate_one(Signed [2, 3]) |x| Array::concatenate(x, 0);
    mean_of_no_axes(Signed [2, 3]) |x| x[0].mean(&[], true);
    max_of_no_axes(Signed [2, 3]) |x| x[0].max(&[], false);
}

/// Operations without a gradient, whose values are exact on both backends.
mod without_gradient {
    use super::*;

    crate::on_every_backend! {
        fn steps<A>() {
            let x: A = array(&[-1.5, 0.0, 2.5], &[3]);
            let steps: [fn(&A) -> grad_runtime::Result<A>; 3] = [A::sign, A::floor, A::ceil];
            for (step, expected) in steps.into_iter().zip([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 3.0]]) {
                assert_eq!(elements(&step(&x).unwrap()), expected);
                let gradients = A::grad(|x| step(&x[0])?.multiply(&x[0])?.sum_all(), std::slice::from_ref(&x)).unwrap();
                assert_eq!(elements(&gradients[0]), expected, "the step is a constant factor");
            }
        }

        fn logic<A>() {
            let (x, y): (A, A) = (array(&[0.0, 0.0, 2.0, f32::NAN], &[4]), array(&[0.0, 3.0, 0.0, 1.0], &[4]));
            assert_eq!(x.logical_and(&y).unwrap().to_vec::<bool>().unwrap(), [false, false, false, true]);
            assert_eq!(x.logical_or(&y).unwrap().to_vec::<bool>().unwrap(), [false, true, true, true]);
            assert_eq!(x.logical_not().unwrap().to_vec::<bool>().unwrap(), [true, true, false, false]);
            assert_eq!(x.isnan().unwrap().to_vec::<bool>().unwrap(), [false, false, false, true]);
            assert!(x.any(&[0], false).unwrap().item::<bool>().unwrap());
            assert!(!x.all(&[0], false).unwrap().item::<bool>().unwrap());
            let none = A::zeros(&[2, 0], Dtype::Float32).unwrap();
            assert_eq!(none.all(&[1], false).unwrap().to_vec::<bool>().unwrap(), [true, true]);
            assert_eq!(none.any(&[1], true).unwrap().to_vec::<bool>().unwrap(), [false, false]);
        }

        fn one_hot<A>() {
            let classes = A::from_slice(&[2_i64, -1, 0, 3], &[2, 2]).unwrap();
            let rows = classes.one_hot(3, Dtype::Int32).unwrap();
            assert_eq!(rows.shape(), [2, 2, 3]);
            assert_eq!(rows.to_vec::<i32>().unwrap(), [0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
            assert_eq!(classes.one_hot(0, Dtype::Bool).unwrap().shape(), [2, 2, 0]);
        }

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
            assert_eq!(indices.to_vec::<u32>().unwrap(), [1, 0], "the first maximum");
            assert_eq!(x.argmax(0, true).unwrap().to_vec::<u32>().unwrap(), [1, 0, 1]);
            // Axes of length 1, and axes that were broadcast.
            let one = A::zeros(&[1, 2], Dtype::Float32).unwrap();
            assert_eq!(one.argmax(0, false).unwrap().to_vec::<u32>().unwrap(), [0, 0]);
            assert_eq!(one.argmax(1, false).unwrap().to_vec::<u32>().unwrap(), [0]);
            let broadcast = A::scalar(2.0_f32).unwrap().broadcast_to(&[1]).unwrap();
            assert_eq!(broadcast.argmax(0, false).unwrap().to_vec::<u32>().unwrap(), [0]);
        }

        /// Comparisons inside a differentiated function are constants.
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

        /// Elements are in row-major order, also those of views.
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

        /// The dtype of a result is that of MLX's promotion.
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

        /// A gradient has the dtype of its primal.
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
