//! `640x480` on a command line.

use std::fmt;
use std::str::FromStr;

/// Largest side in pixels: what the file formats in use can hold.
const MAX_SIDE_PX: usize = 65_535;

/// Width and height in pixels, each from 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width_px: usize,
    /// Height.
    pub height_px: usize,
}

/// A text that is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected WIDTHxHEIGHT in pixels such as 640x480, each from 1 to {MAX_SIDE_PX}, found `{found}`")]
pub struct SizeError {
    /// The text.
    pub found: String,
}

impl Size {
    /// Width, then height.
    #[must_use]
    pub fn wh(self) -> [usize; 2] {
        [self.width_px, self.height_px]
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side = |s: &str| s.parse().ok().filter(|n| (1..=MAX_SIDE_PX).contains(n));
        let sides = text.split_once(['x', 'X', '×']).and_then(|(w, h)| Some((side(w)?, side(h)?)));
        let (width_px, height_px) = sides.ok_or_else(|| SizeError { found: text.to_owned() })?;
        Ok(Size { width_px, height_px })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width_px, self.height_px)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_comes_first() {
        for text in ["640x480", "640X480", "640×480"] {
            assert_eq!(text.parse(), Ok(Size { width_px: 640, height_px: 480 }));
        }
        assert_eq!(Size { width_px: 5, height_px: 3 }.to_string(), "5x3");
    }

    #[test]
    fn anything_else_is_refused_and_quoted() {
        for wrong in ["", "640", "640x", "x480", "0x480", "640x-1", "640x480x3", "axb", "65536x1", "640 x 480"] {
            let error = wrong.parse::<Size>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")), "{error}");
        }
    }
}
