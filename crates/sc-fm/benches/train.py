"""Steps of masked-language training as in `train.rs`, with Hugging Face's BERT.

usage: train.py [--cells 4] [--length 512] [--steps 5] [--threads 2] [--dropout 0] [--gather] [--checkpointing] [--fused]

Run it with PYTHONSAFEPATH=1, or the folder's tokenize.py hides Python's own. `--gather` takes the masked rows alone
through the head, as `train.rs` does; without it, BertForMaskedLM is called as it stands. `--fused` takes the fused AdamW.
"""
import argparse, resource, statistics, time
import torch
from transformers import BertConfig, BertForMaskedLM

parser = argparse.ArgumentParser()
for name, value in [("cells", 4), ("length", 512), ("steps", 5), ("threads", 2), ("layers", 6), ("width", 256),
                    ("heads", 4), ("inner", 512), ("tokens", 25426)]:
    parser.add_argument(f"--{name}", type=int, default=value)
parser.add_argument("--dropout", type=float, default=0.0)
parser.add_argument("--gather", action="store_true")
parser.add_argument("--checkpointing", action="store_true")
parser.add_argument("--fused", action="store_true")
args = parser.parse_args()

torch.set_num_threads(args.threads)
config = BertConfig(hidden_size=args.width, num_hidden_layers=args.layers, num_attention_heads=args.heads,
                    intermediate_size=args.inner, vocab_size=args.tokens, max_position_embeddings=args.length,
                    hidden_act="relu", hidden_dropout_prob=args.dropout, attention_probs_dropout_prob=args.dropout)
config._attn_implementation = "sdpa"
model = BertForMaskedLM(config).train()
if args.checkpointing:
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
i, cell = torch.arange(args.length), torch.arange(args.cells)[:, None]
ids = 2 + (i * 7919 + cell * 104729) % (args.tokens - 2)
masked = (i % 7 == 3).expand_as(ids)
inputs, labels = ids.masked_fill(masked, 1), ids.masked_fill(~masked, -100)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=args.fused or None)
clock, cpu, updates = [], [], []
for step in range(args.steps + 1):
    optimizer.zero_grad()
    start, before = time.perf_counter(), time.process_time()
    if args.gather:
        states = model.bert(input_ids=inputs).last_hidden_state[masked]
        loss = torch.nn.functional.cross_entropy(model.cls(states), ids[masked])
    else:
        loss = model(input_ids=inputs, labels=labels).loss
    loss.backward()
    update = time.perf_counter()
    optimizer.step()
    if step > 0:
        updates.append(time.perf_counter() - update)
        clock.append(time.perf_counter() - start)
        cpu.append(time.process_time() - before)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(f"transformers {args.cells} x {args.length}, dropout {args.dropout}, {args.threads} threads"
      f"{', gathered' if args.gather else ''}{', checkpointed' if args.checkpointing else ''}: "
      f"{statistics.median(clock):.3f} s a step ({statistics.median(cpu):.3f} s of CPU; AdamW {statistics.median(updates):.3f} s), "
      f"loss {loss.item():.4f}, peak {peak} MiB")
