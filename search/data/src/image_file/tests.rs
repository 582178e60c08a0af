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
    assert!(matches!(image_size(&jpg), Err(DataError::Decode { .. })));

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
    assert!(jpeg::is_complete(&bytes));
    assert!(!jpeg::is_complete(&bytes[..bytes.len() - 10]));
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
