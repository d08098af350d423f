//! CreateThing, DescribeThing, UpdateThing, DeleteThing, ListThings.

use crate::change::{Change, Done, Page};
use crate::edit::Edit;
use crate::registry::{Plan, Registry};
use crate::state::State;
use crate::{CertificateId, Error};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use uuid::Uuid;

/// Most attributes of a thing without a type. [AWS iot-limits]
pub const THING_ATTRIBUTES_MAX: usize = 3;

/// Most attributes of a thing with a type. [AWS iot-limits]
pub const TYPED_THING_ATTRIBUTES_MAX: usize = 50;

/// Longest value of an attribute, in characters. [AWS iot AttributePayload]
pub const ATTRIBUTE_VALUE_CHARS_MAX: usize = 800;

/// Longest name of an attribute, in characters. [AWS iot AttributePayload]
const ATTRIBUTE_NAME_CHARS_MAX: usize = 128;

/// A thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// Unique, and case-sensitive.
    pub name: Arc<str>,
    /// Stays when a thing is changed; a thing that is made anew gets another one.
    pub id: Uuid,
    /// 1 when it is created, one more with each update.
    pub version: u64,
    /// Its thing type.
    pub type_name: Option<Arc<str>>,
    /// By name.
    pub attributes: Box<[(Box<str>, Box<str>)]>,
    /// When it was created.
    pub created_ms: i64,
}

/// What CreateThing is given.
#[derive(Debug, Clone, Default)]
pub struct ThingConfig {
    /// `thingTypeName`
    pub type_name: Option<String>,
    /// `billingGroupName`
    pub billing_group: Option<String>,
    /// `attributePayload.attributes`
    pub attributes: BTreeMap<String, String>,
}

/// What UpdateThing is given.
#[derive(Debug, Clone, Default)]
pub struct ThingUpdate {
    /// `attributePayload.attributes`; `None` leaves them alone.
    pub attributes: Option<BTreeMap<String, String>>,
    /// `attributePayload.merge`: keep the attributes that are not named.
    pub merge: bool,
    /// `thingTypeName`
    pub type_name: Option<String>,
    /// `removeThingType`
    pub remove_type: bool,
    /// `expectedVersion`
    pub expected_version: Option<u64>,
}

/// What ListThings is given. All of it must hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThingQuery<'q> {
    /// Only things behind this one.
    pub after: Option<&'q str>,
    /// At most so many.
    pub limit: usize,
    /// `attributeName`: only things with this attribute.
    pub attribute_name: Option<&'q str>,
    /// `attributeValue`: whose value is this.
    pub attribute_value: Option<&'q str>,
    /// `usePrefixAttributeValue`: or begins with it.
    pub value_is_prefix: bool,
    /// `thingTypeName`
    pub type_name: Option<&'q str>,
}

impl Thing {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let at = self.attributes.binary_search_by(|(other, _)| (**other).cmp(name)).ok()?;
        Some(&self.attributes[at].1)
    }
}

impl Registry {
    /// CreateThing. A thing that is there already with the same configuration is returned as it is.
    ///
    /// # Errors
    /// [`Error::ThingExists`] for another configuration, [`Error::InvalidAttributes`], [`Error::NoSuchThingType`],
    /// [`Error::NoSuchBillingGroup`].
    pub fn create_thing(
        &self,
        name: &str,
        config: ThingConfig,
        now_ms: i64,
    ) -> Result<Done<Arc<Thing>>, Error> {
        let attributes = without_empty(config.attributes);
        check_attributes(&attributes, config.type_name.is_some())?;
        if let Some(name) = config.type_name {
            return Err(Error::NoSuchThingType { name });
        }
        if let Some(name) = config.billing_group {
            return Err(Error::NoSuchBillingGroup { name });
        }
        let attributes = boxed(attributes);
        self.change(|state| {
            if let Some(existing) = state.things.get(name) {
                if existing.attributes == attributes && existing.type_name.is_none() {
                    return Ok(Plan::nothing(existing.clone()));
                }
                return Err(Error::ThingExists {
                    name: name.to_owned(),
                    id: existing.id.to_string(),
                    arn: self.identity().thing_arn(name),
                });
            }
            let thing = Arc::new(Thing {
                name: name.into(),
                id: Uuid::new_v4(),
                version: 1,
                type_name: None,
                attributes,
                created_ms: now_ms,
            });
            Ok(Plan::quiet(thing.clone(), vec![Edit::PutThing(thing)]))
        })
    }

    /// DescribeThing.
    ///
    /// # Errors
    /// [`Error::NoSuchThing`].
    pub fn describe_thing(&self, name: &str) -> Result<Arc<Thing>, Error> {
        self.read().thing(name).cloned()
    }

