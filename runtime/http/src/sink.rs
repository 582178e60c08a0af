//! The sink: what a run does, for whoever asks over HTTP.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::sync::Arc;

use caf_runtime::board::Board;
use caf_runtime::result::PairResult;
use caf_runtime::sink::error::SinkError;
use caf_runtime::sink::kind::{DropPolicy, Sent, Sink, SinkKind};

use super::answer::Site;
use super::error::HttpError;
use super::server::Server;

const HTTP: &str = "http";
const OPEN: &str = "http-open";

/// For this machine alone.
pub const LOOPBACK: SinkKind = SinkKind {
    option: "--http",
    value: "ADDRESS:PORT",
    help: "Serve a page with the fused picture, /ready, /metrics and more, such as on 127.0.0.1:8080; to this machine alone",
    writes_file: false,
    drops: DropPolicy::BeyondQueue,
    open: |place| Ok(Box::new(HttpSink::open(HTTP, place, true)?)),
};

/// For others, too.
pub const ANYWHERE: SinkKind = SinkKind {
    option: "--http-open",
    help: "As --http, to whoever reaches the address: there is no password",
    open: |place| Ok(Box::new(HttpSink::open(OPEN, place, false)?)),
    ..LOOPBACK
};

/// A server with what it tells.
struct HttpSink {
    site: Arc<Site>,
    /// Ends with the sink.
    _server: Server,
}

impl HttpSink {
    fn open(option: &'static str, place: &OsStr, loopback: bool) -> Result<Self, HttpError> {
        let text = place.to_string_lossy().into_owned();
        let address = address(option, &text)?;
        if loopback && !address.ip().is_loopback() {
            return Err(HttpError::NotLoopback { option, found: text, open: OPEN });
        }
        let refused = |source| HttpError::Listen { option, place: text.clone(), source };
        let site = Arc::new(Site::new(loopback));
        let answers = Arc::clone(&site);
        let listener = TcpListener::bind(address).map_err(refused)?;
        let server = Server::start(listener, move |request| answers.answer(request)).map_err(refused)?;
        tracing::info!("--{option}: http://{}/", server.address());
        Ok(Self { site, _server: server })
    }
}

/// An address, or `localhost` with a port.
fn address(option: &'static str, text: &str) -> Result<SocketAddr, HttpError> {
    let wrong = || HttpError::Address { option, found: text.to_owned() };
    let named = text.strip_prefix("localhost:").is_some_and(|port| port.parse::<u16>().is_ok());
    let mut found = match (named, text.parse::<SocketAddr>()) {
        (true, _) => text.to_socket_addrs().map_err(|_| wrong())?,
        (false, Ok(address)) => vec![address].into_iter(),
        (false, Err(_)) => return Err(wrong()),
    };
    found.find(|address| address.port() > 0).ok_or_else(wrong)
}

impl Sink for HttpSink {
    fn attend(&mut self, board: &Arc<Board>) {
        self.site.attend(board);
    }

    fn write(&mut self, result: &PairResult) -> Result<Sent, SinkError> {
        self.site.add(result);
        Ok(Sent::Written)
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(option: &'static str, place: &str, loopback: bool) -> SinkError {
        HttpSink::open(option, OsStr::new(place), loopback).err().map(SinkError::from).unwrap()
    }

    #[test]
    fn other_addresses_than_this_machines_need_another_option() {
        for wrong in ["", "8080", "localhost", "127.0.0.1", "127.0.0.1:0", "localhost:0", "host.invalid:80", ":80"] {
            let error = refused(HTTP, wrong, true);
            assert!(error.is_wrong_call() && error.to_string().contains("expected ADDRESS:PORT"), "{wrong}: {error}");
        }
        for open in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"] {
            let error = refused(HTTP, open, true);
            assert!(error.is_wrong_call() && error.to_string().contains("--http-open takes it"), "{open}: {error}");
        }
        // A documentation address, which no machine has.
        let error = refused(OPEN, "192.0.2.1:8080", false);
        assert!(!error.is_wrong_call() && error.to_string().contains("--http-open 192.0.2.1:8080"), "{error}");
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!refused(HTTP, &taken.local_addr().unwrap().to_string(), true).is_wrong_call());
    }
}
