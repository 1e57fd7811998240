//! Plain HTTP through a proxy, with the request target in absolute form (RFC 9112, 3.2.2).
//!
//! ureq would open a `CONNECT` tunnel for `http://` too, but common proxies (Squid, apt-cacher-ng)
//! refuse tunnels to port 80 and could not cache the contents. So these requests are sent to the
//! proxy like to an ordinary server, with the `Host` of the actual server, and the last step before
//! the socket completes the request line from that header.

use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, RustlsConnector, TcpConnector, Transport,
};

/// An agent whose connections all go to proxies.
pub(super) fn agent(config: ureq::config::Config) -> ureq::Agent {
    let connector = ().chain(TcpConnector::default()).chain(RustlsConnector::default()).chain(AbsoluteForm);
    ureq::Agent::with_parts(config, connector, DefaultResolver::default())
}

#[derive(Debug)]
struct AbsoluteForm;

impl<In: Transport> Connector<In> for AbsoluteForm {
    type Out = Completed<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(Completed))
    }
}

#[derive(Debug)]
struct Completed<T>(T);

impl<T: Transport> Transport for Completed<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let amount = complete(self.0.buffers().output(), amount)
            .ok_or_else(|| std::io::Error::other("the request does not fit the connection's buffer"))?;
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

/// Turns `GET /path` into `GET http://host/path` in the first `amount` bytes of `output`; returns
/// the new amount.
fn complete(output: &mut [u8], amount: usize) -> Option<usize> {
    const METHOD: &[u8] = b"GET ";
    let request = output.get(..amount)?;
    if !request.starts_with(b"GET /") {
        return None;
    }
    let head = std::str::from_utf8(request).ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| format!("http://{}", value.trim()))
    };
    let prefix = head.split("\r\n").skip(1).find_map(header)?;
    let new_amount = amount + prefix.len();
    if new_amount > output.len() {
        return None;
    }
    let target = METHOD.len();
    output.copy_within(target..amount, target + prefix.len());
    output[target..target + prefix.len()].copy_from_slice(prefix.as_bytes());
    Some(new_amount)
}

#[cfg(test)]
mod tests {
    use super::complete;

    #[test]
    fn the_request_target_is_completed_from_the_host_header() {
        let request = b"GET /a?b HTTP/1.1\r\naccept: */*\r\nHost: deb.example:80\r\n\r\n";
        let mut buffer = [request.as_slice(), &[0; 40]].concat();
        let amount = complete(&mut buffer, request.len()).expect("it fits");
        let expected = "GET http://deb.example:80/a?b HTTP/1.1\r\naccept: */*\r\nHost: deb.example:80\r\n\r\n";
        assert_eq!(std::str::from_utf8(&buffer[..amount]), Ok(expected));
    }

    #[test]
    fn requests_that_cannot_be_completed_are_rejected() {
        let request = b"GET / HTTP/1.1\r\nHost: deb.example\r\n\r\n";
        assert_eq!(complete(&mut request.to_vec(), request.len()), None, "no room");
        assert_eq!(complete(&mut [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[0; 99]].concat(), 18), None, "no host");
    }
}
