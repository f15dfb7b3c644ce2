use std::pin::Pin;
use std::rc::Rc;

use grad_runtime::prelude::*;

#[no_grad]
pub fn later(held: Rc<u8>) -> Pin<Box<dyn Future<Output = u8> + Send>> {
    Box::pin(async move { *held })
}

fn main() {
    drop(later(Rc::new(1)));
}
