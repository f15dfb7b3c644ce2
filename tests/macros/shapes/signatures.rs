//! Everything between `fn` and the body.
#![expect(clippy::multiple_bound_locations)]

use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;

use grad_runtime::GradMode::{self, Enabled, Inference, NoGrad};
use grad_runtime::prelude::*;
use grad_runtime::{grad_mode, is_grad_enabled};

use crate::common::{awaited, restored};

#[test]
fn generics() {
    #[no_grad]
    fn one<T: Clone>(value: &T) -> (T, GradMode) {
        (value.clone(), grad_mode())
    }
    #[no_grad]
    fn inferred_from_the_caller<T: Default, U>(_: U) -> (T, GradMode) {
        (T::default(), grad_mode())
    }
    #[inference_mode]
    async fn resumed<T: Clone + Debug, F: Fn(T) -> Fut, Fut: Future<Output = T>>(value: T, f: F) -> (T, GradMode) {
        (f(value).await, grad_mode())
    }

    assert_eq!(restored(one(&"a")), ("a", NoGrad));
    assert_eq!(restored(one::<[u8; 2]>(&[1, 2])), ([1, 2], NoGrad));
    assert_eq!(restored(inferred_from_the_caller::<String, _>(1)), (String::new(), NoGrad));
    let counted: (u8, _) = inferred_from_the_caller('x');
    assert_eq!(counted, (0, NoGrad));
    assert_eq!(awaited(resumed(2, |x| async move { x + 1 })), (3, Inference));
}

#[test]
fn const_generics() {
    #[no_grad]
    fn sum<const N: usize>(values: [u32; N]) -> (u32, usize, GradMode) {
        (values.iter().sum(), N, grad_mode())
    }
    #[set_grad_enabled(ON)]
    fn condition<const ON: bool>() -> GradMode {
        grad_mode()
    }
    #[no_grad]
    async fn resumed<const A: usize, const B: usize>(values: &[[u8; A]; B]) -> (usize, GradMode) {
        (values.as_flattened().len(), grad_mode())
    }

    assert_eq!(restored(sum([1, 2, 3])), (6, 3, NoGrad));
    assert_eq!(restored(sum::<0>([])), (0, 0, NoGrad));
    assert_eq!((condition::<true>(), condition::<false>()), (Enabled, NoGrad));
    assert_eq!(awaited(resumed(&[[0; 3]; 2])), (6, NoGrad));
}

struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    #[no_grad]
    fn elided(&self, other: &str) -> (&str, GradMode) {
        (if other.is_empty() { self.0 } else { "" }, grad_mode())
    }

    /// A result that outlives `self`.
    #[no_grad]
    fn of_the_type(&self) -> (&'a str, GradMode) {
        (self.0, grad_mode())
    }

    #[no_grad]
    fn anonymous(text: &str) -> (Text<'_>, GradMode) {
        (Text(text), grad_mode())
    }

    #[no_grad]
    async fn resumed(&self, other: &'a str) -> (&'a str, GradMode) {
        std::future::ready(()).await;
        (if self.0.is_empty() { other } else { self.0 }, grad_mode())
    }
}

