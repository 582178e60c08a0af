//! The size of an image: the one type for it, and `640x480` on a command line.

use crate::error::{GeometryError, MAX_SIDE_PX};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Width and height in pixels. Parsed from text each is from 1 to 65535; made in code they are what the code says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Size {
    /// From width and height.
    #[must_use]
    pub const fn new(width: usize, height: usize) -> Self {
        Self { width, height }
    }

    /// Whether both sides are from 1 to 65535 pixels, which is what image files can hold.
    #[must_use]
    pub const fn is_possible(self) -> bool {
        matches!((self.width, self.height), (1..=MAX_SIDE_PX, 1..=MAX_SIDE_PX))
    }

    /// Width, then height.
    #[must_use]
    pub const fn wh(self) -> [usize; 2] {
        [self.width, self.height]
    }

    /// Number of pixels, as long as it can be counted.
    #[must_use]
    pub const fn pixels(self) -> Option<usize> {
        self.width.checked_mul(self.height)
    }
}

/// A size as `[width, height]`, for files that hold it so: `#[serde(with = "caf_geometry::size::as_pair")]`.
pub mod as_pair {
    use super::Size;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes two numbers.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(size: &Size, serializer: S) -> Result<S::Ok, S::Error> {
        size.wh().serialize(serializer)
    }

    /// Reads two numbers.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        let [width, height] = <[usize; 2]>::deserialize(deserializer)?;
        Ok(Size { width, height })
    }
}

/// As [`as_pair`], of a size that need not be there.
pub mod as_optional_pair {
    use super::Size;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes two numbers, or nothing.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(size: &Option<Size>, serializer: S) -> Result<S::Ok, S::Error> {
        size.map(Size::wh).serialize(serializer)
    }

    /// Reads two numbers.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Size>, D::Error> {
        let sides = Option::<[usize; 2]>::deserialize(deserializer)?;
        Ok(sides.map(|[width, height]| Size { width, height }))
    }
}

impl FromStr for Size {
    type Err = GeometryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side = |s: &str| s.parse().ok().filter(|n| (1..=MAX_SIDE_PX).contains(n));
        let sides = text.split_once(['x', 'X', '×']).and_then(|(w, h)| Some((side(w)?, side(h)?)));
        let (width, height) = sides.ok_or_else(|| GeometryError::SizeText { found: text.to_owned() })?;
        Ok(Size { width, height })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_comes_first() {
        for text in ["640x480", "640X480", "640×480"] {
            assert_eq!(text.parse(), Ok(Size { width: 640, height: 480 }));
        }
        assert_eq!(Size { width: 5, height: 3 }.to_string(), "5x3");
    }

    #[test]
    fn anything_else_is_refused_and_quoted() {
        for wrong in ["", "640", "640x", "x480", "0x480", "640x-1", "640x480x3", "axb", "65536x1", "640 x 480"] {
            let error = wrong.parse::<Size>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")), "{error}");
        }
    }
}
