use super::*;
use proptest::prelude::*;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

fn day(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(24 * 60 * 60 * number)
}

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn open(root: &Path) -> Cache {
    Cache::open(root, SystemTime::now()).expect("a cache")
}

fn insert(cache: &Cache, bytes: &[u8]) -> Stored {
    let mut writer = cache.blob_writer().expect("a writer");
    writer.append(bytes).expect("written");
    writer.finish().expect("landed")
}

fn files_in(dir: &Path) -> usize {
    fs::read_dir(dir).expect("listed").count()
}

fn partial(claim: Claim) -> Partial {
    match claim {
        Claim::Partial(partial) => partial,
        Claim::Present(path) => panic!("{} already exists", path.display()),
    }
}

#[test]
fn a_new_cache_is_private_and_tagged() {
    let dir = temp();
    let root = dir.path().join("a/b");
    let cache = open(&root);
    assert_eq!(fs::metadata(&root).expect("there").permissions().mode() & 0o777, 0o700);
    let tag = fs::read(root.join("CACHEDIR.TAG")).expect("there");
    assert!(tag.starts_with(b"Signature: 8a477f597d28d172789f06886806bc55\n"));
    assert!(!cache.is_read_only());
    assert_eq!(cache.root(), root);
}

#[test]
fn an_unusable_cache_directory_is_named_in_the_error() {
    let dir = temp();
    let file = dir.path().join("file");
    fs::write(&file, "x").expect("written");
    let error = Cache::open(&file.join("kiln"), SystemTime::now()).expect_err("below a file");
    assert!(matches!(error, CacheError::Unusable { .. }));
    assert!(error.to_string().contains("file/kiln") && error.to_string().contains("XDG_CACHE_HOME"), "{error}");
}

#[test]
fn blobs_are_stored_only_under_their_own_digest() {
    let dir = temp();
    let cache = open(dir.path());
    let stored = insert(&cache, b"hello");
    assert_eq!((stored.digest, stored.size), (Digest::of(b"hello"), 5));
    assert_eq!(cache.blob(&stored.digest, Some(5)), Some(stored.path.clone()));
    assert_eq!(fs::read(&stored.path).expect("read"), b"hello");
    let mut bytes = String::new();
    cache.open_blob(&stored.digest).expect("verified").read_to_string(&mut bytes).expect("read");
    assert_eq!(bytes, "hello");
    assert_eq!(files_in(&dir.path().join("tmp")), 0);
}

#[test]
fn damaged_blobs_count_as_absent() {
    let dir = temp();
    let cache = open(dir.path());
    let stored = insert(&cache, b"hello");
    fs::write(&stored.path, b"hell").expect("truncated");
    assert_eq!(cache.blob(&stored.digest, Some(5)), None);
    assert!(!stored.path.exists());

    let stored = insert(&cache, b"hello");
    fs::write(&stored.path, b"hallo").expect("changed");
    let error = cache.open_blob(&stored.digest).expect_err("replaced by bytes of the same length");
    assert!(matches!(error, CacheError::Damaged { .. }), "{error}");
    assert_eq!((cache.blob(&stored.digest, Some(5)), cache.damage_found()), (None, 1));
}

#[test]
fn many_writers_of_one_blob_do_not_interfere() {
    let dir = temp();
    let cache = open(dir.path());
    let bytes = vec![7; 1 << 20];
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| insert(&cache, &bytes));
        }
    });
    assert!(cache.open_blob(&Digest::of(&bytes)).is_ok());
    assert_eq!(files_in(&dir.path().join("tmp")), 0);
}

#[test]
fn temporary_files_are_swept_only_when_no_process_has_the_cache_open() {
    let dir = temp();
    let cache = open(dir.path());
    let mut writer = cache.blob_writer().expect("a writer");
    writer.append(b"half").expect("written");
    drop(open(dir.path()));
    assert_eq!(files_in(&dir.path().join("tmp")), 1, "another process has the cache open");
    drop((writer, cache));
    // The state after kill -9.
    fs::write(dir.path().join("tmp/kiln-abc"), "half").expect("written");
    drop(open(dir.path()));
    assert_eq!(files_in(&dir.path().join("tmp")), 0);
    // What kiln did not make stays, and nothing is removed through a link.
    fs::write(dir.path().join("tmp/notes"), "mine").expect("written");
    let other = temp();
    fs::write(other.path().join("kiln-abc"), "mine").expect("written");
    std::os::unix::fs::symlink(other.path().join("kiln-abc"), dir.path().join("tmp/kiln-link")).expect("a link");
    drop(open(dir.path()));
    assert_eq!((files_in(&dir.path().join("tmp")), files_in(other.path())), (2, 1));
}

