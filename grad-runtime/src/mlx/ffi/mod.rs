//! The shim's functions, and safe ways to call them. All that is unsafe about MLX is here and in `library.rs`.

mod arguments;
mod calls;
mod function;
mod handle;
mod transforms;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

use crate::error::{Result, Unavailable};
use arguments::{List, Numbers};
pub use arguments::{handles, lengths};
pub use calls::{fast, functions, linalg, random, shared};
pub use function::{Failure, Lasting};
pub use handle::{Handle, async_eval, eval};
pub use transforms::{Compiled, Derived, checkpoint, compile, custom, jvp, vjp, vmap};

/// `mlx::core::array`, seen from here.
#[repr(C)]
pub struct RawArray {
    _opaque: [u8; 0],
}

/// `std::vector<mlx::core::array>`, seen from here.
#[repr(C)]
pub struct RawArrays {
    _opaque: [u8; 0],
}

/// `std::function<Arrays(const Arrays&)>`, seen from here.
#[repr(C)]
struct RawTransformable {
    _opaque: [u8; 0],
}

/// A function of Rust's on its way into MLX, as the shim's `Function`.
#[repr(C)]
struct RawFunction {
    state: *mut c_void,
    call: extern "C" fn(*mut c_void, *const RawArrays) -> *mut RawArrays,
    drop: extern "C" fn(*mut c_void),
}

macro_rules! api {
    ($(fn $name:ident($($type:ty),*) $(-> $output:ty)?;)*) => {
        /// The shim's functions, by the names that follow `grad_mlx_` there.
        pub struct Api {
            $($name: unsafe extern "C" fn($($type),*) $(-> $output)?,)*
            operations: calls::Operations,
        }

        impl Api {
            /// Finds every function in `shim`, which must stay loaded as long as the process runs.
            #[cfg(mlx_shim)]
            pub fn load(shim: &libloading::Library) -> std::result::Result<Self, libloading::Error> {
                Ok(Self {
                    $(
                        // SAFETY: the shim was compiled from shim.cpp, which declares the function with this type.
                        $name: unsafe { *shim.get(concat!("grad_mlx_", stringify!($name), "\0").as_bytes())? },
                    )*
                    operations: calls::Operations::load(shim)?,
                })
            }
        }
    };
}
api! {
    fn error() -> *const c_char;
    fn has_switch() -> bool;
    fn is_grad_enabled() -> bool;
    fn set_grad_enabled(bool);
    fn enter_thread() -> bool;
    fn is_available(c_int) -> bool;
    fn default_device() -> c_int;
    fn set_default_device(c_int) -> bool;
    fn active_memory() -> usize;
    fn peak_memory() -> usize;
    fn reset_peak_memory() -> bool;
    fn new_stream(c_int) -> c_int;
    fn default_stream(c_int) -> c_int;
    fn set_default_stream(c_int, c_int) -> bool;
    fn synchronize(c_int, c_int) -> bool;
    fn clone(*const RawArray) -> *mut RawArray;
    fn free(*mut RawArray);
    fn ndim(*const RawArray) -> usize;
    fn shape(*const RawArray) -> *const i32;
    fn dtype(*const RawArray) -> c_int;
    fn operation(*const RawArray) -> *const c_char;
    fn from_data(*const c_void, Numbers, c_int) -> *mut RawArray;
    fn full(Numbers, f32, c_int) -> *mut RawArray;
    fn to_data(*const RawArray, *mut c_void, usize) -> bool;
    fn eval(*mut RawArray) -> bool;
    fn eval_all(List, bool) -> bool;
    fn make_constant(*mut RawArray, bool) -> bool;
    fn list(List) -> *mut RawArrays;
    fn list_length(*const RawArrays) -> usize;
    fn list_get(*const RawArrays, usize) -> *mut RawArray;
    fn list_free(*mut RawArrays);
    fn vjp(RawFunction, List, List) -> *mut RawArrays;
    fn jvp(RawFunction, List, List) -> *mut RawArrays;
    fn vmap(RawFunction, List, Numbers) -> *mut RawArrays;
    fn compile(RawFunction, bool) -> *mut RawTransformable;
    fn call(*const RawTransformable, List) -> *mut RawArrays;
    fn free_function(*mut RawTransformable);
    fn checkpoint(RawFunction, List) -> *mut RawArrays;
    fn custom(RawFunction, RawFunction, RawFunction, List) -> *mut RawArrays;
}

