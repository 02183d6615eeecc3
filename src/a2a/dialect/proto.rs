//! A2A's messages in protobuf: their JSON (ProtoJSON) to bytes and back, by the descriptors of `proto/*.proto`.
//!
//! Knows what the messages are made of, not what they mean: names and shapes of a version are its codec's, calls and
//! statuses are [`super::grpc`]'s.
//!
//! # What protobuf has no place for
//!
//! | what | becomes |
//! |---|---|
//! | members that the version's `.proto` does not have | left out (`confine` says which, for who wants to keep them) |
//! | the name of an enum's value that it does not have | the value 0, "unspecified" |
//! | a timestamp that nobody can read | left out |
//! | any other timestamp | the same moment in UTC, without needless zeros |
//! | an empty string, list or object, `false`, 0, where the field is no `optional` one | absent |
//! | the order of members in free-form JSON | sorted by name |
//! | whole numbers beyond 2^53 in free-form JSON | the nearest double |
//! | `1.0` in free-form JSON | `1` |
//! | a count beyond 2^31 - 1 | that |
//! | free-form JSON nested more than about 30 deep | refused when read |

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    Value as Field,
};
use serde_json::{Number, Value};

use super::{Version, kept};
use crate::a2a::Object;
use crate::a2a::fields::Fault;
use crate::a2a::task::parse_time;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let bytes: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    // Compiled into the program: without them no test of this module passes.
    DescriptorPool::decode(bytes).unwrap_or_default()
});

/// Either alphabet, padded or not (ProtoJSON's rule for readers).
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const ANY_STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const ANY_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The largest whole number that a double holds exactly, and all below it.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The package of a version's messages. Versions without a `.proto` of their own have the nearest one's.
#[must_use]
pub(super) fn package(version: Version) -> &'static str {
    if version == Version::V1_0 {
        "lf.a2a.v1"
    } else {
        "a2a.v1"
    }
}

/// A message of the version's package; one that is written with a dot is a full name, such as `google.rpc.Status`.
fn descriptor(version: Version, message: &str) -> Result<MessageDescriptor, Fault> {
    let found = if message.contains('.') {
        POOL.get_message_by_name(message)
    } else {
        POOL.get_message_by_name(&format!("{}.{message}", package(version)))
    };
    found.ok_or_else(|| Fault::new("", "is a message that this version does not have"))
}

/// The binary form of a message. `null` is an empty message.
///
/// # Errors
/// The member that cannot be what the field wants, such as text that is no base64 where bytes belong.
pub fn to_bytes(version: Version, message: &str, json: &Value) -> Result<Bytes, Fault> {
    let message = write(&descriptor(version, message)?, json, Strictness::Refuse)?;
    Ok(message.encode_to_vec().into())
}

/// The same of what a worker has said: members of a wrong form are left out, and bytes that are no base64 are its text.
/// Empty where the version has no such message.
#[must_use]
pub fn to_bytes_lossy(version: Version, message: &str, json: &Value) -> Bytes {
    descriptor(version, message)
        .and_then(|descriptor| write(&descriptor, json, Strictness::LeaveOut))
        .map_or_else(|_| Bytes::new(), |message| message.encode_to_vec().into())
}

/// What becomes of members of a wrong form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strictness {
    /// They are an error.
    Refuse,
    /// They are left out.
    LeaveOut,
}

/// The JSON of a message in its binary form.
///
/// # Errors
/// When the bytes are no such message.
pub fn from_bytes(version: Version, message: &str, bytes: &[u8]) -> Result<Value, Fault> {
    let descriptor = descriptor(version, message)?;
    let message = DynamicMessage::decode(descriptor, bytes)
        .map_err(|_| Fault::new("", "is no protobuf message of this type"))?;
    Ok(read(&message))
}

/// The full name of a message without its package, where it is one of `google.protobuf` that JSON writes in a way of
/// its own.
fn well_known(descriptor: &MessageDescriptor) -> Option<&str> {
    let name = descriptor.full_name().strip_prefix("google.protobuf.")?;
    matches!(name, "Struct" | "Value" | "ListValue" | "Timestamp").then_some(name)
}

