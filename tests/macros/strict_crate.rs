//! Generated code in a strict crate: without a prelude, with unsafe code forbidden and every warning an error, and beside modules
//! with the names of the crates that the code relies on. Most of the test is that it compiles, with rustc and with clippy.
#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
#![deny(
    unreachable_code,
    unused_qualifications,
    unused_results,
    let_underscore_drop,
    tail_expr_drop_order,
    if_let_rescope,
    trivial_casts,
    unit_bindings,
    single_use_lifetimes,
    missing_docs,
    unused_lifetimes,
    elided_lifetimes_in_paths
)]
// Restriction lints about bindings and control flow.
#![deny(
    clippy::clone_on_ref_ptr,
    clippy::deref_by_slicing,
    clippy::else_if_without_else,
    clippy::if_then_some_else_none,
    clippy::let_underscore_must_use,
    clippy::let_underscore_untyped,
    clippy::mem_forget,
    clippy::mixed_read_write_in_expression,
    clippy::needless_raw_strings,
    clippy::redundant_type_annotations,
    clippy::rest_pat_in_fully_bound_structs,
    clippy::self_named_module_files,
    clippy::semicolon_inside_block,
    clippy::shadow_reuse,
    clippy::shadow_same,
    clippy::shadow_unrelated,
    clippy::str_to_string,
    clippy::try_err,
    clippy::undocumented_unsafe_blocks,
    clippy::unneeded_field_pattern,
    clippy::unreachable,
    clippy::unused_result_ok,
    clippy::unwrap_in_result,
    clippy::wildcard_enum_match_arm
)]

use ::grad_runtime::attr::{enable_grad, inference_mode, no_grad, set_grad_enabled};
use ::grad_runtime::{GradMode, Mlx, grad_mode};

mod core {}
mod std {}
mod alloc {}
mod grad_runtime {}
mod grad_macros {}

/// A type with the name of a primitive.
#[allow(non_camel_case_types, dead_code)]
struct bool;

#[no_grad]
fn value() -> GradMode {
    grad_mode()
}

#[no_grad]
fn unit() {}

#[enable_grad]
fn explicit_value(x: i32) -> i32 {
    if x > 0 {
        return x;
    }
    -x
}

#[inference_mode]
#[allow(dead_code)]
fn diverges() -> ! {
    loop {
        ::std::thread::yield_now();
    }
}

#[no_grad]
#[allow(dead_code)]
fn panics() -> i32 {
    ::std::panic!("never called")
}

#[must_use]
#[no_grad]
fn must_be_used() -> i32 {
    1
}

#[set_grad_enabled(x > 0, backend = Mlx)]
fn conditional(x: i32) -> i32 {
    x
}

#[no_grad]
fn lifetimes(x: &str) -> &str {
    x
}

#[no_grad]
async fn asynchronous(x: &str) -> ::core::option::Option<&str> {
    ::core::future::ready(()).await;
    ::core::option::Option::Some(x)
}

#[no_grad]
async fn asynchronous_unit() {
    ::core::future::ready(()).await;
}

#[set_grad_enabled(on, backend = Mlx)]
async fn asynchronous_condition(on: ::core::primitive::bool) -> GradMode {
    ::core::future::ready(()).await;
    grad_mode()
}

#[no_grad]
#[allow(dead_code)]
async fn asynchronous_panic() -> i32 {
    ::core::future::ready(()).await;
    ::std::panic!("never called")
}

#[no_grad]
fn allowed_by_the_user() -> i32 {
    #![allow(clippy::let_and_return)]
    #[allow(unused_variables)]
    let unused = 1;
    let x = 2;
    x
}

#[no_grad]
fn iterator(list: &[i32]) -> impl ::core::iter::Iterator<Item = &i32> {
    ::core::iter::IntoIterator::into_iter(list)
}

#[set_grad_enabled(on)]
fn boxed(on: ::core::primitive::bool) -> ::std::boxed::Box<dyn ::core::iter::Iterator<Item = GradMode>> {
    ::std::boxed::Box::new(::core::iter::once_with(grad_mode))
}

#[no_grad]
fn future(x: &str) -> impl ::core::future::Future<Output = &str> {
    async move { x }
}

#[no_grad]
fn stream() -> ::core::pin::Pin<::std::boxed::Box<dyn ::futures::Stream<Item = GradMode>>> {
    ::std::boxed::Box::pin(::futures::stream::pending())
}

#[no_grad]
fn closure() -> impl ::core::ops::Fn(&str, i32) -> ::core::option::Option<usize> {
    |text, x| ::core::option::Option::Some(text.len() + ::core::convert::TryInto::<usize>::try_into(x).ok()?)
}

#[no_grad]
fn counter(
    at: ::core::option::Option<i32>,
) -> ::core::result::Result<impl ::core::ops::FnMut() -> i32, ::std::string::String> {
    let mut count = at.ok_or_else(::std::string::String::new)?;
    ::core::result::Result::Ok(move || {
        count += 1;
        count
    })
}

