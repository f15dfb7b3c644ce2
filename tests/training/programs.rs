//! Programs as users write them, each compared with the same in PyTorch (`reference.py`).

use grad_runtime::optim::{
    Accumulator, Adam, AdamOptions, AdamW, AdamWOptions, Ema, Sgd, SgdOptions, clip_grad_norm,
};
use grad_runtime::params::{self, Frozen};
use grad_runtime::{Array, Checkpoint, Dtype, Error, Params, Result, no_grad};
use support::arrays::elements;
use support::on_every_backend;

use crate::models::{Linear, Mlp, wave};
use crate::reference::{assert_parameters, assert_same_parameters, reference};

/// Q-learning: the target network, a copy of the online one that is replaced every ten steps, gives the goals in a scope.
fn dqn<A: Array>() -> Result<()> {
    let mut online = Mlp::<A>::new(0.0, &[4, 16, 3])?;
    let mut target = online.clone();
    let mut optimizer = Adam::new(&online, AdamOptions { lr: 0.01, ..AdamOptions::default() })?;
    let (states, next_states, rewards) =
        (wave::<A>(1.0, &[32, 4])?, wave::<A>(2.0, &[32, 4])?, wave::<A>(3.0, &[32])?);
    let actions = A::from_slice(&(0..32).map(|index| 7 * index % 3).collect::<Vec<i64>>(), &[32, 1])?;
    for step in 1..=60 {
        let first = 8 * (step as usize % 4);
        let rows = |array: &A| array.narrow(0, first, 8);
        let goal = no_grad! {
            let best = target.forward(&rows(&next_states)?)?.max(&[1], false)?;
            rows(&rewards)?.add(best.multiply(0.9)?)?
        };
        let loss = |online: &Mlp<A>| {
            let value = online.forward(&rows(&states)?)?.take_along_axis(&rows(&actions)?, 1)?.squeeze(1)?;
            value.subtract(&goal)?.square()?.mean_all()
        };
        let gradients = params::grad(loss, &online)?;
        optimizer.step(&mut online, &gradients)?;
        params::eval(&(online.clone(), optimizer.clone()))?;
        if step % 10 == 0 {
            target = online.clone();
        }
        assert_parameters(&online, reference("dqn"), step);
    }
    Ok(())
}

#[derive(Params, Clone)]
struct Classifier<A: Array> {
    encoder: Mlp<A>,
    head: Linear<A>,
}

impl<A: Array> Classifier<A> {
    fn loss(&self, x: &A, labels: &A) -> Result<A> {
        self.head.forward(&self.encoder.forward(x)?.tanh()?)?.cross_entropy(labels)?.mean_all()
    }
}

/// A head on an encoder that is frozen: weight decay leaves the encoder alone, too.
fn frozen_encoder<A: Array>() -> Result<()> {
    let head = Linear { weight: wave::<A>(4.0, &[3, 6])?.multiply(0.1)?, bias: A::zeros(&[3], Dtype::Float32)? };
    let model = Classifier { encoder: Mlp::new(0.0, &[4, 8, 6])?, head };
    let mut model = Frozen::new(model, |path| path.to_string().starts_with("encoder."));
    let mut optimizer =
        AdamW::new(&model, AdamWOptions { lr: 0.05, weight_decay: 0.1, ..AdamWOptions::default() })?;
    let x = wave::<A>(1.0, &[12, 4])?;
    let labels = A::from_slice(&(0..12).map(|index| index % 3).collect::<Vec<i64>>(), &[12])?;
    for step in 1..=50 {
        let gradients = params::grad(|model: &Frozen<Classifier<A>>| model.loss(&x, &labels), &model)?;
        optimizer.step(&mut model, &gradients)?;
        params::eval(&(model.clone(), optimizer.clone()))?;
        assert_parameters(&model, reference("frozen_encoder"), step);
    }
    Ok(())
}

/// Divides each row by its length.
fn normalized<A: Array>(rows: &A) -> Result<A> {
    rows.divide(rows.square()?.sum(&[1], true)?.sqrt()?)
}

