//! Client certificates of X.509 version 1.
//!
//! `openssl x509 -req` without an extension file makes them, so people have them, and
//! kube-apiserver takes them: they have no extensions, so nothing in them restricts their use.
//! webpki knows only version 3. What is left to check without extensions is little: that the CA
//! itself signed it, and that its time is now (RFC 5280, section 6.1, with a path of one).

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime};
use webpki::{Error, RawPublicKeyEntity};
use x509_parser::asn1_rs::{Any, FromDer as _};
use x509_parser::prelude::{X509Certificate, X509Version};
use x509_parser::time::ASN1Time;

use super::tls;

/// The key of a certificate of any version.
pub(super) fn public_key(
    certificate: &CertificateDer<'_>,
) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| Error::BadDer)?;
    Ok(SubjectPublicKeyInfoDer::from(parsed.tbs_certificate.subject_pki.raw.to_vec()))
}

/// Whether a certificate of version 1 was signed by one of the roots and is valid at `now`.
pub(super) fn verify(
    leaf: &CertificateDer<'_>,
    roots: &RootCertStore,
    now: UnixTime,
) -> Result<(), Error> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| Error::BadDer)?;
    if parsed.version() != X509Version::V1 {
        return Err(Error::UnsupportedCertVersion);
    }
    let issuer = contents(parsed.issuer().as_raw())?;
    let signed_by = |root: &&TrustAnchor<'_>| {
        root.subject.as_ref() == issuer && signs(root, &parsed).is_ok_and(|signs| signs)
    };
    roots.roots.iter().find(signed_by).ok_or(Error::UnknownIssuer)?;
    let now = i64::try_from(now.as_secs())
        .ok()
        .and_then(|now| ASN1Time::from_timestamp(now).ok())
        .ok_or(Error::BadDerTime)?;
    if parsed.validity().is_valid_at(now) { Ok(()) } else { Err(Error::InvalidCertValidity) }
}

/// Whether the root's key made the certificate's signature, by any algorithm that is accepted.
fn signs(root: &TrustAnchor<'_>, parsed: &X509Certificate<'_>) -> Result<bool, Error> {
    let key = SubjectPublicKeyInfoDer::from(sequence(&root.subject_public_key_info));
    let key = RawPublicKeyEntity::try_from(&key)?;
    let (message, signature) =
        (parsed.tbs_certificate.as_ref(), parsed.signature_value.data.as_ref());
    let mut algorithms = tls::signature_algorithms().all.iter();
    Ok(algorithms.any(|algorithm| key.verify_signature(*algorithm, message, signature).is_ok()))
}

/// What is inside a DER value.
fn contents(der: &[u8]) -> Result<&[u8], Error> {
    let (_, any) = Any::from_der(der).map_err(|_| Error::BadDer)?;
    Ok(any.data)
}

/// A DER SEQUENCE around what was inside one.
fn sequence(contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut der = vec![0x30];
    match (significant, contents.len()) {
        (_, 0..0x80) => der.push(significant.first().copied().unwrap_or_default()),
        (bytes, _) => {
            der.push(0x80 | u8::try_from(bytes.len()).expect("a length has at most 8 bytes"));
            der.extend_from_slice(bytes);
        }
    }
    der.extend_from_slice(contents);
    der
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustls_pki_types::pem::PemObject;

    use super::*;

    /// A CA and a certificate of version 1 that it signed, made by openssl.
    fn made(key: &str) -> (CertificateDer<'static>, CertificateDer<'static>) {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "openssl req -x509 -newkey {key} -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt && \
             openssl req -newkey {key} -nodes -subj '/O=system:masters/CN=me' -keyout k -out r && \
             openssl x509 -req -in r -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -out c"
        );
        let made = Command::new("sh").args(["-c", &script]).current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let read = |name| CertificateDer::from_pem_file(folder.path().join(name)).unwrap();
        (read("ca.crt"), read("c"))
    }

    fn roots(ca: &CertificateDer<'static>) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone()).unwrap();
        roots
    }

    #[test]
    fn the_ca_that_signed_vouches_and_no_other() {
        for key in ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:prime256v1"] {
            let (ca, leaf) = made(key);
            let (other, _) = made(key);
            assert_eq!(verify(&leaf, &roots(&ca), UnixTime::now()), Ok(()), "{key}");
            assert_eq!(verify(&leaf, &roots(&other), UnixTime::now()), Err(Error::UnknownIssuer));
            let later = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
                UnixTime::now().as_secs() + 3 * 24 * 3600,
            ));
            assert_eq!(verify(&leaf, &roots(&ca), later), Err(Error::InvalidCertValidity));
            assert_eq!(
                verify(&ca, &roots(&ca), UnixTime::now()),
                Err(Error::UnsupportedCertVersion),
                "a certificate of version 3 is webpki's to judge"
            );
        }
    }

    #[test]
    fn lengths_are_written_as_der_wants_them() {
        assert_eq!(sequence(&[]), [0x30, 0]);
        assert_eq!(sequence(&[7])[..2], [0x30, 1]);
        assert_eq!(sequence(&[0; 0x80])[..3], [0x30, 0x81, 0x80]);
        assert_eq!(sequence(&[0; 0x1234])[..4], [0x30, 0x82, 0x12, 0x34]);
    }
}
