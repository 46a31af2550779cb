//! Where a program's first packet to the server goes: to the server, or to the proxy before it.

use std::collections::BTreeMap;

use crate::domain::handover::Target;

/// Of an API address, by the proxy variables that programs are given.
#[must_use]
pub fn target(api_url: &str, network: &BTreeMap<String, String>) -> Option<Target> {
    let server = parse(api_url)?;
    let scheme = api_url.split_once("://")?.0.to_ascii_lowercase();
    let variable = |name: &str| network.get(name).or_else(|| network.get(&name.to_uppercase()));
    let direct = variable("no_proxy").is_some_and(|list| is_excepted(&server.host, list));
    let proxy = variable(&format!("{scheme}_proxy")).filter(|_| !direct);
    Some(proxy.and_then(|proxy| parse(proxy)).unwrap_or(server))
}

fn is_excepted(host: &str, list: &str) -> bool {
    let words = list.split(',').map(|word| word.trim().trim_start_matches('.'));
    let fits = |word: &str| word == "*" || host == word || host.ends_with(&format!(".{word}"));
    words.filter(|word| !word.is_empty()).any(fits)
}

fn parse(url: &str) -> Option<Target> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let usual = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address are inside of brackets.
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        Some(_) | None => (authority, usual),
    };
    (!host.is_empty()).then(|| Target { host: host.trim_matches(['[', ']']).to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, variables: &[(&str, &str)]) -> Option<(String, u16)> {
        let network = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        target(url, &network).map(|target| (target.host, target.port))
    }

    #[test]
    fn without_a_proxy_it_is_the_server_itself() {
        assert_eq!(of("https://api.clear.ml/x", &[]), Some(("api.clear.ml".into(), 443)));
        assert_eq!(of("http://10.0.0.1:8008", &[]), Some(("10.0.0.1".into(), 8008)));
        assert_eq!(of("http://[::1]:8008", &[]), Some(("::1".into(), 8008)));
        assert_eq!(of("http://[::1]", &[]), Some(("::1".into(), 80)));
        assert_eq!(of("", &[]), None);
    }

    #[test]
    fn with_one_it_is_the_proxy_unless_the_host_is_excepted() {
        let proxy = ("HTTPS_PROXY", "http://user@proxy:3128/");
        assert_eq!(of("https://api.clear.ml", &[proxy]), Some(("proxy".into(), 3128)));
        assert_eq!(of("http://api.clear.ml", &[proxy]), Some(("api.clear.ml".into(), 80)));
        let excepted = ("no_proxy", "localhost, .clear.ml");
        assert_eq!(of("https://api.clear.ml", &[proxy, excepted]), Some(("api.clear.ml".into(), 443)));
    }
}
