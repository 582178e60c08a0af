//! The CAF fusion network on libtorch against values of the original. ONNX Runtime goes through the same comparison in
//! `onnx_parity`.

use caf_golden::{Tally, find, say};
use caf_search::fusion_net::FusionNet;
use caf_tests::caf;
use caf_tests::engine::LIBTORCH;
use caf_torch::Mode;
use caf_weights::load_safetensors;
use std::path::Path;
use tch::{Device, Kind, Tensor};

#[test]
fn fusion_on_libtorch_equals_the_original() {
    let test = "fusion_on_libtorch_equals_the_original";
    let Some(folder) = find(test, "golden/caf") else { return };
    let mut tally = Tally::new(test);
    caf::compare(&mut tally, &folder, caf::Extent::Whole, LIBTORCH);
    tally.finish();
}

/// Pairs of a camera that the student has not seen; the mean of both images is what it begins with.
#[test]
fn the_shipped_student_is_nearer_to_its_teacher_than_the_mean_of_both_images() {
    let test = "the_shipped_student_is_nearer_to_its_teacher_than_the_mean_of_both_images";
    let Some(folder) = find(test, "golden/caf") else { return };
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/weights/student.safetensors");
    let net = FusionNet::read(&weights, Device::Cpu).unwrap();
    assert_eq!(net.config().kind(), "student");
    let folders = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let crops: Vec<_> = folders.map(|folder| folder.join("crop.safetensors")).filter(|crop| crop.is_file()).collect();
    assert!(!crops.is_empty(), "no pair in {}", folder.display());
    for path in crops {
        let crop = load_safetensors(&path).unwrap();
        let [ir, vi, teacher] = ["ir", "vi_y", "det"].map(|name| {
            let tensor = crop.get(name).unwrap();
            let shape: Vec<i64> = tensor.shape().iter().map(|n| *n as i64).collect();
            Tensor::from_slice(&tensor.to_f32_vec().unwrap()).view(shape.as_slice())
        });
        let fused = tch::no_grad(|| net.fuse(&net.params, &ir, &vi, Mode::Eval)).unwrap();
        let psnr_db = |image: &Tensor| {
            -10.0 * (image - teacher.clamp(0.0, 1.0)).square().mean(Kind::Double).double_value(&[]).log10()
        };
        let (student, mean) = (psnr_db(&fused), psnr_db(&((ir + vi) * 0.5)));
        say(&format!("{}: student {student:.2} dB, mean {mean:.2} dB from the teacher", path.display()));
        assert!(student > 28.0 && student > mean + 6.0, "{student} {mean}");
    }
}
