//! The one thread that hashes secrets.
//!
//! A thread of its own and not tokio's pool: the allocator keeps what a thread
//! has used, 19 MB for a hash, for each thread that ever hashed.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use tokio::sync::oneshot;

/// Secrets that may wait.
pub(super) const WAITING_MAX: usize = 16;

/// A secret to be compared with a hash.
pub(super) struct Job {
    hash: String,
    secret: String,
    reply: oneshot::Sender<bool>,
}

/// Where to bring secrets.
pub(super) struct Hasher {
    jobs: SyncSender<Job>,
}

impl Hasher {
    /// Starts the thread; it ends with this.
    pub(super) fn start() -> io::Result<Self> {
        let (hasher, jobs) = Self::idle();
        thread::Builder::new()
            .name("api-keys".to_owned())
            .spawn(move || work(&jobs))?;
        Ok(hasher)
    }

    /// Without anybody who works.
    pub(super) fn idle() -> (Self, Receiver<Job>) {
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        (Self { jobs }, waiting)
    }

    /// Whether the secret is the one of the hash; none if too many wait already.
    pub(super) async fn is_right(&self, hash: &str, secret: &str) -> Option<bool> {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            hash: hash.to_owned(),
            secret: secret.to_owned(),
            reply,
        };
        self.jobs.try_send(job).ok()?;
        answer.await.ok()
    }
}

/// Hashes one after the other, until nobody can bring any more.
pub(super) fn work(jobs: &Receiver<Job>) {
    for job in jobs {
        // Who asked has hung up: guessing so would be for free.
        if job.reply.is_closed() {
            continue;
        }
        // It may have hung up just now.
        let _ = job.reply.send(verify(&job.hash, &job.secret));
    }
}

fn verify(hash: &str, secret: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        let verified = Argon2::default().verify_password(secret.as_bytes(), &hash);
        verified.is_ok()
    })
}