/// Bodies that never end, and results that are run later, in each form that the attributes generate.
#[expect(dead_code, clippy::type_complexity, reason = "what is tested")]
mod diverging {
    use ::core::future::Future;
    use ::core::iter::Iterator;
    use ::core::ops::{AsyncFn, Fn, FnOnce};
    use ::core::option::Option;
    use ::core::pin::Pin;
    use ::core::result::Result;
    use ::grad_runtime::attr::{no_grad, set_grad_enabled};
    use ::std::boxed::Box;
    use ::std::string::String;
    use ::std::sync::Arc;

    #[no_grad]
    fn iterator() -> Box<dyn Iterator<Item = u8>> {
        ::std::todo!()
    }
    #[no_grad]
    fn early(short: ::core::primitive::bool) -> Option<Box<dyn Iterator<Item = u8>>> {
        if short {
            return Option::None;
        }
        ::std::panic!("never called")
    }
    #[no_grad]
    fn future() -> Pin<Box<dyn Future<Output = Result<Box<dyn Fn(&str) -> u8>, String>>>> {
        loop {
            ::std::thread::yield_now();
        }
    }
    #[set_grad_enabled(on)]
    fn closure(on: ::core::primitive::bool) -> Result<(u8, Arc<dyn Fn(&str) -> u8>), String> {
        ::std::unimplemented!()
    }
    #[no_grad]
    fn exits(text: &str) -> Result<Box<dyn FnOnce(&str) -> u8>, ::core::num::ParseIntError> {
        let number: u8 = text.parse()?;
        ::std::panic!("{number}")
    }
    #[no_grad(detach)]
    fn detached() -> u8 {
        ::std::todo!()
    }
    #[no_grad(detach)]
    fn detached_items() -> Box<dyn Iterator<Item = u8>> {
        ::std::todo!()
    }
    #[no_grad(detach)]
    fn detached_never() -> ! {
        ::std::todo!()
    }
    #[no_grad(eager)]
    fn eager() -> Box<dyn Iterator<Item = u8>> {
        ::std::todo!()
    }
    #[no_grad]
    async fn asynchronous() -> Result<Box<dyn Iterator<Item = u8>>, String> {
        ::std::todo!()
    }
    #[no_grad(detach)]
    async fn asynchronous_detached() -> Option<u8> {
        ::core::future::ready(()).await;
        ::std::todo!()
    }
    #[no_grad]
    fn inner() -> impl Fn(&str) -> Option<Box<dyn Iterator<Item = u8>>> {
        |_| ::std::todo!()
    }
    #[no_grad]
    fn asynchronous_closure() -> impl AsyncFn(&str) -> Box<dyn Iterator<Item = u8>> {
        async |_| ::std::todo!()
    }
    #[no_grad(detach(args))]
    fn arguments(_mask: &[u8], (mut x, _y): (u8, u8)) -> u8 {
        x += 1;
        ::std::panic!("{x}")
    }
    fn blocks() -> u8 {
        let closure = ::grad_runtime::no_grad!(|x: u8| -> u8 { ::std::panic!("{x}") });
        let detached = ::grad_runtime::no_grad!(detach { |x: u8| -> u8 { ::std::panic!("{x}") } });
        let carried = ::grad_runtime::carry!(|x: u8| -> u8 { ::std::panic!("{x}") });
        closure(1) + detached(2) + carried(3)
    }
    fn detached_block() -> u8 {
        ::grad_runtime::no_grad!(detach { ::std::todo!() })
    }
}

/// Arguments that are detached, though their names say that they are not used.
#[no_grad(detach(args))]
fn detached_arguments(_mask: &[f32], _: u8, (mut x, _y): (f32, f32)) -> f32 {
    x += 1.0;
    x
}

/// Deferred results in other types.
#[expect(clippy::type_complexity, reason = "attributes read the type as written")]
#[no_grad]
fn shared() -> (::std::sync::Arc<dyn ::core::ops::Fn(&str) -> usize>, u8) {
    (::std::sync::Arc::new(str::len), 1)
}

#[no_grad]
fn iterable(list: &[i32]) -> impl ::core::iter::IntoIterator<Item = &i32> {
    list
}

#[no_grad]
fn copied() -> impl ::core::ops::AsyncFn(&str) -> ::core::option::Option<usize> + ::core::marker::Copy {
    async |text| ::core::option::Option::Some(text.len())
}

/// A trait with a default body.
#[no_grad]
trait Provided {
    fn bodyless(&self) -> GradMode;
    fn provided(&self) -> GradMode {
        self.bodyless()
    }
}

struct Implemented;

#[no_grad]
impl Provided for Implemented {
    fn bodyless(&self) -> GradMode {
        grad_mode()
    }
}

