//! A small writer of R's serialisation, for files to read back.

/// The three ways in which numbers are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    Xdr,
    Native,
    Ascii,
}

/// A value of R.
#[derive(Clone, Debug)]
pub(crate) enum R {
    Null,
    Symbol(String),
    Logical(Vec<i32>),
    Integer(Vec<i32>),
    Real(Vec<f64>),
    Strings(Vec<Option<String>>),
    /// Bytes declared as Latin-1.
    Latin1(Vec<u8>),
    List(Vec<R>),
    Pairs(Vec<(String, R)>),
    S4,
    /// Class and state of a vector that is stored as a recipe.
    Altrep(&'static str, Box<R>),
    /// Two pairs whose second part is not a list.
    Dotted(Box<R>, Box<R>),
    /// A function of no arguments with a body of byte code.
    Function,
    /// An environment that holds these, and itself as `self`.
    Environment(Vec<(String, R)>),
    /// What is left out in reading: raw bytes, complex numbers, a call, a namespace, a pointer, a built-in function.
    Others,
    With(Box<R>, Vec<(String, R)>),
}

pub(crate) const NA: i32 = i32::MIN;

impl R {
    pub(crate) fn with(self, name: &str, value: R) -> R {
        match self {
            R::With(inner, mut attributes) => {
                attributes.push((name.to_owned(), value));
                R::With(inner, attributes)
            }
            other => R::With(Box::new(other), vec![(name.to_owned(), value)]),
        }
    }

    pub(crate) fn class(self, class: &str) -> R {
        self.with("class", text(class).with("package", text("somewhere")))
    }
}

pub(crate) fn text(text: &str) -> R {
    strings(&[text])
}

pub(crate) fn strings<S: AsRef<str>>(texts: &[S]) -> R {
    R::Strings(texts.iter().map(|t| Some(t.as_ref().to_owned())).collect())
}

pub(crate) fn named(members: Vec<(&str, R)>) -> R {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let names = strings(&names);
    R::List(members.into_iter().map(|(_, value)| value).collect()).with("names", names)
}

pub(crate) fn s4(class: &str, slots: Vec<(&str, R)>) -> R {
    let object = slots.into_iter().fold(R::S4, |object, (name, slot)| object.with(name, slot));
    object.class(class)
}

/// A file of one object, not compressed.
pub(crate) fn rds(object: &R, format: Format, version: i32) -> Vec<u8> {
    let mut writer = Writer { out: Vec::new(), format, n_known: 0 };
    writer.head(version);
    writer.item(object);
    writer.out
}

/// A workspace.
pub(crate) fn rda(objects: Vec<(&str, R)>) -> Vec<u8> {
    let pairs = objects.into_iter().map(|(name, object)| (name.to_owned(), object)).collect();
    [b"RDX3\n".to_vec(), rds(&R::Pairs(pairs), Format::Xdr, 3)].concat()
}

struct Writer {
    out: Vec<u8>,
    format: Format,
    /// Symbols and environments so far.
    n_known: i32,
}

impl Writer {
    fn head(&mut self, version: i32) {
        self.out.extend_from_slice(match self.format {
            Format::Xdr => b"X\n",
            Format::Native => b"B\n",
            Format::Ascii => b"A\n",
        });
        [version, 0x0004_0301, 0x0002_0300].into_iter().for_each(|n| self.int(n));
        if version == 3 {
            self.int(5);
            self.bytes(b"UTF-8");
        }
    }

    fn int(&mut self, n: i32) {
        match self.format {
            Format::Xdr => self.out.extend_from_slice(&n.to_be_bytes()),
            Format::Native => self.out.extend_from_slice(&n.to_le_bytes()),
            Format::Ascii if n == NA => self.out.extend_from_slice(b"NA\n"),
            Format::Ascii => self.out.extend_from_slice(format!("{n}\n").as_bytes()),
        }
    }

