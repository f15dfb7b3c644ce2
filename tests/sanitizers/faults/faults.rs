//! Commits one fault: `faults LIBRARY FAULT`, where LIBRARY is faults.cpp as a shared library. A comment names the line of each.

use std::env;
use std::ffi::{CString, c_char, c_int, c_void};
use std::hint::black_box;
use std::thread;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

const RTLD_NOW: c_int = 2;

/// Returns a function of the library.
///
/// # Safety
///
/// `F` must be the type of the function.
unsafe fn function<F: Copy>(name: &str) -> F {
    let library = env::args().nth(1).expect("a library");
    let [path, symbol] = [&library, name].map(|text| CString::new(text).unwrap());
    // SAFETY: both are strings, and the library's initializers touch nothing outside of it.
    let found = unsafe { dlsym(dlopen(path.as_ptr(), RTLD_NOW), symbol.as_ptr()) };
    assert!(!found.is_null(), "{library} has no {name}");
    // SAFETY: the caller guarantees that `F` is the type of a function, which has the size of a pointer.
    unsafe { std::mem::transmute_copy(&found) }
}

fn race() {
    static mut COUNT: u32 = 0;
    // SAFETY: none, which is the fault.
    unsafe { COUNT += 1 }; // fault: rust-race
}

/// Calls the function on two threads at once.
fn call_twice(f: impl Fn() + Sync) {
    thread::scope(|threads| [(); 2].map(|()| threads.spawn(&f)).map(|thread| thread.join().unwrap()));
}

fn main() {
    let elements = vec![7_i32; 4];
    let past_the_end = black_box(4);
    match &*env::args().nth(2).expect("a fault") {
        "c++-read" => {
            // SAFETY: the type is right. The call reads out of bounds, which is the fault.
            let read: extern "C" fn(*const i32, c_int) -> c_int = unsafe { function("read") };
            black_box(read(elements.as_ptr(), past_the_end));
        }
        "c++-leak" => {
            // SAFETY: the type is right.
            let leak: extern "C" fn() = unsafe { function("leak") };
            leak();
        }
        "c++-overflow" => {
            // SAFETY: the type is right. The call overflows, which is the fault.
            let increment: extern "C" fn(c_int) -> c_int = unsafe { function("increment") };
            black_box(increment(i32::MAX));
        }
        "c++-index" => {
            // SAFETY: the type is right. The call reads out of bounds, which is the fault.
            let index: extern "C" fn(c_int) -> c_int = unsafe { function("index") };
            black_box(index(past_the_end));
        }
        "c++-race" => {
            // SAFETY: the type is right. Two calls at once race, which is the fault.
            let race: extern "C" fn() = unsafe { function("race") };
            call_twice(|| race());
        }
        "rust-read" => {
            // SAFETY: none, which is the fault.
            black_box(unsafe { *elements.as_ptr().offset(past_the_end as isize) }); // fault: rust-read
        }
        "rust-leak" => std::mem::forget(black_box(elements.clone())), // fault: rust-leak
        "rust-race" => call_twice(race),
        "none" => {}
        other => panic!("there is no fault {other}"),
    }
}
