//! DurableMark: written when the log goes idle, so that the durable number of
//! the last real frames is on disk too.

use crate::error::FormatError;
use crate::frame::FrameFields;
use crate::wire::Input;

/// A frame whose header's durable number is all it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurableMark {
    /// Written at an orderly shutdown; no frame follows in this run.
    pub clean: bool,
}

impl DurableMark {
    pub(super) fn read(fields: &FrameFields, body: &[u8]) -> Result<Self, FormatError> {
        Input::new("durable mark", body).finish()?;
        Ok(Self {
            clean: fields.flags.clean,
        })
    }
}
