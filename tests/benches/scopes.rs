//! Measures entering and leaving a scope, beside the same written by hand.
//!
//! Times: `cargo bench -p grad-tests --bench scopes`. Instructions, exact on any machine:
//! `cargo bench -p grad-tests --bench instructions`.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use grad_runtime::attr::no_grad as no_grad_attribute;
use grad_runtime::{Mlx, Scope, is_grad_enabled, no_grad};

thread_local!(static FLAG: Cell<bool> = const { Cell::new(true) });

/// The same without a library: a thread-local flag, swapped and restored, also by a panic.
struct ByHand(bool);

impl ByHand {
    fn enter() -> Self {
        Self(FLAG.replace(false))
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        FLAG.set(self.0);
    }
}

#[no_grad_attribute]
fn annotated(x: f32) -> f32 {
    black_box(x) * 2.0
}

fn with_the_guard_by_hand(x: f32) -> f32 {
    let _guard = no_grad();
    black_box(x) * 2.0
}

/// A future that is never done, and looks at the mode each time it is polled.
async fn looks() {
    poll_fn(|_| {
        black_box(is_grad_enabled());
        Poll::<()>::Pending
    })
    .await;
}

#[no_grad_attribute]
async fn annotated_looks() {
    poll_fn(|_| {
        black_box(is_grad_enabled());
        Poll::<()>::Pending
    })
    .await;
}

fn bench(criterion: &mut Criterion) {
    let mut scopes = criterion.benchmark_group("scope");
    scopes.bench_function("thread-local swap by hand", |bencher| {
        bencher.iter(|| {
            let _guard = ByHand::enter();
            black_box(FLAG.get())
        });
    });
    scopes.bench_function("no_grad()", |bencher| {
        bencher.iter(|| {
            let _guard = no_grad();
            black_box(is_grad_enabled())
        });
    });
    scopes.bench_function("no_grad!", |bencher| bencher.iter(|| no_grad!(black_box(is_grad_enabled()))));
    scopes.bench_function("no_grad! { <Mlx> }", |bencher| {
        bencher.iter(|| no_grad! { <Mlx> black_box(is_grad_enabled()) });
    });
    scopes.bench_function("set_grad_enabled", |bencher| {
        bencher.iter(|| {
            let _guard = Scope::set_grad_enabled(black_box(false)).enter();
            black_box(is_grad_enabled())
        });
    });
    scopes.finish();

    let mut functions = criterion.benchmark_group("function");
    functions.bench_function("guard by hand", |bencher| bencher.iter(|| with_the_guard_by_hand(black_box(1.0))));
    functions.bench_function("#[no_grad]", |bencher| bencher.iter(|| annotated(black_box(1.0))));
    functions.finish();

    let mut polls = criterion.benchmark_group("poll");
    let mut context = Context::from_waker(Waker::noop());
    polls.bench_function("without a scope", |bencher| {
        let mut future = pin!(looks());
        bencher.iter(|| future.as_mut().poll(&mut context));
    });
    polls.bench_function("guard by hand", |bencher| {
        let mut future = pin!(looks());
        bencher.iter(|| {
            let _guard = no_grad();
            future.as_mut().poll(&mut context)
        });
    });
    polls.bench_function("#[no_grad]", |bencher| {
        let mut future = pin!(annotated_looks());
        bencher.iter(|| future.as_mut().poll(&mut context));
    });
    polls.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
