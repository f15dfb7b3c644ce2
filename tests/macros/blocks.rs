//! Block macros: their places, contents and arguments.

use std::fmt::Display;

use grad_runtime::GradMode::{Enabled, Inference, NoGrad};
use grad_runtime::prelude::*;
use grad_runtime::{GradMode, grad_mode};

use crate::{Witness, dropped};

#[test]
fn each_block_sets_its_mode_and_restores() {
    assert_eq!((no_grad!(grad_mode()), grad_mode()), (NoGrad, Enabled));
    assert_eq!((inference_mode!(grad_mode()), grad_mode()), (Inference, Enabled));
    assert_eq!(no_grad!(enable_grad!(grad_mode())), Enabled);
    assert_eq!(inference_mode!(enable_grad!(grad_mode())), Inference);
    for (condition, enabled, inference) in [(true, Enabled, Inference), (false, NoGrad, Enabled)] {
        assert_eq!(set_grad_enabled!(condition, grad_mode()), enabled);
        assert_eq!(set_grad_enabled! { condition, { grad_mode() } }, enabled);
        assert_eq!(inference_mode!(condition, { grad_mode() }), inference);
    }
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn a_block_in_every_place() {
    fn last() -> GradMode {
        no_grad! { grad_mode() }
    }
    fn last_in_parentheses() -> GradMode {
        no_grad!(grad_mode())
    }
    fn only_statements() {
        no_grad! {
            let _ = grad_mode();
        }
    }
    let mut modes = vec![];
    no_grad! { modes.push(grad_mode()) }
    no_grad! { modes.push(grad_mode()); }
    no_grad!(modes.push(grad_mode()));
    no_grad!({ modes.push(grad_mode()) });
    no_grad! {}
    no_grad!();
    only_statements();
    if no_grad! { modes.len() == 4 } {
        modes.push(last());
    }
    match no_grad! { modes.len() } {
        5 => modes.push(last_in_parentheses()),
        other => no_grad! { assert_eq!(other, 5) },
    }
    let closure = || no_grad!(grad_mode());
    modes.extend([closure(), no_grad![grad_mode()]]);
    assert_eq!(modes, [NoGrad; 8]);
    assert_eq!(no_grad! { modes.len() }.to_string(), "8");
    assert_eq!(no_grad!(1) + no_grad!(2), 3);
}

#[test]
fn the_last_expression_keeps_its_expected_type() {
    let list: Vec<Box<dyn Display>> = no_grad! { vec![Box::new(1), Box::new("two")] };
    assert_eq!(list.iter().map(ToString::to_string).collect::<String>(), "1two");
    let closure: Box<dyn Fn(&str) -> usize> = no_grad!(Box::new(|text| text.len() + 1));
    assert_eq!(closure("four"), 5);
    let parsed: u8 = no_grad! { "7".parse().unwrap() };
    assert_eq!(parsed, 7);
    let pointer: fn(i32) -> i32 = no_grad!(|x| x + 1);
    assert_eq!(pointer(1), 2);
    let mut number = 1;
    no_grad! { &mut number }.clone_from(&2);
    assert_eq!(number, 2);
}

#[test]
fn a_block_behaves_like_a_plain_block() {
    let mut total = 0;
    let text = String::from("moved");
    let length = no_grad! {
        const STEP: usize = 2;
        #[derive(Clone, Copy)]
        struct Local(usize);
        macro_rules! twice { ($x:expr) => { $x * STEP } }
        total += 1;
        let text = text + "!";
        let local = Local(text.len());
        twice!(local.0)
    };
    assert_eq!((total, length), (1, 12));
}

#[test]
#[expect(clippy::used_underscore_binding)]
fn names_do_not_collide() {
    let scope = 1;
    let _guard = 2;
    let condition = false;
    let seen = set_grad_enabled!(condition, {
        let guard = scope + _guard;
        (guard, condition, grad_mode())
    });
    assert_eq!(seen, (3, false, NoGrad));
    assert_eq!(no_grad! { let _guard = 5; _guard + scope }, 6);
}

#[test]
fn inside_macro_rules() {
    macro_rules! frozen {
        ($name:ident = $value:expr; $body:block) => {
            no_grad! { let $name = $value; $body }
        };
    }
    macro_rules! selected {
        ($backend:path, $body:expr) => {
            no_grad! { <$backend> $body }
        };
    }
    macro_rules! conditional {
        ($condition:expr, $body:expr) => {
            set_grad_enabled!($condition, $body)
        };
    }
    assert_eq!(frozen!(x = 1; { assert_eq!(x, 1); grad_mode() }), NoGrad);
    assert_eq!(selected!(Mlx, (Mlx.grad_mode(), Cpu.grad_mode())), (NoGrad, Enabled));
    assert_eq!(conditional!(1 > 2, grad_mode()), NoGrad);
}

#[test]
fn values_are_dropped_inside_the_block() {
    let value = no_grad! {
        let _local = Witness("local");
        Witness("temporary").mode()
    };
    assert_eq!(value, NoGrad);
    no_grad! { Witness("statement").mode(); }
    assert_eq!(no_grad!(Witness("expression").mode()), NoGrad);
    let kept = no_grad!(Witness("value"));
    drop(kept);
    assert_eq!(
        dropped(),
        [
            ("temporary", NoGrad),
            ("local", NoGrad),
            ("statement", NoGrad),
            ("expression", NoGrad),
            ("value", Enabled),
        ]
    );
}

mod nested {
    pub static SWITCH: grad_runtime::Cpu = grad_runtime::Cpu;
}

struct Generic<T>(T);

impl<T> Generic<T> {
    fn mode() -> GradMode {
        grad_mode()
    }
}

#[test]
fn selectors() {
    let modes = || (Cpu.grad_mode(), Mlx.grad_mode());
    assert_eq!(no_grad! { <Mlx> modes() }, (Enabled, NoGrad));
    assert_eq!(no_grad! { <Cpu> modes() }, (NoGrad, Enabled));
    assert_eq!(no_grad!(<nested::SWITCH> { modes() }), (NoGrad, Enabled));
    assert_eq!(no_grad! { <nested::SWITCH> modes() }, (NoGrad, Enabled));
    assert_eq!(no_grad! { enable_grad! { <Mlx> modes() } }, (NoGrad, Enabled));
    assert_eq!(set_grad_enabled!(<Mlx> 1 > 2, { modes() }), (Enabled, NoGrad));
    assert_eq!(inference_mode! { <Mlx> modes() }, (Enabled, Inference));
    assert_eq!(inference_mode! { no_grad! { inference_mode!(<Mlx> false, modes()) } }, (Inference, Enabled));
    assert_eq!(no_grad! { <Mlx> no_grad! { <Cpu> modes() } }, (NoGrad, NoGrad));
    no_grad! { <Mlx>
        assert_eq!(modes(), (Enabled, NoGrad));
    }
    no_grad! { <Mlx> }
    assert_eq!(modes(), (Enabled, Enabled));
}

#[test]
fn a_qualified_path_is_not_a_selector() {
    assert_eq!(no_grad! { <Generic<u8>>::mode() }, NoGrad);
    assert_eq!(no_grad! { <Generic<Vec<u8>>>::mode() }, NoGrad);
    assert_eq!(no_grad! { <u8 as Default>::default() }, 0);
    assert_eq!(no_grad! { <[u8]>::len(&[1, 2]) }, 2);
    assert_eq!(no_grad! { <Mlx> <u8 as Into<u16>>::into(3) }, 3);
    assert_eq!(no_grad! { <u8>::MAX }, 255);
    let _ = Generic(1).0;
}

#[test]
fn attributes_with_a_backend() {
    #[no_grad(backend = Mlx)]
    fn mlx() -> (GradMode, GradMode) {
        (Cpu.grad_mode(), Mlx.grad_mode())
    }
    #[set_grad_enabled(condition, backend = nested::SWITCH)]
    fn conditional(condition: bool) -> (GradMode, GradMode) {
        (Cpu.grad_mode(), Mlx.grad_mode())
    }
    #[inference_mode(backend = Mlx,)]
    fn inference() -> (GradMode, GradMode) {
        (Cpu.grad_mode(), Mlx.grad_mode())
    }
    assert_eq!(mlx(), (Enabled, NoGrad));
    assert_eq!(conditional(false), (NoGrad, Enabled));
    assert_eq!(inference(), (Enabled, Inference));
    assert_eq!(no_grad!(conditional(true)), (Enabled, NoGrad));
}

#[test]
fn a_condition_is_distinguished_from_a_body() {
    let list = [1, 2];
    assert_eq!(inference_mode! { let [a, b] = list; a + b }, 3);
    assert_eq!(inference_mode! { (1, 2) }, (1, 2));
    assert_eq!(inference_mode! { assert_eq!(list.len(), 2); grad_mode() }, Inference);
    assert_eq!(inference_mode!(list.len() > 5, grad_mode()), Enabled);
    assert_eq!(set_grad_enabled!(matches!(list, [1, ..]), grad_mode()), Enabled);
    assert_eq!(set_grad_enabled!(if list[0] == 1 { 1 > 2 } else { true }, grad_mode()), NoGrad);
}
