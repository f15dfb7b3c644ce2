//! Guarantee 8: work that an annotated function returns to be run later runs in the scope each time, and is dropped in it. The
//! caller's mode is untouched in between.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;

use futures::executor::block_on;
use futures::stream::{FusedStream, Stream, StreamExt};
use grad_runtime::GradMode::{Enabled, Inference, NoGrad};
use grad_runtime::prelude::*;
use grad_runtime::{GradMode, grad_mode};
use support::polling::{poll, ready, suspend};

use crate::{Witness, dropped};

/// Returns the mode before and after a suspension, while `witness` is alive.
async fn modes(witness: Witness) -> [GradMode; 2] {
    let first = grad_mode();
    suspend().await;
    drop(witness);
    [first, grad_mode()]
}

/// Checks guarantee 8 for a future. One that is never polled is dropped in the mode `never_polled`.
fn check_future<F>(make: impl Fn() -> Pin<Box<F>>, never_polled: GradMode)
where
    F: Future<Output = [GradMode; 2]> + ?Sized,
{
    let mut future = make();
    assert_eq!(grad_mode(), Enabled);
    assert!(poll(future.as_mut()).is_pending());
    assert_eq!(grad_mode(), Enabled);
    assert_eq!(poll(future.as_mut()), Poll::Ready([NoGrad; 2]));
    assert_eq!(grad_mode(), Enabled);
    drop(future);
    let mut half_way = make();
    assert!(poll(half_way.as_mut()).is_pending());
    drop(half_way);
    drop(make());
    assert_eq!(dropped(), [("captured", NoGrad), ("captured", NoGrad), ("captured", never_polled)]);
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn guarantee_8_futures() {
    #[no_grad]
    fn opaque() -> impl Future<Output = [GradMode; 2]> {
        assert_eq!(grad_mode(), NoGrad);
        modes(Witness("captured"))
    }
    #[no_grad]
    fn boxed() -> Pin<Box<dyn Future<Output = [GradMode; 2]> + Send>> {
        Box::pin(modes(Witness("captured")))
    }
    #[no_grad]
    fn named() -> futures::future::BoxFuture<'static, [GradMode; 2]> {
        modes(Witness("captured")).boxed()
    }
    use futures::future::FutureExt;
    check_future(|| Box::pin(opaque()), NoGrad);
    check_future(boxed, NoGrad);
    check_future(named, NoGrad);
}

#[test]
fn an_unpinned_box_and_a_question_mark() {
    #[no_grad]
    fn function(text: &str) -> Result<Box<dyn Future<Output = GradMode> + Unpin + '_>, std::num::ParseIntError> {
        let number: i32 = text.parse()?;
        if number == 0 {
            return Ok(Box::new(std::future::ready(Inference)));
        }
        Ok(Box::new(std::future::poll_fn(move |_| {
            assert_eq!(text.parse(), Ok(number));
            Poll::Ready(grad_mode())
        })))
    }
    assert!(function("x").is_err());
    assert_eq!(block_on(function("0").unwrap()), Inference);
    assert_eq!(block_on(function("1").unwrap()), NoGrad);
}

#[test]
fn guarantee_8_streams() {
    #[no_grad]
    fn opaque(n: usize) -> impl FusedStream<Item = GradMode> {
        let witness = Witness("captured");
        futures::stream::iter(0..n).map(move |_| witness.mode()).fuse()
    }
    #[no_grad]
    fn boxed<'a>(n: usize) -> Pin<Box<dyn Stream<Item = GradMode> + Send + 'a>> {
        let witness = Witness("captured");
        Box::pin(futures::stream::iter(0..n).map(move |_| witness.mode()))
    }
    block_on(async {
        let mut stream = pin!(opaque(2));
        assert_eq!(stream.size_hint(), (2, Some(2)));
        while let Some(mode) = stream.next().await {
            assert_eq!((mode, grad_mode()), (NoGrad, Enabled));
        }
        assert!(stream.is_terminated());
        let mut stream = boxed(2);
        assert_eq!(stream.next().await, Some(NoGrad));
        assert_eq!(grad_mode(), Enabled);
    });
    assert_eq!(dropped(), [("captured", NoGrad); 2]);
}

