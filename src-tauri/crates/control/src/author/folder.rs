//! Reading the authored folder: every mistake with its file, its line and the mend.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use issuer::{NamedClient, NamedFault};
use model::{ConnectorId, IdFault, Timestamp};
use org_protocol::{
    CONTENT_FORMAT, CREDENTIAL_PLACEHOLDER, ConnectorSpec, Content, ContentFault, IdentityProvider,
    OrgSettings, PinnedDefinitions, Transport,
};
use os::Clock as _;
use policy::Policy;
use serde::de::DeserializeOwned;

use super::cases::{CaseFault, CaseFile, is_case_file};
use super::compile::{author_fault, compile, payload_fault};
use super::flagged::{FlaggedTool, flagged_tools};
use super::floating::{FloatingFault, floating};
use super::hearsay::{DeviceClaim, device_claims};
use super::later::{Warning, warnings};
use super::limits;
use super::payload::unknown_tools;
use crate::saml::{CertificateFault, check_certificate};

/// One mistake in the authored folder.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {kind}", file.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct AuthorFault {
    /// The file, relative to the folder.
    pub file: PathBuf,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub kind: AuthorFaultKind,
}

/// What can be wrong in the authored folder.
#[derive(Debug, thiserror::Error)]
pub enum AuthorFaultKind {
    /// The file or folder cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Not TOML, or with a key or value that is not understood.
    #[error("{0}")]
    Toml(String),
    /// Not a JSON array of tool definitions.
    #[error("not what a connector lists: {0}; write it with `connector pin`")]
    Tools(String),
    /// The file's name is no id.
    #[error("the file is named after no possible id: {0}")]
    Name(IdFault),
    /// A file that means nothing here.
    #[error("this file is not understood; remove it or correct its name")]
    Stray,
    /// Tools are pinned for a connector that does not exist.
    #[error("there is no connector of this name; remove the file")]
    ToolsOfNobody,
    /// References or transports do not fit.
    #[error("{0}")]
    Content(ContentFault),
    /// A brokered connector has no pinned tools, so no policy can be checked against them.
    #[error("the connector is brokered but its tools are not pinned; run `connector pin`")]
    NotPinned,
    /// The placeholder for a secret stands where none is put in.
    #[error("{CREDENTIAL_PLACEHOLDER} is replaced only in the environment of a brokered command")]
    Placeholder,
    /// A brokered command never gets its secret.
    #[error("the command is brokered, but no environment variable has {CREDENTIAL_PLACEHOLDER}")]
    NoPlaceholder,
    /// Others decide which version of a package is started.
    #[error("{0}")]
    Floating(FloatingFault),
    /// An assistant cannot be named so.
    #[error("assistant {id:?}: {fault}")]
    Assistant {
        /// Its client id.
        id: String,
        /// What is wrong.
        fault: NamedFault,
    },
    /// A certificate of the SAML identity provider is of no use.
    #[error("identity_provider: {0}")]
    Certificate(CertificateFault),
    /// One of the organisation's own tests does not hold.
    #[error("case {name:?} {fault}")]
    Case {
        /// Its name.
        name: String,
        /// Why.
        fault: CaseFault,
    },
    /// The policies do not compile.
    #[error("{}{reason}", if id.is_empty() { String::new() } else { format!("policy {id:?}: ") })]
    Policy {
        /// The policy's `@id`, where it has one.
        id: String,
        /// What is wrong.
        reason: String,
    },
}

