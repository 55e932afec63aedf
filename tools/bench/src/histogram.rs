//! Counts of values in buckets that are never wider than a 128th of what they
//! hold: percentiles with an error below 1 % at the cost of one increment.

/// Buckets per power of two, as a power of two.
const SUB_BITS: u32 = 7;

/// Enough for every `u64`.
const BUCKETS: usize = ((64 - SUB_BITS as usize) + 1) << SUB_BITS;

/// A histogram of nanoseconds.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            count: 0,
            max: 0,
        }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The value below or at which `share` (0 to 1) of all values lie.
    pub(crate) fn percentile(&self, share: f64) -> u64 {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest(index).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(value: u64) -> usize {
    let power = 63 - (value | 1).leading_zeros();
    if power < SUB_BITS {
        return value as usize;
    }
    let shift = power - SUB_BITS;
    let sub = (value >> shift) as usize & ((1 << SUB_BITS) - 1);
    ((shift as usize + 1) << SUB_BITS) + sub
}

/// The highest value of a bucket.
fn highest(bucket: usize) -> u64 {
    let (row, sub) = (bucket >> SUB_BITS, bucket as u64 & ((1 << SUB_BITS) - 1));
    if row == 0 {
        return sub;
    }
    let shift = row - 1;
    let lowest = ((1 << SUB_BITS) + sub) << shift;
    lowest + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests;
