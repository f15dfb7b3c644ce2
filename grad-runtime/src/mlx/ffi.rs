//! The shim's functions and safe handles on its arrays. All that is unsafe about calling MLX is here.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use crate::array::Dtype;
use crate::error::{Error, Result};

include!("ops.rs");

/// `mlx::core::array`, seen from here.
#[repr(C)]
struct RawArray {
    _opaque: [u8; 0],
}

type RawFunction = extern "C" fn(*mut c_void, *const *mut RawArray, usize) -> *mut RawArray;

macro_rules! api {
    (
        $(fn $name:ident($($type:ty),*) $(-> $output:ty)?;)*
        unary: $($unary:ident)*;
        binary: $($binary:ident)*;
        reduction: $($reduction:ident)*;
        shaping: $($shaping:ident)*;
        axial: $($axial:ident)*;
    ) => {
        /// The shim's functions, by the names that follow `grad_mlx_` there.
        pub struct Api {
            $($name: unsafe extern "C" fn($($type),*) $(-> $output)?,)*
            $($unary: unsafe extern "C" fn(*const RawArray) -> *mut RawArray,)*
            $($binary: unsafe extern "C" fn(*const RawArray, *const RawArray) -> *mut RawArray,)*
            $($reduction: unsafe extern "C" fn(*const RawArray, *const i32, usize, bool) -> *mut RawArray,)*
            $($shaping: unsafe extern "C" fn(*const RawArray, *const i32, usize) -> *mut RawArray,)*
            $($axial: unsafe extern "C" fn(*const RawArray, c_int) -> *mut RawArray,)*
        }

        impl Api {
            /// Finds every function in `shim`, which must stay loaded as long as the process runs.
            #[cfg(mlx_shim)]
            pub fn load(shim: &libloading::Library) -> std::result::Result<Self, libloading::Error> {
                macro_rules! symbol {
                    ($symbol:ident) => {
                        // SAFETY: the shim was compiled from shim.cpp, which declares the function with this type.
                        unsafe { *shim.get(concat!("grad_mlx_", stringify!($symbol), "\0").as_bytes())? }
                    };
                }
                Ok(Self {
                    $($name: symbol!($name),)*
                    $($unary: symbol!($unary),)*
                    $($binary: symbol!($binary),)*
                    $($reduction: symbol!($reduction),)*
                    $($shaping: symbol!($shaping),)*
                    $($axial: symbol!($axial),)*
                })
            }
        }

        /// The operations of `ops.rs`, as methods of the same names.
        impl Handle {
            $(pub fn $unary(&self) -> Made {
                // SAFETY: the handle's array is alive.
                made(unsafe { (entered()?.$unary)(self.raw()) })
            })*
            $(pub fn $binary(&self, other: &Self) -> Made {
                // SAFETY: both handles' arrays are alive.
                made(unsafe { (entered()?.$binary)(self.raw(), other.raw()) })
            })*
            $(pub fn $reduction(&self, axes: &[i32], keepdims: bool) -> Made {
                // SAFETY: the array is alive, and the axes are as many as is said.
                made(unsafe { (entered()?.$reduction)(self.raw(), axes.as_ptr(), axes.len(), keepdims) })
            })*
            $(pub fn $shaping(&self, values: &[i32]) -> Made {
                // SAFETY: the array is alive, and the values are as many as is said.
                made(unsafe { (entered()?.$shaping)(self.raw(), values.as_ptr(), values.len()) })
            })*
            $(pub fn $axial(&self, axis: i32) -> Made {
                // SAFETY: the array is alive.
                made(unsafe { (entered()?.$axial)(self.raw(), axis) })
            })*
        }
    };
}

macro_rules! with_operations {
    ($($operations:tt)*) => {
        api! {
            fn error() -> *const c_char;
            fn enter_thread() -> bool;
            fn is_available(c_int) -> bool;
            fn default_device() -> c_int;
            fn set_default_device(c_int) -> bool;
            fn active_memory() -> usize;
            fn peak_memory() -> usize;
            fn reset_peak_memory() -> bool;
            fn clone(*const RawArray) -> *mut RawArray;
            fn free(*mut RawArray);
            fn ndim(*const RawArray) -> usize;
            fn shape(*const RawArray) -> *const i32;
            fn dtype(*const RawArray) -> c_int;
            fn operation(*const RawArray) -> *const c_char;
            fn from_data(*const c_void, *const i32, usize, c_int) -> *mut RawArray;
            fn to_data(*const RawArray, *mut c_void, usize) -> bool;
            fn eval(*mut RawArray) -> bool;
            fn make_constant(*mut RawArray, bool) -> bool;
            fn full(*const i32, usize, f32, c_int) -> *mut RawArray;
            fn astype(*const RawArray, c_int) -> *mut RawArray;
            fn where_cond(*const RawArray, *const RawArray, *const RawArray) -> *mut RawArray;
            fn argmax(*const RawArray, c_int, bool) -> *mut RawArray;
            fn layer_norm(*const RawArray, *const RawArray, *const RawArray, f32) -> *mut RawArray;
            fn concatenate(*const *const RawArray, usize, c_int) -> *mut RawArray;
            fn slice(*const RawArray, *const i32, *const i32, usize) -> *mut RawArray;
            fn take(*const RawArray, *const RawArray, c_int) -> *mut RawArray;
            fn value_and_grad(
                RawFunction, *mut c_void, *const *const RawArray, usize, *mut *mut RawArray, *mut *mut RawArray
            ) -> bool;
            $($operations)*
        }
    };
}
for_each_op!(with_operations);

