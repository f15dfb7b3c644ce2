//! Threads in every interleaving, with every value that C11's memory orders let an atomic load return: tests with loom.
//!
//! `tests/core/run loom` runs them. What each thread shares with others is in `shared!`; what it has alone, in `thread_local!` (see
//! `sync`). The loader of libraries is a model (`torch/loader/model.rs`). loom does not explore loads that see values which are stored
//! later in the program ("load buffering"), and it takes std's `OnceLock` as documented.
//!
//! `tests/core/run miri` runs them too: with std's types, in a few interleavings, each test in a process of its own.

use std::cell::Cell;

#[cfg(loom)]
use loom::{model::Builder, thread};
#[cfg(not(loom))]
use std::thread;

use crate::sync::thread_local;
use crate::{Backend, GradMode, ModeSnapshot, Scope, enable_grad, grad_mode, install, installed, no_grad};

use GradMode::{Enabled, NoGrad};

thread_local! {
    static FIRST: Cell<GradMode> = const { Cell::new(Enabled) };
    static SECOND: Cell<GradMode> = const { Cell::new(Enabled) };
}

/// Defines a backend with a switch of its own.
macro_rules! backend {
    ($backend:ident, $name:literal, $mode:ident) => {
        struct $backend;

        impl Backend for $backend {
            fn name(&self) -> &'static str {
                $name
            }

            fn grad_mode(&self) -> GradMode {
                $mode.get()
            }

            fn set_grad_mode(&self, mode: GradMode) {
                $mode.set(mode);
            }
        }
    };
}
backend!(First, "first", FIRST);
backend!(Second, "second", SECOND);

/// Explores each interleaving of the threads that `program` spawns.
#[cfg(loom)]
fn explore(program: impl Fn() + Sync + Send + 'static) {
    Builder::new().check(move || run(&program));
}

/// Explores each interleaving in which threads are interrupted three times at most, or as often as `LOOM_MAX_PREEMPTIONS` says: for
/// programs with too many to explore all.
#[cfg(loom)]
fn explore_most(program: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.check(move || run(&program));
}

#[cfg(not(loom))]
fn explore(program: impl Fn()) {
    run(&program);
}

#[cfg(not(loom))]
use explore as explore_most;

/// Runs a program in which nothing is installed. Statics are initialized before, so that no thread synchronizes with another one
/// by initializing them.
fn run(program: &impl Fn()) {
    drop(no_grad());
    assert_eq!(names(), ["cpu", "mlx"]);
    program();
}

fn names() -> Vec<&'static str> {
    installed().map(Backend::name).collect()
}

/// Neither of two threads that install at the same moment loses its backend.
#[test]
#[cfg_attr(miri, ignore = "needs a process of its own: `tests/core/run miri`")]
fn guarantee_10_two_threads_install_two_backends() {
    explore(|| {
        let other = thread::spawn(|| {
            install(&First).unwrap();
            let _guard = no_grad();
            assert_eq!(First.grad_mode(), NoGrad, "a scope after `install` switches it");
        });
        install(&Second).unwrap();
        {
            let _guard = no_grad();
            assert_eq!(Second.grad_mode(), NoGrad);
        }
        other.join().unwrap();
        let mut names = names();
        names.sort_unstable();
        assert_eq!(names, ["cpu", "first", "mlx", "second"]);
        let _guard = no_grad();
        assert_eq!((First.grad_mode(), Second.grad_mode()), (NoGrad, NoGrad));
    });
}

#[test]
#[cfg_attr(miri, ignore = "needs a process of its own: `tests/core/run miri`")]
fn three_threads_install_one_name() {
    explore(|| {
        let others = [(); 2].map(|()| thread::spawn(|| install(&First).is_ok()));
        let mut succeeded = usize::from(install(&First).is_ok());
        for other in others {
            succeeded += usize::from(other.join().unwrap());
        }
        assert_eq!(succeeded, 1);
        assert_eq!(names(), ["cpu", "mlx", "first"]);
    });
}

/// A backend is installed while another thread is in scopes. A scope switches it or not; the next one does if this one did; and each
/// restores what it found, also where guards are dropped out of order.
#[test]
#[cfg_attr(miri, ignore = "needs a process of its own: `tests/core/run miri`")]
fn guarantee_2_a_backend_is_installed_while_a_thread_is_in_scopes() {
    explore(|| {
        let other = thread::spawn(|| install(&First).unwrap());
        let outer = no_grad();
        let by_outer = First.grad_mode();
        let inner = enable_grad();
        assert_eq!(First.grad_mode(), Enabled);
        drop(outer);
        assert_eq!((First.grad_mode(), grad_mode()), (Enabled, Enabled));
        let innermost = no_grad();
        let by_innermost = First.grad_mode();
        drop(inner);
        assert_eq!((First.grad_mode(), grad_mode()), (by_innermost, NoGrad));
        drop(innermost);
        assert_eq!((First.grad_mode(), grad_mode()), (Enabled, Enabled));
        assert!(by_outer == Enabled || by_innermost == NoGrad, "a backend stays installed");
        other.join().unwrap();
        let _guard = no_grad();
        assert_eq!(First.grad_mode(), NoGrad);
    });
}

