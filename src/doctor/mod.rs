//! `doctor`: named checks, run side by side, each with its result and its remedy.
//!
//! `observations` holds what was observed; what it means is evaluated by pure functions in `connection`, `answers` and
//! the other files. Nothing is changed anywhere: a gateway gets at most seven requests, all of them reads, and no other
//! client is evicted. After the first request that IBKR does not answer no other is sent, because the gateway keeps one
//! of its five connections for each.

mod answers;
mod conf_yaml;
mod connection;
mod host;
mod java;
mod observations;
mod probe;
mod programs;
mod recently;
mod report;
mod settings;

pub use report::{Check, CheckResult, Diagnosis, Verdict};

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures_util::future::join_all;

use crate::config::Config;
use crate::directories::Directories;
use crate::driver::{Clock, HostClock};
use crate::gateway::{Target, Trust};
use crate::session::{Account, Policy};
use observations::Subject;

/// What is checked, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration.
    pub config: PathBuf,
    /// The environment, which may change keys of it.
    pub environment: BTreeMap<String, String>,
    /// Whether to check only the files and programs of this host: no gateway and no channel.
    pub offline: bool,
    /// The folder into which a gateway of this host was unpacked.
    pub gateway_dir: Option<PathBuf>,
    /// This host's name, as people reach it.
    pub host: String,
}

/// Runs all checks.
pub async fn run(options: &Options) -> Diagnosis {
    let (config, mut results) = settings::read(&options.config, &options.environment);
    let processes = programs::find();
    let directories = Directories::from_env(None, None);
    let (socket, served) = host::socket(&directories, programs::is_daemon_running(&processes)).await;
    results.push(socket);
    let is_running = !programs::daemons(&processes, &options.config).is_empty();
    if config.is_none() && !options.config.exists() {
        let found = format!("without a configuration, the default address is checked: {USUAL_URL}");
        results.push(CheckResult::note(Check::Config, found));
    }
    let mut subjects = subjects(options, config.as_ref());
    for subject in &mut subjects {
        let served = served.iter().find(|gateway| gateway.url == subject.url().as_str());
        if is_running || served.is_some() {
            subject.no_validation =
                Some("not checked: the daemon sends this request, and IBKR allows it once a minute".to_owned());
        }
        subject.known_silence = served.and_then(|gateway| gateway.silence);
    }
    results.extend(programs::evaluate(&processes, &options.config));
    results.push(host::state(&directories));
    if let Some(folder) = &options.gateway_dir {
        results.extend(conf_yaml::look(folder, &subjects));
    }
    let gateways = async {
        if options.offline {
            return subjects.iter().map(|subject| offline(Check::Gateway).about(&subject.name)).collect();
        }
        join_all(subjects.iter().map(gateway)).await.concat()
    };
    let channels = async {
        match config.as_ref() {
            Some(_) if options.offline => vec![offline(Check::Channels)],
            Some(config) => settings::channels(&config.alerts).await,
            None => Vec::new(),
        }
    };
    let (gateways, channels, java, unit) =
        tokio::join!(gateways, channels, java::look(options.gateway_dir.is_some()), host::unit());
    results.extend(gateways);
    results.extend(channels);
    results.push(java);
    results.extend(unit);
    Diagnosis::new(results)
}

/// All results about one gateway. What comes after the first fault is not checked, and reported as that.
async fn gateway(subject: &Subject) -> Vec<CheckResult> {
    let observed = probe::look(subject).await;
    let (mut results, is_gateway) = connection::evaluate(subject, &observed, HostClock::start().now().wall);
    if is_gateway {
        results.extend(answers::evaluate(subject, &observed));
    }
    let cause = results.iter().find(|result| matches!(result.verdict, Verdict::Fault(_))).map(|result| result.check);
    if let Some(cause) = cause {
        for check in ABOUT_A_GATEWAY {
            if check > cause && !results.iter().any(|result| result.check == check) {
                results.push(CheckResult::not_asked(check, format!("not checked: fix {} first", cause.name())));
            }
        }
    }
    results.into_iter().map(|result| result.about(&subject.name)).collect()
}

/// The gateways to check. Without a configuration, the one that the shipped file has.
fn subjects(options: &Options, config: Option<&Config>) -> Vec<Subject> {
    let ibkr = config.map(|config| config.ibkr.clone()).unwrap_or_default();
    let ask = |name: &str, target: Target, account: Account| Subject {
        name: name.to_owned(),
        account,
        here: options.host.clone(),
        no_validation: None,
        known_silence: None,
        ibkr_host: ibkr.host.clone().filter(|_| target.url.is_loopback()),
        target,
    };
    match config {
        Some(config) => config
            .gateways
            .iter()
            .map(|gateway| ask(&gateway.name, gateway.target.clone(), gateway.policy.account))
            .collect(),
        None if options.config.exists() => Vec::new(),
        None => {
            let policy = Policy::default();
            let usual = |url| Target { url, answer_within: policy.answer_within, trust: Trust::Loopback };
            USUAL_URL.parse().map(|url| ask("main", usual(url), policy.account)).into_iter().collect()
        }
    }
}

fn offline(check: Check) -> CheckResult {
    CheckResult::not_asked(check, "not checked: --offline")
}

/// Where a gateway listens unless its conf.yaml was changed.
const USUAL_URL: &str = "https://localhost:5000";

const ABOUT_A_GATEWAY: [Check; 11] = [
    Check::Name,
    Check::Port,
    Check::Tls,
    Check::Gateway,
    Check::IpList,
    Check::Edge,
    Check::Ibkr,
    Check::Login,
    Check::Session,
    Check::Account,
    Check::Clock,
];
