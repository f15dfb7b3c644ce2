//! The interface between Rust and the shim, declared once.
//!
//! The build script compiles this file too and writes the C++ header `abi.h` from it: a shim that disagrees with it does
//! not compile. The crate takes its types from here, so that neither does a caller that disagrees.

use std::ffi::{c_char, c_void};
use std::marker::{PhantomData, PhantomPinned};
use std::mem::MaybeUninit;

/// A type that crosses the interface: it has the same layout in Rust and in C++.
pub trait AbiType: Copy {
    /// The type's name in C++.
    #[doc(hidden)]
    const CPP: &'static str;
}

macro_rules! abi_types {
    ($($type:ty => $cpp:literal;)*) => {
        $(impl AbiType for $type {
            const CPP: &'static str = $cpp;
        })*
    };
}
abi_types! {
    () => "void";
    bool => "bool";
    i32 => "int32_t";
    u64 => "uint64_t";
    usize => "size_t";
    f32 => "float";
    f64 => "double";
    *const i32 => "const int32_t*";
    *const isize => "const ptrdiff_t*";
    *const f32 => "const float*";
    *const c_char => "const char*";
    *const c_void => "const void*";
    *mut c_void => "void*";
    *const Array => "const Array*";
    *mut Array => "Array*";
    *mut Arrays => "Arrays*";
    *const Transformable => "const Transformable*";
    *mut Transformable => "Transformable*";
    *const Group => "const Group*";
    *mut Group => "Group*";
}

