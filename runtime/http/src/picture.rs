//! Pictures as JPEG, no more bytes a second than [`FUSED_BYTES_PER_S`] and [`CAMERA_BYTES_PER_S`] allow, whoever asks and how often.
//!
//! A token bucket bounds what is sent; the quality follows the size of the last picture, so that [`AIM_PER_S`] of them fit into the rate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use caf_runtime::preview::{Newest, Picture};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

/// Bytes a second for the fused picture, to all viewers together: 3.2 Mbit/s.
pub const FUSED_BYTES_PER_S: f64 = 400_000.0;
/// Bytes a second for each camera's preview: 0.3 Mbit/s. Both and the fused picture stay below 4 Mbit/s with room for the rest of the page.
pub const CAMERA_BYTES_PER_S: f64 = 37_500.0;
const _: () = assert!((FUSED_BYTES_PER_S + 2.0 * CAMERA_BYTES_PER_S) * 8.0 <= 3.9e6);
/// Pictures a second that the quality aims at.
pub const AIM_PER_S: f64 = 12.0;
/// Seconds of the rate that may be sent at once after a pause.
const BURST_S: f64 = 0.25;
/// Qualities that are used, of 1 to 100: below, blocks hide what is shown; above, nobody sees the difference.
const QUALITIES: std::ops::RangeInclusive<u8> = 30..=85;
/// Steps of the quality.
const STEP: u8 = 5;

/// A token bucket. What is taken may make it empty below zero, so that a picture of any size goes out, after which it has to fill.
#[derive(Debug)]
struct Bucket {
    bytes_per_s: f64,
    room: f64,
    at: Duration,
}

impl Bucket {
    fn new(bytes_per_s: f64) -> Self {
        Self { bytes_per_s, room: bytes_per_s * BURST_S, at: Duration::ZERO }
    }

    fn has_room(&mut self, now: Duration) -> bool {
        let filled = self.room + now.saturating_sub(self.at).as_secs_f64() * self.bytes_per_s;
        (self.room, self.at) = (filled.min(self.bytes_per_s * BURST_S), self.at.max(now));
        self.room > 0.0
    }

    fn take(&mut self, bytes: usize) {
        self.room -= bytes as f64;
    }
}

/// A picture as it is sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub made: Option<Instant>,
    /// The bytes of the JPEG.
    pub jpeg: Arc<[u8]>,
}

#[derive(Debug)]
struct Inner {
    bucket: Bucket,
    quality: u8,
    last: Option<Sent>,
}

/// The JPEG of the newest picture, encoded once for all who ask.
#[derive(Debug)]
pub struct Jpegs(Mutex<Inner>);

impl Jpegs {
    /// Nothing yet; at most so many bytes a second.
    #[must_use]
    pub fn new(bytes_per_s: f64) -> Self {
        Self(Mutex::new(Inner { bucket: Bucket::new(bytes_per_s), quality: 80, last: None }))
    }

    /// The newest picture of `newest`, when it has another number than `seen` and may be sent at `now`, a time since any beginning.
    pub fn after(&self, newest: &Newest, seen: u64, now: Duration) -> Option<Sent> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !inner.bucket.has_room(now) {
            return None;
        }
        let encoded = inner.last.as_ref().map_or(0, |sent| sent.number);
        if let Some(picture) = newest.after(encoded) {
            inner.last = inner.encode(&picture).or(inner.last.take());
        }
        let sent = inner.last.clone().filter(|sent| sent.number != seen)?;
        inner.bucket.take(sent.jpeg.len());
        Some(sent)
    }
}

