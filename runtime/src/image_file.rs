//! Still images from files, as caf-image reads them, in the layouts of frames.

use std::path::Path;

use caf_geometry::Size;
use caf_image::{ImageError, Pixels, Raster, Visible};

use crate::frame::{Camera, FrameError, ImageView, PixelFormat};

/// Decoded pixels, dense rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The pixels.
    pub data: Vec<u8>,
    /// Its size.
    pub size: Size,
    /// Layout of a pixel.
    pub format: PixelFormat,
}

impl Decoded {
    /// The pixels as an image.
    pub fn view(&self) -> Result<ImageView<'_>, FrameError> {
        let stride = self.size.width * self.format.bytes();
        ImageView::new(&self.data, self.size, stride, self.format)
    }

    fn of<T: Copy, const C: usize>(image: &Raster<T, C>, data: Vec<u8>, format: PixelFormat) -> Self {
        Self { data, size: image.size(), format }
    }
}

/// Reads a camera's image, upright, as [`caf_image`] reads it for every program: infrared of 16 bits as counts and floats as they
/// are, which the network's range maps; visible images of 16 bits rounded to 8.
///
/// # Errors
/// Those of [`caf_image::decode`]; [`ImageError::Samples`] for a visible image of floats.
pub fn read(path: &Path, camera: Camera) -> Result<Decoded, ImageError> {
    let pixels = caf_image::decode(path)?;
    let pixels = match camera {
        Camera::Infrared => pixels.into_infrared()?,
        Camera::Visible => match caf_image::visible(pixels, path)? {
            Visible::Gray(gray) => Pixels::Gray8(gray),
            Visible::Rgb(rgb) => Pixels::Rgb8(rgb),
        },
    };
    Ok(match pixels {
        Pixels::Gray8(gray) => Decoded::of(&gray, gray.data().to_vec(), PixelFormat::Gray8),
        Pixels::Rgb8(rgb) => Decoded::of(&rgb, rgb.data().to_vec(), PixelFormat::Rgb8),
        Pixels::Gray16(counts) => {
            let bytes = counts.data().iter().flat_map(|v| v.to_le_bytes()).collect();
            Decoded::of(&counts, bytes, PixelFormat::Gray16Le)
        }
        Pixels::Float { plane, .. } => {
            let bytes = plane.data().iter().flat_map(|v| v.to_le_bytes()).collect();
            Decoded::of(&plane, bytes, PixelFormat::GrayF32Le)
        }
        Pixels::Rgb16(_) => {
            let (expected, found) = ("an image of one channel or of 8 bits", "16-bit colour".to_owned());
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
        let wide = read(&path("wide.png"), Camera::Infrared).unwrap();
        assert_eq!((wide.format, wide.data.as_slice()), (PixelFormat::Gray16Le, &[0, 0, 2, 1, 255, 255][..]));
        let visible = read(&path("wide.png"), Camera::Visible).unwrap();
        assert_eq!((visible.format, visible.data.as_slice()), (PixelFormat::Gray8, &[0, 1, 255][..]));
        image::ImageBuffer::<image::Rgb<u16>, _>::from_raw(2, 1, vec![7300_u16, 7300, 7300, 1000, 2000, 3000])
            .unwrap()
            .save(path("deep.png"))
            .unwrap();
        let deep = read(&path("deep.png"), Camera::Infrared).unwrap();
        // 0.299 · 1000 + 0.587 · 2000 + 0.114 · 3000 = 1815.
        let counts: Vec<u8> = [7300_u16, 1815].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!((deep.format, deep.data), (PixelFormat::Gray16Le, counts));
        let rgb: Vec<u8> = (0..5 * 2 * 3).collect();
        caf_image::write_rgb(&path("colour.png"), &rgb, caf_geometry::Size::new(5, 2)).unwrap();
        let colour = read(&path("colour.png"), Camera::Visible).unwrap();
        assert_eq!((colour.format, colour.size.width, colour.data), (PixelFormat::Rgb8, 5, rgb));
        let bytes = std::fs::read(path("colour.png")).unwrap();
        std::fs::write(path("short.png"), &bytes[..bytes.len() - 30]).unwrap();
        let error = read(&path("short.png"), Camera::Visible).unwrap_err().to_string();
        assert!(error.contains("short.png"), "{error}");
    }

    #[test]
    fn half_a_jpeg_is_no_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8, y as u8, 99])).save(&path).unwrap();
        assert_eq!(read(&path, Camera::Visible).unwrap().size.width, 64);
        let bytes = std::fs::read(&path).unwrap();
        for end in [bytes.len() / 2, bytes.len() * 9 / 10, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..end]).unwrap();
            let error = read(&path, Camera::Visible).unwrap_err().to_string();
            assert!(error.contains("a.jpg"), "{error}");
        }
    }
}
