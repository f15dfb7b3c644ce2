//! Every exit from a scope restores the mode (guarantee 2).

use std::panic::{AssertUnwindSafe, catch_unwind};

use grad_runtime::GradMode::{Enabled, NoGrad};
use grad_runtime::prelude::*;
use grad_runtime::{GradMode, grad_mode};

#[derive(Debug, PartialEq)]
struct Wrapped(String);

impl From<std::num::ParseIntError> for Wrapped {
    fn from(error: std::num::ParseIntError) -> Self {
        Self(error.to_string())
    }
}

#[test]
fn guarantee_2_question_mark() {
    #[no_grad]
    fn attribute(text: &str) -> Result<(u8, GradMode), Wrapped> {
        let number = text.parse()?;
        Ok((number, grad_mode()))
    }
    fn block(text: &str) -> Result<(u8, GradMode), Wrapped> {
        let number = no_grad! {
            assert_eq!(grad_mode(), NoGrad);
            text.parse()?
        };
        Ok((number, grad_mode()))
    }
    fn after(text: &str) -> Result<(u8, GradMode), Wrapped> {
        let number = no_grad! { text.parse() }?;
        Ok((number, grad_mode()))
    }
    assert_eq!(attribute("7"), Ok((7, NoGrad)));
    assert_eq!(block("7"), Ok((7, Enabled)));
    assert_eq!(after("7"), Ok((7, Enabled)));
    let refused = Wrapped("invalid digit found in string".to_owned());
    assert_eq!(attribute("x").as_ref(), Err(&refused));
    assert_eq!(block("x").as_ref(), Err(&refused));
    assert_eq!(after("x").as_ref(), Err(&refused));
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn guarantee_2_question_mark_on_options() {
    #[no_grad]
    fn first(list: &[i32]) -> Option<i32> {
        let first = list.first()?;
        Some(*first)
    }
    fn second(list: &[i32]) -> Option<i32> {
        Some(no_grad!(list.get(1)?) + 1)
    }
    assert_eq!((first(&[1]), first(&[])), (Some(1), None));
    assert_eq!((second(&[1, 2]), second(&[])), (Some(3), None));
}

#[test]
#[expect(clippy::needless_return)]
fn guarantee_2_return() {
    #[no_grad]
    fn attribute(early: bool) -> (u8, GradMode) {
        if early {
            return (1, grad_mode());
        }
        (2, grad_mode())
    }
    fn block(early: bool) -> (u8, GradMode) {
        no_grad! {
            if early {
                return (1, grad_mode());
            }
        }
        (2, grad_mode())
    }
    fn only_returns() -> u8 {
        no_grad! { return 3; }
    }
    fn returns_before_the_end() -> u8 {
        no_grad! { return 4; };
    }
    assert_eq!((attribute(true), attribute(false)), ((1, NoGrad), (2, NoGrad)));
    assert_eq!((block(true), block(false)), ((1, NoGrad), (2, Enabled)));
    assert_eq!((only_returns(), returns_before_the_end()), (3, 4));
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn guarantee_2_break_with_a_value_to_a_label() {
    let found = 'search: {
        for row in [[1, 2], [3, 4]] {
            no_grad! {
                for x in row {
                    if x == 3 {
                        break 'search Some((x, grad_mode()));
                    }
                }
            }
            assert_eq!(grad_mode(), Enabled);
        }
        None
    };
    assert_eq!((found, grad_mode()), (Some((3, NoGrad)), Enabled));

    let inside = no_grad! {
        'inner: {
            if grad_mode() == NoGrad {
                break 'inner 1;
            }
            2
        }
    };
    assert_eq!(inside, 1);
}

#[test]
#[expect(clippy::never_loop)]
fn guarantee_2_break_and_continue_of_an_outer_loop() {
    let mut seen = vec![];
    for x in 0..10 {
        no_grad! {
            if x % 2 == 0 {
                continue;
            }
            if x > 6 {
                break;
            }
            seen.push((x, grad_mode()));
        }
        assert_eq!(grad_mode(), Enabled);
    }
    assert_eq!(seen, [(1, NoGrad), (3, NoGrad), (5, NoGrad)]);

    let value = loop {
        no_grad! { break grad_mode() }
    };
    assert_eq!((value, grad_mode()), (NoGrad, Enabled));

    let mut rounds = 0;
    'outer: loop {
        loop {
            rounds += 1;
            inference_mode! {
                if rounds < 3 {
                    continue 'outer;
                }
                break 'outer;
            }
        }
    }
    assert_eq!((rounds, grad_mode()), (3, Enabled));
}

#[test]
fn guarantee_2_panic() {
    #[no_grad]
    fn attribute(list: &[i32]) -> i32 {
        list[5]
    }
    assert!(catch_unwind(|| attribute(&[])).is_err());
    assert_eq!(grad_mode(), Enabled);

    let mut inside = None;
    let caught = catch_unwind(AssertUnwindSafe(|| {
        no_grad! {
            inside = Some(grad_mode());
            panic!("on purpose")
        }
    }));
    let message = *caught.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!((message, inside, grad_mode()), ("on purpose", Some(NoGrad), Enabled));

    let _outer = grad_runtime::no_grad();
    assert!(catch_unwind(|| enable_grad! { assert!(!is_grad_enabled()) }).is_err());
    assert_eq!(grad_mode(), NoGrad);
}
