//! Why nothing is served.

use caf_runtime::sink::error::SinkError;

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The text is no address.
    #[error("--{option}: expected ADDRESS:PORT such as 127.0.0.1:8080, found `{found}`")]
    Address {
        /// Which option.
        option: &'static str,
        /// The text.
        found: String,
    },
    /// Others than this machine could connect.
    #[error(
        "--{option} {found}: expected an address of this machine alone (127.0.0.1, [::1]); there is no password, so that whoever \
         reaches another address sees the pictures: --{open} takes it"
    )]
    NotLoopback {
        /// Which option.
        option: &'static str,
        /// The address.
        found: String,
        /// The option that takes it.
        open: &'static str,
    },
    /// The system refuses the address, or a thread.
    #[error("--{option} {place}: {source}")]
    Listen {
        /// Which option.
        option: &'static str,
        /// The address.
        place: String,
        /// The cause.
        source: std::io::Error,
    },
}

impl HttpError {
    /// True when the call was wrong rather than the system refusing.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Address { .. } | Self::NotLoopback { .. } => true,
            Self::Listen { .. } => false,
        }
    }
}

impl From<HttpError> for SinkError {
    fn from(error: HttpError) -> Self {
        Self::Kind { wrong_call: error.is_wrong_call(), source: Box::new(error) }
    }
}
