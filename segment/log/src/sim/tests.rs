//! The simulated disk is as unkind as it says, and not more.

use std::collections::BTreeSet;
use std::io;

use super::{Faults, SimDisk};
use crate::disk::{Disk, read_all};

fn content(disk: &SimDisk, name: &str) -> Vec<u8> {
    read_all(&*disk.open(name).expect("opens")).expect("reads")
}

fn names(disk: &SimDisk) -> Vec<String> {
    let files = disk.list().expect("lists");
    files.into_iter().map(|entry| entry.name).collect()
}

/// A file of 4096 zeros, all of it durable.
fn prepared() -> SimDisk {
    let disk = SimDisk::new(1);
    let file = disk.create("a").expect("creates");
    file.set_len(4096).expect("extends");
    file.sync_data().expect("syncs");
    disk.sync_dir().expect("syncs");
    disk
}

#[test]
fn what_is_synced_survives() {
    for seed in 0..50 {
        let disk = prepared();
        let file = disk.open("a").expect("opens");
        file.write_at(100, &[7; 3000]).expect("writes");
        file.sync_data().expect("syncs");
        let before = content(&disk, "a");
        assert_eq!(content(&disk.crash(seed), "a"), before);
    }
}

#[test]
fn what_is_not_synced_is_lost_torn_or_reordered_by_sectors() {
    let mut states = BTreeSet::new();
    for seed in 0..2000 {
        let disk = prepared();
        let file = disk.open("a").expect("opens");
        file.write_at(0, &[1; 1024]).expect("writes");
        file.write_at(512, &[2; 512]).expect("writes");
        file.write_at(1024, &[3; 256]).expect("writes");
        let bytes = content(&disk.crash(seed), "a");
        assert!(bytes[..512].iter().all(|&byte| byte == bytes[0]));
        assert!(bytes[512..1024].iter().all(|&byte| byte == bytes[512]));
        assert!(bytes[1024..1280].iter().all(|&byte| byte == bytes[1024]));
        assert!(bytes[1280..].iter().all(|&byte| byte == 0));
        states.insert((bytes[0], bytes[512], bytes[1024]));
    }
    let expected: BTreeSet<(u8, u8, u8)> = [0, 1]
        .into_iter()
        .flat_map(|first| [0, 1, 2].map(|second| (first, second)))
        .flat_map(|(first, second)| [0, 3].map(|third| (first, second, third)))
        .collect();
    assert_eq!(states, expected, "every mixture of sectors, and no other");
}

#[test]
fn lengths_need_a_sync_too() {
    let mut lengths = BTreeSet::new();
    for seed in 0..200 {
        let disk = prepared();
        let file = disk.open("a").expect("opens");
        file.write_at(4096, &[1; 512]).expect("writes");
        lengths.insert(content(&disk.crash(seed), "a").len());
    }
    assert_eq!(lengths, BTreeSet::from([4096, 4608]));
}

#[test]
fn names_need_a_sync_of_the_directory() {
    let change = || {
        let disk = prepared();
        disk.create("new").expect("creates");
        disk.rename("a", "b").expect("renames");
        disk
    };
    let mut lists = BTreeSet::new();
    for seed in 0..100 {
        lists.insert(names(&change().crash(seed)).join(" "));
    }
    let expected = ["a", "a new", "b", "b new"].map(str::to_owned);
    assert_eq!(lists, BTreeSet::from(expected));
    for seed in 0..50 {
        let disk = change();
        disk.sync_dir().expect("syncs");
        assert_eq!(names(&disk.crash(seed)), ["b", "new"]);
    }
}

#[test]
fn the_same_seed_leaves_the_same_bytes() {
    let run = |seed| {
        let disk = prepared();
        let file = disk.open("a").expect("opens");
        for place in 0..8u8 {
            let position = u64::from(place) * 500;
            file.write_at(position, &[place + 1; 600]).expect("writes");
        }
        content(&disk.crash(seed), "a")
    };
    assert!((0..20).all(|seed| run(seed) == run(seed)));
    assert!((1..20).any(|seed| run(seed) != run(0)));
}

#[test]
fn the_machine_stops_at_a_call_and_stays_off() {
    let mut effects = BTreeSet::new();
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let file = disk.create("a").expect("creates");
        disk.sync_dir().expect("syncs");
        disk.plan(Faults {
            crash_at: Some(2),
            ..Faults::default()
        });
        file.write_at(0, b"x").expect("writes");
        assert!(!disk.has_crashed());
        assert!(file.sync_data().is_err());
        assert!(disk.has_crashed() && disk.calls() == 2);
        assert!(file.read_at(0, &mut [0]).is_err() && file.len().is_err());
        assert!(file.write_at(0, b"y").is_err() && file.set_len(1).is_err());
        assert!(disk.list().is_err() && disk.open("a").is_err());
        assert!(disk.create("b").is_err() && disk.remove("a").is_err());
        assert!(disk.rename("a", "b").is_err() && disk.sync_dir().is_err());
        assert!(disk.free_bytes().is_err());
        effects.insert(content(&disk.crash(seed), "a"));
    }
    // The sync that was cut off may have had its effect.
    assert!(effects.contains(&b"x"[..]) && effects.contains(&b""[..]));
}

#[test]
fn a_failed_sync_loses_what_it_was_to_keep() {
    for seed in 0..20 {
        let disk = prepared();
        disk.plan(Faults {
            fail_sync_at: Some(1),
            ..Faults::default()
        });
        let file = disk.open("a").expect("opens");
        file.write_at(0, &[1; 512]).expect("writes");
        file.write_at(4096, &[1; 512]).expect("writes");
        assert!(file.sync_data().is_err());
        assert_eq!(content(&disk, "a")[0], 1, "the system still shows it");
        file.write_at(512, &[2; 512]).expect("writes");
        file.write_at(4608, &[2; 512]).expect("writes");
        file.sync_data().expect("only one sync fails");
        assert_eq!(disk.syncs(), 2);
        let bytes = content(&disk.crash(seed), "a");
        assert_eq!((bytes[0], bytes[512], bytes[4608]), (0, 2, 2));
    }
}

#[test]
fn a_full_disk_refuses_growth_only() {
    let disk = prepared();
    disk.plan(Faults {
        capacity_bytes: Some(5000),
        ..Faults::default()
    });
    assert_eq!(disk.free_bytes().expect("has power"), 904);
    let file = disk.open("a").expect("opens");
    let full = |result: io::Result<()>| result.map_err(|error| error.kind());
    let refused = Err(io::ErrorKind::StorageFull);
    assert_eq!(full(file.set_len(5001)), refused);
    assert_eq!(full(file.write_at(4000, &[1; 1001])), refused);
    assert_eq!(file.len().expect("has power"), 4096);
    file.write_at(0, &[1; 4096]).expect("is allocated");
    file.write_at(4096, &[1; 904]).expect("has room");
    disk.remove("a").expect("removes");
    assert_eq!(disk.free_bytes().expect("has power"), 5000);
}

#[test]
fn flips_are_on_the_medium() {
    let disk = prepared();
    disk.flip_bit("a", 10);
    assert_eq!(content(&disk, "a")[..3], [0, 4, 0]);
    let copy = disk.copy();
    assert_eq!(content(&disk.crash(1), "a")[..3], [0, 4, 0]);
    copy.flip_bit("a", 10);
    assert_eq!(content(&copy.crash(1), "a")[..3], [0, 0, 0]);
}
