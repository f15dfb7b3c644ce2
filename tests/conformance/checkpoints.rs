//! Checkpoints: what is saved comes back, and everything that does not fit is named.

use std::fs;

use grad_runtime::optim::{Adam, AdamOptions};
use grad_runtime::{Array, Checkpoint, Dtype, Error, Params, RestoreOptions, params, safetensors};
use support::arrays::{array, elements};

use crate::on_every_backend;

#[derive(Params, Clone)]
struct Model<A: Array> {
    weight: A,
    #[params(frozen)]
    embedding: A,
    #[params(buffer)]
    count: A,
}

fn model<A: Array>(value: f32) -> Model<A> {
    Model {
        weight: array(&[value, 2.0 * value], &[2]),
        embedding: array(&[-value], &[1]),
        count: A::scalar(7_i64).unwrap(),
    }
}

on_every_backend! {
    fn a_model_its_optimizer_and_numbers<A>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let mut trained = model::<A>(1.0);
        let mut optimizer = Adam::new(&trained, AdamOptions::default()).unwrap();
        let loss = |model: &Model<A>| model.weight.square()?.sum_all();
        let step = |optimizer: &mut Adam<A>, model: &mut Model<A>| {
            let gradients = params::grad(loss, model).unwrap();
            optimizer.step(model, &gradients).unwrap();
        };
        step(&mut optimizer, &mut trained);
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert("model", &trained).unwrap();
        checkpoint.insert("optimizer", &optimizer).unwrap();
        checkpoint.set("epoch", 12);
        checkpoint.set("lr", 3e-4_f64);
        checkpoint.set("note", "a \"quoted\" text, ünïcode");
        checkpoint.save(&path).unwrap();

        let saved = Checkpoint::<A>::load(&path).unwrap();
        let mut restored = saved.restore("model", &model(0.0)).unwrap();
        let mut resumed = saved.restore("optimizer", &Adam::new(&restored, AdamOptions::default()).unwrap()).unwrap();
        assert_eq!((saved.parse::<u32>("epoch").unwrap(), saved.parse::<f64>("lr").unwrap()), (12, 3e-4));
        assert_eq!(saved.get("note"), Some("a \"quoted\" text, ünïcode"));
        assert_eq!(restored.count.item::<i64>().unwrap(), 7);
        // The next step is the same to the last bit.
        step(&mut optimizer, &mut trained);
        step(&mut resumed, &mut restored);
        assert_eq!(elements(&trained.weight), elements(&restored.weight));
        // Any program reads the file.
        let arrays = safetensors::load::<A>(&path).unwrap();
        assert_eq!(elements(&arrays["model.embedding"]), [-1.0]);
    }

    fn everything_that_does_not_fit_is_named<A>() {
        let mut checkpoint = Checkpoint::new();
        let zeros = |shape: &[usize], dtype| A::zeros(shape, dtype).unwrap();
        let float = Dtype::Float32;
        checkpoint.insert("m", &(zeros(&[2], float), zeros(&[3], float), zeros(&[], Dtype::Int32), zeros(&[1], float))).unwrap();
        checkpoint.insert("more", &zeros(&[1], float)).unwrap();
        let template = (zeros(&[2], float), zeros(&[4], float), zeros(&[], float), (), zeros(&[], float), zeros(&[], float));
        let error = checkpoint.restore("m", &template).map(|_| ()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot restore: `m.4`, `m.5` are missing; `m.3` is unexpected; `m.1` is float32[3], not float32[4]; `m.2` is int32[], \
             not float32[]; the structure must be the one that was saved, but for what `RestoreOptions` accept"
        );
        let all = RestoreOptions { convert: true, allow_missing: true, allow_unexpected: true };
        let error = checkpoint.restore_with("m", &template, all).map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with("cannot restore: `m.1` is float32[3], not float32[4]; "), "{error}");
        let template = (template.0, zeros(&[3], float), template.2, template.3, A::ones(&[], float).unwrap(), template.5);
        let restored = checkpoint.restore_with("m", &template, all).unwrap();
        assert_eq!((restored.2.dtype(), restored.4.item::<f32>().unwrap()), (float, 1.0));
        assert!(checkpoint.restore("more", &zeros(&[1], float)).is_ok());
        assert!(checkpoint.restore("nothing", &zeros(&[1], float)).map(|_| ()).unwrap_err().to_string().contains("`nothing` is missing"));
    }

    fn a_failed_save_leaves_the_old_file<A>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let mut checkpoint = Checkpoint::<A>::new();
        checkpoint.set("epoch", 1);
        checkpoint.save(&path).unwrap();
        let before = fs::read(&path).unwrap();
        checkpoint.insert("", &std::collections::BTreeMap::from([("__metadata__", A::scalar(1.0_f32).unwrap())])).unwrap();
        assert!(matches!(checkpoint.save(&path), Err(Error::Safetensors { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
        let error = Checkpoint::<A>::load(folder.path().join("none")).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Io { op: "load", .. }));
    }

    fn numbers_that_cannot_be_read<A>() {
        let mut checkpoint = Checkpoint::<A>::new();
        checkpoint.set("epoch", "three");
        let error = checkpoint.parse::<u32>("epoch").unwrap_err();
        assert_eq!(error.to_string(), "cannot parse: `epoch` is \"three\": invalid digit found in string");
    }
    fn the_same_contents_give_the_same_bytes<A>() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = None;
        for number in 0..8 {
            let path = folder.path().join(format!("{number}.safetensors"));
            let mut checkpoint = Checkpoint::<A>::new();
            for key in ["epoch", "lr", "note", "seed", "step"] {
                checkpoint.set(key, key.len());
            }
            checkpoint.insert("model", &model::<A>(1.0)).unwrap();
            checkpoint.save(&path).unwrap();
            let bytes = fs::read(&path).unwrap();
            assert_eq!(first.get_or_insert_with(|| bytes.clone()), &bytes);
        }
    }

    /// `checkpoint.py` wrote the file with the safetensors package of Python, from tensors of PyTorch.
    fn a_file_of_python<A>() {
        let saved = Checkpoint::<A>::load(concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/checkpoint.safetensors")).unwrap();
        let template = model::<A>(0.0);
        let restored = saved.restore("model", &template).unwrap();
        assert_eq!((elements(&restored.weight), elements(&restored.embedding)), (vec![1.0, 2.0], vec![-1.0]));
        assert_eq!(restored.count.item::<i64>().unwrap(), 7);
        assert_eq!((saved.parse::<u32>("epoch").unwrap(), saved.get("format")), (12, Some("pt")));
    }
}
