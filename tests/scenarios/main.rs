//! Scenarios: timelines as data, each named after the fault it is about; expected are states, requests and alerts.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod script;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use script::{Event, Script, span};
use support::flights::{self, Flights};
use support::rules::{Rules, Sky, Tally};
use tickled::alert::{AlertInput as Told, AlertPhase, Notice, Settings, Tracker};
use tickled::session::{Input, Machine, Now, Plan};
use tickled::simulator::world::{Options, World};
use tickled::status::{Place, Snapshot};

/// The outcome of a scenario.
#[derive(Default)]
struct Outcome {
    states: Vec<String>,
    requests: BTreeMap<&'static str, u32>,
    told: Vec<(Duration, Notice)>,
    /// What broke one of the rules that hold in every scenario.
    broken: Vec<String>,
    tally: Tally,
}

struct Stage {
    world: World,
    machine: Machine,
    tracker: Tracker,
    place: Option<Place>,
    plan: Plan,
    alarm: Duration,
    starts: jiff::Timestamp,
    at: Duration,
    slept: Duration,
    off: SignedDuration,
    flights: Flights,
    rules: Rules,
    outcome: Outcome,
}

impl Stage {
    /// Whether it is in time for what happens is said by each scenario itself, so the sky is never clear.
    fn sky(&self) -> Sky {
        Sky { truth: self.world.truth(), clear: false }
    }

    fn now(&self) -> Now {
        let wall = self.starts + self.at;
        Now { mono: self.at - self.slept, wall: wall.saturating_add(self.off).unwrap_or(wall) }
    }

    fn step(&mut self, input: Input) {
        let now = self.now();
        self.plan = self.machine.step(now, input);
        self.flights.keep(&self.plan);
        let state = self.machine.state().name().to_owned();
        if self.outcome.states.last() != Some(&state) {
            self.outcome.states.push(state);
        }
        let place = self.place.as_ref();
        let snapshot = Snapshot::of("main", "https://localhost:5000", &self.machine, &self.plan, now, place);
        self.tell(Told::Snapshot(&snapshot));
        let sky = self.sky();
        let judged = self.rules.stepped(now.mono, &self.machine, &self.plan, sky, false, || Some(Duration::ZERO));
        self.outcome.broken.extend(judged.err());
        let Some(request) = self.plan.request else { return };
        self.outcome.broken.extend(self.rules.sending(now.mono, request, &self.machine).err());
        *self.outcome.requests.entry(request.name()).or_default() += 1;
        self.flights.send(&mut self.world, self.at, request);
    }

    fn tell(&mut self, told: Told<'_>) {
        let plan = self.tracker.step(self.now(), told);
        self.alarm = plan.wake_at;
        let at = self.at;
        let (mono, sky) = (self.now().mono, self.sky());
        let judged = plan.notices.iter().filter_map(|notice| self.rules.told(mono, sky, notice).err());
        self.outcome.broken.extend(judged);
        self.outcome.told.extend(plan.notices.into_iter().map(|notice| (at, notice)));
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::World(controls) => controls.into_iter().for_each(|control| self.world.set(self.at, control)),
            Event::Sleep(span) => {
                self.at += span;
                self.slept += span;
            }
            Event::ClockSet(by) => self.off += by,
            Event::Pause(span) => {
                let until = Some(self.now().wall + span);
                self.step(Input::Pause { until });
            }
            Event::Check => self.step(Input::Check),
            Event::Resume => self.step(Input::Resume),
            Event::Logout => self.step(Input::Logout),
        }
    }
}

