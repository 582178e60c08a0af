//! Which kind of image a file is, by its first bytes.

use std::path::Path;

/// The kinds of images that are read, for messages.
pub const READ: &str = "PNG, JPEG, BMP, TIFF, WebP, PGM, PPM";

/// Usual extensions of the kinds that are read, in lower case. A file with one of them is meant to be an image; whether it is one,
/// and which kind, its content says.
pub const EXTENSIONS: [&str; 10] = ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp", "pgm", "ppm", "pnm"];

/// Bytes that are enough to tell a kind.
pub const HEAD: usize = 16;

/// A kind of image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG in any of its containers.
    Jpeg,
    /// Windows bitmap.
    Bmp,
    /// TIFF, also BigTIFF.
    Tiff,
    /// WebP.
    WebP,
    /// Netpbm: PBM, PGM, PPM, PAM.
    Pnm,
}

impl Format {
    /// The kind of a file with this beginning, of at least [`HEAD`] bytes where the file has as many.
    #[must_use]
    pub fn of_content(head: &[u8]) -> Option<Self> {
        Some(match head {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Self::Png,
            [0xFF, 0xD8, 0xFF, ..] => Self::Jpeg,
            [b'I', b'I', b'*' | b'+', 0, ..] | [b'M', b'M', 0, b'*' | b'+', ..] => Self::Tiff,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::WebP,
            [b'P', b'1'..=b'7', b' ' | b'\t' | b'\r' | b'\n', ..] => Self::Pnm,
            [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Self::Bmp,
            _ => return None,
        })
    }

    /// The decoder's name of it.
    pub(crate) fn decoder(self) -> image::ImageFormat {
        match self {
            Self::Png => image::ImageFormat::Png,
            Self::Jpeg => image::ImageFormat::Jpeg,
            Self::Bmp => image::ImageFormat::Bmp,
            Self::Tiff => image::ImageFormat::Tiff,
            Self::WebP => image::ImageFormat::WebP,
            Self::Pnm => image::ImageFormat::Pnm,
        }
    }
}

/// Whether the extension (any case) is one of [`EXTENSIONS`].
#[must_use]
pub fn has_image_extension(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.contains(&e.to_ascii_lowercase().as_str()))
}

/// What a file with this beginning is, when it is no image that is read: for messages.
#[must_use]
pub fn describe(head: &[u8]) -> String {
    let brand = |brand: &[u8]| match brand {
        b"avif" | b"avis" => Some("an AVIF image"),
        b"heic" | b"heix" | b"heim" | b"heis" | b"mif1" | b"msf1" | b"hevc" => Some("an HEIF image"),
        _ => None,
    };
    let named = match head {
        [] => Some("an empty file"),
        [b'G', b'I', b'F', b'8', ..] => Some("a GIF image"),
        [_, _, _, _, b'f', b't', b'y', b'p', rest @ ..] => {
            rest.get(..4).and_then(brand).or(Some("a video or another ISO media file"))
        }
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => Some("a JPEG XL image"),
        [0, 0, 0, 0x0C, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => Some("a JPEG 2000 image"),
        [0x76, 0x2F, 0x31, 0x01, ..] => Some("an OpenEXR image"),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Some("a NumPy array"),
        [0x89, b'H', b'D', b'F', ..] => Some("an HDF5 file"),
        [b'M', b'A', b'T', b'L', b'A', b'B', ..] => Some("a MATLAB file"),
        [b'F', b'F', b'F', 0, ..] => Some("a FLIR sequence"),
        [b'P', b'f' | b'F', b'\n', ..] => Some("a PFM float image"),
        [b'R', b'I', b'F', b'F', ..] => Some("a RIFF file that is no WebP"),
        [b'P', b'K', 3, 4, ..] => Some("a ZIP archive"),
        [b'%', b'P', b'D', b'F', ..] => Some("a PDF file"),
        [0x89, b'P', b'N', b'G', ..] => Some("a PNG file cut off or damaged in its first bytes"),
        [b'8', b'B', b'P', b'S', ..] => Some("a Photoshop file"),
        _ => None,
    };
    match named {
        Some(name) => name.to_owned(),
        None if head.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) => "text".to_owned(),
        None => {
            let bytes: Vec<String> = head.iter().take(4).map(|b| format!("{b:02x}")).collect();
            format!("a file that begins with the bytes {}", bytes.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_first_bytes_and_others_are_named() {
        for (head, kind) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], Format::Png),
            (b"\xFF\xD8\xFF\xE0", Format::Jpeg),
            (b"II*\0\x08\0\0\0", Format::Tiff),
            (b"MM\0*\0\0\0\x08", Format::Tiff),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Format::WebP),
            (b"P5\n3 2\n255\n", Format::Pnm),
            (b"BM\x36\0\0\0\0\0\0\0\x36\0", Format::Bmp),
        ] {
            assert_eq!(Format::of_content(head), Some(kind));
        }
        for (head, name) in [
            (&b""[..], "empty"),
            (b"GIF89a\x01\0", "GIF"),
            (b"\0\0\0\x20ftypheic\0\0\0\0", "HEIF"),
            (b"\0\0\0\x20ftypavif\0\0\0\0", "AVIF"),
            (b"\x93NUMPY\x01\0", "NumPy"),
            (b"person\ncar\n", "text"),
            (b"\x01\x02\x03\xFF\x07", "01 02 03 ff"),
            (b"\x89PNG", "cut off"),
        ] {
            assert_eq!(Format::of_content(head), None);
            assert!(describe(head).contains(name), "{}", describe(head));
        }
        assert!(has_image_extension(Path::new("a.PgM")) && !has_image_extension(Path::new("a.gif")));
    }
}
