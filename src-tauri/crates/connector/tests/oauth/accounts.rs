//! Several accounts of one person at one connector: nothing of the one is ever the other's.

use std::collections::BTreeMap;
use std::sync::Arc;

use connector::{Asking, ConnectorGrants, GrantStatus};
use model::{AccountId, SignInPurpose};
use org_protocol::ConnectorSpec;
use serde_json::json;
use signin::FaultKind;
use testkit::{Employee, Idp, IdpSettings, Mail};
use upstream::Bearer;
use url::Url;
use vault::Kind;

use crate::people::Someone;
use crate::real::tools;
use crate::server::{Bend, Server, parameters};
use crate::support::{Desk, mail, spec};

fn inbox() -> AccountId {
    "mail/shared-inbox".parse().unwrap()
}

fn serve(grants: &ConnectorGrants, url: &Url, accounts: &[AccountId]) {
    let spec = |id: &AccountId| ConnectorSpec { title: id.titled("Mail"), ..spec(url, None, &[]) };
    grants.serve(&accounts.iter().map(|id| (id.clone(), spec(id))).collect::<BTreeMap<_, _>>());
}

/// Twenty calls at once; they get one and the same token.
async fn called(grants: &ConnectorGrants, account: &AccountId) -> Bearer {
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (grants, account) = (grants.clone(), account.clone());
            tokio::spawn(async move { grants.bearer(&account, Asking::Allowed).await.unwrap() })
        })
        .collect();
    let mut tokens = Vec::new();
    for call in calls {
        tokens.push(call.await.unwrap());
    }
    assert!(tokens.iter().all(|token| token.same_as(&tokens[0])));
    tokens.remove(0)
}

fn whose(account: &AccountId) -> Employee {
    if account.account.is_default() { Employee::alice() } else { Employee::bob() }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_account_is_signed_in_renewed_and_forgotten_by_itself() {
    let idp = Idp::start(&IdpSettings::default()).await.unwrap();
    let server = Mail::start(&idp).await.unwrap();
    let desk = Desk::new();
    let person = Arc::new(Someone::with_accounts(whose));
    let grants = desk.grants(&person).await;
    serve(&grants, server.url(), &[mail(), inbox()]);

    let (default, named) = (mail(), inbox());
    let (own, shared) = tokio::join!(called(&grants, &default), called(&grants, &named));

    assert_eq!(person.asked(), 2, "once for each");
    let mut signed_in = idp.sign_ins();
    signed_in.sort();
    assert_eq!(signed_in, ["alice", "bob"], "the browser that knows one asks for the other");
    let mut purposes: Vec<_> = person.requests().into_iter().map(|request| request.purpose).collect();
    purposes.sort_by_key(|purpose| format!("{purpose:?}"));
    let purpose = |account, title: &str| SignInPurpose::Connector { account, title: title.to_owned() };
    assert_eq!(purposes, [purpose(mail(), "Mail"), purpose(inbox(), "Mail (shared-inbox)")]);
    assert!(!own.same_as(&shared));
    for token in [&own, &shared] {
        assert_eq!(tools(server.url(), token).await.unwrap(), 2);
    }
    let kept = desk.stored(Kind::Grant).await;
    let is_kept = |end: &str| kept.iter().any(|key| key.ends_with(end));
    assert!(kept.len() == 2 && is_kept(".mail.default") && is_kept(".mail.shared-inbox"), "{kept:?}");

    // Refused in the one's name, the other's token is no news.
    grants.rejected(&mail(), &shared, None).await;
    assert!(grants.bearer(&inbox(), Asking::Never).await.unwrap().same_as(&shared));
    grants.rejected(&inbox(), &shared, None).await;
    let renewed = called(&grants, &inbox()).await;
    assert!(!renewed.same_as(&shared));
    assert_eq!((idp.renewals(&Employee::alice()), idp.renewals(&Employee::bob())), (0, 1));
    assert!(grants.bearer(&mail(), Asking::Never).await.unwrap().same_as(&own));

    grants.sign_out(&inbox()).await.unwrap();
    assert_eq!(grants.watch().borrow()[&inbox()], GrantStatus::SignedOut);
    assert!(matches!(grants.watch().borrow()[&mail()], GrantStatus::SignedIn { .. }));
    grants.close().await;

    let again = desk.grants(&person).await;
    serve(&again, server.url(), &[mail(), inbox()]);
    let silent = again.bearer(&inbox(), Asking::Never).await.unwrap_err();
    assert_eq!(silent.kind, FaultKind::SignInNeeded);
    let own = again.bearer(&mail(), Asking::Never).await.unwrap();
    assert_eq!(tools(server.url(), &own).await.unwrap(), 2, "nobody told the server that this one is gone");
    assert_eq!(person.asked(), 2);
    again.close().await;
}

#[tokio::test]
async fn an_account_that_nothing_uses_is_not_to_be_had_and_comes_back_as_it_was() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url, &[mail(), inbox()]);
    let shared = called(&grants, &inbox()).await;

    serve(&grants, &server.url, &[mail()]);

    assert!(!grants.watch().borrow().contains_key(&inbox()));
    let gone = grants.bearer(&inbox(), Asking::Allowed).await.unwrap_err();
    assert!(matches!(gone.kind, FaultKind::NotOffered(_)), "{gone:?}");
    let own = grants.bearer(&mail(), Asking::Never).await.unwrap_err();
    assert_eq!(own.kind, FaultKind::SignInNeeded, "no other account stands in");
    serve(&grants, &server.url, &[mail(), inbox()]);
    assert!(grants.bearer(&inbox(), Asking::Never).await.unwrap().same_as(&shared));
    assert_eq!(person.asked(), 1);
    grants.close().await;
}

/// A browser that knows the person by one account must not be taken for the other.
#[tokio::test]
async fn whose_account_it_is_to_be_is_asked_where_there_may_be_several() {
    let select = |metadata: &mut serde_json::Value| {
        metadata["prompt_values_supported"] = json!(["none", "login", "select_account"]);
    };
    let bends =
        [(Bend::default(), "login"), (Bend { metadata: select, ..Bend::default() }, "select_account")];
    for (bend, word) in bends {
        let server = Server::start(bend).await;
        let cases: [(&[AccountId], AccountId, Option<&str>); 3] = [
            (&[mail()], mail(), None),
            (&[inbox()], inbox(), Some(word)),
            (&[mail(), inbox()], mail(), Some(word)),
        ];
        for (served, account, asks) in cases {
            let desk = Desk::new();
            let person = Arc::new(Someone::who(server.authorize()));
            let grants = desk.grants(&person).await;
            serve(&grants, &server.url, served);
            grants.bearer(&account, Asking::Allowed).await.unwrap();
            let asked = parameters(&person.requests()[0].authorize_url);
            assert_eq!(asked.get("prompt").map(String::as_str), asks, "{account} of {served:?}");
            grants.close().await;
        }
    }
}
