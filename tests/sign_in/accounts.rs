//! Several accounts of one person at one connector, each used by the virtual servers that name it.

use std::collections::BTreeSet;

use testkit::Gateway;
use url::Url;

use super::*;

const SERVICE: &str = "
[servers.service]
title = \"Service desk\"
connectors = [\"mail\"]
accounts = { mail = \"shared-inbox\" }
";

const READ: &str = "list_messages";

/// Somebody who reads their own mail at the virtual server "desk", and a shared inbox at "service".
struct Reader {
    idp: Idp,
    /// It must outlive the gateway.
    _mail: Mail,
    gateway: Gateway,
    opened: Opened,
    browser: Browser,
    desk: Assistant,
    service: Assistant,
}

/// Lets an assistant in at a virtual server.
async fn assistant(gateway: &Gateway, server: &str) -> Assistant {
    gateway.offers(server).await.expect("offered");
    let token = gateway.connect(server, "Test").await.expect("let in").tokens.access_token;
    Assistant::new(gateway.url(server).expect("a URL"), Access::Bearer(token)).expect("an assistant")
}

/// Whose mail a call reads; nobody's where it is refused.
async fn reads(assistant: &Assistant) -> Option<String> {
    let transcript = assistant.run(None, &[Step::call(READ, json!({}))]).await.expect("connected");
    transcript.answers[0]["structuredContent"]["account"].as_str().map(str::to_owned)
}

impl Reader {
    /// Signed in with an own account from before there was a second one, and with the second one as somebody else.
    async fn signed_in(settings: &IdpSettings) -> Self {
        let idp = Idp::start(settings).await.expect("the identity provider starts");
        let mail = Mail::start(&idp).await.expect("the mail starts");
        let (gateway, mut opened) = at_mail(&mail).await;
        let mut browser = Browser::new(Employee::alice()).expect("a browser");
        let desk = let_in(&gateway).await;
        let (own, page) = tokio::join!(reads(&desk), async {
            let page = opened.next(SOON).await.expect("a page is opened");
            browser.sign_in_and_return(&page).await.expect("signed in");
            page
        });
        assert_eq!(own.as_deref(), Some("alice"), "{}", gateway.log());
        assert!(!asks_who(&page), "one account is no choice: {page}");

        let path = gateway.home().join("deskgate.toml");
        let settings = std::fs::read_to_string(&path).expect("settings");
        std::fs::write(&path, settings + SERVICE).expect("written");
        let service = assistant(&gateway, "service").await;
        let mut reader = Self { idp, _mail: mail, gateway, opened, browser, desk, service };
        reader.signs_in_at_service().await;
        reader
    }

    /// The first call at "service": the person signs in with the browser that knows them as somebody else.
    async fn signs_in_at_service(&mut self) {
        let Self { gateway, opened, browser, service, .. } = self;
        let (read, ()) = tokio::join!(reads(service), async {
            let page = opened.next(SOON).await.expect("a page is opened");
            let asked = gateway.deskgate(&["pending"]).await.expect("it runs");
            let asked = String::from_utf8_lossy(&asked.stdout).into_owned();
            assert!(asked.contains("Sign in to Connector mail (shared-inbox)"), "{asked}");
            assert!(asks_who(&page), "{page}");
            browser.hand_to(Employee::bob());
            browser.sign_in_and_return(&page).await.expect("signed in");
        });
        assert_eq!(read.as_deref(), Some("bob"), "{}", gateway.log());
    }

    async fn both_read(&self) {
        let (own, shared) = tokio::join!(reads(&self.desk), reads(&self.service));
        assert_eq!(
            (own.as_deref(), shared.as_deref()),
            (Some("alice"), Some("bob")),
            "{}",
            self.gateway.log()
        );
    }

    /// Waits until the state of both accounts is this.
    async fn shows(&self, own: &str, shared: &str) {
        let shown = until("the state of both accounts", SOON, async || {
            let status = self.gateway.deskgate_json(&["status"]).await.ok()?;
            let of = |id: &str| {
                let all = status["connectors"].as_array()?;
                all.iter().find(|connector| connector["id"] == id)?["status"].as_str().map(str::to_owned)
            };
            (of("mail")? == own && of("mail/shared-inbox")? == shared).then_some(())
        });
        shown.await.unwrap_or_else(|fault| panic!("{fault}\n{}", self.gateway.log()));
    }
}

/// Whether the provider is to ask who it is, whomever it knows (OpenID Connect Core 1.0, section 3.1.2.1).
fn asks_who(page: &Url) -> bool {
    page.query_pairs().any(|(name, value)| name == "prompt" && value.split(' ').any(|word| word == "login"))
}

#[tokio::test]
async fn a_virtual_server_uses_the_account_that_it_names_and_never_another() {
    let mut reader = Reader::signed_in(&IdpSettings::default()).await;
    assert_eq!(reader.idp.sign_ins(), ["alice", "bob"]);
    reader.both_read().await;
    reader.shows("ready", "ready").await;

    let status = reader.gateway.deskgate(&["status"]).await.expect("it runs");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    let (_, of_service) = status.split_once("Service desk").expect("it is shown");
    assert!(of_service.contains("Connector mail (shared-inbox): signed in"), "{status}");
    let of_desk = reader.desk.bearer().expect("a token").to_owned();
    let elsewhere = reader.gateway.url("service").expect("a URL");
    let elsewhere = Assistant::new(elsewhere, Access::Bearer(of_desk)).expect("an assistant");
    elsewhere.run(None, &[Step::ListTools]).await.expect_err("one virtual server's token is not the other's");

    let exported = reader.gateway.deskgate(&["audit", "export"]).await.expect("it runs");
    let exported = String::from_utf8_lossy(&exported.stdout).into_owned();
    let used = |server: &str| {
        let of = |line: &&str| line.contains(&format!("\"server\":\"{server}\""));
        let credential = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
            record["body"]["credential"].as_str().map(str::to_owned)
        };
        exported.lines().filter(of).filter_map(credential).collect::<BTreeSet<_>>()
    };
    assert_eq!(used("desk"), ["user".to_owned()].into(), "{exported}");
    assert_eq!(used("service"), ["user:shared-inbox".to_owned()].into(), "{exported}");
    let verified = reader.gateway.deskgate(&["audit", "verify"]).await.expect("it runs");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));

    reader.gateway.restart().await.expect("it comes back");
    reader.both_read().await;
    assert_eq!(reader.opened.all().len(), 2, "silently");

    // What the settings say holds from then on, with nobody asked and nothing begun anew.
    let path = reader.gateway.home().join("deskgate.toml");
    let settings = std::fs::read_to_string(&path).expect("settings");
    std::fs::write(&path, settings.replace("shared-inbox", "default")).expect("written");
    let own =
        until("the other account", SOON, async || (reads(&reader.service).await? == "alice").then_some(()));
    own.await.unwrap_or_else(|fault| panic!("{fault}\n{}", reader.gateway.log()));
    std::fs::write(&path, settings).expect("written");
    let shared =
        until("the account as before", SOON, async || (reads(&reader.service).await? == "bob").then_some(()));
    shared.await.unwrap_or_else(|fault| panic!("{fault}\n{}", reader.gateway.log()));
    assert_eq!(reader.opened.all().len(), 2, "silently");

    let unknown = reader.gateway.deskgate(&["sign-out", "mail/private"]).await.expect("it runs");
    let told = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(!unknown.status.success() && told.contains("mail, mail/shared-inbox"), "{told}");
    let out = reader.gateway.deskgate(&["sign-out", "mail/shared-inbox"]).await.expect("it runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    reader.shows("ready", "sign_in_needed").await;
    assert_eq!(reads(&reader.desk).await.as_deref(), Some("alice"), "hers is left alone");
    reader.signs_in_at_service().await;
    reader.both_read().await;
}

