//! `detach`, for arrays of a framework that records in every mode.
#![expect(clippy::items_after_statements, reason = "each function stands beside its test")]
#![expect(clippy::trivially_copy_pass_by_ref, reason = "references are tested")]

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use futures::StreamExt;
use futures::executor::block_on;
use grad_runtime::prelude::*;
use grad_runtime::{Detach, GradMode, grad_mode};

/// An array, whether it is recorded, and the mode in which it was detached.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tensor {
    value: f32,
    recorded: bool,
    detached_in: Option<GradMode>,
}

impl Detach for Tensor {
    fn detach_in_place(&mut self) {
        self.recorded = false;
        self.detached_in = Some(grad_mode());
    }
}

const fn recorded(value: f32) -> Tensor {
    Tensor { value, recorded: true, detached_in: None }
}

/// Returns an array that was detached inside the scope.
const fn detached(value: f32) -> Tensor {
    Tensor { value, recorded: false, detached_in: Some(GradMode::NoGrad) }
}

fn by_function(mut tensor: Tensor) -> Tensor {
    tensor.detach_in_place();
    tensor.value = -tensor.value;
    tensor
}

#[no_grad(detach)]
fn every_exit(way: u8) -> Result<Tensor, String> {
    if way == 0 {
        return Ok(recorded(0.0));
    }
    let parsed: u8 = "x".parse::<u8>().or(if way == 1 { Err("way 1".to_owned()) } else { Ok(way) })?;
    Ok(recorded(f32::from(parsed)))
}

#[test]
fn results_of_functions() {
    assert_eq!(every_exit(0), Ok(detached(0.0)));
    assert_eq!(every_exit(1), Err("way 1".to_owned()));
    assert_eq!(every_exit(2), Ok(detached(2.0)));

    #[no_grad(detach = by_function)]
    fn named() -> Tensor {
        recorded(1.0)
    }
    assert_eq!(named(), detached(-1.0));

    #[no_grad(detach)]
    fn nothing(seen: &mut Vec<GradMode>) {
        seen.push(grad_mode());
    }
    let mut seen = vec![];
    nothing(&mut seen);
    assert_eq!(seen, [GradMode::NoGrad]);

    #[set_grad_enabled(enabled, detach)]
    fn chosen(enabled: bool) -> Tensor {
        recorded(1.0)
    }
    assert_eq!(chosen(true).detached_in, Some(GradMode::Enabled));
    assert_eq!(chosen(false), detached(1.0));
}

#[no_grad(detach)]
impl Tensor {
    fn doubled(&self) -> Self {
        Self { value: 2.0 * self.value, ..*self }
    }

    fn borrowed(&mut self) -> &mut Self {
        self.value += 1.0;
        self
    }
}

#[test]
fn methods_and_references() {
    let mut tensor = recorded(1.0);
    assert_eq!(tensor.doubled(), detached(2.0));
    assert_eq!(tensor, recorded(1.0));
    assert_eq!(*tensor.borrowed(), detached(2.0));
}

#[test]
fn items_of_deferred_results() {
    #[no_grad(detach)]
    fn iterator(n: u8) -> impl DoubleEndedIterator<Item = Tensor> + ExactSizeIterator {
        (0..n).map(|i| recorded(f32::from(i)))
    }
    assert_eq!(iterator(3).len(), 3);
    assert_eq!(iterator(3).rev().collect::<Vec<_>>(), [2.0, 1.0, 0.0].map(detached));
    assert_eq!(
        (iterator(3).nth(1), iterator(3).last(), iterator(3).count()),
        (Some(detached(1.0)), Some(detached(2.0)), 3)
    );

    #[no_grad(detach)]
    async fn asynchronous(fail: bool) -> Result<Tensor, u8> {
        if fail {
            return Err(1);
        }
        Ok(recorded(1.0))
    }
    assert_eq!(block_on(asynchronous(false)), Ok(detached(1.0)));
    assert_eq!(block_on(asynchronous(true)), Err(1));

    #[no_grad(detach = by_function)]
    fn future() -> impl Future<Output = Tensor> {
        async { recorded(1.0) }
    }
    assert_eq!(block_on(future()), detached(-1.0));

    #[no_grad(detach)]
    fn stream() -> futures::stream::BoxStream<'static, Tensor> {
        futures::stream::iter([recorded(1.0), recorded(2.0)]).boxed()
    }
    assert_eq!(block_on(stream().collect::<Vec<_>>()), [detached(1.0), detached(2.0)]);

    #[no_grad(detach)]
    fn closure(scale: f32) -> Box<dyn Fn(f32) -> Vec<Tensor>> {
        Box::new(move |x| vec![recorded(scale * x)])
    }
    assert_eq!(closure(2.0)(3.0), [detached(6.0)]);
    assert_eq!(grad_mode(), GradMode::Enabled);
}