/// A thread that reads the list of backends twice finds the same ones first: the list grows at its end.
#[test]
#[cfg_attr(miri, ignore = "needs a process of its own: `tests/core/run miri`")]
fn the_list_of_backends_only_grows() {
    explore(|| {
        let other = thread::spawn(|| {
            install(&First).unwrap();
            install(&Second).unwrap();
        });
        let (earlier, later) = (names(), names());
        assert!(["cpu", "mlx", "first", "second"].starts_with(&later));
        assert!(later.starts_with(&earlier), "{earlier:?}, then {later:?}");
        other.join().unwrap();
    });
}

/// A switch of MLX's own is turned by universal scopes at least as soon as by selective ones.
#[test]
#[cfg_attr(miri, ignore = "needs a process of its own: `tests/core/run miri`")]
fn guarantee_10_mlx_gets_a_switch_while_a_thread_is_in_scopes() {
    backend!(NativeMlx, "mlx-native", FIRST);
    explore(|| {
        let other = thread::spawn(|| crate::registry::install_native_switch_of_mlx(&NativeMlx));
        let selective = {
            let _guard = Scope::NoGrad.enter_for(&crate::Mlx);
            FIRST.get()
        };
        assert_eq!(FIRST.get(), Enabled);
        let universal = {
            let _guard = no_grad();
            FIRST.get()
        };
        assert_eq!(FIRST.get(), Enabled);
        assert!(selective == Enabled || universal == NoGrad);
        other.join().unwrap();
        let _guard = Scope::NoGrad.enter_for(&crate::Mlx);
        assert_eq!(FIRST.get(), NoGrad);
    });
}

/// Equal snapshots of two threads are one.
#[test]
#[cfg_attr(miri, ignore = "needs a process of its own: `tests/core/run miri`")]
fn two_threads_intern_one_snapshot() {
    explore(|| {
        install(&First).unwrap();
        let snapshot = || {
            let _guard = no_grad();
            std::ptr::from_ref(ModeSnapshot::current().as_static()).addr()
        };
        let other = thread::spawn(snapshot);
        let here = snapshot();
        assert_eq!(other.join().unwrap(), here);
    });
}

#[cfg(feature = "torch")]
mod torch {
    use super::*;
    use crate::Torch;
    use crate::torch::loader::{Library, libtorch, load};

    /// Asserts that a universal scope turns libtorch's switch, and restores it.
    #[track_caller]
    fn assert_scopes_turn_the_switch() {
        let guard = no_grad();
        assert!(!libtorch::is_enabled());
        drop(guard);
        assert!(libtorch::is_enabled());
    }

    /// A thread loads libtorch and enters a scope; another one is in a scope of libtorch and enters scopes of this crate.
    #[test]
    #[cfg_attr(miri, ignore = "needs a process of its own: `tests/core/run miri`")]
    fn guarantee_11_libtorch_is_loaded_while_a_thread_is_in_scopes() {
        explore_most(|| {
            let other = thread::spawn(|| {
                load(Library::Libtorch);
                assert_scopes_turn_the_switch();
            });
            libtorch::set_enabled(false);
            for _ in 0..2 {
                let guard = no_grad();
                assert!(!libtorch::is_enabled());
                drop(guard);
                assert!(!libtorch::is_enabled(), "the scope restores what it found");
            }
            libtorch::set_enabled(true);
            other.join().unwrap();
            assert_scopes_turn_the_switch();
            assert_eq!(names(), ["cpu", "mlx", "torch"]);
        });
    }

    /// Other libraries are loaded around libtorch while two threads probe. No load is missed: the next scope finds libtorch.
    #[test]
    #[cfg_attr(miri, ignore = "needs a process of its own: `tests/core/run miri`")]
    fn no_probe_misses_a_library() {
        explore_most(|| {
            let loading = thread::spawn(|| {
                load(Library::Other);
                load(Library::Libtorch);
            });
            let other = thread::spawn(|| drop(no_grad()));
            drop(no_grad());
            loading.join().unwrap();
            assert_scopes_turn_the_switch();
            other.join().unwrap();
            assert_scopes_turn_the_switch();
        });
    }

    /// The flag of libtorch and that of other backends are set at the same moment.
    #[test]
    #[cfg_attr(miri, ignore = "needs a process of its own: `tests/core/run miri`")]
    fn guarantee_10_a_backend_is_installed_while_libtorch_is_found() {
        explore_most(|| {
            load(Library::Libtorch);
            let other = thread::spawn(|| {
                install(&First).unwrap();
                let _guard = no_grad();
                assert_eq!((First.grad_mode(), libtorch::is_enabled()), (NoGrad, false));
            });
            assert_scopes_turn_the_switch();
            other.join().unwrap();
            let _guard = no_grad();
            assert_eq!((First.grad_mode(), libtorch::is_enabled()), (NoGrad, false));
        });
    }

    /// The program installs libtorch itself, before or while it is loaded.
    #[test]
    #[cfg_attr(miri, ignore = "needs a process of its own: `tests/core/run miri`")]
    fn guarantee_10_libtorch_is_installed_while_it_is_loaded() {
        explore_most(|| {
            let loading = thread::spawn(|| load(Library::Libtorch));
            let installing = thread::spawn(|| drop(install(&Torch)));
            drop(no_grad());
            assert!(libtorch::is_enabled());
            loading.join().unwrap();
            assert_scopes_turn_the_switch();
            installing.join().unwrap();
            assert_eq!(names(), ["cpu", "mlx", "torch"]);
            assert_scopes_turn_the_switch();
        });
    }
}
