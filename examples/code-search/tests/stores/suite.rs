//! Checks what each store must do.

use std::collections::BTreeSet;
use std::fs;
use std::slice;
use std::thread;

use code_search::shard::Shard;
use code_search::store::{Counts, NewFile, Origin, Stamp, Store};
use code_search::update::{self, Tree};
use tempfile::TempDir;

use crate::place::{
    Letters, Place, Random, contents, digest_of, file, letters, matching, nearest, origin, passage, product, state,
};

/// The number of threads that write at once.
const WRITERS: usize = 6;

pub fn files_and_passages_are_returned_as_they_were_put(place: &Place) {
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    assert_eq!(store.tree(&origin("tree")).unwrap(), tree);
    assert!(store.files(tree).unwrap().is_empty());
    let mut unsettled = file("b/unsettled.rs", &["beta"]);
    unsettled.state.stamp = None;
    let mut long = file("a.rs", &["alpha", "gamma"]);
    long.passages[1].item = "impl Gamma\nfn gamma()".into();
    (long.passages[1].start, long.passages[1].end) = (7, u32::MAX);
    let empty = file("", &[]);
    let put = [unsettled, long, empty];
    store.put(tree, &put).unwrap();

    let files = store.files(tree).unwrap();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["", "a.rs", "b/unsettled.rs"]);
    assert!(put.iter().all(|file| files[&file.path] == file.state));
    let passages = contents(&mut *store, tree, 26);
    assert_eq!(passages.len(), 3);
    let last = &passages[1];
    assert_eq!((last.tree, &*last.path, last.start, last.end), (tree, "a.rs", 7, u32::MAX as usize));
    assert_eq!((&*last.item, &*last.text, &last.vector), ("impl Gamma\nfn gamma()", "gamma", &letters("gamma")));
}

pub fn a_file_is_replaced(place: &Place) {
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    store.put(tree, &[file("a", &["first words", "second words"]), file("b", &["stays"])]).unwrap();
    let old = store.matching(&[tree], "first", 10).unwrap();
    assert_eq!(old.len(), 1);
    let new = file("a", &["third"]);
    store.put(tree, slice::from_ref(&new)).unwrap();
    assert_eq!(store.files(tree).unwrap()["a"], new.state);
    assert!(store.passages(&old).unwrap().is_empty());
    assert!(matching(&mut *store, tree, "first second words").is_empty());
    assert_eq!(matching(&mut *store, tree, "third"), ["third"]);
    assert_eq!(store.counts(&[tree]).unwrap(), Counts { files: 2, passages: 2 });
}

pub fn of_a_file_put_twice_the_last_stays(place: &Place) {
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    store.put(tree, &[file("a", &["first"]), file("a", &["last"])]).unwrap();
    assert_eq!(store.counts(&[tree]).unwrap(), Counts { files: 1, passages: 1 });
    assert_eq!(contents(&mut *store, tree, 26)[0].text, "last");
}

pub fn a_removed_file_is_gone(place: &Place) {
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    store.put(tree, &[file("a", &["apple"]), file("b", &["bread"]), file("c", &["cream"])]).unwrap();
    store.remove(tree, &["b".into(), "c".into(), "never/was".into()]).unwrap();
    store.remove(tree, &[]).unwrap();
    assert_eq!(store.files(tree).unwrap().into_keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(nearest(&mut *store, tree, "bread", 10), ["apple"]);
    assert!(matching(&mut *store, tree, "bread cream").is_empty());
    assert!(store.vectors(tree, &[digest_of("bread")]).unwrap().is_empty());
}

pub fn a_touched_file_keeps_its_passages(place: &Place) {
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    store.put(tree, &[file("a", &["apple"]), file("b", &["bread"])]).unwrap();
    let before = contents(&mut *store, tree, 26);
    let stamp = Stamp { modified: -5, size: i64::MAX };
    store.touch(tree, &[("b".into(), Some(stamp)), ("a".into(), None), ("never/was".into(), None)]).unwrap();
    let files = store.files(tree).unwrap();
    assert_eq!((files.len(), files["a"].stamp, files["b"].stamp), (2, None, Some(stamp)));
    assert_eq!(files["b"].contents, digest_of("bread"));
    assert_eq!(contents(&mut *store, tree, 26), before);
}

pub fn vectors_are_found_by_what_was_embedded(place: &Place) {
    let mut store = place.open();
    let [tree, other] = ["tree", "other"].map(|name| store.tree(&origin(name)).unwrap());
    store.put(tree, &[file("a", &["apple", "apple"]), file("b", &["apple", "bread"])]).unwrap();
    store.put(other, &[file("a", &["cream"])]).unwrap();
    let wanted = ["apple", "cream", "bread", "apple"].map(digest_of);
    let found = store.vectors(tree, &wanted).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[&digest_of("apple")], letters("apple"));
    assert_eq!(found[&digest_of("bread")], letters("bread"));
    assert!(store.vectors(tree, &[]).unwrap().is_empty());
}

