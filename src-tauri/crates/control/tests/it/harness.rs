//! A device that talks to a served organisation as a desktop does, by hand.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
pub(crate) use control::testing::ServedOrg as Org;
use control::testing::public_jwk;
use model::{CallId, DeviceId, Digest, Timestamp};
use org_protocol::dpop::{self, Fresh, Jwk, ProofFor};
use org_protocol::{
    BROKER_CONTEXT_HEADER, BROKER_FORMAT, BrokerContext, DeviceDescription, ENROL_PATH, EnrolAnswer,
    EnrolRequest, KeyProtection, NonceSeed, SESSION_FORMAT, SESSION_PATH, SessionAnswer, SessionRequest,
};
use os::Clock as _;
use p256::ecdsa::signature::Signer as _;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

pub(crate) fn now() -> Timestamp {
    os::SystemClock.now()
}

/// An organisation on the database that this program tests, published and with both accounts stored.
pub(crate) async fn served() -> Org {
    unpublished(None).await.begun().await
}

/// The same before anything is published.
pub(crate) async fn unpublished(otlp: Option<Url>) -> Org {
    Org::unpublished_on(crate::database().await, otlp).await
}

/// An enrolled device on which `user` has signed in.
pub(crate) async fn signed_in<'o>(org: &'o Org, user: &str, groups: &[&str]) -> Device<'o> {
    let mut device = Device::new(org);
    device.sign_in(user, groups).await;
    device
}

/// A desktop's side of the protocol, done by hand.
pub(crate) struct Device<'o> {
    pub(crate) org: &'o Org,
    pub(crate) key: p256::ecdsa::SigningKey,
    pub(crate) token: Option<String>,
    pub(crate) id: Option<DeviceId>,
    pub(crate) seed: NonceSeed,
    pub(crate) description: DeviceDescription,
    /// What came with the session before.
    pub(crate) secret: Option<String>,
    pub(crate) enrolment_token: Option<String>,
}

impl<'o> Device<'o> {
    pub(crate) fn new(org: &'o Org) -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("random numbers");
        let key = p256::ecdsa::SigningKey::from_slice(&bytes).expect("a scalar");
        let description = DeviceDescription {
            name: "laptop".to_owned(),
            platform: "linux".to_owned(),
            app_version: "0.1.0".to_owned(),
            content_formats: org_protocol::readable_formats(),
        };
        let seed = NonceSeed::from_bytes(bytes);
        Self { org, key, token: None, id: None, seed, description, secret: None, enrolment_token: None }
    }

    /// A computer with the same key and all that this one has kept.
    pub(crate) fn copy(&self) -> Self {
        let description = self.description.clone();
        let (seed, secret) = (self.seed.clone(), self.secret.clone());
        Self {
            org: self.org,
            key: self.key.clone(),
            token: None,
            id: self.id,
            seed,
            description,
            secret,
            enrolment_token: None,
        }
    }

    pub(crate) fn jwk(&self) -> Jwk {
        serde_json::from_value(public_jwk(&self.key)).expect("a key")
    }

    /// The nonce that binds this device's key.
    pub(crate) fn nonce(&self) -> String {
        self.seed.nonce(&self.jwk().thumbprint())
    }

    /// An ID token for this device.
    pub(crate) fn id_token(&self, user: &str, groups: &[&str]) -> String {
        self.org.idp.token(&self.org.idp.claims(user, groups, Some(&self.nonce()), now().seconds()))
    }

    pub(crate) fn proof(&self, method: &Method, url: &Url, token: Option<&str>) -> String {
        let mut jti = [0; 16];
        getrandom::fill(&mut jti).expect("random numbers");
        self.proof_with(method, url, token, &STANDARD.encode(jti))
    }

    pub(crate) fn proof_with(&self, method: &Method, url: &Url, token: Option<&str>, jti: &str) -> String {
        let proof_for = ProofFor { method: method.as_str(), url, access_token: token };
        let fresh = Fresh { jti, now: now(), nonce: None };
        dpop::prove(&self.jwk(), proof_for, fresh, |input| {
            let signature: p256::ecdsa::Signature = self.key.sign(input);
            Ok::<[u8; 64], std::convert::Infallible>(signature.to_bytes().into())
        })
        .expect("infallible")
    }

