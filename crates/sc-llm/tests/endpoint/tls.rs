//! Servers behind HTTPS, with certificates that are made here.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sc_llm::endpoint::Secret;

use super::*;
use server::{read, said, send};

const CANARY: &str = "sk-canary-0123456789";
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// A value of DER with its tag and length.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut bytes = vec![tag];
    match content.len() {
        n @ 0..0x80 => bytes.push(n as u8),
        n @ 0x80..0x100 => bytes.extend([0x81, n as u8]),
        n => bytes.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    bytes.extend(content);
    bytes
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    der(0x30, parts)
}

fn oid(bytes: &[u8]) -> Vec<u8> {
    der(6, &[bytes])
}

fn name(common: &str) -> Vec<u8> {
    sequence(&[&der(0x31, &[&sequence(&[&oid(COMMON_NAME), &der(0x0c, &[common.as_bytes()])])])])
}

/// A key and a certificate of it.
struct Identity {
    name: &'static str,
    pkcs8: Vec<u8>,
    certificate: Vec<u8>,
}

impl Identity {
    fn keys(&self) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.pkcs8, &SystemRandom::new()).unwrap()
    }

    /// * `host`: the only name that the certificate is for; none for one that signs others.
    /// * `year`: the last two digits of the year in whose first second it ends to be good.
    /// * `issuer`: who signs it; itself if nobody else does.
    fn new(name: &'static str, host: Option<&str>, year: &str, issuer: Option<&Self>) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let mut identity = Self { name, pkcs8: pkcs8.as_ref().to_vec(), certificate: Vec::new() };
        let keys = identity.keys();
        let (issuer_name, issuer_keys) = match issuer {
            Some(issuer) => (issuer.name, issuer.keys()),
            None => (name, identity.keys()),
        };
        let algorithm = sequence(&[&oid(ECDSA_WITH_SHA256)]);
        let end = format!("{year}0101000000Z");
        let validity = sequence(&[&der(0x17, &[b"200101000000Z"]), &der(0x17, &[end.as_bytes()])]);
        let point = der(3, &[&[0], keys.public_key().as_ref()]);
        let public_key = sequence(&[&sequence(&[&oid(EC_PUBLIC_KEY), &oid(P256)]), &point]);
        let extension = match host {
            Some(host) => {
                let host = match host.parse::<std::net::Ipv4Addr>() {
                    Ok(ip) => der(0x87, &[&ip.octets()]),
                    Err(_) => der(0x82, &[host.as_bytes()]),
                };
                sequence(&[&oid(ALT_NAME), &der(4, &[&sequence(&[&host])])])
            }
            None => {
                let is_authority = sequence(&[&der(1, &[&[0xff]])]);
                sequence(&[&oid(BASIC_CONSTRAINTS), &der(1, &[&[0xff]]), &der(4, &[&is_authority])])
            }
        };
        let version = der(0xa0, &[&der(2, &[&[2]])]);
        let extensions = der(0xa3, &[&sequence(&[&extension])]);
        let content = sequence(&[
            &version,
            &der(2, &[&[1]]),
            &algorithm,
            &self::name(issuer_name),
            &validity,
            &self::name(name),
            &public_key,
            &extensions,
        ]);
        let signature = issuer_keys.sign(&random, &content).unwrap();
        let signature = der(3, &[&[0], signature.as_ref()]);
        identity.certificate = sequence(&[&content, &algorithm, &signature]);
        identity
    }

    fn pem(&self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for block in self.certificate.chunks(3) {
            let bits =
                (0..3).fold(0_usize, |bits, at| (bits << 8) | usize::from(*block.get(at).unwrap_or(&0)));
            for at in 0..4 {
                let letter = char::from(LETTERS[(bits >> (18 - 6 * at)) & 63]);
                text.push(if at <= block.len() { letter } else { '=' });
            }
            if text.lines().last().is_some_and(|line| line.len() == 64) {
                text.push('\n');
            }
        }
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", text.trim_end())
    }

    fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join(format!("{}.pem", self.name));
        std::fs::write(&path, format!("{}\n{}", self.name, self.pem())).unwrap();
        path
    }
}

/// A server behind HTTPS that says "T cell".
struct TlsServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    /// Of each connection the key that came, or why there was none.
    keys: Arc<Mutex<Vec<Result<String, String>>>>,
    thread: Option<JoinHandle<()>>,
}

impl TlsServer {
    fn start(identity: &Identity) -> Self {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.pkcs8.clone()));
        let certificates = vec![CertificateDer::from(identity.certificate.clone())];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(certificates, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, keys) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (ended, seen) = (Arc::clone(&stop), Arc::clone(&keys));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let key = answer(&config, stream);
                seen.lock().unwrap().push(key);
            }
        });
        Self { address, stop, keys, thread: Some(thread) }
    }

    fn base(&self, host: &str) -> String {
        format!("https://{host}:{}/v1", self.address.port())
    }

    /// What came until now, after all connections are closed.
    fn end(mut self) -> Vec<Result<String, String>> {
        self.close();
        std::mem::take(&mut self.keys.lock().unwrap())
    }

    fn close(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.close();
    }
}

