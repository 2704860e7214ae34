//! How many requests are under way at once, and when the next one goes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::limits::{Amount, Limits, Ticket};

/// Answers after which one more request is allowed at once.
const GROW_AFTER: u32 = 8;
/// How often somebody who waits looks whether the run was stopped.
const TICK: Duration = Duration::from_millis(50);
/// Waiting that is worth being told.
const LONG: Duration = Duration::from_secs(1);

/// Lets requests through: one until the first answer, so that the server has the common start of all prompts before many
/// come; then as many as the caller allows; half as many after each refusal for their number, one more after each eight
/// answers. Who would exceed what the server said that it takes waits.
#[derive(Debug)]
pub(super) struct Gate<'l> {
    most: usize,
    limits: &'l Mutex<Limits>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    warm: bool,
    limit: usize,
    under_way: usize,
    answers: u32,
    /// Nobody goes before.
    not_before: Option<Instant>,
    /// The last time that the limit was halved.
    halved: Option<Instant>,
}

/// Leave to have one request under way.
#[derive(Debug)]
pub(super) struct Pass<'g> {
    gate: &'g Gate<'g>,
    since: Instant,
    ticket: Ticket,
}

impl<'l> Gate<'l> {
    pub(super) fn new(most: usize, limits: &'l Mutex<Limits>) -> Self {
        let state = State { warm: false, limit: 1, under_way: 0, answers: 0, not_before: None, halved: None };
        Self { most: most.max(1), limits, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for leave; none if the run was stopped.
    ///
    /// * `need`: what the request could need. It is waited for until half of the time to `deadline` has passed: then the
    ///   server may decide.
    /// * `waits`: is told, once, how long the server wants to be left alone if that is a second or more.
    pub(super) fn enter(
        &self,
        need: Amount,
        deadline: Instant,
        stopped: &dyn Fn() -> bool,
        waits: &dyn Fn(Duration),
    ) -> Option<Pass<'_>> {
        let came = Instant::now();
        let mut is_told = false;
        let patience = deadline.saturating_duration_since(came) / 2;
        let mut state = self.lock();
        loop {
            if stopped() {
                return None;
            }
            let now = Instant::now();
            let pause = state.not_before.map_or(Duration::ZERO, |then| then.saturating_duration_since(now));
            let mut wait = pause;
            if pause.is_zero() && state.under_way < state.limit {
                let mut limits = self.limits();
                let taken =
                    if now - came < patience { limits.take(need, now) } else { Ok(limits.take_anyway(need)) };
                match taken {
                    Ok(ticket) => {
                        state.under_way += 1;
                        return Some(Pass { gate: self, since: now, ticket });
                    }
                    Err(until_more) => wait = until_more,
                }
            }
            if wait >= LONG && !std::mem::replace(&mut is_told, true) {
                waits(wait);
            }
            let nap = if wait.is_zero() { TICK } else { wait.min(TICK) };
            state = self.changed.wait_timeout(state, nap).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Nobody goes for this long.
    pub(super) fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.lock();
        state.not_before = Some(state.not_before.map_or(until, |then| then.max(until)));
    }

    /// Waits; false if the run was stopped meanwhile.
    pub(super) fn wait(&self, time: Duration, stopped: &dyn Fn() -> bool) -> bool {
        let until = Instant::now() + time;
        let mut state = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if stopped() {
                return false;
            }
            if left.is_zero() {
                return true;
            }
            state =
                self.changed.wait_timeout(state, left.min(TICK)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets everybody who waits look again whether the run was stopped.
    pub(super) fn wake(&self) {
        self.changed.notify_all();
    }
}

impl Pass<'_> {
    /// The server said something about its limits, or nothing.
    pub(super) fn learn<'h>(&self, header: impl Fn(&str) -> Option<&'h str>, clock: SystemTime) {
        self.gate.limits().learn(&self.ticket, header, (Instant::now(), clock));
    }

    /// The server answered.
    pub(super) fn answered(self) {
        let mut state = self.gate.lock();
        if !state.warm {
            (state.warm, state.limit) = (true, self.gate.most);
            return;
        }
        state.answers += 1;
        if state.answers >= GROW_AFTER && state.limit < self.gate.most {
            state.limit += 1;
            state.answers = 0;
        }
    }

    /// The server refused, for there are too many. Those that were under way together count once.
    pub(super) fn too_many(self) {
        let mut state = self.gate.lock();
        if state.halved.is_none_or(|halved| self.since > halved) {
            state.limit = (state.limit / 2).max(1);
            state.answers = 0;
            state.halved = Some(Instant::now());
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.limits().give_back(&self.ticket);
        self.gate.lock().under_way -= 1;
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many may be under way, and are.
    fn now(gate: &Gate<'_>) -> (usize, usize) {
        let state = gate.lock();
        (state.limit, state.under_way)
    }

    fn unlimited() -> Mutex<Limits> {
        Mutex::new(Limits::new(Duration::from_secs(60)))
    }

    fn enter<'g>(gate: &'g Gate<'g>) -> Pass<'g> {
        gate.enter(Amount::one(1, 1), Instant::now() + Duration::from_secs(9), &|| false, &|_| ()).unwrap()
    }

    #[test]
    fn one_goes_first_then_as_many_as_allowed() {
        let limits = unlimited();
        let gate = Gate::new(4, &limits);
        let first = enter(&gate);
        assert_eq!(gate.lock().limit, 1);
        first.answered();
        assert_eq!(now(&gate), (4, 0));
    }

    #[test]
    fn refusals_halve_once_for_those_under_way_together_and_answers_add_one() {
        let limits = unlimited();
        let gate = Gate::new(8, &limits);
        enter(&gate).answered();
        let together: Vec<Pass<'_>> = (0..8).map(|_| enter(&gate)).collect();
        for pass in together {
            pass.too_many();
        }
        assert_eq!(gate.lock().limit, 4);
        for _ in 0..3 {
            enter(&gate).too_many();
        }
        assert_eq!(gate.lock().limit, 1);
        for _ in 0..GROW_AFTER {
            enter(&gate).answered();
        }
        assert_eq!(now(&gate), (2, 0));
    }

    #[test]
    fn who_waits_goes_when_the_run_is_stopped_or_the_pause_is_over() {
        let limits = unlimited();
        let gate = Gate::new(1, &limits);
        let held = enter(&gate);
        assert!(gate.enter(Amount::one(1, 1), Instant::now(), &|| true, &|_| ()).is_none());
        drop(held);
        gate.pause(Duration::from_millis(20));
        let before = Instant::now();
        drop(enter(&gate));
        assert!(before.elapsed() >= Duration::from_millis(20));
        assert!(gate.wait(Duration::ZERO, &|| false) && !gate.wait(Duration::from_secs(9), &|| true));
    }

    #[test]
    fn who_would_exceed_a_limit_waits_and_goes_when_half_of_the_time_is_over() {
        let limits = unlimited();
        let gate = Gate::new(4, &limits);
        let learn = |reset: &'static str| {
            let pass = enter(&gate);
            let said = |name: &str| match name {
                "x-ratelimit-remaining" => Some("0"),
                "x-ratelimit-reset" => Some(reset),
                _ => None,
            };
            pass.learn(said, SystemTime::now());
            pass.answered();
        };
        learn("30ms");
        let before = Instant::now();
        drop(enter(&gate));
        assert!(before.elapsed() >= Duration::from_millis(30));
        learn("50s");
        let deadline = Instant::now() + Duration::from_millis(60);
        let told = std::cell::RefCell::new(Vec::new());
        let waits = |wait| told.borrow_mut().push(wait);
        assert!(gate.enter(Amount::one(1, 1), deadline, &|| false, &waits).is_some());
        assert!(Instant::now() >= deadline - Duration::from_millis(31));
        let told = told.into_inner();
        assert!(told.len() == 1 && told[0] > Duration::from_secs(49), "once: {told:?}");
    }
}
