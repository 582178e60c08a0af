use super::*;
use crate::header::{header, image_size, inspect};
use crate::infrared::read_ir;
use crate::write::{write_gray8, write_rgb8};
use caf_contract::IrRange;
use caf_geometry::Size;
use tempfile::TempDir;

fn picture(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (x ^ y) as u8]))
}

fn encoded(image: impl Into<DynamicImage>, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    encoded(picture(width, height), image::ImageFormat::Jpeg)
}

/// An EXIF block whose only entry is the orientation (tag 0x0112, SHORT, 1 value).
fn exif(orientation: u8) -> Vec<u8> {
    [&b"MM\0\x2A\0\0\0\x08"[..], &[0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]].concat()
}

fn with_exif(mut jpeg: Vec<u8>, orientation: u8) -> Vec<u8> {
    let tiff = exif(orientation);
    let length = (2 + 6 + tiff.len()) as u16;
    jpeg.splice(2..2, [&[0xFF, 0xE1][..], &length.to_be_bytes(), b"Exif\0\0", &tiff].concat());
    jpeg
}

/// A little-endian TIFF of one strip: the parts that a thermal camera's software writes.
fn tiff_file(width: u16, height: u16, bits: u16, sample_format: u16, orientation: u16, data: &[u8]) -> Vec<u8> {
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 3, 1, width.into()),
        (257, 3, 1, height.into()),
        (258, 3, 1, bits.into()),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8 + 2 + 10 * 12 + 4),
        (274, 3, 1, orientation.into()),
        (278, 3, 1, height.into()),
        (279, 4, 1, data.len() as u32),
        (339, 3, 1, sample_format.into()),
    ];
    let mut file = [&b"II*\0\x08\0\0\0"[..], &10_u16.to_le_bytes()].concat();
    for (tag, kind, count, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file.extend(data);
    file
}

#[test]
fn sizes_come_from_headers_alone() {
    let folder = TempDir::new().unwrap();
    let (jpg, png) = (folder.path().join("a.jpg"), folder.path().join("a.png"));
    let bytes = jpeg(37, 21);
    // Cut right after the frame header: the size is known, the pixels are not.
    let frame = bytes.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    std::fs::write(&jpg, &bytes[..frame + 9]).unwrap();
    assert_eq!(image_size(&jpg).unwrap(), Size::new(37, 21));
    assert!(matches!(inspect(&jpg), Err(ImageError::CutOff { .. })));
    assert!(matches!(read_vi(&jpg), Err(ImageError::CutOff { .. })));
    std::fs::write(&jpg, &bytes[..frame + 4]).unwrap();
    let cut = image_size(&jpg).unwrap_err();
    assert!(matches!(cut, ImageError::CutOff { .. }), "{cut}");

    write_gray8(&png, &Gray8::filled(Size::new(19, 7), 9).unwrap()).unwrap();
    let whole = std::fs::read(&png).unwrap();
    assert_eq!(inspect(&png).unwrap().size, Size::new(19, 7));
    std::fs::write(&png, &whole[..20]).unwrap();
    assert!(matches!(image_size(&png), Err(ImageError::CutOff { .. })));
    for cut in 1..20 {
        std::fs::write(&png, &whole[..whole.len() - cut]).unwrap();
        assert_eq!(image_size(&png).unwrap(), Size::new(19, 7));
        assert!(matches!(inspect(&png), Err(ImageError::CutOff { .. })), "cut by {cut}");
    }
    // Decoders that meet the end, and one that would fill the rest, say the same.
    let cut_off =
        |error: &ImageError, path: &std::path::Path| matches!(error, ImageError::CutOff { path: p } if p == path);
    let error = read_vi(&png).unwrap_err();
    assert!(cut_off(&error, &png), "{error}");
    for format in [image::ImageFormat::Bmp, image::ImageFormat::Pnm, image::ImageFormat::WebP] {
        let bytes = encoded(picture(8, 8), format);
        std::fs::write(&png, &bytes[..bytes.len() - 10]).unwrap();
        let error = read_vi(&png).unwrap_err();
        assert!(cut_off(&error, &png), "{format:?}: {error:?}");
    }
    let webp = encoded(picture(8, 8), image::ImageFormat::WebP);
    std::fs::write(&png, &webp).unwrap();
    assert!(inspect(&png).is_ok());
    std::fs::write(&png, &webp[..webp.len() - 4]).unwrap();
    assert!(matches!(inspect(&png), Err(ImageError::CutOff { .. })));
}

