"""The tasks of `generate.rs` with Hugging Face's transformers, random weights.

usage: generate_transformers.py --shape gpt-neo|qwen2 [--dtype float32|bfloat16] [--threads 2] [--prompt 512] [--new 16] [--repeat 5]

A cell is its prompt and an answer of `--answer` tokens, one at a time. Run it with PYTHONSAFEPATH=1.
"""
import argparse, copy, resource, statistics, time
import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM, Qwen2Config, Qwen2ForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("--shape", default="qwen2")
parser.add_argument("--dtype", default="bfloat16")
for name, value in dict(threads=2, prompt=512, shared=256, new=16, nodes=100, answer=3, cells=2, repeat=5).items():
    parser.add_argument(f"--{name}", type=int, default=value)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.set_default_dtype(getattr(torch, args.dtype))
torch.nn.init.kaiming_uniform_ = lambda tensor, *_, **__: tensor
if args.shape == "qwen2":
    config = Qwen2Config(vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
                         num_attention_heads=12, num_key_value_heads=2, tie_word_embeddings=True)
    model = Qwen2ForCausalLM(config).eval()
else:
    config = GPTNeoConfig(attention_types=[[["global", "local"], 12]])
    model = GPTNeoForCausalLM(config).eval()

def timed(what, n, unit, task):
    clock, cpu = [], []
    for _ in range(args.repeat):
        before, start = time.process_time(), time.perf_counter()
        task()
        clock.append(time.perf_counter() - start)
        cpu.append(time.process_time() - before)
    clock, cpu = statistics.median(clock), statistics.median(cpu)
    print(f"{what:<44} {n:>5} {unit:<6} {clock:>7.2f} s {n / clock:>8.2f} a second {n / cpu:>8.2f} a CPU second", flush=True)

def read(n, cache=None):
    ids = torch.randint(0, 1000, (1, n))
    return model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).past_key_values

def write(n, cache):
    for _ in range(n):
        cache = read(1, cache)

def name(n_kept, shared):
    for _ in range(args.cells):
        write(args.answer - 1, read(args.prompt - n_kept, copy.deepcopy(shared)))

print(args.shape, args.dtype)
with torch.inference_mode():
    prompt, shared = read(args.prompt), read(args.shared)
    timed("a prompt is read", args.prompt, "tokens", lambda: read(args.prompt))
    timed("an answer is written, token by token", args.new, "tokens", lambda: write(args.new, copy.deepcopy(prompt)))
    timed("as many tokens at once", args.nodes, "tokens", lambda: read(args.nodes, copy.deepcopy(prompt)))
    timed(f"cells, the first {args.shared} tokens read once", args.cells, "cells", lambda: name(args.shared, shared))
    timed("cells, read whole", args.cells, "cells", lambda: name(0, None))
print("at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MiB")
