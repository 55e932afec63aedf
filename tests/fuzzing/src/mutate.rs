//! Changes that inputs suffer.

/// Numbers that parsers stumble over.
const INTERESTING: [u8; 9] = [0x00, 0x01, 0x7f, 0x80, 0xff, 0xfe, 0x10, 0x40, 0x30];

/// Changes of one input at most.
const CHANGES_MAX: usize = 6;

/// A small generator of numbers: the same seed and iteration, the same choices.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The choices of one iteration.
    #[must_use]
    pub fn new(seed: u64, iteration: u64) -> Self {
        let mixed = seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(iteration.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        Self((mixed ^ (mixed >> 31)) | 1)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 {
            return 0;
        }
        ((self.next_u64() >> 33) as usize) % end
    }
}

/// Changes `input` in a few places.
pub(crate) fn mutate(input: &mut Vec<u8>, corpus: &[&[u8]], chance: &mut Chance) {
    for _ in 0..=chance.below(CHANGES_MAX) {
        change(input, corpus, chance);
    }
}

fn change(input: &mut Vec<u8>, corpus: &[&[u8]], chance: &mut Chance) {
    let place = chance.below(input.len());
    match chance.below(9) {
        0 => {
            if let Some(byte) = input.get_mut(place) {
                *byte ^= 1 << chance.below(8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(place) {
                *byte = INTERESTING[chance.below(INTERESTING.len())];
            }
        }
        // Lengths are mostly off by a little.
        2 => {
            if let Some(byte) = input.get_mut(place) {
                *byte = byte.wrapping_add(1).wrapping_sub(2 * chance.below(2) as u8);
            }
        }
        3 => input.insert(place, chance.next_u64() as u8),
        4 => {
            let end = place + chance.below(input.len() - place + 1).min(16);
            input.drain(place..end);
        }
        5 => {
            let end = place + chance.below(input.len() - place + 1).min(64);
            let piece = input[place..end].to_vec();
            input.splice(place..place, piece);
        }
        6 => input.truncate(place),
        // The rest of another one.
        7 => {
            let other = corpus[chance.below(corpus.len())];
            input.truncate(place);
            input.extend_from_slice(&other[chance.below(other.len())..]);
        }
        // Another one behind it.
        _ => input.extend_from_slice(corpus[chance.below(corpus.len())]),
    }
}
