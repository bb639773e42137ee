//! A token that is kept as if the person had typed it: it came from where they had it before.

use std::sync::Arc;

use model::{AccountId, Subject};
use org_protocol::ConnectorSpec;
use os::Clock;
use secrecy::SecretString;
use signin::{FaultKind, Moment};
use vault::SecretBytes;

use super::grant::{Bound, Grant, Source, key};
use super::owner_of;
use super::target::{Target, Way, WayName};
use super::typed::lasting;

/// What the vault keeps for such a token, and under which key of [`vault::Kind::Grant`]; nothing for a connector whose token nobody
/// types.
///
/// # Errors
/// [`FaultKind::Internal`] if it cannot be written down.
pub fn typed_grant(
    person: &Subject,
    account: &AccountId,
    spec: &ConnectorSpec,
    token: SecretString,
    clock: &Arc<dyn Clock>,
) -> Result<Option<(String, SecretBytes)>, FaultKind> {
    let Some(Target { url, way: Way::Typed { header, .. }, scopes, .. }) = Target::of(spec, None) else {
        return Ok(None);
    };
    let bound = Bound {
        server: url,
        way: WayName::Typed,
        header,
        scopes,
        wider: [].into(),
        registered_client: None,
        source: Source::Person,
    };
    let grant = Grant::new(bound, lasting(token), Moment::of(&**clock));
    Ok(Some((key(&owner_of(person), account), grant.seal(0)?)))
}
