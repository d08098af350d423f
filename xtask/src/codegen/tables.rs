//! The operation table of a service: const data, one line per shape.

use std::collections::{BTreeMap, BTreeSet};

use super::HEAD;
use super::model::{Model, Operation, Reference, Shape};
use crate::shell::{Failure, Outcome};

/// The whole file.
pub(crate) fn file(model: &Model, service: &str) -> Outcome<String> {
    let mut reached = BTreeSet::new();
    for operation in model.operations.values() {
        if let Some(input) = &operation.input {
            model.reach(&input.shape, &mut reached)?;
        }
    }
    let patterns: BTreeSet<&str> =
        reached.iter().filter_map(|name| model.shapes.get(name)?.pattern.as_deref()).collect();
    let patterns: BTreeMap<&str, usize> =
        patterns.into_iter().enumerate().map(|(index, text)| (text, index)).collect();

    let mut text = format!(
        "{HEAD}\n#![expect(non_upper_case_globals, reason = \"shapes keep the names of the model\")]\n\n\
         use crate::Place::{{Body, Header, Path, Payload, Query}};\n\
         use crate::{{ErrorShape, Member, Operation, Pattern, Service, Shape}};\n\n"
    );
    text.push_str("/// Ordered by name.\npub(crate) static OPERATIONS: &[Operation] = &[\n");
    for (name, operation) in &model.operations {
        text.push_str(&operation_line(model, service, name, operation)?);
    }
    text.push_str("];\n\npub(crate) static ERRORS: &[ErrorShape] = &[\n");
    for (name, shape) in model.shapes.iter().filter(|(_, shape)| shape.exception) {
        text.push_str(&format!(
            "    ErrorShape {{ code: {:?}, status: {} }},\n",
            code(name, shape),
            status(shape)
        ));
    }
    text.push_str("];\n\n");
    if text.contains("&Nothing") {
        text.push_str("static Nothing: Shape = Shape::Structure(&[]);\n\n");
    }
    for (pattern, index) in &patterns {
        text.push_str(&format!("static P{index}: Pattern = Pattern::new({pattern:?});\n"));
    }
    text.push('\n');
    for name in &reached {
        let shape = shape_text(model.shape(name)?, &patterns)?;
        text.push_str(&format!("static {}: Shape = {shape};\n", global(name)));
    }
    Ok(unused_places_removed(&text))
}

fn operation_line(model: &Model, service: &str, name: &str, operation: &Operation) -> Outcome<String> {
    let input = operation.input.as_ref().map_or("Nothing".to_owned(), |input| global(&input.shape));
    let errors: Vec<String> = operation
        .errors
        .iter()
        .map(|error| model.shape(&error.shape).map(|shape| format!("{:?}", code(&error.shape, shape))))
        .collect::<Outcome<_>>()?;
    let (path, _) = operation.http.request_uri.split_once('?').unwrap_or((&operation.http.request_uri, ""));
    Ok(format!(
        "    Operation {{ service: Service::{service}, name: {name:?}, method: {:?}, path: {path:?}, input: &{input}, \
         has_output: {}, errors: &[{}] }},\n",
        operation.http.method,
        operation.output.is_some(),
        errors.join(", ")
    ))
}

fn code<'a>(name: &'a str, shape: &'a Shape) -> &'a str {
    shape.error.as_ref().and_then(|error| error.code.as_deref()).unwrap_or(name)
}

/// JSON 1.1 services list no statuses: 500 where it is their fault, else 400.
fn status(shape: &Shape) -> u16 {
    let listed = shape.error.as_ref().and_then(|error| error.http_status_code);
    listed.unwrap_or(if shape.fault { 500 } else { 400 })
}

fn shape_text(shape: &Shape, patterns: &BTreeMap<&str, usize>) -> Outcome<String> {
    let reference = |reference: &Option<Reference>| match reference {
        Some(reference) => Ok(global(&reference.shape)),
        None => Err(Failure::new("a list or map without the type of its members")),
    };
    let (min, max) = (&shape.min, &shape.max);
    Ok(match shape.kind.as_str() {
        "string" => {
            let pattern = shape.pattern.as_deref().map(|text| format!("&P{}", patterns[text]));
            format!(
                "Shape::String {{ min: {}, max: {}, pattern: {}, values: &{:?}, sensitive: {} }}",
                option(min),
                option(max),
                pattern.map_or("None".to_owned(), |pattern| format!("Some({pattern})")),
                shape.values,
                shape.sensitive
            )
        }
        "integer" | "long" => format!("Shape::Integer {{ min: {}, max: {} }}", option(min), option(max)),
        "double" | "float" => "Shape::Double".to_owned(),
        "boolean" => "Shape::Boolean".to_owned(),
        "blob" => "Shape::Blob".to_owned(),
        "timestamp" => "Shape::Timestamp".to_owned(),
        "list" => {
            let member = reference(&shape.member)?;
            format!("Shape::List {{ member: &{member}, min: {}, max: {} }}", option(min), option(max))
        }
        "map" => format!(
            "Shape::Map {{ key: &{}, value: &{}, min: {}, max: {} }}",
            reference(&shape.key)?,
            reference(&shape.value)?,
            option(min),
            option(max)
        ),
        "structure" => structure_text(shape)?,
        other => return Err(Failure::new(format!("unknown type `{other}`"))),
    })
}

fn structure_text(shape: &Shape) -> Outcome<String> {
    let mut members = Vec::new();
    for (name, member) in &shape.members {
        let place = match member.location.as_deref() {
            None if shape.payload.as_ref() == Some(name) => "Payload",
            None => "Body",
            Some("uri") => "Path",
            Some("querystring") => "Query",
            Some("header") => "Header",
            Some(other) => return Err(Failure::new(format!("`{name}` is sent in `{other}`"))),
        };
        let wire = member.location_name.as_ref().unwrap_or(name);
        let wire = if place == "Header" { wire.to_lowercase() } else { wire.clone() };
        members.push(format!(
            "Member {{ name: {name:?}, wire: {wire:?}, place: {place}, required: {}, shape: &{} }}",
            shape.required.contains(name),
            global(&member.shape)
        ));
    }
    Ok(format!("Shape::Structure(&[{}])", members.join(", ")))
}

fn option(bound: &Option<serde_json::Number>) -> String {
    bound.as_ref().map_or("None".to_owned(), |bound| format!("Some({bound})"))
}

/// The name of a shape's static. Behind an underscore where it would hide what the file uses.
fn global(name: &str) -> String {
    let taken = ["Body", "Header", "Path", "Payload", "Query", "Nothing", "None", "Some"];
    let is_pattern =
        name.strip_prefix('P').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    if taken.contains(&name) || is_pattern { format!("{name}_") } else { name.to_owned() }
}

/// Not every service uses every place, and an unused import is an error.
fn unused_places_removed(text: &str) -> String {
    let places = ["Body", "Header", "Path", "Payload", "Query"];
    let used: Vec<&str> =
        places.into_iter().filter(|place| text.contains(&format!("place: {place},"))).collect();
    let text = text.replace("{Body, Header, Path, Payload, Query}", &format!("{{{}}}", used.join(", ")));
    if text.contains("Pattern::new(") { text } else { text.replace(" Pattern,", "") }
}
