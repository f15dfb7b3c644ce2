//! A program as data, and how it is printed.

use std::fmt;

use grad_runtime::Dtype;

/// The number of a value. No two values of a thread's program have the same.
pub type Value = usize;

/// Blocks that run at the same time, each on a separate thread. A program of one block runs on the thread of the test.
///
/// The results of a program are the values that are visible at the end of each block.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    pub threads: Vec<Block>,
}

pub type Block = Vec<Statement>;

/// A function of arrays. Its body sees the values that are visible where the function is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    pub parameters: Vec<Value>,
    pub body: Block,
    pub results: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    Constant {
        to: Value,
        shape: Vec<usize>,
        dtype: Dtype,
        elements: Vec<f32>,
    },
    Operation {
        to: Value,
        op: Op,
        operands: Vec<Value>,
    },
    Eval {
        of: Value,
    },
    /// Reads the elements and makes a new array of them.
    Read {
        to: Value,
        of: Value,
    },
    /// Runs the body in a scope. Its values stay visible.
    Scope {
        scope: Scope,
        target: Target,
        form: Form,
        body: Block,
    },
    /// Enters a scope that lasts until [`Statement::Leave`], or to the end of the block.
    Enter {
        guard: usize,
        scope: Scope,
        target: Target,
    },
    Leave {
        guard: usize,
    },
    /// Runs the body, goes on when it fails, and forgets what it made.
    Attempt {
        body: Block,
    },
    /// Fails, up to the nearest [`Statement::Attempt`].
    Fail(Failure),
    Transform {
        transform: Transform,
        inputs: Vec<Value>,
        function: Function,
        /// Values of the function's body that stay visible, by side effect, next to what the transform returns.
        escaping: Vec<Value>,
        outputs: Vec<Value>,
    },
    /// Makes a function that may be called several times.
    Define {
        name: usize,
        kind: Kind,
        function: Function,
    },
    Call {
        name: usize,
        inputs: Vec<Value>,
        outputs: Vec<Value>,
    },
}

/// The kinds of scope, as a user names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    NoGrad,
    EnableGrad,
    SetGradEnabled(bool),
    InferenceMode(bool),
}

/// The backends that a scope switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Every,
    /// The backend that the program runs on.
    This,
    Other,
}

/// The syntax of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Block,
    Guard,
    /// An annotated function.
    Function,
    /// An annotated `async fn`.
    AsyncFunction,
}

impl Form {
    pub const ALL: [Self; 4] = [Self::Block, Self::Guard, Self::Function, Self::AsyncFunction];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    Error,
    Panic,
}

/// A transform that is given its function when it is called.
#[derive(Debug, Clone, PartialEq)]
pub enum Transform {
    /// The outputs are the value and the gradients.
    ValueAndGrad,
    /// The outputs are the gradients.
    Grad,
    /// The outputs are those of the function, and a cotangent for each input.
    Vjp {
        cotangents: Vec<Value>,
    },
    /// The outputs are those of the function, and a tangent for each of them.
    Jvp {
        tangents: Vec<Value>,
    },
    Vmap {
        in_axes: Vec<Option<usize>>,
        out_axes: Vec<usize>,
    },
}

/// The transforms that make a function of another.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Compile,
    Checkpoint,
    /// Each derivative, if it is defined, is given by slopes: a function of the primals with a result for each of them, by
    /// which the cotangent or the tangent is multiplied, element by element.
    Custom {
        vjp: Option<Function>,
        jvp: Option<Function>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    Abs,
    Negative,
    Exp,
    Log,
    Sqrt,
    Square,
    Sin,
    Cos,
    Tanh,
    Erf,
    Sigmoid,
    Relu,
    Gelu,
    StopGradient,
    Detach,
    Add,
    Subtract,
    Multiply,
    Divide,
    Maximum,
    Minimum,
    Power,
    Equal,
    Greater,
    Less,
    Where,
    Sum { axes: Vec<usize>, keepdims: bool },
    Mean { axes: Vec<usize>, keepdims: bool },
    Max { axes: Vec<usize>, keepdims: bool },
    Min { axes: Vec<usize>, keepdims: bool },
    LogSumExp { axes: Vec<usize>, keepdims: bool },
    ArgMax { axis: usize, keepdims: bool },
    Softmax { axis: usize },
    Matmul,
    LayerNorm,
    Reshape(Vec<usize>),
    Transpose(Vec<usize>),
    ExpandDims(usize),
    Squeeze(usize),
    BroadcastTo(Vec<usize>),
    Concatenate { axis: usize },
    Slice { start: Vec<usize>, stop: Vec<usize> },
    Take { axis: usize },
    Astype(Dtype),
}