#[test]
fn results_of_blocks() {
    let value = no_grad!(detach { recorded(1.0) });
    assert_eq!(value, detached(1.0));
    let value = no_grad! { <Cpu> detach { let x = recorded(1.0); vec![x, x] } };
    assert_eq!(value, [detached(1.0); 2]);
    let closure = no_grad!(detach { |x: f32| {
        if x > 1.0 {
            return recorded(0.0);
        }
        recorded(x)
    } });
    assert_eq!([closure(1.0), closure(2.0)], [1.0, 0.0].map(detached));
    assert_eq!(block_on(no_grad!(detach { async { recorded(1.0) } })), detached(1.0));
}

#[test]
fn arguments() {
    thread_local!(static STORED: RefCell<Vec<Tensor>> = const { RefCell::new(vec![]) });

    #[no_grad(detach(args))]
    fn stores(
        mut x: Tensor,
        y: &Tensor,
        list: &[Tensor],
        (a, _): (Tensor, u8),
        out: &mut Tensor,
        name: &str,
    ) -> usize {
        x.value += 1.0;
        STORED.with_borrow_mut(|stored| stored.extend([x, *y, list[0], a, *out]));
        out.value = 5.0;
        name.len()
    }
    let (y, mut out) = (recorded(2.0), recorded(0.0));
    assert_eq!(stores(recorded(0.0), &y, &[recorded(3.0)], (recorded(4.0), 0), &mut out, "four"), 4);
    let stored = STORED.take();
    assert_eq!(stored[..4], [1.0, 2.0, 3.0, 4.0].map(detached));
    assert_eq!(stored[4], recorded(0.0), "an array behind a `&mut` belongs to the caller");
    assert_eq!((y, out), (recorded(2.0), recorded(5.0)));

    #[no_grad(detach(x))]
    async fn named(x: Tensor, y: Tensor) -> [Tensor; 2] {
        [x, y]
    }
    assert_eq!(block_on(named(recorded(1.0), recorded(2.0))), [detached(1.0), recorded(2.0)]);

    #[no_grad(detach(args))]
    fn with_raw_names(r#type: &Tensor, r#move: Tensor) -> [Tensor; 2] {
        [*r#type, r#move]
    }
    assert_eq!(with_raw_names(&recorded(1.0), recorded(2.0)), [detached(1.0), detached(2.0)]);
}

#[test]
#[allow(unused_parens, reason = "types and patterns in parentheses are tested")]
fn arguments_from_macros_and_in_parentheses() {
    macro_rules! function {
        ($name:ident($by_value:pat => $value:ty, $by_reference:pat => $reference:ty, $mutable:ident: $out:ty) $body:block) => {
            #[no_grad(detach(args))]
            fn $name($by_value: $value, $by_reference: ($reference), $mutable: $out) -> [Tensor; 3] $body
        };
    }
    function!(from_fragments((mut x) => Tensor, y => &Tensor, out: &mut Tensor) {
        x.value += 1.0;
        [x, *y, *out]
    });
    #[no_grad(detach(args))]
    fn by_pattern((&(x, (y))): &(Tensor, Tensor), (ref z, _): (Tensor, u8)) -> [Tensor; 3] {
        [x, y, *z]
    }
    #[set_grad_enabled(x.recorded, detach(x))]
    fn in_the_condition(x: &Tensor) -> (bool, Option<GradMode>) {
        (x.recorded, x.detached_in)
    }
    let tensors = [recorded(1.0), recorded(2.0), recorded(3.0)];
    let [x, y, mut out] = tensors;
    assert_eq!(from_fragments(x, &y, &mut out), [detached(2.0), detached(2.0), recorded(3.0)]);
    assert_eq!(by_pattern(&(x, y), (out, 0)), [detached(1.0), detached(2.0), detached(3.0)]);
    assert_eq!(in_the_condition(&x), (false, Some(GradMode::Enabled)));
}

#[test]
fn parts_of_a_deferred_result() {
    #[expect(clippy::type_complexity, reason = "attributes read the type as written")]
    #[no_grad(detach)]
    fn tuple() -> (Tensor, impl Iterator<Item = Tensor>, Option<Box<dyn Fn(f32) -> Tensor>>) {
        (recorded(1.0), std::iter::once_with(|| recorded(2.0)), Some(Box::new(recorded)))
    }
    #[no_grad(detach)]
    async fn closures() -> Vec<Tensor> {
        vec![recorded(1.0)]
    }
    #[no_grad(detach = by_function)]
    fn items() -> impl Iterator<Item = Box<dyn Future<Output = Tensor> + Unpin>> {
        std::iter::once_with(|| -> Box<dyn Future<Output = Tensor> + Unpin> {
            Box::new(std::future::ready(recorded(1.0)))
        })
    }
    #[no_grad(detach)]
    fn asynchronous() -> impl AsyncFn(f32) -> Result<Tensor, ()> {
        async |value| Ok(recorded(value))
    }
    let (first, mut second, third) = tuple();
    assert_eq!((first, second.next(), third.unwrap()(3.0)), (detached(1.0), Some(detached(2.0)), detached(3.0)));
    assert_eq!(block_on(closures()), [detached(1.0)]);
    assert_eq!(block_on(items().next().unwrap()), detached(-1.0));
    assert_eq!(block_on(asynchronous()(1.0)), Ok(detached(1.0)));
}

#[derive(Clone, Debug, Detach, PartialEq)]
struct Output<T> {
    hidden: Vec<T>,
    r#type: (T, u8),
    #[detach(skip)]
    kept: T,
}

#[derive(Debug, Detach, PartialEq)]
enum Choice {
    Nothing,
    One(Tensor, #[detach(skip)] Tensor),
    Named { output: Output<Tensor>, count: usize },
}

#[derive(Detach)]
enum Never {}

#[test]
fn derived() {
    let mode = |tensor: Tensor| Tensor { detached_in: Some(GradMode::Enabled), ..tensor };
    let output = Output { hidden: vec![recorded(1.0)], r#type: (recorded(2.0), 3), kept: recorded(4.0) };
    let expected =
        Output { hidden: vec![mode(detached(1.0))], r#type: (mode(detached(2.0)), 3), kept: recorded(4.0) };
    assert_eq!(output.clone().detached(), expected);
    assert_eq!(Choice::Nothing.detached(), Choice::Nothing);
    assert_eq!(
        Choice::One(recorded(1.0), recorded(2.0)).detached(),
        Choice::One(mode(detached(1.0)), recorded(2.0))
    );
    assert_eq!(Choice::Named { output, count: 1 }.detached(), Choice::Named { output: expected, count: 1 });
    assert!(None::<Never>.detached().is_none());
}

#[test]
fn types_of_std() {
    let (x, expected) = (recorded(1.0), recorded(1.0).detached());
    assert_eq!(((), x, 1_u8, "text").detached(), ((), expected, 1, "text"));
    assert_eq!([x; 2].detached(), [expected; 2]);
    assert_eq!(VecDeque::from([x]).detached(), [expected]);
    assert_eq!(Box::new(x).detached(), Box::new(expected));
    assert_eq!(Some(x).detached(), Some(expected));
    assert_eq!(Err::<u8, _>(x).detached(), Err(x), "an error is not detached");
    assert_eq!(HashMap::from([(1, x)]).detached(), HashMap::from([(1, expected)]));
    assert_eq!(BTreeMap::from([(1, x)]).detached(), BTreeMap::from([(1, expected)]));
    assert_eq!(vec![x].into_boxed_slice().detached(), vec![expected].into_boxed_slice());
    assert_eq!(Cow::Borrowed(&x).detached(), Cow::<Tensor>::Owned(expected));
    let (shared, arc) = (Rc::new(x), Arc::new(x));
    assert_eq!(
        (*Rc::clone(&shared).detached(), *shared),
        (expected, x),
        "the other owner keeps the recorded array"
    );
    assert_eq!((*Arc::clone(&arc).detached(), *arc), (expected, x));
}
