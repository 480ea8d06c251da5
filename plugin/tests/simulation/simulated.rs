//! The host's side of the contract over a simulated network: time is a number, and a plan of faults decides what
//! happens to each request. Also enforces what a real host would: the plan's grants, and the limits on requests and
//! payloads in flight.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chrono::DateTime;
use s3_destination::config;
use s3_destination::failure::Explanation;
use s3_destination::imports::{
    DigestAlgorithm, Imports, Level, NoteError, Refresh, Request, Response, ScopedKey, SignerError, TransportError,
};
use s3_destination::plan::{Grant, plan};
use s3_destination::s3::client::{Client, REQUESTS_IN_FLIGHT};
use s3_destination::s3::request::Target;
use s3_destination::settings::{Interval, Run, Settings};
use s3_destination::upload::{Limits, Uploads};

use crate::digests::digest;
pub use crate::faults::{Fault, Faults, no_faults};
pub use crate::random::Random;
use crate::store::{Arrived, Store, error, xml};
use crate::verify;

pub const SECRET: &str = "canary/secret+key";
pub const REGION: &str = "eu-test-1";
/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;

pub struct World {
    pub store: RefCell<Store>,
    pub rng: RefCell<Random>,
    faults: RefCell<Faults>,
    seen: RefCell<BTreeMap<&'static str, usize>>,
    grants: Vec<Grant>,
    now_ms: Cell<u64>,
    in_flight: RefCell<BTreeMap<u64, Flight>>,
    next_id: Cell<u64>,
    /// Of payloads that are no larger than a part: documents are bounded by what they hold.
    payload_bytes: Cell<usize>,
    pub most_payload_bytes: Cell<usize>,
    /// What the host was asked to compute, in order.
    pub digests: RefCell<Vec<DigestAlgorithm>>,
    /// How many of them were waited for.
    pub computed: Cell<usize>,
    pub most_in_flight: Cell<usize>,
    /// Operations as they arrived.
    pub arrived: RefCell<Vec<&'static str>>,
    /// The longest time that a request was given.
    pub most_timeout_ms: Cell<u32>,
    pub notes: RefCell<Vec<Vec<u8>>>,
    pub notes_fail: RefCell<Option<NoteError>>,
    /// How many notes the host keeps.
    pub notes_limit: Cell<usize>,
    pub log: RefCell<Vec<String>>,
    /// The host's clock minus the store's.
    pub skew_s: Cell<i64>,
    /// Number of the host's credentials, and the lowest that the store still takes.
    pub credentials: Cell<u64>,
    pub credentials_valid_from: Cell<u64>,
    pub refreshes: Cell<usize>,
    /// Operations that the store denies.
    pub denied: RefCell<BTreeSet<&'static str>>,
}

struct Flight {
    due_ms: u64,
    request: Option<Arrived>,
    answer: Option<Result<Response, TransportError>>,
}

impl World {
    pub fn new(seed: u64, settings: &Settings, run: &Run, faults: Faults) -> Rc<Self> {
        Rc::new(World {
            store: RefCell::new(Store {
                bucket: settings.bucket.clone(),
                ..Store::default()
            }),
            rng: RefCell::new(Random::new(seed)),
            faults: RefCell::new(faults),
            seen: RefCell::default(),
            grants: plan(settings, run).unwrap().grants,
            now_ms: Cell::new(0),
            in_flight: RefCell::default(),
            next_id: Cell::new(0),
            payload_bytes: Cell::new(0),
            most_payload_bytes: Cell::new(0),
            digests: RefCell::default(),
            computed: Cell::new(0),
            most_in_flight: Cell::new(0),
            arrived: RefCell::default(),
            most_timeout_ms: Cell::new(0),
            notes: RefCell::default(),
            notes_fail: RefCell::default(),
            notes_limit: Cell::new(usize::MAX),
            log: RefCell::default(),
            skew_s: Cell::new(0),
            credentials: Cell::new(0),
            credentials_valid_from: Cell::new(0),
            refreshes: Cell::new(0),
            denied: RefCell::default(),
        })
    }

