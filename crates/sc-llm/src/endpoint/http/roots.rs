//! Root certificates of the caller.

use std::io::Read;
use std::path::Path;

use rustls::RootCertStore;
use ureq::tls::{PemItem, RootCerts, parse_pem};

use super::super::{Error, Result};

/// Largest file of certificates.
const MAX_BYTES: u64 = 8 << 20;

/// The certificates of a PEM file. Those that no root can be made of are left out, as bundles of systems have some.
///
/// # Errors
/// [`Error::Io`]; [`Error::BadCertificates`] if there is no root certificate in it.
pub(super) fn read(path: &Path) -> Result<RootCerts> {
    let failed = |source| Error::Io { path: path.to_owned(), doing: "read the root certificates", source };
    let bad = |why: String| Error::BadCertificates { path: path.to_owned(), why };
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut pem).map_err(failed)?;
    if pem.len() as u64 > MAX_BYTES {
        return Err(bad(format!("the file has more than {MAX_BYTES} bytes")));
    }
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(e) => return Err(bad(e.to_string())),
        }
    }
    let n = certificates.len();
    let mut store = RootCertStore::empty();
    certificates.retain(|certificate| store.add(certificate.der().into()).is_ok());
    match (n, certificates.len()) {
        (0, _) => Err(bad("no certificate between BEGIN CERTIFICATE and END CERTIFICATE".to_owned())),
        (_, 0) => Err(bad(format!("none of its {n} certificates can be read"))),
        _ => Ok(certificates.into()),
    }
}
