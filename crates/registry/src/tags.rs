//! TagResource, UntagResource, ListTagsForResource.

use crate::Error;
use crate::change::Done;
use crate::edit::Edit;
use crate::registry::{Plan, Registry};
use crate::state::State;
use serde::{Deserialize, Serialize};

/// Most tags of a resource. [AWS General Reference, tagging]
pub const TAGS_MAX: usize = 50;

/// Longest key of a tag, in characters. [AWS iot Tag]
pub const TAG_KEY_CHARS_MAX: usize = 128;

/// Longest value of a tag, in characters. [AWS iot Tag]
pub const TAG_VALUE_CHARS_MAX: usize = 256;

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Unique among a resource's tags, and case-sensitive.
    pub key: String,
    /// May be empty.
    pub value: String,
}

impl Registry {
    /// TagResource. Tags of the same key are replaced.
    ///
    /// Whether a topic rule exists is not known here: the caller has looked.
    ///
    /// # Errors
    /// [`Error::NoSuchResource`], [`Error::NotTaggable`], [`Error::InvalidTag`], [`Error::TooManyTags`],
    /// [`Error::InvalidArn`].
    pub fn tag_resource(&self, arn: &str, tags: Vec<Tag>) -> Result<Done<()>, Error> {
        self.change(|state| {
            self.check_taggable(state, arn)?;
            let key = self.tag_key(arn)?;
            let present = state.tags.get(key).map_or(&[][..], Vec::as_slice);
            let merged = merged(present, tags)?;
            if merged == present {
                return Ok(Plan::nothing(()));
            }
            Ok(Plan::quiet((), vec![Edit::PutTags(key.into(), merged)]))
        })
    }

    /// UntagResource. Tags that are not there are removed.
    ///
    /// # Errors
    /// [`Error::NoSuchResource`], [`Error::NotTaggable`], [`Error::InvalidArn`].
    pub fn untag_resource(&self, arn: &str, keys: &[String]) -> Result<Done<()>, Error> {
        self.change(|state| {
            self.check_taggable(state, arn)?;
            let key = self.tag_key(arn)?;
            let Some(present) = state.tags.get(key) else { return Ok(Plan::nothing(())) };
            let kept: Vec<Tag> = present.iter().filter(|tag| !keys.contains(&tag.key)).cloned().collect();
            if kept.len() == present.len() {
                return Ok(Plan::nothing(()));
            }
            Ok(Plan::quiet((), vec![Edit::PutTags(key.into(), kept)]))
        })
    }

    /// Gives a resource that another crate keeps exactly these tags, when it is created or deleted.
    ///
    /// # Errors
    /// [`Error::InvalidTag`], [`Error::TooManyTags`], [`Error::InvalidArn`].
    pub fn set_tags(&self, arn: &str, tags: Vec<Tag>) -> Result<Done<()>, Error> {
        let tags = merged(&[], tags)?;
        let key = self.tag_key(arn)?;
        self.change(|state| {
            if state.tags.get(key).map_or(&[][..], Vec::as_slice) == tags {
                return Ok(Plan::nothing(()));
            }
            Ok(Plan::quiet((), vec![Edit::PutTags(key.into(), tags)]))
        })
    }

    /// ListTagsForResource, by key. At most [`TAGS_MAX`], so there are no pages.
    ///
    /// # Errors
    /// [`Error::NoSuchResource`], [`Error::NotTaggable`], [`Error::InvalidArn`].
    pub fn list_tags_for_resource(&self, arn: &str) -> Result<Vec<Tag>, Error> {
        let state = self.read();
        self.check_taggable(&state, arn)?;
        Ok(state.tags.get(self.tag_key(arn)?).cloned().unwrap_or_default())
    }

    /// Under what a resource's tags are kept: `policy/NAME`. Without the region, which may be another one after a start.
    fn tag_key<'a>(&self, arn: &'a str) -> Result<&'a str, Error> {
        self.identity().own_resource(arn)?;
        Ok(arn.splitn(6, ':').last().unwrap_or(arn))
    }

    /// [AWS iot tagging-iot] Things and certificates have no tags.
    fn check_taggable(&self, state: &State, arn: &str) -> Result<(), Error> {
        match self.identity().own_resource(arn)? {
            ("policy", name) if state.policies.contains_key(name) => Ok(()),
            ("rule", _) => Ok(()),
            ("thing" | "cert", _) => Err(Error::NotTaggable { arn: arn.to_owned() }),
            _ => Err(Error::NoSuchResource { arn: arn.to_owned() }),
        }
    }
}

/// Tags with others set over them, by key.
pub(crate) fn merged(present: &[Tag], given: Vec<Tag>) -> Result<Vec<Tag>, Error> {
    let invalid = |reason| Err(Error::InvalidTag { reason });
    let mut merged = present.to_vec();
    for tag in given {
        if tag.key.is_empty() || tag.key.chars().count() > TAG_KEY_CHARS_MAX {
            return invalid(format!("A tag key has 1 to {TAG_KEY_CHARS_MAX} characters"));
        }
        if tag.value.chars().count() > TAG_VALUE_CHARS_MAX {
            return invalid(format!("A tag value has at most {TAG_VALUE_CHARS_MAX} characters"));
        }
        // [AWS General Reference, tagging] The prefix is reserved, in any case.
        if tag.key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return invalid(format!("The tag key `{}` begins with `aws:`, which is reserved", tag.key));
        }
        match merged.binary_search_by(|other| other.key.cmp(&tag.key)) {
            Ok(at) => merged[at] = tag,
            Err(at) => merged.insert(at, tag),
        }
    }
    if merged.len() > TAGS_MAX {
        return Err(Error::TooManyTags { max: TAGS_MAX });
    }
    Ok(merged)
}
