//! A scenario as it is written: what happens when, and what must come of it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tickled::calendar::{Maintenance, Region, Window};
use tickled::session::{Account, Competing, Method, Policy};
use tickled::simulator::world::{
    Competitor, Control, Does, Established, LoginFault, Raw, Reach, Rule, Shows, Times, Who,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// What it shows, in a sentence.
    pub(crate) about: String,
    /// The time of day at its beginning.
    #[serde(default = "noon")]
    pub(crate) starts: String,
    /// How long it goes on.
    pub(crate) lasts: String,
    #[serde(default)]
    pub(crate) policy: Choices,
    /// What happens, each as `TIME WHAT`.
    pub(crate) timeline: Vec<String>,
    pub(crate) expect: Expect,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choices {
    pub(crate) attempts: Option<u8>,
    pub(crate) watch_every: Option<String>,
    competing: Option<String>,
    methods: Option<Vec<String>>,
    account: Option<String>,
    region: Option<String>,
    /// Whether the published maintenance windows hold.
    #[serde(default)]
    windows: bool,
    /// One window instead of those, on every day, as `FROM TO ZONE`.
    window: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// The states, in their order, each once for as long as it lasts. Empty: only the last one is of interest.
    #[serde(default)]
    pub(crate) states: Vec<String>,
    /// The state at the end.
    pub(crate) ends: String,
    /// How often each request is sent, as `3` or `2..5` (the last one excluded).
    #[serde(default)]
    pub(crate) requests: BTreeMap<String, String>,
    /// The notifications, each as `EARLIEST..LATEST CODE PHASE`.
    #[serde(default)]
    pub(crate) told: Vec<String>,
    /// The reason of each notification that something is wrong, including repeats. Empty: not checked.
    #[serde(default)]
    pub(crate) causes: Vec<String>,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    World(Vec<Control>),
    Sleep(Duration),
    ClockSet(SignedDuration),
    Pause(Duration),
    Check,
    Resume,
    Logout,
}

impl Script {
    pub(crate) fn policy(&self) -> Policy {
        let mut policy = Policy::default();
        if let Some(word) = &self.policy.competing {
            policy.competing = if word == "take-over" { Competing::TakeOver } else { Competing::Yield };
        }
        if let Some(methods) = &self.policy.methods {
            let method = |word: &String| if word == "direct" { Method::Direct } else { Method::Gateway };
            policy.recovery.methods = methods.iter().map(method).collect();
        }
        policy.recovery.attempts = self.policy.attempts.unwrap_or(policy.recovery.attempts);
        policy.watch_every = self.policy.watch_every.as_deref().map_or(policy.watch_every, span);
        if let Some(word) = &self.policy.account {
            policy.account = if word == "paper" { Account::Paper } else { Account::Live };
        }
        policy
    }

    /// Whose midnight it is, and when IBKR may be away, if that matters here.
    pub(crate) fn calendar(&self) -> Option<(Region, Maintenance)> {
        let region = match self.policy.region.as_deref() {
            None => Region::NorthAmerica,
            Some(word) => *Region::ALL.iter().find(|region| region.zone().ends_with(word)).unwrap(),
        };
        let mut maintenance = Maintenance::default();
        if let Some(window) = &self.policy.window {
            let [from, to, zone] = window.split(' ').collect::<Vec<_>>()[..] else { panic!("{window}") };
            let days = maintenance.windows[0].days.clone();
            let (from, to, zone) = (from.parse().unwrap(), to.parse().unwrap(), zone.to_owned());
            maintenance.windows = vec![Window { days, from, to, zone, regions: vec![region] }];
        }
        (self.policy.windows || self.policy.window.is_some()).then_some((region, maintenance))
    }

    pub(crate) fn starts(&self) -> Timestamp {
        let (civil, zone) = self.starts.split_once(' ').unwrap();
        let civil: jiff::civil::DateTime = civil.parse().unwrap();
        jiff::tz::TimeZone::get(zone).unwrap().to_ambiguous_timestamp(civil).compatible().unwrap()
    }

    /// What happens, in its order.
    pub(crate) fn events(&self) -> Vec<(Duration, Event)> {
        let mut events: Vec<(Duration, Event)> = self.timeline.iter().flat_map(|line| read(line)).collect();
        events.sort_by_key(|(at, _)| *at);
        events
    }
}

/// `TIME WHAT`, or `every SPAN from TIME until TIME WHAT`.
fn read(line: &str) -> Vec<(Duration, Event)> {
    if let Some(rest) = line.strip_prefix("every ") {
        let words: Vec<&str> = rest.splitn(6, ' ').collect();
        let [every, "from", from, "until", until, what] = words[..] else { panic!("{line}") };
        let (every, mut at, until) = (span(every), span(from), span(until));
        let mut events = Vec::new();
        while at < until {
            events.push((at, event(what)));
            at += every;
        }
        return events;
    }
    let (at, what) = line.split_once(' ').unwrap();
    vec![(span(at), event(what))]
}

fn event(what: &str) -> Event {
    let words: Vec<&str> = what.split(' ').collect();
    let world = |control| Event::World(vec![control]);
    match words[..] {
        // What IBKR says to the client alone, or to the gateway's own questions too.
        [who @ ("answers" | "answers-all"), path, times, status, ..] => {
            let body = what.splitn(5, ' ').nth(4).unwrap_or_default().as_bytes().to_vec();
            let content_type = if body.starts_with(b"<") { "text/html" } else { "application/json" }.to_owned();
            let raw = Raw { status: status.parse().unwrap(), content_type, headers: Vec::new(), body };
            let path = if path == "everything" { "*".to_owned() } else { format!("/v1/api/{path}") };
            let does = Does::Say(raw.into());
            let who = (who == "answers").then_some(Who::Client);
            world(Control::Script(Rule { path, method: None, who, times: many(times), after: None, does }))
        }
        ["status-lies", times] => world(Control::FalseStatuses(many(times))),
        ["no-session", times] => world(Control::NoSession(many(times))),
        ["validate-lies", times] => world(Control::FalseResults { times: many(times), zero: true }),
        ["established-never"] => world(Control::Established(Established::Never)),
        ["session-takes", span_] => {
            world(Control::Settle { authenticated: span(span_), established: Duration::from_secs(1) })
        }
        ["paper"] => world(Control::Paper(true)),
        ["host-is-refused"] => world(Control::Deny(true)),
        ["host-is-allowed"] => world(Control::Deny(false)),
        ["login-is-borrowed"] => world(Control::Borrow(true)),
        ["login-is-given-back"] => world(Control::Borrow(false)),
        ["account-is-not-enabled"] => world(Control::RefuseLogins(Some(LoginFault::NotEnabled))),
        ["a-confirmation-waits"] => world(Control::RefuseLogins(Some(LoginFault::Unconfirmed))),
        ["logins-work"] => world(Control::RefuseLogins(None)),
        ["login"] => world(Control::LogIn),
        ["login-expires"] => world(Control::ExpireLogin),
        ["lapse"] => world(Control::Lapse),
        ["logged-out-elsewhere"] => world(Control::LogOutElsewhere),
        ["competitor", shows] => world(Control::Compete(competitor(shows, None))),
        ["competitor", shows, "returning-after", after] => {
            world(Control::Compete(competitor(shows, Some(span(after)))))
        }
        ["competitor-leaves"] => world(Control::Leave),
        ["ibkr-away"] => world(Control::Ibkr(Reach::Away)),
        ["ibkr-failing", status, "after", after] => {
            world(Control::Ibkr(Reach::Failing { status: status.parse().unwrap(), after: span(after) }))
        }
        ["ibkr-back"] => world(Control::Ibkr(Reach::Here)),
        ["gateway-restarts", down] => world(Control::Restart { down: span(down) }),
        ["reauthentications-fail"] => world(Control::FailReauthentications(Times::Always)),
        ["inits-fail"] => world(Control::FailInits { times: Times::Always, status: None }),
        ["faults-end"] => Event::World(vec![Control::Clear, Control::FailInits { times: Times::NEVER, status: None }]),
        ["host-sleeps", span_] => Event::Sleep(span(span_)),
        ["clock-set", "forward", by] => Event::ClockSet(signed(by)),
        ["clock-set", "back", by] => Event::ClockSet(-signed(by)),
        ["operator-pauses", for_] => Event::Pause(span(for_)),
        ["operator-logs-out"] => Event::Logout,
        ["operator-checks"] => Event::Check,
        ["operator-resumes"] => Event::Resume,
        _ => panic!("nobody knows what {what:?} is"),
    }
}

fn many(times: &str) -> Times {
    if times == "always" { Times::Always } else { Times::Next(times.parse().unwrap()) }
}

fn competitor(shows: &str, returns_after: Option<Duration>) -> Competitor {
    let shows = match shows {
        "taken" => Shows::Taken,
        "both" => Shows::Both,
        "quiet" => Shows::Quiet,
        other => panic!("{other}"),
    };
    Competitor { shows, stubborn: false, returns_after }
}

/// As `90s`, `1h 30m`.
pub(crate) fn span(text: &str) -> Duration {
    Duration::try_from(signed(text)).unwrap()
}

fn signed(text: &str) -> SignedDuration {
    if let Some(years) = text.strip_suffix('y') {
        return SignedDuration::from_hours(years.parse::<i64>().unwrap() * 8766);
    }
    text.parse().unwrap_or_else(|e| panic!("{text:?}: {e}"))
}

fn noon() -> String {
    "2026-11-24T12:00 America/New_York".to_owned()
}