fn write(
    descriptor: &MessageDescriptor,
    json: &Value,
    strictness: Strictness,
) -> Result<DynamicMessage, Fault> {
    let mut message = DynamicMessage::new(descriptor.clone());
    let object = match (well_known(descriptor), json) {
        (Some("Timestamp"), Value::String(text)) => {
            if let Some(time) = parse_time(text) {
                message.set_field_by_name("seconds", Field::I64(time.as_second()));
                message.set_field_by_name("nanos", Field::I32(time.subsec_nanosecond()));
            }
            return Ok(message);
        }
        (Some("Timestamp"), _) => return Err(Fault::new("", "must be a time")),
        (Some("Struct"), Value::Object(members)) => {
            write_struct(&mut message, members);
            return Ok(message);
        }
        (Some("ListValue"), Value::Array(values)) => {
            write_list(&mut message, values);
            return Ok(message);
        }
        (Some("Value"), value) => {
            write_value(&mut message, value);
            return Ok(message);
        }
        (_, Value::Object(object)) => object,
        (_, Value::Null) => return Ok(message),
        _ => return Err(Fault::new("", "must be an object")),
    };
    for (name, value) in object {
        let Some(field) = field(descriptor, name) else {
            continue;
        };
        if value.is_null() && !is_value(&field) || is_unreadable_time(&field, value) {
            continue;
        }
        match write_field(&field, value, strictness) {
            Ok(written) => message.set_field(&field, written),
            Err(_) if strictness == Strictness::LeaveOut => {}
            Err(fault) => return Err(fault.within(name)),
        }
    }
    Ok(message)
}

/// A field by its name in JSON or in the `.proto`.
fn field(descriptor: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    descriptor
        .get_field_by_json_name(name)
        .or_else(|| descriptor.get_field_by_name(name))
}

/// Whether `null` is a value of the field.
fn is_value(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(inner) if well_known(&inner) == Some("Value"))
}

fn is_unreadable_time(field: &FieldDescriptor, value: &Value) -> bool {
    matches!(field.kind(), Kind::Message(inner) if well_known(&inner) == Some("Timestamp"))
        && value
            .as_str()
            .is_some_and(|text| parse_time(text).is_none())
}

fn write_field(
    field: &FieldDescriptor,
    value: &Value,
    strictness: Strictness,
) -> Result<Field, Fault> {
    if field.is_map() {
        let (Kind::Message(entry), Value::Object(members)) = (field.kind(), value) else {
            return Err(Fault::new("", "must be an object"));
        };
        let kind = entry.map_entry_value_field().kind();
        return members
            .iter()
            .map(|(key, value)| {
                let written =
                    write_one(&kind, value, strictness).map_err(|fault| fault.within(key))?;
                Ok((MapKey::String(key.clone()), written))
            })
            .collect::<Result<_, _>>()
            .map(Field::Map);
    }
    if field.is_list() {
        let Value::Array(values) = value else {
            return Err(Fault::new("", "must be an array"));
        };
        let kind = field.kind();
        return values
            .iter()
            .enumerate()
            .map(|(index, value)| {
                write_one(&kind, value, strictness)
                    .map_err(|fault| fault.within(&format!("[{index}]")))
            })
            .collect::<Result<_, _>>()
            .map(Field::List);
    }
    write_one(&field.kind(), value, strictness)
}

fn write_one(kind: &Kind, value: &Value, strictness: Strictness) -> Result<Field, Fault> {
    let fault = |problem: &'static str| Fault::new("", problem);
    match (kind, value) {
        (Kind::Message(descriptor), value) => {
            write(descriptor, value, strictness).map(Field::Message)
        }
        (Kind::String, Value::String(text)) => Ok(Field::String(text.clone())),
        (Kind::String, _) => Err(fault("must be a string")),
        (Kind::Bool, Value::Bool(value)) => Ok(Field::Bool(*value)),
        (Kind::Bool, _) => Err(fault("must be true or false")),
        (Kind::Bytes, Value::String(text)) => decode_base64(text)
            .or_else(|| (strictness == Strictness::LeaveOut).then(|| text.clone().into_bytes()))
            .map(|bytes| Field::Bytes(bytes.into()))
            .ok_or_else(|| fault("must be base64")),
        (Kind::Bytes, _) => Err(fault("must be base64")),
        (Kind::Enum(names), Value::String(name)) => Ok(Field::EnumNumber(
            names
                .get_value_by_name(name)
                .map_or(0, |value| value.number()),
        )),
        (Kind::Enum(_), value) => whole(value)
            .map(Field::EnumNumber)
            .ok_or_else(|| fault("must be the name of a value")),
        (Kind::Int32, value) => whole(value)
            .map(Field::I32)
            .ok_or_else(|| fault("must be a whole number")),
        // No message of A2A has a field of another kind.
        _ => Err(fault("has a type that is not known here")),
    }
}

/// A whole number, which ProtoJSON also writes as a string or as `1.0`; one that is too large is the largest.
fn whole(value: &Value) -> Option<i32> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    // A cast from a float saturates, which is what is wanted of counts.
    (number.fract() == 0.0).then_some(number as i32)
}

