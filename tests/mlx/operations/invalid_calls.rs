//! Guarantee 16: an invalid call is an error, whatever its arguments. It neither ends the process, nor exhausts its memory, nor
//! runs forever.
//!
//! `GRAD_FUZZ_CALLS` sets the number of calls of each operation, `GRAD_FUZZ_SEED` the seed.

use std::fmt::Write as _;
use std::fs::File;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use grad_runtime::Dtype;
use grad_runtime::mlx::{self, PadMode, ScanBound, ScanDirection, Triangle, linalg, random};

use super::{Mlx, NAMES, floats, scalar, v};

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Calls one operation in a process of its own.
///
/// The error names the last call where the process ended early.
fn run(operation: &str, calls: u64, seed: u64) -> Result<(), String> {
    const TIME_LIMIT: Duration = Duration::from_secs(120);
    // A file, since writing to a full pipe would block.
    let log =
        std::env::temp_dir().join(format!("grad-fuzz-{}-{}", std::process::id(), operation.replace("::", "-")));
    let [calls, seed] = [calls, seed].map(|number| number.to_string());
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mlx-fuzz"))
        .args([operation, "0", &calls, &seed])
        .stdout(File::create(&log).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.to_string();
        }
        if start.elapsed() > TIME_LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            break format!("still running after {TIME_LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let written = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let last = written.lines().last().unwrap_or_default();
    if last == format!("{operation} done") && status == "exit status: 0" {
        return Ok(());
    }
    let number = last.rsplit(' ').next().unwrap_or_default();
    Err(format!(
        "{status} at call {number} of {operation}: run `mlx-fuzz {operation} {number} {} {seed} verbose`, or start from call 0",
        number.parse::<u64>().map_or(0, |number| number + 1)
    ))
}

#[test]
fn guarantee_16_invalid_calls_are_errors() {
    let (calls, seed) = (variable("GRAD_FUZZ_CALLS", 200), variable("GRAD_FUZZ_SEED", 1));
    let names: Vec<_> = NAMES.iter().map(|(section, name)| format!("{section}::{name}")).collect();
    let workers = thread::available_parallelism().map_or(1, |count| count.get().min(4));
    let failures: String = thread::scope(|scope| {
        let share = |at| names.iter().skip(at).step_by(workers);
        let started: Vec<_> = (0..workers)
            .map(|at| {
                scope.spawn(move || share(at).filter_map(|name| run(name, calls, seed).err()).collect::<Vec<_>>())
            })
            .collect();
        started.into_iter().flat_map(|worker| worker.join().unwrap()).fold(String::new(), |mut all, failure| {
            writeln!(all, "{failure}").unwrap();
            all
        })
    });
    assert!(failures.is_empty(), "\n{failures}");
}

/// Operations that MLX alone has give their reasons in the words of those that both backends have, where it is the same reason.
#[test]
fn messages_say_what_was_found_and_what_to_do() {
    let (x, y) = (floats(&[2, 3], [1.0; 6]), v([1.0; 4]));
    let (integers, scalar) = (x.astype(Dtype::Int32).unwrap(), scalar(1.0_f32));
    let bytes = Mlx::zeros(&[2], Dtype::UInt8).unwrap();
    let key = |key: &Mlx| random::normal(&[2], Dtype::Float32, 0.0, 1.0, key);
    for (result, message) in [
        (
            x.logaddexp(&y),
            "cannot logaddexp float32[2, 3] and float32[4]: lengths 3 and 4 do not broadcast; they must be equal, or one of them 1",
        ),
        (
            x.cumsum(2, ScanDirection::Forward, ScanBound::Inclusive),
            "cannot cumsum float32[2, 3]: axis 2 is out of range for 2 axes; give -2 to 1",
        ),
        (scalar.sort(0), "cannot sort float32[]: axis 0 is out of range; a scalar has no axes"),
        (
            x.prod(&[1, -1], true),
            "cannot prod float32[2, 3]: axis 1 is given twice in [1, -1]; name each axis once",
        ),
        (
            x.swapaxes(0, isize::MAX),
            "cannot swapaxes float32[2, 3]: axis 9223372036854775807 is out of range for 2 axes; give -2 to 1",
        ),
        (mlx::stack(&[], 0), "cannot stack: there are no arrays; pass at least one"),
        (
            mlx::stack(&[x.clone(), y.clone()], 2),
            "cannot stack float32[2, 3] and float32[4]: the arrays have shapes [2, 3] and [4]; they must be equal",
        ),
        (
            x.bitwise_and(&integers),
            "cannot bitwise_and float32[2, 3] and int32[2, 3]: bits of float32 have no meaning; convert it with `astype` to an integer \
             dtype",
        ),
        (linalg::inv(&x), "cannot inv float32[2, 3]: the matrix has 2 rows and 3 columns; it must be square"),
        (
            linalg::inv(&integers),
            "cannot inv int32[2, 3]: the matrix is int32, neither float32 nor float64; convert it with `astype`",
        ),
        (
            key(&x),
            "cannot normal float32[2, 3]: the key is float32[2, 3], not uint32[2]; make one with `random::key`",
        ),
        (
            random::normal(&[2], Dtype::UInt64, -1.0, 1.0, &random::key(1).unwrap()),
            "cannot normal uint32[2]: normal draws are floats; give a float dtype or complex64",
        ),
        (
            integers.pad(&[(0, 1), (0, 0)], 3e9, PadMode::Constant),
            "cannot pad int32[2, 3]: the value 3e+09 is out of range; give one from -2147483648 to 2147483647",
        ),
        (
            bytes.pad(&[(0, 1)], f64::NAN, PadMode::Constant),
            "cannot pad uint8[2]: the value nan is out of range; give one from 0 to 255",
        ),
        (
            x.addmm(&x, &x, 1.0, 1.0),
            "cannot addmm float32[2, 3] and float32[2, 3] and float32[2, 3]: the last axis on the left has length 3 and the last \
             axis but one on the right 2; they must be equal",
        ),
        // A reason that is MLX's own.
        (
            x.kron(&floats(&[0], [])),
            "cannot kron float32[2, 3] and float32[0]: MLX reports: Input arrays cannot be empty",
        ),
        (
            Mlx::grad(|x| linalg::qr(&x[0])?.1.sum_all(), std::slice::from_ref(&x))
                .map(|mut gradients| gradients.remove(0)),
            "cannot grad float32[2, 3]: MLX has no vjp of its operation QRF; define the derivative with `custom_function`, or \
             compute the operation in a no-grad scope",
        ),
    ] {
        assert_eq!(result.unwrap_err().to_string(), message);
    }
}

/// Operations may fail while a thread of MLX's computes them. That is an error too, every time: MLX itself would lose count of
/// its tasks and wait forever.
#[test]
fn guarantee_16_failed_evaluations_are_errors() {
    let singular = floats(&[2, 2], [1.0, 0.0, 1.0, 0.0]);
    for _ in 0..1000 {
        let product = linalg::tri_inv(&singular, Triangle::Lower).unwrap().matmul(&singular).unwrap();
        let message = product.eval().unwrap_err().to_string();
        assert!(message.starts_with("cannot eval float32[2, 2]: MLX reports: "), "{message}");
    }
    let unit = floats(&[2, 2], [1.0, 0.0, 0.0, 1.0]);
    assert_eq!(linalg::inv(&unit).unwrap().matmul(&unit).unwrap().to_vec::<f32>().unwrap(), [1.0, 0.0, 0.0, 1.0]);
}
