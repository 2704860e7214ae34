//! Messages as the text that a chat model was trained on.

mod check;
mod jinja;

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use jinja::Jinja;

/// A template or its file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A GGUF file that cannot be read.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Gguf(Box<crate::gguf::Error>),
    /// A file far larger than any of its kind.
    #[error("{} has more than {limit} bytes, expected a file of a chat template", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes at most.
        limit: u64,
    },
    /// A file that is no JSON.
    #[error("{} is not valid JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        source: serde_json::Error,
    },
    /// A slot that holds no template.
    #[error("{}: chat_template is neither a text nor a list with the entry `default`", path.display())]
    NoDefault {
        /// The file.
        path: PathBuf,
    },
    /// A template that is too long.
    #[error("a chat template of {found} bytes, expected at most {limit}")]
    TemplateTooLong {
        /// Its bytes.
        found: usize,
        /// Bytes at most.
        limit: usize,
    },
    /// A template with something that no chat needs and that could fill any memory.
    #[error("the chat template has {found} in line {line}, which is not allowed here")]
    NotAllowed {
        /// What.
        found: String,
        /// The line, from 1.
        line: usize,
    },
    /// A template with an error in it.
    #[error("the chat template is none")]
    Parse {
        /// Where and why.
        source: minijinja::Error,
    },
    /// A template that fails on these messages.
    #[error("the chat template does not take these messages")]
    Render {
        /// Where and why; `raise_exception` gives its own words.
        source: minijinja::Error,
    },
    /// Messages beyond any context.
    #[error("messages of {found} bytes, expected at most {limit}")]
    TooLong {
        /// Their bytes.
        found: usize,
        /// Bytes at most.
        limit: usize,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            #[cfg(feature = "local")]
            Self::Gguf(error) => error.help(),
            Self::NotAllowed { .. } | Self::Parse { .. } => {
                Some("use a built-in rendering (Chat::qwen2_5, Chat::qwq) if the model is of that family")
            }
            Self::Render { .. } => Some(
                "some templates know no system role: put the instruction in front of the first user message",
            ),
            _ => None,
        }
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sets the task.
    System,
    /// Asks.
    User,
    /// Answers.
    Assistant,
}

impl Role {
    /// As templates name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said. Names of special tokens (`<|im_end|>`) in it would act as these tokens; prompts of this crate hold
    /// none.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// How a model wants its messages.
///
/// ```
/// use sc_llm::chat::{Chat, Message, Role};
///
/// let text = Chat::qwen2_5().render(&[Message::new(Role::User, "CD3D, CD3E?")], true)?;
/// assert!(text.ends_with("<|im_start|>user\nCD3D, CD3E?<|im_end|>\n<|im_start|>assistant\n"));
/// # Ok::<(), sc_llm::chat::Error>(())
/// ```
#[derive(Debug)]
pub struct Chat(Kind);

#[derive(Debug)]
enum Kind {
    Qwen25,
    Qwq,
    Jinja(Box<Jinja>),
}

/// Bytes of all messages together.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
const MAX_FILE_BYTES: u64 = 16 << 20;

impl Chat {
    /// Qwen2.5-Instruct; without a system message it gets Qwen's own.
    pub fn qwen2_5() -> Self {
        Self(Kind::Qwen25)
    }

    /// QwQ: no system message of its own, the thoughts of earlier answers are left out, and an answer starts with
    /// `<think>`.
    pub fn qwq() -> Self {
        Self(Kind::Qwq)
    }

    /// The template of a model folder: `chat_template.jinja`, else `chat_template` in `tokenizer_config.json`, of several
    /// the one named `default`. `None` for a model without one: a base model.
    ///
    /// It may be anybody's. What could make it grow without bound is refused when it is opened; each rendering takes a
    /// limited number of steps and bytes. It has the filters, tests and methods that published templates use, not the
    /// date, files, or other templates.
    ///
    /// * `path`: the folder; with the feature `local` also a `.gguf` file, or a folder with one, whose own template is taken
    ///   where none lies beside it.
    ///
    /// # Errors
    /// [`Error`] names the file, or the line of the template.
    pub fn open(path: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        let path = path.as_ref();
        #[cfg(feature = "local")]
        if let Some(file) = crate::gguf::find(path).map_err(|error| Error::Gguf(Box::new(error)))? {
            if let Some(beside) = Self::in_folder(crate::gguf::folder_of(&file))? {
                return Ok(Some(beside));
            }
            let file = crate::gguf::open(&file).map_err(|error| Error::Gguf(Box::new(error)))?;
            let own = crate::gguf::chat_template(&file);
            return own.map(|[template, bos, eos]| Self::from_template(template, bos, eos)).transpose();
        }
        Self::in_folder(path)
    }

