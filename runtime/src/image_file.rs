//! Still images from files, as caf-image reads them, in the layouts of frames.

use std::path::Path;

use caf_image::{ImageError, Pixels, Raster};

use crate::frame::{FrameError, ImageView, PixelFormat};

/// Decoded pixels, dense rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The pixels.
    pub data: Vec<u8>,
    /// Width in pixels.
    pub width_px: usize,
    /// Height in pixels.
    pub height_px: usize,
    /// Layout of a pixel.
    pub format: PixelFormat,
}

impl Decoded {
    /// The pixels as an image.
    pub fn view(&self) -> Result<ImageView<'_>, FrameError> {
        let stride = self.width_px * self.format.bytes();
        ImageView::new(&self.data, self.width_px, self.height_px, stride, self.format)
    }

    fn of<T: Copy, const C: usize>(image: &Raster<T, C>, data: Vec<u8>, format: PixelFormat) -> Self {
        Self { data, width_px: image.width(), height_px: image.height(), format }
    }
}

/// Reads an image, upright. Gray stays gray with 8 or 16 bits; colour becomes 8-bit RGB; transparency is dropped.
///
/// # Errors
/// Those of [`caf_image::decode`]; [`ImageError::Samples`] for floats, which no frame holds.
pub fn read(path: &Path) -> Result<Decoded, ImageError> {
    Ok(match caf_image::decode(path)? {
        Pixels::Gray8(gray) => Decoded::of(&gray, gray.data().to_vec(), PixelFormat::Gray8),
        Pixels::Gray16(gray) => {
            let bytes = gray.data().iter().flat_map(|v| v.to_le_bytes()).collect();
            Decoded::of(&gray, bytes, PixelFormat::Gray16Le)
        }
        Pixels::Rgb8(rgb) => Decoded::of(&rgb, rgb.data().to_vec(), PixelFormat::Rgb8),
        Pixels::Rgb16(rgb) => {
            let bytes = rgb.data().iter().map(|v| caf_image::byte_of(*v)).collect();
            Decoded::of(&rgb, bytes, PixelFormat::Rgb8)
        }
        Pixels::Float { found, .. } => {
            let expected = "an image of 8 or 16 bits (PNG, JPEG, BMP, TIFF, WebP, PGM, PPM)";
            return Err(ImageError::Samples { path: path.to_owned(), expected, found });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_and_colour_survive_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        image::ImageBuffer::<image::Luma<u16>, _>::from_raw(3, 1, vec![0_u16, 258, 65535])
            .unwrap()
            .save(path("wide.png"))
            .unwrap();
        let wide = read(&path("wide.png")).unwrap();
        assert_eq!((wide.format, wide.data.as_slice()), (PixelFormat::Gray16Le, &[0, 0, 2, 1, 255, 255][..]));
        let rgb: Vec<u8> = (0..5 * 2 * 3).collect();
        caf_image::write_rgb(&path("colour.png"), &rgb, caf_geometry::Size::new(5, 2)).unwrap();
        let colour = read(&path("colour.png")).unwrap();
        assert_eq!((colour.format, colour.width_px, colour.data), (PixelFormat::Rgb8, 5, rgb));
        let bytes = std::fs::read(path("colour.png")).unwrap();
        std::fs::write(path("short.png"), &bytes[..bytes.len() - 30]).unwrap();
        let error = read(&path("short.png")).unwrap_err().to_string();
        assert!(error.contains("short.png"), "{error}");
    }

    #[test]
    fn half_a_jpeg_is_no_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8, y as u8, 99])).save(&path).unwrap();
        assert_eq!(read(&path).unwrap().width_px, 64);
        let bytes = std::fs::read(&path).unwrap();
        for end in [bytes.len() / 2, bytes.len() * 9 / 10, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..end]).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("a.jpg"), "{error}");
        }
    }
}
