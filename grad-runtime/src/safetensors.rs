//! Arrays in safetensors files, the format in which weights are handed around.
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Array, Params, cpu, safetensors};
//!
//! let path = std::env::temp_dir().join(format!("grad-runtime-doc-{}.safetensors", std::process::id()));
//! let model = (cpu::Array::scalar(1.5_f32)?, vec![cpu::Array::from_slice(&[1_u32, 2], &[2])?]);
//! safetensors::save(&path, &model.named())?;
//!
//! let mut saved = safetensors::load::<cpu::Array>(&path)?;
//! assert_eq!(saved["1.0"].to_vec::<u32>()?, [1, 2]);
//!
//! // Back into the structure that they came from, or into another with the same names.
//! let model = model.try_map(|path, _| saved.remove(&path.to_string()).ok_or(format!("there is no `{path}`")));
//! assert_eq!(model.unwrap().0.item::<f32>()?, 1.5);
//! # std::fs::remove_file(path).unwrap();
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{TensorView, View};
use safetensors::{Dtype as Stored, SafeTensors};

use crate::array::{Array, Buffer, Dtype};
use crate::error::{Error, Result};

/// The name under which a file holds words about itself.
const METADATA: &str = "__metadata__";

/// The arrays in the file at `path`, by their names.
///
/// The file is read as a whole, and its elements are copied into the arrays. What it says about itself beside the arrays
/// is left out.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu, safetensors};
///
/// let missing = safetensors::load::<cpu::Array>("no/model.safetensors").unwrap_err();
/// assert!(missing.to_string().starts_with("no/model.safetensors: it cannot be read: "));
/// # }
/// ```
///
/// # Errors
///
/// [`Error::File`] if the file cannot be read, is damaged or is no safetensors file, or if an array in it has a dtype
/// that [`Dtype`] lacks, such as float64, or a shape that the backend refuses: the array is named.
/// [`Error::Unavailable`] if there is no MLX for an `mlx::Array`.
pub fn load<A: Array>(path: impl AsRef<Path>) -> Result<BTreeMap<String, A>> {
    load_where(path, |_| true)
}

