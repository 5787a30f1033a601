//! The wish to end a command, from whoever may end it to whatever runs it.
//!
//! Does not know how a command is ended.

use tokio::sync::watch;

/// Whoever may end a command. Dropping it cancels: nobody could do so later.
#[derive(Debug)]
pub struct CancelHandle(watch::Sender<Wish>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    GoOn,
    Cancel,
    Kill,
}

impl CancelHandle {
    /// TERM, the grace, KILL.
    pub fn cancel(&self) {
        self.raise(Wish::Cancel);
    }

    /// KILL at once: the second Ctrl-C.
    pub fn kill(&self) {
        self.raise(Wish::Kill);
    }

    fn raise(&self, wish: Wish) {
        self.0.send_if_modified(|now| {
            let more = wish > *now;
            *now = wish.max(*now);
            more
        });
    }
}

/// What a running command listens to. Clones listen to the same handle.
#[derive(Clone, Debug)]
pub struct Cancel(Option<watch::Receiver<Wish>>);

impl Cancel {
    /// Nobody will cancel.
    pub fn never() -> Cancel {
        Cancel(None)
    }

    /// Has it been cancelled (or the handle dropped)?
    pub fn is_cancelled(&self) -> bool {
        self.wish() > Wish::GoOn
    }

    /// Ends when it has been cancelled.
    pub async fn cancelled(&mut self) {
        self.beyond(Wish::GoOn).await;
    }

    fn wish(&self) -> Wish {
        match &self.0 {
            None => Wish::GoOn,
            Some(receiver) if receiver.has_changed().is_err() => (*receiver.borrow()).max(Wish::Cancel),
            Some(receiver) => *receiver.borrow(),
        }
    }

    /// Ends when more is wished than `wish`; never, if nobody can wish it any more.
    pub(super) async fn beyond(&mut self, wish: Wish) -> Wish {
        if self.wish() > wish {
            return self.wish();
        }
        let Some(receiver) = &mut self.0 else { return std::future::pending().await };
        match receiver.wait_for(|now| *now > wish).await {
            Ok(now) => *now,
            Err(_) if wish < Wish::Cancel => Wish::Cancel,
            Err(_) => std::future::pending().await,
        }
    }
}

/// A handle and what listens to it.
pub fn cancellation() -> (CancelHandle, Cancel) {
    let (sender, receiver) = watch::channel(Wish::GoOn);
    (CancelHandle(sender), Cancel(Some(receiver)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_wish_only_grows_and_every_listener_sees_it() {
        let (handle, mut first) = cancellation();
        let mut second = first.clone();
        assert!(!first.is_cancelled());
        handle.kill();
        handle.cancel();
        assert_eq!(first.beyond(Wish::GoOn).await, Wish::Kill);
        assert_eq!(second.beyond(Wish::Cancel).await, Wish::Kill);
        drop(handle);
        second.cancelled().await;
        assert!(second.is_cancelled() && first.is_cancelled());
        assert!(!Cancel::never().is_cancelled());
    }

    #[tokio::test]
    async fn a_dropped_handle_is_a_cancellation_and_no_more() {
        let (handle, mut cancel) = cancellation();
        drop(handle);
        assert_eq!(cancel.beyond(Wish::GoOn).await, Wish::Cancel);
        let more = timeout(Duration::from_millis(20), cancel.beyond(Wish::Cancel)).await;
        assert!(more.is_err(), "it must not be asked again and again");
    }
}
