use super::*;

fn spool(budget: u64) -> (tempfile::TempDir, Spool) {
    let directory = tempfile::tempdir().expect("a directory");
    let spool = Spool::open(&directory.path().join("spool"), budget).expect("opened");
    (directory, spool)
}

#[test]
fn what_is_beyond_the_budget_is_counted_and_said_once() {
    let (directory, mut spool) = spool(64 * 1024);
    for _ in 0..100 {
        spool.take(&[b'x'; 4096]);
    }
    let text = std::fs::read_to_string(directory.path().join("spool")).expect("read");
    assert_eq!(text.matches("[clearmld]").count(), 1);
    let kept = u64::try_from(text.matches('x').count()).expect("small");
    assert_eq!(kept + spool.dropped(), 100 * 4096);
    assert!(kept > 0 && kept <= 64 * 1024);
}

#[test]
fn room_that_the_daemon_makes_is_used_again() {
    let (directory, mut spool) = spool(64 * 1024);
    for _ in 0..20 {
        spool.take(&[b'x'; 4096]);
    }
    let dropped = spool.dropped();
    assert!(dropped > 0);
    let file = OpenOptions::new().write(true).open(directory.path().join("spool")).expect("opened");
    rustix::fs::fallocate(
        &file,
        rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE,
        0,
        60 * 1024,
    )
    .expect("punched");
    spool.take(b"after\n");
    assert_eq!(spool.dropped(), dropped);
    assert!(std::fs::read(directory.path().join("spool")).expect("read").ends_with(b"after\n"));
}

#[test]
fn a_chunk_that_fits_in_part_is_no_reason_for_a_second_gap() {
    let (directory, mut spool) = spool(64 * 1024);
    spool.take(&[b'x'; 40 * 1024]);
    spool.take(&[b'x'; 256 * 1024]);
    spool.take(b"small\n");
    let text = std::fs::read_to_string(directory.path().join("spool")).expect("read");
    assert_eq!(text.matches("[clearmld]").count(), 1);
    assert!(text.matches('x').count() > 60 * 1024 && !text.contains("small"));
}
