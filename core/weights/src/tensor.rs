//! A tensor in host memory.

use crate::cause::TensorError;
use crate::dtype::DType;
use crate::error::WeightsError;
use half::{bf16, f16};
use std::fmt;

/// A dense row-major tensor in host memory.
#[derive(Clone, PartialEq, Eq)]
pub struct HostTensor {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl HostTensor {
    /// Little-endian bytes in row-major order. An empty shape is a scalar.
    ///
    /// # Errors
    /// [`TensorError::Length`] when the bytes do not fill the shape exactly.
    pub fn new(dtype: DType, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        Ok(Self::of_bytes(dtype, shape, bytes)?)
    }

    /// [`HostTensor::new`] with the cause alone, for errors that have more to say.
    pub(crate) fn of_bytes(dtype: DType, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self, TensorError> {
        let expected = byte_len(dtype, &shape).unwrap_or(usize::MAX);
        if expected != bytes.len() {
            return Err(TensorError::Length { dtype, shape, expected, found: bytes.len() });
        }
        Ok(HostTensor { dtype, shape, bytes })
    }

    /// 32-bit floats in row-major order.
    ///
    /// # Errors
    /// [`TensorError::Length`] when there are not as many as the shape needs.
    pub fn from_f32(shape: &[usize], values: &[f32]) -> Result<Self, WeightsError> {
        Self::new(DType::F32, shape.to_vec(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// 64-bit integers in row-major order.
    ///
    /// # Errors
    /// [`TensorError::Length`] when there are not as many as the shape needs.
    pub fn from_i64(shape: &[usize], values: &[i64]) -> Result<Self, WeightsError> {
        Self::new(DType::I64, shape.to_vec(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Extents, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Little-endian elements in row-major order.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Elements as 32-bit floats: exact for F16, BF16 and F32, rounded to nearest for F64.
    ///
    /// # Errors
    /// [`TensorError::Type`] for integers.
    pub fn to_f32_vec(&self) -> Result<Vec<f32>, WeightsError> {
        match self.dtype {
            DType::F32 => Ok(chunks::<4>(&self.bytes).map(f32::from_le_bytes).collect()),
            DType::F64 => Ok(chunks::<8>(&self.bytes).map(|b| f64::from_le_bytes(b) as f32).collect()),
            DType::F16 => Ok(chunks::<2>(&self.bytes).map(|b| f16::from_le_bytes(b).to_f32()).collect()),
            DType::BF16 => Ok(chunks::<2>(&self.bytes).map(|b| bf16::from_le_bytes(b).to_f32()).collect()),
            DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::U8 | DType::Bool => {
                Err(TensorError::Type { expected: "floats", found: self.dtype }.into())
            }
        }
    }

    /// Elements as 64-bit floats, exact.
    ///
    /// # Errors
    /// [`TensorError::Type`] for integers.
    pub fn to_f64_vec(&self) -> Result<Vec<f64>, WeightsError> {
        match self.dtype {
            DType::F64 => Ok(chunks::<8>(&self.bytes).map(f64::from_le_bytes).collect()),
            _ => Ok(self.to_f32_vec()?.into_iter().map(f64::from).collect()),
        }
    }

    /// Elements as 64-bit integers, exact.
    ///
    /// # Errors
    /// [`TensorError::Type`] for floats.
    pub fn to_i64_vec(&self) -> Result<Vec<i64>, WeightsError> {
        match self.dtype {
            DType::I64 => Ok(chunks::<8>(&self.bytes).map(i64::from_le_bytes).collect()),
            DType::I32 => Ok(chunks::<4>(&self.bytes).map(|b| i64::from(i32::from_le_bytes(b))).collect()),
            DType::I16 => Ok(chunks::<2>(&self.bytes).map(|b| i64::from(i16::from_le_bytes(b))).collect()),
            DType::I8 => Ok(chunks::<1>(&self.bytes).map(|b| i64::from(i8::from_le_bytes(b))).collect()),
            DType::U8 | DType::Bool => Ok(self.bytes.iter().map(|b| i64::from(*b)).collect()),
            DType::F16 | DType::BF16 | DType::F32 | DType::F64 => {
                Err(TensorError::Type { expected: "integers", found: self.dtype }.into())
            }
        }
    }

    /// Extents in another order: axis `i` of the result is axis `axes[i]` of a tensor of four extents. A tensor with another
    /// number of extents, or axes that are not 0 to 3 in some order, stay as they are.
    pub(crate) fn permuted(&self, axes: [usize; 4]) -> HostTensor {
        let (Ok(shape), true) = (<[usize; 4]>::try_from(self.shape.as_slice()), is_order(axes)) else {
            return self.clone();
        };
        let size = self.dtype.size();
        let mut stride = [size; 4];
        for i in (0..3).rev() {
            stride[i] = stride[i + 1] * shape[i + 1];
        }
        let [out, step] = [axes.map(|a| shape[a]), axes.map(|a| stride[a])];
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for a in 0..out[0] {
            for b in 0..out[1] {
                for c in 0..out[2] {
                    for d in 0..out[3] {
                        let at = a * step[0] + b * step[1] + c * step[2] + d * step[3];
                        bytes.extend_from_slice(&self.bytes[at..at + size]);
                    }
                }
            }
        }
        HostTensor { dtype: self.dtype, shape: out.to_vec(), bytes }
    }

    /// The same values with every float type turned into F32; integers stay as they are.
    pub fn widened(&self) -> HostTensor {
        match self.to_f32_vec() {
            Ok(values) if self.dtype != DType::F32 => HostTensor {
                dtype: DType::F32,
                shape: self.shape.clone(),
                bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            },
            _ => self.clone(),
        }
    }
}

impl fmt::Debug for HostTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}

/// Whether these are 0 to 3, each once.
fn is_order(axes: [usize; 4]) -> bool {
    (0..4).all(|axis| axes.contains(&axis))
}

/// Bytes a tensor takes, `None` when that overflows.
pub(crate) fn byte_len(dtype: DType, shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(dtype.size(), |n, extent| n.checked_mul(*extent))
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_must_fill_the_shape() {
        let e = HostTensor::new(DType::F32, vec![2, 3], vec![0; 23]).unwrap_err();
        assert_eq!(e.to_string(), "a F32 tensor of shape [2, 3] takes 24 bytes, found 23");
        assert!(HostTensor::new(DType::F64, vec![usize::MAX, 2], vec![]).is_err());
        assert_eq!(HostTensor::new(DType::I64, vec![], vec![0; 8]).unwrap().len(), 1);
        assert_eq!(HostTensor::new(DType::F16, vec![0, 4], vec![]).unwrap().len(), 0);
    }

    #[test]
    fn halves_widen_exactly() {
        let halves = [0x3c00u16, 0xc000, 0x0001, 0x7bff];
        let t = HostTensor::new(DType::F16, vec![4], halves.iter().flat_map(|h| h.to_le_bytes()).collect()).unwrap();
        let expected = [1.0, -2.0, 2f32.powi(-24), 65504.0];
        assert_eq!(t.to_f32_vec().unwrap(), expected);
        assert_eq!(t.widened(), HostTensor::from_f32(&[4], &expected).unwrap());
        let b = HostTensor::new(DType::BF16, vec![1], 0x3fc0u16.to_le_bytes().to_vec()).unwrap();
        assert_eq!(b.to_f64_vec().unwrap(), [1.5]);
    }

    #[test]
    fn floats_and_integers_are_not_confused() {
        let ints = HostTensor::from_i64(&[2], &[-1, i64::MAX]).unwrap();
        assert_eq!(ints.to_i64_vec().unwrap(), [-1, i64::MAX]);
        assert!(ints.to_f32_vec().is_err());
        assert_eq!(ints.widened(), ints);
        assert!(HostTensor::from_f32(&[1], &[1.0]).unwrap().to_i64_vec().is_err());
    }

    #[test]
    fn extents_change_their_order_and_elements_go_along() {
        let shape = [2, 3, 4, 5];
        let values: Vec<f32> = (0..120u8).map(f32::from).collect();
        let turned = HostTensor::from_f32(&shape, &values).unwrap().permuted([3, 2, 0, 1]);
        assert_eq!(turned.shape(), [5, 4, 2, 3]);
        let found = turned.to_f32_vec().unwrap();
        for (at, value) in found.iter().enumerate() {
            let [o, i, h, w] = [at / 24, at / 6 % 4, at / 3 % 2, at % 3];
            assert_eq!(*value, values[((h * 3 + w) * 4 + i) * 5 + o]);
        }
        let flat = HostTensor::from_f32(&[3], &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(flat.permuted([3, 2, 0, 1]), flat);
        assert_eq!(turned.permuted([0, 0, 1, 2]), turned);
    }

    #[test]
    fn names_round_trip() {
        for name in ["F16", "BF16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "BOOL"] {
            assert_eq!(DType::from_name(name).unwrap().name(), name);
        }
        assert_eq!(DType::from_name("F8_E4M3"), None);
    }
}
