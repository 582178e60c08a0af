//! Plain arrays and how far two of them are apart.

use caf_data::{Plane, Rgb8};
use caf_export::{Array, Values};
use caf_weights::{DType, HostTensor};

/// 32-bit floats.
pub fn floats(shape: &[usize], values: Vec<f32>) -> Array {
    assert_eq!(shape.iter().product::<usize>(), values.len(), "{shape:?}");
    Array { shape: shape.to_vec(), values: Values::F32(values) }
}

/// Bytes.
pub fn bytes(shape: &[usize], values: Vec<u8>) -> Array {
    assert_eq!(shape.iter().product::<usize>(), values.len(), "{shape:?}");
    Array { shape: shape.to_vec(), values: Values::U8(values) }
}

/// A plane in [0, 1] as a batch of one, `[1, 1, height, width]`.
pub fn plane(plane: &Plane) -> Array {
    floats(&[1, 1, plane.height(), plane.width()], plane.data().to_vec())
}

/// A visible image as bytes, `[1, height, width, 3]`.
pub fn rgb_bytes(image: &Rgb8) -> Array {
    bytes(&[1, image.height(), image.width(), 3], image.data().to_vec())
}

/// A plane in [0, 1] as bytes, `[1, height, width, 1]`.
pub fn plane_bytes(plane: &Plane) -> Array {
    let levels = plane.data().iter().map(|v| (v * 255.0).round() as u8).collect();
    bytes(&[1, plane.height(), plane.width(), 1], levels)
}

/// A stored float tensor, widened to 32 bits.
pub fn stored(tensor: &HostTensor) -> Array {
    assert_ne!(tensor.dtype(), DType::F64, "narrowing would lose digits");
    floats(tensor.shape(), tensor.to_f32_vec().unwrap())
}

/// Elements of a float array.
pub fn as_floats(array: &Array) -> &[f32] {
    match &array.values {
        Values::F32(values) => values,
        Values::U8(_) => panic!("expected floats, found bytes of shape {:?}", array.shape),
    }
}

/// Elements of a byte array.
pub fn as_bytes(array: &Array) -> &[u8] {
    match &array.values {
        Values::U8(values) => values,
        Values::F32(_) => panic!("expected bytes, found floats of shape {:?}", array.shape),
    }
}

/// Distance between equally long lists.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Largest absolute difference.
    pub max: f64,
    /// Sum of absolute differences.
    pub sum: f64,
    /// Values that differ at all.
    pub unequal: usize,
    /// Values compared.
    pub count: usize,
}

impl Spread {
    /// Of two lists of finite numbers.
    pub fn of<T: Into<f64> + Copy>(found: &[T], expected: &[T]) -> Self {
        assert_eq!(found.len(), expected.len(), "number of values");
        let mut spread = Spread { count: found.len(), ..Spread::default() };
        for (a, b) in found.iter().zip(expected) {
            spread.take((*a).into(), (*b).into());
        }
        spread
    }

    /// Of two arrays of one shape.
    pub fn of_arrays(found: &Array, expected: &Array) -> Self {
        assert_eq!(found.shape, expected.shape);
        match (&found.values, &expected.values) {
            (Values::F32(a), Values::F32(b)) => Self::of(a, b),
            (Values::U8(a), Values::U8(b)) => Self::of(a, b),
            _ => panic!("floats compared with bytes"),
        }
    }

    /// One more pair, already counted.
    fn take(&mut self, a: f64, b: f64) {
        assert!(a.is_finite() && b.is_finite(), "compared {a} with {b}");
        let gap = (a - b).abs();
        self.max = self.max.max(gap);
        self.sum += gap;
        self.unequal += usize::from(gap > 0.0);
    }

    /// Both together.
    pub fn and(self, other: Spread) -> Spread {
        Spread {
            max: self.max.max(other.max),
            sum: self.sum + other.sum,
            unequal: self.unequal + other.unequal,
            count: self.count + other.count,
        }
    }

    /// Mean absolute difference.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

/// Distances of decoded detections `[…, 5 + classes]`: boxes in pixels, and probabilities.
pub fn of_rows(found: &[f32], expected: &[f32], columns: usize) -> [Spread; 2] {
    assert!(found.len() == expected.len() && found.len().is_multiple_of(columns), "number of values");
    let part = |take: fn(usize) -> bool| {
        let keep = |list: &[f32]| -> Vec<f32> {
            list.iter().enumerate().filter(|(i, _)| take(i % columns)).map(|(_, v)| *v).collect()
        };
        Spread::of(&keep(found), &keep(expected))
    };
    [part(|column| column < 4), part(|column| column >= 4)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_and_add() {
        let a = Spread::of(&[1.0f32, 2.0, -3.0], &[1.0, 2.5, -3.25]);
        assert_eq!(a, Spread { max: 0.5, sum: 0.75, unequal: 2, count: 3 });
        assert_eq!(a.and(Spread::of(&[7u8], &[9])), Spread { max: 2.0, sum: 2.75, unequal: 3, count: 4 });
        let [boxes, rest] = of_rows(&[0.0, 0.0, 0.0, 4.0, 0.5, 0.25], &[0.0, 0.0, 0.0, 1.0, 0.5, 0.0], 6);
        assert_eq!((boxes.max, boxes.count, rest.max, rest.count), (3.0, 4, 0.25, 2));
    }

    #[test]
    #[should_panic(expected = "compared NaN")]
    fn nothing_equals_nan() {
        Spread::of(&[f32::NAN], &[f32::NAN]);
    }
}
