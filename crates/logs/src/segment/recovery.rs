//! Opening a group's directory: torn tails are cut, damage is set aside, the rest is served.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::Position;
use store::disk::{Disk, OpenMode, settle_file};

use crate::Damage;

use super::unsealed::{decode_record, record_bytes, walk};
use super::{
    HEADER_BYTES, Header, SealedSegment, Segment, StoredEvent, UnsealedSegment, numbered, sealed,
    segment_path,
};

/// The segments of a group as they were found.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Oldest first.
    pub(crate) segments: Vec<Segment>,
    /// The newest segment when it is unsealed, and its size: more can be appended to it.
    pub(crate) active: Option<(Arc<UnsealedSegment>, u64)>,
    /// Higher than any number in use.
    pub(crate) next_number: u32,
    pub(crate) damages: Vec<Damage>,
}

/// Opens all segments of a group.
///
/// After an orderly end everything is on disk (`clean`). Otherwise what is read may be in the page cache only: after
/// a kill, or after a sync that failed. It counts as stored from here on, so it is written anew.
pub(crate) fn recover(disk: &dyn Disk, dir: &Path, group: u32, clean: bool) -> io::Result<Recovered> {
    let mut recovered = Recovered::default();
    if !disk.exists(dir) {
        return Ok(recovered);
    }
    finish_replacements(disk, dir)?;
    let mut numbers = Vec::new();
    for name in disk.list(dir)? {
        let Some((number, kind)) = numbered(&name) else { continue };
        recovered.next_number = recovered.next_number.max(number.saturating_add(1));
        match kind {
            "events" => numbers.push(number),
            "events.damaged" => recovered.damages.push(Damage {
                file: dir.join(name),
                offset: 0,
                reason: "was set aside; what could be read of it is served".to_owned(),
            }),
            _ => {}
        }
    }
    for (index, &number) in numbers.iter().enumerate() {
        let newest = index + 1 == numbers.len();
        open_segment(disk, dir, group, number, newest, clean, &mut recovered)?;
    }
    if !clean {
        disk.sync_dir(dir)?; // The names as well.
    }
    Ok(recovered)
}

fn open_segment(
    disk: &dyn Disk,
    dir: &Path,
    group: u32,
    number: u32,
    newest: bool,
    clean: bool,
    recovered: &mut Recovered,
) -> io::Result<()> {
    let path = segment_path(dir, number);
    let file = disk.open(&path, OpenMode::Write)?;
    let mut header = [0; HEADER_BYTES];
    let read = file.read_at(0, &mut header)?;
    let header = match Header::decode(&header[..read]) {
        Ok(header) if (header.group, header.number) == (group, number) => header,
        // The header is durable before the first record is written.
        Err(_) if newest && file.size()? <= HEADER_BYTES as u64 => {
            disk.remove_file(&path)?;
            return disk.sync_dir(dir);
        }
        Ok(_) => return set_aside(disk, dir, group, number, 0, "it belongs to another group", recovered),
        Err(reason) => return set_aside(disk, dir, group, number, 0, &reason, recovered),
    };
    if header.sealed {
        return match SealedSegment::open(&*file, &path, number) {
            Ok(segment) => {
                recovered.segments.push(Segment::Sealed(Arc::new(segment)));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                set_aside(disk, dir, group, number, 0, &error.to_string(), recovered)
            }
            Err(error) => Err(error),
        };
    }
    let mut bytes = file.read_all()?;
    let found = walk(&bytes, number);
    // An older segment was synced as a whole before the next one began: nothing in it can be torn.
    let cut = bytes.len() as u64 - found.end;
    if cut > 0 && (found.damaged || !newest) {
        let reason = "a record is not readable, and later ones were written";
        return set_aside(disk, dir, group, number, found.end, reason, recovered);
    }
    if cut > 0 {
        tracing::warn!(file = %path.display(), offset = found.end, bytes = cut,
            "cut the end of a write that a crash interrupted; it was not acknowledged or is in the journal");
        file.set_size(found.end)?;
        file.sync_data()?;
    }
    let file = if newest && !clean {
        bytes.truncate(usize::try_from(found.end).unwrap_or(usize::MAX));
        settle_file(disk, &path, &bytes)?;
        disk.open(&path, OpenMode::Write)?
    } else {
        file
    };
    let segment = Arc::new(UnsealedSegment::new(number, path, file));
    segment.publish(found.events.iter().map(|(event, offset)| (event, *offset)));
    if newest {
        recovered.active = Some((segment.clone(), found.end));
    }
    recovered.segments.push(Segment::Unsealed(segment));
    Ok(())
}

