//! A certificate authority of its own for a test, and the certificates that it signs.

use std::path::{Path, PathBuf};

use rcgen::{
    CertificateParams, CertificateRevocationListParams, DnType, Issuer, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber,
};

/// An authority that nobody knows who was not told of it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key.
pub struct Signed {
    /// The certificate, in PEM.
    pub pem: String,
    /// Its key, in PEM.
    pub key_pem: String,
    /// The certificate, in DER.
    pub der: Vec<u8>,
    /// Its key, in DER (PKCS#8).
    pub key_der: Vec<u8>,
    serial: Vec<u8>,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters of an authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("an authority").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// What vouches for everything it signs, in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these names of a host.
    pub fn signs_host(&self, names: &[&str]) -> Signed {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.signs(CertificateParams::new(names).expect("names of a host"))
    }

    /// A certificate of a program that is named by an address.
    pub fn signs_program(&self, uri: &str) -> Signed {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("a plain address"))];
        self.signs(params)
    }

    /// What `openssl req -x509` makes: a certificate of a host that vouches for itself, and says that it is an authority.
    pub fn and_host_in_one(names: &[&str]) -> Signed {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of a host");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate");
        Signed {
            pem: cert.pem(),
            key_pem: key.serialize_pem(),
            der: cert.der().to_vec(),
            key_der: key.serialize_der(),
            serial: Vec::new(),
        }
    }

    fn signs(&self, mut params: CertificateParams) -> Signed {
        let key = KeyPair::generate().expect("a key");
        // Random, as the key is; the first bit says that it is no negative number.
        let serial: Vec<u8> = key
            .public_key_raw()
            .iter()
            .rev()
            .take(8)
            .map(|byte| byte & 0x7f | 1)
            .collect();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Signed {
            pem: cert.pem(),
            key_pem: key.serialize_pem(),
            der: cert.der().to_vec(),
            key_der: key.serialize_der(),
            serial,
        }
    }

    /// The list of what it has taken back, in PEM.
    pub fn takes_back(&self, signed: &[&Signed]) -> String {
        let revoked = signed.iter().map(|signed| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&signed.serial),
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2999, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer)
            .expect("a list")
            .pem()
            .expect("a list in PEM")
    }
}

impl Signed {
    /// Puts both files there as `NAME.pem` and `NAME.key`, each whole at once, as a renewal does.
    pub fn put(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        for (path, text) in [(&key, &self.key_pem), (&cert, &self.pem)] {
            let new = path.with_extension("new");
            std::fs::write(&new, text).expect("a file");
            std::fs::rename(&new, path).expect("a file in its place");
        }
        (cert, key)
    }
}
