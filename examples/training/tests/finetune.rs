//! Trains a classifier on a small encoder, and checks what a scope changes, and that a training can be resumed.
#![cfg(feature = "backend")]

use std::fs;

use anyhow::Result;
use grad_runtime::{Array, Params, explain, random};
use support::on_every_backend;
use training::data::{DataSet, Example};
use training::finetune::{Settings, Train, Trainer, evaluate};
use training::model::{Classifier, Encoder};
use training::rng::Rng;

const TOKENS: usize = 24;
const FEATURES: usize = 8;

/// The mean of the embeddings of a text's tokens.
#[derive(Debug, Clone, Params)]
struct Bag<A: Array> {
    table: A,
}

impl<A: Array> Encoder<A> for Bag<A> {
    fn forward(&self, texts: &[&[u32]]) -> Result<A> {
        let tokens = A::from_slice(&texts.concat(), &[texts.len(), texts[0].len()])?;
        Ok(self.table.take(&tokens, 0)?.mean(&[1], false)?.tanh()?)
    }
}

fn model<A: Array>() -> Classifier<A, Bag<A>> {
    let table =
        random::normal(&[TOKENS, FEATURES], grad_runtime::Dtype::Float32, 0.0, 1.0, &random::key(1).unwrap());
    Classifier::new(Bag { table: table.unwrap() }, FEATURES, 3, 2).unwrap()
}

/// Texts whose tokens are mostly those of their class.
fn data() -> DataSet {
    let mut rng = Rng::new(5);
    let mut examples = |count: usize| {
        let example = |at| {
            let class = at % 3;
            let mut token = || {
                let token = if rng.uniform() < 0.7 { rng.below(8) + 8 * class } else { rng.below(TOKENS) };
                u32::try_from(token).unwrap()
            };
            Example { tokens: (0..10).map(|_| token()).collect(), class }
        };
        (0..count).map(example).collect()
    };
    DataSet { classes: vec!["a".into(), "b".into(), "c".into()], training: examples(48), validation: examples(30) }
}

fn settings(train: Train) -> Settings {
    Settings { train, seed: 3, batch: 16, lr: 0.1, encoder_lr: 0.02 }
}

fn trained<A: Array>(train: Train, epochs: usize) -> Trainer<A, Bag<A>> {
    let data = data();
    let mut trainer = Trainer::new(model(), &data, settings(train)).unwrap();
    for _ in 0..epochs {
        trainer.epoch(&data, &mut |_| {}).unwrap();
    }
    trainer
}

