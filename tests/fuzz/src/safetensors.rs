//! Safetensors files: what is loaded is what the file holds.

use std::collections::BTreeMap;
use std::fs;

use grad_runtime::safetensors::{load, load_where, save};
use grad_runtime::{Array, Checkpoint, Error, cpu, mlx};
use safetensors::{Dtype, SafeTensors};
use support::random::Random;

use crate::scratch;

/// Loads a file. An even first byte means that the others are the file; an odd one that its length is to be put before the header,
/// which ends at the first byte 0.
///
/// # Panics
///
/// If loading panics, if the arrays are not those of the file, or if they change when they are saved and loaded again.
pub fn safetensors(bytes: &[u8]) {
    let random = Random::from_choices(bytes);
    let has_header_alone = random.below(2) == 1;
    let contents = if has_header_alone { with_length(random.rest()) } else { random.rest().to_vec() };
    let path = scratch::file("any.safetensors");
    fs::write(&path, &contents).expect("the folder can be written");
    check::<cpu::Array>(&contents);
    check::<mlx::Array>(&contents);
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (header, elements) = bytes.split_at(end);
    [&(header.len() as u64).to_le_bytes(), header, elements.get(1..).unwrap_or_default()].concat()
}

fn check<A: Array>(contents: &[u8]) {
    let path = scratch::file("any.safetensors");
    let none = load_where::<A>(&path, |_| false);
    let arrays = match load::<A>(&path) {
        Ok(arrays) => arrays,
        Err(Error::Safetensors { .. }) => return,
        Err(error) => panic!("not an error of the file: {error:?}"),
    };
    assert!(none.expect("a file that can be loaded can be loaded in part").is_empty());
    let stored = SafeTensors::deserialize(contents).expect("a file that can be loaded is valid");
    assert_eq!(arrays.len(), stored.len());
    for (name, array) in &arrays {
        let tensor = stored.tensor(name).expect("an array is in the file");
        assert_eq!(array.shape(), tensor.shape(), "{name}");
        let size = array.shape().iter().product::<usize>();
        assert_eq!(array.to_buffer().expect("the elements are known").len(), size, "{name}");
    }
    let saved = scratch::file("saved.safetensors");
    save(&saved, &arrays).expect("what was loaded can be saved");
    same_elements(contents, &fs::read(&saved).expect("it was saved"));
    let again = load::<A>(&saved).expect("what was saved can be loaded");
    assert!(again.keys().eq(arrays.keys()));

    let checkpoint = Checkpoint::<A>::load(&path).expect("what can be loaded is a checkpoint");
    checkpoint.save(&saved).expect("a checkpoint can be saved");
    let bytes = fs::read(&saved).expect("it was saved");
    same_elements(contents, &bytes);
    let restored = Checkpoint::<A>::load(&saved).expect("a saved checkpoint can be loaded");
    let metadata = |bytes| SafeTensors::read_metadata(bytes).expect("it is valid").1.metadata().clone();
    let texts = metadata(contents).into_iter().flatten().collect::<BTreeMap<_, _>>();
    for (key, text) in &texts {
        assert_eq!(restored.get(key), Some(text.as_str()));
    }
    let _: Result<u32, _> = restored.parse("epoch");
    restored.save(&saved).expect("a checkpoint can be saved again");
    assert_eq!(bytes, fs::read(&saved).expect("it was saved"), "the same contents give the same bytes");
}

/// Checks that two files have the same arrays. Any byte but 0 is true.
fn same_elements(before: &[u8], after: &[u8]) {
    let [before, after] =
        [before, after].map(|bytes| SafeTensors::deserialize(bytes).expect("it was loaded before"));
    assert_eq!(before.len(), after.len());
    for (name, before) in before.iter() {
        let after = after.tensor(name).expect("it was saved");
        assert_eq!((before.dtype(), before.shape()), (after.dtype(), after.shape()), "{name}");
        if before.dtype() == Dtype::BOOL {
            let truths = |bytes: &[u8]| bytes.iter().map(|byte| *byte != 0).collect::<Vec<_>>();
            assert_eq!(truths(before.data()), truths(after.data()), "{name}");
        } else {
            assert_eq!(before.data(), after.data(), "{name}");
        }
    }
}
