//! Compression of bodies: chosen per frame, never trusted when undone.

use super::{FrameFault, RATIO_MAX};

/// How a body is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    #[default]
    None = 0,
    /// LZ4 block format.
    Lz4 = 1,
    /// Zstandard.
    Zstd = 2,
}

impl Codec {
    pub(crate) fn from_u8(value: u8) -> Option<Self> {
        [Self::None, Self::Lz4, Self::Zstd]
            .into_iter()
            .find(|codec| *codec as u8 == value)
    }
}

/// What to compress and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// For bodies that are large enough and shrink.
    pub codec: Codec,
    /// Smaller bodies are stored as they are.
    pub bytes_min: usize,
}

impl Default for Compression {
    /// LZ4 from 4 KiB on.
    fn default() -> Self {
        Self {
            codec: Codec::Lz4,
            bytes_min: 4096,
        }
    }
}

/// A body as it goes into a frame.
#[derive(Clone, Copy, Debug)]
pub struct EncodedBody<'a> {
    pub(crate) codec: Codec,
    pub(crate) bytes: &'a [u8],
    pub(crate) raw_len: usize,
}

impl<'a> EncodedBody<'a> {
    /// A body stored as it is.
    #[must_use]
    pub fn plain(bytes: &'a [u8]) -> Self {
        Self {
            codec: Codec::None,
            bytes,
            raw_len: bytes.len(),
        }
    }

    /// How it is compressed.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The bytes to be stored.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

const ZSTD_LEVEL: i32 = 1;
/// The largest buffer that is kept from one body to the next.
const SCRATCH_KEEP_MAX: usize = 8 << 20;

/// What compression must save to be worth undoing at every read: a part of this
/// many.
const SAVING_PART: usize = 16;

/// Bodies of a stream that are not tried after many that gained nothing.
const PAUSE_MAX: u32 = 32;

/// How compression fared with the bodies of one stream.
#[derive(Clone, Copy, Debug, Default)]
struct Fortune {
    /// Bodies that are not tried before the next one that is.
    pause: u32,
    /// How many they were after the last try without gain.
    pause_before: u32,
}

/// Compresses bodies one after the other; keeps its buffers in between.
///
/// Bodies of one stream are alike: where compression gains nothing, it is not
/// tried again for a while, which grows as long as that is so.
pub struct BodyEncoder {
    compression: Compression,
    /// By stream.
    fortunes: Vec<Fortune>,
    scratch: Vec<u8>,
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl BodyEncoder {
    /// An encoder with the given choice.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            fortunes: Vec::new(),
            scratch: Vec::new(),
            zstd: None,
        }
    }

    /// As [`BodyEncoder::encode`], for a body of a stream, which is given by its
    /// place among few: memory is taken for all before it.
    pub fn encode_of<'a>(&'a mut self, stream: usize, raw: &'a [u8]) -> EncodedBody<'a> {
        if stream >= self.fortunes.len() {
            self.fortunes.resize(stream + 1, Fortune::default());
        }
        let Compression { codec, bytes_min } = self.compression;
        if codec == Codec::None || raw.len() < bytes_min {
            return EncodedBody::plain(raw);
        }
        let mut fortune = self.fortunes[stream];
        if fortune.pause > 0 {
            fortune.pause -= 1;
            self.fortunes[stream] = fortune;
            return EncodedBody::plain(raw);
        }
        let (codec, len) = {
            let encoded = self.encode(raw);
            (encoded.codec, encoded.bytes.len())
        };
        if codec == Codec::None {
            fortune.pause_before = (fortune.pause_before * 2).clamp(1, PAUSE_MAX);
            fortune.pause = fortune.pause_before;
            self.fortunes[stream] = fortune;
            return EncodedBody::plain(raw);
        }
        self.fortunes[stream] = Fortune::default();
        EncodedBody {
            codec,
            bytes: &self.scratch[..len],
            raw_len: raw.len(),
        }
    }

    /// Compresses `raw` if it is large enough and shrinks; otherwise it is
    /// stored as it is. A body that Zstandard would shrink by more than
    /// [`RATIO_MAX`] is given to LZ4, which cannot.
    pub fn encode<'a>(&'a mut self, raw: &'a [u8]) -> EncodedBody<'a> {
        let Compression { codec, bytes_min } = self.compression;
        let large = raw.len() >= bytes_min && codec != Codec::None;
        let codec = if large && codec == Codec::Zstd && self.zstd(raw) {
            Codec::Zstd
        } else if large && self.lz4(raw) {
            Codec::Lz4
        } else {
            return EncodedBody::plain(raw);
        };
        EncodedBody {
            codec,
            bytes: &self.scratch,
            raw_len: raw.len(),
        }
    }

    /// Empties the scratch buffer and makes room, without keeping for ever
    /// what one very large body needed.
    fn clear_scratch(&mut self, room: usize) {
        self.scratch.clear();
        if self.scratch.capacity() > room.max(SCRATCH_KEEP_MAX) {
            self.scratch = Vec::new();
        }
        self.scratch.reserve(room);
    }

    fn shrank(&self, raw: &[u8]) -> bool {
        let len = self.scratch.len();
        len < raw.len() - raw.len() / SAVING_PART && raw.len() <= len.saturating_mul(RATIO_MAX)
    }

    /// Compresses into the scratch buffer; false if that was of no use.
    fn lz4(&mut self, raw: &[u8]) -> bool {
        let room = lz4_flex::block::get_maximum_output_size(raw.len());
        self.clear_scratch(room);
        self.scratch.resize(room, 0);
        match lz4_flex::block::compress_into(raw, &mut self.scratch) {
            Ok(len) => {
                self.scratch.truncate(len);
                self.shrank(raw)
            }
            Err(_) => false,
        }
    }

    /// As [`BodyEncoder::lz4`].
    fn zstd(&mut self, raw: &[u8]) -> bool {
        self.clear_scratch(zstd::zstd_safe::compress_bound(raw.len()));
        if self.zstd.is_none() {
            self.zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        let Some(compressor) = &mut self.zstd else {
            return false;
        };
        compressor
            .compress_to_buffer(raw, &mut self.scratch)
            .is_ok()
            && self.shrank(raw)
    }
}

impl std::fmt::Debug for BodyEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyEncoder")
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

/// Undoes the compression of a body whose header was checked: `raw_len` is
/// bounded by [`super::RAW_LEN_MAX`] and by [`RATIO_MAX`] times `stored`.
pub(crate) fn decompress(
    codec: Codec,
    stored: &[u8],
    raw_len: usize,
) -> Result<Vec<u8>, FrameFault> {
    assert!(
        raw_len <= stored.len().saturating_mul(RATIO_MAX),
        "the header was checked"
    );
    let raw = match codec {
        Codec::None => Some(stored.to_vec()),
        Codec::Lz4 => {
            let mut raw = vec![0; raw_len];
            match lz4_flex::block::decompress_into(stored, &mut raw) {
                Ok(len) if len == raw_len => Some(raw),
                _ => None,
            }
        }
        Codec::Zstd => zstd::bulk::decompress(stored, raw_len).ok(),
    };
    raw.filter(|raw| raw.len() == raw_len)
        .ok_or(FrameFault::Compression)
}