#[test]
fn a_jpeg_cut_anywhere_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jpg");
    let bytes = jpeg(64, 48);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read_vi(&path).unwrap().size(), Size::new(64, 48));
    for cut in (3..bytes.len()).step_by(61).chain([bytes.len() - 1, bytes.len() - 2]) {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert!(read_vi(&path).is_err() && inspect(&path).is_err(), "cut at {cut} of {}", bytes.len());
    }
    // Bytes after the image are common (some cameras append data) and harmless.
    std::fs::write(&path, [bytes.as_slice(), b"trailer"].concat()).unwrap();
    assert!(read_vi(&path).is_ok() && inspect(&path).is_ok());
}

#[test]
fn the_content_decides_and_every_kind_is_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jpg");
    let image = picture(13, 9);
    use image::ImageFormat::{Bmp, Png, Pnm, Tiff, WebP};
    for format in [Png, Bmp, Tiff, WebP, Pnm] {
        std::fs::write(&path, encoded(image.clone(), format)).unwrap();
        assert_eq!(read_vi(&path).unwrap().data(), image.as_raw(), "{format:?}");
        assert_eq!(image_size(&path).unwrap(), Size::new(13, 9), "{format:?}");
    }
    let gray = image::GrayImage::from_fn(13, 9, |x, y| image::Luma([(x * 16 + y) as u8]));
    for format in [Png, Bmp, Tiff, Pnm] {
        std::fs::write(&path, encoded(gray.clone(), format)).unwrap();
        let plane = read_ir(&path, IrRange::Full).unwrap();
        assert!(plane.data().iter().zip(gray.as_raw()).all(|(a, b)| *a == f32::from(*b) / 255.0), "{format:?}");
    }
    std::fs::write(&path, b"GIF89a\x01\0\x01\0\0\0\0;").unwrap();
    for error in [header(&path).unwrap_err(), read_vi(&path).unwrap_err(), read_ir(&path, IrRange::Full).unwrap_err()] {
        let text = error.to_string();
        assert!(text.contains("a.jpg") && text.contains("a GIF image") && text.contains("WebP, PGM"), "{text}");
    }
}

#[test]
fn pgm_of_8_and_16_bits_keeps_counts_and_its_maximum() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.pgm");
    // Samples of 16 bits are big-endian; 16383 is what a 14-bit camera's kit writes as the largest.
    std::fs::write(&path, [&b"P5\n# kit\n3 1\n16383\n"[..], &[0x1C, 0x84, 0x20, 0x80, 0x3F, 0xFF]].concat()).unwrap();
    let counts = Raster::new(Size::new(3, 1), vec![0x1C84_u16, 0x2080, 0x3FFF]).unwrap();
    assert_eq!(decode(&path).unwrap(), Pixels::Gray16(counts));
    for maximum in [256_u32, 1023, 4095, 16383, 32767, 65535] {
        let bytes: Vec<u8> = (0..=maximum).flat_map(|v| (v as u16).to_be_bytes()).collect();
        std::fs::write(&path, [format!("P5 {} 1 {maximum}\n", maximum + 1).as_bytes(), &bytes].concat()).unwrap();
        let Pixels::Gray16(counts) = decode(&path).unwrap() else { panic!("no counts") };
        assert!((0..=maximum).eq(counts.data().iter().map(|v| u32::from(*v))), "{maximum}");
    }
    std::fs::write(&path, b"P5 3 1 16383\n\x1C\x84\x20\x80\x3F\xFF").unwrap();
    let window = IrRange::Window { min: 7300.0, max: 8320.0 };
    assert_eq!(read_ir(&path, window).unwrap().data(), [0.0, 1.0, 1.0]);
    std::fs::write(&path, [&b"P5 3 1 100\n"[..], &[0, 50, 100]].concat()).unwrap();
    assert_eq!(decode(&path).unwrap(), Pixels::Gray8(Gray8::new(Size::new(3, 1), vec![0, 128, 255]).unwrap()));
    std::fs::write(&path, b"P2 2 1 255 7 255\n").unwrap();
    assert_eq!(decode(&path).unwrap(), Pixels::Gray8(Gray8::new(Size::new(2, 1), vec![7, 255]).unwrap()));
    std::fs::write(&path, b"P5 3 1 255\n\x01").unwrap();
    assert!(matches!(decode(&path), Err(ImageError::CutOff { .. })), "cut off");
}

