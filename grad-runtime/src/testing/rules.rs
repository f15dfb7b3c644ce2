//! The promises that are checked, and what to do about each when it is broken.

/// A promise, and advice for one way of breaking it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub promise: &'static str,
    pub help: &'static str,
}

impl Rule {
    const fn new(promise: &'static str, help: &'static str) -> Self {
        Self { promise, help }
    }
}

const LAW_1: &str = "law 1: a scope is this thread's alone, and a new thread starts Enabled";
const LAW_2: &str = "law 2: the innermost living scope decides, and every way out of it restores";
const LAW_3: &str = "law 3: what is made while the mode is off is a constant, and its value is the same";
const LAW_7: &str =
    "law 7: `enable_grad` lifts `no_grad`, and nothing but `inference_mode(false)` lifts inference mode";
const LAW_10: &str =
    "law 10: a universal scope switches every installed backend, a selective one that backend only";
const LAW_11: &str = "law 11: what a scope found in a backend is what it puts back";
const NAME: &str = "the contract of `Backend::name`: a name in lower case that belongs to this backend for good";
const SET: &str = "the contract of `Backend::set_grad_mode`: `grad_mode()` reports the mode that was set last";

const A_MODE_PER_THREAD: &str = "keep the mode in a `thread_local!`, not in a `static` that every thread shares";
const A_SWITCH_OF_ITS_OWN: &str = "give the backend a switch of its own; an engine that follows this thread's mode needs \
     no `Backend`: it asks `is_grad_enabled()`";
const ASK_AT_EVERY_OPERATION: &str =
    "ask whether to record at the one place where operations hand out their results, each time";

// Of backends.
pub(super) const NAME_IN_LOWER_CASE: &Rule =
    &Rule::new(NAME, "return a name in lower case, such as the name of your crate");
pub(super) const NAME_THAT_LASTS: &Rule =
    &Rule::new(NAME, "return one literal: scopes recognise a backend by its name");
pub(super) const NAME_OF_ITS_OWN: &Rule =
    &Rule::new(NAME, "choose another name: this one belongs to a backend of grad-runtime");
pub(super) const NAME_NOBODY_ELSE_HAS: &Rule =
    &Rule::new(LAW_10, "choose another name: a backend that is installed already has this one");
pub(super) const NEVER_PANICS: &Rule = &Rule::new(
    "the contract of `Backend`: its methods do not panic",
    "leave the mode as it is where it cannot be switched: scopes end while threads unwind, where a panic ends the process",
);
pub(super) const NEVER_PANICS_AT_TEAR_DOWN: &Rule = &Rule::new(
    "the contract of `Backend`: its methods do not panic",
    "keep the mode in a thread-local without a destructor, such as `const { Cell::new(GradMode::Enabled) }`, or ask with \
     `try_with`, and report NoGrad where it is gone",
);
pub(super) const STARTS_ENABLED: &Rule =
    &Rule::new(LAW_1, "initialise the thread-local mode with `GradMode::Enabled`");
pub(super) const LAST_SET_IS_REPORTED: &Rule =
    &Rule::new(SET, "keep the mode that you are given, rather than a count of calls or a mode set once");
pub(super) const INFERENCE_IS_OFF: &Rule = &Rule::new(
    SET,
    "record nothing in Inference: `mode.is_enabled()` says whether to record; without an inference mode of its own, a \
     backend reports NoGrad",
);
pub(super) const ASKING_CHANGES_NOTHING: &Rule =
    &Rule::new(SET, "let `grad_mode()` read the mode and do nothing else");
pub(super) const THIS_THREADS_ALONE: &Rule = &Rule::new(LAW_1, A_MODE_PER_THREAD);
pub(super) const GONE_WITH_ITS_THREAD: &Rule = &Rule::new(
    LAW_1,
    "keep the mode in a `thread_local!`: in a table by thread, the next thread in a place finds what the last one left",
);
pub(super) const SCOPES_SWITCH_IT: &Rule =
    &Rule::new(LAW_10, "put in force every mode that `set_grad_mode` is given, wherever it is called");
pub(super) const OTHERS_ARE_LEFT_ALONE: &Rule = &Rule::new(LAW_10, A_SWITCH_OF_ITS_OWN);
pub(super) const INNERMOST_DECIDES: &Rule =
    &Rule::new(LAW_2, "keep the mode that you are given: scopes know what is outside of them");
pub(super) const WAYS_OUT_RESTORE: &Rule =
    &Rule::new(LAW_2, "put in force every mode that `set_grad_mode` is given, also while a thread is panicking");
pub(super) const RESTORES_AT_TEAR_DOWN: &Rule = &Rule::new(LAW_2, NEVER_PANICS_AT_TEAR_DOWN.help);
pub(super) const FOUND_IS_PUT_BACK: &Rule =
    &Rule::new(LAW_11, "put in force every mode that `set_grad_mode` is given, whichever it is");
pub(super) const ENABLE_GRAD_LIFTS: &Rule =
    &Rule::new(LAW_7, "report the mode in force, and put in force what you are given: scopes remember the rest");
pub(super) const CARRIED_MODES_ARRIVE: &Rule = &Rule::new(LAW_1, A_MODE_PER_THREAD);

// Of engines.
pub(super) const RECORDS_WITHOUT_A_SCOPE: &Rule = &Rule::new(
    "what an engine is for: an operation on a leaf is recorded where no scope is in force",
    "let `Engine::leaf` make an array that requires a gradient and `Engine::operation` apply a differentiable operation",
);
pub(super) const RECORDS_NOTHING: &Rule = &Rule::new(LAW_3, ASK_AT_EVERY_OPERATION);
pub(super) const SAME_VALUE: &Rule =
    &Rule::new(LAW_3, "compute first, then decide whether to record: a scope changes nothing about values");
pub(super) const A_CONSTANT_LATER_TOO: &Rule =
    &Rule::new(LAW_3, "keep no way back to its inputs in a result that is not recorded");
pub(super) const WHAT_WAS_RECORDED_STAYS: &Rule =
    &Rule::new(LAW_3, "let scopes decide about new results only: an array recorded before stays recorded");
pub(super) const OBEYS_ITS_BACKEND: &Rule = &Rule::new(
    LAW_10,
    "ask the backend that `Engine::backend` names, and no other: `is_grad_enabled()` is the CPU's mode",
);
pub(super) const OBEYS_ENABLE_GRAD: &Rule = &Rule::new(LAW_7, ASK_AT_EVERY_OPERATION);
pub(super) const OBEYS_THE_INNERMOST: &Rule = &Rule::new(LAW_2, ASK_AT_EVERY_OPERATION);
pub(super) const OBEYS_ITS_THREAD: &Rule = &Rule::new(LAW_1, A_MODE_PER_THREAD);
