//! How much of everything a demo does: one table, so that time can be moved to where it shows.

use caf_geometry::Size;

/// The numbers of one kind of demo. Options are those of the programs' command lines.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The detectors' input, the exported model's images and the live pictures; both sides are multiples of 32 px.
    pub size: Size,
    /// `caf-search scene`, where pairs are rendered.
    pub scenes: &'static str,
    /// How many of the caller's pairs are trained on and validated on at most.
    pub most_pairs: [usize; 2],
    /// `caf-search search`.
    pub search: &'static str,
    /// `caf-search train fusion`.
    pub fusion: &'static str,
    /// `caf-search train task`, the same for every kind of image.
    pub detector: &'static str,
    /// `caf-search scene --clip`, for the live run over rendered frames.
    pub clip: &'static str,
}

/// Rendered pairs, minutes on two processor cores.
///
/// The fusion network learns at ten times the paper's rate: eighty iterations of it were seen to give a picture of balanced
/// brightness with both sources in it. Four detectors are trained, so that the fused images have something to be compared
/// with; that is worth more than a longer training of one.
const QUICK: Settings = Settings {
    size: Size::new(256, 192),
    scenes: "--count 160 --seed 1",
    most_pairs: [120, 60],
    // Every rendered pair is a scene of its own: halving them need not keep neighbours together. And a crop without an
    // object asks nothing of the detector.
    search: "--iterations 60 --batch 2 --size 128x128 --set data.crops_on_objects=0.75 --set data.neighbour_gap=0 \
             --set task.variant=n --set task.optimizer.rate=0.001 --set fusion.rate=0.001",
    fusion: "--iterations 180 --batch 2 --size 128x128 --set validation.every=60 --set fusion.rate=0.001",
    detector: "--variant n --epochs 12 --batch 8 --set task.optimizer.warmup=42 \
               --set task.optimizer.nominal_batch=8",
    clip: "--clip 8 --fps 10 --skew-ms 8 --condition night --seed 5",
};

/// Rendered pairs, hours on two processor cores; meant for a GPU.
const FULL: Settings = Settings {
    scenes: "--count 1200 --seed 1",
    most_pairs: [usize::MAX; 2],
    search: "--iterations 600 --batch 4 --size 192x192 --set data.crops_on_objects=0.75 --set data.neighbour_gap=0 \
             --set task.variant=n",
    fusion: "--iterations 5000 --batch 4 --size 192x192 --set validation.every=1000",
    detector: "--variant n --epochs 100 --batch 16",
    ..QUICK
};

/// Real pairs, which are a few hundred pixels wide, in minutes.
const QUICK_PAIRS: Settings = Settings {
    size: Size::new(384, 256),
    search: "--iterations 60 --batch 2 --size 128x128 --set data.crops_on_objects=0.75 --set task.variant=n \
             --set task.optimizer.rate=0.001 --set fusion.rate=0.001",
    // What starting weights know of other images takes longer to become something here.
    detector: "--variant n --epochs 20 --batch 8 --set task.optimizer.warmup=42 \
               --set task.optimizer.nominal_batch=8",
    ..QUICK
};

/// Real pairs, for a GPU.
const FULL_PAIRS: Settings = Settings {
    size: Size::new(640, 448),
    search: "--iterations 600 --batch 4 --size 192x192 --set data.crops_on_objects=0.75 --set task.variant=n",
    ..FULL
};

impl Settings {
    /// Those of a longer or shorter demo, on the caller's pairs or on rendered ones.
    pub fn choose(full: bool, has_pairs: bool) -> Self {
        match (full, has_pairs) {
            (false, false) => QUICK,
            (true, false) => FULL,
            (false, true) => QUICK_PAIRS,
            (true, true) => FULL_PAIRS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_one_that_the_detector_takes() {
        for settings in [QUICK, FULL, QUICK_PAIRS, FULL_PAIRS] {
            assert!(settings.size.wh().into_iter().all(|side| side.is_multiple_of(32)), "{settings:?}");
        }
    }
}
