//! Inputs and outputs of the served operations as Rust types.
//!
//! In inputs, required members are plain and others optional; lists and maps are empty when they are absent. In
//! outputs, lists and maps are always written, as AWS does. Bytes that are a payload are left out: they are the body.

use std::collections::{BTreeMap, BTreeSet};

use super::HEAD;
use super::model::{Model, Reference, Shape};
use crate::shell::{Failure, Outcome};

/// Shapes that stay JSON, because eyot keeps them as they come.
const OPAQUE: [&str; 1] = ["Action"];

/// Where a shape occurs.
#[derive(Clone, Copy, Default)]
struct Use {
    input: bool,
    output: bool,
}

/// The whole file; empty when there are no shapes.
pub(crate) fn file(model: &Model, operations: &[String]) -> Outcome<String> {
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    for name in operations {
        let operation = model.operations.get(name).ok_or_else(|| {
            Failure::new(format!("served.txt names `{name}`, which the model does not have"))
        })?;
        for shape in structures(model, operation.input.as_ref())? {
            uses.entry(shape).or_default().input = true;
        }
        for shape in structures(model, operation.output.as_ref())? {
            uses.entry(shape).or_default().output = true;
        }
    }
    let mut body = String::new();
    for (name, found) in &uses {
        body.push_str(&structure(model, name, *found)?);
    }
    if body.is_empty() {
        return Ok(body);
    }
    let mut text = format!(
        "{HEAD}\n#![expect(missing_docs, reason = \"AWS documents its shapes; no text of it is taken\")]\n\n"
    );
    if body.contains("BTreeMap<") {
        text.push_str("use std::collections::BTreeMap;\n\n");
    }
    text.push_str("use serde::{Deserialize, Serialize};\n");
    if body.contains(": Value") || body.contains("<Value>") {
        text.push_str("use serde_json::Value;\n");
    }
    if body.contains("EpochSeconds") {
        text.push_str("\nuse crate::EpochSeconds;\n");
    }
    text.push_str(&body);
    Ok(text)
}

/// The structures of an input or output, those that stay JSON left out.
fn structures(model: &Model, root: Option<&Reference>) -> Outcome<Vec<String>> {
    let mut reached = OPAQUE.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    if let Some(root) = root {
        model.reach(&root.shape, &mut reached)?;
    }
    let is_type = |name: &String| {
        !OPAQUE.contains(&name.as_str())
            && model.shapes.get(name).is_some_and(|shape| shape.kind == "structure")
    };
    Ok(reached.into_iter().filter(is_type).collect())
}

fn structure(model: &Model, name: &str, found: Use) -> Outcome<String> {
    let shape = model.shape(name)?;
    // Outputs hold private keys, which must not be printed.
    let derives = match (found.input, found.output) {
        (true, true) => "Debug, Clone, Default, Deserialize, Serialize",
        (true, false) => "Debug, Clone, Default, Deserialize",
        _ => "Clone, Default, Serialize",
    };
    let mut fields = String::new();
    for (member, reference) in &shape.members {
        if let Some(field) = field(model, shape, member, reference, found)? {
            fields.push_str(&field);
        }
    }
    if fields.is_empty() {
        return Ok(format!("\n#[derive({derives})]\npub struct {} {{}}\n", type_name(name)));
    }
    Ok(format!("\n#[derive({derives})]\npub struct {} {{\n{fields}}}\n", type_name(name)))
}

fn field(
    model: &Model,
    parent: &Shape,
    member: &str,
    reference: &Reference,
    found: Use,
) -> Outcome<Option<String>> {
    let shape = model.shape(&reference.shape)?;
    if shape.kind == "blob" && parent.payload.as_deref() == Some(member) {
        return Ok(None);
    }
    let base = rust_type(model, &reference.shape)?;
    let required = parent.required.iter().any(|name| name == member);
    let mut attributes = Vec::new();
    let ident = snake(member);
    if ident != member {
        attributes.push(format!("rename = {member:?}"));
    }
    let collection = matches!(shape.kind.as_str(), "list" | "map");
    let written = if collection || required { base } else { format!("Option<{base}>") };
    if collection && found.input && !required {
        attributes.push("default".to_owned());
    } else if !collection && !required {
        if found.output {
            attributes.push("skip_serializing_if = \"Option::is_none\"".to_owned());
        }
        if found.input {
            attributes.push("default".to_owned());
        }
    }
    let serde = if attributes.is_empty() {
        String::new()
    } else {
        format!("    #[serde({})]\n", attributes.join(", "))
    };
    Ok(Some(format!("{serde}    pub {ident}: {written},\n")))
}

fn rust_type(model: &Model, name: &str) -> Outcome<String> {
    if OPAQUE.contains(&name) {
        return Ok("Value".to_owned());
    }
    let shape = model.shape(name)?;
    let below = |reference: &Option<Reference>| match reference {
        Some(reference) => rust_type(model, &reference.shape),
        None => Err(Failure::new(format!("`{name}` has no type of its members"))),
    };
    Ok(match shape.kind.as_str() {
        "string" | "blob" => "String".to_owned(),
        // 32 bits are not told apart: nothing that is served has a limit between the two.
        "integer" | "long" => "i64".to_owned(),
        "double" | "float" => "f64".to_owned(),
        "boolean" => "bool".to_owned(),
        "timestamp" => "EpochSeconds".to_owned(),
        "list" => format!("Vec<{}>", below(&shape.member)?),
        "map" => format!("BTreeMap<{}, {}>", below(&shape.key)?, below(&shape.value)?),
        _ => type_name(name),
    })
}

fn type_name(name: &str) -> String {
    let name = name.trim_start_matches('_');
    let mut characters = name.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// `awsIotSqlVersion` and `PublicKey` as Rust writes names.
fn snake(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, &character) in characters.iter().enumerate() {
        if character.is_uppercase() {
            let behind_small = index > 0 && !characters[index - 1].is_uppercase();
            let before_small = characters.get(index + 1).is_some_and(|next| next.is_lowercase());
            if index > 0 && (behind_small || before_small) {
                out.push('_');
            }
            out.extend(character.to_lowercase());
        } else {
            out.push(character);
        }
    }
    if out == "type" { "kind".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_rust_names() {
        let names = [
            ("thingName", "thing_name"),
            ("PublicKey", "public_key"),
            ("awsIotSqlVersion", "aws_iot_sql_version"),
            ("caCertificatePem", "ca_certificate_pem"),
            ("Key", "key"),
        ];
        for (name, rust) in names {
            assert_eq!(snake(name), rust);
        }
        assert_eq!(type_name("_Stream"), "Stream");
    }
}
