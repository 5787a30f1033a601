//! Blobs kept, damaged, lost and swept.
//!
//! Does not know what the blobs hold.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let root = crate::durable::scratch();
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
    assert!(lock(&store.pending).is_empty());
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

/// The other half of `a_crash_at_any_point_leaves_whole_blobs`: it works only in the process made there.
#[test]
fn put_until_killed() {
    use std::io::Write as _;

    let Ok(state) = std::env::var("LOOP_TEST_STORE") else { return };
    let store = Store::open(Utf8Path::new(&state)).unwrap();
    let mut out = io::stdout();
    for n in 0..3 {
        let one = store.put(format!("one {n}").as_bytes()).unwrap();
        writeln!(out, "acknowledged {one}").unwrap();
        let two = store.put_pending(format!("two {n}").as_bytes()).unwrap();
        let three = store.put_salted(format!("three {n}").as_bytes()).unwrap();
        store.sync_pending().unwrap();
        writeln!(out, "acknowledged {two}\nacknowledged {three}").unwrap();
    }
}

#[cfg(feature = "crash-points")]
#[test]
fn a_crash_at_any_point_leaves_whole_blobs() {
    use std::os::unix::process::ExitStatusExt;

    for point in crash::POINTS.iter().filter(|point| point.starts_with("store.")) {
        for time in 1..=3 {
            let (root, store) = store();
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--nocapture", "store::tests::put_until_killed"])
                .env("LOOP_TEST_STORE", root.path())
                .env("LOOP_CRASH_AT", format!("{point}:{time}"))
                .output()
                .unwrap();
            assert_eq!(output.status.signal(), Some(9), "{point} was not passed {time} times");
            let printed = String::from_utf8(output.stdout).unwrap();
            for line in printed.lines().filter_map(|line| line.split_once("acknowledged ")) {
                store.get(&Sha256::parse(line.1).unwrap()).unwrap();
            }
            for n in 0..3 {
                for content in [format!("one {n}"), format!("two {n}")] {
                    let digest = store.put(content.as_bytes()).unwrap();
                    assert_eq!(store.get(&digest).unwrap(), content.as_bytes());
                }
            }
            store.sweep(Duration::ZERO).unwrap();
            assert_eq!(store.root.join("tmp").read_dir_utf8().unwrap().count(), 0);
        }
    }
}
