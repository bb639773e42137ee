//! The service provider towards one identity provider.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Timestamp;
use org_protocol::{CLOCK_SKEW, SamlProvider};
use saml_rs::{
    AcsEndpoint, AssertionSignaturePolicy, AudienceValidationPolicy, AuthnRequest, AuthnRequestAgePolicy,
    AuthnRequestSigningPolicy, BrowserInput, ClockSkew, EntityId, ForceAuthn, FormField, IdpDescriptor,
    LogoutPolicy, LogoutSignaturePolicy, MetadataTrustPolicy, NameIdCreationPolicy, PendingAuthnRequest,
    PendingSnapshot, RelayStateParam, ReplayCache, ReplayKey, ReplayPolicy, ResponseSignaturePolicy, Saml,
    SamlError, SamlValidationContext, Sp, SpConfig, SpValidationPolicy, SsoResponse, SsoSession, StartSso,
    VerifiedXmlSignatureCoverage, XmlEncryptionPolicy, XmlPolicy, XmlSignatureProfile,
};
use url::Url;

use super::facts::{self, Facts};
use super::preparse::{self, RESPONSE_LIMIT};
use super::{SamlFault, check_certificate};

/// What a response is that was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The person, as the identity provider names them.
    pub(crate) name_id: String,
    /// What it says of them, by the attribute's name.
    pub(crate) attributes: BTreeMap<String, Vec<String>>,
    /// Its own session of theirs.
    pub(crate) session_index: Option<String>,
    /// When the person authenticated.
    pub(crate) authenticated: Timestamp,
    /// When its session of theirs ends, where it says so.
    pub(crate) session_until: Option<Timestamp>,
    /// What must never be accepted again.
    pub(crate) once: Vec<Once>,
}

/// Something that is good once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Once {
    /// Its name.
    pub(crate) key: String,
    /// After this it would be refused for its age.
    pub(crate) until: Timestamp,
}

/// A question to the identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The request's id, which the answer names.
    pub(crate) request: String,
    /// The relay state, which comes back with the answer.
    pub(crate) relay: String,
    /// When it was asked.
    pub(crate) at: Timestamp,
    /// Whether the person has to authenticate anew.
    pub(crate) anew: bool,
}

/// The service provider.
pub(crate) struct ServiceProvider {
    saml: Saml<Sp>,
    idp: IdpDescriptor,
    entity_id: String,
    acs: String,
}

impl ServiceProvider {
    /// The service provider at `public_url`, which ends with a slash, for what this identity provider says.
    ///
    /// # Errors
    /// [`SamlFault::Settings`], or the fault of a certificate.
    pub(crate) fn new(public_url: &Url, provider: &SamlProvider) -> Result<Self, SamlFault> {
        provider.check().map_err(|fault| SamlFault::Settings(fault.to_string()))?;
        for certificate in &provider.certificates {
            check_certificate(certificate)?;
        }
        let at = |path: &str| public_url.join(path).map_err(|fault| SamlFault::Settings(fault.to_string()));
        let (entity_id, acs) = (at(METADATA_PATH)?.to_string(), at(ACS_PATH)?.to_string());
        let config = SpConfig::builder(EntityId::try_new(&entity_id)?)
            .acs_endpoint(AcsEndpoint::post(&acs)?)
            .validation(policy())
            .xml(limits())
            .build()?;
        // The metadata is made here, of signed content: nothing of it came over a network.
        let idp = IdpDescriptor::from_metadata_xml_for(
            EntityId::try_new(&provider.entity_id)?,
            &idp_metadata(provider),
            MetadataTrustPolicy::UnsignedForCompatibility,
        )?;
        Ok(Self { saml: Saml::sp(config)?, idp, entity_id, acs })
    }

    /// What the identity provider has to know of this service provider (SAML Metadata 2.0).
    pub(crate) fn metadata(&self) -> &str {
        self.saml.metadata_xml()
    }

    /// A question to the identity provider, and where the person is to be sent with it. `relay` comes back.
    ///
    /// # Errors
    /// A [`SamlFault`].
    pub(crate) fn ask(&self, relay: &str, anew: bool, now: Timestamp) -> Result<(Asked, Url), SamlFault> {
        let options = StartSso::redirect()
            .relay_state(RelayStateParam::try_from_option(Some(relay))?)
            .apply_web_browser_sso_generation_rules();
        let options = if anew { options.force_authn(ForceAuthn::Required) } else { options };
        let started = self.saml.start_sso(&self.idp, options)?;
        let url = started.outbound.redirect_url()?;
        let url = url.parse().map_err(|_| SamlFault::Settings("its sso_url".to_owned()))?;
        let request = started.pending.request_id().as_str().to_owned();
        Ok((Asked { request, relay: relay.to_owned(), at: now, anew }, url))
    }

