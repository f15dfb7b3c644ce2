//! The contents of a body.

use std::cell::RefCell;

use grad_runtime::GradMode::{self, Enabled, Inference, NoGrad};
use grad_runtime::prelude::*;
use grad_runtime::{grad_mode, is_grad_enabled};

use crate::common::{awaited, restored};

#[test]
fn nested_functions_and_items() {
    #[no_grad]
    fn outer(x: u8) -> (Vec<GradMode>, fn() -> GradMode) {
        use std::mem::size_of as size;
        const SIZE: usize = size::<Nested>();
        static TEXT: &str = "text";
        type Seen = Vec<GradMode>;
        enum Nested {
            Value(u8),
        }
        impl Nested {
            #[enable_grad]
            fn mode(&self) -> GradMode {
                let Self::Value(value) = self;
                assert_eq!(usize::from(*value), SIZE + TEXT.len());
                grad_mode()
            }
        }
        fn plain() -> GradMode {
            grad_mode()
        }
        #[inference_mode]
        fn annotated() -> GradMode {
            grad_mode()
        }
        macro_rules! mode {
            () => {
                grad_mode()
            };
        }
        let modes: Seen = vec![plain(), annotated(), Nested::Value(x).mode(), mode!()];
        (modes, plain)
    }

    let (modes, plain) = restored(outer(5));
    assert_eq!(modes, [NoGrad, Inference, Enabled, NoGrad]);
    // A nested function runs in the mode of its caller.
    assert_eq!(plain(), Enabled);
}

#[test]
fn recursion() {
    #[no_grad]
    fn down(n: usize, modes: &mut Vec<GradMode>) -> usize {
        modes.push(grad_mode());
        let below = if n == 0 { 0 } else { up(n - 1, modes) };
        modes.push(grad_mode());
        below + 1
    }
    #[enable_grad]
    fn up(n: usize, modes: &mut Vec<GradMode>) -> usize {
        modes.push(grad_mode());
        let below = if n == 0 { 0 } else { down(n - 1, modes) };
        modes.push(grad_mode());
        below + 1
    }
    #[no_grad]
    fn deep(n: u32) -> u32 {
        if n == 0 { u32::from(is_grad_enabled()) } else { deep(n - 1) + 1 }
    }
    #[no_grad]
    async fn boxed(n: u32) -> u32 {
        if n == 0 { u32::from(is_grad_enabled()) } else { Box::pin(boxed(n - 1)).await + 1 }
    }

    let mut modes = vec![];
    assert_eq!(restored(down(2, &mut modes)), 3);
    assert_eq!(modes, [NoGrad, Enabled, NoGrad, NoGrad, Enabled, NoGrad]);
    assert_eq!(restored(deep(1000)), 1000);
    assert_eq!(awaited(boxed(50)), 50);
}

#[test]
fn labels() {
    #[no_grad]
    fn loops(rows: &[[i32; 3]], wanted: i32) -> (Option<(usize, usize)>, GradMode) {
        let mut found = None;
        'rows: for (i, row) in rows.iter().enumerate() {
            let mut j = 0;
            while j < row.len() {
                if row[j] < 0 {
                    continue 'rows;
                }
                if row[j] == wanted {
                    found = Some((i, j));
                    break 'rows;
                }
                j += 1;
            }
        }
        (found, grad_mode())
    }
    #[no_grad]
    fn blocks(x: i32) -> (i32, GradMode) {
        let value = 'block: {
            if x < 0 {
                break 'block -1;
            }
            no_grad! {
                if x == 0 {
                    break 'block 0;
                }
            }
            let mut rounds = 0;
            'scope: loop {
                rounds += 1;
                enable_grad! {
                    if rounds < x {
                        continue 'scope;
                    }
                    break 'scope rounds
                }
            }
        };
        (value, grad_mode())
    }
    #[no_grad]
    async fn resumed(n: usize) -> (usize, GradMode) {
        let mut rounds = 0;
        'outer: loop {
            for _ in 0..3 {
                std::future::ready(()).await;
                rounds += 1;
                if rounds == n {
                    break 'outer;
                }
            }
        }
        (rounds, grad_mode())
    }

    assert_eq!(restored(loops(&[[1, -1, 5], [2, 5, 5]], 5)), (Some((1, 1)), NoGrad));
    assert_eq!(restored(loops(&[], 5)), (None, NoGrad));
    assert_eq!([blocks(-5), blocks(0), blocks(5)], [(-1, NoGrad), (0, NoGrad), (5, NoGrad)]);
    assert_eq!(awaited(resumed(7)), (7, NoGrad));
}

