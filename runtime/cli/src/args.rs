//! The command line as people write it. Help texts live here; what a command does lives in `commands`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A runtime for Unified Commerce: one stock, one price, one order, in every channel.
#[derive(Debug, Parser)]
#[command(name = "kontor", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Write the result as JSON to standard output, for scripts.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) connection: ConnectionArguments,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which host a command talks to.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConnectionArguments {
    /// Address of a running host, such as http://127.0.0.1:7700. Default: the host that runs on --data-dir, or else one that
    /// is started for this command alone.
    #[arg(long, global = true, env = "KONTOR_URL", value_name = "URL")]
    pub(crate) url: Option<String>,

    /// Admin token for --url. Default: the one in --data-dir.
    #[arg(long, global = true, env = "KONTOR_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,

    /// Where a host keeps everything.
    #[arg(long, global = true, env = "KONTOR_DATA_DIR", default_value = ".kontor/data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,

    /// Where compiled plugins are kept between starts. Default: below --data-dir. Hosts of one user on one machine may share it.
    #[arg(long, global = true, env = "KONTOR_CODE_CACHE", value_name = "DIR")]
    pub(crate) code_cache: Option<PathBuf>,

    /// The merchant. Default: the only one there is.
    #[arg(long, short, global = true, env = "KONTOR_MERCHANT", value_name = "ID")]
    pub(crate) merchant: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a host until it is stopped (Ctrl-C).
    Serve(ServeArguments),
    /// Build everything and run a merchant who sells one stock in three channels at once.
    Demo(DemoArguments),
    /// Create and list merchants.
    #[command(subcommand)]
    Merchant(MerchantCommand),
    /// Install, upgrade, configure, roll back and remove plugins.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Set the secrets of plugins (standard input, so that they stay out of the shell's history).
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Create and revoke tokens for staff and programs.
    #[command(subcommand)]
    Token(TokenCommand),
    /// See and replay what plugins could not handle.
    #[command(subcommand)]
    DeadLetter(DeadLetterCommand),
    /// Bring in a CSV file (.csv or .csv.gz) through the `importer` plugin.
    Import(ImportArguments),
    /// Back up a host while it runs: store, packages and first admin token, checksummed. A backup holds secrets.
    Backup {
        /// A new or an empty directory on the host's machine.
        #[arg(value_name = "DIR")]
        destination: PathBuf,
    },
    /// Make the data directory (--data-dir, which must not hold a store) from a backup.
    Restore(RestoreArguments),
    /// Look whether all of a store, or of a backup, is there and fits together.
    Verify(VerifyArguments),
    /// Work on the store of a host that does not run.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Write a new plugin from the template.
    New(NewArguments),
    /// Build plugins into `.kontor` files.
    Build(BuildArguments),
    /// Build plugins and run their tests.
    Test(TestArguments),
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Where a host keeps its data.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StoreChoice {
    /// Embedded and durable.
    Sled,
    /// Embedded and durable, another engine.
    Fjall,
    /// In memory; everything is gone at the end.
    Memory,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Where to listen. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7700", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Which engine keeps the data. Default: that of the store which is there, or fjall.
    #[arg(long, value_enum)]
    pub(crate) store: Option<StoreChoice>,
    /// Memory for the store's cache, in MiB.
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub(crate) cache_mib: u64,
    /// Accept plugins that are unsigned or signed with a development key.
    #[arg(long)]
    pub(crate) dev: bool,
    /// Behind a proxy that ends TLS: mark cookies as secure.
    #[arg(long)]
    pub(crate) secure_cookies: bool,
    /// Log as JSON lines.
    #[arg(long)]
    pub(crate) log_json: bool,
    /// Make backups by the clock, each a directory in here.
    #[arg(long, value_name = "DIR")]
    pub(crate) backup_to: Option<PathBuf>,
    /// With --backup-to: hours between two backups.
    #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=8_760))]
    pub(crate) backup_every_hours: u64,
    /// With --backup-to: complete backups that are kept.
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub(crate) backup_keep: usize,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Where to listen. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7700", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Do not wait for a person: sell for --seconds, then print a summary and stop.
    #[arg(long)]
    pub(crate) headless: bool,
    /// How long simulated customers buy. Without --headless, 0 leaves the shop to you alone.
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
    /// Seed of everything that the simulated customers and channels do.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Simulated customers at a time, per channel.
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub(crate) buyers: usize,
    /// Keep the shop in this directory, and go on where it was left. Default: a new one each time.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Which engine keeps the data. Default: that of the store which is there, or fjall.
    #[arg(long, value_enum)]
    pub(crate) store: Option<StoreChoice>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MerchantCommand {
    /// Create a merchant.
    Create {
        /// Lower-case letters, digits and hyphens.
        id: String,
        /// For people. Default: the id.
        #[arg(long)]
        name: Option<String>,
    },
    /// List the merchants.
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Install plugins, or upgrade them: all of them as one revision.
    Install(InstallArguments),
    /// List what is installed.
    List,
    /// Show a plugin: routes, services, events, configuration, grants.
    Show {
        /// Plugin id.
        plugin: String,
    },
    /// Upgrade plugins (the same as `install`, but refuses what is not installed yet).
    Upgrade(InstallArguments),
    /// Change the configuration or the grants of a plugin.
    Configure(ConfigureArguments),
    /// Return to an earlier revision.
    Rollback {
        /// Its number. Default: the one before the current.
        #[arg(long, value_name = "REVISION")]
        to: Option<u64>,
    },
    /// List the revisions, newest first.
    Revisions,
    /// Remove a plugin; its data stays.
    Remove {
        /// Plugin id.
        plugin: String,
    },
    /// Print a plugin's log.
    Logs {
        /// Plugin id.
        plugin: String,
        /// Wait for more.
        #[arg(long, short)]
        follow: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct InstallArguments {
    /// `.kontor` files, or directories of plugins (which are built first).
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) packages: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingsArguments,
    /// Only show what would be asked for.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Install although the version is not higher than the installed one.
    #[arg(long)]
    pub(crate) allow_downgrade: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigureArguments {
    /// Plugin id.
    pub(crate) plugin: String,
    #[command(flatten)]
    pub(crate) settings: SettingsArguments,
    /// Only check.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Configuration and grants.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SettingsArguments {
    /// Configuration as a JSON file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A value of the configuration, such as `channel=web` (JSON, or text).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Grant everything that is asked for (but neither plain http nor private addresses).
    #[arg(long)]
    pub(crate) grant: bool,
    /// Grant a host; add `+http` for plain http, `+private` for private addresses: `127.0.0.1+http+private`.
    #[arg(long, value_name = "HOST")]
    pub(crate) grant_host: Vec<String>,
    /// Let the plugin see a secret.
    #[arg(long, value_name = "NAME")]
    pub(crate) grant_secret: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set a secret: it is read from standard input.
    Set {
        /// Plugin id.
        plugin: String,
        /// Name of the secret.
        name: String,
    },
    /// Forget a secret.
    Unset {
        /// Plugin id.
        plugin: String,
        /// Name of the secret.
        name: String,
    },
    /// List the secrets of a plugin, without their values.
    List {
        /// Plugin id.
        plugin: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token. It is shown this once.
    Create {
        /// Who or what will use it.
        name: String,
        /// A scope, such as `notes:write`; `*` is all of them. May be given several times.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// For a member of staff, who signs in to pages with it.
        #[arg(long)]
        staff: bool,
    },
    /// List the tokens.
    List,
    /// Revoke a token.
    Revoke {
        /// Its id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// List them.
    List,
    /// Try one again.
    Replay {
        /// Its id.
        id: String,
    },
    /// Forget one.
    Discard {
        /// Its id.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// What the file holds; `kontor import list` shows what the importer knows, with fields and options.
    pub(crate) kind: String,
    /// The file: .csv or .csv.gz.
    pub(crate) file: Option<PathBuf>,
    /// Which column is which field: `name=Title,code=Number`.
    #[arg(long, value_delimiter = ',', value_name = "FIELD=COLUMN")]
    pub(crate) map: Vec<String>,
    /// Columns of a well-known export; `kontor import list` shows which there are.
    #[arg(long)]
    pub(crate) preset: Option<String>,
    /// An option, such as `decimal=comma`. May be given several times.
    #[arg(long = "option", value_name = "NAME=VALUE")]
    pub(crate) options: Vec<String>,
    /// Read and check everything, change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Character between columns. Default: comma, or semicolon or tab if the header has those.
    #[arg(long, value_name = "CHARACTER")]
    pub(crate) delimiter: Option<char>,
    /// Where remarks and refused rows are written, as CSV. Default: beside the current directory's files, as
    /// `<file>.<kind>.report.csv`.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// What `kontor backup` wrote.
    #[arg(value_name = "BACKUP")]
    pub(crate) backup: PathBuf,
    /// Which engine keeps the data from now on. Default: the one that it was backed up from.
    #[arg(long, value_enum)]
    pub(crate) store: Option<StoreChoice>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// A backup, or the data directory of a host that does not run. Default: --data-dir.
    #[arg(value_name = "BACKUP|DATA_DIR")]
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy the data directory (--data-dir) to a new one: to change the engine, or to reclaim space.
    Copy {
        /// Engine of the copy.
        #[arg(long, value_enum, value_name = "ENGINE")]
        to: StoreChoice,
        /// The new data directory.
        #[arg(value_name = "DIR")]
        destination: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// Id of the plugin: lower-case letters, digits and hyphens.
    pub(crate) id: String,
    /// Where to write it. Default: a directory of that name.
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// Directories of plugins. Default: the current one.
    #[arg(value_name = "DIR")]
    pub(crate) plugins: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Directories of plugins. Default: the current one.
    #[arg(value_name = "DIR")]
    pub(crate) plugins: Vec<PathBuf>,
}
