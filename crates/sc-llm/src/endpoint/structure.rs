//! How a server is made to answer with a label, and the requests that do it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{EndpointParams, Message, Role};

/// Labels and their characters that every provider takes in a schema. Each has limits of its own.
const CERTAIN: (usize, usize) = (100, 4_000);
/// More of either are numbered.
const MOST: (usize, usize) = (500, 15_000);
/// Most tokens that servers list in the place of one.
pub(super) const MAX_TOP: u8 = 20;
/// Fewer, which more servers accept.
const FEW_TOP: u8 = 5;
/// Bytes of an answer for each token that is listed, and for all of them at most.
const BYTES_OF_TOP: u64 = 100;
const MAX_BYTES_OF_TOP: u64 = 4 << 20;
/// The key of the label in JSON.
pub(super) const KEY: &str = "cell_type";
/// The name of the function and of the schema.
const NAME: &str = "answer";

/// A way to get a label out of a server, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Structure {
    /// `response_format` with a JSON schema whose only property is one of the labels.
    JsonSchema,
    /// `structured_outputs.choice`, of vLLM.
    StructuredOutputs,
    /// `guided_choice`, of older vLLM.
    GuidedChoice,
    /// `json_schema` as a field of the request, of llama-server.
    SchemaField,
    /// `response_format` with a JSON object and `schema` beside its type, of llama-cpp-python.
    ObjectSchema,
    /// A function that has to be called with one of the labels.
    ToolCall,
    /// `response_format` with any JSON object.
    JsonObject,
    /// Text.
    Plain,
}

impl Structure {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 8] = [
        Self::JsonSchema,
        Self::StructuredOutputs,
        Self::GuidedChoice,
        Self::SchemaField,
        Self::ObjectSchema,
        Self::ToolCall,
        Self::JsonObject,
        Self::Plain,
    ];
}

/// What one model on one server understands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Dialect {
    pub(super) structure: Structure,
    /// `max_tokens` or `max_completion_tokens`.
    pub(super) newer_limit: bool,
    pub(super) temperature: bool,
    pub(super) seed: bool,
    pub(super) logprobs: bool,
    /// Tokens to list in the place of each; none without `logprobs`.
    pub(super) top_logprobs: u8,
    pub(super) stream_usage: bool,
}

impl Dialect {
    /// All that the parameters ask for.
    pub(super) fn new(structure: Structure, params: &EndpointParams) -> Self {
        Self {
            structure,
            newer_limit: false,
            temperature: true,
            seed: true,
            logprobs: params.logprobs,
            top_logprobs: params.top_logprobs,
            stream_usage: true,
        }
    }

    /// Gives up, or names otherwise, a field that a server complains about. False if it complains about none.
    ///
    /// * `field`: the field that the complaint names, if it does so apart from its text.
    pub(super) fn give_in(&mut self, field: Option<&str>, complaint: &str) -> bool {
        let known = ["max_tokens", "stream_options", "temperature", "top_logprobs", "logprobs", "seed"];
        let named = |name: &&&str| field == Some(**name) || (field.is_none() && complaint.contains(**name));
        let given = match known.iter().find(named) {
            Some(&"max_tokens") => {
                self.newer_limit = !self.newer_limit;
                return self.newer_limit;
            }
            Some(&"stream_options") => &mut self.stream_usage,
            Some(&"temperature") => &mut self.temperature,
            // It may be about the number of tokens in the lists.
            Some(&("top_logprobs" | "logprobs")) if self.logprobs && self.top_logprobs > 0 => {
                self.top_logprobs = if self.top_logprobs > FEW_TOP { FEW_TOP } else { 0 };
                return true;
            }
            Some(&"logprobs") => &mut self.logprobs,
            Some(&"seed") => &mut self.seed,
            _ => return false,
        };
        std::mem::replace(given, false)
    }
}

