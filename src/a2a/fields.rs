//! Taking members out of a JSON object, the way ProtoJSON reads them: camelCase or snake_case, `null` is absent.
//!
//! What is left in the object afterwards is what the model does not know, and becomes its `extra`. Nothing here
//! knows a protocol type; what is *required* is for the dialects to say, since versions differ in it.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Object;

/// Where a value has the wrong form, and what is wrong with it. Never holds the value itself, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The member, such as `message.parts[0].text`; empty for the value as a whole.
    pub path: String,
    /// What is wrong, such as `must be a string`.
    pub problem: Cow<'static, str>,
}

impl Fault {
    /// A fault of this member.
    #[must_use]
    pub fn new(path: impl Into<String>, problem: impl Into<Cow<'static, str>>) -> Self {
        Self {
            path: path.into(),
            problem: problem.into(),
        }
    }

    /// The same fault, seen from the object that holds the value as `member`.
    #[must_use]
    pub fn within(mut self, member: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{member}{separator}{}", self.path);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "the value {}", self.problem)
        } else {
            write!(f, "{} {}", self.path, self.problem)
        }
    }
}

/// A type that is read from a JSON object of the A2A 1.0 shape.
pub trait Model: Sized {
    /// Reads it; members that it does not know are kept.
    ///
    /// # Errors
    /// When a known member has the wrong form.
    fn from_object(object: Object) -> Result<Self, Fault>;

    /// Reads it from any value.
    ///
    /// # Errors
    /// When the value is no object, or a known member has the wrong form.
    fn from_value(value: Value) -> Result<Self, Fault> {
        match value {
            Value::Object(object) => Self::from_object(object),
            _ => Err(Fault::new("", "must be an object")),
        }
    }
}

/// Members that a model does not know. Nearly always none, and then it takes the room of a pointer: a log holds many
/// objects, and an object that has had members keeps its room for them.
#[derive(Clone, Default)]
pub struct Extra(Option<Box<Object>>);

static NONE: LazyLock<Object> = LazyLock::new(Object::new);

impl From<Object> for Extra {
    fn from(object: Object) -> Self {
        Self((!object.is_empty()).then(|| Box::new(object)))
    }
}

impl Deref for Extra {
    type Target = Object;

    fn deref(&self) -> &Object {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Extra {
    fn deref_mut(&mut self) -> &mut Object {
        self.0.get_or_insert_default()
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for Extra {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&**self)
    }
}

/// Takes a member out; `null` counts as absent. An empty `alias` means that there is none.
pub fn take(object: &mut Object, name: &str, alias: &str) -> Option<Value> {
    for key in [name, alias] {
        if let Some(value) = object.remove(key)
            && !value.is_null()
        {
            return Some(value);
        }
    }
    None
}

/// Takes a string.
///
/// # Errors
/// When it has another form.
pub fn string(object: &mut Object, name: &str, alias: &str) -> Result<Option<String>, Fault> {
    match take(object, name, alias) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Fault::new(name, "must be a string")),
    }
}

/// Takes an identifier: an empty one is an absent one, as ProtoJSON has it.
///
/// # Errors
/// When it is no string.
pub fn id(object: &mut Object, name: &str, alias: &str) -> Result<Option<String>, Fault> {
    Ok(string(object, name, alias)?.filter(|id| !id.is_empty()))
}

/// Takes a boolean.
///
/// # Errors
/// When it has another form.
pub fn boolean(object: &mut Object, name: &str, alias: &str) -> Result<Option<bool>, Fault> {
    match take(object, name, alias) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(value)),
        Some(_) => Err(Fault::new(name, "must be true or false")),
    }
}

/// Takes a whole number of at least 0; ProtoJSON also writes it as a string or as `1.0`.
///
/// # Errors
/// When it has another form or does not fit.
pub fn count(object: &mut Object, name: &str, alias: &str) -> Result<Option<u32>, Fault> {
    let Some(value) = take(object, name, alias) else {
        return Ok(None);
    };
    let number = match &value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            // The range check makes the cast exact.
            (float.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&float))
                .then_some(float as u64)
        }),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    match number.and_then(|number| u32::try_from(number).ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(Fault::new(name, "must be a whole number of at least 0")),
    }
}

/// Takes a free-form object.
///
/// # Errors
/// When it has another form.
pub fn object(object: &mut Object, name: &str, alias: &str) -> Result<Option<Object>, Fault> {
    match take(object, name, alias) {
        None => Ok(None),
        Some(Value::Object(value)) => Ok(Some(value)),
        Some(_) => Err(Fault::new(name, "must be an object")),
    }
}

/// Takes a list of strings.
///
/// # Errors
/// When it has another form.
pub fn strings(object: &mut Object, name: &str, alias: &str) -> Result<Vec<String>, Fault> {
    list(object, name, alias, |value| match value {
        Value::String(text) => Ok(text),
        _ => Err(Fault::new("", "must be a string")),
    })
}

/// Takes an object of the model.
///
/// # Errors
/// When it has another form.
pub fn model<T: Model>(object: &mut Object, name: &str, alias: &str) -> Result<Option<T>, Fault> {
    take(object, name, alias)
        .map(|value| T::from_value(value).map_err(|fault| fault.within(name)))
        .transpose()
}

/// Takes a list of objects of the model.
///
/// # Errors
/// When it has another form.
pub fn models<T: Model>(object: &mut Object, name: &str, alias: &str) -> Result<Vec<T>, Fault> {
    list(object, name, alias, T::from_value)
}

fn list<T>(
    object: &mut Object,
    name: &str,
    alias: &str,
    read: impl Fn(Value) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    match take(object, name, alias) {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => values
            .into_iter()
            .enumerate()
            .map(|(index, value)| {
                read(value).map_err(|fault| fault.within(&format!("[{index}]")).within(name))
            })
            .collect(),
        Some(_) => Err(Fault::new(name, "must be an array")),
    }
}

/// Whether two values are the same, numbers by value: `3` and `3.0` are one number in JSON.
#[must_use]
pub fn same_json(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            // Only where one of them is a double: two whole numbers are not to be rounded together.
            x == y || ((x.is_f64() || y.is_f64()) && x.as_f64() == y.as_f64())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b))
        }
        (Value::Object(a), Value::Object(b)) => same_members(a, b),
        (a, b) => a == b,
    }
}

/// The same of objects, whatever the order of their members.
#[must_use]
pub fn same_members(a: &Object, b: &Object) -> bool {
    a.len() == b.len()
        && a.iter()
            .all(|(name, value)| b.get(name).is_some_and(|other| same_json(value, other)))
}

/// Gives model types a `Deserialize` that reads them through [`Model`].
macro_rules! deserialize_models {
    ($($model:ty),+ $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $model {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let object = <$crate::a2a::Object as serde::Deserialize>::deserialize(deserializer)?;
                <$model as $crate::a2a::fields::Model>::from_object(object).map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use deserialize_models;
