//! `kontor plugin`: every change is one revision.

use std::path::PathBuf;
use std::time::Duration;

use kontor_server::api::{
    Change, ChangeResult, ChangeSet, ConfigureChange, InstallChange, LogPage, Package, Plugin, RemoveChange,
    RevisionSummary, Rollback,
};

use super::author;
use super::settings::{configuration, grants};
use crate::args::{ConfigureArguments, InstallArguments, PluginCommand};
use crate::connection::Connection;
use crate::failure::{Failure, Result};
use crate::output::{Output, table};

/// How often `logs --follow` asks for more.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) async fn run(command: PluginCommand, connection: &Connection, output: &Output) -> Result<()> {
    match command {
        PluginCommand::Install(arguments) => install(arguments, false, connection, output).await,
        PluginCommand::Upgrade(arguments) => install(arguments, true, connection, output).await,
        PluginCommand::Configure(arguments) => configure(arguments, connection, output).await,
        PluginCommand::List => list(connection, output).await,
        PluginCommand::Show { plugin } => show(&plugin, connection, output).await,
        PluginCommand::Rollback { to } => rollback(to, connection, output).await,
        PluginCommand::Revisions => revisions(connection, output).await,
        PluginCommand::Remove { plugin } => {
            apply(
                ChangeSet { changes: vec![Change::Remove(RemoveChange { plugin })], ..ChangeSet::default() },
                connection,
                output,
            )
            .await
        }
        PluginCommand::Logs { plugin, follow } => logs(&plugin, follow, connection, output).await,
    }
}

async fn install(arguments: InstallArguments, upgrade: bool, connection: &Connection, output: &Output) -> Result<()> {
    let merchant = connection.merchant_path().await?;
    let installed: Vec<Plugin> = connection.client().get(&format!("{merchant}/plugins")).await?;
    let (directories, mut files): (Vec<PathBuf>, Vec<PathBuf>) =
        arguments.packages.into_iter().partition(|path| path.is_dir());
    if !directories.is_empty() {
        files.extend(author::build_directories(&directories, output)?);
    }
    let mut changes = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|error| Failure::file("read", &file, error))?;
        let package: Package =
            connection.client().upload("/api/v1/packages", "application/vnd.kontor.plugin", bytes).await?;
        let present = installed.iter().find(|plugin| plugin.id == package.plugin);
        if upgrade && present.is_none() {
            return Err(Failure::new(
                "not-installed",
                format!("{} is not installed: use kontor plugin install", package.plugin),
            ));
        }
        changes.push(Change::Install(InstallChange {
            digest: package.digest,
            config: configuration(&arguments.settings, present.map(|plugin| &plugin.config))?,
            grant: grants(&arguments.settings).unwrap_or_default(),
            allow_downgrade: arguments.allow_downgrade,
        }));
    }
    apply(ChangeSet { changes, dry_run: arguments.dry_run, ..ChangeSet::default() }, connection, output).await
}

async fn configure(arguments: ConfigureArguments, connection: &Connection, output: &Output) -> Result<()> {
    let merchant = connection.merchant_path().await?;
    let installed: Plugin = connection.client().get(&format!("{merchant}/plugins/{}", arguments.plugin)).await?;
    let config = configuration(&arguments.settings, Some(&installed.config))?;
    let grant = grants(&arguments.settings);
    if config.is_none() && grant.is_none() {
        return Err(Failure::new("usage", "nothing to change: give --config, --set or --grant..."));
    }
    let changes = vec![Change::Configure(ConfigureChange { plugin: arguments.plugin, config, grant })];
    apply(ChangeSet { changes, dry_run: arguments.dry_run, ..ChangeSet::default() }, connection, output).await
}

/// Makes changes, and shows what they ask for.
async fn apply(changes: ChangeSet, connection: &Connection, output: &Output) -> Result<()> {
    let spinner = output.spinner(if changes.dry_run { "checking" } else { "compiling and switching" });
    let path = format!("{}/revisions", connection.merchant_path().await?);
    let result: ChangeResult = connection.client().post(&path, &changes).await?;
    spinner.finish_and_clear();
    output.result(&result, || change_text(&result));
    Ok(())
}

