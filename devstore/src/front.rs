//! What every request passes first and every answer last: the log, the faults, the body's way past s3s.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use s3s::dto::{StreamingBlob, Timestamp, TimestampFormat};
use s3s::host::{S3Host, VirtualHost};
use s3s::service::S3Service;
use s3s::{Body, S3Result, StdError};

use crate::answer::{complete_error, error_answer};
use crate::door::{Door, WholeBody};
use crate::fault::{Plan, What};
use crate::operation::{Target, bucket_of_host};
use crate::receive::{DirectBody, declared_payload_hash};
use crate::record::Log;

/// Largest body that is not data: a Complete of 10,000 parts with checksums takes about 3 MiB.
const DOCUMENT_LIMIT_BYTES: usize = 8 << 20;

/// Largest response that a fault rewrites completely; anything beyond is dropped, which is a fault as well.
const REWRITE_LIMIT_BYTES: usize = 64 << 20;

/// A truncated response announces at least this many bytes, so that an empty one is truncated too.
const TRUNCATED_AT_LEAST_BYTES: usize = 64;

const GARBAGE: &[u8] = b"\x00\xff<<garbage>>\xfe & no answer that anybody asked for";

/// An ETag that no body of any test has.
const WRONG_ETAG: &str = "00000000000000000000000000000bad";

/// The reason why a connection ends without a response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    #[error("cut by a fault")]
    Fault,
    #[error("the request could not be read or answered: {0}")]
    Broken(StdError),
}

/// The store as the listener sees it.
pub(crate) struct Front {
    pub service: S3Service,
    pub door: Door,
    pub domain: Option<String>,
    pub faults: Plan,
    pub log: Log,
}

impl Front {
    /// Answers one request; an error closes the connection.
    pub async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        let (head, body) = request.into_parts();
        let target = Target::parse(&head, self.domain.as_deref());
        let fault = self.faults.decide(&target);
        let sequence = self.log.arrived(&head, &target, fault.clone());
        let request_id = format!("{sequence:016X}");
        let mut answer = match fault {
            None => self.answer(&target, head, body, &request_id).await?,
            Some(fault) => self.answer_with(fault, &target, head, body, &request_id).await?,
        };
        let headers = answer.headers_mut();
        insert(headers, "x-amz-request-id", &request_id);
        insert(headers, "server", "devstore");
        if let Some(date) = self.http_date() {
            insert(headers, "date", &date);
        }
        self.log.answered(sequence, answer.status().as_u16());
        Ok(answer)
    }

    /// Answers without a fault.
    async fn answer(
        &self,
        target: &Target,
        head: http::request::Parts,
        body: Incoming,
        id: &str,
    ) -> Result<Response<Body>, Cut> {
        let mut head = head;
        let signed_whole = declared_payload_hash(&head.headers).is_some()
            || head
                .headers
                .get("x-amz-content-sha256")
                .is_some_and(|hash| hash == "UNSIGNED-PAYLOAD");
        let body = if target.operation.carries_data() && signed_whole {
            head.extensions.insert(DirectBody::new(body));
            Body::empty()
        } else if target.operation.carries_data() {
            Body::from(body)
        } else {
            let mut body = Body::from(body);
            let Ok(bytes) = body.store_all_limited(DOCUMENT_LIMIT_BYTES).await else {
                let message = "Your request was too big, or ended before its announced length.";
                return Ok(error_answer(
                    StatusCode::BAD_REQUEST,
                    "MaxMessageLengthExceeded",
                    message,
                    id,
                ));
            };
            head.extensions.insert(WholeBody(bytes));
            body
        };
        let answered = self.service.call(Request::from_parts(head, body)).await;
        let mut answer = answered.map_err(|error| Cut::Broken(error.into()))?;
        if answer.status().is_client_error() || answer.status().is_server_error() {
            complete_error(&mut answer, id, &self.door.region);
            insert(answer.headers_mut(), "x-amz-bucket-region", &self.door.region);
        }
        Ok(answer)
    }

    async fn answer_with(
        &self,
        fault: What,
        target: &Target,
        head: http::request::Parts,
        body: Incoming,
        id: &str,
    ) -> Result<Response<Body>, Cut> {
        match fault {
            What::Status(status, code) => {
                drain(body).await?;
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Ok(error_answer(status, &code, "A fault of the test store.", id))
            }
            What::OkWithErrorBody(code) => {
                drain(body).await?;
                Ok(error_answer(StatusCode::OK, &code, "A fault of the test store.", id))
            }
            What::Delay(milliseconds) => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                self.answer(target, head, body, id).await
            }
            What::CutBeforeEffect => Err(Cut::Fault),
            What::CutAfterEffect => {
                self.answer(target, head, body, id).await?;
                Err(Cut::Fault)
            }
            What::Hang => {
                drain(body).await?;
                std::future::pending().await
            }
            What::TruncatedBody => truncated(self.answer(target, head, body, id).await?).await,
            What::WrongETag => wrong_etag(self.answer(target, head, body, id).await?).await,
            What::GarbageBody => {
                let mut answer = self.answer(target, head, body, id).await?;
                set_body(&mut answer, Bytes::from_static(GARBAGE));
                Ok(answer)
            }
        }
    }

    /// The store's time as in the `Date` header.
    fn http_date(&self) -> Option<String> {
        let now = u64::try_from(self.door.now_seconds()).ok()?;
        let mut date = Vec::new();
        Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_secs(now))
            .format(TimestampFormat::HttpDate, &mut date)
            .ok()?;
        String::from_utf8(date).ok()
    }
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Reads a body to its end, so that the client gets to read the answer instead of a reset connection.
async fn drain(body: Incoming) -> Result<(), Cut> {
    let mut body = Body::from(body);
    while let Some(bytes) = body.next().await {
        bytes.map_err(Cut::Broken)?;
    }
    Ok(())
}

