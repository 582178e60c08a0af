//! The CAF fusion network on libtorch against values of the original. ONNX Runtime goes through the same comparison in
//! `onnx_parity`.

use caf_golden::{Tally, find};
use caf_tests::caf;
use caf_tests::engine::LIBTORCH;

#[test]
fn fusion_on_libtorch_equals_the_original() {
    let test = "fusion_on_libtorch_equals_the_original";
    let Some(folder) = find(test, "golden/caf") else { return };
    let mut tally = Tally::new(test);
    caf::compare(&mut tally, &folder, caf::Extent::Whole, LIBTORCH);
    tally.finish();
}
