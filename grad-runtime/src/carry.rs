//! Scopes that travel with work that runs later: so far, the body of an annotated `async fn`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::guard::GradGuard;

pin_project_lite::pin_project! {
    /// A future that enters its scope each time it is polled, and while it is dropped.
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct Scoped<F, E>
    where
        E: Fn() -> GradGuard,
    {
        // Empty only while dropping: a pinned value can be dropped early only by replacing it.
        #[pin]
        future: Option<F>,
        enter: E,
    }

    impl<F, E> PinnedDrop for Scoped<F, E>
    where
        E: Fn() -> GradGuard,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _guard = (this.enter)();
            this.future.set(None);
        }
    }
}

/// Runs `future` in the scope that `enter` enters.
pub fn scoped<F, E>(enter: E, future: F) -> Scoped<F, E>
where
    F: Future,
    E: Fn() -> GradGuard,
{
    Scoped { future: Some(future), enter }
}

impl<F, E> Future for Scoped<F, E>
where
    F: Future,
    E: Fn() -> GradGuard,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _guard = (this.enter)();
        match this.future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => unreachable!("the future is taken out only by drop"),
        }
    }
}