    pub fn set_faults(&self, faults: Faults) {
        *self.faults.borrow_mut() = faults;
    }

    pub fn open_uploads(&self) -> Vec<(String, String)> {
        let store = self.store.borrow();
        store
            .uploads
            .iter()
            .map(|(id, upload)| (id.clone(), upload.key.clone()))
            .collect()
    }

    /// How often an operation arrived.
    pub fn count(&self, operation: &str) -> usize {
        self.arrived
            .borrow()
            .iter()
            .filter(|other| **other == operation)
            .count()
    }

    fn check_grants(&self, request: &Arrived) {
        let (origin, rest) = request.url.split_at(request.url[8..].find('/').unwrap() + 8);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut keys: Vec<&str> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split('=').next().unwrap())
            .collect();
        keys.sort_unstable();
        let covers = |grant: &Grant| {
            let mut granted: Vec<&str> = grant.query.iter().map(String::as_str).collect();
            granted.sort_unstable();
            grant.method.as_str() == request.method
                && grant.origin == origin
                && path.starts_with(&grant.path_prefix)
                && granted == keys
                && request.headers.iter().all(|(name, _)| grant.headers.contains(name))
        };
        assert!(
            self.grants.iter().any(covers),
            "no grant covers {} {}\nheaders {:?}",
            request.method,
            request.url,
            request.headers.iter().map(|(name, _)| name).collect::<Vec<_>>()
        );
    }

    /// What the store makes of a request that arrived.
    fn handle(&self, request: &Arrived) -> Response {
        let operation = request.operation();
        self.arrived.borrow_mut().push(operation);
        let claim = verify::verify(
            request.method,
            &request.url,
            &request.headers,
            &request.body,
            SECRET,
            REGION,
        );
        let signed_at = chrono::NaiveDateTime::parse_from_str(&claim.date_time, "%Y%m%dT%H%M%SZ").unwrap();
        if (signed_at.and_utc().timestamp() - NOW).abs() > 15 * 60 {
            return error(403, "RequestTimeTooSkewed");
        }
        let number: u64 = claim.access_key_id.strip_prefix("AK").unwrap().parse().unwrap();
        if number < self.credentials_valid_from.get() {
            return error(400, "ExpiredToken");
        }
        if self.denied.borrow().contains(operation) {
            return error(403, "AccessDenied");
        }
        self.store.borrow_mut().handle(request)
    }

    fn answer(&self, request: &Arrived) -> Result<Response, TransportError> {
        let operation = request.operation();
        let count = {
            let mut seen = self.seen.borrow_mut();
            let count = seen.entry(operation).or_default();
            *count += 1;
            *count
        };
        let fault = (self.faults.borrow_mut())(operation, count);
        let mut answer = self.answer_with(request, fault);
        if operation == "HeadObject"
            && let Ok(response) = &mut answer
        {
            // HEAD has no body, and so no code and no message.
            response.body.clear();
        }
        answer
    }

    fn answer_with(&self, request: &Arrived, fault: Option<Fault>) -> Result<Response, TransportError> {
        let Some(fault) = fault else {
            return Ok(self.handle(request));
        };
        let page = |status| {
            xml(
                status,
                "<!DOCTYPE html><html><body>\u{7}Bad gateway</body></html>".into(),
            )
        };
        match fault {
            Fault::Forbidden(why, hint) => Err(TransportError::Forbidden(
                Explanation::new(why).with_hint(hint.to_owned()),
            )),
            Fault::Unconnected => Err(TransportError::Connect("refused".into())),
            Fault::AnswerLost | Fault::AnswerLate => {
                self.handle(request);
                Err(match fault {
                    Fault::AnswerLost => TransportError::Interrupted("reset".into()),
                    _ => TransportError::Timeout("too late".into()),
                })
            }
            Fault::Twice => {
                self.handle(request);
                Ok(self.handle(request))
            }
            Fault::Error(status, code) => Ok(error(status, code)),
            Fault::ErrorAfter(status, code) => {
                self.handle(request);
                Ok(error(status, code))
            }
            Fault::Page(status) => Ok(page(status)),
            Fault::PageAfter(status) => {
                self.handle(request);
                Ok(page(status))
            }
            Fault::WrongEtag => {
                let mut response = self.handle(request);
                for (name, value) in &mut response.headers {
                    if name == "etag" {
                        *value = "\"00000000000000000000000000000000\"".into();
                    }
                }
                Ok(response)
            }
        }
    }

    /// Let the request that is due first arrive; false when all have.
    fn step(&self) -> bool {
        let first = {
            let in_flight = self.in_flight.borrow();
            let waiting = in_flight.iter().filter(|(_, flight)| flight.request.is_some());
            waiting
                .min_by_key(|(id, flight)| (flight.due_ms, **id))
                .map(|(id, flight)| (*id, flight.due_ms))
        };
        let Some((id, due_ms)) = first else {
            return false;
        };
        self.now_ms.set(self.now_ms.get().max(due_ms));
        let request = self
            .in_flight
            .borrow_mut()
            .get_mut(&id)
            .unwrap()
            .request
            .take()
            .unwrap();
        let answer = self.answer(&request);
        self.in_flight.borrow_mut().get_mut(&id).unwrap().answer = Some(answer);
        true
    }
}