/// Reads the folder into the content of a bundle.
///
/// # Errors
/// Every mistake found in the files themselves.
pub fn read(folder: &Path) -> Result<Content, Vec<AuthorFault>> {
    let mut reading = Reading { folder, faults: Vec::new() };
    let org = reading.toml::<OrgSettings>(Path::new("org.toml"));
    let mut connectors = BTreeMap::new();
    let (mut tools, mut definitions) = (BTreeMap::new(), BTreeMap::new());
    for file in reading.files("connectors") {
        if let Some(name) = named(&file, ".tools.json") {
            if let Some((id, list)) = reading.id::<ConnectorId>(&file, &name).zip(reading.json(&file)) {
                tools.insert(id, list);
            }
        } else if let Some(name) = named(&file, ".definitions.json") {
            let pinned =
                reading.id::<ConnectorId>(&file, &name).zip(reading.json::<PinnedDefinitions>(&file));
            definitions.extend(pinned);
        } else if let Some(name) = named(&file, ".toml") {
            if let Some((id, spec)) = reading.id(&file, &name).zip(reading.toml(&file)) {
                connectors.insert(id, spec);
            }
        } else {
            reading.fault(&file, AuthorFaultKind::Stray);
        }
    }
    let mut servers = BTreeMap::new();
    for file in reading.files("servers") {
        match named(&file, ".toml") {
            Some(name) => {
                if let Some((id, spec)) = reading.id(&file, &name).zip(reading.toml(&file)) {
                    servers.insert(id, spec);
                }
            }
            None => reading.fault(&file, AuthorFaultKind::Stray),
        }
    }
    let policies = reading.policies();
    match (org, reading.faults.is_empty()) {
        (Some(org), true) => {
            Ok(Content { format: CONTENT_FORMAT, org, connectors, servers, policies, tools, definitions })
        }
        (Some(_) | None, _) => Err(reading.faults),
    }
}

/// What was found in a folder without a mistake.
#[derive(Debug)]
pub struct Examined {
    /// The content of a bundle.
    pub content: Content,
    /// How many of the organisation's own tests hold: all.
    pub cases: usize,
    /// What somebody has to know before it is signed.
    pub warnings: Vec<Warning>,
    /// What of the policies about shared accounts rests on the word of a device.
    pub device_claims: Vec<DeviceClaim>,
    /// Pinned tools whose definitions look as if they were made to deceive.
    pub flagged_tools: Vec<FlaggedTool>,
}

/// Reads the folder and checks everything that can be checked before signing: policies too, by the organisation's own tests.
///
/// # Errors
/// Every mistake found.
pub fn examine(folder: &Path) -> Result<Examined, Vec<AuthorFault>> {
    let now = os::SystemClock.now();
    let (content, policy) = check_at(folder, now)?;
    let cases = run_cases(folder, &content, &policy, now)?;
    Ok(Examined {
        cases,
        warnings: warnings(folder, &content),
        device_claims: device_claims(&content),
        flagged_tools: flagged_tools(&content),
        content,
    })
}

/// The content of a folder in which [`examine`] finds no mistake.
///
/// # Errors
/// Every mistake found.
pub fn check(folder: &Path) -> Result<Content, Vec<AuthorFault>> {
    examine(folder).map(|found| found.content)
}

/// Runs the organisation's own tests, and says how many there are.
fn run_cases(
    folder: &Path,
    content: &Content,
    policy: &Policy,
    now: Timestamp,
) -> Result<usize, Vec<AuthorFault>> {
    let mut reading = Reading { folder, faults: Vec::new() };
    let mut count = 0;
    for file in reading.files("tests") {
        if !is_case_file(&file) {
            reading.fault(&file, AuthorFaultKind::Stray);
            continue;
        }
        let Some(cases) = reading.toml::<CaseFile>(&file) else { continue };
        count += cases.count();
        let text = reading.text(&file).unwrap_or_default();
        reading.faults.extend(cases.run(content, policy, now).into_iter().map(|failed| AuthorFault {
            file: file.clone(),
            line: Some(line_of(&text, failed.at)),
            kind: AuthorFaultKind::Case { name: failed.name, fault: failed.fault },
        }));
    }
    if reading.faults.is_empty() { Ok(count) } else { Err(reading.faults) }
}

