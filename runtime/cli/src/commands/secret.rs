//! `kontor secret`

use std::io::{IsTerminal, Read};

use kontor_server::api::{SecretInfo, SecretValue};
use serde_json::{Value, json};

use crate::args::SecretCommand;
use crate::connection::Connection;
use crate::failure::{Failure, Result};
use crate::output::{Output, table};

pub(crate) async fn run(command: SecretCommand, connection: &Connection, output: &Output) -> Result<()> {
    let merchant = connection.merchant_path().await?;
    match command {
        SecretCommand::Set { plugin, name } => {
            if std::io::stdin().is_terminal() {
                output.say(format!("type the secret {name} of {plugin}, then Enter and Ctrl-D:"));
            }
            let mut value = String::new();
            std::io::stdin()
                .read_to_string(&mut value)
                .map_err(|error| Failure::new("input", format!("cannot read the secret: {error}")))?;
            let value = value.trim_end_matches(['\r', '\n']).to_owned();
            if value.is_empty() {
                return Err(Failure::new("input", "the secret is empty: pass it on standard input"));
            }
            let path = format!("{merchant}/plugins/{plugin}/secrets/{name}");
            let _: Value = connection.client().put(&path, &SecretValue { value }).await?;
            output.result(&json!({ "plugin": plugin, "name": name, "set": true }), || {
                format!("set secret {name} of {plugin}")
            });
        }
        SecretCommand::Unset { plugin, name } => {
            connection.client().delete(&format!("{merchant}/plugins/{plugin}/secrets/{name}")).await?;
            output.result(&json!({ "plugin": plugin, "name": name, "set": false }), || {
                format!("forgot secret {name} of {plugin}")
            });
        }
        SecretCommand::List { plugin } => {
            let secrets: Vec<SecretInfo> =
                connection.client().get(&format!("{merchant}/plugins/{plugin}/secrets")).await?;
            output.result(&secrets, || {
                let rows: Vec<Vec<String>> = secrets
                    .iter()
                    .map(|s| vec![s.name.clone(), if s.set { "set" } else { "not set" }.into(), s.description.clone()])
                    .collect();
                table(&["SECRET", "", "MEANING"], &rows)
            });
        }
    }
    Ok(())
}
