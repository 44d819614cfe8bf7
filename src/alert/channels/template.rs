//! The body of a web request as a template over the fields of a message, with a limit on its cost.

use std::collections::BTreeSet;

use minijinja::{Environment, ErrorKind, UndefinedBehavior};

use super::super::notice::{AlertPhase, Message, Notice};
use super::super::{About, Code};

/// A body, compiled.
#[derive(Debug)]
pub(super) struct Template(Environment<'static>);

impl Template {
    pub(super) fn new(body: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.add_template_owned(NAME, body.to_owned()).map_err(|error| describe(&error))?;
        Ok(Self(environment))
    }

    pub(super) fn render(&self, message: &Message) -> Result<String, String> {
        let rendered = self.0.get_template(NAME).and_then(|template| template.render(minijinja::value::Serde(message)));
        rendered.map_err(|error| describe(&error))
    }

    /// Returns an error for a field that no message has.
    fn unknown(&self) -> Option<String> {
        let serde_json::Value::Object(fields) = serde_json::json!(samples().first()?) else { return None };
        let names = self.0.get_template(NAME).ok()?.undeclared_variables(false);
        let globals: BTreeSet<&str> = self.0.globals().map(|(name, _)| name).collect();
        let is_unknown = |name: &&String| !fields.contains_key(*name) && !globals.contains(name.as_str());
        let first = names.iter().filter(is_unknown).min()?;
        let known: Vec<&str> = fields.keys().map(String::as_str).collect();
        Some(format!("there is no field {first:?}; there are {}", known.join(", ")))
    }
}

/// Returns the error of a body, if any. Compiles it and renders it with messages of every kind.
#[must_use]
pub fn check(body: &str) -> Option<String> {
    let template = match Template::new(body) {
        Ok(template) => template,
        Err(what) => return Some(what),
    };
    if let Some(what) = template.unknown() {
        return Some(what);
    }
    for message in samples() {
        let rendered = match template.render(&message) {
            Ok(rendered) => rendered,
            Err(what) => return Some(what),
        };
        let begins = |with: &[&str]| with.iter().any(|with| body.trim_start().starts_with(with));
        let looks_like_json = begins(&["{", "["]) && !begins(&["{{", "{%", "{#"]);
        if looks_like_json && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&rendered) {
            return Some(format!(
                "it looks like JSON but renders to invalid JSON ({error}): write {{{{ title | tojson }}}}"
            ));
        }
    }
    None
}

/// Messages with awkward texts: quotes, line ends, absent fields.
fn samples() -> Vec<Message> {
    let abouts = [About::Gateway("main".to_owned()), About::Channel("phone".to_owned()), About::Daemon];
    let phases =
        [AlertPhase::Raised, AlertPhase::Repeated, AlertPhase::Resolved, AlertPhase::Withdrawn, AlertPhase::Test];
    let notices = abouts.iter().flat_map(|about| phases.map(|phase| (about.clone(), phase)));
    notices
        .map(|(about, phase)| {
            let notice = Notice {
                about,
                code: Code::ConfigRejected,
                phase,
                summary: "the \"file\" is\nbroken \\ & <odd>".to_owned(),
                ..Notice::test(jiff::Timestamp::UNIX_EPOCH)
            };
            notice.message(&jiff::tz::TimeZone::UTC, &"host".into())
        })
        .collect()
}

fn describe(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    if error.kind() == ErrorKind::OutOfFuel {
        return format!("{line}it takes too many steps");
    }
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{line}{}{detail}", error.kind()).replace('\n', " ")
}

const NAME: &str = "body";
/// How many steps a body may take.
const FUEL: u64 = 10_000;
