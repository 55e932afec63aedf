//! What keeps bytes from being a frame.

use crate::error::FormatError;

/// Why bytes are not a valid frame. Whether that is the end of the log, a torn
/// write or damage is for the [`crate::FrameScanner`] to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// There are fewer bytes than the frame has.
    #[error("frame has {need} bytes, there are fewer")]
    Short {
        /// Bytes from the frame's start that are needed to go on.
        need: usize,
    },
    /// The first bytes are not [`crate::FRAME_MAGIC`]; unused space looks so.
    #[error("no frame starts here")]
    Magic,
    /// The header is damaged or belongs to another life of the file.
    #[error("header checksum does not match")]
    HeaderChecksum,
    /// The body is damaged.
    #[error("body checksum does not match")]
    BodyChecksum,
    /// A verified header or body says something that no writer writes.
    #[error("{0}")]
    Field(&'static str),
    /// The body does not decompress to the announced length.
    #[error("body does not decompress")]
    Compression,
    /// The segment is in a format that a later version writes.
    #[error("segment format {version} is newer than this program")]
    Newer {
        /// The format version found.
        version: u32,
    },
    /// The verified body breaks a rule of its own format.
    #[error(transparent)]
    Format(#[from] FormatError),
}
