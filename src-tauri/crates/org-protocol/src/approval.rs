//! A person's leave for one call: a statement that the device's key signs (ES256 over the encoding of DSSE v1, in which the type of
//! what is signed keeps one use of the key from passing for another). It is no token: nothing is had for showing it.
//!
//! It says what was asked and answered, and for which call it is good; never an argument. Making and checking one is pure. That
//! it is used once only is for whoever makes the call to see: each call has an id of its own.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{ApprovalScope, ApprovalTarget, CallId, ConnectorId, DeviceId, Digest, ServerId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::dpop::Jwk;
use crate::dsse::pae;
use crate::record::bare_uri;
use crate::trust::CLOCK_SKEW;

/// The format version of an [`ApprovalStatement`].
pub const APPROVAL_FORMAT: u32 = 1;
/// How long a statement is good after it was made: as long as it takes to begin the call.
pub const APPROVAL_LIFE: Duration = Duration::from_secs(120);
/// The type of what is signed.
pub const APPROVAL_TYPE: &str = "application/vnd.deskgate.approval+json";
/// The longest statement, in bytes.
const STATEMENT_LIMIT: usize = 4096;
/// How much of a URI or a prompt's name a statement repeats, in characters. The digest is of the whole.
const NAME_LIMIT: usize = 128;
/// How many policies a statement names at most. Its terms are of all.
const MOST_RULES: usize = 8;

/// What a person allowed, and for which call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalStatement {
    /// The format version: [`APPROVAL_FORMAT`].
    pub format: u32,
    /// The one call that it is good for.
    pub call: CallId,
    /// The device at which the person was asked.
    pub device: DeviceId,
    /// The person's issuer.
    pub issuer: String,
    /// The person's `sub`.
    pub subject: String,
    /// The assistant's client identifier.
    pub client_id: String,
    /// The virtual server.
    pub server: ServerId,
    /// The connector.
    pub connector: ConnectorId,
    /// What is asked of it: see [`statement_target`].
    pub target: ApprovalTarget,
    /// The digest of the exact arguments, or of the URI: see [`ArgumentsKey::seal`].
    pub arguments: Digest,
    /// The policies that ask for a person, by their `@id`: see [`statement_rules`].
    pub rules: Vec<String>,
    /// The digest of those policies' texts: what was asked for, whatever else the policy set says.
    pub terms: Digest,
    /// The digest of the policy set.
    pub policy: Digest,
    /// How far the answer reaches.
    pub scope: ApprovalScope,
    /// When the person answered; long before the call where they answered for more than one.
    pub answered: Timestamp,
    /// How the person proved to the operating system who they are, where the policies ask for that; when they answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Factor>,
    /// The call that was approved and that this one goes on with, where nobody was asked anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<CallId>,
    /// When the statement was made.
    pub issued: Timestamp,
    /// Until when it is good.
    pub valid_until: Timestamp,
}

/// What a person proved who they are with, beside answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// polkit, which asked them for whatever the computer knows them by.
    Polkit,
}

impl Factor {
    /// Its name, as in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Polkit => "polkit",
        }
    }
}

/// What a target is called in a statement: a URI without what may be secret in it ([`bare_uri`]), nothing longer than people read.
pub fn statement_target(target: &ApprovalTarget) -> ApprovalTarget {
    let cut = |text: &str| text.chars().take(NAME_LIMIT).collect();
    match target {
        ApprovalTarget::Tool(name) => ApprovalTarget::Tool(name.clone()),
        ApprovalTarget::Resource(uri) => ApprovalTarget::Resource(cut(&bare_uri(uri))),
        ApprovalTarget::Prompt(name) => ApprovalTarget::Prompt(cut(name)),
    }
}

/// The policies that a statement names, of those that ask: the first few.
pub fn statement_rules<R: ToString>(rules: &[R]) -> Vec<String> {
    rules.iter().take(MOST_RULES).map(ToString::to_string).collect()
}

/// What keeps the digest in a statement from telling arguments that somebody guesses: it goes with the call and into no record.
/// The device makes it anew for each call from a key of its own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArgumentsKey(Digest);

impl ArgumentsKey {
    /// The key for a call.
    pub fn of(device_key: &[u8; 32], call: CallId) -> Self {
        Self(Digest::of_parts(&[b"approved arguments key", device_key, call.to_string().as_bytes()]))
    }

    /// The digest of arguments or a URI, exactly as they are sent on.
    pub fn seal(&self, arguments: &str) -> Digest {
        Digest::of_parts(&[b"approved arguments", self.0.as_bytes(), arguments.as_bytes()])
    }
}

impl std::fmt::Debug for ArgumentsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArgumentsKey(..)")
    }
}