fn check_at(folder: &Path, now: Timestamp) -> Result<(Content, Policy), Vec<AuthorFault>> {
    let content = read(folder)?;
    let mut faults: Vec<AuthorFault> =
        content.connectors.iter().flat_map(|(id, spec)| connector_faults(&content, id, spec)).collect();
    faults.extend(content.connectors.iter().filter_map(|(id, spec)| floating_fault(folder, id, spec)));
    faults.extend(content.org.assistants.iter().filter_map(|(id, spec)| {
        let fault = NamedClient::new(id, &spec.title, &spec.redirect_uris).err()?;
        Some(fault_in("org.toml", AuthorFaultKind::Assistant { id: id.clone(), fault }))
    }));
    faults.extend(saml_faults(&content.org.identity_provider, now));
    for id in content.tools.keys().filter(|id| !content.connectors.contains_key(*id)) {
        faults.push(fault_in(&format!("connectors/{id}.tools.json"), AuthorFaultKind::ToolsOfNobody));
    }
    for id in content.definitions.keys().filter(|id| !content.connectors.contains_key(*id)) {
        faults.push(fault_in(&format!("connectors/{id}.definitions.json"), AuthorFaultKind::ToolsOfNobody));
    }
    let content = content.checked().map_err(|fault| {
        vec![AuthorFault { file: content_file(&fault), line: None, kind: AuthorFaultKind::Content(fault) }]
    })?;
    faults.extend(unknown_tools(&content).into_iter().map(|fault| payload_fault(folder, fault)));
    faults.extend(limits::unknown_tools(&content).into_iter().map(|fault| author_fault(folder, fault)));
    let compiled = compile(&content).map_err(|policy_faults| {
        faults.extend(policy_faults.into_iter().map(|fault| author_fault(folder, fault)));
    });
    match compiled {
        Ok(policy) if faults.is_empty() => Ok((content, policy)),
        Ok(_) | Err(()) => Err(faults),
    }
}

fn connector_faults(content: &Content, id: &ConnectorId, spec: &ConnectorSpec) -> Vec<AuthorFault> {
    let file = format!("connectors/{id}.toml");
    let placeholders = spec.environment.values().any(|value| value.contains(CREDENTIAL_PLACEHOLDER));
    let mut kinds = Vec::new();
    if spec.credential.is_shared() {
        if !content.tools.contains_key(id) {
            kinds.push(AuthorFaultKind::NotPinned);
        }
        match spec.transport() {
            Ok(Transport::Stdio { .. }) if !placeholders => kinds.push(AuthorFaultKind::NoPlaceholder),
            Ok(Transport::Http(_)) if placeholders => kinds.push(AuthorFaultKind::Placeholder),
            Ok(Transport::Stdio { .. } | Transport::Http(_)) => {}
            Err(fault) => kinds.push(AuthorFaultKind::Content(fault)),
        }
    } else if placeholders {
        kinds.push(AuthorFaultKind::Placeholder);
    }
    kinds.into_iter().map(|kind| fault_in(&file, kind)).collect()
}

fn floating_fault(folder: &Path, id: &ConnectorId, spec: &ConnectorSpec) -> Option<AuthorFault> {
    let (word, fault) = floating(&spec.command)?;
    let file = format!("connectors/{id}.toml");
    let line = line_of_word(&folder.join(&file), word);
    Some(AuthorFault { line, ..fault_in(&file, AuthorFaultKind::Floating(fault)) })
}

/// The line of a word of a connector's command.
fn line_of_word(file: &Path, word: usize) -> Option<usize> {
    #[derive(serde::Deserialize)]
    struct Command {
        command: Vec<toml::Spanned<String>>,
    }
    let text = std::fs::read_to_string(file).ok()?;
    let Command { command } = toml::from_str(&text).ok()?;
    command.get(word).map(|word| line_of(&text, word.span().start))
}

fn saml_faults(provider: &IdentityProvider, now: Timestamp) -> Vec<AuthorFault> {
    let Some(saml) = &provider.saml else { return Vec::new() };
    let certificates =
        saml.certificates.iter().filter_map(|certificate| match check_certificate(certificate) {
            Ok(until) if until <= now => Some(CertificateFault::Expired(until)),
            Ok(_) => None,
            Err(fault) => Some(fault),
        });
    certificates.map(|fault| fault_in("org.toml", AuthorFaultKind::Certificate(fault))).collect()
}

