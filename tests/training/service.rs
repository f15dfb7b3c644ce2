//! An inference service: requests that are handled at the same time on a runtime with several threads, all with one copy of the
//! weights.

use grad_runtime::attr::no_grad;
use grad_runtime::params::SharedParams;
use grad_runtime::{Array, Result, is_grad_enabled, params};
use support::arrays::elements;
use support::on_every_backend;

use crate::models::{Mlp, wave};

const SIZES: [usize; 3] = [3, 8, 2];

/// Waits for its batch and answers. The model is opened on the thread that computes, and nothing of an array is held across an
/// await.
#[no_grad]
async fn answer<A: Array>(weights: SharedParams<A>, request: u32) -> Result<Vec<f32>> {
    tokio::task::yield_now().await;
    assert!(!is_grad_enabled(), "wherever the task goes on");
    let model = weights.open(&Mlp::new(0.0, &SIZES)?)?;
    let answer = model.forward(&wave(f64::from(request), &[1, 3])?)?;
    assert!(!answer.is_traced());
    Ok(elements(&answer))
}

on_every_backend! {
    fn requests_at_the_same_time_have_one_model<A>() {
        let model = Mlp::<A>::new(2.0, &SIZES).unwrap();
        let expected: Vec<_> =
            (0..40_u32).map(|request| elements(&model.forward(&wave(f64::from(request), &[1, 3]).unwrap()).unwrap())).collect();
        let weights = params::share(&model).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
        let answers = runtime.block_on(async {
            let tasks: Vec<_> = (0..40).map(|request| tokio::spawn(answer::<A>(weights.clone(), request))).collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.unwrap().unwrap());
            }
            answers
        });
        assert_eq!(answers, expected);
    }
}
