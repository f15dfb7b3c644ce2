//! Makes a program that fails smaller, as long as it fails.

use std::collections::BTreeMap;

use grad_runtime::Dtype;

use crate::program::{Block, Form, Function, Kind, Program, Statement, Target, Transform, Value};

/// The shape and dtype of each value.
pub type Types = BTreeMap<Value, (Vec<usize>, Dtype)>;

/// The number of smaller programs that are tried.
const MOST_TRIALS: usize = 4000;

/// Returns the smallest program found for which `fails` is true. `types` gives the types of the values of each thread.
pub fn shrink(
    program: Program,
    types: impl Fn(&Program) -> Vec<Types>,
    fails: impl Fn(&Program) -> bool,
) -> Program {
    let mut smallest = program;
    let mut trials = 0;
    'again: loop {
        for candidate in smaller(&smallest, &types(&smallest)) {
            trials += 1;
            if trials > MOST_TRIALS {
                return smallest;
            }
            if fails(&candidate) {
                smallest = candidate;
                continue 'again;
            }
        }
        return smallest;
    }
}

fn smaller(program: &Program, types: &[Types]) -> Vec<Program> {
    let mut found = Vec::new();
    let threads = &program.threads;
    if threads.len() > 1 {
        found.extend((0..threads.len()).map(|at| Program { threads: without(threads, at) }));
        found.extend(threads.iter().map(|block| Program { threads: vec![block.clone()] }));
    }
    for (at, (block, types)) in threads.iter().zip(types).enumerate() {
        found.extend(smaller_blocks(block, types).into_iter().map(|block| {
            let mut threads = threads.clone();
            threads[at] = block;
            Program { threads }
        }));
    }
    found
}

fn without<T: Clone>(list: &[T], at: usize) -> Vec<T> {
    [&list[..at], &list[at + 1..]].concat()
}

/// Puts `statements` in the place of statement `at`.
fn with(block: &Block, at: usize, statements: &[Statement]) -> Block {
    [&block[..at], statements, &block[at + 1..]].concat()
}

/// Smaller blocks, those that lack the most first.
fn smaller_blocks(block: &Block, types: &Types) -> Vec<Block> {
    let mut found = Vec::new();
    for length in [block.len() / 2, block.len() * 3 / 4] {
        if length < block.len() {
            found.push(block[..length].to_vec());
        }
    }
    for at in (0..block.len()).rev() {
        found.push(without(block, at));
    }
    for (at, statement) in block.iter().enumerate() {
        found.extend(constants(statement, types).map(|constants| with(block, at, &constants)));
        found.extend(inlined(block, at));
        found.extend(passed_by(block, at, types));
    }
    for (at, statement) in block.iter().enumerate() {
        let simpler = simpler_statements(statement, types).into_iter();
        found.extend(simpler.map(|statement| with(block, at, &[statement])));
    }
    found
}

/// Constants in the place of what a statement makes.
fn constants(statement: &Statement, types: &Types) -> Option<Block> {
    let made = match statement {
        Statement::Operation { to, .. } | Statement::Read { to, .. } => vec![*to],
        Statement::Transform { outputs, escaping, .. } => [&outputs[..], escaping].concat(),
        Statement::Call { outputs, .. } => outputs.clone(),
        _ => return None,
    };
    let constant = |to: &Value| {
        let (shape, dtype) = types.get(to)?.clone();
        let elements = plain_elements(shape.iter().product(), dtype);
        Some(Statement::Constant { to: *to, shape, dtype, elements })
    };
    made.iter().map(constant).collect()
}

#[allow(clippy::cast_precision_loss, reason = "arrays are small")]
fn plain_elements(size: usize, dtype: Dtype) -> Vec<f32> {
    if dtype.is_float() { (1..=size).map(|at| at as f32 / 2.0).collect() } else { vec![1.0; size] }
}

