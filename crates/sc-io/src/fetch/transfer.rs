//! One request with its redirects, and the bytes that it brings.

use std::io::Read;
use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode, Uri};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body};

use super::address::{Guard, Policy, joined, parse, redirect_refusal, shown};
use super::cache::{Part, Slot};
use super::{Artifact, Error, FetchOptions, Progress, Report, Result};

/// Bytes taken from the connection at a time.
const BLOCK: usize = 1 << 16;

/// Adds to `part` what is missing of the file at `url`.
pub(super) fn transfer(
    artifact: &Artifact,
    url: &str,
    slot: &Slot,
    part: &mut Part<'_>,
    options: &FetchOptions,
    report: Report<'_>,
) -> Result<()> {
    // What continues another version is told by the server's name for it, or by the hash at the end; else start anew.
    let told = part.version().is_some() || slot.sha256().is_some();
    if !told || artifact.size.is_some_and(|size| part.bytes() > size) {
        part.restart(None)?;
    }
    let (from, mut answer) = ask(url, part, options)?;
    let total = begin(&from, &answer, part)?;
    if let (Some(found), Some(expected)) = (total, artifact.size)
        && found != expected
    {
        return Err(Error::WrongSize { url: from, found, expected });
    }
    let limit = options.max_bytes.min(artifact.size.unwrap_or(u64::MAX));
    let too_large = |url: &str, found: u64| match artifact.size {
        Some(expected) if expected < options.max_bytes => {
            Error::WrongSize { url: url.to_owned(), found, expected }
        }
        _ => Error::TooLarge { url: url.to_owned(), found, limit: options.max_bytes },
    };
    if let Some(found) = total.filter(|&total| total > limit) {
        return Err(too_large(&from, found));
    }
    let mut body = answer.body_mut().as_reader();
    let mut block = vec![0; BLOCK];
    loop {
        let progress = Progress { bytes: part.bytes(), total: total.or(artifact.size) };
        if report(progress).is_break() {
            return Err(slot.cancelled());
        }
        let n = match body.read(&mut block) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) if is_timeout(&e) => {
                let seconds = options.idle_timeout.as_secs();
                return Err(Error::Stalled { url: from, seconds, found: part.bytes() });
            }
            Err(_) => return Err(Error::Cut { url: from, found: part.bytes(), expected: total }),
        };
        if part.bytes() + n as u64 > limit {
            let found = part.bytes() + n as u64;
            part.restart(None)?;
            return Err(too_large(&from, found));
        }
        part.add(&block[..n])?;
    }
    match total.or(artifact.size) {
        Some(expected) if part.bytes() < expected => {
            Err(Error::Cut { url: from, found: part.bytes(), expected: Some(expected) })
        }
        _ => Ok(()),
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(error.kind(), std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock)
        || matches!(inner, Some(ureq::Error::Timeout(_)))
}

/// Sends the request, follows redirects, and gives the last address with its answer.
fn ask(url: &str, part: &Part<'_>, options: &FetchOptions) -> Result<(String, Response<Body>)> {
    let first = parse(url)?;
    let policy = Policy::new(&first, options);
    if let Some(why) = policy.refusal(&first) {
        return Err(Error::Refused { url: shown(url), why });
    }
    let guard = Guard::new(policy);
    let agent = agent(options, guard.clone());
    let mut at = first.clone();
    for _ in 0..=options.max_redirects {
        let answer = request(&agent, &at, &first, part, options).map_err(|e| match guard.take_refusal() {
            Some(why) => Error::Refused { url: shown(&at.to_string()), why },
            None => unanswered(&at, e, options),
        })?;
        let Some(location) = location(&answer) else { return Ok((shown(&at.to_string()), answer)) };
        let refused = |why: String| Error::Redirect {
            url: shown(&at.to_string()),
            to: shown(&String::from_utf8_lossy(location)),
            why,
        };
        let to = std::str::from_utf8(location).ok().and_then(|location| joined(&at, location));
        let to = to.ok_or_else(|| refused("that is no address".to_owned()))?;
        if let Some(why) = redirect_refusal(&policy, &at, &to) {
            return Err(refused(why));
        }
        at = to;
    }
    let (url, to) = (shown(url), shown(&at.to_string()));
    Err(Error::Redirect { url, to, why: format!("more than {} redirects", options.max_redirects) })
}