#[no_grad]
fn numbers(list: &[u64]) -> impl DoubleEndedIterator<Item = &u64> + ExactSizeIterator + Clone {
    list.iter().inspect(|_| assert_eq!(grad_mode(), NoGrad))
}

#[test]
fn guarantee_8_iterators() {
    #[no_grad]
    fn opaque() -> impl Iterator<Item = GradMode> {
        let witness = Witness("captured");
        (0..2).map(move |_| witness.mode())
    }
    #[no_grad]
    fn boxed(short: bool) -> Box<dyn DoubleEndedIterator<Item = GradMode>> {
        if short {
            return Box::new(std::iter::empty());
        }
        let witness = Witness("captured");
        Box::new((0..2).map(move |_| witness.mode()))
    }
    for mode in opaque() {
        assert_eq!((mode, grad_mode()), (NoGrad, Enabled));
    }
    assert_eq!(boxed(true).next(), None);
    assert_eq!(boxed(false).next_back(), Some(NoGrad));
    drop(opaque());
    assert_eq!(dropped(), [("captured", NoGrad); 3]);
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn iterators_keep_their_traits_and_length() {
    let list = [1, 2, 3, 4];
    let iterator = || numbers(&list);
    assert_eq!((iterator().len(), iterator().size_hint()), (4, (4, Some(4))));
    assert_eq!((iterator().nth(1), iterator().nth_back(1)), (Some(&2), Some(&3)));
    assert_eq!((iterator().count(), iterator().last()), (4, Some(&4)));
    assert_eq!((iterator().sum::<u64>(), iterator().product::<u64>()), (10, 24));
    assert_eq!(iterator().rev().collect::<Vec<_>>(), [&4, &3, &2, &1]);
    assert_eq!(iterator().try_fold(0, |sum, x| if *x < 3 { Ok(sum + x) } else { Err(sum) }), Err(3));
    let copy = iterator();
    assert_eq!(copy.clone().zip(copy).len(), 4);
}

#[test]
fn guarantee_8_closures_of_the_consumer_run_in_the_consumers_mode() {
    let list = [1, 2];
    let collect = |seen: &mut Vec<GradMode>| {
        numbers(&list).for_each(|_| seen.push(grad_mode()));
        numbers(&list).rfold((), |(), _| seen.push(grad_mode()));
        let _ = numbers(&list).all(|_| {
            seen.push(grad_mode());
            true
        });
    };
    let mut seen = vec![];
    collect(&mut seen);
    assert_eq!(seen, [Enabled; 6]);
    no_grad! { collect(&mut seen) }
    assert_eq!(seen[6..], [NoGrad; 6]);
    let panics = std::panic::catch_unwind(|| numbers(&list).for_each(|&x| assert!(x > 100, "on purpose")));
    assert!(panics.is_err());
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn guarantee_8_closures() {
    #[no_grad]
    fn by_ref(extra: usize) -> impl Fn(&str) -> usize + Send + Clone {
        move |text| {
            assert_eq!(grad_mode(), NoGrad);
            text.len() + extra
        }
    }
    #[no_grad]
    fn by_mut() -> impl FnMut(u8, (u8, u8)) -> Vec<u8> {
        let mut seen = vec![];
        let witness = Witness("captured");
        move |a, (b, c)| {
            assert_eq!(witness.mode(), NoGrad);
            seen.extend([a, b, c]);
            seen.clone()
        }
    }
    #[no_grad]
    fn by_value() -> impl FnOnce() -> GradMode {
        let witness = Witness("captured");
        move || {
            let witness = witness;
            witness.mode()
        }
    }
    #[expect(clippy::type_complexity, reason = "attributes read the type as written")]
    #[no_grad]
    fn boxed(wide: bool) -> Box<dyn Fn(&[u8]) -> &u8 + Send + Sync> {
        if wide {
            return Box::new(|list| &list[1]);
        }
        Box::new(|list| {
            assert_eq!(grad_mode(), NoGrad);
            &list[0]
        })
    }
    #[no_grad]
    fn boxed_once() -> Box<dyn FnOnce(String) -> String> {
        let witness = Witness("captured");
        Box::new(move |text| {
            assert_eq!(witness.mode(), NoGrad);
            text
        })
    }
    #[no_grad]
    fn nested(n: u8) -> impl Fn(u8) -> Box<dyn Iterator<Item = GradMode>> {
        move |m| Box::new((0..n + m).map(|_| grad_mode()))
    }
    let closure = by_ref(1);
    assert_eq!((closure("a"), closure.clone()("ab"), grad_mode()), (2, 3, Enabled));
    let mut closure = by_mut();
    assert_eq!((closure(1, (2, 3)), closure(4, (5, 6)).len(), grad_mode()), (vec![1, 2, 3], 6, Enabled));
    drop(closure);
    assert_eq!((by_value()(), grad_mode()), (NoGrad, Enabled));
    drop(by_value());
    assert_eq!((boxed(false)(&[1, 2]), boxed(true)(&[1, 2])), (&1, &2));
    assert_eq!(boxed_once()("x".to_owned()), "x");
    drop(boxed_once());
    assert_eq!(dropped(), [("captured", NoGrad); 5]);
    assert_eq!(nested(1)(1).map(|mode| (mode, grad_mode())).collect::<Vec<_>>(), [(NoGrad, Enabled); 2]);
}

#[test]
fn guarantee_8_async_closures() {
    #[no_grad]
    fn by_ref(extra: String) -> impl AsyncFn(&str) -> (usize, GradMode) + Clone {
        async move |text| {
            assert_eq!(grad_mode(), NoGrad);
            suspend().await;
            (text.len() + extra.len(), grad_mode())
        }
    }
    #[no_grad]
    fn by_mut() -> Option<impl AsyncFnMut(Option<&str>) -> Vec<GradMode>> {
        let (witness, mut seen) = (Witness("captured"), vec![]);
        Some(async move |_: Option<&str>| {
            seen.push(witness.mode());
            suspend().await;
            seen.clone()
        })
    }
    #[no_grad]
    fn by_value(number: &str) -> Result<impl AsyncFnOnce(&[u8]) -> GradMode, std::num::ParseIntError> {
        let _: u8 = number.parse()?;
        let witness = Witness("captured");
        Ok(async move |_: &[u8]| {
            let witness = witness;
            suspend().await;
            witness.mode()
        })
    }
    #[no_grad]
    fn copy() -> impl AsyncFn(u8) -> GradMode + Copy {
        async |_| grad_mode()
    }
    #[no_grad]
    fn deferred(n: u8) -> impl AsyncFn(&str) -> Result<Box<dyn Iterator<Item = GradMode>>, String> {
        async move |text| {
            if text.is_empty() {
                return Err(text.to_owned());
            }
            let list: Box<dyn Iterator<Item = GradMode>> = Box::new((0..n).map(|_| grad_mode()));
            Ok(list)
        }
    }
    let closure = by_ref("x".to_owned());
    let mut future = Box::pin(closure("yz"));
    assert!(poll(future.as_mut()).is_pending());
    assert_eq!(grad_mode(), Enabled);
    assert_eq!(poll(future.as_mut()), Poll::Ready((3, NoGrad)));
    assert_eq!(ready(closure.clone()("y")), (2, NoGrad));

    let mut closure = by_mut().unwrap();
    assert_eq!(ready(closure(None)), [NoGrad]);
    assert_eq!(ready(closure(Some("x"))), [NoGrad; 2]);
    drop(closure);
    assert_eq!(ready(by_value("1").unwrap()(&[])), NoGrad);
    drop(by_value("1"));
    let mut half_way = Box::pin(by_value("1").unwrap()(&[]));
    assert!(poll(half_way.as_mut()).is_pending());
    drop(half_way);
    assert_eq!(dropped(), [("captured", NoGrad); 4]);
    assert!(by_value("x").is_err());

    let copied = copy();
    assert_eq!((ready(copied(1)), ready(copied(2))), (NoGrad, NoGrad));
    assert!(ready(deferred(2)("x")).unwrap().eq([NoGrad; 2]));
    assert!(ready(deferred(2)("")).is_err());
    assert_eq!(grad_mode(), Enabled);
}

struct Model {
    layers: Vec<u32>,
    training: bool,
}

impl Model {
    #[no_grad]
    fn layers(&mut self) -> impl Iterator<Item = &mut u32> {
        self.layers.iter_mut().inspect(|_| assert_eq!(grad_mode(), NoGrad))
    }

    #[set_grad_enabled(self.training)]
    fn modes(&self) -> impl Iterator<Item = GradMode> + '_ {
        self.layers.iter().map(|_| grad_mode())
    }

    #[no_grad]
    fn layer(&self, at: usize) -> Option<impl Fn(u32) -> (u32, GradMode) + use<'_>> {
        let layer = self.layers.get(at)?;
        Some(move |x| (x + layer, grad_mode()))
    }

    #[no_grad(backend = Mlx)]
    fn on_mlx(self) -> impl Iterator<Item = (GradMode, GradMode)> {
        self.layers.into_iter().map(|_| (Cpu.grad_mode(), Mlx.grad_mode()))
    }

    #[no_grad(eager)]
    fn eager(&self) -> impl Iterator<Item = (GradMode, GradMode)> + Clone {
        let made = grad_mode();
        self.layers.iter().map(move |_| (made, grad_mode()))
    }
}

