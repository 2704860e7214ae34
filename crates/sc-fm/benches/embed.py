"""The embeddings of `embed.rs` with Hugging Face's transformers: cells sorted by length, padded batches.

usage: embed.py FOLDER [--batch 16] [--dtype float32|bfloat16] [--threads 2] [--check]

Run it with PYTHONSAFEPATH=1, or the folder's tokenize.py hides Python's own.
FOLDER is what `embed.rs --write FOLDER` left. `--check` compares the embeddings.
"""
import argparse, resource, time
import torch
from safetensors.torch import load_file
from transformers import BertModel

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--dtype", default="float32")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--check", action="store_true")
args = parser.parse_args()

torch.set_num_threads(args.threads)
dtype = getattr(torch, args.dtype)
model = BertModel.from_pretrained(args.folder, add_pooling_layer=False, attn_implementation="sdpa", torch_dtype=dtype).eval()
cells = load_file(f"{args.folder}/cells.safetensors")
lengths = cells["lengths"].long()
ids = torch.split(cells["ids"].long(), lengths.tolist())
special = 1 if model.config.vocab_size == 20275 else 0  # <cls> and <eos> of V2
order = torch.argsort(lengths, descending=True, stable=True).tolist()
out = torch.empty(len(ids), model.config.hidden_size)
start, cpu = time.perf_counter(), time.process_time()
with torch.inference_mode():
    for i in range(0, len(order), args.batch):
        batch = order[i : i + args.batch]
        padded = torch.nn.utils.rnn.pad_sequence([ids[c] for c in batch], batch_first=True)
        mask = (torch.arange(padded.shape[1])[None, :] < lengths[batch][:, None]).long()
        hidden = model(input_ids=padded, attention_mask=mask).last_hidden_state
        for row, c in zip(hidden, batch):
            out[c] = row[special : lengths[c] - special].float().mean(0)
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(f"transformers {args.dtype} batch {args.batch}, {args.threads} threads: {seconds:.2f} s ({cpu:.2f} s of CPU), "
      f"{len(ids) / seconds:.2f} cells/s, {int(lengths.sum()) / seconds:.0f} tokens/s, peak {peak} MiB")
if args.check:
    print(f"largest difference {float((out - cells['embedding']).abs().max()):.2e}")
