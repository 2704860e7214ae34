//! Where the server is, and whether it may be connected to.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use sc_io::address::{is_public, reached, shown};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::{EndpointParams, Error, Result};

/// The address of a server that was checked as far as it can be without a name server.
#[derive(Clone, Debug)]
pub(super) struct Base {
    /// Without a slash at its end; without user, query or fragment, so that it can be shown.
    pub(super) url: String,
    policy: Policy,
}

/// Which addresses the name of the server may stand for.
#[derive(Clone, Copy, Debug)]
struct Policy {
    /// The server is on this machine by its name.
    is_local: bool,
    /// What is sent must stay on this machine, because a key would go over the wire in the clear.
    must_be_local: bool,
    allow_private: bool,
}

impl Base {
    pub(super) fn new(params: &EndpointParams, has_key: bool) -> Result<Self> {
        let refused = |why: &str| Error::Refused { url: shown(&params.base), why: why.to_owned() };
        if params.base.contains(['?', '#', '@']) {
            return Err(refused("the base may have no user, query or fragment; a key is given apart"));
        }
        let url = params.base.trim_end_matches('/').to_owned();
        let uri: Uri = url.parse().map_err(|_| refused("it is no address of the form https://host/path"))?;
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
            return Err(refused("it names no host"));
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let ip: Option<IpAddr> = host.parse().ok();
        let is_local =
            host.eq_ignore_ascii_case("localhost") || ip.and_then(reached).is_some_and(|ip| ip.is_loopback());
        let in_the_clear = match uri.scheme_str() {
            Some("https") => false,
            Some("http") => true,
            _ => return Err(refused("it is neither HTTPS nor HTTP")),
        };
        let must_be_local = in_the_clear && has_key && !params.allow_http;
        if must_be_local && !is_local {
            return Err(refused("a key is not sent over plain HTTP, except to this machine"));
        }
        let policy = Policy { is_local, must_be_local, allow_private: params.allow_private };
        if let Some(why) = ip.and_then(|ip| policy.refusal(ip)) {
            return Err(refused(&why));
        }
        Ok(Self { url, policy })
    }
}

impl Policy {
    fn refusal(&self, ip: IpAddr) -> Option<String> {
        let loopback = reached(ip).is_some_and(|ip| ip.is_loopback());
        if self.must_be_local && !loopback {
            return Some(format!("a key is not sent over plain HTTP, and {ip} is another machine"));
        }
        let allowed = self.allow_private || if loopback { self.is_local } else { is_public(ip) };
        (!allowed).then(|| format!("{ip} is not a public address"))
    }
}

/// Looks the name up and gives no address that may not be connected to, so that a name server cannot lead elsewhere
/// after the base was checked.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    policy: Policy,
    refused: Arc<Mutex<Option<String>>>,
}

impl Guard {
    pub(super) fn new(base: &Base) -> Self {
        Self { policy: base.policy, refused: Arc::default() }
    }

    /// Why the last name was refused, if it was.
    pub(super) fn refusal(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn allowed(&self, found: &ResolvedSocketAddrs, mut allowed: ResolvedSocketAddrs) -> ResolvedSocketAddrs {
        let mut refusal = None;
        for &address in found.iter() {
            match self.policy.refusal(address.ip()) {
                None => allowed.push(address),
                Some(why) => refusal = Some(why),
            }
        }
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refusal.filter(|_| allowed.is_empty());
        allowed
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
        let allowed = self.allowed(&found, self.empty());
        if allowed.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(allowed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(base: &str) -> EndpointParams {
        EndpointParams::new(base, "m")
    }

    fn base(base: &str, has_key: bool) -> Result<Base> {
        Base::new(&params(base), has_key)
    }

    #[test]
    fn servers_that_are_not_meant_are_refused_before_anything_is_sent() {
        for url in [
            "http://169.254.169.254/latest",
            "https://169.254.169.254/v1",
            "https://[fd00:ec2::254]/v1",
            "https://[::ffff:169.254.169.254]/v1",
            "https://[64:ff9b::a9fe:a9fe]/v1",
            "https://[2002:a9fe:a9fe::1]/v1",
            "https://[fe80::1]/v1",
            "https://10.0.0.1/v1",
            "https://192.168.1.1/v1",
            "https://172.16.0.1/v1",
            "https://0.0.0.0/v1",
            "file:///etc/passwd",
            "ftp://example.org/v1",
            "gopher://example.org/",
            "https:///v1",
            "/v1",
            "",
            "example.org",
            "https://user:pass@example.org/v1",
            "https://example.org/v1?key=secret",
            "https://example.org/v1#x",
        ] {
            let e = base(url, false).unwrap_err();
            assert!(matches!(&e, Error::Refused { .. }) && e.help().is_some(), "{url}: {e}");
            assert!(!e.to_string().contains("pass@") && !e.to_string().contains("secret"), "{e}");
        }
        for url in [
            "http://localhost:8000/v1/",
            "http://127.0.0.1:11434/v1",
            "http://[::1]:8080/v1",
            "https://1.1.1.1/v1",
        ] {
            assert!(base(url, true).is_ok(), "{url}");
        }
        let private = EndpointParams { allow_private: true, ..params("https://10.0.0.1/v1") };
        assert!(Base::new(&private, true).is_ok());
    }

    #[test]
    fn a_key_leaves_this_machine_encrypted_or_not_at_all() {
        assert!(base("http://example.org/v1", false).is_ok());
        let e = base("http://example.org/v1", true).unwrap_err();
        assert!(e.to_string().contains("plain HTTP"), "{e}");
        let forced = EndpointParams { allow_http: true, ..params("http://example.org/v1") };
        assert!(Base::new(&forced, true).is_ok());
    }

    #[test]
    fn a_name_that_leads_elsewhere_later_is_refused_when_it_is_looked_up() {
        let lookup = |url: &str, has_key: bool, ips: &[&str]| {
            let guard = Guard::new(&base(url, has_key).unwrap());
            let mut found = guard.empty();
            for ip in ips {
                found.push((ip.parse::<IpAddr>().unwrap(), 443).into());
            }
            (guard.allowed(&found, guard.empty()).len(), guard.refusal())
        };
        let (n, why) =
            lookup("https://example.org", true, &["127.0.0.1", "169.254.169.254", "::1", "10.0.0.1"]);
        assert!(n == 0 && why.unwrap().contains("10.0.0.1 is not a public address"));
        assert_eq!(lookup("https://example.org", true, &["169.254.169.254", "1.1.1.1"]), (1, None));
        // This machine's own name, bent to another machine: the key would go there in the clear.
        let (n, why) = lookup("http://localhost:1", true, &["1.1.1.1"]);
        assert!(n == 0 && why.unwrap().contains("plain HTTP"));
        assert_eq!(lookup("http://localhost:1", true, &["127.0.0.1", "::1"]), (2, None));
    }
}
