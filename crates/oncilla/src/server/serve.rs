//! The handlers of a server on its foundation: accounts, S3, administration.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use oncilla_iam::{Iam, IamError, Root, Secret};
use oncilla_keys::Keys;
use oncilla_meta::EngineError;
use oncilla_server::admin::api::{self, AdminApi, ServerFacts};
use oncilla_server::bucket_logs::{BucketLogs, LogOptions};
use oncilla_server::inventories::{Inventories, InventoryOptions};
use oncilla_server::jobs::Jobs;
use oncilla_server::notifications::{Deliverer, DeliveryOptions};
use oncilla_server::room::shortage;
use oncilla_server::s3::{S3Options, S3Service};

use super::banner::NewCredentials;
use super::foundation::Foundation;
use super::options::ServerArgs;
use super::settings::Settings;
use super::start::{Assembly, run_with};

/// Runs a server until it is told to end.
pub fn run(args: ServerArgs) -> ExitCode {
    run_with(args, assemble)
}

/// Why there are no root credentials. On the first start they are the first thing that is written, so
/// a disk without the reserve shows here.
fn no_root(error: &IamError, data: &Path) -> String {
    match error {
        IamError::Engine(EngineError::NoSpace) => {
            format!("root credentials: {error}: {}", shortage(data))
        }
        _ => format!("root credentials: {error}"),
    }
}

async fn assemble(
    settings: &Settings,
    foundation: &Foundation,
) -> Result<Assembly<S3Service>, String> {
    let clock = foundation.store.clock().clone();
    let iam = Iam::new(
        Arc::clone(&foundation.engine),
        Arc::new(move || clock.now_ms()),
    );
    let preset = settings.root_credentials.as_ref();
    let preset = preset.map(|root| {
        (
            root.access_key_id.clone(),
            Secret::new(root.secret_access_key.as_str()),
        )
    });
    let was_preset = preset.is_some();
    let root = iam
        .ensure_root(preset)
        .await
        .map_err(|error| no_root(&error, foundation.directory.path()))?;
    let options = S3Options {
        domains: settings.domains.clone(),
        region: settings.region.clone(),
        presign_expiry_max_s: settings.presign_expiry_max.as_secs(),
        website_domains: settings.website_domains.clone(),
        sigv2: settings.sigv2,
        customer_keys_over_http: settings.sse_c_over_http,
    };
    if let Some(reason) = foundation.store.keys().ok().and_then(Keys::locked) {
        tracing::error!(%reason, "encrypted objects can be neither written nor read");
    }
    let bucket_logs = BucketLogs::new(
        foundation.store.clone(),
        LogOptions {
            region: settings.region.clone(),
            interval: settings.bucket_log_interval,
            object_bytes: settings.bucket_log_bytes,
            ..LogOptions::default()
        },
    );
    let service = S3Service::new(foundation.store.clone(), iam.clone(), options)
        .with_targets(settings.notification_targets.clone())
        .with_bucket_logs(bucket_logs.clone());
    let endpoint_url = Arc::new(OnceLock::new());
    let own_routes = api::routes(AdminApi {
        store: foundation.store.clone(),
        iam,
        s3: service.clone(),
        server: ServerFacts {
            version: env!("CARGO_PKG_VERSION"),
            cluster_id: foundation.directory.cluster_id().to_owned(),
            root_account_id: root.account.id.clone(),
            region: settings.region.clone(),
            endpoint_url: Arc::clone(&endpoint_url),
            started: Instant::now(),
        },
    });
    let new_credentials = if was_preset {
        None
    } else {
        new_credentials(&root)
    };
    let mut jobs = Jobs::default();
    let store = foundation.store.clone();
    jobs.spawn("collector", move || {
        let store = store.clone();
        async move { store.run_collector().await }
    });
    let store = foundation.store.clone();
    let lifecycle = settings.lifecycle;
    jobs.spawn("lifecycle", move || {
        let store = store.clone();
        async move { store.run_lifecycle(lifecycle).await }
    });
    let inventories = Inventories::new(foundation.store.clone(), InventoryOptions::default());
    let inventory_figures = inventories.collectors();
    jobs.spawn("inventories", move || {
        let inventories = inventories.clone();
        async move { inventories.run().await }
    });
    let log_deliveries = bucket_logs.clone();
    jobs.spawn("bucket logs", move || {
        let logs = log_deliveries.clone();
        async move { logs.run().await }
    });
    let last_logs = bucket_logs.clone();
    jobs.at_last("bucket logs", async move { last_logs.deliver_rest().await });
    let deliverer = Deliverer::new(
        foundation.store.clone(),
        settings.notification_targets.clone(),
        DeliveryOptions {
            region: settings.region.clone(),
            ..DeliveryOptions::default()
        },
    );
    let deliverer = deliverer.map_err(|error| format!("notification targets: {error}"))?;
    let mut collectors = deliverer.collectors();
    collectors.extend(bucket_logs.collectors());
    collectors.extend(inventory_figures);
    jobs.spawn("notifications", move || {
        let deliverer = deliverer.clone();
        async move { deliverer.run().await }
    });
    Ok(Assembly {
        service,
        own_routes,
        endpoint_url,
        new_credentials,
        jobs,
        collectors,
    })
}

/// The credentials to show: those that this start made, and only those.
fn new_credentials(root: &Root) -> Option<NewCredentials> {
    let key = root.key.as_ref().filter(|_| root.created)?;
    Some(NewCredentials {
        access_key_id: key.id().to_owned(),
        secret_access_key: key.secret.expose().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_start_on_a_full_disk_is_told_what_it_needs() {
        let directory = tempfile::tempdir().unwrap();
        let told = no_root(&IamError::Engine(EngineError::NoSpace), directory.path());
        assert!(
            told.starts_with("root credentials: no space left"),
            "{told}"
        );
        assert!(told.contains("128 MiB free"), "{told}");
        let told = no_root(&IamError::NoSuchKey, directory.path());
        assert!(!told.contains("MiB"), "{told}");
    }
}
