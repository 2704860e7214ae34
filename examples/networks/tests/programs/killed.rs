//! Runs that are killed wherever they are, and run again: what they leave in the end is what an undisturbed run leaves.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ndarray::Array2;
use serde_json::Value;

use super::server::{Request, Server, said, send};
use super::support::{counts, program, run, types, write_h5ad};

/// Starts a program and kills it as soon as something is the case; returns whether it was killed. One that comes to its end
/// before must come to a good end.
fn killed(example: &str, flags: &[&str], mut is_so: impl FnMut() -> bool) -> bool {
    let mut command = Command::new(program(example));
    let log = tempfile::NamedTempFile::new().unwrap();
    command.args(flags).stdout(Stdio::null()).stderr(log.reopen().unwrap());
    let mut child: Child = command.spawn().unwrap();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{}", fs::read_to_string(log.path()).unwrap());
            return false;
        }
        if is_so() {
            // No handler runs, and nothing is flushed.
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn lines(path: &Path) -> usize {
    fs::read(path).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A server that can be made to hold an answer back until whoever asked is gone.
struct Holding {
    server: Server,
    /// The request that is held, and whether it came.
    at: Arc<AtomicUsize>,
    holds: Arc<AtomicBool>,
}

impl Holding {
    fn start(label: &'static str) -> Self {
        let (at, holds) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicBool::new(false)));
        let (held, is_held) = (Arc::clone(&at), Arc::clone(&holds));
        let server = Server::start(move |request: &Request, stream: &mut TcpStream| {
            if !request.is_probe() && request.number == held.load(Ordering::SeqCst) {
                // The answer never comes: the connection closes behind a process that was killed.
                is_held.store(true, Ordering::SeqCst);
                return while is_held.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                };
            }
            let text = match request.body.get("response_format").is_some() {
                true if request.is_probe() => "{\"cell_type\": \"north\"}".to_owned(),
                true => format!("{{\"cell_type\": \"{label}\"}}"),
                // Free text that is a label in other case at times.
                false if request.body.to_string().len().is_multiple_of(3) => label.to_lowercase(),
                false => label.to_owned(),
            };
            send(stream, "200 OK", &[], &said(&text));
        });
        Self { server, at, holds }
    }

    fn n(&self) -> usize {
        self.server.requests().len()
    }

    /// Kills a run while it waits for the answer to its request of this number, from 0.
    fn kills(&self, example: &str, flags: &[&str], request: usize) {
        self.at.store(self.n() + request, Ordering::SeqCst);
        assert!(killed(example, flags, || self.holds.load(Ordering::SeqCst)), "it never asked");
        self.at.store(usize::MAX, Ordering::SeqCst);
        self.holds.store(false, Ordering::SeqCst);
    }
}

/// All files below a folder. Of those that hold times, the times are left out, or all but the name.
fn finals(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn add(folder: &Path, name: &str, all: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let own = path.file_name().unwrap().to_str().unwrap().to_owned();
            let name = if name.is_empty() { own.clone() } else { format!("{name}/{own}") };
            if path.is_dir() {
                add(&path, &name, all);
                continue;
            }
            let is_named_only = ["report.html", "report.md", "metrics.json"].contains(&own.as_str())
                || own.starts_with("task_")
                || name.contains("answers/")
                || name.contains("state/");
            let bytes = match own.as_str() {
                _ if is_named_only => Vec::new(),
                "metrics.csv" => without_seconds(&fs::read_to_string(&path).unwrap()).into_bytes(),
                "records.jsonl" => untimed(&fs::read_to_string(&path).unwrap()).into_bytes(),
                _ => fs::read(&path).unwrap(),
            };
            all.insert(name, bytes);
        }
    }
    let mut all = BTreeMap::new();
    add(folder, "", &mut all);
    all
}

/// A table without its column of seconds, which is the last but one.
fn without_seconds(table: &str) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let (rest, last) = line.rsplit_once(',').unwrap();
        let (rest, seconds) = rest.rsplit_once(',').unwrap();
        assert!(seconds == "seconds" || seconds.parse::<f64>().is_ok(), "{line}");
        text += &format!("{rest},{last}\n");
    }
    text
}

