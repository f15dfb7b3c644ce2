//! Checks that programs have everything in them.

use std::collections::BTreeMap;

use support::random::Random;

use crate::check::expect;
use crate::generate;
use crate::mode_model::Engine;
use crate::program::{Block, Function, Kind, Scope, Statement, Transform};

/// The number of times that each part is in programs, by name.
#[derive(Default)]
struct Census(BTreeMap<String, usize>);

impl Census {
    fn count(&mut self, part: impl Into<String>) {
        *self.0.entry(part.into()).or_default() += 1;
    }

    /// Counts the parts of a block inside transforms, the innermost last.
    fn block(&mut self, block: &Block, around: &[&str]) {
        for statement in block {
            match statement {
                Statement::Constant { .. } => self.count("constant"),
                Statement::Operation { op, .. } => self.count(op.name()),
                Statement::Eval { .. } => self.count("eval"),
                Statement::Read { .. } => self.count("read"),
                Statement::Scope { scope, target, form, body } => {
                    self.scope(*scope);
                    self.count(format!("{target:?}"));
                    self.count(format!("{form:?}"));
                    self.block(body, around);
                }
                Statement::Enter { scope, .. } => {
                    self.scope(*scope);
                    self.count("enter");
                }
                Statement::Leave { .. } => self.count("leave"),
                Statement::Attempt { body } => self.block(body, around),
                Statement::Fail(failure) => self.count(format!("fail by {failure:?}")),
                Statement::Transform { transform, function, escaping, .. } => {
                    if !escaping.is_empty() {
                        self.count("escaping");
                    }
                    self.transform(name(transform), function, around);
                }
                Statement::Define { kind, function, .. } => {
                    let name = match kind {
                        Kind::Compile => "compile",
                        Kind::Checkpoint => "checkpoint",
                        Kind::Custom { .. } => "custom",
                    };
                    self.transform(name, function, around);
                    if let Kind::Custom { vjp, jvp } = kind {
                        let defined = [vjp, jvp].map(|slopes| if slopes.is_some() { "defined" } else { "derived" });
                        self.count(format!("vjp {} and jvp {}", defined[0], defined[1]));
                    }
                }
                Statement::Call { .. } => self.count("call"),
            }
        }
    }

    fn scope(&mut self, scope: Scope) {
        self.count(format!("{scope:?}"));
    }

    fn transform(&mut self, name: &str, function: &Function, around: &[&str]) {
        let around = [around, &[name]].concat();
        self.count(name);
        if let [.., outer, inner] = around[..] {
            self.count(format!("{inner} in {outer}"));
        }
        if around.len() > 2 {
            self.count("three deep");
        }
        self.block(&function.body, &around);
    }
}

const fn name(transform: &Transform) -> &'static str {
    match transform {
        Transform::ValueAndGrad | Transform::Grad => "grad",
        Transform::Vjp { .. } => "vjp",
        Transform::Jvp { .. } => "jvp",
        Transform::Vmap { .. } => "vmap",
    }
}

const OPERATIONS: [&str; 45] = [
    "abs",
    "negative",
    "exp",
    "log",
    "sqrt",
    "square",
    "sin",
    "cos",
    "tanh",
    "erf",
    "sigmoid",
    "relu",
    "gelu",
    "stop_gradient",
    "detached",
    "add",
    "subtract",
    "multiply",
    "divide",
    "maximum",
    "minimum",
    "power",
    "equal",
    "greater",
    "less",
    "where_cond",
    "sum",
    "mean",
    "max",
    "min",
    "logsumexp",
    "argmax",
    "softmax",
    "matmul",
    "layer_norm",
    "reshape",
    "transpose",
    "expand_dims",
    "squeeze",
    "broadcast_to",
    "concatenate",
    "slice",
    "take",
    "astype",
    "constant",
];

const SCOPES: [&str; 17] = [
    "NoGrad",
    "EnableGrad",
    "SetGradEnabled(false)",
    "SetGradEnabled(true)",
    "InferenceMode(true)",
    "InferenceMode(false)",
    "Every",
    "This",
    "Other",
    "Block",
    "Guard",
    "Function",
    "AsyncFunction",
    "enter",
    "leave",
    "fail by Error",
    "fail by Panic",
];

const TRANSFORMS: [&str; 7] = ["grad", "vjp", "jvp", "vmap", "compile", "checkpoint", "custom"];

/// Among as many programs as the gate runs, and only those that the reference does not pass over.
#[test]
fn every_part_is_in_some_program() {
    let mut census = Census::default();
    for seed in 0..crate::PROGRAMS {
        let program = generate::program(&Random::new(seed), Engine::Mlx);
        if expect(&program, Engine::Mlx, None).is_ok() {
            if program.threads.len() > 1 {
                census.count("threads");
            }
            program.threads.iter().for_each(|block| census.block(block, &[]));
        }
    }
    let others = ["eval", "read", "call", "escaping", "threads", "three deep"];
    let derivatives = ["vjp defined and jvp derived", "vjp derived and jvp defined", "vjp defined and jvp defined"];
    let parts = OPERATIONS.iter().chain(&SCOPES).chain(&TRANSFORMS).chain(&others).chain(&derivatives);
    let pairs = TRANSFORMS.iter().flat_map(|outer| TRANSFORMS.map(|inner| format!("{inner} in {outer}")));
    let wanted = parts.map(ToString::to_string).chain(pairs);
    let missing: Vec<String> = wanted.filter(|part| !census.0.contains_key(part)).collect();
    assert!(missing.is_empty(), "in no program: {missing:?}");
}