fn change_text(result: &ChangeResult) -> String {
    let mut text = String::new();
    for screen in &result.permissions {
        let from = screen.installed_version.as_ref().map(|version| format!(" (now {version})")).unwrap_or_default();
        text.push_str(&format!("{} {}{from}, by {}\n", screen.name, screen.version, screen.publisher));
        for ask in &screen.asks {
            let mark = if ask.granted { "granted" } else { "NOT granted" };
            text.push_str(&format!("  {}{} [{mark}]\n", if ask.new { "new: " } else { "" }, ask.words));
        }
    }
    for note in &result.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text.push_str(&if result.applied {
        format!("revision {} is in force", result.revision)
    } else {
        format!("nothing was changed; revision {} stays in force", result.revision)
    });
    text
}

async fn list(connection: &Connection, output: &Output) -> Result<()> {
    let plugins: Vec<Plugin> =
        connection.client().get(&format!("{}/plugins", connection.merchant_path().await?)).await?;
    output.result(&plugins, || {
        let rows: Vec<Vec<String>> = plugins
            .iter()
            .map(|p| vec![p.id.clone(), p.version.clone(), p.publisher.clone(), p.description.clone()])
            .collect();
        table(&["PLUGIN", "VERSION", "PUBLISHER", "DESCRIPTION"], &rows)
    });
    Ok(())
}

async fn show(plugin: &str, connection: &Connection, output: &Output) -> Result<()> {
    let plugin: Plugin =
        connection.client().get(&format!("{}/plugins/{plugin}", connection.merchant_path().await?)).await?;
    output.result(&plugin, || {
        let mut text = format!(
            "{} {} by {}\n{}\n{}\n\n{}{}\n",
            plugin.name,
            plugin.version,
            plugin.publisher,
            plugin.description,
            plugin.digest,
            connection.client().base(),
            plugin.base_path
        );
        let routes: Vec<Vec<String>> =
            plugin.routes.iter().map(|r| vec![r.method.clone(), r.path.clone(), r.auth.clone()]).collect();
        text.push_str(&table(&["METHOD", "PATH", "WHO"], &routes));
        for (label, names) in [
            ("provides", &plugin.provides),
            ("requires", &plugin.requires),
            ("handles", &plugin.subscribes),
            ("emits", &plugin.emits),
        ] {
            if !names.is_empty() {
                text.push_str(&format!("\n\n{label}:\n  {}", names.join("\n  ")));
            }
        }
        for grant in &plugin.grants.outbound {
            text.push_str(&format!("\n\nmay reach {}", grant.host));
        }
        text.push_str(&format!(
            "\n\nconfiguration: {}",
            serde_json::to_string_pretty(&plugin.config).unwrap_or_default()
        ));
        text
    });
    Ok(())
}

async fn rollback(to: Option<u64>, connection: &Connection, output: &Output) -> Result<()> {
    let path = format!("{}/rollback", connection.merchant_path().await?);
    let revision: RevisionSummary = connection.client().post(&path, &Rollback { to }).await?;
    output.result(&revision, || {
        let plugins: Vec<String> = revision.plugins.iter().map(|(id, version)| format!("{id} {version}")).collect();
        let plugins = if plugins.is_empty() { "no plugins".to_owned() } else { plugins.join(", ") };
        format!("revision {} is in force ({}): {plugins}", revision.number, revision.reason)
    });
    Ok(())
}

async fn revisions(connection: &Connection, output: &Output) -> Result<()> {
    let revisions: Vec<RevisionSummary> =
        connection.client().get(&format!("{}/revisions", connection.merchant_path().await?)).await?;
    output.result(&revisions, || {
        let rows: Vec<Vec<String>> = revisions
            .iter()
            .map(|revision| {
                let when = i64::try_from(revision.created_at_ms)
                    .ok()
                    .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
                    .map(|time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
                    .unwrap_or_default();
                let mark = if revision.current { "*" } else { "" };
                vec![mark.into(), revision.number.to_string(), when, revision.reason.clone()]
            })
            .collect();
        table(&["", "REVISION", "WHEN", "WHAT"], &rows)
    });
    Ok(())
}

async fn logs(plugin: &str, follow: bool, connection: &Connection, output: &Output) -> Result<()> {
    let path = format!("{}/plugins/{plugin}/logs", connection.merchant_path().await?);
    let mut since = 0;
    loop {
        let page: LogPage = connection.client().get(&format!("{path}?since={since}")).await?;
        for line in &page.lines {
            output.result(line, || {
                let fields: String = line.fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
                format!("{} {:5} {}{fields}", line.time_ms, line.level, line.message)
            });
        }
        since = page.next;
        if !follow {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(FOLLOW_INTERVAL) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
