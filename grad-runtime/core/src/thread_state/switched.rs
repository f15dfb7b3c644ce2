//! What a guard remembers that has turned switches of backends, packed in a word.

use std::num::NonZeroU32;

use super::{EACH_SLOT, MODE_BITS, ONE_GUARD, SLOT_OVERFLOW, SLOT_WIDTH, SLOW, SWITCHES, Slot, TORCH, Word};
use super::{halves, joined, low_slot, mode_in_half};

/// What a guard that has turned switches stores in the place of the state after: the modes that it set, at their places in the slots;
/// the slots that it covers; what it found on libtorch; and the number under which `saved` has the modes of other backends.
///
/// The counts of guards need no place: they are one more than before in each slot that is covered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Switched(pub(super) u64);

impl Switched {
    /// Set in each of these, and in no state.
    pub(super) const MARK: u64 = SWITCHES;
    const COVERS_CPU: u64 = SLOW;
    const COVERS_MLX: u64 = TORCH;
    const COVERS_TORCH: u64 = SLOT_OVERFLOW;
    const COVERS: [(Slot, u64); 3] =
        [(Slot::Cpu, Self::COVERS_CPU), (Slot::Mlx, Self::COVERS_MLX), (Slot::Torch, Self::COVERS_TORCH)];
    /// The bits of the number.
    pub(super) const NUMBER: u64 = SLOT_OVERFLOW - ONE_GUARD;
    /// From here on, libtorch's slot as the guard found it.
    const TORCH_SHIFT: u32 = SLOT_WIDTH + 2;
    /// Set if libtorch's switch was on.
    const WAS_ENABLED: u64 = 1 << 63;

    pub(super) fn new(before: Word, after: Word, was_enabled: bool, number: Option<NonZeroU32>) -> Self {
        let mut bits = halves(after).0 & (EACH_SLOT * MODE_BITS) | Self::MARK;
        for (slot, bit) in Self::COVERS {
            if slot.guards(before) != slot.guards(after) {
                bits |= bit;
            }
        }
        bits |= Slot::Torch.of(before) << Self::TORCH_SHIFT;
        if was_enabled {
            bits |= Self::WAS_ENABLED;
        }
        Self(bits | (u64::from(number.map_or(0, NonZeroU32::get)) * ONE_GUARD))
    }

    pub(super) fn number(self) -> Option<NonZeroU32> {
        u32::try_from((self.0 & Self::NUMBER) / ONE_GUARD).ok().and_then(NonZeroU32::new)
    }

    pub(super) const fn was_enabled(self) -> bool {
        self.0 & Self::WAS_ENABLED != 0
    }

    /// Returns the words before and after, without the mode that the scope asked of libtorch. `slots` is the state before.
    pub(super) fn words(self, slots: u64) -> (Word, Word) {
        let before = joined(slots, low_slot((self.0 & !Self::WAS_ENABLED) >> Self::TORCH_SHIFT));
        let mut after = before;
        for (slot, bit) in Self::COVERS {
            if self.0 & bit != 0 {
                let mode = if slot == Slot::Torch { 0 } else { mode_in_half(self.0, slot) as u64 };
                after = slot.replaced(after, (slot.guards(before) + 1) * ONE_GUARD + mode);
            }
        }
        (before, after)
    }
}