pub fn the_nearest_are_those_of_the_largest_products(place: &Place) {
    const LENGTH: usize = 16;
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    let mut random = Random(1);
    let vectors = (0..300).map(|_| random.vector(LENGTH)).collect::<Vec<_>>();
    let passages = (1..).zip(&vectors).map(|(line, vector)| passage(line, "", &line.to_string(), vector.clone()));
    let passages = passages.collect();
    store.put(tree, &[NewFile { path: "a".into(), state: state(""), passages }]).unwrap();
    for _ in 0..20 {
        let query = random.vector(LENGTH);
        let mut order = (0..vectors.len()).collect::<Vec<_>>();
        order.sort_by(|&a, &b| product(&query, &vectors[b]).total_cmp(&product(&query, &vectors[a])));
        for limit in [1, 10, 50] {
            let ids = store.nearest(&[tree], &query, limit, &Letters::default()).unwrap();
            let found = store.passages(&ids).unwrap().into_iter().map(|(_, passage)| passage.start - 1);
            assert_eq!(found.collect::<Vec<_>>(), order[..limit]);
        }
    }
}

pub fn words_are_stemmed_and_names_split(place: &Place) {
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    let texts = ["fn parseHTTPRequests(x1: u8)", "restoring the modes", "Grüße aus Köln", "snake_case_name = 42"];
    store.put(tree, &[file("a", &texts)]).unwrap();
    for (query, at) in [
        ("parsing", 0),
        ("request", 0),
        ("HTTP", 0),
        ("parseHttpRequests", 0),
        ("x1", 0),
        ("restored mode", 1),
        ("GRÜSSE grüße", 2),
        ("köln", 2),
        ("case", 3),
        ("names", 3),
        ("42", 3),
    ] {
        assert_eq!(matching(&mut *store, tree, query).first().map(String::as_str), Some(texts[at]), "{query}");
    }
    assert!(matching(&mut *store, tree, "unrelated").is_empty());
    assert_eq!(matching(&mut *store, tree, "the"), [texts[1]]);
}

pub fn a_rare_word_counts_more_than_frequent_ones(place: &Place) {
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    let frequent = (0..30).map(|n| format!("return the value of number {n}")).collect::<Vec<_>>();
    let mut texts = frequent.iter().map(String::as_str).collect::<Vec<_>>();
    texts.insert(17, "semaphore once");
    store.put(tree, &[file("a", &texts)]).unwrap();
    assert_eq!(matching(&mut *store, tree, "return the value of a semaphore")[0], "semaphore once");
}

pub fn words_of_paths_and_items_are_found(place: &Place) {
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    let mut with_item = file("src/plain.rs", &["self.next()"]);
    with_item.passages[0].item = "impl Iterator for TokenStream".into();
    store.put(tree, &[file("src/tokenStream.rs", &["nothing"]), with_item]).unwrap();
    assert_eq!(matching(&mut *store, tree, "iterator"), ["self.next()"]);
    assert_eq!(matching(&mut *store, tree, "plain"), ["self.next()"]);
    assert_eq!(matching(&mut *store, tree, "tokens").len(), 2);
}

pub fn trees_do_not_see_each_other(place: &Place) {
    let mut store = place.open();
    let [one, two] = ["one", "two"].map(|name| store.tree(&origin(name)).unwrap());
    store.put(one, &[file("a", &["apple"])]).unwrap();
    store.put(two, &[file("a", &["apple pie"]), file("b", &["bread"])]).unwrap();
    assert_eq!(nearest(&mut *store, one, "bread", 10), ["apple"]);
    assert_eq!(matching(&mut *store, one, "apple bread"), ["apple"]);
    let both = store.nearest(&[one, two], &letters("bread"), 10, &Letters::default()).unwrap();
    assert_eq!(both.len(), 3);
    assert_eq!(store.matching(&[one, two], "apple", 10).unwrap().len(), 2);
    store.remove(two, &["a".into()]).unwrap();
    assert_eq!(store.counts(&[one]).unwrap(), Counts { files: 1, passages: 1 });
    assert_eq!(matching(&mut *store, one, "apple"), ["apple"]);
}

