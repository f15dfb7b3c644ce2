//! Guarantee 8 for each kind of deferred result in each position of a return type, written out and made by `macro_rules!`.
#![allow(unused_parens, reason = "types in parentheses are tested")]
#![expect(clippy::unnecessary_box_returns, clippy::type_complexity, reason = "the types are tested")]

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use futures::executor::block_on;
use futures::stream::{Stream, StreamExt};
use grad_runtime::GradMode::{self, Enabled, NoGrad};
use grad_runtime::grad_mode;
use grad_runtime::prelude::*;

/// A macro that the attributes do not know: it may leave the function.
macro_rules! debug {
    ($($format:tt)*) => { if false { eprintln!($($format)*) } };
}

/// Defines a test: functions that return `$opaque` or `$object` in each position, each of which `$run` runs. `$opaque` and
/// `$object` are tokens or, from `positions!(@types …)`, invisible groups.
macro_rules! positions {
    ($name:ident, $opaque:ty, $object:ty, $value:expr, $run:expr) => {
        mod $name {
            use super::*;
            positions!(@functions [$opaque] [$object] $value);

            #[test]
            fn guarantee_8_types_from_macros() {
                check($run);
            }
        }
    };
    ($name:ident, [$($opaque:tt)*] [$($object:tt)*], $value:expr, $run:expr) => {
        mod $name {
            use super::*;
            positions!(@functions [$($opaque)*] [$($object)*] $value);

            #[test]
            fn guarantee_8_written_out() {
                check($run);
            }

            mod made_by_a_macro {
                use super::*;
                positions!(types, $($opaque)*, $($object)*, $value, $run);
            }
        }
    };
    (@functions [$($opaque:tt)*] [$($object:tt)*] $value:expr) => {
        fn object() -> Box<$($object)*> {
            Box::new($value)
        }

        #[no_grad]
        fn bare() -> $($opaque)* {
            $value
        }
        #[no_grad]
        fn bare_after_a_macro(number: &str) -> $($opaque)* {
            debug!("{number}");
            $value
        }
        #[no_grad]
        fn option() -> Option<$($opaque)*> {
            Some($value)
        }
        #[no_grad]
        fn result(number: &str) -> Result<($($opaque)*), std::num::ParseIntError> {
            debug!("{number}");
            let _: u8 = number.parse()?;
            Ok($value)
        }
        #[no_grad]
        fn boxed_opaque() -> Box<$($opaque)*> {
            Box::new($value)
        }
        #[no_grad]
        fn boxed() -> Box<$($object)*> {
            Box::new($value)
        }
        #[no_grad]
        fn boxed_in_parentheses() -> (Option<(Box<($($object)*)>)>) {
            debug!("{}", 1);
            Some(Box::new($value))
        }
        #[no_grad]
        fn boxed_result(number: &str) -> Result<Box<$($object)*>, Box<dyn std::error::Error>> {
            if number.parse::<u8>()? > 100 {
                return Err("too large".into());
            }
            Ok(Box::new($value))
        }
        #[no_grad]
        fn tuple() -> ($($opaque)*, u8, Option<Box<$($object)*>>) {
            ($value, 1, Some(Box::new($value)))
        }
        #[no_grad]
        async fn asynchronous() -> $($opaque)* {
            debug!("{}", 1);
            $value
        }
        #[no_grad]
        async fn asynchronous_result(number: &str) -> Result<(Box<$($object)*>, $($opaque)*), std::num::ParseIntError> {
            let _: u8 = number.parse()?;
            Ok((Box::new($value), $value))
        }
        #[no_grad]
        fn output_of_a_future() -> impl Future<Output = Result<Box<$($object)*>, std::num::ParseIntError>> {
            async {
                let _: u8 = "1".parse()?;
                Ok(object())
            }
        }
        #[no_grad]
        fn output_of_a_boxed_future<'a>() -> Pin<Box<dyn Future<Output = Option<Box<$($object)*>>> + 'a>> {
            Box::pin(async { Some(object()) })
        }
        #[no_grad]
        fn items_of_an_iterator() -> impl Iterator<Item = Box<$($object)*>> + Clone {
            (0..2).map(|_| object())
        }
        #[no_grad]
        fn items_of_opaque_type() -> impl Iterator<Item = $($opaque)*> {
            (0..2).map(|_| $value)
        }
        #[no_grad]
        fn result_of_a_closure() -> impl Fn(&str) -> Option<Box<$($object)*>> {
            debug!("{}", 1);
            |text| {
                text.chars().next()?;
                Some(Box::new($value))
            }
        }

        fn check(run: fn(Box<$($object)*>) -> GradMode) {
            let run = |value| {
                assert_eq!((run(value), grad_mode()), (NoGrad, Enabled));
            };
            run(Box::new(bare()));
            run(Box::new(bare_after_a_macro("1")));
            run(Box::new(option().unwrap()));
            run(Box::new(result("1").unwrap()));
            assert!(result("x").is_err());
            run(boxed_opaque());
            run(boxed());
            run(boxed_in_parentheses().unwrap());
            run(boxed_result("1").unwrap());
            assert_eq!(boxed_result("101").err().unwrap().to_string(), "too large");
            let (opaque, _, object) = tuple();
            run(Box::new(opaque));
            run(object.unwrap());
            run(Box::new(block_on(asynchronous())));
            let (object, opaque) = block_on(asynchronous_result("1")).unwrap();
            run(object);
            run(Box::new(opaque));
            run(block_on(output_of_a_future()).unwrap());
            run(block_on(output_of_a_boxed_future()).unwrap());
            items_of_an_iterator().for_each(run);
            items_of_opaque_type().for_each(|item| run(Box::new(item)));
            run(result_of_a_closure()("text").unwrap());
        }
    };
}

