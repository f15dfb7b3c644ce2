//! Attributes on `async fn`: the scope is entered for each poll, and the caller's mode is untouched in between.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures::executor::block_on;
use grad_runtime::GradMode::{Enabled, Inference, NoGrad};
use grad_runtime::prelude::*;
use grad_runtime::{GradMode, grad_mode};
use support::polling::{poll, ready, suspend};

use crate::{Witness, dropped};

#[no_grad]
async fn modes(list: &mut Vec<GradMode>) -> usize {
    list.push(grad_mode());
    suspend().await;
    list.push(grad_mode());
    suspend().await;
    list.push(grad_mode());
    list.len()
}

#[test]
fn guarantee_8_each_poll_is_in_the_scope_and_the_callers_mode_is_untouched() {
    let mut list = vec![];
    let mut future = Box::pin(modes(&mut list));
    for _ in 0..2 {
        assert_eq!(poll(future.as_mut()), Poll::Pending);
        assert_eq!(grad_mode(), Enabled);
    }
    assert_eq!(poll(future.as_mut()), Poll::Ready(3));
    assert_eq!(grad_mode(), Enabled);
    drop(future);
    assert_eq!(list, [NoGrad; 3]);
}

#[test]
fn nothing_runs_before_the_first_poll() {
    let mut list = vec![];
    drop(modes(&mut list));
    assert_eq!(list, []);
}

#[test]
fn a_caller_keeps_its_own_scope() {
    #[enable_grad]
    async fn enabled(list: &mut Vec<GradMode>) {
        list.push(grad_mode());
        suspend().await;
        list.push(grad_mode());
    }
    let mut list = vec![];
    let mut future = Box::pin(enabled(&mut list));
    no_grad! { assert_eq!(poll(future.as_mut()), Poll::Pending) }
    assert_eq!(grad_mode(), Enabled);
    inference_mode! {
        assert_eq!(poll(future.as_mut()), Poll::Ready(()));
        assert_eq!(grad_mode(), Inference);
    }
    drop(future);
    assert_eq!(list, [Enabled, Inference]);
}

/// A future that held a guard while it is suspended would not be `Send`, nor leave the mode of its poller as it was.
#[test]
fn guarantee_9_no_guard_lives_across_a_suspension() {
    #[no_grad]
    async fn suspends() -> GradMode {
        suspend().await;
        grad_mode()
    }
    fn spawnable<F: Future + Send + 'static>(future: F) -> F {
        future
    }
    let mut future = Box::pin(spawnable(suspends()));
    assert!(poll(future.as_mut()).is_pending());
    assert_eq!(grad_mode(), Enabled);
    let (mode, after) = std::thread::spawn(move || (poll(future.as_mut()), grad_mode())).join().unwrap();
    assert_eq!((mode, after), (Poll::Ready(NoGrad), Enabled), "suspended on one thread, resumed on another");
}

#[test]
fn guarantee_8_interleaved_futures() {
    #[no_grad]
    async fn off() -> [GradMode; 2] {
        let first = grad_mode();
        suspend().await;
        [first, grad_mode()]
    }
    #[inference_mode]
    async fn inference() -> [GradMode; 2] {
        let first = grad_mode();
        suspend().await;
        [first, grad_mode()]
    }
    async fn plain() -> [GradMode; 2] {
        let first = grad_mode();
        suspend().await;
        [first, grad_mode()]
    }
    let (mut a, mut b, mut c) = (pin!(off()), pin!(inference()), pin!(plain()));
    assert!(poll(a.as_mut()).is_pending() && poll(b.as_mut()).is_pending() && poll(c.as_mut()).is_pending());
    assert_eq!(poll(b), Poll::Ready([Inference; 2]));
    assert_eq!(poll(c), Poll::Ready([Enabled; 2]));
    assert_eq!(poll(a), Poll::Ready([NoGrad; 2]));
}

