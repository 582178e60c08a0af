//! Seeded networks and images, for machines without golden data.

use caf_net::{Graph, ParamRole};
use caf_weights::{HostTensor, Weights, initial};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Fresh weights whose normalisations are no identities, so that folding has something to get wrong.
pub fn weights(graph: &Graph, seed: u64) -> Weights {
    let mut weights = initial(graph.params(), seed).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for spec in graph.params() {
        let range = match spec.role {
            ParamRole::NormWeight => 0.6..1.4,
            ParamRole::NormBias | ParamRole::RunningMean => -0.3..0.3,
            ParamRole::RunningVar => 0.5..2.0,
            ParamRole::PReluSlope => 0.1..0.4,
            _ => continue,
        };
        let values: Vec<f32> = (0..spec.len()).map(|_| rng.random_range(range.clone())).collect();
        weights.replace(&spec.name, HostTensor::from_f32(&spec.shape, &values).unwrap()).unwrap();
    }
    weights
}

/// Images with structure and noise, in [0, 1].
pub fn image(len: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let phase: f32 = rng.random_range(0.0..6.0);
    (0..len)
        .map(|i| {
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            let wave = 0.5 + 0.3 * (0.21 * x + phase).sin() * (0.13 * y).cos();
            (wave + rng.random_range(-0.15..0.15)).clamp(0.0, 1.0)
        })
        .collect()
}

/// The same in bytes.
pub fn image_bytes(len: usize, width: usize, seed: u64) -> Vec<u8> {
    image(len, width, seed).into_iter().map(|v| (v * 255.0).round() as u8).collect()
}
