//! The two cameras of a pair.

/// Which of the two cameras.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Camera {
    /// The thermal camera.
    Infrared,
    /// The visible-light camera.
    Visible,
}

impl Camera {
    /// Both, infrared first.
    pub const BOTH: [Self; 2] = [Self::Infrared, Self::Visible];

    /// 0 for infrared, 1 for visible.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Infrared => 0,
            Self::Visible => 1,
        }
    }

    /// The other camera.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Infrared => Self::Visible,
            Self::Visible => Self::Infrared,
        }
    }

    /// Name in messages and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Infrared => "infrared",
            Self::Visible => "visible",
        }
    }
}