    /// UpdateThing. Returns the new version.
    ///
    /// An attribute with an empty value is removed. [AWS iot UpdateThing]
    ///
    /// # Errors
    /// [`Error::NoSuchThing`], [`Error::ThingVersionConflict`], [`Error::InvalidAttributes`],
    /// [`Error::ThingTypeAndRemoval`], [`Error::NoSuchThingType`].
    pub fn update_thing(&self, name: &str, update: ThingUpdate) -> Result<Done<u64>, Error> {
        if update.type_name.is_some() && update.remove_type {
            return Err(Error::ThingTypeAndRemoval);
        }
        self.change(|state| {
            let thing = state.thing(name)?;
            check_version(thing, update.expected_version)?;
            if let Some(name) = update.type_name {
                return Err(Error::NoSuchThingType { name });
            }
            let attributes = match update.attributes {
                None => thing.attributes.clone(),
                Some(given) => {
                    let mut attributes = BTreeMap::new();
                    if update.merge {
                        let kept = thing.attributes.iter();
                        attributes
                            .extend(kept.map(|(key, value)| (String::from(&**key), String::from(&**value))));
                    }
                    attributes.extend(given);
                    let attributes = without_empty(attributes);
                    check_attributes(&attributes, thing.type_name.is_some() && !update.remove_type)?;
                    boxed(attributes)
                }
            };
            let version = thing.version + 1;
            let type_name = if update.remove_type { None } else { thing.type_name.clone() };
            let updated = Thing { version, attributes, type_name, ..(**thing).clone() };
            Ok(Plan {
                value: version,
                // Policies may use attributes.
                change: Change::of_principals(principals_of(state, &thing.name)),
                edits: vec![Edit::PutThing(Arc::new(updated))],
            })
        })
    }

    /// DeleteThing. One that is not there is deleted.
    ///
    /// # Errors
    /// [`Error::ThingHasPrincipals`], [`Error::ThingVersionConflict`].
    pub fn delete_thing(&self, name: &str, expected_version: Option<u64>) -> Result<Done<()>, Error> {
        self.change(|state| {
            let Some(thing) = state.things.get(name) else { return Ok(Plan::nothing(())) };
            check_version(thing, expected_version)?;
            if state.principals_of(&thing.name, None).next().is_some() {
                return Err(Error::ThingHasPrincipals { name: name.to_owned() });
            }
            Ok(Plan::quiet((), vec![Edit::DeleteThing(thing.name.clone())]))
        })
    }

    /// ListThings, by name.
    ///
    /// # Errors
    /// [`Error::InvalidAttributes`] for an attribute value without its name.
    pub fn list_things(&self, query: &ThingQuery<'_>) -> Result<Page<Arc<Thing>>, Error> {
        if query.attribute_value.is_some() && query.attribute_name.is_none() {
            let reason = "attributeValue needs an attributeName".to_owned();
            return Err(Error::InvalidAttributes { reason });
        }
        let wanted = |thing: &&Arc<Thing>| {
            let attribute = query.attribute_name.is_none_or(|name| {
                thing.attribute(name).is_some_and(|value| match query.attribute_value {
                    Some(wanted) if query.value_is_prefix => value.starts_with(wanted),
                    Some(wanted) => value == wanted,
                    None => true,
                })
            });
            attribute && query.type_name.is_none_or(|name| thing.type_name.as_deref() == Some(name))
        };
        let state = self.read();
        let start = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = state.things.range::<str, _>((start, Bound::Unbounded));
        let things = range.map(|(_, thing)| thing).filter(wanted).cloned();
        Ok(Page::take(things, query.limit, |thing| String::from(&*thing.name)))
    }
}

fn principals_of(state: &State, thing: &Arc<str>) -> Vec<CertificateId> {
    state.principals_of(thing, None).map(|(id, _)| id).collect()
}

fn check_version(thing: &Thing, expected: Option<u64>) -> Result<(), Error> {
    match expected {
        Some(version) if version != thing.version => {
            Err(Error::ThingVersionConflict { name: thing.name.to_string() })
        }
        _ => Ok(()),
    }
}

/// An empty value means: no such attribute. [AWS iot AttributePayload]
fn without_empty(mut attributes: BTreeMap<String, String>) -> BTreeMap<String, String> {
    attributes.retain(|_, value| !value.is_empty());
    attributes
}

fn boxed(attributes: BTreeMap<String, String>) -> Box<[(Box<str>, Box<str>)]> {
    attributes.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// [AWS iot AttributePayload] Names `[a-zA-Z0-9_.,@/:#-]+`, values `[a-zA-Z0-9_.,@/:#=\[\]-]*`.
fn check_attributes(attributes: &BTreeMap<String, String>, is_typed: bool) -> Result<(), Error> {
    let invalid = |reason| Err(Error::InvalidAttributes { reason });
    let max = if is_typed { TYPED_THING_ATTRIBUTES_MAX } else { THING_ATTRIBUTES_MAX };
    if attributes.len() > max {
        let with = if is_typed { "with" } else { "without" };
        return invalid(format!(
            "A thing {with} a thing type can have at most {max} attributes, not {}",
            attributes.len()
        ));
    }
    for (name, value) in attributes {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.,@/:#-".contains(&byte);
        if name.is_empty() || name.len() > ATTRIBUTE_NAME_CHARS_MAX || !name.bytes().all(is_name) {
            return invalid(format!(
                "Attribute name `{}` must be 1 to {ATTRIBUTE_NAME_CHARS_MAX} of the characters a-z A-Z 0-9 _ . , @ / : # -",
                name.chars().take(ATTRIBUTE_NAME_CHARS_MAX).collect::<String>()
            ));
        }
        let is_value = |byte: u8| is_name(byte) || b"=[]".contains(&byte);
        if value.len() > ATTRIBUTE_VALUE_CHARS_MAX || !value.bytes().all(is_value) {
            return invalid(format!(
                "The value of attribute `{name}` must be at most {ATTRIBUTE_VALUE_CHARS_MAX} of the characters a-z A-Z 0-9 _ . , @ / : # = [ ] -"
            ));
        }
    }
    Ok(())
}