pub fn another_model_or_splitting_empties_a_tree(place: &Place) {
    let mut store = place.open();
    let other = store.tree(&origin("other")).unwrap();
    store.put(other, &[file("a", &["apple"])]).unwrap();
    let mut tree = store.tree(&origin("tree")).unwrap();
    let newer = Origin { model: "newer".into(), ..origin("tree") };
    let finer = Origin { splitting: "finer".into(), ..newer.clone() };
    for changed in [newer, finer] {
        store.put(tree, &[file("a", &["apple"])]).unwrap();
        tree = store.tree(&changed).unwrap();
        assert!(store.files(tree).unwrap().is_empty());
        assert!(store.vectors(tree, &[digest_of("apple")]).unwrap().is_empty());
        assert_eq!(store.counts(&[tree]).unwrap(), Counts::default());
        assert!(matching(&mut *store, tree, "apple").is_empty());
    }
    // The new model may have vectors of another length.
    let vector = vec![0.6, 0.8];
    let passages = vec![passage(1, "", "apple", vector.clone())];
    store.put(tree, &[NewFile { path: "a".into(), state: state(""), passages }]).unwrap();
    assert_eq!(store.nearest(&[tree], &vector, 5, &Letters::default()).unwrap().len(), 1);
    assert_eq!(store.counts(&[other]).unwrap(), Counts { files: 1, passages: 1 });
}

pub fn files_and_passages_are_counted(place: &Place) {
    let mut store = place.open();
    let [one, two] = ["one", "two"].map(|name| store.tree(&origin(name)).unwrap());
    store.put(one, &[file("a", &["apple", "bread"]), file("empty", &[])]).unwrap();
    store.put(two, &[file("a", &["apple"])]).unwrap();
    assert_eq!(store.counts(&[one]).unwrap(), Counts { files: 2, passages: 2 });
    assert_eq!(store.counts(&[one, two]).unwrap(), Counts { files: 3, passages: 3 });
    assert_eq!(store.counts(&[]).unwrap(), Counts::default());
}

/// Texts that would do harm if they were syntax of SQL, of a query, or of a terminal.
const HARMFUL: [&str; 8] = [
    "'; DROP TABLE files; --",
    "\"); DELETE FROM passages; --",
    "$1 $2 ? ?1 :name @name %s {0}",
    "a & b | !c <-> d:* (e",
    "NEAR(a b) a* ^a -a text: a AND b OR NOT c",
    "\u{1b}[31mred\u{1b}]0;title\u{7} \u{202e}reversed\u{202c}",
    "日本語 العربية 🙂 e\u{301} \u{10ffff}",
    "back\\slash \\' \\x00 {1,2} E'\\n'",
];

pub fn text_from_outside_stays_text(place: &Place) {
    let mut store = place.open();
    for name in HARMFUL {
        let tree = store.tree(&origin(name)).unwrap();
        let files = HARMFUL.map(|text| {
            let mut file = file(text, &[text]);
            file.passages[0].item = text.into();
            file
        });
        store.put(tree, &files).unwrap();
        let found = contents(&mut *store, tree, 26);
        assert_eq!(found.len(), HARMFUL.len());
        assert!(found.iter().all(|passage| passage.path == passage.text && passage.item == passage.text));
        let texts = found.iter().map(|passage| &*passage.text).collect::<BTreeSet<_>>();
        assert_eq!(texts, BTreeSet::from(HARMFUL));
        store.touch(tree, &HARMFUL.map(|path| (path.to_owned(), None))).unwrap();
        store.remove(tree, &HARMFUL.map(str::to_owned)[1..]).unwrap();
        assert_eq!(store.files(tree).unwrap().into_keys().collect::<Vec<_>>(), [HARMFUL[0]]);
    }
}

