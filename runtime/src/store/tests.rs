use std::os::unix::fs::PermissionsExt;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(Utf8Path::from_path(root.path()).unwrap()).unwrap();
    (root, store)
}

#[test]
fn a_blob_comes_back_and_is_read_only() {
    let (_root, store) = store();
    for bytes in [&b""[..], b"one", &[0, 255, 10]] {
        let digest = store.put(bytes).unwrap();
        assert_eq!(digest, Sha256::of(bytes));
        assert_eq!(store.put(bytes).unwrap(), digest);
        assert_eq!(store.get(&digest).unwrap(), bytes);
        let mode = fs::metadata(store.path(&digest)).unwrap().permissions().mode();
        assert_eq!(mode & 0o222, 0);
    }
    assert!(
        store
            .path(&Sha256::of(b"one"))
            .as_str()
            .ends_with("/cas/76/92c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed")
    );
    assert_eq!(store.root.join("tmp").read_dir_utf8().unwrap().count(), 0);
}

#[test]
fn pending_blobs_are_visible_at_once() {
    let (_root, store) = store();
    let digest = store.put_pending(b"later").unwrap();
    assert_eq!(store.get(&digest).unwrap(), b"later");
    store.sync_pending().unwrap();
    assert!(store.pending().is_empty());
    store.put_pending(b"gone").unwrap();
    fs::remove_file(store.path(&Sha256::of(b"gone"))).unwrap();
    assert!(store.sync_pending().is_err());
    assert!(store.sync_pending().is_err(), "a blob that could not be synced stays pending");
}

#[test]
fn what_is_wrong_on_disk_is_named_and_healed_by_the_next_put() {
    let (_root, store) = store();
    let digest = Sha256::of(b"content");
    assert!(matches!(store.get(&digest), Err(StoreError::Missing(missing)) if missing == digest));
    for wrong in ["", "contenT", "content and more"] {
        store.put(b"content").unwrap();
        let path = store.path(&digest);
        fs::remove_file(&path).unwrap();
        fs::write(&path, wrong).unwrap();
        assert!(matches!(store.get(&digest), Err(StoreError::Corrupt { .. })), "{wrong:?}");
        store.put(b"content").unwrap();
        assert_eq!(store.get(&digest).unwrap(), b"content");
    }
}

#[test]
fn salted_blobs_cannot_be_guessed() {
    let (_root, store) = store();
    let first = store.put_salted(b"yes").unwrap();
    let second = store.put_salted(b"yes").unwrap();
    assert_ne!(first, second);
    assert_ne!(first, Sha256::of(b"yes"));
    assert_eq!(store.get_salted(&first).unwrap(), b"yes");
    let plain = store.put(b"short").unwrap();
    assert!(matches!(store.get_salted(&plain), Err(StoreError::NotSalted(_))));
}

#[test]
fn threads_may_put_the_same_blobs() {
    let (_root, store) = store();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..50_u32 {
                    store.put_pending(&n.to_le_bytes()).unwrap();
                }
                store.sync_pending().unwrap();
            });
        }
    });
    for n in 0..50_u32 {
        assert_eq!(store.get(&Sha256::of(&n.to_le_bytes())).unwrap(), n.to_le_bytes());
    }
}

#[test]
fn leftovers_are_swept() {
    let (_root, store) = store();
    fs::write(store.root.join("tmp/left"), "half").unwrap();
    assert_eq!(store.sweep(Duration::from_secs(3600)).unwrap(), 0);
    assert_eq!(store.sweep(Duration::ZERO).unwrap(), 1);
}
