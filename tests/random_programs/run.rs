//! Runs a program on a backend.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Barrier;
use std::thread;

use grad_runtime::{
    Array, Backend, Cpu, Dtype, Error, GradGuard, Mlx, Result, enable_grad, inference_mode, no_grad,
    set_grad_enabled,
};
use half::{bf16, f16};

use crate::mode_model::{Engine, Pair};
use crate::program::{
    Block, Failure, Form, Function, Kind, Op, Program, Scope, Statement, Target, Transform, Value,
};
use crate::reference_tensors::EPSILON;

/// A function of arrays that may be called several times.
pub type Callable<A> = Rc<dyn Fn(&[A]) -> Result<Vec<A>>>;

/// An array type and its transforms beyond those of the trait.
pub trait Transforms: Array {
    const ENGINE: Engine;

    fn vjp(
        function: impl FnOnce(&[Self]) -> Result<Vec<Self>>,
        primals: &[Self],
        cotangents: &[Self],
    ) -> Result<(Vec<Self>, Vec<Self>)>;

    fn jvp(
        function: impl FnOnce(&[Self]) -> Result<Vec<Self>>,
        primals: &[Self],
        tangents: &[Self],
    ) -> Result<(Vec<Self>, Vec<Self>)>;

    fn vmap(
        function: impl FnOnce(&[Self]) -> Result<Vec<Self>>,
        inputs: &[Self],
        in_axes: &[Option<isize>],
        out_axes: &[isize],
    ) -> Result<Vec<Self>>;

    fn compile(function: Callable<Self>) -> Callable<Self>;

    fn checkpoint(function: Callable<Self>) -> Callable<Self>;

    /// `vjp` and `jvp` make slopes of the primals.
    fn custom(function: Callable<Self>, vjp: Option<Callable<Self>>, jvp: Option<Callable<Self>>)
    -> Callable<Self>;
}

/// The CPU fallback has those of the trait only, and the generator uses no others.
impl Transforms for grad_runtime::cpu::Array {
    const ENGINE: Engine = Engine::Cpu;

    fn vjp(_: impl FnOnce(&[Self]) -> Result<Vec<Self>>, _: &[Self], _: &[Self]) -> Result<(Vec<Self>, Vec<Self>)> {
        unreachable!("the CPU fallback has no vjp")
    }

    fn jvp(_: impl FnOnce(&[Self]) -> Result<Vec<Self>>, _: &[Self], _: &[Self]) -> Result<(Vec<Self>, Vec<Self>)> {
        unreachable!("the CPU fallback has no jvp")
    }

    fn vmap(
        _: impl FnOnce(&[Self]) -> Result<Vec<Self>>,
        _: &[Self],
        _: &[Option<isize>],
        _: &[isize],
    ) -> Result<Vec<Self>> {
        unreachable!("the CPU fallback has no vmap")
    }

    fn compile(_: Callable<Self>) -> Callable<Self> {
        unreachable!("the CPU fallback has no compile")
    }

    fn checkpoint(_: Callable<Self>) -> Callable<Self> {
        unreachable!("the CPU fallback has no checkpoint")
    }

    fn custom(_: Callable<Self>, _: Option<Callable<Self>>, _: Option<Callable<Self>>) -> Callable<Self> {
        unreachable!("the CPU fallback has no custom functions")
    }
}

impl Transforms for grad_runtime::mlx::Array {
    const ENGINE: Engine = Engine::Mlx;

    fn vjp(
        function: impl FnOnce(&[Self]) -> Result<Vec<Self>>,
        primals: &[Self],
        cotangents: &[Self],
    ) -> Result<(Vec<Self>, Vec<Self>)> {
        grad_runtime::mlx::vjp(function, primals, cotangents)
    }

    fn jvp(
        function: impl FnOnce(&[Self]) -> Result<Vec<Self>>,
        primals: &[Self],
        tangents: &[Self],
    ) -> Result<(Vec<Self>, Vec<Self>)> {
        grad_runtime::mlx::jvp(function, primals, tangents)
    }

