//! Between tensors of libtorch and of files.

use crate::error::TorchError;
use caf_weights::{DType, HostTensor};
use tch::{Device, Kind, Tensor};

/// Pairs of element types that hold the same bits.
const KINDS: [(DType, Kind); 10] = [
    (DType::F16, Kind::Half),
    (DType::BF16, Kind::BFloat16),
    (DType::F32, Kind::Float),
    (DType::F64, Kind::Double),
    (DType::I8, Kind::Int8),
    (DType::I16, Kind::Int16),
    (DType::I32, Kind::Int),
    (DType::I64, Kind::Int64),
    (DType::U8, Kind::Uint8),
    (DType::Bool, Kind::Bool),
];

/// Copies a host tensor into libtorch, on the CPU, bit for bit.
///
/// # Errors
/// When libtorch refuses the shape.
pub fn tensor_from_host(host: &HostTensor) -> Result<Tensor, TorchError> {
    let shape: Vec<i64> = host.shape().iter().map(|n| *n as i64).collect();
    let kind = KINDS
        .iter()
        .find(|(d, _)| *d == host.dtype())
        .map(|(_, k)| *k)
        .ok_or_else(|| TorchError::Element { name: "host tensor".to_owned(), found: host.dtype().to_string() })?;
    Ok(Tensor::f_from_data_size(host.bytes(), &shape, kind)?)
}

/// Copies a tensor to host memory, row-major, bit for bit. `name` serves messages.
///
/// # Errors
/// When the element type has no host counterpart.
pub fn host_from_tensor(name: &str, tensor: &Tensor) -> Result<HostTensor, TorchError> {
    let found = tensor.f_kind()?;
    let (dtype, kind) = KINDS
        .iter()
        .find(|(_, k)| *k == found)
        .copied()
        .ok_or_else(|| TorchError::Element { name: name.to_owned(), found: format!("{found:?}") })?;
    let shape: Vec<usize> = tensor.size().iter().map(|n| *n as usize).collect();
    let flat = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0u8; flat.numel() * kind.elt_size_in_bytes()];
    flat.f_copy_data_u8(&mut bytes, flat.numel())?;
    HostTensor::new(dtype, shape, bytes)
        .map_err(|e| TorchError::Element { name: name.to_owned(), found: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_type_survives_the_round_trip() {
        for (dtype, _) in KINDS {
            let bytes: Vec<u8> =
                if dtype == DType::Bool { vec![0, 1, 1, 0, 1, 0] } else { (1..=6 * dtype.size() as u8).collect() };
            let host = HostTensor::new(dtype, vec![2, 3], bytes).unwrap();
            assert_eq!(host_from_tensor("x", &tensor_from_host(&host).unwrap()).unwrap(), host);
        }
    }

    #[test]
    fn strided_tensors_and_scalars_are_stored_row_major() {
        let t = Tensor::from_slice(&[1i64, 2, 3, 4, 5, 6]).view([2, 3]).transpose(0, 1);
        let host = host_from_tensor("t", &t).unwrap();
        assert_eq!((host.shape(), host.to_i64_vec().unwrap()), (&[3, 2][..], vec![1, 4, 2, 5, 3, 6]));
        let scalar = host_from_tensor("s", &Tensor::from(7i64)).unwrap();
        assert_eq!((scalar.shape().len(), scalar.to_i64_vec().unwrap()), (0, vec![7]));
    }
}
