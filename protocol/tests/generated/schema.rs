//! JSON Schema and the AsyncAPI document of the channel.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use vetrina_protocol::client::ClientMessage;
use vetrina_protocol::server::ServerMessage;
use vetrina_protocol::{SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, close, refusal, rest};

use crate::{REGENERATE, generated};

/// The schemas of both directions and the problem body, with every definition under `path`.
fn schemas(path: &str) -> (Value, Value, Value) {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = path.to_owned().into());
    let mut generator = settings.into_generator();
    let client = generator.subschema_for::<ClientMessage>().to_value();
    let server = generator.subschema_for::<ServerMessage>().to_value();
    generator.subschema_for::<rest::Problem>();
    generator.subschema_for::<rest::TokenRequest>();
    generator.subschema_for::<rest::TokenGrant>();
    let definitions = Value::Object(generator.take_definitions(true));
    (client, server, definitions)
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

#[test]
fn json_schema_is_up_to_date() {
    let (client, server, definitions) = schemas("/$defs");
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Vetrina channel, version 1",
        "description": "A frame is an array of messages: of client messages in one direction, of \
                        server messages in the other.",
        "anyOf": [
            { "type": "array", "items": client, "maxItems": vetrina_protocol::MESSAGES_PER_FRAME_MAX },
            { "type": "array", "items": server },
        ],
        "$defs": definitions,
    });
    let late = generated(
        "protocol/generated/channel.schema.json",
        pretty(&schema).as_bytes(),
    );
    assert!(late.is_none(), "{late:?} is out of date; {REGENERATE}");
}

#[test]
fn asyncapi_is_up_to_date() {
    let (_, _, definitions) = schemas("/components/schemas");
    let mut messages = serde_json::Map::new();
    let mut in_channel = serde_json::Map::new();
    let mut of_direction = |direction: &str, prefix: &str| -> Vec<Value> {
        variants(&definitions[direction])
            .into_iter()
            .map(|(name, payload)| {
                let key = format!("{prefix}{name}");
                let message = json!({
                    "name": name,
                    "summary": payload.get("description").cloned().unwrap_or_default(),
                    "payload": payload,
                });
                messages.insert(key.clone(), message);
                let reference = format!("#/components/messages/{key}");
                in_channel.insert(key.clone(), json!({ "$ref": reference }));
                json!({ "$ref": format!("#/channels/show/messages/{key}") })
            })
            .collect()
    };
    let sent = of_direction("ClientMessage", "client");
    let received = of_direction("ServerMessage", "server");
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Vetrina channel",
            "version": "1.0.0",
            "description": format!(
                "WebSocket with sub-protocol {SUBPROTOCOL_MSGPACK} (binary frames) or \
                 {SUBPROTOCOL_JSON} (text frames). One frame is an array of messages. The \
                 specification in words is protocol/README.md."
            ),
        },
        "defaultContentType": "application/msgpack",
        "channels": {
            "show": {
                "address": "/v1/shows/{show}/channel",
                "parameters": { "show": { "description": "Id of the show." } },
                "messages": in_channel,
            }
        },
        "operations": {
            "command": { "action": "send", "channel": { "$ref": "#/channels/show" },
                         "messages": sent },
            "follow": { "action": "receive", "channel": { "$ref": "#/channels/show" },
                        "messages": received },
        },
        "components": { "messages": messages, "schemas": definitions },
        "x-refusals": refusal::RefusalCode::ALL.iter().map(|code| json!({
            "code": code.as_str(), "http_status": code.http_status(), "advice": code.advice(),
        })).collect::<Vec<_>>(),
        "x-close-codes": close::CloseCode::ALL.iter().map(|code| json!({
            "code": *code as u16, "reason": code.reason(),
            "next": format!("{:?}", code.next()).to_lowercase(),
        })).collect::<Vec<_>>(),
    });
    let late = generated(
        "protocol/generated/asyncapi.json",
        pretty(&document).as_bytes(),
    );
    assert!(late.is_none(), "{late:?} is out of date; {REGENERATE}");
}

/// The variants of a message enum by the value of their `type`.
fn variants(schema: &Value) -> Vec<(String, Value)> {
    let variants = schema["oneOf"]
        .as_array()
        .expect("a message is a closed enum");
    variants
        .iter()
        .map(|variant| {
            let name = variant["properties"]["type"]["const"]
                .as_str()
                .expect("tagged by type");
            (name.to_owned(), variant.clone())
        })
        .collect()
}
