//! The workers: threads that take batches from the queue and run the forward pass.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, ensure};
use grad_runtime::attr::inference_mode;

use crate::log;
use crate::metrics::{Failure, Metrics, Place};
use crate::model::{Embedding, Model, SharedModel};
use crate::queue::{BatchFailed, Item, Queue};

/// Starts `count` workers and waits until each has opened the model.
///
/// # Errors
///
/// If a thread cannot be started or cannot open the model. The workers that were started end with the queue.
pub fn start(
    count: usize,
    model: &Arc<dyn SharedModel>,
    queue: &Arc<Queue>,
    metrics: &Arc<Metrics>,
) -> Result<Vec<JoinHandle<()>>> {
    let (report, reports) = mpsc::channel();
    let threads = (1..=count).map(|number| {
        let (model, queue, metrics) = (Arc::clone(model), Arc::clone(queue), Arc::clone(metrics));
        let report = report.clone();
        let run = move || match model.open() {
            Ok(model) => {
                // The receiver is gone if another worker has failed.
                let _ = report.send(Ok(()));
                drop(report);
                work(&*model, &queue, &metrics);
            }
            Err(error) => _ = report.send(Err(error)),
        };
        let name = format!("worker-{number}");
        thread::Builder::new().name(name).spawn(run).context("cannot start a worker: the system refuses a thread")
    });
    let threads = threads.collect::<Result<Vec<_>>>()?;
    drop(report);
    for _ in &threads {
        // A thread that panics drops its sender, and the last of them ends the channel.
        let opened = reports.recv().unwrap_or_else(|_| Err(anyhow!("it panicked")));
        opened.context("cannot open the model in a worker")?;
    }
    Ok(threads)
}

/// Answers batches until the queue is closed and empty.
fn work(model: &dyn Model, queue: &Queue, metrics: &Metrics) {
    while let Some(batch) = queue.next_batch() {
        metrics.add_batch(batch.len());
        metrics.check_mode(Place::BetweenBatches);
        // The arrays of the model never change, so a panic leaves nothing half done in it.
        let embeddings = catch_unwind(AssertUnwindSafe(|| embed(model, &batch, metrics)));
        metrics.check_mode(Place::BetweenBatches);
        answer(batch, embeddings, metrics);
    }
}

/// Embeds a batch in inference mode. The scope ends with the function, however it ends.
#[inference_mode]
fn embed(model: &dyn Model, batch: &[Item], metrics: &Metrics) -> Result<Vec<Embedding>> {
    let texts = batch.iter().map(|item| &*item.text).collect::<Vec<_>>();
    let embeddings = model.embed(&texts)?;
    metrics.check_mode(Place::Batch);
    ensure!(embeddings.len() == batch.len(), "{} texts have {} embeddings", batch.len(), embeddings.len());
    Ok(embeddings)
}

/// Sends each handler its embedding, or the failure of the batch. A handler that is gone needs neither.
fn answer(batch: Vec<Item>, embeddings: Result<Result<Vec<Embedding>>, Box<dyn Any + Send>>, metrics: &Metrics) {
    let failure = match embeddings {
        Ok(Ok(embeddings)) => {
            for (item, embedding) in batch.into_iter().zip(embeddings) {
                let _ = item.answer.send(Ok(embedding));
            }
            return;
        }
        Ok(Err(error)) => {
            log::line(format_args!("cannot embed a batch of {}: {error:#}", batch.len()));
            Failure::Error
        }
        // The panic hook has written the message.
        Err(_) => Failure::Panic,
    };
    metrics.add_failure(failure);
    for item in batch {
        let _ = item.answer.send(Err(BatchFailed));
    }
}
