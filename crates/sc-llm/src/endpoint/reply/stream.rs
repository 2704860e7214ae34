//! An answer that comes in events (`text/event-stream`).

use serde_json::{Value, json};

use super::NoReply;

/// The events put together to the object that would have come without a stream. Comments, which keep a connection alive,
/// are stepped over.
pub(super) fn joined(text: &str) -> Result<Value, NoReply> {
    let (mut content, mut refusal, mut arguments) = (String::new(), String::new(), None::<String>);
    let (mut finish, mut usage, mut model, mut fingerprint) =
        (Value::Null, Value::Null, Value::Null, Value::Null);
    let mut logprobs = Vec::new();
    let mut is_done = false;
    for line in text.lines() {
        let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
        if data == "[DONE]" {
            is_done = true;
            break;
        }
        if data.is_empty() {
            continue;
        }
        let event: Value = serde_json::from_str(data).map_err(|e| {
            if e.is_eof() { NoReply::Cut } else { NoReply::Other("an event of the answer is not JSON") }
        })?;
        if event.get("error").is_some_and(|error| !error.is_null()) {
            return Ok(event);
        }
        for (name, slot) in
            [("usage", &mut usage), ("model", &mut model), ("system_fingerprint", &mut fingerprint)]
        {
            if let Some(value) = event.get(name).filter(|value| !value.is_null()) {
                *slot = value.clone();
            }
        }
        let Some(choice) = event.pointer("/choices/0") else { continue };
        if let Some(reason) = choice.get("finish_reason").filter(|reason| !reason.is_null()) {
            finish = reason.clone();
        }
        let text = |path: &str| choice.pointer(path).and_then(Value::as_str);
        content.push_str(text("/delta/content").unwrap_or_default());
        refusal.push_str(text("/delta/refusal").unwrap_or_default());
        if let Some(part) = text("/delta/tool_calls/0/function/arguments") {
            arguments.get_or_insert_default().push_str(part);
        }
        if let Some(tokens) = choice.pointer("/logprobs/content").and_then(Value::as_array) {
            logprobs.extend(tokens.iter().cloned());
        }
    }
    if !is_done && finish.is_null() {
        return Err(NoReply::Cut);
    }
    let mut message = json!({ "content": content, "refusal": refusal });
    if let Some(arguments) = arguments {
        message["tool_calls"] = json!([{ "function": { "arguments": arguments } }]);
    }
    let choice = json!({ "message": message, "finish_reason": finish, "logprobs": { "content": logprobs } });
    Ok(json!({
        "choices": [choice], "usage": usage, "model": model, "system_fingerprint": fingerprint,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::{NoReply, Reply};

    #[test]
    fn events_are_put_together_and_comments_left_out() {
        let text = ": keep-alive\n\ndata: {\"model\": \"m\", \"choices\": [{\"delta\": {\"role\": \"assistant\", \"content\": \"T \"}, \
                    \"logprobs\": {\"content\": [{\"token\": \"T \", \"logprob\": -1}]}}]}\n\n: keep-alive\n\
                    data: {\"choices\": [{\"delta\": {\"content\": \"cell\"}, \"finish_reason\": \"stop\", \
                    \"logprobs\": {\"content\": [{\"token\": \"cell\", \"logprob\": -2}]}}]}\n\n\
                    data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 5, \"completion_tokens\": 2}}\n\ndata: [DONE]\n\n";
        let reply = Reply::read(text).unwrap();
        assert_eq!((reply.text.as_str(), reply.finish.as_deref()), ("T cell", Some("stop")));
        assert_eq!(reply.logprobs.unwrap().len(), 2);
        assert_eq!(reply.usage.unwrap().total(), 7);
        let cut = &text[..text.find("data: {\"choices\": [{\"delta\": {\"content\": \"cell\"").unwrap()];
        assert_eq!(Reply::read(cut), Err(NoReply::Cut));
        let calls = "data: {\"choices\": [{\"delta\": {\"tool_calls\": [{\"function\": {\"arguments\": \"{\\\"a\\\":\"}}]}}]}\n\
                     data: {\"choices\": [{\"delta\": {\"tool_calls\": [{\"function\": {\"arguments\": \" 1}\"}}]}}]}\ndata: [DONE]";
        assert_eq!(Reply::read(calls).unwrap().text, "{\"a\": 1}");
        let failed = "data: {\"error\": {\"message\": \"overloaded\"}}\n\n";
        assert!(matches!(Reply::read(failed), Err(NoReply::Failed(_))));
    }
}
