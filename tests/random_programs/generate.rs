//! Makes random programs.

use grad_runtime::{Dtype, GradMode};
use support::random::Random;

use crate::mode_model::{Engine, Modes};
use crate::program::{
    Block, Failure, Form, Function, Kind, Op, Program, Scope, Statement, Target, Transform, Value,
};
use crate::reference_tensors::broadcast;

/// The parts of the language that are used.
#[derive(Debug, Clone, Copy)]
pub struct Language {
    pub engine: Engine,
    pub scopes: bool,
    pub custom_derivatives: bool,
}

impl Language {
    /// Returns all that a backend has.
    pub const fn all(engine: Engine) -> Self {
        Self { engine, scopes: true, custom_derivatives: true }
    }
}

/// Makes the program of a seed, or of the choices of a fuzzer.
pub fn program(random: &Random, engine: Engine) -> Program {
    let threads = if random.chance(8) { random.within(2..4) } else { 1 };
    let mut block = |thread| {
        let statements = if threads == 1 { random.within(6..32) } else { random.within(4..16) };
        let mut writer = Writer::new(random.part(threads - thread), Language::all(engine), statements);
        let mut place = Place::new(engine);
        let mut block = Block::new();
        for _ in 0..writer.random.within(1..4) {
            let shape = writer.shape();
            writer.constant(&mut place, &mut block, &shape, Dtype::Float32);
        }
        while writer.budget > 0 {
            writer.statement(&mut place, &mut block);
        }
        block
    };
    Program { threads: (0..threads).map(&mut block).collect() }
}

/// Makes a function of two arrays, to be differentiated as a whole; its result may have any shape.
pub fn function(seed: u64, language: Language) -> (Function, [Vec<usize>; 2]) {
    let random = Random::new(seed);
    let statements = random.within(3..20);
    let mut writer = Writer::new(random.part(1), language, statements);
    let mut place = Place::new(language.engine);
    let shapes = [writer.shape(), writer.shape()];
    let parameters = shapes.iter().map(|shape| writer.visible(&mut place, shape.clone(), Dtype::Float32, &[]));
    let parameters = parameters.collect();
    let mut body = Block::new();
    while writer.budget > 0 {
        writer.statement(&mut place, &mut body);
    }
    let result = writer.float(&mut place, &mut body);
    (Function { parameters, body, results: vec![result.value] }, shapes)
}

/// The shapes of new arrays.
const SHAPES: [&[usize]; 12] =
    [&[], &[], &[1], &[2], &[2], &[3], &[2, 1], &[1, 3], &[2, 2], &[2, 3], &[1, 2, 2], &[2, 1, 3]];

/// The largest number of elements of an array.
const MOST_ELEMENTS: usize = 6;

/// The largest depth of nested transforms.
const MOST_NESTED: usize = 3;

#[derive(Debug, Clone)]
struct Visible {
    value: Value,
    shape: Vec<usize>,
    dtype: Dtype,
    /// Whether it depends on what is being mapped or compiled, so that it cannot be read.
    traced: bool,
    /// Whether it depends on what is being mapped, so that a checkpointed or custom function cannot capture it.
    mapped: bool,
}

impl Visible {
    fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

type Type = (Vec<usize>, Dtype);

/// A function that has a name.
#[derive(Debug, Clone)]
struct Named {
    name: usize,
    parameters: Vec<Type>,
    results: Vec<Type>,
    /// The depth of the transforms that it is.
    nested: usize,
    traced: bool,
    mapped: bool,
}

/// A place in the program: the names that are visible there, and the modes in force.
#[derive(Debug, Clone)]
struct Place {
    values: Vec<Visible>,
    functions: Vec<Named>,
    /// The guards alive in this block, with their numbers in `modes`.
    guards: Vec<(usize, usize)>,
    modes: Modes,
    /// The number of transforms around.
    around: usize,
    /// The depth of those in the function of which this is the body.
    nested: usize,
    /// Where the values of the innermost function begin.
    own: usize,
    may_fail: bool,
}

impl Place {
    fn new(engine: Engine) -> Self {
        Self {
            values: Vec::new(),
            functions: Vec::new(),
            guards: Vec::new(),
            modes: Modes::new(engine, None),
            around: 0,
            nested: 0,
            own: 0,
            may_fail: false,
        }
    }

