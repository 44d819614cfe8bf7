//! `doctor`: named checks, run side by side, each with its finding and its remedy.
//!
//! What is seen and what it means are apart: `seen` holds the one, the judges of `door`, `answers` and the other
//! families are pure. Nothing is changed anywhere: of a gateway only what a browser or a look would ask is asked, at
//! most seven times, and nobody is evicted.

mod answers;
mod conf_yaml;
mod door;
mod finding;
mod host;
mod java;
mod keeper;
mod probe;
mod recently;
mod seen;
mod settings;

pub use finding::{Check, Finding, Report, Verdict};

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures_util::future::join_all;

use crate::config::Config;
use crate::directories::Directories;
use crate::driver::{Clock, HostClock};
use crate::gateway::{Target, Trust};
use crate::session::{Account, Policy};
use seen::Question;

/// What a doctor is asked to look at.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The configuration.
    pub config: PathBuf,
    /// The environment, which may change keys of it.
    pub environment: BTreeMap<String, String>,
    /// Nothing beyond the files and programs of this host: neither a gateway nor a channel.
    pub offline: bool,
    /// The folder into which a gateway of this host was unpacked.
    pub gateway_dir: Option<PathBuf>,
    /// This host's name, as people reach it.
    pub host: String,
}

/// Makes all checks.
pub async fn examine(visit: &Visit) -> Report {
    let (config, mut findings) = settings::read(&visit.config, &visit.environment);
    let keepers = keeper::look();
    let directories = Directories::from_env(None, None);
    let (socket, kept) = host::socket(&directories, keeper::is_tickled_at_work(&keepers)).await;
    findings.push(socket);
    let is_at_work = !keeper::daemon(&keepers, &visit.config).is_empty();
    if config.is_none() && !visit.config.exists() {
        let found = format!("without a configuration a gateway is looked for where it usually is, at {USUAL_URL}");
        findings.push(Finding::note(Check::Config, found));
    }
    let mut questions = questions(visit, config.as_ref());
    for question in
        questions.iter_mut().filter(|question| is_at_work || kept.iter().any(|url| url == question.url().as_str()))
    {
        question.no_validation =
            Some("not asked: the daemon asks it, and IBKR allows that question once a minute".to_owned());
    }
    findings.extend(keeper::judge(&keepers, &visit.config));
    findings.push(host::state(&directories));
    if let Some(folder) = &visit.gateway_dir {
        findings.extend(conf_yaml::look(folder, &questions));
    }
    let gateways = async {
        if visit.offline {
            return questions.iter().map(|question| offline(Check::Gateway).about(&question.name)).collect();
        }
        join_all(questions.iter().map(gateway)).await.concat()
    };
    let channels = async {
        match config.as_ref() {
            Some(_) if visit.offline => vec![offline(Check::Channels)],
            Some(config) => settings::channels(&config.alerts).await,
            None => Vec::new(),
        }
    };
    let (gateways, channels, java, unit) =
        tokio::join!(gateways, channels, java::look(visit.gateway_dir.is_some()), host::unit());
    findings.extend(gateways);
    findings.extend(channels);
    findings.push(java);
    findings.extend(unit);
    Report::new(findings)
}

/// Everything about one gateway. What its way does not lead to is said to be not asked.
async fn gateway(question: &Question) -> Vec<Finding> {
    let seen = probe::look(question).await;
    let (mut findings, is_gateway) = door::judge(question, &seen, HostClock::start().now().wall);
    if is_gateway {
        findings.extend(answers::judge(question, &seen));
    }
    let cause =
        findings.iter().find(|finding| matches!(finding.verdict, Verdict::Fault(_))).map(|finding| finding.check);
    if let Some(cause) = cause {
        for check in ABOUT_A_GATEWAY {
            if check > cause && !findings.iter().any(|finding| finding.check == check) {
                findings.push(Finding::not_asked(check, format!("not asked: {} comes first", cause.name())));
            }
        }
    }
    findings.into_iter().map(|finding| finding.about(&question.name)).collect()
}

/// The gateways to look at. Where there is no configuration at all, the one that the shipped file has.
fn questions(visit: &Visit, config: Option<&Config>) -> Vec<Question> {
    let ask = |name: &str, target: Target, account: Account| Question {
        name: name.to_owned(),
        target,
        account,
        here: visit.host.clone(),
        no_validation: None,
    };
    match config {
        Some(config) => config
            .gateways
            .iter()
            .map(|gateway| ask(&gateway.name, gateway.target.clone(), gateway.policy.account))
            .collect(),
        None if visit.config.exists() => Vec::new(),
        None => {
            let policy = Policy::default();
            let usual = |url| Target { url, answer_within: policy.answer_within, trust: Trust::Loopback };
            USUAL_URL.parse().map(|url| ask("main", usual(url), policy.account)).into_iter().collect()
        }
    }
}

fn offline(check: Check) -> Finding {
    Finding::not_asked(check, "not asked: --offline")
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
