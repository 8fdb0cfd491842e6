//! Certificates of a mesh, made when a test asks for them: an authority per trust domain, and what it
//! issues to workloads.
//!
//! A workload is named by its SPIFFE ID in a URI SAN, as Istio does it. Whatever can be wrong with a
//! certificate can be had too: another authority, another name, a time that is over or yet to come.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::{Doing as _, Result};

/// The trust domain of a mesh that was not given another.
pub const TRUST_DOMAIN: &str = "cluster.local";

/// An authority with a key of its own: two of them are strangers, even in the same trust domain.
pub struct Authority {
    trust_domain: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a subject alternative name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// A URI, such as a SPIFFE ID.
    Uri(String),
    /// A DNS name.
    Dns(String),
}

/// When a certificate is valid. No test waits for a day, so a day is the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// From 2020 to 2100.
    Now,
    /// During 2020.
    Expired,
    /// From 2099 to 2100.
    NotYet,
}

/// A certificate with its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, without its authority's.
    pub chain: String,
    /// The private key, PKCS #8.
    pub key: String,
}

/// Where the files of a [`Certificate`] and its root are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `cert-chain.pem`.
    pub chain: PathBuf,
    /// `key.pem`, readable by its owner only.
    pub key: PathBuf,
    /// `root-cert.pem`: the authority that its owner trusts.
    pub root: PathBuf,
}

impl Authority {
    /// An authority for this trust domain, such as [`TRUST_DOMAIN`].
    ///
    /// # Errors
    /// When the system has no randomness for a key.
    pub fn new(trust_domain: &str) -> Result<Self> {
        let doing = || format!("making an authority for {trust_domain}");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, trust_domain);
        Validity::Now.apply(&mut params);
        let key = KeyPair::generate().doing(doing)?;
        let issuer = CertifiedIssuer::self_signed(params, key).doing(doing)?;
        Ok(Self { trust_domain: trust_domain.to_owned(), issuer })
    }

    /// The authority's own certificate, PEM: what those who trust it are given as root.
    #[must_use]
    pub fn root(&self) -> String {
        self.issuer.pem()
    }

    /// The SPIFFE ID of a service account in this trust domain.
    #[must_use]
    pub fn spiffe_id(&self, namespace: &str, account: &str) -> String {
        format!("spiffe://{}/ns/{namespace}/sa/{account}", self.trust_domain)
    }

    /// Issues what a sidecar of that service account has: its SPIFFE ID, valid now.
    ///
    /// # Errors
    /// When the name is not ASCII, or the system has no randomness for a key.
    pub fn workload(&self, namespace: &str, account: &str) -> Result<Certificate> {
        self.issue(&[Name::Uri(self.spiffe_id(namespace, account))], Validity::Now)
    }

    /// Issues a certificate with these names, for both ends of a connection.
    ///
    /// # Errors
    /// When a name is not ASCII, or the system has no randomness for a key.
    pub fn issue(&self, names: &[Name], validity: Validity) -> Result<Certificate> {
        let doing = || format!("issuing a certificate for {names:?}");
        let mut params = CertificateParams::default();
        for name in names {
            params.subject_alt_names.push(match name {
                Name::Uri(uri) => SanType::URI(uri.as_str().try_into().doing(doing)?),
                Name::Dns(name) => SanType::DnsName(name.as_str().try_into().doing(doing)?),
            });
        }
        // No subject, as Istio has it: the names, which are critical then, say it all.
        params.distinguished_name = DistinguishedName::new();
        params.use_authority_key_identifier_extension = true;
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        validity.apply(&mut params);
        let key = KeyPair::generate().doing(doing)?;
        let certificate = params.signed_by(&key, &self.issuer).doing(doing)?;
        Ok(Certificate { chain: certificate.pem(), key: key.serialize_pem() })
    }
}

impl Validity {
    fn apply(self, params: &mut CertificateParams) {
        let (from, to) = match self {
            Self::Now => (2020, 2100),
            Self::Expired => (2020, 2021),
            Self::NotYet => (2099, 2100),
        };
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
    }
}

impl Certificate {
    /// Writes the certificate, its key and a root into a folder, under the names that Istio uses.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, root: &str) -> Result<Files> {
        let doing = || format!("writing a certificate into {}", folder.display());
        let files = Files {
            chain: folder.join("cert-chain.pem"),
            key: folder.join("key.pem"),
            root: folder.join("root-cert.pem"),
        };
        fs::create_dir_all(folder).doing(doing)?;
        fs::write(&files.chain, &self.chain).doing(doing)?;
        fs::write(&files.root, root).doing(doing)?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut key = options.open(&files.key).doing(doing)?;
        key.write_all(self.key.as_bytes()).doing(doing)?;
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_certificate_is_written_as_it_is_handed_out_and_its_key_is_its_owners() {
        let authority = Authority::new(TRUST_DOMAIN).unwrap();
        let certificate = authority.workload("default", "client").unwrap();
        assert!(certificate.key.starts_with("-----BEGIN PRIVATE KEY-----"));
        let folder = tempfile::tempdir().unwrap();
        let files = certificate.write(folder.path(), &authority.root()).unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!(read(&files.chain), certificate.chain);
        assert_eq!(read(&files.key), certificate.key);
        assert_eq!(read(&files.root), authority.root());
        assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_name_that_no_certificate_can_carry_is_an_error() {
        let authority = Authority::new(TRUST_DOMAIN).unwrap();
        let error = authority.workload("default", "clïent").unwrap_err().to_string();
        assert!(error.contains("clïent"), "{error}");
    }
}
