//! Trains a classifier, epoch by epoch, and can stop and go on after each.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use grad_runtime::attr::no_grad;
use grad_runtime::optim::{AdamW, AdamWOptions};
use grad_runtime::{Array, Checkpoint, params};
use serde::{Deserialize, Serialize};

use crate::data::{DataSet, Example};
use crate::model::{Classifier, Encoder};
use crate::rng::Rng;

/// The part of a model that is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Train {
    /// The head; the encoder runs under `#[no_grad]`
    Head,
    /// The head, with the scope left out: gradients of the encoder are computed and not used
    HeadWithoutScope,
    /// The head and the whole encoder
    All,
}

/// How a model is trained. A checkpoint holds these settings, and is resumed with the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The part that is trained.
    pub train: Train,
    /// Where random numbers start.
    pub seed: u64,
    /// The number of passages of a step.
    pub batch: usize,
    /// The learning rate of the head.
    pub lr: f64,
    /// The learning rate of the encoder.
    pub encoder_lr: f64,
}

/// Measurements of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// The mean loss of the steps.
    pub training_loss: f32,
    /// The mean loss of the validation passages, after the epoch.
    pub validation_loss: f32,
    /// The fraction of validation passages whose class is recognized, after the epoch.
    pub accuracy: f32,
    /// Duration of all steps, in seconds.
    pub seconds: f64,
    /// The median duration of a step, in seconds.
    pub step_seconds: f64,
}

/// The loss and the predictions of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The mean cross entropy.
    pub loss: f32,
    /// The number of examples by class, then by predicted class.
    pub confusion: Vec<Vec<usize>>,
}

impl Evaluation {
    /// Returns the fraction of examples whose class is recognized.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the numbers of examples are small")]
    pub fn accuracy(&self) -> f32 {
        let right = self.confusion.iter().enumerate().map(|(class, row)| row[class]).sum::<usize>();
        right as f32 / self.confusion.iter().flatten().sum::<usize>() as f32
    }
}

/// A training: the model, the optimizers, and where they are.
#[derive(Debug)]
pub struct Trainer<A: Array, E> {
    settings: Settings,
    /// Tells one data set from another.
    fingerprint: u64,
    model: Classifier<A, E>,
    /// The model after the epoch with the lowest validation loss.
    best: Classifier<A, E>,
    head: AdamW<A>,
    /// The optimizer of the encoder, if that is trained.
    encoder: Option<AdamW<A>>,
    rng: Rng,
    history: Vec<Epoch>,
}

impl<A: Array, E: Encoder<A>> Trainer<A, E> {
    /// Starts a training.
    ///
    /// # Errors
    ///
    /// If a learning rate is invalid.
    pub fn new(model: Classifier<A, E>, data: &DataSet, settings: Settings) -> Result<Self> {
        let options = |lr| AdamWOptions { lr, ..AdamWOptions::default() };
        let encoder = match settings.train {
            Train::All => Some(AdamW::new(&model.encoder, options(settings.encoder_lr))?),
            Train::Head | Train::HeadWithoutScope => None,
        };
        Ok(Self {
            head: AdamW::new(&model.head, options(settings.lr))?,
            encoder,
            rng: Rng::new(settings.seed),
            history: Vec::new(),
            best: model.clone(),
            model,
            fingerprint: data.fingerprint(),
            settings,
        })
    }

