//! The organisation's own tests: who, what, and the decision that IT expects. They are put to the very policy that would be signed.
//!
//! They stay in the authored folder. A desktop that ran them too would learn other people's names and groups, and could find out
//! nothing: it decides with the same code on the same policies, or refuses the bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use model::{AttributeValue, CallId, ConnectorId, CredentialId, ServerId, Subject, Timestamp, ToolName};
use org_protocol::Content;
use policy::{Circumstance, CredentialChoice, Policy, Question, RuleId, Target};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

/// A file of tests: people, and cases about them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseFile {
    /// The people whom cases of this file name, as the identity provider would tell of them.
    #[serde(default)]
    people: BTreeMap<String, Person>,
    /// The cases.
    #[serde(default, rename = "case")]
    cases: Vec<Case>,
}

/// A person as the identity provider would tell of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Person {
    /// Their subject at the identity provider; their name in this file where it is not given.
    subject: Option<String>,
    /// Their e-mail address.
    email: Option<String>,
    /// Their name for display.
    name: Option<String>,
    /// Their groups.
    #[serde(default)]
    groups: BTreeSet<String>,
    /// Further claims, each of which `identity_provider.claims` has to declare.
    #[serde(default)]
    claims: BTreeMap<String, AttributeValue>,
}

/// One case: exactly one of `tool`, `resource` and `prompt` is given.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("oneOf" = [{"required": ["tool"]}, {"required": ["resource"]}, {"required": ["prompt"]}]))]
#[serde(deny_unknown_fields)]
struct Case {
    /// What it shows, in words.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// One of the people.
    who: String,
    /// The virtual server that the call comes through.
    server: ServerId,
    /// The connector that it goes to.
    connector: ConnectorId,
    /// The tool that is called, by the connector's own name.
    tool: Option<ToolName>,
    /// The URI of the resource that is read.
    resource: Option<String>,
    /// The prompt that is got.
    prompt: Option<String>,
    /// The arguments of tool or prompt.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    arguments: toml::Table,
    /// When (RFC 3339, as text); the time of the check where it is not given.
    #[schemars(with = "Option<String>")]
    at: Option<Timestamp>,
    /// The assistant's client id and name.
    #[serde(default)]
    assistant: String,
    /// The full path of the assistant's program; not known where it is not given.
    program: Option<String>,
    /// Where the device is in the network: an IP address; not known where it is not given.
    address: Option<std::net::IpAddr>,
    /// What policy is to decide.
    expect: Expected,
    /// Policies by their `@id`, each of which has to be among those that decide.
    #[serde(default)]
    by: BTreeSet<String>,
    /// Policies by their `@id` that are only observed (`@observe`), each of which would have to refuse a permitted call.
    #[serde(default)]
    observed: BTreeSet<String>,
    /// The shared credential that a permitted call has to be made with.
    credential: Option<CredentialId>,
}

/// What policy is to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Expected {
    /// The call is permitted.
    Permit,
    /// The call is refused.
    Deny,
    /// A person is asked, and the call permitted if they approve it (`@approval`).
    Ask,
}

/// Why a case does not hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaseFault {
    /// There is no such person.
    #[error("names {0:?}, who is none of this file's people")]
    Nobody(String),
    /// Not exactly one thing is asked for.
    #[error("asks for none or several of tool, resource and prompt; name one")]
    Target,
    /// The arguments are no JSON.
    #[error("has arguments that no call can have: {0}")]
    Arguments(String),
    /// A person has a claim that policies cannot read.
    #[error(
        "is about somebody whose claim {0:?} identity_provider.claims does not declare, or as another type"
    )]
    Claim(String),
    /// Policy decides otherwise.
    #[error("expects {expected}, but policy {decided}")]
    Otherwise {
        /// What was expected.
        expected: String,
        /// What was decided, and by which policies.
        decided: String,
    },
}

/// A case that does not hold.
#[derive(Debug)]
pub(super) struct Failed {
    /// Its name.
    pub(super) name: String,
    /// Where its name stands in the file, in bytes.
    pub(super) at: usize,
    /// Why.
    pub(super) fault: CaseFault,
}

impl CaseFile {
    /// Puts every case to the policy.
    pub(super) fn run(&self, content: &Content, policy: &Policy, now: Timestamp) -> Vec<Failed> {
        let failed = |case: &Case| {
            let fault = self.hold(case, content, policy, now).err()?;
            Some(Failed { name: case.name.get_ref().clone(), at: case.name.span().start, fault })
        };
        self.cases.iter().filter_map(failed).collect()
    }

    /// How many cases there are.
    pub(super) fn count(&self) -> usize {
        self.cases.len()
    }

    fn hold(&self, case: &Case, content: &Content, policy: &Policy, now: Timestamp) -> Result<(), CaseFault> {
        let subject = self.subject(&case.who, content)?;
        let arguments = serde_json::to_string(&case.arguments)
            .map_err(|fault| CaseFault::Arguments(fault.to_string()))?;
        let circumstance = Circumstance {
            now: case.at.unwrap_or(now),
            client_id: case.assistant.clone(),
            client_name: case.assistant.clone(),
            device: None,
            program: case.program.clone(),
            address: case.address,
        };
        let question = Question {
            call: CallId::new(),
            subject: &subject,
            server: &case.server,
            connector: &case.connector,
            target: case.target(&arguments)?,
            circumstance: &circumstance,
        };
        let decided = Decided::of(policy, &question);
        if case.is_met_by(&decided) {
            return Ok(());
        }
        Err(CaseFault::Otherwise { expected: case.expected(), decided: decided.to_string() })
    }

