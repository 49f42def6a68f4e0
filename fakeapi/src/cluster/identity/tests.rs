use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tempfile::TempDir;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::*;
use crate::register::CaPem;

const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 111, 20));
const EC_KEY: &str = "openssl ecparam -name prime256v1 -genkey -noout -out key";
/// `-x509_strict` wants an authority to say what it is for.
const STRICT: &str = "-subj /CN=kubernetes -addext keyUsage=critical,keyCertSign,cRLSign";
const YEAR: u64 = 365 * 24 * 60 * 60;

/// How openssl makes each kind of key that an authority may have.
const KEYS: &[(&str, &str)] = &[
    ("RSA PKCS#1", "openssl genrsa -traditional -out key 2048"),
    ("RSA PKCS#8", "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key"),
    ("RSA 3072", "openssl genrsa -traditional -out key 3072"),
    ("RSA 4096", "openssl genrsa -out key 4096"),
    ("P-256 SEC1 with parameters", "openssl ecparam -name prime256v1 -genkey -out key"),
    ("P-256 SEC1", EC_KEY),
    ("P-256 PKCS#8", "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key"),
    ("P-384 SEC1", "openssl ecparam -name secp384r1 -genkey -noout -out key"),
    ("P-521 SEC1", "openssl ecparam -name secp521r1 -genkey -noout -out key"),
    ("P-521 PKCS#8", "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out key"),
    ("Ed25519", "openssl genpkey -algorithm ED25519 -out key"),
];

/// Runs a command line whose words hold no spaces, and tells what it said.
fn run(directory: &Path, line: &str) -> String {
    let mut words = line.split(' ');
    let output =
        Command::new(words.next().unwrap()).args(words).current_dir(directory).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{line}: {text}");
    text
}

fn openssl_authority(directory: &Path, key: &str, rest: &str) -> CaPem {
    run(directory, key);
    run(directory, &format!("openssl req -x509 -new -key key -out crt -days 3650 {rest}"));
    read(directory)
}

fn read(directory: &Path) -> CaPem {
    CaPem {
        certificate: fs::read_to_string(directory.join("crt")).unwrap(),
        key: fs::read_to_string(directory.join("key")).unwrap(),
    }
}

/// What a client does with `shown`.
fn verify(
    authority: &CertificateAuthority,
    shown: &CertificateDer<'_>,
    usage: KeyUsage,
    server: Option<&str>,
    at: Timestamp,
) -> Result<(), webpki::Error> {
    let root = authority.certificate();
    let anchor = anchor_from_trusted_cert(&root)?;
    let leaf = EndEntityCert::try_from(shown)?;
    let at = Duration::from_secs(at.as_second().try_into().unwrap());
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[anchor],
        &[],
        UnixTime::since_unix_epoch(at),
        usage,
        None,
        None,
    )?;
    server.map_or(Ok(()), |name| {
        leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap())
    })
}

fn shown(key: &CertifiedKey) -> CertificateDer<'static> {
    assert_eq!(key.cert.len(), 1, "the authority itself is not sent");
    key.keys_match().unwrap();
    key.cert[0].clone()
}

#[test]
fn every_kind_of_authority_signs_what_clients_verify() {
    let serving = ServingKey::generate().unwrap();
    for (kind, make) in KEYS {
        let directory = TempDir::new().unwrap();
        let pem = openssl_authority(directory.path(), make, STRICT);
        let authority =
            CertificateAuthority::from_pem(&pem).unwrap_or_else(|e| panic!("{kind}: {e}"));
        let now = Timestamp::now();
        let names = SubjectNames::api_server(IP);
        let leaf = shown(&serve_certificate(&authority, &serving, &names, now).unwrap());
        for name in ["192.168.111.20", "127.0.0.1", "10.96.0.1", "kubernetes.default.svc"] {
            let usage = KeyUsage::server_auth();
            verify(&authority, &leaf, usage, Some(name), now)
                .unwrap_or_else(|e| panic!("{kind} {name}: {e}"));
        }
        fs::write(directory.path().join("leaf"), super::pem::encode("CERTIFICATE", &leaf)).unwrap();
        let line = "openssl verify -x509_strict -purpose sslserver -CAfile crt leaf";
        assert!(run(directory.path(), line).contains("OK"), "{kind}");
    }
}

#[test]
fn what_was_given_comes_back() {
    for (kind, make) in KEYS {
        let directory = TempDir::new().unwrap();
        let pem = openssl_authority(directory.path(), make, "-subj /CN=kubernetes");
        let back = CertificateAuthority::from_pem(&pem).unwrap().to_pem();
        assert_eq!(back.certificate, pem.certificate, "{kind}");
        let bare = pem.key.find("-----BEGIN EC PRIVATE").unwrap_or(0);
        assert_eq!(back.key, pem.key[bare..], "{kind}");
    }
}

#[test]
fn an_issuer_of_any_form_is_named_byte_for_byte() {
    let serving = ServingKey::generate().unwrap();
    for form in [
        "-multivalue-rdn -subj /O=metal3+OU=ci/CN=kubernetes",
        "-utf8 -subj /CN=Größe",
        "-subj /",
        "-subj /CN=no-key-id -addext subjectKeyIdentifier=none",
    ] {
        let directory = TempDir::new().unwrap();
        openssl_authority(directory.path(), EC_KEY, form);
        let authority = CertificateAuthority::from_pem(&read(directory.path())).unwrap();
        let names = SubjectNames::api_server(IP);
        let now = Timestamp::now();
        let leaf = shown(&serve_certificate(&authority, &serving, &names, now).unwrap());
        let usage = KeyUsage::server_auth();
        verify(&authority, &leaf, usage, Some("localhost"), now).unwrap();
        fs::write(directory.path().join("leaf"), super::pem::encode("CERTIFICATE", &leaf)).unwrap();
        run(directory.path(), "openssl verify -CAfile crt leaf");
    }
}

