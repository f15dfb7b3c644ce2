//! Ranks passages by their vectors, by their words, or by both.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use grad_examples::embedder::Embed;

use crate::store::{PassageId, Store, StoredPassage, TreeId};

/// How passages are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Ranking {
    /// By vectors and by words, fused by reciprocal rank
    #[default]
    Hybrid,
    /// By the cosine of the angle between the embeddings of query and passage
    Vectors,
    /// By the words that query and passage share (BM25)
    Words,
}

/// The number of passages of each ranking that are fused. Overlapping passages are dropped afterwards.
const DEPTH: usize = 50;

/// The constant of reciprocal rank fusion: a passage at rank r counts 1 / (60 + r).
const RANK_OFFSET: f64 = 60.0;

/// A search result.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The passage.
    pub passage: StoredPassage,
    /// The cosine of the angle between the query and the passage, from -1 to 1.
    pub cosine: f32,
    /// Its rank by vectors, from 1, if it is among the nearest.
    pub vector_rank: Option<usize>,
    /// Its rank by words, from 1, if it is among the best.
    pub word_rank: Option<usize>,
}

impl Hit {
    fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (&self.passage, &other.passage);
        (a.tree, &a.path) == (b.tree, &b.path) && a.start <= b.end && b.start <= a.end
    }
}

/// Returns the `top` best passages of some trees for a query, best first. Of overlapping passages only the best is kept.
///
/// # Errors
///
/// If the query cannot be embedded, or the store fails.
pub fn best(
    store: &mut dyn Store,
    trees: &[TreeId],
    query: &str,
    top: usize,
    ranking: Ranking,
    embedder: &dyn Embed,
) -> Result<Vec<Hit>> {
    let depth = DEPTH.max(top.saturating_mul(2));
    let vector = embedder.embed(&[query], &mut |_| {})?.remove(0);
    let near = match ranking {
        Ranking::Words => Vec::new(),
        Ranking::Hybrid | Ranking::Vectors => store.nearest(trees, &vector, depth, embedder)?,
    };
    let matching = match ranking {
        Ranking::Vectors => Vec::new(),
        Ranking::Hybrid | Ranking::Words => store.matching(trees, query, depth)?,
    };
    let (vector_ranks, word_ranks) = (ranks(&near), ranks(&matching));
    let mut hits = Vec::<Hit>::new();
    for (id, passage) in store.passages(&fused(&[near, matching]))? {
        let cosine = product(&vector, &passage.vector)?;
        let (vector_rank, word_rank) = (vector_ranks.get(&id).copied(), word_ranks.get(&id).copied());
        let hit = Hit { passage, cosine, vector_rank, word_rank };
        if !hits.iter().any(|better| better.overlaps(&hit)) {
            hits.push(hit);
        }
        if hits.len() == top {
            break;
        }
    }
    Ok(hits)
}

/// Returns the dot product of two unit vectors, which is their cosine.
fn product(query: &[f32], vector: &[f32]) -> Result<f32> {
    ensure!(
        query.len() == vector.len(),
        "cannot rank a passage: its vector has {} elements, and that of the query {}; index again with one model",
        vector.len(),
        query.len()
    );
    Ok(query.iter().zip(vector).map(|(a, b)| a * b).sum())
}

fn ranks(ids: &[PassageId]) -> HashMap<PassageId, usize> {
    ids.iter().enumerate().map(|(at, &id)| (id, at + 1)).collect()
}

/// Fuses rankings by reciprocal rank.
fn fused(rankings: &[Vec<PassageId>]) -> Vec<PassageId> {
    let mut scores = HashMap::<PassageId, f64>::new();
    let mut order = Vec::new();
    for ranking in rankings {
        for (rank, &id) in (1_u32..).zip(ranking) {
            *scores.entry(id).or_insert_with(|| {
                order.push(id);
                0.0
            }) += 1.0 / (RANK_OFFSET + f64::from(rank));
        }
    }
    // The sort is stable: of equal scores, the nearest comes first.
    order.sort_by(|a, b| scores[b].total_cmp(&scores[a]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_in_both_rankings_comes_first() {
        let ids = |ids: &[i64]| ids.iter().copied().map(PassageId).collect::<Vec<_>>();
        assert_eq!(fused(&[ids(&[1, 2, 3]), ids(&[4, 3, 5])]), ids(&[3, 1, 4, 2, 5]));
        assert_eq!(fused(&[ids(&[]), ids(&[7, 8])]), ids(&[7, 8]));
    }
}
