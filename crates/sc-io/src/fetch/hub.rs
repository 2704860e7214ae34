//! Files of a hub of models: a repository, a revision of it, a path in it.

use super::{Artifact, Error, Result};

/// A server that keeps models as the Hugging Face Hub does: `{endpoint}/{repository}/resolve/{revision}/{path}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hub {
    /// Where the hub is, without a slash at the end; a mirror, for one.
    pub endpoint: String,
}

impl Default for Hub {
    fn default() -> Self {
        Self { endpoint: "https://huggingface.co".to_owned() }
    }
}

impl Hub {
    /// The address of a file.
    ///
    /// * `repository`: `owner/name`.
    /// * `revision`: a commit, which never changes, or the name of a branch or tag, which does.
    ///
    /// ```
    /// let url = sc_io::fetch::Hub::default().url("some-lab/some-model", "main", "folder/a file.json")?;
    /// assert_eq!(url, "https://huggingface.co/some-lab/some-model/resolve/main/folder/a%20file.json");
    /// # Ok::<(), sc_io::fetch::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BadArtifact`] if a part is empty, or is `.` or `..`, or the repository is not of two parts.
    pub fn url(&self, repository: &str, revision: &str, path: &str) -> Result<String> {
        let bad = |why: String| Error::BadArtifact { file: format!("{repository}/{path}"), why };
        if repository.split('/').count() != 2 {
            return Err(bad(format!("{repository:?} is not of the form owner/name")));
        }
        let mut parts = repository.split('/').chain([revision]).chain(path.split('/'));
        if let Some(part) = parts.find(|part| matches!(*part, "" | "." | "..")) {
            return Err(bad(format!("{part:?} is no part of an address")));
        }
        let endpoint = self.endpoint.trim_end_matches('/');
        // The slash of a revision is part of its name.
        let revision = encoded(revision, false);
        Ok(format!("{endpoint}/{}/resolve/{revision}/{}", encoded(repository, true), encoded(path, true)))
    }

    /// A file, of which size and SHA-256 are not stated; state them if you know them. It is kept under its path.
    ///
    /// # Errors
    /// As [`Hub::url`].
    pub fn artifact(&self, repository: &str, revision: &str, path: &str) -> Result<Artifact> {
        let urls = vec![self.url(repository, revision, path)?];
        Ok(Artifact { file: path.to_owned(), urls, size: None, sha256: None })
    }
}

/// Percent-encoding of everything but the unreserved characters of RFC 3986, and perhaps the slash.
fn encoded(text: &str, keep_slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/');
        match plain {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_encoded_and_the_endpoint_can_be_a_mirror() {
        let hub = Hub { endpoint: "https://mirror.example.org/hub/".to_owned() };
        let url = hub.url("a/b", "refs/pr/1", "x?y#z.json").unwrap();
        assert_eq!(url, "https://mirror.example.org/hub/a/b/resolve/refs%2Fpr%2F1/x%3Fy%23z.json");
        assert_eq!(hub.artifact("a/b", "main", "d/x.json").unwrap().file, "d/x.json");
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let hub = Hub::default();
        for (repository, revision, path) in [
            ("a", "main", "x"),
            ("a/b/c", "main", "x"),
            ("a/..", "main", "x"),
            ("a/b", "", "x"),
            ("a/b", "main", "../x"),
        ] {
            assert!(matches!(hub.url(repository, revision, path), Err(Error::BadArtifact { .. })), "{path}");
        }
    }
}
