//! Fresh parameter values.

use crate::cause::InitError;
use crate::dtype::DType;
use crate::error::WeightsError;
use crate::tensor::HostTensor;
use crate::weights::Weights;
use caf_net::{ParamRole, ParamSpec};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Fresh values by seed, the same on every machine, in the order of `specs`.
///
/// Convolution weights and biases are uniform in ±1/√fan-in, which is what PyTorch's Kaiming-uniform default with a = √5
/// comes to. Roles that say so are normal: matrices of a transformer with deviation 0.02, its kernels with variance 2/fan-out, and
/// their biases zero. Normalisations start as identity (scale 1, shift 0, mean 0, variance 1, count 0). To a bias with a prior the
/// network's own is added.
///
/// # Errors
/// [`WeightsError::Fresh`] naming the parameter; never for a graph made by `caf_net::Builder`.
pub fn initial(specs: &[ParamSpec], seed: u64) -> Result<Weights, WeightsError> {
    Ok(fresh(specs, seed)?)
}

fn fresh(specs: &[ParamSpec], seed: u64) -> Result<Weights, InitError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = Weights::new();
    for spec in specs {
        let named = |source| InitError::Tensor { name: spec.name.clone(), source };
        let (dtype, bytes) = match spec.role {
            ParamRole::BatchCount => (DType::I64, vec![0; spec.len().saturating_mul(8)]),
            _ => (DType::F32, values(spec, &mut rng)?.into_iter().flat_map(f32::to_le_bytes).collect()),
        };
        weights.add(spec.name.clone(), HostTensor::of_bytes(dtype, spec.shape.clone(), bytes).map_err(named)?)?;
    }
    Ok(weights)
}

fn values(spec: &ParamSpec, rng: &mut ChaCha8Rng) -> Result<Vec<f32>, InitError> {
    let n = spec.len();
    Ok(match spec.role {
        ParamRole::ConvWeight => uniform(n, spec.shape.iter().skip(1).product(), rng),
        ParamRole::ConvBias { fan_in } => uniform(n, fan_in, rng),
        ParamRole::FanOutWeight { fan_out } => normal(n, (2.0 / fan_out.max(1) as f64).sqrt(), rng),
        ParamRole::LinearWeight => normal(n, 0.02, rng),
        ParamRole::PriorBias { fan_in } => {
            uniform(n, fan_in, rng).into_iter().zip(given(spec)?).map(|(draw, prior)| draw + prior).collect()
        }
        ParamRole::NormWeight | ParamRole::RunningVar => vec![1.0; n],
        ParamRole::PReluSlope => vec![0.25; n],
        ParamRole::ZeroBias | ParamRole::NormBias | ParamRole::RunningMean | ParamRole::BatchCount => vec![0.0; n],
        ParamRole::Anchors => given(spec)?.to_vec(),
    })
}

/// The network's own values, one for each element.
fn given(spec: &ParamSpec) -> Result<&[f32], InitError> {
    let found = spec.given.as_deref().unwrap_or_default();
    let wrong = || InitError::Given { name: spec.name.clone(), expected: spec.len(), found: found.len() };
    if found.len() == spec.len() { Ok(found) } else { Err(wrong()) }
}

fn uniform(n: usize, fan_in: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let bound = 1.0 / (fan_in.max(1) as f32).sqrt();
    (0..n).map(|_| rng.random_range(-bound..=bound)).collect()
}

