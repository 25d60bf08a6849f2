//! Types of components as text, where two of them differ, and which of them may cross between plugins.

use std::fmt::Write;

use wasmtime::component::Type;
use wasmtime::component::types::ComponentFunc;

/// Depth to which a type is written out; deeper parts become `...`.
const TEXT_DEPTH_MAX: usize = 4;

/// A type in the notation of WIT. Component types carry no names, so records and variants are written out.
pub(crate) fn text(ty: &Type) -> String {
    let mut out = String::new();
    write_type(&mut out, ty, 0);
    out
}

fn write_type(out: &mut String, ty: &Type, depth: usize) {
    if depth > TEXT_DEPTH_MAX {
        out.push_str("...");
        return;
    }
    let one = |out: &mut String, name: &str, inner: &Type| {
        out.push_str(name);
        out.push('<');
        write_type(out, inner, depth + 1);
        out.push('>');
    };
    match ty {
        Type::List(list) => one(out, "list", &list.ty()),
        Type::Option(option) => one(out, "option", &option.ty()),
        Type::Map(map) => {
            out.push_str("map<");
            write_type(out, &map.key(), depth + 1);
            out.push_str(", ");
            write_type(out, &map.value(), depth + 1);
            out.push('>');
        }
        Type::FixedLengthList(list) => {
            out.push_str("list<");
            write_type(out, &list.ty(), depth + 1);
            let _ = write!(out, ", {}>", list.len());
        }
        Type::Tuple(tuple) => {
            out.push_str("tuple<");
            for (index, ty) in tuple.types().enumerate() {
                separate(out, index);
                write_type(out, &ty, depth + 1);
            }
            out.push('>');
        }
        Type::Record(record) => {
            out.push_str("record { ");
            for (index, field) in record.fields().enumerate() {
                separate(out, index);
                let _ = write!(out, "{}: ", field.name);
                write_type(out, &field.ty, depth + 1);
            }
            out.push_str(" }");
        }
        Type::Variant(variant) => {
            out.push_str("variant { ");
            for (index, case) in variant.cases().enumerate() {
                separate(out, index);
                out.push_str(case.name);
                if let Some(ty) = &case.ty {
                    out.push('(');
                    write_type(out, ty, depth + 1);
                    out.push(')');
                }
            }
            out.push_str(" }");
        }
        Type::Enum(names) => write_names(out, "enum", names.names()),
        Type::Flags(names) => write_names(out, "flags", names.names()),
        Type::Result(result) => {
            out.push_str("result<");
            match result.ok() {
                Some(ty) => write_type(out, &ty, depth + 1),
                None => out.push('_'),
            }
            if let Some(ty) = result.err() {
                out.push_str(", ");
                write_type(out, &ty, depth + 1);
            }
            out.push('>');
        }
        simple => out.push_str(kind(simple)),
    }
}

fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push_str(", ");
    }
}

fn write_names<'a>(out: &mut String, kind: &str, names: impl Iterator<Item = &'a str>) {
    out.push_str(kind);
    out.push_str(" { ");
    for (index, name) in names.enumerate() {
        separate(out, index);
        out.push_str(name);
    }
    out.push_str(" }");
}

/// The kind of a type, as WIT names it.
fn kind(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::S8 => "s8",
        Type::U8 => "u8",
        Type::S16 => "s16",
        Type::U16 => "u16",
        Type::S32 => "s32",
        Type::U32 => "u32",
        Type::S64 => "s64",
        Type::U64 => "u64",
        Type::Float32 => "f32",
        Type::Float64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::List(_) | Type::FixedLengthList(_) => "list",
        Type::Map(_) => "map",
        Type::Record(_) => "record",
        Type::Tuple(_) => "tuple",
        Type::Variant(_) => "variant",
        Type::Enum(_) => "enum",
        Type::Option(_) => "option",
        Type::Result(_) => "result",
        Type::Flags(_) => "flags",
        Type::Own(_) => "own<resource>",
        Type::Borrow(_) => "borrow<resource>",
        Type::Future(_) => "future",
        Type::Stream(_) => "stream",
        Type::ErrorContext => "error-context",
    }
}

/// The innermost place at which two functions differ.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Such as `parameter 1, field name`.
    pub(crate) place: String,
    /// The first's type there.
    pub(crate) left: String,
    /// The second's.
    pub(crate) right: String,
}

/// Where two functions differ in their types (names of parameters are no part of that), if they do.
pub(crate) fn difference(left: &ComponentFunc, right: &ComponentFunc) -> Option<Difference> {
    let (left_params, right_params): (Vec<Type>, Vec<Type>) =
        (left.params().map(|(_, ty)| ty).collect(), right.params().map(|(_, ty)| ty).collect());
    if left_params.len() != right_params.len() {
        return Some(Difference {
            place: "the parameters".to_owned(),
            left: list_text(&left_params),
            right: list_text(&right_params),
        });
    }
    for (index, (left, right)) in left_params.iter().zip(&right_params).enumerate() {
        if let Some(found) = differ(left, right, format!("parameter {}", index + 1)) {
            return Some(found);
        }
    }
    let (left_results, right_results): (Vec<Type>, Vec<Type>) = (left.results().collect(), right.results().collect());
    if left_results.len() != right_results.len() {
        return Some(Difference {
            place: "the result".to_owned(),
            left: list_text(&left_results),
            right: list_text(&right_results),
        });
    }
    left_results.iter().zip(&right_results).find_map(|(left, right)| differ(left, right, "the result".to_owned()))
}

