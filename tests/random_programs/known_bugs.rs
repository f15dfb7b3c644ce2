//! Constructs that a backend gets wrong, which no program has until that is mended. To mend one is to delete its line here.

use crate::mode_model::Engine;

/// A construct that a program may avoid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Construct {
    /// `take` by indices that `vmap` maps.
    TakeOfMappedIndices,
    /// The jvp of `matmul` inside a function that is mapped.
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
    /// A checkpointed or custom function that captures an array which a transform differentiates, called inside another.
    CapturedTracers,
    /// A checkpointed function of which some inputs, and not all, depend on what is being mapped or compiled.
    CheckpointOfUnmapped,
}

pub const KNOWN_BUGS: &[(Engine, Construct)] = &[
    // The vjp of take and its vmap together are wrong.
    (Engine::Mlx, Construct::TakeOfMappedIndices),
    // The jvp is an `addmm`, which fails where its summand is mapped and the others are not.
    (Engine::Mlx, Construct::MappedJvpOfMatmul),
    // MLX lacks the jvp of scatter.
    (Engine::Mlx, Construct::ForwardOverTake),
    // MLX differentiates by the indices that the jvp of max and min takes, which is an error.
    (Engine::Mlx, Construct::SecondDerivativeOfMax),
    // The derivative is NaN where cosh overflows.
    (Engine::Mlx, Construct::SecondDerivativeOfFlatTanh),
    // The vjp of power converts the power to bool and back, which should have derivative 0.
    (Engine::Mlx, Construct::ThirdDerivativeOfPower),
    // The mixed derivative of bᵉ at e = 0 is 1 / b, and the CPU fallback gives b; so with higher ones at 1 and 2.
    (Engine::Cpu, Construct::DerivativesOfZerothPower),
    // The derivative is recorded for the transform further out, to which the array should be a constant.
    (Engine::Mlx, Construct::CapturedTracers),
    // When it runs again, its inputs depend on its outputs: it cannot read them, and MLX takes them to be mapped over axis -1.
    (Engine::Mlx, Construct::CheckpointOfUnmapped),
];

/// Returns whether programs for this backend avoid a construct.
pub fn avoids(engine: Engine, construct: Construct) -> bool {
    KNOWN_BUGS.contains(&(engine, construct))
}
