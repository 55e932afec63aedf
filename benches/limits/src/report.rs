//! The table in docs/benchmarks.md, between its markers.

const BEGIN: &str = "<!-- begin: written by `make bench-limits` -->";
const END: &str = "<!-- end: written by `make bench-limits` -->";

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) figure: String,
    pub(crate) target: &'static str,
}

impl Line {
    pub(crate) fn new(what: impl Into<String>, figure: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            figure: figure.into(),
            target: "",
        }
    }

    pub(crate) fn target(self, target: &'static str) -> Self {
        Self { target, ..self }
    }
}

pub(crate) fn table(lines: &[Line]) -> String {
    let rows = lines
        .iter()
        .map(|line| format!("| {} | {} | {} |\n", line.what, line.figure, line.target));
    format!(
        "| what | figure | target |\n| --- | --- | --- |\n{}",
        rows.collect::<String>()
    )
}

/// Puts the table between the markers; behind everything if there are none.
pub(crate) fn replace(page: &str, table: &str) -> String {
    let written = format!("{BEGIN}\n\n{}\n\n{END}", table.trim());
    match (page.find(BEGIN), page.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{written}{}", &page[..begin], &page[end + END.len()..])
        }
        _ => format!(
            "{}\n\n## However much there is\n\n{written}\n",
            page.trim_end()
        ),
    }
}

/// 1234567 as `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
