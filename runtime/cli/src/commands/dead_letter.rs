//! `kontor dead-letter`

use kontor_server::api::DeadLetter;
use serde_json::{Value, json};

use crate::args::DeadLetterCommand;
use crate::connection::Connection;
use crate::failure::Result;
use crate::output::{Output, table};

pub(crate) async fn run(command: DeadLetterCommand, connection: &Connection, output: &Output) -> Result<()> {
    let path = format!("{}/dead-letters", connection.merchant_path().await?);
    match command {
        DeadLetterCommand::List => {
            let letters: Vec<DeadLetter> = connection.client().get(&path).await?;
            output.result(&letters, || {
                if letters.is_empty() {
                    return "no dead letters".into();
                }
                let rows: Vec<Vec<String>> = letters
                    .iter()
                    .map(|letter| {
                        let key = letter.key.clone().unwrap_or_default();
                        vec![
                            letter.id.clone(),
                            letter.plugin.clone(),
                            letter.name.clone(),
                            key,
                            letter.attempts.to_string(),
                            letter.error.clone(),
                        ]
                    })
                    .collect();
                table(&["ID", "PLUGIN", "EVENT OR JOB", "KEY", "ATTEMPTS", "ERROR"], &rows)
            });
        }
        DeadLetterCommand::Replay { id } => {
            let _: Value = connection.client().post(&format!("{path}/{id}/replay"), &json!({})).await?;
            output.result(&json!({ "replayed": id }), || format!("queued {id} again"));
        }
        DeadLetterCommand::Discard { id } => {
            connection.client().delete(&format!("{path}/{id}")).await?;
            output.result(&json!({ "discarded": id }), || format!("forgot {id}"));
        }
    }
    Ok(())
}
