//! Compares embeddings with those of sentence-transformers, and checks gradients of the weights, in a scope and without.
#![cfg(any(feature = "cpu", feature = "mlx"))]

use std::io::Cursor;
use std::num::NonZeroUsize;

use grad_examples::embedder::{Embed, Embedder, Options};
use grad_examples::minilm::{Batch, HIDDEN, MiniLm};
use grad_examples::model_files::{ModelFiles, find};
use grad_examples::tokenize::{MAX_TOKENS, Tokenizer};
use grad_runtime::{Array, Dtype};
use safetensors::tensor::TensorView;
use serde::Deserialize;

/// The contents of `reference/embeddings.json`, which `reference/make.py` writes.
#[derive(Deserialize)]
struct Reference {
    references: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    sentence: String,
    embedding: Vec<f32>,
}

fn reference() -> Vec<Sentence> {
    serde_json::from_str::<Reference>(include_str!("../reference/embeddings.json")).unwrap().references
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Returns an embedder with batches of 4: of the reference's sentences, some are padded, and their order is another.
fn embedder<A: Array>(dtype: Dtype, token_step: usize) -> Embedder<A> {
    let options = Options { dtype, batch: NonZeroUsize::new(4).unwrap(), token_step, ahead: token_step > 1 };
    Embedder::new("test".into(), &ModelFiles::open(None).unwrap(), options).unwrap()
}

fn agrees_with_sentence_transformers<A: Array>() {
    let reference = reference();
    assert!(reference.len() >= 8);
    let sentences = reference.iter().map(|sentence| &*sentence.sentence).collect::<Vec<_>>();
    let mut done = 0;
    let embeddings = embedder::<A>(Dtype::Float32, 1).embed(&sentences, &mut |texts| done += texts).unwrap();
    assert_eq!((embeddings.len(), done), (sentences.len(), sentences.len()));
    for (Sentence { sentence, embedding }, ours) in reference.iter().zip(&embeddings) {
        assert_eq!(ours.len(), HIDDEN);
        let (cosine, norm) = (cosine(embedding, ours), cosine(ours, ours));
        assert!(cosine > 0.999_999, "cosine {cosine} for {sentence:?}");
        assert!((norm - 1.0).abs() < 1e-6);
        let worst = embedding.iter().zip(ours).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "an element of {sentence:?} is off by {worst}");
    }
}

fn half_precision_and_padding_change_little<A: Array>() {
    let reference = reference();
    let sentences = reference.iter().map(|sentence| &*sentence.sentence).collect::<Vec<_>>();
    for (dtype, token_step, least) in [(Dtype::Float16, 16, 0.999_99), (Dtype::BFloat16, 1, 0.9997)] {
        let embeddings = embedder::<A>(dtype, token_step).embed(&sentences, &mut |_| {}).unwrap();
        for (Sentence { sentence, embedding }, ours) in reference.iter().zip(&embeddings) {
            let cosine = cosine(embedding, ours);
            assert!(cosine > least, "{dtype}: cosine {cosine} for {sentence:?}");
        }
    }
}

fn batch(texts: &[&str]) -> Batch {
    let tokenizer = Tokenizer::from_json(&ModelFiles::open(None).unwrap().tokenizer).unwrap();
    Batch::new(&tokenizer.tokens(texts).unwrap()).unwrap()
}

/// Returns a scalar that depends on every element of the embeddings, with a different weight for each.
fn loss<A: Array>(embeddings: &A) -> anyhow::Result<A> {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let weights = (0..embeddings.size()).map(|at| (at as f32).sin()).collect::<Vec<_>>();
    Ok(embeddings.multiply(&A::from_slice(&weights, &embeddings.shape())?)?.sum_all()?)
}

fn largest<A: Array>(gradient: &A) -> f32 {
    gradient.to_vec::<f32>().unwrap().into_iter().map(f32::abs).fold(0.0, f32::max)
}