#[test]
fn methods() {
    let mut model = Model { layers: vec![1, 2], training: false };
    model.layers().for_each(|layer| *layer += 1);
    assert_eq!(model.layers, [2, 3]);
    assert!(model.modes().all(|mode| mode == NoGrad));
    model.training = true;
    assert!(no_grad!(model.modes()).all(|mode| mode == Enabled));
    assert_eq!(model.layer(0).unwrap()(1), (3, NoGrad));
    assert!(model.layer(2).is_none());
    assert!(model.eager().eq([(NoGrad, Enabled); 2]));
    assert!(model.on_mlx().eq([(Enabled, NoGrad); 2]));
}

#[test]
fn an_async_function_that_returns_an_iterator() {
    #[no_grad]
    async fn function(n: u32) -> Result<impl Iterator<Item = GradMode>, String> {
        assert_eq!(grad_mode(), NoGrad);
        Ok((0..n).map(|_| grad_mode()))
    }
    assert!(block_on(function(2)).unwrap().eq([NoGrad; 2]));
}

#[test]
fn auto_traits_are_those_of_the_wrapped_value() {
    fn send_and_sync<T: Send + Sync>(value: T) -> T {
        value
    }
    fn unpin<T: Unpin>(_: &T) {}
    #[no_grad]
    fn ready() -> impl Future<Output = u8> {
        std::future::ready(1)
    }
    let future = send_and_sync(ready());
    unpin(&future);
    assert_eq!(block_on(future), 1);
    let _ = send_and_sync(numbers(&[1]));
}

