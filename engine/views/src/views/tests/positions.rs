use super::*;

fn reopened(bench: &Bench) -> Views {
    Views::new(Arc::clone(&bench.store)).expect("memory can be read")
}

#[test]
fn positions_are_stored_with_what_they_stand_for() {
    let mut bench = Bench::new();
    assert_eq!(bench.views.applied(SHARD), Offset::ZERO);
    bench.append(&[SampleRecord::retained("a", "x")]);
    assert_eq!(bench.views.applied(SHARD), Offset::new(2, 0));
    assert_eq!(reopened(&bench).applied(SHARD), Offset::new(2, 0));
}

#[test]
fn batches_without_state_move_positions_lazily() {
    let mut bench = Bench::new();
    bench.append(&[SampleRecord::retained("a", "x")]);
    let plain = SampleRecord {
        retain: false,
        ..SampleRecord::retained("a", "x")
    };
    bench.append(&[plain]);
    bench.views.note_applied(ShardId(1), Offset::new(9, 0));
    bench.views.note_applied(ShardId(1), Offset::new(8, 0));
    assert_eq!(bench.views.applied(SHARD), Offset::new(3, 0));
    assert_eq!(bench.views.applied(ShardId(1)), Offset::new(9, 0));
    assert_eq!(reopened(&bench).applied(SHARD), Offset::new(2, 0));
    bench.views.flush().expect("memory takes writes");
    assert_eq!(reopened(&bench).applied(SHARD), Offset::new(3, 0));
    assert_eq!(reopened(&bench).applied(ShardId(1)), Offset::new(9, 0));
}

#[test]
fn a_fresh_log_is_applied_from_its_first_batch() {
    let bench = Bench::new();
    let begun = |start| {
        bench
            .views
            .begin(SHARD, start)
            .expect("memory takes writes")
    };
    assert_eq!(begun(Offset::ZERO), Offset::new(1, 0));
    assert_eq!(begun(Offset::new(1, 0)), Offset::new(1, 0));
    assert_eq!(bench.views.applied(SHARD), Offset::new(1, 0));
}

#[test]
fn views_that_are_ahead_of_the_logs_beginning_go_on() {
    let mut bench = Bench::new();
    bench.append(&[SampleRecord::retained("a", "x")]);
    bench.append(&[SampleRecord::retained("b", "x")]);
    let start = bench.views.begin(SHARD, Offset::new(2, 0));
    assert_eq!(start.expect("memory takes writes"), Offset::new(3, 0));
    assert_eq!(bench.topics("#"), ["a", "b"]);
}

/// Other shards' entries stay when one shard is folded anew.
#[test]
fn folding_anew_concerns_one_shard() {
    let mut bench = Bench::new();
    let other = ShardId(1);
    bench.append(&[SampleRecord::retained("a", "x")]);
    bench.append(&[SampleRecord::exactly_once(CLIENT, "a", 1)]);
    bench.log(&opened(1, false));
    bench.log(&subscribed(&["a"]));
    bench.append_to(other, &[SampleRecord::retained("b", "x")]);
    bench.append_to(other, &[SampleRecord::exactly_once(CLIENT, "b", 2)]);
    let start = bench.views.begin(SHARD, Offset::new(50, 0));
    assert_eq!(start.expect("memory takes writes"), Offset::new(50, 0));
    assert_eq!(bench.topics("#"), ["b"]);
    assert_eq!(bench.session(), None);
    assert_eq!(
        bench
            .views
            .inbound_qos2(CLIENT)
            .expect("memory can be read")
            .len(),
        1
    );
    let views = reopened(&bench);
    assert_eq!(views.applied(SHARD), Offset::new(50, 0));
}

/// A record of a later version does not keep the broker from starting.
#[test]
fn unreadable_records_are_counted_and_passed_over() {
    let mut bench = Bench::new();
    let later = SampleRecord {
        kind: 99,
        ..SampleRecord::state(CLIENT, &opened(1, false))
    };
    let damaged = SampleRecord {
        payload: vec![1],
        ..SampleRecord::state(CLIENT, &opened(1, false))
    };
    bench.append(&[later, damaged, SampleRecord::retained("a", "x")]);
    assert_eq!(bench.views.unreadable_records(), 2);
    assert_eq!(bench.topics("#"), ["a"]);
}

/// A value that cannot be read is an error that says which view it is.
#[test]
fn damaged_values_are_told() {
    let mut bench = Bench::new();
    bench.log(&opened(1, false));
    let mut batch = crate::store::WriteBatch::new();
    batch.put(crate::keys::core(NAMESPACE_DEFAULT, CLIENT), [0xff]);
    bench.store.write(batch).expect("memory takes writes");
    let told = bench
        .views
        .session(CLIENT)
        .expect_err("the value is damaged");
    assert!(told.to_string().contains("session view"), "{told}");
}

/// Namespaces do not see each other.
#[test]
fn only_the_default_namespace_is_read() {
    let bench = Bench::new();
    let mut builder = BatchBuilder::new(BatchLimits::default());
    let record = SampleRecord::retained("a", "x");
    let input = robustmq_record::RecordInput {
        namespace: "tenant",
        ..record.input()
    };
    builder.try_push(&input).expect("one record fits");
    let batch: Batch = builder.finish(SHARD, 1, Term(1));
    bench.views.apply(&batch).expect("memory takes writes");
    assert_eq!(bench.topics("#"), [""; 0]);
    assert_ne!(bench.views.digest().expect("memory can be read"), 0);
}
