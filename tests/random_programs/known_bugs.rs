//! Constructs that a backend gets wrong, which no program has until that is mended. To mend one is to delete its line here.

use crate::mode_model::Engine;

/// A construct that a program may avoid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Construct {
    /// `take` by indices that `vmap` maps.
    TakeOfMappedIndices,
    /// The jvp of `matmul` inside of a function that is mapped.
    MappedJvpOfMatmul,
    /// `take` in a function whose gradient is differentiated in forward mode.
    ForwardOverTake,
    /// `max` and `min` in a function whose jvp is differentiated.
    SecondDerivativeOfMax,
    /// `tanh` of a large number, where two transforms differentiate.
    SecondDerivativeOfFlatTanh,
    /// `power` where three transforms differentiate.
    ThirdDerivativeOfPower,
    /// `power` by a small whole number, where more transforms differentiate than that.
    DerivativesOfZerothPower,
    /// `argmax` along an axis of length 1.
    ArgMaxOfOne,
    /// Calling a compiled function with an array which it captured, or which one that it captured was computed from.
    CapturedInputs,
    /// A compiled function that returns an array which does not depend on its inputs.
    CompiledConstants,
    /// A mapped function that returns an array twice.
    MappedTwice,
    /// A checkpointed or custom function that captures an array which a transform differentiates, called inside of another.
    CapturedTracers,
    /// A checkpointed function of which some inputs, and not all, depend on what is being mapped or compiled.
    CheckpointOfUnmapped,
    /// The jvp of a checkpointed or custom function that has none of its own, inside of another transform.
    InnerJvpOfCustom,
    /// Evaluating an array in a checkpointed or custom function that has no jvp of its own, inside of a jvp.
    EvaluationInCustom,
    /// An array that leaves an inner transform by side effect.
    EscapingFromAnInnerTransform,
}

pub const KNOWN_BUGS: &[(Engine, Construct)] = &[
    // The vjp of take and its vmap together are wrong (issue 10, item 1).
    (Engine::Mlx, Construct::TakeOfMappedIndices),
    // The jvp is an `addmm`, which fails where its summand is mapped and the others are not (issue 10, item 1).
    (Engine::Mlx, Construct::MappedJvpOfMatmul),
    // MLX lacks the jvp of scatter (issue 10, item 4).
    (Engine::Mlx, Construct::ForwardOverTake),
    // MLX differentiates by the indices that the jvp of max and min takes, which is an error (as in issue 10, item 5).
    (Engine::Mlx, Construct::SecondDerivativeOfMax),
    // The derivative is NaN where cosh overflows (issue 10, item 7).
    (Engine::Mlx, Construct::SecondDerivativeOfFlatTanh),
    // The vjp of power converts the power to bool and back, which should have derivative 0 (issue 10, item 7).
    (Engine::Mlx, Construct::ThirdDerivativeOfPower),
    // The mixed derivative of bᵉ at e = 0 is 1 / b, and the CPU fallback gives b; so with higher ones at 1 and 2.
    (Engine::Cpu, Construct::DerivativesOfZerothPower),
    // It panics where the array was broadcast: candle divides by the stride, and takes the array to be contiguous.
    (Engine::Cpu, Construct::ArgMaxOfOne),
    // MLX refuses to compile a function for an input that is in the graph of what it captured ("uncaptured inputs").
    (Engine::Mlx, Construct::CapturedInputs),
    // It ends the process where the array was not evaluated when the function was compiled, and is before the result.
    (Engine::Mlx, Construct::CompiledConstants),
    // The second of two equal outputs of a function that is mapped is stacked along the wrong axis.
    (Engine::Mlx, Construct::MappedTwice),
    // The derivative is recorded for the transform further out, to which the array should be a constant.
    (Engine::Mlx, Construct::CapturedTracers),
    // When it runs again, its inputs depend on its outputs: it cannot read them, and MLX takes them to be mapped over axis -1.
    (Engine::Mlx, Construct::CheckpointOfUnmapped),
    // MLX's own jvp of the function takes the tracer flags of the transform further out, which loses derivatives.
    (Engine::Mlx, Construct::InnerJvpOfCustom),
    // It ends the process: MLX runs the function again, and what it captured of the jvp around loses its graph.
    (Engine::Mlx, Construct::EvaluationInCustom),
    // An array that is made of the inner primals is taken out of the graph further out when it is evaluated.
    (Engine::Mlx, Construct::EscapingFromAnInnerTransform),
];

/// Returns whether programs for this backend avoid a construct.
pub fn avoids(engine: Engine, construct: Construct) -> bool {
    KNOWN_BUGS.contains(&(engine, construct))
}
