//! Constructs that a backend gets wrong, which no program has until that is mended. To mend one is to delete its line here.

use crate::modes::Engine;

/// A construct that a program may avoid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Construct {
    /// `take` of an array that is mapped by `vmap`.
    TakeUnderVmap,
    /// `take` with indices that were computed, inside a transform that differentiates.
    ComputedIndices,
    /// Converting a float array that a transform differentiates to an integer or bool dtype.
    FloatToInteger,
}

pub const KNOWN_BUGS: &[(Engine, Construct)] = &[
    // Issue 10, item 1: vmap of indexing is wrong for axes other than the first.
    (Engine::Mlx, Construct::TakeUnderVmap),
    // Issue 10, item 5: MLX refuses to differentiate by an index.
    (Engine::Mlx, Construct::ComputedIndices),
    // Issue 10, item 7: the round trip through an integer dtype has derivative 1 on MLX.
    (Engine::Mlx, Construct::FloatToInteger),
];

pub fn avoids(engine: Engine, construct: Construct) -> bool {
    KNOWN_BUGS.contains(&(engine, construct))
}
