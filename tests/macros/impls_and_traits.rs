//! Attributes on whole impls and traits.
#![expect(clippy::unused_self, reason = "the methods test the annotation")]

use std::future::Future;
use std::pin::pin;

use futures::executor::block_on;
use grad_runtime::GradMode::{Enabled, Inference, NoGrad};
use grad_runtime::prelude::*;
use grad_runtime::{GradMode, grad_mode};

struct Model<T> {
    training: bool,
    parts: Vec<T>,
}

#[no_grad]
impl<T: Clone> Model<T>
where
    T: Send,
{
    /// Constants, types and const functions are not annotated.
    const MODE: GradMode = Enabled;
    const LAYERS: [usize; 2] = [1, 2];

    const fn constant() -> usize {
        Self::LAYERS[1]
    }

    fn new(parts: &[T]) -> (Self, GradMode) {
        (Self { training: true, parts: parts.to_vec() }, grad_mode())
    }

    /// A method with documentation and lints.
    #[allow(clippy::needless_pass_by_value)]
    pub(crate) fn method(&self, extra: GradMode) -> [GradMode; 3] {
        [Self::MODE, extra, grad_mode()]
    }

    async fn asynchronous(&mut self) -> GradMode {
        futures::future::ready(()).await;
        self.parts.clear();
        grad_mode()
    }

    fn lazy(&self) -> impl Iterator<Item = (T, GradMode)> + '_ {
        self.parts.iter().map(|part| (part.clone(), grad_mode()))
    }

    #[enable_grad]
    fn enabled(&self) -> GradMode {
        grad_mode()
    }

    #[no_grad(skip)]
    fn skipped(&self) -> GradMode {
        grad_mode()
    }

    #[set_grad_enabled(self.training)]
    fn conditional(&self) -> GradMode {
        grad_mode()
    }

    #[grad_runtime::attr::inference_mode]
    fn by_path(&self) -> GradMode {
        grad_mode()
    }

    #[cfg(any())]
    fn not_here(&self) -> NotThere {}
}

#[test]
fn every_method_with_a_body() {
    let (mut model, mode) = Model::new(&[1, 2]);
    assert_eq!((mode, Model::<u8>::constant()), (NoGrad, 2));
    assert_eq!(model.method(Inference), [Enabled, Inference, NoGrad]);
    assert_eq!(model.lazy().collect::<Vec<_>>(), [(1, NoGrad), (2, NoGrad)]);
    assert_eq!(block_on(model.asynchronous()), NoGrad);
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn the_attribute_of_a_method_takes_precedence() {
    let (mut model, _) = Model::new(&[1]);
    assert_eq!(no_grad!(model.enabled()), Enabled);
    assert_eq!((model.skipped(), no_grad!(model.skipped())), (Enabled, NoGrad));
    assert_eq!(model.conditional(), Enabled);
    model.training = false;
    assert_eq!(model.conditional(), NoGrad);
    assert_eq!(model.by_path(), Inference);
}

/// A trait, whose impls are annotated separately.
#[no_grad]
pub(crate) trait Encoder {
    type Output;
    const NAME: &'static str = "encoder";

    fn encode(&self) -> Self::Output;
    fn provided(&self) -> GradMode {
        let _ = self.encode();
        grad_mode()
    }
    fn later(&self) -> impl Future<Output = GradMode> {
        std::future::poll_fn(|_| std::task::Poll::Ready(grad_mode()))
    }
    #[no_grad(skip)]
    fn skipped(&self) -> GradMode {
        grad_mode()
    }
}

struct Plain;

impl Encoder for Plain {
    type Output = GradMode;

    fn encode(&self) -> GradMode {
        grad_mode()
    }
}

struct OnMlx(bool);

#[set_grad_enabled(self.0, backend = Mlx)]
impl Encoder for OnMlx {
    type Output = (GradMode, GradMode);

    fn encode(&self) -> Self::Output {
        (Cpu.grad_mode(), Mlx.grad_mode())
    }
}

#[test]
fn traits() {
    assert_eq!((Plain.encode(), Plain.provided(), Plain.skipped()), (Enabled, NoGrad, Enabled));
    let mut later = pin!(Plain.later());
    assert_eq!(block_on(later.as_mut()), NoGrad);
    assert_eq!((OnMlx(true).encode(), OnMlx(false).encode()), ((Enabled, Enabled), (Enabled, NoGrad)));
    assert_eq!(Plain::NAME, "encoder");
}

#[test]
fn made_by_macro_rules() {
    macro_rules! layer {
        ($name:ident, $body:block) => {
            struct $name;
            #[no_grad]
            impl $name {
                fn mode(&self) -> GradMode $body
            }
        };
    }
    layer!(Dense, { grad_mode() });
    assert_eq!(Dense.mode(), NoGrad);
}

#[test]
fn arguments_carry_over() {
    struct Eager;
    #[no_grad(eager, crate = grad_runtime)]
    impl Eager {
        fn lazy() -> impl Iterator<Item = GradMode> {
            (0..1).map(|_| grad_mode())
        }
    }
    assert!(Eager::lazy().eq([Enabled]));
}

struct Mixed;

/// Members that are not annotated, with signatures in which their end is hard to find.
#[no_grad]
impl Mixed {
    const LIST: [u8; 2] = { [1, 2] };

    #[enable_grad]
    fn with_an_equals_sign(&self) -> impl Iterator<Item = GradMode> {
        std::iter::once_with(grad_mode)
    }

    fn after(&self) -> GradMode {
        grad_mode()
    }

    const fn with_a_condition<I>(_: &I) -> u8
    where
        I: Iterator<Item = u8>,
    {
        Self::LIST[0]
    }

    fn last(&self) -> GradMode {
        grad_mode()
    }
}

#[test]
fn methods_after_one_that_is_not_annotated() {
    assert_eq!((Mixed.after(), Mixed.last()), (NoGrad, NoGrad));
    let _guard = grad_runtime::no_grad();
    assert_eq!(Mixed.with_an_equals_sign().next(), Some(Enabled));
    assert_eq!(Mixed::with_a_condition(&std::iter::empty()), 1);
}
