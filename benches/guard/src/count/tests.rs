use super::total;

#[test]
fn the_total_is_found_among_other_lines() {
    let text = "# callgrind format\nevents: Ir\nfn=(1) main\n5 100\n\ntotals: 188780072\n";
    assert_eq!(total(text), Some(188_780_072));
}

#[test]
fn a_file_that_was_cut_has_no_total() {
    assert_eq!(total("events: Ir\nfn=(1) main\n"), None);
    assert_eq!(total("totals: \n"), None);
}
