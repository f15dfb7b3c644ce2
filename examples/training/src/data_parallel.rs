//! Trains a head on several processes, each on its part of every batch.

use anyhow::{Result, ensure};
use grad_runtime::mlx::distributed::{self, Group};
use grad_runtime::mlx::{self, Array};
use grad_runtime::optim::{AdamW, AdamWOptions};
use grad_runtime::{no_grad, params};

use crate::data::{DataSet, Example};
use crate::model::{Classifier, Encoder, Linear};
use crate::rng::Rng;

/// How a head is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How often each passage is seen.
    pub epochs: usize,
    /// The number of passages of a step, on all processes together: a multiple of their number.
    pub batch: usize,
    /// The learning rate.
    pub lr: f64,
    /// Where random numbers start.
    pub seed: u64,
}

/// What has been reached after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The number of steps so far.
    pub step: usize,
    /// The mean loss of the batch, before the step.
    pub loss: f32,
}

/// Trains the head of a model, whose encoder stays as it is, and calls `progress` after each step. All processes of the group must
/// call this with the same data and settings. They end with the same head: that of rank 0 is where they start.
///
/// # Errors
///
/// If the batch does not divide among the processes, a step fails, or another process has left.
pub fn train<E: Encoder<Array>>(
    model: &mut Classifier<Array, E>,
    data: &DataSet,
    settings: Settings,
    group: &Group,
    mut progress: impl FnMut(Progress) -> Result<()>,
) -> Result<()> {
    let Settings { epochs, batch, lr, seed } = settings;
    ensure!(
        batch.is_multiple_of(group.size()) && (1..=data.training.len()).contains(&batch),
        "cannot train: a batch of {batch} of {} passages does not divide among {} processes",
        data.training.len(),
        group.size()
    );
    model.head = params::broadcast(&model.head, group)?;
    let mut optimizer = AdamW::new(&model.head, AdamWOptions { lr, ..AdamWOptions::default() })?;
    // The same order on each process.
    let (mut rng, mut order, mut step) = (Rng::new(seed), data.training.iter().collect::<Vec<_>>(), 0);
    for _ in 0..epochs {
        rng.shuffle(&mut order);
        for batch in order.chunks_exact(batch) {
            let (loss, gradients) = value_and_grad(model, share(batch, group))?;
            let gradients = params::average_gradients(&gradients, group)?;
            optimizer.step(&mut model.head, &gradients)?;
            params::eval(&(model.head.clone(), optimizer.clone()))?;
            let loss = no_grad!(distributed::all_sum(&loss, group)?.item::<f32>()?);
            ensure!(loss.is_finite(), "cannot train: the loss is {loss} in step {step}; use a lower learning rate");
            step += 1;
            #[expect(clippy::cast_precision_loss, reason = "there are few processes")]
            progress(Progress { step, loss: loss / group.size() as f32 })?;
        }
    }
    Ok(())
}

/// Returns the part of examples that this process works on.
fn share<'a, 'b>(examples: &'a [&'b Example], group: &Group) -> &'a [&'b Example] {
    let start = |rank: usize| examples.len() * rank / group.size();
    &examples[start(group.rank())..start(group.rank() + 1)]
}

/// Computes the mean loss of examples, and its gradient with respect to the head. The encoder runs under `#[no_grad]`.
fn value_and_grad<E: Encoder<Array>>(
    model: &Classifier<Array, E>,
    examples: &[&Example],
) -> Result<(Array, Linear<Array>)> {
    let (texts, labels) = texts_and_labels(examples)?;
    let features = model.features(&texts)?;
    let loss = |head: &Linear<Array>| head.forward(&features)?.cross_entropy(&labels)?.mean_all();
    Ok(params::value_and_grad(loss, &model.head)?)
}

/// Returns the fraction of validation passages whose class is recognized. Each process looks at its part of them.
///
/// # Errors
///
/// If there are none, or another process has left.
pub fn accuracy<E: Encoder<Array>>(
    model: &Classifier<Array, E>,
    data: &DataSet,
    batch: usize,
    group: &Group,
) -> Result<f32> {
    ensure!(!data.validation.is_empty(), "cannot evaluate a model without examples");
    let examples = data.validation.iter().collect::<Vec<_>>();
    let right = no_grad! {
        let mut right = Array::scalar(0)?;
        for examples in share(&examples, group).chunks(batch) {
            let (texts, labels) = texts_and_labels(examples)?;
            let predicted = model.forward(&texts)?.argmax(1, false)?;
            right = right.add(predicted.equal(&labels)?.astype(grad_runtime::Dtype::Int32)?.sum_all()?)?;
            mlx::eval(&[right.clone()])?;
        }
        distributed::all_sum(&right, group)?.item::<i32>()?
    };
    #[expect(clippy::cast_precision_loss, reason = "the numbers of examples are small")]
    Ok(right as f32 / examples.len() as f32)
}

fn texts_and_labels<'a>(examples: &[&'a Example]) -> Result<(Vec<&'a [u32]>, Array)> {
    let texts = examples.iter().map(|example| &*example.tokens).collect();
    let labels = examples.iter().map(|example| i64::try_from(example.class)).collect::<Result<Vec<_>, _>>()?;
    Ok((texts, Array::from_slice(&labels, &[examples.len()])?))
}
