//! Computes the results of a program from the guarantees: an interpreter that knows nothing of graphs and tapes.
//!
//! Elements are [numbers with infinitesimal parts](crate::numbers). A transform that differentiates adds tags to its primals,
//! runs the function once, and reads the derivatives off the results. An array that is made while the mode is off loses all of
//! its tags: it is a constant to every transform around (guarantee 3).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use grad_runtime::{Dtype, GradMode};

use crate::mode_model::{Engine, Modes, Pair};
use crate::numbers::{LEVELS, Number, TAGS};
use crate::program::{Block, Function, Kind, Op, Program, Statement, Transform, Value};
use crate::reference_tensors::{Result, Stop, Tensor};

/// A guarantee that the reference gets wrong, to see that the programs notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Guarantee 3: an array made in a scope is as any other.
    ScopesDoNothing,
    /// Guarantee 3: an array made in a scope is a constant to the innermost transform alone.
    ConstantToTheInnermostTransform,
    /// Guarantee 7.
    EnableGradLiftsInferenceMode,
    /// Guarantee 2: a guard that is dropped ends the scopes that were entered after it.
    LeavingEndsTheScopesInside,
    /// Guarantee 5: a transform does not ignore the scope that it is started in.
    TransformsStartInTheModeOfTheCall,
    /// Guarantee 5: a transform that is started in inference mode is no error.
    TransformsIgnoreInferenceMode,
    /// Guarantee 5: what a transform that is started in a scope returns is not a constant further out.
    ResultsOfTransformsAreRecorded,
    /// Guarantee 5: a function that is mapped does not run in the mode of the call.
    VmapStartsEnabled,
    /// A checkpointed or custom function is differentiated by what it captures.
    CapturesAreRecorded,
    /// A custom function has the derivatives of its function, whatever it was given.
    CustomDerivativesAreIgnored,
    /// An array of elements that were read is no constant.
    ReadsAreRecorded,
}

impl Mistake {
    pub const ALL: [Self; 11] = [
        Self::ScopesDoNothing,
        Self::ConstantToTheInnermostTransform,
        Self::EnableGradLiftsInferenceMode,
        Self::LeavingEndsTheScopesInside,
        Self::TransformsStartInTheModeOfTheCall,
        Self::TransformsIgnoreInferenceMode,
        Self::ResultsOfTransformsAreRecorded,
        Self::VmapStartsEnabled,
        Self::CapturesAreRecorded,
        Self::CustomDerivativesAreIgnored,
        Self::ReadsAreRecorded,
    ];

    /// Returns whether programs for a backend can show it: some need more transforms than those of the trait.
    pub fn shows_on(self, engine: Engine) -> bool {
        let of_mlx = [Self::VmapStartsEnabled, Self::CapturesAreRecorded, Self::CustomDerivativesAreIgnored];
        engine == Engine::Mlx || !of_mlx.contains(&self)
    }
}

/// Values of constants that are held, to take finite differences around them.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Held {
    #[default]
    No,
    Recording(Vec<f64>),
    Replaying(Vec<f64>, usize),
}

/// The direction in which a running transform differentiates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Reverse,
    Forward,
}

/// The names that are visible, as a function captures them.
#[derive(Debug, Clone, Default)]
struct Scope {
    values: BTreeMap<Value, Rc<Tensor>>,
    functions: BTreeMap<usize, Rc<Closure>>,
}

#[derive(Debug, Clone)]
struct Closure {
    kind: Kind,
    function: Function,
    captured: Scope,
}

/// The expected outcome of a block.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The values visible at its end, or why there are none.
    pub results: Result<BTreeMap<Value, Rc<Tensor>>>,
    /// The modes that each value was made in.
    pub modes: BTreeMap<Value, Vec<Pair>>,
    /// The values that a backend need not make: those of derivatives, which may not be needed.
    pub optional: BTreeSet<Value>,
    /// The arrays that each [`Statement::Read`] reads.
    pub reads: BTreeMap<Value, Vec<Rc<Tensor>>>,
    /// The shape and dtype of every value.
    pub types: BTreeMap<Value, (Vec<usize>, Dtype)>,
}

