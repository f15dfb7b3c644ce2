//! The probe finds libtorch whenever and however it is loaded.

use std::cell::Cell;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use grad_runtime::{
    AlreadyInstalled, Backend, Cpu, GradMode, ModeSnapshot, Scope, Torch, cutting_scopes, grad_mode,
    inference_mode, install, installed, is_grad_enabled, no_grad, open_scopes, watch_scopes,
};

use GradMode::{Enabled, NoGrad};

use crate::fake_libtorch::{FakeLibtorch, GRAD_MODE, NOTHING, compile, load_globally, load_locally};
use crate::process::alone;

fn names() -> Vec<&'static str> {
    installed().map(Backend::name).collect()
}

#[test]
fn guarantee_12_a_scope_without_libtorch() {
    alone(|| {
        {
            let _guard = no_grad();
            assert_eq!((Cpu.grad_mode(), Torch.grad_mode()), (NoGrad, Enabled), "no switch is found");
        }
        assert_eq!(names(), ["cpu", "mlx"]);
        let why = Torch::check_available().unwrap_err().to_string();
        assert!(why.starts_with("cannot use torch: no libc10."), "{why}");
        assert!(why.ends_with("link or load libtorch, and scopes will find it"), "{why}");
    });
}

#[test]
fn guarantee_12_a_selective_scope_without_libtorch() {
    alone(|| {
        let answer = no_grad! { <Torch>
            assert_eq!((grad_mode(), Torch.grad_mode()), (Enabled, Enabled));
            42
        };
        assert_eq!(answer, 42);
        Torch.set_grad_mode(NoGrad);
        assert_eq!(Torch.grad_mode(), Enabled);
        assert_eq!(names(), ["cpu", "mlx"]);
    });
}

#[test]
fn the_first_scope_finds_libtorch() {
    alone(|| {
        let libtorch = FakeLibtorch::loaded();
        assert!(no_grad!(!libtorch.is_on()));
        assert!(libtorch.is_on());
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
        Torch::check_available().unwrap();
    });
}

#[test]
fn the_first_scope_after_loading_finds_libtorch() {
    alone(|| {
        drop(no_grad());
        drop(inference_mode(true));
        assert_eq!(names(), ["cpu", "mlx"]);
        let libtorch = FakeLibtorch::loaded();
        assert!(no_grad!(!libtorch.is_on()));
        assert!(libtorch.is_on());
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
    });
}

#[test]
fn global_symbols_are_found_in_any_library() {
    alone(|| {
        drop(no_grad());
        let library = load_globally(&compile("libanything", GRAD_MODE));
        let libtorch = FakeLibtorch::of(&library);
        assert!(no_grad!(!libtorch.is_on()));
    });
}

#[test]
fn local_symbols_are_found_by_the_name_of_the_library() {
    alone(|| {
        drop(no_grad());
        let others = [("libc10_cuda", NOTHING), ("libc100", GRAD_MODE), ("libanything", GRAD_MODE)];
        let others = others.map(|(name, text)| load_locally(&compile(name, text)));
        assert_eq!(no_grad!(Torch.grad_mode()), Enabled, "none of these has the name of libtorch");
        let library = load_locally(&compile("libc10-1a2b3c4d", GRAD_MODE));
        let libtorch = FakeLibtorch::of(&library);
        assert!(no_grad!(!libtorch.is_on()));
        assert!(no_grad!(others[1..].iter().all(|other| FakeLibtorch::of(other).is_on())));
    });
}

#[test]
fn listing_the_backends_probes() {
    alone(|| {
        drop(no_grad());
        FakeLibtorch::loaded();
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
    });
}

