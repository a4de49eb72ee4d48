//! Who reads what, so that nothing is released under a reader.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::extent::{Extent, VolumeId};

#[derive(Debug, Default)]
struct PinState {
    pins: usize,
    /// Somebody asked for the release while pins were held.
    release_requested: bool,
    /// The hole is being punched right now.
    releasing: bool,
}

/// What `start_release` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReleaseStart {
    /// Nobody reads: the caller punches, then calls `end_release`.
    Now,
    /// It will happen when the last pin is dropped, or is happening.
    Deferred,
}

/// The pins of all extents. An extent has an entry only while somebody pins or releases it.
#[derive(Debug, Default)]
pub(crate) struct Pins(Mutex<HashMap<Extent, PinState>>);

impl Pins {
    /// Counts a pin; `false` if it came too late, because the extent is being released.
    pub fn pin(&self, extent: Extent) -> bool {
        let mut states = self.0.lock();
        let state = states.entry(extent).or_default();
        state.pins += 1;
        !state.releasing
    }

    /// Drops a pin; `true` if the caller must see to the deferred release now.
    pub fn unpin(&self, extent: Extent) -> bool {
        let mut states = self.0.lock();
        let Some(state) = states.get_mut(&extent) else {
            return false;
        };
        state.pins = state.pins.saturating_sub(1);
        if state.pins > 0 || state.releasing {
            return false;
        }
        if state.release_requested {
            state.releasing = true;
            return true;
        }
        states.remove(&extent);
        false
    }

    /// Asks to release an extent.
    pub fn start_release(&self, extent: Extent) -> ReleaseStart {
        let mut states = self.0.lock();
        let state = states.entry(extent).or_default();
        if state.pins > 0 || state.releasing {
            state.release_requested = true;
            return ReleaseStart::Deferred;
        }
        state.releasing = true;
        ReleaseStart::Now
    }

    /// The release was carried out or has failed.
    pub fn end_release(&self, extent: Extent) {
        let mut states = self.0.lock();
        let Some(state) = states.get_mut(&extent) else {
            return;
        };
        state.releasing = false;
        state.release_requested = false;
        if state.pins == 0 {
            states.remove(&extent);
        }
    }

    /// The extents of a volume that are pinned.
    pub fn pinned_in(&self, volume: VolumeId) -> Vec<Extent> {
        let states = self.0.lock();
        states
            .keys()
            .filter(|extent| extent.volume == volume)
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent {
        volume: VolumeId(1),
        offset: 4096,
        length: 1,
    };

    #[test]
    fn the_last_pin_carries_out_a_deferred_release() {
        let pins = Pins::default();
        assert!(pins.pin(EXTENT));
        assert!(pins.pin(EXTENT));
        assert_eq!(pins.start_release(EXTENT), ReleaseStart::Deferred);
        assert!(!pins.unpin(EXTENT));
        assert!(pins.unpin(EXTENT));
        assert!(!pins.pin(EXTENT), "a pin during the release is late");
        assert!(!pins.unpin(EXTENT), "and does not release again");
        pins.end_release(EXTENT);
        assert!(pins.0.lock().is_empty());
    }

    #[test]
    fn a_second_release_waits_for_the_first() {
        let pins = Pins::default();
        assert_eq!(pins.start_release(EXTENT), ReleaseStart::Now);
        assert_eq!(pins.start_release(EXTENT), ReleaseStart::Deferred);
        pins.end_release(EXTENT);
        assert!(pins.0.lock().is_empty());
    }
}