    fn vmap(
        function: impl FnOnce(&[Self]) -> Result<Vec<Self>>,
        inputs: &[Self],
        in_axes: &[Option<isize>],
        out_axes: &[isize],
    ) -> Result<Vec<Self>> {
        grad_runtime::mlx::vmap(function, inputs, in_axes, out_axes)
    }

    fn compile(function: Callable<Self>) -> Callable<Self> {
        let compiled = grad_runtime::mlx::compile(move |inputs| function(inputs));
        Rc::new(move |inputs| compiled.call(inputs))
    }

    fn checkpoint(function: Callable<Self>) -> Callable<Self> {
        let checkpoint = grad_runtime::mlx::checkpoint(move |inputs| function(inputs));
        Rc::new(move |inputs| checkpoint.call(inputs))
    }

    fn custom(
        function: Callable<Self>,
        vjp: Option<Callable<Self>>,
        jvp: Option<Callable<Self>>,
    ) -> Callable<Self> {
        let mut custom = grad_runtime::mlx::custom_function(move |inputs| function(inputs));
        if let Some(slopes) = vjp {
            custom = custom.vjp(move |primals, cotangents, _| {
                slopes(primals)?.iter().map(|slope| cotangents[0].multiply(slope)).collect()
            });
        }
        if let Some(slopes) = jvp {
            custom = custom.jvp(move |primals, tangents| {
                let mut sum = Self::zeros(&primals[0].shape(), primals[0].dtype())?;
                for (slope, tangent) in slopes(primals)?.iter().zip(tangents) {
                    sum = sum.add(&slope.multiply(tangent)?)?;
                }
                Ok(vec![sum])
            });
        }
        Rc::new(move |inputs| custom.call(inputs))
    }
}

/// The elements of an array, and its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Elements {
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    /// In row-major order.
    pub values: Vec<f64>,
}

impl Elements {
    #[allow(clippy::cast_precision_loss, reason = "they are small integers")]
    fn of<A: Array>(array: &A) -> Result<Self> {
        let values = match array.dtype() {
            Dtype::Float32 => array.to_vec::<f32>()?.into_iter().map(f64::from).collect(),
            Dtype::Float16 => array.to_vec::<f16>()?.into_iter().map(f64::from).collect(),
            Dtype::BFloat16 => array.to_vec::<bf16>()?.into_iter().map(f64::from).collect(),
            Dtype::Int32 => array.to_vec::<i32>()?.into_iter().map(f64::from).collect(),
            Dtype::UInt32 => array.to_vec::<u32>()?.into_iter().map(f64::from).collect(),
            Dtype::Int64 => array.to_vec::<i64>()?.into_iter().map(|x| x as f64).collect(),
            _ => array.to_vec::<bool>()?.into_iter().map(|x| f64::from(u8::from(x))).collect(),
        };
        Ok(Self { shape: array.shape(), dtype: array.dtype(), values })
    }
}

/// The way in which a block ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With the values visible at its end.
    Values(Vec<(Value, Elements)>),
    /// With a transform that was started in inference mode.
    InferenceMode,
    /// With a statement that fails.
    Failed,
    /// As it should not.
    Error(String),
    Panic(String),
}

/// The outcome of a block on a backend.
#[derive(Debug, Clone)]
pub struct Found {
    pub outcome: Outcome,
    pub modes: Vec<(Value, Pair)>,
    pub reads: Vec<(Value, Elements)>,
    /// The modes after the block.
    pub left: Pair,
}