/// A statement as it was signed.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedApproval {
    /// The JSON of the [`ApprovalStatement`], to the byte.
    pub statement: String,
    /// The device's public key.
    pub key: Jwk,
    /// Its signature over type and statement (DSSE v1, "Signature Definition"), in base64url.
    pub signature: String,
}

/// A statement on its way, with what it takes to check it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalProof {
    /// The signed statement.
    pub signed: SignedApproval,
    /// What the digest of the arguments was made with.
    pub arguments_key: ArgumentsKey,
}

/// Why a statement approves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalFault {
    /// It is not signed by the key that it names, or not as an approval.
    #[error("the approval's signature is not by its key")]
    Signature,
    /// It cannot be read.
    #[error("the approval cannot be read")]
    Unreadable,
    /// It is signed by another key than the device's.
    #[error("the approval is not signed by this device")]
    Key,
    /// A format version that is not known here.
    #[error("the approval has format {0}")]
    Format(u32),
    /// It is not good any more, not yet, or for longer than any is.
    #[error("the approval was good from {issued} to {until}, this clock shows {now}")]
    Time {
        /// When it was made.
        issued: Timestamp,
        /// Until when it was good.
        until: Timestamp,
        /// This clock.
        now: Timestamp,
    },
}

/// An approval whose signature was verified. Which call it is for, the decision asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    statement: ApprovalStatement,
    proof: ApprovalProof,
}

impl ApprovalStatement {
    /// Signs it. `sign` is ES256 by the private half of `jwk`.
    ///
    /// # Errors
    /// Whatever `sign` fails with.
    pub fn signed<E>(
        &self,
        jwk: &Jwk,
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    ) -> Result<SignedApproval, E> {
        let statement = serde_json::to_string(self).unwrap_or_default();
        let signature = sign(&pae(APPROVAL_TYPE, statement.as_bytes()))?;
        Ok(SignedApproval { statement, key: jwk.clone(), signature: URL_SAFE_NO_PAD.encode(signature) })
    }
}

impl Approved {
    /// Verifies a statement with the key of this thumbprint (RFC 7638), and that it is good now. The two clocks may differ by
    /// [`CLOCK_SKEW`].
    ///
    /// # Errors
    /// The first [`ApprovalFault`] found.
    pub fn verified(proof: &ApprovalProof, thumbprint: &str, now: Timestamp) -> Result<Self, ApprovalFault> {
        let SignedApproval { statement, key, signature } = &proof.signed;
        if key.thumbprint() != thumbprint {
            return Err(ApprovalFault::Key);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| ApprovalFault::Signature)?;
        if statement.len() > STATEMENT_LIMIT {
            return Err(ApprovalFault::Unreadable);
        }
        if !key.verifies(&pae(APPROVAL_TYPE, statement.as_bytes()), &signature) {
            return Err(ApprovalFault::Signature);
        }
        let statement: ApprovalStatement =
            serde_json::from_str(statement).map_err(|_| ApprovalFault::Unreadable)?;
        if statement.format != APPROVAL_FORMAT {
            return Err(ApprovalFault::Format(statement.format));
        }
        let (issued, until) = (statement.issued, statement.valid_until);
        let is_good = until.since(issued) <= APPROVAL_LIFE
            && issued <= until
            && issued <= now.plus(CLOCK_SKEW)
            && now <= until.plus(CLOCK_SKEW);
        if !is_good {
            return Err(ApprovalFault::Time { issued, until, now });
        }
        Ok(Self { statement, proof: proof.clone() })
    }

    /// What was allowed.
    pub fn statement(&self) -> &ApprovalStatement {
        &self.statement
    }

    /// The statement as it was signed, to be shown to others.
    pub fn proof(&self) -> &ApprovalProof {
        &self.proof
    }

    /// The digest of the statement's JSON: its name in records.
    pub fn digest(&self) -> Digest {
        Digest::of(self.proof.signed.statement.as_bytes())
    }

    /// Whether these are the arguments that the person saw, to the last byte.
    pub fn covers(&self, arguments: &str) -> bool {
        self.proof.arguments_key.seal(arguments) == self.statement.arguments
    }
}

/// The approval that a call was made with, as its record names it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRecord {
    /// How far the person's answer reaches.
    pub scope: ApprovalScope,
    /// When the person answered.
    pub answered: Timestamp,
    /// The digest of the statement.
    pub digest: Digest,
    /// The statement as the device signed it: whoever knows the device's public key verifies it. It names the person, so it can
    /// be erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<SignedApproval>,
}

