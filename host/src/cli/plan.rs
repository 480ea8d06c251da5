//! `plan`: says what a run will do, without doing any of it.

use clap::Args;
use serde::Serialize;

use super::error::CommandError;
use super::{Chosen, Span, output};
use crate::run::target;
use crate::sandbox::contract::{Plan, Run};

/// Show what a run will write and which requests it needs; sends nothing.
#[derive(Debug, Args)]
#[command(
    name = "plan",
    after_help = "Example:\n  batch-export plan --config exports.toml --start 2023-07-28T00:00:00Z --end 2023-07-28T01:00:00Z"
)]
pub struct PlanCommand {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    span: Span,
    /// Print the plan as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Planned<'a> {
    destination: &'a str,
    run: &'a Run,
    #[serde(flatten)]
    plan: &'a Plan,
}

impl PlanCommand {
    pub async fn execute(self) -> Result<(), CommandError> {
        let interval = self.span.interval()?;
        let (_, target) = self.chosen.target().await?;
        let run = target.header(interval).run(target::attempt_id()?);
        let plan = target.plan(&run).await?;
        // A plan that the operator's policy refuses is no plan: said now rather than at the run.
        target.grants(&run, &plan)?;
        if self.json {
            output::json(&Planned {
                destination: &target.name,
                run: &run,
                plan: &plan,
            })
        } else {
            let head = format!(
                "{}: {} from {interval}, run {}\n",
                target.name, run.model, run.id
            );
            output::lines(&(head + &in_words(&plan)))
        }
    }
}

fn in_words(plan: &Plan) -> String {
    let mut text = String::from("files\n");
    for key in plan.keys.iter().chain(&plan.manifest_key) {
        text.push_str(&format!("  {key}\n"));
    }
    text.push_str("settings\n");
    let mut settings = plan.settings.clone();
    settings.push(("part size".to_owned(), output::bytes(plan.part_size_bytes)));
    settings.push((
        "requests in flight".to_owned(),
        plan.requests_in_flight.to_string(),
    ));
    text.push_str(&output::table(&settings));
    text.push_str("requests\n");
    let requests: Vec<_> = plan
        .grants
        .iter()
        .map(|grant| {
            let target = format!("{} {}{}", grant.method, grant.origin, grant.path_prefix);
            (grant.operation.clone(), target)
        })
        .collect();
    text.push_str(&output::table(&requests));
    text.push_str("signs\n");
    let signs: Vec<_> = plan
        .signing
        .iter()
        .map(|scope| (scope.service.clone(), scope.region.clone()))
        .collect();
    text + &output::table(&signs)
}
