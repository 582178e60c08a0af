//! Weights that lie outside the ONNX file.

use crate::error::ExportError;
use crate::proto::{self, DATA_IS_EXTERNAL};
use prost::Message as _;

/// Smaller tensors stay inside: shapes and axes, which engines read while they load a graph.
const LEAST_BYTES: usize = 1024;
/// Every tensor begins at a multiple of this.
const ALIGNMENT: usize = 64;
/// Key of the file's name.
const LOCATION: &str = "location";

/// A model that this crate wrote, parted into graph and weights: the first refers to the second as `file`, which lies beside it.
///
/// # Errors
/// [`ExportError::Onnx`] when the bytes are no model.
pub fn split(onnx: &[u8], file: &str) -> Result<(Vec<u8>, Vec<u8>), ExportError> {
    let mut model = proto::Model::decode(onnx)?;
    let mut data = vec![];
    for tensor in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
        if tensor.raw_data.len() < LEAST_BYTES {
            continue;
        }
        data.resize(data.len().next_multiple_of(ALIGNMENT), 0);
        let entry = |key: &str, value: String| proto::Entry { key: key.to_owned(), value };
        tensor.external_data = vec![
            entry(LOCATION, file.to_owned()),
            entry("offset", data.len().to_string()),
            entry("length", tensor.raw_data.len().to_string()),
        ];
        tensor.data_location = DATA_IS_EXTERNAL;
        data.append(&mut tensor.raw_data);
    }
    Ok((model.encode_to_vec(), data))
}

/// Names of the files that a model's weights lie in, each once; none where they lie inside.
///
/// # Errors
/// [`ExportError::Onnx`] when the bytes are no model.
pub fn files(onnx: &[u8]) -> Result<Vec<String>, ExportError> {
    let model = proto::Model::decode(onnx)?;
    let tensors = model.graph.iter().flat_map(|graph| &graph.initializer);
    let outside = tensors.filter(|tensor| tensor.data_location == DATA_IS_EXTERNAL);
    let entries = outside.flat_map(|tensor| &tensor.external_data).filter(|entry| entry.key == LOCATION);
    let mut names: Vec<String> = entries.map(|entry| entry.value.clone()).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}
