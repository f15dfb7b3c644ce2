//! `Report`: the explanation of missing gradients, as values and as text.

use std::io::{self, IsTerminal};
use std::panic::Location;
use std::{env, fmt, thread};

use grad_core::OpenScope;

use super::paths::{Outcome, Paths};
use super::record::{Cut as RecordedCut, Index, Node, Record};
use crate::dtype::Dtype;
use crate::error::Error;

/// Which parameters receive a gradient, and why the others do not.
///
/// It is displayed as a table with a line for each parameter; see the [module](super).
#[derive(Debug, Clone)]
pub struct Report {
    parameters: Vec<Parameter>,
    undifferentiated: Vec<Undifferentiated>,
}

/// Arrays that were recorded for a gradient by the calls at one place, and that the value does not depend on: a scope around these
/// calls would save their memory.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Undifferentiated {
    /// The operation.
    pub op: &'static str,
    /// The place of the calls.
    pub place: &'static Location<'static>,
    /// How many arrays they made.
    pub arrays: usize,
    /// The size of these arrays in bytes.
    pub bytes: usize,
}

/// A parameter, and its gradient or the reason that it has none; see [`Report::parameters`] for an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Parameter {
    /// The path of the parameter, as [`Params::named`](crate::Params::named) has it; empty for a single array.
    pub path: String,
    /// The shape of the parameter.
    pub shape: Vec<usize>,
    /// The dtype of the parameter.
    pub dtype: Dtype,
    /// Whether the parameter receives a gradient, and if not, why.
    pub gradient: Gradient,
}

/// Whether a parameter receives a gradient, and if not, why; see [`Report::missing`] for an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Gradient {
    /// The parameter receives a gradient, which may be zero, infinite or NaN. This is its Euclidean norm, in float32; `None` where it
    /// has no elements yet, inside a function that is mapped or compiled.
    Received(Option<f32>),
    /// The gradient is cut on every way to the parameter, at these places: the nearest to the parameter first.
    Cut(Vec<Cut>),
    /// The function used the array that it captured, not the one in its argument; only its argument is differentiated.
    Captured,
    /// Elements were read, at these places, and no array that was made of the parameter leads to the value.
    Read(Vec<Step>),
    /// Arrays were made of the parameter, and the value depends on none of them. The last was made at this step.
    Dropped(Step),
    /// The function made nothing of the parameter.
    Unused,
}

/// A place where a gradient is cut; see [`Report::missing`] for an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Cut {
    /// The cause of the cut.
    pub cause: Cause,
    /// The operation whose result is a constant.
    pub step: Step,
}

/// The cause of a cut; see [`Report::missing`] for an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Cause {
    /// Scopes in which nothing is recorded, the innermost first.
    Scopes {
        /// The backend whose array was made.
        backend: &'static str,
        /// The scopes. The list is empty if the mode was set directly.
        scopes: Vec<OpenScope>,
        /// The name of the thread that they were on, if it has one.
        thread: Option<String>,
    },
    /// `stop_gradient`, or [`Detach`](crate::Detach).
    Stopped,
    /// The result is of integers or bools, which have no gradient.
    NotFloat,
    /// The elements were read and used again as a new array.
    Read,
    /// A checkpointed or custom function captured the array instead of taking it as an input.
    Captured,
}

/// A call that made an array, or read its elements; see [`Report::missing`] for an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Step {
    /// The name of the operation or the transform.
    pub op: &'static str,
    /// The shape of the result.
    pub shape: Vec<usize>,
    /// The dtype of the result.
    pub dtype: Dtype,
    /// The place of the call.
    pub place: &'static Location<'static>,
}

impl Report {
    pub(super) fn new(
        record: &Record,
        value: Option<Index>,
        parameters: Vec<(String, Vec<usize>, Dtype, Option<f32>)>,
    ) -> Self {
        let paths = Paths::new(record, value);
        let parameters = parameters.into_iter().enumerate().map(|(at, (path, shape, dtype, norm))| {
            let gradient = gradient(record, paths.outcome(at), norm);
            Parameter { path, shape, dtype, gradient }
        });
        Self {
            parameters: parameters.collect(),
            undifferentiated: undifferentiated(record, &paths.undifferentiated()),
        }
    }