    /// Believes an answer to `asked`, or does not. It takes milliseconds of a processor. Whoever calls it has to refuse what
    /// is in [`Accepted::once`] a second time.
    ///
    /// # Errors
    /// A [`SamlFault`].
    pub(crate) fn accept(
        &self,
        asked: &Asked,
        response: &str,
        relay: &str,
        now: Timestamp,
    ) -> Result<Accepted, SamlFault> {
        let xml = decoded(response)?;
        let facts = facts::read(&preparse::read(&xml)?)?;
        self.fits(&facts, asked, now)?;

        let mut seen = Seen::default();
        let session = self.verified(asked, &xml, relay, now, &mut seen)?;
        agree(&facts, &session)?;
        let once = seen.into_once(&facts)?;
        Ok(Accepted {
            name_id: facts.name_id,
            attributes: facts.attributes,
            session_index: facts.session_index,
            authenticated: facts.authenticated,
            session_until: facts.session_until,
            once,
        })
    }

    /// What needs no key: the verifier checks it all again.
    fn fits(&self, facts: &Facts, asked: &Asked, now: Timestamp) -> Result<(), SamlFault> {
        if facts.in_response_to != asked.request {
            return Err(SamlFault::InResponseTo);
        }
        if facts.receiver != self.acs || !facts.audiences.contains(&self.entity_id) {
            return Err(SamlFault::Destination);
        }
        if facts.issuer != self.idp.entity_id().as_str() {
            return Err(SamlFault::Value("Issuer"));
        }
        let early = facts.from.is_some_and(|from| from > now.plus(CLOCK_SKEW));
        let over = now >= facts.until.plus(CLOCK_SKEW);
        let ended = facts.session_until.is_some_and(|until| now >= until);
        if early || over || ended || facts.authenticated > now.plus(CLOCK_SKEW) {
            return Err(SamlFault::Time);
        }
        if asked.anew && facts.authenticated.plus(CLOCK_SKEW) < asked.at {
            return Err(SamlFault::NotAnew);
        }
        Ok(())
    }

    /// The verifier's own verdict.
    pub(super) fn verified(
        &self,
        asked: &Asked,
        xml: &str,
        relay: &str,
        now: Timestamp,
        seen: &mut Seen,
    ) -> Result<SsoSession, SamlFault> {
        let expected = PendingSnapshot::<AuthnRequest>::authn_request(
            &asked.request,
            RelayStateParam::try_from_option(Some(asked.relay.as_str()))?,
            self.idp.entity_id().as_str(),
            "post",
            &self.acs,
            "post",
        );
        let pending = PendingAuthnRequest::from_snapshot(expected)?;
        // What was read here goes to the verifier, and not the base64 that another decoder may read otherwise.
        let fields =
            vec![FormField::new("SAMLResponse", STANDARD.encode(xml)), FormField::new("RelayState", relay)];
        let context = SamlValidationContext::new(system_time(now), ReplayPolicy::RequireCache(seen))
            .with_clock_skew(skew())
            .with_authn_request_age(AuthnRequestAgePolicy::Disabled)
            .with_replay_retention(CLOCK_SKEW);
        Ok(self.saml.finish_sso(&self.idp, &pending, BrowserInput::<SsoResponse>::post(fields), context)?)
    }
}

impl std::fmt::Debug for ServiceProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServiceProvider({} for {})", self.entity_id, self.idp.entity_id().as_str())
    }
}

/// Where the metadata lies, below the configuration URL. The address is the entity ID (SAML Core 2.0, section 8.3.6).
pub(crate) const METADATA_PATH: &str = "v1/saml/metadata";
/// The assertion consumer service, below the configuration URL.
pub(crate) const ACS_PATH: &str = "v1/saml/acs";

/// Every policy of the verifier, by name: its defaults are for others.
fn policy() -> SpValidationPolicy {
    SpValidationPolicy {
        assertions: AssertionSignaturePolicy::RequireSigned,
        responses: ResponseSignaturePolicy::RequireSigned,
        xml_signatures: XmlSignatureProfile::StrictRsaSha2,
        authn_requests: AuthnRequestSigningPolicy::DoNotSignForCompatibility,
        audience: AudienceValidationPolicy::Validate,
        name_id_creation: NameIdCreationPolicy::AllowCreate,
        logout: LogoutPolicy {
            requests: LogoutSignaturePolicy::RequireSigned,
            responses: LogoutSignaturePolicy::RequireSigned,
        },
    }
}