#[test]
fn lifetimes() {
    #[no_grad]
    fn explicit<'a, 'b: 'a>(first: &'a str, second: &'b str) -> (&'a str, &'b str, GradMode) {
        (if first.is_empty() { second } else { first }, second, grad_mode())
    }
    #[no_grad]
    fn anonymous(text: Text<'_>) -> (Text<'_>, GradMode) {
        (text, grad_mode())
    }
    #[no_grad]
    fn static_and_borrowed(text: &'static str, _: &str) -> (&'static str, GradMode) {
        (text, grad_mode())
    }
    #[no_grad]
    fn lends_mutably<'a>(items: &'a mut [i32], at: &str) -> &'a mut i32 {
        assert_eq!(grad_mode(), NoGrad);
        &mut items[at.len()]
    }
    #[no_grad]
    async fn resumed<'a, 'b>(first: &'a str, second: &'b str) -> (&'b str, usize, GradMode)
    where
        'a: 'b,
    {
        std::future::ready(()).await;
        (if second.is_empty() { first } else { second }, first.len(), grad_mode())
    }

    let (short, long) = (String::from("short"), String::from("long"));
    let (first, second, mode) = restored(explicit(&short, &long));
    assert_eq!((first.len(), second, mode), (5, "long", NoGrad));
    let longest = {
        let text = Text(&long);
        assert_eq!(restored(text.elided("")), ("long", NoGrad));
        assert_eq!(awaited(text.resumed("other")), ("long", NoGrad));
        restored(text.of_the_type()).0
    };
    assert_eq!(longest, "long");
    let (text, mode) = restored(Text::anonymous("text"));
    assert_eq!((text.0, mode), ("text", NoGrad));
    let (text, mode) = restored(anonymous(text));
    assert_eq!((text.0, mode), ("text", NoGrad));
    assert_eq!(restored(static_and_borrowed("static", &long)), ("static", NoGrad));
    let mut items = [1, 2, 3];
    *restored(lends_mutably(&mut items, "1")) = 20;
    assert_eq!(items, [1, 20, 3]);
    assert_eq!(awaited(resumed("first", "")), ("first", 5, NoGrad));
}

#[test]
fn higher_ranked_bounds() {
    #[no_grad]
    fn bound<F>(f: F) -> (usize, GradMode)
    where
        F: for<'a> Fn(&'a str) -> &'a str,
    {
        let text = String::from(" local ");
        (f(&text).len(), grad_mode())
    }
    #[no_grad]
    fn pointer(f: for<'a, 'b> fn(&'a str, &'b str) -> &'a str) -> (usize, GradMode) {
        (f("one", "three").len(), grad_mode())
    }
    #[no_grad]
    fn object(f: &mut dyn for<'a> FnMut(&'a mut Vec<GradMode>)) -> Vec<GradMode> {
        let mut modes = Vec::new();
        f(&mut modes);
        modes
    }

    assert_eq!(restored(bound(str::trim)), (5, NoGrad));
    assert_eq!(restored(pointer(|first, _| first)), (3, NoGrad));
    assert_eq!(restored(object(&mut |modes| modes.push(grad_mode()))), [NoGrad]);
}

#[test]
fn where_clauses() {
    #[no_grad]
    fn plain<T, I>(items: I) -> (Vec<String>, GradMode)
    where
        I: IntoIterator<Item = T>,
        T: Display,
        Vec<T>: Sized,
        for<'a> &'a T: Display,
    {
        (items.into_iter().map(|item| item.to_string()).collect(), grad_mode())
    }
    #[no_grad]
    async fn resumed<T>(value: T) -> (String, GradMode)
    where
        T: Into<String> + 'static,
    {
        std::future::ready(()).await;
        (value.into(), grad_mode())
    }
    #[no_grad]
    #[rustfmt::skip]
    fn empty() -> GradMode where { grad_mode() }

    assert_eq!(restored(plain([1, 2])), (vec!["1".to_owned(), "2".to_owned()], NoGrad));
    assert_eq!(awaited(resumed("text")), ("text".to_owned(), NoGrad));
    assert_eq!(restored(empty()), NoGrad);
}

#[test]
fn impl_trait_in_arguments() {
    #[no_grad]
    fn called(f: impl FnOnce(u8) -> GradMode, other: &(impl Debug + ?Sized)) -> (GradMode, String) {
        (f(1), format!("{other:?}"))
    }
    #[no_grad]
    fn advanced(items: impl Iterator<Item = impl Into<u64>>) -> (u64, GradMode) {
        (items.map(Into::into).sum(), grad_mode())
    }
    #[no_grad]
    async fn resumed(f: impl AsyncFn(u8) -> GradMode) -> (GradMode, GradMode) {
        (f(1).await, grad_mode())
    }

    assert_eq!(restored(called(|_| grad_mode(), "text")), (NoGrad, "\"text\"".to_owned()));
    assert_eq!(restored(advanced([1_u8, 2].into_iter())), (3, NoGrad));
    assert_eq!(awaited(resumed(async |_| grad_mode())), (NoGrad, NoGrad));
}

