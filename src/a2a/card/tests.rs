//! What a card says, and what its rewriting keeps, changes and hides.

use serde_json::{Value, json};
use url::Url;

use super::{CardError, CardPlan, Served, WorkerCard, rewrite};
use crate::a2a::{Dialect, Version};

fn parse(card: &Value) -> WorkerCard {
    let base = Url::parse("http://worker.internal:9000/base/.well-known/agent-card.json").unwrap();
    WorkerCard::parse(card.to_string().as_bytes(), &base).unwrap()
}

fn plan(versions: &[Version], for_version: Option<Version>) -> CardPlan {
    CardPlan {
        served: versions
            .iter()
            .map(|version| Served {
                dialect: Dialect::jsonrpc(*version),
                url: format!("https://agents.example/{}", version.number()),
                tenant: None,
            })
            .collect(),
        streaming: true,
        push: true,
        callback: false,
        extended: false,
        generations: false,
        for_version,
    }
}

const ALL: [Version; 3] = [Version::V1_0, Version::V0_3, Version::V0_2];

/// A worker of 0.3 with everything that a card can have.
fn old_card() -> Value {
    json!({
        "name": "n", "description": "d", "version": "7", "protocolVersion": "0.3.0",
        "url": "http://worker.internal:9000/rpc", "preferredTransport": "JSONRPC",
        "additionalInterfaces": [
            {"url": "http://worker.internal:9000/rpc", "transport": "JSONRPC"},
            {"url": "worker.internal:9001", "transport": "GRPC"},
        ],
        "provider": {"organization": "o", "url": "https://provider.example/"},
        "documentationUrl": "https://docs.example/", "iconUrl": "https://icon.example/",
        "capabilities": {"streaming": false, "stateTransitionHistory": true, "x-more": 1,
            "extensions": [
                {"uri": "https://e.example/1", "required": true},
                {"uri": "https://e.example/2", "required": false},
            ]},
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-Key", "description": "k"},
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "oauth": {"type": "oauth2", "flows": {
                "clientCredentials": {"tokenUrl": "https://t.example/", "scopes": {}},
                "authorizationCode": {"authorizationUrl": "https://a.example/", "tokenUrl": "https://t.example/", "scopes": {"s": "S"}},
            }},
            "oidc": {"type": "openIdConnect", "openIdConnectUrl": "https://i.example/"},
            "mtls": {"type": "mutualTLS"},
            "odd": {"type": "carrier-pigeon"},
        },
        "security": [{"oauth": ["s"], "key": []}, {"bearer": []}],
        "skills": [{"id": "s", "name": "s", "description": "s", "tags": [], "security": [{"mtls": []}]}],
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "supportsAuthenticatedExtendedCard": true,
        "signatures": [{"protected": "p", "signature": "s"}],
        "x-unknown": {"kept": [1, null]},
    })
}

/// The security of [`old_card`] in 1.0.
fn new_schemes() -> Value {
    json!({
        "key": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key", "description": "k"}},
        "bearer": {"httpAuthSecurityScheme": {"scheme": "bearer", "bearerFormat": "JWT"}},
        "oauth": {"oauth2SecurityScheme": {"flows": {
            "authorizationCode": {"authorizationUrl": "https://a.example/", "tokenUrl": "https://t.example/", "scopes": {"s": "S"}},
        }}},
        "oidc": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://i.example/"}},
        "mtls": {"mtlsSecurityScheme": {}},
        "odd": {"type": "carrier-pigeon"},
    })
}

