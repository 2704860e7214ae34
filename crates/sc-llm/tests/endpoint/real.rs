//! The client against a real server: llama-cpp-python, with a model of random weights that is written here.
//!
//! ```sh
//! pip install 'llama-cpp-python[server]'
//! SC_LLM_TEST_PYTHON=$(which python) cargo test -p sc-llm --features endpoint --test endpoint real
//! ```

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_fm::checkpoint::gguf::{Array, Kind, NewTensor, Value, write};
use sc_llm::endpoint::{Mode, Verdict};

use super::*;

const WIDTH: usize = 64;
const INNER: usize = 96;

/// A Qwen2 of one layer whose tokens are the letters that stand for bytes.
fn write_model(path: &Path) {
    let letters =
        ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ').chain((0x100..0x144).filter_map(char::from_u32));
    let tokens: Vec<String> = letters.map(String::from).chain(["<|end|>".to_owned()]).collect();
    let n_tokens = tokens.len();
    let count = |n: usize| Value::U32(n as u32);
    let string = |text: &str| Value::String(text.to_owned());
    let kinds = (0..n_tokens).map(|token| if token + 1 == n_tokens { 3 } else { 1 }).collect();
    let chat =
        "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:";
    let metadata = [
        ("general.architecture", string("qwen2")),
        ("qwen2.block_count", count(1)),
        ("qwen2.context_length", count(4096)),
        ("qwen2.embedding_length", count(WIDTH)),
        ("qwen2.feed_forward_length", count(INNER)),
        ("qwen2.attention.head_count", count(2)),
        ("qwen2.attention.head_count_kv", count(1)),
        ("qwen2.attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
        ("qwen2.rope.freq_base", Value::F32(1e6)),
        ("tokenizer.ggml.model", string("gpt2")),
        ("tokenizer.ggml.pre", string("qwen2")),
        ("tokenizer.ggml.tokens", Value::Array(Array::String(tokens))),
        ("tokenizer.ggml.token_type", Value::Array(Array::I32(kinds))),
        ("tokenizer.ggml.merges", Value::Array(Array::String(vec!["a b".to_owned()]))),
        ("tokenizer.ggml.eos_token_id", count(n_tokens - 1)),
        ("tokenizer.chat_template", string(chat)),
    ];
    let mut seed = 0;
    let mut random = |name: &str, rows: usize, columns: usize| {
        seed += 1;
        NewTensor::new(name.to_owned(), &[rows, columns], Kind::F32, move |range, values| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(range.start as u64);
            values.fill_with(|| (rng.next_u32() as f32 / u32::MAX as f32 - 0.5) * 0.5);
            Ok(())
        })
    };
    let same = |name: &str, n: usize, value: f32| {
        NewTensor::new(name.to_owned(), &[n], Kind::F32, move |_, values| {
            values.fill(value);
            Ok(())
        })
    };
    let mut tensors =
        vec![random("token_embd.weight", n_tokens, WIDTH), same("output_norm.weight", WIDTH, 1.0)];
    for name in ["blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"] {
        tensors.push(same(name, WIDTH, 1.0));
    }
    for (part, outputs) in [("attn_q", WIDTH), ("attn_k", WIDTH / 2), ("attn_v", WIDTH / 2)] {
        tensors.push(random(&format!("blk.0.{part}.weight"), outputs, WIDTH));
        tensors.push(same(&format!("blk.0.{part}.bias"), outputs, 0.0));
    }
    tensors.push(random("blk.0.attn_output.weight", WIDTH, WIDTH));
    tensors.push(random("blk.0.ffn_gate.weight", INNER, WIDTH));
    tensors.push(random("blk.0.ffn_up.weight", INNER, WIDTH));
    tensors.push(random("blk.0.ffn_down.weight", WIDTH, INNER));
    write(path, &metadata, tensors, false).unwrap();
}

/// The server's process, which ends with the test.
struct LlamaCpp {
    process: Child,
    port: u16,
}

impl LlamaCpp {
    fn start(python: &str, model: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(python)
            .args(["-m", "llama_cpp.server", "--n_ctx", "4096", "--n_threads", "1", "--host", "127.0.0.1"])
            .args(["--port", &port.to_string(), "--model"])
            .arg(model)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{python}: {error}"));
        let mut server = Self { process, port };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.process.try_wait().unwrap() {
                panic!("{python} -m llama_cpp.server ended with {status}");
            }
            assert!(begin.elapsed() < Duration::from_secs(120), "the server does not listen");
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }
}

impl Drop for LlamaCpp {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_model_that_knows_nothing_answers_with_labels_behind_llama_cpp_python() {
    let Ok(python) = std::env::var("SC_LLM_TEST_PYTHON") else {
        eprintln!("left out: SC_LLM_TEST_PYTHON names no Python that has llama-cpp-python[server]");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("random.gguf");
    write_model(&model);
    let server = LlamaCpp::start(&python, &model);
    let patient = Duration::from_secs(120);
    let params = EndpointParams {
        max_tokens: 32,
        concurrency: 2,
        repair: false,
        logprobs: false,
        timeouts: Timeouts { first_byte: patient, idle: patient, total: patient, ..Timeouts::default() },
        cache: Some(folder.path().join("answers")),
        ..EndpointParams::new(&format!("http://127.0.0.1:{}/v1", server.port), "random.gguf")
    };
    let client = Client::new(params.clone(), None).unwrap();
    let probe = client.probe().unwrap();
    // It refuses the schema of OpenAI and takes its own.
    assert!(matches!(probe.tried[0].verdict, Verdict::Refused(_)), "{:?}", probe.tried);
    assert_eq!(probe.structure, Structure::ObjectSchema, "{:?}", probe.tried);
    let done = run(&client, &requests(6)).unwrap();
    assert!(done.stopped.is_none(), "{:?}", done.stopped);
    assert_eq!(outcomes(&done.records), [Outcome::Label; 6], "{:?}", done.records);
    assert!(done.spent.tokens > 0, "the server counts tokens");
    drop(server);
    // The same answers without it.
    let offline = Client::new(EndpointParams { mode: Mode::Offline, ..params }, None).unwrap();
    let again = run(&offline, &requests(6)).unwrap();
    let labels =
        |done: &Annotation| done.records.iter().map(|record| record.label.clone()).collect::<Vec<_>>();
    assert_eq!(labels(&again), labels(&done));
}
