//! Search over source trees by meaning and by words: splits files into passages, keeps them in a store and ranks them.
//!
//! | module | purpose |
//! |---|---|
//! | [`walk`] | finds and reads the files of a tree |
//! | [`syntax`], [`passages`], [`items`] | split a file into passages, by its syntax |
//! | [`update`], [`shard`] | embed the passages that are new |
//! | [`store`] | keeps passages, vectors and words |
//! | [`rank`] | ranks passages for a query |
//! | [`session`] | the trees, store and embedder of one run |
//! | [`output`] | prints results as text or JSON |
//! | [`watch`] | keeps an index current |
//! | [`mcp`] | serves the search to editors and agents |

pub mod items;
pub mod mcp;
pub mod output;
pub mod passages;
pub mod rank;
pub mod session;
pub mod shard;
pub mod store;
pub mod syntax;
pub mod update;
pub mod walk;
pub mod watch;