#[test]
fn images_stand_upright_in_every_orientation() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jpg");
    let plain = jpeg(24, 16);
    std::fs::write(&path, &plain).unwrap();
    let stored = image::RgbImage::from_raw(24, 16, read_vi(&path).unwrap().into_data()).unwrap();
    let stored = DynamicImage::ImageRgb8(stored);
    for orientation in 1..=8 {
        let mut expected = stored.clone();
        expected.apply_orientation(Orientation::from_exif(orientation).unwrap());
        let size = Size::new(expected.width() as usize, expected.height() as usize);
        std::fs::write(&path, with_exif(plain.clone(), orientation)).unwrap();
        let seen = read_vi(&path).unwrap();
        assert_eq!(seen.data(), expected.into_rgb8().as_raw(), "JPEG, orientation {orientation}");
        let about = header(&path).unwrap();
        assert_eq!((about.size, about.turned), (size, orientation != 1), "JPEG, orientation {orientation}");

        let values: Vec<u8> = (0..6_u16).flat_map(|v| (v as f32).to_le_bytes()).collect();
        for (bits, format, data) in [(8, 1, &values[..6]), (32, 3, &values[..])] {
            std::fs::write(&path, tiff_file(3, 2, bits, format, orientation.into(), data)).unwrap();
            let size = if orientation > 4 { Size::new(2, 3) } else { Size::new(3, 2) };
            let about = header(&path).unwrap();
            assert_eq!((about.size, about.turned), (size, orientation != 1), "TIFF, orientation {orientation}");
            let seen = read_ir(&path, IrRange::MinMax).unwrap();
            assert_eq!(Size::new(seen.width(), seen.height()), size);
            if bits == 32 {
                let corner = [0.0, 2.0, 5.0, 3.0, 0.0, 3.0, 5.0, 2.0][usize::from(orientation) - 1] / 5.0;
                assert_eq!(seen.data()[0], corner, "float TIFF, orientation {orientation}");
            }
        }
        let mut png = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
        image::ImageEncoder::set_exif_metadata(&mut encoder, exif(orientation)).unwrap();
        image::ImageEncoder::write_image(encoder, &[1, 2, 3, 4, 5, 6], 3, 2, image::ExtendedColorType::L8).unwrap();
        std::fs::write(&path, png).unwrap();
        let corner = [1, 3, 6, 4, 1, 4, 6, 3][usize::from(orientation) - 1];
        assert_eq!(read_vi(&path).unwrap().pixel(0, 0), Some([corner; 3]), "PNG, orientation {orientation}");
        assert_eq!(header(&path).unwrap().turned, orientation != 1);
    }
}

#[test]
fn sixteen_bit_infrared() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    crate::write::write_gray16(&path, &Raster::new(Size::new(3, 1), vec![1000_u16, 2000, 3000]).unwrap()).unwrap();
    assert_eq!(read_ir(&path, IrRange::Full).unwrap().data(), [1000.0 / 65535.0, 2000.0 / 65535.0, 3000.0 / 65535.0]);
    assert_eq!(read_ir(&path, IrRange::MinMax).unwrap().data(), [0.0, 0.5, 1.0]);
    assert_eq!(read_ir(&path, IrRange::Window { min: 0.0, max: 2000.0 }).unwrap().data(), [0.5, 1.0, 1.0]);
    assert_eq!(read_vi(&path).unwrap().data()[..3], [4; 3], "1000 / 257 rounded");
    let wrong = read_ir(&path, IrRange::Percentile { low: 9.0, high: 1.0 }).unwrap_err();
    assert!(matches!(&wrong, ImageError::Range(_)) && wrong.is_wrong_call());
}

#[test]
fn float_infrared_needs_a_stated_range() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.tiff");
    let kelvin = [280.0_f32, 300.0, f32::NAN, 320.0];
    std::fs::write(&path, tiff_file(2, 2, 32, 3, 1, &kelvin.map(f32::to_le_bytes).concat())).unwrap();
    let error = read_ir(&path, IrRange::Full).unwrap_err().to_string();
    for part in ["a.tiff", "32-bit float", "MIN..MAX", "PNG, JPEG"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    let window = IrRange::Window { min: 280.0, max: 360.0 };
    assert_eq!(read_ir(&path, window).unwrap().data(), [0.0, 0.25, 0.0, 0.5]);
    assert_eq!(read_ir(&path, IrRange::MinMax).unwrap().data(), [0.0, 0.5, 0.0, 1.0]);
    assert_eq!(image_size(&path).unwrap(), Size::new(2, 2));
    let visible = read_vi(&path).unwrap_err().to_string();
    assert!(visible.contains("32-bit float samples") && visible.contains("8 or 16 bits"), "{visible}");
    // Hundredths of degrees in signed words, as radiometric software exports them.
    std::fs::write(&path, tiff_file(2, 1, 16, 2, 1, &[-1000_i16, 3000].map(i16::to_le_bytes).concat())).unwrap();
    assert_eq!(read_ir(&path, IrRange::Window { min: -2000.0, max: 3000.0 }).unwrap().data(), [0.2, 1.0]);
    std::fs::write(&path, tiff_file(2, 1, 64, 3, 1, &[1.0_f64, 3.0].map(f64::to_le_bytes).concat())).unwrap();
    assert_eq!(read_ir(&path, IrRange::MinMax).unwrap().data(), [0.0, 1.0]);
    std::fs::write(&path, tiff_file(2, 1, 32, 3, 1, &[0; 3])).unwrap();
    assert!(matches!(read_ir(&path, IrRange::MinMax), Err(ImageError::CutOff { .. })), "cut off");
}

