//! Wiring: configuration, data directory, log, views, broker; then waiting for
//! the end.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use robustmq_admin::{Admin, BindError, Bound, Keys, KeysError, Node};
use robustmq_broker::cluster::{ClusterSetup, TlsFiles};
use robustmq_broker::{OnFatal, Running, Setup, StartError, SystemClock};
use robustmq_config::{Config, Engine};
use robustmq_log::{DataDir, DataDirError, RealDisk};
use robustmq_views::KvStore;
use robustmq_views_rocksdb::RocksStore;
use tokio::signal::unix::{SignalKind, signal};

use crate::logging;

/// The start failed, or the broker could not go on.
const EXIT_FAILED: u8 = 1;

/// Open files a broker wants; more connections than that need a higher limit.
const OPEN_FILES_WANTED: u64 = 20_000;

/// Why the broker does not run.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("{action}: {source}")]
    Io {
        action: &'static str,
        source: std::io::Error,
    },
    #[error("the views cannot be opened: {0}")]
    Views(String),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Http(#[from] BindError),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// Runs a broker until it is told to stop.
pub(crate) fn run(config: &Config) -> ExitCode {
    logging::install(&config.log);
    raise_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(source) => {
            return refuse(&Failure::Io {
                action: "starting the runtime",
                source,
            });
        }
    };
    match runtime.block_on(serve(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => refuse(&failure),
    }
}

fn refuse(failure: &Failure) -> ExitCode {
    eprintln!("error: {failure}");
    ExitCode::from(EXIT_FAILED)
}

async fn serve(config: &Config) -> Result<(), Failure> {
    let io = |action| move |source| Failure::Io { action, source };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("listening for SIGINT"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(io("listening for SIGTERM"))?;
    let directory = DataDir::open(&config.node.data_dir)?;
    let http = bind_http(config)?;
    let keys = Keys::new(&config.api.key, &config.node.data_dir)?;
    let running = Running::start(setup(config, &directory)?).await?;
    announce(config, &running, &http);
    let node = Node {
        name: config.node.name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        since: Instant::now(),
    };
    let admin = Admin::start(running.broker(), node, keys, http);
    tokio::select! {
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
    }
    admin.stop().await;
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

fn bind_http(config: &Config) -> Result<Vec<Bound>, BindError> {
    let listeners = config.listeners.http.iter();
    listeners
        .filter(|(_, listener)| listener.enabled)
        .map(|(name, listener)| robustmq_admin::bind(name, listener))
        .collect()
}

fn setup(config: &Config, directory: &DataDir) -> Result<Setup, Failure> {
    let disk = RealDisk::new(directory.log()).map_err(|source| Failure::Io {
        action: "opening the log directory",
        source,
    })?;
    Ok(Setup {
        cluster: cluster(config, directory)?,
        disk: Arc::new(disk),
        store: store(config, &directory.views())?,
        clock: Arc::new(SystemClock::default()),
        on_fatal: on_fatal(),
        config: config.clone(),
    })
}

/// What it takes to be part of a cluster, if the node may be.
fn cluster(config: &Config, directory: &DataDir) -> Result<Option<ClusterSetup>, Failure> {
    let settings = &config.cluster;
    let (true, Some(ca), Some(certificate), Some(key)) = (
        settings.enabled,
        &settings.ca,
        &settings.certificate,
        &settings.key,
    ) else {
        return Ok(None);
    };
    let own = RealDisk::new(directory.cluster()).map_err(|source| Failure::Io {
        action: "opening the directory of the cluster",
        source,
    })?;
    let places = settings.discovery.0.iter();
    // Checked when the configuration was read.
    let discovery = places.filter_map(|place| place.parse().ok()).collect();
    Ok(Some(ClusterSetup {
        directory: Arc::new(own),
        bind: settings.bind,
        advertise: settings.advertise.clone(),
        tls: TlsFiles {
            ca: ca.clone(),
            certificate: certificate.clone(),
            key: key.clone(),
        },
        discovery,
        heartbeat: settings.heartbeat_interval.duration(),
        election: settings.election_timeout.duration(),
        node_timeout: settings.node_timeout.duration(),
    }))
}

fn store(config: &Config, path: &Path) -> Result<Arc<dyn KvStore>, Failure> {
    match config.storage.engine {
        Engine::Segment => {
            let store =
                RocksStore::open(path).map_err(|error| Failure::Views(error.to_string()))?;
            Ok(Arc::new(store))
        }
    }
}

/// A log or views that failed end the process at once: what the disk holds is
/// known only after a new start. Nothing acknowledged is lost by that.
fn on_fatal() -> OnFatal {
    Arc::new(|reason: String| {
        tracing::error!(
            "{reason}; the broker stops at once, nothing acknowledged is lost. Check the disk, then start it again"
        );
        std::process::exit(i32::from(EXIT_FAILED));
    })
}

fn announce(config: &Config, running: &Running, http: &[Bound]) {
    println!(
        "robustmq {} node {} ({})",
        env!("CARGO_PKG_VERSION"),
        config.node.id,
        config.node.name
    );
    println!("data in {}", config.node.data_dir.display());
    for listening in running.listening() {
        println!(
            "listening {}:{} {}",
            listening.kind,
            listening.name,
            listening.url()
        );
    }
    for bound in http {
        println!("listening http:{} http://{}", bound.name, bound.address);
    }
    if let Some(cluster) = running.broker().cluster() {
        println!("listening cluster {}", cluster.address());
    }
    println!("ready");
}

/// The soft limit of open files is often far below the hard one.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit
        .maximum
        .map_or(OPEN_FILES_WANTED, |hard| hard.min(OPEN_FILES_WANTED));
    if limit.current.is_some_and(|soft| soft < wanted) {
        limit.current = Some(wanted);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
}
