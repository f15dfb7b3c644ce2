//! Whole models for other threads.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Params, Path};
use crate::array::{Array, refused};
use crate::error::Result;
use crate::shared::{self, Shared};

/// How many paths an error gives.
const PATHS_IN_ERRORS: usize = 4;

/// The arrays of a model by path, for any number of threads: what [`share`] returns. Cloning copies a reference.
///
/// ```
/// # #[cfg(feature = "mlx")] {
/// use std::thread;
///
/// use grad_runtime::{Array, Dtype, Params, Result, mlx, params};
///
/// #[derive(Params)]
/// struct Linear<A: Array> {
///     weight: A,
///     bias: Option<A>,
/// }
///
/// impl<A: Array> Linear<A> {
///     fn zeros(inputs: usize, outputs: usize) -> Result<Self> {
///         let zeros = |shape: &[usize]| A::zeros(shape, Dtype::Float32);
///         Ok(Self { weight: zeros(&[inputs, outputs])?, bias: Some(zeros(&[outputs])?) })
///     }
///
///     fn forward(&self, x: &A) -> Result<A> {
///         let y = x.matmul(&self.weight)?;
///         self.bias.iter().try_fold(y, |y, bias| y.add(bias))
///     }
/// }
///
/// let mut model = Linear::<mlx::Array>::zeros(2, 1)?;
/// model.weight = mlx::Array::from_slice(&[1.0_f32, 10.0], &[2, 1])?;
/// let shared = params::share(&model)?;
/// let answers: Vec<Result<f32>> = thread::scope(|threads| {
///     let workers: Vec<_> = (0..4_u8)
///         .map(|request| {
///             let shared = &shared;
///             threads.spawn(move || {
///                 // MLX is lazy: the zeros are never computed.
///                 let model = shared.open(&Linear::zeros(2, 1)?)?;
///                 let x = mlx::Array::from_slice(&[f32::from(request), 1.0], &[1, 2])?;
///                 model.forward(&x)?.item()
///             })
///         })
///         .collect();
///     workers.into_iter().map(|worker| worker.join().unwrap()).collect()
/// });
/// assert_eq!(answers.into_iter().collect::<Result<Vec<_>>>()?, [10.0, 11.0, 12.0, 13.0]);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub struct SharedParams<A: Array>(Arc<BTreeMap<String, Shared<A>>>);

/// Shares each array of `params` with other threads, by its path. Nothing is copied; MLX computes all arrays in one pass.
///
/// Values other than arrays, and skipped fields, are not shared: on another thread they come from the template that
/// [`SharedParams::open`] is given.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu, params};
///
/// let model = (cpu::Array::scalar(2.0_f32)?, vec![cpu::Array::scalar(3.0_f32)?]);
/// let shared = params::share(&model)?;
/// assert_eq!(format!("{shared:?}"), r#"{"0": Shared(float32[]), "1.0": Shared(float32[])}"#);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Operation`](crate::Error::Operation) if a running transform traces an array and the grad mode is enabled, as in [`Shared::new`]; if two arrays have
/// the same path, which a manual implementation or the keys of a map may give them; if the elements cannot be computed.
#[track_caller]
pub fn share<A: Array, P: Params<A>>(params: &P) -> Result<SharedParams<A>> {
    let mut named = BTreeMap::new();
    let mut repeated = None;
    params.visit_arrays(&Path::root(), &mut |path, array| {
        let path = path.to_string();
        if named.insert(path.clone(), array.clone()).is_some() {
            repeated.get_or_insert(path);
        }
    });
    if let Some(path) = repeated {
        let reason = format!("two arrays have the path `{path}`; give each a path of its own");
        return Err(refused::<A>("share", &[], reason));
    }
    let arrays: Vec<(&str, &A)> = named.iter().map(|(path, array)| (path.as_str(), array)).collect();
    let shared = shared::share_all(&arrays)?;
    Ok(SharedParams(Arc::new(named.into_keys().zip(shared).collect())))
}