impl Op {
    /// The operation's name in the trait `Array`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Abs => "abs",
            Self::Negative => "negative",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Sqrt => "sqrt",
            Self::Square => "square",
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Tanh => "tanh",
            Self::Erf => "erf",
            Self::Sigmoid => "sigmoid",
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::StopGradient => "stop_gradient",
            Self::Detach => "detached",
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
            Self::Power => "power",
            Self::Equal => "equal",
            Self::Greater => "greater",
            Self::Less => "less",
            Self::Where => "where_cond",
            Self::Sum { .. } => "sum",
            Self::Mean { .. } => "mean",
            Self::Max { .. } => "max",
            Self::Min { .. } => "min",
            Self::LogSumExp { .. } => "logsumexp",
            Self::ArgMax { .. } => "argmax",
            Self::Softmax { .. } => "softmax",
            Self::Matmul => "matmul",
            Self::LayerNorm => "layer_norm",
            Self::Reshape(_) => "reshape",
            Self::Transpose(_) => "transpose",
            Self::ExpandDims(_) => "expand_dims",
            Self::Squeeze(_) => "squeeze",
            Self::BroadcastTo(_) => "broadcast_to",
            Self::Concatenate { .. } => "concatenate",
            Self::Slice { .. } => "slice",
            Self::Take { .. } => "take",
            Self::Astype(_) => "astype",
        }
    }

    /// The arguments that are not arrays.
    fn arguments(&self) -> Option<String> {
        Some(match self {
            Self::Sum { axes, keepdims }
            | Self::Mean { axes, keepdims }
            | Self::Max { axes, keepdims }
            | Self::Min { axes, keepdims }
            | Self::LogSumExp { axes, keepdims } => format!("&{axes:?}, {keepdims}"),
            Self::ArgMax { axis, keepdims } => format!("{axis}, {keepdims}"),
            Self::Softmax { axis }
            | Self::ExpandDims(axis)
            | Self::Squeeze(axis)
            | Self::Concatenate { axis }
            | Self::Take { axis } => axis.to_string(),
            Self::Reshape(list) | Self::Transpose(list) | Self::BroadcastTo(list) => format!("&{list:?}"),
            Self::Slice { start, stop } => format!("&{start:?}, &{stop:?}"),
            Self::Astype(dtype) => format!("{dtype:?}"),
            _ => return None,
        })
    }
}

/// The program as a user would write it, without `?` and `&`.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, block) in self.threads.iter().enumerate() {
            if self.threads.len() > 1 {
                writeln!(f, "thread {number}:")?;
            }
            write_block(f, block, 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_function(f, self, 0)
    }
}

fn write_block(f: &mut fmt::Formatter<'_>, block: &[Statement], depth: usize) -> fmt::Result {
    block.iter().try_for_each(|statement| write_statement(f, statement, depth))
}

fn list(values: &[Value]) -> String {
    values.iter().map(|value| format!("v{value}")).collect::<Vec<_>>().join(", ")
}

fn write_function(f: &mut fmt::Formatter<'_>, function: &Function, depth: usize) -> fmt::Result {
    writeln!(f, "|[{}]| {{", list(&function.parameters))?;
    write_block(f, &function.body, depth + 1)?;
    write!(
        f,
        "{:indent$}[{}]\n{:outer$}}}",
        "",
        list(&function.results),
        "",
        indent = 4 * depth + 4,
        outer = 4 * depth
    )
}

