//! What a server sent, field by field, none of which needs to be there.

mod stream;

use serde_json::Value;

use super::Usage;

/// One answer of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reply {
    /// The answer, or the arguments of the function that it calls.
    pub(super) text: String,
    /// Why the model does not answer, in its own words.
    pub(super) refusal: Option<String>,
    pub(super) finish: Option<String>,
    /// The tokens of the text, if the server tells their probabilities.
    pub(super) logprobs: Option<Vec<Token>>,
    pub(super) usage: Option<Usage>,
    /// The model as the server names it.
    pub(super) model: Option<String>,
    /// The state of the server, as it names it.
    pub(super) fingerprint: Option<String>,
}

/// One token of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) bytes: Vec<u8>,
    /// Natural logarithm of its probability.
    pub(super) logprob: f64,
    /// The most probable tokens in its place, in the same form.
    pub(super) top: Vec<(Vec<u8>, f64)>,
}

/// Why what was sent is no reply.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NoReply {
    /// It broke off.
    Cut,
    /// It is something else.
    Other(&'static str),
    /// An error of the server, sent as if all were well.
    Failed(Complaint),
}

/// An error as servers describe it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Complaint {
    pub(super) message: String,
    /// Its word for the error.
    pub(super) code: Option<String>,
    /// The field of the request that is at fault.
    pub(super) field: Option<String>,
    /// The status that it would have had.
    pub(super) status: Option<u16>,
}

impl Complaint {
    /// The complaint in the body of an error; all of the body where it has no known form.
    pub(super) fn read(body: &str) -> Self {
        let value: Option<Value> = serde_json::from_str(body).ok();
        let found =
            value.as_ref().map(|value| value.get("error").unwrap_or(value)).and_then(Self::from_value);
        found.unwrap_or_else(|| Self { message: body.to_owned(), ..Self::default() })
    }

    fn from_value(error: &Value) -> Option<Self> {
        if let Some(message) = error.as_str() {
            return Some(Self { message: message.to_owned(), ..Self::default() });
        }
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = error.get("code").and_then(Value::as_u64);
        Some(Self {
            message: text("message").or_else(|| text("detail"))?,
            code: text("code").or_else(|| text("type")),
            field: text("param"),
            status: number.and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code)),
        })
    }

    /// Whether `word` is the server's word for the error.
    pub(super) fn is(&self, word: &str) -> bool {
        self.code.as_deref() == Some(word)
    }
}

impl Reply {
    /// Reads the body of an answer: one JSON object, with empty lines around it where a server keeps the connection
    /// alive with them, or a stream of events.
    pub(super) fn read(body: &str) -> Result<Self, NoReply> {
        let text = body.trim();
        if text.is_empty() {
            return Err(NoReply::Cut);
        }
        let value = if text.starts_with('{') {
            serde_json::from_str(text).map_err(|e| {
                if e.is_eof() { NoReply::Cut } else { NoReply::Other("the answer is not JSON") }
            })?
        } else if text.starts_with("data:") || text.starts_with(':') || text.starts_with("event:") {
            stream::joined(text)?
        } else {
            return Err(NoReply::Other("the answer is neither a JSON object nor a stream of events"));
        };
        Self::from_value(&value)
    }

    fn from_value(value: &Value) -> Result<Self, NoReply> {
        if let Some(error) = value.get("error").filter(|error| !error.is_null()) {
            return Err(NoReply::Failed(Complaint::from_value(error).unwrap_or_default()));
        }
        let choices = value.get("choices").and_then(Value::as_array);
        // One choice was asked for. Of several, the one that calls itself the first.
        let choice = choices.and_then(|choices| {
            choices
                .iter()
                .find(|choice| choice.get("index").is_none_or(|index| index == 0))
                .or(choices.first())
        });
        let Some(choice) = choice else { return Err(NoReply::Other("the answer has no choices")) };
        let Some(message) = choice.get("message").filter(|message| message.is_object()) else {
            return Err(NoReply::Other("the answer has no message"));
        };
        let call = message.pointer("/tool_calls/0/function/arguments").and_then(Value::as_str);
        let string = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            text: call.map(str::to_owned).unwrap_or_else(|| content(message.get("content"))),
            refusal: message
                .get("refusal")
                .and_then(Value::as_str)
                .filter(|r| !r.is_empty())
                .map(str::to_owned),
            finish: choice.get("finish_reason").and_then(Value::as_str).map(str::to_owned),
            logprobs: if call.is_none() {
                choice.pointer("/logprobs/content").and_then(logprobs)
            } else {
                None
            },
            usage: value.get("usage").and_then(usage),
            model: string("model"),
            fingerprint: string("system_fingerprint"),
        })
    }
}

/// Text, or the text of parts.
fn content(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    }
}

