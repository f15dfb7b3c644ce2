//! Modes that are carried explicitly, with the libraries that run work elsewhere.

use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use grad_runtime::GradMode::{Enabled, Inference, NoGrad};
use grad_runtime::prelude::*;
use grad_runtime::{GradMode, ModeSnapshot, assert_grad_mode, carry, grad_mode, thread};
use rayon::prelude::*;
use support::backends::OnOff;
use support::polling::poll;

use crate::{Witness, dropped};

const ALL: [GradMode; 3] = [Enabled, NoGrad, Inference];

#[test]
fn a_given_mode_replaces_the_mode_around() {
    for around in ALL {
        for given in ALL {
            let _around = ModeSnapshot::all(around).enter();
            assert_eq!(grad_mode(), around);
            let mut future = pin!(async { (grad_mode(), Mlx.grad_mode()) }.with_grad_mode(given));
            assert_eq!(poll(future.as_mut()), Poll::Ready((given, given)));
            assert_eq!(grad_mode(), around);
            assert_eq!(std::iter::once_with(grad_mode).with_grad_mode(given).next(), Some(given));
            assert_eq!((grad_mode(), Mlx.grad_mode()), (around, around));
        }
    }
    // The first mode given is the innermost.
    let mut twice = std::iter::repeat_with(grad_mode).with_grad_mode(NoGrad).with_grad_mode(Inference);
    assert_eq!(twice.next(), Some(NoGrad));
}

#[test]
fn the_current_mode_of_each_backend_is_carried() {
    let modes = || (Cpu.grad_mode(), Mlx.grad_mode());
    let carried = no_grad! { <Mlx> inference_mode! { <Cpu> carry(modes) } };
    let of_an_iterator = no_grad! { <Mlx> std::iter::repeat_with(modes).in_current_grad_mode() };
    assert_eq!(modes(), (Enabled, Enabled));
    inference_mode! {
        assert_eq!(carried(), (Inference, NoGrad));
        assert_eq!(of_an_iterator.take(1).next(), Some((Enabled, NoGrad)));
        assert_eq!(modes(), (Inference, Inference));
    }
}

#[test]
fn scopes_inside_apply_to_the_carried_mode() {
    let inside = || (grad_mode(), no_grad!(grad_mode()), enable_grad!(grad_mode()));
    assert_eq!(ModeSnapshot::all(Inference).enter_for(inside), (Inference, Inference, Inference));
    assert_eq!(ModeSnapshot::all(NoGrad).enter_for(inside), (NoGrad, NoGrad, Enabled));
    assert_eq!(ModeSnapshot::all(Enabled).enter_for(inside), (Enabled, NoGrad, Enabled));
}

trait EnterFor {
    fn enter_for<R>(self, f: impl FnOnce() -> R) -> R;
}

impl EnterFor for ModeSnapshot {
    fn enter_for<R>(self, f: impl FnOnce() -> R) -> R {
        let _guard = self.enter();
        f()
    }
}

#[test]
fn guarantee_8_values_are_dropped_in_their_mode_even_if_never_run() {
    let witness = Witness("captured");
    let never = no_grad! { carry(move || drop(witness)) };
    drop(never);
    let witness = Witness("iterator");
    drop(std::iter::repeat_with(move || witness.mode()).with_grad_mode(Inference));
    assert_eq!(dropped(), [("captured", NoGrad), ("iterator", Inference)]);
}

#[test]
fn guarantee_2_guards_out_of_order_with_a_snapshot() {
    let first = grad_runtime::no_grad();
    let second = ModeSnapshot::all(Inference).enter();
    drop(first);
    assert_eq!(grad_mode(), Inference);
    drop(second);
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn guarantee_1_threads() {
    no_grad! {
        assert_eq!(std::thread::spawn(grad_mode).join().unwrap(), Enabled);
        assert_eq!(std::thread::spawn(carry(grad_mode)).join().unwrap(), NoGrad);
        assert_eq!(thread::spawn(grad_mode).join().unwrap(), NoGrad);
        let local = [1];
        let seen = std::thread::scope(|threads| {
            threads.spawn(carry(|| (local.len(), grad_mode()))).join().unwrap()
        });
        assert_eq!(seen, (1, NoGrad));
    }
    let (jobs, queue) = mpsc::channel::<Box<dyn FnOnce() -> GradMode + Send>>();
    let pool = std::thread::spawn(move || queue.iter().map(|job| (job(), grad_mode())).collect::<Vec<_>>());
    jobs.send(Box::new(no_grad! { carry(grad_mode) })).unwrap();
    jobs.send(Box::new(grad_mode)).unwrap();
    drop(jobs);
    assert_eq!(pool.join().unwrap(), [(NoGrad, Enabled), (Enabled, Enabled)]);
}

#[test]
fn guarantee_2_a_panic_on_another_thread_restores() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let panics = no_grad! { carry(|| { assert_grad_mode(NoGrad); panic!("on purpose") }) };
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.install(panics)));
    assert!(caught.is_err());
    assert_eq!(pool.install(grad_mode), Enabled);
}

