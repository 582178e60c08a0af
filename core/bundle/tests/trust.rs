//! Who made a bundle, and keys as users have them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use caf_bundle::{BundleError, Existing, FileFault, KeyError, MANIFEST, PublicKey, SIGNATURE, SecretKey};
use common::{Place, draft, key};
use ed25519_dalek::{Signer as _, SigningKey};
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn signatures_that_are_wrong_lost_or_another_s_are_told_apart() {
    let (ours, theirs) = (key(1), key(2));
    let signed = Place::new(Some(&ours));
    assert_eq!(signed.open().unwrap().manifest().signer, Some(ours.public()));
    signed.open_with(&[ours.public()]).unwrap();
    signed.open_with(&[theirs.public(), ours.public()]).unwrap();
    let error = signed.open_with(&[theirs.public()]).unwrap_err();
    assert!(
        matches!(&error, BundleError::WrongKey { expected, found, .. }
        if *expected == [theirs.public()] && *found == ours.public()),
        "{error}"
    );
    assert!(matches!(signed.open_with(&[]).unwrap_err(), BundleError::WrongKey { .. }));
    // Never signed.
    let plain = Place::new(None);
    let error = plain.open_with(&[ours.public()]).unwrap_err();
    assert!(matches!(&error, BundleError::NotSigned { folder, .. } if *folder == plain.bundle()), "{error}");
    // The signature is gone, whether a key is demanded or not.
    let lost = Place::new(Some(&ours));
    fs::remove_file(lost.at(SIGNATURE)).unwrap();
    for result in [lost.open(), lost.open_with(&[ours.public()])] {
        assert!(matches!(result, Err(BundleError::SignatureMissing { path }) if path == lost.at(SIGNATURE)));
    }
    // Another length.
    for length in [0, 63, 65, 4096] {
        fs::write(lost.at(SIGNATURE), vec![7; length]).unwrap();
        for result in [lost.open(), lost.open_with(&[ours.public()])] {
            let length = length as u64;
            assert!(matches!(result, Err(BundleError::SignatureLength { found, .. }) if found == length));
        }
    }
    // The signature of another manifest by the same key.
    let other = tempfile::tempdir().unwrap();
    let mut changed = draft();
    changed.made.program = "another".into();
    changed.write(&other.path().join("b"), Some(&ours), Existing::Refuse).unwrap();
    fs::copy(other.path().join("b").join(SIGNATURE), lost.at(SIGNATURE)).unwrap();
    for result in [lost.open(), lost.open_with(&[ours.public()])] {
        assert!(matches!(result, Err(BundleError::BadSignature { path, .. }) if path == lost.at(SIGNATURE)));
    }
}

/// Somebody without the key changes a signed bundle in the ways there are.
#[test]
fn a_stranger_cannot_make_a_bundle_ours() {
    let (ours, theirs) = (key(1), key(2));
    // Another threshold, checksum made to fit.
    let place = Place::new(Some(&ours));
    place.replace("score = 0.25", "score = 0.95");
    assert!(matches!(place.open_with(&[ours.public()]), Err(BundleError::BadSignature { .. })));
    assert!(matches!(place.open(), Err(BundleError::BadSignature { .. })));
    // The signer struck out, with and without its signature.
    let place = Place::new(Some(&ours));
    place.edit(|body| body.lines().filter(|l| !l.starts_with("signer")).map(|l| format!("{l}\n")).collect());
    assert!(matches!(place.open_with(&[ours.public()]), Err(BundleError::BadSignature { .. })));
    assert_eq!(place.faults(), [(SIGNATURE.to_owned(), FileFault::Extra)]);
    fs::remove_file(place.at(SIGNATURE)).unwrap();
    place.open().unwrap();
    assert!(matches!(place.open_with(&[ours.public()]), Err(BundleError::NotSigned { .. })));
    // A whole bundle of their own, and one that claims to be ours.
    let foreign = Place::new(Some(&theirs));
    foreign.open().unwrap();
    assert!(matches!(foreign.open_with(&[ours.public()]), Err(BundleError::WrongKey { .. })));
    foreign.replace(&theirs.public().to_string(), &ours.public().to_string());
    assert!(matches!(foreign.open_with(&[ours.public()]), Err(BundleError::BadSignature { .. })));
    assert!(matches!(foreign.open(), Err(BundleError::BadSignature { .. })));
    // With a key demanded, a manifest that is no text at all is not looked into.
    fs::write(foreign.at(MANIFEST), [0xff; 100]).unwrap();
    assert!(matches!(foreign.open_with(&[ours.public()]), Err(BundleError::BadSignature { .. })));
}

