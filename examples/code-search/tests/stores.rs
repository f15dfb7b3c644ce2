//! Checks each store with the same tests.
//!
//! With the feature `postgres` they need a server, which a script starts:
//!
//! ```text
//! examples/code-search/tests/postgres-server cargo test -p code-search --features postgres --test stores
//! ```

#[path = "stores/place.rs"]
mod place;
#[cfg(feature = "cpu")]
#[path = "stores/processes.rs"]
mod processes;
#[cfg(feature = "postgres")]
#[path = "stores/server.rs"]
mod server;
#[path = "stores/suite.rs"]
mod suite;

/// Makes a test of each function of a module, for a store.
macro_rules! tests {
    ($new:expr, $($module:ident: $($name:ident)*;)*) => {
        $($(
            #[test]
            fn $name() {
                crate::$module::$name(&$new);
            }
        )*)*
    };
}

/// Makes the tests that one connection can pass.
macro_rules! single {
    ($new:expr) => {
        tests! {
            $new,
            suite:
            files_and_passages_are_returned_as_they_were_put
            a_file_is_replaced
            of_a_file_put_twice_the_last_stays
            a_removed_file_is_gone
            a_touched_file_keeps_its_passages
            vectors_are_found_by_what_was_embedded
            the_nearest_are_those_of_the_largest_products
            words_are_stemmed_and_names_split
            a_rare_word_counts_more_than_frequent_ones
            words_of_paths_and_items_are_found
            trees_do_not_see_each_other
            another_model_or_splitting_empties_a_tree
            files_and_passages_are_counted
            text_from_outside_stays_text
            queries_are_not_syntax
            nothing_is_found_by_nothing
            a_vector_of_another_length_is_an_error
            an_update_goes_on_where_it_failed;
        }
    };
}

/// Makes the tests of several connections.
macro_rules! shared {
    ($new:expr) => {
        tests! {
            $new,
            suite:
            what_was_put_is_there_after_opening_again
            many_open_a_new_store_at_once
            many_put_files_at_once
            of_a_file_that_many_put_at_once_one_copy_stays
            a_tree_is_replaced_once
            shards_at_once_are_the_whole;
        }
        #[cfg(feature = "cpu")]
        tests! {
            $new,
            processes:
            a_killed_process_loses_nothing
            eight_processes_index_what_one_does;
        }
    };
}

mod memory {
    single!(crate::place::Place::memory());
}

mod file {
    use std::sync::Barrier;
    use std::thread;

    use crate::place::Place;

    single!(Place::file());
    shared!(Place::file());

    /// SQLite refuses some of those that switch a new file to its log at once, and does not wait.
    #[test]
    fn many_open_new_files_at_once() {
        const THREADS: usize = 8;
        for _ in 0..100 {
            let (place, barrier) = (Place::file(), Barrier::new(THREADS));
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        barrier.wait();
                        place.open();
                    });
                }
            });
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    single!(crate::place::Place::postgres());
    shared!(crate::place::Place::postgres());
}
