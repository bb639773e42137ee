//! What a server that is configured elsewhere becomes: a connector, and what is sealed for it.

use std::collections::BTreeMap;

use assistants::{Configured, Outside, Place, Word};
use connector::{has_sealed, sealed_placeholder};
use model::{Advice, ConnectorId, Digest};
use org_protocol::{ConnectorSpec, CredentialSpec};

use super::super::settings::Settings;
use super::record::Record;
use super::words;

/// One server, as it is to be. Holds secrets, so it is never printed.
#[derive(Clone)]
pub(super) struct Planned {
    pub(super) place: Place,
    pub(super) connector: ConnectorId,
    pub(super) spec: ConnectorSpec,
    /// What is sealed for its program, by name.
    pub(super) values: BTreeMap<String, String>,
    /// The token of its account.
    pub(super) token: Option<String>,
    /// Whether its server was asked before.
    is_known: bool,
}

impl Planned {
    /// What a server becomes; why not, where it cannot.
    pub(super) fn of(outside: &Outside) -> Result<Self, Advice> {
        use model::ForPerson as _;
        let configured = outside.server.as_ref().map_err(|unfit| unfit.advice())?;
        Self::at(outside.place.clone(), configured)
    }

    fn at(place: Place, configured: &Configured) -> Result<Self, Advice> {
        use model::ForPerson as _;
        let connector = id(&place.name).ok_or_else(|| words::unnamed(&place.name))?;
        let mut values = BTreeMap::new();
        let mut spec = empty(&place.name);
        let mut token = None;
        match configured {
            Configured::Program { program, arguments, environment } => {
                spec.command = vec![program.clone()];
                for (at, Word { plain, secret }) in arguments.iter().enumerate() {
                    let name = format!("argument-{}", at + 1);
                    spec.command.push(match secret {
                        Some(_) => format!("{plain}{}", sealed_placeholder(&name)),
                        None => plain.clone(),
                    });
                    values.extend(secret.clone().map(|value| (name, value)));
                }
                for (name, value) in environment {
                    spec.environment.insert(name.clone(), sealed_placeholder(name));
                    values.insert(name.clone(), value.clone());
                }
                // A name that would end the placeholder, or a word that looks like one, would be taken for something else.
                let is_odd = |name: &String| name.contains(['}', '/']);
                let mut plain = arguments.iter().map(|word| &word.plain).chain([program]);
                if environment.keys().any(is_odd) || plain.any(|word| has_sealed(word)) {
                    return Err(assistants::Unfit::Form("command".to_owned()).advice());
                }
            }
            Configured::Address { url, token: sent } => {
                spec.url = Some(url.clone());
                if let Some((header, value)) = sent {
                    let header = header.clone().try_into().map_err(|_| words::header(header))?;
                    spec.credential = CredentialSpec::UserToken { header, hint: None };
                    token = Some(value.clone());
                }
            }
        }
        Ok(Self { place, connector, spec, values, token, is_known: false })
    }

    /// What a server becomes that stands in no file.
    pub(super) fn described(title: &str, configured: &Configured) -> Result<Self, Advice> {
        Self::at(Place { within: Vec::new(), name: title.to_owned() }, configured)
    }

    /// What it is and what its secrets are: two of the same are one connector.
    pub(super) fn digest(&self) -> Digest {
        let mut parts = vec![format!("{:?}", self.spec)];
        parts.extend(self.values.iter().flat_map(|(name, value)| [name.clone(), value.clone()]));
        parts.extend(self.token.clone());
        Digest::of_parts(&parts.iter().map(String::as_bytes).collect::<Vec<_>>())
    }

    /// Every secret in it.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.values.values().chain(&self.token).map(String::as_str)
    }

    /// Its address, where nothing says how one signs in there.
    pub(super) fn open_address(&self) -> Option<&url::Url> {
        self.spec.url.as_ref().filter(|_| self.token.is_none() && !self.is_known)
    }

    /// Takes what an import that was cut off found out of the same entry: its server may not answer now.
    pub(super) fn continues(&mut self, records: &[Record], settings: &Settings) {
        let Some(spec) = settings.connectors.get(&self.connector) else { return };
        let found = Self { spec: spec.clone(), ..self.clone() };
        let is_same = |it: &Record| it.connector == self.connector && it.secrets == found.digest();
        if spec.url == self.spec.url && records.iter().any(is_same) {
            self.spec = spec.clone();
            self.is_known = true;
        }
    }
}

fn empty(title: &str) -> ConnectorSpec {
    ConnectorSpec {
        title: title.to_owned(),
        url: None,
        command: Vec::new(),
        environment: BTreeMap::new(),
        credential: CredentialSpec::None,
        in_grace: None,
        facts: org_protocol::ConnectorFacts::default(),
        changes_accepted_by: org_protocol::ChangesAcceptedBy::default(),
    }
}

/// The longest id, in characters.
const LONGEST: usize = 31;

/// The name as a connector's id: small letters, digits and hyphens, a letter first.
fn id(name: &str) -> Option<ConnectorId> {
    let mut id = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            id.push(c);
        } else if !id.ends_with('-') {
            id.push('-');
        }
    }
    let id = id.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let id: String = id.chars().take(LONGEST).collect();
    id.trim_end_matches('-').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_is_named_as_the_server_was() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(id(name).map(|it| it.to_string()).as_deref(), expected, "{name}");
        };
        check("github", Some("github"));
        check("My GitHub__Server!", Some("my-github-server"));
        check("7zip", Some("zip"));
        check("日本", None);
        check(&"x".repeat(40), Some(&"x".repeat(31)));
    }

    #[test]
    fn no_secret_is_in_the_connector() {
        let word = |plain: &str, secret: Option<&str>| Word {
            plain: plain.to_owned(),
            secret: secret.map(str::to_owned),
        };
        let server = Configured::Program {
            program: "npx".to_owned(),
            arguments: vec![word("--key=", Some("hunter2")), word("x", None)],
            environment: [("T".to_owned(), "hunter3".to_owned())].into(),
        };
        let place = Place { within: vec!["mcpServers".to_owned()], name: "GitHub".to_owned() };
        let planned = Planned::of(&Outside { place, server: Ok(server) }).expect("planned");
        assert_eq!(planned.spec.command, ["npx", "--key=${sealed:argument-1}", "x"]);
        assert_eq!(planned.spec.environment["T"], "${sealed:T}");
        assert!(!format!("{:?}", planned.spec).contains("hunter"));
        assert_eq!(planned.secrets().collect::<Vec<_>>(), ["hunter3", "hunter2"]);
    }
}
