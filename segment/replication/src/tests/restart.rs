//! What a log says after it was closed and opened again.
