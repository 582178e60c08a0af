//! Whole files: against another decoder, and broken in every place.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_geometry::Size;
use caf_jpeg::{JpegError, decode};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, GrayImage, RgbImage};

const MOST: usize = 1 << 24;

/// A smooth image with an edge and some noise.
fn sample(x: u32, y: u32, channel: u32) -> u8 {
    let wave = 90.0 + 60.0 * f64::from(x * (channel + 1)).mul_add(0.05, f64::from(y) * 0.11).sin();
    let step = if x > y { 70.0 } else { 0.0 };
    (wave + step + f64::from((x * 7 + y * 13 + channel * 5) % 11)) as u8
}

fn gray(width: u32, height: u32) -> Vec<u8> {
    let image = GrayImage::from_fn(width, height, |x, y| image::Luma([sample(x, y, 0)]));
    let mut file = vec![];
    JpegEncoder::new_with_quality(&mut file, 90).encode(&image, width, height, ExtendedColorType::L8).unwrap();
    file
}

fn colour(width: u32, height: u32) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([0, 1, 2].map(|c| sample(x, y, c))));
    let mut file = vec![];
    JpegEncoder::new_with_quality(&mut file, 90).encode(&image, width, height, ExtendedColorType::Rgb8).unwrap();
    file
}

#[test]
fn is_the_image_of_another_decoder_within_its_rounding() {
    for (width, height) in [(64, 48), (37, 29), (8, 8), (1, 1), (2, 3), (100, 7)] {
        for file in [gray(width, height), colour(width, height)] {
            let found = decode(&file, MOST).unwrap();
            let other = image::load_from_memory(&file).unwrap();
            assert_eq!(found.size, Size::new(width as usize, height as usize));
            assert_eq!(found.channels, usize::from(other.color().channel_count()));
            let furthest = found.pixels.iter().zip(other.as_bytes()).map(|(a, b)| a.abs_diff(*b)).max();
            assert_eq!(found.pixels.len(), other.as_bytes().len());
            // 12 or 13 bits of the factors, colour rounded once or twice.
            assert!(furthest <= Some(4), "{width}x{height}: {furthest:?}");
        }
    }
}

#[test]
fn every_beginning_of_a_file_is_refused() {
    for file in [gray(21, 13), colour(21, 13)] {
        assert!(decode(&file, MOST).is_ok());
        // Without its last bytes, the end marker, the image is complete; whether that is enough is for others to say.
        for length in 0..file.len() - 3 {
            assert!(decode(&file[..length], MOST).is_err(), "{length} of {}", file.len());
        }
    }
}

#[test]
fn no_damage_stops_the_program() {
    let file = colour(21, 13);
    let mut refused = 0;
    for at in 0..file.len() {
        for flip in [0x01, 0x10, 0x80, 0xFF] {
            let mut damaged = file.clone();
            damaged[at] ^= flip;
            refused += usize::from(decode(&damaged, MOST).is_err());
        }
    }
    assert!(refused > file.len() / 4, "{refused} of {} damaged files", 4 * file.len());
}

#[test]
fn what_is_not_read_says_what_it_is() {
    let mut file = gray(16, 16);
    let frame = file.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    file[frame + 1] = 0xC2;
    let error = decode(&file, MOST).unwrap_err();
    assert!(error.to_string().ends_with("found a progressive one"), "{error}");
    file[frame + 1] = 0xC0;
    file[frame + 4] = 12;
    assert!(decode(&file, MOST).unwrap_err().to_string().ends_with("found one of 12 bits"));
    file[frame + 4] = 8;
    assert!(matches!(decode(&file, 255), Err(JpegError::TooLarge { .. })));
    assert!(decode(&file, 256).is_ok());
    assert!(matches!(decode(b"\x89PNG", MOST), Err(JpegError::Broken { .. })));
    assert!(matches!(decode(&[], MOST), Err(JpegError::CutOff { at: 0 })));
}
