//! The paths from parameters to the value: whether a gradient reaches a parameter, and if not, where it is cut.

use std::collections::{BTreeSet, HashSet, VecDeque};

use super::record::{Cut, Index, Record, Source};

/// Whether a gradient reaches a parameter, and if not, why.
#[derive(Debug)]
pub enum Outcome {
    /// A gradient reaches it.
    Reached,
    /// On every way from the parameter to the value the gradient is cut, at these nodes, the first on the way first.
    Cut(Vec<Index>),
    /// The value does not depend on the argument, but on the array that the caller has.
    Captured,
    /// Only elements of it, or of arrays made of it, were read, at these nodes.
    Read(Vec<Index>),
    /// Arrays were made of it, the last at this node, and the value depends on none of them.
    Dropped(Index),
    /// Nothing was made of it.
    Unused,
}

/// A record, and the node of the value that is differentiated, if it depends on a parameter at all.
pub struct Paths<'r> {
    record: &'r Record,
    /// For each node, those that were made of it.
    consumers: Vec<Vec<Index>>,
    /// The nodes that the value depends on.
    before_value: HashSet<Index>,
    value: Option<Index>,
}

impl<'r> Paths<'r> {
    pub fn new(record: &'r Record, value: Option<Index>) -> Self {
        let mut consumers = vec![Vec::new(); record.nodes.len()];
        for (index, node) in record.nodes.iter().enumerate() {
            for &operand in &node.operands {
                consumers[operand].push(index);
            }
        }
        let mut paths = Self { record, consumers, before_value: HashSet::new(), value };
        let mut left: Vec<Index> = value.into_iter().collect();
        while let Some(index) = left.pop() {
            if paths.before_value.insert(index) {
                left.extend(&record.nodes[index].operands);
            }
        }
        paths
    }

    /// Returns the nodes that are made of these, these included, along edges to which `follow` agrees.
    fn computed_from(&self, from: &[Index], follow: impl Fn(Index) -> bool) -> BTreeSet<Index> {
        let mut made: BTreeSet<Index> = from.iter().copied().collect();
        let mut left: VecDeque<Index> = from.iter().copied().collect();
        while let Some(index) = left.pop_front() {
            for &next in &self.consumers[index] {
                if follow(next) && made.insert(next) {
                    left.push_back(next);
                }
            }
        }
        made
    }

    /// Returns the arrays that were recorded and that the value does not depend on.
    pub fn undifferentiated(&self) -> Vec<Index> {
        let nodes = &self.record.nodes;
        let is_argument = |source: &Source| matches!(source, Source::Argument(_));
        let arguments: Vec<Index> =
            self.record.sources.iter().filter(|(_, source)| is_argument(source)).map(|(index, _)| *index).collect();
        let recorded = self.computed_from(&arguments, |next| nodes[next].cut.is_none());
        let undifferentiated = |index: &Index| !self.before_value.contains(index) && !arguments.contains(index);
        recorded.into_iter().filter(undifferentiated).collect()
    }

    fn sources(&self, wanted: Source) -> Vec<Index> {
        self.record.sources.iter().filter(|(_, source)| *source == wanted).map(|(index, _)| *index).collect()
    }

    /// Returns what becomes of the parameter of this number.
    pub fn outcome(&self, parameter: usize) -> Outcome {
        let nodes = &self.record.nodes;
        let argument = self.sources(Source::Argument(parameter));
        let differentiable = self.computed_from(&argument, |next| nodes[next].cut.is_none());
        if self.value.is_some_and(|value| differentiable.contains(&value)) {
            return Outcome::Reached;
        }
        let made = self.computed_from(&argument, |_| true);
        if argument.iter().any(|index| self.before_value.contains(index)) {
            let is_cut = |index: &Index| self.before_value.contains(index) && nodes[*index].cut.is_some();
            return Outcome::Cut(made.into_iter().filter(is_cut).collect());
        }
        if self.sources(Source::Captured(parameter)).iter().any(|index| self.before_value.contains(index)) {
            return Outcome::Captured;
        }
        let reads: Vec<Index> =
            made.iter().copied().filter(|index| matches!(nodes[*index].cut, Some(Cut::Read))).collect();
        if !reads.is_empty() {
            return Outcome::Read(reads);
        }
        match made.into_iter().next_back().filter(|last| !argument.contains(last)) {
            Some(last) => Outcome::Dropped(last),
            None => Outcome::Unused,
        }
    }
}