/// Runs a program: one block on this thread, several on one thread each.
pub fn run<A: Transforms>(program: &Program) -> Vec<Found> {
    if let [block] = &program.threads[..] {
        return vec![run_block::<A>(block)];
    }
    let start = Barrier::new(program.threads.len());
    thread::scope(|threads| {
        let running = program.threads.iter().map(|block| {
            threads.spawn(|| {
                start.wait();
                run_block::<A>(block)
            })
        });
        let running: Vec<_> = running.collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

fn run_block<A: Transforms>(block: &Block) -> Found {
    let seen = Rc::<Seen>::default();
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut frame = Frame::<A> { seen: Rc::clone(&seen), ..Frame::new() };
        frame.block(block)?;
        // The last ones first, so that what they were made of is computed as part of them.
        let values = frame.values.iter().rev();
        let mut read =
            values.map(|(value, array)| Ok((*value, Elements::of(array)?))).collect::<Result<Vec<_>>>()?;
        read.reverse();
        Ok(read)
    }));
    let outcome = match ran {
        Ok(Ok(values)) => Outcome::Values(values),
        Ok(Err(Error::InferenceMode { .. })) => Outcome::InferenceMode,
        Ok(Err(_)) if seen.failing.get() => Outcome::Failed,
        Ok(Err(error)) => Outcome::Error(error.to_string()),
        Err(payload) if payload.is::<OnPurpose>() => Outcome::Failed,
        Err(payload) => Outcome::Panic(message(&*payload)),
    };
    Found { outcome, modes: seen.modes.take(), reads: seen.reads.take(), left: modes() }
}

fn modes() -> Pair {
    [Cpu.grad_mode(), Mlx.grad_mode()]
}

fn message(payload: &dyn Any) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

/// The payload of [`Failure::Panic`].
struct OnPurpose;

/// The observations while a block runs.
#[derive(Default)]
struct Seen {
    modes: RefCell<Vec<(Value, Pair)>>,
    reads: RefCell<Vec<(Value, Elements)>>,
    /// Whether the error being returned is that of [`Failure::Error`].
    failing: Cell<bool>,
}

/// The running body of a function, or of a block.
struct Frame<A> {
    values: BTreeMap<Value, A>,
    functions: BTreeMap<usize, Callable<A>>,
    guards: Vec<(usize, GradGuard)>,
    seen: Rc<Seen>,
}

impl<A: Transforms> Frame<A> {
    fn new() -> Self {
        Self { values: BTreeMap::new(), functions: BTreeMap::new(), guards: Vec::new(), seen: Rc::default() }
    }

    /// Returns what a function written here captures.
    fn captured(&self) -> Self {
        Self {
            values: self.values.clone(),
            functions: self.functions.clone(),
            guards: Vec::new(),
            seen: Rc::clone(&self.seen),
        }
    }

    fn get(&self, value: Value) -> &A {
        &self.values[&value]
    }

    fn all(&self, values: &[Value]) -> Vec<A> {
        values.iter().map(|value| self.get(*value).clone()).collect()
    }

    fn bind(&mut self, to: Value, array: A) {
        self.seen.modes.borrow_mut().push((to, modes()));
        self.values.insert(to, array);
    }

    fn bind_all(&mut self, to: &[Value], arrays: Vec<A>) {
        assert_eq!(to.len(), arrays.len(), "the number of outputs");
        to.iter().zip(arrays).for_each(|(to, array)| self.bind(*to, array));
    }

    /// Runs the body of `function` where `self` is what it captured.
    fn body(&self, function: &Function, inputs: &[A]) -> Result<Self> {
        let mut frame = self.captured();
        frame.values.extend(function.parameters.iter().copied().zip(inputs.iter().cloned()));
        frame.block(&function.body)?;
        Ok(frame)
    }

    fn call(&self, function: &Function, inputs: &[A]) -> Result<Vec<A>> {
        Ok(self.body(function, inputs)?.all(&function.results))
    }

    /// The function as a value that outlives this frame.
    fn callable(&self, function: &Function) -> Callable<A> {
        let (captured, function) = (self.captured(), function.clone());
        Rc::new(move |inputs| captured.call(&function, inputs))
    }

