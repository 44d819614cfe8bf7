//! The rules that hold for every single step. The fuzz target has them too.

use tickled::session::{Cause, Competing, Failure, Input, Machine, Now, Plan, Request, State, Step};

/// Checks the step from `before` by `input`, which led to this machine and plan.
pub(crate) fn check(before: State, input: Input, machine: &Machine, now: Now, plan: &Plan) {
    let state = machine.state();
    let change = plan.transition.map(|transition| (transition.from.name(), transition.to.name()));
    let expected = (before.name() != state.name()).then_some((before.name(), state.name()));
    assert_eq!(change, expected, "the change that is reported is not the one that took place");
    if let Input::Answer(answer) = input
        && matches!(answer.failure(), Some(Failure::Unavailable(_)))
        && !matches!(before, State::LoginRequired(_))
    {
        // A logout whose answer is lost counts as done.
        let is_demanded = matches!(state, State::LoginRequired(cause) if cause != Cause::ByOperator);
        assert!(!is_demanded, "a login demanded because of an answer that says nothing: {input:?} in {before:?}");
    }
    assert!(plan.wake_at >= now.mono, "it wakes in the past: {plan:?}");
    assert!(plan.standing <= 4, "{} requests are left standing", plan.standing);
    let Some(request) = plan.request else { return };
    assert!(plan.awaiting, "{request:?} is sent, and not awaited");
    if request.is_attempt() {
        assert!(matches!(state, State::Recovering { .. }), "{request:?} in {state:?}");
    }
    if machine.policy().competing == Competing::Yield {
        assert_ne!(request, Request::OpenBrokerage { compete: true }, "another client is evicted");
        let evicts = request == Request::Reauthenticate && machine.facts().evidence.competing;
        assert!(!evicts, "another client may be evicted");
    }
    assert!(!matches!(state, State::Paused { .. }) || request == Request::EndSession, "{request:?} while paused");
}

/// Whether the session has been asked for, so that good flags that the stream reports stand for a check.
pub(crate) fn is_asked_for(state: State, plan: &Plan) -> bool {
    let State::Recovering { step, .. } = state else { return false };
    step == Step::Confirm || (step == Step::Reauthenticate && plan.awaiting)
}
