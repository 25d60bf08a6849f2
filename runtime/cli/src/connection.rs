//! Finds the host that a command talks to: the one at `--url`, the one that runs on the data directory, or one started for this
//! command alone. Either way the command uses the control API.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kontor_server::api::{CreatedToken, Merchant, NewToken, TokenKind};
use kontor_server::{Host, HostOptions, RunningHost};
use serde::{Deserialize, Serialize};

use crate::args::ConnectionArguments;
use crate::client::Client;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// In the data directory while a host runs: where it listens.
const RUNNING_FILE: &str = "host.json";
/// In the data directory: the first admin token.
const TOKEN_FILE: &str = "admin-token";

#[derive(Debug, Deserialize, Serialize)]
struct Running {
    url: String,
    pid: u32,
}

/// A host to talk to.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    merchant: Option<String>,
    /// Started for this command.
    own: Option<RunningHost>,
}

impl Connection {
    pub(crate) async fn open(arguments: ConnectionArguments, output: &Output) -> Result<Self> {
        let directory = &arguments.data_dir;
        let token = |given: Option<String>| match given {
            Some(token) => Ok(token),
            None => read_token(directory),
        };
        if let Some(url) = &arguments.url {
            let client = Client::new(url, &token(arguments.token)?)?;
            return Ok(Self { client, merchant: arguments.merchant, own: None });
        }
        if let Some(url) = running(directory).await {
            let client = Client::new(&url, &token(arguments.token)?)?;
            return Ok(Self { client, merchant: arguments.merchant, own: None });
        }
        if !directory.exists() {
            output.say(format!("no host runs on {}; starting a new one there for this command", directory.display()));
        }
        let mut options = HostOptions::new(directory);
        options.code_cache_dir = arguments.code_cache;
        options.dev_mode = true;
        let host = start(options).await?;
        let client = Client::new(&url_of(&host), &token(arguments.token)?)?;
        Ok(Self { client, merchant: arguments.merchant, own: Some(host) })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The merchant that was named, or the only one there is.
    pub(crate) async fn merchant(&self) -> Result<String> {
        if let Some(named) = &self.merchant {
            return Ok(named.clone());
        }
        let merchants: Vec<Merchant> = self.client.get("/api/v1/merchants").await?;
        match merchants.as_slice() {
            [only] => Ok(only.id.clone()),
            [] => Err(Failure::new("no-merchant", "there is no merchant yet: kontor merchant create ID")),
            several => {
                let ids: Vec<&str> = several.iter().map(|merchant| merchant.id.as_str()).collect();
                Err(Failure::new(
                    "which-merchant",
                    format!("name the merchant with --merchant; there are: {}", ids.join(", ")),
                ))
            }
        }
    }

    /// `/api/v1/merchants/{merchant}`
    pub(crate) async fn merchant_path(&self) -> Result<String> {
        Ok(format!("/api/v1/merchants/{}", self.merchant().await?))
    }

    pub(crate) async fn create_token(
        &self,
        name: &str,
        scopes: &[&str],
        staff: bool,
        lifetime: Option<Duration>,
    ) -> Result<CreatedToken> {
        let ends = lifetime.and_then(|lifetime| (SystemTime::now() + lifetime).duration_since(UNIX_EPOCH).ok());
        let token = NewToken {
            name: name.to_owned(),
            kind: if staff { TokenKind::Staff } else { TokenKind::Token },
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            expires_at_ms: ends.and_then(|ends| u64::try_from(ends.as_millis()).ok()),
        };
        self.client.post(&format!("{}/tokens", self.merchant_path().await?), &token).await
    }

    /// Revokes a token that a command made for itself; the command's own result matters more than this.
    pub(crate) async fn revoke_token(&self, id: &str) {
        if let Ok(path) = self.merchant_path().await {
            let _ = self.client.delete(&format!("{path}/tokens/{id}")).await;
        }
    }

    pub(crate) async fn close(self) {
        if let Some(host) = self.own {
            host.shutdown().await;
        }
    }
}

/// Starts a host and says in its directory where it listens.
pub(crate) async fn start(options: HostOptions) -> Result<RunningHost> {
    Host::start(options).await.map_err(|error| Failure::new(error.code(), error.to_string()))
}

/// Where a host is reached from this machine.
pub(crate) fn url_of(host: &RunningHost) -> String {
    let address = host.address();
    if address.ip().is_unspecified() {
        format!("http://127.0.0.1:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

/// Notes in the data directory that a host runs there; the note is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct RunningNote(PathBuf);

impl RunningNote {
    pub(crate) fn write(directory: &Path, url: &str) -> Result<Self> {
        let path = directory.join(RUNNING_FILE);
        let note = serde_json::to_vec(&Running { url: url.to_owned(), pid: std::process::id() }).unwrap_or_default();
        fs::write(&path, note).map_err(|error| Failure::file("write", &path, error))?;
        Ok(Self(path))
    }
}

impl Drop for RunningNote {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The address of the host that runs on `directory`, if one answers there. A note that a killed host left is no host.
async fn running(directory: &Path) -> Option<String> {
    let note: Running = serde_json::from_slice(&fs::read(directory.join(RUNNING_FILE)).ok()?).ok()?;
    let client = Client::new(&note.url, "").ok()?;
    client.answers().await.then_some(note.url)
}

pub(crate) fn read_token(directory: &Path) -> Result<String> {
    let path = directory.join(TOKEN_FILE);
    let text = fs::read_to_string(&path).map_err(|error| {
        Failure::new(
            "no-token",
            format!(
                "no admin token: give --token or KONTOR_TOKEN, or run where {} can be read ({error})",
                path.display()
            ),
        )
    })?;
    Ok(text.trim().to_owned())
}
