//! A host with a runner whose "plugins" are plain Rust, packages that are JSON, and a client.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use kontor_core::effects::{OutboundError, OutboundRequest, OutboundResponse};
use kontor_core::executor::{Call, Executed, ExecutionError, Executor, HttpRequest, HttpResponse, Reply};
use kontor_core::ids::PluginId;
use kontor_core::limits::PluginLimits;
use kontor_core::revision::{PluginSpec, Revision, Route, RouteAuth};
use kontor_core::transaction::{LogLevel, Transaction};
use kontor_server::api::{
    Change, ChangeSet, CreatedToken, InstallChange, NewMerchant, NewToken, Package, PackageSignature, TokenKind,
};
use kontor_server::{
    EngineKind, Host, HostOptions, HostParts, HttpOutbound, PackageReader, PluginRunner, Refusal, RunnerStats,
    RunningHost, SystemEnvironment, Unpacked,
};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

/// A package in these tests: a spec, and who signed it.
pub(crate) fn package(spec: &PluginSpec, signature: PackageSignature) -> Vec<u8> {
    serde_json::to_vec(&json!({"spec": spec, "signature": signature})).unwrap()
}

#[derive(Debug)]
struct JsonReader;

impl PackageReader for JsonReader {
    fn read(&self, bytes: Vec<u8>) -> Result<Unpacked, String> {
        let package: Value = serde_json::from_slice(&bytes).map_err(|e| format!("this is no package: {e}"))?;
        let mut spec: PluginSpec = serde_json::from_value(package["spec"].clone()).map_err(|e| e.to_string())?;
        spec.digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        let signature = serde_json::from_value(package["signature"].clone()).map_err(|e| e.to_string())?;
        Ok(Unpacked { spec: Arc::new(spec), signature, wasm: Arc::new(bytes) })
    }
}

/// Runs "plugins" that answer by path. `/gate` waits until the test opens the gate.
#[derive(Debug)]
pub(crate) struct TestRunner {
    /// A permit for each execution that reached the gate.
    pub(crate) at_gate: Semaphore,
    /// A permit for each that may pass.
    pub(crate) gate: Semaphore,
}

impl Executor for TestRunner {
    fn execute<'a>(
        &'a self,
        _revision: Arc<Revision>,
        plugin: &'a PluginId,
        call: Call,
        mut transaction: Box<Transaction>,
    ) -> BoxFuture<'a, Executed> {
        Box::pin(async move {
            let result = match &call {
                Call::Http(request) => self.http(plugin, request, &mut transaction).await.map(Reply::Http),
                Call::Event(..) | Call::Job(_) => Ok(Reply::Done),
                Call::Migrate { .. } => Ok(Reply::Migrated(None)),
            };
            Executed { transaction, result, usage: Vec::new() }
        })
    }
}

impl TestRunner {
    async fn http(
        &self,
        plugin: &PluginId,
        request: &HttpRequest,
        tx: &mut Transaction,
    ) -> Result<HttpResponse, ExecutionError> {
        let host = |e: &dyn std::fmt::Display| ExecutionError::Host(e.to_string());
        match request.path.as_str() {
            "/count" => {
                let before = tx.get("t", b"n").await.map_err(|e| host(&e))?;
                let count = before.map_or(0, |v| v.first().copied().unwrap_or(0)) + 1;
                tx.put("t", b"n", vec![count]).map_err(|e| host(&e))?;
                tx.emit("test.counted.v1", "n", &json!({"count": count}).to_string()).map_err(|e| host(&e))?;
                tx.log(LogLevel::Info, "counted", vec![("count".to_owned(), count.to_string())]);
                Ok(text(200, &count.to_string()))
            }
            "/gate" => {
                self.at_gate.add_permits(1);
                self.gate.acquire().await.unwrap().forget();
                Ok(text(200, "passed"))
            }
            "/stop" => Err(ExecutionError::Stopped {
                plugin: plugin.clone(),
                code: "fuel-exhausted",
                message: "it computed for too long".to_owned(),
            }),
            "/panic" => panic!("a bug in the runner"),
            "/bad-status" => Ok(text(42, "")),
            "/fetch" => {
                let fetch = OutboundRequest {
                    method: "GET".to_owned(),
                    url: request.query.clone(),
                    headers: vec![("x-key".to_owned(), "{secret:key}".to_owned())],
                    body: Vec::new(),
                    timeout_ms: 5_000,
                };
                Ok(match boxed_fetch(tx, fetch).await {
                    Ok(OutboundResponse { status, body, .. }) => {
                        text(200, &format!("{status} {}", String::from_utf8_lossy(&body)))
                    }
                    Err(error) => text(200, &error.to_string()),
                })
            }
            "/page" => Ok(HttpResponse {
                status: 200,
                headers: vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())],
                body: b"<h1>page</h1>".to_vec(),
            }),
            _ => Ok(echo(request, tx)),
        }
    }
}

