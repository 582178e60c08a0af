//! Where to: `mqtt://[USER@]HOST[:PORT]/TOPIC`.

use std::ffi::OsStr;

use caf_runtime::sink::error::SinkError;

/// Port of MQTT without TLS, registered with IANA.
const PORT: u16 = 1883;
/// The protocol's limit on the length of a text, less what is added to a topic.
const MOST_BYTES: usize = 65_535 - 16;

/// A broker and a topic there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name to log in with; its password is read from the environment.
    pub user: Option<String>,
    /// Name or address of the computer, without the brackets of IPv6.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Topic of the results.
    pub topic: String,
}

/// What is wrong with the text.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is no address.
    #[error("--mqtt: expected mqtt://[USER@]HOST[:PORT]/TOPIC such as mqtt://127.0.0.1/vehicle/front, found `{found}`")]
    Form {
        /// The text.
        found: String,
    },
    /// TLS is asked for.
    #[error(
        "--mqtt: no TLS here: expected mqtt://…, found mqtts://…; let a broker on this computer forward to the remote one by TLS"
    )]
    Tls,
    /// A password stands in the address, where every user of the computer and every summary would show it. It is not repeated.
    #[error(
        "--mqtt: expected no password in the address; put it into the environment variable {}",
        crate::link::PASSWORD
    )]
    Password,
    /// The topic cannot be published to.
    #[error(
        "--mqtt: expected a topic without `+`, `#` and control characters, of 1 to {MOST_BYTES} bytes, found `{found}`"
    )]
    Topic {
        /// The topic.
        found: String,
    },
}

impl From<AddressError> for SinkError {
    fn from(error: AddressError) -> Self {
        Self::Kind { wrong_call: true, source: Box::new(error) }
    }
}

impl Address {
    /// Reads what the user typed.
    ///
    /// # Errors
    /// [`AddressError`], for what is no address of a broker with a topic.
    pub fn parse(place: &OsStr) -> Result<Self, AddressError> {
        let text = place.to_string_lossy();
        if text.starts_with("mqtts://") {
            return Err(AddressError::Tls);
        }
        let form = || AddressError::Form { found: text.clone().into_owned() };
        let rest = place.to_str().and_then(|text| text.strip_prefix("mqtt://")).ok_or_else(form)?;
        let (authority, topic) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, server) = match authority.rsplit_once('@') {
            Some((login, _)) if login.contains(':') => return Err(AddressError::Password),
            Some((login, server)) => (Some(login), server),
            None => (None, authority),
        };
        let (host, port) = split_port(server).ok_or_else(form)?;
        if host.is_empty() || login == Some("") || topic.is_empty() {
            return Err(form());
        }
        let is_odd = |c: char| c.is_control() || matches!(c, '+' | '#');
        if topic.contains(is_odd) || topic.len() > MOST_BYTES {
            return Err(AddressError::Topic { found: topic.to_owned() });
        }
        Ok(Self { user: login.map(str::to_owned), host: host.to_owned(), port, topic: topic.to_owned() })
    }
}

/// `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`; `None` for anything else.
fn split_port(server: &str) -> Option<(&str, u16)> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':').or(port.is_empty().then_some(""))))
        }
        None => Some(server.rsplit_once(':').map_or((server, Some("")), |(host, port)| (host, Some(port)))),
    }?;
    let is_plain = server.starts_with('[') || !host.contains(':');
    match port? {
        "" if !server.ends_with(':') => is_plain.then_some((host, PORT)),
        port => port.parse().ok().filter(|port| *port > 0 && is_plain).map(|port| (host, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let address = |user: Option<&str>, host: &str, port, topic: &str| Address {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            topic: topic.to_owned(),
        };
        for (text, expected) in [
            ("mqtt://broker/a", address(None, "broker", 1883, "a")),
            ("mqtt://10.0.0.2:1884/a/b c/", address(None, "10.0.0.2", 1884, "a/b c/")),
            ("mqtt://me@broker/a", address(Some("me"), "broker", 1883, "a")),
            ("mqtt://me@[fe80::1]:8883/$x/ü", address(Some("me"), "fe80::1", 8883, "$x/ü")),
            ("mqtt://[::1]/a", address(None, "::1", 1883, "a")),
        ] {
            assert_eq!(Address::parse(OsStr::new(text)).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_address_is_a_wrong_call_that_says_why() {
        for (text, words) in [
            ("", "mqtt://[USER@]HOST"),
            ("127.0.0.1:1883", "mqtt://[USER@]HOST"),
            ("mqtt://broker", "mqtt://[USER@]HOST"),
            ("mqtt://broker/", "mqtt://[USER@]HOST"),
            ("mqtt:///a", "mqtt://[USER@]HOST"),
            ("mqtt://@broker/a", "mqtt://[USER@]HOST"),
            ("mqtt://broker:/a", "mqtt://[USER@]HOST"),
            ("mqtt://broker:0/a", "mqtt://[USER@]HOST"),
            ("mqtt://broker:65536/a", "mqtt://[USER@]HOST"),
            ("mqtt://::1/a", "mqtt://[USER@]HOST"),
            ("mqtt://[::1/a", "mqtt://[USER@]HOST"),
            ("mqtt://[::1]x/a", "mqtt://[USER@]HOST"),
            ("mqtts://broker/a", "no TLS"),
            ("mqtt://broker/a/#", "without `+`, `#`"),
            ("mqtt://broker/+/a", "without `+`, `#`"),
            ("mqtt://broker/a\u{0}", "without `+`, `#`"),
        ] {
            let error = SinkError::from(Address::parse(OsStr::new(text)).unwrap_err());
            assert!(error.is_wrong_call() && error.to_string().contains(words), "{text}: {error}");
        }
        let error = Address::parse(OsStr::new("mqtt://me:hush@broker/a")).unwrap_err().to_string();
        assert!(error.contains("CAF_MQTT_PASSWORD") && !error.contains("hush"), "{error}");
    }
}