#[test]
fn guarantee_2_a_future_dropped_half_way_restores() {
    #[no_grad]
    #[expect(unused_variables)]
    async fn holds(used: Witness, unused: Witness, _: Witness) {
        let _local = Witness("local");
        suspend().await;
        drop(used);
    }
    let future = || holds(Witness("used"), Witness("unused"), Witness("wildcard"));

    let mut half_way = Box::pin(future());
    assert!(poll(half_way.as_mut()).is_pending());
    drop(half_way);
    assert_eq!(dropped(), [("local", NoGrad), ("used", NoGrad), ("wildcard", Enabled), ("unused", Enabled)]);
    assert_eq!(grad_mode(), Enabled);

    block_on(async {
        let mut whole = pin!(future());
        assert!(futures::poll!(whole.as_mut()).is_pending());
        whole.await;
    });
    assert_eq!(dropped(), [("used", NoGrad), ("local", NoGrad), ("wildcard", Enabled), ("unused", Enabled)]);

    // A future that was never polled never entered the scope.
    drop(future());
    assert!(dropped().iter().all(|(_, mode)| *mode == Enabled));
}

#[test]
fn guarantee_2_a_destructor_that_panics_restores() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in the destructor");
        }
    }
    #[no_grad]
    async fn holds(used: Witness) {
        let _panics = Panics;
        suspend().await;
        drop(used);
    }

    let mut half_way = Box::pin(holds(Witness("used")));
    assert!(poll(half_way.as_mut()).is_pending());
    catch_unwind(AssertUnwindSafe(|| drop(half_way))).unwrap_err();
    assert_eq!(grad_mode(), Enabled);
    // Once, and in the scope.
    assert_eq!(dropped(), [("used", NoGrad)]);
}

#[test]
fn guarantee_8_a_value_that_left_its_scope_is_dropped_once_outside() {
    let held = Witness("held");
    let scoped = async move { held.mode() }.with_grad_mode(NoGrad);
    let inner = scoped.into_inner();
    assert_eq!(dropped(), []);
    drop(inner);
    assert_eq!(dropped(), [("held", Enabled)]);
}

#[test]
fn temporaries_of_the_last_expression_are_dropped_in_the_scope() {
    #[no_grad]
    async fn last() -> GradMode {
        suspend().await;
        Witness("temporary").mode()
    }
    let mut future = pin!(last());
    assert!(poll(future.as_mut()).is_pending());
    assert_eq!(poll(future), Poll::Ready(NoGrad));
    assert_eq!(dropped(), [("temporary", NoGrad)]);
}

#[test]
fn guarantee_2_a_panic_restores() {
    #[no_grad]
    async fn panics() -> u8 {
        suspend().await;
        assert_eq!(grad_mode(), NoGrad);
        panic!("on purpose")
    }
    let mut future = Box::pin(panics());
    assert!(poll(future.as_mut()).is_pending());
    let caught = catch_unwind(AssertUnwindSafe(|| poll(future.as_mut())));
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "on purpose");
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn the_condition_is_evaluated_once_at_the_first_poll() {
    use std::cell::RefCell;
    fn condition(seen: &RefCell<Vec<GradMode>>) -> bool {
        seen.borrow_mut().push(grad_mode());
        false
    }
    #[set_grad_enabled(condition(seen))]
    async fn function(seen: &RefCell<Vec<GradMode>>) {
        suspend().await;
        seen.borrow_mut().push(grad_mode());
    }
    let seen = RefCell::default();
    let mut future = pin!(function(&seen));
    assert!(seen.borrow().is_empty());
    assert!(inference_mode!(poll(future.as_mut())).is_pending());
    assert!(poll(future).is_ready());
    assert_eq!(*seen.borrow(), [Inference, NoGrad]);
}

#[test]
fn a_condition_may_be_awaited() {
    #[set_grad_enabled(std::future::ready(false).await)]
    async fn function() -> GradMode {
        grad_mode()
    }
    assert_eq!(block_on(function()), NoGrad);
}

#[test]
fn a_selective_attribute() {
    #[no_grad(backend = Mlx)]
    async fn function() -> (GradMode, GradMode) {
        suspend().await;
        (Mlx.grad_mode(), Cpu.grad_mode())
    }
    let mut future = pin!(function());
    assert!(poll(future.as_mut()).is_pending());
    assert_eq!(Mlx.grad_mode(), Enabled);
    assert_eq!(poll(future), Poll::Ready((NoGrad, Enabled)));
}

