use grad_runtime::prelude::*;

#[derive(Clone, Copy)]
pub struct Ones;

impl Iterator for Ones {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        Some(1)
    }
}

#[no_grad]
pub fn steps() -> Option<impl Iterator<Item = u32> + Copy> {
    Some(Ones)
}

fn main() {
    steps();
}
