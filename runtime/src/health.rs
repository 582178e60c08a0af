//! Whether what a camera delivers can be used: a cheap look at each image, and a judgement that does not flutter.
//!
//! A sensor that fails mostly goes on delivering. What its images have then, and what no working sensor's have:
//!
//! - *frozen*: the same bytes again and again. A sensor's noise changes some byte of thousands from image to image.
//! - *black*, *saturated*: hardly a pixel off one end of the scale.
//! - *shutter*, of infrared cameras: the flat field that they calibrate themselves on hides the scene for a moment.
//! - *exposure*, of visible cameras: nearly all at the two ends of the scale, or without any contrast.
//!
//! [`BAD_IMAGES`] in a row make a fault and [`GOOD_IMAGES`] end it, so that one image changes nothing.

use serde::Serialize;

use crate::frame::{Camera, ImageView, PixelFormat};
use crate::pixels::luma_byte;

/// Bad images in a row that make a fault: the third result of a failing camera says so at the latest.
pub const BAD_IMAGES: u32 = 2;
/// Good images in a row that end a fault: a third of a second of the slowest thermal cameras, which deliver nine a second.
pub const GOOD_IMAGES: u32 = 3;
/// Rows looked at, and pixels looked at in each: enough that 1 % of the pixels are ten, few enough that they are sorted in microseconds.
const GRID: usize = 32;
/// 8-bit values up to this are black: sensor noise without light stays below, and so do pedestals that GStreamer has taken off.
const DARK: u16 = 8;
/// 8-bit values from this on are saturated: the knee of most tone curves ends above.
const BRIGHT: u16 = 250;
/// 16-bit values up to this are black: a radiometric camera gives it for no scene, nor an amplified one.
const DARK_16: u16 = 64;
/// What sensors of 10, 12, 14 and 16 bits give at the end of their scale.
const FULL_SCALES: [u16; 4] = [1023, 4095, 16_383, u16::MAX];
/// Values from the 1st to the 99th percentile of an image without contrast, of 8 bits and of 16: the noise of an uncooled sensor alone
/// (50 mK, which are 5 counts of 10 mK) spreads over more.
const FLAT: [u16; 2] = [2, 8];
/// Share of the pixels that are at the ends of the scale when the exposure is wrong.
const CLIPPED: f32 = 0.98;
/// An infrared image whose spread is less than this share of the usual shows the shutter: it is at one temperature, scenes are not.
const SHUTTER_SPREAD: f32 = 1.0 / 8.0;
/// No calibration takes longer; what lasts longer is a scene with less contrast.
const SHUTTER_NS: i64 = 3_000_000_000;
/// Good images after which the usual spread is known.
const SPREAD_KNOWN: u32 = 16;
/// Runs of the same image that are remembered: cameras that deliver 9 images a second at 30 repeat each two or three times.
const RUNS: usize = 8;
/// A longer run is no habit of a camera.
const RUN_NS: i64 = 500_000_000;

/// Why a camera takes no part in results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The source is lost, and it is tried to open it again.
    Lost,
    /// No frame comes, as long as three usually take.
    Silent,
    /// Its clock has jumped, and its times are not yet known again.
    Clock,
    /// Its frames come too late to be paired.
    Late,
    /// The same image comes again and again.
    Frozen,
    /// The image is black.
    Black,
    /// The image is white.
    Saturated,
    /// The image is nearly all black and white, or without contrast.
    Exposure,
    /// The shutter of an infrared camera hides the scene.
    Shutter,
}

impl Fault {
    /// Name in messages and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Clock => "clock",
            Self::Late => "late",
            Self::Frozen => "frozen",
            Self::Black => "black",
            Self::Saturated => "saturated",
            Self::Exposure => "exposure",
            Self::Shutter => "shutter",
        }
    }
}

/// Why each camera takes no part, infrared first.
pub type Faults = [Option<Fault>; 2];

/// What a look at an image shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Another one when a byte of the rows looked at is another one.
    pub checksum: u64,
    /// Whether values are of 16 bits.
    pub is_wide: bool,
    /// Value that 1 %, 10 % and 99 % of the pixels do not exceed.
    pub percentiles: [u16; 3],
    /// Share of the pixels that are at the ends of the scale, 0 to 1; 0 of 16 bits.
    pub clipped: f32,
}

impl Look {
    /// Looks at rows spread evenly over an image. Allocates nothing; of floats, which no camera delivers, it takes the checksum alone.
    #[must_use]
    pub fn at(image: &ImageView<'_>) -> Self {
        let (size, format) = (image.size(), image.format());
        let step = |side: usize| side.div_ceil(GRID).max(1);
        let mut checksum = 0_u64;
        let mut values = [0_u16; GRID * GRID];
        let mut places = values.iter_mut();
        let mut seen = 0;
        for row in image.rows().skip(step(size.height) / 2).step_by(step(size.height)) {
            checksum = sum(checksum, row);
            let bytes = format.bytes();
            for pixel in row.chunks_exact(bytes).skip(step(size.width) / 2).step_by(step(size.width)) {
                let value = match (format, pixel) {
                    (PixelFormat::Gray8, [v]) => u16::from(*v),
                    (PixelFormat::Gray16Le, [low, high]) => u16::from_le_bytes([*low, *high]),
                    (PixelFormat::Rgb8, [r, g, b]) => u16::from(luma_byte(&[*r, *g, *b])),
                    _ => continue,
                };
                if let Some(place) = places.next() {
                    *place = value;
                    seen += 1;
                }
            }
        }
        let seen = values.get_mut(..seen).unwrap_or_default();
        seen.sort_unstable();
        let at = |percent: usize| seen.get(seen.len() * percent / 100).copied().unwrap_or_default();
        let is_wide = format == PixelFormat::Gray16Le;
        let dark = seen.partition_point(|v| *v <= DARK);
        let bright = seen.len() - seen.partition_point(|v| *v < BRIGHT);
        let clipped = if is_wide || seen.is_empty() { 0.0 } else { (dark + bright) as f32 / seen.len() as f32 };
        Self { checksum, is_wide, percentiles: [at(1), at(10), at(99)], clipped }
    }

