//! The component's bindings: converts WIT types and decides nothing. The only file that knows it runs as wasm.

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::rc::Rc;
use std::sync::Once;

use crate::check::{Depth, Outcome, Step};
use crate::failure::{Explanation, Failure, Problem};
use crate::imports::{
    DigestAlgorithm, Imports, Level, Method, NoteError, Refresh, Request, Response, ScopedKey, SignerError,
    TransportError,
};
use crate::plan::{Description, Plan};
use crate::recover::Recovery;
use crate::run::{Export, Progress, Report};
use crate::settings::{Interval, Run};

use bindings::batch_export::destination as import;
use bindings::exports::batch_export::destination::exporter as wit;
use import::types as wit_types;

#[allow(unsafe_code, reason = "generated from the contract: the canonical ABI")]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "destination",
        generate_all,
    });
    use super::Plugin;
    export!(Plugin);
}

struct Plugin;

thread_local! {
    /// The run between `configure` and `finish`; a component instance has one thread.
    static EXPORT: RefCell<Option<Export<Host>>> = const { RefCell::new(None) };
}

impl wit::Guest for Plugin {
    fn describe() -> wit::Description {
        report_panics();
        crate::plan::describe().into()
    }

    fn plan(configuration: String, run: wit_types::Run) -> Result<wit::RunPlan, wit_types::Failure> {
        report_panics();
        Ok(crate::plan::plan_from_json(&configuration, &run.into())?.into())
    }

    fn check(
        configuration: String,
        run: wit_types::Run,
        depth: wit::CheckDepth,
    ) -> Result<Vec<wit::CheckStep>, wit_types::Failure> {
        report_panics();
        let run: Run = run.into();
        let settings = crate::config::parse_for_model(&configuration, &run.model)?;
        let steps = crate::check::check(Rc::new(Host), &settings, &run, depth.into())?;
        Ok(steps.into_iter().map(Into::into).collect())
    }

    fn configure(configuration: String, run: wit_types::Run, schema: Vec<u8>) -> Result<(), wit_types::Failure> {
        report_panics();
        let export = Export::configure(Host, &configuration, run.into(), schema)?;
        EXPORT.set(Some(export));
        Ok(())
    }

    fn encode_batch(messages: Vec<u8>) -> Result<wit::Progress, wit_types::Failure> {
        EXPORT.with_borrow_mut(|export| match export {
            Some(export) => Ok(export.encode_batch(messages)?.into()),
            None => Err(not_configured("encode-batch").into()),
        })
    }

    fn finish(rows: u64) -> Result<wit::Report, wit_types::Failure> {
        match EXPORT.take() {
            Some(export) => Ok(export.finish(rows)?.into()),
            None => Err(not_configured("finish").into()),
        }
    }

    fn recover(
        configuration: String,
        run: wit_types::Run,
        notes: Vec<Vec<u8>>,
    ) -> Result<wit::Recovery, wit_types::Failure> {
        report_panics();
        let run: Run = run.into();
        let settings = crate::config::parse_for_model(&configuration, &run.model)?;
        Ok(crate::recover::recover(Rc::new(Host), &settings, &run, &notes).into())
    }
}

fn not_configured(export: &str) -> Failure {
    Failure::Defect(format!(
        "`{export}` was called without a configured run: `configure` was not called, or the run has ended"
    ))
}

/// Logs panics: a panic becomes a trap, whose message does not leave the sandbox.
fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
            import::log::write(import::log::Level::Error, &info.to_string());
        }));
    });
}

/// The host, through the component's imports.
#[derive(Debug, Clone, Copy)]
pub struct Host;

impl Imports for Host {
    type Payload = import::http::Payload;
    type Exchange = import::http::Exchange;

    fn payload(&self, bytes: Vec<u8>, digests: &[DigestAlgorithm]) -> Self::Payload {
        let digests: Vec<_> = digests.iter().copied().map(Into::into).collect();
        import::http::Payload::new(&bytes, &digests)
    }

    fn digest(&self, payload: &Self::Payload, algorithm: DigestAlgorithm) -> Vec<u8> {
        payload.digest(algorithm.into())
    }

    fn send(&self, request: Request<'_, Self::Payload>) -> Self::Exchange {
        import::http::send(&import::http::Request {
            method: request.method.into(),
            url: request.url,
            headers: request.headers,
            body: request.body,
            delay_ms: request.delay_ms,
            timeout_ms: request.timeout_ms,
        })
    }

