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

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(40))]
    #[test]
    fn whatever_is_printed_every_byte_is_kept_in_order_or_counted(
        sizes in proptest::collection::vec(0usize..30_000, 1..26), budget in 1u64..40,
    ) {
        let (directory, mut spool) = spool(budget * 4096);
        for (letter, size) in (b'A'..=b'Z').zip(&sizes) {
            spool.take(&vec![letter; *size]);
        }
        let kept = std::fs::read(directory.path().join("spool")).expect("read");
        let kept: Vec<u8> = kept.into_iter().filter(u8::is_ascii_uppercase).collect();
        proptest::prop_assert!(kept.is_sorted(), "out of order");
        proptest::prop_assert_eq!(kept.len() as u64 + spool.dropped(), sizes.iter().sum::<usize>() as u64);
        proptest::prop_assert!(kept.len() as u64 <= budget * 4096);
    }
}
