//! Which samples make the batch of an iteration, and the random numbers of each.

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
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Seed of the run.
    pub seed: u64,
    /// Which stream.
    pub stream: Stream,
    /// Number of samples to draw from.
    pub samples: usize,
    /// Samples in a batch.
    pub batch: usize,
}

impl Order {
    /// The samples of iteration `iteration`. Every sample comes once before any comes again, also within a batch larger than
    /// their number; every batch is full.
    pub fn members(&self, iteration: usize) -> Vec<usize> {
        if self.samples == 0 {
            return Vec::new();
        }
        let mut shuffled: Option<(usize, Vec<usize>)> = None;
        (iteration * self.batch..(iteration + 1) * self.batch)
            .filter_map(|position| {
                let round = position / self.samples;
                let order = match shuffled.take() {
                    Some((known, order)) if known == round => order,
                    _ => self.order(round),
                };
                let member = order.get(position % self.samples).copied();
                shuffled = Some((round, order));
                member
            })
            .collect()
    }

    /// The random numbers of member `slot` of iteration `iteration`.
    pub fn random(&self, iteration: usize, slot: usize) -> ChaCha8Rng {
        self.generator(2, (iteration * self.batch + slot) as u64)
    }

    fn order(&self, round: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.samples).collect();
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
    use rand::Rng;

    fn order(stream: Stream) -> Order {
        Order { seed: 3, stream, samples: 7, batch: 3 }
    }

    #[test]
    fn every_sample_comes_once_before_any_comes_again() {
        let order = order(Stream::Train);
        let drawn: Vec<usize> = (0..7).flat_map(|i| order.members(i)).collect();
        for round in drawn.chunks(7) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..7).collect::<Vec<_>>());
        }
        assert_ne!(drawn[..7], drawn[7..14], "rounds have orders of their own");
    }

    #[test]
    fn an_iteration_does_not_depend_on_those_before_it() {
        let (a, b) = (order(Stream::Train), order(Stream::Train));
        let _ = a.members(0);
        assert_eq!(a.members(41), b.members(41));
        let number = |order: Order, slot| order.random(41, slot).random::<u64>();
        assert_eq!(number(a, 2), number(b, 2));
        assert_ne!(number(a, 1), number(a, 2));
    }

    #[test]
    fn streams_differ() {
        let (a, b) = (order(Stream::Train), order(Stream::Validation));
        assert!((0..5).any(|i| a.members(i) != b.members(i)));
    }
}