/// The shim's functions, or why they are not to be had. Whatever the outcome, it is the process's for good.
pub fn api() -> Result<&'static Api> {
    static API: OnceLock<Result<Api, String>> = OnceLock::new();

    #[cfg(mlx_shim)]
    let load = super::library::load;
    #[cfg(not(mlx_shim))]
    let load = || {
        let reason = option_env!("GRAD_MLX_MISSING").unwrap_or("the build did not say why");
        Err(format!("this program was built without MLX: {reason}"))
    };
    let loaded = API.get_or_init(load);
    loaded.as_ref().map_err(|reason| Error::Unavailable { backend: "mlx", reason: reason.clone() })
}

/// What a call into MLX answers: an array, or MLX's own message.
pub type Made<T = Handle, E = String> = std::result::Result<T, E>;

/// An array of MLX, owned. MLX ties arrays to the thread that traces and evaluates them, so this one stays there.
pub struct Handle(NonNull<RawArray>);

thread_local! {
    static THREAD: Thread = Thread::enter();
}

/// This thread's part in MLX, which keeps streams and traces for each thread and destroys them when it ends. This value
/// comes to be after those, so it is destroyed before them: once it is gone, MLX must not be used here, and `entered` says
/// so.
struct Thread;

impl Thread {
    fn enter() -> Self {
        // Without a device that works this fails, and so will the operations, which can say so.
        // SAFETY: it takes nothing.
        unsafe { (loaded().enter_thread)() };
        Self
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Nothing to do; but only what has a destructor is ever known to be destroyed.
    }
}

/// The functions that only touch the array they are given, on a path where a handle proves that they are there.
fn loaded() -> &'static Api {
    api().expect("an array exists, so MLX is loaded")
}

/// The functions that use what MLX keeps for this thread.
fn entered() -> Made<&'static Api> {
    let here = THREAD.try_with(|_| loaded());
    here.map_err(|_| {
        "this thread is ending, and MLX's part of it is gone: use arrays before its destructors".into()
    })
}

/// As `entered`, where nothing proves that MLX is loaded.
fn available() -> Result<&'static Api> {
    api()?;
    entered().map_err(|reason| Error::Unavailable { backend: "mlx", reason })
}

fn made(raw: *mut RawArray) -> Made {
    NonNull::new(raw).map(Handle).ok_or_else(last_error)
}

fn done(ok: bool) -> Made<()> {
    if ok { Ok(()) } else { Err(last_error()) }
}

fn last_error() -> String {
    // SAFETY: the shim answers with this thread's message, a C string that lives until its next failure.
    let message = unsafe { CStr::from_ptr((loaded().error)()) };
    message.to_string_lossy().into_owned()
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle owns its array and is gone after this.
        unsafe { (loaded().free)(self.0.as_ptr()) }
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        // SAFETY: the array is alive.
        made(unsafe { (loaded().clone)(self.raw()) })
            .expect("copying a reference to an array fails only without memory")
    }
}

/// An element type that MLX reads as it lies in memory.
///
/// # Safety
///
/// Every bit pattern that MLX writes for the dtype numbered `DTYPE` in the shim must be a value of the type.
pub unsafe trait Plain: Copy + Default {
    const DTYPE: c_int;
}

// SAFETY: the types are MLX's own; MLX writes bools as 0 and 1.
unsafe impl Plain for f32 {
    const DTYPE: c_int = Dtype::Float32 as c_int;
}
// SAFETY: as above.
unsafe impl Plain for half::f16 {
    const DTYPE: c_int = Dtype::Float16 as c_int;
}
// SAFETY: as above.
unsafe impl Plain for half::bf16 {
    const DTYPE: c_int = Dtype::BFloat16 as c_int;
}
// SAFETY: as above.
unsafe impl Plain for i32 {
    const DTYPE: c_int = Dtype::Int32 as c_int;
}
// SAFETY: as above.
unsafe impl Plain for u32 {
    const DTYPE: c_int = Dtype::UInt32 as c_int;
}
// SAFETY: as above.
unsafe impl Plain for bool {
    const DTYPE: c_int = Dtype::Bool as c_int;
}