positions!(
    closure_fn,
    [impl Fn(&str) -> (&str, GradMode)] [dyn Fn(&str) -> (&str, GradMode)],
    {
        fn function(text: &str) -> (&str, GradMode) {
            (text, grad_mode())
        }
        function
    },
    |closure| closure("x").1
);
positions!(
    closure_fn_mut,
    [impl FnMut(&mut Vec<u8>, Option<&str>) -> GradMode] [dyn FnMut(&mut Vec<u8>, Option<&str>) -> GradMode],
    {
        let mut count = 0;
        move |list: &mut Vec<u8>, _: Option<&str>| {
            count += 1;
            list.push(count);
            grad_mode()
        }
    },
    |mut closure| closure(&mut vec![], None)
);
positions!(
    closure_fn_once,
    [impl FnOnce(&dyn std::fmt::Display) -> GradMode] [dyn FnOnce(&dyn std::fmt::Display) -> GradMode],
    {
        let text = String::new();
        move |_: &dyn std::fmt::Display| {
            drop(text);
            grad_mode()
        }
    },
    |closure| closure(&1)
);
positions!(
    future,
    [impl Future<Output = GradMode>] [dyn Future<Output = GradMode>],
    async { grad_mode() },
    |future| block_on(Box::into_pin(future))
);
positions!(
    iterator,
    [impl Iterator<Item = GradMode>] [dyn Iterator<Item = GradMode>],
    std::iter::once_with(grad_mode),
    |mut iterator| iterator.next().unwrap()
);
positions!(
    stream,
    [impl Stream<Item = GradMode>] [dyn Stream<Item = GradMode>],
    futures::stream::once(async { grad_mode() }),
    |stream| block_on(Box::into_pin(stream).next()).unwrap()
);

#[test]
fn guarantee_8_pinned_boxes() {
    #[no_grad]
    fn opaque_future() -> Option<Pin<Box<impl Future<Output = GradMode>>>> {
        Some(Box::pin(async { grad_mode() }))
    }
    #[no_grad]
    fn unpinned_future() -> Box<impl Future<Output = GradMode>> {
        debug!("{}", 1);
        Box::new(async { grad_mode() })
    }
    #[no_grad]
    fn stream(number: &str) -> Result<Pin<Box<dyn Stream<Item = GradMode>>>, std::num::ParseIntError> {
        let number: u8 = number.parse()?;
        Ok(Box::pin(futures::stream::iter(0..number).map(|_| grad_mode())))
    }
    #[no_grad]
    fn closure() -> Pin<Box<dyn Fn(&str) -> (&str, GradMode)>> {
        Box::pin(|text| (text, grad_mode()))
    }
    #[no_grad]
    fn closure_mut() -> Pin<Box<impl FnMut(&str) -> GradMode>> {
        let mut longest = String::new();
        Box::pin(move |text: &str| {
            longest.push_str(text);
            grad_mode()
        })
    }
    #[no_grad]
    fn iterator() -> Pin<Box<dyn Iterator<Item = GradMode> + Unpin>> {
        Box::pin(std::iter::once_with(grad_mode))
    }
    #[no_grad]
    fn box_in_a_box() -> Box<Option<Box<dyn Fn(&str) -> GradMode>>> {
        Box::new(Some(Box::new(|_| grad_mode())))
    }
    assert_eq!(box_in_a_box().unwrap()("x"), NoGrad);
    assert_eq!(block_on(opaque_future().unwrap()), NoGrad);
    assert_eq!(block_on(Box::into_pin(unpinned_future())), NoGrad);
    assert_eq!(block_on(stream("2").unwrap().collect::<Vec<_>>()), [NoGrad; 2]);
    assert_eq!(closure()("x"), ("x", NoGrad));
    assert_eq!(Pin::into_inner(closure_mut())("x"), NoGrad);
    assert_eq!(Pin::into_inner(iterator()).next(), Some(NoGrad));
}

