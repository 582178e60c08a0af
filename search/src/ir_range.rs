//! The infrared range of a weight file beside that of the images: a network must see images made as those it learnt from.

use crate::error::SearchError;
use caf_image::IrRange;
use std::path::Path;

/// What sets the range of a training.
pub const SETTING: &str = "--ir-range (data.ir_range)";

/// The range to read images by for the network of a file. What `option` says must be what the network was `trained` on; where one of
/// both is not said, the other; the default where neither is.
///
/// # Errors
/// [`SearchError::IrRange`] when they differ.
pub fn agreed(
    option: &'static str,
    given: Option<IrRange>,
    trained: Option<IrRange>,
    path: &Path,
) -> Result<IrRange, SearchError> {
    match (given, trained) {
        (Some(given), Some(trained)) if given != trained => {
            Err(SearchError::IrRange { option, given, trained, path: path.to_owned() })
        }
        (given, trained) => Ok(trained.or(given).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_once_counts_and_what_is_said_twice_must_be_the_same() {
        let window = IrRange::Window { min: 7000.0, max: 9000.0 };
        let path = Path::new("w.safetensors");
        for (given, trained, expected) in [
            (None, None, IrRange::Full),
            (Some(window), None, window),
            (None, Some(window), window),
            (Some(window), Some(window), window),
        ] {
            assert_eq!(agreed("--ir-range", given, trained, path).unwrap(), expected);
        }
        for (given, trained) in [(IrRange::Full, window), (window, IrRange::Full), (IrRange::MinMax, window)] {
            let error = agreed("--ir-range", Some(given), Some(trained), path).unwrap_err();
            let text = error.to_string();
            assert!(error.is_wrong_call(), "{text}");
            for word in ["--ir-range", "w.safetensors", &given.to_string(), &trained.to_string()] {
                assert!(text.contains(word), "{word}: {text}");
            }
        }
    }
}