/// Those of the arrays in the file at `path` whose names are `wanted`, by their names: [`load`] where the file holds more
/// than can be, or need be, arrays, such as BERT's `position_ids` in int64.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Array, cpu, safetensors};
///
/// let path = std::env::temp_dir().join(format!("grad-runtime-doc-where-{}.safetensors", std::process::id()));
/// let one = cpu::Array::scalar(1.0_f32)?;
/// safetensors::save(&path, [("encoder.weight", &one), ("decoder.weight", &one)])?;
/// let encoder = safetensors::load_where::<cpu::Array>(&path, |name| name.starts_with("encoder."))?;
/// assert!(encoder.keys().eq(["encoder.weight"]));
/// # std::fs::remove_file(path).unwrap();
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// As [`load`]; of what is not wanted, neither dtype nor shape matters.
pub fn load_where<A: Array>(path: impl AsRef<Path>, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, A>> {
    let path = path.as_ref();
    let refuse = |reason| refused(path, reason);
    let contents = fs::read(path).map_err(|error| refuse(format!("it cannot be read: {error}")))?;
    let file = SafeTensors::deserialize(&contents)
        .map_err(|error| refuse(format!("it is damaged, or no safetensors file: {error}")))?;
    let array = |(name, tensor): (&str, TensorView<'_>)| {
        let Some(buffer) = elements(tensor.dtype(), tensor.data()) else {
            let dtype = tensor.dtype();
            let reason = format!(
                "`{name}` is {dtype}, and there are no such arrays: convert it before, or leave it out with `load_where`"
            );
            return Err(refuse(reason));
        };
        let array = A::from_buffer(buffer, tensor.shape()).map_err(|error| match error {
            Error::Operation { .. } => refuse(format!("`{name}` cannot be an array: {error}")),
            other => other,
        });
        Ok((name.to_owned(), array?))
    };
    file.iter().filter(|(name, _)| wanted(name)).map(array).collect()
}

/// Writes `arrays` with their names to a file at `path`, in place of what is there.
///
/// The file is written beside and then renamed, so that whoever reads `path` finds the old file or the new one, whole,
/// also if this fails half-way. Of two arrays with the same name, the last is written. The same arrays give the same
/// bytes.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use std::collections::HashMap;
///
/// use grad_runtime::{Array, cpu, safetensors};
///
/// let path = std::env::temp_dir().join(format!("grad-runtime-doc-save-{}.safetensors", std::process::id()));
/// let weights = HashMap::from([("weight", cpu::Array::from_slice(&[1.0_f32, 2.0], &[1, 2])?)]);
/// safetensors::save(&path, &weights)?;
/// assert_eq!(safetensors::load::<cpu::Array>(&path)?["weight"].shape(), [1, 2]);
/// # std::fs::remove_file(path).unwrap();
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::File`] if the file cannot be written, or an array is named `__metadata__`, which the format keeps for itself;
/// what [`Array::to_buffer`] refuses.
pub fn save<'a, A, N>(path: impl AsRef<Path>, arrays: impl IntoIterator<Item = (N, &'a A)>) -> Result<()>
where
    A: Array,
    N: AsRef<str>,
{
    let path = path.as_ref();
    let mut tensors = BTreeMap::new();
    for (name, array) in arrays {
        let name = name.as_ref();
        if name == METADATA {
            let reason = format!("no array can be named `{METADATA}`, which the format keeps for itself");
            return Err(refused(path, reason));
        }
        tensors.insert(name.to_owned(), Tensor { shape: array.shape(), elements: array.to_buffer()? });
    }
    let refuse = |error: &dyn std::fmt::Display| refused(path, format!("it cannot be written: {error}"));
    let contents = safetensors::serialize(tensors, None).map_err(|error| refuse(&error))?;
    write(path, &contents).map_err(|error| refuse(&error))
}

fn refused(path: &Path, reason: String) -> Error {
    Error::File { path: path.to_owned(), reason }
}

/// Writes beside `path`, then renames.
fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    // The folder of a bare name is the one that we are in.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".safetensors-");
    // Else it would be its owner's alone, where the umask says what others may do.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(contents)?;
    // Else a crash soon after may leave the new name on an empty file.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// An array as the format sees it.
struct Tensor {
    shape: Vec<usize>,
    elements: Buffer<'static>,
}

impl View for Tensor {
    fn dtype(&self) -> Stored {
        match self.elements.dtype() {
            Dtype::Float32 => Stored::F32,
            Dtype::Float16 => Stored::F16,
            Dtype::BFloat16 => Stored::BF16,
            Dtype::Int32 => Stored::I32,
            Dtype::UInt32 => Stored::U32,
            Dtype::Bool => Stored::BOOL,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(match &self.elements {
            Buffer::Float32(elements) => bytes(elements, f32::to_le_bytes),
            Buffer::Float16(elements) => bytes(elements, f16::to_le_bytes),
            Buffer::BFloat16(elements) => bytes(elements, bf16::to_le_bytes),
            Buffer::Int32(elements) => bytes(elements, i32::to_le_bytes),
            Buffer::UInt32(elements) => bytes(elements, u32::to_le_bytes),
            Buffer::Bool(elements) => bytes(elements, |element| [u8::from(element)]),
        })
    }

    fn data_len(&self) -> usize {
        self.elements.len() * self.dtype().bitsize() / 8
    }
}

fn bytes<T: Copy, const N: usize>(elements: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    elements.iter().flat_map(|&element| bytes(element)).collect()
}

/// The elements that `bytes` hold, if there are arrays of them.
fn elements(dtype: Stored, bytes: &[u8]) -> Option<Buffer<'static>> {
    Some(match dtype {
        Stored::F32 => Buffer::Float32(chunks(bytes, f32::from_le_bytes)),
        Stored::F16 => Buffer::Float16(chunks(bytes, f16::from_le_bytes)),
        Stored::BF16 => Buffer::BFloat16(chunks(bytes, bf16::from_le_bytes)),
        Stored::I32 => Buffer::Int32(chunks(bytes, i32::from_le_bytes)),
        Stored::U32 => Buffer::UInt32(chunks(bytes, u32::from_le_bytes)),
        Stored::BOOL => Buffer::Bool(chunks(bytes, |[byte]| byte != 0)),
        _ => return None,
    })
}

fn chunks<T: Clone, const N: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Cow<'static, [T]> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    assert!(rest.is_empty(), "safetensors checks each length");
    chunks.iter().map(|&chunk| element(chunk)).collect()
}
