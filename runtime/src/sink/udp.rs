//! One datagram for every fused pair: the line of JSON, without its end. Of class maps it has the shares alone: their runs are more
//! than a datagram holds.
//!
//! Nobody has to listen. The system tells that a datagram was refused only when the next one is sent, so that of a receiver that
//! is not there about every second result is known to be undelivered.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};

use super::error::SinkError;
use super::kind::{DropPolicy, Sent, Sink, SinkKind};
use crate::line::LineShape;
use crate::result::PairResult;

/// Datagrams to an address.
pub const KIND: SinkKind = SinkKind {
    option: "--udp",
    value: "HOST:PORT",
    help: "Send each line of JSON as a datagram",
    writes_file: false,
    drops: DropPolicy::AllButNewest,
    open: |place| Ok(Box::new(Datagrams::open(place)?)),
};

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
enum UdpError {
    /// The text is no address.
    #[error("--udp: expected HOST:PORT such as 127.0.0.1:5000, found `{found}`")]
    Address {
        /// The text.
        found: String,
    },
    /// The host has no address, or none that can be sent to.
    #[error("--udp {place}: {source}")]
    Socket {
        /// Where to.
        place: String,
        /// The cause.
        source: std::io::Error,
    },
}

impl From<UdpError> for SinkError {
    fn from(error: UdpError) -> Self {
        Self::Kind { wrong_call: matches!(error, UdpError::Address { .. }), source: Box::new(error) }
    }
}

/// A socket with the memory for one line.
struct Datagrams {
    place: String,
    socket: UdpSocket,
    line: Vec<u8>,
    shape: LineShape,
    /// Kinds of failure that were told already.
    told: Vec<ErrorKind>,
}

impl Datagrams {
    fn open(place: &OsStr) -> Result<Self, UdpError> {
        let wrong = || UdpError::Address { found: place.to_string_lossy().into_owned() };
        let place = place.to_str().ok_or_else(wrong)?.to_owned();
        let (host, port) = place.rsplit_once(':').ok_or_else(wrong)?;
        if host.is_empty() || port.parse::<u16>().is_ok_and(|p| p == 0) || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        let socket = connect(&place).map_err(|source| UdpError::Socket { place: place.clone(), source })?;
        Ok(Self { place, socket, line: Vec::with_capacity(4096), shape: LineShape::default(), told: vec![] })
    }

    /// A result that did not go out is counted by the run, and each kind of reason told once.
    fn undelivered(&mut self, error: &std::io::Error) -> Sent {
        if !self.told.contains(&error.kind()) {
            self.told.push(error.kind());
            let bytes = self.line.len();
            tracing::warn!("--udp {}: a datagram of {bytes} bytes is not delivered: {error}", self.place);
        }
        Sent::Undelivered
    }
}

fn connect(place: &str) -> std::io::Result<UdpSocket> {
    let mut last = std::io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in place.to_socket_addrs()? {
        let any = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        match UdpSocket::bind(any).and_then(|socket| socket.connect(address).map(|()| socket)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Sink for Datagrams {
    fn shape(&mut self, lines: LineShape) {
        self.shape = lines;
    }

    fn write(&mut self, result: &PairResult) -> Result<Sent, SinkError> {
        self.line.clear();
        let line = self.shape.write(result, true, &mut self.line);
        let sent = line.map_err(std::io::Error::from).and_then(|()| self.socket.send(&self.line));
        Ok(match sent {
            Ok(_) => Sent::Written,
            Err(error) => self.undelivered(&error),
        })
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::detection::Detections;
    use caf_geometry::Detection;
    use serde_json::Value;

    fn open(place: &str) -> Result<Datagrams, UdpError> {
        Datagrams::open(OsStr::new(place))
    }

    fn result(detections: usize) -> PairResult {
        let mut result = PairResult { time_ns: 40_000_000, sequence: [Some(3), Some(4)], ..PairResult::default() };
        let one = Detection { x1: 0.5, y1: 1.0, x2: 2.0, y2: 3.0, score: 0.75, class: 0 };
        result.image.found = vec![Box::new(Detections { list: vec![one; detections], classes: [].into() })];
        result
    }

    #[test]
    fn a_datagram_is_a_line_of_json() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut sink = open(&receiver.local_addr().unwrap().to_string()).unwrap();
        let mut bytes = [0; 65_536];
        for detections in [2, 0] {
            assert_eq!(sink.write(&result(detections)).unwrap(), Sent::Written);
            let length = receiver.recv(&mut bytes).unwrap();
            let line: Value = serde_json::from_slice(&bytes[..length]).unwrap();
            assert_eq!((line["t_ns"].as_i64(), line["seq_vi"].as_i64()), (Some(40_000_000), Some(4)));
            assert_eq!(line["detections"].as_array().unwrap().len(), detections);
        }
    }

    #[test]
    fn what_is_too_large_or_refused_is_undelivered_and_told_once() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let place = receiver.local_addr().unwrap().to_string();
        let mut sink = open(&place).unwrap();
        assert_eq!(sink.write(&result(2000)).unwrap(), Sent::Undelivered);
        assert_eq!(sink.write(&result(2000)).unwrap(), Sent::Undelivered);
        assert_eq!(sink.told.len(), 1);
        assert_eq!(sink.write(&result(1)).unwrap(), Sent::Written);
        drop(receiver);
        let sent: Vec<Sent> = (0..20).map(|_| sink.write(&result(1)).unwrap()).collect();
        let refused = sent.iter().filter(|s| **s == Sent::Undelivered).count();
        assert!((5..20).contains(&refused), "{sent:?}");
        assert_eq!(sink.told.len(), 2);
        // The receiver comes back.
        let receiver = UdpSocket::bind(&place).unwrap();
        assert!((0..3).any(|_| sink.write(&result(1)).unwrap() == Sent::Written));
        assert!(receiver.recv(&mut [0; 4096]).unwrap() > 100);
    }

    #[test]
    fn a_wrong_address_is_a_wrong_call_and_an_unknown_host_is_not() {
        for wrong in ["", "localhost", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", ":5000", "127.0.0.1:http"] {
            let error = SinkError::from(open(wrong).err().unwrap());
            assert!(error.is_wrong_call() && error.to_string().contains("expected HOST:PORT"), "{wrong}: {error}");
        }
        let error = SinkError::from(open("no.such.host.invalid:5000").err().unwrap());
        assert!(!error.is_wrong_call() && error.to_string().contains("no.such.host.invalid:5000"), "{error}");
        assert!(open("[::1]:5000").is_ok() || UdpSocket::bind("[::1]:0").is_err());
    }
}
