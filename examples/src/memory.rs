//! Reads how much memory this process uses.

/// Resident memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// The most since the process started.
    pub peak: u64,
}

/// Returns the memory of this process, or `None` where there is no `/proc/self/status`, that is, outside of Linux.
#[must_use]
pub fn memory() -> Option<Memory> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let bytes = |name: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory { resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::memory;

    #[test]
    fn a_peak_stays_after_the_memory_is_freed() {
        const SIZE: u64 = 64 << 20;
        // The kernel counts the pages of each core in batches.
        const SLACK: u64 = 1 << 20;
        let before = memory().unwrap();
        drop(std::hint::black_box(vec![1_u8; usize::try_from(SIZE).unwrap()]));
        let after = memory().unwrap();
        assert!(after.peak >= before.resident + SIZE - SLACK, "{before:?} {after:?}");
    }
}