fn logprobs(tokens: &Value) -> Option<Vec<Token>> {
    let token = |value: &Value| {
        let (bytes, logprob) = probability(value)?;
        let top = value.get("top_logprobs").and_then(Value::as_array);
        let top = top.into_iter().flatten().take(super::structure::MAX_TOP.into()).filter_map(probability);
        Some(Token { bytes, logprob, top: top.collect() })
    };
    tokens.as_array()?.iter().map(token).collect::<Option<Vec<_>>>().filter(|tokens| !tokens.is_empty())
}

/// Bytes of a token and natural logarithm of its probability.
fn probability(token: &Value) -> Option<(Vec<u8>, f64)> {
    let bytes = token.get("bytes").and_then(Value::as_array).and_then(|bytes| {
        bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
    });
    let bytes = bytes.or_else(|| Some(token.get("token")?.as_str()?.as_bytes().to_vec()))?;
    Some((bytes, token.get("logprob")?.as_f64()?))
}

fn usage(value: &Value) -> Option<Usage> {
    let at = |path: &str| value.pointer(path).and_then(Value::as_u64);
    let (input, output) = (at("/prompt_tokens")?, at("/completion_tokens")?);
    let cached = at("/prompt_tokens_details/cached_tokens").or_else(|| at("/prompt_cache_hit_tokens"));
    let reasoning = at("/completion_tokens_details/reasoning_tokens").unwrap_or(0);
    Some(Usage {
        input,
        cached_input: cached.unwrap_or(0).min(input),
        output,
        reasoning: reasoning.min(output),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_but_the_message_needs_to_be_there() {
        let bare = Reply::read(r#"{"choices": [{"message": {"content": "T cell"}}]}"#).unwrap();
        assert_eq!(bare, Reply { text: "T cell".to_owned(), ..Reply::default() });
        let full = Reply::read(
            r#"

            {"model": "m-2", "system_fingerprint": "fp", "choices": [
                {"index": 1, "message": {"content": "B"}},
                {"index": 0, "finish_reason": "stop", "message": {"content": [{"type": "text", "text": "T"}], "refusal": null},
                 "logprobs": {"content": [{"token": "?", "bytes": [84], "logprob": -0.5,
                     "top_logprobs": [{"token": "B", "bytes": null, "logprob": -1}, {"token": 7, "logprob": -1}, 1]}]}}],
             "usage": {"prompt_tokens": 10, "completion_tokens": 3, "prompt_cache_hit_tokens": 99,
                       "completion_tokens_details": {"reasoning_tokens": 2}}}

            "#,
        )
        .unwrap();
        assert_eq!(full.text, "T");
        let top = vec![(b"B".to_vec(), -1.0)];
        assert_eq!(full.logprobs, Some(vec![Token { bytes: b"T".to_vec(), logprob: -0.5, top }]));
        assert_eq!(full.usage, Some(Usage { input: 10, cached_input: 10, output: 3, reasoning: 2 }));
        assert_eq!((full.model.as_deref(), full.fingerprint.as_deref()), (Some("m-2"), Some("fp")));
    }

    #[test]
    fn what_is_no_reply_is_told_apart() {
        for body in ["", " \n\n", "{\"choices\": [", "data: {\"choices\": []}\n\n"] {
            assert_eq!(Reply::read(body), Err(NoReply::Cut), "{body}");
        }
        for body in [
            "<html>",
            "{]",
            "[]",
            "{}",
            r#"{"choices": []}"#,
            r#"{"choices": [{}]}"#,
            "null",
            "{\"choices\": 1}",
        ] {
            assert!(matches!(Reply::read(body), Err(NoReply::Other(_))), "{body}");
        }
        let Err(NoReply::Failed(complaint)) = Reply::read(r#"{"error": {"message": "busy", "code": 502}}"#)
        else {
            panic!("an error")
        };
        assert_eq!((complaint.message.as_str(), complaint.status), ("busy", Some(502)));
    }

    #[test]
    fn complaints_are_read_in_all_their_forms() {
        let of = |body: &str| Complaint::read(body).message;
        assert_eq!(of(r#"{"error": {"message": "a"}}"#), "a");
        assert_eq!(of(r#"{"error": "b"}"#), "b");
        assert_eq!(of(r#"{"object": "error", "message": "c"}"#), "c");
        assert_eq!(of(r#"{"detail": "d"}"#), "d");
        assert_eq!(of("<html>e</html>"), "<html>e</html>");
        let e =
            Complaint::read(r#"{"error": {"message": "x", "type": "insufficient_quota", "param": "seed"}}"#);
        assert!(e.is("insufficient_quota") && e.field.as_deref() == Some("seed"));
    }

    #[test]
    fn function_calls_hold_the_answer_in_their_arguments() {
        let body = r#"{"choices": [{"message": {"content": null, "tool_calls": [
            {"function": {"name": "answer", "arguments": "{\"cell_type\": \"T cell\"}"}}]}}]}"#;
        assert_eq!(Reply::read(body).unwrap().text, r#"{"cell_type": "T cell"}"#);
    }
}