    /// The body of a transform's function that is written here.
    fn inside(&self) -> Self {
        Self { guards: Vec::new(), around: self.around + 1, nested: 0, own: self.values.len(), ..self.clone() }
    }
}

/// The kinds of statement, with how often they are written.
#[derive(Debug, Clone, Copy)]
enum Part {
    Evaluation,
    Reading,
    Scope,
    Guard,
    Drop,
    Attempt,
    Transform,
    Definition,
    Call,
    Operation,
}

/// Programs with everything in them.
const VARIED: &[(Part, usize)] = &[
    (Part::Evaluation, 4),
    (Part::Reading, 3),
    (Part::Scope, 14),
    (Part::Guard, 5),
    (Part::Drop, 7),
    (Part::Attempt, 3),
    (Part::Transform, 24),
    (Part::Definition, 8),
    (Part::Call, 5),
    (Part::Operation, 30),
];

/// Programs of transforms and scopes, of which more is part of a derivative.
const ENTANGLED: &[(Part, usize)] = &[
    (Part::Evaluation, 8),
    (Part::Reading, 2),
    (Part::Scope, 22),
    (Part::Guard, 3),
    (Part::Drop, 3),
    (Part::Transform, 36),
    (Part::Definition, 5),
    (Part::Call, 3),
    (Part::Operation, 30),
];

struct Writer {
    random: Random,
    language: Language,
    /// Whether the program is [`ENTANGLED`] and not [`VARIED`].
    entangled: bool,
    /// The number of statements still to be written.
    budget: usize,
    next_value: Value,
    next_guard: usize,
    next_name: usize,
}

impl Writer {
    fn new(random: Random, language: Language, budget: usize) -> Self {
        let entangled = random.chance(50);
        Self { random, language, entangled, budget, next_value: 0, next_guard: 0, next_name: 0 }
    }

    fn shape(&mut self) -> Vec<usize> {
        self.random.of(&SHAPES).to_vec()
    }

    fn has_every_transform(&self) -> bool {
        self.language.engine == Engine::Mlx
    }

    // Values

    fn visible(&mut self, place: &mut Place, shape: Vec<usize>, dtype: Dtype, of: &[&Visible]) -> Value {
        let value = self.next_value;
        self.next_value += 1;
        let (traced, mapped) = (of.iter().any(|of| of.traced), of.iter().any(|of| of.mapped));
        place.values.push(Visible { value, shape, dtype, traced, mapped });
        value
    }

    fn constant(&mut self, place: &mut Place, block: &mut Block, shape: &[usize], dtype: Dtype) -> Visible {
        let to = self.visible(place, shape.to_vec(), dtype, &[]);
        let mut element = |_| {
            #[allow(clippy::cast_precision_loss, reason = "they are small")]
            let size = self.random.within(1..160) as f32;
            match dtype {
                Dtype::Bool => (size % 2.0).floor(),
                Dtype::Int32 | Dtype::UInt32 => (size / 40.0).floor(),
                // Exact in every float dtype.
                _ => (if self.random.chance(50) { size } else { -size }) / 64.0,
            }
        };
        let elements = (0..shape.iter().product()).map(&mut element).collect();
        block.push(Statement::Constant { to, shape: shape.to_vec(), dtype, elements });
        place.values[place.values.len() - 1].clone()
    }

    fn operation(
        &mut self,
        place: &mut Place,
        block: &mut Block,
        op: Op,
        operands: &[&Visible],
        (shape, dtype): Type,
    ) -> Visible {
        let to = self.visible(place, shape, dtype, operands);
        block.push(Statement::Operation { to, op, operands: operands.iter().map(|x| x.value).collect() });
        place.values[place.values.len() - 1].clone()
    }

    fn elementwise(&mut self, place: &mut Place, block: &mut Block, op: Op, x: &Visible) -> Visible {
        self.operation(place, block, op, &[x], (x.shape.clone(), x.dtype))
    }

    /// Returns a float array, more likely a recent one of this function.
    fn float(&mut self, place: &mut Place, block: &mut Block) -> Visible {
        self.value_that(place, |x| x.dtype.is_float()).unwrap_or_else(|| {
            let shape = self.shape();
            self.constant(place, block, &shape, Dtype::Float32)
        })
    }

    fn value_that(&mut self, place: &Place, fits: impl Fn(&Visible) -> bool) -> Option<Visible> {
        let own: Vec<_> = place.values[place.own..].iter().filter(|x| fits(x)).collect();
        let every: Vec<_> = place.values.iter().filter(|x| fits(x)).collect();
        let choices =
            if !own.is_empty() && self.random.chance(if self.entangled { 40 } else { 65 }) { own } else { every };
        let late = choices.len().saturating_sub(4);
        let from = if self.random.chance(if self.entangled { 40 } else { 60 }) { late } else { 0 };
        let choices = &choices[from..];
        (!choices.is_empty()).then(|| self.random.of(choices).clone())
    }

    /// Returns a value of a type, which exists or is made of another.
    fn of_type(&mut self, place: &mut Place, block: &mut Block, shape: &[usize], dtype: Dtype) -> Visible {
        if let Some(found) = self.value_that(place, |x| x.shape == shape && x.dtype == dtype) {
            return found;
        }
        if self.random.chance(25) {
            return self.constant(place, block, shape, dtype);
        }
        let x = self.float(place, block);
        let sum = self.scalar(place, block, &x);
        let sum = if sum.dtype == dtype {
            sum
        } else {
            self.operation(place, block, Op::Astype(dtype), &[&sum], (Vec::new(), dtype))
        };
        if shape.is_empty() {
            return sum;
        }
        self.operation(place, block, Op::BroadcastTo(shape.to_vec()), &[&sum], (shape.to_vec(), dtype))
    }

    fn scalar(&mut self, place: &mut Place, block: &mut Block, x: &Visible) -> Visible {
        if x.shape.is_empty() {
            return x.clone();
        }
        let axes = (0..x.shape.len()).collect();
        let op = if self.random.chance(70) {
            Op::Sum { axes, keepdims: false }
        } else {
            Op::Mean { axes, keepdims: false }
        };
        self.operation(place, block, op, &[x], (Vec::new(), x.dtype))
    }

