//! A million small transforms, a third of them in scopes, a third with scopes in them.

use grad_runtime::{Array, no_grad};

const TRANSFORMS: u64 = 100_000;

/// Runs a tenth of them.
#[expect(clippy::float_cmp, reason = "float32 represents these numbers")]
pub fn run<A: Array>() -> u64 {
    let x = [A::scalar(3.0_f32).unwrap()];
    let plain = |x: &[A]| x[0].multiply(&x[0]);
    let cut = |x: &[A]| x[0].multiply(&no_grad! { x[0].multiply(&x[0])? });
    for _ in 0..TRANSFORMS / 3 {
        assert_eq!(A::grad(plain, &x).unwrap()[0].item::<f32>().unwrap(), 6.0);
        assert_eq!(A::grad(cut, &x).unwrap()[0].item::<f32>().unwrap(), 9.0);
        let within = no_grad! { A::grad(plain, &x).unwrap() };
        assert_eq!(within[0].item::<f32>().unwrap(), 6.0);
    }
    TRANSFORMS / 3 * 3
}
