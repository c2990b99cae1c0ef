use super::*;
use crate::settings::ClientCertificates;

fn files(dir: &std::path::Path, name: &str) -> TlsSettings {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    std::fs::write(&cert_file, made.cert.pem()).unwrap();
    std::fs::write(&key_file, made.signing_key.serialize_pem()).unwrap();
    TlsSettings {
        cert_file,
        key_file,
        clients: ClientCertificates::Off,
    }
}

#[test]
fn all_files_that_do_not_work_are_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = files(dir.path(), "one");
    let other = files(dir.path(), "other");
    settings.key_file.clone_from(&other.key_file);
    assert!(matches!(
        Material::read(&settings).unwrap_err().as_slice(),
        [TlsError::OtherKey { .. }]
    ));
    settings.cert_file = dir.path().join("none.pem");
    settings.key_file = dir.path().to_owned();
    assert_eq!(Material::read(&settings).unwrap_err().len(), 2);
    settings.cert_file.clone_from(&other.key_file);
    settings.key_file.clone_from(&other.cert_file);
    let told = Material::read(&settings).unwrap_err();
    assert!(told.iter().all(|error| matches!(error, TlsError::Form { .. })) && told.len() == 2);
}

#[tokio::test]
async fn other_files_are_taken_and_broken_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let settings = files(dir.path(), "one");
    let tls = Arc::new(Tls::new(&settings, TlsMetrics::default()).unwrap());
    let first = tls.material.load_full();
    tls.look().await;
    assert!(Arc::ptr_eq(&first, &tls.material.load_full()));
    std::fs::write(&settings.cert_file, "half a certifi").unwrap();
    tls.look().await;
    assert!(Arc::ptr_eq(&first, &tls.material.load_full()));
    assert!(tls.told.lock().unwrap().is_some());
    files(dir.path(), "one");
    tls.look().await;
    assert!(!Arc::ptr_eq(&first, &tls.material.load_full()));
    assert!(tls.told.lock().unwrap().is_none());
}

#[tokio::test]
async fn one_that_has_ended_takes_no_place_of_one_that_holds() {
    let dir = tempfile::tempdir().unwrap();
    let settings = files(dir.path(), "one");
    let tls = Arc::new(Tls::new(&settings, TlsMetrics::default()).unwrap());
    let first = tls.material.load_full();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&settings.cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&settings.key_file, key.serialize_pem()).unwrap();
    tls.look().await;
    assert!(Arc::ptr_eq(&first, &tls.material.load_full()));
    assert!(tls.told.lock().unwrap().as_ref().unwrap().contains("expired on"));
}

#[test]
fn a_certificate_that_ends_is_told_of_before_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let material = Material::read(&files(dir.path(), "one")).unwrap();
    let ends = material.expires().0;
    assert_eq!(material.warning(Timestamp(ends - SOON_MS)), None);
    assert!(
        material
            .warning(Timestamp(ends - 1))
            .unwrap()
            .contains("expires on")
    );
    assert!(material.warning(Timestamp(ends)).unwrap().contains("expired on"));
}
