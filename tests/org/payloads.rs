//! An organisation's payload rules between an assistant, a mailbox and a database.

use super::*;

const IBAN: &str = "DE89370400440532013000";
const CARD: &str = "4111111111111111";

const RULES: &str = r#"
[payload.patterns.projects]
words = ["Blue Heron"]

[[payload.rule]]
id = "no-secrets"
direction = "request"
detect = ["secrets"]
action = "block"
reason = "Secrets stay here."

[[payload.rule]]
id = "no-accounts"
connectors = ["warehouse"]
direction = "response"
detect = ["personal_data.iban"]
action = "redact"

[[payload.rule]]
id = "no-cards"
connectors = ["mail"]
direction = "request"
detect = ["personal_data.payment_card"]
action = "redact"

[[payload.rule]]
id = "no-projects"
connectors = ["mail"]
direction = "response"
detect = ["pattern:projects"]
action = "block"
reason = "Unannounced projects stay in the mailbox."
"#;

/// A message from Alice to herself.
fn note(body: &str) -> Step {
    Step::call("send_message", json!({"to": "alice@acme.test", "subject": "Note", "body": body}))
}

#[tokio::test]
async fn what_passes_to_and_from_mailbox_and_database_is_what_the_rules_leave_of_it() {
    let acme = acme().await;
    let it = &acme.organisation;
    let mail =
        Mail::start_with_tokens(None, &[("key-of-alice", &Employee::alice())]).await.expect("a mailbox");
    it.publish(|folder| {
        let path = folder.join("org.toml");
        let text = std::fs::read_to_string(&path).expect("reads");
        std::fs::write(path, text + RULES).expect("writes");
        let how = format!(
            "title = \"Mail\"\nurl = {:?}\ncredential = {{ kind = \"user_token\" }}\n",
            mail.url().as_str()
        );
        std::fs::write(folder.join("connectors/mail.toml"), how).expect("writes");
    })
    .await
    .expect("published");
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let assistant = assistant(&gateway, "analyst").await;

    // The database answers the organisation's server, which takes the account out before the desktop sees it.
    let secret = ["gl", "pat-", "Zx8Qw3Lp5Vn2Km7Rt4Ys"].concat();
    let iban = format!("select '{}' || '{}' as account", &IBAN[..9], &IBAN[9..]);
    let steps = [sql(&iban), sql(&format!("select '{secret}' as token")), sql(VISITS)];
    let transcript = assistant.run(None, &steps).await.expect("connected");
    let [account, token, visits] = transcript.answers.as_slice() else { panic!("{transcript:?}") };
    assert!(account.to_string().contains("[redacted: no-accounts]"), "{account}\n{}", gateway.log());
    assert!(refusal_text(token).contains("no-secrets (Secrets stay here)"), "{token}");
    assert!(visits.to_string().contains("172"), "{visits}");

    // The mailbox gets no card, and what it has of a project stays there.
    let list = Step::call("list_messages", json!({}));
    let steps = [list.clone(), note(&format!("pay with {CARD} today")), list.clone()];
    let person = async {
        let page = opened.next(SOON).await.expect("a page is opened");
        let mut browser = Browser::new(Employee::alice()).expect("a browser");
        let back = browser.type_secret(&page, "key-of-alice").await.expect("taken");
        browser.open(&back).await.expect("the redirect listener answers");
    };
    let (sent, ()) = tokio::join!(assistant.run(None, &steps), person);
    let sent = sent.expect("connected");
    let listed = sent.answers[2].to_string();
    assert!(listed.contains("pay with [redacted: no-cards] today"), "{sent:?}\n{}", gateway.log());
    let steps = [note("Blue Heron is late"), list];
    let kept = assistant.run(None, &steps).await.expect("connected");
    assert!(!is_refused(&kept.answers[0]), "what may be sent is sent: {kept:?}");
    let words = kept.answers[1].to_string();
    assert!(words.contains("no-projects (Unannounced projects stay in the mailbox)"), "{words}");
    assert!(!words.contains("is late"), "{words}");

    // Both sides recorded what was found and where, and nobody what it was.
    let found = |records: &[serde_json::Value], rule: &str| {
        let has = |at: &serde_json::Value| at.to_string().contains(&format!("\"{rule}\""));
        let of = records
            .iter()
            .filter(|one| has(&one["body"]["payload"]) || has(&one["body"]["outcome"]["payload"]));
        of.map(|one| one["device"].to_string()).collect::<BTreeSet<_>>().len()
    };
    let records = until("all records", SOON, async || {
        let records = it.records(&[]).await.ok()?;
        (found(&records, "no-projects") > 0).then_some(records)
    });
    let records = records.await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    let of = ["no-secrets", "no-accounts", "no-cards", "no-projects"].map(|rule| found(&records, rule));
    assert_eq!(of, [1, 1, 1, 1], "each is recorded by whoever saw it: {records:#?}");
    let whole = format!("{records:?}{}{}{transcript:?}{sent:?}", gateway.log(), it.log());
    for canary in [&secret[8..], IBAN, CARD] {
        assert!(!whole.contains(canary), "{canary} is told");
    }
}