    fn subject(&self, who: &str, content: &Content) -> Result<Subject, CaseFault> {
        let person = self.people.get(who).ok_or_else(|| CaseFault::Nobody(who.to_owned()))?;
        let provider = &content.org.identity_provider;
        let fits = |(name, value): (&String, &AttributeValue)| {
            provider.claims.get(name).is_some_and(|kind| kind.fits(value))
        };
        if let Some((name, _)) = person.claims.iter().find(|claim| !fits(*claim)) {
            return Err(CaseFault::Claim(name.clone()));
        }
        Ok(Subject {
            issuer: provider.issuer.to_string(),
            subject: person.subject.clone().unwrap_or_else(|| who.to_owned()),
            email: person.email.clone(),
            name: person.name.clone(),
            groups: person.groups.clone(),
            attributes: person.claims.clone(),
        })
    }
}

impl Case {
    fn target<'a>(&'a self, arguments: &'a str) -> Result<Target<'a>, CaseFault> {
        match (&self.tool, &self.resource, &self.prompt) {
            (Some(name), None, None) => Ok(Target::Tool { name, arguments }),
            (None, Some(uri), None) => Ok(Target::Resource { uri }),
            (None, None, Some(name)) => Ok(Target::Prompt { name, arguments }),
            (_, _, _) => Err(CaseFault::Target),
        }
    }

    fn is_met_by(&self, decided: &Decided) -> bool {
        let all = |wanted: &BTreeSet<String>, rules: &[RuleId]| {
            wanted.iter().all(|id| rules.iter().any(|rule| rule.as_str() == id))
        };
        match (self.expect, decided) {
            (Expected::Permit, Decided::Permitted { rules, observed, credential }) => {
                all(&self.by, rules)
                    && all(&self.observed, observed)
                    && (self.credential.is_none() || self.credential == *credential)
            }
            (Expected::Deny, Decided::Refused { rules, .. }) => {
                self.observed.is_empty() && all(&self.by, rules)
            }
            (Expected::Ask, Decided::Asked { rules }) => self.observed.is_empty() && all(&self.by, rules),
            (Expected::Permit, Decided::Refused { .. } | Decided::Asked { .. })
            | (Expected::Deny, Decided::Permitted { .. } | Decided::Asked { .. })
            | (Expected::Ask, Decided::Permitted { .. } | Decided::Refused { .. }) => false,
        }
    }

    fn expected(&self) -> String {
        let what = match self.expect {
            Expected::Permit => "the call to be permitted",
            Expected::Deny => "the call to be refused",
            Expected::Ask => "a person to be asked",
        };
        let told = |word: &str, ids: &BTreeSet<String>| match ids.is_empty() {
            true => String::new(),
            false => format!(" {word} {}", listed(ids.iter())),
        };
        let (by, observed) = (told("by", &self.by), told("and observed by", &self.observed));
        let with = self.credential.as_ref().map(|id| format!(" with credential {id}")).unwrap_or_default();
        format!("{what}{by}{with}{observed}")
    }
}

/// What policy decided.
enum Decided {
    Permitted { rules: Vec<RuleId>, observed: Vec<RuleId>, credential: Option<CredentialId> },
    Refused { rules: Vec<RuleId>, why: String },
    Asked { rules: Vec<RuleId> },
}

impl Decided {
    fn of(policy: &Policy, question: &Question<'_>) -> Self {
        match policy.decide(question) {
            Ok(permit) => {
                let credential = match permit.credential() {
                    CredentialChoice::Shared(id) => Some(id.clone()),
                    CredentialChoice::None | CredentialChoice::Own(_) => None,
                };
                let (rules, observed) = (permit.rules().to_vec(), permit.observed().to_vec());
                Self::Permitted { rules, observed, credential }
            }
            Err(denial) if denial.approval().is_some() => Self::Asked { rules: denial.rules().to_vec() },
            Err(denial) => {
                let stage = denial.stage().map(|stage| format!(" at the question {stage:?}"));
                let why = format!("{}{}", denial.kind().as_str(), stage.unwrap_or_default());
                Self::Refused { rules: denial.rules().to_vec(), why }
            }
        }
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rules, observed) = match self {
            Self::Permitted { rules, observed, credential } => {
                f.write_str("permits it")?;
                if let Some(credential) = credential {
                    write!(f, " with credential {credential}")?;
                }
                (rules, observed.as_slice())
            }
            Self::Refused { rules, why } => {
                write!(f, "refuses it ({why})")?;
                (rules, [].as_slice())
            }
            Self::Asked { rules } => {
                f.write_str("has a person asked")?;
                (rules, [].as_slice())
            }
        };
        for (word, ids) in [("by", rules.as_slice()), ("observed by", observed)] {
            if !ids.is_empty() {
                write!(f, ", {word} {}", listed(ids.iter()))?;
            }
        }
        Ok(())
    }
}

fn listed(ids: impl Iterator<Item = impl fmt::Display>) -> String {
    ids.map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(", ")
}

/// Whether a file of this name is one of tests.
pub(super) fn is_case_file(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "toml")
}

#[cfg(test)]
mod tests;
