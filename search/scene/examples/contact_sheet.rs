//! Renders a contact sheet: one row per scene, infrared, visible and class mask with boxes side by side.
//!
//! `cargo run --release -p caf-scene --example contact_sheet -- OUT.png [SEED] [WIDTH] [HEIGHT] [PER_CONDITION] [CONDITION…]`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use caf_geometry::Size;
use caf_scene::{Condition, Label, Rendered, Scene, SceneSpec};
use image::{Rgb, RgbImage};

type Failure = Box<dyn std::error::Error>;

/// One colour per class, and gray for ignore regions.
const COLOURS: [[u8; 3]; 6] =
    [[255, 80, 80], [80, 160, 255], [255, 170, 40], [90, 230, 120], [255, 240, 90], [220, 110, 255]];

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let out = PathBuf::from(arguments.next().ok_or("expected the path of the picture to write")?);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (seed, size) = (number(1)?, Size::new(number(256)? as usize, number(192)? as usize));
    let [width, height] = size.wh().map(|side| side as u32);
    let per_condition = number(4)?;
    let mut conditions = arguments.map(|name| name.parse()).collect::<Result<Vec<Condition>, _>>()?;
    if conditions.is_empty() {
        conditions.extend(Condition::ALL);
    }
    let rows = (conditions.len() as u64 * per_condition).div_ceil(2) as u32;
    let mut sheet = RgbImage::new(width * 6, height * rows);
    let (mut rendered, mut spent) = (0, Duration::ZERO);
    for condition in conditions {
        for i in 0..per_condition {
            let spec = SceneSpec { seed: seed + i, size, condition: Some(condition), rig: None };
            let scene = Scene::generate(&spec)?;
            let start = Instant::now();
            let pair = scene.render(0.0);
            spent += start.elapsed();
            paste(&mut sheet, &pair, (rendered % 2) * 3 * width, (rendered / 2) * height);
            rendered += 1;
        }
    }
    println!("{rendered} pairs of {size}: {:.1} ms each", spent.as_secs_f64() * 1e3 / f64::from(rendered.max(1)));
    sheet.save(&out)?;
    Ok(())
}

fn paste(sheet: &mut RgbImage, pair: &Rendered, x0: u32, y0: u32) {
    let [width, height] = pair.vi_size.wh().map(|side| side as u32);
    for y in 0..height {
        for x in 0..width {
            let i = (y * width + x) as usize;
            let (Some(&ir), Some(&[r, g, b])) = (pair.ir.get(i), pair.vi.get(3 * i..).and_then(|s| s.first_chunk()))
            else {
                continue;
            };
            sheet.put_pixel(x0 + x, y0 + y, Rgb([ir; 3]));
            sheet.put_pixel(x0 + width + x, y0 + y, Rgb([r, g, b]));
            let shade = ((u32::from(r) + u32::from(g) + u32::from(b)) / 6) as u8;
            sheet.put_pixel(x0 + 2 * width + x, y0 + y, Rgb([shade / 2 + ir / 2; 3]));
        }
    }
    for label in &pair.labels {
        let colour = COLOURS.get(label.class.id()).copied().unwrap_or([255; 3]);
        outline(sheet, label, [width, height], [x0 + 2 * width, y0], colour);
    }
    for label in &pair.ignore {
        outline(sheet, label, [width, height], [x0 + 2 * width, y0], [120; 3]);
    }
}

fn outline(sheet: &mut RgbImage, label: &Label, size: [u32; 2], [x0, y0]: [u32; 2], colour: [u8; 3]) {
    let [w, h] = size.map(f64::from);
    let edge = |v: f64, extent: u32| (v.round().max(0.0) as u32).min(extent.saturating_sub(1));
    let (left, right) =
        (edge((label.cx - label.w / 2.0) * w, size[0]), edge((label.cx + label.w / 2.0) * w - 1.0, size[0]));
    let (top, bottom) =
        (edge((label.cy - label.h / 2.0) * h, size[1]), edge((label.cy + label.h / 2.0) * h - 1.0, size[1]));
    for x in left..=right {
        sheet.put_pixel(x0 + x, y0 + top, Rgb(colour));
        sheet.put_pixel(x0 + x, y0 + bottom, Rgb(colour));
    }
    for y in top..=bottom {
        sheet.put_pixel(x0 + left, y0 + y, Rgb(colour));
        sheet.put_pixel(x0 + right, y0 + y, Rgb(colour));
    }
}