    /// Returns a float array that broadcasts with `x`, and the shape of both.
    fn partner(&mut self, place: &mut Place, block: &mut Block, x: &Visible) -> (Visible, Vec<usize>) {
        if self.random.chance(10) {
            let dtype = self.random.of(&[Dtype::Int32, Dtype::UInt32, Dtype::Bool]);
            let y = self.constant(place, block, &x.shape.clone(), dtype);
            return (y, x.shape.clone());
        }
        let shape = |y: &Visible| {
            broadcast(&x.shape, &y.shape).filter(|shape| shape.iter().product::<usize>() <= MOST_ELEMENTS)
        };
        let y = self.value_that(place, |y| y.dtype.is_float() && shape(y).is_some()).unwrap_or_else(|| x.clone());
        let shape = shape(&y).unwrap_or_else(|| x.shape.clone());
        (y, shape)
    }

    fn binary(&mut self, place: &mut Place, block: &mut Block, op: Op, x: &Visible) -> Visible {
        let (y, shape) = self.partner(place, block, x);
        let dtype = common(x.dtype, y.dtype);
        let operands = if self.random.chance(50) { [x, &y] } else { [&y, x] };
        self.operation(place, block, op, &operands, (shape, dtype))
    }

    /// Makes an array of `x` without elements near zero or below.
    fn positive(&mut self, place: &mut Place, block: &mut Block, x: &Visible) -> Visible {
        match self.random.below(3) {
            0 => {
                let square = self.elementwise(place, block, Op::Square, x);
                let to = self.visible(place, Vec::new(), x.dtype, &[]);
                block.push(Statement::Constant { to, shape: Vec::new(), dtype: x.dtype, elements: vec![0.5] });
                let half = place.values[place.values.len() - 1].clone();
                self.operation(place, block, Op::Add, &[&square, &half], (x.shape.clone(), x.dtype))
            }
            1 => {
                let bounded = self.elementwise(place, block, Op::Sin, x);
                self.elementwise(place, block, Op::Exp, &bounded)
            }
            _ => self.elementwise(place, block, Op::Sigmoid, x),
        }
    }

    // Operations

    #[allow(clippy::too_many_lines, reason = "an operation a line")]
    fn some_operation(&mut self, place: &mut Place, block: &mut Block) {
        const UNARY: [Op; 11] = [
            Op::Abs,
            Op::Negative,
            Op::Exp,
            Op::Square,
            Op::Sin,
            Op::Cos,
            Op::Tanh,
            Op::Erf,
            Op::Sigmoid,
            Op::Relu,
            Op::Gelu,
        ];
        let x = self.float(place, block);
        let same = (x.shape.clone(), x.dtype);
        match self.random.below(100) {
            0..24 => {
                let op = self.random.of(&UNARY);
                self.elementwise(place, block, op, &x);
            }
            24..29 => {
                let positive = self.positive(place, block, &x);
                let op = self.random.of(&[Op::Log, Op::Sqrt]);
                self.elementwise(place, block, op, &positive);
            }
            29..50 => {
                let op =
                    self.random.of(&[Op::Add, Op::Subtract, Op::Multiply, Op::Multiply, Op::Maximum, Op::Minimum]);
                self.binary(place, block, op, &x);
            }
            50..55 => {
                let (y, shape) = self.partner(place, block, &x);
                let positive = self.positive(place, block, &x);
                let dtype = common(x.dtype, y.dtype);
                if self.random.chance(50) {
                    self.operation(place, block, Op::Divide, &[&y, &positive], (shape, dtype));
                } else {
                    self.operation(place, block, Op::Power, &[&positive, &y], (shape, dtype));
                }
            }
            55..60 => {
                let (y, shape) = self.partner(place, block, &x);
                let op = self.random.of(&[Op::Equal, Op::Greater, Op::Less, Op::Less]);
                let condition = self.operation(place, block, op, &[&x, &y], (shape, Dtype::Bool));
                let (z, _) = self.partner(place, block, &x);
                let choices = if self.random.chance(50) { [&x, &z] } else { [&z, &x] };
                let dtype = common(x.dtype, z.dtype);
                let Some(shape) =
                    broadcast(&condition.shape, &x.shape).and_then(|shape| broadcast(&shape, &z.shape))
                else {
                    return;
                };
                let operands = [&condition, choices[0], choices[1]];
                self.operation(place, block, Op::Where, &operands, (shape, dtype));
            }
            60..69 => self.reduction(place, block, &x),
            69..72 if !x.shape.is_empty() => {
                let axis = self.random.below(x.shape.len());
                self.operation(place, block, Op::Softmax { axis }, &[&x], same);
            }
            72..76 if !x.shape.is_empty() => self.matmul(place, block, &x),
            76..78 if x.shape.last().is_some_and(|length| *length > 1) => {
                let length = vec![x.shape[x.shape.len() - 1]];
                let weight = self.of_type(place, block, &length, x.dtype);
                let bias = self.of_type(place, block, &length, x.dtype);
                self.operation(place, block, Op::LayerNorm, &[&x, &weight, &bias], same);
            }
            78..85 => self.another_shape(place, block, &x),
            85..91 if !x.shape.is_empty() => self.some_elements(place, block, &x),
            91..94 => {
                let op = self.random.of(&[Op::StopGradient, Op::Detach]);
                self.elementwise(place, block, op, &x);
            }
            94.. => self.another_dtype(place, block, &x),
            _ => {
                self.binary(place, block, Op::Multiply, &x);
            }
        }
    }