/// The derive macros.
#[cfg(any(feature = "cpu", feature = "mlx"))]
#[allow(dead_code)]
mod derived {
    use ::grad_runtime::{Array, Detach, Params};

    #[derive(Detach, Params)]
    pub struct Linear<A: Array> {
        pub weight: A,
        pub r#type: ::core::option::Option<A>,
        #[detach(skip)]
        #[params(skip)]
        pub path: i32,
    }

    #[derive(Detach, Params)]
    pub enum Layer<A, T>
    where
        A: Array,
    {
        Linear(Linear<A>),
        Named { visit: T, replace: f32 },
        Nothing,
    }

    #[derive(Detach, Params)]
    pub struct Nothing;

    #[derive(Detach, Params)]
    pub enum Never {}

    #[derive(Detach, Params)]
    pub struct Pair<T>(pub T, #[params(skip)] pub T);
}

fn deferred() {
    let double = ::grad_runtime::no_grad!(|x: i32| x * 2);
    let chosen = ::grad_runtime::set_grad_enabled!(true, |x: i32| x * 2);
    let carried = ::grad_runtime::carry!(|x: i32| x * 2);
    ::std::assert_eq!((double(1), chosen(2), carried(3)), (2, 4, 6));
    let later = ::grad_runtime::no_grad! { async { grad_mode() } };
    ::std::assert_eq!(::futures::executor::block_on(later), GradMode::NoGrad);
    let list = [1, 2];
    ::std::assert_eq!(::core::iter::Iterator::sum::<i32>(iterator(&list)), 3);
    ::std::assert_eq!(::core::iter::Iterator::last(boxed(false)), ::core::option::Option::Some(GradMode::NoGrad));
    ::std::assert_eq!(::futures::executor::block_on(future("x")), "x");
    ::core::mem::drop(stream());
    ::std::assert_eq!(closure()("x", 1), ::core::option::Option::Some(2));
    let mut count = counter(::core::option::Option::Some(1)).unwrap();
    ::std::assert_eq!((count(), count()), (2, 3));
    ::std::assert_eq!(Implemented.provided(), GradMode::NoGrad);
    let (measure, one) = shared();
    ::std::assert_eq!((measure("x"), one), (1, 1));
    ::std::assert!(::core::iter::Iterator::eq(::core::iter::IntoIterator::into_iter(iterable(&list)), &list));
    ::std::assert_eq!(::futures::executor::block_on(copied()("x")), ::core::option::Option::Some(1));
    ::std::assert!(detached_arguments(&[0.0], 0, (1.0, 2.0)) > 1.5);
}

fn blocks() -> ::core::option::Option<i32> {
    ::grad_runtime::no_grad! {}
    ::grad_runtime::no_grad! { unit() }
    ::grad_runtime::no_grad! { unit(); }
    let one = ::grad_runtime::no_grad! { ::core::option::Option::Some(1) }?;
    let two = ::grad_runtime::no_grad!({ ::core::option::Option::Some(2)? });
    let three = ::grad_runtime::set_grad_enabled!(one > two, { one + two });
    let four = ::grad_runtime::inference_mode! { <Mlx> three + 1 };
    let five = ::grad_runtime::enable_grad!(must_be_used());
    ::grad_runtime::no_grad! {
        if four > 100 {
            return ::core::option::Option::None;
        }
    }
    for x in 0..four {
        ::grad_runtime::no_grad! {
            if x == 1 {
                continue;
            }
            if x == 2 {
                break;
            }
        }
    }
    ::grad_runtime::no_grad! { ::core::option::Option::Some(four + five) }
}

#[allow(dead_code)]
fn never_ends() -> i32 {
    ::grad_runtime::no_grad! { ::std::panic!("never called") }
}

#[allow(dead_code)]
fn only_returns() -> i32 {
    ::grad_runtime::no_grad! { loop { ::std::thread::yield_now(); } }
}

#[::core::prelude::v1::test]
fn generated_code_compiles_and_runs() {
    ::std::assert_eq!(value(), GradMode::NoGrad);
    unit();
    ::std::assert_eq!(explicit_value(-2), 2);
    ::std::assert_eq!(explicit_value(2), 2);
    ::std::assert_eq!(must_be_used(), 1);
    ::std::assert_eq!(conditional(3), 3);
    ::std::assert_eq!(lifetimes("x"), "x");
    ::std::assert_eq!(allowed_by_the_user(), 2);
    ::std::assert_eq!(blocks(), ::core::option::Option::Some(5));
    deferred();
    let future = async {
        asynchronous_unit().await;
        (asynchronous("x").await, asynchronous_condition(false).await)
    };
    let (text, mode) = ::futures::executor::block_on(future);
    ::std::assert_eq!((text, mode), (::core::option::Option::Some("x"), GradMode::Enabled));
}
