//! The two threads of the volumes: one syncs, the other gives space back.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::error::WriteError;
use crate::extent::{Extent, VolumeId};
use crate::shared::{OwnVolume, Shared};

/// To the thread that syncs.
pub(crate) enum SyncMessage {
    /// Sync this volume and say how it went.
    Sync {
        volume: Arc<OwnVolume>,
        done: oneshot::Sender<Result<(), WriteError>>,
    },
    /// End after what came before.
    Stop,
}

/// To the thread that gives space back.
pub(crate) enum SpaceMessage {
    /// An extent was not finished.
    Abandon {
        volume: Arc<OwnVolume>,
        offset: u64,
        bytes: u64,
    },
    /// The last pin of an extent whose release was asked for is gone.
    Release(Extent),
    /// Delete these volumes if they are empty.
    DeleteIfEmpty(Vec<VolumeId>),
    /// End after what came before.
    Stop,
}

/// Starts the sync thread. It ends with `Stop` or when nobody can send any more.
pub(crate) fn start_sync_thread(
    shared: Arc<Shared>,
) -> io::Result<(Sender<SyncMessage>, JoinHandle<()>)> {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new()
        .name("volume-sync".to_owned())
        .spawn(move || run_sync_thread(&shared, &receiver))?;
    Ok((sender, thread))
}

struct Batch {
    volume: Arc<OwnVolume>,
    waiters: Vec<oneshot::Sender<Result<(), WriteError>>>,
}

fn run_sync_thread(shared: &Shared, receiver: &Receiver<SyncMessage>) {
    let mut stopped = false;
    while !stopped {
        let Ok(first) = receiver.recv() else { return };
        // Whoever came while the last sync ran shares the next one. There is no waiting for more:
        // under load the duration of a sync is the window, without load it would only be delay.
        let mut batches: Vec<Batch> = Vec::new();
        for message in std::iter::once(first).chain(receiver.try_iter()) {
            let SyncMessage::Sync { volume, done } = message else {
                stopped = true;
                break;
            };
            match batches
                .iter_mut()
                .find(|batch| batch.volume.id == volume.id)
            {
                Some(batch) => batch.waiters.push(done),
                None => batches.push(Batch {
                    volume,
                    waiters: vec![done],
                }),
            }
        }
        for batch in batches {
            sync_batch(shared, batch);
        }
    }
}

fn sync_batch(shared: &Shared, Batch { volume, waiters }: Batch) {
    let mut result = volume.check();
    if result.is_ok() {
        let start = Instant::now();
        let synced = volume.file.sync_data();
        shared
            .counters
            .record_sync(start.elapsed(), waiters.len(), synced.is_ok());
        if let Err(error) = synced {
            // Logged here, because all the waiters will tell the same story.
            tracing::error!(volume = %volume.id, %error, "sync failed; the volume takes no more");
            let _ = volume.failure.set(Arc::new(error));
            result = volume.check();
        }
    }
    // The volume is let go before anybody is told, so that whoever releases its last extent next
    // does not find it in use.
    drop(volume);
    for waiter in waiters {
        // A waiter that has gone away abandons its extent itself.
        let _ = waiter.send(result.clone());
    }
}

/// Starts the thread that gives space back. It ends with `Stop` or when nobody can send any more.
pub(crate) fn start_space_thread(
    shared: Arc<Shared>,
) -> io::Result<(Sender<SpaceMessage>, JoinHandle<()>)> {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new()
        .name("volume-space".to_owned())
        .spawn(move || run_space_thread(&shared, &receiver))?;
    Ok((sender, thread))
}

fn run_space_thread(shared: &Shared, receiver: &Receiver<SpaceMessage>) {
    for message in receiver {
        match message {
            SpaceMessage::Abandon {
                volume,
                offset,
                bytes,
            } => {
                let id = volume.id;
                if let Err(error) = shared.punch(&*volume.file, offset, bytes) {
                    tracing::warn!(volume = %id, offset, bytes, %error, "abandoned space is kept");
                }
                drop(volume);
                shared.delete_if_empty(id);
            }
            SpaceMessage::Release(extent) => {
                let released = shared.release_now(extent);
                shared.pins.end_release(extent);
                if let Err(error) = released {
                    tracing::warn!(%extent, %error, "a deferred release failed");
                }
            }
            SpaceMessage::DeleteIfEmpty(volumes) => {
                for volume in volumes {
                    shared.delete_if_empty(volume);
                }
            }
            SpaceMessage::Stop => return,
        }
    }
}
