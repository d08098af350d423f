//! Names to functions and types: the part of parsing that knows what exists.

use crate::ast::CastType;
use crate::functions::{self, Function};
use crate::{Span, SqlError, SqlVersion};

/// The function `name` for `args` arguments.
pub(crate) fn function(
    name: &str,
    args: usize,
    version: SqlVersion,
    span: Span,
) -> Result<&'static Function, SqlError> {
    let Some(function) = functions::find(name) else {
        if let Some(known) = functions::NOT_YET.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            return Err(SqlError::NotYet { feature: format!("the function `{known}`"), span });
        }
        return Err(SqlError::UnknownFunction { name: name.to_owned(), nearest: nearest(name), span });
    };
    if version < function.since {
        let feature = format!("`{}`", function.name);
        return Err(SqlError::NeedsVersion { feature, needs: function.since, version, span });
    }
    let (min, max) = function.arity();
    if args < min || max.is_some_and(|max| args > max) {
        let expected = match max {
            Some(max) if max == min => count(min),
            Some(max) => format!("{min} to {}", count(max)),
            None => format!("at least {}", count(min)),
        };
        return Err(SqlError::WrongArity { name: function.name, expected, got: args, span });
    }
    Ok(function)
}

fn count(arguments: usize) -> String {
    match arguments {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        more => format!("{more} arguments"),
    }
}

/// The known function that is spelled nearly like `name`, here or in AWS.
fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    functions::ALL
        .iter()
        .map(|function| function.name)
        .chain(functions::NOT_YET.iter().copied())
        .map(|known| (distance(&name, &known.to_ascii_lowercase()), known))
        // Two slips (two letters swapped are two) in a name of four letters and more, one in a shorter one.
        .filter(|(distance, known)| *distance <= (known.len() / 2).clamp(1, 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Levenshtein distance of two short ASCII words; names beyond 32 bytes resemble nothing.
fn distance(left: &str, right: &str) -> usize {
    if left.len() > 32 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, r) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(l != r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[right.len()]
}

/// The type that `cast` calls `name`. [AWS iot-sql-functions] "cast".
pub(crate) fn cast_type(name: &str, version: SqlVersion, span: Span) -> Result<CastType, SqlError> {
    let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let (to, needs) = match () {
        () if is(&["String", "Nvarchar", "Text", "Ntext", "Varchar"]) => {
            (CastType::String, SqlVersion::V2015_10_08)
        }
        () if is(&["Int", "Integer"]) => (CastType::Int, SqlVersion::V2015_10_08),
        () if is(&["Double"]) => (CastType::Decimal, SqlVersion::V2015_10_08),
        () if is(&["Decimal"]) => (CastType::Decimal, SqlVersion::V2016_03_23),
        () if is(&["Bool", "Boolean"]) => (CastType::Boolean, SqlVersion::V2016_03_23),
        () => {
            let known =
                "String, Nvarchar, Text, Ntext, Varchar, Int, Integer, Double, Decimal, Bool, Boolean";
            return Err(SqlError::UnknownType { name: name.to_owned(), known, span });
        }
    };
    if version < needs {
        return Err(SqlError::NeedsVersion { feature: format!("the type `{name}`"), needs, version, span });
    }
    Ok(to)
}