impl From<&Approved> for ApprovalRecord {
    fn from(approved: &Approved) -> Self {
        let ApprovalStatement { scope, answered, .. } = approved.statement;
        Self { scope, answered, digest: approved.digest(), signed: Some(approved.proof.signed.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use p256::ecdsa::signature::Signer as _;
    use p256::ecdsa::{Signature, SigningKey};

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn key(seed: u8) -> (SigningKey, Jwk) {
        let key = SigningKey::from_slice(&[seed; 32]).expect("a scalar");
        let point = key.verifying_key().to_sec1_point(false);
        let coordinate = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point.as_bytes()[range]);
        let (x, y) = (coordinate(1..33), coordinate(33..65));
        (key, Jwk { kty: "EC".to_owned(), crv: "P-256".to_owned(), x, y })
    }

    fn statement() -> (ApprovalStatement, ArgumentsKey) {
        let call = CallId::new();
        let key = ArgumentsKey::of(&[7; 32], call);
        let statement = ApprovalStatement {
            format: APPROVAL_FORMAT,
            call,
            device: DeviceId::new(),
            issuer: "https://idp.test".to_owned(),
            subject: "ann".to_owned(),
            client_id: "c".to_owned(),
            server: "desk".parse().expect("an id"),
            connector: "mail".parse().expect("an id"),
            target: ApprovalTarget::Tool("send".parse().expect("a tool")),
            arguments: key.seal("{}"),
            rules: vec!["asked".to_owned()],
            terms: Digest::of(b"terms"),
            policy: Digest::of(b"policy"),
            scope: ApprovalScope::Once,
            answered: NOW,
            factor: None,
            continues: None,
            issued: NOW,
            valid_until: NOW.plus(APPROVAL_LIFE),
        };
        (statement, key)
    }

    fn proof(by: u8, change: impl FnOnce(&mut ApprovalStatement)) -> ApprovalProof {
        let (mut statement, arguments_key) = statement();
        change(&mut statement);
        let (key, jwk) = key(by);
        let signed = statement.signed(&jwk, |input| {
            let signature: Signature = key.sign(input);
            Ok::<_, Infallible>(signature.to_bytes().into())
        });
        ApprovalProof { signed: signed.expect("infallible"), arguments_key }
    }

    fn verified(proof: &ApprovalProof) -> Result<Approved, ApprovalFault> {
        Approved::verified(proof, &key(5).1.thumbprint(), NOW)
    }

    #[test]
    fn a_statement_is_good_for_what_it_says() {
        let approved = verified(&proof(5, |_| ())).expect("good");
        assert!(approved.covers("{}") && !approved.covers("{ }"));
        let record = ApprovalRecord::from(&approved);
        assert_eq!((record.scope, record.digest), (ApprovalScope::Once, approved.digest()));
    }

    #[test]
    fn each_fault_has_its_name() {
        assert_eq!(verified(&proof(6, |_| ())), Err(ApprovalFault::Key));
        assert_eq!(verified(&proof(5, |it| it.format = 2)), Err(ApprovalFault::Format(2)));
        for (from, to) in [(-500, -400), (400, 500), (0, 121), (10, 0)] {
            let at = |seconds: i64| Timestamp::from_seconds(NOW.seconds() + seconds);
            let (issued, until) = (at(from), at(to));
            let found = verified(&proof(5, |it| (it.issued, it.valid_until) = (issued, until)));
            assert_eq!(found, Err(ApprovalFault::Time { issued, until, now: NOW }));
        }
        let (mut good, other) = (proof(5, |_| ()), proof(5, |it| it.scope = ApprovalScope::Always));
        good.signed.statement = other.signed.statement;
        assert_eq!(verified(&good), Err(ApprovalFault::Signature));
        let long = proof(5, |it| it.issuer = "x".repeat(STATEMENT_LIMIT));
        assert_eq!(verified(&long), Err(ApprovalFault::Unreadable));
    }

    #[test]
    fn what_the_key_signs_for_another_purpose_approves_nothing() {
        let (key, jwk) = key(5);
        let (statement, arguments_key) = statement();
        let statement = serde_json::to_string(&statement).expect("JSON");
        for message in
            [statement.clone().into_bytes(), pae("application/vnd.deskgate.other+json", statement.as_bytes())]
        {
            let signature: Signature = key.sign(&message);
            let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
            let signed = SignedApproval { statement: statement.clone(), key: jwk.clone(), signature };
            let proof = ApprovalProof { signed, arguments_key: arguments_key.clone() };
            assert_eq!(verified(&proof), Err(ApprovalFault::Signature));
        }
    }

    #[test]
    fn a_statement_tells_no_secret_of_a_uri_and_no_argument() {
        let target = ApprovalTarget::Resource("https://u:p@a.test/x?token=1#y".to_owned());
        assert!(!statement_target(&target).name().contains("token"), "{target:?}");
        let proof = proof(5, |_| ());
        let shown = format!("{:?}", verified(&proof).expect("good"));
        assert!(!shown.contains(&serde_json::to_string(&proof.arguments_key).expect("JSON")));
    }
}
