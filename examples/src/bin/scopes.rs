//! Prints what each form of scope changes.
//!
//! ```text
//! cargo run --release -p grad-examples --bin scopes
//! ```

#[macro_use]
extern crate grad_runtime;

use std::num::ParseIntError;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

#[cfg(feature = "cpu")]
use grad_runtime::cpu;
#[cfg(feature = "mlx")]
use grad_runtime::mlx;
use grad_runtime::prelude::*;
use grad_runtime::{GradMode, grad_mode};

#[cfg_attr(
    not(any(feature = "cpu", feature = "mlx")),
    expect(clippy::unnecessary_wraps, reason = "only operations on arrays fail")
)]
fn main() -> anyhow::Result<()> {
    forms();
    #[cfg(feature = "cpu")]
    arrays::show::<cpu::Array>(|| Ok("cpu".to_owned()))?;
    #[cfg(feature = "mlx")]
    match mlx::check_available() {
        Ok(()) => arrays::show::<mlx::Array>(|| Ok(mlx::default_device()?.to_string()))?,
        Err(reason) => println!("\nWithout MLX: {reason}"),
    }
    Ok(())
}

/// Shows every form of scope. None needs a backend.
#[expect(clippy::items_after_statements, clippy::unused_self, reason = "each form stands beside what it shows")]
fn forms() {
    println!("Grad mode of this thread, with MLX or without: {:?}", grad_mode());

    #[no_grad]
    fn on_a_function() -> GradMode {
        grad_mode()
    }
    show("#[no_grad] fn", on_a_function());

    struct Trainer {
        training: bool,
    }
    impl Trainer {
        #[no_grad]
        fn evaluate(&self) -> GradMode {
            grad_mode()
        }

        #[set_grad_enabled(self.training)]
        fn step(&self) -> GradMode {
            grad_mode()
        }
    }
    show("#[no_grad] on a method", Trainer { training: true }.evaluate());
    show("#[set_grad_enabled(self.training)], training", Trainer { training: true }.step());
    show("#[set_grad_enabled(self.training)], evaluating", Trainer { training: false }.step());

    #[no_grad]
    async fn on_an_async_function() -> GradMode {
        suspend_once().await;
        grad_mode()
    }
    let (inside, between) = poll_to_the_end(on_an_async_function());
    show("#[no_grad] async fn, at each poll", inside);
    show("  its caller, between two polls", between);

    #[no_grad]
    fn that_returns_an_iterator() -> impl Iterator<Item = GradMode> {
        std::iter::repeat_with(grad_mode)
    }
    let mut modes = that_returns_an_iterator();
    show("#[no_grad] fn that returns an iterator, as it runs", modes.next().expect("it is infinite"));
    let carried = no_grad! { grad_runtime::thread::spawn(grad_mode) };
    show("thread::spawn in a no_grad! block", carried.join().expect("it does not panic"));

    fn with_a_question_mark(text: &str) -> Result<i32, ParseIntError> {
        Ok(no_grad! { text.parse::<i32>()? } + 1)
    }
    assert!(with_a_question_mark("many").is_err());
    show("after `?` has left no_grad! { … }", grad_mode());

    no_grad! { <Mlx>
        show("no_grad! { <Mlx> … }, mode of MLX", Mlx.grad_mode());
        show("  mode of the CPU", Cpu.grad_mode());
    }

    let guard = grad_runtime::no_grad();
    show("a guard", grad_mode());
    show("  enable_grad! inside", enable_grad! { grad_mode() });
    drop(guard);
    show("  after its drop", grad_mode());

    inference_mode! {
        show("inference_mode!", grad_mode());
        show("  enable_grad! inside, without effect", enable_grad! { grad_mode() });
        show("  inference_mode!(false, …) inside", inference_mode!(false, { grad_mode() }));
    }
}

fn show(form: &str, mode: GradMode) {
    println!("  {form:<50} {mode:?}");
}

/// Suspends once.
async fn suspend_once() {
    let mut polled = false;
    std::future::poll_fn(|_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending })
        .await;
}