fn untimed(records: &str) -> String {
    let untimed = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        assert!(line.as_object_mut().unwrap().remove("seconds").is_some());
        format!("{line}\n")
    };
    records.lines().map(untimed).collect()
}

#[track_caller]
fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in found {
        let texts = [bytes, &expected[name]].map(|bytes| String::from_utf8_lossy(bytes));
        assert!(texts[0] == texts[1], "{name}: {}\n\ninstead of\n\n{}", texts[0], texts[1]);
    }
}

#[test]
fn a_benchmark_that_is_killed_anywhere_ends_as_one_that_was_not() {
    let dir = tempfile::tempdir().unwrap();
    // No two cells have the same prompt, so each is asked about.
    let x = Array2::from_shape_fn((40, 12), |(i, j)| counts()[[i, j]] + (i * (j + 1) % 13) as f32);
    let input = write_h5ad(dir.path(), &x, &types());
    let prices = dir.path().join("prices.yaml");
    fs::write(&prices, "tiny: {input: 10, output: 20}\n").unwrap();
    let server = Holding::start("B");
    let endpoint = format!("srv=tiny@{}", server.server.base());
    let fixed = ["--input", text(&input), "--label", "cell_type", "--tasks", "expression", "--n-genes", "4"];
    let models = ["--small-decoder", "--epochs", "15", "--endpoint", &endpoint, "--prices", text(&prices)];
    let ways = ["--concurrency", "1", "--max-new-tokens", "6", "--decoding"];
    let ways = [&ways[..], &["free,strict,constrained,posterior,template"]].concat();
    let flags = |out: &Path, more: &[&str]| -> Vec<String> {
        let all = [&fixed[..], &models, &ways, &["--out", text(out)], more].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let [whole, out] = ["whole", "killed"].map(|name| dir.path().join(name));
    let undisturbed = flags(&whole, &[]);
    let ended = run("llm_benchmark", &undisturbed.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let rows = |way: &str| ended.stdout.lines().filter(|line| line.contains(way)).count();
    assert_eq!((rows(" template "), rows(" strict ")), (2, 2), "{}", ended.stdout);
    // Free and constrained, and constrained once more with other names; strict reads the free answers.
    let n_asked = server.n();
    assert_eq!(n_asked, 24);

    let again = flags(&out, &["--resume"]);
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    let decoder = out.join("models/expression");
    let records = out.join("records.jsonl");
    assert!(killed("llm_benchmark", &again, || out.join("plan.json").exists()));
    assert!(killed("llm_benchmark", &again, || decoder.join("state/lock").exists()));
    // The training is at its fiftieth step of sixty.
    assert!(killed("llm_benchmark", &again, || decoder.join("state/state.json").exists()));
    assert!(killed("llm_benchmark", &again, || decoder.join("model.safetensors").exists()));
    for n in [1, 17, 30, 41] {
        assert!(killed("llm_benchmark", &again, || lines(&records) >= n), "{n}");
    }
    server.kills("llm_benchmark", &again, 3);
    server.kills("llm_benchmark", &again, 7);
    let is_written = || {
        let entries = fs::read_dir(&out).unwrap();
        let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.any(|name| name.starts_with(".report-") || name == "report.html")
    };
    killed("llm_benchmark", &again, is_written);
    let ended = run("llm_benchmark", &again);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_same(&finals(&out), &finals(&whole));
    // Only what was under way when the run was killed is asked again.
    assert_eq!(server.n(), n_asked + n_asked + 2);

    // What a run leaves that is killed while it writes is not there for ever.
    fs::write(out.join(".sc-abc.part"), "half of a file").unwrap();
    fs::create_dir(out.join(".report-abc")).unwrap();
    assert_eq!(run("llm_benchmark", &again).code, 0);
    assert_same(&finals(&out), &finals(&whole));
    assert_eq!(server.n(), n_asked + n_asked + 2);
}

#[test]
fn two_servers_and_a_folder_are_asked_in_one_run_and_free_text_is_generated_once() {
    let dir = tempfile::tempdir().unwrap();
    let x = Array2::from_shape_fn((40, 12), |(i, j)| counts()[[i, j]] + (i * (j + 1) % 13) as f32);
    let input = write_h5ad(dir.path(), &x, &types());
    let fixed = ["--input", text(&input), "--label", "cell_type", "--tasks", "expression", "--n-genes", "4"];
    let [first, out] = ["first", "results"].map(|name| dir.path().join(name));
    let train = ["--epochs", "1", "--decoding", "constrained", "--out", text(&first)];
    assert_eq!(run("llm_benchmark", &[&fixed[..], &train].concat()).code, 0);
    let servers = [Holding::start("B"), Holding::start("T")];
    let [a, b] = [0, 1].map(|i| format!("{}=tiny@{}", ["b", "t"][i], servers[i].server.base()));
    let model = format!("own={}", first.join("models/expression").display());
    let asked = ["--model", &model, "--endpoint", &a, &b, "--out", text(&out)];
    let ended = run("llm_benchmark", &[&fixed[..], &asked].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let row = |method: &str, way: &str| -> Vec<String> {
        let is_row =
            |line: &&str| line.contains(&format!(" {method} ")) && line.contains(&format!(" {way} "));
        let line =
            ended.stdout.lines().find(is_row).unwrap_or_else(|| panic!("{method}, {way}: {}", ended.stdout));
        line.split_whitespace().map(str::to_owned).collect()
    };
    // Half of the cells are of each type, and each server knows one.
    for method in ["b", "t"] {
        assert_eq!(row(method, "constrained")[3], "4/8");
    }
    for way in ["free", "strict", "constrained", "posterior"] {
        assert_eq!(row("own", way)[2], way);
    }
    assert!(!ended.stdout.contains("template"), "it is not asked for");
    assert_eq!(servers.each_ref().map(Holding::n), [24, 24]);

    // The same text in the same time: it was there once.
    let records = fs::read_to_string(out.join("records.jsonl")).unwrap();
    let records: Vec<Value> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |way: &str| -> Vec<[&Value; 4]> {
        let is_one = |line: &&Value| line["method"] == "own" && line["decoding"] == way;
        let fields = ["id", "text", "n_generated", "seconds"];
        records.iter().filter(is_one).map(|line| fields.map(|name| &line[name])).collect()
    };
    assert_eq!((of("free").len(), of("free")), (8, of("strict")));
}

/// Records of ten cells that are asked about and of thirty to learn from.
fn set_aside(dir: &Path) -> [PathBuf; 2] {
    let input = write_h5ad(dir, &counts(), &types());
    let aside =
        ["preprocess", "--input", text(&input), "--test-share", "0.25", "--label-column", "cell_type"];
    assert_eq!(run("cellreasoner", &[&aside[..], &["--out", text(dir)]].concat()).code, 0);
    ["train", "test"].map(|part| {
        let matrix = dir.join(format!("cells_{part}.h5"));
        let flags = ["build-dataset", "--input", text(&matrix), "--label-column", "cell_type"];
        let ended = run("cellreasoner", &[&flags[..], &["--instruction", "Which cell?"]].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        dir.join(format!("cells_{part}_for_CellReasoner.json"))
    })
}

#[test]
fn answers_of_a_small_decoder_are_the_same_wherever_its_run_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let [train, test] = set_aside(dir.path());
    let flags = |out: &Path| -> Vec<String> {
        let all = ["infer", "--input", text(&test), "--train", text(&train), "--shuffled", "--epochs", "15"];
        all.into_iter().chain(["--out", text(out)]).map(str::to_owned).collect()
    };
    let [whole, folder] = ["whole", "killed"].map(|name| dir.path().join(name));
    fs::create_dir(&whole).unwrap();
    fs::create_dir(&folder).unwrap();
    let undisturbed = flags(&whole.join("x.csv"));
    let ended = run("cellreasoner", &undisturbed.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(whole.join("x.baselines.csv").is_file() && !whole.join("x.partial.jsonl").exists());

    let out = folder.join("x.csv");
    let again = flags(&out);
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    let at = |name: &str| folder.join(name);
    assert!(killed("cellreasoner", &again, || at("x.decoder/state/lock").exists()));
    assert!(killed("cellreasoner", &again, || at("x.decoder/state/state.json").exists()));
    // The last steps take less than a second: where the run is over before it is seen, once more.
    while !killed("cellreasoner", &again, || lines(&at("x.partial.jsonl")) > 1) {
        ["x.csv", "x.baselines.csv"].into_iter().for_each(|name| fs::remove_file(at(name)).unwrap());
    }
    let partial = fs::read(at("x.partial.jsonl")).unwrap();
    if killed("cellreasoner", &again, || at("x.baselines.csv").exists()) {
        killed("cellreasoner", &again, || out.exists());
    }
    let finish = || {
        let ended = run("cellreasoner", &again);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stderr.contains("answers are there already"), "{}", ended.stderr);
        assert_same(&finals(&folder), &finals(&whole));
    };
    if at("x.partial.jsonl").exists() {
        finish();
    }
    assert_same(&finals(&folder), &finals(&whole));
    // Killed between one of the last steps and the next: results are there, all or some, and the answers still are.
    for gone in [None, Some("x.csv")] {
        fs::write(at("x.partial.jsonl"), &partial).unwrap();
        fs::create_dir(at("x.partial.files")).unwrap();
        fs::write(at("x.partial.files/.sc-abc.part"), "half of a file").unwrap();
        if let Some(gone) = gone {
            fs::remove_file(at(gone)).unwrap();
        }
        finish();
    }
    // A finished run is not begun anew by itself.
    let refused = run("cellreasoner", &again);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("x.csv is there"), "{}", refused.stderr);
}

#[test]
fn free_text_and_a_server_are_gone_on_with_where_they_were_killed() {
    let dir = tempfile::tempdir().unwrap();
    let [_, test] = set_aside(dir.path());
    let model = super::cellreasoner::model(dir.path());
    let [whole, out] = ["whole.csv", "killed.csv"].map(|name| dir.path().join(name));
    let free = |out| {
        let all = ["infer", "--input", text(&test), "--checkpoint", text(&model), "--max-new-tokens", "12"];
        [&all[..], &["--out", text(out)]].concat()
    };
    assert_eq!(run("cellreasoner", &free(&whole)).code, 0);
    let partial = out.with_extension("partial.jsonl");
    // A line for what the answers are of, then one for each.
    for n in [2, 5, 9] {
        assert!(killed("cellreasoner", &free(&out), || lines(&partial) >= n), "{n}");
        assert!(lines(&partial) >= n);
    }
    assert_eq!(run("cellreasoner", &free(&out)).code, 0);
    assert_eq!(fs::read_to_string(&out).unwrap(), fs::read_to_string(&whole).unwrap());
    assert!(!partial.exists());

    let server = Holding::start("T");
    let base = server.server.base();
    let labels = dir.path().join("labels.txt");
    fs::write(&labels, "B\nT\n").unwrap();
    let [whole, out] = ["whole_server.csv", "killed_server.csv"].map(|name| dir.path().join(name));
    let ask = |out| {
        let all =
            ["infer", "--input", text(&test), "--endpoint", &base, "--model", "m", "--concurrency", "1"];
        [&all[..], &["--labels", text(&labels), "--out", text(out)]].concat()
    };
    assert_eq!(run("cellreasoner", &ask(&whole)).code, 0);
    let n_asked = server.n();
    // Cells with the same genes are asked about once.
    assert_eq!(n_asked, 4);
    server.kills("cellreasoner", &ask(&out), 2);
    server.kills("cellreasoner", &ask(&out), 1);
    assert_eq!(run("cellreasoner", &ask(&out)).code, 0);
    assert_eq!(fs::read_to_string(&out).unwrap(), fs::read_to_string(&whole).unwrap());
    assert_eq!(server.n(), 2 * n_asked + 2);
    // No more is paid for than a label takes.
    assert!(server.server.requests().iter().all(|request| request.body["max_tokens"] == 512));
}