#[test]
fn a_partial_is_kept_and_continued() {
    let dir = temp();
    let cache = open(dir.path());
    let digest = Digest::of(b"hello world");
    let claim = || partial(cache.claim(&digest, Some(11), || ()).expect("claimed"));
    let mut first = claim();
    first.append(b"hello ").expect("written");
    assert!(matches!(first.land(), Err(CacheError::Mismatch { .. })));
    drop(first);
    let mut second = claim();
    assert_eq!((second.len(), second.is_complete()), (6, false));
    second.append(b"world").expect("written");
    assert!(second.is_complete());
    let path = second.land().expect("landed");
    drop(second);
    assert_eq!(cache.blob(&digest, Some(11)), Some(path));
    assert!(matches!(cache.claim(&digest, None, || ()), Ok(Claim::Present(_))));
    assert_eq!(files_in(&dir.path().join("partial")), 0);
}

#[test]
fn a_partial_that_is_too_long_or_empty_is_not_kept() {
    let dir = temp();
    let cache = open(dir.path());
    let digest = Digest::of(b"abc");
    fs::write(dir.path().join("partial").join(digest.to_string()), "abcd").expect("written");
    let claimed = partial(cache.claim(&digest, Some(3), || ()).expect("claimed"));
    assert!(claimed.is_empty());
    drop(claimed);
    assert_eq!(files_in(&dir.path().join("partial")), 0);
}

#[test]
fn one_claim_holds_the_download_and_the_others_find_the_blob() {
    let dir = temp();
    let digest = Digest::of(b"once");
    let (downloads, waits) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let held = partial(open(dir.path()).claim(&digest, None, || ()).expect("claimed"));
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let wait = || {
                    waits.fetch_add(1, Ordering::SeqCst);
                };
                // Separate handles, like those of another process.
                if let Claim::Partial(mut partial) = open(dir.path()).claim(&digest, None, wait).expect("claimed") {
                    downloads.fetch_add(1, Ordering::SeqCst);
                    // The others now hold the removed file, while its name belongs to a new one.
                    thread::sleep(Duration::from_millis(50));
                    partial.append(b"once").expect("written");
                    partial.land().expect("landed");
                }
            });
        }
        while waits.load(Ordering::SeqCst) < 6 {
            thread::yield_now();
        }
        // Gives up: an empty partial is removed, and the waiting threads must not share the removed
        // file.
        drop(held);
    });
    assert_eq!(downloads.load(Ordering::SeqCst), 1);
    assert_eq!(files_in(&dir.path().join("partial")), 0);
}

#[test]
fn derived_data_round_trips() {
    let dir = temp();
    let cache = open(dir.path());
    let key = Digest::of(b"key");
    for payload in [b"".as_slice(), b"x", &[5; 100_000]] {
        cache.put_derived("frame", &key, payload).expect("kept");
        assert_eq!(cache.derived("frame", &key).as_deref(), Some(payload));
        let file = cache.open_derived("frame", &key).expect("there");
        assert_eq!((file.len, file.digest), (payload.len() as u64, Digest::of(payload)));
        assert_eq!(file.path, cache.derived_path("frame", &key).expect("a path"));
    }
    assert_eq!(cache.derived("other", &key), None);
    assert_eq!(cache.derived("frame", &Digest::of(b"other")), None);
    drop(cache.derived_writer("unfinished", &key).expect("a writer"));
    assert_eq!(cache.derived("unfinished", &key), None);
    for kind in ["", "..", "a/b", "A"] {
        assert!(matches!(cache.put_derived(kind, &key, b""), Err(CacheError::BadKind { .. })), "{kind}");
    }
}

