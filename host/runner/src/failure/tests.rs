//! What typed errors become: their class, code, message and hint, as text and as JSON.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::config::ConfigError;
use batch_export_sandbox::contract::Failure as PluginFailure;
use batch_export_sandbox::{CallError, Crash, LoadError};
use batch_export_source::SourceError;
use batch_export_system::explain::Cause;
use batch_export_system::private::PrivateError;

#[test]
fn every_kind_of_end_is_told_apart() {
    let crashed = |cause| {
        Failure::from(CallError::Crashed {
            export: "finish",
            cause,
        })
    };
    let defect = "report it: this is a defect of the plugin or of this host";
    let cases = [
        (
            Failure::state(Path::new("state/runs"), PrivateError::NotFolder),
            FailureClass::Failed,
            FailureCode::STATE_UNUSABLE,
            "cannot keep state in state/runs: it is not a folder",
            Some("let `state_dir` name another folder"),
        ),
        (
            Failure::in_progress(Path::new("state/runs/a/lock")),
            FailureClass::Retryable,
            FailureCode::RUN_IN_PROGRESS,
            "another process is already exporting or checking this interval, and holds state/runs/a/lock",
            Some("wait for it to finish"),
        ),
        (
            Failure::timed_out(Duration::from_secs(60)),
            FailureClass::TimedOut,
            FailureCode::RUN_TIMED_OUT,
            "the run took longer than 60 s",
            Some("raise `run_time_s` in the destination's `limits`, or export shorter intervals"),
        ),
        (
            Failure::cancelled(),
            FailureClass::Cancelled,
            FailureCode::CANCELLED,
            "interrupted",
            None,
        ),
        (
            Failure::shut_down("SIGTERM"),
            FailureClass::ShutDown,
            FailureCode::SHUT_DOWN,
            "terminated by SIGTERM",
            Some("run it again"),
        ),
        (
            Failure::load("x.wasm", LoadError::NotWasm),
            FailureClass::Configuration,
            FailureCode::COMPONENT_UNUSABLE,
            "cannot load x.wasm: not a WebAssembly file: it does not begin with `\\0asm`",
            Some("specify a destination component such as s3_destination.wasm"),
        ),
        (
            Failure::from(SourceError::Miscounted {
                path: PathBuf::from("a.csv"),
                what: "records",
                read: 9,
                counted: 10,
            }),
            FailureClass::Defect,
            FailureCode::SOURCE_MISCOUNTED,
            "",
            None,
        ),
        (
            Failure::from(CallError::Failed(PluginFailure::Defect("a part is missing".to_owned()))),
            FailureClass::Defect,
            FailureCode::PLUGIN_DEFECT,
            "a part is missing",
            Some(defect),
        ),
        (
            crashed(Crash::Panic("index out of bounds".to_owned())),
            FailureClass::Defect,
            FailureCode::PLUGIN_CRASHED,
            "the plugin's `finish` panicked: index out of bounds",
            Some(defect),
        ),
        (
            crashed(Crash::Cancelled),
            FailureClass::Cancelled,
            FailureCode::CANCELLED,
            "interrupted",
            None,
        ),
    ];
    for (failure, class, code, message, hint) in cases {
        assert_eq!((failure.class(), failure.code()), (class, code), "{failure}");
        // Messages of sources are pinned where they are made.
        if !message.is_empty() {
            assert_eq!((failure.message(), failure.hint()), (message, hint));
        }
    }
}

#[test]
fn a_failure_is_one_object_and_keeps_its_cause() {
    let failure = Failure::from(ConfigError::NotText {
        path: PathBuf::from("x.toml"),
    })
    .leaving_open(vec![LeftOpen {
        key: Some("x/a".to_owned()),
        upload_id: Some("id".to_owned()),
        reason: "403".to_owned(),
        hint: Some("grant it".to_owned()),
        earlier_configuration: None,
    }]);
    assert_eq!(
        serde_json::to_value(&failure).expect("JSON"),
        json!({
            "class": "configuration",
            "code": "configuration_unreadable",
            "message": "the configuration x.toml is not valid UTF-8",
            "hint": "save it as UTF-8",
            "excerpt": null,
            "retry_after_ms": null,
            "problems": [],
            "left_open": [{
                "key": "x/a",
                "upload_id": "id",
                "reason": "403",
                "hint": "grant it",
                "earlier_configuration": null,
            }],
        })
    );
    let source = failure.source().expect("a cause");
    assert!(source.downcast_ref::<ConfigError>().is_some(), "{source}");
}

#[test]
fn how_long_the_store_asked_to_be_left_alone_is_kept() {
    let failure = Failure::from(CallError::Failed(PluginFailure::Unavailable {
        reason: Cause::new("the store is busy").with_hint("retry later"),
        retry_after_ms: Some(1_500),
    }));
    assert_eq!(failure.class(), FailureClass::Retryable);
    assert_eq!(failure.retry_after(), Some(Duration::from_millis(1_500)));
    let json = serde_json::to_value(&failure).expect("JSON");
    assert_eq!(json["retry_after_ms"], 1_500);
    assert_eq!(json["hint"], "retry later");
}
