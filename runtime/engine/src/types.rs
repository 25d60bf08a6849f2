//! Types of service functions as text, where two of them differ, and which of them may cross between plugins. Not here: how they are
//! read from a component ([`crate::surface`]).

use std::fmt::Write;
use std::sync::Arc;

/// Depth to which a type is written out; deeper parts become `...`.
const TEXT_DEPTH_MAX: usize = 4;

/// A type, as WIT has it, without a name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// A number, a character, text or a truth value, by its name.
    Simple(&'static str),
    List(Arc<Type>),
    Option(Arc<Type>),
    Tuple(Vec<Arc<Type>>),
    /// Fields in their order.
    Record(Vec<(String, Arc<Type>)>),
    /// Cases in their order.
    Variant(Vec<(String, Option<Arc<Type>>)>),
    Enum(Vec<String>),
    Flags(Vec<String>),
    Result {
        ok: Option<Arc<Type>>,
        error: Option<Arc<Type>>,
    },
    /// What cannot cross between plugins, by its kind: two of them may be different all the same.
    Foreign(&'static str),
}

/// Text.
pub(crate) const STRING: Type = Type::Simple("string");

/// What a function takes and returns.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) asynchronous: bool,
    /// By name.
    pub(crate) params: Vec<(String, Arc<Type>)>,
    pub(crate) result: Option<Arc<Type>>,
}

/// A type in the notation of WIT. Records and variants are written out.
pub(crate) fn text(ty: &Type) -> String {
    let mut out = String::new();
    write_type(&mut out, ty, 0);
    out
}

fn some_text(ty: Option<&Arc<Type>>) -> String {
    ty.map_or_else(|| "nothing".to_owned(), |ty| text(ty))
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
        Type::Simple(name) | Type::Foreign(name) => out.push_str(name),
        Type::List(element) => one(out, "list", element),
        Type::Option(inner) => one(out, "option", inner),
        Type::Tuple(types) => {
            out.push_str("tuple<");
            for (index, ty) in types.iter().enumerate() {
                separate(out, index);
                write_type(out, ty, depth + 1);
            }
            out.push('>');
        }
        Type::Record(fields) => {
            out.push_str("record { ");
            for (index, (name, ty)) in fields.iter().enumerate() {
                separate(out, index);
                let _ = write!(out, "{name}: ");
                write_type(out, ty, depth + 1);
            }
            out.push_str(" }");
        }
        Type::Variant(cases) => {
            out.push_str("variant { ");
            for (index, (name, ty)) in cases.iter().enumerate() {
                separate(out, index);
                out.push_str(name);
                if let Some(ty) = ty {
                    out.push('(');
                    write_type(out, ty, depth + 1);
                    out.push(')');
                }
            }
            out.push_str(" }");
        }
        Type::Enum(names) => write_names(out, "enum", names),
        Type::Flags(names) => write_names(out, "flags", names),
        Type::Result { ok, error } => {
            out.push_str("result<");
            match ok {
                Some(ty) => write_type(out, ty, depth + 1),
                None => out.push('_'),
            }
            if let Some(ty) = error {
                out.push_str(", ");
                write_type(out, ty, depth + 1);
            }
            out.push('>');
        }
    }
}

fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push_str(", ");
    }
}