#[test]
fn let_else_and_early_returns() {
    #[no_grad]
    fn parse(text: &str) -> Result<(u8, GradMode), String> {
        let Some((first, rest)) = text.split_once(' ') else {
            return Err(format!("{:?}", grad_mode()));
        };
        let Ok(number) = first.parse::<u8>() else { return Ok((0, grad_mode())) };
        let rest: u8 = rest.parse().map_err(|_| rest.to_owned())?;
        Ok((number + rest, grad_mode()))
    }
    #[no_grad]
    async fn resumed(text: Option<&str>) -> Option<(usize, GradMode)> {
        let Some(text) = text else { panic!("in {:?}", grad_mode()) };
        std::future::ready(()).await;
        text.chars().next()?;
        Some((text.len(), grad_mode()))
    }

    assert_eq!(restored(parse("1 2")), Ok((3, NoGrad)));
    assert_eq!(restored(parse("x 2")), Ok((0, NoGrad)));
    assert_eq!(restored(parse("1 x")), Err("x".to_owned()));
    assert_eq!(restored(parse("")), Err("NoGrad".to_owned()));
    assert_eq!(awaited(resumed(Some(""))), None);
    let panic = std::panic::catch_unwind(|| awaited(resumed(None))).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("in NoGrad"));
    assert_eq!(awaited(resumed(Some("ab"))), Some((2, NoGrad)));
}

