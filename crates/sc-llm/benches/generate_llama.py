"""The tasks of `generate.rs` with llama.cpp, through llama-cpp-python built from source.

usage: generate_llama.py FILE.gguf [--threads 2] [--prompt 512] [--shared 256] [--new 16] [--answer 3] [--nodes 75]
           [--cells 8] [--repeat 5]

A cell is its prompt and an answer of `--answer` tokens, chosen one at a time as a grammar would have it; the grammar's own
time is left out. Where all labels are scored, a cell is its prompt and `--nodes` tokens, the nodes of the tree of 50 labels,
read at once; the head sees only the last of them, and what makes probabilities of logits is left out. Where prompts share
their beginning, its keys and values are there before the first cell, and are kept from cell to cell.
"""
import argparse, random, resource, statistics, time
import llama_cpp

parser = argparse.ArgumentParser()
parser.add_argument("file")
for name, value in dict(threads=2, prompt=512, shared=256, new=16, nodes=75, answer=3, cells=8, repeat=5).items():
    parser.add_argument(f"--{name}", type=int, default=value)
args = parser.parse_args()

model = llama_cpp.Llama(args.file, n_ctx=args.prompt + args.new + args.nodes + 8, n_batch=args.prompt, n_ubatch=args.prompt,
                        n_threads=args.threads, n_threads_batch=args.threads, verbose=False)
draw = random.Random(1)
tokens = lambda n: [draw.randrange(1000) for _ in range(n)]

def timed(what, n, unit, task):
    clock, cpu = [], []
    for _ in range(args.repeat):
        before, start = time.process_time(), time.perf_counter()
        task()
        clock.append(time.perf_counter() - start)
        cpu.append(time.process_time() - before)
    clock, cpu = statistics.median(clock), statistics.median(cpu)
    print(f"{what:<44} {n:>5} {unit:<6} {clock:>7.2f} s {n / clock:>8.2f} a second {n / cpu:>8.2f} a CPU second", flush=True)

def read(n_kept, texts):
    model.n_tokens = n_kept
    for text in texts:
        model.eval(text)

def name(n_kept, answer):
    for _ in range(args.cells):
        read(n_kept, [tokens(args.prompt - n_kept), *answer])

read(0, [tokens(args.prompt)])
timed("a prompt is read", args.prompt, "tokens", lambda: read(0, [tokens(args.prompt)]))
timed("an answer is written, token by token", args.new, "tokens", lambda: read(args.prompt, [[7]] * args.new))
timed("as many tokens as a tree of labels, at once", args.nodes, "tokens", lambda: read(args.prompt, [tokens(args.nodes)]))
for how, answer in dict(constrained=[[7]] * (args.answer - 1), posterior=[tokens(args.nodes)]).items():
    for n_kept, what in [(args.shared, f"the first {args.shared} tokens read once"), (0, "read whole")]:
        timed(f"cells, {how}, {what}", args.cells, "cells", lambda: name(n_kept, answer))
print("at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MiB")