#[test]
fn guarantee_8_shared_pointers() {
    #[no_grad]
    fn rc() -> Rc<dyn Fn(&str) -> (&str, GradMode)> {
        Rc::new(|text| (text, grad_mode()))
    }
    #[no_grad]
    fn arc(number: &str) -> Result<Arc<dyn Fn(&str) -> Option<&str> + Send + Sync>, std::num::ParseIntError> {
        let number: usize = number.parse()?;
        Ok(Arc::new(move |text| {
            assert_eq!(grad_mode(), NoGrad);
            text.get(number..)
        }))
    }
    #[no_grad]
    fn opaque() -> Rc<impl Fn(&str) -> usize> {
        Rc::new(|text: &str| {
            assert_eq!(grad_mode(), NoGrad);
            text.len()
        })
    }
    let shared = rc();
    assert_eq!((shared.clone()("x"), shared("y")), (("x", NoGrad), ("y", NoGrad)));
    let shared = arc("1").unwrap();
    assert_eq!(std::thread::spawn(move || shared("text").map(str::len)).join().unwrap(), Some(3));
    assert_eq!(opaque()("text"), 4);
}

#[test]
fn guarantee_8_iterables() {
    #[no_grad]
    fn list(length: &str) -> Result<impl IntoIterator<Item = GradMode> + Clone, std::num::ParseIntError> {
        let length: u8 = length.parse()?;
        Ok((0..length).map(|_| grad_mode()))
    }
    #[no_grad]
    fn borrowed(list: &[u8]) -> impl IntoIterator<Item = &u8> {
        list
    }
    #[no_grad]
    fn closures() -> impl IntoIterator<Item = impl Fn(&str) -> GradMode> {
        vec![|_: &str| grad_mode(); 2]
    }
    for mode in list("2").unwrap().clone() {
        assert_eq!((mode, grad_mode()), (NoGrad, Enabled));
    }
    assert!(borrowed(&[1, 2]).into_iter().eq(&[1, 2]));
    assert!(closures().into_iter().all(|closure| closure("x") == NoGrad));
}

#[test]
fn guarantee_8_bounds_of_closures() {
    fn twice<F: Fn(u8) -> (u8, GradMode) + Copy + Send + Sync + 'static>(closure: F) -> [(u8, GradMode); 2] {
        let copy = closure;
        [closure(1), std::thread::spawn(move || copy(2)).join().unwrap()]
    }
    #[no_grad]
    fn copy(extra: u8) -> impl Fn(u8) -> (u8, GradMode) + Copy + Send + Sync {
        move |x| (x + extra, grad_mode())
    }
    #[no_grad]
    fn copy_in_option(extra: u8) -> Option<impl FnMut(&[u8]) -> (u8, GradMode) + Copy> {
        debug!("{extra}");
        let mut sum = extra;
        Some(move |list: &[u8]| {
            sum += list[0];
            (sum, grad_mode())
        })
    }
    #[set_grad_enabled(!off)]
    fn copy_once(off: bool) -> impl FnOnce() -> GradMode + Copy {
        grad_mode
    }
    #[no_grad]
    fn clone(text: String) -> impl FnMut(Option<&str>) -> (usize, GradMode) + Clone + Send {
        debug!("{text}");
        move |more| (text.len() + more.map_or(0, str::len), grad_mode())
    }
    #[no_grad]
    fn borrows<'a>(list: &'a [u8]) -> impl for<'b> Fn(&'b [u8]) -> (Option<&'b u8>, Option<&'a u8>) + Clone + 'a {
        debug!("{}", list.len());
        |other| {
            assert_eq!(grad_mode(), NoGrad);
            (other.first(), list.first())
        }
    }
    assert_eq!(twice(copy(1)), [(2, NoGrad), (3, NoGrad)]);
    let mut closure = copy_in_option(1).unwrap();
    let mut other = closure;
    assert_eq!((closure(&[1]), closure(&[1]), other(&[1])), ((2, NoGrad), (3, NoGrad), (2, NoGrad)));
    assert_eq!((copy_once(true)(), copy_once(false)()), (NoGrad, Enabled));
    let mut closure = clone("x".to_owned());
    assert_eq!((closure.clone()(None), closure(Some("yz"))), ((1, NoGrad), (3, NoGrad)));
    assert_eq!(borrows(&[1])(&[2]), (Some(&2), Some(&1)));
    assert_eq!(grad_mode(), Enabled);
}

