//! Every dtype: elements in and out, promotion, conversion, numbers beside arrays, and files.

use std::fmt::Debug;

use grad_runtime::{Array, Complex32, Dtype, Element, bf16, f16};
use support::arrays::elements;

/// The common dtype of each pair, as Python MLX 0.32.4 has it:
///
/// ```python
/// import mlx.core as mx
/// names = "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64".split()
/// dtypes = [mx.bool_] + [getattr(mx, name) for name in names[1:]]
/// mx.set_default_device(mx.cpu)
/// for x, name in zip(dtypes, names):
///     sums = [mx.zeros((1,), x) + mx.zeros((1,), y) for y in dtypes]
///     print(name, *[str(z.dtype).split(".")[-1].rstrip("_") for z in sums])
/// ```
const PROMOTION: &str = "
bool bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64
uint8 uint8 uint8 uint16 uint32 uint64 int16 int16 int32 int64 float16 bfloat16 float32 float64 complex64
uint16 uint16 uint16 uint16 uint32 uint64 int32 int32 int32 int64 float16 bfloat16 float32 float64 complex64
uint32 uint32 uint32 uint32 uint32 uint64 int64 int64 int64 int64 float16 bfloat16 float32 float64 complex64
uint64 uint64 uint64 uint64 uint64 uint64 float32 float32 float32 float32 float16 bfloat16 float32 float64 complex64
int8 int8 int16 int32 int64 float32 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64
int16 int16 int16 int32 int64 float32 int16 int16 int32 int64 float16 bfloat16 float32 float64 complex64
int32 int32 int32 int32 int64 float32 int32 int32 int32 int64 float16 bfloat16 float32 float64 complex64
int64 int64 int64 int64 int64 float32 int64 int64 int64 int64 float16 bfloat16 float32 float64 complex64
float16 float16 float16 float16 float16 float16 float16 float16 float16 float16 float16 float32 float32 float64 complex64
bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 float32 bfloat16 float32 float64 complex64
float32 float32 float32 float32 float32 float32 float32 float32 float32 float32 float32 float32 float32 float64 complex64
float64 float64 float64 float64 float64 float64 float64 float64 float64 float64 float64 float64 float64 float64 complex64
complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64
";

fn named(name: &str) -> Dtype {
    *Dtype::ALL.iter().find(|dtype| dtype.to_string() == name).unwrap()
}

/// Returns each pair of dtypes with their common one.
fn promotion() -> Vec<(Dtype, Dtype, Dtype)> {
    let rows: Vec<Vec<Dtype>> = PROMOTION.trim().lines().map(|line| line.split(' ').map(named).collect()).collect();
    let columns: Vec<Dtype> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(columns.len(), Dtype::ALL.len(), "a row for each dtype");
    let pairs = |row: &Vec<Dtype>| {
        let left = row[0];
        columns.iter().zip(&row[1..]).map(move |(right, common)| (left, *right, *common)).collect::<Vec<_>>()
    };
    rows.iter().flat_map(pairs).collect()
}

#[test]
fn promotion_is_that_of_mlx() {
    for (left, right, common) in promotion() {
        assert_eq!(left.promote(right), common, "{left} and {right}");
    }
}

/// Dtypes that the CPU fallback lacks.
const MLX_ALONE: [Dtype; 4] = [Dtype::Int8, Dtype::UInt16, Dtype::UInt64, Dtype::Complex64];

/// Returns the dtypes that a backend has.
pub fn dtypes<A: Array>() -> Vec<Dtype> {
    let has_all = A::backend().name() == "mlx";
    Dtype::ALL.iter().copied().filter(|dtype| has_all || !MLX_ALONE.contains(dtype)).collect()
}

