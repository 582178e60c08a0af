use super::*;
use safetensors::SafeTensors;

fn sample() -> Weights {
    let mut w = Weights::new();
    w.insert("z.weight", HostTensor::from_f32(&[2, 2], &[1.0, -2.0, 0.5, f32::MIN_POSITIVE]).unwrap()).unwrap();
    w.insert("a.count", HostTensor::from_i64(&[], &[7]).unwrap()).unwrap();
    w.insert("m.bytes", HostTensor::new(DType::U8, vec![3], vec![1, 2, 3]).unwrap()).unwrap();
    w.insert("e", HostTensor::new(DType::F16, vec![0, 2], vec![]).unwrap()).unwrap();
    w.set_metadata("network", "sample");
    w.set_metadata("also", "ü \"quoted\"");
    w
}

fn file_of(json: &str, data: &[u8]) -> Vec<u8> {
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), data].concat()
}

#[test]
fn round_trip_keeps_everything_and_the_reference_reader_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    save_safetensors(&sample(), &path).unwrap();
    let loaded = load_safetensors(&path).unwrap();
    assert_eq!(loaded.iter().collect::<Vec<_>>(), sample().iter().collect::<Vec<_>>());
    assert_eq!(loaded.metadata(), sample().metadata());

    let bytes = std::fs::read(&path).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(reference.len(), sample().len());
    for (name, tensor) in sample().iter() {
        let view = reference.tensor(name).unwrap();
        assert_eq!((view.shape(), view.data()), (tensor.shape(), tensor.bytes()));
    }
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["also"], "ü \"quoted\"");
}

#[test]
fn reads_what_the_reference_writer_writes() {
    let data: Vec<u8> = (0..24).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, 3], &data).unwrap();
    let bytes = safetensors::serialize([("t", view)], None).unwrap();
    let w = parse(&bytes).unwrap();
    assert_eq!((w.len(), w.get("t").unwrap().bytes(), w.get("t").unwrap().shape()), (1, &data[..], &[2, 3][..]));
}

#[test]
fn equal_weights_make_equal_files() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    save_safetensors(&sample(), &a).unwrap();
    save_safetensors(&sample(), &b).unwrap();
    assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
}

#[test]
fn two_tensors_of_one_name_are_an_error() {
    let json =
        r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    assert_eq!(parse(&file_of(json, &[1, 2])).unwrap_err().to_string(), "tensor `w` occurs twice");
}

#[test]
fn gaps_overlaps_and_wrong_lengths_are_named() {
    let gap = r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    assert!(matches!(parse(&file_of(gap, &[1, 2])), Err(FileFault::Offsets { begin: 1, expected: 0, .. })));
    let ok = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    assert!(matches!(parse(&file_of(ok, &[0; 3])), Err(FileFault::DataLength { expected: 4, found: 3 })));
    assert!(matches!(parse(&file_of(ok, &[0; 5])), Err(FileFault::DataLength { expected: 4, found: 5 })));
    let shape = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#;
    assert!(matches!(parse(&file_of(shape, &[0; 4])), Err(FileFault::Tensor { .. })));
    let dtype = r#"{"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#;
    assert!(matches!(parse(&file_of(dtype, &[0; 1])), Err(FileFault::ElementType { .. })));
}

#[test]
fn every_truncation_and_every_flipped_byte_of_the_header_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w");
    save_safetensors(&sample(), &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for n in 0..bytes.len() {
        assert!(parse(&bytes[..n]).is_err(), "{n} of {} bytes were accepted", bytes.len());
    }
    let mut changed = bytes.clone();
    for i in 0..bytes.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            changed[i] = bytes[i] ^ flip;
            let _ = parse(&changed);
        }
        changed[i] = bytes[i];
    }
}

#[test]
fn an_impossible_folder_is_named_and_nothing_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let error = save_safetensors(&sample(), dir.path().join("absent/w.safetensors")).unwrap_err();
    assert!(error.to_string().contains("absent"), "{error}");
    // A folder where the file should go makes the last step fail.
    std::fs::create_dir(dir.path().join("taken")).unwrap();
    assert!(save_safetensors(&sample(), dir.path().join("taken")).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