/// How a schema says which answers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Listing {
    /// All labels.
    Names,
    /// Places of labels, by the least and the largest.
    Range,
    /// Places of labels, one by one.
    Places,
}

/// How labels are written in a request.
#[derive(Clone, Debug)]
pub(super) struct Coding<'l> {
    labels: &'l [String],
    pub(super) listing: Listing,
}

impl<'l> Coding<'l> {
    pub(super) fn new(structure: Structure, labels: &'l [String]) -> Self {
        let ways = Self { labels, listing: Listing::Names }.listings(structure);
        Self { labels, listing: ways.first().copied().unwrap_or(Listing::Names) }
    }

    pub(super) fn with(self, listing: Listing) -> Self {
        Self { listing, ..self }
    }

    /// The listings to try, where it is not certain which one a provider takes.
    pub(super) fn listings(&self, structure: Structure) -> &'static [Listing] {
        let more_than = |(labels, chars)| self.labels.len() > labels || self.chars() > chars;
        if !matches!(structure, Structure::JsonSchema | Structure::ToolCall) || !more_than(CERTAIN) {
            &[]
        } else if more_than(MOST) {
            &[Listing::Range, Listing::Places]
        } else {
            &[Listing::Names, Listing::Range, Listing::Places]
        }
    }

    /// Characters of all labels.
    pub(super) fn chars(&self) -> usize {
        self.labels.iter().map(|label| label.chars().count()).sum()
    }

    /// The answer is the place of the label, from 0.
    pub(super) fn is_numbered(&self) -> bool {
        self.listing != Listing::Names
    }

    fn schema(&self) -> Value {
        let n_labels = self.labels.len();
        let label = match self.listing {
            Listing::Names => json!({ "type": "string", "enum": self.labels }),
            Listing::Range => json!({ "type": "integer", "minimum": 0, "maximum": n_labels - 1 }),
            Listing::Places => json!({ "type": "integer", "enum": Vec::from_iter(0..n_labels) }),
        };
        let properties = Map::from_iter([(KEY.to_owned(), label)]);
        json!({ "type": "object", "properties": properties, "required": [KEY], "additionalProperties": false })
    }

    /// What is said about the form of the answer at the end of the prompt.
    fn instruction(&self, structure: Structure) -> String {
        let what = if self.is_numbered() {
            "the number of one of these labels"
        } else {
            "one of the allowed labels"
        };
        let mut text = match structure {
            Structure::Plain | Structure::GuidedChoice | Structure::StructuredOutputs => {
                "Answer with one of the allowed labels, word for word, and nothing else.".to_owned()
            }
            Structure::ToolCall => format!("Answer by calling the function `{NAME}` with {what}."),
            _ => format!("Answer with a JSON object that has the one key \"{KEY}\", whose value is {what}."),
        };
        if self.is_numbered() {
            for (number, label) in self.labels.iter().enumerate() {
                text.push_str(&format!("\n{number}: {}", Value::from(label.as_str())));
            }
        }
        text
    }
}

/// What may differ between requests of one prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampling {
    pub(super) temperature: f64,
    pub(super) seed: u64,
}

/// The messages as they are sent: with the form of the answer at the end of the last message of the user.
pub(super) fn instructed(messages: &[Message], structure: Structure, coding: &Coding<'_>) -> Vec<Message> {
    let mut messages = messages.to_vec();
    if let Some(last) = messages.iter_mut().rfind(|message| message.role == Role::User) {
        last.content = format!("{}\n\n{}", last.content.trim_end(), coding.instruction(structure));
    }
    messages
}