    fn wait(&self, exchange: Self::Exchange) -> Result<Response, TransportError> {
        use import::http::TransportError as E;
        match exchange.wait() {
            Ok(answer) => Ok(Response {
                status: answer.status,
                headers: answer.headers,
                body: answer.body,
            }),
            Err(error) => Err(match error {
                E::Forbidden(why) => TransportError::Forbidden(why.into()),
                E::Connect(why) => TransportError::Connect(why.into()),
                E::Tls(why) => TransportError::Tls(why.into()),
                E::Timeout(why) => TransportError::Timeout(why.into()),
                E::Interrupted(why) => TransportError::Interrupted(why.into()),
                E::TooLarge(why) => TransportError::TooLarge(why.into()),
            }),
        }
    }

    fn wait_any(&self, exchanges: &[&Self::Exchange]) -> usize {
        import::http::wait_any(exchanges) as usize
    }

    fn scoped_key(&self, service: &str, region: &str, refresh: Refresh) -> Result<ScopedKey, SignerError> {
        use import::signer::SignerError as E;
        let refresh = match refresh {
            Refresh::None => import::signer::Refresh::None,
            Refresh::Expired => import::signer::Refresh::Expired,
            Refresh::Skewed => import::signer::Refresh::Skewed,
        };
        match import::signer::scoped_key(service, region, refresh) {
            Ok(key) => Ok(ScopedKey {
                access_key_id: key.access_key_id,
                session_token: key.session_token,
                timestamp: key.timestamp,
                key: key.key,
            }),
            Err(error) => Err(match error {
                E::Forbidden(why) => SignerError::Forbidden(why.into()),
                E::Missing(why) => SignerError::Missing(why.into()),
                E::Unavailable(why) => SignerError::Unavailable(why.into()),
            }),
        }
    }

    fn note(&self, note: &[u8], durable: bool) -> Result<(), NoteError> {
        use import::journal::NoteError as E;
        import::journal::note(note, durable).map_err(|error| match error {
            E::TooLong(why) => NoteError::TooLong(why.into()),
            E::UsedUp(why) => NoteError::UsedUp(why.into()),
            E::Unavailable(why) => NoteError::Unavailable(why.into()),
        })
    }

    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => import::log::Level::Debug,
            Level::Info => import::log::Level::Info,
            Level::Warn => import::log::Level::Warn,
            Level::Error => import::log::Level::Error,
        };
        import::log::write(level, message);
    }
}

impl From<Method> for import::http::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => import::http::Method::Get,
            Method::Head => import::http::Method::Head,
            Method::Put => import::http::Method::Put,
            Method::Post => import::http::Method::Post,
            Method::Delete => import::http::Method::Delete,
        }
    }
}

impl From<DigestAlgorithm> for import::http::DigestAlgorithm {
    fn from(algorithm: DigestAlgorithm) -> Self {
        match algorithm {
            DigestAlgorithm::Sha256 => import::http::DigestAlgorithm::Sha256,
            DigestAlgorithm::Crc64Nvme => import::http::DigestAlgorithm::Crc64nvme,
            DigestAlgorithm::Crc32c => import::http::DigestAlgorithm::Crc32c,
            DigestAlgorithm::Crc32 => import::http::DigestAlgorithm::Crc32,
        }
    }
}

impl From<wit_types::Run> for Run {
    fn from(run: wit_types::Run) -> Self {
        Run {
            id: run.id,
            attempt: run.attempt,
            model: run.model,
            interval: Interval {
                start_micros: run.interval.start,
                end_micros: run.interval.end,
            },
            plugin_digest: run.plugin_digest,
            time_limit_seconds: run.time_limit_seconds,
        }
    }
}

impl From<wit_types::Explanation> for Explanation {
    fn from(said: wit_types::Explanation) -> Self {
        Explanation {
            message: said.message,
            hint: said.hint,
        }
    }
}

impl From<Explanation> for wit_types::Explanation {
    fn from(said: Explanation) -> Self {
        wit_types::Explanation {
            message: said.message,
            hint: said.hint,
        }
    }
}

impl From<Problem> for wit_types::Problem {
    fn from(problem: Problem) -> Self {
        wit_types::Problem {
            field: problem.field,
            message: problem.message,
            hint: problem.hint,
            allowed: problem.allowed,
        }
    }
}

