//! Saliency tables, maps and weights against the golden set `saliency`.

use crate::support::safetensors_in;
use caf_fusion_loss::saliency::{SaliencyForm, infrared_weight, level_table, saliency};
use caf_golden::{Tally, count, find, items, json, numbers};

/// All-float32 arithmetic differs by up to 6e-8 in the set's README; ours is 64-bit, rounded once.
const TOLERANCE: f64 = 1e-7;

#[test]
fn tables_maps_and_weights() {
    let test = "tables_maps_and_weights";
    let Some(folder) = find(test, "golden/saliency") else { return };
    let about = json(&folder.join("cases.json"));
    let mut tally = Tally::new(test);
    for (name, case) in &safetensors_in(&folder) {
        tally.case(name);
        let image = |which: &str| case.get(which).unwrap().bytes().to_vec();
        let (ir, vi) = (image("ir_u8"), image("vi_u8"));
        let about = &about["cases"][name];
        let shape: Vec<usize> = items(&about["shape_hw"]).iter().map(count).collect();
        for (end, pixels) in [("ir", &ir), ("vi", &vi)] {
            assert_eq!(case.get(&format!("{end}_u8")).unwrap().shape(), shape, "{name} {end}");
            let file = folder.join(format!("{name}_{end}.png"));
            tally.equal("images", pixels, image::open(&file).unwrap().to_luma8().as_raw());
            let found: Vec<i64> = level_table(pixels).iter().map(|t| *t as i64).collect();
            tally.equal("tables", &found, &case.get(&format!("table_{end}")).unwrap().to_i64_vec().unwrap());
        }
        for (prefix, form) in [("max", SaliencyForm::Max), ("minmax", SaliencyForm::MinMax)] {
            let w_ir = infrared_weight(&ir, &vi, form).unwrap();
            let w_vi = w_ir.iter().map(|w| 1.0 - w).collect();
            let found = [("s_ir", saliency(&ir, form)), ("s_vi", saliency(&vi, form)), ("w_ir", w_ir), ("w_vi", w_vi)];
            for (what, found) in found {
                let place = format!("{prefix}.{what}");
                tally.close(&place, &found, &case.get(&place).unwrap().to_f32_vec().unwrap(), TOLERANCE);
                let range = [f32::min, f32::max].map(|pick| found.iter().copied().reduce(pick).unwrap());
                tally.close("least and largest", &range, &numbers(&about["min_max"][&place]), TOLERANCE);
            }
        }
    }
    tally.finish();
}
