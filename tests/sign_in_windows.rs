//! Sign-in windows, as a person at a desk meets them.

use serde_json::json;
use testkit::{Access, Assistant, Desktop, Employee, Idp, IdpSettings, Mail, Opened, Step, until};
use url::Url;

use crate::common::{Personal, SOON, is_refused};
use crate::desktop::{start, token};
use crate::threats_to_secrets::Naming;

/// A desktop whose virtual server "desk" has somebody's mail.
async fn at_mail(mail: &Mail) -> Desktop {
    start(Personal::default().http_with_own_account("mail", mail.url()).server("desk", &["mail"])).await
}

/// An assistant that was let in there.
async fn let_in(desktop: &mut Desktop) -> Assistant {
    let token = token(desktop, "Test").await;
    let url = desktop.offers("desk").await.expect("offered");
    Assistant::new(url, Access::Bearer(token)).expect("an assistant")
}

/// The story "mail", at a desk.
#[tokio::test]
async fn the_first_call_opens_a_native_sign_in_window_and_later_ones_are_silent() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let mut desktop = at_mail(&mail).await;
    let assistant = let_in(&mut desktop).await;
    let call = [Step::call("list_messages", json!({}))];
    let (window, alice) = ("Sign in to Connector mail", Employee::alice());

    let person = async {
        desktop.sign_in(window, &alice).await.expect("signed in");
        desktop.screen().await.expect("a screen").gone(window).await.expect("the window closes by itself");
    };
    let (first, ()) = tokio::join!(assistant.run(None, &call), person);
    let first = first.expect("connected");
    assert_eq!(first.answers[0]["structuredContent"]["account"], "alice", "{first:?}");
    assert!(desktop.notifications().await.expect("a daemon").contains(&window.to_owned()));

    let second = assistant.run(None, &call).await.expect("connected");
    assert_eq!(second.answers[0]["structuredContent"]["account"], "alice");
    assert_eq!(idp.sign_ins(), ["alice"], "she was asked once");
}

/// Many providers know one person in a browser: whoever signs in as another is no longer the first, and single sign-on ends
/// with that.
#[tokio::test]
async fn a_sign_in_to_a_named_account_leaves_the_session_of_the_others_alone() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let (mail, notes) = tokio::join!(Mail::start(&idp), Mail::start(&idp));
    let (mail, notes) = (mail.expect("the mail starts"), notes.expect("another starts"));
    let personal = Personal::default()
        .http_with_own_account("mail", mail.url())
        .http_with_own_account("notes", notes.url())
        .server("desk", &["notes"])
        .server("office", &["mail"])
        .server_with("service", &["mail"], "accounts = { mail = \"shared-inbox\" }");
    let mut desktop = start(personal).await;
    let tray = desktop.tray().await.expect("a tray");
    let screen = desktop.screen().await.expect("a screen");
    for (window, person) in [
        ("Sign in to Connector mail", Employee::alice()),
        ("Sign in to Connector mail (shared-inbox)", Employee::bob()),
    ] {
        tray.choose(window).await.expect("chosen");
        desktop.sign_in(window, &person).await.expect("signed in");
        screen.gone(window).await.expect("the window closes by itself");
    }
    assert_eq!(idp.sign_ins(), ["alice", "bob"]);

    let assistant = let_in(&mut desktop).await;
    let call = [Step::call("list_messages", json!({}))];
    let allowed = screen.press("Sign in to Connector notes", "Allow");
    let (read, allowed) = tokio::join!(assistant.run(None, &call), allowed);
    allowed.expect("she is known");
    let read = read.expect("connected");
    assert_eq!(read.answers[0]["structuredContent"]["account"], "alice", "her session goes on: {read:?}");
    assert_eq!(idp.sign_ins(), ["alice", "bob"]);
}

#[tokio::test]
async fn a_sign_in_window_that_is_closed_gives_the_sign_in_up() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let mut desktop = at_mail(&mail).await;
    let assistant = let_in(&mut desktop).await;
    let call = [Step::call("list_messages", json!({}))];
    let window = "Sign in to Connector mail";

    let person = async {
        let screen = desktop.screen().await.expect("a screen");
        screen.shows(window, "Password").await.expect("the provider's page is there");
        desktop.close_window(window).await.expect("closed");
    };
    let (refused, ()) = tokio::join!(assistant.run(None, &call), person);
    let refused = refused.expect("connected");
    assert!(is_refused(&refused.answers[0]), "{refused:?}");
    assert_eq!(idp.sign_ins(), Vec::<String>::new());
}

