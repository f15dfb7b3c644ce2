use grad_runtime::prelude::*;

pub trait Reset {
    fn reset(&mut self);
}

impl Reset for std::ops::Range<u32> {
    fn reset(&mut self) {
        self.start = 0;
    }
}

#[no_grad]
pub fn steps() -> impl Iterator<Item = u32> + Reset {
    1..4
}

fn main() {
    steps().reset();
}