fn content_file(fault: &ContentFault) -> PathBuf {
    match fault {
        ContentFault::UnknownConnector { server, .. } | ContentFault::Account(server, _) => {
            format!("servers/{server}.toml").into()
        }
        ContentFault::NoCredential(connector)
        | ContentFault::ChangesOfShared(connector)
        | ContentFault::Credential(connector, _) => format!("connectors/{connector}.toml").into(),
        ContentFault::Transport => PathBuf::from("connectors"),
        ContentFault::Format(_)
        | ContentFault::LaterKey { .. }
        | ContentFault::Provider(_)
        | ContentFault::Saml(_)
        | ContentFault::SignInHost(_)
        | ContentFault::SamlAnd(_)
        | ContentFault::Audit(_) => PathBuf::from("org.toml"),
    }
}

fn fault_in(file: &str, kind: AuthorFaultKind) -> AuthorFault {
    AuthorFault { file: PathBuf::from(file), line: None, kind }
}

struct Reading<'a> {
    folder: &'a Path,
    faults: Vec<AuthorFault>,
}

impl Reading<'_> {
    fn fault(&mut self, file: &Path, kind: AuthorFaultKind) {
        self.faults.push(AuthorFault { file: file.to_owned(), line: None, kind });
    }

    fn text(&mut self, file: &Path) -> Option<String> {
        match std::fs::read_to_string(self.folder.join(file)) {
            Ok(text) => Some(text),
            Err(fault) => {
                self.fault(file, AuthorFaultKind::Unreadable(fault.to_string()));
                None
            }
        }
    }

    fn toml<T: DeserializeOwned>(&mut self, file: &Path) -> Option<T> {
        let text = self.text(file)?;
        match toml::from_str(&text) {
            Ok(value) => Some(value),
            Err(fault) => {
                let line = fault.span().map(|span| line_of(&text, span.start));
                let kind = AuthorFaultKind::Toml(fault.message().to_owned());
                self.faults.push(AuthorFault { file: file.to_owned(), line, kind });
                None
            }
        }
    }

    /// What `connector pin` wrote.
    fn json<T: DeserializeOwned>(&mut self, file: &Path) -> Option<T> {
        let text = self.text(file)?;
        match serde_json::from_str(&text) {
            Ok(pinned) => Some(pinned),
            Err(fault) => {
                let line = Some(fault.line());
                let kind = AuthorFaultKind::Tools(fault.to_string());
                self.faults.push(AuthorFault { file: file.to_owned(), line, kind });
                None
            }
        }
    }

    fn id<T: std::str::FromStr<Err = IdFault>>(&mut self, file: &Path, name: &str) -> Option<T> {
        name.parse().map_err(|fault| self.fault(file, AuthorFaultKind::Name(fault))).ok()
    }

    fn policies(&mut self) -> BTreeMap<String, String> {
        let mut policies = BTreeMap::new();
        for file in self.files("policies") {
            if named(&file, ".cedar").is_none() {
                self.fault(&file, AuthorFaultKind::Stray);
            } else if let Some(text) = self.text(&file) {
                policies.insert(file.to_string_lossy().into_owned(), text);
            }
        }
        policies
    }

    /// The files of a sub-folder in order; hidden files and notes are passed over, a missing folder is empty.
    fn files(&mut self, sub: &str) -> Vec<PathBuf> {
        let entries = match std::fs::read_dir(self.folder.join(sub)) {
            Ok(entries) => entries,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(fault) => {
                self.fault(Path::new(sub), AuthorFaultKind::Unreadable(fault.to_string()));
                return Vec::new();
            }
        };
        let mut files: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.') && !name.ends_with(".md"))
            .map(|name| Path::new(sub).join(name))
            .collect();
        files.sort();
        files
    }
}

fn named(file: &Path, suffix: &str) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    name.strip_suffix(suffix).map(ToOwned::to_owned)
}

pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::init;

    fn example() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        init(&dir.path().join("org"), "example").expect("writes the example");
        dir
    }

    fn faults(change: impl FnOnce(&Path)) -> Vec<String> {
        let dir = example();
        let org = dir.path().join("org");
        change(&org);
        check(&org).expect_err("refused").iter().map(ToString::to_string).collect()
    }

    fn write(org: &Path, file: &str, text: &str) {
        std::fs::write(org.join(file), text).expect("writes");
    }

    #[test]
    fn the_example_is_good() {
        let dir = example();
        let content = check(&dir.path().join("org")).map_err(|faults| faults[0].to_string());
        assert_eq!(content.map(|content| content.org.id), Ok("example".to_owned()));
    }

    #[test]
    fn unknown_keys_are_named_with_their_line() {
        let found =
            faults(|org| write(org, "servers/bad.toml", "title = \"x\"\nconnectors = []\ncolour = 1\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("servers/bad.toml:3: unknown field `colour`"), "{found:?}");
    }

    #[test]
    fn a_package_without_an_exact_version_is_refused_at_its_line() {
        let spec = |package: &str| {
            format!("title = \"W\"\ncommand = [\n  \"npx\",\n  \"-y\",\n  \"{package}\",\n]\n")
        };
        let found = faults(|org| write(org, "connectors/w.toml", &spec("@scope/w@latest")));
        assert_eq!(found.len(), 1, "{found:?}");
        let named = found[0].starts_with("connectors/w.toml:5: ") && found[0].contains("\"@scope/w@latest\"");
        assert!(named && found[0].ends_with("name an exact version, such as name@1.2.3"), "{found:?}");
        let dir = example();
        write(&dir.path().join("org"), "connectors/w.toml", &spec("@scope/w@1.2.3"));
        assert!(check(&dir.path().join("org")).is_ok());
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let found = faults(|org| {
            write(org, "connectors/Bad Name.toml", "title = \"x\"\ncommand = [\"x\"]\n");
            write(org, "servers/notes.txt", "");
            write(org, "connectors/x.tools.json", "{}");
        });
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn a_brokered_command_needs_pinned_tools_and_a_place_for_its_secret() {
        let found = faults(|org| {
            let spec = "title = \"W\"\ncommand = [\"w\"]\ncredential = { kind = \"brokered\", credentials = [\"a\"] }\n";
            write(org, "connectors/w.toml", spec);
        });
        assert!(found.iter().any(|fault| fault.contains("not pinned")), "{found:?}");
        assert!(found.iter().any(|fault| fault.contains("no environment variable")), "{found:?}");
    }

    #[test]
    fn an_assistant_is_named_with_redirects_that_code_may_go_to() {
        let named = |redirect: &str| {
            let dir = example();
            let path = dir.path().join("org/org.toml");
            let mut text = std::fs::read_to_string(&path).expect("reads");
            text += &format!("[assistants.agent]\ntitle = \"Agent\"\nredirect_uris = [\"{redirect}\"]\n");
            write(&dir.path().join("org"), "org.toml", &text);
            check(&dir.path().join("org")).map_err(|faults| faults[0].to_string())
        };
        assert!(named("http://127.0.0.1/callback").expect("good").org.assistants.contains_key("agent"));
        let fault = named("https://agent.example/callback").expect_err("refused");
        assert!(
            fault.starts_with(
                "org.toml: assistant \"agent\": the redirect URI https://agent.example/callback is refused"
            ),
            "{fault}"
        );
    }

    /// The mistakes in a folder whose people sign in by SAML, at a time long after its certificate has expired or before.
    fn faults_of_saml(certificates: &[&str], more: &str, now: i64) -> Vec<String> {
        let dir = example();
        let org = dir.path().join("org");
        let table = format!(
            "[identity_provider]\nissuer = \"https://control.acme.test\"\nclient_id = \"deskgate\"\n{more}\n\
             [identity_provider.saml]\nentity_id = \"https://idp.acme.test/metadata\"\n\
             sso_url = \"https://idp.acme.test/sso\"\ncertificates = {}\n",
            serde_json::json!(certificates)
        );
        write(&org, "org.toml", &format!("id = \"example\"\nname = \"Example\"\n{table}"));
        let checked = check_at(&org, Timestamp::from_seconds(now));
        checked.map(|_| Vec::new()).unwrap_or_else(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_saml_provider_is_named_with_certificates_that_verify_and_nothing_that_contradicts() {
        let (rsa, ec) =
            (include_str!("../saml/certificates/rsa.crt"), include_str!("../saml/certificates/ec.crt"));
        let (then, later) = (1_700_000_000, 4_000_000_000);
        assert_eq!(faults_of_saml(&[rsa], "", then), Vec::<String>::new());
        for (certificates, more, now, expected) in [
            (vec![rsa], "", later, "one of them expired on 20"),
            (vec![rsa, ec], "", then, "not RSA of 2048 bits"),
            (vec!["AAEC"], "", then, "no X.509 certificate"),
            (vec![], "", then, "one is needed"),
            (vec![rsa, rsa], "", then, "two different ones"),
            (vec![rsa], "scopes = [\"email\"]", then, "scopes does nothing with saml"),
            (vec![rsa], "groups_claim = \"roles\"", then, "groups_claim does nothing with saml"),
            (vec![rsa], "kind = \"okta\"", then, "kind does nothing with saml"),
            (vec![rsa], "claims = { level = \"Long\" }", then, "claims does nothing with saml"),
            (vec![rsa], "sign_out_returns = true", then, "sign_out_returns does nothing with saml"),
            (vec![rsa], "device_code = true", then, "device_code does nothing with saml"),
        ] {
            let found = faults_of_saml(&certificates, more, now);
            let named = found.iter().any(|fault| fault.starts_with("org.toml: ") && fault.contains(expected));
            assert!(named, "{expected}: {found:?}");
        }
    }

    #[test]
    fn hosts_that_sign_in_windows_may_show_have_the_one_where_people_sign_in() {
        let with = |hosts: &str| {
            let dir = example();
            let org = dir.path().join("org");
            let change = |org: &Path| {
                let text = std::fs::read_to_string(org.join("org.toml")).expect("reads");
                let issuer = "issuer = \"https://login.example.test\"";
                let (before, after) = text.split_once("[identity_provider]").expect("a table");
                let after = after
                    .split_once("issuer = ")
                    .and_then(|(_, rest)| rest.split_once('\n'))
                    .expect("an issuer")
                    .1;
                write(org, "org.toml", &format!("{before}{hosts}\n[identity_provider]\n{issuer}\n{after}"));
            };
            change(&org);
            let checked = check(&org);
            checked
                .map(|_| Vec::new())
                .unwrap_or_else(|faults| faults.iter().map(ToString::to_string).collect())
        };
        assert_eq!(with("sign_in_hosts = [\"example.test\", \"partner.test\"]"), Vec::<String>::new());
        assert_eq!(with(""), Vec::<String>::new());
        let found = with("sign_in_hosts = [\"partner.test\"]");
        let named =
            |fault: &String| fault.starts_with("org.toml: ") && fault.contains("lacks login.example.test");
        assert!(found.iter().any(named), "{found:?}");
        let found = with("sign_in_hosts = [\"*.example.test\"]");
        assert!(found.iter().any(|fault| fault.contains("without * or port")), "{found:?}");
    }

    #[test]
    fn a_placeholder_elsewhere_is_refused() {
        let found = faults(|org| {
            let spec = "title = \"W\"\ncommand = [\"w\"]\nenvironment = { X = \"${credential}\" }\n";
            write(org, "connectors/w.toml", spec);
        });
        assert!(found.iter().any(|fault| fault.contains("is replaced only")), "{found:?}");
    }

    #[test]
    fn a_server_without_its_connector_and_a_broken_policy_are_refused() {
        let found = faults(|org| write(org, "servers/s.toml", "title = \"S\"\nconnectors = [\"nobody\"]\n"));
        assert!(found[0].starts_with("servers/s.toml: "), "{found:?}");
        let found = faults(|org| write(org, "policies/broken.cedar", "permit("));
        assert!(found.iter().any(|fault| fault.starts_with("policies/broken.cedar:1: ")), "{found:?}");
    }

    #[test]
    fn tools_of_nobody_are_refused() {
        let found = faults(|org| write(org, "connectors/nobody.tools.json", "[]"));
        assert!(found[0].contains("no connector of this name"), "{found:?}");
    }
}
