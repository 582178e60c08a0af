//! One tensor out of its storage.

use super::value::TensorRef;
use crate::dtype::DType;
use crate::tensor::HostTensor;

/// Copies a view into a dense tensor.
///
/// # Errors
/// When the view leaves the storage, or has more elements than it (a broadcast view, which could be made as large as one
/// likes).
pub(super) fn gather(view: &TensorRef, dtype: DType, storage: &[u8]) -> Result<HostTensor, String> {
    let size = dtype.size();
    let available = (storage.len() / size) as u64;
    let overflow = || "its extents overflow".to_owned();
    let len = view.shape.iter().try_fold(1u64, |n, e| n.checked_mul(*e)).ok_or_else(overflow)?;
    let shape: Vec<usize> =
        view.shape.iter().map(|e| usize::try_from(*e)).collect::<Result<_, _>>().map_err(|_| overflow())?;
    if len == 0 {
        return HostTensor::new(dtype, shape, Vec::new()).map_err(|e| e.to_string());
    }
    let mut last = view.offset;
    for (extent, stride) in view.shape.iter().zip(&view.strides) {
        last = (extent - 1).checked_mul(*stride).and_then(|step| last.checked_add(step)).ok_or_else(overflow)?;
    }
    if last >= available {
        return Err(format!("it reaches element {last} of a storage with {available}"));
    }
    if len > available {
        return Err(format!("it has {len} elements, its storage only {available}: broadcast views are refused"));
    }
    // Everything below is bounded by the storage; the stride of a single step is never taken and may be anything.
    let begin = view.offset as usize * size;
    let bytes = if is_dense(view) {
        storage.get(begin..begin + len as usize * size).unwrap_or_default().to_vec()
    } else {
        strided(view, len as usize, size, storage)
    };
    HostTensor::new(dtype, shape, bytes).map_err(|e| e.to_string())
}

/// Row-major without gaps; the stride of an extent of one does not matter.
fn is_dense(view: &TensorRef) -> bool {
    let mut expected = 1;
    for (extent, stride) in view.shape.iter().zip(&view.strides).rev() {
        if *extent != 1 && *stride != expected {
            return false;
        }
        expected *= extent;
    }
    true
}

fn strided(view: &TensorRef, len: usize, size: usize, storage: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len * size);
    let mut position = vec![0u64; view.shape.len()];
    let mut at = view.offset;
    for _ in 0..len {
        let begin = at as usize * size;
        bytes.extend_from_slice(storage.get(begin..begin + size).unwrap_or_default());
        for ((place, extent), stride) in position.iter_mut().zip(&view.shape).zip(&view.strides).rev() {
            if *place + 1 < *extent {
                *place += 1;
                at += stride;
                break;
            }
            at -= *place * stride;
            *place = 0;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::value::Ref;

    fn view(offset: u64, shape: &[u64], strides: &[u64]) -> TensorRef {
        TensorRef { storage: Ref(0), offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    fn storage() -> Vec<u8> {
        (0..12i16).flat_map(i16::to_le_bytes).collect()
    }

    fn values(view: &TensorRef) -> Result<Vec<i64>, String> {
        gather(view, DType::I16, &storage()).map(|t| t.to_i64_vec().unwrap())
    }

    #[test]
    fn views_of_every_kind() {
        assert_eq!(values(&view(0, &[3, 4], &[4, 1])).unwrap(), (0..12).collect::<Vec<_>>());
        assert_eq!(values(&view(4, &[2], &[1])).unwrap(), [4, 5]);
        assert_eq!(values(&view(0, &[4, 3], &[1, 4])).unwrap(), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert_eq!(values(&view(1, &[3, 2], &[4, 2])).unwrap(), [1, 3, 5, 7, 9, 11]);
        assert_eq!(values(&view(5, &[], &[])).unwrap(), [5]);
        assert_eq!(values(&view(0, &[1, 4], &[99, 1])).unwrap(), [0, 1, 2, 3]);
        assert_eq!(values(&view(1, &[2, 1, 2], &[4, u64::MAX, 2])).unwrap(), [1, 3, 5, 7]);
        assert!(values(&view(7, &[2, 0], &[1, 1])).unwrap().is_empty());
    }

    #[test]
    fn views_that_leave_the_storage_are_refused() {
        assert!(values(&view(1, &[3, 4], &[4, 1])).unwrap_err().contains("element 12 of a storage with 12"));
        assert!(values(&view(12, &[], &[])).is_err());
        assert!(values(&view(u64::MAX, &[2], &[u64::MAX])).unwrap_err().contains("overflow"));
        assert!(values(&view(0, &[u64::MAX, 3], &[0, 0])).unwrap_err().contains("overflow"));
        assert!(values(&view(0, &[1 << 40], &[0])).unwrap_err().contains("broadcast"));
    }
}
