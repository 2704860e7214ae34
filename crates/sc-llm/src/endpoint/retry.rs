//! When to try again, and how long to wait before.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::{RetryParams, date};

/// The pauses of one request.
pub(super) struct Pauses<'a> {
    params: &'a RetryParams,
    rng: ChaCha8Rng,
    failures: u32,
}

impl<'a> Pauses<'a> {
    /// * `stream`: number of the request, so that its pauses do not depend on other requests.
    pub(super) fn new(params: &'a RetryParams, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
        rng.set_stream(stream);
        Self { params, rng, failures: 0 }
    }

    /// The pause after one more failure; none after the last attempt. Without a word of the server it is uniform between
    /// nothing and `backoff · 2^(failures - 1)`, at most `max_wait`; else what the server asks for and up to `backoff` more,
    /// so that not all come back at the same moment.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.failures += 1;
        if self.failures >= self.params.attempts {
            return None;
        }
        let RetryParams { backoff, max_wait, .. } = *self.params;
        let share = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        Some(match asked {
            Some(asked) => asked + backoff.min(max_wait).mul_f64(share),
            None => backoff.saturating_mul(1 << (self.failures - 1).min(20)).min(max_wait).mul_f64(share),
        })
    }
}

/// How long the server asks to wait after it refused: `retry-after-ms`, `Retry-After` in seconds or as a date, else the
/// longest of the `x-ratelimit-reset` headers whose rest is not known to be left.
pub(super) fn asked<'h>(header: impl Fn(&str) -> Option<&'h str>, now: SystemTime) -> Option<Duration> {
    if let Some(wait) = header("retry-after-ms").and_then(|ms| milliseconds(ms.trim())) {
        return Some(wait);
    }
    if let Some(text) = header("retry-after").map(str::trim)
        && let Some(wait) = number(text, 1.0).or_else(|| {
            // A date that has passed asks for no pause.
            date::from_http(text).map(|date| date.duration_since(now).unwrap_or_default())
        })
    {
        return Some(wait);
    }
    let kinds = ["", "-requests", "-tokens"];
    let waits = kinds.iter().filter_map(|kind| {
        let rest: Option<f64> =
            header(&format!("x-ratelimit-remaining{kind}")).and_then(|rest| rest.trim().parse().ok());
        let reset = header(&format!("x-ratelimit-reset{kind}"))?;
        if rest.is_none_or(|rest| rest == 0.0) { span(reset.trim(), now) } else { None }
    });
    waits.max()
}

/// A span of time: seconds, a time since 1970 in seconds or milliseconds, a date of RFC 3339, or as in `1h2m3.5s` and
/// `20ms`.
pub(super) fn span(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(value) = text.parse::<f64>() {
        // No server asks for thirty years.
        return match value {
            v if v >= 1e12 => since_1970(v / 1e3, now),
            v if v >= 1e9 => since_1970(v, now),
            _ => number(text, 1.0),
        };
    }
    if let Some(then) = date::from_rfc3339(text) {
        return Some(then.duration_since(now).unwrap_or_default());
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |n| digits + n);
        let scale = match &rest[digits..unit_end] {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.checked_add(number(&rest[..digits], scale)?)?;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(total)
}

fn since_1970(seconds: f64, now: SystemTime) -> Option<Duration> {
    let then = UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
    Some(then.duration_since(now).unwrap_or_default())
}

fn number(text: &str, scale: f64) -> Option<Duration> {
    let value: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(value * scale).ok()
}

fn milliseconds(text: &str) -> Option<Duration> {
    number(text, 1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(headers: &[(&str, &'static str)]) -> Option<f64> {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_770);
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        asked(header, now).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn every_way_to_ask_for_a_pause_is_heard() {
        for (name, value, seconds) in [
            ("retry-after", "7", 7.0),
            ("retry-after", "0.25", 0.25),
            ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", 7.0),
            ("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
            ("retry-after-ms", "125", 0.125),
            ("x-ratelimit-reset", "3", 3.0),
            ("x-ratelimit-reset-requests", "1h2m3.5s", 3723.5),
            ("x-ratelimit-reset-tokens", "20ms", 0.02),
            ("x-ratelimit-reset-tokens", "6m0s", 360.0),
        ] {
            assert_eq!(ask(&[(name, value)]), Some(seconds), "{name}: {value}");
        }
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        assert_eq!(span("1800000005", now), Some(Duration::from_secs(5)));
        assert_eq!(span("1800000005000", now), Some(Duration::from_secs(5)));
        assert_eq!(span("1799999999", now), Some(Duration::ZERO));
    }

    #[test]
    fn the_clearest_word_counts_and_nonsense_is_none() {
        assert_eq!(ask(&[("retry-after", "9"), ("retry-after-ms", "10")]), Some(0.01));
        assert_eq!(ask(&[("retry-after", "soon"), ("x-ratelimit-reset", "2s")]), Some(2.0));
        let both = [
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-tokens", "9s"),
            ("x-ratelimit-remaining-tokens", "500"),
        ];
        assert_eq!(ask(&both), Some(1.0));
        for value in ["", "-1", "NaN", "inf", "1e400", "1x", "s", "1", "..s"] {
            let found = ask(&[("x-ratelimit-reset-tokens", value)]);
            assert_eq!(found, (value == "1").then_some(1.0), "{value:?}");
        }
    }

    #[test]
    fn pauses_grow_up_to_the_longest_and_depend_on_seed_and_request_alone() {
        let params = RetryParams {
            attempts: 40,
            backoff: Duration::from_secs(1),
            max_wait: Duration::from_secs(60),
            seed: 7,
        };
        let pauses = |stream| {
            let mut pauses = Pauses::new(&params, stream);
            std::iter::from_fn(move || pauses.next(None)).collect::<Vec<_>>()
        };
        let (first, again, other) = (pauses(0), pauses(0), pauses(1));
        assert_eq!((first.len(), &first), (39, &again));
        assert_ne!(first, other);
        assert!(first.iter().zip(0..).all(|(wait, n)| wait.as_secs_f64() <= 60.0_f64.min(2.0_f64.powi(n))));
        assert!(first.iter().any(|wait| wait.as_secs() > 30), "the jitter is over the whole range");
        let asked = Pauses::new(&params, 0).next(Some(Duration::from_secs(5))).unwrap().as_secs_f64();
        assert!((5.0..6.0).contains(&asked));
        let once = RetryParams { attempts: 1, ..params };
        assert_eq!(Pauses::new(&once, 0).next(None), None);
    }
}