    fn block(&mut self, block: &Block) -> Result<()> {
        let outcome = block.iter().try_for_each(|statement| self.statement(statement));
        let entered: Vec<usize> = block
            .iter()
            .filter_map(|statement| match statement {
                Statement::Enter { guard, .. } => Some(*guard),
                _ => None,
            })
            .collect();
        self.drop_guards(|guard| entered.contains(&guard));
        outcome
    }

    /// The innermost first.
    fn drop_guards(&mut self, ends: impl Fn(usize) -> bool) {
        while let Some(at) = self.guards.iter().rposition(|(guard, _)| ends(*guard)) {
            drop(self.guards.remove(at));
        }
    }

    fn statement(&mut self, statement: &Statement) -> Result<()> {
        match statement {
            Statement::Constant { to, shape, dtype, elements } => {
                self.bind(*to, constant(shape, *dtype, elements)?);
            }
            Statement::Operation { to, op, operands } => {
                let made = apply(op, &self.all(operands))?;
                self.bind(*to, made);
            }
            Statement::Eval { of } => self.get(*of).eval()?,
            Statement::Read { to, of } => {
                let (read, again) = read_and_make(self.get(*of))?;
                self.seen.reads.borrow_mut().push((*to, read));
                self.bind(*to, again);
            }
            Statement::Scope { scope, target, form, body } => {
                in_scope::<A, _>(*scope, *target, *form, || self.block(body))?;
            }
            Statement::Enter { guard, scope, target } => {
                self.guards.push((*guard, enter::<A>(*scope, *target)));
            }
            Statement::Leave { guard } => self.drop_guards(|alive| alive == *guard),
            Statement::Attempt { body } => self.attempt(body)?,
            Statement::Fail(Failure::Error) => {
                self.seen.failing.set(true);
                A::zeros(&[2], Dtype::Float32)?.reshape(&[3])?;
            }
            Statement::Fail(Failure::Panic) => resume_unwind(Box::new(OnPurpose)),
            Statement::Transform { transform, inputs, function, escaping, outputs } => {
                let found = self.transform(transform, &self.all(inputs), function, escaping);
                let (found, escaped) = found?;
                self.values.extend(escaped);
                self.bind_all(outputs, found);
            }
            Statement::Define { name, kind, function } => {
                let callable = self.callable(function);
                let made = match kind {
                    Kind::Compile => A::compile(callable),
                    Kind::Checkpoint => A::checkpoint(callable),
                    Kind::Custom { vjp, jvp } => {
                        let slopes =
                            |slopes: &Option<Function>| slopes.as_ref().map(|slopes| self.callable(slopes));
                        A::custom(callable, slopes(vjp), slopes(jvp))
                    }
                };
                self.functions.insert(*name, made);
            }
            Statement::Call { name, inputs, outputs } => {
                let found = self.functions[name](&self.all(inputs))?;
                self.bind_all(outputs, found);
            }
        }
        Ok(())
    }

    fn attempt(&mut self, body: &Block) -> Result<()> {
        let (values, functions) = (self.values.clone(), self.functions.clone());
        let alive: Vec<usize> = self.guards.iter().map(|(guard, _)| *guard).collect();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.block(body)));
        self.drop_guards(|guard| !alive.contains(&guard));
        (self.values, self.functions) = (values, functions);
        match outcome {
            Ok(Ok(()) | Err(Error::InferenceMode { .. })) => Ok(()),
            Ok(Err(_)) if self.seen.failing.take() => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(payload) if payload.is::<OnPurpose>() => Ok(()),
            Err(payload) => resume_unwind(payload),
        }
    }

    /// Runs a transform. Returns its outputs, and the values that leave its function by side effect.
    #[allow(clippy::type_complexity, reason = "it is a pair of lists")]
    fn transform(
        &self,
        transform: &Transform,
        inputs: &[A],
        function: &Function,
        escaping: &[Value],
    ) -> Result<(Vec<A>, Vec<(Value, A)>)> {
        let escaped = RefCell::new(Vec::new());
        let run = |primals: &[A]| {
            let frame = self.body(function, primals)?;
            escaped.borrow_mut().extend(escaping.iter().map(|value| (*value, frame.get(*value).clone())));
            Ok(frame.all(&function.results))
        };
        let scalar = |primals: &[A]| Ok::<_, Error>(run(primals)?.swap_remove(0));
        let found = match transform {
            Transform::ValueAndGrad => {
                let (value, gradients) = A::value_and_grad(scalar, inputs)?;
                [vec![value], gradients].concat()
            }
            Transform::Grad => A::grad(scalar, inputs)?,
            Transform::Vjp { cotangents } => {
                let (outputs, cotangents) = A::vjp(run, inputs, &self.all(cotangents))?;
                [outputs, cotangents].concat()
            }
            Transform::Jvp { tangents } => {
                let (outputs, tangents) = A::jvp(run, inputs, &self.all(tangents))?;
                [outputs, tangents].concat()
            }
            Transform::Vmap { in_axes, out_axes } => {
                let in_axes: Vec<_> = in_axes.iter().map(|axis| axis.map(usize::cast_signed)).collect();
                A::vmap(run, inputs, &in_axes, &signed(out_axes))?
            }
        };
        Ok((found, escaped.into_inner()))
    }
}