#[test]
fn a_snapshot_includes_libtorch() {
    alone(|| {
        assert_eq!(format!("{:?}", ModeSnapshot::current()), r#"{"cpu": Enabled, "mlx": Enabled}"#);
        let libtorch = FakeLibtorch::loaded();
        libtorch.set(false);
        assert_eq!(
            format!("{:?}", ModeSnapshot::current()),
            r#"{"cpu": Enabled, "mlx": Enabled, "torch": NoGrad}"#
        );
    });
}

#[test]
fn entering_a_snapshot_reaches_libtorch() {
    alone(|| {
        let modes = ModeSnapshot::all(NoGrad);
        drop(modes.enter());
        let libtorch = FakeLibtorch::loaded();
        let guard = modes.enter();
        assert!(!libtorch.is_on());
        drop(guard);
        assert!(libtorch.is_on());
    });
}

#[test]
fn a_selective_scope_finds_libtorch_and_does_not_install_it() {
    alone(|| {
        drop(no_grad());
        let libtorch = FakeLibtorch::loaded();
        no_grad! { <Torch>
            assert_eq!((libtorch.is_on(), is_grad_enabled()), (false, true));
        }
        no_grad! { <Cpu>
            assert_eq!((libtorch.is_on(), is_grad_enabled()), (true, false));
        }
        assert!(no_grad!(!libtorch.is_on()), "the next universal scope installs it");
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
    });
}

/// A scope that was entered before libtorch was loaded neither switches it nor restores it.
#[test]
fn guarantee_11_loaded_inside_a_scope() {
    alone(|| {
        let outer = no_grad();
        let libtorch = FakeLibtorch::loaded();
        assert!(libtorch.is_on());
        {
            let _inner = no_grad();
            assert!(!libtorch.is_on());
        }
        assert!(libtorch.is_on());
        libtorch.set(false);
        drop(outer);
        assert!(!libtorch.is_on());
    });
}

struct Engine(&'static str);

impl Backend for Engine {
    fn name(&self) -> &'static str {
        self.0
    }
    fn grad_mode(&self) -> GradMode {
        Enabled
    }
    fn set_grad_mode(&self, _: GradMode) {}
}

#[test]
fn libtorch_beside_another_backend() {
    alone(|| {
        install(&Engine("engine")).unwrap();
        drop(no_grad());
        assert_eq!(names(), ["cpu", "mlx", "engine"]);
        let libtorch = FakeLibtorch::loaded();
        assert!(no_grad!(!libtorch.is_on()));
        assert_eq!(names(), ["cpu", "mlx", "engine", "torch"]);
    });
}

#[test]
fn installed_explicitly_before_libtorch_is_loaded() {
    alone(|| {
        install(&Torch).unwrap();
        assert_eq!(install(&Torch), Err(AlreadyInstalled { name: "torch" }));
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
        drop(no_grad());
        let libtorch = FakeLibtorch::loaded();
        assert!(no_grad!(!libtorch.is_on()));
        assert!(libtorch.is_on());
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
    });
}

#[test]
fn guarantee_11_a_scope_from_before_libtorch_leaves_its_mode_alone() {
    alone(|| {
        install(&Torch).unwrap();
        let before = no_grad();
        let libtorch = FakeLibtorch::loaded();
        libtorch.set(false);
        drop(no_grad()); // Finds it.
        drop(before);
        assert!(!libtorch.is_on());
    });
}

#[test]
fn a_selective_scope_from_before_libtorch_leaves_it_enabled() {
    alone(|| {
        let before = Scope::NoGrad.enter_for(&Torch);
        let libtorch = FakeLibtorch::loaded();
        drop(no_grad()); // Finds it.
        drop(before);
        assert!(libtorch.is_on());
    });
}

#[test]
fn guarantee_11_a_selective_scope_from_before_libtorch_leaves_its_mode_alone() {
    alone(|| {
        let _watch = watch_scopes();
        let before = Scope::NoGrad.enter_for(&Torch);
        let nested = Scope::EnableGrad.enter_for(&Torch);
        let libtorch = FakeLibtorch::loaded();
        libtorch.set(false);
        {
            let _inner = Scope::EnableGrad.enter_for(&Torch); // Finds it.
            assert!(libtorch.is_on());
        }
        assert!(!libtorch.is_on());
        assert_eq!(cutting_scopes(&Torch), [], "it is off, but not by a scope of ours");
        drop(before);
        drop(nested);
        assert!(!libtorch.is_on());
        assert_eq!(open_scopes(), []);
    });
}

#[test]
fn installed_explicitly_after_a_scope_installed_it() {
    alone(|| {
        let libtorch = FakeLibtorch::loaded();
        drop(no_grad());
        assert_eq!(install(&Torch), Err(AlreadyInstalled { name: "torch" }));
        assert!(no_grad!(!libtorch.is_on()));
    });
}

#[test]
fn the_mode_of_libtorch_is_set_directly() {
    alone(|| {
        Torch.set_grad_mode(NoGrad); // There is no switch yet.
        assert_eq!(Torch.grad_mode(), Enabled);
        let libtorch = FakeLibtorch::loaded();
        Torch.set_grad_mode(NoGrad);
        assert!(!libtorch.is_on());
        assert_eq!(Torch.grad_mode(), NoGrad);
        Torch.set_grad_mode(Enabled);
        assert!(libtorch.is_on());
    });
}

#[test]
fn a_backend_with_the_name_of_libtorch_is_kept() {
    alone(|| {
        install(&Engine("torch")).unwrap();
        let libtorch = FakeLibtorch::loaded();
        assert!(no_grad!(libtorch.is_on()));
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
    });
}

/// The probe keeps the library loaded, since scopes call its functions.
#[test]
fn libtorch_stays_loaded_once_found() {
    alone(|| {
        let library = load_locally(&compile("libc10", GRAD_MODE));
        let libtorch = FakeLibtorch::of(&library);
        drop(no_grad());
        library.close().unwrap();
        assert!(no_grad!(!libtorch.is_on()));
        assert!(libtorch.is_on());
    });
}

/// The probe pins the library that was loaded last; others can be unloaded.
#[cfg(target_os = "linux")]
#[test]
fn only_the_library_loaded_last_is_pinned() {
    fn is_mapped(name: &str) -> bool {
        std::fs::read_to_string("/proc/self/maps").unwrap().contains(&format!("/{name}.so"))
    }
    alone(|| {
        drop(no_grad());
        let unseen = load_locally(&compile("unseen", NOTHING));
        assert!(is_mapped("unseen"));
        unseen.close().unwrap();
        assert!(!is_mapped("unseen"));

        let [first, last] = ["first", "last"].map(|name| load_locally(&compile(name, NOTHING)));
        drop(no_grad());
        first.close().unwrap();
        last.close().unwrap();
        assert_eq!((is_mapped("first"), is_mapped("last")), (false, true));

        let libtorch = FakeLibtorch::loaded();
        assert!(no_grad!(!libtorch.is_on()));
    });
}

#[test]
fn a_scope_in_the_destructor_of_a_thread_local() {
    thread_local!(static LAST: LastScope = const { LastScope(Cell::new(None)) });
    static SEEN: AtomicUsize = AtomicUsize::new(0);

    struct LastScope(Cell<Option<FakeLibtorch>>);
    impl Drop for LastScope {
        fn drop(&mut self) {
            let libtorch = self.0.get().unwrap();
            let before = libtorch.is_on();
            let inside = no_grad!(libtorch.is_on());
            SEEN.store(
                usize::from(before) * 4 + usize::from(inside) * 2 + usize::from(libtorch.is_on()),
                Ordering::SeqCst,
            );
        }
    }
    alone(|| {
        drop(no_grad());
        let libtorch = FakeLibtorch::loaded();
        thread::spawn(move || LAST.with(|last| last.0.set(Some(libtorch)))).join().unwrap();
        assert_eq!(SEEN.load(Ordering::SeqCst), 0b101, "on, off in the scope, on");
    });
}

/// One thread loads and unloads libraries, and then libtorch, while the others enter scopes.
#[test]
fn scopes_on_many_threads_while_libraries_come_and_go() {
    const THREADS: usize = 4;

    alone(|| {
        let libraries: Vec<_> = (0..8).map(|number| compile(&format!("plugin{number}"), NOTHING)).collect();
        let libc10 = compile("libc10", GRAD_MODE);
        let (started, done) = (Barrier::new(THREADS + 1), AtomicBool::new(false));
        let entered = AtomicUsize::new(0);
        let libtorch = std::sync::OnceLock::new();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    started.wait();
                    while !done.load(Ordering::Acquire) {
                        // Read before the scope: one that was entered before libtorch was loaded need not switch it.
                        let libtorch = libtorch.get();
                        let _guard = no_grad();
                        assert!(!is_grad_enabled());
                        assert!(libtorch.is_none_or(|libtorch: &FakeLibtorch| !libtorch.is_on()));
                        entered.fetch_add(1, Ordering::Relaxed);
                    }
                    assert!(no_grad!(!libtorch.get().unwrap().is_on()));
                    assert!(libtorch.get().unwrap().is_on());
                });
            }
            started.wait();
            for round in 0..400 {
                let library = load_locally(&libraries[round % libraries.len()]);
                if round % 3 == 0 {
                    thread::yield_now();
                }
                library.close().unwrap();
            }
            let library = load_locally(&libc10);
            libtorch.set(FakeLibtorch::of(&library)).ok().unwrap();
            std::mem::forget(library);
            let enough = entered.load(Ordering::Relaxed) + 10_000;
            while entered.load(Ordering::Relaxed) < enough {
                thread::yield_now();
            }
            done.store(true, Ordering::Release);
        });
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
    });
}

/// A library's initializer runs while the loader holds its lock.
#[test]
fn a_scope_in_the_initializer_of_the_library() {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn enter() {
        let _guard = no_grad();
        INSIDE.store(if is_grad_enabled() { 1 } else { 2 }, Ordering::SeqCst);
    }
    alone(|| {
        drop(no_grad());
        let initializer = "
            #include <stdlib.h>
            __attribute__((constructor)) static void call_back(void) {
                ((void (*)(void)) strtoull(getenv(\"GRAD_TEST_CALLS\"), 0, 10))();
            }
        ";
        let path = compile("libc10", &format!("{initializer}{GRAD_MODE}"));
        // SAFETY: no other thread of this process reads the environment.
        unsafe { std::env::set_var("GRAD_TEST_CALLS", (enter as extern "C" fn() as usize).to_string()) };
        let library = load_locally(&path);
        assert_eq!(INSIDE.load(Ordering::SeqCst), 2);
        let libtorch = FakeLibtorch::of(&library);
        assert!(libtorch.is_on());
        assert!(no_grad!(!libtorch.is_on()));
    });
}
