//! Does a written model keep its promise, and does it compute what its weights say?

use crate::error::ExportError;
use caf_contract::{Colour, Contract, Element, Extent, Extents, Mismatch, Port};
use caf_engine::{Array, Engine, Values};
use caf_geometry::Size;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Arrays by name, as a model is given them and gives them back.
pub type Named = Vec<(String, Array)>;

/// Images by seed for every input: uniform noise over smooth gradients, so that both flat and busy regions occur. Where the
/// contract leaves the size or the number of images open they are `size` and `batch`. Also what the named extents stand for.
///
/// # Errors
/// [`ExportError::Images`] when `size` and `batch` make an input that no memory holds.
pub fn random_inputs(
    contract: &Contract,
    size: Size,
    batch: usize,
    seed: u64,
) -> Result<(Named, Extents), ExportError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut extents = Extents::default();
    let mut images = Vec::with_capacity(contract.inputs.len());
    for port in &contract.inputs {
        let batch = port.shape.first().and_then(Extent::fixed).unwrap_or(batch);
        let size = port.fixed_size().unwrap_or(size);
        let shape = extents.bind_image(port, batch, size).map_err(ExportError::Images)?;
        let len = shape.iter().product();
        let sample = |i: usize, rng: &mut ChaCha8Rng| {
            let wave = 0.5 + 0.5 * (i as f32 * 0.01).sin();
            (0.5 * wave + 0.5 * rng.random::<f32>()).clamp(0.0, 1.0)
        };
        let values = match port.element {
            Element::F32 => Values::F32((0..len).map(|i| sample(i, &mut rng)).collect()),
            Element::U8 => Values::U8((0..len).map(|i| (sample(i, &mut rng) * 255.0).round() as u8).collect()),
        };
        images.push((port.name.clone(), Array { shape, values }));
    }
    Ok((images, extents))
}

/// Runs a model and checks every output: shape as promised, finite, images within [0, 1]. `extents` are those that `inputs`
/// were made with.
///
/// # Errors
/// [`ExportError::Broken`] with every difference.
pub fn run_checked(
    engine: &mut Engine,
    contract: &Contract,
    extents: &Extents,
    inputs: &[(String, Array)],
) -> Result<Named, ExportError> {
    let outputs = engine.run(inputs)?;
    let mut found = Vec::new();
    for port in &contract.outputs {
        match outputs.iter().find(|(name, _)| *name == port.name) {
            Some((_, array)) => check_output(port, array, extents, &mut found),
            None => found.push(Mismatch::new(place(port), "a result", "none")),
        }
    }
    if found.is_empty() { Ok(outputs) } else { Err(ExportError::Broken { found }) }
}

fn place(port: &Port) -> String {
    format!("output `{}`", port.name)
}

fn check_output(port: &Port, array: &Array, extents: &Extents, found: &mut Vec<Mismatch>) {
    let fits = |(extent, real): (&Extent, &usize)| match extent {
        Extent::Fixed(n) => n == real,
        Extent::Named(name) => extents.get(name).is_none_or(|n| n == *real),
        Extent::Open => true,
    };
    if array.shape.len() != port.shape.len() || !port.shape.iter().zip(&array.shape).all(fits) {
        found.push(Mismatch::new(place(port), port.to_string(), format!("extents {:?}", array.shape)));
    }
    let Values::F32(values) = &array.values else { return };
    let count = |bad: &dyn Fn(&f32) -> bool| values.iter().filter(|v| bad(v)).count();
    let infinite = count(&|v| !v.is_finite());
    if infinite > 0 {
        found.push(Mismatch::new(place(port), "finite values", format!("{infinite} that are not")));
    }
    let outside = count(&|v| !(0.0..=1.0).contains(v));
    if port.colour != Colour::None && outside > 0 {
        found.push(Mismatch::new(place(port), "values from 0 to 1", format!("{outside} outside")));
    }
}

/// What the task network of a pipeline sees of a fused output: RGB bytes `[n, height, width, 3]`, gray repeated, floats rounded half to
/// even. `None` when it is no image.
pub fn seen_by_task(fused: &Array) -> Option<Array> {
    let &[n, a, b, c] = fused.shape.as_slice() else { return None };
    let (shape, bytes): ([usize; 3], Vec<u8>) = match &fused.values {
        Values::U8(bytes) => ([a, b, c], bytes.clone()),
        Values::F32(values) => {
            let byte = |v: &f32| (v.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
            let image = |image: &[f32]| -> Vec<u8> {
                (0..b * c).flat_map(|at| image.iter().skip(at).step_by((b * c).max(1)).map(byte)).collect()
            };
            ([b, c, a], values.chunks_exact((a * b * c).max(1)).flat_map(image).collect())
        }
    };
    let [height, width, channels] = shape;
    let rgb = match channels {
        3 => bytes,
        1 => bytes.iter().flat_map(|v| [*v; 3]).collect(),
        _ => return None,
    };
    Some(Array { shape: vec![n, height, width, 3], values: Values::U8(rgb) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_sees_rgb_bytes_whatever_leaves_the_graph() {
        let bytes = |shape: &[usize], v: &[u8]| Array { shape: shape.to_vec(), values: Values::U8(v.to_vec()) };
        let floats = |shape: &[usize], v: &[f32]| Array { shape: shape.to_vec(), values: Values::F32(v.to_vec()) };
        let gray = bytes(&[1, 1, 2, 3], &[7, 7, 7, 9, 9, 9]);
        assert_eq!(seen_by_task(&bytes(&[1, 1, 2, 1], &[7, 9])), Some(gray.clone()));
        assert_eq!(seen_by_task(&floats(&[1, 1, 1, 2], &[7.0 / 255.0, 8.6 / 255.0])), Some(gray));
        // Planes become pixels.
        let planes = floats(&[1, 3, 1, 2], &[0.0, 1.0, 0.2, 0.4, -1.0, 2.0]);
        assert_eq!(seen_by_task(&planes), Some(bytes(&[1, 1, 2, 3], &[0, 51, 0, 255, 102, 255])));
        assert_eq!(seen_by_task(&bytes(&[1, 1, 1, 2], &[7, 9])), None);
    }
}
