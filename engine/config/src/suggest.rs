//! The known key that is nearest to an unknown one.

/// Longer keys get no suggestion: the comparison costs the product of both lengths.
const KEY_BYTES_MAX: usize = 256;

/// The candidate that `wrong` most probably meant: few letters away, or the same name in another section, if
/// only one has it.
pub(crate) fn nearest<'a>(
    wrong: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    if wrong.len() > KEY_BYTES_MAX {
        return None;
    }
    let name = last_segment(wrong);
    let candidates: Vec<&str> = candidates.collect();
    let has_name = |candidate: &&&str| last_segment(candidate) == name;
    let is_only_one = candidates.iter().filter(has_name).count() == 1;
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let whole = distance(wrong, candidate);
            let moved = if is_only_one && last_segment(candidate) == name {
                1
            } else {
                usize::MAX
            };
            let cost = whole.min(moved);
            let cost_max = 2.max(name.len() / 3);
            (cost <= cost_max).then_some((cost, whole, candidate))
        })
        .min()
        .map(|(_, _, candidate)| candidate)
}

fn last_segment(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// Levenshtein distance in bytes, where two swapped neighbours count once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}
