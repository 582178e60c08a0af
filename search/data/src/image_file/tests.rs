use super::*;
use tempfile::TempDir;

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let image =
        image::RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (x ^ y) as u8]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

#[test]
fn sizes_come_from_headers_alone() {
    let folder = TempDir::new().unwrap();
    let (jpg, png) = (folder.path().join("a.jpg"), folder.path().join("a.png"));
    let bytes = jpeg(37, 21);
    // Cut right after the frame header: the size is known, the pixels are not.
    let frame = bytes.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    std::fs::write(&jpg, &bytes[..frame + 9]).unwrap();
    assert_eq!(image_size(&jpg).unwrap(), (37, 21));
    assert!(matches!(read_vi(&jpg), Err(DataError::Decode { .. } | DataError::Truncated { .. })));
    std::fs::write(&jpg, &bytes[..frame + 4]).unwrap();
    let cut = image_size(&jpg).unwrap_err();
    let cause = std::error::Error::source(&cut).unwrap().to_string();
    assert!(matches!(cut, DataError::Decode { .. }) && cause.contains("ends before its JPEG frame header"), "{cause}");

    write_gray8(&png, &Gray8::filled(19, 7, 9).unwrap()).unwrap();
    let whole = std::fs::read(&png).unwrap();
    std::fs::write(&png, &whole[..20]).unwrap();
    assert!(matches!(image_size(&png), Err(DataError::Decode { .. })));
    std::fs::write(&png, &whole[..whole.len() - 20]).unwrap();
    assert_eq!(image_size(&png).unwrap(), (19, 7));
    let error = read_vi(&png).unwrap_err();
    assert!(matches!(&error, DataError::Decode { path, .. } if *path == png), "{error}");
}

#[test]
fn a_jpeg_cut_anywhere_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jpg");
    let bytes = jpeg(64, 48);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read_vi(&path).unwrap().size_wh(), (64, 48));
    for cut in (2..bytes.len()).step_by(61).chain([bytes.len() - 1, bytes.len() - 2]) {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert!(read_vi(&path).is_err(), "cut at {cut} of {}", bytes.len());
    }
    // Bytes after the image are common (some cameras append data) and harmless.
    std::fs::write(&path, [bytes.as_slice(), b"trailer"].concat()).unwrap();
    assert!(read_vi(&path).is_ok());
}

#[test]
fn an_end_marker_inside_a_segment_is_not_the_end() {
    let mut bytes = jpeg(16, 16);
    // An application segment that holds an end-of-image marker, as a thumbnail does.
    let segment = [0xFF, 0xE1, 0x00, 0x06, 0xFF, 0xD9, 0x00, 0x00];
    bytes.splice(2..2, segment);
    assert!(!jpeg::is_cut_off(&bytes));
    assert!(jpeg::is_cut_off(&bytes[..bytes.len() - 10]));
}

#[test]
fn sixteen_bit_infrared() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    let image = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(3, 1, vec![1000u16, 2000, 3000]).unwrap();
    image.save(&path).unwrap();
    assert_eq!(read_ir(&path, IrRange::Full).unwrap().data(), [1000.0 / 65535.0, 2000.0 / 65535.0, 3000.0 / 65535.0]);
    assert_eq!(read_ir(&path, IrRange::MinMax).unwrap().data(), [0.0, 0.5, 1.0]);
    assert!(read_ir(&path, IrRange::Percentile { low: 9.0, high: 1.0 }).is_err());
}

#[test]
fn infrared_stored_in_colour_keeps_equal_channels_exactly() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    let data: Vec<u8> = (0..=255u8).flat_map(|v| [v, v, v]).collect();
    write_rgb8(&path, &Rgb8::new(256, 1, data).unwrap()).unwrap();
    let plane = read_ir(&path, IrRange::Full).unwrap();
    for (v, &got) in plane.data().iter().enumerate() {
        assert_eq!(got.to_bits(), (v as f32 / 255.0).to_bits());
    }
    for v in 0..=u16::MAX {
        assert_eq!(gray_of_16([v; 3]), v);
    }
}

#[test]
fn other_files_are_refused_with_their_path() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    std::fs::write(&path, b"no image at all").unwrap();
    for error in [image_size(&path).unwrap_err(), read_vi(&path).unwrap_err()] {
        assert!(error.to_string().contains("a.png"), "{error}");
    }
    assert!(matches!(image_size(&folder.path().join("none.png")), Err(DataError::Read { .. })));
}

#[test]
fn a_failed_write_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let image = Gray8::filled(4, 4, 1).unwrap();
    let error = write_gray8(&folder.path().join("missing/a.png"), &image).unwrap_err();
    assert!(matches!(error, DataError::Write { .. }), "{error}");
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
    write_rgb8(&path, &Rgb8::filled(24, 16, 77).unwrap()).unwrap();
    let originals = [jpeg(24, 16), std::fs::read(&path).unwrap()];
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let mut refused = 0;
    for round in 0..1500 {
        let mut bytes = originals[round % 2].clone();
        for _ in 0..rng.random_range(1..6) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        std::fs::write(&path, &bytes).unwrap();
        let _ = image_size(&path);
        refused += usize::from(read_vi(&path).is_err()) + usize::from(read_ir(&path, IrRange::Full).is_err());
    }
    assert!(refused > 500, "{refused} of 3000");
}

#[test]
fn a_header_that_claims_gigabytes_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jpg");
    let mut bytes = jpeg(16, 16);
    let frame = bytes.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 9].fill(0xFF);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(image_size(&path).unwrap(), (65535, 65535));
    assert!(matches!(read_vi(&path), Err(DataError::Decode { source: image::ImageError::Limits(_), .. })));
}

#[test]
fn the_exif_orientation_is_ignored() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jpg");
    let mut bytes = jpeg(24, 16);
    std::fs::write(&path, &bytes).unwrap();
    let plain = read_vi(&path).unwrap();
    // An EXIF segment whose only entry says "turn by a quarter" (tag 0x0112, SHORT, 1 value, 6).
    let tiff = [&b"MM\0\x2A\0\0\0\x08"[..], &[0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]].concat();
    let length = (2 + 6 + tiff.len()) as u16;
    bytes.splice(2..2, [&[0xFF, 0xE1][..], &length.to_be_bytes(), b"Exif\0\0", &tiff].concat());
    std::fs::write(&path, &bytes).unwrap();
    let mut decoder = ImageReader::open(&path).unwrap().with_guessed_format().unwrap().into_decoder().unwrap();
    let orientation = image::ImageDecoder::orientation(&mut decoder).unwrap();
    assert_eq!(orientation, image::metadata::Orientation::Rotate90, "the segment is as meant");
    assert_eq!(image_size(&path).unwrap(), (24, 16));
    assert_eq!(read_vi(&path).unwrap(), plain);
}