/// Returns the future's output, and the caller's mode while the future was pending.
fn poll_to_the_end<T>(future: impl Future<Output = T>) -> (T, GradMode) {
    let mut future = pin!(future);
    let mut between = grad_mode();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => return (output, between),
            Poll::Pending => between = grad_mode(),
        }
    }
}

/// The effect of a scope on arrays.
#[cfg(any(feature = "cpu", feature = "mlx"))]
mod arrays {
    use grad_examples::embedder::{Embed, Embedder, Options};
    use grad_examples::model_files::ModelFiles;
    use grad_runtime::explain;
    use grad_runtime::prelude::*;

    /// Shows the effect on the backend of `A`. `device` returns its default device.
    pub fn show<A: Array>(device: fn() -> Result<String>) -> anyhow::Result<()> {
        println!("\nOn {}:", A::backend().name());
        inside_a_transform::<A>()?;
        missing_gradients::<A>()?;

        let before = device()?;
        let inside = no_grad! { device()? };
        println!("  device before, inside and after a scope: {before}, {inside}, {}", device()?);

        embeddings::<A>()
    }

    /// Shows the derivative of x · x² at 3, where x² is meant to be a constant target.
    fn inside_a_transform<A: Array>() -> anyhow::Result<()> {
        let x = A::from_slice(&[3.0_f32], &[1])?;
        let derivative = |loss: fn(&A) -> Result<A>| -> Result<f32> {
            A::grad(|primals| loss(&primals[0]), std::slice::from_ref(&x))?[0].item()
        };

        let scoped = derivative(|x| {
            let target = no_grad! { x.square()? };
            x.multiply(&target)?.sum_all()
        })?;
        // The same with a `no_grad` that does nothing.
        let no_op = derivative(|x| {
            let target = x.square()?;
            x.multiply(&target)?.sum_all()
        })?;
        println!("  d/dx of x · no_grad(x²) at 3: {scoped} = x², since the target is a constant");
        println!("  with a no_grad that does nothing: {no_op} = 3x², since gradient flows through the target too");
        Ok(())
    }

    #[derive(Params)]
    struct Model<A: Array> {
        encoder: A,
        head: A,
        decoder: A,
    }

    /// Shows a report of a model whose encoder runs in a scope, and whose decoder is not used.
    fn missing_gradients<A: Array>() -> anyhow::Result<()> {
        let ones = |shape: &[usize]| A::ones(shape, Dtype::Float32);
        let model = Model { encoder: ones(&[3, 2])?, head: ones(&[2, 1])?, decoder: ones(&[2, 3])? };
        let x = ones(&[4, 3])?;
        let report = explain::gradients(
            |model: &Model<A>| {
                let features = no_grad! { x.matmul(&model.encoder)? };
                features.matmul(&model.head)?.square()?.mean_all()
            },
            &model,
        )?;
        println!("  why gradients are missing:");
        for line in report.to_string().lines() {
            println!("    {line}");
        }
        Ok(())
    }

    /// Shows embeddings, which are computed under `#[no_grad]`.
    fn embeddings<A: Array>() -> anyhow::Result<()> {
        const SENTENCES: [&str; 3] =
            ["A cat sits on the mat.", "A kitten rests on a rug.", "The compiler is slow."];
        let engine = Embedder::<A>::new(A::backend().name().into(), &ModelFiles::open(None)?, Options::default())?;
        let vectors = engine.embed(&SENTENCES, &mut |_| {})?;
        let cosine = |a: usize, b: usize| -> f32 { vectors[a].iter().zip(&vectors[b]).map(|(a, b)| a * b).sum() };
        println!("  the embedding of {:?} has length {:.6}", SENTENCES[0], cosine(0, 0).sqrt());
        println!("  its cosine with {:?}: {:.3}", SENTENCES[1], cosine(0, 1));
        println!("  its cosine with {:?}: {:.3}", SENTENCES[2], cosine(0, 2));
        Ok(())
    }
}
