//! Embeddings without a model: the normalized counts of a text's letters. The fuzz target of indexes compiles this file, too.

use anyhow::{Result, ensure};
use grad_examples::embedder::{Matrix, Vector};

/// Vectors of one length, one after another.
pub struct Rows {
    pub vectors: Vec<f32>,
    pub length: usize,
}

impl Matrix for Rows {
    fn cosines(&self, query: &[f32]) -> Result<Vec<f32>> {
        ensure!(query.len() == self.length, "another length");
        let dot = |vector: &[f32]| vector.iter().zip(query).map(|(a, b)| a * b).sum();
        Ok(self.vectors.chunks(self.length).map(dot).collect())
    }
}

/// Returns the embedding of a text.
pub fn letters(text: &str) -> Vector {
    let mut counts = [0.0_f32; 26];
    for letter in text.bytes().filter(u8::is_ascii_lowercase) {
        counts[usize::from(letter - b'a')] += 1.0;
    }
    let norm = counts.iter().map(|count| count * count).sum::<f32>().sqrt().max(1.0);
    counts.iter().map(|count| count / norm).collect()
}