impl Handle {
    fn raw(&self) -> *const RawArray {
        self.0.as_ptr()
    }

    /// An array with a copy of `elements`, which must be as many as `shape` says.
    pub fn from_data<T: Plain>(elements: &[T], shape: &[i32]) -> Result<Made> {
        let api = available()?;
        assert_eq!(
            shape.iter().map(|&length| i64::from(length)).product::<i64>(),
            i64::try_from(elements.len()).unwrap_or(-1),
            "the caller checks the shape"
        );
        // SAFETY: elements and shape are as many as is said, and the elements lie as the dtype has them.
        let raw = unsafe { (api.from_data)(elements.as_ptr().cast(), shape.as_ptr(), shape.len(), T::DTYPE) };
        Ok(made(raw))
    }

    pub fn full(shape: &[i32], value: f32, dtype: c_int) -> Result<Made> {
        let api = available()?;
        // SAFETY: the shape is as long as is said.
        Ok(made(unsafe { (api.full)(shape.as_ptr(), shape.len(), value, dtype) }))
    }

    pub fn shape(&self) -> &[i32] {
        let api = loaded();
        // SAFETY: the array is alive, and its shape lives and stays as long as the array is borrowed. A scalar's shape
        // may be a null pointer, which no slice may have.
        unsafe {
            match (api.ndim)(self.raw()) {
                0 => &[],
                ndim => std::slice::from_raw_parts((api.shape)(self.raw()), ndim),
            }
        }
    }

    pub fn dtype(&self) -> c_int {
        // SAFETY: the array is alive.
        unsafe { (loaded().dtype)(self.raw()) }
    }

    /// The operation that will compute the elements, by MLX's name, unless they are there.
    pub fn operation(&self) -> Option<String> {
        // SAFETY: the array is alive, and its operation's name lives as long as the operation.
        unsafe {
            let name = (loaded().operation)(self.raw());
            (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
        }
    }

    /// The elements, in row-major order; `T` must be the array's own type.
    pub fn to_vec<T: Plain>(&self) -> Made<Vec<T>> {
        assert_eq!(self.dtype(), T::DTYPE, "the caller checks the dtype");
        let size: usize = self.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).product();
        let mut elements = Vec::new();
        let room = elements.try_reserve_exact(size);
        room.map_err(|error| {
            format!("there is no memory for the elements of the array, which may be a view: {error}")
        })?;
        elements.resize(size, T::default());
        // SAFETY: there is room for the bytes, and MLX writes as many or fails.
        let ok = unsafe { (entered()?.to_data)(self.raw(), elements.as_mut_ptr().cast(), size * size_of::<T>()) };
        done(ok).map(|()| elements)
    }

    pub fn eval(&self) -> Made<()> {
        // SAFETY: the array is alive. Evaluation changes what it refers to, behind MLX's own synchronization.
        done(unsafe { (entered()?.eval)(self.0.as_ptr()) })
    }

    /// This array as a constant to every transform: unchanged if none is tracing it. `in_transform` says that one of
    /// ours is running; MLX tells of others.
    pub fn into_constant(self, in_transform: bool) -> Made {
        // SAFETY: the array is alive, and this is its only handle.
        done(unsafe { (entered()?.make_constant)(self.0.as_ptr(), in_transform) }).map(|()| self)
    }

    pub fn astype(&self, dtype: c_int) -> Made {
        // SAFETY: the array is alive.
        made(unsafe { (entered()?.astype)(self.raw(), dtype) })
    }

    pub fn where_cond(&self, on_true: &Self, on_false: &Self) -> Made {
        // SAFETY: the arrays are alive.
        made(unsafe { (entered()?.where_cond)(self.raw(), on_true.raw(), on_false.raw()) })
    }

    pub fn argmax(&self, axis: i32, keepdims: bool) -> Made {
        // SAFETY: the array is alive.
        made(unsafe { (entered()?.argmax)(self.raw(), axis, keepdims) })
    }

    pub fn layer_norm(&self, weight: &Self, bias: &Self, eps: f32) -> Made {
        // SAFETY: the arrays are alive.
        made(unsafe { (entered()?.layer_norm)(self.raw(), weight.raw(), bias.raw(), eps) })
    }

    pub fn concatenate<'a>(arrays: impl Iterator<Item = &'a Self>, axis: i32) -> Made {
        let raw: Vec<_> = arrays.map(Self::raw).collect();
        // SAFETY: the arrays are alive, and as many as is said.
        made(unsafe { (entered()?.concatenate)(raw.as_ptr(), raw.len(), axis) })
    }

    /// `start` and `stop` must have a number for each axis.
    pub fn slice(&self, start: &[i32], stop: &[i32]) -> Made {
        assert!(start.len() == stop.len(), "the caller checks the lengths");
        // SAFETY: the array is alive, and the numbers are as many as is said.
        made(unsafe { (entered()?.slice)(self.raw(), start.as_ptr(), stop.as_ptr(), start.len()) })
    }

    pub fn take(&self, indices: &Self, axis: i32) -> Made {
        // SAFETY: the arrays are alive.
        made(unsafe { (entered()?.take)(self.raw(), indices.raw(), axis) })
    }
}

