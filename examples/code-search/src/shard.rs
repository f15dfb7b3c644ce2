//! Divides the files of a tree among several processes.

use std::fmt;
use std::str::FromStr;

/// One of several parts of a tree, written `2/8`. Each file is in the same one on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    number: u32,
    count: u32,
}

impl Shard {
    /// All files.
    pub const ALL: Self = Self { number: 0, count: 1 };

    /// Returns whether a file of the tree, by its relative path, is in this shard.
    #[must_use]
    pub fn contains(self, path: &str) -> bool {
        crc32fast::hash(path.as_bytes()) % self.count == self.number
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed =
            text.split_once('/').and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
        match parsed {
            Some((number @ 1.., count)) if number <= count => Ok(Self { number: number - 1, count }),
            _ => Err("expected a shard such as 2/8, from 1/8 to 8/8".into()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number + 1, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::Shard;

    #[test]
    fn each_file_is_in_one_shard() {
        let shards = ["1/3", "2/3", "3/3"].map(|text| text.parse::<Shard>().unwrap());
        let mut sizes = [0; 3];
        for file in 0..300 {
            let path = format!("src/{file}.rs");
            let holders = (0..3).filter(|&at| shards[at].contains(&path)).collect::<Vec<_>>();
            assert_eq!(holders.len(), 1);
            sizes[holders[0]] += 1;
            assert!(Shard::ALL.contains(&path));
        }
        assert!(sizes.iter().all(|&size| size > 60), "{sizes:?}");
    }

    #[test]
    fn a_shard_that_does_not_exist_is_an_error() {
        for text in ["0/3", "4/3", "1/0", "-1/3", "1", "1/", "a/b", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