/// Bootstrap your own latent: the online network predicts what its moving average makes of another view.
fn byol<A: Array>() -> Result<()> {
    let mut model = (Mlp::<A>::new(0.0, &[5, 8, 4])?, Mlp::<A>::new(3.0, &[4, 6, 4])?);
    let mut target = Ema::new(&model.0, 0.95)?;
    let mut optimizer = Sgd::new(&model, SgdOptions { lr: 0.01, momentum: 0.5, ..SgdOptions::default() })?;
    let x = wave::<A>(1.0, &[10, 5])?;
    let view = |phase| x.add(wave::<A>(phase, &[10, 5])?.multiply(0.1)?);
    let views = (view(2.0)?, view(5.0)?);
    for step in 1..=50 {
        let distance = |(online, predictor): &(Mlp<A>, Mlp<A>), left: &A, right: &A| {
            let goal = no_grad! { normalized(&target.model().forward(right)?)? };
            let predicted = normalized(&predictor.forward(&online.forward(left)?)?)?;
            predicted.multiply(&goal)?.sum(&[1], false)?.mean_all()?.multiply(-2)?.add(2)
        };
        let loss = |model: &(Mlp<A>, Mlp<A>)| {
            distance(model, &views.0, &views.1)?.add(distance(model, &views.1, &views.0)?)
        };
        let gradients = params::grad(loss, &model)?;
        optimizer.step(&mut model, &gradients)?;
        target.update(&model.0)?;
        params::eval(&((model.clone(), optimizer.clone()), target.clone()))?;
        if let Some(expected) = reference("byol").get(step.to_string()) {
            assert_same_parameters(&model.0, &expected["online"], step);
            assert_same_parameters(&model.1, &expected["predictor"], step);
            assert_same_parameters(&target, &expected["target"], step);
        }
    }
    Ok(())
}

/// One step of a training with everything that belongs to it.
struct Trainer<A: Array> {
    model: Mlp<A>,
    optimizer: AdamW<A>,
    average: Ema<Mlp<A>>,
    step: u32,
}

impl<A: Array> Trainer<A> {
    fn new() -> Result<Self> {
        let model = Mlp::new(0.0, &[3, 4, 2])?;
        let optimizer = AdamW::new(&model, AdamWOptions { lr: 0.02, ..AdamWOptions::default() })?;
        let average = Ema::new(&model, 0.9)?;
        Ok(Self { model, optimizer, average, step: 0 })
    }

    /// Accumulates two batches, clips, follows a schedule, steps and averages.
    fn train(&mut self) -> Result<()> {
        self.step += 1;
        let mut accumulator = Accumulator::new();
        for part in [0.0, 1.0] {
            let phase = f64::from(self.step) + part;
            let (x, y) = (wave::<A>(phase, &[4, 3])?, wave::<A>(0.1 * phase, &[4, 2])?);
            accumulator.add(&params::grad(|model: &Mlp<A>| model.squared_error(&x, &y), &self.model)?)?;
        }
        let (gradients, _norm) = clip_grad_norm(&accumulator.mean()?, 0.15)?;
        self.optimizer.set_lr(0.02 / f64::from(self.step).sqrt());
        self.optimizer.step(&mut self.model, &gradients)?;
        self.average.update(&self.model)?;
        params::eval(&(self.model.clone(), (self.optimizer.clone(), self.average.clone())))
    }

    fn checkpoint(&self) -> Result<Checkpoint<A>> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert("model", &self.model)?;
        checkpoint.insert("optimizer", &self.optimizer)?;
        checkpoint.insert("average", &self.average)?;
        checkpoint.set("step", self.step);
        Ok(checkpoint)
    }

    fn resume(checkpoint: &Checkpoint<A>) -> Result<Self> {
        let fresh = Self::new()?;
        Ok(Self {
            model: checkpoint.restore("model", &fresh.model)?,
            optimizer: checkpoint.restore("optimizer", &fresh.optimizer)?,
            average: checkpoint.restore("average", &fresh.average)?,
            step: checkpoint.parse("step")?,
        })
    }
}

on_every_backend! {
    fn dqn_as_in_pytorch<A>() {
        dqn::<A>().unwrap();
    }

    fn a_head_on_a_frozen_encoder_as_in_pytorch<A>() {
        frozen_encoder::<A>().unwrap();
    }

    fn byol_as_in_pytorch<A>() {
        byol::<A>().unwrap();
    }

    /// Stopped, saved and resumed, a training goes on to the last bit as if nothing had happened.
    fn a_training_is_resumed_exactly<A>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("training.safetensors");
        let run = || {
            let mut whole = Trainer::<A>::new()?;
            for _ in 0..5 {
                whole.train()?;
            }
            whole.checkpoint()?.save(&path)?;
            let mut resumed = Trainer::resume(&Checkpoint::load(&path)?)?;
            assert_eq!(resumed.optimizer.step_count()?, 5);
            for _ in 0..5 {
                whole.train()?;
                resumed.train()?;
            }
            let all = |trainer: &Trainer<A>| trainer.checkpoint().map(|checkpoint| checkpoint.arrays().clone());
            for ((name, whole), resumed) in all(&whole)?.iter().zip(all(&resumed)?.values()) {
                assert_eq!(elements(whole), elements(resumed), "{name}");
            }
            Ok::<_, Error>(())
        };
        run().unwrap();
    }
}
