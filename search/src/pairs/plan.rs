//! Which pairs, and which part of each, make the batch of an iteration.

use crate::error::SearchError;
use caf_data::Label;
use caf_data::augment::CropSettings;
use caf_data::view::View;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// What a random choice is for: streams of one seed never share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Batches that train the networks.
    Train = 1,
    /// Batches that move β.
    Validation = 2,
}

/// Draws batches of one stream.
#[derive(Clone, Debug)]
pub struct CropPlan {
    /// Seed of the run.
    pub seed: u64,
    /// Which stream.
    pub stream: Stream,
    /// Number of pairs to draw from.
    pub pairs: usize,
    /// Pairs in a batch.
    pub batch: usize,
    /// Size of the crops.
    pub crop: CropSettings,
}

impl CropPlan {
    /// The pairs of iteration `iteration`. Every pair comes once before any comes again, also within a batch larger than their
    /// number.
    pub fn members(&self, iteration: usize) -> Vec<usize> {
        if self.pairs == 0 {
            return Vec::new();
        }
        let mut shuffled: Option<(usize, Vec<usize>)> = None;
        (iteration * self.batch..(iteration + 1) * self.batch)
            .filter_map(|position| {
                let round = position / self.pairs;
                let order = match shuffled.take() {
                    Some((known, order)) if known == round => order,
                    _ => self.order(round),
                };
                let member = order.get(position % self.pairs).copied();
                shuffled = Some((round, order));
                member
            })
            .collect()
    }

    /// The part of a pair of `size` (width, height) with these objects that is member `slot` of iteration `iteration`.
    ///
    /// # Errors
    /// When the crop's settings are out of range.
    pub fn view(
        &self,
        iteration: usize,
        slot: usize,
        size: (usize, usize),
        objects: &[Label],
    ) -> Result<View, SearchError> {
        let mut rng = self.generator(2, (iteration * self.batch + slot) as u64);
        Ok(self.crop.draw(size, objects, &mut rng)?)
    }

    fn order(&self, round: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.pairs).collect();
        order.shuffle(&mut self.generator(1, round as u64));
        order
    }

    fn generator(&self, purpose: u64, counter: u64) -> ChaCha8Rng {
        let mut key = [0u8; 32];
        for (chunk, value) in key.chunks_exact_mut(8).zip([self.seed, self.stream as u64, purpose, counter]) {
            chunk.copy_from_slice(&value.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(stream: Stream) -> CropPlan {
        let crop = CropSettings { width_px: 16, height_px: 16, mirror_probability: 0.5, object_probability: 0.5 };
        CropPlan { seed: 3, stream, pairs: 7, batch: 3, crop }
    }

    #[test]
    fn every_pair_comes_once_before_any_comes_again() {
        let plan = plan(Stream::Train);
        let drawn: Vec<usize> = (0..7).flat_map(|i| plan.members(i)).collect();
        for round in drawn.chunks(7) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..7).collect::<Vec<_>>());
        }
        assert_ne!(drawn[..7], drawn[7..14], "rounds have orders of their own");
    }

    #[test]
    fn an_iteration_does_not_depend_on_those_before_it() {
        let (a, b) = (plan(Stream::Train), plan(Stream::Train));
        let _ = a.members(0);
        assert_eq!(a.members(41), b.members(41));
        let objects = [
            Label { class: 0, cx: 0.1, cy: 0.2, w: 0.1, h: 0.1 },
            Label { class: 0, cx: 0.9, cy: 0.5, w: 0.1, h: 0.1 },
        ];
        assert_eq!(a.view(41, 2, (40, 30), &objects).unwrap(), b.view(41, 2, (40, 30), &objects).unwrap());
    }

    #[test]
    fn streams_differ() {
        let (a, b) = (plan(Stream::Train), plan(Stream::Validation));
        assert!((0..5).any(|i| a.members(i) != b.members(i)));
    }
}