/// What the plugin is given; clones share the world.
#[derive(Clone)]
pub struct Host(pub Rc<World>);

pub struct Payload {
    bytes: Vec<u8>,
    digests: Vec<DigestAlgorithm>,
    world: Rc<World>,
}

/// How much of a payload counts: documents, which no part of these tests is as large as, do not.
fn counted(bytes: &[u8]) -> usize {
    match bytes.len() {
        bytes if bytes <= LIMITS.part_size_bytes => bytes,
        _ => 0,
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let held = &self.world.payload_bytes;
        held.set(held.get() - counted(&self.bytes));
    }
}

pub struct Exchange(u64, Rc<World>);

/// Dropping cancels: the request may have been on its way.
impl Drop for Exchange {
    fn drop(&mut self) {
        let flight = self.1.in_flight.borrow_mut().remove(&self.0);
        if let Some(Flight {
            request: Some(request), ..
        }) = flight
        {
            match self.1.rng.borrow_mut().below(3) {
                0 => drop(self.1.handle(&request)),
                1 if request.operation() == "UploadPart" => {
                    let id = request.query("uploadId");
                    self.1.store.borrow_mut().late_parts.insert(id);
                }
                _ => {}
            }
        }
    }
}

impl Imports for Host {
    type Payload = Payload;
    type Exchange = Exchange;

    fn payload(&self, bytes: Vec<u8>, digests: &[DigestAlgorithm]) -> Payload {
        self.0.digests.borrow_mut().extend(digests);
        let (held, most) = (&self.0.payload_bytes, &self.0.most_payload_bytes);
        held.set(held.get() + counted(&bytes));
        most.set(most.get().max(held.get()));
        Payload {
            bytes,
            digests: digests.to_vec(),
            world: self.0.clone(),
        }
    }

    /// What was not asked for in time would not overlap anything.
    fn digest(&self, payload: &Payload, algorithm: DigestAlgorithm) -> Vec<u8> {
        assert!(payload.digests.contains(&algorithm), "{algorithm:?}");
        self.0.computed.set(self.0.computed.get() + 1);
        digest(algorithm, &payload.bytes)
    }

    fn send(&self, request: Request<'_, Payload>) -> Exchange {
        let world = &self.0;
        let arrived = Arrived {
            method: request.method.as_str(),
            url: request.url,
            headers: request.headers,
            body: request.body.map_or_else(Vec::new, |payload| payload.bytes.clone()),
        };
        world.check_grants(&arrived);
        let most_timeout_ms = world.most_timeout_ms.get().max(request.timeout_ms);
        world.most_timeout_ms.set(most_timeout_ms);
        let id = world.next_id.get();
        world.next_id.set(id + 1);
        let due_ms = world.now_ms.get() + u64::from(request.delay_ms) + world.rng.borrow_mut().below(50);
        let mut in_flight = world.in_flight.borrow_mut();
        in_flight.insert(
            id,
            Flight {
                due_ms,
                request: Some(arrived),
                answer: None,
            },
        );
        assert!(
            in_flight.len() <= REQUESTS_IN_FLIGHT,
            "more requests in flight than announced"
        );
        let most = world.most_in_flight.get().max(in_flight.len());
        world.most_in_flight.set(most);
        Exchange(id, world.clone())
    }

