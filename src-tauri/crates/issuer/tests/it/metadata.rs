use issuer::{Route, TokenFault};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn the_server_document_says_what_is_supported() {
    let world = world().await;
    let response = world.get(Route::Metadata, "").await;
    assert_eq!(response.status, 200);
    assert_eq!(
        document(&response),
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "http://127.0.0.1:7717/oauth/authorize",
            "token_endpoint": "http://127.0.0.1:7717/oauth/token",
            "registration_endpoint": "http://127.0.0.1:7717/oauth/register",
            "revocation_endpoint": "http://127.0.0.1:7717/oauth/revoke",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "client_id_metadata_document_supported": true,
        })
    );
}

#[tokio::test]
async fn a_resource_document_names_exactly_its_resource() {
    let world = world().await;
    let response = world.get(Route::Resource(id("analyst")), "").await;
    assert_eq!(
        document(&response),
        json!({
            "resource": "http://127.0.0.1:7717/s/analyst/mcp",
            "resource_name": "The analyst",
            "authorization_servers": [ISSUER],
            "scopes_supported": ["server:analyst"],
            "bearer_methods_supported": ["header"],
        })
    );
    assert_eq!(world.get(Route::Resource(id("absent")), "").await.status, 404);
}

#[tokio::test]
async fn the_challenge_leads_to_the_resource_document() {
    let world = world().await;
    let found = "Bearer resource_metadata=\"http://127.0.0.1:7717/.well-known/oauth-protected-resource/s/analyst/mcp\", \
                 scope=\"server:analyst\"";
    assert_eq!(world.issuer.challenge(&id("analyst"), TokenFault::Missing), found);
    for fault in [
        TokenFault::Unknown,
        TokenFault::Expired,
        TokenFault::Audience,
        TokenFault::OtherPerson,
        TokenFault::SignedOut,
    ] {
        let challenge = world.issuer.challenge(&id("analyst"), fault);
        assert!(
            challenge.starts_with(&format!("{found}, error=\"invalid_token\", error_description=\"")),
            "{challenge}"
        );
        assert_eq!(challenge.matches('"').count(), 8, "no text breaks out of its quotes: {challenge}");
    }
}

#[test]
fn only_the_listed_paths_are_routes() {
    for (path, method) in [
        ("/.well-known/oauth-authorization-server", "GET"),
        ("/.well-known/oauth-protected-resource/s/analyst/mcp", "GET"),
        ("/oauth/authorize", "GET"),
        ("/oauth/register", "POST"),
        ("/oauth/token", "POST"),
        ("/oauth/revoke", "POST"),
    ] {
        let route = Route::of(path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!((route.path().as_str(), route.method()), (path, method));
    }
    for path in [
        "/",
        "/oauth",
        "/oauth/token/",
        "/oauth/Token",
        "//oauth/token",
        "/oauth/authorize/x",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/s/../mcp",
        "/.well-known/oauth-protected-resource/s/%61/mcp",
        "/.well-known/oauth-protected-resource/s//mcp",
        "/.well-known/oauth-protected-resource/s/analyst",
        "/.well-known/oauth-protected-resource/s/analyst/mcp/",
    ] {
        assert_eq!(Route::of(path), None, "{path}");
    }
}

#[tokio::test]
async fn every_route_answers_one_method_and_never_with_html_or_a_cacheable_answer() {
    let world = world().await;
    let routes = [
        Route::Metadata,
        Route::Resource(id("analyst")),
        Route::Register,
        Route::Authorize,
        Route::Token,
        Route::Revoke,
    ];
    for route in routes {
        for method in ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "get"] {
            let response = world.issuer.handle(request(route.clone(), method, None, None, "")).await;
            assert_eq!(response.status == 405, method != route.method(), "{method} {route:?}");
            assert_eq!(response.header("cache-control"), Some("no-store"), "{method} {route:?}");
            assert!(!response.header("content-type").unwrap().contains("html"), "{method} {route:?}");
            assert_eq!(response.header("access-control-allow-origin"), None, "{method} {route:?}");
        }
    }
    assert_eq!(world.times_asked(), 0);
}

#[tokio::test]
async fn a_long_body_is_refused() {
    let world = world().await;
    for route in [Route::Register, Route::Token, Route::Revoke] {
        let body = "a".repeat(Route::BODY_LIMIT + 1);
        let response =
            world.issuer.handle(request(route, "POST", None, Some("application/json"), &body)).await;
        assert_eq!(response.status, 413);
    }
}