    /// Returns the parameters, in the order of [`Params::arrays`](crate::Params::arrays).
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::explain::{self, Gradient};
    /// use grad_runtime::{Array, cpu};
    ///
    /// let x = cpu::Array::scalar(3.0_f32)?;
    /// let report = explain::gradients(|x: &cpu::Array| x.square(), &x)?;
    /// let [parameter] = report.parameters() else { unreachable!() };
    /// assert!(matches!(parameter.gradient, Gradient::Received(Some(6.0))));
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Returns the arrays that were recorded and never differentiated, by the place that made them, the largest first.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Array, cpu, explain};
    ///
    /// let x = cpu::Array::from_slice(&[1.0_f32, 2.0], &[2])?;
    /// let report = explain::gradients(
    ///     |x: &cpu::Array| {
    ///         x.exp()?.to_vec::<f32>()?; // For a log. `no_grad!` is forgotten.
    ///         x.square()?.sum_all()
    ///     },
    ///     &x,
    /// )?;
    /// let forgotten = &report.undifferentiated()[0];
    /// assert_eq!((forgotten.op, forgotten.arrays, forgotten.bytes), ("exp", 1, 8));
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn undifferentiated(&self) -> &[Undifferentiated] {
        &self.undifferentiated
    }

    /// Prints the report to standard output, in colour where that is a terminal and `NO_COLOR` is not set.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{cpu, explain};
    ///
    /// let x = cpu::Array::scalar(3.0_f32)?;
    /// explain::gradients(|x: &cpu::Array| x.square(), &x)?.print();
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn print(&self) {
        if io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none() {
            println!("{self:#}");
        } else {
            println!("{self}");
        }
    }

    /// Returns the parameters that receive no gradient.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::explain::{self, Cause, Gradient};
    /// use grad_runtime::{Array, cpu};
    ///
    /// let x = cpu::Array::scalar(3.0_f32)?;
    /// let report = explain::gradients(|x: &cpu::Array| x.stop_gradient()?.square(), &x)?;
    /// let missing = report.missing().next().unwrap();
    /// let Gradient::Cut(cuts) = &missing.gradient else { unreachable!() };
    /// assert!(matches!(cuts[0].cause, Cause::Stopped));
    /// assert_eq!(cuts[0].step.op, "stop_gradient");
    /// assert!(report.require_all().is_err());
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn missing(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|parameter| !matches!(parameter.gradient, Gradient::Received(_)))
    }

    /// Returns an error that names each parameter without a gradient, and why, if there is one.
    ///
    /// See [`missing`](Self::missing) for an example.
    ///
    /// # Errors
    ///
    /// [`Error::MissingGradients`] if a parameter receives no gradient.
    pub fn require_all(&self) -> Result<(), Error> {
        if self.missing().next().is_none() { Ok(()) } else { Err(Error::MissingGradients(Box::new(self.clone()))) }
    }
}

fn step(record: &Record, index: Index) -> Step {
    let node = &record.nodes[index];
    Step { op: node.op, shape: node.shape.clone(), dtype: node.dtype, place: node.place }
}

fn gradient(record: &Record, outcome: Outcome, norm: Option<f32>) -> Gradient {
    match outcome {
        Outcome::Reached => Gradient::Received(norm),
        Outcome::Cut(indices) => Gradient::Cut(cuts(record, &indices)),
        Outcome::Captured => Gradient::Captured,
        Outcome::Read(indices) => Gradient::Read(indices.into_iter().map(|index| step(record, index)).collect()),
        Outcome::Dropped(index) => Gradient::Dropped(step(record, index)),
        Outcome::Unused => Gradient::Unused,
    }
}

fn undifferentiated(record: &Record, indices: &[Index]) -> Vec<Undifferentiated> {
    let mut found: Vec<Undifferentiated> = Vec::new();
    for &index in indices {
        let Node { op, place, shape, dtype, .. } = &record.nodes[index];
        let bytes = shape.iter().product::<usize>() * dtype.size();
        match found.iter_mut().find(|known| known.op == *op && known.place == *place) {
            Some(known) => {
                known.arrays += 1;
                known.bytes += bytes;
            }
            None => found.push(Undifferentiated { op, place, arrays: 1, bytes }),
        }
    }
    found.sort_by_key(|known| std::cmp::Reverse(known.bytes));
    found
}

/// Returns the cuts at these nodes. A scope, or a call of another kind, stands once, with the first array that it cut.
fn cuts(record: &Record, indices: &[Index]) -> Vec<Cut> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for &index in indices {
        let Some(cut) = &record.nodes[index].cut else { continue };
        let step = step(record, index);
        let (cause, identity) = match cut {
            RecordedCut::Scopes { backend, scopes } => {
                let thread = thread::current().name().map(str::to_owned);
                let cause = Cause::Scopes { backend, scopes: scopes.clone(), thread };
                let text = scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                (cause, text)
            }
            RecordedCut::Stopped => (Cause::Stopped, step.place.to_string()),
            RecordedCut::NotFloat => (Cause::NotFloat, step.place.to_string()),
            RecordedCut::Read => (Cause::Read, step.place.to_string()),
            RecordedCut::Captured => (Cause::Captured, step.place.to_string()),
        };
        if !seen.contains(&identity) {
            seen.push(identity);
            found.push(Cut { cause, step });
        }
    }
    found
}