    fn real(&mut self, x: f64) {
        match self.format {
            Format::Xdr => self.out.extend_from_slice(&x.to_be_bytes()),
            Format::Native => self.out.extend_from_slice(&x.to_le_bytes()),
            Format::Ascii if x.is_nan() => self.out.extend_from_slice(b"NA\n"),
            Format::Ascii => self.out.extend_from_slice(format!("{x}\n").replace("inf", "Inf").as_bytes()),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.format != Format::Ascii {
            return self.out.extend_from_slice(bytes);
        }
        for &byte in bytes {
            match byte {
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                0x21..0x7f => self.out.push(byte),
                other => self.out.extend_from_slice(format!("\\{other:03o}").as_bytes()),
            }
        }
        self.out.push(b'\n');
    }

    fn chars(&mut self, text: Option<&str>) {
        match text {
            None => [9, -1].map(|n| self.int(n)),
            Some(text) => {
                let encoding = if text.is_ascii() { 64 } else { 8 };
                let flags = [9 | (encoding << 12), text.len() as i32].map(|n| self.int(n));
                self.bytes(text.as_bytes());
                flags
            }
        };
    }

    fn symbol(&mut self, name: &str) {
        self.int(1);
        self.chars(Some(name));
        self.n_known += 1;
    }

    fn pairs(&mut self, pairs: &[(String, R)]) {
        for (name, value) in pairs {
            self.int(2 | if name.is_empty() { 0 } else { 1 << 10 });
            if !name.is_empty() {
                self.symbol(name);
            }
            self.item(value);
        }
        self.int(254);
    }

    fn item(&mut self, object: &R) {
        self.item_with(object, &[]);
    }

    fn item_with(&mut self, object: &R, attributes: &[(String, R)]) {
        let has = if attributes.is_empty() { 0 } else { 1 << 9 };
        match object {
            R::With(inner, attributes) => return self.item_with(inner, attributes),
            R::Null => return self.int(254),
            R::Symbol(name) => return self.symbol(name),
            R::Pairs(pairs) => return self.pairs(pairs),
            R::Logical(v) | R::Integer(v) => {
                let code = if matches!(object, R::Logical(_)) { 10 } else { 13 };
                [code | has, v.len() as i32].into_iter().for_each(|n| self.int(n));
                v.iter().for_each(|&n| self.int(n));
            }
            R::Real(v) => {
                [14 | has, v.len() as i32].into_iter().for_each(|n| self.int(n));
                v.iter().for_each(|&x| self.real(x));
            }
            R::Strings(v) => {
                [16 | has, v.len() as i32].into_iter().for_each(|n| self.int(n));
                v.iter().for_each(|s| self.chars(s.as_deref()));
            }
            R::Latin1(bytes) => {
                [16 | has, 1, 9 | (4 << 12), bytes.len() as i32].into_iter().for_each(|n| self.int(n));
                self.bytes(bytes);
            }
            R::List(v) => {
                [19 | has, v.len() as i32].into_iter().for_each(|n| self.int(n));
                v.iter().for_each(|r| self.item(r));
            }
            R::S4 => self.int(25 | has),
            R::Altrep(class, state) => {
                self.int(238);
                let class = R::Symbol((*class).to_owned());
                let info = [class, R::Symbol("base".to_owned()), R::Integer(vec![13])];
                self.pairs(&info.map(|r| (String::new(), r)));
                self.item(state);
                return self.pairs(attributes);
            }
            R::Dotted(first, second) => {
                self.int(2);
                self.item(first);
                return self.item(second);
            }
            R::Function => return self.function(),
            R::Environment(contents) => {
                [4, 0].into_iter().for_each(|n| self.int(n));
                self.n_known += 1;
                let itself = self.n_known;
                self.int(242);
                // The frame holds the environment itself, the table the rest.
                self.int(2 | 1 << 10);
                self.symbol("self");
                self.int(255 | itself << 8);
                self.int(254);
                [19, 2, 254].into_iter().for_each(|n| self.int(n));
                self.pairs(contents);
                return self.int(254);
            }
            R::Others => {
                [19 | has, 6].into_iter().for_each(|n| self.int(n));
                [24, 3].into_iter().for_each(|n| self.int(n));
                match self.format {
                    Format::Ascii => self.out.extend_from_slice(b"00\nff\n7f\n"),
                    _ => self.out.extend_from_slice(&[0, 255, 127]),
                }
                [15, 1].into_iter().for_each(|n| self.int(n));
                [0.5, -1.0].into_iter().for_each(|x| self.real(x));
                self.int(6);
                self.symbol("sum");
                self.pairs(&[(String::new(), R::Integer(vec![1]))]);
                [249, 0, 2].into_iter().for_each(|n| self.int(n));
                ["Seurat", "5.0"].into_iter().for_each(|s| self.chars(Some(s)));
                self.n_known += 1;
                [22, 254, 254].into_iter().for_each(|n| self.int(n));
                self.n_known += 1;
                [8, 3].into_iter().for_each(|n| self.int(n));
                self.bytes(b"sin");
            }
        }
        if has != 0 {
            self.pairs(attributes);
        }
    }

    /// `function() sum(1)`, compiled: code, and constants of which one is a call that is defined and referred to.
    fn function(&mut self) {
        self.int(3 | 1 << 10);
        self.int(253);
        self.int(254);
        [21, 1].into_iter().for_each(|n| self.int(n));
        self.item(&R::Integer(vec![8, 1, 2]));
        self.int(3);
        [244, 0, 6].into_iter().for_each(|n| self.int(n));
        self.int(254);
        self.int(0);
        self.symbol("sum");
        [2, 254].into_iter().for_each(|n| self.int(n));
        self.int(14);
        self.item(&R::Real(vec![1.0]));
        [0, 254].into_iter().for_each(|n| self.int(n));
        [243, 0].into_iter().for_each(|n| self.int(n));
        self.int(13);
        self.item(&R::Integer(vec![7]));
    }
}
