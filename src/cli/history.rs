//! `tickled history`: uptime, outages and state changes.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::history_text;
use super::options::{Daemon, span};
use super::output::{complain, failed, say};
use super::terminal::OutputForm;
use crate::control::Error;
use crate::exit::Exit;
use crate::history::chart::svg;
use crate::history::report::HistoryReport;
use crate::text::zone_named;

/// Show how much of the time each session was live, with a timeline, outages and state changes
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tickled history\n  tickled history main --since 30d\n  tickled history --since 24h --svg day.svg"
)]
pub(super) struct HistoryArgs {
    /// Only these gateways
    gateways: Vec<String>,
    /// How far back, such as 24h, 7d or 30d
    #[arg(long, value_name = "TIME", default_value = "7d", allow_hyphen_values = true, value_parser = span)]
    since: String,
    /// Also draw the timeline into this file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    daemon: Daemon,
}

impl HistoryArgs {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let report = match self.fetch().await {
            Ok(report) => report,
            Err(error) => return Ok(failed(&error)),
        };
        // The daemon that has the history knows the zone as well.
        let zone = self.daemon.client()?.status().await.ok().and_then(|status| status.zone);
        let zone = zone_named(zone.as_deref());
        if let Some(file) = &self.svg
            && let Err(error) = fs::write(file, svg(&report, &zone))
        {
            complain(&format!("--svg: cannot write {}: {error}", file.display()));
            return Ok(Exit::Usage);
        }
        let text = match self.daemon.form() {
            OutputForm::Json => json!(report).to_string() + "\n",
            OutputForm::Text { width, unicode, .. } => history_text::text(&report, width, unicode, &zone),
        };
        say(&text).map(|()| Exit::Live)
    }

    async fn fetch(&self) -> Result<HistoryReport, Error> {
        let mut report = self.daemon.client()?.history(&self.since).await?;
        let names: Vec<String> = report.gateways.iter().map(|gateway| gateway.gateway.clone()).collect();
        if let Some(unknown) = self.gateways.iter().find(|name| !names.contains(name)) {
            return Err(Error::Refused(format!(
                "there is no history of {unknown:?} in that time: there is one of {}",
                names.join(", ")
            )));
        }
        report.gateways.retain(|gateway| self.gateways.is_empty() || self.gateways.contains(&gateway.gateway));
        Ok(report)
    }
}
