//! Which simulcast layer a subscriber should see. A pure function, so that a later policy (by
//! bandwidth, by size on screen) replaces one place.

use std::time::Duration;

use super::broadcast::SourceId;

/// A layer that has gone without packets for this long does not flow.
const FLOWING: Duration = Duration::from_millis(1_000);

/// What is known of a layer now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerView {
    pub(crate) source: SourceId,
    pub(crate) bitrate_bps: u64,
    pub(crate) silent_for: Duration,
    /// Whether its frames have a place on the timeline.
    pub(crate) aligned: bool,
}

/// The layer with the highest bitrate that flows, with some inertia for the `current` one; without
/// any flowing layer the current one stays.
pub(crate) fn choose(layers: &[LayerView], current: Option<SourceId>) -> Option<SourceId> {
    let usable = |layer: &&LayerView| layer.aligned && layer.silent_for < FLOWING;
    let best = layers
        .iter()
        .filter(usable)
        .max_by_key(|layer| layer.bitrate_bps);
    let now = layers
        .iter()
        .filter(usable)
        .find(|layer| Some(layer.source) == current);
    match (best, now) {
        (Some(best), Some(now)) if best.bitrate_bps * 2 < now.bitrate_bps * 3 => Some(now.source),
        (Some(best), _) => Some(best.source),
        (None, _) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(source: u32, bitrate_bps: u64) -> LayerView {
        let source = SourceId(source);
        LayerView {
            source,
            bitrate_bps,
            silent_for: Duration::ZERO,
            aligned: true,
        }
    }

    #[test]
    fn the_highest_that_flows_is_chosen() {
        let mut layers = [layer(1, 100), layer(2, 400), layer(3, 1_500)];
        assert_eq!(choose(&layers, None), Some(SourceId(3)));
        layers[2].silent_for = Duration::from_secs(2);
        assert_eq!(choose(&layers, Some(SourceId(3))), Some(SourceId(2)));
        layers[1].aligned = false;
        assert_eq!(choose(&layers, Some(SourceId(3))), Some(SourceId(1)));
    }

    #[test]
    fn a_slightly_higher_bitrate_is_no_reason_to_switch() {
        let layers = [layer(1, 100), layer(2, 140)];
        assert_eq!(choose(&layers, Some(SourceId(1))), Some(SourceId(1)));
        assert_eq!(
            choose(&[layer(1, 100), layer(2, 150)], Some(SourceId(1))),
            Some(SourceId(2))
        );
    }

    #[test]
    fn without_any_the_current_one_stays() {
        assert_eq!(choose(&[], Some(SourceId(7))), Some(SourceId(7)));
        assert_eq!(choose(&[], None), None);
    }
}
