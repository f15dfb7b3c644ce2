//! Finds the passages nearest to a query.

use crate::index::Index;

/// A search result.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit<'a> {
    /// The cosine of the angle between the query and the passage, from -1 to 1.
    pub score: f32,
    /// The position of its index among those searched.
    pub index: usize,
    /// The file, relative to the root of that index.
    pub file: &'a str,
    /// The first line.
    pub start: usize,
    /// The last line.
    pub end: usize,
}

impl Hit<'_> {
    fn overlaps(&self, other: &Self) -> bool {
        (self.index, self.file) == (other.index, other.file) && self.start <= other.end && other.start <= self.end
    }
}

/// Returns the `top` passages nearest to `query`, best first. Of overlapping passages only the best is kept.
#[must_use]
pub fn best<'a>(query: &[f32], indexes: &'a [Index], top: usize) -> Vec<Hit<'a>> {
    let mut hits = Vec::new();
    for (index, tree) in indexes.iter().enumerate() {
        for (file, indexed) in tree.files() {
            hits.extend(indexed.passages.iter().map(|passage| Hit {
                score: dot(query, &passage.vector),
                index,
                file,
                start: passage.start,
                end: passage.end,
            }));
        }
    }
    // The sort is stable: equal scores stay in path order.
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut best = Vec::<Hit<'_>>::new();
    for hit in hits {
        if best.len() == top {
            break;
        }
        if !best.iter().any(|better| better.overlaps(&hit)) {
            best.push(hit);
        }
    }
    best
}

/// Computes the cosine of two unit vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
