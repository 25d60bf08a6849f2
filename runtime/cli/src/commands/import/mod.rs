//! `kontor import`: reads a file, sends its rows in chunks to the `importer` plugin, and reports what became of each. What rows
//! mean is the plugin's business; it also remembers which chunks are done, in the transaction that does them, so an import that was
//! killed goes on where it was and one that is run again changes nothing.

mod protocol;
mod source;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use self::protocol::{Begin, Begun, ChunkDone, Issues, Kinds, Rows, Summary};
use self::source::Source;
use crate::args::ImportArguments;
use crate::client::Client;
use crate::connection::Connection;
use crate::failure::{Failure, Result};
use crate::output::{Output, grouped, table};

/// How long a token lives that a killed command could not revoke. Longer than any import takes.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Chunks under way at once: one is being computed while the next is decoded and the last is written.
const CHUNKS_AT_ONCE: usize = 3;

pub(crate) async fn run(arguments: ImportArguments, connection: &Connection, output: &Output) -> Result<()> {
    let (client, prefix, token) = sign_in(connection).await?;
    let result = import(arguments, &client, &prefix, output).await;
    connection.revoke_token(&token).await;
    result
}

/// A token for the plugin's routes, for the time of this command.
async fn sign_in(connection: &Connection) -> Result<(Client, String, String)> {
    let merchant = connection.merchant().await?;
    let created = connection.create_token("kontor import", &["import:write"], false, Some(TOKEN_LIFETIME)).await?;
    let client = connection.client().with_token(&created.secret);
    Ok((client, format!("/m/{merchant}/importer/v1"), created.token.id))
}

async fn import(arguments: ImportArguments, client: &Client, prefix: &str, output: &Output) -> Result<()> {
    let kinds: Kinds = client.get(&format!("{prefix}/kinds")).await?;
    if arguments.kind == "list" {
        output.result(&kinds, || kinds.to_text());
        return Ok(());
    }
    let kind = kinds.find(&arguments.kind)?;
    let Some(path) = arguments.file.as_deref() else {
        return Err(Failure::new("usage", format!("name the file: kontor import {} FILE --map ...", arguments.kind)));
    };
    let spinner = output.spinner(&format!("reading {}", path.display()));
    let source = source::read(path, arguments.delimiter)?;
    spinner.finish_and_clear();

    let (map, options) = kind.settings(&arguments, &source.header)?;
    let begin = Begin {
        id: import_id(&arguments, &source, &map, &options),
        kind: arguments.kind.clone(),
        file_name: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        rows: source.rows.len() as u64,
        dry_run: arguments.dry_run,
        header: source.header.clone(),
        map: map.clone(),
        options,
    };
    let begun: Begun = client.post(&format!("{prefix}/imports"), &begin).await?;
    let here = format!("{prefix}/imports/{}", begin.id);
    if !begun.finished {
        send(source, &map, kind, &begun, client, &here, output).await?;
    }
    let mut summary: Summary = client.post(&format!("{here}/finish"), &serde_json::json!({})).await?;
    summary.already_done = begun.finished;

    let report =
        arguments.report.unwrap_or_else(|| PathBuf::from(format!("{}.{}.report.csv", begin.file_name, arguments.kind)));
    write_report(&report, client, &here, &mut summary).await?;
    output.result(&summary, || summary_text(&summary, &report));
    Ok(())
}