/// The body of a request; the same for the same arguments.
pub(super) fn body(
    params: &EndpointParams,
    dialect: &Dialect,
    coding: &Coding<'_>,
    messages: &[Message],
    sampling: Sampling,
) -> Value {
    let mut body = params.extra.clone();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("model", params.model.as_str().into());
    set("messages", json!(messages));
    set(if dialect.newer_limit { "max_completion_tokens" } else { "max_tokens" }, params.max_tokens.into());
    if dialect.temperature {
        set("temperature", sampling.temperature.into());
    }
    if dialect.seed {
        set("seed", sampling.seed.into());
    }
    if dialect.logprobs {
        set("logprobs", true.into());
        let room = MAX_BYTES_OF_TOP / (u64::from(params.max_tokens) * BYTES_OF_TOP).max(1);
        let top = u64::from(dialect.top_logprobs).min(room);
        if top > 0 {
            set("top_logprobs", top.into());
        }
    }
    if params.stream {
        set("stream", true.into());
        if dialect.stream_usage {
            set("stream_options", json!({ "include_usage": true }));
        }
    }
    match dialect.structure {
        Structure::JsonSchema => {
            let schema = json!({ "name": NAME, "strict": true, "schema": coding.schema() });
            set("response_format", json!({ "type": "json_schema", "json_schema": schema }));
        }
        Structure::StructuredOutputs => {
            set("structured_outputs", json!({ "choice": coding.labels }));
        }
        Structure::GuidedChoice => {
            set("guided_choice", json!(coding.labels));
        }
        Structure::SchemaField => {
            set("json_schema", coding.schema());
        }
        Structure::ObjectSchema => {
            set("response_format", json!({ "type": "json_object", "schema": coding.schema() }));
        }
        Structure::ToolCall => {
            let description = "Gives the answer.";
            let function = json!({
                "name": NAME, "description": description, "strict": true, "parameters": coding.schema(),
            });
            set("tools", json!([{ "type": "function", "function": function }]));
            set("tool_choice", json!({ "type": "function", "function": { "name": NAME } }));
        }
        Structure::JsonObject => {
            set("response_format", json!({ "type": "json_object" }));
        }
        Structure::Plain => {}
    }
    // The same bytes whatever order a map keeps in this build.
    let mut body = Value::Object(body);
    body.sort_all_objects();
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(structure: Structure, labels: &[String]) -> (Value, String) {
        let params = EndpointParams::new("http://localhost/v1", "m");
        let coding = Coding::new(structure, labels);
        let messages = [
            Message::new(Role::System, "s"),
            Message::new(Role::User, "u "),
            Message::new(Role::Assistant, "a"),
        ];
        let messages = instructed(&messages, structure, &coding);
        let sampling = Sampling { temperature: 0.0, seed: 3 };
        let body = body(&params, &Dialect::new(structure, &params), &coding, &messages, sampling);
        let text = body["messages"][1]["content"].as_str().unwrap().to_owned();
        (body, text)
    }

    #[test]
    fn each_way_says_what_it_wants_in_its_own_place() {
        let labels = ["B cell".to_owned(), "T \"cell\"".to_owned()];
        let schema = |at: &Value| {
            assert_eq!(at["properties"]["cell_type"]["enum"], json!(labels));
            assert_eq!(
                (&at["required"], &at["additionalProperties"]),
                (&json!(["cell_type"]), &json!(false))
            );
        };
        for structure in Structure::ALL {
            let (body, text) = request(structure, &labels);
            assert!(text.starts_with("u\n\nAnswer"), "{text}");
            assert_eq!(body["messages"][0], json!({ "role": "system", "content": "s" }));
            assert_eq!(
                (&body["seed"], &body["temperature"], &body["logprobs"], &body["top_logprobs"]),
                (&json!(3), &json!(0.0), &json!(true), &json!(20))
            );
            let asks_for_json = text.contains("JSON");
            match structure {
                Structure::JsonSchema => schema(&body["response_format"]["json_schema"]["schema"]),
                Structure::SchemaField => schema(&body["json_schema"]),
                Structure::ObjectSchema => schema(&body["response_format"]["schema"]),
                Structure::ToolCall => schema(&body["tools"][0]["function"]["parameters"]),
                Structure::JsonObject => assert!(asks_for_json, "servers demand the word"),
                Structure::StructuredOutputs => {
                    assert_eq!(body["structured_outputs"]["choice"], json!(labels))
                }
                Structure::GuidedChoice => assert_eq!(body["guided_choice"], json!(labels)),
                Structure::Plain => assert!(!asks_for_json),
            }
        }
    }

    #[test]
    fn many_labels_are_numbered_where_an_enumeration_is_limited() {
        let labels: Vec<String> = (0..=MOST.0).map(|n| format!("cell {n}")).collect();
        let (body, text) = request(Structure::JsonSchema, &labels);
        let schema = &body["response_format"]["json_schema"]["schema"]["properties"]["cell_type"];
        assert_eq!(schema["maximum"], json!(MOST.0));
        assert!(text.contains("\n17: \"cell 17\"\n"), "{text}");
        let (body, text) = request(Structure::GuidedChoice, &labels);
        assert!(body["guided_choice"].as_array().unwrap().len() == labels.len() && !text.contains("17"));
        let long = ["x".repeat(MOST.1), "y".to_owned()];
        assert!(Coding::new(Structure::ToolCall, &long).is_numbered());
        let ways = |structure, n| Coding::new(structure, &labels[..n]).listings(structure).to_vec();
        assert_eq!(ways(Structure::JsonSchema, CERTAIN.0), []);
        assert_eq!(ways(Structure::JsonSchema, MOST.0), [Listing::Names, Listing::Range, Listing::Places]);
        assert_eq!(ways(Structure::SchemaField, labels.len()), []);
    }

    #[test]
    fn a_field_that_is_complained_about_is_given_up_once() {
        let params = EndpointParams::new("http://localhost/v1", "m");
        let mut dialect = Dialect::new(Structure::Plain, &params);
        let openai = "Unsupported parameter: 'max_tokens' is not supported with this model. \
                      Use 'max_completion_tokens' instead.";
        assert!(dialect.give_in(None, openai) && dialect.newer_limit);
        assert!(dialect.give_in(Some("temperature"), "only 1 is supported") && !dialect.temperature);
        assert!(dialect.give_in(None, "top_logprobs is greater than 5") && dialect.top_logprobs == 5);
        assert!(dialect.give_in(None, "This model does not support logprobs") && dialect.top_logprobs == 0);
        assert!(!dialect.give_in(Some("top_logprobs"), "unknown") && dialect.logprobs);
        assert!(dialect.give_in(None, "This model does not support logprobs") && !dialect.logprobs);
        assert!(!dialect.give_in(None, "This model does not support logprobs"));
        assert!(!dialect.give_in(Some("response_format"), "response_format: logprobs, seed"));
        assert!(!dialect.give_in(None, "no such model") && dialect.seed);
    }

    #[test]
    fn lists_of_tokens_leave_room_for_the_answer() {
        let top = |max_tokens| {
            let params = EndpointParams { max_tokens, ..EndpointParams::new("http://localhost/v1", "m") };
            let dialect = Dialect::new(Structure::Plain, &params);
            let coding = Coding::new(Structure::Plain, &[]);
            let sampling = Sampling { temperature: 0.0, seed: 0 };
            body(&params, &dialect, &coding, &[], sampling).get("top_logprobs").and_then(Value::as_u64)
        };
        assert_eq!([top(1), top(512), top(4096), top(u32::MAX)], [Some(20), Some(20), Some(10), None]);
    }

    #[test]
    fn keys_are_sent_in_order_however_they_were_put_in() {
        fn is_sorted(value: &Value) -> bool {
            match value {
                Value::Object(map) => map.keys().is_sorted() && map.values().all(is_sorted),
                Value::Array(list) => list.iter().all(is_sorted),
                _ => true,
            }
        }
        for structure in Structure::ALL {
            let (body, _) = request(structure, &["T cell".to_owned(), "B cell".to_owned()]);
            assert!(is_sorted(&body), "{structure:?}: {body}");
        }
    }
}
