//! `oncilla account`: who owns buckets and keys.

use clap::{Args, Subcommand};

use crate::admin_client::{Account, AdminArgs, Door, NewAccount};
use crate::failure::Failure;
use crate::output::{self, short_time};

/// Manage accounts, which own buckets and keys. With --json, list prints one line of JSON per
/// account and the others print one document.
#[derive(Args, Clone, Debug)]
pub struct AccountArgs {
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum AccountCommand {
    /// Make an account
    Create {
        /// Display name, unique
        name: String,
        /// E-mail address, unique
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List the accounts
    List {
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show an account
    Show(OneAccount),
    /// Make every key of an account stop working; its public buckets stay readable
    Disable(OneAccount),
    /// Undo disable
    Enable(OneAccount),
    /// Remove an account that has neither keys nor buckets
    Delete(OneAccount),
}

#[derive(Args, Clone, Debug)]
struct OneAccount {
    /// Its name or id
    account: String,
    #[command(flatten)]
    admin: AdminArgs,
}

impl AccountArgs {
    /// The flags that all subcommands have.
    pub fn admin(&self) -> &AdminArgs {
        match &self.command {
            AccountCommand::Create { admin, .. } | AccountCommand::List { admin } => admin,
            AccountCommand::Show(one)
            | AccountCommand::Disable(one)
            | AccountCommand::Enable(one)
            | AccountCommand::Delete(one) => &one.admin,
        }
    }
}

/// Runs the command.
pub async fn run(args: AccountArgs) -> Result<(), Failure> {
    let json = args.admin().common.json;
    let door = Door::open(args.admin()).await?;
    let outcome = run_command(&door, args.command, json).await;
    door.close().await;
    outcome
}

async fn run_command(door: &Door, command: AccountCommand, json: bool) -> Result<(), Failure> {
    let account = match command {
        AccountCommand::List { .. } => {
            for account in door.accounts().await? {
                if json {
                    output::json_line(&account)?;
                } else {
                    output::line(&row(&account))?;
                }
            }
            return Ok(());
        }
        AccountCommand::Delete(one) => {
            door.delete_account(&one.account).await?;
            if json {
                let removed = serde_json::json!({ "account": one.account, "removed": true });
                return output::json_document(&removed);
            }
            return output::line(&format!("Removed {}", one.account));
        }
        AccountCommand::Create { name, email, .. } => {
            door.create_account(NewAccount { name, email }).await?
        }
        AccountCommand::Show(one) => door.account(&one.account).await?,
        AccountCommand::Disable(one) => door.set_account_disabled(&one.account, true).await?,
        AccountCommand::Enable(one) => door.set_account_disabled(&one.account, false).await?,
    };
    if json {
        return output::json_document(&account);
    }
    output::line(&row(&account))
}

fn row(account: &Account) -> String {
    let created = short_time(i64::try_from(account.created_ms).unwrap_or(i64::MAX));
    let state = if account.disabled {
        "disabled"
    } else {
        "enabled"
    };
    let email = account
        .email
        .as_deref()
        .map(|email| format!(" <{email}>"))
        .unwrap_or_default();
    format!(
        "{created} {state:<8} {} {}{email}",
        account.id, account.name
    )
}