#[test]
fn truncations_and_flipped_bits_of_derived_data_are_found_at_every_byte() {
    let dir = temp();
    let cache = open(dir.path());
    let key = Digest::of(b"key");
    let mut writer = cache.derived_writer("frame", &key).expect("a writer");
    writer.write_all(b"some payload").expect("written");
    assert_eq!(writer.finish().expect("kept"), Digest::of(b"some payload"));
    let path = cache.derived_path("frame", &key).expect("a path");
    let good = fs::read(&path).expect("read");
    assert!(good.starts_with(b"some payload"), "the payload is at offset 0");

    let is_absent_and_removed = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).expect("written");
        assert_eq!(cache.derived("frame", &key), None, "{what}");
        assert!(!path.exists(), "{what}");
        // While streaming, the end is never reported.
        fs::write(&path, bytes).expect("written");
        if let Some(file) = cache.open_derived("frame", &key) {
            let mut reader = file.into_reader();
            for _ in 0..2 {
                let error = reader.read_to_end(&mut Vec::new()).expect_err(what);
                assert_eq!(error.kind(), ErrorKind::InvalidData, "{what}");
            }
        }
        assert!(!path.exists(), "{what}");
    };
    for len in 0..good.len() {
        is_absent_and_removed(&good[..len], &format!("cut to {len}"));
    }
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        is_absent_and_removed(&bad, &format!("flipped in byte {byte}"));
    }
    is_absent_and_removed(&[&good[..], b"\0"].concat(), "longer");

    fs::write(&path, &good).expect("written");
    let elsewhere = cache.derived_path("frame", &Digest::of(b"other")).expect("a path");
    fs::create_dir_all(elsewhere.parent().expect("a parent")).expect("made");
    fs::rename(&path, &elsewhere).expect("moved");
    assert_eq!(cache.derived("frame", &Digest::of(b"other")), None, "a file under another key");
}

#[test]
fn least_recently_used_files_are_removed_first() {
    let dir = temp();
    let cache = open(dir.path());
    let age = |path: &Path, number| {
        let file = File::options().write(true).open(path).expect("opened");
        file.set_modified(day(number)).expect("set");
    };
    let old = insert(&cache, &[1; 100]);
    let new = insert(&cache, &[2; 100]);
    let key = Digest::of(b"key");
    cache.put_derived("frame", &key, &[3; 20]).expect("kept");
    let mut begun = partial(cache.claim(&Digest::of(b"cut"), None, || ()).expect("claimed"));
    begun.append(b"cu").expect("written");
    drop(begun);
    age(&old.path, 10);
    age(&cache.derived_path("frame", &key).expect("a path"), 20);
    age(&new.path, 30);
    age(&dir.path().join("partial").join(Digest::of(b"cut").to_string()), 5);

    let usage = cache.usage().expect("listed");
    let all: Vec<_> = usage.iter().map(|(kind, usage)| (kind.as_str(), usage.files, usage.bytes)).collect();
    assert_eq!(all, [("blobs", 2, 200), ("derived/frame", 1, 100), ("partial", 1, 2)]);

    let trim = |policy| Cache::trim(dir.path(), &policy).expect("trimmed");
    let in_use = Cache::trim(dir.path(), &TrimPolicy { max_bytes: Some(0), unused_since: None });
    assert!(matches!(in_use, Err(CacheError::InUse { .. })), "{in_use:?}");
    drop(cache);
    assert_eq!(trim(TrimPolicy::default()).removed, Usage::default());
    let trimmed = trim(TrimPolicy { max_bytes: None, unused_since: Some(day(10)) });
    assert_eq!(trimmed.removed, Usage { files: 1, bytes: 2 }, "the partial");
    let trimmed = trim(TrimPolicy { max_bytes: Some(200), unused_since: None });
    let kept = Usage { files: 2, bytes: 200 };
    assert_eq!(trimmed, Trimmed { removed: Usage { files: 1, bytes: 100 }, kept });
    assert!(!old.path.exists() && new.path.exists());
    trim(TrimPolicy { max_bytes: Some(0), unused_since: None });
    assert!(!new.path.exists());
    assert_eq!(Cache::trim(&dir.path().join("none"), &TrimPolicy::default()).ok(), Some(Trimmed::default()));
}

#[test]
fn trimming_removes_only_files_that_are_named_by_a_digest() {
    let dir = temp();
    let stored = insert(&open(dir.path()), b"hello");
    let elsewhere = temp();
    let name = Digest::of(b"x").to_string();
    let kept =
        [dir.path().join("blobs/ab/notes"), dir.path().join("partial/notes"), elsewhere.path().join("ab").join(&name)];
    for path in &kept {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, "mine").expect("written");
    }
    std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("derived/link")).expect("a link");
    let everything = TrimPolicy { max_bytes: Some(0), unused_since: None };
    assert_eq!(Cache::trim(dir.path(), &everything).expect("trimmed").removed, Usage { files: 1, bytes: 5 });
    assert!(!stored.path.exists() && kept.iter().all(|path| path.exists()));
    let foreign = Cache::trim(elsewhere.path(), &everything);
    assert!(matches!(foreign, Err(CacheError::Foreign { .. })), "{foreign:?}");
}

