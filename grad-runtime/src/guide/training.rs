//! A training loop: a model and its layers, batches, an optimizer, evaluation in a scope, saving and resuming.
//!
//! The crate has operations, gradients, [optimizers](crate::optim), [checkpoints](crate::Checkpoint) and [random
//! numbers](crate::random). Layers and data loaders are yours; this page writes those of a small classifier. It is generic over the
//! backend, and runs as it stands.
//!
//! # The program
//!
//! ```
//! use grad_runtime::optim::{AdamW, AdamWOptions, clip_grad_norm};
//! use grad_runtime::prelude::*;
//! use grad_runtime::{Checkpoint, params, random};
//!
//! #[derive(Params)]
//! struct Linear<A: Array> {
//!     weight: A, // [outputs, inputs], as in PyTorch
//!     bias: A,
//! }
//!
//! impl<A: Array> Linear<A> {
//!     fn new(inputs: usize, outputs: usize, key: &A) -> Result<Self> {
//!         let bound = 1.0 / (inputs as f64).sqrt();
//!         let weight = random::uniform(-bound, bound, &[outputs, inputs], Dtype::Float32, key)?;
//!         Ok(Self { weight, bias: A::zeros(&[outputs], Dtype::Float32)? })
//!     }
//!
//!     fn forward(&self, x: &A) -> Result<A> {
//!         x.matmul(&self.weight.swapaxes(0, 1)?)?.add(&self.bias)
//!     }
//! }
//!
//! #[derive(Params)]
//! struct Classifier<A: Array> {
//!     hidden: Linear<A>,
//!     output: Linear<A>,
//! }
//!
//! impl<A: Array> Classifier<A> {
//!     fn new(key: &A) -> Result<Self> {
//!         let [hidden, output] = random::split_into(key)?;
//!         Ok(Self { hidden: Linear::new(2, 32, &hidden)?, output: Linear::new(32, 2, &output)? })
//!     }
//!
//!     /// Dropout needs a key, and is left out without one.
//!     fn forward(&self, x: &A, dropout: Option<&A>) -> Result<A> {
//!         let mut x = self.hidden.forward(x)?.relu()?;
//!         if let Some(key) = dropout {
//!             let kept = random::bernoulli(0.9, &x.shape(), key)?.astype(x.dtype())?;
//!             x = x.multiply(&kept)?.divide(0.9)?;
//!         }
//!         self.output.forward(&x)
//!     }
//! }
//!
//! /// Points inside and outside of a circle.
//! fn data<A: Array>(key: &A) -> Result<(A, A)> {
//!     let x = random::uniform(-1.0, 1.0, &[512, 2], Dtype::Float32, key)?;
//!     let labels = x.square()?.sum(&[1], false)?.less(0.6)?.astype(Dtype::Int64)?;
//!     Ok((x, labels))
//! }
//!
//! /// Everything that is computed here is a constant, wherever it is called.
//! #[no_grad]
//! fn accuracy<A: Array>(model: &Classifier<A>, x: &A, labels: &A) -> Result<f32> {
//!     let classes = model.forward(x, None)?.argmax(1, false)?;
//!     classes.equal(labels)?.mean_all()?.item()
//! }
//!
//! fn train<A: Array>(file: &std::path::Path, epochs: u32) -> Result<f32> {
//!     let [data_key, model_key, mut key] = random::split_into(&random::key::<A>(7)?)?;
//!     let (x, labels) = data(&data_key)?;
//!     let mut model = Classifier::new(&model_key)?;
//!     let options = AdamWOptions { lr: 0.02, ..AdamWOptions::default() };
//!     let mut optimizer = AdamW::new(&model, options)?;
//!     let mut first = 0;
//!     if file.exists() {
//!         let saved = Checkpoint::load(file)?;
//!         model = saved.restore("model", &model)?;
//!         optimizer = saved.restore("optimizer", &optimizer)?;
//!         key = saved.restore("key", &key)?;
//!         first = saved.parse("epoch")?;
//!     }
//!     for epoch in first..epochs {
//!         for batch in 0..8 {
//!             let [dropout, next] = random::split_into(&key)?;
//!             key = next;
//!             let (x, labels) = (x.narrow(0, 64 * batch, 64)?, labels.narrow(0, 64 * batch, 64)?);
//!             let loss = |model: &Classifier<A>| model.forward(&x, Some(&dropout))?.cross_entropy(&labels)?.mean_all();
//!             let gradients = params::grad(loss, &model)?;
//!             let (gradients, _norm) = clip_grad_norm(&gradients, 1.0)?;
//!             optimizer.step(&mut model, &gradients)?;
//!             // MLX is lazy: without this, the graph would grow from step to step.
//!             params::eval(&model)?;
//!             params::eval(&optimizer)?;
//!         }
//!         let mut checkpoint = Checkpoint::new();
//!         checkpoint.insert("model", &model)?;
//!         checkpoint.insert("optimizer", &optimizer)?;
//!         checkpoint.insert("key", &key)?;
//!         checkpoint.set("epoch", epoch + 1);
//!         checkpoint.save(file)?;
//!     }
//!     accuracy(&model, &x, &labels)
//! }
//!
//! # #[cfg(feature = "cpu")] {
//! # let file = std::env::temp_dir().join(format!("grad-runtime-doc-training-{}.safetensors", std::process::id()));
//! // Stopped after four epochs, and resumed.
//! train::<grad_runtime::cpu::Array>(&file, 4)?;
//! let accuracy = train::<grad_runtime::cpu::Array>(&file, 12)?;
//! assert!(accuracy > 0.9, "{accuracy}");
//! # std::fs::remove_file(file).unwrap();
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! # The same in PyTorch
//!
//! ```python
//! class Classifier(nn.Module):
//!     def __init__(self):
//!         super().__init__()
//!         self.hidden, self.output = nn.Linear(2, 32), nn.Linear(32, 2)
//!
//!     def forward(self, x):
//!         x = F.dropout(self.hidden(x).relu(), 0.1, self.training)
//!         return self.output(x)
//!
//! @torch.no_grad()
//! def accuracy(model, x, labels):
//!     model.eval()
//!     return (model(x).argmax(1) == labels).float().mean().item()
//!
//! def train(file, epochs):
//!     x = torch.rand(512, 2) * 2 - 1
//!     labels = (x.square().sum(1) < 0.6).long()
//!     model = Classifier()
//!     optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
//!     first = 0
//!     if file.exists():
//!         saved = torch.load(file)
//!         model.load_state_dict(saved["model"])
//!         optimizer.load_state_dict(saved["optimizer"])
//!         torch.set_rng_state(saved["rng"])
//!         first = saved["epoch"]
//!     for epoch in range(first, epochs):
//!         model.train()
//!         for batch in range(8):
//!             rows = slice(64 * batch, 64 * batch + 64)
//!             loss = F.cross_entropy(model(x[rows]), labels[rows])
//!             optimizer.zero_grad()
//!             loss.backward()
//!             nn.utils.clip_grad_norm_(model.parameters(), 1.0)
//!             optimizer.step()
//!         torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
//!                     "rng": torch.get_rng_state(), "epoch": epoch + 1}, file)
//!     return accuracy(model, x, labels)
//! ```
//!
//! # What differs
//!
//! | PyTorch | here |
//! | --- | --- |
//! | gradients in `parameter.grad`; `zero_grad` | gradients are a value, in the structure of the model; nothing is left behind |
//! | `model.train()`, `model.eval()` | an argument, such as the key for dropout |
//! | a global generator | keys, which a checkpoint saves like any array |
//! | `requires_grad_(False)` | `#[params(frozen)]`, or [`params::Frozen`](crate::params::Frozen) at run time |
//! | `register_buffer` | `#[params(buffer)]` |
//! | `state_dict`, `load_state_dict` | [`Checkpoint`](crate::Checkpoint), whose `restore` is as strict |
//! | `nn.ModuleList` of different layers | `Vec<Box<dyn Layer<A>>>` with [`#[params::object]`](macro@crate::params::object) |
//! | `torch.compile(step)` | [`params::compile`](crate::params::compile), over model, optimizer and batch; the CPU fallback runs the function as it is |
//! | `torch.utils.checkpoint` | [`params::checkpoint`](https://docs.rs/grad-runtime/latest/grad_runtime/params/fn.checkpoint.html), on MLX |
//! | `swa_utils.AveragedModel` | [`optim::Ema`](crate::optim::Ema) |
