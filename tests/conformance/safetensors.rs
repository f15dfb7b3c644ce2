//! Arrays in safetensors files: saved and loaded unchanged, and errors for invalid files.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use grad_runtime::safetensors::{load, load_where, save};
use grad_runtime::{Array, Buffer, Dtype, Error, Params, no_grad};
use half::{bf16, f16};
use support::arrays::array;

use crate::on_every_backend;

/// Writes a file of the format from its header and its data.
fn write(path: &Path, header: &str, elements: &[u8]) {
    let mut contents = (header.len() as u64).to_le_bytes().to_vec();
    contents.extend(header.as_bytes());
    contents.extend(elements);
    fs::write(path, contents).unwrap();
}

/// Returns the message of the error that the file at `path` is not valid.
#[track_caller]
fn refusal<A: Array>(path: &Path) -> String {
    match load::<A>(path).unwrap_err() {
        error @ Error::Safetensors { .. } => {
            let message = error.to_string();
            // The message includes that of the cause.
            assert!(error.source().is_none_or(|source| message.ends_with(&format!(": {source}"))), "{message}");
            message.strip_prefix(&format!("cannot load {}: ", path.display())).expect(&message).to_owned()
        }
        other => panic!("expected Error::Safetensors, found {other}"),
    }
}

on_every_backend! {
    fn every_dtype_is_loaded_as_saved<A>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.safetensors");
        let floats = [0.0, -1.5, f32::MAX, f32::INFINITY, 1e-3, f32::MIN_POSITIVE];
        let arrays: BTreeMap<String, A> = [
            ("float32", A::from_slice(&floats, &[2, 3])),
            ("float16", A::from_slice(&floats.map(f16::from_f32), &[6])),
            ("bfloat16", A::from_slice(&floats.map(bf16::from_f32), &[3, 1, 2])),
            ("int32", A::from_slice(&[i32::MIN, -1, 0, i32::MAX], &[2, 2])),
            ("uint32", A::from_slice(&[0, 1, u32::MAX], &[3])),
            ("bool", A::from_slice(&[true, false, true], &[3])),
            ("a scalar, with a \"quoted\" ñame", A::scalar(7.0_f32)),
            ("empty", A::zeros(&[2, 0, 3], Dtype::Float32)),
        ].into_iter().map(|(name, array)| (name.to_owned(), array.unwrap())).collect();
        save(&path, &arrays).unwrap();
        let loaded = load::<A>(&path).unwrap();
        assert!(loaded.keys().eq(arrays.keys()));
        for (name, array) in &arrays {
            let found = &loaded[name];
            assert_eq!((found.shape(), found.dtype()), (array.shape(), array.dtype()), "{name}");
            assert_eq!(found.to_buffer().unwrap(), array.to_buffer().unwrap(), "{name}");
        }

        // A NaN keeps its bits. The order of the entries does not change the file.
        let nan = A::from_slice(&[f32::from_bits(0x7fc0_1234)], &[1]).unwrap();
        save(&path, [("nan", &nan)]).unwrap();
        let Buffer::Float32(found) = load::<A>(&path).unwrap()["nan"].to_buffer().unwrap() else { unreachable!() };
        assert_eq!(found[0].to_bits(), 0x7fc0_1234);
        save(&path, &arrays).unwrap();
        let (first, shuffled) = (fs::read(&path).unwrap(), arrays.into_iter().collect::<HashMap<_, _>>());
        save(&path, &shuffled).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        save::<A, &str>(&path, []).unwrap();
        assert!(load::<A>(&path).unwrap().is_empty());
    }

    fn a_model_by_parameter_names<A>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let model = vec![(array::<A>(&[1.0, 2.0], &[2]), Some(array::<A>(&[3.0], &[1]))), (array::<A>(&[4.0], &[1]), None)];
        save(&path, &model.named()).unwrap();
        let mut saved = load::<A>(&path).unwrap();
        assert!(saved.keys().eq(["0.0", "0.1", "1.0"]));
        let twice = model.try_map(|path, old| saved.remove(&path.to_string()).expect("it was saved").add(old)).unwrap();
        assert_eq!(twice.arrays().iter().map(|array| array.to_vec::<f32>().unwrap()).collect::<Vec<_>>(), [vec![2.0, 4.0], vec![6.0], vec![8.0]]);
    }

    fn guarantee_3_loaded_arrays_are_constants_and_saved_ones_stay_recorded<A>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let slope = A::grad(|x| {
            save(&path, [("x", &x[0])])?;
            let loaded = no_grad!(load::<A>(&path)?);
            x[0].multiply(&loaded["x"])
        }, &[A::scalar(3.0_f32).unwrap()]).unwrap();
        assert_eq!(slope[0].item::<f32>().unwrap(), 3.0);
    }

    fn a_file_of_another_program<A>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.safetensors");
        let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"BOOL","shape":[2],"data_offsets":[8,10]},"i":{"dtype":"I32","shape":[1,2],"data_offsets":[0,8]}}"#;
        write(&path, header, &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0]);
        let loaded = load::<A>(&path).unwrap();
        assert_eq!(loaded.len(), 2);
        assert_eq!((loaded["i"].shape(), loaded["i"].to_vec::<i32>().unwrap()), (vec![1, 2], vec![1, -1]));
        assert_eq!(loaded["b"].to_vec::<bool>().unwrap(), [true, false]);
    }

    fn an_unsupported_dtype_is_named<A>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        for (dtype, size) in [("F8_E4M3", 1), ("F8_E5M2", 1)] {
            let header = format!(
                r#"{{"a":{{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}},"layer.ids":{{"dtype":"{dtype}","shape":[1],"data_offsets":[1,{}]}}}}"#,
                1 + size
            );
            write(&path, &header, &vec![0; 1 + size]);
            assert_eq!(refusal::<A>(&path), format!("`layer.ids` is {dtype}, which arrays cannot represent; convert it in the file, or leave it out with `load_where`"));
            let rest = load_where::<A>(&path, |name| name != "layer.ids").unwrap();
            assert!(rest.keys().eq(["a"]));
        }
    }

    fn damaged_files<A>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        save(&path, [("x", &array::<A>(&[1.0, 2.0, 3.0], &[3]))]).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let reason = refusal::<A>(&path);
            assert!(reason.starts_with("the file is damaged, or not a safetensors file: "), "{reason}");
        }
        fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
        refusal::<A>(&path);
        fs::write(&path, b"{\"name\": \"config.json\", \"version\": 1}").unwrap();
        refusal::<A>(&path);
        for header in [
            r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
            r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
            r#"{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
            r#"{"x":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,4]}}"#,
            r#"{"x":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#,
        ] {
            write(&path, header, &[0; 4]);
            refusal::<A>(&path);
        }
        // A shape that the format allows and arrays do not have.
        let header = format!(r#"{{"wide":{{"dtype":"F32","shape":[0,{0},{0}],"data_offsets":[0,0]}}}}"#, u64::MAX / 2);
        write(&path, &header, &[]);
        let reason = refusal::<A>(&path);
        assert!(reason.contains("wide") || reason.contains("overflow"), "{reason}");
    }

    fn a_file_that_cannot_be_read<A>() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("missing"), folder.path().to_owned()] {
            let error = load::<A>(&path).unwrap_err();
            let source = error.source().expect("a cause").downcast_ref::<io::Error>().expect("an I/O error");
            assert_eq!(source.kind(), fs::read(&path).unwrap_err().kind());
            assert_eq!(error.to_string(), format!("cannot load {}: {source}", path.display()));
            assert!(matches!(&error, Error::Io { op: "load", path: named, .. } if *named == path), "{error:?}");
            let error = load_where::<A>(&path, |_| true).unwrap_err();
            assert!(matches!(error, Error::Io { op: "load_where", .. }), "{error:?}");
        }
        let missing = load::<A>(folder.path().join("missing")).unwrap_err();
        assert!(matches!(missing, Error::Io { source, .. } if source.kind() == ErrorKind::NotFound));
    }

    fn a_failed_save_leaves_the_old_file<A>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let x: A = array(&[1.0], &[1]);
        save(&path, [("x", &x)]).unwrap();
        let old = fs::read(&path).unwrap();
        let refused = save(&path, [("x", &x), ("__metadata__", &x)]).unwrap_err();
        assert!(matches!(&refused, Error::Safetensors { op: "save", source: None, .. }), "{refused:?}");
        let message = refused.to_string();
        assert!(message.ends_with("an array is named `__metadata__`, which the format reserves; rename the array"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), old);
        for path in [folder.path().join("missing/x.safetensors"), folder.path().to_owned()] {
            let refused = save(&path, [("x", &x)]).unwrap_err();
            assert!(matches!(&refused, Error::Io { op: "save", path: named, .. } if *named == path), "{refused}");
        }
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!(names, ["x.safetensors"], "no temporary file is left");
    }

    fn a_file_has_default_permissions<A>() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions();
        save(folder.path().join("x"), [("x", &array::<A>(&[1.0], &[1]))]).unwrap();
        fs::write(folder.path().join("plain"), []).unwrap();
        assert_eq!(mode("x"), mode("plain"));
    }
}