#[tokio::test]
async fn an_account_that_the_provider_ends_takes_no_other_with_it() {
    let settings = IdpSettings { access_token: Duration::from_secs(6), ..IdpSettings::default() };
    let reader = Reader::signed_in(&settings).await;
    let renewals = |person: Employee| reader.idp.renewals(&person);
    let renewed = until("a renewal of each", SOON, async || {
        reader.both_read().await;
        (renewals(Employee::alice()) > 0 && renewals(Employee::bob()) > 0).then_some(())
    });
    renewed.await.expect("each is renewed");

    reader.idp.disable(&Employee::bob()).await.expect("disabled");
    let own = renewals(Employee::alice());
    let ended = until("the end of the shared account", SOON, async || {
        let asked = reader.gateway.deskgate_json(&["status"]).await.ok()?;
        assert_eq!(reads(&reader.desk).await.as_deref(), Some("alice"), "{}", reader.gateway.log());
        let all = asked["connectors"].as_array()?;
        let shared = all.iter().find(|connector| connector["id"] == "mail/shared-inbox")?;
        (shared["status"] != "ready").then_some(())
    });
    ended.await.expect("it ends");
    let goes_on = until("one more renewal", SOON, async || {
        assert_eq!(reads(&reader.desk).await.as_deref(), Some("alice"), "{}", reader.gateway.log());
        (renewals(Employee::alice()) > own).then_some(())
    });
    goes_on.await.expect("hers is renewed all the same");
    assert_eq!(reader.opened.all().len(), 2, "nobody was asked");
}
