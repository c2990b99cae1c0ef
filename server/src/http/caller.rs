//! Who calls, as far as the connection says.

use std::net::{IpAddr, Ipv6Addr};

/// Whose connection a request came by: the client's, or a proxy's before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller(pub(crate) IpAddr);

impl Caller {
    /// Who is one as far as shares go: whoever has one address of a network by IPv6 has all of its /64.
    pub(crate) fn network(self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
            }
            address @ (IpAddr::V4(_) | IpAddr::V6(_)) => address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_64_are_one_and_an_address_is_the_same_by_both_protocols() {
        let network = |text: &str| Caller(text.parse().unwrap()).network().to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
        assert_eq!(network("::1"), "::1");
    }
}
