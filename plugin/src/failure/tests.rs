//! That what happened and what to do are told apart in everything that the plugin says. Runs nothing.

use super::*;
use crate::encode::{EncodeError, UnsupportedColumn};
use crate::imports::NoteError;
use crate::s3::error::{Cause, Class, ErrorReply, S3Error};
use crate::s3::request::Operation;
use crate::s3::retry;
use crate::upload::UploadError;

#[test]
fn a_remark_adds_to_the_message_and_its_hint_to_the_hint() {
    let explained = |message: &str, hint: Option<&str>| Explanation::new(message).with_hint(hint.map(str::to_owned));
    let told = explained("a", Some("do x"));
    for (remark, message, hint) in [
        (explained("b", None), "a; b", "do x"),
        (explained("b", Some("do y")), "a; b", "do x; do y"),
        (explained("b", Some("do x")), "a; b", "do x"),
    ] {
        assert_eq!(told.clone().with_remark(&remark), explained(message, Some(hint)));
        let unavailable = |reason| Failure::Unavailable {
            reason,
            retry_after_ms: Some(7),
        };
        let remarked = unavailable(told.clone()).with_remark(&remark);
        assert_eq!(remarked, unavailable(explained(message, Some(hint))));
    }
    let defect = Failure::Defect("a".into()).with_remark(&explained("b", Some("do y")));
    assert_eq!(defect, Failure::Defect("a; b".into()));
}

/// Words with which an instruction begins.
const INSTRUCTIONS: [&str; 29] = [
    "add", "allow", "ask", "check", "choose", "convert", "correct", "create", "delete", "export", "free", "grant",
    "let", "lower", "move", "name", "omit", "put", "raise", "remove", "rename", "renew", "restore", "retry", "select",
    "set", "shorten", "supply", "write",
];

/// Returns the first clause of a text that tells somebody to do something.
fn instruction(text: &str) -> Option<&str> {
    let clauses = text.split(['.', ';', ':', ',', '(']).map(str::trim_start);
    clauses
        .map(|clause| clause.strip_prefix("or ").unwrap_or(clause))
        .find(|clause| INSTRUCTIONS.contains(&clause.split(' ').next().unwrap_or_default()))
}

/// One of every kind of error, and what is told of it.
fn everything() -> Vec<Explanation> {
    let key = || "x/a".to_owned();
    let why = || "why".to_owned();
    let put = Operation::PutObject {
        key: key(),
        content_type: "text/plain",
    };
    let answered = |status: u16, code: &str| {
        let reply = ErrorReply {
            status,
            code: (!code.is_empty()).then(|| code.to_owned()),
            region: Some("eu-west-3".to_owned()),
            ..ErrorReply::default()
        };
        S3Error::sample(&put, Cause::Error(reply))
    };
    let codes = retry::CODES
        .iter()
        .map(|(code, _)| *code)
        .chain(retry::PERMANENT.iter().copied());
    let mut told: Vec<Explanation> = codes.map(|code| answered(400, code).explanation()).collect();
    told.extend((100..600).map(|status| answered(status, "").explanation()));
    told.extend(
        [
            Cause::Malformed {
                status: 200,
                what: why(),
            },
            Cause::Damaged { status: 200 },
            Cause::Defect(why()),
        ]
        .map(|cause| S3Error::sample(&put, cause).explanation()),
    );
    let uploads = [
        UploadError::Journal(NoteError::UsedUp("why".into())),
        UploadError::Journal(NoteError::TooLong("why".into())),
        UploadError::Journal(NoteError::Unavailable("why".into())),
        UploadError::TooManyParts {
            key: key(),
            max_parts: 8,
        },
        UploadError::Incomplete {
            key: key(),
            what: why(),
        },
        UploadError::Corrupt { key: key(), why: why() },
        UploadError::Incomparable { key: key(), why: why() },
        UploadError::Unencrypted {
            key: key(),
            asked: "AES256",
            answered: None,
        },
        UploadError::OtherEncryptionKey {
            key: key(),
            asked: why(),
            answered: why(),
        },
        UploadError::Occupied { key: key(), why: why() },
        UploadError::Unproven {
            key: key(),
            why: "why".into(),
            error: Box::new(answered(500, "")),
            class: Class::Refused,
        },
    ];
    told.extend(uploads.iter().map(UploadError::explanation));
    let rows = [
        EncodeError::UnsupportedColumns(vec![UnsupportedColumn {
            column: key(),
            data_type: why(),
            reason: "why",
        }]),
        EncodeError::NoColumns,
        EncodeError::DuplicateName {
            within: key(),
            name: why(),
        },
        EncodeError::TooManyColumns {
            columns: 9,
            most: 8,
            hint: "select fewer columns",
        },
        EncodeError::RowTooLarge {
            row: 1,
            bytes: 2,
            limit_bytes: 1,
        },
        EncodeError::TextTooLarge { row: 1, bytes: 2 },
        EncodeError::OutOfRange {
            column: key(),
            row: 1,
            target: why(),
        },
        EncodeError::EventColumn(why()),
    ];
    told.extend(rows.into_iter().filter_map(|error| Failure::from(error).explanation()));
    told
}

#[test]
fn no_message_holds_a_remedy_and_every_hint_is_an_instruction() {
    assert_eq!(instruction("it failed; set region"), Some("set region"));
    assert_eq!(instruction("it failed, or write less"), Some("write less"));
    for Explanation { message, hint } in everything() {
        assert_eq!(instruction(&message), None, "{message}");
        for clause in hint.iter().flat_map(|hint| hint.split("; ")) {
            let is_condition = clause.starts_with("if ") && instruction(clause).is_some();
            let begins = instruction(clause).is_some_and(|found| clause.starts_with(found));
            assert!(begins || is_condition, "not an instruction: {clause}");
        }
    }
}
