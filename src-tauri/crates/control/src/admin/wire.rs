//! What administrators and the server say to each other over HTTP.

use std::collections::BTreeSet;

use model::{Subject, Timestamp};
use org_protocol::{AdministratorRole, NonceSeed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// The format version of these messages.
pub(crate) const ADMIN_FORMAT: u32 = 1;
/// Where it says how administrators sign in, relative to the configuration URL.
pub(crate) const SIGN_IN_PATH: &str = "v1/admin/sign-in";
/// Where a session is opened (`POST`) and ended (`DELETE`), relative to the configuration URL.
pub(crate) const SESSION_PATH: &str = "v1/admin/session";
/// Where an administrator asks, relative to the configuration URL.
pub(crate) const ACT_PATH: &str = "v1/admin/act";

/// How administrators sign in. All of it is in the bundle, which every desktop reads.
#[derive(JsonSchema, Debug, Serialize, Deserialize)]
pub(crate) struct SignInWay {
    /// The format version: [`ADMIN_FORMAT`].
    pub(crate) format: u32,
    /// The identity provider.
    pub(crate) issuer: Url,
    /// Deskgate's client id there.
    pub(crate) client_id: String,
    /// What some providers insist on beside it; no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret: Option<String>,
    /// The scopes to ask for beside `openid`.
    pub(crate) scopes: BTreeSet<String>,
}

/// Opens a session. Proved with the key that it is bound to (RFC 9449).
#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenSession {
    /// The format version: [`ADMIN_FORMAT`].
    #[schemars(extend("enum" = [1]))]
    pub(crate) format: u32,
    /// An ID token with the nonce that binds the key.
    pub(crate) id_token: String,
    /// The random half of that nonce.
    pub(crate) nonce_seed: NonceSeed,
    /// The access token that came with it: where the person's groups are in the provider's directory, it is asked with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) access_token: Option<String>,
}

/// A session.
#[derive(JsonSchema, Serialize, Deserialize)]
pub(crate) struct SessionOpened {
    /// The format version: [`ADMIN_FORMAT`].
    pub(crate) format: u32,
    /// The token; of no use without the key.
    pub(crate) token: String,
    /// When it ends.
    pub(crate) expires: Timestamp,
    /// Who it is.
    pub(crate) subject: Subject,
    /// What they may do.
    pub(crate) roles: BTreeSet<AdministratorRole>,
}
