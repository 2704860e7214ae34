//! Language models on cells: the table, the files, going on, and what is refused.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use ndarray::Array2;
use sc_fm::checkpoint::gguf::Kind;
use sc_llm::gguf::{self, WriteParams};
use sc_llm::sft::Base;
use sc_llm::tokenizer::Tokenizer;

use super::server::{Request, Server, said, send};
use super::support::{Ended, counts, program, refused, run, types, write_h5ad};

fn benchmark(dir: &Path, flags: &[&str]) -> Ended {
    let input = dir.join("cells.h5ad");
    let out = dir.join("results");
    let fixed = ["--input", input.to_str().unwrap(), "--label", "cell_type", "--out", out.to_str().unwrap()];
    run("llm_benchmark", &[&fixed[..], &["--epochs", "2", "--n-genes", "6"], flags].concat())
}

/// Without the columns of time.
fn answers(dir: &Path) -> String {
    fs::read_to_string(dir.join("results/predictions.csv")).unwrap()
}

#[test]
fn every_task_is_asked_in_every_way_beside_baselines_and_a_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    write_h5ad(dir.path(), &counts(), &types());
    let ended = benchmark(dir.path(), &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let baselines = ["majority", "random by prior", "marker overlap", "TF-IDF of genes + LR"];
    let of_all_genes = ["nearest centroid, all genes", "SingleR, all genes", "TF-IDF of letters + LR"];
    for word in baselines.into_iter().chain(of_all_genes).chain(["small decoder, shuffled names"]) {
        assert!(ended.stdout.contains(word), "no {word} in {}", ended.stdout);
    }
    let rows = |task: &str, way: &str| {
        ended.stdout.lines().filter(|line| line.starts_with(task) && line.contains(way)).count()
    };
    for task in ["markers", "expression", "barcode-cluster"] {
        for way in [" free ", " strict ", " constrained ", " posterior "] {
            assert!(rows(task, way) >= 1, "{task} {way}: {}", ended.stdout);
        }
    }
    let chosen =
        ended.stdout.lines().filter(|line| line.contains(" constrained ") || line.contains(" posterior "));
    assert!(
        chosen.clone().count() == 8 && chosen.clone().all(|line| line.contains("100.0 %")),
        "{}",
        ended.stdout
    );
    let results = dir.path().join("results");
    for file in
        ["metrics.csv", "metrics.json", "predictions.csv", "confusions.csv", "records.jsonl", "plan.json"]
    {
        assert!(results.join(file).is_file(), "{file}");
    }
    let page = fs::read_to_string(results.join("report.html")).unwrap();
    for words in [
        "Task barcode-cluster stays at chance",
        "always the most frequent",
        "Clusters",
        "What a model is asked",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let decoder = results.join("models/expression");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        assert!(decoder.join(file).is_file(), "{file}");
    }

    // What was trained can be asked as any other model, and a run that was cut off has the same answers in the end.
    let first = answers(dir.path());
    let records = fs::read_to_string(results.join("records.jsonl")).unwrap();
    fs::write(results.join("records.jsonl"), &records[..records.len() / 2]).unwrap();
    let ended = benchmark(dir.path(), &["--resume", "--threads", "1"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(answers(dir.path()), first);
    refused(&benchmark(dir.path(), &["--resume", "--seed", "7"]), 2, &["another", "--force"]);
    refused(&benchmark(dir.path(), &[]), 2, &["holds a run", "--resume", "--force"]);
    let kept = dir.path().join("decoder");
    fs::rename(&decoder, &kept).unwrap();
    let model = format!("own={}", kept.display());
    let ended =
        benchmark(dir.path(), &["--force", "--model", &model, "--tasks", "expression", "--calibrate"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("own, shuffled names"), "{}", ended.stdout);
    assert!(ended.stderr.contains("asked in plain text"), "{}", ended.stderr);

    // A folder with a chat template is asked in it.
    let ask = |flags: &[&str]| {
        let fixed = ["--force", "--model", &model, "--tasks", "expression", "--decoding", "constrained"];
        benchmark(dir.path(), &[&fixed[..], flags].concat())
    };
    refused(&ask(&["--frame", "chat"]), 2, &["no chat template", "--frame auto"]);
    refused(&ask(&["--frame", "question"]), 2, &["no encoder"]);
    let turn = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n";
    let template = |turn: &str| {
        let all = format!("{{% for m in messages %}}{turn}{{% endfor %}}<|im_start|>assistant\n");
        fs::write(kept.join("chat_template.jinja"), all).unwrap();
    };
    template(turn);
    let ended = ask(&[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("own") && ended.stderr.contains("asked in its chat template\n"),
        "{}",
        ended.stderr
    );
    template(&format!(
        "{{% if m.role == 'system' %}}{{{{ raise_exception('no system') }}}}{{% endif %}}{turn}"
    ));
    let ended = ask(&[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("knows no system message"), "{}", ended.stderr);
    assert!(ask(&["--frame", "plain"]).stderr.contains("asked in plain text"));
}

#[test]
fn a_gguf_file_is_a_model_and_another_file_is_another_model() {
    let dir = tempfile::tempdir().unwrap();
    write_h5ad(dir.path(), &counts(), &types());
    let task = ["--tasks", "expression", "--decoding", "posterior"];
    let ended = benchmark(dir.path(), &task);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let decoder = dir.path().join("results/models/expression");
    let (base, tokenizer) = (Base::open(&decoder).unwrap(), Tokenizer::open(&decoder).unwrap());
    let model = dir.path().join("tiny.gguf");
    let write = |kind| {
        let params = WriteParams { kind, overwrite: true, ..WriteParams::default() };
        gguf::write(&model, &base, &tokenizer, &params).unwrap();
    };
    write(Kind::F32);
    let ask = |flags: &[&str]| {
        benchmark(dir.path(), &[&["--model", model.to_str().unwrap()], &task[..], flags].concat())
    };
    let ended = ask(&["--force", "--precision", "q8_0"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let is_row = |line: &&str| line.contains(" tiny ") && line.contains(" posterior ");
    let row = ended.stdout.lines().find(is_row).unwrap_or_else(|| panic!("no row in {}", ended.stdout));
    assert!(row.contains("100.0 %"), "{row}");
    let manifest = fs::read_to_string(dir.path().join("results/metrics.json")).unwrap();
    assert!(manifest.contains("tiny.gguf"), "the model's file is on record");
    refused(&ask(&["--resume"]), 2, &["another precision", "--force"]);
    write(Kind::F16);
    refused(&ask(&["--resume", "--precision", "q8_0"]), 2, &["another inputs", "--force"]);
    refused(&ask(&["--force", "--device", "gpu"]), 2, &["cpu, cuda or cuda:N"]);
}

#[test]
fn what_cannot_be_run_is_refused_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    write_h5ad(dir.path(), &counts(), &types());
    let refuse =
        |flags: &[&str], code: i32, words: &[&str]| refused(&benchmark(dir.path(), flags), code, words);
    refuse(&["--model", "nowhere/model"], 4, &["no such folder", "help:"]);
    let cells = dir.path().join("cells.h5ad");
    refuse(&["--model", cells.to_str().unwrap()], 4, &["neither a folder nor a .gguf file", "help:"]);
    refuse(&["--model", "a/model", "b/model"], 2, &["two models are named"]);
    refuse(&["--model", "x=a", "--endpoint", "x=m@http://localhost:9"], 2, &["two models are named"]);
    refuse(&["--decoding", "free,free"], 2, &["one way twice"]);
    refuse(&["--endpoint", "m@localhost"], 2, &["MODEL@URL"]);
    for way in ["posterior", "template", "posterior,template"] {
        refuse(&["--endpoint", "m@http://localhost:9", "--decoding", way], 2, &["need the weights", "free"]);
    }
    refuse(
        &["--endpoint", "m@http://localhost:9", "--key-from", "n=KEY"],
        2,
        &["no --endpoint has that name"],
    );
    refuse(
        &["--endpoint", "m@http://localhost:9", "--key-from", "NOT_SET_ANYWHERE"],
        3,
        &["holds a key", "help:"],
    );
    refuse(&["--endpoint", "m@http://10.0.0.1/v1"], 3, &["not a public address"]);
    refuse(&["--max-cost", "1"], 2, &["--prices"]);
    // Nothing of a refused run is left behind.
    assert!(!dir.path().join("results").exists());
}

/// Labels in the form that is asked for: of free text, every second one in a sentence.
fn answered(request: &Request, stream: &mut TcpStream) {
    let text = match (request.body.get("response_format").is_some(), request.number.is_multiple_of(2)) {
        (true, _) if request.is_probe() => "{\"cell_type\": \"north\"}",
        (true, _) => "{\"cell_type\": \"B\"}",
        (false, true) => "B",
        (false, false) => "I think that this is a B cell.",
    };
    send(stream, "200 OK", &[], &said(text));
}

fn with_key(dir: &Path, out: &str, flags: &[&str]) -> Ended {
    let (input, out) = (dir.join("cells.h5ad"), dir.join(out));
    let fixed = ["--input", input.to_str().unwrap(), "--label", "cell_type", "--out", out.to_str().unwrap()];
    let ended = Command::new(program("llm_benchmark"))
        .args(
            fixed
                .iter()
                .chain(&["--tasks", "expression", "--n-genes", "4", "--concurrency", "1"])
                .chain(flags),
        )
        .env("SC_LLM_API_KEY", KEY)
        .env("OTHER_KEY", KEY)
        .output()
        .unwrap();
    Ended {
        code: ended.status.code().unwrap(),
        stdout: String::from_utf8(ended.stdout).unwrap(),
        stderr: String::from_utf8(ended.stderr).unwrap(),
    }
}

const KEY: &str = "sk-0123456789abcdef";

fn holds_key(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => holds_key(&path),
            false => String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(KEY),
        }
    })
}

#[test]
fn a_server_is_asked_once_paid_within_the_limit_and_replayed_without_it() {
    let dir = tempfile::tempdir().unwrap();
    // No two cells have the same prompt, so each is asked about.
    let x = Array2::from_shape_fn((40, 12), |(i, j)| counts()[[i, j]] + (i * (j + 1) % 13) as f32);
    write_h5ad(dir.path(), &x, &types());
    let prices = dir.path().join("prices.toml");
    fs::write(&prices, "[\"tiny\"]\ninput = 10\noutput = 20\n").unwrap();
    let server = Server::start(answered);
    let endpoint = format!("srv=tiny@{}", server.base());
    let priced = ["--endpoint", &endpoint, "--prices", prices.to_str().unwrap(), "--max-cost"];

    // 512 tokens of an answer could cost 0.0102, and the prompt some more: after a few answers that is too much.
    let short = with_key(dir.path(), "results", &[&priced[..], &["0.02"]].concat());
    refused(&short, 3, &["could need", "--resume", "kept are not paid for again"]);
    let n_before = server.requests().len();
    assert!((1..8).contains(&n_before), "{n_before}");
    let whole = with_key(dir.path(), "results", &[&priced[..], &["1", "--resume"]].concat());
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    assert!(whole.stderr.contains("leave this machine") && whole.stderr.contains("in money at most"));
    // Eight cells, in free text and constrained, and constrained once more with other names; strict reads the free answers.
    let requests = server.requests();
    assert_eq!(requests.len(), 24);
    let bearer = format!("Bearer {KEY}");
    assert!(requests.iter().all(|r| r.header("authorization") == Some(bearer.as_str())));
    assert!(requests.iter().all(|r| !r.body.to_string().contains("cell1")), "names of cells stay here");
    let row = |way: &str| {
        let mut rows = whole.stdout.lines().filter(|line| line.contains("srv ") && line.contains(way));
        rows.next().unwrap_or_else(|| panic!("no {way} in {}", whole.stdout)).to_owned()
    };
    // 100 tokens of a prompt and 10 of an answer, eight times.
    assert!(row(" free ").contains("50.0 %") && row(" free ").ends_with("0.0096"), "{}", row(" free "));
    assert!(row(" strict ").contains("50.0 %") && !row(" strict ").contains("0.0096"), "{}", row(" strict "));
    assert!(row(" constrained ").contains("100.0 %") && row(" constrained ").contains("4/8"));
    assert!(!whole.stdout.contains(" posterior "), "{}", whole.stdout);
    assert!(!holds_key(&dir.path().join("results")));

    let first = answers(dir.path());
    let page = fs::read_to_string(dir.path().join("results/report.html")).unwrap();
    assert!(page.contains("I think that this is a B cell.") && page.contains("Cost"));
    drop(server);
    let replayed = with_key(dir.path(), "results", &["--endpoint", &endpoint, "--offline", "--force"]);
    assert_eq!(replayed.code, 0, "{}", replayed.stderr);
    assert_eq!(answers(dir.path()), first);
    let other = ["--endpoint", &endpoint, "--offline", "--force", "--tissue", "blood"];
    refused(&with_key(dir.path(), "results", &other), 3, &["has no kept answer", "help:"]);
}

#[test]
fn a_key_goes_to_its_own_server_alone() {
    let dir = tempfile::tempdir().unwrap();
    write_h5ad(dir.path(), &counts(), &types());
    let servers = [Server::start(answered), Server::start(answered)];
    let [a, b] = servers.each_ref().map(Server::base);
    let (a, b) = (format!("a=tiny@{a}"), format!("b=tiny@{b}"));
    let flags = ["--decoding", "constrained", "--endpoint", &a, &b];
    let has_key = |server: &Server, from: usize| {
        let requests = server.requests();
        assert!(requests.len() > from);
        requests[from..].iter().filter(|request| request.header("authorization").is_some()).count() > 0
    };
    let ended = with_key(dir.path(), "first", &flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!has_key(&servers[0], 0) && !has_key(&servers[1], 0));
    let from = servers[0].requests().len();
    let ended = with_key(dir.path(), "second", &[&flags[..], &["--key-from", "a=OTHER_KEY"]].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(has_key(&servers[0], from) && !has_key(&servers[1], from));
}