    fn in_folder(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join("tokenizer_config.json");
        let config = match read(&path)? {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.clone(), source })?
            }
            None => Value::Null,
        };
        let jinja = folder.join("chat_template.jinja");
        let template = match (read(&jinja)?, &config["chat_template"]) {
            (Some(bytes), _) => String::from_utf8(bytes).map_err(|_| {
                let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "not UTF-8");
                Error::Read { path: jinja, source }
            })?,
            (None, Value::Null) => return Ok(None),
            (None, Value::String(template)) => template.clone(),
            (None, several) => {
                let named = several.as_array().into_iter().flatten();
                let default = named
                    .filter(|entry| entry["name"] == "default")
                    .find_map(|entry| entry["template"].as_str());
                default.ok_or(Error::NoDefault { path })?.to_owned()
            }
        };
        let token = |slot: &str| {
            let token = &config[slot];
            token.as_str().or_else(|| token["content"].as_str()).unwrap_or_default()
        };
        Self::from_template(&template, token("bos_token"), token("eos_token")).map(Some)
    }

    /// A template, as [`Chat::open`] reads it from a file.
    ///
    /// * `bos`, `eos`: the names of the tokens that the template may put around the text.
    ///
    /// # Errors
    /// [`Error::TemplateTooLong`], [`Error::NotAllowed`], [`Error::Parse`].
    pub fn from_template(template: &str, bos: &str, eos: &str) -> Result<Self, Error> {
        check::check(template)?;
        Ok(Self(Kind::Jinja(Box::new(Jinja::new(template, bos, eos)?))))
    }

    /// The messages as one text, with the names of special tokens in it.
    ///
    /// * `answer`: ends it with what stands before the next answer (`<|im_start|>assistant\n`).
    ///
    /// # Errors
    /// [`Error::TooLong`]; [`Error::Render`] for a template that refuses these messages, or takes too many steps.
    pub fn render(&self, messages: &[Message], answer: bool) -> Result<String, Error> {
        let found = messages.iter().map(|message| message.content.len()).sum();
        if found > MAX_MESSAGE_BYTES {
            return Err(Error::TooLong { found, limit: MAX_MESSAGE_BYTES });
        }
        match &self.0 {
            Kind::Qwen25 => Ok(qwen(messages, answer, Some(QWEN), false)),
            Kind::Qwq => Ok(qwen(messages, answer, None, true)),
            Kind::Jinja(template) => template.render(messages, answer),
        }
    }
}

const QWEN: &str = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";

fn qwen(messages: &[Message], answer: bool, system: Option<&str>, thinks: bool) -> String {
    let mut text = String::new();
    let mut say = |role: &str, content: &str| {
        text.extend(["<|im_start|>", role, "\n", content, "<|im_end|>\n"]);
    };
    let has_system = messages.first().is_some_and(|first| first.role == Role::System);
    if let Some(system) = system.filter(|_| !has_system) {
        say("system", system);
    }
    for (place, message) in messages.iter().enumerate() {
        let is_earlier = place + 1 < messages.len();
        let content = match message.content.rsplit_once("</think>") {
            _ if !thinks || message.role != Role::Assistant || !is_earlier => &message.content,
            Some((_, said)) => said.trim_start_matches('\n'),
            None => message.content.trim_start_matches('\n'),
        };
        say(message.role.name(), content);
    }
    if answer {
        text.push_str("<|im_start|>assistant\n");
        if thinks {
            text.push_str("<think>\n");
        }
    }
    text
}

/// What CellReasoner makes of a rendered chat before its models read it: every literal `<think>` goes, and where it is to
/// reason, `<think> ` with a space is put at the end.
pub fn cellreasoner(rendered: &str, reasoning: bool) -> String {
    let mut text = rendered.replace("<think>", "");
    if reasoning {
        text.push_str("<think> ");
    }
    text
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let failed = |source| Error::Read { path: path.into(), source };
    let file = match std::fs::File::open(path) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > MAX_FILE_BYTES {
        true => Err(Error::FileTooLarge { path: path.into(), limit: MAX_FILE_BYTES }),
        false => Ok(Some(bytes)),
    }
}

#[cfg(test)]
mod tests;