/// Runs a program.
pub fn run(program: &Program, engine: Engine, mistake: Option<Mistake>) -> Vec<Expected> {
    program.threads.iter().map(|block| Reference::new(engine, mistake).run(block)).collect()
}

/// More statements are not run.
const MOST_STEPS: usize = 4000;

/// The state of a thread.
pub struct Reference {
    modes: Modes,
    mistake: Option<Mistake>,
    /// The transforms around that differentiate.
    running: Vec<Direction>,
    /// The functions around that are mapped (true) or compiled.
    tracing: Vec<bool>,
    held: Held,
    steps: usize,
    /// Whether a derivative of a custom function is running.
    in_derivative: bool,
    seen: Expected,
}

impl Reference {
    pub fn new(engine: Engine, mistake: Option<Mistake>) -> Self {
        Self {
            modes: Modes::new(engine, mistake),
            mistake,
            running: Vec::new(),
            tracing: Vec::new(),
            held: Held::No,
            steps: 0,
            in_derivative: false,
            seen: Expected {
                results: Err(Stop::Invalid),
                modes: BTreeMap::new(),
                optional: BTreeSet::new(),
                reads: BTreeMap::new(),
                types: BTreeMap::new(),
            },
        }
    }

    fn run(mut self, block: &Block) -> Expected {
        let mut scope = Scope::default();
        let outcome = self.block(block, &mut scope, &mut Vec::new());
        assert_eq!(self.modes.depth(), 0, "the reference has left a scope open");
        self.seen.results = outcome.map(|()| scope.values);
        self.seen
    }

    /// Runs a function of given elements, as part of a transform around all of it if `tagged`, with constants held.
    pub fn differentiate(
        mut self,
        function: &Function,
        inputs: &[Tensor],
        tagged: bool,
        held: Held,
    ) -> Result<(Vec<Tensor>, Held)> {
        self.held = held;
        if tagged {
            self.running.push(Direction::Reverse);
        }
        let results = self.call(function, inputs.iter().cloned().map(Rc::new).collect(), &Scope::default())?;
        Ok((results.iter().map(|result| Tensor::clone(result)).collect(), self.held))
    }

    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// The bits of the functions around that are mapped.
    fn mapped_levels(&self) -> u8 {
        self.tracing.iter().zip(0..).map(|(mapped, level)| u8::from(*mapped) << level).sum()
    }

    // Constants

    /// The array without any tags.
    fn constant(&mut self, array: &Tensor) -> Tensor {
        let constant = |x: &Number| {
            let value = match &mut self.held {
                Held::No => return Ok(x.constant()),
                Held::Recording(values) => {
                    values.push(x.value());
                    x.value()
                }
                Held::Replaying(values, at) => {
                    *at += 1;
                    *values.get(*at - 1).ok_or(Stop::Rounding)?
                }
            };
            Ok(Number::exact(value))
        };
        array.map(constant).unwrap_or_else(|_| array.clone())
    }

    /// Returns the result of an operation as the current mode has it: a constant while the mode is off.
    fn made(&mut self, array: Tensor) -> Tensor {
        if !array.dtype.is_float() {
            return array.map(|x| Ok(x.constant())).unwrap_or(array);
        }
        if self.modes.current().is_enabled() || self.is(Mistake::ScopesDoNothing) {
            return array;
        }
        if self.is(Mistake::ConstantToTheInnermostTransform) {
            let innermost = self.running.len().saturating_sub(1);
            return array.map(|x| Ok(x.without_level(innermost))).unwrap_or(array);
        }
        self.constant(&array)
    }

    /// Returns a result of a transform that differentiates, in the mode of its call.
    fn returned(&mut self, array: Tensor) -> Tensor {
        if self.is(Mistake::ResultsOfTransformsAreRecorded) { array } else { self.made(array) }
    }

