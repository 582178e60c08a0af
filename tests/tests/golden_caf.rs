//! The CAF fusion network on libtorch against values of the original. ONNX Runtime goes through the same comparison in
//! `onnx_parity`.

use caf_tests::engine::LIBTORCH;
use caf_tests::table::say;
use caf_tests::{caf, golden};

#[test]
fn inputs_are_the_originals_bit_for_bit() {
    let test = "inputs_are_the_originals_bit_for_bit";
    let Some(folder) = golden::folder(test, "caf") else { return };
    let pairs = caf::pairs(&folder);
    let values: usize = pairs.iter().map(caf::Pair::check_inputs).sum();
    say(&format!("{test}: {} pairs, {values} values equal", pairs.len()));
}

#[test]
fn fusion_on_libtorch_equals_the_original() {
    let test = "fusion_on_libtorch_equals_the_original";
    let Some(folder) = golden::folder(test, "caf") else { return };
    caf::compare(test, &folder, caf::Extent::Whole, LIBTORCH);
}