    fn spread(&self) -> u16 {
        let [low, _, high] = self.percentiles;
        high.saturating_sub(low)
    }

    /// What is wrong with the image by itself.
    fn fault(&self, camera: Camera) -> Option<Fault> {
        let [_, tenth, high] = self.percentiles;
        let [flat, flat_wide] = FLAT;
        let (dark, flat) = if self.is_wide { (DARK_16, flat_wide) } else { (DARK, flat) };
        let at_the_end = if self.is_wide { tenth == high && FULL_SCALES.contains(&high) } else { tenth >= BRIGHT };
        if high <= dark {
            Some(Fault::Black)
        } else if at_the_end {
            Some(Fault::Saturated)
        } else if self.spread() <= flat {
            Some(if camera == Camera::Infrared { Fault::Shutter } else { Fault::Exposure })
        } else if camera == Camera::Visible && self.clipped >= CLIPPED {
            Some(Fault::Exposure)
        } else {
            None
        }
    }
}

/// Mixes the bytes of a row into a checksum, eight at a time.
fn sum(checksum: u64, row: &[u8]) -> u64 {
    // An odd multiplier with well spread bits (of the golden ratio), so that no byte's change is lost.
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let (words, rest) = row.as_chunks::<8>();
    let checksum = words.iter().fold(checksum, |sum, word| mix(sum, u64::from_le_bytes(*word)));
    rest.iter().fold(checksum, |sum, byte| mix(sum, u64::from(*byte)))
}

/// The health of one camera.
#[derive(Clone, Debug)]
pub struct Health {
    camera: Camera,
    fault: Option<Fault>,
    bad: u32,
    good: u32,
    /// Checksum of the image before, and when it came first.
    last: Option<(u64, i64)>,
    /// How often it came again.
    repeats: u32,
    /// How often the images before it came again.
    runs: [u32; RUNS],
    run: usize,
    usual_spread: f32,
    spreads: u32,
    /// Since when the shutter seems closed.
    closed_ns: Option<i64>,
}

impl Health {
    /// Of a camera of which nothing is known; it is taken as good.
    #[must_use]
    pub const fn new(camera: Camera) -> Self {
        Self {
            camera,
            fault: None,
            bad: 0,
            good: 0,
            last: None,
            repeats: 0,
            runs: [0; RUNS],
            run: 0,
            usual_spread: 0.0,
            spreads: 0,
            closed_ns: None,
        }
    }

    /// Why the camera takes no part, if it does not.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Says that nothing comes. The camera is good again after good images.
    pub const fn set_absent(&mut self, fault: Fault) {
        self.fault = Some(fault);
        self.good = 0;
        self.last = None;
        self.repeats = 0;
    }

    /// Judges the next image, which came too late or in time; true when it can be used.
    pub fn see(&mut self, look: &Look, is_late: bool, now_ns: i64) -> bool {
        if self.is_repeated(look, now_ns) {
            let usual = self.runs.iter().copied().max().unwrap_or(0);
            if self.repeats >= BAD_IMAGES.saturating_add(usual) {
                self.fault = Some(Fault::Frozen);
                self.good = 0;
            }
            // What it shows was judged when it came first.
            return self.fault.is_none();
        }
        let fault = look.fault(self.camera).or_else(|| self.is_shutter(look, now_ns).then_some(Fault::Shutter));
        let fault = if is_late { Some(Fault::Late) } else { fault };
        if fault.is_some() {
            self.good = 0;
            self.bad = self.bad.saturating_add(1);
            if self.bad >= BAD_IMAGES {
                self.fault = fault;
            }
        } else {
            self.bad = 0;
            self.good = self.good.saturating_add(1);
            if self.good >= GOOD_IMAGES {
                self.fault = None;
            }
            self.spreads = self.spreads.saturating_add(1);
            let weight = 1.0 / self.spreads.min(SPREAD_KNOWN) as f32;
            self.usual_spread += weight * (f32::from(look.spread()) - self.usual_spread);
        }
        self.fault.is_none()
    }

    /// Whether the image is the one before; remembers how long each came again.
    fn is_repeated(&mut self, look: &Look, now_ns: i64) -> bool {
        let Some((checksum, since_ns)) = self.last.replace((look.checksum, now_ns)) else { return false };
        if checksum == look.checksum {
            self.last = Some((checksum, since_ns));
            self.repeats = self.repeats.saturating_add(1);
            return true;
        }
        if now_ns.saturating_sub(since_ns) <= RUN_NS
            && let Some(run) = self.runs.get_mut(self.run % RUNS)
        {
            *run = self.repeats;
            self.run += 1;
        }
        self.repeats = 0;
        false
    }

    fn is_shutter(&mut self, look: &Look, now_ns: i64) -> bool {
        let known = self.camera == Camera::Infrared && self.spreads >= SPREAD_KNOWN;
        if !known || f32::from(look.spread()) >= self.usual_spread * SHUTTER_SPREAD {
            self.closed_ns = None;
            return false;
        }
        let since = *self.closed_ns.get_or_insert(now_ns);
        if now_ns.saturating_sub(since) < SHUTTER_NS {
            return true;
        }
        // The scene is another one.
        self.spreads = 0;
        false
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
