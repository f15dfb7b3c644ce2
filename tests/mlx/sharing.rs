//! Elements that threads share through descriptors of their own: MLX must neither overwrite nor free them while one is alive.

use std::cell::RefCell;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use grad_runtime::mlx::{self, Array, Stream};
use grad_runtime::{Dtype, Error, Result, Shared, mlx::Device, no_grad};
use support::processes::run;

const ELEMENTS: u16 = 5000;
const LENGTH: usize = ELEMENTS as usize;

fn base(first: u16) -> (Array, Vec<f32>) {
    let elements: Vec<f32> = (0..ELEMENTS).map(|at| f32::from((at + first) % 100)).collect();
    (Array::from_slice(&elements, &[LENGTH]).unwrap(), elements)
}

/// Operations in which MLX writes the result into the buffer of an operand that nothing else refers to. Each step drops its operand
/// before it is computed.
fn chain(x: Array) -> Result<Array> {
    let two = Array::scalar(2.0_f32)?;
    let y = x.square()?;
    drop(x);
    y.eval()?;
    let y = y.add(&two)?.negative()?.multiply(&two)?.abs()?;
    y.eval()?;
    y.subtract(&two)?.maximum(&two)
}

fn chain_of(element: f32) -> f32 {
    ((element * element + 2.0) * 2.0 - 2.0).max(2.0)
}

#[test]
fn eight_threads_hold_the_memory_of_one_model() {
    let output = run(Command::new(env!("CARGO_BIN_EXE_mlx-sharing")).arg("50"));
    let bytes: Vec<usize> = output.lines().map(|line| line.split_once(": ").unwrap().1.parse().unwrap()).collect();
    let [model, most, afterwards] = bytes[..] else { panic!("{output}") };
    assert!(model > 4 << 20, "{output}");
    // Beside the model, activations of a few KiB in each thread.
    assert!(most < model + (1 << 20), "{output}");
    assert!(afterwards < 1 << 20, "{output}");
}

#[test]
fn no_thread_overwrites_what_others_have() {
    for round in 0..40 {
        let (x, elements) = base(round);
        let expected: Vec<f32> = elements.iter().copied().map(chain_of).collect();
        let shared = Shared::new(&x).unwrap();
        let workers = [(); 6].map(|()| {
            let shared = shared.clone();
            let expected = expected.clone();
            thread::spawn(move || {
                for _ in 0..5 {
                    let opened = shared.open().unwrap();
                    assert_eq!(chain(opened).unwrap().to_vec::<f32>().unwrap(), expected);
                }
                let last = shared.open().unwrap();
                drop(shared);
                assert_eq!(chain(last).unwrap().to_vec::<f32>().unwrap(), expected);
            })
        });
        // The array that was shared is an operand too, and has no other handle on this thread.
        assert_eq!(chain(x).unwrap().to_vec::<f32>().unwrap(), expected);
        assert_eq!(shared.open().unwrap().to_vec::<f32>().unwrap(), elements);
        // In every other round the workers drop the last handle.
        let kept = (round % 2 == 0).then_some(shared);
        for worker in workers {
            worker.join().unwrap();
        }
        if let Some(shared) = kept {
            assert_eq!(shared.open().unwrap().to_vec::<f32>().unwrap(), elements);
        }
    }
}

#[test]
fn steps_of_a_loop_share_their_state_and_never_change_it() {
    let (sender, states) = channel::<(f32, Shared<Array>)>();
    let reader = thread::spawn(move || {
        let all: Vec<_> = states.into_iter().collect();
        for (value, shared) in &all {
            assert_eq!(shared.open().unwrap().to_vec::<f32>().unwrap(), vec![*value; LENGTH]);
        }
        all.len()
    });
    let one = Array::scalar(1.0_f32).unwrap();
    let mut state = Array::zeros(&[LENGTH], Dtype::Float32).unwrap();
    for step in 1..=100_u8 {
        state = state.add(&one).unwrap();
        sender.send((f32::from(step), Shared::new(&state).unwrap())).unwrap();
    }
    drop(sender);
    assert_eq!(reader.join().unwrap(), 100);
}

#[test]
fn an_array_that_is_being_computed_is_shared_when_it_is_done() {
    let (x, elements) = base(1);
    let mut workers = Vec::new();
    for round in 1..50_u8 {
        let factor = Array::scalar(f32::from(round)).unwrap();
        let y = x.multiply(&factor).unwrap();
        mlx::async_eval(std::slice::from_ref(&y)).unwrap();
        let shared = Shared::new(&y).unwrap();
        drop(y);
        let expected: Vec<f32> = elements.iter().map(|element| element * f32::from(round)).collect();
        workers.push(thread::spawn(move || {
            assert_eq!(shared.open().unwrap().to_vec::<f32>().unwrap(), expected);
        }));
    }
    for worker in workers {
        worker.join().unwrap();
    }
}

#[test]
fn an_array_of_another_stream_is_shared_when_it_is_done() {
    let stream = Stream::new(Device::Cpu).unwrap();
    let (x, elements) = base(2);
    let y = stream.scope(|| x.square()).unwrap().unwrap();
    let shared = Shared::new(&y).unwrap();
    let expected: Vec<f32> = elements.iter().map(|element| element * element).collect();
    thread::spawn(move || assert_eq!(shared.open().unwrap().to_vec::<f32>().unwrap(), expected)).join().unwrap();
}

