//! The guarantees that are checked, each with advice on how to repair a violation.

/// A guarantee, with advice for one way of violating it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Guarantee {
    pub statement: &'static str,
    pub help: &'static str,
}

impl Guarantee {
    const fn new(statement: &'static str, help: &'static str) -> Self {
        Self { statement, help }
    }
}

const GUARANTEE_1: &str = "guarantee 1: a scope is this thread's alone, and a new thread starts Enabled";
const GUARANTEE_2: &str =
    "guarantee 2: the innermost living scope decides, and every way out of it restores the mode";
const GUARANTEE_3: &str =
    "guarantee 3: an array produced while the mode is off is a constant, and its value is unchanged";
const GUARANTEE_7: &str =
    "guarantee 7: `enable_grad` lifts `no_grad`, and nothing but `inference_mode(false)` lifts inference mode";
const GUARANTEE_10: &str =
    "guarantee 10: a universal scope switches every installed backend, and a selective one switches one";
const GUARANTEE_11: &str = "guarantee 11: a scope saves the mode that it finds in a backend, and restores it";
const NAME: &str = "the guarantee of `Backend::name`: a name in lower case that never changes and is unique";
const NO_PANIC: &str = "the guarantee of `Backend`: its methods do not panic";
const LAST_MODE: &str =
    "the guarantee of `Backend::set_grad_mode`: `grad_mode()` reports the mode that was set last";
const RECORDING: &str =
    "the guarantee of `Engine::operation`: an operation on a leaf is recorded where no scope is in force";

const USE_A_THREAD_LOCAL: &str = "keep the mode in a `thread_local!`, not in a `static` that every thread shares";
const USE_NO_DESTRUCTOR: &str = "keep the mode in a thread-local without a destructor, such as \
     `const { Cell::new(GradMode::Enabled) }`, or read it with `try_with` and report NoGrad once it is destroyed";
const CHECK_IN_EVERY_OPERATION: &str =
    "check the mode at the point where operations create their results, in every call";

// Guarantees of backends.
pub(super) const LOWER_CASE_NAME: &Guarantee =
    &Guarantee::new(NAME, "return a name in lower case, such as the name of your crate");
pub(super) const CONSTANT_NAME: &Guarantee =
    &Guarantee::new(NAME, "return one literal: scopes identify a backend by its name");
pub(super) const UNRESERVED_NAME: &Guarantee =
    &Guarantee::new(NAME, "choose another name: this one belongs to a backend of grad-runtime");
pub(super) const UNIQUE_NAME: &Guarantee =
    &Guarantee::new(GUARANTEE_10, "choose another name: an installed backend already has this one");
pub(super) const NEVER_PANICS: &Guarantee = &Guarantee::new(
    NO_PANIC,
    "leave the mode as it is where it cannot be switched: scopes end while threads unwind, where a panic ends the process",
);
pub(super) const NEVER_PANICS_DURING_TEARDOWN: &Guarantee = &Guarantee::new(NO_PANIC, USE_NO_DESTRUCTOR);
pub(super) const STARTS_ENABLED: &Guarantee =
    &Guarantee::new(GUARANTEE_1, "initialize the thread-local mode with `GradMode::Enabled`");
pub(super) const REPORTS_LAST_MODE: &Guarantee =
    &Guarantee::new(LAST_MODE, "store the mode that you are given, not a count of calls or the first mode");
pub(super) const INFERENCE_DISABLES: &Guarantee = &Guarantee::new(
    LAST_MODE,
    "record nothing in Inference: `mode.is_enabled()` says whether to record; a backend without an inference mode \
     reports NoGrad",
);
pub(super) const READING_CHANGES_NOTHING: &Guarantee =
    &Guarantee::new(LAST_MODE, "let `grad_mode()` read the mode and do nothing else");
pub(super) const PER_THREAD: &Guarantee = &Guarantee::new(GUARANTEE_1, USE_A_THREAD_LOCAL);
pub(super) const NOT_INHERITED: &Guarantee = &Guarantee::new(
    GUARANTEE_1,
    "keep the mode in a `thread_local!`: in a table indexed by thread, a new thread finds the mode of one that ended",
);
pub(super) const SWITCHED_BY_SCOPES: &Guarantee =
    &Guarantee::new(GUARANTEE_10, "apply every mode that `set_grad_mode` is given, wherever it is called");
pub(super) const OTHERS_UNCHANGED: &Guarantee = &Guarantee::new(
    GUARANTEE_10,
    "give the backend a switch that no other backend reads or sets; an engine that follows this thread's mode needs no \
     `Backend`: it calls `is_grad_enabled()`",
);
pub(super) const INNERMOST_DECIDES: &Guarantee =
    &Guarantee::new(GUARANTEE_2, "store the mode that you are given: scopes remember the modes outside of them");
pub(super) const EVERY_EXIT_RESTORES: &Guarantee = &Guarantee::new(
    GUARANTEE_2,
    "apply every mode that `set_grad_mode` is given, also while the thread is panicking",
);
pub(super) const TEARDOWN_RESTORES: &Guarantee = &Guarantee::new(GUARANTEE_2, USE_NO_DESTRUCTOR);
pub(super) const FOUND_MODE_IS_RESTORED: &Guarantee =
    &Guarantee::new(GUARANTEE_11, "apply every mode that `set_grad_mode` is given, whichever it is");
pub(super) const ENABLE_GRAD_LIFTS: &Guarantee = &Guarantee::new(
    GUARANTEE_7,
    "report the mode in force, and apply the mode that you are given: scopes remember the rest",
);
pub(super) const SNAPSHOTS_APPLY: &Guarantee = &Guarantee::new(GUARANTEE_1, USE_A_THREAD_LOCAL);

// Guarantees of engines.
pub(super) const RECORDS_WITHOUT_A_SCOPE: &Guarantee = &Guarantee::new(
    RECORDING,
    "let `Engine::leaf` return an array that requires a gradient and `Engine::operation` apply a differentiable operation",
);
pub(super) const RECORDS_NOTHING: &Guarantee = &Guarantee::new(GUARANTEE_3, CHECK_IN_EVERY_OPERATION);
pub(super) const SAME_VALUE: &Guarantee =
    &Guarantee::new(GUARANTEE_3, "compute first, then decide whether to record: a scope must not change values");
pub(super) const STAYS_CONSTANT: &Guarantee =
    &Guarantee::new(GUARANTEE_3, "keep no reference to the inputs in a result that is not recorded");
pub(super) const STAYS_RECORDED: &Guarantee = &Guarantee::new(
    GUARANTEE_3,
    "let scopes decide about new results only: an array recorded before stays recorded",
);
pub(super) const OBEYS_ITS_BACKEND: &Guarantee = &Guarantee::new(
    GUARANTEE_10,
    "check the mode of the backend that `Engine::backend` returns, and no other: `is_grad_enabled()` is the mode of `Cpu`",
);
pub(super) const OBEYS_ENABLE_GRAD: &Guarantee = &Guarantee::new(GUARANTEE_7, CHECK_IN_EVERY_OPERATION);
pub(super) const OBEYS_THE_INNERMOST: &Guarantee = &Guarantee::new(GUARANTEE_2, CHECK_IN_EVERY_OPERATION);
pub(super) const OBEYS_ITS_THREAD: &Guarantee = &Guarantee::new(GUARANTEE_1, USE_A_THREAD_LOCAL);