#[test]
fn the_fourth_channel_is_an_image_of_its_own() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    image::RgbaImage::from_raw(2, 1, vec![1, 2, 3, 40, 5, 6, 7, 80]).unwrap().save(&path).unwrap();
    assert_eq!(decode_fourth(&path).unwrap(), Pixels::Gray8(Gray8::new(Size::new(2, 1), vec![40, 80]).unwrap()));
    assert_eq!(read_vi(&path).unwrap().data(), [1, 2, 3, 5, 6, 7]);
    write_rgb8(&path, &Rgb8::filled(Size::new(2, 1), 1).unwrap()).unwrap();
    let error = decode_fourth(&path).unwrap_err().to_string();
    assert!(error.contains("a.png") && error.contains("four channels"), "{error}");
}

#[test]
fn infrared_stored_in_colour_keeps_equal_channels_exactly() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    let data: Vec<u8> = (0..=255u8).flat_map(|v| [v, v, v]).collect();
    write_rgb8(&path, &Rgb8::new(Size::new(256, 1), data).unwrap()).unwrap();
    let plane = read_ir(&path, IrRange::Full).unwrap();
    for (v, &got) in plane.data().iter().enumerate() {
        assert_eq!(got.to_bits(), (v as f32 / 255.0).to_bits());
    }
    for v in 0..=u16::MAX {
        assert_eq!(gray_of_16([v; 3]), v);
    }
}

#[test]
fn a_failed_write_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let image = Gray8::filled(Size::new(4, 4), 1).unwrap();
    let error = write_gray8(&folder.path().join("missing/a.png"), &image).unwrap_err();
    assert!(matches!(error, ImageError::Write { .. }), "{error}");
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("x"), b"").unwrap();
    assert!(write_gray8(&taken, &image).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn damaged_files_are_errors_or_pictures_but_never_a_panic() {
    use rand::{Rng as _, SeedableRng as _};
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    let floats: Vec<u8> = (0..24 * 16).flat_map(|v| (v as f32).to_le_bytes()).collect();
    use image::ImageFormat::{Png, Pnm, Tiff, WebP};
    let originals = [
        with_exif(jpeg(24, 16), 6),
        encoded(picture(24, 16), Png),
        encoded(picture(24, 16), WebP),
        encoded(picture(24, 16), Tiff),
        encoded(picture(24, 16), Pnm),
        tiff_file(24, 16, 32, 3, 1, &floats),
    ];
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let mut refused = 0;
    for round in 0..3000 {
        let mut bytes = originals[round % originals.len()].clone();
        // Headers are where parsers break.
        let reach = if round % 2 == 0 { bytes.len() } else { bytes.len().min(160) };
        for _ in 0..rng.random_range(1..6) {
            let at = rng.random_range(0..reach);
            bytes[at] = rng.random();
        }
        std::fs::write(&path, &bytes).unwrap();
        let _ = (inspect(&path), crate::mask::read_mask(&path));
        refused += usize::from(read_vi(&path).is_err()) + usize::from(read_ir(&path, IrRange::MinMax).is_err());
    }
    assert!(refused > 1000, "{refused} of 6000");
}

#[test]
fn a_header_that_claims_gigabytes_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jpg");
    let mut bytes = jpeg(16, 16);
    let frame = bytes.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 9].fill(0xFF);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(image_size(&path).unwrap(), Size::new(65535, 65535));
    assert!(matches!(read_vi(&path), Err(ImageError::Decode { source: image::ImageError::Limits(_), .. })));
    std::fs::write(&path, tiff_file(65535, 65535, 32, 3, 1, &[0; 64])).unwrap();
    assert!(matches!(read_ir(&path, IrRange::MinMax), Err(ImageError::Decode { .. })));
}
