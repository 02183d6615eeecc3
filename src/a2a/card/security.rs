//! Security in cards: 0.x writes OpenAPI's objects (`type`, `security`), 1.0 a member per kind of scheme
//! (`httpAuthSecurityScheme`, `securityRequirements`). A card for both has both, one beside the other in each
//! scheme. What neither form knows stays as it is.
//!
//! 1.0 cannot say that one scheme has several OAuth flows: it gets the first of [`FLOWS`] that there is. So does
//! the 0.x side of a card for both, since the Python SDK of 1.0 reads that side first and refuses the whole card
//! for a second flow. 0.2 does not know mutual TLS, and its SDK refuses a card that does.

use serde_json::{Value, json};

use crate::a2a::Object;

/// 0.x `type`, 1.0 member.
const KINDS: [(&str, &str); 5] = [
    ("apiKey", "apiKeySecurityScheme"),
    ("http", "httpAuthSecurityScheme"),
    ("oauth2", "oauth2SecurityScheme"),
    ("openIdConnect", "openIdConnectSecurityScheme"),
    ("mutualTLS", "mtlsSecurityScheme"),
];

/// The flows of OAuth, the advisable ones first; the last two are deprecated in 1.0.
const FLOWS: [&str; 5] = [
    "authorizationCode",
    "clientCredentials",
    "deviceCode",
    "implicit",
    "password",
];

/// Writes the card's and its skills' security in the forms that are asked for, from whichever form is there.
pub(super) fn translate(card: &mut Object, v1: bool, v0: bool) {
    if let Some(Value::Object(schemes)) = card.get_mut("securitySchemes") {
        for scheme in schemes.values_mut().filter_map(Value::as_object_mut) {
            self::scheme(scheme, v1, v0);
        }
    }
    requirements(card, v1, v0);
    if let Some(Value::Array(skills)) = card.get_mut("skills") {
        for skill in skills.iter_mut().filter_map(Value::as_object_mut) {
            requirements(skill, v1, v0);
        }
    }
}

fn scheme(scheme: &mut Object, v1: bool, v0: bool) {
    let old = old_kind(scheme);
    let new = KINDS
        .into_iter()
        .find(|(_, member)| scheme.get(*member).is_some_and(Value::is_object));
    match (old, new) {
        (Some((_, member)), None) if v1 => {
            let mut inner = Object::new();
            for (name, value) in scheme.iter().filter(|(name, _)| *name != "type") {
                match (member, name.as_str()) {
                    ("apiKeySecurityScheme", "in") => {
                        inner.insert("location".to_owned(), value.clone())
                    }
                    ("oauth2SecurityScheme", "flows") => {
                        inner.insert(name.clone(), one_flow(value))
                    }
                    _ => inner.insert(name.clone(), value.clone()),
                };
            }
            if !v0 {
                scheme.clear();
            } else if let Some(flows) = scheme.get_mut("flows") {
                *flows = one_flow(flows);
            }
            scheme.insert(member.to_owned(), Value::Object(inner));
        }
        (None, Some((kind, member))) if v0 => {
            let inner = if v1 {
                scheme.get(member).cloned()
            } else {
                scheme.remove(member)
            };
            if let Some(Value::Object(inner)) = inner {
                for (name, value) in inner {
                    let name = match (kind, name.as_str()) {
                        ("apiKey", "location") => "in".to_owned(),
                        _ => name,
                    };
                    scheme.entry(name).or_insert(value);
                }
            }
            scheme.insert("type".to_owned(), Value::from(kind));
        }
        // A hybrid card, of which only one side is wanted.
        (Some(_), Some((_, member))) if !v1 => {
            scheme.remove(member);
        }
        (Some(_), Some((_, member))) if !v0 => {
            scheme.retain(|name, _| name == member);
        }
        _ => {}
    }
}

/// Takes the schemes of mutual TLS out of a 0.x card, and the requirements that need one.
pub(super) fn without_mutual_tls(card: &mut Object) {
    let mut gone = Vec::new();
    if let Some(Value::Object(schemes)) = card.get_mut("securitySchemes") {
        schemes.retain(|name, scheme| {
            let stays = scheme.get("type").and_then(Value::as_str) != Some("mutualTLS");
            if !stays {
                gone.push(name.clone());
            }
            stays
        });
    }
    drop_requirements(card, &gone);
    if let Some(Value::Array(skills)) = card.get_mut("skills") {
        for skill in skills.iter_mut().filter_map(Value::as_object_mut) {
            drop_requirements(skill, &gone);
        }
    }
}

fn drop_requirements(object: &mut Object, gone: &[String]) {
    if gone.is_empty() {
        return;
    }
    if let Some(Value::Array(alternatives)) = object.get_mut("security") {
        alternatives.retain(|schemes| !gone.iter().any(|name| schemes.get(name).is_some()));
        if alternatives.is_empty() {
            // An empty list would say that nothing is needed.
            object.remove("security");
        }
    }
}

fn old_kind(scheme: &Object) -> Option<(&'static str, &'static str)> {
    let kind = scheme.get("type")?.as_str()?;
    KINDS.into_iter().find(|(name, _)| *name == kind)
}

fn one_flow(flows: &Value) -> Value {
    let Value::Object(flows) = flows else {
        return flows.clone();
    };
    let known = |name: &str| FLOWS.contains(&name);
    let first = FLOWS.into_iter().find(|name| flows.contains_key(*name));
    Value::Object(
        flows
            .iter()
            .filter(|(name, _)| !known(name) || first == Some(name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// `security: [{name: [scopes]}]` and `securityRequirements: [{schemes: {name: {list: [scopes]}}}]`.
fn requirements(object: &mut Object, v1: bool, v0: bool) {
    if v1
        && !object.contains_key("securityRequirements")
        && let Some(Value::Array(old)) = object.get("security")
    {
        let new = old.iter().map(new_requirement).collect();
        object.insert("securityRequirements".to_owned(), new);
    }
    if v0
        && !object.contains_key("security")
        && let Some(Value::Array(new)) = object.get("securityRequirements")
    {
        let old = new.iter().map(old_requirement).collect();
        object.insert("security".to_owned(), old);
    }
    if !v1 {
        object.remove("securityRequirements");
    }
    if !v0 {
        object.remove("security");
    }
}

fn new_requirement(old: &Value) -> Value {
    let schemes: Object = old
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, scopes)| (name.clone(), json!({ "list": scopes })))
        .collect();
    json!({ "schemes": schemes })
}

fn old_requirement(new: &Value) -> Value {
    new.get("schemes")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, scopes)| {
            // ProtoJSON leaves an empty list out.
            let scopes = scopes.get("list").cloned().unwrap_or_else(|| json!([]));
            (name.clone(), scopes)
        })
        .collect::<Object>()
        .into()
}
