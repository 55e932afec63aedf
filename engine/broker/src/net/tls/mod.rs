//! TLS: the settings of a listener, kept up with its files.
//!
//! **Not here**: reading the files (`certificates`), what a client's
//! certificate says (`identity`).

pub(crate) mod certificates;
pub(crate) mod identity;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use robustmq_config::TlsKeys;
use rustls::ServerConfig;
use tokio::sync::watch;

use certificates::{Files, TlsError};

/// What makes a file another one; `None` where there is none.
type Stamp = Option<(SystemTime, u64)>;

/// The TLS settings of one listener.
pub(crate) struct Tls {
    pub(crate) keys: TlsKeys,
    files: Files,
    alpn: Vec<Vec<u8>>,
    current: RwLock<Arc<ServerConfig>>,
    /// Of the files as they were last read, or tried to be.
    stamps: parking_lot::Mutex<Vec<Stamp>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`], which names the key that is at fault.
    pub(crate) fn new(keys: TlsKeys, data_dir: &Path, alpn: &[&[u8]]) -> Result<Self, TlsError> {
        let files = Files::new(&keys, data_dir)?;
        let alpn: Vec<Vec<u8>> = alpn.iter().map(|name| name.to_vec()).collect();
        let stamps = stamps(&files);
        let current = certificates::server_config(&keys, &files, &alpn)?;
        Ok(Self {
            keys,
            files,
            alpn,
            current: RwLock::new(Arc::new(current)),
            stamps: parking_lot::Mutex::new(stamps),
        })
    }

    /// The settings for a new connection.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read())
    }

    /// The broker's own certificate, where it uses it.
    pub(crate) fn self_signed(&self) -> Option<&Path> {
        self.keys.certfile.is_none().then_some(&*self.files.chain)
    }

    /// Reads the files again if one has changed; true if they are in use now.
    /// What cannot be used leaves the settings as they are.
    fn refresh(&self, listener: &str) -> bool {
        let now = stamps(&self.files);
        let mut known = self.stamps.lock();
        if *known == now {
            return false;
        }
        // Also when they turn out to be of no use: they are not tried again
        // before they change again.
        *known = now;
        match certificates::server_config(&self.keys, &self.files, &self.alpn) {
            Ok(config) => {
                *self.current.write() = Arc::new(config);
                tracing::info!(listener, "changed certificates are in use now");
                true
            }
            Err(error) => {
                tracing::warn!(
                    listener,
                    %error,
                    "changed certificates cannot be used; those before stay in use"
                );
                false
            }
        }
    }

    /// Looks at the files from time to time until `stop` turns true.
    pub(crate) async fn watch(
        self: Arc<Self>,
        listener: String,
        on_change: impl Fn(Arc<ServerConfig>) + Send + 'static,
        mut stop: watch::Receiver<bool>,
    ) {
        let listener: Arc<str> = listener.into();
        let interval = self.keys.cert_check_interval.duration();
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                _ = stop.changed() => return,
            }
            let tls = Arc::clone(&self);
            let listener = Arc::clone(&listener);
            let refreshed = tokio::task::spawn_blocking(move || tls.refresh(&listener)).await;
            if refreshed.unwrap_or(false) {
                on_change(self.current());
            }
        }
    }
}

fn stamps(files: &Files) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    };
    files.all().map(stamp).collect()
}
