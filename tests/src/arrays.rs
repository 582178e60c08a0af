//! Plain arrays.

use caf_engine::{Array, Values};
use caf_image::{Plane, Rgb8};
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