/// Asserts that elements come out as they went in, also through views and through a file.
fn assert_round_trip<A: Array, T: Element + PartialEq + Debug>(all: &[T]) {
    if !dtypes::<A>().contains(&T::DTYPE) {
        let error = A::from_slice(all, &[all.len()]).unwrap_err().to_string();
        let expected = format!("the CPU fallback has no {} arrays; use ", T::DTYPE);
        assert!(error.contains(&expected), "{error}");
        return;
    }
    let x = A::from_slice(all, &[all.len()]).unwrap();
    assert_eq!((x.dtype(), x.to_vec::<T>().unwrap()), (T::DTYPE, all.to_vec()));
    let reversed: Vec<i32> = (0..i32::try_from(all.len()).unwrap()).rev().collect();
    let back = x.take(&A::from_slice(&reversed, &[all.len()]).unwrap(), 0).unwrap();
    assert_eq!(back.to_vec::<T>().unwrap(), all.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(A::full(&[2], all[0], T::DTYPE).unwrap().to_vec::<T>().unwrap(), [all[0]; 2]);
    assert_eq!(A::scalar(all[0]).unwrap().item::<T>().unwrap(), all[0]);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    grad_runtime::safetensors::save(&path, [("x", &x)]).unwrap();
    let loaded = grad_runtime::safetensors::load::<A>(&path).unwrap();
    assert_eq!((loaded["x"].dtype(), loaded["x"].to_vec::<T>().unwrap()), (T::DTYPE, all.to_vec()));
}

crate::on_every_backend! {
    fn elements_of_every_dtype<A>() {
        assert_round_trip::<A, _>(&[1.5_f32, -0.0, f32::MAX, f32::INFINITY]);
        assert_round_trip::<A, _>(&[1.5_f64, f64::MIN_POSITIVE, f64::MAX, std::f64::consts::PI]);
        assert_round_trip::<A, _>(&[f16::from_f32(0.1), f16::MAX, f16::MIN]);
        assert_round_trip::<A, _>(&[bf16::from_f32(0.1), bf16::MAX, bf16::MIN]);
        assert_round_trip::<A, _>(&[i8::MIN, 0, i8::MAX]);
        assert_round_trip::<A, _>(&[i16::MIN, 0, i16::MAX]);
        assert_round_trip::<A, _>(&[i32::MIN, 0, i32::MAX]);
        assert_round_trip::<A, _>(&[i64::MIN, 0, i64::MAX]);
        assert_round_trip::<A, _>(&[0, 1, u8::MAX]);
        assert_round_trip::<A, _>(&[0, 1, u16::MAX]);
        assert_round_trip::<A, _>(&[0, 1, u32::MAX]);
        assert_round_trip::<A, _>(&[0, 1, u64::MAX]);
        assert_round_trip::<A, _>(&[true, false, true]);
        assert_round_trip::<A, _>(&[Complex32::new(1.0, -2.0), Complex32::new(0.0, f32::MAX)]);
    }

    /// The result of an operation on a pair of dtypes has their common one.
    fn promotion_of_operands<A>() {
        let dtypes = dtypes::<A>();
        for (left, right, common) in promotion() {
            if dtypes.contains(&left) && dtypes.contains(&right) {
                let (x, y) = (A::ones(&[2], left).unwrap(), A::ones(&[1], right).unwrap());
                let product = x.multiply(&y).unwrap();
                assert_eq!(product.dtype(), common, "{left} and {right}");
                assert_eq!(elements(&product), [1.0, 1.0]);
                assert!(x.equal(&y).unwrap().all(&[0], false).unwrap().item::<bool>().unwrap());
                assert_eq!(A::concatenate(&[x, y], 0).unwrap().dtype(), common);
            }
        }
    }

    fn conversions_between_all_dtypes<A>() {
        for from in dtypes::<A>() {
            for to in dtypes::<A>() {
                let ones = A::ones(&[2], from).unwrap().astype(to).unwrap();
                assert_eq!((ones.dtype(), elements(&ones)), (to, vec![1.0; 2]), "{from} to {to}");
                let full = A::full(&[1], 1.0, from).unwrap();
                assert_eq!((full.dtype(), elements(&full)), (from, vec![1.0]));
            }
        }
    }

    /// Numbers too large for a float32 arrive whole.
    fn full_takes_any_element_type<A>() {
        let large = 9_007_199_254_740_993_i64; // 2^53 + 1
        assert_eq!(A::full(&[], large, Dtype::Int64).unwrap().item::<i64>().unwrap(), large);
        assert_eq!(A::full(&[], u32::MAX, Dtype::Int64).unwrap().item::<i64>().unwrap(), i64::from(u32::MAX));
        let third = 1.0 / 3.0;
        assert_eq!(A::full(&[], third, Dtype::Float64).unwrap().item::<f64>().unwrap().to_bits(), f64::to_bits(third));
        assert_eq!(A::full(&[], true, Dtype::Float32).unwrap().item::<f32>().unwrap(), 1.0);
        assert!(A::full(&[], 0.5, Dtype::Bool).unwrap().item::<bool>().unwrap());
    }

    /// A number takes the dtype of the array where it fits that.
    fn numbers_beside_arrays<A>() {
        for dtype in dtypes::<A>() {
            let x = A::ones(&[2], dtype).unwrap();
            let of_float = if dtype.is_inexact() { dtype } else { Dtype::Float32 };
            let of_integer = if dtype == Dtype::Bool { Dtype::Int32 } else { dtype };
            assert_eq!(x.multiply(0.5).unwrap().dtype(), of_float, "{dtype}");
            assert_eq!(x.multiply(0.5_f32).unwrap().dtype(), of_float, "{dtype}");
            assert_eq!(x.multiply(f16::ONE).unwrap().dtype(), of_float, "{dtype}");
            assert_eq!(x.add(1).unwrap().dtype(), of_integer, "{dtype}");
            assert_eq!(x.add(1_u8).unwrap().dtype(), of_integer, "{dtype}");
            assert_eq!(x.maximum(true).unwrap().dtype(), dtype);
            assert_eq!(x.equal(0.5).unwrap().dtype(), Dtype::Bool);
            let mask = x.equal(1).unwrap();
            assert_eq!(mask.where_cond(&x, 0.5).unwrap().dtype(), of_float, "{dtype}");
            assert_eq!(mask.where_cond(0, &x).unwrap().dtype(), of_integer, "{dtype}");
        }
        let mask = A::scalar(true).unwrap();
        assert_eq!(mask.where_cond(1.0, 0).unwrap().dtype(), Dtype::Float32);
        assert_eq!(mask.where_cond(1, 0).unwrap().dtype(), Dtype::Int32);
        assert_eq!(mask.where_cond(true, false).unwrap().dtype(), Dtype::Bool);
        assert_eq!(mask.add(1_i64 << 40).unwrap().item::<i64>().unwrap(), (1 << 40) + 1);
        // In a scope, in a transform: a number is a constant.
        let x = A::scalar(bf16::from_f32(3.0)).unwrap();
        let gradients = A::grad(|x| x[0].multiply(0.5)?.add(2)?.power(2), &[x]).unwrap();
        assert_eq!((gradients[0].dtype(), elements(&gradients[0])), (Dtype::BFloat16, vec![3.5]));
    }

    /// Float64 keeps its precision through every operation.
    fn float64_is_computed_in_float64<A>() {
        let x = A::from_slice(&[0.1_f64, 0.7, -1.3, 2.9], &[2, 2]).unwrap();
        let is_close = |found: &A, expected: &[f64], tolerance: f64| {
            let found = found.to_vec::<f64>().unwrap();
            let close = |(x, y): (&f64, &f64)| (x - y).abs() <= tolerance * y.abs().max(1.0);
            assert!(found.iter().zip(expected).all(close), "{found:?} is not {expected:?}");
        };
        let close = |found: &A, expected: &[f64]| is_close(found, expected, 1e-14);
        // As documented, MLX computes these as in float32.
        let of_mlx = if A::backend().name() == "mlx" { 1e-6 } else { 1e-14 };
        let given = [0.1_f64, 0.7, -1.3, 2.9];
        is_close(&x.exp().unwrap(), &given.map(f64::exp), of_mlx);
        close(&x.tanh().unwrap(), &given.map(f64::tanh));
        close(&x.sum_all().unwrap(), &[2.4]);
        close(&x.mean(&[1], false).unwrap(), &[0.4, 0.8]);
        close(&x.maximum(0.3).unwrap(), &[0.3, 0.7, 0.3, 2.9]);
        close(&x.matmul(&x).unwrap(), &[0.01 - 0.91, 0.07 + 2.03, -0.13 - 3.77, -0.91 + 8.41]);
        let softmax = |x: f64, y: f64| x.exp() / (x.exp() + y.exp());
        let rows = [softmax(0.1, 0.7), softmax(0.7, 0.1), softmax(-1.3, 2.9), softmax(2.9, -1.3)];
        is_close(&x.softmax(1).unwrap(), &rows, of_mlx);
        let gradients = A::grad(|x| x[0].sin()?.multiply(&x[0])?.sum_all(), &[x]).unwrap();
        is_close(&gradients[0], &given.map(|x| x.sin() + x * x.cos()), of_mlx);
    }

    /// As users have them: token ids as int64, images as uint8.
    fn token_ids_and_images<A>() {
        let table = A::arange(0.0, 12.0, 1.0, Dtype::Float32).unwrap().reshape(&[6, 2]).unwrap();
        let ids = A::from_slice(&[5_i64, 0, 5], &[3]).unwrap();
        let gradients = A::grad(|table| table[0].take(&ids, 0)?.square()?.sum_all(), &[table]).unwrap();
        assert_eq!(elements(&gradients[0]), [0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 40.0, 44.0]);

        let image = A::from_slice(&[0_u8, 128, 255, 64], &[2, 2]).unwrap();
        let normalized = image.divide(255.0).unwrap();
        assert_eq!((normalized.dtype(), elements(&normalized)[3]), (Dtype::Float32, 64.0 / 255.0));
        assert_eq!(image.sum_all().unwrap().item::<u32>().unwrap(), 447, "wider than uint8");
        assert_eq!(image.add(200_u8).unwrap().to_vec::<u8>().unwrap(), [200, 72, 199, 8], "wraps around");
        for at in [6_i64, -1] {
            assert!(A::ones(&[6, 2], Dtype::Float32).unwrap().take(&A::scalar(at).unwrap(), 0).is_err());
        }
    }
}
