//! The contract's exports. Each first does what the attack has in store for it, and else behaves like an honest plugin
//! that writes one small object.

use std::cell::RefCell;

use crate::attack;
use crate::bindings::batch_export::destination::http::Method;
use crate::bindings::batch_export::destination::types::{Explanation, Failure, Run};
use crate::bindings::exports::batch_export::destination::exporter::{
    AbortedUpload, CheckDepth, CheckStep, Description, ExportedFile, Format, Grant, Guest, LeftOpen, Progress,
    Recovery, Report, RunPlan, SigningScope,
};
use crate::configuration::Configuration;
use crate::store::{self, Draft};

pub struct Hostile;

/// `describe` gets no configuration: the test machinery writes one of `loop`, `trap`, `evil` or `none` over these bytes
/// in the finished component.
static DESCRIBE_ATTACK: [u8; 24] = *b"describe-attack=none....";

thread_local! {
    static CONFIGURATION: RefCell<Configuration> = RefCell::default();
}

impl Guest for Hostile {
    fn describe() -> Description {
        // A copy through a volatile read: the compiler must not know the bytes.
        let mode = std::hint::black_box(&DESCRIBE_ATTACK);
        let mode = String::from_utf8_lossy(&mode[16..20]);
        attack::everywhere(&mode, "describe");
        // Told where nobody shortens it: in the names of formats and in the schema.
        let evil = if mode == "evil" { attack::EVIL } else { "" };
        let property = serde_json::json!({ evil: { "type": evil, "default": evil } });
        let schema = match evil {
            "" => serde_json::json!({ "type": "object" }),
            _ => serde_json::json!({ "type": "object", "properties": property }),
        };
        Description {
            name: "hostile".into(),
            version: "0.0.1".into(),
            summary: "Misbehaves as its configuration says".into(),
            configuration_schema: schema.to_string(),
            formats: vec![Format {
                name: format!("bytes{evil}"),
                compressions: vec![format!("none{evil}")],
            }],
            memory_limit_bytes: 64 << 20,
            requests_in_flight: 4,
            payload_limit_bytes: 64 << 20,
        }
    }

    fn plan(configuration: String, run: Run) -> Result<RunPlan, Failure> {
        let configuration = Configuration::parse(&configuration, &run);
        attack::everywhere(&configuration.attack, "plan");
        attack::in_plan(&configuration, honest_plan(&configuration))
    }

    fn check(configuration: String, run: Run, _depth: CheckDepth) -> Result<Vec<CheckStep>, Failure> {
        attack::everywhere(&Configuration::parse(&configuration, &run).attack, "check");
        Ok(Vec::new())
    }

    fn configure(configuration: String, run: Run, _schema: Vec<u8>) -> Result<(), Failure> {
        let configuration = Configuration::parse(&configuration, &run);
        attack::everywhere(&configuration.attack, "configure");
        CONFIGURATION.set(configuration);
        Ok(())
    }

    fn encode_batch(_messages: Vec<u8>) -> Result<Progress, Failure> {
        let configuration = CONFIGURATION.with_borrow(Clone::clone);
        attack::everywhere(&configuration.attack, "encode-batch");
        attack::in_batch(&configuration)?;
        Ok(Progress {
            rows: configuration.rows,
            bytes: 0,
            files: 0,
        })
    }

    fn finish(_rows: u64) -> Result<Report, Failure> {
        let configuration = CONFIGURATION.with_borrow(Clone::clone);
        attack::everywhere(&configuration.attack, "finish");
        let report = honest_report(&configuration)?;
        attack::in_report(&configuration, report)
    }

    fn recover(configuration: String, run: Run, notes: Vec<Vec<u8>>) -> Result<Recovery, Failure> {
        let configuration = Configuration::parse(&configuration, &run);
        attack::everywhere(&configuration.attack, "recover");
        let mut recovery = Recovery {
            aborted: Vec::new(),
            left_open: Vec::new(),
        };
        for note in notes {
            let id = String::from_utf8_lossy(&note).into_owned();
            match store::abort_upload(&configuration, &id) {
                Ok(204 | 404) => recovery.aborted.push(AbortedUpload {
                    key: configuration.key(),
                    upload_id: id,
                }),
                Ok(status) => recovery
                    .left_open
                    .push(left_open(&configuration, id, format!("status {status}"))),
                Err(why) => recovery.left_open.push(left_open(&configuration, id, why)),
            }
        }
        Ok(recovery)
    }
}

fn left_open(configuration: &Configuration, id: String, why: String) -> LeftOpen {
    LeftOpen {
        key: Some(configuration.key()),
        upload_id: Some(id),
        reason: said(why),
    }
}

/// Says what happened; a hostile plugin has no advice.
pub fn said(message: impl Into<String>) -> Explanation {
    Explanation {
        message: message.into(),
        hint: None,
    }
}

/// What an honest plugin asks for: its own run's keys in its own bucket, and multipart uploads there.
fn honest_plan(configuration: &Configuration) -> RunPlan {
    let grant = |operation: &str, method: Method, query: &[&str]| Grant {
        operation: operation.into(),
        method,
        origin: configuration.endpoint_url.clone(),
        path_prefix: format!(
            "/{}/{}{}",
            configuration.bucket_name, configuration.prefix, configuration.stem
        ),
        query: query.iter().map(|key| key.to_string()).collect(),
        headers: ["authorization", "x-amz-content-sha256", "x-amz-date"]
            .map(str::to_owned)
            .to_vec(),
    };
    RunPlan {
        keys: vec![configuration.key()],
        manifest_key: None,
        settings: Vec::new(),
        part_size_bytes: 5 << 20,
        requests_in_flight: 4,
        memory_bytes: 64 << 20,
        payload_bytes: 64 << 20,
        grants: vec![
            grant("PutObject", Method::Put, &[]),
            grant("CreateMultipartUpload", Method::Post, &["uploads"]),
            grant("AbortMultipartUpload", Method::Delete, &["uploadId"]),
        ],
        signing: vec![SigningScope {
            service: "s3".into(),
            region: configuration.region.clone(),
        }],
        required_columns: Vec::new(),
    }
}

/// Write the one object, and say so.
fn honest_report(configuration: &Configuration) -> Result<Report, Failure> {
    let mut draft = Draft::new(Method::Put, configuration.url());
    draft.body = b"harmless".to_vec();
    let bytes = draft.body.len() as u64;
    let answer = store::call(configuration, draft)
        .map_err(|error| Failure::Refused(said(format!("PUT {}: {error:?}", configuration.key()))))?;
    if answer.status != 200 {
        let body = String::from_utf8_lossy(&answer.body);
        return Err(Failure::Refused(said(format!("PUT: status {}: {body}", answer.status))));
    }
    let etag = answer.headers.iter().find(|(name, _)| name == "etag");
    Ok(Report {
        rows_received: configuration.rows,
        rows_exported: configuration.rows,
        rows_filtered: 0,
        bytes_encoded: bytes,
        files: vec![ExportedFile {
            key: configuration.key(),
            rows: configuration.rows,
            bytes,
            etag: etag.map(|(_, value)| value.clone()).unwrap_or_default(),
        }],
        manifest_key: None,
        repairs: Vec::new(),
        requests: 1,
        retries: 0,
        warnings: Vec::new(),
    })
}
