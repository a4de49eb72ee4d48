//! Changes that do not end with whoever asked for them.

/// A change ended before it was done: it panicked, or the runtime is shutting down.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Interrupted(String);

/// Carries a change to its end even if whoever asked for it goes away: a client that disconnects
/// drops the future that serves it. What follows a commit must not be left out then, be it to give
/// bytes back, to know the row that was written, or to log it.
///
/// # Errors
/// Those of the change, and what is made of [`Interrupted`].
pub async fn to_its_end<T, E>(
    change: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Interrupted> + Send + 'static,
{
    let changed = tokio::spawn(change).await;
    changed.unwrap_or_else(|error| Err(Interrupted(error.to_string()).into()))
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_change_ends_though_nobody_waits_for_it() {
        let (begin, begun) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let change = to_its_end(async move {
            begun.await.unwrap();
            end.send("done").unwrap();
            Ok::<_, Interrupted>(())
        });
        let mut change = Box::pin(change);
        let polled = change
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        drop(change);
        begin.send(()).unwrap();
        assert_eq!(ended.await, Ok("done"));
    }

    #[tokio::test]
    async fn what_a_change_says_is_told_and_that_it_panicked() {
        let done = to_its_end(async { Ok::<_, Interrupted>(5) }).await;
        assert_eq!(done.unwrap(), 5);
        let panicked: Result<(), Interrupted> = to_its_end(async { panic!("made to fail") }).await;
        assert!(panicked.unwrap_err().to_string().contains("panicked"));
    }
}