fn limits() -> XmlPolicy {
    let (not_before, not_on_or_after) = skew().as_millis();
    let mut policy = XmlPolicy {
        clock_drifts: (not_before, not_on_or_after),
        redirect_inflate_max_bytes: RESPONSE_LIMIT,
        encryption: XmlEncryptionPolicy::default(),
        ..XmlPolicy::default()
    };
    policy.limits.max_bytes = RESPONSE_LIMIT;
    policy
}

/// How far the identity provider's clock may be off, either way.
fn skew() -> ClockSkew {
    let millis = i64::try_from(CLOCK_SKEW.as_millis()).unwrap_or(0);
    ClockSkew::from_millis(-millis, millis)
}

fn idp_metadata(provider: &SamlProvider) -> String {
    let escaped = |text: &str| quick_xml::escape::escape(text).into_owned();
    let keys: String = provider
        .certificates
        .iter()
        .map(|certificate| {
            format!(
                "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}\
                 </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>",
                certificate.base64()
            )
        })
        .collect();
    format!(
        "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
         xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" entityID=\"{}\"><md:IDPSSODescriptor \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">{keys}<md:SingleSignOnService \
         Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"{}\"/></md:IDPSSODescriptor>\
         </md:EntityDescriptor>",
        escaped(&provider.entity_id),
        escaped(provider.sso_url.as_str()),
    )
}

/// Base64 with line breaks (RFC 2045), of UTF-8.
fn decoded(response: &str) -> Result<String, SamlFault> {
    if response.len() > RESPONSE_LIMIT * 2 {
        return Err(SamlFault::TooLarge);
    }
    let base64: String = response.chars().filter(|c| !matches!(c, '\r' | '\n' | ' ' | '\t')).collect();
    let xml = STANDARD.decode(base64).map_err(|_| SamlFault::Encoding)?;
    String::from_utf8(xml).map_err(|_| SamlFault::Encoding)
}

/// The verifier's reading must be the one that is used, word for word.
fn agree(facts: &Facts, session: &SsoSession) -> Result<(), SamlFault> {
    let say = |same: bool, what: &'static str| if same { Ok(()) } else { Err(SamlFault::Ambiguous(what)) };
    say(session.response_id().as_str() == facts.response_id, "Response ID")?;
    say(session.assertion_id().as_str() == facts.assertion_id, "Assertion ID")?;
    say(session.issuer().as_str() == facts.issuer, "Issuer")?;
    say(
        session.in_response_to().map(|id| id.as_str()) == Some(facts.in_response_to.as_str()),
        "InResponseTo",
    )?;
    say(session.name_id().value() == facts.name_id, "NameID")?;
    let attributes: BTreeMap<String, Vec<String>> = session
        .attributes()
        .as_slice()
        .iter()
        .map(|attribute| {
            let values = attribute.values().iter().map(|value| value.as_str().to_owned());
            (attribute.name().to_owned(), values.collect())
        })
        .collect();
    say(attributes == facts.attributes, "AttributeStatement")?;
    let [statement] = session.authn_sessions() else { return Err(SamlFault::Ambiguous("AuthnStatement")) };
    let index = statement.session_index().map(|index| index.as_str());
    say(index == facts.session_index.as_deref(), "SessionIndex")?;
    // Both were asked for by policy; this is what the verifier has found.
    let covered = |wanted| session.verified_xml_signatures().iter().any(|one| one.coverage() == wanted);
    say(covered(VerifiedXmlSignatureCoverage::ResponseRoot), "Response Signature")?;
    say(covered(VerifiedXmlSignatureCoverage::ConsumedAssertion), "Assertion Signature")
}

/// Notes what the verifier would have remembered. It is remembered in the database, which does not wait for anybody here.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<(ReplayKey, SystemTime)>);

impl ReplayCache for Seen {
    fn check_and_store(&mut self, key: ReplayKey, expires_at: SystemTime) -> Result<(), SamlError> {
        self.0.push((key, expires_at));
        Ok(())
    }
}

impl Seen {
    /// Exactly the response and its assertion are good once, for as long as either would be accepted.
    fn into_once(self, facts: &Facts) -> Result<Vec<Once>, SamlFault> {
        let noted = |value: &str| self.0.iter().any(|(key, _)| key.value() == value);
        if !noted(&facts.response_id) || !noted(&facts.assertion_id) {
            return Err(SamlFault::Ambiguous("ID"));
        }
        let until = facts.until.plus(CLOCK_SKEW).plus(CLOCK_SKEW);
        let once = |(key, expires): (ReplayKey, SystemTime)| Once {
            key: format!("{}\n{}", facts.issuer, key.cache_key()),
            until: until.max(timestamp(expires)),
        };
        Ok(self.0.into_iter().map(once).collect())
    }
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at.micros()).unwrap_or(0))
}

fn timestamp(at: SystemTime) -> Timestamp {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
