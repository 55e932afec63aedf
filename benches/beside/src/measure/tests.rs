use super::median;

#[test]
fn medians() {
    let cases: [(&[f64], Option<f64>); 5] = [
        (&[], None),
        (&[3.0], Some(3.0)),
        (&[3.0, 1.0, 9.0], Some(3.0)),
        (&[4.0, 1.0, 2.0, 9.0], Some(3.0)),
        (&[f64::NAN, 2.0], Some(2.0)),
    ];
    for (values, expected) in cases {
        assert_eq!(median(values.iter().copied()), expected, "{values:?}");
    }
}