/// The block with the body of statement `at` in place of the statement.
fn inlined(block: &Block, at: usize) -> Option<Block> {
    let (function, inputs, replaced) = match &block[at] {
        Statement::Scope { body, .. } | Statement::Attempt { body } => return Some(with(block, at, body)),
        Statement::Transform { transform, inputs, function, outputs, .. } => {
            let results = &function.results;
            let stand_in = match transform {
                Transform::ValueAndGrad | Transform::Vjp { .. } => [&results[..], inputs].concat(),
                Transform::Grad => inputs.clone(),
                Transform::Jvp { .. } => [&results[..], results].concat(),
                Transform::Vmap { .. } => return None,
            };
            (function, inputs, outputs.iter().copied().zip(stand_in).collect::<Vec<_>>())
        }
        Statement::Call { name, inputs, outputs } => {
            let defined = block.iter().find_map(|statement| match statement {
                Statement::Define { name: defined, function, .. } if defined == name => Some(function),
                _ => None,
            })?;
            (defined, inputs, outputs.iter().copied().zip(defined.results.iter().copied()).collect())
        }
        _ => return None,
    };
    let mut block = with(block, at, &function.body);
    let parameters = function.parameters.iter().copied().zip(inputs.iter().copied());
    for (value, by) in replaced.into_iter().chain(parameters) {
        replace(&mut block, value, by);
    }
    Some(block)
}

/// The number of values that are tried in the place of another, beside its operands.
const MOST_OTHERS: usize = 12;

/// Blocks in which an operand, or another value that was made before, stands in for what an operation makes.
fn passed_by(block: &Block, at: usize, types: &Types) -> Vec<Block> {
    let (to, operands) = match &block[at] {
        Statement::Operation { to, operands, .. } => (to, operands.clone()),
        Statement::Read { to, of } => (to, vec![*of]),
        _ => return Vec::new(),
    };
    let before = types.keys().copied().filter(|value| value < to && !operands.contains(value)).take(MOST_OTHERS);
    let others: Vec<Value> = before.collect();
    let same = operands.into_iter().chain(others).filter(|value| types.get(value) == types.get(to));
    let passed = same.map(|operand| {
        let mut block = without(block, at);
        replace(&mut block, *to, operand);
        block
    });
    passed.collect()
}

/// The same statement with less in it.
fn simpler_statements(statement: &Statement, types: &Types) -> Vec<Statement> {
    match statement {
        Statement::Constant { to, shape, dtype, elements } => {
            let plain = plain_elements(elements.len(), *dtype);
            let simpler = Statement::Constant { to: *to, shape: shape.clone(), dtype: *dtype, elements: plain };
            if simpler == *statement { Vec::new() } else { vec![simpler] }
        }
        Statement::Scope { scope, target, form, body } => {
            let mut found: Vec<_> = smaller_blocks(body, types)
                .into_iter()
                .map(|body| Statement::Scope { scope: *scope, target: *target, form: *form, body })
                .collect();
            if (*target, *form) != (Target::Every, Form::Block) {
                let (target, form) = (Target::Every, Form::Block);
                found.push(Statement::Scope { scope: *scope, target, form, body: body.clone() });
            }
            found
        }
        Statement::Attempt { body } => {
            smaller_blocks(body, types).into_iter().map(|body| Statement::Attempt { body }).collect()
        }
        Statement::Transform { transform, inputs, function, escaping, outputs } => {
            let of = |function: Function, escaping: &[Value]| Statement::Transform {
                transform: transform.clone(),
                inputs: inputs.clone(),
                function,
                escaping: escaping.to_vec(),
                outputs: outputs.clone(),
            };
            let functions = smaller_functions(function, types).into_iter();
            let mut found: Vec<_> = functions.map(|function| of(function, escaping)).collect();
            if !escaping.is_empty() {
                found.push(of(function.clone(), &[]));
            }
            found.extend(fewer_inputs(transform, inputs, function, escaping, outputs));
            found.extend(fewer_results(transform, inputs, function, escaping, outputs));
            found
        }
        Statement::Define { name, kind, function } => {
            let of = |kind: Kind, function: Function| Statement::Define { name: *name, kind, function };
            let functions = smaller_functions(function, types).into_iter();
            let mut found: Vec<_> = functions.map(|function| of(kind.clone(), function)).collect();
            if let Kind::Custom { vjp, jvp } = kind {
                let mut kinds = vec![Kind::Custom { vjp: None, jvp: None }];
                kinds.push(Kind::Custom { vjp: vjp.clone(), jvp: None });
                kinds.push(Kind::Custom { vjp: None, jvp: jvp.clone() });
                for vjp in vjp.iter().flat_map(|slopes| smaller_functions(slopes, types)) {
                    kinds.push(Kind::Custom { vjp: Some(vjp), jvp: jvp.clone() });
                }
                for jvp in jvp.iter().flat_map(|slopes| smaller_functions(slopes, types)) {
                    kinds.push(Kind::Custom { vjp: vjp.clone(), jvp: Some(jvp) });
                }
                kinds.retain(|simpler| simpler != kind);
                found.extend(kinds.into_iter().map(|kind| of(kind, function.clone())));
            }
            found
        }
        _ => Vec::new(),
    }
}