impl Inner {
    fn encode(&mut self, picture: &Picture) -> Option<Sent> {
        let side = |pixels: usize| u32::try_from(pixels).ok();
        let (width, height) = (side(picture.size.width)?, side(picture.size.height)?);
        let mut jpeg = vec![];
        let encoded = JpegEncoder::new_with_quality(&mut jpeg, self.quality).encode(
            &picture.rgb,
            width,
            height,
            ExtendedColorType::Rgb8,
        );
        if let Err(error) = encoded {
            // Of more than 65,535 pixels a side.
            tracing::debug!("no JPEG of {}: {error}", picture.size);
            return None;
        }
        let aim = self.bucket.bytes_per_s / AIM_PER_S;
        let size = jpeg.len() as f64;
        if size > aim {
            self.quality = self.quality.saturating_sub(STEP).max(*QUALITIES.start());
        } else if size < 0.7 * aim {
            self.quality = (self.quality + STEP).min(*QUALITIES.end());
        }
        Some(Sent { number: picture.number, made: picture.made, jpeg: jpeg.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    /// A picture of noise, which JPEG cannot compress, or of one colour.
    fn offer(newest: &Newest, size: Size, noise: bool, seed: u32) {
        let mut state = seed;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if noise { (state >> 24) as u8 } else { 90 }
        };
        newest.offer(|picture| {
            let rgb: Vec<u8> = (0..size.width * size.height * 3).map(|_| byte()).collect();
            picture.copy(&rgb, size);
        });
    }

    /// Bytes and pictures that viewers who ask a hundred times a second get in `seconds`, each for pictures it has not seen.
    fn sent(size: Size, noise: bool, viewers: usize, seconds: u32) -> (usize, usize, u8) {
        let (newest, jpegs) = (Newest::default(), Jpegs::new(FUSED_BYTES_PER_S));
        let (mut bytes, mut count) = (0, 0);
        let mut seen = vec![0; viewers];
        for tick in 0..seconds * 100 {
            if tick % 4 == 0 {
                offer(&newest, size, noise, tick);
            }
            for seen in &mut seen {
                if let Some(sent) = jpegs.after(&newest, *seen, Duration::from_millis(10) * tick) {
                    *seen = sent.number;
                    bytes += sent.jpeg.len();
                    count += 1;
                }
            }
        }
        let quality = jpegs.0.lock().unwrap().quality;
        (bytes, count, quality)
    }

    #[test]
    fn no_more_is_sent_than_the_rate_allows_whatever_the_picture_and_the_viewers() {
        let small = Size::new(160, 120);
        for (size, noise, viewers) in
            [(small, true, 1), (small, true, 5), (Size::new(640, 480), true, 1), (small, false, 3)]
        {
            let (bytes, count, quality) = sent(size, noise, viewers, 10);
            // A picture may be the last that fitted; the largest of these has 400 kB.
            let allowed = FUSED_BYTES_PER_S * (10.0 + BURST_S) + 400_000.0;
            assert!((bytes as f64) < allowed, "{size} noise {noise} {viewers} viewers: {bytes} bytes in 10 s");
            assert!(count > 10, "{count}");
            assert!(noise == (quality < 80) || size == small, "{size} noise {noise}: quality {quality}");
        }
        // 25 pictures a second are offered, and a viewer gets them all where they are small.
        assert!(sent(small, false, 1, 10).1 >= 240);
    }

    #[test]
    fn a_picture_is_what_it_was() {
        let newest = Newest::default();
        let jpegs = Jpegs::new(FUSED_BYTES_PER_S);
        assert!(jpegs.after(&newest, 0, Duration::ZERO).is_none());
        offer(&newest, Size::new(40, 30), false, 0);
        let sent = jpegs.after(&newest, 0, Duration::ZERO).unwrap();
        let back = image::load_from_memory(&sent.jpeg).unwrap().to_rgb8();
        assert_eq!(back.dimensions(), (40, 30));
        assert!(back.pixels().all(|p| p.0.iter().all(|v| v.abs_diff(90) <= 2)));
        assert!(jpegs.after(&newest, sent.number, Duration::ZERO).is_none(), "it was seen");
        assert_eq!(jpegs.after(&newest, 0, Duration::ZERO).unwrap().number, sent.number);
    }
}
