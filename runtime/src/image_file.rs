//! Still images from files.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageEncoder as _};

use crate::frame::{FrameError, ImageView, PixelFormat};

/// Endings of the files that are taken for images.
pub const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "bmp", "tif", "tiff"];

/// Why an image file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageFileError {
    /// The folder cannot be listed.
    #[error("{path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is no image, or damaged.
    #[error("{path}: {source}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: image::ImageError,
    },
    /// A JPEG that ends before its end-of-image marker.
    #[error("{path}: the image is cut off before its end")]
    CutOff {
        /// The file.
        path: PathBuf,
    },
    /// The pixels make no image.
    #[error("{path}: {source}")]
    Pixels {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: FrameError,
    },
    /// The file cannot be written.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

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
}

/// Reads an image. Gray stays gray with 8 or 16 bits; colour becomes 8-bit RGB; transparency is dropped; an orientation
/// in the file's metadata is not applied.
///
/// # Errors
/// [`ImageFileError::Decode`] for what cannot be read or is no image, [`ImageFileError::CutOff`] for half a JPEG.
pub fn read(path: &Path) -> Result<Decoded, ImageFileError> {
    let decode = |source| ImageFileError::Decode { path: path.to_path_buf(), source };
    let refused = |source| decode(image::ImageError::IoError(source));
    let bytes = std::fs::read(path).map_err(refused)?;
    let reader = image::ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(refused)?;
    let image = reader.decode().map_err(decode)?;
    if caf_file::jpeg::is_cut_off(&bytes) {
        return Err(ImageFileError::CutOff { path: path.to_path_buf() });
    }
    let (width_px, height_px) = (image.width() as usize, image.height() as usize);
    let (data, format) = match image {
        DynamicImage::ImageLuma8(gray) => (gray.into_raw(), PixelFormat::Gray8),
        DynamicImage::ImageLumaA8(_) => (image.into_luma8().into_raw(), PixelFormat::Gray8),
        DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_) => {
            (image.into_luma16().iter().flat_map(|v| v.to_le_bytes()).collect(), PixelFormat::Gray16Le)
        }
        colour => (colour.into_rgb8().into_raw(), PixelFormat::Rgb8),
    };
    Ok(Decoded { data, width_px, height_px, format })
}

/// Width and height from the file's header.
pub fn size(path: &Path) -> Result<(u32, u32), ImageFileError> {
    image::image_dimensions(path).map_err(|source| ImageFileError::Decode { path: path.to_path_buf(), source })
}

/// The image files of a folder by stem, in the order of their names, and the paths whose stem occurs twice.
pub fn list(folder: &Path) -> Result<(BTreeMap<String, PathBuf>, Vec<PathBuf>), ImageFileError> {
    let refused = |source| ImageFileError::Folder { path: folder.to_path_buf(), source };
    let (mut files, mut twice) = (BTreeMap::new(), vec![]);
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        if !extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str())) || !path.is_file() {
            continue;
        }
        let Some(stem) = path.file_stem().map(|s| s.to_string_lossy().into_owned()) else { continue };
        match files.entry(stem) {
            Entry::Occupied(_) => twice.push(path),
            Entry::Vacant(place) => drop(place.insert(path)),
        }
    }
    twice.sort();
    Ok((files, twice))
}

/// Writes RGB bytes as a PNG that appears complete or not at all.
pub fn write_png(path: &Path, rgb: &[u8], width_px: u32, height_px: u32) -> Result<(), ImageFileError> {
    encode_png(path, rgb, width_px, height_px, image::ExtendedColorType::Rgb8)
}

/// The same for bytes of one channel.
///
/// # Errors
/// [`ImageFileError::Write`].
pub fn write_gray_png(path: &Path, gray: &[u8], width_px: u32, height_px: u32) -> Result<(), ImageFileError> {
    encode_png(path, gray, width_px, height_px, image::ExtendedColorType::L8)
}

fn encode_png(
    path: &Path,
    pixels: &[u8],
    width_px: u32,
    height_px: u32,
    colour: image::ExtendedColorType,
) -> Result<(), ImageFileError> {
    let failed = |source| ImageFileError::Write { path: path.to_path_buf(), source };
    let aside = caf_file::begin(path).map_err(failed)?;
    let mut out = std::io::BufWriter::new(aside);
    image::codecs::png::PngEncoder::new(&mut out).write_image(pixels, width_px, height_px, colour).map_err(
        |e| match e {
            image::ImageError::IoError(e) => failed(e),
            other => failed(std::io::Error::other(other)),
        },
    )?;
    let aside = out.into_inner().map_err(|e| failed(e.into_error()))?;
    aside.finish().map_err(failed)
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
        write_png(&path("colour.png"), &rgb, 5, 2).unwrap();
        let colour = read(&path("colour.png")).unwrap();
        assert_eq!((colour.format, colour.width_px, colour.data), (PixelFormat::Rgb8, 5, rgb));
        let bytes = std::fs::read(path("colour.png")).unwrap();
        std::fs::write(path("short.png"), &bytes[..bytes.len() - 30]).unwrap();
        let error = read(&path("short.png")).unwrap_err().to_string();
        assert!(error.contains("short.png"), "{error}");
        std::fs::write(path("wide.JPG"), b"").unwrap();
        std::fs::write(path("notes.txt"), b"").unwrap();
        let (files, twice) = list(folder.path()).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["colour", "short", "wide"]);
        assert_eq!(twice.len(), 1);
        assert!(list(&path("absent")).is_err());
        assert!(write_png(&path("absent/x.png"), &[0; 3], 1, 1).is_err());
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
