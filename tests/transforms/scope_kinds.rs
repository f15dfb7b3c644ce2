//! Every kind of scope under every transform, and the mode that the transformed function sees.

use std::cell::RefCell;
use std::rc::Rc;

use grad_runtime::prelude::*;
use grad_runtime::{Error, Result, Scope, enable_grad, grad_mode, inference_mode, no_grad, set_grad_enabled};

use crate::*;

#[no_grad]
fn annotated(x: &A) -> Result<A> {
    x.abs()
}

#[no_grad(backend = Mlx)]
fn annotated_for_mlx(x: &A) -> Result<A> {
    x.abs()
}

#[enable_grad]
fn annotated_enabled(x: &A) -> Result<A> {
    x.abs()
}

#[inference_mode]
fn annotated_for_inference(x: &A) -> Result<A> {
    x.abs()
}

#[set_grad_enabled(training)]
fn annotated_if(x: &A, training: bool) -> Result<A> {
    x.abs()
}

/// Returns x² · f(x), where f is |x|, in a scope or not.
fn half_way(f: fn(&A) -> Result<A>) -> F {
    Rc::new(move |x| x.square()?.multiply(&f(x)?))
}

macro_rules! kinds_of_scope {
    ($($(#[doc = $doc:literal])* $name:ident: $scope:expr => $expected:tt;)*) => {$(
        $(#[doc = $doc])*
        mod $name {
            use super::*;

            kinds_of_scope!(@under $scope => $expected;
                under_grad: |f| grad(f);
                under_vjp: |f| vjp(f);
                under_jvp: |f| jvp(f);
                under_grad_of_vmap: |f| grad(vmap(f));
                under_vmap_of_grad: |f| vmap(grad(f));
                under_grad_of_compile: |f| grad(compile(f));
                under_compile_of_grad: |f| compile(grad(f));
                under_grad_of_checkpoint: |f| grad(checkpoint(f));
                under_checkpoint_of_grad: |f| checkpoint(grad(f));
                under_grad_of_custom: |f| grad(custom(f));
                under_jvp_of_custom: |f| jvp(custom(f));
            );
        }
    )*};
    (@under $scope:expr => $expected:tt; $($name:ident: $transform:expr;)*) => {$(
        #[test]
        fn $name() {
            let transform: fn(F) -> F = $transform;
            assert_values(move || transform(super::half_way($scope)), $expected);
        }
    )*};
}

// The derivative of x² · f(x) with f(x) = |x|: 2x² where f is a constant, 3x² where it is recorded.
kinds_of_scope! {
    no_scope: A::abs => [3, 12, 27];
    a_block: |x| no_grad!(x.abs()) => [2, 8, 18];
    a_guard: |x| { let _guard = no_grad(); x.abs() } => [2, 8, 18];
    an_annotated_function: annotated => [2, 8, 18];
    an_annotated_function_for_mlx: annotated_for_mlx => [2, 8, 18];
    /// torch: `set_grad_enabled(False)` is `no_grad`, and `set_grad_enabled(True)` is `enable_grad`.
    set_to_disabled: |x| set_grad_enabled!(false, { x.abs() }) => [2, 8, 18];
    set_to_enabled: |x| set_grad_enabled!(true, { x.abs() }) => [3, 12, 27];
    annotated_with_a_condition_that_is_false: |x| annotated_if(x, false) => [2, 8, 18];
    annotated_with_a_condition_that_is_true: |x| annotated_if(x, true) => [3, 12, 27];
    /// Guarantee 10: a scope on MLX counts for MLX, one on the CPU does not.
    a_selective_block: |x| no_grad! { <Mlx> x.abs() } => [2, 8, 18];
    a_selective_guard: |x| { let _guard = Scope::NoGrad.enter_for(&Mlx); x.abs() } => [2, 8, 18];
    a_selective_block_for_another: |x| no_grad! { <Cpu> x.abs() } => [3, 12, 27];
    inference_block: |x| inference_mode!(x.abs()) => [2, 8, 18];
    annotated_for_inference_mode: annotated_for_inference => [2, 8, 18];
    /// Guarantee 7, as in torch: the innermost of `no_grad` and `enable_grad` decides.
    enabled_in_no_grad: |x| no_grad!(enable_grad!(x.abs())) => [3, 12, 27];
    annotated_enabled_in_no_grad: |x| no_grad!(annotated_enabled(x)) => [3, 12, 27];
    no_grad_in_enabled: |x| enable_grad!(no_grad!(x.abs())) => [2, 8, 18];
    /// Guarantee 7, as in torch: `enable_grad` does not lift inference mode, `inference_mode(False)` does.
    enabled_in_inference: |x| inference_mode!(enable_grad!(x.abs())) => [2, 8, 18];
    lifted_inference: |x| inference_mode!(inference_mode!(false, { x.abs() })) => [3, 12, 27];
    /// Guarantee 2: the innermost guard alive decides.
    guards_dropped_out_of_order: |x| {
        let outer = no_grad();
        let inner = enable_grad();
        drop(outer);
        let absolute = x.abs();
        drop(inner);
        absolute
    } => [3, 12, 27];
    /// A scope that has ended does not count.
    after_a_scope: |x| { no_grad!(x.square())?; x.abs() } => [3, 12, 27];
    /// The result of an operation on constants is a constant, outside the scope too.
    from_a_constant: |x| no_grad!(x.negative())?.abs() => [2, 8, 18];
}

/// Returns the result of a transform of the cube that is called in inference mode.
fn in_inference_mode(f: &F) -> Result<Vec<f32>, String> {
    let found = inference_mode!(f(&array(&[1.0, 2.0, 3.0])));
    assert_no_scope_is_open();
    found.map(|found| elements(&found)).map_err(|error| error.to_string())
}

macro_rules! started_in_inference_mode {
    ($($name:ident: $program:expr => $expected:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_eq!(in_inference_mode(&$program), $expected);
        }
    )*};
}

/// Guarantee 5: transforms that differentiate are errors in inference mode, the others compute. (torch: a backward pass in
/// inference mode is an error, a forward pass is not.)
mod guarantee_5_inference_mode {
    use super::*;

    fn refused(transform: &'static str) -> Result<Vec<f32>, String> {
        Err(Error::InferenceMode { transform }.to_string())
    }

    started_in_inference_mode! {
        grad_is_refused: grad(cube()) => refused("grad");
        vjp_is_refused: vjp(cube()) => refused("vjp");
        jvp_is_refused: jvp(cube()) => refused("jvp");
        vmap_computes: vmap(cube()) => Ok(vec![1.0, 8.0, 27.0]);
        compile_computes: compile(cube()) => Ok(vec![1.0, 8.0, 27.0]);
        checkpoint_computes: checkpoint(cube()) => Ok(vec![1.0, 8.0, 27.0]);
        custom_computes: custom(cube()) => Ok(vec![1.0, 8.0, 27.0]);
        vmap_of_grad_is_refused: vmap(grad(cube())) => refused("grad");
        compile_of_grad_is_refused: compile(grad(cube())) => refused("grad");
        checkpoint_of_grad_is_refused: checkpoint(grad(cube())) => refused("grad");
        custom_of_grad_is_refused: custom(grad(cube())) => refused("grad");
        compile_of_vmap_computes: compile(vmap(cube())) => Ok(vec![1.0, 8.0, 27.0]);
        vmap_of_compile_computes: vmap(compile(cube())) => Ok(vec![1.0, 8.0, 27.0]);
        vmap_of_checkpoint_computes: vmap(checkpoint(cube())) => Ok(vec![1.0, 8.0, 27.0]);
    }

    /// The same inside a transform, where the inner one is started in inference mode.
    #[test]
    fn an_inner_transform_is_refused() {
        let inner: F = Rc::new(|x| inference_mode!(grad(cube())(x)));
        for outer in [grad, vjp, jvp, vmap, compile, checkpoint, custom] {
            let refused = outer(inner.clone())(&array(&[1.0, 2.0, 3.0]));
            assert!(matches!(refused.unwrap_err(), Error::InferenceMode { transform: "grad" }));
            assert_no_scope_is_open();
        }
    }
}

/// Returns the modes that the function sees in each of its calls, for each mode that the transform is called in.
fn modes_seen(transform: fn(F) -> F) -> [Vec<(GradMode, bool)>; 3] {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let f = transform(Rc::new({
        let seen = seen.clone();
        move |x| {
            assert_eq!(grad_mode(), Mlx.grad_mode());
            seen.borrow_mut().push((grad_mode(), is_grad_enabled()));
            x.square()
        }
    }));
    let x = array(&[1.0, 2.0, 3.0]);
    let of = |scope: Scope| {
        let _guard = scope.enter();
        f(&x).and_then(|found| found.to_vec::<f32>()).map_or_else(|_| vec![], |_| seen.take())
    };
    [of(Scope::EnableGrad), of(Scope::NoGrad), of(Scope::InferenceMode(true))]
}

const ENABLED: (GradMode, bool) = (GradMode::Enabled, true);
const NO_GRAD: (GradMode, bool) = (GradMode::NoGrad, false);
const INFERENCE: (GradMode, bool) = (GradMode::Inference, false);

macro_rules! modes_seen_inside {
    ($($name:ident: $transform:expr => $enabled:tt | $no_grad:tt | $inference:tt;)*) => {
        mod guarantee_5_modes_seen_inside {
            use super::*;

            $(#[test]
            fn $name() {
                let expected: [Vec<_>; 3] = [vec!$enabled, vec!$no_grad, vec!$inference];
                assert_eq!(modes_seen($transform), expected);
            })*
        }
    };
}

// Guarantee 5: transforms that differentiate start Enabled, the others run in the mode of the call. Under `grad`, a checkpointed
// function is called twice and sees the same mode.
#[rustfmt::skip]
modes_seen_inside! {
    // transform                           called Enabled       in no_grad           in inference mode
    grad_: grad                         => [ENABLED]          | [ENABLED]          | [];
    vjp_: vjp                           => [ENABLED]          | [ENABLED]          | [];
    jvp_: jvp                           => [ENABLED]          | [ENABLED]          | [];
    vmap_: vmap                         => [ENABLED]          | [NO_GRAD]          | [INFERENCE];
    compile_: compile                   => [ENABLED]          | [NO_GRAD]          | [INFERENCE];
    checkpoint_: checkpoint             => [ENABLED]          | [NO_GRAD]          | [INFERENCE];
    custom_: custom                     => [ENABLED]          | [NO_GRAD]          | [INFERENCE];
    grad_of_vmap: |f| grad(vmap(f))     => [ENABLED]          | [ENABLED]          | [];
    grad_of_compile: |f| grad(compile(f)) => [ENABLED]        | [ENABLED]          | [];
    compile_of_grad: |f| compile(grad(f)) => [ENABLED]        | [ENABLED]          | [];
    vmap_of_grad: |f| vmap(grad(f))     => [ENABLED]          | [ENABLED]          | [];
    grad_of_checkpoint: |f| grad(checkpoint(f)) => [ENABLED, ENABLED] | [ENABLED, ENABLED] | [];
    grad_of_custom: |f| grad(custom(f)) => [ENABLED, ENABLED] | [ENABLED, ENABLED] | [];
    vmap_of_compile: |f| vmap(compile(f)) => [ENABLED]        | [NO_GRAD]          | [INFERENCE];
    compile_of_vmap: |f| compile(vmap(f)) => [ENABLED]        | [NO_GRAD]          | [INFERENCE];
}

/// Guarantee 4: outside transforms that differentiate, a scope adds neither a node nor a trace.
mod no_cost_outside_a_transform {
    use grad_runtime::mlx;

    use super::*;

    #[test]
    fn guarantee_4_compiled_functions() {
        let f = mlx::compile(|x| Ok(vec![x[0].square()?.add(&x[0])?]));
        let x = [A::scalar(3.0_f32).unwrap()];
        let outside = f.call(&x).unwrap();
        let inside = no_grad!(f.call(&x)).unwrap();
        assert_eq!(format!("{inside:?}"), format!("{outside:?}"));
        assert_eq!(inside[0].item::<f32>().unwrap(), 12.0);
    }

    /// Functions that are compiled or mapped, not differentiated, compute the same graph in a scope.
    #[test]
    fn guarantee_4_inside_a_function_that_is_not_differentiated() {
        fn same_graph(x: &[A]) -> Result<Vec<A>> {
            let outside = x[0].square()?.add(&x[0])?;
            let inside = no_grad!(x[0].square()?.add(&x[0])?);
            assert_eq!(format!("{inside:?}"), format!("{outside:?}"));
            Ok(vec![inside])
        }
        let x = array(&[3.0, 4.0]);
        let compiled = mlx::compile(same_graph).call(from_ref(&x)).unwrap();
        assert_eq!(elements(&compiled[0]), [12.0, 20.0]);
        let mapped = vmap(Rc::new(|x| Ok(same_graph(from_ref(x))?.swap_remove(0))));
        assert_eq!(elements(&mapped(&x).unwrap()), [12.0, 20.0]);
        assert_eq!(elements(&grad(compile(Rc::new(|x| no_grad!(x.square()))))(&x).unwrap()), [0.0, 0.0]);
        assert_eq!(elements(&compile(grad(Rc::new(|x| no_grad!(x.square()))))(&x).unwrap()), [0.0, 0.0]);
    }

    /// In a scope they call the function directly, and store nothing for a gradient.
    #[test]
    fn guarantee_4_checkpointed_and_custom_functions() {
        fn function(x: &[A]) -> Result<Vec<A>> {
            Ok(vec![x[0].square()?])
        }
        let x = [A::scalar(3.0_f32).unwrap()];
        let plain = format!("{:?}", function(&x).unwrap());
        let custom = mlx::custom_function(function).vjp(|_, cotangents, _| Ok(cotangents.to_vec()));
        assert_ne!(format!("{:?}", mlx::checkpoint(function).call(&x).unwrap()), plain, "stored for a gradient");
        assert_eq!(format!("{:?}", no_grad!(mlx::checkpoint(function).call(&x)).unwrap()), plain);
        assert_eq!(format!("{:?}", no_grad!(custom.call(&x)).unwrap()), plain);
    }
}
