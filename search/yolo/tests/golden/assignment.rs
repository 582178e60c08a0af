//! Target assignment against the original's, in its order.

use crate::support::{Case, cases};
use caf_golden::{Tally, count, items};
use caf_yolo::{Grid, assign};

/// `main` is the plain list on the training image, `rectHxW` the plain list on another image, anything else `targets_…`.
fn source(case: &Case, name: &str) -> (String, usize, usize) {
    let size = case.image_size();
    if let Some((h, w)) = name.strip_prefix("rect").and_then(|s| s.split_once('x')) {
        return ("targets".to_owned(), h.parse().unwrap(), w.parse().unwrap());
    }
    (if name == "main" { "targets".to_owned() } else { format!("targets_{name}") }, size, size)
}

#[test]
fn assignment_is_the_originals() {
    let test = "assignment_is_the_originals";
    let Some(cases) = cases(test) else { return };
    let mut tally = Tally::new(test);
    for case in &cases {
        let network = case.network();
        let mut lists: Vec<(&str, usize)> = case
            .data
            .iter()
            .filter_map(|(name, _)| {
                let (list, level) = name.strip_prefix("bt_")?.strip_suffix("_index")?.rsplit_once("_l")?;
                Some((list, level.parse().unwrap()))
            })
            .collect();
        lists.sort_unstable();
        assert!(!lists.is_empty(), "{}: no bt_*_index", case.name);
        for (list, level) in lists {
            tally.case(&format!("{} {list}", case.name));
            let (targets, height, width) = source(case, list);
            let stride = network.levels()[level].stride;
            let anchors: Vec<[f32; 2]> =
                network.levels()[level].anchors_px.iter().map(|px| px.map(|v| (v / stride as f64) as f32)).collect();
            let grid = Grid { rows: height / stride, columns: width / stride };
            let found = assign(&case.targets(&targets), grid, &anchors, case.hyp().anchor_t as f32);

            let key = |part: &str| format!("bt_{list}_l{level}_{part}");
            let index: Vec<i64> = (0..found.len())
                .flat_map(|i| [found.image[i], found.anchor[i], found.row[i], found.column[i]])
                .collect();
            tally.equal("cells", &index, &case.integers(&key("index")));
            tally.equal("classes", &found.class, &case.integers(&key("tcls")));
            // The same float32 operations in the same order: equal bit for bit.
            tally.equal("boxes", found.box_cells.as_flattened(), &case.floats(&key("tbox")));
            tally.equal("anchors", found.anchor_cells.as_flattened(), &case.floats(&key("anchor")));
            let about = match list.strip_prefix("rect") {
                Some(_) => format!("{targets} on a {height} x {width} grid"),
                None => targets.clone(),
            };
            let about = &case.json["build_targets"][about];
            if let Some(matches) = about.get("matches_per_level") {
                tally.equal("matches", &[found.len()], &[count(&items(matches)[level])]);
            }
            if let Some(rows) = about.get("rows") {
                tally.equal("targets", &[case.targets(&targets).len()], &[count(rows)]);
            }
        }
    }
    tally.finish();
}
