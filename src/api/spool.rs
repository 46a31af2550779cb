//! The reading side of a Run's spool: from anywhere, in bounded pieces, over the holes that the daemon punches where
//! the server has acknowledged the output.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Most bytes of one piece, and of one step when lines are counted backwards.
pub(super) const PIECE: usize = 64 * 1024;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Offset(u64),
    LastBytes(u64),
    LastLines(u64),
}

/// A spool that is being read.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    position: u64,
}

/// What was there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where `bytes` begins.
    pub(super) offset: u64,
    /// May be empty, when all up to the end is a hole.
    pub(super) bytes: Vec<u8>,
    /// Bytes of a hole right before it.
    pub(super) skipped: u64,
}

impl Spool {
    /// None when there is no such file.
    pub(super) fn open(path: &Path, start: Start) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let length = file.metadata()?.len();
        let position = match start {
            Start::Offset(offset) => offset,
            Start::LastBytes(bytes) => length.saturating_sub(bytes),
            Start::LastLines(lines) => before_last_lines(&file, length, lines)?,
        };
        Ok(Some(Self { file, position }))
    }

    /// The next piece; none at the present end.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        let length = self.file.metadata()?.len();
        if self.position >= length {
            return Ok(None);
        }
        let begin = match seek(&self.file, SeekFrom::Data(self.position)) {
            Ok(begin) => begin,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => length,
            // A file system without holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => self.position,
            Err(errno) => return Err(errno.into()),
        };
        let mut skipped = begin - self.position;
        let end = match seek(&self.file, SeekFrom::Hole(begin)) {
            Ok(end) if end > begin => end,
            Ok(_) | Err(_) => length,
        };
        let want = usize::try_from(end - begin).unwrap_or(PIECE).min(PIECE);
        let mut bytes = vec![0; want];
        let got = self.file.read_at(&mut bytes, begin)?;
        bytes.truncate(got);
        // The kernel punches whole blocks and writes zeros into the rest of the last one.
        if skipped > 0 {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes.drain(..zeros);
            skipped += zeros as u64;
        }
        let offset = self.position + skipped;
        self.position = offset + bytes.len() as u64;
        Ok((skipped > 0 || !bytes.is_empty()).then_some(Piece { offset, bytes, skipped }))
    }
}

/// Where the last `lines` lines begin. A line that has not ended yet counts. Memory stays at one piece.
fn before_last_lines(file: &File, length: u64, lines: u64) -> io::Result<u64> {
    let mut end = length;
    let mut wanted = lines;
    let mut block = vec![0; PIECE];
    if lines == 0 {
        return Ok(length);
    }
    while end > 0 {
        let begin = end.saturating_sub(PIECE as u64);
        let size = usize::try_from(end - begin).unwrap_or(PIECE);
        file.read_exact_at(&mut block[..size], begin)?;
        for at in (0..size).rev() {
            // The newline at the very end belongs to the last line.
            if block[at] == b'\n' && begin + at as u64 + 1 != length {
                wanted -= 1;
                if wanted == 0 {
                    return Ok(begin + at as u64 + 1);
                }
            }
        }
        end = begin;
    }
    Ok(0)
}

/// The end of `text` with at most so many bytes or lines.
pub(super) fn tail(text: &str, start: Start) -> &str {
    let from = match start {
        Start::Offset(offset) => usize::try_from(offset).unwrap_or(usize::MAX).min(text.len()),
        Start::LastBytes(bytes) => text.len().saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX)),
        Start::LastLines(0) => text.len(),
        Start::LastLines(lines) => {
            let body = text.strip_suffix('\n').unwrap_or(text);
            let nth = usize::try_from(lines).unwrap_or(usize::MAX).saturating_sub(1);
            body.rmatch_indices('\n').nth(nth).map_or(0, |(at, _)| at + 1)
        }
    };
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    &text[from..]
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn spool(bytes: &[u8], start: Start) -> (tempfile::NamedTempFile, Spool) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(bytes).expect("it is written");
        let spool = Spool::open(file.path(), start).expect("it opens").expect("it is there");
        (file, spool)
    }

    fn rest(bytes: &[u8], start: Start) -> Vec<u8> {
        let (_file, mut spool) = spool(bytes, start);
        let mut all = Vec::new();
        while let Some(piece) = spool.next().expect("it reads") {
            assert!(piece.bytes.len() <= PIECE);
            all.extend(piece.bytes);
        }
        all
    }

    #[test]
    fn reading_begins_where_it_is_asked_to() {
        let text = b"one\ntwo\nthree\n";
        assert_eq!(rest(text, Start::Offset(4)), b"two\nthree\n");
        assert_eq!(rest(text, Start::Offset(400)), b"");
        assert_eq!(rest(text, Start::LastBytes(6)), b"three\n");
        assert_eq!(rest(text, Start::LastLines(2)), b"two\nthree\n");
        assert_eq!(rest(text, Start::LastLines(9)), text);
        assert_eq!(rest(text, Start::LastLines(0)), b"");
        assert_eq!(rest(b"one\ntwo\nthr", Start::LastLines(2)), b"two\nthr");
    }

    #[test]
    fn lines_are_counted_over_many_blocks() {
        let mut text = vec![b'x'; 3 * PIECE];
        text[10] = b'\n';
        assert_eq!(rest(&text, Start::LastLines(1)).len(), 3 * PIECE - 11);
    }

    #[test]
    fn what_is_appended_later_is_read_later() {
        let (mut file, mut spool) = spool(b"a", Start::Offset(0));
        assert_eq!(spool.next().expect("it reads").map(|piece| piece.bytes), Some(b"a".to_vec()));
        assert_eq!(spool.next().expect("it reads"), None);
        file.write_all(b"b").expect("it is written");
        let piece = Piece { offset: 1, bytes: b"b".to_vec(), skipped: 0 };
        assert_eq!(spool.next().expect("it reads"), Some(piece));
    }

    #[test]
    fn a_punched_hole_is_skipped_and_counted() {
        let mut text = vec![b'x'; 10_000];
        text.extend(b"end\n");
        let (file, mut spool) = spool(&text, Start::Offset(0));
        let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        if let Err(errno) = rustix::fs::fallocate(file.as_file(), flags, 0, 10_000) {
            panic!("this test needs a file system with holes in TMPDIR ({errno}); set TMPDIR to ext4, xfs or tmpfs");
        }
        let piece = Piece { offset: 10_000, bytes: b"end\n".to_vec(), skipped: 10_000 };
        assert_eq!(spool.next().expect("it reads"), Some(piece));
    }

    #[test]
    fn the_tail_of_a_text_never_cuts_a_character() {
        assert_eq!(tail("a€", Start::LastBytes(2)), "");
        assert_eq!(tail("a\nb\nc\n", Start::LastLines(2)), "b\nc\n");
        assert_eq!(tail("abc", Start::Offset(1)), "bc");
    }
}
