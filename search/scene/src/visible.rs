//! What the visible camera records.

use super::moment::{Moment, add};
use super::noise::{bell, cloud2, hash};
use super::pixel::{Patch, SAMPLES, patches};
use super::plane::blur;
use super::raster::{Raster, Seen};
use super::surface::{Rgb, Surface, UP, blend, gray, mirrored, scaled};
use super::vector::{V3, smoothstep};

/// Radiance of every pixel, three planes.
pub(crate) fn radiance(moment: &Moment<'_>, raster: &Raster) -> [Vec<f32>; 3] {
    let (width, height) = (raster.view.size.width / SAMPLES, raster.view.size.height / SAMPLES);
    let mut planes = [(); 3].map(|()| Vec::with_capacity(width * height));
    for py in 0..height {
        for px in 0..width {
            let mut sum = gray(0.0);
            for patch in patches(raster, px, py).0.iter().flatten() {
                sum = add(sum, scaled(shade(moment, raster, patch), patch.share));
            }
            for (plane, v) in planes.iter_mut().zip(sum) {
                plane.push(v);
            }
        }
    }
    planes
}

fn shade(moment: &Moment<'_>, raster: &Raster, patch: &Patch) -> Rgb {
    let climate = moment.climate;
    let (p, dir) = raster.point(patch.x, patch.y, if patch.t.is_finite() { patch.t } else { 1.0 });
    let unit = dir.unit();
    let seen = match patch.seen {
        Seen::Sky => sky(moment, unit),
        Seen::Ground => {
            let fine = smoothstep(60.0, 15.0, patch.t);
            lit(moment, &moment.layout.ground.at(p, fine), p, UP, unit)
        }
        Seen::Solid(index) => {
            let (surface, normal) = moment.surface(index, p, dir);
            lit(moment, &surface, p, normal, unit)
        }
    };
    let hazed = if patch.t.is_finite() {
        blend(climate.haze, seen, (-climate.haze_per_m * patch.t).exp())
    } else if climate.haze_per_m > 0.05 {
        climate.haze
    } else {
        seen
    };
    // A pane takes a tenth and adds a faint mirror image.
    if patch.pane.is_some() { add(scaled(hazed, 0.88), scaled(climate.ambient, 0.06)) } else { hazed }
}

fn lit(moment: &Moment<'_>, surface: &Surface, p: V3, normal: V3, dir: V3) -> Rgb {
    let light = moment.light_on(p, normal, surface.retro);
    let mut out = surface.emission;
    for ((out, albedo), light) in out.iter_mut().zip(surface.albedo).zip(light) {
        *out += albedo.max(0.0) * light;
    }
    if surface.gloss > 0.0 {
        let towards = mirrored(dir, normal);
        // More is mirrored at grazing angles (Schlick's approximation).
        let grazing = (1.0 + dir.dot(normal)).clamp(0.0, 1.0).powi(5);
        let share = surface.gloss + (1.0 - surface.gloss) * grazing * 0.4;
        out = add(out, scaled(surroundings(moment, p, towards), share));
    }
    out
}

fn surroundings(moment: &Moment<'_>, p: V3, dir: V3) -> Rgb {
    let climate = moment.climate;
    if moment.layout.daylight_from_z_m.is_some_and(|end| p.z < end) {
        return scaled(climate.ambient, 0.4);
    }
    // Houses hide the sky near the horizon.
    let open = smoothstep(0.0, 0.45, dir.y);
    let below = scaled(climate.ambient, 0.16);
    let above = climate.sky(dir).map(|v| v.min(8.0));
    blend(below, above, open)
}

fn sky(moment: &Moment<'_>, dir: V3) -> Rgb {
    let climate = moment.climate;
    let light = climate.sky(dir);
    let k = 1.0 / (dir.y + 0.12);
    let seed = moment.layout.ground.seed;
    let ridge = 0.02 + 0.05 * cloud2(dir.x / dir.z.max(0.2) * 5.0, 0.0, seed ^ 77);
    if dir.y < ridge {
        // Hills and trees far away.
        return blend(scaled(climate.ambient, 0.18), climate.horizon, 0.35);
    }
    let cover = smoothstep(0.62 - 0.25 * climate.clouds, 0.8, cloud2(dir.x * k * 1.3, dir.z * k * 0.7, seed ^ 99));
    let cloud = scaled(add(climate.horizon, climate.ambient), 0.6);
    blend(light, cloud, cover * climate.clouds.min(0.9) * if climate.dark { 0.3 } else { 1.0 })
}

/// Exposes, blooms, adds noise and writes interleaved red green blue.
pub(crate) fn develop(moment: &Moment<'_>, mut planes: [Vec<f32>; 3], width: usize, seed: u32) -> Vec<u8> {
    let climate = moment.climate;
    let count = planes[0].len().max(1);
    let height = count / width.max(1);
    // Metering clips lamps and the sun, as a camera's does.
    let metered: f64 = planes.iter().flatten().map(|v| f64::from(v.min(3.0))).sum::<f64>() / (3 * count) as f64;
    let gain = (climate.exposure_target / (metered as f32).max(1e-4)).min(climate.most_gain);
    let tone = tone_curve();
    let mut scratch = vec![0.0; count];
    for plane in &mut planes {
        for v in plane.iter_mut() {
            *v *= gain;
        }
        let mut halo: Vec<f32> = plane.iter().map(|v| (v - 0.9).clamp(0.0, 10.0)).collect();
        blur(&mut halo, &mut scratch, width, height, 2);
        let mut veil: Vec<f32> = plane.iter().map(|v| v.min(14.0)).collect();
        blur(&mut veil, &mut scratch, width, height, (width / 9).max(2));
        for ((v, halo), veil) in plane.iter_mut().zip(&halo).zip(&veil) {
            *v = *v * (1.0 - climate.veil) + 0.3 * halo + climate.veil * veil;
        }
    }
    let mut out = Vec::with_capacity(3 * count);
    let [red, green, blue] = &planes;
    for (i, ((r, g), b)) in red.iter().zip(green).zip(blue).enumerate() {
        let shared = bell(i as u32, seed);
        for (channel, v) in [r, g, b].into_iter().enumerate() {
            let own = bell(i as u32, seed ^ hash(channel as i32, 3, 5, 17));
            let level = tone(v - climate.black);
            // Shadows are noisier after the tone curve has lifted them.
            let deviation = climate.visible_noise * (1.0 - 0.6 * level / 255.0);
            out.push((level + deviation * (0.6 * shared + 0.8 * own) + 0.5).clamp(0.0, 255.0) as u8);
        }
    }
    out
}

/// Exposed light to display levels: a soft shoulder, then the sRGB curve, by table.
fn tone_curve() -> impl Fn(f32) -> f32 {
    const STEPS: usize = 4096;
    let table: Vec<f32> = (0..=STEPS)
        .map(|i| {
            // Quadratic spacing keeps the dark end fine.
            let light = 6.0 * (i as f32 / STEPS as f32).powi(2);
            let y = 1.0 - (-1.55 * light).exp();
            let coded = if y <= 0.003_130_8 { 12.92 * y } else { 1.055 * y.powf(1.0 / 2.4) - 0.055 };
            coded * 255.0
        })
        .collect();
    move |light: f32| {
        let at = (light.max(0.0) / 6.0).sqrt() * STEPS as f32;
        table.get(at as usize).or(table.last()).copied().unwrap_or(255.0)
    }
}
