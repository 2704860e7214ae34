//! Network addresses: how they are shown, and which of them are public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address for messages: without a user, a password, or what follows `?` or `#`, where tokens hide; control
/// characters are replaced.
pub fn shown(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let cut = &url[..end];
    let text = match cut.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => cut.to_owned(),
    };
    let text: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if end < url.len() { format!("{text}?...") } else { text }
}

/// The address that is reached: of version 4 where one of version 6 stands for it; none where it is hidden in a tunnel.
pub fn reached(ip: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = ip else { return Some(ip) };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return Some(v4.into());
    }
    let s = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::from(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // NAT64 and 6to4 carry an address of version 4; Teredo hides one.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        [0x2001, 0, ..] => None,
        _ => Some(v6.into()),
    }
}

/// Whether an address leads to the internet at large (the registries of special addresses of RFC 6890).
pub fn is_public(ip: IpAddr) -> bool {
    match reached(ip) {
        None => false,
        Some(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            !(a == 0
                || a >= 224
                || ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_documentation()
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b == 18 || b == 19)))
        }
        // Only 2000::/3 was ever given out.
        Some(IpAddr::V6(ip)) => ip.segments()[0] >> 13 == 1 && !is_documentation(ip),
    }
}

fn is_documentation(ip: Ipv6Addr) -> bool {
    ip.segments()[..2] == [0x2001, 0xdb8]
}
