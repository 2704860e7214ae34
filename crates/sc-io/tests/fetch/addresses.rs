//! Addresses that a download may go to, and what is refused before it begins.

use super::*;

#[test]
fn redirects_are_followed_a_few_times_and_without_the_token() {
    let other = Server::start(|request, stream| {
        assert_eq!(request.header("authorization"), None);
        serve(request, stream, &file(10), None, usize::MAX);
    });
    let to = other.url("/file");
    let server = Server::start(move |request, stream| {
        assert_eq!(request.header("authorization"), Some("Bearer secret"));
        let to = if request.path == "/a" { "b?c=d" } else { &to };
        send(stream, "302 Found", &[("Location", to), ("Content-Length", "0")], b"");
    });
    let folder = tempfile::tempdir().unwrap();
    let options = FetchOptions { token: Some("secret".to_owned()), ..options() };
    assert_eq!(get_with(&unstated(server.url("/a")), folder.path(), &options).unwrap().bytes, 10);
    assert_eq!(server.requests()[1].path, "/b?c=d");
}

#[test]
fn redirects_that_lead_astray_are_refused() {
    for (to, reason) in [
        ("/again", "more than 5 redirects"),
        ("http://example.org/a", "plain HTTP"),
        ("http://169.254.169.254/latest/meta-data", "plain HTTP"),
        ("https://169.254.169.254/latest/meta-data", "not a public address"),
        ("https://[fd00:ec2::254]/", "not a public address"),
        ("https://10.0.0.1/a", "not a public address"),
        ("file:///etc/passwd", "no address"),
        ("ftp://example.org/a", "neither HTTPS nor HTTP"),
        ("http://[broken", "no address"),
    ] {
        let server = Server::start(move |_, stream| {
            send(stream, "301 Moved", &[("Location", to), ("Content-Length", "0")], b"");
        });
        let folder = tempfile::tempdir().unwrap();
        let e = get(&unstated(server.url("/a")), folder.path()).unwrap_err();
        assert!(matches!(&e, Error::Redirect { .. } | Error::Refused { .. }), "{to}: {e:?}");
        assert!(e.to_string().contains(reason) && e.help().is_some(), "{to}: {e}");
        assert_eq!(seen(folder.path()), [""; 0]);
    }
}

#[test]
fn addresses_that_are_not_public_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for url in
        ["http://example.org/a", "https://192.168.0.1/a", "file:///etc/passwd", "nonsense", "https:///a"]
    {
        let e = get(&unstated(url.to_owned()), folder.path()).unwrap_err();
        assert!(matches!(&e, Error::Refused { .. }) && e.help().is_some(), "{url}: {e:?}");
    }
}

#[test]
fn artifacts_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = artifact("https://example.org/a".to_owned(), b"");
    for file in ["", "..", "../a", "/a", "a/../b", "a//b", "C:a", "a\\b", ".hidden", "a/.hidden/b"] {
        let e = get(&Artifact { file: file.to_owned(), ..good.clone() }, folder.path()).unwrap_err();
        assert!(matches!(e, Error::BadArtifact { .. }), "{file}: {e:?}");
    }
    for artifact in
        [Artifact { sha256: Some("abc".to_owned()), ..good.clone() }, Artifact { urls: Vec::new(), ..good }]
    {
        assert!(matches!(get(&artifact, folder.path()), Err(Error::BadArtifact { .. })));
    }
}
