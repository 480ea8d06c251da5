//! Error responses in S3's form; never decides whether there is an error.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use s3s::{Body, S3Error, S3ErrorCode};

/// An error whose code s3s has no name for, or another status than s3s would give it.
pub(crate) fn refusal(status: u16, code: &str, message: impl Into<Cow<'static, str>>) -> S3Error {
    let Ok(code) = code.parse::<S3ErrorCode>();
    let mut error = S3Error::with_message(code, message);
    error.set_status_code(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    error
}

/// A complete error answer.
pub(crate) fn error_answer(status: StatusCode, code: &str, message: &str, request_id: &str) -> Response<Body> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message><RequestId>{request_id}</RequestId></Error>",
        escaped(code),
        escaped(message),
    );
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}

/// Gives s3s's errors what clients look for in S3's: the request id and, for a wrong region, the right one.
pub(crate) fn complete_error(answer: &mut Response<Body>, request_id: &str, region: &str) {
    let Some(text) = answer
        .body()
        .bytes()
        .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
    else {
        return;
    };
    let Some(head) = text.strip_suffix("</Error>") else {
        return;
    };
    let region = match text.contains("<Code>AuthorizationHeaderMalformed</Code>") {
        true => format!("<Region>{}</Region>", escaped(region)),
        false => String::new(),
    };
    let text = format!("{head}{region}<RequestId>{request_id}</RequestId></Error>");
    answer.headers_mut().remove(http::header::CONTENT_LENGTH);
    *answer.body_mut() = Body::from(Bytes::from(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
