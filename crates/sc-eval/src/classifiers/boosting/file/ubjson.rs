//! Universal Binary JSON (<https://ubjson.org>, draft 12), as far as XGBoost writes it.

use serde_json::{Map, Value};

/// Why bytes are not UBJSON.
#[derive(Debug, thiserror::Error)]
#[error("byte {at}: {problem}")]
pub(super) struct Malformed {
    at: usize,
    problem: String,
}

/// Objects and arrays inside one another; XGBoost's files have 7.
const MAX_DEPTH: usize = 64;

/// Reads one value and nothing behind it. Memory is taken for what is there, not for what lengths say.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    let marker = reader.byte()?;
    let value = reader.value(marker, 0)?;
    match reader.at == bytes.len() {
        true => Ok(value),
        false => reader.fail("more than one value"),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn fail<T>(&self, problem: impl Into<String>) -> Result<T, Malformed> {
        Err(Malformed { at: self.at, problem: problem.into() })
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        match self.bytes[self.at..].get(..n) {
            Some(taken) => {
                self.at += n;
                Ok(taken)
            }
            None => self.fail(format!("{n} bytes are needed, {} are left", self.bytes.len() - self.at)),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    fn integer(&mut self, marker: u8) -> Result<i64, Malformed> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(self.byte()?),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return self.fail(format!("{:?} marks no integer", char::from(marker))),
        })
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        let marker = self.byte()?;
        let length = self.integer(marker)?;
        usize::try_from(length).or_else(|_| self.fail(format!("a length of {length}")))
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let length = self.length()?;
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).or_else(|_| self.fail("text that is not UTF-8"))
    }

    fn value(&mut self, marker: u8, depth: usize) -> Result<Value, Malformed> {
        if depth > MAX_DEPTH {
            return self.fail(format!("values more than {MAX_DEPTH} deep"));
        }
        Ok(match marker {
            b'{' => self.object(depth)?,
            b'[' => self.list(depth)?,
            b'S' => self.text()?.into(),
            b'd' => f64::from(f32::from_be_bytes(self.array()?)).into(),
            b'D' => f64::from_be_bytes(self.array()?).into(),
            b'T' => true.into(),
            b'F' => false.into(),
            b'Z' => Value::Null,
            _ => self.integer(marker)?.into(),
        })
    }

    fn object(&mut self, depth: usize) -> Result<Value, Malformed> {
        let mut object = Map::new();
        while self.bytes.get(self.at) != Some(&b'}') {
            let key = self.text()?;
            let marker = self.byte()?;
            object.insert(key, self.value(marker, depth + 1)?);
        }
        self.at += 1;
        Ok(object.into())
    }

    /// An array: of one type and a length, of a length, or up to a closing bracket.
    fn list(&mut self, depth: usize) -> Result<Value, Malformed> {
        let mut values = Vec::new();
        let kind = match self.bytes.get(self.at) {
            Some(b'$') => {
                self.at += 1;
                Some(self.byte()?)
            }
            _ => None,
        };
        if self.bytes.get(self.at) == Some(&b'#') {
            self.at += 1;
            for _ in 0..self.length()? {
                let marker = match kind {
                    // Values without bytes of their own would be taken for as many as the length says.
                    Some(b'T' | b'F' | b'Z') => return self.fail("a list of values without bytes"),
                    Some(marker) => marker,
                    None => self.byte()?,
                };
                values.push(self.value(marker, depth + 1)?);
            }
        } else if kind.is_some() {
            return self.fail("a list of one type without a length");
        } else {
            loop {
                match self.byte()? {
                    b']' => break,
                    marker => values.push(self.value(marker, depth + 1)?),
                }
            }
        }
        Ok(values.into())
    }
}