fn gradient_reaches_every_weight<A: Array>() {
    let model = MiniLm::<A>::load(&find().unwrap()).unwrap();
    // Texts of different lengths, so that the gradient passes the mask.
    let batch = batch(&["A short text.", "A text that is a little longer."]);
    let (value, gradients) =
        A::value_and_grad(|weights| loss(&model.with_parameters(weights)?.forward(&batch)?), model.parameters())
            .unwrap();

    // The bias of the keys adds the same number to all scores of a query, so softmax and the loss do not depend on it.
    let names = MiniLm::<A>::parameter_names();
    assert_eq!((names.len(), gradients.len()), (101, 101));
    let mut reached = 0;
    for ((name, weight), gradient) in names.iter().zip(model.parameters()).zip(&gradients) {
        assert_eq!(gradient.shape(), weight.shape(), "{name}");
        let largest = largest(gradient);
        if name.ends_with("key.bias") {
            assert!(largest < 1e-5, "{name}: {largest}");
        } else {
            assert!(largest > 1e-4, "{name}: {largest}");
            reached += 1;
        }
    }
    assert_eq!(reached, 95);

    // The slope of the loss along the gradient is the length of the gradient.
    let length =
        gradients.iter().map(|gradient| gradient.square()?.sum_all()?.item::<f32>()).sum::<Result<f32, _>>();
    let length = length.unwrap().sqrt();
    let stepped = |step: f32| -> anyhow::Result<f32> {
        let step = A::scalar(step / length)?;
        let weights = model.parameters().iter().zip(&gradients);
        let weights = weights.map(|(weight, gradient)| weight.add(&gradient.multiply(&step)?));
        let weights = weights.collect::<Result<Vec<_>, _>>()?;
        Ok(loss(&model.with_parameters(&weights)?.forward(&batch)?)?.item()?)
    };
    let (before, after) = (stepped(-0.01).unwrap(), stepped(0.01).unwrap());
    assert!(before < value.item().unwrap() && value.item::<f32>().unwrap() < after);
    let slope = (after - before) / 0.02;
    assert!((slope / length - 1.0).abs() < 0.02, "slope {slope}, gradient {length}");
}

fn no_gradient_passes_a_scope<A: Array>() {
    let model = MiniLm::<A>::load(&find().unwrap()).unwrap();
    let batch = batch(&["A short text."]);
    let (value, gradients) =
        A::value_and_grad(|weights| loss(&model.with_parameters(weights)?.embed(&batch)?), model.parameters())
            .unwrap();
    assert!(gradients.iter().all(|gradient| largest(gradient).to_bits() == 0));
    let outside = loss(&model.forward(&batch).unwrap()).unwrap();
    assert!((value.item::<f32>().unwrap() - outside.item::<f32>().unwrap()).abs() < 1e-5);
}

fn damaged_weights_are_an_error<A: Array>() {
    let file = ModelFiles::open(None).unwrap().weights;
    let load = |contents: &[u8]| {
        format!("{:#}", MiniLm::<A>::from_safetensors(Cursor::new(contents)).map(drop).unwrap_err())
    };
    for length in [0, 7, 100, file.len() / 2, file.len() - 1] {
        let error = load(&file[..length]);
        assert!(error.contains("damaged"), "{error}");
    }
    let one = |name, shape| {
        let tensor = TensorView::new(safetensors::Dtype::F32, shape, &[0; 4]).unwrap();
        load(&safetensors::serialize([(name, tensor)], None).unwrap())
    };
    let name = "embeddings.word_embeddings.weight";
    assert_eq!(one("x", vec![1]), format!("cannot find tensor {name} in the file"));
    assert_eq!(
        one(name, vec![1, 1]),
        format!("cannot use tensor {name}: it is F32[1, 1]; expected F32[30522, 384]")
    );
}

macro_rules! on {
    ($feature:literal, $backend:ident) => {
        #[cfg(feature = $feature)]
        mod $backend {
            use grad_runtime::$backend::Array;

            #[test]
            fn agrees_with_sentence_transformers() {
                super::agrees_with_sentence_transformers::<Array>();
            }

            #[test]
            fn half_precision_and_padding_change_little() {
                super::half_precision_and_padding_change_little::<Array>();
            }

            #[test]
            fn gradient_reaches_every_weight() {
                super::gradient_reaches_every_weight::<Array>();
            }

            #[test]
            fn no_gradient_passes_a_scope() {
                super::no_gradient_passes_a_scope::<Array>();
            }

            #[test]
            fn damaged_weights_are_an_error() {
                super::damaged_weights_are_an_error::<Array>();
            }
        }
    };
}
on!("cpu", cpu);
on!("mlx", mlx);

#[test]
fn a_long_text_ends_after_256_tokens() {
    let tokenizer = Tokenizer::from_json(&ModelFiles::open(None).unwrap().tokenizer).unwrap();
    let tokens = tokenizer.tokens(&["word ".repeat(1000), String::new()]).unwrap();
    assert_eq!((tokens[0].len(), &*tokens[1]), (MAX_TOKENS, &[101, 102][..]));
    assert_eq!(tokens[0].last(), Some(&102));
}

#[test]
fn an_invalid_batch_is_an_error() {
    let error = |texts: &[Vec<u32>]| Batch::new(texts).unwrap_err().to_string();
    assert_eq!(error(&[]), "cannot make a batch: there are no texts");
    assert_eq!(
        error(&[vec![101, 102], vec![]]),
        "cannot make a batch: a text has no tokens; each has [CLS] and [SEP]"
    );
    assert_eq!(error(&[vec![101; 513]]), "cannot make a batch: a text has 513 tokens; the model has 512 positions");
}
