//! What the infrared camera records: apparent temperatures in the 8–14 µm band, then gray levels.

use super::moment::Moment;
use super::noise::{bell, cloud2};
use super::pixel::{Patch, SAMPLES, patches};
use super::raster::{Raster, Seen};
use super::surface::{Surface, UP, mirrored};
use super::vector::{V3, mix, smoothstep};

/// The camera's gain control never spreads less than this over its levels: noise would fill the picture.
const LEAST_SPAN_K: f32 = 15.0;

/// Rain carries away so much of a surface's warmth and no more: bodies and engines stay warm.
const RAIN_TAKES_K: f32 = 6.0;

/// A clear sky this far below the air is shown as black: spreading the levels down to it would hide the street.
const SKY_BELOW_AIR_K: f32 = 8.0;

/// Apparent temperature of every pixel in °C.
pub(crate) fn temperatures(moment: &Moment<'_>, raster: &Raster) -> Vec<f32> {
    let (width, height) = (raster.view.size.width / SAMPLES, raster.view.size.height / SAMPLES);
    let mut out = Vec::with_capacity(width * height);
    for py in 0..height {
        for px in 0..width {
            let seen = patches(raster, px, py);
            out.push(seen.0.iter().flatten().map(|patch| apparent(moment, raster, patch) * patch.share).sum());
        }
    }
    out
}

fn apparent(moment: &Moment<'_>, raster: &Raster, patch: &Patch) -> f32 {
    let climate = moment.climate;
    // Glass is opaque here: its pane is what is seen.
    let (seen, t) = patch.pane.map_or((patch.seen, patch.t), |(index, t)| (Seen::Solid(index), t));
    let (p, dir) = raster.point(patch.x, patch.y, if t.is_finite() { t } else { 1.0 });
    let unit = dir.unit();
    let here = match seen {
        Seen::Sky => return sky(moment, unit),
        Seen::Ground => {
            let mut ground = moment.layout.ground.at(p, smoothstep(60.0, 15.0, t));
            ground.temperature_c += moment.ground_heat_k(p);
            sent(moment, &ground, p, UP, unit)
        }
        Seen::Solid(index) => {
            let (surface, normal) = moment.surface(index, p, dir);
            sent(moment, &surface, p, normal, unit)
        }
    };
    mix(climate.air_c, here, (-climate.infrared_haze_per_m * t).exp())
}

fn sent(moment: &Moment<'_>, surface: &Surface, p: V3, normal: V3, dir: V3) -> f32 {
    let climate = moment.climate;
    let mut own_c = surface.temperature_c;
    if let Some(sun) = &climate.sun
        && climate.sun_heats_k > 0.0
        && surface.heats > 0.0
    {
        // Surfaces remember the sun of the last minutes, so the shadow's edge is weak.
        let direct = normal.dot(sun.towards).max(0.0) * moment.sunlit(p);
        own_c += climate.sun_heats_k * surface.heats * (0.4 + 0.6 * direct);
    }
    own_c -= climate.washed * (own_c - climate.air_c).clamp(-RAIN_TAKES_K, RAIN_TAKES_K);
    // Near room temperature the band's radiance is close enough to linear in temperature.
    let towards = mirrored(dir, normal);
    let inside = moment.layout.daylight_from_z_m.is_some_and(|end| p.z < end);
    let mirrored_c = if towards.y <= 0.05 || inside { climate.masonry_c } else { climate.sky_c(towards) };
    mix(mirrored_c, own_c, surface.emissivity)
}

fn sky(moment: &Moment<'_>, dir: V3) -> f32 {
    let climate = moment.climate;
    let seed = moment.layout.ground.seed;
    let ridge = 0.02 + 0.05 * cloud2(dir.x / dir.z.max(0.2) * 5.0, 0.0, seed ^ 77);
    if dir.y < ridge {
        return climate.air_c - 1.0;
    }
    let k = 1.0 / (dir.y + 0.12);
    let cloud = cloud2(dir.x * k * 1.3, dir.z * k * 0.7, seed ^ 99);
    climate.sky_c(dir) + 6.0 * climate.clouds * (cloud - 0.4)
}

/// Optics, noise and gain control: gray levels, warm is bright.
pub(crate) fn develop(moment: &Moment<'_>, mut plane: Vec<f32>, width: usize, seed: u32) -> Vec<u8> {
    let climate = moment.climate;
    soften(&mut plane, width);
    for (i, v) in plane.iter_mut().enumerate() {
        // Pixels and columns of the detector differ a little and stay the same from frame to frame.
        let column = bell((i % width.max(1)) as u32, moment.layout.ground.seed);
        let pixel = bell(i as u32, moment.layout.ground.seed ^ 0xF1);
        *v += climate.infrared_noise_k * (bell(i as u32, seed) + 0.5 * pixel + 0.4 * column);
    }
    let [low, high] = span(&plane, climate.air_c);
    plane.iter().map(|t| (14.0 + 228.0 * (t - low) / (high - low) + 0.5).clamp(0.0, 255.0) as u8).collect()
}

/// An exhaust pipe this far above the median is shown as white: spreading the levels up to it would leave nothing else.
const HOT_ABOVE_MEDIAN_K: f32 = 17.0;

/// Temperatures that become dark and bright: the 1st and the 99.6th hundredth, kept sensible.
fn span(plane: &[f32], air_c: f32) -> [f32; 2] {
    let mut sorted = plane.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let at = |share: f32| sorted.get((share * sorted.len() as f32) as usize).copied().unwrap_or(air_c);
    let low = at(0.01).max(air_c - SKY_BELOW_AIR_K);
    let high = at(0.996).min(at(0.5) + HOT_ABOVE_MEDIAN_K).max(low);
    let short = (LEAST_SPAN_K - (high - low)).max(0.0);
    [low - 0.35 * short, high + 0.65 * short]
}

/// The lens: a 3×3 binomial kernel.
fn soften(plane: &mut [f32], width: usize) {
    let height = plane.len() / width.max(1);
    let source = plane.to_vec();
    let at = |x: isize, y: isize| {
        let x = x.clamp(0, width as isize - 1) as usize;
        let y = y.clamp(0, height as isize - 1) as usize;
        source.get(y * width + x).copied().unwrap_or(0.0)
    };
    for (i, v) in plane.iter_mut().enumerate() {
        let (x, y) = ((i % width) as isize, (i / width) as isize);
        let row = |y: isize| at(x - 1, y) + 2.0 * at(x, y) + at(x + 1, y);
        *v = (row(y - 1) + 2.0 * row(y) + row(y + 1)) / 16.0;
    }
}