    /// Returns an operation without kinks or poles.
    fn smooth_operation(&mut self, place: &mut Place, block: &mut Block) {
        const UNARY: [Op; 6] = [Op::Negative, Op::Square, Op::Sin, Op::Tanh, Op::Sigmoid, Op::Erf];
        let x = self.float(place, block);
        if self.random.chance(50) {
            let op = self.random.of(&UNARY);
            self.elementwise(place, block, op, &x);
        } else {
            let op = self.random.of(&[Op::Multiply, Op::Multiply, Op::Add]);
            self.binary(place, block, op, &x);
        }
    }

    fn reduction(&mut self, place: &mut Place, block: &mut Block, x: &Visible) {
        let keepdims = self.random.chance(40);
        let mut axes: Vec<usize> = (0..x.shape.len()).filter(|_| self.random.chance(60)).collect();
        if axes.is_empty() && !x.shape.is_empty() {
            axes.push(self.random.below(x.shape.len()));
        }
        let shape = reduced(&x.shape, &axes, keepdims);
        let op = match self.random.below(6) {
            0 => Op::Mean { axes, keepdims },
            1 => Op::Max { axes, keepdims },
            2 => Op::Min { axes, keepdims },
            3 => Op::LogSumExp { axes, keepdims },
            _ => Op::Sum { axes, keepdims },
        };
        self.operation(place, block, op, &[x], (shape, x.dtype));
    }

    fn matmul(&mut self, place: &mut Place, block: &mut Block, x: &Visible) {
        let inner = x.shape[x.shape.len() - 1];
        let rows = x.size() / inner;
        let choices: Vec<_> = [vec![inner], vec![inner, 1], vec![inner, 2], vec![inner, 3]]
            .into_iter()
            .filter(|shape| rows * shape.get(1).unwrap_or(&1) <= MOST_ELEMENTS)
            .collect();
        if choices.is_empty() {
            return;
        }
        let shape = self.random.of(&choices);
        let y = self.of_type(place, block, &shape, x.dtype);
        let result = [&x.shape[..x.shape.len() - 1], &shape[1..]].concat();
        self.operation(place, block, Op::Matmul, &[x, &y], (result, x.dtype));
    }

    fn another_shape(&mut self, place: &mut Place, block: &mut Block, x: &Visible) {
        let ndim = x.shape.len();
        let (op, shape) = match self.random.below(5) {
            0 if ndim > 1 => {
                let mut axes: Vec<usize> = (0..ndim).collect();
                axes.rotate_left(self.random.within(1..ndim));
                if ndim > 2 && self.random.chance(50) {
                    axes.swap(0, 1);
                }
                let shape = axes.iter().map(|axis| x.shape[*axis]).collect();
                (Op::Transpose(axes), shape)
            }
            1 if ndim < 3 => {
                let axis = self.random.below(ndim + 1);
                let shape = [&x.shape[..axis], &[1], &x.shape[axis..]].concat();
                (Op::ExpandDims(axis), shape)
            }
            2 if x.shape.contains(&1) => {
                let axis = x.shape.iter().position(|length| *length == 1).unwrap_or(0);
                (Op::Squeeze(axis), [&x.shape[..axis], &x.shape[axis + 1..]].concat())
            }
            3 if x.size() <= MOST_ELEMENTS / 2 && ndim < 3 => {
                let shape = [&[self.random.within(1..MOST_ELEMENTS / x.size() + 1)], &x.shape[..]].concat();
                (Op::BroadcastTo(shape.clone()), shape)
            }
            _ => {
                let size = x.size();
                let mut shapes = vec![vec![size], vec![1, size], vec![size, 1]];
                if size.is_multiple_of(2) {
                    shapes.push(vec![2, size / 2]);
                }
                let shape = self.random.of(&shapes);
                (Op::Reshape(shape.clone()), shape)
            }
        };
        self.operation(place, block, op, &[x], (shape, x.dtype));
    }