#[test]
fn impl_trait_in_returns() {
    #[no_grad]
    fn value(on: bool) -> impl Debug + Clone + PartialEq {
        if on {
            return (1, Some(grad_mode()));
        }
        (2, None)
    }
    #[no_grad]
    #[expect(clippy::elidable_lifetime_names)]
    fn borrowed<'a>(text: &'a str) -> impl AsRef<str> + 'a {
        assert_eq!(grad_mode(), NoGrad);
        text.trim()
    }
    #[no_grad]
    fn nested(text: &str) -> Result<(impl Display, GradMode), impl Debug> {
        let number: i32 = text.parse()?;
        Ok::<_, std::num::ParseIntError>((number, grad_mode()))
    }
    #[no_grad]
    async fn resumed() -> (impl Display, GradMode) {
        ("text", grad_mode())
    }

    assert_eq!(format!("{:?}", restored(value(true))), "(1, Some(NoGrad))");
    assert_eq!(format!("{:?}", restored(value(false)).clone()), "(2, None)");
    assert_eq!(restored(borrowed(" text ")).as_ref(), "text");
    let (number, mode) = restored(nested("7")).unwrap();
    assert_eq!((number.to_string(), mode), ("7".to_owned(), NoGrad));
    assert!(format!("{:?}", restored(nested("x").err().unwrap())).contains("InvalidDigit"));
    let (text, mode) = awaited(resumed());
    assert_eq!((text.to_string(), mode), ("text".to_owned(), NoGrad));
}

#[test]
fn never_returns() {
    #[no_grad]
    fn panics(with: i32) -> ! {
        std::panic::panic_any((with, grad_mode()))
    }
    #[no_grad]
    async fn panics_when_polled(with: i32) -> ! {
        std::future::ready(()).await;
        std::panic::panic_any((with, grad_mode()))
    }
    #[no_grad]
    fn as_any_type(value: Option<i32>) -> i32 {
        value.unwrap_or_else(|| panics(2))
    }

    let payload = |result: std::thread::Result<()>| *result.unwrap_err().downcast::<(i32, GradMode)>().unwrap();
    assert_eq!(payload(restored(std::panic::catch_unwind(|| panics(1)))), (1, NoGrad));
    assert_eq!(payload(std::panic::catch_unwind(|| awaited(panics_when_polled(3)))), (3, NoGrad));
    assert_eq!(restored(as_any_type(Some(5))), 5);
    assert_eq!(payload(restored(std::panic::catch_unwind(|| assert_eq!(as_any_type(None), 0)))), (2, NoGrad));
}

#[test]
#[allow(unsafe_code)]
fn unsafe_functions() {
    /// # Safety
    /// `pointer` is valid.
    #[no_grad]
    unsafe fn read<T: Copy>(pointer: *const T) -> (T, GradMode) {
        // SAFETY: the caller guarantees that the pointer is valid.
        (unsafe { *pointer }, grad_mode())
    }
    /// # Safety
    /// `pointer` is valid until the future is done.
    #[no_grad]
    async unsafe fn read_when_polled(pointer: *const u8) -> (u8, GradMode) {
        std::future::ready(()).await;
        // SAFETY: the caller guarantees that the pointer is valid.
        (unsafe { *pointer }, grad_mode())
    }
    let pointer: unsafe fn(*const u8) -> (u8, GradMode) = read;
    // SAFETY: references are valid pointers.
    unsafe {
        assert_eq!(restored(read(&'x')), ('x', NoGrad));
        assert_eq!(restored(pointer(&7)), (7, NoGrad));
        assert_eq!(awaited(read_when_polled(&7)), (7, NoGrad));
    }
}

