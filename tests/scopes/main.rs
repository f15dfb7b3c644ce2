//! The law of scopes as such: modes, guards and backends, without arrays.
//!
//! Each test's name begins with the number of the promise that it holds us to.

mod backends;
mod guards;
mod modes;
