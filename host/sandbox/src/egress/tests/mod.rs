//! The egress rules, honest and hostile: what tests of plans, requests and addresses share.

mod addresses;
mod plans;
mod requests;

use serde_json::{Value, json};

use super::policy::{OperatorLists, Policy, PolicyError};
use super::protocol::Protocol;
use super::*;
use crate::contract::{Interval, Run};

fn configuration() -> Value {
    json!({
        "bucket_name": "reports", "region": "eu-central-1", "prefix": "exports/{table}/",
        "endpoint_url": "https://store.example.com:9000",
    })
}

fn grant(method: &str, origin: &str, path: &str, query: &[&str], headers: &[&str]) -> Grant {
    let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    Grant {
        operation: "Probe".to_owned(),
        method: method.to_owned(),
        origin: origin.to_owned(),
        path_prefix: path.to_owned(),
        query: owned(query),
        headers: owned(headers),
    }
}

fn decide(configuration: &Value, lists: &OperatorLists, grant: Grant) -> Result<Grants, String> {
    let policy = Policy::with_head(Protocol::S3, configuration, lists, "exports/").unwrap();
    Grants::decide(&[grant], &[], &policy).map_err(|e| e.to_string())
}

fn run() -> Run {
    Run {
        id: "r".to_owned(),
        attempt: "1".to_owned(),
        model: "events".to_owned(),
        interval: Interval {
            start_micros: Some(1_690_502_400_000_000),
            end_micros: 1_690_506_000_000_000,
        },
    }
}

fn policy_of(configuration: &Value, lists: &OperatorLists) -> Result<Policy, PolicyError> {
    Policy::for_run(Protocol::S3, configuration, lists, &run())
}

const STORE: &str = "https://store.example.com:9000";