/// Boxed: of the unnamed future the compiler cannot tell that it is `Send` for every lifetime.
fn boxed_fetch(
    tx: &mut Transaction,
    request: OutboundRequest,
) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>> {
    Box::pin(tx.fetch(request))
}

fn text(status: u16, body: &str) -> HttpResponse {
    HttpResponse {
        status,
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: body.as_bytes().to_vec(),
    }
}

fn echo(request: &HttpRequest, tx: &Transaction) -> HttpResponse {
    let body = json!({
        "method": request.method, "path": request.path, "query": request.query, "headers": request.headers,
        "body": String::from_utf8_lossy(&request.body), "base_path": request.base_path,
        "actor": format!("{:?}", tx.actor()), "scopes": tx.scopes(), "revision": tx.revision().number,
    });
    HttpResponse {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_string().into_bytes(),
    }
}

impl PluginRunner for TestRunner {
    fn prepare(&self, spec: Arc<PluginSpec>, _wasm: Arc<Vec<u8>>) -> BoxFuture<'_, Result<(), Refusal>> {
        let refusal = spec.description.contains("unrunnable").then(|| Refusal {
            code: "import-refused".to_owned(),
            problems: vec!["it imports `wasi:filesystem/types`, which the host does not give".to_owned()],
        });
        Box::pin(async move { refusal.map_or(Ok(()), Err) })
    }

    fn check(&self, _revision: &Revision) -> Result<(), Refusal> {
        Ok(())
    }

    fn stats(&self) -> RunnerStats {
        RunnerStats::default()
    }

    fn executor(self: Arc<Self>) -> Arc<dyn Executor> {
        self
    }
}

/// A route.
pub(crate) fn route(method: &str, path: &str, auth: RouteAuth) -> Route {
    Route { method: method.to_owned(), path: path.to_owned(), auth, outbound: path == "/fetch", vary: None }
}

/// A plugin with the routes that [`TestRunner`] answers.
pub(crate) fn spec(id: &str, version: &str) -> PluginSpec {
    let public = || RouteAuth::Public;
    PluginSpec {
        id: PluginId::new(id).unwrap(),
        version: version.to_owned(),
        name: format!("Plugin {id}"),
        description: String::new(),
        publisher: "tests".to_owned(),
        digest: String::new(),
        provides: Vec::new(),
        requires: Vec::new(),
        emits: vec!["test.counted.v1".to_owned()],
        subscribes: Vec::new(),
        routes: vec![
            route("GET", "/", public()),
            route("GET", "/page", public()),
            route("POST", "/count", public()),
            route("GET", "/gate", public()),
            route("GET", "/stop", public()),
            route("GET", "/panic", public()),
            route("GET", "/bad-status", public()),
            route("GET", "/fetch", public()),
            route("GET", "/items/{id}", public()),
            route("POST", "/hook", RouteAuth::Webhook),
            route("GET", "/desk", RouteAuth::Staff("desk:use".to_owned())),
            route("POST", "/desk", RouteAuth::Staff("desk:use".to_owned())),
            route("GET", "/feed", RouteAuth::Token("feed:read".to_owned())),
            route("GET", "/mine", RouteAuth::Customer),
        ],
        jobs: Vec::new(),
        schedules: Vec::new(),
        outbound: Vec::new(),
        config_schema: None,
        secrets: Vec::new(),
        data_classes: Vec::new(),
        limits: PluginLimits::default(),
    }
}