/// Annotated functions with a C interface, one of which C's `qsort` calls.
#[test]
#[allow(unsafe_code)]
fn foreign_functions() {
    use std::ffi::{c_int, c_void};

    type Compare = unsafe extern "C" fn(*const c_void, *const c_void) -> c_int;

    unsafe extern "C" {
        fn qsort(base: *mut c_void, length: usize, size: usize, compare: Compare);
    }

    #[no_grad]
    unsafe extern "C" fn compare(a: *const c_void, b: *const c_void) -> c_int {
        assert_eq!(grad_mode(), NoGrad);
        // SAFETY: `qsort` passes pointers to elements of the array, which are of this type.
        let (a, b) = unsafe { (*a.cast::<c_int>(), *b.cast::<c_int>()) };
        a.cmp(&b) as c_int
    }
    #[no_grad]
    extern "C" fn with_an_abi(x: c_int) -> c_int {
        x + c_int::from(!is_grad_enabled())
    }
    #[no_grad]
    #[rustfmt::skip]
    #[expect(missing_abi)]
    extern fn without_an_abi(x: c_int) -> c_int {
        x + c_int::from(!is_grad_enabled())
    }

    #[no_grad]
    #[unsafe(export_name = concat!("mode in ", module_path!()))]
    extern "C" fn exported(x: c_int) -> c_int {
        x + c_int::from(!is_grad_enabled())
    }
    unsafe extern "C" {
        #[link_name = concat!("mode in ", module_path!())]
        safe fn by_its_symbol(x: c_int) -> c_int;
    }

    let mut values: [c_int; 4] = [3, -1, 2, 0];
    // SAFETY: the array has that many elements of that size, and the function compares them.
    unsafe { qsort(values.as_mut_ptr().cast(), values.len(), size_of::<c_int>(), compare) };
    assert_eq!(restored(values), [-1, 0, 2, 3]);
    let pointers: [extern "C" fn(c_int) -> c_int; 3] = [with_an_abi, without_an_abi, exported];
    assert_eq!(restored(pointers.map(|function| function(1))), [2, 2, 2]);
    assert_eq!(restored(by_its_symbol(1)), 2);
}

#[test]
fn in_traits() {
    trait Encoder<'a, const N: usize>: Sized {
        type Output<'b>: Debug
        where
            Self: 'b;

        fn encode<'b, T: Into<f64>>(&'b self, input: &'a [T; N]) -> Self::Output<'b>
        where
            T: Copy;

        #[no_grad]
        async fn later(&self) -> (usize, GradMode) {
            std::future::ready(()).await;
            (N, grad_mode())
        }

        #[no_grad]
        fn opaque(&self) -> impl Debug + use<'_, 'a, Self, N> {
            (N, grad_mode())
        }

        #[no_grad]
        fn boxed<'b>(&'b self) -> Pin<Box<dyn Debug + 'b>>
        where
            Self: Debug,
        {
            assert_eq!(grad_mode(), NoGrad);
            Box::pin(self)
        }
    }

    #[derive(Debug)]
    struct Mean;

    impl<'a> Encoder<'a, 2> for Mean {
        type Output<'b> = (f64, GradMode);

        #[no_grad]
        fn encode<'b, T: Into<f64>>(&'b self, input: &'a [T; 2]) -> (f64, GradMode)
        where
            T: Copy,
        {
            (f64::midpoint(input[0].into(), input[1].into()), grad_mode())
        }
    }

    let (mean, mode) = restored(Mean.encode(&[1_f32, 2.0]));
    assert_eq!(((mean - 1.5).abs() < 1e-12, mode), (true, NoGrad));
    assert_eq!(awaited(Mean.later()), (2, NoGrad));
    assert_eq!(format!("{:?}", restored(Mean.opaque())), "(2, NoGrad)");
    assert_eq!(format!("{:?}", restored(Mean.boxed())), "Mean");
}
