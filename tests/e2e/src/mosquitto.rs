//! mosquitto's broker as a process, for what is compared with it.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running mosquitto; killed when dropped.
pub struct Mosquitto {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Mosquitto {
    /// Its program; Debian installs it where only root looks.
    pub fn program() -> PathBuf {
        let debian = PathBuf::from("/usr/sbin/mosquitto");
        if debian.is_file() {
            debian
        } else {
            "mosquitto".into()
        }
    }

    /// Starts it on a free port, by a program with arguments (`wrapper`) that
    /// becomes it. Its configuration is given without the listener.
    ///
    /// # Errors
    /// When it does not start, most likely because it is not installed.
    pub fn start(wrapper: &[String], configuration: &str) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        // Free a moment ago; it cannot choose one itself.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let file = directory.path().join("mosquitto.conf");
        let listener = format!("listener {} 127.0.0.1\n", address.port());
        std::fs::write(&file, listener + configuration)?;
        let mut command = match wrapper {
            [] => Command::new(Self::program()),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(Self::program());
                command
            }
        };
        command.arg("-c").arg(&file).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut started = Self {
            child: command.spawn()?,
            address,
            _directory: directory,
        };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let has_ended = started.child.try_wait()?.is_some();
            if has_ended || start.elapsed() > PATIENCE {
                let message = "mosquitto does not listen (Debian: `apt-get install mosquitto`)";
                return Err(io::Error::other(message));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(started)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
