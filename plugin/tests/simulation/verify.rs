//! Checks a request's signature from nothing but the request as received and the secret: shares no code with the
//! plugin's signer.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};
use url::Url;

/// All but the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The key that the host would give the plugin.
pub fn scoped_key(secret: &str, date: &str, region: &str) -> Vec<u8> {
    let key = hmac(format!("AWS4{secret}").as_bytes(), date);
    let key = hmac(&key, region);
    let key = hmac(&key, "s3");
    hmac(&key, "aws4_request")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// What the request claims to be signed with.
pub struct Claim {
    pub access_key_id: String,
    pub date_time: String,
}

/// Panics with what is wrong, because only a defect of the plugin makes a wrong signature here.
pub fn verify(method: &str, url: &str, headers: &[(String, String)], body: &[u8], secret: &str, region: &str) -> Claim {
    let url = Url::parse(url).unwrap();
    let mut received: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        assert_eq!(*name, name.to_lowercase());
        assert!(
            received.insert(name.clone(), value.trim().to_owned()).is_none(),
            "{name} is sent twice"
        );
    }
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap()),
        None => url.host_str().unwrap().to_owned(),
    };
    received.insert("host".into(), host);

    let authorization = received.remove("authorization").expect("a signed request");
    let fields: BTreeMap<&str, &str> = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .expect("the algorithm")
        .split(',')
        .map(|field| field.trim().split_once('=').unwrap())
        .collect();
    let credential: Vec<&str> = fields["Credential"].split('/').collect();
    let [access_key_id, date, scope_region, "s3", "aws4_request"] = credential[..] else {
        panic!("scope {credential:?}");
    };
    assert_eq!(scope_region, region);
    let signed: Vec<&str> = fields["SignedHeaders"].split(';').collect();
    for name in received.keys() {
        let must = name.starts_with("x-amz-") || name == "host" || name == "content-type";
        assert!(!must || signed.contains(&name.as_str()), "{name} is not signed");
    }

    let hash = &received["x-amz-content-sha256"];
    if hash != "UNSIGNED-PAYLOAD" {
        assert_eq!(*hash, sha256_hex(body), "the payload hash");
    }
    let mut query: Vec<(String, String)> = url
        .query()
        .unwrap_or("")
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let escape = |text: &str| {
                let text = percent_decode_str(text).decode_utf8().unwrap().into_owned();
                utf8_percent_encode(&text, ESCAPED).to_string()
            };
            (escape(name), escape(value))
        })
        .collect();
    query.sort();
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let lines: String = signed
        .iter()
        .map(|name| format!("{name}:{}\n", received[*name]))
        .collect();
    let canonical = format!(
        "{method}\n{}\n{}\n{lines}\n{}\n{hash}",
        url.path(),
        query.join("&"),
        signed.join(";")
    );
    let date_time = received["x-amz-date"].clone();
    assert!(date_time.starts_with(date), "{date_time} is not on {date}");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date_time}\n{date}/{region}/s3/aws4_request\n{}",
        sha256_hex(canonical.as_bytes())
    );
    let expected = hex(&hmac(&scoped_key(secret, date, region), &to_sign));
    assert_eq!(fields["Signature"], expected, "the signature of\n{canonical}");
    Claim {
        access_key_id: access_key_id.to_owned(),
        date_time,
    }
}
