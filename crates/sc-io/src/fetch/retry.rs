//! One address, as often as it takes.

use std::time::Duration;

use super::address::shown;
use super::cache::{Part, Slot, wait};
use super::transfer::transfer;
use super::{Artifact, Error, FetchOptions, Fetched, Progress, Report, Result};

/// Downloads the artifact from one address and puts it in place.
pub(super) fn download(
    artifact: &Artifact,
    url: &str,
    slot: &Slot,
    options: &FetchOptions,
    report: Report<'_>,
) -> Result<Fetched> {
    // Only a stated hash proves that what an earlier process left is the start of this file.
    let mut part = slot.part(slot.sha256().is_some(), report)?;
    let (mut taken_up, mut started_anew) = (false, false);
    let mut failures = 0;
    loop {
        let before = part.bytes();
        taken_up |= before > 0;
        let outcome = match artifact.size {
            Some(size) if size == before && size > 0 => Ok(()),
            _ => transfer(artifact, url, slot, &mut part, options, report),
        };
        let failure = match outcome.and_then(|()| check(artifact, url, slot, &part)) {
            Ok(()) => return part.place(),
            // Perhaps only its start is wrong, of an earlier attempt and another version.
            Err(e @ (Error::WrongHash { .. } | Error::WrongSize { .. })) => {
                part.restart(None)?;
                if !taken_up || started_anew {
                    return Err(e);
                }
                (taken_up, started_anew) = (false, true);
                continue;
            }
            Err(e) => e,
        };
        if !failure.is_passing() {
            return Err(failure);
        }
        failures = if part.bytes() > before { 0 } else { failures + 1 };
        if failures > options.retries {
            return Err(failure);
        }
        let Some(pause) = pause(&failure, failures, options) else { return Err(failure) };
        tracing::info!("{failure}; trying again in {:.1} s", pause.as_secs_f64());
        wait(slot, pause, Progress { bytes: part.bytes(), total: artifact.size }, report)?;
    }
}

/// Whether what was downloaded is the artifact.
fn check(artifact: &Artifact, url: &str, slot: &Slot, part: &Part<'_>) -> Result<()> {
    if let Some(expected) = artifact.size
        && part.bytes() != expected
    {
        return Err(Error::WrongSize { url: shown(url), found: part.bytes(), expected });
    }
    match slot.sha256() {
        Some(expected) if part.sha256() != expected => {
            Err(Error::WrongHash { url: shown(url), found: part.sha256(), expected: expected.to_owned() })
        }
        _ => Ok(()),
    }
}

/// How long to wait before the next attempt; none if the server asks for more than is allowed.
fn pause(failure: &Error, failures: u32, options: &FetchOptions) -> Option<Duration> {
    if let Error::Status { retry_after: Some(seconds), .. } = failure {
        return Some(Duration::from_secs(*seconds)).filter(|&asked| asked <= options.max_wait);
    }
    let doubled = options.backoff.saturating_mul(1 << failures.saturating_sub(1).min(16));
    Some(doubled.min(options.max_wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_the_server_is_heard() {
        let options = FetchOptions::default();
        let stalled = Error::Stalled { url: String::new(), seconds: 60, found: 0 };
        let seconds = |failures| pause(&stalled, failures, &options).unwrap().as_secs();
        assert_eq!([seconds(0), seconds(1), seconds(2), seconds(4), seconds(40)], [1, 1, 2, 8, 120]);
        let busy = |retry_after| Error::Status { url: String::new(), status: 429, retry_after };
        assert_eq!(pause(&busy(Some(7)), 1, &options), Some(Duration::from_secs(7)));
        assert_eq!(pause(&busy(Some(3600)), 1, &options), None);
        assert_eq!(pause(&busy(None), 1, &options), Some(Duration::from_secs(1)));
    }
}
