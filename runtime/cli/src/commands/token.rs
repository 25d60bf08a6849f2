//! `kontor token`

use kontor_server::api::{Token, TokenKind};
use serde_json::json;

use crate::args::TokenCommand;
use crate::connection::Connection;
use crate::failure::Result;
use crate::output::{Output, table};

pub(crate) async fn run(command: TokenCommand, connection: &Connection, output: &Output) -> Result<()> {
    let path = format!("{}/tokens", connection.merchant_path().await?);
    match command {
        TokenCommand::Create { name, scopes, staff } => {
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            let created = connection.create_token(&name, &scopes, staff, None).await?;
            output.result(&created, || {
                format!(
                    "{}\n\nIt is shown this once. Revoke it with: kontor token revoke {}",
                    created.secret, created.token.id
                )
            });
        }
        TokenCommand::List => {
            let tokens: Vec<Token> = connection.client().get(&path).await?;
            output.result(&tokens, || {
                let rows: Vec<Vec<String>> = tokens
                    .iter()
                    .map(|token| {
                        let kind = match token.kind {
                            TokenKind::Admin => "admin",
                            TokenKind::Token => "token",
                            TokenKind::Staff => "staff",
                        };
                        vec![token.id.clone(), kind.into(), token.name.clone(), token.scopes.join(" ")]
                    })
                    .collect();
                table(&["ID", "KIND", "NAME", "SCOPES"], &rows)
            });
        }
        TokenCommand::Revoke { id } => {
            connection.client().delete(&format!("{path}/{id}")).await?;
            output.result(&json!({ "revoked": id }), || format!("revoked {id}"));
        }
    }
    Ok(())
}
