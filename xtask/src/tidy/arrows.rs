//! Which crate may depend on which: the arrows of docs/ARCHITECTURE.md.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Every library crate and the siblings that it may use; no cycle can be written here without being seen.
const MAY_USE: &[(&str, &[&str])] = &[
    ("sc-io", &[]),
    ("sc-eval", &[]),
    ("sc-prep", &["sc-io"]),
    ("sc-fm", &["sc-io"]),
    ("sc-llm", &["sc-io", "sc-fm", "sc-eval"]),
];

/// Programs and tests, on which no library may depend.
const ON_TOP: &[&str] = &["sc-examples", "sc-network-examples", "sc-tests", "xtask"];

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot start cargo")?;
    if !cargo.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&cargo.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&cargo.stdout).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    Ok(packages.iter().flat_map(broken_arrows).collect())
}

fn broken_arrows(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    if ON_TOP.contains(&name) {
        return Vec::new();
    }
    let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
        return vec![format!("crate {name} has no place in xtask/src/tidy/arrows.rs")];
    };
    let siblings = MAY_USE.iter().map(|(name, _)| *name).chain(ON_TOP.iter().copied()).collect::<Vec<_>>();
    let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let used = dependencies.iter().filter_map(|dependency| dependency["name"].as_str());
    used.filter(|used| siblings.contains(used) && !allowed.contains(used))
        .map(|used| format!("{name} must not depend on {used}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_library_that_knows_a_wrong_sibling_is_named() {
        let wrong = json!({"name": "sc-eval", "dependencies": [{"name": "sc-io"}, {"name": "ndarray"}]});
        assert_eq!(broken_arrows(&wrong), ["sc-eval must not depend on sc-io"]);
        let upwards = json!({"name": "sc-io", "dependencies": [{"name": "sc-tests"}]});
        assert_eq!(broken_arrows(&upwards), ["sc-io must not depend on sc-tests"]);
        let right = json!({"name": "sc-prep", "dependencies": [{"name": "sc-io"}]});
        assert!(broken_arrows(&right).is_empty());
        let unknown = json!({"name": "sc-new", "dependencies": []});
        assert_eq!(broken_arrows(&unknown).len(), 1);
    }
}
