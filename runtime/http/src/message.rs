//! What is asked and answered: the part of HTTP/1.1 that a page, a probe and a scraper need.

use std::borrow::Cow;

/// Bytes of a request without its body; browsers send less than two thousand.
pub const LONGEST_REQUEST: usize = 8192;
/// Lines of a request's head.
const HEADERS: usize = 64;

/// What was asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// The path, without what follows `?`.
    pub path: &'a str,
    /// What follows `?`.
    pub query: &'a str,
    /// The host that the client believes to talk to, with its port.
    pub host: Option<&'a str>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Media type.
    pub kind: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// What it says.
    pub body: Cow<'static, [u8]>,
}

impl Answer {
    /// One without further headers.
    pub fn new(status: u16, kind: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { status, kind, headers: vec![], body: body.into() }
    }

    /// A line of text.
    pub fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{text}\n").into_bytes())
    }

    /// As it is sent; without its body where only the head was asked for.
    pub fn bytes(&self, is_head: bool, closes: bool) -> Vec<u8> {
        let Self { status, kind, headers, body } = self;
        let mut text = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'\r\n",
            phrase(*status)
        );
        if *status != 204 {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
        text += if closes { "Connection: close\r\n\r\n" } else { "\r\n" };
        let mut bytes = text.into_bytes();
        if !is_head {
            bytes.extend_from_slice(body);
        }
        bytes
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "",
    }
}

/// What the bytes of a connection are so far.
pub enum Parsed<'a> {
    /// A request of so many bytes, whether it is for the head alone, and whether the connection lasts.
    Whole {
        /// Its bytes.
        length: usize,
        /// Only the head of the answer is wanted.
        is_head: bool,
        /// More requests may follow.
        stays: bool,
        /// What is asked for.
        request: Request<'a>,
    },
    /// No request that is answered: the status code, and why.
    Wrong(u16, &'static str),
    /// The beginning of a request.
    More,
}

/// Reads a request.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST_REQUEST => return Parsed::More,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Parsed::Wrong(431, "the request is too long");
        }
        Err(_) => return Parsed::Wrong(400, "this is no HTTP request"),
    };
    let is_head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Parsed::Wrong(405, "expected GET or HEAD"),
    };
    let all = |name: &'static str| {
        let named = request.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name));
        named.map(|h| std::str::from_utf8(h.value).unwrap_or_default().trim())
    };
    if all("transfer-encoding").next().is_some() || all("content-length").any(|length| length != "0") {
        return Parsed::Wrong(400, "expected a request without a body");
    }
    // A list, which several lines may hold.
    let says =
        |token: &str| all("connection").flat_map(|list| list.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token));
    // HTTP/1.0 needs to be asked to stay.
    let stays = !says("close") && (request.version != Some(0) || says("keep-alive"));
    let host = all("host").next();
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Parsed::Whole { length, is_head, stays, request: Request { path, query, host } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_connection_lasts_is_one_of_a_list_of_words() {
        let stays = |version: &str, lines: &str| match parse(format!("GET / HTTP/{version}\r\n{lines}\r\n").as_bytes())
        {
            Parsed::Whole { stays, .. } => stays,
            Parsed::Wrong(..) | Parsed::More => panic!("{lines}"),
        };
        for (lines, by_11, by_10) in [
            ("", true, false),
            ("Connection: close\r\n", false, false),
            ("Connection: TE, Close\r\n", false, false),
            ("Connection: te\r\nConnection: close\r\n", false, false),
            ("Connection: keep-alive\r\n", true, true),
            ("connection: Keep-Alive, Upgrade\r\n", true, true),
            ("Connection: keep-alive, close\r\n", false, false),
            ("Connection: closely\r\n", true, false),
        ] {
            assert_eq!((stays("1.1", lines), stays("1.0", lines)), (by_11, by_10), "{lines}");
        }
    }

    #[test]
    fn what_is_no_plain_request_is_named() {
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(LONGEST_REQUEST));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS + 1));
        let wrong = [
            ("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
            ("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 400),
            ("GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello", 400),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("\x16\x03\x01\x02\x00\x01", 400),
            (&long, 431),
            (&many, 431),
        ];
        for (request, code) in wrong {
            assert!(matches!(parse(request.as_bytes()), Parsed::Wrong(found, _) if found == code), "{request}");
        }
        assert!(matches!(parse(b"GET / HT"), Parsed::More));
    }
}
