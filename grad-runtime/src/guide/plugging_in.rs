//! Plugging in.
