//! Guarantee 16 for long chains of operations: nothing recurses over them.

use std::thread;

use grad_runtime::{Array, Result, no_grad};
use support::arrays::{array, elements};

const OPERATIONS: usize = 100_000;

fn chain<A: Array>(x: &A) -> Result<A> {
    let one = A::scalar(1.0_f32)?;
    (0..OPERATIONS).try_fold(x.clone(), |y, _| y.multiply(&one))
}

fn record_evaluate_differentiate_and_drop<A: Array>() {
    let x: A = array(&[1.0, 2.0], &[2]);
    drop(chain(&x).unwrap());
    assert_eq!(elements(&chain(&x).unwrap()), [1.0, 2.0]);
    let square = |x: &[A]| chain(&x[0])?.multiply(&x[0])?.sum_all();
    assert_eq!(elements(&A::grad(square, std::slice::from_ref(&x)).unwrap()[0]), [2.0, 4.0]);
    let half = |x: &[A]| no_grad!(chain(&x[0])?).multiply(&x[0])?.sum_all();
    assert_eq!(elements(&A::grad(half, &[x]).unwrap()[0]), [1.0, 2.0]);
}

crate::on_every_backend! {
    fn guarantee_16_long_graphs<A>() {
        let small = thread::Builder::new().stack_size(2 << 20);
        small.spawn(record_evaluate_differentiate_and_drop::<A>).unwrap().join().unwrap();
    }
}