/// Reads base64 of either alphabet, padded or not.
pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    if text.contains(['-', '_']) {
        ANY_URL_SAFE.decode(text).ok()
    } else {
        ANY_STANDARD.decode(text).ok()
    }
}

fn write_struct(message: &mut DynamicMessage, members: &Object) {
    let Some(Kind::Message(entry)) = kind_of(message, "fields") else {
        return;
    };
    let Kind::Message(descriptor) = entry.map_entry_value_field().kind() else {
        return;
    };
    let fields = members
        .iter()
        .map(|(name, json)| {
            let mut value = DynamicMessage::new(descriptor.clone());
            write_value(&mut value, json);
            (MapKey::String(name.clone()), Field::Message(value))
        })
        .collect();
    message.set_field_by_name("fields", Field::Map(fields));
}

fn write_list(message: &mut DynamicMessage, values: &[Value]) {
    let Some(Kind::Message(descriptor)) = kind_of(message, "values") else {
        return;
    };
    let values = values
        .iter()
        .map(|json| {
            let mut value = DynamicMessage::new(descriptor.clone());
            write_value(&mut value, json);
            Field::Message(value)
        })
        .collect();
    message.set_field_by_name("values", Field::List(values));
}

fn write_value(message: &mut DynamicMessage, json: &Value) {
    let nested = |name: &str| match kind_of(message, name) {
        Some(Kind::Message(descriptor)) => DynamicMessage::new(descriptor),
        _ => message.clone(),
    };
    let (name, value) = match json {
        Value::Null => ("null_value", Field::EnumNumber(0)),
        Value::Bool(value) => ("bool_value", Field::Bool(*value)),
        Value::Number(number) => (
            "number_value",
            Field::F64(number.as_f64().unwrap_or_default()),
        ),
        Value::String(text) => ("string_value", Field::String(text.clone())),
        Value::Array(values) => {
            let mut list = nested("list_value");
            write_list(&mut list, values);
            ("list_value", Field::Message(list))
        }
        Value::Object(members) => {
            let mut object = nested("struct_value");
            write_struct(&mut object, members);
            ("struct_value", Field::Message(object))
        }
    };
    message.set_field_by_name(name, value);
}

fn kind_of(message: &DynamicMessage, field: &str) -> Option<Kind> {
    use prost_reflect::ReflectMessage as _;
    Some(message.descriptor().get_field_by_name(field)?.kind())
}

fn read(message: &DynamicMessage) -> Value {
    use prost_reflect::ReflectMessage as _;
    let descriptor = message.descriptor();
    let part = |name: &str| message.get_field_by_name(name);
    match well_known(&descriptor) {
        Some("Timestamp") => {
            let seconds = part("seconds").and_then(|value| value.as_i64());
            let nanos = part("nanos").and_then(|value| value.as_i32());
            let time = jiff::Timestamp::new(seconds.unwrap_or_default(), nanos.unwrap_or_default());
            // Out of the range of the calendar: nobody could read it.
            return time.map_or(Value::Null, |time| Value::from(time.to_string()));
        }
        Some("Struct") => return part("fields").map_or(Value::Null, |value| read_one(&value)),
        Some("ListValue") => return part("values").map_or(Value::Null, |value| read_one(&value)),
        Some(_) => {
            return message
                .fields()
                .next()
                .map_or(Value::Null, |(field, value)| match field.kind() {
                    // The one value of `NullValue`.
                    Kind::Enum(_) => Value::Null,
                    _ => read_one(value),
                });
        }
        None => {}
    }
    let members = message.fields().filter_map(|(field, value)| {
        let read = match field.kind() {
            Kind::Enum(names) => names_of(&names, value),
            _ => read_one(value),
        };
        // A time that is out of the calendar: left out, as one that cannot be read is.
        let said = !read.is_null() || is_value(&field);
        said.then(|| (field.json_name().to_owned(), read))
    });
    Value::Object(members.collect())
}

/// The name of an enum's value; the number where it has none, which every reader takes for "unspecified".
fn names_of(names: &prost_reflect::EnumDescriptor, value: &Field) -> Value {
    let number = value.as_enum_number().unwrap_or_default();
    match names.get_value(number) {
        Some(value) => Value::from(value.name()),
        None => Value::from(number),
    }
}