fn elements<A: Array>(array: &A) -> Vec<u32> {
    array.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// Returns what was measured, without durations.
fn measured<A: Array>(trainer: &Trainer<A, Bag<A>>) -> Vec<[u32; 3]> {
    let epochs = trainer.history().iter();
    epochs.map(|epoch| [epoch.training_loss, epoch.validation_loss, epoch.accuracy].map(f32::to_bits)).collect()
}

on_every_backend! {
    fn a_head_learns_on_an_encoder_that_a_scope_freezes<A>() {
        let trainer = trained::<A>(Train::Head, 6);
        let (first, last) = (trainer.history()[0], trainer.history()[5]);
        assert!(last.training_loss < 0.7 * first.training_loss, "{first:?} {last:?}");
        assert!(last.accuracy > 0.75, "{last:?}");
        assert_eq!(elements(&trainer.best().encoder.table), elements(&model::<A>().encoder.table));

        let evaluation = evaluate(trainer.best(), &data().validation, 3, 7).unwrap();
        let best = trainer.history()[trainer.best_epoch() - 1];
        assert_eq!(evaluation.accuracy().to_bits(), best.accuracy.to_bits());
        assert!((evaluation.loss - best.validation_loss).abs() < 1e-5);
        assert!(evaluation.confusion.iter().all(|row| row.iter().sum::<usize>() == 10), "{evaluation:?}");
    }

    /// The head learns the same to the last bit: gradients of the encoder are computed for nothing.
    fn the_scope_changes_what_a_step_costs_and_not_what_it_does<A>() {
        let (with, without) = (trained::<A>(Train::Head, 2), trained::<A>(Train::HeadWithoutScope, 2));
        assert_eq!(measured(&with), measured(&without));
        assert_eq!(elements(&with.best().head.weight), elements(&without.best().head.weight));
        assert_eq!(elements(&without.best().encoder.table), elements(&model::<A>().encoder.table));
    }

    fn the_whole_encoder_learns_more<A>() {
        let (head, all) = (trained::<A>(Train::Head, 6), trained::<A>(Train::All, 6));
        assert!(all.history()[5].training_loss < head.history()[5].training_loss);
        assert!(all.history()[5].accuracy > 0.75);
        assert_ne!(elements(&all.best().encoder.table), elements(&model::<A>().encoder.table));
    }

    fn the_scope_is_named_as_the_cause_of_the_missing_gradient<A>() {
        let texts = [&[0, 1][..], &[2, 3]];
        let loss = |model: &Classifier<A, Bag<A>>| -> Result<A> { Ok(model.forward_frozen(&texts)?.square()?.mean_all()?) };
        let report = explain::gradients(loss, &model::<A>()).unwrap();
        let missing = report.missing().collect::<Vec<_>>();
        assert_eq!(missing.len(), 1);
        let report = report.to_string();
        assert!(report.contains("encoder.table") && report.contains("model.rs"), "{report}");

        let loss = |model: &Classifier<A, Bag<A>>| -> Result<A> { Ok(model.forward(&texts)?.square()?.mean_all()?) };
        assert!(explain::gradients(loss, &model::<A>()).unwrap().require_all().is_ok());
    }

    /// Stopped, saved and resumed, a training goes on to the last bit as if nothing had happened.
    fn a_training_is_resumed_exactly<A>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let data = data();
        for train in [Train::Head, Train::All] {
            let mut whole = trained::<A>(train, 2);
            whole.save(&path).unwrap();
            let mut resumed = Trainer::resume(model::<A>(), &data, settings(train), &path).unwrap();
            for trainer in [&mut whole, &mut resumed] {
                for _ in 0..2 {
                    trainer.epoch(&data, &mut |_| {}).unwrap();
                }
            }
            assert_eq!(measured(&whole), measured(&resumed));
            assert_eq!(whole.best_epoch(), resumed.best_epoch());
            for (name, array) in whole.best().named() {
                assert_eq!(elements(&array), elements(&resumed.best().named()[&name]), "{name}");
            }
        }
    }

    fn only_the_same_training_is_resumed<A>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let data = data();
        let error = |data: &DataSet, settings| {
            let error = Trainer::resume(model::<A>(), data, settings, &path).unwrap_err();
            format!("{error:#}")
        };
        assert!(error(&data, settings(Train::Head)).contains("checkpoint.safetensors"));
        trained::<A>(Train::Head, 1).save(&path).unwrap();
        let other = error(&data, Settings { seed: 4, ..settings(Train::Head) });
        assert!(other.contains("seed: 3") && other.contains("seed: 4"), "{other}");
        let mut changed = data.clone();
        changed.training[7].tokens[0] ^= 1;
        assert!(error(&changed, settings(Train::Head)).contains("its data were others"));
        // Cut short, as by a full disk.
        let bytes = fs::read(&path).unwrap();
        for length in [0, 7, 100, bytes.len() - 1] {
            fs::write(&path, &bytes[..length]).unwrap();
            let damaged = error(&data, settings(Train::Head));
            assert!(damaged.starts_with("cannot load"), "{damaged}");
        }
    }

    fn a_loss_that_is_not_finite_is_an_error<A>() {
        let data = data();
        let settings = Settings { lr: 1e38, encoder_lr: 1e38, ..settings(Train::All) };
        let mut trainer = Trainer::new(model::<A>(), &data, settings).unwrap();
        let error = (0..3).find_map(|_| trainer.epoch(&data, &mut |_| {}).err()).unwrap().to_string();
        assert!(error.starts_with("cannot train: the loss is ") && error.contains("lower learning rate"), "{error}");
    }
}

#[test]
fn training_stops_when_the_validation_loss_does_not_fall() {
    #[cfg(feature = "cpu")]
    type A = grad_runtime::cpu::Array;
    #[cfg(not(feature = "cpu"))]
    type A = grad_runtime::mlx::Array;

    let data = data();
    let settings = Settings { lr: 3.0, ..settings(Train::Head) };
    let mut trainer = Trainer::new(model::<A>(), &data, settings).unwrap();
    let mut after_best = Vec::new();
    while !trainer.is_done(2) {
        assert!(trainer.history().len() < 50, "{:?}", trainer.history());
        trainer.epoch(&data, &mut |_| {}).unwrap();
        if trainer.best_epoch() == trainer.history().len() {
            after_best = elements(&trainer.best().head.weight);
        }
    }
    assert_eq!(trainer.best_epoch() + 2, trainer.history().len());
    assert_eq!(elements(&trainer.best().head.weight), after_best);
}