/// A transform of one input less.
fn fewer_inputs(
    transform: &Transform,
    inputs: &[Value],
    function: &Function,
    escaping: &[Value],
    outputs: &[Value],
) -> Vec<Statement> {
    if inputs.len() < 2 {
        return Vec::new();
    }
    let of = |at: usize| {
        let mut transform = transform.clone();
        let mut outputs = outputs.to_vec();
        let of_function = function.results.len();
        match &mut transform {
            Transform::ValueAndGrad | Transform::Vjp { .. } => {
                outputs.remove(of_function + at);
            }
            Transform::Grad => {
                outputs.remove(at);
            }
            Transform::Jvp { tangents } => {
                tangents.remove(at);
            }
            Transform::Vmap { in_axes, .. } => {
                in_axes.remove(at);
            }
        }
        let mut function = function.clone();
        let parameter = function.parameters.remove(at);
        replace(&mut function.body, parameter, inputs[at]);
        Statement::Transform {
            transform,
            inputs: without(inputs, at),
            function,
            escaping: escaping.to_vec(),
            outputs,
        }
    };
    (0..inputs.len()).map(of).collect()
}

/// A transform whose function has one result less.
fn fewer_results(
    transform: &Transform,
    inputs: &[Value],
    function: &Function,
    escaping: &[Value],
    outputs: &[Value],
) -> Vec<Statement> {
    let of_function = function.results.len();
    if of_function < 2 {
        return Vec::new();
    }
    let of = |at: usize| {
        let mut transform = transform.clone();
        let mut outputs = outputs.to_vec();
        match &mut transform {
            Transform::ValueAndGrad | Transform::Grad => {}
            Transform::Vjp { cotangents } => {
                cotangents.remove(at);
            }
            Transform::Jvp { .. } => {
                outputs.remove(of_function + at);
            }
            Transform::Vmap { out_axes, .. } => {
                out_axes.remove(at);
            }
        }
        outputs.remove(at);
        let function = Function { results: without(&function.results, at), ..function.clone() };
        Statement::Transform { transform, inputs: inputs.to_vec(), function, escaping: escaping.to_vec(), outputs }
    };
    (0..of_function).map(of).collect()
}

fn smaller_functions(function: &Function, types: &Types) -> Vec<Function> {
    let Function { parameters, body, results } = function;
    let mut found: Vec<_> = smaller_blocks(body, types)
        .into_iter()
        .map(|body| Function { parameters: parameters.clone(), body, results: results.clone() })
        .collect();
    // Another result of the same type: a parameter, or what is made before.
    for (number, result) in results.iter().enumerate() {
        let same = |value: &Value| value < result && types.get(value) == types.get(result);
        for value in types.keys().filter(|value| same(value)) {
            let mut results = results.clone();
            results[number] = *value;
            found.push(Function { parameters: parameters.clone(), body: body.clone(), results });
        }
    }
    found
}

/// Uses a value in place of another.
fn replace(block: &mut Block, value: Value, by: Value) {
    let all = |values: &mut Vec<Value>| {
        values.iter_mut().filter(|used| **used == value).for_each(|used| *used = by);
    };
    let one = |used: &mut Value| {
        if *used == value {
            *used = by;
        }
    };
    let function = |function: &mut Function| {
        replace(&mut function.body, value, by);
        all(&mut function.results);
    };
    for statement in block {
        match statement {
            Statement::Operation { operands, .. } => all(operands),
            Statement::Eval { of } | Statement::Read { of, .. } => one(of),
            Statement::Scope { body, .. } | Statement::Attempt { body } => replace(body, value, by),
            Statement::Transform { transform, inputs, function: of, .. } => {
                all(inputs);
                function(of);
                match transform {
                    Transform::Vjp { cotangents: moved } | Transform::Jvp { tangents: moved } => all(moved),
                    _ => {}
                }
            }
            Statement::Define { kind, function: of, .. } => {
                function(of);
                if let Kind::Custom { vjp, jvp } = kind {
                    vjp.iter_mut().chain(jvp).for_each(function);
                }
            }
            Statement::Call { inputs, .. } => all(inputs),
            Statement::Constant { .. } | Statement::Enter { .. } | Statement::Leave { .. } | Statement::Fail(_) => {
            }
        }
    }
}