/// Displays the operation and its result, as `matmul -> float32[32, 384]`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}{:?}", self.op, self.dtype, self.shape)
    }
}

/// Displays the cause and its place, as `no_grad at src/model.rs:42:5 (matmul -> float32[32, 384])`.
impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { op, place, .. } = &self.step;
        match &self.cause {
            Cause::Scopes { backend, scopes, thread } => {
                match scopes.split_first() {
                    None => write!(f, "the mode of {backend}, which was set directly")?,
                    Some((innermost, outer)) => {
                        write!(f, "{innermost}")?;
                        if let (Some(_), Some(thread)) = (innermost.carried_from(), thread) {
                            write!(f, " to thread `{thread}`")?;
                        }
                        outer.iter().try_for_each(|scope| write!(f, ", inside {scope}"))?;
                    }
                }
                write!(f, " ({})", self.step)
            }
            Cause::Stopped => write!(f, "{op} at {place}"),
            Cause::NotFloat => write!(f, "{} at {place}: integers and bools have no gradient", self.step),
            Cause::Read => write!(f, "reading elements at {place}"),
            Cause::Captured => {
                write!(f, "a checkpointed or custom function at {place} that captures the array; make it an input")
            }
        }
    }
}

/// Displays what becomes of the gradient, as a line of the report has it.
impl fmt::Display for Gradient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received(Some(norm)) => write!(f, "receives a gradient, norm {norm:.3}"),
            Self::Received(None) => f.write_str("receives a gradient"),
            Self::Cut(cuts) => {
                f.write_str("no gradient: cut by ")?;
                for (at, cut) in cuts.iter().enumerate() {
                    write!(f, "{}{cut}", if at == 0 { "" } else { "; then by " })?;
                }
                Ok(())
            }
            Self::Captured => {
                f.write_str("no gradient: captured by the function; only its argument is differentiated")
            }
            Self::Read(steps) => {
                f.write_str("no gradient: only its elements were read, at ")?;
                for (at, step) in steps.iter().enumerate() {
                    write!(f, "{}{}", if at == 0 { "" } else { ", " }, step.place)?;
                }
                f.write_str("; elements are constants")
            }
            Self::Dropped(step) => {
                write!(
                    f,
                    "no gradient: the value does not depend on what was made of it ({step}, at {})",
                    step.place
                )
            }
            Self::Unused => f.write_str("no gradient: the function does not use it"),
        }
    }
}

/// Displays a line for each parameter, in columns; as `{:#}`, in the colours of a terminal.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.parameters.len();
        let missing = self.missing().count();
        let received = all - missing;
        let plural = |count: usize, one: &'static str, many: &'static str| if count == 1 { one } else { many };
        write!(f, "{all} {}: ", plural(all, "parameter", "parameters"))?;
        write!(f, "{received} {} a gradient", plural(received, "receives", "receive"))?;
        write!(f, ", {missing} {} not", plural(missing, "does", "do"))?;
        let paths: Vec<&str> = self.parameters.iter().map(Parameter::shown_path).collect();
        let kinds: Vec<String> =
            self.parameters.iter().map(|parameter| format!("{}{:?}", parameter.dtype, parameter.shape)).collect();
        let width = paths.iter().map(|path| path.len()).max().unwrap_or(0);
        let kind_width = kinds.iter().map(String::len).max().unwrap_or(0);
        for ((parameter, path), kind) in self.parameters.iter().zip(paths).zip(kinds) {
            let colour = match parameter.gradient {
                _ if !f.alternate() => ["", ""],
                Gradient::Received(_) => ["\x1b[32m", "\x1b[0m"],
                _ => ["\x1b[31m", "\x1b[0m"],
            };
            let [start, end] = colour;
            write!(f, "\n  {path:width$}  {kind:kind_width$}  {start}{}{end}", parameter.gradient)?;
        }
        if !self.undifferentiated.is_empty() {
            f.write_str("\nrecorded, and never differentiated:")?;
        }
        for Undifferentiated { op, place, arrays, bytes } in &self.undifferentiated {
            write!(f, "\n  {op} at {place}: {arrays} {}, {bytes} bytes", plural(*arrays, "array", "arrays"))?;
        }
        Ok(())
    }
}

impl Parameter {
    fn shown_path(&self) -> &str {
        if self.path.is_empty() { "the argument" } else { &self.path }
    }
}
