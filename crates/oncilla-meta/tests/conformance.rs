//! Every engine of this crate passes the suite.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use oncilla_meta::Engine;
use oncilla_meta::conformance::{self, Subject};
use oncilla_meta::embedded::{Durability, EmbeddedEngine, EmbeddedOptions};
use oncilla_meta::memory::MemoryEngine;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_engine_conforms() {
    conformance::run(|| Arc::new(MemoryEngine::new())).await;
}

struct Embedded {
    engine: Option<Arc<EmbeddedEngine>>,
    directory: tempfile::TempDir,
    options: EmbeddedOptions,
}

impl Embedded {
    fn new(durability: Durability) -> Self {
        let options = EmbeddedOptions {
            durability,
            ..EmbeddedOptions::default()
        };
        let directory = tempfile::tempdir().unwrap();
        let engine = EmbeddedEngine::open(directory.path(), options).unwrap();
        Self {
            engine: Some(engine),
            directory,
            options,
        }
    }
}

impl Subject for Embedded {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone().unwrap()
    }

    fn reopen(&mut self) -> bool {
        self.engine.take().unwrap().shutdown();
        self.engine = Some(EmbeddedEngine::open(self.directory.path(), self.options).unwrap());
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn embedded_engine_conforms() {
    conformance::run(|| Embedded::new(Durability::Sync)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn embedded_engine_with_relaxed_durability_conforms() {
    conformance::run(|| Embedded::new(Durability::Os)).await;
}
