use std::time::UNIX_EPOCH;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Seconds on a clock that stands still unless it is told.
fn at(start: Instant, seconds: f64) -> (Instant, SystemTime) {
    let since = Duration::from_secs_f64(seconds);
    (start + since, UNIX_EPOCH + Duration::from_secs(784_111_777) + since)
}

fn learn(limits: &mut Limits, ticket: &Ticket, headers: &[(&str, &str)], now: (Instant, SystemTime)) {
    let owned: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    limits.learn(
        ticket,
        |name| owned.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()),
        now,
    );
    limits.give_back(ticket);
}

/// The wait of the next request after one answer with these headers.
fn wait_after(headers: &[(&str, &str)], need: Amount) -> f64 {
    let start = Instant::now();
    let mut limits = Limits::new(MINUTE);
    let first = limits.take(need, start).expect("nothing is known yet");
    learn(&mut limits, &first, headers, at(start, 0.0));
    limits.take(need, start).map_or_else(|wait| wait.as_secs_f64(), |_| 0.0)
}

#[test]
fn headers_of_all_kinds_are_waited_for() {
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    for (prefix, suffix, reset, seconds) in [
        ("x-ratelimit-", "-requests", "1.5s", 1.5),
        ("x-ratelimit-", "-tokens", "20ms", 0.02),
        ("x-ratelimit-", "", "7", 7.0),
        ("ratelimit-", "", "0", 1.0),
        ("x-ratelimit-", "-tokens-minute", "33.5", 33.5),
        ("x-ratelimit-", "-requests-day", "59", 59.0),
        ("anthropic-ratelimit-requests-", "", "1994-11-06T08:49:40Z", 3.0),
        ("anthropic-ratelimit-tokens-", "", "1994-11-06T10:49:40.5+02:00", 3.5),
        ("anthropic-ratelimit-input-tokens-", "", "1994-11-06T08:49:47Z", 10.0),
        ("anthropic-ratelimit-output-tokens-", "", "1994-11-06T08:49:47Z", 10.0),
    ] {
        let name = |word: &str| format!("{prefix}{word}{suffix}");
        let (limit, remaining, name) = (name("limit"), name("remaining"), name("reset"));
        let headers =
            |rest| [(limit.as_str(), "1000"), (remaining.as_str(), rest), (name.as_str(), reset), date];
        assert_eq!(wait_after(&headers("0"), Amount::one(100, 10)), seconds, "{name}: {reset}");
        assert_eq!(wait_after(&headers("500"), Amount::one(100, 10)), 0.0, "{name}");
    }
    // Tokens count with all that an answer could have.
    let tokens = [("x-ratelimit-remaining-tokens", "109"), ("x-ratelimit-reset-tokens", "5")];
    assert_eq!(
        [wait_after(&tokens, Amount::one(100, 10)), wait_after(&tokens, Amount::one(99, 10))],
        [5.0, 0.0]
    );
    // The longest wait of all that is said.
    let both = [tokens[0], tokens[1], ("ratelimit-remaining", "0"), ("ratelimit-reset", "9")];
    assert_eq!(wait_after(&both, Amount::one(100, 10)), 9.0);
    // A policy beside the number, and a reset that is not told.
    let draft = [("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "0;x")];
    assert_eq!(wait_after(&draft, Amount::one(1, 1)), 60.0);
}

#[test]
fn nonsense_is_not_said_and_no_wait_is_longer_than_allowed() {
    let need = Amount::one(100, 10);
    for rest in ["", "-1", "-0.5", "NaN", "inf", "-inf", "1e999", "none", "0x0", "18446744073709551616"] {
        for reset in ["30", "NaN", "-7", ""] {
            let headers = [("x-ratelimit-remaining-requests", rest), ("x-ratelimit-reset-requests", reset)];
            assert_eq!(wait_after(&headers, need), 0.0, "{rest:?}, {reset:?}");
        }
    }
    for reset in [
        "-1",
        "NaN",
        "inf",
        "1e300",
        "99999999h",
        "9e18",
        "soon",
        "1e12",
        "60.001",
        "",
        "9999-12-31T23:59:59Z",
    ] {
        for limit in ["0", "-5", "NaN", "1", "1e300"] {
            let headers = [
                ("x-ratelimit-limit-requests", limit),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", reset),
            ];
            let wait = wait_after(&headers, need);
            assert!((0.0..=60.0).contains(&wait), "{limit:?}, {reset:?}: {wait}");
        }
    }
    // More left than the limit allows, and a limit below any request.
    for (limit, rest) in [("1", "0"), ("5", "0"), ("0", "0")] {
        let start = Instant::now();
        let mut limits = Limits::new(MINUTE);
        let headers = [
            ("x-ratelimit-limit-tokens", limit),
            ("x-ratelimit-remaining-tokens", rest),
            ("x-ratelimit-reset-tokens", "10"),
        ];
        let first = limits.take(need, start).expect("nothing is known yet");
        learn(&mut limits, &first, &headers, at(start, 0.0));
        assert_eq!(limits.take(need, start).unwrap_err(), Duration::from_secs(10));
        assert!(limits.take(need, start + Duration::from_secs(10)).is_ok(), "{limit}");
    }
}

#[test]
fn an_answer_that_comes_late_gives_nothing_back() {
    let start = Instant::now();
    let mut limits = Limits::new(MINUTE);
    let need = Amount::one(1, 1);
    let headers = |rest: &'static str, reset: &'static str| {
        [
            ("x-ratelimit-limit-requests", "3"),
            ("x-ratelimit-remaining-requests", rest),
            ("x-ratelimit-reset-requests", reset),
        ]
    };
    let first = limits.take(need, start).unwrap();
    learn(&mut limits, &first, &headers("2", "30"), at(start, 0.0));
    let (late, soon) = (limits.take(need, start).unwrap(), limits.take(need, start).unwrap());
    assert_eq!(limits.take(need, start).unwrap_err().as_secs(), 30);
    learn(&mut limits, &soon, &headers("0", "20"), at(start, 10.0));
    // The next window; what is still under way may count there.
    let next = limits.take(need, start + Duration::from_secs(30)).unwrap();
    learn(&mut limits, &late, &headers("1", "1"), at(start, 30.0));
    let last = limits.take(need, start + Duration::from_secs(30)).unwrap();
    learn(&mut limits, &next, &headers("2", "30"), at(start, 31.0));
    learn(&mut limits, &last, &headers("1", "29"), at(start, 32.0));
    // One of the last two could be missing from what the server says is left.
    assert_eq!(limits.take(need, start + Duration::from_secs(32)).unwrap_err().as_secs(), 29);
    assert!(limits.take(need, start + Duration::from_secs(61)).is_ok());
}

/// A server with a limit, on a clock in seconds.
struct Server {
    limit: f64,
    period: f64,
    /// All comes back at once, or a little all the time.
    in_windows: bool,
    left: f64,
    /// The end of the window, or the time of the last look.
    time: f64,
}

impl Server {
    /// Counts, and gives what is left and the time until the reset; an error if there is too little.
    fn count(&mut self, now: f64, need: f64) -> Result<(f64, f64), ()> {
        if self.in_windows {
            if now >= self.time {
                (self.left, self.time) = (self.limit, now + self.period);
            }
        } else {
            self.left = self.limit.min(self.left + (now - self.time) * self.limit / self.period);
            self.time = now;
        }
        if self.left < need {
            return Err(());
        }
        self.left -= need;
        let reset = if self.in_windows {
            self.time - now
        } else {
            (self.limit - self.left) * self.period / self.limit
        };
        Ok((self.left, reset))
    }
}

/// A request on its way: when it comes to the server, when its answer is here, and what that says.
struct Sent {
    ticket: Ticket,
    arrives: f64,
    returns: f64,
    said: Option<(f64, f64)>,
}

/// The time that requests take in all, and how many were refused after the first answer.
///
/// * `slow`: seconds that an answer takes at most.
fn simulate(
    server: &mut Server,
    unit: &str,
    (n, at_once): (usize, usize),
    slow: f64,
    seed: u64,
) -> (f64, usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut random = |from: f64, to: f64| from + (to - from) * f64::from(rng.next_u32()) / 2.0_f64.powi(32);
    let start = Instant::now();
    let mut limits = Limits::new(MINUTE);
    let (mut now, mut done, mut refused, mut to_send) = (0.0, 0, 0, n);
    let mut sent: Vec<Sent> = Vec::new();
    while done < n {
        let mut next = f64::INFINITY;
        let most = if done == 0 { 1 } else { at_once };
        while to_send > 0 && sent.len() < most {
            match limits.take(Amount::one(60, 40), at(start, now).0) {
                Ok(ticket) => {
                    let arrives = now + random(0.001, 0.3);
                    sent.push(Sent { ticket, arrives, returns: arrives + random(0.01, slow), said: None });
                    to_send -= 1;
                }
                Err(wait) => {
                    next = now + wait.as_secs_f64() + 1e-6;
                    break;
                }
            }
        }
        for one in &sent {
            next = next.min(if one.said.is_none() { one.arrives } else { one.returns });
        }
        assert!(next.is_finite() && now < 1e5, "it stalls at {now} s with {done} of {n} done");
        now = next;
        for one in &mut sent {
            if one.said.is_none() && one.arrives <= now {
                let need = if unit == "requests" { 1.0 } else { 100.0 };
                one.said = server.count(one.arrives, need).ok();
                if one.said.is_none() {
                    refused += 1;
                    one.said = Some((0.0, 1.0));
                }
            }
        }
        while let Some(place) = sent.iter().position(|one| one.said.is_some() && one.returns <= now) {
            let one = sent.remove(place);
            let (left, reset) = one.said.expect("checked");
            let (name, values) = (
                |word: &str| format!("x-ratelimit-{word}-{unit}"),
                [server.limit.to_string(), left.floor().to_string(), format!("{}ms", (reset * 1e3).ceil())],
            );
            // The head of the answer was made when the request came.
            let names = ["limit", "remaining", "reset"].map(name);
            let headers: Vec<(&str, &str)> =
                names.iter().zip(&values).map(|(name, value)| (name.as_str(), value.as_str())).collect();
            learn(&mut limits, &one.ticket, &headers, at(start, now));
            done += 1;
        }
    }
    (now, refused)
}

#[test]
fn a_server_that_says_its_limits_never_has_to_refuse() {
    for seed in 0..90 {
        for in_windows in [true, false] {
            for unit in ["requests", "tokens"] {
                let limit = [3.0, 10.0, 50.0][seed as usize % 3];
                let at_once = [1, 4, 16][seed as usize / 3 % 3];
                // Answers that come at once, and ones that take longer than a window.
                let slow = [2.0, 50.0][seed as usize / 9 % 2];
                let n = 4 * limit as usize;
                let limit = if unit == "requests" { limit } else { 100.0 * limit };
                // The window that is there already when the first request comes ends before long.
                let time = if in_windows { (seed % 90) as f64 / 3.0 } else { 0.0 };
                let mut server = Server { limit, period: 30.0, in_windows, left: limit, time };
                let (seconds, refused) = simulate(&mut server, unit, (n, at_once), slow, seed);
                let case = format!(
                    "seed {seed}, {unit}, {limit} in windows: {in_windows}, {at_once} at once, {slow} s"
                );
                assert_eq!(refused, 0, "{case}");
                // Four limits take three periods to come back; some of each may not be used.
                let alone = n as f64 * (0.3 + slow) / at_once as f64;
                assert!(seconds < 300.0 + alone, "{case}: {seconds} s");
            }
        }
    }
}