fn agent(options: &FetchOptions, guard: Guard) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent(concat!("sc-io/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_resolve(Some(options.connect_timeout))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_per_read(Some(options.idle_timeout.max(Duration::from_millis(1))))
        .timeout_per_write(Some(options.idle_timeout.max(Duration::from_millis(1))))
        .build();
    Agent::with_parts(config, DefaultConnector::default(), guard)
}

fn request(
    agent: &Agent,
    at: &Uri,
    first: &Uri,
    part: &Part<'_>,
    options: &FetchOptions,
) -> std::result::Result<Response<Body>, ureq::Error> {
    let mut request = agent.get(at);
    if part.bytes() > 0 {
        request = request.header("Range", format!("bytes={}-", part.bytes()));
        if let Some(version) = part.version() {
            request = request.header("If-Range", version);
        }
    }
    let at_home = at.scheme() == first.scheme() && at.authority() == first.authority();
    if let Some(token) = options.token.as_ref().filter(|_| at_home) {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    request.call()
}

fn unanswered(at: &Uri, error: ureq::Error, options: &FetchOptions) -> Error {
    let url = shown(&at.to_string());
    match error {
        ureq::Error::Timeout(ureq::Timeout::PerRead | ureq::Timeout::PerWrite) => {
            Error::Stalled { url, seconds: options.idle_timeout.as_secs(), found: 0 }
        }
        other => Error::Connect { url, source: Box::new(other) },
    }
}

fn location(answer: &Response<Body>) -> Option<&[u8]> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let location = answer.headers().get("location").filter(|_| redirects.contains(&answer.status()));
    location.map(|location| location.as_bytes())
}

/// Looks at the head of the answer and makes `part` fit it; gives the size of the whole file, if it is known.
fn begin(from: &str, answer: &Response<Body>, part: &mut Part<'_>) -> Result<Option<u64>> {
    let url = || from.to_owned();
    let headers = answer.headers();
    if let Some(encoding) = text(headers, "content-encoding").filter(|e| !e.eq_ignore_ascii_case("identity"))
    {
        return Err(Error::Encoded { url: url(), encoding: encoding.to_owned() });
    }
    // A weak name does not promise the same bytes.
    let version = text(headers, "etag").filter(|v| v.starts_with('"')).map(str::to_owned);
    let length = text(headers, "content-length").and_then(|n| n.trim().parse::<u64>().ok());
    match answer.status().as_u16() {
        200 => {
            part.restart(version)?;
            Ok(length)
        }
        206 if part.bytes() > 0 => {
            let asked = part.bytes();
            let range = text(headers, "content-range").unwrap_or_default();
            let Some(total) = continues(range, asked) else {
                let found =
                    if range.is_empty() { "bytes without a place".to_owned() } else { format!("{range:?}") };
                part.restart(None)?;
                return Err(Error::Range { url: url(), asked, found });
            };
            if part.version().is_some() && version.is_some() && part.version() != version.as_deref() {
                part.restart(None)?;
                return Err(Error::Range { url: url(), asked, found: "those of another version".to_owned() });
            }
            Ok(total.or(length.map(|length| asked + length)))
        }
        416 if part.bytes() > 0 => {
            let asked = part.bytes();
            part.restart(None)?;
            Err(Error::Range { url: url(), asked, found: "nothing".to_owned() })
        }
        status => {
            let retry_after = text(headers, "retry-after").and_then(|seconds| seconds.trim().parse().ok());
            Err(Error::Status { url: url(), status, retry_after })
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether a `Content-Range` starts where it was asked to; then the size of the whole, if it is stated.
fn continues(range: &str, asked: u64) -> Option<Option<u64>> {
    let (span, total) = range.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, end) = span.trim().split_once('-')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    if start != asked || end < start {
        return None;
    }
    match total.trim() {
        "*" => Some(None),
        // A part of the rest would do no harm, but nobody asked for one.
        total => total.parse().ok().filter(|&total: &u64| end.checked_add(1) == Some(total)).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::continues;

    #[test]
    fn only_the_rest_of_the_file_continues_it() {
        assert_eq!(continues("bytes 10-99/100", 10), Some(Some(100)));
        assert_eq!(continues("bytes 10-99/*", 10), Some(None));
        for range in [
            "",
            "bytes 9-99/100",
            "bytes 10-98/100",
            "bytes 10-9/10",
            "bytes */100",
            "lines 10-99/100",
            "bytes 10-18446744073709551615/0",
        ] {
            assert_eq!(continues(range, 10), None, "{range}");
        }
    }
}
