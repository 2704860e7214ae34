use sc_io::h5ad::{ReadOptions, read_bytes};
use std::io::Read;
#[test]
fn fuzz() {
    let dir = std::env::var("FZ").unwrap();
    let rounds: u64 = std::env::var("ROUNDS").unwrap().parse().unwrap();
    let seed0: u64 = std::env::var("SEED").unwrap_or("1".into()).parse().unwrap();
    let mut seen = std::collections::BTreeMap::new();
    let last = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let l2 = last.clone();
    std::panic::set_hook(Box::new(move |i| {
        *l2.lock().unwrap() = i.to_string();
    }));
    let mut slow = 0.0f64;
    for entry in std::fs::read_dir(dir).unwrap() {
        let p = entry.unwrap().path();
        let mut bytes = std::fs::read(&p).unwrap();
        if p.extension().unwrap() == "gz" {
            let mut b = vec![];
            flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut b).unwrap();
            bytes = b;
        }
        let mut s = seed0.wrapping_mul(0x9e3779b97f4a7c15) | 1;
        let mut next = || {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            s
        };
        let ms = std::env::var("MODE").unwrap_or_default();
        let n = if ms == "all" { bytes.len() as u64 * 3 } else { rounds };
        for r in 0..n {
            let mut d = bytes.clone();
            if ms == "all" {
                d[(r / 3) as usize] ^= [0xff, 1, 0x80][(r % 3) as usize];
            } else {
                for _ in 0..1 + next() % 4 {
                    let at = (next() % d.len() as u64) as usize;
                    match next() % 6 {
                        0 => d[at] = next() as u8,
                        1 => d[at] ^= 1 << (next() % 8),
                        2 => {
                            for k in 0..8 {
                                if at + k < d.len() {
                                    d[at + k] = 0xff;
                                }
                            }
                        }
                        3 => {
                            for k in 0..4 {
                                if at + k < d.len() {
                                    d[at + k] = 0;
                                }
                            }
                        }
                        4 => {
                            let from = (next() % d.len() as u64) as usize;
                            let len = (next() % 64) as usize;
                            for k in 0..len {
                                if at + k < d.len() && from + k < d.len() {
                                    d[at + k] = d[from + k];
                                }
                            }
                        }
                        _ => {
                            let len = d.len() as u64;
                            let v = (next() % len).to_le_bytes();
                            for k in 0..8 {
                                if at + k < d.len() {
                                    d[at + k] = v[k];
                                }
                            }
                        }
                    }
                }
            }
            let t = std::time::Instant::now();
            let res = std::panic::catch_unwind(|| {
                let _ = read_bytes("x", d.clone(), &ReadOptions::default());
            });
            let e = t.elapsed().as_secs_f64();
            if e > slow {
                slow = e;
                if e > 0.5 {
                    std::fs::write(format!("/tmp/w/io/fz/slow_{r}.h5ad"), &d).unwrap();
                }
            }
            if res.is_err() {
                let m = last.lock().unwrap().clone();
                if !seen.contains_key(&m) {
                    std::fs::write(format!("/tmp/w/io/fz/p{}.h5ad", seen.len()), &d).unwrap();
                }
                *seen.entry(m).or_insert(0) += 1;
            }
        }
    }
    let _ = std::panic::take_hook();
    for (k, v) in &seen {
        eprintln!("{v} x {k}\n");
    }
    eprintln!("slowest {slow}");
    assert!(seen.is_empty());
}
