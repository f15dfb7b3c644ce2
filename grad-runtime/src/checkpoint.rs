//! Checkpoints: a model, its optimizer and where the training was, in one safetensors file.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::path::Path as FilePath;
use std::str::FromStr;

use crate::array::{Array, refused};
use crate::error::{Error, Operand, Result};
use crate::params::{Params, Path};
use crate::safetensors::{Metadata, read_with_metadata, write_with_metadata};

/// Structures of arrays under names, and numbers and text beside them, in one safetensors file.
///
/// An array has the name of its structure before its path: `model.layers.0.weight`. Numbers and text are the metadata of the format.
/// The file is replaced as a whole or not at all, as by [`safetensors::save`](crate::safetensors::save).
///
/// [`restore`](Self::restore) is strict: it names every array that is missing, unexpected or of another shape or dtype.
/// [`restore_with`](Self::restore_with) accepts what it is told to.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::optim::{Adam, AdamOptions};
/// use grad_runtime::{Checkpoint, Params, cpu::Array, params};
///
/// let path = std::env::temp_dir().join(format!("grad-runtime-doc-checkpoint-{}.safetensors", std::process::id()));
/// let mut model = vec![Array::scalar(1.0_f32)?];
/// let mut optimizer = Adam::new(&model, AdamOptions::default())?;
/// let gradients = params::grad(|model: &Vec<Array>| model[0].square(), &model)?;
/// optimizer.step(&mut model, &gradients)?;
/// let mut checkpoint = Checkpoint::new();
/// checkpoint.insert("model", &model)?;
/// checkpoint.insert("optimizer", &optimizer)?;
/// checkpoint.set("epoch", 3);
/// checkpoint.save(&path)?;
///
/// // A later run makes the same structures, and takes their arrays from the file.
/// let saved = Checkpoint::<Array>::load(&path)?;
/// let fresh = vec![Array::scalar(0.0_f32)?];
/// let optimizer = saved.restore("optimizer", &Adam::new(&fresh, AdamOptions::default())?)?;
/// let model = saved.restore("model", &fresh)?;
/// assert_eq!((optimizer.step_count()?, saved.parse::<u32>("epoch")?), (1, 3));
/// assert!((model[0].item::<f32>()? - 0.999).abs() < 1e-6);
/// # std::fs::remove_file(path).unwrap();
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Checkpoint<A> {
    arrays: BTreeMap<String, A>,
    metadata: Metadata,
}

/// What [`Checkpoint::restore_with`] accepts. The default accepts nothing but what fits.
///
/// ```
/// use grad_runtime::RestoreOptions;
///
/// let options = RestoreOptions { convert: true, ..RestoreOptions::default() };
/// assert!(!options.allow_missing && !options.allow_unexpected);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestoreOptions {
    /// Arrays of another dtype are converted to that of the template.
    pub convert: bool,
    /// Arrays that the file lacks stay as in the template.
    pub allow_missing: bool,
    /// Arrays that the template lacks are ignored.
    pub allow_unexpected: bool,
}

