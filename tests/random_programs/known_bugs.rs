//! Constructs that a backend gets wrong, which no program has until that is mended. To mend one is to delete its line here.

use crate::mode_model::Engine;

/// A construct that a program may avoid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Construct {
    /// `take` of an array that is mapped by `vmap`.
    TakeUnderVmap,
    /// Calling a compiled function with an array which it captured, or which one that it captured was computed from.
    CapturedInputs,
    /// A mapped function that returns an array twice.
    MappedTwice,
    /// `take` in a function whose gradient is differentiated in forward mode.
    ForwardOverTake,
    /// `max` and `min` in a function whose jvp is differentiated.
    SecondDerivativeOfMax,
    /// `tanh` of a large number, where two transforms differentiate.
    SecondDerivativeOfFlatTanh,
    /// The jvp of a checkpointed or custom function that has none of its own, inside of another transform.
    InnerJvpOfCustom,
    /// Evaluating an array in a checkpointed or custom function that has no jvp of its own, inside of a jvp.
    EvaluationInCustom,
    /// `power` where three transforms differentiate.
    ThirdDerivativeOfPower,
    /// `power` by a small whole number, where more transforms differentiate than that.
    DerivativesOfZerothPower,
    /// A checkpointed or custom function that captures an array which a transform differentiates, called inside of another.
    CapturedTracers,
    /// A checkpointed function of which some inputs, and not all, depend on what is being mapped or compiled.
    CheckpointOfUnmapped,
}

pub const KNOWN_BUGS: &[(Engine, Construct)] = &[
    // Issue 10, item 1: vmap of indexing is wrong for axes other than the first.
    (Engine::Mlx, Construct::TakeUnderVmap),
    // MLX refuses to compile a function for an input that is in the graph of what it captured ("uncaptured inputs").
    (Engine::Mlx, Construct::CapturedInputs),
    // The second of two equal outputs of a function that is mapped is stacked along the wrong axis.
    (Engine::Mlx, Construct::MappedTwice),
    // MLX lacks the jvp of scatter.
    (Engine::Mlx, Construct::ForwardOverTake),
    // MLX differentiates by the indices that the jvp of max and min takes, which is an error (as in issue 10, item 5).
    (Engine::Mlx, Construct::SecondDerivativeOfMax),
    // MLX computes 1 / cosh², whose derivative is NaN where cosh overflows.
    (Engine::Mlx, Construct::SecondDerivativeOfFlatTanh),
    // MLX's own jvp of the function takes the tracer flags of the transform further out, which loses derivatives.
    (Engine::Mlx, Construct::InnerJvpOfCustom),
    // It ends the process: MLX runs the function again, and what it captured of the jvp around loses its graph.
    (Engine::Mlx, Construct::EvaluationInCustom),
    // The vjp of power converts the power to bool and back, which should have derivative 0 (issue 10, item 7).
    (Engine::Mlx, Construct::ThirdDerivativeOfPower),
    // The derivative is recorded for the transform further out, to which the array should be a constant.
    (Engine::Mlx, Construct::CapturedTracers),
    // When it runs again, its inputs depend on its outputs: it cannot read them, and MLX takes them to be mapped over axis -1.
    (Engine::Mlx, Construct::CheckpointOfUnmapped),
    // The mixed derivative of bᵉ at e = 0 is 1 / b, and the CPU fallback gives b; so with higher ones at 1 and 2.
    (Engine::Cpu, Construct::DerivativesOfZerothPower),
];

pub fn avoids(engine: Engine, construct: Construct) -> bool {
    KNOWN_BUGS.contains(&(engine, construct))
}