fn write_statement(f: &mut fmt::Formatter<'_>, statement: &Statement, depth: usize) -> fmt::Result {
    write!(f, "{:indent$}", "", indent = 4 * depth)?;
    match statement {
        Statement::Constant { to, shape, dtype, elements } => {
            writeln!(f, "let v{to} = array({elements:?}, &{shape:?}, {dtype:?});")
        }
        Statement::Operation { to, op: op @ Op::Concatenate { axis }, operands } => {
            writeln!(f, "let v{to} = {}(&[{}], {axis});", op.name(), list(operands))
        }
        Statement::Operation { to, op, operands } => {
            let (this, others) = operands.split_first().map_or((0, &[][..]), |(this, others)| (*this, others));
            let arguments: Vec<String> =
                others.iter().map(|value| format!("v{value}")).chain(op.arguments()).collect();
            writeln!(f, "let v{to} = v{this}.{}({});", op.name(), arguments.join(", "))
        }
        Statement::Eval { of } => writeln!(f, "v{of}.eval();"),
        Statement::Read { to, of } => writeln!(f, "let v{to} = array(v{of}.to_vec(), v{of}.shape());"),
        Statement::Scope { scope, target, form, body } => {
            writeln!(f, "{} {{ // {form:?}", ScopeOf(*scope, *target))?;
            write_block(f, body, depth + 1)?;
            writeln!(f, "{:indent$}}}", "", indent = 4 * depth)
        }
        Statement::Enter { guard, scope, target } => {
            writeln!(f, "let guard{guard} = {};", ScopeOf(*scope, *target))
        }
        Statement::Leave { guard } => writeln!(f, "drop(guard{guard});"),
        Statement::Attempt { body } => {
            writeln!(f, "attempt {{")?;
            write_block(f, body, depth + 1)?;
            writeln!(f, "{:indent$}}}", "", indent = 4 * depth)
        }
        Statement::Fail(Failure::Error) => writeln!(f, "return Err(…);"),
        Statement::Fail(Failure::Panic) => writeln!(f, "panic!(…);"),
        Statement::Transform { transform, inputs, function, escaping, outputs } => {
            let (name, arguments) = match transform {
                Transform::ValueAndGrad => ("value_and_grad", String::new()),
                Transform::Grad => ("grad", String::new()),
                Transform::Vjp { cotangents } => ("vjp", format!(", &[{}]", list(cotangents))),
                Transform::Jvp { tangents } => ("jvp", format!(", &[{}]", list(tangents))),
                Transform::Vmap { in_axes, out_axes } => ("vmap", format!(", &{in_axes:?}, &{out_axes:?}")),
            };
            write!(f, "let [{}] = {name}(", list(outputs))?;
            write_function(f, function, depth)?;
            write!(f, ", &[{}]{arguments});", list(inputs))?;
            if !escaping.is_empty() {
                write!(f, " // {} stay visible", list(escaping))?;
            }
            writeln!(f)
        }
        Statement::Define { name, kind, function } => {
            let maker = match kind {
                Kind::Compile => "compile",
                Kind::Checkpoint => "checkpoint",
                Kind::Custom { .. } => "custom_function",
            };
            write!(f, "let f{name} = {maker}(")?;
            write_function(f, function, depth)?;
            f.write_str(")")?;
            if let Kind::Custom { vjp, jvp } = kind {
                for (name, slopes) in [("vjp", vjp), ("jvp", jvp)] {
                    if let Some(slopes) = slopes {
                        write!(f, ".{name}_with_slopes(")?;
                        write_function(f, slopes, depth)?;
                        f.write_str(")")?;
                    }
                }
            }
            writeln!(f, ";")
        }
        Statement::Call { name, inputs, outputs } => {
            writeln!(f, "let [{}] = f{name}(&[{}]);", list(outputs), list(inputs))
        }
    }
}

struct ScopeOf(Scope, Target);

impl fmt::Display for ScopeOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Scope::NoGrad => f.write_str("no_grad")?,
            Scope::EnableGrad => f.write_str("enable_grad")?,
            Scope::SetGradEnabled(enabled) => write!(f, "set_grad_enabled({enabled})")?,
            Scope::InferenceMode(inference) => write!(f, "inference_mode({inference})")?,
        }
        f.write_str(match self.1 {
            Target::Every => "",
            Target::This => "<this backend>",
            Target::Other => "<another backend>",
        })
    }
}