/// Types of C++, of which Rust sees pointers only.
macro_rules! opaque {
    ($($(#[$doc:meta])* pub struct $name:ident = $cpp:literal;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("\n\nIn C++: `", $cpp, "`.")]
            #[repr(C)]
            #[derive(Debug)]
            pub struct $name {
                _opaque: [u8; 0],
                _marker: PhantomData<(*mut u8, PhantomPinned)>,
            }
        )*

        /// The names of the opaque types, and their types in C++.
        #[doc(hidden)]
        pub const OPAQUE_TYPES: &[(&str, &str)] = &[$((stringify!($name), $cpp)),*];
    };
}
opaque! {
    /// A list of arrays that the shim owns.
    pub struct Arrays = "std::vector<Array>";

    /// A function that MLX transforms.
    pub struct Transformable = "std::function<Arrays(const Arrays&)>";

    /// A group of processes.
    pub struct Group = "mlx::core::distributed::Group";
}

/// The memory of an array of MLX, which the shim constructs in place: in C++ a `mlx::core::array`.
///
/// This type only has the size and the alignment of one. It is neither initialized nor destroyed by Rust:
/// [`Api::free`] destroys the array in it.
///
/// An array is one `std::shared_ptr`, as the shim asserts when it is compiled and [`load`](crate::load) when it is loaded.
/// Rust may move it by copying its bytes, which are two pointers, as long as it no longer uses the old place. Neither points into
/// the array, and neither what they point to nor MLX stores the address of an array that Rust owns. A move in C++ copies the
/// same bytes and clears those of the old place, for the destructor that C++ runs there. libstdc++ and libc++ both implement
/// `std::shared_ptr` so, and libc++ moves it by its bytes itself.
///
/// ```
/// use grad_mlx_sys::Array;
///
/// assert_eq!(size_of::<Array>(), 2 * size_of::<*const ()>());
/// assert_eq!(align_of::<Array>(), align_of::<*const ()>());
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Array {
    shared_ptr: [MaybeUninit<*const c_void>; 2],
}

/// The name of [`Array`] in C++.
#[doc(hidden)]
pub const ARRAY_IN_CPP: &str = "mlx::core::array";

macro_rules! enums {
    ($($(#[$about:meta])* pub enum $name:ident {$($(#[$doc:meta])* $variant:ident = $number:literal,)*})*) => {
        $(
            $(#[$about])*
            #[repr(i32)]
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
            pub enum $name {
                $($(#[$doc])* $variant = $number,)*
            }

            impl AbiType for $name {
                const CPP: &'static str = concat!("abi::", stringify!($name));
            }
        )*

        /// The names of the enums, with the names and numbers of their variants.
        #[doc(hidden)]
        pub const ENUMS: &[(&str, &[(&str, i32)])] =
            &[$((stringify!($name), &[$((stringify!($variant), $name::$variant as i32)),*])),*];
    };
}
enums! {
    /// A kind of device.
    pub enum Device {
        /// The CPU.
        Cpu = 0,
        /// The GPU.
        Gpu = 1,
    }

    /// The `mode` of MLX's `pad`.
    pub enum PadMode {
        /// Fills with a value.
        Constant = 0,
        /// Repeats the outermost entry.
        Edge = 1,
        /// Mirrors the entries at the outermost one, which is not repeated: 3 2 | 1 2 3.
        Reflect = 2,
        /// Mirrors the entries with the outermost one: 2 1 | 1 2 3.
        Symmetric = 3,
    }

    /// The `side` of MLX's `searchsorted`.
    pub enum Side {
        /// Before equal elements.
        Left = 0,
        /// After equal elements.
        Right = 1,
    }

    /// The `indexing` of MLX's `meshgrid`.
    pub enum Indexing {
        /// Cartesian: the first vector runs along axis 1, the second along axis 0.
        Xy = 0,
        /// As of a matrix: each vector runs along the axis of its number.
        Ij = 1,
    }

    /// The `reverse` of MLX's `cumsum` and other scans.
    pub enum ScanDirection {
        /// From the first element on.
        Forward = 0,
        /// From the last element back.
        Reverse = 1,
    }

    /// The `inclusive` of MLX's `cumsum` and other scans.
    pub enum ScanBound {
        /// Each result includes the element in its place.
        Inclusive = 0,
        /// Each result includes only the elements before that.
        Exclusive = 1,
    }

    /// The `norm` of MLX's Fourier transforms.
    pub enum FftNorm {
        /// The inverse is divided by the number of elements.
        Backward = 0,
        /// Both are divided by its square root.
        Ortho = 1,
        /// The transform is divided by it.
        Forward = 2,
    }

    /// The `upper` of MLX's `linalg.cholesky` and other functions.
    pub enum Triangle {
        /// On and below the diagonal.
        Lower = 0,
        /// On and above the diagonal.
        Upper = 1,
    }

    /// A communication of the processes of a group.
    pub enum Collective {
        /// The sum of their arrays.
        AllSum = 0,
        /// The maximum.
        AllMax = 1,
        /// The minimum.
        AllMin = 2,
        /// Their arrays, concatenated along axis 0.
        AllGather = 3,
        /// The part of the sum along axis 0 that belongs to the process.
        SumScatter = 4,
        /// An array for one of them.
        Send = 5,
        /// An array of one of them.
        Recv = 6,
    }
}

/// A dtype, as the header has it.
#[doc(hidden)]
#[derive(Debug)]
pub struct DtypeInCpp {
    pub name: &'static str,
    pub number: i32,
    pub mlx: &'static str,
    pub element: &'static str,
    pub size: usize,
}

/// Each dtype's number, the size of an element in bytes, and MLX's names for the dtype and the element's type.
macro_rules! dtypes {
    ($($name:ident = $number:literal: $size:literal, $mlx:literal, $element:literal;)*) => {
        /// The dtypes that cross.
        #[repr(i32)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Dtype {
            $(
                #[doc = concat!("MLX's `", $mlx, "`, whose elements are `", $element, "`.")]
                $name = $number,
            )*
        }

        impl AbiType for Dtype {
            const CPP: &'static str = "abi::Dtype";
        }

        impl Dtype {
            /// Returns the dtype with this number, if there is one.
            ///
            /// ```
            /// use grad_mlx_sys::Dtype;
            ///
            /// assert_eq!(Dtype::from_number(Dtype::Int32 as i32), Some(Dtype::Int32));
            /// assert_eq!(Dtype::from_number(-1), None);
            /// ```
            #[must_use]
            pub const fn from_number(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Returns the size of an element in bytes.
            ///
            /// ```
            /// assert_eq!(grad_mlx_sys::Dtype::Float32.size(), size_of::<f32>());
            /// ```
            #[must_use]
            pub const fn size(self) -> usize {
                match self {
                    $(Self::$name => $size,)*
                }
            }
        }

        /// The dtypes, for the header.
        #[doc(hidden)]
        pub const DTYPES: &[DtypeInCpp] = &[$(
            DtypeInCpp { name: stringify!($name), number: $number, mlx: $mlx, element: $element, size: $size }
        ),*];
    };
}
dtypes! {
    Float32 = 0: 4, "float32", "float";
    Float16 = 1: 2, "float16", "mlx::core::float16_t";
    BFloat16 = 2: 2, "bfloat16", "mlx::core::bfloat16_t";
    Int32 = 3: 4, "int32", "int32_t";
    UInt32 = 4: 4, "uint32", "uint32_t";
    Bool = 5: 1, "bool_", "bool";
    Int8 = 6: 1, "int8", "int8_t";
    Int16 = 7: 2, "int16", "int16_t";
    Int64 = 8: 8, "int64", "int64_t";
    UInt8 = 9: 1, "uint8", "uint8_t";
    UInt16 = 10: 2, "uint16", "uint16_t";
    UInt64 = 11: 8, "uint64", "uint64_t";
    Float64 = 12: 8, "float64", "double";
    Complex64 = 13: 8, "complex64", "mlx::core::complex64_t";
}

/// A struct, as the header has it: its name, and the types and names of its fields.
#[doc(hidden)]
pub type StructInCpp = (&'static str, &'static [(&'static str, &'static str)]);

macro_rules! structs {
    ($($(#[$about:meta])* pub struct $name:ident {$($(#[$doc:meta])* pub $field:ident: $type:ty,)*})*) => {
        $(
            $(#[$about])*
            #[repr(C)]
            #[derive(Debug, Clone, Copy)]
            pub struct $name {
                $($(#[$doc])* pub $field: $type,)*
            }

            impl AbiType for $name {
                const CPP: &'static str = concat!("abi::", stringify!($name));
            }
        )*

        /// The structs, for the header.
        #[doc(hidden)]
        pub const STRUCTS: &[StructInCpp] =
            &[$((stringify!($name), &[$((<$type as AbiType>::CPP, stringify!($field))),*])),*];
    };
}
structs! {
    /// Borrowed integers.
    pub struct IntSlice {
        /// The first of them.
        pub data: *const i32,
        /// How many there are.
        pub len: usize,
    }

    /// Borrowed axes, or lengths of which one may be -1.
    pub struct AxisSlice {
        /// The first of them.
        pub data: *const isize,
        /// How many there are.
        pub len: usize,
    }

    /// Borrowed arrays.
    pub struct ArraySlice {
        /// The first of them.
        pub data: *const Array,
        /// How many there are.
        pub len: usize,
    }

    /// A list of Rust that a function of the shim fills.
    pub struct ArrayVec {
        /// The list.
        pub list: *mut c_void,
        /// Makes room in it.
        pub reserve: ReserveFn,
    }

    /// Borrowed text in UTF-8.
    pub struct Str {
        /// The first byte.
        pub data: *const c_char,
        /// How many bytes there are.
        pub len: usize,
    }

    /// Two integers.
    pub struct IntPair {
        /// The first.
        pub first: i32,
        /// The second.
        pub second: i32,
    }

    /// Three integers.
    pub struct IntTriple {
        /// The first.
        pub first: i32,
        /// The second.
        pub second: i32,
        /// The third.
        pub third: i32,
    }

    /// A function of Rust that MLX calls.
    pub struct Callback {
        /// The values that the function captured; null where there is no function.
        pub state: *mut c_void,
        /// The function.
        pub call: CallFn,
        /// Frees the state.
        pub drop: DropFn,
    }

    /// Functions of Rust that the shim calls about collectives, on the thread that set them.
    pub struct CollectiveHooks {
        /// The state that they are given; null where there are none.
        pub state: *mut c_void,
        /// Called before a collective.
        pub issue: IssueFn,
        /// Called while one is waited for.
        pub poll: PollFn,
        /// Called when all of them are complete.
        pub complete: CompleteFn,
        /// Called with the reason where one has failed.
        pub fail: FailFn,
    }
}

/// A type of function pointers, as the header has it: its name, the types of its parameters, and the type that
/// it returns.
#[doc(hidden)]
pub type FunctionTypeInCpp = (&'static str, &'static [&'static str], &'static str);

macro_rules! function_types {
    ($($(#[$doc:meta])* pub type $name:ident = fn($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        $(
            $(#[$doc])*
            pub type $name = unsafe extern "C" fn($($argument: $type),*) -> $output;

            impl AbiType for $name {
                const CPP: &'static str = concat!("abi::", stringify!($name));
            }
        )*

        /// The types of function pointers, for the header.
        #[doc(hidden)]
        pub const FUNCTION_TYPES: &[FunctionTypeInCpp] = &[$((
            stringify!($name),
            &[$(<$type as AbiType>::CPP),*],
            <$output as AbiType>::CPP,
        )),*];
    };
}
function_types! {
    /// Makes room for `len` arrays in a list of Rust, which is empty. Returns the place of the first, or null if there is no
    /// memory. The caller constructs all of them before it returns, or none.
    pub type ReserveFn = fn(list: *mut c_void, len: usize) -> *mut Array;

    /// Calls a function of Rust with borrowed inputs, and adds what it returns to `outputs`. Returns whether it succeeded.
    pub type CallFn = fn(state: *mut c_void, inputs: ArraySlice, outputs: *mut Arrays) -> bool;

    /// Frees a function's state.
    pub type DropFn = fn(state: *mut c_void) -> ();

    /// Takes that all collectives, `count` since the last call, are complete.
    pub type CompleteFn = fn(state: *mut c_void, count: usize) -> ();

    /// Announces a collective of the group with this number. `peer` is the destination or the source, -1 where there is none.
    /// Returns whether it may begin.
    pub type IssueFn = fn(state: *mut c_void, group: usize, collective: Collective, operand: *const Array, peer: i32) -> bool;

    /// Returns whether to wait on, after so many microseconds.
    pub type PollFn = fn(state: *mut c_void, elapsed: u64) -> bool;

    /// Takes the reason why a collective failed.
    pub type FailFn = fn(state: *mut c_void, reason: *const c_char) -> ();
}

/// A function of the shim, as the header has it.
#[doc(hidden)]
#[derive(Debug)]
pub struct FunctionInCpp {
    pub name: &'static str,
    pub parameters: &'static [(&'static str, &'static str)],
    pub output: &'static str,
}

macro_rules! functions {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        /// The shim's functions.
        ///
        /// An array that a function returns is constructed at `output`, in memory of the caller, who owns it. A function that
        /// fails returns null, false or -1, constructs nothing, and [`error`](Self::error) returns the reason.
        #[repr(C)]
        #[derive(Debug, Clone, Copy)]
        pub struct Api {
            /// The size of an array in C++, in bytes.
            pub array_size: usize,
            /// The alignment of an array in C++, in bytes.
            pub array_align: usize,
            $($(#[$doc])* pub $name: unsafe extern "C" fn($($argument: $type),*) -> $output,)*
            /// MLX's operations.
            pub operations: Operations,
        }

        /// The functions but for the operations, for the header.
        #[doc(hidden)]
        pub const FUNCTIONS: &[FunctionInCpp] = &[$(FunctionInCpp {
            name: stringify!($name),
            parameters: &[$((<$type as AbiType>::CPP, stringify!($argument))),*],
            output: <$output as AbiType>::CPP,
        }),*];
    };
}
functions! {
    /// Returns the message of this thread's last failure, a C string that lives until the next one.
    fn error() -> *const c_char;

    /// Returns whether this MLX has its own grad mode.
    fn has_grad_mode() -> bool;
    /// Returns whether MLX's own grad mode records on this thread; true if it has none.
    fn is_grad_enabled() -> bool;
    /// Sets MLX's own grad mode on this thread, if it has one.
    fn set_grad_enabled(enabled: bool) -> ();

    /// Creates MLX's thread-local state: streams, traces, and the state of evaluation. A thread-local value that is created
    /// afterwards is destroyed before it.
    fn enter_thread() -> bool;
    /// Returns whether MLX has a device of this kind.
    fn is_available(device: Device) -> bool;
    /// Returns the number of the default device.
    fn default_device() -> i32;
    /// Sets the default device.
    fn set_default_device(device: Device) -> bool;
    /// Returns the bytes that arrays occupy.
    fn active_memory() -> usize;
    /// Returns the most bytes that arrays occupied at once since the last reset.
    fn peak_memory() -> usize;
    /// Resets the peak.
    fn reset_peak_memory() -> bool;

    /// Creates a stream of this thread and returns its index.
    fn new_stream(device: Device) -> i32;
    /// Returns the index of this thread's default stream for a device.
    fn default_stream(device: Device) -> i32;
    /// Sets this thread's default stream for a device, by its index.
    fn set_default_stream(device: Device, index: i32) -> bool;
    /// Blocks until a stream of this thread has computed all its operations.
    fn synchronize(device: Device, index: i32) -> bool;

    /// Copies a reference to an array.
    fn clone(output: *mut Array, array: *const Array) -> ();
    /// Destroys an array, in place.
    fn free(array: *mut Array) -> ();
    /// Returns the number of axes.
    fn ndim(array: *const Array) -> usize;
    /// Returns the length of each axis; for a scalar, any pointer.
    fn shape(array: *const Array) -> *const i32;
    /// Returns the number of the dtype.
    fn dtype(array: *const Array) -> i32;
    /// Returns MLX's name of the operation that will compute the elements, or null if they are computed.
    fn operation(array: *const Array) -> *const c_char;
    /// Creates an array from a copy of `data`, which holds an element for each place in `shape`.
    fn from_data(output: *mut Array, data: *const c_void, shape: IntSlice, dtype: Dtype) -> bool;
    /// Creates an array of one value, that of a scalar.
    fn full(output: *mut Array, shape: IntSlice, value: *const Array) -> bool;
    /// Evaluates an array and copies its elements, `size` bytes, to `data` in row-major order.
    fn to_data(array: *const Array, data: *mut c_void, size: usize) -> bool;
    /// Evaluates an array.
    fn eval(array: *const Array) -> bool;
    /// Evaluates arrays. If `is_async`, returns before they are computed.
    fn eval_all(arrays: ArraySlice, is_async: bool) -> bool;
    /// Returns a number that no other array has as long as this one, or a copy of it, is alive.
    fn id(array: *const Array) -> usize;
    /// Returns whether a transform that is running traces the array.
    fn is_traced(array: *const Array) -> bool;
    /// Makes an array a constant, in place, if a transform is tracing it; leaves any other as it is.
    fn make_constant(array: *mut Array) -> bool;

    /// Evaluates arrays and returns for each one of the same elements, which is only for [`open`](Self::open) and
    /// [`free`](Self::free): any thread may call those, also at the same time. An array that is passed to `free` must not be in use.
    fn share(outputs: ArrayVec, arrays: ArraySlice) -> bool;
    /// Returns an array of this thread with the elements of one that [`share`](Self::share) returned.
    fn open(output: *mut Array, shared: *const Array) -> bool;

    /// Adds copies of references to arrays to a list.
    fn extend(list: *mut Arrays, arrays: ArraySlice) -> bool;

    /// Returns the outputs of a function, followed by a cotangent for each primal.
    fn vjp(outputs: ArrayVec, function: Callback, primals: ArraySlice, cotangents: ArraySlice) -> bool;
    /// Returns the outputs of a function, followed by a tangent for each output.
    fn jvp(outputs: ArrayVec, function: Callback, primals: ArraySlice, tangents: ArraySlice) -> bool;
    /// Maps a function over `axes` of its inputs, -1 for none, and over axis 0 of its outputs.
    fn vmap(outputs: ArrayVec, function: Callback, inputs: ArraySlice, axes: IntSlice) -> bool;
    /// Compiles a function. If `shapeless`, it is not traced again for other shapes.
    fn compile(function: Callback, shapeless: bool) -> *mut Transformable;
    /// Calls a compiled function.
    fn call(outputs: ArrayVec, function: *const Transformable, inputs: ArraySlice) -> bool;
    /// Frees a compiled function.
    fn free_function(function: *mut Transformable) -> ();
    /// Calls a function, and calls it again when its gradient is taken.
    fn checkpoint(outputs: ArrayVec, function: Callback, inputs: ArraySlice) -> bool;
    /// Calls a function with its own derivatives. `backward` takes primals, cotangents and outputs and returns a
    /// cotangent for each primal; `forward` takes primals and tangents and returns a tangent for each output. One without a
    /// state is derived from the function.
    fn custom(
        outputs: ArrayVec, function: Callback, backward: Callback, forward: Callback, inputs: ArraySlice
    ) -> bool;

    /// Returns whether MLX has a backend for communication: "ring", "mpi" or "nccl".
    fn has_communication(backend: Str) -> bool;
    /// Connects to the other processes. `ports` are those of this process and of its neighbours in a ring. Any thread may call
    /// this.
    fn init_group(backend: Str, ports: IntSlice) -> *mut Group;
    /// Returns the group of the processes with this color. `key` orders their ranks; a negative one leaves the order.
    fn split_group(group: *const Group, color: i32, key: i32) -> *mut Group;
    /// Frees a group.
    fn free_group(group: *mut Group) -> ();
    /// Returns the rank of this process.
    fn group_rank(group: *const Group) -> i32;
    /// Returns the number of processes.
    fn group_size(group: *const Group) -> i32;
    /// Returns a number that no other group of this process has.
    fn group_id(group: *const Group) -> usize;
    /// Sets the functions that this thread's collectives call, and the device whose default stream computes them.
    fn set_collective_hooks(hooks: CollectiveHooks, device: Device) -> bool;
    /// Issues a collective, other than `Send` and `Recv`.
    fn collective(output: *mut Array, collective: Collective, array: *const Array, group: *const Group) -> bool;
    /// Sends an array to a process, and returns it.
    fn send(output: *mut Array, array: *const Array, destination: i32, group: *const Group) -> bool;
    /// Receives an array from a process. `like` is a scalar of its dtype.
    fn recv(output: *mut Array, shape: IntSlice, like: *const Array, source: i32, group: *const Group) -> bool;
    /// Blocks until the collectives of this thread are complete.
    fn wait_for_collectives() -> bool;
}

/// The type of an operation's argument in [`for_each_op!`].
pub trait ArgumentType {
    /// The type that crosses.
    type Raw: AbiType;
    /// The function in shim/convert.h that converts it to the type that MLX takes.
    #[doc(hidden)]
    const TO_MLX: &'static str;
}

/// The type that an operation in [`for_each_op!`] returns.
pub trait OutputType {
    /// The type of the parameter that says where the result is constructed.
    type Raw: AbiType;
    /// The function in shim/outputs.h that constructs MLX's result there.
    #[doc(hidden)]
    const FROM_MLX: &'static str;
}

macro_rules! crossings {
    (
        arguments {$($argument:ty => $raw:ty, $to_mlx:literal;)*}
        outputs {$($output:ty => $raw_output:ty, $from_mlx:literal;)*}
    ) => {
        $(impl ArgumentType for $argument {
            type Raw = $raw;
            const TO_MLX: &'static str = $to_mlx;
        })*
        $(impl OutputType for $output {
            type Raw = $raw_output;
            const FROM_MLX: &'static str = $from_mlx;
        })*
    };
}
crossings! {
    arguments {
        bool => bool, "same";
        i32 => i32, "same";
        u64 => u64, "same";
        f32 => f32, "same";
        f64 => f64, "same";
        // MLX counts in 32 bits.
        usize => i32, "same";
        isize => i32, "same";
        Option<f32> => *const f32, "to_optional";
        Option<usize> => *const i32, "to_optional";
        Option<&[usize]> => IntSlice, "to_optional_shape";
        &[usize] => IntSlice, "to_shape";
        &[isize] => AxisSlice, "to_axes";
        &[(usize, usize)] => IntSlice, "to_pairs";
        (usize, usize) => IntPair, "to_pair";
        (usize, usize, usize) => IntTriple, "to_tuple";
        &str => Str, "to_string";
        Dtype => Dtype, "to_dtype";
        PadMode => PadMode, "to_pad_mode";
        Side => Side, "to_side";
        Indexing => Indexing, "to_indexing";
        ScanDirection => ScanDirection, "is_reverse";
        ScanBound => ScanBound, "is_inclusive";
        Triangle => Triangle, "is_upper";
        FftNorm => FftNorm, "to_fft_norm";
        &Array => *const Array, "to_array";
        Option<&Array> => *const Array, "to_optional";
        &[Array] => ArraySlice, "to_arrays";
    }
    outputs {
        Array => *mut Array, "return_array";
        Vec<Array> => ArrayVec, "return_list";
        (Array, Array) => *mut Array, "return_arrays<2>";
        (Array, Array, Array) => *mut Array, "return_arrays<3>";
    }
}

/// An operation, as the shim has it.
#[doc(hidden)]
#[derive(Debug)]
pub struct OperationInCpp {
    pub kind: &'static str,
    pub section: &'static str,
    pub name: &'static str,
    /// For each argument its type, and the function that converts it for MLX.
    pub arguments: &'static [(&'static str, &'static str)],
    pub output: &'static str,
    pub from_mlx: &'static str,
}

macro_rules! operations {
    ($($(#[$about:meta])* $kind:ident $section:ident {$(
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty $(, $flag:ident)*;
    )*})*) => {
        /// The functions of [`for_each_op!`], by section.
        #[repr(C)]
        #[derive(Debug, Clone, Copy)]
        #[allow(missing_docs, reason = "the list describes its sections")]
        pub struct Operations {
            $(pub $section: operations::$section,)*
        }

        #[allow(missing_docs, reason = "the list describes its operations")]
        #[allow(non_camel_case_types, reason = "each type is named after its section")]
        #[allow(clippy::struct_field_names, reason = "`fft` has the function `fft`")]
        mod operations {
            use super::*;

            $(
                #[repr(C)]
                #[derive(Debug, Clone, Copy)]
                pub struct $section {
                    $(pub $name: unsafe extern "C" fn(
                        <$output as OutputType>::Raw $(, <$type as ArgumentType>::Raw)*
                    ) -> bool,)*
                }
            )*
        }

        /// The operations, for the shim.
        #[doc(hidden)]
        pub const OPERATIONS: &[OperationInCpp] = &[$($(OperationInCpp {
            kind: stringify!($kind),
            section: stringify!($section),
            name: stringify!($name),
            arguments: &[$((<<$type as ArgumentType>::Raw as AbiType>::CPP, <$type as ArgumentType>::TO_MLX)),*],
            output: <<$output as OutputType>::Raw as AbiType>::CPP,
            from_mlx: <$output as OutputType>::FROM_MLX,
        },)*)*];
    };
}
for_each_op!(operations);
