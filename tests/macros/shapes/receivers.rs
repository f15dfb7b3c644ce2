//! Types of `self`.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use grad_runtime::GradMode::{self, Enabled, NoGrad};
use grad_runtime::grad_mode;
use grad_runtime::prelude::*;

use crate::common::{awaited, restored};

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    calls: usize,
}

type Seen = (usize, GradMode);

#[expect(clippy::boxed_local, clippy::needless_arbitrary_self_type)]
impl Model {
    #[no_grad]
    fn value(self) -> Seen {
        (self.calls, grad_mode())
    }

    #[no_grad]
    fn mutable_value(mut self) -> (Self, GradMode) {
        self.calls += 1;
        (self, grad_mode())
    }

    #[set_grad_enabled(self.calls == 0)]
    fn reference(&self) -> Seen {
        (self.calls, grad_mode())
    }

    #[no_grad]
    fn reference_that_lives<'a>(&'a self, _: &str) -> (&'a usize, GradMode) {
        (&self.calls, grad_mode())
    }

    #[no_grad]
    fn mutable_reference(&mut self) -> (&mut usize, GradMode) {
        self.calls += 1;
        (&mut self.calls, grad_mode())
    }

    #[no_grad]
    fn typed(self: &Self) -> Seen {
        (self.calls, grad_mode())
    }

    #[no_grad]
    fn typed_mutable(self: &mut Model) -> Seen {
        self.calls += 1;
        (self.calls, grad_mode())
    }

    #[no_grad]
    fn boxed(self: Box<Self>) -> Seen {
        (self.calls, grad_mode())
    }

    #[no_grad]
    fn mutable_box(mut self: Box<Self>) -> (Box<Self>, GradMode) {
        self.calls += 1;
        (self, grad_mode())
    }

    #[no_grad]
    fn rc(self: Rc<Self>) -> (usize, Seen) {
        (Rc::strong_count(&self), (self.calls, grad_mode()))
    }

    #[no_grad]
    fn arc(self: Arc<Self>) -> (usize, Seen) {
        (Arc::strong_count(&self), (self.calls, grad_mode()))
    }

    #[no_grad]
    fn borrowed_arc(self: &Arc<Self>) -> (Arc<Self>, GradMode) {
        (Self::clone_of(self), grad_mode())
    }

    #[enable_grad]
    fn clone_of(this: &Arc<Self>) -> Arc<Self> {
        assert_eq!(grad_mode(), Enabled);
        this.clone()
    }

    #[no_grad]
    fn pinned(self: Pin<&Self>) -> Seen {
        (self.calls, grad_mode())
    }

    #[no_grad]
    fn pinned_mutable(mut self: Pin<&mut Self>) -> Seen {
        self.calls += 1;
        (self.calls, grad_mode())
    }

    #[no_grad]
    fn pinned_box(self: Pin<Box<Self>>) -> Seen {
        (self.calls, grad_mode())
    }

    #[no_grad]
    fn nested(self: Rc<Pin<Box<Self>>>) -> Seen {
        (self.calls, grad_mode())
    }

    #[no_grad]
    async fn value_later(mut self) -> Seen {
        self.calls += 1;
        std::future::ready(()).await;
        (self.calls, grad_mode())
    }

    #[set_grad_enabled(self.calls == 0)]
    async fn reference_later(&self) -> Seen {
        std::future::ready(()).await;
        (self.calls, grad_mode())
    }

    #[no_grad]
    async fn mutable_reference_later(&mut self) -> (&mut usize, GradMode) {
        std::future::ready(()).await;
        self.calls += 1;
        (&mut self.calls, grad_mode())
    }

    #[no_grad]
    async fn arc_later(self: Arc<Self>) -> (usize, Seen) {
        std::future::ready(()).await;
        (Arc::strong_count(&self), (self.calls, grad_mode()))
    }

    #[no_grad]
    async fn pinned_later(mut self: Pin<&mut Self>) -> Seen {
        std::future::ready(()).await;
        self.as_mut().calls += 1;
        (self.calls, grad_mode())
    }
}

const SEVEN: Model = Model { calls: 7 };

#[test]
fn values() {
    assert_eq!(restored(SEVEN.value()), (7, NoGrad));
    assert_eq!(restored(SEVEN.mutable_value()), (Model { calls: 8 }, NoGrad));
    assert_eq!(restored(Box::new(SEVEN).boxed()), (7, NoGrad));
    assert_eq!(restored(Box::new(SEVEN).mutable_box()), (Box::new(Model { calls: 8 }), NoGrad));
    assert_eq!(restored(Rc::new(SEVEN).rc()), (1, (7, NoGrad)));
    let shared = Arc::new(SEVEN);
    assert_eq!(restored(shared.clone().arc()), (2, (7, NoGrad)));
    let (clone, mode) = restored(shared.borrowed_arc());
    assert_eq!((Arc::ptr_eq(&shared, &clone), mode), (true, NoGrad));
    assert_eq!(restored(Rc::new(Box::pin(SEVEN)).nested()), (7, NoGrad));
    assert_eq!(restored(Box::pin(SEVEN).pinned_box()), (7, NoGrad));
}

#[test]
fn references() {
    let mut model = Model::default();
    assert_eq!(restored(model.reference()), (0, Enabled));
    let (calls, mode) = restored(model.mutable_reference());
    *calls += 10;
    assert_eq!((*calls, mode), (11, NoGrad));
    assert_eq!(restored(model.reference()), (11, NoGrad));
    assert_eq!(restored(model.reference_that_lives("")), (&11, NoGrad));
    assert_eq!(restored(model.typed()), (11, NoGrad));
    assert_eq!(restored(model.typed_mutable()), (12, NoGrad));
    assert_eq!(restored(Pin::new(&model).pinned()), (12, NoGrad));
    assert_eq!(restored(Pin::new(&mut model).pinned_mutable()), (13, NoGrad));
}

#[test]
fn of_async_methods() {
    let mut model = Model::default();
    assert_eq!(awaited(model.reference_later()), (0, Enabled));
    let (calls, mode) = awaited(model.mutable_reference_later());
    *calls += 10;
    assert_eq!((*calls, mode), (11, NoGrad));
    assert_eq!(awaited(model.reference_later()), (11, NoGrad));
    assert_eq!(awaited(Pin::new(&mut model).pinned_later()), (12, NoGrad));
    assert_eq!(awaited(model.value_later()), (13, NoGrad));
    let shared = Arc::new(SEVEN);
    assert_eq!(awaited(shared.clone().arc_later()), (2, (7, NoGrad)));
}

#[test]
fn through_a_trait_object() {
    trait Layer {
        fn forward(&self) -> GradMode;

        #[no_grad]
        fn evaluate(&self) -> GradMode {
            self.forward()
        }

        #[no_grad]
        fn consume(self: Box<Self>) -> GradMode {
            self.forward()
        }
    }

    impl Layer for Model {
        fn forward(&self) -> GradMode {
            grad_mode()
        }
    }

    let layer: Box<dyn Layer> = Box::new(SEVEN);
    assert_eq!((restored(layer.forward()), restored(layer.evaluate())), (Enabled, NoGrad));
    assert_eq!(restored(layer.consume()), NoGrad);
}