#[test]
fn wrappers_of_constant_scopes_are_not_larger() {
    #[no_grad]
    fn future<F: Future>(future: F) -> impl Future<Output = F::Output> {
        future
    }
    #[inference_mode(backend = Mlx)]
    fn iterator<I: Iterator>(iterator: I) -> impl Iterator<Item = I::Item> {
        iterator
    }
    #[no_grad]
    fn closure(list: [u64; 3]) -> impl Fn(usize) -> u64 {
        move |at| list[at]
    }
    let wrapped = (std::future::ready([0_u64; 3]), 0..3_u64, [0_u64; 3]);
    assert_eq!(size_of_val(&future(wrapped.0.clone())), size_of_val(&wrapped.0));
    assert_eq!(size_of_val(&iterator(wrapped.1.clone())), size_of_val(&wrapped.1));
    assert_eq!(size_of_val(&closure(wrapped.2)), size_of_val(&wrapped.2));
    // The modes to set are one word.
    assert_eq!(size_of::<grad_runtime::Scoped<[u64; 3]>>(), 24 + 8);
    assert_eq!(size_of::<grad_runtime::Scoped<u8>>(), 8 + 8);
}

mod traits {
    use super::*;

    #[async_trait::async_trait]
    pub trait Outside {
        async fn modes(&self, witness: Witness) -> [GradMode; 2];
        async fn provided(&self) -> [GradMode; 2] {
            self.modes(Witness("captured")).await
        }
    }

