//! Micro-benchmarks of the hot path's pure parts: see `benches/hot_path.rs`.
//! Whole messages are counted by `benches/guard`.
