//! Random programs with planted cuts: a report names the lines of those that lie between a parameter and the value, and no other.

use std::collections::{BTreeMap, BTreeSet};

use grad_runtime::explain::{self, Cause, Cut, Gradient};
use grad_runtime::{Array, Dtype, Result, inference_mode, no_grad};
use support::arrays::array;
use support::random::Random;

type Lines = BTreeSet<u32>;

/// Returns an array that is made of `x` and is a constant, and the line that cut the gradient.
fn cut<A: Array>(kind: usize, x: &A) -> Result<(A, u32)> {
    let one = std::slice::from_ref(x);
    Ok(match kind {
        0 => (no_grad!(x.sin()?), line!()),
        1 => (no_grad!(x.cos()?.square()?), line!()),
        2 => (inference_mode!(x.tanh()?), line!()),
        3 => (scoped(|| x.sin())?, SCOPED_LINE),
        4 => (x.stop_gradient()?, line!()),
        5 => (x.square()?.detached(), line!()),
        6 => (x.astype(Dtype::Int32)?.astype(Dtype::Float32)?, line!()),
        7 => (x.greater(&A::scalar(0.0_f32)?)?.astype(Dtype::Float32)?, line!()),
        8 => (no_grad!(A::grad(|x| x[0].sin()?.sum_all(), one)?).swap_remove(0), line!()),
        _ => (no_grad!(x.stop_gradient()?), line!()),
    })
}
const KINDS: usize = 10;

const SCOPED_LINE: u32 = line!() + 2;
fn scoped<A: Array>(function: impl FnOnce() -> Result<A>) -> Result<A> {
    let _guard = no_grad();
    function()
}

/// An array of a program, and what lies between each parameter and it.
struct Value<A> {
    array: A,
    /// The parameters that are recorded for it.
    recorded: BTreeSet<usize>,
    /// The cuts on the ways from each parameter.
    cuts: BTreeMap<usize, Lines>,
    /// The parameters that it depends on as the caller has them.
    captured: BTreeSet<usize>,
}

impl<A: Array> Value<A> {
    fn made_of(array: A, operands: &[&Self]) -> Self {
        let mut made = Self { array, recorded: BTreeSet::new(), cuts: BTreeMap::new(), captured: BTreeSet::new() };
        for operand in operands {
            made.recorded.extend(&operand.recorded);
            made.captured.extend(&operand.captured);
            for (parameter, lines) in &operand.cuts {
                made.cuts.entry(*parameter).or_default().extend(lines);
            }
        }
        made
    }
}

/// Runs a random program. Returns its value, and the lines that read elements of what is made of each parameter.
fn run<A: Array>(random: &Random, callers: &[A], parameters: &[A]) -> Result<(Value<A>, BTreeMap<usize, Lines>)> {
    let mut reads = BTreeMap::<usize, Lines>::new();
    let mut values: Vec<Value<A>> = Vec::new();
    for (at, (caller, array)) in callers.iter().zip(parameters).enumerate() {
        let mut argument = Value::made_of(array.clone(), &[]);
        argument.recorded.insert(at);
        argument.cuts.insert(at, Lines::new());
        values.push(argument);
        if random.below(4) == 0 {
            let mut captured = Value::made_of(caller.clone(), &[]);
            captured.captured.insert(at);
            values.push(captured);
        }
    }
    for _ in 0..random.below(12) {
        let (x, y) = (random.below(values.len()), random.below(values.len()));
        let (x, y) = (&values[x], &values[y]);
        let made = match random.below(7) {
            0 => Value::made_of(x.array.sin()?, &[x]),
            1 => Value::made_of(x.array.multiply(&y.array)?, &[x, y]),
            2 => Value::made_of(x.array.add(&y.array)?, &[x, y]),
            3 => {
                let gradient =
                    A::grad(|x| x[0].square()?.sum_all(), std::slice::from_ref(&x.array))?.swap_remove(0);
                Value::made_of(gradient, &[x])
            }
            4 => {
                let (elements, line) = (x.array.to_vec::<f32>()?, line!());
                x.cuts.keys().for_each(|at| _ = reads.entry(*at).or_default().insert(line));
                Value::made_of(array(&elements, &[3]), &[])
            }
            _ => {
                let (array, line) = cut(random.below(KINDS), &x.array)?;
                let mut made = Value::made_of(array, &[x]);
                made.recorded.clear();
                made.cuts.values_mut().for_each(|lines| _ = lines.insert(line));
                made
            }
        };
        values.push(made);
    }
    let ends: Vec<&Value<A>> = (0..3).map(|_| &values[random.below(values.len())]).collect();
    let sum = ends[0].array.add(&ends[1].array)?.multiply(&ends[2].array)?.sum_all()?;
    Ok((Value::made_of(sum, &ends), reads))
}

fn line_of(cut: &Cut) -> u32 {
    match &cut.cause {
        Cause::Scopes { scopes, .. } => scopes[0].place().expect("scopes are watched").line(),
        _ => cut.step.place.line(),
    }
}

crate::on_every_backend! {
    fn guarantee_14_planted_cuts<A>() {
        for seed in 0..400 {
            let parameters: Vec<A> = [0.5, 0.6, 0.7, 0.8].map(|first| array(&[first, -0.3, 1.2], &[3])).into();
            let (callers, mut expected) = (parameters.clone(), None);
            let report = explain::gradients(
                |parameters: &Vec<A>| {
                    let (value, reads) = run(&Random::new(seed), &callers, parameters)?;
                    let array = value.array.clone();
                    expected = Some((value, reads));
                    Ok::<_, grad_runtime::Error>(array)
                },
                &parameters,
            );
            let (report, (expected, reads)) = (report.unwrap(), expected.unwrap());
            for (at, parameter) in report.parameters().iter().enumerate() {
                let found = &parameter.gradient;
                let is_right = match (expected.recorded.contains(&at), expected.cuts.get(&at)) {
                    (true, _) => matches!(found, Gradient::Received(_)),
                    (false, None) if expected.captured.contains(&at) => matches!(found, Gradient::Captured),
                    (false, None) if reads.contains_key(&at) => {
                        let lines = |steps: &[explain::Step]| steps.iter().map(|step| step.place.line()).collect();
                        matches!(found, Gradient::Read(steps) if reads[&at] == lines(steps))
                    }
                    (false, None) => matches!(found, Gradient::Unused | Gradient::Dropped(_)),
                    (false, Some(lines)) => {
                        matches!(found, Gradient::Cut(cuts) if cuts.iter().map(line_of).collect::<Lines>() == *lines)
                    }
                };
                assert!(is_right, "seed {seed}, parameter {at}, expected {:?}: {report}", expected.cuts.get(&at));
            }
        }
    }
}
