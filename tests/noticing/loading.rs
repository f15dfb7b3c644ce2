//! Finding the switch: before libtorch is there, when it comes, and in every way that it comes.

use std::cell::Cell;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use grad_runtime::{
    Backend, Cpu, Error, GradMode, Modes, Torch, grad_mode, inference_mode, install, installed, is_grad_enabled,
    no_grad,
};

use GradMode::{Enabled, NoGrad};

use crate::library::{GRAD_MODE, NOTHING, Theirs, compile, load_globally, load_locally};
use crate::process::alone;

fn names() -> Vec<&'static str> {
    installed().map(Backend::name).collect()
}

#[test]
fn law_12_without_libtorch_a_scope_is_still_a_scope() {
    alone(|| {
        {
            let _guard = no_grad();
            assert_eq!((Cpu.grad_mode(), Torch.grad_mode()), (NoGrad, Enabled), "there is nothing to switch");
        }
        assert_eq!(names(), ["cpu", "mlx"]);
        let why = Torch::available().unwrap_err().to_string();
        assert!(why.starts_with("cannot use torch: no libc10."), "{why}");
        assert!(why.ends_with("link or load libtorch, and scopes will find it"), "{why}");
    });
}

#[test]
fn law_12_a_selective_scope_without_libtorch_is_harmless() {
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
fn the_first_scope_finds_what_is_there() {
    alone(|| {
        let theirs = Theirs::loaded();
        assert!(no_grad!(!theirs.on()));
        assert!(theirs.on());
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
        Torch::available().unwrap();
    });
}

#[test]
fn the_first_scope_after_it_was_loaded_finds_it() {
    alone(|| {
        drop(no_grad());
        drop(inference_mode(true));
        assert_eq!(names(), ["cpu", "mlx"]);
        let theirs = Theirs::loaded();
        assert!(no_grad!(!theirs.on()));
        assert!(theirs.on());
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
    });
}

#[test]
fn it_is_found_by_its_symbols_where_they_are_global() {
    alone(|| {
        drop(no_grad());
        let library = load_globally(&compile("libanything", GRAD_MODE));
        let theirs = Theirs::of(&library);
        assert!(no_grad!(!theirs.on()));
    });
}

#[test]
fn it_is_found_by_its_name_where_they_are_not() {
    alone(|| {
        drop(no_grad());
        let others = [("libc10_cuda", NOTHING), ("libc100", GRAD_MODE), ("libanything", GRAD_MODE)];
        let others = others.map(|(name, text)| load_locally(&compile(name, text)));
        assert_eq!(no_grad!(Torch.grad_mode()), Enabled, "none of these is libtorch");
        let library = load_locally(&compile("libc10-1a2b3c4d", GRAD_MODE));
        let theirs = Theirs::of(&library);
        assert!(no_grad!(!theirs.on()));
        assert!(no_grad!(others[1..].iter().all(|other| Theirs::of(other).on())));
    });
}

#[test]
fn every_way_to_ask_for_all_backends_looks() {
    alone(|| {
        drop(no_grad());
        Theirs::loaded();
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
    });
}

#[test]
fn modes_that_are_taken_down_include_it() {
    alone(|| {
        assert_eq!(format!("{:?}", Modes::current()), r#"{"cpu": Enabled, "mlx": Enabled}"#);
        let theirs = Theirs::loaded();
        theirs.set(false);
        assert_eq!(format!("{:?}", Modes::current()), r#"{"cpu": Enabled, "mlx": Enabled, "torch": NoGrad}"#);
    });
}

#[test]
fn modes_that_are_entered_reach_it() {
    alone(|| {
        let modes = Modes::all(NoGrad);
        drop(modes.enter());
        let theirs = Theirs::loaded();
        let guard = modes.enter();
        assert!(!theirs.on());
        drop(guard);
        assert!(theirs.on());
    });
}

#[test]
fn a_selective_scope_finds_it_and_installs_nothing() {
    alone(|| {
        drop(no_grad());
        let theirs = Theirs::loaded();
        no_grad! { <Torch>
            assert_eq!((theirs.on(), is_grad_enabled()), (false, true));
        }
        no_grad! { <Cpu>
            assert_eq!((theirs.on(), is_grad_enabled()), (true, false));
        }
        assert!(no_grad!(!theirs.on()), "and the next universal scope installs it");
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
    });
}

/// A scope that was entered before does not reach it, and does not disturb it.
#[test]
fn law_11_loaded_inside_a_scope() {
    alone(|| {
        let outer = no_grad();
        let theirs = Theirs::loaded();
        assert!(theirs.on());
        {
            let _inner = no_grad();
            assert!(!theirs.on());
        }
        assert!(theirs.on());
        theirs.set(false);
        drop(outer);
        assert!(!theirs.on());
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
fn another_backend_with_a_switch_is_no_obstacle() {
    alone(|| {
        install(&Engine("engine")).unwrap();
        drop(no_grad());
        assert_eq!(names(), ["cpu", "mlx", "engine"]);
        let theirs = Theirs::loaded();
        assert!(no_grad!(!theirs.on()));
        assert_eq!(names(), ["cpu", "mlx", "engine", "torch"]);
    });
}

#[test]
fn installed_by_hand_before_it_is_loaded() {
    alone(|| {
        install(&Torch).unwrap();
        assert!(matches!(install(&Torch), Err(Error::AlreadyInstalled(taken)) if taken.name == "torch"));
        drop(no_grad());
        let theirs = Theirs::loaded();
        assert!(no_grad!(!theirs.on()));
        assert!(theirs.on());
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
    });
}

#[test]
fn installed_by_hand_after_a_scope_has_done_so() {
    alone(|| {
        let theirs = Theirs::loaded();
        drop(no_grad());
        assert!(matches!(install(&Torch), Err(Error::AlreadyInstalled(taken)) if taken.name == "torch"));
        assert!(no_grad!(!theirs.on()));
    });
}

#[test]
fn a_backend_of_ones_own_under_its_name_is_kept() {
    alone(|| {
        install(&Engine("torch")).unwrap();
        let theirs = Theirs::loaded();
        assert!(no_grad!(theirs.on()));
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
    });
}

/// Its functions are kept, so it is too.
#[test]
fn it_stays_where_it_is_once_it_was_found() {
    alone(|| {
        let library = load_locally(&compile("libc10", GRAD_MODE));
        let theirs = Theirs::of(&library);
        drop(no_grad());
        library.close().unwrap();
        assert!(no_grad!(!theirs.on()));
        assert!(theirs.on());
    });
}

/// The last library is pinned by a look, and others go as they like.
#[cfg(target_os = "linux")]
#[test]
fn libraries_that_scopes_have_not_seen_last_can_be_unloaded() {
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

        let theirs = Theirs::loaded();
        assert!(no_grad!(!theirs.on()));
    });
}

#[test]
fn a_scope_in_the_destructor_of_a_thread_local() {
    thread_local!(static LAST: LastScope = const { LastScope(Cell::new(None)) });
    static SEEN: AtomicUsize = AtomicUsize::new(0);

    struct LastScope(Cell<Option<Theirs>>);
    impl Drop for LastScope {
        fn drop(&mut self) {
            let theirs = self.0.get().unwrap();
            let before = theirs.on();
            let inside = no_grad!(theirs.on());
            SEEN.store(
                usize::from(before) * 4 + usize::from(inside) * 2 + usize::from(theirs.on()),
                Ordering::SeqCst,
            );
        }
    }
    alone(|| {
        drop(no_grad());
        let theirs = Theirs::loaded();
        thread::spawn(move || LAST.with(|last| last.0.set(Some(theirs)))).join().unwrap();
        assert_eq!(SEEN.load(Ordering::SeqCst), 0b101, "on, off in the scope, on");
    });
}

/// One thread loads and unloads libraries and then libtorch; the others enter scopes all the while.
#[test]
fn scopes_on_many_threads_while_libraries_come_and_go() {
    const THREADS: usize = 4;

    alone(|| {
        let libraries: Vec<_> = (0..8).map(|number| compile(&format!("plugin{number}"), NOTHING)).collect();
        let libc10 = compile("libc10", GRAD_MODE);
        let (all_there, over) = (Barrier::new(THREADS + 1), AtomicBool::new(false));
        let entered = AtomicUsize::new(0);
        let theirs = std::sync::OnceLock::new();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    all_there.wait();
                    while !over.load(Ordering::Acquire) {
                        // Asked first: a scope that was entered before it was loaded need not reach it.
                        let theirs = theirs.get();
                        let _guard = no_grad();
                        assert!(!is_grad_enabled());
                        assert!(theirs.is_none_or(|theirs: &Theirs| !theirs.on()));
                        entered.fetch_add(1, Ordering::Relaxed);
                    }
                    assert!(no_grad!(!theirs.get().unwrap().on()));
                    assert!(theirs.get().unwrap().on());
                });
            }
            all_there.wait();
            for round in 0..400 {
                let library = load_locally(&libraries[round % libraries.len()]);
                if round % 3 == 0 {
                    thread::yield_now();
                }
                library.close().unwrap();
            }
            let library = load_locally(&libc10);
            theirs.set(Theirs::of(&library)).ok().unwrap();
            std::mem::forget(library);
            let enough = entered.load(Ordering::Relaxed) + 10_000;
            while entered.load(Ordering::Relaxed) < enough {
                thread::yield_now();
            }
            over.store(true, Ordering::Release);
        });
        assert_eq!(names(), ["cpu", "mlx", "torch"]);
    });
}

/// The loader holds its lock while it runs an initializer.
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
        let theirs = Theirs::of(&library);
        assert!(theirs.on());
        assert!(no_grad!(!theirs.on()));
    });
}
