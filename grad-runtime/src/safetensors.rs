//! Arrays in safetensors files, the usual format for weights.
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Params, cpu, safetensors};
//!
//! let path = std::env::temp_dir().join(format!("grad-runtime-doc-{}.safetensors", std::process::id()));
//! let model = (cpu::Array::scalar(1.5_f32)?, vec![cpu::Array::from_slice(&[1_u32, 2], &[2])?]);
//! safetensors::save(&path, &model.named())?;
//!
//! let mut saved = safetensors::load::<cpu::Array>(&path)?;
//! assert_eq!(saved["1.0"].to_vec::<u32>()?, [1, 2]);
//!
//! // Back into the same structure, or into another with the same names.
//! let model = model.try_map(|path, _| saved.remove(&path.to_string()).ok_or(format!("there is no `{path}`")));
//! assert_eq!(model.unwrap().0.item::<f32>()?, 1.5);
//! # std::fs::remove_file(path).unwrap();
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use half::{bf16, f16};
use num_complex::Complex32;
use safetensors::tensor::{TensorView, View};
use safetensors::{Dtype as Stored, SafeTensorError, SafeTensors};

use crate::array::Array;
use crate::dtype::{Buffer, Dtype};
use crate::error::{Error, Result};

/// Calls a macro with each dtype, its name in the format, and how an element is read from and written to little-endian bytes.
macro_rules! for_each_stored {
    ($with:ident) => {
        $with! {
            Float32 F32 f32::from_le_bytes, f32::to_le_bytes;
            Float64 F64 f64::from_le_bytes, f64::to_le_bytes;
            Float16 F16 f16::from_le_bytes, f16::to_le_bytes;
            BFloat16 BF16 bf16::from_le_bytes, bf16::to_le_bytes;
            Int8 I8 i8::from_le_bytes, i8::to_le_bytes;
            Int16 I16 i16::from_le_bytes, i16::to_le_bytes;
            Int32 I32 i32::from_le_bytes, i32::to_le_bytes;
            Int64 I64 i64::from_le_bytes, i64::to_le_bytes;
            UInt8 U8 u8::from_le_bytes, u8::to_le_bytes;
            UInt16 U16 u16::from_le_bytes, u16::to_le_bytes;
            UInt32 U32 u32::from_le_bytes, u32::to_le_bytes;
            UInt64 U64 u64::from_le_bytes, u64::to_le_bytes;
            Bool BOOL |[byte]: [u8; 1]| byte != 0, |element| [u8::from(element)];
            Complex64 C64 complex_from_bytes, complex_to_bytes;
        }
    };
}

/// The name that the format reserves for metadata.
const METADATA: &str = "__metadata__";

/// The length of the longest header that the safetensors crate reads.
const MAX_HEADER: usize = 100_000_000;

/// Reads all arrays in the file at `path`, by name.
///
/// The whole file is read into memory, and its elements are copied into the arrays. Its metadata is ignored.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use std::io::ErrorKind;
///
/// use grad_runtime::{Error, cpu, safetensors};
///
/// let missing = safetensors::load::<cpu::Array>("no/model.safetensors").unwrap_err();
/// assert!(missing.to_string().starts_with("cannot load no/model.safetensors: "));
/// assert!(matches!(missing, Error::Io { source, .. } if source.kind() == ErrorKind::NotFound));
/// # }
/// ```
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read. [`Error::Safetensors`] if it is not a valid safetensors file, or if an array in
/// it has a dtype that [`Dtype`] lacks, such as float64, or a shape that the backend does not support; the error names the
/// array. [`Error::Unavailable`] if there is no MLX for an `mlx::Array`.
pub fn load<A: Array>(path: impl AsRef<Path>) -> Result<BTreeMap<String, A>> {
    read("load", path.as_ref(), |_| true)
}