#[test]
fn a_card_of_0_3_is_understood() {
    let card = parse(&old_card());
    let found: Vec<_> = card
        .interfaces
        .iter()
        .map(|interface| {
            (
                interface.binding.as_str(),
                interface.dialect,
                interface.url.as_str(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (
                "JSONRPC",
                Some(Dialect::jsonrpc(Version::V0_3)),
                "http://worker.internal:9000/rpc"
            ),
            (
                "GRPC",
                Some(Dialect::grpc(Version::V0_3)),
                "http://worker.internal:9001/"
            ),
        ]
    );
    assert!(!card.streaming && !card.push && card.extended_card);
    assert_eq!(card.required_extensions, ["https://e.example/1"]);
    assert_eq!(card.preferred(), card.interfaces.first());
}

#[test]
fn a_card_of_1_0_is_understood_in_its_order_of_preference() {
    let card = parse(&json!({
        "supportedInterfaces": [
            {"url": "grpc.worker.internal:443", "protocolBinding": "GRPC", "protocolVersion": "1.0"},
            {"url": "/v9", "protocolBinding": "JSONRPC", "protocolVersion": "9.0"},
            {"url": "rpc", "protocolBinding": "jsonrpc", "protocolVersion": "1.0.1", "tenant": "acme"},
            {"url": "https://worker.internal/rest", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
        ],
        "capabilities": {"streaming": true, "pushNotifications": true, "extendedAgentCard": true},
    }));
    let urls: Vec<_> = card
        .interfaces
        .iter()
        .map(|interface| interface.url.as_str())
        .collect();
    assert_eq!(
        urls,
        [
            "https://grpc.worker.internal/",
            "http://worker.internal:9000/v9",
            "http://worker.internal:9000/base/.well-known/rpc",
            "https://worker.internal/rest",
        ]
    );
    let preferred = card.preferred().unwrap();
    assert_eq!(preferred.dialect, Some(Dialect::grpc(Version::V1_0)));
    assert_eq!(card.interfaces[2].tenant.as_deref(), Some("acme"));
    assert!(card.streaming && card.push && card.extended_card);
}

#[test]
fn a_hybrid_card_names_each_interface_once() {
    let card = parse(&json!({
        "supportedInterfaces": [
            {"url": "http://w/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0", "tenant": ""},
            {"url": "http://w/", "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
        ],
        "url": "http://w/", "preferredTransport": "JSONRPC", "protocolVersion": "0.3.0",
    }));
    let dialects: Vec<_> = card
        .interfaces
        .iter()
        .map(|interface| interface.dialect)
        .collect();
    assert_eq!(
        dialects,
        [
            Some(Dialect::jsonrpc(Version::V1_0)),
            Some(Dialect::jsonrpc(Version::V0_3))
        ]
    );
}

#[test]
fn the_version_of_an_old_card_without_one_is_told_by_its_members() {
    let version = |card: Value| parse(&card).interfaces[0].clone();
    let v0_2 = version(json!({"url": "http://w/"}));
    assert_eq!(v0_2.dialect, Some(Dialect::jsonrpc(Version::V0_2)));
    let v0_1 = version(json!({"url": "http://w/", "authentication": {"schemes": ["bearer"]}}));
    assert_eq!(v0_1.dialect, Some(Dialect::jsonrpc(Version::V0_1)));
    // The library claims a version that it does not speak.
    let python = version(json!({
        "url": "http://w/", "protocolVersion": "0.3.0", "capabilities": {"parts_array_format": true},
    }));
    assert_eq!(python.dialect, Some(Dialect::PYTHON_A2A));
}

#[test]
fn what_is_no_card_is_refused_and_a_poor_card_is_not() {
    let base = Url::parse("http://w/").unwrap();
    assert!(matches!(
        WorkerCard::parse(b"<html>", &base),
        Err(CardError::NotJson(_))
    ));
    assert!(matches!(
        WorkerCard::parse(b"[]", &base),
        Err(CardError::NotAnObject)
    ));
    let poor = WorkerCard::parse(
        br#"{"url":7,"capabilities":[],"supportedInterfaces":{},"additionalInterfaces":[3]}"#,
        &base,
    )
    .unwrap();
    assert_eq!((poor.interfaces.len(), poor.preferred()), (0, None));
}

#[test]
fn a_rewritten_card_keeps_everything_but_the_workers_addresses_and_signature() {
    for for_version in [
        None,
        Some(Version::V1_0),
        Some(Version::V0_3),
        Some(Version::V0_2),
    ] {
        let card = rewrite(&parse(&old_card()), &plan(&ALL, for_version));
        assert!(
            !card.to_string().contains("worker.internal"),
            "{for_version:?}: {card}"
        );
        for name in [
            "name",
            "description",
            "version",
            "provider",
            "documentationUrl",
            "iconUrl",
            "defaultInputModes",
            "defaultOutputModes",
            "x-unknown",
        ] {
            assert_eq!(card[name], old_card()[name], "{for_version:?} {name}");
        }
        assert_eq!(card["capabilities"]["x-more"], 1);
        assert_eq!(
            card["capabilities"]["extensions"],
            old_card()["capabilities"]["extensions"]
        );
        assert_eq!(card["capabilities"]["streaming"], true);
        assert_eq!(card["capabilities"]["pushNotifications"], true);
        assert_eq!(card.get("signatures"), None);
    }
}

#[test]
fn a_card_for_1_0_has_nothing_of_0_x() {
    let card = rewrite(&parse(&old_card()), &plan(&ALL, Some(Version::V1_0)));
    assert_eq!(
        card["supportedInterfaces"],
        json!([
            {"url": "https://agents.example/1.0", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": "https://agents.example/0.3", "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
            {"url": "https://agents.example/0.2", "protocolBinding": "JSONRPC", "protocolVersion": "0.2"},
        ])
    );
    for name in [
        "url",
        "preferredTransport",
        "additionalInterfaces",
        "protocolVersion",
        "security",
        "supportsAuthenticatedExtendedCard",
    ] {
        assert_eq!(card.get(name), None, "{name}");
    }
    assert_eq!(card["capabilities"].get("stateTransitionHistory"), None);
    assert_eq!(card["securitySchemes"], new_schemes());
    assert_eq!(
        card["securityRequirements"],
        json!([
            {"schemes": {"oauth": {"list": ["s"]}, "key": {"list": []}}},
            {"schemes": {"bearer": {"list": []}}},
        ])
    );
    let skill = &card["skills"][0];
    assert_eq!(
        skill["securityRequirements"],
        json!([{"schemes": {"mtls": {"list": []}}}])
    );
    assert_eq!(skill.get("security"), None);
}

#[test]
fn a_card_for_0_x_has_nothing_of_1_0() {
    let new = rewrite(&parse(&old_card()), &plan(&ALL, Some(Version::V1_0)));
    for (version, number) in [(Version::V0_3, "0.3.0"), (Version::V0_2, "0.2.6")] {
        let card = rewrite(&parse(&new), &plan(&ALL, Some(version)));
        assert_eq!(card["protocolVersion"], number);
        assert_eq!(
            card["url"],
            format!("https://agents.example/{}", version.number())
        );
        assert_eq!(card["preferredTransport"], "JSONRPC");
        assert_eq!(card.get("supportedInterfaces"), None);
        assert_eq!(card.get("securityRequirements"), None);
        let mut schemes = old_card()["securitySchemes"].clone();
        // Lost on the way through 1.0: it has room for one flow.
        schemes["oauth"]["flows"]
            .as_object_mut()
            .unwrap()
            .remove("clientCredentials");
        let mut skill = old_card()["skills"][0]["security"].clone();
        if version == Version::V0_2 {
            // 0.2 does not know it.
            schemes.as_object_mut().unwrap().remove("mtls");
            skill = Value::Null;
        }
        assert_eq!(card["securitySchemes"], schemes);
        assert_eq!(card["security"], old_card()["security"]);
        let skills = card["skills"][0].get("security");
        assert_eq!(skills.unwrap_or(&Value::Null), &skill);
    }
    let v0_3 = rewrite(&parse(&new), &plan(&ALL, Some(Version::V0_3)));
    assert_eq!(
        v0_3["additionalInterfaces"],
        json!([{"url": "https://agents.example/0.3", "transport": "JSONRPC"}])
    );
}

#[test]
fn a_card_for_everybody_has_both() {
    let card = rewrite(&parse(&old_card()), &plan(&ALL, None));
    assert_eq!(card["url"], "https://agents.example/0.3");
    assert_eq!(card["protocolVersion"], "0.3.0");
    assert_eq!(card["supportedInterfaces"].as_array().unwrap().len(), 3);
    let bearer = &card["securitySchemes"]["bearer"];
    assert_eq!(bearer["type"], "http");
    assert_eq!(
        bearer["httpAuthSecurityScheme"],
        new_schemes()["bearer"]["httpAuthSecurityScheme"]
    );
    assert_eq!(card["security"], old_card()["security"]);
    assert!(card["securityRequirements"].is_array());
    // Taken apart again it is each version's own.
    let v1 = rewrite(&parse(&card), &plan(&ALL, Some(Version::V1_0)));
    assert_eq!(v1["securitySchemes"], new_schemes());
    let v0 = rewrite(&parse(&card), &plan(&ALL, Some(Version::V0_3)));
    let mut schemes = old_card()["securitySchemes"].clone();
    // The Python SDK of 1.0 reads the 0.x side first, and has room for one flow.
    schemes["oauth"]["flows"]
        .as_object_mut()
        .unwrap()
        .remove("clientCredentials");
    assert_eq!(v0["securitySchemes"], schemes);
    // A card for 0.3 alone keeps every flow.
    let only = rewrite(&parse(&old_card()), &plan(&ALL, Some(Version::V0_3)));
    assert_eq!(only["securitySchemes"], old_card()["securitySchemes"]);
    // From a worker of 1.0 too.
    let from_new = rewrite(&parse(&v1), &plan(&ALL, None));
    assert_eq!(from_new["securitySchemes"]["key"]["in"], "header");
    assert_eq!(
        from_new["securitySchemes"]["key"]["apiKeySecurityScheme"]["location"],
        "header"
    );
    // One family of versions alone makes that family's card.
    let only_old = rewrite(&parse(&old_card()), &plan(&[Version::V0_3], None));
    assert_eq!(only_old.get("supportedInterfaces"), None);
    let only_new = rewrite(&parse(&old_card()), &plan(&[Version::V1_0], None));
    assert_eq!(only_new.get("url"), None);
}

#[test]
fn the_extended_card_is_announced_in_each_versions_way() {
    let mut plan = plan(&ALL, None);
    for extended in [false, true] {
        plan.extended = extended;
        let card = rewrite(&parse(&old_card()), &plan);
        assert_eq!(card["supportsAuthenticatedExtendedCard"], extended);
        let new = card["capabilities"].get("extendedAgentCard");
        assert_eq!(new, extended.then_some(&json!(true)));
    }
}

#[test]
fn a_signature_stays_only_on_an_unchanged_card() {
    let worker = parse(&json!({
        "name": "n",
        "supportedInterfaces": [{"url": "https://agents.example/1.0", "protocolBinding": "JSONRPC", "protocolVersion": "1.0", "tenant": "t"}],
        "capabilities": {"streaming": true, "pushNotifications": true},
        "signatures": [{"signature": "s"}],
    }));
    let mut plan = plan(&[Version::V1_0], Some(Version::V1_0));
    plan.served[0].tenant = Some("t".to_owned());
    assert_eq!(rewrite(&worker, &plan), worker.raw);
    plan.push = false;
    let changed = rewrite(&worker, &plan);
    assert_eq!(changed.get("signatures"), None);
    assert_eq!(changed["capabilities"]["pushNotifications"], false);
}

#[test]
fn an_address_of_grpc_is_one_of_http_2() {
    let address = |base: &str, url: &str| {
        let card = json!({"url": url, "preferredTransport": "GRPC", "protocolVersion": "0.3.0"});
        let base = Url::parse(base).unwrap();
        let card = WorkerCard::parse(card.to_string().as_bytes(), &base).unwrap();
        card.interfaces[0].url.clone()
    };
    let plain = "http://worker:9000/";
    let tls = "https://worker/";
    for (base, url, wanted) in [
        (plain, "worker:50051", "http://worker:50051/"),
        (plain, "127.0.0.1:50051", "http://127.0.0.1:50051/"),
        (plain, "[::1]:50051", "http://[::1]:50051/"),
        (plain, "worker:443", "https://worker/"),
        (tls, "worker:50051", "https://worker:50051/"),
        (tls, "http://worker:50051", "http://worker:50051/"),
        (plain, "grpc://worker:50051", "http://worker:50051/"),
        (plain, "grpcs://worker:50051", "https://worker:50051/"),
        (plain, "dns:///worker:50051", "http://worker:50051/"),
    ] {
        assert_eq!(address(base, url), wanted, "{url} at {base}");
    }
}

/// PraisonAI's card, which no client of the protocol's own can read as it is.
#[test]
fn what_a_card_lacks_is_filled_in() {
    let card = parse(&json!({
        "name": "Research Agent", "url": "http://worker.internal:9000/a2a", "version": "1.0.0",
        "capabilities": {"streaming": true, "pushNotifications": false, "stateTransitionHistory": false,
            "extendedAgentCard": false},
        "provider": {"name": "PraisonAI"},
    }));
    assert_eq!(
        card.preferred().unwrap().dialect,
        Some(Dialect::jsonrpc(Version::PraisonAi))
    );
    for version in [None, Some(Version::V0_2), Some(Version::V1_0)] {
        let shown = rewrite(&card, &plan(&ALL, version));
        assert_eq!(shown["description"], "");
        assert_eq!(shown["defaultInputModes"], json!(["text/plain"]));
        assert_eq!(shown["defaultOutputModes"], json!(["text/plain"]));
        assert_eq!(shown["skills"], json!([]));
        assert_eq!(
            shown["provider"],
            json!({"name": "PraisonAI", "organization": "PraisonAI", "url": ""})
        );
    }
}

#[test]
fn a_skill_has_the_modes_of_its_card_where_any_client_may_read_it() {
    let card = parse(&json!({
        "name": "n", "description": "d", "version": "1", "url": "http://worker.internal:9000/",
        "protocolVersion": "0.3.0", "defaultInputModes": ["a/b"], "defaultOutputModes": ["c/d"],
        "skills": [{"id": "one", "name": "1", "description": "", "tags": ["t"], "inputModes": ["e/f"]}],
        "provider": {"url": "https://nobody.example/"},
    }));
    let skill = |version| rewrite(&card, &plan(&ALL, version))["skills"][0].clone();
    assert_eq!(skill(None)["inputModes"], json!(["e/f"]));
    assert_eq!(skill(None)["outputModes"], json!(["c/d"]));
    assert_eq!(skill(Some(Version::V0_3)).get("outputModes"), None);
    let shown = rewrite(&card, &plan(&ALL, None));
    assert_eq!(shown.get("provider"), None, "nobody's");
}

/// What only one system speaks is its clients' to know, and 0.1 has no cards that could.
#[test]
fn no_card_lists_the_dialect_of_a_system() {
    let card = parse(&old_card());
    let mut served = ALL.to_vec();
    served.extend([Version::PraisonAi, Version::FastA2a, Version::FastA2aV0]);
    served.extend([Version::PythonA2a, Version::V0_1]);
    assert_eq!(
        rewrite(&card, &plan(&served, None)),
        rewrite(&card, &plan(&ALL, None))
    );
}