    pub trait Native {
        fn modes(&self) -> impl Future<Output = [GradMode; 2]> + Send;
        #[no_grad]
        async fn provided(&self) -> [GradMode; 2] {
            modes(Witness("captured")).await
        }
    }

    pub struct Above;
    pub struct Below;

    #[async_trait::async_trait]
    impl Outside for Above {
        #[no_grad]
        async fn modes(&self, witness: Witness) -> [GradMode; 2] {
            modes(witness).await
        }
    }

    #[async_trait::async_trait]
    #[no_grad]
    impl Outside for Below {
        async fn modes(&self, witness: Witness) -> [GradMode; 2] {
            modes(witness).await
        }
    }

    #[no_grad]
    #[async_trait::async_trait]
    impl Outside for Model {
        async fn modes(&self, witness: Witness) -> [GradMode; 2] {
            modes(witness).await
        }
    }

    impl Native for Above {
        #[no_grad]
        async fn modes(&self) -> [GradMode; 2] {
            modes(Witness("captured")).await
        }
    }

    impl Native for Below {
        #[no_grad]
        fn modes(&self) -> impl Future<Output = [GradMode; 2]> + Send {
            modes(Witness("captured"))
        }
    }
}

#[test]
fn async_trait_in_both_orders() {
    use traits::{Above, Below, Outside};
    let model = Model { layers: vec![], training: false };
    // Above ours, `async_trait` leaves a function that returns a future; below, ours sees an `async fn`.
    let cases: [(&(dyn Outside + Sync), _); 3] = [(&Above, NoGrad), (&Below, NoGrad), (&model, Enabled)];
    for (object, never_polled) in cases {
        check_future(|| object.modes(Witness("captured")), never_polled);
        assert_eq!(block_on_modes(object.provided()), [NoGrad; 2]);
        assert_eq!(dropped().len(), 1);
    }
}

#[test]
fn native_async_methods_of_traits() {
    use traits::{Above, Below, Native};
    assert_eq!(block_on_modes(Box::pin(Above.modes())), [NoGrad; 2]);
    assert_eq!(block_on_modes(Box::pin(Above.provided())), [NoGrad; 2]);
    assert_eq!(dropped(), [("captured", NoGrad); 2]);
    check_future(|| Box::pin(Below.modes()), NoGrad);
}

fn block_on_modes<F>(mut future: Pin<Box<F>>) -> [GradMode; 2]
where
    F: Future<Output = [GradMode; 2]> + ?Sized,
{
    assert!(poll(future.as_mut()).is_pending());
    match poll(future.as_mut()) {
        Poll::Ready(modes) => modes,
        Poll::Pending => panic!("pending twice"),
    }
}

/// A sum that a consumer may record.
#[derive(Debug, PartialEq)]
struct Summed(Vec<GradMode>);

impl std::iter::Sum<u64> for Summed {
    fn sum<I: Iterator<Item = u64>>(iterator: I) -> Self {
        Self(iterator.map(|_| grad_mode()).collect())
    }
}

impl std::iter::Product<u64> for Summed {
    fn product<I: Iterator<Item = u64>>(iterator: I) -> Self {
        Self(iterator.map(|_| grad_mode()).collect())
    }
}

#[test]
fn guarantee_8_sums_of_the_consumer_are_in_the_consumers_mode() {
    #[no_grad]
    fn list(n: u64) -> impl Iterator<Item = u64> {
        1..=n
    }
    assert_eq!(list(2).sum::<Summed>(), Summed(vec![Enabled; 2]));
    assert_eq!(list(2).product::<Summed>(), Summed(vec![Enabled; 2]));
    assert_eq!((list(4).sum::<u64>(), list(4).product::<u64>()), (10, 24));
}

/// Each iterator enters its own scope. The generated code must not double with each level.
#[test]
fn twenty_nested_iterators() {
    macro_rules! around {
        ($inner:ident $($outer:ident)*) => {
            #[no_grad]
            fn $inner() -> impl Iterator<Item = u8> {
                around!(@next $($outer)*)
            }
            around!($($outer)*);
        };
        (@next $next:ident $($rest:ident)*) => { $next().map(|x| x + 1) };
        (@next) => { 0..3 };
        () => {};
    }
    around!(a b c d e f g h i j k l m n o p q r s t);
    assert_eq!(a().fold(0, |sum, x| sum + u32::from(x)), 19 * 3 + 3);
}