/// Reads the arrays in the file at `path` whose names are `wanted`, by name. Use it where a file holds more than you need or
/// than arrays can represent, such as BERT's `position_ids` in int64.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu, safetensors};
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
/// As [`load`]. The dtypes and shapes of the other arrays do not matter.
pub fn load_where<A: Array>(path: impl AsRef<Path>, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, A>> {
    read("load_where", path.as_ref(), wanted)
}

fn read<A: Array>(op: &'static str, path: &Path, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, A>> {
    read_with_metadata(op, path, wanted).map(|(arrays, _)| arrays)
}

/// Text by name, in the order of the names.
pub(crate) type Metadata = BTreeMap<String, String>;

/// Reads the arrays that are `wanted`, and the metadata, for the function `op`.
pub(crate) fn read_with_metadata<A: Array>(
    op: &'static str,
    path: &Path,
    wanted: impl Fn(&str) -> bool,
) -> Result<(BTreeMap<String, A>, Metadata)> {
    let contents = fs::read(path).map_err(|source| io_error(op, path, source))?;
    let damaged = |source: SafeTensorError| {
        let reason = "the file is damaged, or not a safetensors file".to_owned();
        format_error(op, path, reason, Some(source.into()))
    };
    let file = SafeTensors::deserialize(&contents).map_err(damaged)?;
    let (_, header) = SafeTensors::read_metadata(&contents).map_err(damaged)?;
    let metadata = header.metadata().iter().flatten().map(|(name, text)| (name.clone(), text.clone())).collect();
    let array = |(name, tensor): (&str, TensorView<'_>)| {
        let dtype = tensor.dtype();
        let buffer = elements(dtype, tensor.data()).ok_or_else(|| {
            let reason = format!(
                "`{name}` is {dtype}, which arrays cannot represent; convert it in the file, or leave it out with `load_where`"
            );
            format_error(op, path, reason, None)
        })?;
        let array = A::from_buffer(buffer, tensor.shape()).map_err(|error| match error.with_op(op) {
            error @ Error::Operation { .. } => {
                format_error(op, path, format!("the backend does not support `{name}`"), Some(error.into()))
            }
            other => other,
        })?;
        Ok((name.to_owned(), array))
    };
    let arrays = file.iter().filter(|(name, _)| wanted(name)).map(array).collect::<Result<_>>()?;
    Ok((arrays, metadata))
}

/// Writes `arrays` by name to a file at `path`, which is replaced if it exists.
///
/// The contents are written to a temporary file in the same folder, which is then renamed: a reader finds the old file or the
/// new one, never a part, even if writing fails half-way. Of two arrays with the same name the last is written. The same
/// arrays give the same bytes.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use std::collections::HashMap;
///
/// use grad_runtime::{cpu, safetensors};
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
/// [`Error::Io`] if the file cannot be written. [`Error::Safetensors`] if an array is named `__metadata__`, which the format
/// reserves. [`Error::Operation`] if the elements of an array cannot be computed.
pub fn save<'a, A, N>(path: impl AsRef<Path>, arrays: impl IntoIterator<Item = (N, &'a A)>) -> Result<()>
where
    A: Array,
    N: AsRef<str>,
{
    write_with_metadata("save", path.as_ref(), arrays, &Metadata::new())
}

/// Writes arrays and metadata, for the function `op`.
pub(crate) fn write_with_metadata<'a, A, N>(
    op: &'static str,
    path: &Path,
    arrays: impl IntoIterator<Item = (N, &'a A)>,
    metadata: &Metadata,
) -> Result<()>
where
    A: Array,
    N: AsRef<str>,
{
    let mut tensors = BTreeMap::new();
    for (name, array) in arrays {
        let name = name.as_ref();
        if name == METADATA {
            let reason = format!("an array is named `{METADATA}`, which the format reserves; rename the array");
            return Err(format_error(op, path, reason, None));
        }
        let elements = array.to_buffer().map_err(|error| error.with_op(op))?;
        tensors.insert(name.to_owned(), Tensor { shape: array.shape(), elements });
    }
    let unserializable = |source: SafeTensorError| {
        format_error(op, path, "the arrays cannot be serialized".to_owned(), Some(source.into()))
    };
    let contents = safetensors::serialize(tensors, None).map_err(unserializable)?;
    let (header, elements) = with_metadata(&contents, metadata).map_err(unserializable)?;
    write(path, &[&header, elements]).map_err(|source| io_error(op, path, source))
}

