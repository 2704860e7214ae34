//! Servers that say how much they take, and refuse what is more.

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use super::*;
use server::{failure, said, send};

/// What a server takes in a window of time. All of it is there again when the window ends.
struct Window {
    limit: u64,
    period: Duration,
    left: u64,
    end: Instant,
    refused: usize,
}

type Shared = Arc<Mutex<Window>>;

fn window(limit: u64, milliseconds: u64) -> Shared {
    let period = Duration::from_millis(milliseconds);
    Arc::new(Mutex::new(Window { limit, period, left: limit, end: Instant::now() + period, refused: 0 }))
}

/// A server that refuses more than its window has, and whose headers are made of limit, rest and time to the reset.
fn limited(
    window: &Shared,
    need: u64,
    headers: impl Fn(u64, u64, Duration) -> Vec<(&'static str, String)> + Send + Sync + 'static,
) -> Server {
    let window = Arc::clone(window);
    Server::start(move |request, stream| {
        let (headers, is_refused) = {
            let mut window = window.lock().unwrap();
            let now = Instant::now();
            if now >= window.end {
                (window.left, window.end) = (window.limit, now + window.period);
            }
            let is_refused = window.left < need;
            if is_refused {
                window.refused += 1;
            } else {
                window.left -= need;
            }
            (headers(window.limit, window.left, window.end - now), is_refused)
        };
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if is_refused {
            return send(
                stream,
                "429 Too Many Requests",
                &headers,
                &failure("slow down", "rate_limit_exceeded"),
            );
        }
        let text = if request.is_probe() { "east" } else { "T cell" };
        send(stream, "200 OK", &headers, &said(text));
    })
}

fn milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_micros().div_ceil(1000))
}

/// Runs, and sees that the server never had to refuse.
fn is_never_refused(server: &Server, window: &Shared, n: usize, params: EndpointParams) {
    let client = Client::new(EndpointParams { concurrency: 6, max_tokens: 50, ..params }, None).unwrap();
    let client = client.with_counter(|_| 100);
    // What is learnt is not forgotten between runs.
    for part in requests(n).chunks(n / 2) {
        let done = client.annotate_all(part, &lexicon(), &mut |event| {
            assert!(!matches!(event, Event::Retry { .. }), "{event:?}");
            ControlFlow::Continue(())
        });
        assert_eq!(outcomes(&done.unwrap().records), vec![Outcome::Label; part.len()]);
    }
    assert_eq!((server.requests().len(), window.lock().unwrap().refused), (n, 0));
}

#[test]
fn what_would_be_refused_is_not_sent_before_the_reset() {
    let window = window(4, 150);
    let server = limited(&window, 1, |limit, left, reset| {
        vec![
            ("x-ratelimit-limit-requests", limit.to_string()),
            ("x-ratelimit-remaining-requests", left.to_string()),
            ("x-ratelimit-reset-requests", milliseconds(reset)),
            // There is more than enough of this.
            ("x-ratelimit-limit-tokens", "1000000".to_owned()),
            ("x-ratelimit-remaining-tokens", "999000".to_owned()),
            ("x-ratelimit-reset-tokens", "6m0s".to_owned()),
        ]
    });
    is_never_refused(&server, &window, 14, params(&server));
}

#[test]
fn tokens_are_counted_before_they_are_sent() {
    // Prompts of 100 tokens and answers of up to 50, of which the server uses 10.
    let window = window(500, 150);
    let server = limited(&window, 110, |limit, left, reset| {
        vec![
            ("x-ratelimit-limit-tokens", limit.to_string()),
            ("x-ratelimit-remaining-tokens", left.to_string()),
            ("x-ratelimit-reset-tokens", milliseconds(reset)),
        ]
    });
    is_never_refused(&server, &window, 12, params(&server));
}

