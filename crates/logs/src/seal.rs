//! Sealing and removing segments.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use store::disk::{Disk, OpenMode};

use crate::group::Group;
use crate::segment::recovery::{temporary_path, write_sealed};
use crate::segment::{SealedSegment, Segment, UnsealedSegment};

/// Rewrites a full segment in order of time and puts the result in its place.
///
/// Readers that have the old file open go on reading it. A crash leaves the old one or the new one.
pub(crate) fn seal(disk: &dyn Disk, group: &Group, segment: &Arc<UnsealedSegment>) -> io::Result<()> {
    if group.deleted.load(Ordering::Acquire) {
        return Ok(());
    }
    let (locations, position) = {
        let index = segment.index();
        (index.events.values().copied().collect::<Vec<_>>(), index.statistics.position)
    };
    let events = locations.into_iter().map(|location| match segment.read(location) {
        Ok(Some(event)) => Ok(event),
        // A record that decayed since it was written: the reader reports it, and sealing must not hide it.
        Ok(None) => Err(io::Error::new(io::ErrorKind::InvalidData, "a record is not readable any more")),
        Err(error) => Err(error),
    });
    let temporary = temporary_path(&group.dir, segment.number);
    if let Err(error) = write_sealed(disk, &temporary, group.id, segment.number, position, events) {
        // Above all a full disk: give back what was taken. The next start tries again.
        if disk.exists(&temporary) {
            disk.remove_file(&temporary)?;
        }
        return Err(error);
    }
    let sealed =
        SealedSegment::open(&*disk.open(&temporary, OpenMode::Read)?, &segment.path, segment.number)?;
    // Under the lock, so that retention either removes the old file before, or finds the new one.
    let mut segments = group.segments_mut();
    let Some(place) = segments.iter_mut().find(|other| other.number() == segment.number) else {
        return disk.remove_file(&temporary);
    };
    disk.rename(&temporary, &segment.path)?;
    *place = Segment::Sealed(Arc::new(sealed));
    drop(segments);
    disk.sync_dir(&group.dir)
}

/// Removes segments in which no event can be seen any more: all expired, or all of deleted streams.
pub(crate) fn remove_unseen(disk: &dyn Disk, group: &Group, now_ms: i64) -> io::Result<()> {
    let expired_before_ms = group.expired_before_ms(now_ms);
    let unseen: Vec<Segment> = {
        let streams = group.streams();
        let segments = group.segments();
        let unseen = segments.iter().filter(|segment| {
            segment.with_statistics(|statistics| {
                statistics.events > 0
                    && statistics.streams.iter().all(|(id, stream)| {
                        stream.last_ms < expired_before_ms || !streams.by_id.contains_key(id)
                    })
            })
        });
        unseen.cloned().collect()
    };
    if unseen.is_empty() {
        return Ok(());
    }
    let mut appender = group.appender();
    for segment in &unseen {
        if let Segment::Unsealed(unsealed) = segment {
            // Checked again under the appender's lock: an event may have come meanwhile.
            let newest = unsealed.index().statistics.time_range().map(|(_, last)| last);
            if newest.is_some_and(|newest| newest >= expired_before_ms) {
                continue;
            }
            appender.abandon(unsealed.number);
        }
        let mut segments = group.segments_mut();
        segments.retain(|other| other.number() != segment.number());
        disk.remove_file(segment.path())?;
    }
    disk.sync_dir(&group.dir)
}