/// The arguments of these closures have the types of the signature, as without the attribute.
#[test]
fn arguments_without_types() {
    struct Text<'a>(&'a str);
    trait Family {
        type Of<'a>;
    }
    #[no_grad]
    fn path() -> impl Fn(Option<&str>, Text<'_>) -> usize {
        debug!("{}", 1);
        |first, second| first.map_or(0, str::len) + second.0.len()
    }
    #[no_grad]
    fn generic<T: Copy + Into<u64>, const N: usize>(more: T) -> impl Fn(&[T], [T; N]) -> u64 {
        debug!("{}", N);
        move |list, array| list.iter().chain(&array).map(|&x| x.into()).sum::<u64>() + more.into()
    }
    #[no_grad]
    fn slices() -> impl FnMut(&mut [u8], (&str, [&str; 2]), &mut dyn FnMut(&str) -> usize) -> usize {
        debug!("{}", 1);
        |list, (text, array), measure| {
            list.sort_unstable();
            measure(text) + array[0].len()
        }
    }
    #[no_grad]
    fn elements_of_a_tuple() -> (impl Fn(&str) -> usize, impl Fn(Option<&str>) -> bool) {
        (|text| text.len(), |text| text.is_none())
    }
    #[no_grad]
    fn returns_a_closure() -> impl Fn(&str) -> Box<dyn for<'a> Fn(&'a str) -> &'a str> {
        |_| Box::new(|text| text)
    }
    impl Family for u8 {
        type Of<'a> = &'a u8;
    }
    struct Model<T>(T);
    impl<T: Family> Model<T> {
        // The compiler finds the type of the argument where it is written.
        #[no_grad]
        fn associated() -> impl Fn(T::Of<'_>) -> GradMode + use<T> {
            debug!("{}", 1);
            |_: T::Of<'_>| grad_mode()
        }
        #[no_grad]
        fn whole() -> impl Fn(&T, &Self) -> GradMode + use<T> {
            debug!("{}", 1);
            |_, model| {
                let _ = &model.0;
                grad_mode()
            }
        }
    }
    assert_eq!(path()(Some("x"), Text("yz")), 3);
    assert_eq!(generic::<u8, 2>(1)(&[1], [2, 3]), 7);
    assert_eq!(slices()(&mut [2, 1], ("x", ["y", "z"]), &mut str::len), 2);
    let (len, is_none) = elements_of_a_tuple();
    assert_eq!((len("x"), is_none(None)), (1, true));
    assert_eq!(returns_a_closure()("x")("y"), "y");
    assert_eq!((Model::<u8>::associated()(&1), Model::<u8>::whole()(&1, &Model(2))), (NoGrad, NoGrad));
}

#[test]
fn guarantee_8_bounds_and_closures_from_macros() {
    macro_rules! returns {
        ($name:ident, $bound:path, $value:expr) => {
            #[no_grad]
            fn $name() -> Option<impl $bound> {
                Some($value)
            }
        };
    }
    macro_rules! block {
        ($closure:expr) => {
            no_grad!($closure)
        };
    }
    macro_rules! object {
        ($name:ident<$lifetime:lifetime>($argument:ident: $ty:ty), $($object:tt)*) => {
            #[no_grad]
            fn $name<$lifetime>($argument: $ty) -> Box<dyn $($object)* + $lifetime> {
                Box::new($argument.iter().map(|&number| (number, grad_mode())))
            }
        };
    }
    returns!(iterator, Iterator<Item = GradMode>, std::iter::once_with(grad_mode));
    returns!(closure, Fn(&str) -> GradMode, |_: &str| grad_mode());
    object!(borrowed<'a>(list: &'a [u8]), Iterator<Item = (u8, GradMode)>);
    assert_eq!(iterator().unwrap().next(), Some(NoGrad));
    assert_eq!(closure().unwrap()("x"), NoGrad);
    assert!(borrowed(&[1, 2]).eq([(1, NoGrad), (2, NoGrad)]));
    assert_eq!(block!(|x: u8| (x, grad_mode()))(1), (1, NoGrad));
    assert_eq!(block_on(block!(async { grad_mode() })), NoGrad);
}
