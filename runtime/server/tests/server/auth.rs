//! Who may call what.

use kontor_server::api::TokenKind;
use reqwest::{Method, StatusCode};

use crate::kit::{answered, bare_host, host};

#[tokio::test]
async fn token_routes_want_a_token_with_the_scope() {
    let host = host().await;
    host.create_merchant("other").await;
    let good = host.token("m", TokenKind::Token, &["feed:read"]).await.secret;
    let wrong_scope = host.token("m", TokenKind::Token, &["feed:write"]).await.secret;
    let elsewhere = host.token("other", TokenKind::Token, &["feed:read"]).await.secret;
    let mut forged = good.clone();
    forged.replace_range(forged.len() - 4.., "AAAA");
    for (token, expected, code) in [
        (Some(&good), 200, ""),
        (None, 401, "unauthenticated"),
        (Some(&forged), 401, "unauthenticated"),
        (Some(&elsewhere), 401, "unauthenticated"),
        (Some(&wrong_scope), 403, "missing-scope"),
    ] {
        let request = host.get("/m/m/p/feed");
        let request = token.map_or(request.try_clone().unwrap(), |t| request.bearer_auth(t));
        let (status, body) = answered(request).await;
        assert_eq!(status.as_u16(), expected, "{token:?} {body}");
        if code.is_empty() {
            assert_eq!(body["actor"], "Token(\"Kim\")");
            assert!(!body["headers"].to_string().contains("authorization"), "{body}");
        } else {
            assert_eq!(body["code"], code);
        }
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once_and_secrets_are_shown_once() {
    let host = host().await;
    let created = host.token("m", TokenKind::Token, &["feed:read"]).await;
    let (_, list) = host.api(Method::GET, "/merchants/m/tokens", None).await;
    assert_eq!(list[0]["id"], created.token.id.as_str());
    assert!(!list.to_string().contains(&created.secret));
    let secret_part = created.secret.rsplit('_').next().unwrap();
    assert!(!list.to_string().contains(secret_part));

    let stored = host.host.machine().host_list(Some(&"m".to_owned().try_into().unwrap()), "token/").await.unwrap();
    assert_eq!(stored.len(), 1);
    assert!(!String::from_utf8_lossy(&stored[0].1).contains(secret_part), "only a hash is stored");

    let path = format!("/merchants/m/tokens/{}", created.token.id);
    assert_eq!(host.api(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(host.api(Method::DELETE, &path, None).await.0, StatusCode::NOT_FOUND);
    let (status, _) = answered(host.get("/m/m/p/feed").bearer_auth(&created.secret)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn staff_sign_in_with_their_token_and_only_from_this_site() {
    let host = host().await;
    let staff = host.token("m", TokenKind::Staff, &["desk:*"]).await.secret;
    let program = host.token("m", TokenKind::Token, &["desk:*"]).await.secret;
    let origin = host.url("");

    let page = host.get("/m/m/p/desk?x=1").header("accept", "text/html").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::SEE_OTHER);
    assert_eq!(page.headers()["location"], "/m/m/sign-in?next=%2Fm%2Fm%2Fp%2Fdesk%3Fx%3D1");
    assert_eq!(answered(host.get("/m/m/p/desk")).await.1["code"], "unauthenticated");
    assert_eq!(answered(host.get("/m/m/p/desk").bearer_auth(&program)).await.0, StatusCode::UNAUTHORIZED);

    let sign_in = |token: &str, origin: &str| {
        let form = [("token", token), ("next", "/m/m/p/desk?x=1")];
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        host.post("/m/m/sign-in")
            .header("origin", origin)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    assert_eq!(answered(sign_in(&staff, "https://evil.example")).await.0, StatusCode::FORBIDDEN);
    assert_eq!(answered(sign_in(&program, &origin)).await.0, StatusCode::UNAUTHORIZED);
    let signed_in = sign_in(&staff, &origin).send().await.unwrap();
    assert_eq!(signed_in.status(), StatusCode::SEE_OTHER);
    assert_eq!(signed_in.headers()["location"], "/m/m/p/desk?x=1");
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/m/m"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let pair = cookie.split(';').next().unwrap().to_owned();

    let (status, body) = answered(host.get("/m/m/p/desk").header("cookie", format!("{pair}; a=1"))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["actor"], "Staff(\"Kim\")");
    assert_eq!(body["scopes"][0], "desk:*");
    assert!(!body["headers"].to_string().contains("kontor_staff"), "{body}");
    assert!(body["headers"].to_string().contains("a=1"), "{body}");

    let post = |origin: Option<&str>| {
        let request = host.post("/m/m/p/desk").header("cookie", &pair);
        origin.map_or(request.try_clone().unwrap(), |o| request.header("origin", o))
    };
    assert_eq!(answered(post(Some(&origin))).await.0, StatusCode::OK);
    assert_eq!(answered(post(Some("https://evil.example"))).await.1["code"], "cross-site-request");
    assert_eq!(answered(post(None)).await.1["code"], "cross-site-request");
}

#[tokio::test]
async fn customers_are_told_that_nobody_signs_them_in() {
    let host = host().await;
    let (status, body) = answered(host.get("/m/m/p/mine")).await;
    assert_eq!((status, body["code"].as_str().unwrap()), (StatusCode::UNAUTHORIZED, "customer-sign-in-unavailable"));
}

#[tokio::test]
async fn the_control_api_is_for_admins() {
    let host = bare_host(|_| {}).await;
    host.create_merchant("m").await;
    let staff = host.token("m", TokenKind::Staff, &["*"]).await.secret;
    assert_eq!(answered(host.get("/api/v1/merchants")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(answered(host.get("/api/v1/merchants").bearer_auth(&staff)).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(host.host.first_admin_token(), Some(host.admin.as_str()));

    let (status, created) = host.api(Method::POST, "/tokens", Some(serde_json::json!({"name": "deploy"}))).await;
    assert_eq!(status, StatusCode::CREATED);
    let second = created["secret"].as_str().unwrap();
    assert_eq!(answered(host.get("/api/v1/merchants").bearer_auth(second)).await.0, StatusCode::OK);
    let path = format!("/tokens/{}", created["token"]["id"].as_str().unwrap());
    assert_eq!(host.api(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(answered(host.get("/api/v1/merchants").bearer_auth(second)).await.0, StatusCode::UNAUTHORIZED);

    let (status, body) =
        host.api(Method::POST, "/merchants/m/tokens", Some(serde_json::json!({"name": "x", "kind": "admin"}))).await;
    assert_eq!((status, body["code"].as_str().unwrap()), (StatusCode::BAD_REQUEST, "invalid-request"));
}

#[cfg(unix)]
#[tokio::test]
async fn the_first_admin_token_is_for_the_owners_eyes() {
    use std::os::unix::fs::PermissionsExt as _;
    let data = tempfile::tempdir().unwrap();
    let mut options = kontor_server::HostOptions::new(data.path());
    options.store = kontor_server::EngineKind::Memory;
    let _host = crate::kit::start(options, data.path()).await;
    let mode = std::fs::metadata(data.path().join("admin-token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
