//! Names with numbers: frames of a recording.

/// A name taken apart around its last number: `FLIR_video_00069` is `FLIR_video_`, 69 and nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedName {
    /// What stands before the number.
    pub prefix: String,
    /// The number.
    pub number: u64,
    /// What stands behind it.
    pub suffix: String,
}

impl NumberedName {
    /// `None` for a name without digits, or with more than fit in 64 bits.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
        let (head, suffix) = name.split_at_checked(end)?;
        let prefix = head.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = head.strip_prefix(prefix)?.parse().ok()?;
        Some(Self { prefix: prefix.to_owned(), number, suffix: suffix.to_owned() })
    }
}
