//! An embedding service.