async fn send(
    source: Source,
    map: &[(String, String)],
    kind: &protocol::Kind,
    begun: &Begun,
    client: &Client,
    here: &str,
    output: &Output,
) -> Result<()> {
    let columns = kind.group_columns(map, &source.header);
    let total = source.rows.len() as u64;
    let chunks = source.chunks(&columns, kind.rows_per_chunk, kind.groups_per_chunk);
    let left: Vec<(usize, Vec<source::Row>)> =
        chunks.into_iter().enumerate().filter(|(number, _)| !begun.is_done(*number as u64)).collect();
    let todo: u64 = left.iter().map(|(_, rows)| rows.len() as u64).sum();
    if todo < total {
        output.say(format!("going on: {} of {} rows are done already", grouped(total - todo), grouped(total)));
    }
    let bar = output.bar("importing", total);
    bar.set_position(total - todo);
    stream::iter(left)
        .map(|(number, rows)| {
            let client = client.clone();
            async move {
                let sent = rows.len() as u64;
                let body = Rows { chunk: number as u64, rows };
                client.post::<ChunkDone>(&format!("{here}/rows"), &body).await.map(|_| sent)
            }
        })
        .buffer_unordered(CHUNKS_AT_ONCE)
        .try_for_each(|sent| {
            bar.inc(sent);
            async { Ok(()) }
        })
        .await
        .map_err(|failure| {
            failure.with_details(["What was done stays done: run the same command again to go on.".to_owned()])
        })?;
    bar.finish_and_clear();
    Ok(())
}

/// Names the import by everything that decides its result: the same command again is the same import.
fn import_id(
    arguments: &ImportArguments,
    source: &Source,
    map: &[(String, String)],
    options: &[(String, String)],
) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    part(&arguments.kind);
    part(&source.digest);
    part(if arguments.dry_run { "dry" } else { "real" });
    for (name, value) in map.iter().chain(options) {
        part(name);
        part(value);
    }
    hex::encode(hash.finalize()).chars().take(32).collect()
}

async fn write_report(path: &Path, client: &Client, here: &str, summary: &mut Summary) -> Result<()> {
    if summary.issues == 0 {
        return Ok(());
    }
    let failed = |error: csv::Error| Failure::file("write", path, error);
    let mut writer = csv::Writer::from_path(path).map_err(failed)?;
    writer.write_record(["row", "taken", "message"]).map_err(failed)?;
    let mut cursor = String::new();
    loop {
        let page: Issues = client.get(&format!("{here}/issues?cursor={cursor}")).await?;
        for issue in &page.issues {
            let row = issue.row.to_string();
            writer
                .write_record([row.as_str(), if issue.refused { "no" } else { "yes" }, &issue.message])
                .map_err(failed)?;
        }
        match page.next_cursor {
            Some(next) => cursor = next,
            None => break,
        }
    }
    writer.flush().map_err(|error| Failure::file("write", path, error))?;
    summary.report = Some(path.display().to_string());
    Ok(())
}

fn summary_text(summary: &Summary, report: &Path) -> String {
    let rows: Vec<Vec<String>> = summary
        .classes
        .iter()
        .map(|class| vec![class.class.clone(), grouped(class.rows), class.quantity.to_string(), class.amount.clone()])
        .collect();
    let mut text = table(&["CLASS", "ROWS", "UNITS", "AMOUNT"], &rows);
    text.push_str(&format!("\n\n{} rows, every one in a class", grouped(summary.rows)));
    // A file of levels or of names has nothing to add up.
    let has_amounts = summary.classes.iter().any(|class| class.amount.contains(|c: char| ('1'..='9').contains(&c)));
    if has_amounts {
        text.push_str(&format!(
            "\nsum of quantity x price: {} {}; booked: {}",
            summary.amount, summary.currency, summary.booked
        ));
    }
    for (name, count) in &summary.counts {
        text.push_str(&format!("\n{}: {}", name.replace('_', " "), grouped(*count)));
    }
    if summary.issues > 0 {
        text.push_str(&format!(
            "\n{} remarks ({} rows refused): see {}",
            grouped(summary.issues),
            grouped(summary.refused),
            report.display()
        ));
    }
    if summary.dry_run {
        text.push_str("\n\nA dry run: nothing was changed.");
    } else if summary.already_done {
        text.push_str("\n\nThis file was imported before: nothing was changed.");
    }
    text
}
