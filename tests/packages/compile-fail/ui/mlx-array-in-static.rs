use std::sync::OnceLock;

use grad_runtime::mlx::Array;

static WEIGHT: OnceLock<Array> = OnceLock::new();

fn main() {
    let _ = WEIGHT.get();
}