/// By the transform of Box and Muller, one number of each pair.
fn normal(n: usize, deviation: f64, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut draw = || {
        // Away from zero, whose logarithm has no bound.
        let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos() * deviation) as f32
    };
    (0..n).map(|_| draw()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, shape: &[usize], role: ParamRole) -> ParamSpec {
        ParamSpec { name: name.into(), shape: shape.to_vec(), role, given: None }
    }

    #[test]
    fn equal_seeds_make_equal_values_and_other_seeds_others() {
        let specs = [spec("w", &[4, 3, 3, 3], ParamRole::ConvWeight)];
        let draw = |seed| initial(&specs, seed).unwrap().get("w").unwrap().to_f32_vec().unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn convolutions_fill_their_range_evenly() {
        let specs = [spec("w", &[64, 16, 5, 5], ParamRole::ConvWeight)];
        let values = initial(&specs, 3).unwrap().get("w").unwrap().to_f32_vec().unwrap();
        let bound = 1.0 / 400f64.sqrt();
        let n = values.len() as f64;
        let largest = values.iter().map(|v| f64::from(v.abs())).fold(0.0, f64::max);
        let variance = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n;
        assert!(largest <= bound * 1.000_001 && largest > bound * 0.999, "{largest} against {bound}");
        // Variance of a uniform draw is bound²/3; 25,600 draws leave 0.6 % (one sigma).
        assert!((variance * 3.0 / bound.powi(2) - 1.0).abs() < 0.03, "{variance}");
    }

    #[test]
    fn a_transformer_starts_from_normal_draws() {
        let fan_out = ParamRole::FanOutWeight { fan_out: 50 };
        for (role, deviation) in [(ParamRole::LinearWeight, 0.02), (fan_out, 0.2)] {
            let values = initial(&[spec("w", &[200, 100], role)], 3).unwrap().get("w").unwrap().to_f64_vec().unwrap();
            let moment = |power: i32| values.iter().map(|v| (v / deviation).powi(power)).sum::<f64>() / 2e4;
            // One sigma of 20,000 draws: 0.7 %, 1 % and 7 %.
            assert!(moment(1).abs() < 0.03 && (moment(2) - 1.0).abs() < 0.04 && (moment(4) - 3.0).abs() < 0.3);
        }
        let bias = initial(&[spec("b", &[3], ParamRole::ZeroBias)], 3).unwrap();
        assert_eq!(bias.get("b").unwrap().to_f32_vec().unwrap(), [0.0; 3]);
    }

    #[test]
    fn a_bias_with_a_prior_starts_around_it() {
        let prior = [0.0, -5.25, 3.0];
        let mut bias = spec("b", &[3], ParamRole::PriorBias { fan_in: 10_000 });
        bias.given = Some(prior.to_vec());
        let draw = |bias: &ParamSpec| initial(std::slice::from_ref(bias), 5).map(|w| w.get("b").unwrap().to_f32_vec());
        for (value, prior) in draw(&bias).unwrap().unwrap().iter().zip(prior) {
            assert!((value - prior).abs() <= 0.01 && *value != prior, "{value} against {prior}");
        }
        bias.given = Some(vec![0.0; 2]);
        let error = fresh(&[bias], 5);
        assert!(matches!(error, Err(InitError::Given { expected: 3, found: 2, .. })));
    }

    #[test]
    fn normalisations_start_as_identity_and_constants_are_kept() {
        let mut anchors = spec("a", &[1, 1, 2], ParamRole::Anchors);
        assert!(matches!(fresh(std::slice::from_ref(&anchors), 0), Err(InitError::Given { found: 0, .. })));
        anchors.given = Some(vec![2.0, 3.0]);
        let specs = [
            spec("g", &[2], ParamRole::NormWeight),
            spec("v", &[2], ParamRole::RunningVar),
            spec("m", &[2], ParamRole::RunningMean),
            spec("n", &[], ParamRole::BatchCount),
            anchors,
        ];
        let w = initial(&specs, 0).unwrap();
        w.check(&specs).unwrap();
        assert_eq!(w.get("g").unwrap().to_f32_vec().unwrap(), [1.0, 1.0]);
        assert_eq!(w.get("v").unwrap().to_f32_vec().unwrap(), [1.0, 1.0]);
        assert_eq!(w.get("m").unwrap().to_f32_vec().unwrap(), [0.0, 0.0]);
        assert_eq!(w.get("n").unwrap().to_i64_vec().unwrap(), [0]);
        assert_eq!(w.get("a").unwrap().to_f32_vec().unwrap(), [2.0, 3.0]);
    }
}
