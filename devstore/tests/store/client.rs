//! A client of few words: requests signed by the `aws-sigv4` crate, every part of which a test can spoil.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use devstore::DevStore;

pub struct Client {
    pub endpoint: String,
    pub access_key: String,
    pub secret_key: String,
    pub token: Option<String>,
    pub region: String,
    pub time: SystemTime,
    /// Sign this payload hash instead of the body's.
    pub payload_hash: Option<String>,
    /// Headers added after signing.
    pub unsigned_headers: Vec<(String, String)>,
    pub http: reqwest::Client,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first element of this name.
    pub fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.replace("&quot;", "\""))
    }

    pub fn code(&self) -> String {
        self.element("Code").unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Makes the process's TLS library usable; the second call finds it done.
pub fn install_crypto() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

impl Client {
    pub fn new(store: &DevStore) -> Self {
        install_crypto();
        Self {
            endpoint: store.endpoint(),
            access_key: "test-access-key".into(),
            secret_key: "test-secret-key".into(),
            token: None,
            region: "us-east-1".into(),
            time: SystemTime::now(),
            payload_hash: None,
            unsigned_headers: Vec::new(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub fn later(mut self, seconds: i64) -> Self {
        let offset = Duration::from_secs(seconds.unsigned_abs());
        self.time = if seconds < 0 {
            self.time - offset
        } else {
            self.time + offset
        };
        self
    }

    /// Send; `path` begins with the bucket and may have a query.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body).await.unwrap()
    }

    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> reqwest::Result<Answer> {
        let url = format!("{}/{path}", self.endpoint);
        let credentials = Credentials::new(&self.access_key, &self.secret_key, self.token.clone(), None, "test").into();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let parameters = v4::SigningParams::builder()
            .identity(&credentials)
            .region(&self.region)
            .name("s3")
            .time(self.time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let payload = match self.payload_hash.as_deref() {
            None => SignableBody::Bytes(body),
            Some("UNSIGNED-PAYLOAD") => SignableBody::UnsignedPayload,
            Some(hash) => SignableBody::Precomputed(hash.to_owned()),
        };
        let request = SignableRequest::new(method, &url, headers.iter().copied(), payload).unwrap();
        let (instructions, _) = sign(request, &parameters).unwrap().into_parts();
        let mut request = http::Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.to_vec()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        for (name, value) in &self.unsigned_headers {
            request
                .headers_mut()
                .insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let answer = self.http.execute(reqwest::Request::try_from(request).unwrap()).await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer {
            status,
            headers,
            body: answer.bytes().await?.to_vec(),
        })
    }
}
