//! 100,000 threads, one after another: each starts Enabled, whatever others left behind.

use std::thread;

use grad_runtime::{GradMode, grad_mode, inference_mode, no_grad};

const THREADS: u64 = 10_000;

/// Starts a tenth of them, in a scope of this thread's.
pub fn run() -> u64 {
    let _scope = inference_mode(true);
    for _ in 0..THREADS {
        let modes = thread::spawn(|| {
            let at_start = grad_mode();
            let (outer, inner) = (no_grad(), inference_mode(true));
            drop(outer); // Before the inner one: this thread stores what it found.
            let within = grad_mode();
            drop(inner);
            std::mem::forget(no_grad()); // The thread ends in its mode.
            (at_start, within)
        });
        assert_eq!(modes.join().unwrap(), (GradMode::Enabled, GradMode::Inference));
    }
    assert_eq!(grad_mode(), GradMode::Inference);
    THREADS
}
