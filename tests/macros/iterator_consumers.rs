//! Guarantee 8 for iterators: whatever the consumer does to its own mode, the iterator runs in its scope and the consumer in the
//! consumer's mode. Each method that consumes an iterator equals a `for` loop.

use std::iter::{Product, Sum};

use grad_runtime::GradMode::{self, Enabled, Inference, NoGrad};
use grad_runtime::{GradGuard, Scope, attr::no_grad, enable_grad, grad_mode};
use proptest::prelude::*;

/// Returns the mode in which each item is made, from either end.
#[no_grad]
fn modes(count: usize) -> impl DoubleEndedIterator<Item = GradMode> + ExactSizeIterator {
    (0..count).map(|_| grad_mode())
}

/// A consumer that may enter a scope and keep its guard, or drop one, at each item.
#[derive(Default)]
struct Consumer {
    kept: Vec<GradGuard>,
    /// The mode of each item, and the consumer's mode when it got the item.
    seen: Vec<(GradMode, GradMode)>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Nothing,
    Enter(Scope),
    DropFirst,
    DropLast,
}

impl Consumer {
    fn consume(&mut self, item: GradMode, step: Step) {
        self.seen.push((item, grad_mode()));
        match step {
            Step::Nothing => {}
            Step::Enter(scope) => self.kept.push(scope.enter()),
            Step::DropFirst if !self.kept.is_empty() => drop(self.kept.remove(0)),
            Step::DropFirst | Step::DropLast => drop(self.kept.pop()),
        }
    }
}

/// Consumes an iterator to its end, in one of the ways that there are.
type Consume = fn(&[Step], &mut Consumer);

const FOR_LOOP: Consume = |steps, consumer| {
    for (item, step) in modes(steps.len()).zip(steps) {
        consumer.consume(item, *step);
    }
};

const METHODS: [Consume; 9] = [
    |steps, consumer| {
        let mut steps = steps.iter();
        modes(steps.len()).for_each(|item| consumer.consume(item, *steps.next().unwrap()));
    },
    |steps, consumer| {
        modes(steps.len()).fold(0, |at, item| {
            consumer.consume(item, steps[at]);
            at + 1
        });
    },
    |steps, consumer| {
        modes(steps.len()).rfold(0, |at, item| {
            consumer.consume(item, steps[at]);
            at + 1
        });
    },
    |steps, consumer| {
        let mut steps = steps.iter();
        modes(steps.len()).rev().for_each(|item| consumer.consume(item, *steps.next().unwrap()));
    },
    |steps, consumer| {
        let folded = modes(steps.len()).try_fold(0, |at, item| {
            consumer.consume(item, steps[at]);
            Some(at + 1)
        });
        assert_eq!(folded, Some(steps.len()));
    },
    |steps, consumer| {
        modes(steps.len()).zip(steps).for_each(|(item, step)| consumer.consume(item, *step));
    },
    |steps, consumer| {
        let (first, second) = steps.split_at(steps.len() / 2);
        let chained = modes(first.len()).chain(modes(second.len()));
        chained.zip(steps).for_each(|(item, step)| consumer.consume(item, *step));
    },
    |steps, consumer| {
        let mut steps = steps.iter();
        assert!(modes(steps.len()).all(|item| {
            consumer.consume(item, *steps.next().unwrap());
            true
        }));
    },
    |steps, consumer| {
        let consumed = modes(steps.len()).zip(steps).map(|(item, step)| consumer.consume(item, *step));
        assert_eq!(consumed.count(), steps.len());
    },
];

fn run(outer: Scope, steps: &[Step], consume: Consume) -> (Vec<(GradMode, GradMode)>, GradMode) {
    let _outer = outer.enter();
    let mut consumer = Consumer::default();
    consume(steps, &mut consumer);
    let after = grad_mode();
    while consumer.kept.pop().is_some() {}
    assert_eq!(grad_mode(), outer.applied_to(Enabled), "the guards are dropped");
    (consumer.seen, after)
}

fn scope() -> impl Strategy<Value = Scope> {
    prop::sample::select(vec![
        Scope::NoGrad,
        Scope::EnableGrad,
        Scope::InferenceMode(true),
        Scope::InferenceMode(false),
    ])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Nothing),
        3 => scope().prop_map(Step::Enter),
        1 => Just(Step::DropFirst),
        1 => Just(Step::DropLast),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn guarantee_8_consuming_methods_equal_a_for_loop(outer in scope(), steps in prop::collection::vec(step(), 0..8)) {
        let expected = run(outer, &steps, FOR_LOOP);
        for (at, method) in METHODS.into_iter().enumerate() {
            prop_assert_eq!(run(outer, &steps, method), expected.clone(), "method {}", at);
        }
    }
}

/// The example of the report: the scope and the caller are in the same mode at first.
#[test]
fn guarantee_8_a_consumer_that_enables_recording() {
    let _guard = grad_runtime::no_grad();
    let (mut kept, mut seen) = (None, Vec::new());
    modes(3).for_each(|mode| {
        kept.get_or_insert_with(enable_grad);
        seen.push(mode);
    });
    assert_eq!(seen, [NoGrad; 3]);
    assert_eq!(grad_mode(), Enabled);
    drop(kept);
    assert_eq!(grad_mode(), NoGrad);
}

/// A number whose sum is the consumer's arithmetic: it stores the mode in which it is computed.
#[derive(Debug, PartialEq)]
struct ComputedIn(Vec<GradMode>);

impl ComputedIn {
    fn of(items: impl Iterator<Item = GradMode>) -> Self {
        Self(items.map(|_| grad_mode()).collect())
    }
}

impl Sum<GradMode> for ComputedIn {
    fn sum<I: Iterator<Item = GradMode>>(items: I) -> Self {
        Self::of(items)
    }
}

impl Product<GradMode> for ComputedIn {
    fn product<I: Iterator<Item = GradMode>>(items: I) -> Self {
        Self::of(items)
    }
}

#[test]
fn guarantee_8_sums_are_computed_in_the_callers_mode() {
    assert_eq!(modes(2).sum::<ComputedIn>(), ComputedIn(vec![Enabled; 2]));
    let _guard = grad_runtime::inference_mode(true);
    assert_eq!(modes(2).product::<ComputedIn>(), ComputedIn(vec![Inference; 2]));
}
