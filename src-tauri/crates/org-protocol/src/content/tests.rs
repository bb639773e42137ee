//! What fits together, and what is refused.

use super::*;

#[test]
fn a_credential_fits_together_and_fits_its_connector() {
    let check = |at: &str, credential: &str| {
        let text = format!(r#"{{"title":"T",{at},"credential":{credential}}}"#);
        serde_json::from_str::<ConnectorSpec>(&text).expect(credential).check_credential()
    };
    let (url, command) = (r#""url":"https://mcp.example/""#, r#""command":["mcp"]"#);
    let redirects = r#""redirect_uris":["http://127.0.0.1:8400/callback"]"#;
    let oauth = |more: &str| format!(r#"{{"kind":"user_oauth",{more}}}"#);
    assert_eq!(check(url, &oauth(&format!(r#""client_id":"c",{redirects}"#))), Ok(()));
    assert_eq!(check(url, &oauth(redirects)), Err(CredentialFault::RedirectOfNobody));
    assert_eq!(check(url, &oauth(r#""client_secret":"s""#)), Err(CredentialFault::SecretOfNobody));
    for of_requests in [
        r#"{"kind":"user_token","header":"X-API-Key"}"#,
        r#"{"kind":"client_credentials","client_id":"c","authentication":"private_key_jwt"}"#,
        r#"{"kind":"enterprise","client_id":"c","or_ask":true}"#,
    ] {
        assert_eq!(check(url, of_requests), Ok(()));
        assert_eq!(check(command, of_requests), Err(CredentialFault::NoUrl));
    }
    for wrong in [
        r#"{"kind":"user_token","header":"Host"}"#,
        r#"{"kind":"client_credentials"}"#,
        r#"{"kind":"enterprise","client_id":"c","ask":true}"#,
    ] {
        assert!(serde_json::from_str::<CredentialSpec>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_tool_list_is_whole_unless_it_says_otherwise_in_known_words() {
    let server =
        |more: &str| serde_json::from_str::<ServerSpec>(&format!(r#"{{"title":"T","connectors":[]{more}}}"#));
    assert_eq!(server("").unwrap().tool_list, ToolList::Whole);
    assert_eq!(server(r#","tool_list":"search""#).unwrap().tool_list, ToolList::Search);
    for wrong in [r#","tool_list":"Search""#, r#","tool_list":true"#, r#","tool_lists":"search""#] {
        assert!(server(wrong).is_err(), "{wrong}");
    }
    let written = |more: &str| serde_json::to_string(&server(more).unwrap()).unwrap();
    assert!(!written("").contains("tool_list"), "older readers know nothing of it");
    assert!(written(r#","tool_list":"search""#).contains(r#""tool_list":"search""#));
}