#[test]
fn rayon() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let list: Vec<u32> = (0..1000).collect();
    let offset = 1;
    pool.install(fn_once(|| {
        no_grad! {
            // Items run on this thread and on others, which start Enabled. All of them are in the scope.
            let modes: Vec<_> = list.par_iter().map(carry!(|x| (x.pow(2) + offset, grad_mode()))).collect();
            assert!(modes.iter().all(|(_, mode)| *mode == NoGrad));
            assert_eq!(modes[3].0, 10);
            list.par_iter().for_each(carry!(|_| assert_grad_mode(NoGrad)));
            let sum: u32 = list.par_iter().copied().reduce(|| 0, carry!(|a, b| { assert_grad_mode(NoGrad); a + b }));
            assert_eq!(sum, 499_500);
            let (a, b) = rayon::join(carry(grad_mode), carry(grad_mode));
            assert_eq!((a, b), (NoGrad, NoGrad));
            rayon::scope(|scope| scope.spawn(carry!(|_| assert_grad_mode(NoGrad))));
        }
    }));
    let outside: Vec<_> = pool.install(|| list.par_iter().map(|_| grad_mode()).collect());
    assert!(outside.iter().all(|mode| *mode == Enabled));
}

/// Gives a closure its type where inference needs help.
fn fn_once<F: FnOnce()>(f: F) -> F {
    f
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap()
}

/// A xorshift generator, from which each task draws its own interleaving.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[test]
fn guarantee_8_no_task_sees_the_mode_of_another() {
    async fn task(expected: GradMode, mut seed: u64) -> u32 {
        let mut checks = 0;
        for _ in 0..next(&mut seed) % 20 {
            assert_eq!((grad_mode(), Mlx.grad_mode()), (expected, expected));
            checks += 1;
            match next(&mut seed) % 4 {
                0 => tokio::task::yield_now().await,
                1 => tokio::time::sleep(Duration::from_micros(next(&mut seed) % 100)).await,
                2 => {
                    let inner = ALL[usize::try_from(next(&mut seed) % 3).unwrap()];
                    async {
                        tokio::task::yield_now().await;
                        assert_grad_mode(inner);
                    }
                    .with_grad_mode(inner)
                    .await;
                }
                _ => {}
            }
        }
        assert_grad_mode(expected);
        checks
    }
    #[no_grad]
    async fn annotated(seed: u64) -> u32 {
        task(NoGrad, seed).await
    }
    let runtime = runtime();
    let tasks: Vec<_> = (1..=10_000)
        .map(|n: u64| {
            let seed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            match n % 5 {
                0 => runtime.spawn(task(Enabled, seed)),
                1 => runtime.spawn(annotated(seed)),
                2 => inference_mode! { runtime.spawn(task(Inference, seed).in_current_grad_mode()) },
                3 => runtime.spawn(task(NoGrad, seed).with_grad_mode(NoGrad)),
                _ => no_grad! { runtime.spawn(task(Enabled, seed)) }, // Not carried: a task starts Enabled.
            }
        })
        .collect();
    let checks: u32 =
        runtime.block_on(async { futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).sum() });
    assert!(checks > 50_000, "{checks} checks");
}

#[test]
fn tokio_spawn_blocking() {
    let runtime = runtime();
    let (carried, plain) = no_grad! {
        let _context = runtime.enter();
        (tokio::task::spawn_blocking(carry(grad_mode)), tokio::task::spawn_blocking(grad_mode))
    };
    assert_eq!(runtime.block_on(async { (carried.await.unwrap(), plain.await.unwrap()) }), (NoGrad, Enabled));
}

#[test]
fn guarantee_2_select_drops_a_future_half_way() {
    #[no_grad]
    async fn never(started: &mut bool) {
        let _local = Witness("local");
        *started = true;
        std::future::pending::<()>().await;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut started = false;
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = never(&mut started) => unreachable!(),
            () = tokio::task::yield_now() => assert_grad_mode(Enabled),
        }
        assert_grad_mode(Enabled);
    });
    assert!(started);
    assert_eq!(dropped(), [("local", NoGrad)]);
}

