//! Attributes on functions that are not async.

use std::fmt::{Debug, Display};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use grad_runtime::GradMode::{Enabled, Inference, NoGrad};
use grad_runtime::prelude::*;
use grad_runtime::{GradMode, grad_mode};

use crate::{Witness, dropped};

#[no_grad]
fn free() -> GradMode {
    grad_mode()
}

#[enable_grad]
fn enabled() -> GradMode {
    grad_mode()
}

#[inference_mode]
fn inference() -> GradMode {
    grad_mode()
}

#[inference_mode(false)]
fn out_of_inference() -> GradMode {
    grad_mode()
}

#[set_grad_enabled(depth > 2 && !names.is_empty())]
fn conditional(depth: usize, names: &[&str]) -> GradMode {
    let _ = (depth, names);
    grad_mode()
}

#[test]
fn each_attribute_sets_its_mode_and_restores() {
    assert_eq!((free(), grad_mode()), (NoGrad, Enabled));
    assert_eq!((inference(), grad_mode()), (Inference, Enabled));
    assert_eq!(conditional(3, &["a"]), Enabled);
    assert_eq!(conditional(3, &[]), NoGrad);
    let _outer = grad_runtime::no_grad();
    assert_eq!((enabled(), grad_mode()), (Enabled, NoGrad));
    assert_eq!(conditional(3, &["a"]), Enabled);
    let _serving = grad_runtime::inference_mode(true);
    assert_eq!((enabled(), free()), (Inference, Inference));
    assert_eq!((out_of_inference(), grad_mode()), (Enabled, Inference));
}

#[test]
fn one_attribute_for_each_backend() {
    #[no_grad(backend = Cpu)]
    #[inference_mode(backend = Mlx)]
    fn two_backends() -> (GradMode, GradMode) {
        (Cpu.grad_mode(), Mlx.grad_mode())
    }
    assert_eq!(two_backends(), (NoGrad, Inference));
    assert_eq!((Cpu.grad_mode(), Mlx.grad_mode()), (Enabled, Enabled));
}

#[derive(Clone)]
struct Model {
    training: bool,
    calls: usize,
}

const MODEL: Model = Model { training: true, calls: 0 };

#[expect(clippy::boxed_local)]
impl Model {
    #[no_grad]
    pub(crate) fn new() -> (Self, GradMode) {
        (MODEL, grad_mode())
    }

    #[set_grad_enabled(self.training)]
    fn by_ref(&self) -> GradMode {
        let _ = self.calls;
        grad_mode()
    }

    #[set_grad_enabled(self.calls > 0)]
    fn by_mut(&mut self) -> GradMode {
        self.calls += 1;
        grad_mode()
    }

    #[no_grad]
    fn by_value(mut self) -> (usize, GradMode) {
        self.calls += 1;
        (self.calls, grad_mode())
    }

    #[no_grad]
    fn boxed(self: Box<Self>) -> GradMode {
        let _ = self.calls;
        grad_mode()
    }

    #[no_grad]
    fn arc(self: Arc<Self>) -> GradMode {
        let _ = self.calls;
        grad_mode()
    }

    #[no_grad]
    fn rc(self: &Rc<Self>) -> GradMode {
        let _ = self.calls;
        grad_mode()
    }

    #[no_grad]
    fn pinned(self: Pin<&mut Self>) -> GradMode {
        let _ = self.calls;
        grad_mode()
    }
}

#[test]
fn every_receiver() {
    let (mut model, mode) = Model::new();
    assert_eq!(mode, NoGrad);
    assert_eq!(model.by_ref(), Enabled);
    assert_eq!(model.by_mut(), NoGrad);
    assert_eq!(model.by_mut(), Enabled);
    model.training = false;
    assert_eq!(model.by_ref(), NoGrad);
    assert_eq!(model.clone().by_value(), (3, NoGrad));
    assert_eq!(Box::new(MODEL).boxed(), NoGrad);
    assert_eq!(Arc::new(MODEL).arc(), NoGrad);
    assert_eq!(Rc::new(MODEL).rc(), NoGrad);
    assert_eq!(Pin::new(&mut model).pinned(), NoGrad);
    assert_eq!(grad_mode(), Enabled);
}

trait Layer {
    const WIDTH: usize;

    fn forward(&self) -> (usize, GradMode);

    #[no_grad]
    fn evaluate(&self) -> (usize, GradMode) {
        self.forward()
    }

    #[inference_mode]
    fn width() -> (usize, GradMode)
    where
        Self: Sized,
    {
        (Self::WIDTH, grad_mode())
    }
}

impl Layer for Model {
    const WIDTH: usize = 7;

    #[set_grad_enabled(self.training)]
    fn forward(&self) -> (usize, GradMode) {
        (self.calls, grad_mode())
    }
}

impl Layer for u8 {
    const WIDTH: usize = 1;

    fn forward(&self) -> (usize, GradMode) {
        (usize::from(*self), grad_mode())
    }

    #[enable_grad]
    fn evaluate(&self) -> (usize, GradMode) {
        self.forward()
    }
}

#[test]
fn trait_methods_with_and_without_default_bodies() {
    assert_eq!(3_u8.forward(), (3, Enabled));
    assert_eq!(no_grad!(3_u8.evaluate()), (3, Enabled));
    let frozen = Model { training: false, calls: 2 };
    assert_eq!(frozen.evaluate(), (2, NoGrad));
    assert_eq!(MODEL.evaluate(), (0, Enabled));
    assert_eq!(Model::width(), (7, Inference));
}