#[test]
fn use_is_recorded_once_a_day() {
    let dir = temp();
    let stored = insert(&open(dir.path()), b"x");
    let file = File::options().write(true).open(&stored.path).expect("opened");
    let modified = || fs::metadata(&stored.path).and_then(|metadata| metadata.modified()).expect("a time");
    file.set_modified(day(10)).expect("set");
    let use_at = |now| Cache::open(dir.path(), now).expect("a cache").blob(&stored.digest, None).expect("there");
    use_at(day(10) + Duration::from_secs(3600));
    assert_eq!(modified(), day(10));
    use_at(day(12));
    assert_eq!(modified(), day(12));
    use_at(day(3));
    assert_eq!(modified(), day(12), "a clock that went back records nothing");
}

/// Runs `test` as a user who may read the cache but not write it, whether root runs the tests or
/// not.
fn without_write_permission(root: &Path, test: impl FnOnce() + Send) {
    let set = |dir_mode, file_mode| {
        let mut todo = vec![root.to_owned()];
        while let Some(path) = todo.pop() {
            let is_dir = path.is_dir();
            let mode = if is_dir { dir_mode } else { file_mode };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            if is_dir {
                todo.extend(fs::read_dir(&path).expect("listed").map(|entry| entry.expect("an entry").path()));
            }
        }
    };
    set(0o555, 0o444);
    thread::scope(|scope| {
        scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                // Only this thread changes its user to nobody.
                let nobody = rustix::process::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).expect("nobody");
            }
            test();
        });
    });
    set(0o755, 0o644);
}

#[test]
fn a_read_only_cache_can_be_read() {
    let dir = temp();
    let (stored, key) = (insert(&open(dir.path()), b"hello"), Digest::of(b"key"));
    open(dir.path()).put_derived("frame", &key, b"derived").expect("kept");
    let damaged = open(dir.path()).derived_path("frame", &Digest::of(b"damaged")).expect("a path");
    fs::create_dir_all(damaged.parent().expect("a parent")).expect("made");
    fs::write(&damaged, "damaged").expect("written");
    for with_lock in [true, false] {
        without_write_permission(dir.path(), || {
            let cache = Cache::open(dir.path(), day(100_000)).expect("readable");
            assert!(cache.is_read_only());
            assert_eq!(cache.blob(&stored.digest, Some(5)), Some(stored.path.clone()));
            assert_eq!(cache.derived("frame", &key).as_deref(), Some(b"derived".as_slice()));
            assert_eq!(cache.derived("frame", &Digest::of(b"damaged")), None);
            assert_eq!(cache.usage().expect("listed").len(), 2);
            assert!(matches!(cache.blob_writer(), Err(CacheError::ReadOnly { .. })));
            assert!(matches!(cache.claim(&Digest::of(b"new"), None, || ()), Err(CacheError::ReadOnly { .. })));
            let unusable = Cache::open(&dir.path().join("new"), day(0));
            assert!(matches!(unusable, Err(CacheError::Unusable { .. })), "{unusable:?}");
        });
        if with_lock {
            fs::remove_file(dir.path().join("lock")).expect("removed");
        }
    }
}

#[test]
fn a_full_disk_is_distinguished_from_other_errors() {
    let full = |kind: ErrorKind| CacheError::writing(Path::new("x"), kind.into());
    assert!(matches!(full(ErrorKind::StorageFull), CacheError::Full { .. }));
    assert!(matches!(full(ErrorKind::QuotaExceeded), CacheError::Full { .. }));
    assert!(matches!(full(ErrorKind::PermissionDenied), CacheError::Io { .. }));
    // The error that the kernel returns.
    let error = File::options().write(true).open("/dev/full").and_then(|mut file| file.write_all(b"x"));
    let error = CacheError::writing(Path::new("x"), error.expect_err("a full device"));
    assert!(error.to_string().contains("kiln cache trim"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn foreign_files_count_as_absent(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let dir = temp();
        let cache = open(dir.path());
        let key = Digest::of(b"key");
        let path = cache.derived_path("frame", &key).expect("a path");
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(&path, bytes).expect("written");
        prop_assert_eq!(cache.derived("frame", &key), None);
    }
}