/// The shim's functions, or why they are not to be had. Whatever the outcome, it is the process's for good.
#[inline]
pub fn api() -> Result<&'static Api> {
    static API: OnceLock<Result<Api, String>> = OnceLock::new();

    #[cfg(mlx_shim)]
    let load = super::library::load;
    #[cfg(not(mlx_shim))]
    let load = || {
        let reason = option_env!("GRAD_MLX_MISSING").unwrap_or("the build did not say why");
        Err::<Api, _>(format!("this program was built without MLX: {reason}"))
    };
    let loaded = API.get_or_init(|| {
        let api = load()?;
        // SAFETY: it takes nothing.
        if unsafe { (api.has_switch)() } {
            super::switch::install();
        }
        Ok(api)
    });
    loaded.as_ref().map_err(|reason| Unavailable { backend: "mlx", reason: reason.clone() }.into())
}

/// What a call into MLX answers: an array, or MLX's own message.
pub type Made<T = Handle, E = String> = std::result::Result<T, E>;

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
#[inline]
fn loaded() -> &'static Api {
    api().expect("an array exists, so MLX is loaded")
}

/// The functions that use what MLX keeps for this thread.
fn entered() -> Made<&'static Api> {
    enter().map(|()| loaded()).map_err(Into::into)
}

#[inline]
fn enter() -> Result<(), &'static str> {
    const ENDING: &str = "this thread is ending, and MLX's part of it is gone: use arrays before its destructors";
    THREAD.try_with(|_| ()).map_err(|_| ENDING)
}

/// As `entered`, where nothing proves that MLX is loaded.
#[inline]
fn available() -> Result<&'static Api> {
    let api = api()?;
    enter().map_err(|reason| Unavailable { backend: "mlx", reason: reason.into() })?;
    Ok(api)
}

fn done(ok: bool) -> Made<()> {
    if ok { Ok(()) } else { Err(last_error()) }
}

fn last_error() -> String {
    // SAFETY: the shim answers with this thread's message, a C string that lives until its next failure.
    let message = unsafe { CStr::from_ptr((loaded().error)()) };
    message.to_string_lossy().into_owned()
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

/// MLX's own switch, on this thread. Without one, everything is recorded.
pub fn is_grad_enabled() -> bool {
    // SAFETY: it takes nothing.
    api().is_ok_and(|api| unsafe { (api.is_grad_enabled)() })
}

pub fn set_grad_enabled(enabled: bool) {
    if let Ok(api) = api() {
        // SAFETY: either is taken.
        unsafe { (api.set_grad_enabled)(enabled) }
    }
}

fn index(found: c_int) -> Made<c_int> {
    if found < 0 { Err(last_error()) } else { Ok(found) }
}

/// The index of a new stream of this thread.
pub fn new_stream(device: c_int) -> Result<Made<c_int>> {
    let api = available()?;
    // SAFETY: any number is answered.
    Ok(index(unsafe { (api.new_stream)(device) }))
}

/// The index of this thread's default stream.
pub fn default_stream(device: c_int) -> Result<Made<c_int>> {
    let api = available()?;
    // SAFETY: any number is answered.
    Ok(index(unsafe { (api.default_stream)(device) }))
}

/// `stream` must be one of this thread's and this device's.
pub fn set_default_stream(device: c_int, stream: c_int) -> Result<Made<()>> {
    let api = available()?;
    // SAFETY: the caller had the index from `new_stream` or `default_stream`, on this thread.
    Ok(done(unsafe { (api.set_default_stream)(device, stream) }))
}

/// Waits for what was given to the stream.
pub fn synchronize(device: c_int, stream: c_int) -> Result<Made<()>> {
    let api = available()?;
    // SAFETY: as above.
    Ok(done(unsafe { (api.synchronize)(device, stream) }))
}
