use grad_runtime::attr::no_grad;
use grad_runtime::no_grad;

#[no_grad]
fn embed() {}

fn main() {
    embed();
}
