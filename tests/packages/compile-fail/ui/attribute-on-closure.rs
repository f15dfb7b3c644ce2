use grad_runtime::prelude::*;

fn main() {
    let step = #[no_grad]
    |x: f32| x + 1.0;
    step(1.0);
}
