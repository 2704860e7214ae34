//! Objects: groups and datasets, reached by name from the root.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use rust_hdf5::format::messages::{
    MSG_DATA_LAYOUT, MSG_GROUP_INFO, MSG_LINK, MSG_LINK_INFO, MSG_SYMBOL_TABLE,
};
use rust_hdf5::format::object_header::ObjectHeaderMessage;

use super::attribute::Attribute;
use super::budget::MAX_DEPTH;
use super::dataset::Dataset;
use super::file::File;
use super::group::{self, Link};
use super::header;
use crate::Problem;

/// At most this many links are followed from one name.
const MAX_SOFT_LINKS: usize = 16;

/// What is wrong, and with which element.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) element: String,
    pub(crate) problem: Problem,
}

impl Fault {
    pub(crate) fn new(element: impl Into<String>, problem: impl Into<Problem>) -> Self {
        Self { element: element.into(), problem: problem.into() }
    }
}

/// A group or a dataset.
#[derive(Debug)]
pub(crate) struct Object<'f> {
    file: &'f File,
    path: String,
    messages: Vec<ObjectHeaderMessage>,
    /// The addresses of the groups from the root to this object, itself included.
    trail: Vec<u64>,
    links: OnceCell<BTreeMap<String, Link>>,
}

impl<'f> Object<'f> {
    pub(super) fn root(file: &'f File, address: u64) -> Result<Self, Fault> {
        Self::at(file, String::new(), address, Vec::new())
    }

    fn at(file: &'f File, path: String, address: u64, mut trail: Vec<u64>) -> Result<Self, Fault> {
        let fault = |problem| Fault::new(if path.is_empty() { "/" } else { &path }, problem);
        if trail.len() > MAX_DEPTH || trail.contains(&address) {
            return Err(fault(Problem::TooDeep { limit: MAX_DEPTH }));
        }
        file.budget.count_objects(1).map_err(fault)?;
        let messages = header::read(file, address).map_err(fault)?;
        trail.push(address);
        Ok(Self { file, path, messages, trail, links: OnceCell::new() })
    }

    /// The object at an address, as a reference gives it.
    pub(crate) fn referenced(&self, address: u64, path: String) -> Result<Object<'f>, Fault> {
        Object::at(self.file, path, address, self.trail.clone())
    }

    /// Its path from the root, without a slash in front; `/` for the root.
    pub(crate) fn path(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }

    /// The path that a member of that name has.
    pub(crate) fn member_path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }

    /// Says that this object is at fault.
    pub(crate) fn fault(&self, problem: impl Into<Problem>) -> Fault {
        Fault::new(self.path(), problem)
    }

    fn has(&self, kinds: &[u8]) -> bool {
        self.messages.iter().any(|m| kinds.contains(&m.msg_type))
    }

    /// Whether it is a group.
    pub(crate) fn is_group(&self) -> bool {
        self.has(&[MSG_LINK, MSG_LINK_INFO, MSG_SYMBOL_TABLE, MSG_GROUP_INFO])
    }

    /// Whether it is a dataset.
    pub(crate) fn is_dataset(&self) -> bool {
        !self.is_group() && self.has(&[MSG_DATA_LAYOUT])
    }

    /// What it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        if self.is_group() {
            "a group"
        } else if self.is_dataset() {
            "a dataset"
        } else {
            "neither a group nor a dataset"
        }
    }

    /// The attribute `name`, if it has one.
    pub(crate) fn attribute(&self, name: &str) -> Result<Option<Attribute<'f>>, Fault> {
        Attribute::find(self.file, &self.messages, name).map_err(|p| self.fault(p))
    }

    /// The text of the attribute `name`, if it has one.
    pub(crate) fn string_attribute(&self, name: &str) -> Result<Option<String>, Fault> {
        self.attribute(name)?.map(|a| a.string()).transpose().map_err(|p| self.fault(p))
    }

    pub(super) fn links(&self) -> Result<&BTreeMap<String, Link>, Fault> {
        if !self.is_group() {
            return Err(self.fault(Problem::Kind { found: self.kind().to_owned(), expected: "a group" }));
        }
        if let Some(links) = self.links.get() {
            return Ok(links);
        }
        let links = group::links(self.file, &self.messages).map_err(|p| self.fault(p))?;
        Ok(self.links.get_or_init(|| links))
    }

    /// The names of its members, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>, Fault> {
        Ok(self.links()?.keys().cloned().collect())
    }

    /// Whether it has a member of that name.
    pub(crate) fn contains(&self, name: &str) -> Result<bool, Fault> {
        Ok(self.links()?.contains_key(name))
    }

    /// The member `name`.
    pub(crate) fn member(&self, name: &str) -> Result<Object<'f>, Fault> {
        self.follow(name, self.member_path(name), MAX_SOFT_LINKS)
    }

    /// The member `name`, if it has one.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Object<'f>>, Fault> {
        if self.contains(name)? { self.member(name).map(Some) } else { Ok(None) }
    }

    /// `shown` is the path by which the user knows the object, whatever links lead to it.
    fn follow(&self, name: &str, shown: String, links_left: usize) -> Result<Object<'f>, Fault> {
        let fault = |problem| Fault::new(shown.clone(), problem);
        match self.links()?.get(name) {
            None => Err(fault(Problem::Missing { present: self.names()? })),
            Some(Link::Hard(address)) => Object::at(self.file, shown, *address, self.trail.clone()),
            Some(Link::Soft(target)) => {
                let Some(links_left) = links_left.checked_sub(1) else {
                    return Err(fault(Problem::Malformed("a soft link leads to itself".to_owned())));
                };
                self.walk(target, shown.clone(), links_left)
            }
            Some(Link::External { file, path }) => {
                Err(fault(Problem::OtherFile { what: "an external link", target: format!("{file}:{path}") }))
            }
            Some(Link::Other(class)) => {
                Err(fault(Problem::Unsupported { what: format!("a link of class {class}") }))
            }
        }
    }

    /// The object at a path of this file, as a soft link gives it.
    fn walk(&self, target: &str, shown: String, links_left: usize) -> Result<Object<'f>, Fault> {
        let mut steps = target.split('/').filter(|s| !s.is_empty() && *s != ".").collect::<Vec<_>>();
        let last = steps.pop();
        let mut at = match target.starts_with('/') {
            true => self.file.root()?,
            // The trail ends with this group, which is opened once more.
            false => {
                Object::at(self.file, self.path.clone(), self.trail[self.trail.len() - 1], self.above())?
            }
        };
        for step in steps {
            let path = at.member_path(step);
            at = at.follow(step, path, links_left)?;
        }
        match last {
            Some(last) => at.follow(last, shown, links_left),
            None => Ok(at),
        }
    }

    fn above(&self) -> Vec<u64> {
        self.trail[..self.trail.len() - 1].to_vec()
    }

    /// It as a dataset.
    pub(crate) fn dataset(&self) -> Result<Dataset<'f>, Fault> {
        if !self.is_dataset() {
            return Err(self.fault(Problem::Kind { found: self.kind().to_owned(), expected: "a dataset" }));
        }
        Dataset::new(self.file, self.path().to_owned(), &self.messages).map_err(|p| self.fault(p))
    }
}