#[tokio::test]
async fn a_sign_in_that_was_given_up_is_offered_again_by_tray_and_notification() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let mut desktop = at_mail(&mail).await;
    let (window, offer) = ("Sign in to Connector mail", "You are not signed in to Connector mail");
    let tray = desktop.tray().await.expect("a tray");
    tray.choose(window).await.expect("chosen");
    let screen = desktop.screen().await.expect("a screen");
    screen.shows(window, "Password").await.expect("the provider's page is there");
    desktop.close_window(window).await.expect("closed");

    screen.gone(window).await.expect("the window is closed");
    tray.entry(window).await.expect("the tray goes on to offer it");
    // A click on the notification, which takes the place of the one that spoke of the window.
    until("the window again", SOON, async || {
        desktop.click_notification().await.ok()?;
        desktop.windows().await.ok()?.iter().any(|title| title.starts_with(window)).then_some(())
    })
    .await
    .expect("a click asks again");
    desktop.sign_in(window, &Employee::alice()).await.expect("signed in");
    screen.gone(window).await.expect("the window closes by itself");
    until("no offer on the screen", SOON, async || {
        (desktop.displayed_notifications().await.ok()? == 0).then_some(())
    })
    .await
    .expect("what is done is not offered");
    let told = desktop.notifications().await.expect("a daemon");
    assert_eq!(told.iter().filter(|title| *title == offer).count(), 1, "it was offered once: {told:?}");
    assert_eq!(idp.sign_ins(), ["alice"]);
}

#[tokio::test]
async fn a_sign_in_that_leads_to_a_provider_without_windows_goes_on_in_the_browser() {
    let naming = Naming::start(vec!["{base}/leads/google".to_owned()]).await;
    let mut opened = Opened::new().expect("a browser opener");
    let connector = Url::parse(&format!("{}/mcp/0", naming.base)).expect("a URL");
    let personal = Personal::default().http_with_own_account("mail", &connector).server("desk", &["mail"]);
    let mut desktop = start(personal.browser(&opened)).await;
    let window = "Sign in to Connector mail";
    let tray = desktop.tray().await.expect("a tray");
    tray.choose(window).await.expect("chosen");

    let page = opened.next(SOON).await.expect("a page is opened in the browser");
    assert_eq!(page.path(), "/leads/google", "the same attempt, from its start: {page}");
    let screen = desktop.screen().await.expect("a screen");
    screen.gone(window).await.expect("the window is closed");
    tray.entry(&format!("{window}…")).await.expect("it still waits");
    let parameter = |name: &str| {
        let found = page.query_pairs().find(|(known, _)| known == name).expect("a parameter");
        found.1.into_owned()
    };
    let mut back = Url::parse(&parameter("redirect_uri")).expect("a URL");
    back.query_pairs_mut().append_pair("error", "access_denied").append_pair("state", &parameter("state"));
    let answer = reqwest::get(back).await.expect("the redirect is waited for");
    assert!(answer.text().await.expect("a page").contains("You are not signed in"));
    assert_eq!(opened.all().len(), 1, "it was opened once");
}

#[tokio::test]
async fn one_sign_in_at_the_provider_serves_every_connector() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let (mail, post) = (Mail::start(&idp).await.expect("mail"), Mail::start(&idp).await.expect("more mail"));
    let personal = Personal::default()
        .http_with_own_account("mail", mail.url())
        .http_with_own_account("post", post.url())
        .server("desk", &["mail", "post"]);
    let mut desktop = start(personal).await;
    let tray = desktop.tray().await.expect("a tray");

    tray.choose("Sign in to Connector mail").await.expect("chosen");
    desktop.sign_in("Sign in to Connector mail", &Employee::alice()).await.expect("signed in");
    let screen = desktop.screen().await.expect("a screen");
    screen.gone("Sign in to Connector mail").await.expect("the window closes");
    tray.choose("Sign in to Connector post").await.expect("chosen");
    screen.press("Sign in to Connector post", "Allow").await.expect("only asked to agree");
    screen.gone("Sign in to Connector post").await.expect("the window closes");

    assert_eq!(idp.sign_ins(), ["alice"], "the password was typed once");
}

/// The page that asks is Deskgate's own, and the window an ordinary sign-in window.
#[tokio::test]
async fn a_token_is_typed_in_a_native_window_and_the_call_goes_on() {
    let mail = Mail::start_with_tokens(None, &[("key-of-alice", &Employee::alice())])
        .await
        .expect("the mail starts");
    let how = format!("url = {:?}\ncredential = {{ kind = \"user_token\" }}", mail.url().as_str());
    let mut desktop = start(Personal::default().connector("mail", &how).server("desk", &["mail"])).await;
    let assistant = let_in(&mut desktop).await;
    let call = [Step::call("list_messages", json!({}))];
    let window = "Sign in to Connector mail";

    let person = async {
        let screen = desktop.screen().await.expect("a screen");
        screen.fill(window, &[("Access token or API key", "key-of-alice")]).await.expect("typed");
        screen.press(window, "Save").await.expect("pressed");
        screen.gone(window).await.expect("the window closes by itself");
    };
    let (first, ()) = tokio::join!(assistant.run(None, &call), person);
    let first = first.expect("connected");
    assert_eq!(first.answers[0]["structuredContent"]["account"], "alice", "{first:?}");
}
