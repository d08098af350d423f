//! What a journal directory holds after a crash: which records count, what is cut, what is damage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, OpenMode, settle_file};
use crate::{OpenError, Position, TornTail};

use super::segment::{HEADER_BYTES, Header, HeaderError, Record, Records};
use super::{FIRST_POSITION_MAX, Segment, first_position};

/// A journal whose every record is known to be right and durable.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Segment>,
    /// Where the next record may start.
    pub(crate) end: Position,
    pub(crate) torn: Option<TornTail>,
}

/// Checks every segment, cuts what a crash left unfinished, and makes the rest durable.
///
/// Records behind `checkpoint` may be in the page cache only: after a kill, or after a sync that failed. They count
/// as committed from here on, so they are written anew.
///
/// # Errors
/// [`OpenError::Damaged`] when something that was acknowledged is not readable; then nothing was changed.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    checkpoint: Position,
) -> Result<Recovered, OpenError> {
    let names = disk.list(dir).map_err(OpenError::io(dir))?;
    // The names' digits make their order the order of positions.
    let files: Vec<(Position, PathBuf)> =
        names.iter().filter_map(|name| Some((first_position(name)?, dir.join(name)))).collect();
    let mut recovered = Recovered::default();
    for (index, (first, path)) in files.iter().enumerate() {
        let last = index + 1 == files.len();
        check_segment(disk, *first, path, last, &mut recovered)?;
    }
    // A checkpoint behind its last record proves that a segment was synced; for one without records nothing does.
    let unproven = |segment: &&Segment| segment.end > checkpoint || segment.end == segment.first;
    if let Some(segment) = recovered.segments.last().filter(unproven) {
        let mut bytes = read(disk, &segment.path)?;
        bytes.truncate(HEADER_BYTES + usize::try_from(segment.end.0 - segment.first.0).unwrap_or(usize::MAX));
        settle_file(&**disk, &segment.path, &bytes).map_err(OpenError::io(&segment.path))?;
    }
    disk.sync_dir(dir).map_err(OpenError::io(dir))?;
    Ok(recovered)
}

fn check_segment(
    disk: &Arc<dyn Disk>,
    first: Position,
    path: &Path,
    last: bool,
    recovered: &mut Recovered,
) -> Result<(), OpenError> {
    let damaged = |offset: u64, reason: &str| OpenError::Damaged {
        file: path.to_path_buf(),
        offset,
        reason: reason.to_owned(),
    };
    if first > FIRST_POSITION_MAX {
        return Err(damaged(0, "it begins at a position that no journal reaches"));
    }
    let bytes = read(disk, path)?;
    let records = Records { bytes: bytes.get(HEADER_BYTES..).unwrap_or_default(), first };
    let header = match Header::decode(&bytes) {
        Ok(header) if header.first == first => header,
        Ok(_) => return Err(damaged(0, "the header belongs to another segment")),
        Err(HeaderError::Newer(version)) => {
            return Err(damaged(8, &format!("written by a newer version (journal format {version})")));
        }
        // The header is durable before the first record is written, so without records nothing was acknowledged.
        Err(HeaderError::Invalid) if last && records.bytes.is_empty() => {
            disk.remove_file(path).map_err(OpenError::io(path))?;
            recovered.torn =
                Some(TornTail { file: path.to_path_buf(), offset: 0, bytes: bytes.len() as u64 });
            return Ok(());
        }
        Err(HeaderError::Invalid) => return Err(damaged(0, "the header is not readable")),
    };
    if let Some(before) = recovered.segments.last_mut() {
        let before_is_empty = before.end == before.first;
        if header.previous_end > before.end || (header.previous_end < before.first && !before_is_empty) {
            return Err(OpenError::Damaged {
                file: before.path.clone(),
                offset: HEADER_BYTES as u64 + (before.end.0 - before.first.0),
                reason: "a record is not readable, and a later segment follows".to_owned(),
            });
        }
        // Behind it are at most records that were reported lost when the disk was full. An empty segment may have
        // begun behind such a gap itself.
        before.end = header.previous_end.max(before.first);
    }
    let mut end = first;
    let mut offset = 0;
    while let Some(record) = records.at(offset) {
        end = record.end;
        offset = usize::try_from(end.0 - first.0).expect("a segment that was read fits in memory");
    }
    if offset < records.bytes.len() && last {
        let at = (HEADER_BYTES + offset) as u64;
        if records.proves_synced(offset) {
            return Err(damaged(at, "a record is not readable, and later ones follow"));
        }
        let file = disk.open(path, OpenMode::Write).map_err(OpenError::io(path))?;
        file.set_size(at).and_then(|()| file.sync_data()).map_err(OpenError::io(path))?;
        recovered.torn = Some(TornTail {
            file: path.to_path_buf(),
            offset: at,
            bytes: (records.bytes.len() - offset) as u64,
        });
    }
    recovered.end = end;
    recovered.segments.push(Segment {
        first,
        end,
        previous_end: header.previous_end,
        path: path.to_path_buf(),
    });
    Ok(())
}

/// Reads every record of recovered segments that ends after a position, oldest first.
pub(crate) fn read_records(
    disk: &Arc<dyn Disk>,
    segments: &[Segment],
    after: Position,
    mut each: impl FnMut(Position, Position, &[u8]) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    for segment in segments.iter().filter(|segment| segment.end > after) {
        let bytes = read(disk, &segment.path)?;
        let records = Records { bytes: bytes.get(HEADER_BYTES..).unwrap_or_default(), first: segment.first };
        let mut position = segment.first;
        while position < segment.end {
            let offset = usize::try_from(position.0 - segment.first.0).expect("the segment is in memory");
            let Some(Record { start, end, payload, .. }) = records.at(offset) else {
                return Err(OpenError::Damaged {
                    file: segment.path.clone(),
                    offset: (HEADER_BYTES + offset) as u64,
                    reason: "a record that was readable a moment ago is not any more".to_owned(),
                });
            };
            if end > after {
                each(start, end, payload)?;
            }
            position = end;
        }
    }
    Ok(())
}

fn read(disk: &Arc<dyn Disk>, path: &Path) -> Result<Vec<u8>, OpenError> {
    disk.open(path, OpenMode::Read).and_then(|file| file.read_all()).map_err(OpenError::io(path))
}
