//! What every server stands on: the data directory, the metadata engine, the volumes, the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oncilla_blob::fs::RealFileSystem;
use oncilla_blob::{VolumeGroup, VolumeOptions, Volumes, further_directories};
use oncilla_keys::{Keys, MasterKeySource};
use oncilla_meta::embedded::{EmbeddedEngine, EmbeddedOptions};
use oncilla_meta::{Engine, EngineError};
use oncilla_server::data_directory::DataDirectory;
use oncilla_server::metrics::Metrics;
use oncilla_server::metrics_collectors as collectors;
use oncilla_server::room::shortage;
use oncilla_store::{Fault, Store, StoreOptions, SystemClock, WallClock};

use super::settings::{Durability, Settings};

/// What an opened data directory holds. Dropped last: the directory's lock is in it.
pub struct Foundation {
    /// Records.
    pub engine: Arc<dyn Engine>,
    /// Objects.
    pub store: Store,
    /// The directory, locked.
    pub directory: DataDirectory,
    /// Storage classes with directories of their own.
    classes: Vec<(String, PathBuf)>,
}

/// With what a foundation is opened.
struct Opening {
    durability: Durability,
    options: StoreOptions,
    groups: Vec<VolumeGroup>,
    master_key: MasterKeySource,
}

impl Foundation {
    /// Opens the data directory, making it on the first start.
    ///
    /// # Errors
    /// One line that says what cannot be used. Nothing is made over what is there.
    pub async fn open(settings: &Settings) -> Result<Self, String> {
        let directory =
            DataDirectory::open_or_create(&settings.data).map_err(|error| error.to_string())?;
        let options = StoreOptions {
            inline_bytes_max: settings.inline_threshold_bytes,
            restore_time: settings.restore_time,
            class_groups: settings
                .storage_classes
                .iter()
                .map(|(class, _)| (*class, class.as_str().to_owned()))
                .collect(),
            encrypt_at_rest: settings.encrypt_at_rest,
            default_kms_key: settings.default_kms_key,
            ..StoreOptions::default()
        };
        let groups = settings
            .storage_classes
            .iter()
            .map(|(class, dir)| VolumeGroup {
                name: class.as_str().to_owned(),
                dir: dir.clone(),
            });
        let opening = Opening {
            durability: settings.durability,
            options,
            groups: groups.collect(),
            master_key: settings.master_key.clone(),
        };
        Self::open_in(directory, opening).await
    }

    /// Opens a data directory that exists and is not in use, for tools.
    ///
    /// # Errors
    /// As [`Foundation::open`].
    pub async fn open_existing(path: &Path, master_key: MasterKeySource) -> Result<Self, String> {
        let directory = DataDirectory::open_existing(path).map_err(|error| error.to_string())?;
        let opening = Opening {
            durability: Durability::Sync,
            options: StoreOptions::default(),
            groups: Vec::new(),
            master_key,
        };
        Self::open_in(directory, opening).await
    }

    async fn open_in(mut directory: DataDirectory, opening: Opening) -> Result<Self, String> {
        let Opening {
            durability,
            mut options,
            groups,
            master_key,
        } = opening;
        let fs = Arc::new(RealFileSystem);
        let classes = groups
            .iter()
            .map(|group| (group.name.clone(), group.dir.clone()))
            .collect();
        let path = directory.volumes();
        let further = further_directories(&*fs, &path, &groups)
            .map_err(|error| format!("cannot read the volumes in {}: {error}", path.display()))?;
        for further in further {
            directory
                .claim(&further)
                .map_err(|error| error.to_string())?;
        }
        let engine_options = EmbeddedOptions {
            durability: match durability {
                Durability::Sync => oncilla_meta::embedded::Durability::Sync,
                Durability::Os => oncilla_meta::embedded::Durability::Os,
            },
            ..EmbeddedOptions::default()
        };
        let meta = directory.meta();
        let engine: Arc<dyn Engine> =
            EmbeddedEngine::open(&meta, engine_options).map_err(|error| {
                let line = format!("cannot open the metadata in {}: {error}", meta.display());
                match error {
                    EngineError::NoSpace => format!("{line}: {}", shortage(directory.path())),
                    _ => line,
                }
            })?;
        let volume_options = VolumeOptions {
            durability: match durability {
                Durability::Sync => oncilla_blob::Durability::Sync,
                Durability::Os => oncilla_blob::Durability::Os,
            },
            ..VolumeOptions::default()
        };
        let volumes = Volumes::open_with_groups(fs, path.clone(), volume_options, groups)
            .map_err(|error| format!("cannot open the volumes in {}: {error}", path.display()))?;
        let now_ms = Arc::new(|| SystemClock.now_ms());
        let keys = Keys::open(Arc::clone(&engine), master_key, now_ms)
            .await
            .map_err(|error| format!("cannot open the encryption keys: {error}"))?;
        if let Some(reason) = keys.locked()
            && options.encrypt_at_rest
        {
            return Err(format!("encrypt-at-rest: {reason}"));
        }
        options.keys = Some(keys);
        let store = Store::open(Arc::clone(&engine), volumes, Arc::new(SystemClock), options)
            .await
            .map_err(|error| {
                let path = directory.path();
                let line = format!("cannot open the store in {}: {error}", path.display());
                match error {
                    Fault::NoSpace => format!("{line}: {}", shortage(path)),
                    _ => line,
                }
            })?;
        directory
            .mark_complete()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            engine,
            store,
            directory,
            classes,
        })
    }

    /// Shows the figures of engine and volumes on the metrics page.
    pub fn register_metrics(&self, metrics: &mut Metrics) {
        let engine = Arc::clone(&self.engine);
        metrics.register_collector(collectors::engine(move || engine.stats()));
        type Read = fn(&oncilla_blob::VolumeStats) -> u64;
        let figures: [(&'static str, &'static str, Read); 9] = [
            ("volume_written_bytes", "Payload of finished extents", |s| {
                s.written_bytes
            }),
            ("volume_read_bytes", "Bytes read from volumes", |s| {
                s.read_bytes
            }),
            (
                "volume_released_bytes",
                "Garbage given back to the file system",
                |s| s.released_bytes,
            ),
            ("volume_extents_finished", "Extents finished", |s| {
                s.extents_finished
            }),
            (
                "volume_extents_abandoned",
                "Extents begun and dropped",
                |s| s.extents_abandoned,
            ),
            ("volume_damaged_reads", "Reads that found damage", |s| {
                s.damaged_reads
            }),
            ("volume_syncs", "Syncs of volumes", |s| s.syncs),
            ("volume_syncs_failed", "Syncs of volumes that failed", |s| {
                s.syncs_failed
            }),
            (
                "volume_sync_waiters",
                "Writes that shared those syncs",
                |s| s.sync_waiters,
            ),
        ];
        for (name, help, read) in figures {
            let volumes = self.store.volumes().clone();
            let read = move || read(&volumes.stats());
            metrics.register_collector(collectors::counter(name, help, read));
        }
        let data = self.directory.path().to_owned();
        metrics.register_collector(collectors::room(data, self.classes.clone()));
        let volumes = self.store.volumes().clone();
        metrics.register_collector(collectors::volume_syncs(move || volumes.stats()));
        let store = self.store.clone();
        metrics.register_collector(collectors::garbage(move || store.collector_stats()));
        let store = self.store.clone();
        metrics.register_collector(collectors::lifecycle(move || store.lifecycle_stats()));
    }
}
