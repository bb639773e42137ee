//! Who may depend on whom, read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;

use crate::{none, root};

/// Each crate of ours and the crates of ours that it may depend on.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("say", &[]),
    ("updates", &["model"]),
    ("os", &["model"]),
    ("mcp", &["model"]),
    ("org-protocol", &["model"]),
    ("managed", &["model", "org-protocol"]),
    ("payload", &["model", "org-protocol"]),
    ("policy", &["model", "org-protocol", "payload"]),
    ("audit", &["model", "os", "org-protocol"]),
    ("vault", &["model", "os"]),
    ("cache", &["model", "os"]),
    ("upstream", &["model", "os", "mcp", "policy", "audit"]),
    ("claims", &["model", "org-protocol"]),
    ("signin", &["model", "os", "org-protocol", "claims", "vault"]),
    ("issuer", &["model"]),
    ("assistants", &["model", "os"]),
    ("connector", &["model", "os", "mcp", "org-protocol", "upstream", "policy", "audit", "vault", "signin"]),
    ("org", &["model", "os", "org-protocol", "vault", "audit"]),
    (
        "gateway",
        &["model", "os", "mcp", "org-protocol", "policy", "audit", "issuer", "upstream", "connector"],
    ),
    (
        "controller",
        &[
            "model",
            "os",
            "mcp",
            "org-protocol",
            "payload",
            "policy",
            "audit",
            "vault",
            "upstream",
            "signin",
            "issuer",
            "connector",
            "org",
            "gateway",
            "managed",
            "assistants",
            "say",
            "updates",
        ],
    ),
    ("pages", &[]),
    ("cli", &["model", "os", "org-protocol", "policy", "audit", "controller", "assistants", "pages"]),
    (
        "control",
        &[
            "model",
            "os",
            "org-protocol",
            "policy",
            "audit",
            "claims",
            "mcp",
            "upstream",
            "issuer",
            "pages",
            "cache",
        ],
    ),
    ("deskgate-desktop", &["model", "os", "controller", "say"]),
    ("end-to-end", &[]),
    ("testkit", &["model", "os"]),
    ("xtask", &[]),
];

/// Crates that any of ours may use for its tests.
const FOR_TESTS: &[&str] = &["testkit"];

/// Tests that run the real counterpart of their crate.
const COUNTERPARTS: &[(&str, &str)] = &[("org", "control")];

/// Foreign crates that only some of ours may name, and why.
const RESERVED: &[(&str, &[&str], &str)] = &[
    ("tauri", &["deskgate-desktop"], "nothing else may need a desktop's libraries"),
    ("tauri-build", &["deskgate-desktop"], "nothing else may need a desktop's libraries"),
    ("tauri-plugin-opener", &["deskgate-desktop"], "nothing else may need a desktop's libraries"),
    ("tauri-plugin-single-instance", &["deskgate-desktop"], "nothing else may need a desktop's libraries"),
    ("tray-icon", &["deskgate-desktop"], "nothing else may need a desktop's libraries"),
    ("webkit2gtk", &["deskgate-desktop"], "nothing else may need a desktop's libraries"),
    ("notify-rust", &["deskgate-desktop"], "only the desktop shows notifications"),
    ("axum", &["gateway", "control"], "only these two serve HTTP"),
    ("keyring", &["vault"], "nothing but the vault knows the keychain"),
    ("keyring-core", &["vault"], "nothing but the vault knows the keychain"),
    ("zbus-secret-service-keyring-store", &["vault"], "nothing but the vault knows the keychain"),
    ("sled", &["cache"], "it loses data in a crash: only what can be rebuilt may lie in it"),
    ("sqlx", &["control"], "the desktop has no database"),
    ("rmcp", &["connector", "testkit"], "its typed models would drop what they do not know"),
    ("cedar-policy", &["policy"], "there is one decision"),
    ("chacha20poly1305", &["vault", "control"], "sealing happens in one place on each side"),
    (
        "openidconnect",
        &["claims", "signin", "control"],
        "single sign-on is one crate's business on each side",
    ),
    (
        "saml-rs",
        &["control"],
        "XML signatures are verified in one place, which can be mended for everybody at once",
    ),
    ("minisign-verify", &["updates"], "releases are believed in one place"),
    ("minisign", &["testkit"], "nothing that is shipped signs releases"),
    ("quick-xml", &["control"], "nothing else reads XML"),
];

/// What must not talk to a network, and the crates that do.
const SILENT: &[&str] = &[
    "model",
    "os",
    "mcp",
    "org-protocol",
    "payload",
    "policy",
    "audit",
    "vault",
    "cache",
    "issuer",
    "managed",
    "assistants",
    "pages",
    "say",
    "updates",
];
const TALKATIVE: &[&str] = &["reqwest", "hyper", "hyper-util", "axum", "oauth2", "openidconnect"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

impl Dependency {
    fn is_for_tests(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let metadata: Metadata = serde_json::from_str(&text)
        .unwrap_or_else(|fault| panic!("{fault}: {}", String::from_utf8_lossy(&output.stderr)));
    metadata.packages
}

#[test]
fn crates_depend_only_in_the_stated_direction() {
    let allowed: BTreeMap<&str, &[&str]> = DIRECTIONS.iter().copied().collect();
    let mut violations = Vec::new();
    for package in packages() {
        let Some(may) = allowed.get(package.name.as_str()) else {
            violations.push(format!("{} is not in the table", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let name = dependency.name.as_str();
            let for_tests = dependency.is_for_tests()
                && (FOR_TESTS.contains(&name)
                    || COUNTERPARTS.contains(&(package.name.as_str(), name))
                    || package.name == "end-to-end");
            // A crate whose tests use its own test doubles names itself.
            if !may.contains(&name) && !for_tests && name != package.name {
                violations.push(format!("{} -> {name}", package.name));
            }
        }
    }
    none("dependencies against the direction of the crate table", &violations);
}

#[test]
fn the_table_itself_has_no_circle() {
    let mut done = BTreeSet::new();
    for (name, may) in DIRECTIONS {
        for dependency in may.iter() {
            assert!(
                done.contains(dependency),
                "{name} is listed before {dependency}, which it may depend on"
            );
        }
        done.insert(*name);
    }
}

#[test]
fn reserved_crates_are_named_only_where_they_may() {
    let mut violations = Vec::new();
    for package in packages() {
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.is_for_tests()) {
            let rule = RESERVED.iter().find(|(name, ..)| *name == dependency.name);
            if let Some((name, may, why)) = rule
                && !may.contains(&package.name.as_str())
            {
                violations.push(format!("{} -> {name}: {why}", package.name));
            }
        }
    }
    none("reserved crates", &violations);
}

#[test]
fn crates_without_a_network_have_none() {
    let mut violations = Vec::new();
    for package in packages().iter().filter(|package| SILENT.contains(&package.name.as_str())) {
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.is_for_tests()) {
            if TALKATIVE.contains(&dependency.name.as_str()) {
                violations.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    none("crates that must not talk to a network", &violations);
}

#[test]
fn only_tests_use_the_test_crates() {
    let mut violations = Vec::new();
    for package in packages() {
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.is_for_tests()) {
            if FOR_TESTS.contains(&dependency.name.as_str()) {
                violations.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    none("test crates in shipped code", &violations);
}
