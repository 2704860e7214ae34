//! Waiting longer for the first byte of an answer than for the next.

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Makes connections on which the limit on one read does not hold for the first read after a request. A server that loads
/// a model, or has a queue, is silent before it answers and not while it does.
#[derive(Debug)]
pub(super) struct Patience;

impl<T: Transport> Connector<T> for Patience {
    type Out = Patient<T>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<T>) -> Result<Option<Patient<T>>, Error> {
        Ok(chained.map(|inner| Patient { inner, has_begun: false }))
    }
}

/// Such a connection.
#[derive(Debug)]
pub(super) struct Patient<T> {
    inner: T,
    /// The answer to the last request has begun.
    has_begun: bool,
}

impl<T: Transport> Transport for Patient<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.has_begun = false;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, mut timeout: NextTimeout) -> Result<bool, Error> {
        if !self.has_begun {
            timeout.per_read = None;
        }
        let progress = self.inner.await_input(timeout)?;
        self.has_begun = true;
        Ok(progress)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