fn answer(config: &Arc<ServerConfig>, mut stream: TcpStream) -> Result<String, String> {
    let mut connection = ServerConnection::new(Arc::clone(config)).unwrap();
    connection.complete_io(&mut stream).map_err(|e| e.to_string())?;
    let mut stream = StreamOwned::new(connection, stream);
    let Some(request) = read(&mut stream) else { return Err("no request".to_owned()) };
    send(&mut stream, "200 OK", &[], &said(if request.is_probe() { "east" } else { "T cell" }));
    stream.conn.send_close_notify();
    let _ = stream.conn.complete_io(&mut stream.sock);
    Ok(request.header("authorization").unwrap_or_default().to_owned())
}

fn ask(base: String, roots: Option<PathBuf>) -> Result<Annotation, Error> {
    let params = EndpointParams { root_certificates: roots, base, ..params(&Server::saying("")) };
    run(&Client::new(params, Some(Secret::new(CANARY).unwrap()))?, &requests(2))
}

/// Sees that nothing is sent, and gives the reason.
fn is_refused(identity: &Identity, host: &str, roots: Option<PathBuf>) -> String {
    let server = TlsServer::start(identity);
    let e = ask(server.base(host), roots).unwrap_err();
    assert!(matches!(e, Error::Certificate { .. }), "{e:?}");
    assert!(e.help().unwrap().contains("root_certificates"));
    let why = format!("{e}: {}", std::error::Error::source(&e).unwrap());
    assert!(
        why.contains("the certificate of the server is not trusted") && !format!("{e:?}").contains("canary")
    );
    let keys = server.end();
    assert!(keys.len() == 1 && keys[0].is_err(), "asked once, and no request came: {keys:?}");
    why
}

#[test]
fn a_certificate_that_nobody_trusts_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let [root, other] = ["root", "other"].map(|name| Identity::new(name, None, "49", None));
    let trusted = Some(root.write(folder.path()));
    let good = Identity::new("good", Some("localhost"), "49", Some(&root));
    assert!(is_refused(&good, "localhost", None).contains("UnknownIssuer"));
    assert!(is_refused(&good, "localhost", Some(other.write(folder.path()))).contains("UnknownIssuer"));
    // Another name than the address has, and one that was good in 2020.
    let why = is_refused(&good, "127.0.0.1", trusted.clone());
    assert!(why.contains("not valid for name \"127.0.0.1\""), "{why}");
    let old = Identity::new("old", Some("localhost"), "21", Some(&root));
    assert!(is_refused(&old, "localhost", trusted.clone()).contains("expired"));
    // Signed by another who says that it is the root.
    let impostor = Identity::new("root", None, "49", None);
    let forged = Identity::new("forged", Some("localhost"), "49", Some(&impostor));
    is_refused(&forged, "localhost", trusted);
}

#[test]
fn a_root_certificate_of_the_caller_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let root = Identity::new("root", None, "49", None);
    let signed = |host| Identity::new("good", Some(host), "49", Some(&root));
    // A server that is its own root.
    let own = Identity::new("own", Some("localhost"), "49", None);
    let (root_path, own_path) = (root.write(folder.path()), own.write(folder.path()));
    for (identity, host, roots) in [
        (signed("localhost"), "localhost", root_path.clone()),
        (signed("127.0.0.1"), "127.0.0.1", root_path),
        (own, "localhost", own_path),
    ] {
        let server = TlsServer::start(&identity);
        let done = ask(server.base(host), Some(roots)).unwrap();
        assert_eq!(outcomes(&done.records), [Outcome::Label; 2]);
        let keys = server.end();
        let expected = Ok(format!("Bearer {CANARY}"));
        assert!(keys.len() == 3 && keys.iter().all(|key| *key == expected), "{keys:?}");
    }
}

#[test]
fn a_server_that_speaks_no_tls_is_told_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = Identity::new("root", None, "49", None).write(folder.path());
    let server = Server::saying("T cell");
    let base = server.base().replace("http:", "https:");
    let e = ask(base, Some(root)).unwrap_err();
    assert!(matches!(e, Error::Connect { .. } | Error::TimedOut { .. }), "{e:?}");
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn files_without_root_certificates_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let root = Identity::new("root", None, "49", None);
    let pem = root.pem();
    let garbled = pem.replacen("MI", "AA", 1);
    for (text, words) in [
        (String::new(), "no certificate between"),
        ("hello".to_owned(), "no certificate between"),
        (pem.replace("CERTIFICATE", "PUBLIC KEY"), "no certificate between"),
        (pem.replace("-----END", "-----BEGIN"), ""),
        (pem.replacen('M', "*", 1), ""),
        (garbled.clone(), "none of its 1 certificates can be read"),
    ] {
        let path = folder.path().join("roots.pem");
        std::fs::write(&path, &text).unwrap();
        let e = ask("https://localhost:1/v1".to_owned(), Some(path)).unwrap_err();
        let is_bad = matches!(e, Error::BadCertificates { .. }) && e.help().is_some();
        assert!(
            is_bad && e.to_string().contains("roots.pem: ") && e.to_string().contains(words),
            "{text}: {e}"
        );
    }
    let missing = folder.path().join("missing.pem");
    assert!(matches!(ask("https://localhost:1/v1".to_owned(), Some(missing)), Err(Error::Io { .. })));
    // One that is good is enough.
    let path = folder.path().join("bundle.pem");
    std::fs::write(&path, format!("{garbled}{pem}")).unwrap();
    let server = TlsServer::start(&Identity::new("good", Some("localhost"), "49", Some(&root)));
    assert_eq!(outcomes(&ask(server.base("localhost"), Some(path)).unwrap().records), [Outcome::Label; 2]);
}