/// Whose name a bundle carries is whose signature it carries, also where the signature is of a key that is trusted.
#[test]
fn a_bundle_cannot_carry_the_name_of_another_signer() {
    let (ours, theirs) = (key(1), key(2));
    let place = Place::new(Some(&ours));
    place.replace(&ours.public().to_string(), &theirs.public().to_string());
    // `key(1)`, as anybody's ed25519 signs.
    let signature = SigningKey::from_bytes(&[1; 32]).sign(&fs::read(place.at(MANIFEST)).unwrap());
    fs::write(place.at(SIGNATURE), signature.to_bytes()).unwrap();
    assert!(matches!(place.open_with(&[ours.public()]), Err(BundleError::BadSignature { .. })));
    assert!(matches!(place.open(), Err(BundleError::BadSignature { .. })));
}

/// RFC 8032, section 7.1, tests 1 and 2.
#[test]
fn keys_and_signatures_are_those_of_the_standard() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    for (secret, public) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ),
        (
            "4CCD089B28FF96DA9DB6C346EC114E0F5B8A319F35ABA624DA8CF6ED4FB8A6FB",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        ),
    ] {
        let secret = SecretKey::read(&file("secret", secret)).unwrap();
        assert_eq!(secret.public().to_string(), public);
        assert_eq!(PublicKey::read(&file("public", &format!("  {public}\n"))).unwrap(), secret.public());
        assert!(!format!("{secret:?}").contains(&secret_digits(folder.path())), "a secret key was printed");
    }
}

fn secret_digits(folder: &Path) -> String {
    fs::read_to_string(folder.join("secret")).unwrap().to_lowercase()
}

#[test]
fn files_that_hold_no_such_key_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let rsa = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let empty = "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n";
    // The neutral element: every signature verifies under it.
    let weak = format!("01{}", "0".repeat(62));
    for (text, secret_too, words) in [
        ("", true, "another text"),
        ("person\ncar\n", true, "another text"),
        (&"0".repeat(63), true, "another text"),
        (rsa, true, "RSA PRIVATE KEY"),
        (empty, true, ""),
        (weak.as_str(), false, "weak"),
    ] {
        fs::write(&path, text).unwrap();
        let error = PublicKey::read(&path).unwrap_err();
        assert!(matches!(error, KeyError::Kind { .. }) && error.is_wrong_call(), "{error}");
        assert!(error.to_string().contains("an ed25519 public key") && error.to_string().contains(words), "{error}");
        if secret_too {
            let error = SecretKey::read(&path).unwrap_err();
            assert!(error.to_string().contains("an ed25519 secret key") && error.is_wrong_call(), "{error}");
        }
    }
    let error = PublicKey::read(&folder.path().join("absent")).unwrap_err();
    assert!(error.is_wrong_call() && error.to_string().contains("absent"), "{error}");
}

/// What OpenSSL makes is read, and what is signed here OpenSSL verifies.
#[test]
fn keys_and_signatures_are_those_of_openssl() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| Command::new("openssl").args(arguments).output();
    let (secret, public) = (at("secret.pem"), at("public.pem"));
    match openssl(&["genpkey", "-algorithm", "ed25519", "-out", &secret]) {
        Ok(made) => assert!(made.status.success(), "{made:?}"),
        Err(error) => return caf_golden::say(&format!("SKIP keys_and_signatures_are_those_of_openssl: {error}")),
    }
    assert!(openssl(&["pkey", "-in", &secret, "-pubout", "-out", &public]).unwrap().status.success());
    let key = SecretKey::read(Path::new(&secret)).unwrap();
    assert_eq!(PublicKey::read(Path::new(&public)).unwrap(), key.public());
    let place = Place::new(Some(&key));
    let (manifest, signature) = (place.at(MANIFEST), place.at(SIGNATURE));
    let verify = || {
        let files = [manifest.to_str().unwrap(), "-sigfile", signature.to_str().unwrap()];
        openssl(&[&["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", &public, "-in"], &files[..]].concat()).unwrap()
    };
    assert!(verify().status.success(), "{:?}", verify());
    fs::write(&manifest, "another").unwrap();
    assert!(!verify().status.success());
    // Each in the other's place, and a key of another kind.
    let error = PublicKey::read(Path::new(&secret)).unwrap_err().to_string();
    assert!(error.contains("found PRIVATE KEY"), "{error}");
    let error = SecretKey::read(Path::new(&public)).unwrap_err().to_string();
    assert!(error.contains("found PUBLIC KEY"), "{error}");
    let x25519 = at("x25519.pem");
    assert!(openssl(&["genpkey", "-algorithm", "x25519", "-out", &x25519]).unwrap().status.success());
    assert!(matches!(SecretKey::read(Path::new(&x25519)), Err(KeyError::Kind { .. })));
}