impl<A: Array> SharedParams<A> {
    /// Returns the structure of `template` with the shared arrays, as arrays of this thread.
    ///
    /// The template gives the structure and the values that are not arrays. It must hold arrays of the same shapes under the same
    /// paths; their elements and dtypes are not used. To running transforms the arrays are constants.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Dtype, cpu, params};
    ///
    /// let shared = params::share(&vec![cpu::Array::scalar(2.0_f32)?, cpu::Array::scalar(3.0_f32)?])?;
    /// let zero = cpu::Array::zeros(&[], Dtype::Float32)?;
    /// let model = shared.open(&vec![zero.clone(), zero.clone()])?;
    /// assert_eq!(model[1].item::<f32>()?, 3.0);
    ///
    /// let error = shared.open(&vec![zero]).unwrap_err();
    /// assert!(error.to_string().contains("`1` is shared and not in the template"));
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) if a path is only in one of the two, or the array there has another shape in the template: the error
    /// gives the paths. As in [`Shared::open`] too.
    #[track_caller]
    pub fn open<P: Params<A>>(&self, template: &P) -> Result<P> {
        self.require_structure(&template.named())?;
        template.try_map(|path, _| {
            let path = path.to_string();
            let missing = || {
                let reason = format!(
                    "`{path}` is replaced in the template and not visited; `Params::replace_arrays` must replace the arrays that \
                     `Params::visit_arrays` visits"
                );
                refused::<A>("open", &[], reason)
            };
            self.0.get(&path).ok_or_else(missing)?.open()
        })
    }

    /// Returns the shared arrays by path, as arrays of this thread.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{cpu, params};
    ///
    /// let shared = params::share(&vec![cpu::Array::scalar(2.0_f32)?, cpu::Array::scalar(3.0_f32)?])?;
    /// assert_eq!(shared.open_named()?["1"].item::<f32>()?, 3.0);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Shared::open`].
    #[track_caller]
    pub fn open_named(&self) -> Result<BTreeMap<String, A>> {
        let mut named = BTreeMap::new();
        for (path, shared) in &*self.0 {
            named.insert(path.clone(), shared.open()?);
        }
        Ok(named)
    }

    /// Returns the shared arrays by path.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Dtype, cpu, params};
    ///
    /// let shared = params::share(&vec![cpu::Array::zeros(&[2, 3], Dtype::Float32)?])?;
    /// assert_eq!(shared.named()["0"].shape(), [2, 3]);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn named(&self) -> &BTreeMap<String, Shared<A>> {
        &self.0
    }

    /// Checks that a template holds arrays of the shared shapes under the shared paths.
    fn require_structure(&self, template: &BTreeMap<String, A>) -> Result<()> {
        let missing = paths(self.0.keys().filter(|path| !template.contains_key(*path)));
        let unknown = paths(template.keys().filter(|path| !self.0.contains_key(*path)));
        let differences =
            [(missing, "shared and not in the template"), (unknown, "in the template and not shared")]
                .map(|(paths, place)| paths.map(|(paths, verb)| format!("{paths} {verb} {place}")))
                .into_iter()
                .flatten()
                .collect::<Vec<_>>();
        if !differences.is_empty() {
            let reason =
                format!("{}; pass a template of the structure that was shared", differences.join(", and "));
            return Err(refused::<A>("open", &[], reason));
        }
        for (path, array) in template {
            let (shape, expected) = (array.shape(), self.0[path].shape());
            if shape != expected {
                let reason = format!(
                    "`{path}` has shape {shape:?} in the template and {expected:?} in what is shared; pass a template of the \
                     shapes that were shared"
                );
                return Err(refused("open", &[array], reason));
            }
        }
        Ok(())
    }
}

/// Lists the first paths, if there are any, with the verb that goes with them.
fn paths<'a>(paths: impl Iterator<Item = &'a String>) -> Option<(String, &'static str)> {
    let paths: Vec<String> = paths.map(|path| format!("`{path}`")).collect();
    let first = paths.iter().take(PATHS_IN_ERRORS).cloned().collect::<Vec<_>>().join(", ");
    match paths.len() {
        0 => None,
        1 => Some((first, "is")),
        2..=PATHS_IN_ERRORS => Some((first, "are")),
        count => Some((format!("{first} and {} more", count - PATHS_IN_ERRORS), "are")),
    }
}

impl<A: Array> Clone for SharedParams<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Shows paths, dtypes and shapes.
impl<A: Array> fmt::Debug for SharedParams<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