    /// Returns the captured arrays of a function as constants, without those that are mapped, which cannot be captured.
    fn captured_constants(&mut self, scope: &Scope) -> Scope {
        if self.is(Mistake::CapturesAreRecorded) {
            return scope.clone();
        }
        let mapped = self.mapped_levels();
        let visible: Vec<_> = scope.values.iter().filter(|(_, array)| array.traced & mapped == 0).collect();
        let values = visible.into_iter().map(|(value, array)| (*value, Rc::new(self.constant(array)))).collect();
        let functions = scope.functions.iter().map(|(name, closure)| {
            let captured = self.captured_constants(&closure.captured);
            (*name, Rc::new(Closure { captured, ..Closure::clone(closure) }))
        });
        let functions = functions.collect();
        Scope { values, functions }
    }

    // Statements

    fn block(&mut self, block: &Block, scope: &mut Scope, guards: &mut Vec<(usize, usize)>) -> Result<()> {
        let mut entered = Vec::new();
        let outcome = block.iter().try_for_each(|statement| {
            if let Statement::Enter { guard, .. } = statement {
                entered.push(*guard);
            }
            self.statement(statement, scope, guards)
        });
        guards.retain(|(guard, number)| {
            let ends = entered.contains(guard);
            if ends {
                self.modes.leave(*number);
            }
            !ends
        });
        outcome
    }

