//! A board whose BOOTSEL button was held: a small drive that takes one UF2 file and then vanishes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pico_image::Board;
use rustix::io::Errno;

use crate::failure::{Failure, Outcome};

/// The file that says which board it is. [RP2350 datasheet 5.7.6]
const INFO: &str = "INFO_UF2.TXT";
/// More than any boot ROM's, which has about 60 bytes.
const INFO_BYTES_MAX: u64 = 4096;
/// The file's name on the drive; the boot ROM looks at content alone.
const NAME: &str = "eyot.uf2";
/// Bytes that are brought to the board before the next are read: progress is told in these steps.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long a board may take to vanish once the last block has arrived: the RP2040's boot ROM restarts after a second.
const VANISH_TIMEOUT: Duration = Duration::from_secs(5);
/// What helps with most that can go wrong.
const AGAIN: &str = "unplug the board, hold BOOTSEL while you plug it in, and run the same command again";
/// Between two looks at something that is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// A drive that waits for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drive {
    /// Where it is mounted.
    pub(crate) path: PathBuf,
    /// What is behind it.
    pub(crate) board: Board,
    /// The system's device: it goes when the board does, while a mount may stay behind.
    device: Option<PathBuf>,
}

/// All drives that there are.
pub(crate) fn find() -> Vec<Drive> {
    let mut drives: Vec<Drive> = Vec::new();
    for path in candidates() {
        let path = path.canonicalize().unwrap_or(path);
        if let Some(drive) = look(&path).filter(|_| drives.iter().all(|known| known.path != path)) {
            drives.push(drive);
        }
    }
    drives
}

/// The one drive that the file is for; nothing when there is no drive at all.
pub(crate) fn choose(drives: Vec<Drive>, board: Board) -> Outcome<Option<Drive>> {
    let listed = drives.iter().map(|drive| format!("`{}` ({})", drive.path.display(), drive.board));
    let listed = listed.collect::<Vec<_>>().join(", ");
    let others = drives.len();
    let mut fitting: Vec<Drive> = drives.into_iter().filter(|drive| drive.board == board).collect();
    match (fitting.pop(), fitting.is_empty()) {
        (Some(drive), true) => Ok(Some(drive)),
        (Some(_), false) => Err(Failure::new(format!("several boards wait for a file: {listed}"))
            .advice("say which one with --drive PATH, or unplug the others")),
        (None, _) if others == 0 => Ok(None),
        (None, _) => Err(Failure::new(format!("the file is for a {board}, and there is no such board"))
            .why(format!("what waits for a file is {listed}"))
            .advice("make the image for that board: `eyot pico image … --board pico-w` or pico2-w")),
    }
}