fn read_one(value: &Field) -> Value {
    match value {
        Field::Bool(value) => Value::from(*value),
        Field::I32(number) | Field::EnumNumber(number) => Value::from(*number),
        Field::I64(number) => Value::from(*number),
        Field::U32(number) => Value::from(*number),
        Field::U64(number) => Value::from(*number),
        Field::F32(number) => read_number(f64::from(*number)),
        Field::F64(number) => read_number(*number),
        Field::String(text) => Value::from(text.as_str()),
        Field::Bytes(bytes) => Value::from(STANDARD.encode(bytes)),
        Field::Message(message) => read(message),
        Field::List(values) => values.iter().map(read_one).collect(),
        Field::Map(members) => {
            // Sorted, so that the same bytes are the same text: a map's own order changes from one reading to the next.
            let sorted: BTreeMap<&str, &Field> = members
                .iter()
                .filter_map(|(name, value)| Some((name.as_str()?, value)))
                .collect();
            let members = sorted
                .into_iter()
                .map(|(name, value)| (name.to_owned(), read_one(value)));
            Value::Object(members.collect())
        }
    }
}

/// A number of free-form JSON: whole ones as such, since protobuf has made a double of every number.
fn read_number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() <= MAX_EXACT {
        // Exact within these bounds.
        return Value::from(number as i64);
    }
    // What is no number cannot be written in JSON.
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// Gives the members of an object their names in JSON and takes out those that the message has not, from all objects
/// within it as well. An object that has `metadata` keeps what was taken from it, and from objects in it that have
/// none, there under `key`; what no object could keep is returned.
pub(super) fn confine(version: Version, message: &str, object: &mut Object, key: &str) -> Object {
    match descriptor(version, message) {
        Ok(descriptor) => confine_to(&descriptor, object, key),
        Err(_) => Object::new(),
    }
}

fn confine_to(descriptor: &MessageDescriptor, object: &mut Object, key: &str) -> Object {
    let mut gone = Object::new();
    for (name, mut value) in std::mem::take(object) {
        let Some(field) = field(descriptor, &name) else {
            gone.insert(name, value);
            continue;
        };
        if let Some(inner) = message_of(&field) {
            match &mut value {
                Value::Object(object) if !field.is_map() => {
                    let left = confine_to(&inner, object, key);
                    if !left.is_empty() {
                        gone.insert(field.json_name().to_owned(), Value::Object(left));
                    }
                }
                Value::Array(values) => {
                    for object in values.iter_mut().filter_map(Value::as_object_mut) {
                        confine_to(&inner, object, key);
                    }
                }
                _ => {}
            }
        }
        object.entry(field.json_name().to_owned()).or_insert(value);
    }
    if gone.is_empty() || !has_metadata(descriptor) {
        return gone;
    }
    if let Some(kept) = kept::place(object, key) {
        merge(kept, gone);
    }
    Object::new()
}

/// Gives the members their names in JSON and puts back what [`confine`] has kept. Messages called `except` keep theirs:
/// somebody else puts it back.
pub(super) fn release(
    version: Version,
    message: &str,
    object: &mut Object,
    key: &str,
    except: &str,
) {
    if let Ok(descriptor) = descriptor(version, message) {
        release_in(&descriptor, object, key, except);
    }
}

fn release_in(descriptor: &MessageDescriptor, object: &mut Object, key: &str, except: &str) {
    for (name, mut value) in std::mem::take(object) {
        let Some(field) = field(descriptor, &name) else {
            object.insert(name, value);
            continue;
        };
        if let Some(inner) = message_of(&field) {
            match &mut value {
                Value::Object(object) if !field.is_map() => {
                    release_in(&inner, object, key, except);
                }
                Value::Array(values) => {
                    for object in values.iter_mut().filter_map(Value::as_object_mut) {
                        release_in(&inner, object, key, except);
                    }
                }
                _ => {}
            }
        }
        object.entry(field.json_name().to_owned()).or_insert(value);
    }
    if !has_metadata(descriptor) {
        return;
    }
    let kept = if descriptor.name() == except {
        Object::new()
    } else {
        kept::take(object, key)
    };
    // Protobuf readers write an empty one where there was none.
    if matches!(object.get("metadata"), Some(Value::Object(metadata)) if metadata.is_empty()) {
        object.remove("metadata");
    }
    merge(object, kept);
}

/// The message that the field holds, one or several of, where its members are its own.
fn message_of(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(inner) if well_known(&inner).is_none() => Some(inner),
        _ => None,
    }
}

fn has_metadata(descriptor: &MessageDescriptor) -> bool {
    descriptor
        .get_field_by_name("metadata")
        .is_some_and(|field| matches!(field.kind(), Kind::Message(inner) if well_known(&inner) == Some("Struct")))
}

/// Puts members into an object, objects into objects; what is there stays.
fn merge(object: &mut Object, members: Object) {
    for (name, value) in members {
        match (object.get_mut(&name), value) {
            (Some(Value::Object(there)), Value::Object(more)) => merge(there, more),
            (Some(_), _) => {}
            (None, value) => {
                object.insert(name, value);
            }
        }
    }
}
