// Behaviour that does not depend on the edition: a test here in edition 2024, and a documentation test of grad-macros in 2021.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use grad_runtime::GradMode::{self, Enabled, NoGrad};
use grad_runtime::grad_mode;

thread_local! {
    static DROPPED: RefCell<Vec<(&'static str, GradMode)>> = const { RefCell::new(Vec::new()) };
}

struct Temporary(&'static str);

impl Temporary {
    fn mode(&self) -> GradMode {
        let _ = self.0;
        grad_mode()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        DROPPED.with_borrow_mut(|dropped| dropped.push((self.0, grad_mode())));
    }
}

#[grad_runtime::attr::no_grad]
fn function(_argument: Temporary) -> GradMode {
    Temporary("function").mode()
}

#[grad_runtime::attr::no_grad]
fn matches() -> bool {
    match Temporary("scrutinee").mode() {
        NoGrad => Temporary("arm").mode() == NoGrad,
        _ => false,
    }
}

#[grad_runtime::attr::no_grad]
async fn asynchronous() -> GradMode {
    Temporary("async").mode()
}

#[grad_runtime::attr::no_grad]
#[allow(unsafe_code)]
async unsafe fn asynchronous_unsafe(pointer: &u8) -> u8 {
    // SAFETY: a reference is a valid pointer.
    unsafe { *std::ptr::from_ref(pointer) }
}

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn block() -> GradMode {
    grad_runtime::no_grad! { Temporary("block").mode() }
}

fn block_in_parentheses() -> GradMode {
    grad_runtime::no_grad!(Temporary("parentheses").mode())
}

// As in a plain block, a temporary whose lifetime `let` extends outlives the block.
fn block_that_lends() -> GradMode {
    let lent: &Temporary = grad_runtime::no_grad! { &Temporary("lent") };
    lent.mode()
}

type Length = dyn Fn(&str) -> usize;

fn block_with_an_expected_type() -> usize {
    let list: Vec<Box<Length>> = grad_runtime::no_grad! {
        let _ = Temporary("list").mode();
        vec![Box::new(|text| text.len() + 1), Box::new(str::len)]
    };
    list.iter().map(|length| length("abc")).sum()
}

fn block_in_a_loop() -> usize {
    let mut rounds = 0;
    loop {
        rounds += 1;
        grad_runtime::no_grad! {
            if Temporary("loop").mode() == Enabled || rounds < 2 {
                continue;
            }
            break;
        }
    }
    rounds
}

#[allow(unsafe_code)]
pub fn check() {
    assert_eq!(function(Temporary("argument")), NoGrad);
    assert!(matches());
    assert_eq!(poll(asynchronous()), Poll::Ready(NoGrad));
    // SAFETY: nothing is asked of the caller.
    assert_eq!(poll(unsafe { asynchronous_unsafe(&5) }), Poll::Ready(5));
    assert_eq!(block(), NoGrad);
    assert_eq!(block_in_parentheses(), NoGrad);
    assert_eq!(block_that_lends(), Enabled);
    assert_eq!(block_with_an_expected_type(), 7);
    assert_eq!(block_in_a_loop(), 2);
    assert_eq!(
        DROPPED.take(),
        [
            ("function", NoGrad),
            ("argument", Enabled),
            ("arm", NoGrad),
            ("scrutinee", NoGrad),
            ("async", NoGrad),
            ("block", NoGrad),
            ("parentheses", NoGrad),
            ("lent", Enabled),
            ("list", NoGrad),
            ("loop", NoGrad),
            ("loop", NoGrad),
        ]
    );
    assert_eq!(grad_mode(), Enabled);
}
