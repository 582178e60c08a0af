//! JPEG files of a data set, beside the decoder of the `image` crate.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench is a program of its own that stops at the line that fails"
)]

use std::hint::black_box;

use caf_golden::Bench;

fn main() {
    let bench = Bench::from_args();
    let Some(folder) = caf_golden::find("decode", "data/roadscene") else { return };
    for (name, folder) in [("gray", folder.join("ir")), ("colour", folder.join("vi"))] {
        let path = caf_golden::files(&folder, "", ".jpg").into_iter().next().unwrap();
        let file = std::fs::read(path).unwrap();
        let samples = caf_jpeg::decode(&file, usize::MAX).unwrap().pixels.len();
        bench.run_over(&format!("{name}, {samples} samples"), samples, || {
            caf_jpeg::decode(black_box(&file), usize::MAX).unwrap()
        });
        bench.run_over(&format!("{name}, by the image crate"), samples, || {
            image::load_from_memory_with_format(black_box(&file), image::ImageFormat::Jpeg).unwrap()
        });
    }
}