#[test]
fn futures_unordered() {
    let tasks: FuturesUnordered<_> = (0..30)
        .map(|n| {
            let expected = ALL[n % 3];
            async move {
                for _ in 0..n {
                    assert_grad_mode(expected);
                    tokio::task::yield_now().await;
                }
                grad_mode() == expected
            }
            .with_grad_mode(expected)
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let seen: Vec<_> = runtime.block_on(tasks.inspect(|_| assert_grad_mode(Enabled)).collect());
    assert_eq!(seen, [true; 30]);
}

#[test]
fn a_local_set() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let set = tokio::task::LocalSet::new();
    let not_send = std::rc::Rc::new(1);
    let task = |expected: GradMode| {
        let held = not_send.clone();
        async move {
            tokio::task::yield_now().await;
            assert_grad_mode(expected);
            *held
        }
    };
    let tasks = [
        no_grad! { set.spawn_local(task(NoGrad).in_current_grad_mode()) },
        set.spawn_local(task(Enabled).with_grad_mode(Enabled)),
        set.spawn_local(task(Inference).with_grad_mode(Inference)),
    ];
    let sum = set.block_on(&runtime, async {
        futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).sum::<i32>()
    });
    assert_eq!(sum, 3);
}

#[test]
fn streams() {
    let modes = futures::stream::iter(0..2).map(|_| grad_mode()).with_grad_mode(NoGrad);
    let seen: Vec<_> = futures::executor::block_on(modes.map(|mode| (mode, grad_mode())).collect());
    assert_eq!(seen, [(NoGrad, Enabled); 2]);
}

#[test]
fn guarantee_8_deferred_results_of_blocks() {
    let closure = no_grad!(|text: &str| (text.len(), grad_mode()));
    assert_eq!((closure("ab"), grad_mode()), ((2, NoGrad), Enabled));
    let typed_by_its_place: Vec<_> = ["a", "bc"].iter().map(no_grad!(|text| (text.len(), grad_mode()))).collect();
    assert_eq!(typed_by_its_place, [(1, NoGrad), (2, NoGrad)]);
    let pointer: fn(u8) -> (u8, GradMode) = no_grad!(|x| (x + 1, grad_mode()));
    assert_eq!(pointer(1), (2, NoGrad));
    let mut count = 0;
    let mut counter = no_grad! {
        let step = 2;
        move || -> (i32, GradMode) { count += step; (count, grad_mode()) }
    };
    assert_eq!((counter(), counter()), ((2, NoGrad), (4, NoGrad)));
    count += 1;
    assert_eq!(count, 1);
    for enabled in [true, false] {
        let chosen = set_grad_enabled!(enabled, |x: u8| (x, is_grad_enabled()));
        assert_eq!((no_grad!(chosen(1)), chosen(2)), ((1, enabled), (2, enabled)));
    }
    let early = no_grad!(|x: Option<u8>| -> Option<(u8, GradMode)> { Some((x? + 1, grad_mode())) });
    assert_eq!((early(Some(1)), early(None)), (Some((2, NoGrad)), None));

    let witness = Witness("captured");
    let mut future = Box::pin(no_grad!(async move {
        tokio::task::yield_now().await;
        witness.mode()
    }));
    assert!(poll(future.as_mut()).is_pending());
    drop(future);
    assert_eq!(dropped(), [("captured", NoGrad)]);
    let on_mlx = no_grad! { <Mlx> async { (Cpu.grad_mode(), Mlx.grad_mode()) } };
    assert_eq!(futures::executor::block_on(on_mlx), (Enabled, NoGrad));
    let asynchronous = no_grad!(async |x: &u8| (*x, grad_mode()));
    assert_eq!(futures::executor::block_on(asynchronous(&1)), (1, NoGrad));
    let carried = no_grad! { carry!(async move { (grad_mode(), Mlx.grad_mode()) }) };
    assert_eq!(futures::executor::block_on(carried), (NoGrad, NoGrad));
}

/// A backend without inference mode reports `NoGrad` there. The mode that the scope asked for is carried.
#[test]
fn guarantee_7_inference_mode_is_carried_to_a_backend_without_one() {
    grad_runtime::install(&OnOff).unwrap();
    let enabled = || enable_grad! { OnOff.records() };
    let serving = inference_mode! { carry(enabled) };
    let evaluating = no_grad! { carry(enabled) };
    let lifted = std::thread::spawn(|| (serving(), evaluating(), OnOff.records())).join().unwrap();
    assert_eq!(lifted, (false, true, true), "`enable_grad` lifts `no_grad`, and not inference mode");
}
