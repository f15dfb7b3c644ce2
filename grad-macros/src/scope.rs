//! A scope, as the arguments of an attribute or the head of a block macro describe it.

use proc_macro2::TokenStream;
use syn::Ident;

/// The four kinds of scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeKind {
    NoGrad,
    EnableGrad,
    SetGradEnabled,
    InferenceMode,
}

impl ScopeKind {
    /// Returns the kind with that name, if there is one.
    pub fn named(name: &Ident) -> Option<Self> {
        [Self::NoGrad, Self::EnableGrad, Self::SetGradEnabled, Self::InferenceMode]
            .into_iter()
            .find(|kind| name == kind.name())
    }

    /// Returns the name of the attribute and of the block macro.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoGrad => "no_grad",
            Self::EnableGrad => "enable_grad",
            Self::SetGradEnabled => "set_grad_enabled",
            Self::InferenceMode => "inference_mode",
        }
    }

    /// Returns whether a condition may choose how the scope is entered.
    pub const fn takes_condition(self) -> bool {
        matches!(self, Self::SetGradEnabled | Self::InferenceMode)
    }
}

/// A scope to enter, and whether what leaves it is detached.
pub struct Scope {
    pub kind: ScopeKind,
    /// The path of `grad_runtime`.
    pub root: TokenStream,
    /// An expression of type `bool`.
    pub condition: Option<TokenStream>,
    /// The path of the one backend to switch.
    pub backend: Option<TokenStream>,
    /// How results are detached, if they are.
    pub detach: Option<DetachWith>,
}

/// An attribute: its scope, and how it applies to a function.
pub struct ScopeAttribute {
    pub scope: Scope,
    /// Which arguments are detached.
    pub detach_args: Option<DetachArgs>,
    /// Whether the scope ends when the function returns, for deferred results too.
    pub eager: bool,
    /// Whether a method is left out of the attribute on its `impl` block or trait.
    pub skip: bool,
}

impl Scope {
    /// Returns the kind of a scope on every backend that no condition decides about.
    pub fn constant(&self) -> Option<ScopeKind> {
        (self.condition.is_none() && self.backend.is_none()).then_some(self.kind)
    }

    /// Returns whether the two scopes name different backends.
    pub fn has_other_backend_than(&self, other: &Self) -> bool {
        match (&self.backend, &other.backend) {
            (Some(ours), Some(theirs)) => ours.to_string() != theirs.to_string(),
            _ => false,
        }
    }
}

/// The means of detaching a value.
#[derive(Clone)]
pub enum DetachWith {
    /// `grad_runtime::Detach`.
    Trait,
    /// The function at this path.
    Function(TokenStream),
}

/// The arguments that `detach(…)` names.
pub enum DetachArgs {
    All,
    Named(Vec<Ident>),
}

impl DetachArgs {
    /// Returns whether the argument `name` is among them.
    pub fn contains(&self, name: &Ident) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }
}
