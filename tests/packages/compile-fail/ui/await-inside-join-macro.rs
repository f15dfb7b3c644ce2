mod futures {
    macro_rules! join {
        ($($future:expr),*) => {{ $($future.await);* }};
    }
    pub(crate) use join;
}

async fn future() {}

async fn both() {
    grad_runtime::no_grad! {
        futures::join!(future(), future());
    }
}

fn main() {
    let _ = both();
}