fn signed(axes: &[usize]) -> Vec<isize> {
    axes.iter().copied().map(usize::cast_signed).collect()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they are small integers")]
fn constant<A: Array>(shape: &[usize], dtype: Dtype, elements: &[f32]) -> Result<A> {
    match dtype {
        Dtype::Float32 => A::from_slice(elements, shape),
        Dtype::Float16 => A::from_slice(&elements.iter().map(|x| f16::from_f32(*x)).collect::<Vec<_>>(), shape),
        Dtype::BFloat16 => A::from_slice(&elements.iter().map(|x| bf16::from_f32(*x)).collect::<Vec<_>>(), shape),
        Dtype::Int32 => A::from_slice(&elements.iter().map(|x| *x as i32).collect::<Vec<_>>(), shape),
        Dtype::UInt32 => A::from_slice(&elements.iter().map(|x| *x as u32).collect::<Vec<_>>(), shape),
        _ => A::from_slice(&elements.iter().map(|x| *x != 0.0).collect::<Vec<_>>(), shape),
    }
}

/// Reads the elements of an array, with `item` if it is a scalar, and makes a new one of them.
fn read_and_make<A: Array>(array: &A) -> Result<(Elements, A)> {
    let shape = array.shape();
    macro_rules! again {
        ($element:ty) => {{
            let elements: Vec<$element> = if shape.is_empty() { vec![array.item()?] } else { array.to_vec()? };
            A::from_slice(&elements, &shape)?
        }};
    }
    let again = match array.dtype() {
        Dtype::Float32 => again!(f32),
        Dtype::Float16 => again!(f16),
        Dtype::BFloat16 => again!(bf16),
        Dtype::Int32 => again!(i32),
        Dtype::UInt32 => again!(u32),
        Dtype::Int64 => again!(i64),
        _ => again!(bool),
    };
    Ok((Elements::of(&again)?, again))
}

fn apply<A: Array>(op: &Op, operands: &[A]) -> Result<A> {
    let x = &operands[0];
    match op {
        Op::Abs => x.abs(),
        Op::Negative => x.negative(),
        Op::Exp => x.exp(),
        Op::Log => x.log(),
        Op::Sqrt => x.sqrt(),
        Op::Square => x.square(),
        Op::Sin => x.sin(),
        Op::Cos => x.cos(),
        Op::Tanh => x.tanh(),
        Op::Erf => x.erf(),
        Op::Sigmoid => x.sigmoid(),
        Op::Relu => x.relu(),
        Op::Gelu => x.gelu(),
        Op::StopGradient => x.stop_gradient(),
        Op::Detach => Ok(x.clone().detached()),
        Op::Add => x.add(&operands[1]),
        Op::Subtract => x.subtract(&operands[1]),
        Op::Multiply => x.multiply(&operands[1]),
        Op::Divide => x.divide(&operands[1]),
        Op::Maximum => x.maximum(&operands[1]),
        Op::Minimum => x.minimum(&operands[1]),
        Op::Power => x.power(&operands[1]),
        Op::Equal => x.equal(&operands[1]),
        Op::Greater => x.greater(&operands[1]),
        Op::Less => x.less(&operands[1]),
        Op::Where => x.where_cond(&operands[1], &operands[2]),
        Op::Sum { axes, keepdims } => x.sum(&signed(axes), *keepdims),
        Op::Mean { axes, keepdims } => x.mean(&signed(axes), *keepdims),
        Op::Max { axes, keepdims } => x.max(&signed(axes), *keepdims),
        Op::Min { axes, keepdims } => x.min(&signed(axes), *keepdims),
        Op::LogSumExp { axes, keepdims } => x.logsumexp(&signed(axes), *keepdims),
        Op::ArgMax { axis, keepdims } => x.argmax(axis.cast_signed(), *keepdims),
        Op::Softmax { axis } => x.softmax(axis.cast_signed()),
        Op::Matmul => x.matmul(&operands[1]),
        Op::LayerNorm => x.layer_norm(&operands[1], &operands[2], EPSILON),
        Op::Reshape(shape) => x.reshape(shape),
        Op::Transpose(axes) => x.transpose(&signed(axes)),
        Op::ExpandDims(axis) => x.expand_dims(axis.cast_signed()),
        Op::Squeeze(axis) => x.squeeze(axis.cast_signed()),
        Op::BroadcastTo(shape) => x.broadcast_to(shape),
        Op::Concatenate { axis } => A::concatenate(operands, axis.cast_signed()),
        Op::Slice { start, stop } => x.slice(start, stop),
        Op::Take { axis } => x.take(&operands[1], axis.cast_signed()),
        Op::Astype(dtype) => x.astype(*dtype),
    }
}

// Scopes

/// Returns the one backend that a scope switches, or `None` if it switches every backend.
fn selected<A: Transforms>(target: Target) -> Option<Engine> {
    match (target, A::ENGINE) {
        (Target::Every, _) => None,
        (Target::This, Engine::Cpu) | (Target::Other, Engine::Mlx) => Some(Engine::Cpu),
        (Target::This, Engine::Mlx) | (Target::Other, Engine::Cpu) => Some(Engine::Mlx),
    }
}

fn enter<A: Transforms>(scope: Scope, target: Target) -> GradGuard {
    let Some(engine) = selected::<A>(target) else {
        return match scope {
            Scope::NoGrad => no_grad(),
            Scope::EnableGrad => enable_grad(),
            Scope::SetGradEnabled(enabled) => set_grad_enabled(enabled),
            Scope::InferenceMode(inference) => inference_mode(inference),
        };
    };
    let scope = match scope {
        Scope::NoGrad => grad_runtime::Scope::NoGrad,
        Scope::EnableGrad => grad_runtime::Scope::EnableGrad,
        Scope::SetGradEnabled(enabled) => grad_runtime::Scope::set_grad_enabled(enabled),
        Scope::InferenceMode(inference) => grad_runtime::Scope::InferenceMode(inference),
    };
    match engine {
        Engine::Cpu => scope.enter_for(&Cpu),
        Engine::Mlx => scope.enter_for(&Mlx),
    }
}

/// The scopes of functions and blocks, for every backend or for one.
macro_rules! written_scopes {
    ($module:ident: $(<$backend:ident>)?) => {
        mod $module {
            use futures::FutureExt;
            use grad_runtime::attr;
            $(use grad_runtime::$backend;)?

            use crate::program::Scope;

            pub fn block<R>(scope: Scope, body: impl FnOnce() -> R) -> R {
                match scope {
                    Scope::NoGrad => grad_runtime::no_grad! { $(<$backend>)? body() },
                    Scope::EnableGrad => grad_runtime::enable_grad! { $(<$backend>)? body() },
                    Scope::SetGradEnabled(enabled) => {
                        grad_runtime::set_grad_enabled! { $(<$backend>)? enabled, { body() } }
                    }
                    Scope::InferenceMode(true) => grad_runtime::inference_mode! { $(<$backend>)? body() },
                    Scope::InferenceMode(false) => {
                        grad_runtime::inference_mode! { $(<$backend>)? false, { body() } }
                    }
                }
            }

            pub fn function<R>(scope: Scope, body: impl FnOnce() -> R) -> R {
                #[attr::no_grad($(backend = $backend)?)]
                fn no_grad<R>(body: impl FnOnce() -> R) -> R {
                    body()
                }
                #[attr::enable_grad($(backend = $backend)?)]
                fn enable_grad<R>(body: impl FnOnce() -> R) -> R {
                    body()
                }
                #[attr::set_grad_enabled(enabled $(, backend = $backend)?)]
                fn set_grad_enabled<R>(enabled: bool, body: impl FnOnce() -> R) -> R {
                    body()
                }
                #[attr::inference_mode(inference $(, backend = $backend)?)]
                fn inference_mode<R>(inference: bool, body: impl FnOnce() -> R) -> R {
                    body()
                }
                match scope {
                    Scope::NoGrad => no_grad(body),
                    Scope::EnableGrad => enable_grad(body),
                    Scope::SetGradEnabled(enabled) => set_grad_enabled(enabled, body),
                    Scope::InferenceMode(inference) => inference_mode(inference, body),
                }
            }

            pub fn async_function<R>(scope: Scope, body: impl FnOnce() -> R) -> R {
                #[attr::no_grad($(backend = $backend)?)]
                async fn no_grad<R>(body: impl FnOnce() -> R) -> R {
                    body()
                }
                #[attr::enable_grad($(backend = $backend)?)]
                async fn enable_grad<R>(body: impl FnOnce() -> R) -> R {
                    body()
                }
                #[attr::set_grad_enabled(enabled $(, backend = $backend)?)]
                async fn set_grad_enabled<R>(enabled: bool, body: impl FnOnce() -> R) -> R {
                    body()
                }
                #[attr::inference_mode(inference $(, backend = $backend)?)]
                async fn inference_mode<R>(inference: bool, body: impl FnOnce() -> R) -> R {
                    body()
                }
                let ready = match scope {
                    Scope::NoGrad => no_grad(body).now_or_never(),
                    Scope::EnableGrad => enable_grad(body).now_or_never(),
                    Scope::SetGradEnabled(enabled) => set_grad_enabled(enabled, body).now_or_never(),
                    Scope::InferenceMode(inference) => inference_mode(inference, body).now_or_never(),
                };
                ready.expect("the function does not wait")
            }
        }
    };
}
written_scopes!(for_every_backend: );
written_scopes!(for_the_cpu: <Cpu>);
written_scopes!(for_mlx: <Mlx>);

fn in_scope<A: Transforms, R>(scope: Scope, target: Target, form: Form, body: impl FnOnce() -> R) -> R {
    match (form, selected::<A>(target)) {
        (Form::Guard, _) => {
            let _guard = enter::<A>(scope, target);
            body()
        }
        (Form::Block, None) => for_every_backend::block(scope, body),
        (Form::Block, Some(Engine::Cpu)) => for_the_cpu::block(scope, body),
        (Form::Block, Some(Engine::Mlx)) => for_mlx::block(scope, body),
        (Form::Function, None) => for_every_backend::function(scope, body),
        (Form::Function, Some(Engine::Cpu)) => for_the_cpu::function(scope, body),
        (Form::Function, Some(Engine::Mlx)) => for_mlx::function(scope, body),
        (Form::AsyncFunction, None) => for_every_backend::async_function(scope, body),
        (Form::AsyncFunction, Some(Engine::Cpu)) => for_the_cpu::async_function(scope, body),
        (Form::AsyncFunction, Some(Engine::Mlx)) => for_mlx::async_function(scope, body),
    }
}
