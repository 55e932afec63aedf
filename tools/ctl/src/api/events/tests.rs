use super::*;

fn events(text: &'static str) -> Vec<Event> {
    let mut events = Events::new(Box::new(text.as_bytes()));
    std::iter::from_fn(|| events.next_event().expect("memory can be read")).collect()
}

#[test]
fn fields_are_gathered_up_to_an_empty_line() {
    let found = events("id: 7\nevent: message\ndata: a\ndata:b\n\n:comment\n\ndata\nevent:x\n\n");
    assert_eq!(
        found,
        [
            Event {
                id: Some("7".to_owned()),
                name: "message".to_owned(),
                data: "a\nb".to_owned()
            },
            Event {
                name: "x".to_owned(),
                ..Event::default()
            }
        ]
    );
}

#[test]
fn what_is_not_finished_is_no_event() {
    assert_eq!(events("data: half"), []);
    assert_eq!(events(""), []);
}