    /// Trains on each passage once, in a random order, and then evaluates. Calls `progress` after each step, with its loss.
    ///
    /// # Errors
    ///
    /// If the loss is not finite, or the backend refuses an operation.
    pub fn epoch(&mut self, data: &DataSet, progress: &mut dyn FnMut(f32)) -> Result<Epoch> {
        let mut order = data.training.iter().collect::<Vec<_>>();
        self.rng.shuffle(&mut order);
        let (mut sum, mut durations) = (0.0, Vec::new());
        for batch in order.chunks(self.settings.batch) {
            let start = Instant::now();
            let loss = self.step(batch)?;
            durations.push(start.elapsed().as_secs_f64());
            ensure!(
                loss.is_finite(),
                "cannot train: the loss is {loss} in epoch {}; use a lower learning rate, and start anew or from a checkpoint",
                self.history.len() + 1,
            );
            #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
            {
                sum += loss * batch.len() as f32;
            }
            progress(loss);
        }
        let evaluation = evaluate(&self.model, &data.validation, data.classes.len(), self.settings.batch)?;
        let seconds = durations.iter().sum();
        durations.sort_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "the numbers of examples are small")]
        let epoch = Epoch {
            training_loss: sum / order.len() as f32,
            validation_loss: evaluation.loss,
            accuracy: evaluation.accuracy(),
            seconds,
            step_seconds: durations[durations.len() / 2],
        };
        self.history.push(epoch);
        if self.best_epoch() == self.history.len() {
            self.best = self.model.clone();
        }
        Ok(epoch)
    }

    /// Moves the parameters along the gradient of the loss of a batch, and returns the loss.
    fn step(&mut self, batch: &[&Example]) -> Result<f32> {
        let (texts, labels) = texts_and_labels::<A>(batch)?;
        let scope = self.settings.train == Train::Head;
        // The loss is differentiated with respect to the whole model. What `forward_frozen` runs in its scope is a constant.
        let loss = |model: &Classifier<A, E>| -> Result<A> {
            let logits = if scope { model.forward_frozen(&texts)? } else { model.forward(&texts)? };
            Ok(logits.cross_entropy(&labels)?.mean_all()?)
        };
        let (loss, gradients) = params::value_and_grad(loss, &self.model)?;
        self.head.step(&mut self.model.head, &gradients.head)?;
        if let Some(encoder) = &mut self.encoder {
            encoder.step(&mut self.model.encoder, &gradients.encoder)?;
        }
        // MLX is lazy: without this, the graph would grow from step to step.
        params::eval(&(self.model.clone(), (self.head.clone(), self.encoder.clone())))?;
        Ok(loss.item()?)
    }

    /// Returns the settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the epochs so far.
    #[must_use]
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// Returns the number of the epoch with the lowest validation loss, counted from 1, or 0 before the first.
    #[must_use]
    pub fn best_epoch(&self) -> usize {
        let losses = self.history.iter().map(|epoch| epoch.validation_loss).enumerate();
        losses.min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(at, _)| at + 1)
    }

    /// Returns whether the last `patience` epochs have not lowered the validation loss.
    #[must_use]
    pub fn is_done(&self, patience: usize) -> bool {
        self.history.len() >= self.best_epoch() + patience
    }

    /// Returns the model after the epoch with the lowest validation loss.
    #[must_use]
    pub const fn best(&self) -> &Classifier<A, E> {
        &self.best
    }

    /// Writes a file from which [`resume`](Self::resume) goes on. A file that is there is replaced as a whole or not at all.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert("head", &self.model.head)?;
        checkpoint.insert("head_optimizer", &self.head)?;
        checkpoint.insert("best.head", &self.best.head)?;
        if let Some(optimizer) = &self.encoder {
            checkpoint.insert("encoder", &self.model.encoder)?;
            checkpoint.insert("encoder_optimizer", optimizer)?;
            // The file would be a quarter larger.
            if self.best_epoch() != self.history.len() {
                checkpoint.insert("best.encoder", &self.best.encoder)?;
            }
        }
        checkpoint.set("settings", serde_json::to_string(&self.settings)?);
        checkpoint.set("history", serde_json::to_string(&self.history)?);
        checkpoint.set("data", self.fingerprint);
        checkpoint.set("rng", self.rng.state());
        Ok(checkpoint.save(path)?)
    }

    /// Continues a training that [`save`](Self::save) has written, as if it had not been interrupted.
    ///
    /// # Errors
    ///
    /// If the file is damaged, or of a training with other settings, data or another model.
    pub fn resume(model: Classifier<A, E>, data: &DataSet, settings: Settings, path: &Path) -> Result<Self> {
        let saved = Checkpoint::load(path)?;
        let text = |key| saved.parse::<String>(key);
        let found: Settings = serde_json::from_str(&text("settings")?).context("its settings are damaged")?;
        ensure!(found == settings, "it was trained with {found:?}, not with {settings:?}; use the same options");
        let mut trainer = Self::new(model, data, settings)?;
        ensure!(
            saved.parse::<u64>("data")? == trainer.fingerprint,
            "its data were others; use the same folders and options, or start anew"
        );
        trainer.history = serde_json::from_str(&text("history")?).context("its history is damaged")?;
        trainer.rng = Rng::new(saved.parse("rng")?);
        trainer.model.head = saved.restore("head", &trainer.model.head)?;
        trainer.head = saved.restore("head_optimizer", &trainer.head)?;
        if trainer.encoder.is_some() {
            trainer.model.encoder = saved.restore("encoder", &trainer.model.encoder)?;
            trainer.encoder = saved.restore("encoder_optimizer", &trainer.encoder)?;
            trainer.best.encoder = if trainer.best_epoch() == trainer.history.len() {
                trainer.model.encoder.clone()
            } else {
                saved.restore("best.encoder", &trainer.best.encoder)?
            };
        }
        trainer.best.head = saved.restore("best.head", &trainer.best.head)?;
        Ok(trainer)
    }
}

/// Compares the predictions of a model with the classes of examples. Everything in here is a constant, wherever it is called.
///
/// # Errors
///
/// If there are no examples, or the backend refuses an operation.
#[no_grad]
pub fn evaluate<A: Array, E: Encoder<A>>(
    model: &Classifier<A, E>,
    examples: &[Example],
    classes: usize,
    batch: usize,
) -> Result<Evaluation> {
    ensure!(!examples.is_empty(), "cannot evaluate a model without examples");
    let mut evaluation = Evaluation { loss: 0.0, confusion: vec![vec![0; classes]; classes] };
    for batch in examples.chunks(batch) {
        let batch = batch.iter().collect::<Vec<_>>();
        let (texts, labels) = texts_and_labels::<A>(&batch)?;
        let logits = model.forward(&texts)?;
        evaluation.loss += logits.cross_entropy(&labels)?.sum_all()?.item::<f32>()?;
        let predicted = logits.argmax(1, false)?.to_vec::<u32>()?;
        for (example, predicted) in batch.iter().zip(predicted) {
            evaluation.confusion[example.class][predicted as usize] += 1;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "the number of examples is small")]
    {
        evaluation.loss /= examples.len() as f32;
    }
    Ok(evaluation)
}

fn texts_and_labels<'a, A: Array>(batch: &[&'a Example]) -> Result<(Vec<&'a [u32]>, A)> {
    let texts = batch.iter().map(|example| &*example.tokens).collect();
    let labels = batch.iter().map(|example| i64::try_from(example.class)).collect::<Result<Vec<_>, _>>()?;
    Ok((texts, A::from_slice(&labels, &[batch.len()])?))
}