    fn some_elements(&mut self, place: &mut Place, block: &mut Block, x: &Visible) {
        let axis = self.random.below(x.shape.len());
        match self.random.below(3) {
            0 => {
                let mut start = Vec::new();
                let mut stop = Vec::new();
                for length in &x.shape {
                    start.push(self.random.below(*length));
                    stop.push(self.random.within(start[start.len() - 1] + 1..*length + 1));
                }
                let shape = start.iter().zip(&stop).map(|(start, stop)| stop - start).collect();
                self.operation(place, block, Op::Slice { start, stop }, &[x], (shape, x.dtype));
            }
            1 => {
                let rest = x.size() / x.shape[axis];
                let fits = |y: &Visible| {
                    let same = |at: usize| at == axis || y.shape[at] == x.shape[at];
                    y.dtype == x.dtype
                        && y.shape.len() == x.shape.len()
                        && (0..x.shape.len()).all(same)
                        && (x.shape[axis] + y.shape[axis]) * rest <= MOST_ELEMENTS
                };
                if let Some(y) = self.value_that(place, fits) {
                    let mut shape = x.shape.clone();
                    shape[axis] += y.shape[axis];
                    let operands = if self.random.chance(50) { [x, &y] } else { [&y, x] };
                    self.operation(place, block, Op::Concatenate { axis }, &operands, (shape, x.dtype));
                }
            }
            _ => self.take(place, block, x, axis),
        }
    }

    fn take(&mut self, place: &mut Place, block: &mut Block, x: &Visible, axis: usize) {
        let indices = if self.random.chance(20) {
            let keepdims = self.random.chance(30);
            let shape = reduced(&x.shape, &[axis], keepdims);
            self.operation(place, block, Op::ArgMax { axis, keepdims }, &[x], (shape, Dtype::UInt32))
        } else {
            let shape = self.random.of(&[vec![], vec![1], vec![2], vec![3], vec![1, 2]]);
            let dtype = self.random.of(&[Dtype::Int32, Dtype::UInt32]);
            let to = self.visible(place, shape.clone(), dtype, &[]);
            #[allow(clippy::cast_precision_loss, reason = "they are small")]
            let mut element = |_| self.random.below(x.shape[axis]) as f32;
            let elements = (0..shape.iter().product()).map(&mut element).collect();
            block.push(Statement::Constant { to, shape, dtype, elements });
            place.values[place.values.len() - 1].clone()
        };
        if x.size() / x.shape[axis] * indices.size() <= MOST_ELEMENTS {
            let shape = [&x.shape[..axis], &indices.shape, &x.shape[axis + 1..]].concat();
            self.operation(place, block, Op::Take { axis }, &[x, &indices], (shape, x.dtype));
        }
    }

    fn another_dtype(&mut self, place: &mut Place, block: &mut Block, x: &Visible) {
        let dtype = self.random.of(&[
            Dtype::Float16,
            Dtype::Float16,
            Dtype::BFloat16,
            Dtype::Int32,
            Dtype::UInt32,
            Dtype::Bool,
        ]);
        let x = if dtype == Dtype::UInt32 { self.elementwise(place, block, Op::Square, x) } else { x.clone() };
        let mut x = self.operation(place, block, Op::Astype(dtype), &[&x], (x.shape.clone(), dtype));
        if dtype.is_float() && self.random.chance(60) {
            let op = self.random.of(&[Op::Square, Op::Sin, Op::Sigmoid, Op::Negative, Op::Abs]);
            x = self.elementwise(place, block, op, &x);
        }
        if self.random.chance(80) {
            let back = (x.shape.clone(), Dtype::Float32);
            self.operation(place, block, Op::Astype(Dtype::Float32), &[&x], back);
        }
    }

    // Statements

    /// Writes a statement, with those that it needs.
    fn statement(&mut self, place: &mut Place, block: &mut Block) {
        self.budget = self.budget.saturating_sub(1);
        let may_nest = self.budget > 0 && place.around < MOST_NESTED;
        let weights = if self.entangled { ENTANGLED } else { VARIED };
        match self.part(weights) {
            Part::Evaluation => self.eval(place, block),
            Part::Reading => {
                if let Some(of) = self.value_that(place, |x| !x.traced) {
                    let to = self.visible(place, of.shape.clone(), of.dtype, &[]);
                    block.push(Statement::Read { to, of: of.value });
                }
            }
            Part::Scope if self.language.scopes => {
                let (scope, target) = self.scope();
                let form = self.random.of(&Form::ALL);
                let number = place.modes.enter(scope, target);
                let length = self.random.within(1..5);
                let body = self.block(place, length);
                place.modes.leave(number);
                block.push(Statement::Scope { scope, target, form, body });
            }
            Part::Guard if self.language.scopes => {
                let (scope, target) = self.scope();
                let guard = self.next_guard;
                self.next_guard += 1;
                place.guards.push((guard, place.modes.enter(scope, target)));
                block.push(Statement::Enter { guard, scope, target });
            }
            Part::Drop if !place.guards.is_empty() => {
                let at = self.random.below(place.guards.len());
                let (guard, number) = place.guards.remove(at);
                place.modes.leave(number);
                block.push(Statement::Leave { guard });
            }
            Part::Attempt => {
                let mut inside = Place { may_fail: true, guards: Vec::new(), ..place.clone() };
                let length = self.random.within(2..6);
                let mut body = self.block(&mut inside, length);
                if self.random.chance(50) {
                    body.push(self.failure());
                }
                block.push(Statement::Attempt { body });
            }
            Part::Transform if may_nest => self.some_transform(place, block),
            Part::Definition if may_nest && self.has_every_transform() => self.define(place, block),
            Part::Call if !place.functions.is_empty() => {
                let named = self.random.of(&place.functions);
                self.call(place, block, &named);
            }
            _ if self.entangled && self.random.chance(70) => self.smooth_operation(place, block),
            _ => self.some_operation(place, block),
        }
    }