fn write_names(out: &mut String, kind: &str, names: &[String]) {
    let _ = write!(out, "{kind} {{ {} }}", names.join(", "));
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
pub(crate) fn difference(left: &Function, right: &Function) -> Option<Difference> {
    if left.params.len() != right.params.len() {
        return Some(Difference {
            place: "the parameters".to_owned(),
            left: list_text(&left.params),
            right: list_text(&right.params),
        });
    }
    for (index, ((_, left), (_, right))) in left.params.iter().zip(&right.params).enumerate() {
        if let Some(found) = differ(left, right, format!("parameter {}", index + 1)) {
            return Some(found);
        }
    }
    match (&left.result, &right.result) {
        (Some(left), Some(right)) => differ(left, right, "the result".to_owned()),
        (None, None) => None,
        (left, right) => Some(Difference {
            place: "the result".to_owned(),
            left: some_text(left.as_ref()),
            right: some_text(right.as_ref()),
        }),
    }
}

fn list_text(params: &[(String, Arc<Type>)]) -> String {
    format!("({})", params.iter().map(|(_, ty)| text(ty)).collect::<Vec<_>>().join(", "))
}

fn differ(left: &Type, right: &Type, place: String) -> Option<Difference> {
    if left == right {
        return None;
    }
    // Go down while both sides have the same outline; what differs is then told in a few words.
    let inner = match (left, right) {
        (Type::List(l), Type::List(r)) => differ(l, r, format!("{place}, list element")),
        (Type::Option(l), Type::Option(r)) => differ(l, r, format!("{place}, option")),
        (Type::Record(l), Type::Record(r)) if names(l).eq(names(r)) => {
            l.iter().zip(r).find_map(|((name, l), (_, r))| differ(l, r, format!("{place}, field {name}")))
        }
        (Type::Tuple(l), Type::Tuple(r)) if l.len() == r.len() => l
            .iter()
            .zip(r)
            .enumerate()
            .find_map(|(index, (l, r))| differ(l, r, format!("{place}, element {}", index + 1))),
        (Type::Variant(l), Type::Variant(r))
            if l.iter().map(|(name, ty)| (name, ty.is_some())).eq(r.iter().map(|(name, ty)| (name, ty.is_some()))) =>
        {
            l.iter().zip(r).find_map(|((name, l), (_, r))| match (l, r) {
                (Some(l), Some(r)) => differ(l, r, format!("{place}, case {name}")),
                _ => None,
            })
        }
        (Type::Result { ok: l_ok, error: l_error }, Type::Result { ok: r_ok, error: r_error }) => {
            let side = |l: &Option<Arc<Type>>, r: &Option<Arc<Type>>, name: &str| match (l, r) {
                (Some(l), Some(r)) => differ(l, r, format!("{place}, {name}")),
                _ => None,
            };
            side(l_ok, r_ok, "ok").or_else(|| side(l_error, r_error, "error"))
        }
        _ => None,
    };
    inner.or_else(|| Some(Difference { left: text(left), right: text(right), place }))
}

fn names(fields: &[(String, Arc<Type>)]) -> impl Iterator<Item = &String> {
    fields.iter().map(|(name, _)| name)
}

/// What keeps a function from being part of a service interface, if anything does.
pub(crate) fn service_refusal(function: &Function) -> Option<String> {
    if function.asynchronous {
        return Some("is asynchronous; service functions are plain functions".to_owned());
    }
    for (name, ty) in &function.params {
        if let Some(refused) = forbidden(ty) {
            return Some(format!("has a parameter `{name}` with {refused}"));
        }
    }
    let Some(Type::Result { ok, error }) = function.result.as_deref() else {
        let found = some_text(function.result.as_ref());
        return Some(format!("returns `{found}`; a service function returns `result<_, E>`"));
    };
    for ty in [ok, error].into_iter().flatten() {
        if let Some(refused) = forbidden(ty) {
            return Some(format!("returns {refused}"));
        }
    }
    let has_other = match error.as_deref() {
        Some(Type::Variant(cases)) => cases.iter().any(|(name, ty)| name == "other" && ty.as_deref() == Some(&STRING)),
        _ => false,
    };
    if has_other {
        return None;
    }
    let found = some_text(error.as_ref());
    Some(format!("has the error type `{found}`; it must be a variant with a case `other(string)`"))
}

/// The part of a type that cannot cross between plugins, with the reason.
fn forbidden(ty: &Type) -> Option<String> {
    match ty {
        Type::List(element) if matches!(**element, Type::Simple("u8" | "s8")) => {
            Some(format!("`{}`, which is slow between plugins; pass a string, or a key", text(ty)))
        }
        Type::Foreign(kind) => Some(format!("`{kind}`, which cannot cross between plugins")),
        Type::Simple(_) | Type::Enum(_) | Type::Flags(_) => None,
        Type::List(inner) | Type::Option(inner) => forbidden(inner),
        Type::Record(fields) => fields.iter().find_map(|(_, ty)| forbidden(ty)),
        Type::Tuple(types) => types.iter().find_map(|ty| forbidden(ty)),
        Type::Variant(cases) => cases.iter().find_map(|(_, ty)| ty.as_deref().and_then(forbidden)),
        Type::Result { ok, error } => [ok, error].into_iter().flatten().find_map(|ty| forbidden(ty)),
    }
}
