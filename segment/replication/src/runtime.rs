//! Where groups run, and where their chance comes from: on threads of their
//! own, or, in a simulation, on the one thread that runs everything, with all
//! chance from a seed.

mod watch;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::async_runtime::AsyncRuntime;
use openraft_rt_tokio::TokioRuntime;
use rand::TryRng;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Where tasks of groups run.
#[derive(Clone, Debug)]
pub struct Executor {
    handle: Handle,
    is_alone: bool,
}

impl Executor {
    /// On a runtime with several threads: what blocks has a thread to itself.
    #[must_use]
    pub fn on(handle: Handle) -> Self {
        let is_alone = false;
        Self { handle, is_alone }
    }

    /// On a runtime of one thread, which also runs what blocks, at once: nothing
    /// may wait there for another task.
    #[must_use]
    pub fn on_one_thread(handle: Handle) -> Self {
        let is_alone = true;
        Self { handle, is_alone }
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn(task)
    }

    /// Does what may take long, or wait for a disk.
    pub(crate) fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
        let (mut here, mut there) = (None, None);
        if self.is_alone {
            here = Some(work);
        } else {
            there = Some(self.handle.spawn_blocking(work));
        }
        async move {
            if let Some(work) = here.take() {
                return Ok(work());
            }
            let there = there.take().expect("it runs here or there");
            there.await.map_err(io::Error::other)
        }
    }

    /// Does what may wait, in the place of the task that runs.
    pub(crate) fn block_in_place<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.is_alone {
            return work();
        }
        tokio::task::block_in_place(work)
    }
}

thread_local! {
    /// What chance on this thread comes from, if not from the system.
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on everything that is left to chance in groups on this thread comes
/// from the seed, or from the system again.
pub fn seed_thread(seed: Option<u64>) {
    SEED.set(seed);
}

/// Chance of groups: the system's, unless the thread was given a seed.
#[derive(Debug)]
pub struct GroupChance(rand::rngs::ThreadRng);

impl TryRng for GroupChance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let Some(state) = SEED.get() else {
            return self.0.try_next_u64();
        };
        // splitmix64
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        SEED.set(Some(state));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(8) {
            let chance = self.try_next_u64()?.to_le_bytes();
            part.copy_from_slice(&chance[..part.len()]);
        }
        Ok(())
    }
}

/// Tokio, with [`GroupChance`], and nothing else left to chance.
#[derive(Debug)]
pub struct GroupRuntime(TokioRuntime);

impl AsyncRuntime for GroupRuntime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> =
        <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = GroupChance;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = watch::OrderedWatch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        GroupChance(rand::rng())
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}