#[test]
fn an_authority_made_here_is_one_and_survives_its_pem() {
    let now = Timestamp::now();
    let made = CertificateAuthority::generate(ETCD_CA_NAME, now).unwrap();
    let again = CertificateAuthority::from_pem(&made.to_pem()).unwrap();
    assert_eq!(made, again);
    let serving = ServingKey::generate().unwrap();
    let names = SubjectNames::etcd_member("cp-0", IP);
    let leaf = shown(&etcd_certificate(&again, &serving, "cp-0", &names, now).unwrap());
    for name in ["cp-0", "etcd-cp-0", "localhost", "192.168.111.20"] {
        verify(&made, &leaf, KeyUsage::server_auth(), Some(name), now).unwrap();
    }
    verify(&made, &leaf, KeyUsage::client_auth(), None, now).unwrap();
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("crt"), made.certificate_pem()).unwrap();
    let text = run(directory.path(), "openssl x509 -in crt -noout -text");
    assert!(text.contains("Issuer: CN = etcd-ca"), "{text}");
    assert!(text.contains("CA:TRUE"), "{text}");
}

#[test]
fn a_client_is_a_user_with_groups_and_no_server() {
    let now = Timestamp::now();
    let ca = CertificateAuthority::generate(KUBERNETES_CA_NAME, now).unwrap();
    let groups = ["system:masters", "other"];
    let client = client_certificate(&ca, "kubernetes-admin", &groups, now).unwrap();
    let der = CertificateDer::from_pem_slice(client.certificate.as_bytes()).unwrap();
    verify(&ca, &der, KeyUsage::client_auth(), None, now).unwrap();
    verify(&ca, &der, KeyUsage::server_auth(), None, now).unwrap_err();
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("crt"), &client.certificate).unwrap();
    fs::write(directory.path().join("key"), &client.key).unwrap();
    let text = run(directory.path(), "openssl x509 -in crt -noout -subject");
    assert_eq!(text.trim(), "subject=O = system:masters, O = other, CN = kubernetes-admin");
    assert_eq!(
        run(directory.path(), "openssl x509 -in crt -noout -pubkey"),
        run(directory.path(), "openssl pkey -in key -pubout")
    );
}

#[test]
fn a_leaf_lasts_a_year_and_never_longer_than_its_authority() {
    let serving = ServingKey::generate().unwrap();
    let made = Timestamp::from_second(1_700_000_000).unwrap();
    let ca = CertificateAuthority::generate(KUBERNETES_CA_NAME, made).unwrap();
    let later = |seconds| made + Duration::from_secs(seconds);
    let usage = KeyUsage::server_auth;
    let leaf =
        |at| shown(&serve_certificate(&ca, &serving, &SubjectNames::api_server(IP), at).unwrap());
    let early = leaf(made);
    verify(&ca, &early, usage(), None, later(YEAR - 1)).unwrap();
    verify(&ca, &early, usage(), None, later(YEAR + 1)).unwrap_err();
    let late = leaf(later(9 * YEAR + YEAR / 2));
    verify(&ca, &late, usage(), None, later(10 * YEAR - 1)).unwrap();
    verify(&ca, &late, usage(), None, later(10 * YEAR + 1)).unwrap_err();
    assert!(!ca.expired(later(10 * YEAR - 1)).unwrap());
    assert!(ca.expired(later(10 * YEAR + 1)).unwrap());
    let dead = leaf(later(11 * YEAR));
    verify(&ca, &dead, usage(), None, later(11 * YEAR)).unwrap_err();
}

#[test]
fn what_is_no_authority_is_refused() {
    let one = CertificateAuthority::generate("one", Timestamp::now()).unwrap();
    let two = CertificateAuthority::generate("two", Timestamp::now()).unwrap();
    let client = client_certificate(&one, "someone", &[], Timestamp::now()).unwrap();
    let pem = |certificate: &str, key: &str| CaPem {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    };
    let refusal = |pem: &CaPem| CertificateAuthority::from_pem(pem).unwrap_err();
    let (a, b) = (one.to_pem(), two.to_pem());
    assert!(matches!(refusal(&pem(&a.certificate, &b.key)), IdentityError::KeyMismatch));
    assert!(matches!(
        refusal(&pem(&client.certificate, &client.key)),
        IdentityError::NotAnAuthority(_)
    ));
    assert!(matches!(refusal(&pem("", &a.key)), IdentityError::CertificatePem(_)));
    assert!(matches!(refusal(&pem(&a.certificate, &a.certificate)), IdentityError::KeyPem(_)));
    let broken = super::pem::encode("CERTIFICATE", b"not DER");
    assert!(matches!(refusal(&pem(&broken, &a.key)), IdentityError::Certificate(_)));
    let broken = super::pem::encode("PRIVATE KEY", b"not DER");
    assert!(matches!(refusal(&pem(&a.certificate, &broken)), IdentityError::Key(_)));
}
