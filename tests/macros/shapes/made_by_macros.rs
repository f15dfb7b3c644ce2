//! Functions made by `macro_rules!`, as a whole or from fragments.
#![expect(clippy::boxed_local, clippy::mixed_attributes_style, clippy::needless_lifetimes)]

use grad_runtime::GradMode::{self, Enabled, Inference, NoGrad};
use grad_runtime::prelude::*;
use grad_runtime::{Backend, Mlx, grad_mode, is_grad_enabled};

use crate::common::{awaited, restored};

macro_rules! from_fragments {
    (
        $(#[$meta:meta])* $vis:vis fn $name:ident<$lifetime:lifetime, $type:ident: $bound:ident>
        ($argument:pat => $ty:ty) -> $output:ty $body:block
    ) => {
        $(#[$meta])*
        #[no_grad]
        $vis fn $name<$lifetime, $type: $bound>($argument: $ty) -> $output $body
    };
}

from_fragments! {
    /// Docs as a `meta`.
    #[inline]
    pub(super) fn whole<'a, T: Scalar>((first, rest) => (T, &'a [T])) -> (f64, &'a [T], GradMode) {
        let sum = first.into() + rest.iter().map(|&x| x.into()).sum::<f64>();
        (sum, rest, grad_mode())
    }
}

pub trait Scalar: Copy + Into<f64> {}
impl Scalar for f32 {}

macro_rules! async_from_fragments {
    ($vis:vis $name:ident($argument:ident: $ty:ty) -> $output:ty, $body:block) => {
        #[no_grad]
        $vis async fn $name($argument: $ty) -> $output $body
    };
}

async_from_fragments!(pub async_block(x: &u8) -> Result<(u8, GradMode), std::num::ParseIntError>, {
    std::future::ready(()).await;
    let y: u8 = "1".parse()?;
    Ok((x + y, grad_mode()))
});
async_from_fragments!(async_opaque(x: u8) -> (impl Copy + Into<u32>, GradMode), { (x, grad_mode()) });
async_from_fragments!(async_never(x: u8) -> !, { std::panic::panic_any((x, grad_mode())) });
async_from_fragments!(async_coerced(x: &'static str) -> Vec<Box<dyn AsRef<str>>>, {
    assert_eq!(grad_mode(), NoGrad);
    vec![Box::new(x), Box::new(x.to_owned())]
});

#[test]
fn fragments() {
    let (sum, rest, mode) = restored(whole::<f32>((0.5, &[1.0, 2.0])));
    assert_eq!((sum.to_bits(), rest.len(), mode), (3.5_f64.to_bits(), 2, NoGrad));
    assert_eq!(awaited(async_block(&1)), Ok((2, NoGrad)));
    let (number, mode) = awaited(async_opaque(3));
    assert_eq!((number.into(), mode), (3_u32, NoGrad));
    let panic = std::panic::catch_unwind(|| awaited(async_never(4))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&(4_u8, NoGrad)));
    assert_eq!(awaited(async_coerced("a")).iter().map(|text| text.as_ref().as_ref()).collect::<String>(), "aa");
}

macro_rules! around_an_expression {
    ($name:ident, $result:expr) => {
        #[no_grad]
        fn $name() -> (i32, GradMode) {
            // The fragment is one expression, not its tokens.
            ($result * 2, grad_mode())
        }
    };
    ($name:ident { $($statement:stmt;)* } $result:expr) => {
        #[allow(redundant_semicolons, reason = "rustc warns of a `$statement:stmt`, with an attribute or without")]
        #[no_grad]
        fn $name() -> (i32, GradMode) {
            $($statement;)*
            ($result, grad_mode())
        }
    };
    ($name:ident: $($token:tt)*) => {
        #[no_grad]
        fn $name() -> (i32, GradMode) { $($token)* }
    };
}

#[test]
fn expressions_statements_and_tokens() {
    around_an_expression!(expression, 1 + 2);
    around_an_expression!(literal, 21);
    around_an_expression!(statements { let x = 1; let y = x + 1; } x + y);
    around_an_expression!(tokens: if is_grad_enabled() { return (0, grad_mode()) } (4, grad_mode()));
    assert_eq!(restored([expression(), literal()]), [(6, NoGrad), (42, NoGrad)]);
    assert_eq!(restored([statements(), tokens()]), [(3, NoGrad), (4, NoGrad)]);
}

/// Names of the macro, of its user and of the generated code do not collide.
#[test]
fn hygiene() {
    macro_rules! with_locals {
        ($name:ident($argument:ident), $result:expr) => {
            #[set_grad_enabled($argument > 100)]
            fn $name($argument: i32) -> (i32, i32, GradMode) {
                let local = 100;
                let scope = 10;
                ($result, local + scope, grad_mode())
            }
        };
    }
    with_locals!(user_has_a_local(local), local + 1);
    with_locals!(user_has_a_scope(scope), scope + 2);
    with_locals!(user_has_a_guard(guard), guard + 3);

    assert_eq!(restored(user_has_a_local(1)), (2, 110, NoGrad));
    assert_eq!(restored(user_has_a_scope(1)), (3, 110, NoGrad));
    assert_eq!(restored(user_has_a_guard(101)), (104, 110, Enabled));
}

