//! The destinations of a configuration, each joined with its plugin.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{info, warn};

use crate::alerts::Receivers;
use crate::scheduler::Configured;
use batch_export_runner::component;
use batch_export_runner::config::Config;
use batch_export_runner::exporter::Exporter;
use batch_export_runner::loading::LoadingNote;
use batch_export_runner::{Failure, Runtime};

/// The destinations of one configuration.
#[derive(Debug)]
pub(super) struct Fleet {
    pub config: Config,
    pub exporters: BTreeMap<String, Exporter>,
}

impl Fleet {
    /// Joins every destination with the plugin, or says everything that is wrong with them.
    pub(super) async fn load(config: Config, runtime: &Runtime) -> Result<Self, Failure> {
        let component = component::open(config.component.as_deref())?;
        let loaded = runtime.load(&component, &|note| told(note)).await?;
        let (mut exporters, mut failures, mut problems) = (BTreeMap::new(), Vec::new(), Vec::new());
        for destination in &config.destinations {
            match Exporter::new(destination, &loaded) {
                Ok(exporter) => {
                    exporters.insert(destination.name.clone(), exporter.among(&config));
                }
                Err(failure) => {
                    problems.extend(config.located_problems(&destination.name, &failure));
                    failures.push(failure);
                }
            }
        }
        if let Some(failure) = Failure::of_several(&config.file, failures, problems) {
            return Err(failure);
        }
        Ok(Fleet { config, exporters })
    }

    pub(super) fn exporter(&self, name: &str) -> Option<&Exporter> {
        self.exporters.get(name)
    }

    /// Returns whom alerts are sent to.
    pub(super) fn receivers(&self) -> Result<Receivers, Failure> {
        Receivers::new(&self.config.alerts)
    }

    /// Returns how long a run of a destination may take, with all its attempts.
    pub(super) fn time_limit(&self, name: &str) -> Duration {
        let schedule = self.config.schedule(name);
        let own = self.exporters.get(name).map(|exporter| exporter.limits.run_time);
        let own = own.unwrap_or_default();
        schedule.map_or(own, |schedule| schedule.time_limit())
    }

    /// Returns the destinations for the scheduler.
    pub(super) fn configured(&self) -> Vec<Configured> {
        let exporters = self.exporters.values();
        exporters
            .map(|exporter| Configured {
                name: exporter.name.clone(),
                model: exporter.model.clone(),
                schedule: self.config.schedule(&exporter.name).cloned(),
                component: exporter.plugin.digest().to_owned(),
            })
            .collect()
    }
}

fn told(note: LoadingNote) {
    match note {
        LoadingNote::Warning(warning) => warn!("{}", warning.in_one_text()),
        LoadingNote::Progress(text) => info!("{text}"),
        _ => {}
    }
}
