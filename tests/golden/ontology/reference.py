"""Reference values of the ontology: plain graph searches over the release's JSON.

usage: reference.py CL-ontology.json.gz > cases.json
"""
import gzip, json, math, random, sys

terms = {k: v for k, v in json.load(gzip.open(sys.argv[1])).items()}
used = sorted(k for k, v in terms.items() if not v["deprecated"])
up = {k: {k: 0, **terms[k]["ancestors"]} for k in terms}
below = {k: 0 for k in terms}
for k in used:
    for a in up[k]:
        below[a] += 1
ic = lambda k: 1 - math.log(max(below[k], 1)) / math.log(len(used))
rng = random.Random(7)
pool = sorted(k for k in used if "CL:0000738" in up[k] or "CL:0000540" in up[k])  # leukocytes and neurons
cases = []
for i in range(80):
    a = rng.choice(pool)
    b = rng.choice(sorted(up[a])) if i % 4 == 0 else rng.choice(pool)
    both = [c for c in up[a] if c in up[b]]
    best = min(both, key=lambda c: (below[c], c))
    s = ic(a) + ic(b)
    cases.append(dict(
        a=a, b=b, hops=min(up[a][c] + up[b][c] for c in both), common=best,
        lin=1.0 if a == b else 2 * ic(best) / s if s > 0 else 0.0, ic=ic(a), up=up[a].get(b),
    ))
json.dump(dict(n_terms=len(terms), cases=cases), sys.stdout, indent=0)