/// Why a transform came to nothing.
pub enum Failure<E> {
    /// Its function returned an error.
    Function(E),
    /// MLX refused.
    Mlx(String),
}

/// MLX's `value_and_grad` with respect to every primal. A panic of `function` passes through, on this side.
pub fn value_and_grad<F, E>(function: F, primals: &[&Handle]) -> Made<(Handle, Vec<Handle>), Failure<E>>
where
    F: FnOnce(Vec<Handle>) -> Made<Handle, E>,
{
    assert!(!primals.is_empty(), "the caller checks the primals");
    let api = entered().map_err(Failure::Mlx)?;
    let raw: Vec<_> = primals.iter().map(|primal| primal.raw()).collect();
    let mut call = Call { function: Some(function), stopped: None };
    let mut value = ptr::null_mut();
    let mut gradients = vec![ptr::null_mut(); raw.len()];
    // SAFETY: the primals are alive and as many as is said; `call` is what `run::<F, E>` takes and outlives the call;
    // there is room for a value and for a gradient of each primal.
    let ok = unsafe {
        (api.value_and_grad)(
            run::<F, E>,
            ptr::from_mut(&mut call).cast(),
            raw.as_ptr(),
            raw.len(),
            &raw mut value,
            gradients.as_mut_ptr(),
        )
    };
    match call.stopped {
        Some(Stopped::Panic(payload)) => resume_unwind(payload),
        Some(Stopped::Error(error)) => Err(Failure::Function(error)),
        None if ok => {
            let gradients = gradients.into_iter().map(made).collect::<Made<_>>();
            made(value).and_then(|value| Ok((value, gradients?))).map_err(Failure::Mlx)
        }
        None => Err(Failure::Mlx(last_error())),
    }
}

/// A function on its way through MLX, and how it failed.
struct Call<F, E> {
    function: Option<F>,
    stopped: Option<Stopped<E>>,
}

enum Stopped<E> {
    Error(E),
    Panic(Box<dyn Any + Send>),
}

/// What the shim calls. Nothing unwinds out of it.
extern "C" fn run<F, E>(state: *mut c_void, primals: *const *mut RawArray, count: usize) -> *mut RawArray
where
    F: FnOnce(Vec<Handle>) -> Made<Handle, E>,
{
    // SAFETY: `value_and_grad` passed the `Call` of these types, and nobody else uses it during the call.
    let call = unsafe { &mut *state.cast::<Call<F, E>>() };
    // SAFETY: the shim hands over that many arrays, which are ours from here on. `count` is not 0: there are primals.
    let primals = unsafe { std::slice::from_raw_parts(primals, count) };
    let primals = primals.iter().filter_map(|&raw| NonNull::new(raw)).map(Handle).collect();
    let Some(function) = call.function.take() else {
        return ptr::null_mut(); // MLX calls a function once; a second time would find it gone.
    };
    let stopped = match catch_unwind(AssertUnwindSafe(|| function(primals))) {
        Ok(Ok(handle)) => return std::mem::ManuallyDrop::new(handle).0.as_ptr(),
        Ok(Err(error)) => Stopped::Error(error),
        Err(payload) => Stopped::Panic(payload),
    };
    call.stopped = Some(stopped);
    ptr::null_mut()
}

/// Whether MLX has a device, by the shim's number.
pub fn is_available(device: c_int) -> Result<bool> {
    let api = api()?;
    // SAFETY: any number is answered.
    Ok(unsafe { (api.is_available)(device) })
}

pub fn default_device() -> Result<c_int> {
    let api = api()?;
    // SAFETY: it takes nothing.
    Ok(unsafe { (api.default_device)() })
}

pub fn set_default_device(device: c_int) -> Result<Made<()>> {
    let api = api()?;
    // SAFETY: any number is answered.
    Ok(done(unsafe { (api.set_default_device)(device) }))
}

pub fn active_memory() -> Result<usize> {
    let api = api()?;
    // SAFETY: it takes nothing.
    Ok(unsafe { (api.active_memory)() })
}

pub fn peak_memory() -> Result<usize> {
    let api = api()?;
    // SAFETY: it takes nothing.
    Ok(unsafe { (api.peak_memory)() })
}

pub fn reset_peak_memory() -> Result<Made<()>> {
    let api = api()?;
    // SAFETY: it takes nothing.
    Ok(done(unsafe { (api.reset_peak_memory)() }))
}
