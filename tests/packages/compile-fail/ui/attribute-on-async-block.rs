use grad_runtime::prelude::*;

fn main() {
    let _future = #[no_grad]
    async {
        1
    };
}
