//! `kontor merchant`

use kontor_server::api::{Merchant, NewMerchant};

use crate::args::MerchantCommand;
use crate::connection::Connection;
use crate::failure::Result;
use crate::output::{Output, table};

pub(crate) async fn run(command: MerchantCommand, connection: &Connection, output: &Output) -> Result<()> {
    match command {
        MerchantCommand::Create { id, name } => {
            let merchant: Merchant = connection.client().post("/api/v1/merchants", &NewMerchant { id, name }).await?;
            output.result(&merchant, || {
                format!(
                    "created merchant {}; its addresses begin with {}/m/{}/",
                    merchant.id,
                    connection.client().base(),
                    merchant.id
                )
            });
        }
        MerchantCommand::List => {
            let merchants: Vec<Merchant> = connection.client().get("/api/v1/merchants").await?;
            output.result(&merchants, || {
                let rows: Vec<Vec<String>> =
                    merchants.iter().map(|m| vec![m.id.clone(), m.name.clone(), m.revision.to_string()]).collect();
                table(&["MERCHANT", "NAME", "REVISION"], &rows)
            });
        }
    }
    Ok(())
}