impl<A: Array> Checkpoint<A> {
    /// Creates an empty checkpoint.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Checkpoint, cpu};
    ///
    /// assert!(Checkpoint::<cpu::Array>::new().arrays().is_empty());
    /// # }
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { arrays: BTreeMap::new(), metadata: Metadata::new() }
    }

    /// Adds the arrays of a structure under `name`, frozen ones and buffers too. With an empty name, an array has its path alone.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Checkpoint, cpu};
    ///
    /// let mut checkpoint = Checkpoint::new();
    /// checkpoint.insert("model", &vec![cpu::Array::scalar(1.0_f32)?])?;
    /// assert!(checkpoint.arrays().contains_key("model.0"));
    /// assert!(checkpoint.insert("model", &vec![cpu::Array::scalar(1.0_f32)?]).is_err());
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`] if there is an array of the same name already. Nothing is added then.
    pub fn insert<P: Params<A>>(&mut self, name: &str, params: &P) -> Result<()> {
        let mut added = BTreeMap::new();
        let mut repeated = None;
        params.visit_arrays(&Path::root(), &mut |path, array| {
            let name = join(name, path);
            if self.arrays.contains_key(&name) || added.insert(name.clone(), array.clone()).is_some() {
                repeated.get_or_insert(name);
            }
        });
        if let Some(repeated) = repeated {
            let reason = format!("two arrays are named `{repeated}`; give the structures names of their own");
            return Err(refused::<A>("insert", &[], reason));
        }
        self.arrays.extend(added);
        Ok(())
    }

    /// Adds a number or text, in the place of one that has the same key.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Checkpoint, cpu};
    ///
    /// let mut checkpoint = Checkpoint::<cpu::Array>::new();
    /// checkpoint.set("learning_rate", 3e-4);
    /// assert_eq!(checkpoint.get("learning_rate"), Some("0.0003"));
    /// # }
    /// ```
    pub fn set(&mut self, key: &str, value: impl Display) {
        self.metadata.insert(key.to_owned(), value.to_string());
    }

    /// Returns a number or text as it is written.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Checkpoint, cpu};
    ///
    /// assert_eq!(Checkpoint::<cpu::Array>::new().get("epoch"), None);
    /// # }
    /// ```
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Returns a number, or any value that is read from text.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Checkpoint, cpu};
    ///
    /// let mut checkpoint = Checkpoint::<cpu::Array>::new();
    /// checkpoint.set("epoch", 3);
    /// assert_eq!(checkpoint.parse::<u32>("epoch")?, 3);
    /// let error = checkpoint.parse::<u32>("step").unwrap_err();
    /// assert_eq!(error.to_string(), "cannot parse: there is no `step`; the keys are `epoch`");
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`] if there is no such key, or its text is not such a value.
    pub fn parse<T>(&self, key: &str) -> Result<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let failed = |reason| refused::<A>("parse", &[], reason);
        let text = self.get(key).ok_or_else(|| {
            let keys = list(self.metadata.keys().map(|key| format!("`{key}`")));
            failed(format!("there is no `{key}`; the keys are {keys}"))
        })?;
        text.parse().map_err(|error| failed(format!("`{key}` is {text:?}: {error}")))
    }

    /// Returns all arrays by name.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Checkpoint, cpu};
    ///
    /// let mut checkpoint = Checkpoint::new();
    /// checkpoint.insert("", &[cpu::Array::scalar(1.0_f32)?])?;
    /// assert_eq!(checkpoint.arrays()["0"].item::<f32>()?, 1.0);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub const fn arrays(&self) -> &BTreeMap<String, A> {
        &self.arrays
    }

    /// Writes the checkpoint to a file at `path`, which is replaced if it exists. If that fails, the old file is still there.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Checkpoint, cpu, safetensors};
    ///
    /// let path = std::env::temp_dir().join(format!("grad-runtime-doc-checkpoint-save-{}.safetensors", std::process::id()));
    /// let mut checkpoint = Checkpoint::new();
    /// checkpoint.insert("model", &vec![cpu::Array::scalar(1.0_f32)?])?;
    /// checkpoint.save(&path)?;
    /// // Any program that knows the format reads it.
    /// assert!(safetensors::load::<cpu::Array>(&path)?.keys().eq(["model.0"]));
    /// # std::fs::remove_file(path).unwrap();
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`safetensors::save`](crate::safetensors::save).
    pub fn save(&self, path: impl AsRef<FilePath>) -> Result<()> {
        write_with_metadata("save", path.as_ref(), &self.arrays, &self.metadata)
    }

    /// Reads a checkpoint, or any safetensors file.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Checkpoint, cpu, safetensors};
    ///
    /// let path = std::env::temp_dir().join(format!("grad-runtime-doc-checkpoint-load-{}.safetensors", std::process::id()));
    /// // The weights of another program, whose names are those of the structure.
    /// safetensors::save(&path, [("0", &cpu::Array::scalar(1.5_f32)?)])?;
    /// let model = Checkpoint::load(&path)?.restore("", &vec![cpu::Array::scalar(0.0_f32)?])?;
    /// assert_eq!(model[0].item::<f32>()?, 1.5);
    /// # std::fs::remove_file(path).unwrap();
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`safetensors::load`](crate::safetensors::load).
    pub fn load(path: impl AsRef<FilePath>) -> Result<Self> {
        let (arrays, metadata) = read_with_metadata("load", path.as_ref(), |_| true)?;
        Ok(Self { arrays, metadata })
    }

    /// Returns the structure of `template` with the arrays that were saved under `name`.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Checkpoint, Dtype, cpu::Array};
    ///
    /// let zeros = |shape: &[usize]| Array::zeros(shape, Dtype::Float32);
    /// let mut checkpoint = Checkpoint::new();
    /// checkpoint.insert("model", &vec![zeros(&[2])?, zeros(&[3])?])?;
    /// let error = checkpoint.restore("model", &(zeros(&[4])?, (), zeros(&[3])?)).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "cannot restore: `model.2` is missing; `model.1` is unexpected; `model.0` is float32[2], not float32[4]; the structure \
    ///      must be the one that was saved, but for what `RestoreOptions` accept"
    /// );
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`], whose text names every array that is missing, unexpected, or of another shape or dtype.
    pub fn restore<P: Params<A>>(&self, name: &str, template: &P) -> Result<P> {
        self.restore_with(name, template, RestoreOptions::default())
    }

    /// As [`restore`](Self::restore), and accepts what `options` say.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Checkpoint, Dtype, RestoreOptions, cpu::Array};
    ///
    /// let mut checkpoint = Checkpoint::new();
    /// checkpoint.insert("model", &[Array::ones(&[2], Dtype::Float32)?])?;
    /// let half = [Array::zeros(&[2], Dtype::Float16)?];
    /// assert!(checkpoint.restore("model", &half).is_err());
    /// let options = RestoreOptions { convert: true, ..RestoreOptions::default() };
    /// assert_eq!(checkpoint.restore_with("model", &half, options)?[0].dtype(), Dtype::Float16);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`restore`](Self::restore), for what is not accepted.
    pub fn restore_with<P: Params<A>>(&self, name: &str, template: &P, options: RestoreOptions) -> Result<P> {
        const OP: &str = "restore";
        let differences = self.differences(name, template, options);
        if !differences.is_empty() {
            let reason = format!(
                "{differences}; the structure must be the one that was saved, but for what `RestoreOptions` accept"
            );
            return Err(refused::<A>(OP, &[], reason));
        }
        template.try_map(|path, array| match self.arrays.get(&join(name, path)) {
            Some(saved) => saved.astype(array.dtype()).map_err(|error| error.with_op(OP)),
            None => Ok::<_, Error>(array.clone()),
        })
    }

    /// Compares the arrays under `name` with those of a structure.
    fn differences<P: Params<A>>(&self, name: &str, template: &P, options: RestoreOptions) -> Differences {
        let mut differences = Differences::default();
        let mut expected = BTreeMap::new();
        template.visit_arrays(&Path::root(), &mut |path, array| {
            expected.insert(join(name, path), Operand { shape: array.shape(), dtype: array.dtype() });
        });
        let prefix = if name.is_empty() { String::new() } else { format!("{name}.") };
        let saved = self.arrays.keys().filter(|saved| *saved == name || saved.starts_with(&prefix));
        if !options.allow_unexpected {
            differences.unexpected = saved.filter(|saved| !expected.contains_key(*saved)).cloned().collect();
        }
        for (name, expected) in expected {
            let Some(saved) = self.arrays.get(&name) else {
                if !options.allow_missing {
                    differences.missing.push(name);
                }
                continue;
            };
            let saved = Operand { shape: saved.shape(), dtype: saved.dtype() };
            if saved.shape != expected.shape || saved.dtype != expected.dtype && !options.convert {
                differences.other.push(format!("`{name}` is {saved}, not {expected}"));
            }
        }
        differences
    }
}

impl<A: Array> Default for Checkpoint<A> {
    fn default() -> Self {
        Self::new()
    }
}

/// How the saved arrays differ from those of a template.
#[derive(Default)]
struct Differences {
    missing: Vec<String>,
    unexpected: Vec<String>,
    other: Vec<String>,
}

impl Differences {
    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.other.is_empty()
    }
}

impl Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (names, what) in [(&self.missing, "missing"), (&self.unexpected, "unexpected")] {
            if !names.is_empty() {
                let verb = if names.len() == 1 { "is" } else { "are" };
                parts.push(format!("{} {verb} {what}", list(names.iter().map(|name| format!("`{name}`")))));
            }
        }
        parts.extend(self.other.iter().cloned());
        f.write_str(&parts.join("; "))
    }
}

fn join(name: &str, path: &Path<'_>) -> String {
    match (name.is_empty(), path.is_root()) {
        (true, _) => path.to_string(),
        (false, true) => name.to_owned(),
        (false, false) => format!("{name}.{path}"),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for (at, item) in items.enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        let _ = write!(text, "{separator}{item}");
    }
    text
}