fn set_body(answer: &mut Response<Body>, bytes: Bytes) {
    answer.headers_mut().remove(http::header::CONTENT_LENGTH);
    *answer.body_mut() = Body::from(bytes);
}

async fn collected(answer: &mut Response<Body>) -> Result<Bytes, Cut> {
    answer
        .body_mut()
        .store_all_limited(REWRITE_LIMIT_BYTES)
        .await
        .map_err(Cut::Broken)
}

/// Announce a whole body, send half of it, cut.
async fn truncated(mut answer: Response<Body>) -> Result<Response<Body>, Cut> {
    let bytes = collected(&mut answer).await?;
    let announced = bytes.len().max(TRUNCATED_AT_LEAST_BYTES);
    // An empty answer may be a 204, which cannot announce a body.
    *answer.status_mut() = if answer.status() == StatusCode::NO_CONTENT {
        StatusCode::OK
    } else {
        answer.status()
    };
    answer
        .headers_mut()
        .insert(http::header::CONTENT_LENGTH, HeaderValue::from(announced));
    let half = bytes.slice(..bytes.len() / 2);
    let pieces = futures::stream::iter([Ok(half), Err(io::Error::other("cut by a fault"))]);
    *answer.body_mut() = Body::from(StreamingBlob::wrap(pieces));
    Ok(answer)
}

/// Replaces the ETag wherever the answer says it.
async fn wrong_etag(mut answer: Response<Body>) -> Result<Response<Body>, Cut> {
    let Some(etag) = answer.headers().get(http::header::ETAG).cloned() else {
        let text = String::from_utf8_lossy(&collected(&mut answer).await?).into_owned();
        if let Some((before, rest)) = text.split_once("<ETag>")
            && let Some((_, after)) = rest.split_once("</ETag>")
        {
            set_body(
                &mut answer,
                format!("{before}<ETag>&quot;{WRONG_ETAG}&quot;</ETag>{after}").into(),
            );
        }
        return Ok(answer);
    };
    // A multipart ETag keeps its form.
    let suffix = etag.to_str().ok().and_then(|etag| {
        etag.trim_matches('"')
            .split_once('-')
            .map(|(_, parts)| format!("-{parts}"))
    });
    insert(
        answer.headers_mut(),
        "etag",
        &format!("\"{WRONG_ETAG}{}\"", suffix.unwrap_or_default()),
    );
    Ok(answer)
}

/// Buckets as host names under one domain; any other host is the store itself.
pub(crate) struct Domain(pub String);

impl S3Host for Domain {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let store = VirtualHost::new(host);
        Ok(match bucket_of_host(host, &self.0) {
            Some(bucket) => store.with_bucket(bucket),
            None => store,
        })
    }
}
