//! What the crate asks of an array beyond its public operations.

use super::ffi::SharedHandle;
use super::{Array, sharing, transforms};
use crate::array::Sealed;
use crate::dtype::Buffer;
use crate::error::{Error, Operand, Result};
use crate::explain::record::Key;
use crate::params::compiled::Compiler;

impl Sealed for Array {
    #[track_caller]
    fn value_and_grad_as<F, E>(op: &'static str, function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        transforms::value_and_grad(op, function, primals)
    }

    type Shared = SharedHandle;

    fn share_all(arrays: &[Self]) -> Result<Vec<SharedHandle>> {
        sharing::share_all(arrays)
    }

    fn open(shared: &SharedHandle) -> Result<Self> {
        sharing::open(shared)
    }

    fn describe(shared: &SharedHandle) -> Operand {
        sharing::describe(shared)
    }

    fn eval_all(arrays: &[Self]) -> Result<()> {
        super::eval(arrays)
    }

    fn async_eval_all(arrays: &[Self]) -> Result<()> {
        super::async_eval(arrays)
    }

    fn compiler() -> Option<Compiler<Self>> {
        Some(|function| {
            let compiled = super::compile(function);
            Box::new(move |inputs| compiled.call(inputs))
        })
    }

    fn peek(&self) -> Result<Buffer<'static>> {
        self.read()
    }

    fn key(&self) -> Key {
        Key::Descriptor(self.handle().id())
    }
}