pub fn queries_are_not_syntax(place: &Place) {
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    store.put(tree, &[file("zzz", &["apple", "drop the table"])]).unwrap();
    for query in HARMFUL.into_iter().chain(["apple'", "'apple", "apple & !apple", "apple:*", "\"apple", "apple\0"])
    {
        let found = matching(&mut *store, tree, query);
        assert_eq!(found.contains(&"apple".to_owned()), query.contains("apple"), "{query}");
    }
    assert_eq!(matching(&mut *store, tree, "'; DROP TABLE files; --"), ["drop the table"]);
    assert!(matching(&mut *store, tree, "app:*").is_empty());
    let long = "many words and apple ".repeat(500);
    assert_eq!(matching(&mut *store, tree, &long), ["apple"]);
    assert!(matching(&mut *store, tree, &"x".repeat(5000)).is_empty());
}

pub fn nothing_is_found_by_nothing(place: &Place) {
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    assert!(nearest(&mut *store, tree, "apple", 5).is_empty());
    assert!(matching(&mut *store, tree, "apple").is_empty());
    store.put(tree, &[]).unwrap();
    store.touch(tree, &[]).unwrap();
    store.put(tree, &[file("a", &["apple"])]).unwrap();
    for query in ["", " ", "\n", "-- !?", "\u{1b}"] {
        assert!(matching(&mut *store, tree, query).is_empty(), "{query:?}");
    }
    assert!(store.matching(&[], "apple", 5).unwrap().is_empty());
    assert!(store.matching(&[tree], "apple", 0).unwrap().is_empty());
    assert!(store.nearest(&[], &letters("apple"), 5, &Letters::default()).unwrap().is_empty());
    assert!(store.nearest(&[tree], &letters("apple"), 0, &Letters::default()).unwrap().is_empty());
    assert!(store.passages(&[]).unwrap().is_empty());
}

pub fn a_vector_of_another_length_is_an_error(place: &Place) {
    for length in [0, 1, 25, 27] {
        let mut store = place.open();
        let tree = store.tree(&origin(&format!("tree {length}"))).unwrap();
        store.put(tree, &[file("a", &["apple"])]).unwrap();
        if length > 0 {
            let mut query = vec![0.0; length];
            query[0] = 1.0;
            let error = store.nearest(&[tree], &query, 5, &Letters::default()).unwrap_err().to_string();
            assert!(error.ends_with("its vectors have the wrong length"), "{error}");
        }
        let passages = vec![passage(1, "", "bread", vec![1.0; length])];
        let put = store.put(tree, &[NewFile { path: "b".into(), state: state(""), passages }]);
        let found = store.nearest(&[tree], &letters("bread"), 5, &Letters::default());
        match (put, found) {
            (Err(_), found) => assert_eq!(found.unwrap().len(), 1),
            (Ok(()), found) => assert!(found.is_err()),
        }
    }
}

/// Returns a tree of files, each with a line of its own.
fn many_files(count: usize) -> (TempDir, Tree) {
    let folder = TempDir::new().unwrap();
    for number in 0..count {
        let letter = char::from(b'a' + u8::try_from(number % 26).unwrap());
        fs::write(folder.path().join(format!("{number}.txt")), format!("{letter} is number {number}\n")).unwrap();
    }
    let root = folder.path().canonicalize().unwrap();
    let tree = Tree { given: root.clone(), root, name: "many".into() };
    (folder, tree)
}

pub fn an_update_goes_on_where_it_failed(place: &Place) {
    const FILES: usize = 1200;
    let (_folder, tree) = many_files(FILES);
    let embedder = Letters::default();
    embedder.fails_after.set(1100);
    let mut store = place.open();
    let error = update::update(&mut *store, &tree, Shard::ALL, &embedder, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "cannot embed any more");
    let kept = embedder.embedded.get();
    let id = store.tree(&tree.origin()).unwrap();
    assert!(kept > 0 && kept < FILES);
    assert_eq!(store.counts(&[id]).unwrap(), Counts { files: kept, passages: kept });

    let embedder = Letters::default();
    let update = update::update(&mut *store, &tree, Shard::ALL, &embedder, &mut |_| {}).unwrap();
    assert_eq!((update.embedded, update.changed, update.unchanged), (FILES - kept, FILES - kept, kept));
    assert_eq!(embedder.embedded.get(), FILES - kept);
    assert_eq!(store.counts(&[id]).unwrap(), Counts { files: FILES, passages: FILES });
}