fn play(script: &Script) -> Outcome {
    let starts = script.starts();
    let epoch_ms = u64::try_from(starts.as_millisecond()).unwrap();
    let options = Options { epoch_ms, login_lasts: None, ..Options::default() };
    let now = Now { mono: Duration::ZERO, wall: starts };
    let mut machine = Machine::new(script.policy(), 11, now);
    let plan = machine.step(now, Input::Check);
    let calendar = script.calendar();
    let place = calendar.map(|(region, maintenance)| Place { region, maintenance: Arc::new(maintenance) });
    let mut stage = Stage {
        world: World::new(&options),
        machine,
        tracker: Tracker::new(Settings::default(), "host"),
        place,
        plan,
        alarm: Duration::MAX,
        starts,
        at: Duration::ZERO,
        slept: Duration::ZERO,
        off: SignedDuration::ZERO,
        flights: Flights::default(),
        rules: Rules::default(),
        outcome: Outcome { states: vec!["starting".to_owned()], ..Outcome::default() },
    };
    let mut events = script.events();
    events.reverse();
    while events.last().is_some_and(|(at, _)| at.is_zero()) {
        let (_, event) = events.pop().unwrap();
        stage.happens(event);
    }
    // The first check was planned before anything had happened: it is sent into the world as it is now.
    stage.step(Input::Pause { until: None });
    stage.outcome.states.pop();
    stage.step(Input::Resume);
    let lasts = span(&script.lasts);
    while stage.at < lasts {
        let wake = stage.plan.wake_at + stage.slept;
        let event = events.last().map_or(Duration::MAX, |(at, _)| *at);
        let landing = stage.flights.next(&stage.world);
        let alarm = stage.alarm.saturating_add(stage.slept);
        let next = wake.min(event).min(landing).min(alarm);
        stage.at = stage.at.max(next);
        stage.world.advance(stage.at);
        stage.flights.update(&mut stage.world, stage.at);
        if next == event {
            let (_, event) = events.pop().unwrap();
            stage.happens(event);
        } else if next == landing {
            let Some((request, answer)) = stage.flights.land(stage.at) else { continue };
            stage.rules.ended(stage.now().mono, request, answer);
            stage.step(flights::input(request, answer));
        } else if next == wake {
            stage.step(Input::Wake);
        } else {
            stage.tell(Told::Wake);
        }
    }
    Outcome { tally: stage.rules.tally, ..stage.outcome }
}

fn judge(script: &Script, outcome: &Outcome) -> Vec<String> {
    let mut faults = Vec::new();
    if !script.expect.states.is_empty() && outcome.states != script.expect.states {
        faults.push(format!("states were {:?}", outcome.states));
    }
    if outcome.states.last() != Some(&script.expect.ends) {
        faults.push(format!("it ended as {:?}", outcome.states.last()));
    }
    for (request, expected) in &script.expect.requests {
        let count = outcome.requests.get(request.as_str()).copied().unwrap_or_default();
        let fits = match expected.split_once("..") {
            Some((least, most)) => (least.parse().unwrap()..most.parse().unwrap()).contains(&count),
            None => count == expected.parse::<u32>().unwrap(),
        };
        if !fits {
            faults.push(format!("{request} was sent {count} times, not {expected}"));
        }
    }
    let told: Vec<&(Duration, Notice)> =
        outcome.told.iter().filter(|(_, notice)| notice.phase != AlertPhase::Repeated).collect();
    let as_expected = told.len() == script.expect.told.len()
        && told.iter().zip(&script.expect.told).all(|((at, notice), expected)| {
            let (when, what) = expected.rsplit_once(" ").unwrap();
            let (when, code) = when.rsplit_once(' ').unwrap();
            let (earliest, latest) = when.split_once("..").unwrap();
            let phase = if notice.phase == AlertPhase::Raised { "raised" } else { "resolved" };
            (span(earliest)..=span(latest)).contains(at) && notice.code.to_string() == code && phase == what
        });
    let wrong = |notice: &&(Duration, Notice)| notice.1.phase != AlertPhase::Resolved;
    let causes: Vec<&str> = outcome.told.iter().filter(wrong).map(|(_, notice)| notice.reason.as_str()).collect();
    if !script.expect.causes.is_empty() && causes != script.expect.causes {
        faults.push(format!("it looked like {causes:?}"));
    }
    faults.extend(outcome.broken.iter().map(|what| format!("broken: {what}")));
    if !as_expected {
        let told: Vec<String> = told.iter().map(|(at, n)| format!("{at:?} {} {:?}", n.code, n.phase)).collect();
        faults.push(format!("told was {told:#?}"));
    }
    faults
}

#[test]
fn every_scenario_goes_as_it_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/scenarios");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut wrong = Vec::new();
    let mut total = Tally::default();
    for file in &files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let script: Script =
            toml::from_str(&fs::read_to_string(file).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let outcome = play(&script);
        total.add(&outcome.tally);
        let faults = judge(&script, &outcome);
        if !faults.is_empty() {
            wrong.push(format!("{name} ({}):\n  {}", script.about, faults.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(files.len(), SCENARIOS, "scenarios found");
    println!("{total:?}");
}

#[test]
fn a_scenario_that_goes_otherwise_is_noticed() {
    let script: Script = toml::from_str(
        "about = ''\nlasts = '10m'\ntimeline = ['0s login', '5m login-expires']\n\
         [expect]\nstates = ['starting', 'live']\nends = 'live'\nrequests = { reauthenticate = '9' }",
    )
    .unwrap();
    assert_eq!(judge(&script, &play(&script)).len(), 4);
}

const SCENARIOS: usize = 61;
