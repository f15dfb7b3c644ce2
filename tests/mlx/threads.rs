//! Threads that use MLX concurrently, and MLX's thread-local state while a thread ends.

use std::cell::RefCell;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use grad_runtime::mlx;
use support::implements;
use support::processes::run;

/// The implementations that explain the compile error never apply. `packages/compile-fail` has the errors.
#[test]
fn types_of_mlx_are_neither_send_nor_sync() {
    macro_rules! stay {
        ($($type:ty),*) => {
            $(assert!(!implements!($type: Send) && !implements!($type: Sync), stringify!($type));)*
        };
    }
    stay!(
        mlx::Array,
        mlx::Stream,
        mlx::Compiled,
        mlx::Checkpoint,
        mlx::CustomFunction,
        Vec<mlx::Array>,
        &mlx::Array
    );
    assert!(implements!(mlx::Device: Send), "the check itself");
}

#[test]
fn concurrent_threads_compute_the_same_as_one() {
    let stdout = run(Command::new(env!("CARGO_BIN_EXE_mlx-at-once")).arg("200"));
    assert_eq!(stdout, "3 threads, 200 steps, the weights of one thread alone");
}

/// Uses its array while the thread-locals of its thread are destroyed, and reports the outcome.
struct AtExit {
    array: mlx::Array,
    report: Sender<Result<f32, String>>,
}

impl Drop for AtExit {
    fn drop(&mut self) {
        // An operation that fails, one that succeeds, and a transform.
        let failed = self.array.reshape(&[7]).map(|_| ()).map_err(|error| error.to_string());
        let squared = self.array.square().and_then(|square| square.item::<f32>());
        let gradients = mlx::Array::grad(|x| x[0].square(), std::slice::from_ref(&self.array));
        assert_eq!(squared.is_ok(), gradients.is_ok());
        assert!(failed.is_err());
        self.report.send(squared.map_err(|error| error.to_string())).unwrap();
    }
}

thread_local!(static AT_EXIT: RefCell<Option<AtExit>> = const { RefCell::new(None) });

type Report = Result<f32, String>;

fn array_and_report() -> (Sender<Report>, Receiver<Report>) {
    channel()
}

/// The thread used MLX before this thread-local, which is therefore destroyed before MLX's state.
#[test]
fn an_array_that_is_dropped_before_mlx() {
    let (report, reported) = array_and_report();
    thread::spawn(move || {
        let array = mlx::Array::scalar(3.0_f32).unwrap();
        AT_EXIT.set(Some(AtExit { array, report }));
    })
    .join()
    .unwrap();
    assert_eq!(reported.recv().unwrap(), Ok(9.0));
}

/// The thread used this thread-local before MLX, so MLX's state is destroyed first. Operations are errors then.
#[test]
fn an_array_that_outlives_mlx() {
    let (report, reported) = array_and_report();
    thread::spawn(move || {
        AT_EXIT.with_borrow_mut(|at_exit| assert!(at_exit.is_none()));
        let array = mlx::Array::scalar(3.0_f32).unwrap();
        AT_EXIT.set(Some(AtExit { array, report }));
    })
    .join()
    .unwrap();
    let message = reported.recv().unwrap().unwrap_err();
    assert!(message.contains("this thread is ending"), "{message}");
}