    fn part(&mut self, weights: &[(Part, usize)]) -> Part {
        let mut at = self.random.below(weights.iter().map(|(_, weight)| weight).sum());
        let chosen = weights.iter().find(|(_, weight)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        chosen.map_or(Part::Operation, |(part, _)| *part)
    }

    /// Evaluates an array of any function around.
    fn eval(&mut self, place: &Place, block: &mut Block) {
        let from = if self.random.chance(60) { place.own } else { 0 };
        let choices: Vec<Value> = place.values[from..].iter().filter(|x| !x.traced).map(|x| x.value).collect();
        if !choices.is_empty() {
            block.push(Statement::Eval { of: self.random.of(&choices) });
        }
    }

    fn failure(&mut self) -> Statement {
        Statement::Fail(self.random.of(&[Failure::Error, Failure::Panic]))
    }

    fn scope(&mut self) -> (Scope, Target) {
        let scope = self.random.of(&[
            Scope::NoGrad,
            Scope::NoGrad,
            Scope::NoGrad,
            Scope::EnableGrad,
            Scope::EnableGrad,
            Scope::SetGradEnabled(false),
            Scope::SetGradEnabled(true),
            Scope::InferenceMode(true),
            Scope::InferenceMode(false),
        ]);
        let target = self.random.of(&[Target::Every, Target::Every, Target::Every, Target::This, Target::Other]);
        (scope, target)
    }

    /// Writes a block whose values stay visible, and whose guards end with it.
    fn block(&mut self, place: &mut Place, length: usize) -> Block {
        let alive = place.guards.len();
        let outer: Vec<_> = place.guards.clone();
        let mut block = Block::new();
        for _ in 0..length {
            if self.budget == 0 {
                break;
            }
            self.statement(place, &mut block);
        }
        debug_assert!(outer.len() == alive);
        let ended: Vec<_> = place.guards.iter().filter(|guard| !outer.contains(guard)).copied().collect();
        for (_, number) in ended {
            place.modes.leave(number);
        }
        place.guards.retain(|guard| outer.contains(guard));
        if place.may_fail && self.random.chance(10) {
            block.push(self.failure());
        }
        block
    }

    // Transforms

    fn some_transform(&mut self, place: &mut Place, block: &mut Block) {
        let inference = place.modes.current() == GradMode::Inference;
        if inference && self.random.chance(85) {
            let mut inside = Place { may_fail: true, guards: Vec::new(), ..place.clone() };
            let mut body = Block::new();
            self.transform(&mut inside, &mut body);
            block.push(Statement::Attempt { body });
        } else if self.language.scopes && place.around > 0 && self.random.chance(20) {
            let (scope, target, form) = (Scope::NoGrad, Target::Every, self.random.of(&Form::ALL));
            let number = place.modes.enter(scope, target);
            let mut body = Block::new();
            self.transform(place, &mut body);
            place.modes.leave(number);
            block.push(Statement::Scope { scope, target, form, body });
        } else {
            self.transform(place, block);
        }
        // When an inner transform ends, what is traced further out must still be known to be.
        while place.around > 0 && self.random.chance(if self.entangled { 70 } else { 40 }) {
            self.eval(place, block);
        }
    }

    fn transform(&mut self, place: &mut Place, block: &mut Block) {
        let choice = if self.has_every_transform() { self.random.below(10) } else { self.random.below(4) };
        if choice >= 8 {
            return self.vmap(place, block);
        }
        let of_any_float = choice < 4;
        let mut inputs = Vec::new();
        for _ in 0..if self.random.chance(35) { 2 } else { 1 } {
            let x = self.float(place, block);
            let of_float32 = |x: &Visible| x.dtype == Dtype::Float32;
            let x = if of_any_float { Some(x) } else { self.value_that(place, of_float32) };
            inputs.extend(x);
        }
        if inputs.is_empty() {
            return;
        }
        let mut inside = place.inside();
        inside.modes.enter_differentiated();
        let parameters = self.parameters(&mut inside, &inputs);
        let (mut body, of_parameters) = (Block::new(), inside.values.len());
        let length = self.random.within(2..8);
        body.append(&mut self.block(&mut inside, length));
        let mut results = Vec::new();
        if of_any_float {
            let result = self.product(&mut inside, &mut body, |x| x.dtype.is_float());
            results.push(self.scalar(&mut inside, &mut body, &result));
        } else {
            for _ in 0..if self.random.chance(30) { 2 } else { 1 } {
                results.push(self.product(&mut inside, &mut body, |x| x.dtype == Dtype::Float32));
            }
        }
        let escaping = self.escaping(&inside, of_parameters);
        let moved = |visible: &Visible, writer: &mut Self, place: &mut Place| {
            writer.of_type(place, block, &visible.shape, Dtype::Float32).value
        };
        let transform = match choice {
            0 | 1 => Transform::ValueAndGrad,
            2 | 3 => Transform::Grad,
            4 | 5 => {
                let mut moved = moved;
                Transform::Vjp { cotangents: results.iter().map(|x| moved(x, self, place)).collect() }
            }
            _ => {
                let mut moved = moved;
                Transform::Jvp { tangents: inputs.iter().map(|x| moved(x, self, place)).collect() }
            }
        };
        place.values.extend(escaping.iter().cloned());
        let types: Vec<&Visible> = match &transform {
            Transform::Grad => inputs.iter().collect(),
            Transform::ValueAndGrad | Transform::Vjp { .. } => results.iter().chain(&inputs).collect(),
            _ => results.iter().chain(&results).collect(),
        };
        let dependencies: Vec<&Visible> = results.iter().chain(&inputs).collect();
        let outputs =
            types.iter().map(|of| self.visible(place, of.shape.clone(), of.dtype, &dependencies)).collect();
        place.nested = place.nested.max(inside.nested + 1);
        block.push(Statement::Transform {
            transform,
            inputs: inputs.iter().map(|x| x.value).collect(),
            function: Function { parameters, body, results: results.iter().map(|x| x.value).collect() },
            escaping: escaping.iter().map(|x| x.value).collect(),
            outputs,
        });
    }

    fn parameters(&mut self, inside: &mut Place, inputs: &[Visible]) -> Vec<Value> {
        inputs.iter().map(|x| self.visible(inside, x.shape.clone(), x.dtype, &[x])).collect()
    }

    /// Returns a value for a function to return: mostly the last one that it made.
    fn result(&mut self, inside: &mut Place, body: &mut Block, fits: impl Fn(&Visible) -> bool) -> Visible {
        let last = inside.values[inside.own..].iter().rev().find(|x| fits(x)).cloned();
        match last {
            Some(last) if self.random.chance(85) => last,
            _ => self.value_that(inside, &fits).unwrap_or_else(|| {
                let shape = self.shape();
                self.constant(inside, body, &shape, Dtype::Float32)
            }),
        }
    }

    /// Returns a result that depends on several values of the function.
    fn product(&mut self, inside: &mut Place, body: &mut Block, fits: impl Fn(&Visible) -> bool) -> Visible {
        let mut result = self.result(inside, body, fits);
        for _ in 0..2 {
            if self.random.chance(50) {
                result = self.binary(inside, body, Op::Multiply, &result);
            }
        }
        result
    }

    /// Returns the values that leave the function by side effect: one at most.
    fn escaping(&mut self, inside: &Place, of_parameters: usize) -> Vec<Visible> {
        let made = &inside.values[of_parameters..];
        if made.is_empty() || !self.random.chance(5) { Vec::new() } else { vec![self.random.of(made)] }
    }

    fn vmap(&mut self, place: &mut Place, block: &mut Block) {
        let Some(first) = self.value_that(place, |x| x.dtype.is_float() && !x.shape.is_empty()) else {
            return self.some_operation(place, block);
        };
        let axis = self.random.below(first.shape.len());
        let length = first.shape[axis];
        let (mut inputs, mut in_axes) = (vec![first], vec![Some(axis)]);
        if self.random.chance(50) {
            let second = self.float(place, block);
            let fit: Vec<usize> = (0..second.shape.len()).filter(|axis| second.shape[*axis] == length).collect();
            in_axes.push(if fit.is_empty() || self.random.chance(30) { None } else { Some(self.random.of(&fit)) });
            inputs.push(second);
        }
        let mut inside = place.inside();
        let mut parameters = Vec::new();
        for (input, axis) in inputs.iter().zip(&in_axes) {
            let mut shape = input.shape.clone();
            axis.map(|axis| shape.remove(axis));
            parameters.push(self.visible(&mut inside, shape, input.dtype, &[]));
            if let Some(last) = inside.values.last_mut() {
                (last.traced, last.mapped) = (true, true);
            }
        }
        let length_of_body = self.random.within(1..6);
        let mut body = self.block(&mut inside, length_of_body);
        let (mut results, mut out_axes) = (Vec::new(), Vec::new());
        for _ in 0..if self.random.chance(25) { 2 } else { 1 } {
            let mut result = self.result(&mut inside, &mut body, |x| x.dtype.is_float());
            if result.size() * length > 2 * MOST_ELEMENTS || result.shape.len() > 2 {
                result = self.scalar(&mut inside, &mut body, &result);
            }
            out_axes.push(self.random.below(result.shape.len() + 1));
            results.push(result);
        }
        let mut outputs = Vec::new();
        for (result, axis) in results.iter().zip(&out_axes) {
            let mut shape = result.shape.clone();
            shape.insert(*axis, length);
            outputs.push(self.visible(place, shape, result.dtype, &inputs.iter().collect::<Vec<_>>()));
        }
        place.nested = place.nested.max(inside.nested + 1);
        block.push(Statement::Transform {
            transform: Transform::Vmap { in_axes, out_axes },
            inputs: inputs.iter().map(|x| x.value).collect(),
            function: Function { parameters, body, results: results.iter().map(|x| x.value).collect() },
            escaping: Vec::new(),
            outputs,
        });
    }

    // Functions that have a name

    fn define(&mut self, place: &mut Place, block: &mut Block) {
        let own_derivatives = self.language.custom_derivatives && self.random.chance(60);
        // Outside of a transform MLX calls a C++ compiler for most functions that it compiles, which takes a second.
        let compiles = self.random.chance(if place.around == 0 { 4 } else { 20 });
        let choice = if compiles { 0 } else { self.random.within(1..3) };
        let with_slopes = choice == 2 && own_derivatives;
        let mut inputs = vec![self.float(place, block)];
        if with_slopes && inputs[0].dtype != Dtype::Float32 {
            return self.some_operation(place, block);
        }
        if self.random.chance(35) {
            let shape = inputs[0].shape.clone();
            let second = if with_slopes {
                self.of_type(place, block, &shape, Dtype::Float32)
            } else {
                self.float(place, block)
            };
            inputs.push(second);
        }
        let mut inside = place.inside();
        inside.may_fail = false;
        if choice > 0 {
            inside.values.retain(|x| !x.mapped);
            inside.own = inside.values.len();
        }
        let outside = inside.clone();
        let parameters = self.parameters(&mut inside, &inputs);
        for of in &mut inside.values[outside.values.len()..] {
            (of.traced, of.mapped) = (of.traced || choice == 0, of.mapped);
        }
        let length = self.random.within(1..5);
        let mut body = self.block(&mut inside, length);
        let mut results = Vec::new();
        if with_slopes {
            let shape = inputs[0].shape.clone();
            let result = self.result(&mut inside, &mut body, |x| x.dtype == Dtype::Float32 && x.shape == shape);
            let result = if result.shape == shape {
                result
            } else {
                self.of_type(&mut inside, &mut body, &shape, Dtype::Float32)
            };
            results.push(result);
        } else {
            for _ in 0..if self.random.chance(25) { 2 } else { 1 } {
                results.push(self.product(&mut inside, &mut body, |x| x.dtype.is_float()));
            }
        }
        let slopes = |writer: &mut Self| {
            let mut inside = outside.clone();
            inside.modes.enter_differentiated();
            writer.slopes(&mut inside, &inputs)
        };
        let kind = match choice {
            0 => Kind::Compile,
            1 => Kind::Checkpoint,
            _ => {
                let which = if with_slopes { self.random.within(1..4) } else { 0 };
                let vjp = (which & 1 != 0).then(|| slopes(self));
                let jvp = (which & 2 != 0).then(|| slopes(self));
                Kind::Custom { vjp, jvp }
            }
        };
        let name = self.next_name;
        self.next_name += 1;
        let named = Named {
            name,
            parameters: inputs.iter().map(|x| (x.shape.clone(), x.dtype)).collect(),
            results: results.iter().map(|x| (x.shape.clone(), x.dtype)).collect(),
            nested: inside.nested + 1,
            traced: outside.values.iter().any(|x| x.traced),
            mapped: outside.values.iter().any(|x| x.mapped),
        };
        let results = results.iter().map(|x| x.value).collect();
        block.push(Statement::Define { name, kind, function: Function { parameters, body, results } });
        place.functions.push(named.clone());
        if self.random.chance(90) {
            self.call(place, block, &named);
        }
    }

    /// Returns an array of the shape of each primal.
    fn slopes(&mut self, inside: &mut Place, inputs: &[Visible]) -> Function {
        let parameters = self.parameters(inside, inputs);
        let length = self.random.within(1..4);
        let mut body = self.block(inside, length);
        let mut results = Vec::new();
        for input in inputs {
            results.push(self.of_type(inside, &mut body, &input.shape, Dtype::Float32).value);
        }
        Function { parameters, body, results }
    }

    fn call(&mut self, place: &mut Place, block: &mut Block, named: &Named) {
        if place.around + named.nested > MOST_NESTED {
            return self.some_operation(place, block);
        }
        let mut inputs = Vec::new();
        for (shape, dtype) in &named.parameters {
            inputs.push(self.of_type(place, block, shape, *dtype));
        }
        let of = Visible {
            traced: named.traced,
            mapped: named.mapped,
            value: 0,
            shape: Vec::new(),
            dtype: Dtype::Float32,
        };
        let dependencies: Vec<&Visible> = inputs.iter().chain([&of]).collect();
        let outputs = named
            .results
            .iter()
            .map(|(shape, dtype)| self.visible(place, shape.clone(), *dtype, &dependencies))
            .collect();
        place.nested = place.nested.max(named.nested);
        block.push(Statement::Call { name: named.name, inputs: inputs.iter().map(|x| x.value).collect(), outputs });
    }
}

/// Returns the dtype of an operation on a float and another array.
fn common(x: Dtype, y: Dtype) -> Dtype {
    match (x.is_float(), y.is_float()) {
        (true, true) if x != y => Dtype::Float32,
        (true, _) => x,
        _ => y,
    }
}

fn reduced(shape: &[usize], axes: &[usize], keepdims: bool) -> Vec<usize> {
    let length = |(axis, length): (usize, &usize)| match (axes.contains(&axis), keepdims) {
        (true, true) => Some(1),
        (true, false) => None,
        (false, _) => Some(*length),
    };
    shape.iter().enumerate().filter_map(length).collect()
}