struct Model {
    training: bool,
    name: String,
}

trait Layer {
    #[no_grad]
    fn mode(&self) -> GradMode {
        grad_mode()
    }
    async fn forward(&self) -> GradMode;
}

impl Layer for Model {
    #[set_grad_enabled(self.training)]
    async fn forward(&self) -> GradMode {
        let _ = self.mode();
        suspend().await;
        grad_mode()
    }
}

impl Model {
    #[no_grad]
    async fn name(&self) -> &str {
        &self.name
    }

    #[no_grad]
    async fn rename(&mut self, name: &str) -> &mut Self {
        name.clone_into(&mut self.name);
        self
    }

    #[no_grad]
    async fn into_name(mut self) -> String {
        self.name.push('!');
        self.name
    }

    #[no_grad]
    async fn arc(self: Arc<Self>) -> usize {
        self.name.len()
    }
}

#[test]
fn methods() {
    let mut model = Model { training: true, name: "a".to_owned() };
    assert_eq!(ready(model.forward()), Enabled);
    model.training = false;
    assert_eq!(ready(model.forward()), NoGrad);
    assert_eq!(ready(model.name()), "a");
    assert_eq!(ready(model.rename("b")).name, "b");
    assert_eq!(ready(model.into_name()), "b!");
    assert_eq!(ready(Arc::new(Model { training: false, name: "c".to_owned() }).arc()), 1);
}

#[test]
fn return_types() {
    #[no_grad]
    async fn coerced(flag: bool) -> Vec<Box<dyn Display>> {
        if flag {
            return vec![];
        }
        vec![Box::new(1), Box::new("two")]
    }
    #[no_grad]
    async fn fallible(text: &str) -> Result<u8, Box<dyn std::error::Error>> {
        let number = text.parse()?;
        suspend().await;
        Ok(number)
    }
    #[no_grad]
    async fn opaque(n: u32) -> impl Iterator<Item = u32> {
        (0..n).map(|x| x * 2)
    }
    #[no_grad]
    async fn opaque_inside(n: u32) -> Result<impl Fn(u32) -> u32, std::num::ParseIntError> {
        let m: u32 = "1".parse()?;
        Ok(move |x| x + n + m)
    }
    #[no_grad]
    async fn borrowed<'a, T: ?Sized>(first: &'a T, _second: &T) -> &'a T {
        first
    }
    #[no_grad]
    async fn unit(list: &mut Vec<u8>) {
        list.push(1);
    }
    #[no_grad]
    async fn explicit_unit(list: &mut Vec<u8>) -> () {
        list.push(2);
    }
    #[no_grad]
    #[allow(dead_code)]
    async fn never() -> ! {
        loop {
            suspend().await;
        }
    }
    assert_eq!(ready(coerced(false)).len(), 2);
    assert_eq!(ready(coerced(true)).len(), 0);
    assert_eq!(ready(fallible("7")).unwrap(), 7);
    assert_eq!(ready(fallible("x")).unwrap_err().to_string(), "invalid digit found in string");
    assert_eq!(ready(opaque(3)).collect::<Vec<_>>(), [0, 2, 4]);
    assert_eq!(ready(opaque_inside(3)).unwrap()(1), 5);
    assert_eq!(ready(borrowed("a", "b")), "a");
    let mut list = vec![];
    ready(unit(&mut list));
    ready(explicit_unit(&mut list));
    assert_eq!(list, [1, 2]);
    let mut diverges = Box::pin(never());
    assert!(poll(diverges.as_mut()).is_pending());
}

#[test]
fn arguments() {
    #[no_grad]
    async fn patterns(mut a: i32, (b, mut c): (i32, i32), [d, ..]: [i32; 2], text: impl AsRef<str>) -> i32 {
        suspend().await;
        a += 1;
        c += 1;
        a + b + c + d + i32::try_from(text.as_ref().len()).unwrap()
    }
    assert_eq!(ready(patterns(1, (10, 100), [1000, 0], "xx")), 1115);
}

