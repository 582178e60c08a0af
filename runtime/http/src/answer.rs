//! What is answered to which path.

use std::net::IpAddr;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use caf_runtime::board::{Board, Status};
use caf_runtime::health::Faults;
use caf_runtime::preview::Newest;
use caf_runtime::probe::{self, Health, Known};
use caf_runtime::result::{PairResult, ResultState};
use serde::Serialize;

use super::measures::Measures;
use super::message::{Answer, Request};
use super::metrics;
use super::picture::{CAMERA_BYTES_PER_S, FUSED_BYTES_PER_S, Jpegs};

const JSON: &str = "application/json";

/// A picture with what is sent of it.
#[derive(Debug)]
struct Shown {
    newest: Newest,
    jpegs: Jpegs,
}

/// What is known of a run, shared by the sink and everybody who asks.
#[derive(Debug)]
pub struct Site {
    /// Whether the names by which it may be called are those of this machine alone.
    loopback: bool,
    began: Instant,
    board: OnceLock<Arc<Board>>,
    measures: Mutex<Measures>,
    fused: Shown,
    cameras: [Jpegs; 2],
}

/// `/state.json`.
#[derive(Serialize)]
struct State<'a> {
    #[serde(flatten)]
    status: &'a Status,
    ready: Health,
    state: Option<ResultState>,
    faults: Faults,
    detections: u64,
    last_result_age_s: Option<f64>,
}

impl Site {
    pub fn new(loopback: bool) -> Self {
        Self {
            loopback,
            began: Instant::now(),
            board: OnceLock::new(),
            measures: Mutex::default(),
            fused: Shown { newest: Newest::default(), jpegs: Jpegs::new(FUSED_BYTES_PER_S) },
            cameras: [Jpegs::new(CAMERA_BYTES_PER_S), Jpegs::new(CAMERA_BYTES_PER_S)],
        }
    }

    /// Takes the board of the run; the first one counts.
    pub fn attend(&self, board: &Arc<Board>) {
        let _ = self.board.set(Arc::clone(board));
    }

    /// Takes a result.
    pub fn add(&self, result: &PairResult) {
        self.measures().add(result);
        self.fused.newest.offer(|picture| picture.copy(&result.image.rgb, result.image.size));
    }

    fn measures(&self) -> MutexGuard<'_, Measures> {
        self.measures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn answer(&self, request: &Request<'_>) -> Answer {
        // A page of another site, whose name leads here, must not read what this one shows.
        if self.loopback && !request.host.is_none_or(is_this_machine) {
            return Answer::text(403, "expected a request to localhost, 127.0.0.1 or [::1]");
        }
        match request.path {
            "/" => Answer::new(200, "text/html; charset=utf-8", include_bytes!("page.html").as_slice()),
            "/page.css" => Answer::new(200, "text/css; charset=utf-8", include_bytes!("page.css").as_slice()),
            "/page.js" => Answer::new(200, "text/javascript; charset=utf-8", include_bytes!("page.js").as_slice()),
            "/startup" => self.known(|known, _| health(&probe::startup(known))),
            "/live" => self.known(|known, _| health(&probe::live(known))),
            "/ready" => self.known(|known, _| health(&probe::ready(known))),
            "/metrics" => self
                .known(|known, measures| Answer::new(200, metrics::KIND, metrics::text(known, measures).into_bytes())),
            "/state.json" => self.known(|known, measures| {
                json(
                    200,
                    &State {
                        status: known.status,
                        ready: probe::ready(known),
                        state: known.age.map(|_| known.last.0),
                        faults: known.last.1,
                        detections: measures.detections,
                        last_result_age_s: known.age.map(|age| age.as_secs_f64()),
                    },
                )
            }),
            "/fused.jpg" => self.picture(Some((&self.fused.newest, &self.fused.jpegs)), request.query),
            "/infrared.jpg" => self.camera(0, request.query),
            "/visible.jpg" => self.camera(1, request.query),
            _ => Answer::text(404, "nothing here; there are /, /startup, /live, /ready, /metrics and /state.json"),
        }
    }