impl Drive {
    /// The drive at a place, if there is one.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        look(&path.canonicalize().unwrap_or(path.to_owned()))
    }

    /// Where the file is on the drive, as long as that is there.
    pub(crate) fn file(&self) -> PathBuf {
        self.path.join(NAME)
    }

    /// Brings a file to the board. `tell` is given the bytes that have arrived. What fails half-way is removed again, if
    /// there is still a drive to remove it from: it holds a part of the key.
    pub(crate) fn write(&self, image: &[u8], tell: &mut dyn FnMut(usize)) -> Outcome {
        let file = self.create().map_err(|error| self.cannot_write(&error))?;
        self.copy(image, file, tell).map_err(|error| {
            // The error to report is the first one.
            let _ = fs::remove_file(self.file());
            self.cannot_write(&error)
        })
    }

    /// Whether the board has restarted, which is how it says that it has the whole file. Waits for it.
    pub(crate) fn has_restarted(&self) -> bool {
        self.has_vanished(VANISH_TIMEOUT)
    }

    /// The file, new and its owner's alone: what is taken for a drive may be a directory that stays.
    fn create(&self) -> io::Result<File> {
        let path = self.file();
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => fs::remove_file(&path)?,
            Ok(_) => return Err(io::Error::other(format!("`{NAME}` is there, and it is no regular file"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // A link that was put there meanwhile is not followed.
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)
    }

    fn copy(&self, image: &[u8], mut file: File, tell: &mut dyn FnMut(usize)) -> io::Result<()> {
        let mut arrived = 0;
        let mut chunks = image.chunks(CHUNK_BYTES).peekable();
        while let Some(chunk) = chunks.next() {
            file.write_all(chunk)?;
            let synced = file.sync_data();
            if chunks.peek().is_some() {
                synced?;
            } else {
                // The board has its last block and restarts, perhaps before the system has written the directory.
                let ended = synced.and_then(|()| file.sync_all());
                settled(ended, || self.has_vanished(VANISH_TIMEOUT))?;
            }
            arrived += chunk.len();
            tell(arrived);
        }
        Ok(())
    }

    fn cannot_write(&self, error: &io::Error) -> Failure {
        let shown = self.path.display();
        let failure = Failure::new(format!("cannot write to the board's drive `{shown}`")).because(error);
        match error.kind() {
            io::ErrorKind::StorageFull => failure
                .advice("a board's drive has room for any image: is this one? Remove what else is on it")
                .advice(AGAIN),
            io::ErrorKind::ReadOnlyFilesystem => failure
                .advice(format!("the system may only read it: sudo mount -o remount,rw {shown}"))
                .advice(AGAIN),
            io::ErrorKind::PermissionDenied => failure
                .advice(format!("it is another user's: ls -ld {shown} shows whose; mount it as your own")),
            _ => failure.advice(AGAIN),
        }
    }

    fn has_vanished(&self, timeout: Duration) -> bool {
        let since = Instant::now();
        loop {
            let device_is_gone = self.device.as_ref().is_some_and(|device| !device.exists());
            if device_is_gone || look(&self.path).is_none() {
                return true;
            }
            if since.elapsed() > timeout {
                return false;
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

/// Whether writing the last bytes succeeded: also with an error that a device has which went away, if it did go away.
/// The boot ROM restarts only once it has every block, so a drive that vanishes has taken the file.
fn settled(ended: io::Result<()>, has_vanished: impl FnOnce() -> bool) -> io::Result<()> {
    const GONE: [Errno; 4] = [Errno::IO, Errno::NODEV, Errno::NXIO, Errno::NOENT];
    match ended {
        Err(error) if Errno::from_io_error(&error).is_some_and(|errno| GONE.contains(&errno)) => {
            if has_vanished() {
                Ok(())
            } else {
                Err(error)
            }
        }
        other => other,
    }
}

/// Waits until there is a drive, as long as it takes.
pub(crate) fn wait_for(mut look: impl FnMut() -> Outcome<Option<Drive>>) -> Outcome<Drive> {
    loop {
        if let Some(drive) = look()? {
            return Ok(drive);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// Whether a directory is a board's drive.
fn look(path: &Path) -> Option<Drive> {
    let mut info = Vec::new();
    File::open(path.join(INFO)).ok()?.take(INFO_BYTES_MAX).read_to_end(&mut info).ok()?;
    let board = board_of(&String::from_utf8_lossy(&info))?;
    let device = mounts().into_iter().find(|mount| mount.path == path).map(|mount| mount.device);
    Some(Drive { path: path.to_owned(), board, device: device.filter(|device| device.is_absolute()) })
}

/// `Board-ID: RPI-RP2`, on a line of its own.
fn board_of(info: &str) -> Option<Board> {
    let id = info.lines().find_map(|line| line.strip_prefix("Board-ID:"))?.trim();
    Board::ALL.into_iter().find(|board| board.boot_drive() == id)
}

/// Where a drive may be: what is mounted as a boot ROM's file system, and where desktops mount.
fn candidates() -> Vec<PathBuf> {
    let mounted = mounts().into_iter().filter(|mount| mount.is_fat).map(|mount| mount.path);
    let user = std::env::var("USER").unwrap_or_default();
    let parents = [
        "/media".into(),
        Path::new("/media").join(&user),
        Path::new("/run/media").join(&user),
        "/Volumes".into(),
    ];
    let children = parents.iter().filter_map(|parent| fs::read_dir(parent).ok()).flatten().flatten();
    mounted.chain(children.map(|entry| entry.path())).collect()
}

/// Something mounted.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: PathBuf,
    path: PathBuf,
    is_fat: bool,
}

/// Linux's list; elsewhere there is none.
fn mounts() -> Vec<Mount> {
    fs::read_to_string("/proc/mounts")
        .map(|text| text.lines().filter_map(mount).collect())
        .unwrap_or_default()
}

/// `DEVICE PATH TYPE OPTIONS 0 0`; spaces and the like are `\040`. [proc(5), fstab(5)]
fn mount(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ');
    let (device, path, kind) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Mount {
        device: unescaped(device).into(),
        path: unescaped(path).into(),
        is_fat: matches!(kind, "vfat" | "msdos"),
    })
}

fn unescaped(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(code) if code.is_ascii() => {
                text.push(char::from(code));
                text.push_str(&part[3..]);
            }
            _ => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive(path: &str, board: Board) -> Drive {
        Drive { path: path.into(), board, device: None }
    }

    #[test]
    fn a_board_says_what_it_is() {
        let rp2040 = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n";
        assert_eq!(board_of(rp2040), Some(Board::PicoW));
        assert_eq!(
            board_of("UF2 Bootloader v1.0\nModel: Raspberry Pi RP2350\nBoard-ID: RP2350\n"),
            Some(Board::Pico2W)
        );
        assert_eq!(board_of("UF2 Bootloader v1.23\nBoard-ID: SAMD21G18A-Feather-v0\n"), None);
        assert_eq!(board_of(""), None);
    }

    #[test]
    fn mounts_are_read_with_their_spaces() {
        let line = r"/dev/sda1 /media/me/RPI-RP2\0401 vfat rw,nosuid 0 0";
        let expected = Mount { device: "/dev/sda1".into(), path: "/media/me/RPI-RP2 1".into(), is_fat: true };
        assert_eq!(mount(line), Some(expected));
        assert_eq!(mount("proc /proc proc rw 0 0").map(|mount| mount.is_fat), Some(false));
        assert_eq!(mount("nonsense"), None);
        assert_eq!(unescaped(r"a\134b\x"), r"a\b\x");
    }

    #[test]
    fn the_drive_that_fits_is_chosen_and_two_need_a_word() {
        let (old, new) = (drive("/a", Board::PicoW), drive("/b", Board::Pico2W));
        let choose = |drives: &[&Drive]| {
            super::choose(drives.iter().map(|drive| (*drive).clone()).collect(), Board::PicoW)
        };
        assert_eq!(choose(&[]).expect("nothing wrong"), None);
        assert_eq!(choose(&[&new, &old]).expect("one fits"), Some(old.clone()));
        let text = choose(&[&old, &drive("/c", Board::PicoW)]).expect_err("two").to_string();
        assert!(text.contains("--drive") && text.contains("`/a`") && text.contains("`/c`"), "{text}");
        let text = choose(&[&new]).expect_err("another board").to_string();
        assert!(text.contains("for a Pico W") && text.contains("`/b` (Pico 2 W)"), "{text}");
    }

    #[test]
    fn an_error_at_the_end_is_one_only_if_the_drive_is_still_there() {
        let error = |errno: Errno| Err(io::Error::from(errno));
        assert!(settled(Ok(()), || false).is_ok(), "whether it has vanished yet");
        for gone in [Errno::IO, Errno::NODEV, Errno::NXIO, Errno::NOENT] {
            assert!(settled(error(gone), || true).is_ok(), "{gone}");
            assert!(settled(error(gone), || false).is_err(), "{gone}");
        }
        assert!(settled(error(Errno::NOSPC), || true).is_err(), "a full drive is no board");
    }

    #[test]
    fn what_a_drive_refuses_comes_with_a_next_step() {
        let drive = drive("/media/me/RPI-RP2", Board::PicoW);
        for (errno, advice) in [
            (Errno::NOSPC, "has room for any image"),
            (Errno::ROFS, "remount,rw /media/me/RPI-RP2"),
            (Errno::ACCESS, "ls -ld /media/me/RPI-RP2"),
            (Errno::IO, "hold BOOTSEL"),
        ] {
            let text = drive.cannot_write(&errno.into()).to_string();
            assert!(text.contains("cannot write") && text.contains(advice), "{text}");
        }
    }

    #[test]
    fn a_board_that_goes_away_is_noticed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join(INFO), "Board-ID: RPI-RP2\n").expect("written");
        let drive = Drive::at(dir.path()).expect("a drive");
        assert!(!drive.has_vanished(Duration::ZERO));
        fs::remove_file(dir.path().join(INFO)).expect("removed");
        assert!(drive.has_vanished(Duration::ZERO));
        let unplugged = Drive { device: Some(dir.path().join("sda1")), ..drive };
        fs::write(dir.path().join(INFO), "Board-ID: RPI-RP2\n").expect("written");
        assert!(unplugged.has_vanished(Duration::ZERO), "the mount stays, the device is gone");
    }
}
