//! Every transform of every other, with the scope in each place. The tables are the specification.
//!
//! The function is x³, elementwise, at 1, 2 and 3. Its derivatives are 3x², 6x and 6. The scope is
//!
//! - **nowhere**: each transform that differentiates takes one derivative more.
//! - **inside**, around the whole function: its result is a constant, whose derivatives are zero (JAX: `grad` of
//!   `stop_gradient(f(x))` is zero; `torch.func.grad` "will respect the inner `torch.no_grad`"). Where nothing differentiates, the
//!   values do not change: `stop_gradient` is the identity.
//! - **half-way**: x² · stop(x), whose derivatives are 2x², 2x and 0.
//! - **around the inner** transform, whose result is multiplied by x outside the scope: x · stop(inner). The inner transform
//!   differentiates as if there were no scope (`torch.func.grad`: "will respect the inner `torch.no_grad` but not the outer one"),
//!   and its result is a constant to the outer one (JAX: `x * stop_gradient(grad(f)(x))`).
//! - **outside**, around everything: the values are those of **nowhere**, for the same reason.
//!
//! MLX itself has no scopes. Its Python package, with `stop_gradient` in the place of the scope, computes the same values in every
//! cell, except where `vmap` or `jvp` meets the gradient of a checkpointed function (`vmap_of_grad_of_checkpoint`,
//! `jvp_of_grad_of_checkpoint`): MLX raises an error there, since it does not implement that.

use std::rc::Rc;

use grad_runtime::no_grad;

use crate::*;

/// Returns x² · stop(x).
fn half_way() -> F {
    Rc::new(|x| x.square()?.multiply(&no_grad!(x.abs()?)))
}

macro_rules! nestings_of_two {
    ($($name:ident [$outer:ident, $inner:ident] => $nowhere:tt | $inside:tt | $half_way:tt | $around:tt | $outside:tt;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn nowhere() {
                assert_values(|| $outer($inner(cube())), $nowhere);
            }
            #[test]
            fn guarantee_3_inside() {
                assert_values(|| $outer($inner(scope(cube()))), $inside);
            }
            #[test]
            fn guarantee_3_half_way() {
                assert_values(|| $outer($inner(super::half_way())), $half_way);
            }
            #[test]
            fn guarantee_5_around_the_inner() {
                assert_values(|| $outer(times_x(scope($inner(cube())))), $around);
            }
            #[test]
            fn guarantee_5_outside() {
                assert_values(|| scope($outer($inner(cube()))), $outside);
            }
        }
    )*};
}