#[test]
fn limits_in_the_words_of_other_providers_are_kept_too() {
    let window = window(3, 200);
    let server = limited(&window, 1, |limit, left, reset| {
        let since = (SystemTime::now() + reset).duration_since(SystemTime::UNIX_EPOCH).unwrap();
        vec![
            ("anthropic-ratelimit-requests-limit", limit.to_string()),
            ("anthropic-ratelimit-requests-remaining", left.to_string()),
            // Times on whole seconds would make this slow.
            ("anthropic-ratelimit-requests-reset", rfc3339(since + Duration::from_millis(1))),
        ]
    });
    is_never_refused(&server, &window, 8, params(&server));

    let window = self::window(3, 200);
    let server = limited(&window, 1, |limit, left, reset| {
        let seconds = format!("{:.3}", reset.as_secs_f64() + 1e-3);
        vec![
            ("ratelimit-limit", format!("{limit}, {limit};w=1")),
            ("ratelimit-remaining", left.to_string()),
            ("ratelimit-reset", seconds),
        ]
    });
    is_never_refused(&server, &window, 8, params(&server));
}

#[test]
fn who_watches_is_told_of_a_long_wait() {
    let headers = [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "30s")];
    let server = Server::start(move |_, stream| send(stream, "200 OK", &headers, &said("T cell")));
    let timeouts = Timeouts { total: Duration::from_secs(3), ..params(&server).timeouts };
    let client = Client::new(EndpointParams { timeouts, ..params(&server) }, None).unwrap();
    let mut events = Vec::new();
    let done = client.annotate_all(&requests(2), &lexicon(), &mut |event| {
        events.push(match event {
            Event::Waiting { id, pause } => {
                assert!((10..=30).contains(&pause.as_secs()), "{pause:?}");
                format!("{id} waits")
            }
            Event::Done(record) => format!("{} is done", record.id),
            event => panic!("{event:?}"),
        });
        ControlFlow::Continue(())
    });
    assert_eq!(outcomes(&done.unwrap().records), [Outcome::Label; 2]);
    events.sort_unstable();
    // What the server said when it was probed holds for the first request too.
    assert_eq!(events, ["cluster 0 is done", "cluster 0 waits", "cluster 1 is done", "cluster 1 waits"]);
}

/// A time since 1970 as a date.
fn rfc3339(since: Duration) -> String {
    let (mut days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (mut year, mut month) = (1970, 0);
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!(
        "{year}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        month + 1,
        days + 1,
        since.subsec_millis()
    )
}

#[test]
fn whatever_headers_say_every_request_is_asked_before_its_deadline() {
    let sets: [&[(&str, &str)]; 12] = [
        &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "59s")],
        &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "99999999999999999999h")],
        &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "NaN")],
        &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "-1")],
        &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1e308")],
        &[("x-ratelimit-remaining-tokens", "-1"), ("x-ratelimit-reset-tokens", "50")],
        &[
            ("x-ratelimit-limit-tokens", "1"),
            ("x-ratelimit-remaining-tokens", "1"),
            ("x-ratelimit-reset-tokens", "50"),
        ],
        &[("x-ratelimit-limit-tokens", "0"), ("x-ratelimit-remaining-tokens", "0")],
        &[("x-ratelimit-limit-requests", "5"), ("x-ratelimit-remaining-requests", "1e300")],
        &[("x-ratelimit-remaining", "NaN"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "0")],
        &[
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "9999-12-31T23:59:59Z"),
        ],
        &[
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-remaining-requests", "100"),
            ("x-ratelimit-reset-requests", "50s"),
            ("Date", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ],
    ];
    for headers in sets {
        let server = Server::start(move |request, stream| {
            send(stream, "200 OK", headers, &said(if request.is_probe() { "east" } else { "T cell" }));
        });
        let timeouts = Timeouts { total: Duration::from_millis(400), ..params(&server).timeouts };
        let client = Client::new(EndpointParams { timeouts, ..params(&server) }, None).unwrap();
        let done = run(&client, &requests(3)).unwrap();
        assert_eq!(outcomes(&done.records), [Outcome::Label; 3], "{headers:?}: {:?}", done.records);
    }
}
