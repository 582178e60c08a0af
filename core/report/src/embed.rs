//! Pictures inside a page, so that it is one file.

use crate::html::{escape, missing};
use std::path::Path;

/// Larger pictures are not put into a page.
const MAX_BYTES: u64 = 16 << 20;

/// A picture file as a figure with its caption; one that cannot be read is named in its place.
pub fn figure(path: &Path, caption: &str) -> String {
    let name = path.display().to_string();
    let kind = match path.extension().and_then(|e| e.to_str()) {
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => return missing(&name, "only SVG and PNG are shown"),
    };
    let read = || {
        if std::fs::metadata(path)?.len() > MAX_BYTES {
            return Err(std::io::Error::other(format!("it has more than {MAX_BYTES} bytes")));
        }
        std::fs::read(path)
    };
    match read() {
        Ok(bytes) => format!(
            "<figure><img src=\"data:{kind};base64,{}\" alt=\"{1}\"><figcaption>{1}</figcaption></figure>\n",
            base64(&bytes),
            escape(caption)
        ),
        Err(error) => missing(&name, &error.to_string()),
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * place)) as usize & 63).copied().unwrap_or(b'=');
            text.push(char::from(if place <= chunk.len() { digit } else { b'=' }));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard_hold() {
        // RFC 4648, section 10.
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn a_picture_that_is_not_there_is_named() {
        assert!(figure(Path::new("none.svg"), "c").contains("none.svg cannot be shown"));
        assert!(figure(Path::new("a.bmp"), "c").contains("only SVG and PNG"));
    }
}
