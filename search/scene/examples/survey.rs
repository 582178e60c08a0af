//! Counts which camera shows what: labelled objects by condition and class that both cameras show, one alone, or neither
//! clearly, and their size.
//!
//! `cargo run --release -p caf-scene --example survey -- [SEED] [WIDTH] [HEIGHT] [SCENES_PER_CONDITION]`

use caf_geometry::Size;
use caf_scene::{Class, Condition, Contrast, Instance, SEEN_FROM, Scene, SceneSpec, contrasts};
use rayon::prelude::*;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (seed, size) = (number(1)?, Size::new(number(256)?.try_into()?, number(192)?.try_into()?));
    let scenes = number(60)?;
    println!(
        "| condition | class | objects | both | infrared only | visible only | neither | infrared | visible | size px |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut all = Vec::new();
    for condition in Condition::ALL {
        let found = (seed..seed + scenes)
            .into_par_iter()
            .map(|seed| measure(&SceneSpec { seed, size, condition: Some(condition), rig: None }))
            .collect::<Result<Vec<_>, Failure>>()?;
        let found: Vec<Measured> = found.into_iter().flatten().collect();
        report(condition.name(), &found);
        all.extend(found);
    }
    report("all", &all);
    Ok(())
}

type Measured = (Contrast, Instance);

fn measure(spec: &SceneSpec) -> Result<Vec<Measured>, Failure> {
    let pair = Scene::generate(spec)?.render(0.0);
    let object = |c: &Contrast| pair.objects.iter().find(|o| o.number == c.number).copied();
    Ok(contrasts(&pair).into_iter().filter_map(|c| Some((c, object(&c)?))).collect())
}

fn report(name: &str, measured: &[Measured]) {
    for class in Class::ALL {
        let of: Vec<&Measured> = measured.iter().filter(|(c, _)| c.class == class).collect();
        let share = |test: fn(&Contrast) -> bool| {
            100.0 * of.iter().filter(|(c, _)| test(c)).count() as f64 / of.len().max(1) as f64
        };
        let median = |value: fn(&Measured) -> f64| {
            let mut sorted: Vec<f64> = of.iter().map(|m| value(m)).collect();
            sorted.sort_by(f64::total_cmp);
            sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
        };
        println!(
            "| {name} | {} | {} | {:.0} % | {:.0} % | {:.0} % | {:.0} % | {:.1} | {:.1} | {:.0}×{:.0} |",
            class.name(),
            of.len(),
            share(|c| c.ir >= SEEN_FROM && c.vi >= SEEN_FROM),
            share(|c| c.ir >= SEEN_FROM && c.vi < SEEN_FROM),
            share(|c| c.ir < SEEN_FROM && c.vi >= SEEN_FROM),
            share(|c| c.ir < SEEN_FROM && c.vi < SEEN_FROM),
            median(|(c, _)| c.ir),
            median(|(c, _)| c.vi),
            median(|(_, o)| f64::from(o.box_px[2] - o.box_px[0])),
            median(|(_, o)| f64::from(o.box_px[3] - o.box_px[1])),
        );
    }
}