    /// A request with a proof and, where there is one, the session token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_through(self.org.running.address, method, path)
    }

    /// The same, where what stands in front of several control planes hands it to the one at `address`.
    pub(crate) fn request_through(&self, address: SocketAddr, method: Method, path: &str) -> RequestBuilder {
        let proof = self.proof(&method, &self.org.url(path), self.token.as_deref());
        self.request_with(address, method, path, proof)
    }

    /// The same with a proof that is there.
    pub(crate) fn request_with(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        proof: String,
    ) -> RequestBuilder {
        let url = format!("http://{address}/{path}");
        let request = reqwest::Client::new().request(method, url).header("dpop", proof);
        match &self.token {
            Some(token) => request.header("authorization", format!("DPoP {token}")),
            None => request,
        }
    }

    pub(crate) fn enrolment(&self, id_token: String) -> EnrolRequest {
        EnrolRequest {
            format: SESSION_FORMAT,
            id_token,
            nonce_seed: self.seed.clone(),
            id: self.id.unwrap_or_else(DeviceId::new),
            device: self.description.clone(),
            key_protection: Some(KeyProtection::Os),
            enrolment_token: self.enrolment_token.clone(),
        }
    }

    pub(crate) async fn enrol(&mut self, id_token: String) -> Result<DeviceId, (StatusCode, String)> {
        let body = self.enrolment(id_token);
        let answer = self.request(Method::POST, ENROL_PATH).json(&body).send().await.expect("answers");
        let answer: EnrolAnswer = read(answer).await?;
        self.id = Some(answer.device);
        Ok(answer.device)
    }

    pub(crate) async fn open_session(
        &mut self,
        id_token: String,
    ) -> Result<SessionAnswer, (StatusCode, String)> {
        let body = SessionRequest {
            format: SESSION_FORMAT,
            id_token,
            nonce_seed: self.seed.clone(),
            access_token: None,
            device: Some(self.description.clone()),
            secret: self.secret.clone(),
        };
        let answer = self.request(Method::POST, SESSION_PATH).json(&body).send().await.expect("answers");
        let answer: SessionAnswer = read(answer).await?;
        self.token = Some(answer.token.clone());
        self.secret = answer.next_secret.clone();
        Ok(answer)
    }

    pub(crate) async fn sign_in(&mut self, user: &str, groups: &[&str]) -> SessionAnswer {
        let id_token = self.id_token(user, groups);
        self.enrol(id_token.clone()).await.expect("enrols");
        self.open_session(id_token).await.expect("opens a session")
    }

    /// Calls a tool of the warehouse through the broker.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> (StatusCode, Value) {
        self.call_as(CallId::new(), tool, arguments).await
    }

    pub(crate) async fn call_as(&self, call: CallId, tool: &str, arguments: Value) -> (StatusCode, Value) {
        let context = context(call);
        let answer = self.calling(&context, tool, arguments).send().await.expect("answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// The request of a call that is yet to be sent.
    pub(crate) fn calling(&self, context: &BrokerContext, tool: &str, arguments: Value) -> RequestBuilder {
        self.calling_through(self.org.running.address, context, tool, arguments)
    }

    /// The same, at the control plane at `address`.
    pub(crate) fn calling_through(
        &self,
        address: SocketAddr,
        context: &BrokerContext,
        tool: &str,
        arguments: Value,
    ) -> RequestBuilder {
        self.request_through(address, Method::POST, "v1/broker/warehouse/mcp")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool)
            .header(BROKER_CONTEXT_HEADER, context.to_header())
            .header("content-type", "application/json")
            .body(modern("tools/call", json!({"name": tool, "arguments": arguments})).to_string())
    }
}

/// The context of a call by some assistant.
pub(crate) fn context(call: CallId) -> BrokerContext {
    BrokerContext {
        format: BROKER_FORMAT,
        call,
        server: "analyst".parse().expect("an id"),
        policy: Digest::of(b""),
        client_id: "client".to_owned(),
        client_name: "An assistant".to_owned(),
        program: None,
        approval: None,
    }
}

/// A request of MCP 2026-07-28.
pub(crate) fn modern(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

/// The answer, or its status and error code.
pub(crate) async fn read<T: serde::de::DeserializeOwned>(
    answer: Response,
) -> Result<T, (StatusCode, String)> {
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    if status.is_success() {
        Ok(serde_json::from_value(body).expect("the answer's form"))
    } else {
        Err((status, body["error"]["code"].as_str().expect("a code").to_owned()))
    }
}