/// Keeps a damaged file under another name and serves what can be read of it from a new one.
fn set_aside(
    disk: &dyn Disk,
    dir: &Path,
    group: u32,
    number: u32,
    offset: u64,
    reason: &str,
    recovered: &mut Recovered,
) -> io::Result<()> {
    let path = segment_path(dir, number);
    let bytes = disk.open(&path, OpenMode::Read)?.read_all()?;
    let mut events = salvage(&bytes, number);
    events.sort_by_key(|event| event.key);
    events.dedup_by_key(|event| event.key);
    let position = events.iter().map(|event| event.position).max().unwrap_or_default();
    let damage = Damage {
        file: damaged_path(dir, number),
        offset,
        reason: format!("{reason}; {} events of it could be read and are served", events.len()),
    };
    let temporary = temporary_path(dir, number);
    write_sealed(disk, &temporary, group, number, position, events.into_iter().map(Ok))?;
    disk.rename(&path, &damaged_path(dir, number))?;
    disk.sync_dir(dir)?;
    disk.rename(&temporary, &path)?;
    disk.sync_dir(dir)?;
    let segment = SealedSegment::open(&*disk.open(&path, OpenMode::Read)?, &path, number)?;
    recovered.segments.push(Segment::Sealed(Arc::new(segment)));
    recovered.damages.push(damage);
    Ok(())
}

/// Everything in a file that is a right record or a right block, wherever it is.
fn salvage(bytes: &[u8], number: u32) -> Vec<StoredEvent> {
    let mut events = Vec::new();
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        if let Some((event, _)) = decode_record(&bytes[at..], number, at as u64) {
            at += usize::try_from(record_bytes(&event)).expect("the file is in memory");
            events.push(event);
        } else if let Some((block, size)) = sealed::decode_block(&bytes[at..], number, at as u64) {
            at += size;
            events.extend(block);
        } else {
            at += 1;
        }
    }
    events
}

/// Writes a sealed file under a temporary name, durably but for the name.
pub(crate) fn write_sealed(
    disk: &dyn Disk,
    temporary: &Path,
    group: u32,
    number: u32,
    position: Position,
    events: impl Iterator<Item = io::Result<StoredEvent>>,
) -> io::Result<()> {
    if disk.exists(temporary) {
        disk.remove_file(temporary)?;
    }
    let file = disk.open(temporary, OpenMode::CreateNew)?;
    sealed::write(&*file, group, number, position, events)?;
    file.sync_data()
}

pub(crate) fn temporary_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:010}.events.tmp"))
}

fn damaged_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:010}.events.damaged"))
}

/// A crash may have come between the two renames of [`set_aside`], or before a seal was renamed.
fn finish_replacements(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let mut changed = false;
    for name in disk.list(dir)? {
        let Some(target) = name.strip_suffix(".tmp") else { continue };
        let (temporary, target) = (dir.join(&name), dir.join(target));
        let set_aside = PathBuf::from(format!("{}.damaged", target.display()));
        if !disk.exists(&target) && disk.exists(&set_aside) {
            disk.rename(&temporary, &target)?;
        } else {
            disk.remove_file(&temporary)?;
        }
        changed = true;
    }
    if changed { disk.sync_dir(dir) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::unsealed::encode_record;
    use super::*;
    use crate::token::{EventKey, SEQUENCE_MAX};
    use store::disk::MemDisk;

    const GROUP: u32 = 1;

    fn dir() -> &'static Path {
        Path::new("/logs/0000000001")
    }

    fn write(disk: &MemDisk, path: &Path, bytes: &[u8]) {
        disk.create_dir_all(dir()).unwrap();
        disk.open(path, OpenMode::CreateNew).unwrap().write_all_at(0, bytes).unwrap();
    }

    fn recovered(disk: &MemDisk) -> Recovered {
        recover(disk, dir(), GROUP, false).unwrap()
    }

    /// An unsealed segment whose records have these sequence numbers.
    fn unsealed(number: u32, sequences: &[u64]) -> Vec<u8> {
        let mut file = Header { sealed: false, group: GROUP, number }.encode().to_vec();
        for &sequence in sequences {
            let event = StoredEvent {
                key: EventKey { timestamp_ms: 7, sequence },
                stream: 2,
                ingestion_ms: 7,
                position: Position::NONE,
                message: "m".to_owned(),
            };
            let mut record = Vec::new();
            let at = file.len() as u64;
            encode_record(&mut record, &event, number, at, at);
            file.extend_from_slice(&record);
        }
        file
    }

    /// The next event counts on from the highest sequence number.
    #[test]
    fn a_sequence_number_that_nobody_counts_to_is_damage() {
        for (sequence, served) in [(SEQUENCE_MAX, 3), (SEQUENCE_MAX + 1, 2), (u64::MAX, 2)] {
            let disk = MemDisk::new();
            write(&disk, &segment_path(dir(), 1), &unsealed(1, &[1, sequence, 2]));
            let recovered = recovered(&disk);
            let events: u64 = recovered.segments[0].with_statistics(|statistics| statistics.events);
            assert_eq!((events, recovered.damages.len()), (served, usize::from(served == 2)), "{sequence}");
        }
    }

    #[test]
    fn the_last_number_is_not_passed_and_other_names_are_left_alone() {
        let disk = MemDisk::new();
        for name in ["4294967295.events", "7.events", "+000000007.events", "9999999999.events", "notes.txt"] {
            write(&disk, &dir().join(name), &unsealed(u32::MAX, &[1]));
        }
        let recovered = recovered(&disk);
        assert_eq!((recovered.next_number, recovered.segments.len()), (u32::MAX, 1));
        assert_eq!(disk.list(dir()).unwrap().len(), 5);
    }
}