    fn known(&self, say: impl FnOnce(&Known<'_>, &Measures) -> Answer) -> Answer {
        let measures = self.measures().clone();
        match self.board.get() {
            Some(board) => Known::look(board, |known| say(known, &measures)),
            None => Known::look(&Board::default(), |known| say(known, &measures)),
        }
    }

    fn camera(&self, place: usize, query: &str) -> Answer {
        let newest = self.board.get().and_then(|board| board.cameras().get(place));
        self.picture(newest.zip(self.cameras.get(place)), query)
    }

    fn picture(&self, shown: Option<(&Newest, &Jpegs)>, query: &str) -> Answer {
        let seen = query.strip_prefix("after=").and_then(|n| u64::from_str(n).ok()).unwrap_or(0);
        let sent = shown.and_then(|(newest, jpegs)| jpegs.after(newest, seen, self.began.elapsed()));
        let Some(sent) = sent else { return Answer::new(204, "image/jpeg", Vec::new()) };
        let age = sent.made.map_or(Duration::ZERO, |made| made.elapsed());
        let mut answer = Answer::new(200, "image/jpeg", sent.jpeg.to_vec());
        answer.headers = vec![("X-Number", sent.number.to_string()), ("X-Age-Ms", age.as_millis().to_string())];
        answer
    }
}

fn json(status: u16, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(text) => Answer::new(status, JSON, text),
        Err(error) => Answer::text(503, &error.to_string()),
    }
}

fn health(health: &Health) -> Answer {
    json(health.code(), health)
}

/// Whether a `Host` header, with or without a port, names this machine to itself.
fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.parse::<u16>().is_ok() { name } else { host });
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || IpAddr::from_str(address).is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(path: &'a str, host: Option<&'a str>) -> Request<'a> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Request { path, query, host }
    }

    #[test]
    fn names_of_other_sites_are_refused() {
        let (near, open) = (Site::new(true), Site::new(false));
        for good in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]:80", "[::1]"] {
            assert_eq!(near.answer(&get("/", Some(good))).status, 200, "{good}");
        }
        for wrong in ["evil.example:8080", "localhost.evil.example", "10.0.0.1", "", "localhost:x"] {
            assert_eq!(near.answer(&get("/state.json", Some(wrong))).status, 403, "{wrong}");
            assert_eq!(open.answer(&get("/state.json", Some(wrong))).status, 200, "{wrong}");
        }
    }

    #[test]
    fn everything_answers_before_the_run_has_begun() {
        let site = Site::new(true);
        let paths = ["/", "/page.css", "/page.js", "/live", "/metrics", "/state.json"];
        for (path, status) in paths.map(|p| (p, 200)).into_iter().chain([
            ("/startup", 503),
            ("/ready", 503),
            ("/fused.jpg", 204),
            ("/infrared.jpg?after=3", 204),
            ("/nothing", 404),
        ]) {
            assert_eq!(site.answer(&get(path, None)).status, status, "{path}");
        }
    }

    #[test]
    fn a_result_is_counted_and_shown_to_whoever_asked() {
        let site = Site::new(true);
        let mut result = PairResult::default();
        result.image.size = caf_geometry::Size::new(8, 8);
        result.image.rgb = vec![200; 8 * 8 * 3];
        assert_eq!(site.answer(&get("/fused.jpg", None)).status, 204);
        site.add(&result);
        let picture = site.answer(&get("/fused.jpg", None));
        assert_eq!((picture.status, picture.headers[0].clone()), (200, ("X-Number", "1".to_owned())));
        assert_eq!(image::load_from_memory(&picture.body).unwrap().to_rgb8().dimensions(), (8, 8));
        assert_eq!(site.answer(&get("/fused.jpg?after=1", None)).status, 204);
        let board = Arc::new(Board::default());
        board.made(&result);
        site.attend(&board);
        assert_eq!(site.answer(&get("/startup", None)).status, 200);
        let state: serde_json::Value = serde_json::from_slice(&site.answer(&get("/state.json", None)).body).unwrap();
        assert!(state["last_result_age_s"].as_f64().unwrap() >= 0.0 && state["ready"]["ok"] == true, "{state}");
    }
}
