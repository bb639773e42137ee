//! The page as a browser sees it.

use model::{Approval, ApprovalRequest, BoxFuture, Consent, ConsentRequest};
use reqwest::header::{CONTENT_SECURITY_POLICY, HOST, LOCATION, ORIGIN};
use reqwest::{Client, StatusCode};
use secrecy::ExposeSecret as _;

use super::*;

type Act = Box<dyn Fn(SignInRequest) -> BoxFuture<'static, Result<SignInOutcome, PersonFault>> + Send + Sync>;

/// Somebody who does something at the page.
struct Somebody(Act);

impl Somebody {
    fn who<F>(act: impl Fn(SignInRequest, Client) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Url> + Send + 'static,
    {
        Self(Box::new(move |request| {
            let client =
                Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
            let acted = act(request, client);
            Box::pin(async move { Ok(SignInOutcome { redirected_to: acted.await }) })
        }))
    }
}

impl Person for Somebody {
    fn sign_in(&self, request: SignInRequest) -> BoxFuture<'_, Result<SignInOutcome, PersonFault>> {
        (self.0)(request)
    }

    fn consent(&self, _: ConsentRequest) -> BoxFuture<'_, Result<Consent, PersonFault>> {
        Box::pin(async { Err(PersonFault::Cancelled) })
    }

    fn approve(&self, _: ApprovalRequest) -> BoxFuture<'_, Result<Approval, PersonFault>> {
        Box::pin(async { Err(PersonFault::Cancelled) })
    }
}

fn entry() -> Entry {
    Entry {
        purpose: SignInPurpose::Connector { account: "mail".parse().unwrap(), title: "Mail".to_owned() },
        title: "Your token for <Mail>".to_owned(),
        words: vec!["Ask \"IT\" for one.".to_owned()],
        label: "Token".to_owned(),
        fits: |text| text.bytes().all(|byte| byte.is_ascii_graphic()),
        deadline: Duration::from_secs(60),
    }
}

/// The address of a button.
fn button(request: &SignInRequest, name: &str) -> Url {
    let mut url = request.authorize_url.clone();
    url.set_query(None);
    url.set_path(&format!("{}/{name}", request.authorize_url.path()));
    url
}

async fn typed_in(client: &Client, request: &SignInRequest, secret: &str) -> reqwest::Response {
    client.post(button(request, "enter")).form(&[("secret", secret)]).send().await.unwrap()
}

fn location(answer: &reqwest::Response) -> Url {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    Url::parse(answer.headers()[LOCATION].to_str().unwrap()).unwrap()
}

#[tokio::test]
async fn what_is_typed_comes_back_once_and_not_by_an_address() {
    let person = Somebody::who(async |request: SignInRequest, client: Client| {
        let page = client.get(request.authorize_url.clone()).send().await.unwrap();
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert_eq!(page.headers()["cache-control"], "no-store");
        let html = page.text().await.unwrap();
        assert!(
            html.contains("Your token for &lt;Mail&gt;") && html.contains("Ask &quot;IT&quot; for one."),
            "{html}"
        );
        assert!(!html.contains("<script"), "{html}");

        let back = location(&typed_in(&client, &request, " s3cret\n").await);
        assert!(!back.as_str().contains("s3cret"));

        assert_eq!(typed_in(&client, &request, "another").await.status(), StatusCode::NOT_FOUND, "once");
        let again = client.get(request.authorize_url.clone()).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_FOUND);
        back
    });
    let secret = typed(&person, &entry()).await.unwrap();
    assert_eq!(secret.expose_secret(), "s3cret");
}

#[tokio::test]
async fn only_the_page_s_own_form_is_taken() {
    let person = Somebody::who(async |request: SignInRequest, client: Client| {
        let port = request.authorize_url.port().unwrap();
        let enter = || client.post(button(&request, "enter")).form(&[("secret", "planted")]);
        let own = format!("http://127.0.0.1:{port}");
        for refused in [
            enter().header(HOST, format!("localhost:{port}")),
            enter().header(HOST, "evil.example"),
            enter().header(ORIGIN, "https://evil.example"),
            enter().header(ORIGIN, "null"),
            enter().header(ORIGIN, &own).header("sec-fetch-site", "cross-site"),
            client.get(button(&request, "enter")).query(&[("secret", "planted")]),
            client.post(format!("{own}/guessed/enter")).form(&[("secret", "planted")]),
            client.get(format!("{own}/")),
        ] {
            assert_eq!(refused.send().await.unwrap().status(), StatusCode::NOT_FOUND);
        }
        let back =
            enter().form(&[("secret", "own")]).header(ORIGIN, &own).header("sec-fetch-site", "same-origin");
        location(&back.send().await.unwrap())
    });
    assert_eq!(typed(&person, &entry()).await.unwrap().expose_secret(), "own");
}

#[tokio::test]
async fn what_cannot_be_it_is_said_at_once_and_asked_for_again() {
    let person = Somebody::who(async |request: SignInRequest, client: Client| {
        for wrong in ["", "   ", "two words", &"x".repeat(70_000)] {
            let again = typed_in(&client, &request, wrong).await;
            assert_eq!(again.status(), StatusCode::OK);
            assert!(again.text().await.unwrap().contains("role=\"alert\""), "{wrong:.20}");
        }
        location(&typed_in(&client, &request, "right").await)
    });
    assert_eq!(typed(&person, &entry()).await.unwrap().expose_secret(), "right");
}

#[tokio::test]
async fn whoever_cancels_and_whoever_makes_up_an_end_types_nothing() {
    let person = Somebody::who(async |request: SignInRequest, client: Client| {
        location(&client.post(button(&request, "cancel")).send().await.unwrap())
    });
    assert_eq!(typed(&person, &entry()).await.map(|_| ()), Err(FaultKind::Cancelled));

    let person = Somebody::who(async |request: SignInRequest, client: Client| {
        let mut back = location(&typed_in(&client, &request, "s3cret").await);
        let state =
            request.authorize_url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        back.query_pairs_mut().clear().append_pair("code", "made-up").append_pair("state", &state);
        back
    });
    assert_eq!(typed(&person, &entry()).await.map(|_| ()), Err(FaultKind::Mismatch("code".to_owned())));
}

#[tokio::test]
async fn the_page_is_gone_with_the_question() {
    let (told, page) = tokio::sync::oneshot::channel();
    let told = Mutex::new(Some(told));
    let person = Somebody(Box::new(move |request| {
        let _ = told.lock().unwrap().take().map(|told| told.send(request.authorize_url));
        Box::pin(async { Err(PersonFault::Deadline) })
    }));
    assert_eq!(typed(&person, &entry()).await.map(|_| ()), Err(FaultKind::Deadline));
    let refused = Client::new().get(page.await.unwrap()).send().await.unwrap_err();
    assert!(refused.is_connect(), "{refused}");
}