#[test]
#[allow(unsafe_code)]
fn unsafe_functions() {
    #[no_grad]
    async unsafe fn function(x: &GradMode) -> (GradMode, GradMode) {
        // SAFETY: a reference is a valid pointer.
        (unsafe { *std::ptr::from_ref(x) }, grad_mode())
    }
    // SAFETY: nothing is asked of the caller.
    assert_eq!(ready(unsafe { function(&Inference) }), (Inference, NoGrad));
}

#[test]
fn recursion() {
    #[no_grad]
    async fn down(n: usize) -> usize {
        if n == 0 {
            return 0;
        }
        suspend().await;
        Box::pin(down(n - 1)).await + 1
    }
    assert_eq!(ready(down(20)), 20);
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn annotated_futures_are_send_and_move_between_threads() {
    #[no_grad]
    async fn travels() -> (GradMode, GradMode) {
        let first = grad_mode();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        (first, grad_mode())
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let tasks: Vec<_> = (0..20).map(|_| runtime.spawn(travels())).collect();
    for task in tasks {
        assert_eq!(runtime.block_on(task).unwrap(), (NoGrad, NoGrad));
    }
    assert_eq!(runtime.block_on(runtime.spawn(async { grad_mode() })).unwrap(), Enabled);
}

#[test]
fn blocks_in_async_functions_between_awaits() {
    async fn function() -> Vec<GradMode> {
        let mut modes = vec![no_grad!(grad_mode())];
        suspend().await;
        let future = no_grad! { async { suspend().await; grad_mode() } };
        modes.push(future.await);
        let closure = no_grad! { async |x: GradMode| { suspend().await; x } };
        modes.push(closure(no_grad!(grad_mode())).await);
        let inner = no_grad! {
            async fn inner() -> GradMode {
                suspend().await;
                grad_mode()
            }
            inner()
        };
        modes.push(inner.await);
        let later = no_grad! { async |_x: GradMode, _y: u8| suspend().await };
        later(Enabled, 1).await;
        let tuple = no_grad! { (async move { 1 }, async { suspend().await; 2 }) };
        assert_eq!((tuple.0.await, tuple.1.await), (1, 2));
        set_grad_enabled!(std::future::ready(false).await, { modes.push(grad_mode()) });
        modes
    }
    assert_eq!(ready(function()), [NoGrad, NoGrad, NoGrad, Enabled, NoGrad]);
}

#[test]
fn with_the_attributes_of_an_executor() {
    #[no_grad]
    #[tokio::main(flavor = "current_thread")]
    async fn above() -> GradMode {
        tokio::task::yield_now().await;
        grad_mode()
    }
    #[tokio::main(flavor = "current_thread")]
    #[no_grad]
    async fn below() -> GradMode {
        tokio::task::yield_now().await;
        grad_mode()
    }
    assert_eq!((above(), below(), grad_mode()), (NoGrad, NoGrad, Enabled));
}

/// The compiler stores an argument of an `async fn` that is used after an `await` twice, with the attribute and without.
#[test]
#[expect(clippy::large_types_passed_by_value, reason = "a large argument shows")]
fn arguments_that_live_across_an_await_are_not_stored_once_more() {
    async fn plain(list: [u8; 1000], text: String) -> usize {
        suspend().await;
        list.len() + text.len()
    }
    #[no_grad]
    async fn annotated(list: [u8; 1000], text: String) -> usize {
        suspend().await;
        list.len() + text.len()
    }
    let (plain, annotated) = (plain([0; 1000], String::new()), annotated([0; 1000], String::new()));
    assert!(size_of_val(&annotated) <= size_of_val(&plain) + 16);
    assert_eq!((ready(plain), ready(annotated)), (1000, 1000));
}

/// Ten levels need no `recursion_limit`.
#[test]
fn ten_nested_futures_are_send() {
    macro_rules! around {
        ($name:ident $($next:ident)*) => {
            #[no_grad]
            async fn $name() -> usize {
                around!(@next $($next)*)
            }
            around!($($next)*);
        };
        (@next $next:ident $($rest:ident)*) => { $next().await + 1 };
        (@next) => { 1 };
        () => {};
    }
    fn send<T: Send>(value: T) -> T {
        value
    }
    around!(a b c d e f g h i j);
    assert_eq!(ready(send(a())), 10);
}
