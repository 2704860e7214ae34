"""The walks of `constraints.rs` with XGrammar.

usage: constraints_xgrammar.py --tokenizer DIR --labels FILE [--n 50] [--repeat 5] [--threads 1]
           [--end "<|endoftext|>"]

The mask is applied to the logits and the highest is taken, by PyTorch.
"""
import argparse, json, statistics, time
import torch, transformers, xgrammar

parser = argparse.ArgumentParser()
parser.add_argument("--tokenizer", required=True)
parser.add_argument("--labels", required=True)
parser.add_argument("--end", default="<|endoftext|>")
for name, value in dict(n=50, repeat=5, threads=1).items():
    parser.add_argument(f"--{name}", type=int, default=value)
args = parser.parse_args()

torch.set_num_threads(args.threads)
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=f"{args.tokenizer}/tokenizer.json", eos_token=args.end)
labels = [" " + line for line in open(args.labels, encoding="utf-8").read().splitlines()[:args.n]]
info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=len(tokenizer))
ebnf = "root ::= " + " | ".join(json.dumps(label + "\n", ensure_ascii=False) for label in labels)
paths = [tokenizer.encode(label + "\n", add_special_tokens=False) for label in labels]
print(f"{len(labels)} labels, {len(tokenizer)} tokens\n{sum(map(len, paths))} steps in all")

ready = []
for _ in range(args.repeat):
    compiler = xgrammar.GrammarCompiler(info, max_threads=args.threads, cache_enabled=False)
    start = time.perf_counter()
    grammar = compiler.compile_grammar(ebnf)
    ready.append(time.perf_counter() - start)
logits = torch.tensor([float(i * 7919 % 10007) for i in range(len(tokenizer))])[None]
mask = xgrammar.allocate_token_bitmask(1, len(tokenizer))
know, choose = [], []
for path in paths * args.repeat:
    matcher = xgrammar.GrammarMatcher(grammar)
    for token in path:
        start = time.perf_counter()
        matcher.fill_next_token_bitmask(mask)
        know.append(time.perf_counter() - start)
        masked = logits.clone()
        start = time.perf_counter()
        xgrammar.apply_token_bitmask_inplace(masked, mask)
        int(masked.argmax())
        choose.append(time.perf_counter() - start)
        assert matcher.accept_token(token)
micros = lambda steps: f"{statistics.mean(steps) * 1e6:>9.3f} µs, at most {max(steps) * 1e6:>9.1f}"
print(f"{'xgrammar':<12} ready in {statistics.median(ready) * 1e3:>8.2f} ms | what may come: {micros(know)} | chosen: {micros(choose)}")
