//! The values of collectives.

use grad_runtime::mlx::{Array, distributed};
use support::rings::{Outcome, Ring};

#[track_caller]
pub fn assert_all_succeed(outcomes: &[Outcome]) {
    for outcome in outcomes {
        assert!(outcome.status.success(), "{}\n{}\n{}", outcome.status, outcome.output, outcome.errors);
    }
}

fn group() -> distributed::Group {
    distributed::init(true, distributed::Backend::Ring).unwrap()
}

#[test]
fn all_sum_adds_the_arrays_of_all_processes() {
    for size in [2, 4] {
        assert_all_succeed(&Ring::new(size).run(|rank| {
            let group = group();
            assert_eq!((group.rank(), group.size()), (rank, size));
            let x = Array::from_slice(&[1.0_f32, rank as f32], &[2]).unwrap();
            let sum = distributed::all_sum(&x, &group).unwrap();
            assert_eq!(sum.to_vec::<f32>().unwrap(), [size as f32, (0..size).sum::<usize>() as f32]);
        }));
    }
}
