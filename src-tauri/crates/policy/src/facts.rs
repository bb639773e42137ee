//! What a question is asked with: the user as an entity, and the circumstances as Cedar's `context`.

use std::collections::HashSet;
use std::net::IpAddr;

use cedar_policy::{Context, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use model::{AttributeValue, CallId, ConnectorId, DeviceId, Digest, ServerId, Subject, Timestamp, ToolName};
use org_protocol::ClaimTypes;

use crate::given::Given;
use crate::lint::Reads;
use crate::schema::{SchemaFault, kind};

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A tool is called (`tools/call`), or something is done with a task that such a call began.
    Tool {
        /// The connector's own name of the tool.
        name: &'a ToolName,
        /// The arguments: the text of a JSON object, exactly as it would be sent on.
        arguments: &'a str,
    },
    /// A resource is read, or notice of its changes is asked for (`resources/read`, `resources/subscribe`); or values for a
    /// template of resources are asked for (`completion/complete`).
    Resource {
        /// The URI, or the template, exactly as it would be sent on.
        uri: &'a str,
    },
    /// A prompt is got (`prompts/get`), or values for one of its arguments are asked for (`completion/complete`).
    Prompt {
        /// The connector's own name of the prompt.
        name: &'a str,
        /// The arguments: the text of a JSON object, exactly as it would be sent on; `{}` if there are none.
        arguments: &'a str,
    },
}

impl Target<'_> {
    /// The digest of what the decision is good for, beside the name of a tool or prompt.
    pub(crate) fn digest(&self) -> Digest {
        match self {
            Self::Tool { arguments, .. } | Self::Prompt { arguments, .. } => Digest::of(arguments.as_bytes()),
            Self::Resource { uri } => Digest::of(uri.as_bytes()),
        }
    }
}

/// One call that asks to be made.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The call; the permit is for this one only.
    pub call: CallId,
    /// Who asks.
    pub subject: &'a Subject,
    /// The virtual server that the call comes through.
    pub server: &'a ServerId,
    /// The connector that it goes to.
    pub connector: &'a ConnectorId,
    /// What it asks for.
    pub target: Target<'a>,
    /// When and from where.
    pub circumstance: &'a Circumstance,
}

/// What is true of a request beside who asks and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstance {
    /// The time.
    pub now: Timestamp,
    /// The assistant's client id.
    pub client_id: String,
    /// The assistant's name: its own claim.
    pub client_name: String,
    /// The device.
    pub device: Option<DeviceId>,
    /// The full path of the program that asks, where it is known: the device's word.
    pub program: Option<String>,
    /// Where the device is in the network, where that is known: its own address there, as it says itself; at the control plane the
    /// address that its request came from.
    pub address: Option<IpAddr>,
}

impl Circumstance {
    /// What is true of a look that no assistant takes, at no device.
    #[must_use]
    pub fn of_nobody(now: Timestamp) -> Self {
        Self {
            now,
            client_id: String::new(),
            client_name: String::new(),
            device: None,
            program: None,
            address: None,
        }
    }
}

/// What was asked could not be put into Cedar's terms.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FactFault {
    #[error("the user cannot be built: {0}")]
    User(String),
    #[error("the entities do not fit together: {0}")]
    Entities(String),
    #[error("the context cannot be built: {0}")]
    Context(String),
}

/// `User::"<issuer>#<subject>"`. An issuer identifier has no fragment (OpenID Connect Core 1.0, section 2), so the first
/// `#` always separates the two.
pub(crate) fn user_id(subject: &Subject) -> String {
    format!("{}#{}", subject.issuer.replace('#', "%23"), subject.subject)
}

/// The types of users and groups; making a type name is parsing, which is too slow for a call. And those of claims.
#[derive(Debug)]
pub(crate) struct Kinds {
    user: EntityTypeName,
    group: EntityTypeName,
    claims: ClaimTypes,
}

impl Kinds {
    pub(crate) fn new(claims: &ClaimTypes) -> Result<Self, SchemaFault> {
        Ok(Self { user: kind("User")?, group: kind("Group")?, claims: claims.clone() })
    }
}