#[rustfmt::skip]
nestings_of_two! {
    // outer of inner                                 nowhere       inside        half-way      around inner  outside
    grad_of_grad             [grad, grad]             => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [6, 12, 18];
    grad_of_vjp              [grad, vjp]              => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [6, 12, 18];
    grad_of_jvp              [grad, jvp]              => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [6, 12, 18];
    grad_of_vmap             [grad, vmap]             => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 12, 27];
    grad_of_compile          [grad, compile]          => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 12, 27];
    grad_of_checkpoint       [grad, checkpoint]       => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 12, 27];
    grad_of_custom           [grad, custom]           => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 12, 27];
    vjp_of_grad              [vjp, grad]              => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [6, 12, 18];
    vjp_of_vjp               [vjp, vjp]               => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [6, 12, 18];
    vjp_of_jvp               [vjp, jvp]               => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [6, 12, 18];
    vjp_of_vmap              [vjp, vmap]              => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 12, 27];
    vjp_of_compile           [vjp, compile]           => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 12, 27];
    vjp_of_checkpoint        [vjp, checkpoint]        => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 12, 27];
    vjp_of_custom            [vjp, custom]            => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 12, 27];
    jvp_of_grad              [jvp, grad]              => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [6, 12, 18];
    jvp_of_vjp               [jvp, vjp]               => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [6, 12, 18];
    jvp_of_jvp               [jvp, jvp]               => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [6, 12, 18];
    jvp_of_vmap              [jvp, vmap]              => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 12, 27];
    jvp_of_compile           [jvp, compile]           => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 12, 27];
    jvp_of_checkpoint        [jvp, checkpoint]        => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 12, 27];
    jvp_of_custom            [jvp, custom]            => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 12, 27];
    vmap_of_grad             [vmap, grad]             => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 12, 27];
    vmap_of_vjp              [vmap, vjp]              => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 12, 27];
    vmap_of_jvp              [vmap, jvp]              => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 12, 27];
    vmap_of_vmap             [vmap, vmap]             => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    vmap_of_compile          [vmap, compile]          => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    vmap_of_checkpoint       [vmap, checkpoint]       => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    vmap_of_custom           [vmap, custom]           => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    compile_of_grad          [compile, grad]          => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 12, 27];
    compile_of_vjp           [compile, vjp]           => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 12, 27];
    compile_of_jvp           [compile, jvp]           => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 12, 27];
    compile_of_vmap          [compile, vmap]          => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    compile_of_compile       [compile, compile]       => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    compile_of_checkpoint    [compile, checkpoint]    => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    compile_of_custom        [compile, custom]        => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    checkpoint_of_grad       [checkpoint, grad]       => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 12, 27];
    checkpoint_of_vjp        [checkpoint, vjp]        => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 12, 27];
    checkpoint_of_jvp        [checkpoint, jvp]        => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 12, 27];
    checkpoint_of_vmap       [checkpoint, vmap]       => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    checkpoint_of_compile    [checkpoint, compile]    => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    checkpoint_of_checkpoint [checkpoint, checkpoint] => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    checkpoint_of_custom     [checkpoint, custom]     => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    custom_of_grad           [custom, grad]           => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 12, 27];
    custom_of_vjp            [custom, vjp]            => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 12, 27];
    custom_of_jvp            [custom, jvp]            => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 12, 27];
    custom_of_vmap           [custom, vmap]           => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    custom_of_compile        [custom, compile]        => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    custom_of_checkpoint     [custom, checkpoint]     => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
    custom_of_custom         [custom, custom]         => [1, 8, 27]  | [1, 8, 27]  | [1, 8, 27]  | [1, 16, 81] | [1, 8, 27];
}

macro_rules! nestings_of_three {
    ($($name:ident [$outer:ident, $middle:ident, $inner:ident]
        => $nowhere:tt | $inside:tt | $half_way:tt | $inner_only:tt | $both:tt | $outside:tt;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn nowhere() {
                assert_values(|| $outer($middle($inner(cube()))), $nowhere);
            }
            #[test]
            fn guarantee_3_inside() {
                assert_values(|| $outer($middle($inner(scope(cube())))), $inside);
            }
            #[test]
            fn guarantee_3_half_way() {
                assert_values(|| $outer($middle($inner(super::half_way()))), $half_way);
            }
            #[test]
            fn guarantee_5_around_the_inner() {
                assert_values(|| $outer($middle(times_x(scope($inner(cube()))))), $inner_only);
            }
            #[test]
            fn guarantee_5_around_the_middle() {
                assert_values(|| $outer(times_x(scope($middle($inner(cube()))))), $both);
            }
            #[test]
            fn guarantee_5_outside() {
                assert_values(|| scope($outer($middle($inner(cube())))), $outside);
            }
        }
    )*};
}

