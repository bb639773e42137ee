//! Finding an organisation by its domain, for a person without managed settings.

use model::Timestamp;
use org_protocol::RootFingerprint;
use os::Again;
use reqwest::header::DATE;
use serde::Deserialize;
use url::Url;

use crate::OrgFault;
use crate::wire::{SMALL, Wire, body};

/// What a domain says about its organisation. None of it is to be trusted before a person has compared the fingerprint
/// with what their IT department told them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Discovered {
    /// The organisation's id.
    pub org: String,
    /// Its name.
    pub name: String,
    /// The configuration URL.
    pub config_url: Url,
    /// Its identity provider.
    pub issuer: Url,
    /// The fingerprint to compare.
    pub root_key_fingerprint: RootFingerprint,
}

/// Asks `place`, such as `https://acme.example`, for its `/.well-known/deskgate`.
///
/// # Errors
/// An [`OrgFault`].
pub async fn discover(place: &Url) -> Result<Discovered, OrgFault> {
    let mut base = place.clone();
    base.set_path("/");
    let wire = Wire::new(base, Again::default())?;
    let answer = wire.send(wire.get(".well-known/deskgate")?).await?;
    let answer = body(answer, SMALL).await?;
    let found: Discovered =
        serde_json::from_slice(&answer).map_err(|fault| OrgFault::Unusable(fault.to_string()))?;
    // The configuration URL must be one that can be used.
    Wire::new(found.config_url.clone(), Again::default())?;
    Ok(found)
}

/// What time it is for the server behind a configuration URL, to a second (RFC 9110, section 6.6.1); `None` where its answer
/// says none. Whatever else it answers does not matter, and nothing is told to it.
///
/// # Errors
/// An [`OrgFault`]: it does not answer.
pub async fn server_time(config_url: &Url) -> Result<Option<Timestamp>, OrgFault> {
    let wire = Wire::new(config_url.clone(), Again::default())?;
    let answer = wire.send(wire.get("")?).await?;
    let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
    let at = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let seconds =
        at.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).map(|since| since.as_secs());
    Ok(seconds.and_then(|seconds| i64::try_from(seconds).ok()).map(Timestamp::from_seconds))
}
