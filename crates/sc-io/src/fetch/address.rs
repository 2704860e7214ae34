//! Which addresses are connected to.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::{Error, FetchOptions, Result};
pub(super) use crate::address::shown;
use crate::address::{is_public, reached};

/// What may be connected to in one download.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    allow_http: bool,
    allow_private: bool,
    /// The artifact itself is on this machine.
    from_loopback: bool,
}

impl Policy {
    pub(super) fn new(first: &Uri, options: &FetchOptions) -> Self {
        let FetchOptions { allow_http, allow_private, .. } = *options;
        Self { allow_http, allow_private, from_loopback: names_loopback(first) }
    }

    /// Why an address is refused, if it is.
    pub(super) fn refusal(&self, uri: &Uri) -> Option<String> {
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
            return Some("it names no host".to_owned());
        };
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.allow_http || names_loopback(uri) => {}
            Some("http") => return Some("plain HTTP is allowed to this machine only".to_owned()),
            scheme => return Some(format!("{:?} is neither HTTPS nor HTTP", scheme.unwrap_or_default())),
        }
        bare(host).parse().ok().and_then(|ip| self.ip_refusal(ip))
    }

    fn ip_refusal(&self, ip: IpAddr) -> Option<String> {
        let allowed = self.allow_private
            || match reached(ip) {
                Some(ip) if ip.is_loopback() => self.from_loopback,
                _ => is_public(ip),
            };
        (!allowed).then(|| format!("{ip} is not a public address"))
    }
}

/// Why one address may not lead to the next, if it may not.
pub(super) fn redirect_refusal(policy: &Policy, from: &Uri, to: &Uri) -> Option<String> {
    if from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
        return Some("the connection would no longer be encrypted".to_owned());
    }
    policy.refusal(to)
}

/// Reads an address.
pub(super) fn parse(url: &str) -> Result<Uri> {
    let uri: Result<Uri, _> = url.parse();
    uri.ok().filter(|uri| uri.scheme().is_some()).ok_or_else(|| Error::Refused {
        url: shown(url),
        why: "it is no address of the form https://host/path".to_owned(),
    })
}

/// Where a `Location` leads from an address (RFC 3986, 5.2, without the removal of dots, which servers do).
pub(super) fn joined(from: &Uri, location: &str) -> Option<Uri> {
    let has_scheme = location
        .split_once(':')
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric()));
    if has_scheme {
        return location.parse().ok();
    }
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    let text = if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{}{location}", from.path())
    } else {
        let folder = from.path().rfind('/').map_or("/", |at| &from.path()[..=at]);
        format!("{scheme}://{authority}{folder}{location}")
    };
    text.parse().ok()
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether the host is this machine by name.
fn names_loopback(uri: &Uri) -> bool {
    let host = bare(uri.host().unwrap_or_default());
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().ok().and_then(reached).is_some_and(|ip| ip.is_loopback())
}

/// Looks names up, and gives no address that may not be connected to.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    policy: Policy,
    refused: Arc<Mutex<Option<String>>>,
}

impl Guard {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, refused: Arc::default() }
    }

    /// Why the last name was refused, if it was.
    pub(super) fn take_refusal(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        let plain_http = uri.scheme_str() == Some("http") && !self.policy.allow_http;
        let mut allowed = self.empty();
        let mut refusal = None;
        for &address in found.iter() {
            let why = match self.policy.ip_refusal(address.ip()) {
                None if plain_http && !address.ip().is_loopback() => Some(format!(
                    "plain HTTP is allowed to this machine only, and {} is another",
                    address.ip()
                )),
                other => other,
            };
            match why {
                None => allowed.push(address),
                Some(why) => refusal = Some(why),
            }
        }
        if allowed.is_empty() {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
            return Err(ureq::Error::HostNotFound);
        }
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn policy(first: &str, options: &FetchOptions) -> Policy {
        Policy::new(&first.parse().unwrap(), options)
    }

    #[test]
    fn special_addresses_are_not_public_in_whatever_form() {
        let special = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:1::1",
            "::10.0.0.1",
        ];
        let remote = policy("https://example.org", &FetchOptions::default());
        let all = policy("https://example.org", &FetchOptions { allow_private: true, ..Default::default() });
        for ip in special {
            let ip: IpAddr = ip.parse().unwrap();
            assert!(remote.ip_refusal(ip).is_some(), "{ip}");
            assert!(all.ip_refusal(ip).is_none(), "{ip}");
        }
        for ip in ["1.1.1.1", "100.63.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(remote.ip_refusal(ip.parse().unwrap()).is_none(), "{ip}");
        }
    }

    #[test]
    fn this_machine_is_reached_only_by_an_artifact_that_is_on_it() {
        let options = FetchOptions::default();
        for (first, allowed) in
            [("http://localhost:1/", true), ("http://[::1]/", true), ("https://example.org/", false)]
        {
            let policy = policy(first, &options);
            assert_eq!(policy.ip_refusal(Ipv4Addr::LOCALHOST.into()).is_none(), allowed, "{first}");
            assert!(policy.ip_refusal(Ipv4Addr::new(169, 254, 169, 254).into()).is_some());
        }
    }

    #[test]
    fn only_encrypted_connections_leave_this_machine() {
        let options = FetchOptions::default();
        let strict = policy("https://example.org/", &options);
        let relaxed = policy("https://example.org/", &FetchOptions { allow_http: true, ..options });
        let uri = |text: &str| -> Uri { text.parse().unwrap() };
        assert!(strict.refusal(&uri("https://example.org/a")).is_none());
        for refused in
            ["http://example.org/a", "ftp://example.org/a", "https://10.0.0.1/a", "https://[::1]/a", "/a"]
        {
            assert!(strict.refusal(&uri(refused)).is_some(), "{refused}");
        }
        assert!(relaxed.refusal(&uri("http://example.org/a")).is_none());
        // Not even then may a connection cease to be encrypted on its way.
        let (from, to) = (uri("https://example.org/a"), uri("http://example.org/b"));
        assert!(redirect_refusal(&relaxed, &from, &to).is_some_and(|why| why.contains("encrypted")));
        assert!(redirect_refusal(&relaxed, &to, &from).is_none());
        assert!(
            parse("file:///etc/passwd").is_err() || relaxed.refusal(&uri("file:///etc/passwd")).is_some()
        );
    }

    #[test]
    fn a_location_is_read_from_where_it_was_given() {
        let from: Uri = "https://example.org:8443/a/b?c=1".parse().unwrap();
        for (location, expected) in [
            ("https://other.org/x", "https://other.org/x"),
            ("//other.org/x", "https://other.org/x"),
            ("/x?y=1", "https://example.org:8443/x?y=1"),
            ("x", "https://example.org:8443/a/x"),
            ("?y=1", "https://example.org:8443/a/b?y=1"),
        ] {
            assert_eq!(joined(&from, location).unwrap().to_string(), expected);
        }
        assert!(joined(&from, "http://[broken").is_none());
    }

    #[test]
    fn secrets_are_not_shown() {
        let url = "https://user:secret@example.org/a/b?token=secret#secret";
        assert_eq!(shown(url), "https://example.org/a/b?...");
        assert_eq!(shown("https://example.org"), "https://example.org");
        assert!(!shown("not \u{1b}[31m an address").contains('\u{1b}'));
        let options = FetchOptions { token: Some("secret".to_owned()), ..Default::default() };
        assert!(!format!("{options:?}").contains("secret"));
    }
}