    fn statement(
        &mut self,
        statement: &Statement,
        scope: &mut Scope,
        guards: &mut Vec<(usize, usize)>,
    ) -> Result<()> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(Stop::Invalid);
        }
        match statement {
            Statement::Constant { to, shape, dtype, elements } => {
                if shape.iter().product::<usize>() != elements.len() {
                    return Err(Stop::Invalid);
                }
                self.bind(scope, *to, Tensor::constant(shape, *dtype, elements))
            }
            Statement::Operation { to, op, operands } => {
                let operands = values(scope, operands)?;
                let made = Tensor::apply(op, &operands.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
                let made = match op {
                    // Whatever the mode.
                    Op::StopGradient | Op::Detach => self.constant(&made),
                    _ => self.made(made),
                };
                self.bind(scope, *to, made)
            }
            Statement::Eval { of } => readable(scope, *of).map(|_| ()),
            Statement::Read { to, of } => {
                let read = readable(scope, *of)?;
                let made =
                    if self.is(Mistake::ReadsAreRecorded) { Tensor::clone(&read) } else { self.constant(&read) };
                self.seen.reads.entry(*to).or_default().push(read);
                self.bind(scope, *to, made)
            }
            Statement::Scope { scope: of, target, body, .. } => {
                let number = self.modes.enter(*of, *target);
                let outcome = self.block(body, scope, guards);
                self.modes.leave(number);
                outcome
            }
            Statement::Enter { guard, scope, target } => {
                if guards.iter().any(|(alive, _)| alive == guard) {
                    return Err(Stop::Invalid);
                }
                guards.push((*guard, self.modes.enter(*scope, *target)));
                Ok(())
            }
            Statement::Leave { guard } => {
                let at = guards.iter().position(|(alive, _)| alive == guard).ok_or(Stop::Invalid)?;
                self.modes.leave(guards.remove(at).1);
                Ok(())
            }
            Statement::Attempt { body } => match self.block(body, &mut scope.clone(), guards) {
                Ok(()) | Err(Stop::Failed | Stop::InferenceMode) => Ok(()),
                Err(stop) => Err(stop),
            },
            Statement::Fail(_) => Err(Stop::Failed),
            Statement::Transform { transform, inputs, function, escaping, outputs } => {
                let inputs = values(scope, inputs)?;
                let found = self.transform(transform, &inputs, function, escaping, scope)?;
                self.bind_all(scope, outputs, found)
            }
            Statement::Define { name, kind, function } => {
                let captured = scope.clone();
                let closure = Closure { kind: kind.clone(), function: function.clone(), captured };
                scope.functions.insert(*name, Rc::new(closure));
                Ok(())
            }
            Statement::Call { name, inputs, outputs } => {
                let closure = Rc::clone(scope.functions.get(name).ok_or(Stop::Invalid)?);
                let found = self.call_closure(&closure, values(scope, inputs)?)?;
                self.bind_all(scope, outputs, found)
            }
        }
    }

    fn bind(&mut self, scope: &mut Scope, to: Value, array: Tensor) -> Result<()> {
        let modes = self.modes.both();
        let seen = self.seen.modes.entry(to).or_default();
        if !seen.contains(&modes) {
            seen.push(modes);
        }
        if self.in_derivative {
            self.seen.optional.insert(to);
        }
        self.seen.types.insert(to, (array.shape.clone(), array.dtype));
        match scope.values.insert(to, Rc::new(array)) {
            Some(_) => Err(Stop::Invalid),
            None => Ok(()),
        }
    }

    fn bind_all(&mut self, scope: &mut Scope, to: &[Value], arrays: Vec<Tensor>) -> Result<()> {
        if to.len() != arrays.len() {
            return Err(Stop::Invalid);
        }
        to.iter().zip(arrays).try_for_each(|(to, array)| self.bind(scope, *to, array))
    }

    /// Runs the body of a function and returns what is visible at its end.
    fn body(&mut self, function: &Function, inputs: Vec<Rc<Tensor>>, captured: &Scope) -> Result<Scope> {
        if function.parameters.len() != inputs.len() || function.results.is_empty() {
            return Err(Stop::Invalid);
        }
        let mut scope = captured.clone();
        for (parameter, input) in function.parameters.iter().zip(inputs) {
            self.seen.types.insert(*parameter, (input.shape.clone(), input.dtype));
            scope.values.insert(*parameter, input);
        }
        self.block(&function.body, &mut scope, &mut Vec::new())?;
        Ok(scope)
    }

    fn call(&mut self, function: &Function, inputs: Vec<Rc<Tensor>>, captured: &Scope) -> Result<Vec<Rc<Tensor>>> {
        let scope = self.body(function, inputs, captured)?;
        values(&scope, &function.results)
    }

    // Transforms

    fn transform(
        &mut self,
        transform: &Transform,
        inputs: &[Rc<Tensor>],
        function: &Function,
        escaping: &[Value],
        scope: &mut Scope,
    ) -> Result<Vec<Tensor>> {
        match transform {
            Transform::Vmap { in_axes, out_axes } if escaping.is_empty() => {
                self.vmap(in_axes, out_axes, inputs, function, scope)
            }
            Transform::Vmap { .. } => Err(Stop::Invalid),
            Transform::Jvp { tangents } => {
                let tangents = values(scope, tangents)?;
                self.jvp(&tangents, inputs, function, escaping, scope)
            }
            Transform::Vjp { cotangents } => {
                let cotangents = values(scope, cotangents)?;
                self.vjp(Some(&cotangents), inputs, function, escaping, scope)
            }
            Transform::ValueAndGrad => self.vjp(None, inputs, function, escaping, scope),
            Transform::Grad => {
                let mut found = self.vjp(None, inputs, function, escaping, scope)?;
                found.remove(0);
                Ok(found)
            }
        }
    }

    /// Runs a function that is differentiated at `primals`, which have its tags.
    fn differentiated(
        &mut self,
        direction: Direction,
        primals: Vec<Rc<Tensor>>,
        function: &Function,
        escaping: &[Value],
        scope: &mut Scope,
    ) -> Result<Vec<Rc<Tensor>>> {
        let level = self.running.len();
        let tracing = self.tracing.len();
        let guard = self.modes.enter_differentiated();
        self.running.push(direction);
        let outcome = self.body(function, primals, scope);
        self.running.truncate(level);
        self.tracing.truncate(tracing);
        self.modes.leave(guard);
        let inside = outcome?;
        for value in escaping {
            let array = inside.values.get(value).ok_or(Stop::Invalid)?;
            // It was made in the mode of then; here this transform is over.
            let outside = array.map(|x| Ok(x.without_level(level)))?;
            if scope.values.insert(*value, Rc::new(outside)).is_some() {
                return Err(Stop::Invalid);
            }
        }
        values(&inside, &function.results)
    }

    fn start(&self, primals: &[Rc<Tensor>]) -> Result<usize> {
        if self.modes.current() == GradMode::Inference && !self.is(Mistake::TransformsIgnoreInferenceMode) {
            return Err(Stop::InferenceMode);
        }
        let elements: usize = primals.iter().map(|primal| primal.elements.len()).sum();
        let floats = primals.iter().all(|primal| primal.dtype.is_float());
        if primals.is_empty() || elements > TAGS || !floats || self.running.len() == LEVELS {
            return Err(Stop::Invalid);
        }
        Ok(self.running.len())
    }

    /// The outputs, and the product of the cotangents with the Jacobian; without cotangents the output must be a scalar.
    fn vjp(
        &mut self,
        cotangents: Option<&[Rc<Tensor>]>,
        primals: &[Rc<Tensor>],
        function: &Function,
        escaping: &[Value],
        scope: &mut Scope,
    ) -> Result<Vec<Tensor>> {
        let level = self.start(primals)?;
        let mut next = 0;
        let mut tag = |x: &Number| {
            next += 1;
            Ok(x.with_tag(level, next - 1))
        };
        let tagged = primals.iter().map(|primal| primal.map(&mut tag).map(Rc::new)).collect::<Result<_>>()?;
        let outputs = self.differentiated(Direction::Reverse, tagged, function, escaping, scope)?;
        let one = vec![Rc::new(Tensor::constant(&[], outputs[0].dtype, &[1.0]))];
        let cotangents = cotangents.unwrap_or(&one);
        let fits = |(output, cotangent): (&Rc<Tensor>, &Rc<Tensor>)| {
            output.shape == cotangent.shape && output.dtype.is_float() && output.dtype == cotangent.dtype
        };
        if outputs.len() != cotangents.len() || !outputs.iter().zip(cotangents).all(fits) {
            return Err(Stop::Invalid);
        }
        let traced = all_traced(outputs.iter().chain(cotangents).chain(primals));
        let mut next = 0;
        let mut derivative = |_: &Number| {
            let pairs = outputs.iter().zip(cotangents).flat_map(|(x, y)| x.elements.iter().zip(&y.elements));
            let terms = pairs.map(|(output, cotangent)| output.coefficient(level, next).multiply(cotangent));
            let sum = terms.fold(Number::exact(0.0), |sum, term| sum.add(&term));
            next += 1;
            Ok(sum)
        };
        let mut found = Vec::new();
        for output in &outputs {
            found.push(output.map(|x| Ok(x.without_level(level)))?);
        }
        for primal in primals {
            found.push(Tensor { traced, ..primal.map(&mut derivative)? });
        }
        Ok(found.into_iter().map(|array| self.returned(array)).collect())
    }

    /// The outputs, and how they move with the tangents.
    fn jvp(
        &mut self,
        tangents: &[Rc<Tensor>],
        primals: &[Rc<Tensor>],
        function: &Function,
        escaping: &[Value],
        scope: &mut Scope,
    ) -> Result<Vec<Tensor>> {
        let level = self.start(primals)?;
        if tangents.len() != primals.len() {
            return Err(Stop::Invalid);
        }
        let mut moving = Vec::new();
        for (primal, tangent) in primals.iter().zip(tangents) {
            if (&primal.shape, primal.dtype) != (&tangent.shape, tangent.dtype) {
                return Err(Stop::Invalid);
            }
            let mut tangents = tangent.elements.iter();
            let moved = primal.map(|x| Ok(x.with_tangent(level, 0, tangents.next().ok_or(Stop::Invalid)?)))?;
            moving.push(Rc::new(Tensor { traced: primal.traced | tangent.traced, ..moved }));
        }
        let outputs = self.differentiated(Direction::Forward, moving, function, escaping, scope)?;
        if outputs.iter().any(|output| !output.dtype.is_float()) {
            return Err(Stop::Invalid);
        }
        let mut found = Vec::new();
        for output in &outputs {
            found.push(output.map(|x| Ok(x.without_level(level)))?);
        }
        for output in &outputs {
            found.push(output.map(|x| Ok(x.coefficient(level, 0)))?);
        }
        Ok(found.into_iter().map(|array| self.returned(array)).collect())
    }

    /// Runs the function for one entry of the mapped axes after the other.
    fn vmap(
        &mut self,
        in_axes: &[Option<usize>],
        out_axes: &[usize],
        inputs: &[Rc<Tensor>],
        function: &Function,
        scope: &Scope,
    ) -> Result<Vec<Tensor>> {
        let mut length = None;
        for (axis, input) in in_axes.iter().zip(inputs) {
            let Some(axis) = axis else { continue };
            let found = *input.shape.get(*axis).ok_or(Stop::Invalid)?;
            if *length.get_or_insert(found) != found {
                return Err(Stop::Invalid);
            }
        }
        let length = length.ok_or(Stop::Invalid)?;
        if in_axes.len() != inputs.len() || self.tracing.len() == 8 {
            return Err(Stop::Invalid);
        }
        let level = self.tracing.len();
        let mut runs = Vec::new();
        for at in 0..length {
            let entry = |(axis, input): (&Option<usize>, &Rc<Tensor>)| {
                let entry = axis.map_or_else(|| Tensor::clone(input), |axis| input.entry(axis, at));
                Rc::new(Tensor { traced: entry.traced | (1 << level), ..entry })
            };
            let inputs = in_axes.iter().zip(inputs).map(entry).collect();
            let guard = self.modes.enter_mapped();
            let outcome = self.traced(true, function, inputs, scope);
            self.modes.leave(guard);
            runs.push(outcome?);
        }
        if out_axes.len() != runs[0].len() {
            return Err(Stop::Invalid);
        }
        let mut found = Vec::new();
        for (number, axis) in out_axes.iter().enumerate() {
            let entries: Vec<_> = runs.iter().map(|run| Tensor::clone(&run[number])).collect();
            let stacked = Tensor::stack(&entries, *axis)?;
            let traced = (stacked.traced | all_traced(inputs)) & !(1 << level);
            found.push(self.made(Tensor { traced, ..stacked }));
        }
        Ok(found)
    }

    /// Runs a function to be mapped or compiled.
    fn traced(
        &mut self,
        mapped: bool,
        function: &Function,
        inputs: Vec<Rc<Tensor>>,
        captured: &Scope,
    ) -> Result<Vec<Rc<Tensor>>> {
        let level = self.tracing.len();
        self.tracing.push(mapped);
        let outcome = self.call(function, inputs, captured);
        self.tracing.truncate(level);
        outcome
    }

    fn call_closure(&mut self, closure: &Closure, inputs: Vec<Rc<Tensor>>) -> Result<Vec<Tensor>> {
        let Closure { kind, function, captured } = closure;
        let enabled = self.modes.current().is_enabled();
        let traced = all_traced(&inputs);
        let found = match kind {
            Kind::Compile => {
                if self.tracing.len() == 8 {
                    return Err(Stop::Invalid);
                }
                let level = self.tracing.len();
                let trace = |input: Rc<Tensor>| {
                    Rc::new(Tensor { traced: input.traced | (1 << level), ..Tensor::clone(&input) })
                };
                let found = self.traced(false, function, inputs.into_iter().map(trace).collect(), captured)?;
                let untrace = |x: Tensor| Tensor { traced: x.traced & !(1 << level), ..x };
                return Ok(found.iter().map(|array| untrace(Tensor::clone(array))).collect());
            }
            // Where nothing is recorded, it is the function itself.
            Kind::Checkpoint if !enabled => self.call(function, inputs, captured)?,
            Kind::Custom { .. } if !enabled => {
                let found = self.call(function, inputs, captured)?;
                return Ok(found.iter().map(|array| self.made(Tensor::clone(array))).collect());
            }
            Kind::Checkpoint => {
                let captured = self.captured_constants(captured);
                self.call(function, inputs, &captured)?
            }
            Kind::Custom { vjp, jvp } => {
                let captured = self.captured_constants(captured);
                if !self.running.is_empty() {
                    self.try_slopes(vjp.iter().chain(jvp), &inputs, &captured)?;
                }
                self.custom(vjp.as_ref(), jvp.as_ref(), function, &inputs, &captured)?
            }
        };
        // To what is around, the function is one operation of its inputs.
        let traced = if enabled { traced } else { 0 };
        Ok(found.iter().map(|array| Tensor { traced: array.traced | traced, ..Tensor::clone(array) }).collect())
    }

    /// Runs derivatives that may not be needed here: a backend runs them where the derivative that they make is zero, too.
    fn try_slopes<'a>(
        &mut self,
        slopes: impl Iterator<Item = &'a Function>,
        primals: &[Rc<Tensor>],
        captured: &Scope,
    ) -> Result<()> {
        for slopes in slopes {
            self.slopes(slopes, primals, captured)?;
        }
        Ok(())
    }

    fn slopes(&mut self, slopes: &Function, primals: &[Rc<Tensor>], captured: &Scope) -> Result<Vec<Rc<Tensor>>> {
        let guard = self.modes.enter_differentiated();
        let around = std::mem::replace(&mut self.in_derivative, true);
        let outcome = self.call(slopes, primals.to_vec(), captured);
        self.in_derivative = around;
        self.modes.leave(guard);
        // Whether a backend gets to the failure depends on whether it needs the derivative.
        outcome
            .map_err(|stop| if matches!(stop, Stop::InferenceMode | Stop::Failed) { Stop::Invalid } else { stop })
    }

    /// Calls a function with custom derivatives: the innermost transform takes its derivative from them, at inputs that only the
    /// transforms further out differentiate by.
    fn custom(
        &mut self,
        vjp: Option<&Function>,
        jvp: Option<&Function>,
        function: &Function,
        inputs: &[Rc<Tensor>],
        captured: &Scope,
    ) -> Result<Vec<Rc<Tensor>>> {
        let numbers = inputs.iter().flat_map(|input| &input.elements);
        let innermost = numbers.flat_map(Number::levels).max();
        let Some(level) = innermost.filter(|_| !self.is(Mistake::CustomDerivativesAreIgnored)) else {
            return self.call(function, inputs.to_vec(), captured);
        };
        let slopes = match self.running.get(level).ok_or(Stop::Invalid)? {
            Direction::Reverse => vjp,
            Direction::Forward => jvp,
        };
        let mut primals = Vec::new();
        for input in inputs {
            primals.push(Rc::new(input.map(|x| Ok(x.without_level(level)))?));
        }
        let values = self.custom(vjp, jvp, function, &primals, captured)?;
        let Some(slopes) = slopes else {
            let derived = self.call(function, inputs.to_vec(), captured)?;
            let pairs = values.iter().zip(&derived);
            let sums = pairs.map(|(value, derived)| {
                let mut derived = derived.elements.iter();
                let sum = |x: &Number| Ok(x.add(&derived.next().ok_or(Stop::Invalid)?.only_level(level)));
                value.map(sum).map(Rc::new)
            });
            return sums.collect();
        };
        let slopes = self.slopes(slopes, &primals, captured)?;
        let [value] = &values[..] else { return Err(Stop::Invalid) };
        if slopes.len() != inputs.len() {
            return Err(Stop::Invalid);
        }
        let mut sum = Tensor::clone(value);
        for (slope, input) in slopes.iter().zip(inputs) {
            let same = (&slope.shape, slope.dtype) == (&value.shape, value.dtype)
                && (&input.shape, input.dtype) == (&value.shape, value.dtype);
            if !same {
                return Err(Stop::Invalid);
            }
            let moved = slope.elements.iter().zip(&input.elements);
            let mut moved = moved.map(|(slope, x)| slope.multiply(&x.only_level(level)));
            sum = sum.map(|x| Ok(x.add(&moved.next().ok_or(Stop::Invalid)?)))?;
            sum.traced |= slope.traced;
        }
        Ok(vec![Rc::new(sum)])
    }
}

fn values(scope: &Scope, values: &[Value]) -> Result<Vec<Rc<Tensor>>> {
    values.iter().map(|value| scope.values.get(value).cloned().ok_or(Stop::Invalid)).collect()
}

fn readable(scope: &Scope, value: Value) -> Result<Rc<Tensor>> {
    let array = scope.values.get(&value).ok_or(Stop::Invalid)?;
    if array.traced == 0 { Ok(Rc::clone(array)) } else { Err(Stop::Invalid) }
}

fn all_traced<'a>(arrays: impl IntoIterator<Item = &'a Rc<Tensor>>) -> u8 {
    arrays.into_iter().fold(0, |traced, array| traced | array.traced)
}