    fn wait(&self, exchange: Exchange) -> Result<Response, TransportError> {
        loop {
            if let Some(answer) = self
                .0
                .in_flight
                .borrow_mut()
                .get_mut(&exchange.0)
                .unwrap()
                .answer
                .take()
            {
                return answer;
            }
            assert!(self.0.step());
        }
    }

    fn wait_any(&self, exchanges: &[&Exchange]) -> usize {
        assert!(!exchanges.is_empty());
        loop {
            let ready = |exchange: &&Exchange| self.0.in_flight.borrow()[&exchange.0].answer.is_some();
            if let Some(index) = exchanges.iter().position(ready) {
                return index;
            }
            assert!(self.0.step());
        }
    }

    fn scoped_key(&self, service: &str, region: &str, refresh: Refresh) -> Result<ScopedKey, SignerError> {
        let world = &self.0;
        assert_eq!((service, region), ("s3", REGION));
        match refresh {
            Refresh::None => {}
            Refresh::Expired => {
                world.credentials.set(world.credentials.get() + 1);
                world.refreshes.set(world.refreshes.get() + 1);
            }
            Refresh::Skewed => world.skew_s.set(0),
        }
        let timestamp = NOW + world.skew_s.get();
        let date = DateTime::from_timestamp(timestamp, 0)
            .unwrap()
            .format("%Y%m%d")
            .to_string();
        Ok(ScopedKey {
            access_key_id: format!("AK{}", world.credentials.get()),
            session_token: Some(format!("token {}", world.credentials.get())),
            timestamp,
            key: verify::scoped_key(SECRET, &date, region),
        })
    }

    fn note(&self, note: &[u8], _durable: bool) -> Result<(), NoteError> {
        if let Some(error) = &*self.0.notes_fail.borrow() {
            return Err(error.clone());
        }
        assert!(note.len() <= 4_096);
        if self.0.notes.borrow().len() >= self.0.notes_limit.get() {
            return Err(NoteError::UsedUp("limit `notes`".into()));
        }
        self.0.notes.borrow_mut().push(note.to_vec());
        Ok(())
    }

    fn log(&self, _level: Level, message: &str) {
        assert!(!message.contains(SECRET));
        self.0.log.borrow_mut().push(message.to_owned());
    }
}

pub fn run(attempt: &str) -> Run {
    Run {
        id: "run-1".into(),
        attempt: attempt.into(),
        model: "events".into(),
        interval: Interval {
            start_micros: Some(0),
            end_micros: 3_600_000_000,
        },
        plugin_digest: String::new(),
        time_limit_seconds: None,
    }
}

/// Settings from a configuration with these fields besides the required ones.
pub fn settings(fields: &str) -> Settings {
    let json = format!(
        r#"{{"bucket_name": "bucket", "region": "{REGION}", "prefix": "t ä+b/", "max_file_size_mb": 1,
            "endpoint_url": "https://store.test:9000"{}{fields}}}"#,
        if fields.is_empty() { "" } else { ", " }
    );
    config::parse(&json).unwrap()
}

pub const LIMITS: Limits = Limits {
    part_size_bytes: 16,
    max_parts: 8,
    reserve_bytes: 20,
    max_files: 100,
};

pub fn uploads(world: &Rc<World>, settings: &Settings, run: &Run) -> Uploads<Host> {
    Uploads::new(
        Client::new(Rc::new(Host(world.clone())), Target::new(settings, run)),
        LIMITS,
    )
}
