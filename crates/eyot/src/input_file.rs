//! Files that a command line names: read whole, but never more than makes sense.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use crate::failure::{Failure, Outcome};

/// Longest certificate, key, signing request or policy that is read: a hundred times what they have.
pub(crate) const BYTES_MAX: u64 = 1024 * 1024;

/// A file's content, or a pipe's (`<(command)`), of at most [`BYTES_MAX`]. `option` is where its name was given.
pub(crate) fn read(path: &Path, option: &str) -> Outcome<Vec<u8>> {
    let bytes = read_up_to(path, BYTES_MAX).map_err(|error| cannot_read(path, option, &error))?;
    bytes.ok_or_else(|| {
        Failure::new(format!("`{}` is longer than {} KiB", path.display(), BYTES_MAX / 1024))
            .advice(format!("give {option} the right file"))
    })
}

/// The same as text.
pub(crate) fn read_text(path: &Path, option: &str) -> Outcome<String> {
    String::from_utf8(read(path, option)?).map_err(|_| {
        Failure::new(format!("`{}` is not text", path.display()))
            .advice(format!("give {option} the right file"))
    })
}

/// A file's or pipe's bytes; nothing when it has more than so many. Devices such as `/dev/zero` are not read at all.
pub(crate) fn read_up_to(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let kind = fs::metadata(path)?.file_type();
    if !kind.is_file() && !kind.is_fifo() {
        return Err(io::Error::other("it is neither a file nor a pipe"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= bytes_max).then_some(bytes))
}

/// Says that a file cannot be read, and where to name another.
pub(crate) fn cannot_read(path: &Path, option: &str, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("cannot read `{}`", path.display())).because(error);
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            failure.advice("make it readable for you: ls -l shows who may read it")
        }
        _ => failure.advice(format!("correct the path that {option} names")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_not_read() {
        let text = read(Path::new("/dev/zero"), "--ca FILE").expect_err("a device").to_string();
        assert!(
            text.contains("neither a file nor a pipe") && text.contains("try: ") && text.contains("--ca"),
            "{text}"
        );
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert!(read(dir.path(), "--ca FILE").is_err());
        let path = dir.path().join("long");
        fs::write(&path, vec![b'x'; 1024 * 1024 + 1]).expect("written");
        let text = read(&path, "--ca FILE").expect_err("too long").to_string();
        assert!(text.contains("longer than 1024 KiB"), "{text}");
        fs::write(&path, "short").expect("written");
        assert_eq!(read_text(&path, "--ca FILE").expect("read"), "short");
    }
}
