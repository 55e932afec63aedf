//! What every disk does as long as nothing fails.

use std::io;

use super::{Disk, DiskEntry, MemoryDisk, RealDisk, is_disk_full, read_all, write_zeros};
use crate::sim::SimDisk;

fn names(disk: &dyn Disk) -> io::Result<Vec<String>> {
    Ok(disk.list()?.into_iter().map(|entry| entry.name).collect())
}

fn refused<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

fn bytes(disk: &dyn Disk) -> io::Result<()> {
    let file = disk.create("a")?;
    assert!(file.is_empty()?);
    file.set_len(1000)?;
    let mut buffer = [1; 1200];
    assert_eq!(file.read_at(0, &mut buffer)?, 1000);
    assert!(buffer[..1000].iter().all(|&byte| byte == 0));
    file.write_at(10, b"hello")?;
    file.sync_data()?;
    // Another handle sees the same, and less at the end.
    let other = disk.open("a")?;
    assert_eq!(other.read_at(10, &mut buffer[..5])?, 5);
    assert_eq!(&buffer[..5], b"hello");
    assert_eq!(other.read_at(998, &mut buffer[..5])?, 2);
    assert_eq!(other.read_at(1000, &mut buffer[..5])?, 0);
    assert_eq!(other.read_at(u64::from(u32::MAX), &mut buffer[..5])?, 0);
    // Writing behind the end leaves zeros between.
    file.write_at(1010, b"end")?;
    assert_eq!(other.len()?, 1013);
    assert_eq!(other.read_at(995, &mut buffer)?, 18);
    assert_eq!(&buffer[..18], b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0end");
    // What was cut off does not come back.
    file.set_len(12)?;
    file.set_len(16)?;
    assert_eq!(read_all(&*other)?, b"\0\0\0\0\0\0\0\0\0\0he\0\0\0\0");
    write_zeros(&*file, 11, 20)?;
    assert_eq!(
        read_all(&*other)?,
        b"\0\0\0\0\0\0\0\0\0\0h\0\0\0\0\0\0\0\0\0"
    );
    // Room that is reserved reads as zeros, and keeps what there is.
    file.write_at(0, b"first")?;
    file.allocate(3 << 20)?;
    assert_eq!(file.len()?, 3 << 20);
    let all = read_all(&*other)?;
    assert!(all.starts_with(b"first\0\0\0\0\0h\0"));
    assert!(all[20..].iter().all(|&byte| byte == 0));
    file.sync_data()?;
    disk.remove("a")
}

fn directory(disk: &dyn Disk) -> io::Result<()> {
    assert_eq!(names(disk)?, Vec::<String>::new());
    let missing = Some(io::ErrorKind::NotFound);
    assert_eq!(refused(disk.open("a")), missing);
    assert_eq!(refused(disk.remove("a")), missing);
    assert_eq!(refused(disk.rename("a", "b")), missing);
    disk.create("b")?.write_at(0, b"bee")?;
    let a = disk.create("a")?;
    a.write_at(0, b"abc")?;
    let exists = Some(io::ErrorKind::AlreadyExists);
    assert_eq!(refused(disk.create("a")), exists);
    assert_eq!(read_all(&*a)?, b"abc");
    let entry = |name: &str, len| DiskEntry {
        name: name.to_owned(),
        len,
    };
    assert_eq!(disk.list()?, [entry("a", 3), entry("b", 3)]);
    // A rename replaces; files stay open without their name.
    let b = disk.open("b")?;
    disk.rename("a", "b")?;
    disk.sync_dir()?;
    assert_eq!(names(disk)?, ["b"]);
    assert_eq!(read_all(&*disk.open("b")?)?, b"abc");
    assert_eq!(read_all(&*b)?, b"bee");
    disk.remove("b")?;
    disk.sync_dir()?;
    a.write_at(0, b"x")?;
    a.sync_data()?;
    assert_eq!(read_all(&*a)?, b"xbc");
    assert_eq!(names(disk)?, Vec::<String>::new());
    // The name is free again, and stands for another file.
    assert!(disk.create("b")?.is_empty()?);
    disk.remove("b")?;
    assert!(disk.free_bytes()? > 0);
    Ok(())
}

fn contract(disk: &dyn Disk) {
    directory(disk).expect("nothing fails");
    bytes(disk).expect("nothing fails");
}

#[test]
fn a_real_disk_keeps_the_contract() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    contract(&RealDisk::new(directory.path().join("new")).expect("a disk in it"));
}

#[test]
fn a_simulated_disk_keeps_the_contract() {
    contract(&SimDisk::new(1));
}

#[test]
fn a_disk_in_memory_keeps_the_contract() {
    contract(&MemoryDisk::new());
}

#[test]
fn a_disk_for_looking_refuses_changes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    assert!(RealDisk::read_only(directory.path().join("missing")).is_err());
    let writable = RealDisk::new(directory.path()).expect("a disk");
    let file = writable.create("a").expect("creates");
    file.write_at(0, b"abc").expect("writes");
    std::fs::create_dir(directory.path().join("folder")).expect("creates");
    let disk = RealDisk::read_only(directory.path()).expect("a disk");
    let read = disk.open("a").expect("opens");
    assert_eq!(read_all(&*read).expect("reads"), b"abc");
    assert_eq!(names(&disk).expect("lists"), ["a"], "only files are listed");
    let read_only = Some(io::ErrorKind::ReadOnlyFilesystem);
    assert_eq!(refused(disk.create("b")), read_only);
    assert_eq!(refused(disk.remove("a")), read_only);
    assert_eq!(refused(disk.rename("a", "b")), read_only);
    assert!(read.write_at(0, b"x").is_err());
    assert_eq!(read_all(&*file).expect("reads"), b"abc");
}

#[test]
fn only_missing_room_is_a_full_disk() {
    assert!(is_disk_full(&io::ErrorKind::StorageFull.into()));
    assert!(is_disk_full(&io::ErrorKind::QuotaExceeded.into()));
    assert!(!is_disk_full(&io::ErrorKind::NotFound.into()));
}