#[test]
fn boxed_opaque_types() {
    #[expect(clippy::unnecessary_box_returns, reason = "the box is tested")]
    #[no_grad]
    fn iterator() -> Box<impl Iterator<Item = GradMode>> {
        Box::new(std::iter::once_with(grad_mode))
    }
    #[no_grad]
    fn future() -> Pin<Box<impl Future<Output = GradMode>>> {
        Box::pin(async { grad_mode() })
    }
    assert_eq!(iterator().next(), Some(NoGrad));
    assert_eq!(block_on(future()), NoGrad);
}

#[test]
fn signatures_of_closures_with_trait_objects() {
    #[no_grad]
    fn parser() -> impl Fn(&str) -> Result<f32, Box<dyn std::error::Error>> {
        |text| Ok(text.parse::<f32>()?)
    }
    #[no_grad]
    fn display() -> impl Fn(u8) -> Box<dyn std::fmt::Display> {
        |x| Box::new(x)
    }
    #[no_grad]
    fn writer() -> impl FnMut(&mut dyn std::io::Write, Option<&str>) -> std::io::Result<()> {
        |to, text| to.write_all(text.unwrap_or("none").as_bytes())
    }
    #[no_grad]
    fn first() -> impl for<'a> Fn(&'a [u8]) -> Option<&'a u8> {
        |list| list.first()
    }
    #[no_grad]
    fn early(wide: bool) -> impl Fn(&str) -> Result<usize, Box<dyn std::error::Error>> {
        if wide {
            return (|text| Ok(2 * text.parse::<usize>()?)) as fn(&str) -> _;
        }
        |text| Ok(text.parse::<usize>()?)
    }
    #[no_grad]
    async fn asynchronous() -> impl Fn(&str) -> usize {
        |text| text.len()
    }
    let mut written = vec![];
    writer()(&mut written, Some("x")).unwrap();
    assert_eq!((written, first()(&[1, 2])), (b"x".to_vec(), Some(&1)));
    assert_eq!((early(true)("2").unwrap(), early(false)("2").unwrap()), (4, 2));
    assert_eq!(block_on(asynchronous())("four"), 4);
    assert!((parser()("1.5").unwrap() - 1.5).abs() < f32::EPSILON);
    assert!(parser()("x").is_err());
    assert_eq!(display()(3).to_string(), "3");
}

#[test]
fn a_carried_function_is_unwind_safe() {
    let carried = grad_runtime::no_grad!(grad_runtime::carry(grad_mode));
    assert_eq!(std::panic::catch_unwind(carried).unwrap(), NoGrad);
}

#[test]
fn a_closure_that_returns_a_future() {
    let later = grad_runtime::no_grad!(|x: u8| async move { (x, grad_mode()) });
    assert_eq!(block_on(later(1)), (1, NoGrad));
    let nested = grad_runtime::no_grad!(move |x: u8| (move |y: u8| (x + y, grad_mode())));
    assert_eq!(nested(1)(2), (3, NoGrad));
    let carried = grad_runtime::no_grad! { grad_runtime::carry!(|x: u8| async move { (x, grad_mode()) }) };
    assert_eq!(block_on(carried(1)), (1, NoGrad));
    for enabled in [true, false] {
        let chosen = grad_runtime::set_grad_enabled!(enabled, |x: u8| async move { (x, is_grad_enabled()) });
        assert_eq!(block_on(chosen(1)), (1, enabled));
    }
}

#[test]
fn a_condition_may_have_the_name_of_an_argument() {
    #[set_grad_enabled(skip)]
    fn skips(skip: bool) -> GradMode {
        grad_mode()
    }
    #[inference_mode(eager)]
    fn infers(eager: bool) -> GradMode {
        grad_mode()
    }
    assert_eq!((skips(false), infers(false)), (NoGrad, Enabled));
}