/// A host that runs, and what a test needs to talk to it.
#[derive(Debug)]
pub(crate) struct TestHost {
    pub(crate) host: RunningHost,
    pub(crate) runner: Arc<TestRunner>,
    pub(crate) client: reqwest::Client,
    pub(crate) admin: String,
    _data: Option<tempfile::TempDir>,
}

/// A host on the memory store, in dev mode, with merchant `m` and plugin `p` installed.
pub(crate) async fn host() -> TestHost {
    let host = bare_host(|_| {}).await;
    host.create_merchant("m").await;
    host.install("m", &spec("p", "1.0.0")).await;
    host
}

/// A host without merchants.
pub(crate) async fn bare_host(adjust: impl FnOnce(&mut HostOptions)) -> TestHost {
    let data = tempfile::tempdir().unwrap();
    let mut options = HostOptions::new(data.path());
    options.store = EngineKind::Memory;
    options.dev_mode = true;
    adjust(&mut options);
    let mut host = start(options, data.path()).await;
    host._data = Some(data);
    host
}

/// A host on a directory that the test keeps.
pub(crate) async fn start(options: HostOptions, data: &Path) -> TestHost {
    let runner = Arc::new(TestRunner { at_gate: Semaphore::new(0), gate: Semaphore::new(0) });
    let parts = HostParts {
        runner: Arc::clone(&runner) as Arc<dyn PluginRunner>,
        reader: Arc::new(JsonReader),
        outbound: Arc::new(HttpOutbound::new().unwrap()),
        environment: Arc::new(SystemEnvironment),
        machine: kontor_core::machine::Options::default(),
    };
    let host = Host::start_with(options, parts).await.unwrap();
    let admin = std::fs::read_to_string(data.join("admin-token")).unwrap().trim().to_owned();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    TestHost { host, runner, client, admin, _data: None }
}

/// Status, and the body as JSON (or as a string).
pub(crate) type Answered = (StatusCode, Value);

impl TestHost {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host.address())
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// A call of the control API with the admin token.
    pub(crate) async fn api(&self, method: Method, path: &str, body: Option<Value>) -> Answered {
        let request = self.request(method, &format!("/api/v1{path}")).bearer_auth(&self.admin);
        answered(body.map_or(request.try_clone().unwrap(), |b| request.json(&b))).await
    }

    pub(crate) async fn create_merchant(&self, id: &str) {
        let body = serde_json::to_value(NewMerchant { id: id.to_owned(), name: None }).unwrap();
        let (status, answer) = self.api(Method::POST, "/merchants", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }

    /// Uploads a dev-signed package.
    pub(crate) async fn upload(&self, spec: &PluginSpec) -> Package {
        let (status, answer) = self.upload_bytes(package(spec, PackageSignature::Development)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        serde_json::from_value(answer).unwrap()
    }

    pub(crate) async fn upload_bytes(&self, bytes: Vec<u8>) -> Answered {
        let request = self.post("/api/v1/packages").bearer_auth(&self.admin);
        answered(request.header("content-type", "application/vnd.kontor.plugin").body(bytes)).await
    }

    pub(crate) async fn change(&self, merchant: &str, set: &ChangeSet) -> Answered {
        let body = serde_json::to_value(set).unwrap();
        self.api(Method::POST, &format!("/merchants/{merchant}/revisions"), Some(body)).await
    }

    pub(crate) async fn install(&self, merchant: &str, spec: &PluginSpec) -> Value {
        let digest = self.upload(spec).await.digest;
        let change = Change::Install(InstallChange { digest, ..InstallChange::default() });
        let (status, answer) =
            self.change(merchant, &ChangeSet { changes: vec![change], ..ChangeSet::default() }).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    pub(crate) async fn token(&self, merchant: &str, kind: TokenKind, scopes: &[&str]) -> CreatedToken {
        let scopes = scopes.iter().map(|s| (*s).to_owned()).collect();
        let new = NewToken { name: "Kim".to_owned(), kind, scopes, expires_at_ms: None };
        let body = serde_json::to_value(new).unwrap();
        let (status, answer) = self.api(Method::POST, &format!("/merchants/{merchant}/tokens"), Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        serde_json::from_value(answer).unwrap()
    }
}

/// Sends, and reads status and body.
pub(crate) async fn answered(request: RequestBuilder) -> Answered {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
