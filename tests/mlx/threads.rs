//! Threads that use MLX at once, and what MLX keeps for each of them while it ends.

use std::cell::RefCell;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use grad_runtime::mlx;

#[test]
fn threads_at_once_compute_what_one_computes_alone() {
    let output = Command::new(env!("CARGO_BIN_EXE_mlx-at-once")).arg("200").output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stdout.trim_end(), "3 threads, 200 steps, the weights of one thread alone");
}

/// Uses its array while its thread's own values are destroyed, and says how that went.
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

/// The thread used MLX first: its array is dropped before MLX's part of the thread.
#[test]
fn an_array_that_is_dropped_while_mlx_is_there() {
    let (report, reported) = array_and_report();
    thread::spawn(move || {
        let array = mlx::Array::scalar(3.0_f32).unwrap();
        AT_EXIT.set(Some(AtExit { array, report }));
    })
    .join()
    .unwrap();
    assert_eq!(reported.recv().unwrap(), Ok(9.0));
}

/// The thread-local came first, so MLX's part of the thread is gone when the array is: an error, and no use of what is
/// destroyed.
#[test]
fn an_array_that_outlives_mlx() {
    let (report, reported) = array_and_report();
    thread::spawn(move || {
        AT_EXIT.with_borrow_mut(|place| assert!(place.is_none()));
        let array = mlx::Array::scalar(3.0_f32).unwrap();
        AT_EXIT.set(Some(AtExit { array, report }));
    })
    .join()
    .unwrap();
    let message = reported.recv().unwrap().unwrap_err();
    assert!(message.contains("this thread is ending"), "{message}");
}