/// Returns the header of a file with metadata added, and the elements.
///
/// The safetensors crate can write metadata too, in the order of a `HashMap`, which differs each time. The same contents are to give
/// the same bytes.
fn with_metadata<'a>(contents: &'a [u8], metadata: &Metadata) -> Result<(Vec<u8>, &'a [u8]), SafeTensorError> {
    const LENGTH: usize = size_of::<u64>();
    let (length, _) = SafeTensors::read_metadata(contents)?;
    let (header, elements) = contents.split_at(LENGTH + length);
    if metadata.is_empty() {
        return Ok((header.to_vec(), elements));
    }
    let entries = header[LENGTH..].trim_ascii().strip_prefix(b"{").expect("the header is a JSON object");
    let mut json = format!("{{\"{METADATA}\":{}", serde_json::to_string(metadata)?).into_bytes();
    if entries != b"}" {
        json.push(b',');
    }
    json.extend(entries);
    // The elements are aligned.
    json.resize(json.len().next_multiple_of(LENGTH), b' ');
    if json.len() > MAX_HEADER {
        return Err(SafeTensorError::HeaderTooLarge);
    }
    Ok(([&(json.len() as u64).to_le_bytes(), json.as_slice()].concat(), elements))
}

fn io_error(op: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { op, path: path.to_owned(), source }
}

fn format_error(
    op: &'static str,
    path: &Path,
    reason: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
) -> Error {
    Error::Safetensors { op, path: path.to_owned(), reason, source }
}

/// Writes a temporary file in the folder of `path`, then renames it.
fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    // A bare name has an empty parent, which means the current folder.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".safetensors-");
    // By default only the owner may read a temporary file; the umask restricts these permissions.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    for part in parts {
        file.write_all(part)?;
    }
    // Without this, a crash soon after could leave the new name on an empty file.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// An array that the format serializes.
struct Tensor {
    shape: Vec<usize>,
    elements: Buffer<'static>,
}

impl View for Tensor {
    fn dtype(&self) -> Stored {
        macro_rules! stored {
            ($($dtype:ident $stored:ident $read:expr, $write:expr;)*) => {
                match self.elements.dtype() {
                    $(Dtype::$dtype => Stored::$stored,)*
                }
            };
        }
        for_each_stored!(stored)
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        macro_rules! write {
            ($($dtype:ident $stored:ident $read:expr, $write:expr;)*) => {
                match &self.elements {
                    $(Buffer::$dtype(elements) => bytes(elements, $write),)*
                }
            };
        }
        Cow::Owned(for_each_stored!(write))
    }

    fn data_len(&self) -> usize {
        self.elements.len() * self.dtype().bitsize() / 8
    }
}

fn bytes<T: Copy, const N: usize>(elements: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    elements.iter().flat_map(|&element| bytes(element)).collect()
}

/// Returns the elements that `bytes` hold, if [`Dtype`] has the dtype.
fn elements(dtype: Stored, bytes: &[u8]) -> Option<Buffer<'static>> {
    macro_rules! read {
        ($($dtype:ident $stored:ident $read:expr, $write:expr;)*) => {
            match dtype {
                $(Stored::$stored => Buffer::$dtype(chunks(bytes, $read)),)*
                _ => return None,
            }
        };
    }
    Some(for_each_stored!(read))
}

fn chunks<T: Clone, const N: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Cow<'static, [T]> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    assert!(rest.is_empty(), "safetensors checks each length");
    chunks.iter().map(|&chunk| element(chunk)).collect()
}

/// Reads the real part, which comes first, and the imaginary part.
fn complex_from_bytes(bytes: [u8; 8]) -> Complex32 {
    let part = |at: usize| f32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    Complex32::new(part(0), part(4))
}

fn complex_to_bytes(element: Complex32) -> [u8; 8] {
    let parts = [element.re.to_le_bytes(), element.im.to_le_bytes()];
    std::array::from_fn(|byte| parts[byte / 4][byte % 4])
}
