//! The guarantees of scopes, which tests check by their numbers.
//!
//! A test's name begins with the number of the guarantee that it checks: `cargo test --workspace guarantee_3` runs those of
//! the third. A guarantee without such a test fails the build of this repository.
//!
//! 1. A scope belongs to its thread. A new thread starts Enabled.
//! 2. The innermost living scope decides. Every exit restores the mode: `return`, `?`, `break`, `continue`, a panic, and a
//!    future that is dropped half-way. Guards that are dropped out of order leave the mode of the innermost guard still alive.
//! 3. An array that is produced while the mode is off is a constant to every enclosing transform: reverse, forward, nested,
//!    vmapped, compiled and checkpointed. Its value is the same as without the scope.
//! 4. Outside a function that is differentiated, a scope costs nothing on the array side: no additional node, and no copy. Inside
//!    one, the operations of a scope keep no graph alive: memory does not grow with their number, evaluated or not.
//! 5. A transform that differentiates and is started inside a no-grad scope ignores that scope. Its results are constants to
//!    transforms further out. Started in inference mode, it is an error. `vmap`, `compile`, `checkpoint` and custom functions
//!    run in the mode of the call.
//! 6. A compiled function remembers nothing of the mode it was first traced in: it is traced once for each mode.
//! 7. `enable_grad` lifts `no_grad`. Nothing but `inference_mode(false)` lifts inference mode.
//! 8. Work that an annotated function returns to be run later belongs to its scope: a future, stream, iterator, closure or
//!    async closure runs in the scope each time it is resumed. The caller's mode is untouched in between.
//! 9. A guard never lives across a suspension point, nor on another thread.
//! 10. A universal scope switches every installed backend. A selective scope switches one.
//! 11. A backend with a switch of its own, such as libtorch, owns its state: a scope saves the mode that it finds, and
//!     restores it.
//! 12. A scope without any backend is not an error: it sets the mode of the thread.
//! 13. If MLX gets a switch of its own, scopes use it where its headers have it. Code that uses scopes does not change.
//!
//! 14. Every parameter without a gradient can be explained: which scope or operation cut it, at which file and line; see the
//!     module `explain`. A program that does not ask pays nothing: a scope takes no instruction more, an array no byte.
//!
//! 15. Processes that compute together agree: before a collective they compare which it is, its shape and dtype, the grad mode and
//!     the transforms around it. If they differ, each gets an error that says what each was doing, and names the scopes by file and
//!     line. Otherwise it is never a hang: a process that returns, fails or is killed is an error of the others within a time that can
//!     be set. The comparison is on by default in debug builds, and costs nothing when off; see the module `mlx::distributed`.
//!
//! 16. No safe call, however wrong, ends the process or reads outside its arrays. This includes transforms of operations.
//!
//! Graphs may be long: a chain of a million operations is recorded, evaluated, differentiated and dropped on a thread with 2 MiB
//! of stack, on both backends, in scopes and outside. MLX's compiler calls itself for each operation of a chain, so
//! `mlx::compile` returns an error for one that does not fit on the stack: 7,000 operations fit on 2 MiB.