#[test]
fn raw_identifiers() {
    #[no_grad]
    fn r#match(r#type: u8, mut r#fn: u8) -> (u8, GradMode) {
        r#fn += 1;
        let r#let = r#type + r#fn;
        (r#let, grad_mode())
    }
    #[set_grad_enabled(r#if)]
    async fn r#async(r#if: bool, r#await: u8) -> (u8, GradMode) {
        (r#await, grad_mode())
    }
    #[no_grad]
    #[expect(clippy::needless_lifetimes)]
    fn raw_lifetime<'r#a>(r#use: &'r#a str) -> (&'r#a str, GradMode) {
        (r#use, grad_mode())
    }

    assert_eq!(restored(r#match(1, 2)), (4, NoGrad));
    assert_eq!(awaited(r#async(false, 3)), (3, NoGrad));
    assert_eq!(restored(raw_lifetime("raw")), ("raw", NoGrad));
}

/// Names that generated code may use too.
#[test]
#[expect(clippy::duplicate_underscore_argument, clippy::used_underscore_binding)]
fn names_do_not_collide() {
    #[set_grad_enabled(scope && condition)]
    fn arguments(scope: bool, condition: bool, guard: u8, _guard: u8, body: u8) -> (u8, GradMode) {
        (guard + _guard + body, grad_mode())
    }
    #[no_grad]
    fn locals(x: u8) -> (u8, [GradMode; 3]) {
        let before = grad_mode();
        let scope = x + 1;
        let guard = scope + 1;
        let _guard = guard + 1;
        let _scope = _guard + 1;
        let x = _scope;
        (x, [before, grad_mode(), NoGrad])
    }
    #[no_grad]
    fn a_guard_in_the_body(off: bool) -> [GradMode; 3] {
        let outside = grad_mode();
        let _guard = grad_runtime::set_grad_enabled(!off);
        let inside = grad_mode();
        drop(_guard);
        [outside, inside, grad_mode()]
    }
    #[set_grad_enabled(scope)]
    async fn resumed(scope: bool, guard: u8, _guard: u8) -> (u8, GradMode) {
        let condition = guard + _guard;
        std::future::ready(()).await;
        (condition, grad_mode())
    }
    #[no_grad]
    fn shadowed(x: u8) -> (String, GradMode) {
        #[expect(non_upper_case_globals, dead_code)]
        const core: u8 = 1;
        #[expect(dead_code, non_camel_case_types)]
        struct bool;
        mod grad_runtime {
            pub fn text(x: u8) -> String {
                format!("{x}!")
            }
        }
        let x = x + 1;
        let x = grad_runtime::text(x);
        (x, grad_mode())
    }

    assert_eq!(restored(arguments(true, false, 1, 2, 3)), (6, NoGrad));
    assert_eq!(restored(arguments(true, true, 1, 2, 3)), (6, Enabled));
    assert_eq!(restored(locals(1)), (5, [NoGrad; 3]));
    assert_eq!(restored(a_guard_in_the_body(false)), [NoGrad, Enabled, NoGrad]);
    assert_eq!(restored(a_guard_in_the_body(true)), [NoGrad; 3]);
    assert_eq!(awaited(resumed(false, 1, 2)), (3, NoGrad));
    assert_eq!(restored(shadowed(1)), ("2!".to_owned(), NoGrad));
}

#[test]
fn shadowed_arguments() {
    #[no_grad]
    fn plain(x: &str, mut list: Vec<u8>) -> (usize, GradMode) {
        let x = x.len();
        let x = x + list.len();
        list.clear();
        let list = list.len();
        (x + list, grad_mode())
    }
    #[no_grad]
    async fn resumed(x: &str) -> (usize, GradMode) {
        let x = x.len();
        std::future::ready(()).await;
        let x = x * 2;
        (x, grad_mode())
    }
    assert_eq!(restored(plain("ab", vec![1])), (3, NoGrad));
    assert_eq!(awaited(resumed("ab")), (4, NoGrad));
}

#[test]
fn closures_and_blocks_in_a_body() {
    #[no_grad]
    fn body(seen: &RefCell<Vec<GradMode>>) -> u8 {
        let note = || seen.borrow_mut().push(grad_mode());
        note();
        const { assert!(size_of::<u8>() == 1) };
        let parse = |text: &str| -> Result<u8, std::num::ParseIntError> {
            seen.borrow_mut().push(grad_mode());
            text.parse()
        };
        let value = parse("300");
        enable_grad! { seen.borrow_mut().push(grad_mode()) }
        match value {
            Ok(value) => value,
            Err(_) if seen.borrow().len() == 3 => 7,
            Err(_) => 0,
        }
    }
    let seen = RefCell::default();
    assert_eq!(restored(body(&seen)), 7);
    assert_eq!(seen.into_inner(), [NoGrad, NoGrad, Enabled]);
}

#[test]
fn short_bodies() {
    #[no_grad]
    fn empty() {}
    #[no_grad]
    fn only_a_statement(x: &mut GradMode) {
        *x = grad_mode();
    }
    #[no_grad]
    async fn async_empty() {}
    #[no_grad]
    fn only_a_macro() -> String {
        format!("{:?}", grad_mode())
    }
    #[no_grad]
    #[rustfmt::skip]
    #[allow(unused_braces)]
    fn braces() -> GradMode { { { grad_mode() } } }

    empty();
    let mut mode = Enabled;
    only_a_statement(&mut mode);
    assert_eq!(restored(mode), NoGrad);
    awaited(async_empty());
    assert_eq!(restored(only_a_macro()), "NoGrad");
    assert_eq!(restored(braces()), NoGrad);
}

/// Generated statements come before the body, which could continue one of them.
#[test]
fn bodies_that_begin_with_an_operator() {
    #[no_grad]
    async fn minus(x: i32) -> i32 {
        -x
    }
    #[no_grad]
    async fn dereference(x: &mut GradMode) -> Result<(), String> {
        *x = grad_mode();
        Ok(())
    }
    #[no_grad]
    async fn reference(x: &GradMode) -> &GradMode {
        &*x
    }
    #[no_grad]
    async fn tuple(x: u8) -> (u8, GradMode) {
        (x, grad_mode())
    }
    #[no_grad]
    async fn array(x: GradMode) -> [GradMode; 2] {
        [x, grad_mode()]
    }
    #[no_grad]
    async fn path() -> String {
        <str>::to_lowercase("NO GRAD")
    }
    #[no_grad]
    async fn block(x: u8) -> u8 {
        { Some(x) }.map_or(0, |x| x + 1)
    }

    let mut mode = Enabled;
    assert_eq!(awaited(dereference(&mut mode)), Ok(()));
    assert_eq!((mode, *awaited(reference(&mode))), (NoGrad, NoGrad));
    assert_eq!((awaited(minus(2)), awaited(tuple(3))), (-2, (3, NoGrad)));
    assert_eq!(awaited(array(Enabled)), [Enabled, NoGrad]);
    assert_eq!((awaited(path()).as_str(), awaited(block(1))), ("no grad", 2));
}