pub fn what_was_put_is_there_after_opening_again(place: &Place) {
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    store.put(tree, &[file("a", &["apple", "bread"])]).unwrap();
    let before = contents(&mut *store, tree, 26);
    drop(store);
    let mut store = place.open();
    assert_eq!(store.tree(&origin("tree")).unwrap(), tree);
    assert_eq!(contents(&mut *store, tree, 26), before);
}

/// Runs `work` on several threads, each with its number and a store of its own.
fn at_once<T: Send>(place: &Place, work: impl Fn(usize, &mut dyn Store) -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let threads = (0..WRITERS).map(|number| scope.spawn(move || work(number, &mut *place.open())));
        threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

pub fn many_open_a_new_store_at_once(place: &Place) {
    let trees = at_once(place, |_, store| store.tree(&origin("tree")).unwrap());
    assert!(trees.iter().all(|tree| *tree == trees[0]));
}

pub fn many_put_files_at_once(place: &Place) {
    const FILES: usize = 20;
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    let path = |writer, number| format!("{number}-{writer}");
    at_once(place, |writer, store| {
        for number in 0..FILES {
            let text = format!("file {number} of {writer}");
            store.put(tree, &[file(&path(writer, number), &[&text])]).unwrap();
            if number % 4 == 3 {
                store.remove(tree, &[path(writer, number - 1)]).unwrap();
                store.touch(tree, &[(path(writer, number), None)]).unwrap();
            }
        }
    });
    let left = WRITERS * FILES * 3 / 4;
    assert_eq!(store.counts(&[tree]).unwrap(), Counts { files: left, passages: left });
    assert_eq!(contents(&mut *store, tree, 26).len(), left);
    assert_eq!(store.matching(&[tree], "file", 1000).unwrap().len(), left);
}

pub fn of_a_file_that_many_put_at_once_one_copy_stays(place: &Place) {
    let mut store = place.open();
    let tree = store.tree(&origin("tree")).unwrap();
    at_once(place, |writer, store| {
        for round in 0..10 {
            let mut files = ["a", "b", "c"].map(|path| file(path, &[&format!("{writer} {round}"), "end"]));
            // Writers that take the files in different orders.
            files.rotate_left((writer + round) % 3);
            store.put(tree, &files).unwrap();
        }
    });
    assert_eq!(store.counts(&[tree]).unwrap(), Counts { files: 3, passages: 6 });
    let passages = contents(&mut *store, tree, 26);
    // All passages of a file are of one writer, and the three files of one transaction.
    assert!(
        passages.iter().step_by(2).all(|passage| passage.text == passages[0].text && passage.text.ends_with(" 9"))
    );
    assert!(passages.iter().skip(1).step_by(2).all(|passage| passage.text == "end"));
}

pub fn a_tree_is_replaced_once(place: &Place) {
    let mut store = place.open();
    let old = store.tree(&origin("tree")).unwrap();
    store.put(old, &[file("old", &["old"])]).unwrap();
    let newer = Origin { model: "newer".into(), ..origin("tree") };
    let trees = at_once(place, |writer, store| {
        let tree = store.tree(&newer).unwrap();
        store.put(tree, &[file(&writer.to_string(), &["new"])]).unwrap();
        tree
    });
    assert!(trees.iter().all(|tree| *tree == trees[0]));
    assert_eq!(store.counts(&[trees[0]]).unwrap(), Counts { files: WRITERS, passages: WRITERS });
}

pub fn shards_at_once_are_the_whole(place: &Place) {
    let (_folder, tree) = many_files(300);
    let updates = at_once(place, |number, store| {
        let shard = format!("{}/{WRITERS}", number + 1).parse().unwrap();
        let embedder = Letters::default();
        update::update(store, &tree, shard, &embedder, &mut |_| {}).unwrap().embedded
    });
    assert_eq!(updates.iter().sum::<usize>(), 300);
    let mut store = place.open();
    let id = store.tree(&tree.origin()).unwrap();
    let sharded = contents(&mut *store, id, 26);
    let whole = Tree { name: "whole".into(), ..tree };
    update::update(&mut *store, &whole, Shard::ALL, &Letters::default(), &mut |_| {}).unwrap();
    let id = store.tree(&whole.origin()).unwrap();
    let mut expected = contents(&mut *store, id, 26);
    for passage in &mut expected {
        passage.tree = sharded[0].tree;
    }
    assert_eq!(sharded, expected);
}