impl From<Failure> for wit_types::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Config(problems) => wit_types::Failure::Config(problems.into_iter().map(Into::into).collect()),
            Failure::Refused(reason) => wit_types::Failure::Refused(reason.into()),
            Failure::Unavailable { reason, retry_after_ms } => {
                wit_types::Failure::Unavailable(wit_types::Unavailable {
                    reason: reason.into(),
                    retry_after_ms,
                })
            }
            Failure::Data(reason) => wit_types::Failure::Data(reason.into()),
            Failure::Defect(message) => wit_types::Failure::Defect(message),
        }
    }
}

impl From<Description> for wit::Description {
    fn from(description: Description) -> Self {
        wit::Description {
            name: description.name,
            version: description.version,
            summary: description.summary,
            configuration_schema: description.configuration_schema,
            formats: description
                .formats
                .into_iter()
                .map(|format| wit::Format {
                    name: format.name,
                    compressions: format.compressions,
                })
                .collect(),
            memory_limit_bytes: description.memory_limit_bytes,
            requests_in_flight: description.requests_in_flight,
            payload_limit_bytes: description.payload_limit_bytes,
        }
    }
}

impl From<Plan> for wit::RunPlan {
    fn from(plan: Plan) -> Self {
        wit::RunPlan {
            keys: plan.keys,
            manifest_key: plan.manifest_key,
            settings: plan.settings,
            part_size_bytes: plan.part_size_bytes,
            requests_in_flight: plan.requests_in_flight,
            memory_bytes: plan.memory_bytes,
            payload_bytes: plan.payload_bytes,
            grants: plan
                .grants
                .into_iter()
                .map(|grant| wit::Grant {
                    operation: grant.operation,
                    method: grant.method.into(),
                    origin: grant.origin,
                    path_prefix: grant.path_prefix,
                    query: grant.query,
                    headers: grant.headers,
                })
                .collect(),
            signing: plan
                .signing
                .into_iter()
                .map(|scope| wit::SigningScope {
                    service: scope.service,
                    region: scope.region,
                })
                .collect(),
            required_columns: plan.required_columns,
        }
    }
}

impl From<Progress> for wit::Progress {
    fn from(progress: Progress) -> Self {
        wit::Progress {
            rows: progress.rows,
            bytes: progress.bytes,
            files: progress.files,
        }
    }
}

impl From<Report> for wit::Report {
    fn from(report: Report) -> Self {
        wit::Report {
            rows_received: report.rows_received,
            rows_exported: report.rows_exported,
            rows_filtered: report.rows_filtered,
            bytes_encoded: report.bytes_encoded,
            files: report
                .files
                .into_iter()
                .map(|file| wit::ExportedFile {
                    key: file.key,
                    rows: file.rows,
                    bytes: file.bytes,
                    etag: file.etag,
                })
                .collect(),
            manifest_key: report.manifest_key,
            repairs: report.repairs,
            requests: report.requests,
            retries: report.retries,
            warnings: report.warnings.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Step> for wit::CheckStep {
    fn from(step: Step) -> Self {
        wit::CheckStep {
            name: step.name.to_owned(),
            outcome: match step.outcome {
                Outcome::Passed => wit::StepOutcome::Passed,
                Outcome::Failed => wit::StepOutcome::Failed,
                Outcome::Unavailable => wit::StepOutcome::Unavailable,
                Outcome::Skipped => wit::StepOutcome::Skipped,
            },
            detail: step.detail,
            hint: step.hint,
            retry_after_ms: step.retry_after_ms,
        }
    }
}

impl From<wit::CheckDepth> for Depth {
    fn from(depth: wit::CheckDepth) -> Self {
        match depth {
            wit::CheckDepth::Full => Depth::Full,
            wit::CheckDepth::Traceless => Depth::Traceless,
        }
    }
}

impl From<Recovery> for wit::Recovery {
    fn from(recovery: Recovery) -> Self {
        let hidden = recovery.hidden().map(|reason| wit::LeftOpen {
            key: None,
            upload_id: None,
            reason: reason.into(),
        });
        let left_open = recovery.left_open.into_iter().map(|left| wit::LeftOpen {
            key: Some(left.key),
            upload_id: left.upload_id,
            reason: left.why.into(),
        });
        wit::Recovery {
            left_open: hidden.into_iter().chain(left_open).collect(),
            aborted: recovery
                .aborted
                .into_iter()
                .map(|upload| wit::AbortedUpload {
                    key: upload.key,
                    upload_id: upload.upload_id,
                })
                .collect(),
        }
    }
}