#[test]
fn generics_patterns_and_qualifiers() {
    #[no_grad]
    fn generic<'a, T, const N: usize>(items: &'a [T; N], other: &impl Debug) -> (&'a T, String, GradMode)
    where
        T: Debug,
    {
        (&items[N - 1], format!("{other:?}"), grad_mode())
    }

    #[no_grad]
    fn patterns((a, mut b): (i32, i32), [first, ..]: [i32; 3], Model { calls, .. }: &Model, _: Witness) -> i32 {
        b += 1;
        a + b + first + i32::try_from(*calls).unwrap()
    }

    #[no_grad]
    extern "C" fn external(x: i32) -> i32 {
        if grad_mode() == NoGrad { x } else { -x }
    }

    #[no_grad]
    fn mutates(list: &mut Vec<GradMode>) {
        list.push(grad_mode());
    }

    assert_eq!(generic(&[1, 2], &"x"), (&2, "\"x\"".to_owned(), NoGrad));
    assert_eq!(patterns((1, 2), [10, 0, 0], &MODEL, Witness("argument")), 14);
    assert_eq!(external(4), 4);
    let mut list = vec![];
    mutates(&mut list);
    assert_eq!(list, [NoGrad]);
    assert_eq!(grad_mode(), Enabled);
}

#[test]
#[allow(unsafe_code)]
fn unsafe_functions() {
    #[no_grad]
    unsafe fn read(x: *const GradMode) -> (GradMode, GradMode) {
        // SAFETY: the caller guarantees that the pointer is valid.
        (unsafe { *x }, grad_mode())
    }
    let mode = Inference;
    // SAFETY: a reference is a valid pointer.
    assert_eq!(unsafe { read(&raw const mode) }, (Inference, NoGrad));
}

#[test]
fn the_last_expression_keeps_its_expected_type() {
    #[no_grad]
    fn coerced() -> Vec<Box<dyn Display>> {
        vec![Box::new(1), Box::new("two")]
    }
    #[no_grad]
    fn closure() -> Box<dyn Fn(&str) -> usize> {
        Box::new(|text| text.len() + 1)
    }
    #[no_grad]
    fn opaque(n: u32) -> impl Iterator<Item = u32> + Clone {
        (0..n).map(|x| x * 2)
    }
    #[no_grad]
    fn pointer() -> fn(f32) -> f32 {
        |x| x + 1.0
    }
    #[no_grad]
    fn parsed(text: &str) -> u8 {
        text.parse().unwrap_or_default()
    }
    #[no_grad]
    fn reborrowed(list: &mut Vec<i32>) -> &mut [i32] {
        list
    }

    assert_eq!(coerced().iter().map(ToString::to_string).collect::<String>(), "1two");
    assert_eq!(closure()("four"), 5);
    assert_eq!(opaque(3).collect::<Vec<_>>(), [0, 2, 4]);
    assert!((pointer()(1.0) - 2.0).abs() < 1e-6);
    assert_eq!(parsed("7"), 7);
    assert_eq!(reborrowed(&mut vec![1]), [1]);
}

#[test]
fn inner_attributes_and_docs_stay_in_front() {
    #[no_grad]
    fn documented() -> i32 {
        //! Documented inside.
        #![allow(unused_variables)]
        let unused = 1;
        2
    }
    #[no_grad]
    fn starts_with_an_attribute() -> i32 {
        #[allow(unused_variables)]
        let unused = 1;
        3
    }
    assert_eq!((documented(), starts_with_an_attribute()), (2, 3));
}

#[test]
fn functions_made_by_macro_rules() {
    macro_rules! make {
        ($vis:vis fn $name:ident($argument:ident: $ty:ty) -> $output:ty $body:block) => {
            #[no_grad]
            $vis fn $name($argument: $ty) -> $output $body
        };
    }
    make! {
        pub(super) fn made(x: i32) -> (i32, GradMode) { (x, grad_mode()) }
    }
    assert_eq!(made(1), (1, NoGrad));
}

#[test]
#[expect(clippy::used_underscore_binding)]
fn names_do_not_collide() {
    #[set_grad_enabled(scope)]
    fn same_names(scope: bool, _guard: i32, condition: i32) -> (bool, i32, GradMode) {
        let name = grad_mode();
        (scope, _guard + condition, name)
    }
    assert_eq!(same_names(false, 1, 2), (false, 3, NoGrad));
}

#[test]
fn locals_are_dropped_inside_and_arguments_outside() {
    #[no_grad]
    #[expect(clippy::needless_pass_by_value)]
    fn function(argument: Witness, _: Witness) -> GradMode {
        let _local = Witness("local");
        let _ = &argument;
        Witness("temporary").mode()
    }
    assert_eq!(function(Witness("argument"), Witness("wildcard")), NoGrad);
    let dropped = dropped();
    assert_eq!(dropped, [("temporary", NoGrad), ("local", NoGrad), ("wildcard", Enabled), ("argument", Enabled),]);
}

#[test]
fn the_condition_is_evaluated_once_outside_the_scope() {
    use std::cell::RefCell;
    fn condition(seen: &RefCell<Vec<GradMode>>) -> bool {
        seen.borrow_mut().push(grad_mode());
        false
    }
    #[set_grad_enabled(condition(seen))]
    fn function(seen: &RefCell<Vec<GradMode>>) -> GradMode {
        seen.borrow_mut().push(grad_mode());
        grad_mode()
    }
    let seen = RefCell::default();
    assert_eq!(function(&seen), NoGrad);
    assert_eq!(seen.into_inner(), [Enabled, NoGrad]);
}
