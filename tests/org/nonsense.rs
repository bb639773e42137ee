//! Whatever is sent to the control plane, it answers.

use super::*;

#[tokio::test]
async fn what_is_generated_from_its_own_description_breaks_nothing() {
    let mut acme = acme().await;
    let it = &acme.organisation;
    let description = it.config_url().join("openapi.json").expect("a URL");
    let examples = if testkit::full_size() { 200 } else { 20 };
    let sent = testkit::send_nonsense(&description, 11, examples, None).await;
    let said = sent.unwrap_or_else(|fault| panic!("{fault}\n{}", it.log())).said;
    let operations = said.lines().find_map(|line| line.trim().strip_prefix("Tested: "));
    let operations: usize = operations.and_then(|count| count.parse().ok()).expect("a count");
    assert!(operations > 20, "{said}");
    assert!(!it.log().contains(" status=500"), "{}", it.log());
    // And goes on serving.
    let status = it.control_json(&["status"]).await.expect("it answers");
    assert_eq!(status["org"], "acme");
    assert!(acme.organisation.process().expect("it runs").ended().expect("known").is_none());
}