fn list_text(types: &[Type]) -> String {
    format!("({})", types.iter().map(text).collect::<Vec<_>>().join(", "))
}

fn differ(left: &Type, right: &Type, place: String) -> Option<Difference> {
    if left == right {
        return None;
    }
    // Go down while both sides have the same outline; what differs is then told in a few words.
    let inner = match (left, right) {
        (Type::List(l), Type::List(r)) => differ(&l.ty(), &r.ty(), format!("{place}, list element")),
        (Type::Option(l), Type::Option(r)) => differ(&l.ty(), &r.ty(), format!("{place}, option")),
        (Type::Record(l), Type::Record(r)) if l.fields().map(|f| f.name).eq(r.fields().map(|f| f.name)) => {
            l.fields().zip(r.fields()).find_map(|(l, r)| differ(&l.ty, &r.ty, format!("{place}, field {}", l.name)))
        }
        (Type::Tuple(l), Type::Tuple(r)) if l.types().len() == r.types().len() => l
            .types()
            .zip(r.types())
            .enumerate()
            .find_map(|(index, (l, r))| differ(&l, &r, format!("{place}, element {}", index + 1))),
        (Type::Variant(l), Type::Variant(r))
            if l.cases().map(|c| (c.name, c.ty.is_some())).eq(r.cases().map(|c| (c.name, c.ty.is_some()))) =>
        {
            l.cases().zip(r.cases()).find_map(|(l, r)| match (&l.ty, &r.ty) {
                (Some(lt), Some(rt)) => differ(lt, rt, format!("{place}, case {}", l.name)),
                _ => None,
            })
        }
        (Type::Result(l), Type::Result(r)) => {
            let side = |l: Option<Type>, r: Option<Type>, name: &str| match (l, r) {
                (Some(l), Some(r)) => differ(&l, &r, format!("{place}, {name}")),
                _ => None,
            };
            side(l.ok(), r.ok(), "ok").or_else(|| side(l.err(), r.err(), "error"))
        }
        _ => None,
    };
    inner.or_else(|| Some(Difference { left: text(left), right: text(right), place }))
}

/// What keeps a function from being part of a service interface, if anything does.
pub(crate) fn service_refusal(function: &ComponentFunc) -> Option<String> {
    if function.async_() {
        return Some("is asynchronous; service functions are plain functions".to_owned());
    }
    for (name, ty) in function.params() {
        if let Some(refused) = forbidden(&ty) {
            return Some(format!("has a parameter `{name}` with {refused}"));
        }
    }
    let mut results = function.results();
    let result = match (results.next(), results.next()) {
        (Some(Type::Result(result)), None) => result,
        (other, _) => {
            let found = other.as_ref().map_or_else(|| "nothing".to_owned(), text);
            return Some(format!("returns `{found}`; a service function returns `result<_, E>`"));
        }
    };
    for ty in [result.ok(), result.err()].into_iter().flatten() {
        if let Some(refused) = forbidden(&ty) {
            return Some(format!("returns {refused}"));
        }
    }
    let has_other = match result.err() {
        Some(Type::Variant(variant)) => {
            variant.cases().any(|case| case.name == "other" && matches!(case.ty, Some(Type::String)))
        }
        _ => false,
    };
    if has_other {
        return None;
    }
    let found = result.err().as_ref().map_or_else(|| "nothing".to_owned(), text);
    Some(format!("has the error type `{found}`; it must be a variant with a case `other(string)`"))
}

/// The part of a type that cannot cross between plugins, with the reason.
fn forbidden(ty: &Type) -> Option<String> {
    match ty {
        Type::List(list) if matches!(list.ty(), Type::U8 | Type::S8) => {
            Some(format!("`{}`, which is slow between plugins; pass a string, or a key", text(ty)))
        }
        Type::FixedLengthList(_)
        | Type::Map(_)
        | Type::Own(_)
        | Type::Borrow(_)
        | Type::Future(_)
        | Type::Stream(_)
        | Type::ErrorContext => Some(format!("`{}`, which cannot cross between plugins", text(ty))),
        Type::List(list) => forbidden(&list.ty()),
        Type::Option(option) => forbidden(&option.ty()),
        Type::Record(record) => record.fields().find_map(|field| forbidden(&field.ty)),
        Type::Tuple(tuple) => tuple.types().find_map(|ty| forbidden(&ty)),
        Type::Variant(variant) => variant.cases().find_map(|case| case.ty.as_ref().and_then(forbidden)),
        Type::Result(result) => [result.ok(), result.err()].into_iter().flatten().find_map(|ty| forbidden(&ty)),
        _ => None,
    }
}
