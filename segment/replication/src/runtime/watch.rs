//! Tokio's watch channel, whose receivers are woken in the order in which they
//! began to wait: tokio's own wakes them in an order that it leaves to chance.

use std::sync::Arc;

use futures_util::FutureExt;
use openraft::async_runtime::watch::{self, RecvError, SendError};
use openraft::{OptionalSend, async_runtime::watch::Watch};
use tokio::sync::{Notify, watch as tokio_watch};

/// The channel.
#[derive(Debug)]
pub struct OrderedWatch;

/// Wakes all who wait, also when it goes.
struct Bell(Arc<Notify>);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

/// Where values come from.
pub struct OrderedSender<T> {
    // Goes first: who is woken by the bell has to see that.
    values: tokio_watch::Sender<T>,
    bell: Bell,
}

impl<T> Clone for OrderedSender<T> {
    fn clone(&self) -> Self {
        Self {
            values: self.values.clone(),
            bell: Bell(Arc::clone(&self.bell.0)),
        }
    }
}

/// Sees the last value.
pub struct OrderedReceiver<T> {
    values: tokio_watch::Receiver<T>,
    bell: Arc<Notify>,
}

impl<T> Clone for OrderedReceiver<T> {
    fn clone(&self) -> Self {
        Self {
            values: self.values.clone(),
            bell: Arc::clone(&self.bell),
        }
    }
}

impl Watch for OrderedWatch {
    type Sender<T: OptionalSend + openraft::OptionalSync> = OrderedSender<T>;
    type Receiver<T: OptionalSend + openraft::OptionalSync> = OrderedReceiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = tokio_watch::Ref<'a, T>;

    fn channel<T: OptionalSend + openraft::OptionalSync>(
        init: T,
    ) -> (Self::Sender<T>, Self::Receiver<T>) {
        let (sender, receiver) = tokio_watch::channel(init);
        let bell = Arc::new(Notify::new());
        let sender = OrderedSender {
            values: sender,
            bell: Bell(Arc::clone(&bell)),
        };
        let receiver = OrderedReceiver {
            values: receiver,
            bell,
        };
        (sender, receiver)
    }
}

impl<T> watch::WatchSender<OrderedWatch, T> for OrderedSender<T>
where
    T: OptionalSend + openraft::OptionalSync,
{
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        let sent = self.values.send(value);
        self.bell.0.notify_waiters();
        sent.map_err(|error| SendError(error.0))
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let modified = self.values.send_if_modified(modify);
        if modified {
            self.bell.0.notify_waiters();
        }
        modified
    }

    fn borrow_watched(&self) -> tokio_watch::Ref<'_, T> {
        self.values.borrow()
    }

    fn subscribe(&self) -> OrderedReceiver<T> {
        OrderedReceiver {
            values: self.values.subscribe(),
            bell: Arc::clone(&self.bell.0),
        }
    }
}

impl<T> watch::WatchReceiver<OrderedWatch, T> for OrderedReceiver<T>
where
    T: OptionalSend + openraft::OptionalSync,
{
    async fn changed(&mut self) -> Result<(), RecvError> {
        loop {
            let rung = self.bell.notified();
            tokio::pin!(rung);
            // From here on no ring is missed.
            rung.as_mut().enable();
            if let Some(changed) = self.values.changed().now_or_never() {
                return changed.map_err(|_| RecvError(()));
            }
            rung.await;
        }
    }

    fn borrow_watched(&self) -> tokio_watch::Ref<'_, T> {
        self.values.borrow()
    }

    fn borrow_and_update(&mut self) -> tokio_watch::Ref<'_, T> {
        self.values.borrow_and_update()
    }
}
