//! Background work of a server: collection, lifecycle, deliveries. Started, watched and ended in one
//! place.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;

/// Pause before a job that panicked is begun again: long enough not to fill the log.
const RESTART_PAUSE: Duration = Duration::from_secs(5);

/// The jobs of a server. Dropped without [`Jobs::stop`], it ends them too, without waiting.
#[derive(Default)]
pub struct Jobs {
    running: Vec<(&'static str, JoinHandle<()>)>,
    last: Vec<(&'static str, BoxFuture<'static, ()>)>,
}

impl Jobs {
    /// Runs a job until [`Jobs::stop`], in the runtime of the caller. `begin` makes a future that
    /// never ends and may be dropped at any of its pauses; it is called again if that panics.
    pub fn spawn<F>(&mut self, name: &'static str, begin: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let watched = async move {
            while AssertUnwindSafe(begin()).catch_unwind().await.is_err() {
                tracing::error!(job = name, "a background job failed; it is begun again");
                tokio::time::sleep(RESTART_PAUSE).await;
            }
        };
        self.running.push((name, tokio::spawn(watched)));
    }

    /// Has something done by [`Jobs::stop`], once all jobs have ended. It should not take long.
    pub fn at_last(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.last.push((name, work.boxed()));
    }

    /// Ends all jobs. When it returns, none of them touches anything any more.
    pub async fn stop(mut self) {
        for (_, job) in &self.running {
            job.abort();
        }
        for (name, job) in std::mem::take(&mut self.running) {
            // Ended by the abort, or by itself.
            let _ = job.await;
            tracing::debug!(job = name, "stopped");
        }
        for (name, work) in std::mem::take(&mut self.last) {
            work.await;
            tracing::debug!(job = name, "finished");
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        for (_, job) in &self.running {
            job.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_job_that_panics_is_begun_again_until_it_is_stopped() {
        let begun = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&begun);
        let mut jobs = Jobs::default();
        jobs.spawn("test", move || {
            let number = seen.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(number >= 2, "made to fail");
                std::future::pending().await
            }
        });
        tokio::time::sleep(RESTART_PAUSE * 10).await;
        assert_eq!(begun.load(Ordering::Relaxed), 3);
        let done = Arc::new(AtomicUsize::new(0));
        let set = Arc::clone(&done);
        let running = Arc::clone(&begun);
        jobs.at_last("test", async move {
            // Its job has ended by then.
            assert_eq!(Arc::strong_count(&running), 2);
            set.store(1, Ordering::Relaxed);
        });
        jobs.stop().await;
        assert_eq!(Arc::strong_count(&begun), 1);
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }
}
