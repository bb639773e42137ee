//! The organisation's identity provider vouches for people at the authorization server of a connector: two npm
//! `oidc-provider`, and PyPI `fastmcp` behind the second.

use std::sync::Arc;
use std::time::Duration;

use connector::{Asking, ConnectorGrants, GrantStatus, Voucher};
use model::{BoxFuture, Subject};
use org_protocol::{ConnectorSpec, CredentialSpec};
use secrecy::SecretString;
use signin::{FaultKind, KeeperRules, Provider, Sso, SsoParts, Vouch, Wish};
use testkit::{Client, Employee, Idp, IdpSettings, Mail};
use vault::Kind;

use crate::people::Someone;
use crate::real::tools;
use crate::support::{Desk, bearer, mail, spec, status};

/// Deskgate at the connector's authorization server.
const THERE: &str = "deskgate-mail";

/// Whoever is signed in to the organisation.
struct Organisation(Sso);

impl Voucher for Organisation {
    fn vouch<'a>(
        &'a self,
        person: &'a Subject,
        wanted: Vouch<'a>,
    ) -> BoxFuture<'a, Result<SecretString, FaultKind>> {
        Box::pin(async move { self.0.vouch(person, &wanted).await })
    }
}

/// An employee at work.
struct Office {
    idp: Idp,
    there: Idp,
    mail: Mail,
    desk: Desk,
    alice: Arc<Someone>,
    sso: Sso,
    subject: Subject,
}

impl Office {
    async fn open() -> Self {
        let idp = Idp::start(&IdpSettings::default()).await.unwrap();
        let clients = vec![Client { id: THERE.to_owned(), name: "Deskgate".to_owned() }];
        let there = Idp::start(&IdpSettings { clients, ..IdpSettings::default() }).await.unwrap();
        let mail = Mail::start(&there).await.unwrap();
        idp.vouch_at("deskgate", &[(there.issuer(), THERE)]).await.unwrap();
        there.believe(&idp, THERE).await.unwrap();
        let desk = Desk::new();
        let alice = Arc::new(Someone::at_a_browser(Employee::alice()));
        let settings =
            serde_json::json!({"issuer": idp.issuer(), "client_id": "deskgate", "scopes": ["groups"]});
        let provider =
            Provider { organisation: "Acme".to_owned(), settings: serde_json::from_value(settings).unwrap() };
        let parts = SsoParts {
            store: Arc::new(desk.vault().await),
            directory: None,
            person: Arc::<Someone>::clone(&alice),
            clock: Arc::new(os::SystemClock),
            rules: KeeperRules::default(),
        };
        let sso = Sso::open(provider, parts).unwrap();
        let session = sso.sign_in(Wish { nonce: "n-1".to_owned(), anew: false }).await.unwrap();
        let subject = session.subject().clone();
        Self { idp, there, mail, desk, alice, sso, subject }
    }

    async fn grants(&self, owner: &Subject, or_ask: bool) -> ConnectorGrants {
        let voucher: Arc<dyn Voucher> = Arc::new(Organisation(self.sso.clone()));
        let store = Arc::new(self.desk.vault().await);
        let grants = self.desk.grants_by(owner, &self.alice, store, Some(voucher));
        let credential = CredentialSpec::Enterprise {
            client_id: THERE.to_owned(),
            client_secret: None,
            scopes: ["mail.read".to_owned()].into(),
            or_ask,
        };
        grants.serve(&[(mail(), ConnectorSpec { credential, ..spec(self.mail.url(), None, &[]) })].into());
        grants
    }
}

fn signed_in(status: &GrantStatus) -> bool {
    matches!(status, GrantStatus::SignedIn { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_signed_in_to_the_organisation_is_signed_in_to_a_connector_without_being_asked() {
    let office = Office::open().await;
    let grants = office.grants(&office.subject, false).await;

    status(&grants, signed_in).await;

    let first = grants.bearer(&mail(), Asking::Never).await.unwrap();
    assert_eq!(tools(office.mail.url(), &first).await.unwrap(), 2);
    assert_eq!(office.idp.vouched(), ["alice"]);
    assert_eq!(office.alice.asked(), 1, "she signed in to the organisation, and nowhere else");
    assert!(office.there.sign_ins().is_empty());

    office.desk.clock.advance(Duration::from_secs(400));
    let second = grants.bearer(&mail(), Asking::Never).await.unwrap();
    assert!(!second.same_as(&first));
    assert_eq!(tools(office.mail.url(), &second).await.unwrap(), 2);
    assert_eq!(office.idp.vouched().len(), 2, "a fresh token is a fresh assertion");

    grants.sign_out(&mail()).await.unwrap();
    assert!(office.desk.stored(Kind::Grant).await.is_empty());
    let out = grants.bearer(&mail(), Asking::Never).await.unwrap_err();
    assert_eq!(out.kind, FaultKind::SignInNeeded, "who signed out stays out");
    bearer(&grants).await.unwrap();
    assert_eq!(office.alice.asked(), 1);
    grants.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_vouched_for_is_asked_only_where_the_organisation_says_so() {
    let office = Office::open().await;
    office.idp.vouch_at("deskgate", &[]).await.unwrap();
    let grants = office.grants(&office.subject, false).await;
    let refused = bearer(&grants).await.unwrap_err();
    assert_eq!(refused, FaultKind::Refused("invalid_target".to_owned()));
    assert_eq!(office.alice.asked(), 1);
    grants.close().await;

    let grants = office.grants(&office.subject, true).await;
    status(&grants, |status| matches!(status, GrantStatus::NeedsAttention(_))).await;
    assert_eq!(office.alice.asked(), 1, "not before she needs it");
    office.desk.clock.advance(Duration::from_secs(60));
    let token = bearer(&grants).await.unwrap();
    assert_eq!(tools(office.mail.url(), &token).await.unwrap(), 2);
    assert_eq!(office.alice.asked(), 2);
    assert_eq!(office.there.sign_ins(), ["alice"]);
    grants.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_vouched_for_in_another_s_name() {
    let office = Office::open().await;
    let bob = Subject { subject: "bob".to_owned(), ..office.subject.clone() };
    let grants = office.grants(&bob, false).await;

    assert_eq!(bearer(&grants).await.unwrap_err(), FaultKind::SignInNeeded);

    assert!(office.idp.vouched().is_empty());
    assert!(office.desk.stored(Kind::Grant).await.is_empty());
    grants.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_that_the_organisation_takes_away_ends_with_the_token_at_hand() {
    let office = Office::open().await;
    let grants = office.grants(&office.subject, false).await;
    // Whoever is signed in is shown as that while the grant is still being saved.
    bearer(&grants).await.unwrap();

    office.idp.vouch_at("deskgate", &[]).await.unwrap();
    office.desk.clock.advance(Duration::from_secs(400));

    let refused = bearer(&grants).await.unwrap_err();
    assert!(
        matches!(&refused, FaultKind::Refused(code) | FaultKind::Ended(code) if code == "invalid_target"),
        "{refused:?}"
    );
    assert!(office.desk.stored(Kind::Grant).await.is_empty());
    assert_eq!(office.alice.asked(), 1);
    grants.close().await;
}
