//! `plan`: says what a run will do, without doing any of it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::{Chosen, Clock, for_interval, told};
use crate::about::About;
use crate::output::{Answer, Form};
use crate::progress::Progress;
use crate::signals::until_first;
use crate::span::Span;
use crate::survey;
use crate::words::{self, Object};
use batch_export_runner::exporter;
use batch_export_runner::{Failure, Runtime};
use batch_export_sandbox::contract::{Grant, Plan, SigningScope};
use batch_export_source::Survey;
use batch_export_source::{Interval, Moment};
use batch_export_system::Token;
use batch_export_system::explain::Cause;

/// Show what a run will write and which requests it needs, without sending anything.
#[derive(Debug, Args)]
#[command(
    name = "plan",
    after_help = "Example:\n  batch-export plan --config exports.toml \\\n    --start 2023-07-28T00:00:00Z --end 2023-07-28T01:00:00Z"
)]
pub struct PlanArgs {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    span: Span,
    /// Also read the source: show its columns, the times of its rows, and how many are in the interval.
    #[arg(long)]
    source: bool,
    /// Print the plan as JSON.
    #[arg(long)]
    json: bool,
}

/// A plan as JSON.
#[derive(Serialize)]
struct Planned {
    keys: Vec<String>,
    manifest_key: Option<String>,
    settings: BTreeMap<String, String>,
    part_size_bytes: u64,
    requests_in_flight: u32,
    memory_bytes: u64,
    payload_bytes: u64,
    grants: Vec<Grant>,
    signing: Vec<SigningScope>,
    required_columns: Vec<Required>,
    warnings: Vec<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Survey>,
}

/// A column that must be there.
#[derive(Serialize)]
struct Required {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
}

impl PlanArgs {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let now = clock();
        let interval = self.span.interval(now);
        let command = async |interval, about: &mut About| {
            until_first(async |token| self.plan(interval, now, about, token).await).await
        };
        for_interval(Form::new(self.json, false), clock, interval, command).await
    }

    async fn plan(
        &self,
        interval: Interval,
        now: Moment,
        about: &mut About,
        token: &Token,
    ) -> Result<Answer<Planned>, Failure> {
        let runtime = Runtime::default();
        let (config, exporter) = self.chosen.exporter(&runtime, about, told(false)).await?;
        let run = exporter.header(interval).run(exporter::attempt_id()?);
        let located = |failure| config.located(&exporter.name, failure);
        let plan = exporter.plan(&run).await.map_err(located)?;
        // A plan that the operator's policy refuses is not a plan: said now rather than at the run.
        exporter.grants(&run, &plan).map_err(located)?;
        let source = match self.source {
            true => {
                let progress = Arc::new(Progress::new(self.json));
                let found = survey::whole(&exporter, Some(interval), token, &progress).await;
                progress.end();
                Some(found?)
            }
            false => None,
        };
        let unfinished = self.span.unfinished(interval, now);
        let mut warnings: Vec<Cause> = unfinished.iter().map(Cause::of).collect();
        warnings.extend(exporter.rows().caution());
        let text = in_words(about, &plan, source.as_ref());
        let mut answer = Answer::new(Planned::new(plan, source, warnings.clone()), text);
        answer.warnings = warnings;
        Ok(answer)
    }
}

impl Planned {
    fn new(plan: Plan, source: Option<Survey>, warnings: Vec<Cause>) -> Self {
        let required = plan.required_columns.into_iter();
        Planned {
            keys: plan.keys,
            manifest_key: plan.manifest_key,
            settings: plan.settings.into_iter().collect(),
            part_size_bytes: plan.part_size_bytes,
            requests_in_flight: plan.requests_in_flight,
            memory_bytes: plan.memory_bytes,
            payload_bytes: plan.payload_bytes,
            grants: plan.grants,
            signing: plan.signing,
            required_columns: required.map(|(name, type_name)| Required { name, type_name }).collect(),
            warnings,
            source,
        }
    }
}

fn in_words(about: &About, plan: &Plan, source: Option<&Survey>) -> String {
    let known = |text: &Option<String>| text.clone().unwrap_or_default();
    let interval = about.interval.map(|interval| interval.to_string());
    let mut text = format!(
        "{}: what a run of {} will do\n",
        known(&about.destination),
        known(&about.model)
    );
    text.push_str(&words::table(&[
        ("interval".to_owned(), known(&interval)),
        ("run".to_owned(), known(&about.run_id)),
    ]));
    text.push_str("files\n");
    let objects: Vec<Object> = plan
        .keys
        .iter()
        .chain(&plan.manifest_key)
        .map(|key| Object {
            cells: Vec::new(),
            key: key.clone(),
        })
        .collect();
    text.push_str(&words::objects(&about.place(), &objects));
    text.push_str("settings\n");
    let mut settings = plan.settings.clone();
    settings.push(("part size".to_owned(), words::bytes(plan.part_size_bytes)));
    settings.push(("requests in flight".to_owned(), plan.requests_in_flight.to_string()));
    let at_most = |bytes| format!("at most {}", words::bytes(bytes));
    settings.push(("memory".to_owned(), at_most(plan.memory_bytes)));
    settings.push(("request bodies held".to_owned(), at_most(plan.payload_bytes)));
    text.push_str(&words::table(&settings));
    text.push_str(&requests(&plan.grants));
    text.push_str("signs for\n");
    let signs: Vec<_> = plan
        .signing
        .iter()
        .map(|scope| (scope.service.clone(), scope.region.clone()))
        .collect();
    text.push_str(&words::table(&signs));
    text.push_str(&source.map(survey::in_words).unwrap_or_default());
    text
}

/// Each place once, with everything that is sent there.
fn requests(grants: &[Grant]) -> String {
    let mut places: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for grant in grants {
        let place = format!("{}{}", grant.origin, grant.path_prefix);
        let request = (grant.method.clone(), grant.operation.clone());
        match places.iter_mut().find(|(known, _)| *known == place) {
            Some((_, requests)) => requests.push(request),
            None => places.push((place, vec![request])),
        }
    }
    let mut text = String::from("requests\n");
    for (place, requests) in places {
        text.push_str(&words::in_pieces(&format!("to {place}"), 2));
        let mut by_method: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (method, operation) in requests {
            by_method.entry(method).or_default().push(operation);
        }
        let rows = by_method.into_iter();
        let rows: Vec<_> = rows
            .map(|(method, operations)| (format!("  {method}"), operations.join(", ")))
            .collect();
        text.push_str(&words::table(&rows));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_listed_by_place() {
        let grant = |operation: &str, method: &str, path: &str| Grant {
            operation: operation.to_owned(),
            method: method.to_owned(),
            origin: "https://s3.eu-central-1.amazonaws.com".to_owned(),
            path_prefix: path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
        };
        let grants = [
            grant("PutObject", "PUT", "/exports/a/"),
            grant("HeadObject", "HEAD", "/exports/a/"),
            grant("UploadPart", "PUT", "/exports/a/"),
            grant("ListMultipartUploads", "GET", "/exports"),
        ];
        assert_eq!(
            requests(&grants),
            "requests
  to https://s3.eu-central-1.amazonaws.com/exports/a/
    HEAD  HeadObject
    PUT   PutObject, UploadPart
  to https://s3.eu-central-1.amazonaws.com/exports
    GET  ListMultipartUploads
"
        );
    }
}
