//! `--lan`: HTTPS for phones on this network, with a certificate made once and kept beside the
//! data. Options that were given stay as they were given.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use crate::cli::Failure;
use crate::config::Gathered;
use crate::config::source::Source;

/// The options for phones.
pub(super) fn options(gathered: Gathered) -> Result<Gathered, Failure> {
    let address = own_address()?;
    let folder = Path::new(gathered.text("data-dir")).to_owned();
    let port = |name: &str, usual: u16, gathered: &Gathered| {
        let given = gathered.text(name).parse::<SocketAddr>().ok();
        let given = given.filter(|_| gathered.source(name) != Source::Default);
        given.map_or(usual, |address| address.port())
    };
    let public = port("listen", 8_443, &gathered);
    let sandbox = port("sandbox-listen", 8_444, &gathered);
    let mut gathered = gathered;
    for (name, value) in [
        ("listen", format!("0.0.0.0:{public}")),
        ("public-url", format!("https://{address}:{public}")),
        ("sandbox-listen", format!("0.0.0.0:{sandbox}")),
        ("sandbox-url", format!("https://{address}:{sandbox}")),
        ("udp-bind", Ipv4Addr::UNSPECIFIED.to_string()),
        ("public-ip", address.to_string()),
    ] {
        if gathered.source(name) == Source::Default {
            gathered = gathered.with(name, value);
        }
    }
    if gathered.source("tls-cert") == Source::Default {
        let (certificate, key) = certificate(&folder, address)?;
        gathered = gathered.with("tls-cert", certificate).with("tls-key", key);
    }
    Ok(gathered)
}

/// This machine's address on its network: the one it would send from. Nothing is sent.
fn own_address() -> Result<IpAddr, Failure> {
    let address = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| {
            socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
            socket.local_addr()
        })
        .map(|address| address.ip());
    address.map_err(|error| {
        Failure::new(format!(
            "--lan: this machine has no network that a phone could be on ({error}); without --lan \
             the demo runs on this machine alone"
        ))
    })
}

/// The certificate and its key, made unless those in the folder are for this address.
fn certificate(folder: &Path, address: IpAddr) -> Result<(String, String), Failure> {
    let (certificate, key) = (folder.join("lan-cert.pem"), folder.join("lan-key.pem"));
    let note = folder.join("lan-address.txt");
    let is_for_us = std::fs::read_to_string(&note).is_ok_and(|text| text == address.to_string());
    if !(is_for_us && certificate.exists() && key.exists()) {
        std::fs::create_dir_all(folder)?;
        let mut names = vec![address.to_string(), "127.0.0.1".into(), "localhost".into()];
        names.extend(host_names());
        let mut parameters = CertificateParams::new(names)?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, "Vetrina demo on this network");
        parameters.distinguished_name = subject;
        let pair = KeyPair::generate()?;
        let signed = parameters.self_signed(&pair)?;
        super::write_private(&key, &pair.serialize_pem())?;
        std::fs::write(&certificate, signed.pem())?;
        std::fs::write(&note, address.to_string())?;
    }
    let text = |path: &Path| path.display().to_string();
    Ok((text(&certificate), text(&key)))
}

fn host_names() -> Vec<String> {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = name.trim().to_ascii_lowercase();
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if name.is_empty() || !plain {
        Vec::new()
    } else {
        vec![format!("{name}.local"), name]
    }
}
