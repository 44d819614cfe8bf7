//! The desk on its way into the spool and out of it: what must survive a restart. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::annotations::{Action, Annotations};
use super::clockwork::Moment;
use super::desk::{Desk, Incident};
use super::reminder::Login;
use super::{About, Code, Message, Notice, Phase, Severity};
use crate::session::Now;

/// What a desk keeps across restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kept {
    incidents: Vec<KeptIncident>,
    held: Vec<KeptNotice>,
    logins: Vec<KeptLogin>,
    ended: Vec<KeptEnd>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptEnd {
    about: About,
    code: Code,
    at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptIncident {
    about: About,
    code: Code,
    began: Timestamp,
    absent: Option<Timestamp>,
    unexplained: Timestamp,
    told: Option<Timestamp>,
    remedies: BTreeSet<Action>,
    worst: Option<Severity>,
    acknowledged: bool,
    recurs: bool,
    words: Annotations,
    url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptNotice {
    about: About,
    code: Code,
    phase: Phase,
    severity: Severity,
    began: Timestamp,
    lasted_s: u64,
    at: Timestamp,
    cause: String,
    what: String,
    url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptLogin {
    gateway: String,
    ends: Timestamp,
    remind: Option<Timestamp>,
    #[serde(default)]
    reminded: bool,
}

impl Desk {
    /// What must survive a restart.
    #[must_use]
    pub fn keep(&self, now: Now) -> Kept {
        let incidents = self.open.iter().map(|((about, code), incident)| KeptIncident {
            about: about.clone(),
            code: *code,
            began: incident.began_wall,
            absent: incident.absent.map(|at| at.wall(now)),
            unexplained: incident.unexplained.wall(now),
            told: incident.told.map(|at| at.wall(now)),
            remedies: incident.remedies.clone(),
            worst: incident.worst,
            acknowledged: incident.acknowledged,
            recurs: incident.recurs,
            words: incident.words.clone(),
            url: incident.url.clone(),
        });
        let held = self.held.iter().cloned().map(|notice| KeptNotice {
            about: notice.about,
            code: notice.code,
            phase: notice.phase,
            severity: notice.severity,
            began: notice.began,
            lasted_s: notice.lasted.as_secs(),
            at: notice.at,
            cause: notice.cause,
            what: notice.what,
            url: notice.url,
        });
        let logins = self.logins.iter().map(|(gateway, login)| KeptLogin {
            gateway: gateway.clone(),
            ends: login.ends,
            remind: login.remind,
            reminded: login.reminded,
        });
        let ended = self.ended.iter();
        let ended = ended.map(|((about, code), at)| KeptEnd { about: about.clone(), code: *code, at: at.wall(now) });
        Kept { incidents: incidents.collect(), held: held.collect(), logins: logins.collect(), ended: ended.collect() }
    }

    /// Takes back what an earlier desk kept. What is about gateways and channels that are no more is called off by the
    /// notices that come out; of a gateway that still is, nothing is told until its session was looked at. A time that
    /// lies ahead, because the clock was set back, is taken for now.
    #[must_use = "nobody else calls off what is about something that is no more"]
    pub fn restore(&mut self, kept: Kept, now: Now, is_known: impl Fn(&About) -> bool) -> Vec<Notice> {
        for kept in kept.incidents {
            let moment = |at| Moment::passed(at, now);
            // How a gateway is now, only a look at it tells.
            let seen = kept.about.gateway().is_none().then(|| Moment::at(now.mono));
            let incident = Incident {
                began: moment(kept.began),
                began_wall: kept.began,
                absent: kept.absent.map(moment),
                unexplained: moment(kept.unexplained),
                told: kept.told.map(moment),
                seen,
                remedies: kept.remedies,
                worst: kept.worst,
                acknowledged: kept.acknowledged,
                recurs: kept.recurs,
                words: kept.words,
                if_long: None,
                url: kept.url,
            };
            self.open.insert((kept.about, kept.code), incident);
        }
        let held = kept.held.into_iter().map(|kept| Notice {
            about: kept.about,
            code: kept.code,
            phase: kept.phase,
            severity: kept.severity,
            began: kept.began,
            lasted: std::time::Duration::from_secs(kept.lasted_s),
            at: kept.at,
            title: String::new(),
            cause: kept.cause,
            what: kept.what,
            todo: String::new(),
            url: kept.url,
        });
        self.held.extend(held);
        for login in kept.logins.into_iter().filter(|login| is_known(&About::Gateway(login.gateway.clone()))) {
            let KeptLogin { gateway, ends, remind, reminded } = login;
            self.logins.insert(gateway, Login { ends, remind, reminded });
        }
        let ended = kept.ended.into_iter().filter(|kept| is_known(&kept.about));
        self.ended.extend(ended.map(|kept| ((kept.about, kept.code), Moment::passed(kept.at, now))));
        self.withdraw(now, |about| !is_known(about))
    }
}

/// What one channel's [`Outbox`](super::Outbox) keeps of a message across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersistedMessage {
    /// The message to send.
    pub message: Message,
    /// Since when it waits.
    pub since: Timestamp,
    /// Its incident is over, and the beginning never arrived.
    pub start_undelivered: bool,
    /// Which receivers are done.
    #[serde(default)]
    pub progress: super::outbox::Progress,
}