#[rustfmt::skip]
nestings_of_three! {
    // outer of middle of inner                                     nowhere       inside        half-way      around inner  around middle outside
    grad_of_grad_of_grad           [grad, grad, grad]              => [6, 6, 6]   | [0, 0, 0]   | [0, 0, 0]   | [0, 0, 0]   | [6, 12, 18] | [6, 6, 6];
    jvp_of_vjp_of_grad             [jvp, vjp, grad]                => [6, 6, 6]   | [0, 0, 0]   | [0, 0, 0]   | [0, 0, 0]   | [6, 12, 18] | [6, 6, 6];
    vjp_of_jvp_of_jvp              [vjp, jvp, jvp]                 => [6, 6, 6]   | [0, 0, 0]   | [0, 0, 0]   | [0, 0, 0]   | [6, 12, 18] | [6, 6, 6];
    grad_of_vmap_of_grad           [grad, vmap, grad]              => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [3, 12, 27] | [6, 12, 18];
    vmap_of_grad_of_grad           [vmap, grad, grad]              => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [6, 24, 54] | [6, 12, 18];
    grad_of_grad_of_vmap           [grad, grad, vmap]              => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [0, 0, 0]   | [3, 12, 27] | [6, 12, 18];
    grad_of_compile_of_grad        [grad, compile, grad]           => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [3, 12, 27] | [6, 12, 18];
    compile_of_grad_of_grad        [compile, grad, grad]           => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [6, 24, 54] | [6, 12, 18];
    grad_of_grad_of_compile        [grad, grad, compile]           => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [0, 0, 0]   | [3, 12, 27] | [6, 12, 18];
    vmap_of_compile_of_grad        [vmap, compile, grad]           => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 24, 81] | [3, 12, 27];
    compile_of_vmap_of_grad        [compile, vmap, grad]           => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 24, 81] | [3, 12, 27];
    jvp_of_compile_of_vjp          [jvp, compile, vjp]             => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [3, 12, 27] | [6, 12, 18];
    compile_of_compile_of_grad     [compile, compile, grad]        => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 24, 81] | [3, 12, 27];
    vmap_of_vmap_of_grad           [vmap, vmap, grad]              => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 24, 81] | [3, 12, 27];
    grad_of_checkpoint_of_grad     [grad, checkpoint, grad]        => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [3, 12, 27] | [3, 12, 27] | [6, 12, 18];
    grad_of_grad_of_checkpoint     [grad, grad, checkpoint]        => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [0, 0, 0]   | [3, 12, 27] | [6, 12, 18];
    vmap_of_grad_of_checkpoint     [vmap, grad, checkpoint]        => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 24, 81] | [3, 12, 27];
    grad_of_vmap_of_checkpoint     [grad, vmap, checkpoint]        => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [1, 8, 27]  | [3, 12, 27];
    jvp_of_grad_of_checkpoint      [jvp, grad, checkpoint]         => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [0, 0, 0]   | [3, 12, 27] | [6, 12, 18];
    compile_of_grad_of_checkpoint  [compile, grad, checkpoint]     => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 24, 81] | [3, 12, 27];
    grad_of_checkpoint_of_checkpoint [grad, checkpoint, checkpoint]  => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [1, 8, 27]  | [3, 12, 27];
    checkpoint_of_checkpoint_of_grad [checkpoint, checkpoint, grad]  => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [3, 24, 81] | [3, 24, 81] | [3, 12, 27];
    grad_of_jvp_of_custom          [grad, jvp, custom]             => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [0, 0, 0]   | [3, 12, 27] | [6, 12, 18];
    grad_of_vmap_of_custom         [grad, vmap, custom]            => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [1, 8, 27]  | [3, 12, 27];
    vmap_of_grad_of_custom         [vmap, grad, custom]            => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 24, 81] | [3, 12, 27];
    grad_of_grad_of_custom         [grad, grad, custom]            => [6, 12, 18] | [0, 0, 0]   | [2, 4, 6]   | [0, 0, 0]   | [3, 12, 27] | [6, 12, 18];
    custom_of_grad_of_custom       [custom, grad, custom]          => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [3, 24, 81] | [3, 12, 27];
    jvp_of_custom_of_checkpoint    [jvp, custom, checkpoint]       => [3, 12, 27] | [0, 0, 0]   | [2, 8, 18]  | [1, 8, 27]  | [1, 8, 27]  | [3, 12, 27];
}
