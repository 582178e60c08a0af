//! Numbers on a command line.

/// A number of something (`milliseconds`) from `least` to `most`.
///
/// # Errors
/// What was expected and what was found, for any other text.
pub fn within(text: &str, what: &str, least: f64, most: f64) -> Result<f64, String> {
    let inside = text.parse::<f64>().ok().filter(|value| (least..=most).contains(value));
    inside.ok_or_else(|| format!("expected {what} from {least} to {most}, found `{text}`"))
}

/// A number from 0 to 1.
///
/// # Errors
/// As [`within`].
pub fn unit(text: &str) -> Result<f64, String> {
    within(text, "a number", 0.0, 1.0)
}

/// A positive finite number.
///
/// # Errors
/// As [`within`].
pub fn positive(text: &str) -> Result<f64, String> {
    let inside = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
    inside.ok_or_else(|| format!("expected a number above 0, found `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_sense_are_refused() {
        assert_eq!((unit("0"), unit("1"), positive("1e300")), (Ok(0.0), Ok(1.0), Ok(1e300)));
        assert_eq!(within("-2", "metres", -2.0, 3.0), Ok(-2.0));
        assert_eq!(within("4", "metres", -2.0, 3.0).unwrap_err(), "expected metres from -2 to 3, found `4`");
        for wrong in ["", "x", "nan", "inf", "-inf", "-0.1"] {
            assert!(unit(wrong).is_err() && positive(wrong).is_err(), "{wrong}");
        }
        assert!(unit("1.001").is_err() && positive("0").is_err());
    }
}