macro_rules! by_dollar_crate {
    ($name:ident) => {
        #[$crate::common::grad_runtime::attr::no_grad(crate = $crate::common::grad_runtime)]
        fn $name() -> GradMode {
            $crate::common::assert_mode(NoGrad);
            grad_mode()
        }
    };
}

#[test]
fn dollar_crate() {
    by_dollar_crate!(made);
    assert_eq!(restored(made()), NoGrad);
}

#[test]
fn fragments_in_the_arguments() {
    macro_rules! conditional {
        ($name:ident, $condition:expr) => {
            #[set_grad_enabled($condition)]
            fn $name() -> GradMode {
                grad_mode()
            }
        };
    }
    macro_rules! on_a_path {
        ($name:ident, $backend:path) => {
            #[no_grad(backend = $backend)]
            fn $name() -> (GradMode, GradMode) {
                (Backend::grad_mode(&$backend), grad_mode())
            }
        };
    }
    macro_rules! on_a_name {
        ($name:ident, $backend:ident) => {
            #[inference_mode($backend.name().is_empty(), backend = $backend)]
            async fn $name() -> (GradMode, GradMode) {
                ($backend.grad_mode(), grad_mode())
            }
        };
    }
    conditional!(always, 1 + 1 == 2);
    conditional!(never, !always().is_enabled());
    on_a_path!(mlx, Mlx);
    on_a_name!(resumed, Mlx);

    assert_eq!(restored([always(), never()]), [Enabled, NoGrad]);
    assert_eq!(restored(mlx()), (NoGrad, Enabled));
    assert_eq!(awaited(resumed()), (Enabled, Enabled));
}

#[test]
fn whole_items() {
    macro_rules! annotated {
        ($item:item) => {
            #[no_grad]
            $item
        };
    }
    macro_rules! each {
        ($($item:item)*) => { $(annotated! { $item })* };
    }
    annotated! {
        /// Docs.
        fn item<T: Copy>(x: &T) -> (T, GradMode) {
            //! Docs inside.
            (*x, grad_mode())
        }
    }
    each! {
        fn first() -> GradMode { grad_mode() }
        async fn second(x: u8) -> (u8, GradMode) { (x, grad_mode()) }
    }

    assert_eq!(restored(item(&1)), (1, NoGrad));
    assert_eq!(restored(first()), NoGrad);
    assert_eq!(awaited(second(2)), (2, NoGrad));
}

#[test]
fn attributes_as_fragments() {
    macro_rules! with_attributes {
        ($($(#[$meta:meta])* $name:ident),*) => {
            $($(#[$meta])* fn $name() -> GradMode { grad_mode() })*
        };
    }
    with_attributes! {
        #[no_grad] off,
        #[inline] #[inference_mode] serving,
        #[set_grad_enabled(true)] on,
        plain
    }
    assert_eq!(restored([off(), serving(), on(), plain()]), [NoGrad, Inference, Enabled, Enabled]);
}

struct Model(u8);

macro_rules! methods {
    ($self:ident => $($name:ident($receiver:ty) $body:block)*) => {
        impl Model {
            $(
                #[no_grad]
                fn $name($self: $receiver) -> (u8, GradMode) $body
            )*
        }
    };
}

methods! { self =>
    by_reference(&Self) { (self.0, grad_mode()) }
    by_value(Self) { (self.0, grad_mode()) }
    in_a_box(Box<Self>) { (self.0, grad_mode()) }
}

#[test]
fn methods_from_fragments() {
    assert_eq!(restored(Model(1).by_reference()), (1, NoGrad));
    assert_eq!(restored(Model(2).by_value()), (2, NoGrad));
    assert_eq!(restored(Box::new(Model(3)).in_a_box()), (3, NoGrad));
}

/// Block macros in a macro, with fragments of its user.
#[test]
fn blocks() {
    macro_rules! block {
        ($body:block) => {
            no_grad! { $body }
        };
        ($body:expr) => {
            no_grad!($body)
        };
    }
    macro_rules! block_on {
        ($backend:path, $condition:expr, $body:expr) => {
            inference_mode! { <$backend> $condition, { $body } }
        };
    }
    let scope = 1;
    let block = block!({
        let scope = scope + 1;
        (scope, grad_mode())
    });
    assert_eq!(restored(block), (2, NoGrad));
    assert_eq!(restored(block!((scope + 2, grad_mode()))), (3, NoGrad));
    assert_eq!(block_on!(Mlx, scope == 1, (Mlx.grad_mode(), grad_mode())), (Inference, Enabled));
}