/// The outputs of one operation are computed together, and each can be shared without the others.
#[test]
fn one_of_several_outputs_is_shared() {
    let (x, elements) = base(3);
    let parts = x.reshape(&[5, LENGTH / 5]).unwrap().split_at(&[1, 3], 0).unwrap();
    let (q, r) = mlx::linalg::qr(&Array::from_slice(&[3.0_f32, 0.0, 0.0, 2.0], &[2, 2]).unwrap()).unwrap();
    let (part, r_alone) = (Shared::new(&parts[1]).unwrap(), Shared::new(&r).unwrap());
    drop((x, parts, q, r));
    thread::spawn(move || {
        let part = part.open().unwrap();
        assert_eq!(part.to_vec::<f32>().unwrap(), elements[1000..3000]);
        let expected: Vec<f32> = elements[1000..3000].iter().copied().map(chain_of).collect();
        assert_eq!(chain(part).unwrap().to_vec::<f32>().unwrap(), expected);
        let r = r_alone.open().unwrap().abs().unwrap();
        assert_eq!(r.to_vec::<f32>().unwrap(), [3.0, 0.0, 0.0, 2.0]);
    })
    .join()
    .unwrap();
}

#[test]
fn arrays_without_elements_cannot_be_shared() {
    let x = Array::from_slice(&[1.0_f32, 2.0], &[2]).unwrap();
    let share = |x: &[Array]| {
        let error = no_grad! { Shared::new(&x[0]) }.unwrap_err().to_string();
        assert!(error.starts_with("cannot share float32["), "{error}");
        Ok::<_, Error>(vec![x[0].square()?])
    };
    mlx::vmap(share, std::slice::from_ref(&x), &[Some(0)], &[0]).unwrap();
    mlx::compile(share).call(std::slice::from_ref(&x)).unwrap();
    assert_eq!(Shared::new(&x).unwrap().open().unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0]);
}

#[test]
fn functions_of_transforms_open_constants() {
    let shared = Shared::new(&Array::from_slice(&[2.0_f32, 5.0], &[2]).unwrap()).unwrap();
    thread::spawn(move || {
        let x = Array::from_slice(&[1.0_f32, 10.0], &[2]).unwrap();
        let inputs = std::slice::from_ref(&x);
        let opened = shared.clone();
        let multiply = move |x: &[Array]| Ok::<_, Error>(vec![opened.open()?.multiply(&x[0])?]);
        for _ in 0..3 {
            let compiled = mlx::compile(multiply.clone()).call(inputs).unwrap();
            assert_eq!(compiled[0].to_vec::<f32>().unwrap(), [2.0, 50.0]);
        }
        let mapped = mlx::vmap(multiply.clone(), inputs, &[Some(0)], &[0]).unwrap();
        assert_eq!(mapped[0].to_vec::<f32>().unwrap(), [2.0, 5.0, 20.0, 50.0]);
        let layer = mlx::checkpoint(multiply.clone());
        let gradients = Array::grad(|x| layer.call(x)?[0].square()?.sum_all(), inputs).unwrap();
        assert_eq!(gradients[0].to_vec::<f32>().unwrap(), [8.0, 500.0]);
        let (_, tangents) = mlx::jvp(multiply, inputs, inputs).unwrap();
        assert_eq!(tangents[0].to_vec::<f32>().unwrap(), [2.0, 50.0]);
        assert_eq!(shared.open().unwrap().to_vec::<f32>().unwrap(), [2.0, 5.0]);
    })
    .join()
    .unwrap();
}

/// Opens an array while the thread-locals of its thread are destroyed, and reports the outcome.
struct AtExit {
    shared: Shared<Array>,
    report: Sender<Result<Vec<f32>, String>>,
}

impl Drop for AtExit {
    fn drop(&mut self) {
        let elements = self.shared.open().and_then(|opened| opened.to_vec::<f32>());
        let reshared = self.shared.open().and_then(|opened| Shared::new(&opened));
        assert_eq!(elements.is_ok(), reshared.is_ok());
        self.report.send(elements.map_err(|error| error.to_string())).unwrap();
    }
}

thread_local!(static AT_EXIT: RefCell<Option<AtExit>> = const { RefCell::new(None) });

/// Runs a thread that sets its thread-local before or after it first uses MLX, and returns what that reports.
fn at_exit(is_before_mlx: bool) -> Result<Vec<f32>, String> {
    let (report, reported) = channel();
    let shared = Shared::new(&Array::scalar(3.0_f32).unwrap()).unwrap();
    thread::spawn(move || {
        if is_before_mlx {
            AT_EXIT.with_borrow_mut(|at_exit| assert!(at_exit.is_none()));
        }
        shared.open().unwrap().square().unwrap().eval().unwrap();
        AT_EXIT.set(Some(AtExit { shared, report }));
    })
    .join()
    .unwrap();
    reported.recv().unwrap()
}

#[test]
fn a_thread_that_is_ending_opens_or_says_why_not() {
    assert_eq!(at_exit(false), Ok(vec![3.0]));
    let message = at_exit(true).unwrap_err();
    assert!(message.starts_with("cannot open: this thread is ending"), "{message}");
}