/// The user with groups as parents and, if any policy reads them, attributes and claims.
pub(crate) fn user(kinds: &Kinds, subject: &Subject, claims: bool) -> Result<(EntityUid, Entity), FactFault> {
    let uid = EntityUid::from_type_name_and_id(kinds.user.clone(), EntityId::new(user_id(subject)));
    let group = |name: &String| EntityUid::from_type_name_and_id(kinds.group.clone(), EntityId::new(name));
    let groups: HashSet<EntityUid> = subject.groups.iter().map(group).collect();
    if !claims {
        return Ok((uid.clone(), Entity::new_no_attrs(uid, groups)));
    }
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let mut attributes =
        vec![("issuer".to_owned(), text(&subject.issuer)), ("subject".to_owned(), text(&subject.subject))];
    for (name, value) in [("email", &subject.email), ("name", &subject.name)] {
        if let Some(value) = value {
            attributes.push((name.to_owned(), text(value)));
        }
    }
    // What was read before the declaration changed is not what the policies were checked against.
    let declared = |(name, value): &(&String, &AttributeValue)| {
        kinds.claims.get(*name).is_some_and(|kind| kind.fits(value))
    };
    let claims = subject.attributes.iter().filter(declared);
    attributes.extend(claims.map(|(name, value)| (name.clone(), claim(value))));
    let entity = Entity::new(uid.clone(), attributes.into_iter().collect(), groups)
        .map_err(|e| FactFault::User(e.to_string()))?;
    Ok((uid, entity))
}

fn claim(value: &AttributeValue) -> RestrictedExpression {
    match value {
        AttributeValue::Bool(value) => RestrictedExpression::new_bool(*value),
        AttributeValue::Long(value) => RestrictedExpression::new_long(*value),
        AttributeValue::Text(value) => RestrictedExpression::new_string(value.clone()),
        AttributeValue::Set(values) => {
            RestrictedExpression::new_set(values.iter().cloned().map(RestrictedExpression::new_string))
        }
    }
}

/// As much of the context as is read.
pub(crate) fn context(
    reads: Reads,
    server: &EntityUid,
    circumstance: &Circumstance,
    given: Given,
) -> Result<Context, FactFault> {
    let mut pairs = Vec::new();
    if reads.server {
        pairs.push(("server".to_owned(), RestrictedExpression::new_entity_uid(server.clone())));
    }
    if reads.now {
        pairs.push(("now".to_owned(), RestrictedExpression::new_datetime(milliseconds(circumstance.now))));
    }
    if reads.client {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let mut client = vec![
            ("id".to_owned(), text(&circumstance.client_id)),
            ("name".to_owned(), text(&circumstance.client_name)),
        ];
        if let Some(path) = &circumstance.program {
            let program =
                [("name".to_owned(), text(file_name(path))), ("path".to_owned(), text(path.as_str()))];
            client.push(("program".to_owned(), made(program)?));
        }
        pairs.push(("client".to_owned(), made(client)?));
    }
    if reads.network {
        let address = circumstance.address.map(|address| address.to_canonical().to_string());
        let address = address.map(|address| ("address".to_owned(), RestrictedExpression::new_ip(address)));
        pairs.push(("network".to_owned(), made(address)?));
    }
    if let (true, Some(device)) = (reads.device, circumstance.device) {
        pairs.push(("device".to_owned(), RestrictedExpression::new_string(device.to_string())));
    }
    pairs.extend(given.input.map(|input| ("input".to_owned(), input)));
    pairs.extend(given.facts.map(|facts| ("facts".to_owned(), facts)));
    if pairs.is_empty() {
        return Ok(Context::empty());
    }
    Context::from_pairs(pairs).map_err(|e| FactFault::Context(e.to_string()))
}

fn made(
    members: impl IntoIterator<Item = (String, RestrictedExpression)>,
) -> Result<RestrictedExpression, FactFault> {
    RestrictedExpression::new_record(members).map_err(|e| FactFault::Context(e.to_string()))
}

/// The last part of a path of whatever platform.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Cedar's `datetime` has three decimal places, never six.
fn milliseconds(at: Timestamp) -> String {
    let text = at.to_string();
    let kept = text.find('.').and_then(|point| text.get(..point + 4)).unwrap_or(&text);
    format!("{kept}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_two_issuers_are_two_users() {
        let mut one = Subject::local("a#b");
        let mut two = Subject::local("b");
        two.issuer = "local#a".to_owned();
        assert_ne!(user_id(&one), user_id(&two));
        one.issuer = "https://idp.example".to_owned();
        assert_eq!(user_id(&one), "https://idp.example#a#b");
    }

    #[test]
    fn time_is_cut_to_milliseconds() {
        assert_eq!(milliseconds(Timestamp::from_micros(1_795_443_620_000_999)), "2026-11-23T14:20:20.000Z");
    }
}
