use super::{Unexpected, Window};

#[test]
fn qos_1_and_qos_2_exchanges_give_their_identifier_back() {
    let mut window = Window::new(2);
    let (one, two) = (window.open(10), window.open(20));
    assert_eq!((one, two), (Some(1), Some(2)));
    assert_eq!(window.open(30), None);
    assert_eq!(window.complete(1), Ok(10));
    assert_eq!(window.release(2), Ok(()));
    assert_eq!(window.complete_released(2), Ok(20));
    assert!(window.is_empty());
}

#[test]
fn acknowledgements_of_nothing_are_told() {
    let mut window = Window::new(2);
    window.open(0);
    for id in [0, 2, 3, u16::MAX] {
        assert_eq!(window.complete(id), Err(Unexpected), "{id}");
        assert_eq!(window.release(id), Err(Unexpected), "{id}");
    }
    assert_eq!(window.complete_released(1), Err(Unexpected));
    assert_eq!(window.release(1), Ok(()));
    assert_eq!(window.complete(1), Err(Unexpected));
}

#[test]
fn a_window_shrinks_only_while_it_is_empty() {
    let mut window = Window::new(9);
    window.shrink(20);
    assert_eq!(window.size(), 9);
    window.shrink(3);
    assert_eq!(window.size(), 3);
    window.open(0);
    window.shrink(1);
    assert_eq!(window.size(), 3);
}
